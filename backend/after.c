/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * after.c: resync-after: whose resync waits for whose.
 *
 * The configuration has no circles (config/resource.c). Still there may be one for a while: a resource that is up and no longer in the
 * file keeps what it was started with.
 */
#include "backend/after.h"

#include <string.h>

static const struct after *named(const struct after *all, size_t n, const char *name)
{
	for (size_t i = 0; name && i < n; i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	return NULL;
}

const struct after *after_awaited(const struct after *all, size_t n, size_t i)
{
	const struct after *at = named(all, n, all[i].after), *awaited = NULL;

	for (size_t steps = 0; at && steps < n; steps++) {
		if (at == &all[i])
			return NULL;
		if (!awaited && at->resyncing)
			awaited = at;
		at = named(all, n, at->after);
	}
	return awaited;
}
