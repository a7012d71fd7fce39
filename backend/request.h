/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.h: the life of a request
 *
 * A guest's request is copied out of its ring slot once, validated (blkif.c), and becomes a
 * `struct request`.  A write's data is copied out of the guest's pages once, into `data`;
 * that copy is what the local disk, the network and every checksum see (P3).
 *
 *   ring ──> QUEUED ──> LOGGING ──> ACTIVE ──> DONE ──> response
 *              │           │           ├─ local disk  (REQUEST_LOCAL_PENDING until it is durable here)
 *              │           │           └─ partner     (REQUEST_PEER_PENDING until it says that it is durable there)
 *              │           └─ a write waits until its extents are in the activity log
 *              └─ waits for an older request that it overlaps
 *
 * Where it goes when it becomes ACTIVE:
 *   write, flush   to the local disk, unless that has failed, and to the partner, unless the two have parted: then
 *                  a write is marked out of sync instead (marks.c), under a generation of its own (P1)
 *   read           to the local disk if that has the data there, otherwise to the partner (REQUEST_REMOTE)
 *   discard        in pieces (discard.c), each of which goes where a write goes; it holds its place in the order until the last
 *                  one has ended
 *
 * A request is answered when nothing is pending.  A lost connection does not answer it: REQUEST_PEER_PENDING stays until a
 * later connection has acknowledged it, or until this node goes on alone (alone.c).  A failed local disk does not
 * answer it either: it is tried again, or the disk is given up and the partner's is used.  Where no disk is left,
 * it waits, or, with on-no-data-accessible io-error, ends with an error.
 *
 * A copy of the resync (resync.c) is the same structure, in the same order domain as the guest's writes (P3): a read on one disk,
 * then a write on the other.  A partner's request is, too: it has no REQUEST_PEER_PENDING, and its end sends the answer.
 *
 * Who owns what: the table that a request comes from (ring.c for a guest's, transport.c for a
 * peer's, resync.c for a copy) owns the structure and the buffer; between replicate_submit() or replicate_packet()
 * and the `complete` action they belong to the core, and nobody else changes or frees them.
 */
#ifndef DRBDX_BACKEND_REQUEST_H
#define DRBDX_BACKEND_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "backend/csum.h"

/* the unit of every sector number, whatever the disk's block size (blkif.h) */
#define SECTOR_SIZE	    512u
#define REQUEST_SECTORS_MAX 2048u /* 1 MiB: 256 indirect segments of 4 KiB */
#define REQUESTS_MAX	    512u  /* slots of a ring of order 4; a guest's `tag` is below this, whatever queue it comes from */
#define QUEUES_MAX	    4u	  /* of a guest's disk; together they have REQUESTS_MAX in flight at most (gate.h) */
#define COPIES_MAX	    16u	  /* of the resync at once; their tags follow */
#define PIECES_MAX	    16u	  /* of discards at once; their tags follow */
#define DISCARD_SECTORS_MAX 8192u /* a piece of a discard: 4 MiB, an extent of the activity log */
#define DISCARD_UNIT_MIN    9u	  /* what a disk gives back at once, as a power of two in bytes: 512 bytes */
#define DISCARD_UNIT_MAX    22u	  /* to 4 MiB: a piece has one at least */

struct disk_op;

enum request_op {
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_FLUSH,
	REQUEST_DISCARD, /* zeroes are read there afterwards, and the disk may give the space back */
};

enum request_state {
	REQUEST_FREE,	/* in its owner's table */
	REQUEST_QUEUED, /* accepted, waits for an older overlapping request */
	REQUEST_LOGGING, /* a write that waits for the activity log */
	REQUEST_ACTIVE, /* at the local disk, at the peer, or both */
};

enum {
	REQUEST_LOCAL_PENDING = 1u << 0, /* submitted to the local disk, not yet durable there */
	/* the local disk failed it; it is tried again (with LOCAL_PENDING) */
	REQUEST_LOCAL_RETRY = 1u << 1,
	REQUEST_PEER_PENDING = 1u << 2, /* not yet acknowledged by the peer */
	REQUEST_PEER_SENT = 1u << 3,	/* sent on the present connection */
	REQUEST_FROM_PEER = 1u << 4,	/* the peer's write or flush; completing it sends the ACK */
	/* the connection that brought it still stands, so its ACK is wanted */
	REQUEST_ACK_WANTED = 1u << 5,
	REQUEST_DISK_FAILED = 1u << 6, /* the local disk failed it and has not done it since */
	REQUEST_LOGGED = 1u << 7,      /* its extents are in the activity log for it */
	REQUEST_REMOTE = 1u << 8,      /* a read that the partner answers */
	REQUEST_MARKED = 1u << 9,      /* a copy under which the connection was lost: its blocks stay marked, whatever comes of it */
	REQUEST_COPY_OUT = 1u << 10,   /* of the resync: from our disk to the partner's */
	REQUEST_COPY_IN = 1u << 11,    /* from the partner's disk to ours */
	REQUEST_ANSWERED = 1u << 12,   /* a partner's read: READ_DATA has been sent, RECEIVED is awaited */
	REQUEST_COMPARE = 1u << 13,    /* of the resync: are the two disks the same there? by digest (csum.h) */
	REQUEST_PAGE = 1u << 14,       /* not a request: a page of the bitmap that waits for its place in the window, or for RECEIVED */
	REQUEST_HOT = 1u << 15,	       /* with REQUEST_PAGE: not a page, but the extents that go with a guest (hot.c) */
	REQUEST_NO_DATA = 1u << 16,    /* no disk could do it: it ends with an error */
	REQUEST_AHEAD = 1u << 17,      /* a read that begins anew when the two have met, for who has what is decided then; one of what the partner may lack
					* waits for that, or until our data have a generation of their own */
	REQUEST_DISCARDED = 1u << 18,  /* of a guest whose data do not count any more: it is not answered, whatever comes of it */
	REQUEST_PIECE = 1u << 19,      /* of a guest's discard; it has the place in the order */
	REQUEST_ERASED_HERE = 1u << 20, /* of a secure piece: our disk has erased what was there, */
	REQUEST_ERASED_THERE = 1u << 21, /* and the partner's. Without both it ends with an error */
};

struct request {
	/* Set by the owner of the table before submission; constant until completion. */
	enum request_op op;
	/* a write before which everything completed so far must be flushed (FLUSH or a barrier that carries data) */
	bool preflush;
	/* a guest's: nothing else of its disk is executed at the same time (gate.h). The core need not know it. */
	bool barrier;
	/* index in the owner's table, unique among the requests in flight of that table */
	uint16_t tag;
	uint64_t sector;  /* first sector */
	uint32_t sectors; /* 0 for a flush without data */
	/* a discard after which neither disk has anything left of what was there, or which ends with an error */
	bool secure;
	bool again; /* such a guest's: an earlier daemon had it, and may have begun it */
	/* sectors * 512 bytes, block aligned, in a registered pool; owned by the table's owner. Of a discard NULL */
	uint8_t *data;

	/* the core's own (request.c, remote.c, peer.c) */
	enum request_state state;
	unsigned int flags;
	/* order of submission on this node, never reused; for a partner's request the partner's id */
	uint64_t id;
	uint64_t since_ms;	   /* when it was submitted (monotonic), for status */
	RB_ENTRY(request) overlap; /* in the index of requests by sector (overlap.c), while not FREE */
	uint64_t overlap_end;	   /* highest end in this subtree, in sectors */
	TAILQ_ENTRY(request) link; /* in exactly one list, named after its state */

	TAILQ_ENTRY(request) disk_link; /* of those that our disk has (hang.c), */
	uint64_t disk_ms;		/* since then */
	bool slot_lost; /* of a copy: the disk was given up with its buffer */

	/* of a discard (discard.c) */
	uint32_t begun;		/* sectors that pieces were made of */
	uint16_t pieces;	/* of them, under way */
	int piece_rc;		/* the first that failed */
	int erase_rc;		/* of a secure one, by disk.c when it is done: 0, or why what was there could not be erased, negative errno */
	struct request *whole;	/* of a piece: the guest's */
	uint32_t sent;		/* of a piece: sectors that a partner has which knows no DISCARD, and gets them as zeroes */

	/* with REQUEST_COMPARE */
	uint16_t digest_length;
	uint8_t digest[CSUM_MAX];

	/* disk.c's own. */
	struct disk_op *disk_op;
};

/* Zeroes, as many as a request may have; only ever read (discard.c). */
extern uint8_t request_zeroes[REQUEST_SECTORS_MAX * SECTOR_SIZE];

/* It changes the data. */
static inline bool changes(const struct request *req)
{
	return req->op == REQUEST_WRITE || req->op == REQUEST_DISCARD;
}

#endif
