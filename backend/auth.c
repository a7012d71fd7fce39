/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auth.c: the proof: HMAC over label, prover's role, protocol version, resource and both nonces, in this
 * order and with these sizes:
 *
 *   "drbdx auth v1" (13 bytes) | role be16 | version be16 | length of the name be16 | name | listener's nonce
 *   (32) | connector's nonce (32)
 *
 * The role makes a proof useless in the other direction (no reflection), the nonces on any other connection
 * (no replay), the resource for any other resource with the same secret.  Only the name has a variable
 * length, and that stands before it, so that two different contexts never give the same message.
 */
#include "backend/auth.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "backend/endian.h"

static const char label[] = "drbdx auth v1";

struct message {
	uint8_t bytes[sizeof(label) - 1 + 3 * sizeof(struct be16) + METADATA_NAME_MAX + 2 * WIRE_NONCE];
	size_t length;
};

static void append(struct message *m, const void *bytes, size_t length)
{
	assert(m->length + length <= sizeof(m->bytes));
	memcpy(m->bytes + m->length, bytes, length);
	m->length += length;
}

static void append_be16(struct message *m, uint16_t value)
{
	struct be16 be = put_be16(value);

	append(m, &be, sizeof(be));
}

static struct message compose(const struct auth_context *c, enum auth_role prover)
{
	struct message m = { .length = 0 };
	size_t name = strnlen(c->resource, METADATA_NAME_MAX);

	append(&m, label, sizeof(label) - 1);
	append_be16(&m, prover);
	append_be16(&m, c->version);
	append_be16(&m, name);
	append(&m, c->resource, name);
	append(&m, c->listener_nonce, WIRE_NONCE);
	append(&m, c->connector_nonce, WIRE_NONCE);
	return m;
}

int auth_nonce(uint8_t out[WIRE_NONCE])
{
	return getrandom(out, WIRE_NONCE, 0) == WIRE_NONCE ? 0 : -EIO;
}

int auth_proof(const struct auth_context *c, enum auth_role prover, struct packet_auth *out)
{
	struct message m = compose(c, prover);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)c->alg, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = NULL;
	EVP_MAC_CTX *ctx = NULL;
	size_t length = 0;
	int rc = -EINVAL;

	memset(out, 0, sizeof(*out));
	if (!c->alg || !c->secret)
		return 0;	/* no authentication is configured: an empty proof */
	if (!c->secret[0])
		return -EINVAL;
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	if (!ctx) {
		rc = -ENOMEM;
		goto out;
	}
	if (EVP_MAC_init(ctx, (const unsigned char *)c->secret, strlen(c->secret), params) != 1 ||
	    EVP_MAC_update(ctx, m.bytes, m.length) != 1 ||
	    EVP_MAC_final(ctx, out->mac, &length, sizeof(out->mac)) != 1 || !length)
		goto out;
	out->mac_length = length;
	rc = 0;
out:
	if (rc)
		memset(out, 0, sizeof(*out));
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return rc;
}

bool auth_verify(const struct auth_context *c, enum auth_role prover, const struct packet_auth *proof)
{
	struct packet_auth expected;

	if (auth_proof(c, prover, &expected))
		return false;
	return expected.mac_length == proof->mac_length &&
	       !CRYPTO_memcmp(expected.mac, proof->mac, sizeof(expected.mac));
}
