/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h: the control socket (/run/drbdx/control.sock): backend-ctl and block-drbdx talk
 * JSON lines to the daemon.  Control thread only.  docs/CONTROL.md has the verbs.
 */
#ifndef DRBDX_BACKEND_CONTROL_H
#define DRBDX_BACKEND_CONTROL_H

#include <poll.h>
#include <stddef.h>

#include "backend/device.h"

#define CONTROL_SOCKET "/run/drbdx/control.sock"
#define CONTROL_SCHEMA 2

struct upgrade;	     /* upgrade.h */
struct daemon_state; /* daemon.h: configuration and running resources */
struct control;

int control_new(const char *socket_path, struct daemon_state *daemon, struct devices *devices,
		struct control **out, char *why, size_t why_size);
void control_free(struct control *c);
/* Who is replaced when `upgrade` is asked for and nothing is in the way: `begin` drains and goes on by itself; 0, or negative errno
 * with words. Without this there is no upgrade. */
typedef int control_begin_fn(void *ctx, char *why, size_t why_size);
void control_set_upgrade(struct control *c, const struct upgrade *upgrade, control_begin_fn *begin, void *ctx);
/* poll(2) integration: fills at most `max` entries, returns how many; after poll() hand the
 * same array back. */
size_t control_pollfds(struct control *c, struct pollfd *fds, size_t max);
void control_events(struct control *c, const struct pollfd *fds, size_t n);

#endif
