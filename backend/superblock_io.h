/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * superblock_io.h: writes of the superblock from the data path: asynchronous, through the
 * owner thread's loop.  Reading and creating are metadata.h's.
 */
#ifndef DRBDX_BACKEND_SUPERBLOCK_IO_H
#define DRBDX_BACKEND_SUPERBLOCK_IO_H

#include "backend/claim.h"
#include "backend/loop.h"
#include "backend/metadata.h"

typedef void superblock_done_fn(void *ctx, int rc);

struct superblock_io {
	struct loop_op op; /* first: the loop hands it back */
	struct loop *loop;
	struct claim claim;
	bool claimed; /* the claim is our own, not the data disk's */
	struct metadata_geometry geometry;
	uint8_t *block;	   /* METADATA_BLOCK, aligned */
	uint64_t sequence; /* of the last attempt */
	int stage;	   /* 0 idle, 1 first copy, 2 second copy */
	int first;	   /* the copy that goes first: 0 = A, 1 = B; never the only whole one */
	superblock_done_fn *done;
	void *ctx;
};

/* Claims the metadata device `path` and reads the superblock. `index`: config.h's meta_index; `data`: the
 * data disk's claim, which is used for internal metadata (`path` is NULL), and outlives this. 0 or negative
 * errno with words in `why`; -EBUSY as claim_open(). */
int superblock_io_open(struct superblock_io *io, const char *path, int index, const struct claim *data,
		       struct loop *loop, superblock_done_fn *done, void *ctx, struct superblock *sb,
		       char *why, size_t why_size);
/* The data disk has become larger: have external metadata, measured anew, room to describe it? Otherwise nothing has changed, and `why` says
 * what to do. */
int superblock_io_measure(struct superblock_io *io, int index, const struct claim *data, char *why, size_t why_size);
/* nothing may be in flight; idempotent on a zeroed structure */
void superblock_io_close(struct superblock_io *io);

/* Both copies, one after the other, each durable (RWF_DSYNC) before the next begins; done()
 * when both are. One at a time; `sb` is copied. */
void superblock_io_write(struct superblock_io *io, const struct superblock *sb);

#endif
