/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auth.test.c: a proof is good for one secret, one direction, one connection, one resource, one version.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "backend/auth.h"

static struct auth_context sample(void)
{
	struct auth_context c = {
		.alg = "sha1", .secret = "secret", .resource = "my-domu-disk", .version = 1
	};

	memset(c.listener_nonce, 0x11, WIRE_NONCE);
	memset(c.connector_nonce, 0x22, WIRE_NONCE);
	return c;
}

static void the_proof_is_the_documented_hmac(void **state)
{
	/* printf 'drbdx auth v1\0\1\0\1\0\14my-domu-disk' + 32 * 0x11 + 32 * 0x22 | openssl dgst -sha1
	 * -hmac secret */
	static const uint8_t expected[20] = {
		0xa7, 0xd4, 0xf7, 0xd6, 0xf5, 0x0e, 0x28, 0x4f, 0x67, 0xaf,
		0x63, 0xd9, 0xa6, 0x00, 0x3c, 0x34, 0x01, 0x9e, 0x4a, 0x69,
	};
	struct auth_context c = sample();
	struct packet_auth proof;

	(void)state;
	assert_int_equal(auth_proof(&c, AUTH_LISTENER, &proof), 0);
	assert_int_equal(proof.mac_length, 20);
	assert_memory_equal(proof.mac, expected, 20);
}

static void the_right_proof_is_accepted(void **state)
{
	static const char *const digests[] = { "md5", "sha1", "sha256", "sha512", "sha3-256" };
	struct auth_context c = sample();
	struct packet_auth proof;

	(void)state;
	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
		c.alg = digests[i];
		assert_int_equal(auth_proof(&c, AUTH_CONNECTOR, &proof), 0);
		assert_true(auth_verify(&c, AUTH_CONNECTOR, &proof));
	}
}

#define REFUSED(change) do { \
	struct auth_context c = sample(); \
	struct packet_auth proof; \
	assert_int_equal(auth_proof(&c, AUTH_LISTENER, &proof), 0); \
	assert_true(auth_verify(&c, AUTH_LISTENER, &proof)); \
	change; \
	assert_false(auth_verify(&c, AUTH_LISTENER, &proof)); \
} while (0)

static void anything_else_is_refused(void **state)
{
	(void)state;
	REFUSED(c.secret = "Secret");
	REFUSED(c.secret = "secret2");
	REFUSED(c.alg = "sha256");
	REFUSED(c.resource = "my-domu-disk2");
	REFUSED(c.version = 2);
	REFUSED(c.listener_nonce[31] ^= 1);
	REFUSED(c.connector_nonce[0] ^= 1);
	REFUSED(proof.mac[0] ^= 1);
	REFUSED(proof.mac[19] ^= 0x80);
	REFUSED(proof.mac[20] = 1);
	REFUSED(proof.mac_length = 19);
	REFUSED(proof.mac_length = 0);
	REFUSED(memset(&proof, 0, sizeof(proof)));
}

static void a_proof_cannot_be_reflected(void **state)
{
	struct auth_context c = sample(), mirrored = sample();
	struct packet_auth proof;

	(void)state;
	assert_int_equal(auth_proof(&c, AUTH_LISTENER, &proof), 0);
	assert_false(auth_verify(&c, AUTH_CONNECTOR, &proof));
	memcpy(mirrored.listener_nonce, c.connector_nonce, WIRE_NONCE);
	memcpy(mirrored.connector_nonce, c.listener_nonce, WIRE_NONCE);
	assert_false(auth_verify(&mirrored, AUTH_LISTENER, &proof));
	assert_false(auth_verify(&mirrored, AUTH_CONNECTOR, &proof));
}

static void without_a_secret_the_proof_is_empty(void **state)
{
	struct auth_context c = sample();
	struct packet_auth proof;

	(void)state;
	c.alg = c.secret = NULL;
	assert_int_equal(auth_proof(&c, AUTH_LISTENER, &proof), 0);
	assert_int_equal(proof.mac_length, 0);
	assert_true(auth_verify(&c, AUTH_LISTENER, &proof));
	proof.mac_length = 20;
	assert_false(auth_verify(&c, AUTH_LISTENER, &proof));
}

static void an_unknown_digest_or_an_empty_secret_is_an_error(void **state)
{
	struct auth_context c = sample();
	struct packet_auth proof;

	(void)state;
	c.alg = "rot13";
	assert_int_equal(auth_proof(&c, AUTH_LISTENER, &proof), -EINVAL);
	assert_false(auth_verify(&c, AUTH_LISTENER, &proof));
	c = sample();
	c.secret = "";
	assert_int_equal(auth_proof(&c, AUTH_LISTENER, &proof), -EINVAL);
}

static void nonces_differ(void **state)
{
	uint8_t a[WIRE_NONCE], b[WIRE_NONCE];

	(void)state;
	assert_int_equal(auth_nonce(a), 0);
	assert_int_equal(auth_nonce(b), 0);
	assert_memory_not_equal(a, b, WIRE_NONCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_proof_is_the_documented_hmac),
		cmocka_unit_test(the_right_proof_is_accepted),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(a_proof_cannot_be_reflected),
		cmocka_unit_test(without_a_secret_the_proof_is_empty),
		cmocka_unit_test(an_unknown_digest_or_an_empty_secret_is_an_error),
		cmocka_unit_test(nonces_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
