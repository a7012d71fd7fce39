/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_private.h: what main.c alone asks of daemon.c: birth, start of everything, end of everything.
 */
#ifndef DRBDX_BACKEND_DAEMON_PRIVATE_H
#define DRBDX_BACKEND_DAEMON_PRIVATE_H

#include "backend/daemon.h"
#include "backend/mailbox.h"

/* Reads `path` as host `hostname`; its messages go to the log. Negative errno with the
 * first error in `why`. */
int daemon_new(const char *path, const char *hostname, struct mailbox *control, struct daemon_state **out,
	       char *why, size_t why_size);
void daemon_free(struct daemon_state *d); /* after daemon_idle() */
int daemon_start_all(struct daemon_state *d, char *why, size_t why_size);

/* Stops everything, guests or not (RESOURCE_END or RESOURCE_REPLACE); `reply` comes once for each resource. Returns how many there
 * are. */
size_t daemon_stop_all(struct daemon_state *d, enum resource_stop kind, resource_reply_fn *reply, void *ctx);
bool daemon_left_behind(const struct daemon_state *d); /* once idle: a thread still waits for a disk that hangs */
bool daemon_idle(const struct daemon_state *d);

/* resync-after: tells each resource whose resync it has to wait for, as the file says now. After every turn of the control thread:
 * a resource that begins or ends a resync wakes it. */
void daemon_order_resyncs(struct daemon_state *d);

#endif
