/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resource_private.h: a resource as resource.c (control thread: calls and replies) and
 * owner.c (owner thread: the work) share it.  Nobody else includes it.
 */
#ifndef DRBDX_BACKEND_RESOURCE_PRIVATE_H
#define DRBDX_BACKEND_RESOURCE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backend/attachment.h"
#include "backend/disk.h"
#include "backend/mailbox.h"
#include "backend/resource.h"
#include "backend/superblock_io.h"
#include "backend/transport.h"

#define GUEST_POOL_BYTES (4u << 20) /* four requests of the largest size in flight */
#define PEER_POOL_BYTES	 (4u << 20)
#define PEER_REQUESTS	 256u
#define CLAIM_TIMEOUT_MS 12000u /* below block-drbdx's own bound, which is below libxl's 40 s */
#define RESERVE_TIMEOUT_MS 4000u /* the guest is suspended meanwhile */
#define RING_PASSES	 4	/* over the ring in one turn */
#define DISK_RETRY_MS	 1000u
#define OPEN_RETRY_MS	 250u
#define OPEN_WAIT_MS	 5000u /* how long a claim may wait for the disk to be opened */
#define STOP_TIMEOUT_MS	 2000u

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
	bool force;
	struct call *next;		/* resource_sibling_used(): those that wait for one answer */
	const void *holder;		/* whom it is about: nothing is done if somebody else holds the claim */
	uint64_t query;			/* resource_suspended(), */
	int answer;			/* its result, */
	char answer_why[RESOURCE_TEXT]; /* and its words; also resource_outdate()'s */
	struct resource_status *status;
};

/* A ring and the poll operation that watches its event channel; outlives the ring until the
 * kernel has let go of the operation. */
struct watch {
	struct loop_op op;
	struct resource *resource;
};

struct resource {
	/* Constant after resource_start(). */
	char *name, *self_host, *peer_host, *disk_path, *meta_path, *alg, *secret;
	int meta_index;
	unsigned int minor;
	struct transport_config transport_cfg;
	struct mailbox *control, *inbox;
	pthread_t thread;
	/* the control thread's: the owner thread has ended; calls are refused */
	bool gone;
	uint32_t left_domid; /* whose attachment an earlier daemon left, 0 = nobody's, or settled */

	/* guards `features`: published before the owner thread has an answer */
	pthread_mutex_t features_lock;
	struct features features;

	/* The owner thread's. */
	struct loop *loop;
	struct loop_op mail_op;
	void *area; /* both pools, registered with the loop */
	struct pool *guest_pool, *peer_pool;
	struct disk *disk; /* NULL: still being opened */
	struct superblock_io superblock;
	struct superblock superblock_read;
	struct replicate *core;
	struct transport *transport;
	/* the latter: of a claim that came before the disk was open */
	uint64_t started_ms, open_retry_ms, claim_deadline_ms;
	char disk_why[RESOURCE_TEXT];
	struct ring *ring, *orphans; /* served; detached with requests in flight */
	struct watch *watch;
	struct ring_params ring_params;
	bool ring_read_only, ring_work; /* ring_work: there may be something to consume or to answer */
	bool activated;			/* connect_call waits only for the orphans */
	/* of the attachment, for a later daemon; domid 0: there is none */
	struct attachment_record record;
	bool left;	   /* an earlier daemon's record was found at start */
	bool adopting;	   /* replicate_adopt() runs */
	bool hold_at_mark; /* the next ring to be attached is held at the recorded mark */
	struct handover_steps steps;
	const struct resource_events *events; /* the holder's */
	void *events_ctx;
	const void *holder; /* ctx of the granted claim: only its own release ends it */
	struct call *claim_call, *connect_call, *sibling_calls, *stop_call;
	uint64_t stop_deadline_ms;
	bool stopping, ended;
};

int resource_owner_start(struct resource *r, char *why, size_t why_size); /* loop, pools, thread */
/* owner thread; NULL call is fine; the call is gone afterwards */
void call_answer(struct call *call, int rc, const char *why);

/* The work of each call, on the owner thread: owner.c, owner_ring.c. */
void owner_status(struct resource *r, struct call *call);
void owner_stop(struct resource *r, struct call *call);
void owner_claim(struct resource *r, struct call *call);
void owner_release(struct resource *r, struct call *call);
void owner_ring_connect(struct resource *r, struct call *call);
void owner_ring_disconnect(struct resource *r, struct call *call);
void owner_suspended(struct resource *r, struct call *call);
void owner_sibling_used(struct resource *r, struct call *call);
void owner_guest_ready(struct resource *r, struct call *call);
void owner_outdate(struct resource *r, struct call *call);
void owner_nobody_left(struct resource *r, struct call *call);

/* owner_ring.c, for owner.c: parts of a turn, and the core's actions. */
void owner_claim_waited(struct resource *r);
void owner_finish_connect(struct resource *r);
void owner_serve_ring(struct resource *r);
void owner_detach_ring(struct resource *r);
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

void resource_set_features(struct resource *r, const struct features *f);

#endif
