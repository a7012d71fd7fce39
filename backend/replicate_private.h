/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicate_private.h: the core's state, shared by replicate.c (requests), handshake.c (two
 * nodes meet) and handover.c (who may write). Nobody else includes it.
 */
#ifndef DRBDX_BACKEND_REPLICATE_PRIVATE_H
#define DRBDX_BACKEND_REPLICATE_PRIVATE_H

#include "backend/overlap.h"
#include "backend/replicate.h"

TAILQ_HEAD(request_list, request);

/* What is done once the superblock, as it was wanted at that moment, is durable. In this
 * order when several are due. */
/* clang-format off */
#define STEPS(X) \
	X(USED)		/* acknowledge the peer's writes of a new epoch (rule 6) */ \
	X(PAIR)		/* tell the partner of the new pair's generation */ \
	X(READY)	/* tell the partner that its HELLO has been applied */ \
	X(GIVE)		/* send the token (rule 4) */ \
	X(TAKEN)	/* the token is here (rule 5) */ \
	X(ACTIVATE)	/* consume the first request (rule 1) */ \
	X(RELEASE)	/* the guest is gone and nothing is in flight */
enum step {
#define X(name) STEP_##name,
	STEPS(X)
#undef X
	STEP_COUNT
};
/* clang-format on */

struct replicate {
	struct replicate_config cfg;
	const struct replicate_ops *ops;
	void *ctx;
	uint64_t now_ms; /* the time given with the event being handled */

	/* Superblock. `durable` is on disk; `wanted` is what it is to become. Rights are
	 * taken from `durable`, and given up by `wanted`. */
	struct superblock durable, wanted, writing;
	uint64_t wanted_version, writing_version, durable_version;
	bool write_busy;
	uint64_t write_since_ms;
	uint64_t write_retry_ms; /* UINT64_MAX: no failed write waits to be tried again */
	int write_error;
	uint64_t step_version[STEP_COUNT]; /* version that has to be durable; 0 = not pending */

	/* Connection. */
	enum connection_state connection;
	uint64_t connection_since_ms;
	struct packet_hello peer;
	bool peer_known, peer_current; /* a HELLO ever; this connection's HELLO */
	bool ready_sent, ready_received, give_again;
	char why[REPLICATE_TEXT];

	/* Attachment and token. */
	enum attachment_state attachment;
	char who[WIRE_TEXT + 1];
	bool claim_after_release, want_sent, yielding;
	char next_who[WIRE_TEXT + 1];
	uint64_t want_nonce, claim_deadline_ms;
	/* WANT came while the last guest's writes were being finished */
	bool peer_wants;
	uint64_t peer_want_nonce;

	/* Requests. A guest's is on exactly one of queued, unsent, active, retry; a peer's
	 * on peer_active, retry or ack_held. */
	struct request_list queued; /* waits for an older overlapping one */
	/* peer pending, not sent on this connection: no connection or no window */
	struct request_list unsent;
	struct request_list active;	      /* at the disk, or sent */
	struct request_list retry;	      /* the local disk failed it; tried again at retry_ms */
	struct request_list peer_active;      /* the peer's, at our disk */
	struct request_list ack_held;	      /* the peer's, durable; the ACK waits for STEP_USED */
	struct request *by_tag[REQUESTS_MAX]; /* the guest's in flight */
	struct overlap_tree tree;	      /* the guest's writes, and its queued reads */
	/* the peer's writes: may not overlap (the holder orders them) */
	struct overlap_tree peer_tree;
	uint64_t serial;		  /* of the last submission */
	uint32_t guest_count, peer_count; /* requests that are not answered */
	uint32_t sent_requests;		  /* unacknowledged on this connection: the window's use */
	uint64_t sent_bytes;
	uint64_t retry_ms;
	uint32_t disk_failed; /* requests with REQUEST_DISK_FAILED */
	int disk_error;	      /* the last one's error; 0 if there are none */

	/* For status. */
	bool was_ready;
	char frozen[REPLICATE_TEXT];
	uint64_t frozen_since_ms;
	uint64_t reads, writes, flushes, read_sectors, written_sectors, sent_sectors, received_sectors;
};

/* replicate.c */

/* the end of every event: due steps, superblock write, ready and frozen */
void replicate_settle(struct replicate *r);
/* to ops->changed */
void say(struct replicate *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* after r->wanted was changed: write it, then do the step */
void superblock_want(struct replicate *r, enum step then);
void send_simple(struct replicate *r, enum packet_type type);
void pump_unsent(struct replicate *r);
void requests_connection_up(struct replicate *r); /* send again what was never acknowledged */
void requests_connection_lost(struct replicate *r);
void requests_drop_queued(struct replicate *r); /* the guest is gone: what has not begun will not */
void acks_release(struct replicate *r);
bool token_held(const struct replicate *r); /* durably here, and not being given away */
void protocol_error(struct replicate *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* handshake.c */

/* from DRAINING, when nothing of an older connection is on its way */
void handshake_begin(struct replicate *r);
int handshake_packet(struct replicate *r, const struct packet *p);
void handshake_step(struct replicate *r, enum step step);
void handshake_lost(struct replicate *r, const char *why);

/* handover.c */
void handover_connected(struct replicate *r); /* CONNECTION_CONNECTED was reached */
void handover_lost(struct replicate *r);
/* CONNECTION_REFUSED was reached: a waiting claim is answered */
void handover_refused(struct replicate *r);
int handover_packet(struct replicate *r, const struct packet *p);
void handover_step(struct replicate *r, enum step step);
void handover_drained(struct replicate *r); /* a guest request ended: is the release complete? */
/* the partner executes requests in this epoch (rule 6) */
void handover_saw_epoch(struct replicate *r, uint64_t epoch);
void handover_tick(struct replicate *r);
uint64_t handover_deadline(const struct replicate *r);

#endif
