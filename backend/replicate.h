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

#include "backend/generation.h"
#include "backend/handler.h"
#include "backend/metadata.h"
#include "backend/pace.h"
#include "backend/request.h"
#include "backend/wire.h"

#define REPLICATE_TEXT 1024u /* a sentence for a person: room for the longest names, so that the way out is never what is cut off */

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

/* The guest's disk on this node; the states of docs/HANDOVER.md. */
/* clang-format off */
#define ATTACHMENT_STATES(X) \
	X(NONE,		"no guest here") \
	X(CLAIMING,	"a guest is started here: token and partner are being asked") \
	X(CLAIMED,	"a guest is started here: the token is here, the guest has not connected yet") \
	X(RESERVING,	"a guest is arriving: the partner is being asked for a reservation") \
	X(RESERVED,	"a guest is arriving: reserved; the token is still the partner's") \
	X(COMMITTING,	"the guest that arrived is connecting: the token is being asked for") \
	X(ACTIVE,	"the guest is served: its ring is attached, the token is here") \
	X(HANDED_OVER,	"the token was given to the partner; the guest's ring is kept and not served") \
	X(STALE,	"this copy of the guest was overtaken by the one at the partner: never served again") \
	X(RELEASING,	"the guest is gone; what it had in flight is being finished")
enum attachment_state {
#define X(name, what) ATTACHMENT_##name,
	ATTACHMENT_STATES(X)
#undef X
	ATTACHMENT_STATE_COUNT
};
/* clang-format on */

#define UUID_BYTES 16u

/* Who asks for the disk. */
struct claimant {
	char who[WIRE_TEXT + 1]; /* for people, e.g. "guest web1 (uuid …)" */
	uint8_t uuid[UUID_BYTES]; /* of the virtual machine (/vm/UUID); zero: not known */
	bool incoming;		 /* it arrives by live migration: reserve instead of claim */
	uint32_t waited_ms;	 /* it has asked so long ago: what it may wait for the partner is counted from then */
};

/* What of an attachment outlives the daemon, but not the host (docs/HANDOVER.md, section 2). */
struct attachment {
	uint64_t served;   /* the epoch in which its ring was last served, 0 = never */
	uint64_t reserved; /* the reservation under which this copy of the guest arrived, 0 = none */
	bool handed_over;  /* the token was given away with nothing unanswered in the ring */
	bool stale;
	/* not of an attachment, but it has the same life: the token of this epoch was obtained, or confirmed by the
	 * partner, since the host was started (rule R12); 0 = none */
	uint64_t confirmed;
	bool known; /* a meeting was finished since the host was started (rule R15) */
};

/* `fencing` in drbd.conf: what has to be done before a guest goes on without the partner. */
enum fencing {
	FENCING_DONT_CARE,
	FENCING_RESOURCE_ONLY,	      /* fence-peer runs while the guest goes on */
	FENCING_RESOURCE_AND_STONITH, /* the guest is frozen until fence-peer has fenced the partner */
};

/* clang-format off */
/* How far that is, since the two met last. */
#define FENCE_STATES(X) \
	X(NOT_YET,	"not needed, or not begun") \
	X(ASKED,	"fence-peer runs") \
	X(DONE,		"the partner may be left behind") \
	X(FAILED,	"fence-peer has not fenced the partner")
enum fence_state {
#define X(name, what) FENCE_##name,
	FENCE_STATES(X)
#undef X
	FENCE_STATE_COUNT
};

/* Data on this node and on the partner's, as DRBD names them. */
#define DISK_STATES(X) \
	X(DISKLESS,	"Diskless",	"the disk has failed or is detached") \
	X(INCONSISTENT,	"Inconsistent",	"not usable by itself: the target of a resync, or never declared usable") \
	X(OUTDATED,	"Outdated",	"usable, but the other node has newer data") \
	X(CONSISTENT,	"Consistent",	"usable; whether it is the newest is known when the two have met") \
	X(UP_TO_DATE,	"UpToDate",	"usable and the newest") \
	X(UNKNOWN,	"DUnknown",	"not connected")
enum disk_state {
#define X(name, text, what) DISK_##name,
	DISK_STATES(X)
#undef X
	DISK_STATE_COUNT
};

/* The resync, as this node sees it. */
#define SYNC_STATES(X) \
	X(OFF,		"Established",	"nothing to be copied, or not connected") \
	X(EXCHANGE,	"WFBitMap",	"the two tell each other what differs") \
	X(SOURCE,	"SyncSource",	"blocks are copied to the partner") \
	X(TARGET,	"SyncTarget",	"blocks are copied from the partner") \
	X(PAUSED_SOURCE, "PausedSyncS",	"to be copied to the partner, and paused") \
	X(PAUSED_TARGET, "PausedSyncT",	"to be copied from the partner, and paused")
enum sync_state {
#define X(name, text, what) SYNC_STATE_##name,
	SYNC_STATES(X)
#undef X
	SYNC_STATE_COUNT
};

/* What a person or the daemon may ask of the core; answered by commanded(), one at a time. */
#define COMMANDS(X) \
	X(PROMOTE,	"primary --force: this node's data count, whatever the partner has (P2)") \
	X(OUTDATE,	"the partner has newer data: do not start a guest here before the two have met") \
	X(INVALIDATE,	"this node's data are worthless: all of them are to be copied from the partner") \
	X(INVALIDATE_REMOTE, "the partner's data are worthless: all of this node's are to be copied to it") \
	X(CLEAR_BITMAP,	"new-current-uuid --clear-bitmap: both volumes are the same, nothing need be copied") \
	X(DISCARD,	"connect --discard-my-data: what this node wrote alone may be thrown away, this once; not under a guest") \
	X(DETACH,	"give the local disk up, if the partner's will do; done when it has ended what it was asked for") \
	X(DETACH_FORCE,	"the same, and what it has not ended is left to it") \
	X(SUSPEND_IO,	"execute and answer what is in flight, then hold the guest's I/O") \
	X(RESUME_IO,	"go on") \
	X(PAUSE_SYNC,	"no more copies for now") \
	X(RESUME_SYNC,	"go on") \
	X(RESIZE,	"both volumes were enlarged: so is the disk, and what is new is copied") \
	X(RESIZE_CLEAN,	"the same, and what is new is the same on both nodes")
enum command {
#define X(name, what) COMMAND_##name,
	COMMANDS(X)
#undef X
	COMMAND_COUNT
};
/* clang-format on */

/* A block of metadata to be read or written: one of the activity log's, or a page of the bitmap. */
enum metadata_area { METADATA_LOG, METADATA_BITMAP };
struct metadata_op {
	enum metadata_area area;
	bool write;
	uint32_t block; /* its number in the area */
	uint8_t *data;	/* 4096 bytes, aligned, the core's until the answer */
	bool busy;
	uint64_t since_ms; /* the core's own: when it was submitted */
};

struct replicate;

struct replicate_ops {
	/* Execute on the local disk; answered by replicate_disk_done(). Writes and discards must be
	 * durable when done; preflush first flushes. */
	void (*disk)(void *ctx, struct request *req);
	/* What the disk has of this request is given up: it is not answered any more. What the kernel still does with the buffer must not
	 * be seen in it, so from now on a guest's or a peer's request has another one at the same address with the same contents; of a
	 * copy it is not used again. False: that is not possible now, it will be answered. */
	bool (*abandon)(void *ctx, struct request *req);
	/* Queue a packet for the peer, in order. For DATA the payload is req->data, which
	 * stays until the request completes. */
	void (*send)(void *ctx, const struct packet *p, struct request *req);
	/* Make the superblock durable; answered by replicate_superblock_done(). At most one
	 * at a time; `sb` is to be copied. */
	void (*write_superblock)(void *ctx, const struct superblock *sb);
	/* One block of metadata; answered by replicate_metadata_done(). A write must be durable when done.
	 * At most one for each direction and area. */
	void (*metadata)(void *ctx, struct metadata_op *op);
	/* A guest's request is done and may be answered, or a peer's is and its buffer is
	 * free again. rc: 0 or negative errno; -ECANCELED: the guest is gone or stale, and gets no answer. */
	void (*complete)(void *ctx, struct request *req, int rc);
	/* Close the connection; the partner is told `why`. Answered by replicate_disconnected(). */
	void (*disconnect)(void *ctx, const char *why);
	/* The answers to replicate_claim(), _adopt(), _activate(), _release(). rc 0, or negative
	 * errno with words for the user in `why`. -ESTALE: it will never be served again. */
	void (*claimed)(void *ctx, int rc, const char *why);
	void (*activated)(void *ctx, int rc, const char *why);
	void (*released)(void *ctx);
	/* Run a handler of drbd.conf that is in cfg.handlers. Those whose exit status counts are answered by
	 * replicate_handled(). */
	void (*handler)(void *ctx, enum handler handler);
	/* the answer to replicate_command() */
	void (*commanded)(void *ctx, int rc, const char *why);
	/* Keep this for a later daemon, before anything else is done. */
	void (*record)(void *ctx, const struct attachment *a);
	/* The hand-over of a running guest. hold: note req_prod of the guest's ring (the mark): nothing
	 * beyond it is consumed until unhold(), and replicate_resumed() is called when something
	 * lies beyond it. Holding again changes nothing. quiet: whether everything up to the mark has
	 * been consumed and answered and nothing lies beyond; true where there is no ring. */
	void (*hold)(void *ctx);
	void (*unhold)(void *ctx);
	bool (*quiet)(void *ctx);
	/* Is the attached guest the virtual machine `uuid`, and is it suspended? Answered by
	 * replicate_suspended() with the same `query`. */
	void (*look_suspended)(void *ctx, uint64_t query, const uint8_t *uuid);
	/* The guest is about to execute its first request with this token: replicate_sibling_used() for
	 * each of its other disks, and when all of them are ready, replicate_guest_ready(). */
	void (*used)(void *ctx);
	/* the answer to replicate_sibling_used(): 0, -ESTALE, or -ECANCELED: there is no guest any more */
	void (*sibling_ready)(void *ctx, int rc);
	/* the guest's copy here is stale: replicate_outdate() for its other disks */
	void (*outdated)(void *ctx, const char *why);
	/* replicate_request() may succeed, or get further: look at the ring again. */
	void (*resume)(void *ctx);
	/* Something that status shows has changed: `line` is "object old -> new (event,
	 * reason)" for the log. */
	void (*changed)(void *ctx, const char *line);
	/* 64 random bits, for generations and nonces. */
	uint64_t (*random)(void *ctx);
	/* How large our disk could be now, as cfg.offer.sectors; 0, or negative errno with words: why it cannot become larger. */
	int (*measure)(void *ctx, uint64_t *sectors, char *why, size_t why_size);
};

struct replicate_config {
	const char *name;		   /* resource */
	const char *self_host, *peer_host; /* for texts */
	/* this node's address is the lower one: breaks the tie when a new pair meets */
	bool first;
	struct features offer; /* what this node could offer now (size of the local volume, …) */
	uint32_t window_bytes, window_requests; /* receive window granted to the peer */
	uint32_t claim_timeout_ms;		/* how long a claim may wait for the partner's answer, */
	uint32_t reserve_timeout_ms;		/* and a reservation: the guest is suspended meanwhile */
	/* wfc-timeout, degr-wfc-timeout: for how long the partner is waited for, from the start, or from its loss on; 0: for ever. A claim
	 * waits as long, but no longer than claim_longest_ms, or claim_timeout_ms if it is for ever. */
	uint32_t wfc_ms, degr_wfc_ms, claim_longest_ms;
	bool wfc_force; /* on-wfc-timeout force-primary: then a guest is started without it (R17) */
	uint32_t disk_retry_ms;			/* pause before a failed local request is tried again */
	/* an earlier daemon left an attachment: until replicate_adopt() or _nobody_left() the token
	 * does not leave this node (rule R11) */
	bool left;
	/* what an earlier daemon recorded of these two since the host was started */
	uint64_t confirmed;
	bool known;
	enum fencing fencing;
	uint32_t handlers; /* 1 << enum handler: which are configured */
	/* Sizes that the simulator makes smaller: ACTLOG_EXTENT_SECTORS, BITMAP_PAGE_BLOCKS, and of the resync how
	 * much is copied at once (sectors, a multiple of BITMAP_BLOCK_SECTORS) and how often (at most COPIES_MAX). */
	uint32_t extent_sectors, page_blocks, copy_sectors, copies;
	struct after_sb after_sb;
	bool call_pri_lost; /* rr-conflict call-pri-lost */
	struct pace_config pace; /* resync-rate and c-* */
	/* csums-alg, NULL = blocks are copied without asking; only if a Primary had crashed (csums-after-crash-only) */
	const char *csums_alg;
	bool csums_after_crash_only;
	bool detach; /* on-io-error detach: a failed local disk is given up if the partner's will do */
	bool io_error; /* on-no-data-accessible io-error: where no disk has the guest's data, it gets an error */
	uint32_t disk_timeout_ms; /* disk-timeout: so is one that has not ended something for so long; 0: it is waited for */
};

/* `sb` as read from the metadata, `log` the activity log's area (ACTLOG_BLOCKS * ACTLOG_BLOCK bytes, read here
 * only). A superblock found SB_IN_USE: this node died as Primary; what the log holds is out of sync, and it becomes SB_CRASHED
 * durably before anything else. Strings in cfg stay the caller's and must outlive the core. -ENOMEM, -EINVAL. */
int replicate_new(const struct replicate_config *cfg, const struct superblock *sb, const uint8_t *log,
		  const struct replicate_ops *ops, void *ctx, uint64_t now_ms, struct replicate **out);
void replicate_free(struct replicate *r);

/* Attachment. At most one: -EBUSY via claimed(). A claim that replicate_release() cancels is
 * answered with -ECANCELED first. An incoming guest is reserved for (R2): the token stays with the
 * partner until replicate_activate(). */
void replicate_claim(struct replicate *r, const struct claimant *c, uint64_t now_ms);
/* Goes on with the attachment that an earlier daemon recorded; answered by claimed(). */
void replicate_adopt(struct replicate *r, const struct claimant *c, const struct attachment *a,
		     uint64_t now_ms);
/* The attachment that an earlier daemon left (cfg.left) is not there any more. */
void replicate_nobody_left(struct replicate *r, uint64_t now_ms);
/* The frontend connects, so its guest runs here; activated(0): attach its ring. `who` as in the claim: xl renames
 * a guest that has arrived. `alone`: the guest has no other disks, so used() need not be asked. */
void replicate_activate(struct replicate *r, const char *who, bool alone, uint64_t now_ms);
/* From any attachment state; also cancels a claim. park: the daemon ends, the guest stays: the
 * attachment will be adopted, so nothing is said to the partner. */
void replicate_release(struct replicate *r, uint64_t now_ms);
void replicate_park(struct replicate *r, uint64_t now_ms);

/* Clean shutdown: no more claims; an idle token goes to a connected partner. When
 * `superblock` in the status says GIVEN, GIVE has been queued. */
void replicate_yield(struct replicate *r, uint64_t now_ms);
/* After replicate_yield(), with `fencing`: the partner is about to be told that it need not fence this node (D20). When this is false,
 * that is queued, or there is no reason to say it. */
bool replicate_leaving(const struct replicate *r);

/* The hand-over. The answer to look_suspended(): rc 0, or negative errno with words. */
void replicate_suspended(struct replicate *r, uint64_t query, int rc, const char *why, uint64_t now_ms);
/* the guest has put a request beyond the mark into its held ring */
void replicate_resumed(struct replicate *r, uint64_t now_ms);
/* quiet() may have become true */
void replicate_quiet(struct replicate *r, uint64_t now_ms);
/* Several disks of one guest (R10). The others are ready: the first request may be executed. */
void replicate_guest_ready(struct replicate *r, uint64_t now_ms);
/* used() or outdated() happened at another disk of the same guest */
void replicate_sibling_used(struct replicate *r, uint64_t now_ms);
void replicate_outdate(struct replicate *r, const char *why, uint64_t now_ms);

/* A handler has ended; `ok`: with exit status 0; `verdict` of fence-peer. */
void replicate_handled(struct replicate *r, enum handler handler, bool ok, enum fence_verdict verdict, uint64_t now_ms);

/* resync-after: no copies as long as resource `name` of this node is being resynced; "": no longer. Apart from a person's pause:
 * neither ends the other. */
void replicate_sync_after(struct replicate *r, const char *name, uint64_t now_ms);
bool replicate_resyncing(const struct replicate *r); /* also while it is held */

/* Answered by commanded(); -EBUSY while another one is under way, unless this one overtakes it: then that is not answered any more. */
void replicate_command(struct replicate *r, enum command command, uint64_t now_ms);
bool command_overtakes(enum command later, enum command earlier);

/* Guest requests. replicate_request(): one waits; may it be submitted now? If the right to execute it is
 * not durable yet, that is begun, and resume() follows. replicate_submit() only while replicate_ready();
 * req->op, sector etc. are validated. Answered by complete(). */
bool replicate_request(struct replicate *r, uint64_t now_ms);
bool replicate_ready(const struct replicate *r);
void replicate_submit(struct replicate *r, struct request *req, uint64_t now_ms);

unsigned int replicate_guest_requests(const struct replicate *r); /* submitted and not completed */

/* Results. `rc` 0 or negative errno. */
void replicate_disk_done(struct replicate *r, struct request *req, int rc, uint64_t now_ms);
void replicate_superblock_done(struct replicate *r, int rc, uint64_t now_ms);
void replicate_metadata_done(struct replicate *r, struct metadata_op *op, int rc, uint64_t now_ms);

/* The peer. A packet of wire_needs_request() comes with the request that holds its payload (flags, id
 * and state are set here; the table's owner sets op, tag, sector, sectors, data); other
 * packets with NULL. -EPROTO: the packet may not come now or contradicts our state; the
 * core has called disconnect(), and the request stays the caller's. */
void replicate_connected(struct replicate *r, uint64_t now_ms);
int replicate_packet(struct replicate *r, const struct packet *p, struct request *req, uint64_t now_ms);
/* Right before that: the partner's program is being replaced, and it says within which time it is back. Until then nothing is
 * done that parts the two: no generation of our own, no fencing. */
void replicate_partner_restarts(struct replicate *r, uint32_t within_ms, uint64_t now_ms);
void replicate_disconnected(struct replicate *r, const char *why, uint64_t now_ms);

/* Why there is no connection, as it changes while there is none ("cannot connect …", "wrong
 * secret …"): for the words of a refusal and of status. */
void replicate_link_problem(struct replicate *r, const char *why, uint64_t now_ms);

/* Timers: call replicate_tick() when the clock reaches replicate_deadline() (UINT64_MAX: never). */
uint64_t replicate_deadline(const struct replicate *r);
void replicate_tick(struct replicate *r, uint64_t now_ms);
/* Nothing is under way but requests, and before the deadline a tick would do nothing. */
bool replicate_at_rest(const struct replicate *r);
/* The caller's own loop was late: the time until now must not be held against the disk. */
void replicate_was_late(struct replicate *r, uint64_t now_ms);

struct replicate_status {
	enum connection_state connection;
	enum attachment_state attachment;
	char who[WIRE_TEXT + 1];     /* the guest, "" if none */
	char why[REPLICATE_TEXT];    /* why CONNECTION_REFUSED or not connected, "" otherwise */
	char frozen[REPLICATE_TEXT]; /* why guest I/O waits, "" if it does not */
	char failing[REPLICATE_TEXT]; /* why guest I/O ends with errors, "" if it does not */
	uint64_t failing_since_ms;
	bool incoming;		     /* the guest arrived, or is arriving, by migration */
	struct attachment kept;	     /* what a later daemon would go on with */
	uint64_t frozen_since_ms, connection_since_ms;
	struct superblock superblock; /* as last made durable */
	struct packet_hello peer;     /* the partner's last HELLO, valid if peer_known */
	bool peer_known;
	uint64_t metadata_ms; /* how long the oldest read or write of the metadata is under way, 0 = none */
	uint64_t disk_ms;     /* and the oldest request at our disk */
	bool hangs;	      /* one of them for longer than disk-timeout allows */
	bool returnable;      /* our disk was given up, and may yet be taken back: it is not to be closed */
	/* of the metadata that were given up: what the disk still has, and for how long the oldest */
	uint32_t metadata_hung;
	uint64_t metadata_hung_ms;
	/* last error of the local disk while requests are tried again, 0 = none */
	int disk_error;
	uint32_t queued, local_pending, peer_pending, peer_writes; /* requests in flight */
	uint64_t oldest_ms;					   /* age of the oldest guest request */
	uint32_t logging;					   /* of them, waiting for the activity log */
	enum disk_state disk, peer_disk;
	enum sync_state sync;
	enum fence_state fence;
	uint64_t fence_since_ms;
	const char *fence_why;	   /* of DONE and FAILED, "" otherwise; constant text */
	uint64_t alone_since_ms;   /* 0: not alone */
	/* The partner is waited for, for so much longer by wfc-timeout (degraded: degr-wfc-timeout), and what becomes of a guest that is started:
	 * "refuse" or "force-primary" when that time is over, "start" or "fence" without any waiting. NULL: connected, or it is waited for for
	 * ever. Constant text. */
	const char *awaited;
	bool awaited_degraded;
	uint64_t awaited_ms;
	bool alone;		   /* the guest is served without the partner, under a generation of its own */
	bool suspended;		   /* by suspend-io */
	bool sync_paused;	   /* by pause-sync, also while there is no resync */
	uint64_t out_of_sync;	   /* sectors, as far as is known */
	bool out_of_sync_known;	   /* every page of the bitmap has been read */
	uint64_t sync_total;	   /* sectors that the present resync began with */
	uint64_t sync_since_ms;
	char held[REPLICATE_TEXT]; /* why the resync is held, "" if it is not */
	uint64_t held_since_ms;
	/* by the resync, since the daemon was started: copied, and found to be the same */
	uint64_t copied_sectors, same_sectors;
	uint64_t log_writes, bitmap_writes, log_used;
	uint64_t reads, writes, flushes, discards;		   /* guest requests answered */
	uint64_t discarded_sectors;
	uint64_t read_sectors, written_sectors, sent_sectors, received_sectors;
};
void replicate_status(const struct replicate *r, struct replicate_status *out, uint64_t now_ms);

const char *connection_state_name(enum connection_state s);
const char *disk_state_name(enum disk_state s); /* DRBD's words */
const char *sync_state_name(enum sync_state s);
const char *attachment_state_name(enum attachment_state s);

#endif
