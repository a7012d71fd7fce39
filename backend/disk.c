/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.c: requests become reads, durable writes and flushes of the local volume.
 *
 * Invariants
 *  1. A request has at most one operation in the kernel; a short read or write is
 *     continued, so done() means all of it.
 *  2. What was abandoned has no request: nothing of that is touched, and it is not continued.
 *  3. Every write carries RWF_DSYNC: when done() says 0 the data is durable, whatever cache
 *     the volume has (P1).
 */
#include "backend/disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

struct disk_op {
	struct loop_op op; /* first: the loop hands it back */
	struct disk *disk;
	struct request *req; /* NULL: free, or abandoned */
	uint64_t since_ms;
	uint32_t done; /* bytes */
	bool flushing; /* the flush before a preflush write */
	struct disk_op *next_free;
};

struct disk {
	struct claim claim;
	struct loop *loop;
	disk_done_fn *done;
	void *ctx;
	struct disk_op *ops, *free;
	unsigned int n_ops, in_flight, abandoned;
};

static loop_fn on_result;

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
	claim_close(&disk->claim);
	free(disk->ops);
	free(disk);
}

uint64_t disk_sectors(const struct disk *disk)
{
	return disk->claim.bytes / disk->claim.block_size * (disk->claim.block_size / SECTOR_SIZE);
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
	else
		loop_write(o->disk->loop, &o->op, o->disk->claim.fd, req->data + o->done, left, offset,
			   RWF_DSYNC);
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
	start(o);
}

bool disk_abandon(struct disk *disk, struct request *req)
{
	if (req->sectors && !loop_leave_pages(disk->loop, req->data, req->sectors * SECTOR_SIZE))
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
