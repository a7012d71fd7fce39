/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * superblock_io.c: two durable writes in a row.
 *
 * Crash argument: one copy is written, and the other one only when the first is durable; both are whole
 * and equal before (metadata_read() heals, and done(0) is said only after both).  So a power cut leaves
 * at least one whole copy, with the old content or the new one.  When a write fails, its copy may be
 * torn: the repetition begins with that copy, so that the other one, which is whole, is not touched
 * before.  Every attempt has a sequence number of its own: two copies with one number are always equal.
 */
#include "backend/superblock_io.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

static void write_copy(struct superblock_io *io)
{
	int copy = io->stage == 1 ? io->first : !io->first;

	loop_write(io->loop, &io->op, io->claim.fd, io->block, METADATA_BLOCK, io->geometry.copy[copy],
		   RWF_DSYNC);
}

static void on_written(struct loop_op *op, int result)
{
	struct superblock_io *io = (struct superblock_io *)op;
	int rc = result < 0 ? result : result == METADATA_BLOCK ? 0 : -EIO;

	if (rc == -EINTR || rc == -EAGAIN) {
		write_copy(io);
	} else if (!rc && io->stage == 1) {
		io->stage = 2;
		write_copy(io);
	} else {
		if (rc && io->stage == 2)
			io->first = !io->first;
		io->stage = 0;
		io->done(io->ctx, rc);
	}
}

static int locate(struct superblock_io *io, const char *path, int index, const struct claim *data, char *why,
		  size_t why_size)
{
	enum metadata_layout layout = metadata_layout_of(index);
	int rc = 0;

	io->claim.fd = -1;
	io->claimed = layout != METADATA_INTERNAL;
	if (io->claimed)
		rc = claim_open(path, true, &io->claim, why, why_size);
	else
		io->claim = *data;
	return rc ? rc
		  : metadata_geometry(layout, index, io->claim.bytes, data->bytes, data->block_size,
				      &io->geometry, why, why_size);
}

static void let_go(struct superblock_io *io)
{
	if (io->claimed)
		claim_close(&io->claim);
}

int superblock_io_open(struct superblock_io *io, const char *path, int index, const struct claim *data,
		       struct loop *loop, superblock_done_fn *done, void *ctx, struct superblock *sb,
		       char *why, size_t why_size)
{
	int rc;

	memset(io, 0, sizeof(*io));
	rc = locate(io, path, index, data, why, why_size);
	if (!rc)
		rc = metadata_read(io->claim.fd, &io->geometry, sb, why, why_size);
	if (!rc && !(io->block = aligned_alloc(METADATA_BLOCK, METADATA_BLOCK)))
		rc = -ENOMEM;
	if (rc) {
		let_go(io);
		return rc;
	}
	io->op.fn = on_written;
	io->loop = loop;
	io->sequence = sb->sequence;
	io->done = done;
	io->ctx = ctx;
	return 0;
}

int superblock_io_measure(struct superblock_io *io, int index, const struct claim *data, char *why, size_t why_size)
{
	struct metadata_geometry geometry;
	int rc;

	if (io->geometry.layout == METADATA_INTERNAL) {
		snprintf(why, why_size,
			 "its metadata are internal, at the end of the volume, which cannot move under a disk in use: give it external "
			 "metadata ('meta-disk DEVICE;')");
		return -EOPNOTSUPP;
	}
	rc = claim_measure(&io->claim);
	if (rc) {
		snprintf(why, why_size, "the size of the metadata device cannot be found out: %s", strerror(-rc));
		return rc;
	}
	rc = metadata_geometry(io->geometry.layout, index, io->claim.bytes, data->bytes, data->block_size, &geometry, why, why_size);
	if (!rc)
		io->geometry = geometry;
	return rc;
}

void superblock_io_close(struct superblock_io *io)
{
	if (!io->block)
		return;
	assert(!io->stage);
	let_go(io);
	free(io->block);
	io->block = NULL;
}

void superblock_io_write(struct superblock_io *io, const struct superblock *sb)
{
	struct superblock next = *sb;

	assert(!io->stage);
	next.sequence = ++io->sequence;
	metadata_encode(&next, io->block);
	io->stage = 1;
	write_copy(io);
}
