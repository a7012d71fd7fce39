/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner_queue.c: the queues of a guest's disk: a ring, a watch on its event channel and a table of requests in flight for each; which one is
 * run next; hold and quiet of all together.
 *
 * The frontend makes all its rings at once, and they are attached, detached and broken together.  What they have in common is what bounds
 * the disk, whatever the number of queues (H25): the pool of buffers and the tags (gate.h).
 *
 * Invariants
 *  1. What is done is published on all rings before anything more is begun [serve_all]. So of two requests that overlap the earlier one is answered
 *     no later than the later one, in whichever queues they are, and a barrier begins when all that was before it is answered
 *     (docs/RESTART.md).
 *  2. What an earlier daemon left in any queue is begun before anything new is consumed in any [queue_ready].
 *  3. Each queue in turn is the first to be run; one whose next request finds no room gets the room that comes [gate_short]. So none
 *     can keep another one waiting.
 */
#include "backend/resource_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/log.h"

bool queues_attached(const struct resource *r)
{
	return r->queue[0].ring;
}

/* ---- what a ring asks of its owner ---- */

/* Another queue still has to begin what an earlier daemon left in it. */
static bool others_go_on(const struct queue *q)
{
	const struct resource *r = q->resource;

	for (unsigned int i = 0; i < r->rings.count; i++)
		if (r->queue[i].ring && &r->queue[i] != q && ring_goes_on(r->queue[i].ring))
			return true;
	return false;
}

/* Asked only when a request waits. */
static bool queue_ready(void *ctx, const struct request *next)
{
	struct queue *q = ctx;
	struct resource *r = q->resource;

	if (r->stopping || (!ring_goes_on(q->ring) && others_go_on(q)) || !gate_opens(&r->gate, q, next))
		return false;
	if (replicate_request(r->core, now(r)))
		return true;
	owner_note_first_request(r);
	return false;
}

static void queue_submit(void *ctx, struct request *req)
{
	struct queue *q = ctx;

	gate_enter(&q->resource->gate, req);
	statistics_submitted(q->resource->statistics, req);
	replicate_submit(q->resource->core, req, now(q->resource));
}

/* One hostile queue costs the guest its disk. */
static void queue_broken(void *ctx, const char *why)
{
	struct queue *q = ctx;
	struct resource *r = q->resource;
	char text[RESOURCE_TEXT];

	if (r->rings.count > 1)
		snprintf(text, sizeof(text), "%s (queue %u)", why, (unsigned int)(q - r->queue));
	else
		snprintf(text, sizeof(text), "%s", why);
	log_warn(r->name, "the guest's ring is not served any more: %s", text);
	owner_detach_rings(r);
	owner_post_broken(r, text);
}

static void queue_resumed(void *ctx)
{
	struct resource *r = ((struct queue *)ctx)->resource;

	if (r->resumed_told) /* by another queue */
		return;
	r->resumed_told = true;
	replicate_resumed(r->core, now(r));
}

static const struct ring_ops ring_ops = { queue_ready, queue_submit, queue_broken, queue_resumed };

/* ---- attach and detach ---- */

static void on_watch(struct loop_op *op, int result)
{
	struct watch *w = (struct watch *)op;
	struct queue *q = w->queue;

	if (q->watch != w) { /* the ring it watched is gone */
		free(w);
		return;
	}
	if (result == -ECANCELED || result < 0) {
		log_error(q->resource->name, "the event channel can no longer be watched: %s", strerror(-result));
		return;
	}
	ring_event(q->ring);
	q->resource->ring_work = true;
	loop_poll_in(q->resource->loop, &w->op, ring_fd(q->ring));
}

static void detach(struct queue *q, bool go_on)
{
	struct watch *w = q->watch;

	if (!q->ring)
		return;
	q->watch = NULL;
	if (w->op.busy)
		loop_cancel(q->resource->loop, &w->op);
	else
		free(w);
	ring_detach(q->ring, go_on); /* what is in flight finds its ring by itself [ring_of] */
	q->ring = NULL;
	gate_forget(&q->resource->gate, q);
}

void owner_detach_rings(struct resource *r)
{
	/* A guest that is left to a later daemon waits for what is unanswered; one whose device closes does not. */
	for (unsigned int i = 0; i < QUEUES_MAX; i++)
		detach(&r->queue[i], r->stopping);
	r->ring_work = false;
	r->left_requests = 0;
	statistics_close(r->statistics, r->rings.ring[0].domid, r->devid);
	r->statistics = NULL;
}

static int attach(struct queue *q, const struct ring_params *params, const struct blkif_limits *limits, char *why, size_t why_size)
{
	struct resource *r = q->resource;
	int rc;

	q->watch = calloc(1, sizeof(*q->watch));
	if (!q->watch)
		return -ENOMEM;
	rc = ring_attach(params, limits, r->guest_pool, q->inflight, &ring_ops, q, &q->ring, why, why_size);
	if (rc) {
		free(q->watch);
		q->watch = NULL;
		q->ring = NULL;
		return rc;
	}
	q->watch->op.fn = on_watch;
	q->watch->queue = q;
	loop_poll_in(r->loop, &q->watch->op, ring_fd(q->ring));
	return 0;
}

/* All, or none: then what an earlier daemon left stays in the tables, for the next try. */
int queues_attach(struct resource *r, const struct blkif_limits *limits, char *why, size_t why_size)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < r->rings.count; i++)
		rc = attach(&r->queue[i], &r->rings.ring[i], limits, why, why_size);
	for (unsigned int i = 0; rc && i < QUEUES_MAX; i++)
		detach(&r->queue[i], true);
	r->first_queue = 0;
	r->ring_work = !rc; /* a request may have been queued before the port was bound */
	return rc;
}

/* ---- the tables of requests in flight ---- */

/* Those of r->rings. */
int queues_open_tables(struct resource *r)
{
	for (unsigned int i = 0; i < r->rings.count; i++) {
		if (!r->queue[i].inflight)
			r->queue[i].inflight = inflight_open(r->minor, i, r->name, r->go_on);
		if (!r->queue[i].inflight)
			return -ENOMEM;
	}
	return 0;
}

static void close_table(struct queue *q)
{
	inflight_close(q->inflight);
	q->inflight = NULL;
}

void owner_close_inflight(struct resource *r)
{
	for (unsigned int i = 0; i < QUEUES_MAX; i++)
		close_table(&r->queue[i]);
}

void queues_forget_tables(struct resource *r, unsigned int from)
{
	for (unsigned int i = from; i < QUEUES_MAX; i++) {
		close_table(&r->queue[i]);
		inflight_forget(r->minor, i);
	}
}

/* ---- a turn ---- */

static void push_all(struct resource *r)
{
	for (unsigned int i = 0; i < r->rings.count && queues_attached(r); i++)
		ring_push(r->queue[i].ring);
}

/* Returns whether anything was consumed. */
static bool serve_all(struct resource *r)
{
	unsigned int first = r->first_queue, n = r->rings.count;
	bool consumed = false;

	for (unsigned int i = 0; i < n && queues_attached(r); i++) {
		struct queue *q = &r->queue[(first + i) % n];

		push_all(r);
		if (ring_run(q->ring)) {
			consumed = true;
			r->first_queue = (unsigned int)(q - r->queue + 1) % n;
		}
		if (!q->ring)
			break;
		gate_short(&r->gate, q, ring_short(q->ring));
		if (ring_short(q->ring))
			statistics_no_room(r->statistics);
	}
	return consumed && queues_attached(r);
}

uint64_t queues_deadline(const struct resource *r)
{
	uint64_t deadline = UINT64_MAX;

	for (unsigned int i = 0; i < r->rings.count && queues_attached(r); i++)
		if (ring_deadline(r->queue[i].ring) < deadline)
			deadline = ring_deadline(r->queue[i].ring);
	return deadline;
}

/* Bounded: a guest that keeps its rings full gets its next passes after everybody else's events. */
void queues_serve(struct resource *r)
{
	for (int pass = 0; pass < RING_PASSES && queues_attached(r) && r->ring_work; pass++)
		r->ring_work = serve_all(r);
	if (queues_attached(r))
		push_all(r);
}

/* ---- all together ---- */

void queues_grow(struct resource *r, uint64_t sectors)
{
	for (unsigned int i = 0; i < r->rings.count && queues_attached(r); i++)
		ring_grow(r->queue[i].ring, sectors);
}

void queues_offer_secure(struct resource *r)
{
	for (unsigned int i = 0; i < r->rings.count && queues_attached(r); i++)
		ring_offer_secure(r->queue[i].ring);
}

unsigned int queues_left(const struct resource *r)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < r->rings.count && queues_attached(r); i++)
		n += ring_left(r->queue[i].ring);
	return n;
}

unsigned int queues_in_flight(const struct resource *r)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < r->rings.count && queues_attached(r); i++)
		n += ring_in_flight(r->queue[i].ring);
	return n;
}

void queues_counters(const struct resource *r, struct ring_counters *out)
{
	struct ring_counters c;

	memset(out, 0, sizeof(*out));
	for (unsigned int i = 0; i < r->rings.count && queues_attached(r); i++) {
		ring_counters(r->queue[i].ring, &c);
		out->consumed += c.consumed;
		out->answered += c.answered;
		out->errors += c.errors;
		out->notifications += c.notifications;
		out->grant_copies += c.grant_copies;
		out->copy_batches += c.copy_batches;
		out->again += c.again;
	}
}

/* ---- hold (docs/HANDOVER.md, R2) ---- */

static uint32_t *mark_of(struct resource *r, unsigned int queue)
{
	return queue ? &r->record.more_marks[queue - 1] : &r->record.mark;
}

static void note_marks(struct resource *r)
{
	for (unsigned int i = 0; i < r->rings.count; i++)
		*mark_of(r, i) = ring_mark(r->queue[i].ring);
}

void queues_hold(struct resource *r)
{
	for (unsigned int i = 0; i < r->rings.count; i++)
		ring_hold(r->queue[i].ring);
	note_marks(r);
}

/* Rings that an earlier daemon held go on at their marks. Any others that are attached while held are those of a guest
 * that runs: whatever it has put into them is a sign of life. */
void queues_hold_attached(struct resource *r, bool at_marks)
{
	for (unsigned int i = 0; i < r->rings.count; i++)
		if (at_marks)
			ring_hold_at(r->queue[i].ring, *mark_of(r, i));
		else
			ring_hold_here(r->queue[i].ring);
	note_marks(r);
}

void queues_unhold(struct resource *r)
{
	for (unsigned int i = 0; i < r->rings.count && queues_attached(r); i++)
		ring_unhold(r->queue[i].ring);
}

bool queues_quiet(const struct resource *r)
{
	for (unsigned int i = 0; i < r->rings.count; i++)
		if (!ring_quiet(r->queue[i].ring))
			return false;
	return true;
}
