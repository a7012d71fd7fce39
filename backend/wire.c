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

#include "backend/actlog.h"
#include "backend/bitmap.h"
#include "backend/crc32c.h"
#include "backend/generation.h"
#include "backend/layout.h"

#define WINDOW_BYTES_MIN (REQUEST_SECTORS_MAX * SECTOR_SIZE)	/* one maximal write */
#define WINDOW_BYTES_MAX (1u << 30)
#define WINDOW_REQUESTS_MAX 65536u
#define EPOCH_MAX (UINT64_MAX / 2)
/* all extents of the largest activity log, in whole sectors */
static_assert(DISCARD_SECTORS_MAX == ACTLOG_EXTENT_SECTORS, "a piece of a discard");
#define HOT_BYTES_MAX ((ACTLOG_EXTENTS_MAX * 4 + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE)

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
#define BODY_restarting(F)		\
	F(u32, within_ms, 4)		\
	F(zero, zero, 4)
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
	F(u32, window_requests, 4)	\
	F(u64, bits, 8)			\
	F(u8, diskless, 1)		\
	F(u8, primary, 1)		\
	F(u8, discard, 1)		\
	F(u8, after_sb_0pri, 1)		\
	F(u8, after_sb_1pri, 1)		\
	F(u8, after_sb_2pri, 1)		\
	F(u8, always_asbp, 1)		\
	F(zero, zero_2, 1)		\
	F(u64, fresh, 8)
#define BODY_data(F)			\
	F(u64, id, 8)			\
	F(u64, epoch, 8)		\
	F(u64, sector, 8)		\
	F(u32, sectors, 4)		\
	F(u8, preflush, 1)		\
	F(u8, copy, 1)			\
	F(zero, zero, 2)
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
#define BODY_read(F)			\
	F(u64, id, 8)			\
	F(u64, epoch, 8)		\
	F(u64, sector, 8)		\
	F(u32, sectors, 4)		\
	F(zero, zero, 4)
#define BODY_discard(F)			\
	F(u64, id, 8)			\
	F(u64, epoch, 8)		\
	F(u64, sector, 8)		\
	F(u32, sectors, 4)		\
	F(u8, secure, 1)		\
	F(zero, zero, 3)
#define BODY_bitmap(F)			\
	F(u64, id, 8)			\
	F(u32, page, 4)			\
	F(zero, zero, 4)
#define BODY_bitmap_end(F)		\
	F(u64, full_from, 8)		\
	F(u64, bits, 8)
#define BODY_hot(F)			\
	F(u64, id, 8)			\
	F(u64, reservation, 8)
#define BODY_csum(F)			\
	F(u64, id, 8)			\
	F(u64, epoch, 8)		\
	F(u64, sector, 8)		\
	F(u32, sectors, 4)		\
	F(u16, length, 2)		\
	F(zero, zero, 2)		\
	F(bytes, digest, CSUM_MAX)
#define BODY_pause(F)			\
	F(u8, paused, 1)		\
	F(zero, zero, 7)
#define BODY_in_sync(F)			\
	F(u64, epoch, 8)		\
	F(u64, sector, 8)		\
	F(u32, sectors, 4)		\
	F(zero, zero, 4)

#define BODY_resize(F)			\
	F(u64, epoch, 8)		\
	F(u64, sectors, 8)		\
	F(u8, clean, 1)			\
	F(zero, zero, 7)

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
struct wire_restarting { BODY_restarting(FIELD) };
static_assert(sizeof(struct wire_restarting) == 8, "restarting");
struct wire_hello { BODY_hello(FIELD) };
static_assert(sizeof(struct wire_hello) == 160 && offsetof(struct wire_hello, gen) == 32, "hello");
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
struct wire_read { BODY_read(FIELD) };
static_assert(sizeof(struct wire_read) == 32 && offsetof(struct wire_read, sectors) == 24, "read");
struct wire_discard { BODY_discard(FIELD) };
static_assert(sizeof(struct wire_discard) == 32 && offsetof(struct wire_discard, sectors) == 24, "discard");
struct wire_bitmap { BODY_bitmap(FIELD) };
static_assert(sizeof(struct wire_bitmap) == 16, "bitmap");
struct wire_bitmap_end { BODY_bitmap_end(FIELD) };
static_assert(sizeof(struct wire_bitmap_end) == 16, "bitmap_end");
struct wire_csum { BODY_csum(FIELD) };
static_assert(sizeof(struct wire_csum) == 96 && offsetof(struct wire_csum, digest) == 32, "csum");
struct wire_hot { BODY_hot(FIELD) };
static_assert(sizeof(struct wire_hot) == 16, "hot");
struct wire_pause { BODY_pause(FIELD) };
static_assert(sizeof(struct wire_pause) == 8, "pause");
struct wire_in_sync { BODY_in_sync(FIELD) };
static_assert(sizeof(struct wire_in_sync) == 24 && offsetof(struct wire_in_sync, sectors) == 16, "in_sync");

struct wire_resize { BODY_resize(FIELD) };
static_assert(sizeof(struct wire_resize) == 24 && offsetof(struct wire_resize, clean) == 16, "resize");

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
CODEC(none) CODEC(intro) CODEC(auth) CODEC(text) CODEC(ping) CODEC(restarting) CODEC(hello) CODEC(data) CODEC(ack) CODEC(want)
CODEC(refuse) CODEC(give) CODEC(used) CODEC(pair) CODEC(reserve) CODEC(grant) CODEC(reservation)
CODEC(read) CODEC(discard) CODEC(bitmap) CODEC(bitmap_end) CODEC(in_sync) CODEC(pause) CODEC(csum) CODEC(hot)
CODEC(resize)

/* check_<member>(body): NULL, or which value is impossible.  Whether a possible value may come now is
 * the core's business. */
static const char *check_none(const struct packet_none *b) { (void)b; return NULL; }
static const char *check_text(const struct packet_text *b) { (void)b; return NULL; }
static const char *check_ping(const struct packet_ping *b) { (void)b; return NULL; }
static const char *check_restarting(const struct packet_restarting *b)
{
	return b->within_ms && b->within_ms <= WIRE_RESTART_MAX_MS ? NULL : "the time within which it is back is impossible";
}
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
	if (!b->fresh)
		return "the fresh generation is 0";
	if (b->diskless > 1 || b->primary > 1 || b->discard > 1 || b->always_asbp > 1)
		return "diskless, primary, discard or always_asbp is neither 0 nor 1";
	if (b->after_sb_0pri >= AFTER_SB_0PRI_COUNT || b->after_sb_1pri >= AFTER_SB_1PRI_COUNT ||
	    b->after_sb_2pri >= AFTER_SB_2PRI_COUNT)
		return "an unknown after-sb policy";
	return features_check(&b->offer, NULL);
}

static const char *check_range(uint64_t sector, uint32_t sectors)
{
	if (!sectors || sectors > REQUEST_SECTORS_MAX)
		return "the length is impossible";
	if (sector >= LAYOUT_SECTORS_MAX || sector + sectors > LAYOUT_SECTORS_MAX)
		return "the range is beyond any disk";
	return NULL;
}

static const char *check_data(const struct packet_data *b)
{
	if (check_range(b->sector, b->sectors))
		return check_range(b->sector, b->sectors);
	if (b->preflush > 1 || b->copy > 1)
		return "preflush or copy is neither 0 nor 1";
	return check_epoch(b->epoch);
}

static const char *check_read(const struct packet_read *b)
{
	const char *wrong = check_range(b->sector, b->sectors);

	return wrong ? wrong : check_epoch(b->epoch);
}

static const char *check_discard(const struct packet_discard *b)
{
	if (!b->sectors || b->sectors > DISCARD_SECTORS_MAX)
		return "the length is impossible";
	if (b->sector >= LAYOUT_SECTORS_MAX || b->sector + b->sectors > LAYOUT_SECTORS_MAX)
		return "the range is beyond any disk";
	return b->secure > 1 ? "secure is neither 0 nor 1" : check_epoch(b->epoch);
}

static const char *check_in_sync(const struct packet_in_sync *b)
{
	const char *wrong = check_range(b->sector, b->sectors);

	return wrong ? wrong : check_epoch(b->epoch);
}

static const char *check_resize(const struct packet_resize *b)
{
	if (!b->sectors || b->sectors > LAYOUT_SECTORS_MAX)
		return "the size of the disk is impossible";
	return b->clean > 1 ? "clean is neither 0 nor 1" : check_epoch(b->epoch);
}

static const char *check_csum(const struct packet_csum *b)
{
	const char *wrong = check_range(b->sector, b->sectors);

	if (wrong)
		return wrong;
	if (!b->length || b->length > CSUM_MAX || !all_zero(b->digest + b->length, CSUM_MAX - b->length))
		return "the digest is malformed";
	return check_epoch(b->epoch);
}

static const char *check_pause(const struct packet_pause *b)
{
	return b->paused > 1 ? "paused is neither 0 nor 1" : NULL;
}

static const char *check_bitmap(const struct packet_bitmap *b)
{
	return b->page >= LAYOUT_SECTORS_MAX / BITMAP_BLOCK_SECTORS / BITMAP_PAGE_BLOCKS ? "the page is beyond any disk"
											   : NULL;
}

static const char *check_bitmap_end(const struct packet_bitmap_end *b)
{
	return b->full_from != BITMAP_NONE && b->full_from > LAYOUT_SECTORS_MAX ? "full_from is beyond any disk" : NULL;
}

static const char *check_hot(const struct packet_hot *b)
{
	return b->reservation ? NULL : "the reservation is 0";
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
static uint16_t version_of(unsigned int type, uint16_t version)
{
	return type == PACKET_INTRO || type == PACKET_REFUSE ? WIRE_VERSION_INTRO : version;
}

static bool version_fits(unsigned int type, uint16_t written, uint16_t version)
{
	if ((type == PACKET_RESTARTING && written < WIRE_VERSION_RESTARTING) || (type == PACKET_DISCARD && written < WIRE_VERSION_DISCARD) ||
	    (type >= PACKET_RESIZE && type <= PACKET_RESIZE_REFUSE && written < WIRE_VERSION_RESIZE) ||
	    (type == PACKET_NOT_ERASED && written < WIRE_VERSION_SECURE))
		return false; /* it is not known there */
	if (version_of(type, version))
		return written == version_of(type, version);
	return written >= WIRE_VERSION_MIN && written <= WIRE_VERSION_MAX;
}

/* What a partner of an older version takes for reserved bytes. */
static const struct packet *as_of(const struct packet *p, uint16_t version, struct packet *older)
{
	if (p->type != PACKET_HELLO || version >= WIRE_VERSION_SECURE)
		return p;
	*older = *p;
	older->hello.offer.discard_secure = 0;
	if (version < WIRE_VERSION_DISCARD)
		older->hello.offer.discard = older->hello.offer.discard_unit = 0;
	return older;
}

size_t wire_size(enum packet_type type)
{
	return WIRE_HEADER + (size_t)body_length(type);
}

size_t wire_encode(const struct packet *p, uint16_t version, uint64_t sequence, uint8_t *out)
{
	struct packet older;
	int body = body_length(p->type);
	struct wire_header h = {
		.magic = put_be32(WIRE_MAGIC),
		.version = put_be16(version_of(p->type, version)),
		.type = put_be16(p->type),
		.body_length = put_be32(body),
		.payload_length = put_be32(p->payload),
		.sequence = put_be64(sequence),
	};

	assert(version_of(p->type, version) && body >= 0 && (!p->payload || payload_allowed(p->type)));
	memcpy(out, &h, sizeof(h));
	encode_body(as_of(p, version, &older), out + WIRE_HEADER);
	h.crc = put_be32(checksum(out, body));
	memcpy(out, &h, sizeof(h));
	return WIRE_HEADER + body;
}

int wire_length(const uint8_t *in, uint16_t version)
{
	struct wire_header h;
	uint32_t payload;
	int body;

	memcpy(&h, in, sizeof(h));
	if (get_be32(h.magic) != WIRE_MAGIC)
		return -EBADMSG;
	body = body_length(get_be16(h.type));
	if (body < 0 || !version_fits(get_be16(h.type), get_be16(h.version), version))
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

static const char *check_payload(const struct packet *p)
{
	if (p->type == PACKET_DATA && p->payload != p->data.sectors * SECTOR_SIZE)
		return "the payload has not the length of the write";
	if (p->type == PACKET_READ_DATA && (!p->payload || p->payload % SECTOR_SIZE))
		return "the payload is not whole sectors";
	if (p->type == PACKET_BITMAP && p->payload != BITMAP_PAGE)
		return "the payload is not a page";
	if (p->type == PACKET_HOT && (!p->payload || p->payload % SECTOR_SIZE || p->payload > HOT_BYTES_MAX))
		return "the payload is not a list of extents";
	return NULL;
}

/* What came with a later version than is spoken. */
static const char *check_version(const struct packet *p, uint16_t written)
{
	if (p->type == PACKET_HELLO && ((written < WIRE_VERSION_DISCARD && (p->hello.offer.discard || p->hello.offer.discard_unit)) ||
					(written < WIRE_VERSION_SECURE && p->hello.offer.discard_secure)))
		return "reserved bytes of 'offer' are not zero";
	if (p->type == PACKET_DISCARD && written < WIRE_VERSION_SECURE && p->discard.secure)
		return "reserved bytes are not zero";
	return NULL;
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

int wire_decode(const uint8_t *in, int length, uint64_t sequence, struct packet *p, char *why, size_t why_size)
{
	struct wire_header h;
	const char *wrong;

	if (length < 0)
		return reject(length, why, why_size, "%s",
			      length == -EBADMSG    ? "bytes that are not a packet"
			      : length == -EMSGSIZE ? "a packet of impossible length"
						    : "a packet of unknown type, or of another version than is spoken");
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
	if (!wrong)
		wrong = check_payload(p);
	if (!wrong)
		wrong = check_version(p, get_be16(h.version));
	if (wrong)
		return reject(-EINVAL, why, why_size, "%s: %s", packet_name(p->type), wrong);
	return 0;
}

bool wire_needs_request(enum packet_type type)
{
	return payload_allowed(type) || type == PACKET_FLUSH || type == PACKET_READ || type == PACKET_ZEROES ||
	       type == PACKET_CSUM || type == PACKET_DISCARD;
}

uint32_t wire_buffer_bytes(const struct packet *p)
{
	switch (p->type) {
	case PACKET_READ:
	case PACKET_ZEROES:
		return p->read.sectors * SECTOR_SIZE;
	case PACKET_CSUM:
		return p->csum.sectors * SECTOR_SIZE;
	default:
		return p->payload;
	}
}

void wire_describe(const struct packet *p, struct request *req)
{
	req->secure = false;
	switch (p->type) {
	case PACKET_DATA:
		req->op = REQUEST_WRITE;
		req->sector = p->data.sector;
		req->preflush = p->data.preflush;
		break;
	case PACKET_ZEROES:
		req->op = REQUEST_WRITE;
		req->sector = p->read.sector;
		break;
	case PACKET_READ:
		req->op = REQUEST_READ;
		req->sector = p->read.sector;
		break;
	case PACKET_CSUM:
		req->op = REQUEST_READ;
		req->sector = p->csum.sector;
		break;
	case PACKET_FLUSH:
		req->op = REQUEST_FLUSH;
		break;
	case PACKET_DISCARD:
		req->op = REQUEST_DISCARD;
		req->sector = p->discard.sector;
		req->sectors = p->discard.sectors;
		req->secure = p->discard.secure;
		return;
	default: /* READ_DATA, BITMAP, HOT: the core takes the payload out of it */
		break;
	}
	req->sectors = wire_buffer_bytes(p) / SECTOR_SIZE;
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
#define ROW_restarting(kind, name, size) ROW(restarting, name)
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
#define ROW_read(kind, name, size) ROW(read, name)
#define ROW_discard(kind, name, size) ROW(discard, name)
#define ROW_bitmap(kind, name, size) ROW(bitmap, name)
#define ROW_bitmap_end(kind, name, size) ROW(bitmap_end, name)
#define ROW_in_sync(kind, name, size) ROW(in_sync, name)
#define ROW_hot(kind, name, size) ROW(hot, name)
#define ROW_csum(kind, name, size) ROW(csum, name)
#define ROW_pause(kind, name, size) ROW(pause, name)
#define ROW_resize(kind, name, size) ROW(resize, name)
ROW_OF(none) ROW_OF(intro) ROW_OF(auth) ROW_OF(text) ROW_OF(ping) ROW_OF(restarting) ROW_OF(hello) ROW_OF(data) ROW_OF(ack)
ROW_OF(want) ROW_OF(refuse) ROW_OF(give) ROW_OF(used) ROW_OF(pair) ROW_OF(reserve) ROW_OF(grant) ROW_OF(reservation)
ROW_OF(read) ROW_OF(discard) ROW_OF(bitmap) ROW_OF(bitmap_end) ROW_OF(in_sync) ROW_OF(pause) ROW_OF(csum) ROW_OF(hot)
ROW_OF(resize)

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
