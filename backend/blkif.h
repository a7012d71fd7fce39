/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkif.h: the validator of guest requests: the only reader of what a guest wrote into a ring slot or an
 * indirect page (P4).  Pure and total; works on private copies.
 */
#ifndef DRBDX_BACKEND_BLKIF_H
#define DRBDX_BACKEND_BLKIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "backend/xen_io.h"
#include <xen/io/blkif.h>

#include "backend/request.h"

#define BLKIF_SEGMENTS_MAX 256u		/* feature-max-indirect-segments */
#define BLKIF_INDIRECT_PAGES_MAX 1u	/* 256 segments of 8 bytes are half a page */
#define BLKIF_SECTS_PER_PAGE 8u		/* first_sect and last_sect are below this */

/* Ours, trusted. block_size: bytes, a power of two from 512. max_segments: what was offered as
 * feature-max-indirect-segments; 0: indirect requests were not offered. discard: feature-discard was; discard_secure: that was, too. */
struct blkif_limits {
	uint64_t sectors;
	uint32_t block_size;
	bool read_only;
	uint16_t max_segments;
	bool discard, discard_secure;
};

struct blkif_segment { uint32_t gref; uint8_t first_sect, last_sect; };

enum blkif_verdict {
	BLKIF_OK,		/* *out is complete */
	BLKIF_NEEDS_INDIRECT,	/* copy out->indirect_gref's page (indirect_segments * 8 bytes), then call
				 * blkif_parse_indirect() */
	BLKIF_ERROR,		/* answer BLKIF_RSP_ERROR */
	BLKIF_UNSUPPORTED,	/* answer BLKIF_RSP_EOPNOTSUPP */
};

struct blkif_op {		/* a validated request */
	uint64_t id;		/* the guest's, echoed and never used as a key */
	uint8_t operation;	/* to echo in the response: for an indirect request its inner operation */
	enum request_op op;
	bool preflush, barrier, secure;
	uint64_t sector;
	uint32_t sectors;
	uint16_t segments;
	uint16_t indirect_segments;
	uint32_t indirect_gref;
	struct blkif_segment segment[BLKIF_SEGMENTS_MAX];
};

/* `slot`: a private copy of the ring slot, x86_64 layout. `why` gets a few words for the log on ERROR and
 * UNSUPPORTED (may be NULL with why_size 0). id and operation of *out are set whatever the verdict; after
 * NEEDS_INDIRECT, segments and sectors are still 0, and the sum will be at most indirect_segments * 8
 * sectors. */
enum blkif_verdict blkif_parse(const blkif_request_t *slot, const struct blkif_limits *limits,
			       struct blkif_op *out, char *why, size_t why_size);

/* `page`: a private copy of the first out->indirect_segments entries. `out` as blkif_parse() left it, with
 * NEEDS_INDIRECT. Answers BLKIF_OK or BLKIF_ERROR. */
enum blkif_verdict blkif_parse_indirect(const struct blkif_request_segment *page,
					const struct blkif_limits *limits, struct blkif_op *out,
					char *why, size_t why_size);

#endif
