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

static uint64_t now(const struct resource *r)
{
	return loop_now_ms(r->loop);
}

/* ---- actions of the core ---- */

static void act_disk(void *ctx, struct request *req)
{
	disk_submit(((struct resource *)ctx)->disk, req);
}

static void act_send(void *ctx, const struct packet *p, struct request *req)
{
	transport_send(((struct resource *)ctx)->transport, p, req);
}

static void act_write_superblock(void *ctx, const struct superblock *sb)
{
	superblock_io_write(&((struct resource *)ctx)->superblock, sb);
}

static void act_complete(void *ctx, struct request *req, int rc)
{
	struct resource *r = ctx;

	if (req->flags & REQUEST_FROM_PEER)
		transport_put_request(r->transport, req);
	else /* a ring is attached only when no orphan is left */
		ring_complete(r->ring ? r->ring : r->orphans, req, rc);
	r->ring_work = true;
}

static void act_disconnect(void *ctx, const char *why)
{
	transport_disconnect(((struct resource *)ctx)->transport, why);
}

static void act_changed(void *ctx, const char *line)
{
	log_info(((struct resource *)ctx)->name, "%s", line);
}

static uint64_t act_random(void *ctx)
{
	uint64_t value = 0;

	(void)ctx;
	while (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
		; /* only interrupted calls come here: the pool is initialised long before any guest runs */
	return value;
}

static const struct replicate_ops core_ops = {
	/* clang-format off */
	act_disk, act_send, act_write_superblock, act_complete, act_disconnect, act_claimed, act_activated,
	act_released, act_record, act_hold, act_unhold, act_quiet, act_look_suspended, act_used,
	act_sibling_ready, act_outdated,
	act_resume, act_changed, act_random,
	/* clang-format on */
};

/* ---- events for the core ---- */

static void on_disk_done(void *ctx, struct request *req, int rc)
{
	struct resource *r = ctx;

	replicate_disk_done(r->core, req, rc, now(r));
}

static void on_superblock_done(void *ctx, int rc)
{
	struct resource *r = ctx;
	struct replicate_status status;

	replicate_superblock_done(r->core, rc, now(r));
	replicate_status(r->core, &status, now(r));
	if (!(status.superblock.flags & SB_JUST_CREATED))
		resource_set_features(r, &status.superblock.agreed);
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

static const struct transport_ops transport_ops = { on_connected, on_packet, on_disconnected, on_problem };

/* ---- opening ---- */

static void describe_offer(const struct resource *r, struct features *f)
{
	*f = (struct features){ .sectors = disk_sectors(r->disk),
				.block_size = disk_block_size(r->disk),
				.max_segments = BLKIF_SEGMENTS_MAX,
				.ring_order = RING_ORDER_MAX,
				.queues = 1 };
}

static int check_superblock(struct resource *r, const struct superblock *sb)
{
	if (!strcmp(sb->name, r->name))
		return 0;
	snprintf(r->disk_why, sizeof(r->disk_why),
		 "slot %d of %s belongs to resource %s: correct the index in the configuration",
		 r->meta_index, r->meta_path, sb->name);
	return -EINVAL;
}

static int start_core(struct resource *r)
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
		.left = r->left,
		.disk_retry_ms = DISK_RETRY_MS,
	};
	struct superblock *sb = &r->superblock_read;
	int rc;

	describe_offer(r, &cfg.offer);
	resource_set_features(r, sb->flags & SB_JUST_CREATED ? &cfg.offer : &sb->agreed);
	/* The transport first: it does nothing before its first tick, and the core may
	 * begin a superblock write at once. */
	rc = transport_new(&r->transport_cfg, r->loop, r->peer_pool, PEER_REQUESTS, &transport_ops, r,
			   &r->transport, r->disk_why, sizeof(r->disk_why));
	if (rc)
		return rc;
	rc = replicate_new(&cfg, sb, &core_ops, r, now(r), &r->core);
	if (rc) {
		transport_free(r->transport);
		r->transport = NULL;
	}
	return rc;
}

static void close_storage(struct resource *r)
{
	disk_close(r->disk);
	r->disk = NULL;
	superblock_io_close(&r->superblock);
}

static void try_open(struct resource *r)
{
	char before[RESOURCE_TEXT];
	int rc;

	memcpy(before, r->disk_why, sizeof(before));
	r->disk_why[0] = '\0';
	r->open_retry_ms = UINT64_MAX;
	rc = superblock_io_open(&r->superblock, r->meta_path, r->meta_index, r->loop, on_superblock_done, r,
				&r->superblock_read, r->disk_why, sizeof(r->disk_why));
	if (!rc)
		rc = check_superblock(r, &r->superblock_read);
	if (!rc)
		rc = disk_open(r->disk_path, r->loop, REQUESTS_MAX + PEER_REQUESTS, on_disk_done, r, &r->disk,
			       r->disk_why, sizeof(r->disk_why));
	if (!rc)
		rc = start_core(r);
	if (!rc) {
		r->disk_why[0] = '\0';
		log_info(r->name, "disk %s and metadata slot %d of %s are open", r->disk_path, r->meta_index,
			 r->meta_path);
		return;
	}
	if (!r->disk_why[0])
		snprintf(r->disk_why, sizeof(r->disk_why), "cannot start: %s", strerror(-rc));
	if (strcmp(before, r->disk_why))
		log_error(r->name, "%s", r->disk_why);
	close_storage(r);
	r->open_retry_ms = now(r) + (rc == -EBUSY ? OPEN_RETRY_MS : 4 * OPEN_RETRY_MS);
}

/* ---- calls from the control thread ---- */

static const char *disk_state(const struct replicate_status *core)
{
	if (core->superblock.flags & SB_UNCLEAN)
		return "Unclean";
	if (!(core->superblock.flags & SB_CONSISTENT))
		return "Inconsistent";
	return core->disk_error ? "Failed" : "UpToDate";
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
		state = disk_state(&s->core);
		if (s->core.metadata_ms > SLOW_MS)
			snprintf(s->disk_why, sizeof(s->disk_why),
				 "a write of the metadata has not ended for %llu s",
				 (unsigned long long)s->core.metadata_ms / 1000);
		if (s->core.disk_error)
			snprintf(s->disk_why, sizeof(s->disk_why), "%s; trying again",
				 strerror(-s->core.disk_error));
	}
	snprintf(s->disk_state, sizeof(s->disk_state), "%s", state);
	if (r->transport)
		transport_describe(r->transport, s->peer_address, sizeof(s->peer_address));
	if (r->ring)
		ring_counters(r->ring, &s->ring);
	s->steps = r->steps;
	call_answer(call, 0, "");
}

/* ---- stopping ---- */

/* A guest has the disk: `why` names it. */
static bool attached(const struct resource *r, char *why, size_t why_size)
{
	struct replicate_status status;

	if (!r->core)
		return false;
	replicate_status(r->core, &status, now(r));
	snprintf(why, why_size, "%s has it", status.who);
	return status.attachment != ATTACHMENT_NONE;
}

/*
 * A guest that is still there is left with a ring in which nothing is unanswered but what it has
 * not seen consumed: a later daemon attaches where this one stopped.  Only when the last writes
 * cannot be finished (no partner) does the resource stay SB_IN_USE, and is found unclean.
 */
void owner_stop(struct resource *r, struct call *call)
{
	struct call *connect = r->connect_call;
	char why[RESOURCE_TEXT];
	bool guest = attached(r, why, sizeof(why));

	if (r->stopping || (!call->force && guest)) {
		call_answer(call, -EBUSY, r->stopping ? "it is being stopped already" : why);
		return;
	}
	r->stop_call = call;
	r->stopping = true;
	r->stop_deadline_ms = now(r) + STOP_TIMEOUT_MS;
	r->connect_call = NULL;
	call_answer(connect, -ESHUTDOWN, "the daemon is being stopped");
	if (!guest && r->core)
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
	return s.attachment == ATTACHMENT_NONE && !s.peer_writes && !r->superblock.stage;
}

static void say_goodbye(struct resource *r)
{
	char why[RESOURCE_TEXT];

	if (r->stop_call->force)
		snprintf(why, sizeof(why), "drbdxd on %s is being stopped", r->self_host);
	else
		snprintf(why, sizeof(why), "%s was taken down on %s", r->name, r->self_host);
	transport_shutdown(r->transport, why);
}

static void stop_advance(struct resource *r)
{
	bool late = now(r) >= r->stop_deadline_ms;

	if (!stop_settled(r) && !late)
		return;
	owner_detach_ring(r);
	if (r->transport) {
		if (!late && !transport_flushed(r->transport))
			return; /* GIVE is to reach the partner */
		say_goodbye(r);
		if (!transport_idle(r->transport))
			return;
	}
	if ((r->disk && disk_in_flight(r->disk)) || r->superblock.stage)
		return; /* the kernel still has buffers of ours: bounded by the disk */
	r->ended = true;
}

static void dispose(struct resource *r)
{
	struct call *claim = r->claim_call;

	r->claim_call = NULL;
	call_answer(claim, -ESHUTDOWN, "the daemon is being stopped");
	act_sibling_ready(r, -ESHUTDOWN);
	if (r->transport)
		transport_free(r->transport);
	if (r->core)
		replicate_free(r->core);
	close_storage(r);
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

	if (r->ring && r->ring_work)
		return now(r);
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
		try_open(r);
	owner_claim_waited(r);
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
	if (r->stopping)
		stop_advance(r);
}

static void *owner_main(void *arg)
{
	struct resource *r = arg;
	int rc;

	pthread_setname_np(pthread_self(), "drbdx-resource");
	r->mail_op.fn = on_mail;
	r->started_ms = now(r);
	loop_poll_in(r->loop, &r->mail_op, mailbox_fd(r->inbox));
	try_open(r);
	while (!r->ended) {
		turn(r);
		if (r->ended)
			break;
		rc = loop_run(r->loop, next_deadline(r));
		if (rc) {
			log_error(r->name, "io_uring failed: %s", strerror(-rc));
			/* nothing can be served without it; the service manager starts a new daemon (P6) */
			abort();
		}
	}
	dispose(r);
	call_answer(r->stop_call, 0, "");
	return NULL;
}

int resource_owner_start(struct resource *r, char *why, size_t why_size)
{
	int rc;

	r->open_retry_ms = r->claim_deadline_ms = UINT64_MAX;
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
