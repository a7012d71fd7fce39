/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ctl.h: what the verbs of backend-ctl share.  docs/man/backend-ctl.8 is their manual.
 */
#ifndef DRBDX_CTL_CTL_H
#define DRBDX_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"

/* Exit statuses; where DRBD's tools have one for the case, it is theirs. */
enum {
	EXIT_DONE = 0,
	EXIT_USAGE = 1,
	EXIT_CONFIG = 10,	/* the configuration is not valid, or has no such resource */
	EXIT_REFUSED = 11,	/* the state of a resource, a slot or a volume does not allow it */
	EXIT_FAILED = 20,	/* the daemon does not answer, or the system refused something */
};

struct ctl {
	const char *config_path, *socket_path;
	const char *ssh_command;	/* as xl's: by which a host is reached */
	uint64_t deadline_ms;		/* on call_now_ms()'s clock */
	bool json, assume_clean, force;
	char **names;			/* operands */
	size_t n_names;
};

/* "backend-ctl: …" on stderr. */
void ctl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Asks the daemon (takes the request's reference). An exit status: with EXIT_DONE, *reply is the answer,
 * which says "ok": true, and the caller's;
 * otherwise the words have been printed. */
int ctl_ask(const struct ctl *ctl, json_t *request, json_t **reply);

/* Reads the configuration and prints what it says that is at least that severe. An exit status. */
int ctl_config(const struct ctl *ctl, enum config_severity least, struct config **out);

/* Is the operand list the word "all" alone? */
bool ctl_all(const struct ctl *ctl);

/* Size in bytes of an open volume (block device or regular file), 0: unknown. */
uint64_t ctl_volume_bytes(int fd);

int verb_status(const struct ctl *ctl);
int verb_up(const struct ctl *ctl);
int verb_down(const struct ctl *ctl);
int verb_create_md(const struct ctl *ctl);
int verb_check(const struct ctl *ctl);
int verb_migrate_check(const struct ctl *ctl);

/* render.c: the status as a table and, below it, in words what needs attention. `document`: what the daemon
 * answered. */
void render_status(FILE *out, const json_t *document);

#endif
