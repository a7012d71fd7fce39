/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auth.h: mutual challenge-response between two partners (cram-hmac-alg, shared-secret).
 * Pure but for OpenSSL.
 *
 * Each side proves that it knows the secret by an HMAC over a fixed label, its own role on
 * this connection, the protocol version, the resource and both nonces; role and nonces make
 * every proof good for one direction of one connection (no reflection, no replay).
 */
#ifndef DRBDX_BACKEND_AUTH_H
#define DRBDX_BACKEND_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/wire.h"

enum auth_role { AUTH_LISTENER = 1, AUTH_CONNECTOR = 2 };

struct auth_context {
	const char *alg, *secret; /* NULL: no authentication is configured */
	const char *resource;
	uint16_t version;
	uint8_t listener_nonce[WIRE_NONCE], connector_nonce[WIRE_NONCE];
};

/* -EIO if there is no randomness */
int auth_nonce(uint8_t out[WIRE_NONCE]);
/* -EINVAL: unknown digest */
int auth_proof(const struct auth_context *c, enum auth_role prover, struct packet_auth *out);
/* constant time */
bool auth_verify(const struct auth_context *c, enum auth_role prover, const struct packet_auth *proof);

#endif
