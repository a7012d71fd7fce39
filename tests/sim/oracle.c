/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oracle.c: what must hold, checked from outside the core.  What the data are is truth.c's part of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static const char *const names[] = {
#define X(id, name, what) [ORACLE_##id] = name,
	ORACLES(X)
#undef X
};

const char *oracle_name(enum oracle o)
{
	return names[o];
}

/* ---- one writer ---- */

static bool elsewhere(const struct node *n)
{
	return truth_of(n) != truth_of(node_peer(n));
}

/* Nobody can start a guest from this disk without a person. */
static bool useless(const struct node *n)
{
	uint32_t flags = n->meta.durable.flags;

	return flags & (SB_OUTDATED | SB_JUST_CREATED) || !(flags & SB_CONSISTENT);
}

static bool says_outdated(const struct node *n)
{
	return n->meta.durable.flags & SB_PEER_OUTDATED;
}

/* It can serve a guest without its partner, or be promoted to do so, and no person need say anything. */
static bool may_go_alone(const struct node *n)
{
	const struct superblock *sb = &n->meta.durable;

	if (useless(n))
		return false;
	if (sb->token == TOKEN_HELD && (n->confirmed == sb->epoch || says_outdated(n)))
		return true;
	return n->cfg.fencing != FENCING_DONT_CARE && (n->known || says_outdated(n));
}

/* Or it was, and a person has made its data count since. */
bool oracle_fenced(const struct node *n)
{
	const struct node *peer = node_peer(n);

	return !may_go_alone(peer) || peer->meta.durable.flags & SB_FORCED;
}

/* Its guest may go on under resource-and-stonith. */
static bool let_go(const struct node *n)
{
	return n->overruled || n->meta.durable.flags & SB_FORCED || (oracle_fenced(n) && (n->told || says_outdated(n)));
}

static bool overtaken(const struct node *n)
{
	const struct superblock *sb = &n->meta.durable;

	return sb->token == TOKEN_HELD && sb->epoch < n->overtaken_by;
}

static bool good(const struct node *n)
{
	return !node_diskless(n) && !useless(n) && !n->unwritten;
}

static void check_fenced(struct node *n)
{
	struct sim *s = n->sim;

	if (overtaken(n))
		sim_violate(s, ORACLE_WRITER, "node %d executes guest requests in epoch %lu, but its partner was promoted in epoch %lu",
			    n->index, n->meta.durable.epoch, n->overtaken_by);
	if (s->plan.fencing[n->index] == FENCING_RESOURCE_AND_STONITH && n->status.connection != CONNECTION_CONNECTED && good(n) &&
	    !let_go(n))
		sim_violate(s, ORACLE_WRITER, "node %d executes guest requests, but the partner is gone and was not fenced", n->index);
}

void oracle_alone(struct node *n)
{
	struct sim *s = n->sim;

	/* or a meeting was cut in which the partner said that it has no disk */
	if (s->plan.fencing[n->index] == FENCING_RESOURCE_AND_STONITH && !let_go(n) && !oracle_fenced(n))
		sim_violate(s, ORACLE_WRITER, "node %d goes on without its partner, which was not fenced", n->index);
	n->lone |= !oracle_fenced(n);
}

void oracle_promoted(struct node *n, bool newest)
{
	const struct node *peer = node_peer(n);
	struct sim *s = n->sim;

	if (s->plan.fencing[n->index] == FENCING_DONT_CARE)
		sim_violate(s, ORACLE_WRITER, "node %d was promoted without its partner, without fencing and without a person", n->index);
	else if (!oracle_fenced(n) || !(n->told || says_outdated(n)))
		sim_violate(s, ORACLE_WRITER, "node %d was promoted without its partner, which is not fenced", n->index);
	else if (!newest && !peer->lone)
		sim_violate(s, ORACLE_DURABLE,
			    "node %d was promoted without its partner, whose data are newer: it had gone on when node %d was fenced", n->index,
			    n->index);
}

/* What the core asks of fence-peer and unfence-peer. */
void oracle_handler(struct node *n, enum handler h)
{
	struct sim *s = n->sim;

	if (!(n->cfg.handlers & 1u << h))
		sim_violate(s, ORACLE_CONTRACT, "node %d runs a handler that is not configured: %s", n->index, handler_name(h));
	if (h == HANDLER_FENCE_PEER && (n->cfg.fencing == FENCING_DONT_CARE || n->fencing))
		sim_violate(s, ORACLE_CONTRACT, "node %d runs fence-peer, with fencing dont-care, or twice at once", n->index);
	if (h == HANDLER_FENCE_PEER && n->status.attachment == ATTACHMENT_ACTIVE && n->meta.durable.reservation && !n->meta.step &&
	    n->guest.life == LIFE_SUSPENDED)
		sim_violate(s, ORACLE_CONTRACT, "node %d fences its partner, where its guest is arriving", n->index);
	if (h != HANDLER_UNFENCE_PEER)
		return;
	if (useless(n) || (n->status.connection != CONNECTION_CONNECTED && n->status.connection != CONNECTION_SETTLING))
		sim_violate(s, ORACLE_CONTRACT, "node %d runs unfence-peer, but the two are not up to date", n->index);
	s->totals->unfenced++;
	n->fenced = node_peer(n)->fenced = false;
}

static void check_right(struct node *n)
{
	const struct superblock *sb = node_superblock(n);
	const struct node *peer = node_peer(n);
	struct sim *s = n->sim;
	const struct timeline *t = truth_of(n);

	if (!(sb->flags & SB_IN_USE))
		sim_violate(s, ORACLE_MARKS, "node %d executes guest requests but its superblock does not say so", n->index);
	if (sb->token != TOKEN_HELD || (sb->base != sb->epoch && !n->meta.step))
		sim_violate(s, ORACLE_WRITER,
			    "node %d executes guest requests with token %s, epoch %lu, base %lu", n->index,
			    token_name(sb->token), sb->epoch, sb->base);
	check_fenced(n);
	if (!n->proved)
		sim_violate(s, ORACLE_WRITER,
			    "node %d executes guest requests, but since its host was started nobody has told that the token is still here",
			    n->index);
	if (t && !n->forgot && (sb->epoch < t->epoch || (sb->epoch == t->epoch && t->epoch_node != n->index && t->epoch)))
		sim_violate(s, ORACLE_WRITER, "node %d executes in epoch %lu, node %d did in epoch %lu",
			    n->index, sb->epoch, t->epoch_node, t->epoch);
	if (!elsewhere(n) && !lineage_unserved(peer) && (peer->guest.inflight || (peer->up && replicate_ready(peer->core))))
		sim_violate(s, ORACLE_WRITER,
			    "node %d executes guest requests while its partner does, or may (%u in flight)",
			    n->index, peer->guest.inflight);
}

/* That the partner is fenced for good is so, or a person has made its data count since. */
static void check_outdated(struct node *n)
{
	if (says_outdated(n) && !oracle_fenced(n))
		sim_violate(n->sim, ORACLE_WRITER, "node %d's superblock says that its partner is outdated or powered off, and it is not",
			    n->index);
}

/* Of two tokens one was overtaken: by a promotion, or because the two have found out since which of them counts (a split brain was decided). */
static bool one_counts(struct sim *s)
{
	struct node *a = &s->node[0], *b = &s->node[1];
	struct node *low = a->meta.durable.epoch < b->meta.durable.epoch ? a : b, *high = node_peer(low);

	if (overtaken(high))
		return false;
	if (!overtaken(low) && high->overtaken_by == low->meta.durable.epoch)
		low->overtaken_by = high->meta.durable.epoch;
	return overtaken(low);
}

void oracle_superblocks(struct sim *s)
{
	const struct superblock *a = &s->node[0].meta.durable, *b = &s->node[1].meta.durable;

	if (s->node[0].meta.node && s->node[1].meta.node && s->plan.fenced)
		for (int i = 0; i < SIM_NODES; i++)
			check_outdated(&s->node[i]);
	if (!s->node[0].meta.node || !s->node[1].meta.node || s->node[0].unwritten || s->node[1].unwritten ||
	    s->node[0].forgot || s->node[1].forgot)
		return;
	if (a->token == TOKEN_HELD && b->token == TOKEN_HELD && !((a->flags | b->flags) & SB_FORCED) &&
	    !one_counts(s))
		sim_violate(s, ORACLE_WRITER, "both superblocks hold the token (epochs %lu and %lu), and nobody was promoted",
			    a->epoch, b->epoch);
	if (a->token == TOKEN_NONE && b->token == TOKEN_NONE && !((a->flags | b->flags) & SB_JUST_CREATED))
		sim_violate(s, ORACLE_WRITER,
			    "the token is lost: neither superblock holds or gives it (epochs %lu and %lu)",
			    a->epoch, b->epoch);
}

/* Both disks were given up at once; the two meet anew in a moment. */
static bool returning(const struct node *n)
{
	return strstr(n->status.why, "is taken back");
}

void oracle_state(struct node *n)
{
	const struct node *peer = node_peer(n);
	struct sim *s = n->sim;

	if (n->guest.stalled && replicate_ready(n->core))
		sim_violate(s, ORACLE_LIVENESS,
			    "node %d is ready again, but nobody was told to look at the ring", n->index);
	if (n->status.attachment == ATTACHMENT_ACTIVE && peer->up && !elsewhere(n) &&
	    peer->status.attachment == ATTACHMENT_ACTIVE && !n->forgot && !peer->forgot) /* one that forgot may believe so; check_right() */
		sim_violate(s, ORACLE_WRITER, "both nodes are Primary");
	if (n->status.out_of_sync >= s->volume) /* everything is out of sync: it does no harm */
		n->meta.flipped = -1;
	if (n->meta.flipped >= 0 && n->meta.flip_read && !n->meta.page_written && n->status.out_of_sync_known)
		sim_violate(s, ORACLE_MARKS, "node %d: page %d of the bitmap is damaged, all of it was read, and nobody noticed", n->index,
			    n->meta.flipped);
	if (s->now + SIM_MS < n->promised_until && n->meta.durable.gen.current != n->promised_gen)
		sim_violate(s, ORACLE_LIVENESS, "node %d parts from its partner, which has said that it is back in %lu ms", n->index,
			    (n->promised_until - s->now) / SIM_MS);
	if (n->status.connection == CONNECTION_REFUSED && !s->history.excused && !returning(n))
		sim_violate(s, ORACLE_REFUSED, "node %d refuses its partner although nothing was forced, replaced or broken: %s",
			    n->index, n->status.why);
	if (n->status.connection == CONNECTION_REFUSED && !n->status.why[0])
		sim_violate(s, ORACLE_LIVENESS, "node %d refuses its partner without a word", n->index);
}

static enum attachment_state named(const char *name)
{
	int i = 0;

	while (strcmp(attachment_state_name(i), name))
		i++;
	return i;
}

void oracle_attachment(struct node *n, const char *from, const char *to)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	s->totals->attachments[named(to)]++;
	if (named(from) == ATTACHMENT_ACTIVE)
		node_peer(n)->guest.witnessed = node_peer(n)->guest.fair = false;
	if (named(to) == ATTACHMENT_STALE && !s->history.forced && !lineage_overtaken(n) && !s->history.forgot)
		sim_violate(
			s, ORACLE_LIVENESS,
			"node %d: its copy of the guest is taken for overtaken, but nothing has overtaken it",
			n->index);
	if (named(from) != ATTACHMENT_HANDED_OVER || named(to) != ATTACHMENT_ACTIVE)
		return;
	s->totals->back++;
	if (!lineage_current(n, g->branch) && !s->history.forgot)
		sim_violate(s, ORACLE_BACK, "node %d: the token came back to a guest that was overtaken",
			    n->index);
}

void oracle_claimed(struct node *n, int rc, const char *why)
{
	struct sim *s = n->sim;
	const struct node *peer = node_peer(n);

	if (rc > 0 || (rc && (!why || !*why)))
		sim_violate(s, ORACLE_LIVENESS, "node %d: a claim was refused without a word (%d)", n->index,
			    rc);
	if (rc && n->guest.fair &&
	    (n->guest.image.vm
		     ? peer->guest.life == LIFE_SUSPENDED
		     : peer->guest.attach == ATTACH_NONE && s->now - peer->guest.idle_since > 150 * SIM_MS))
		sim_violate(s, ORACLE_LIVENESS,
			    "node %d: a claim was refused although nothing stood in its way: %s", n->index,
			    why);
	if (!rc && n->guest.image.vm && peer->status.connection == CONNECTION_CONNECTED && /* else a GRANT came late */
	    peer->guest.attach > ATTACH_CLAIMING && peer->guest.vm != n->guest.vm)
		sim_violate(s, ORACLE_WRITER, "node %d: a guest may arrive that is not the partner's",
			    n->index);
	if (!rc && n->guest.witnessed)
		sim_violate(s, ORACLE_WRITER, "node %d: a claim was granted while the partner had a guest",
			    n->index);
	if (rc && n->guest.witnessed && !strstr(why, peer->guest.who))
		sim_violate(s, ORACLE_LIVENESS, "node %d: a refusal does not name who has the disk (%s): %s",
			    n->index, peer->guest.who, why);
}

/* ---- requests ---- */

/* A read waits for the older writes that it overlaps (request.h): it may return nothing older than those,
 * nor than what was seen. */
static void raise_floor(const struct node *n, struct guest_op *op)
{
	const struct sim *s = n->sim;

	memcpy(op->floor, op->seen, op->req.sectors * sizeof(*op->floor));
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++) {
		const struct guest_op *w = &n->guest.op[i];

		if (!w->consumed || !w->write || w->order > op->order)
			continue;
		for (uint64_t k = w->sector; k < w->sector + w->req.sectors; k++)
			if (k >= op->sector && k - op->sector < op->req.sectors &&
			    truth_older(s, op->floor[k - op->sector], w->write))
				op->floor[k - op->sector] = w->write;
	}
}

/* What was seen when it was consumed first: what was seen since was concurrent. */
static void read_floor(const struct node *n, struct guest_op *op)
{
	uint64_t first[SIM_REQUEST_SECTORS];

	memcpy(first, op->seen, sizeof(first));
	memcpy(op->seen, truth_of(n)->seen + op->sector, op->req.sectors * sizeof(*op->seen));
	for (uint32_t i = 0; op->again && i < op->req.sectors; i++)
		if (truth_older(n->sim, first[i], op->seen[i]) && truth_valid(n, truth_of(n), op->sector + i, first[i]))
			op->seen[i] = first[i];
	raise_floor(n, op);
}

/* A write has failed, and may have happened or not: whatever waited for it need not find it. */
static void lower_floors(struct node *n, struct guest_op *failed)
{
	failed->consumed = false;
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (n->guest.op[i].consumed && n->guest.op[i].req.op == REQUEST_READ)
			raise_floor(n, &n->guest.op[i]);
	failed->consumed = true;
}

void oracle_submitted(struct node *n, struct guest_op *op)
{
	check_right(n);
	truth_execute(n, op);
	if (n->sim->failed)
		return;
	if (op->again)
		lineage_again(n);
	else
		lineage_execute(n, op->branch);
	if (op->req.op == REQUEST_READ)
		read_floor(n, op);
	else if (op->req.op == REQUEST_FLUSH || op->req.preflush)
		memcpy(op->snapshot, truth_of(n)->floor, n->sim->volume * sizeof(*op->snapshot));
	if (op->write)
		cost_dirty(n->sim, op->sector, op->req.sectors);
	op->apart = n->status.connection != CONNECTION_CONNECTED;
}

/* Disks that an answer to the guest is about: those that are said to have all that was acknowledged. */
static bool counts(const struct node *at)
{
	return truth_newest(at) && !node_diskless(at);
}

static void check_flushed(struct node *n, const struct guest_op *op)
{
	struct sim *s = n->sim;
	struct timeline *t = truth_of(n);

	for (int i = 0; i < SIM_NODES; i++) {
		const struct node *at = &s->node[i];

		/* A flush that began, or went on, without the partner is ours alone, also should the partner have got everything since: what
		 * a resync copies is durable when it is copied. */
		if (!counts(at) || truth_of_disk(at) != t || (at != n && op->apart))
			continue;
		if (at->disk.flush_started < op->at)
			sim_violate(
				s, ORACLE_FLUSH,
				"a flush of %lu us was answered, but node %d's disk has not flushed since",
				op->at, i);
		for (uint64_t k = 0; k < s->volume && s->plan.cache && !s->failed; k++)
			if (truth_older(s, truth_on_disk(at, k), op->snapshot[k]))
				sim_violate(s, ORACLE_FLUSH,
					    "a flush was answered, but on node %d sector %lu holds write "
					    "%lu, not %lu",
					    i, k, truth_on_disk(at, k), op->snapshot[k]);
	}
	/* what a disk did not flush while it was away may be in its cache only: no schedule of that kind cuts its power */
	for (uint64_t k = 0; k < s->volume && !op->apart && counts(&s->node[0]) && counts(&s->node[1]); k++)
		if (truth_older(s, t->flushed[k], op->snapshot[k]))
			t->flushed[k] = op->snapshot[k];
}

/* It is on a disk, and one that has not got it does not say that it has everything. */
static void check_durable(struct node *n, const struct guest_op *op, uint64_t sector)
{
	struct sim *s = n->sim;
	bool somewhere = false;

	for (int i = 0; i < SIM_NODES; i++) {
		const struct node *at = &s->node[i];
		uint64_t id = truth_on_disk(at, sector);
		bool there = truth_of_disk(at) == truth_of(n) && truth_valid(at, truth_of(n), sector, id) &&
			     !truth_older(s, id, op->write);

		somewhere |= there;
		if (!there && truth_newest(at) && truth_of_disk(at) == truth_of(n))
			sim_violate(s, ORACLE_DURABLE,
				    "write %lu (sectors %lu+%u) of node %d is acknowledged, but not durable on node %d, which does not "
				    "say that it lacks it",
				    op->write, op->sector, op->req.sectors, n->index, i);
		if (there && at != n && truth_newest(at) && at->meta.durable.base < truth_of(n)->epoch)
			sim_violate(s, ORACLE_WRITER,
				    "a write of epoch %lu is acknowledged, but the partner's superblock knows only epoch %lu",
				    truth_of(n)->epoch, at->meta.durable.base);
	}
	if (!somewhere)
		sim_violate(s, ORACLE_DURABLE, "write %lu (sectors %lu+%u) of node %d is acknowledged and durable nowhere",
			    op->write, op->sector, op->req.sectors, n->index);
}

static void check_written(struct node *n, const struct guest_op *op)
{
	struct sim *s = n->sim;
	struct timeline *t = truth_of(n);

	s->history.write[op->write].acknowledged = true;
	for (uint64_t k = op->sector; k < op->sector + op->req.sectors; k++) {
		if (truth_older(s, t->floor[k], op->write))
			t->floor[k] = op->write;
		if (truth_older(s, t->seen[k], op->write))
			t->seen[k] = op->write;
		if (!s->plan.cache && !s->failed)
			check_durable(n, op, k);
	}
	truth_check_marks(s, op->sector, op->req.sectors, "a write is acknowledged");
}

static void check_read(struct node *n, const struct guest_op *op)
{
	struct sim *s = n->sim;
	struct timeline *t = truth_of(n);

	for (uint32_t i = 0; i < op->req.sectors; i++) {
		uint64_t sector = op->sector + i;
		uint64_t id = truth_identify(s, op->data + (size_t)i * SECTOR_SIZE, sector);

		if (!truth_valid(n, t, sector, id))
			sim_violate(s, ORACLE_READ,
				    "node %d: a read of sector %lu returned bytes that nobody wrote there, or that were given up (write %ld)",
				    n->index, sector, (long)id);
		else if (truth_older(s, id, op->floor[i]))
			sim_violate(s, ORACLE_READ,
				    "node %d: a read of sector %lu returned write %lu, older than %lu",
				    n->index, sector, id, op->floor[i]);
		else if (truth_older(s, t->seen[sector], id))
			t->seen[sector] = id;
		t->ahead[sector] = false;
	}
}

/* Our own disk does not have it right, or cannot read it. */
static bool unreadable_here(const struct node *n, const struct guest_op *op)
{
	if (!good(n) || op->failed_here)
		return true;
	for (uint64_t k = op->sector; k < op->sector + op->req.sectors; k++)
		if (n->disk.unreadable[k] || vmeta_marked(&n->meta, k / BITMAP_BLOCK_SECTORS))
			return true;
	return false;
}

#define BACK_WITHIN_MS 2000u /* DEGRADED.md, D18 */

/* on-no-data-accessible io-error: why this request may fail; NULL: it may not. */
static const char *out_of_reach(const struct node *n, const struct guest_op *op)
{
	uint64_t now = sim_ms(n->sim);
	struct replicate_status is;

	if (!n->sim->plan.io_error[n->index])
		return NULL;
	replicate_status(n->core, &is, now); /* n->status is that of before this event */
	if (op->failed_apart || (op->failed_here && op->req.op == REQUEST_READ && is.peer_disk != DISK_UP_TO_DATE))
		return "our disk has failed it, and the partner's is not in reach";
	if (op->failed_there && (unreadable_here(n, op) || is.out_of_sync))
		return "neither disk can read it";
	if ((is.connection == CONNECTION_DISCONNECTED || is.connection == CONNECTION_REFUSED) && !good(n) &&
	    now >= n->parted_ms + BACK_WITHIN_MS * (n->parted_ms != 0) && now >= n->found_ms)
		return "our disk cannot be used, and the partner is away";
	return NULL;
}

/* Why a secure discard may fail; NULL: it may not. */
static const char *unerasable(const struct node *n, const struct guest_op *op)
{
	struct replicate_status is;

	if (!op->secure)
		return NULL;
	replicate_status(n->core, &is, sim_ms(n->sim));
	if (n->sim->plan.unable >= 0 || op->not_erased)
		return "a disk could not erase it";
	if (op->apart || is.connection != CONNECTION_CONNECTED)
		return "the partner is away";
	if (op->failed_here || op->failed_there || is.disk == DISK_DISKLESS || is.peer_disk == DISK_DISKLESS)
		return "a disk is not there";
	return NULL;
}

static void check_error(struct node *n, struct guest_op *op, int rc)
{
	const char *why = out_of_reach(n, op);

	if (!why)
		why = unerasable(n, op);
	if (!why)
		sim_violate(n->sim, ORACLE_GUEST_ERROR, "node %d: the guest got error %d for sector %lu", n->index, rc, op->sector);
	else
		sim_say(n->sim, n, "error", why);
	if (op->write)
		lower_floors(n, op);
}

/* Nothing newer can be there: what overlaps waits. */
static void check_erased(struct node *n, const struct guest_op *op)
{
	for (int i = 0; i < SIM_NODES; i++)
		for (uint64_t k = op->sector; k < op->sector + op->req.sectors; k++)
			if (n->sim->node[i].disk.remnant[k])
				sim_violate(n->sim, ORACLE_ERASED, "node %d: sector %lu was discarded securely, and is still to be found on node %d",
					    n->index, k, i);
}

void oracle_completed(struct node *n, struct guest_op *op, int rc)
{
	if (rc == -ECANCELED && n->guest.attach == ATTACH_RELEASING)
		return; /* the guest is gone; what had not begun never will */
	if (rc) {
		check_error(n, op, rc);
		return;
	}
	if (op->req.op == REQUEST_READ)
		check_read(n, op);
	if (op->req.op == REQUEST_FLUSH || op->req.preflush)
		check_flushed(n, op);
	if (changes(&op->req) && op->write)
		check_written(n, op);
	if (op->secure)
		check_erased(n, op);
}

/* A guest's write takes effect on a volume that has all the older ones. */
void oracle_at_disk(struct vdisk *d, uint64_t sector, const uint64_t *ids, uint32_t sectors, bool copy)
{
	struct sim *s = d->node->sim;
	const struct timeline *t = truth_of_disk(d->node);

	for (uint32_t i = 0; i < sectors; i++) {
		uint64_t id = ids[i], old = d->cached_id[sector + i];

		if (id == UINT64_MAX)
			sim_violate(
				s, ORACLE_ORDER,
				"node %d: sector %lu is being written with bytes that no guest wrote there",
				d->node->index, sector + i);
		else if (copy || !t || !truth_valid(d->node, t, sector + i, old) || !truth_valid(d->node, t, sector + i, id))
			continue;
		else if (truth_older(s, id, old))
			sim_violate(s, ORACLE_ORDER,
				    "node %d: sector %lu: write %lu reaches the disk after write %lu",
				    d->node->index, sector + i, id, old);
		else if (id && s->history.write[id].epoch < t->began && truth_newest(d->node) && !s->history.forced)
			sim_violate(s, ORACLE_ORDER,
				    "node %d: sector %lu: write %lu of epoch %lu reaches the disk after "
				    "epoch %lu has begun",
				    d->node->index, sector + i, id, s->history.write[id].epoch, t->began);
	}
}

/* ---- volumes ---- */

void oracle_crash(struct sim *s, const char *when)
{
	truth_check_durable(s, when);
	truth_check_marks(s, 0, s->volume, when);
}

bool oracle_nothing_marked(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		const bool *marked = vmeta_out_of_sync(&s->node[i].meta);

		for (uint64_t k = 0; k < s->volume / BITMAP_BLOCK_SECTORS; k++)
			if (marked[k])
				return false;
	}
	return true;
}

void oracle_replicas(struct sim *s, const char *when)
{
	for (uint64_t k = 0; k < s->volume && !s->failed; k++)
		if (memcmp(s->node[0].disk.cached + k * SECTOR_SIZE, s->node[1].disk.cached + k * SECTOR_SIZE,
			   SECTOR_SIZE))
			sim_violate(s, ORACLE_REPLICAS,
				    "%s: sector %lu holds write %ld on node 0, %ld on node 1", when, k,
				    (long)truth_identify(s, s->node[0].disk.cached + k * SECTOR_SIZE, k),
				    (long)truth_identify(s, s->node[1].disk.cached + k * SECTOR_SIZE, k));
}

/* ---- from time to time ---- */

static uint64_t oldest(const struct node *n)
{
	uint64_t at = n->sim->now;

	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (n->guest.op[i].consumed && n->guest.op[i].at < at)
			at = n->guest.op[i].at;
	return n->sim->now - at;
}

void oracle_words(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		struct node *n = &s->node[i];
		uint64_t age = n->up ? oldest(n) : 0, bound;

		if (!n->up)
			continue;
		replicate_status(n->core, &n->status, sim_ms(s));
		bound = (n->status.connection == CONNECTION_CONNECTED ? 60 : 4) * SIM_SECOND; /* a disk may be slow, too */
		if (age > bound && sim_ms(s) - n->status.connection_since_ms > bound / SIM_MS && s->now - n->spoken > bound && !n->status.frozen[0] && !n->status.disk_error &&
		    n->status.disk_ms < 1000 && n->status.metadata_ms < 1000) /* at the disk: then owner.c says so */
			sim_violate(s, ORACLE_LIVENESS,
				    "node %d: a guest request waits for %lu ms and status does not say why",
				    i, age / SIM_MS);
		if (age && (n->status.oldest_ms > age / SIM_MS + 2 || n->status.oldest_ms + 2 < age / SIM_MS))
			sim_violate(
				s, ORACLE_CONTRACT,
				"node %d: status says that the oldest request waits for %lu ms; it is %lu", i,
				n->status.oldest_ms, age / SIM_MS);
	}
}

/* Nothing is cut, slow or failing; nor is a write of the metadata under way that began when it was. */
static bool all_well(const struct node *n)
{
	const struct node *peer = node_peer(n);

	return !n->meta.step && !peer->meta.step && vnet_whole(n->sim) && !n->sim->plan.slow && n->up &&
	       peer->up && !n->stopping && !peer->stopping && n->status.connection == CONNECTION_CONNECTED &&
	       peer->status.connection == CONNECTION_CONNECTED && !n->status.suspended &&
	       vdisk_sound(&n->disk) && vdisk_sound(&peer->disk) && !n->sim->history.forgot &&
	       !n->status.disk_error && !peer->status.disk_error && /* of the metadata, too */
	       (n->status.disk == DISK_UP_TO_DATE || n->status.peer_disk == DISK_UP_TO_DATE);
}

/* Ought its requests to be executed now? A guest that was handed over waits while its copy is there. */
static bool wants_service(const struct node *n)
{
	const struct guest *g = &n->guest, *other = &node_peer(n)->guest;

	if (g->life != LIFE_RUNNING || n->status.attachment == ATTACHMENT_STALE)
		return false;
	if (g->attach == ATTACH_ACTIVATING)
		return other->attach != ATTACH_ORPHAN;
	if (g->attach != ATTACH_ACTIVE || g->ring.prod == g->ring.cons)
		return false;
	return n->status.attachment == ATTACHMENT_ACTIVE || other->attach == ATTACH_NONE;
}

static void check_served(struct node *n)
{
	struct guest *g = &n->guest;

	g->idle_checks = wants_service(n) && all_well(n) && !replicate_ready(n->core) ? g->idle_checks + 1
										      : 0;
	if (g->idle_checks > 3)
		sim_violate(n->sim, ORACLE_LIVENESS,
			    "node %d: its guest is not served although nothing is wrong: %s, %s", n->index,
			    attachment_state_name(n->status.attachment), n->status.frozen);
}

/* A guest runs, and its requests wait: status says why. */
static void check_words(struct node *n)
{
	const struct guest *g = &n->guest;
	bool waits = g->ring.attached && g->ring.prod != g->ring.cons;
	uint64_t age = waits ? n->sim->now - g->op[g->ring.slot[g->ring.cons % SIM_GUEST_SLOTS]].put : 0;

	if (n->up && !n->stopping && g->attach == ATTACH_ACTIVE && g->life == LIFE_RUNNING &&
	    age > 10 * SIM_SECOND && n->sim->now - n->spoken > SIM_SECOND && !n->status.frozen[0] && !n->status.disk_error &&
	    !replicate_ready(n->core) && !n->status.metadata_ms)
		sim_violate(
			n->sim, ORACLE_LIVENESS,
			"node %d: a request waits in the ring for %lu ms and status does not say why (%s)",
			n->index, age / SIM_MS, attachment_state_name(n->status.attachment));
}

/* P1: a lost partner costs the guest a bounded time, if this node has good data and certainly the token. */
static void check_alone(struct node *n)
{
	struct guest *g = &n->guest;
	const struct superblock *sb = &n->meta.durable;
	bool could = n->up && !n->stopping && g->attach == ATTACH_ACTIVE && n->status.attachment == ATTACHMENT_ACTIVE &&
		     n->status.connection == CONNECTION_DISCONNECTED && sb->token == TOKEN_HELD && n->confirmed == sb->epoch &&
		     truth_newest(n) && !node_diskless(n) && !sb->reservation && !n->status.suspended && !n->sim->plan.slow &&
		     !n->sim->net.up && !n->status.disk_error &&
		     (n->cfg.fencing != FENCING_RESOURCE_AND_STONITH || n->status.fence == FENCE_DONE);

	if (!could || !n->lone_since)
		n->lone_since = could ? n->sim->now : 0;
	else if (n->sim->now - n->lone_since > 4 * SIM_SECOND && oldest(n) > 4 * SIM_SECOND)
		sim_violate(n->sim, ORACLE_LIVENESS, "node %d could serve its guest without the partner, and does not: %s", n->index,
			    n->status.frozen);
}

/* With fencing, a partner that is lost is fenced, and where that fails status says what to do. */
static void check_asked(struct node *n)
{
	const struct superblock *sb = &n->meta.durable;
	struct sim *s = n->sim;
	bool wants = n->up && !n->stopping && n->cfg.fencing != FENCING_DONT_CARE && n->status.attachment == ATTACHMENT_ACTIVE &&
		     n->status.connection == CONNECTION_DISCONNECTED && sb->token == TOKEN_HELD && n->confirmed == sb->epoch && good(n) &&
		     !sb->reservation && !n->meta.step && !s->net.up && n->status.fence != FENCE_DONE;
	bool freezes = wants && n->cfg.fencing == FENCING_RESOURCE_AND_STONITH && !n->status.suspended && !n->status.disk_error;

	if (!wants || !n->unasked_since)
		n->unasked_since = wants ? s->now : 0;
	else if (n->status.fence == FENCE_NOT_YET && s->now - n->unasked_since > 4 * SIM_SECOND && sim_ms(s) - n->parted_ms > 4000)
		sim_violate(s, ORACLE_LIVENESS, "node %d's partner is lost, and nobody fences it", n->index);
	else if (freezes && s->now - n->unasked_since > SIM_SECOND && !strstr(n->status.frozen, "backend-ctl resume-io") &&
		 !strstr(n->status.frozen, "disk-timeout"))
		sim_violate(s, ORACLE_LIVENESS, "node %d's guest waits for the partner's fencing, and status does not say so: '%s'", n->index,
			    n->status.frozen);
}

/* D18: a guest whose data are out of reach does not wait where it is to hear of it. */
static void check_errors(struct node *n)
{
	struct sim *s = n->sim;
	bool due = s->plan.io_error[n->index] && n->up && !n->stopping && n->guest.attach == ATTACH_ACTIVE && !good(n) &&
		   n->status.attachment == ATTACHMENT_ACTIVE && n->status.connection == CONNECTION_DISCONNECTED && !s->net.up &&
		   n->meta.durable.token == TOKEN_HELD && !n->meta.step && !s->plan.slow && !n->disk.inflight &&
		   sim_ms(s) > n->parted_ms + 4000 && sim_ms(s) > n->found_ms + 1000;

	if (due && oldest(n) > 4 * SIM_SECOND)
		sim_violate(s, ORACLE_LIVENESS, "node %d: the guest's data are out of reach, and it waits, though io-error is configured: %s",
			    n->index, n->status.frozen);
}

/* The two say that nothing differs. */
static bool alike(const struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		const struct node *n = &s->node[i];

		if (!n->up || n->status.connection != CONNECTION_CONNECTED || n->status.sync != SYNC_STATE_OFF ||
		    n->status.disk != DISK_UP_TO_DATE || n->status.peer_disk != DISK_UP_TO_DATE || n->guest.inflight ||
		    n->disk.inflight)
			return false;
	}
	return true;
}

void oracle_monitor(struct sim *s)
{
	oracle_words(s);
	for (int i = 0; i < SIM_NODES; i++) {
		check_served(&s->node[i]);
		check_words(&s->node[i]);
		check_alone(&s->node[i]);
		check_asked(&s->node[i]);
		check_errors(&s->node[i]);
	}
	cost_clean(s, 0, s->volume);
	if (!s->plan.cache)
		oracle_crash(s, "now");
	if (alike(s) && !s->plan.cache && vnet_whole(s))
		oracle_replicas(s, "nothing in flight, and nothing is said to differ");
}
