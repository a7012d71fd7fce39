/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.test.c: random operations on the bitmap, against arrays of one byte for each block: what is set in
 * memory, and what is on disk, with writes that are torn and that overlap with setting and clearing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/bitmap.h"
#include "tests/property/random.h"

#define SECTOR_BITS 4096u

enum { MUST = 1, MAY = 2 };

/* ---- the naive bitmap ---- */

static struct {
	uint64_t sectors;
	uint32_t page_blocks, blocks, pages;
	uint32_t full;		      /* a block: everything from here on is set */
	uint8_t *set, *disk, *flying; /* [pages * page_blocks] 0 or 1 */
	/* of each page */
	uint8_t *known, *disk_known, *dirt, *writing, *writing_dirt;
} m;

static struct bitmap *b;

static uint32_t page_of(uint32_t block)
{
	return block / m.page_blocks;
}

static uint32_t page_start(uint32_t page)
{
	return page * m.page_blocks;
}

static uint32_t page_end(uint32_t page)
{
	return page_start(page) + m.page_blocks < m.blocks ? page_start(page) + m.page_blocks : m.blocks;
}

static bool is_set(uint32_t block)
{
	return block >= m.full || m.set[block];
}

static bool is_known(uint32_t page)
{
	return page_start(page) >= m.full || m.known[page];
}

static uint32_t model_set(uint32_t from, uint32_t to)
{
	uint32_t n = 0;

	for (uint32_t i = from; i < to && i < m.full; i++) {
		if (m.set[i])
			continue;
		m.set[i] = 1;
		m.dirt[page_of(i)] |= MUST;
		n++;
	}
	return n;
}

static void model_clear(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to && i < m.full; i++) {
		if (!m.set[i] || !m.known[page_of(i)])
			continue;
		m.set[i] = 0;
		m.dirt[page_of(i)] |= MAY;
	}
}

static void model_fill(uint32_t page)
{
	uint32_t full = m.full;

	m.full = m.blocks;
	model_set(page_start(page), page_end(page));
	m.full = full;
	m.known[page] = 1;
}

static void model_from(uint32_t block)
{
	uint32_t next = (block + m.page_blocks - 1) / m.page_blocks * m.page_blocks;

	if (next < m.full)
		m.full = next;
	model_set(block, m.blocks);
}

static bool model_dirty(uint32_t page, enum bitmap_dirt dirt)
{
	uint8_t all = m.dirt[page] | m.writing_dirt[page];

	return dirt == BITMAP_MUST ? all & MUST : all == MAY;
}

/* The digest as docs/METADATA.md says it. */
static uint64_t model_step(uint64_t h, uint64_t v)
{
	uint64_t x = (h ^ v) * 0x9e3779b97f4a7c15ull;

	return x ^ (x >> 32);
}

static uint64_t model_page_digest(uint32_t page)
{
	uint64_t h = model_step(0, (uint64_t)page + 1), bits = 0, word;

	for (uint32_t i = 0; i < m.page_blocks; i += 64) {
		word = 0;
		for (uint32_t j = 0; j < 64; j++) {
			word |= (uint64_t)m.disk[page_start(page) + i + j] << j;
			bits += m.disk[page_start(page) + i + j];
		}
		h = model_step(h, word);
	}
	return bits ? model_step(h, bits) : 0;
}

/* ---- comparing ---- */

static void compare_page(uint32_t page)
{
	uint8_t bytes[BITMAP_PAGE];
	uint32_t bits = 0;
	bool have = bitmap_content(b, page, bytes);

	assert_int_equal(have, is_known(page));
	assert_int_equal(bitmap_known(b, page), is_known(page));
	assert_int_equal(bitmap_must_write(b, page), model_dirty(page, BITMAP_MUST));
	assert_int_equal(bitmap_writing(b, page), m.writing[page]);
	for (uint32_t i = 0; i < BITMAP_PAGE_BLOCKS; i++) {
		bool expected = i < page_end(page) - page_start(page) && is_set(page_start(page) + i);

		bits += expected;
		if (have)
			assert_int_equal(bytes[i / 8] >> i % 8 & 1, expected);
	}
	assert_int_equal(bitmap_page_bits(b, page), bits);
	/* what this is all for: nothing that is out of sync is missing on disk, unless the page is still to
	 * be written */
	for (uint32_t i = page_start(page); i < page_end(page) && i < m.full; i++)
		if (m.set[i] && !m.disk[i])
			assert_true(bitmap_must_write(b, page));
}

static void compare_dirty(enum bitmap_dirt dirt)
{
	uint32_t next = 0;

	for (uint32_t page = 0; page < m.pages; page++) {
		if (!model_dirty(page, dirt))
			continue;
		assert_int_equal(bitmap_dirty(b, next, dirt), page);
		next = page + 1;
	}
	assert_int_equal(bitmap_dirty(b, next, dirt), UINT32_MAX);
}

static void compare_whole(void)
{
	uint64_t bits = 0, disk_bits = 0, digest = 0;
	bool all_known = true, disk_known = true;

	for (uint32_t i = 0; i < m.blocks; i++) {
		bits += is_set(i);
		disk_bits += m.disk[i];
	}
	for (uint32_t page = 0; page < m.pages; page++) {
		all_known &= is_known(page);
		disk_known &= m.disk_known[page];
		digest += model_page_digest(page);
		if (m.pages < 20 || one_in(m.pages / 10))
			compare_page(page);
	}
	assert_int_equal(bitmap_bits(b), bits);
	assert_int_equal(bitmap_all_known(b), all_known);
	assert_int_equal(bitmap_disk_known(b), disk_known);
	if (disk_known) {
		assert_int_equal(bitmap_disk_bits(b), disk_bits);
		assert_true(bitmap_disk_digest(b) == digest);
	}
	assert_true(bitmap_full_from(b) == (m.full < m.blocks ? m.full * 8ull : BITMAP_NONE));
	compare_dirty(BITMAP_MUST);
	compare_dirty(BITMAP_MAY);
}

/* ---- operations ---- */

static void any_range(uint64_t *sector, uint64_t *sectors)
{
	uint64_t most = one_in(8) ? m.sectors : one_in(4) ? m.page_blocks * 16ull : 300;

	*sector = random_word() % m.sectors;
	if (one_in(3))
		*sector &= ~7ull;
	*sectors = 1 + random_word() % most;
	if (one_in(3))
		*sectors = (*sectors + 7) & ~7ull;
	if (*sectors > m.sectors - *sector)
		*sectors = m.sectors - *sector;
}

static void op_set(void)
{
	uint64_t sector, sectors;

	any_range(&sector, &sectors);
	assert_int_equal(bitmap_set(b, sector, sectors),
			 model_set((uint32_t)(sector / 8), (uint32_t)((sector + sectors + 7) / 8)));
}

static void op_clear(void)
{
	uint64_t sector, sectors, end;

	any_range(&sector, &sectors);
	end = sector + sectors == m.sectors ? m.blocks : (sector + sectors) / 8;
	bitmap_clear(b, sector, sectors);
	model_clear((uint32_t)((sector + 7) / 8), (uint32_t)end);
}

static void op_test(void)
{
	enum bitmap_answer expected = BITMAP_IN_SYNC;
	uint64_t sector, sectors;

	any_range(&sector, &sectors);
	for (uint64_t i = sector / 8; i < (sector + sectors + 7) / 8; i++) {
		if (is_set((uint32_t)i))
			expected = BITMAP_OUT_OF_SYNC;
		else if (!is_known(page_of((uint32_t)i)) && expected == BITMAP_IN_SYNC)
			expected = BITMAP_UNKNOWN;
	}
	assert_int_equal(bitmap_test(b, sector, sectors), expected);
}

static void op_next(void)
{
	uint64_t sector = random_word() % (m.sectors + 9), found, length = 0;
	uint32_t max = pick(one_in(3) ? 1u << 20 : 3000), sectors = 99, page = UINT32_MAX;
	uint32_t i = (uint32_t)(sector / 8), j;

	found = bitmap_next(b, sector, max, &sectors, &page);
	while (i < m.blocks && is_known(page_of(i)) && !is_set(i))
		i++;
	if (sector >= m.sectors || i >= m.blocks) {
		assert_true(found == BITMAP_NONE);
		return;
	}
	if (!is_known(page_of(i))) {
		assert_int_equal(page, page_of(i));
		assert_int_equal(found, page_start(page) * 8ull);
		assert_int_equal(sectors, 0);
		return;
	}
	for (j = i; j < page_end(page_of(i)) && is_set(j) && (j == i || length + 8 <= max); j++)
		length += 8;
	assert_int_equal(found, i * 8ull);
	assert_int_equal(sectors, i * 8 + length > m.sectors ? m.sectors - i * 8 : length);
}

/* A page as bytes, with rubbish where no bit belongs. */
static void to_bytes(uint32_t page, const uint8_t *bits, uint8_t *bytes)
{
	uint32_t n = page_end(page) - page_start(page);

	memset(bytes, 0, BITMAP_PAGE);
	for (uint32_t i = 0; i < BITMAP_PAGE_BLOCKS; i++)
		if (i < n ? bits[i] : one_in(2))
			bytes[i / 8] |= 1u << i % 8;
}

static void op_read(void)
{
	uint32_t page = pick(m.pages);
	uint8_t bytes[BITMAP_PAGE];
	bool more = false;

	to_bytes(page, m.disk + page_start(page), bytes);
	bitmap_read(b, page, bytes);
	if (m.known[page])
		return;
	m.known[page] = m.disk_known[page] = 1;
	for (uint32_t i = page_start(page); i < page_end(page); i++) {
		more |= m.set[i] && !m.disk[i];
		m.set[i] |= m.disk[i];
	}
	if (!more)
		m.dirt[page] &= ~MUST;
}

static void op_merge(void)
{
	uint32_t page = pick(m.pages), start = page_start(page);
	uint8_t *bits = calloc(1, m.page_blocks), bytes[BITMAP_PAGE];

	for (uint32_t i = pick(4); i; i--)
		bits[pick(m.page_blocks)] = 1;
	to_bytes(page, bits, bytes);
	bitmap_merge(b, page, bytes);
	for (uint32_t i = 0; start + i < page_end(page); i++)
		if (bits[i])
			model_set(start + i, start + i + 1);
	free(bits);
}

static void write_begins(uint32_t page)
{
	bitmap_write_begins(b, page);
	if (page_start(page) >= m.full)
		model_fill(page);
	memcpy(m.flying + page_start(page), m.set + page_start(page), m.page_blocks);
	m.writing[page] = 1;
	m.writing_dirt[page] = m.dirt[page];
	m.dirt[page] = 0;
}

/* Durable, or torn: each of the disk's sectors old or new. */
static void write_ends(uint32_t page)
{
	bool durable = !one_in(5), new = true;

	for (uint32_t i = 0; i < m.page_blocks; i++) {
		if (!durable && i % (m.page_blocks < SECTOR_BITS ? 16 : SECTOR_BITS) == 0)
			new = one_in(2);
		if (new)
			m.disk[page_start(page) + i] = m.flying[page_start(page) + i];
	}
	bitmap_write_ends(b, page, durable);
	m.disk_known[page] = durable;
	if (!durable)
		m.dirt[page] |= m.writing_dirt[page];
	m.writing[page] = m.writing_dirt[page] = 0;
}

static void op_write(void)
{
	uint32_t page = one_in(3) ? pick(m.pages)
				  : bitmap_dirty(b, pick(m.pages), one_in(2) ? BITMAP_MUST : BITMAP_MAY);

	if (page == UINT32_MAX)
		return;
	if (m.writing[page])
		write_ends(page);
	else if (is_known(page))
		write_begins(page);
}

static void op_full(void)
{
	uint32_t to = page_of(m.full) + pick(3);
	uint64_t sector = random_word() % (m.sectors + 10);

	if (one_in(6)) {
		bitmap_set_from(b, sector);
		if (sector < m.sectors)
			model_from((uint32_t)(sector / 8));
		return;
	}
	if (m.full == m.blocks)
		return;
	if (to >= m.pages || one_in(20))
		to = m.pages;
	bitmap_pass_full(b, to == m.pages ? m.sectors : page_start(to) * 8ull);
	for (uint32_t page = page_of(m.full); page < to; page++)
		model_fill(page);
	if (to > page_of(m.full))
		m.full = to == m.pages ? m.blocks : page_start(to);
}

/* ---- histories ---- */

static void start(uint32_t page_blocks, uint32_t pages)
{
	struct bitmap_config cfg = { .page_blocks = page_blocks,
				     .full_from = BITMAP_NONE,
				     .empty = one_in(2) };
	size_t room = (size_t)page_blocks * pages;

	memset(&m, 0, sizeof(m));
	cfg.sectors = m.sectors = (room - pick(page_blocks)) * 8 - (one_in(2) ? pick(8) : 0);
	m.page_blocks = page_blocks;
	m.pages = pages;
	m.blocks = m.full = (uint32_t)((m.sectors + 7) / 8);
	m.set = calloc(3, room);
	m.disk = m.set + room;
	m.flying = m.disk + room;
	m.known = calloc(5, pages);
	m.disk_known = m.known + pages;
	m.dirt = m.disk_known + pages;
	m.writing = m.dirt + pages;
	m.writing_dirt = m.writing + pages;
	memset(m.known, cfg.empty, 2 * pages);
	for (uint32_t i = 0; !cfg.empty && i < pages * 3; i++)
		m.disk[pick(m.blocks)] = 1;
	if (one_in(3)) {
		cfg.full_from = random_word() % m.sectors;
		model_from((uint32_t)(cfg.full_from / 8));
	}
	assert_int_equal(bitmap_new(&cfg, &b), 0);
	assert_int_equal(bitmap_pages(b), pages);
}

static void history(uint32_t page_blocks, uint32_t pages, uint32_t steps, uint32_t compare_every)
{
	static void (*const ops[])(void) = { op_set,   op_set,	 op_clear, op_clear, op_clear,
					     op_test,  op_next,	 op_next,  op_merge, op_read,
					     op_write, op_write, op_write };

	start(page_blocks, pages);
	while (steps--) {
		ops[pick(sizeof(ops) / sizeof(ops[0]))]();
		if (one_in(12))
			op_full();
		if (one_in(compare_every))
			compare_whole();
	}
	compare_whole();
	bitmap_free(b);
	free(m.set);
	free(m.known);
}

static void small_bitmaps_follow_the_model(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		history(64 * (1 + pick(4)), 1 + pick(12), 500, 8);
}

static void whole_pages_follow_the_model(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		history(BITMAP_PAGE_BLOCKS, 1 + pick(4), 300, 30);
}

/* More pages than are skipped at once. */
static void many_pages_follow_the_model(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		history(64, 900 + pick(1500), 1200, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_bitmaps_follow_the_model),
		cmocka_unit_test(whole_pages_follow_the_model),
		cmocka_unit_test(many_pages_follow_the_model),
	};

	random_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
