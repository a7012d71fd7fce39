/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.c: see gate.h.
 *
 *   open ── a barrier is next in a queue, and something is in flight ──> waiting: only this queue goes on, when nothing is in flight
 *     A                                                                     │
 *     └── the barrier has ended ── closed: nobody goes on <── it is executed ┘
 */
#include "backend/gate.h"

#include <assert.h>
#include <stddef.h>

/* A guest may put something else in place of what waits in its ring. */
static void look_again(struct gate *g, const void *queue, const struct request *next)
{
	if (g->waits == queue && !next->barrier)
		g->waits = NULL;
	else if (!g->waits && next->barrier && g->in_flight)
		g->waits = queue;
}

bool gate_opens(struct gate *g, const void *queue, const struct request *next)
{
	if (g->barrier || g->in_flight == REQUESTS_MAX)
		return false;
	if (next)
		look_again(g, queue, next);
	if (!g->waits)
		return !g->room || g->room == queue;
	return g->waits == queue && !g->in_flight;
}

void gate_enter(struct gate *g, struct request *req)
{
	assert(!g->barrier && (!req->barrier || !g->in_flight));
	assert(g->free_count || g->fresh < REQUESTS_MAX);
	req->tag = g->free_count ? g->free[--g->free_count] : (uint16_t)g->fresh++;
	g->in_flight++;
	g->barrier = req->barrier;
	if (req->barrier)
		g->waits = NULL;
}

void gate_leave(struct gate *g, const struct request *req)
{
	assert(g->in_flight && (!req->barrier || g->barrier));
	g->in_flight--;
	g->free[g->free_count++] = req->tag;
	if (req->barrier)
		g->barrier = false;
}

void gate_short(struct gate *g, const void *queue, bool no_room)
{
	if (no_room && !g->room)
		g->room = queue;
	else if (!no_room && g->room == queue)
		g->room = NULL;
}

void gate_forget(struct gate *g, const void *queue)
{
	gate_short(g, queue, false);
	if (g->waits == queue)
		g->waits = NULL;
}
