/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * endian.h: integers as they stand on the wire and on disk.  A structure around each of them makes a
 * forgotten byte swap a compile error; they are packed, so that layouts have no hidden padding and may lie at
 * any address.
 */
#ifndef DRBDX_BACKEND_ENDIAN_H
#define DRBDX_BACKEND_ENDIAN_H

#include <assert.h>
#include <endian.h>
#include <stdint.h>

struct be16 { uint16_t v; } __attribute__((packed));
static_assert(sizeof(struct be16) == 2 && _Alignof(struct be16) == 1, "be16");
struct be32 { uint32_t v; } __attribute__((packed));
static_assert(sizeof(struct be32) == 4 && _Alignof(struct be32) == 1, "be32");
struct be64 { uint64_t v; } __attribute__((packed));
static_assert(sizeof(struct be64) == 8 && _Alignof(struct be64) == 1, "be64");

static inline struct be16 put_be16(uint16_t v) { return (struct be16) { htobe16(v) }; }
static inline struct be32 put_be32(uint32_t v) { return (struct be32) { htobe32(v) }; }
static inline struct be64 put_be64(uint64_t v) { return (struct be64) { htobe64(v) }; }
static inline uint16_t get_be16(struct be16 v) { return be16toh(v.v); }
static inline uint32_t get_be32(struct be32 v) { return be32toh(v.v); }
static inline uint64_t get_be64(struct be64 v) { return be64toh(v.v); }

#endif
