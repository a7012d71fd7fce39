/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node.c: one host: the actions that its core asks for, its death and its next start from what was durable.
 *
 * It stands where resource.c and transport.c stand in the daemon: it owns the tables of requests, and nothing
 * calls the core before the action that it asked for has returned (every answer is an event of its own).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

struct node *node_peer(const struct node *n)
{
	return &n->sim->node[!n->index];
}

/* ---- struct replicate_ops ---- */

static void op_disk(void *ctx, struct request *req)
{
	struct node *n = ctx;

	vdisk_submit(&n->disk, req);
	plan_point(n, POINT_DISK, req->op);
}

static bool op_abandon(void *ctx, struct request *req)
{
	struct node *n = ctx;

	return vdisk_abandon(&n->disk, req);
}

/* From now on the partner may count as met. */
static void ready(struct node *n)
{
	n->ready_sent = true;
	n->told = n->overruled = false;
}

static void op_send(void *ctx, const struct packet *p, struct request *req)
{
	if (p->type == PACKET_READY)
		ready(ctx);
	vnet_send(ctx, p, req);
}

static void op_write_superblock(void *ctx, const struct superblock *sb)
{
	struct node *n = ctx;

	vmeta_write(&n->meta, sb);
}

static void op_metadata(void *ctx, struct metadata_op *op)
{
	struct node *n = ctx;

	vmeta_submit(&n->meta, op);
}

static void peer_completed(struct node *n, struct peer_op *op)
{
	if (!op->used)
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: a peer's request was completed twice",
			    n->index);
	op->used = false;
	memset(op->data, 0xdb, op->req.sectors * SECTOR_SIZE);
}

static void op_complete(void *ctx, struct request *req, int rc)
{
	struct node *n = ctx;
	struct guest_op *g = (struct guest_op *)(void *)req;
	struct peer_op *p = (struct peer_op *)(void *)req;

	if (p >= n->peer && p <= n->peer + SIM_PEER_SLOTS)
		peer_completed(n, p);
	else if (g >= n->guest.op && g < n->guest.op + SIM_GUEST_SLOTS)
		vguest_completed(n, g, rc);
	else
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: a request of nobody was completed", n->index);
}

static void op_disconnect(void *ctx, const char *why)
{
	vnet_close(ctx, why);
}

static void op_claimed(void *ctx, int rc, const char *why)
{
	vdevice_claimed(ctx, rc, why);
}

static void op_activated(void *ctx, int rc, const char *why)
{
	vdevice_activated(ctx, rc, why);
}

static void op_released(void *ctx)
{
	vdevice_released(ctx);
}

static void op_record(void *ctx, const struct attachment *a)
{
	struct node *n = ctx;

	n->confirmed = a->confirmed;
	n->known = a->known;
	vdevice_record(n, a);
}

/* Of the others the exit status of none counts that is configured here. */
static void op_handler(void *ctx, enum handler handler)
{
	struct node *n = ctx;

	sim_say(n->sim, n, "handler", handler_name(handler));
	oracle_handler(n, handler);
	if (handler == HANDLER_FENCE_PEER)
		fencer_run(n);
}

static void op_commanded(void *ctx, int rc, const char *why)
{
	struct node *n = ctx;

	n->commanding = false;
	admin_answered(n, rc, why);
	if (n->asked_by)
		fencer_outdated(n, rc);
}

static void op_hold(void *ctx)
{
	vdevice_hold(ctx);
}

static void op_unhold(void *ctx)
{
	vdevice_unhold(ctx);
}

static bool op_quiet(void *ctx)
{
	return vguest_quiet(ctx);
}

static void op_look_suspended(void *ctx, uint64_t query, const uint8_t *uuid)
{
	vdevice_look_suspended(ctx, query, uuid);
}

static void guest_ready_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;

	replicate_guest_ready(n->core, sim_ms(s));
	node_settle(n);
}

/* The guest's other disks are ready, after a while: there are none, migration.c speaks for them. */
static void op_used(void *ctx)
{
	struct node *n = ctx;

	sim_note(n->sim, n, "used", n->guest.branch, 0, 0);
	sim_mortal(sim_in(n->sim, sim_random(n->sim, 3 * SIM_MS), guest_ready_event, n));
}

static void op_sibling_ready(void *ctx, int rc)
{
	struct node *n = ctx;

	sim_note(n->sim, n, "sibling-ready", (uint64_t)-rc, 0, 0);
	if (!rc)
		migration_sibling_ready(n);
}

static void op_outdated(void *ctx, const char *why)
{
	struct node *n = ctx;

	sim_say(n->sim, n, "outdated", why);
}

static void op_resume(void *ctx)
{
	struct node *n = ctx;

	if (!(sim_is(n->sim, MUTANT_DROPPED_RESUME) && sim_chance(n->sim, 300)))
		vguest_look(n);
}

static void op_changed(void *ctx, const char *line)
{
	struct node *n = ctx;

	char from[32], to[32];

	sim_say(n->sim, n, "changed", line);
	if (strstr(line, "the bitmap on disk is damaged")) {
		n->meta.flipped = -1;
		cost_dirty_all(n->sim);
	}
	if (sscanf(line, "attachment %31s -> %31s", from, to) == 2)
		oracle_attachment(n, from, to);
}

static uint64_t op_random(void *ctx)
{
	struct node *n = ctx;

	return random_next(&n->sim->core_random);
}

/* Disks keep their size here. */
static int op_measure(void *ctx, uint64_t *sectors, char *why, size_t why_size)
{
	(void)ctx, (void)sectors;
	snprintf(why, why_size, "the simulator's disks keep their size");
	return -ENOTSUP;
}

static const struct replicate_ops ops = {
	.disk = op_disk,
	.abandon = op_abandon,
	.send = op_send,
	.write_superblock = op_write_superblock,
	.metadata = op_metadata,
	.complete = op_complete,
	.commanded = op_commanded,
	.handler = op_handler,
	.disconnect = op_disconnect,
	.claimed = op_claimed,
	.activated = op_activated,
	.released = op_released,
	.record = op_record,
	.hold = op_hold,
	.unhold = op_unhold,
	.quiet = op_quiet,
	.look_suspended = op_look_suspended,
	.used = op_used,
	.sibling_ready = op_sibling_ready,
	.outdated = op_outdated,
	.resume = op_resume,
	.changed = op_changed,
	.random = op_random,
	.measure = op_measure,
};

/* ---- timer ---- */

static void tick_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;

	if (!n->up || n->armed != e->a)
		return;
	n->armed = UINT64_MAX;
	n->ticks = sim_ms(s) == n->ticked ? n->ticks + 1 : 0;
	n->ticked = sim_ms(s);
	if (n->ticks > 20) {
		sim_violate(s, ORACLE_LIVENESS, "node %d: its timer spins", n->index);
		return;
	}
	replicate_tick(n->core, sim_ms(s));
	node_settle(n);
}

static void rearm(struct node *n)
{
	uint64_t deadline = replicate_deadline(n->core), at;
	struct event *e;

	if (deadline == n->armed)
		return;
	n->armed = deadline;
	if (deadline == UINT64_MAX)
		return;
	at = deadline * SIM_MS;
	e = sim_at(n->sim, at > n->sim->now ? at : n->sim->now, tick_event, n);
	e->a = deadline;
	sim_mortal(e);
}

static void cover(struct node *n, const struct replicate_status *was)
{
	const struct replicate_status *is = &n->status;
	struct totals *t = n->sim->totals;

	if (is->connection != was->connection)
		t->states[is->connection]++;
	if (is->connection == CONNECTION_CONNECTED && was->connection != CONNECTION_CONNECTED)
		cost_met(n);
	if (is->connection == CONNECTION_CONNECTED)
		n->found_ms = 0;
	if (is->sync != was->sync)
		t->syncs[is->sync]++;
	coverage_state(t, is);
	if (is->alone && !was->alone)
		vguest_parted(n);
	if (is->fence != was->fence)
		t->fence[n->cfg.fencing][is->fence]++;
	t->left_in_order += is->fence == FENCE_DONE && was->fence != FENCE_DONE && is->connection == CONNECTION_CONNECTED;
	n->told |= (is->superblock.flags & SB_PEER_OUTDATED) != 0; /* before this daemon, perhaps */
	n->lone &= is->connection != CONNECTION_CONNECTED;
	n->given_up &= is->connection != CONNECTION_CONNECTED;
	n->forgot &= is->connection != CONNECTION_CONNECTED;
	n->proved |= is->connection == CONNECTION_CONNECTED || is->superblock.flags & SB_FORCED ||
		     (is->superblock.flags & SB_PEER_OUTDATED && is->superblock.token == TOKEN_HELD); /* that it is so: check_outdated() */
	t->alone += is->alone && !was->alone;
	t->metadata_hung += is->metadata_hung && !was->metadata_hung;
	t->resyncs += is->sync != was->sync && (is->sync == SYNC_STATE_SOURCE || is->sync == SYNC_STATE_TARGET);
	t->copied += is->copied_sectors > was->copied_sectors ? is->copied_sectors - was->copied_sectors : 0;
}

void node_settle(struct node *n)
{
	struct sim *s = n->sim;
	struct replicate_status was = n->status;

	if (!n->up || s->failed)
		return;
	rearm(n);
	replicate_status(n->core, &n->status, sim_ms(s));
	n->unwritten |= n->status.metadata_hung && node_diskless(n);
	cover(n, &was);
	if (n->status.frozen[0])
		n->spoken = s->now;
	if (n->status.connection != CONNECTION_CONNECTED)
		vdevice_disturbed(s);
	oracle_state(n);
}

void node_at_rest(struct node *n)
{
	struct sim *s = n->sim;
	uint64_t order = s->order, hash = s->hash;

	if (!n->up || s->failed || !replicate_at_rest(n->core) || replicate_deadline(n->core) <= sim_ms(s))
		return;
	replicate_tick(n->core, sim_ms(s));
	if (s->order != order || s->hash != hash || !replicate_at_rest(n->core))
		sim_violate(s, ORACLE_CONTRACT, "node %d: it is not at rest, as it says", n->index);
}

/* ---- what happens to the core ---- */

void node_connected(struct node *n, uint64_t connection)
{
	n->connection = connection;
	n->back_within_ms = 0;
	n->promised_until = 0;
	sim_note(n->sim, n, "connected", connection, 0, 0);
	replicate_connected(n->core, sim_ms(n->sim));
	node_settle(n);
}

/* A planted bug: where our disk does not do, the guest hears of errors in the moment in which the connection is lost. */
static void fail_early(struct node *n)
{
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (n->guest.op[i].consumed && !(n->meta.durable.flags & SB_CONSISTENT) && n->cfg.io_error)
			oracle_completed(n, &n->guest.op[i], -EIO);
}

/* The connection has ended on which it was said (transport.c). */
static void partner_restarts(struct node *n)
{
	if (!n->back_within_ms || n->status.connection != CONNECTION_CONNECTED)
		return;
	n->promised_until = n->sim->now + n->back_within_ms * SIM_MS;
	n->promised_gen = n->meta.durable.gen.current;
	if (!sim_is(n->sim, MUTANT_RESTART_UNHEARD))
		replicate_partner_restarts(n->core, n->back_within_ms, sim_ms(n->sim));
}

void node_disconnected(struct node *n, const char *why)
{
	sim_say(n->sim, n, "disconnected", why);
	n->connection = 0;
	n->parted_ms = n->ready_sent ? sim_ms(n->sim) : n->parted_ms;
	n->ready_sent = false;
	vnet_try(n->sim);
	if (sim_is(n->sim, MUTANT_IO_ERROR_EARLY))
		fail_early(n);
	partner_restarts(n);
	replicate_disconnected(n->core, why, sim_ms(n->sim));
	node_settle(n);
}

void node_disk_done(struct node *n, struct request *req, int rc)
{
	struct guest_op *g = (struct guest_op *)(void *)req;

	sim_note(n->sim, n, "disk-done", req->sector, req->id, (uint64_t)-rc);
	if (sim_is(n->sim, MUTANT_EARLY_COMPLETE) && !rc && !(req->flags & (REQUEST_FROM_PEER | REQUEST_PIECE | REQUEST_COPY_OUT | REQUEST_COPY_IN)) && g->write &&
	    sim_chance(n->sim, 50)) {
		oracle_completed(n, g, 0);
		g->write = 0;
	}
	replicate_disk_done(n->core, req, rc, sim_ms(n->sim));
	node_settle(n);
}

/* ---- the transport's part ---- */

/* PROTOCOL.md, section 6: what a request of the partner takes of the window that HELLO granted. */
static bool needs_window(enum packet_type type)
{
	return type == PACKET_DATA || type == PACKET_READ || type == PACKET_FLUSH || type == PACKET_BITMAP ||
	       type == PACKET_HOT || type == PACKET_ZEROES || type == PACKET_CSUM || type == PACKET_DISCARD;
}

static uint32_t charge(const struct request *req)
{
	return req->op == REQUEST_DISCARD ? 0 : req->sectors * SECTOR_SIZE;
}

static bool window_exceeded(struct node *n, uint32_t bytes)
{
	uint32_t used = 1, used_bytes = bytes;

	for (unsigned int i = 0; i < SIM_PEER_SLOTS; i++) {
		used += n->peer[i].used && n->peer[i].charged;
		used_bytes += n->peer[i].used && n->peer[i].charged ? charge(&n->peer[i].req) : 0;
	}
	if (used <= n->cfg.window_requests && used_bytes <= n->cfg.window_bytes)
		return false;
	if (vnet_repeated(n)) {
		vnet_close(n, "the partner exceeds its window"); /* as transport.c does */
		return true;
	}
	sim_violate(n->sim, ORACLE_CONTRACT, "node %d: the partner exceeds the window: %u requests, %u bytes", n->index, used,
		    used_bytes);
	return true;
}

/* The largest request of the partner's: a piece of a discard is as large as an extent. */
static uint32_t room(const struct sim *s)
{
	return s->plan.discards && s->largest < SIM_EXTENT_SECTORS ? SIM_EXTENT_SECTORS : s->largest;
}

/* READ_DATA needs none: whoever sent READ has room for the answer. */
static struct peer_op *peer_slot(struct node *n, enum packet_type type)
{
	if (!needs_window(type))
		return &n->peer[SIM_PEER_SLOTS];
	for (unsigned int i = 0; i < SIM_PEER_SLOTS; i++)
		if (!n->peer[i].used)
			return &n->peer[i];
	if (vnet_repeated(n))
		vnet_close(n, "the partner exceeds its window");
	else
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: the partner holds more buffers than its window", n->index);
	return NULL;
}

/* The answer gives the window back; the buffer of a READ is kept until it is RECEIVED. */
void node_sent(struct node *n, enum packet_type type, struct request *req)
{
	struct peer_op *p = (struct peer_op *)(void *)req;

	if (type == PACKET_READ_DATA && p >= n->peer && p < n->peer + SIM_PEER_SLOTS)
		p->charged = false;
}

static struct peer_op *peer_request(struct node *n, const struct packet *p, const uint8_t *payload)
{
	struct peer_op *op = peer_slot(n, p->type);
	struct request req = { .op = REQUEST_READ };

	wire_describe(p, &req);
	if (!op || (needs_window(p->type) && window_exceeded(n, charge(&req))))
		return NULL;
	if (req.sectors > room(n->sim) || (p->type != PACKET_DISCARD && p->type != PACKET_DATA && req.sectors > n->sim->largest) || (p->payload && p->payload != req.sectors * SECTOR_SIZE)) {
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: %s of %u sectors with %u bytes", n->index, packet_name(p->type),
			    req.sectors, p->payload);
		return NULL;
	}
	req.tag = (uint16_t)(op - n->peer);
	req.data = op->data;
	op->req = req;
	op->used = true;
	op->charged = needs_window(p->type);
	if (p->payload || req.op == REQUEST_DISCARD) /* whose bytes travel beside it (vnet.c) */
		memcpy(op->data, payload, (size_t)req.sectors * SECTOR_SIZE);
	return op;
}

/* Planted bugs in how a packet is taken. True: not at all. */
static bool perverted(struct node *n, struct packet *p, uint8_t *payload)
{
	struct sim *s = n->sim;
	const struct guest_op *g = &n->guest.op[p->ack.id % SIM_GUEST_SLOTS];

	if (sim_is(s, MUTANT_BITMAP_IGNORED) && p->type == PACKET_BITMAP)
		memset(payload, 0, p->payload);
	if (sim_is(s, MUTANT_DISKLESS_IGNORED) && p->type == PACKET_HELLO)
		p->hello.diskless = 0;
	if (sim_is(s, MUTANT_SAME_FORGED) && p->type == PACKET_DIFFERENT)
		p->type = PACKET_SAME;
	if (sim_is(s, MUTANT_STALE_READ) && p->type == PACKET_READ_DATA && (p->ack.id & 0xffff) < SIM_GUEST_SLOTS)
		memcpy(payload, n->disk.cached + g->sector * SECTOR_SIZE, p->payload);
	if (sim_is(s, MUTANT_NOT_ERASED_IGNORED) && p->type == PACKET_NOT_ERASED)
		p->type = PACKET_ACK;
	if (sim_is(s, MUTANT_SECURE_UNSENT) && p->type == PACKET_DISCARD && sim_chance_secure(s, 300))
		p->discard.secure = 0;
	return sim_is(s, MUTANT_IN_SYNC_IGNORED) && p->type == PACKET_IN_SYNC;
}

/* A person changes what its disk is in this moment, and the partner cannot know. */
static bool changing(const struct node *n)
{
	return n->commanding && (n->command == COMMAND_PROMOTE || n->command == COMMAND_INVALIDATE);
}

void node_receive(struct node *n, struct packet *p, uint8_t *payload)
{
	struct peer_op *op = NULL;
	int rc;

	if (p->type == PACKET_RESTARTING) {
		n->back_within_ms = p->restarting.within_ms;
		return;
	}
	if (perverted(n, p, payload))
		return;
	if (wire_needs_request(p->type)) {
		op = peer_request(n, p, payload);
		if (!op)
			return;
	}
	if (p->type == PACKET_NOT_ERASED)
		vguest_not_erased(n, NULL);
	if (p->type == PACKET_READ_FAILED)
		vguest_partner_failed(n, p->ack.id);
	n->told |= p->type == PACKET_LEAVING;
	rc = replicate_packet(n->core, p, op ? &op->req : NULL, sim_ms(n->sim));
	if (rc && op)
		op->used = false;
	if (rc && !vnet_closing(n))
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d refuses %s and does not close the connection", n->index,
			    packet_name(p->type));
	n->sim->totals->refused_twice[p->type] += rc && vnet_repeated(n);
	if (rc && !changing(n) && !vnet_repeated(n) && !sim_is(n->sim, MUTANT_FORGED_GIVE) &&
	    !sim_is(n->sim, MUTANT_RAISED_GIVE)) /* that is not correct */
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: %s of a correct partner was refused: error %d",
			    n->index, packet_name(p->type), rc);
	node_settle(n);
}

/* ---- commands ---- */

void node_command(struct node *n, enum command c)
{
	if (!n->up || n->commanding || n->stopping)
		return;
	sim_note(n->sim, n, "command", c, 0, 0);
	n->sim->totals->command[c]++;
	n->commanding = true;
	n->promised_until = 0; /* a person decides */
	n->command = c;
	n->given_up |= c == COMMAND_DISCARD;
	if (c == COMMAND_INVALIDATE || c == COMMAND_PROMOTE || c == COMMAND_DISCARD)
		cost_dirty_all(n->sim);
	vdevice_disturbed(n->sim);
	replicate_command(n->core, c, sim_ms(n->sim));
	node_settle(n);
}

/* What it goes by: without a disk also what could not be written. */
const struct superblock *node_superblock(const struct node *n)
{
	return n->unwritten && node_diskless(n) ? &n->status.superblock : &n->meta.durable;
}

bool node_diskless(const struct node *n)
{
	return n->up && n->status.disk == DISK_DISKLESS;
}

/* ---- death and birth ---- */

static void configure(struct node *n)
{
	struct sim *s = n->sim;

	n->cfg = (struct replicate_config){
		.name = "disk",
		.self_host = n->index ? "beta" : "alpha",
		.peer_host = n->index ? "alpha" : "beta",
		.first = !n->index,
		.offer = { .sectors = s->volume * (sim_is(s, MUTANT_SWAPPED_OVERLAP) ? 8 : 1),
			   .block_size = s->block * SECTOR_SIZE,
			   .max_segments = 256,
			   .ring_order = 4,
			   .queues = 1,
			   .discard = s->plan.discards && !s->plan.older,
			   .discard_unit = s->plan.discards && !s->plan.older ? 12 : 0,
			   .discard_secure = s->plan.secure && s->plan.unable != n->index },
		.window_requests = (uint32_t)sim_between(s, 1, SIM_PEER_SLOTS),
		.window_bytes = REQUEST_SECTORS_MAX * SECTOR_SIZE, /* wire.c refuses less */
		.fencing = s->plan.fencing[n->index],
		.handlers = s->plan.handlers[n->index],
		.io_error = s->plan.io_error[n->index],
		/* fencing takes longer */
		.claim_timeout_ms = (uint32_t)sim_between(s, 200, 3000) * (s->plan.fenced && sim_chance_fencing(s, 600) ? 4 : 1),
		.reserve_timeout_ms = (uint32_t)sim_between(s, 200, 3000),
		.extent_sectors = SIM_EXTENT_SECTORS,
		.page_blocks = SIM_PAGE_BLOCKS,
		.copy_sectors = sim_chance(s, 500) ? BITMAP_BLOCK_SECTORS : SIM_COPY_SECTORS,
		/* most often as fast as the disks are; sometimes a rate, and room for the guest */
		.pace = { .plan_ahead_ms = PACE_NOT_GIVEN,
			  .rate = sim_chance(s, 100) ? 1000 : PACE_NOT_GIVEN,
			  .min_rate = sim_chance(s, 200) ? 1000 : 0,
			  .fill_target = PACE_NOT_GIVEN,
			  .delay_target_ms = PACE_NOT_GIVEN },
		.copies = (uint32_t)sim_between(s, 1, 4),
		.after_sb = s->plan.after_sb,
		.detach = s->plan.detach,
		.disk_timeout_ms = s->plan.hangs && sim_chance_apart(s, 800) ? (uint32_t)sim_between_apart(s, 20, 1500) : 0,
		.csums_alg = s->plan.csums || sim_chance(s, 100) ? "sha1" : NULL,
		.csums_after_crash_only = sim_chance(s, 300),
		.disk_retry_ms = (uint32_t)sim_between(s, 1, sim_chance(s, 500) ? 10 : 500),
	};
	if (!s->plan.wfc_force)
		return;
	n->cfg.wfc_force = true;
	n->cfg.wfc_ms = (uint32_t)sim_between_apart(s, 100, 3000);
	n->cfg.degr_wfc_ms = (uint32_t)sim_between_apart(s, 100, 3000);
	n->cfg.claim_longest_ms = n->cfg.claim_timeout_ms;
}

/* The daemon says that it leaves, and what it has said reaches the partner, or does not; for two seconds that is waited for (owner.c). */
static bool leaving(const struct node *n)
{
	return replicate_leaving(n->core) && n->sim->now < n->stopped_at + 2 * SIM_SECOND;
}

/* Its guest is left to the next daemon, as soon as everything is answered (owner_ring.c: owner_park_guest). */
static bool park_guest(struct node *n)
{
	if (replicate_guest_requests(n->core))
		return false;
	if (n->status.attachment != ATTACHMENT_NONE && n->status.attachment != ATTACHMENT_RELEASING)
		vdevice_park(n);
	return true;
}

/* Nothing is left but to go (owner.c: stop_settled). */
static bool stop_settled(struct node *n)
{
	return park_guest(n) && n->status.attachment == ATTACHMENT_NONE && !n->status.peer_writes && !n->meta.step && !leaving(n);
}

static void stopped_event(struct sim *s, struct event *e);

/* What was said leaves. */
static void flush(struct node *n)
{
	struct sim *s = n->sim;
	struct event *e = sim_in(s, 2 * s->net.delay + SIM_MS, stopped_event, n);

	e->a = true;
	sim_mortal(e);
}

static void stopped_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;

	if (stop_settled(n) && n->up && s->plan.fenced && !e->a && sim_chance_fencing(s, 700))
		flush(n);
	else if (stop_settled(n) && n->up)
		node_crash(n, false, sim_between(s, 20, 800) * SIM_MS * s->plan.outages);
	else
		sim_mortal(sim_in(s, sim_between(s, 1, 20) * SIM_MS, stopped_event, n));
}

static void begin_to_stop(struct node *n, const char *how)
{
	n->stopping = true;
	n->stopped_at = n->sim->now;
	vdevice_disturbed(n->sim);
	sim_note(n->sim, n, how, n->status.attachment, 0, 0);
}

/* The daemon is stopped in good order: it yields an idle token, or leaves the guest to the next daemon. */
void node_stop(struct node *n)
{
	begin_to_stop(n, "stop");
	if (n->status.attachment == ATTACHMENT_NONE)
		replicate_yield(n->core, sim_ms(n->sim));
	node_settle(n);
	sim_mortal(sim_in(n->sim, sim_random(n->sim, 100 * SIM_MS), stopped_event, n));
}

/* Another program takes the daemon's place (docs/RESTART.md, section 7), most often within the time that it has promised. The token stays
 * where it is; what the partner waits for is asked for again when the two have met. */
#define PROMISED_MS 1000u
enum upgrade_step { UPGRADE_PART, UPGRADE_CLOSE };

static void upgraded_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;
	enum upgrade_step step = (enum upgrade_step)e->a;

	if (!n->up)
		return;
	if (step == UPGRADE_CLOSE && park_guest(n) && n->status.attachment == ATTACHMENT_NONE && !n->meta.step) {
		vnet_close(n, "it is being upgraded");
		node_crash(n, false, sim_between(s, 20, sim_chance(s, 800) ? 500 : 3000) * SIM_MS);
		return;
	}
	if (step == UPGRADE_PART && park_guest(n)) {
		vnet_restarting(n, PROMISED_MS);
		step = UPGRADE_CLOSE;
	}
	e = sim_in(s, sim_between(s, 1, 20) * SIM_MS + 2 * s->net.delay, upgraded_event, n);
	e->a = step;
	sim_mortal(e);
}

void node_upgrade(struct node *n)
{
	begin_to_stop(n, "upgrade");
	n->sim->totals->upgraded++;
	sim_mortal(sim_in(n->sim, sim_random(n->sim, 100 * SIM_MS), upgraded_event, n));
}

int node_init(struct sim *s, int index, const struct superblock *sb)
{
	struct node *n = &s->node[index];

	*n = (struct node){ .sim = s, .index = index, .armed = UINT64_MAX };
	vdisk_init(&n->disk, n, s->volume, !s->plan.cache);
	vmeta_init(&n->meta, n, sb);
	for (unsigned int i = 0; i <= SIM_PEER_SLOTS; i++)
		n->peer[i].data = sim_memory(room(s), SECTOR_SIZE);
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++) {
		n->guest.op[i].data = sim_memory(s->plan.discards ? SIM_DISCARD_SECTORS : s->largest, SECTOR_SIZE);
		n->guest.op[i].snapshot = sim_memory(s->volume, sizeof(*n->guest.op[i].snapshot));
	}
	configure(n);
	return 0;
}

void node_dispose(struct node *n)
{
	if (n->core)
		replicate_free(n->core);
	n->core = NULL;
	free(n->asked_by);
	vdisk_dispose(&n->disk);
	for (unsigned int i = 0; i <= SIM_PEER_SLOTS; i++)
		free(n->peer[i].data);
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++) {
		free(n->guest.op[i].data);
		free(n->guest.op[i].snapshot);
	}
}

void node_boot(struct node *n)
{
	struct replicate_config cfg;
	struct superblock found;
	struct sim *s = n->sim;
	int rc;

	plan_booting(n);
	vmeta_booted(&n->meta);
	found = n->meta.durable;
	if (sim_is(s, MUTANT_DAMAGE_UNSEEN))
		found.flags &= ~(found.bitmap_bits ? SB_BITMAP_SUMMED : 0);

	if (sim_is(s, MUTANT_CRASH_FORGOTTEN))
		found.flags &= ~SB_IN_USE;
	if (sim_is(s, MUTANT_FULL_EVERY_START) && !(found.flags & SB_JUST_CREATED))
		found.full_from = 0;
	n->stopping = n->parked = n->off = false;
	n->up = true;
	n->found_ms = sim_ms(s) + 3000;
	n->guest.left = n->cfg.left = n->guest.filed;
	n->cfg.confirmed = n->confirmed;
	n->cfg.known = n->known;
	n->disk.broken = false; /* whoever starts a daemon has seen to it */
	n->armed = UINT64_MAX;
	n->status = (struct replicate_status){ 0 };
	sim_note(s, n, "boot", n->meta.durable.token, n->meta.durable.epoch, n->meta.durable.flags);
	cfg = n->cfg;
	if (sim_is(s, MUTANT_STONITH_IGNORED) && cfg.fencing == FENCING_RESOURCE_AND_STONITH)
		cfg.fencing = FENCING_RESOURCE_ONLY;
	cfg.io_error &= !sim_is(s, MUTANT_IO_ERROR_IGNORED);
	if (sim_is(s, MUTANT_SAME_IGNORED) && n->index && cfg.csums_alg)
		cfg.csums_alg = "md5"; /* which is never the same */
	rc = replicate_new(&cfg, &found, n->meta.log, &ops, n, sim_ms(s), &n->core);
	if (rc) {
		n->up = false;
		n->core = NULL;
		sim_violate(s, ORACLE_CONTRACT, "node %d: replicate_new: error %d", n->index, rc);
		return;
	}
	node_settle(n);
	vdevice_booted(n);
}

/* After a kill the kernel still works for the dead daemon: nobody may start before that has ended (P6). */
static void boot_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;

	if (n->up)
		return;
	if (vdisk_busy(&n->disk)) {
		sim_mortal(sim_in(s, 5 * SIM_MS, boot_event, n));
		return;
	}
	node_boot(n);
}

/* What no flush covers is lost with the power: such a schedule has no crash before its end. */
bool node_may_die(const struct node *n)
{
	return n->up && !n->sim->plan.cache;
}

void node_superblock_new(struct node *n, struct superblock *out)
{
	struct sim *s = n->sim;
	bool declared = !s->plan.virgin && !n->life;

	*out = (struct superblock){ .name = "disk",
				    .flags = SB_JUST_CREATED | (declared ? SB_CONSISTENT | SB_BITMAP_SUMMED : 0),
				    .full_from = METADATA_NO_FULL,
				    .al_extents = (uint32_t)sim_between(s, ACTLOG_EXTENTS_MIN, 16) };
	for (int k = 0; k < 16; k++)
		out->device_uuid[k] = (uint8_t)(random_next(&s->core_random) | 1);
}

void node_replace(struct node *n)
{
	struct sim *s = n->sim;
	uint64_t garbage = truth_write(s, 0, (uint32_t)s->volume);
	struct superblock sb;

	s->history.write[garbage].order = ++s->history.consumed;
	node_crash(n, false, sim_between(s, 20, 1500) * SIM_MS);
	vdisk_power_cut(&n->disk);
	vdisk_replace(&n->disk, garbage);
	node_superblock_new(n, &sb);
	vmeta_init(&n->meta, n, &sb);
	n->meta.latency = s->plan.sb_latency;
	s->plan.same = false;
	cost_dirty_all(s);
	sim_note(s, n, "replaced", garbage, 0, 0);
}

/* What is in /run is gone, also what the domains were. */
static void lose_power(struct node *n)
{
	struct sim *s = n->sim;

	n->off = true;
	n->power_cuts++;
	n->confirmed = sim_is(s, MUTANT_CONFIRMED_KEPT) ? n->confirmed : 0;
	n->known = sim_is(s, MUTANT_KNOWN_KEPT) && n->known;
	n->proved = false;
}

void node_power_off(struct node *n, uint64_t downtime)
{
	struct sim *s = n->sim;

	if (n->up) {
		node_crash(n, true, downtime);
		return;
	}
	sim_note(s, n, "power-cut", n->meta.durable.token, n->meta.durable.epoch, n->meta.durable.flags);
	n->life++;
	vdisk_power_cut(&n->disk);
	vdevice_daemon_died(n, true);
	lose_power(n);
	oracle_crash(s, "power cut");
	sim_mortal(sim_in(s, downtime, boot_event, n));
}

void node_crash(struct node *n, bool power, uint64_t downtime)
{
	struct sim *s = n->sim;
	bool primary = node_superblock(n)->flags & SB_IN_USE;

	sim_note(s, n, power ? "power-cut" : "killed", n->meta.durable.token, n->meta.durable.epoch,
		 n->meta.durable.flags);
	n->up = false;
	n->life++;
	n->forgot |= n->unwritten;
	s->history.forgot |= n->unwritten;
	n->unwritten = false;
	vnet_node_died(n);
	if (power)
		vdisk_power_cut(&n->disk);
	else
		vdisk_orphan(&n->disk);
	vmeta_crash(&n->meta, power);
	cost_died(n);
	primary |= (n->meta.durable.flags & SB_IN_USE) != 0;
	s->totals->primaries += primary;
	s->primaries += primary;
	replicate_free(n->core);
	n->core = NULL;
	n->status = (struct replicate_status){ 0 };
	for (unsigned int i = 0; i <= SIM_PEER_SLOTS; i++)
		n->peer[i].used = false;
	vdevice_daemon_died(n, power);
	n->stopping = n->parked = n->commanding = n->sync_paused = n->given_up = false;
	n->lone_since = n->unasked_since = n->promised_until = n->back_within_ms = 0;
	n->fenced = n->ready_sent = n->told = false;
	fencer_daemon_died(n);
	if (power)
		lose_power(n);
	oracle_crash(s, power ? "power cut" : "daemon killed");
	sim_mortal(sim_in(s, downtime, boot_event, n));
}
