/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata.h: what a resource remembers on disk.  docs/METADATA.md is normative; a test
 * compares its tables with the structures in metadata.c.
 *
 * The superblock says who may write (token, epoch), what the data is (generations), and whether
 * the disk may be used.  There are two copies, each with a CRC32C and a sequence number; a write
 * goes to the older copy first and is flushed before the other one is touched, so that a power
 * cut at any point leaves a whole one.  The valid copy with the higher sequence number counts.
 */
#ifndef DRBDX_BACKEND_METADATA_H
#define DRBDX_BACKEND_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* an external indexed slot: meta-disk DEV[N] starts at N * 128 MiB (as DRBD's) */
#define METADATA_SLOT_BYTES (128ull << 20)
#define METADATA_BLOCK	    4096u /* a superblock copy; written and read whole, aligned */
#define METADATA_COPY_A	    0ull  /* offsets in the slot, bytes */
/* the last block of what is the activity log's area in DRBD's slots (docs/METADATA.md) */
#define METADATA_COPY_B	    32768ull
#define METADATA_NAME_MAX   128u /* resource name, bytes without the final NUL */

/* the right to execute guest requests (P2) */
enum token {
	TOKEN_NONE = 0, /* the partner has it, or it is on its way to us */
	TOKEN_HELD = 1,
	TOKEN_GIVEN = 2, /* on its way to the partner; GIVE is sent again until the partner has it */
};

/* struct superblock.flags */
enum {
	SB_JUST_CREATED = 1u << 0, /* never paired: no generation, no agreed features */
	/* the volume's content is usable as a whole (create-md --assume-clean, or a finished resync) */
	SB_CONSISTENT = 1u << 1,
	/* a guest is attached: found at start it means that we died as Primary, see SB_UNCLEAN */
	SB_IN_USE = 1u << 2,
	/* copies may differ in writes that were in flight; refused until a resync (a later
	 * version) or create-md */
	SB_UNCLEAN = 1u << 3,
};
#define SB_FLAGS_KNOWN (SB_JUST_CREATED | SB_CONSISTENT | SB_IN_USE | SB_UNCLEAN)

/* DRBD's meaning; 0 = none */
struct generations {
	uint64_t current, bitmap, history[2];
};

/* what both nodes can offer; agreed at the first connection, never shrinks afterwards */
struct features {
	uint64_t sectors;      /* size of the disk in 512-byte sectors */
	uint32_t block_size;   /* logical block size in bytes, 512 or 4096 */
	uint16_t max_segments; /* indirect segments a request, 256 */
	uint8_t ring_order;    /* highest ring order offered, 4 */
	uint8_t queues;	       /* 1 */
	uint8_t discard;       /* 0 */
};

/* in memory; the layout on disk is metadata.c's */
struct superblock {
	uint64_t sequence; /* grows by one a write; metadata_write() sets it */
	char name[METADATA_NAME_MAX + 1];
	uint8_t device_uuid[16]; /* random, made by create-md: tells two metadata slots apart */
	uint32_t flags;
	enum token token;
	uint64_t epoch;	      /* grows with every change of the token's place */
	uint64_t base;	      /* the highest epoch in which a guest request ran */
	/* granted to the partner at a hand-over, 0 = none; with TOKEN_GIVEN the one that GIVE fulfils */
	uint64_t reservation;
	struct generations gen;
	struct features agreed; /* all zero while SB_JUST_CREATED */
};

/*
 * metadata_encode/_decode: pure.  `block` is METADATA_BLOCK bytes.  decode copies nothing it has
 * not checked; -EBADMSG: not ours or damaged (bad magic or CRC), -EPROTONOSUPPORT: ours but a
 * newer version, -EINVAL: CRC is right but a field is impossible.  `why` gets words, may be NULL.
 */
void metadata_encode(const struct superblock *sb, uint8_t *block);
int metadata_decode(const uint8_t *block, struct superblock *sb, char *why, size_t why_size);

/* Chooses between the two copies as read: sets *sb and *newer (0 = A, 1 = B).  -EBADMSG when neither is
 * usable (words in why).  A lone good copy is enough; *heal is set if the other one has to be rewritten. */
int metadata_choose(const uint8_t *a, const uint8_t *b, struct superblock *sb, int *newer, bool *heal,
		    char *why, size_t why_size);

/* Synchronous access for start-up and backend-ctl (not for the data path).  `fd` is open on
 * the metadata device or file with O_DIRECT or not, `index` the slot (>= 0).  All are 0 or
 * negative errno; `why` gets words that name the slot. */

/* heals a damaged copy from the other if fd is writable */
int metadata_read(int fd, int index, struct superblock *sb, char *why, size_t why_size);
/* both copies, each flushed; bumps sb->sequence */
int metadata_write(int fd, int index, struct superblock *sb, char *why, size_t why_size);

/* create-md: -EBUSY if the slot holds a superblock of ours already or something that looks like
 * other data (DRBD's metadata, a file system, LVM …), with words; `force` overrides only "looks
 * like other data" and an idle superblock of the same resource, never one that is SB_IN_USE. */
int metadata_create(int fd, int index, const char *name, bool assume_clean, bool force, char *why,
		    size_t why_size);

const char *token_name(enum token token);

/* The layout of the superblock, ended by a NULL name: for the test that compares docs/METADATA.md. */
struct layout_field;
const struct layout_field *metadata_fields(void);

#endif
