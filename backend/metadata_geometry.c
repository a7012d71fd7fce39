/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_geometry.c: where the areas of the metadata are (docs/METADATA.md, "Areas"). Pure.
 *
 * The areas have DRBD 8.4's places and sizes, so that its metadata can be taken over where they are; only
 * copy B of the superblock has none there, and takes the last block of the log.
 */
#include "backend/metadata.h"

#include <errno.h>
#include <stdio.h>

#include "backend/actlog.h"
#include "backend/bitmap.h"
#include "backend/layout.h"
#include "config/config.h"

#define SECTOR	  512u
#define LOG_BYTES 32768ull /* the log, and copy B in its last block */
#define HEAD	  (METADATA_BLOCK + LOG_BYTES)
static_assert((ACTLOG_BLOCKS + 1) * ACTLOG_BLOCK == LOG_BYTES, "log");

#define MIB(bytes) ((unsigned long long)((bytes) >> 20))
#define GIB(bytes) ((unsigned long long)((bytes) >> 30))
#define KIB(bytes) ((unsigned long long)((bytes) >> 10))

enum metadata_layout metadata_layout_of(int meta_index)
{
	if (meta_index == CONFIG_META_INTERNAL)
		return METADATA_INTERNAL;
	return meta_index == CONFIG_META_FLEXIBLE ? METADATA_FLEXIBLE : METADATA_INDEXED;
}

static uint64_t whole_blocks(uint64_t bytes)
{
	return bytes & ~(uint64_t)(METADATA_BLOCK - 1);
}

uint64_t metadata_bitmap_bytes(uint64_t sectors)
{
	uint64_t page = (uint64_t)BITMAP_PAGE_BLOCKS * BITMAP_BLOCK_SECTORS;

	return (sectors / page + (sectors % page != 0)) * BITMAP_PAGE;
}

/* The sectors that a bitmap of so many bytes has bits for. */
static uint64_t sectors_described(uint64_t bitmap_bytes)
{
	uint64_t bits = bitmap_bytes * 8;

	return bits > LAYOUT_SECTORS_MAX / BITMAP_BLOCK_SECTORS ? LAYOUT_SECTORS_MAX
								: bits * BITMAP_BLOCK_SECTORS;
}

/* Superblock, log, bitmap, from the start on. */
static void external(struct metadata_geometry *g, uint64_t start, uint64_t bytes)
{
	g->start = start;
	g->bytes = bytes;
	g->copy[0] = start;
	g->log = start + METADATA_BLOCK;
	g->copy[1] = g->log + ACTLOG_BLOCKS * ACTLOG_BLOCK;
	g->bitmap = start + HEAD;
	g->bitmap_bytes = bytes - HEAD;
	g->data_sectors_max = sectors_described(g->bitmap_bytes);
}

static int indexed(struct metadata_geometry *g, int index, uint64_t meta_bytes, char *why, size_t why_size)
{
	uint64_t need = ((uint64_t)index + 1) * METADATA_SLOT_BYTES;

	snprintf(g->place, sizeof(g->place), "slot %d", index);
	if (index < 0) {
		snprintf(why, why_size, "slot %d: there are no negative slots", index);
		return -EINVAL;
	}
	if (meta_bytes < need) {
		snprintf(why, why_size,
			 "slot %d is beyond the end of the metadata device: it needs %llu MiB, and the "
			 "device has %llu MiB: enlarge it, or correct meta-disk in the configuration",
			 index, MIB(need), MIB(meta_bytes));
		return -ENOSPC;
	}
	external(g, need - METADATA_SLOT_BYTES, METADATA_SLOT_BYTES);
	return 0;
}

static int flexible(struct metadata_geometry *g, uint64_t meta_bytes, char *why, size_t why_size)
{
	snprintf(g->place, sizeof(g->place), "the metadata device");
	if (meta_bytes < HEAD + BITMAP_PAGE) {
		snprintf(why, why_size, "the metadata device has only %llu bytes; the smallest has %llu",
			 (unsigned long long)meta_bytes, HEAD + BITMAP_PAGE);
		return -ENOSPC;
	}
	external(g, 0, whole_blocks(meta_bytes));
	return 0;
}

/* From the end of the disk: superblock, before it the log, before it the bitmap, whose size is that of one
 * for the whole disk. */
static int internal(struct metadata_geometry *g, uint64_t bytes, char *why, size_t why_size)
{
	uint64_t end = whole_blocks(bytes), bitmap_bytes = metadata_bitmap_bytes(bytes / SECTOR);

	snprintf(g->place, sizeof(g->place), "the end of the disk");
	if (end < HEAD + bitmap_bytes + METADATA_BLOCK) {
		snprintf(why, why_size, "a disk of %llu bytes is too small for internal metadata: use an external meta-disk",
			 (unsigned long long)bytes);
		return -ENOSPC;
	}
	g->copy[0] = end - METADATA_BLOCK;
	g->log = g->copy[0] - LOG_BYTES;
	g->copy[1] = g->log + ACTLOG_BLOCKS * ACTLOG_BLOCK;
	g->bitmap = g->log - bitmap_bytes;
	g->bitmap_bytes = bitmap_bytes;
	g->start = g->bitmap;
	g->bytes = end - g->start;
	g->data_sectors_max = g->bitmap / SECTOR;
	return 0;
}

/* Can the bitmap describe the disk? */
static int check_data(const struct metadata_geometry *g, uint64_t data_bytes, uint64_t meta_bytes, char *why,
		      size_t why_size)
{
	uint64_t sectors = data_bytes / SECTOR;

	if (sectors > LAYOUT_SECTORS_MAX) {
		snprintf(why, why_size, "a disk of %llu GiB is larger than any that is served (%llu GiB): use a smaller one",
			 GIB(data_bytes), GIB(LAYOUT_SECTORS_MAX * SECTOR));
		return -EFBIG;
	}
	if (sectors <= g->data_sectors_max || g->layout == METADATA_INTERNAL)
		return 0;
	if (g->layout == METADATA_INDEXED)
		snprintf(why, why_size,
			 "a disk of %llu GiB is too large for a slot of 128 MiB, whose bitmap describes %llu "
			 "GiB, just under 4 TiB: give it a metadata device of its own of at least %llu KiB, "
			 "'meta-disk DEVICE;' without an index",
			 GIB(data_bytes), GIB(g->data_sectors_max * SECTOR),
			 KIB(HEAD + metadata_bitmap_bytes(sectors)));
	else
		snprintf(why, why_size,
			 "a disk of %llu GiB needs a metadata device of at least %llu KiB; this one has %llu "
			 "KiB",
			 GIB(data_bytes), KIB(HEAD + metadata_bitmap_bytes(sectors)), KIB(meta_bytes));
	return -ENOSPC;
}

int metadata_geometry(enum metadata_layout layout, int index, uint64_t meta_bytes, uint64_t data_bytes,
		      uint32_t block_size, struct metadata_geometry *g, char *why, size_t why_size)
{
	int rc = -EINVAL;

	*g = (struct metadata_geometry){ .layout = layout };
	if (block_size != 512 && block_size != 4096) {
		snprintf(why, why_size, "a block size of %u bytes; 512 and 4096 are served", block_size);
		return -EINVAL;
	}
	switch (layout) {
	case METADATA_INDEXED:
		rc = indexed(g, index, meta_bytes, why, why_size);
		break;
	case METADATA_FLEXIBLE:
		rc = flexible(g, meta_bytes, why, why_size);
		break;
	case METADATA_INTERNAL:
		rc = internal(g, meta_bytes, why, why_size);
		break;
	}
	return rc ? rc : check_data(g, data_bytes / block_size * block_size, meta_bytes, why, why_size);
}
