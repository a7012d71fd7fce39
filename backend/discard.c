/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * discard.c: a guest's discard, in pieces, on the node that holds the token.
 *
 *   the guest's ── waits for older writes, as a write does ──> discarding ── no piece is left ──> answered
 *                                                                  └─ pieces: logged, at our disk, at the partner's; each like a write
 *
 * A discard may be as long as the disk, and everything else here is bounded: an extent of the activity log, the window, what a disk is
 * asked for at once. So it is cut at the extents' boundaries, and a few pieces are under way at a time.
 *
 * Invariants
 *  1. The guest's request alone has a place in the order (request.c, invariant 2), from its submission until its last piece has ended. Pieces do
 *     not overlap each other.
 *  2. It is answered once: when no piece is under way and none is left, or none will be begun, since one has failed or the guest is gone.
 *  3. A discard that has begun has a piece under way, or every slot is another one's, or it is a secure one and another secure one has a piece
 *     under way; the end of that begins the next piece [pieces_begin].
 *  4. What is done to a disk is what a write of zeroes does (docs/DEGRADED.md, D23), so whatever interrupts it, it may be repeated,
 *     and blocks that are marked for it are copied like any others.
 *  5. A secure one is a discard in all of that. Besides, it ends well only if both disks have erased each piece [not_erased]: nobody's word but
 *     the disk's own counts. It is refused, and nothing is done, where one of the two cannot be reached or cannot erase [erasable].
 *
 * A partner that knows no DISCARD gets a piece as DATA of zeroes, one packet after the other.
 *
 * Secure pieces go one at a time: a disk erases them one after the other, and may take seconds for each. So disk-timeout (hang.c) is about
 * one of them, and not about those that it has to wait for.
 */
#include "backend/replicate_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SAID_EVERY_MS 10000u

uint8_t request_zeroes[REQUEST_SECTORS_MAX * SECTOR_SIZE] __attribute__((aligned(4096)));

void discard_init(struct replicate *r)
{
	for (unsigned int i = 0; i < PIECES_MAX; i++)
		r->piece[i].tag = (uint16_t)(REQUESTS_MAX + COPIES_MAX + i);
}

/* ---- secure ones ---- */

/* What is known of a partner that is away is what it last said. A guest that this daemon found waits for it, and gets no error for that (P6). */
static bool peer_erases(const struct replicate *r)
{
	return !r->peer_known || r->peer.offer.discard_secure;
}

/* Both disks are there, and both can erase, as far as is known. */
static bool erasable(const struct replicate *r)
{
	return r->cfg.offer.discard_secure && !r->detached && !r->parted && peer_erases(r);
}

static bool erasing(const struct replicate *r)
{
	for (unsigned int i = 0; i < PIECES_MAX; i++)
		if (r->piece[i].state != REQUEST_FREE && r->piece[i].secure)
			return true;
	return false;
}

/* A guest may ask for as many as it likes, and so fail. */
static bool may_say(struct replicate *r)
{
	bool often = r->secure_said_ms && r->now_ms - r->secure_said_ms < SAID_EVERY_MS;

	if (!often)
		r->secure_said_ms = r->now_ms;
	return !often;
}

static void refuse_secure(struct replicate *r, struct request *whole)
{
	const char *why = !r->cfg.offer.discard_secure	     ? "the local disk cannot erase securely"
			  : r->detached			     ? "the local disk is not used"
			  : r->parted			     ? "the partner's disk is not there"
							     : "the partner's disk cannot erase securely";

	whole->piece_rc = -EIO;
	r->discards_refused = r->look_again = true;
	stir(r);
	if (may_say(r))
		say(r, "a secure discard of %u sectors at %" PRIu64 " is refused, and nothing of it done: %s", whole->sectors, whole->sector, why);
}

/* What a secure piece that is done lacks. */
static bool not_erased(struct replicate *r, const struct request *piece)
{
	const unsigned int both = REQUEST_ERASED_HERE | REQUEST_ERASED_THERE;

	if (!piece->secure || (piece->flags & both) == both)
		return false;
	if (may_say(r))
		say(r, "a secure discard ends with an error: %u sectors at %" PRIu64 " were not erased on %s", piece->sectors, piece->sector,
		    piece->flags & REQUEST_ERASED_HERE ? r->cfg.peer_host : r->cfg.self_host);
	return true;
}

void discard_done_here(struct replicate *r, struct request *req)
{
	if (!req->erase_rc)
		req->flags |= REQUEST_ERASED_HERE;
	else if (may_say(r))
		say(r, "local disk: secure erase of %u sectors at %" PRIu64 " failed: %s; they are zeroes all the same", req->sectors, req->sector,
		    strerror(-req->erase_rc));
}

/* ---- pieces ---- */

static bool unbegun(const struct request *whole)
{
	return whole->begun < whole->sectors && !whole->piece_rc;
}

static struct request *free_piece(struct replicate *r)
{
	for (unsigned int i = 0; i < PIECES_MAX; i++)
		if (r->piece[i].state == REQUEST_FREE)
			return &r->piece[i];
	return NULL;
}

/* As far as the extent goes. */
static uint32_t piece_sectors(const struct replicate *r, uint64_t sector, uint32_t left)
{
	uint32_t extent = r->cfg.extent_sectors - (uint32_t)(sector % r->cfg.extent_sectors);

	return left < extent ? left : extent;
}

static void piece_begin(struct replicate *r, struct request *whole, struct request *piece)
{
	*piece = (struct request){
		.op = REQUEST_DISCARD,
		.tag = piece->tag,
		.flags = REQUEST_PIECE,
		.secure = whole->secure,
		.id = ++r->serial << TAG_BITS | piece->tag,
		.since_ms = r->now_ms,
		.sector = whole->sector + whole->begun,
		.whole = whole,
	};
	piece->sectors = piece_sectors(r, piece->sector, whole->sectors - whole->begun);
	/* only the simulator's has data, by which it tells one discard from another */
	piece->data = whole->data ? whole->data + (size_t)whole->begun * SECTOR_SIZE : request_zeroes;
	whole->begun += piece->sectors;
	whole->pieces++;
	r->by_tag[piece->tag] = piece;
	activate(r, piece);
}

static struct request *next_whole(struct replicate *r)
{
	struct request *whole;

	TAILQ_FOREACH(whole, &r->discarding, link)
		if (unbegun(whole) && !(whole->secure && erasing(r)))
			return whole;
	return NULL;
}

static void pieces_begin(struct replicate *r)
{
	struct request *whole, *piece;

	while ((whole = next_whole(r)) && (piece = free_piece(r)))
		piece_begin(r, whole, piece);
}

static void end_if_done(struct replicate *r, struct request *whole)
{
	if (whole->pieces || unbegun(whole))
		return;
	TAILQ_REMOVE(&r->discarding, whole, link);
	finish_guest(r, whole, whole->piece_rc);
}

void discard_begin(struct replicate *r, struct request *whole)
{
	whole->state = REQUEST_ACTIVE;
	whole->begun = whole->pieces = 0;
	whole->piece_rc = 0;
	TAILQ_INSERT_TAIL(&r->discarding, whole, link);
	/* what an earlier daemon has erased, and not zeroed, may read as anything until it is */
	if (whole->secure && !whole->again && !erasable(r))
		refuse_secure(r, whole);
	else
		pieces_begin(r);
}

void discard_piece_ended(struct replicate *r, struct request *piece, int rc)
{
	struct request *whole = piece->whole;

	if (!rc && not_erased(r, piece))
		rc = -EIO;
	leave(r, piece);
	piece->flags = 0;
	whole->pieces--;
	if (!whole->piece_rc)
		whole->piece_rc = rc;
	end_if_done(r, whole);
	pieces_begin(r);
	pump_unsent(r);
}

void discards_stop(struct replicate *r)
{
	struct request *whole;

	TAILQ_FOREACH(whole, &r->discarding, link)
		whole->piece_rc = -ECANCELED;
}

void discards_stopped(struct replicate *r)
{
	struct request *whole, *next;

	TAILQ_FOREACH_SAFE(whole, &r->discarding, link, next)
		end_if_done(r, whole);
}

/* Not when they are submitted, or woken by another one's end. */
void discards_refuse(struct replicate *r)
{
	r->discards_refused = false;
	discards_stopped(r);
}

/* ---- what the partner gets ---- */

bool discard_known(const struct replicate *r)
{
	return r->peer.offer.discard;
}

/* What the partner's answer means: it was asked for on this connection. */
void discard_done_there(const struct replicate *r, struct request *req, enum packet_type answer)
{
	if (answer == PACKET_ACK && r->peer.offer.discard_secure)
		req->flags |= REQUEST_ERASED_THERE;
}

static uint32_t part_sectors(const struct request *piece)
{
	uint32_t left = piece->sectors - piece->sent;

	return left < REQUEST_SECTORS_MAX ? left : REQUEST_SECTORS_MAX;
}

uint32_t window_bytes(const struct replicate *r, const struct request *req)
{
	if (req->op != REQUEST_DISCARD)
		return bytes_of(req);
	return discard_known(r) ? 0 : part_sectors(req) * SECTOR_SIZE;
}

bool discard_more(struct replicate *r, struct request *piece)
{
	if (piece->op != REQUEST_DISCARD || discard_known(r))
		return false;
	piece->sent += part_sectors(piece);
	if (piece->sent < piece->sectors)
		return true;
	piece->sent = 0; /* should all of it have to be sent again */
	return false;
}

void discard_fill(const struct replicate *r, const struct request *piece, struct packet *p)
{
	if (discard_known(r)) {
		p->type = PACKET_DISCARD;
		p->discard.id = piece->id;
		p->discard.epoch = r->durable.epoch;
		p->discard.sector = piece->sector;
		p->discard.sectors = piece->sectors;
		p->discard.secure = piece->secure && r->peer.offer.discard_secure;
		return;
	}
	p->type = PACKET_DATA;
	p->payload = window_bytes(r, piece);
	p->data.id = piece->id;
	p->data.epoch = r->durable.epoch;
	p->data.sector = piece->sector + piece->sent;
	p->data.sectors = part_sectors(piece);
}
