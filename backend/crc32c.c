/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crc32c.c: isa-l's crc32_iscsi() with the usual start value and final inversion.
 */
#include "backend/crc32c.h"

#include <assert.h>
#include <limits.h>

#include <isa-l/crc.h>

uint32_t crc32c_more(uint32_t crc, const void *bytes, size_t length)
{
	assert(length <= INT_MAX);
	/* isa-l takes a pointer that is not const, but only reads. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)length, ~crc);
}

uint32_t crc32c(const void *bytes, size_t length)
{
	return crc32c_more(0, bytes, length);
}
