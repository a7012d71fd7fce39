/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring-hold.test.c: a ring during a hand-over: the mark, what is consumed up to it, when it is quiet, and a
 * guest that was resumed (docs/HANDOVER.md, R2 to R4)
 */
#include "ring-fake.h"

static void put_reads(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		guest_put(BLKIF_OP_READ, 8, 1, i);
	guest_push();
}

static void complete(unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		if (fake.got[i])
			ring_complete(fake.ring, fake.got[i], 0);
		fake.got[i] = NULL;
	}
}

/* What is in flight ends. */
static int finish(void **state)
{
	complete(0, fake.got_count);
	return fake_teardown(state);
}

/* Until it has nothing to do. */
static void run(void)
{
	while (ring_run(fake.ring))
		;
}

static void what_was_in_the_ring_is_consumed_and_nothing_beyond(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_reads(3);
	ring_hold(fake.ring);
	assert_int_equal(ring_mark(fake.ring), 3);
	put_reads(2);
	run();
	assert_int_equal(fake.got_count, 3);
	complete(0, 3);
	run();
	assert_int_equal(fake.got_count, 3);
	assert_int_equal(guest_responses(), 3);
}

static void it_is_quiet_only_when_everything_up_to_the_mark_is_answered(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_reads(2);
	assert_false(ring_quiet(fake.ring)); /* not held at all */
	ring_hold(fake.ring);
	assert_false(ring_quiet(fake.ring)); /* not consumed */
	run();
	assert_false(ring_quiet(fake.ring)); /* in flight */
	complete(0, 1);
	ring_push(fake.ring);
	assert_false(ring_quiet(fake.ring)); /* one of two */
	complete(1, 2);
	assert_false(ring_quiet(fake.ring)); /* done, but the guest cannot see it */
	ring_push(fake.ring);
	assert_true(ring_quiet(fake.ring));
	assert_int_equal(fake.resumed, 0);
}

static void an_idle_ring_is_quiet_when_it_is_held(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	assert_false(ring_quiet(fake.ring));
	ring_hold(fake.ring);
	assert_true(ring_quiet(fake.ring));
}

static void a_request_beyond_the_mark_ends_the_quiet_before_anybody_runs_the_ring(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	ring_hold(fake.ring);
	put_reads(1);
	assert_false(ring_quiet(fake.ring));
}

static void a_request_beyond_the_mark_is_told_once(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	ring_hold(fake.ring);
	put_reads(1);
	run();
	assert_int_equal(fake.resumed, 1);
	put_reads(1);
	run();
	assert_int_equal(fake.resumed, 1);
	assert_int_equal(fake.got_count, 0);
}

static void a_kick_alone_means_nothing(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	ring_hold(fake.ring);
	guest_kick();
	assert_true(event_waits());
	ring_event(fake.ring);
	run();
	assert_int_equal(fake.resumed, 0);
	assert_true(ring_quiet(fake.ring));
}

/* The guest may have been resumed and wait for just that: it asks for nothing more until it is answered. */
static void old_requests_of_a_resumed_guest_are_answered_without_being_told(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	fake.ready_left = 0; /* the partner is away */
	put_reads(4);
	run();
	ring_hold(fake.ring);
	fake.ready_left = UINT32_MAX;
	run();
	assert_int_equal(fake.got_count, 4);
	complete(0, 4);
	run();
	assert_int_equal(guest_responses(), 4);
	assert_int_equal(fake.resumed, 0);
	assert_true(ring_quiet(fake.ring));
}

/* The kick for the first request beyond the mark must come: nobody looks otherwise. */
static void a_held_ring_asks_for_an_event(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_reads(2);
	ring_hold(fake.ring);
	run();
	assert_int_equal(fake.front.sring->req_event, 3);
	assert_false(fake.masked);
	guest_put(BLKIF_OP_READ, 8, 1, 9);
	assert_true(guest_push());
	guest_kick();
	assert_true(event_waits());
}

static void after_the_hold_the_ring_goes_on_where_it_was(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_reads(1);
	ring_hold(fake.ring);
	put_reads(2);
	run();
	assert_int_equal(fake.got_count, 1);
	ring_unhold(fake.ring);
	run();
	assert_int_equal(fake.got_count, 3);
	assert_false(ring_quiet(fake.ring));
}

static void holding_again_moves_no_mark(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_reads(1);
	ring_hold(fake.ring);
	put_reads(1);
	ring_hold(fake.ring);
	assert_int_equal(ring_mark(fake.ring), 1);
	run();
	assert_int_equal(fake.got_count, 1);
}

static void a_hold_after_a_hold_is_a_new_one(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	ring_hold(fake.ring);
	put_reads(1);
	run();
	assert_int_equal(fake.resumed, 1);
	ring_unhold(fake.ring);
	run();
	complete(0, 1);
	ring_push(fake.ring);
	ring_hold(fake.ring);
	assert_int_equal(ring_mark(fake.ring), 1);
	assert_true(ring_quiet(fake.ring));
	put_reads(1);
	run();
	assert_int_equal(fake.resumed, 2);
}

static void the_mark_of_an_earlier_daemon_is_kept(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_reads(5);
	ring_hold_at(fake.ring, 3);
	assert_int_equal(ring_mark(fake.ring), 3);
	run();
	assert_int_equal(fake.got_count, 3);
	complete(0, 3);
	run();
	assert_int_equal(fake.resumed, 1);
	assert_int_equal(fake.got_count, 3);
}

/* Then everything in the ring lies beyond it: the guest is taken to be resumed, never to be silent. */
static void a_mark_that_cannot_be_becomes_the_point_of_attachment(void **state)
{
	static const uint32_t marks[] = { 6, 100, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		fake_start(0, 0, 1);
		put_reads(5);
		ring_hold_at(fake.ring, marks[i]);
		assert_int_equal(ring_mark(fake.ring), 0);
		run();
		assert_int_equal(fake.got_count, 0);
		assert_int_equal(fake.resumed, 1);
		finish(NULL);
		fake_setup(NULL);
	}
}

static void indices_wrap_under_a_hold(void **state)
{
	(void)state;
	fake_start(0, UINT32_MAX - 1, 1);
	put_reads(4);
	ring_hold(fake.ring);
	assert_int_equal(ring_mark(fake.ring), 2);
	run();
	assert_int_equal(fake.got_count, 4);
	complete(0, 4);
	ring_push(fake.ring);
	assert_true(ring_quiet(fake.ring));
	put_reads(1);
	assert_false(ring_quiet(fake.ring));
	run();
	assert_int_equal(fake.resumed, 1);
}

/* A full ring is marked, then the guest is resumed and fills it again as its answers come. */
static void a_full_ring_is_finished_up_to_the_mark(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	put_reads(32);
	ring_hold(fake.ring);
	run();
	assert_int_equal(fake.got_count, 32);
	complete(0, 32);
	run();
	assert_true(ring_quiet(fake.ring));
	for (unsigned int i = 0; i < 32; i++)
		guest_take();
	put_reads(32);
	run();
	assert_int_equal(fake.got_count, 32);
	assert_int_equal(fake.resumed, 1);
}

/* A guest that publishes what cannot be is broken under a hold too, and never quiet. */
static void a_hostile_index_is_not_quiet(void **state)
{
	(void)state;
	fake_start(0, 0, 1);
	ring_hold(fake.ring);
	fake.front.sring->req_prod = 1000;
	assert_false(ring_quiet(fake.ring));
	run();
	assert_int_equal(fake.broken, 1);
	assert_int_equal(fake.resumed, 0);
	fake.front.sring->req_prod = 0;
	ring_hold(fake.ring);
	run();
	assert_int_equal(fake.broken, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, finish)

static int all_tests(const char *name)
{
	const struct CMUnitTest tests[] = {
		T(what_was_in_the_ring_is_consumed_and_nothing_beyond),
		T(it_is_quiet_only_when_everything_up_to_the_mark_is_answered),
		T(an_idle_ring_is_quiet_when_it_is_held),
		T(a_request_beyond_the_mark_ends_the_quiet_before_anybody_runs_the_ring),
		T(a_request_beyond_the_mark_is_told_once),
		T(a_kick_alone_means_nothing),
		T(old_requests_of_a_resumed_guest_are_answered_without_being_told),
		T(a_held_ring_asks_for_an_event),
		T(after_the_hold_the_ring_goes_on_where_it_was),
		T(holding_again_moves_no_mark),
		T(a_hold_after_a_hold_is_a_new_one),
		T(the_mark_of_an_earlier_daemon_is_kept),
		T(a_mark_that_cannot_be_becomes_the_point_of_attachment),
		T(indices_wrap_under_a_hold),
		T(a_full_ring_is_finished_up_to_the_mark),
		T(a_hostile_index_is_not_quiet),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	return run_with_each_abi(all_tests, "ring-hold");
}
