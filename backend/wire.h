/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h: the packets between two partners.  docs/PROTOCOL.md is normative; a test compares
 * its tables with wire.c.
 *
 * A packet is a 32-byte header, a body of fixed size given by its type, and for DATA, READ_DATA, BITMAP and HOT a payload.
 * Everything is big-endian.  The header's CRC32C covers header and body.  wire_decode() is the
 * only reader of raw bytes; it is pure, and what it returns has been checked (P4).
 */
#ifndef DRBDX_BACKEND_WIRE_H
#define DRBDX_BACKEND_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/csum.h"
#include "backend/metadata.h"
#include "backend/request.h"

#define WIRE_MAGIC	 0x64726278u /* "drbx" */
/* The versions of the protocol that this program speaks (docs/PROTOCOL.md, section 3): both nodes of a pair speak the highest
 * that both know. 5: a node that leaves in good order says so (LEAVING, TAKEN). 6: so does one whose program is replaced
 * (RESTARTING). 7: DISCARD, and a disk may become larger (RESIZE). 8: a DISCARD may be secure. Versions 1 to 4 were never released. A test builds
 * a program with other ones. */
#ifndef WIRE_VERSION_MAX
#define WIRE_VERSION_MIN 5u
#define WIRE_VERSION_MAX 8u
#endif
#define WIRE_VERSION_RESTARTING 6u
#define WIRE_VERSION_DISCARD	7u
#define WIRE_VERSION_RESIZE	7u
#define WIRE_VERSION_SECURE	8u
#define WIRE_RESTART_MAX_MS 10000u
#define WIRE_VERSION_INTRO 1u /* INTRO and REFUSE are written in it for ever */
#define WIRE_HEADER	 32u
#define WIRE_BODY_MAX	 512u
#define WIRE_NONCE	 32u
#define WIRE_MAC_MAX	 64u
#define WIRE_TEXT	 240u /* a sentence for a person, UTF-8, NUL padded */
#define WIRE_HOST	 64u

/*
 * X(NAME, number, member of the union, payload allowed, sent by)
 * INTRO..RESTARTING belong to transport.c (before a connection is authenticated, liveness, and its end),
 * the rest to the core (replicate.h).
 */
/* clang-format off */
#define PACKETS(X) \
	X(INTRO,	1,  intro,	0, "both: who I am, which versions I speak, my nonce") \
	X(AUTH,		2,  auth,	0, "both: proof that I know the shared secret") \
	X(REFUSE,	3,  text,	0, "both: why I close this connection") \
	X(PING,		4,  ping,	0, "both: are you there") \
	X(PONG,		5,  ping,	0, "both: yes") \
	X(RESTARTING,	6,  restarting,	0, "both: another program takes this one's place, and connects within so long") \
	X(HELLO,	16, hello,	0, "both: my superblock, my disk, my receive window") \
	X(READY,	17, none,	0, "both: what your HELLO asked for is durable here") \
	X(DATA,		18, data,	1, "holder: write this") \
	X(ACK,		19, ack,	0, "non-holder: it is durable here; its window is yours again") \
	X(FLUSH,	20, ack,	0, "holder: flush your disk") \
	X(FLUSH_ACK,	21, ack,	0, "non-holder: flushed") \
	X(WANT,		22, want,	0, "non-holder: I have a guest to serve, give me the token") \
	X(WANT_REFUSE,	23, refuse,	0, "holder: no, and who has it") \
	X(GIVE,		24, give,	0, "holder: the token is yours from this epoch on") \
	X(USED,		25, used,	0, "holder: a guest request runs in this epoch") \
	X(PAIR,		26, pair,	0, \
	  "first connection of a new pair: the generation and the features that both store") \
	X(RESERVE,	27, reserve,	0, "non-holder: a guest of yours is arriving here") \
	X(GRANT,	28, grant,	0, "holder: your reservation is durable; the token stays here") \
	X(RESERVE_REFUSE, 29, refuse,	0, "holder: no reservation, and why") \
	X(COMMIT,	30, reservation, 0, "non-holder: the guest runs here now, give me the token") \
	X(COMMIT_REFUSE, 31, refuse,	0, "holder: that reservation is over, your copy of the guest is stale") \
	X(ENDED,	32, reservation, 0, "both: the reservation is over") \
	X(READ,		33, read,	0, "holder: give me what your disk has there") \
	X(READ_DATA,	34, ack,	1, "non-holder: here it is") \
	X(READ_FAILED,	35, ack,	0, "non-holder: my disk could not read it") \
	X(BITMAP,	36, bitmap,	1, "both: what differs, as one page of my bitmap") \
	X(BITMAP_END,	37, bitmap_end,	0, "both: that was my bitmap") \
	X(RECEIVED,	38, ack,	0, "both: READ_DATA or BITMAP has been taken; its buffer is yours again") \
	X(IN_SYNC,	39, in_sync,	0, "holder: these blocks are the same on both disks now") \
	X(SYNC_END,	40, used,	0, "holder: no block differs any more") \
	X(SYNC_ENDED,	41, used,	0, "non-holder: that is durable here") \
	X(CLEAR,	42, used,	0, "holder: a person says that both volumes are the same; forget the marks") \
	X(PAUSE,	43, pause,	0, "both: the resync is held here, or no longer") \
	X(ZEROES,	44, read,	0, "holder: write zeroes there; of the resync") \
	X(READ_ZEROES,	45, ack,	0, "non-holder: there are only zeroes") \
	X(CSUM,		46, csum,	0, "holder: has your disk the same there as mine, by this digest") \
	X(SAME,		47, ack,	0, "non-holder: it has") \
	X(DIFFERENT,	48, ack,	0, "non-holder: it has not, or this cannot be told") \
	X(OUT_OF_SYNC,	49, in_sync,	0, "holder: my disk has failed these blocks; they are to be copied from yours") \
	X(HOT,		50, hot,	1, "holder: the extents that the guest of this reservation was writing to") \
	X(TAKEN,	51, used,	0, "holder: the token that you gave is durable here") \
	X(LEAVING,	52, used,	0, "non-holder: I go, and my copy is outdated, durably: nothing has to be fenced") \
	X(DISCARD,	53, discard,	0, "holder: zeroes are to be read there, and the space may be given back") \
	X(NOT_ERASED,	54, ack,	0, "non-holder: as ACK, but what was there could not be erased securely") \
	X(RESIZE,	56, resize,	0, "holder: a person has enlarged both volumes, mine to so many sectors") \
	X(RESIZED,	57, resize,	0, "non-holder: the disk has so many sectors here, durably") \
	X(RESIZE_REFUSE, 58, refuse,	0, "non-holder: it stays as it is, and why")
/* clang-format on */

enum packet_type {
#define X(name, number, member, payload, what) PACKET_##name = number,
	PACKETS(X)
#undef X
};

struct packet_none {
	uint8_t nothing;
};
struct packet_intro {
	uint16_t version_min, version_max;
	uint8_t nonce[WIRE_NONCE];
	char resource[METADATA_NAME_MAX + 1];
	char host[WIRE_HOST + 1]; /* the sender's host name */
	char alg[33];		  /* cram-hmac-alg, empty = none */
};
struct packet_auth {
	uint16_t mac_length;
	uint8_t mac[WIRE_MAC_MAX];
};
struct packet_text {
	char text[WIRE_TEXT + 1];
};
struct packet_ping {
	uint64_t cookie;
};
struct packet_restarting {
	uint32_t within_ms; /* at most WIRE_RESTART_MAX_MS */
};
struct packet_hello {
	uint8_t token;	/* enum token */
	uint32_t flags; /* superblock flags (SB_*) */
	uint64_t epoch, base, reservation;
	struct generations gen;
	struct features agreed; /* as stored; zero while just created */
	struct features offer;	/* what this node could offer now */
	uint8_t device_uuid[16];
	uint32_t window_bytes;	  /* receive window: bytes of DATA and READ that may be unanswered */
	uint32_t window_requests; /* and how many DATA, FLUSH and READ packets */
	uint64_t bits;		  /* blocks marked out of sync, as far as is known */
	/* its disk has failed or is detached; a guest is attached with the token; connect --discard-my-data */
	uint8_t diskless, primary, discard;
	uint8_t after_sb_0pri, after_sb_1pri, after_sb_2pri, always_asbp; /* generation.h */
	/* random, not 0: the generation that this node begins, if this meeting makes it begin one */
	uint64_t fresh;
};
/* payload: sectors * 512 bytes */
struct packet_data {
	uint64_t id, epoch, sector;
	uint32_t sectors;
	uint8_t preflush;
	uint8_t copy; /* of the resync: the blocks are the same on both disks when it is durable */
};
struct packet_read {
	uint64_t id, epoch, sector;
	uint32_t sectors;
};
/* payload: 4096 bytes, little-endian bits (METADATA.md) */
struct packet_discard {
	uint64_t id, epoch, sector;
	uint32_t sectors; /* at most DISCARD_SECTORS_MAX */
	uint8_t secure;
};
struct packet_bitmap {
	uint64_t id;
	uint32_t page;
};
/* payload: extents of the activity log, 4 bytes each, in whole sectors of 512 bytes (PROTOCOL.md) */
struct packet_hot {
	uint64_t id, reservation;
};
struct packet_bitmap_end {
	uint64_t full_from; /* sectors from here on are all out of sync; all ones: none */
	uint64_t bits;	    /* set in the pages that were sent */
};
struct packet_csum {
	uint64_t id, epoch, sector;
	uint32_t sectors;
	uint16_t length; /* of the digest, bytes */
	uint8_t digest[CSUM_MAX];
};
struct packet_pause {
	uint8_t paused;
};
struct packet_resize {
	uint64_t epoch, sectors;
	uint8_t clean; /* what is new is the same on both nodes */
};
struct packet_in_sync {
	uint64_t epoch, sector;
	uint32_t sectors;
};
struct packet_ack {
	uint64_t id, epoch;
};
struct packet_want {
	uint64_t nonce;
	char who[WIRE_TEXT + 1];
	uint8_t back; /* for a guest that was handed over and has been resumed here */
};
struct packet_refuse {
	uint64_t nonce; /* of the question; the reservation's id for COMMIT_REFUSE */
	char why[WIRE_TEXT + 1];
};
struct packet_give {
	uint64_t epoch, base;
	uint64_t reservation; /* that this fulfils, 0 = none */
	struct generations gen;
	uint8_t ring; /* a guest that may still be resumed is attached at the sender */
};
struct packet_used {
	uint64_t epoch;
};
struct packet_pair {
	uint64_t generation, epoch;
	struct features agreed;
};
struct packet_reserve {
	uint64_t nonce;
	uint8_t uuid[16]; /* of the virtual machine, as in /vm/UUID */
	char who[WIRE_TEXT + 1];
};
struct packet_grant {
	uint64_t nonce, id;
	struct generations gen;
	struct features agreed;
};
struct packet_reservation {
	uint64_t id;
};

struct packet {
	enum packet_type type;
	uint32_t payload; /* bytes that follow on the wire, 0 but for DATA, READ_DATA, BITMAP and HOT */
	union {
		struct packet_none none;
		struct packet_intro intro;
		struct packet_auth auth;
		struct packet_text text;
		struct packet_ping ping;
		struct packet_restarting restarting;
		struct packet_hello hello;
		struct packet_data data;
		struct packet_ack ack;
		struct packet_want want;
		struct packet_refuse refuse;
		struct packet_give give;
		struct packet_used used;
		struct packet_pair pair;
		struct packet_reserve reserve;
		struct packet_grant grant;
		struct packet_reservation reservation;
		struct packet_read read;
		struct packet_discard discard;
		struct packet_bitmap bitmap;
		struct packet_bitmap_end bitmap_end;
		struct packet_hot hot;
		struct packet_in_sync in_sync;
		struct packet_pause pause;
		struct packet_csum csum;
		struct packet_resize resize;
	};
};

/* The packets about a request begin alike, so that `ack` reads id and epoch of any of them. */
#define LIKE_ACK(member)                                                                           \
	static_assert(offsetof(struct packet_##member, id) == offsetof(struct packet_ack, id) &&   \
			      offsetof(struct packet_##member, epoch) == offsetof(struct packet_ack, epoch), \
		      #member)
LIKE_ACK(data);
LIKE_ACK(read);
LIKE_ACK(csum);
LIKE_ACK(discard);
#undef LIKE_ACK

/* `version` below is the one that the two speak; 0: not agreed yet. INTRO and REFUSE do not depend on it; no other packet can
 * be written before, and one that is read then may be of any version that this program knows. */

/* Header and body of `p` to `out` (at least WIRE_HEADER + WIRE_BODY_MAX bytes); `sequence`
 * counts the packets of one direction of a connection from 0.  Returns their length; the
 * payload follows from the request's own buffer. */
size_t wire_encode(const struct packet *p, uint16_t version, uint64_t sequence, uint8_t *out);
size_t wire_size(enum packet_type type); /* of header and body, in every version */

/* Bytes of header and body that the packet beginning at `in` has, once WIRE_HEADER bytes
 * are there.  Negative errno: not a packet (-EBADMSG bad magic, -EPROTONOSUPPORT unknown
 * type or another version, -EMSGSIZE impossible length); the connection is to be closed. */
int wire_length(const uint8_t *in, uint16_t version);

/* Decodes and validates header and body; `length` is what wire_length() said of them, and if that is an error, so is this, in words.
 * -EBADMSG: CRC or sequence; -EINVAL: a field is impossible.  `why` gets words. */
int wire_decode(const uint8_t *in, int length, uint64_t sequence, struct packet *p, char *why, size_t why_size);

/* Its receiver needs room for it: a request, and a buffer of wire_buffer_bytes() (for all but FLUSH and DISCARD): its payload, or what
 * it asks for. */
bool wire_needs_request(enum packet_type type);
uint32_t wire_buffer_bytes(const struct packet *p);
/* Sets op, sector, sectors, preflush and secure of that request. */
void wire_describe(const struct packet *p, struct request *req);

const char *packet_name(enum packet_type type);

/* The layout of a packet's body and of the header, ended by a NULL name: for the test that
 * compares docs/PROTOCOL.md, and for fuzzing. */
struct layout_field;
const struct layout_field *wire_fields(enum packet_type type);
const struct layout_field *wire_header_fields(void);

#endif
