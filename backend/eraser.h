/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eraser.h: secure erasures of a volume, by a thread of their own: the ioctl blocks for as long as the device takes, and io_uring has none.
 */
#ifndef DRBDX_BACKEND_ERASER_H
#define DRBDX_BACKEND_ERASER_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/loop.h"
#include "backend/mailbox.h"

struct eraser;
struct erasure { /* embedded in whatever waits; eraser.c's own until op->fn runs */
	struct message message;
	struct eraser *eraser;
	struct loop_op *op;
	uint64_t range[2]; /* offset and length, bytes */
	int result;
};

/* Can this volume erase securely, as far as it can be asked without harm? */
bool eraser_possible(int fd);

/* Starts the thread. `fd`, a block device's, stays open until eraser_free(). 0 or negative errno. */
int eraser_new(struct loop *loop, int fd, struct eraser **out);
void eraser_free(struct eraser *eraser); /* nothing may be under way; NULL is allowed */

/* As an operation of loop.h: op->busy until op->fn runs, on the owner thread, with 0 or negative errno. One after the other. */
void eraser_erase(struct eraser *eraser, struct erasure *erasure, struct loop_op *op, uint64_t offset, uint64_t bytes);

#endif
