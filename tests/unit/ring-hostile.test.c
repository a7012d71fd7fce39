/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring-hostile.test.c: guests that lie, grants that fail, rings that go away: nothing but the culprit suffers
 */
#include "ring-fake.h"

#include <pthread.h>

static uint8_t *guest_page(unsigned int page)
{
	return fake.data + (size_t)page * PAGE;
}

static void complete_all(int rc)
{
	unsigned int i;

	for (i = 0; i < fake.got_count; i++)
		ring_complete(fake.ring, fake.got[i], rc);
	fake.got_count = 0;
	ring_push(fake.ring);
}

/* ---- indices ---- */

static void expect_broken(RING_IDX req_prod)
{
	fake.front.sring->req_prod = req_prod;
	ring_run(fake.ring);
	assert_int_equal(fake.broken, 1);
	assert_true(fake.why[0]);
	assert_false(ring_run(fake.ring));
	fake.front.sring->req_prod = fake.front.req_prod_pvt;
	guest_put(BLKIF_OP_READ, 0, 1, 1);
	guest_push();
	assert_false(ring_run(fake.ring));		/* for good */
	assert_int_equal(fake.broken, 1);
}

static void an_impossible_request_index_breaks_the_ring(void **state)
{
	static const int32_t jumps[] = { 33, 34, 64, 1000, INT32_MAX, INT32_MIN, -1, -2, -31, -32, -33 };
	unsigned int i;

	for (i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		fake_teardown(state);
		fake_setup(state);
		fake_start(0, UINT32_MAX - 3, 1);
		ring_run(fake.ring);
		expect_broken((RING_IDX)(UINT32_MAX - 3 + (uint32_t)jumps[i]));
		assert_int_equal(fake.got_count, 0);
	}
}

static void going_back_over_consumed_requests_breaks_the_ring(void **state)
{
	unsigned int back, i;

	for (back = 1; back <= 5; back++) {
		fake_teardown(state);
		fake_setup(state);
		fake_start(0, 0, 1);
		for (i = 0; i < 5; i++)
			guest_put(BLKIF_OP_READ, 0, 1, i);
		guest_push();
		ring_run(fake.ring);
		expect_broken(5 - back);
		assert_int_equal(fake.got_count, 5);
		complete_all(0);		/* what was accepted is still answered */
		assert_int_equal(ring_in_flight(fake.ring), 0);
	}
}

static void more_than_the_free_slots_breaks_the_ring(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	for (i = 0; i < 20; i++)
		guest_put(BLKIF_OP_READ, 0, 1, i);
	guest_push();
	ring_run(fake.ring);
	expect_broken(33);
	assert_int_equal(fake.got_count, 20);
	complete_all(0);
}

static void break_and_detach(void *ctx, const char *why)
{
	owner_broken(ctx, why);
	ring_detach(fake.ring, false);
	fake.ring = NULL;
}

static void a_broken_ring_may_be_detached_on_the_spot(void **state)
{
	static const struct ring_ops ops = { owner_ready, owner_submit, break_and_detach, owner_resumed };
	struct ring_params params = { .domid = DOMID, .abi = (uint8_t)fake_abi, .port = GUEST_PORT, .ref = { RING_REF } };

	(void)state;
	fake_pool(1);
	fake_front(0, 0);
	assert_int_equal(ring_attach(&params, &disk_limits, fake.pool, fake.table, &ops, &fake, &fake.ring, fake.why,
				     sizeof(fake.why)), 0);
	fake.front.sring->req_prod = 99;
	ring_run(fake.ring);
	assert_int_equal(fake.broken, 1);
	assert_false(fake.mapped);
}

static void impossible_indices_are_not_attached_to(void **state)
{
	(void)state;
	fake_pool(1);
	fake_front(0, 0);
	fake.front.sring->req_prod = 33;
	assert_int_equal(fake_attach(0), -EPROTO);
	assert_true(fake.why[0]);
	fake.front.sring->req_prod = UINT32_MAX;
	assert_int_equal(fake_attach(0), -EPROTO);
	assert_null(fake.ring);
	fake.front.sring->req_prod = 32;
	assert_int_equal(fake_attach(0), 0);
	ring_run(fake.ring);
	assert_int_equal(ring_in_flight(fake.ring), 32 - guest_responses());
}

static void a_ring_that_was_served_before_goes_on_at_its_responses(void **state)
{
	unsigned int i;

	(void)state;
	fake_pool(1);
	fake_front(0, 50);
	for (i = 0; i < 6; i++)
		guest_put(BLKIF_OP_WRITE, 8 * i, 1, i);
	guest_push();
	fake.front.sring->rsp_prod = 52;
	assert_int_equal(fake_attach(0), 0);
	assert_int_equal(fake.notified, 1);	/* the predecessor may have died before it did */
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 4);
	assert_int_equal(fake.got[0]->sector, 16);
	complete_all(0);
}

/* ---- bad requests ---- */

static void a_bad_request_costs_nobody_but_itself(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	guest_put(BLKIF_OP_WRITE, 0, 1, 1);
	guest_put(BLKIF_OP_WRITE, 0, 0, 2);
	guest_put(BLKIF_OP_WRITE, 0, 12, 3);
	guest_put(BLKIF_OP_READ, UINT64_MAX, 1, 4);
	guest_put(BLKIF_OP_DISCARD, disk_limits.sectors, 1, 5);
	guest_put(99, 0, 1, 6);
	guest_put(BLKIF_OP_WRITE, 0, 1, 7)->seg[0].last_sect = 8;
	guest_put_indirect(BLKIF_OP_FLUSH_DISKCACHE, 0, 1, 8, 2000);
	guest_put_indirect(BLKIF_OP_READ, 0, 257, 9, 2000);
	guest_put(BLKIF_OP_READ, 8, 1, 10);
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 2);
	assert_int_equal(guest_responses(), 8);		/* at once */
	assert_int_equal(fake.calls, 1);
	assert_int_equal(fake.copies, 1);
	for (i = 2; i <= 4; i++)
		assert_int_equal(guest_take().status, BLKIF_RSP_ERROR);
	guest_expect(5, BLKIF_OP_DISCARD, BLKIF_RSP_ERROR);
	guest_expect(6, 99, BLKIF_RSP_EOPNOTSUPP);
	guest_expect(7, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	guest_expect(8, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_ERROR);
	guest_expect(9, BLKIF_OP_READ, BLKIF_RSP_ERROR);
	complete_all(0);
	guest_expect(1, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	guest_expect(10, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	assert_int_equal(pool_free_bytes(fake.pool), MIB);
	assert_int_equal(fake.broken, 0);
}

static void a_bad_indirect_page_costs_only_its_request(void **state)
{
	struct blkif_request_segment *seg;

	(void)state;
	fake_start(0, 0, 1);
	guest_put_indirect(BLKIF_OP_WRITE, 0, 20, 0, 2000);
	guest_put_indirect(BLKIF_OP_WRITE, 8, 20, 100, 2001);
	guest_put_indirect(BLKIF_OP_WRITE, 16, 20, 200, 2002);
	seg = (void *)guest_page(2001);
	seg[19].first_sect = 7;
	seg[19].last_sect = 6;
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 2);
	assert_int_equal(fake.got[1]->sector, 16);
	guest_expect(100, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	complete_all(0);
}

static void a_flood_of_bad_requests_is_bounded_a_call(void **state)
{
	unsigned int i, turn;
	struct ring_counters c;

	(void)state;
	fake_start(0, 0, 1);
	for (turn = 0; turn < 100; turn++) {
		for (i = 0; i < 32; i++)
			guest_put(BLKIF_OP_WRITE, 0, 0, i);
		guest_push();
		assert_true(ring_run(fake.ring));
		assert_int_equal(guest_responses(), 32);
		for (i = 0; i < 32; i++)
			guest_take();
	}
	ring_counters(fake.ring, &c);
	assert_int_equal(c.errors, 3200);
	assert_int_equal(c.consumed, 3200);
	assert_false(ring_run(fake.ring));
}

/* Nor is a byte written that is not the response's. */
static void a_response_has_no_byte_of_ours_in_its_padding(void **state)
{
	const unsigned int size = fake_abi == SLOT_X86_32 ? 12 : 16, slot = fake_abi == SLOT_X86_32 ? 108 : 112;
	uint8_t want[2 * 112];

	(void)state;
	fake_start(0, 0, 1);
	guest_put(BLKIF_OP_READ, 0, 1, 1);
	guest_push();
	ring_run(fake.ring);
	memset(slot_at(0), 0xcc, 2 * slot);
	complete_all(0);
	memset(want, 0xcc, sizeof(want));
	memset(want, 0, size);
	want[0] = 1; /* id; operation and status are 0 */
	assert_memory_equal(slot_at(0), want, 2 * slot);
}

/* ---- grants that fail ---- */

/* Three writes of three segments and an indirect one of five: every copy fails once. */
static void put_mixture(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		guest_put(BLKIF_OP_WRITE, 8 * i, 3, 10 * i + 1);
	guest_put_indirect(BLKIF_OP_WRITE, 80, 5, 31, 2000);
	guest_push();
}

static void a_grant_that_fails_at_any_place_fails_its_request_only(void **state)
{
	/* copies in order: the indirect page, 3 + 3 + 3 segments, 5 segments */
	static const unsigned int victim[] = { 31, 1, 1, 1, 11, 11, 11, 21, 21, 21, 31, 31, 31, 31, 31 };
	unsigned int i, k;

	for (k = 0; k < sizeof(victim) / sizeof(victim[0]); k++) {
		fake_teardown(state);
		fake_setup(state);
		fake_start(0, 0, 1);
		put_mixture();
		fake.fail_from = (int)k;
		fake.fail_count = 1;
		ring_run(fake.ring);
		assert_int_equal(fake.got_count, 3);
		for (i = 0; i < 3; i++)
			assert_memory_equal(fake.got[i]->data, guest_page(fake.got[i]->sector == 80 ? 31 :
					    (unsigned int)fake.got[i]->sector / 8 * 10 + 1), 3 * PAGE);
		assert_int_equal(guest_responses(), 1);
		guest_expect(victim[k], BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
		complete_all(0);
		assert_int_equal(guest_responses(), 3);
		assert_int_equal(pool_free_bytes(fake.pool), MIB);
	}
}

static void a_copy_call_that_does_nothing_is_a_failure(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_mixture();
	fake.mode = COPY_DOES_NOTHING;		/* returns success, statuses untouched */
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 0);
	assert_int_equal(guest_responses(), 4);
	while (guest_responses())
		assert_int_equal(guest_take().status, BLKIF_RSP_ERROR);
}

static void a_copy_call_that_fails_is_a_failure_whatever_its_statuses_say(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_mixture();
	fake.mode = COPY_CALL_FAILS;
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 0);
	assert_int_equal(guest_responses(), 4);
	while (guest_responses())
		assert_int_equal(guest_take().status, BLKIF_RSP_ERROR);
	fake.mode = COPY_WORKS;
	put_mixture();
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 4);
	complete_all(0);
}

static void a_read_whose_data_cannot_be_copied_is_an_error(void **state)
{
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	for (i = 0; i < 4; i++)
		guest_put(BLKIF_OP_READ, 8 * i, 2, 10 * i);
	guest_push();
	ring_run(fake.ring);
	for (i = 0; i < 4; i++)
		memset(fake.got[i]->data, (int)i + 1, 2 * PAGE);
	fake.dead_ref = DATA_REF + 21;
	complete_all(0);
	for (i = 0; i < 4; i++) {
		guest_expect(10 * i, BLKIF_OP_READ, i == 2 ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
		if (i != 2)
			assert_int_equal(guest_page(10 * i + 1)[PAGE - 1], i + 1);
	}
	assert_int_equal(pool_free_bytes(fake.pool), MIB);
}

static void a_table_left_in_a_buffer_does_not_stand_in_for_one_that_cannot_be_copied(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	guest_put_indirect(BLKIF_OP_READ, 0, 20, 0, 2000);
	guest_push();
	ring_run(fake.ring);
	complete_all(-EIO);			/* the buffer comes back with the segments in it */
	guest_take();
	guest_put_indirect(BLKIF_OP_READ, 0, 20, 1, 2001);
	fake.dead_ref = DATA_REF + 2001;
	guest_push();
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 0);
	guest_expect(1, BLKIF_OP_READ, BLKIF_RSP_ERROR);
}

/* ---- a guest that writes while we read ---- */

static bool mutate_stop;

static void *mutate(void *arg)
{
	const size_t first = in_slot(offsetof(blkif_request_t, seg)), sector = in_slot(offsetof(blkif_request_t, sector_number));
	unsigned int i, k;

	(void)arg;
	for (k = 0; !__atomic_load_n(&mutate_stop, __ATOMIC_RELAXED); k++)
		for (i = 0; i < 32; i++) {
			volatile uint8_t *slot = slot_at(i);

			slot[1] = (uint8_t)(k % 3 ? 11 : 255);
			slot[first + k % 11 * 8 + 5] = (uint8_t)(k % 5 ? 7 : 200);
			slot[0] = (uint8_t)(k % 7 ? BLKIF_OP_WRITE : BLKIF_OP_INDIRECT);
			for (unsigned int n = 0; n < 8; n++)
				slot[sector + n] = k % 4 ? n ? 0 : 8 : 0xff;
		}
	return NULL;
}

/* Every answer fits some snapshot; the sanitizers see what does not. */
static void a_slot_that_changes_while_it_is_read_does_no_harm(void **state)
{
	unsigned int turn, i, good = 0, bad = 0;
	pthread_t thread;

	(void)state;
	fake_start(0, 0, 4);
	mutate_stop = false;
	assert_int_equal(pthread_create(&thread, NULL, mutate, NULL), 0);
	for (turn = 0; turn < 3000; turn++) {
		for (i = 0; i < 32; i++)
			guest_put(BLKIF_OP_WRITE, 8, 11, 11 * i);
		guest_push();
		while (ring_run(fake.ring))
			;
		for (i = 0; i < fake.got_count; i++) {
			assert_in_range(fake.got[i]->sectors, 1, REQUEST_SECTORS_MAX);
			assert_true(fake.got[i]->sector + fake.got[i]->sectors <= disk_limits.sectors);
		}
		good += fake.got_count;
		bad += 32 - fake.got_count;
		complete_all(0);
		fake.front.rsp_cons = fake.front.sring->rsp_prod;
	}
	__atomic_store_n(&mutate_stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(good + bad, 3000 * 32);
	assert_int_equal(fake.broken, 0);
}

static void change_the_page(void)
{
	memset(guest_page(1), 0xff, PAGE);	/* from the second batch on */
	memset(guest_page(2000), 0xff, PAGE);
	if (fake.calls == 1) {
		memset(guest_page(1), 0x11, PAGE);
		((struct blkif_request_segment *)(void *)guest_page(2000))[0] =
			(struct blkif_request_segment){ .gref = DATA_REF + 1, .last_sect = 7 };
	}
}

static void what_was_copied_is_what_is_used(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	guest_put_indirect(BLKIF_OP_WRITE, 8, 1, 1, 2000);
	guest_push();
	fake.on_copy = change_the_page;		/* the indirect page is rubbish from the second batch on */
	ring_run(fake.ring);
	assert_int_equal(fake.got_count, 1);
	assert_int_equal(fake.got[0]->sectors, 8);
	assert_int_equal(fake.got[0]->data[0], 0xff);
	memset(guest_page(1), 0x22, PAGE);
	assert_int_equal(fake.got[0]->data[0], 0xff);
	complete_all(0);
}

/* ---- events ---- */

static void a_spurious_wake_up_neither_blocks_nor_consumes(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	ring_event(fake.ring);		/* nothing is pending */
	assert_false(ring_run(fake.ring));
	assert_int_equal(fake.unmasked, 0);
	guest_kick();
	assert_true(event_waits());
	ring_event(fake.ring);
	assert_false(ring_run(fake.ring));
	assert_int_equal(fake.unmasked, 1);
	assert_false(event_waits());
}

/* H8 */
static void storm(unsigned int kicks)
{
	for (unsigned int i = 0; i < kicks; i++) {
		guest_kick();
		ring_event(fake.ring);
		ring_run(fake.ring);
	}
}

static void a_storm_of_events_is_heard_now_and_then(void **state)
{
	unsigned int heard;

	(void)state;
	fake_start(0, 0, 1);
	storm(1000);
	heard = fake.unmasked;
	assert_true(heard >= 64 && heard < 500);
	assert_true(ring_deadline(fake.ring) != UINT64_MAX);
	guest_put(BLKIF_OP_READ, 0, 1, 1);
	guest_push();
	assert_true(ring_run(fake.ring));	/* what is asked meanwhile is found when the ring is run */
	assert_true(ring_deadline(fake.ring) == UINT64_MAX);
	assert_int_equal(fake.unmasked, heard + 1);
	ring_complete(fake.ring, fake.got[0], 0);
	ring_push(fake.ring);
	storm(1000);
	heard = fake.unmasked;
	while (ring_deadline(fake.ring) != UINT64_MAX)	/* a bound of milliseconds */
		assert_false(ring_run(fake.ring));
	assert_int_equal(fake.unmasked, heard + 1);
}

static void a_storm_before_a_request_that_may_not_be_consumed_keeps_nobody_busy(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	storm(1000);
	fake.ready_left = 0;
	guest_put(BLKIF_OP_READ, 0, 1, 1);
	guest_push();
	for (int i = 0; i < 100 && ring_deadline(fake.ring) != UINT64_MAX; i++) {
		usleep(1000);
		assert_false(ring_run(fake.ring));
	}
	assert_true(ring_deadline(fake.ring) == UINT64_MAX);
}

static void a_guest_that_asks_for_something_is_heard_at_once(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	for (unsigned int i = 0; i < 300; i++) {
		guest_put(BLKIF_OP_READ, 0, 1, 1);
		guest_push();
		assert_true(ring_run(fake.ring));	/* another queue's event was first */
		storm(1);
		assert_int_equal(fake.unmasked, i + 1);
		ring_complete(fake.ring, fake.got[fake.got_count - 1], 0);
		ring_push(fake.ring);
	}
}

static void kicks_are_not_heard_while_the_ring_may_not_be_consumed(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	ring_run(fake.ring);
	fake.ready_left = 0;
	guest_put(BLKIF_OP_READ, 0, 1, 1);
	guest_push();
	guest_kick();
	ring_event(fake.ring);
	assert_false(ring_run(fake.ring));
	guest_kick();
	guest_kick();
	assert_false(event_waits());
	fake.ready_left = UINT32_MAX;
	assert_true(ring_run(fake.ring));
	assert_true(event_waits());		/* the kick in between is delivered, not lost */
	ring_event(fake.ring);
	ring_run(fake.ring);
	assert_false(event_waits());
	complete_all(0);
}

/* ---- attach and detach ---- */

static void a_failed_attach_leaves_nothing_behind(void **state)
{
	int *faults[] = { &fake.fail_open_gnttab, &fake.fail_map, &fake.fail_open_evtchn, &fake.fail_bind };
	unsigned int i;

	(void)state;
	fake_pool(1);
	fake_front(0, 0);
	for (i = 0; i < 4; i++) {
		*faults[i] = EACCES;
		fake.why[0] = 0;
		assert_int_equal(fake_attach(0), -EACCES);
		assert_non_null(strstr(fake.why, "Permission denied"));
		assert_null(fake.ring);
		assert_false(fake.gnttab_open || fake.evtchn_open || fake.mapped || fake.bound);
		*faults[i] = 0;
	}
	assert_int_equal(fake_attach(5), -EINVAL);
	assert_int_equal(fake_attach(255), -EINVAL);
	assert_int_equal(fake_attach(0), 0);
}

static void requests_in_flight_at_detach_only_give_their_buffers_back(void **state)
{
	struct ring *ring;
	uint8_t before[16 * PAGE];
	unsigned int i;

	(void)state;
	fake_start(0, 0, 1);
	for (i = 0; i < 6; i++)
		guest_put(i % 2 ? BLKIF_OP_READ : BLKIF_OP_WRITE, 8, 2, 10 * i);
	guest_push();
	ring_run(fake.ring);
	ring_complete(fake.ring, fake.got[3], 0);	/* done, not pushed */
	ring = fake.ring;
	memcpy(before, fake.ring_pages, sizeof(before));
	fake.calls = 0;
	assert_true(ring_detach(ring, false));
	fake.ring = NULL;
	assert_false(fake.mapped || fake.bound || fake.gnttab_open || fake.evtchn_open);
	assert_int_equal(ring_in_flight(ring), 5);
	assert_int_equal(pool_free_bytes(fake.pool), MIB - 5 * 2 * PAGE);
	for (i = 0; i < 6; i++)
		if (i != 3)
			ring_complete(ring, fake.got[i], i ? 0 : -EIO);	/* the last one frees the ring */
	assert_int_equal(pool_free_bytes(fake.pool), MIB);
	assert_memory_equal(before, fake.ring_pages, sizeof(before));
	assert_int_equal(fake.calls, 0);
	assert_int_equal(fake.notified, 0);
}

static void a_new_ring_gets_the_room_that_orphans_give_back(void **state)
{
	struct ring *old;

	(void)state;
	fake_start(0, 0, 1);
	guest_put_indirect(BLKIF_OP_WRITE, 0, 256, 0, 2000);
	guest_push();
	ring_run(fake.ring);
	old = fake.ring;
	assert_true(ring_detach(old, false));
	fake_front(0, 0);
	assert_int_equal(fake_attach(0), 0);
	guest_put(BLKIF_OP_WRITE, 8, 1, 5);
	guest_push();
	assert_false(ring_run(fake.ring));
	ring_complete(old, fake.got[0], 0);
	assert_true(ring_run(fake.ring));
	assert_int_equal(fake.got_count, 2);
	assert_int_equal(guest_responses(), 0);
	ring_complete(fake.ring, fake.got[1], 0);
	ring_push(fake.ring);
	guest_expect(5, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
}

static void an_idle_ring_is_gone_after_detach(void **state)
{
	(void)state;
	fake_start(2, 7, 1);
	ring_run(fake.ring);
	assert_false(ring_detach(fake.ring, false));
	fake.ring = NULL;
	assert_false(ring_detach(NULL, false));
}

static void attaching_a_thousand_times_leaks_nothing(void **state)
{
	unsigned int i;
	int fd;

	(void)state;
	fake_start(4, 0, 1);
	fd = ring_fd(fake.ring);
	for (i = 0; i < 1000; i++) {
		ring_detach(fake.ring, false);
		fake_front(4, i);
		assert_int_equal(fake_attach(4), 0);
		assert_int_equal(ring_fd(fake.ring), fd);	/* the lowest free one again */
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

static int all_tests(const char *name)
{
	const struct CMUnitTest tests[] = {
		T(an_impossible_request_index_breaks_the_ring),
		T(going_back_over_consumed_requests_breaks_the_ring),
		T(more_than_the_free_slots_breaks_the_ring),
		T(a_broken_ring_may_be_detached_on_the_spot),
		T(impossible_indices_are_not_attached_to),
		T(a_ring_that_was_served_before_goes_on_at_its_responses),
		T(a_bad_request_costs_nobody_but_itself),
		T(a_bad_indirect_page_costs_only_its_request),
		T(a_flood_of_bad_requests_is_bounded_a_call),
		T(a_response_has_no_byte_of_ours_in_its_padding),
		T(a_grant_that_fails_at_any_place_fails_its_request_only),
		T(a_copy_call_that_does_nothing_is_a_failure),
		T(a_copy_call_that_fails_is_a_failure_whatever_its_statuses_say),
		T(a_read_whose_data_cannot_be_copied_is_an_error),
		T(a_table_left_in_a_buffer_does_not_stand_in_for_one_that_cannot_be_copied),
		T(a_slot_that_changes_while_it_is_read_does_no_harm),
		T(what_was_copied_is_what_is_used),
		T(a_spurious_wake_up_neither_blocks_nor_consumes),
		T(a_storm_of_events_is_heard_now_and_then),
		T(a_storm_before_a_request_that_may_not_be_consumed_keeps_nobody_busy),
		T(a_guest_that_asks_for_something_is_heard_at_once),
		T(kicks_are_not_heard_while_the_ring_may_not_be_consumed),
		T(a_failed_attach_leaves_nothing_behind),
		T(requests_in_flight_at_detach_only_give_their_buffers_back),
		T(a_new_ring_gets_the_room_that_orphans_give_back),
		T(an_idle_ring_is_gone_after_detach),
		T(attaching_a_thousand_times_leaks_nothing),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	return run_with_each_abi(all_tests, "ring, hostile");
}
