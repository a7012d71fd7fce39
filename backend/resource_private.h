/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resource_private.h: a resource as resource.c (control thread: calls and replies) and
 * owner*.c (owner thread: the work) share it.  Nobody else includes it.
 */
#ifndef DRBDX_BACKEND_RESOURCE_PRIVATE_H
#define DRBDX_BACKEND_RESOURCE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backend/attachment.h"
#include "backend/disk.h"
#include "backend/gate.h"
#include "backend/handlers.h"
#include "backend/inflight.h"
#include "backend/loop.h"
#include "backend/mailbox.h"
#include "backend/metadata_io.h"
#include "backend/resource.h"
#include "backend/statistics.h"
#include "backend/superblock_io.h"
#include "backend/transport.h"

#define GUEST_POOL_BYTES (4u << 20) /* four requests of the largest size in flight */
#define PEER_POOL_BYTES	 (4u << 20)
#define PEER_REQUESTS	 256u
#define CLAIM_TIMEOUT_MS 12000u /* below block-drbdx's own bound, which is below libxl's 40 s */
#define CLAIM_LONGEST_MS 27000u /* with wfc-timeout; the same */
#define RESERVE_TIMEOUT_MS 4000u /* the guest is suspended meanwhile */
#define RING_PASSES	 4	/* over the ring in one turn */
#define DISK_RETRY_MS	 1000u
#define OPEN_RETRY_MS	 1000u
#define BUSY_RETRY_MS	 25u /* the last I/O of a dead daemon is being ended by the kernel: guests wait for that */
#define OPEN_WAIT_MS	 5000u /* how long a claim may wait for the disk to be opened */
#define STOP_TIMEOUT_MS	 2000u
#define HUNG_STOP_MS	 3000u /* after that, when the daemon ends: for what a disk does not end */
#define BACK_WITHIN_MS	 3000u /* what a partner is told when another program takes our place: so long its guest waits for us */
#define COMMAND_TIMEOUT_MS 8000u /* below backend-ctl's own bound */

/* A question from the control thread: posted to the owner's mailbox, worked on there, and
 * posted back with its answer. */
struct call {
	struct message message; /* first: the mailbox hands it back */
	struct resource *resource;
	/* on the owner thread; it or a later event calls call_answer() */
	void (*work)(struct resource *r, struct call *call);
	void (*deliver)(struct call *call); /* on the control thread; frees */
	resource_reply_fn *reply;
	resource_status_fn *status_reply;
	void *ctx;
	int rc;
	char why[RESOURCE_TEXT];
	struct resource_claim claim;
	struct resource_connection connection;
	enum command command;
	enum resource_stop stop;
	struct call *next;		/* resource_sibling_used(): those that wait for one answer */
	struct {
		enum handler handler;
		struct handler_result result;
		bool up_to_date;
	} handled;
	const void *holder;		/* whom it is about: nothing is done if somebody else holds the claim */
	uint64_t query;			/* resource_suspended(), */
	int answer;			/* its result, */
	char answer_why[RESOURCE_TEXT]; /* and its words; also resource_outdate()'s */
	struct resource_status *status;
};

/* The poll operation that watches a ring's event channel; outlives the ring until the
 * kernel has let go of the operation. */
struct watch {
	struct loop_op op;
	struct queue *queue;
};

struct queue {
	struct resource *resource;
	struct ring *ring; /* NULL: not attached */
	struct watch *watch;
	struct inflight_table *inflight; /* NULL until a ring is to be connected */
};

struct resource {
	/* Constant after resource_start(). */
	char *name, *self_host, *peer_host, *disk_path, *meta_path, *alg, *secret;
	int meta_index;
	unsigned int minor;
	uint32_t al_extents; /* slots of the activity log, as the file says */
	bool detach;	     /* on-io-error detach */
	bool io_error;	     /* on-no-data-accessible io-error */
	uint32_t disk_timeout_ms; /* 0: none */
	uint32_t wfc_ms, degr_wfc_ms; /* 0: for ever */
	bool wfc_force;		      /* on-wfc-timeout force-primary */
	struct transport_config transport_cfg;
	struct mailbox *control, *inbox;
	char *handlers[HANDLER_COUNT]; /* command lines, NULL = none */
	char *csums_alg;
	struct after_sb after_sb;
	bool call_pri_lost; /* rr-conflict */
	enum fencing fencing;
	bool csums_after_crash_only;
	struct pace_config pace;
	pthread_t thread;
	/* The owner thread says here whether a resync is under way, and wakes the control thread with the message when that has changed. */
	atomic_bool resyncing, resyncing_posted;
	struct message resyncing_message;
	/* the control thread's: the owner thread has ended; calls are refused */
	bool gone;
	TAILQ_HEAD(, handler_run) handler_runs;
	bool left_unsettled; /* an earlier daemon left an attachment, that of */
	uint32_t left_domid;

	/* guards `features`: published before the owner thread has an answer */
	pthread_mutex_t features_lock;
	struct features features;

	/* The owner thread's. */
	struct loop *loop;
	struct loop_op mail_op;
	void *area; /* both pools, registered with the loop */
	struct pool *guest_pool, *peer_pool;
	struct disk *disk; /* NULL: still being opened, or detached and closed */
	bool look_at_disk; /* the core's state has changed: has the disk been given up? */
	struct superblock_io superblock;
	struct superblock superblock_read;
	struct metadata_io metadata;
	uint8_t *log_area; /* as read; only while the disk is being opened */
	struct replicate *core;
	char sync_after[METADATA_NAME_MAX + 1]; /* what the core was told, or will be when there is one */
	struct transport *transport;
	/* the latter: of a claim that came before the disk was open */
	uint64_t started_ms, open_retry_ms, claim_asked_ms, claim_deadline_ms;
	char disk_why[RESOURCE_TEXT];
	struct queue queue[QUEUES_MAX]; /* the first rings.count are used; attached all together */
	struct ring_set rings;
	unsigned int first_queue; /* which is run first next time */
	struct gate gate;
	unsigned int left_requests;	 /* that an earlier daemon left unanswered, until all are answered */
	uint64_t left_since_ms;
	bool count; /* for xentop, what the guest with this device asks for: in */
	uint32_t devid;
	struct statistics *statistics; /* NULL: no rings, or not counted */
	bool ring_read_only, ring_work; /* ring_work: there may be something to consume or to answer */
	bool activated;			/* connect_call waits only for what earlier rings have in flight */
	bool resumed_told;		/* of the present hold: something lies beyond a mark */
	/* of the attachment, if there is one, for a later daemon */
	struct attachment_record record;
	/* What an earlier daemon recorded, of a guest that has neither been adopted nor said to be gone (`left`). Until
	 * then this, and not `record`, is what the file has to say. */
	struct attachment_record found;
	bool left;
	bool adopting;	   /* replicate_adopt() runs */
	bool go_on;	   /* an earlier daemon served its ring: the next one to be attached goes on with the table */
	bool hold_at_mark; /* the next ring to be attached is held at the recorded mark */
	struct handover_steps steps;
	const struct resource_events *events; /* the holder's */
	void *events_ctx;
	const void *holder; /* ctx of the granted claim: only its own release ends it */
	struct call *claim_call, *connect_call, *sibling_calls, *command_call, *stop_call;
	uint64_t stop_deadline_ms, command_deadline_ms;
	/* left_behind: the disk has not ended what it has, and the thread ends all the same; stop_said: that it waits for that */
	bool stopping, ended, left_behind, stop_said, restart_told;
};

int resource_owner_start(struct resource *r, char *why, size_t why_size); /* loop, pools, thread */
/* owner thread; NULL call is fine; the call is gone afterwards */
void call_answer(struct call *call, int rc, const char *why);

/* owner_storage.c: the disk and its metadata. */
void storage_try_open(struct resource *r); /* starts the core, or says when to try again */
void storage_offer(const struct resource *r, struct features *f); /* what this node could offer now */
unsigned int storage_in_flight(const struct resource *r); /* what the kernel has of disk and metadata */
/* Disk and metadata have perhaps become larger: how large a disk they have room for. 0, or negative errno with words: it stays as it is. */
int storage_measure(struct resource *r, uint64_t *sectors, char *why, size_t why_size);
void storage_close(struct resource *r);	   /* nothing may be in flight */
void storage_let_go(struct resource *r);   /* of a disk that the core has given up, when nothing needs it any more */

/* owner.c: what the core is made of. */
int owner_start_core(struct resource *r);

/* The work of each call, on the owner thread: owner.c, owner_ring.c. */
void owner_status(struct resource *r, struct call *call);
void owner_stop(struct resource *r, struct call *call);
void owner_command(struct resource *r, struct call *call);
void owner_claim(struct resource *r, struct call *call);
void owner_release(struct resource *r, struct call *call);
void owner_ring_connect(struct resource *r, struct call *call);
void owner_ring_disconnect(struct resource *r, struct call *call);
void owner_suspended(struct resource *r, struct call *call);
void owner_sibling_used(struct resource *r, struct call *call);
void owner_guest_ready(struct resource *r, struct call *call);
void owner_outdate(struct resource *r, struct call *call);
void owner_nobody_left(struct resource *r, struct call *call);
void owner_handled(struct resource *r, struct call *call);
void owner_sync_after(struct resource *r, struct call *call);

/* resource_handlers.c */
void act_handler(void *ctx, enum handler handler);
void resource_handled(struct resource *r, enum handler handler, const struct handler_result *result);
void handlers_forget(struct resource *r); /* control thread: the resource is being freed */

static inline uint64_t now(const struct resource *r) /* of the owner's loop, ms */
{
	return loop_now_ms(r->loop);
}

/* owner_ring.c, for owner.c: parts of a turn, and the core's actions. */
void owner_note_first_request(struct resource *r); /* one waits */
void owner_post_broken(struct resource *r, const char *why);
void owner_claim_waited(struct resource *r);
void owner_finish_connect(struct resource *r);
void owner_serve_ring(struct resource *r);
void owner_note_secure(struct resource *r, bool offered); /* of secure discards, to the guest that is attached, if there is one */
void owner_tell_size(struct resource *r); /* resource_features() has another size: the guest is to see it */
bool owner_park_guest(struct resource *r); /* false: requests are still being finished */
void act_claimed(void *ctx, int rc, const char *why);
void act_activated(void *ctx, int rc, const char *why);
void act_released(void *ctx);
void act_resume(void *ctx);
void act_record(void *ctx, const struct attachment *a);
void act_hold(void *ctx);
void act_unhold(void *ctx);
bool act_quiet(void *ctx);
void act_look_suspended(void *ctx, uint64_t query, const uint8_t *uuid);
void act_used(void *ctx);
void act_sibling_ready(void *ctx, int rc);
void act_outdated(void *ctx, const char *why);

/* owner_queue.c */
bool queues_attached(const struct resource *r);
int queues_attach(struct resource *r, const struct blkif_limits *limits, char *why, size_t why_size);
void owner_detach_rings(struct resource *r);
int queues_open_tables(struct resource *r); /* those of r->rings */
void owner_close_inflight(struct resource *r);
void queues_forget_tables(struct resource *r, unsigned int from); /* queue on */
void queues_serve(struct resource *r);
uint64_t queues_deadline(const struct resource *r); /* when to do so though nothing happens */
void queues_grow(struct resource *r, uint64_t sectors); /* the disk has become larger */
void queues_offer_secure(struct resource *r);
unsigned int queues_left(const struct resource *r);
unsigned int queues_in_flight(const struct resource *r);
void queues_counters(const struct resource *r, struct ring_counters *out);
void queues_hold(struct resource *r); /* notes the marks in the record, as the next one does */
void queues_hold_attached(struct resource *r, bool at_marks);
void queues_unhold(struct resource *r);
bool queues_quiet(const struct resource *r);

/* disk.h's and superblock_io.h's answers (owner.c) */
void owner_disk_done(void *ctx, struct request *req, int rc);
void owner_superblock_done(void *ctx, int rc);
void owner_metadata_done(void *ctx, struct metadata_op *op, int rc);

void resource_set_features(struct resource *r, const struct features *f);

#endif
