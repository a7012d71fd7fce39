/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_io.c: one block, one operation.
 *
 * Each write carries RWF_DSYNC, so that what done() says of it is what a power cut leaves; whether a torn block can be told
 * from a whole one is the log's and the bitmap's business (docs/METADATA.md).
 */
#include "backend/metadata_io.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/metadata_private.h"

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

#define LOG_BYTES ((size_t)ACTLOG_BLOCKS * ACTLOG_BLOCK)

_Static_assert(ACTLOG_BLOCK == METADATA_BLOCK && BITMAP_PAGE == METADATA_BLOCK, "a block of either area is one of the device");

static void start(struct metadata_io_lane *lane)
{
	const struct metadata_io *io = lane->io;
	const struct metadata_op *op = lane->block;
	uint64_t area = op->area == METADATA_LOG ? io->geometry.log : io->geometry.bitmap;
	uint64_t offset = area + (uint64_t)op->block * METADATA_BLOCK;

	if (op->write)
		loop_write(io->loop, &lane->op, io->fd, op->data, METADATA_BLOCK, offset, RWF_DSYNC);
	else
		loop_read(io->loop, &lane->op, io->fd, op->data, METADATA_BLOCK, offset);
}

static void on_done(struct loop_op *loop_op, int result)
{
	struct metadata_io_lane *lane = (struct metadata_io_lane *)loop_op;
	struct metadata_op *op = lane->block;

	if (result == -EINTR || result == -EAGAIN) {
		start(lane);
		return;
	}
	lane->block = NULL;
	lane->io->done(lane->io->ctx, op, result < 0 ? result : result == METADATA_BLOCK ? 0 : -EIO);
}

void metadata_io_init(struct metadata_io *io, struct loop *loop, int fd, const struct metadata_geometry *geometry,
		      metadata_done_fn *done, void *ctx)
{
	*io = (struct metadata_io){ .loop = loop, .fd = fd, .geometry = *geometry, .done = done, .ctx = ctx };
	for (int area = 0; area < 2; area++)
		for (int write = 0; write < 2; write++)
			io->lane[area][write] = (struct metadata_io_lane){ .op.fn = on_done, .io = io };
}

int metadata_io_read_log(int fd, const struct metadata_geometry *geometry, uint8_t *area, char *why, size_t why_size)
{
	int rc = metadata_read_at(fd, geometry->log, area, LOG_BYTES);

	return rc ? say(rc, why, why_size, "the activity log of %s cannot be read: %s", geometry->place, strerror(-rc)) : 0;
}

int metadata_io_format_log(int fd, const struct metadata_geometry *geometry, uint8_t *area, char *why, size_t why_size)
{
	int rc;

	actlog_format(area);
	rc = metadata_write_at(fd, geometry->log, area, LOG_BYTES);
	if (!rc && fdatasync(fd))
		rc = -errno;
	return rc ? say(rc, why, why_size, "the activity log of %s cannot be written: %s", geometry->place, strerror(-rc)) : 0;
}

void metadata_io_submit(struct metadata_io *io, struct metadata_op *op)
{
	struct metadata_io_lane *lane = &io->lane[op->area][op->write];

	assert(!lane->block);
	assert(op->block < (op->area == METADATA_LOG ? ACTLOG_BLOCKS : io->geometry.bitmap_bytes / METADATA_BLOCK));
	lane->block = op;
	start(lane);
}

bool metadata_io_busy(const struct metadata_io *io)
{
	for (int area = 0; area < 2; area++)
		for (int write = 0; write < 2; write++)
			if (io->lane[area][write].block)
				return true;
	return false;
}
