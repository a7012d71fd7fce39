/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c: all devices of this host: found through watches, kept while xenstored is away, reached by
 * block-drbdx.
 *
 * Watches only mark devices as touched; each touched device is then looked at once (vbd.c). Three watches for
 * all (the two backend directories and @releaseDomain), and one on each frontend's state, not on its
 * directory: a guest can make us look, not read its history.
 *
 * While xenstored is away, rings are served on. When it is back, everything is watched, scanned and compared
 * again. A node of ours in Dom0's directory tells whether it came back with its contents: if not, "the
 * directory is gone" says nothing about the device.
 */
#include "backend/vbd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/frontend.h"
#include "backend/log.h"
#include "backend/takeover.h"

#define RETRY_MS 500
#define PING_MS 1000		/* libxenstore does not tell when xenstored dies */
#define EVENTS_MAX 65536	/* a wake-up; more of them stay in libxenstore's queue for the next one */
#define DOMID_MAX 0x7fefu	/* DOMID_FIRST_RESERVED - 1 */
#define SCRIPT "block-drbdx"
#define INSTANCE "drbdxd"	/* our node in Dom0's directory */

static const char *const kind_name[VBD_KINDS] = { "vbd", "vbd3" };

static void devices_process(struct devices *d);

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void advance(struct devices *d, uint64_t now_ms)
{
	if (now_ms > d->now_ms)
		d->now_ms = now_ms;
}

uint64_t vbd_now(struct vbd *v)
{
	advance(v->devices, clock_ms());
	return v->devices->now_ms;
}

/* Paths. */

struct place { enum vbd_kind kind; uint32_t domid, devid; };

static bool take_word(const char **p, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*p, word, n) || ((*p)[n] && (*p)[n] != '/'))
		return false;
	*p += n + ((*p)[n] == '/');
	return true;
}

static bool take_number(const char **p, uint64_t max, uint32_t *out)
{
	size_t n = strcspn(*p, "/");
	uint64_t v;

	if (store_decimal(*p, n, 0, max, &v))
		return false;
	*p += n + ((*p)[n] == '/');
	*out = (uint32_t)v;
	return true;
}

/* "backend/KIND/D/V", also with something behind. */
static bool parse_place(const char *path, struct place *out)
{
	if (!take_word(&path, "backend"))
		return false;
	for (out->kind = 0; out->kind < VBD_KINDS; out->kind++)
		if (take_word(&path, kind_name[out->kind]))
			break;
	return out->kind < VBD_KINDS && take_number(&path, DOMID_MAX, &out->domid) &&
	       take_number(&path, UINT32_MAX, &out->devid);
}

static struct vbd *find_place(struct devices *d, const struct place *p)
{
	struct vbd *v;

	TAILQ_FOREACH(v, &d->list, link)
		if (v->kind == p->kind && v->domid == p->domid && v->devid == p->devid)
			return v;
	return NULL;
}

/* Finding devices. */

static bool script_is_ours(const char *script)
{
	const char *slash = strrchr(script, '/');

	return !strcmp(slash ? slash + 1 : script, SCRIPT);
}

/* The user's words for the disk, without what the toolstack puts in front. */
static const char *strip_params(const char *params)
{
	static const char *const prefix[] = { "aio:", "drbdx:" };

	for (size_t i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++)
		if (!strncmp(params, prefix[i], strlen(prefix[i])))
			params += strlen(prefix[i]);
	return params;
}

/* What the toolstack wrote. -ENOENT: not our device, or gone; -EINVAL: ours, but not to be served (logged).
 */
static int read_device(struct devices *d, struct vbd *v)
{
	char script[STORE_PATH], params[METADATA_NAME_MAX + 16], text[32];
	const char *name;
	uint64_t id;

	if (store_read(d->store, v->path, "script", script, sizeof(script)) || !script_is_ours(script))
		return -ENOENT;
	if (store_read(d->store, v->path, "frontend", v->frontend, sizeof(v->frontend)))
		return -ENOENT;
	if (store_number(d->store, v->path, "frontend-id", 0, DOMID_MAX, &id) || id != v->domid ||
	    !frontend_path_ok(v->frontend, v->domid, v->devid)) {
		log_error(v->object, "the frontend %s is not that of %s: ignored", v->frontend, v->path);
		return -EINVAL;
	}
	store_read(d->store, v->path, "params", params, sizeof(params));
	name = strip_params(params);
	if (strlen(name) <
	    sizeof(v->resource_name)) /* a longer name is nobody's: left empty, refused by add */
		memcpy(v->resource_name, name, strlen(name) + 1);
	store_read(d->store, v->path, "dev", v->dev, sizeof(v->dev));
	store_read(d->store, v->path, "mode", text, sizeof(text));
	v->script_mode = !strcmp(text, "w") || !strcmp(text, "r") ? text[0] : 0;
	store_read(d->store, v->path, "device-type", text, sizeof(text));
	v->cdrom = !strcmp(text, "cdrom");
	v->no_discard = !store_read(d->store, v->path, "discard-enable", text, sizeof(text)) && !strcmp(text, "0");
	store_read(d->store, v->path, "hotplug-status", text, sizeof(text));
	v->adoptable = !d->scanned && !strcmp(text, "connected");
	return store_number(d->store, v->path, "state", 0, 8, &id) ? -ENOENT : (int)id;
}

/* Where a device starts: usually FOUND; what an earlier daemon left may be further. */
static void start_phase(struct vbd *v, int state)
{
	v->phase = XENBUS_PHASE_FOUND;
	v->own_state = state;
	if (state == XENBUS_CONNECTED)
		v->phase = XENBUS_PHASE_ORPHANED;
	else if (state == XENBUS_CLOSING)
		v->phase = XENBUS_PHASE_CLOSING_IDLE;
	else if (state == XENBUS_CLOSED)
		v->phase = XENBUS_PHASE_CLOSED;
	if (v->phase != XENBUS_PHASE_FOUND)
		v->published = state;
}

static void watch_frontend(struct devices *d, struct vbd *v)
{
	char path[STORE_PATH], token[80];

	snprintf(path, sizeof(path), "%s/state", v->frontend);
	snprintf(token, sizeof(token), "f%s", v->path);
	store_watch(d->store, path, token);
}

/* Takes the device up if it is there and ours. */
static struct vbd *probe(struct devices *d, const struct place *p)
{
	struct vbd *v = calloc(1, sizeof(*v));
	int state;

	if (!v)
		return NULL;
	v->devices = d;
	v->kind = p->kind;
	v->domid = p->domid;
	v->devid = p->devid;
	v->wake_ms = UINT64_MAX;
	v->found_ms = d->now_ms;
	STAILQ_INIT(&v->waiters);
	snprintf(v->path, sizeof(v->path), "backend/%s/%u/%u", kind_name[p->kind], p->domid, p->devid);
	snprintf(v->object, sizeof(v->object), "%s %u/%u", kind_name[p->kind], p->domid, p->devid);
	state = read_device(d, v);
	if (state < 0) {
		free(v);
		return NULL;
	}
	snprintf(v->marker, sizeof(v->marker), "%ld.%u", (long)getpid(), ++d->serial);
	start_phase(v, state);
	log_info(v->object, "disk %s as %s: found in state %d", v->resource_name, v->dev, state);
	TAILQ_INSERT_TAIL(&d->list, v, link);
	watch_frontend(d, v);
	v->touched = true;
	return v;
}

static void touch_place(struct devices *d, const struct place *p)
{
	struct vbd *v = find_place(d, p);

	if (v)
		v->touched = true;
	else
		probe(d, p);
}

static void scan_domain(struct devices *d, enum vbd_kind kind, const char *domain)
{
	struct place p = { .kind = kind };
	char path[STORE_PATH];
	const char *text = domain;
	unsigned int n;
	char **names;

	if (!take_number(&text, DOMID_MAX, &p.domid))
		return;
	snprintf(path, sizeof(path), "backend/%s/%u", kind_name[kind], p.domid);
	names = store_list(d->store, path, &n);
	for (unsigned int i = 0; i < n; i++) {
		text = names[i];
		if (take_number(&text, UINT32_MAX, &p.devid))
			touch_place(d, &p);
	}
	free(names);
}

static void scan(struct devices *d)
{
	struct vbd *v;

	d->rescan = false;
	TAILQ_FOREACH(v, &d->list, link)
		v->touched = true;
	for (enum vbd_kind kind = 0; kind < VBD_KINDS; kind++) {
		char path[32];
		unsigned int n;
		char **names;

		snprintf(path, sizeof(path), "backend/%s", kind_name[kind]);
		names = store_list(d->store, path, &n);
		for (unsigned int i = 0; i < n; i++)
			scan_domain(d, kind, names[i]);
		free(names);
	}
	if (!store_broken(d->store))
		d->scanned = true;
}

/* xenstored: away and back. */

static void lost(struct devices *d)
{
	store_close(d->store);
	d->store = NULL;
	d->away_ms = d->now_ms;
	d->retry_ms = d->now_ms + RETRY_MS;
	log_warn(NULL, "xenstored does not answer: disks are served on, devices do not come or go");
}

/* Did xenstored keep its contents while it was away? */
static void check_contents(struct devices *d)
{
	char text[32];
	bool kept = !store_read(d->store, INSTANCE, "", text, sizeof(text));
	struct vbd *v;

	if (d->connected_before && !kept && !TAILQ_EMPTY(&d->list)) {
		TAILQ_FOREACH(v, &d->list, link)
			v->unseen = true;
			log_error(NULL, "xenstored came back without its contents: disks are served on, but "
					"guests and toolstack "
					"cannot see them until they are started again");
	}
	snprintf(text, sizeof(text), "%ld", (long)getpid());
	store_write(d->store, INSTANCE, text);
}

static int watch_all(struct devices *d)
{
	struct vbd *v;
	int rc = store_watch(d->store, "@releaseDomain", "r");

	for (enum vbd_kind kind = 0; !rc && kind < VBD_KINDS; kind++) {
		char path[32];

		snprintf(path, sizeof(path), "backend/%s", kind_name[kind]);
		rc = store_watch(d->store, path, "b");
	}
	if (!rc)
		TAILQ_FOREACH(v, &d->list, link)
			watch_frontend(d, v);
	return rc;
}

static void reconnect(struct devices *d)
{
	if (store_open(&d->store)) {
		d->store = NULL;
		d->retry_ms = d->now_ms + RETRY_MS;
		return;
	}
	check_contents(d);
	if (watch_all(d) || store_broken(d->store)) {
		store_close(d->store);
		d->store = NULL;
		d->retry_ms = d->now_ms + RETRY_MS;
		return;
	}
	if (d->connected_before)
		log_notice(NULL, "xenstored answers again");
	d->connected_before = true;
	d->ping_ms = d->now_ms + PING_MS;
	d->rescan = true;
	devices_process(d);
}

/* Events. */

static void note_event(struct devices *d, const char *path, const char *token)
{
	struct place p;
	struct vbd *v;

	switch (*token) {
	case 'f':
		if (parse_place(token + 1, &p) && (v = find_place(d, &p)))
			v->touched = true;
		break;
	case 'r':
		TAILQ_FOREACH(v, &d->list, link)
			v->touched = true;
		break;
	default:
		if (!parse_place(path, &p))
			d->rescan = true;
		else
			touch_place(d, &p);
	}
}

static void run_touched(struct devices *d)
{
	struct vbd *v;

	do {				/* from the front each time: a run may free any device */
		TAILQ_FOREACH(v, &d->list, link)
			if (v->touched)
				break;
		if (v) {
			v->touched = false;
			vbd_run(v);
		}
	} while (v);
}

static void devices_process(struct devices *d)
{
	for (int i = 0; i < 4 && d->store; i++) {
		if (d->rescan)
			scan(d);
		run_touched(d);
		if (store_broken(d->store)) {
			lost(d);
			return;
		}
		if (!d->rescan)
			return;
	}
}

/* After a callback or a call from outside: one device, and what its look found out about xenstored. */
static void run_one(struct devices *d, struct vbd *v)
{
	v->touched = true;
	run_touched(d);
	devices_process(d);
}

void devices_event(struct devices *d)
{
	char path[STORE_PATH], token[STORE_PATH], last[2][STORE_PATH] = { "", "" };
	int rc = 0;

	advance(d, clock_ms());
	if (!d->store)
		return;
	for (int i = 0; i < EVENTS_MAX; i++) {
		rc = store_next(d->store, path, sizeof(path), token, sizeof(token));
		if (rc <= 0)
			break;
		if (!strcmp(path, last[0]) &&
		    !strcmp(token, last[1])) /* a storm on one node costs only this */
			continue;
		strcpy(last[0], path);
		strcpy(last[1], token);
		note_event(d, path, token);
	}
	if (rc < 0)
		lost(d);
	else
		devices_process(d);
}

uint64_t devices_deadline_ms(const struct devices *d)
{
	uint64_t ms = d->store ? d->ping_ms : d->retry_ms;
	struct vbd *v;

	if (!d->store)
		return ms;
	if (d->rescan || store_broken(d->store))	/* found out in a callback */
		return d->now_ms;
	TAILQ_FOREACH(v, &d->list, link)
		ms = v->wake_ms < ms ? v->wake_ms : ms;
	return ms;
}

void devices_tick(struct devices *d, uint64_t now_ms)
{
	struct vbd *v;

	advance(d, now_ms);
	if (!d->store) {
		if (d->now_ms >= d->retry_ms)
			reconnect(d);
		return;
	}
	if (d->now_ms >= d->ping_ms) {
		d->ping_ms = d->now_ms + PING_MS;
		store_ping(d->store);
	}
	TAILQ_FOREACH(v, &d->list, link)
		v->touched |= d->now_ms >= v->wake_ms;
	devices_process(d);
}

int devices_fd(const struct devices *d)
{
	return d->store ? store_fd(d->store) : -1;
}

int devices_new(device_find_fn *find, void *find_ctx, struct devices **out, char *why, size_t why_size)
{
	struct devices *d = calloc(1, sizeof(*d));
	char text[RESOURCE_TEXT];

	if (!d) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	TAILQ_INIT(&d->list);
	d->find = find;
	d->find_ctx = find_ctx;
	advance(d, clock_ms());
	d->away_ms = d->now_ms;
	if (takeover_check(text, sizeof(text)) == TAKEOVER_AUTOLOAD)
		log_warn(NULL, "%s", text);
	else
		log_info(NULL, "%s", text);
	reconnect(d);
	if (!d->store)
		log_warn(NULL, "xenstored does not answer yet");
	*out = d;
	return 0;
}

void devices_free(struct devices *d)
{
	struct vbd *v;

	if (!d)
		return;
	while ((v = TAILQ_FIRST(&d->list))) {
		TAILQ_REMOVE(&d->list, v, link);
		v->devices = NULL;
		if (!vbd_pending(v))
			vbd_free(v);
	}
	store_close(d->store);
	free(d);
}

/* block-drbdx. */

static struct vbd *find_path(struct devices *d, const char *path, bool look)
{
	char expected[64];
	struct place p;
	struct vbd *v;

	if (!parse_place(path, &p))
		return NULL;
	snprintf(expected, sizeof(expected), "backend/%s/%u/%u", kind_name[p.kind], p.domid, p.devid);
	if (strcmp(path, expected))
		return NULL;
	v = find_place(d, &p);
	return v || !look || !d->store ? v : probe(d, &p);
}

static bool leaving(const struct vbd *v)
{
	return v->phase == XENBUS_PHASE_RELEASING || v->phase == XENBUS_PHASE_RELEASED ||
	       v->phase == XENBUS_PHASE_OFFLINE || v->phase == XENBUS_PHASE_LEAVING;
}

/* Why a device cannot be attached now, or 0. */
static int check_add(struct devices *d, struct vbd *v, const char *path, char *why, size_t size)
{
	struct ring_set rings;
	int state;

	if (!d->store) {
		snprintf(why, size, "xenstored does not answer: try again when it does");
		return -EAGAIN;
	}
	if (!v) {
		snprintf(why, size, "%s is no disk with script " SCRIPT ": detach it, and attach it as drbdx:RESOURCE", path);
		return -ENODEV;
	}
	if (leaving(v)) {
		snprintf(why, size, "the disk is being detached: attach it again when that has ended");
		return -ENODEV;
	}
	if (v->claim == CLAIM_RELEASING) {
		snprintf(why, size, "the disk is still being released: try again");
		return -EBUSY;
	}
	if (v->claim != CLAIM_NONE) {
		snprintf(why, size, "the disk is being attached already: nothing is to be done");
		return -EALREADY;
	}
	if (!v->script_mode) {
		snprintf(why, size, "the disk's mode is neither r nor w: correct it in the guest's configuration");
		return -EINVAL;
	}
	if (!vbd_resource(v)) {
		snprintf(why, size, "no resource %s is up on this host: 'backend-ctl up %s' starts it, if the configuration has it",
			 *v->resource_name ? v->resource_name : "with an empty name", *v->resource_name ? v->resource_name : "all");
		return -ENOENT;
	}
	/* A guest that agreed with xen-blkback on what is not served would wait for ever: better to refuse
	 * the disk. */
	state = frontend_state(d->store, v->frontend);
	if (state == XENBUS_INITIALISED || state == XENBUS_CONNECTED)
		return frontend_read(d->store, v->frontend, v->domid, vbd_queues(v), &rings, why, size) == -EINVAL
			       ? -EOPNOTSUPP
			       : 0;
	return 0;
}

void device_add(struct devices *d, const char *path, resource_reply_fn *reply, void *ctx)
{
	char why[RESOURCE_TEXT] = "";
	struct vbd *v;
	int rc;

	advance(d, clock_ms());
	v = find_path(d, path, true);
	rc = v && v->claim == CLAIM_DONE && !leaving(v) ? 0 : check_add(d, v, path, why, sizeof(why));
	if (!rc && v->claim == CLAIM_DONE) {
		reply(ctx, 0, ""); /* a second add: the guest has it, and keeps it whatever becomes of this block-drbdx */
	} else if (rc) {
		if (v && v->claim == CLAIM_NONE)
			vbd_say(v, why);
		reply(ctx, rc, why);
	} else {
		v->add_reply = reply;
		v->add_ctx = ctx;
		vbd_claim(v, vbd_resource(v), false);
	}
	devices_process(d);
}

void device_add_done(struct devices *d, const char *path)
{
	struct vbd *v = find_path(d, path, false);

	advance(d, clock_ms());
	if (!v || v->claim != CLAIM_GRANTED)
		return;
	v->claim = CLAIM_DONE;
	run_one(d, v);
}

void device_add_undo(struct devices *d, const char *path)
{
	struct vbd *v = find_path(d, path, false);

	advance(d, clock_ms());
	if (v)
		vbd_undo(v, SCRIPT " ended before the disk was attached");
	v = find_path(d, path, false);
	if (v)
		run_one(d, v);
}

static int wait_release(struct vbd *v, resource_reply_fn *reply, void *ctx)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->reply = reply;
	w->ctx = ctx;
	STAILQ_INSERT_TAIL(&v->waiters, w, link);
	return 0;
}

void device_remove(struct devices *d, const char *path, resource_reply_fn *reply, void *ctx)
{
	struct vbd *v = find_path(d, path, false);

	advance(d, clock_ms());
	if (v)
		run_one(d, v); /* the watch may not have told yet that the toolstack removes it */
	v = find_path(d, path, false);
	if (!v || v->claim == CLAIM_NONE) {
		reply(ctx, 0, "");
		return;
	}
	if (!leaving(v) && v->phase != XENBUS_PHASE_CLOSED && !v->unseen) {
		reply(ctx, -EBUSY, "the disk is attached: detach it with 'xl block-detach'");
		return;
	}
	if (wait_release(v, reply, ctx)) {
		reply(ctx, -ENOMEM, "out of memory");
		return;
	}
	vbd_release(v);
	v = find_path(d, path, false);
	if (v)
		run_one(d, v);
}

/* Status. */

static void fill_status(const struct vbd *v, struct device_status *out)
{
	memset(out, 0, sizeof(*out));
	out->domid = v->domid;
	out->devid = v->devid;
	snprintf(out->path, sizeof(out->path), "%s", v->path);
	snprintf(out->resource, sizeof(out->resource), "%s", v->resource_name);
	snprintf(out->guest, sizeof(out->guest), "%s", v->guest);
	snprintf(out->dev, sizeof(out->dev), "%s", v->dev);
	snprintf(out->why, sizeof(out->why), "%s", v->why);
	out->backend_state = v->own_state;
	out->frontend_state = v->frontend_state;
	out->ring = v->attached;
}

size_t devices_status(const struct devices *d, struct device_status *out, size_t max)
{
	const struct vbd *v;
	size_t n = 0;

	TAILQ_FOREACH(v, &d->list, link) {
		if (n < max)
			fill_status(v, &out[n]);
		n++;
	}
	return n;
}

bool devices_known(const struct devices *d)
{
	return d->scanned;
}

bool devices_have(const struct devices *d, const char *resource, uint32_t domid)
{
	const struct vbd *v;

	TAILQ_FOREACH(v, &d->list, link)
		if (v->adoptable && v->domid == domid && !strcmp(v->resource_name, resource))
			return true;
	return false;
}

const char *devices_problem(const struct devices *d)
{
	char *text = ((struct devices *)d)->problem;
	uint64_t now = clock_ms();
	const struct vbd *v;

	TAILQ_FOREACH(v, &d->list, link)
		if (v->unseen)
			break;
	if (!d->store)
		snprintf(text, sizeof(d->problem),
			 "xenstored has not answered for %" PRIu64 " s: disks are served on, "
			 "devices do not come or go; start it (systemctl start xenstored)",
			 (now > d->away_ms ? now - d->away_ms : 0) / 1000);
	else if (v)
		snprintf(text, sizeof(d->problem),
			 "xenstored came back without its contents: disks are served on, "
			 "but cannot be seen or detached until their guests are started anew");
	else
		return NULL;
	return text;
}
