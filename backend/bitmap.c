/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.c: one bit for each block of 4 KiB, in pages that are read when they are needed.
 *
 * Invariants
 *  1. Memory has every bit that the disk has, but for bits cleared in memory since, and for pages that were
 *     not read yet (`known`).  So what is out of sync is never taken for in sync (P3).
 *  2. A bit in memory that may not be on disk makes its page MUST, from the moment when it is set until a
 *     write that began afterwards is durable.  A bit cleared makes it MAY in the same way.
 *  3. `full` is a page's number: from this page on every block is set, whatever the pages say; they are not
 *     touched before bitmap_pass_full() or their own write fills them.
 *  4. A group's counts are the sums over its pages, `must` and `may` those over all groups; `below` is the sum over the pages below `full`.
 *
 * A page's dirt:
 *   clean ──> must|may [set, clear] ──> writing [bitmap_write_begins] ──> clean [bitmap_write_ends]
 *     writing ──> as before [bitmap_write_ends: not durable]
 *     writing ──> must|may again, in addition [set, clear]
 *
 * Memory is zero as the system gives it, and zero is the state at the start: no page costs anything until it
 * is used.
 */
#include "backend/bitmap.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GROUP	   1024u /* pages that are skipped together */
#define WORD	   64u	 /* bits */
#define PAGE_WORDS (BITMAP_PAGE / 8)

/* struct page.flags */
enum {
	READ = 1u << 0, /* memory has all its bits */
	MUST = 1u << 1,
	MAY = 1u << 2,
	WRITING = 1u << 3,
	WRITING_MUST = 1u << 4, /* MUST and MAY as they were when the write began */
	WRITING_MAY = 1u << 5,
	DISK_CHANGED = 1u << 6, /* what is on disk is known, unless it was from the start (`empty`); then it
				   is not */
};

struct sum {
	uint64_t bits;
	uint32_t read; /* pages */
};

struct page {
	uint32_t bits;	     /* set in memory */
	uint32_t disk_bits;  /* set on disk */
	uint64_t disk_mix;   /* what it adds to the digest */
	uint64_t flying_mix; /* the same two of what is being written */
	uint32_t flying_bits;
	uint32_t flags;
};

struct group {
	struct sum sum;
	uint32_t must, may; /* pages that bitmap_dirty() finds */
};

struct bitmap {
	uint64_t sectors, blocks;
	uint32_t page_blocks, page_words, pages, groups;
	uint32_t full;	      /* a page, or `pages` */
	uint32_t disk_doubts; /* pages of which it is not known what is on disk */
	bool empty;
	uint32_t must, may; /* pages: where there are none, which is nearly always, nothing is looked for */
	struct sum below;
	uint64_t disk_bits, disk_digest;
	bool expected; /* what disk_bits and disk_digest will be when every page was read: */
	uint64_t expected_bits, expected_digest;
	uint64_t *words;
	struct page *page;
	struct group *group;
};

/* ---- life ---- */

/* Zeroed, and not reserved: of 512 MiB for 16 TiB most is never touched.  Huge pages would give 2 MiB for
 * each bit. */
static void *lazy(size_t bytes)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE); /* refused by a kernel without huge pages */
	return p;
}

static size_t words_size(const struct bitmap *b)
{
	return (size_t)b->pages * b->page_words * sizeof(*b->words);
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + !!(a % b);
}

int bitmap_new(const struct bitmap_config *cfg, struct bitmap **out)
{
	uint64_t blocks = divide_up(cfg->sectors, BITMAP_BLOCK_SECTORS);
	struct bitmap *b;

	if (!blocks || !cfg->page_blocks || cfg->page_blocks % WORD ||
	    cfg->page_blocks > BITMAP_PAGE_BLOCKS ||
	    divide_up(blocks, cfg->page_blocks) >= UINT32_MAX - GROUP)
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->sectors = cfg->sectors;
	b->blocks = blocks;
	b->page_blocks = cfg->page_blocks;
	b->page_words = cfg->page_blocks / WORD;
	b->pages = b->full = (uint32_t)divide_up(blocks, cfg->page_blocks);
	b->groups = (b->pages + GROUP - 1) / GROUP;
	b->empty = cfg->empty;
	b->disk_doubts = cfg->empty ? 0 : b->pages;
	b->expected = cfg->summed;
	b->expected_bits = cfg->disk_bits;
	b->expected_digest = cfg->disk_digest;
	b->words = lazy(words_size(b));
	b->page = lazy(b->pages * sizeof(*b->page));
	b->group = calloc(b->groups, sizeof(*b->group));
	if (!b->words || !b->page || !b->group) {
		bitmap_free(b);
		return -ENOMEM;
	}
	bitmap_set_from(b, cfg->full_from);
	*out = b;
	return 0;
}

void bitmap_free(struct bitmap *b)
{
	if (!b)
		return;
	if (b->words)
		munmap(b->words, words_size(b));
	if (b->page)
		munmap(b->page, b->pages * sizeof(*b->page));
	free(b->group);
	free(b);
}

/* Moves nothing but page tables; what is new is zero. */
static void *stretch(void *p, size_t from, size_t to)
{
	void *moved = mremap(p, from, to, MREMAP_MAYMOVE);

	return moved == MAP_FAILED ? NULL : moved;
}

/* Room for what is described after bitmap_grow(). */
static int make_room(struct bitmap *b, uint32_t pages, uint32_t groups)
{
	size_t words = words_size(b), more = (size_t)pages * b->page_words * sizeof(*b->words);
	struct group *group = realloc(b->group, groups * sizeof(*group));
	void *stretched;

	if (!group)
		return -ENOMEM;
	memset(group + b->groups, 0, (groups - b->groups) * sizeof(*group));
	b->group = group;
	stretched = stretch(b->words, words, more);
	if (!stretched)
		return -ENOMEM;
	b->words = stretched;
	stretched = stretch(b->page, b->pages * sizeof(*b->page), pages * sizeof(*b->page));
	if (!stretched) {
		b->words = mremap(b->words, more, words, 0); /* in place: that cannot fail */
		return -ENOMEM;
	}
	b->page = stretched;
	return 0;
}

int bitmap_grow(struct bitmap *b, uint64_t sectors)
{
	uint64_t blocks = divide_up(sectors, BITMAP_BLOCK_SECTORS), old = b->sectors;
	uint64_t pages = divide_up(blocks, b->page_blocks);
	uint32_t groups = (uint32_t)((pages + GROUP - 1) / GROUP);
	int rc;

	if (sectors <= old)
		return sectors == old ? 0 : -EINVAL;
	if (pages >= UINT32_MAX - GROUP)
		return -EINVAL;
	rc = make_room(b, (uint32_t)pages, groups);
	if (rc)
		return rc;
	if (b->full == b->pages)
		b->full = (uint32_t)pages;
	for (uint32_t page = b->pages; page < pages; page++) { /* whatever is on disk there */
		b->page[page].flags = b->empty ? DISK_CHANGED : 0;
		b->disk_doubts++;
	}
	b->expected &= pages == b->pages;
	b->sectors = sectors;
	b->blocks = blocks;
	b->pages = (uint32_t)pages;
	b->groups = groups;
	bitmap_set_from(b, old);
	return 0;
}

uint64_t bitmap_sectors(const struct bitmap *b)
{
	return b->sectors;
}

/* ---- where things are ---- */

static uint64_t page_first(const struct bitmap *b, uint32_t page) /* block */
{
	return (uint64_t)page * b->page_blocks;
}

static uint32_t page_length(const struct bitmap *b, uint32_t page) /* blocks */
{
	uint64_t left = b->blocks - page_first(b, page);

	return left < b->page_blocks ? (uint32_t)left : b->page_blocks;
}

static uint64_t page_sector(const struct bitmap *b, uint32_t page)
{
	return page_first(b, page) * BITMAP_BLOCK_SECTORS;
}

static uint64_t *page_words(const struct bitmap *b, uint32_t page)
{
	return b->words + (size_t)page * b->page_words;
}

static struct group *group_of(const struct bitmap *b, uint32_t page)
{
	return &b->group[page / GROUP];
}

static bool is_full(const struct bitmap *b, uint32_t page)
{
	return page >= b->full;
}

static bool has_read(const struct bitmap *b, uint32_t page)
{
	return b->empty || b->page[page].flags & READ;
}

/* The bits of word `w` of a page that lie in [from, to), blocks of the page. */
static uint64_t mask(uint32_t w, uint32_t from, uint32_t to)
{
	uint32_t start = w * WORD;
	uint64_t low = from > start ? ~0ull << (from - start) : ~0ull;

	return to >= start + WORD ? low : low & ~(~0ull << (to - start));
}

/* A part of one page: [from, to) blocks of it. */
struct part {
	uint32_t page, from, to;
};

/* The part of [block, end) in the page that holds `block`. */
static struct part part_of(const struct bitmap *b, uint64_t block, uint64_t end)
{
	uint32_t page = (uint32_t)(block / b->page_blocks);
	uint64_t first = page_first(b, page);

	return (struct part){ page, (uint32_t)(block - first),
			      (uint32_t)(end - first < b->page_blocks ? end - first : b->page_blocks) };
}

/* Blocks that a range of sectors touches, cut at the end of the disk. */
static uint64_t touched_end(const struct bitmap *b, uint64_t sector, uint64_t sectors)
{
	if (!sectors || sector >= b->sectors)
		return sector / BITMAP_BLOCK_SECTORS;
	if (sectors > b->sectors - sector)
		sectors = b->sectors - sector;
	return divide_up(sector + sectors, BITMAP_BLOCK_SECTORS);
}

uint32_t bitmap_pages(const struct bitmap *b)
{
	return b->pages;
}

uint32_t bitmap_page_of(const struct bitmap *b, uint64_t sector)
{
	return (uint32_t)(sector / BITMAP_BLOCK_SECTORS / b->page_blocks);
}

/* ---- counts and dirt ---- */

static void count_bits(struct bitmap *b, uint32_t page, uint32_t set, uint32_t cleared)
{
	b->page[page].bits += set - cleared;
	group_of(b, page)->sum.bits += (uint64_t)set - cleared;
	if (!is_full(b, page))
		b->below.bits += (uint64_t)set - cleared;
}

static void count_read(struct bitmap *b, uint32_t page)
{
	if (b->page[page].flags & READ)
		return;
	b->page[page].flags |= READ;
	group_of(b, page)->sum.read++;
	b->below.read += !is_full(b, page);
}

/* The sum over the pages [from, to). */
static struct sum sum_of(const struct bitmap *b, uint32_t from, uint32_t to)
{
	struct sum sum = { 0, 0 };

	while (from < to) {
		if (from % GROUP == 0 && to - from >= GROUP) {
			sum.bits += group_of(b, from)->sum.bits;
			sum.read += group_of(b, from)->sum.read;
			from += GROUP;
			continue;
		}
		sum.bits += b->page[from].bits;
		sum.read += !!(b->page[from].flags & READ);
		from++;
	}
	return sum;
}

static void move_full(struct bitmap *b, uint32_t to)
{
	struct sum moved = to < b->full ? sum_of(b, to, b->full) : sum_of(b, b->full, to);

	if (to < b->full) {
		b->below.bits -= moved.bits;
		b->below.read -= moved.read;
	} else {
		b->below.bits += moved.bits;
		b->below.read += moved.read;
	}
	b->full = to;
}

static bool is_dirty(uint32_t flags, enum bitmap_dirt dirt)
{
	bool must = flags & (MUST | WRITING_MUST);

	return dirt == BITMAP_MUST ? must : !must && flags & (MAY | WRITING_MAY);
}

static void set_flags(struct bitmap *b, uint32_t page, uint32_t add, uint32_t remove)
{
	struct group *group = group_of(b, page);
	uint32_t old = b->page[page].flags, new = (old & ~remove) | add, must, may;

	if (old == new)
		return;
	b->page[page].flags = new;
	must = (uint32_t)is_dirty(new, BITMAP_MUST) - is_dirty(old, BITMAP_MUST);
	may = (uint32_t)is_dirty(new, BITMAP_MAY) - is_dirty(old, BITMAP_MAY);
	group->must += must;
	group->may += may;
	b->must += must;
	b->may += may;
}

/* ---- what is on disk ---- */

static uint64_t step(uint64_t h, uint64_t value)
{
	h = (h ^ value) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

/* What the page adds to the digest (docs/METADATA.md): nothing if it is empty. */
static uint64_t mix(const struct bitmap *b, uint32_t page, const uint64_t *words, uint32_t bits)
{
	uint64_t h = step(0, (uint64_t)page + 1);

	for (uint32_t i = 0; bits && i < b->page_words; i++)
		h = step(h, words[i]);
	return bits ? step(h, bits) : 0;
}

static bool disk_known(const struct bitmap *b, uint32_t page)
{
	return b->empty != !!(b->page[page].flags & DISK_CHANGED);
}

static void set_disk_known(struct bitmap *b, uint32_t page, bool known)
{
	if (disk_known(b, page) == known)
		return;
	b->page[page].flags ^= DISK_CHANGED;
	b->disk_doubts += known ? -1u : 1u;
}

static void set_disk(struct bitmap *b, uint32_t page, uint32_t bits, uint64_t page_mix)
{
	struct page *p = &b->page[page];

	b->disk_bits += (uint64_t)bits - p->disk_bits;
	b->disk_digest += page_mix - p->disk_mix;
	p->disk_bits = bits;
	p->disk_mix = page_mix;
	set_disk_known(b, page, true);
}

/* What is being written takes the place of what was read. */
static void expect_written(struct bitmap *b, uint32_t page)
{
	const struct page *p = &b->page[page];

	b->expected &= disk_known(b, page);
	b->expected_bits += (uint64_t)p->flying_bits - p->disk_bits;
	b->expected_digest += p->flying_mix - p->disk_mix;
}

bool bitmap_damaged(struct bitmap *b)
{
	bool damaged = b->expected && !b->disk_doubts &&
		       (b->disk_bits != b->expected_bits || b->disk_digest != b->expected_digest);

	b->expected &= !damaged;
	return damaged;
}

bool bitmap_disk_known(const struct bitmap *b)
{
	return !b->disk_doubts;
}

uint64_t bitmap_disk_bits(const struct bitmap *b)
{
	return b->disk_bits;
}

uint64_t bitmap_disk_digest(const struct bitmap *b)
{
	return b->disk_digest;
}

/* ---- set, clear, test ---- */

static uint32_t set_part(struct bitmap *b, struct part at)
{
	uint64_t *words = page_words(b, at.page), new;
	uint32_t n = 0;

	if (b->page[at.page].bits == page_length(b, at.page))
		return 0;
	for (uint32_t w = at.from / WORD; w * WORD < at.to; w++) {
		new = mask(w, at.from, at.to) & ~words[w];
		words[w] |= new;
		n += (uint32_t)__builtin_popcountll(new);
	}
	if (n) {
		count_bits(b, at.page, n, 0);
		set_flags(b, at.page, MUST, 0);
	}
	return n;
}

static uint64_t set_blocks(struct bitmap *b, uint64_t block, uint64_t end)
{
	uint64_t n = 0;
	struct part at;

	for (; block < end; block = page_first(b, at.page) + at.to) {
		at = part_of(b, block, end);
		n += set_part(b, at);
	}
	return n;
}

uint64_t bitmap_set(struct bitmap *b, uint64_t sector, uint64_t sectors)
{
	uint64_t end = touched_end(b, sector, sectors), full = page_first(b, b->full);

	return set_blocks(b, sector / BITMAP_BLOCK_SECTORS, end < full ? end : full);
}

void bitmap_set_from(struct bitmap *b, uint64_t from)
{
	uint64_t block = from / BITMAP_BLOCK_SECTORS, next = divide_up(block, b->page_blocks);

	if (next < b->full)
		move_full(b, (uint32_t)next);
	/* the page that is cut */
	if (from < b->sectors)
		bitmap_set(b, from, b->sectors - from);
}

static void clear_part(struct bitmap *b, struct part at)
{
	uint64_t *words = page_words(b, at.page), old;
	uint32_t n = 0;

	if (!has_read(b, at.page) || is_full(b, at.page) || !b->page[at.page].bits)
		return;
	for (uint32_t w = at.from / WORD; w * WORD < at.to; w++) {
		old = mask(w, at.from, at.to) & words[w];
		words[w] &= ~old;
		n += (uint32_t)__builtin_popcountll(old);
	}
	if (n) {
		count_bits(b, at.page, 0, n);
		set_flags(b, at.page, MAY, 0);
	}
}

void bitmap_clear(struct bitmap *b, uint64_t sector, uint64_t sectors)
{
	uint64_t block = divide_up(sector, BITMAP_BLOCK_SECTORS), end;
	struct part at;

	if (sector >= b->sectors)
		return;
	end = sectors >= b->sectors - sector ? b->blocks : (sector + sectors) / BITMAP_BLOCK_SECTORS;
	for (; block < end; block = page_first(b, at.page) + at.to) {
		at = part_of(b, block, end);
		clear_part(b, at);
	}
}

/* The first set bit of memory in the part, at.to if none. */
static uint32_t first_set(const struct bitmap *b, struct part at)
{
	const uint64_t *words = page_words(b, at.page);
	uint64_t found;

	if (!b->page[at.page].bits)
		return at.to;
	for (uint32_t w = at.from / WORD; w * WORD < at.to; w++) {
		found = mask(w, at.from, at.to) & words[w];
		if (found)
			return w * WORD + (uint32_t)__builtin_ctzll(found);
	}
	return at.to;
}

/* The first bit from at.from on that is not set, at.to if none. */
static uint32_t first_clear(const struct bitmap *b, struct part at)
{
	const uint64_t *words = page_words(b, at.page);
	uint64_t found;

	for (uint32_t w = at.from / WORD; w * WORD < at.to; w++) {
		found = mask(w, at.from, at.to) & ~words[w];
		if (found)
			return w * WORD + (uint32_t)__builtin_ctzll(found);
	}
	return at.to;
}

/* Is there nothing in this page's whole group, for sure? */
static bool group_empty(const struct bitmap *b, uint32_t page)
{
	const struct sum *sum = &group_of(b, page)->sum;
	uint32_t start = page / GROUP * GROUP, left = b->pages - start, n = left < GROUP ? left : GROUP;

	return !sum->bits && (b->empty || sum->read == n) && b->full >= start + n;
}

enum bitmap_answer bitmap_test(const struct bitmap *b, uint64_t sector, uint64_t sectors)
{
	uint64_t block = sector / BITMAP_BLOCK_SECTORS, end = touched_end(b, sector, sectors);
	bool unknown = false;
	struct part at;

	if (end > block && end > page_first(b, b->full))
		return BITMAP_OUT_OF_SYNC;
	for (; block < end; block = page_first(b, at.page) + at.to) {
		at = part_of(b, block, end);
		if (first_set(b, at) < at.to)
			return BITMAP_OUT_OF_SYNC;
		unknown |= !has_read(b, at.page);
	}
	return unknown ? BITMAP_UNKNOWN : BITMAP_IN_SYNC;
}

/* The run that starts at the block `from` of the page, cut at `max` blocks. */
static uint64_t run(const struct bitmap *b, struct part at, uint32_t max, uint32_t *sectors)
{
	uint64_t start = (page_first(b, at.page) + at.from) * BITMAP_BLOCK_SECTORS, length;

	if (at.to - at.from > max)
		at.to = at.from + max;
	length = (uint64_t)((is_full(b, at.page) ? at.to : first_clear(b, at)) - at.from) *
		 BITMAP_BLOCK_SECTORS;
	*sectors = (uint32_t)(length < b->sectors - start ? length : b->sectors - start);
	return start;
}

uint64_t bitmap_next(const struct bitmap *b, uint64_t sector, uint32_t max_sectors, uint32_t *sectors,
		     uint32_t *page)
{
	uint32_t max = max_sectors / BITMAP_BLOCK_SECTORS;
	uint64_t block = sector / BITMAP_BLOCK_SECTORS;
	struct part at;

	*sectors = 0;
	if (sector >= b->sectors) /* perhaps within the last block */
		return BITMAP_NONE;
	for (; block < b->blocks; block = page_first(b, at.page) + at.to) {
		at = part_of(b, block, b->blocks);
		if (group_empty(b, at.page)) {
			at = (struct part){ at.page / GROUP * GROUP + GROUP, 0, 0 };
			continue;
		}
		if (is_full(b, at.page))
			return run(b, at, max ? max : 1, sectors);
		if (!has_read(b, at.page)) {
			*page = at.page;
			return page_sector(b, at.page);
		}
		at.from = first_set(b, at);
		if (at.from < at.to)
			return run(b, at, max ? max : 1, sectors);
	}
	return BITMAP_NONE;
}

/* ---- pages ---- */

bool bitmap_known(const struct bitmap *b, uint32_t page)
{
	return has_read(b, page) || is_full(b, page);
}

/* Word `w` of a page as on disk, without bits beyond the end of the disk. */
static uint64_t word_of(const struct bitmap *b, uint32_t page, const uint8_t *bytes, uint32_t w)
{
	uint32_t length = page_length(b, page);
	uint64_t word;

	memcpy(&word, bytes + w * sizeof(word), sizeof(word));
	return w * WORD < length ? le64toh(word) & mask(w, 0, length) : 0;
}

static void put_word(uint8_t *bytes, uint32_t w, uint64_t word)
{
	word = htole64(word);
	memcpy(bytes + w * sizeof(word), &word, sizeof(word));
}

/* ORs the words in, and touches memory only where something is new. Returns how many bits are. */
static uint32_t join(struct bitmap *b, uint32_t page, const uint64_t *from)
{
	uint64_t *words = page_words(b, page), new;
	uint32_t n = 0;

	for (uint32_t w = 0; w < b->page_words; w++) {
		if (!from[w])
			continue;
		new = from[w] & ~words[w];
		words[w] |= new;
		n += (uint32_t)__builtin_popcountll(new);
	}
	if (n)
		count_bits(b, page, n, 0);
	return n;
}

void bitmap_read(struct bitmap *b, uint32_t page, const uint8_t *bytes)
{
	uint64_t disk[PAGE_WORDS];
	uint32_t bits = 0;

	if (has_read(b, page))
		return;
	for (uint32_t w = 0; w < b->page_words; w++) {
		disk[w] = word_of(b, page, bytes, w);
		bits += (uint32_t)__builtin_popcountll(disk[w]);
	}
	join(b, page, disk);
	count_read(b, page);
	/* what was set before may all be on disk */
	if (b->page[page].bits == bits)
		set_flags(b, page, 0, MUST);
	set_disk(b, page, bits, mix(b, page, disk, bits));
}

bool bitmap_content(const struct bitmap *b, uint32_t page, uint8_t *bytes)
{
	const uint64_t *words = page_words(b, page);
	uint32_t length = page_length(b, page);

	if (!bitmap_known(b, page))
		return false;
	memset(bytes, 0, BITMAP_PAGE);
	if (!is_full(b, page) && !b->page[page].bits)
		return true;
	for (uint32_t w = 0; w * WORD < length; w++)
		put_word(bytes, w, is_full(b, page) ? mask(w, 0, length) : words[w]);
	return true;
}

void bitmap_merge(struct bitmap *b, uint32_t page, const uint8_t *bytes)
{
	uint64_t theirs[PAGE_WORDS];

	if (is_full(b, page))
		return;
	for (uint32_t w = 0; w < b->page_words; w++)
		theirs[w] = word_of(b, page, bytes, w);
	if (join(b, page, theirs))
		set_flags(b, page, MUST, 0);
}

uint32_t bitmap_page_bits(const struct bitmap *b, uint32_t page)
{
	return is_full(b, page) ? page_length(b, page) : b->page[page].bits;
}

uint32_t bitmap_dirty(const struct bitmap *b, uint32_t page, enum bitmap_dirt dirt)
{
	const struct group *group;

	if (!(dirt == BITMAP_MUST ? b->must : b->may))
		return UINT32_MAX;
	while (page < b->pages) {
		group = group_of(b, page);
		if (!(dirt == BITMAP_MUST ? group->must : group->may))
			page = page / GROUP * GROUP + GROUP;
		else if (is_dirty(b->page[page].flags, dirt))
			return page;
		else
			page++;
	}
	return UINT32_MAX;
}

bool bitmap_must_write(const struct bitmap *b, uint32_t page)
{
	return is_dirty(b->page[page].flags, BITMAP_MUST);
}

bool bitmap_writing(const struct bitmap *b, uint32_t page)
{
	return b->page[page].flags & WRITING;
}

/* Every bit of the page, in memory. */
static void fill(struct bitmap *b, uint32_t page)
{
	set_part(b, (struct part){ page, 0, page_length(b, page) });
	count_read(b, page);
}

void bitmap_write_begins(struct bitmap *b, uint32_t page)
{
	struct page *p = &b->page[page];
	uint32_t dirt;

	assert(bitmap_known(b, page) && !bitmap_writing(b, page));
	if (is_full(b, page))
		fill(b, page);
	p->flying_bits = p->bits;
	p->flying_mix = mix(b, page, page_words(b, page), p->bits);
	dirt = (p->flags & MUST ? WRITING_MUST : 0) | (p->flags & MAY ? WRITING_MAY : 0);
	set_flags(b, page, WRITING | dirt, MUST | MAY);
}

void bitmap_write_ends(struct bitmap *b, uint32_t page, bool durable)
{
	struct page *p = &b->page[page];
	uint32_t dirt = (p->flags & WRITING_MUST ? MUST : 0) | (p->flags & WRITING_MAY ? MAY : 0);

	assert(bitmap_writing(b, page));
	set_flags(b, page, durable ? 0 : dirt, WRITING | WRITING_MUST | WRITING_MAY);
	b->expected &= durable;
	if (durable) {
		expect_written(b, page);
		set_disk(b, page, p->flying_bits, p->flying_mix);
	} else {
		set_disk_known(b, page, false);
	}
}

/* ---- the whole ---- */

uint64_t bitmap_bits(const struct bitmap *b)
{
	return b->below.bits + (b->full < b->pages ? b->blocks - page_first(b, b->full) : 0);
}

bool bitmap_all_known(const struct bitmap *b)
{
	return b->empty || b->below.read == b->full;
}

uint64_t bitmap_full_from(const struct bitmap *b)
{
	return b->full < b->pages ? page_sector(b, b->full) : BITMAP_NONE;
}

void bitmap_pass_full(struct bitmap *b, uint64_t sector)
{
	uint32_t from = b->full, to = sector >= b->sectors ? b->pages : bitmap_page_of(b, sector);

	assert(sector >= b->sectors || page_sector(b, to) == sector);
	if (to <= from)
		return;
	move_full(b, to);
	for (uint32_t page = from; page < to; page++)
		fill(b, page);
}
