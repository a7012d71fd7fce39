/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * document.h: reads the field tables of a normative document: rows "| name | number | number | …" below a
 * heading.
 */
#ifndef DRBDX_TESTS_DOCUMENT_H
#define DRBDX_TESTS_DOCUMENT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/layout.h"

/* The whole file; tests run from the top directory. */
static inline char *document_read(const char *path)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, (1 << 20) - 1, f) : 0;

	if (f)
		fclose(f);
	assert_true(n > 0);
	return text;
}

/* Compares the first table with offsets below `heading` ("### INTRO") with `fields`. */
static inline void document_compare(const char *text, const char *heading, const struct layout_field *fields)
{
	char start[80], name[64];
	const char *line, *end;
	size_t offset, size, row = 0;

	snprintf(start, sizeof(start), "\n%s\n", heading);
	line = strstr(text, start);
	if (!line)
		fail_msg("the document has no section '%s'", heading);
	line += strlen(start);
	end = strstr(line, "\n#");
	for (; line && (!end || line < end); line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (sscanf(line, "| %63s | %zu | %zu |", name, &offset, &size) != 3)
			continue;
		if (!fields[row].name)
			fail_msg("%s: the code has no field '%s'", heading, name);
		if (strcmp(name, fields[row].name) || offset != fields[row].offset ||
		    size != fields[row].size)
			fail_msg("%s: '%s' at %zu, %zu bytes; in the code '%s' at %zu, %zu bytes", heading,
				 name, offset, size, fields[row].name, fields[row].offset, fields[row].size);
		row++;
	}
	if (fields[row].name)
		fail_msg("%s: the document lacks '%s'", heading, fields[row].name);
}

#endif
