/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon.c: the configuration in force and the resources that are up.
 *
 * A running resource keeps the configuration that it was started from alive, so that a new
 * file never pulls text away from under it.
 */
#include "backend/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/sys/queue.h>

#include "backend/after.h"
#include "backend/daemon_private.h"
#include "backend/log.h"

struct held_config {
	struct config *config;
	unsigned int users;
};

struct running {
	struct resource *resource;
	const struct config_resource *cfg;
	struct held_config *from;
	bool stopping;
	char waits_for[METADATA_NAME_MAX + 1]; /* resync-after: what it was told, "" = for nobody */
	TAILQ_ENTRY(running) link;
};

struct daemon_state {
	char *path, *hostname;
	struct mailbox *control;
	struct held_config *current;
	bool ending; /* daemon_stop_all() was called: nothing is started any more */
	enum resource_stop ends_as;
	bool left_behind;
	TAILQ_HEAD(, running) running;
};

static void config_put(struct held_config *h)
{
	if (!h || --h->users)
		return;
	config_free(h->config);
	free(h);
}

static void say_message(const struct config_message *m)
{
	enum log_level level = m->severity == CONFIG_ERROR     ? LOG_ERROR
			       : m->severity == CONFIG_WARNING ? LOG_WARN
							       : LOG_NOTICE;

	if (m->line)
		log_line(level, NULL, "%s:%u: %s", m->file, m->line, m->text);
	else
		log_line(level, NULL, "%s: %s", m->file, m->text);
}

static void say_messages(const struct config *config, bool running, char *why, size_t why_size)
{
	const struct config_message *m;
	size_t n = config_messages(config, &m), i;

	for (i = 0; i < n; i++) {
		say_message(&m[i]);
		if (m[i].severity == CONFIG_ERROR && !why[0])
			snprintf(why, why_size, "%s:%u: %s%s", m[i].file, m[i].line, m[i].text,
				 running ? " (the running configuration is kept)" : "");
	}
}

static int load(struct daemon_state *d, char *why, size_t why_size)
{
	struct held_config *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->users = 1;
	rc = config_load(d->path, d->hostname, &h->config);
	if (h->config)
		say_messages(h->config, d->current, why, why_size);
	if (rc) {
		if (!why[0])
			snprintf(why, why_size, "%s: %s", d->path, strerror(-rc));
		config_put(h);
		return rc;
	}
	config_put(d->current);
	d->current = h;
	return 0;
}

int daemon_new(const char *path, const char *hostname, struct mailbox *control, struct daemon_state **out,
	       char *why, size_t why_size)
{
	struct daemon_state *d = calloc(1, sizeof(*d));
	int rc = -ENOMEM;

	if (!d)
		return rc;
	TAILQ_INIT(&d->running);
	d->path = strdup(path);
	d->hostname = strdup(hostname);
	d->control = control;
	if (d->path && d->hostname)
		rc = load(d, why, why_size);
	if (rc)
		daemon_free(d);
	else
		*out = d;
	return rc;
}

void daemon_free(struct daemon_state *d)
{
	config_put(d->current);
	free(d->path);
	free(d->hostname);
	free(d);
}

static struct running *find_running(const struct daemon_state *d, const char *name)
{
	struct running *run;

	TAILQ_FOREACH(run, &d->running, link)
		if (!strcmp(resource_name(run->resource), name))
			return run;
	return NULL;
}

const struct config *daemon_config(const struct daemon_state *d)
{
	return d->current->config;
}

struct resource *daemon_find(struct daemon_state *d, const char *name)
{
	struct running *run = find_running(d, name);

	return run && !run->stopping ? run->resource : NULL;
}

const struct config_resource *daemon_each(struct daemon_state *d, size_t i, struct resource **running)
{
	const struct config_resource *all;
	size_t n = config_resources(d->current->config, &all);
	struct running *run;

	if (i < n) {
		run = find_running(d, all[i].name);
		*running = run && !run->stopping ? run->resource : NULL;
		return &all[i];
	}
	i -= n;
	TAILQ_FOREACH(run, &d->running, link) { /* still up, but no longer in the file */
		if (config_find(d->current->config, run->cfg->name) || i--)
			continue;
		*running = run->stopping ? NULL : run->resource;
		return run->cfg;
	}
	*running = NULL;
	return NULL;
}

static int start(struct daemon_state *d, const struct config_resource *cfg, char *why, size_t why_size)
{
	struct running *run = d->ending ? NULL : calloc(1, sizeof(*run));
	int rc = d->ending ? -ESHUTDOWN : -ENOMEM;

	if (d->ending)
		snprintf(why, why_size, "drbdxd is being stopped: try again when it runs again");
	if (run)
		rc = resource_start(cfg, d->control, &run->resource, why, why_size);
	if (rc) {
		log_error(cfg->name, "not started: %s", why);
		free(run);
		return rc;
	}
	run->cfg = cfg;
	run->from = d->current;
	run->from->users++;
	TAILQ_INSERT_TAIL(&d->running, run, link);
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_host(const struct config_host *a, const struct config_host *b)
{
	return same_text(a->name, b->name) && same_text(a->disk, b->disk) &&
	       same_text(a->meta_disk, b->meta_disk) && a->meta_index == b->meta_index &&
	       a->minor == b->minor && a->addr_len == b->addr_len && !memcmp(&a->addr, &b->addr, a->addr_len);
}

static bool same_handlers(const struct config_resource *a, const struct config_resource *b)
{
	for (int i = 0; i < CONFIG_HANDLER_COUNT; i++)
		if (!same_text(a->handlers[i], b->handlers[i]))
			return false;
	return true;
}

static bool same_host_discarded(const struct config_resource *a, const struct config_resource *b)
{
	return !a->after_sb_discard == !b->after_sb_discard && (a->after_sb_discard == a->self) == (b->after_sb_discard == b->self);
}

/* What is done when the two have parted, and when they meet again. */
static bool same_policies(const struct config_resource *a, const struct config_resource *b)
{
	return a->on_io_error == b->on_io_error && a->on_no_data_accessible == b->on_no_data_accessible &&
	       a->wfc_timeout_s == b->wfc_timeout_s && a->degr_wfc_timeout_s == b->degr_wfc_timeout_s && a->on_wfc_timeout == b->on_wfc_timeout &&
	       a->disk_timeout_ms == b->disk_timeout_ms && a->fencing == b->fencing && a->after_sb_0pri == b->after_sb_0pri &&
	       a->after_sb_1pri == b->after_sb_1pri && a->after_sb_2pri == b->after_sb_2pri && same_host_discarded(a, b) &&
	       a->always_asbp == b->always_asbp && a->rr_conflict == b->rr_conflict && same_text(a->csums_alg, b->csums_alg) &&
	       a->csums_after_crash_only == b->csums_after_crash_only && same_handlers(a, b);
}

static bool same_speed(const struct config_resource *a, const struct config_resource *b)
{
	return a->resync_rate_kib == b->resync_rate_kib && a->c_plan_ahead_ms == b->c_plan_ahead_ms &&
	       a->c_delay_target_ms == b->c_delay_target_ms && a->c_fill_target_sectors == b->c_fill_target_sectors &&
	       a->c_max_rate_kib == b->c_max_rate_kib && a->c_min_rate_kib == b->c_min_rate_kib;
}

/* In everything that a running resource was given. */
static bool same_config(const struct config_resource *a, const struct config_resource *b)
{
	return !b->refused && same_host(a->self, b->self) && same_host(a->peer, b->peer) &&
	       same_text(a->cram_hmac_alg, b->cram_hmac_alg) &&
	       same_text(a->shared_secret, b->shared_secret) && a->connect_int_ms == b->connect_int_ms &&
	       a->ping_int_ms == b->ping_int_ms && a->ping_timeout_ms == b->ping_timeout_ms &&
	       a->al_extents == b->al_extents && same_policies(a, b) && same_speed(a, b);
}

/* It is up: nothing to do, unless the file now says something else, which takes effect only at a new start.
 */
static int up_already(const struct running *run, const struct config_resource *cfg, char *why,
		      size_t why_size)
{
	if (same_config(run->cfg, cfg))
		return 0;
	snprintf(why, why_size,
		 "up with the configuration that it was started with; 'backend-ctl down %s' and 'backend-ctl up %s' apply the new one, or, "
		 "under a guest, 'systemctl restart drbdxd', which is a pause for the guests",
		 cfg->name, cfg->name);
	return -EBUSY;
}

/* All that are down; the first failure is reported, the others are tried all the same. */
static int start_all(struct daemon_state *d, char *why, size_t why_size)
{
	const struct config_resource *all;
	size_t n = config_resources(d->current->config, &all), i;
	char words[RESOURCE_TEXT];
	const struct running *run;
	int rc = 0, one;

	for (i = 0; i < n; i++) {
		run = find_running(d, all[i].name);
		words[0] = '\0';
		one = run ? up_already(run, &all[i], words, sizeof(words))
			  : start(d, &all[i], words, sizeof(words));
		if (one && !rc) {
			rc = one;
			snprintf(why, why_size, "%s: %s", all[i].name, words);
		}
	}
	return rc;
}

int daemon_start_all(struct daemon_state *d, char *why, size_t why_size)
{
	return start_all(d, why, why_size);
}

int daemon_up(struct daemon_state *d, const char *name, char *why, size_t why_size)
{
	const struct config_resource *cfg;
	const struct running *run;
	int rc;

	why[0] = '\0';
	rc = load(d, why, why_size);
	if (rc)
		return rc;
	if (!name)
		return start_all(d, why, why_size);
	cfg = config_find(d->current->config, name);
	if (!cfg) {
		snprintf(why, why_size, "no resource '%s' with a section for this host (%s) in %s: 'backend-ctl check' lists those that have one",
			 name, d->hostname, d->path);
		return -ENOENT;
	}
	run = find_running(d, name);
	return run ? up_already(run, cfg, why, why_size) : start(d, cfg, why, why_size);
}

static void stop(struct daemon_state *d, struct running *run, enum resource_stop kind, resource_reply_fn *reply, void *ctx);

struct stopping {
	struct daemon_state *d;
	struct running *run;
	enum resource_stop kind;
	resource_reply_fn *reply;
	void *ctx;
};

static void nobody(void *ctx, int rc, const char *why)
{
	(void)ctx, (void)rc, (void)why;
}

static void stopped(void *ctx, int rc, const char *why)
{
	struct stopping s = *(struct stopping *)ctx;

	free(ctx);
	if (rc) {
		s.run->stopping = false;
		if (s.d->ending) /* a `down` was refused while the daemon began to stop */
			stop(s.d, s.run, s.d->ends_as, nobody, NULL);
	} else {
		if (s.kind != RESOURCE_DOWN) /* otherwise it is freed */
			s.d->left_behind |= resource_left_behind(s.run->resource);
		TAILQ_REMOVE(&s.d->running, s.run, link);
		config_put(s.run->from);
		free(s.run);
	}
	s.reply(s.ctx, rc, why);
}

static void stop(struct daemon_state *d, struct running *run, enum resource_stop kind, resource_reply_fn *reply, void *ctx)
{
	struct stopping *s = malloc(sizeof(*s));

	if (!s) {
		reply(ctx, -ENOMEM, "drbdxd is out of memory");
		return;
	}
	*s = (struct stopping){ d, run, kind, reply, ctx };
	run->stopping = true;
	resource_stop(run->resource, kind, stopped, s);
}

void daemon_down(struct daemon_state *d, const char *name, resource_reply_fn *reply, void *ctx)
{
	struct running *run = find_running(d, name);

	if (!run)
		reply(ctx, 0, ""); /* down already */
	else if (run->stopping)
		reply(ctx, -EBUSY, "it is being stopped already: try again");
	else
		stop(d, run, RESOURCE_DOWN, reply, ctx);
}

/* ---- attach ---- */

struct attaching {
	struct daemon_state *d;
	char *name;
	resource_reply_fn *reply;
	void *ctx;
};

static void attach_ends(struct attaching *a, int rc, const char *why)
{
	a->reply(a->ctx, rc, why);
	free(a->name);
	free(a);
}

/* It has ended in order, or a guest has it: its ring would have to be given to the new one, which only a new daemon does. */
static void attach_stopped(void *ctx, int rc, const char *why)
{
	struct attaching *a = ctx;
	const struct config_resource *cfg = config_find(a->d->current->config, a->name);
	char words[2 * RESOURCE_TEXT] = "";

	if (rc == -EBUSY) {
		snprintf(words, sizeof(words),
			 "%s; or restart drbdxd, which opens every disk and is a pause for the guests ('systemctl restart drbdxd')", why);
	} else if (rc) {
		snprintf(words, sizeof(words), "%s", why);
	} else if (!cfg) {
		rc = -ENOENT;
		snprintf(words, sizeof(words), "the configuration no longer has it, so it is down now: 'backend-ctl check' lists those it has");
	} else {
		rc = start(a->d, cfg, words, sizeof(words));
	}
	attach_ends(a, rc, words);
}

static void attach_looked(void *ctx, const struct resource_status *status)
{
	struct attaching *a = ctx;
	struct running *run = find_running(a->d, a->name);

	if (!status)
		attach_ends(a, -ENOMEM, "drbdxd is out of memory");
	else if (!run || run->stopping)
		attach_ends(a, -EBUSY, "it is being stopped: 'backend-ctl up' starts it again");
	else if (!status->open)
		attach_ends(a, -EAGAIN, status->disk_why[0] ? status->disk_why : "its disk is being opened: wait for it");
	else if (status->core.disk != DISK_DISKLESS)
		attach_ends(a, 0, "nothing to be done: its disk is attached");
	else if (status->hung) /* what it still does must not land on what is written from now on (P6) */
		attach_ends(a, -EBUSY, status->disk_why);
	else
		stop(a->d, run, RESOURCE_DOWN, attach_stopped, a);
}

void daemon_attach(struct daemon_state *d, const char *name, resource_reply_fn *reply, void *ctx)
{
	struct running *run = find_running(d, name);
	struct attaching *a = malloc(sizeof(*a));
	char *copy = strdup(name);

	if (!a || !copy || !run) {
		free(a);
		free(copy);
		reply(ctx, run ? -ENOMEM : -ENOENT, run ? "drbdxd is out of memory" : "it is down: 'backend-ctl up' starts it");
		return;
	}
	*a = (struct attaching){ d, copy, reply, ctx };
	resource_status(run->resource, attach_looked, a);
}

/* ---- resync-after ---- */

static void tell_turn(struct running *run, const struct after *awaited)
{
	const char *name = awaited ? awaited->name : "";

	if (strcmp(run->waits_for, name) && resource_sync_after(run->resource, name))
		snprintf(run->waits_for, sizeof(run->waits_for), "%s", name);
}

void daemon_order_resyncs(struct daemon_state *d)
{
	const struct config_resource *cfg;
	struct resource *running;
	struct after *all;
	size_t n = 0, i;

	while (daemon_each(d, n, &running))
		n++;
	all = calloc(n, sizeof(*all));
	if (!all)
		return; /* none, or no memory: at the next turn */
	for (i = 0; (cfg = daemon_each(d, i, &running)); i++)
		all[i] = (struct after){ cfg->name, cfg->resync_after, running && resource_resyncing(running) };
	for (i = 0; daemon_each(d, i, &running); i++)
		if (running)
			tell_turn(find_running(d, all[i].name), after_awaited(all, n, i));
	free(all);
}

size_t daemon_stop_all(struct daemon_state *d, enum resource_stop kind, resource_reply_fn *reply, void *ctx)
{
	struct running *run, *next;
	size_t n = 0;

	d->ending = true;
	d->ends_as = kind;
	TAILQ_FOREACH_SAFE(run, &d->running, link, next) {
		n++;
		if (!run->stopping)
			stop(d, run, kind, reply, ctx);
	}
	return n;
}

bool daemon_left_behind(const struct daemon_state *d)
{
	return d->left_behind;
}

bool daemon_idle(const struct daemon_state *d)
{
	return TAILQ_EMPTY(&d->running);
}
