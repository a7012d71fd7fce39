/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slot.h: the layouts that a slot of a guest's ring may have: all that knows them.  Behind it a request has the layout of x86_64, which is
 * what the validator reads (blkif.h) and what the table of requests in flight keeps (inflight.h).
 */
#ifndef DRBDX_BACKEND_SLOT_H
#define DRBDX_BACKEND_SLOT_H

#include <stdint.h>

#include "backend/blkif.h"

/* The numbers are those of the table of requests in flight (docs/RESTART.md, section 2). arm-abi has the layout of x86_64. */
enum slot_abi {
	SLOT_X86_64 = 0, /* 64-bit fields are aligned to 8 bytes: requests of 112 bytes, responses of 16 */
	SLOT_X86_32 = 1, /* to 4 bytes: 108 and 12 */
};
#define SLOT_ABI_MAX SLOT_X86_32

/* One look at the shared slot; `out` is private. */
void slot_read(enum slot_abi abi, const blkif_back_ring_t *ring, RING_IDX index, blkif_request_t *out);

/* Writes all of the response, its padding too (XSA-216). */
void slot_answer(enum slot_abi abi, blkif_back_ring_t *ring, RING_IDX index, uint64_t id, uint8_t operation, int16_t status);

#endif
