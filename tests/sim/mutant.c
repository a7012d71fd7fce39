/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutant.c: names of the planted bugs.  Where each one bites is found by its MUTANT_ name; all of them live
 * outside the core, in what surrounds it, and are chosen at run time: the objects that are tested are the
 * ones that are shipped.
 */
#include <string.h>

#include "tests/sim/sim.h"

static const char *const names[] = {
#define X(id, name) [MUTANT_##id] = name,
	MUTANTS(X)
#undef X
};

const char *mutant_name(enum mutant m)
{
	return names[m];
}

int mutant_find(const char *name)
{
	for (int m = 0; m < MUTANT_COUNT; m++)
		if (!strcmp(names[m], name))
			return m;
	return -1;
}
