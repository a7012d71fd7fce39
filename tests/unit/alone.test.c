/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that is started without the partner, after its daemon was killed: what only one of the two disks may have is not read before
 * that disk's data have a generation of their own (docs/DEGRADED.md, D19), or the guest would rely on what the partner, promoted, has not got.
 */
#include "core-fixture.h"

#define GRACE_MS 3000u /* which a daemon that has just been started gives the connection */
#define EXTENT	 1024u /* sectors */

static void small_extents(struct replicate_config *cfg)
{
	cfg->extent_sectors = EXTENT;
}

static uint64_t generation(struct node *n)
{
	return status_of(n).superblock.gen.current;
}

/* alpha's daemon was killed while it wrote to the first extent; another guest is there, and the partner is not. */
static void crashed(void)
{
	pair_new(small_extents);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	assert_int_equal(alpha->answered[0], 0);
	crash(alpha, false);
	boot(alpha);
	wait_ms(GRACE_MS);
	start(alpha);
}

static void what_the_partner_may_lack_is_read_under_a_generation_of_its_own(void **state)
{
	uint64_t before;

	(void)state;
	crashed();
	before = generation(alpha);
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	assert_int_equal(alpha->answered[0], 1);
	assert_true(generation(alpha) == before);
	wait_ms(1);
	assert_int_equal(alpha->answered[0], 0);
	assert_true(generation(alpha) != before);
	assert_true(status_of(alpha).alone);
}

static void what_both_have_is_read_without(void **state)
{
	uint64_t before;

	(void)state;
	crashed();
	before = generation(alpha);
	assert_true(request(alpha, 0, REQUEST_READ, EXTENT));
	wait_ms(1);
	assert_int_equal(alpha->answered[0], 0);
	assert_true(generation(alpha) == before);
}

static void a_read_that_waits_is_answered_when_the_two_meet(void **state)
{
	uint64_t before;

	(void)state;
	crashed();
	before = generation(alpha);
	assert_true(request(alpha, 0, REQUEST_READ, 0));
	assert_int_equal(alpha->answered[0], 1);
	join();
	assert_int_equal(alpha->answered[0], 0);
	assert_true(generation(alpha) == before);
	assert_false(status_of(alpha).alone);
}

/* ---- the partner's program is replaced (docs/RESTART.md, section 7) ---- */

#define BACK_MS 3000u

/* beta's ends in order, and alpha's guest writes; with `ms` beta has said that it is back within that time. */
static void partner_leaves(uint32_t ms)
{
	if (ms)
		replicate_partner_restarts(alpha->core, ms, now_ms);
	cut();
	run();
	assert_true(request(alpha, 1, REQUEST_WRITE, 8));
	run();
}

static void a_partner_that_is_back_in_time_is_waited_for(void **state)
{
	uint64_t before;

	(void)state;
	pair_new(small_extents);
	start(alpha);
	before = generation(alpha);
	for (int i = 0; i < 3; i++) { /* each time anew */
		partner_leaves(BACK_MS);
		wait_ms(BACK_MS - 1);
		assert_int_equal(alpha->answered[1], 1);
		assert_true(generation(alpha) == before);
		says(status_of(alpha).frozen, "is not connected; the guest goes on alone in a moment");
		join();
		assert_int_equal(alpha->answered[1], 0);
		assert_true(generation(alpha) == before);
	}
}

static void one_that_is_not_is_done_without(void **state)
{
	uint64_t before;

	(void)state;
	pair_new(small_extents);
	start(alpha);
	before = generation(alpha);
	partner_leaves(BACK_MS);
	wait_ms(BACK_MS);
	assert_int_equal(alpha->answered[1], 0);
	assert_true(generation(alpha) != before);
	assert_true(status_of(alpha).alone);
}

/* That it is back soon is about this end of the connection, not about the next one. */
static void a_partner_that_has_not_said_so_is_done_without_at_once(void **state)
{
	uint64_t before;

	(void)state;
	pair_new(small_extents);
	start(alpha);
	before = generation(alpha);
	partner_leaves(BACK_MS);
	join();
	partner_leaves(0);
	wait_ms(1);
	assert_int_equal(alpha->answered[1], 0);
	assert_true(generation(alpha) != before);
}

#define TEST(name) cmocka_unit_test_teardown(name, pair_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_partner_may_lack_is_read_under_a_generation_of_its_own),
		TEST(what_both_have_is_read_without),
		TEST(a_read_that_waits_is_answered_when_the_two_meet),
		TEST(a_partner_that_is_back_in_time_is_waited_for),
		TEST(one_that_is_not_is_done_without),
		TEST(a_partner_that_has_not_said_so_is_done_without_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
