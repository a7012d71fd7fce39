/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remote.c: what the holder sends to the partner, and what comes back: the window, answers, a connection that is lost.
 *
 * Invariants
 *  1. What is on the wire and unanswered never exceeds the window that the partner's HELLO granted.
 *  2. Losing the connection leaves PEER_PENDING: the request is sent again on the next one, where, since nothing newer can have
 *     touched its sectors (request.c, invariant 2), a repetition is harmless.
 *  3. Only requests_part() takes PEER_PENDING away without an answer: the blocks are marked then (marks.c), under a
 *     generation that is durable (alone.c).
 */
#include "backend/replicate_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

bool window_open(const struct replicate *r, uint32_t bytes)
{
	return r->sent_requests < r->peer.window_requests && r->sent_bytes + bytes <= r->peer.window_bytes;
}

static void fill_range(const struct replicate *r, const struct request *req, enum packet_type type, struct packet *p)
{
	p->type = type;
	p->read.id = req->id;
	p->read.epoch = r->durable.epoch;
	p->read.sector = req->sector;
	p->read.sectors = req->sectors;
}

static void fill_csum(const struct replicate *r, const struct request *req, struct packet *p)
{
	p->type = PACKET_CSUM;
	p->csum.id = req->id;
	p->csum.epoch = r->durable.epoch;
	p->csum.sector = req->sector;
	p->csum.sectors = req->sectors;
	p->csum.length = req->digest_length;
	memcpy(p->csum.digest, req->digest, req->digest_length);
}

static void fill_page(const struct request *req, struct packet *p)
{
	p->payload = bytes_of(req);
	if (req->flags & REQUEST_HOT) {
		p->type = PACKET_HOT;
		p->hot.id = req->id;
		p->hot.reservation = req->sector;
	} else {
		p->type = PACKET_BITMAP;
		p->bitmap.id = req->id;
		p->bitmap.page = (uint32_t)req->sector;
	}
}

static void fill_request(const struct replicate *r, const struct request *req, struct packet *p)
{
	if (req->flags & REQUEST_PAGE) {
		fill_page(req, p);
		return;
	}
	switch (req->op) {
	case REQUEST_WRITE:
		if (req->flags & REQUEST_COPY_OUT && only_zeroes(req)) {
			fill_range(r, req, PACKET_ZEROES, p);
			break;
		}
		p->type = PACKET_DATA;
		p->payload = bytes_of(req);
		p->data.id = req->id;
		p->data.epoch = r->durable.epoch;
		p->data.sector = req->sector;
		p->data.sectors = req->sectors;
		p->data.preflush = req->preflush;
		p->data.copy = (req->flags & REQUEST_COPY_OUT) != 0;
		break;
	case REQUEST_READ:
		if (req->flags & REQUEST_COMPARE)
			fill_csum(r, req, p);
		else
			fill_range(r, req, PACKET_READ, p);
		break;
	case REQUEST_DISCARD:
		discard_fill(r, req, p);
		break;
	case REQUEST_FLUSH:
		p->type = PACKET_FLUSH;
		p->ack.id = req->id;
		p->ack.epoch = r->durable.epoch;
		break;
	}
}

static void send_request(struct replicate *r, struct request *req)
{
	struct packet p = { .type = PACKET_FLUSH };

	fill_request(r, req, &p);
	req->flags |= REQUEST_PEER_SENT;
	r->sent_requests++;
	r->sent_bytes += window_bytes(r, req);
	if (p.type == PACKET_DATA)
		r->sent_sectors += p.data.sectors;
	r->ops->send(r->ctx, &p, req);
}

static void start_again(struct replicate *r, struct request *req)
{
	req->flags &= ~(REQUEST_PEER_PENDING | REQUEST_REMOTE | REQUEST_AHEAD);
	start(r, req);
}

void pump_unsent(struct replicate *r)
{
	struct request *req;

	if (r->connection != CONNECTION_CONNECTED || r->reconnecting)
		return;
	while ((req = TAILQ_FIRST(&r->unsent)) && window_open(r, window_bytes(r, req))) {
		TAILQ_REMOVE(&r->unsent, req, link);
		if (req->flags & REQUEST_NO_DATA && !r->detached) { /* our disk has failed it while there was no partner to have it instead */
			req->flags = (req->flags & ~REQUEST_NO_DATA) | REQUEST_LOCAL_PENDING;
			try_again(r, req, -EIO);
			continue;
		}
		req->flags &= ~REQUEST_NO_DATA;
		if (req->flags & REQUEST_AHEAD) { /* the two have met: now it is certain who has what */
			start_again(r, req);
			continue;
		}
		send_request(r, req);
		place_active(r, req);
	}
}

/* ---- answers ---- */

static bool answers(enum request_op op, const struct request *req)
{
	return op == req->op || (op == REQUEST_WRITE && req->op == REQUEST_DISCARD);
}

/* The request that an answer is for, taken off its list; NULL: it was not sent (the connection is being closed). */
static struct request *answered(struct replicate *r, const struct packet *p, enum request_op op)
{
	uint16_t tag = p->ack.id & ((1u << TAG_BITS) - 1);
	struct request *req = tag < TAGS ? r->by_tag[tag] : NULL;

	if (!req || req->id != p->ack.id || !answers(op, req) || !(req->flags & REQUEST_PEER_SENT) ||
	    !(req->flags & REQUEST_PEER_PENDING)) {
		protocol_error(r, "%s for a request that was not sent (id %016" PRIx64 ")",
			       packet_name(p->type), p->ack.id);
		return NULL;
	}
	TAILQ_REMOVE(list_of(r, req), req, link);
	req->flags &= ~REQUEST_PEER_SENT;
	r->sent_requests--;
	r->sent_bytes -= window_bytes(r, req);
	return req;
}

static int on_ack(struct replicate *r, const struct packet *p)
{
	struct request *req = answered(r, p, p->type == PACKET_FLUSH_ACK ? REQUEST_FLUSH : REQUEST_WRITE);

	if (!req)
		return -EPROTO;
	if (p->type == PACKET_NOT_ERASED && !req->secure) {
		place_active(r, req);
		return refuse_packet(r, "NOT_ERASED for something else than a secure discard");
	}
	if (req->secure)
		discard_done_there(r, req, p->type);
	if (discard_more(r, req)) {
		place_active(r, req);
	} else {
		req->flags &= ~REQUEST_PEER_PENDING;
		part_done(r, req);
	}
	pump_unsent(r);
	return 0;
}

static int on_compared(struct replicate *r, const struct packet *p)
{
	struct request *req = answered(r, p, REQUEST_READ);

	if (!req)
		return -EPROTO;
	if (!(req->flags & REQUEST_COMPARE)) {
		place_active(r, req);
		return refuse_packet(r, "the answer to a comparison that was not asked for");
	}
	req->flags &= ~REQUEST_PEER_PENDING;
	if (p->type == PACKET_SAME)
		copy_end(r, req, true);
	else
		copy_turn(r, req, false);
	pump_unsent(r);
	return 0;
}

static int on_read_zeroes(struct replicate *r, const struct packet *p)
{
	struct request *req = answered(r, p, REQUEST_READ);

	if (!req)
		return -EPROTO;
	if (!(req->flags & REQUEST_REMOTE)) {
		place_active(r, req);
		return refuse_packet(r, "READ_ZEROES for something else than a read");
	}
	memset(req->data, 0, bytes_of(req));
	req->flags &= ~REQUEST_PEER_PENDING;
	part_done(r, req);
	pump_unsent(r);
	return 0;
}

/* `carrier` has the payload; it is given back at once. */
static int on_read_data(struct replicate *r, const struct packet *p, struct request *carrier)
{
	struct request *req = answered(r, p, REQUEST_READ);
	struct packet received = { .type = PACKET_RECEIVED };

	if (!req)
		return -EPROTO;
	if (bytes_of(req) != p->payload || !(req->flags & REQUEST_REMOTE)) {
		place_active(r, req);
		protocol_error(r, "READ_DATA of %u bytes for a read of %u", p->payload, bytes_of(req));
		return -EPROTO;
	}
	memcpy(req->data, carrier->data, p->payload);
	received.ack = p->ack;
	r->ops->send(r->ctx, &received, NULL);
	carrier->flags = REQUEST_FROM_PEER;
	r->ops->complete(r->ctx, carrier, 0);
	r->received_sectors += req->sectors;
	req->flags &= ~REQUEST_PEER_PENDING;
	part_done(r, req);
	pump_unsent(r);
	return 0;
}

static int on_read_failed(struct replicate *r, const struct packet *p)
{
	struct request *req = answered(r, p, REQUEST_READ);

	if (!req)
		return -EPROTO;
	if (!r->unreadable_ms || r->now_ms - r->unreadable_ms > 10 * r->cfg.disk_retry_ms)
		say(r, "the disk on %s failed a read of %u sectors at %" PRIu64 "; trying again", r->cfg.peer_host, req->sectors,
	    req->sector);
	r->unreadable_ms = r->now_ms;
	if (is_copy(req)) {
		resync_hold(r);
		copy_end(r, req, false);
	} else if (r->cfg.io_error) { /* ours has it not right, or could not read it either */
		req->flags = (req->flags & ~REQUEST_PEER_PENDING) | REQUEST_NO_DATA;
		part_done(r, req);
		pump_unsent(r);
	} else {
		retry_later(r, req);
	}
	return 0;
}

int remote_packet(struct replicate *r, const struct packet *p, struct request *req)
{
	switch (p->type) {
	case PACKET_ACK:
	case PACKET_NOT_ERASED:
	case PACKET_FLUSH_ACK:
		return on_ack(r, p);
	case PACKET_READ_DATA:
		return on_read_data(r, p, req);
	case PACKET_READ_ZEROES:
		return on_read_zeroes(r, p);
	case PACKET_SAME:
	case PACKET_DIFFERENT:
		return on_compared(r, p);
	default: /* READ_FAILED */
		return on_read_failed(r, p);
	}
}

/* ---- without the partner ---- */

/* Marks what the partner has not got, and lets it end without it. */
void requests_part(struct replicate *r)
{
	struct request_list waiting = TAILQ_HEAD_INITIALIZER(waiting);
	struct request *req, *next;

	assert(r->parted);
	TAILQ_CONCAT(&waiting, &r->unsent, link);
	TAILQ_FOREACH_SAFE(req, &r->retry, link, next) { /* what a disk has failed: the partner's, or ours */
		if (req->flags & REQUEST_FROM_PEER || !(req->flags & REQUEST_PEER_PENDING))
			continue;
		if (req->flags & REQUEST_REMOTE) {
			TAILQ_REMOVE(&r->retry, req, link);
			req->flags &= ~REQUEST_LOCAL_RETRY;
			TAILQ_INSERT_TAIL(&waiting, req, link);
			continue;
		}
		req->flags &= ~REQUEST_PEER_PENDING;
		if (changes(req))
			marks_set(r, req->sector, req->sectors);
	}
	while ((req = TAILQ_FIRST(&waiting))) {
		TAILQ_REMOVE(&waiting, req, link);
		if (req->op == REQUEST_READ) { /* from our disk, whatever that said before */
			start_again(r, req);
			continue;
		}
		req->flags &= ~REQUEST_PEER_PENDING;
		if (changes(req))
			marks_set(r, req->sector, req->sectors);
		part_done(r, req);
	}
}

bool requests_waiting(const struct replicate *r)
{
	const struct request *req;

	TAILQ_FOREACH(req, &r->unsent, link)
		if (!is_copy(req) && !(req->flags & REQUEST_PAGE))
			return true;
	return false;
}

bool requests_unsent(const struct replicate *r)
{
	const struct request *req;

	TAILQ_FOREACH(req, &r->unsent, link)
		if (!(req->flags & (REQUEST_REMOTE | REQUEST_PAGE)))
			return true;
	TAILQ_FOREACH(req, &r->retry, link)
		if (req->flags & REQUEST_PEER_PENDING && !(req->flags & (REQUEST_REMOTE | REQUEST_FROM_PEER)))
			return true;
	return false;
}

/* Who has what was another matter when they began: the partner's disk may be a new one. */
static void decide_reads_anew(struct request_list *list)
{
	struct request *req;

	TAILQ_FOREACH(req, list, link)
		if (req->op == REQUEST_READ && req->flags & REQUEST_REMOTE && !(req->flags & REQUEST_FROM_PEER) && !is_copy(req))
			req->flags |= REQUEST_AHEAD; /* pump_unsent() */
}

void requests_connection_up(struct replicate *r)
{
	r->sent_requests = 0;
	r->sent_bytes = 0;
	r->unreadable_ms = 0;
	decide_reads_anew(&r->unsent);
	decide_reads_anew(&r->retry);
	if (r->parted)
		requests_part(r);
	pump_unsent(r);
}

/* What was sent may be lost: it is sent again. A copy is not: its blocks stay marked. */
static void forget_sent(struct replicate *r, struct request_list *list)
{
	struct request_list all = TAILQ_HEAD_INITIALIZER(all);
	struct request *req;

	TAILQ_CONCAT(&all, list, link);
	while ((req = TAILQ_FIRST(&all))) {
		TAILQ_REMOVE(&all, req, link);
		if (req->flags & REQUEST_FROM_PEER) {
			TAILQ_INSERT_TAIL(list, req, link);
			continue;
		}
		if (req->flags & REQUEST_PAGE) {
			req->flags = 0; /* resync_lost() has freed it */
			continue;
		}
		req->flags &= ~REQUEST_PEER_SENT;
		req->sent = 0;
		if (is_copy(req) && !(req->flags & REQUEST_LOCAL_PENDING)) {
			copy_end(r, req, false);
			continue;
		}
		if (is_copy(req))
			req->flags |= REQUEST_MARKED; /* what it copies may differ again when it is done */
		place_active(r, req);
	}
}

void copies_drop_queued(struct replicate *r)
{
	struct request *req, *next;

	TAILQ_FOREACH_REVERSE_SAFE(req, &r->queued, request_list, link, next) {
		if (!is_copy(req))
			continue;
		TAILQ_REMOVE(&r->queued, req, link);
		copy_end(r, req, false);
	}
}

void requests_connection_lost(struct replicate *r)
{
	copies_drop_queued(r);
	forget_sent(r, &r->active);
	forget_sent(r, &r->unsent);
	forget_sent(r, &r->retry);
}
