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
#define METADATA_BLOCK	    4096u      /* a superblock copy; written and read whole, aligned */
#define METADATA_NAME_MAX   128u       /* resource name, bytes without the final NUL */
#define METADATA_NO_FULL    UINT64_MAX /* struct superblock.full_from: the bitmap says it all */
#define METADATA_AL_EXTENTS 1237u /* slots of the activity log unless the file says otherwise (as DRBD's) */

/* Where the metadata are; the numbers are on disk. */
enum metadata_layout {
	METADATA_INDEXED = 0,  /* meta-disk DEV[N]: slot N of DEV */
	METADATA_FLEXIBLE = 1, /* meta-disk DEV: all of DEV */
	METADATA_INTERNAL = 2, /* meta-disk internal: the end of the data disk */
};

/* The areas on the metadata device, as byte offsets (docs/METADATA.md, "Areas"). */
struct metadata_geometry {
	enum metadata_layout layout;
	char place[32];	       /* for words: "slot 3" */
	uint64_t start, bytes; /* everything below lies in it */
	uint64_t copy[2];      /* the superblock's copies A and B, METADATA_BLOCK each */
	uint64_t log;	       /* 7 blocks */
	uint64_t bitmap, bitmap_bytes;
	/* What the bitmap has room for. Of internal metadata: what is left for the guest. 512-byte sectors */
	uint64_t data_sectors_max;
};

/* config.h's meta_index: a slot, or one of enum config_meta_index */
enum metadata_layout metadata_layout_of(int meta_index);

/* Pure. `meta_bytes`: size of the metadata device (of the data disk if internal); `data_bytes`: of the data
 * disk, 0 if not known: then nothing is compared with it; `block_size`: its logical block size, 512 or 4096.
 * -ENOSPC, -EFBIG, -EINVAL with words. */
int metadata_geometry(enum metadata_layout layout, int index, uint64_t meta_bytes, uint64_t data_bytes,
		      uint32_t block_size, struct metadata_geometry *g, char *why, size_t why_size);

/* Bytes of the bitmap, in whole pages, that describe a disk of so many sectors. */
uint64_t metadata_bitmap_bytes(uint64_t sectors);

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
	/* a guest is attached: found at start it means that we died as Primary, see SB_CRASHED */
	SB_IN_USE = 1u << 2,
	/* this node died as Primary; since then its log's extents are marked in the bitmap. Cleared when the
	 * two have met and settled */
	SB_CRASHED = 1u << 3,
	SB_OUTDATED = 1u << 4,	    /* the partner has newer data, told or known */
	SB_BITMAP_SUMMED = 1u << 5, /* bitmap_bits and bitmap_digest are those of the bitmap on disk */
	SB_FORCED = 1u << 6,	    /* the present epoch was forced by a person, or by SB_FORCED_BY_WAIT (P2) */
	/* the partner cannot be promoted before the two meet, but by force: it was outdated or powered off (fence.c) */
	SB_PEER_OUTDATED = 1u << 7,
	/* a person said that the data here count when they were a mixture of old and new; until the two have the same again */
	SB_MIXED = 1u << 8,
	/* beside SB_FORCED: not by a person, but by on-wfc-timeout (HANDOVER.md, R17). Not in HELLO */
	SB_FORCED_BY_WAIT = 1u << 9,
};
#define SB_FLAGS_KNOWN                                                                               \
	(SB_JUST_CREATED | SB_CONSISTENT | SB_IN_USE | SB_CRASHED | SB_OUTDATED | SB_BITMAP_SUMMED | \
	 SB_FORCED | SB_PEER_OUTDATED | SB_MIXED | SB_FORCED_BY_WAIT)

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
	/* Not agreed on, but offered anew at each meeting, and 0 in what is stored. `discard`: this node takes DISCARD. `discard_unit`: its disk
	 * gives space back, in units of 1 << discard_unit bytes; 0: it does not. `discard_secure`: it can leave nothing of what was there. */
	uint8_t discard, discard_unit, discard_secure;
};

/* in memory; the layout on disk is metadata.c's */
struct superblock {
	uint64_t sequence; /* grows by one a write; metadata_write() sets it */
	char name[METADATA_NAME_MAX + 1];
	uint8_t device_uuid[16]; /* random, made by create-md: tells two metadata slots apart */
	uint32_t flags;
	enum token token;
	uint64_t epoch; /* grows with every change of the token's place */
	uint64_t base;	/* the highest epoch in which a guest request ran */
	/* granted to the partner at a hand-over, 0 = none; with TOKEN_GIVEN the one that GIVE fulfils */
	uint64_t reservation;
	struct generations gen;
	struct features agreed; /* all zero while SB_JUST_CREATED */
	/* Sectors from here on are all out of sync, whatever the bitmap says; METADATA_NO_FULL: none. A full
	 * sync is 0. It moves up as the sync proceeds, after the bitmap's pages below it are durable. */
	uint64_t full_from;
	uint64_t bitmap_bits, bitmap_digest; /* with SB_BITMAP_SUMMED */
	uint32_t al_extents;		     /* slots of the activity log */
	enum metadata_layout layout;	     /* where it was made for: found elsewhere it is refused */
	uint8_t discard_unit; /* guests are offered discards, in units of 1 << this, in bytes: both nodes could when they met last; 0: not */
	uint8_t discard_secure; /* 1: and secure ones, likewise */
};

/*
 * metadata_encode/_decode: pure.  `block` is METADATA_BLOCK bytes.  decode copies nothing it has
 * not checked; -EBADMSG: not ours or damaged (bad magic or CRC), -EPROTONOSUPPORT: ours but of
 * another version, or with a feature that has to be known, -EINVAL: CRC is right but a field is impossible.  `why` gets words, may be NULL.
 */
void metadata_encode(const struct superblock *sb, uint8_t *block);
int metadata_decode(const uint8_t *block, struct superblock *sb, char *why, size_t why_size);

/* Chooses between the two copies as read: sets *sb and *newer (0 = A, 1 = B).  -EBADMSG when neither is
 * usable (words in why).  A lone good copy is enough; *heal is set if the other one has to be rewritten. */
int metadata_choose(const uint8_t *a, const uint8_t *b, struct superblock *sb, int *newer, bool *heal,
		    char *why, size_t why_size);

/* Synchronous access for start-up and backend-ctl (not for the data path).  `fd` is open on
 * the metadata device or file with O_DIRECT or not.  All are 0 or
 * negative errno; `why` gets words that name the place. */

/* heals a damaged copy from the other if fd is writable */
int metadata_read(int fd, const struct metadata_geometry *g, struct superblock *sb, char *why,
		  size_t why_size);
/* both copies, each flushed; bumps sb->sequence */
int metadata_write(int fd, const struct metadata_geometry *g, struct superblock *sb, char *why,
		   size_t why_size);

/* Plain access; nothing is flushed. All of it or an error: -ENOSPC beyond the end. Aligned for O_DIRECT. */
int metadata_read_at(int fd, uint64_t offset, void *bytes, size_t length);
int metadata_write_at(int fd, uint64_t offset, const void *bytes, size_t length);
/* Zeroes a range of whole blocks, durably, in bounded memory; a file's holes stay holes. */
int metadata_zero(int fd, uint64_t offset, uint64_t bytes);

struct metadata_new {
	const char *name;    /* of the resource */
	uint64_t sectors;    /* of the data disk: so much of the bitmap is used */
	uint32_t al_extents; /* slots of the activity log */
	bool assume_clean;   /* the partner's volume is identical: nothing is out of sync */
	bool force;	     /* see metadata_take() */
};

/* The place is another resource's, `name`: -EBUSY, and words. */
int metadata_of_another(const struct metadata_geometry *g, const char *name, char *why, size_t why_size);

/* create-md. As metadata_take(), and then new metadata. */
int metadata_create(int fd, const struct metadata_geometry *g, const struct metadata_new *new, char *why,
		    size_t why_size);

/* Takes the place for resource `name`: it holds no superblock afterwards, so that log and bitmap can be
 * written. -EEXIST with words, unless forced, if there is a superblock of the same resource or something that
 * looks like other data (DRBD's metadata, a file system, LVM …); -EBUSY, always, if there is a superblock
 * that is SB_IN_USE, of another resource or of another version. *sequence: of the superblock that was there,
 * 0 if none. */
int metadata_take(int fd, const struct metadata_geometry *g, const char *name, bool force, uint64_t *sequence,
		  char *why, size_t why_size);
/* The first superblock in a place that was taken; bumps sb->sequence. */
int metadata_write_first(int fd, const struct metadata_geometry *g, struct superblock *sb, char *why,
			 size_t why_size);

/* wipe-md: zeroes the whole place. -ENODATA with words if no superblock is there that could be wiped, -EBUSY
 * as metadata_take(). `force` also wipes what is damaged or of another version, but nothing that is not
 * recognised as drbdx's. */
int metadata_wipe(int fd, const struct metadata_geometry *g, const char *name, bool force, char *why,
		  size_t why_size);

const char *token_name(enum token token);

/* The layout of the superblock, ended by a NULL name: for the test that compares docs/METADATA.md. */
struct layout_field;
const struct layout_field *metadata_fields(void);

#endif
