/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * intro.c: the first packet of each side.  The version spoken is the lower one of the two maxima, which is the highest that both
 * know, if both know it.
 */
#include "backend/intro.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void intro_compose(const struct intro_self *self, const uint8_t nonce[WIRE_NONCE], struct packet_intro *out)
{
	memset(out, 0, sizeof(*out));
	out->version_min = self->version_min;
	out->version_max = self->version_max;
	memcpy(out->nonce, nonce, WIRE_NONCE);
	snprintf(out->resource, sizeof(out->resource), "%s", self->resource);
	snprintf(out->host, sizeof(out->host), "%s", self->host);
	snprintf(out->alg, sizeof(out->alg), "%s", self->alg ? self->alg : "");
}

static int refuse(char *why, size_t why_size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int refuse(char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return -EPROTO;
}

int intro_check(const struct intro_self *self, const struct packet_intro *peer, uint16_t *version, char *why,
		size_t why_size)
{
	const char *alg = self->alg ? self->alg : "";

	*version = self->version_max < peer->version_max ? self->version_max : peer->version_max;
	if (*version < self->version_min || *version < peer->version_min)
		return refuse(why, why_size,
			      "%s speaks versions %u to %u of the protocol, %s %u to %u, so the two cannot talk: install the newer drbdx "
			      "on %s, too, and run 'backend-ctl upgrade' there",
			      self->host, self->version_min, self->version_max, peer->host, peer->version_min, peer->version_max,
			      self->version_max < peer->version_min ? self->host : peer->host);
	if (strcmp(self->resource, peer->resource))
		return refuse(why, why_size,
			      "wrong resource: correct the address or port of one: at this one %s has '%.40s', %s has '%.40s'", self->host,
			      self->resource, peer->host, peer->resource);
	if (!*alg != !peer->alg[0])
		return refuse(why, why_size, "%s has a shared-secret, %s has none: give both the same",
			      *alg ? self->host : peer->host, *alg ? peer->host : self->host);
	if (strcasecmp(alg, peer->alg))
		return refuse(why, why_size, "the cram-hmac-alg differs (make it the same): %s on %s, %s on %s", alg, self->host,
			      peer->alg, peer->host);
	return 0;
}

struct auth_context intro_context(const struct intro_self *self, enum auth_role role,
				  const struct packet_intro *own, const struct packet_intro *peer,
				  uint16_t version)
{
	struct auth_context c = {
		.alg = self->alg, .secret = self->secret, .resource = self->resource, .version = version,
	};

	memcpy(c.listener_nonce, role == AUTH_LISTENER ? own->nonce : peer->nonce, WIRE_NONCE);
	memcpy(c.connector_nonce, role == AUTH_LISTENER ? peer->nonce : own->nonce, WIRE_NONCE);
	return c;
}
