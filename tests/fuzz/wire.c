/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c: any bytes through wire_decode(). Sequence and checksum are made right first, or nearly every input
 * would end there; what is accepted must encode to the same bytes.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/crc32c.h"
#include "backend/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t in[WIRE_HEADER + WIRE_BODY_MAX], out[WIRE_HEADER + WIRE_BODY_MAX];
	struct packet p;
	char why[200];
	uint32_t crc;
	int length;

	if (size < WIRE_HEADER || size > sizeof(in))
		return 0;
	memcpy(in, data, size);
	length = wire_length(in);
	if (length < 0 || (size_t)length > size)
		return 0;
	memset(in + 16, 0, 8);		/* sequence 0 */
	crc = crc32c_more(crc32c(in, 28), in + WIRE_HEADER, (size_t)length - WIRE_HEADER);
	for (int i = 0; i < 4; i++)
		in[28 + i] = (uint8_t)(crc >> (24 - 8 * i));
	if (!wire_decode(in, 0, &p, why, sizeof(why))) {
		assert(wire_encode(&p, 0, out) == (size_t)length);
		assert(!memcmp(in, out, (size_t)length));
	}
	return 0;
}
