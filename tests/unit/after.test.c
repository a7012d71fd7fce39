/* SPDX-License-Identifier: GPL-2.0-or-later */
/* after.c: resync-after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/after.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define AWAITED(all, i) after_awaited(all, COUNT(all), i)

static void expect(const struct after *all, size_t n, size_t i, const char *name)
{
	const struct after *awaited = after_awaited(all, n, i);

	if (!name) {
		assert_null(awaited);
		return;
	}
	assert_non_null(awaited);
	assert_string_equal(awaited->name, name);
}
#define EXPECT(all, i, name) expect(all, COUNT(all), i, name)

static void who_names_nobody_waits_for_nobody(void **state)
{
	const struct after all[] = { { "a", NULL, true }, { "b", NULL, true } };

	(void)state;
	EXPECT(all, 0, NULL);
	EXPECT(all, 1, NULL);
}

static void a_resync_waits_for_that_of_the_resource_that_is_named_as_long_as_it_lasts(void **state)
{
	struct after all[] = { { "b", "a", true }, { "a", NULL, true } };

	(void)state;
	EXPECT(all, 0, "a");
	EXPECT(all, 1, NULL);
	all[1].resyncing = false;
	EXPECT(all, 0, NULL);
}

static void a_resource_that_is_not_being_resynced_is_told_as_well_so_that_its_resync_begins_held(void **state)
{
	const struct after all[] = { { "a", NULL, true }, { "b", "a", false } };

	(void)state;
	EXPECT(all, 1, "a");
}

static void in_a_chain_all_that_come_before_count_and_the_nearest_is_named(void **state)
{
	struct after all[] = { { "a", NULL, true }, { "b", "a", false }, { "c", "b", true }, { "d", "c", true } };

	(void)state;
	EXPECT(all, 1, "a");
	EXPECT(all, 2, "a"); /* through b, which has nothing to copy */
	EXPECT(all, 3, "c");
	all[2].resyncing = false;
	EXPECT(all, 3, "a");
	all[0].resyncing = false;
	EXPECT(all, 3, NULL);
}

static void two_may_wait_for_the_same_one_and_then_go_together(void **state)
{
	struct after all[] = { { "a", NULL, true }, { "b", "a", true }, { "c", "a", true } };

	(void)state;
	EXPECT(all, 1, "a");
	EXPECT(all, 2, "a");
	all[0].resyncing = false;
	EXPECT(all, 1, NULL);
	EXPECT(all, 2, NULL);
}

static void a_name_that_nobody_has_is_not_waited_for(void **state)
{
	const struct after all[] = { { "b", "gone", true }, { "c", "b", true } };

	(void)state;
	EXPECT(all, 0, NULL);
	EXPECT(all, 1, "b");
}

static void who_names_itself_waits_for_nobody(void **state)
{
	const struct after all[] = { { "a", "a", true } };

	(void)state;
	EXPECT(all, 0, NULL);
}

static void on_a_circle_nobody_waits_and_who_leads_to_it_does(void **state)
{
	struct after all[] = { { "a", "b", true }, { "b", "c", true }, { "c", "a", true }, { "d", "b", true } };

	(void)state;
	EXPECT(all, 0, NULL);
	EXPECT(all, 1, NULL);
	EXPECT(all, 2, NULL);
	EXPECT(all, 3, "b");
	all[1].resyncing = false;
	EXPECT(all, 3, "c");
	all[0].resyncing = all[2].resyncing = false; /* and the way round ends */
	EXPECT(all, 3, NULL);
}

/* Whatever names whom: of those that are being resynced, one may always go on. */
static void somebody_always_goes_on(void **state)
{
	enum { N = 4, CHOICES = N + 1 };
	static const char *const names[CHOICES] = { "a", "b", "c", "d", NULL };
	struct after all[N];

	(void)state;
	for (unsigned int graph = 0; graph < CHOICES * CHOICES * CHOICES * CHOICES; graph++)
		for (unsigned int resyncing = 1; resyncing < 1u << N; resyncing++) {
			unsigned int code = graph, going = 0;

			for (size_t i = 0; i < N; i++, code /= CHOICES)
				all[i] = (struct after){ names[i], names[code % CHOICES], resyncing >> i & 1 };
			for (size_t i = 0; i < N; i++)
				going += all[i].resyncing && !AWAITED(all, i);
			assert_true(going);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_names_nobody_waits_for_nobody),
		cmocka_unit_test(a_resync_waits_for_that_of_the_resource_that_is_named_as_long_as_it_lasts),
		cmocka_unit_test(a_resource_that_is_not_being_resynced_is_told_as_well_so_that_its_resync_begins_held),
		cmocka_unit_test(in_a_chain_all_that_come_before_count_and_the_nearest_is_named),
		cmocka_unit_test(two_may_wait_for_the_same_one_and_then_go_together),
		cmocka_unit_test(a_name_that_nobody_has_is_not_waited_for),
		cmocka_unit_test(who_names_itself_waits_for_nobody),
		cmocka_unit_test(on_a_circle_nobody_waits_and_who_leads_to_it_does),
		cmocka_unit_test(somebody_always_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
