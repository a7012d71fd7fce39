/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handshake.c: wherever the connection is lost while two nodes meet, they agree when they meet again.  Two cores, with nothing between
 * them but what they send and write; each order of what the two do next is tried, and the connection is cut after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backend/actlog.h"
#include "backend/replicate.h"

#define STEPS	8u /* of both nodes together, before the cut: more than a meeting takes */
#define ENOUGH	1000u
#define QUEUE 64u

static const struct features features = {
	.sectors = 64, .block_size = 512, .max_segments = 256, .ring_order = 4, .queues = 1
};

struct host {
	struct host *peer;
	struct replicate *core;
	struct replicate_config cfg;
	struct superblock durable, writing;
	bool write, connected, hang_up;
	struct metadata_op *op[4];
	unsigned int ops, packets;
	struct packet packet[QUEUE]; /* to us */
	struct attachment kept;
	int commanded; /* the last answer */
};
static struct host host[2];
static uint64_t random_state;

static void no_disk(void *ctx, struct request *req)
{
	(void)ctx;
	fail_msg("request %llx: no data are copied here", (unsigned long long)req->id);
}

static void send_packet(void *ctx, const struct packet *p, struct request *req)
{
	struct host *h = ctx;

	assert_null(req);
	if (!h->connected)
		return;
	assert_true(h->peer->packets < QUEUE);
	h->peer->packet[h->peer->packets++] = *p;
}

static void write_superblock(void *ctx, const struct superblock *sb)
{
	struct host *h = ctx;

	assert_false(h->write);
	h->writing = *sb;
	h->write = true;
}

static void metadata(void *ctx, struct metadata_op *op)
{
	struct host *h = ctx;

	if (!op->write)
		memset(op->data, 0, 4096);
	h->op[h->ops++] = op;
}

static void hang_up(void *ctx, const char *why)
{
	struct host *h = ctx;

	(void)why;
	h->hang_up = true;
}

static void record(void *ctx, const struct attachment *a)
{
	struct host *h = ctx;

	h->kept = *a;
}

static void commanded(void *ctx, int rc, const char *why)
{
	struct host *h = ctx;

	(void)why;
	h->commanded = rc;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void answer(void *ctx, int rc, const char *why)
{
	(void)ctx;
	if (rc)
		fail_msg("%s", why);
}

static void completed(void *ctx, struct request *req, int rc)
{
	(void)ctx;
	(void)req;
	(void)rc;
}

static bool quiet(void *ctx)
{
	(void)ctx;
	return true;
}

static void look(void *ctx, uint64_t query, const uint8_t *uuid)
{
	(void)ctx;
	(void)query;
	(void)uuid;
}

static void sibling(void *ctx, int rc)
{
	(void)ctx;
	(void)rc;
}

static void run(void *ctx, enum handler h)
{
	(void)ctx;
	(void)h;
}

static void words(void *ctx, const char *why)
{
	(void)ctx;
	(void)why;
}

static uint64_t number(void *ctx)
{
	(void)ctx;
	return ++random_state;
}

static const struct replicate_ops ops = {
	.disk = no_disk,
	.send = send_packet,
	.write_superblock = write_superblock,
	.metadata = metadata,
	.complete = completed,
	.disconnect = hang_up,
	.claimed = answer,
	.activated = answer,
	.released = nothing,
	.handler = run,
	.commanded = commanded,
	.record = record,
	.hold = nothing,
	.unhold = nothing,
	.quiet = quiet,
	.look_suspended = look,
	.used = nothing,
	.sibling_ready = sibling,
	.outdated = words,
	.resume = nothing,
	.changed = words,
	.random = number,
};

/* ---- two nodes ---- */

static void boot(struct host *h, bool left)
{
	static uint8_t log[ACTLOG_BLOCKS * ACTLOG_BLOCK];

	h->cfg.left = left;
	h->cfg.confirmed = h->kept.confirmed;
	h->cfg.known = h->kept.known;
	actlog_format(log);
	assert_int_equal(replicate_new(&h->cfg, &h->durable, log, &ops, h, 0, &h->core), 0);
}

static void begin(struct superblock first, struct superblock second)
{
	random_state = 1000;
	for (int i = 0; i < 2; i++) {
		struct host *h = &host[i];

		*h = (struct host){ .peer = &host[!i], .durable = i ? second : first };
		h->cfg = (struct replicate_config){ .name = "disk",
						    .self_host = i ? "beta" : "alpha",
						    .peer_host = i ? "alpha" : "beta",
						    .first = !i,
						    .offer = features,
						    .window_bytes = REQUEST_SECTORS_MAX * SECTOR_SIZE,
						    .window_requests = 8,
						    .claim_timeout_ms = 1000,
						    .reserve_timeout_ms = 1000,
						    .disk_retry_ms = 10,
						    .extent_sectors = 16,
						    .page_blocks = 64,
						    .copy_sectors = 8,
						    .copies = 1,
						    .detach = true };
		h->durable.full_from = METADATA_NO_FULL;
		h->durable.al_extents = ACTLOG_EXTENTS_MIN;
		h->durable.agreed = features;
		h->durable.device_uuid[0] = (uint8_t)(i + 1);
		h->kept.confirmed = h->durable.token == TOKEN_HELD ? h->durable.epoch : 0;
		boot(h, false);
	}
}

static void end(void)
{
	for (int i = 0; i < 2; i++)
		replicate_free(host[i].core);
}

static void connect_both(void)
{
	for (int i = 0; i < 2; i++) {
		host[i].packets = 0;
		host[i].connected = true;
		host[i].hang_up = false;
	}
	replicate_connected(host[0].core, 1);
	replicate_connected(host[1].core, 1);
}

static void cut(void)
{
	for (int i = 0; i < 2; i++) {
		bool was = host[i].connected;

		host[i].connected = host[i].hang_up = false;
		host[i].packets = 0;
		if (was)
			replicate_disconnected(host[i].core, "cut", 2);
	}
}

/* What this node does next: a write ends, or a packet is taken. False: nothing. */
static bool step(struct host *h)
{
	struct packet p;

	if (h->write) {
		h->durable = h->writing;
		h->write = false;
		replicate_superblock_done(h->core, 0, 1);
	} else if (h->ops) {
		replicate_metadata_done(h->core, h->op[--h->ops], 0, 1);
	} else if (h->connected && h->packets) {
		p = h->packet[0];
		memmove(h->packet, h->packet + 1, --h->packets * sizeof(p));
		replicate_packet(h->core, &p, NULL, 1);
	} else {
		return false;
	}
	return true;
}

static void settle_down(void)
{
	for (unsigned int n = 0; n < ENOUGH; n++) {
		bool moved = step(&host[0]);

		moved |= step(&host[1]);
		if (host[0].hang_up || host[1].hang_up) {
			cut();
			connect_both();
		} else if (!moved) {
			return;
		}
	}
	fail_msg("the two do not come to rest");
}

static enum connection_state connection(const struct host *h)
{
	struct replicate_status status;

	replicate_status(h->core, &status, 1);
	return status.connection;
}

static enum disk_state disk(const struct host *h)
{
	struct replicate_status status;

	replicate_status(h->core, &status, 1);
	return status.disk;
}

static void expect_connected(unsigned int order, const char *when)
{
	struct replicate_status status;

	replicate_status(host[0].core, &status, 1);
	if (connection(&host[0]) != CONNECTION_CONNECTED || connection(&host[1]) != CONNECTION_CONNECTED)
		fail_msg("%s, order %#x: %s, %s (%s)", when, order, connection_state_name(connection(&host[0])),
			 connection_state_name(connection(&host[1])), status.why);
}

/* Bit n of `order` says whose step is the next one; the last bits are of a node that may have nothing to do. */
static void go(unsigned int order, unsigned int steps)
{
	for (unsigned int n = 0; n < steps; n++)
		step(&host[order >> n & 1]);
}

static struct superblock superblock(enum token token, uint64_t epoch, struct generations gen)
{
	return (struct superblock){
		.name = "disk", .flags = SB_CONSISTENT, .token = token, .epoch = epoch, .base = epoch, .gen = gen
	};
}

static void start_guest(struct host *h)
{
	struct claimant c = { .who = "guest", .uuid = { 1 } };

	replicate_claim(h->core, &c, 1);
	settle_down();
	replicate_activate(h->core, "guest", true, 1);
	settle_down();
}

/* A new daemon, which opens the disk again. */
static void restart(struct host *h, bool guest)
{
	struct claimant c = { .who = "guest", .uuid = { 1 } };

	while (h->write || h->ops)
		step(h);
	replicate_free(h->core);
	boot(h, guest);
	if (guest)
		replicate_adopt(h->core, &c, &h->kept, 1);
}

/* ---- the tests ---- */

static void without_a_disk(unsigned int who, bool guest, bool back, unsigned int order, unsigned int steps)
{
	begin(superblock(TOKEN_HELD, 1, (struct generations){ .current = 7 }),
	      superblock(TOKEN_NONE, 1, (struct generations){ .current = 7 }));
	connect_both();
	settle_down();
	expect_connected(order, "at first");
	if (guest)
		start_guest(&host[0]);
	replicate_command(host[who].core, COMMAND_DETACH, 1);
	cut();
	connect_both();
	go(order, steps);
	cut();
	if (back)
		restart(&host[who], guest && !who);
	connect_both();
	settle_down();
	expect_connected(order, back ? "the disk is back" : "without a disk");
	end();
}

static void a_lost_connection_leaves_no_generation_that_only_the_node_without_a_disk_knows(void **state)
{
	(void)state;
	for (unsigned int variant = 0; variant < 8; variant++)
		for (unsigned int steps = 0; steps <= STEPS; steps++)
			for (unsigned int order = 0; order < 1u << steps; order++)
				without_a_disk(variant & 1, variant & 2, variant & 4, order, steps);
}

/* Each does as if the other one's disk would stay. `failed`: bit n, that of host n is given up for a failure. */
static void both_without_a_disk(unsigned int holder, bool guest, unsigned int failed, unsigned int order, unsigned int steps)
{
	static const struct generations gen = { .current = 7 };

	begin(superblock(holder ? TOKEN_NONE : TOKEN_HELD, 1, gen), superblock(holder ? TOKEN_HELD : TOKEN_NONE, 1, gen));
	connect_both();
	settle_down();
	if (guest)
		start_guest(&host[holder]);
	for (unsigned int i = 0; i < 2; i++)
		replicate_command(host[i].core, failed & 1u << i ? COMMAND_DETACH_FORCE : COMMAND_DETACH, 1);
	cut();
	connect_both();
	go(order, steps);
	cut();
	connect_both();
	settle_down();
	if (failed == 3) {
		assert_int_equal(connection(&host[0]), CONNECTION_REFUSED);
		assert_int_equal(disk(&host[0]), DISK_DISKLESS);
		assert_int_equal(disk(&host[1]), DISK_DISKLESS);
	} else {
		unsigned int back = failed & 1u << holder ? !holder : holder;

		expect_connected(order, "one disk is taken back");
		assert_int_equal(disk(&host[back]), DISK_UP_TO_DATE);
		assert_int_equal(disk(&host[!back]), DISK_DISKLESS);
		assert_int_equal(host[back].commanded, -EPERM);
		assert_int_equal(host[!back].commanded, 0);
		assert_false(host[!back].durable.flags & SB_CONSISTENT);
	}
	end();
}

static void of_two_disks_that_are_given_up_at_once_one_is_taken_back_wherever_the_connection_is_lost(void **state)
{
	(void)state;
	for (unsigned int variant = 0; variant < 16; variant++)
		for (unsigned int steps = 0; steps <= STEPS; steps++)
			for (unsigned int order = 0; order < 1u << steps; order++)
				both_without_a_disk(variant & 1, variant & 2, variant >> 2, order, steps);
}

static void a_lost_connection_leaves_no_epoch_that_only_the_loser_of_a_split_brain_knows(void **state)
{
	(void)state;
	for (unsigned int steps = 0; steps <= STEPS; steps++)
		for (unsigned int order = 0; order < 1u << steps; order++) {
			begin(superblock(TOKEN_HELD, 1, (struct generations){ 9, 7, { 0, 0 } }),
			      superblock(TOKEN_HELD, 3, (struct generations){ 8, 7, { 0, 0 } }));
			connect_both();
			settle_down();
			assert_int_equal(connection(&host[0]), CONNECTION_REFUSED);
			cut();
			replicate_command(host[1].core, COMMAND_DISCARD, 1);
			connect_both();
			go(order, steps);
			cut();
			settle_down();
			assert_int_equal(disk(&host[0]), DISK_UP_TO_DATE); /* its guest would go on alone */
			connect_both();
			settle_down();
			expect_connected(order, "decided");
			assert_int_equal(host[0].durable.token, TOKEN_HELD);
			assert_int_equal(host[1].durable.token, TOKEN_NONE);
			end();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_connection_leaves_no_generation_that_only_the_node_without_a_disk_knows),
		cmocka_unit_test(of_two_disks_that_are_given_up_at_once_one_is_taken_back_wherever_the_connection_is_lost),
		cmocka_unit_test(a_lost_connection_leaves_no_epoch_that_only_the_loser_of_a_split_brain_knows),
	};

	return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
