/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory of one configuration: a list of chunks, freed together. */
#include "config/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 16384

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	alignas(max_align_t) unsigned char bytes[];
};

void arena_dispose(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
}

static struct arena_chunk *new_chunk(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk;

	if (size > SIZE_MAX / 2)
		longjmp(*arena->unwind, 1);
	chunk = calloc(1, sizeof(*chunk) + size);
	if (!chunk)
		longjmp(*arena->unwind, 1);
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t align = alignof(max_align_t);
	struct arena_chunk *chunk = arena->chunks;
	void *p;

	if (size > SIZE_MAX / 2)
		longjmp(*arena->unwind, 1);
	size = (size + align - 1) / align * align;
	if (!chunk || chunk->size - chunk->used < size)
		chunk = new_chunk(arena, size > CHUNK_BYTES ? size : CHUNK_BYTES);
	p = chunk->bytes + chunk->used;
	chunk->used += size;
	return p;
}

void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t size)
{
	void *p = arena_alloc(arena, size);

	if (old_size)
		memcpy(p, old, old_size);
	return p;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy = arena_alloc(arena, len + 1);

	memcpy(copy, text, len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	va_list again;
	char *text;
	int r;

	va_copy(again, args);
	r = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (r < 0)
		longjmp(*arena->unwind, 1);
	text = arena_alloc(arena, (size_t)r + 1);
	vsnprintf(text, (size_t)r + 1, format, args);
	return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = arena_vprintf(arena, format, args);
	va_end(args);
	return text;
}
