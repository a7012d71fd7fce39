/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner.c: the owner thread of a resource: it joins ring, core, disk and transport, and is
 * the only one who touches them.
 *
 * One turn: the kernel's completions are handled (loop_run), then the ring is consumed if there is
 * work and room, then answers are pushed together with one notification, then the packets of the turn leave
 * in one sendmsg.  So one wake-up serves a batch of requests with a handful of system calls.
 *
 *   opening (claims on metadata and disk are awaited) ──> running
 *     ──> stopping (token offered, connection closed, what is in flight awaited) ──> ended
 */
#include "backend/resource_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "backend/log.h"

#define LOOP_ENTRIES 1024u
#define SLOW_MS	     2000u /* a metadata write this old is worth words */
#define LATE_MS	     300u  /* woken so much later than asked for: this host has no time for us (liveness.h) */
#define COPY_SECTORS 128u  /* of a resync: 64 KiB at once, */
#define COPIES	     8u	   /* so many under way */

/* ---- actions of the core ---- */

static void act_disk(void *ctx, struct request *req)
{
	disk_submit(((struct resource *)ctx)->disk, req);
}

static bool act_abandon(void *ctx, struct request *req)
{
	return disk_abandon(((struct resource *)ctx)->disk, req);
}

static void act_send(void *ctx, const struct packet *p, struct request *req)
{
	transport_send(((struct resource *)ctx)->transport, p, req);
}

static void act_write_superblock(void *ctx, const struct superblock *sb)
{
	superblock_io_write(&((struct resource *)ctx)->superblock, sb);
}

static void act_metadata(void *ctx, struct metadata_op *op)
{
	metadata_io_submit(&((struct resource *)ctx)->metadata, op);
}

static void complete_guest(struct resource *r, struct request *req, int rc)
{
	gate_leave(&r->gate, req);
	statistics_completed(r->statistics, req, rc, now(r));
	ring_complete(ring_of(req), req, rc);
}

static void act_complete(void *ctx, struct request *req, int rc)
{
	struct resource *r = ctx;

	if (req->flags & REQUEST_FROM_PEER)
		transport_put_request(r->transport, req);
	else
		complete_guest(r, req, rc);
	r->ring_work = true;
}

static void act_disconnect(void *ctx, const char *why)
{
	transport_disconnect(((struct resource *)ctx)->transport, why);
}

/* Nobody may wait for it any more: what takes too long was answered before [command_waited]. */
static void act_commanded(void *ctx, int rc, const char *why)
{
	struct resource *r = ctx;
	struct call *call = r->command_call;

	r->command_call = NULL;
	r->command_deadline_ms = UINT64_MAX;
	call_answer(call, rc, why);
}

static void act_changed(void *ctx, const char *line)
{
	struct resource *r = ctx;

	log_info(r->name, "%s", line);
	r->look_at_disk = true;
}

static uint64_t act_random(void *ctx)
{
	uint64_t value = 0;

	(void)ctx;
	while (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
		; /* only interrupted calls come here: the pool is initialised long before any guest runs */
	return value;
}

static int act_measure(void *ctx, uint64_t *sectors, char *why, size_t why_size)
{
	return storage_measure(ctx, sectors, why, why_size);
}

static const struct replicate_ops core_ops = {
	/* clang-format off */
	act_disk, act_abandon, act_send, act_write_superblock, act_metadata, act_complete, act_disconnect, act_claimed,
	act_activated, act_released, act_handler, act_commanded, act_record, act_hold, act_unhold, act_quiet,
	act_look_suspended, act_used, act_sibling_ready, act_outdated,
	act_resume, act_changed, act_random, act_measure,
	/* clang-format on */
};

/* ---- events for the core ---- */

void owner_disk_done(void *ctx, struct request *req, int rc)
{
	struct resource *r = ctx;

	replicate_disk_done(r->core, req, rc, now(r));
}

/* What guests are offered: what was agreed on, and discards, if both disks could when the two met last. */
static void show_features(struct resource *r, const struct features *f, const struct superblock *sb)
{
	struct features shown = *f;

	shown.discard = sb->discard_unit != 0;
	shown.discard_unit = sb->discard_unit;
	shown.discard_secure = sb->discard_secure;
	owner_note_secure(r, sb->discard_secure); /* before the guest can know */
	resource_set_features(r, &shown);
}

void owner_superblock_done(void *ctx, int rc)
{
	struct resource *r = ctx;
	struct replicate_status status;
	struct features before;

	replicate_superblock_done(r->core, rc, now(r));
	replicate_status(r->core, &status, now(r));
	if (status.superblock.flags & SB_JUST_CREATED)
		return;
	resource_features(r, &before);
	if (status.superblock.agreed.sectors > before.sectors)
		queues_grow(r, status.superblock.agreed.sectors); /* before the guest can know */
	show_features(r, &status.superblock.agreed, &status.superblock);
	if (status.superblock.agreed.sectors > before.sectors)
		owner_tell_size(r);
}

void owner_metadata_done(void *ctx, struct metadata_op *op, int rc)
{
	struct resource *r = ctx;

	replicate_metadata_done(r->core, op, rc, now(r));
}

static void on_connected(void *ctx)
{
	struct resource *r = ctx;

	replicate_connected(r->core, now(r));
}

static int on_packet(void *ctx, const struct packet *p, struct request *req)
{
	struct resource *r = ctx;

	return replicate_packet(r->core, p, req, now(r));
}

static void on_disconnected(void *ctx, const char *why)
{
	struct resource *r = ctx;

	replicate_disconnected(r->core, why, now(r));
}

static void on_problem(void *ctx, const char *why)
{
	struct resource *r = ctx;

	if (!why) /* connected() says the same */
		return;
	log_notice(r->name, "no connection to %s: %s", r->peer_host, why);
	replicate_link_problem(r->core, why, now(r));
}

static void on_restarts(void *ctx, uint32_t within_ms)
{
	struct resource *r = ctx;

	replicate_partner_restarts(r->core, within_ms, now(r));
}

static const struct transport_ops transport_ops = { on_connected, on_packet, on_disconnected, on_problem, on_restarts };

/* ---- the core ---- */

int owner_start_core(struct resource *r)
{
	struct replicate_config cfg = {
		.name = r->name,
		.self_host = r->self_host,
		.peer_host = r->peer_host,
		.first = transport_is_first(&r->transport_cfg),
		/* half: a buddy pool may be fragmented */
		.window_bytes = PEER_POOL_BYTES / 2,
		.window_requests = PEER_REQUESTS,
		.claim_timeout_ms = CLAIM_TIMEOUT_MS,
		.reserve_timeout_ms = RESERVE_TIMEOUT_MS,
		.wfc_ms = r->wfc_ms,
		.degr_wfc_ms = r->degr_wfc_ms,
		.claim_longest_ms = CLAIM_LONGEST_MS,
		.wfc_force = r->wfc_force,
		.left = r->left,
		.confirmed = r->record.core.confirmed,
		.known = r->record.core.known,
		.disk_retry_ms = DISK_RETRY_MS,
		.extent_sectors = ACTLOG_EXTENT_SECTORS,
		.page_blocks = BITMAP_PAGE_BLOCKS,
		.copy_sectors = COPY_SECTORS,
		.copies = COPIES,
		.detach = r->detach,
		.io_error = r->io_error,
		.disk_timeout_ms = r->disk_timeout_ms,
		.after_sb = r->after_sb,
		.call_pri_lost = r->call_pri_lost,
		.fencing = r->fencing,
		.pace = r->pace,
		.csums_alg = r->csums_alg,
		.csums_after_crash_only = r->csums_after_crash_only,
	};
	struct superblock *sb = &r->superblock_read;
	int rc;

	for (int i = 0; i < HANDLER_COUNT; i++)
		cfg.handlers |= r->handlers[i] ? 1u << i : 0;
	storage_offer(r, &cfg.offer);
	show_features(r, sb->flags & SB_JUST_CREATED ? &cfg.offer : &sb->agreed, sb);
	/* The transport first: it does nothing before its first tick, and the core may
	 * begin a superblock write at once. */
	rc = transport_new(&r->transport_cfg, r->loop, r->peer_pool, PEER_REQUESTS, &transport_ops, r,
			   &r->transport, r->disk_why, sizeof(r->disk_why));
	if (rc)
		return rc;
	rc = replicate_new(&cfg, sb, r->log_area, &core_ops, r, now(r), &r->core);
	if (rc) {
		transport_free(r->transport);
		r->transport = NULL;
		return rc;
	}
	replicate_sync_after(r->core, r->sync_after, now(r));
	return 0;
}

/* ---- calls from the control thread ---- */

/* What a disk that was given up still has: no other one is opened in its place before that has ended (P6). */
static unsigned int left_to_disk(const struct resource *r, uint64_t *age_ms, char *why, size_t why_size)
{
	struct replicate_status s;
	uint64_t since = UINT64_MAX;
	unsigned int n = r->disk ? disk_abandoned(r->disk, &since) : 0;

	*age_ms = n ? now(r) - since : 0;
	if (r->core) {
		replicate_status(r->core, &s, now(r));
		n += s.metadata_hung;
		if (s.metadata_hung_ms > *age_ms)
			*age_ms = s.metadata_hung_ms;
	}
	if (n)
		snprintf(why, why_size, "%u request%s of the detached disk %s %s not ended for %llu s: wait for that, and see the kernel log (dmesg)",
			 n, n == 1 ? "" : "s", r->disk_path, n == 1 ? "has" : "have", (unsigned long long)*age_ms / 1000);
	return n;
}

/* Words when the disk, or its metadata, take their time. */
static void describe_slowness(const struct replicate_status *s, char *why, size_t why_size)
{
	uint64_t age = s->metadata_ms > s->disk_ms ? s->metadata_ms : s->disk_ms;

	if (age > SLOW_MS || s->hangs)
		snprintf(why, why_size, "%s has not ended for %llu s%s",
			 age == s->metadata_ms ? "a write or a read of the metadata" : "a request", (unsigned long long)age / 1000,
			 s->hangs ? ", longer than disk-timeout allows; the partner's disk cannot take its place" : "");
}

void owner_status(struct resource *r, struct call *call)
{
	struct resource_status *s = call->status;
	const char *state = "opening";

	s->now_ms = now(r);
	s->core.connection_since_ms = r->started_ms;
	snprintf(s->disk_why, sizeof(s->disk_why), "%s", r->disk_why);
	if (r->core) {
		replicate_status(r->core, &s->core, now(r));
		s->open = true;
		state = s->core.disk_error ? "Failed" : disk_state_name(s->core.disk);
		describe_slowness(&s->core, s->disk_why, sizeof(s->disk_why));
		s->hung = left_to_disk(r, &s->hung_ms, s->disk_why, sizeof(s->disk_why));
		if (s->core.disk_error)
			snprintf(s->disk_why, sizeof(s->disk_why), "%s; trying again",
				 strerror(-s->core.disk_error));
	}
	snprintf(s->disk_state, sizeof(s->disk_state), "%s", state);
	if (r->transport) {
		transport_describe(r->transport, s->peer_address, sizeof(s->peer_address));
		s->protocol = transport_version(r->transport);
	}
	queues_counters(r, &s->ring);
	s->queues = queues_attached(r) ? r->rings.count : 0;
	if (r->left_requests) {
		s->left_requests = queues_left(r);
		s->left_since_ms = r->left_since_ms;
	}
	s->steps = r->steps;
	call_answer(call, 0, "");
}

static bool needs_newer_partner(const struct resource *r, enum command command)
{
	uint16_t version = r->transport ? transport_version(r->transport) : 0; /* 0: not connected, of which the core speaks */

	return (command == COMMAND_RESIZE || command == COMMAND_RESIZE_CLEAN) && version && version < WIRE_VERSION_RESIZE;
}

void owner_command(struct resource *r, struct call *call)
{
	char why[RESOURCE_TEXT + 64];

	if (!r->core) {
		snprintf(why, sizeof(why), "the disk is not available: %s", r->disk_why);
		call_answer(call, -ENODEV, why);
	} else if (r->stopping) {
		call_answer(call, -ESHUTDOWN, "it is being stopped: 'backend-ctl up' starts it again");
	} else if (needs_newer_partner(r, call->command)) {
		snprintf(why, sizeof(why), "drbdxd on %s does not know how to make a disk larger: upgrade it there first", r->peer_host);
		call_answer(call, -EPERM, why);
	} else if (r->command_call && !command_overtakes(call->command, r->command_call->command)) {
		call_answer(call, -EBUSY, "another command is being answered: try again");
	} else {
		call_answer(r->command_call, -ECANCELED,
			    call->command == COMMAND_RESUME_IO ? "resume-io came before everything in flight had ended: nothing is held" :
								 "'detach --force' has taken its place");
		r->command_call = call;
		r->command_deadline_ms = now(r) + COMMAND_TIMEOUT_MS;
		replicate_command(r->core, call->command, now(r));
	}
}

/* resync-after */
void owner_sync_after(struct resource *r, struct call *call)
{
	snprintf(r->sync_after, sizeof(r->sync_after), "%.*s", (int)METADATA_NAME_MAX, call->answer_why);
	if (r->core)
		replicate_sync_after(r->core, r->sync_after, now(r));
	call_answer(call, 0, "");
}

/* The resyncs of other resources may have to wait now, or need not any longer. */
static void tell_resyncing(struct resource *r)
{
	bool resyncing = r->core && replicate_resyncing(r->core);

	if (atomic_exchange(&r->resyncing, resyncing) != resyncing && !atomic_exchange(&r->resyncing_posted, true))
		mailbox_post(r->control, &r->resyncing_message);
}

/* P7: whoever asks is answered. */
static void command_waited(struct resource *r)
{
	struct call *call = r->command_call;
	struct replicate_status s;
	char why[RESOURCE_TEXT];

	if (now(r) < r->command_deadline_ms)
		return;
	r->command_call = NULL;
	r->command_deadline_ms = UINT64_MAX;
	replicate_status(r->core, &s, now(r));
	if (call->command == COMMAND_SUSPEND_IO)
		snprintf(why, sizeof(why),
			 "nothing new is executed, but %u requests of the guest are still being executed (%u wait for the local "
			 "disk, %u for the partner): wait for them, or 'backend-ctl resume-io %s'",
			 s.queued + s.logging + s.local_pending + s.peer_pending, s.local_pending, s.peer_pending, r->name);
	else if ((call->command == COMMAND_RESIZE || call->command == COMMAND_RESIZE_CLEAN) && !s.metadata_ms)
		snprintf(why, sizeof(why), "it is begun, but %s has not answered yet: it goes on by itself; see 'backend-ctl status %s'", r->peer_host,
			 r->name);
	else if (call->command == COMMAND_DETACH && !s.disk_ms && !s.metadata_ms)
		snprintf(why, sizeof(why), "it is begun, but %s is still to hear of it: see 'backend-ctl status %s'", r->peer_host, r->name);
	else if (call->command == COMMAND_DETACH || call->command == COMMAND_DETACH_FORCE)
		snprintf(why, sizeof(why),
			 "it is begun, but the disk has not ended what it was asked for (the oldest request for %llu s, the metadata for "
			 "%llu s): wait for it, or go on without it with 'backend-ctl detach --force %s'",
			 (unsigned long long)s.disk_ms / 1000, (unsigned long long)s.metadata_ms / 1000, r->name);
	else
		snprintf(why, sizeof(why),
			 "it is begun, but a write of the metadata has not ended for %llu s: it goes on by itself when that ends; see the "
			 "kernel log (dmesg)",
			 (unsigned long long)s.metadata_ms / 1000);
	call_answer(call, -ETIMEDOUT, why);
}

/* ---- stopping ---- */

/* A guest has the disk: `why` names it. */
static bool attached(const struct resource *r, char *why, size_t why_size)
{
	struct replicate_status status;

	if (!r->core)
		return false;
	replicate_status(r->core, &status, now(r));
	if (status.attachment == ATTACHMENT_RELEASING)
		snprintf(why, why_size, "the last writes of %s, which is gone, wait: 'backend-ctl status %s' says what for", status.who, r->name);
	else
		snprintf(why, why_size, "%s has it: shut that guest down or migrate it first", status.who);
	return status.attachment != ATTACHMENT_NONE;
}

/*
 * A guest that is still there is left with a ring in which nothing is unanswered but what it has
 * not seen consumed: a later daemon attaches where this one stopped.  Only when the last requests
 * cannot be finished in time does the resource stay SB_IN_USE: then what the activity log holds is copied, and the later
 * daemon executes them again, as after a kill (docs/RESTART.md).
 */
void owner_stop(struct resource *r, struct call *call)
{
	struct call *connect = r->connect_call;
	char why[RESOURCE_TEXT];
	uint64_t age;
	bool guest = attached(r, why, sizeof(why)), hung = !guest && left_to_disk(r, &age, why, sizeof(why));

	if (r->stopping || (call->stop == RESOURCE_DOWN && (guest || hung))) {
		call_answer(call, -EBUSY, r->stopping ? "it is being stopped already: try again" : why);
		return;
	}
	r->stop_call = call;
	r->stopping = true;
	r->stop_deadline_ms = now(r) + STOP_TIMEOUT_MS;
	r->connect_call = NULL;
	call_answer(connect, -ESHUTDOWN, "drbdxd is being stopped: its disks are served on when it runs again");
	if (!guest && r->core && call->stop != RESOURCE_REPLACE)
		replicate_yield(r->core, now(r));
}

/* Nothing is left but the superblock. */
static bool stop_settled(struct resource *r)
{
	struct replicate_status s;

	if (!r->core)
		return true;
	if (!owner_park_guest(r))
		return false;
	replicate_status(r->core, &s, now(r));
	return s.attachment == ATTACHMENT_NONE && !s.peer_writes && !r->superblock.stage && !metadata_io_busy(&r->metadata) &&
	       !replicate_leaving(r->core);
}

static void say_goodbye(struct resource *r)
{
	char why[RESOURCE_TEXT];

	if (r->stop_call->stop == RESOURCE_REPLACE)
		snprintf(why, sizeof(why), "drbdxd on %s is being upgraded, and connects again in a moment", r->self_host);
	else if (r->stop_call->stop == RESOURCE_END)
		snprintf(why, sizeof(why), "drbdxd on %s is being stopped, and connects when it runs again", r->self_host);
	else
		snprintf(why, sizeof(why), "taken down on %s: 'backend-ctl up %s' there", r->self_host, r->name);
	transport_shutdown(r->transport, why);
}

/* The daemon ends, and a disk has not ended what it has: for how long is that waited for? The claim on the disk outlives us in the
 * kernel (claim.c). */
static bool give_up_stop(struct resource *r)
{
	bool late = now(r) >= r->stop_deadline_ms + HUNG_STOP_MS;

	if (now(r) >= r->stop_deadline_ms && !r->stop_said)
		log_warn(r->name, "stopping, and %u requests at the disk %s, or its metadata, have not ended: %s", storage_in_flight(r),
			 r->disk_path, r->stop_call->stop != RESOURCE_DOWN ? "they are waited for for 3 s" : "they are waited for");
	r->stop_said = now(r) >= r->stop_deadline_ms;
	if (!late || r->stop_call->stop == RESOURCE_DOWN)
		return false;
	log_error(r->name,
		  "%u requests at the disk %s, or its metadata, still have not ended: drbdxd ends all the same, and a new one opens the "
		  "disk when they have",
		  storage_in_flight(r), r->disk_path);
	return true;
}

/* May the connection be closed? A program that is replaced does not wait until the partner's guest has nothing to write: what that
 * waits for is sent again when the two have met. Its own guest needs the connection to the last. */
static bool stop_parting(struct resource *r)
{
	if (r->stop_call->stop == RESOURCE_REPLACE)
		return !r->core || owner_park_guest(r);
	return stop_settled(r);
}

static void stop_advance(struct resource *r)
{
	bool late = now(r) >= r->stop_deadline_ms;

	if (!stop_parting(r) && !late)
		return;
	owner_detach_rings(r);
	if (r->transport) {
		if (r->stop_call->stop == RESOURCE_REPLACE && !r->restart_told)
			transport_restarting(r->transport, BACK_WITHIN_MS);
		r->restart_told = true;
		if (!late && !transport_flushed(r->transport))
			return; /* GIVE and LEAVING are to reach the partner */
		say_goodbye(r);
		if (!transport_idle(r->transport))
			return;
	}
	if (!stop_settled(r) && !late)
		return;
	r->left_behind = storage_in_flight(r);
	if (r->left_behind && !give_up_stop(r))
		return; /* the kernel still has buffers of ours */
	r->ended = true;
}

static void dispose(struct resource *r)
{
	struct call *claim = r->claim_call, *command = r->command_call;

	r->claim_call = r->command_call = NULL;
	call_answer(claim, -ESHUTDOWN, "drbdxd, or the resource, is being stopped: try again when it runs again");
	call_answer(command, -ESHUTDOWN, "it is being stopped: 'backend-ctl up' starts it again");
	act_sibling_ready(r, -ESHUTDOWN);
	if (r->transport)
		transport_free(r->transport);
	if (r->left_behind)
		return; /* the kernel works in this memory, and has the disk open; the process ends */
	if (r->core)
		replicate_free(r->core);
	storage_close(r);
	owner_close_inflight(r);
	loop_free(r->loop);
	free(r->guest_pool); /* not pool_free(): what a guest never got answered still has buffers */
	free(r->peer_pool);
	free(r->area);
}

/* ---- the thread ---- */

static void on_mail(struct loop_op *op, int result)
{
	struct resource *r = (struct resource *)((char *)op - offsetof(struct resource, mail_op));

	(void)result;
	mailbox_run(r->inbox);
	loop_poll_in(r->loop, &r->mail_op, mailbox_fd(r->inbox));
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t next_deadline(const struct resource *r)
{
	uint64_t deadline = r->core ? replicate_deadline(r->core)
				    : earliest(r->open_retry_ms, r->claim_deadline_ms);

	if (r->ring_work && queues_attached(r))
		return now(r);
	deadline = earliest(deadline, r->command_deadline_ms);
	deadline = earliest(deadline, queues_deadline(r));
	if (r->transport)
		deadline = earliest(deadline, transport_deadline(r->transport));
	if (r->stopping)
		deadline = earliest(deadline,
				    now(r) + 20 < r->stop_deadline_ms ? r->stop_deadline_ms : now(r) + 20);
	return deadline;
}

static void tick(struct resource *r)
{
	if (!r->core && !r->stopping && now(r) >= r->open_retry_ms)
		storage_try_open(r);
	owner_claim_waited(r);
	command_waited(r);
	if (now(r) >= queues_deadline(r))
		r->ring_work = true;
	if (r->core && now(r) >= replicate_deadline(r->core))
		replicate_tick(r->core, now(r));
	if (r->transport && now(r) >= transport_deadline(r->transport))
		transport_tick(r->transport, now(r));
}

static void turn(struct resource *r)
{
	tick(r);
	owner_finish_connect(r);
	owner_serve_ring(r);
	if (r->transport)
		transport_flush(r->transport);
	owner_finish_connect(r); /* that may have ended the last orphan */
	storage_let_go(r);
	tell_resyncing(r);
	if (r->stopping)
		stop_advance(r);
}

static void *owner_main(void *arg)
{
	struct resource *r = arg;
	uint64_t deadline;
	int rc;

	pthread_setname_np(pthread_self(), "drbdx-resource");
	r->mail_op.fn = on_mail;
	for (unsigned int i = 0; i < QUEUES_MAX; i++)
		r->queue[i].resource = r;
	r->started_ms = now(r);
	loop_poll_in(r->loop, &r->mail_op, mailbox_fd(r->inbox));
	storage_try_open(r);
	while (!r->ended) {
		turn(r);
		if (r->ended)
			break;
		deadline = next_deadline(r);
		rc = loop_run(r->loop, deadline);
		if (rc) {
			log_error(r->name, "io_uring failed: %s", strerror(-rc));
			/* nothing can be served without it; the service manager starts a new daemon (P6) */
			abort();
		}
		if (r->core && deadline != UINT64_MAX && now(r) > deadline + LATE_MS)
			replicate_was_late(r->core, now(r));
	}
	dispose(r);
	call_answer(r->stop_call, 0, "");
	return NULL;
}

int resource_owner_start(struct resource *r, char *why, size_t why_size)
{
	int rc;

	r->open_retry_ms = r->claim_deadline_ms = r->command_deadline_ms = UINT64_MAX;
	r->area = aligned_alloc(POOL_PAGE, GUEST_POOL_BYTES + PEER_POOL_BYTES);
	if (!r->area)
		return -ENOMEM;
	memset(r->area, 0, GUEST_POOL_BYTES + PEER_POOL_BYTES);
	rc = loop_new(LOOP_ENTRIES, r->area, GUEST_POOL_BYTES + PEER_POOL_BYTES, &r->loop);
	if (rc) {
		snprintf(why, why_size, "%s (%s)", loop_requirement(rc), strerror(-rc));
		goto out;
	}
	rc = pool_new(r->area, GUEST_POOL_BYTES, &r->guest_pool);
	if (!rc)
		rc = pool_new((char *)r->area + GUEST_POOL_BYTES, PEER_POOL_BYTES, &r->peer_pool);
	if (!rc)
		rc = -pthread_create(&r->thread, NULL, owner_main, r);
	if (!rc)
		return 0;
out:
	loop_free(r->loop);
	free(r->area);
	return rc;
}
