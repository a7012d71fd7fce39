/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata.c: any block through metadata_decode() and metadata_choose(), with the checksum made right; what
 * is accepted must encode to the same bytes.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/crc32c.h"
#include "backend/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first bytes of a block from the input, the rest zero as in a real one. */
/* A write takes away what a compatible feature has, which nothing is known of. */
static int rewritten(const uint8_t *block)
{
	return block[292] || block[293] || block[294] || block[295];
}

static size_t fill(uint8_t *block, const uint8_t *data, size_t size)
{
	size_t n = size < 300 ? size : 300;
	uint32_t crc;

	memset(block, 0, METADATA_BLOCK);
	memcpy(block, data, n);
	crc = crc32c(block, METADATA_BLOCK - 4);
	for (int i = 0; i < 4; i++)
		block[METADATA_BLOCK - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t a[METADATA_BLOCK], b[METADATA_BLOCK], out[METADATA_BLOCK];
	struct superblock sb;
	char why[300];
	bool heal;
	int newer;
	size_t used = fill(a, data, size);

	fill(b, data + used, size - used);
	if (!metadata_decode(a, &sb, why, sizeof(why))) {
		metadata_encode(&sb, out);
		assert(rewritten(a) || !memcmp(a, out, METADATA_BLOCK));
	}
	if (!metadata_choose(a, b, &sb, &newer, &heal, why, sizeof(why))) {
		metadata_encode(&sb, out);
		assert(rewritten(newer ? b : a) || !memcmp(newer ? b : a, out, METADATA_BLOCK));
	}
	return 0;
}
