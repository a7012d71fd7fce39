/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon.h: what the control thread keeps: the configuration and the resources that are up.
 * Control thread only.
 */
#ifndef DRBDX_BACKEND_DAEMON_H
#define DRBDX_BACKEND_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/resource.h"
#include "config/config.h"

#define DAEMON_CONFIG "/etc/drbdx.conf"

struct daemon_state;

struct config;
const struct config *daemon_config(const struct daemon_state *d);
struct resource *daemon_find(struct daemon_state *d, const char *name); /* NULL: not up */
/* Iterates over the configured resources in file order; *running is NULL for one that is
 * down. Returns NULL at the end. */
const struct config_resource *daemon_each(struct daemon_state *d, size_t i, struct resource **running);
/* Reads the configuration again and starts the named resource (NULL: all that are down). A
 * bad file changes nothing: -EINVAL with FILE:LINE words. */
int daemon_up(struct daemon_state *d, const char *name, char *why, size_t why_size);
/* -EBUSY with who has it while a device of it exists. */
void daemon_down(struct daemon_state *d, const char *name, resource_reply_fn *reply, void *ctx);
/* Opens a disk that failed or was detached once more: the resource is stopped in order, and started. With a guest
 * -EBUSY, in words. */
void daemon_attach(struct daemon_state *d, const char *name, resource_reply_fn *reply, void *ctx);

#endif
