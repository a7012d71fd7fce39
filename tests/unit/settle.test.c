/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle.c: what two nodes do when they meet.  Each row by name; then every combination of
 * small values, for the properties that hold of all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "backend/settle.h"

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

static char words[400];

static enum settle_verdict meet(const struct packet_hello *a, const struct packet_hello *b,
				enum settle_verdict *other)
{
	struct settle_side one = { "alpha", a, true }, two = { "beta", b, false };
	char unused[400];

	*other = settle(&two, &one, unused, sizeof(unused));
	return settle(&one, &two, words, sizeof(words));
}

static void expect(struct packet_hello a, struct packet_hello b, enum settle_verdict here,
		   enum settle_verdict there)
{
	enum settle_verdict other, verdict = meet(&a, &b, &other);

	assert_int_equal(verdict, here);
	assert_int_equal(other, there);
	if (verdict == SETTLE_REFUSE)
		assert_true(strlen(words) > 20);
}

static void the_holder_keeps_and_the_other_adopts(void **u)
{
	(void)u;
	expect(hello(TOKEN_HELD, 3, 3, 1), hello(TOKEN_NONE, 3, 3, 2), SETTLE_KEEP, SETTLE_ADOPT);
	expect(hello(TOKEN_GIVEN, 3, 2, 1), hello(TOKEN_HELD, 3, 2, 2), SETTLE_ADOPT, SETTLE_KEEP);
}

static void a_token_on_its_way_is_given_again_and_not_swallowed(void **u)
{
	(void)u;
	expect(hello(TOKEN_GIVEN, 4, 3, 1), hello(TOKEN_NONE, 3, 3, 2), SETTLE_GIVE_AGAIN, SETTLE_KEEP);
	expect(hello(TOKEN_GIVEN, 4, 3, 1), hello(TOKEN_GIVEN, 5, 4, 2), SETTLE_KEEP, SETTLE_GIVE_AGAIN);
}

static void two_holders_are_split_brain(void **u)
{
	(void)u;
	expect(hello(TOKEN_HELD, 3, 3, 1), hello(TOKEN_HELD, 4, 4, 2), SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "split brain"));
}

static void no_holder_at_all_is_refused_with_the_way_out(void **u)
{
	(void)u;
	expect(hello(TOKEN_NONE, 3, 3, 1), hello(TOKEN_NONE, 3, 3, 2), SETTLE_REFUSE, SETTLE_REFUSE);
	expect(hello(TOKEN_GIVEN, 3, 3, 1), hello(TOKEN_NONE, 4, 3, 2), SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "create-md"));
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

static void a_new_node_beside_one_that_served_guests_needs_a_resync(void **u)
{
	(void)u;
	expect(fresh(1), hello(TOKEN_HELD, 2, 2, 2), SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "resync"));
}

static void unclean_and_inconsistent_disks_are_refused(void **u)
{
	struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1), b = hello(TOKEN_NONE, 3, 3, 2);

	(void)u;
	b.flags |= SB_UNCLEAN;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "beta is unclean"));
	b.flags = 0;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "inconsistent"));
}

static void other_data_is_refused(void **u)
{
	struct packet_hello a = hello(TOKEN_HELD, 3, 3, 1), b = hello(TOKEN_NONE, 3, 3, 2);

	(void)u;
	b.gen.current = 8;
	expect(a, b, SETTLE_REFUSE, SETTLE_REFUSE);
	assert_non_null(strstr(words, "histories"));
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
}

static void copied_metadata_is_refused(void **u)
{
	(void)u;
	expect(hello(TOKEN_HELD, 3, 3, 1), hello(TOKEN_NONE, 3, 3, 1), SETTLE_REFUSE, SETTLE_REFUSE);
}

/* Of every two nodes: they refuse together, at most one will hold, exactly one adopts or is
 * given, and a swallowed token is impossible. */
static void check_pair(const struct packet_hello *a, const struct packet_hello *b)
{
	enum settle_verdict there, here = meet(a, b, &there);

	assert_int_equal(here == SETTLE_REFUSE, there == SETTLE_REFUSE);
	if (here == SETTLE_REFUSE)
		return;
	assert_false(a->token == TOKEN_HELD && b->token == TOKEN_HELD);
	if (here == SETTLE_ADOPT)
		assert_true(b->token == TOKEN_HELD && there == SETTLE_KEEP && b->epoch >= a->epoch &&
			    b->base >= a->base);
	if (here == SETTLE_GIVE_AGAIN)
		assert_true(a->token == TOKEN_GIVEN && b->token != TOKEN_HELD && a->epoch > b->epoch &&
			    there == SETTLE_KEEP);
	if (here == SETTLE_KEEP)
		assert_true(there == SETTLE_ADOPT || there == SETTLE_GIVE_AGAIN);
}

static void every_two_nodes_come_to_matching_verdicts(void **u)
{
	int i, j;

	(void)u;
	for (i = 0; i < 3 * 4 * 4; i++)
		for (j = 0; j < 3 * 4 * 4; j++) {
			struct packet_hello a = hello(i % 3, (uint64_t)(i / 3 % 4), (uint64_t)(i / 12), 1);
			struct packet_hello b = hello(j % 3, (uint64_t)(j / 3 % 4), (uint64_t)(j / 12), 2);

			if (a.base <= a.epoch && b.base <= b.epoch)
				check_pair(&a, &b);
		}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_holder_keeps_and_the_other_adopts),
		cmocka_unit_test(a_token_on_its_way_is_given_again_and_not_swallowed),
		cmocka_unit_test(two_holders_are_split_brain),
		cmocka_unit_test(no_holder_at_all_is_refused_with_the_way_out),
		cmocka_unit_test(a_holder_that_remembers_less_is_refused),
		cmocka_unit_test(two_new_nodes_pair_and_one_leads),
		cmocka_unit_test(new_volumes_of_different_size_are_not_identical),
		cmocka_unit_test(a_pairing_that_only_one_node_stored_is_repeated),
		cmocka_unit_test(a_new_node_beside_one_that_served_guests_needs_a_resync),
		cmocka_unit_test(unclean_and_inconsistent_disks_are_refused),
		cmocka_unit_test(other_data_is_refused),
		cmocka_unit_test(a_disk_that_offers_less_than_agreed_is_refused_when_it_connects),
		cmocka_unit_test(copied_metadata_is_refused),
		cmocka_unit_test(every_two_nodes_come_to_matching_verdicts),
		cmocka_unit_test(features_agree_on_the_lesser_in_whole_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
