/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.h: which of a guest's requests may be executed at the same time, whatever queues they come from: as many as there are tags
 * (H25), but for a barrier.
 *
 * A barrier (BLKIF_OP_WRITE_BARRIER) is executed when everything of this disk that was consumed before it has ended, whatever queue it
 * came from, and nothing that is consumed after it is executed before it has ended (H21).  A barrier that waits stays in its ring, as
 * everything that is not executed yet does; so the table of requests in flight has to say nothing about it (docs/RESTART.md).
 *
 * Pure; the owner thread asks it before each request.  A queue is known by any pointer that is its own.
 */
#ifndef DRBDX_BACKEND_GATE_H
#define DRBDX_BACKEND_GATE_H

#include <stdbool.h>

#include "backend/request.h"

struct gate {
	unsigned int in_flight; /* passed and not ended */
	bool barrier;		/* one of them is a barrier: the only one */
	const void *waits;	/* the queue whose next request is a barrier, for which the others wait; NULL: none */
	const void *room;	/* the queue whose next request found no room for its data: the next that comes is for it */
	unsigned int fresh, free_count; /* tags: never used are those from `fresh` on; a stack of others */
	uint16_t free[REQUESTS_MAX];
};

/* May the next request of this queue be executed now? `next` NULL: it has not been looked at yet. If not, ask again when a request has
 * ended. */
bool gate_opens(struct gate *g, const void *queue, const struct request *next);

/* Gives it a tag. */
void gate_enter(struct gate *g, struct request *req);
void gate_leave(struct gate *g, const struct request *req);

/* After a queue was run: whether its next request found no room. */
void gate_short(struct gate *g, const void *queue, bool no_room);

/* The queue is gone. What it has in flight leaves as ever. */
void gate_forget(struct gate *g, const void *queue);

#endif
