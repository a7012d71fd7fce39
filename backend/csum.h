/* SPDX-License-Identifier: GPL-2.0-or-later */
/* csum.h: digests by which a resync finds out that two blocks are the same without sending them (csums-alg). */
#ifndef DRBDX_BACKEND_CSUM_H
#define DRBDX_BACKEND_CSUM_H

#include <stddef.h>
#include <stdint.h>

#define CSUM_MAX 64u /* bytes of the longest digest */

struct csum;

/* `name` as in drbd.conf: "crc32c" or any digest that OpenSSL knows. -ENOENT: unknown; -ENOMEM. */
int csum_new(const char *name, struct csum **out);
void csum_free(struct csum *c); /* NULL is fine */

/* The digest's length in bytes; 0: it could not be computed. `out` has CSUM_MAX bytes. */
uint16_t csum_of(struct csum *c, const void *data, size_t bytes, uint8_t *out);

#endif
