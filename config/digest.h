/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which digest names are usable. */
#ifndef DRBDX_CONFIG_DIGEST_H
#define DRBDX_CONFIG_DIGEST_H

#include <stdbool.h>

/* A digest that can carry an HMAC: known to OpenSSL, of fixed length, at least 128 bits. */
bool digest_authenticates(const char *name);

/* A digest for comparing blocks: as above, or crc32c. */
bool digest_compares(const char *name);

#endif
