/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * document.h: reading the daemon's status document (docs/CONTROL.md), of which any member may be missing or
 * null.
 */
#ifndef DRBDX_CTL_DOCUMENT_H
#define DRBDX_CTL_DOCUMENT_H

#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* `key` of `object`, or of its member `outer` if that is given. */
static inline const json_t *member(const json_t *object, const char *outer, const char *key)
{
	return json_object_get(outer ? json_object_get(object, outer) : object, key);
}

static inline const char *text(const json_t *object, const char *outer, const char *key)
{
	return json_string_value(member(object, outer, key));
}

static inline long long number(const json_t *object, const char *outer, const char *key)
{
	return json_integer_value(member(object, outer, key));
}

static inline bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static inline bool equals(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* A guest or a partner may have chosen the text: nothing of it may reach a terminal as a control sequence. */
static inline void print_safe(FILE *out, const char *words)
{
	for (; *words; words++) {
		if (iscntrl((unsigned char)*words))
			fprintf(out, "\\x%02x", (unsigned char)*words);
		else
			fputc(*words, out);
	}
}

#endif
