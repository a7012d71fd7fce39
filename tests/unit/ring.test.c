/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.test.c: what a well-behaved guest sees: data, batches, order, back-pressure, notifications
 */
#include "ring-fake.h"

/* One page of every kind of byte, so that a shifted or truncated copy shows. */
static void fill(uint8_t *at, unsigned int seed, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		at[i] = (uint8_t)(seed * 31 + i + i / 256);
}

static uint8_t *guest_page(unsigned int page)
{
	return fake.data + (size_t)page * PAGE;
}

static void complete_all(int rc)
{
	unsigned int i;

	for (i = 0; i < fake.got_count; i++) {
		if (fake.gated)
			gate_leave(&fake.gate, fake.got[i]);
		ring_complete(fake.ring, fake.got[i], rc);
	}
	fake.got_count = 0;
	ring_push(fake.ring);
}

static void a_write_arrives_with_its_data(void **state)
{
	struct request *req;

	(void)state;
	fake_start(0, 0, 1);
	fill(guest_page(1), 1, 2 * PAGE);
	guest_put(BLKIF_OP_WRITE, 100, 2, 1);
	guest_push();
	assert_true(ring_run(fake.ring));
	assert_int_equal(fake.got_count, 1);
	req = fake.got[0];
	assert_int_equal(req->op, REQUEST_WRITE);
	assert_int_equal(req->sector, 100);
	assert_int_equal(req->sectors, 16);
	assert_false(req->preflush);
	assert_int_equal((uintptr_t)req->data % PAGE, 0);
	assert_memory_equal(req->data, guest_page(1), 2 * PAGE);
	assert_int_equal(guest_responses(), 0);
	assert_int_equal(ring_in_flight(fake.ring), 1);
	complete_all(0);
	guest_expect(1, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	assert_int_equal(ring_in_flight(fake.ring), 0);
	assert_int_equal(pool_free_bytes(fake.pool), MIB);
}

static void partial_segments_lie_next_to_each_other(void **state)
{
	blkif_request_t *r;
	uint8_t want[(3 + 8 + 1) * 512];

	(void)state;
	fake_start(0, 0, 1);
	fill(guest_page(1), 3, 3 * PAGE);
	r = guest_put(BLKIF_OP_WRITE, 8, 3, 1);
	r->seg[0].first_sect = 5;		/* 3 sectors: the next segment crosses a page of ours */
	r->seg[2].first_sect = r->seg[2].last_sect = 6;
	memcpy(want, guest_page(1) + 5 * 512, 3 * 512);
	memcpy(want + 3 * 512, guest_page(2), PAGE);
	memcpy(want + 11 * 512, guest_page(3) + 6 * 512, 512);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got[0]->sectors, 12);
	assert_memory_equal(fake.got[0]->data, want, sizeof(want));
	complete_all(0);
}

static void a_read_fills_exactly_its_sectors(void **state)
{
	blkif_request_t *r;
	uint8_t before[3 * PAGE], data[(3 + 8 + 1) * 512];

	(void)state;
	fake_start(0, 0, 1);
	fill(guest_page(1), 9, 3 * PAGE);
	r = guest_put(BLKIF_OP_READ, 8, 3, 1);
	r->seg[0].first_sect = 5;
	r->seg[2].first_sect = r->seg[2].last_sect = 6;
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got[0]->op, REQUEST_READ);
	fill(fake.got[0]->data, 77, sizeof(data));
	fill(data, 77, sizeof(data));
	memcpy(before, guest_page(1), sizeof(before));
	ring_complete(fake.ring, fake.got[0], 0);
	assert_memory_equal(guest_page(1), before, sizeof(before));	/* nothing before the push */
	ring_push(fake.ring);
	memcpy(before + 5 * 512, data, 3 * 512);
	memcpy(before + PAGE, data + 3 * 512, PAGE);
	memcpy(before + 2 * PAGE + 6 * 512, data + 11 * 512, 512);
	assert_memory_equal(guest_page(1), before, sizeof(before));
	guest_expect(1, BLKIF_OP_READ, BLKIF_RSP_OKAY);
}

static void a_failed_read_leaves_the_guests_pages_alone(void **state)
{
	uint8_t before[PAGE];

	(void)state;
	fake_start(0, 0, 1);
	fill(guest_page(1), 9, PAGE);
	memcpy(before, guest_page(1), PAGE);
	guest_put(BLKIF_OP_READ, 8, 1, 1);
	guest_push();
	ring_run(fake.ring);
	memset(fake.got[0]->data, 0x55, PAGE);
	complete_all(-EIO);
	guest_expect(1, BLKIF_OP_READ, BLKIF_RSP_ERROR);
	assert_memory_equal(guest_page(1), before, PAGE);
	assert_int_equal(fake.calls, 0);
}

static void a_discard_takes_no_buffer_however_long_it_is(void **state)
{
	blkif_request_discard_t d = { .operation = BLKIF_OP_DISCARD, .flag = BLKIF_DISCARD_SECURE, .id = 7, .sector_number = 8,
				      .nr_sectors = (1u << 20) - 8 };

	(void)state;
	fake_start(0, 0, 1);
	memcpy(guest_put(BLKIF_OP_DISCARD, 0, 0, 7), &d, sizeof(d));
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 1);
	assert_int_equal(fake.got[0]->op, REQUEST_DISCARD);
	assert_int_equal(fake.got[0]->sector, 8);
	assert_int_equal(fake.got[0]->sectors, (1u << 20) - 8);
	assert_null(fake.got[0]->data);
	assert_false(fake.got[0]->secure); /* which was not offered */
	complete_all(0);
	guest_expect(7, BLKIF_OP_DISCARD, BLKIF_RSP_OKAY);
	assert_int_equal(fake.copies, 0);
	ring_offer_secure(fake.ring);
	memcpy(guest_put(BLKIF_OP_DISCARD, 0, 0, 7), &d, sizeof(d));
	guest_push();
	ring_run(fake.ring);
	assert_true(fake.got[0]->secure);
	complete_all(-EIO);
	guest_expect(7, BLKIF_OP_DISCARD, BLKIF_RSP_ERROR);
}

static void flushes_take_no_buffer_or_carry_data(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	guest_put(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, 1);
	guest_put(BLKIF_OP_FLUSH_DISKCACHE, 8, 1, 2);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 2);
	assert_int_equal(fake.got[0]->op, REQUEST_FLUSH);
	assert_int_equal(fake.got[0]->sectors, 0);
	assert_null(fake.got[0]->data);
	assert_int_equal(fake.got[1]->op, REQUEST_WRITE);
	assert_true(fake.got[1]->preflush);
	assert_memory_equal(fake.got[1]->data, guest_page(2), PAGE);
	complete_all(0);
	guest_expect(1, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_OKAY);
	guest_expect(2, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_OKAY);
}

static void a_failed_flush_is_an_error_and_never_unsupported(void **state)
{
	static const int rcs[] = { -EOPNOTSUPP, -ENOTSUP, -EIO, -EINVAL };
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	for (i = 0; i < sizeof(rcs) / sizeof(rcs[0]); i++) {
		guest_put(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, i);
		guest_push();
		ring_run(fake.ring);
		complete_all(rcs[i]);
		guest_expect(i, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_ERROR);
	}
}

/* H21 */
static void nothing_is_executed_beside_a_barrier(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	fake.gated = true;
	guest_put(BLKIF_OP_WRITE, 8, 1, 1);
	guest_put(BLKIF_OP_READ, 80, 1, 2);
	guest_put(BLKIF_OP_WRITE_BARRIER, 16, 2, 3);
	guest_put(BLKIF_OP_READ, 8, 1, 5);
	guest_put(BLKIF_OP_WRITE_BARRIER, 0, 0, 6);
	guest_put(BLKIF_OP_WRITE_BARRIER, 24, 1, 7);
	guest_push();
	while (ring_run(fake.ring))
		;
	assert_int_equal(fake.got_count, 2); /* what came before it */
	complete_all(0);
	guest_expect(1, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	guest_expect(2, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	while (ring_run(fake.ring))
		;
	assert_int_equal(fake.got_count, 1);
	assert_int_equal(fake.got[0]->op, REQUEST_WRITE);
	assert_true(fake.got[0]->barrier && fake.got[0]->preflush);
	assert_int_equal(fake.got[0]->sectors, 16);
	assert_memory_equal(fake.got[0]->data, guest_page(3), 2 * PAGE);
	complete_all(0);
	guest_expect(3, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_OKAY);
	while (ring_run(fake.ring))
		;
	assert_int_equal(fake.got_count, 1);
	complete_all(0);
	guest_expect(5, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	while (ring_run(fake.ring))
		;
	assert_int_equal(fake.got_count, 1); /* an empty one */
	assert_int_equal(fake.got[0]->op, REQUEST_FLUSH);
	assert_true(fake.got[0]->barrier);
	complete_all(-EIO);
	guest_expect(6, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_ERROR); /* never EOPNOTSUPP: it would not be asked for again */
	while (ring_run(fake.ring))
		;
	assert_int_equal(fake.got_count, 1);
	complete_all(0);
	guest_expect(7, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_OKAY);
}

/* It is answered with an error when it is its turn, and keeps nobody waiting then. */
static void a_bad_barrier_is_no_barrier(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	fake.gated = true;
	guest_put(BLKIF_OP_WRITE, 8, 1, 1);
	guest_put(BLKIF_OP_WRITE_BARRIER, 16, 1, 2);
	guest_push();
	while (ring_run(fake.ring))
		;
	assert_int_equal(fake.got_count, 1);
	fake.dead_ref = DATA_REF + 2; /* the first one's data go away while it waits */
	complete_all(0);
	guest_expect(1, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	while (ring_run(fake.ring))
		;
	guest_expect(2, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_ERROR);
	assert_null(fake.gate.waits);
	guest_put(BLKIF_OP_WRITE_BARRIER, 16, 12, 3);
	guest_put(BLKIF_OP_WRITE, 24, 1, 4);
	guest_push();
	while (ring_run(fake.ring))
		;
	guest_expect(3, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_ERROR);
	assert_int_equal(fake.got_count, 1);
	complete_all(0);
	guest_expect(4, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
}

/* Whatever waits behind it, no data are copied in vain. */
static void a_barrier_that_waits_costs_no_copies(void **state)
{
	unsigned int i, copies;

	(void)state;
	fake_start(0, 0, 1);
	fake.gated = true;
	guest_put(BLKIF_OP_WRITE, 8, 1, 1);
	guest_put(BLKIF_OP_WRITE_BARRIER, 16, 1, 2);
	for (i = 0; i < 20; i++)
		guest_put(BLKIF_OP_WRITE, 80 + 8 * i, 1, 10 + i);
	guest_push();
	ring_run(fake.ring);
	copies = fake.copies;
	for (i = 0; i < 10; i++)
		assert_false(ring_run(fake.ring));
	assert_int_equal(fake.copies, copies);
	assert_true(copies <= 2);
	complete_all(0);
	assert_true(ring_run(fake.ring));
	assert_int_equal(fake.copies, copies + 1);
	complete_all(0);
	assert_true(ring_run(fake.ring));
	assert_int_equal(fake.got_count, 20);
	complete_all(0);
}

static void requests_are_submitted_in_ring_order(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	for (i = 0; i < 32; i++)
		guest_put(i % 2 ? BLKIF_OP_READ : BLKIF_OP_WRITE, 8 * (i * 7 % 32), 1, i);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 32);
	for (i = 0; i < 32; i++)
		assert_int_equal(fake.got[i]->sector, 8 * (i * 7 % 32));
	complete_all(0);
}

static void one_wake_up_is_one_batch_of_copies_and_one_notification(void **state)
{
	struct ring_counters c;
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	for (i = 0; i < 32; i++)
		guest_put(BLKIF_OP_WRITE, 8 * i, 4, 4 * i);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.calls, 1);
	assert_int_equal(fake.copies, 128);
	complete_all(0);
	assert_int_equal(fake.calls, 1);
	assert_int_equal(fake.notified, 1);
	for (i = 0; i < 32; i++)
		guest_expect(4 * i, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	fake.front.sring->rsp_event = fake.front.rsp_cons + 1;
	for (i = 0; i < 32; i++)
		guest_put(BLKIF_OP_READ, 8 * i, 4, 4 * i);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.calls, 1);
	complete_all(0);
	assert_int_equal(fake.calls, 2);
	assert_int_equal(fake.notified, 2);
	ring_counters(fake.ring, &c);
	assert_int_equal(c.consumed, 64);
	assert_int_equal(c.answered, 64);
	assert_int_equal(c.errors, 0);
	assert_int_equal(c.notifications, 2);
	assert_int_equal(c.grant_copies, 256);
	assert_int_equal(c.copy_batches, 2);
}

static void indirect_requests_need_two_batches_for_all_of_them(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(0, 0, 4);
	for (i = 0; i < 10; i++)
		guest_put_indirect(BLKIF_OP_WRITE, 1000 * i, 32, 32 * i, 2000 + i);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.calls, 2);
	assert_int_equal(fake.copies, 10 + 320);
	assert_int_equal(fake.got_count, 10);
	for (i = 0; i < 10; i++) {
		assert_int_equal(fake.got[i]->sectors, 256);
		assert_memory_equal(fake.got[i]->data, guest_page(32 * i), 32 * PAGE);
	}
	complete_all(0);
	for (i = 0; i < 10; i++)	/* the frontend compares the inner operation */
		guest_expect(32 * i, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
}

static void the_largest_indirect_read_and_write_work(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	fill(guest_page(0), 5, MIB);
	guest_put_indirect(BLKIF_OP_WRITE, 0, 256, 0, 2000);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got[0]->sectors, 2048);
	assert_memory_equal(fake.got[0]->data, guest_page(0), MIB);
	complete_all(0);
	guest_expect(0, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	guest_put_indirect(BLKIF_OP_READ, 0, 256, 1024, 2000);
	guest_push();
	ring_run(fake.ring);
	fill(fake.got[0]->data, 5, MIB);
	complete_all(0);
	guest_expect(1024, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	assert_memory_equal(guest_page(1024), guest_page(0), MIB);
}

static void more_copies_than_a_batch_holds_are_several_batches(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(1, 0, 16);
	for (i = 0; i < 12; i++)
		guest_put_indirect(BLKIF_OP_WRITE, 2048 * i, 256, 256 * i, 3500 + i);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 12);
	assert_int_equal(fake.calls, 1 + 3);
	for (i = 0; i < 12; i++)
		assert_memory_equal(fake.got[i]->data, guest_page(256 * i), MIB);
	complete_all(0);
}

static void every_ring_order_works_and_indices_wrap(void **state)
{
	static const RING_IDX starts[] = { 0, UINT32_MAX, UINT32_MAX - 20, UINT32_MAX - 600, 0x7ffffff0 };
	unsigned int order, s, turn, i, n;

	for (order = 0; order <= RING_ORDER_MAX; order++)
		for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
			fake_teardown(state);
			fake_setup(state);
			fake_start(order, starts[s], 2);
			n = 32u << order;
			assert_int_equal(RING_SIZE(&fake.front), n);
			for (turn = 0; turn < 5; turn++) {
				for (i = 0; i < n; i++)
					guest_put(BLKIF_OP_WRITE, 8 * i, i % 2, i);	/* half are bad */
				guest_push();
				while (ring_run(fake.ring))
					;
				assert_int_equal(fake.got_count, n / 2);
				assert_int_equal(guest_responses(), n / 2);
				complete_all(0);
				assert_int_equal(guest_responses(), n);
				for (i = 0; i < n; i++)
					guest_take();
			}
			assert_int_equal(fake.broken, 0);
		}
}

static void answers_may_come_in_any_order(void **state)
{
	unsigned int i, seen = 0;

	(void)state;
	fake_start(0, UINT32_MAX - 5, 1);
	for (i = 0; i < 32; i++)
		guest_put(BLKIF_OP_WRITE, 8 * i, 1, i);
	guest_push();
	ring_run(fake.ring);
	for (i = 0; i < 32; i++) {
		ring_complete(fake.ring, fake.got[i * 13 % 32], 0);
		ring_push(fake.ring);
		guest_expect(i * 13 % 32, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
		seen |= 1u << i * 13 % 32;
	}
	assert_int_equal(seen, UINT32_MAX);
}

/* Its guest is stale: nothing of what was cancelled is answered, the rest is, and nothing new is consumed. */
static void what_is_cancelled_is_not_answered_and_the_ring_stands_still(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	for (unsigned int i = 0; i < 3; i++)
		guest_put(BLKIF_OP_WRITE, 8 * i, 1, i);
	guest_push();
	ring_run(fake.ring);
	ring_complete(fake.ring, fake.got[0], -ECANCELED);
	ring_complete(fake.ring, fake.got[1], 0);
	ring_push(fake.ring);
	guest_expect(1, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	guest_put(BLKIF_OP_WRITE, 64, 1, 4);
	guest_push();
	assert_false(ring_run(fake.ring));
	assert_int_equal(fake.got_count, 3);
	ring_complete(fake.ring, fake.got[2], -ECANCELED);
	ring_push(fake.ring);
	assert_int_equal(guest_responses(), 0);
	assert_int_equal(pool_free_bytes(fake.pool), MIB); /* buffers are not kept for it */
	ring_hold_here(fake.ring);
	assert_false(ring_quiet(fake.ring));
}

/* A later daemon finds them in the table. */
static void what_is_cancelled_stays_in_the_table_of_a_ring_that_goes_on(void **state)
{
	uint16_t tag;

	(void)state;
	fake_start(0, 0, 1);
	guest_put(BLKIF_OP_WRITE, 8, 1, 1);
	guest_push();
	ring_run(fake.ring);
	tag = fake.got[0]->tag;
	ring_complete(fake.ring, fake.got[0], -ECANCELED);
	assert_false(ring_detach(fake.ring, true));
	fake.ring = NULL;
	assert_int_equal(fake.table->entry[tag].state, INFLIGHT_TAKEN);
}

static void a_not_ready_owner_stops_the_ring_without_losing_anything(void **state)
{
	unsigned int i, k;

	/* ready() is asked twice a request: stop at each possible place. */
	for (k = 0; k < 20; k++) {
		fake_teardown(state);
		fake_setup(state);
		fake_start(0, 0, 1);
		for (i = 0; i < 8; i++)
			guest_put(BLKIF_OP_WRITE, 8 * i, 1, i);
		guest_push();
		fake.ready_left = k;
		ring_run(fake.ring);
		assert_int_equal(ring_in_flight(fake.ring), fake.got_count);
		assert_int_equal(MIB - pool_free_bytes(fake.pool), fake.got_count * PAGE);
		fake.ready_left = UINT32_MAX;
		ring_run(fake.ring);
		assert_int_equal(fake.got_count, 8);
		for (i = 0; i < 8; i++) {
			assert_int_equal(fake.got[i]->sector, 8 * i);
			assert_memory_equal(fake.got[i]->data, guest_page(i), PAGE);
		}
		complete_all(0);
		for (i = 0; i < 8; i++)
			guest_expect(i, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	}
}

static void a_slot_that_was_not_consumed_is_read_again(void **state)
{
	blkif_request_t *r;

	(void)state;
	fake_start(0, 0, 1);
	r = guest_put(BLKIF_OP_WRITE, 8, 1, 1);
	guest_push();
	fake.ready_left = 1;		/* taken, not submitted */
	assert_false(ring_run(fake.ring));
	assert_int_equal(fake.calls, 1);
	r->sector_number = 16;
	fake.pushed--;			/* it writes the slot again */
	guest_push();
	memset(guest_page(1), 0x77, PAGE);
	fake.ready_left = UINT32_MAX;
	assert_true(ring_run(fake.ring));
	assert_int_equal(fake.got[0]->sector, 16);
	assert_memory_equal(fake.got[0]->data, guest_page(1), PAGE);
	complete_all(0);
}

static void an_empty_pool_stops_the_ring_until_a_buffer_comes_back(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	for (i = 0; i < 3; i++)		/* each takes the whole pool */
		guest_put_indirect(BLKIF_OP_WRITE, 2048 * i, 129, 256 * i, 2000 + i);
	guest_put(BLKIF_OP_WRITE, 8, 1, 900);
	guest_push();
	for (i = 0; i < 3; i++) {
		ring_run(fake.ring);
		assert_int_equal(fake.got_count, 1);
		assert_int_equal(fake.got[0]->sector, 2048 * i);
		assert_false(ring_run(fake.ring));
		ring_complete(fake.ring, fake.got[0], 0);
		fake.got_count = 0;	/* ring_run() publishes first, which frees the buffer */
	}
	assert_true(ring_run(fake.ring));
	assert_int_equal(fake.got_count, 1);
	assert_int_equal(fake.got[0]->sector, 8);
	complete_all(0);
	for (i = 0; i < 3; i++)
		guest_expect(256 * i, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	guest_expect(900, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	assert_int_equal(fake.calls, 7);	/* no indirect page was copied twice while it waited */
}

static void the_guest_is_notified_only_if_it_asked(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	fake.front.sring->rsp_event = 4;	/* tell me at the fourth */
	for (i = 0; i < 6; i++)
		guest_put(BLKIF_OP_WRITE, 8 * i, 1, i);
	guest_push();
	ring_run(fake.ring);
	for (i = 0; i < 6; i++) {
		ring_complete(fake.ring, fake.got[i], 0);
		ring_push(fake.ring);
		assert_int_equal(fake.notified, i >= 3);
	}
	ring_push(fake.ring);
	assert_int_equal(fake.notified, 1);
}

static void the_guest_is_asked_to_notify_before_we_sleep(void **state)
{
	(void)state;
	fake_start(0, 100, 1);
	assert_false(ring_run(fake.ring));
	guest_put(BLKIF_OP_WRITE, 8, 1, 1);
	assert_true(guest_push());
	guest_put(BLKIF_OP_WRITE, 8, 1, 2);
	assert_false(guest_push());		/* we are awake */
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 2);
	guest_put(BLKIF_OP_WRITE, 8, 1, 3);
	assert_true(guest_push());
	complete_all(0);
}

static void push_late(void)
{
	fake.on_copy = NULL;
	guest_put(BLKIF_OP_WRITE, 80, 1, 9);
	guest_push();
}

static void a_request_that_comes_during_a_round_is_not_left_behind(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	guest_put(BLKIF_OP_WRITE, 8, 1, 1);
	guest_push();
	fake.on_copy = push_late;
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 2);
	assert_int_equal(fake.got[1]->sector, 80);
	complete_all(0);
}

static void a_ring_full_of_requests_is_served_and_served_again(void **state)
{
	unsigned int i, total = 0;

	(void)state;
	fake_start(0, UINT32_MAX - 16, 1);
	for (i = 0; i < 32; i++)
		guest_put(BLKIF_OP_WRITE, 8, 1, i);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(ring_in_flight(fake.ring), 32);
	for (total = 0; total < 500; total++) {		/* always full: one answer, one new request */
		ring_complete(fake.ring, fake.got[total], 0);
		ring_push(fake.ring);
		guest_take();
		guest_put(BLKIF_OP_WRITE, 8, 1, total % 100);
		guest_push();
		assert_true(ring_run(fake.ring));
		assert_int_equal(ring_in_flight(fake.ring), 32);
		assert_int_equal(fake.got_count, 33 + total);
	}
	for (; total < fake.got_count; total++)
		ring_complete(fake.ring, fake.got[total], 0);
	ring_push(fake.ring);
	assert_int_equal(ring_in_flight(fake.ring), 0);
	assert_int_equal(fake.broken, 0);
}

static void tags_are_unique_among_the_requests_in_flight(void **state)
{
	bool used[32] = { false };
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	fake.gated = true;
	for (i = 0; i < 32; i++)
		guest_put(BLKIF_OP_READ, 8, 1, 0);	/* one id for all of them is legal */
	guest_push();
	ring_run(fake.ring);
	for (i = 0; i < 32; i++) {
		assert_in_range(fake.got[i]->tag, 0, 31);
		assert_false(used[fake.got[i]->tag]);
		used[fake.got[i]->tag] = true;
	}
	complete_all(0);
	for (i = 0; i < 32; i++)
		guest_expect(0, BLKIF_OP_READ, BLKIF_RSP_OKAY);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

static int all_tests(const char *name)
{
	const struct CMUnitTest tests[] = {
		T(a_write_arrives_with_its_data),
		T(partial_segments_lie_next_to_each_other),
		T(a_read_fills_exactly_its_sectors),
		T(a_failed_read_leaves_the_guests_pages_alone),
		T(a_discard_takes_no_buffer_however_long_it_is),
		T(flushes_take_no_buffer_or_carry_data),
		T(a_failed_flush_is_an_error_and_never_unsupported),
		T(nothing_is_executed_beside_a_barrier),
		T(a_bad_barrier_is_no_barrier),
		T(a_barrier_that_waits_costs_no_copies),
		T(requests_are_submitted_in_ring_order),
		T(one_wake_up_is_one_batch_of_copies_and_one_notification),
		T(indirect_requests_need_two_batches_for_all_of_them),
		T(the_largest_indirect_read_and_write_work),
		T(more_copies_than_a_batch_holds_are_several_batches),
		T(every_ring_order_works_and_indices_wrap),
		T(answers_may_come_in_any_order),
		T(what_is_cancelled_is_not_answered_and_the_ring_stands_still),
		T(what_is_cancelled_stays_in_the_table_of_a_ring_that_goes_on),
		T(a_not_ready_owner_stops_the_ring_without_losing_anything),
		T(a_slot_that_was_not_consumed_is_read_again),
		T(an_empty_pool_stops_the_ring_until_a_buffer_comes_back),
		T(the_guest_is_notified_only_if_it_asked),
		T(the_guest_is_asked_to_notify_before_we_sleep),
		T(a_request_that_comes_during_a_round_is_not_left_behind),
		T(a_ring_full_of_requests_is_served_and_served_again),
		T(tags_are_unique_among_the_requests_in_flight),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	return run_with_each_abi(all_tests, "ring");
}
