/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicate.c: the frame of the core: events come in, steps are done when what they wait for is durable, status goes out.
 *
 * Each guest write goes to the local disk and to the partner, and is answered when it is durable on both, or on one while the other is
 * durably known to lack it (P1): request.c, remote.c, peer.c, with marks.c and alone.c.
 *
 * Invariant: a superblock write is started only when none is under way; what depends on it is a
 * step (STEPS), run when that version is durable.
 *
 * Nothing here allocates after replicate_new(); each event costs O(log n) in the requests
 * in flight, but for the ends of a connection.
 */
#include "backend/replicate_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALONE_AFTER_START_MS 3000u /* a daemon that starts finds its partner within that time, if there is one */

void say(struct replicate *r, const char *fmt, ...)
{
	char line[2 * REPLICATE_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	r->ops->changed(r->ctx, line);
}

void protocol_error(struct replicate *r, const char *fmt, ...)
{
	char what[WIRE_TEXT - sizeof("protocol error: ")], why[WIRE_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(why, sizeof(why), "protocol error: %s", what);
	r->ops->disconnect(r->ctx, why);
}

void send_simple(struct replicate *r, enum packet_type type)
{
	struct packet p = { .type = type };

	r->ops->send(r->ctx, &p, NULL);
}

uint64_t random_id(struct replicate *r)
{
	uint64_t id;

	do
		id = r->ops->random(r->ctx);
	while (!id);
	return id;
}

/* ---- superblock ---- */

void superblock_done(struct replicate *r)
{
	r->write_busy = false;
	r->write_pretended_ms = UINT64_MAX;
	r->write_error = 0;
	r->tried_flags = 0;
	r->durable = r->writing;
	r->durable_version = r->writing_version;
}

bool superblock_may_say(const struct replicate *r, uint32_t flag)
{
	return (r->durable.flags | r->tried_flags) & flag;
}

void metadata_lose(struct replicate *r, int rc)
{
	/* They went with the disk, and still say that it is good. The partner's generation says better, and by what is kept in /run nothing is
	 * served here without the partner, by a later daemon neither. */
	if (r->metadata_lost)
		return;
	r->metadata_lost = r->broken = true;
	r->kept.confirmed = 0;
	r->kept.known = false;
	attachment_kept(r);
	say(r, "the metadata cannot be written either (%s): without a disk this node goes on without", strerror(-rc));
}

static void superblock_kick(struct replicate *r)
{
	if (r->write_busy || r->wanted_version == r->durable_version || r->write_retry_ms != UINT64_MAX)
		return;
	marks_describe(r, &r->wanted);
	r->writing = r->wanted;
	r->writing_version = r->wanted_version;
	r->write_busy = true;
	r->tried_flags |= r->writing.flags;
	r->outdated_on_medium |= !r->write_hung && r->writing.flags & SB_PEER_OUTDATED;
	if (r->write_hung) { /* the metadata are lost: a moment later it counts as written */
		r->write_pretended_ms = r->now_ms + 1;
		return;
	}
	r->write_since_ms = r->now_ms;
	r->ops->write_superblock(r->ctx, &r->writing);
}

void superblock_want(struct replicate *r, enum step then)
{
	const struct superblock *latest = r->write_busy ? &r->writing : &r->durable;
	uint64_t latest_version = r->write_busy ? r->writing_version : r->durable_version;

	stir(r);
	if (r->wanted_version == latest_version && memcmp(&r->wanted, latest, sizeof(r->wanted)))
		r->wanted_version++;
	r->step_version[then] = r->wanted_version;
}

static void run_step(struct replicate *r, enum step step)
{
	switch (step) {
	case STEP_PAIR:
	case STEP_MET:
	case STEP_READY:
		handshake_step(r, step);
		break;
	case STEP_USED:
		acks_release(r);
		break;
	case STEP_PROMOTED:
	case STEP_ALONE:
		alone_step(r, step);
		break;
	case STEP_SYNCED:
		resync_step(r);
		break;
	case STEP_COMMAND:
		command_step(r);
		break;
	case STEP_RESIZED:
		resize_durable(r);
		break;
	case STEP_NOTED:
		token_advance(r);
		break;
	default:
		handover_step(r, step);
		break;
	}
}

/* What a guest whose data do not count had at our disk must not land over what the partner copies there. */
static bool step_waits(const struct replicate *r, enum step step)
{
	return step == STEP_READY && r->guest_count && r->wanted.token != TOKEN_HELD;
}

static bool run_due_step(struct replicate *r)
{
	int i;

	for (i = 0; i < STEP_COUNT; i++) {
		if (!r->step_version[i] || r->step_version[i] > r->durable_version || step_waits(r, i))
			continue;
		r->step_version[i] = 0;
		run_step(r, (enum step)i);
		return true;
	}
	return false;
}

void replicate_superblock_done(struct replicate *r, int rc, uint64_t now_ms)
{
	wake(r, now_ms);
	if (r->write_hung) { /* what it wrote is long out of date */
		r->write_hung = false;
		r->wanted_version++;
		replicate_settle(r);
		return;
	}
	r->write_busy = false;
	if (rc)
		disk_breaks(r);
	else
		r->outdated_on_medium = r->writing.flags & SB_PEER_OUTDATED;
	if (rc && r->detached && r->write_error && now_ms - r->write_failing_ms > DETACHED_WAIT_MS && !r->outdated_on_medium)
		metadata_lose(r, rc);
	if (rc && !r->metadata_lost) {
		if (!r->write_error) {
			say(r, "metadata write failed: %s; trying again", strerror(-rc));
			r->write_failing_ms = now_ms;
		}
		r->write_error = rc;
		r->write_retry_ms = now_ms + r->cfg.disk_retry_ms;
	} else {
		superblock_done(r);
	}
	replicate_settle(r);
}

static int connected_packet(struct replicate *r, const struct packet *p, struct request *req)
{
	if (r->connection != CONNECTION_CONNECTED) {
		/* The partner is CONNECTED as soon as our READY is there; its READY came
		 * before, so we are too. */
		protocol_error(r, "%s in state %s", packet_name(p->type),
			       connection_state_name(r->connection));
		return -EPROTO;
	}
	switch (p->type) {
	case PACKET_DATA:
	case PACKET_ZEROES:
	case PACKET_DISCARD:
	case PACKET_READ:
	case PACKET_CSUM:
	case PACKET_FLUSH:
	case PACKET_RECEIVED:
		return peer_packet(r, p, req);
	case PACKET_ACK:
	case PACKET_NOT_ERASED:
	case PACKET_FLUSH_ACK:
	case PACKET_READ_DATA:
	case PACKET_READ_ZEROES:
	case PACKET_READ_FAILED:
	case PACKET_SAME:
	case PACKET_DIFFERENT:
		return remote_packet(r, p, req);
	case PACKET_BITMAP:
	case PACKET_BITMAP_END:
	case PACKET_IN_SYNC:
	case PACKET_OUT_OF_SYNC:
	case PACKET_SYNC_END:
	case PACKET_SYNC_ENDED:
	case PACKET_PAUSE:
		return resync_packet(r, p, req);
	case PACKET_CLEAR:
		return command_clear(r);
	case PACKET_RESIZE:
	case PACKET_RESIZED:
	case PACKET_RESIZE_REFUSE:
		return resize_packet(r, p);
	case PACKET_HOT:
		return hot_packet(r, p, req);
	case PACKET_TAKEN:
	case PACKET_LEAVING:
		return leave_packet(r, p);
	case PACKET_WANT:
	case PACKET_WANT_REFUSE:
	case PACKET_GIVE:
	case PACKET_USED:
	case PACKET_RESERVE:
	case PACKET_GRANT:
	case PACKET_RESERVE_REFUSE:
	case PACKET_COMMIT:
	case PACKET_COMMIT_REFUSE:
	case PACKET_ENDED:
		return handover_packet(r, p);
	default:
		protocol_error(r, "%s may not come here", packet_name(p->type));
		return -EPROTO;
	}
}

/* A request, or the answer to one. */
static bool of_request(const struct packet *p)
{
	return p->type == PACKET_DATA || p->type == PACKET_ACK || p->type == PACKET_FLUSH || p->type == PACKET_FLUSH_ACK || p->type == PACKET_DISCARD;
}

int replicate_packet(struct replicate *r, const struct packet *p, struct request *req, uint64_t now_ms)
{
	int rc;

	r->now_ms = now_ms;
	if (!of_request(p))
		stir(r);
	if (p->type == PACKET_HELLO || p->type == PACKET_READY || p->type == PACKET_PAIR)
		rc = handshake_packet(r, p);
	else
		rc = connected_packet(r, p, req);
	replicate_settle(r);
	return rc;
}

void replicate_disconnected(struct replicate *r, const char *why, uint64_t now_ms)
{
	wake(r, now_ms);
	handshake_lost(r, why);
	handover_lost(r);
	resync_lost(r);
	requests_connection_lost(r);
	peer_connection_lost(r);
	replicate_settle(r);
}

/* ---- time, readiness, status ---- */

bool servable(const struct replicate *r)
{
	return r->attachment == ATTACHMENT_ACTIVE && token_held(r) && (no_data(r) || (data_accessible(r) && !fence_freezes(r))) &&
	       !r->io_suspended && !r->disk_error && !r->write_error && !r->metadata_error;
}

/* On disk, and no write that takes it away is wanted or under way. */
static bool in_use(const struct replicate *r)
{
	return r->durable.flags & r->wanted.flags & (r->write_busy ? r->writing.flags : UINT32_MAX) & SB_IN_USE;
}

/* What a first request makes durable before it is consumed is there. */
static bool based(const struct replicate *r)
{
	return r->durable.base == r->durable.epoch && in_use(r);
}

bool replicate_ready(const struct replicate *r)
{
	return r->at_rest ? r->was_ready : servable(r) && based(r);
}

unsigned int replicate_guest_requests(const struct replicate *r)
{
	return r->guest_count;
}

/* R10 */
static bool siblings_awaited(const struct replicate *r)
{
	return r->attachment == ATTACHMENT_ACTIVE && r->guest_asked && !r->guest_ready;
}

/* No partner, and our own disk does not do, or the partner has to be fenced: words. */
static void frozen_alone(const struct replicate *r, char *out, size_t size)
{
	const char *ours = r->detached		? "the local disk has failed or is detached"
			   : !disk_good(r)	? "the local disk is not up to date"
			   : !token_held(r)	? "this node does not have the token"
			   : !alone_allowed(r)	? "it is not certain that this node has the token still"
						: NULL;
	bool gone = r->attachment == ATTACHMENT_RELEASING;
	char whose[96] = "", fencing[160];

	if (gone)
		snprintf(whose, sizeof(whose), "the guest is gone; %u of its last requests wait: ", r->guest_count);
	fence_words(r, fencing, sizeof(fencing));
	if (!ours && fence_freezes(r))
		snprintf(out, size, "%sthe partner %s is not connected, and %s; 'backend-ctl resume-io %s' lets the guest go on without that, "
				    "if you are certain that no guest runs there",
			 whose, r->cfg.peer_host, fencing, r->cfg.name);
	else if (!ours && !gone)
		snprintf(out, size, "the partner %s is not connected; the guest goes on alone in a moment", r->cfg.peer_host);
	else if (!r->detached && r->fence == FENCE_FAILED && r->durable.flags & SB_OUTDATED)
		snprintf(out, size, "%sthis node's copy is outdated, for %s (said fence-peer): destroy the guest here; it is started where "
				    "the newer data are, or, if you are certain that there are none, here after 'backend-ctl primary --force %s'",
			 whose, r->fence_words, r->cfg.name);
	else if (r->connection == CONNECTION_REFUSED)
		snprintf(out, size, "%s%s%sthe two nodes may not replicate: 'backend-ctl status %s' says why, and what to do", whose, ours ? ours : "",
			 ours ? ", and " : "", r->cfg.name);
	else
		snprintf(out, size, "%s%s%sthe partner %s is not connected%s%.120s; if it is lost for good, %s%s%s", whose, ours ? ours : "",
			 ours ? ", and " : "", r->cfg.peer_host, r->why[0] ? ": " : "", r->why,
			 gone		? "'systemctl restart drbdxd' gives them up"
			 : r->detached	? "repair the disk, and 'systemctl restart drbdxd' opens it"
					: "destroy the guest here, then 'backend-ctl primary --force ",
			 gone || r->detached ? "" : r->cfg.name, gone || r->detached ? "" : "' makes what is here count");
}

static void frozen_words(const struct replicate *r, char *out, size_t size)
{
	bool apart = r->connection != CONNECTION_CONNECTED;

	out[0] = '\0';
	if (r->attachment == ATTACHMENT_ACTIVE && !apart && r->unreadable_ms && r->now_ms - r->unreadable_ms < 2 * r->cfg.disk_retry_ms + 1000)
		snprintf(out, size, "the disk on %s, which has the only good copy, cannot read what the guest wants; trying again",
			 r->cfg.peer_host);
	if (r->attachment == ATTACHMENT_NONE)
		return;
	if ((r->attachment == ATTACHMENT_ACTIVE || r->attachment == ATTACHMENT_RELEASING) && !r->detached && hang_noticed(r)) {
		snprintf(out, size, "the local disk hangs (disk-timeout), and the partner %s is %s: wait for either; see the kernel log (dmesg)",
			 r->cfg.peer_host, apart ? "not connected" : "not up to date");
		return;
	}
	if (servable(r) && !siblings_awaited(r) && !(apart && requests_unsent(r)))
		return;
	if (r->write_error || r->metadata_error)
		snprintf(out, size, "the metadata cannot be written (%s): see the kernel log (dmesg); trying again",
			 strerror(-(r->write_error ? r->write_error : r->metadata_error)));
	else if (r->disk_error)
		snprintf(out, size, "the local disk fails (%s): see the kernel log (dmesg); trying again", strerror(-r->disk_error));
	else if (r->attachment == ATTACHMENT_STALE)
		snprintf(out, size, "this copy of the guest is stale: %.200s; destroy it (xl destroy)", r->stale_why);
	else if (r->io_suspended)
		snprintf(out, size, "held by 'backend-ctl suspend-io'; 'backend-ctl resume-io %s' lets it go on", r->cfg.name);
	else if (siblings_awaited(r))
		snprintf(out, size, "the guest's first request waits for the tokens of its other disks");
	else if (r->want_back)
		snprintf(out, size,
			 "the guest was resumed here after it had been handed over to %s; the token comes back when "
			 "its copy there is destroyed, if that has not used the disk",
			 r->cfg.peer_host);
	else if (!apart && r->attachment == ATTACHMENT_COMMITTING)
		snprintf(out, size, "the guest has arrived and waits for the token from %s", r->cfg.peer_host);
	else if (!apart && r->attachment == ATTACHMENT_ACTIVE && !data_accessible(r))
		snprintf(out, size, "neither the local disk nor that of %s can be used: repair one, and 'backend-ctl attach %s' there opens it",
			 r->cfg.peer_host, r->cfg.name);
	else if (apart && (r->attachment != ATTACHMENT_RELEASING || r->guest_count) && r->attachment != ATTACHMENT_CLAIMING &&
		 r->attachment != ATTACHMENT_RESERVING && r->attachment != ATTACHMENT_HANDED_OVER)
		frozen_alone(r, out, size);
}

static void no_data_words(const struct replicate *r, char *out, size_t size)
{
	out[0] = '\0';
	if (no_data(r))
		frozen_alone(r, out, size);
}

static void update_failing(struct replicate *r)
{
	char words[REPLICATE_TEXT];

	no_data_words(r, words, sizeof(words));
	if (!strcmp(words, r->failing))
		return;
	if (!words[0])
		say(r, "guest I/O is done again after %" PRIu64 " ms of errors", r->now_ms - r->failing_since_ms);
	else
		say(r, "guest I/O ends with errors: %s", words);
	if (!r->failing[0])
		r->failing_since_ms = r->now_ms;
	memcpy(r->failing, words, sizeof(words));
}

static void update_frozen(struct replicate *r)
{
	char words[REPLICATE_TEXT];

	frozen_words(r, words, sizeof(words));
	if (!strcmp(words, r->frozen))
		return;
	if (!words[0])
		say(r, "guest I/O resumes after %" PRIu64 " ms", r->now_ms - r->frozen_since_ms);
	else
		say(r, "guest I/O is frozen: %s", words);
	if (!r->frozen[0])
		r->frozen_since_ms = r->now_ms;
	memcpy(r->frozen, words, sizeof(words));
}

static bool no_step(const struct replicate *r)
{
	for (int i = 0; i < STEP_COUNT; i++)
		if (r->step_version[i])
			return false;
	return true;
}

/* Two good disks, connected; a guest that is served, or none; and nothing is under way but requests. All that is looked at in replicate_settle() stays
 * as it is while requests come and end as they should; what changes it nevertheless stirs. Whatever depends on the time has a deadline,
 * which wakes. */
static bool nothing_under_way(const struct replicate *r)
{
	bool served = r->attachment == ATTACHMENT_ACTIVE && r->was_ready && !siblings_awaited(r);

	return r->connection == CONNECTION_CONNECTED && (served || r->attachment == ATTACHMENT_NONE) && disk_good(r) && peer_good(r) &&
	       !r->parted && r->sync == SYNC_STATE_OFF && !r->copies && !r->write_busy && r->wanted_version == r->durable_version && no_step(r) &&
	       marks_at_rest(r) && !r->asked_for.busy && !r->asked.hot && !r->resize.asked && !r->leaving && !r->reconnecting && !r->look_again &&
	       !r->frozen[0] && !r->failing[0] && !r->disk_error && !r->metadata_error;
}

bool replicate_at_rest(const struct replicate *r)
{
	return r->at_rest;
}

void replicate_settle(struct replicate *r)
{
	bool can_serve, ready;

	if (r->at_rest)
		return;
	r->look_again = false;
	do {
		fence_advance(r);
		detach_advance(r);
		if (no_data(r))
			requests_fail(r);
		if (r->discards_refused)
			discards_refuse(r);
		alone_advance(r);
		resync_advance(r);
		hot_advance(r);
		marks_advance(r);
		command_advance(r);
		resize_advance(r);
		leave_advance(r);
		superblock_kick(r);
	} while (run_due_step(r) || handshake_begin(r));
	resync_held_note(r);
	update_frozen(r);
	update_failing(r);
	data_lost_note(r);
	can_serve = servable(r);
	ready = can_serve && based(r);
	if ((can_serve && !r->was_servable) || (ready && !r->was_ready)) {
		r->ops->resume(r->ctx);
		can_serve = servable(r); /* who is told may have asked for something */
		ready = can_serve && based(r);
	}
	r->was_servable = can_serve;
	r->was_ready = ready;
	r->at_rest = nothing_under_way(r);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t replicate_deadline(const struct replicate *r)
{
	uint64_t deadline = earlier(earlier(handover_deadline(r), alone_deadline(r)), fence_deadline(r));

	if (r->look_again)
		return r->now_ms;
	deadline = earlier(deadline, earlier(hang_deadline(r), detach_deadline(r)));
	deadline = earlier(deadline, earlier(r->retry_ms, r->write_retry_ms));
	deadline = earlier(deadline, earlier(r->copy_ms, no_data_deadline(r)));
	if (r->sync != SYNC_STATE_OFF && r->now_ms < r->sync_hold_ms)
		deadline = earlier(deadline, r->sync_hold_ms);
	return earlier(deadline, r->metadata_retry_ms);
}

void replicate_tick(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	if (now_ms >= r->retry_ms)
		retry_disk(r);
	if (now_ms >= r->write_retry_ms)
		r->write_retry_ms = UINT64_MAX;
	if (now_ms >= r->metadata_retry_ms)
		r->metadata_retry_ms = UINT64_MAX;
	hang_tick(r);
	handover_tick(r);
	replicate_settle(r);
}

static void count_requests(const struct replicate *r, struct replicate_status *out, uint64_t now_ms)
{
	size_t i;

	for (i = 0; i < TAGS; i++) {
		const struct request *req = r->by_tag[i];

		if (!req || is_copy(req))
			continue;
		out->queued += req->state == REQUEST_QUEUED;
		out->logging += req->state == REQUEST_LOGGING;
		out->local_pending += (req->flags & REQUEST_LOCAL_PENDING) != 0;
		out->peer_pending += (req->flags & REQUEST_PEER_PENDING) != 0;
		if (now_ms - req->since_ms > out->oldest_ms)
			out->oldest_ms = now_ms - req->since_ms;
	}
}

void replicate_status(const struct replicate *r, struct replicate_status *out, uint64_t now_ms)
{
	*out = (struct replicate_status){
		.connection = r->connection,
		.attachment = r->attachment,
		.connection_since_ms = r->connection_since_ms,
		.frozen_since_ms = r->frozen_since_ms,
		.failing_since_ms = r->failing_since_ms,
		.superblock = r->durable,
		.peer = r->peer,
		.peer_known = r->peer_known,
		.hangs = hang_noticed(r),
		.returnable = disk_returnable(r),
		.disk_error = r->disk_error ? r->disk_error : r->write_error ? r->write_error : r->metadata_error,
		.peer_writes = r->peer_count,
		.reads = r->reads,
		.writes = r->writes,
		.flushes = r->flushes,
		.discards = r->discards,
		.discarded_sectors = r->discarded_sectors,
		.read_sectors = r->read_sectors,
		.written_sectors = r->written_sectors,
		.sent_sectors = r->sent_sectors,
		.received_sectors = r->received_sectors,
		.disk = disk_state(r),
		.peer_disk = peer_disk_state(r),
		.sync = resync_state(r),
		.fence = r->fence,
		.fence_since_ms = r->fence_since_ms,
		.fence_why = r->fence_words,
		.alone = r->parted && r->connection != CONNECTION_CONNECTED,
		.alone_since_ms = r->parted && r->connection != CONNECTION_CONNECTED ? r->alone_since_ms : 0,
		.suspended = r->io_suspended,
		.sync_paused = r->sync_paused,
		.out_of_sync = marks_sectors(r),
		.out_of_sync_known = bitmap_all_known(r->bitmap),
		.sync_total = r->sync_total,
		.sync_since_ms = r->sync_since_ms,
		.held_since_ms = r->sync_held_ms > r->sync_since_ms ? r->sync_held_ms : r->sync_since_ms,
		.copied_sectors = r->copied_sectors,
		.same_sectors = r->same_sectors,
		.log_writes = r->log_writes,
		.bitmap_writes = r->bitmap_writes,
		.log_used = actlog_used(r->log),
	};
	count_requests(r, out, now_ms);
	hang_status(r, out, now_ms);
	claim_status(r, out, now_ms);
	out->incoming = r->guest.incoming;
	out->kept = r->kept;
	snprintf(out->who, sizeof(out->who), "%s", r->guest.who);
	snprintf(out->why, sizeof(out->why), "%s", r->why);
	snprintf(out->frozen, sizeof(out->frozen), "%s", r->frozen);
	resync_held_words(r, out->held, sizeof(out->held));
	snprintf(out->failing, sizeof(out->failing), "%s", r->failing);
}

/* ---- birth and end ---- */

static int storage_new(struct replicate *r, const uint8_t *log)
{
	int rc = marks_new(r, log);

	discard_init(r);
	return rc ? rc : resync_new(r);
}

int replicate_new(const struct replicate_config *cfg, const struct superblock *sb, const uint8_t *log,
		  const struct replicate_ops *ops, void *ctx, uint64_t now_ms, struct replicate **out)
{
	struct replicate *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->cfg = *cfg;
	r->ops = ops;
	r->ctx = ctx;
	r->now_ms = r->connection_since_ms = r->apart_ms = now_ms;
	memcpy(&r->durable, sb, sizeof(*sb));
	memcpy(&r->wanted, sb, sizeof(*sb));
	r->outdated_on_medium = sb->flags & SB_PEER_OUTDATED;
	r->durable_version = r->wanted_version = 1;
	r->retry_ms = r->write_retry_ms = r->write_pretended_ms = r->metadata_retry_ms = r->claim_deadline_ms = UINT64_MAX;
	r->alone_ms = now_ms + ALONE_AFTER_START_MS;
	r->left = cfg->left;
	r->kept.confirmed = cfg->confirmed;
	r->kept.known = cfg->known;
	r->fence_words = "";
	fence_new(r);
	TAILQ_INIT(&r->queued);
	TAILQ_INIT(&r->logging);
	TAILQ_INIT(&r->unsent);
	TAILQ_INIT(&r->active);
	TAILQ_INIT(&r->discarding);
	TAILQ_INIT(&r->retry);
	TAILQ_INIT(&r->peer_logging);
	TAILQ_INIT(&r->peer_active);
	TAILQ_INIT(&r->peer_answered);
	TAILQ_INIT(&r->ack_held);
	TAILQ_INIT(&r->at_disk);
	overlap_init(&r->tree);
	overlap_init(&r->peer_tree);
	rc = storage_new(r, log);
	if (rc) {
		replicate_free(r);
		return rc;
	}
	*out = r;
	replicate_settle(r);
	return 0;
}

void replicate_free(struct replicate *r)
{
	if (!r)
		return;
	resync_free(r);
	marks_free(r);
	free(r);
}
