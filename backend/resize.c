/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resize.c: both volumes were enlarged, and the disk becomes larger under its guest.
 *
 *   the token's holder                          its partner
 *   RESIZE: so large is my volume ────────────> the lesser of both volumes: {sectors, full_from, not CONSISTENT} durable
 *   {sectors, full_from} durable <───────────── RESIZED [STEP_RESIZED]
 *   the guest is told, what is new is copied
 *
 * Invariants
 *  1. A guest sees a size only when both nodes have it durably: the partner first, then the holder [STEP_COMMAND].
 *  2. A size never becomes smaller. Of two nodes with different ones the larger counts when they meet [resize_met].
 *  3. What is new is out of sync, durably, by the same write that makes it part of the disk: `full_from` needs no page of the bitmap.
 *     With --assume-clean both forget these marks afterwards.
 *  4. From RESIZE to the end of the holder's write the token does not move [token_quiet], and a partner that has agreed does not ask for a
 *     guest [reserve_ask]: whoever copies has the larger size.
 *
 * Crash argument: each node changes by one superblock write. A crash before the partner's leaves the old size on both; after it the
 * partner has the larger one, which its guest has not seen, and is not CONSISTENT: it is the target when the two meet, and the other takes the larger
 * size over before READY. With --assume-clean it may be CONSISTENT with nothing marked: then the person's word that both are equal counts for the other one, too.
 */
#include "backend/replicate_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define MIB(sectors) ((sectors) / 2048)

static uint64_t whole_blocks(const struct replicate *r, uint64_t sectors)
{
	return sectors - sectors % (r->durable.agreed.block_size / SECTOR_SIZE);
}

/* The sizes that follow from each other are made durable together; what is new is marked. */
static int grow(struct replicate *r, uint64_t sectors)
{
	uint64_t from = r->wanted.agreed.sectors / BITMAP_BLOCK_SECTORS * BITMAP_BLOCK_SECTORS;
	int rc = bitmap_grow(r->bitmap, sectors);

	if (rc)
		return rc;
	actlog_grow(r->log, sectors);
	r->resize.from = from;
	r->wanted.agreed.sectors = sectors;
	if (from < r->wanted.full_from)
		r->wanted.full_from = from;
	return 0;
}

/* Both disks have the same there, says a person. */
static void take_as_equal(struct replicate *r)
{
	uint64_t sectors = r->durable.agreed.sectors;

	bitmap_pass_full(r->bitmap, sectors);
	bitmap_clear(r->bitmap, r->resize.from, sectors - r->resize.from);
}

/* Durable here: is what is new copied, or not? */
static void begin(struct replicate *r, bool source)
{
	if (r->resize.clean)
		take_as_equal(r);
	else
		resync_begin(r, source);
}

/* NULL, or why neither node may be asked for more now. */
static const char *not_now(const struct replicate *r, bool clean)
{
	if (r->detached || !disk_good(r))
		return "its disk is not up to date";
	if (r->sync != SYNC_STATE_OFF)
		return "a resync is under way";
	if (clean && (!bitmap_all_known(r->bitmap) || bitmap_bits(r->bitmap)))
		return "blocks are still marked as out of sync";
	return NULL;
}

/* ---- the holder ---- */

static bool holder_objects(struct replicate *r, bool clean)
{
	const char *why = not_now(r, clean);

	if (r->connection != CONNECTION_CONNECTED)
		command_refuse(r, -ENOTCONN, "%s is not connected, and both nodes have to know the new size: try again when it is ('backend-ctl status %s')",
			       r->cfg.peer_host, r->cfg.name);
	else if (!token_held(r))
		command_refuse(r, -EPERM, "%s has the right to write: run 'backend-ctl resize%s %s' there", r->cfg.peer_host,
			       clean ? " --assume-clean" : "", r->cfg.name);
	else if (token_moves(r) || r->asked.looking)
		command_refuse(r, -EBUSY, "the guest is just migrating, or a start of it is being answered: try again when that has ended");
	else if (why || !peer_good(r))
		command_refuse(r, -EBUSY, "on %s %s: try again when both nodes are up to date ('backend-ctl status %s')",
			       why ? r->cfg.self_host : r->cfg.peer_host, why ? why : "the disk is not up to date", r->cfg.name);
	else
		return false;
	return true;
}

void resize_command(struct replicate *r, bool clean)
{
	uint64_t agreed = r->durable.agreed.sectors, sectors = 0;
	struct packet p = { .type = PACKET_RESIZE };
	char why[REPLICATE_TEXT] = "";
	int rc;

	if (holder_objects(r, clean))
		return;
	rc = r->ops->measure(r->ctx, &sectors, why, sizeof(why));
	if (rc) {
		command_refuse(r, rc, "on %s: %s", r->cfg.self_host, why);
		return;
	}
	sectors = whole_blocks(r, sectors);
	if (sectors < agreed) {
		command_refuse(r, -EPERM, "the volume on %s has become smaller (%" PRIu64 " of %" PRIu64 " sectors): a disk is never made smaller; restore its size, then try again",
			       r->cfg.self_host, sectors, agreed);
		return;
	}
	if (sectors == agreed) {
		command_refuse(r, -EPERM, "the volume on %s has not become larger (%" PRIu64 " sectors, %" PRIu64 " MiB): enlarge it on both nodes (lvextend), then try again",
			       r->cfg.self_host, agreed, MIB(agreed));
		return;
	}
	r->cfg.offer.sectors = sectors;
	r->resize.asked = true;
	r->resize.clean = clean;
	p.resize.epoch = r->durable.epoch;
	p.resize.sectors = sectors;
	p.resize.clean = clean;
	r->ops->send(r->ctx, &p, NULL);
}

static int on_resized(struct replicate *r, const struct packet_resize *p)
{
	uint64_t sectors = p->sectors;

	if (!r->resize.asked || r->resize.taken || p->clean != r->resize.clean || sectors <= r->durable.agreed.sectors ||
	    sectors > r->cfg.offer.sectors || sectors != whole_blocks(r, sectors)) {
		protocol_error(r, "RESIZED that does not fit this node");
		return -EPROTO;
	}
	if (grow(r, sectors)) {
		reconnect(r, "out of memory for a larger disk"); /* taken over when they meet */
		return 0;
	}
	r->resize.taken = true;
	if (!r->resize.clean)
		r->peer.flags &= ~SB_CONSISTENT;
	superblock_want(r, STEP_COMMAND);
	return 0;
}

/* Also should the connection have been lost meanwhile: then the next meeting sees to what is new. */
void resize_step(struct replicate *r)
{
	uint64_t sectors = r->durable.agreed.sectors;
	char words[REPLICATE_TEXT];
	bool connected = r->connection == CONNECTION_CONNECTED;

	if (connected)
		begin(r, true);
	snprintf(words, sizeof(words), "the disk has %" PRIu64 " sectors (%" PRIu64 " MiB) from now on; %s", sectors, MIB(sectors),
		 !connected	   ? "what is new is copied when the two are connected again"
		 : r->resize.clean ? "what is new counts as the same on both nodes"
				   : "what is new is being copied");
	say(r, "%s", words);
	r->resize.asked = r->resize.taken = false;
	command_done(r, words);
}

void resize_advance(struct replicate *r)
{
	if (!r->resize.asked || r->resize.taken || r->connection == CONNECTION_CONNECTED)
		return;
	r->resize.asked = false;
	command_refuse(r, -ENOTCONN,
		       "the connection to %s was lost meanwhile: when the two have met again both have the old size, or both the new one; "
		       "should it be the old one, try again",
		       r->cfg.peer_host);
}

/* ---- the partner ---- */

bool resize_under_way(const struct replicate *r)
{
	return r->step_version[STEP_RESIZED];
}

static void refuse_partner(struct replicate *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void refuse_partner(struct replicate *r, const char *fmt, ...)
{
	struct packet p = { .type = PACKET_RESIZE_REFUSE };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p.refuse.why, sizeof(p.refuse.why), fmt, ap);
	va_end(ap);
	r->ops->send(r->ctx, &p, NULL);
}

static int on_resize(struct replicate *r, const struct packet_resize *p)
{
	uint64_t agreed = r->durable.agreed.sectors, own = 0, sectors;
	const char *why = not_now(r, p->clean);
	char words[REPLICATE_TEXT] = "";

	if (r->wanted.token == TOKEN_HELD || p->sectors <= agreed || resize_under_way(r)) {
		protocol_error(r, "RESIZE that does not fit this node");
		return -EPROTO;
	}
	if (!why && (r->attachment == ATTACHMENT_RESERVING || arriving(r)))
		why = "a guest is just arriving";
	if (!why && r->asked_for.busy)
		why = "another command is under way";
	if (why) {
		refuse_partner(r, "%s: try again", why);
		return 0;
	}
	if (r->ops->measure(r->ctx, &own, words, sizeof(words))) {
		refuse_partner(r, "%s", words);
		return 0;
	}
	own = whole_blocks(r, own);
	sectors = own < p->sectors ? own : p->sectors;
	if (sectors <= agreed) {
		refuse_partner(r, "the volume has %" PRIu64 " sectors (%" PRIu64 " MiB), not more than before: enlarge it there, too (lvextend), then try again", own,
			       MIB(own));
		return 0;
	}
	if (grow(r, sectors)) {
		refuse_partner(r, "drbdxd is out of memory: try again");
		return 0;
	}
	say(r, "%s enlarges the disk to %" PRIu64 " sectors (%" PRIu64 " MiB)", r->cfg.peer_host, sectors, MIB(sectors));
	r->cfg.offer.sectors = own;
	r->resize.clean = p->clean;
	if (!p->clean)
		r->wanted.flags &= ~SB_CONSISTENT;
	superblock_want(r, STEP_RESIZED);
	return 0;
}

void resize_durable(struct replicate *r)
{
	struct packet p = { .type = PACKET_RESIZED };

	if (r->connection != CONNECTION_CONNECTED)
		return;
	p.resize.epoch = r->durable.epoch;
	p.resize.sectors = r->durable.agreed.sectors;
	p.resize.clean = r->resize.clean;
	r->ops->send(r->ctx, &p, NULL);
	begin(r, false);
	token_advance(r); /* a guest that has begun to arrive asks now */
}

int resize_packet(struct replicate *r, const struct packet *p)
{
	if (p->type == PACKET_RESIZE)
		return on_resize(r, &p->resize);
	if (p->type == PACKET_RESIZED)
		return on_resized(r, &p->resize);
	if (!r->resize.asked || r->resize.taken) {
		protocol_error(r, "RESIZE_REFUSE, unasked");
		return -EPROTO;
	}
	r->resize.asked = false;
	command_refuse(r, -EPERM, "on %s: %s", r->cfg.peer_host, p->refuse.why);
	return 0;
}

/* ---- the two meet ---- */

/* Both have the same there: nothing is marked on either node, and both are whole. */
static bool equal_by_word(const struct replicate *r)
{
	return r->verdict == SYNC_NONE && !r->own.diskless && !r->peer.diskless && r->own.flags & r->peer.flags & SB_CONSISTENT;
}

bool resize_met(struct replicate *r)
{
	uint64_t sectors = r->peer.agreed.sectors;

	if (sectors <= r->wanted.agreed.sectors)
		return true;
	if (grow(r, sectors)) {
		reconnect(r, "out of memory for a larger disk; trying again");
		return false;
	}
	say(r, "the disk has %" PRIu64 " sectors (%" PRIu64 " MiB), as %s knows", sectors, MIB(sectors), r->cfg.peer_host);
	r->resize.clean = equal_by_word(r);
	r->resize.met = true;
	return true;
}

/* READY is being sent. */
void resize_ready(struct replicate *r)
{
	if (r->resize.met && r->resize.clean)
		take_as_equal(r);
	r->resize.met = false;
}
