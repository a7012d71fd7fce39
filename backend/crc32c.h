/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crc32c.h: CRC32C (Castagnoli, as iSCSI and ext4 use it) by isa-l, which uses the processor's instruction.
 */
#ifndef DRBDX_BACKEND_CRC32C_H
#define DRBDX_BACKEND_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Check value: crc32c("123456789", 9) is 0xe3069283.  A checksum over two pieces is crc32c_more(crc32c(a,
 * …), b, …). */
uint32_t crc32c(const void *bytes, size_t length);
uint32_t crc32c_more(uint32_t crc, const void *bytes, size_t length);

#endif
