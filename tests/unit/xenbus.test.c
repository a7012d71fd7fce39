/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XenBus table: complete, and right for all the orders in which frontends move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "xenstore/xenbus.h"

#define P(name) XENBUS_PHASE_##name
#define E(name) XENBUS_EVENT_##name

static void every_cell_is_defined(void **state)
{
	(void)state;
	for (enum xenbus_phase p = 0; p < XENBUS_PHASE_COUNT; p++)
		for (enum xenbus_event e = 0; e < XENBUS_EVENT_COUNT; e++) {
			struct xenbus_cell c = xenbus_step(p, e);

			if (!(c.actions & XENBUS_DEFINED) || c.next >= XENBUS_PHASE_COUNT)
				fail_msg("%s + %s is not defined", xenbus_phase_name(p),
					 xenbus_event_name(e));
		}
}

static bool has_ring(enum xenbus_phase p)
{
	return p == P(ATTACHING) || p == P(SERVING) || p == P(CLOSING) || p == P(DETACHING) ||
	       p == P(RELEASING) || p == P(LEAVING);
}

static void state_6_is_never_written_while_a_ring_may_be_mapped(void **state)
{
	(void)state;
	for (enum xenbus_phase p = 0; p < XENBUS_PHASE_COUNT; p++)
		for (enum xenbus_event e = 0; e < XENBUS_EVENT_COUNT; e++)
			if (has_ring(p))
				assert_false(xenbus_step(p, e).actions & XENBUS_WRITE_6);
}

static void state_4_is_written_only_when_the_resource_serves_the_ring(void **state)
{
	(void)state;
	for (enum xenbus_phase p = 0; p < XENBUS_PHASE_COUNT; p++)
		for (enum xenbus_event e = 0; e < XENBUS_EVENT_COUNT; e++)
			if (xenbus_step(p, e).actions & XENBUS_CONNECT) {
				assert_int_equal(p, P(ATTACHING));
				assert_int_equal(e, E(ATTACHED));
			}
}

static void a_ring_is_attached_only_where_none_is(void **state)
{
	(void)state;
	for (enum xenbus_phase p = 0; p < XENBUS_PHASE_COUNT; p++)
		for (enum xenbus_event e = 0; e < XENBUS_EVENT_COUNT; e++)
			if (xenbus_step(p, e).actions & XENBUS_ATTACH)
				assert_false(has_ring(p));
}

static void a_ring_is_left_only_through_detach_or_release(void **state)
{
	(void)state;
	for (enum xenbus_phase p = 0; p < XENBUS_PHASE_COUNT; p++)
		for (enum xenbus_event e = 0; e < XENBUS_EVENT_COUNT; e++) {
			struct xenbus_cell c = xenbus_step(p, e);

			if (p != P(ATTACHING) && p != P(SERVING) && p != P(CLOSING))
				continue;
			if (has_ring(c.next) || e == E(BROKEN) || e == E(ATTACH_FAILED))
				continue;
			fail_msg("%s + %s leaves a mapped ring behind", xenbus_phase_name(p),
				 xenbus_event_name(e));
		}
}

static void offline_and_vanished_end_every_phase(void **state)
{
	(void)state;
	for (enum xenbus_phase p = 0; p < XENBUS_PHASE_COUNT; p++) {
		enum xenbus_phase off = xenbus_step(p, E(OFFLINE)).next,
				  gone = xenbus_step(p, E(VANISHED)).next;

		assert_int_equal(gone, P(LEAVING));
		if (p != P(LEAVING))
			assert_true(off == P(RELEASING) || off == P(OFFLINE));
	}
}

struct step { enum xenbus_event event; enum xenbus_phase next; unsigned int actions; };

static void walk(enum xenbus_phase p, const struct step *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct xenbus_cell c = xenbus_step(p, s[i].event);

		if (c.next != s[i].next || c.actions != (s[i].actions | XENBUS_DEFINED))
			fail_msg("step %zu: %s + %s gives %s, %#x", i, xenbus_phase_name(p),
				 xenbus_event_name(s[i].event), xenbus_phase_name(c.next), c.actions);
		p = c.next;
	}
}
#define WALK(from, ...) walk(P(from), (const struct step[]){ __VA_ARGS__ }, \
			     sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step))

static void a_guest_connects_1_3_4(void **state)
{
	(void)state;
	WALK(FOUND, {E(TAKEN), P(WAIT), XENBUS_PUBLISH}, {E(FE_INIT), P(WAIT), 0}, {E(FE_EARLY), P(WAIT), 0},
	     {E(FE_READY), P(ATTACHING), XENBUS_ATTACH}, {E(FE_SAME), P(ATTACHING), 0},
	     {E(ATTACHED), P(SERVING), XENBUS_CONNECT}, {E(FE_SAME), P(SERVING), 0});
}

static void a_guest_closes_5_6_and_opens_again(void **state)
{
	(void)state;
	WALK(SERVING, {E(FE_CLOSING), P(CLOSING), XENBUS_WRITE_5},
	     {E(FE_CLOSED), P(DETACHING), XENBUS_DETACH}, {E(DETACHED), P(DETACHED), 0},
	     {E(FE_CLOSED), P(CLOSED), XENBUS_WRITE_6}, {E(FE_INIT), P(WAIT), XENBUS_PUBLISH});
}

static void a_guest_closes_without_5(void **state)
{
	(void)state;
	WALK(SERVING, { E(FE_CLOSED), P(DETACHING), XENBUS_DETACH }, { E(FE_CLOSED), P(DETACHING), 0 },
	     { E(DETACHED), P(DETACHED), 0 }, { E(FE_CLOSED), P(CLOSED), XENBUS_WRITE_6 });
}

static void state_5_is_answered_even_if_never_connected(void **state)
{
	(void)state;
	WALK(WAIT, {E(FE_CLOSING), P(CLOSING_IDLE), XENBUS_WRITE_5},
	     {E(FE_CLOSED), P(CLOSED), XENBUS_WRITE_6}, {E(FE_CLOSING), P(CLOSING_IDLE), XENBUS_WRITE_5},
	     {E(FE_INIT), P(WAIT), XENBUS_PUBLISH});
}

static void another_ring_is_attached_after_the_old_one_is_gone(void **state)
{
	(void)state;
	WALK(SERVING, { E(FE_READY), P(DETACHING), XENBUS_DETACH }, { E(FE_READY), P(DETACHING), 0 },
	     { E(DETACHED), P(DETACHED), 0 }, { E(FE_READY), P(WAIT), XENBUS_PUBLISH },
	     { E(FE_READY), P(ATTACHING), XENBUS_ATTACH });
}

static void a_closed_frontend_that_skips_1_is_opened(void **state)
{
	(void)state;
	WALK(CLOSED, { E(FE_READY), P(WAIT), XENBUS_PUBLISH }, { E(FE_READY), P(ATTACHING), XENBUS_ATTACH });
}

static void the_toolstack_removes_a_served_disk(void **state)
{
	(void)state;
	WALK(SERVING, { E(OFFLINE), P(RELEASING), XENBUS_RELEASE }, { E(FE_CLOSED), P(RELEASING), 0 },
	     { E(RELEASED), P(RELEASED), 0 }, { E(OFFLINE), P(OFFLINE), XENBUS_WRITE_6 },
	     { E(VANISHED), P(LEAVING), XENBUS_FORGET });
}

static void the_directory_vanishes_while_the_ring_is_being_attached(void **state)
{
	(void)state;
	WALK(ATTACHING, { E(VANISHED), P(LEAVING), XENBUS_RELEASE }, { E(ATTACHED), P(LEAVING), 0 },
	     { E(RELEASED), P(LEAVING), XENBUS_FORGET });
}

static void a_hostile_ring_is_not_attached_again_before_it_closes(void **state)
{
	(void)state;
	WALK(SERVING, { E(BROKEN), P(FAILED), XENBUS_ERROR | XENBUS_WRITE_5 }, { E(FE_READY), P(FAILED), 0 },
	     { E(FE_CLOSED), P(CLOSED), XENBUS_WRITE_6 }, { E(FE_INIT), P(WAIT), XENBUS_PUBLISH });
}

static void a_state_changed_by_someone_else_is_an_alarm_and_repaired(void **state)
{
	(void)state;
	WALK(SERVING, { E(DISTURBED), P(SERVING), XENBUS_ALARM | XENBUS_TAKE | XENBUS_RESTORE });
	WALK(WAIT, { E(DISTURBED), P(WAIT), XENBUS_TAKE | XENBUS_RESTORE });
}

static void a_state_that_is_none_gets_words_and_nothing_else(void **state)
{
	(void)state;
	WALK(SERVING, { E(FE_GARBAGE), P(SERVING), XENBUS_ERROR });
	WALK(WAIT, { E(FE_GARBAGE), P(WAIT), XENBUS_ERROR });
}

static void names_follow_the_lists(void **state)
{
	(void)state;
	assert_string_equal(xenbus_phase_name(P(CLOSING_IDLE)), "CLOSING_IDLE");
	assert_string_equal(xenbus_event_name(E(FE_GARBAGE)), "FE_GARBAGE");
	assert_string_equal(xenbus_event_name(XENBUS_EVENT_NONE), "NONE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_defined),
		cmocka_unit_test(state_6_is_never_written_while_a_ring_may_be_mapped),
		cmocka_unit_test(state_4_is_written_only_when_the_resource_serves_the_ring),
		cmocka_unit_test(a_ring_is_attached_only_where_none_is),
		cmocka_unit_test(a_ring_is_left_only_through_detach_or_release),
		cmocka_unit_test(offline_and_vanished_end_every_phase),
		cmocka_unit_test(a_guest_connects_1_3_4),
		cmocka_unit_test(a_guest_closes_5_6_and_opens_again),
		cmocka_unit_test(a_guest_closes_without_5),
		cmocka_unit_test(state_5_is_answered_even_if_never_connected),
		cmocka_unit_test(another_ring_is_attached_after_the_old_one_is_gone),
		cmocka_unit_test(a_closed_frontend_that_skips_1_is_opened),
		cmocka_unit_test(the_toolstack_removes_a_served_disk),
		cmocka_unit_test(the_directory_vanishes_while_the_ring_is_being_attached),
		cmocka_unit_test(a_hostile_ring_is_not_attached_again_before_it_closes),
		cmocka_unit_test(a_state_changed_by_someone_else_is_an_alarm_and_repaired),
		cmocka_unit_test(a_state_that_is_none_gets_words_and_nothing_else),
		cmocka_unit_test(names_follow_the_lists),
	};

	return cmocka_run_group_tests_name("xenbus", tests, NULL, NULL);
}
