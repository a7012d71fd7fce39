/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * upgrade.c: backend-ctl upgrade: the program that is installed takes the running daemon's place, under the guests
 * (docs/RESTART.md, section 7).
 *
 *   [prepare] may it be? ──> [examine] does the new program run, and could it go on? ──> [begin] ──> [await_other] the old one ends,
 *   and the other one answers ──> [await_service] guests and connections are what they were
 *
 * Up to begin() nothing has happened, and the running daemon serves on whatever is found.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/call.h"
#include "ctl/ctl.h"
#include "ctl/document.h"
#include "ctl/remote.h"

#define WORDS	 512u
#define LOOK_MS	 20

struct running {
	char *program, *config, *version; /* of the daemon that runs now */
	char installed[128];		  /* the version of what is installed */
	json_t *before;			  /* its status */
};

/* Prints what a program said, each line as ours. */
static void pass_on(char *output)
{
	char *save = NULL;

	for (char *line = strtok_r(output, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		ctl_error("%s", line);
}

/* ---- before ---- */

/* A daemon that does not know the verb says so as a mistake in usage. */
static int prepare(const struct ctl *ctl, struct running *r)
{
	json_t *reply = NULL;
	char why[WORDS] = "";
	int fd = call_open(ctl->socket_path, ctl->deadline_ms, why, sizeof(why)), rc;

	if (fd < 0) {
		ctl_error("%s", why);
		return EXIT_FAILED;
	}
	rc = call_request(fd, json_pack("{s:s, s:b}", "verb", "upgrade", "prepare", 1), ctl->deadline_ms, &reply, why, sizeof(why));
	close(fd);
	if (rc) {
		ctl_error("%s", why);
		return EXIT_FAILED;
	}
	if (equals(text(reply, NULL, "code"), "usage")) {
		ctl_error("the drbdxd that runs is older than this backend-ctl, and cannot be upgraded in this way: 'systemctl restart drbdxd', "
			  "while the two nodes are connected and no guest migrates; guests wait meanwhile");
		rc = EXIT_REFUSED;
	} else if (!is_true(reply, "ok")) {
		ctl_error("%s", text(reply, NULL, "error") ? text(reply, NULL, "error") : "drbdxd refused without a word");
		rc = equals(text(reply, NULL, "code"), "refused") ? EXIT_REFUSED : EXIT_FAILED;
	} else if (!text(reply, NULL, "program") || !text(reply, NULL, "config") || !text(reply, NULL, "version")) {
		ctl_error("drbdxd's answer makes no sense: are both of the same version? restart drbdxd");
		rc = EXIT_FAILED;
	} else {
		r->program = strdup(text(reply, NULL, "program"));
		r->config = strdup(text(reply, NULL, "config"));
		r->version = strdup(text(reply, NULL, "version"));
		rc = r->program && r->config && r->version ? EXIT_DONE : EXIT_FAILED;
	}
	json_decref(reply);
	return rc;
}

static int run(const struct ctl *ctl, const struct running *r, const char *const *args, char **output)
{
	char ended[WORDS] = "";
	bool good;
	int rc = program_run(r->program, args, ctl->deadline_ms, output, &good, ended, sizeof(ended));

	if (rc)
		ctl_error("%s cannot be run: %s; drbdxd %s serves on", r->program, strerror(-rc), r->version);
	else if (!good) {
		pass_on(*output);
		ctl_error("%s: nothing was changed, and drbdxd %s serves on", ended, r->version);
	}
	return rc ? EXIT_FAILED : good ? EXIT_DONE : EXIT_REFUSED;
}

static int examine(const struct ctl *ctl, struct running *r)
{
	const char *const version[] = { "--version", NULL }, *const check[] = { "--check", "-c", r->config, NULL };
	char *output = NULL;
	int status = run(ctl, r, version, &output);

	if (!status && sscanf(output, "drbdxd %127[^\n]", r->installed) != 1) {
		ctl_error("%s is not drbdxd: nothing was changed, and drbdxd %s serves on", r->program, r->version);
		status = EXIT_REFUSED;
	}
	free(output);
	output = NULL;
	if (!status)
		status = run(ctl, r, check, &output);
	free(output);
	return status;
}

/* ---- the change ---- */

/* Returns the connection, which ends with the old program, or negative. */
static int begin(const struct ctl *ctl, int *status)
{
	json_t *reply = NULL;
	char why[WORDS] = "";
	int fd = call_open(ctl->socket_path, ctl->deadline_ms, why, sizeof(why));
	int rc = fd < 0 ? fd : call_request(fd, json_pack("{s:s}", "verb", "upgrade"), ctl->deadline_ms, &reply, why, sizeof(why));

	*status = EXIT_FAILED;
	if (!rc && !is_true(reply, "ok")) {
		rc = -EBUSY;
		snprintf(why, sizeof(why), "%s", text(reply, NULL, "error") ? text(reply, NULL, "error") : "refused without a word");
		*status = equals(text(reply, NULL, "code"), "refused") ? EXIT_REFUSED : EXIT_FAILED;
	}
	json_decref(reply);
	if (!rc)
		return fd;
	ctl_error("%s", why);
	if (fd >= 0)
		close(fd);
	return -1;
}

static void look_again_soon(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000l }, NULL);
}

/* The status of whichever daemon answers now; NULL: none. */
static json_t *status_now(const struct ctl *ctl)
{
	char why[WORDS];
	json_t *reply = NULL;
	int fd = call_open(ctl->socket_path, ctl->deadline_ms, why, sizeof(why));

	if (fd < 0)
		return NULL;
	if (!call_request(fd, json_pack("{s:s}", "verb", "status"), ctl->deadline_ms, &reply, why, sizeof(why)) && !is_true(reply, "ok")) {
		json_decref(reply);
		reply = NULL;
	}
	close(fd);
	return reply;
}

/* The old program's connection ends when it has let go of everything. */
static int await_other(const struct ctl *ctl, int fd, json_t **after)
{
	*after = NULL;
	if (call_await_end(fd, ctl->deadline_ms)) {
		ctl_error("drbdxd has not finished what is unanswered: see 'backend-ctl status' and journalctl -u drbdxd; it goes on by itself");
		return EXIT_FAILED;
	}
	while (!(*after = status_now(ctl))) {
		if (call_now_ms() >= ctl->deadline_ms) {
			ctl_error("the new drbdxd does not answer: see journalctl -u drbdxd; the guests' disks wait until one runs");
			return EXIT_FAILED;
		}
		look_again_soon();
	}
	return EXIT_DONE;
}

static const json_t *same_resource(const json_t *document, const char *name)
{
	const json_t *r;
	size_t i;

	json_array_foreach(json_object_get(document, "resources"), i, r)
		if (equals(text(r, NULL, "name"), name))
			return r;
	return NULL;
}

static bool is_connected(const json_t *r)
{
	return equals(text(r, "connection", "state"), "Connected");
}

/* NULL: it is served as it was before; or what is not yet as it was. */
static const char *missing(const json_t *was, const json_t *is)
{
	if (!is || !is_true(is, "up"))
		return "is not up";
	if (text(was, "guest", "attachment") && !text(is, "guest", "attachment"))
		return "does not serve its guest yet";
	if (equals(text(was, "guest", "attachment"), "Active") && !equals(text(is, "guest", "attachment"), "Active"))
		return "does not serve its guest yet";
	if (json_is_object(json_object_get(is, "recovery")))
		return "has requests of its guest that are not finished";
	return is_connected(was) && !is_connected(is) ? "is not connected again" : NULL;
}

/* False: something is not as it was; in `words`, what. */
static bool all_served(const struct running *r, const json_t *after, char *words, size_t size)
{
	const json_t *was;
	const char *what;
	size_t i;

	json_array_foreach(json_object_get(r->before, "resources"), i, was) {
		what = is_true(was, "up") ? missing(was, same_resource(after, text(was, NULL, "name"))) : NULL;
		if (!what)
			continue;
		snprintf(words, size, "%s %s", text(was, NULL, "name"), what);
		return false;
	}
	return true;
}

static int await_service(const struct ctl *ctl, const struct running *r, json_t **after)
{
	char words[WORDS] = "";

	while (!*after || !all_served(r, *after, words, sizeof(words))) {
		if (call_now_ms() >= ctl->deadline_ms) {
			ctl_error("the new drbdxd runs, but %s: 'backend-ctl status' says why", *words ? words : "does not answer");
			return EXIT_FAILED;
		}
		look_again_soon();
		json_decref(*after);
		*after = status_now(ctl);
	}
	return EXIT_DONE;
}

static size_t guests(const json_t *document)
{
	const json_t *r;
	size_t i, n = 0;

	json_array_foreach(json_object_get(document, "resources"), i, r)
		n += json_is_object(json_object_get(r, "guest"));
	return n;
}

static int say_outcome(const struct running *r, const json_t *after)
{
	const char *version = text(after, NULL, "version");
	size_t n = guests(after);

	if (!equals(version, r->installed)) {
		ctl_error("drbdxd %s was started again: %s, which is %s, could not be executed; see journalctl -u drbdxd", version ? version : "?",
			  r->program, r->installed);
		return EXIT_FAILED;
	}
	printf("drbdxd %s goes on where drbdxd %s was: %zu guest%s served\n", version, r->version, n, n == 1 ? "'s disk is" : "s' disks are");
	return EXIT_DONE;
}

static int change(const struct ctl *ctl, const struct running *r)
{
	json_t *after = NULL;
	int status, fd = begin(ctl, &status);

	if (fd < 0)
		return status;
	status = await_other(ctl, fd, &after);
	close(fd);
	if (!status)
		status = await_service(ctl, r, &after);
	if (!status)
		status = say_outcome(r, after);
	json_decref(after);
	return status;
}

int verb_upgrade(const struct ctl *ctl)
{
	struct running r = { .program = NULL };
	int status = prepare(ctl, &r);

	if (!status)
		status = examine(ctl, &r);
	if (!status)
		status = ctl_ask(ctl, json_pack("{s:s}", "verb", "status"), &r.before);
	if (!status)
		status = change(ctl, &r);
	free(r.program);
	free(r.config);
	free(r.version);
	json_decref(r.before);
	return status;
}
