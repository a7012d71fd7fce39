/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkif.test.c: every rule of the validator of guest requests, each with its nearest neighbours on both sides
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/blkif.h"

static const struct blkif_limits DISK = { .sectors = 1000, .block_size = 512, .max_segments = 256 };
static const struct blkif_limits DISK_4K = { .sectors = 1000, .block_size = 4096, .max_segments = 256 };
static const struct blkif_limits DISK_RO = { .sectors = 1000, .block_size = 512, .read_only = true,
					     .max_segments = 256 };
static const struct blkif_limits DISCARDS = { .sectors = 1000, .block_size = 512, .max_segments = 256, .discard = true };
static const struct blkif_limits HUGE_DISK = { .sectors = UINT64_MAX, .block_size = 512,
					       .max_segments = 256 };

/* A request of `n` whole pages. */
static blkif_request_t direct(uint8_t operation, uint64_t sector, uint8_t n)
{
	blkif_request_t r;
	unsigned int i;

	memset(&r, 0xee, sizeof(r));
	r.operation = operation;
	r.nr_segments = n;
	r.id = 0x1122334455667788;
	r.sector_number = sector;
	for (i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
		r.seg[i] = (struct blkif_request_segment){ .gref = 100 + i, .first_sect = 0, .last_sect = 7 };
	return r;
}

static blkif_request_t indirect(uint8_t inner, uint64_t sector, uint16_t n)
{
	blkif_request_indirect_t in;
	blkif_request_t r;

	memset(&r, 0xee, sizeof(r));
	memset(&in, 0xee, sizeof(in));
	in.operation = BLKIF_OP_INDIRECT;
	in.indirect_op = inner;
	in.nr_segments = n;
	in.id = 77;
	in.sector_number = sector;
	in.indirect_grefs[0] = 4711;
	memcpy(&r, &in, sizeof(in));
	return r;
}

static blkif_request_t discard(uint64_t sector, uint64_t n, uint8_t flag)
{
	blkif_request_discard_t d;
	blkif_request_t r;

	memset(&r, 0xee, sizeof(r));
	memset(&d, 0xee, sizeof(d));
	d.operation = BLKIF_OP_DISCARD;
	d.flag = flag;
	d.id = 78;
	d.sector_number = sector;
	d.nr_sectors = n;
	memcpy(&r, &d, sizeof(d));
	return r;
}

static enum blkif_verdict parse(blkif_request_t r, const struct blkif_limits *limits, struct blkif_op *op)
{
	char why[96] = "";
	enum blkif_verdict verdict = blkif_parse(&r, limits, op, why, sizeof(why));

	/* Words exactly when it is refused. */
	assert_int_equal(why[0] != 0, verdict == BLKIF_ERROR || verdict == BLKIF_UNSUPPORTED);
	assert_int_equal(blkif_parse(&r, limits, op, NULL, 0), verdict);
	return verdict;
}

static void a_read_is_taken_over(void **state)
{
	struct blkif_op op;
	blkif_request_t r = direct(BLKIF_OP_READ, 40, 2);

	(void)state;
	r.seg[0].first_sect = 3;
	r.seg[1].last_sect = 4;
	assert_int_equal(parse(r, &DISK, &op), BLKIF_OK);
	assert_int_equal(op.id, 0x1122334455667788);
	assert_int_equal(op.operation, BLKIF_OP_READ);
	assert_int_equal(op.op, REQUEST_READ);
	assert_false(op.preflush);
	assert_int_equal(op.sector, 40);
	assert_int_equal(op.sectors, 5 + 5);
	assert_int_equal(op.segments, 2);
	assert_int_equal(op.segment[0].gref, 100);
	assert_int_equal(op.segment[0].first_sect, 3);
	assert_int_equal(op.segment[0].last_sect, 7);
	assert_int_equal(op.segment[1].gref, 101);
	assert_int_equal(op.segment[1].last_sect, 4);
}

static void a_write_is_taken_over(void **state)
{
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(direct(BLKIF_OP_WRITE, 0, 11), &DISK, &op), BLKIF_OK);
	assert_int_equal(op.op, REQUEST_WRITE);
	assert_int_equal(op.sectors, 88);
	assert_false(op.preflush);
}

static void an_empty_flush_is_a_flush_wherever_it_points(void **state)
{
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, UINT64_MAX, 0), &DISK_4K, &op), BLKIF_OK);
	assert_int_equal(op.op, REQUEST_FLUSH);
	assert_int_equal(op.operation, BLKIF_OP_FLUSH_DISKCACHE);
	assert_int_equal(op.sectors, 0);
	assert_int_equal(op.segments, 0);
	assert_false(op.preflush);
}

static void a_flush_with_data_is_a_write_after_a_flush(void **state)
{
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 8, 1), &DISK, &op), BLKIF_OK);
	assert_int_equal(op.op, REQUEST_WRITE);
	assert_int_equal(op.operation, BLKIF_OP_FLUSH_DISKCACHE);
	assert_true(op.preflush);
	assert_int_equal(op.sectors, 8);
	assert_int_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 999, 1), &DISK, &op), BLKIF_ERROR);
}

static void a_flush_is_never_unsupported(void **state)
{
	struct blkif_op op;
	unsigned int n;

	(void)state;
	for (n = 0; n < 256; n++) {
		assert_int_not_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 0, (uint8_t)n), &DISK_RO, &op),
				     BLKIF_UNSUPPORTED);
		assert_int_not_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 0, (uint8_t)n), &DISK, &op),
				     BLKIF_UNSUPPORTED);
	}
}

static void a_barrier_is_a_flush_that_nothing_is_beside(void **state)
{
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(direct(BLKIF_OP_WRITE_BARRIER, 0, 0), &DISK, &op), BLKIF_OK);
	assert_true(op.barrier && op.op == REQUEST_FLUSH && !op.preflush && !op.sectors);
	assert_int_equal(op.operation, BLKIF_OP_WRITE_BARRIER);
	assert_int_equal(parse(direct(BLKIF_OP_WRITE_BARRIER, 8, 1), &DISK, &op), BLKIF_OK);
	assert_true(op.barrier && op.op == REQUEST_WRITE && op.preflush && op.sectors);
	assert_int_equal(op.operation, BLKIF_OP_WRITE_BARRIER);
	assert_int_equal(parse(direct(BLKIF_OP_WRITE_BARRIER, 0, 12), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_WRITE_BARRIER, UINT64_MAX, 1), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_WRITE_BARRIER, 0, 0), &DISK_RO, &op), BLKIF_OK); /* as an empty flush */
	assert_int_equal(parse(direct(BLKIF_OP_WRITE_BARRIER, 0, 1), &DISK_RO, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 0, 1), &DISK, &op), BLKIF_OK);
	assert_false(op.barrier);
}

static void what_was_not_offered_is_unsupported(void **state)
{
	struct blkif_op op;
	unsigned int operation;

	(void)state;
	for (operation = 0; operation < 256; operation++) {
		enum blkif_verdict verdict = parse(direct((uint8_t)operation, 0, 1), &DISK, &op);

		if (operation == BLKIF_OP_INDIRECT)
			continue;
		assert_int_equal(op.id, 0x1122334455667788);
		assert_int_equal(op.operation, operation);
		if (operation == BLKIF_OP_READ || operation == BLKIF_OP_WRITE ||
		    operation == BLKIF_OP_WRITE_BARRIER || operation == BLKIF_OP_FLUSH_DISKCACHE)
			assert_int_equal(verdict, BLKIF_OK);
		else
			assert_int_equal(verdict, BLKIF_UNSUPPORTED);
	}
}

static void the_number_of_segments_is_1_to_11(void **state)
{
	struct blkif_op op;
	unsigned int n;

	(void)state;
	for (n = 0; n < 256; n++) {
		enum blkif_verdict want = n >= 1 && n <= 11 ? BLKIF_OK : BLKIF_ERROR;

		assert_int_equal(parse(direct(BLKIF_OP_READ, 0, (uint8_t)n), &DISK, &op), want);
		assert_int_equal(parse(direct(BLKIF_OP_WRITE, 0, (uint8_t)n), &DISK, &op), want);
		if (n)
			assert_int_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 0, (uint8_t)n), &DISK, &op),
					 want);
	}
}

static void a_segment_is_a_run_of_sectors_inside_its_page(void **state)
{
	struct blkif_op op;
	unsigned int first, last;

	(void)state;
	for (first = 0; first < 256; first++)
		for (last = 0; last < 256; last++) {
			blkif_request_t r = direct(BLKIF_OP_WRITE, 0, 3);
			bool good = first <= last && last <= 7;

			r.seg[1].first_sect = (uint8_t)first;
			r.seg[1].last_sect = (uint8_t)last;
			assert_int_equal(blkif_parse(&r, &DISK, &op, NULL, 0), good ? BLKIF_OK : BLKIF_ERROR);
			if (good)
				assert_int_equal(op.sectors, 16 + last - first + 1);
		}
}

static void segments_beyond_the_count_do_not_matter(void **state)
{
	struct blkif_op op;
	blkif_request_t r = direct(BLKIF_OP_READ, 0, 2);

	(void)state;
	r.seg[2].first_sect = 200;
	r.seg[2].last_sect = 100;
	assert_int_equal(parse(r, &DISK, &op), BLKIF_OK);
}

static void the_last_sector_can_be_reached_and_none_after_it(void **state)
{
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(direct(BLKIF_OP_READ, 992, 1), &DISK, &op), BLKIF_OK);
	assert_int_equal(parse(direct(BLKIF_OP_READ, 993, 1), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_READ, 992, 2), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_WRITE, 999, 1), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_READ, 1000, 1), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_READ, 1001, 1), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(indirect(BLKIF_OP_READ, 999, 1), &DISK, &op), BLKIF_NEEDS_INDIRECT);
	assert_int_equal(parse(indirect(BLKIF_OP_READ, 1000, 1), &DISK, &op), BLKIF_ERROR);
}

static void an_end_that_wraps_around_is_refused(void **state)
{
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(direct(BLKIF_OP_READ, UINT64_MAX, 1), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_READ, UINT64_MAX - 7, 1), &DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_READ, UINT64_MAX - 8, 2), &HUGE_DISK, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_READ, UINT64_MAX - 8, 1), &HUGE_DISK, &op), BLKIF_OK);
	assert_int_equal(parse(indirect(BLKIF_OP_READ, UINT64_MAX, 1), &DISK, &op), BLKIF_ERROR);
}

static void an_empty_disk_has_no_sector(void **state)
{
	const struct blkif_limits empty = { .sectors = 0, .block_size = 512, .max_segments = 256 };
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(direct(BLKIF_OP_READ, 0, 1), &empty, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 0, 0), &empty, &op), BLKIF_OK);
}

static void start_and_length_are_whole_blocks(void **state)
{
	struct blkif_op op;
	blkif_request_t r = direct(BLKIF_OP_READ, 8, 2);

	(void)state;
	assert_int_equal(parse(r, &DISK_4K, &op), BLKIF_OK);
	r.sector_number = 9;
	assert_int_equal(parse(r, &DISK_4K, &op), BLKIF_ERROR);
	assert_int_equal(parse(r, &DISK, &op), BLKIF_OK);
	r.sector_number = 8;
	r.seg[1].last_sect = 6;		/* 15 sectors */
	assert_int_equal(parse(r, &DISK_4K, &op), BLKIF_ERROR);
	assert_int_equal(parse(r, &DISK, &op), BLKIF_OK);
	r.seg[0].first_sect = 4;	/* 4 + 4 sectors: a block in two halves */
	r.seg[1].last_sect = 3;
	assert_int_equal(parse(r, &DISK_4K, &op), BLKIF_OK);
	assert_int_equal(parse(indirect(BLKIF_OP_READ, 9, 1), &DISK_4K, &op), BLKIF_ERROR);
}

static void a_read_only_disk_refuses_writes(void **state)
{
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(direct(BLKIF_OP_READ, 0, 1), &DISK_RO, &op), BLKIF_OK);
	assert_int_equal(parse(direct(BLKIF_OP_WRITE, 0, 1), &DISK_RO, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 0, 1), &DISK_RO, &op), BLKIF_ERROR);
	assert_int_equal(parse(direct(BLKIF_OP_FLUSH_DISKCACHE, 0, 0), &DISK_RO, &op), BLKIF_OK);
	assert_int_equal(parse(indirect(BLKIF_OP_WRITE, 0, 1), &DISK_RO, &op), BLKIF_ERROR);
	assert_int_equal(parse(indirect(BLKIF_OP_READ, 0, 1), &DISK_RO, &op), BLKIF_NEEDS_INDIRECT);
}

static void a_discard_is_taken_over(void **state)
{
	struct blkif_op op;

	(void)state;
	for (unsigned int flag = 0; flag < 256; flag++) { /* also BLKIF_DISCARD_SECURE, which was not offered, and is ignored then */
		assert_int_equal(parse(discard(40, 960, (uint8_t)flag), &DISCARDS, &op), BLKIF_OK);
		assert_int_equal(op.id, 78);
		assert_int_equal(op.operation, BLKIF_OP_DISCARD);
		assert_int_equal(op.op, REQUEST_DISCARD);
		assert_int_equal(op.sector, 40);
		assert_int_equal(op.sectors, 960);
		assert_int_equal(op.segments | op.indirect_segments, 0);
		assert_false(op.preflush);
		assert_false(op.secure);
	}
	assert_int_equal(parse(discard(40, 960, 0), &DISK, &op), BLKIF_UNSUPPORTED);
	assert_int_equal(op.id, 78);
	assert_int_equal(op.operation, BLKIF_OP_DISCARD);
}

static void a_secure_discard_is_one_where_that_was_offered(void **state)
{
	struct blkif_limits limits = DISCARDS;
	struct blkif_op op;

	(void)state;
	limits.discard_secure = true;
	for (unsigned int flag = 0; flag < 256; flag++) { /* the other bits mean nothing */
		assert_int_equal(parse(discard(40, 960, (uint8_t)flag), &limits, &op), BLKIF_OK);
		assert_int_equal(op.op, REQUEST_DISCARD);
		assert_int_equal(op.sectors, 960);
		assert_int_equal(op.secure, flag & 1);
	}
	assert_int_equal(parse(direct(BLKIF_OP_READ, 0, 1), &limits, &op), BLKIF_OK);
	assert_false(op.secure);
	limits.read_only = true;
	assert_int_equal(parse(discard(40, 960, 1), &limits, &op), BLKIF_ERROR);
	limits.read_only = limits.discard = false;
	assert_int_equal(parse(discard(40, 960, 1), &limits, &op), BLKIF_UNSUPPORTED);
}

static void an_impossible_discard_is_refused(void **state)
{
	struct blkif_limits limits = DISCARDS;
	struct blkif_op op;

	(void)state;
	assert_int_equal(parse(discard(0, 0, 0), &DISCARDS, &op), BLKIF_ERROR);
	assert_int_equal(parse(discard(999, 1, 0), &DISCARDS, &op), BLKIF_OK);
	assert_int_equal(parse(discard(999, 2, 0), &DISCARDS, &op), BLKIF_ERROR);
	assert_int_equal(parse(discard(1000, 1, 0), &DISCARDS, &op), BLKIF_ERROR);
	assert_int_equal(parse(discard(0, 1001, 0), &DISCARDS, &op), BLKIF_ERROR);
	assert_int_equal(parse(discard(1, UINT64_MAX, 0), &DISCARDS, &op), BLKIF_ERROR);
	assert_int_equal(parse(discard(UINT64_MAX, 2, 0), &DISCARDS, &op), BLKIF_ERROR);
	assert_int_equal(parse(discard(0, (1ull << 32) + 8, 0), &DISCARDS, &op), BLKIF_ERROR); /* 8, if it were cut off */
	limits.sectors = UINT64_MAX;
	assert_int_equal(parse(discard(2, UINT64_MAX, 0), &limits, &op), BLKIF_ERROR);
	assert_int_equal(parse(discard(2, UINT32_MAX, 0), &limits, &op), BLKIF_OK);
	assert_int_equal(parse(discard(2, 1ull << 32, 0), &limits, &op), BLKIF_ERROR);
	limits = DISCARDS;
	limits.block_size = 4096;
	assert_int_equal(parse(discard(8, 16, 0), &limits, &op), BLKIF_OK);
	assert_int_equal(parse(discard(4, 16, 0), &limits, &op), BLKIF_ERROR);
	assert_int_equal(parse(discard(8, 12, 0), &limits, &op), BLKIF_ERROR);
	limits.read_only = true;
	assert_int_equal(parse(discard(8, 16, 0), &limits, &op), BLKIF_ERROR);
}

static void an_indirect_request_needs_its_page(void **state)
{
	struct blkif_request_segment page[256];
	struct blkif_op op;
	char why[96];
	unsigned int i;

	(void)state;
	assert_int_equal(parse(indirect(BLKIF_OP_WRITE, 16, 30), &DISK, &op), BLKIF_NEEDS_INDIRECT);
	assert_int_equal(op.id, 77);
	assert_int_equal(op.operation, BLKIF_OP_WRITE);
	assert_int_equal(op.indirect_segments, 30);
	assert_int_equal(op.indirect_gref, 4711);
	assert_int_equal(op.sectors, 0);
	for (i = 0; i < 256; i++)
		page[i] = (struct blkif_request_segment){ .gref = i, .first_sect = 1, .last_sect = 2 };
	assert_int_equal(blkif_parse_indirect(page, &DISK, &op, why, sizeof(why)), BLKIF_OK);
	assert_int_equal(op.op, REQUEST_WRITE);
	assert_int_equal(op.sector, 16);
	assert_int_equal(op.sectors, 60);
	assert_int_equal(op.segments, 30);
	assert_int_equal(op.segment[29].gref, 29);
	assert_int_equal(op.segment[29].first_sect, 1);
	assert_int_equal(op.segment[29].last_sect, 2);
}

static void the_number_of_indirect_segments_is_1_to_what_was_offered(void **state)
{
	struct blkif_limits limits = DISK;
	struct blkif_op op;
	unsigned int n, offered;

	(void)state;
	for (offered = 1; offered <= 300; offered += 13)
		for (n = 0; n <= UINT16_MAX; n += n < 600 ? 1 : 251) {
			bool good = n >= 1 && n <= offered && n <= 256;

			limits.max_segments = (uint16_t)offered;
			assert_int_equal(parse(indirect(BLKIF_OP_READ, 0, (uint16_t)n), &limits, &op),
					 good ? BLKIF_NEEDS_INDIRECT : BLKIF_ERROR);
		}
	limits.max_segments = 0;
	assert_int_equal(parse(indirect(BLKIF_OP_READ, 0, 1), &limits, &op), BLKIF_UNSUPPORTED);
}

static void only_reads_and_writes_may_be_indirect(void **state)
{
	struct blkif_op op;
	unsigned int inner;

	(void)state;
	for (inner = 0; inner < 256; inner++) {
		bool good = inner == BLKIF_OP_READ || inner == BLKIF_OP_WRITE;

		assert_int_equal(parse(indirect((uint8_t)inner, 0, 1), &DISK, &op),
				 good ? BLKIF_NEEDS_INDIRECT : BLKIF_ERROR);
		assert_int_equal(op.operation, inner);	/* what the frontend compares */
		assert_int_equal(op.id, 77);
	}
}

static enum blkif_verdict parse_page(const struct blkif_limits *limits, uint64_t sector, uint16_t n,
				     struct blkif_request_segment *page, struct blkif_op *op)
{
	char why[96];

	assert_int_equal(parse(indirect(BLKIF_OP_READ, sector, n), limits, op), BLKIF_NEEDS_INDIRECT);
	return blkif_parse_indirect(page, limits, op, why, sizeof(why));
}

static void indirect_segments_obey_the_same_rules(void **state)
{
	struct blkif_request_segment page[256];
	struct blkif_op op;
	unsigned int i;

	(void)state;
	for (i = 0; i < 256; i++)
		page[i] = (struct blkif_request_segment){ .gref = i, .first_sect = 0, .last_sect = 7 };
	assert_int_equal(parse_page(&HUGE_DISK, 0, 256, page, &op), BLKIF_OK);
	assert_int_equal(op.sectors, REQUEST_SECTORS_MAX);
	assert_int_equal(parse_page(&DISK, 0, 125, page, &op), BLKIF_OK);
	assert_int_equal(op.sectors, 1000);
	assert_int_equal(parse_page(&DISK, 0, 126, page, &op), BLKIF_ERROR);
	assert_int_equal(parse_page(&DISK, 8, 125, page, &op), BLKIF_ERROR);
	page[100].last_sect = 8;
	assert_int_equal(parse_page(&DISK, 0, 101, page, &op), BLKIF_ERROR);
	assert_int_equal(parse_page(&DISK, 0, 100, page, &op), BLKIF_OK);
	page[100] = (struct blkif_request_segment){ .first_sect = 5, .last_sect = 4 };
	assert_int_equal(parse_page(&DISK, 0, 101, page, &op), BLKIF_ERROR);
	page[100] = (struct blkif_request_segment){ .first_sect = 4, .last_sect = 4 };
	assert_int_equal(parse_page(&DISK, 0, 101, page, &op), BLKIF_OK);
	assert_int_equal(parse_page(&DISK_4K, 0, 101, page, &op), BLKIF_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_is_taken_over),
		cmocka_unit_test(a_write_is_taken_over),
		cmocka_unit_test(an_empty_flush_is_a_flush_wherever_it_points),
		cmocka_unit_test(a_flush_with_data_is_a_write_after_a_flush),
		cmocka_unit_test(a_flush_is_never_unsupported),
		cmocka_unit_test(a_barrier_is_a_flush_that_nothing_is_beside),
		cmocka_unit_test(what_was_not_offered_is_unsupported),
		cmocka_unit_test(the_number_of_segments_is_1_to_11),
		cmocka_unit_test(a_segment_is_a_run_of_sectors_inside_its_page),
		cmocka_unit_test(segments_beyond_the_count_do_not_matter),
		cmocka_unit_test(the_last_sector_can_be_reached_and_none_after_it),
		cmocka_unit_test(an_end_that_wraps_around_is_refused),
		cmocka_unit_test(an_empty_disk_has_no_sector),
		cmocka_unit_test(start_and_length_are_whole_blocks),
		cmocka_unit_test(a_read_only_disk_refuses_writes),
		cmocka_unit_test(a_discard_is_taken_over),
		cmocka_unit_test(a_secure_discard_is_one_where_that_was_offered),
		cmocka_unit_test(an_impossible_discard_is_refused),
		cmocka_unit_test(an_indirect_request_needs_its_page),
		cmocka_unit_test(the_number_of_indirect_segments_is_1_to_what_was_offered),
		cmocka_unit_test(only_reads_and_writes_may_be_indirect),
		cmocka_unit_test(indirect_segments_obey_the_same_rules),
	};

	return cmocka_run_group_tests_name("blkif", tests, NULL, NULL);
}
