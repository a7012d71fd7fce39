/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * after.h: resync-after: whose resync waits for whose. Pure.
 */
#ifndef DRBDX_BACKEND_AFTER_H
#define DRBDX_BACKEND_AFTER_H

#include <stdbool.h>
#include <stddef.h>

/* One resource of this node. */
struct after {
	const char *name;
	const char *after; /* the resource that the file names; NULL: none */
	bool resyncing;	   /* also while that is paused */
};

/* The resource of all[0..n) that the resync of all[i] waits for: the nearest one, on the way from each to the one that it names,
 * that is being resynced. NULL: for none, or all[i] is on a circle: then none of it waits. A name that nobody has ends the
 * way. */
const struct after *after_awaited(const struct after *all, size_t n, size_t i);

#endif
