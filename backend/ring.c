/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.c: one queue of a guest's disk: from ring slots to requests, and back to responses
 *
 * A wake-up is one or more rounds (ring_run). A round works on the slots between req_cons and the req_prod
 * read at its start, in phases, so that every kind of grant copy is one batch for the whole round:
 *
 *   take      copy each slot into the table, validate it, get a buffer             [take_slot]
 *   indirect  copy all indirect pages, validate their segments                     [fetch_indirect]
 *   data      copy the data of all writes                                          [fetch_data]
 *   submit    in ring order: hand over to the owner, or answer with an error       [submit_taken]
 *
 *   FREE -> TAKEN [take_slot] -> submitted [submit_one] -> done [ring_complete] -> FREE [ring_push]
 *            |    ^                                      |-> FREE [ring_complete after ring_detach: an orphan]
 *            |    |                                      \-> FREE, not answered [ring_complete: its guest is stale]
 *            |    \- left by an earlier daemon [ring_attach]; TAKEN until the owner is ready
 *            |-> done [submit_one: a bad request]
 *            \-> FREE [submit_taken: the owner is not ready; the slot stays and is read again later]
 *
 * Invariants
 *  1. A slot is read from the shared page once for each time that it is taken; only the copy is looked at
 *     (P4).
 *  2. req_cons passes a slot only in the submit phase, in order. What is not submitted was never consumed.
 *  3. The entries that are not FREE are req_cons - rsp_prod_pvt of a round's end; by the check in
 *     published() that is at most the number of slots, so a FREE entry always exists and nothing is allocated
 *     after ring_attach(). When one was not answered, nothing is consumed any more.
 *  4. A response goes to slot rsp_prod_pvt, which lies before req_cons: it never overwrites an unconsumed
 *     request.
 *  5. The guest's id is echoed and never used as a key; requests are known by their place in the table, which is what is
 *     called a tag here. (The owner's, in struct request, are unique over all queues.)
 *  6. The port stays masked from ring_event() until a round has ended with req_event armed, so a guest
 *     whose ring may not be consumed cannot wake us, and no event is lost (one that comes while masked is
 *     delivered on unmasking).
 *  7. While the ring is held, req_cons does not pass the mark. What lies beyond it is reported once, and the port
 *     stays masked then: there is nothing more to learn from the guest.
 *  8. Requests that an earlier daemon left are submitted in the order of the ring, before anything is consumed. So of
 *     two that overlap the later one is executed last, as if they had been consumed just now.
 *  9. A barrier is the last one of a round.
 *  10. A guest that only notifies (H8) is heard every RING_DEAF_MS: the port stays masked meanwhile, and a request that comes is consumed
 *     when they are over [unmask_in_time].
 *
 * A bad request gets an error, indices that cannot be cost the guest its ring (ops->broken): no more (P4).
 *
 * Crash argument (P6): docs/RESTART.md.  What a successor needs to answer the requests that a killed daemon had consumed is
 * the copy of the slot and the indices, because answers come in any order and overwrite slots of requests that are still
 * unanswered.  It is in the table (inflight.h), which outlives the process.
 */
#include "backend/ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xenevtchn.h>

#include "backend/grant.h"
#include "backend/inflight.h"
#include "backend/log.h"

#define RING_SLOTS_MAX REQUESTS_MAX
#define RING_LOG_PAUSE_MS 1000u
#define RING_EMPTY_EVENTS 64u	/* so many in a row, which a frontend that works does not come near */
#define RING_DEAF_MS 5u

struct guest_request {
	struct request req;		/* first: what the owner sees */
	struct ring *ring;
	struct blkif_op op;
	int16_t status;			/* BLKIF_RSP_* */
	bool needs_indirect;
	bool failed;			/* a grant copy of this request failed */
	bool left;			/* an earlier daemon had consumed it */
};
static_assert(offsetof(struct guest_request, req) == 0, "a request is the start of its guest_request");

struct ring {
	blkif_back_ring_t back;		/* back.sring is NULL once detached */
	struct ring_params params;
	struct blkif_limits limits;
	struct pool *pool;
	const struct ring_ops *ops;
	void *ctx;
	struct grant *grant;
	xenevtchn_handle *evtchn;
	int port;
	bool masked, broken, running;
	bool no_room;			/* for the data of the next request */
	bool silent;			/* something is not answered, since its guest is stale */
	bool held, told;		/* told: of the present hold, that something lies beyond the mark */
	RING_IDX mark;
	unsigned int empty_events;	/* in a row, that brought no request */
	uint64_t deaf_until_ms;		/* 0: events are heard */
	uint64_t logged_ms;		/* when a bad request was logged last */
	unsigned int not_logged;	/* bad requests since */
	struct ring_counters counters;
	struct inflight_table *inflight; /* its entries by tag; not touched any more once detached */
	struct guest_request *table;	/* [RING_SIZE], by tag */
	unsigned int free_count, taken_count, done_count;
	unsigned int left_next, left_count; /* of `left`: submitted, and all; 0 once they are submitted */
	unsigned int left_unanswered;
	uint16_t free[RING_SLOTS_MAX];	/* tags: a stack */
	uint16_t taken[RING_SLOTS_MAX];	/* tags: this round's, in ring order */
	uint16_t done[RING_SLOTS_MAX];	/* tags: to be answered by ring_push() */
	uint16_t left[RING_SLOTS_MAX];	/* tags: what an earlier daemon left, in ring order */
};

static int __attribute__((format(printf, 4, 5)))
refuse(int rc, char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return rc;
}

static struct guest_request *guest(struct request *req)
{
	return (struct guest_request *)req;
}

static uint16_t tag_of(const struct ring *ring, const struct guest_request *g)
{
	return (uint16_t)(g - ring->table);
}

struct ring *ring_of(const struct request *req)
{
	return ((const struct guest_request *)req)->ring;
}

static unsigned int slots(const struct ring *ring)
{
	return RING_SIZE(&ring->back);
}

/* Our part of an entry, and the buffer. */
static void entry_put(struct ring *ring, uint16_t tag)
{
	struct guest_request *g = &ring->table[tag];

	pool_put(ring->pool, g->req.data);
	g->req.data = NULL;
	ring->free[ring->free_count++] = tag;
}

static void entry_free(struct ring *ring, uint16_t tag)
{
	entry_put(ring, tag);
	inflight_set_state(&ring->inflight->entry[tag], INFLIGHT_FREE);
}

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void log_bad(struct ring *ring, const char *why)
{
	uint64_t now_ms = clock_ms();

	if (ring->logged_ms && now_ms - ring->logged_ms < RING_LOG_PAUSE_MS) {
		ring->not_logged++;
		return;
	}
	log_warn(NULL, "domain %u, port %u: request refused: %s (%u others not logged)", ring->params.domid,
		 ring->params.port, why, ring->not_logged);
	ring->logged_ms = now_ms;
	ring->not_logged = 0;
}

/* Attach and detach. */

static int map_ring(struct ring *ring, RING_IDX *req_prod, char *why, size_t why_size)
{
	unsigned int pages = 1u << ring->params.order;
	blkif_sring_t *sring;
	RING_IDX rsp_prod;
	int rc;

	sring = grant_map(ring->grant, ring->params.ref, pages);
	if (!sring) {
		rc = errno ? -errno : -EIO;
		return refuse(rc, why, why_size, "cannot map the %u ring page(s) of domain %u: %s", pages,
			      ring->params.domid, strerror(-rc));
	}
	rsp_prod = __atomic_load_n(&sring->rsp_prod, __ATOMIC_ACQUIRE);
	*req_prod = __atomic_load_n(&sring->req_prod, __ATOMIC_ACQUIRE);
	BACK_RING_ATTACH(&ring->back, sring, rsp_prod, (size_t)pages * GRANT_PAGE);
	assert(slots(ring) == RING_SLOTS(ring->params.order) && slots(ring) <= RING_SLOTS_MAX);
	if (RING_REQUEST_PROD_OVERFLOW(&ring->back, *req_prod))
		return refuse(-EPROTO, why, why_size, "domain %u: %u requests in a ring of %u slots",
			      ring->params.domid, *req_prod - rsp_prod, slots(ring));
	return 0;
}

static int bind_port(struct ring *ring, char *why, size_t why_size)
{
	int flags, rc;

	ring->evtchn = xenevtchn_open(log_toollog(), 0);
	if (!ring->evtchn) {
		rc = errno ? -errno : -EIO;
		return refuse(rc, why, why_size, "cannot open the event channel device: %s", strerror(-rc));
	}
	ring->port = xenevtchn_bind_interdomain(ring->evtchn, ring->params.domid, ring->params.port);
	if (ring->port < 0) {
		rc = errno ? -errno : -EIO;
		return refuse(rc, why, why_size, "cannot bind event channel %u of domain %u: %s",
			      ring->params.port, ring->params.domid, strerror(-rc));
	}
	/* A spurious wake-up must not block the owner thread in xenevtchn_pending(). */
	flags = fcntl(xenevtchn_fd(ring->evtchn), F_GETFL);
	if (flags < 0 || fcntl(xenevtchn_fd(ring->evtchn), F_SETFL, flags | O_NONBLOCK)) {
		rc = -errno;
		return refuse(rc, why, why_size, "cannot make the event channel non-blocking: %s",
			      strerror(-rc));
	}
	return 0;
}

static int make_table(struct ring *ring, char *why, size_t why_size)
{
	unsigned int i;

	ring->table = calloc(slots(ring), sizeof(ring->table[0]));
	if (!ring->table)
		return refuse(-ENOMEM, why, why_size, "no memory for a ring of %u slots", slots(ring));
	for (i = 0; i < slots(ring); i++)
		ring->table[i].ring = ring;
	for (i = slots(ring); i; i--)
		if (ring->inflight->entry[i - 1].state == INFLIGHT_FREE)
			ring->free[ring->free_count++] = (uint16_t)(i - 1);
	return 0;
}

/* Where an earlier daemon stopped. */
static int recover(struct ring *ring, RING_IDX req_prod, char *why, size_t why_size)
{
	struct inflight_left left;
	int rc = inflight_recover(ring->inflight, &ring->params, ring->back.rsp_prod_pvt, req_prod, &left, why, why_size);

	if (rc)
		return rc;
	if (left.new_ring)
		log_notice(NULL, "domain %u: the frontend has made a new ring: nobody waits for what was in the old one",
			   ring->params.domid);
	ring->back.req_cons = (RING_IDX)left.req_cons;
	ring->left_count = ring->left_unanswered = left.count;
	memcpy(ring->left, left.tag, left.count * sizeof(left.tag[0]));
	return 0;
}

/* Gives up what belongs to the guest. */
static void ring_unmap(struct ring *ring)
{
	if (ring->evtchn) {
		if (ring->port >= 0)
			xenevtchn_unbind(ring->evtchn, (evtchn_port_t)ring->port);
		xenevtchn_close(ring->evtchn);
		ring->evtchn = NULL;
	}
	if (ring->grant) {
		grant_unmap(ring->grant, ring->back.sring, 1u << ring->params.order);
		ring->back.sring = NULL;
		grant_close(ring->grant);
		ring->grant = NULL;
	}
}

static void ring_free(struct ring *ring)
{
	ring_unmap(ring);
	free(ring->table);
	free(ring);
}

void ring_grow(struct ring *ring, uint64_t sectors)
{
	ring->limits.sectors = sectors;
}

void ring_offer_secure(struct ring *ring)
{
	ring->limits.discard_secure = true;
}

int ring_attach(const struct ring_params *params, const struct blkif_limits *limits, struct pool *pool,
		struct inflight_table *table, const struct ring_ops *ops, void *ctx, struct ring **out, char *why,
		size_t why_size)
{
	struct ring *ring;
	RING_IDX req_prod = 0;
	int rc;

	assert(params->abi <= SLOT_ABI_MAX);
	if (params->order > RING_ORDER_MAX)
		return refuse(-EINVAL, why, why_size, "ring-page-order %u is more than %u", params->order,
			      RING_ORDER_MAX);
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return refuse(-ENOMEM, why, why_size, "no memory for a ring");
	ring->params = *params;
	ring->limits = *limits;
	ring->pool = pool;
	ring->inflight = table;
	ring->ops = ops;
	ring->ctx = ctx;
	ring->port = -1;
	rc = grant_open(params->domid, &ring->grant);
	if (rc) {
		refuse(rc, why, why_size, "cannot open the grant device: %s", strerror(-rc));
		goto out;
	}
	rc = map_ring(ring, &req_prod, why, why_size);
	if (!rc)
		rc = bind_port(ring, why, why_size);
	if (!rc)
		rc = recover(ring, req_prod, why, why_size);
	if (!rc)
		rc = make_table(ring, why, why_size);
	/* Somebody served this ring before and may have died between publishing an answer and saying so. */
	if (!rc && ring->back.rsp_prod_pvt)
		xenevtchn_notify(ring->evtchn, (evtchn_port_t)ring->port);
out:
	if (rc)
		ring_free(ring);
	else
		*out = ring;
	return rc;
}

bool ring_detach(struct ring *ring, bool go_on)
{
	bool orphans;

	if (!ring)
		return false;
	assert(!ring->running);
	if (!go_on || (ring->free_count == slots(ring) && !ring->silent))
		inflight_idle(ring->inflight);
	ring->inflight = NULL;
	while (ring->done_count)
		entry_put(ring, ring->done[--ring->done_count]);
	while (ring->left_next < ring->left_count)
		entry_put(ring, ring->left[--ring->left_count]);
	ring_unmap(ring);
	orphans = ring_in_flight(ring);
	if (!orphans)
		ring_free(ring);
	return orphans;
}

/* Events. */

int ring_fd(const struct ring *ring)
{
	return xenevtchn_fd(ring->evtchn);
}

void ring_event(struct ring *ring)
{
	if (xenevtchn_pending(ring->evtchn) == ring->port)
		ring->masked = true;
}

static void unmask(struct ring *ring)
{
	if (!ring->masked)
		return;
	ring->masked = false;
	if (xenevtchn_unmask(ring->evtchn, (evtchn_port_t)ring->port))
		log_error(NULL, "domain %u: cannot unmask port %d: %s", ring->params.domid, ring->port,
			  strerror(errno));
}

static void unmask_in_time(struct ring *ring, bool empty)
{
	/* Also without an event: it may be on its way, and its request was found when another queue's came. */
	if (!empty)
		ring->deaf_until_ms = ring->empty_events = 0;
	if (!ring->masked)
		return;
	if (empty && !ring->deaf_until_ms && ++ring->empty_events > RING_EMPTY_EVENTS)
		ring->deaf_until_ms = clock_ms() + RING_DEAF_MS;
	if (!ring->deaf_until_ms)
		unmask(ring);
}

/* Also while nothing may be consumed: a deadline that is over is none. The next empty event is one too many again. */
static void hear_again(struct ring *ring)
{
	if (!ring->deaf_until_ms || clock_ms() < ring->deaf_until_ms)
		return;
	ring->deaf_until_ms = 0;
	ring->empty_events = RING_EMPTY_EVENTS - 1;
}

uint64_t ring_deadline(const struct ring *ring)
{
	return ring->deaf_until_ms ? ring->deaf_until_ms : UINT64_MAX;
}

/* The phases of a round. */

/* Reads req_prod, once. False: it cannot be: more than a ring full, or back over requests already consumed.
 * The second condition implies the first, which is spelled as other backends do. */
static bool published(const struct ring *ring, RING_IDX *prod)
{
	const blkif_back_ring_t *back = &ring->back;
	unsigned int in_flight = back->req_cons - back->rsp_prod_pvt;

	*prod = __atomic_load_n(&back->sring->req_prod, __ATOMIC_ACQUIRE);
	return !RING_REQUEST_PROD_OVERFLOW(back, *prod) && *prod - back->req_cons <= slots(ring) - in_flight;
}

/* Hold. */

void ring_hold_at(struct ring *ring, uint32_t mark)
{
	RING_IDX prod;

	if (ring->held || !published(ring, &prod))
		return; /* the next ring_run() finds it broken */
	ring->held = true;
	ring->told = false;
	ring->mark = mark - ring->back.req_cons <= prod - ring->back.req_cons ? mark : ring->back.req_cons;
}

void ring_hold(struct ring *ring)
{
	RING_IDX prod;

	if (!ring->broken && published(ring, &prod))
		ring_hold_at(ring, prod);
}

void ring_hold_here(struct ring *ring)
{
	ring_hold_at(ring, ring->back.req_cons);
}

void ring_unhold(struct ring *ring)
{
	ring->held = false;
}

uint32_t ring_mark(const struct ring *ring)
{
	return ring->mark;
}

bool ring_quiet(const struct ring *ring)
{
	RING_IDX prod;

	return ring->held && published(ring, &prod) && prod == ring->mark && ring->back.req_cons == ring->mark &&
	       ring->free_count == slots(ring) && !ring->silent;
}

static void set_verdict(struct ring *ring, struct guest_request *g, enum blkif_verdict verdict,
			const char *why)
{
	g->needs_indirect = verdict == BLKIF_NEEDS_INDIRECT;
	g->status = BLKIF_RSP_OKAY;
	if (verdict == BLKIF_OK || verdict == BLKIF_NEEDS_INDIRECT)
		return;
	g->status = verdict == BLKIF_UNSUPPORTED ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
	log_bad(ring, why);
}

/* Bytes to reserve: for an indirect request the most that its segments can hold, so that the page with the
 * segments can be copied into the buffer itself and need not be copied again if there is no room yet. */
static size_t buffer_bytes(const struct guest_request *g)
{
	if (g->op.op == REQUEST_DISCARD)
		return 0;
	if (g->needs_indirect)
		return (size_t)g->op.indirect_segments * GRANT_PAGE;
	return g->status == BLKIF_RSP_OKAY ? (size_t)g->op.sectors * SECTOR_SIZE : 0;
}

/* Validates the copy of its slot and gets a buffer: it is one of this round's then. False: no room for its data. */
static bool take(struct ring *ring, uint16_t tag)
{
	struct guest_request *g = &ring->table[tag];
	char why[96] = "";
	size_t bytes;

	g->failed = false;
	g->req = (struct request){ 0 };
	set_verdict(ring, g, blkif_parse(&ring->inflight->entry[tag].slot, &ring->limits, &g->op, why, sizeof(why)), why);
	bytes = buffer_bytes(g);
	if (bytes) {
		g->req.data = pool_get(ring->pool, bytes);
		ring->no_room = !g->req.data;
		if (!g->req.data)
			return false;
	}
	ring->taken[ring->taken_count++] = tag;
	return true;
}

/* False: no room for its data; the slot stays where it is. */
static bool take_slot(struct ring *ring, RING_IDX index)
{
	struct inflight_entry *entry;
	uint16_t tag;

	assert(ring->free_count);	/* invariant 3 */
	tag = ring->free[--ring->free_count];
	entry = &ring->inflight->entry[tag];
	slot_read(ring->params.abi, &ring->back, index, &entry->slot);
	entry->request = ring->inflight->req_cons + (RING_IDX)(index - ring->back.req_cons);
	inflight_set_state(entry, INFLIGHT_TAKEN);
	ring->table[tag].left = false;
	if (take(ring, tag))
		return true;
	entry_free(ring, tag);
	return false;
}

static void fail_copy(struct ring *ring, struct guest_request *g, const char *what)
{
	g->status = BLKIF_RSP_ERROR;
	log_bad(ring, what);
}

static void fetch_indirect(struct ring *ring)
{
	enum blkif_verdict verdict;
	char why[96] = "";
	unsigned int i;

	for (i = 0; i < ring->taken_count; i++) {
		struct guest_request *g = &ring->table[ring->taken[i]];

		if (g->needs_indirect)
			grant_from_guest(ring->grant, g->op.indirect_gref, 0, g->req.data,
					 g->op.indirect_segments * sizeof(struct blkif_request_segment),
					 &g->failed);
	}
	grant_flush(ring->grant);
	for (i = 0; i < ring->taken_count; i++) {
		struct guest_request *g = &ring->table[ring->taken[i]];

		if (!g->needs_indirect)
			continue;
		if (g->failed) {
			fail_copy(ring, g, "its indirect page cannot be copied");
			continue;
		}
		verdict = blkif_parse_indirect((const void *)g->req.data, &ring->limits, &g->op, why,
					       sizeof(why));
		set_verdict(ring, g, verdict, why);
	}
}

typedef void grant_copy_fn(struct grant *grant, uint32_t ref, uint32_t offset, void *local, uint32_t len,
			   bool *failed);

/* The segments of a request, in order, next to each other in its buffer. */
static void queue_copy(struct ring *ring, struct guest_request *g, grant_copy_fn *copy)
{
	uint8_t *at = g->req.data;
	unsigned int i;

	for (i = 0; i < g->op.segments; i++) {
		const struct blkif_segment *seg = &g->op.segment[i];
		uint32_t len = (seg->last_sect - seg->first_sect + 1u) * SECTOR_SIZE;

		copy(ring->grant, seg->gref, seg->first_sect * SECTOR_SIZE, at, len, &g->failed);
		at += len;
	}
}

static bool carries_write(const struct guest_request *g)
{
	return g->status == BLKIF_RSP_OKAY && g->op.op == REQUEST_WRITE;
}

static void fetch_data(struct ring *ring)
{
	unsigned int i;

	for (i = 0; i < ring->taken_count; i++) {
		struct guest_request *g = &ring->table[ring->taken[i]];

		if (carries_write(g))
			queue_copy(ring, g, grant_from_guest);
	}
	grant_flush(ring->grant);
	for (i = 0; i < ring->taken_count; i++) {
		struct guest_request *g = &ring->table[ring->taken[i]];

		if (carries_write(g) && g->failed)
			fail_copy(ring, g, "its data cannot be copied");
	}
}

/* What the owner is asked about, and gets. Nothing is executed for what is answered with an error. */
static const struct request *prepare(struct guest_request *g)
{
	g->req.op = g->op.op;
	g->req.preflush = g->op.preflush;
	if (g->op.secure) {
		g->req.secure = true;
		g->req.again = g->left;
	}
	g->req.barrier = g->op.barrier && g->status == BLKIF_RSP_OKAY;
	g->req.sector = g->op.sector;
	g->req.sectors = g->op.sectors;
	return &g->req;
}

static void submit_one(struct ring *ring, uint16_t tag)
{
	struct guest_request *g = &ring->table[tag];

	if (g->left) {
		ring->left_next++;
	} else {
		ring->back.req_cons++;
		inflight_consume(ring->inflight);
		ring->counters.consumed++;
	}
	if (g->status != BLKIF_RSP_OKAY) {
		ring->done[ring->done_count++] = tag;
		return;
	}
	ring->ops->submit(ring->ctx, &g->req);
}

/* It goes back to where it was: into the ring, or to what an earlier daemon left. */
static void give_back(struct ring *ring, uint16_t tag)
{
	if (!ring->table[tag].left) {
		entry_free(ring, tag);
		return;
	}
	pool_put(ring->pool, ring->table[tag].req.data);
	ring->table[tag].req.data = NULL;
}

/* Until the owner is not ready any more. Returns how many were submitted. */
static unsigned int submit_taken(struct ring *ring)
{
	unsigned int i, n;

	for (n = 0; n < ring->taken_count; n++) {
		if (!ring->ops->ready(ring->ctx, prepare(&ring->table[ring->taken[n]])))
			break;
		submit_one(ring, ring->taken[n]);
	}
	for (i = ring->taken_count; i > n; i--)
		give_back(ring, ring->taken[i - 1]);
	ring->taken_count = 0;
	return n;
}

static unsigned int execute_taken(struct ring *ring)
{
	if (!ring->taken_count)
		return 0;
	fetch_indirect(ring);
	fetch_data(ring);
	return submit_taken(ring);
}

/* What was taken last is not executed beside anything: what follows it need not be looked at yet. */
static bool took_barrier(const struct ring *ring)
{
	return ring->taken_count && ring->table[ring->taken[ring->taken_count - 1]].op.barrier;
}

static unsigned int run_round(struct ring *ring, RING_IDX end)
{
	RING_IDX index = ring->back.req_cons;

	while (index != end && !took_barrier(ring) && ring->ops->ready(ring->ctx, NULL) && take_slot(ring, index))
		index++;
	return execute_taken(ring);
}

/* What an earlier daemon left. */
static unsigned int run_left(struct ring *ring)
{
	unsigned int i, n;

	for (i = ring->left_next; i < ring->left_count && !took_barrier(ring) && ring->ops->ready(ring->ctx, NULL); i++) {
		ring->table[ring->left[i]].left = true;
		if (!take(ring, ring->left[i]))
			break;
	}
	n = execute_taken(ring);
	if (ring->left_next == ring->left_count)
		ring->left_next = ring->left_count = 0;
	return n;
}

/* How far a round may go. */
static RING_IDX round_end(const struct ring *ring, RING_IDX prod, unsigned int most)
{
	RING_IDX end = ring->held ? ring->mark : prod;

	return ring->back.req_cons + (end - ring->back.req_cons < most ? end - ring->back.req_cons : most);
}

/* What the guest has put into the ring, `most` requests at most. False: its indices cannot be. */
static bool run_new(struct ring *ring, unsigned int most, unsigned int *consumed, bool *beyond)
{
	RING_IDX prod, end;
	int more = 0;

	do {
		if (!published(ring, &prod))
			return false;
		*beyond = ring->held && prod != ring->mark;
		end = round_end(ring, prod, most - *consumed);
		*consumed += run_round(ring, end);
		if (ring->back.req_cons != end || (*beyond && end == ring->mark))
			break;
		RING_FINAL_CHECK_FOR_REQUESTS(&ring->back, more);
		if (!more)
			unmask_in_time(ring, !*consumed);
	} while (more && *consumed < most);
	return true;
}

bool ring_run(struct ring *ring)
{
	bool sane = true, beyond = false;
	unsigned int consumed = 0;

	assert(!ring->running);
	hear_again(ring);
	if (ring->broken)
		return false;
	ring_push(ring);	/* returns buffers that the next requests may be waiting for */
	if (ring->silent)
		return false;
	ring->running = true;
	ring->no_room = false;
	if (ring->left_count)
		consumed = run_left(ring);
	if (!ring->left_count)
		sane = run_new(ring, slots(ring), &consumed, &beyond);
	ring_push(ring);	/* the errors */
	ring->running = false;
	if (!sane) {
		ring->broken = true;
		ring->ops->broken(ring->ctx, "the guest published a request index that cannot be");
	} else if (beyond && !ring->told) {
		ring->told = true;
		ring->ops->resumed(ring->ctx);
	}
	return consumed > 0;
}

/* Answers. */

void ring_complete(struct ring *ring, struct request *req, int rc)
{
	struct guest_request *g = guest(req);

	uint16_t tag = tag_of(ring, g);

	assert(g->ring == ring && tag < slots(ring));
	if (!ring->back.sring) {
		entry_put(ring, tag);
		if (ring->free_count == slots(ring))
			ring_free(ring);
		return;
	}
	if (rc == -ECANCELED) {
		ring->silent = true;
		entry_put(ring, tag);
		return;
	}
	assert(ring->inflight->entry[tag].state == INFLIGHT_TAKEN);
	g->status = rc < 0 ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY;
	ring->done[ring->done_count++] = tag;
}

static void copy_reads(struct ring *ring)
{
	unsigned int i;

	for (i = 0; i < ring->done_count; i++) {
		struct guest_request *g = &ring->table[ring->done[i]];

		if (g->op.op == REQUEST_READ && g->status == BLKIF_RSP_OKAY)
			queue_copy(ring, g, grant_to_guest);
	}
	grant_flush(ring->grant);
	for (i = 0; i < ring->done_count; i++) {
		struct guest_request *g = &ring->table[ring->done[i]];

		if (g->failed && g->status == BLKIF_RSP_OKAY)
			fail_copy(ring, g, "the data read cannot be copied");
	}
}

static void answer(struct ring *ring, uint16_t tag)
{
	const struct guest_request *g = &ring->table[tag];
	RING_IDX index = ring->back.rsp_prod_pvt++;

	ring->inflight->entry[tag].response = index;
	inflight_set_state(&ring->inflight->entry[tag], INFLIGHT_ANSWERING);
	slot_answer(ring->params.abi, &ring->back, index, g->op.id, g->op.operation, g->status);
	ring->counters.answered++;
	ring->counters.again += g->left;
	ring->left_unanswered -= g->left;
	if (g->status != BLKIF_RSP_OKAY)
		ring->counters.errors++;
}

void ring_push(struct ring *ring)
{
	unsigned int i;
	int notify;

	if (!ring->done_count)
		return;
	copy_reads(ring);
	for (i = 0; i < ring->done_count; i++)
		answer(ring, ring->done[i]);
	inflight_fence();
	RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&ring->back, notify);
	inflight_fence();
	for (i = 0; i < ring->done_count; i++)
		entry_free(ring, ring->done[i]);
	ring->done_count = 0;
	if (!notify)
		return;
	ring->counters.notifications++;
	if (xenevtchn_notify(ring->evtchn, (evtchn_port_t)ring->port))
		log_error(NULL, "domain %u: cannot notify port %d: %s", ring->params.domid, ring->port,
			  strerror(errno));
}

unsigned int ring_in_flight(const struct ring *ring)
{
	return slots(ring) - ring->free_count - (ring->left_count - ring->left_next);
}

bool ring_short(const struct ring *ring)
{
	return ring->no_room;
}

bool ring_goes_on(const struct ring *ring)
{
	return ring->left_count;
}

unsigned int ring_left(const struct ring *ring)
{
	return ring->left_unanswered;
}

void ring_counters(const struct ring *ring, struct ring_counters *out)
{
	struct grant_counters copies = { 0, 0 };

	if (ring->grant)
		grant_counters(ring->grant, &copies);
	*out = ring->counters;
	out->grant_copies = copies.copies;
	out->copy_batches = copies.batches;
}
