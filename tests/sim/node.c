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

static void op_send(void *ctx, const struct packet *p, struct request *req)
{
	vnet_send(ctx, p, req);
}

static void op_write_superblock(void *ctx, const struct superblock *sb)
{
	struct node *n = ctx;

	vmeta_write(&n->meta, sb);
}

static void peer_completed(struct node *n, struct peer_op *op)
{
	if (!op->used)
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: a peer's request was completed twice",
			    n->index);
	op->used = false;
	memset(op->data, 0xdb, SIM_REQUEST_BYTES);
}

static void op_complete(void *ctx, struct request *req, int rc)
{
	struct node *n = ctx;
	struct guest_op *g = (struct guest_op *)(void *)req;
	struct peer_op *p = (struct peer_op *)(void *)req;

	if (p >= n->peer && p < n->peer + SIM_PEER_SLOTS)
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
	vdevice_record(ctx, a);
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
	if (sscanf(line, "attachment %31s -> %31s", from, to) == 2)
		oracle_attachment(n, from, to);
}

static uint64_t op_random(void *ctx)
{
	struct node *n = ctx;

	return random_next(&n->sim->core_random);
}

static const struct replicate_ops ops = {
	.disk = op_disk,
	.send = op_send,
	.write_superblock = op_write_superblock,
	.complete = op_complete,
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

void node_settle(struct node *n)
{
	struct sim *s = n->sim;
	enum connection_state was = n->status.connection;

	if (!n->up || s->failed)
		return;
	rearm(n);
	replicate_status(n->core, &n->status, sim_ms(s));
	if (n->status.connection != was)
		s->totals->states[n->status.connection]++;
	if (n->status.connection != CONNECTION_CONNECTED)
		vdevice_disturbed(s);
	oracle_state(n);
}

/* ---- what happens to the core ---- */

void node_connected(struct node *n, uint64_t connection)
{
	n->connection = connection;
	sim_note(n->sim, n, "connected", connection, 0, 0);
	replicate_connected(n->core, sim_ms(n->sim));
	node_settle(n);
}

void node_disconnected(struct node *n, const char *why)
{
	sim_say(n->sim, n, "disconnected", why);
	n->connection = 0;
	replicate_disconnected(n->core, why, sim_ms(n->sim));
	node_settle(n);
}

void node_disk_done(struct node *n, struct request *req, int rc)
{
	struct guest_op *g = (struct guest_op *)(void *)req;

	sim_note(n->sim, n, "disk-done", req->sector, req->id, (uint64_t)-rc);
	if (sim_is(n->sim, MUTANT_EARLY_COMPLETE) && !rc && !(req->flags & REQUEST_FROM_PEER) && g->write &&
	    sim_chance(n->sim, 50)) {
		oracle_completed(n, g, 0);
		g->write = 0;
	}
	replicate_disk_done(n->core, req, rc, sim_ms(n->sim));
	node_settle(n);
}

/* The transport's part: a slot and a buffer for what comes with a payload, within the window that HELLO
 * granted. */
static struct peer_op *peer_slot(struct node *n, uint32_t bytes)
{
	struct peer_op *slot = NULL;
	uint32_t used = 0, used_bytes = bytes;

	for (unsigned int i = 0; i < SIM_PEER_SLOTS; i++) {
		struct peer_op *p = &n->peer[i];

		if (p->used) {
			used++;
			used_bytes += p->req.sectors * SECTOR_SIZE;
		} else if (!slot) {
			slot = p;
		}
	}
	if (!slot || used >= n->cfg.window_requests || used_bytes > n->cfg.window_bytes) {
		sim_violate(n->sim, ORACLE_CONTRACT,
			    "node %d: the partner exceeds the window: %u requests, %u bytes", n->index,
			    used + 1, used_bytes);
		return NULL;
	}
	return slot;
}

static struct peer_op *peer_request(struct node *n, const struct packet *p, const uint8_t *payload)
{
	uint32_t sectors = p->type == PACKET_DATA ? p->data.sectors : 0;
	struct peer_op *op;

	if (sectors > SIM_REQUEST_SECTORS || p->payload != sectors * SECTOR_SIZE) {
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: DATA of %u sectors with %u bytes", n->index,
			    sectors, p->payload);
		return NULL;
	}
	op = peer_slot(n, p->payload);
	if (!op)
		return NULL;
	op->used = true;
	op->req = (struct request){ .tag = (uint16_t)(op - n->peer), .data = op->data };
	if (p->type == PACKET_DATA) {
		op->req.op = REQUEST_WRITE;
		op->req.preflush = p->data.preflush;
		op->req.sector = p->data.sector;
		op->req.sectors = sectors;
		memcpy(op->data, payload, p->payload);
	} else {
		op->req.op = REQUEST_FLUSH;
	}
	return op;
}

void node_receive(struct node *n, const struct packet *p, const uint8_t *payload)
{
	struct peer_op *op = NULL;
	int rc;

	if (p->type == PACKET_DATA || p->type == PACKET_FLUSH) {
		op = peer_request(n, p, payload);
		if (!op)
			return;
	}
	rc = replicate_packet(n->core, p, op ? &op->req : NULL, sim_ms(n->sim));
	if (rc && op)
		op->used = false;
	if (rc && !sim_is(n->sim, MUTANT_FORGED_GIVE) &&
	    !sim_is(n->sim, MUTANT_RAISED_GIVE)) /* that is not correct */
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: %s of a correct partner was refused: error %d",
			    n->index, packet_name(p->type), rc);
	node_settle(n);
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
		.offer = { .sectors = s->volume * (sim_is(s, MUTANT_SWAPPED_OVERLAP) ? 1024 : 1),
			   .block_size = s->block * SECTOR_SIZE,
			   .max_segments = 256,
			   .ring_order = 4,
			   .queues = 1 },
		.window_requests = (uint32_t)sim_between(s, 1, SIM_PEER_SLOTS),
		.window_bytes = REQUEST_SECTORS_MAX * SECTOR_SIZE, /* wire.c refuses less */
		.claim_timeout_ms = (uint32_t)sim_between(s, 200, 3000),
		.reserve_timeout_ms = (uint32_t)sim_between(s, 200, 3000),
		.disk_retry_ms = (uint32_t)sim_between(s, 1, sim_chance(s, 500) ? 10 : 500),
	};
}

/* Nothing is left but to go (owner.c: stop_settled). */
static bool stop_settled(struct node *n)
{
	if (replicate_guest_requests(n->core))
		return false;
	if (n->status.attachment != ATTACHMENT_NONE && n->status.attachment != ATTACHMENT_RELEASING)
		vdevice_park(n);
	return n->status.attachment == ATTACHMENT_NONE && !n->status.peer_writes && !n->meta.step;
}

static void stopped_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;

	if (stop_settled(n) && node_may_die(n))
		node_crash(n, false, sim_between(s, 20, 800) * SIM_MS);
	else
		sim_mortal(sim_in(s, sim_between(s, 1, 20) * SIM_MS, stopped_event, n));
}

/* The daemon is stopped in good order: it yields an idle token, or leaves the guest to the next daemon. */
void node_stop(struct node *n)
{
	n->stopping = true;
	vdevice_disturbed(n->sim);
	sim_note(n->sim, n, "stop", n->status.attachment, 0, 0);
	if (n->status.attachment == ATTACHMENT_NONE)
		replicate_yield(n->core, sim_ms(n->sim));
	node_settle(n);
	sim_mortal(sim_in(n->sim, sim_random(n->sim, 100 * SIM_MS), stopped_event, n));
}

int node_init(struct sim *s, int index, const struct superblock *sb)
{
	struct node *n = &s->node[index];

	*n = (struct node){ .sim = s, .index = index, .armed = UINT64_MAX };
	vdisk_init(&n->disk, n, s->volume, !s->plan.cache);
	vmeta_init(&n->meta, n, sb);
	for (unsigned int i = 0; i < SIM_PEER_SLOTS; i++)
		n->peer[i].data = sim_memory(1, SIM_REQUEST_BYTES);
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		n->guest.op[i].data = sim_memory(1, SIM_REQUEST_BYTES);
	configure(n);
	return 0;
}

void node_dispose(struct node *n)
{
	if (n->core)
		replicate_free(n->core);
	n->core = NULL;
	vdisk_dispose(&n->disk);
	for (unsigned int i = 0; i < SIM_PEER_SLOTS; i++)
		free(n->peer[i].data);
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		free(n->guest.op[i].data);
}

void node_boot(struct node *n)
{
	struct sim *s = n->sim;
	int rc;

	n->stopping = n->parked = false;
	n->up = true;
	n->guest.left = n->cfg.left = n->guest.filed;
	n->armed = UINT64_MAX;
	n->status = (struct replicate_status){ 0 };
	sim_note(s, n, "boot", n->meta.durable.token, n->meta.durable.epoch, n->meta.durable.flags);
	rc = replicate_new(&n->cfg, &n->meta.durable, &ops, n, sim_ms(s), &n->core);
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
	if (n->disk.inflight) {
		sim_mortal(sim_in(s, 5 * SIM_MS, boot_event, n));
		return;
	}
	node_boot(n);
}

/* A Primary dies only where the plan says so: until resync exists that is the end of the resource. */
bool node_may_die(const struct node *n)
{
	const struct sim *s = n->sim;
	bool primary = n->meta.durable.flags & SB_IN_USE ||
		       (n->meta.step && n->meta.writing_flags & SB_IN_USE);

	if (!n->up || s->plan.cache)
		return false;
	return !primary || s->history.primary_died ||
	       (s->plan.ending == END_PRIMARY && s->now > s->plan.duration / 2);
}

void node_crash(struct node *n, bool power, uint64_t downtime)
{
	struct sim *s = n->sim;

	sim_note(s, n, power ? "power-cut" : "killed", n->meta.durable.token, n->meta.durable.epoch,
		 n->meta.durable.flags);
	n->up = false;
	n->life++;
	vnet_node_died(n);
	if (power)
		vdisk_power_cut(&n->disk);
	else
		vdisk_orphan(&n->disk);
	vmeta_crash(&n->meta, power);
	if (n->meta.durable.flags & (SB_IN_USE | SB_UNCLEAN) && !s->history.primary_died) {
		s->history.primary_died = true;
		s->totals->primaries++;
		sim_note(s, n, "primary-died", 0, 0, 0);
	}
	replicate_free(n->core);
	n->core = NULL;
	n->status = (struct replicate_status){ 0 };
	for (unsigned int i = 0; i < SIM_PEER_SLOTS; i++)
		n->peer[i].used = false;
	vdevice_daemon_died(n, power, n->meta.durable.flags & (SB_IN_USE | SB_UNCLEAN));
	n->stopping = n->parked = false;
	sim_mortal(sim_in(s, downtime, boot_event, n));
}
