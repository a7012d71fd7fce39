/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handler.c: the handlers' list, environment, messages and meaning.
 *
 * The environment has two sources in DRBD: the kernel module (HOME, TERM, PATH, addresses, and in 9 node
 * ids and backing devices) and drbdadm, which the module calls (names, minors, disks). Scripts cannot tell
 * them apart, so both are one here, and the variables of 9 are there beside those of 8.4. A variable that
 * has no value is left out: scripts ask whether it is set.
 */
#include "backend/handler.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backend/address.h"

static const struct {
	const char *name, *when;
	bool status_counts;
} handlers[] = {
#define HANDLER_ROW(symbol, name, counts, when) [HANDLER_##symbol] = { name, when, counts },
	HANDLERS(HANDLER_ROW)
#undef HANDLER_ROW
};

const char *handler_name(enum handler h)
{
	return handlers[h].name;
}

const char *handler_when(enum handler h)
{
	return handlers[h].when;
}

bool handler_status_counts(enum handler h)
{
	return handlers[h].status_counts;
}

enum handler handler_find(const char *name)
{
	if (!strcmp(name, "outdate-peer"))
		return HANDLER_FENCE_PEER;
	for (enum handler h = 0; h < HANDLER_COUNT; h++)
		if (!strcmp(name, handlers[h].name))
			return h;
	return HANDLER_COUNT;
}

static bool given(const char *text)
{
	return text && *text;
}

int handler_check(const struct handler_request *rq, char *why, size_t why_size)
{
	const char *lacks = NULL;

	if ((unsigned)rq->handler >= HANDLER_COUNT)
		lacks = "a handler of drbd.conf";
	else if (!given(rq->command))
		lacks = "a command";
	else if (!given(rq->resource))
		lacks = "the name of its resource";
	else if (!given(rq->config))
		lacks = "the configuration's file";
	else if (!given(rq->self.name) || !given(rq->peer.name) || !rq->self.addr || !rq->peer.addr)
		lacks = "names and addresses of both nodes";
	else if (!rq->n_volumes)
		lacks = "a volume";
	if (!lacks)
		return 0;
	snprintf(why, why_size, "a handler cannot be run: the request lacks %s", lacks);
	return -EINVAL;
}

/* ---- environment ---- */

struct writer {
	struct handler_start *m;
	size_t used;
	bool full;
};

/* Up to the NUL, which end_string() adds. */
static void __attribute__((format(printf, 2, 3))) put(struct writer *w, const char *fmt, ...)
{
	size_t room = sizeof(w->m->text) - w->used;
	va_list ap;
	int n;

	if (w->full)
		return;
	va_start(ap, fmt);
	n = vsnprintf(w->m->text + w->used, room, fmt, ap);
	va_end(ap);
	w->full = n < 0 || (size_t)n >= room;
	if (!w->full)
		w->used += (size_t)n;
}

static void end_string(struct writer *w)
{
	if (!w->full)
		w->used++; /* put() leaves room for it, and has written it */
}

static void end_variable(struct writer *w)
{
	end_string(w);
	if (++w->m->n_env > HANDLER_ENV_MAX)
		w->full = true;
}

static void variable(struct writer *w, const char *name, const char *value)
{
	if (!given(value))
		return;
	put(w, "%s=%s", name, value);
	end_variable(w);
}

/* "DRBD_PEER_AF=ipv4", "DRBD_PEER_ADDRESS=192.0.2.1" and "DRBD_PEER_NODE_ID=1" */
static void node_variables(struct writer *w, const char *prefix, const struct handler_node *n)
{
	char text[ADDRESS_TEXT];

	address_text(n->addr, false, text);
	put(w, "%s_AF=%s", prefix, n->addr->ss_family == AF_INET6 ? "ipv6" : "ipv4");
	end_variable(w);
	put(w, "%s_ADDRESS=%s", prefix, text);
	end_variable(w);
	if (n->id < 0)
		return;
	put(w, "%s_NODE_ID=%d", prefix, n->id);
	end_variable(w);
	put(w, "DRBD_NODE_ID_%d=%s", n->id, n->name);
	end_variable(w);
}

static const char *disk_of(const struct handler_volume *v)
{
	return given(v->disk) ? v->disk : "none"; /* drbd.conf's word for it */
}

/* As drbdadm does it: of several volumes a list with blanks; and, as DRBD 9, each by its number. */
static void volume_variables(struct writer *w, const struct handler_volume *v, size_t n)
{
	put(w, "DRBD_VOLUME");
	for (size_t i = 0; i < n; i++)
		put(w, "%c%u", i ? ' ' : '=', v[i].number);
	end_variable(w);
	put(w, "DRBD_MINOR");
	for (size_t i = 0; i < n; i++)
		put(w, "%c%u", i ? ' ' : '=', v[i].minor);
	end_variable(w);
	put(w, "DRBD_LL_DISK");
	for (size_t i = 0; i < n; i++)
		put(w, "%c%s", i ? ' ' : '=', disk_of(&v[i]));
	end_variable(w);
	if (n == 1)
		variable(w, "DRBD_BACKING_DEV", disk_of(v));
	for (size_t i = 0; i < n; i++) {
		put(w, "DRBD_MINOR_%u=%u", v[i].number, v[i].minor);
		end_variable(w);
		put(w, "DRBD_BACKING_DEV_%u=%s", v[i].number, disk_of(&v[i]));
		end_variable(w);
	}
}

static void environment(struct writer *w, const struct handler_request *rq)
{
	variable(w, "HOME", "/");
	variable(w, "TERM", "linux");
	variable(w, "PATH", "/sbin:/usr/sbin:/bin:/usr/bin");
	variable(w, "DRBD_CONF", rq->config);
	variable(w, "DRBD_RESOURCE", rq->resource);
	volume_variables(w, rq->volumes, rq->n_volumes);
	variable(w, "DRBD_PEER", rq->peer.name);
	variable(w, "DRBD_PEERS", rq->peer.name);
	node_variables(w, "DRBD_PEER", &rq->peer);
	node_variables(w, "DRBD_MY", &rq->self);
	variable(w, "DRBD_CSTATE", rq->connection);
	if (rq->up_to_date_nodes) {
		put(w, "UP_TO_DATE_NODES=0x%08llX", (unsigned long long)rq->up_to_date_nodes);
		end_variable(w);
	}
}

/* ---- messages ---- */

int handler_start_encode(const struct handler_request *rq, uint32_t id, struct handler_start *out)
{
	struct writer w = { .m = out };

	out->id = id;
	out->n_env = 0;
	put(&w, "%s", rq->command);
	end_string(&w);
	environment(&w, rq);
	return w.full ? -E2BIG : (int)(offsetof(struct handler_start, text) + w.used);
}

static bool is_variable(const char *text)
{
	const char *p = text;

	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	return p > text && *p == '=';
}

int handler_start_decode(struct handler_start *in, size_t bytes, char **env)
{
	const size_t head = offsetof(struct handler_start, text);
	char *end = (char *)in + bytes, *p;

	if (bytes <= head || bytes > sizeof(*in) || end[-1] || !in->text[0] || in->n_env > HANDLER_ENV_MAX)
		return -EINVAL;
	p = in->text + strlen(in->text) + 1;
	for (uint32_t i = 0; i < in->n_env; i++) {
		if (p >= end || !is_variable(p))
			return -EINVAL;
		env[i] = p;
		p += strlen(p) + 1;
	}
	env[in->n_env] = NULL;
	return p == end ? 0 : -EINVAL;
}

bool handler_result_valid(const struct handler_result *in, size_t bytes)
{
	return bytes == sizeof(*in) && in->end >= HANDLER_EXITED && in->end <= HANDLER_FAILED &&
	       memchr(in->output, '\0', sizeof(in->output));
}

/* ---- words ---- */

/* The last line that is not empty. */
static const char *last_line(const char *text, int *length)
{
	const char *end = text + strlen(text), *begin;

	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	for (begin = end; begin > text && begin[-1] != '\n'; begin--)
		;
	*length = (int)(end - begin);
	return begin;
}

static void end_words(const struct handler_result *r, char *out, size_t size)
{
	switch ((enum handler_end)r->end) {
	case HANDLER_EXITED:
		snprintf(out, size, "exit code %d", r->code);
		return;
	case HANDLER_KILLED:
		snprintf(out, size, "killed by signal %d (%s)", r->code, strsignal(r->code));
		return;
	case HANDLER_FAILED:
		snprintf(out, size, "it could not be started: %s", strerror(r->code));
		return;
	case HANDLER_TIMED_OUT:
		snprintf(out, size, "still running after %d s, and left alone: see why it does not end",
			 r->code);
		return;
	case HANDLER_QUEUED:
		snprintf(out, size, "not started within %d s, for too many other handlers do not end",
			 r->code);
		return;
	case HANDLER_LOST:
		snprintf(out, size,
			 "how it ended is not known, for the process that runs handlers is gone: restart "
			 "drbdxd to have handlers again");
		return;
	}
}

void handler_result_words(const struct handler_result *r, char *out, size_t size)
{
	const char *line;
	size_t used;
	int length;

	end_words(r, out, size);
	line = last_line(r->output, &length);
	used = strlen(out);
	if (length)
		snprintf(out + used, size - used, ": %.*s", length, line);
}

/* ---- output ---- */

void handler_tail_add(struct handler_tail *t, const char *text, size_t bytes)
{
	size_t drop;

	if (bytes > sizeof(t->text)) {
		text += bytes - sizeof(t->text);
		bytes = sizeof(t->text);
	}
	drop = t->used + bytes > sizeof(t->text) ? t->used + bytes - sizeof(t->text) : 0;
	memmove(t->text, t->text + drop, t->used - drop);
	t->used -= drop;
	for (size_t i = 0; i < bytes; i++) /* a NUL would end the text for its readers */
		t->text[t->used++] = text[i] ? text[i] : ' ';
}

/* ---- fence-peer ---- */

/* The codes are DRBD's; P2 says what follows from them. */
enum fence_verdict handler_fence_verdict(const struct handler_result *r, bool up_to_date)
{
	if (r->end == HANDLER_TIMED_OUT)
		return FENCE_LATE;
	if (r->end != HANDLER_EXITED)
		return r->end == HANDLER_KILLED ? FENCE_BROKEN : FENCE_NOT_RUN;
	switch (r->code) {
	case 3:
		return FENCE_PEER_INCONSISTENT;
	case 4:
		return FENCE_FENCED_OUTDATED;
	case 5:
		return up_to_date ? FENCE_FENCED_UNREACHABLE : FENCE_UNREACHABLE;
	case 6:
		return FENCE_PEER_IS_PRIMARY;
	case 7:
		return FENCE_FENCED_STONITHED;
	default:
		return FENCE_BROKEN;
	}
}

const char *handler_fence_words(enum fence_verdict v)
{
	static const char *const words[] = {
#define FENCE_ROW(symbol, words) [FENCE_##symbol] = words,
		FENCE_VERDICTS(FENCE_ROW)
#undef FENCE_ROW
	};

	return words[v];
}
