/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resource.h: a replicated disk and its owner thread.  The control thread talks to it by
 * messages; an answer comes back as a callback on the control thread.
 *
 * All functions here are called on the control thread.  Every reply comes exactly once,
 * also when the resource is being stopped (-ESHUTDOWN).
 */
#ifndef DRBDX_BACKEND_RESOURCE_H
#define DRBDX_BACKEND_RESOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/replicate.h"
#include "backend/ring.h"
#include "config/config.h"

struct resource;
struct mailbox; /* mailbox.h: the control thread's */

#define RESOURCE_TEXT 1280u /* of the core's words with the resource's name before them nothing is cut off */
/* rc 0 or negative errno; `why` words for the user, valid during the call */
typedef void resource_reply_fn(void *ctx, int rc, const char *why);

/* unasked, on the control thread, with the ctx of the granted claim */
struct resource_events {
	/* the attached ring was hostile and has been detached */
	void (*ring_broken)(void *ctx, const char *why);
	/* The partner asks for the guest. Is it the virtual machine `uuid` (UUID_BYTES), and suspended?
	 * To be answered with resource_suspended(). */
	void (*look_suspended)(void *ctx, uint64_t query, const uint8_t *uuid);
	/* docs/HANDOVER.md, R10: to be told to the guest's other disks by resource_sibling_used() (and when all
	 * have answered, resource_guest_ready() here) and by resource_outdate() */
	void (*used)(void *ctx);
	void (*outdated)(void *ctx, const char *why);
	/* resource_features() has a larger disk: the running guest is to see it */
	void (*resized)(void *ctx);
};

struct resource_claim {
	struct claimant claimant;
	uint32_t domid;
	bool adopt; /* it was granted to an earlier daemon */
	const struct resource_events *events;
};

/* Opens metadata and disk (waiting in its own thread, with status, while a predecessor's I/O still has
 * the claim), starts thread and connection. Never blocks on disk or peer. `cfg` must outlive it. */
int resource_start(const struct config_resource *cfg, struct mailbox *control, struct resource **out,
		   char *why, size_t why_size);
enum resource_stop {
	RESOURCE_DOWN,	  /* a person's `down`: -EBUSY with who it is while there is a guest */
	RESOURCE_END,	  /* the daemon ends, */
	RESOURCE_REPLACE, /* or another program takes its place at once: nothing is given away, since we are back in a moment */
};
/* Ends the thread. Without a guest the token is given up (clean shutdown), but for RESOURCE_REPLACE. With one what was consumed is
 * answered and the resource released,
 * so that a later daemon goes on with the same ring; if that cannot be finished in time it stays
 * SB_IN_USE, the extents in the activity log will be copied, and that daemon finishes it. Frees after a RESOURCE_DOWN; after
 * the others further calls are answered with -ESHUTDOWN. */
void resource_stop(struct resource *r, enum resource_stop kind, resource_reply_fn *reply, void *ctx);
/* After the reply to one of those: its thread waits for a disk that hangs, and ends with the process only. */
bool resource_left_behind(const struct resource *r);

const char *resource_name(const struct resource *r);

/* Whether a resync of it is under way, also while that is held; the control mailbox is woken when that changes. */
bool resource_resyncing(const struct resource *r);
/* resync-after: its resync waits for that of resource `name`; "": no longer. False: no memory, try again. */
bool resource_sync_after(struct resource *r, const char *name);

struct handlers;
/* Who runs the handlers of all resources, and the configuration's path for their environment. Once, before the first
 * resource is started. */
void resource_run_handlers_by(struct handlers *handlers, const char *config_path);

/* What a person asks of the core, or the daemon for him. Replied within COMMAND_TIMEOUT_MS: 0, maybe with words, or a
 * refusal in words. */
void resource_command(struct resource *r, enum command command, resource_reply_fn *reply, void *ctx);

/* The guest's disk. One attachment a resource. `ctx` tells claimants
 * apart: a release with another ctx than the granted claim's changes nothing. An incoming guest's claim is a
 * reservation (docs/HANDOVER.md). */
void resource_claim(struct resource *r, const struct resource_claim *claim, resource_reply_fn *reply, void *ctx);
/* replies when the ring is unmapped; what is in flight ends in the background */
void resource_release(struct resource *r, resource_reply_fn *reply, void *ctx);
/* replies 0 when the rings are attached and are being served; -ESTALE: it never will be */
struct resource_connection {
	struct ring_set rings;
	char who[WIRE_TEXT + 1]; /* as in the claim: an arriving guest has been renamed since */
	bool read_only;
	bool alone; /* the guest has no other disk of ours */
	bool statistics; /* counters for xentop (statistics.h), of */
	uint32_t devid;
};
void resource_ring_connect(struct resource *r, const struct resource_connection *c, resource_reply_fn *reply,
			   void *ctx);
/* unmapped and unbound; the claim stays */
void resource_ring_disconnect(struct resource *r, resource_reply_fn *reply, void *ctx);

/* The answer to look_suspended(): rc 0, or negative errno with words. */
void resource_suspended(struct resource *r, uint64_t query, int rc, const char *why);
/* `holder` is the ctx of the granted claim; for another one nothing is done. Another disk of its guest is about to be
 * used: replies when this one's token is here and counts as used, or negative errno when it never will. Everything is
 * ready for the first request of this one. Another disk's copy of the guest is stale. */
void resource_sibling_used(struct resource *r, const void *holder, resource_reply_fn *reply, void *ctx);
void resource_guest_ready(struct resource *r, const void *holder);
void resource_outdate(struct resource *r, const void *holder, const char *why);

/* Whether another daemon can go on with the ring of this guest, which an earlier one served if `served` (otherwise: if its
 * record says so). 0, or negative errno with words: nobody can tell what in it is unanswered (docs/RESTART.md). */
int resource_left_servable(const struct resource *r, uint32_t domid, bool served, char *why, size_t why_size);
/* Whether an earlier daemon left the attachment of a guest, `domid`'s, that has not been adopted yet nor is said to be gone.
 * Until then the token does not leave this node (R11). */
bool resource_left(const struct resource *r, uint32_t *domid);
void resource_nobody_left(struct resource *r);

/* What to publish in xenstore before anything else is known: never blocks (last agreed or
 * offered features). */
void resource_features(const struct resource *r, struct features *out);

/* How long the last arrival of a guest took, step by step, in microseconds; 0: not yet, or never. */
struct handover_steps {
	uint64_t reserve_us, commit_us, use_us;
	uint64_t reserve_from, commit_from, use_from; /* CLOCK_MONOTONIC */
};

struct resource_status {
	struct replicate_status core; /* valid if `open` */
	bool open;		      /* disk and metadata have been opened since the start */
	char disk_state[32];	      /* "opening", "Failed" while requests are tried again, or disk_state_name() */
	char disk_why[RESOURCE_TEXT]; /* words when it is not UpToDate, or slow */
	unsigned int hung;	      /* of a disk that was given up: what it has not ended */
	uint64_t hung_ms;	      /* and the age of the oldest */
	char peer_address[80];
	uint16_t protocol; /* the version that is spoken with the partner; 0: not connected */
	struct ring_counters ring; /* of all queues, */
	unsigned int queues;	   /* so many are attached */
	uint32_t left_requests; /* of the ring, that an earlier daemon left: not answered yet */
	uint64_t left_since_ms;
	struct handover_steps steps;
	uint64_t now_ms;
};
typedef void resource_status_fn(void *ctx, const struct resource_status *status);
void resource_status(struct resource *r, resource_status_fn *reply, void *ctx);

#endif
