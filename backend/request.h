/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.h: the life of a request
 *
 * A guest's request is copied out of its ring slot once, validated (blkif.c), and becomes a
 * `struct request`.  A write's data is copied out of the guest's pages once, into `data`;
 * that copy is what the local disk, the network and every checksum see (P3).
 *
 *   ring ──> QUEUED ──> ACTIVE ──> DONE ──> response
 *              │          │
 *              │          ├─ local disk  (REQUEST_LOCAL_PENDING until it is durable here)
 *              │          └─ peer        (REQUEST_PEER_PENDING until its ACK says it is durable there)
 *              │
 *              └─ waits for an older request that it overlaps
 *
 * A peer's write is the same structure on the other node: it has no REQUEST_PEER_PENDING,
 * and its completion sends the ACK.
 *
 * A request is answered when nothing is pending.  A lost connection does not answer it:
 * REQUEST_PEER_PENDING stays until a later connection has acknowledged it, so the guest sees a pause,
 * not an error (P1).  A failed local disk does not answer it either: the write is tried again.
 *
 * Who owns what: the table that a request comes from (ring.c for a guest's, transport.c for a
 * peer's) owns the structure and the buffer; between replicate_submit() or replicate_packet()
 * and the `complete` action they belong to replicate.c, and nobody else changes or frees them.
 */
#ifndef DRBDX_BACKEND_REQUEST_H
#define DRBDX_BACKEND_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

/* the unit of every sector number, whatever the disk's block size (blkif.h) */
#define SECTOR_SIZE	    512u
#define REQUEST_SECTORS_MAX 2048u /* 1 MiB: 256 indirect segments of 4 KiB */
#define REQUESTS_MAX	    512u  /* slots of a ring of order 4; `tag` is below this */

enum request_op { REQUEST_READ, REQUEST_WRITE, REQUEST_FLUSH };

enum request_state {
	REQUEST_FREE,	/* in its owner's table */
	REQUEST_QUEUED, /* accepted, waits for an older overlapping request */
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
};

struct request {
	/* Set by the owner of the table before submission; constant until completion. */
	enum request_op op;
	/* a write before which everything completed so far must be flushed (FLUSH that carries data) */
	bool preflush;
	/* index in the owner's table, unique among the requests in flight of that table */
	uint16_t tag;
	uint64_t sector;  /* first sector */
	uint32_t sectors; /* 0 for a flush without data */
	/* sectors * 512 bytes, block aligned, in a registered pool; owned by the table's owner */
	uint8_t *data;

	/* replicate.c's own. */
	enum request_state state;
	unsigned int flags;
	/* order of submission on this node, never reused; for a peer's request the peer's id */
	uint64_t id;
	uint64_t since_ms;	   /* when it was submitted (monotonic), for status */
	RB_ENTRY(request) overlap; /* in the index of requests by sector (overlap.c), while not FREE */
	uint64_t overlap_end;	   /* highest end in this subtree, in sectors */
	TAILQ_ENTRY(request) link; /* in exactly one list, named after its state */

	/* disk.c's own. */
	int disk_rc;
};

#endif
