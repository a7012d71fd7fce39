/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * intro.h: may these two talk?  Composes and judges INTRO, and names in words what does not fit.  Pure.
 */
#ifndef DRBDX_BACKEND_INTRO_H
#define DRBDX_BACKEND_INTRO_H

#include <stddef.h>
#include <stdint.h>

#include "backend/auth.h"
#include "backend/wire.h"

/* alg, secret NULL: none */
struct intro_self { const char *resource, *host, *alg, *secret; uint16_t version_min, version_max; };

void intro_compose(const struct intro_self *self, const uint8_t nonce[WIRE_NONCE], struct packet_intro *out);

/* 0 and the version to speak, or -EPROTO with words that both sides understand (they name the hosts). */
int intro_check(const struct intro_self *self, const struct packet_intro *peer, uint16_t *version, char *why,
		size_t why_size);

/* Everything that the proofs cover. The strings stay self's. */
struct auth_context intro_context(const struct intro_self *self, enum auth_role role,
				  const struct packet_intro *own, const struct packet_intro *peer,
				  uint16_t version);

#endif
