/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hot.c: the extents that a guest was writing to go with it, so that its first writes at the destination find them in the activity log
 * (docs/HANDOVER.md, R16).
 *
 *   source:       [STEP_RESERVED] GRANT ──> [hot_advance] HOT(reservation, extents) ──> RECEIVED gives the carrier back
 *   destination:  [hot_packet] RESERVED or COMMITTING for that reservation, and the log is nobody's ──> it begins anew with them
 *                 ──> in the log, a few transactions later [log_advance]
 *
 * Invariants
 *  1. Nobody waits for it: it is sent after GRANT, when the guest stands still and xl has its work yet to do, and neither COMMIT nor
 *     GIVE nor a write depends on whether it came, or on how far it has got (P5).
 *  2. It may be lost, late, repeated or not true: the log begins cold then, or with extents that nobody writes to.
 *  3. The log is begun anew only while SB_IN_USE is clear: nothing in it counts then (marks.c, invariant 1).
 *
 * Crash argument: before SB_IN_USE is set nothing in the log counts. After that the disk says either what it said before, or what it
 * said and some of these extents: a crash marks them all, which costs copying, never data.
 */
#include "backend/replicate_private.h"

#include <errno.h>

#include "backend/endian.h"

/* The payload: an extent each; what is left of the last sector is ACTLOG_FREE. */
#define EXTENT_BYTES   sizeof(struct be32)
#define SECTOR_EXTENTS (SECTOR_SIZE / EXTENT_BYTES)

/* ---- the source ---- */

/* How many sectors the list takes; 0: nothing is in the log. */
static uint32_t fill_list(struct replicate *r, uint8_t *data)
{
	struct be32 *list = (struct be32 *)(void *)data;
	uint32_t extents[ACTLOG_EXTENTS_MAX], most = r->cfg.copy_sectors * SECTOR_EXTENTS, n, sectors;

	n = actlog_recent(r->log, extents, most < ACTLOG_EXTENTS_MAX ? most : ACTLOG_EXTENTS_MAX);
	sectors = (n + SECTOR_EXTENTS - 1) / SECTOR_EXTENTS;
	for (uint32_t i = 0; i < sectors * SECTOR_EXTENTS; i++)
		list[i] = put_be32(i < n ? extents[i] : ACTLOG_FREE);
	return sectors;
}

void hot_advance(struct replicate *r)
{
	struct request *carrier;
	uint32_t sectors;

	if (!r->asked.hot)
		return;
	if (!token_held(r) || !r->durable.reservation || r->durable.reservation != r->wanted.reservation) {
		r->asked.hot = false; /* over, or given: too late to be of use */
		return;
	}
	carrier = carrier_free(r);
	if (!carrier)
		return;
	r->asked.hot = false;
	sectors = fill_list(r, carrier->data);
	if (sectors)
		carrier_send(r, carrier, REQUEST_HOT, r->durable.reservation, sectors);
}

/* ---- the destination ---- */

static bool in_use(const struct replicate *r)
{
	return superblock_may_say(r, SB_IN_USE) || r->wanted.flags & SB_IN_USE;
}

static uint32_t read_list(const struct request *carrier, uint32_t *extents)
{
	const struct be32 *list = (const struct be32 *)(const void *)carrier->data;
	uint32_t n = 0;

	while (n < ACTLOG_EXTENTS_MAX && n < carrier->sectors * SECTOR_EXTENTS && get_be32(list[n]) != ACTLOG_FREE) {
		extents[n] = get_be32(list[n]);
		n++;
	}
	return n;
}

/* -EINVAL: an extent beyond the end of the disk. */
static int take_list(struct replicate *r, uint64_t reservation, const struct request *carrier)
{
	uint32_t extents[ACTLOG_EXTENTS_MAX], n;
	int rc;

	if (!arriving(r) || reservation != r->kept.reserved || reservation == r->hot_taken || r->detached || in_use(r))
		return 0;
	n = read_list(carrier, extents);
	rc = actlog_warm(r->log, extents, n);
	if (rc == -EINVAL)
		return rc;
	if (!rc) {
		r->hot_taken = reservation;
		say(r, "the activity log begins with %u extents that %s was writing to on %s", n, r->guest.who, r->cfg.peer_host);
	}
	return 0;
}

int hot_packet(struct replicate *r, const struct packet *p, struct request *carrier)
{
	if (take_list(r, p->hot.reservation, carrier))
		return refuse_packet(r, "HOT with an extent beyond the end of the disk");
	carrier_received(r, p->hot.id, carrier);
	return 0;
}
