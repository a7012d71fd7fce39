/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.test.c: pages that are not known yet, what must be written when, the part that is full, and huge
 * disks. tests/property/bitmap.test.c compares with a naive bitmap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/bitmap.h"

#define PAGE_SECTORS (BITMAP_PAGE_BLOCKS * 8ull)
#define TIB	     (1ull << 31) /* sectors */

static struct bitmap *b;
static uint8_t zeroes[BITMAP_PAGE], bytes[BITMAP_PAGE];

static void make(uint64_t sectors, uint64_t full_from, bool empty)
{
	struct bitmap_config cfg = {
		.sectors = sectors, .page_blocks = BITMAP_PAGE_BLOCKS, .full_from = full_from, .empty = empty
	};

	bitmap_free(b);
	b = NULL;
	assert_int_equal(bitmap_new(&cfg, &b), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(bytes, 0, sizeof(bytes));
	make(3 * PAGE_SECTORS + 20, BITMAP_NONE, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bitmap_free(b);
	b = NULL;
	return 0;
}

static void read_all(void)
{
	for (uint32_t p = 0; p < bitmap_pages(b); p++)
		bitmap_read(b, p, zeroes);
}

static void write_page(uint32_t page)
{
	assert_true(bitmap_content(b, page, bytes));
	bitmap_write_begins(b, page);
	bitmap_write_ends(b, page, true);
}

static void impossible_sizes_are_refused(void **state)
{
	struct bitmap_config cfg = { .sectors = 100, .page_blocks = BITMAP_PAGE_BLOCKS, .full_from = BITMAP_NONE };
	struct bitmap *other = NULL;

	(void)state;
	cfg.sectors = 0;
	assert_int_equal(bitmap_new(&cfg, &other), -EINVAL);
	cfg.sectors = UINT64_MAX;
	assert_int_equal(bitmap_new(&cfg, &other), -EINVAL);
	cfg.sectors = 100;
	cfg.page_blocks = 0;
	assert_int_equal(bitmap_new(&cfg, &other), -EINVAL);
	cfg.page_blocks = 100;
	assert_int_equal(bitmap_new(&cfg, &other), -EINVAL);
	cfg.page_blocks = 2 * BITMAP_PAGE_BLOCKS;
	assert_int_equal(bitmap_new(&cfg, &other), -EINVAL);
	assert_null(other);
	bitmap_free(NULL);
}

static void bits_are_where_drbd_has_them(void **state)
{
	(void)state;
	read_all();
	assert_int_equal(bitmap_set(b, PAGE_SECTORS + 11 * 8 + 7, 2), 2);
	assert_int_equal(bitmap_page_bits(b, 1), 2);
	assert_true(bitmap_content(b, 1, bytes));
	assert_int_equal(bytes[1], 1 << 3 | 1 << 4);
	bytes[1] = 0;
	assert_memory_equal(bytes, zeroes, BITMAP_PAGE);
}

static void an_unknown_page_is_not_in_sync(void **state)
{
	(void)state;
	assert_int_equal(bitmap_test(b, 0, 8), BITMAP_UNKNOWN);
	assert_false(bitmap_content(b, 0, bytes));
	bitmap_read(b, 0, zeroes);
	assert_int_equal(bitmap_test(b, 0, 8), BITMAP_IN_SYNC);
	assert_int_equal(bitmap_test(b, PAGE_SECTORS - 1, 2), BITMAP_UNKNOWN);
	bitmap_set(b, PAGE_SECTORS - 1, 1);
	assert_int_equal(bitmap_test(b, PAGE_SECTORS - 1, 2), BITMAP_OUT_OF_SYNC);
	bitmap_set(b, 2 * PAGE_SECTORS, 1); /* unknown, with a bit that is known */
	assert_int_equal(bitmap_test(b, 2 * PAGE_SECTORS, 8), BITMAP_OUT_OF_SYNC);
	assert_int_equal(bitmap_test(b, 2 * PAGE_SECTORS + 8, 8), BITMAP_UNKNOWN);
}

static void what_is_set_before_the_page_was_read_is_added_to_it(void **state)
{
	uint8_t disk[BITMAP_PAGE] = { 0x81 };

	(void)state;
	assert_int_equal(bitmap_set(b, 8, 1), 1);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), 0);
	bitmap_clear(b, 0, 64); /* not known: stays */
	bitmap_read(b, 0, disk);
	assert_true(bitmap_content(b, 0, bytes));
	assert_int_equal(bytes[0], 0x83);
	assert_true(bitmap_must_write(b, 0));
	assert_int_equal(bitmap_disk_bits(b), 2);
	bitmap_read(b, 0, zeroes); /* twice changes nothing */
	assert_int_equal(bitmap_bits(b), 3);
	assert_int_equal(bitmap_disk_bits(b), 2);
}

static void what_the_disk_has_already_need_not_be_written(void **state)
{
	uint8_t disk[BITMAP_PAGE] = { 0xff };

	(void)state;
	bitmap_set(b, 0, 64);
	assert_true(bitmap_must_write(b, 0));
	bitmap_read(b, 0, disk);
	assert_false(bitmap_must_write(b, 0));
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MAY), UINT32_MAX);
}

static void only_whole_blocks_are_cleared(void **state)
{
	(void)state;
	read_all();
	bitmap_set(b, 0, 3 * PAGE_SECTORS + 20);
	assert_int_equal(bitmap_bits(b), 3 * BITMAP_PAGE_BLOCKS + 3);
	bitmap_clear(b, 1, 22);
	assert_int_equal(bitmap_bits(b), 3 * BITMAP_PAGE_BLOCKS + 2);
	bitmap_clear(b, 3 * PAGE_SECTORS + 16, 3); /* not up to the end */
	assert_int_equal(bitmap_bits(b), 3 * BITMAP_PAGE_BLOCKS + 2);
	bitmap_clear(b, 3 * PAGE_SECTORS + 16, 4); /* the last block is half a block */
	assert_int_equal(bitmap_bits(b), 3 * BITMAP_PAGE_BLOCKS + 1);
}

static void bits_beyond_the_end_of_the_disk_do_not_count(void **state)
{
	uint8_t ones[BITMAP_PAGE];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	bitmap_read(b, 3, ones);
	assert_int_equal(bitmap_bits(b), 3);
	assert_int_equal(bitmap_disk_bits(b), 3);
	bitmap_merge(b, 3, ones);
	assert_int_equal(bitmap_bits(b), 3);
	assert_true(bitmap_content(b, 3, bytes));
	assert_int_equal(bytes[0], 7);
	assert_int_equal(bytes[1], 0);
}

static void a_page_is_dirty_until_a_write_that_has_the_bit_is_durable(void **state)
{
	(void)state;
	read_all();
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), UINT32_MAX);
	bitmap_set(b, PAGE_SECTORS, 8);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), 1);
	assert_int_equal(bitmap_dirty(b, 2, BITMAP_MUST), UINT32_MAX);
	bitmap_write_begins(b, 1);
	assert_true(bitmap_writing(b, 1) && bitmap_must_write(b, 1));
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), 1);
	bitmap_set(b, PAGE_SECTORS + 8, 8);
	bitmap_write_ends(b, 1, true);
	assert_true(bitmap_must_write(b, 1));
	bitmap_write_begins(b, 1);
	bitmap_write_ends(b, 1, false);
	assert_true(bitmap_must_write(b, 1) && !bitmap_disk_known(b));
	write_page(1);
	assert_true(!bitmap_must_write(b, 1) && bitmap_disk_known(b));
	assert_int_equal(bitmap_disk_bits(b), 2);
}

static void a_cleared_bit_may_be_written(void **state)
{
	(void)state;
	read_all();
	bitmap_set(b, 0, 16);
	write_page(0);
	bitmap_clear(b, 0, 8);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), UINT32_MAX);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MAY), 0);
	assert_int_equal(bitmap_disk_bits(b), 2);
	bitmap_write_begins(b, 0);
	bitmap_clear(b, 8, 8);
	bitmap_write_ends(b, 0, true);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MAY), 0);
	assert_int_equal(bitmap_disk_bits(b), 1);
	bitmap_set(b, 0, 8); /* must outdoes may */
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MAY), UINT32_MAX);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), 0);
	bitmap_clear(b, 0, 8);
	write_page(0);
	assert_int_equal(bitmap_disk_bits(b), 0);
	assert_int_equal(bitmap_disk_digest(b), 0);
}

static void the_next_run_is_cut(void **state)
{
	uint32_t n, page = 77;

	(void)state;
	bitmap_read(b, 0, zeroes);
	bitmap_set(b, 800, 4096);
	assert_int_equal(bitmap_next(b, 0, 2048, &n, &page), 800);
	assert_int_equal(n, 2048);
	assert_int_equal(bitmap_next(b, 800 + 2048, 1u << 30, &n, &page), 800 + 2048);
	assert_int_equal(n, 2048);
	assert_int_equal(bitmap_next(b, 801, 1, &n, &page), 800); /* the block, whole */
	assert_int_equal(n, 8);
	assert_int_equal(page, 77);
	assert_int_equal(bitmap_next(b, 800 + 4096, 8, &n, &page), PAGE_SECTORS);
	assert_int_equal(page, 1);
	assert_int_equal(n, 0);
	read_all();
	assert_true(bitmap_next(b, 800 + 4096, 8, &n, &page) == BITMAP_NONE);
	bitmap_set(b, 2 * PAGE_SECTORS - 8, 16); /* across pages: not beyond */
	assert_int_equal(bitmap_next(b, 800 + 4096, 2048, &n, &page), 2 * PAGE_SECTORS - 8);
	assert_int_equal(n, 8);
	bitmap_set(b, 3 * PAGE_SECTORS + 16, 1);
	assert_int_equal(bitmap_next(b, 2 * PAGE_SECTORS + 8, 2048, &n, &page), 3 * PAGE_SECTORS + 16);
	assert_int_equal(n, 4); /* the end of the disk */
	assert_true(bitmap_next(b, 3 * PAGE_SECTORS + 20, 8, &n, &page) == BITMAP_NONE);
}

/* A full sync, page by page, of pages that nobody has read. */
static void a_full_sync_needs_no_reading(void **state)
{
	uint32_t n, page;

	(void)state;
	make(3 * PAGE_SECTORS + 20, 0, false);
	assert_int_equal(bitmap_bits(b), 3 * BITMAP_PAGE_BLOCKS + 3);
	assert_true(bitmap_all_known(b) && !bitmap_disk_known(b));
	assert_int_equal(bitmap_test(b, 100, 1), BITMAP_OUT_OF_SYNC);
	assert_int_equal(bitmap_set(b, 100, 1), 0);
	bitmap_clear(b, 0, PAGE_SECTORS);
	assert_int_equal(bitmap_page_bits(b, 0), BITMAP_PAGE_BLOCKS);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), UINT32_MAX);
	for (uint32_t p = 0; p < 4; p++) {
		assert_int_equal(bitmap_full_from(b), p * PAGE_SECTORS);
		assert_int_equal(bitmap_next(b, 0, 2048, &n, &page), p * PAGE_SECTORS);
		assert_int_equal(n, p < 3 ? 2048 : 20);
		bitmap_pass_full(b, p < 3 ? (p + 1) * PAGE_SECTORS : 3 * PAGE_SECTORS + 20);
		assert_true(bitmap_must_write(b, p));
		assert_int_equal(bitmap_next(b, 0, 2048, &n, &page), p * PAGE_SECTORS);
		bitmap_clear(b, p * PAGE_SECTORS, PAGE_SECTORS);
		write_page(p);
	}
	assert_true(bitmap_full_from(b) == BITMAP_NONE);
	assert_int_equal(bitmap_bits(b), 0);
	assert_true(bitmap_disk_known(b));
	assert_int_equal(bitmap_disk_bits(b), 0);
	assert_int_equal(bitmap_disk_digest(b), 0);
}

/* Everything from within a page on: the rest of that page is set in it. */
static void full_from_within_a_page(void **state)
{
	(void)state;
	read_all();
	bitmap_set_from(b, PAGE_SECTORS + 80);
	assert_int_equal(bitmap_full_from(b), 2 * PAGE_SECTORS);
	assert_true(bitmap_must_write(b, 1));
	assert_int_equal(bitmap_bits(b), 2 * BITMAP_PAGE_BLOCKS - 10 + 3);
	assert_int_equal(bitmap_test(b, PAGE_SECTORS, 80), BITMAP_IN_SYNC);
	assert_int_equal(bitmap_test(b, PAGE_SECTORS, 81), BITMAP_OUT_OF_SYNC);
	bitmap_set_from(b, 3 * PAGE_SECTORS); /* never up */
	assert_int_equal(bitmap_full_from(b), 2 * PAGE_SECTORS);
	bitmap_set_from(b, BITMAP_NONE);
	assert_int_equal(bitmap_full_from(b), 2 * PAGE_SECTORS);
}

/* Pages that are known to be empty are skipped together, but not what is full behind them. */
static void what_is_full_is_found_behind_empty_pages(void **state)
{
	uint32_t n, page;

	(void)state;
	make(3000 * PAGE_SECTORS, BITMAP_NONE, true);
	bitmap_set_from(b, 1500 * PAGE_SECTORS);
	assert_int_equal(bitmap_next(b, 0, 2048, &n, &page), 1500 * PAGE_SECTORS);
	bitmap_set_from(b, 1024 * PAGE_SECTORS);
	assert_int_equal(bitmap_next(b, 0, 2048, &n, &page), 1024 * PAGE_SECTORS);
}

/* A dirty page that becomes part of what is full is still to be written: full_from may not be on disk yet. */
static void a_dirty_page_stays_dirty_when_everything_is_set(void **state)
{
	(void)state;
	bitmap_set(b, 0, 8);
	bitmap_set_from(b, 0);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), 0);
	assert_true(bitmap_content(b, 0, bytes));
	assert_int_equal(bytes[BITMAP_PAGE - 1], 0xff);
	write_page(0);
	assert_int_equal(bitmap_disk_bits(b), BITMAP_PAGE_BLOCKS);
	bitmap_pass_full(b, PAGE_SECTORS);
	assert_false(bitmap_must_write(b, 0)); /* all of it is on disk already */
}

static uint64_t digest_of(uint64_t sector, uint64_t sectors)
{
	make(3 * PAGE_SECTORS, BITMAP_NONE, true);
	bitmap_set(b, sector, sectors);
	for (uint32_t p = 0; p < 3; p++)
		write_page(p);
	assert_true(bitmap_disk_known(b));
	return bitmap_disk_digest(b);
}

/* Three pages on disk, of which the last one has a bit set; what they add up to is known from the start. */
static void make_summed(void)
{
	struct bitmap_config cfg = { .sectors = 3 * PAGE_SECTORS,
				     .page_blocks = BITMAP_PAGE_BLOCKS,
				     .full_from = BITMAP_NONE,
				     .summed = true,
				     .disk_bits = 1,
				     .disk_digest = digest_of(2 * PAGE_SECTORS, 8) };

	bitmap_free(b);
	assert_int_equal(bitmap_new(&cfg, &b), 0);
	memset(bytes, 0, sizeof(bytes));
	bytes[0] = 1;
}

static void a_damaged_page_is_found_when_all_are_read(void **state)
{
	(void)state;
	make_summed();
	bitmap_read(b, 0, zeroes);
	bitmap_read(b, 1, zeroes);
	assert_false(bitmap_damaged(b));
	bytes[0] = 2;
	bitmap_read(b, 2, bytes);
	assert_true(bitmap_damaged(b));
	assert_false(bitmap_damaged(b)); /* once */
	make_summed();
	bitmap_read(b, 2, bytes);
	bitmap_read(b, 0, zeroes);
	bitmap_read(b, 1, zeroes);
	assert_false(bitmap_damaged(b));
}

static void pages_that_were_written_meanwhile_are_not_damaged(void **state)
{
	(void)state;
	make_summed();
	bitmap_read(b, 2, bytes);
	bitmap_clear(b, 2 * PAGE_SECTORS, 8);
	write_page(2);
	bitmap_read(b, 0, zeroes);
	bitmap_set(b, 80, 8);
	write_page(0);
	bitmap_read(b, 1, zeroes);
	assert_true(bitmap_disk_known(b));
	assert_false(bitmap_damaged(b));
}

static void a_page_is_found_damaged_although_another_one_was_written(void **state)
{
	(void)state;
	make_summed();
	bitmap_read(b, 0, zeroes);
	bitmap_set(b, 80, 8);
	write_page(0);
	bitmap_read(b, 1, zeroes);
	bitmap_read(b, 2, zeroes);
	assert_true(bitmap_damaged(b));
}

/* As a full sync does it: what was on disk there, nobody knows. */
static void a_page_that_was_written_unread_ends_the_comparison(void **state)
{
	(void)state;
	make_summed();
	bitmap_set_from(b, 2 * PAGE_SECTORS);
	bitmap_pass_full(b, 3 * PAGE_SECTORS);
	write_page(2);
	bitmap_read(b, 0, zeroes);
	bitmap_read(b, 1, zeroes);
	assert_true(bitmap_disk_known(b));
	assert_false(bitmap_damaged(b));
}

static void the_digest_tells_bitmaps_apart(void **state)
{
	uint64_t first = digest_of(0, 8), second;

	(void)state;
	/* by docs/METADATA.md, computed elsewhere */
	assert_true(first == 0xbd23b9a0396f2fb8ull);
	second = digest_of(8, 8);
	assert_true(first != second);
	assert_true(second != digest_of(512, 8));
	assert_true(first != digest_of(PAGE_SECTORS, 8));
	assert_true(first != digest_of(0, 16));
	assert_true(digest_of(0, 3 * PAGE_SECTORS) == 0x79c1558f3ef06d9cull);
}

static long resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * 4;
}

/* 1 PiB: 32 GiB of bits, of which what is touched costs memory. */
static void a_huge_disk_costs_what_is_touched(void **state)
{
	uint32_t n, page;
	long before = resident();

	(void)state;
	make(1024 * TIB, BITMAP_NONE, true);
	assert_int_equal(bitmap_pages(b), 8u << 20);
	assert_true(bitmap_next(b, 0, 2048, &n, &page) == BITMAP_NONE);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), UINT32_MAX);
	bitmap_set(b, 1024 * TIB - 8, 8);
	assert_int_equal(bitmap_next(b, 0, 2048, &n, &page), 1024 * TIB - 8);
	assert_int_equal(bitmap_dirty(b, 0, BITMAP_MUST), (8u << 20) - 1);
	bitmap_set_from(b, 8);
	assert_int_equal(bitmap_bits(b), 1024 * TIB / 8 - 1);
	bitmap_pass_full(b, 8 * PAGE_SECTORS);
	assert_int_equal(bitmap_bits(b), 1024 * TIB / 8 - 1);
	assert_true(resident() - before < 4096); /* KiB; the sanitizers' bookkeeping is in it */
}

static uint64_t next_at(uint64_t sector, uint32_t *sectors)
{
	uint32_t page;

	return bitmap_next(b, sector, UINT32_MAX, sectors, &page);
}

static void what_a_larger_disk_has_more_is_out_of_sync(void **state)
{
	uint64_t old = 3 * PAGE_SECTORS + 20, new = 6 * PAGE_SECTORS + 40;
	uint32_t sectors;

	(void)state;
	read_all();
	assert_int_equal(bitmap_grow(b, new), 0);
	assert_int_equal(bitmap_sectors(b), new);
	assert_int_equal(bitmap_pages(b), 7);
	assert_int_equal(bitmap_test(b, 0, old - 4), BITMAP_IN_SYNC); /* the last block is a partial one no longer */
	assert_int_equal(bitmap_test(b, old, new - old), BITMAP_OUT_OF_SYNC);
	assert_true(bitmap_full_from(b) == 4 * PAGE_SECTORS);
	assert_int_equal(bitmap_bits(b), (new - (old - 4)) / 8);
	assert_true(bitmap_must_write(b, 3));
	assert_false(bitmap_disk_known(b));
	assert_true(next_at(0, &sectors) == old - 4);
	bitmap_pass_full(b, new);
	bitmap_clear(b, old - 4, new - (old - 4));
	assert_int_equal(bitmap_bits(b), 0);
	for (uint32_t page = 3; page < 7; page++)
		write_page(page);
	assert_true(bitmap_disk_known(b));
	assert_int_equal(bitmap_disk_bits(b), 0);
	assert_true(bitmap_all_known(b));
}

static void an_empty_bitmap_does_not_say_what_is_on_disk_beyond_its_end(void **state)
{
	(void)state;
	make(2 * PAGE_SECTORS, BITMAP_NONE, true);
	assert_true(bitmap_disk_known(b));
	assert_int_equal(bitmap_grow(b, 4 * PAGE_SECTORS), 0);
	assert_true(bitmap_full_from(b) == 2 * PAGE_SECTORS);
	assert_false(bitmap_disk_known(b));
	bitmap_pass_full(b, 4 * PAGE_SECTORS);
	bitmap_clear(b, 2 * PAGE_SECTORS, 2 * PAGE_SECTORS);
	write_page(2);
	assert_false(bitmap_disk_known(b));
	write_page(3);
	assert_true(bitmap_disk_known(b));
}

static void a_disk_that_grows_in_a_full_sync_is_full_to_its_new_end(void **state)
{
	(void)state;
	make(2 * PAGE_SECTORS, PAGE_SECTORS, false);
	assert_int_equal(bitmap_grow(b, 5 * PAGE_SECTORS), 0);
	assert_true(bitmap_full_from(b) == PAGE_SECTORS);
	assert_int_equal(bitmap_test(b, 4 * PAGE_SECTORS, 8), BITMAP_OUT_OF_SYNC);
	assert_int_equal(bitmap_bits(b), 4ull * BITMAP_PAGE_BLOCKS);
}

static void many_more_groups_keep_what_was_marked(void **state)
{
	uint32_t sectors;

	(void)state;
	make(100 * PAGE_SECTORS, BITMAP_NONE, true);
	bitmap_set(b, 99 * PAGE_SECTORS + 16, 8);
	assert_int_equal(bitmap_grow(b, 16 * TIB), 0);
	assert_true(next_at(0, &sectors) == 99 * PAGE_SECTORS + 16);
	assert_int_equal(sectors, 8);
	assert_true(next_at(99 * PAGE_SECTORS + 24, &sectors) == 100 * PAGE_SECTORS);
	assert_int_equal(bitmap_grow(b, 100), -EINVAL); /* never smaller */
	assert_int_equal(bitmap_grow(b, UINT64_MAX), -EINVAL);
	assert_true(bitmap_sectors(b) == 16 * TIB);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(impossible_sizes_are_refused),
		T(what_a_larger_disk_has_more_is_out_of_sync),
		T(an_empty_bitmap_does_not_say_what_is_on_disk_beyond_its_end),
		T(a_disk_that_grows_in_a_full_sync_is_full_to_its_new_end),
		T(many_more_groups_keep_what_was_marked),
		T(bits_are_where_drbd_has_them),
		T(an_unknown_page_is_not_in_sync),
		T(what_is_set_before_the_page_was_read_is_added_to_it),
		T(what_the_disk_has_already_need_not_be_written),
		T(only_whole_blocks_are_cleared),
		T(bits_beyond_the_end_of_the_disk_do_not_count),
		T(a_page_is_dirty_until_a_write_that_has_the_bit_is_durable),
		T(a_cleared_bit_may_be_written),
		T(the_next_run_is_cut),
		T(a_full_sync_needs_no_reading),
		T(full_from_within_a_page),
		T(what_is_full_is_found_behind_empty_pages),
		T(a_dirty_page_stays_dirty_when_everything_is_set),
		T(the_digest_tells_bitmaps_apart),
		T(a_damaged_page_is_found_when_all_are_read),
		T(pages_that_were_written_meanwhile_are_not_damaged),
		T(a_page_is_found_damaged_although_another_one_was_written),
		T(a_page_that_was_written_unread_ends_the_comparison),
		T(a_huge_disk_costs_what_is_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
