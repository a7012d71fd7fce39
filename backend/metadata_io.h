/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_io.h: the activity log's blocks and the bitmap's pages, from the data path: asynchronous, through the owner
 * thread's loop.  The device is the one that superblock_io.h has claimed.
 */
#ifndef DRBDX_BACKEND_METADATA_IO_H
#define DRBDX_BACKEND_METADATA_IO_H

#include "backend/actlog.h"
#include "backend/bitmap.h"
#include "backend/loop.h"
#include "backend/metadata.h"
#include "backend/replicate.h"

typedef void metadata_done_fn(void *ctx, struct metadata_op *op, int rc);

struct metadata_io;

/* One direction of one area. */
struct metadata_io_lane {
	struct loop_op op; /* first: the loop hands it back */
	struct metadata_io *io;
	struct metadata_op *block; /* under way, NULL: none */
};

struct metadata_io {
	struct loop *loop;
	int fd;
	struct metadata_geometry geometry;
	struct metadata_io_lane lane[2][2]; /* [area][write] */
	metadata_done_fn *done;
	void *ctx;
};

/* `fd` stays the caller's, and open until nothing is in flight. */
void metadata_io_init(struct metadata_io *io, struct loop *loop, int fd, const struct metadata_geometry *geometry,
		      metadata_done_fn *done, void *ctx);

/* The activity log's area (ACTLOG_BLOCKS * ACTLOG_BLOCK bytes, aligned), at once: for the start. 0 or negative errno with
 * words. */
int metadata_io_read_log(int fd, const struct metadata_geometry *geometry, uint8_t *area, char *why, size_t why_size);
/* An empty log instead, durably. */
int metadata_io_format_log(int fd, const struct metadata_geometry *geometry, uint8_t *area, char *why, size_t why_size);

/* Answered by done() from loop_run(); a write is durable then. At most one for each direction and area; the block must lie
 * in its area. */
void metadata_io_submit(struct metadata_io *io, struct metadata_op *op);
bool metadata_io_busy(const struct metadata_io *io);

#endif
