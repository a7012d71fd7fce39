/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkif.c: fuzz target: whatever is in a slot and an indirect page, what the validator lets through is sound
 *
 * Input: 8 bytes of limits (the highest bit: the slot's layout), a slot, then the indirect page.  clang -fsanitize=fuzzer,address,undefined.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backend/blkif.h"
#include "backend/slot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x) do { if (!(x)) abort(); } while (0)

static void check(const struct blkif_op *op, const struct blkif_limits *limits)
{
	uint32_t sum = 0;
	unsigned int i;

	REQUIRE(op->segments <= BLKIF_SEGMENTS_MAX);
	for (i = 0; i < op->segments; i++) {
		const struct blkif_segment *seg = &op->segment[i];

		REQUIRE(seg->first_sect <= seg->last_sect && seg->last_sect < 8);
		sum += seg->last_sect - seg->first_sect + 1u;
	}
	if (op->op == REQUEST_DISCARD) {
		REQUIRE(!op->segments && op->sectors && limits->discard && (!op->secure || limits->discard_secure));
		sum = op->sectors;
	} else {
		REQUIRE(!op->secure);
		REQUIRE(sum == op->sectors && sum <= REQUEST_SECTORS_MAX);
	}
	REQUIRE((sum == 0) == (op->op == REQUEST_FLUSH));
	REQUIRE(!op->preflush || op->op == REQUEST_WRITE);
	REQUIRE((op->op != REQUEST_WRITE && op->op != REQUEST_DISCARD) || !limits->read_only);
	if (!sum)
		return;
	REQUIRE(op->sector < limits->sectors && limits->sectors - op->sector >= sum);
	REQUIRE(op->sector * 512 % limits->block_size == 0 && sum * 512ull % limits->block_size == 0);
}

static void check_indirect(const uint8_t *data, size_t size, const struct blkif_limits *limits,
			   struct blkif_op *op)
{
	size_t bytes = op->indirect_segments * sizeof(struct blkif_request_segment);
	struct blkif_request_segment *page;
	enum blkif_verdict verdict;
	char why[8];

	REQUIRE(op->indirect_segments >= 1 && op->indirect_segments <= limits->max_segments);
	REQUIRE(op->indirect_segments <= BLKIF_SEGMENTS_MAX);
	page = calloc(1, bytes);	/* exactly as large as promised: ASan sees a byte too far */
	REQUIRE(page);
	memcpy(page, data, size < bytes ? size : bytes);
	verdict = blkif_parse_indirect(page, limits, op, why, sizeof(why));
	REQUIRE(verdict == BLKIF_OK || verdict == BLKIF_ERROR);
	if (verdict == BLKIF_OK)
		check(op, limits);
	free(page);
}

/* Out of a ring that ends with this slot: ASan sees a byte too far. */
static void read_slot(enum slot_abi abi, const uint8_t *bytes, blkif_request_t *out)
{
	size_t size = abi == SLOT_X86_32 ? 108 : 112, before = offsetof(blkif_sring_t, ring);
	uint8_t *shared = malloc(before + size);
	const blkif_back_ring_t back = { .nr_ents = 1, .sring = (blkif_sring_t *)shared };

	REQUIRE(shared);
	memcpy(shared + before, bytes, size);
	slot_read(abi, &back, 0, out);
	REQUIRE(out->operation == bytes[0] && out->nr_segments == bytes[1]);
	REQUIRE(!memcmp(&out->id, bytes + (abi == SLOT_X86_32 ? 4 : 8), size - (abi == SLOT_X86_32 ? 4 : 8)));
	free(shared);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blkif_limits limits = { .block_size = 512 };
	struct blkif_op *op = malloc(sizeof(*op));
	blkif_request_t slot;
	enum blkif_verdict verdict;
	uint64_t head;

	if (!op || size < sizeof(head) + sizeof(slot))
		goto out;
	memcpy(&head, data, sizeof(head));
	read_slot(head >> 63 ? SLOT_X86_32 : SLOT_X86_64, data + sizeof(head), &slot);
	limits.block_size <<= head % 4 == 3 ? 3 : 0;
	limits.read_only = head >> 2 & 1;
	limits.max_segments = (uint16_t)(head >> 3 & 0x1ff);
	limits.discard = head >> 14 & 1;
	limits.discard_secure = head >> 15 & 1;
	limits.sectors = head >> 12;
	if (head & 1 << 13)
		limits.sectors = UINT64_MAX;
	verdict = blkif_parse(&slot, &limits, op, NULL, 0);
	REQUIRE(op->id == slot.id);
	REQUIRE(slot.operation != BLKIF_OP_FLUSH_DISKCACHE || verdict != BLKIF_UNSUPPORTED);
	if (verdict == BLKIF_OK)
		check(op, &limits);
	if (verdict == BLKIF_NEEDS_INDIRECT)
		check_indirect(data + sizeof(head) + sizeof(slot), size - sizeof(head) - sizeof(slot),
			       &limits, op);
out:
	free(op);
	return 0;
}
