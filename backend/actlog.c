/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actlog.c: the activity log's slots, who waits for one, and its ring of transactions on disk.
 * docs/METADATA.md is normative for the latter.
 *
 * Invariants
 *  1. A write begins only while all its extents are in slots that the disk has durably, and from then to its
 *     end these slots are referenced.
 *  2. A referenced slot is no victim.  So what is lost in a crash, being written, is in the log (P1).
 *  3. One transaction at a time: n+1 is not begun before n was announced [actlog_written].  Transaction n is
 *     in block n modulo ACTLOG_BLOCKS, so that n+1 is written over n-6.
 *  4. A transaction names the slots that it changes, and a part of all others as they are after it.  The
 *     parts follow each other; any ACTLOG_BLOCKS - 1 of them in a row are all slots.
 *  5. A slot is in `lru` if it is neither referenced nor pinned, in `pinned` if the transaction under way
 *     fills it for a write or its range needs it, else in no list.
 *  6. What is meant for a slot [actlog_warm] comes into it only while it is free, in its place in `lru`, with the first transaction
 *     whose part describes it: no write waits for that, and nothing is given up for it.
 *
 * A range of extents that a write needs:
 *   unknown ──> noted [actlog_begin: false] ──> in a transaction [actlog_prepare]
 *     ──> in the log [actlog_written] ──> referenced [actlog_begin: true]
 *     ──> in the log [actlog_end] ──> victim [actlog_prepare] ──> unknown
 *
 * Nobody starves, nobody deadlocks: a range gets all its slots or none, so a waiting write holds nothing.
 * Ranges are served in the order of their notes.  While the first one lacks slots (`starving`), no write
 * begins, so references only go, until they are enough for it, since a range is never larger than the log.
 *
 * Crash argument: only the block of n+1 can be torn, and that held n-6.  Torn, its checksum is wrong; the
 * blocks left, n-5 to n, describe every slot (4), each slot by the newest of them that names it: exactly the
 * state after n.  Whole, n+1 counts, and n-4 to n+1 give the state after it.  Nobody acts on n+1 before it
 * was announced, so both are right.
 *
 * Further damage: the state is read from the newest transaction backwards until every slot is described, and
 * a gap before that is refused.  A newest one that is damaged itself looks like a torn one; so the block
 * after the torn one must be whole and hold n-5, else two were lost, and the newest whole one would be too
 * old.
 */
#include "backend/actlog.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/crc32c.h"
#include "backend/endian.h"
#include "backend/layout.h"

#define MAGIC	  "drbdxal1"
#define CONTEXT	  920u /* slots that a transaction describes besides its updates */
#define NOTES	  512u
#define UNKNOWN	  (ACTLOG_FREE - 1) /* a slot that no transaction has described yet [actlog_load] */
#define SEQUENCES (1ull << 63)	    /* no log gets there */

/* disk_transaction.flags: every slot that it does not name was free before it */
#define RESET	  1u

struct disk_update {
	struct be16 slot;
	struct be32 extent;
};
static_assert(sizeof(struct disk_update) == 6, "update");

struct disk_transaction {
	char magic[8];
	struct be64 sequence;
	struct be32 flags;
	struct be16 slots, updates, context_start, context_slots;
	struct disk_update update[ACTLOG_UPDATES];
	struct be32 context[CONTEXT];
	struct be32 crc;
};
static_assert(sizeof(struct disk_transaction) == ACTLOG_BLOCK, "transaction");
static_assert(_Alignof(struct disk_transaction) == 1, "read in place");
static_assert(offsetof(struct disk_transaction, update) == 28, "update");
static_assert(offsetof(struct disk_transaction, context) == 412, "context");
static_assert(offsetof(struct disk_transaction, crc) == ACTLOG_BLOCK - 4, "crc");
static_assert((ACTLOG_BLOCKS - 1) * CONTEXT >= ACTLOG_EXTENTS_MAX, "invariant 4");

static const struct layout_field fields[] = {
#define F(name)                                                                                              \
	{                                                                                                    \
#name, offsetof(struct disk_transaction, name), sizeof(((struct disk_transaction *)0)->name) \
	}
	F(magic),	  F(sequence), F(flags),   F(slots), F(updates),     F(context_start),
	F(context_slots), F(update),   F(context), F(crc),   { NULL, 0, 0 },
#undef F
};

const struct layout_field *actlog_fields(void)
{
	return fields;
}

struct slot {
	RB_ENTRY(slot) tree;  /* while extent != ACTLOG_FREE */
	TAILQ_ENTRY(slot) at; /* lru or pinned */
	uint32_t extent;      /* while changing: the coming one */
	uint32_t old;	      /* while changing: what the disk still says */
	uint32_t meant;	      /* ACTLOG_FREE, or the extent that comes into it if it is still free [fill] */
	uint32_t references;
	bool changing, pinned;
};

/* A range of extents that a write has asked for. */
struct note {
	uint32_t first, last;
	RB_ENTRY(note) tree;
	TAILQ_ENTRY(note) at; /* noted or unused */
};

RB_HEAD(slot_tree, slot);
RB_HEAD(note_tree, note);
TAILQ_HEAD(slot_list, slot);
TAILQ_HEAD(note_list, note);

struct actlog {
	uint64_t sectors, sequence, written;
	uint32_t slots, extent_sectors, extents, used;
	struct slot *slot;
	struct slot_tree by_extent;
	struct slot_list lru, pinned;
	uint32_t lru_length;

	struct note note[NOTES];
	struct note_tree by_range;
	struct note_list noted, unused;

	uint32_t meant; /* slots that something is meant for */

	/* the transaction under way, if there are updates, or slots filled in its context */
	uint32_t update[ACTLOG_UPDATES], updates, filled;
	uint32_t victim[ACTLOG_UPDATES], victims;
	uint32_t context_start;
	bool reset;    /* the next one starts from an empty log */
	bool starving; /* the first note waits for slots to become unreferenced */
};

static int compare_slots(const struct slot *a, const struct slot *b)
{
	return a->extent < b->extent ? -1 : a->extent > b->extent;
}

static int compare_notes(const struct note *a, const struct note *b)
{
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return a->last < b->last ? -1 : a->last > b->last;
}

RB_GENERATE_INTERNAL(slot_tree, slot, tree, compare_slots, static __attribute__((unused)))
RB_GENERATE_INTERNAL(note_tree, note, tree, compare_notes, static __attribute__((unused)))

/* ---- life ---- */

/* Every slot free, nothing noted. */
static void empty(struct actlog *log)
{
	RB_INIT(&log->by_extent);
	RB_INIT(&log->by_range);
	TAILQ_INIT(&log->lru);
	TAILQ_INIT(&log->pinned);
	TAILQ_INIT(&log->noted);
	TAILQ_INIT(&log->unused);
	for (uint32_t i = 0; i < log->slots; i++) {
		log->slot[i] = (struct slot){ .extent = ACTLOG_FREE, .meant = ACTLOG_FREE };
		TAILQ_INSERT_TAIL(&log->lru, &log->slot[i], at);
	}
	for (uint32_t i = 0; i < NOTES; i++)
		TAILQ_INSERT_TAIL(&log->unused, &log->note[i], at);
	log->lru_length = log->slots;
	log->used = log->meant = 0;
	log->starving = false;
}

int actlog_new(uint32_t slots, uint64_t sectors, uint32_t extent_sectors, struct actlog **out)
{
	struct actlog *log;

	if (slots < ACTLOG_EXTENTS_MIN || slots > ACTLOG_EXTENTS_MAX || !sectors || !extent_sectors ||
	    (sectors - 1) / extent_sectors >= UNKNOWN)
		return -EINVAL;
	log = calloc(1, sizeof(*log));
	if (!log)
		return -ENOMEM;
	log->slot = calloc(slots, sizeof(*log->slot));
	if (!log->slot) {
		free(log);
		return -ENOMEM;
	}
	log->slots = slots;
	log->sectors = sectors;
	log->extent_sectors = extent_sectors;
	log->extents = (uint32_t)((sectors - 1) / extent_sectors + 1);
	log->sequence = ACTLOG_BLOCKS;
	empty(log);
	*out = log;
	return 0;
}

void actlog_grow(struct actlog *log, uint64_t sectors)
{
	assert((sectors - 1) / log->extent_sectors < UNKNOWN);
	if (sectors <= log->sectors)
		return; /* it had room for all of the volume */
	log->sectors = sectors;
	log->extents = (uint32_t)((sectors - 1) / log->extent_sectors + 1);
}

void actlog_free(struct actlog *log)
{
	if (!log)
		return;
	free(log->slot);
	free(log);
}

void actlog_clear(struct actlog *log)
{
	assert(!actlog_prepared(log) && log->lru_length == log->slots);
	empty(log);
	log->context_start = 0;
	log->reset = true;
}

uint32_t actlog_slots(const struct actlog *log)
{
	return log->slots;
}

uint32_t actlog_extent(const struct actlog *log, uint32_t slot)
{
	return log->slot[slot].changing ? log->slot[slot].old : log->slot[slot].extent;
}

uint32_t actlog_used(const struct actlog *log)
{
	return log->used;
}

uint64_t actlog_transactions(const struct actlog *log)
{
	return log->written;
}

/* ---- slots ---- */

static struct slot *find(struct actlog *log, uint32_t extent)
{
	struct slot key = { .extent = extent };

	return slot_tree_RB_FIND(&log->by_extent, &key);
}

static void to_lru(struct actlog *log, struct slot *slot)
{
	TAILQ_INSERT_TAIL(&log->lru, slot, at);
	log->lru_length++;
}

static void from_lru(struct actlog *log, struct slot *slot)
{
	TAILQ_REMOVE(&log->lru, slot, at);
	log->lru_length--;
}

static bool idle(const struct slot *slot)
{
	return !slot->references && !slot->pinned;
}

static void pin(struct actlog *log, struct slot *slot)
{
	if (slot->pinned)
		return;
	if (idle(slot))
		from_lru(log, slot);
	slot->pinned = true;
	TAILQ_INSERT_TAIL(&log->pinned, slot, at);
}

static void unpin_all(struct actlog *log)
{
	struct slot *slot;

	while ((slot = TAILQ_FIRST(&log->pinned))) {
		TAILQ_REMOVE(&log->pinned, slot, at);
		slot->pinned = false;
		if (idle(slot))
			to_lru(log, slot);
	}
}

/* ---- notes ---- */

static struct note range_of(const struct actlog *log, uint64_t sector, uint32_t sectors)
{
	struct note range = { 0 };

	assert(sectors && sector < log->sectors && sectors <= log->sectors - sector);
	range.first = (uint32_t)(sector / log->extent_sectors);
	range.last = (uint32_t)((sector + sectors - 1) / log->extent_sectors);
	assert(range.last - range.first < log->slots && range.last - range.first < ACTLOG_UPDATES);
	return range;
}

static void note(struct actlog *log, const struct note *range)
{
	struct note *new = TAILQ_FIRST(&log->unused);

	if (!new || note_tree_RB_FIND(&log->by_range, (struct note *)range))
		return;
	TAILQ_REMOVE(&log->unused, new, at);
	new->first = range->first;
	new->last = range->last;
	TAILQ_INSERT_TAIL(&log->noted, new, at);
	note_tree_RB_INSERT(&log->by_range, new);
}

static void forget(struct actlog *log, struct note *old)
{
	note_tree_RB_REMOVE(&log->by_range, old);
	TAILQ_REMOVE(&log->noted, old, at);
	TAILQ_INSERT_TAIL(&log->unused, old, at);
}

/* ---- a write ---- */

static bool is_durable(const struct slot *slot)
{
	return slot && !slot->changing;
}

static bool all_durable(struct actlog *log, const struct note *range)
{
	for (uint32_t i = range->first; i <= range->last; i++)
		if (!is_durable(find(log, i)))
			return false;
	return true;
}

static void refer(struct actlog *log, struct slot *slot)
{
	if (idle(slot))
		from_lru(log, slot);
	slot->references++;
}

bool actlog_begin(struct actlog *log, uint64_t sector, uint32_t sectors)
{
	struct note range = range_of(log, sector, sectors), *old;
	struct slot *first = find(log, range.first);

	if (log->starving || !is_durable(first) || (range.first < range.last && !all_durable(log, &range))) {
		note(log, &range);
		return false;
	}
	refer(log, first);
	for (uint32_t i = range.first + 1; i <= range.last; i++)
		refer(log, find(log, i));
	old = note_tree_RB_FIND(&log->by_range, &range);
	if (old)
		forget(log, old);
	return true;
}

void actlog_end(struct actlog *log, uint64_t sector, uint32_t sectors)
{
	struct note range = range_of(log, sector, sectors);
	struct slot *slot;

	for (uint32_t i = range.first; i <= range.last; i++) {
		slot = find(log, i);
		assert(slot && slot->references);
		slot->references--;
		if (idle(slot))
			to_lru(log, slot);
	}
}

/* ---- a transaction ---- */

static uint32_t context_slots(const struct actlog *log)
{
	uint32_t left = log->slots - log->context_start;

	return left < CONTEXT ? left : CONTEXT;
}

/* The least recently used slot takes the extent. */
static void replace(struct actlog *log, uint32_t extent)
{
	struct slot *slot = TAILQ_FIRST(&log->lru);

	if (slot->extent != ACTLOG_FREE) {
		slot_tree_RB_REMOVE(&log->by_extent, slot);
		log->victim[log->victims++] = slot->extent;
	}
	slot->old = slot->extent;
	slot->extent = extent;
	slot->changing = true;
	slot_tree_RB_INSERT(&log->by_extent, slot);
	pin(log, slot);
	log->update[log->updates++] = (uint32_t)(slot - log->slot);
}

/* Room for the whole range in this transaction, or nothing of it. */
static bool fits(struct actlog *log, const struct note *range)
{
	uint32_t missing = 0, kept = 0;
	const struct slot *slot;

	for (uint32_t i = range->first; i <= range->last; i++) {
		slot = find(log, i);
		missing += !slot;
		kept += slot && idle(slot);
	}
	return missing <= ACTLOG_UPDATES - log->updates && missing + kept <= log->lru_length;
}

static void take(struct actlog *log, const struct note *range)
{
	struct slot *slot;

	/* what is there already is pinned first: it must not be a victim of the rest */
	for (uint32_t i = range->first; i <= range->last; i++) {
		slot = find(log, i);
		if (slot)
			pin(log, slot);
	}
	for (uint32_t i = range->first; i <= range->last; i++)
		if (!find(log, i))
			replace(log, i);
}

/* Slots that the transaction describes anyway, and that are free still, take what is meant for them. */
static void fill(struct actlog *log)
{
	uint32_t end = log->context_start + context_slots(log);

	for (uint32_t i = log->context_start; log->meant && i < end; i++) {
		struct slot *slot = &log->slot[i];
		uint32_t extent = slot->meant;

		if (extent == ACTLOG_FREE)
			continue;
		slot->meant = ACTLOG_FREE;
		log->meant--;
		if (slot->extent != ACTLOG_FREE)
			continue;
		if (find(log, extent)) { /* a write has brought it in: the next one finds the slot among the free ones */
			TAILQ_REMOVE(&log->lru, slot, at);
			TAILQ_INSERT_HEAD(&log->lru, slot, at);
			continue;
		}
		slot->old = ACTLOG_FREE;
		slot->extent = extent;
		slot->changing = true;
		slot_tree_RB_INSERT(&log->by_extent, slot);
		log->filled++;
	}
}

bool actlog_prepare(struct actlog *log, uint32_t *victims)
{
	struct note *first;

	if (actlog_prepared(log))
		return false;
	log->victims = 0;
	while ((first = TAILQ_FIRST(&log->noted)) && fits(log, first)) {
		take(log, first);
		forget(log, first);
		/* nothing was missing (its writer has gone): what it pinned must not make the next one wait
		 */
		if (!log->updates)
			unpin_all(log);
	}
	log->starving = first && !log->updates;
	fill(log);
	*victims = log->victims;
	return actlog_prepared(log);
}

uint32_t actlog_victim(const struct actlog *log, uint32_t i)
{
	assert(i < log->victims);
	return log->victim[i];
}

bool actlog_prepared(const struct actlog *log)
{
	return log->updates || log->filled;
}

bool actlog_waits(const struct actlog *log)
{
	return actlog_prepared(log) || !TAILQ_EMPTY(&log->noted);
}

static void seal(struct disk_transaction *d, uint8_t *block)
{
	memcpy(d->magic, MAGIC, sizeof(d->magic));
	d->crc = put_be32(crc32c(d, offsetof(struct disk_transaction, crc)));
	memcpy(block, d, sizeof(*d));
}

uint32_t actlog_transaction(const struct actlog *log, uint8_t *block)
{
	uint64_t sequence = log->sequence + 1;
	struct disk_transaction d = {
		.sequence = put_be64(sequence),
		.flags = put_be32(log->reset ? RESET : 0),
		.slots = put_be16(log->slots),
		.updates = put_be16(log->updates),
		.context_start = put_be16(log->context_start),
		.context_slots = put_be16(context_slots(log)),
	};

	assert(actlog_prepared(log));
	for (uint32_t i = 0; i < log->updates; i++)
		d.update[i] = (struct disk_update){ put_be16(log->update[i]),
						    put_be32(log->slot[log->update[i]].extent) };
	for (uint32_t i = 0; i < context_slots(log); i++)
		d.context[i] = put_be32(log->slot[log->context_start + i].extent);
	seal(&d, block);
	return sequence % ACTLOG_BLOCKS;
}

static void advance(struct actlog *log, uint32_t context_end)
{
	log->context_start = context_end == log->slots ? 0 : context_end;
}

void actlog_written(struct actlog *log)
{
	assert(actlog_prepared(log));
	for (uint32_t i = 0; i < log->updates; i++)
		log->slot[log->update[i]].changing = false;
	for (uint32_t i = 0; log->filled && i < context_slots(log); i++)
		log->slot[log->context_start + i].changing = false;
	unpin_all(log);
	log->used += log->updates - log->victims + log->filled;
	log->updates = log->victims = log->filled = 0;
	log->reset = false;
	log->sequence++;
	log->written++;
	advance(log, log->context_start + context_slots(log));
}

/* ---- a log that begins warm ---- */

uint32_t actlog_recent(const struct actlog *log, uint32_t *extents, uint32_t most)
{
	const struct slot *slot;
	uint32_t n = 0;

	for (uint32_t i = 0; i < log->slots && n < most; i++)
		if (!idle(&log->slot[i]))
			extents[n++] = log->slot[i].extent;
	TAILQ_FOREACH_REVERSE(slot, &log->lru, slot_list, at)
		if (n < most && slot->extent != ACTLOG_FREE)
			extents[n++] = slot->extent;
	return n;
}

int actlog_warm(struct actlog *log, const uint32_t *extents, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (extents[i] >= log->extents)
			return -EINVAL;
	if (actlog_prepared(log) || log->lru_length != log->slots)
		return -EBUSY;
	actlog_clear(log);
	log->meant = n < log->slots ? n : log->slots;
	for (uint32_t i = log->meant; i-- > 0;) {
		log->slot[i].meant = extents[i];
		from_lru(log, &log->slot[i]);
		to_lru(log, &log->slot[i]);
	}
	return 0;
}

/* ---- the area on disk ---- */

void actlog_format(uint8_t *area)
{
	for (uint64_t n = 1; n <= ACTLOG_BLOCKS; n++) {
		struct disk_transaction d = { .sequence = put_be64(n), .flags = put_be32(RESET) };

		seal(&d, area + n % ACTLOG_BLOCKS * ACTLOG_BLOCK);
	}
}

static int refuse(char *why, size_t why_size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int refuse(char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why && why_size)
		vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return -EBADMSG;
}

static uint64_t sequence_of(const struct disk_transaction *d)
{
	return get_be64(d->sequence);
}

static bool extent_possible(const struct actlog *log, uint32_t extent)
{
	return extent < log->extents || extent == ACTLOG_FREE;
}

/* NULL, or what cannot be in a transaction's updates. */
static const char *updates_impossible(const struct actlog *log, const struct disk_transaction *d)
{
	uint32_t updates = get_be16(d->updates), start = get_be16(d->context_start), slot, extent;
	uint8_t seen[(ACTLOG_EXTENTS_MAX + 7) / 8] = { 0 };

	if (updates > ACTLOG_UPDATES)
		return "too many updates";
	for (uint32_t i = 0; i < updates; i++) {
		slot = get_be16(d->update[i].slot);
		extent = get_be32(d->update[i].extent);
		if (slot >= log->slots || !extent_possible(log, extent) || extent == ACTLOG_FREE)
			return "an update is out of range";
		if (seen[slot / 8] & 1u << slot % 8)
			return "a slot has two updates";
		seen[slot / 8] |= 1u << slot % 8;
		if (slot >= start && slot - start < get_be16(d->context_slots) &&
		    get_be32(d->context[slot - start]) != extent)
			return "an update and the context contradict each other";
	}
	if (!all_zero(&d->update[updates], (ACTLOG_UPDATES - updates) * sizeof(d->update[0])))
		return "unused updates are not zero";
	return NULL;
}

static const char *context_impossible(const struct actlog *log, const struct disk_transaction *d)
{
	uint32_t n = get_be16(d->context_slots);

	if (n > CONTEXT || get_be16(d->context_start) + n > log->slots)
		return "the context is out of range";
	for (uint32_t i = 0; i < n; i++)
		if (!extent_possible(log, get_be32(d->context[i])))
			return "the context names an extent beyond the end of the disk";
	return all_zero(&d->context[n], (CONTEXT - n) * sizeof(d->context[0])) ? NULL
									       : "unused context is not zero";
}

/* What actlog_format() writes: no slots, so that it fits every number of them. */
static bool is_format(const struct disk_transaction *d)
{
	return !get_be16(d->slots) && get_be32(d->flags) == RESET && !get_be16(d->updates) &&
	       !get_be16(d->context_slots) && !get_be16(d->context_start);
}

static const char *impossible(const struct actlog *log, const struct disk_transaction *d, uint32_t place)
{
	const char *wrong;

	if (!sequence_of(d) || sequence_of(d) >= SEQUENCES || sequence_of(d) % ACTLOG_BLOCKS != place)
		return "its sequence number does not belong there";
	if (get_be32(d->flags) & ~RESET)
		return "unknown flags";
	if (!is_format(d) && get_be16(d->slots) != log->slots)
		return "it is of a log with another number of slots (al-extents)";
	wrong = context_impossible(log, d);
	return wrong ? wrong : updates_impossible(log, d);
}

static bool whole(const struct disk_transaction *d)
{
	return !memcmp(d->magic, MAGIC, sizeof(d->magic)) &&
	       get_be32(d->crc) == crc32c(d, offsetof(struct disk_transaction, crc));
}

/* A ring as read: NULL where a block is damaged. */
struct ring {
	const struct disk_transaction *at[ACTLOG_BLOCKS];
	uint64_t newest;
};

static const struct disk_transaction *transaction(const struct ring *ring, uint64_t sequence)
{
	const struct disk_transaction *d = ring->at[sequence % ACTLOG_BLOCKS];

	return d && sequence_of(d) == sequence ? d : NULL;
}

static int read_ring(const struct actlog *log, const uint8_t *area, struct ring *ring, char *why,
		     size_t why_size)
{
	const char *wrong;

	*ring = (struct ring){ .newest = 0 };
	for (uint32_t place = 0; place < ACTLOG_BLOCKS; place++) {
		const struct disk_transaction *d = (const void *)(area + (size_t)place * ACTLOG_BLOCK);

		if (!whole(d))
			continue;
		wrong = impossible(log, d, place);
		if (wrong)
			return refuse(why, why_size, "block %u of the activity log is impossible: %s", place,
				      wrong);
		ring->at[place] = d;
		if (sequence_of(d) > ring->newest)
			ring->newest = sequence_of(d);
	}
	if (!ring->newest)
		return refuse(why, why_size, "the activity log has no whole block");
	/* n+1 may be torn; if n+2 is damaged, too, then n+1 was announced and is lost */
	if (!transaction(ring, ring->newest + 2 - ACTLOG_BLOCKS))
		return refuse(
			why, why_size,
			"the activity log is damaged in block %u and so may lack its newest transaction",
			(uint32_t)((ring->newest + 2) % ACTLOG_BLOCKS));
	return 0;
}

/* Puts the extent into a slot that no newer transaction has described. */
static void describe(struct actlog *log, uint32_t slot, uint32_t extent, uint32_t *unknown)
{
	if (log->slot[slot].extent != UNKNOWN)
		return;
	log->slot[slot].extent = extent;
	--*unknown;
}

static void read_transaction(struct actlog *log, const struct disk_transaction *d, uint32_t *unknown)
{
	for (uint32_t i = 0; i < get_be16(d->updates); i++)
		describe(log, get_be16(d->update[i].slot), get_be32(d->update[i].extent), unknown);
	for (uint32_t i = 0; i < get_be16(d->context_slots); i++)
		describe(log, get_be16(d->context_start) + i, get_be32(d->context[i]), unknown);
	for (uint32_t i = 0; get_be32(d->flags) & RESET && i < log->slots; i++)
		describe(log, i, ACTLOG_FREE, unknown);
}

/* From the newest transaction backwards until every slot is described. */
static int read_slots(struct actlog *log, const struct ring *ring, char *why, size_t why_size)
{
	const struct disk_transaction *d;
	uint32_t unknown = log->slots;

	for (uint32_t i = 0; i < log->slots; i++)
		log->slot[i].extent = UNKNOWN;
	for (uint64_t n = ring->newest; unknown; n--) {
		d = transaction(ring, n);
		if (!d)
			return refuse(
				why, why_size,
				"block %u of the activity log is damaged, and without it %u of %u slots are "
				"not described",
				(uint32_t)(n % ACTLOG_BLOCKS), unknown, log->slots);
		read_transaction(log, d, &unknown);
	}
	return 0;
}

/* The extents as read become the log's; used slots come after the free ones in `lru`. */
static int adopt(struct actlog *log, char *why, size_t why_size)
{
	for (uint32_t i = 0; i < log->slots; i++) {
		struct slot *slot = &log->slot[i];

		if (slot->extent == ACTLOG_FREE)
			continue;
		if (slot_tree_RB_INSERT(&log->by_extent, slot))
			return refuse(why, why_size, "the activity log has extent %u in two slots",
				      slot->extent);
		from_lru(log, slot);
		to_lru(log, slot);
		log->used++;
	}
	return 0;
}

int actlog_load(struct actlog *log, const uint8_t *area, char *why, size_t why_size)
{
	const struct disk_transaction *newest;
	struct ring ring;
	int rc;

	assert(!log->used && !log->written && !log->meant && !actlog_prepared(log) && TAILQ_EMPTY(&log->noted));
	rc = read_ring(log, area, &ring, why, why_size);
	if (!rc)
		rc = read_slots(log, &ring, why, why_size);
	if (!rc)
		rc = adopt(log, why, why_size);
	if (rc) {
		empty(log);
		return rc;
	}
	newest = transaction(&ring, ring.newest);
	log->sequence = ring.newest;
	advance(log, get_be16(newest->context_start) + get_be16(newest->context_slots));
	return 0;
}
