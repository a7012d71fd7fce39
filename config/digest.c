/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which digest names are usable: asked of OpenSSL when the file is read, so that a typing error is not found
 * at connect. */
#include "config/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <strings.h>

bool digest_authenticates(const char *name)
{
	EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
	bool ok;

	if (!md) {
		ERR_clear_error();
		return false;
	}
	ok = !(EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF) && EVP_MD_get_size(md) >= 16;
	EVP_MD_free(md);
	return ok;
}

bool digest_compares(const char *name)
{
	return !strcasecmp(name, "crc32c") || digest_authenticates(name);
}
