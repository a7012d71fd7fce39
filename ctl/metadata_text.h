/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_text.h: metadata as text, for people and for restore-md. docs/METADATA.md, "Dump", has the format.
 */
#ifndef DRBDX_CTL_METADATA_TEXT_H
#define DRBDX_CTL_METADATA_TEXT_H

#include <stdio.h>

#include "backend/actlog.h"
#include "backend/bitmap.h"
#include "backend/metadata.h"

struct text_flag {
	uint32_t flag;
	const char *name;
	const char *yes, *no; /* what it means, for show-gi */
};
extern const struct text_flag text_flags[]; /* ended by a NULL name */

struct metadata_text {
	struct superblock sb;
	bool snapshot;	  /* read while somebody could write */
	uint64_t sectors; /* that the bitmap describes */
	uint32_t extents[ACTLOG_EXTENTS_MAX];
	uint32_t n_extents;
	struct bitmap *bitmap; /* below full_from */
};

void metadata_text_print(FILE *out, const struct metadata_text *t);

/* -EINVAL with words "line N: …". `t` is all the text's afterwards; metadata_text_dispose() also after a
 * failure. */
int metadata_text_parse(FILE *in, struct metadata_text *t, char *why, size_t why_size);
void metadata_text_dispose(struct metadata_text *t);

#endif
