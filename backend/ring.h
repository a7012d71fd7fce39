/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.h: a guest's shared ring: requests are consumed, their data copied through grants, answers pushed.
 *
 * One structure is one queue of a disk.  Owner thread only; ring_attach() and ring_detach() too.
 */
#ifndef DRBDX_BACKEND_RING_H
#define DRBDX_BACKEND_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/blkif.h"
#include "backend/pool.h"
#include "backend/request.h"
#include "backend/slot.h"

#define RING_ORDER_MAX 4u
#define RING_SLOTS(order) (32u << (order)) /* of a ring of 1 << order pages */

struct ring_params {		/* as read from the frontend's xenstore directory, each value checked there */
	uint32_t domid;
	uint8_t order;
	uint8_t abi;		/* enum slot_abi */
	uint8_t queue, others;	/* its number, and how many other queues the disk has */
	uint32_t ref[1u << RING_ORDER_MAX];
	uint32_t port;		/* the frontend's event-channel port */
};

struct ring_set {		/* of a disk: a ring for each of its queues */
	unsigned int count;
	struct ring_params ring[QUEUES_MAX];
};

struct ring_ops {
	/* May the next request be consumed now? Asked before it is looked at (NULL), and again when it has been. */
	bool (*ready)(void *ctx, const struct request *next);
	/* Validated; a write's data has been copied. The tag is the owner's to set. Must not call ring_run() or ring_detach();
	 * ring_complete() and ring_push() are allowed. */
	void (*submit)(void *ctx, struct request *req);
	/* The ring is hostile: nothing more is consumed. Called once, as the last thing ring_run() does, so
	 * the owner may detach the ring here. */
	void (*broken)(void *ctx, const char *why);
	/* The ring is held, and a request lies beyond the mark. Called once for each ring_hold(), as the last
	 * thing ring_run() does. */
	void (*resumed)(void *ctx);
};

struct ring_counters {
	uint64_t consumed, answered;	/* requests, and responses published */
	uint64_t errors;		/* responses other than BLKIF_RSP_OKAY */
	uint64_t notifications;		/* sent to the guest */
	uint64_t grant_copies;		/* segments copied, either way */
	uint64_t copy_batches;		/* calls that copied them */
	uint64_t again;			/* of an earlier daemon, answered by this one; not in `consumed` */
};

struct ring;
struct inflight_table;

void ring_grow(struct ring *ring, uint64_t sectors); /* the disk has become larger; the guest does not know yet */
void ring_offer_secure(struct ring *ring); /* secure discards are offered from now on */

/* Maps the ring's pages, binds the event channel, and goes on where `table` says that an earlier daemon stopped: what that
 * had consumed and not answered is executed before anything new is consumed (docs/RESTART.md). An idle table: at the
 * published rsp_prod. The first ring_run() scans the ring, since a request may have been queued before the port was bound.
 * `limits` is copied; `pool` must outlive the ring and its orphans, `table` the ring until ring_detach(). 0 or negative
 * errno with words in `why`; -EPROTO: the published indices cannot be; -ESTALE: the table is not about this ring. */
int ring_attach(const struct ring_params *params, const struct blkif_limits *limits, struct pool *pool,
		struct inflight_table *table, const struct ring_ops *ops, void *ctx, struct ring **out, char *why,
		size_t why_size);

/* Unmaps and unbinds at once; nothing is written to the guest any more. Returns whether requests are still in
 * flight: these orphans keep the structure alive, ring_complete() only returns their buffers and frees it
 * with the last one, and nothing else may be called. Otherwise `ring` is gone. A ring that has taken its
 * place should be run after an orphan's end, for it may wait for that room. `go_on`: the guest still waits for what is
 * unanswered, and another daemon will go on with the table; otherwise that is idle from now on. NULL is allowed. */
bool ring_detach(struct ring *ring, bool go_on);

/* Readable when the guest kicked. Stays the ring's. */
int ring_fd(const struct ring *ring);

/* Takes the pending port, if any; never blocks. Then call ring_run(), which unmasks it once it has seen
 * everything: a guest that kicks while its ring may not be consumed is not listened to. */
void ring_event(struct ring *ring);

/* Publishes what is complete, as ring_push() does, then consumes all it can: copies slots, validates, gets
 * buffers, copies the data of all writes in one batch, submits in ring order, answers bad requests with an
 * error. Stops when !ready, when the pool is empty, after as many requests as the ring has slots, or when the
 * ring is empty and the guest has been asked for an event. Returns whether anything was consumed: if so, call
 * it again before sleeping, but not without end (a guest may be faster than the bound). After false, wait for
 * an event, for a ring_complete(), or for ready(). */
bool ring_run(struct ring *ring);

/* Queues the answer of a submitted request (rc 0 or negative errno, which becomes BLKIF_RSP_ERROR; after -ECANCELED the
 * guest, which is stale, gets no answer, and the ring does not go on); the request and its data are the ring's again. ring_push() copies the data of all completed reads in one batch,
 * returns the buffers, publishes the responses and notifies the guest at most once; run the ring after it. */
void ring_complete(struct ring *ring, struct request *req, int rc);
struct ring *ring_of(const struct request *req); /* that submitted it; detached or not */
void ring_push(struct ring *ring);

/* The hand-over (docs/HANDOVER.md, R2 and R3). ring_hold() notes req_prod: nothing beyond that mark is consumed
 * until ring_unhold(); holding again changes nothing. ring_hold_at(): at a mark that was noted by an earlier
 * daemon; one that cannot be becomes the point of attachment, so that whatever is in the ring lies beyond it.
 * After ring_unhold() run the ring. */
void ring_hold(struct ring *ring);
void ring_hold_at(struct ring *ring, uint32_t mark);
void ring_hold_here(struct ring *ring); /* at what has been consumed: everything else lies beyond */
void ring_unhold(struct ring *ring);
uint32_t ring_mark(const struct ring *ring);
/* Held, everything up to the mark is consumed and its answers are published, and nothing lies beyond. */
bool ring_quiet(const struct ring *ring);

/* Consumed and not yet published as answered; for a detached ring it counts the orphans. */
unsigned int ring_in_flight(const struct ring *ring);

/* When the ring has to be run again though nothing happens (CLOCK_MONOTONIC, ms); UINT64_MAX: never. */
uint64_t ring_deadline(const struct ring *ring);

/* The next request found no room for its data when the ring was run last. */
bool ring_short(const struct ring *ring);

/* Something that an earlier daemon left is still to be submitted. */
bool ring_goes_on(const struct ring *ring);

/* Of those that an earlier daemon left unanswered: still so. (Some may not be in flight yet.) */
unsigned int ring_left(const struct ring *ring);

void ring_counters(const struct ring *ring, struct ring_counters *out);

#endif
