/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_create.c: create-md: what it refuses to overwrite, and what it writes.
 *
 * Crash argument: the superblock comes last, after log and bitmap are durable. Cut before its first copy is
 * durable, nothing has been created; later, everything has.
 */
#include "backend/metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/actlog.h"
#include "backend/layout.h"
#include "backend/metadata_private.h"

#define LOG_BYTES  ((size_t)ACTLOG_BLOCKS * ACTLOG_BLOCK)
#define ZERO_CHUNK (1u << 20) /* bytes written at a time where nothing faster zeroes */

static int in_use(const struct metadata_geometry *g, const char *name, char *why, size_t why_size)
{
	return say(
		-EBUSY, why, why_size,
		"%s: resource '%s' is in use by a guest, or its host died while it was: without a guest, 'backend-ctl up %s' and "
		"'backend-ctl down %s' once first",
		g->place, name, name, name);
}

int metadata_of_another(const struct metadata_geometry *g, const char *name, char *why, size_t why_size)
{
	return say(-EBUSY, why, why_size,
		   "%s holds the metadata of resource '%s': correct meta-disk in the configuration, or 'backend-ctl wipe-md %s' while it is "
		   "configured there",
		   g->place, name, name);
}

/* May the superblock that is there, if any, be replaced?  *ours: there is one, and it may. */
static int look_for_ours(const struct metadata_geometry *g, const struct copies *copies, const char *name,
			 bool force, bool *ours, char *why, size_t why_size)
{
	struct superblock sb;
	char words[120];
	int rc;

	/* each copy by itself: a lone one, or two that contradict each other, is somebody's, too */
	for (int i = 0; i < 2; i++) {
		rc = metadata_decode(copies->block[i], &sb, words, sizeof(words));
		if (rc == -EPROTONOSUPPORT)
			return say(-EBUSY, why, why_size, "%s holds %s; wipe-md --force removes them",
				   g->place, words);
		if (rc)
			continue;
		if (strcmp(sb.name, name))
			return metadata_of_another(g, sb.name, why, why_size);
		if (sb.flags & SB_IN_USE)
			return in_use(g, sb.name, why, why_size);
		if (!force)
			return say(-EEXIST, why, why_size, "%s already holds metadata of resource '%s'",
				   g->place, sb.name);
		*ours = true;
	}
	return 0;
}

static int check_name(const char *name, char *why, size_t why_size)
{
	char field[METADATA_NAME_MAX] = "";

	if (!name[0] || strlen(name) > METADATA_NAME_MAX)
		return say(-EINVAL, why, why_size, "the resource's name must have 1 to %u bytes",
			   METADATA_NAME_MAX);
	memcpy(field, name, strlen(name));
	if (!text_valid(field, sizeof(field)))
		return say(-EINVAL, why, why_size, "the resource's name is not plain UTF-8 text");
	return 0;
}

/* ---- writing ---- */

static int zero_by_writing(int fd, uint64_t offset, uint64_t bytes)
{
	size_t chunk = bytes < ZERO_CHUNK ? bytes : ZERO_CHUNK;
	uint8_t *zeros = aligned_alloc(METADATA_BLOCK, chunk);
	int rc = zeros ? 0 : -ENOMEM;

	if (zeros)
		memset(zeros, 0, chunk);
	for (uint64_t at = 0; !rc && at < bytes; at += chunk)
		rc = metadata_write_at(fd, offset + at, zeros, bytes - at < chunk ? bytes - at : chunk);
	free(zeros);
	return rc;
}

/* Only what a file has: its holes are zero already, and stay holes. */
static int zero_file(int fd, uint64_t offset, uint64_t bytes)
{
	off_t end = (off_t)(offset + bytes), from = (off_t)offset, to;
	int rc = 0;

	while (!rc && from < end) {
		from = lseek(fd, from, SEEK_DATA);
		if (from < 0)
			return errno == ENXIO ? 0 : -errno;
		to = lseek(fd, from, SEEK_HOLE);
		if (to < 0)
			return -errno;
		from &= ~(off_t)(METADATA_BLOCK - 1);
		to = (to + METADATA_BLOCK - 1) & ~(off_t)(METADATA_BLOCK - 1);
		to = to < end ? to : end;
		if (from < to && fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, from, to - from))
			rc = zero_by_writing(fd, (uint64_t)from, (uint64_t)(to - from));
		from = to;
	}
	return rc;
}

int metadata_zero(int fd, uint64_t offset, uint64_t bytes)
{
	uint64_t range[2] = { offset, bytes };
	struct stat st;
	int rc;

	if (!bytes)
		return 0;
	if (fstat(fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode))
		rc = ioctl(fd, BLKZEROOUT, range) ? -errno : 0;
	else
		rc = zero_file(fd, offset, bytes);
	if (!rc && fdatasync(fd))
		rc = -errno;
	return rc;
}

static int format_log(int fd, const struct metadata_geometry *g)
{
	uint8_t *area = aligned_alloc(METADATA_BLOCK, LOG_BYTES);
	int rc = area ? 0 : -ENOMEM;

	if (area) {
		actlog_format(area);
		rc = metadata_write_at(fd, g->log, area, LOG_BYTES);
	}
	if (!rc && fdatasync(fd))
		rc = -errno;
	free(area);
	return rc;
}

/* One after the other, so that a power cut leaves either the old state or none. */
static int forget_copies(int fd, const struct metadata_geometry *g)
{
	int rc = metadata_zero(fd, g->copy[0], METADATA_BLOCK);

	return rc ? rc : metadata_zero(fd, g->copy[1], METADATA_BLOCK);
}

static int cannot_write(const struct metadata_geometry *g, int rc, char *why, size_t why_size)
{
	return rc ? say(rc, why, why_size, "%s cannot be written: %s", g->place, strerror(-rc)) : 0;
}

/* The highest number of the copies that are whole. */
static uint64_t last_sequence(const struct copies *copies)
{
	uint64_t last = 0;
	struct superblock sb;

	for (int i = 0; i < 2; i++)
		if (!metadata_decode(copies->block[i], &sb, NULL, 0) && sb.sequence > last)
			last = sb.sequence;
	return last;
}

int metadata_take(int fd, const struct metadata_geometry *g, const char *name, bool force, uint64_t *sequence,
		  char *why, size_t why_size)
{
	struct copies copies;
	bool ours = false;
	int rc;

	rc = check_name(name, why, why_size);
	if (!rc)
		rc = metadata_copies(fd, g, &copies, why, why_size);
	if (!rc)
		rc = look_for_ours(g, &copies, name, force, &ours, why, why_size);
	if (!rc && !ours && !force)
		rc = metadata_look_for_others(fd, g, &copies, why, why_size);
	if (rc)
		return rc;
	*sequence = last_sequence(&copies);
	return cannot_write(g, forget_copies(fd, g), why, why_size);
}

int metadata_write_first(int fd, const struct metadata_geometry *g, struct superblock *sb, char *why,
			 size_t why_size)
{
	return metadata_write_both(fd, g, sb, 0, why, why_size);
}

/* The bitmap need not be written if nobody reads it: with full_from 0. */
static int write_areas(int fd, const struct metadata_geometry *g, const struct metadata_new *new)
{
	uint64_t bitmap = metadata_bitmap_bytes(new->sectors);
	int rc = format_log(fd, g);

	if (!rc && new->assume_clean)
		rc = metadata_zero(fd, g->bitmap, bitmap < g->bitmap_bytes ? bitmap : g->bitmap_bytes);
	return rc;
}

int metadata_create(int fd, const struct metadata_geometry *g, const struct metadata_new *new, char *why,
		    size_t why_size)
{
	struct superblock sb = {
		.flags = SB_JUST_CREATED | (new->assume_clean ? SB_CONSISTENT | SB_BITMAP_SUMMED : 0),
		.full_from = new->assume_clean ? METADATA_NO_FULL : 0,
		.al_extents = new->al_extents,
		.layout = g->layout,
	};
	int rc;

	if (getrandom(sb.device_uuid, sizeof(sb.device_uuid), 0) != sizeof(sb.device_uuid))
		return say(-EIO, why, why_size, "no randomness");
	rc = metadata_take(fd, g, new->name, new->force, &sb.sequence, why, why_size);
	if (rc)
		return rc;
	snprintf(sb.name, sizeof(sb.name), "%s", new->name);
	rc = cannot_write(g, write_areas(fd, g, new), why, why_size);
	return rc ? rc : metadata_write_first(fd, g, &sb, why, why_size);
}

/* May what is there be wiped?  *seen: there is something of drbdx. */
static int look_before_wiping(const struct metadata_geometry *g, const uint8_t *block, const char *name,
			      bool force, bool *seen, char *why, size_t why_size)
{
	struct superblock sb;
	char words[120];
	int rc = metadata_decode(block, &sb, words, sizeof(words));

	if (rc == -EBADMSG && memcmp(block, METADATA_MAGIC, 8))
		return 0;
	*seen = true;
	if (rc)
		return force ? 0
			     : say(-EEXIST, why, why_size, "%s holds what is no resource's: %s", g->place,
				   words);
	if (strcmp(sb.name, name))
		return metadata_of_another(g, sb.name, why, why_size);
	if (sb.flags & SB_IN_USE)
		return in_use(g, sb.name, why, why_size);
	return 0;
}

int metadata_wipe(int fd, const struct metadata_geometry *g, const char *name, bool force, char *why,
		  size_t why_size)
{
	struct copies copies;
	bool seen = false;
	int rc = metadata_copies(fd, g, &copies, why, why_size);

	for (int i = 0; !rc && i < 2; i++)
		rc = look_before_wiping(g, copies.block[i], name, force, &seen, why, why_size);
	if (rc)
		return rc;
	if (!seen)
		return say(-ENODATA, why, why_size, "%s holds no metadata of drbdx: nothing is to be done", g->place);
	rc = forget_copies(fd, g);
	return cannot_write(g, rc ? rc : metadata_zero(fd, g->start, g->bytes), why, why_size);
}
