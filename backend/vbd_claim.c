/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vbd_claim.c: what a device asks of its resource, and the answers.
 *
 * A question may be taken back before it is answered (the directory vanishes while `add` is under way; the
 * frontend closes while its ring is being attached): then resource_release() or resource_ring_disconnect()
 * follows at once, and the device waits for both answers. So a structure is never freed while an answer is
 * outstanding, and every caller of device_add() and device_remove() is answered once.
 */
#include "backend/vbd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/log.h"

#define RETRY_MS       1000 /* a ring that could not be attached is tried again: never an I/O error for a guest */
#define STALE_RETRY_MS 60000 /* one that never will be: the words stay, the log is quiet */
#define ADOPT_RETRY_MS 5000

bool vbd_pending(const struct vbd *v)
{
	return v->claim_pending || v->connect_pending || v->detach_pending || v->release_pending;
}

static void complete(struct vbd *v, enum xenbus_event event)
{
	v->completed |= 1u << event;
}

/* Runs the caller's callbacks without letting them free the device. */
static bool hold(struct vbd *v)
{
	bool was = v->running;

	v->running = true;
	return was;
}

static void answer_waiters(struct vbd *v)
{
	STAILQ_HEAD(, waiter) waiters = STAILQ_HEAD_INITIALIZER(waiters);
	bool was = hold(v);
	struct waiter *w;

	STAILQ_CONCAT(&waiters, &v->waiters);
	while ((w = STAILQ_FIRST(&waiters))) {
		STAILQ_REMOVE_HEAD(&waiters, link);
		w->reply(w->ctx, 0, "");
		free(w);
	}
	v->running = was;
}

static void answer_add(struct vbd *v, int rc, const char *why)
{
	resource_reply_fn *reply = v->add_reply;

	v->add_reply = NULL;
	if (reply)
		reply(v->add_ctx, rc, why);
}

/* After every answer: is the release complete? Then looks at the device again. */
static void answered(struct vbd *v)
{
	if (!v->devices) {
		if (!vbd_pending(v))
			vbd_free(v);
		return;
	}
	if (v->claim == CLAIM_RELEASING && !vbd_pending(v)) {
		v->claim = CLAIM_NONE;
		v->resource = NULL;
		complete(v, XENBUS_EVENT_RELEASED);
		answer_waiters(v);
	}
	vbd_run(v);
}

/* Whoever asks for a disk only to read it may expect that others can do so beside him. */
static const char *words_of_refusal(const struct vbd *v, int rc, const char *why, char *words, size_t size)
{
	if (rc != -EBUSY || v->script_mode != 'r' || name_is_incoming(v->guest))
		return why;
	snprintf(words, size, "%s; a disk has one guest at a time on both hosts, also one that is only read", why);
	return words;
}

static void claimed(void *ctx, int rc, const char *why)
{
	struct vbd *v = ctx;
	char words[RESOURCE_TEXT + 96];
	bool was = hold(v);

	why = words_of_refusal(v, rc, why, words, sizeof(words));

	v->claim_pending = false;
	if (v->claim == CLAIM_ASKED && rc) {
		v->claim = CLAIM_NONE;
		v->resource = NULL;
		if (v->devices) {
			vbd_say(v, why);
			v->adopt_ms = vbd_now(v) + ADOPT_RETRY_MS;
		}
	} else if (v->claim == CLAIM_ASKED) {
		v->claim = v->adopted ? CLAIM_DONE : CLAIM_GRANTED;
		*v->why = 0;
	} else if (!rc) {
		rc = -ECANCELED;
		why = "the device went away while it was being attached: attach it again";
	}
	answer_add(v, rc, why);
	v->running = was;
	answered(v);
}

static void broken(void *ctx, const char *why)
{
	struct vbd *v = ctx;

	if (!v->attached || !v->devices)
		return;
	v->attached = false;
	vbd_say(v, why);
	complete(v, XENBUS_EVENT_BROKEN);
	vbd_run(v);
}

void vbd_claim(struct vbd *v, struct resource *r, bool adopt)
{
	static const struct resource_events events = {
		.ring_broken = broken,
		.look_suspended = vbd_look_suspended,
		.used = vbd_used,
		.outdated = vbd_outdated,
		.resized = vbd_resized,
	};
	struct resource_claim claim = { .domid = v->domid, .adopt = adopt, .events = &events };

	vbd_claimant(v, &claim.claimant);
	v->claim = CLAIM_ASKED;
	v->claim_pending = true;
	v->adopted = adopt;
	v->undo_write = false;
	v->resource = r;
	resource_claim(r, &claim, claimed, v);
}

/* A frontend that has not connected has no ring yet. One that has waits for what the earlier daemon had not answered. */
static bool may_go_on(struct vbd *v, const struct resource *r)
{
	char problem[RESOURCE_TEXT - 128], why[RESOURCE_TEXT];

	if (v->frontend_state == XENBUS_INITIALISING || v->frontend_state == XENBUS_INITWAIT ||
	    !resource_left_servable(r, v->domid, v->phase == XENBUS_PHASE_ORPHANED, problem, sizeof(problem)))
		return true;
	snprintf(why, sizeof(why),
		 "it is not known what the earlier daemon left unanswered (%s): this guest cannot go on and has to be destroyed "
		 "(xl destroy)",
		 problem);
	vbd_say(v, why);
	return false;
}

void vbd_adopt(struct vbd *v)
{
	struct resource *r;

	if (!v->adoptable || v->refused || !v->hotplug || v->claim != CLAIM_NONE || !v->devices->store)
		return;
	if (v->phase != XENBUS_PHASE_WAIT && v->phase != XENBUS_PHASE_ORPHANED)
		return;
	if (vbd_now(v) < v->adopt_ms) {
		v->wake_ms = v->adopt_ms < v->wake_ms ? v->adopt_ms : v->wake_ms;
		return;
	}
	v->adopt_ms = vbd_now(v) + ADOPT_RETRY_MS;
	v->wake_ms = v->adopt_ms < v->wake_ms ? v->adopt_ms : v->wake_ms;
	r = vbd_resource(v);
	if (r && !may_go_on(v, r))
		v->refused = true;
	else if (r)
		vbd_claim(v, r, true);
	else
		vbd_say(v, "the disk was attached before drbdxd started, and its resource is not up: start it with 'backend-ctl up'");
}

static void connected(void *ctx, int rc, const char *why)
{
	struct vbd *v = ctx;

	v->connect_pending = false;
	if (v->devices && v->phase == XENBUS_PHASE_ATTACHING) {
		v->attached = !rc;
		complete(v, rc ? XENBUS_EVENT_ATTACH_FAILED : XENBUS_EVENT_ATTACHED);
		if (rc) {
			vbd_say(v, why);
			v->retry_ms = vbd_now(v) + (rc == -ESTALE ? STALE_RETRY_MS : RETRY_MS);
		}
	} else if (v->phase == XENBUS_PHASE_DETACHING && !v->detach_pending) {
		complete(v, XENBUS_EVENT_DETACHED);
	}
	answered(v);
}

void vbd_attach(struct vbd *v)
{
	struct resource_connection c = { .rings = v->seen, .read_only = v->script_mode == 'r' };
	struct claimant claimant;

	vbd_claimant(v, &claimant);
	snprintf(c.who, sizeof(c.who), "%s", claimant.who);
	c.alone = vbd_alone(v);
	c.statistics = v->kind == VBD_KIND_VBD3;
	c.devid = v->devid;
	v->rings = v->seen;
	v->connect_pending = true;
	resource_ring_connect(v->resource, &c, connected, v);
}

static void detached(void *ctx, int rc, const char *why)
{
	struct vbd *v = ctx;

	if (rc)
		log_warn(v->object, "detaching the ring: %s", why);
	v->detach_pending = false;
	v->attached = false;
	if (!v->connect_pending)
		complete(v, XENBUS_EVENT_DETACHED);
	answered(v);
}

void vbd_detach(struct vbd *v)
{
	v->detach_pending = true;
	resource_ring_disconnect(v->resource, detached, v);
}

static void released(void *ctx, int rc, const char *why)
{
	struct vbd *v = ctx;

	if (rc)
		log_warn(v->object, "releasing %s: %s", v->resource_name, why);
	v->release_pending = false;
	v->attached = false;
	answered(v);
}

void vbd_release(struct vbd *v)
{
	if (v->claim == CLAIM_RELEASING)
		return;
	if (v->claim == CLAIM_NONE) {
		complete(v, XENBUS_EVENT_RELEASED);
		answer_waiters(v);
		return;
	}
	v->claim = CLAIM_RELEASING;
	v->release_pending = true;
	resource_release(v->resource, released, v);
}

/* What block-drbdx may have written must not let a guest connect later. */
void vbd_write_undo(struct vbd *v)
{
	static const struct store_entry entry[] = {
		{ "hotplug-status", "error" },
		{ "hotplug-error", "block-drbdx ended before the disk was attached: attach it again" },
	};
	int rc;

	if (!v->devices->store)
		return;
	rc = store_update(v->devices->store, v->path, "frontend", entry, sizeof(entry) / sizeof(entry[0]));
	v->undo_write = rc && rc != -ENOENT;
}

void vbd_undo(struct vbd *v, const char *why)
{
	if (v->claim != CLAIM_ASKED && v->claim != CLAIM_GRANTED)
		return;
	vbd_say(v, why);
	v->undo_write = true;
	vbd_write_undo(v);
	vbd_release(v);
}
