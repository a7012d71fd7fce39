/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layout.c: fields that the wire and the metadata share, and the check of texts.  Pure.
 */
#include "backend/layout.h"

#include <string.h>

#include "backend/request.h"

struct be_generations put_generations(const struct generations *g)
{
	return (struct be_generations) {
		put_be64(g->current), put_be64(g->bitmap), put_be64(g->history[0]), put_be64(g->history[1]),
	};
}

struct generations get_generations(const struct be_generations *b)
{
	return (struct generations) {
		.current = get_be64(b->current), .bitmap = get_be64(b->bitmap),
		.history = { get_be64(b->history_0), get_be64(b->history_1) },
	};
}

struct be_features put_features(const struct features *f)
{
	return (struct be_features) {
		.sectors = put_be64(f->sectors), .block_size = put_be32(f->block_size),
		.max_segments = put_be16(f->max_segments), .ring_order = f->ring_order,
		.queues = f->queues, .discard = f->discard, .discard_unit = f->discard_unit,
		.discard_secure = f->discard_secure,
	};
}

struct features get_features(const struct be_features *b)
{
	return (struct features) {
		.sectors = get_be64(b->sectors), .block_size = get_be32(b->block_size),
		.max_segments = get_be16(b->max_segments), .ring_order = b->ring_order,
		.queues = b->queues, .discard = b->discard, .discard_unit = b->discard_unit,
		.discard_secure = b->discard_secure,
	};
}

bool all_zero(const void *bytes, size_t length)
{
	const uint8_t *p = bytes;

	return !length || (!p[0] && !memcmp(p, p + 1, length - 1));
}

bool features_zero(const struct features *f)
{
	return !f->sectors && !f->block_size && !f->max_segments && !f->ring_order && !f->queues &&
	       !f->discard && !f->discard_unit && !f->discard_secure;
}

const char *discard_unit_check(uint8_t unit)
{
	return !unit || (unit >= DISCARD_UNIT_MIN && unit <= DISCARD_UNIT_MAX) ? NULL : "the unit of discards is impossible";
}

const char *features_check(const struct features *f, const struct be_features *raw)
{
	if (raw && !all_zero(raw->zero, sizeof(raw->zero)))
		return "reserved bytes of the features are not zero";
	if (f->block_size != 512 && f->block_size != 4096)
		return "the block size is neither 512 nor 4096 bytes";
	if (!f->sectors || f->sectors > LAYOUT_SECTORS_MAX || f->sectors % (f->block_size / 512))
		return "the size of the disk is impossible";
	if (!f->max_segments || f->max_segments > LAYOUT_SEGMENTS_MAX)
		return "the number of segments is impossible";
	if (f->ring_order > LAYOUT_RING_ORDER_MAX)
		return "the ring order is impossible";
	if (!f->queues)
		return "the number of queues is impossible";
	if (f->discard > 1 || f->discard_secure > 1)
		return "discard or discard_secure is neither 0 nor 1";
	return discard_unit_check(f->discard_unit);
}

/* Length in bytes of the UTF-8 character at `s` (`left` bytes there), 0 if it is not valid or a control
 * character (C0, DEL, C1). */
static size_t character(const uint8_t *s, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 :
		   (s[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t c;

	if (n == 1)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (!n || n > left)
		return 0;
	c = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || (c >= 0x80 && c < 0xa0))
		return 0;
	return n;
}

bool text_valid(const char *field, size_t size)
{
	size_t length = strnlen(field, size), n;

	for (size_t i = 0; i < length; i += n) {
		n = character((const uint8_t *)field + i, length - i);
		if (!n)
			return false;
	}
	return all_zero(field + length, size - length);
}

void put_text(char *field, size_t size, const char *text)
{
	size_t length = strlen(text), used = 0, n;

	memset(field, 0, size);
	for (size_t i = 0; i < length; i += n) {
		n = character((const uint8_t *)text + i, length - i);
		if (used + (n ? n : 1) > size)
			return;
		memcpy(field + used, n ? text + i : "?", n ? n : 1);
		used += n ? n : 1;
		n = n ? n : 1;
	}
}

void get_text(char *text, const char *field, size_t size)
{
	memcpy(text, field, size);
	text[size] = '\0';
}
