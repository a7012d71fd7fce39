/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c: any bytes through wire_decode(), before a version is agreed and after. Sequence and checksum are made right first, or
 * nearly every input would end there; what is accepted must encode to the same bytes, in the version in which it came.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/crc32c.h"
#include "backend/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_version(const uint8_t *data, size_t size, uint16_t version)
{
	uint8_t in[WIRE_HEADER + WIRE_BODY_MAX], out[WIRE_HEADER + WIRE_BODY_MAX];
	uint16_t written;
	struct packet p;
	char why[200];
	uint32_t crc;
	int length;

	memcpy(in, data, size);
	length = wire_length(in, version);
	if (length < 0 || (size_t)length > size)
		return;
	memset(in + 16, 0, 8);		/* sequence 0 */
	crc = crc32c_more(crc32c(in, 28), in + WIRE_HEADER, (size_t)length - WIRE_HEADER);
	for (int i = 0; i < 4; i++)
		in[28 + i] = (uint8_t)(crc >> (24 - 8 * i));
	written = (uint16_t)(in[4] << 8 | in[5]);
	assert(written == WIRE_VERSION_INTRO || !version || written == version);
	if (!wire_decode(in, length, 0, &p, why, sizeof(why))) {
		assert(wire_encode(&p, written, 0, out) == (size_t)length);
		assert(!memcmp(in, out, (size_t)length));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < WIRE_HEADER || size > WIRE_HEADER + WIRE_BODY_MAX)
		return 0;
	try_version(data, size, 0);
	try_version(data, size, WIRE_VERSION_MAX);
	try_version(data, size, WIRE_VERSION_MAX + 1);
	return 0;
}
