/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a shell command in a lab guest, from its Dom0: guest-run NAME SECONDS COMMAND. Prints what the command printed
 * and exits with its status; 124 when SECONDS passed, 125 when the guest is not there or went away. The other side,
 * and the xenstore nodes in between, are in agent.c. An empty COMMAND only waits for the agent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "xs.h"

#define SOCKET "/run/xenstored/socket"
#define EXIT_LATE 124
#define EXIT_GONE 125

static struct timespec deadline;

static int left_ms(void)
{
	struct timespec now;
	long ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (deadline.tv_sec - now.tv_sec) * 1000 + (deadline.tv_nsec - now.tv_nsec) / 1000000;
	return ms > 0 ? (int)ms : 0;
}

static void wait_event(struct xs *xs)
{
	char *path = xs_event(xs, left_ms());

	if (!path && left_ms() == 0) {
		fprintf(stderr, "guest-run: time is up\n");
		exit(EXIT_LATE);
	}
	free(path);
}

/* The number of the domain called 'name', or -1. */
static int find_domain(struct xs *xs, const char *name)
{
	char path[64], *domains, *value;
	size_t len = 0;
	int domid = -1;

	domains = xs_list(xs, "/local/domain", &len);
	for (char *d = domains; d && d < domains + len && domid < 0; d += strlen(d) + 1) {
		snprintf(path, sizeof(path), "/local/domain/%s/name", d);
		value = xs_read(xs, path, NULL);
		if (value && strcmp(value, name) == 0)
			domid = atoi(d);
		free(value);
	}
	free(domains);
	return domid;
}

static int wait_agent(struct xs *xs, const char *name)
{
	char path[64], *value;
	int domid;

	for (;;) {
		domid = find_domain(xs, name);
		snprintf(path, sizeof(path), "/local/domain/%d/data/agent", domid);
		value = domid < 0 ? NULL : xs_read(xs, path, NULL);
		free(value);
		if (value)
			return domid;
		wait_event(xs);
	}
}

static char *wait_done(struct xs *xs, int domid, int id)
{
	char done[64], name[64], *value;

	snprintf(done, sizeof(done), "/local/domain/%d/data/done/%d", domid, id);
	snprintf(name, sizeof(name), "/local/domain/%d/name", domid);
	for (;;) {
		value = xs_read(xs, done, NULL);
		if (value)
			break;
		value = xs_read(xs, name, NULL);
		if (!value) {
			fprintf(stderr, "guest-run: the guest is gone\n");
			exit(EXIT_GONE);
		}
		free(value);
		wait_event(xs);
	}
	xs_rm(xs, done);
	return value;
}

static void print_output(struct xs *xs, int domid, int id, int pieces)
{
	char path[64], *value;
	size_t len = 0;

	for (int n = 0; n < pieces; n++) {
		snprintf(path, sizeof(path), "/local/domain/%d/data/out/%d/%d", domid, id, n);
		value = xs_read(xs, path, &len);
		if (value)
			fwrite(value, 1, len, stdout);
		free(value);
	}
	snprintf(path, sizeof(path), "/local/domain/%d/data/out/%d", domid, id);
	xs_rm(xs, path);
}

int main(int argc, char **argv)
{
	int domid, id = (int)getpid(), status = 0, pieces = 0;
	char path[64], *result;
	struct xs xs;

	if (argc != 4 || xs_open(&xs, SOCKET) < 0) {
		fprintf(stderr, argc == 4 ? "guest-run: no xenstored\n" : "usage: guest-run NAME SECONDS COMMAND\n");
		return EXIT_GONE;
	}
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += atoi(argv[2]);
	if (xs_watch(&xs, "/local/domain") < 0)
		return EXIT_GONE;
	domid = wait_agent(&xs, argv[1]);
	if (argv[3][0] == '\0')
		return 0;
	snprintf(path, sizeof(path), "/local/domain/%d/data/run/%d", domid, id);
	if (xs_write(&xs, path, argv[3], strlen(argv[3])) < 0) {
		perror("guest-run");
		return EXIT_GONE;
	}
	result = wait_done(&xs, domid, id);
	if (sscanf(result, "%d %d", &status, &pieces) != 2)
		return EXIT_GONE;
	free(result);
	print_output(&xs, domid, id, pieces);
	return status;
}
