/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A daemon that dies at a certain place: a part of libxen-standin.so. What DRBDX_SIM_HOST/die says happens to the drbdxd of that
 * host:
 *
 *	PLACE before|after N
 *
 * At the Nth call of that kind, counted since the file is there, the process is killed (SIGKILL) before the call does anything,
 * or when it has done everything. The file is removed first, so that the next daemon lives.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "death.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long calls; /* of the place in question, so far */

static bool named(const char *path, const char *place, bool after, unsigned long *at)
{
	char want[32] = "", when[32] = "";
	FILE *f = fopen(path, "re");
	int n;

	if (!f)
		return false;
	n = fscanf(f, "%31s %31s %lu", want, when, at);
	fclose(f);
	return n == 3 && !strcmp(want, place) && !strcmp(when, after ? "after" : "before");
}

static void die(const char *place, bool after)
{
	const char *host = getenv("DRBDX_SIM_HOST");
	unsigned long at = 0;
	char path[PATH_MAX];

	if (!host || strcmp(program_invocation_short_name, "drbdxd") ||
	    snprintf(path, sizeof(path), "%s/die", host) >= (int)sizeof(path) || access(path, F_OK))
		return;
	pthread_mutex_lock(&lock);
	if (named(path, place, after, &at) && ++calls >= at) {
		unlink(path);
		kill(getpid(), SIGKILL);
	}
	pthread_mutex_unlock(&lock);
}

void die_before(const char *place)
{
	die(place, false);
}

void die_after(const char *place)
{
	die(place, true);
}
