/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of one configuration: taken piece by piece, given back at once, so no error path can leak.
 * When memory runs out, the functions that take it do not return: they jump to `unwind`, which config_load()
 * sets.
 */
#ifndef DRBDX_CONFIG_ARENA_H
#define DRBDX_CONFIG_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	jmp_buf *unwind;
};

void arena_dispose(struct arena *);					   /* idempotent */
void *arena_alloc(struct arena *, size_t size);				   /* zeroed, aligned for any type */
void *arena_grow(struct arena *, void *old, size_t old_size, size_t size); /* a larger copy; `old` stays */
char *arena_strndup(struct arena *, const char *, size_t len);
char *arena_strdup(struct arena *, const char *);
char *arena_printf(struct arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *, const char *format, va_list) __attribute__((format(printf, 2, 0)));

#endif
