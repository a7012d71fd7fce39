/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pace.c: decides when the resync may begin another copy.
 *
 * Invariants
 *  1. `limit` pays for every copy: in any time t no more begins than its rate * (t + BURST_MS) and a piece.
 *     Its rate is resync-rate if that is fixed, else c-max-rate.
 *  2. While the guest is busy, `least`, at c-min-rate, must be able to pay, too: the guest loses no more of
 *     its disk than that.
 *  3. What `least` can pay may begin whatever the window says, as long as copies end within a second: no
 *     guest and no slow disk starves the resync. It is charged for every copy, but its debt is never more
 *     than a piece: what was copied while the guest was quiet is not held against the resync.
 *  4. While the guest is quiet, the window bounds what is in flight: c-fill-target, or what makes a copy take
 *     c-delay-target. One copy is always within it.
 *  5. Only differences of the clock count; a step back counts as none, a step forward earns BURST_MS at most.
 *
 * A copy is cut to a piece, what the rate allows in PIECE_MS: smaller ones cost more of a disk that has to
 * seek, larger ones are not felt as a rate any more.
 *
 * Unlike DRBD 8.4 nothing but c-max-rate limits the copies while the guest is quiet, if the file does not say
 * so: 8.4's c-fill-target of 50 KiB is less than one copy and leaves most disks idle most of the time.
 * c-delay-target decides instead, and it is 0.1 s here, for what is in flight is what the guest's next
 * request has to wait for; no disk needs more than that to be always at work.
 */
#include "backend/pace.h"

#include <assert.h>

#define SECTOR_COST   500 /* half a KiB, in KiB/s * ms */
#define BLOCK_SECTORS 8u  /* of the bitmap: no copy is smaller, but for the disk's end */
#define BURST_MS      50  /* income that an account keeps: so late may we be asked without losing speed */
#define PIECE_MS      125u
#define QUIET_MS      500u	   /* the guest has the disk until it was quiet for so long */
#define STALL_MS      1000u	   /* copies that take longer than that end before others begin */
#define WINDOW_ONE    65536u	   /* a sector of the window */
#define WINDOW_MAX    (1ull << 26) /* sectors */
#define SHARE	      (1 << 20)	   /* the whole, of a fraction */
#define ELAPSED_MAX   (1u << 20)   /* ms; keeps products within 64 bits */

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- values ---- */

static bool given(uint32_t value)
{
	return value != PACE_NOT_GIVEN;
}

static uint32_t or_else(uint32_t value, uint32_t normal)
{
	return given(value) ? value : normal;
}

/* Who writes a rate and nothing of the c-* wants that rate. */
static uint32_t normal_plan(const struct pace_config *c)
{
	bool only_rate = given(c->rate) && !given(c->fill_target) && !given(c->delay_target_ms) &&
			 !given(c->max_rate);

	return only_rate ? 0 : PACE_PLAN_AHEAD_MS;
}

static void complete(struct pace_config *c)
{
	c->plan_ahead_ms = or_else(c->plan_ahead_ms, normal_plan(c));
	c->rate = or_else(c->rate, PACE_RATE);
	c->min_rate = or_else(c->min_rate, PACE_MIN_RATE);
	c->max_rate = or_else(c->max_rate, PACE_MAX_RATE);
	c->fill_target = or_else(c->fill_target, PACE_FILL_TARGET);
	c->delay_target_ms = or_else(c->delay_target_ms, PACE_DELAY_TARGET_MS);
	if (!c->max_rate)
		c->max_rate = UINT32_MAX;
}

static bool fixed(const struct pace *p)
{
	return !p->cfg.plan_ahead_ms;
}

/* ---- accounts ---- */

/* What is copied at once at a rate. */
static uint32_t piece(uint32_t rate, uint32_t sectors)
{
	uint64_t most = most_of((uint64_t)rate * PIECE_MS / SECTOR_COST / BLOCK_SECTORS * BLOCK_SECTORS,
				BLOCK_SECTORS);

	return (uint32_t)least_of(sectors, most);
}

static void earn(struct pace_account *a, uint32_t elapsed_ms)
{
	int64_t most = (int64_t)a->rate * BURST_MS;

	a->credit += (int64_t)a->rate * elapsed_ms;
	if (a->credit > most)
		a->credit = most;
}

/* ms until it can pay for a copy */
static uint64_t debt_ms(const struct pace_account *a)
{
	return a->credit >= 0 ? 0 : ((uint64_t)-a->credit + a->rate - 1) / a->rate;
}

static void pay(struct pace_account *a, uint32_t sectors)
{
	a->credit -= (int64_t)sectors * SECTOR_COST;
}

/* ---- time and the guest ---- */

static void advance(struct pace *p, uint64_t now_ms)
{
	uint32_t elapsed = now_ms > p->now_ms ? (uint32_t)least_of(now_ms - p->now_ms, ELAPSED_MAX) : 0;

	p->now_ms = now_ms;
	earn(&p->limit, elapsed);
	earn(&p->least, elapsed);
	p->quiet_ms = p->guest ? 0 : (uint32_t)least_of(p->quiet_ms + elapsed, QUIET_MS);
	p->adapted_ms = (uint32_t)least_of(p->adapted_ms + elapsed, p->cfg.plan_ahead_ms / 2);
}

void pace_set(struct pace *p, const struct pace_config *cfg, uint64_t now_ms)
{
	p->cfg = *cfg;
	complete(&p->cfg);
	p->now_ms = now_ms;
	p->limit = (struct pace_account){ .rate = fixed(p) ? p->cfg.rate : p->cfg.max_rate };
	p->least = (struct pace_account){ .rate = (uint32_t)least_of(p->cfg.min_rate, p->limit.rate) };
	p->window = (uint64_t)p->cfg.rate * p->cfg.delay_target_ms / SECTOR_COST;
	p->window = least_of(p->window, WINDOW_MAX) * WINDOW_ONE;
	p->adapted_ms = 0;
}

void pace_start(struct pace *p, const struct pace_config *cfg, uint64_t now_ms)
{
	*p = (struct pace){ .quiet_ms = QUIET_MS };
	pace_set(p, cfg, now_ms);
}

void pace_guest(struct pace *p, uint32_t in_flight, uint64_t now_ms)
{
	if (in_flight && p->guest) { /* busy before and after: the time is counted when that changes, or a copy asks */
		p->guest = in_flight;
		return;
	}
	advance(p, now_ms);
	if (in_flight || p->guest)
		p->quiet_ms = 0;
	p->guest = in_flight;
}

bool pace_yields(const struct pace *p)
{
	return p->least.rate && p->quiet_ms < QUIET_MS;
}

/* ---- the question ---- */

static uint32_t cut(const struct pace *p, uint32_t sectors)
{
	uint32_t n = piece(pace_yields(p) ? p->least.rate : p->limit.rate, sectors);

	if (!fixed(p) && p->cfg.fill_target && n > p->cfg.fill_target)
		n = (uint32_t)most_of(p->cfg.fill_target / BLOCK_SECTORS * BLOCK_SECTORS, BLOCK_SECTORS);
	return n < sectors ? n : sectors;
}

static bool fits(const struct pace *p, uint32_t sectors, uint64_t window)
{
	return !p->in_flight || p->in_flight + sectors <= window;
}

static uint64_t window(const struct pace *p)
{
	return fixed(p) ? UINT64_MAX : p->cfg.fill_target ? p->cfg.fill_target : p->window / WINDOW_ONE;
}

/* ms until c-min-rate allows it (invariant 3) */
static uint64_t least_wait(const struct pace *p, uint32_t sectors)
{
	if (!p->least.rate || !fits(p, sectors, (uint64_t)p->least.rate * STALL_MS / SECTOR_COST))
		return PACE_NEVER;
	return debt_ms(&p->least);
}

/* ms until guest and window allow it (invariant 4) */
static uint64_t window_wait(const struct pace *p, uint32_t sectors)
{
	if (pace_yields(p))
		return p->guest ? PACE_NEVER : QUIET_MS - p->quiet_ms;
	return fits(p, sectors, window(p)) ? 0 : PACE_NEVER;
}

uint32_t pace_allows(struct pace *p, uint32_t sectors, uint64_t now_ms, uint64_t *ask_ms)
{
	uint32_t n;
	uint64_t wait;

	advance(p, now_ms);
	n = cut(p, sectors);
	wait = most_of(debt_ms(&p->limit), least_of(least_wait(p, n), window_wait(p, n)));
	*ask_ms = wait > PACE_NEVER - now_ms ? PACE_NEVER : now_ms + wait;
	return wait ? 0 : n;
}

void pace_begun(struct pace *p, uint32_t sectors, uint64_t now_ms)
{
	int64_t most_debt;

	advance(p, now_ms);
	p->in_flight += sectors;
	pay(&p->limit, sectors);
	pay(&p->least, sectors);
	most_debt = (int64_t)piece(p->least.rate, UINT32_MAX) * SECTOR_COST;
	if (p->least.credit < -most_debt)
		p->least.credit = -most_debt;
}

/* ---- what copies teach ---- */

/*
 * The window grows or shrinks by the part of itself by which the copy was faster or slower than it should,
 * spread over c-plan-ahead.  It does not grow while less than half of it is used: that copies are fast then
 * says nothing of a full one.
 */
static void adapt(struct pace *p, uint32_t sectors, uint64_t took_ms)
{
	int64_t target = p->cfg.delay_target_ms,
		off = target - (int64_t)least_of(took_ms, 2 * (uint64_t)target);
	int64_t share = off * p->adapted_ms * SHARE / (target * p->cfg.plan_ahead_ms);

	p->adapted_ms = 0;
	if (share < 0 || 2 * p->in_flight * WINDOW_ONE >= p->window)
		p->window += (int64_t)p->window * share / SHARE;
	p->window = most_of(least_of(p->window, WINDOW_MAX * WINDOW_ONE), (uint64_t)sectors * WINDOW_ONE);
}

void pace_ended(struct pace *p, uint32_t sectors, uint64_t took_ms, uint64_t now_ms)
{
	assert(p->in_flight >= sectors);
	advance(p, now_ms);
	if (!fixed(p) && !p->cfg.fill_target && !pace_yields(p))
		adapt(p, sectors, took_ms);
	p->in_flight -= sectors;
}
