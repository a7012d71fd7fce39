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
#define RECORD_VERSION 3 /* the first that was released. A later one goes on reading it: docs/RESTART.md, section 8 */
#define RECORD_QUEUES  4 /* of a guest with several queues, which a program that knows only one must not go on with */
#define RECORD_SECURE  5 /* of a guest with any number, which was offered secure discards: nor one that would ignore their flag */
#define RECORD_DOMAIN_0 6 /* of Domain 0 itself, which the others write as nobody */

static void path_of(unsigned int minor, const char *suffix, char *out, size_t size)
{
	snprintf(out, size, RECORD_PATH "%s", minor, suffix);
}

static bool scan_queues(FILE *f, struct attachment_record *a)
{
	return fscanf(f, " others %u marks %" SCNu32 " %" SCNu32 " %" SCNu32, &a->others, &a->more_marks[0], &a->more_marks[1],
		      &a->more_marks[2]) == 4 &&
	       a->others < QUEUES_MAX;
}

/* What is behind the numbers that every version has. */
static bool scan_rest(FILE *f, unsigned int version, struct attachment_record *a)
{
	unsigned int secure = version == RECORD_SECURE;

	a->attached = a->domid || version == RECORD_DOMAIN_0;
	if (version == RECORD_VERSION)
		return true;
	if (version < RECORD_QUEUES || version > RECORD_DOMAIN_0 || !scan_queues(f, a))
		return false;
	if (version == RECORD_DOMAIN_0 && (a->domid || fscanf(f, " secure %u", &secure) != 1 || secure > 1))
		return false;
	a->secure = secure;
	return a->others || a->secure || version == RECORD_DOMAIN_0;
}

static int scan(FILE *f, struct attachment_record *a)
{
	unsigned int version, handed_over, stale, held, known;
	int n = fscanf(f,
		       "version %u domid %" SCNu32 " served %" SCNu64 " reserved %" SCNx64
		       " handed_over %u stale %u held %u mark %" SCNu32 " confirmed %" SCNu64 " known %u",
		       &version, &a->domid, &a->core.served, &a->core.reserved, &handed_over, &stale,
		       &held, &a->mark, &a->core.confirmed, &known);

	if (n != 10 || !scan_rest(f, version, a))
		return -EINVAL;
	a->core.handed_over = handed_over;
	a->core.stale = stale;
	a->core.known = known;
	a->held = held;
	return 0;
}

int attachment_look(unsigned int minor, struct attachment_record *out, char *why, size_t why_size)
{
	char path[64];
	FILE *f;
	int rc;

	memset(out, 0, sizeof(*out));
	path_of(minor, "", path, sizeof(path));
	f = fopen(path, "re");
	rc = f ? scan(f, out) : -errno;
	if (f)
		fclose(f);
	if (rc == -EINVAL)
		snprintf(why, why_size, "%s is not a record that this drbdxd knows (versions %d to %d)", path, RECORD_VERSION, RECORD_DOMAIN_0);
	else if (rc)
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
	return rc;
}

int attachment_read(unsigned int minor, struct attachment_record *out)
{
	char why[160];
	int rc = attachment_look(minor, out, why, sizeof(why));

	if (rc == -EINVAL)
		log_warn(NULL, "%s: ignored", why);
	return rc;
}

static unsigned int version_of(const struct attachment_record *a)
{
	if (a->attached && !a->domid)
		return RECORD_DOMAIN_0;
	return a->secure ? RECORD_SECURE : a->others ? RECORD_QUEUES : RECORD_VERSION;
}

static int print(const char *path, const struct attachment_record *a)
{
	unsigned int version = version_of(a);
	FILE *f = fopen(path, "we");
	bool ok;

	if (!f)
		return -errno;
	ok = fprintf(f,
		     "version %u domid %" PRIu32 " served %" PRIu64 " reserved %" PRIx64
		     " handed_over %d stale %d held %d mark %" PRIu32 " confirmed %" PRIu64 " known %d",
		     version, a->domid, a->core.served, a->core.reserved, a->core.handed_over,
		     a->core.stale, a->held, a->mark, a->core.confirmed, a->core.known) > 0;
	if (version != RECORD_VERSION)
		ok = ok && fprintf(f, " others %u marks %" PRIu32 " %" PRIu32 " %" PRIu32, a->others, a->more_marks[0], a->more_marks[1],
				   a->more_marks[2]) > 0;
	if (version == RECORD_DOMAIN_0)
		ok = ok && fprintf(f, " secure %d", a->secure) > 0;
	ok = ok && fputc('\n', f) != EOF;
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
	if (record->attached)
		log_error(NULL,
			  "%s cannot be written (%s): after the next start of drbdxd, domain %" PRIu32 " has to be started anew",
			  path, strerror(-rc), record->domid);
	else
		log_error(NULL, "%s cannot be written (%s): after the next start of drbdxd, no guest starts without the partner",
			  path, strerror(-rc));
	unlink(next);
	unlink(path);
}

struct attachment attachment_of_host(const struct attachment *core)
{
	return (struct attachment){ .confirmed = core->confirmed, .known = core->known };
}

void attachment_forget(unsigned int minor, const struct attachment *core)
{
	const struct attachment_record record = { .core = attachment_of_host(core) };
	char path[64];

	if (core->confirmed || core->known) {
		attachment_write(minor, &record);
		return;
	}
	path_of(minor, "", path, sizeof(path));
	unlink(path);
}

bool attachment_needs_table(const struct attachment_record *record)
{
	return record->core.served && !record->core.handed_over && !record->core.stale;
}
