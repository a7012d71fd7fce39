/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layout.h: what the wire (wire.c) and the metadata (metadata.c) have in common: how generations, features
 * and names are laid out and checked, and the description of a field that docs/PROTOCOL.md and
 * docs/METADATA.md are compared with.
 */
#ifndef DRBDX_BACKEND_LAYOUT_H
#define DRBDX_BACKEND_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/endian.h"
#include "backend/metadata.h"

#define LAYOUT_SECTORS_MAX    (1ull << 41) /* 1 PiB: the largest disk, in 512-byte sectors */
/* more than any version offers: a bound for checks, not an offer */
#define LAYOUT_SEGMENTS_MAX   4096u
#define LAYOUT_RING_ORDER_MAX 8u

struct layout_field {
	const char *name;
	size_t offset, size; /* bytes */
};

struct be_generations {
	struct be64 current, bitmap, history_0, history_1;
};
static_assert(sizeof(struct be_generations) == 32, "generations");

struct be_features {
	struct be64 sectors;
	struct be32 block_size;
	struct be16 max_segments;
	uint8_t ring_order, queues, discard, discard_unit, discard_secure, zero[5];
};
static_assert(sizeof(struct be_features) == 24 && offsetof(struct be_features, zero) == 19, "features");

struct be_generations put_generations(const struct generations *g);
struct generations get_generations(const struct be_generations *b);
struct be_features put_features(const struct features *f);
struct features get_features(const struct be_features *b);

bool all_zero(const void *bytes, size_t length);
bool features_zero(const struct features *f);
/* NULL, or what is impossible about them, in words. */
const char *discard_unit_check(uint8_t unit);
const char *features_check(const struct features *f, const struct be_features *raw);

/* A text field of fixed size: UTF-8 without control characters, padded with NUL (all of `size` may be
 * used). */
bool text_valid(const char *field, size_t size);
/* cut at a character's boundary if too long, control characters become '?' */
void put_text(char *field, size_t size, const char *text);
void get_text(char *text, const char *field, size_t size); /* `text` has size + 1 bytes */

#endif
