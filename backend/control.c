/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: JSON lines over a unix stream socket, root only.  docs/CONTROL.md is the protocol.
 *
 * Invariants
 *  1. A client has at most one request being answered; its further lines wait in its own buffer. So replies
 *     come in the order of the requests, and what a client can occupy is one line (64 KiB) and one reply.
 *  2. An answer that comes later goes to a `struct exchange`, never to a client: the client may have left.
 *  3. A granted `add` belongs to the connection until `add-done`. Whatever ends the connection before that
 *     (exit, kill, a broken line) takes the grant back, once: libxl calls no `remove` after a failed `add`.
 *  4. Nothing here waits: every descriptor is non-blocking, and a slow reader only holds its own reply.
 *
 * States of a client
 *
 *   idle --line--> answering --reply--> idle      [handle_line, exchange_reply]
 *   idle|answering --end of input, hang-up, error--> gone   [client_leave]: takes a grant back, or leaves
 *       the exchange an orphan
 *   an orphaned exchange whose add is granted takes it back itself   [add_replied]
 */
#define _GNU_SOURCE	/* accept4(), struct ucred */
#include "backend/control.h"

#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "backend/control_status.h"
#include "backend/daemon.h"
#include "backend/log.h"
#include "backend/upgrade.h"

#define CLIENTS 32u
#define LINE_MAX_BYTES 65536u
#ifndef DRBDX_VERSION
#define DRBDX_VERSION "0.1.0"
#endif
#define PATH_MAX_BYTES 128u	/* of "backend/vbd/D/V" */

struct client;

struct exchange {		   /* a request that is being answered later */
	struct control *control;   /* NULL: control_free() was called meanwhile */
	struct client *client;	   /* NULL: the client has left */
	char path[PATH_MAX_BYTES]; /* add: the device */
	json_t *document;	   /* status: what is there so far */
	size_t waiting; /* status, upgrade: resources that have not answered, plus one while they are being asked */
	bool prepare;	/* upgrade: may it be, and what would be executed? */
	char *refused;	/* upgrade: the first reason against it */
	LIST_ENTRY(exchange) link;
};

struct status_part { struct exchange *exchange; json_t *entry; };
/* upgrade; the name is a copy: the configuration may be read anew meanwhile */
struct upgrade_part { struct exchange *exchange; char name[METADATA_NAME_MAX + 1]; };

struct client {
	int fd;				/* -1: the place is free */
	bool eof;			/* it sends nothing more */
	bool broken;			/* its last reply is on its way; then it is closed */
	bool pumping;
	struct exchange *exchange;	/* the request being answered, NULL: none */
	char granted[PATH_MAX_BYTES];	/* a granted add without add-done, "" if none */
	char *in, *out;			/* LINE_MAX_BYTES; the reply */
	size_t in_len, out_len, out_sent;
};

struct control {
	int listen_fd;
	char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct daemon_state *daemon;
	struct devices *devices;
	const struct upgrade *upgrade;	/* NULL: no upgrade */
	control_begin_fn *upgrade_begin;
	void *upgrade_ctx;
	struct client clients[CLIENTS];
	LIST_HEAD(, exchange) exchanges;
};

/* ---- a client and its replies ---- */

static void client_leave(struct control *ctl, struct client *c)
{
	close(c->fd);
	c->fd = -1;
	free(c->in);
	free(c->out);
	c->in = c->out = NULL;
	if (c->exchange)
		c->exchange->client = NULL;
	c->exchange = NULL;
	if (c->granted[0]) {
		log_warn(c->granted, "block-drbdx ended before it was done: the grant is taken back");
		device_add_undo(ctl->devices, c->granted);
		c->granted[0] = 0;
	}
}

/* Sends what it can. false: the client cannot be reached any more. */
static bool client_send(struct client *c)
{
	while (c->out_sent < c->out_len) {
		ssize_t r = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno == EAGAIN;
		c->out_sent += (size_t)r;
	}
	free(c->out);
	c->out = NULL;
	c->out_len = c->out_sent = 0;
	return true;
}

/* Takes the reference. The client is idle: its last reply was sent (invariant 1). */
static void client_reply(struct client *c, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	size_t n = text ? strlen(text) : 0;

	json_decref(reply);
	c->out = malloc(n + 2);
	if (!text || !c->out) {
		free(text);
		c->broken = true;
		return;
	}
	memcpy(c->out, text, n);
	c->out[n] = '\n';
	c->out_len = n + 1;
	c->out_sent = 0;
	free(text);
}

static json_t *success(void)
{
	return json_pack("{s:b}", "ok", 1);
}

static json_t *failure(const char *code, const char *words)
{
	return json_pack("{s:b, s:s, s:o}", "ok", 0, "code", code, "error", control_text(words));
}

/* The class of an error for programs; people read the words. */
static const char *error_code(int rc)
{
	switch (rc) {
	case -EINVAL:
	case -EOPNOTSUPP: return "invalid";
	case -ENOENT: return "unknown";
	case -EBUSY: case -EPERM: case -EACCES: case -EAGAIN: case -EEXIST: case -EISCONN: case -ENOTCONN:
		return "refused";
	case -EALREADY: return "adding";
	case -ETXTBSY: return "primary";
	case -ENODATA: return "worse";
	case -ESHUTDOWN: return "stopping";
	default: return "failed";
	}
}

static json_t *outcome(int rc, const char *why)
{
	if (!rc)
		return why && *why ? json_pack("{s:b, s:o}", "ok", 1, "note", control_text(why)) : success();
	return failure(error_code(rc), why && *why ? why : strerror(abs(rc)));
}

static void client_pump(struct control *ctl, struct client *c);

/* ---- answers that come later ---- */

static struct exchange *exchange_new(struct control *ctl, struct client *c)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x) {
		client_reply(c, failure("failed", "no memory"));
		return NULL;
	}
	x->control = ctl;
	x->client = c;
	c->exchange = x;
	LIST_INSERT_HEAD(&ctl->exchanges, x, link);
	return x;
}

/* Ends the exchange and takes the reply's reference. */
static void exchange_reply(struct exchange *x, json_t *reply)
{
	struct control *ctl = x->control;
	struct client *c = x->client;

	if (ctl)
		LIST_REMOVE(x, link);
	json_decref(x->document);
	free(x->refused);
	free(x);
	if (!c) {
		json_decref(reply);
		return;
	}
	c->exchange = NULL;
	client_reply(c, reply);
	client_pump(ctl, c);
}

static void plain_replied(void *ctx, int rc, const char *why)
{
	exchange_reply(ctx, outcome(rc, why));
}

static void add_replied(void *ctx, int rc, const char *why)
{
	struct exchange *x = ctx;

	if (!rc && x->client)
		strlcpy(x->client->granted, x->path, sizeof(x->client->granted));
	else if (!rc && x->control)
		device_add_undo(x->control->devices, x->path);
	exchange_reply(x, outcome(rc, why));
}

/* ---- status ---- */

static void status_devices(struct control *ctl, json_t *document)
{
	size_t room = 64, n;

	for (;;) {
		struct device_status *list = calloc(room, sizeof(*list));

		if (!list)
			return;
		n = devices_status(ctl->devices, list, room);
		if (n <= room)
			control_status_devices(document, list, n);
		free(list);
		if (n <= room)
			return;
		room = n;
	}
}

static void status_one_less(struct exchange *x)
{
	if (--x->waiting)
		return;
	if (x->control && x->client)
		status_devices(x->control, x->document);
	exchange_reply(x, json_incref(x->document));
}

static void status_replied(void *ctx, const struct resource_status *status)
{
	struct status_part *part = ctx;
	struct exchange *x = part->exchange;

	if (status)
		control_status_fill(part->entry, status);
	free(part);
	status_one_less(x);
}

static void status_ask(struct exchange *x, const struct config_resource *cfg, struct resource *running)
{
	json_t *entry = control_status_add(x->document, cfg);
	struct status_part *part;

	if (!entry || !running)
		return;
	part = malloc(sizeof(*part));
	if (!part)
		return;
	part->exchange = x;
	part->entry = entry;
	x->waiting++;
	resource_status(running, status_replied, part);
}

static void verb_status(struct control *ctl, struct client *c, json_t *request)
{
	struct exchange *x = exchange_new(ctl, c);
	const struct config_resource *cfg;
	struct resource *running;
	struct utsname uts;

	(void)request;
	if (!x)
		return;
	uname(&uts);
	x->document = control_status_new(uts.nodename, devices_problem(ctl->devices));
	if (!x->document) {
		exchange_reply(x, failure("failed", "no memory"));
		return;
	}
	x->waiting = 1;
	for (size_t i = 0; (cfg = daemon_each(ctl->daemon, i, &running)); i++)
		status_ask(x, cfg, running);
	status_one_less(x);
}

/* ---- the other verbs ---- */

/* The member `key`, which must be a string that is not empty; otherwise the client has its answer and NULL is
 * returned. */
static const char *need_string(struct client *c, json_t *request, const char *key)
{
	const char *value = json_string_value(json_object_get(request, key));
	char words[96];

	if (value && *value)
		return value;
	snprintf(words, sizeof(words), "the request needs a string \"%s\"", key);
	client_reply(c, failure("usage", words));
	return NULL;
}

static void verb_up(struct control *ctl, struct client *c, json_t *request)
{
	json_t *name = json_object_get(request, "resource");
	char why[RESOURCE_TEXT] = "";
	int rc;

	if (name && !json_is_null(name) && !need_string(c, request, "resource"))
		return;
	rc = daemon_up(ctl->daemon, json_string_value(name), why, sizeof(why));
	client_reply(c, outcome(rc, why));
}

/* Configured, or still running though no longer configured. */
static bool is_known(struct control *ctl, const char *name)
{
	const struct config_resource *cfg;
	struct resource *running;

	for (size_t i = 0; (cfg = daemon_each(ctl->daemon, i, &running)); i++)
		if (!strcmp(cfg->name, name))
			return true;
	return false;
}

static const char unknown_words[] = "no resource of that name is configured on this host: 'backend-ctl check' lists those that are";

static void verb_down(struct control *ctl, struct client *c, json_t *request)
{
	const char *name = need_string(c, request, "resource");
	struct exchange *x;

	if (!name)
		return;
	if (!is_known(ctl, name)) {
		client_reply(c, failure("unknown", unknown_words));
		return;
	}
	x = exchange_new(ctl, c);
	if (x)
		daemon_down(ctl->daemon, name, plain_replied, x);
}

/* What a person asks of a running resource's core. `needs`: a member that must be true, since without it the verb
 * says something that is not there: `instead` says what is. */
static const struct command_verb {
	const char *name;
	enum command command;
	const char *needs, *instead;
} command_verbs[] = {
	{ "primary", COMMAND_PROMOTE, "force",
	  "the role follows the guest: the node on which it is started becomes Primary by itself; only \"force\" is to be asked "
	  "for" },
	{ "outdate", COMMAND_OUTDATE, NULL, NULL },
	{ "invalidate", COMMAND_INVALIDATE, NULL, NULL },
	{ "invalidate-remote", COMMAND_INVALIDATE_REMOTE, NULL, NULL },
	{ "new-current-uuid", COMMAND_CLEAR_BITMAP, "clear_bitmap",
	  "only with \"clear_bitmap\": both volumes are the same" },
	{ "connect", COMMAND_DISCARD, "discard_my_data",
	  "a resource that is up connects by itself; only \"discard_my_data\" is to be asked for" },
	{ "detach", COMMAND_DETACH, NULL, NULL },
	{ "suspend-io", COMMAND_SUSPEND_IO, NULL, NULL },
	{ "resume-io", COMMAND_RESUME_IO, NULL, NULL },
	{ "pause-sync", COMMAND_PAUSE_SYNC, NULL, NULL },
	{ "resume-sync", COMMAND_RESUME_SYNC, NULL, NULL },
	{ "resize", COMMAND_RESIZE, NULL, NULL },
};

static const struct command_verb *find_command(json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "verb"));

	for (size_t i = 0; i < sizeof(command_verbs) / sizeof(command_verbs[0]); i++)
		if (!strcmp(command_verbs[i].name, name))
			return &command_verbs[i];
	return NULL;
}

/* The member "resource" of a resource that is up; otherwise the client has its answer. */
static struct resource *need_running(struct control *ctl, struct client *c, json_t *request)
{
	const char *name = need_string(c, request, "resource");
	struct resource *running = name ? daemon_find(ctl->daemon, name) : NULL;
	char words[200];

	if (!name || running)
		return running;
	if (is_known(ctl, name)) {
		snprintf(words, sizeof(words), "it is down: 'backend-ctl up %.128s' starts it", name);
		client_reply(c, failure("refused", words));
	} else {
		client_reply(c, failure("unknown", unknown_words));
	}
	return NULL;
}

static enum command command_of(const struct command_verb *verb, json_t *request)
{
	if (verb->command == COMMAND_DETACH && json_is_true(json_object_get(request, "force")))
		return COMMAND_DETACH_FORCE;
	if (verb->command == COMMAND_RESIZE && json_is_true(json_object_get(request, "assume_clean")))
		return COMMAND_RESIZE_CLEAN;
	return verb->command;
}

static void verb_command(struct control *ctl, struct client *c, json_t *request)
{
	const struct command_verb *verb = find_command(request);
	struct resource *running;
	struct exchange *x;

	if (verb->needs && !json_is_true(json_object_get(request, verb->needs))) {
		client_reply(c, failure("usage", verb->instead));
		return;
	}
	running = need_running(ctl, c, request);
	x = running ? exchange_new(ctl, c) : NULL;
	if (x)
		resource_command(running, command_of(verb, request), plain_replied, x);
}

static void verb_attach(struct control *ctl, struct client *c, json_t *request)
{
	const char *name = need_string(c, request, "resource");
	struct exchange *x;

	if (!name || !need_running(ctl, c, request))
		return;
	x = exchange_new(ctl, c);
	if (x)
		daemon_attach(ctl->daemon, name, plain_replied, x);
}

/* Another connection that adds this device now: two grants for one device could not be told apart when one of
 * them ends. */
static bool being_added(const struct control *ctl, const struct client *self, const char *path)
{
	const struct exchange *x;

	for (size_t i = 0; i < CLIENTS; i++)
		if (ctl->clients[i].fd >= 0 && &ctl->clients[i] != self &&
		    !strcmp(ctl->clients[i].granted, path))
			return true;
	LIST_FOREACH(x, &ctl->exchanges, link)
		if (!strcmp(x->path, path))
			return true;
	return false;
}

static const char *need_path(struct client *c, json_t *request)
{
	const char *path = need_string(c, request, "path");

	if (!path || strlen(path) < PATH_MAX_BYTES)
		return path;
	client_reply(c, failure("usage", "\"path\" is too long for a device's XENBUS_PATH"));
	return NULL;
}

static void verb_add(struct control *ctl, struct client *c, json_t *request)
{
	const char *path = need_path(c, request);
	struct exchange *x;

	if (!path)
		return;
	if (c->granted[0]) {
		client_reply(c, failure("refused", "this connection has a device already; send add-done first"));
		return;
	}
	if (being_added(ctl, c, path)) {
		client_reply(c, failure("adding", "another block-drbdx is adding this device just now; try again when it has ended"));
		return;
	}
	x = exchange_new(ctl, c);
	if (!x)
		return;
	strlcpy(x->path, path, sizeof(x->path));
	device_add(ctl->devices, x->path, add_replied, x);
}

static void verb_add_done(struct control *ctl, struct client *c, json_t *request)
{
	char path[PATH_MAX_BYTES];

	(void)request;
	if (!c->granted[0]) {
		client_reply(c, failure("usage", "add-done without a granted add on this connection"));
		return;
	}
	strlcpy(path, c->granted, sizeof(path));
	c->granted[0] = 0;
	device_add_done(ctl->devices, path);
	client_reply(c, success());
}

static void verb_remove(struct control *ctl, struct client *c, json_t *request)
{
	const char *path = need_path(c, request);
	struct exchange *x;

	if (!path)
		return;
	x = exchange_new(ctl, c);
	if (x)
		device_remove(ctl->devices, path, plain_replied, x);
}

/* ---- upgrade ---- */

static void upgrade_refuse(struct exchange *x, const char *name, const char *words)
{
	if (!x->refused && asprintf(&x->refused, "%s%s%s", name, *name ? ": " : "", words) < 0)
		x->refused = NULL;
}

/* Nothing is in the way. */
static json_t *upgrade_go(struct control *ctl, bool prepare)
{
	const struct upgrade *u = ctl->upgrade;
	char why[RESOURCE_TEXT] = "";

	if (prepare)
		return json_pack("{s:b, s:o, s:o, s:s}", "ok", 1, "program", control_text(u->program), "config", control_text(u->config),
				 "version", DRBDX_VERSION);
	return outcome(ctl->upgrade_begin(ctl->upgrade_ctx, why, sizeof(why)), why);
}

static void upgrade_one_less(struct exchange *x)
{
	if (--x->waiting)
		return;
	if (x->refused)
		exchange_reply(x, failure("refused", x->refused));
	else if (x->control && x->client)
		exchange_reply(x, upgrade_go(x->control, x->prepare));
	else
		exchange_reply(x, NULL); /* whoever asked is gone, and would not see what became of it */
}

static void upgrade_looked(void *ctx, const struct resource_status *status)
{
	struct upgrade_part *part = ctx;
	struct exchange *x = part->exchange;
	char why[RESOURCE_TEXT];

	if (!status)
		upgrade_refuse(x, part->name, "drbdxd is out of memory");
	else if (upgrade_allowed(status, why, sizeof(why)))
		upgrade_refuse(x, part->name, why);
	free(part);
	upgrade_one_less(x);
}

static void upgrade_ask(struct exchange *x, const struct config_resource *cfg, struct resource *running)
{
	struct upgrade_part *part = malloc(sizeof(*part));

	if (!part) {
		upgrade_refuse(x, cfg->name, "drbdxd is out of memory");
		return;
	}
	part->exchange = x;
	strlcpy(part->name, cfg->name, sizeof(part->name));
	x->waiting++;
	resource_status(running, upgrade_looked, part);
}

/* Is a block-drbdx at work? Its connection would be lost, and with it the guest's disk. */
static bool somebody_adds(const struct control *ctl)
{
	const struct exchange *x;

	for (size_t i = 0; i < CLIENTS; i++)
		if (ctl->clients[i].fd >= 0 && ctl->clients[i].granted[0])
			return true;
	LIST_FOREACH(x, &ctl->exchanges, link)
		if (x->path[0])
			return true;
	return false;
}

static void verb_upgrade(struct control *ctl, struct client *c, json_t *request)
{
	const struct config_resource *cfg;
	struct resource *running;
	char why[RESOURCE_TEXT];
	struct exchange *x;

	if (!ctl->upgrade) {
		client_reply(c, failure("failed", "this daemon does not know from which file it was started: 'systemctl restart drbdxd' instead"));
		return;
	}
	if (upgrade_program(ctl->upgrade, why, sizeof(why))) {
		client_reply(c, failure("refused", why));
		return;
	}
	x = exchange_new(ctl, c);
	if (!x)
		return;
	x->prepare = json_is_true(json_object_get(request, "prepare"));
	x->waiting = 1;
	if (somebody_adds(ctl))
		upgrade_refuse(x, "", "a guest's disk is just being given to it (xl create, or a migration): wait until that has ended");
	if (devices_problem(ctl->devices))
		upgrade_refuse(x, "", "xenstored does not answer, and the new program would not find the guests: wait until it does");
	for (size_t i = 0; (cfg = daemon_each(ctl->daemon, i, &running)); i++)
		if (running)
			upgrade_ask(x, cfg, running);
	upgrade_one_less(x);
}

void control_set_upgrade(struct control *ctl, const struct upgrade *upgrade, control_begin_fn *begin, void *ctx)
{
	ctl->upgrade = upgrade;
	ctl->upgrade_begin = begin;
	ctl->upgrade_ctx = ctx;
}

static const struct verb {
	const char *name;
	void (*run)(struct control *ctl, struct client *c, json_t *request);
} verbs[] = {
	{ "status", verb_status }, { "up", verb_up }, { "down", verb_down }, { "attach", verb_attach },
	{ "upgrade", verb_upgrade },
	{ "add", verb_add }, { "add-done", verb_add_done }, { "remove", verb_remove },
};

static void handle_request(struct control *ctl, struct client *c, json_t *request)
{
	const char *name = json_is_object(request) ? need_string(c, request, "verb") : NULL;

	if (!json_is_object(request))
		client_reply(c, failure("usage", "a request is a JSON object in one line"));
	if (!name)
		return;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(verbs[i].name, name)) {
			verbs[i].run(ctl, c, request);
			return;
		}
	}
	if (find_command(request)) {
		verb_command(ctl, c, request);
		return;
	}
	client_reply(c, failure("usage",
				"unknown verb; this daemon knows status, up, down, upgrade, attach, detach, primary, outdate, invalidate, "
				"invalidate-remote, new-current-uuid, connect, suspend-io, resume-io, pause-sync, resume-sync, resize, "
				"add, add-done, remove"));
}

static void handle_line(struct control *ctl, struct client *c, const char *line, size_t n)
{
	json_error_t where;
	json_t *request = json_loadb(line, n, JSON_REJECT_DUPLICATES, &where);
	char words[sizeof(where.text) + 64];

	if (request) {
		handle_request(ctl, c, request);
		json_decref(request);
		return;
	}
	snprintf(words, sizeof(words), "not a JSON object in one line: %s", where.text);
	client_reply(c, failure("usage", words));
}

/* Takes one line out of the buffer and handles it. false: there is none. The last may lack its newline. */
static bool next_line(struct control *ctl, struct client *c)
{
	char *end = memchr(c->in, '\n', c->in_len);
	size_t n = end ? (size_t)(end - c->in) : c->in_len, taken = end ? n + 1 : n;
	char *line;

	if (!end && c->in_len == LINE_MAX_BYTES) {
		client_reply(c, failure("usage", "the line is longer than 65536 bytes"));
		c->broken = true;
		return false;
	}
	if (!end && (!c->eof || !c->in_len))
		return false;
	line = malloc(n + 1);
	if (!line) {
		c->broken = true;
		return false;
	}
	memcpy(line, c->in, n);
	memmove(c->in, c->in + taken, c->in_len - taken);
	c->in_len -= taken;
	handle_line(ctl, c, line, n);
	free(line);
	return true;
}

/* Goes on with a client as far as it goes now: sends its reply, handles its lines, closes it at the end. */
static void client_pump(struct control *ctl, struct client *c)
{
	bool more = true, reachable;

	if (c->pumping)
		return;
	c->pumping = true;
	do {
		reachable = client_send(c);
		if (!reachable || c->out || c->exchange || c->broken)
			break;
		more = next_line(ctl, c);
	} while (more || c->out);
	c->pumping = false;
	if (!reachable || (!c->out && !c->exchange && (c->broken || c->eof)))
		client_leave(ctl, c);
}

/* Reads what fits. */
static void client_read(struct client *c)
{
	while (!c->eof && c->in_len < LINE_MAX_BYTES) {
		ssize_t r = recv(c->fd, c->in + c->in_len, LINE_MAX_BYTES - c->in_len, MSG_DONTWAIT);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN)
			return;
		if (r <= 0)
			c->eof = true;
		else
			c->in_len += (size_t)r;
	}
}

static void client_event(struct control *ctl, struct client *c, short revents)
{
	if ((revents & (POLLHUP | POLLERR)) && c->exchange) {
		client_leave(ctl, c);	/* nobody is left to hear the answer, nor to say add-done to it */
		return;
	}
	if (revents & (POLLIN | POLLHUP | POLLERR))
		client_read(c);
	client_pump(ctl, c);
}

/* ---- the socket ---- */

/* Root, or the daemon's own user where it runs without privileges (tests). */
static bool may_talk(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) &&
	       (cred.uid == 0 || cred.uid == geteuid());
}

static void turn_away(int fd, const char *code, const char *words)
{
	struct client c = { .fd = fd };

	client_reply(&c, failure(code, words));
	if (c.out)
		client_send(&c);
	free(c.out);
	close(fd);
}

static void accept_one(struct control *ctl, int fd)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &ctl->clients[i];

		if (c->fd >= 0)
			continue;
		memset(c, 0, sizeof(*c));
		c->in = malloc(LINE_MAX_BYTES);
		c->fd = c->in ? fd : -1;
		if (!c->in)
			break;
		return;
	}
	turn_away(fd, "failed", "drbdxd serves too many control connections already: try again");
}

static void accept_clients(struct control *ctl)
{
	for (;;) {
		int fd = accept4(ctl->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return;
		if (may_talk(fd))
			accept_one(ctl, fd);
		else
			turn_away(fd, "refused", "only root may control drbdxd");
	}
}

/* Is there a daemon behind this socket file? One that was killed leaves the file behind. */
static bool socket_answers(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers;

	if (fd < 0)
		return false;
	answers = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || errno == EAGAIN;
	close(fd);
	return answers;
}

static int remove_stale(const struct sockaddr_un *addr, char *why, size_t why_size)
{
	struct stat st;

	if (lstat(addr->sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, why_size, "%s is in the way and is not a socket: remove it", addr->sun_path);
		return -EEXIST;
	}
	if (socket_answers(addr)) {
		snprintf(why, why_size, "another drbdxd answers on %s: stop it (systemctl stop drbdxd), or give another --socket", addr->sun_path);
		return -EADDRINUSE;
	}
	unlink(addr->sun_path);
	return 0;
}

static void make_parent(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	strlcpy(dir, path, sizeof(dir));
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = 0;
	mkdir(dir, 0755);	/* if it fails, bind() says why */
}

static int listen_at(struct control *ctl, const char *path, char *why, size_t why_size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int rc, r;

	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path)) {
		snprintf(why, why_size, "%s: too long for a socket", path);
		return -ENAMETOOLONG;
	}
	make_parent(path);
	rc = remove_stale(&addr, why, why_size);
	if (rc)
		return rc;
	ctl->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	r = ctl->listen_fd < 0 ? -1 : bind(ctl->listen_fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (r || listen(ctl->listen_fd, 64)) {
		rc = -errno;
		snprintf(why, why_size, "control socket %s: %s", path, strerror(-rc));
		return rc;
	}
	strlcpy(ctl->socket_path, path, sizeof(ctl->socket_path));
	return 0;
}

int control_new(const char *socket_path, struct daemon_state *daemon, struct devices *devices,
		struct control **out, char *why, size_t why_size)
{
	struct control *ctl = calloc(1, sizeof(*ctl));
	int rc;

	*out = NULL;
	if (!ctl) {
		snprintf(why, why_size, "no memory");
		return -ENOMEM;
	}
	ctl->listen_fd = -1;
	ctl->daemon = daemon;
	ctl->devices = devices;
	LIST_INIT(&ctl->exchanges);
	for (size_t i = 0; i < CLIENTS; i++)
		ctl->clients[i].fd = -1;
	rc = listen_at(ctl, socket_path, why, why_size);
	if (rc) {
		control_free(ctl);
		return rc;
	}
	*out = ctl;
	return 0;
}

/* Grants without add-done are not taken back one by one: the daemon is ending, and the resources are stopped
 * as a whole. */
void control_free(struct control *ctl)
{
	struct exchange *x, *next;

	if (!ctl)
		return;
	for (size_t i = 0; i < CLIENTS; i++) {
		ctl->clients[i].granted[0] = 0;
		if (ctl->clients[i].fd >= 0)
			client_leave(ctl, &ctl->clients[i]);
	}
	LIST_FOREACH_SAFE(x, &ctl->exchanges, link, next) {
		LIST_REMOVE(x, link);
		x->control = NULL;
	}
	if (ctl->listen_fd >= 0)
		close(ctl->listen_fd);
	if (ctl->socket_path[0])
		unlink(ctl->socket_path);
	free(ctl);
}

size_t control_pollfds(struct control *ctl, struct pollfd *fds, size_t max)
{
	size_t n = 0;

	if (n < max)
		fds[n++] = (struct pollfd){ .fd = ctl->listen_fd, .events = POLLIN };
	for (size_t i = 0; i < CLIENTS && n < max; i++) {
		const struct client *c = &ctl->clients[i];

		if (c->fd < 0)
			continue;
		fds[n].fd = c->fd;
		fds[n].revents = 0;
		fds[n++].events = (short)((!c->eof && c->in_len < LINE_MAX_BYTES ? POLLIN : 0) |
					  (c->out ? POLLOUT : 0));
	}
	return n;
}

/* New clients come last: a descriptor of this array that was closed since must not be taken for a new one
 * with its number. */
void control_events(struct control *ctl, const struct pollfd *fds, size_t n)
{
	bool incoming = false;

	for (size_t i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		if (fds[i].fd == ctl->listen_fd) {
			incoming = true;
			continue;
		}
		for (size_t k = 0; k < CLIENTS; k++)
			if (ctl->clients[k].fd >= 0 && ctl->clients[k].fd == fds[i].fd) {
				client_event(ctl, &ctl->clients[k], fds[i].revents);
				break;
			}
	}
	if (incoming)
		accept_clients(ctl);
}
