/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicate.h: the core of one resource on one node: who may write, and when a request is answered.
 *
 * It does no I/O ("sans-I/O"): events come in as calls, actions go out through `struct
 * replicate_ops`, and the time is an argument.  The daemon runs it on io_uring (resource.c), the
 * simulator on virtual disks and a virtual network (tests/sim); the object code is the same.
 *
 * An action only queues work: it must not call back into the core before it has returned.
 * All calls for one core come from one thread.
 */
#ifndef DRBDX_BACKEND_REPLICATE_H
#define DRBDX_BACKEND_REPLICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/metadata.h"
#include "backend/request.h"
#include "backend/wire.h"

#define REPLICATE_TEXT 320u

/* The peer as the core sees it.  transport.c has authenticated it before replicate_connected(). */
/* clang-format off */
#define CONNECTION_STATES(X) \
	X(DISCONNECTED,	"no authenticated connection") \
	X(DRAINING, \
	  "connected; writes received on the last connection are still on their way to our disk") \
	X(HELLO_SENT,	"waiting for the partner's HELLO") \
	X(SETTLING,	"HELLO received; what it asks for is being made durable, or READY is awaited") \
	X(CONNECTED,	"both nodes agree; requests are replicated") \
	X(REFUSED,	"connected, but the two may not replicate; `why` says the reason and the way out")
enum connection_state {
#define X(name, what) CONNECTION_##name,
	CONNECTION_STATES(X)
#undef X
	CONNECTION_STATE_COUNT
};
/* clang-format on */

/* the guest's disk on this node */
enum attachment_state {
	ATTACHMENT_NONE,       /* no guest here: Secondary */
	ATTACHMENT_CLAIMING,   /* `add` runs: token and partner are being asked */
	ATTACHMENT_CLAIMED,    /* `add` was granted; the guest has not connected yet */
	ATTACHMENT_ACTIVATING, /* the frontend connects: SB_IN_USE and base are being made durable */
	ATTACHMENT_ACTIVE,     /* requests are executed: Primary */
	ATTACHMENT_RELEASING,  /* the guest is gone; what it had in flight is being finished */
};

struct replicate;

struct replicate_ops {
	/* Execute on the local disk; answered by replicate_disk_done(). Writes must be
	 * durable (RWF_DSYNC) when done; preflush first flushes. */
	void (*disk)(void *ctx, struct request *req);
	/* Queue a packet for the peer, in order. For DATA the payload is req->data, which
	 * stays until the request completes. */
	void (*send)(void *ctx, const struct packet *p, struct request *req);
	/* Make the superblock durable; answered by replicate_superblock_done(). At most one
	 * at a time; `sb` is to be copied. */
	void (*write_superblock)(void *ctx, const struct superblock *sb);
	/* A guest's request is done and may be answered, or a peer's is and its buffer is
	 * free again. rc: 0 or negative errno. */
	void (*complete)(void *ctx, struct request *req, int rc);
	/* Close the connection; the partner is told `why`. Answered by replicate_disconnected(). */
	void (*disconnect)(void *ctx, const char *why);
	/* The answers to replicate_claim(), _activate(), _release(). rc 0, or negative
	 * errno with words for the user in `why`. */
	void (*claimed)(void *ctx, int rc, const char *why);
	void (*activated)(void *ctx, int rc, const char *why);
	void (*released)(void *ctx);
	/* replicate_ready() may have become true: look at the ring again. */
	void (*resume)(void *ctx);
	/* Something that status shows has changed: `line` is "object old -> new (event,
	 * reason)" for the log. */
	void (*changed)(void *ctx, const char *line);
	/* 64 random bits, for generations and nonces. */
	uint64_t (*random)(void *ctx);
};

struct replicate_config {
	const char *name;		   /* resource */
	const char *self_host, *peer_host; /* for texts */
	/* this node's address is the lower one: breaks the tie when a new pair meets */
	bool first;
	struct features offer; /* what this node could offer now (size of the local volume, …) */
	uint32_t window_bytes, window_requests; /* receive window granted to the peer */
	uint32_t claim_timeout_ms;		/* how long a claim may wait for the partner's answer */
	uint32_t disk_retry_ms;			/* pause before a failed local request is tried again */
};

/* `sb` as read from the metadata. A superblock found SB_IN_USE becomes SB_UNCLEAN durably before
 * anything else. Strings in cfg stay the caller's and must outlive the core. -ENOMEM, -EINVAL. */
int replicate_new(const struct replicate_config *cfg, const struct superblock *sb,
		  const struct replicate_ops *ops, void *ctx, uint64_t now_ms, struct replicate **out);
void replicate_free(struct replicate *r);

/* Attachment. `who` names the guest for the partner's refusals, e.g. "guest web1 (uuid …)".
 * At most one attachment: -EBUSY via claimed(). A claim that replicate_release() cancels is
 * answered with -ECANCELED first. */
void replicate_claim(struct replicate *r, const char *who, uint64_t now_ms);
void replicate_activate(struct replicate *r, uint64_t now_ms);
/* from any attachment state; also cancels a claim */
void replicate_release(struct replicate *r, uint64_t now_ms);

/* Clean shutdown: no more claims; an idle token goes to a connected partner. When
 * `superblock` in the status says GIVEN, GIVE has been queued. */
void replicate_yield(struct replicate *r, uint64_t now_ms);

/* Guest requests. May be called only while replicate_ready(); req->op, sector etc. are
 * validated. Answered by complete(). */
bool replicate_ready(const struct replicate *r);
void replicate_submit(struct replicate *r, struct request *req, uint64_t now_ms);

unsigned int replicate_guest_requests(const struct replicate *r); /* submitted and not completed */

/* Results. `rc` 0 or negative errno. */
void replicate_disk_done(struct replicate *r, struct request *req, int rc, uint64_t now_ms);
void replicate_superblock_done(struct replicate *r, int rc, uint64_t now_ms);

/* The peer. A DATA or FLUSH packet comes with the request that holds its payload (flags, id
 * and state are set here; the table's owner sets op, tag, sector, sectors, data); other
 * packets with NULL. -EPROTO: the packet may not come now or contradicts our state; the
 * core has called disconnect(), and the request stays the caller's. */
void replicate_connected(struct replicate *r, uint64_t now_ms);
int replicate_packet(struct replicate *r, const struct packet *p, struct request *req, uint64_t now_ms);
void replicate_disconnected(struct replicate *r, const char *why, uint64_t now_ms);

/* Why there is no connection, as it changes while there is none ("cannot connect …", "wrong
 * secret …"): for the words of a refusal and of status. */
void replicate_link_problem(struct replicate *r, const char *why, uint64_t now_ms);

/* Timers: call replicate_tick() when the clock reaches replicate_deadline() (UINT64_MAX: never). */
uint64_t replicate_deadline(const struct replicate *r);
void replicate_tick(struct replicate *r, uint64_t now_ms);

struct replicate_status {
	enum connection_state connection;
	enum attachment_state attachment;
	char who[WIRE_TEXT + 1];     /* the guest, "" if none */
	char why[REPLICATE_TEXT];    /* why CONNECTION_REFUSED or not connected, "" otherwise */
	char frozen[REPLICATE_TEXT]; /* why guest I/O waits, "" if it does not */
	uint64_t frozen_since_ms, connection_since_ms;
	struct superblock superblock; /* as last made durable */
	struct packet_hello peer;     /* the partner's last HELLO, valid if peer_known */
	bool peer_known;
	/* how long the present superblock write is under way, 0 = none */
	uint64_t metadata_ms;
	/* last error of the local disk while requests are tried again, 0 = none */
	int disk_error;
	uint32_t queued, local_pending, peer_pending, peer_writes; /* requests in flight */
	uint64_t oldest_ms;					   /* age of the oldest guest request */
	uint64_t reads, writes, flushes;			   /* guest requests answered */
	uint64_t read_sectors, written_sectors, sent_sectors, received_sectors;
};
void replicate_status(const struct replicate *r, struct replicate_status *out, uint64_t now_ms);

const char *connection_state_name(enum connection_state s);
const char *attachment_state_name(enum attachment_state s);

#endif
