/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attachment.c: the record of an attachment, as one line of numbers.  It is replaced as a whole, so that a daemon
 * that dies leaves the old one or the new one; there is nothing to flush, for it lives in memory.
 */
#include "backend/attachment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/log.h"

#define RECORD_PATH "/run/drbdx/minor-%u.attachment"
#define RECORD_VERSION 1

static void path_of(unsigned int minor, const char *suffix, char *out, size_t size)
{
	snprintf(out, size, RECORD_PATH "%s", minor, suffix);
}

static int scan(FILE *f, struct attachment_record *a)
{
	unsigned int version, handed_over, stale, drained, held;
	int n = fscanf(f,
		       "version %u domid %" SCNu32 " served %" SCNu64 " reserved %" SCNx64
		       " handed_over %u stale %u drained %u held %u mark %" SCNu32,
		       &version, &a->domid, &a->core.served, &a->core.reserved, &handed_over, &stale, &drained,
		       &held, &a->mark);

	if (n != 9 || version != RECORD_VERSION)
		return -EINVAL;
	a->core.handed_over = handed_over;
	a->core.stale = stale;
	a->drained = drained;
	a->held = held;
	return 0;
}

int attachment_read(unsigned int minor, struct attachment_record *out)
{
	char path[64];
	FILE *f;
	int rc;

	memset(out, 0, sizeof(*out));
	path_of(minor, "", path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ENOENT : -errno;
	rc = scan(f, out);
	fclose(f);
	if (rc)
		log_warn(NULL, "%s is not a record of this version: ignored", path);
	return rc;
}

static int print(const char *path, const struct attachment_record *a)
{
	FILE *f = fopen(path, "we");
	bool ok;

	if (!f)
		return -errno;
	ok = fprintf(f,
		     "version %u domid %" PRIu32 " served %" PRIu64 " reserved %" PRIx64
		     " handed_over %d stale %d drained %d held %d mark %" PRIu32 "\n",
		     RECORD_VERSION, a->domid, a->core.served, a->core.reserved, a->core.handed_over,
		     a->core.stale, a->drained, a->held, a->mark) > 0;
	if (fclose(f) || !ok)
		return errno ? -errno : -EIO;
	return 0;
}

void attachment_write(unsigned int minor, const struct attachment_record *record)
{
	char path[64], next[64];
	int rc;

	path_of(minor, "", path, sizeof(path));
	path_of(minor, ".new", next, sizeof(next));
	rc = print(next, record);
	if (!rc && rename(next, path))
		rc = -errno;
	if (!rc)
		return;
	log_error(NULL, "%s cannot be written (%s): after the next start of drbdxd, domain %" PRIu32 " has to be started anew",
		  path, strerror(-rc), record->domid);
	unlink(next);
	unlink(path);
}

void attachment_forget(unsigned int minor)
{
	char path[64];

	path_of(minor, "", path, sizeof(path));
	unlink(path);
}

bool attachment_may_go_on(const struct attachment_record *record)
{
	return record->drained || record->core.handed_over || record->core.stale || !record->core.served;
}
