/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frontend.h: what a guest says in its directory: a ring and an event channel for each queue.  The only reader of these keys
 * (P4).
 */
#ifndef DRBDX_BACKEND_FRONTEND_H
#define DRBDX_BACKEND_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/ring.h"
#include "xenstore/store.h"

/* Is `path` a block device's directory of this domain, /local/domain/<domid>/device/vbd/<devid>? Pure. */
bool frontend_path_ok(const char *path, uint32_t domid, uint32_t devid);

/* The frontend's state: 0 if it is not there, -EINVAL if it is no state that a frontend may have (7 and 8
 * too), -EIO. */
int frontend_state(struct store *s, const char *path);

/* Reads the keys, in the caller's view. `queues`: so many were offered. 0; -EINVAL with words in `why` when they cannot be served; -EIO: no
 * xenstored. */
int frontend_read(struct store *s, const char *path, uint32_t domid, unsigned int queues, struct ring_set *out, char *why,
		  size_t why_size);

bool frontend_same_rings(const struct ring_set *a, const struct ring_set *b);

#endif
