/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block-drbdx: the hotplug program that libxl runs for each of our disks, as `block-drbdx add|remove` with
 * XENBUS_PATH=backend/vbd/D/V or backend/vbd3/D/V.
 *
 * add     asks drbdxd for the resource. Granted: hotplug-status=connected, then add-done. Otherwise
 *         hotplug-error has the words that xl prints, hotplug-status is error, and the exit status is 1.
 * remove  tells drbdxd that the device is gone. Always succeeds: libxl ignores the answer, and the daemon
 *         does not depend on being told.
 *
 * libxl kills an `add` after 40 s and calls no `remove` then, so:
 *  1. add ends within 30 s of itself, and the daemon says before that why it takes long;
 *  2. what was granted belongs to this process' connection until add-done: however it ends before, the
 *     daemon takes the grant back;
 *  3. nodes are written only where the device's directory still is (in one transaction), so that nothing
 *     is left behind for a device that has gone;
 *  4. an `add` of a device that has been added (hotplug-status=connected) changes nothing, whether drbdxd answers or
 *     not; one that runs beside another one of the same device fails and writes nothing.
 * `physical-device` is never written: without it xen-blkback never opens anything for this device.
 *
 * It is a C program, not a script: at a migration's destination all its time is downtime of the guest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#include "backend/control.h"
#include "ctl/call.h"

#define ADD_BOUND_MS 30000u
#define DONE_BOUND_MS 3000u
#define REMOVE_BOUND_MS 8000u
#define LAST_RESORT_SECONDS 36u		/* xenstored itself does not answer; libxl would kill us at 40 */
#define TRANSACTION_TRIES 100
#define WORDS 1400u /* more than the daemon says (RESOURCE_TEXT): the way out stands at the end */

struct hotplug {
	struct xs_handle *xs;
	const char *path;		/* XENBUS_PATH */
	const char *socket_path;
};

static void last_resort(int signal)
{
	static const char words[] = "block-drbdx: xenstored does not answer: see whether it runs, and try again\n";
	ssize_t r = write(STDERR_FILENO, words, sizeof(words) - 1);

	(void)signal;
	(void)r;
	_exit(1);
}

/* Is the device still there? The node `frontend` is written by libxl with the directory and goes with it. */
static bool device_exists(const struct hotplug *h, xs_transaction_t t)
{
	char node[256];
	unsigned int len;
	void *value;

	snprintf(node, sizeof(node), "%s/frontend", h->path);
	value = xs_read(h->xs, t, node, &len);
	free(value);
	return value != NULL;
}

static bool write_node(const struct hotplug *h, xs_transaction_t t, const char *key, const char *value)
{
	char node[256];

	snprintf(node, sizeof(node), "%s/%s", h->path, key);
	return xs_write(h->xs, t, node, value, (unsigned int)strlen(value));
}

/* Has an earlier block-drbdx attached it? libxl makes the directory anew for each attach. */
static bool is_connected(const struct hotplug *h)
{
	char node[256];
	unsigned int len;
	char *value;
	bool connected;

	snprintf(node, sizeof(node), "%s/hotplug-status", h->path);
	value = xs_read(h->xs, XBT_NULL, node, &len);
	connected = value && !strcmp(value, "connected");
	free(value);
	return connected;
}

/* One try of set_status(). 0, -EAGAIN: the transaction met another one, or another negative errno. */
static int try_status(const struct hotplug *h, const char *status, const char *error)
{
	xs_transaction_t t = xs_transaction_start(h->xs);
	bool ok;

	if (t == XBT_NULL)
		return -errno;
	if (!device_exists(h, t)) {
		xs_transaction_end(h->xs, t, true);
		return -ENODEV;
	}
	ok = (!error || write_node(h, t, "hotplug-error", error)) &&
	     write_node(h, t, "hotplug-status", status);
	if (!ok) {
		int rc = -errno;

		xs_transaction_end(h->xs, t, true);
		return rc;
	}
	return xs_transaction_end(h->xs, t, false) ? 0 : -errno;
}

/* Writes hotplug-status, and hotplug-error if there is one. 0, -ENODEV: the device has gone, or another
 * negative errno. */
static int set_status(const struct hotplug *h, const char *status, const char *error)
{
	int rc = -EAGAIN;

	for (int i = 0; rc == -EAGAIN && i < TRANSACTION_TRIES; i++)
		rc = try_status(h, status, error);
	return rc;
}

/* Asks one thing. 0: granted. Otherwise a negative errno and words; -EALREADY: another block-drbdx is adding it. */
static int ask(int fd, json_t *request, uint64_t deadline_ms, char *why, size_t why_size)
{
	const char *words, *code;
	json_t *reply;
	int rc = call_request(fd, request, deadline_ms, &reply, why, why_size);

	if (rc)
		return rc;
	if (!json_is_true(json_object_get(reply, "ok"))) {
		words = json_string_value(json_object_get(reply, "error"));
		snprintf(why, why_size, "%s", words ? words : "drbdxd refused without a word: see journalctl -u drbdxd");
		code = json_string_value(json_object_get(reply, "code"));
		rc = code && !strcmp(code, "adding") ? -EALREADY : -EPERM;
	}
	json_decref(reply);
	return rc;
}

static int grant_and_publish(const struct hotplug *h, int fd, uint64_t deadline_ms, char *why,
			     size_t why_size)
{
	int rc = ask(fd, json_pack("{s:s, s:s}", "verb", "add", "path", h->path), deadline_ms, why, why_size);

	if (rc)
		return rc;
	rc = set_status(h, "connected", NULL);
	if (rc) {
		snprintf(why, why_size, "%s: cannot write hotplug-status: %s", h->path, strerror(-rc));
		return rc;
	}
	return ask(fd, json_pack("{s:s}", "verb", "add-done"), call_now_ms() + DONE_BOUND_MS, why, why_size);
}

static int add(const struct hotplug *h)
{
	uint64_t deadline_ms = call_now_ms() + ADD_BOUND_MS;
	char why[WORDS] = "";
	bool connected = is_connected(h);
	int fd, rc;

	fd = call_open(h->socket_path, deadline_ms, why, sizeof(why));
	if (fd < 0) {
		rc = fd;
	} else {
		rc = grant_and_publish(h, fd, deadline_ms, why, sizeof(why));
		close(fd);		/* without add-done the daemon now takes the grant back */
	}
	if (!rc)
		return 0;
	if (connected || rc == -EALREADY) {
		fprintf(stderr, "block-drbdx: %s: %s\n", h->path, why);
		return 1;
	}
	rc = set_status(h, "error", why);
	if (rc)		/* xl finds no hotplug-error to print */
		fprintf(stderr, "block-drbdx: %s: %s (and xenstore: %s)\n", h->path, why, strerror(-rc));
	return 1;
}

static int take_away(const struct hotplug *h)
{
	uint64_t deadline_ms = call_now_ms() + REMOVE_BOUND_MS;
	char why[WORDS] = "";
	int fd = call_open(h->socket_path, deadline_ms, why, sizeof(why));

	if (fd < 0)
		return 0; /* no daemon: it holds nothing */
	if (ask(fd, json_pack("{s:s, s:s}", "verb", "remove", "path", h->path), deadline_ms, why,
		sizeof(why)))
		fprintf(stderr, "block-drbdx: %s: %s\n", h->path, why);
	close(fd);
	return 0;
}

static int usage(const char *words)
{
	fprintf(stderr,
		"block-drbdx: %s\nIt is run by libxl, as `block-drbdx add|remove` with XENBUS_PATH set; see "
		"block-drbdx(8).\n",
		words);
	return 1;
}

int main(int argc, char **argv)
{
	struct hotplug h = { .path = getenv("XENBUS_PATH"), .socket_path = getenv("DRBDX_CONTROL_SOCKET") };
	int status;

	if (argc != 2 || (strcmp(argv[1], "add") && strcmp(argv[1], "remove")))
		return usage("one argument is needed, add or remove");
	if (!h.path || !*h.path || strlen(h.path) > 100)
		return usage("XENBUS_PATH is not set, or is no path of a device");
	if (!h.socket_path || !*h.socket_path)
		h.socket_path = CONTROL_SOCKET;
	signal(SIGALRM, last_resort);
	alarm(LAST_RESORT_SECONDS);
	if (!strcmp(argv[1], "remove"))
		return take_away(&h);
	h.xs = xs_open(0);
	if (!h.xs) {
		fprintf(stderr, "block-drbdx: cannot reach xenstored: %s: see whether it runs, and try again\n", strerror(errno));
		return 1;
	}
	status = add(&h);
	xs_close(h.xs);
	return status;
}
