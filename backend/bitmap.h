/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.h: which blocks differ between the two disks: one bit for 4 KiB, set = out of sync.
 *
 * The bits are on the metadata device in pages of 4096 bytes, read when they are needed: at start every page
 * is unknown.  Setting never waits: what is set while a page is unknown is OR-ed to what is read.  Clearing
 * needs the page.  It does no I/O: the caller reads and writes pages; nothing here allocates after
 * bitmap_new().
 *
 * Memory: a bit for each block and some bytes for each page, of which the system gives what is touched (32
 * MiB per TiB at most).
 */
#ifndef DRBDX_BACKEND_BITMAP_H
#define DRBDX_BACKEND_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

#define BITMAP_BLOCK_SECTORS 8u /* 4 KiB of data a bit */
/* bytes of a page on disk: little-endian bits, the lowest bit of byte 0 first, as DRBD's */
#define BITMAP_PAGE	     4096u
#define BITMAP_PAGE_BLOCKS   32768u /* bits of a page */
#define BITMAP_NONE	     UINT64_MAX

struct bitmap;

struct bitmap_config {
	uint64_t sectors;
	/* BITMAP_PAGE_BLOCKS; the simulator's are smaller, a multiple of 64: a page on disk holds so many
	 * bits, the rest is 0 */
	uint32_t page_blocks;
	uint64_t full_from; /* as bitmap_set_from(); BITMAP_NONE: none */
	bool empty;	    /* the whole bitmap is known to be zero on disk: nothing need be read */
	/* What it adds up to on disk, as far as somebody has kept that: see bitmap_damaged(). */
	bool summed;
	uint64_t disk_bits, disk_digest;
};
/* -ENOMEM, -EINVAL.  It costs the same whatever the size, but for some bytes per 128 GiB. */
int bitmap_new(const struct bitmap_config *cfg, struct bitmap **out);
void bitmap_free(struct bitmap *b); /* NULL is fine */
/* The disk has become larger: everything from its old end on is out of sync, as after bitmap_set_from(). It costs what is new, and copies
 * nothing. -ENOMEM: nothing has changed. */
int bitmap_grow(struct bitmap *b, uint64_t sectors);
uint64_t bitmap_sectors(const struct bitmap *b);

uint32_t bitmap_pages(const struct bitmap *b);
uint32_t bitmap_page_of(const struct bitmap *b, uint64_t sector);

/* Marks every block that the range touches. Returns how many bits were newly set (as far as is known). */
uint64_t bitmap_set(struct bitmap *b, uint64_t sector, uint64_t sectors);
/* Marks everything from sector `from` on, without touching the pages (a full sync).  If `from` is within a
 * page, the rest of that page is set in it, and bitmap_full_from() is the next page's first sector. */
void bitmap_set_from(struct bitmap *b, uint64_t from);
/* Clears the blocks that lie wholly in the range (the last block of the disk may be a partial one).  Those of
 * unknown pages and from full_from on stay set. */
void bitmap_clear(struct bitmap *b, uint64_t sector, uint64_t sectors);

enum bitmap_answer { BITMAP_IN_SYNC, BITMAP_OUT_OF_SYNC, BITMAP_UNKNOWN };
/* Of any block that the range touches. UNKNOWN: a page must be read first and no known bit is set. */
enum bitmap_answer bitmap_test(const struct bitmap *b, uint64_t sector, uint64_t sectors);

/* The next run of set bits from the block that holds `sector` on, at most `max_sectors` (at least a block)
 * long and not beyond the page: *sectors (cut at the end of the disk) and its first sector.  BITMAP_NONE: no
 * more.  If a page on the way is unknown, *page is its number and the answer is the first sector that it
 * covers, with *sectors 0. */
uint64_t bitmap_next(const struct bitmap *b, uint64_t sector, uint32_t max_sectors, uint32_t *sectors,
		     uint32_t *page);

/* ---- pages ---- */
/* Its bits are all known: it was read, or lies in the part that is full. */
bool bitmap_known(const struct bitmap *b, uint32_t page);
/* `bytes` as read (BITMAP_PAGE); nothing happens if the page was known already */
void bitmap_read(struct bitmap *b, uint32_t page, const uint8_t *bytes);
/* The content to be written (BITMAP_PAGE bytes); false: the page is unknown, read it first */
bool bitmap_content(const struct bitmap *b, uint32_t page, uint8_t *bytes);
/* ORs in what the partner sent of this page */
void bitmap_merge(struct bitmap *b, uint32_t page, const uint8_t *bytes);
/* bits set in a page, as far as is known */
uint32_t bitmap_page_bits(const struct bitmap *b, uint32_t page);

/*
 * A page is dirty when a bit was SET in memory that may not be on disk (MUST), or when it merely has fewer
 * bits than the disk (MAY).  It stays dirty while it is being written: UINT32_MAX for BITMAP_MUST means that
 * every bit that is set is durable.  Unknown pages with bits set count as MUST.  bitmap_dirty() is the next
 * one at or after `page`, UINT32_MAX if none.
 */
enum bitmap_dirt { BITMAP_MUST, BITMAP_MAY };
uint32_t bitmap_dirty(const struct bitmap *b, uint32_t page, enum bitmap_dirt dirt);
bool bitmap_must_write(const struct bitmap *b, uint32_t page);
/* Around a write of bitmap_content() as it is when the write begins: what is set in between makes the page
 * dirty again.  One at a time for a page; not durable: the page is as dirty as before. */
void bitmap_write_begins(struct bitmap *b, uint32_t page);
void bitmap_write_ends(struct bitmap *b, uint32_t page, bool durable);
bool bitmap_writing(const struct bitmap *b, uint32_t page);

/* ---- the whole ---- */
uint64_t bitmap_bits(const struct bitmap *b); /* set, as far as is known (all from full_from on count) */
bool bitmap_all_known(const struct bitmap *b);
/* The first sector, of a page, from which everything is set without the pages saying so; BITMAP_NONE: none.
 * On disk the superblock's full_from moves up to it only when no page below is MUST. */
uint64_t bitmap_full_from(const struct bitmap *b);
/* Moves it up to `sector` (a page's first, or the end of the disk): the pages below it hold their own bits
 * from now on, still set. */
void bitmap_pass_full(struct bitmap *b, uint64_t sector);
/* Of the bitmap as it is on disk (docs/METADATA.md), kept as pages are read and written; meaningful while
 * bitmap_disk_known(): every page was read, or written, or `empty` was given, and no failed write has left a
 * page in doubt. */
bool bitmap_disk_known(const struct bitmap *b);
uint64_t bitmap_disk_bits(const struct bitmap *b);
uint64_t bitmap_disk_digest(const struct bitmap *b);
/* Every page has been read, and together with what was written since they are not what cfg.summed said: true once. A page
 * that is written without having been read, or whose write fails, ends the comparison. */
bool bitmap_damaged(struct bitmap *b);

#endif
