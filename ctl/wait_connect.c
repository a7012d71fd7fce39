/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend-ctl wait-connect: until the partners are there, or wfc-timeout is over.  For scripts that start guests: xl does not wait for a disk
 * as long as an administrator may want to.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "ctl/call.h"
#include "ctl/ctl.h"

#define ASK_MILLISECONDS 10000u
#define PAUSE_MILLISECONDS 200
#define OPENING_MILLISECONDS 10000u
#define EXIT_WAITING (-1)

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* At boot: what a start of the guest would wait for, and not more.  The rest is settled at once: no time is configured, or it is certain that
 * this node has the newest data. */
static bool start_waits(const json_t *r)
{
	const char *then = text(json_object_get(r, "awaited"), "then");

	return then && strcmp(then, "start") != 0 && strcmp(then, "fence") != 0;
}

/* Which of its times counts is known when the metadata have been read; a disk that hangs is not waited for. */
static bool opening(const json_t *r, uint64_t begin_ms)
{
	const char *state = text(json_object_get(r, "disk"), "state");

	return state && !strcmp(state, "opening") && call_now_ms() < begin_ms + OPENING_MILLISECONDS;
}

static bool time_is_over(const struct ctl *ctl, const json_t *r)
{
	const json_t *left = json_object_get(json_object_get(r, "awaited"), "left_seconds");

	return call_now_ms() >= ctl->deadline_ms || (left && !json_integer_value(left));
}

/* 0: connected, or not waited for; EXIT_WAITING; else it will not be. */
static int look(const struct ctl *ctl, const json_t *r, uint64_t begin_ms)
{
	const char *state = text(json_object_get(r, "connection"), "state");

	if (!json_is_true(json_object_get(r, "up")))
		return EXIT_REFUSED;
	if (state && !strcmp(state, "Connected"))
		return EXIT_DONE;
	if (state && !strcmp(state, "StandAlone"))
		return EXIT_REFUSED;
	if (ctl->at_boot && opening(r, begin_ms))
		return EXIT_WAITING;
	if (ctl->at_boot && !start_waits(r))
		return EXIT_DONE;
	return time_is_over(ctl, r) ? EXIT_WAITED : EXIT_WAITING;
}

/* In words, what look() has found of a resource whose partner will not be there. */
static void say(const struct ctl *ctl, const json_t *r, int status)
{
	const json_t *connection = json_object_get(r, "connection");
	const char *name = text(r, "name"), *state = text(connection, "state"), *why = text(connection, "why"), *peer = text(connection, "peer_host");

	if (!json_is_true(json_object_get(r, "up")))
		ctl_error("%s: it is down: 'backend-ctl up %s' starts it", name, name);
	else if (status == EXIT_REFUSED)
		ctl_error("%s: the two nodes refuse each other: %s", name, why ? why : "?");
	else
		ctl_error("%s: the partner %s is not connected (%s), and the wait is over (%s)", name, peer ? peer : "?", why ? why : state ? state : "?",
			  call_now_ms() >= ctl->deadline_ms ? "--timeout" : text(json_object_get(r, "awaited"), "option"));
}

/* Of all resources: EXIT_WAITING as long as one may still connect. Without --at-boot one that will not is enough to end. Says what ends it. */
static int look_at_all(const struct ctl *ctl, uint64_t begin_ms)
{
	struct ctl asking = *ctl;
	bool waiting = false;
	const json_t *r;
	json_t *document;
	int status;
	size_t i;

	asking.deadline_ms = call_now_ms() + ASK_MILLISECONDS;
	status = ctl_ask(&asking, json_pack("{s:s}", "verb", "status"), &document);
	if (status)
		return status;
	if (!ctl_all(ctl))
		status = ctl_keep_named(ctl, document);
	if (!status)
		json_array_foreach(json_object_get(document, "resources"), i, r) {
			int one = look(ctl, r, begin_ms);

			waiting |= one == EXIT_WAITING;
			if (one > 0 && one > status)
				status = one;
		}
	if (waiting && (!status || ctl->at_boot))
		status = EXIT_WAITING;
	if (status > 0)
		json_array_foreach(json_object_get(document, "resources"), i, r) {
			int one = look(ctl, r, begin_ms);

			if (one > 0)
				say(ctl, r, one);
		}
	json_decref(document);
	return status;
}

int verb_wait_connect(const struct ctl *ctl)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MILLISECONDS * 1000000L };
	const uint64_t begin_ms = call_now_ms();
	int status;

	while ((status = look_at_all(ctl, begin_ms)) == EXIT_WAITING)
		nanosleep(&pause, NULL);
	return status;
}
