/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * marks.c: which blocks differ, and how that survives a crash: activity log, bitmap, and what the superblock says of them.
 *
 * Invariants
 *  1. What is out of sync after a crash: the bitmap on disk, everything from full_from on, and, if the superblock says SB_IN_USE, the
 *     extents in the log. It is never less than what differs (P1).
 *  2. A write that may be on one disk only is submitted when its extents are in the log, durably [marks_begin].
 *  3. An extent leaves the log only when the pages with its marks are durable [log_advance].
 *  4. SB_IN_USE is cleared only when every mark is on disk [marks_durable]. While it is clear the log may be begun anew (hot.c).
 *  5. A page is written only when the superblock no longer says what the whole bitmap adds up to (SB_BITMAP_SUMMED).
 *
 * Crash argument: a mark is set in memory before the write that it stands for is submitted, and that write's extent is in
 * the log until the mark's page is durable or both disks have the data: at each moment one of the two is on disk. Clearing a mark is lazy: a
 * crash finds more marks than differences, which costs copying, never data.
 */
#include "backend/replicate_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_NONE UINT32_MAX

/* ---- birth ---- */

static void mark_extents(struct replicate *r)
{
	uint64_t sectors = r->durable.agreed.sectors;

	for (uint32_t slot = 0; slot < actlog_slots(r->log); slot++) {
		uint32_t extent = actlog_extent(r->log, slot);
		uint64_t from = (uint64_t)extent * r->cfg.extent_sectors;

		if (extent == ACTLOG_FREE || from >= sectors)
			continue;
		bitmap_set(r->bitmap, from,
			   from + r->cfg.extent_sectors < sectors ? r->cfg.extent_sectors : sectors - from);
	}
}

/* This node died as Primary: what it had in flight may be on one disk only. */
static void died_as_primary(struct replicate *r, bool log_good, const char *why)
{
	r->wanted.flags |= SB_CRASHED;
	if (log_good) {
		mark_extents(r);
		say(r, "this node died while it served a guest: %u extents that it was writing to are out of sync",
		    actlog_used(r->log));
	} else {
		marks_set_all(r);
		say(r, "this node died while it served a guest, and its activity log cannot be read (%s): everything is out of sync",
		    why);
	}
	superblock_want(r, STEP_NOTED);
}

static uint64_t disk_sectors_of(const struct replicate *r)
{
	return r->durable.flags & SB_JUST_CREATED ? r->cfg.offer.sectors : r->durable.agreed.sectors;
}

static int new_bitmap(const struct replicate *r, uint64_t sectors, struct bitmap **out)
{
	const struct superblock *sb = &r->durable;
	bool summed = sb->flags & SB_BITMAP_SUMMED;
	struct bitmap_config cfg = {
		.sectors = sectors,
		.page_blocks = r->cfg.page_blocks,
		.full_from = sb->full_from,
		.empty = summed && !sb->bitmap_bits,
		.summed = summed,
		.disk_bits = sb->bitmap_bits,
		.disk_digest = sb->bitmap_digest,
	};

	return bitmap_new(&cfg, out);
}

bool marks_agree(struct replicate *r, uint64_t sectors)
{
	struct bitmap *smaller;

	if (bitmap_sectors(r->bitmap) == sectors)
		return true;
	if (r->page_read.busy || r->page_write.busy || new_bitmap(r, sectors, &smaller)) {
		reconnect(r, "not ready to agree on a smaller disk than its volume; trying again");
		return false;
	}
	bitmap_free(r->bitmap);
	r->bitmap = smaller;
	return true;
}

int marks_new(struct replicate *r, const uint8_t *log)
{
	const struct superblock *sb = &r->durable;
	char why[128] = "";
	int rc = actlog_new(sb->al_extents, disk_sectors_of(r), r->cfg.extent_sectors, &r->log);

	if (rc)
		return rc;
	rc = new_bitmap(r, disk_sectors_of(r), &r->bitmap);
	if (rc)
		return rc;
	r->metadata_area = aligned_alloc(ACTLOG_BLOCK, 3 * ACTLOG_BLOCK);
	if (!r->metadata_area)
		return -ENOMEM;
	memset(r->metadata_area, 0, 3 * ACTLOG_BLOCK);
	r->log_write = (struct metadata_op){ .area = METADATA_LOG, .write = true, .data = r->metadata_area };
	r->page_write = (struct metadata_op){ .area = METADATA_BITMAP,
					      .write = true,
					      .data = r->metadata_area + ACTLOG_BLOCK };
	r->page_read = (struct metadata_op){ .area = METADATA_BITMAP, .data = r->metadata_area + 2 * ACTLOG_BLOCK };
	rc = actlog_load(r->log, log, why, sizeof(why));
	if (rc)
		r->log_blank = ACTLOG_BLOCKS; /* before anything is logged */
	if (sb->flags & SB_IN_USE)
		died_as_primary(r, !rc, why);
	return 0;
}

void marks_free(struct replicate *r)
{
	actlog_free(r->log);
	bitmap_free(r->bitmap);
	free(r->metadata_area);
}

/* ---- marks ---- */

bool marks_begin(struct replicate *r, struct request *req)
{
	if (r->detached && !(req->flags & REQUEST_FROM_PEER)) /* it goes to the partner's disk, whose node keeps the log */
		return true;
	if (r->log_blank || !actlog_begin(r->log, req->sector, req->sectors)) {
		stir(r);
		return false;
	}
	req->flags |= REQUEST_LOGGED;
	return true;
}

void marks_end(struct replicate *r, struct request *req)
{
	req->flags &= ~REQUEST_LOGGED;
	actlog_end(r->log, req->sector, req->sectors);
}

void marks_set(struct replicate *r, uint64_t sector, uint32_t sectors)
{
	bitmap_set(r->bitmap, sector, sectors);
	stir(r);
}

static uint64_t page_end(const struct replicate *r, uint32_t page)
{
	uint64_t end = ((uint64_t)page + 1) * r->cfg.page_blocks * BITMAP_BLOCK_SECTORS;

	return end < disk_sectors_of(r) ? end : disk_sectors_of(r);
}

void marks_clear(struct replicate *r, uint64_t sector, uint32_t sectors)
{
	uint32_t page = bitmap_page_of(r->bitmap, sector), last = bitmap_page_of(r->bitmap, sector + sectors - 1);

	if (bitmap_full_from(r->bitmap) != BITMAP_NONE && bitmap_full_from(r->bitmap) < page_end(r, last))
		bitmap_pass_full(r->bitmap, page_end(r, last));
	for (; page <= last; page++)
		if (!bitmap_known(r->bitmap, page))
			return; /* it stays marked, and is copied once more */
	bitmap_clear(r->bitmap, sector, sectors);
	r->cleared_page = last;
	stir(r);
}

void marks_set_all(struct replicate *r)
{
	bitmap_set_from(r->bitmap, 0);
	r->wanted.full_from = 0;
}

uint64_t marks_sectors(const struct replicate *r)
{
	uint64_t sectors = bitmap_bits(r->bitmap) * BITMAP_BLOCK_SECTORS;

	return sectors < disk_sectors_of(r) ? sectors : disk_sectors_of(r);
}

bool marks_durable(const struct replicate *r)
{
	return r->metadata_lost || (!r->page_write.busy && bitmap_dirty(r->bitmap, 0, BITMAP_MUST) == PAGE_NONE);
}

/* The partner does not know of such a write: it ended before it got there. */
bool marks_left_to_log(const struct replicate *r)
{
	return r->metadata_lost && r->write_failed;
}

void marks_describe(struct replicate *r, struct superblock *sb)
{
	bool still = !(sb->flags & SB_IN_USE) && !r->page_write.busy && bitmap_disk_known(r->bitmap) &&
		     bitmap_dirty(r->bitmap, 0, BITMAP_MUST) == PAGE_NONE &&
		     bitmap_dirty(r->bitmap, 0, BITMAP_MAY) == PAGE_NONE;

	if (bitmap_full_from(r->bitmap) < sb->full_from) /* upwards only when the pages below are durable [full_advance] */
		sb->full_from = bitmap_full_from(r->bitmap);
	sb->flags &= ~SB_BITMAP_SUMMED;
	sb->bitmap_bits = sb->bitmap_digest = 0;
	if (!still)
		return;
	sb->flags |= SB_BITMAP_SUMMED;
	sb->bitmap_bits = bitmap_disk_bits(r->bitmap);
	sb->bitmap_digest = bitmap_disk_digest(r->bitmap);
}

/* ---- blocks of metadata ---- */

static void submit(struct replicate *r, struct metadata_op *op, uint32_t block)
{
	op->block = block;
	op->busy = true;
	op->since_ms = r->now_ms;
	r->ops->metadata(r->ctx, op);
}

void marks_need(struct replicate *r, uint32_t page)
{
	if (!r->page_read.busy && !r->metadata_lost && r->metadata_retry_ms == UINT64_MAX && !bitmap_known(r->bitmap, page))
		submit(r, &r->page_read, page);
}

/* Invariant 5. */
static bool unsummed(struct replicate *r)
{
	if (!superblock_may_say(r, SB_BITMAP_SUMMED) && !(r->wanted.flags & SB_BITMAP_SUMMED))
		return true;
	if (r->wanted.flags & SB_BITMAP_SUMMED) {
		r->wanted.flags &= ~SB_BITMAP_SUMMED;
		superblock_want(r, STEP_NOTED);
	}
	return false;
}

static void write_page(struct replicate *r, uint32_t page)
{
	if (r->page_write.busy || !unsummed(r))
		return;
	if (!bitmap_content(r->bitmap, page, r->page_write.data)) {
		marks_need(r, page);
		return;
	}
	bitmap_write_begins(r->bitmap, page);
	r->bitmap_writes++;
	submit(r, &r->page_write, page);
}

/* The marks of an extent that leaves the log have to be durable. */
static bool victims_durable(struct replicate *r)
{
	bool durable = true;

	for (uint32_t i = 0; i < r->log_victims; i++) {
		uint64_t from = (uint64_t)actlog_victim(r->log, i) * r->cfg.extent_sectors;
		uint32_t page = bitmap_page_of(r->bitmap, from);

		if (!bitmap_must_write(r->bitmap, page))
			continue;
		write_page(r, page);
		durable = false;
	}
	return durable;
}

/* A log that cannot be read, and that nothing depends on any more, is begun anew. */
static void format_log(struct replicate *r)
{
	uint8_t area[ACTLOG_BLOCKS * ACTLOG_BLOCK];
	uint32_t block = ACTLOG_BLOCKS - r->log_blank;

	actlog_format(area);
	memcpy(r->log_write.data, area + block * ACTLOG_BLOCK, ACTLOG_BLOCK);
	submit(r, &r->log_write, block);
}

/* A transaction that was prepared stays so until it is written: its victims' pages come first, and a write that failed is repeated. */
static void log_advance(struct replicate *r)
{
	if (r->log_write.busy)
		return;
	if (r->log_blank) {
		format_log(r);
	} else if ((actlog_prepared(r->log) || actlog_prepare(r->log, &r->log_victims)) && victims_durable(r)) {
		r->log_writes++;
		submit(r, &r->log_write, actlog_transaction(r->log, r->log_write.data));
	}
}

/* Marks go to disk as soon as the writer is free; what was cleared when there is nothing else to do, and not the page that copies are
 * working on. */
static void pages_advance(struct replicate *r)
{
	uint32_t page;

	if (r->page_write.busy)
		return;
	page = bitmap_dirty(r->bitmap, r->page_cursor, BITMAP_MUST);
	if (page == PAGE_NONE)
		page = bitmap_dirty(r->bitmap, 0, BITMAP_MUST);
	if (page == PAGE_NONE && !r->copies)
		page = bitmap_dirty(r->bitmap, 0, BITMAP_MAY);
	if (page == PAGE_NONE || (r->sync != SYNC_STATE_OFF && page == r->cleared_page && !bitmap_must_write(r->bitmap, page)))
		return;
	r->page_cursor = page + 1;
	write_page(r, page);
}

bool marks_for_partner(const struct replicate *r)
{
	return r->peer_current && r->peer.diskless;
}

/* Nobody uses the disk, and the superblock still says so, or does not say yet what the bitmap adds up to. The guest that an
 * earlier daemon left will use it in a moment. */
static void settle_superblock(struct replicate *r)
{
	struct superblock settled;
	bool serves = r->wanted.token == TOKEN_HELD && r->attachment != ATTACHMENT_NONE &&
		      r->attachment != ATTACHMENT_CLAIMING && r->attachment != ATTACHMENT_STALE;

	if (serves || r->left || marks_for_partner(r) || r->sync != SYNC_STATE_OFF || !marks_durable(r) || r->guest_count || r->copies || r->write_busy ||
	    r->wanted_version != r->durable_version)
		return;
	settled = r->wanted;
	settled.flags &= ~SB_IN_USE;
	marks_describe(r, &settled);
	if (settled.flags == r->wanted.flags)
		return;
	r->wanted = settled; /* the sum, too: or nothing would be seen to have changed, and nothing be written */
	superblock_want(r, STEP_NOTED);
}

/* The full sync has passed pages, and they are on disk. */
static void full_advance(struct replicate *r)
{
	if (r->wanted.full_from == METADATA_NO_FULL || r->wanted.full_from == bitmap_full_from(r->bitmap) ||
	    !marks_durable(r) || (bitmap_full_from(r->bitmap) == BITMAP_NONE && r->copies))
		return;
	r->wanted.full_from = bitmap_full_from(r->bitmap);
	superblock_want(r, STEP_NOTED);
}

void marks_advance(struct replicate *r)
{
	if (r->metadata_retry_ms != UINT64_MAX || r->metadata_lost)
		return;
	log_advance(r);
	pages_advance(r);
	full_advance(r);
	settle_superblock(r);
}

bool marks_at_rest(const struct replicate *r)
{
	return !r->log_write.busy && !r->page_write.busy && !r->page_read.busy && !r->log_blank && !r->metadata_lost &&
	       r->metadata_retry_ms == UINT64_MAX && !actlog_waits(r->log) && bitmap_dirty(r->bitmap, 0, BITMAP_MUST) == PAGE_NONE &&
	       bitmap_dirty(r->bitmap, 0, BITMAP_MAY) == PAGE_NONE;
}

/* What is on disk does not add up to what was written: the marks cannot be believed. */
static void check_digest(struct replicate *r)
{
	if (!bitmap_damaged(r->bitmap))
		return;
	say(r, "the bitmap on disk is damaged: everything is out of sync");
	marks_set_all(r);
	superblock_want(r, STEP_NOTED);
}

static void op_done(struct replicate *r, struct metadata_op *op)
{
	if (op == &r->page_read) {
		bitmap_read(r->bitmap, op->block, op->data);
		check_digest(r);
	} else if (op == &r->page_write) {
		bitmap_write_ends(r->bitmap, op->block, true);
	} else if (r->log_blank) {
		r->log_blank--;
	} else {
		actlog_written(r->log);
	}
	if (op == &r->log_write && !r->log_blank)
		requests_logged(r);
}

void replicate_metadata_done(struct replicate *r, struct metadata_op *op, int rc, uint64_t now_ms)
{
	wake(r, now_ms);
	op->busy = false;
	if (rc && r->detached) {
		/* Without a disk nothing is marked here: the partner does it. */
		disk_breaks(r);
		if (op == &r->page_write)
			bitmap_write_ends(r->bitmap, op->block, false);
		r->metadata_retry_ms = now_ms + r->cfg.disk_retry_ms;
	} else if (rc) {
		if (!r->metadata_error)
			say(r, "a %s of the metadata failed: %s; trying again", op->write ? "write" : "read", strerror(-rc));
		r->metadata_error = rc;
		r->metadata_retry_ms = now_ms + r->cfg.disk_retry_ms;
		if (op == &r->page_write)
			bitmap_write_ends(r->bitmap, op->block, false);
	} else {
		r->metadata_error = 0;
		op_done(r, op);
		token_advance(r);
		handover_drained(r);
	}
	replicate_settle(r);
}
