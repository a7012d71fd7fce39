/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * upgrade.h: another program takes this daemon's place, in the same process, under the guests (docs/RESTART.md, section 7).
 * Control thread only.
 */
#ifndef DRBDX_BACKEND_UPGRADE_H
#define DRBDX_BACKEND_UPGRADE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "backend/resource.h"

struct upgrade {
	char program[PATH_MAX]; /* the file that this process was started from; another one may be there by now */
	char config[PATH_MAX];	/* what it reads its configuration from */
	char **argv;		/* main()'s, as it came: the other program gets the same */
};

/* At the start, as long as the file is there. 0 or negative errno. */
int upgrade_init(struct upgrade *u, char **argv, const char *config);

/* Is there a program to be executed? 0, or negative errno with words. Whether it can do anything is found out by those who ask for
 * an upgrade: they run it (upgrade_check()). */
int upgrade_program(const struct upgrade *u, char *why, size_t why_size);

/* Pure: whether a resource can be left to another program now. 0; -EBUSY with words that say what to wait for, or to do. */
int upgrade_allowed(const struct resource_status *status, char *why, size_t why_size);

/* Does not return while anything can be executed: the file, else what this process is executing. Nothing but stdin, stdout and
 * stderr is inherited. */
void upgrade_exec(const struct upgrade *u);

/* `drbdxd --check`: whether this program could go on with what the running one has on disk and in /run. Only looks. Prints a
 * line for everything that is in the way; returns how many. */
unsigned int upgrade_check(const char *config, const char *host, FILE *out);

#endif
