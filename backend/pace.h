/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pace.h: how fast the resync goes: may another copy begin now?  Pure: the clock is an argument and may jump;
 * integers only.
 *
 * The values are DRBD's resync-rate (rate) and c-*; drbdx.conf(5) says what they mean here.  Sizes in sectors
 * of 512 bytes, rates in KiB/s, times in ms.
 */
#ifndef DRBDX_BACKEND_PACE_H
#define DRBDX_BACKEND_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_NOT_GIVEN	     UINT32_MAX
#define PACE_NEVER	     UINT64_MAX

/* What drbdx does where the file says nothing, in the units below. */
#define PACE_PLAN_AHEAD_MS   2000u /* but 0 if the rate is given, and of the c-* at most c-min-rate */
#define PACE_RATE	     250u
#define PACE_MIN_RATE	     250u
#define PACE_MAX_RATE	     102400u
#define PACE_FILL_TARGET     0u
#define PACE_DELAY_TARGET_MS 100u

/* Each may be PACE_NOT_GIVEN. */
struct pace_config {
	uint32_t plan_ahead_ms; /* c-plan-ahead; 0: the rate is fixed */
	uint32_t rate;		/* resync-rate, at least 1; not fixed: what it begins with */
	uint32_t min_rate; /* c-min-rate: what is left while the guest is busy; 0: it makes no difference */
	uint32_t max_rate; /* c-max-rate; 0: no limit */
	uint32_t fill_target;	  /* c-fill-target: sectors in flight; 0: delay_target_ms decides */
	uint32_t delay_target_ms; /* c-delay-target, at least 1: how long a copy should take */
};

/* What may be begun at `rate`: an account that goes below zero with a copy and may not begin another until it
 * is back.  Unit: KiB/s times ms, of which a sector costs 500. */
struct pace_account {
	uint32_t rate;
	int64_t credit;
};

struct pace {
	struct pace_config cfg; /* complete: nothing NOT_GIVEN */
	struct pace_account limit, least;
	uint64_t now_ms;
	uint64_t in_flight, window; /* sectors; those of the window times 65536 */
	uint32_t guest;		    /* its requests in flight */
	uint32_t quiet_ms,
		adapted_ms; /* since its last one ended, since the window was adapted; up to a bound */
};

/* Nothing is in flight. */
void pace_start(struct pace *p, const struct pace_config *cfg, uint64_t now_ms);
/* Other values from now on; what is in flight stays, what was learned begins anew. */
void pace_set(struct pace *p, const struct pace_config *cfg, uint64_t now_ms);

/* Whenever the number of the guest's requests that are not answered has changed. */
void pace_guest(struct pace *p, uint32_t in_flight, uint64_t now_ms);

/*
 * May a copy of `sectors` begin now?  Returns how many of them: all; fewer, whole blocks of 8, where so many
 * at once were too much for the rate; 0: not now.  Then *ask_ms is when to ask again at the latest,
 * PACE_NEVER: when a copy has ended or the guest's requests have changed, which are always reasons to ask
 * again.  Without a copy in flight it is never PACE_NEVER.
 */
uint32_t pace_allows(struct pace *p, uint32_t sectors, uint64_t now_ms, uint64_t *ask_ms);
void pace_begun(struct pace *p, uint32_t sectors, uint64_t now_ms);
/* every copy that has begun, however it ended */
void pace_ended(struct pace *p, uint32_t sectors, uint64_t took_ms, uint64_t now_ms);

/* for status: the guest has the disk, copies go at min_rate */
bool pace_yields(const struct pace *p);

#endif
