/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resync.c: the blocks that differ are copied, while the guest goes on.
 *
 *   OFF ── the two have met, and something differs ──> EXCHANGE ── both bitmaps here and there ──> SOURCE or TARGET
 *    ^                                                                                                  │
 *    └────────── no block differs: durable at the target [STEP_SYNCED], SYNC_END, SYNC_ENDED <──────────┘
 *
 * The holder of the token drives, whichever disk is the source, since it orders what is written (P3): a copy is a request among the guest's
 * writes, waits for older ones that it overlaps, and newer ones wait for it.
 *   source here:   read our disk ──> DATA(copy) ──> ACK ──> both clear their marks
 *   source there:  READ ──> READ_DATA ──> write our disk ──> IN_SYNC ──> both clear their marks
 * With csums-alg our disk is read first, and CSUM asks whether the partner's has the same: SAME clears the marks. Zeroes do not travel.
 *
 * Invariants
 *  1. A block counts as the same on both disks only when a copy of it is durable on the target.
 *  2. The target reads its own disk for the guest only after both bitmaps are merged, and only blocks that are not marked.
 *  3. The target is CONSISTENT again, durably, only when nothing is marked and nothing is being copied.
 *  4. No copy is begun while the token is about to move; what is being copied ends first. The other node goes on with its own,
 *     equal bitmap (P5).
 */
#include "backend/replicate_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int resync_new(struct replicate *r)
{
	size_t bytes = (size_t)r->cfg.copy_sectors * SECTOR_SIZE;

	if (!r->cfg.copies || r->cfg.copies > COPIES_MAX || bytes < BITMAP_PAGE || bytes % BITMAP_PAGE ||
	    r->cfg.copy_sectors > REQUEST_SECTORS_MAX)
		return -EINVAL;
	r->copy_area = aligned_alloc(BITMAP_PAGE, bytes * r->cfg.copies);
	if (!r->copy_area)
		return -ENOMEM;
	if (r->cfg.csums_alg && csum_new(r->cfg.csums_alg, &r->csum))
		return -ENOENT;
	pace_start(&r->pace, &r->cfg.pace, r->now_ms);
	r->copy_ms = UINT64_MAX;
	memset(r->copy_area, 0, bytes * r->cfg.copies);
	for (uint32_t i = 0; i < r->cfg.copies; i++) {
		r->copy[i].tag = (uint16_t)(REQUESTS_MAX + i);
		r->copy[i].data = r->copy_area + i * bytes;
	}
	return 0;
}

void resync_free(struct replicate *r)
{
	csum_free(r->csum);
	free(r->copy_area);
}

bool resync_compares(const struct replicate *r, const struct request *req)
{
	return r->compares && !(req->flags & REQUEST_COMPARE);
}

static void set_sync(struct replicate *r, enum sync_state next)
{
	if (next == r->sync)
		return;
	say(r, "resync %s -> %s (%" PRIu64 " KiB out of sync)", sync_state_name(r->sync), sync_state_name(next),
	    marks_sectors(r) / 2);
	r->sync = next;
	r->sync_since_ms = r->now_ms;
}

struct request *carrier_free(struct replicate *r)
{
	for (uint32_t i = 0; i < r->cfg.copies; i++)
		if (r->copy[i].state == REQUEST_FREE && !r->copy[i].slot_lost)
			return &r->copy[i];
	return NULL;
}

/* ---- held: by a person, by resync-after, by the partner: each for itself ---- */

static bool held_here(const struct replicate *r)
{
	return r->sync_paused || r->sync_after[0];
}

static bool held(const struct replicate *r)
{
	return held_here(r) || r->peer_paused;
}

static void send_pause(struct replicate *r)
{
	struct packet p = { .type = PACKET_PAUSE };

	p.pause.paused = held_here(r);
	if (r->connection == CONNECTION_CONNECTED)
		r->ops->send(r->ctx, &p, NULL);
}

void resync_pause(struct replicate *r, bool paused)
{
	bool before = held_here(r);

	r->sync_paused = paused;
	if (held_here(r) != before)
		send_pause(r);
}

void replicate_sync_after(struct replicate *r, const char *name, uint64_t now_ms)
{
	bool before = held_here(r);

	wake(r, now_ms);
	if (r->sync != SYNC_STATE_OFF && strcmp(r->sync_after, name))
		say(r, "resync-after: the resync %s%s", name[0] ? "waits for that of " : "need not wait any longer", name);
	snprintf(r->sync_after, sizeof(r->sync_after), "%s", name);
	if (held_here(r) != before)
		send_pause(r);
	replicate_settle(r);
}

bool replicate_resyncing(const struct replicate *r)
{
	return r->sync != SYNC_STATE_OFF;
}

void resync_held_note(struct replicate *r)
{
	if (held(r) == r->was_held)
		return;
	r->was_held = held(r);
	r->sync_held_ms = r->now_ms;
}

static void add_words(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add_words(char *out, size_t size, const char *fmt, ...)
{
	size_t used = strlen(out);
	va_list ap;

	if (used)
		used += (size_t)snprintf(out + used, size - used, "; ");
	va_start(ap, fmt);
	vsnprintf(out + used, size - used, fmt, ap);
	va_end(ap);
}

void resync_held_words(const struct replicate *r, char *out, size_t size)
{
	out[0] = '\0';
	if (r->sync == SYNC_STATE_OFF)
		return;
	if (r->sync_after[0])
		add_words(out, size, "it waits for the resync of %s (resync-after)", r->sync_after);
	if (r->sync_paused)
		add_words(out, size, "'backend-ctl pause-sync' holds it here, 'backend-ctl resume-sync %s' ends that", r->cfg.name);
	if (r->peer_paused)
		add_words(out, size, "%s holds it, whose status says why", r->cfg.peer_host);
}

enum sync_state resync_state(const struct replicate *r)
{
	if (!held(r))
		return r->sync;
	return r->sync == SYNC_STATE_SOURCE   ? SYNC_STATE_PAUSED_SOURCE
	       : r->sync == SYNC_STATE_TARGET ? SYNC_STATE_PAUSED_TARGET
					      : r->sync;
}

/* ---- bitmaps are exchanged ---- */

/* Nothing was marked, and nothing can have been since: who marks goes on alone, under a generation of its own. */
bool resync_empty(const struct replicate *r)
{
	return r->own.gen.current == r->peer.gen.current && !r->own.bits && !r->peer.bits;
}

void resync_met(struct replicate *r)
{
	r->bitmap_sent = r->bitmap_received = r->sync_end_sent = false;
	r->bitmap_page = 0;
	r->sync_position = 0;
	r->compares = r->csum && (!r->cfg.csums_after_crash_only || (r->own.flags | r->peer.flags) & SB_CRASHED);
	r->peer_paused = false;
	if (held_here(r))
		send_pause(r);
	if (sync_is_source(r->verdict) || sync_is_target(r->verdict))
		set_sync(r, SYNC_STATE_EXCHANGE);
	if (sync_is_source(r->verdict) && !resync_empty(r))
		run_handler(r, HANDLER_BEFORE_RESYNC_SOURCE);
}

void resync_lost(struct replicate *r)
{
	for (uint32_t i = 0; i < r->cfg.copies; i++)
		if (r->copy[i].flags & REQUEST_PAGE) {
			r->copy[i].state = REQUEST_FREE; /* requests_connection_lost() takes it off its list */
			r->pages_sent--;
		}
	r->verdict = SYNC_NONE;
	set_sync(r, SYNC_STATE_OFF);
}

/* The first page from `page` on that has marks of its own, and is known. False: it has to be read first. */
static bool next_marked_page(struct replicate *r, uint32_t *page)
{
	uint64_t full = bitmap_full_from(r->bitmap);
	uint32_t end = full == BITMAP_NONE ? bitmap_pages(r->bitmap) : bitmap_page_of(r->bitmap, full);

	for (; *page < end; (*page)++) {
		if (!bitmap_known(r->bitmap, *page)) {
			marks_need(r, *page);
			return false;
		}
		if (bitmap_page_bits(r->bitmap, *page))
			return true;
	}
	*page = UINT32_MAX;
	return true;
}

void carrier_send(struct replicate *r, struct request *carrier, unsigned int flags, uint64_t number, uint32_t sectors)
{
	carrier->state = REQUEST_ACTIVE;
	carrier->flags = REQUEST_PAGE | REQUEST_PEER_PENDING | flags;
	carrier->id = ++r->serial << TAG_BITS | carrier->tag;
	carrier->op = REQUEST_WRITE;
	carrier->sector = number;
	carrier->sectors = sectors;
	r->pages_sent++;
	place_active(r, carrier);
	pump_unsent(r);
}

void carrier_received(struct replicate *r, uint64_t id, struct request *carrier)
{
	struct packet received = { .type = PACKET_RECEIVED };

	received.ack.id = id;
	r->ops->send(r->ctx, &received, NULL);
	carrier->flags = REQUEST_FROM_PEER;
	r->ops->complete(r->ctx, carrier, 0);
}

static void begin_copying(struct replicate *r)
{
	if (!r->bitmap_sent || !r->bitmap_received)
		return;
	r->sync_total = marks_sectors(r);
	set_sync(r, sync_is_source(r->verdict) ? SYNC_STATE_SOURCE : SYNC_STATE_TARGET);
}

static void send_bitmap(struct replicate *r)
{
	struct packet p = { .type = PACKET_BITMAP_END };
	struct request *carrier;

	while (!r->bitmap_sent && next_marked_page(r, &r->bitmap_page)) {
		if (r->bitmap_page == UINT32_MAX) {
			if (r->pages_sent)
				return; /* until they are RECEIVED */
			p.bitmap_end.full_from = bitmap_full_from(r->bitmap);
			p.bitmap_end.bits = bitmap_bits(r->bitmap);
			r->bitmap_sent = true;
			r->ops->send(r->ctx, &p, NULL);
			begin_copying(r);
			return;
		}
		carrier = carrier_free(r);
		if (!carrier)
			return;
		bitmap_content(r->bitmap, r->bitmap_page, carrier->data);
		carrier_send(r, carrier, 0, r->bitmap_page++, BITMAP_PAGE / SECTOR_SIZE);
	}
}

static int wrong(struct replicate *r, const struct packet *p)
{
	protocol_error(r, "%s may not come now", packet_name(p->type));
	return -EPROTO;
}

static int on_bitmap(struct replicate *r, const struct packet *p, struct request *req)
{
	if (r->sync != SYNC_STATE_EXCHANGE || r->bitmap_received || p->bitmap.page >= bitmap_pages(r->bitmap))
		return wrong(r, p);
	bitmap_merge(r->bitmap, p->bitmap.page, req->data);
	carrier_received(r, p->bitmap.id, req);
	return 0;
}

static int on_received(struct replicate *r, const struct packet *p)
{
	uint16_t tag = p->ack.id & ((1u << TAG_BITS) - 1);
	struct request *carrier = tag >= REQUESTS_MAX && tag < REQUESTS_MAX + r->cfg.copies ? &r->copy[tag - REQUESTS_MAX] : NULL;

	if (!carrier || carrier->id != p->ack.id || !(carrier->flags & REQUEST_PAGE) || !(carrier->flags & REQUEST_PEER_SENT))
		return wrong(r, p);
	TAILQ_REMOVE(&r->active, carrier, link);
	carrier->state = REQUEST_FREE;
	carrier->flags = 0;
	r->pages_sent--;
	r->sent_requests--;
	r->sent_bytes -= bytes_of(carrier);
	pump_unsent(r);
	return 0;
}

static int on_bitmap_end(struct replicate *r, const struct packet *p)
{
	if (r->sync != SYNC_STATE_EXCHANGE || r->bitmap_received)
		return wrong(r, p);
	if (p->bitmap_end.full_from != BITMAP_NONE && p->bitmap_end.full_from < r->durable.agreed.sectors)
		bitmap_set_from(r->bitmap, p->bitmap_end.full_from);
	r->bitmap_received = true;
	begin_copying(r);
	return 0;
}

/* ---- blocks are copied ---- */

bool resync_reads_here(const struct replicate *r, const struct request *req)
{
	if (r->detached)
		return false;
	if (r->durable.flags & r->wanted.flags & SB_CONSISTENT)
		return true;
	return r->sync == SYNC_STATE_TARGET && r->connection == CONNECTION_CONNECTED &&
	       bitmap_test(r->bitmap, req->sector, req->sectors) == BITMAP_IN_SYNC;
}

/* Somebody waits for the token, or it is on its way. A WANT that cannot be answered yet may wait for long. */
bool token_moves(const struct replicate *r)
{
	return !token_held(r) || r->commit_waits || token_wanted(r) || r->yielding || r->parking || r->wanted.reservation;
}

static bool may_copy(const struct replicate *r)
{
	return (r->sync == SYNC_STATE_SOURCE || r->sync == SYNC_STATE_TARGET) && r->connection == CONNECTION_CONNECTED &&
	       !r->reconnecting && !r->asked_for.busy && !held(r) && !r->io_suspended && !token_moves(r) && !r->disk_error && r->now_ms >= r->sync_hold_ms;
}

static void end_if_done(struct replicate *r)
{
	if (r->copies || r->sync_end_sent || bitmap_bits(r->bitmap) || !bitmap_all_known(r->bitmap))
		return;
	r->sync_end_sent = true;
	if (r->sync == SYNC_STATE_TARGET) {
		r->wanted.flags |= SB_CONSISTENT;
		superblock_want(r, STEP_SYNCED);
	} else {
		struct packet p = { .type = PACKET_SYNC_END };

		p.used.epoch = r->durable.epoch;
		r->ops->send(r->ctx, &p, NULL);
	}
}

/* One more copy; false: nothing to be copied now. */
static bool copy_next(struct replicate *r)
{
	struct request *req = carrier_free(r);
	uint32_t sectors, page;
	uint64_t at, full = bitmap_full_from(r->bitmap);

	if (!req)
		return false;
	at = bitmap_next(r->bitmap, r->sync_position, r->cfg.copy_sectors, &sectors, &page);
	if (at == BITMAP_NONE) {
		if (r->copies)
			return false; /* what is being copied may have to be copied again */
		if (r->sync_position) {
			r->sync_position = 0;
			return true;
		}
		end_if_done(r);
		return false;
	}
	if (!sectors) {
		marks_need(r, page);
		return false;
	}
	sectors = pace_allows(&r->pace, sectors, r->now_ms, &r->copy_ms);
	if (!sectors)
		return false;
	r->copy_ms = UINT64_MAX; /* time is not what the next one waits for */
	if (full != BITMAP_NONE && at >= full) {
		uint64_t end = (uint64_t)(bitmap_page_of(r->bitmap, at) + 1) * r->cfg.page_blocks * BITMAP_BLOCK_SECTORS;

		bitmap_pass_full(r->bitmap, end < r->durable.agreed.sectors ? end : r->durable.agreed.sectors);
	}
	r->sync_position = at + sectors;
	req->op = REQUEST_READ;
	req->sector = at;
	req->sectors = sectors;
	req->preflush = false;
	req->flags = r->sync == SYNC_STATE_SOURCE ? REQUEST_COPY_OUT : REQUEST_COPY_IN;
	r->copies++;
	pace_begun(&r->pace, sectors, r->now_ms);
	copy_begin(r, req);
	return true;
}

void resync_advance(struct replicate *r)
{
	if (r->sync == SYNC_STATE_EXCHANGE && r->connection == CONNECTION_CONNECTED)
		send_bitmap(r);
	r->copy_ms = UINT64_MAX;
	while (may_copy(r) && !r->sync_end_sent && r->copies < r->cfg.copies)
		if (!copy_next(r))
			break;
}

/* Our disk has failed a copy: not at once again. */
void resync_hold(struct replicate *r)
{
	r->sync_hold_ms = r->now_ms + 10 * r->cfg.disk_retry_ms;
}

static void begin_without_exchange(struct replicate *r, enum sync_verdict verdict, enum sync_state state)
{
	r->verdict = verdict;
	r->sync_total = marks_sectors(r);
	r->sync_end_sent = false;
	set_sync(r, state);
}

void resync_begin(struct replicate *r, bool source)
{
	begin_without_exchange(r, source ? SYNC_SOURCE : SYNC_TARGET, source ? SYNC_STATE_SOURCE : SYNC_STATE_TARGET);
}

/* A piece of a discard is longer than what one OUT_OF_SYNC can name. */
static void send_out_of_sync(struct replicate *r, uint64_t sector, uint32_t sectors)
{
	struct packet p = { .type = PACKET_OUT_OF_SYNC };

	p.in_sync.epoch = r->durable.epoch;
	for (uint32_t done = 0; done < sectors; done += p.in_sync.sectors) {
		p.in_sync.sector = sector + done;
		p.in_sync.sectors = sectors - done < REQUEST_SECTORS_MAX ? sectors - done : REQUEST_SECTORS_MAX;
		r->ops->send(r->ctx, &p, NULL);
	}
}

/* Blocks that our disk has failed are copied from the partner's: we are the target of a resync, most often a very short one. Both
 * bitmaps stay equal: whoever has the token next goes on with it. */
void resync_heal(struct replicate *r, uint64_t sector, uint32_t sectors)
{
	marks_set(r, sector, sectors);
	send_out_of_sync(r, sector, sectors);
	r->wanted.flags &= ~SB_CONSISTENT;
	superblock_want(r, STEP_NOTED);
	if (r->sync != SYNC_STATE_EXCHANGE)
		begin_without_exchange(r, SYNC_TARGET, SYNC_STATE_TARGET);
}

static int on_out_of_sync(struct replicate *r, const struct packet *p)
{
	bool good, idle;

	leave_undo(r);
	/* `wanted`: CLEAR may have come just before, and what it said not be durable yet */
	good = !r->detached && (r->wanted.flags & (SB_CONSISTENT | SB_OUTDATED | SB_JUST_CREATED)) == SB_CONSISTENT;
	idle = r->sync == SYNC_STATE_OFF && good;
	if (r->wanted.token == TOKEN_HELD || p->in_sync.sector + p->in_sync.sectors > r->durable.agreed.sectors ||
	    (!idle && r->sync != SYNC_STATE_SOURCE && !(r->sync == SYNC_STATE_EXCHANGE && sync_is_source(r->verdict))))
		return wrong(r, p);
	marks_set(r, p->in_sync.sector, p->in_sync.sectors);
	r->peer.flags &= ~SB_CONSISTENT;
	if (idle)
		begin_without_exchange(r, SYNC_SOURCE, SYNC_STATE_SOURCE);
	return 0;
}

/* ---- the end ---- */

static void ended(struct replicate *r)
{
	if (r->sync == SYNC_STATE_TARGET)
		run_handler(r, HANDLER_AFTER_RESYNC_TARGET);
	if (r->sync == SYNC_STATE_SOURCE || r->sync == SYNC_STATE_EXCHANGE)
		r->peer.flags |= SB_CONSISTENT;
	r->peer.flags &= ~SB_OUTDATED;
	if (sync_is_source(r->verdict))
		unfence(r);
	if (r->wanted.flags & (SB_FORCED | SB_MIXED)) { /* both have the same again: what was forced is over */
		r->wanted.flags &= ~(SB_FORCED | SB_FORCED_BY_WAIT | SB_MIXED);
		superblock_want(r, STEP_NOTED);
	}
	r->verdict = SYNC_NONE;
	set_sync(r, SYNC_STATE_OFF);
	token_advance(r);
}

/* The target is consistent, durably. */
void resync_step(struct replicate *r)
{
	struct packet p = { .type = token_held(r) ? PACKET_SYNC_END : PACKET_SYNC_ENDED };

	if (r->connection != CONNECTION_CONNECTED || !(r->durable.flags & r->wanted.flags & SB_CONSISTENT))
		return; /* or more is out of sync meanwhile */
	p.used.epoch = r->durable.epoch;
	r->ops->send(r->ctx, &p, NULL);
	ended(r);
}

/* From the holder: we are the target and have everything, or the source of one that has. */
static int on_sync_end(struct replicate *r, const struct packet *p)
{
	struct packet ended_too = { .type = PACKET_SYNC_ENDED };

	if (r->wanted.token == TOKEN_HELD)
		return wrong(r, p);
	if (sync_is_target(r->verdict)) {
		if (bitmap_bits(r->bitmap)) {
			protocol_error(r, "SYNC_END, but %llu blocks are out of sync here",
				       (unsigned long long)bitmap_bits(r->bitmap));
			return -EPROTO;
		}
		r->wanted.flags |= SB_CONSISTENT;
		superblock_want(r, STEP_SYNCED);
		return 0;
	}
	ended_too.used.epoch = p->used.epoch;
	r->ops->send(r->ctx, &ended_too, NULL);
	command_cleared(r);
	ended(r);
	return 0;
}

static int on_in_sync(struct replicate *r, const struct packet *p)
{
	if (r->wanted.token == TOKEN_HELD || p->in_sync.sector + p->in_sync.sectors > r->durable.agreed.sectors)
		return wrong(r, p);
	marks_clear(r, p->in_sync.sector, p->in_sync.sectors);
	return 0;
}

int resync_packet(struct replicate *r, const struct packet *p, struct request *req)
{
	switch (p->type) {
	case PACKET_BITMAP:
		return on_bitmap(r, p, req);
	case PACKET_RECEIVED:
		return on_received(r, p);
	case PACKET_BITMAP_END:
		return on_bitmap_end(r, p);
	case PACKET_IN_SYNC:
		return on_in_sync(r, p);
	case PACKET_OUT_OF_SYNC:
		return on_out_of_sync(r, p);
	case PACKET_SYNC_END:
		return on_sync_end(r, p);
	case PACKET_PAUSE:
		r->peer_paused = p->pause.paused;
		say(r, "the resync is %s on %s", r->peer_paused ? "held" : "no longer held", r->cfg.peer_host);
		return 0;
	default: /* SYNC_ENDED, also the answer to CLEAR; unasked from a target that gave the token away while it became consistent */
		if (r->sync == SYNC_STATE_SOURCE && (r->sync_end_sent || (!bitmap_bits(r->bitmap) && !r->copies)))
			ended(r);
		command_cleared(r);
		return 0;
	}
}

const char *disk_state_name(enum disk_state s)
{
	static const char *const names[] = {
#define X(name, text, what) text,
		DISK_STATES(X)
#undef X
	};

	return s < DISK_STATE_COUNT ? names[s] : "?";
}

const char *sync_state_name(enum sync_state s)
{
	static const char *const names[] = {
#define X(name, text, what) text,
		SYNC_STATES(X)
#undef X
	};

	return s < SYNC_STATE_COUNT ? names[s] : "?";
}
