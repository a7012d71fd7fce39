/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest is started and the partner is not there: for how long it is waited for, and what then (wfc-timeout, degr-wfc-timeout,
 * on-wfc-timeout; docs/HANDOVER.md, R17).
 */
#include "core-fixture.h"

static void wait_15_s(struct replicate_config *cfg)
{
	cfg->wfc_ms = 15000;
	cfg->degr_wfc_ms = 20000;
	cfg->claim_longest_ms = 27000;
}

static void wait_100_s(struct replicate_config *cfg)
{
	wait_15_s(cfg);
	cfg->wfc_ms = 100000;
}

static void degraded_1_s(struct replicate_config *cfg)
{
	wait_15_s(cfg);
	cfg->degr_wfc_ms = 1000;
}

static void for_ever(struct replicate_config *cfg)
{
	wait_15_s(cfg);
	cfg->wfc_ms = cfg->degr_wfc_ms = 0;
}

static void force(struct replicate_config *cfg)
{
	wait_15_s(cfg);
	cfg->wfc_force = true;
}

static void force_and_for_ever(struct replicate_config *cfg)
{
	for_ever(cfg);
	cfg->wfc_force = true;
}

static void force_and_fencing(struct replicate_config *cfg)
{
	force(cfg);
	cfg->fencing = FENCING_RESOURCE_ONLY;
}

/* Both hosts lost power; beta is back, and does not hold the token. alpha's data are the same, or newer by a write. */
static void beta_is_back(void (*configure)(struct replicate_config *cfg), bool newer)
{
	pair_new(configure);
	start(alpha);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	crash(beta, true);
	if (newer) {
		assert_true(request(alpha, 0, REQUEST_WRITE, 64));
		assert_int_equal(alpha->answered[0], 0);
	}
	crash(alpha, true);
	boot(beta);
}

static bool is_forced(const struct node *n)
{
	return n->sb.flags & SB_FORCED;
}

static void still_waits(struct node *n)
{
	assert_int_equal(n->claimed, 1);
	assert_int_equal(status_of(n).attachment, ATTACHMENT_CLAIMING);
}

static void is_refused(struct node *n, const char *words)
{
	assert_int_equal(n->claimed, -ETIMEDOUT);
	says(n->words, words);
	assert_int_equal(status_of(n).attachment, ATTACHMENT_NONE);
	assert_false(is_forced(n));
	assert_int_equal(n->sb.token, TOKEN_NONE);
}

static void a_start_waits_for_the_partner_as_long_as_wfc_timeout_says_and_is_refused(void **state)
{
	(void)state;
	beta_is_back(wait_15_s, false);
	wait_ms(1000);
	claim(beta);
	assert_string_equal(status_of(beta).awaited, "refuse");
	assert_int_equal(status_of(beta).awaited_ms, 14000);
	wait_ms(13999);
	still_waits(beta);
	wait_ms(1);
	is_refused(beta, "the partner alpha is not connected");
	says(beta->words, ", was waited for for the 15 s of wfc-timeout, and it may have newer data or a guest that runs");
	says(beta->words, "'backend-ctl primary --force r0' lets this node go on alone");
	assert_int_equal(status_of(beta).awaited_ms, 0);
	claim(beta); /* the wait is over: not once more */
	is_refused(beta, "was waited for");
}

static void a_wait_that_is_longer_than_xls_ends_in_time_and_says_how_to_wait(void **state)
{
	(void)state;
	beta_is_back(wait_100_s, false);
	claim(beta);
	wait_ms(26999);
	still_waits(beta);
	wait_ms(1);
	is_refused(beta, "and the wait for it (73 s more of wfc-timeout) is longer than xl's: 'backend-ctl wait-connect r0' waits as long");
	wait_ms(68000);
	claim(beta);
	wait_ms(4999);
	still_waits(beta);
	wait_ms(1);
	is_refused(beta, "was waited for for the 100 s of wfc-timeout");
}

/* block-drbdx and xl count from there, too. */
static void what_it_has_waited_for_the_disk_counts(void **state)
{
	struct claimant c = { .who = "guest g1", .waited_ms = 4000 };

	(void)state;
	beta_is_back(wait_100_s, false);
	beta->claimed = 1;
	replicate_claim(beta->core, &c, now_ms);
	run();
	wait_ms(22999);
	still_waits(beta);
	wait_ms(1);
	is_refused(beta, "is longer than xl's");
}

static void a_wait_for_ever_ends_with_the_claim(void **state)
{
	(void)state;
	beta_is_back(for_ever, false);
	assert_null(status_of(beta).awaited);
	claim(beta);
	wait_ms(11999);
	still_waits(beta);
	wait_ms(1);
	is_refused(beta, "), and it may have newer data");
	assert_null(strstr(beta->words, "wfc-timeout"));
}

/* A pair that was not whole when this node went down. */
static void after_a_degraded_run_degr_wfc_timeout_counts(void **state)
{
	(void)state;
	pair_new(degraded_1_s);
	start(alpha);
	crash(beta, true);
	assert_true(request(alpha, 0, REQUEST_WRITE, 0));
	assert_int_equal(alpha->answered[0], 0);
	crash(alpha, true);
	boot(alpha);
	assert_true(status_of(alpha).awaited_degraded);
	claim(alpha);
	wait_ms(2999); /* less is too little for a daemon that has just been started */
	still_waits(alpha);
	wait_ms(1);
	assert_int_equal(alpha->claimed, -ETIMEDOUT);
	says(alpha->words, "was waited for for the 1 s of degr-wfc-timeout");
}

static void the_wait_begins_when_the_connection_is_lost(void **state)
{
	(void)state;
	pair_new(wait_15_s);
	wait_ms(600000);
	assert_null(status_of(beta).awaited);
	cut();
	wait_ms(5000);
	claim(beta);
	wait_ms(9999);
	still_waits(beta);
	wait_ms(1);
	is_refused(beta, "was waited for for the 15 s of wfc-timeout");
}

static void a_connection_that_was_lost_a_moment_ago_is_waited_for_in_any_case(void **state)
{
	(void)state;
	pair_new(wait_15_s);
	beta->cfg.wfc_ms = 1000;
	crash(beta, false);
	boot(beta);
	join();
	wait_ms(60000);
	cut();
	claim(beta);
	wait_ms(1999);
	still_waits(beta);
	wait_ms(1);
	is_refused(beta, "was waited for");
}

static void a_partner_that_comes_in_time_is_asked(void **state)
{
	(void)state;
	beta_is_back(force, false);
	claim(beta);
	wait_ms(14000);
	still_waits(beta);
	boot(alpha);
	join();
	assert_int_equal(beta->claimed, 0);
	assert_int_equal(beta->sb.token, TOKEN_HELD);
	assert_false(is_forced(beta));
	wait_ms(60000);
	assert_false(is_forced(beta));
}

/* R12 */
static void who_certainly_has_the_token_does_not_wait(void **state)
{
	(void)state;
	pair_new(force);
	cut();
	wait_ms(3000);
	assert_string_equal(status_of(alpha).awaited, "start");
	claim(alpha);
	assert_int_equal(alpha->claimed, 0);
	assert_false(is_forced(alpha));
}

static void with_force_primary_a_guest_is_started_when_the_wait_is_over(void **state)
{
	uint64_t epoch, generation;

	(void)state;
	beta_is_back(force, false);
	epoch = beta->sb.epoch;
	generation = beta->sb.gen.current;
	claim(beta);
	assert_string_equal(status_of(beta).awaited, "force-primary");
	wait_ms(14999);
	still_waits(beta);
	assert_false(is_forced(beta));
	wait_ms(1);
	assert_int_equal(beta->claimed, 0);
	assert_int_equal(beta->sb.flags & (SB_FORCED | SB_FORCED_BY_WAIT), SB_FORCED | SB_FORCED_BY_WAIT);
	assert_int_equal(beta->sb.token, TOKEN_HELD);
	assert_int_equal(beta->sb.epoch, epoch + 2);
	assert_int_equal(beta->sb.base, epoch + 2);
	assert_int_equal(beta->sb.gen.bitmap, generation);
	assert_int_not_equal(beta->sb.gen.current, generation);
	replicate_activate(beta->core, "guest g1", true, now_ms);
	run();
	assert_true(request(beta, 1, REQUEST_WRITE, 128));
	assert_int_equal(beta->answered[1], 0);
	boot(alpha); /* the old holder: it becomes the target */
	join();
	assert_false(status_of(alpha).peer.flags & SB_FORCED_BY_WAIT); /* which an older drbdxd would not know */
	wait_ms(5000);
	assert_int_equal(status_of(alpha).disk, DISK_UP_TO_DATE);
	assert_int_equal(alpha->sb.token, TOKEN_NONE);
	assert_int_equal(alpha->sb.gen.current, beta->sb.gen.current);
	assert_int_equal(beta->sb.flags & (SB_FORCED | SB_FORCED_BY_WAIT), 0);
}

static void a_wait_that_was_over_before_lets_a_guest_start_at_once(void **state)
{
	(void)state;
	beta_is_back(force, false);
	wait_ms(600000);
	assert_false(is_forced(beta)); /* nothing is forced for nobody */
	claim(beta);
	assert_int_equal(beta->claimed, 0);
	assert_true(is_forced(beta));
}

static void a_partner_that_had_newer_data_is_a_split_brain(void **state)
{
	(void)state;
	beta_is_back(force, true);
	claim(beta);
	wait_ms(15000);
	assert_int_equal(beta->claimed, 0);
	boot(alpha);
	join();
	assert_int_equal(status_of(alpha).connection, CONNECTION_REFUSED);
	assert_int_equal(status_of(beta).connection, CONNECTION_REFUSED);
	says(status_of(beta).why, "split brain");
	assert_true(is_forced(beta));
}

static void it_is_remembered_by_what_it_was_forced(void **state)
{
	(void)state;
	beta_is_back(force, false);
	claim(beta);
	wait_ms(15000);
	assert_int_equal(beta->claimed, 0);
	crash(beta, true);
	boot(beta);
	assert_true(status_of(beta).superblock.flags & SB_FORCED_BY_WAIT);
	assert_int_equal(command(beta, COMMAND_PROMOTE), 0); /* and now a person has said so */
	assert_int_equal(beta->sb.flags & (SB_FORCED | SB_FORCED_BY_WAIT), SB_FORCED);
}

static void a_start_that_was_given_up_forces_nothing(void **state)
{
	(void)state;
	beta_is_back(force, false);
	claim(beta);
	wait_ms(10000);
	release(beta);
	assert_int_equal(beta->claimed, -ECANCELED);
	wait_ms(60000);
	assert_false(is_forced(beta));
}

/* ---- what speaks against its data ---- */

static void never_by_force(const char *words)
{
	claim(beta);
	wait_ms(60000);
	assert_int_not_equal(beta->claimed, 0);
	assert_int_not_equal(beta->claimed, 1);
	says(beta->words, words);
	assert_false(is_forced(beta));
	assert_int_not_equal(beta->sb.token, TOKEN_HELD);
}

static void never_with_outdated_data(void **state)
{
	(void)state;
	beta_is_back(force, false);
	assert_int_equal(command(beta, COMMAND_OUTDATE), 0);
	assert_string_equal(status_of(beta).awaited, "refuse");
	never_by_force("this node's copy is outdated");
}

static void never_with_a_mixture(void **state)
{
	(void)state;
	beta_is_back(force, false);
	crash(beta, true);
	beta->sb.flags &= ~(uint32_t)SB_CONSISTENT;
	boot(beta);
	never_by_force("this node's copy is a mixture of old and new");
}

static void never_before_the_two_have_met(void **state)
{
	(void)state;
	pair_new(force);
	crash(alpha, true);
	crash(beta, true);
	beta->sb = (struct superblock){ .name = "r0", .flags = SB_JUST_CREATED | SB_CONSISTENT | SB_BITMAP_SUMMED, .full_from = METADATA_NO_FULL,
					.al_extents = 16 };
	boot(beta);
	never_by_force("not connected");
}

static void never_without_a_time(void **state)
{
	(void)state;
	beta_is_back(force_and_for_ever, false);
	never_by_force("not connected");
}

static void never_where_the_two_refuse_each_other(void **state)
{
	(void)state;
	beta_is_back(force, false);
	alpha->sb.flags |= SB_OUTDATED;
	beta->sb.flags |= SB_OUTDATED;
	crash(beta, true);
	boot(alpha);
	boot(beta);
	join();
	assert_int_equal(status_of(beta).connection, CONNECTION_REFUSED);
	wait_ms(60000);
	never_by_force("r0 cannot be used");
}

/* A disk that is given up is not used either. */
static void never_without_a_disk(void **state)
{
	(void)state;
	pair_new(force);
	detach(beta);
	cut();
	wait_ms(60000);
	never_by_force("not connected");
}

static void with_fencing_the_handler_decides_and_not_the_time(void **state)
{
	(void)state;
	pair_new(force_and_fencing);
	crash(alpha, true);
	claim(beta);
	wait_ms(2000);
	assert_string_equal(status_of(beta).awaited, "fence");
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 1);
	wait_ms(15000 - 2000);
	still_waits(beta);
	wait_ms(2999);
	still_waits(beta);
	handled(beta, FENCE_FENCED_STONITHED);
	assert_int_equal(beta->claimed, 0);
	assert_int_equal(beta->sb.token, TOKEN_HELD);
	assert_false(is_forced(beta));
}

static void with_fencing_a_node_that_may_not_fence_is_refused(void **state)
{
	(void)state;
	beta_is_back(force_and_fencing, false);
	never_by_force("was waited for for the 15 s of wfc-timeout");
	assert_int_equal(beta->handler[HANDLER_FENCE_PEER], 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, pair_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_start_waits_for_the_partner_as_long_as_wfc_timeout_says_and_is_refused),
		TEST(a_wait_that_is_longer_than_xls_ends_in_time_and_says_how_to_wait),
		TEST(what_it_has_waited_for_the_disk_counts),
		TEST(a_wait_for_ever_ends_with_the_claim),
		TEST(after_a_degraded_run_degr_wfc_timeout_counts),
		TEST(the_wait_begins_when_the_connection_is_lost),
		TEST(a_connection_that_was_lost_a_moment_ago_is_waited_for_in_any_case),
		TEST(a_partner_that_comes_in_time_is_asked),
		TEST(who_certainly_has_the_token_does_not_wait),
		TEST(with_force_primary_a_guest_is_started_when_the_wait_is_over),
		TEST(a_wait_that_was_over_before_lets_a_guest_start_at_once),
		TEST(a_partner_that_had_newer_data_is_a_split_brain),
		TEST(it_is_remembered_by_what_it_was_forced),
		TEST(a_start_that_was_given_up_forces_nothing),
		TEST(never_with_outdated_data),
		TEST(never_with_a_mixture),
		TEST(never_before_the_two_have_met),
		TEST(never_without_a_time),
		TEST(never_where_the_two_refuse_each_other),
		TEST(never_without_a_disk),
		TEST(with_fencing_the_handler_decides_and_not_the_time),
		TEST(with_fencing_a_node_that_may_not_fence_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
