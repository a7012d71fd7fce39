/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.test.c: barriers over several queues: what may pass, when, and that nobody is kept waiting for nothing
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/gate.h"

static int a, b; /* two queues */
static struct request plain = { .op = REQUEST_WRITE }, barrier = { .op = REQUEST_WRITE, .barrier = true };

static void without_barriers_everything_passes(void **state)
{
	struct gate g = { 0 };

	(void)state;
	for (unsigned int i = 0; i < REQUESTS_MAX; i++) {
		assert_true(gate_opens(&g, i % 2 ? &a : &b, NULL));
		assert_true(gate_opens(&g, i % 2 ? &a : &b, &plain));
		gate_enter(&g, &plain);
	}
	assert_int_equal(g.in_flight, REQUESTS_MAX);
}

/* H25: whatever the number of queues, the disk has so many in flight; each has a tag of its own. */
static void there_are_as_many_in_flight_as_there_are_tags(void **state)
{
	static struct request all[REQUESTS_MAX];
	static bool seen[REQUESTS_MAX];
	struct gate g = { 0 };

	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		memset(seen, 0, sizeof(seen));
		for (unsigned int i = 0; i < REQUESTS_MAX; i++) {
			assert_true(gate_opens(&g, i % 3 ? &a : &b, &all[i]));
			gate_enter(&g, &all[i]);
			assert_true(all[i].tag < REQUESTS_MAX && !seen[all[i].tag]);
			seen[all[i].tag] = true;
		}
		assert_false(gate_opens(&g, &a, NULL));
		assert_false(gate_opens(&g, &b, &plain));
		gate_leave(&g, &all[77]);
		assert_true(gate_opens(&g, &b, &plain));
		gate_enter(&g, &all[77]);
		for (unsigned int i = 0; i < REQUESTS_MAX; i++)
			gate_leave(&g, &all[(i * 7 + round) % REQUESTS_MAX]);
		assert_int_equal(g.in_flight, 0);
	}
}

/* A large request of one queue is not kept waiting by small ones of another. */
static void the_next_room_is_for_who_found_none(void **state)
{
	struct gate g = { 0 };

	(void)state;
	gate_short(&g, &a, true);
	assert_false(gate_opens(&g, &b, NULL));
	assert_true(gate_opens(&g, &a, NULL));
	gate_short(&g, &b, true); /* one after the other */
	gate_short(&g, &b, false);
	assert_false(gate_opens(&g, &b, NULL));
	gate_short(&g, &a, false);
	assert_true(gate_opens(&g, &b, NULL));
	gate_short(&g, &b, true);
	gate_forget(&g, &b);
	assert_true(gate_opens(&g, &a, NULL));
}

/* It ends everything that holds room. */
static void a_barrier_goes_before_who_found_no_room(void **state)
{
	struct gate g = { 0 };

	(void)state;
	gate_enter(&g, &plain);
	assert_false(gate_opens(&g, &b, &barrier));
	gate_short(&g, &a, true);
	gate_leave(&g, &plain);
	assert_true(gate_opens(&g, &b, &barrier));
}

static void a_barrier_waits_for_what_is_in_flight_in_every_queue_and_then_runs_alone(void **state)
{
	struct gate g = { 0 };

	(void)state;
	gate_enter(&g, &plain); /* of either */
	gate_enter(&g, &plain);
	assert_true(gate_opens(&g, &a, NULL));
	assert_false(gate_opens(&g, &a, &barrier));
	assert_false(gate_opens(&g, &b, NULL)); /* nothing more is begun meanwhile, */
	assert_false(gate_opens(&g, &b, &plain));
	assert_false(gate_opens(&g, &b, &barrier));
	assert_false(gate_opens(&g, &a, NULL)); /* and it need not be looked at */
	gate_leave(&g, &plain);
	assert_false(gate_opens(&g, &a, &barrier));
	gate_leave(&g, &plain);
	assert_false(gate_opens(&g, &b, NULL)); /* a had it first */
	assert_true(gate_opens(&g, &a, NULL));
	assert_true(gate_opens(&g, &a, &barrier));
	gate_enter(&g, &barrier);
	assert_false(gate_opens(&g, &a, NULL));
	assert_false(gate_opens(&g, &b, NULL));
	assert_false(gate_opens(&g, &b, &barrier));
	gate_leave(&g, &barrier);
	assert_true(gate_opens(&g, &b, &barrier));
	assert_true(gate_opens(&g, &b, &plain));
}

static void a_barrier_that_finds_nothing_in_flight_does_not_wait(void **state)
{
	struct gate g = { 0 };

	(void)state;
	assert_true(gate_opens(&g, &a, &barrier));
	assert_null(g.waits);
	assert_true(gate_opens(&g, &b, &plain)); /* it was not executed, for another reason */
}

/* A guest may write over what is in its ring; its device may close. */
static void who_does_not_wait_any_more_keeps_nobody_waiting(void **state)
{
	struct gate g = { 0 };

	(void)state;
	gate_enter(&g, &plain);
	assert_false(gate_opens(&g, &a, &barrier));
	gate_leave(&g, &plain);
	assert_true(gate_opens(&g, &a, &plain));
	assert_true(gate_opens(&g, &b, NULL));
	gate_enter(&g, &plain);
	assert_false(gate_opens(&g, &a, &barrier));
	gate_forget(&g, &b);
	assert_false(gate_opens(&g, &b, NULL));
	gate_forget(&g, &a);
	assert_true(gate_opens(&g, &b, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_barriers_everything_passes),
		cmocka_unit_test(there_are_as_many_in_flight_as_there_are_tags),
		cmocka_unit_test(the_next_room_is_for_who_found_none),
		cmocka_unit_test(a_barrier_goes_before_who_found_no_room),
		cmocka_unit_test(a_barrier_waits_for_what_is_in_flight_in_every_queue_and_then_runs_alone),
		cmocka_unit_test(a_barrier_that_finds_nothing_in_flight_does_not_wait),
		cmocka_unit_test(who_does_not_wait_any_more_keeps_nobody_waiting),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
