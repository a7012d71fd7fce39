/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vbd.c: one device: what xenstore says now becomes an event, the table says what to do, and it is done.
 *
 * Invariants
 *   1. Only the present value counts: a guest that writes 10^5 states a second costs one look a wake-up (H9).
 *   2. All reads of one look see one moment of xenstore, so keys of two negotiations are never mixed.
 *   3. `published` is what our node should say. A write that failed (xenstored away) is not tried again by
 *      the code that wanted it: the next look finds the difference and repairs it, whoever made it.
 *   4. Nothing is written into a directory that has vanished (store_update's guard).
 *
 * Crash argument: all that matters is in xenstore, in /run and in the superblock. A daemon that starts finds state 2
 * or 4 and hotplug-status, and claims again (vbd_adopt), if it can be known what the guest waits for (P6, docs/RESTART.md).
 */
#include "backend/vbd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/frontend.h"
#include "backend/log.h"
#include "backend/publish.h"
#include "backend/statistics.h"
#include "backend/takeover.h"

#define TAKE_WAIT_MS 1000	/* how long a loaded xen-blkback may take to probe a new device */
#define TAKE_POLL_MS 10
#define TAKE_RETRY_MS 1000
/* Between two repairs: whoever changes our state in a loop gets no loop from us. */
#define RESTORE_PAUSE_MS 200
#define ASK_AGAIN_MS 100	/* the guest's other disks, of which one is still being adopted */
#define LOOKS_MAX 32		/* a run; a frontend that moves faster waits for the next one */

struct resource *vbd_resource(const struct vbd *v)
{
	if (v->claim != CLAIM_NONE)
		return v->resource;
	return v->devices->find(v->devices->find_ctx, v->resource_name);
}

void vbd_say(struct vbd *v, const char *why)
{
	if (!strcmp(v->why, why))
		return;
	snprintf(v->why, sizeof(v->why), "%s", why);
	if (*why)
		log_notice(v->object, "%s", why);
}

void vbd_free(struct vbd *v)
{
	struct waiter *w;

	vbd_question_drop(v);
	while ((w = STAILQ_FIRST(&v->waiters))) {
		STAILQ_REMOVE_HEAD(&v->waiters, link);
		free(w);
	}
	free(v);
}

static void wake_at(struct vbd *v, uint64_t ms)
{
	if (ms < v->wake_ms)
		v->wake_ms = ms;
}

/* Looking. */

static bool settled(const struct vbd *v)
{
	switch (v->phase) {
	case XENBUS_PHASE_FOUND: case XENBUS_PHASE_DETACHING: case XENBUS_PHASE_DETACHED:
	case XENBUS_PHASE_RELEASING: case XENBUS_PHASE_RELEASED: case XENBUS_PHASE_LEAVING:
		return false;
	default:
		return true;
	}
}

static bool held_by_kernel(const struct vbd *v)
{
	return v->kind == VBD_KIND_VBD && takeover_held(v->domid, v->devid);
}

/* A new vbd is left to a loaded xen-blkback until it has probed it: a probe after us would take ring and
 * state away. A vbd3 is left to the kernel, which has no driver for it, until xentop can see it (docs/XENTOP.md). */
static enum xenbus_event look_taken(struct vbd *v)
{
	char why[RESOURCE_TEXT];

	if (v->kind == VBD_KIND_VBD3 ? takeover_vbd3_seen(v->domid, v->devid) : !takeover_loaded())
		return XENBUS_EVENT_TAKEN;
	if (held_by_kernel(v)) {
		if (!takeover_unbind(v->domid, v->devid, why, sizeof(why)))
			return XENBUS_EVENT_TAKEN;
		vbd_say(v, why);
		wake_at(v, vbd_now(v) + TAKE_RETRY_MS);
		return XENBUS_EVENT_NONE;
	}
	if (v->own_state != XENBUS_INITIALISING || vbd_now(v) >= v->found_ms + TAKE_WAIT_MS)
		return XENBUS_EVENT_TAKEN;
	wake_at(v, vbd_now(v) + TAKE_POLL_MS);
	return XENBUS_EVENT_NONE;
}

static bool may_connect(struct vbd *v)
{
	if (v->claim == CLAIM_DONE && v->hotplug)
		return true;
	if (v->claim == CLAIM_NONE && !*v->why) /* usual at a hot attach: not worth a line in the log */
		snprintf(v->why, sizeof(v->why), "the frontend waits: block-drbdx has not attached the disk");
	return false;
}

unsigned int vbd_queues(const struct vbd *v)
{
	const struct resource *r = vbd_resource(v);
	struct features features = { .queues = 1 };

	if (r)
		resource_features(r, &features);
	return features.queues;
}

static enum xenbus_event look_ring(struct vbd *v, char *reason, size_t size)
{
	int rc = frontend_read(v->devices->store, v->frontend, v->domid, vbd_queues(v), &v->seen, reason, size);

	if (rc == -EIO)
		return XENBUS_EVENT_NONE;
	if (!rc && (v->attached || v->phase == XENBUS_PHASE_ATTACHING) &&
	    frontend_same_rings(&v->rings, &v->seen))
		return XENBUS_EVENT_FE_SAME;
	if (!may_connect(v))
		return XENBUS_EVENT_FE_EARLY;
	if (rc) {
		if (rc != -EINVAL)
			snprintf(reason, size, "the frontend's keys cannot be read: %s", strerror(-rc));
		return XENBUS_EVENT_FE_BAD;
	}
	if ((v->phase == XENBUS_PHASE_WAIT || v->phase == XENBUS_PHASE_ORPHANED) &&
	    vbd_now(v) < v->retry_ms) {
		wake_at(v, v->retry_ms);
		return XENBUS_EVENT_NONE;
	}
	return XENBUS_EVENT_FE_READY;
}

static enum xenbus_event look_frontend(struct vbd *v, char *reason, size_t size)
{
	int state = frontend_state(v->devices->store, v->frontend);

	if (state == -EIO)
		return XENBUS_EVENT_NONE;
	v->frontend_state = state < 0 ? -1 : state;
	switch (state) {
	case XENBUS_UNKNOWN: return XENBUS_EVENT_FE_GONE;
	case XENBUS_INITIALISING: return XENBUS_EVENT_FE_INIT;
	case XENBUS_INITWAIT: return XENBUS_EVENT_FE_IDLE;
	case XENBUS_INITIALISED: case XENBUS_CONNECTED: return look_ring(v, reason, size);
	case XENBUS_CLOSING: return XENBUS_EVENT_FE_CLOSING;
	case XENBUS_CLOSED: return XENBUS_EVENT_FE_CLOSED;
	default:
		snprintf(reason, size, "the frontend's state is none that a block frontend may have");
		return XENBUS_EVENT_FE_GARBAGE;
	}
}

enum directory { DIRECTORY_OURS, DIRECTORY_GONE, DIRECTORY_OTHER };

/* Is the directory still the one we know? One that was removed and made again between two looks lacks our
 * marker. */
static enum directory look_directory(struct vbd *v)
{
	struct store *s = v->devices->store;
	char text[STORE_PATH];
	int rc = store_read(s, v->path, "frontend", text, sizeof(text));

	if (rc == -ENOENT)
		return DIRECTORY_GONE;
	if (rc || !v->marked)
		return DIRECTORY_OURS;
	rc = store_read(s, v->path, PUBLISH_MARKER, text, sizeof(text));
	return rc == -EIO || !strcmp(text, v->marker) ? DIRECTORY_OURS : DIRECTORY_OTHER;
}

static enum xenbus_event look_gone(struct vbd *v, enum directory directory)
{
	if (directory == DIRECTORY_OTHER || !v->unseen || v->claim == CLAIM_NONE)
		return XENBUS_EVENT_VANISHED;
	vbd_say(v,
		"xenstored came back without its contents: the ring is served on, the device cannot be seen");
	return XENBUS_EVENT_NONE;
}

static bool disturbed(struct vbd *v, char *reason, size_t size)
{
	bool held = held_by_kernel(v);

	if (v->own_state == v->published && !held && !v->resized)
		return false;
	if (vbd_now(v) < v->restore_ms) {
		wake_at(v, v->restore_ms);
		return false;
	}
	snprintf(reason, size, "state is %d where %d was published%s%s", v->own_state, v->published,
		 held ? ", xen-blkback has taken the device" : "",
		 v->unwritten ? ", xenstored did not take it then" : "");
	return true;
}

static enum xenbus_event look_in_view(struct vbd *v, char *reason, size_t size)
{
	struct store *s = v->devices->store;
	char hotplug[32];
	uint64_t n = 1;
	enum directory directory = look_directory(v);
	bool online;

	if (directory != DIRECTORY_OURS)
		return look_gone(v, directory);
	v->unseen = false;
	online = store_number(s, v->path, "online", 0, 1, &n) || n;
	v->own_state = store_number(s, v->path, "state", 0, 8, &n) ? -1 : (int)n;
	v->hotplug = !store_read(s, v->path, "hotplug-status", hotplug, sizeof(hotplug)) &&
		     !strcmp(hotplug, "connected");
	if (store_broken(s) || v->phase == XENBUS_PHASE_RELEASING)
		return XENBUS_EVENT_NONE;
	if (!online && v->phase != XENBUS_PHASE_OFFLINE)
		return XENBUS_EVENT_OFFLINE;
	if (settled(v) && disturbed(v, reason, size))
		return XENBUS_EVENT_DISTURBED;
	if (!online || v->phase == XENBUS_PHASE_DETACHING)
		return XENBUS_EVENT_NONE;
	if (v->phase == XENBUS_PHASE_FOUND)
		return look_taken(v);
	return look_frontend(v, reason, size);
}

static enum xenbus_event look(struct vbd *v, char *reason, size_t size)
{
	struct store *s = v->devices->store;
	enum xenbus_event event;

	if (v->phase == XENBUS_PHASE_LEAVING || !s || store_view(s))
		return XENBUS_EVENT_NONE;
	event = look_in_view(v, reason, size);
	store_view_end(s);
	return store_broken(s) ? XENBUS_EVENT_NONE : event;
}

/* Acting. */

static void error_path(const struct vbd *v, char *path, size_t size, const char *leaf)
{
	snprintf(path, size, "error/%s%s", v->path, leaf);
}

static void write_error(struct vbd *v, const char *reason)
{
	char path[STORE_PATH], text[RESOURCE_TEXT + 8];

	vbd_say(v, reason);
	if (!strcmp(v->error, reason) || !v->devices->store)
		return;
	snprintf(v->error, sizeof(v->error), "%s", reason);
	error_path(v, path, sizeof(path), "/error");
	snprintf(text, sizeof(text), "%d %s", EINVAL, reason);		/* as the kernel's xenbus writes it */
	store_write(v->devices->store, path, text);
}

/* With the domain's directory, when nothing else is in it: numbers of domains only grow. */
static void clear_error(struct vbd *v)
{
	char path[STORE_PATH], **names;
	unsigned int n = 0;

	if (!*v->error || !v->devices->store)
		return;
	*v->error = 0;
	error_path(v, path, sizeof(path), "");
	store_write(v->devices->store, path, NULL);
	*strrchr(path, '/') = '\0';
	names = store_list(v->devices->store, path, &n);
	if (names && !n)
		store_write(v->devices->store, path, NULL);
	free(names);
}

static int write_features(struct vbd *v)
{
	struct resource *r = vbd_resource(v);
	struct features features;

	publish_default_features(&features);
	if (r)
		resource_features(r, &features);
	return publish(v->devices->store, v->path,
		       &(struct publication){.features = &features,
					     .marker = v->marker,
					     .state = v->published,
					     .geometry = v->published == XENBUS_CONNECTED,
					     .statistics = v->kind == VBD_KIND_VBD3 ? statistics_name() : NULL,
					     .read_only = v->script_mode == 'r',
					     .cdrom = v->cdrom,
					     .no_discard = v->no_discard});
}

/* Writes what is published. A failure is repaired by a later look (invariant 3). */
static void write_published(struct vbd *v)
{
	bool opened = v->published == XENBUS_INITWAIT || v->published == XENBUS_CONNECTED;
	int rc = -EIO;

	if (v->devices->store)
		rc = opened ? write_features(v) : publish_state(v->devices->store, v->path, v->published);
	v->unwritten = rc != 0;
	v->resized &= rc != 0;
	if (!rc && opened)
		v->marked = true;
	if (!rc)
		v->own_state = v->published;
	v->restore_ms = vbd_now(v) + (rc ? RESTORE_PAUSE_MS : 0);
	if (rc && rc != -EIO && rc != -ENOENT)
		log_error(v->object, "state %d could not be written: %s", v->published, strerror(-rc));
}

static void publish_phase(struct vbd *v, int state)
{
	v->published = state;
	write_published(v);
}

static void take(struct vbd *v)
{
	char why[RESOURCE_TEXT];

	if (v->kind == VBD_KIND_VBD && takeover_unbind(v->domid, v->devid, why, sizeof(why)))
		vbd_say(v, why);
}

static void forget(struct vbd *v)
{
	struct devices *d = v->devices;

	if (d->store) {
		char token[80], path[STORE_PATH];

		clear_error(v);
		snprintf(token, sizeof(token), "f%s", v->path);
		snprintf(path, sizeof(path), "%s/state", v->frontend);
		store_unwatch(d->store, path, token);
	}
	d->rescan = true;		/* another device may have come to the same path in the meantime */
	log_info(v->object, "forgotten");
	TAILQ_REMOVE(&d->list, v, link);
	vbd_free(v);
}

/* Whether the device is forgotten (and freed). */
static bool act(struct vbd *v, unsigned int actions, const char *reason)
{
	if ((actions & XENBUS_ALARM) && !v->unwritten && !v->resized)
		log_error(v->object,
			  "somebody changed the state of a disk that is being served (xen-blkback loaded "
			  "again?): "
			  "%s; taking it back",
			  reason);
	if (actions & XENBUS_TAKE)
		take(v);
	if (actions & XENBUS_ERROR)
		write_error(v, reason);
	if (actions & XENBUS_DETACH)
		vbd_detach(v);
	if (actions & XENBUS_RELEASE)
		vbd_release(v);
	if (actions & XENBUS_PUBLISH) {
		if (!(actions & XENBUS_ERROR))
			clear_error(v);
		publish_phase(v, XENBUS_INITWAIT);
	}
	if (actions & XENBUS_CONNECT) {
		clear_error(v);
		vbd_say(v, "");
		publish_phase(v, XENBUS_CONNECTED);
	}
	if (actions & XENBUS_WRITE_5)
		publish_phase(v, XENBUS_CLOSING);
	if (actions & XENBUS_WRITE_6)
		publish_phase(v, XENBUS_CLOSED);
	if (actions & XENBUS_RESTORE) {
		write_published(v);
		v->restore_ms = vbd_now(v) + RESTORE_PAUSE_MS;
	}
	if (actions & XENBUS_ATTACH)
		vbd_attach(v);
	if (actions & XENBUS_FORGET)
		forget(v);
	return actions & XENBUS_FORGET;
}

/* The only place that changes the phase. */
static void set_phase(struct vbd *v, enum xenbus_phase next, enum xenbus_event event, const char *reason)
{
	if (next != v->phase)
		log_info(v->object, "%s -> %s (%s, %s)", xenbus_phase_name(v->phase), xenbus_phase_name(next),
			 xenbus_event_name(event), *reason ? reason : xenbus_event_what(event));
	v->phase = next;
}

static enum xenbus_event next_event(struct vbd *v, char *reason, size_t size)
{
	*reason = 0;
	if (!v->completed)
		return look(v, reason, size);
	for (enum xenbus_event e = 0; e < XENBUS_EVENT_COUNT; e++) {
		if (!(v->completed & (1u << e)))
			continue;
		v->completed &= ~(1u << e);
		if (e == XENBUS_EVENT_ATTACH_FAILED || e == XENBUS_EVENT_BROKEN)
			snprintf(reason, size, "%s", v->why);
		return e;
	}
	return XENBUS_EVENT_NONE;
}

/* The frontend looks at `sectors` again when the state node is written, though that says 4 as before. A device that is not
 * connected publishes the new size when it is. */
void vbd_resized(void *ctx)
{
	struct vbd *v = ctx;

	if (!v->devices || v->published != XENBUS_CONNECTED)
		return;
	v->resized = true;
	v->restore_ms = 0;
	vbd_run(v);
}

void vbd_run(struct vbd *v)
{
	char reason[RESOURCE_TEXT];
	int looks;

	if (v->running)
		return;
	v->running = true;
	v->wake_ms = UINT64_MAX;
	if (v->undo_write)
		vbd_write_undo(v);
	if (v->ask_again)
		vbd_used(v);
	for (looks = 0; looks < LOOKS_MAX; looks++) {
		enum xenbus_phase before = v->phase;
		bool answer = v->completed != 0;
		enum xenbus_event event = next_event(v, reason, sizeof(reason));
		struct xenbus_cell cell;

		if (event == XENBUS_EVENT_NONE)
			break;
		cell = xenbus_step(v->phase, event);
		if (cell.actions & XENBUS_ODD)
			log_warn(v->object, "%s in %s: ignored", xenbus_event_name(event),
				 xenbus_phase_name(v->phase));
		set_phase(v, cell.next, event, reason);
		if (act(v, cell.actions, reason))
			return;
		if (v->phase == before && !answer && !v->completed)
			break;
	}
	if (looks == LOOKS_MAX)
		wake_at(v, vbd_now(v) + RESTORE_PAUSE_MS);
	if (v->ask_again)
		wake_at(v, vbd_now(v) + ASK_AGAIN_MS);
	v->running = false;
	vbd_adopt(v);
}
