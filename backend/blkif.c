/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkif.c: is this request one that a guest may make of this disk? (P4)
 *
 * Everything that a guest writes is judged here and nowhere else, on a copy that it can no longer change
 * (XSA-155). Nothing here allocates, logs or keeps state; every input gets a verdict.  What BLKIF_OK
 * promises:
 *
 *  1. op, preflush, sector and sectors describe a read, a write, a flush or a discard inside the disk, in whole blocks.
 *  2. There are 1..256 segments (none for an empty flush or barrier, and a discard), each a run of sectors inside one 4 KiB page,
 *     and `sectors` is their sum: at most 2048. Of a discard `sectors` is what the guest says.
 *  3. A write or a discard is allowed on this disk.
 *
 * Discards have not been offered unless limits->discard: UNSUPPORTED, as unknown operations are; a guest that negotiated with another
 * backend before may still send them.  A flush is always supported: frontends that hear EOPNOTSUPP stop flushing for good and report success.  A barrier is a flush that nothing
 * else is executed beside (gate.h), with or without data; those are durable when they are written (disk.c, invariant 3), which is the
 * flush behind it.
 *
 * Units are 512-byte sectors whatever the block size (blkif.h).
 */
#include "backend/blkif.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static_assert(sizeof(blkif_request_t) == 112, "x86_64 layout of a ring slot");
static_assert(sizeof(struct blkif_request_segment) == 8, "layout of a segment");
static_assert(offsetof(blkif_request_t, id) == 8 && offsetof(blkif_request_indirect_t, id) == 8, "id");
static_assert(offsetof(blkif_request_indirect_t, indirect_grefs) == 28, "x86_64 layout");
static_assert(sizeof(blkif_request_indirect_t) <= sizeof(blkif_request_t), "an indirect request fits a slot");
static_assert(offsetof(blkif_request_discard_t, id) == 8 && offsetof(blkif_request_discard_t, nr_sectors) == 24, "x86_64 layout");
static_assert(BLKIF_SEGMENTS_MAX * BLKIF_SECTS_PER_PAGE == REQUEST_SECTORS_MAX, "largest request");
static_assert(BLKIF_SEGMENTS_MAX * sizeof(struct blkif_request_segment) <= 4096, "one page is enough");

struct words { char *buf; size_t size; };

static enum blkif_verdict __attribute__((format(printf, 3, 4)))
refuse(enum blkif_verdict verdict, const struct words *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why->size)
		vsnprintf(why->buf, why->size, fmt, ap);
	va_end(ap);
	return verdict;
}

static uint32_t block_sectors(const struct blkif_limits *limits)
{
	return limits->block_size / SECTOR_SIZE;
}

/* What can be said before the segments are known. */
static enum blkif_verdict check_start(const struct blkif_limits *limits, const struct blkif_op *op,
				      const struct words *why)
{
	if (op->op == REQUEST_WRITE && limits->read_only)
		return refuse(BLKIF_ERROR, why, "write to a read-only disk");
	if (op->op == REQUEST_DISCARD && limits->read_only)
		return refuse(BLKIF_ERROR, why, "discard of a read-only disk");
	if (op->sector % block_sectors(limits))
		return refuse(BLKIF_ERROR, why, "sector %llu is not at a block of %u bytes",
			      (unsigned long long)op->sector, limits->block_size);
	if (op->sector >= limits->sectors)
		return refuse(BLKIF_ERROR, why, "sector %llu is beyond the end",
			      (unsigned long long)op->sector);
	return BLKIF_OK;
}

/* The end of the disk, without computing sector + sectors, which could wrap. */
static enum blkif_verdict check_length(const struct blkif_limits *limits, const struct blkif_op *op,
				       const struct words *why)
{
	if (op->sectors % block_sectors(limits))
		return refuse(BLKIF_ERROR, why, "%u sectors are not whole blocks of %u bytes", op->sectors,
			      limits->block_size);
	if (op->sectors > limits->sectors - op->sector)
		return refuse(BLKIF_ERROR, why, "%u sectors at %llu go beyond the end", op->sectors,
			      (unsigned long long)op->sector);
	return BLKIF_OK;
}

static enum blkif_verdict take_segments(const struct blkif_request_segment *seg, unsigned int count,
					const struct blkif_limits *limits, struct blkif_op *out,
					const struct words *why)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		uint8_t first = seg[i].first_sect, last = seg[i].last_sect;

		if (last >= BLKIF_SECTS_PER_PAGE || first > last)
			return refuse(BLKIF_ERROR, why, "segment %u has sectors %u to %u", i, first, last);
		out->segment[i] = (struct blkif_segment){ seg[i].gref, first, last };
		out->sectors += last - first + 1u;
	}
	out->segments = (uint16_t)count;
	return check_length(limits, out, why);
}

static enum blkif_verdict parse_direct(const blkif_request_t *slot, const struct blkif_limits *limits,
				       struct blkif_op *out, const struct words *why)
{
	enum blkif_verdict verdict;

	if (!slot->nr_segments || slot->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
		return refuse(BLKIF_ERROR, why, "%u segments", slot->nr_segments);
	out->sector = slot->sector_number;
	verdict = check_start(limits, out, why);
	if (verdict != BLKIF_OK)
		return verdict;
	return take_segments(slot->seg, slot->nr_segments, limits, out, why);
}

static enum blkif_verdict parse_indirect_slot(const blkif_request_t *slot, const struct blkif_limits *limits,
					      struct blkif_op *out, const struct words *why)
{
	unsigned int offered = limits->max_segments;
	unsigned int most = offered < BLKIF_SEGMENTS_MAX ? offered : BLKIF_SEGMENTS_MAX;
	blkif_request_indirect_t in;
	enum blkif_verdict verdict;

	memcpy(&in, slot, sizeof(in));
	out->operation = in.indirect_op;
	if (!most)
		return refuse(BLKIF_UNSUPPORTED, why, "indirect request, which was not offered");
	if (in.indirect_op != BLKIF_OP_READ && in.indirect_op != BLKIF_OP_WRITE)
		return refuse(BLKIF_ERROR, why, "indirect operation %u", in.indirect_op);
	if (!in.nr_segments || in.nr_segments > most)
		return refuse(BLKIF_ERROR, why, "%u indirect segments", in.nr_segments);
	out->op = in.indirect_op == BLKIF_OP_READ ? REQUEST_READ : REQUEST_WRITE;
	out->sector = in.sector_number;
	verdict = check_start(limits, out, why);
	if (verdict != BLKIF_OK)
		return verdict;
	out->indirect_segments = in.nr_segments;
	out->indirect_gref = in.indirect_grefs[0];
	return BLKIF_NEEDS_INDIRECT;
}

/* Where discard-secure was not offered, that flag is ignored, as blkif.h has it. */
static enum blkif_verdict parse_discard(const blkif_request_t *slot, const struct blkif_limits *limits, struct blkif_op *out,
					const struct words *why)
{
	blkif_request_discard_t in;
	enum blkif_verdict verdict;

	memcpy(&in, slot, sizeof(in));
	if (!limits->discard)
		return refuse(BLKIF_UNSUPPORTED, why, "discard, which was not offered");
	out->op = REQUEST_DISCARD;
	out->sector = in.sector_number;
	verdict = check_start(limits, out, why);
	if (verdict != BLKIF_OK)
		return verdict;
	if (!in.nr_sectors || in.nr_sectors > UINT32_MAX)
		return refuse(BLKIF_ERROR, why, "discard of %llu sectors", (unsigned long long)in.nr_sectors);
	out->sectors = (uint32_t)in.nr_sectors;
	out->secure = limits->discard_secure && in.flag & BLKIF_DISCARD_SECURE;
	return check_length(limits, out, why);
}

enum blkif_verdict blkif_parse(const blkif_request_t *slot, const struct blkif_limits *limits,
			       struct blkif_op *out, char *why, size_t why_size)
{
	const struct words words = { why, why_size };

	memset(out, 0, offsetof(struct blkif_op, segment));
	out->id = slot->id;
	out->operation = slot->operation;
	switch (slot->operation) {
	case BLKIF_OP_READ:
		out->op = REQUEST_READ;
		return parse_direct(slot, limits, out, &words);
	case BLKIF_OP_WRITE:
		out->op = REQUEST_WRITE;
		return parse_direct(slot, limits, out, &words);
	case BLKIF_OP_WRITE_BARRIER:
	case BLKIF_OP_FLUSH_DISKCACHE:
		out->barrier = slot->operation == BLKIF_OP_WRITE_BARRIER;
		if (!slot->nr_segments) {	/* on a read-only disk too: nothing can fail */
			out->op = REQUEST_FLUSH;
			return BLKIF_OK;
		}
		out->op = REQUEST_WRITE;
		out->preflush = true;
		return parse_direct(slot, limits, out, &words);
	case BLKIF_OP_INDIRECT:
		return parse_indirect_slot(slot, limits, out, &words);
	case BLKIF_OP_DISCARD:
		return parse_discard(slot, limits, out, &words);
	default:
		return refuse(BLKIF_UNSUPPORTED, &words, "unknown operation %u", slot->operation);
	}
}

enum blkif_verdict blkif_parse_indirect(const struct blkif_request_segment *page,
					const struct blkif_limits *limits, struct blkif_op *out,
					char *why, size_t why_size)
{
	const struct words words = { why, why_size };

	out->sectors = 0;
	return take_segments(page, out->indirect_segments, limits, out, &words);
}
