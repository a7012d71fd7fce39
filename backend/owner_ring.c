/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner_ring.c: the guest's side of an owner thread: claims, when its rings (owner_queue.c) are attached, held and quiet, the record for a
 * later daemon, and what the control thread is told unasked.
 *
 * Rings are attached when the core says `activated`, and only when no request of an earlier ring is in flight.
 */
#include "backend/resource_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/log.h"

/* How long the steps of a hand-over take: milliseconds are too coarse. */
static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- notes to the control thread ---- */

struct note {
	struct message message;
	const struct resource_events *events;
	void *ctx;
	enum { NOTE_BROKEN, NOTE_LOOK, NOTE_USED, NOTE_OUTDATED, NOTE_RESIZED } what;
	uint64_t query;
	uint8_t uuid[UUID_BYTES];
	char why[RESOURCE_TEXT];
};

static void deliver_note(struct message *m)
{
	struct note *n = (struct note *)m;

	switch (n->what) {
	case NOTE_BROKEN: n->events->ring_broken(n->ctx, n->why); break;
	case NOTE_LOOK: n->events->look_suspended(n->ctx, n->query, n->uuid); break;
	case NOTE_USED: n->events->used(n->ctx); break;
	case NOTE_OUTDATED: n->events->outdated(n->ctx, n->why); break;
	case NOTE_RESIZED: n->events->resized(n->ctx); break;
	}
	free(n);
}

/* The claimant's structure is there until its release is answered, which goes the same way behind this. */
static void post_note(struct resource *r, const struct note *note)
{
	struct note *n = r->events ? calloc(1, sizeof(*n)) : NULL;

	if (!n)
		return; /* no memory: a look that is never answered ends with the asker's deadline */
	*n = *note;
	n->message.run = deliver_note;
	n->events = r->events;
	n->ctx = r->events_ctx;
	mailbox_post(r->control, &n->message);
}

void owner_tell_size(struct resource *r)
{
	post_note(r, &(struct note){ .what = NOTE_RESIZED });
}

void owner_post_broken(struct resource *r, const char *why)
{
	struct note note = { .what = NOTE_BROKEN };

	snprintf(note.why, sizeof(note.why), "%s", why);
	post_note(r, &note);
}

/* ---- the rings ---- */

void owner_note_first_request(struct resource *r)
{
	if (!r->steps.use_from)
		r->steps.use_from = clock_us();
}

/* An earlier daemon was killed, or could not finish in time. */
static void note_left(struct resource *r)
{
	r->left_requests = queues_left(r);
	r->left_since_ms = now(r);
	if (r->left_requests)
		log_notice(r->name, "%u requests of the earlier daemon are unanswered: they are executed again", r->left_requests);
}

static void finish_left(struct resource *r)
{
	if (!r->left_requests || queues_left(r))
		return;
	log_notice(r->name, "%u requests of the earlier daemon were unanswered, finished again after %llu ms", r->left_requests,
		   (unsigned long long)(now(r) - r->left_since_ms));
	r->left_requests = 0;
}

static int attach_rings(struct resource *r, char *why, size_t why_size)
{
	struct replicate_status status;
	struct blkif_limits limits;
	int rc;

	replicate_status(r->core, &status, now(r));
	owner_note_secure(r, status.superblock.discard_secure);
	limits = (struct blkif_limits){ status.superblock.agreed.sectors, status.superblock.agreed.block_size,
					r->ring_read_only, status.superblock.agreed.max_segments, status.superblock.discard_unit, r->record.secure };
	rc = queues_attach(r, &limits, why, why_size);
	if (rc)
		return rc;
	r->go_on = false;
	if (r->count)
		r->statistics = statistics_open(r->rings.ring[0].domid, r->devid);
	note_left(r);
	if (r->record.held)
		queues_hold_attached(r, r->hold_at_mark);
	r->hold_at_mark = false;
	return 0;
}

void owner_serve_ring(struct resource *r)
{
	queues_serve(r);
	if (queues_attached(r))
		finish_left(r);
	if (r->core && r->record.held)
		replicate_quiet(r->core, now(r));
}

/* What an earlier ring of this guest had in flight ends before a new ring is served. */
void owner_finish_connect(struct resource *r)
{
	struct call *call = r->connect_call;
	char why[RESOURCE_TEXT];
	int rc;

	if (!call || !r->activated || replicate_guest_requests(r->core))
		return;
	why[0] = '\0';
	r->connect_call = NULL;
	rc = attach_rings(r, why, sizeof(why));
	if (rc == -ESTALE)
		snprintf(why + strlen(why), sizeof(why) - strlen(why), ": this guest cannot go on and has to be destroyed (xl destroy)");
	call_answer(call, rc, rc && !why[0] ? strerror(-rc) : why);
}

/* ---- actions of the core ---- */

static void write_record(struct resource *r)
{
	if (r->record.attached || r->record.core.confirmed || r->record.core.known)
		attachment_write(r->minor, &r->record);
}

/* A guest reads once what it is offered, and relies on it from then on: also when the partner's disk has been replaced by one that cannot erase, and
 * under a later daemon. So what has been offered while it was here stays. */
void owner_note_secure(struct resource *r, bool offered)
{
	if (!offered || !r->record.attached || r->record.secure)
		return;
	r->record.secure = true;
	write_record(r);
	queues_offer_secure(r);
}

void act_claimed(void *ctx, int rc, const char *why)
{
	struct resource *r = ctx;
	struct call *call = r->claim_call;

	r->claim_call = NULL;
	if (call && !rc) {
		r->holder = call->ctx;
		r->events = call->claim.events;
		r->events_ctx = call->ctx;
		r->record.attached = true;
		r->record.domid = call->claim.domid;
		if (call->claim.claimant.incoming && r->steps.reserve_from)
			r->steps.reserve_us = clock_us() - r->steps.reserve_from;
	}
	call_answer(call, rc, why);
}

static void log_steps(const struct resource *r)
{
	log_notice(r->name, "hand-over: reserved in %llu us, committed in %llu us, first request after %llu us",
		   (unsigned long long)r->steps.reserve_us, (unsigned long long)r->steps.commit_us,
		   (unsigned long long)r->steps.use_us);
}

void act_activated(void *ctx, int rc, const char *why)
{
	struct resource *r = ctx;
	struct call *call = r->connect_call;

	r->activated = !rc;
	if (!rc) {
		if (r->steps.commit_from)
			r->steps.commit_us = clock_us() - r->steps.commit_from;
		return; /* owner_finish_connect() */
	}
	r->connect_call = NULL;
	call_answer(call, rc, why);
}

/* The release was answered when the ring was unmapped; what was in flight has now ended too. */
void act_released(void *ctx)
{
	struct resource *r = ctx;

	if (r->stopping)
		return; /* the guest is still there, for the next daemon */
	attachment_forget(r->minor, &r->record.core);
	r->record = (struct attachment_record){ .core = attachment_of_host(&r->record.core) };
	queues_forget_tables(r, 0);
	r->go_on = false;
}

void act_resume(void *ctx)
{
	struct resource *r = ctx;

	r->ring_work = true;
	if (!r->steps.reserve_us || r->steps.use_us || !r->steps.use_from || !replicate_ready(r->core))
		return;
	r->steps.use_us = clock_us() - r->steps.use_from;
	log_steps(r);
}

void act_record(void *ctx, const struct attachment *a)
{
	struct resource *r = ctx;

	if (r->left) { /* only the token's part can have changed */
		r->found.core.confirmed = a->confirmed;
		r->found.core.known = a->known;
		r->record.core = attachment_of_host(a);
		attachment_write(r->minor, &r->found);
		return;
	}
	if (r->claim_call && (a->served || a->reserved)) { /* being granted */
		r->record.attached = true;
		r->record.domid = r->claim_call->claim.domid;
	}
	r->record.core = *a;
	write_record(r);
}

static void forget_marks(struct resource *r)
{
	r->record.mark = 0;
	memset(r->record.more_marks, 0, sizeof(r->record.more_marks));
}

void act_hold(void *ctx)
{
	struct resource *r = ctx;

	if (r->adopting) { /* without a mark: whatever is in the ring lies beyond it */
		r->hold_at_mark = true;
		if (!r->record.held)
			forget_marks(r);
	} else if (queues_attached(r) && !r->record.held) {
		queues_hold(r);
	}
	r->resumed_told = false;
	r->record.held = true;
	write_record(r);
}

void act_unhold(void *ctx)
{
	struct resource *r = ctx;

	r->record.held = r->hold_at_mark = false;
	queues_unhold(r);
	r->ring_work = true;
	write_record(r);
}

bool act_quiet(void *ctx)
{
	const struct resource *r = ctx;

	if (queues_attached(r))
		return queues_quiet(r);
	return !(r->hold_at_mark && r->record.core.served); /* adopted, and its ring is still to be attached */
}

void act_look_suspended(void *ctx, uint64_t query, const uint8_t *uuid)
{
	struct note note = { .what = NOTE_LOOK, .query = query };

	memcpy(note.uuid, uuid, sizeof(note.uuid));
	post_note(ctx, &note);
}

void act_used(void *ctx)
{
	post_note(ctx, &(struct note){ .what = NOTE_USED });
}

void act_sibling_ready(void *ctx, int rc)
{
	struct resource *r = ctx;
	struct call *call;

	while ((call = r->sibling_calls)) {
		r->sibling_calls = call->next;
		call_answer(call, rc, "");
	}
}

void act_outdated(void *ctx, const char *why)
{
	struct note note = { .what = NOTE_OUTDATED };

	snprintf(note.why, sizeof(note.why), "%s", why);
	post_note(ctx, &note);
}

/* ---- calls from the control thread ---- */

static void claim_from_core(struct resource *r, struct call *call)
{
	struct resource_claim *c = &call->claim;

	c->claimant.waited_ms = (uint32_t)(now(r) - r->claim_asked_ms);
	r->steps = (struct handover_steps){ .reserve_from = c->claimant.incoming ? clock_us() : 0 };
	if (!c->adopt || !r->left || r->found.domid != c->domid) {
		replicate_claim(r->core, &c->claimant, now(r));
		return;
	}
	r->record = r->found;
	r->left = false;
	r->go_on = attachment_needs_table(&r->record);
	r->adopting = true;
	replicate_adopt(r->core, &c->claimant, &r->found.core, now(r));
	r->adopting = false;
}

void owner_claim(struct resource *r, struct call *call)
{
	if (r->stopping) {
		call_answer(call, -ESHUTDOWN, "the resource is being stopped: 'backend-ctl up' starts it again");
	} else if (r->claim_call) {
		call_answer(call, -EBUSY, "another guest is just asking for the disk: try again");
	} else {
		r->claim_call = call;
		r->claim_asked_ms = now(r);
		if (r->core)
			claim_from_core(r, call);
		else
			r->claim_deadline_ms = now(r) + OPEN_WAIT_MS;
	}
}

/* A claim that came while the disk was being opened. */
void owner_claim_waited(struct resource *r)
{
	struct call *call = r->claim_call;
	char why[RESOURCE_TEXT + 64];

	if (r->claim_deadline_ms == UINT64_MAX || (!r->core && now(r) < r->claim_deadline_ms))
		return;
	r->claim_deadline_ms = UINT64_MAX;
	if (!call)
		return;
	if (r->core) {
		claim_from_core(r, call);
		return;
	}
	r->claim_call = NULL;
	snprintf(why, sizeof(why), "%s: its disk is not available: %s", r->name, r->disk_why);
	call_answer(call, -ENODEV, why);
}

void owner_release(struct resource *r, struct call *call)
{
	struct call *connect = r->connect_call, *claim = r->claim_call;

	if (call->ctx != r->holder && !(claim && claim->ctx == call->ctx)) {
		call_answer(call, 0, ""); /* its claim was refused: the disk is another guest's */
		return;
	}
	r->holder = NULL;
	r->events = NULL;
	r->connect_call = NULL;
	call_answer(connect, -ECANCELED, "the device was closed");
	owner_detach_rings(r);
	if (r->core) {
		replicate_release(r->core, now(r)); /* answers a claim that waits */
	} else {
		r->claim_call = NULL;
		call_answer(claim, -ECANCELED, "the request was withdrawn");
	}
	call_answer(call, 0, "");
}

/* A daemon that finds that its rings were served looks for as many tables as the record says: they are there before, and go away after, it
 * says so. */
static int prepare_rings(struct resource *r, const struct ring_set *rings)
{
	int rc;

	r->rings = *rings;
	rc = queues_open_tables(r);
	if (rc)
		return rc;
	if (r->record.others + 1 != rings->count) {
		r->record.others = rings->count - 1;
		forget_marks(r); /* of other rings */
		write_record(r);
	}
	queues_forget_tables(r, rings->count); /* nobody waits for what an earlier frontend had in more queues */
	return 0;
}

void owner_ring_connect(struct resource *r, struct call *call)
{
	if (!r->core || r->stopping) {
		call_answer(call, -ESHUTDOWN, "the resource is being stopped: 'backend-ctl up' starts it again");
		return;
	}
	if (r->connect_call) {
		call_answer(call, -EBUSY, "another connection of this ring is under way");
		return;
	}
	owner_detach_rings(r);
	if (prepare_rings(r, &call->connection.rings)) {
		call_answer(call, -ENOMEM, "drbdxd is out of memory");
		return;
	}
	r->ring_read_only = call->connection.read_only;
	r->count = call->connection.statistics;
	r->devid = call->connection.devid;
	r->connect_call = call;
	r->activated = false;
	if (r->steps.reserve_us && !r->steps.commit_from)
		r->steps.commit_from = clock_us();
	replicate_activate(r->core, call->connection.who, call->connection.alone, now(r));
}

void owner_ring_disconnect(struct resource *r, struct call *call)
{
	struct call *connect = r->connect_call;

	r->connect_call = NULL;
	call_answer(connect, -ECANCELED, "the device was closed");
	owner_detach_rings(r);
	call_answer(call, 0, "");
}

void owner_suspended(struct resource *r, struct call *call)
{
	if (r->core)
		replicate_suspended(r->core, call->query, call->answer, call->answer_why, now(r));
	call_answer(call, 0, "");
}

void owner_sibling_used(struct resource *r, struct call *call)
{
	if (!r->core || r->holder != call->holder) {
		call_answer(call, -ECANCELED, ""); /* released meanwhile */
		return;
	}
	call->next = r->sibling_calls; /* one answer for all who ask */
	r->sibling_calls = call;
	replicate_sibling_used(r->core, now(r));
}

void owner_guest_ready(struct resource *r, struct call *call)
{
	if (r->core && r->holder == call->holder)
		replicate_guest_ready(r->core, now(r));
	call_answer(call, 0, "");
}

void owner_outdate(struct resource *r, struct call *call)
{
	if (r->core && r->holder == call->holder)
		replicate_outdate(r->core, call->answer_why, now(r));
	call_answer(call, 0, "");
}

void owner_nobody_left(struct resource *r, struct call *call)
{
	if (r->left) {
		r->left = false;
		attachment_forget(r->minor, &r->record.core);
		queues_forget_tables(r, 0);
	}
	if (r->core && !r->record.attached)
		replicate_nobody_left(r->core, now(r));
	call_answer(call, 0, "");
}

/* ---- stopping ---- */

/* The ring is served until what was consumed is answered; then the guest is left to a later daemon. */
bool owner_park_guest(struct resource *r)
{
	struct replicate_status s;

	if (replicate_guest_requests(r->core) || queues_in_flight(r))
		return false;
	owner_detach_rings(r);
	replicate_status(r->core, &s, now(r));
	if (s.attachment != ATTACHMENT_NONE && s.attachment != ATTACHMENT_RELEASING)
		replicate_park(r->core, now(r));
	return true;
}
