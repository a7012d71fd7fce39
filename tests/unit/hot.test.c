/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hot.test.c: the extents that a guest was writing to go with it (HANDOVER.md, R16): two cores, joined by queues, a hand-over between
 * them, and the transactions of their activity logs counted.
 */
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
#include "backend/endian.h"
#include "backend/replicate.h"

#define EXTENTS 64u
#define SECTORS ((uint64_t)EXTENTS * ACTLOG_EXTENT_SECTORS)
#define PAGES	2u
#define QUEUE	256u
#define PEERS	16u
#define BUFFER	65536u
#define TYPES	64u

struct flight {
	struct packet p;
	uint8_t *payload; /* NULL: none */
};

static struct node {
	struct node *peer;
	struct replicate *core;
	struct replicate_config cfg;
	struct superblock sb, writing;
	bool superblock_busy, log_held, pages_held, disk_held, answered, activated, disconnected, looks;
	int claim_rc;
	uint64_t query, random;
	struct metadata_op *op[4]; /* under way */
	struct request *disk[QUEUE];
	uint32_t ops, disks, done;
	struct flight inbox[QUEUE];
	uint32_t head, tail, sent[TYPES];
	struct packet hot; /* the last one that came in, and its payload */
	uint8_t hot_payload[BUFFER];
	struct attachment kept;
	struct request request[PEERS];
	bool used[PEERS];
	uint8_t log[ACTLOG_BLOCKS * ACTLOG_BLOCK], page[PAGES][BITMAP_PAGE];
} a, b;

/* ---- what the cores ask for ---- */

static void op_disk(void *ctx, struct request *req)
{
	struct node *n = ctx;

	n->disk[n->disks++] = req;
}

static void op_send(void *ctx, const struct packet *p, struct request *req)
{
	struct node *n = ctx, *to = n->peer;
	struct flight *f = &to->inbox[to->head++ % QUEUE];

	n->sent[p->type]++;
	*f = (struct flight){ .p = *p };
	if (p->payload) {
		f->payload = malloc(p->payload);
		memcpy(f->payload, req->data, p->payload);
	}
}

static void op_write_superblock(void *ctx, const struct superblock *sb)
{
	struct node *n = ctx;

	n->writing = *sb;
	n->superblock_busy = true;
}

static void op_metadata(void *ctx, struct metadata_op *op)
{
	struct node *n = ctx;

	n->op[n->ops++] = op;
}

static void op_complete(void *ctx, struct request *req, int rc)
{
	struct node *n = ctx;

	assert_int_equal(rc, 0);
	if (req >= n->request && req < n->request + PEERS)
		n->used[req - n->request] = false;
	else
		n->done++;
}

static void op_disconnect(void *ctx, const char *why)
{
	(void)why;
	((struct node *)ctx)->disconnected = true;
}

static void op_claimed(void *ctx, int rc, const char *why)
{
	struct node *n = ctx;

	n->answered = true;
	if (rc)
		print_message("%s\n", why);
	n->claim_rc = rc;
}

static void op_activated(void *ctx, int rc, const char *why)
{
	(void)why;
	((struct node *)ctx)->activated = !rc;
}

static void op_record(void *ctx, const struct attachment *kept)
{
	((struct node *)ctx)->kept = *kept;
}

static bool op_quiet(void *ctx)
{
	(void)ctx;
	return true;
}

static void op_look_suspended(void *ctx, uint64_t query, const uint8_t *uuid)
{
	struct node *n = ctx;

	(void)uuid;
	n->query = query;
	n->looks = true;
}

static uint64_t op_random(void *ctx)
{
	return ++((struct node *)ctx)->random;
}

static void op_nothing(void *ctx)
{
	(void)ctx;
}
static void op_handler(void *ctx, enum handler h)
{
	(void)ctx;
	(void)h;
}
static void op_number(void *ctx, int rc)
{
	(void)ctx;
	(void)rc;
}
static void op_number_text(void *ctx, int rc, const char *text)
{
	(void)ctx;
	(void)rc;
	(void)text;
}
static void op_text(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

static const struct replicate_ops ops = {
	.disk = op_disk,
	.send = op_send,
	.write_superblock = op_write_superblock,
	.metadata = op_metadata,
	.complete = op_complete,
	.disconnect = op_disconnect,
	.claimed = op_claimed,
	.activated = op_activated,
	.released = op_nothing,
	.handler = op_handler,
	.commanded = op_number_text,
	.record = op_record,
	.hold = op_nothing,
	.unhold = op_nothing,
	.quiet = op_quiet,
	.look_suspended = op_look_suspended,
	.used = op_nothing,
	.sibling_ready = op_number,
	.outdated = op_text,
	.resume = op_nothing,
	.changed = op_text,
	.random = op_random,
};

/* ---- and what they get ---- */

static int receive(struct node *n, const struct packet *p, const uint8_t *payload)
{
	struct request *req = NULL;
	uint32_t i = 0;
	int rc;

	if (wire_needs_request(p->type)) {
		while (i < PEERS && n->used[i])
			i++;
		assert_true(i < PEERS);
		req = &n->request[i];
		free(req->data); /* of the last one that had this place */
		*req = (struct request){ .tag = (uint16_t)i, .data = calloc(1, BUFFER) };
		wire_describe(p, req);
		if (p->payload)
			memcpy(req->data, payload, p->payload);
		n->used[i] = true;
	}
	if (p->type == PACKET_HOT) {
		n->hot = *p;
		memcpy(n->hot_payload, payload, p->payload);
	}
	rc = replicate_packet(n->core, p, req, 1);
	if (rc && req)
		n->used[i] = false;
	for (i = 0; i < PEERS; i++)
		if (!n->used[i]) {
			free(n->request[i].data);
			n->request[i].data = NULL;
		}
	return rc;
}

static bool write_superblock(struct node *n)
{
	if (!n->superblock_busy)
		return false;
	n->superblock_busy = false;
	n->sb = n->writing;
	replicate_superblock_done(n->core, 0, 1);
	return true;
}

static bool do_metadata(struct node *n)
{
	for (uint32_t i = 0; i < n->ops; i++) {
		struct metadata_op *op = n->op[i];
		uint8_t *at = op->area == METADATA_LOG ? n->log + op->block * ACTLOG_BLOCK : n->page[op->block];

		if (op->write && (op->area == METADATA_LOG ? n->log_held : n->pages_held))
			continue;
		memcpy(op->write ? at : op->data, op->write ? op->data : at, ACTLOG_BLOCK);
		n->op[i] = n->op[--n->ops];
		replicate_metadata_done(n->core, op, 0, 1);
		return true;
	}
	return false;
}

static bool do_disk(struct node *n)
{
	struct request *req = n->disks && !n->disk_held ? n->disk[0] : NULL;

	if (!req)
		return false;
	memmove(n->disk, n->disk + 1, --n->disks * sizeof(n->disk[0]));
	replicate_disk_done(n->core, req, 0, 1);
	return true;
}

static bool deliver(struct node *n)
{
	struct flight *f = &n->inbox[n->tail % QUEUE];

	if (n->tail == n->head)
		return false;
	n->tail++;
	assert_int_equal(receive(n, &f->p, f->payload), 0);
	free(f->payload);
	return true;
}

static bool look(struct node *n)
{
	if (!n->looks)
		return false;
	n->looks = false;
	replicate_suspended(n->core, n->query, 0, "", 1);
	return true;
}

static bool turn(struct node *n)
{
	return n->core && (write_superblock(n) || do_metadata(n) || do_disk(n) || deliver(n) || look(n));
}

/* Until nothing is left to do. */
static void run(void)
{
	while (turn(&a) || turn(&b))
		continue;
}

/* ---- two nodes ---- */

static void boot(struct node *n)
{
	assert_int_equal(replicate_new(&n->cfg, &n->sb, n->log, &ops, n, 1, &n->core), 0);
}

static void node_new(struct node *n, struct node *peer, uint32_t al_extents)
{
	static const struct features features = {
		.sectors = SECTORS, .block_size = 512, .max_segments = 256, .ring_order = 4, .queues = 1
	};

	*n = (struct node){ .peer = peer, .random = n == &a ? 1000 : 2000 };
	n->cfg = (struct replicate_config){
		.name = "disk",
		.self_host = n == &a ? "alpha" : "beta",
		.peer_host = n == &a ? "beta" : "alpha",
		.first = n == &a,
		.offer = features,
		.window_bytes = 8 << 20,
		.window_requests = PEERS,
		.claim_timeout_ms = 1000,
		.reserve_timeout_ms = 1000,
		.disk_retry_ms = 10,
		.extent_sectors = ACTLOG_EXTENT_SECTORS,
		.page_blocks = BITMAP_PAGE_BLOCKS,
		.copy_sectors = BUFFER / SECTOR_SIZE,
		.copies = 1,
		.pace = { PACE_NOT_GIVEN, PACE_NOT_GIVEN, PACE_NOT_GIVEN, PACE_NOT_GIVEN, PACE_NOT_GIVEN, PACE_NOT_GIVEN },
	};
	n->sb = (struct superblock){ .name = "disk",
				     .device_uuid = { n == &a ? 1 : 2 },
				     .flags = SB_CONSISTENT | SB_BITMAP_SUMMED,
				     .token = n == &a ? TOKEN_HELD : TOKEN_NONE,
				     .epoch = 1,
				     .gen.current = 7,
				     .agreed = features,
				     .full_from = METADATA_NO_FULL,
				     .al_extents = al_extents };
	actlog_format(n->log);
	boot(n);
}

static void join_nodes(void)
{
	replicate_connected(a.core, 1);
	replicate_connected(b.core, 1);
	run();
}

static void pair(uint32_t extents_a, uint32_t extents_b)
{
	node_new(&a, &b, extents_a);
	node_new(&b, &a, extents_b);
	join_nodes();
}

static int setup(void **state)
{
	(void)state;
	pair(32, 32);
	return 0;
}

static void node_end(struct node *n)
{
	replicate_free(n->core);
	n->core = NULL;
	for (uint32_t i = 0; i < PEERS; i++) {
		free(n->request[i].data);
		n->request[i].data = NULL;
		n->used[i] = false;
	}
	for (; n->tail != n->head; n->tail++)
		free(n->inbox[n->tail % QUEUE].payload);
}

static int teardown(void **state)
{
	(void)state;
	node_end(&a);
	node_end(&b);
	return 0;
}

static struct replicate_status status(const struct node *n)
{
	struct replicate_status st;

	replicate_status(n->core, &st, 1);
	return st;
}

static uint64_t transactions(const struct node *n)
{
	return status(n).log_writes;
}

/* ---- a guest ---- */

static void claim(struct node *n, bool incoming)
{
	struct claimant c = { .who = "guest web1", .uuid = { 1 }, .incoming = incoming };

	n->answered = false;
	replicate_claim(n->core, &c, 1);
	run();
	assert_true(n->answered);
	assert_int_equal(n->claim_rc, 0);
}

static void activate(struct node *n)
{
	replicate_activate(n->core, "guest web1", true, 1);
	run();
}

static void submit(struct node *n, struct request *req, uint32_t extent)
{
	static uint8_t data[SECTOR_SIZE];

	while (!replicate_request(n->core, 1))
		run();
	*req = (struct request){ .op = REQUEST_WRITE, .sector = (uint64_t)extent * ACTLOG_EXTENT_SECTORS, .sectors = 1, .data = data };
	replicate_submit(n->core, req, 1);
}

static void write_extent(struct node *n, uint32_t extent)
{
	uint32_t before = n->done;
	struct request req;

	submit(n, &req, extent);
	run();
	assert_int_equal(n->done, before + 1);
}

/* It writes to these extents, the last one most recently, is suspended, and has its reservation. */
static void guest_arrives(const uint32_t *extents, uint32_t n)
{
	claim(&a, false);
	activate(&a);
	for (uint32_t i = 0; i < n; i++)
		write_extent(&a, extents[i]);
	claim(&b, true);
	assert_int_equal(status(&b).attachment, ATTACHMENT_RESERVED);
}

static const uint32_t written[] = { 3, 40, 1, 7, 9, 11, 13, 40 };
#define WRITTEN (sizeof(written) / sizeof(written[0]))
#define HOT	7u /* different ones */

static void all_written_again_without_a_transaction(struct node *n)
{
	uint64_t before = transactions(n);

	for (size_t i = 0; i < WRITTEN; i++)
		write_extent(n, written[i]);
	assert_int_equal(transactions(n), before);
}

/* ---- tests ---- */

static void the_first_writes_after_a_hand_over_need_no_transaction(void **state)
{
	(void)state;
	guest_arrives(written, WRITTEN);
	assert_int_equal(transactions(&a), HOT);
	assert_int_equal(transactions(&b), 1); /* while the guest is suspended */
	assert_int_equal(status(&b).log_used, HOT);
	activate(&b);
	assert_true(b.activated);
	all_written_again_without_a_transaction(&b);
	write_extent(&b, 50);
	assert_int_equal(transactions(&b), 2);
	assert_int_equal(a.sent[PACKET_HOT], 1);
	assert_int_equal(b.sent[PACKET_RECEIVED], 1);
}

static void the_guest_comes_back_to_a_warm_log(void **state)
{
	(void)state;
	guest_arrives(written, WRITTEN);
	activate(&b);
	write_extent(&b, 50);
	replicate_release(a.core, 1);
	run();
	claim(&a, true);
	activate(&a);
	assert_true(a.activated);
	all_written_again_without_a_transaction(&a);
	write_extent(&a, 50);
	assert_int_equal(transactions(&a), HOT + 1); /* of its own, and one for what came back */
}

static void nobody_waits_for_the_log(void **state)
{
	struct request cold;

	(void)state;
	b.log_held = true;
	guest_arrives(written, WRITTEN);
	activate(&b);
	assert_true(b.activated);
	assert_int_equal(status(&b).attachment, ATTACHMENT_ACTIVE);
	assert_int_equal(b.ops, 1); /* on its way still */
	submit(&b, &cold, 50);
	run();
	assert_int_equal(b.done, 0);
	b.log_held = false;
	run();
	assert_int_equal(b.done, 1);
	assert_int_equal(transactions(&b), 2);
	all_written_again_without_a_transaction(&b);
}

static void the_smaller_log_takes_the_most_recently_used(void **state)
{
	static const uint32_t many[] = { 20, 21, 22, 23, 24, 25, 26, 27, 28, 29 };
	uint64_t before;

	(void)state;
	teardown(NULL);
	pair(32, 7);
	guest_arrives(many, 10);
	assert_int_equal(status(&b).log_used, 7);
	activate(&b);
	before = transactions(&b);
	for (uint32_t i = 23; i < 30; i++)
		write_extent(&b, i);
	assert_int_equal(transactions(&b), before);
	write_extent(&b, 22);
	assert_int_equal(transactions(&b), before + 1);
}

static void a_guest_that_is_resumed_at_the_source_finds_its_log_warm(void **state)
{
	(void)state;
	guest_arrives(written, WRITTEN);
	replicate_resumed(a.core, 1);
	run();
	all_written_again_without_a_transaction(&a);
	assert_int_equal(status(&b).attachment, ATTACHMENT_STALE);
}

static void a_daemon_that_was_stopped_in_good_order_begins_with_a_warm_log(void **state)
{
	struct claimant c = { .who = "guest web1", .uuid = { 1 } };
	struct attachment kept;

	(void)state;
	claim(&a, false);
	activate(&a);
	for (size_t i = 0; i < WRITTEN; i++)
		write_extent(&a, written[i]);
	replicate_park(a.core, 1);
	run();
	kept = a.kept;
	assert_false(a.sb.flags & SB_IN_USE);
	node_end(&a);
	replicate_disconnected(b.core, "gone", 1);
	run();
	a.cfg.left = true;
	a.cfg.confirmed = kept.confirmed;
	a.cfg.known = kept.known;
	boot(&a);
	join_nodes();
	replicate_adopt(a.core, &c, &kept, 1);
	activate(&a);
	all_written_again_without_a_transaction(&a);
}

/* What comes to the destination once more, changed: 0 or the error. The log must not have changed. */
static int hot_again(uint64_t reservation, uint32_t extent)
{
	struct packet p = b.hot;
	uint64_t before = transactions(&b);
	uint32_t received = b.sent[PACKET_RECEIVED];
	struct be32 list[BUFFER / 4];
	int rc;

	memcpy(list, b.hot_payload, sizeof(list));
	list[1] = put_be32(extent);
	p.hot.reservation = reservation;
	rc = receive(&b, &p, (uint8_t *)list);
	while (do_metadata(&b) || write_superblock(&b))
		continue;
	assert_int_equal(transactions(&b), before);
	assert_int_equal(b.sent[PACKET_RECEIVED], received + !rc);
	for (uint32_t i = 0; i < PEERS; i++)
		assert_false(b.used[i]);
	if (!rc)
		b.peer->head--; /* nobody has asked for this RECEIVED */
	return rc;
}

static void a_repetition_changes_nothing(void **state)
{
	(void)state;
	guest_arrives(written, WRITTEN);
	assert_int_equal(hot_again(b.hot.hot.reservation, 60), 0);
	activate(&b);
	all_written_again_without_a_transaction(&b);
}

static void what_is_for_another_reservation_changes_nothing(void **state)
{
	(void)state;
	guest_arrives(written, WRITTEN);
	assert_int_equal(hot_again(b.hot.hot.reservation + 1, 60), 0);
	activate(&b);
	all_written_again_without_a_transaction(&b);
}

/* Also a copy of the guest that is stale: the reservation is over. */
static void what_comes_too_late_changes_nothing(void **state)
{
	(void)state;
	guest_arrives(written, WRITTEN);
	activate(&b);
	write_extent(&b, 3);
	assert_int_equal(hot_again(b.hot.hot.reservation, 60), 0);
	all_written_again_without_a_transaction(&b);
	assert_int_equal(status(&b).log_used, HOT);
}

/* Takes the list out of the destination's inbox. */
static void lose_the_list(void)
{
	for (uint32_t i = b.tail; i != b.head; i++)
		if (b.inbox[i % QUEUE].p.type == PACKET_HOT) {
			b.hot = b.inbox[i % QUEUE].p;
			memcpy(b.hot_payload, b.inbox[i % QUEUE].payload, b.hot.payload);
			free(b.inbox[i % QUEUE].payload);
			b.inbox[i % QUEUE] = b.inbox[--b.head % QUEUE]; /* it was the last one */
			return;
		}
}

/* The guest has arrived, and the list has not. */
static void guest_arrives_without_the_list(void)
{
	struct claimant c = { .who = "guest web1", .uuid = { 1 }, .incoming = true };

	claim(&a, false);
	activate(&a);
	for (size_t i = 0; i < WRITTEN; i++)
		write_extent(&a, written[i]);
	replicate_claim(b.core, &c, 1);
	while (!a.sent[PACKET_HOT])
		assert_true(turn(&a) || turn(&b));
	lose_the_list();
	run();
	assert_int_equal(status(&b).attachment, ATTACHMENT_RESERVED);
}

static void without_the_list_the_log_is_cold_and_nothing_else(void **state)
{
	(void)state;
	guest_arrives_without_the_list();
	activate(&b);
	assert_true(b.activated);
	for (size_t i = 0; i < WRITTEN; i++)
		write_extent(&b, written[i]);
	assert_int_equal(transactions(&b), HOT);
}

static void a_list_for_a_guest_that_runs_changes_nothing(void **state)
{
	(void)state;
	guest_arrives_without_the_list();
	activate(&b);
	write_extent(&b, 3);
	assert_int_equal(hot_again(b.hot.hot.reservation, 60), 0);
	assert_int_equal(status(&b).log_used, 1);
}

static void a_list_for_a_copy_that_is_stale_changes_nothing(void **state)
{
	(void)state;
	guest_arrives_without_the_list();
	replicate_resumed(a.core, 1);
	run();
	assert_int_equal(status(&b).attachment, ATTACHMENT_STALE);
	assert_int_equal(hot_again(b.hot.hot.reservation, 60), 0);
	assert_int_equal(status(&b).log_used, 0);
}

static void an_extent_beyond_the_disk_costs_the_connection(void **state)
{
	(void)state;
	guest_arrives_without_the_list();
	assert_int_equal(hot_again(b.hot.hot.reservation, EXTENTS), -EPROTO);
	assert_true(b.disconnected);
	assert_int_equal(status(&b).log_used, 0);
}

/* The destination died as Primary, and what its log says is not in its bitmap yet. It is granted its reservation while a block is
 * being copied to it, in the only carrier. */
static void guest_arrives_where_a_primary_died(void)
{
	struct actlog *log;
	uint32_t victims;

	claim(&a, false);
	activate(&a);
	write_extent(&a, 3);
	node_end(&b);
	replicate_disconnected(a.core, "gone", 1);
	assert_int_equal(actlog_new(32, SECTORS, ACTLOG_EXTENT_SECTORS, &log), 0);
	assert_false(actlog_begin(log, 60ull * ACTLOG_EXTENT_SECTORS, 1));
	assert_true(actlog_prepare(log, &victims));
	actlog_transaction(log, b.log + ACTLOG_BLOCK);
	actlog_free(log);
	b.sb.flags |= SB_IN_USE;
	boot(&b);
	b.disk_held = b.pages_held = true;
	join_nodes();
	assert_int_equal(status(&b).sync, SYNC_STATE_TARGET);
	claim(&b, true);
	assert_int_equal(status(&b).attachment, ATTACHMENT_RESERVED);
	assert_int_equal(a.sent[PACKET_HOT], 0);
}

static void a_log_that_counts_is_left_as_it_is(void **state)
{
	(void)state;
	guest_arrives_where_a_primary_died();
	b.disk_held = false;
	run();
	assert_int_equal(a.sent[PACKET_HOT], 1);
	assert_true(b.sb.flags & SB_IN_USE);
	assert_int_equal(status(&b).log_used, 1);
	assert_int_equal(transactions(&b), 0);
}

static void a_reservation_that_has_ended_sends_no_list(void **state)
{
	(void)state;
	guest_arrives_where_a_primary_died();
	replicate_resumed(a.core, 1);
	b.disk_held = false;
	run();
	assert_int_equal(status(&b).attachment, ATTACHMENT_STALE);
	assert_int_equal(a.sent[PACKET_HOT], 0);
}

static void a_guest_that_wrote_nothing_sends_no_list(void **state)
{
	(void)state;
	guest_arrives(written, 0);
	assert_int_equal(a.sent[PACKET_HOT], 0);
	activate(&b);
	assert_true(b.activated);
}

/* Another reservation, after the guest went on at the source and was suspended again. */
static void the_next_reservation_has_a_list_of_its_own(void **state)
{
	(void)state;
	guest_arrives(written, WRITTEN);
	replicate_resumed(a.core, 1);
	run();
	write_extent(&a, 50);
	replicate_release(b.core, 1);
	run();
	claim(&b, true);
	assert_int_equal(a.sent[PACKET_HOT], 2);
	assert_int_equal(status(&b).log_used, HOT + 1);
	activate(&b);
	all_written_again_without_a_transaction(&b);
	write_extent(&b, 50);
	assert_int_equal(transactions(&b), 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_first_writes_after_a_hand_over_need_no_transaction),
		T(the_guest_comes_back_to_a_warm_log),
		T(nobody_waits_for_the_log),
		T(the_smaller_log_takes_the_most_recently_used),
		T(a_guest_that_is_resumed_at_the_source_finds_its_log_warm),
		T(a_daemon_that_was_stopped_in_good_order_begins_with_a_warm_log),
		T(a_repetition_changes_nothing),
		T(what_is_for_another_reservation_changes_nothing),
		T(what_comes_too_late_changes_nothing),
		T(without_the_list_the_log_is_cold_and_nothing_else),
		T(a_list_for_a_guest_that_runs_changes_nothing),
		T(a_list_for_a_copy_that_is_stale_changes_nothing),
		T(an_extent_beyond_the_disk_costs_the_connection),
		T(a_log_that_counts_is_left_as_it_is),
		T(a_reservation_that_has_ended_sends_no_list),
		T(a_guest_that_wrote_nothing_sends_no_list),
		T(the_next_reservation_has_a_list_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
