/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicate.c: requests: each guest write goes to the local disk and to the partner, and is
 * answered when it is durable on both (P1).
 *
 * Invariants
 *  1. A guest's request is on exactly one of the lists queued, unsent, active, retry; a
 *     peer's on peer_active, retry or ack_held.
 *  2. Of two writes that overlap, the later one begins, here and at the partner, only after the earlier one
 *     is durable on both: one order on both nodes (P3). A read waits for the older writes that it overlaps.
 *  3. A write is answered only when neither LOCAL_PENDING nor PEER_PENDING is left. Losing the
 *     connection leaves PEER_PENDING: the write is sent again on the next one, where by
 *     invariant 2 nothing newer can have touched its sectors, so that a repetition is harmless.
 *  4. A peer's write is acknowledged only on the connection that brought it, when it is
 *     durable here and {NONE, epoch, base = epoch} is too (HANDOVER.md, R6).
 *  5. What is on the wire and unacknowledged never exceeds the window that the partner's HELLO granted.
 *  6. A superblock write is started only when none is under way; what depends on it is a
 *     step (STEPS), run when that version is durable.
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

#define TAG_BITS 16

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
	char why[WIRE_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	r->ops->disconnect(r->ctx, why);
}

void send_simple(struct replicate *r, enum packet_type type)
{
	struct packet p = { .type = type };

	r->ops->send(r->ctx, &p, NULL);
}

/* ---- superblock ---- */

static void superblock_kick(struct replicate *r)
{
	if (r->write_busy || r->wanted_version == r->durable_version || r->write_retry_ms != UINT64_MAX)
		return;
	r->writing = r->wanted;
	r->writing_version = r->wanted_version;
	r->write_busy = true;
	r->write_since_ms = r->now_ms;
	r->ops->write_superblock(r->ctx, &r->writing);
}

void superblock_want(struct replicate *r, enum step then)
{
	const struct superblock *latest = r->write_busy ? &r->writing : &r->durable;
	uint64_t latest_version = r->write_busy ? r->writing_version : r->durable_version;

	if (r->wanted_version == latest_version && memcmp(&r->wanted, latest, sizeof(r->wanted)))
		r->wanted_version++;
	r->step_version[then] = r->wanted_version;
}

static void run_step(struct replicate *r, enum step step)
{
	switch (step) {
	case STEP_PAIR:
	case STEP_READY:
		handshake_step(r, step);
		break;
	case STEP_USED:
		acks_release(r);
		break;
	default:
		handover_step(r, step);
		break;
	}
}

static bool run_due_step(struct replicate *r)
{
	int i;

	for (i = 0; i < STEP_COUNT; i++) {
		if (!r->step_version[i] || r->step_version[i] > r->durable_version)
			continue;
		r->step_version[i] = 0;
		run_step(r, (enum step)i);
		return true;
	}
	return false;
}

void replicate_superblock_done(struct replicate *r, int rc, uint64_t now_ms)
{
	r->now_ms = now_ms;
	r->write_busy = false;
	if (rc) {
		if (!r->write_error)
			say(r, "metadata write failed: %s; trying again", strerror(-rc));
		r->write_error = rc;
		r->write_retry_ms = now_ms + r->cfg.disk_retry_ms;
	} else {
		r->write_error = 0;
		r->durable = r->writing;
		r->durable_version = r->writing_version;
	}
	replicate_settle(r);
}

/* ---- guest requests ---- */

static uint32_t bytes_of(const struct request *req)
{
	return req->op == REQUEST_WRITE ? req->sectors * SECTOR_SIZE : 0;
}

static bool window_open(const struct replicate *r, const struct request *req)
{
	return r->sent_requests < r->peer.window_requests &&
	       r->sent_bytes + bytes_of(req) <= r->peer.window_bytes;
}

static void send_request(struct replicate *r, struct request *req)
{
	struct packet p = { .type = req->op == REQUEST_WRITE ? PACKET_DATA : PACKET_FLUSH };

	if (req->op == REQUEST_WRITE) {
		p.payload = bytes_of(req);
		p.data.id = req->id;
		p.data.epoch = r->durable.epoch;
		p.data.sector = req->sector;
		p.data.sectors = req->sectors;
		p.data.preflush = req->preflush;
	} else {
		p.ack.id = req->id;
		p.ack.epoch = r->durable.epoch;
	}
	req->flags |= REQUEST_PEER_SENT;
	r->sent_requests++;
	r->sent_bytes += bytes_of(req);
	r->sent_sectors += req->sectors;
	r->ops->send(r->ctx, &p, req);
}

/* The list that a guest's active request belongs on follows from its flags. */
static void place_active(struct replicate *r, struct request *req)
{
	bool unsent = (req->flags & REQUEST_PEER_PENDING) && !(req->flags & REQUEST_PEER_SENT);

	if (req->flags & REQUEST_LOCAL_RETRY)
		TAILQ_INSERT_TAIL(&r->retry, req, link);
	else if (unsent)
		TAILQ_INSERT_TAIL(&r->unsent, req, link);
	else
		TAILQ_INSERT_TAIL(&r->active, req, link);
}

static struct request_list *list_of(struct replicate *r, const struct request *req)
{
	if (req->state == REQUEST_QUEUED)
		return &r->queued;
	if (req->flags & REQUEST_LOCAL_RETRY)
		return &r->retry;
	if (req->flags & REQUEST_FROM_PEER)
		return req->flags & REQUEST_LOCAL_PENDING ? &r->peer_active : &r->ack_held;
	return (req->flags & REQUEST_PEER_PENDING) && !(req->flags & REQUEST_PEER_SENT) ? &r->unsent
											: &r->active;
}

void pump_unsent(struct replicate *r)
{
	struct request *req;

	if (r->connection != CONNECTION_CONNECTED)
		return;
	while ((req = TAILQ_FIRST(&r->unsent)) && window_open(r, req)) {
		TAILQ_REMOVE(&r->unsent, req, link);
		send_request(r, req);
		place_active(r, req);
	}
}

static void activate(struct replicate *r, struct request *req)
{
	req->state = REQUEST_ACTIVE;
	req->flags |= REQUEST_LOCAL_PENDING;
	if (req->op != REQUEST_READ)
		req->flags |= REQUEST_PEER_PENDING;
	r->ops->disk(r->ctx, req);
	place_active(r, req);
}

static bool behind_older_write(struct replicate *r, const struct request *req)
{
	struct request *other = NULL;

	while ((other = overlap_next(&r->tree, other, req->sector, req->sectors)))
		if (other->id < req->id && other->op == REQUEST_WRITE)
			return true;
	return false;
}

void replicate_submit(struct replicate *r, struct request *req, uint64_t now_ms)
{
	assert(req->tag < REQUESTS_MAX && !r->by_tag[req->tag]);
	r->now_ms = now_ms;
	req->id = ++r->serial << TAG_BITS | req->tag;
	req->flags = 0;
	req->since_ms = now_ms;
	r->by_tag[req->tag] = req;
	r->guest_count++;
	if (req->op != REQUEST_FLUSH && behind_older_write(r, req)) {
		req->state = REQUEST_QUEUED;
		overlap_insert(&r->tree, req);
		TAILQ_INSERT_TAIL(&r->queued, req, link);
	} else {
		if (req->op == REQUEST_WRITE)
			overlap_insert(&r->tree, req);
		activate(r, req);
	}
	pump_unsent(r);
}

/* `done` has left the tree: what waited for it alone begins. */
static void wake_queued(struct replicate *r, const struct request *done)
{
	struct request_list ready = TAILQ_HEAD_INITIALIZER(ready);
	struct request *other = NULL;

	while ((other = overlap_next(&r->tree, other, done->sector, done->sectors))) {
		if (other->state != REQUEST_QUEUED || behind_older_write(r, other))
			continue;
		TAILQ_REMOVE(&r->queued, other, link);
		TAILQ_INSERT_TAIL(&ready, other, link);
	}
	while ((other = TAILQ_FIRST(&ready))) {
		TAILQ_REMOVE(&ready, other, link);
		if (other->op == REQUEST_READ)
			overlap_remove(&r->tree, other);
		activate(r, other);
	}
	pump_unsent(r);
}

static void count(struct replicate *r, const struct request *req)
{
	if (req->op == REQUEST_READ) {
		r->reads++;
		r->read_sectors += req->sectors;
	} else if (req->op == REQUEST_WRITE) {
		r->writes++;
		r->written_sectors += req->sectors;
	} else {
		r->flushes++;
	}
}

/* The disk has done the request, or nobody wants it any more. */
static void disk_settled(struct replicate *r, struct request *req)
{
	if (!(req->flags & REQUEST_DISK_FAILED))
		return;
	req->flags &= ~REQUEST_DISK_FAILED;
	if (!--r->disk_failed)
		r->disk_error = 0;
}

/* The request is on no list any more. */
static void finish_guest(struct replicate *r, struct request *req, int rc)
{
	bool in_tree = req->op == REQUEST_WRITE || (req->op == REQUEST_READ && req->state == REQUEST_QUEUED);

	r->by_tag[req->tag] = NULL;
	r->guest_count--;
	disk_settled(r, req);
	if (in_tree)
		overlap_remove(&r->tree, req);
	req->state = REQUEST_FREE;
	if (!rc)
		count(r, req);
	if (req->op == REQUEST_WRITE)
		wake_queued(r, req);
	r->ops->complete(r->ctx, req, rc);
	handover_drained(r);
}

static void finish_if_done(struct replicate *r, struct request *req)
{
	if (req->flags & (REQUEST_LOCAL_PENDING | REQUEST_PEER_PENDING)) {
		place_active(r, req);
		return;
	}
	finish_guest(r, req, 0);
}

void requests_drop_queued(struct replicate *r)
{
	struct request *req, *next;

	/* From the back, so that nothing that is dropped was waited for by something that is woken. */
	while ((req = TAILQ_LAST(&r->queued, request_list))) {
		TAILQ_REMOVE(&r->queued, req, link);
		finish_guest(r, req, -ECANCELED);
	}
	TAILQ_FOREACH_SAFE(req, &r->retry, link, next) {
		if (req->op != REQUEST_READ)
			continue;
		TAILQ_REMOVE(&r->retry, req, link);
		finish_guest(r, req, -ECANCELED);
	}
}

/* ---- the local disk ---- */

static void disk_failed(struct replicate *r, struct request *req, int rc)
{
	if (!r->disk_error)
		say(r, "local disk: %s of %u sectors at %" PRIu64 " failed: %s; trying again",
		    req->op == REQUEST_READ    ? "read"
		    : req->op == REQUEST_WRITE ? "write"
					       : "flush",
		    req->sectors, req->sector, strerror(-rc));
	r->disk_error = rc;
	r->disk_failed += !(req->flags & REQUEST_DISK_FAILED);
	req->flags |= REQUEST_LOCAL_RETRY | REQUEST_DISK_FAILED;
	TAILQ_INSERT_TAIL(&r->retry, req, link);
	if (r->retry_ms == UINT64_MAX)
		r->retry_ms = r->now_ms + r->cfg.disk_retry_ms;
}

static void retry_disk(struct replicate *r)
{
	struct request_list again = TAILQ_HEAD_INITIALIZER(again);
	struct request *req;

	r->retry_ms = UINT64_MAX;
	TAILQ_CONCAT(&again, &r->retry, link);
	while ((req = TAILQ_FIRST(&again))) {
		TAILQ_REMOVE(&again, req, link);
		req->flags &= ~REQUEST_LOCAL_RETRY;
		TAILQ_INSERT_TAIL(list_of(r, req), req, link);
		r->ops->disk(r->ctx, req);
	}
	pump_unsent(r);
}

static void acknowledge(struct replicate *r, struct request *req)
{
	struct packet p = { .type = req->op == REQUEST_WRITE ? PACKET_ACK : PACKET_FLUSH_ACK };

	p.ack.id = req->id;
	p.ack.epoch = r->wanted.epoch;
	if (req->op == REQUEST_WRITE)
		overlap_remove(&r->peer_tree, req);
	if (req->flags & REQUEST_ACK_WANTED)
		r->ops->send(r->ctx, &p, NULL);
	req->state = REQUEST_FREE;
	r->peer_count--;
	r->ops->complete(r->ctx, req, 0);
}

/* The peer's request is durable here and on no list. */
static void peer_request_durable(struct replicate *r, struct request *req)
{
	if ((req->flags & REQUEST_ACK_WANTED) && r->step_version[STEP_USED])
		TAILQ_INSERT_TAIL(&r->ack_held, req, link);
	else
		acknowledge(r, req);
}

void acks_release(struct replicate *r)
{
	struct request *req;

	while ((req = TAILQ_FIRST(&r->ack_held))) {
		TAILQ_REMOVE(&r->ack_held, req, link);
		acknowledge(r, req);
	}
}

void replicate_disk_done(struct replicate *r, struct request *req, int rc, uint64_t now_ms)
{
	bool dying_read;

	r->now_ms = now_ms;
	assert(req->flags & REQUEST_LOCAL_PENDING);
	TAILQ_REMOVE(list_of(r, req), req, link);
	dying_read = rc && req->op == REQUEST_READ && r->attachment == ATTACHMENT_RELEASING;
	if (rc && !dying_read) {
		disk_failed(r, req, rc);
	} else {
		req->flags &= ~REQUEST_LOCAL_PENDING;
		disk_settled(r, req);
		if (req->flags & REQUEST_FROM_PEER)
			peer_request_durable(r, req);
		else if (dying_read)
			finish_guest(r, req, -ECANCELED);
		else
			finish_if_done(r, req);
	}
	replicate_settle(r);
}

/* ---- the partner ---- */

static int on_ack(struct replicate *r, const struct packet *p)
{
	uint16_t tag = p->ack.id & ((1u << TAG_BITS) - 1);
	struct request *req = tag < REQUESTS_MAX ? r->by_tag[tag] : NULL;
	enum request_op op = p->type == PACKET_ACK ? REQUEST_WRITE : REQUEST_FLUSH;

	if (!req || req->id != p->ack.id || req->op != op || !(req->flags & REQUEST_PEER_SENT) ||
	    !(req->flags & REQUEST_PEER_PENDING)) {
		protocol_error(r, "%s for a request that was not sent (id %016" PRIx64 ")",
			       packet_name(p->type), p->ack.id);
		return -EPROTO;
	}
	TAILQ_REMOVE(list_of(r, req), req, link);
	req->flags &= ~(REQUEST_PEER_PENDING | REQUEST_PEER_SENT);
	r->sent_requests--;
	r->sent_bytes -= bytes_of(req);
	finish_if_done(r, req);
	pump_unsent(r);
	return 0;
}

static int refuse_request(struct replicate *r, const char *what)
{
	protocol_error(r, "%s", what);
	return -EPROTO;
}

static bool in_range(const struct replicate *r, const struct packet_data *d)
{
	uint32_t block_sectors = r->durable.agreed.block_size / SECTOR_SIZE;

	return d->sector + d->sectors <= r->durable.agreed.sectors && !(d->sector % block_sectors) &&
	       !(d->sectors % block_sectors);
}

static int on_peer_request(struct replicate *r, const struct packet *p, struct request *req)
{
	uint64_t epoch = p->type == PACKET_DATA ? p->data.epoch : p->ack.epoch;

	assert(req);
	if (r->wanted.token == TOKEN_HELD || epoch < r->wanted.epoch)
		return refuse_request(r, "a request of a node that does not hold the token");
	if (p->type == PACKET_DATA && !in_range(r, &p->data))
		return refuse_request(r, "DATA outside of the disk, or not in whole blocks");
	if (p->type == PACKET_DATA && overlap_next(&r->peer_tree, NULL, p->data.sector, p->data.sectors))
		return refuse_request(r, "DATA that overlaps a write in flight");
	handover_saw_epoch(r, epoch);
	req->id = p->type == PACKET_DATA ? p->data.id : p->ack.id;
	req->preflush = p->type == PACKET_DATA && p->data.preflush;
	req->flags = REQUEST_FROM_PEER | REQUEST_LOCAL_PENDING | REQUEST_ACK_WANTED;
	req->state = REQUEST_ACTIVE;
	req->since_ms = r->now_ms;
	r->peer_count++;
	r->received_sectors += req->sectors;
	if (req->op == REQUEST_WRITE)
		overlap_insert(&r->peer_tree, req);
	TAILQ_INSERT_TAIL(&r->peer_active, req, link);
	r->ops->disk(r->ctx, req);
	return 0;
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
	case PACKET_FLUSH:
		return on_peer_request(r, p, req);
	case PACKET_ACK:
	case PACKET_FLUSH_ACK:
		return on_ack(r, p);
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

int replicate_packet(struct replicate *r, const struct packet *p, struct request *req, uint64_t now_ms)
{
	int rc;

	r->now_ms = now_ms;
	if (p->type == PACKET_HELLO || p->type == PACKET_READY || p->type == PACKET_PAIR)
		rc = handshake_packet(r, p);
	else
		rc = connected_packet(r, p, req);
	replicate_settle(r);
	return rc;
}

void requests_connection_up(struct replicate *r)
{
	r->sent_requests = 0;
	r->sent_bytes = 0;
	pump_unsent(r);
}

static void forget_sent(struct replicate *r, struct request_list *list)
{
	struct request *req, *next;

	TAILQ_FOREACH_SAFE(req, list, link, next) {
		if (req->flags & REQUEST_FROM_PEER)
			continue;
		TAILQ_REMOVE(list, req, link);
		req->flags &= ~REQUEST_PEER_SENT;
		place_active(r, req);
	}
}

static void unwant_acks(struct request_list *list)
{
	struct request *req;

	TAILQ_FOREACH(req, list, link)
		req->flags &= ~REQUEST_ACK_WANTED;
}

void requests_connection_lost(struct replicate *r)
{
	struct request_list sent = TAILQ_HEAD_INITIALIZER(sent), retry = TAILQ_HEAD_INITIALIZER(retry);

	TAILQ_CONCAT(&sent, &r->active, link);
	forget_sent(r, &sent);
	unwant_acks(&r->peer_active);
	unwant_acks(&r->retry);
	TAILQ_CONCAT(&retry, &r->retry, link);
	forget_sent(r, &retry);
	TAILQ_CONCAT(&r->retry, &retry, link); /* the peer's */
	unwant_acks(&r->ack_held);
	acks_release(r);
}

void replicate_disconnected(struct replicate *r, const char *why, uint64_t now_ms)
{
	r->now_ms = now_ms;
	handshake_lost(r, why);
	handover_lost(r);
	requests_connection_lost(r);
	replicate_settle(r);
}

/* ---- time, readiness, status ---- */

/* All that R1 asks for but what the first request makes durable. */
static bool servable(const struct replicate *r)
{
	return r->attachment == ATTACHMENT_ACTIVE && r->connection == CONNECTION_CONNECTED && token_held(r) &&
	       !r->disk_error && !r->write_error;
}

bool replicate_ready(const struct replicate *r)
{
	return servable(r) && r->durable.base == r->durable.epoch && r->durable.flags & SB_IN_USE;
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

static void frozen_words(const struct replicate *r, char *out, size_t size)
{
	out[0] = '\0';
	if (r->attachment == ATTACHMENT_NONE || (servable(r) && !siblings_awaited(r)))
		return;
	if (r->write_error)
		snprintf(out, size, "the metadata cannot be written (%s); trying again",
			 strerror(-r->write_error));
	else if (r->disk_error)
		snprintf(out, size, "the local disk fails (%s); trying again", strerror(-r->disk_error));
	else if (r->connection != CONNECTION_CONNECTED && r->attachment == ATTACHMENT_RELEASING)
		snprintf(out, size,
			 "the guest is gone; %u of its last writes wait for the partner %s, which is not "
			 "connected%s%.200s",
			 r->guest_count, r->cfg.peer_host, r->why[0] ? ": " : "", r->why);
	else if (r->attachment == ATTACHMENT_STALE)
		snprintf(out, size, "this copy of the guest is stale: %.200s; destroy it (xl destroy)", r->stale_why);
	else if (siblings_awaited(r))
		snprintf(out, size, "the guest's first request waits for the tokens of its other disks");
	else if (r->want_back)
		snprintf(out, size,
			 "the guest was resumed here after it had been handed over to %s; the token comes back when "
			 "its copy there is destroyed, if that has not used the disk",
			 r->cfg.peer_host);
	else if (r->connection == CONNECTION_CONNECTED && r->attachment == ATTACHMENT_COMMITTING)
		snprintf(out, size, "the guest has arrived and waits for the token from %s", r->cfg.peer_host);
	else if (r->connection != CONNECTION_CONNECTED && r->attachment != ATTACHMENT_CLAIMING &&
		 r->attachment != ATTACHMENT_RESERVING && r->attachment != ATTACHMENT_HANDED_OVER)
		snprintf(out, size, "the partner %s is not connected%s%.200s", r->cfg.peer_host,
			 r->why[0] ? ": " : "", r->why);
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

void replicate_settle(struct replicate *r)
{
	do
		superblock_kick(r);
	while (run_due_step(r));
	handshake_begin(r);
	update_frozen(r);
	if ((servable(r) && !r->was_servable) || (replicate_ready(r) && !r->was_ready))
		r->ops->resume(r->ctx);
	r->was_servable = servable(r);
	r->was_ready = replicate_ready(r);
}

uint64_t replicate_deadline(const struct replicate *r)
{
	uint64_t deadline = handover_deadline(r);

	if (r->retry_ms < deadline)
		deadline = r->retry_ms;
	if (r->write_retry_ms < deadline)
		deadline = r->write_retry_ms;
	return deadline;
}

void replicate_tick(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	if (now_ms >= r->retry_ms)
		retry_disk(r);
	if (now_ms >= r->write_retry_ms)
		r->write_retry_ms = UINT64_MAX;
	handover_tick(r);
	replicate_settle(r);
}

static void count_requests(const struct replicate *r, struct replicate_status *out, uint64_t now_ms)
{
	size_t i;

	for (i = 0; i < REQUESTS_MAX; i++) {
		const struct request *req = r->by_tag[i];

		if (!req)
			continue;
		out->queued += req->state == REQUEST_QUEUED;
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
		.superblock = r->durable,
		.peer = r->peer,
		.peer_known = r->peer_known,
		.metadata_ms = r->write_busy ? now_ms - r->write_since_ms : 0,
		.disk_error = r->disk_error ? r->disk_error : r->write_error,
		.peer_writes = r->peer_count,
		.reads = r->reads,
		.writes = r->writes,
		.flushes = r->flushes,
		.read_sectors = r->read_sectors,
		.written_sectors = r->written_sectors,
		.sent_sectors = r->sent_sectors,
		.received_sectors = r->received_sectors,
	};
	count_requests(r, out, now_ms);
	out->incoming = r->guest.incoming;
	out->kept = r->kept;
	snprintf(out->who, sizeof(out->who), "%s", r->guest.who);
	snprintf(out->why, sizeof(out->why), "%s", r->why);
	snprintf(out->frozen, sizeof(out->frozen), "%s", r->frozen);
}

/* ---- birth and end ---- */

int replicate_new(const struct replicate_config *cfg, const struct superblock *sb,
		  const struct replicate_ops *ops, void *ctx, uint64_t now_ms, struct replicate **out)
{
	struct replicate *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->cfg = *cfg;
	r->ops = ops;
	r->ctx = ctx;
	r->now_ms = r->connection_since_ms = now_ms;
	memcpy(&r->durable, sb, sizeof(*sb));
	memcpy(&r->wanted, sb, sizeof(*sb));
	r->durable_version = r->wanted_version = 1;
	r->retry_ms = r->write_retry_ms = r->claim_deadline_ms = UINT64_MAX;
	r->left = cfg->left;
	TAILQ_INIT(&r->queued);
	TAILQ_INIT(&r->unsent);
	TAILQ_INIT(&r->active);
	TAILQ_INIT(&r->retry);
	TAILQ_INIT(&r->peer_active);
	TAILQ_INIT(&r->ack_held);
	overlap_init(&r->tree);
	overlap_init(&r->peer_tree);
	*out = r;
	if (sb->flags & SB_IN_USE) {
		r->wanted.flags = (r->wanted.flags & ~SB_IN_USE) | SB_UNCLEAN;
		r->wanted_version++;
		say(r, "found in use: this node died while it served a guest; the resource is unclean");
	}
	replicate_settle(r);
	return 0;
}

void replicate_free(struct replicate *r)
{
	free(r);
}
