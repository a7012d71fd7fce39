/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicate_private.h: the core's state, shared by replicate.c (requests), handshake.c (two
 * nodes meet), handover.c (who may write) and reserve.c (a running guest moves). Nobody else includes it.
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
	X(USED)		/* acknowledge the peer's writes of a new epoch (R6) */ \
	X(PAIR)		/* tell the partner of the new pair's generation */ \
	X(READY)	/* tell the partner that its HELLO has been applied */ \
	X(RESERVED)	/* grant the partner its reservation (R2) */ \
	X(ENDED)	/* tell the partner that the reservation is over, serve the guest on (R3) */ \
	X(GIVE)		/* send the token (R4) */ \
	X(TAKEN)	/* the token is here (R5) */ \
	X(USE)		/* consume the first request (R1) */ \
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

	/* Attachment and token (handover.c). */
	enum attachment_state attachment;
	struct claimant guest, next; /* next: claimed while the last one's requests are being finished */
	struct attachment kept;
	bool claim_after_release, want_sent, yielding, left, parking;
	uint64_t want_nonce, claim_deadline_ms;
	struct { /* the partner's WANT that has not been answered */
		bool asked, back;
		uint64_t nonce;
	} peer_want;
	bool partner_ring; /* the partner gave us the token while a guest's ring was attached there */

	/* Hand-over of a running guest (reserve.c): as destination, */
	bool reserve_sent, commit_sent;
	uint64_t reserve_nonce;
	bool guest_used; /* another disk of the arriving guest has used its token */
	char stale_why[REPLICATE_TEXT];
	/* as source. */
	struct {
		bool looking; /* look_suspended() is under way */
		uint64_t query, nonce, newest; /* nonce: 0 when it was refused; newest: of this connection */
		char who[WIRE_TEXT + 1];
	} asked;		 /* the partner's last RESERVE on this connection */
	uint64_t ended;		 /* the reservation that STEP_ENDED tells of, 0 = nobody needs to be told */
	bool held, commit_waits; /* the ring is held; COMMIT has come, the ring is not quiet yet */
	bool want_back;		 /* the guest was resumed after it had been handed over */

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
	bool was_servable, was_ready;
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

/* handover.c: token, epoch, attachment */
enum attachment_event {
	EVENT_CLAIM,
	EVENT_RESERVE,
	EVENT_GRANT,
	EVENT_REFUSE,
	EVENT_ACTIVATE,
	EVENT_TOKEN,
	EVENT_GIVE,
	EVENT_OUTDATE,
	EVENT_RELEASE,
	EVENT_RELEASED,
	ATTACHMENT_EVENT_COUNT
};
/* the one setter of r->attachment; false: the event may not come in this state */
bool attachment_event(struct replicate *r, enum attachment_event event);
void claim_refuse(struct replicate *r, int rc, const char *why);
void token_give(struct replicate *r);	     /* R4's write; GIVE follows */
void attachment_kept(struct replicate *r); /* r->kept was changed: let it be recorded */
void hold(struct replicate *r);		     /* the guest's ring */
void unhold(struct replicate *r);
void serve_arrived(struct replicate *r);     /* COMMITTING, and the token is here */
void want_back_advance(struct replicate *r);
void handover_connected(struct replicate *r); /* CONNECTION_CONNECTED was reached */
void handover_lost(struct replicate *r);
/* CONNECTION_REFUSED was reached: a waiting claim is answered */
void handover_refused(struct replicate *r);
/* the partner is HELD: its epoch and base were taken over from its HELLO (R8) */
void handover_adopt(struct replicate *r);
int handover_packet(struct replicate *r, const struct packet *p);
void handover_step(struct replicate *r, enum step step);
void handover_drained(struct replicate *r); /* a guest request ended: is the release complete? */
/* the partner executes requests in this epoch (R6) */
void handover_saw_epoch(struct replicate *r, uint64_t epoch);
void handover_tick(struct replicate *r);
uint64_t handover_deadline(const struct replicate *r);

/* reserve.c: the hand-over of a running guest */
void reserve_ask(struct replicate *r);	   /* RESERVING and connected: RESERVE, once a connection */
void reserve_release(struct replicate *r); /* an arriving guest is gone before it was served */
void reserve_unanswered(struct replicate *r); /* the source's guest is gone while it is looked at */
void commit_ask(struct replicate *r);	   /* COMMITTING: COMMIT, once a connection; or the token is here */
void commit_advance(struct replicate *r);
void reservation_over(struct replicate *r, uint64_t tell); /* durably; then ENDED(tell), if tell is not 0 */
void reserve_lost(struct replicate *r);
void reserve_packet(struct replicate *r, const struct packet *p);
void reserve_step(struct replicate *r, enum step step);
void outdate(struct replicate *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* the partner has used the token since this copy was served */
void outdate_overtaken(struct replicate *r);
/* arriving, and the holder's HELLO, which has just come, no longer knows of its reservation (R8) */
void outdate_unreserved(struct replicate *r);

#endif
