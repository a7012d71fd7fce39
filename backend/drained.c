/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drained.c: one small file a resource.
 */
#include "backend/drained.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/log.h"

#define DRAINED_PATH "/run/drbdx/minor-%u.drained"

static void path_of(unsigned int minor, char *out, size_t size)
{
	snprintf(out, size, DRAINED_PATH, minor);
}

void drained_record(unsigned int minor, uint32_t domid)
{
	char path[64];
	FILE *f;
	bool ok;

	path_of(minor, path, sizeof(path));
	f = fopen(path, "we");
	ok = f && fprintf(f, "%" PRIu32 "\n", domid) > 0;
	if (f && fclose(f))
		ok = false;
	if (ok)
		return;
	log_warn(NULL, "%s cannot be written (%s): domain %" PRIu32 " has to be started anew", path,
		 strerror(errno), domid);
	unlink(path);
}

bool drained_recorded(unsigned int minor, uint32_t domid)
{
	char path[64];
	uint32_t recorded;
	FILE *f;
	bool same;

	path_of(minor, path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return false;
	same = fscanf(f, "%" SCNu32, &recorded) == 1 && recorded == domid;
	fclose(f);
	return same;
}

void drained_forget(unsigned int minor)
{
	char path[64];

	path_of(minor, path, sizeof(path));
	unlink(path);
}
