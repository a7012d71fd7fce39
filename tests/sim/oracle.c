/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oracle.c: what must hold, checked from outside the core.
 *
 * Every sector that a guest writes holds the write's number, the sector and a check over the rest, so that a
 * sector on a disk says which write it is from.  Writes are numbered in the order in which the guest
 * submitted them.  request.h promises that a request waits for the older ones that it overlaps; so on each
 * disk the numbers at a sector only grow, and "at least as new as" is a comparison.  A write belongs to the
 * epoch in which it was consumed; none reaches a disk when a later epoch has begun.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define WORDS (SECTOR_SIZE / 8)

static const char *const names[] = {
#define X(id, name, what) [ORACLE_##id] = name,
	ORACLES(X)
#undef X
};

const char *oracle_name(enum oracle o)
{
	return names[o];
}

/* ---- the bytes ---- */

static uint64_t word(uint64_t write, uint64_t sector, unsigned int i)
{
	uint64_t x = write * 0x9e3779b97f4a7c15ull ^ sector * 0xc2b2ae3d27d4eb4full ^ i;

	return (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
}

void oracle_fill(uint8_t *data, uint64_t write, uint64_t sector, uint32_t sectors)
{
	for (uint32_t k = 0; k < sectors; k++) {
		uint64_t w[WORDS] = { write, sector + k };

		for (unsigned int i = 2; i < WORDS; i++)
			w[i] = word(write, sector + k, i);
		memcpy(data + (size_t)k * SECTOR_SIZE, w, SECTOR_SIZE);
	}
}

/* The number of the write that `data` is from, or UINT64_MAX: bytes that no guest has written there. */
static uint64_t identify(const struct sim *s, const uint8_t *data, uint64_t sector)
{
	uint64_t w[WORDS];

	memcpy(w, data, SECTOR_SIZE);
	if (w[1] != sector || w[0] > s->history.writes)
		return UINT64_MAX;
	for (unsigned int i = 2; i < WORDS; i++)
		if (w[i] != word(w[0], sector, i))
			return UINT64_MAX;
	if (w[0]) {
		const struct written *h = &s->history.write[w[0]];

		if (sector < h->sector || sector >= h->sector + h->sectors)
			return UINT64_MAX;
	}
	return w[0];
}

uint64_t oracle_write(struct sim *s, uint64_t sector, uint32_t sectors)
{
	struct history *h = &s->history;

	if (h->writes + 1 >= h->room) {
		h->room = h->room ? h->room * 2 : 1024;
		h->write = realloc(h->write, h->room * sizeof(*h->write));
		if (!h->write)
			abort();
	}
	h->write[++h->writes] = (struct written){ .sector = sector, .sectors = sectors };
	return h->writes;
}

/* ---- one writer ---- */

static void check_right(struct node *n)
{
	const struct superblock *sb = &n->meta.durable;
	const struct node *peer = node_peer(n);
	struct sim *s = n->sim;
	struct history *h = &s->history;

	if (!(sb->flags & SB_IN_USE))
		sim_violate(s, ORACLE_UNCLEAN,
			    "node %d executes guest requests but its superblock does not say so", n->index);
	if (sb->token != TOKEN_HELD || sb->base != sb->epoch)
		sim_violate(s, ORACLE_WRITER,
			    "node %d executes guest requests with token %s, epoch %lu, base %lu", n->index,
			    token_name(sb->token), sb->epoch, sb->base);
	if (sb->epoch < h->epoch || (sb->epoch == h->epoch && h->epoch_node != n->index && h->epoch))
		sim_violate(s, ORACLE_WRITER, "node %d executes in epoch %lu, node %d did in epoch %lu",
			    n->index, sb->epoch, h->epoch_node, h->epoch);
	if (peer->guest.inflight || (peer->up && replicate_ready(peer->core)))
		sim_violate(s, ORACLE_WRITER,
			    "node %d executes guest requests while its partner does, or may (%u in flight)",
			    n->index, peer->guest.inflight);
	if (h->primary_died)
		sim_violate(s, ORACLE_UNCLEAN, "node %d executes guest requests although a Primary has died",
			    n->index);
	h->epoch = sb->epoch;
	h->epoch_node = n->index;
}

void oracle_superblocks(struct sim *s)
{
	const struct superblock *a = &s->node[0].meta.durable, *b = &s->node[1].meta.durable;

	if (!s->node[0].meta.node || !s->node[1].meta.node)
		return;
	if (a->token == TOKEN_HELD && b->token == TOKEN_HELD)
		sim_violate(s, ORACLE_WRITER, "both superblocks hold the token (epochs %lu and %lu)",
			    a->epoch, b->epoch);
	if (a->token == TOKEN_NONE && b->token == TOKEN_NONE && !((a->flags | b->flags) & SB_JUST_CREATED))
		sim_violate(s, ORACLE_WRITER,
			    "the token is lost: neither superblock holds or gives it (epochs %lu and %lu)",
			    a->epoch, b->epoch);
}

void oracle_state(struct node *n)
{
	const struct node *peer = node_peer(n);
	struct sim *s = n->sim;

	if (n->guest.stalled && replicate_ready(n->core))
		sim_violate(s, ORACLE_LIVENESS,
			    "node %d is ready again, but nobody was told to look at the ring", n->index);
	if (n->status.attachment == ATTACHMENT_ACTIVE && peer->up &&
	    peer->status.attachment == ATTACHMENT_ACTIVE)
		sim_violate(s, ORACLE_WRITER, "both nodes are Primary");
	if (n->status.connection == CONNECTION_REFUSED && !s->history.primary_died)
		sim_violate(s, ORACLE_UNCLEAN, "node %d refuses its partner although no Primary has died: %s",
			    n->index, n->status.why);
	if (n->status.connection == CONNECTION_REFUSED && !n->status.why[0])
		sim_violate(s, ORACLE_LIVENESS, "node %d refuses its partner without a word", n->index);
	if (n->status.superblock.flags & SB_UNCLEAN && !s->history.primary_died)
		sim_violate(s, ORACLE_UNCLEAN, "node %d is unclean although no Primary has died", n->index);
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
	if (named(to) == ATTACHMENT_STALE && !lineage_overtaken(n))
		sim_violate(
			s, ORACLE_LIVENESS,
			"node %d: its copy of the guest is taken for overtaken, but nothing has overtaken it",
			n->index);
	if (named(from) != ATTACHMENT_HANDED_OVER || named(to) != ATTACHMENT_ACTIVE)
		return;
	s->totals->back++;
	if (!lineage_current(s, g->branch))
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
	if (!rc && n->guest.image.vm && peer->guest.attach != ATTACH_NONE && peer->guest.vm != n->guest.vm)
		sim_violate(s, ORACLE_WRITER, "node %d: a guest may arrive that is not the partner's",
			    n->index);
	if (!rc && n->guest.witnessed)
		sim_violate(s, ORACLE_WRITER, "node %d: a claim was granted while the partner had a guest",
			    n->index);
	if (!rc && s->history.primary_died)
		sim_violate(s, ORACLE_UNCLEAN, "node %d: a claim was granted although a Primary has died",
			    n->index);
	if (rc && n->guest.witnessed && !strstr(why, peer->guest.who))
		sim_violate(s, ORACLE_LIVENESS, "node %d: a refusal does not name who has the disk (%s): %s",
			    n->index, peer->guest.who, why);
}

/* ---- requests ---- */

/* A read waits for the older writes that it overlaps (request.h): it may return nothing older than those,
 * nor than what was seen. */
static void read_floor(const struct node *n, struct guest_op *op)
{
	memcpy(op->floor, n->sim->history.seen + op->sector, op->req.sectors * sizeof(*op->floor));
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++) {
		const struct guest_op *w = &n->guest.op[i];

		if (!w->consumed || !w->write)
			continue;
		for (uint64_t k = w->sector; k < w->sector + w->req.sectors; k++)
			if (k >= op->sector && k - op->sector < op->req.sectors &&
			    op->floor[k - op->sector] < w->write)
				op->floor[k - op->sector] = w->write;
	}
}

void oracle_submitted(struct node *n, struct guest_op *op)
{
	struct history *h = &n->sim->history;

	check_right(n);
	lineage_execute(n, op->branch);
	if (op->write)
		h->write[op->write].epoch = h->epoch;
	if (op->req.op == REQUEST_READ)
		read_floor(n, op);
	else if (op->req.op == REQUEST_FLUSH || op->req.preflush)
		memcpy(op->snapshot, h->floor, sizeof(op->snapshot));
}

static uint64_t on_disk(const struct node *n, uint64_t sector)
{
	return identify(n->sim, n->disk.durable + sector * SECTOR_SIZE, sector);
}

static void check_flushed(struct node *n, const struct guest_op *op)
{
	struct sim *s = n->sim;

	for (int i = 0; i < SIM_NODES; i++) {
		const struct node *at = &s->node[i];

		if (at->disk.flush_started < op->at)
			sim_violate(
				s, ORACLE_FLUSH,
				"a flush of %lu us was answered, but node %d's disk has not flushed since",
				op->at, i);
		for (uint64_t k = 0; k < s->volume && s->plan.cache && !s->failed; k++)
			if (on_disk(at, k) < op->snapshot[k])
				sim_violate(s, ORACLE_FLUSH,
					    "a flush was answered, but on node %d sector %lu holds write "
					    "%lu, not %lu",
					    i, k, on_disk(at, k), op->snapshot[k]);
	}
	for (uint64_t k = 0; k < s->volume; k++)
		if (s->history.flushed[k] < op->snapshot[k])
			s->history.flushed[k] = op->snapshot[k];
}

static void check_written(struct node *n, const struct guest_op *op)
{
	struct sim *s = n->sim;
	struct history *h = &s->history;

	h->write[op->write].acknowledged = true;
	if (node_peer(n)->meta.durable.base < h->epoch)
		sim_violate(s, ORACLE_WRITER,
			    "a write of epoch %lu is acknowledged, but the partner's superblock knows only "
			    "epoch %lu",
			    h->epoch, node_peer(n)->meta.durable.base);
	for (uint64_t k = op->sector; k < op->sector + op->req.sectors; k++) {
		if (h->floor[k] < op->write)
			h->floor[k] = op->write;
		if (h->seen[k] < op->write)
			h->seen[k] = op->write;
		for (int i = 0; i < SIM_NODES && !s->plan.cache; i++)
			if (on_disk(&s->node[i], k) < op->write || on_disk(&s->node[i], k) == UINT64_MAX)
				sim_violate(s, ORACLE_DURABLE,
					    "write %lu (sectors %lu+%u) of node %d is acknowledged but not "
					    "durable on node %d",
					    op->write, op->sector, op->req.sectors, n->index, i);
	}
}

static void check_read(struct node *n, const struct guest_op *op)
{
	struct sim *s = n->sim;
	struct history *h = &s->history;

	for (uint32_t i = 0; i < op->req.sectors; i++) {
		uint64_t sector = op->sector + i;
		uint64_t id = identify(s, op->data + (size_t)i * SECTOR_SIZE, sector);

		if (id == UINT64_MAX)
			sim_violate(s, ORACLE_READ,
				    "node %d: a read of sector %lu returned bytes that nobody wrote there",
				    n->index, sector);
		else if (id < op->floor[i])
			sim_violate(s, ORACLE_READ,
				    "node %d: a read of sector %lu returned write %lu, older than %lu",
				    n->index, sector, id, op->floor[i]);
		else if (h->seen[sector] < id)
			h->seen[sector] = id;
	}
}

void oracle_completed(struct node *n, struct guest_op *op, int rc)
{
	if (rc == -ECANCELED && n->guest.attach == ATTACH_RELEASING)
		return; /* the guest is gone; what had not begun never will */
	if (rc) {
		sim_violate(n->sim, ORACLE_GUEST_ERROR, "node %d: the guest got error %d for sector %lu",
			    n->index, rc, op->sector);
		return;
	}
	if (op->req.op == REQUEST_READ)
		check_read(n, op);
	if (op->req.op == REQUEST_FLUSH || op->req.preflush)
		check_flushed(n, op);
	if (op->req.op == REQUEST_WRITE && op->write)
		check_written(n, op);
}

/* A write takes effect on a volume. */
void oracle_at_disk(struct vdisk *d, uint64_t sector, const uint8_t *data, uint32_t sectors)
{
	struct sim *s = d->node->sim;

	for (uint32_t i = 0; i < sectors; i++) {
		uint64_t id = identify(s, data + (size_t)i * SECTOR_SIZE, sector + i);
		uint64_t old = identify(s, d->cached + (sector + i) * SECTOR_SIZE, sector + i);

		if (id == UINT64_MAX)
			sim_violate(
				s, ORACLE_ORDER,
				"node %d: sector %lu is being written with bytes that no guest wrote there",
				d->node->index, sector + i);
		else if (id < old)
			sim_violate(s, ORACLE_ORDER,
				    "node %d: sector %lu: write %lu reaches the disk after write %lu",
				    d->node->index, sector + i, id, old);
		else if (id && s->history.write[id].epoch < s->history.epoch)
			sim_violate(s, ORACLE_ORDER,
				    "node %d: sector %lu: write %lu of epoch %lu reaches the disk after "
				    "epoch %lu has begun",
				    d->node->index, sector + i, id, s->history.write[id].epoch,
				    s->history.epoch);
	}
}

/* ---- volumes ---- */

void oracle_volumes(struct sim *s, const char *when)
{
	const uint64_t *floor = s->plan.cache ? s->history.flushed : s->history.floor;

	for (int i = 0; i < SIM_NODES; i++)
		for (uint64_t k = 0; k < s->volume && !s->failed; k++) {
			uint64_t id = on_disk(&s->node[i], k);

			if (id == UINT64_MAX || id < floor[k])
				sim_violate(s, ORACLE_DURABLE,
					    "%s: node %d: sector %lu holds write %ld, not %lu or newer", when,
					    i, k, (long)id, floor[k]);
		}
}

void oracle_replicas(struct sim *s, const char *when)
{
	for (uint64_t k = 0; k < s->volume && !s->failed; k++)
		if (memcmp(s->node[0].disk.cached + k * SECTOR_SIZE, s->node[1].disk.cached + k * SECTOR_SIZE,
			   SECTOR_SIZE))
			sim_violate(s, ORACLE_REPLICAS,
				    "%s: sector %lu holds write %ld on node 0, %ld on node 1", when, k,
				    (long)identify(s, s->node[0].disk.cached + k * SECTOR_SIZE, k),
				    (long)identify(s, s->node[1].disk.cached + k * SECTOR_SIZE, k));
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
		uint64_t age = n->up ? oldest(n) : 0;
		bool cut = n->up && n->status.connection != CONNECTION_CONNECTED;

		if (!n->up)
			continue;
		replicate_status(n->core, &n->status, sim_ms(s));
		if (age > (cut ? 2 : 60) * SIM_SECOND && !n->status.frozen[0] && !n->status.disk_error)
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
	       peer->status.connection == CONNECTION_CONNECTED;
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
	    age > 10 * SIM_SECOND && !n->status.frozen[0] && !n->status.disk_error &&
	    !replicate_ready(n->core) && !n->status.metadata_ms)
		sim_violate(
			n->sim, ORACLE_LIVENESS,
			"node %d: a request waits in the ring for %lu ms and status does not say why (%s)",
			n->index, age / SIM_MS, attachment_state_name(n->status.attachment));
}

void oracle_monitor(struct sim *s)
{
	bool idle = !s->node[0].guest.inflight && !s->node[1].guest.inflight && !s->node[0].disk.inflight &&
		    !s->node[1].disk.inflight;

	oracle_words(s);
	for (int i = 0; i < SIM_NODES; i++) {
		check_served(&s->node[i]);
		check_words(&s->node[i]);
	}
	if (idle && !s->history.primary_died && !s->plan.cache)
		oracle_replicas(s, "nothing in flight");
}
