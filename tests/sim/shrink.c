/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shrink.c: from a schedule that fails to a short one that fails for the same oracle.
 *
 * Strikes of the fault plan, requests that the guests put into their rings, and looks of the toolstack (at which it starts, migrates or
 * destroys guests) are numbered, each kind from 0, as long as faults last.  A cut names some of them: these do not happen.  Each
 * draws its random numbers from a stream of its own, so that what is left is not changed by what is cut, as far as time allows.
 *
 * The search tries to cut runs of them, first long ones, and keeps a cut if the schedule still fails for the same oracle with a trace that
 * is not longer.  What is left is nothing that the search can do without; it need not be the shortest that there is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim.h"

#define TRIALS 3000u
#define PATIENCE 20 /* seconds of CPU time */

static const char *const names[CUT_KINDS] = {
#define X(id, name, what) [CUT_##id] = name,
	CUTS(X)
#undef X
};

/* ---- what is cut ---- */

void cut_add(struct cuts *c, enum cut kind, uint64_t from, uint64_t to, bool skip)
{
	uint64_t room = c->room[kind];

	if (to >= room) {
		c->room[kind] = to + 64;
		c->skip[kind] = realloc(c->skip[kind], c->room[kind] * sizeof(bool));
		if (!c->skip[kind])
			abort();
		memset(c->skip[kind] + room, 0, (c->room[kind] - room) * sizeof(bool));
	}
	for (uint64_t i = from; i <= to; i++)
		c->skip[kind][i] = skip;
}

void cut_free(struct cuts *c)
{
	for (int k = 0; k < CUT_KINDS; k++)
		free(c->skip[k]);
	*c = (struct cuts){ 0 };
}

/* "faults:0-3,7"; false: that is not one. */
bool cut_parse(struct cuts *c, const char *text)
{
	size_t length = strcspn(text, ":");
	char *at = (char *)text + length;
	int kind = 0;

	while (kind < CUT_KINDS && (strlen(names[kind]) != length || strncmp(text, names[kind], length)))
		kind++;
	if (kind == CUT_KINDS || !*at)
		return false;
	do {
		uint64_t from = strtoull(at + 1, &at, 10), to = from;

		if (*at == '-')
			to = strtoull(at + 1, &at, 10);
		if ((*at && *at != ',') || to < from || to > 10000000)
			return false;
		cut_add(c, kind, from, to, true);
	} while (*at);
	return true;
}

void cut_print(const struct cuts *c)
{
	for (int k = 0; k < CUT_KINDS; k++) {
		const char *before = "";

		for (uint64_t i = 0; i < c->room[k]; i++) {
			uint64_t from = i;

			if (!c->skip[k][i])
				continue;
			while (i + 1 < c->room[k] && c->skip[k][i + 1])
				i++;
			if (!*before)
				printf(" --skip %s:", names[k]);
			printf("%s%" PRIu64, before, from);
			if (i > from)
				printf("-%" PRIu64, i);
			before = ",";
		}
	}
}

/* ---- while a schedule runs ---- */

static uint64_t stream_seed(const struct sim *s, enum cut kind, uint64_t number)
{
	return s->seed * 0x9e3779b97f4a7c15ull + number * 0xc2b2ae3d27d4eb4full + (uint64_t)kind + 1;
}

/* The next of this kind: true if it is not to happen. Until cut_end() random numbers come from its own stream. */
bool cut_next(struct sim *s, enum cut kind)
{
	uint64_t number = s->numbered[kind];

	if (s->plan.stopped)
		return false;
	s->numbered[kind]++;
	random_seed(&s->own_random, stream_seed(s, kind, number));
	s->draw = &s->own_random;
	return s->cuts && number < s->cuts->room[kind] && s->cuts->skip[kind][number];
}

void cut_end(struct sim *s)
{
	s->draw = &s->random;
}

/* ---- the search ---- */

struct search {
	struct sim *s;
	struct schedule what;
	struct cuts cuts;
	enum oracle oracle;
	uint64_t lines, numbered[CUT_KINDS];	/* of the shortest so far: of its trace */
	unsigned int trials;
	clock_t until;
};

/* Is it as wrong with the present cuts, and not longer? */
static bool still_fails(struct search *x)
{
	struct totals t = { 0 };

	x->trials++;
	sim_schedule(x->s, &x->what, &t);
	if (!x->s->failed || x->s->oracle != x->oracle || x->s->lines > x->lines)
		return false;
	x->lines = x->s->lines;
	memcpy(x->numbered, x->s->numbered, sizeof(x->numbered));
	return true;
}

static bool cut_already(const struct cuts *c, enum cut kind, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++)
		if (i >= c->room[kind] || !c->skip[kind][i])
			return false;
	return true;
}

static bool try(struct search *x, enum cut kind, uint64_t from, uint64_t to)
{
	bool *before;
	bool good;

	if (x->trials >= TRIALS || clock() > x->until || cut_already(&x->cuts, kind, from, to))
		return false;
	cut_add(&x->cuts, kind, to, to, to < x->cuts.room[kind] && x->cuts.skip[kind][to]); /* makes room */
	before = sim_memory(to - from + 1, sizeof(*before));
	memcpy(before, x->cuts.skip[kind] + from, (to - from + 1) * sizeof(*before));
	cut_add(&x->cuts, kind, from, to, true);
	good = still_fails(x);
	if (!good)
		memcpy(x->cuts.skip[kind] + from, before, (to - from + 1) * sizeof(*before));
	free(before);
	return good;
}

/* True: it has become shorter. */
static bool pass(struct search *x, enum cut kind)
{
	bool shorter = false;

	for (uint64_t chunk = x->numbered[kind]; chunk; chunk /= 2)
		for (uint64_t from = 0; from < x->numbered[kind]; from += chunk) {
			uint64_t to = from + chunk - 1;

			if (to >= x->numbered[kind])
				to = x->numbered[kind] - 1;
			shorter |= try(x, kind, from, to);
		}
	return shorter;
}

/* `s` has failed. Prints the shortest schedule that was found: its trace, and how to see it again. */
void shrink(struct sim *s, const struct schedule *what, const char *program)
{
	struct search x = { .s = s, .what = *what, .oracle = s->oracle, .lines = s->lines, .until = clock() + PATIENCE * CLOCKS_PER_SEC };
	uint64_t lines = s->lines, last;

	x.what.trace = false;
	x.what.cuts = &x.cuts;
	memcpy(x.numbered, s->numbered, sizeof(x.numbered));
	for (int k = 0; what->cuts && k < CUT_KINDS; k++)
		for (uint64_t i = 0; i < what->cuts->room[k]; i++)
			if (what->cuts->skip[k][i])
				cut_add(&x.cuts, k, i, i, true);
	do {
		last = x.lines;
		for (int k = 0; k < CUT_KINDS; k++)
			pass(&x, k);
	} while (x.lines < last && x.trials < TRIALS && clock() < x.until);
	x.lines = UINT64_MAX;
	still_fails(&x);
	printf("sim: shrunk from %" PRIu64 " to %" PRIu64 " lines of its trace (%u trials): %s\n", lines, s->lines, x.trials,
	       s->violation);
	sim_print_trace(s);
	printf("to see it again: %s --seed %" PRIu64 " --seeds 1 --trace", program, what->seed);
	if (what->mutant)
		printf(" --mutant %s", mutant_name(what->mutant));
	if (what->plain)
		printf(" --plain");
	cut_print(&x.cuts);
	putchar('\n');
	cut_free(&x.cuts);
}
