/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c: packets to bytes and back.  Pure; docs/PROTOCOL.md is normative.
 *
 * Each body is one list of fields, from which come its structure on the wire, its encoder, its decoder and
 * the table that a test compares with the document. What a list cannot say (ranges, relations between fields)
 * is in check_<member>().  wire_decode() is the only way in for bytes from outside (P4): it looks at the
 * header first, then at the checksum, then at every field, and only then is the packet the caller's.
 */
#include "backend/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backend/crc32c.h"
#include "backend/layout.h"

#define WINDOW_BYTES_MIN (REQUEST_SECTORS_MAX * SECTOR_SIZE)	/* one maximal write */
#define WINDOW_BYTES_MAX (1u << 30)
#define WINDOW_REQUESTS_MAX 65536u
#define EPOCH_MAX (UINT64_MAX / 2)

struct wire_header {
	struct be32 magic;
	struct be16 version, type;
	struct be32 body_length, payload_length;
	struct be64 sequence;
	struct be32 zero, crc;
};
static_assert(sizeof(struct wire_header) == WIRE_HEADER, "header");
static_assert(offsetof(struct wire_header, crc) == 28, "the checksum is the header's last field");

/*
 * F(kind, name, size in bytes).  Kinds: u8 u16 u32 u64 integers, bytes, text (NUL padded), gen, features,
 * zero (reserved: sent as zero, checked).
 */
#define BODY_none(F)
#define BODY_intro(F)			\
	F(u16, version_min, 2)		\
	F(u16, version_max, 2)		\
	F(bytes, nonce, WIRE_NONCE)	\
	F(text, resource, METADATA_NAME_MAX) \
	F(text, host, WIRE_HOST)	\
	F(text, alg, 32)
#define BODY_auth(F)			\
	F(u16, mac_length, 2)		\
	F(bytes, mac, WIRE_MAC_MAX)
#define BODY_text(F)			\
	F(text, text, WIRE_TEXT)
#define BODY_ping(F)			\
	F(u64, cookie, 8)
#define BODY_hello(F)			\
	F(u8, token, 1)			\
	F(zero, zero, 3)		\
	F(u32, flags, 4)		\
	F(u64, epoch, 8)		\
	F(u64, base, 8)			\
	F(u64, reservation, 8)		\
	F(gen, gen, 32)			\
	F(features, agreed, 24)		\
	F(features, offer, 24)		\
	F(bytes, device_uuid, 16)	\
	F(u32, window_bytes, 4)		\
	F(u32, window_requests, 4)
#define BODY_data(F)			\
	F(u64, id, 8)			\
	F(u64, epoch, 8)		\
	F(u64, sector, 8)		\
	F(u32, sectors, 4)		\
	F(u8, preflush, 1)		\
	F(zero, zero, 3)
#define BODY_ack(F)			\
	F(u64, id, 8)			\
	F(u64, epoch, 8)
#define BODY_want(F)			\
	F(u64, nonce, 8)		\
	F(text, who, WIRE_TEXT)		\
	F(u8, back, 1)			\
	F(zero, zero, 7)
#define BODY_refuse(F)			\
	F(u64, nonce, 8)		\
	F(text, why, WIRE_TEXT)
#define BODY_give(F)			\
	F(u64, epoch, 8)		\
	F(u64, base, 8)			\
	F(u64, reservation, 8)		\
	F(gen, gen, 32)			\
	F(u8, ring, 1)			\
	F(zero, zero, 7)
#define BODY_used(F)			\
	F(u64, epoch, 8)
#define BODY_pair(F)			\
	F(u64, generation, 8)		\
	F(u64, epoch, 8)		\
	F(features, agreed, 24)
#define BODY_reserve(F)			\
	F(u64, nonce, 8)		\
	F(bytes, uuid, 16)		\
	F(text, who, WIRE_TEXT)
#define BODY_grant(F)			\
	F(u64, nonce, 8)		\
	F(u64, id, 8)			\
	F(gen, gen, 32)			\
	F(features, agreed, 24)
#define BODY_reservation(F)		\
	F(u64, id, 8)

#define FIELD_u8(name, size) uint8_t name;
#define FIELD_u16(name, size) struct be16 name;
#define FIELD_u32(name, size) struct be32 name;
#define FIELD_u64(name, size) struct be64 name;
#define FIELD_bytes(name, size) uint8_t name[size];
#define FIELD_text(name, size) char name[size];
#define FIELD_gen(name, size) struct be_generations name;
#define FIELD_features(name, size) struct be_features name;
#define FIELD_zero(name, size) uint8_t name[size];
#define FIELD(kind, name, size) FIELD_##kind(name, size)

struct wire_none { BODY_none(FIELD) };
static_assert(sizeof(struct wire_none) == 0, "none");
struct wire_intro { BODY_intro(FIELD) };
static_assert(sizeof(struct wire_intro) == 260 && offsetof(struct wire_intro, resource) == 36, "intro");
struct wire_auth { BODY_auth(FIELD) };
static_assert(sizeof(struct wire_auth) == 66, "auth");
struct wire_text { BODY_text(FIELD) };
static_assert(sizeof(struct wire_text) == 240, "text");
struct wire_ping { BODY_ping(FIELD) };
static_assert(sizeof(struct wire_ping) == 8, "ping");
struct wire_hello { BODY_hello(FIELD) };
static_assert(sizeof(struct wire_hello) == 136 && offsetof(struct wire_hello, gen) == 32, "hello");
struct wire_data { BODY_data(FIELD) };
static_assert(sizeof(struct wire_data) == 32 && offsetof(struct wire_data, sectors) == 24, "data");
struct wire_ack { BODY_ack(FIELD) };
static_assert(sizeof(struct wire_ack) == 16, "ack");
struct wire_want { BODY_want(FIELD) };
static_assert(sizeof(struct wire_want) == 256, "want");
struct wire_refuse { BODY_refuse(FIELD) };
static_assert(sizeof(struct wire_refuse) == 248, "refuse");
struct wire_give { BODY_give(FIELD) };
static_assert(sizeof(struct wire_give) == 64 && offsetof(struct wire_give, ring) == 56, "give");
struct wire_used { BODY_used(FIELD) };
static_assert(sizeof(struct wire_used) == 8, "used");
struct wire_pair { BODY_pair(FIELD) };
static_assert(sizeof(struct wire_pair) == 40, "pair");
struct wire_reserve { BODY_reserve(FIELD) };
static_assert(sizeof(struct wire_reserve) == 264, "reserve");
struct wire_grant { BODY_grant(FIELD) };
static_assert(sizeof(struct wire_grant) == 72 && offsetof(struct wire_grant, agreed) == 48, "grant");
struct wire_reservation { BODY_reservation(FIELD) };
static_assert(sizeof(struct wire_reservation) == 8, "reservation");

/* encode_<member>(packet, bytes): the body. */
#define PUT_u8(name) w->name = b->name;
#define PUT_u16(name) w->name = put_be16(b->name);
#define PUT_u32(name) w->name = put_be32(b->name);
#define PUT_u64(name) w->name = put_be64(b->name);
#define PUT_bytes(name) memcpy(w->name, b->name, sizeof(w->name));
#define PUT_text(name) put_text(w->name, sizeof(w->name), b->name);
#define PUT_gen(name) w->name = put_generations(&b->name);
#define PUT_features(name) w->name = put_features(&b->name);
#define PUT_zero(name) memset(w->name, 0, sizeof(w->name));
#define PUT(kind, name, size) PUT_##kind(name)

/* decode_<member>(bytes, packet): NULL, or what cannot be represented in the packet. */
#define GET_u8(name) b->name = w->name;
#define GET_u16(name) b->name = get_be16(w->name);
#define GET_u32(name) b->name = get_be32(w->name);
#define GET_u64(name) b->name = get_be64(w->name);
#define GET_bytes(name) memcpy(b->name, w->name, sizeof(w->name));
#define GET_text(name) \
	if (!text_valid(w->name, sizeof(w->name))) \
		return "the text '" #name "' is malformed"; \
	get_text(b->name, w->name, sizeof(w->name));
#define GET_gen(name) b->name = get_generations(&w->name);
#define GET_features(name) \
	b->name = get_features(&w->name); \
	if (!all_zero(w->name.zero, sizeof(w->name.zero))) \
		return "reserved bytes of '" #name "' are not zero";
#define GET_zero(name) if (!all_zero(w->name, sizeof(w->name))) return "reserved bytes are not zero";
#define GET(kind, name, size) GET_##kind(name)

#define CODEC(member) \
static void encode_##member(const struct packet_##member *b, struct wire_##member *w) \
{ \
	(void)b; \
	(void)w; \
	BODY_##member(PUT) \
} \
static const char *decode_##member(const struct wire_##member *w, struct packet_##member *b) \
{ \
	(void)b; \
	(void)w; \
	BODY_##member(GET) \
	return NULL; \
}
CODEC(none) CODEC(intro) CODEC(auth) CODEC(text) CODEC(ping) CODEC(hello) CODEC(data) CODEC(ack) CODEC(want)
CODEC(refuse) CODEC(give) CODEC(used) CODEC(pair) CODEC(reserve) CODEC(grant) CODEC(reservation)

/* check_<member>(body): NULL, or which value is impossible.  Whether a possible value may come now is
 * replicate.c's business. */
static const char *check_none(const struct packet_none *b) { (void)b; return NULL; }
static const char *check_text(const struct packet_text *b) { (void)b; return NULL; }
static const char *check_ping(const struct packet_ping *b) { (void)b; return NULL; }
static const char *check_refuse(const struct packet_refuse *b) { (void)b; return NULL; }
static const char *check_reserve(const struct packet_reserve *b) { (void)b; return NULL; }

/* Epochs grow by one: one that could overflow is nobody's. */
static const char *check_epoch(uint64_t epoch)
{
	return epoch > EPOCH_MAX ? "the epoch is impossible" : NULL;
}

static const char *check_ack(const struct packet_ack *b)
{
	return check_epoch(b->epoch);
}

static const char *check_used(const struct packet_used *b)
{
	return check_epoch(b->epoch);
}

static const char *check_intro(const struct packet_intro *b)
{
	if (!b->version_min || b->version_min > b->version_max)
		return "the range of versions is empty";
	return b->resource[0] ? NULL : "the name of the resource is empty";
}

static const char *check_auth(const struct packet_auth *b)
{
	if (b->mac_length > WIRE_MAC_MAX)
		return "the proof is too long";
	return all_zero(b->mac + b->mac_length, WIRE_MAC_MAX - b->mac_length)
		       ? NULL
		       : "bytes after the proof are not zero";
}

static const char *check_hello(const struct packet_hello *b)
{
	if (b->token > TOKEN_GIVEN)
		return "the token is in an unknown state";
	if (b->flags & ~SB_FLAGS_KNOWN)
		return "unknown flags";
	if (check_epoch(b->epoch))
		return check_epoch(b->epoch);
	if (b->base > b->epoch)
		return "the base is above the epoch";
	if (b->flags & SB_JUST_CREATED ? !features_zero(&b->agreed) : !!features_check(&b->agreed, NULL))
		return "the agreed features do not fit the flags";
	if (b->window_bytes < WINDOW_BYTES_MIN || b->window_bytes > WINDOW_BYTES_MAX)
		return "the receive window is impossible";
	if (!b->window_requests || b->window_requests > WINDOW_REQUESTS_MAX)
		return "the receive window's number of requests is impossible";
	return features_check(&b->offer, NULL);
}

static const char *check_data(const struct packet_data *b)
{
	if (!b->sectors || b->sectors > REQUEST_SECTORS_MAX)
		return "the length of the write is impossible";
	if (b->sector >= LAYOUT_SECTORS_MAX || b->sector + b->sectors > LAYOUT_SECTORS_MAX)
		return "the write is beyond any disk";
	return b->preflush > 1 ? "preflush is neither 0 nor 1" : check_epoch(b->epoch);
}

static const char *check_want(const struct packet_want *b)
{
	return b->back > 1 ? "back is neither 0 nor 1" : NULL;
}

static const char *check_give(const struct packet_give *b)
{
	if (b->base > b->epoch)
		return "the base is above the epoch";
	return b->ring > 1 ? "ring is neither 0 nor 1" : check_epoch(b->epoch);
}

static const char *check_grant(const struct packet_grant *b)
{
	return b->id ? features_check(&b->agreed, NULL) : "the reservation is 0";
}

static const char *check_reservation(const struct packet_reservation *b)
{
	return b->id ? NULL : "the reservation is 0";
}

static const char *check_pair(const struct packet_pair *b)
{
	if (check_epoch(b->epoch))
		return check_epoch(b->epoch);
	return b->generation ? features_check(&b->agreed, NULL) : "the generation is 0";
}

/* Size of the body, or -EPROTONOSUPPORT. */
static int body_length(unsigned int type)
{
	switch (type) {
#define X(name, number, member, payload, what) case number: return sizeof(struct wire_##member);
	PACKETS(X)
#undef X
	default: return -EPROTONOSUPPORT;
	}
}

static bool payload_allowed(unsigned int type)
{
	switch (type) {
#define X(name, number, member, payload, what) case number: return payload;
	PACKETS(X)
#undef X
	default: return false;
	}
}

#define X(name, number, member, payload, what) \
	static_assert(sizeof(struct wire_##member) <= WIRE_BODY_MAX, #name);
PACKETS(X)
#undef X

/* The checksum covers the header up to the checksum itself, then the body. */
static uint32_t checksum(const uint8_t *packet, size_t body)
{
	return crc32c_more(crc32c(packet, offsetof(struct wire_header, crc)), packet + WIRE_HEADER, body);
}

static void encode_body(const struct packet *p, void *body)
{
	switch (p->type) {
#define X(name, number, member, payload, what) case PACKET_##name: encode_##member(&p->member, body); break;
	PACKETS(X)
#undef X
	}
}

/* The version in which packets of this type are written. A partner of another version can read what decides on it. */
static uint16_t version_of(unsigned int type)
{
	return type == PACKET_INTRO || type == PACKET_REFUSE ? WIRE_VERSION_INTRO : WIRE_VERSION_MAX;
}

size_t wire_encode(const struct packet *p, uint64_t sequence, uint8_t *out)
{
	int body = body_length(p->type);
	struct wire_header h = {
		.magic = put_be32(WIRE_MAGIC),
		.version = put_be16(version_of(p->type)),
		.type = put_be16(p->type),
		.body_length = put_be32(body),
		.payload_length = put_be32(p->payload),
		.sequence = put_be64(sequence),
	};

	assert(body >= 0 && (!p->payload || payload_allowed(p->type)));
	memcpy(out, &h, sizeof(h));
	encode_body(p, out + WIRE_HEADER);
	h.crc = put_be32(checksum(out, body));
	memcpy(out, &h, sizeof(h));
	return WIRE_HEADER + body;
}

int wire_length(const uint8_t *in)
{
	struct wire_header h;
	uint32_t payload;
	int body;

	memcpy(&h, in, sizeof(h));
	if (get_be32(h.magic) != WIRE_MAGIC)
		return -EBADMSG;
	body = body_length(get_be16(h.type));
	if (body < 0 || get_be16(h.version) != version_of(get_be16(h.type)))
		return -EPROTONOSUPPORT;
	payload = get_be32(h.payload_length);
	if (get_be32(h.body_length) != (uint32_t)body || payload > REQUEST_SECTORS_MAX * SECTOR_SIZE)
		return -EMSGSIZE;
	if (payload && !payload_allowed(get_be16(h.type)))
		return -EMSGSIZE;
	return WIRE_HEADER + body;
}

static const char *decode_body(const void *body, struct packet *p)
{
	const char *wrong = NULL;

	switch (p->type) {
#define X(name, number, member, payload, what) \
	case PACKET_##name: \
		wrong = decode_##member(body, &p->member); \
		return wrong ? wrong : check_##member(&p->member);
	PACKETS(X)
#undef X
	}
	return wrong;
}

static int reject(int rc, char *why, size_t why_size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int reject(int rc, char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why && why_size)
		vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return rc;
}

int wire_decode(const uint8_t *in, uint64_t sequence, struct packet *p, char *why, size_t why_size)
{
	int length = wire_length(in);
	struct wire_header h;
	const char *wrong;

	if (length < 0)
		return reject(length, why, why_size, "%s",
			      length == -EBADMSG    ? "bytes that are not a packet"
			      : length == -EMSGSIZE ? "a packet of impossible length"
						    : "a packet of unknown type or version");
	memcpy(&h, in, sizeof(h));
	if (get_be32(h.crc) != checksum(in, length - WIRE_HEADER))
		return reject(-EBADMSG, why, why_size, "a packet with a wrong checksum");
	if (get_be64(h.sequence) != sequence)
		return reject(-EBADMSG, why, why_size, "packet %llu where packet %llu was due",
			      (unsigned long long)get_be64(h.sequence), (unsigned long long)sequence);
	if (get_be32(h.zero))
		return reject(-EINVAL, why, why_size, "a packet with reserved bytes that are not zero");
	memset(p, 0, sizeof(*p));
	p->type = get_be16(h.type);
	p->payload = get_be32(h.payload_length);
	wrong = decode_body(in + WIRE_HEADER, p);
	if (!wrong && p->type == PACKET_DATA && p->payload != p->data.sectors * SECTOR_SIZE)
		wrong = "the payload has not the length of the write";
	if (wrong)
		return reject(-EINVAL, why, why_size, "%s: %s", packet_name(p->type), wrong);
	return 0;
}

const char *packet_name(enum packet_type type)
{
	switch (type) {
#define X(name, number, member, payload, what) case PACKET_##name: return #name;
	PACKETS(X)
#undef X
	}
	return "unknown packet";
}

/* The tables for the comparison with docs/PROTOCOL.md. */
#define ROW_OF(member) \
	static const struct layout_field member##_fields[] = { BODY_##member(ROW_##member) { NULL, 0, 0 } };
#define ROW(member, name) \
	{ #name, offsetof(struct wire_##member, name), sizeof(((struct wire_##member *)0)->name) },
#define ROW_none(kind, name, size) ROW(none, name)
#define ROW_intro(kind, name, size) ROW(intro, name)
#define ROW_auth(kind, name, size) ROW(auth, name)
#define ROW_text(kind, name, size) ROW(text, name)
#define ROW_ping(kind, name, size) ROW(ping, name)
#define ROW_hello(kind, name, size) ROW(hello, name)
#define ROW_data(kind, name, size) ROW(data, name)
#define ROW_ack(kind, name, size) ROW(ack, name)
#define ROW_want(kind, name, size) ROW(want, name)
#define ROW_refuse(kind, name, size) ROW(refuse, name)
#define ROW_give(kind, name, size) ROW(give, name)
#define ROW_used(kind, name, size) ROW(used, name)
#define ROW_pair(kind, name, size) ROW(pair, name)
#define ROW_reserve(kind, name, size) ROW(reserve, name)
#define ROW_grant(kind, name, size) ROW(grant, name)
#define ROW_reservation(kind, name, size) ROW(reservation, name)
ROW_OF(none) ROW_OF(intro) ROW_OF(auth) ROW_OF(text) ROW_OF(ping) ROW_OF(hello) ROW_OF(data) ROW_OF(ack)
ROW_OF(want) ROW_OF(refuse) ROW_OF(give) ROW_OF(used) ROW_OF(pair) ROW_OF(reserve) ROW_OF(grant) ROW_OF(reservation)

static const struct layout_field header_fields[] = {
#define H(name) { #name, offsetof(struct wire_header, name), sizeof(((struct wire_header *)0)->name) }
	H(magic), H(version), H(type), H(body_length), H(payload_length), H(sequence), H(zero), H(crc),
	{ NULL, 0, 0 },
#undef H
};

const struct layout_field *wire_fields(enum packet_type type)
{
	switch (type) {
#define X(name, number, member, payload, what) case PACKET_##name: return member##_fields;
	PACKETS(X)
#undef X
	}
	return NULL;
}

const struct layout_field *wire_header_fields(void)
{
	return header_fields;
}
