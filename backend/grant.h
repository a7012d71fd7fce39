/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * grant.h: access to one guest's granted pages: a mapping for the ring, copies in batches for everything
 * else.
 *
 * A copy is queued with a flag that is set when it fails, so one bad reference costs only the request that
 * named it. One xengnttab_grant_copy() is made for up to GRANT_BATCH_MAX queued copies.  Owner thread only.
 */
#ifndef DRBDX_BACKEND_GRANT_H
#define DRBDX_BACKEND_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRANT_PAGE 4096u
#define GRANT_BATCH_MAX 1024u

struct grant;

/* A handle of its own for domain `domid`. Negative errno of the grant device. */
int grant_open(uint32_t domid, struct grant **out);

/* Nothing may be queued and nothing mapped. NULL is allowed. */
void grant_close(struct grant *grant);

/* Maps `count` pages next to each other, readable and writable, not inherited by children. NULL with errno
 * set. */
void *grant_map(struct grant *grant, const uint32_t *refs, unsigned int count);
void grant_unmap(struct grant *grant, void *address, unsigned int count);

/* Queues a copy of `len` bytes; offset + len <= 4096, len > 0. `local` and `*failed` must stay until
 * grant_flush(). A full queue is executed first. *failed is set to true if the copy failed, and left alone
 * otherwise. */
void grant_from_guest(struct grant *grant, uint32_t ref, uint32_t offset, void *local, uint32_t len,
		      bool *failed);
void grant_to_guest(struct grant *grant, uint32_t ref, uint32_t offset, void *local, uint32_t len,
		    bool *failed);

/* Executes what is queued. */
void grant_flush(struct grant *grant);

struct grant_counters { uint64_t copies, batches; };	/* segments asked for, and calls */
void grant_counters(const struct grant *grant, struct grant_counters *out);

#endif
