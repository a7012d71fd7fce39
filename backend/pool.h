/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool.h: buffers for data in flight: one bounded, page-aligned area a resource, a buddy allocator over it (4
 * KiB to 1 MiB, contiguous).
 *
 * Two pools a resource, one for guest requests and one for the peer's writes, each at least 1 MiB, so that
 * neither can block the other and one maximal request always fits once the others are done.  Single-threaded
 * (owner thread). No system call and no search longer than the number of orders.
 */
#ifndef DRBDX_BACKEND_POOL_H
#define DRBDX_BACKEND_POOL_H

#include <stddef.h>
#include <stdint.h>

#define POOL_PAGE 4096u
#define POOL_ALLOC_MAX (1u << 20)

struct pool;

/* `area` is page aligned, `bytes` a multiple of 1 MiB (else -EINVAL); it stays the caller's and must outlive
 * the pool. -ENOMEM. */
int pool_new(void *area, size_t bytes, struct pool **out);

/* Asserts that everything came back. NULL is allowed. */
void pool_free(struct pool *pool);

/* 1 byte to 1 MiB, rounded up to a power of two of pages; page aligned. NULL when there is no room now, or
 * for a size that never fits. Contents are undefined. */
void *pool_get(struct pool *pool, size_t bytes);

/* `buffer` as pool_get() returned it; anything else (also a second put) is asserted against. NULL is allowed.
 * */
void pool_put(struct pool *pool, void *buffer);

/* Bytes not handed out; they need not be contiguous. */
size_t pool_free_bytes(const struct pool *pool);

#endif
