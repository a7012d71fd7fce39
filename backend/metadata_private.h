/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_private.h: what the files metadata*.c share.
 */
#ifndef DRBDX_BACKEND_METADATA_PRIVATE_H
#define DRBDX_BACKEND_METADATA_PRIVATE_H

#include "backend/metadata.h"

#define METADATA_MAGIC "drbdxmd1"

/* Both copies as they are; aligned, since fd may be O_DIRECT. */
struct copies {
	uint8_t block[2][METADATA_BLOCK];
} __attribute__((aligned(METADATA_BLOCK)));

int metadata_copies(int fd, const struct metadata_geometry *g, struct copies *copies, char *why,
		    size_t why_size);

/* 0 or -EEXIST with words: data of others in the place or on the device (metadata_probe.c). */
int metadata_look_for_others(int fd, const struct metadata_geometry *g, const struct copies *copies,
			     char *why, size_t why_size);

/* Writes `sb` to both copies, the one that `newer` does not name first. */
int metadata_write_both(int fd, const struct metadata_geometry *g, struct superblock *sb, int newer,
			char *why, size_t why_size);

/* Puts words into `why`, which may be NULL, and returns rc. */
int metadata_say(int rc, char *why, size_t why_size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
#define say metadata_say

#endif
