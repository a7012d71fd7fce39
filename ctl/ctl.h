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
	EXIT_WORSE = 5,		/* outdate: the data are not even outdated */
	EXIT_WAITED = 5,	/* wait-connect: the time is over */
	EXIT_CONFIG = 10,	/* the configuration is not valid, or has no such resource */
	EXIT_REFUSED = 11,	/* the state of a resource, a slot or a volume does not allow it */
	EXIT_PRIMARY = 17,	/* outdate: a guest is here, or the newest data are */
	EXIT_FAILED = 20,	/* the daemon does not answer, or the system refused something */
};

struct ctl {
	const char *config_path, *socket_path;
	const char *ssh_command;	/* as xl's: by which a host is reached */
	uint64_t deadline_ms;		/* on call_now_ms()'s clock */
	const char *verb;
	bool json, assume_clean, force, clear_bitmap, discard_my_data, at_boot;
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

/* Leaves only the resources that were asked for in a document of `status`. An exit status. */
int ctl_keep_named(const struct ctl *ctl, json_t *document);

/* Is the operand list the word "all" alone? */
bool ctl_all(const struct ctl *ctl);

/* Size in bytes of an open volume (block device or regular file), 0: unknown. */
uint64_t ctl_volume_bytes(int fd);

/* Tells the daemon `verb` of a resource, or of all (NULL), and prints what it has to say. An exit status. */
int ctl_ask_for(const struct ctl *ctl, const char *verb, const char *name);

int verb_status(const struct ctl *ctl);
int verb_up(const struct ctl *ctl);
int verb_passed_on(const struct ctl *ctl); /* the daemon knows it by the same name */
int verb_primary(const struct ctl *ctl);
int verb_connect(const struct ctl *ctl);
int verb_wait_connect(const struct ctl *ctl);
int verb_outdate(const struct ctl *ctl);
int verb_new_current_uuid(const struct ctl *ctl);
int verb_create_md(const struct ctl *ctl);
int verb_dump_md(const struct ctl *ctl);
int verb_restore_md(const struct ctl *ctl);
int verb_wipe_md(const struct ctl *ctl);
int verb_show_gi(const struct ctl *ctl);
int verb_check(const struct ctl *ctl);
int verb_upgrade(const struct ctl *ctl);
int verb_migrate_check(const struct ctl *ctl);

/* render.c: the status as a table and, below it, in words what needs attention. `document`: what the daemon
 * answered. */
void render_status(FILE *out, const json_t *document);

#endif
