/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.h: the vbds of this host: from a directory in xenstore to a resource.  Control thread only.
 *
 * A directory backend/vbd/D/V whose `script` is ours is claimed: taken from xen-blkback (takeover.c),
 * given features and state 2, then driven by the XenBus state table (xenstore/xenbus.c).  A ring is
 * connected only when `hotplug-status` is "connected", that is, when block-drbdx was granted the resource.
 */
#ifndef DRBDX_BACKEND_DEVICE_H
#define DRBDX_BACKEND_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/resource.h"

struct devices;
/* NULL: not configured or not up */
typedef struct resource *device_find_fn(void *ctx, const char *resource);

/* `find` maps a `params` value ("my-domu-disk", also "drbdx:my-domu-disk") to its resource. */
int devices_new(device_find_fn *find, void *find_ctx, struct devices **out, char *why, size_t why_size);
void devices_free(struct devices *d);

/* Event loop integration (poll(2) on the control thread). The descriptor changes when
 * xenstored went away and came back; -1 while it is away. */
int devices_fd(const struct devices *d);
void devices_event(struct devices *d); /* fd readable */
/* CLOCK_MONOTONIC; retry of xenstored, bounded waits */
uint64_t devices_deadline_ms(const struct devices *d);
void devices_tick(struct devices *d, uint64_t now_ms);

/* block-drbdx: `path` is XENBUS_PATH ("backend/vbd/D/V"), checked here. add: claims the resource for
 * the device's guest; the reply's `why` is for the user. Until device_add_done() the claim belongs to
 * the caller's connection: device_add_undo() takes it back and makes the nodes useless to a guest. A device that
 * has been added is granted again, and nothing more happens to it; -EALREADY while it is being added. */
void device_add(struct devices *d, const char *path, resource_reply_fn *reply, void *ctx);
void device_add_done(struct devices *d, const char *path);
void device_add_undo(struct devices *d, const char *path);
/* idempotent */
void device_remove(struct devices *d, const char *path, resource_reply_fn *reply, void *ctx);

struct device_status {
	uint32_t domid, devid;
	char path[64], resource[METADATA_NAME_MAX + 1], guest[128], dev[32];
	int backend_state, frontend_state;
	bool ring;
	char why[RESOURCE_TEXT];
};
/* returns the number there are */
size_t devices_status(const struct devices *d, struct device_status *out, size_t max);
/* Whether it is known which devices there are, and whether one of domain `domid` has this resource since before this daemon
 * started. */
bool devices_known(const struct devices *d);
bool devices_have(const struct devices *d, const char *resource, uint32_t domid);
/* Whether xenstored answers, for status: NULL or words with the time since. */
const char *devices_problem(const struct devices *d);

#endif
