/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actlog.test.c: who gets a slot of the activity log and who waits, and what is read back from a ring that
 * was torn or damaged. tests/property/actlog.test.c does the same with random histories.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/actlog.h"
#include "backend/crc32c.h"
#include "backend/endian.h"
#include "tests/unit/document.h"

#define EXTENT 64u /* sectors */
#define DISK   (1000u * EXTENT)
#define AREA   (ACTLOG_BLOCKS * ACTLOG_BLOCK)

static struct actlog *al;
static uint8_t area[AREA];
static char why[200];

static void log_of(uint32_t slots)
{
	actlog_free(al);
	assert_int_equal(actlog_new(slots, DISK, EXTENT, &al), 0);
}

static int setup(void **state)
{
	(void)state;
	al = NULL;
	log_of(ACTLOG_EXTENTS_MIN);
	actlog_format(area);
	why[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	actlog_free(al);
	return 0;
}

static bool begin(uint32_t extent, uint32_t extents)
{
	return actlog_begin(al, (uint64_t)extent * EXTENT, extents * EXTENT);
}

static void end(uint32_t extent, uint32_t extents)
{
	actlog_end(al, (uint64_t)extent * EXTENT, extents * EXTENT);
}

static bool prepare(uint32_t *victims)
{
	uint32_t n = 99;
	bool r = actlog_prepare(al, &n);

	if (victims)
		*victims = n;
	return r;
}

static void write_block(void)
{
	uint8_t block[ACTLOG_BLOCK];
	uint32_t place = actlog_transaction(al, block);

	memcpy(area + place * ACTLOG_BLOCK, block, ACTLOG_BLOCK);
}

static void transact(void)
{
	assert_true(prepare(NULL));
	write_block();
	actlog_written(al);
}

/* A write that had to bring its extents in, from begin to end. */
static void cold(uint32_t extent, uint32_t extents)
{
	assert_false(begin(extent, extents));
	transact();
	assert_true(begin(extent, extents));
	end(extent, extents);
}

static int load(struct actlog *log)
{
	return actlog_load(log, area, why, sizeof(why));
}

static bool has(const struct actlog *log, uint32_t extent)
{
	for (uint32_t i = 0; i < actlog_slots(log); i++)
		if (actlog_extent(log, i) == extent)
			return true;
	return false;
}

/* ---- slots ---- */

static void sizes_out_of_range_are_refused(void **state)
{
	struct actlog *other = NULL;

	(void)state;
	assert_int_equal(actlog_new(6, DISK, EXTENT, &other), -EINVAL);
	assert_int_equal(actlog_new(5001, DISK, EXTENT, &other), -EINVAL);
	assert_int_equal(actlog_new(7, 0, EXTENT, &other), -EINVAL);
	assert_int_equal(actlog_new(7, DISK, 0, &other), -EINVAL);
	assert_int_equal(actlog_new(7, 1ull << 32, 1, &other), -EINVAL);
	assert_null(other);
	actlog_free(NULL);
}

static void a_hot_extent_costs_nothing(void **state)
{
	(void)state;
	assert_false(begin(5, 1));
	assert_true(prepare(NULL));
	assert_false(begin(5, 1)); /* not durable yet */
	write_block();
	actlog_written(al);
	assert_true(begin(5, 1));
	assert_true(actlog_begin(al, 5 * EXTENT + 1, 1));
	assert_false(actlog_begin(al, 5 * EXTENT - 1, 2)); /* extent 4, too */
	end(5, 1);
	end(5, 1);
	assert_int_equal(actlog_used(al), 1);
	assert_int_equal(actlog_transactions(al), 1);
}

static void the_least_recently_used_goes(void **state)
{
	uint32_t victims;

	(void)state;
	for (uint32_t i = 0; i < 7; i++) {
		cold(i, 1);
		assert_int_equal(actlog_used(al), i + 1); /* free slots first */
	}
	assert_true(begin(0, 1));
	end(0, 1);
	assert_true(begin(1, 1)); /* stays referenced */
	assert_false(begin(100, 2));
	assert_true(prepare(&victims));
	assert_int_equal(victims, 2);
	assert_int_equal(actlog_victim(al, 0), 2);
	assert_int_equal(actlog_victim(al, 1), 3);
	assert_true(has(al, 2)); /* still on disk */
	assert_false(begin(2, 1));
	write_block();
	actlog_written(al);
	assert_false(has(al, 2));
	assert_true(begin(100, 2));
}

static void one_transaction_at_a_time(void **state)
{
	uint8_t once[ACTLOG_BLOCK], again[ACTLOG_BLOCK];

	(void)state;
	assert_false(prepare(NULL));
	assert_false(begin(1, 1));
	assert_true(prepare(NULL));
	assert_true(actlog_prepared(al));
	assert_false(begin(2, 1));
	assert_false(prepare(NULL));
	assert_int_equal(actlog_transaction(al, once), 8 % ACTLOG_BLOCKS);
	assert_int_equal(actlog_transaction(al, again), 8 % ACTLOG_BLOCKS);
	assert_memory_equal(once, again, ACTLOG_BLOCK);
	actlog_written(al);
	assert_false(actlog_prepared(al));
	assert_true(begin(1, 1));
	assert_false(begin(2, 1));
	transact();
	assert_true(begin(2, 1));
}

/* ---- waiting ---- */

/* Writers keep every slot referenced, one always overlapping the next; a cold write gets in all the same. */
static void hot_extents_do_not_starve_a_cold_one(void **state)
{
	(void)state;
	assert_false(begin(0, 7));
	transact();
	assert_true(begin(0, 7));
	assert_false(begin(50, 2));
	assert_false(prepare(NULL));
	assert_false(begin(0, 1)); /* in the log, but it has to wait behind */
	end(0, 7);
	transact();
	assert_true(begin(50, 2));
	assert_int_equal(actlog_used(al), 7);
	end(50, 2);
}

static void a_wide_write_is_not_overtaken(void **state)
{
	uint32_t victims;

	(void)state;
	assert_false(begin(0, 4));
	transact();
	assert_true(begin(0, 4));
	assert_false(begin(100, 6)); /* three slots are left */
	assert_false(begin(200, 1)); /* it would find one, but came later */
	assert_false(prepare(NULL));
	end(0, 4);
	assert_true(prepare(&victims));
	assert_int_equal(victims, 4); /* 200 fits as well */
	write_block();
	actlog_written(al);
	assert_true(begin(100, 6));
	assert_true(begin(200, 1));
}

/* Two writes share an extent that is there: it must not be a victim of the rest of either. */
static void what_a_range_has_already_is_kept(void **state)
{
	(void)state;
	cold(3, 1); /* the oldest */
	cold(10, 6);
	assert_false(begin(0, 7));
	transact();
	assert_true(begin(0, 7));
}

/* A write that waited and went away leaves a note behind, which is in the log by now. */
static void the_note_of_a_writer_that_left_hinders_nobody(void **state)
{
	(void)state;
	assert_false(begin(0, 5));
	assert_true(prepare(NULL));
	assert_false(begin(0, 5)); /* noted for the next one */
	write_block();
	actlog_written(al); /* nobody asks again */
	assert_false(begin(20, 6));
	assert_true(prepare(NULL)); /* although 5 + 6 are more than 7 */
	write_block();
	actlog_written(al);
	assert_true(begin(20, 6));
}

/* Far more writers than notes, in 7 slots, each of 1 to 7 extents: all of them get their turn. */
static void more_writers_than_notes_all_get_their_turn(void **state)
{
	enum { WRITERS = 1500 };
	bool done[WRITERS] = { false };
	uint32_t left = WRITERS, rounds = 0;

	(void)state;
	for (; left; rounds++) {
		assert_true(rounds <= WRITERS);
		for (uint32_t i = 0; i < WRITERS; i++) {
			if (done[i] || !begin(i * 13 % 900, 1 + i % 7))
				continue;
			end(i * 13 % 900, 1 + i % 7);
			done[i] = true;
			left--;
		}
		if (left)
			transact();
	}
}

/* ---- the ring ---- */

static void what_was_written_is_read_back(void **state)
{
	struct actlog *other;

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		cold(i * 3, 2);
	assert_int_equal(actlog_new(7, DISK, EXTENT, &other), 0);
	assert_int_equal(load(other), 0);
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(actlog_extent(other, i), actlog_extent(al, i));
	assert_int_equal(actlog_used(other), 7);
	/* and it goes on from there */
	actlog_free(al);
	al = other;
	assert_true(begin(39 * 3, 2));
	end(39 * 3, 2);
	cold(500, 3);
	assert_int_equal(actlog_new(7, DISK, EXTENT, &other), 0);
	assert_int_equal(load(other), 0);
	assert_true(has(other, 502));
	actlog_free(other);
}

static void a_formatted_log_is_empty_for_any_number_of_slots(void **state)
{
	(void)state;
	for (uint32_t slots = ACTLOG_EXTENTS_MIN; slots <= ACTLOG_EXTENTS_MAX; slots += 713) {
		log_of(slots);
		assert_int_equal(load(al), 0);
		assert_int_equal(actlog_used(al), 0);
		cold(7, 1);
		log_of(slots);
		assert_int_equal(load(al), 0);
		assert_int_equal(actlog_used(al), 1);
		actlog_format(area);
	}
}

static void cleared_in_memory_means_cleared_with_the_next_transaction(void **state)
{
	struct actlog *other;

	(void)state;
	log_of(5000);
	for (uint32_t i = 0; i < 1000; i += 50)
		cold(i, 50); /* more slots than the next transaction's context describes */
	actlog_clear(al);
	assert_int_equal(actlog_used(al), 0);
	assert_false(begin(3, 1));
	actlog_clear(al); /* the note goes, too */
	assert_false(prepare(NULL));
	cold(900, 1);
	assert_int_equal(actlog_new(5000, DISK, EXTENT, &other), 0);
	assert_int_equal(load(other), 0);
	assert_int_equal(actlog_used(other), 1);
	assert_true(has(other, 900));
	actlog_free(other);
}

/* ---- a log that begins warm ---- */

static void the_most_recently_used_are_told_first(void **state)
{
	uint32_t extents[8];

	(void)state;
	for (uint32_t i = 10; i < 14; i++)
		cold(i, 1);
	assert_true(begin(11, 1));
	end(11, 1);
	assert_true(begin(12, 1)); /* under way */
	assert_int_equal(actlog_recent(al, extents, 8), 4);
	assert_memory_equal(extents, ((uint32_t[]){ 12, 11, 13, 10 }), 16);
	assert_int_equal(actlog_recent(al, extents, 2), 2);
	assert_memory_equal(extents, ((uint32_t[]){ 12, 11 }), 8);
	end(12, 1);
	log_of(7);
	assert_int_equal(actlog_recent(al, extents, 8), 0);
}

static void a_warm_log_costs_a_write_nothing(void **state)
{
	static const uint32_t extents[] = { 5, 9, 5, 700 }; /* one of them twice */

	(void)state;
	cold(1, 1);
	assert_int_equal(actlog_warm(al, extents, 4), 0);
	assert_int_equal(actlog_used(al), 0);
	assert_true(prepare(NULL));
	assert_false(begin(9, 1)); /* not durable yet */
	write_block();
	actlog_written(al);
	assert_int_equal(actlog_transactions(al), 2);
	for (int i = 0; i < 4; i++) {
		assert_true(begin(extents[i], 1));
		end(extents[i], 1);
	}
	assert_false(begin(1, 1));
	assert_int_equal(actlog_used(al), 3);
	transact();
	assert_int_equal(actlog_used(al), 4);
	log_of(7);
	assert_int_equal(load(al), 0);
	assert_int_equal(actlog_used(al), 4);
	assert_true(has(al, 5) && has(al, 9) && has(al, 700) && has(al, 1));
}

static void of_too_many_the_most_recently_used_are_kept_and_the_oldest_goes_first(void **state)
{
	static const uint32_t extents[] = { 20, 21, 22, 23, 24, 25, 26, 27, 28 };

	(void)state;
	assert_int_equal(actlog_warm(al, extents, 9), 0);
	transact();
	assert_int_equal(actlog_used(al), 7);
	assert_false(prepare(NULL));
	cold(100, 1);
	assert_false(has(al, 26));
	cold(101, 1);
	assert_false(has(al, 25));
	for (uint32_t i = 20; i < 25; i++) {
		assert_true(begin(i, 1));
		end(i, 1);
	}
	assert_true(has(al, 100) && has(al, 101));
}

/* A write neither waits for the list, nor is anything given up for what has not come yet. */
static void a_write_comes_with_the_first_transaction(void **state)
{
	static const uint32_t extents[] = { 20, 21, 22, 23, 24, 25, 26 };
	uint32_t victims;

	(void)state;
	assert_int_equal(actlog_warm(al, extents, 7), 0);
	assert_false(begin(100, 2));
	assert_true(prepare(&victims));
	assert_int_equal(victims, 0);
	write_block();
	actlog_written(al);
	assert_true(begin(100, 2));
	assert_true(begin(20, 5));
	assert_false(begin(25, 1));
	assert_int_equal(actlog_used(al), 7);
	assert_int_equal(actlog_transactions(al), 1);
	end(100, 2);
	end(20, 5);
}

static void a_list_of_any_length_takes_a_transaction_for_920_slots(void **state)
{
	uint32_t extents[ACTLOG_EXTENTS_MAX];

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		extents[i] = 999 - i;
	log_of(1237);
	assert_int_equal(actlog_warm(al, extents, 1000), 0);
	transact();
	assert_true(begin(999, 1) && begin(80, 1) && !begin(79, 1)); /* the most recently used first */
	end(999, 1);
	end(80, 1);
	transact();
	assert_false(prepare(NULL));
	assert_int_equal(actlog_used(al), 1000);
	actlog_free(al);
	assert_int_equal(actlog_new(5000, 6000 * EXTENT, EXTENT, &al), 0);
	for (uint32_t i = 0; i < 5000; i++)
		extents[i] = i + 1000;
	assert_int_equal(actlog_warm(al, extents, 5000), 0);
	for (int i = 0; i < 6; i++)
		transact();
	assert_false(prepare(NULL));
	assert_int_equal(actlog_used(al), 5000);
}

static void a_new_list_takes_the_place_of_the_last(void **state)
{
	static const uint32_t first[] = { 1, 2, 3 }, second[] = { 4 };

	(void)state;
	assert_int_equal(actlog_warm(al, first, 3), 0);
	assert_int_equal(actlog_warm(al, second, 1), 0);
	transact();
	assert_int_equal(actlog_used(al), 1);
	assert_true(has(al, 4));
	assert_int_equal(actlog_warm(al, first, 0), 0);
	assert_false(prepare(NULL)); /* an empty one costs nothing */
}

static void a_list_is_refused_whole(void **state)
{
	static const uint32_t beyond[] = { 4, 1000 }, none[] = { ACTLOG_FREE }, good[] = { 4 };

	(void)state;
	cold(1, 1);
	assert_int_equal(actlog_warm(al, beyond, 2), -EINVAL);
	assert_int_equal(actlog_warm(al, none, 1), -EINVAL);
	assert_true(begin(1, 1));
	assert_int_equal(actlog_warm(al, good, 1), -EBUSY);
	end(1, 1);
	assert_false(begin(2, 1));
	assert_true(prepare(NULL));
	assert_int_equal(actlog_warm(al, good, 1), -EBUSY);
	write_block();
	actlog_written(al);
	assert_true(has(al, 1) && has(al, 2) && !has(al, 4));
	assert_false(prepare(NULL));
}

static void expect_refusal(uint32_t slots, const char *words)
{
	log_of(slots);
	assert_int_equal(load(al), -EBADMSG);
	if (!strstr(why, words))
		fail_msg("'%s' does not say '%s'", why, words);
	assert_int_equal(actlog_used(al), 0);
	/* refused without words, too */
	assert_int_equal(actlog_load(al, area, NULL, 0), -EBADMSG);
	assert_true(!begin(1, 1) && prepare(NULL)); /* the log itself is none the worse */
}

static void no_log_at_all_is_refused(void **state)
{
	(void)state;
	memset(area, 0, sizeof(area));
	expect_refusal(7, "no whole block");
	memset(area, 0xa5, sizeof(area));
	expect_refusal(7, "no whole block");
}

static void another_number_of_slots_is_refused(void **state)
{
	(void)state;
	cold(1, 1);
	expect_refusal(8, "another number of slots");
}

/* Block of the newest transaction of a log of `slots` slots that has turned over several times. */
static uint32_t busy(uint32_t slots)
{
	log_of(slots);
	for (uint32_t i = 0; i < 19; i++)
		cold(i * 7, 3);
	return (ACTLOG_BLOCKS + 19) % ACTLOG_BLOCKS;
}

static uint8_t *block_after(uint32_t newest, uint32_t n)
{
	return area + (newest + n) % ACTLOG_BLOCKS * ACTLOG_BLOCK;
}

/* The newest transaction was announced and is lost, and the next one is torn: the state before both would
 * look fine, and lack what was announced. */
static void two_damaged_blocks_in_a_row_are_refused(void **state)
{
	uint32_t newest = busy(7);

	(void)state;
	block_after(newest, 0)[100] ^= 1;
	block_after(newest, 1)[100] ^= 1;
	expect_refusal(7, "may lack its newest transaction");
}

/* Any one older block: with 7 slots the newest alone describes all, with 5000 all are needed. */
static void a_damaged_older_block_is_refused_where_it_is_needed(void **state)
{
	uint32_t newest;

	(void)state;
	for (uint32_t n = 3; n <= 6; n++) {
		newest = busy(7);
		block_after(newest, n)[4095] ^= 1;
		log_of(7);
		assert_int_equal(load(al), 0);
		assert_true(has(al, 18 * 7 + 2));
		actlog_format(area);
		newest = busy(5000);
		block_after(newest, n)[4095] ^= 1;
		expect_refusal(5000, "slots are not described");
		actlog_format(area);
	}
	newest = busy(7);
	block_after(newest, 2)[4095] ^= 1;
	expect_refusal(7, "may lack its newest transaction");
}

/* A write that was announced and never reached the disk: the block still holds what was there seven before.
 */
static void a_lost_write_is_refused_where_it_is_needed(void **state)
{
	uint8_t once[AREA];
	uint32_t newest;

	(void)state;
	for (uint32_t n = 2; n <= 6; n++) {
		actlog_format(area);
		memcpy(once, area, sizeof(area));
		newest = busy(5000);
		memcpy(block_after(newest, n), once + (block_after(newest, n) - area), ACTLOG_BLOCK);
		expect_refusal(5000, n == 2 ? "may lack its newest transaction" : "slots are not described");
	}
}

/* Puts `value` of `size` bytes at `offset` of the newest block, with a checksum that fits. */
static void forge(const char *words, size_t offset, size_t size, uint64_t value)
{
	uint8_t *block, saved[AREA];
	struct be32 crc;

	memcpy(saved, area, sizeof(saved));
	block = area + 8 % ACTLOG_BLOCKS * ACTLOG_BLOCK;
	for (size_t i = 0; i < size; i++)
		block[offset + i] = (uint8_t)(value >> 8 * (size - 1 - i));
	crc = put_be32(crc32c(block, ACTLOG_BLOCK - 4));
	memcpy(block + ACTLOG_BLOCK - 4, &crc, 4);
	expect_refusal(7, words);
	memcpy(area, saved, sizeof(saved));
}

static void a_whole_block_that_is_impossible_is_refused(void **state)
{
	(void)state;
	cold(3, 2); /* the first: slots 0 and 1; context of 7 slots */
	forge("sequence number", 8, 8, 9);
	forge("sequence number", 8, 8, 0);
	forge("sequence number", 8, 8, (1ull << 63) + 6);
	forge("unknown flags", 16, 4, 2);
	forge("number of slots", 20, 2, 9);
	forge("number of slots", 20, 2, 0);
	forge("too many updates", 22, 2, 65);
	forge("unused updates", 22, 2, 1);
	forge("context is out of range", 24, 2, 1);
	forge("context is out of range", 26, 2, 921);
	forge("unused context", 26, 2, 6);
	forge("update is out of range", 28, 2, 7);
	forge("update is out of range", 30, 4, 1000);
	forge("update is out of range", 30, 4, ACTLOG_FREE);
	forge("two updates", 34, 2, 0);
	forge("contradict", 30, 4, 999);
	forge("unused updates", 40, 2, 1);
	forge("beyond the end of the disk", 412 + 8, 4, 1000);
	forge("extent 3 in two slots", 412 + 8, 4, 3);
	forge("unused context", 4088, 4, 1);
}

static void the_document_describes_a_transaction(void **state)
{
	char *text = document_read("docs/METADATA.md");

	(void)state;
	document_compare(text, "### Transaction", actlog_fields());
	free(text);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(sizes_out_of_range_are_refused),
		T(a_hot_extent_costs_nothing),
		T(the_least_recently_used_goes),
		T(one_transaction_at_a_time),
		T(hot_extents_do_not_starve_a_cold_one),
		T(a_wide_write_is_not_overtaken),
		T(what_a_range_has_already_is_kept),
		T(the_note_of_a_writer_that_left_hinders_nobody),
		T(more_writers_than_notes_all_get_their_turn),
		T(what_was_written_is_read_back),
		T(a_formatted_log_is_empty_for_any_number_of_slots),
		T(cleared_in_memory_means_cleared_with_the_next_transaction),
		T(the_most_recently_used_are_told_first),
		T(a_warm_log_costs_a_write_nothing),
		T(of_too_many_the_most_recently_used_are_kept_and_the_oldest_goes_first),
		T(a_write_comes_with_the_first_transaction),
		T(a_list_of_any_length_takes_a_transaction_for_920_slots),
		T(a_new_list_takes_the_place_of_the_last),
		T(a_list_is_refused_whole),
		T(no_log_at_all_is_refused),
		T(another_number_of_slots_is_refused),
		T(two_damaged_blocks_in_a_row_are_refused),
		T(a_damaged_older_block_is_refused_where_it_is_needed),
		T(a_lost_write_is_refused_where_it_is_needed),
		T(a_whole_block_that_is_impossible_is_refused),
		T(the_document_describes_a_transaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
