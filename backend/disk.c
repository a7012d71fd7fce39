/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.c: requests become reads, durable writes, flushes and discards of the local volume.
 *
 * Invariants
 *  1. A request has at most one operation in the kernel; a short read or write is
 *     continued, so done() means all of it.
 *  2. What was abandoned has no request: nothing of that is touched, and it is not continued.
 *  3. Every write carries RWF_DSYNC: when done() says 0 the data is durable, whatever cache
 *     the volume has (P1).
 *  4. A discard that is done reads as zeroes, durably, to the last byte (docs/DEGRADED.md, D23).
 *  5. Of a secure one what was there is erased first, and erase_rc says whether it is; it becomes zeroes whether or not that went well, so the two
 *     disks have the same (P3).
 *
 *   secure:   ioctl(BLKSECDISCARD), in a thread of its own (eraser.c) ── it worked, or it failed ──> a discard
 *   discard:  fallocate(PUNCH_HOLE) ── it worked ──> fdatasync ──> done
 *                                   └─ it failed, or the disk does not give space back ──> zeroes are written, as a write is ──> done
 *
 * Why PUNCH_HOLE, for block devices, too: the kernel makes it REQ_OP_WRITE_ZEROES there, allowed to unmap, and never writes zeroes itself, but
 * fails. BLKDISCARD promises nothing about what is read afterwards, and a device may ignore any part of it.
 */
#include "backend/disk.h"
#include "backend/eraser.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

#define HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

struct disk_op {
	struct loop_op op; /* first: the loop hands it back */
	struct disk *disk;
	struct request *req; /* NULL: free, or abandoned */
	uint64_t since_ms;
	uint32_t done; /* bytes */
	bool flushing; /* the flush before a preflush write, or after a hole was punched */
	bool zeroing;  /* a discard that zeroes are written for */
	bool erasing;  /* a secure one that has not begun to be a discard */
	struct erasure erasure;
	struct disk_op *next_free;
};

struct disk {
	struct claim claim;
	struct loop *loop;
	disk_done_fn *done;
	void *ctx;
	struct disk_op *ops, *free;
	unsigned int n_ops, in_flight, abandoned;
	uint8_t discard_unit;
	bool no_holes; /* it said that it could, and cannot */
	struct eraser *eraser; /* NULL: it cannot erase securely */
};

static loop_fn on_result;

/* ---- what it can discard ---- */

static uint8_t power_of(uint64_t bytes)
{
	for (uint8_t i = DISCARD_UNIT_MIN; i <= DISCARD_UNIT_MAX; i++)
		if (bytes == 1ull << i)
			return i;
	return 0;
}

/* A number in the queue's directory of a disk, or of the one that a partition is on; 0 if there is none. */
static uint64_t queue_value(dev_t dev, const char *name)
{
	static const char *const places[] = { "", "../" };
	uint64_t value = 0;
	char path[128];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !value; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(dev), minor(dev), places[i], name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%" SCNu64, &value) != 1)
			value = 0;
		fclose(f);
	}
	return value;
}

/* Beyond the end a hole changes nothing, but is refused where there are none. */
static uint8_t file_unit(int fd, const struct stat *st)
{
	off_t end = (st->st_size + 4095) / 4096 * 4096;

	return fallocate(fd, HOLE, end, 4096) ? 0 : power_of((uint64_t)st->st_blksize);
}

static uint8_t discard_unit_of(const struct claim *claim)
{
	struct stat st;

	if (fstat(claim->fd, &st))
		return 0;
	if (S_ISREG(st.st_mode))
		return file_unit(claim->fd, &st);
	if (!queue_value(st.st_rdev, "write_zeroes_max_bytes") || !queue_value(st.st_rdev, "discard_max_bytes"))
		return 0;
	return power_of(queue_value(st.st_rdev, "discard_granularity"));
}

uint8_t disk_discard_unit(const struct disk *disk)
{
	return disk->discard_unit;
}

bool disk_erases(const struct disk *disk)
{
	return disk->eraser;
}

/* ---- open and closed ---- */

int disk_open(const char *path, struct loop *loop, unsigned int requests, disk_done_fn *done, void *ctx,
	      struct disk **out, char *why, size_t why_size)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	unsigned int i;
	int rc = -ENOMEM;

	if (!disk)
		return rc;
	disk->ops = calloc(requests, sizeof(*disk->ops));
	if (!disk->ops)
		goto out;
	rc = claim_open(path, false, &disk->claim, why, why_size);
	if (rc)
		goto out;
	disk->discard_unit = discard_unit_of(&disk->claim);
	if (eraser_possible(disk->claim.fd))
		rc = eraser_new(loop, disk->claim.fd, &disk->eraser);
	if (rc)
		goto out_claim;
	disk->n_ops = requests;
	disk->loop = loop;
	disk->done = done;
	disk->ctx = ctx;
	for (i = 0; i < requests; i++) {
		disk->ops[i].op.fn = on_result;
		disk->ops[i].disk = disk;
		disk->ops[i].next_free = disk->free;
		disk->free = &disk->ops[i];
	}
	*out = disk;
	return 0;
out_claim:
	claim_close(&disk->claim);
out:
	free(disk->ops);
	free(disk);
	return rc;
}

void disk_close(struct disk *disk)
{
	if (!disk)
		return;
	assert(!disk->in_flight);
	eraser_free(disk->eraser);
	claim_close(&disk->claim);
	free(disk->ops);
	free(disk);
}

uint64_t disk_sectors(const struct disk *disk)
{
	return disk->claim.bytes / disk->claim.block_size * (disk->claim.block_size / SECTOR_SIZE);
}

int disk_measure(struct disk *disk)
{
	return claim_measure(&disk->claim);
}

const struct claim *disk_claim(const struct disk *disk)
{
	return &disk->claim;
}

uint32_t disk_block_size(const struct disk *disk)
{
	return disk->claim.block_size;
}

unsigned int disk_in_flight(const struct disk *disk)
{
	return disk->in_flight;
}

static void start(struct disk_op *o)
{
	struct request *req = o->req;
	uint64_t offset = req->sector * SECTOR_SIZE + o->done;
	uint32_t left = req->sectors * SECTOR_SIZE - o->done;

	if (req->op == REQUEST_FLUSH || o->flushing)
		loop_fdatasync(o->disk->loop, &o->op, o->disk->claim.fd);
	else if (req->op == REQUEST_READ)
		loop_read(o->disk->loop, &o->op, o->disk->claim.fd, req->data + o->done, left, offset);
	else if (req->op == REQUEST_WRITE)
		loop_write(o->disk->loop, &o->op, o->disk->claim.fd, req->data + o->done, left, offset, RWF_DSYNC);
	else if (o->erasing)
		eraser_erase(o->disk->eraser, &o->erasure, &o->op, offset, left);
	else if (o->zeroing)
		loop_write(o->disk->loop, &o->op, o->disk->claim.fd, request_zeroes, left < sizeof(request_zeroes) ? left : sizeof(request_zeroes), offset,
			   RWF_DSYNC);
	else
		loop_fallocate(o->disk->loop, &o->op, o->disk->claim.fd, HOLE, offset, left);
}

void disk_submit(struct disk *disk, struct request *req)
{
	struct disk_op *o = disk->free;

	assert(o);
	disk->free = o->next_free;
	disk->in_flight++;
	o->req = req;
	o->since_ms = loop_now_ms(disk->loop);
	req->disk_op = o;
	o->done = 0;
	o->flushing = req->op == REQUEST_WRITE && req->preflush;
	o->zeroing = o->erasing = false;
	if (req->op == REQUEST_DISCARD) {
		o->zeroing = !disk->discard_unit || disk->no_holes;
		o->erasing = req->secure && disk->eraser;
		req->erase_rc = -EOPNOTSUPP;
	}
	start(o);
}

bool disk_abandon(struct disk *disk, struct request *req)
{
	if (req->sectors && req->op != REQUEST_DISCARD && !loop_leave_pages(disk->loop, req->data, req->sectors * SECTOR_SIZE))
		return false;
	req->disk_op->req = NULL;
	disk->abandoned++;
	return true;
}

unsigned int disk_abandoned(const struct disk *disk, uint64_t *since_ms)
{
	*since_ms = UINT64_MAX;
	for (unsigned int i = 0; disk->abandoned && i < disk->n_ops; i++) {
		const struct disk_op *o = &disk->ops[i];

		if (o->op.busy && !o->req && o->since_ms < *since_ms)
			*since_ms = o->since_ms;
	}
	return disk->abandoned;
}

static void release(struct disk_op *o)
{
	struct disk *disk = o->disk;

	o->req = NULL;
	o->next_free = disk->free;
	disk->free = o;
	disk->in_flight--;
}

static void finish(struct disk_op *o, int rc)
{
	struct request *req = o->req;

	release(o);
	o->disk->done(o->disk->ctx, req, rc);
}

/* Of a discard that erases, or punches a hole. */
static void discard_result(struct disk_op *o, int result)
{
	if (o->erasing) {
		o->erasing = false;
		o->req->erase_rc = result;
		start(o);
		return;
	}
	if (o->flushing) {
		finish(o, result < 0 ? result : 0);
		return;
	}
	o->flushing = result >= 0;
	o->zeroing = result < 0;
	o->disk->no_holes |= result == -EOPNOTSUPP;
	start(o);
}

static void on_result(struct loop_op *op, int result)
{
	struct disk_op *o = (struct disk_op *)op;
	uint32_t bytes;

	if (!o->req) {
		o->disk->abandoned--;
		release(o);
		return;
	}
	bytes = o->req->sectors * SECTOR_SIZE;
	if (result == -EINTR || result == -EAGAIN) {
		start(o);
		return;
	}
	if (o->req->op == REQUEST_DISCARD && (o->erasing || !o->zeroing)) {
		discard_result(o, result);
		return;
	}
	if (result < 0) {
		finish(o, result);
		return;
	}
	if (o->req->op == REQUEST_FLUSH) {
		finish(o, 0);
		return;
	}
	if (o->flushing) {
		o->flushing = false;
		start(o);
		return;
	}
	if (!result) { /* the volume has become smaller than it was */
		finish(o, -EIO);
		return;
	}
	o->done += (uint32_t)result;
	if (o->done < bytes)
		start(o);
	else
		finish(o, 0);
}
