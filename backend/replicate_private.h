/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicate_private.h: the core's state, shared by replicate.c (the frame), request.c, discard.c, remote.c, peer.c (requests), marks.c (activity log and bitmap), alone.c (one
 * copy is enough), fence.c and leave.c (before that), detach.c (our disk is given up), hang.c (it hangs), command.c (what a person says), resize.c (the disk becomes larger), resync.c (blocks are copied), handshake.c (two nodes meet),
 * handover.c (who may write), admission.c (who gets the disk), reserve.c and hot.c (a running guest moves). Nobody else includes it.
 */
#ifndef DRBDX_BACKEND_REPLICATE_PRIVATE_H
#define DRBDX_BACKEND_REPLICATE_PRIVATE_H

#include "backend/actlog.h"
#include "backend/bitmap.h"
#include "backend/overlap.h"
#include "backend/replicate.h"

#include <string.h>

TAILQ_HEAD(request_list, request);

#define TAGS (REQUESTS_MAX + COPIES_MAX + PIECES_MAX)

/* What is done once the superblock, as it was wanted at that moment, is durable. In this
 * order when several are due. */
/* clang-format off */
#define STEPS(X) \
	X(USED)		/* acknowledge the peer's writes of a new epoch (R6) */ \
	X(PAIR)		/* tell the partner of the new pair's generation */ \
	X(MET)		/* the partner is no longer where we parted from it */ \
	X(READY)	/* tell the partner that its HELLO has been applied */ \
	X(RESERVED)	/* grant the partner its reservation (R2) */ \
	X(ENDED)	/* tell the partner that the reservation is over, serve the guest on (R3) */ \
	X(GIVE)		/* send the token (R4) */ \
	X(TAKEN)	/* the token is here (R5) */ \
	X(USE)		/* consume the first request (R1) */ \
	X(PROMOTED)	/* the partner is fenced: the token is here */ \
	X(ALONE)	/* a generation of our own: go on without the partner (R10) */ \
	X(SYNCED)	/* no block differs any more */ \
	X(COMMAND)	/* what a person asked for */ \
	X(RESIZED)	/* the disk is larger here: tell the holder */ \
	X(NOTED)	/* nothing waits for it */ \
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
	bool at_rest;	 /* nothing is under way but requests: replicate_settle() has nothing to do until wake() or stir() */

	/* Superblock. `durable` is on disk; `wanted` is what it is to become. Rights are
	 * taken from `durable`, and given up by `wanted`. */
	struct superblock durable, wanted, writing;
	uint64_t wanted_version, writing_version, durable_version;
	bool write_busy;
	uint32_t tried_flags; /* of every write since `durable`: one that failed may be on disk all the same */
	uint64_t write_since_ms;
	uint64_t write_retry_ms; /* UINT64_MAX: no failed write waits to be tried again */
	int write_error;
	uint64_t write_failing_ms; /* since when, if write_error */
	/* A write was given up (hang.c), since when it had been under way, and may still reach the medium: none is begun before it has ended.
	 * When one that is not begun counts as durable; UINT64_MAX: none is pretended. */
	bool write_hung;
	bool outdated_on_medium; /* our metadata may say that the partner is outdated: then they are never given up (fence.c, invariant 5) */
	uint64_t hung_since_ms, write_pretended_ms;
	uint64_t step_version[STEP_COUNT]; /* version that has to be durable; 0 = not pending */

	/* Connection. */
	enum connection_state connection;
	uint64_t connection_since_ms;
	struct packet_hello own, peer; /* as last sent and received: both nodes judge by these two */
	bool peer_known, peer_current; /* a HELLO ever; this connection's HELLO */
	bool ready_sent, ready_received;
	char why[REPLICATE_TEXT];

	/* The two disks (alone.c). */
	bool detached; /* ours has failed or was given up (detach.c) */
	bool broken;   /* detached, and not by a person's word alone; or what it still had has failed since */
	/* What we write the partner does not get: its blocks are marked instead. Durable: either we are alone under a
	 * generation of our own, or the partner is connected and has no disk. */
	bool parted;
	bool data_lost; /* pri-on-incon-degr was run, and the data have not been in reach since */
	bool reconnecting; /* disconnect() was called so that the two meet anew with what is durable now */
	enum sync_verdict verdict; /* of the present connection, from SETTLING on */
	/* The connection was lost before we knew whether the target has taken our generation over. */
	bool settling_as_source;
	bool io_suspended, discard_my_data;
	uint64_t alone_since_ms, unreadable_ms; /* the latter: when the partner's disk could not read something last */
	/* The partner's fencing (fence.c). */
	enum fence_state fence;
	const char *fence_words; /* of FENCE_DONE and FENCE_FAILED: why */
	uint64_t fence_since_ms; /* of `fence` */
	/* fence-peer was asked for, and has not been answered; what it will answer is about an earlier loss of the connection */
	bool fence_running, fence_again;
	bool unfence; /* the two have met since fence-peer was run, and unfence-peer has not been */
	/* This node leaves in good order (leave.c): for that our copy is outdated, or is being made so; LEAVING was sent; the partner
	 * has said that the token that we gave is durable there. All on this connection. */
	bool leaving, leaving_sent, given_taken;
	/* before-resync-target runs; when it has ended well, we become the target */
	bool target_asked, target_allowed;
	bool awaits_winner; /* a split brain was decided against us, and the partner has not raised its epoch yet */
	bool look_again; /* something was submitted that no event will follow: due at once */
	bool discards_refused; /* secure ones, which are still to be answered */
	uint64_t secure_said_ms; /* when the log was told of one that failed */
	uint64_t alone_ms; /* not alone before this: a daemon that starts gives the connection time */
	uint64_t back_ms;  /* a connection that was lost is most often back by then */
	uint64_t apart_ms; /* since when there has been no partner: this core's start, or the loss of the connection */
	struct {
		bool busy, clear_sent; /* the latter: CLEAR_BITMAP waits for the partner's SYNC_ENDED */
		enum command command;
		char words[REPLICATE_TEXT]; /* to PROMOTE: what it gives up */
	} asked_for;

	/* The disk becomes larger (resize.c). `from`: what is new begins there. As holder: RESIZE was sent, and its answer has come. */
	struct {
		bool asked, taken;
		bool clean; /* what is new counts as the same on both nodes */
		bool met;   /* at this meeting the partner's larger size is taken over */
		uint64_t from;
	} resize;

	/* Activity log and bitmap (marks.c). */
	struct actlog *log;
	struct bitmap *bitmap;
	struct metadata_op log_write, page_write, page_read;
	uint8_t *metadata_area; /* a block for each of the three */
	uint32_t log_victims;	/* extents that the prepared transaction gives up */
	uint32_t page_cursor;	/* where the background writer goes on */
	uint32_t cleared_page;	/* where a resync has just cleared marks: more will follow, so it is not written yet */
	uint32_t log_blank;	/* blocks of the log's area that are still to be formatted */
	uint64_t metadata_retry_ms;
	int metadata_error;
	bool metadata_lost; /* our disk is detached, and the metadata cannot be written either */
	bool write_failed;  /* a write that began with our disk has ended with an error (requests_fail) */
	uint64_t log_writes, bitmap_writes;

	/* Resync (resync.c). */
	enum sync_state sync;
	uint32_t peer_back_ms; /* RESTARTING came: within so long the partner is back; 0: not */
	bool sync_paused, peer_paused, bitmap_sent, bitmap_received, sync_end_sent;
	uint32_t bitmap_page; /* the next to be sent */
	char sync_after[METADATA_NAME_MAX + 1]; /* resync-after: the resource whose resync is waited for, "" = none */
	bool was_held;
	uint64_t sync_held_ms; /* since when, or since when no longer */
	uint64_t sync_position, sync_total, sync_since_ms, copied_sectors, same_sectors;
	struct csum *csum; /* NULL: none */
	bool compares;	   /* in this resync */
	uint64_t sync_hold_ms;
	struct pace pace;
	uint64_t copy_ms; /* when the pace may allow the next copy, UINT64_MAX: something else has to happen first */
	struct request copy[COPIES_MAX];
	uint8_t *copy_area;
	uint32_t copies, pages_sent; /* what the slots are used for: blocks being copied, pages of the bitmap (and HOT) */

	/* Attachment and token (handover.c). */
	enum attachment_state attachment;
	struct claimant guest, next; /* next: claimed while the last one's requests are being finished */
	struct attachment kept;
	bool claim_after_release, want_sent, yielding, yielded, left, parking;
	uint64_t want_nonce, claim_deadline_ms;
	struct { /* the partner's WANT that has not been answered */
		bool asked, back;
		uint64_t nonce;
	} peer_want;
	/* R10: the tokens of the guest's other disks were asked for, are here; the same the other way round */
	bool alone, guest_asked, guest_ready, sibling_waits;
	struct packet_give late_give; /* while `left`; epoch 0: none */
	bool partner_ring; /* the partner gave us the token while a guest's ring was attached there */

	/* Hand-over of a running guest (reserve.c): as destination, */
	bool reserve_sent, commit_sent;
	uint64_t reserve_nonce; /* grows */
	uint64_t hot_taken; /* the reservation whose extents our log began with (hot.c) */
	char stale_why[REPLICATE_TEXT];
	/* as source. */
	struct {
		/* look_suspended() is under way; the guest was resumed meanwhile; the reservation is this one's */
		bool looking, resumed, granted;
		bool again; /* a newer one has come during the look: look once more for that */
		bool hot;   /* granted, and the extents that go with the guest have not left (hot.c) */
		uint64_t query, nonce;
		uint8_t uuid[UUID_BYTES];
		char who[WIRE_TEXT + 1];
	} asked;		 /* the partner's last RESERVE on this connection */
	uint64_t ended;		 /* the reservation that STEP_ENDED tells of, 0 = nobody needs to be told */
	bool held, commit_waits; /* the ring is held; COMMIT has come, the ring is not quiet yet */
	bool want_back;		 /* the guest was resumed after it had been handed over */

	/* Requests. A guest's is on exactly one of queued, logging, unsent, active, retry, or, a discard, discarding; a piece of that on
	 * logging, unsent, active or retry; a copy on queued, unsent, active or retry; a peer's on peer_logging, peer_active, retry, ack_held
	 * or peer_answered. */
	struct request_list queued; /* waits for an older overlapping one */
	struct request_list logging, peer_logging; /* writes that wait for the activity log */
	/* peer pending, not sent on this connection: no connection or no window */
	struct request_list unsent;
	struct request_list active;	      /* at the disk, or sent */
	struct request_list discarding;	      /* pieces of it are under way, or wait for a slot */
	struct request_list retry;	      /* the local disk failed it; tried again at retry_ms */
	struct request_list peer_active;      /* the peer's, at our disk */
	struct request_list ack_held;	      /* the peer's, durable; the ACK waits for STEP_USED */
	struct request_list peer_answered;    /* the peer's reads: sent, not RECEIVED yet */
	TAILQ_HEAD(, request) at_disk;	      /* those of all these that our disk has, by disk_link (hang.c) */
	uint64_t disk_clock_ms;		      /* nothing at the disk counts as older than this: this node's own loop was late then */
	struct request *by_tag[TAGS]; /* the guest's in flight, copies, and pieces */
	struct request piece[PIECES_MAX];
	struct overlap_tree tree;	      /* the guest's writes, its queued reads, and copies */
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
	char frozen[REPLICATE_TEXT], failing[REPLICATE_TEXT];
	uint64_t frozen_since_ms, failing_since_ms;
	uint64_t reads, writes, flushes, discards, read_sectors, written_sectors, discarded_sectors, sent_sectors, received_sectors;
};

#define DETACHED_WAIT_MS 10000u /* of a detached disk: how long metadata that fail or hang, and requests that hang, are waited for */

/* replicate.c */

/* Something has changed that replicate_settle() looks at. */
static inline void stir(struct replicate *r)
{
	r->at_rest = false;
}
/* The beginning of every event, but of requests that come and end as they should. */
static inline void wake(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	stir(r);
}
/* the end of every event: due steps, superblock write, ready and frozen */
void replicate_settle(struct replicate *r);
/* to ops->changed */
void say(struct replicate *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* after r->wanted was changed: write it, then do the step */
void superblock_want(struct replicate *r, enum step then);
bool superblock_may_say(const struct replicate *r, uint32_t flag); /* the one on disk: `durable`, or one that was tried since */
void send_simple(struct replicate *r, enum packet_type type);
uint64_t random_id(struct replicate *r); /* not 0, which means none */
bool token_held(const struct replicate *r); /* durably here, and not being given away */
bool token_moves(const struct replicate *r); /* it is not here, on its way, or somebody wants it */
void superblock_done(struct replicate *r); /* what was being written counts as durable */
/* Of a detached disk: this node goes on without metadata, too; `rc` says why. */
void metadata_lose(struct replicate *r, int rc);
void protocol_error(struct replicate *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* request.c */
#define TAG_BITS 16 /* of a request's id: its tag */
static inline bool is_copy(const struct request *req)
{
	return req->flags & (REQUEST_COPY_OUT | REQUEST_COPY_IN);
}
/* What the request takes of the partner's window, or of our buffers. */
static inline uint32_t bytes_of(const struct request *req)
{
	return req->sectors * SECTOR_SIZE;
}
static inline bool only_zeroes(const struct request *req)
{
	return !req->data[0] && !memcmp(req->data, req->data + 1, bytes_of(req) - 1);
}
struct request_list *list_of(struct replicate *r, const struct request *req);
void place_active(struct replicate *r, struct request *req); /* a guest's active request, or a copy, on no list */
void start(struct replicate *r, struct request *req);	      /* to our disk, the partner, or both */
void part_done(struct replicate *r, struct request *req);     /* our disk or the partner has done its part; on no list */
void copy_begin(struct replicate *r, struct request *req);    /* a copy enters the order of the guest's writes */
void copy_turn(struct replicate *r, struct request *req, bool from_partner); /* a copy has read: what is next? */
void copy_end(struct replicate *r, struct request *req, bool same);	     /* out of the order, free again */
void requests_drop_queued(struct replicate *r); /* the guest is gone: what has not begun will not */
void requests_discard(struct replicate *r); /* the guest's data do not count any more: nothing of it is answered, or goes to the partner */
void requests_detach(struct replicate *r); /* r->detached: what our disk has failed, or has not got yet, is the partner's alone */
void requests_return(struct replicate *r); /* no longer r->detached: what was to be the partner's alone begins again */
void without_disk(struct replicate *r, struct request *req); /* r->detached: so is this guest's request; a copy ends */
void requests_logged(struct replicate *r); /* extents were logged: writes that waited may begin */
void requests_fail(struct replicate *r);   /* no_data(): what waits for a disk ends with an error */
void retry_disk(struct replicate *r);	   /* what the disk has failed, once more */
void retry_later(struct replicate *r, struct request *req);
void disk_settled(struct replicate *r, struct request *req); /* our disk has done it, or nobody wants it any more */
void try_again(struct replicate *r, struct request *req, int rc); /* and say that the disk fails */
const char *op_name(const struct request *req);
/* To our disk, the partner, or both, as soon as its extents are in the activity log. */
void activate(struct replicate *r, struct request *req);
void leave(struct replicate *r, struct request *req); /* it has ended: on no list, out of the order */
void finish_guest(struct replicate *r, struct request *req, int rc);

/* discard.c */
void discard_init(struct replicate *r);
static inline bool is_whole(const struct request *req) /* a guest's discard, and no piece of one */
{
	return req->op == REQUEST_DISCARD && !(req->flags & (REQUEST_PIECE | REQUEST_FROM_PEER));
}
void discard_begin(struct replicate *r, struct request *whole); /* it does not wait for anything older any more */
void discard_piece_ended(struct replicate *r, struct request *piece, int rc);
void discards_stop(struct replicate *r); /* the guest is gone: what has not begun of them will not; */
void discards_stopped(struct replicate *r); /* what nothing is under way of has ended */
void discards_refuse(struct replicate *r);  /* answers those that were refused */
bool discard_known(const struct replicate *r); /* the partner takes DISCARD */
/* Of a secure one. */
void discard_done_here(struct replicate *r, struct request *req); /* our disk has done it: a guest's, or the partner's */
void discard_done_there(const struct replicate *r, struct request *req, enum packet_type answer);
void discard_fill(const struct replicate *r, const struct request *piece, struct packet *p);
uint32_t window_bytes(const struct replicate *r, const struct request *req); /* that it takes, or has taken */
bool discard_more(struct replicate *r, struct request *piece); /* a part was acknowledged: there is another one */

/* remote.c */
void pump_unsent(struct replicate *r);
bool window_open(const struct replicate *r, uint32_t bytes);
int remote_packet(struct replicate *r, const struct packet *p, struct request *req); /* an answer of the partner's */
void requests_connection_up(struct replicate *r); /* send again what was never answered */
void requests_connection_lost(struct replicate *r);
void copies_drop_queued(struct replicate *r);
void requests_part(struct replicate *r); /* r->parted: what the partner has not got is marked, and goes on without it */
bool requests_waiting(const struct replicate *r); /* a guest's request waits for a disk that is not there */
bool requests_unsent(const struct replicate *r); /* a write or a flush of the guest's waits for the partner */

/* peer.c */
int peer_packet(struct replicate *r, const struct packet *p, struct request *req); /* a request of the partner's, or RECEIVED */
void peer_begin(struct replicate *r, struct request *req);
void peer_request_done(struct replicate *r, struct request *req);
void peer_request_failed(struct replicate *r, struct request *req, int rc);
void acks_release(struct replicate *r);
void peer_connection_lost(struct replicate *r);
int refuse_packet(struct replicate *r, const char *what); /* -EPROTO, and the connection is being closed */

/* marks.c: which blocks differ, and how that survives a crash */
int marks_new(struct replicate *r, const uint8_t *log);
void marks_free(struct replicate *r);
/* A new pair agrees on a disk that may be smaller than our volume: nothing beyond it is ever marked, or copied. False: the two meet anew. */
bool marks_agree(struct replicate *r, uint64_t sectors);
/* The write's extents are in the log durably from here to marks_end(). False: not yet, requests_logged() is called. */
bool marks_begin(struct replicate *r, struct request *req);
void marks_end(struct replicate *r, struct request *req);
void marks_set(struct replicate *r, uint64_t sector, uint32_t sectors);
void marks_clear(struct replicate *r, uint64_t sector, uint32_t sectors); /* the same on both disks, durably */
void marks_set_all(struct replicate *r);	 /* a full sync; r->wanted says so, too */
void marks_need(struct replicate *r, uint32_t page); /* let it be read */
void marks_advance(struct replicate *r);
bool marks_at_rest(const struct replicate *r); /* marks_advance() was called, and nothing has come of it */
bool marks_for_partner(const struct replicate *r); /* it has no disk: what it writes is marked here */
/* every mark is durable without the log: SB_IN_USE may be cleared */
bool marks_durable(const struct replicate *r);
/* What differs only the log says that is on the medium, under SB_IN_USE: a later daemon is to find that. */
bool marks_left_to_log(const struct replicate *r);
/* what the superblock says of the bitmap, just before it is written */
void marks_describe(struct replicate *r, struct superblock *sb);
uint64_t marks_sectors(const struct replicate *r); /* out of sync, as far as is known */

/* alone.c: one copy is enough */
bool disk_good(const struct replicate *r); /* ours is attached, consistent, and nobody has newer data */
bool peer_good(const struct replicate *r); /* the partner's, as far as the last HELLO and the resync tell */
bool data_accessible(const struct replicate *r); /* every block can be read and written, here or there, now or alone */
/* No disk can be used, that is certain, and the guest is to hear of it (on-no-data-accessible io-error). */
bool no_data(const struct replicate *r);
uint64_t no_data_deadline(const struct replicate *r);
void data_lost_note(struct replicate *r);
uint64_t parted_for_good(const struct replicate *r); /* when a connection that was lost counts as lost */
enum disk_state disk_state(const struct replicate *r);
enum disk_state peer_disk_state(const struct replicate *r);
void alone_advance(struct replicate *r);
void alone_step(struct replicate *r, enum step step);
/* A promotion: the token is ours, in an epoch that overtakes whatever either node was served in, and the data are of a generation of their
 * own. The caller makes it durable. */
void overtake_token(struct replicate *r);
bool parted_from_partner(const struct replicate *r); /* no connection, and none that is being made */
/* The token is made ours, the partner being fenced, or not waited for any longer; claim_advance() is called when that is durable. */
void promote_fenced(struct replicate *r);
void promote_by_wait(struct replicate *r);
void run_handler(struct replicate *r, enum handler h); /* if it is configured */
bool has_handler(const struct replicate *r, enum handler h);
void alone_met(struct replicate *r); /* CONNECTED was reached */
bool alone_allowed(const struct replicate *r); /* the guest may be served while there is no partner (P2) */
uint64_t alone_deadline(const struct replicate *r);
void confirm(struct replicate *r);	       /* the token is here, and that is certain (R12) */
void unconfirm(struct replicate *r);	       /* it leaves, or is the partner's: also should the superblock not say so yet */
void reconnect(struct replicate *r, const char *why); /* meet anew */

/* detach.c: without our own disk */
void disk_detach(struct replicate *r, const char *why); /* a person's word; `why` is for the partner */
void disk_break(struct replicate *r, const char *why);	/* a failure's */
void disk_breaks(struct replicate *r); /* detached, and what it still had has failed, or is left to it */
/* true: the disk is given up, and the request goes on without it */
bool detach_on_error(struct replicate *r, int rc, const char *what);
/* Detached, and it could serve as if it had not been: it works as far as is known, and the two have not met without it. */
bool disk_returnable(const struct replicate *r);
void disk_return(struct replicate *r, const char *why); /* `why` goes to the log, and to whoever waits for the end of detach */
void detach_advance(struct replicate *r);
uint64_t detach_deadline(const struct replicate *r);

/* fence.c: the partner is fenced before this node goes on without it */
void fence_new(struct replicate *r);
bool fence_freezes(const struct replicate *r); /* the guest may not go on before the partner is fenced */
bool fence_known(const struct replicate *r);   /* our data were the newest when the two met last, so that the partner may be fenced (R15) */
/* The partner's copy is outdated, durably: it counts as fenced. `words`, constant: why. */
void fence_outdated(struct replicate *r, const char *words);
void fence_undone(struct replicate *r); /* we are connected, and the token goes to the partner: its copy is not the outdated one */
void outdate_self(struct replicate *r, enum step then); /* the partner goes on without us; `then`: when that is durable */
/* A guest that is started here needs the partner fenced: how far that is; begins it. */
enum fence_state fence_for_claim(struct replicate *r);
void fence_advance(struct replicate *r);
uint64_t fence_deadline(const struct replicate *r);
void fence_answered(struct replicate *r, enum fence_verdict verdict);
/* A person has seen to the partner. True: it counts as fenced only for that. */
bool fence_overruled(struct replicate *r);
void fence_retry(struct replicate *r); /* a failure is no answer for the next guest */
void fence_over(struct replicate *r);  /* READY is being sent */
void unfence(struct replicate *r);     /* both copies are up to date again */
void fence_words(const struct replicate *r, char *out, size_t size); /* why the partner is not fenced */

/* leave.c: a node that leaves in good order need not be fenced (D20) */
void leave_advance(struct replicate *r);
void leave_undo(struct replicate *r); /* our copy is needed after all */
void leave_lost(struct replicate *r);
int leave_packet(struct replicate *r, const struct packet *p);

/* hang.c: the disk hangs */
void disk_begin(struct replicate *r, struct request *req); /* the request goes to our disk */
void disk_ended(struct replicate *r, struct request *req); /* and comes back */
void hang_detach(struct replicate *r);	/* the disk is given up with all that it has */
void hang_give_up(struct replicate *r); /* r->detached: what it has is */
bool hang_noticed(const struct replicate *r); /* something has taken too long */
void hang_tick(struct replicate *r);
uint64_t hang_deadline(const struct replicate *r);
void hang_status(const struct replicate *r, struct replicate_status *out, uint64_t now_ms);

/* command.c */
void command_refuse(struct replicate *r, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void command_done(struct replicate *r, const char *words); /* and what waited for its end goes on */
int command_clear(struct replicate *r); /* CLEAR has come */
void command_cleared(struct replicate *r); /* our CLEAR is durable at the partner, if there was one */
void command_step(struct replicate *r);
void command_advance(struct replicate *r);
void command_disk_returned(struct replicate *r, const char *why); /* whoever waits for the end of detach is answered */

/* resize.c */
void resize_command(struct replicate *r, bool clean);
void resize_step(struct replicate *r);	  /* STEP_COMMAND */
void resize_durable(struct replicate *r); /* STEP_RESIZED */
void resize_advance(struct replicate *r);
int resize_packet(struct replicate *r, const struct packet *p);
bool resize_under_way(const struct replicate *r); /* the holder was not told yet that we have the larger size */
bool resize_met(struct replicate *r); /* the partner may know a larger size; false: it is met anew */
void resize_ready(struct replicate *r);

/* resync.c */
void resync_begin(struct replicate *r, bool source); /* nothing is to be exchanged: the same is marked on both nodes */
int resync_new(struct replicate *r);
void resync_free(struct replicate *r);
void resync_hold(struct replicate *r);
void resync_heal(struct replicate *r, uint64_t sector, uint32_t sectors);
void resync_pause(struct replicate *r, bool paused);
enum sync_state resync_state(const struct replicate *r); /* for people: with PAUSED */
void resync_held_words(const struct replicate *r, char *out, size_t size); /* by what it is held; "": by nothing */
void resync_held_note(struct replicate *r); /* whether it is held may have changed */
void resync_met(struct replicate *r);  /* CONNECTED was reached: exchange bitmaps if something differs */
void resync_lost(struct replicate *r);
void resync_advance(struct replicate *r);
int resync_packet(struct replicate *r, const struct packet *p, struct request *req);
void resync_step(struct replicate *r);

/* What is no request, but takes a request's place in the partner's window until it is RECEIVED: a slot whose `data` has room for
 * cfg.copy_sectors, NULL if all are used; and it goes on its way, among the guest's requests. `flags`: 0, a page of the bitmap of this `number`;
 * REQUEST_HOT, for the reservation `number`. */
struct request *carrier_free(struct replicate *r);
void carrier_send(struct replicate *r, struct request *carrier, unsigned int flags, uint64_t number, uint32_t sectors);
void carrier_received(struct replicate *r, uint64_t id, struct request *carrier); /* the partner's: RECEIVED, and its buffer is free */
bool resync_empty(const struct replicate *r); /* for this meeting: it copies nothing, and that is certain */
bool resync_compares(const struct replicate *r, const struct request *req); /* this copy begins with a comparison */
bool resync_reads_here(const struct replicate *r, const struct request *req); /* our disk has these blocks right */

/* handshake.c */

/* from DRAINING, when nothing of an older connection is on its way */
bool handshake_begin(struct replicate *r); /* false: not yet, or no more */
void handshake_handled(struct replicate *r, bool ok); /* before-resync-target has ended */
int handshake_packet(struct replicate *r, const struct packet *p);
void handshake_step(struct replicate *r, enum step step);
void handshake_lost(struct replicate *r, const char *why);
void handshake_guest_gone(struct replicate *r); /* what stood in the way of a meeting may be gone with it */

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
void attachment_set(struct replicate *r, enum attachment_state next, const char *event); /* admission.c's adoption */
bool servable(const struct replicate *r); /* all that R1 asks for but what the first request makes durable */
bool attachment_current(const struct replicate *r); /* its ring may be served with the token (R1) */
void send_want(struct replicate *r, bool back);
/* the token is here, and nothing of the guest's and no copy is in flight: it may be given */
bool token_quiet(const struct replicate *r);
/* R4's write; GIVE follows. `reservation`: the one that this fulfils, 0 = none */
void token_give(struct replicate *r, uint64_t reservation);
void token_advance(struct replicate *r);
bool token_wanted(const struct replicate *r); /* by the partner's WANT, which is answered as soon as the token is quiet */
void attachment_kept(struct replicate *r); /* r->kept was changed: let it be recorded */
void hold(struct replicate *r);		     /* the guest's ring */
void unhold(struct replicate *r);
void serve_arrived(struct replicate *r);     /* COMMITTING, and the token is here */
void want_back_advance(struct replicate *r);
void handover_connected(struct replicate *r); /* CONNECTION_CONNECTED was reached */
void handover_lost(struct replicate *r);
int handover_packet(struct replicate *r, const struct packet *p);
void handover_step(struct replicate *r, enum step step);
void handover_drained(struct replicate *r); /* a guest request ended: is the release complete? */
/* the partner executes requests in this epoch (R6) */
void handover_saw_epoch(struct replicate *r, uint64_t epoch);

/* admission.c: a guest gets an attachment */
void claim_begin(struct replicate *r, const struct claimant *c);
void claim_refuse(struct replicate *r, int rc, const char *why);
void claim_refuse_told(struct replicate *r, const char *words);
/* something that a waiting claim waits for may have come true; also when the connection was refused */
void claim_advance(struct replicate *r);
void claim_status(const struct replicate *r, struct replicate_status *out, uint64_t now_ms);
void handover_tick(struct replicate *r);
uint64_t handover_deadline(const struct replicate *r);

/* reserve.c: the hand-over of a running guest */
void reserve_ask(struct replicate *r);	   /* RESERVING and connected: RESERVE, once a connection */
void reserve_release(struct replicate *r); /* the attachment ends: the partner is told what it waits for */
void reservation_tell(struct replicate *r); /* ENDED, if there is one to be told and a connection */
void commit_ask(struct replicate *r);	   /* COMMITTING: COMMIT, once a connection; or the token is here */
void commit_advance(struct replicate *r);
void reservation_over(struct replicate *r, uint64_t tell); /* durably; then ENDED(tell), if tell is not 0 */
void reserve_lost(struct replicate *r);
void give_late(struct replicate *r); /* the guest that was left was found, or is gone */
void reserve_packet(struct replicate *r, const struct packet *p);
void reserve_step(struct replicate *r, enum step step);

/* hot.c: the activity log's extents go with the guest */
void hot_advance(struct replicate *r);
int hot_packet(struct replicate *r, const struct packet *p, struct request *carrier);

void outdate(struct replicate *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* the partner has used the token since this copy of the guest was served (R6) */
void outdate_overtaken(struct replicate *r);
bool arriving(const struct replicate *r); /* RESERVED or COMMITTING */
/* arriving, and the holder's HELLO, which has just come, no longer knows of its reservation (R8) */
void outdate_unreserved(struct replicate *r);
/* arriving, and GIVE was for another reservation, or for none */
void outdate_unfulfilled(struct replicate *r, uint64_t reservation);

#endif
