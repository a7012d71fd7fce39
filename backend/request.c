/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.c: the life of a guest's request, and of a copy, on the node that holds the token (request.h tells it).
 *
 * Invariants
 *  1. A request is on exactly one list, which follows from its state and flags [list_of].
 *  2. Of two writes that overlap, the later one begins, here and at the partner, only after the earlier one
 *     is durable on both: one order on both nodes (P3). A read waits for the older writes that it overlaps. A copy of
 *     the resync counts as a write.
 *  3. A request ends only when neither LOCAL_PENDING nor PEER_PENDING is left (P1). LOCAL_PENDING goes when our disk has done it, or is given
 *     up; PEER_PENDING when the partner has answered, or when its blocks are marked under a generation that is durable (remote.c).
 */
#include "backend/replicate_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct request_list *list_of(struct replicate *r, const struct request *req)
{
	bool peers = req->flags & REQUEST_FROM_PEER;

	if (req->state == REQUEST_QUEUED)
		return &r->queued;
	if (is_whole(req))
		return &r->discarding;
	if (req->state == REQUEST_LOGGING)
		return peers ? &r->peer_logging : &r->logging;
	if (req->flags & REQUEST_LOCAL_RETRY)
		return &r->retry;
	if (peers)
		return req->flags & REQUEST_LOCAL_PENDING ? &r->peer_active
		       : req->flags & REQUEST_ANSWERED	  ? &r->peer_answered
							  : &r->ack_held;
	return (req->flags & REQUEST_PEER_PENDING) && !(req->flags & REQUEST_PEER_SENT) ? &r->unsent
											: &r->active;
}

/* The list that a guest's active request belongs on follows from its flags. */
void place_active(struct replicate *r, struct request *req)
{
	bool unsent = (req->flags & REQUEST_PEER_PENDING) && !(req->flags & REQUEST_PEER_SENT);

	if (req->flags & REQUEST_LOCAL_RETRY)
		TAILQ_INSERT_TAIL(&r->retry, req, link);
	else if (unsent)
		TAILQ_INSERT_TAIL(&r->unsent, req, link);
	else
		TAILQ_INSERT_TAIL(&r->active, req, link);
}

/* Neither disk is asked, so nothing comes back from one: what it waits for is looked at when it has been submitted. */
static void wait_for_event(struct replicate *r, struct request *req, unsigned int flags)
{
	req->flags |= REQUEST_PEER_PENDING | flags;
	r->look_again = true;
	stir(r);
}

/* Our disk may be ahead of the partner's there, after a crash, and nothing says so that the partner would believe (alone.c, invariant 1). */
static bool ahead(const struct replicate *r, const struct request *req)
{
	return !r->parted && r->connection != CONNECTION_CONNECTED &&
	       bitmap_test(r->bitmap, req->sector, req->sectors) != BITMAP_IN_SYNC;
}

/* Where a read is answered: here, if our disk has the blocks right; else by the partner. */
static void start_read(struct replicate *r, struct request *req)
{
	if (!resync_reads_here(r, req))
		req->flags |= REQUEST_PEER_PENDING | REQUEST_REMOTE;
	else if (ahead(r, req))
		wait_for_event(r, req, REQUEST_AHEAD);
	else
		req->flags |= REQUEST_LOCAL_PENDING;
}

/* Marked before it is submitted, so that whoever looks at the bitmap sees it (P1). */
static void start_write(struct replicate *r, struct request *req)
{
	if (!r->detached)
		req->flags |= REQUEST_LOCAL_PENDING;
	if (!r->parted) {
		req->flags |= REQUEST_PEER_PENDING;
		req->sent = 0;
	} else if (changes(req)) {
		marks_set(r, req->sector, req->sectors);
	}
}

void start(struct replicate *r, struct request *req)
{
	req->state = REQUEST_ACTIVE;
	if (!is_copy(req) && no_data(r)) /* nothing is done to our disk; requests_fail() ends it */
		wait_for_event(r, req, req->op == REQUEST_READ ? REQUEST_REMOTE : 0);
	else if (req->flags & REQUEST_COPY_OUT || (req->flags & REQUEST_COPY_IN && resync_compares(r, req)))
		req->flags |= REQUEST_LOCAL_PENDING;
	else if (req->flags & REQUEST_COPY_IN)
		req->flags |= REQUEST_PEER_PENDING | REQUEST_REMOTE;
	else if (req->op == REQUEST_READ)
		start_read(r, req);
	else
		start_write(r, req);
	if (req->flags & REQUEST_LOCAL_PENDING)
		disk_begin(r, req);
	place_active(r, req);
}

/* A guest's write waits until its extents are in the activity log (marks.c). */
void activate(struct replicate *r, struct request *req)
{
	if (is_whole(req)) {
		discard_begin(r, req);
		return;
	}
	if (changes(req) && !is_copy(req) && !marks_begin(r, req)) {
		req->state = REQUEST_LOGGING;
		TAILQ_INSERT_TAIL(&r->logging, req, link);
		return;
	}
	start(r, req);
}

static bool orders(const struct request *req)
{
	return (changes(req) && !(req->flags & REQUEST_PIECE)) || is_copy(req);
}

static bool behind_older_write(struct replicate *r, const struct request *req)
{
	struct request *other = NULL;

	while ((other = overlap_next(&r->tree, other, req->sector, req->sectors)))
		if (other->id < req->id && orders(other))
			return true;
	return false;
}

static void enter(struct replicate *r, struct request *req)
{
	assert(!r->by_tag[req->tag]);
	req->id = ++r->serial << TAG_BITS | req->tag;
	req->since_ms = r->now_ms;
	r->by_tag[req->tag] = req;
	if (req->op != REQUEST_FLUSH && behind_older_write(r, req)) {
		req->state = REQUEST_QUEUED;
		overlap_insert(&r->tree, req);
		TAILQ_INSERT_TAIL(&r->queued, req, link);
	} else {
		if (orders(req))
			overlap_insert(&r->tree, req);
		activate(r, req);
	}
}

void replicate_submit(struct replicate *r, struct request *req, uint64_t now_ms)
{
	assert(req->tag < REQUESTS_MAX);
	r->now_ms = now_ms;
	req->flags = 0;
	r->guest_count++;
	pace_guest(&r->pace, r->guest_count, r->now_ms);
	enter(r, req);
	pump_unsent(r);
	if (!r->at_rest)
		marks_advance(r);
}

void copy_begin(struct replicate *r, struct request *req)
{
	enter(r, req);
	pump_unsent(r);
}

/* `done` has left the tree: what waited for it alone begins. */
static void wake_queued(struct replicate *r, const struct request *done)
{
	struct request_list ready = TAILQ_HEAD_INITIALIZER(ready);
	struct request *other = NULL;

	while (!TAILQ_EMPTY(&r->queued) && (other = overlap_next(&r->tree, other, done->sector, done->sectors))) {
		if (other->state != REQUEST_QUEUED || behind_older_write(r, other))
			continue;
		TAILQ_REMOVE(&r->queued, other, link);
		TAILQ_INSERT_TAIL(&ready, other, link);
	}
	while ((other = TAILQ_FIRST(&ready))) {
		TAILQ_REMOVE(&ready, other, link);
		if (!orders(other))
			overlap_remove(&r->tree, other);
		activate(r, other);
	}
	pump_unsent(r);
}

void requests_logged(struct replicate *r)
{
	struct request_list waiting = TAILQ_HEAD_INITIALIZER(waiting);
	struct request *req;

	TAILQ_CONCAT(&waiting, &r->logging, link);
	while ((req = TAILQ_FIRST(&waiting))) {
		TAILQ_REMOVE(&waiting, req, link);
		activate(r, req);
	}
	TAILQ_CONCAT(&waiting, &r->peer_logging, link);
	while ((req = TAILQ_FIRST(&waiting))) {
		TAILQ_REMOVE(&waiting, req, link);
		peer_begin(r, req);
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
	} else if (req->op == REQUEST_DISCARD) {
		r->discards++;
		r->discarded_sectors += req->sectors;
	} else {
		r->flushes++;
	}
}

void disk_settled(struct replicate *r, struct request *req)
{
	if (!(req->flags & REQUEST_DISK_FAILED))
		return;
	req->flags &= ~REQUEST_DISK_FAILED;
	if (!--r->disk_failed)
		r->disk_error = 0;
}

/* The request is on no list any more. */
void leave(struct replicate *r, struct request *req)
{
	r->by_tag[req->tag] = NULL;
	disk_settled(r, req);
	if (orders(req) || (req->op == REQUEST_READ && req->state == REQUEST_QUEUED))
		overlap_remove(&r->tree, req);
	if (req->flags & REQUEST_LOGGED)
		marks_end(r, req);
	req->state = REQUEST_FREE;
	if (orders(req))
		wake_queued(r, req);
}

void finish_guest(struct replicate *r, struct request *req, int rc)
{
	if (req->flags & REQUEST_PIECE) {
		discard_piece_ended(r, req, rc);
		return;
	}
	leave(r, req);
	r->guest_count--;
	pace_guest(&r->pace, r->guest_count, r->now_ms);
	if (!rc)
		count(r, req);
	r->ops->complete(r->ctx, req, rc);
	handover_drained(r);
}

static void send_in_sync(struct replicate *r, const struct request *req)
{
	struct packet p = { .type = PACKET_IN_SYNC };

	if (r->connection != CONNECTION_CONNECTED)
		return;
	p.in_sync.epoch = r->durable.epoch;
	p.in_sync.sector = req->sector;
	p.in_sync.sectors = req->sectors;
	r->ops->send(r->ctx, &p, NULL);
}

void copy_end(struct replicate *r, struct request *req, bool same)
{
	if (same) {
		marks_clear(r, req->sector, req->sectors);
		*(req->op == REQUEST_WRITE ? &r->copied_sectors : &r->same_sectors) += req->sectors;
	}
	if (same && req->flags & REQUEST_COPY_IN && req->op == REQUEST_WRITE)
		send_in_sync(r, req);
	leave(r, req);
	req->flags = 0;
	r->copies--;
	pace_ended(&r->pace, req->sectors, r->now_ms - req->since_ms, r->now_ms);
	if (!r->copies) {
		token_advance(r);
		handover_drained(r);
	}
}

/* Our disk has been read: has the partner's the same? */
static bool compare(struct replicate *r, struct request *req)
{
	if (!resync_compares(r, req))
		return false;
	req->flags |= REQUEST_COMPARE;
	req->digest_length = csum_of(r->csum, req->data, bytes_of(req), req->digest);
	if (!req->digest_length)
		return false;
	req->flags |= REQUEST_PEER_PENDING;
	return true;
}

/* What a copy does after a read: of our disk, of the partner's, or of both (when they differ). */
void copy_turn(struct replicate *r, struct request *req, bool from_partner)
{
	if (r->connection != CONNECTION_CONNECTED || req->flags & REQUEST_MARKED) {
		copy_end(r, req, false);
		return;
	}
	if (from_partner || !compare(r, req)) {
		req->flags &= ~(REQUEST_REMOTE | REQUEST_COMPARE);
		if (req->flags & REQUEST_COPY_OUT) {
			req->op = REQUEST_WRITE;
			req->flags |= REQUEST_PEER_PENDING;
		} else if (from_partner) {
			req->op = REQUEST_WRITE;
			req->flags |= REQUEST_LOCAL_PENDING;
			disk_begin(r, req);
		} else {
			req->flags |= REQUEST_PEER_PENDING | REQUEST_REMOTE;
		}
	}
	place_active(r, req);
	pump_unsent(r);
}

/* Our disk or the partner has done its part. */
void part_done(struct replicate *r, struct request *req)
{
	if (req->flags & (REQUEST_LOCAL_PENDING | REQUEST_PEER_PENDING))
		place_active(r, req);
	else if (!is_copy(req))
		finish_guest(r, req, req->flags & REQUEST_DISCARDED ? -ECANCELED : req->flags & REQUEST_NO_DATA ? -EIO : 0);
	else if (req->op == REQUEST_READ)
		copy_turn(r, req, req->flags & REQUEST_REMOTE);
	else
		copy_end(r, req, !(req->flags & REQUEST_MARKED));
}

/* ---- no disk is left ---- */

/* A write may have been done there, here, on both or on none: its blocks may differ (D4). What began without our disk is marked by
 * the partner, which had the only one. */
static void fail(struct replicate *r, struct request *req)
{
	if (changes(req) && req->flags & REQUEST_LOGGED) {
		marks_set(r, req->sector, req->sectors);
		r->write_failed = true;
	}
	req->flags = (req->flags & ~REQUEST_PEER_PENDING) | REQUEST_NO_DATA;
	part_done(r, req);
}

void requests_fail(struct replicate *r)
{
	struct request *req, *next;

	while (requests_waiting(r))
		TAILQ_FOREACH_SAFE(req, &r->unsent, link, next) {
			if (is_copy(req) || req->flags & REQUEST_PAGE)
				continue;
			TAILQ_REMOVE(&r->unsent, req, link);
			fail(r, req);
			break; /* what waited for it may have joined the list */
		}
}

/* ---- the guest is gone ---- */

void requests_drop_queued(struct replicate *r)
{
	struct request *req, *next;

	discards_stop(r);
	/* From the back, so that nothing that is dropped was waited for by something that is woken. */
	TAILQ_FOREACH_REVERSE_SAFE(req, &r->queued, request_list, link, next) {
		if (is_copy(req))
			continue;
		TAILQ_REMOVE(&r->queued, req, link);
		finish_guest(r, req, -ECANCELED);
	}
	while ((req = TAILQ_LAST(&r->logging, request_list))) {
		TAILQ_REMOVE(&r->logging, req, link);
		finish_guest(r, req, -ECANCELED);
	}
	discards_stopped(r);
	TAILQ_FOREACH_SAFE(req, &r->retry, link, next) {
		if (req->op != REQUEST_READ || req->flags & REQUEST_FROM_PEER || is_copy(req))
			continue;
		TAILQ_REMOVE(&r->retry, req, link);
		finish_guest(r, req, -ECANCELED);
	}
}

/* ---- its data do not count ---- */

/* What it wrote is copied over: those blocks are out of sync before the meeting that took the token is over. */
static void discard(struct replicate *r, struct request *req)
{
	if (changes(req) && req->flags & REQUEST_LOGGED)
		marks_set(r, req->sector, req->sectors);
	if (req->flags & REQUEST_LOCAL_RETRY)
		req->flags &= ~(REQUEST_LOCAL_RETRY | REQUEST_LOCAL_PENDING);
	req->flags = (req->flags & ~(REQUEST_PEER_PENDING | REQUEST_REMOTE | REQUEST_AHEAD)) | REQUEST_DISCARDED;
	part_done(r, req);
}

static void take_guests(struct request_list *from, struct request_list *to)
{
	struct request *req, *next;

	TAILQ_FOREACH_SAFE(req, from, link, next) {
		if (req->flags & (REQUEST_FROM_PEER | REQUEST_PAGE) || is_copy(req))
			continue;
		TAILQ_REMOVE(from, req, link);
		TAILQ_INSERT_TAIL(to, req, link);
	}
}

void requests_discard(struct replicate *r)
{
	struct request_list all = TAILQ_HEAD_INITIALIZER(all);
	struct request *req;

	requests_drop_queued(r);
	take_guests(&r->unsent, &all);
	take_guests(&r->retry, &all);
	take_guests(&r->active, &all);
	while ((req = TAILQ_FIRST(&all))) {
		TAILQ_REMOVE(&all, req, link);
		discard(r, req);
	}
}

/* ---- the local disk ---- */

const char *op_name(const struct request *req)
{
	static const char *const names[] = { "read", "write", "flush", "discard" };

	return names[req->op];
}

void retry_later(struct replicate *r, struct request *req)
{
	req->flags |= REQUEST_LOCAL_RETRY;
	TAILQ_INSERT_TAIL(&r->retry, req, link);
	if (r->retry_ms == UINT64_MAX)
		r->retry_ms = r->now_ms + r->cfg.disk_retry_ms;
}

void try_again(struct replicate *r, struct request *req, int rc)
{
	if (!r->disk_error)
		say(r, "local disk: %s of %u sectors at %" PRIu64 " failed: %s; trying again", op_name(req), req->sectors,
		    req->sector, strerror(-rc));
	r->disk_error = rc;
	r->disk_failed += !(req->flags & REQUEST_DISK_FAILED);
	req->flags |= REQUEST_DISK_FAILED;
	retry_later(r, req);
}

void retry_disk(struct replicate *r)
{
	struct request_list again = TAILQ_HEAD_INITIALIZER(again);
	struct request *req;

	r->retry_ms = UINT64_MAX;
	TAILQ_CONCAT(&again, &r->retry, link);
	while ((req = TAILQ_FIRST(&again))) {
		TAILQ_REMOVE(&again, req, link);
		req->flags &= ~REQUEST_LOCAL_RETRY;
		TAILQ_INSERT_TAIL(list_of(r, req), req, link);
		if (req->flags & REQUEST_LOCAL_PENDING)
			disk_begin(r, req);
	}
	pump_unsent(r);
}

/* Our disk is out of the game for this request: the partner has done it already or, so that it is certain that the partner
 * knows our disk to be worthless before the guest hears of it, will do it again (P1). */
void without_disk(struct replicate *r, struct request *req)
{
	disk_settled(r, req);
	req->flags &= ~(REQUEST_LOCAL_PENDING | REQUEST_LOCAL_RETRY);
	if (is_copy(req)) {
		copy_end(r, req, false);
		return;
	}
	if (req->flags & REQUEST_DISCARDED) {
		part_done(r, req);
		return;
	}
	if (!(req->flags & REQUEST_PEER_PENDING)) {
		req->flags |= REQUEST_PEER_PENDING;
		req->flags &= ~REQUEST_PEER_SENT;
		req->sent = 0;
	}
	if (req->op == REQUEST_READ)
		req->flags |= REQUEST_REMOTE;
	place_active(r, req);
	pump_unsent(r); /* the two may have met without our disk already */
}

void requests_detach(struct replicate *r)
{
	struct request *req, *next;

	TAILQ_FOREACH_SAFE(req, &r->retry, link, next) {
		if (!(req->flags & REQUEST_LOCAL_PENDING) || req->flags & REQUEST_FROM_PEER)
			continue;
		TAILQ_REMOVE(&r->retry, req, link);
		without_disk(r, req);
	}
	copies_drop_queued(r);
	requests_logged(r); /* no need to wait for the log [marks_begin] */
}

/* Each as if it had just been submitted: our disk may have had none of it. What the disk still has it ends, as ever. */
void requests_return(struct replicate *r)
{
	struct request_list again = TAILQ_HEAD_INITIALIZER(again);
	struct request *req, *next;

	TAILQ_FOREACH_SAFE(req, &r->unsent, link, next) {
		if (req->flags & (REQUEST_LOCAL_PENDING | REQUEST_PAGE) || is_copy(req))
			continue;
		TAILQ_REMOVE(&r->unsent, req, link);
		TAILQ_INSERT_TAIL(&again, req, link);
	}
	while ((req = TAILQ_FIRST(&again))) {
		TAILQ_REMOVE(&again, req, link);
		req->flags &= ~(REQUEST_PEER_PENDING | REQUEST_REMOTE | REQUEST_AHEAD);
		if (req->flags & REQUEST_LOGGED)
			start(r, req);
		else
			activate(r, req);
	}
}

/* The partner has the write, or will have; our disk is inconsistent there until it can be written again. That is durable
 * before the guest hears of it (P1). */
static void pass_on(struct replicate *r, struct request *req, int rc)
{
	resync_heal(r, req->sector, req->sectors);
	if (superblock_may_say(r, SB_CONSISTENT)) {
		try_again(r, req, rc);
		return;
	}
	disk_settled(r, req);
	req->flags &= ~REQUEST_LOCAL_PENDING;
	part_done(r, req);
}

/* Nor is it tried again while the partner is away, which may have it: it is marked now, or when the two part; or they meet, and it is tried
 * again after all [pump_unsent]. */
static void not_done_here(struct replicate *r, struct request *req)
{
	if (r->parted)
		marks_set(r, req->sector, req->sectors);
	else
		req->flags = (req->flags | REQUEST_PEER_PENDING) & ~REQUEST_PEER_SENT;
}

/* A guest's request or a copy, on no list. */
static void disk_failed(struct replicate *r, struct request *req, int rc)
{
	bool peer = r->connection == CONNECTION_CONNECTED && peer_good(r);

	disk_breaks(r);
	if (r->detached || (req->op != REQUEST_READ && detach_on_error(r, rc, op_name(req)))) {
		without_disk(r, req);
	} else if (is_copy(req) && req->op == REQUEST_WRITE) {
		resync_hold(r);
		copy_end(r, req, false);
	} else if (changes(req) && peer) { /* on-io-error pass_on */
		pass_on(r, req, rc);
	} else if (req->op == REQUEST_READ && req->flags & REQUEST_COPY_IN) {
		req->flags &= ~REQUEST_LOCAL_PENDING; /* it could not be compared: it is copied */
		req->flags |= REQUEST_COMPARE;
		copy_turn(r, req, false);
	} else if (req->op == REQUEST_READ && !is_copy(req) && peer) {
		say(r, "local disk: read of %u sectors at %" PRIu64 " failed: %s; the partner's copy is read", req->sectors,
		    req->sector, strerror(-rc));
		req->flags &= ~REQUEST_LOCAL_PENDING;
		req->flags |= REQUEST_PEER_PENDING | REQUEST_REMOTE;
		resync_heal(r, req->sector, req->sectors);
		place_active(r, req);
		pump_unsent(r);
	} else if (r->cfg.io_error && !is_copy(req) && (req->op == REQUEST_READ || r->connection != CONNECTION_CONNECTED)) {
		say(r, "local disk: %s of %u sectors at %" PRIu64 " failed: %s; the guest gets an error", op_name(req), req->sectors,
		    req->sector, strerror(-rc));
		disk_settled(r, req);
		req->flags = (req->flags & ~REQUEST_LOCAL_PENDING) | REQUEST_NO_DATA;
		if (changes(req))
			not_done_here(r, req);
		part_done(r, req);
	} else {
		try_again(r, req, rc);
	}
}

void replicate_disk_done(struct replicate *r, struct request *req, int rc, uint64_t now_ms)
{
	bool dying;

	r->now_ms = now_ms;
	if (rc)
		stir(r);
	assert(req->flags & REQUEST_LOCAL_PENDING);
	disk_ended(r, req);
	TAILQ_REMOVE(list_of(r, req), req, link);
	dying = rc && ((req->op == REQUEST_READ && r->attachment == ATTACHMENT_RELEASING && !(req->flags & REQUEST_FROM_PEER) &&
			!is_copy(req)) || req->flags & REQUEST_DISCARDED);
	if (rc && !dying) {
		if (req->flags & REQUEST_FROM_PEER)
			peer_request_failed(r, req, rc);
		else
			disk_failed(r, req, rc);
	} else {
		req->flags &= ~REQUEST_LOCAL_PENDING;
		disk_settled(r, req);
		if (!rc && req->secure)
			discard_done_here(r, req);
		if (dying)
			finish_guest(r, req, -ECANCELED);
		else if (req->flags & REQUEST_FROM_PEER)
			peer_request_done(r, req);
		else
			part_done(r, req);
	}
	replicate_settle(r);
}
