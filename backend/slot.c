/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slot.c: see slot.h.
 *
 * The indices at the start of a ring, where its slots begin, and how many there are, are the same in both layouts (asserted below), so
 * there is one back ring; only the place of a slot and what is in it differ.
 *
 * A request of x86_32 is one of x86_64 without the four bytes of padding behind its first four: every field that follows is where it is
 * in x86_64, less 4, whatever the operation (asserted below, for each).
 */
#include "backend/slot.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define HEAD 4u /* operation, then what is in the three bytes behind it */
#define PAD  4u /* of x86_64 */

/* ---- x86_32 ---- */

/* As blkif.h's structures are for a compiler that aligns a uint64_t to 4 bytes. */
#define X86_32 __attribute__((packed, aligned(4)))

struct request_x86_32 {
	uint8_t head[HEAD];
	uint64_t id;
	uint64_t sector_number;
	struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
} X86_32;

struct response_x86_32 { /* with its padding spelled out: none is left unwritten */
	uint64_t id;
	uint8_t operation;
	uint8_t zero;
	int16_t status;
} X86_32;

DEFINE_RING_TYPES(slot_x86_32, struct request_x86_32, struct response_x86_32);

static_assert(sizeof(struct request_x86_32) == 108, "x86_32 layout of a request");
static_assert(sizeof(struct response_x86_32) == 12 && offsetof(struct response_x86_32, status) == 10, "x86_32 layout of a response");
static_assert(sizeof(union slot_x86_32_sring_entry) == 108, "x86_32 layout of a slot");
static_assert(sizeof(struct request_x86_32) + PAD == sizeof(blkif_request_t), "the padding is all that is missing");

#define SHIFTED(type, field, offset32) static_assert(offsetof(type, field) == (offset32) + PAD, #field " of x86_32")
SHIFTED(blkif_request_t, id, offsetof(struct request_x86_32, id));
SHIFTED(blkif_request_t, sector_number, offsetof(struct request_x86_32, sector_number));
SHIFTED(blkif_request_t, seg, offsetof(struct request_x86_32, seg));
/* blkif.h: u8 operation, u8 indirect_op, u16 nr_segments, u64 id, u64 sector_number, u16 handle, u16 of nothing, u32 indirect_grefs[] */
SHIFTED(blkif_request_indirect_t, id, 4);
SHIFTED(blkif_request_indirect_t, sector_number, 12);
SHIFTED(blkif_request_indirect_t, handle, 20);
SHIFTED(blkif_request_indirect_t, indirect_grefs, 24);
/* u8 operation, u8 flag, u16 handle, u64 id, u64 sector_number, u64 nr_sectors */
SHIFTED(blkif_request_discard_t, id, 4);
SHIFTED(blkif_request_discard_t, sector_number, 12);
SHIFTED(blkif_request_discard_t, nr_sectors, 20);
#undef SHIFTED

/* ---- x86_64 ---- */

struct response_x86_64 {
	uint64_t id;
	uint8_t operation;
	uint8_t zero;
	int16_t status;
	uint32_t zero2;
};
static_assert(sizeof(struct response_x86_64) == sizeof(blkif_response_t), "response");
static_assert(offsetof(struct response_x86_64, status) == offsetof(blkif_response_t, status), "response");
static_assert(sizeof(union blkif_sring_entry) == 112, "x86_64 layout of a slot");

/* ---- what is the same ---- */

static_assert(offsetof(slot_x86_32_sring_t, ring) == offsetof(blkif_sring_t, ring), "the slots begin at one place");
static_assert(offsetof(slot_x86_32_sring_t, rsp_event) == offsetof(blkif_sring_t, rsp_event), "the indices are at one place");
#define SAME_SLOTS(order)                                                                       \
	static_assert(__CONST_RING_SIZE(slot_x86_32, 4096u << (order)) == 32u << (order) &&       \
			      __CONST_RING_SIZE(blkif, 4096u << (order)) == 32u << (order),       \
		      "32 slots a page")
SAME_SLOTS(0);
SAME_SLOTS(1);
SAME_SLOTS(2);
SAME_SLOTS(3);
SAME_SLOTS(4);
#undef SAME_SLOTS

/* The macro's volatile is on the pointer, not on what it points to: forbid the compiler a second look. */
static void looked_once(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static slot_x86_32_back_ring_t as_x86_32(const blkif_back_ring_t *ring)
{
	return (slot_x86_32_back_ring_t){ .nr_ents = ring->nr_ents, .sring = (slot_x86_32_sring_t *)ring->sring };
}

static void read_x86_32(const blkif_back_ring_t *ring, RING_IDX index, blkif_request_t *out)
{
	const slot_x86_32_back_ring_t back = as_x86_32(ring);
	struct request_x86_32 copy;
	uint8_t *to = (uint8_t *)out;

	RING_COPY_REQUEST(&back, index, &copy);
	looked_once();
	memcpy(to, copy.head, HEAD);
	memset(to + HEAD, 0, PAD);
	memcpy(to + HEAD + PAD, (const uint8_t *)&copy + HEAD, sizeof(copy) - HEAD);
}

void slot_read(enum slot_abi abi, const blkif_back_ring_t *ring, RING_IDX index, blkif_request_t *out)
{
	if (abi == SLOT_X86_32) {
		read_x86_32(ring, index, out);
		return;
	}
	RING_COPY_REQUEST(ring, index, out);
	looked_once();
}

void slot_answer(enum slot_abi abi, blkif_back_ring_t *ring, RING_IDX index, uint64_t id, uint8_t operation, int16_t status)
{
	if (abi == SLOT_X86_32) {
		const struct response_x86_32 response = { .id = id, .operation = operation, .status = status };
		const slot_x86_32_back_ring_t back = as_x86_32(ring);

		memcpy(RING_GET_RESPONSE(&back, index), &response, sizeof(response));
	} else {
		const struct response_x86_64 response = { .id = id, .operation = operation, .status = status };

		memcpy(RING_GET_RESPONSE(ring, index), &response, sizeof(response));
	}
}
