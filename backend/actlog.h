/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actlog.h: the activity log: which extents of the disk a write may have touched lately.
 *
 * Before a write is submitted its extents are in the log, durably; after a crash the extents in the log are
 * out of sync, and nothing else of what was written.  So a hot extent costs a write nothing, a cold one costs
 * one transaction.  It does no I/O: the caller writes and reads the blocks (docs/METADATA.md says what they
 * hold), and nothing here allocates after actlog_new().
 *
 * One transaction at a time:
 *
 *   actlog_begin() says no ──> actlog_prepare() chooses victims ──> the victims' bitmap pages are durable
 *     ──> actlog_transaction() gives the block ──> it is written ──> actlog_written()
 *     ──> actlog_begin() again
 */
#ifndef DRBDX_BACKEND_ACTLOG_H
#define DRBDX_BACKEND_ACTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACTLOG_BLOCK	      4096u /* bytes of a transaction, written whole */
#define ACTLOG_BLOCKS	      7u    /* the ring of transactions (docs/METADATA.md) */
#define ACTLOG_EXTENTS_MIN    7u
#define ACTLOG_EXTENTS_MAX    5000u	 /* slots that the ring can describe, whichever block is torn */
#define ACTLOG_EXTENT_SECTORS 8192u	 /* 4 MiB */
#define ACTLOG_UPDATES	      64u	 /* extents that one transaction can bring in */
#define ACTLOG_FREE	      UINT32_MAX /* a slot without an extent */

struct actlog;

/*
 * An empty log of `slots` slots for a disk of `sectors`, as actlog_format() leaves it on disk;
 * `extent_sectors` is ACTLOG_EXTENT_SECTORS (the simulator's are smaller).  -EINVAL: out of range; -ENOMEM.
 */
int actlog_new(uint32_t slots, uint64_t sectors, uint32_t extent_sectors, struct actlog **out);
void actlog_free(struct actlog *log); /* NULL is fine */
void actlog_grow(struct actlog *log, uint64_t sectors); /* the disk has become larger */

/* An empty log on disk, whatever its number of slots: ACTLOG_BLOCKS * ACTLOG_BLOCK bytes.  For create-md, and
 * for another number of slots, which is possible while nothing in the log counts (SB_IN_USE is clear). */
void actlog_format(uint8_t *area);

/*
 * Reads what the area holds into a log that nothing was done with: its slots are then as after the last whole
 * transaction, and the log goes on from there.  A block may be damaged, the one being written when the power
 * went; others only as far as what is left describes every slot.  -EBADMSG: it does not, or the area was
 * never a log of this many slots (words in `why`); the log is still empty then.
 */
int actlog_load(struct actlog *log, const uint8_t *area, char *why, size_t why_size);

/* The extent that a slot holds durably, ACTLOG_FREE if none: after actlog_load() these are the ones out of
 * sync. */
uint32_t actlog_slots(const struct actlog *log);
uint32_t actlog_extent(const struct actlog *log, uint32_t slot);

/*
 * A write begins, of at least one sector and at most as many extents as there are slots, and ACTLOG_UPDATES.
 * True: its extents are in the log durably and referenced until actlog_end().  False: nothing is referenced;
 * they are noted for the next transaction (if there is room for a note).  The caller asks again for each
 * write that waits, the oldest one first, after each actlog_written() and before the next actlog_prepare().
 *
 * What was noted first is served first.  If it needs more slots than are unreferenced, nothing new begins
 * until enough writes have ended, not even in extents that are in the log: so nobody starves.  A write that
 * ends must therefore never wait for one that has not begun.
 */
bool actlog_begin(struct actlog *log, uint64_t sector, uint32_t sectors);
void actlog_end(struct actlog *log, uint64_t sector, uint32_t sectors);

/*
 * Prepares the next transaction, if extents are noted or left from actlog_warm(), none is under way, and unreferenced slots can be given
 * up: free ones, then the least recently used ones.  True: a transaction is prepared; it gives up `*victims`
 * extents, at actlog_victim(0..) until actlog_written().  False: nothing to do, or too much is referenced
 * (ask again after actlog_end()).
 */
bool actlog_prepare(struct actlog *log, uint32_t *victims);
uint32_t actlog_victim(const struct actlog *log, uint32_t i);
bool actlog_prepared(const struct actlog *log);
bool actlog_waits(const struct actlog *log); /* something is noted, or prepared */

/* The prepared transaction (ACTLOG_BLOCK bytes) and which block of the area it is to be written to: the same
 * each time until actlog_written(). */
uint32_t actlog_transaction(const struct actlog *log, uint8_t *block);
/* It is durable.  (A failed write is simply written again.) */
void actlog_written(struct actlog *log);

/* Forgets every extent and every note: at once in memory, with the next transaction on disk (until then the
 * caller makes sure that nobody takes the old blocks for a crash's: SB_IN_USE is clear).  Nothing is
 * referenced or prepared. */
void actlog_clear(struct actlog *log);

/*
 * For a guest that moves. The extents that are in the log or on their way in, at most `most`, the most recently used first (those of
 * writes under way before all others). Returns how many.
 */
uint32_t actlog_recent(const struct actlog *log, uint32_t *extents, uint32_t most);
/*
 * Begins the log anew with these extents, in this order of use: the first ones, if there are more than slots. As after
 * actlog_clear(), nothing is in the log at first; the extents come with the next transactions, as many in each as a context has
 * slots [actlog_prepare]. Extents of writes come first, and take a slot's place from the least recently used of these. One that is
 * named twice is taken once. -EINVAL: one is beyond the end of the disk; -EBUSY: a transaction is under way, or an extent is
 * referenced. Nothing was changed then.
 */
int actlog_warm(struct actlog *log, const uint32_t *extents, uint32_t n);

/* For status: slots in use, transactions since actlog_new(). */
uint32_t actlog_used(const struct actlog *log);
uint64_t actlog_transactions(const struct actlog *log);

/* The layout of a transaction, ended by a NULL name: for the test that compares docs/METADATA.md. */
struct layout_field;
const struct layout_field *actlog_fields(void);

#endif
