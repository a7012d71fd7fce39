/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.test.c: barriers over several queues: what may pass, when, and that nobody is kept waiting for nothing
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/gate.h"

static int a, b; /* two queues */
static const struct request plain = { .op = REQUEST_WRITE }, barrier = { .op = REQUEST_WRITE, .barrier = true };

static void without_barriers_everything_passes(void **state)
{
	struct gate g = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_true(gate_opens(&g, i % 2 ? &a : &b, NULL));
		assert_true(gate_opens(&g, i % 2 ? &a : &b, &plain));
		gate_enter(&g, &plain);
	}
	assert_int_equal(g.in_flight, 1000);
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
		cmocka_unit_test(a_barrier_waits_for_what_is_in_flight_in_every_queue_and_then_runs_alone),
		cmocka_unit_test(a_barrier_that_finds_nothing_in_flight_does_not_wait),
		cmocka_unit_test(who_does_not_wait_any_more_keeps_nobody_waiting),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
