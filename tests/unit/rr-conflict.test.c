/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Primary whose data would lose (rr-conflict): the two stay apart until its guest is gone, and meet again by themselves then.
 */
#include "core-fixture.h"

static void call_pri_lost(struct replicate_config *cfg)
{
	cfg->call_pri_lost = true;
}

/* alpha's guest runs on, cut off, and somebody forces beta meanwhile. */
static void force_beta(void (*configure)(struct replicate_config *cfg))
{
	pair_new(configure);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	cut();
	wait_ms(5000);
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
	assert_int_equal(status_of(beta).connection, CONNECTION_REFUSED);
	says(status_of(alpha).why, "shut it down");
}

static void the_two_meet_again_when_the_guest_is_gone(void **state)
{
	(void)state;
	force_beta(NULL);
	assert_true(request(alpha, 1, REQUEST_READ, 0)); /* it goes on with what it knows */
	wait_ms(60000);
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
	release(alpha);
	assert_int_equal(status_of(alpha).connection, CONNECTION_DISCONNECTED);
	join();
	wait_ms(5000);
	assert_int_equal(status_of(alpha).connection, CONNECTION_CONNECTED);
	assert_int_equal(alpha->sb.token, TOKEN_NONE);
	assert_int_equal(alpha->sb.gen.current, beta->sb.gen.current);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
}

/* Other policies are asked when there is one guest less; without any it stays a person's to decide. */
static void a_split_brain_is_looked_at_again_when_the_guest_is_gone(void **state)
{
	(void)state;
	pair_new(NULL);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	cut();
	assert_true(request(alpha, 0, REQUEST_WRITE, 8));
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
	says(status_of(alpha).why, "split brain");
	release(alpha);
	assert_int_equal(status_of(alpha).connection, CONNECTION_DISCONNECTED);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
	says(status_of(alpha).why, "split brain");
}

static void pri_lost_is_run_only_if_the_policy_says_so(void **state)
{
	(void)state;
	force_beta(NULL);
	assert_int_equal(alpha->handler[HANDLER_PRI_LOST], 0);
	assert_int_equal(alpha->handler[HANDLER_PRI_LOST_AFTER_SB], 0);
	pair_free(NULL);
	force_beta(call_pri_lost);
	assert_int_equal(alpha->handler[HANDLER_PRI_LOST], 1);
	assert_int_equal(alpha->handler[HANDLER_PRI_LOST_AFTER_SB], 0);
	assert_int_equal(beta->handler[HANDLER_PRI_LOST], 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, pair_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_two_meet_again_when_the_guest_is_gone),
		TEST(a_split_brain_is_looked_at_again_when_the_guest_is_gone),
		TEST(pri_lost_is_run_only_if_the_policy_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
