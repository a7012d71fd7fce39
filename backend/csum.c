/* SPDX-License-Identifier: GPL-2.0-or-later */
/* csum.c: OpenSSL's digests, and crc32c, which it has not. */
#include "backend/csum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "backend/crc32c.h"
#include "backend/endian.h"

struct csum {
	EVP_MD *md; /* NULL: crc32c */
	EVP_MD_CTX *ctx;
};

int csum_new(const char *name, struct csum **out)
{
	struct csum *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	if (strcasecmp(name, "crc32c")) {
		c->md = EVP_MD_fetch(NULL, name, NULL);
		c->ctx = EVP_MD_CTX_new();
		ERR_clear_error();
		if (!c->md || !c->ctx || EVP_MD_get_size(c->md) <= 0 || (size_t)EVP_MD_get_size(c->md) > CSUM_MAX) {
			csum_free(c);
			return -ENOENT;
		}
	}
	*out = c;
	return 0;
}

void csum_free(struct csum *c)
{
	if (!c)
		return;
	EVP_MD_free(c->md);
	EVP_MD_CTX_free(c->ctx);
	free(c);
}

uint16_t csum_of(struct csum *c, const void *data, size_t bytes, uint8_t *out)
{
	unsigned int length = 0;
	struct be32 crc;

	if (!c->md) {
		crc = put_be32(crc32c(data, bytes));
		memcpy(out, &crc, sizeof(crc));
		return sizeof(crc);
	}
	if (!EVP_DigestInit_ex2(c->ctx, c->md, NULL) || !EVP_DigestUpdate(c->ctx, data, bytes) ||
	    !EVP_DigestFinal_ex(c->ctx, out, &length))
		return 0;
	return (uint16_t)length;
}
