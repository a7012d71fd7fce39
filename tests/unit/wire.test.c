/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.test.c: packets survive the wire, impossible ones do not, and docs/PROTOCOL.md says what the code
 * does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/crc32c.h"
#include "backend/generation.h"
#include "backend/wire.h"
#include "tests/unit/document.h"

#define SIZE (WIRE_HEADER + WIRE_BODY_MAX)

static const struct features some_features = {
	.sectors = 2048, .block_size = 4096, .max_segments = 256, .ring_order = 4, .queues = 1
};

static const struct features what_can_be_offered = {
	.sectors = 2048, .block_size = 4096, .max_segments = 256, .ring_order = 4, .queues = 1, .discard = 1, .discard_unit = 12,
	.discard_secure = 1
};

/* A valid packet of each type, with a different value in each field. */
static struct packet sample(enum packet_type type)
{
	struct packet p = { .type = type };

	switch (type) {
	case PACKET_INTRO:
		p.intro = (struct packet_intro) { .version_min = 1,
						 .version_max = 3,
						 .nonce = { 9, 8, 7 },
						 .resource = "my-domu-disk",
						 .host = "dom0_1",
						 .alg = "sha1" };
		break;
	case PACKET_AUTH:
		p.auth = (struct packet_auth) { .mac_length = 3, .mac = { 1, 2, 3 } };
		break;
	case PACKET_REFUSE:
		snprintf(p.text.text, sizeof(p.text.text), "déjà vu");
		break;
	case PACKET_PING:
	case PACKET_PONG:
		p.ping.cookie = 0x0102030405060708;
		break;
	case PACKET_HELLO:
		p.hello = (struct packet_hello) { .token = TOKEN_HELD,
						 .flags = SB_CONSISTENT,
						 .epoch = 7,
						 .base = 6,
						 .reservation = 5,
						 .gen = { 1, 2, { 3, 4 } },
						 .agreed = some_features,
						 .offer = what_can_be_offered,
						 .device_uuid = { 1, 2, 3, 4 },
						 .window_bytes = 1 << 20,
						 .window_requests = 32,
						 .bits = 23,
						 .primary = 1,
						 .after_sb_0pri = AFTER_SB_0PRI_DISCARD_ZERO_CHANGES,
						 .after_sb_1pri = AFTER_SB_1PRI_DISCARD_SECONDARY,
						 .after_sb_2pri = AFTER_SB_2PRI_CALL_PRI_LOST,
						 .fresh = 24 };
		break;
	case PACKET_READY:
		break;
	case PACKET_DATA:
		p.payload = 8 * 512;
		p.data = (struct packet_data) { .id = 1, .epoch = 2, .sector = 3, .sectors = 8 };
		p.data.preflush = 1;
		p.data.copy = 1;
		break;
	case PACKET_READ:
	case PACKET_ZEROES:
		p.read = (struct packet_read) { .id = 1, .epoch = 2, .sector = 3, .sectors = 8 };
		break;
	case PACKET_DISCARD:
		p.discard = (struct packet_discard) { .id = 39, .epoch = 40, .sector = 41, .sectors = 8192, .secure = 1 };
		break;
	case PACKET_READ_DATA:
		p.payload = 8 * 512;
		p.ack = (struct packet_ack) { .id = 11, .epoch = 12 };
		break;
	case PACKET_BITMAP:
		p.payload = 4096;
		p.bitmap = (struct packet_bitmap) { .id = 25, .page = 26 };
		break;
	case PACKET_HOT:
		p.payload = 512;
		p.hot = (struct packet_hot) { .id = 37, .reservation = 38 };
		break;
	case PACKET_BITMAP_END:
		p.bitmap_end = (struct packet_bitmap_end) { .full_from = 27, .bits = 28 };
		break;
	case PACKET_IN_SYNC:
	case PACKET_OUT_OF_SYNC:
		p.in_sync = (struct packet_in_sync) { .epoch = 29, .sector = 30, .sectors = 31 };
		break;
	case PACKET_CSUM:
		p.csum = (struct packet_csum) {
			.id = 32, .epoch = 33, .sector = 34, .sectors = 8, .length = 2, .digest = { 35, 36 }
		};
		break;
	case PACKET_PAUSE:
		p.pause.paused = 1;
		break;
	case PACKET_ACK:
	case PACKET_NOT_ERASED:
	case PACKET_FLUSH:
	case PACKET_FLUSH_ACK:
	case PACKET_READ_FAILED:
	case PACKET_RECEIVED:
	case PACKET_READ_ZEROES:
	case PACKET_SAME:
	case PACKET_DIFFERENT:
		p.ack = (struct packet_ack) { .id = 11, .epoch = 12 };
		break;
	case PACKET_RESTARTING:
		p.restarting.within_ms = 3000;
		break;
	case PACKET_WANT:
		p.want.nonce = 13;
		p.want.back = 1;
		snprintf(p.want.who, sizeof(p.want.who), "guest web1");
		break;
	case PACKET_RESERVE:
		p.reserve = (struct packet_reserve) { .nonce = 18, .uuid = { 5, 6, 7 }, .who = "guest web1" };
		break;
	case PACKET_GRANT:
		p.grant = (struct packet_grant) {
			.nonce = 19, .id = 20, .gen = { 1, 2, { 3, 4 } }, .agreed = some_features
		};
		break;
	case PACKET_COMMIT:
	case PACKET_ENDED:
		p.reservation.id = 21;
		break;
	case PACKET_WANT_REFUSE:
	case PACKET_RESERVE_REFUSE:
	case PACKET_COMMIT_REFUSE:
	case PACKET_RESIZE_REFUSE:
		p.refuse.nonce = 14;
		snprintf(p.refuse.why, sizeof(p.refuse.why), "guest web1 runs here");
		break;
	case PACKET_GIVE:
		p.give = (struct packet_give) {
			.epoch = 9, .base = 8, .reservation = 22, .gen = { 1, 2, { 3, 4 } }, .ring = 1
		};
		break;
	case PACKET_USED:
	case PACKET_SYNC_END:
	case PACKET_SYNC_ENDED:
	case PACKET_CLEAR:
	case PACKET_TAKEN:
	case PACKET_LEAVING:
		p.used.epoch = 15;
		break;
	case PACKET_RESIZE:
	case PACKET_RESIZED:
		p.resize = (struct packet_resize) { .epoch = 39, .sectors = 40, .clean = 1 };
		break;
	case PACKET_PAIR:
		p.pair = (struct packet_pair) { .generation = 16, .epoch = 17, .agreed = some_features };
		break;
	}
	return p;
}

static const enum packet_type all[] = {
#define X(name, number, member, payload, what) PACKET_##name,
	PACKETS(X)
#undef X
};
#define ALL (sizeof(all) / sizeof(all[0]))

static int through(const struct packet *p, struct packet *out, char *why, size_t why_size)
{
	uint8_t bytes[SIZE];

	wire_encode(p, WIRE_VERSION_MAX, 77, bytes);
	return wire_decode(bytes, wire_length(bytes, WIRE_VERSION_MAX), 77, out, why, why_size);
}

static void the_checksum_has_its_check_value(void **state)
{
	(void)state;
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(crc32c_more(crc32c("1234", 4), "56789", 5), 0xe3069283);
}

static void every_packet_survives(void **state)
{
	uint8_t bytes[SIZE], again[SIZE];
	struct packet in, out;
	char why[200];
	size_t length;

	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		in = sample(all[i]);
		memset(&out, 0xee, sizeof(out));
		length = wire_encode(&in, WIRE_VERSION_MAX, i, bytes);
		assert_true(length <= SIZE);
		assert_int_equal(wire_size(all[i]), length);
		assert_int_equal(wire_length(bytes, WIRE_VERSION_MAX), length);
		if (wire_decode(bytes, wire_length(bytes, WIRE_VERSION_MAX), i, &out, why, sizeof(why)))
			fail_msg("%s: %s", packet_name(all[i]), why);
		assert_int_equal(out.type, in.type);
		assert_int_equal(out.payload, in.payload);
		assert_int_equal(wire_encode(&out, WIRE_VERSION_MAX, i, again), length);
		assert_memory_equal(bytes, again, length);
	}
}

static void every_field_comes_back(void **state)
{
	struct packet p = sample(PACKET_HELLO), out;

	(void)state;
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_int_equal(out.hello.token, TOKEN_HELD);
	assert_int_equal(out.hello.epoch, 7);
	assert_int_equal(out.hello.reservation, 5);
	assert_int_equal(out.hello.gen.history[1], 4);
	assert_int_equal(out.hello.offer.sectors, 2048);
	assert_int_equal(out.hello.offer.ring_order, 4);
	assert_int_equal(out.hello.offer.discard, 1);
	assert_int_equal(out.hello.offer.discard_unit, 12);
	assert_int_equal(out.hello.device_uuid[3], 4);
	assert_int_equal(out.hello.window_requests, 32);
	assert_int_equal(out.hello.bits, 23);
	assert_int_equal(out.hello.diskless, 0);
	assert_int_equal(out.hello.primary, 1);
	assert_int_equal(out.hello.discard, 0);
	assert_int_equal(out.hello.after_sb_0pri, AFTER_SB_0PRI_DISCARD_ZERO_CHANGES);
	assert_int_equal(out.hello.after_sb_1pri, AFTER_SB_1PRI_DISCARD_SECONDARY);
	assert_int_equal(out.hello.after_sb_2pri, AFTER_SB_2PRI_CALL_PRI_LOST);
	assert_int_equal(out.hello.always_asbp, 0);
	assert_int_equal(out.hello.fresh, 24);
	p = sample(PACKET_INTRO);
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_string_equal(out.intro.resource, "my-domu-disk");
	assert_int_equal(out.intro.nonce[1], 8);
	p = sample(PACKET_DATA);
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_int_equal(out.data.preflush, 1);
	assert_int_equal(out.data.copy, 1);
	assert_int_equal(out.data.sector, 3);
	p = sample(PACKET_DISCARD);
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_int_equal(out.discard.sector, 41);
	assert_int_equal(out.discard.sectors, 8192);
	p = sample(PACKET_CSUM);
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_int_equal(out.csum.length, 2);
	assert_int_equal(out.csum.digest[1], 36);
	p = sample(PACKET_BITMAP_END);
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_int_equal(out.bitmap_end.full_from, 27);
	assert_int_equal(out.bitmap_end.bits, 28);
	p = sample(PACKET_HOT);
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_int_equal(out.hot.id, 37);
	assert_int_equal(out.hot.reservation, 38);
}

static void bytes_are_big_endian_at_their_place(void **state)
{
	struct packet p = sample(PACKET_PING);
	uint8_t bytes[SIZE];
	static const uint8_t head[] = { 'd', 'r', 'b', 'x', 0, WIRE_VERSION_MAX, 0, 4, 0, 0, 0, 8, 0, 0,
					0,   0,	  0,   0,   0, 0, 0, 0, 2, 1, 0, 0, 0, 0 };

	(void)state;
	wire_encode(&p, WIRE_VERSION_MAX, 0x201, bytes);
	assert_memory_equal(bytes, head, sizeof(head));
	assert_memory_equal(bytes + WIRE_HEADER, "\1\2\3\4\5\6\7\10", 8);
}

static void every_flipped_bit_is_noticed(void **state)
{
	uint8_t bytes[SIZE];
	struct packet p, out;
	size_t length;

	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		p = sample(all[i]);
		length = wire_encode(&p, WIRE_VERSION_MAX, 1, bytes);
		for (size_t bit = 0; bit < 8 * length; bit++) {
			bytes[bit / 8] ^= 1 << bit % 8;
			if (wire_length(bytes, WIRE_VERSION_MAX) == (int)length)	/* otherwise it is refused at once */
				assert_int_not_equal(wire_decode(bytes, wire_length(bytes, WIRE_VERSION_MAX), 1, &out, NULL, 0), 0);
			bytes[bit / 8] ^= 1 << bit % 8;
		}
	}
}

static void the_sequence_is_checked(void **state)
{
	struct packet p = sample(PACKET_ACK), out;
	uint8_t bytes[SIZE];
	char why[100];

	(void)state;
	wire_encode(&p, WIRE_VERSION_MAX, 4, bytes);
	assert_int_equal(wire_decode(bytes, wire_length(bytes, WIRE_VERSION_MAX), 4, &out, why, sizeof(why)), 0);
	assert_int_equal(wire_decode(bytes, wire_length(bytes, WIRE_VERSION_MAX), 5, &out, why, sizeof(why)), -EBADMSG);
	assert_string_equal(why, "packet 4 where packet 5 was due");
}

static void the_header_is_checked_before_the_body_is_there(void **state)
{
	struct packet p = sample(PACKET_DATA);
	uint8_t good[SIZE], bad[SIZE];

	(void)state;
	wire_encode(&p, WIRE_VERSION_MAX, 0, good);
#define BREAK(offset, value) (memcpy(bad, good, SIZE), bad[offset] = (value), wire_length(bad, WIRE_VERSION_MAX))
	assert_int_equal(wire_length(good, WIRE_VERSION_MAX), WIRE_HEADER + 32);
	assert_int_equal(BREAK(0, 0), -EBADMSG);
	assert_int_equal(BREAK(5, WIRE_VERSION_MAX + 1), -EPROTONOSUPPORT);
	assert_int_equal(BREAK(5, 0), -EPROTONOSUPPORT);
	assert_int_equal(BREAK(7, 99), -EPROTONOSUPPORT);
	assert_int_equal(BREAK(11, 31), -EMSGSIZE);
	assert_int_equal(BREAK(12, 1), -EMSGSIZE);
	assert_int_equal(BREAK(7, PACKET_PING), -EMSGSIZE);
	p = sample(PACKET_PING);
	wire_encode(&p, WIRE_VERSION_MAX, 0, good);
	assert_int_equal(BREAK(15, 1), -EMSGSIZE);	/* a payload where there is none */
	p = sample(PACKET_INTRO); /* it decides on the version, so it has one of its own, for ever */
	wire_encode(&p, WIRE_VERSION_MAX, 0, good);
	assert_int_equal(good[5], 1);
	assert_int_equal(BREAK(5, 2), -EPROTONOSUPPORT);
}

/* Of a pair whose versions differ both write and read the one that they agreed on, and no other. */
static void a_packet_is_written_and_read_in_the_version_that_is_spoken(void **state)
{
	uint8_t bytes[SIZE];
	struct packet p, out;

	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		bool for_ever = all[i] == PACKET_INTRO || all[i] == PACKET_REFUSE;

		p = sample(all[i]);
		wire_encode(&p, 0x103, 0, bytes);
		assert_int_equal(bytes[4], for_ever ? 0 : 1);
		assert_int_equal(bytes[5], for_ever ? 1 : 3);
		assert_int_equal(wire_decode(bytes, wire_length(bytes, 0x103), 0, &out, NULL, 0), 0);
		assert_int_equal(wire_length(bytes, 0x104) > 0, for_ever);
		assert_int_equal(wire_length(bytes, WIRE_VERSION_MAX) > 0, for_ever);
		assert_int_equal(wire_length(bytes, 0) > 0, for_ever); /* nobody here knows 0x103 */
		wire_encode(&p, WIRE_VERSION_MAX, 0, bytes);
		assert_true(wire_length(bytes, 0) > 0);
	}
}

/* Re-seals changed bytes: what is left to find is the content. */
static int sealed_as(uint8_t *bytes, uint16_t version, struct packet *out)
{
	size_t length = wire_length(bytes, version);
	uint32_t crc = crc32c_more(crc32c(bytes, 28), bytes + WIRE_HEADER, length - WIRE_HEADER);

	for (int i = 0; i < 4; i++)
		bytes[28 + i] = crc >> (24 - 8 * i);
	return wire_decode(bytes, wire_length(bytes, version), 0, out, NULL, 0);
}

static int sealed(uint8_t *bytes, struct packet *out)
{
	return sealed_as(bytes, WIRE_VERSION_MAX, out);
}

/* What came with a later version is nothing that may come while an earlier one is spoken. */
static void a_packet_of_a_later_version_is_unknown_in_an_earlier_one(void **state)
{
	struct packet p = sample(PACKET_RESTARTING), out;
	uint8_t bytes[SIZE];

	(void)state;
	for (uint16_t version = 5; version <= 7; version++) {
		wire_encode(&p, version, 0, bytes);
		assert_int_equal(wire_decode(bytes, wire_length(bytes, version), 0, &out, NULL, 0), version < 6 ? -EPROTONOSUPPORT : 0);
	}
	assert_int_equal(out.restarting.within_ms, 3000);
	p = sample(PACKET_DISCARD);
	p.discard.secure = 0;
	for (uint16_t version = 5; version <= 7; version++) {
		wire_encode(&p, version, 0, bytes);
		assert_int_equal(wire_decode(bytes, wire_length(bytes, version), 0, &out, NULL, 0), version < 7 ? -EPROTONOSUPPORT : 0);
	}
}

/* An older program takes for reserved what says of our disk that it discards: it is not told. */
static void discards_are_offered_from_version_7_on(void **state)
{
	struct packet p = sample(PACKET_HELLO), out;
	uint8_t bytes[SIZE];

	(void)state;
	for (uint16_t version = 5; version <= 7; version++) {
		wire_encode(&p, version, 0, bytes);
		assert_int_equal(wire_decode(bytes, wire_length(bytes, version), 0, &out, NULL, 0), 0);
		assert_int_equal(out.hello.offer.discard, version >= 7);
		assert_int_equal(out.hello.offer.discard_unit, version >= 7 ? 12 : 0);
		assert_int_equal(out.hello.offer.queues, 1);
		assert_int_equal(bytes[WIRE_HEADER + 88 + 17], version >= 7 ? 12 : 0);
	}
	wire_encode(&p, 6, 0, bytes);
	bytes[WIRE_HEADER + 88 + 17] = 12;
	assert_int_equal(sealed_as(bytes, 6, &out), -EINVAL);
}

static void secure_discards_are_offered_and_asked_for_from_version_8_on(void **state)
{
	struct packet hello = sample(PACKET_HELLO), discard = sample(PACKET_DISCARD), answer = sample(PACKET_NOT_ERASED), out;
	uint8_t bytes[SIZE];

	(void)state;
	for (uint16_t version = 7; version <= 8; version++) {
		wire_encode(&hello, version, 0, bytes);
		assert_int_equal(wire_decode(bytes, wire_length(bytes, version), 0, &out, NULL, 0), 0);
		assert_int_equal(out.hello.offer.discard_unit, 12);
		assert_int_equal(out.hello.offer.discard_secure, version >= 8);
		assert_int_equal(bytes[WIRE_HEADER + 88 + 18], version >= 8);
		wire_encode(&discard, version, 0, bytes);
		assert_int_equal(wire_decode(bytes, wire_length(bytes, version), 0, &out, NULL, 0), version >= 8 ? 0 : -EINVAL);
		wire_encode(&answer, version, 0, bytes);
		assert_int_equal(wire_decode(bytes, wire_length(bytes, version), 0, &out, NULL, 0), version >= 8 ? 0 : -EPROTONOSUPPORT);
	}
	wire_encode(&hello, 7, 0, bytes);
	bytes[WIRE_HEADER + 88 + 18] = 1;
	assert_int_equal(sealed_as(bytes, 7, &out), -EINVAL);
}

static void a_version_that_does_not_know_a_packet_refuses_it(void **state)
{
	static const enum packet_type since_7[] = { PACKET_RESIZE, PACKET_RESIZED, PACKET_RESIZE_REFUSE };
	uint8_t bytes[SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(since_7) / sizeof(since_7[0]); i++) {
		struct packet p = sample(since_7[i]);

		wire_encode(&p, 6, 1, bytes);
		assert_int_equal(wire_length(bytes, 6), -EPROTONOSUPPORT);
		wire_encode(&p, 7, 1, bytes);
		assert_true(wire_length(bytes, 7) > 0);
	}
}

/* One impossible value after the other in an otherwise valid packet. */
#define IMPOSSIBLE(type, change, words) do { \
	struct packet p = sample(PACKET_##type), out; \
	char why[200] = ""; \
	change; \
	assert_int_equal(through(&p, &out, why, sizeof(why)), -EINVAL); \
	if (!strstr(why, words)) \
		fail_msg("'%s' instead of '%s'", why, words); \
} while (0)
#define POSSIBLE(type, change) do { \
	struct packet p = sample(PACKET_##type), out; \
	change; \
	assert_int_equal(through(&p, &out, NULL, 0), 0); \
} while (0)

static void impossible_introductions_are_refused(void **state)
{
	(void)state;
	IMPOSSIBLE(INTRO, p.intro.version_min = 0, "versions");
	IMPOSSIBLE(INTRO, p.intro.version_min = 4, "versions");
	IMPOSSIBLE(INTRO, p.intro.resource[0] = 0, "empty");
	IMPOSSIBLE(AUTH, p.auth.mac_length = 65, "too long");
	IMPOSSIBLE(AUTH, p.auth.mac_length = 2, "not zero");
	POSSIBLE(AUTH, p.auth = (struct packet_auth) { .mac_length = 0 });
}

static void impossible_hellos_are_refused(void **state)
{
	(void)state;
	IMPOSSIBLE(RESTARTING, p.restarting.within_ms = 0, "within which");
	IMPOSSIBLE(RESTARTING, p.restarting.within_ms = WIRE_RESTART_MAX_MS + 1, "within which");
	POSSIBLE(RESTARTING, p.restarting.within_ms = WIRE_RESTART_MAX_MS);
	IMPOSSIBLE(HELLO, p.hello.token = 3, "token");
	IMPOSSIBLE(HELLO, p.hello.flags = SB_FLAGS_KNOWN + 1, "flags");
	IMPOSSIBLE(HELLO, p.hello.base = 8, "base");
	IMPOSSIBLE(HELLO, p.hello.flags |= SB_JUST_CREATED, "agreed");
	IMPOSSIBLE(HELLO, p.hello.agreed.sectors = 0, "agreed");
	IMPOSSIBLE(HELLO, p.hello.window_bytes = (1 << 20) - 1, "window");
	IMPOSSIBLE(HELLO, p.hello.window_bytes = (1 << 30) + 1, "window");
	IMPOSSIBLE(HELLO, p.hello.window_requests = 0, "window");
	IMPOSSIBLE(HELLO, p.hello.window_requests = 65537, "window");
	IMPOSSIBLE(HELLO, p.hello.offer.block_size = 1024, "block size");
	IMPOSSIBLE(HELLO, p.hello.offer.sectors = 2047, "size of the disk");
	IMPOSSIBLE(HELLO, p.hello.offer.sectors = (1ull << 41) + 8, "size of the disk");
	IMPOSSIBLE(HELLO, p.hello.offer.max_segments = 0, "segments");
	IMPOSSIBLE(HELLO, p.hello.offer.max_segments = 4097, "segments");
	IMPOSSIBLE(HELLO, p.hello.offer.ring_order = 9, "ring order");
	IMPOSSIBLE(HELLO, p.hello.offer.queues = 0, "queues");
	IMPOSSIBLE(HELLO, p.hello.offer.discard = 2, "discard");
	IMPOSSIBLE(HELLO, p.hello.offer.discard_secure = 2, "discard");
	IMPOSSIBLE(HELLO, p.hello.offer.discard_unit = 8, "discard");
	POSSIBLE(HELLO, p.hello.offer.discard_unit = 9);
	POSSIBLE(HELLO, p.hello.offer.discard_unit = 22);
	IMPOSSIBLE(HELLO, p.hello.offer.discard_unit = 23, "discard");
	POSSIBLE(HELLO, p.hello.offer.discard_unit = 0);
	IMPOSSIBLE(HELLO, p.hello.fresh = 0, "fresh");
	IMPOSSIBLE(HELLO, p.hello.diskless = 2, "diskless");
	IMPOSSIBLE(HELLO, p.hello.primary = 2, "primary");
	IMPOSSIBLE(HELLO, p.hello.discard = 2, "discard");
	IMPOSSIBLE(HELLO, p.hello.always_asbp = 2, "always_asbp");
	IMPOSSIBLE(HELLO, p.hello.after_sb_0pri = AFTER_SB_0PRI_COUNT, "after-sb");
	IMPOSSIBLE(HELLO, p.hello.after_sb_1pri = AFTER_SB_1PRI_COUNT, "after-sb");
	IMPOSSIBLE(HELLO, p.hello.after_sb_2pri = AFTER_SB_2PRI_COUNT, "after-sb");
	POSSIBLE(HELLO,
		 (p.hello.flags |= SB_JUST_CREATED, p.hello.agreed = (struct features) { .sectors = 0 }));
}

static void impossible_writes_are_refused(void **state)
{
	(void)state;
	IMPOSSIBLE(DATA, p.data.sectors = 0, "length");
	IMPOSSIBLE(DATA, p.data.sectors = 2049, "length");
	IMPOSSIBLE(DATA, p.data.sectors = 9, "payload");
	IMPOSSIBLE(DATA, p.payload = 0, "payload");
	IMPOSSIBLE(DATA, p.data.sector = UINT64_MAX - 3, "beyond");
	IMPOSSIBLE(DATA, p.data.sector = (1ull << 41) - 7, "beyond");
	IMPOSSIBLE(DATA, p.data.preflush = 2, "preflush");
	IMPOSSIBLE(DISCARD, p.discard.sectors = 0, "length");
	IMPOSSIBLE(DISCARD, p.discard.sectors = 8193, "length");
	IMPOSSIBLE(DISCARD, p.discard.sector = (1ull << 41) - 8191, "beyond");
	IMPOSSIBLE(DISCARD, p.discard.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(DISCARD, p.discard.secure = 2, "secure");
	POSSIBLE(DISCARD, p.discard.sector = (1ull << 41) - 8192);
	POSSIBLE(DISCARD, p.discard.sectors = 1);
	POSSIBLE(DATA, p.data.sector = (1ull << 41) - 8);
	POSSIBLE(DATA, (p.data.sectors = 2048, p.payload = 1 << 20));
}

static void impossible_resyncs_are_refused(void **state)
{
	(void)state;
	IMPOSSIBLE(DATA, p.data.copy = 2, "copy");
	IMPOSSIBLE(READ, p.read.sectors = 0, "length");
	IMPOSSIBLE(READ, p.read.sectors = 2049, "length");
	IMPOSSIBLE(READ, p.read.sector = 1ull << 41, "beyond");
	IMPOSSIBLE(READ, p.read.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(ZEROES, p.read.sectors = 0, "length");
	IMPOSSIBLE(ZEROES, p.read.sector = (1ull << 41) - 7, "beyond");
	IMPOSSIBLE(READ_DATA, p.payload = 0, "sectors");
	IMPOSSIBLE(READ_DATA, p.payload = 513, "sectors");
	IMPOSSIBLE(BITMAP, p.payload = 2048, "page");
	IMPOSSIBLE(BITMAP, p.bitmap.page = 1u << 31, "beyond");
	IMPOSSIBLE(BITMAP_END, p.bitmap_end.full_from = (1ull << 41) + 1, "beyond");
	IMPOSSIBLE(IN_SYNC, p.in_sync.sectors = 0, "length");
	IMPOSSIBLE(IN_SYNC, p.in_sync.sector = 1ull << 41, "beyond");
	IMPOSSIBLE(OUT_OF_SYNC, p.in_sync.sectors = 0, "length");
	IMPOSSIBLE(CSUM, p.csum.sectors = 2049, "length");
	IMPOSSIBLE(CSUM, p.csum.length = 0, "digest");
	IMPOSSIBLE(CSUM, p.csum.length = CSUM_MAX + 1, "digest");
	IMPOSSIBLE(CSUM, p.csum.digest[2] = 1, "digest");
	IMPOSSIBLE(PAUSE, p.pause.paused = 2, "paused");
	IMPOSSIBLE(RESIZE, p.resize.sectors = 0, "size of the disk");
	IMPOSSIBLE(RESIZED, p.resize.sectors = (1ull << 41) + 1, "size of the disk");
	IMPOSSIBLE(RESIZE, p.resize.clean = 2, "clean");
	IMPOSSIBLE(SYNC_END, p.used.epoch = UINT64_MAX, "epoch");
	POSSIBLE(BITMAP_END, p.bitmap_end.full_from = UINT64_MAX);
	POSSIBLE(BITMAP, p.bitmap.page = 0);
}

static void impossible_tokens_are_refused(void **state)
{
	(void)state;
	IMPOSSIBLE(GIVE, p.give.base = 10, "base");
	IMPOSSIBLE(GIVE, p.give.ring = 2, "ring");
	IMPOSSIBLE(GIVE, p.give.epoch = 1ull << 63, "epoch");
	IMPOSSIBLE(USED, p.used.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(TAKEN, p.used.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(LEAVING, p.used.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(DATA, p.data.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(FLUSH, p.ack.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(HELLO, p.hello.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(PAIR, p.pair.epoch = UINT64_MAX, "epoch");
	IMPOSSIBLE(WANT, p.want.back = 2, "back");
	IMPOSSIBLE(GRANT, p.grant.id = 0, "reservation");
	IMPOSSIBLE(GRANT, p.grant.agreed.block_size = 0, "block size");
	IMPOSSIBLE(COMMIT, p.reservation.id = 0, "reservation");
	IMPOSSIBLE(HOT, p.hot.reservation = 0, "reservation");
	IMPOSSIBLE(HOT, p.payload = 0, "list of extents");
	IMPOSSIBLE(HOT, p.payload = 516, "list of extents");
	IMPOSSIBLE(HOT, p.payload = 20992, "list of extents");
	POSSIBLE(HOT, p.payload = 20480);
	IMPOSSIBLE(PAIR, p.pair.generation = 0, "generation");
	IMPOSSIBLE(PAIR, p.pair.agreed.block_size = 0, "block size");
}

static void reserved_bytes_must_be_zero(void **state)
{
	struct packet p = sample(PACKET_DATA), out;
	uint8_t bytes[SIZE];

	(void)state;
	wire_encode(&p, WIRE_VERSION_MAX, 0, bytes);
	bytes[WIRE_HEADER + 31] = 1;
	assert_int_equal(sealed(bytes, &out), -EINVAL);
	wire_encode(&p, WIRE_VERSION_MAX, 0, bytes);
	bytes[24] = 1;
	assert_int_equal(sealed(bytes, &out), -EINVAL);
	p = sample(PACKET_HELLO);
	wire_encode(&p, WIRE_VERSION_MAX, 0, bytes);
	bytes[WIRE_HEADER + 88 + 23] = 1;
	assert_int_equal(sealed(bytes, &out), -EINVAL);
	wire_encode(&p, WIRE_VERSION_MAX, 0, bytes);
	assert_int_equal(sealed(bytes, &out), 0);
}

static int text_through(const char *bytes, size_t length)
{
	struct packet p = { .type = PACKET_REFUSE }, out;
	uint8_t packet[SIZE];

	wire_encode(&p, WIRE_VERSION_MAX, 0, packet);
	memcpy(packet + WIRE_HEADER, bytes, length);
	return sealed(packet, &out);
}

static void texts_are_utf8_without_control_characters(void **state)
{
	char full[WIRE_TEXT];

	(void)state;
	memset(full, 'x', sizeof(full));
	assert_int_equal(text_through("plain", 5), 0);
	assert_int_equal(text_through("\xe2\x82\xac \xf0\x9f\x98\x80", 8), 0);
	assert_int_equal(text_through(full, sizeof(full)), 0);
	assert_int_equal(text_through("\x1b[2J", 4), -EINVAL);
	assert_int_equal(text_through("a\nb", 3), -EINVAL);
	assert_int_equal(text_through("\x7f", 1), -EINVAL);
	assert_int_equal(text_through("\xc2\x9b", 2), -EINVAL);	/* C1 control */
	assert_int_equal(text_through("\xff", 1), -EINVAL);
	assert_int_equal(text_through("\xc0\xaf", 2), -EINVAL);	/* overlong */
	assert_int_equal(text_through("\xed\xa0\x80", 3), -EINVAL);	/* surrogate */
	assert_int_equal(text_through("\xe2\x82", 2), -EINVAL);	/* cut off */
	assert_int_equal(text_through("\xf4\x90\x80\x80", 4), -EINVAL);	/* beyond Unicode */
	assert_int_equal(text_through("a\0b", 3), -EINVAL);	/* something after the end */
}

static void what_is_sent_is_always_valid_text(void **state)
{
	struct packet p = { .type = PACKET_REFUSE }, out;

	(void)state;
	snprintf(p.text.text, sizeof(p.text.text), "bell \a, cut \xe2\x82");
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_string_equal(out.text.text, "bell ?, cut ??");
}

static void too_long_a_text_is_cut_between_characters(void **state)
{
	struct packet p = { .type = PACKET_INTRO,
			    .intro = { .version_min = 1, .version_max = 1, .resource = "r" } },
		      out;

	(void)state;
	memset(p.intro.host, 'h', WIRE_HOST - 1);
	/* the first half of a character in the last byte */
	memcpy(p.intro.host + WIRE_HOST - 1, "\xc3", 2);
	assert_int_equal(through(&p, &out, NULL, 0), 0);
	assert_int_equal(strlen(out.intro.host), WIRE_HOST);
	assert_int_equal(out.intro.host[WIRE_HOST - 1], '?');
}

static void every_packet_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(packet_name(PACKET_WANT_REFUSE), "WANT_REFUSE");
	assert_string_equal(packet_name((enum packet_type)99), "unknown packet");
}

static void the_document_has_the_fields_of_the_code(void **state)
{
	char *text = document_read("docs/PROTOCOL.md"), heading[80];

	(void)state;
	document_compare(text, "### Header", wire_header_fields());
	for (size_t i = 0; i < ALL; i++) {
		snprintf(heading, sizeof(heading), "### %s", packet_name(all[i]));
		document_compare(text, heading, wire_fields(all[i]));
	}
	free(text);
}

static void the_document_describes_the_shared_structures(void **state)
{
	static const struct layout_field generations[] = {
		{ "current", 0, 8 },	{ "bitmap", 8, 8 }, { "history_0", 16, 8 },
		{ "history_1", 24, 8 }, { NULL, 0, 0 },
	};
#define F(name) { #name, offsetof(struct be_features, name), sizeof(((struct be_features *)0)->name) }
	static const struct layout_field features[] = {
		F(sectors), F(block_size), F(max_segments), F(ring_order), F(queues), F(discard), F(discard_unit), F(discard_secure), F(zero),
		{ NULL, 0, 0 },
	};
	char *text = document_read("docs/PROTOCOL.md");

	(void)state;
	assert_int_equal(offsetof(struct be_generations, bitmap), 8);
	assert_int_equal(offsetof(struct be_generations, history_1), 24);
	document_compare(text, "### generations", generations);
	document_compare(text, "### features", features);
	free(text);
}

static void the_document_lists_every_packet(void **state)
{
	static const struct { unsigned int number; const char *name, *what; size_t body; } list[] = {
#define X(name, number, member, payload, what) { number, #name, what, 0 },
		PACKETS(X)
#undef X
	};
	char *text = document_read("docs/PROTOCOL.md"), row[300];
	uint8_t bytes[SIZE];
	struct packet p;

	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		p = sample(all[i]);
		snprintf(row, sizeof(row), "\n| %u | %s | %zu | %s |\n", list[i].number, list[i].name,
			 wire_encode(&p, WIRE_VERSION_MAX, 0, bytes) - WIRE_HEADER, list[i].what);
		if (!strstr(text, row))
			fail_msg("the document lacks the row %s", row);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checksum_has_its_check_value),
		cmocka_unit_test(every_packet_survives),
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(bytes_are_big_endian_at_their_place),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(the_sequence_is_checked),
		cmocka_unit_test(the_header_is_checked_before_the_body_is_there),
		cmocka_unit_test(a_packet_is_written_and_read_in_the_version_that_is_spoken),
		cmocka_unit_test(a_packet_of_a_later_version_is_unknown_in_an_earlier_one),
		cmocka_unit_test(discards_are_offered_from_version_7_on),
		cmocka_unit_test(secure_discards_are_offered_and_asked_for_from_version_8_on),
		cmocka_unit_test(a_version_that_does_not_know_a_packet_refuses_it),
		cmocka_unit_test(impossible_introductions_are_refused),
		cmocka_unit_test(impossible_hellos_are_refused),
		cmocka_unit_test(impossible_writes_are_refused),
		cmocka_unit_test(impossible_resyncs_are_refused),
		cmocka_unit_test(impossible_tokens_are_refused),
		cmocka_unit_test(reserved_bytes_must_be_zero),
		cmocka_unit_test(texts_are_utf8_without_control_characters),
		cmocka_unit_test(what_is_sent_is_always_valid_text),
		cmocka_unit_test(too_long_a_text_is_cut_between_characters),
		cmocka_unit_test(every_packet_has_a_name),
		cmocka_unit_test(the_document_has_the_fields_of_the_code),
		cmocka_unit_test(the_document_describes_the_shared_structures),
		cmocka_unit_test(the_document_lists_every_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
