/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two cores (backend/replicate.h) on a wire that loses nothing but a cut connection: what one asks for is done in the order in which it
 * was asked for, by run(). Disks have no content; a test decides what fails. The simulator (tests/sim) is for what may come in any order; here is
 * what a person would play through.
 */
#ifndef DRBDX_TESTS_CORE_FIXTURE_H
#define DRBDX_TESTS_CORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/actlog.h"
#include "backend/bitmap.h"
#include "backend/replicate.h"

#define SECTORS	 4096u
#define EVENTS	 4096u
#define REQUESTS 8u
#define PAGES	 64u
#define BLOCKS	 4096u

struct node {
	struct replicate *core;
	struct replicate_config cfg;
	struct superblock sb; /* durable */
	struct attachment kept;
	uint8_t log[ACTLOG_BLOCKS * ACTLOG_BLOCK];
	struct request guest[REQUESTS];
	bool busy[REQUESTS];	/* submitted, not answered */
	int answered[REQUESTS]; /* how it ended last */
	unsigned int handler[HANDLER_COUNT]; /* how often asked for */
	unsigned int resumed;		     /* how often it was told to look at the ring */
	int claimed, activated, commanded, sibling; /* the last answer; 1: none yet */
	char words[2 * REPLICATE_TEXT];	     /* of the last refusal or note */
	unsigned int at_disk[REQUESTS];	     /* how often the disk was asked to do it */
	unsigned int closed;		     /* the connection that it wants to be closed: nothing more is taken from it */
	bool disk_fails, disk_hangs;	     /* nobody hears of what hangs, but by disk_ends(), */
	int erase_rc;			     /* what becomes of the erasures of secure discards */
	unsigned int erased, discarded;	     /* sectors of secure ones; and of all */
	bool metadata_hang, log_hangs;	     /* and superblock_ends(): of metadata the superblock, and the rest */
	struct request *hanging[64];	     /* what does */
	unsigned int hanging_count;
	struct superblock hanging_sb;
	uint64_t volume;	     /* sectors, as measure() finds it */
	const char *cannot_grow;     /* or why not */
	uint8_t pages[PAGES][BITMAP_PAGE]; /* of the bitmap, as on disk */
	bool written[BLOCKS];	     /* blocks of 4 KiB to which the disk has written anything */
	int index;
};

struct event {
	enum { EVENT_NOTHING, EVENT_DISK, EVENT_SUPERBLOCK, EVENT_METADATA, EVENT_PACKET, EVENT_LOST } what;
	struct node *node;
	struct request *req;
	struct metadata_op *op;
	struct superblock sb;
	struct packet packet;
	uint8_t *payload;
	unsigned int connection; /* that it belongs to */
	char why[REPLICATE_TEXT];
};

static struct node nodes[2], *const alpha = &nodes[0], *const beta = &nodes[1];
static struct event events[EVENTS];
static unsigned int first_event, last_event, connection;
static bool linked;
static uint64_t now_ms, last_random;

static struct event *event_new(struct node *n, int what)
{
	struct event *e = &events[last_event++ % EVENTS];

	assert_true(last_event - first_event < EVENTS);
	*e = (struct event){ .what = what, .node = n, .connection = connection };
	return e;
}

static void op_disk(void *ctx, struct request *req)
{
	struct node *n = ctx;

	if (req >= n->guest && req < n->guest + REQUESTS)
		n->at_disk[req->tag]++;
	if (!n->disk_hangs) {
		event_new(ctx, EVENT_DISK)->req = req;
		return;
	}
	assert_true(n->hanging_count < 64);
	n->hanging[n->hanging_count++] = req;
}

/* Whatever the disk has of it, nobody hears of its end. */
static bool op_abandon(void *ctx, struct request *req)
{
	(void)ctx;
	for (unsigned int i = first_event; i != last_event; i++)
		if (events[i % EVENTS].what == EVENT_DISK && events[i % EVENTS].req == req)
			events[i % EVENTS].what = EVENT_NOTHING;
	return true;
}

static void op_send(void *ctx, const struct packet *p, struct request *req)
{
	struct event *e = event_new(&nodes[!((struct node *)ctx)->index], EVENT_PACKET);
	uint8_t bytes[WIRE_HEADER + WIRE_BODY_MAX];
	char why[WIRE_TEXT];

	wire_encode(p, WIRE_VERSION_MAX, 0, bytes);
	if (wire_decode(bytes, wire_length(bytes, WIRE_VERSION_MAX), 0, &e->packet, why, sizeof(why)))
		fail_msg("the partner would close the connection for this: %s", why);
	if (!p->payload)
		return;
	e->payload = malloc(p->payload);
	memcpy(e->payload, req->data, p->payload);
}

static void op_write_superblock(void *ctx, const struct superblock *sb)
{
	struct node *n = ctx;

	n->hanging_sb = *sb;
	if (!n->metadata_hang)
		event_new(ctx, EVENT_SUPERBLOCK)->sb = *sb;
}

static void op_metadata(void *ctx, struct metadata_op *op)
{
	if (!((struct node *)ctx)->log_hangs)
		event_new(ctx, EVENT_METADATA)->op = op;
}

static void op_complete(void *ctx, struct request *req, int rc)
{
	struct node *n = ctx;

	if (req->flags & REQUEST_FROM_PEER) {
		free(req->data);
		free(req);
		return;
	}
	assert_true(n->busy[req->tag]);
	n->busy[req->tag] = false;
	n->answered[req->tag] = rc;
}

static void op_disconnect(void *ctx, const char *why)
{
	snprintf(event_new(ctx, EVENT_LOST)->why, REPLICATE_TEXT, "%s", why);
	((struct node *)ctx)->closed = connection;
}

static void remember(struct node *n, const char *why)
{
	snprintf(n->words, sizeof(n->words), "%s", why);
}

static void op_claimed(void *ctx, int rc, const char *why)
{
	((struct node *)ctx)->claimed = rc;
	remember(ctx, why);
}

static void op_activated(void *ctx, int rc, const char *why)
{
	((struct node *)ctx)->activated = rc;
	remember(ctx, why);
}

static void op_commanded(void *ctx, int rc, const char *why)
{
	((struct node *)ctx)->commanded = rc;
	remember(ctx, why);
}

static void op_handler(void *ctx, enum handler handler)
{
	((struct node *)ctx)->handler[handler]++;
}

static void op_record(void *ctx, const struct attachment *a)
{
	((struct node *)ctx)->kept = *a;
}

static void op_nothing(void *ctx)
{
	(void)ctx;
}

static void op_resume(void *ctx)
{
	((struct node *)ctx)->resumed++;
}

static bool op_quiet(void *ctx)
{
	(void)ctx;
	return true;
}

static void op_look_suspended(void *ctx, uint64_t query, const uint8_t *uuid)
{
	(void)ctx, (void)query, (void)uuid;
}

static void op_sibling_ready(void *ctx, int rc)
{
	((struct node *)ctx)->sibling = rc;
}

static void op_words(void *ctx, const char *words)
{
	(void)ctx, (void)words;
}

static uint64_t op_random(void *ctx)
{
	(void)ctx;
	return 0x1000 + ++last_random;
}

static int op_measure(void *ctx, uint64_t *sectors, char *why, size_t why_size)
{
	const struct node *n = ctx;

	*sectors = n->volume;
	if (n->cannot_grow)
		snprintf(why, why_size, "%s", n->cannot_grow);
	return n->cannot_grow ? -EOPNOTSUPP : 0;
}

static const struct replicate_ops core_ops = {
	op_disk,      op_abandon, op_send,	       op_write_superblock, op_metadata, op_complete, op_disconnect, op_claimed,
	op_activated, op_nothing, op_handler,	       op_commanded, op_record,	 op_nothing,	    op_nothing,
	op_quiet,     op_look_suspended, op_nothing,   op_sibling_ready, op_words, op_resume,	    op_words,
	op_random,    op_measure,
};

static void cut(void)
{
	if (!linked)
		return;
	linked = false;
	connection++;
	for (int i = 0; i < 2; i++)
		if (nodes[i].core)
			replicate_disconnected(nodes[i].core, "the cable is cut", now_ms);
}

static void take_packet(struct node *n, const struct packet *p, const uint8_t *payload)
{
	struct request *req = NULL;

	if (wire_needs_request(p->type)) {
		req = calloc(1, sizeof(*req));
		wire_describe(p, req);
		req->data = aligned_alloc(4096, 1 << 20);
		memset(req->data, 1, 1 << 20);
		if (p->payload)
			memcpy(req->data, payload, p->payload);
	}
	assert_int_equal(replicate_packet(n->core, p, req, now_ms), 0);
}

/* As disk.c does it. */
static void discarded(struct node *n, struct request *req)
{
	if (req->op != REQUEST_DISCARD)
		return;
	n->discarded += req->sectors;
	req->erase_rc = n->erase_rc;
	n->erased += req->secure && !n->erase_rc ? req->sectors : 0;
}

static void happen_to(struct node *n, struct event *e)
{
	switch (e->what) {
	case EVENT_NOTHING:
		break;
	case EVENT_DISK:
		discarded(n, e->req);
		for (uint64_t s = e->req->sector; e->req->op == REQUEST_WRITE && s < e->req->sector + e->req->sectors; s += 8) {
			assert_true(s / 8 < BLOCKS);
			n->written[s / 8] = true;
		}
		replicate_disk_done(n->core, e->req, n->disk_fails ? -EIO : 0, now_ms);
		break;
	case EVENT_SUPERBLOCK:
		n->sb = e->sb;
		replicate_superblock_done(n->core, 0, now_ms);
		break;
	case EVENT_METADATA:
		assert_true(e->op->area == METADATA_LOG || e->op->block < PAGES);
		if (!e->op->write)
			memcpy(e->op->data, n->pages[e->op->block], BITMAP_PAGE);
		else if (e->op->area == METADATA_LOG)
			memcpy(n->log + (size_t)e->op->block * ACTLOG_BLOCK, e->op->data, ACTLOG_BLOCK);
		else
			memcpy(n->pages[e->op->block], e->op->data, BITMAP_PAGE);
		replicate_metadata_done(n->core, e->op, 0, now_ms);
		break;
	case EVENT_PACKET:
		if (linked && e->connection == connection && n->closed != connection)
			take_packet(n, &e->packet, e->payload);
		break;
	case EVENT_LOST:
		if (linked && e->connection == connection)
			cut();
		break;
	}
}

static void happen(void)
{
	struct event e = events[first_event++ % EVENTS];

	if (e.node->core)
		happen_to(e.node, &e);
	free(e.payload);
}

/* Until nothing is under way. */
static void run(void)
{
	while (first_event != last_event)
		happen();
}

static inline void superblock_ends(struct node *n)
{
	n->metadata_hang = false;
	event_new(n, EVENT_SUPERBLOCK)->sb = n->hanging_sb;
	run();
}

/* The request that hung last; nothing after it fails. */
static inline void disk_ends(struct node *n, int rc)
{
	assert_true(first_event == last_event);
	n->disk_hangs = false;
	replicate_disk_done(n->core, n->hanging[--n->hanging_count], rc, now_ms);
	run();
}

/* All that hung is done. */
static inline void disk_goes_on(struct node *n)
{
	n->disk_hangs = false;
	while (n->hanging_count)
		replicate_disk_done(n->core, n->hanging[--n->hanging_count], 0, now_ms);
	run();
}

static inline void join(void)
{
	linked = true;
	connection++;
	for (int i = 0; i < 2; i++)
		if (nodes[i].core)
			replicate_connected(nodes[i].core, now_ms);
	run();
}

/* So many milliseconds, with every timer that ends in them. A timer that is due must not stay due. */
static inline void wait_ms(uint64_t ms)
{
	uint64_t end = now_ms + ms;

	for (int spins = 0; now_ms < end; spins++) {
		uint64_t next = end;

		for (int i = 0; i < 2; i++)
			if (nodes[i].core && replicate_deadline(nodes[i].core) < next)
				next = replicate_deadline(nodes[i].core);
		if (next > now_ms)
			spins = 0;
		assert_true(spins < 20);
		now_ms = next > now_ms ? next : now_ms;
		for (int i = 0; i < 2; i++)
			if (nodes[i].core && now_ms >= replicate_deadline(nodes[i].core))
				replicate_tick(nodes[i].core, now_ms);
		run();
	}
}

static void boot(struct node *n)
{
	n->cfg.confirmed = n->kept.confirmed;
	n->cfg.known = n->kept.known;
	assert_int_equal(replicate_new(&n->cfg, &n->sb, n->log, &core_ops, n, now_ms, &n->core), 0);
	run();
}

/* With the host, what /run remembers; without it, the daemon alone. */
static inline void crash(struct node *n, bool host)
{
	cut();
	run();
	replicate_free(n->core);
	n->core = NULL;
	memset(n->busy, 0, sizeof(n->busy));
	if (host)
		n->kept = (struct attachment){ 0 };
}

static void node_configure(struct node *n)
{
	*n = (struct node){ .index = (int)(n - nodes), .claimed = 1, .activated = 1, .commanded = 1, .sibling = 1, .volume = SECTORS };
	n->cfg = (struct replicate_config){
		.name = "r0",
		.self_host = n->index ? "beta" : "alpha",
		.peer_host = n->index ? "alpha" : "beta",
		.first = !n->index,
		.offer = { .sectors = SECTORS, .block_size = 512, .max_segments = 256, .ring_order = 4, .queues = 1 },
		.window_bytes = REQUEST_SECTORS_MAX * SECTOR_SIZE,
		.window_requests = 16,
		.claim_timeout_ms = 12000,
		.reserve_timeout_ms = 4000,
		.disk_retry_ms = 1000,
		.extent_sectors = ACTLOG_EXTENT_SECTORS,
		.page_blocks = BITMAP_PAGE_BLOCKS,
		.copy_sectors = 128,
		.copies = 2,
		.handlers = UINT32_MAX & ~(1u << HANDLER_BEFORE_RESYNC_TARGET | 1u << HANDLER_BEFORE_RESYNC_SOURCE),
		.pace = { .plan_ahead_ms = PACE_NOT_GIVEN, .rate = PACE_NOT_GIVEN, .fill_target = PACE_NOT_GIVEN,
			  .delay_target_ms = PACE_NOT_GIVEN },
		.detach = true,
	};
	n->sb = (struct superblock){ .name = "r0", .flags = SB_JUST_CREATED | SB_CONSISTENT | SB_BITMAP_SUMMED,
				     .full_from = METADATA_NO_FULL, .al_extents = 16 };
	memset(n->sb.device_uuid, n->index + 1, sizeof(n->sb.device_uuid));
	actlog_format(n->log);
	for (unsigned int i = 0; i < REQUESTS; i++)
		n->guest[i] = (struct request){ .tag = (uint16_t)i, .data = aligned_alloc(4096, 4096) };
}

/* A pair that has just met for the first time; alpha holds the token. `configure` may change the nodes' cfg before. */
static void pair_new(void (*configure)(struct replicate_config *cfg))
{
	now_ms = 100000;
	first_event = last_event = connection = 0;
	linked = false;
	for (int i = 0; i < 2; i++) {
		node_configure(&nodes[i]);
		if (configure)
			configure(&nodes[i].cfg);
		boot(&nodes[i]);
	}
	join();
}

static inline int pair_free(void **state)
{
	(void)state;
	run();
	for (int i = 0; i < 2; i++) {
		if (nodes[i].core)
			replicate_free(nodes[i].core);
		nodes[i].core = NULL;
		for (unsigned int k = 0; k < REQUESTS; k++)
			free(nodes[i].guest[k].data);
	}
	return 0;
}

/* ---- what a guest and a person do ---- */

static inline struct replicate_status status_of(const struct node *n)
{
	struct replicate_status s;

	replicate_status(n->core, &s, now_ms);
	return s;
}

static inline void claim(struct node *n)
{
	struct claimant c = { .who = "guest g1" };

	n->claimed = 1;
	replicate_claim(n->core, &c, now_ms);
	run();
}

static inline void start(struct node *n)
{
	claim(n);
	assert_int_equal(n->claimed, 0);
	replicate_activate(n->core, "guest g1", true, now_ms);
	run();
	assert_int_equal(n->activated, 0);
}

/* The guest puts a request into its ring; true: it was consumed. */
static inline bool request(struct node *n, unsigned int tag, enum request_op op, uint64_t sector)
{
	struct request *req = &n->guest[tag];
	bool ready;

	assert_false(n->busy[tag]);
	replicate_request(n->core, now_ms);
	run();
	ready = replicate_request(n->core, now_ms);
	run();
	if (!ready)
		return false;
	req->op = op;
	req->sector = sector;
	req->sectors = op == REQUEST_FLUSH ? 0 : 8;
	n->busy[tag] = true;
	n->answered[tag] = 1;
	replicate_submit(n->core, req, now_ms);
	run();
	return true;
}

static inline void release(struct node *n)
{
	replicate_release(n->core, now_ms);
	run();
}

static inline int command(struct node *n, enum command c)
{
	n->commanded = 1;
	replicate_command(n->core, c, now_ms);
	run();
	return n->commanded;
}

/* Its disk is given up, and the two have met without it. */
static inline void detach(struct node *n)
{
	n->commanded = 1;
	replicate_command(n->core, COMMAND_DETACH, now_ms);
	run();
	assert_int_equal(n->commanded, 1); /* up to then it may be taken back */
	join();
	assert_int_equal(n->commanded, 0);
}

static inline void handled(struct node *n, enum fence_verdict verdict)
{
	replicate_handled(n->core, HANDLER_FENCE_PEER, false, verdict, now_ms);
	run();
}

static inline void says(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("'%s' is not in: %s", words, text);
}

#endif
