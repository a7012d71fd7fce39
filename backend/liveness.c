/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * liveness.c: decides from byte counters and the clock whether the peer is there.
 *
 * Invariants
 *  1. heard_ms is the last check that saw a counter move, or the start, or the end of a pause of our own
 *     loop; the verdict is DEAD when it is dead_ms ago.
 *  2. A check is due at least every late_ms; one that comes more than late_ms after it was due means that
 *     this node itself stood still, and the peer gets its full time again.
 *  3. On a quiet line a PING is asked for ping_ms after something was heard, and again every ping_ms.
 */
#include "backend/liveness.h"

void liveness_start(struct liveness *l, const struct liveness_config *cfg, uint64_t now_ms)
{
	*l = (struct liveness) { .cfg = *cfg, .heard_ms = now_ms, .pinged_ms = now_ms, .checked_ms = now_ms };
}

void liveness_heard(struct liveness *l, uint64_t now_ms)
{
	l->heard_ms = now_ms;
}

static uint64_t ping_due(const struct liveness *l)
{
	return (l->heard_ms > l->pinged_ms ? l->heard_ms : l->pinged_ms) + l->cfg.ping_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t liveness_deadline(const struct liveness *l)
{
	return earlier(earlier(l->heard_ms + l->cfg.dead_ms, ping_due(l)), l->checked_ms + l->cfg.late_ms);
}

enum liveness_verdict liveness_check(struct liveness *l, uint64_t received, uint64_t acked, uint64_t now_ms)
{
	bool late = now_ms > liveness_deadline(l) + l->cfg.late_ms;

	l->checked_ms = now_ms;
	if (late || received != l->received || acked != l->acked)
		l->heard_ms = now_ms;
	l->received = received;
	l->acked = acked;
	if (now_ms >= l->heard_ms + l->cfg.dead_ms)
		return LIVENESS_DEAD;
	if (!late && now_ms < ping_due(l))
		return LIVENESS_ALIVE;
	l->pinged_ms = now_ms;
	return LIVENESS_SEND_PING;
}
