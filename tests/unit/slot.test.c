/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slot.test.c: what is where in a slot of each layout, by the numbers of a guest's compiler, and that nothing else is read or written
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/slot.h"

#define PAGES 16u

static union {
	blkif_sring_t sring;
	uint8_t at[PAGES * 4096];
} shared;
static blkif_back_ring_t back;

static void ring_of(unsigned int pages)
{
	memset(&shared, 0xee, sizeof(shared));
	BACK_RING_ATTACH(&back, &shared.sring, 0, (size_t)pages * 4096);
}

static unsigned int size_of(enum slot_abi abi)
{
	return abi == SLOT_X86_32 ? 108 : 112;
}

static uint8_t *slot(enum slot_abi abi, unsigned int index)
{
	return shared.at + 64 + (size_t)(index % (back.nr_ents)) * size_of(abi);
}

static void store(uint8_t *at, uint64_t value, unsigned int bytes)
{
	memcpy(at, &value, bytes); /* little-endian, as the guests of these layouts are */
}

/* Offsets of id, sector, and what follows the sector. */
struct offsets { unsigned int id, sector, rest; };
static const struct offsets of_abi[] = { [SLOT_X86_64] = { 8, 16, 24 }, [SLOT_X86_32] = { 4, 12, 20 } };

static void a_request_of_segments_is_read(void **state)
{
	(void)state;
	for (unsigned int abi = 0; abi <= SLOT_ABI_MAX; abi++) {
		const struct offsets *o = &of_abi[abi];
		blkif_request_t out;
		uint8_t *s;

		ring_of(1);
		s = slot(abi, 31);
		store(s, BLKIF_OP_WRITE, 1);
		store(s + 1, 11, 1);
		store(s + 2, 0x1234, 2);
		store(s + o->id, 0x1122334455667788, 8);
		store(s + o->sector, 0x99aabbccddeeff00, 8);
		for (unsigned int i = 0; i < 11; i++) {
			store(s + o->rest + 8 * i, 1000 + i, 4);
			store(s + o->rest + 8 * i + 4, i % 8, 1);
			store(s + o->rest + 8 * i + 5, 7, 1);
		}
		memset(&out, 0x55, sizeof(out));
		slot_read(abi, &back, 31, &out);
		assert_int_equal(out.operation, BLKIF_OP_WRITE);
		assert_int_equal(out.nr_segments, 11);
		assert_int_equal(out.handle, 0x1234);
		assert_int_equal(out.id, 0x1122334455667788);
		assert_int_equal(out.sector_number, 0x99aabbccddeeff00);
		for (unsigned int i = 0; i < 11; i++) {
			assert_int_equal(out.seg[i].gref, 1000 + i);
			assert_int_equal(out.seg[i].first_sect, i % 8);
			assert_int_equal(out.seg[i].last_sect, 7);
		}
	}
}

static void an_indirect_request_is_read(void **state)
{
	(void)state;
	for (unsigned int abi = 0; abi <= SLOT_ABI_MAX; abi++) {
		const struct offsets *o = &of_abi[abi];
		blkif_request_indirect_t in;
		blkif_request_t out;
		uint8_t *s;

		ring_of(1);
		s = slot(abi, 3);
		store(s, BLKIF_OP_INDIRECT, 1);
		store(s + 1, BLKIF_OP_READ, 1);
		store(s + 2, 256, 2);
		store(s + o->id, 77, 8);
		store(s + o->sector, 1ull << 40, 8);
		store(s + o->rest, 0xbeef, 2); /* handle, then on to 4 bytes */
		store(s + o->rest + 4, 4711, 4);
		slot_read(abi, &back, 3, &out);
		memcpy(&in, &out, sizeof(in));
		assert_int_equal(in.operation, BLKIF_OP_INDIRECT);
		assert_int_equal(in.indirect_op, BLKIF_OP_READ);
		assert_int_equal(in.nr_segments, 256);
		assert_int_equal(in.id, 77);
		assert_int_equal(in.sector_number, 1ull << 40);
		assert_int_equal(in.handle, 0xbeef);
		assert_int_equal(in.indirect_grefs[0], 4711);
	}
}

static void a_discard_is_read(void **state)
{
	(void)state;
	for (unsigned int abi = 0; abi <= SLOT_ABI_MAX; abi++) {
		const struct offsets *o = &of_abi[abi];
		blkif_request_discard_t d;
		blkif_request_t out;
		uint8_t *s;

		ring_of(1);
		s = slot(abi, 0);
		store(s, BLKIF_OP_DISCARD, 1);
		store(s + 1, 1, 1);
		store(s + o->id, 78, 8);
		store(s + o->sector, 4096, 8);
		store(s + o->rest, 1ull << 33, 8);
		slot_read(abi, &back, 0, &out);
		memcpy(&d, &out, sizeof(d));
		assert_int_equal(d.operation, BLKIF_OP_DISCARD);
		assert_int_equal(d.flag, 1);
		assert_int_equal(d.id, 78);
		assert_int_equal(d.sector_number, 4096);
		assert_int_equal(d.nr_sectors, 1ull << 33);
	}
}

/* No byte beyond the slot is in it, and none of what was in `out`. */
static void exactly_one_slot_is_read(void **state)
{
	(void)state;
	for (unsigned int abi = 0; abi <= SLOT_ABI_MAX; abi++)
		for (unsigned int i = 0; i < 32; i++) {
			blkif_request_t out;
			const uint8_t *bytes = (const uint8_t *)&out;
			unsigned int ones = 0;

			ring_of(1);
			memset(slot(abi, i), 1, size_of(abi));
			memset(&out, 0x55, sizeof(out));
			slot_read(abi, &back, i, &out);
			for (size_t n = 0; n < sizeof(out); n++) {
				assert_true(bytes[n] <= 1);
				ones += bytes[n];
			}
			assert_int_equal(ones, size_of(abi));
		}
}

static void an_answer_is_all_of_a_response_and_nothing_else(void **state)
{
	static const unsigned int pages[] = { 1, 2, 4, 8, 16 };

	(void)state;
	for (unsigned int abi = 0; abi <= SLOT_ABI_MAX; abi++)
		for (unsigned int p = 0; p < 5; p++)
			for (unsigned int i = 0; i < 32 * pages[p]; i += 31) {
				const unsigned int size = abi == SLOT_X86_32 ? 12 : 16;
				uint8_t want[16] = { 0 };

				ring_of(pages[p]);
				assert_int_equal(back.nr_ents, 32 * pages[p]);
				slot_answer(abi, &back, i + 7 * back.nr_ents, 0x1122334455667788, BLKIF_OP_READ + 3, -1);
				store(want, 0x1122334455667788, 8);
				want[8] = 3;
				want[10] = want[11] = 0xff;
				assert_memory_equal(slot(abi, i), want, size);
				memset(slot(abi, i), 0xee, size);
				for (size_t n = 64; n < pages[p] * 4096; n++)
					if (shared.at[n] != 0xee)
						fail_msg("byte %zu was written", n);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_of_segments_is_read),
		cmocka_unit_test(an_indirect_request_is_read),
		cmocka_unit_test(a_discard_is_read),
		cmocka_unit_test(exactly_one_slot_is_read),
		cmocka_unit_test(an_answer_is_all_of_a_response_and_nothing_else),
	};

	return cmocka_run_group_tests_name("slot", tests, NULL, NULL);
}
