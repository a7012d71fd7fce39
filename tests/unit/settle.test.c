/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle.c: what two nodes do when they meet: who has the token, whose data count.  Each row by name; then every
 * combination of small values, for the properties that hold of all.  Which generation is newer is generation.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "backend/replicate.h"
#include "backend/settle.h"
#include "words.h"

static const struct features full = {
	.sectors = 1000, .block_size = 512, .max_segments = 256, .ring_order = 4, .queues = 1
};

static struct packet_hello hello(enum token token, uint64_t epoch, uint64_t base, int who)
{
	struct packet_hello h = { .token = (uint8_t)token,
				  .flags = SB_CONSISTENT,
				  .epoch = epoch,
				  .base = base,
				  .gen = { .current = 7 },
				  .agreed = full,
				  .offer = full };

	memset(h.device_uuid, who, sizeof(h.device_uuid));
	return h;
}

static struct packet_hello fresh(int who)
{
	struct packet_hello h = hello(TOKEN_NONE, 0, 0, who);

	h.flags = SB_CONSISTENT | SB_JUST_CREATED;
	h.gen.current = 0;
	memset(&h.agreed, 0, sizeof(h.agreed));
	return h;
}

static char words[REPLICATE_TEXT];
static struct generation_decision data_here, data_there;

static enum settle_verdict meet(const struct packet_hello *a, const struct packet_hello *b,
				enum settle_verdict *other)
{
	struct settle_side one = { "alpha", a, true }, two = { "beta", b, false };
	char unused[REPLICATE_TEXT];
	struct settle_side long_one = { LONGEST_HOST_A, a, true }, long_two = { LONGEST_HOST_B, b, false };

	if (settle(LONGEST_RESOURCE, &long_one, &long_two, &data_here, words, sizeof(words)) == SETTLE_REFUSE)
		has_way_out("a meeting", words, sizeof(words));
	*other = settle("r0", &two, &one, &data_there, unused, sizeof(unused));
	return settle("r0", &one, &two, &data_here, words, sizeof(words));
}

static enum sync_verdict mirrored(enum sync_verdict v)
{
	switch (v) {
	case SYNC_SOURCE:
		return SYNC_TARGET;
	case SYNC_TARGET:
		return SYNC_SOURCE;
	case SYNC_SOURCE_FULL:
		return SYNC_TARGET_FULL;
	case SYNC_TARGET_FULL:
		return SYNC_SOURCE_FULL;
	default:
		return v;
	}
}

static void expect(struct packet_hello a, struct packet_hello b, enum settle_verdict here,
		   enum settle_verdict there)
{
	enum settle_verdict other, verdict = meet(&a, &b, &other);

	assert_int_equal(verdict, here);
	assert_int_equal(other, there);
	assert_int_equal(data_there.verdict, mirrored(data_here.verdict));
	if (verdict == SETTLE_REFUSE)
		assert_true(strlen(words) > 20);
}

/* and whose data count, as this side sees it */
static void expect_data(struct packet_hello a, struct packet_hello b, enum settle_verdict here,
			enum settle_verdict there, enum sync_verdict data)
{
	expect(a, b, here, there);
	assert_int_equal(data_here.verdict, data);
}

static void the_holder_keeps_and_the_other_adopts(void **u)
{
	(void)u;
	expect(hello(TOKEN_HELD, 3, 3, 1), hello(TOKEN_NONE, 3, 3, 2), SETTLE_KEEP, SETTLE_ADOPT);
	expect(hello(TOKEN_GIVEN, 3, 2, 1), hello(TOKEN_HELD, 3, 2, 2), SETTLE_ADOPT, SETTLE_KEEP);
}

/* handover_connected() sends GIVE again; what must not happen is that the other one's epoch passes it. */
static void a_token_on_its_way_is_not_swallowed(void **u)
{
	(void)u;
	expect(hello(TOKEN_GIVEN, 4, 3, 1), hello(TOKEN_NONE, 3, 3, 2), SETTLE_KEEP, SETTLE_KEEP);
	expect(hello(TOKEN_GIVEN, 4, 3, 1), hello(TOKEN_GIVEN, 5, 4, 2), SETTLE_KEEP, SETTLE_KEEP);
}

static void two_holders_with_the_same_data_are_refused(void **u)
{
	(void)u;
	expect(hello(TOKEN_HELD, 3, 3, 1), hello(TOKEN_HELD, 4, 4, 2), SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "both hold the token"));
}

/* One was promoted by force while the other one served nobody: its data are newer, and its epoch passes the other's. */
static void a_promotion_by_force_wins_over_a_holder_without_newer_data(void **u)
{
	struct packet_hello old = hello(TOKEN_HELD, 9, 3, 1), forced = hello(TOKEN_HELD, 5, 3, 2);

	(void)u;
	forced.gen = (struct generations){ .current = 9, .bitmap = 7 };
	forced.bits = 1;
	expect_data(old, forced, SETTLE_ADOPT, SETTLE_RAISE, SYNC_TARGET);
	assert_int_equal(settle_raised(&old, &forced), 10);
	assert_int_equal(settle_raised(&forced, &old), 10);
}

/* The other one was promoted by force when the disk here had failed. */
static void of_two_holders_the_only_disk_stays_unless_a_guest_is_without_one(void **u)
{
	struct packet_hello without = hello(TOKEN_HELD, 9, 3, 1), forced = hello(TOKEN_HELD, 5, 5, 2);

	(void)u;
	without.diskless = 1;
	forced.gen = (struct generations){ .current = 9, .bitmap = 7 };
	expect_data(without, forced, SETTLE_ADOPT, SETTLE_RAISE, SYNC_NONE);
	without.primary = 1;
	expect(without, forced, SETTLE_REFUSE, SETTLE_REFUSE);
	without.gen = forced.gen;
	expect(without, forced, SETTLE_REFUSE, SETTLE_REFUSE);
}

static void both_changed_is_split_brain(void **u)
{
	struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1), b = hello(TOKEN_HELD, 5, 5, 2);

	(void)u;
	a.gen = (struct generations){ .current = 8, .bitmap = 7 };
	b.gen = (struct generations){ .current = 9, .bitmap = 7 };
	expect_data(a, b, SETTLE_REFUSE, SETTLE_REFUSE, SYNC_SPLIT_BRAIN);
	assert_non_null(strstr(words, "discard-my-data"));
	a.discard = 1;
	expect_data(a, b, SETTLE_ADOPT, SETTLE_RAISE, SYNC_TARGET);
}

/* Its guest would find a disk that has changed under it. */
static void a_primary_does_not_lose_what_its_guest_has_seen(void **u)
{
	struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1), b = hello(TOKEN_HELD, 5, 5, 2);

	(void)u;
	a.gen = (struct generations){ .current = 8, .bitmap = 7 };
	b.gen = (struct generations){ .current = 9, .bitmap = 7 };
	a.discard = a.primary = 1;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
}

static void who_went_on_alone_is_the_source(void **u)
{
	struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1), b = hello(TOKEN_NONE, 3, 3, 2);

	(void)u;
	a.gen = (struct generations){ .current = 8, .bitmap = 7 };
	a.bits = 12;
	a.primary = 1;
	expect_data(a, b, SETTLE_KEEP, SETTLE_ADOPT, SYNC_SOURCE);
}

static void a_resync_that_was_interrupted_goes_on(void **u)
{
	struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1), b = hello(TOKEN_NONE, 3, 3, 2);

	(void)u;
	b.flags = 0;
	b.bits = 5;
	expect_data(a, b, SETTLE_KEEP, SETTLE_ADOPT, SYNC_SOURCE);
	a.flags = 0;
	b.flags = SB_CONSISTENT;
	expect_data(a, b, SETTLE_KEEP, SETTLE_ADOPT, SYNC_TARGET);
}

static void no_holder_at_all_is_refused_with_the_way_out(void **u)
{
	(void)u;
	expect(hello(TOKEN_NONE, 3, 3, 1), hello(TOKEN_NONE, 3, 3, 2), SETTLE_REFUSE, SETTLE_REFUSE);
	expect(hello(TOKEN_GIVEN, 3, 3, 1), hello(TOKEN_NONE, 4, 3, 2), SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "primary --force"));
}

static void a_holder_that_remembers_less_is_refused(void **u)
{
	(void)u;
	expect(hello(TOKEN_HELD, 3, 3, 1), hello(TOKEN_NONE, 4, 4, 2), SETTLE_REFUSE, SETTLE_REFUSE);
	expect(hello(TOKEN_HELD, 4, 2, 1), hello(TOKEN_NONE, 4, 3, 2), SETTLE_REFUSE, SETTLE_REFUSE);
}

static void two_new_nodes_pair_and_one_leads(void **u)
{
	(void)u;
	expect(fresh(1), fresh(2), SETTLE_PAIR_LEAD, SETTLE_PAIR_FOLLOW);
}

static void new_volumes_of_different_size_are_not_identical(void **u)
{
	struct packet_hello a = fresh(1), b = fresh(2);

	(void)u;
	b.offer.sectors = 1008;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "different sizes"));
	a.offer.block_size = 4096; /* a partial block is no difference */
	a.offer.sectors = 1000;
	b.offer.sectors = 1007;
	expect(a, b, SETTLE_PAIR_LEAD, SETTLE_PAIR_FOLLOW);
}

static void a_pairing_that_only_one_node_stored_is_repeated(void **u)
{
	(void)u;
	expect(hello(TOKEN_HELD, 1, 0, 1), fresh(2), SETTLE_PAIR_LEAD, SETTLE_PAIR_FOLLOW);
	expect(fresh(1), hello(TOKEN_HELD, 1, 0, 2), SETTLE_PAIR_FOLLOW, SETTLE_PAIR_LEAD);
	expect(fresh(1), hello(TOKEN_NONE, 1, 0, 2), SETTLE_REFUSE, SETTLE_REFUSE);
}

static void a_new_node_beside_one_that_served_guests_gets_everything(void **u)
{
	struct packet_hello new = fresh(1), old = hello(TOKEN_HELD, 2, 2, 2);

	(void)u;
	expect_data(new, old, SETTLE_PAIR_FOLLOW, SETTLE_PAIR_LEAD, SYNC_TARGET_FULL);
	new.flags &= ~SB_CONSISTENT;
	expect_data(new, old, SETTLE_PAIR_FOLLOW, SETTLE_PAIR_LEAD, SYNC_TARGET_FULL);
	old.flags = 0; /* it cannot be copied from */
	expect(new, old, SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "inconsistent"));
	old.flags = SB_CONSISTENT;
	old.diskless = 1;
	expect(new, old, SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "has failed"));
}

static void of_two_new_nodes_the_one_declared_good_is_the_source(void **u)
{
	struct packet_hello a = fresh(1), b = fresh(2);

	(void)u;
	a.flags &= ~SB_CONSISTENT;
	expect_data(a, b, SETTLE_PAIR_FOLLOW, SETTLE_PAIR_LEAD, SYNC_TARGET_FULL);
	a.offer.sectors = 2000; /* larger is fine, smaller is not */
	expect_data(a, b, SETTLE_PAIR_FOLLOW, SETTLE_PAIR_LEAD, SYNC_TARGET_FULL);
	a.offer.sectors = 992;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
}

/* A person names the source (primary --force). */
static void two_new_nodes_wait_until_somebody_says_whose_data_count(void **u)
{
	struct packet_hello a = fresh(1), b = fresh(2);

	(void)u;
	a.flags = b.flags = SB_JUST_CREATED;
	expect_data(a, b, SETTLE_PAIR_LEAD, SETTLE_PAIR_FOLLOW, SYNC_NONE);
	a = hello(TOKEN_HELD, 1, 0, 1);
	b = hello(TOKEN_NONE, 1, 0, 2);
	a.flags = b.flags = 0;
	expect_data(a, b, SETTLE_KEEP, SETTLE_ADOPT, SYNC_NONE);
}

static void data_that_were_never_the_same_are_refused(void **u)
{
	struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1), b = hello(TOKEN_NONE, 3, 3, 2);

	(void)u;
	b.gen.current = 8;
	expect_data(a, b, SETTLE_REFUSE, SETTLE_REFUSE, SYNC_UNRELATED);
	assert_true(strlen(words) > 40);
}

static void a_disk_that_offers_less_than_agreed_is_refused_when_it_connects(void **u)
{
	struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1), b = hello(TOKEN_NONE, 3, 3, 2);

	(void)u;
	b.offer.sectors--;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
	b.offer.sectors = 2000;
	expect(a, b, SETTLE_KEEP, SETTLE_ADOPT); /* more is fine */
	b.offer.block_size = 4096;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
	b.diskless = 1; /* what it has not got need not be large */
	expect(a, b, SETTLE_KEEP, SETTLE_ADOPT);
}

static void copied_metadata_is_refused(void **u)
{
	(void)u;
	expect(hello(TOKEN_HELD, 3, 3, 1), hello(TOKEN_NONE, 3, 3, 1), SETTLE_REFUSE, SETTLE_REFUSE);
}

/* Of every two nodes: they refuse together, at most one will hold, exactly one adopts, a swallowed token is impossible, and
 * what one is to be the source of the other one is the target of. */
static void check_pair(const struct packet_hello *a, const struct packet_hello *b)
{
	enum settle_verdict there, here = meet(a, b, &there);

	assert_int_equal(here == SETTLE_REFUSE, there == SETTLE_REFUSE);
	assert_int_equal(data_there.verdict, mirrored(data_here.verdict));
	if (here == SETTLE_REFUSE)
		return;
	assert_true((here == SETTLE_RAISE) == (a->token == TOKEN_HELD && b->token == TOKEN_HELD && there == SETTLE_ADOPT));
	if (here == SETTLE_ADOPT)
		assert_true(b->token == TOKEN_HELD && (there == SETTLE_RAISE || (there == SETTLE_KEEP && b->epoch >= a->epoch &&
										  b->base >= a->base)));
	if (here == SETTLE_KEEP && there == SETTLE_KEEP) /* GIVE is sent again, and must be above the other one's epoch */
		assert_true(a->token != TOKEN_HELD && b->token != TOKEN_HELD && a->epoch != b->epoch &&
			    (a->epoch > b->epoch ? a : b)->token == TOKEN_GIVEN);
	else if (here == SETTLE_KEEP)
		assert_true(there == SETTLE_ADOPT && a->token == TOKEN_HELD);
}

static void give_data(struct packet_hello *h, int kind)
{
	static const struct generations kinds[] = { { .current = 7 }, { .current = 8, .bitmap = 7 }, { .current = 9, .bitmap = 7 } };

	h->gen = kinds[kind];
	h->bits = kind != 0;
}

static void every_two_nodes_come_to_matching_verdicts(void **u)
{
	int i, j;

	(void)u;
	for (i = 0; i < 3 * 3 * 4 * 4; i++)
		for (j = 0; j < 3 * 3 * 4 * 4; j++) {
			struct packet_hello a = hello(i % 3, (uint64_t)(i / 9 % 4), (uint64_t)(i / 36), 1);
			struct packet_hello b = hello(j % 3, (uint64_t)(j / 9 % 4), (uint64_t)(j / 36), 2);

			give_data(&a, i / 3 % 3);
			give_data(&b, j / 3 % 3);
			if (a.base <= a.epoch && b.base <= b.epoch)
				check_pair(&a, &b);
		}
}

static void discards_are_offered_where_both_disks_can_in_the_larger_unit(void **u)
{
	struct features a = full, b = full, out;

	(void)u;
	a.discard = b.discard = 1;
	assert_int_equal(settle_discard_unit(&a, &b), 0);
	a.discard_unit = 12;
	assert_int_equal(settle_discard_unit(&a, &b), 0);
	assert_int_equal(settle_discard_unit(&b, &a), 0);
	b.discard_unit = 16;
	assert_int_equal(settle_discard_unit(&a, &b), 16);
	assert_int_equal(settle_discard_unit(&b, &a), 16);
	settle_features(&a, &b, &out);
	assert_int_equal(out.discard | out.discard_unit, 0); /* nothing that a later offer would have to cover */
	b.discard = 0; /* its program does not know DISCARD */
	assert_int_equal(settle_discard_unit(&a, &b), 0);
	assert_true(settle_features_cover(&b, &a));
}

static void secure_discards_are_offered_where_both_disks_can(void **u)
{
	struct features a = full, b = full, out;

	(void)u;
	a.discard = b.discard = a.discard_secure = b.discard_secure = 1;
	assert_int_equal(settle_discard_secure(&a, &b), 0); /* no discards at all */
	a.discard_unit = b.discard_unit = 12;
	assert_int_equal(settle_discard_secure(&a, &b), 1);
	settle_features(&a, &b, &out);
	assert_int_equal(out.discard_secure, 0);
	b.discard_secure = 0;
	assert_int_equal(settle_discard_secure(&a, &b), 0);
	assert_int_equal(settle_discard_secure(&b, &a), 0);
	assert_true(settle_features_cover(&b, &a));
}

static void features_agree_on_the_lesser_in_whole_blocks(void **u)
{
	struct features a = full, b = full, out;

	(void)u;
	a.sectors = 1003;
	b.sectors = 1007;
	b.block_size = 4096;
	b.max_segments = 32;
	settle_features(&a, &b, &out);
	assert_int_equal(out.sectors, 1000);
	assert_int_equal(out.block_size, 4096);
	assert_int_equal(out.max_segments, 32);
	assert_true(settle_features_cover(&b, &out));
}

/* ---- neither has a disk ---- */

static struct packet_hello without(enum token token, uint32_t flags, int who)
{
	struct packet_hello h = hello(token, 3, 3, who);

	h.flags = flags;
	h.diskless = 1;
	return h;
}

/* 'a', 'b', or '-': whose disk is taken back, which both nodes have to see alike. */
static char back(struct packet_hello a, struct packet_hello b)
{
	struct settle_side one = { "alpha", &a, true }, two = { "beta", &b, false };
	const struct settle_side *here = settle_returning(&one, &two), *there = settle_returning(&two, &one);

	assert_ptr_equal(here, there);
	return !here ? '-' : here == &one ? 'a' : 'b';
}

static void of_two_disks_that_work_the_holders_comes_back(void **u)
{
	(void)u;
	assert_int_equal(back(without(TOKEN_HELD, SB_CONSISTENT, 1), without(TOKEN_NONE, SB_CONSISTENT, 2)), 'a');
	assert_int_equal(back(without(TOKEN_NONE, SB_CONSISTENT, 1), without(TOKEN_HELD, SB_CONSISTENT, 2)), 'b');
	assert_int_equal(back(without(TOKEN_NONE, SB_CONSISTENT, 1), without(TOKEN_GIVEN, SB_CONSISTENT, 2)), 'a');
}

static void of_two_disks_the_one_that_works_comes_back(void **u)
{
	static const uint32_t broken[] = { 0, SB_IN_USE, SB_CONSISTENT | SB_OUTDATED, SB_CONSISTENT | SB_JUST_CREATED };

	(void)u;
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		assert_int_equal(back(without(TOKEN_HELD, broken[i], 1), without(TOKEN_NONE, SB_CONSISTENT, 2)), 'b');
		assert_int_equal(back(without(TOKEN_NONE, SB_CONSISTENT, 1), without(TOKEN_HELD, broken[i], 2)), 'a');
		assert_int_equal(back(without(TOKEN_HELD, broken[i], 1), without(TOKEN_NONE, broken[i], 2)), '-');
	}
}

static void where_there_is_a_good_disk_none_comes_back(void **u)
{
	(void)u;
	assert_int_equal(back(without(TOKEN_HELD, SB_CONSISTENT, 1), hello(TOKEN_NONE, 3, 3, 2)), '-');
	assert_int_equal(back(hello(TOKEN_HELD, 3, 3, 1), without(TOKEN_NONE, SB_CONSISTENT, 2)), '-');
	assert_int_equal(back(hello(TOKEN_HELD, 3, 3, 1), without(TOKEN_NONE, 0, 2)), '-');
	assert_int_equal(back(hello(TOKEN_HELD, 3, 3, 1), hello(TOKEN_NONE, 3, 3, 2)), '-');
}

static void beside_a_disk_that_is_not_good_the_one_that_was_given_up_comes_back(void **u)
{
	static const uint32_t flags[] = { 0, SB_IN_USE, SB_CONSISTENT | SB_OUTDATED, SB_JUST_CREATED };

	(void)u;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1);

		a.flags = flags[i];
		assert_int_equal(back(a, without(TOKEN_NONE, SB_CONSISTENT, 2)), 'b');
		assert_int_equal(back(without(TOKEN_NONE, SB_CONSISTENT, 2), a), 'a');
		assert_int_equal(back(a, without(TOKEN_NONE, 0, 2)), '-');
	}
}

/* Though their data were never used, so that they could wait for a person's word as a new pair does. */
static void two_broken_disks_are_refused_in_words(void **u)
{
	struct packet_hello a = without(TOKEN_HELD, 0, 1), b = without(TOKEN_NONE, 0, 2);

	(void)u;
	a.epoch = b.epoch = 1;
	a.base = b.base = 0;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "'backend-ctl attach r0' there opens it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_holder_keeps_and_the_other_adopts),
		cmocka_unit_test(a_token_on_its_way_is_not_swallowed),
		cmocka_unit_test(two_holders_with_the_same_data_are_refused),
		cmocka_unit_test(a_promotion_by_force_wins_over_a_holder_without_newer_data),
		cmocka_unit_test(of_two_holders_the_only_disk_stays_unless_a_guest_is_without_one),
		cmocka_unit_test(both_changed_is_split_brain),
		cmocka_unit_test(a_primary_does_not_lose_what_its_guest_has_seen),
		cmocka_unit_test(who_went_on_alone_is_the_source),
		cmocka_unit_test(a_resync_that_was_interrupted_goes_on),
		cmocka_unit_test(no_holder_at_all_is_refused_with_the_way_out),
		cmocka_unit_test(a_holder_that_remembers_less_is_refused),
		cmocka_unit_test(two_new_nodes_pair_and_one_leads),
		cmocka_unit_test(new_volumes_of_different_size_are_not_identical),
		cmocka_unit_test(a_pairing_that_only_one_node_stored_is_repeated),
		cmocka_unit_test(a_new_node_beside_one_that_served_guests_gets_everything),
		cmocka_unit_test(of_two_new_nodes_the_one_declared_good_is_the_source),
		cmocka_unit_test(two_new_nodes_wait_until_somebody_says_whose_data_count),
		cmocka_unit_test(data_that_were_never_the_same_are_refused),
		cmocka_unit_test(a_disk_that_offers_less_than_agreed_is_refused_when_it_connects),
		cmocka_unit_test(copied_metadata_is_refused),
		cmocka_unit_test(every_two_nodes_come_to_matching_verdicts),
		cmocka_unit_test(features_agree_on_the_lesser_in_whole_blocks),
		cmocka_unit_test(discards_are_offered_where_both_disks_can_in_the_larger_unit),
		cmocka_unit_test(secure_discards_are_offered_where_both_disks_can),
		cmocka_unit_test(of_two_disks_that_work_the_holders_comes_back),
		cmocka_unit_test(of_two_disks_the_one_that_works_comes_back),
		cmocka_unit_test(where_there_is_a_good_disk_none_comes_back),
		cmocka_unit_test(beside_a_disk_that_is_not_good_the_one_that_was_given_up_comes_back),
		cmocka_unit_test(two_broken_disks_are_refused_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
