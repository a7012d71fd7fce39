/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * peer.c: the partner's requests at our disk.
 *
 * Invariants
 *  1. They are taken only from a node that holds the token, in an epoch that is not older than ours (R6).
 *  2. A write is acknowledged only on the connection that brought it, when it is durable here and {NONE, epoch, base = epoch} is,
 *     too. A repetition is executed again.
 *  3. Two writes that overlap are never in flight together: the holder orders them.
 *  4. A write of a partner without a disk is marked before it begins, with its extents in our log (marks.c).
 */
#include "backend/replicate_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

int refuse_packet(struct replicate *r, const char *what)
{
	protocol_error(r, "%s", what);
	return -EPROTO;
}

static void peer_end(struct replicate *r, struct request *req)
{
	disk_settled(r, req);
	req->state = REQUEST_FREE;
	r->peer_count--;
	r->ops->complete(r->ctx, req, 0);
}

/* Is our disk the same there as the partner's, by the partner's digest? */
static bool same_here(struct replicate *r, const struct request *req)
{
	uint8_t digest[CSUM_MAX];
	uint16_t length = r->csum ? csum_of(r->csum, req->data, bytes_of(req), digest) : 0;

	return length && length == req->digest_length && !memcmp(digest, req->digest, length);
}

/* Of the blocks in question the two disks now have the same. */
static bool copied(const struct request *req, enum packet_type answer)
{
	return answer == PACKET_SAME || (answer == PACKET_ACK && req->flags & REQUEST_COPY_OUT);
}

static enum packet_type answer_type(struct replicate *r, const struct request *req)
{
	if (req->op == REQUEST_DISCARD && req->secure && !(req->flags & REQUEST_ERASED_HERE))
		return PACKET_NOT_ERASED;
	if (changes(req))
		return PACKET_ACK;
	if (req->op == REQUEST_FLUSH)
		return PACKET_FLUSH_ACK;
	if (req->flags & REQUEST_COMPARE)
		return same_here(r, req) ? PACKET_SAME : PACKET_DIFFERENT;
	return only_zeroes(req) ? PACKET_READ_ZEROES : PACKET_READ_DATA;
}

static void send_answer(struct replicate *r, struct request *req)
{
	struct packet p = { .type = answer_type(r, req) };

	p.ack.id = req->id;
	p.ack.epoch = r->wanted.epoch;
	if (copied(req, p.type))
		marks_clear(r, req->sector, req->sectors);
	if (p.type != PACKET_READ_DATA) {
		r->ops->send(r->ctx, &p, NULL);
		peer_end(r, req);
		return;
	}
	p.payload = bytes_of(req);
	req->flags |= REQUEST_ANSWERED;
	TAILQ_INSERT_TAIL(&r->peer_answered, req, link);
	r->ops->send(r->ctx, &p, req);
}

static void acknowledge(struct replicate *r, struct request *req)
{
	if (changes(req))
		overlap_remove(&r->peer_tree, req);
	if (req->flags & REQUEST_LOGGED)
		marks_end(r, req);
	if (req->flags & REQUEST_ACK_WANTED)
		send_answer(r, req);
	else
		peer_end(r, req);
}

/* The peer's request is done here and on no list. */
void peer_request_done(struct replicate *r, struct request *req)
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

static void read_failed(struct replicate *r, struct request *req)
{
	struct packet p = { .type = PACKET_READ_FAILED };

	p.ack.id = req->id;
	p.ack.epoch = r->wanted.epoch;
	if (req->flags & REQUEST_ACK_WANTED)
		r->ops->send(r->ctx, &p, NULL);
	peer_end(r, req);
}

/* Our disk has failed the partner's request: the partner hears of it from the next HELLO, or from READ_FAILED. */
void peer_request_failed(struct replicate *r, struct request *req, int rc)
{
	if (req->op != REQUEST_READ) {
		if (detach_on_error(r, rc, op_name(req))) {
			req->flags &= ~REQUEST_ACK_WANTED;
			acknowledge(r, req);
		} else {
			try_again(r, req, rc);
		}
		return;
	}
	read_failed(r, req);
}

static bool in_range(const struct replicate *r, uint64_t sector, uint32_t sectors)
{
	uint32_t block_sectors = r->durable.agreed.block_size / SECTOR_SIZE;

	return sector + sectors <= r->durable.agreed.sectors && !(sector % block_sectors) && !(sectors % block_sectors);
}

/* A write of a partner that has no disk is on ours only: marked here, as a guest's would be there. */
void peer_begin(struct replicate *r, struct request *req)
{
	if (changes(req) && r->peer.diskless) {
		if (!marks_begin(r, req)) {
			req->state = REQUEST_LOGGING;
			TAILQ_INSERT_TAIL(&r->peer_logging, req, link);
			return;
		}
		marks_set(r, req->sector, req->sectors);
	}
	req->state = REQUEST_ACTIVE;
	req->flags |= REQUEST_LOCAL_PENDING;
	TAILQ_INSERT_TAIL(&r->peer_active, req, link);
	disk_begin(r, req);
}

/* NULL, or why the partner may not ask for this. */
static const char *peer_request_wrong(struct replicate *r, const struct request *req, uint64_t epoch)
{
	if (r->wanted.token == TOKEN_HELD || epoch < r->wanted.epoch)
		return "a request of a node that does not hold the token";
	if (r->detached)
		return "a request for a disk that is not there";
	if (req->op == REQUEST_FLUSH)
		return NULL;
	if (!in_range(r, req->sector, req->sectors))
		return "a request outside of the disk, or not in whole blocks";
	if (changes(req) && overlap_next(&r->peer_tree, NULL, req->sector, req->sectors))
		return "a write that overlaps one in flight";
	return NULL;
}

static bool of_resync(const struct packet *p)
{
	return p->type == PACKET_ZEROES || p->type == PACKET_CSUM || p->type == PACKET_READ ||
	       (p->type == PACKET_DATA && p->data.copy);
}

static void take_request(const struct packet *p, struct request *req)
{
	/* every request's body begins with id and epoch (wire.h) */
	req->id = p->ack.id;
	req->flags = REQUEST_FROM_PEER | REQUEST_ACK_WANTED;
	if (p->type == PACKET_ZEROES) {
		memset(req->data, 0, bytes_of(req));
		req->flags |= REQUEST_COPY_OUT;
	} else if (p->type == PACKET_DATA && p->data.copy) {
		req->flags |= REQUEST_COPY_OUT;
	} else if (p->type == PACKET_CSUM) {
		req->flags |= REQUEST_COMPARE;
		req->digest_length = p->csum.length;
		memcpy(req->digest, p->csum.digest, p->csum.length);
	}
}

static int on_peer_request(struct replicate *r, const struct packet *p, struct request *req)
{
	const char *wrong = peer_request_wrong(r, req, p->ack.epoch);

	if (wrong)
		return refuse_packet(r, wrong);
	if (!of_resync(p)) /* nothing of a guest's has run for that */
		handover_saw_epoch(r, p->ack.epoch);
	take_request(p, req);
	req->since_ms = r->now_ms;
	r->peer_count++;
	if (req->op == REQUEST_WRITE)
		r->received_sectors += req->sectors;
	if (changes(req))
		overlap_insert(&r->peer_tree, req);
	peer_begin(r, req);
	return 0;
}

static int on_received(struct replicate *r, const struct packet *p)
{
	struct request *req;

	TAILQ_FOREACH(req, &r->peer_answered, link)
		if (req->id == p->ack.id)
			break;
	if (!req)
		return resync_packet(r, p, NULL); /* a page of the bitmap */
	TAILQ_REMOVE(&r->peer_answered, req, link);
	peer_end(r, req);
	return 0;
}

int peer_packet(struct replicate *r, const struct packet *p, struct request *req)
{
	return p->type == PACKET_RECEIVED ? on_received(r, p) : on_peer_request(r, p, req);
}

/* Nobody waits for the answers to the partner's requests any more. */
void peer_connection_lost(struct replicate *r)
{
	struct request *req;

	TAILQ_FOREACH(req, &r->peer_active, link)
		req->flags &= ~REQUEST_ACK_WANTED;
	TAILQ_FOREACH(req, &r->retry, link)
		req->flags &= ~REQUEST_ACK_WANTED;
	TAILQ_FOREACH(req, &r->ack_held, link)
		req->flags &= ~REQUEST_ACK_WANTED;
	acks_release(r);
	while ((req = TAILQ_FIRST(&r->peer_answered))) {
		TAILQ_REMOVE(&r->peer_answered, req, link);
		peer_end(r, req);
	}
	while ((req = TAILQ_FIRST(&r->peer_logging))) { /* never begun: the partner will send it again */
		TAILQ_REMOVE(&r->peer_logging, req, link);
		overlap_remove(&r->peer_tree, req);
		peer_end(r, req);
	}
}
