/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pace.c with simulated disks of every speed, guests of every kind, a loop that is late, and a clock that
 * jumps.  The disk serves one request after the other; `delay` is the line to the partner.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/pace.h"
#include "tests/property/random.h"

#define SLOTS_MAX  256
#define GUESTS_MAX 32
#define BEGUN_MAX  400000
#define NG	   PACE_NOT_GIVEN

struct disk {
	uint32_t kib_s, seek_us, delay_us;
	uint64_t free_us;
};

struct op {
	bool busy;
	uint32_t sectors;
	uint64_t begun_us, end_us;
};

/* What the guest does: `depth` requests at once, a new one `pause_us` after one has ended. */
struct load {
	uint32_t depth, sectors, pause_us;
	bool random_pause;
};

static struct {
	struct pace pace;
	bool unpaced;
	struct disk disk;
	struct load load;
	uint32_t slots, copy_sectors, late_ms;
	uint64_t now_us, ask_us;
	struct op copy[SLOTS_MAX], guest[GUESTS_MAX];
	uint64_t guest_at[GUESTS_MAX];
	uint32_t copies, guests;
	/* what was seen */
	uint64_t copied, guest_done, guest_longest_us, guest_sum_us, took_sum_ms, took_count, most_in_flight;
	struct {
		uint64_t at_ms;
		uint32_t sectors;
	} begun[BEGUN_MAX];
	uint32_t begun_count;
} w;

static uint64_t now_ms(void)
{
	return w.now_us / 1000;
}

static void submit(struct op *op, uint32_t sectors, uint32_t delay_us)
{
	uint64_t from = w.disk.free_us > w.now_us ? w.disk.free_us : w.now_us;

	w.disk.free_us = from + w.disk.seek_us + (uint64_t)sectors * 1000000 / 2 / w.disk.kib_s;
	*op = (struct op){ true, sectors, w.now_us, w.disk.free_us + delay_us };
}

static struct op *free_op(struct op *ops, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!ops[i].busy)
			return &ops[i];
	return NULL;
}

/* As resync.c asks. */
static void begin_copies(void)
{
	uint64_t ask = PACE_NEVER;
	uint32_t n;

	w.ask_us = PACE_NEVER;
	while (w.copies < w.slots) {
		n = w.unpaced ? w.copy_sectors : pace_allows(&w.pace, w.copy_sectors, now_ms(), &ask);
		if (!n) {
			assert_true(ask > now_ms());
			assert_true(w.copies || ask != PACE_NEVER);
			if (ask != PACE_NEVER)
				w.ask_us = (ask + (w.late_ms ? pick(w.late_ms + 1) : 0)) * 1000;
			return;
		}
		assert_true(n == w.copy_sectors || (n < w.copy_sectors && n % 8 == 0));
		submit(free_op(w.copy, w.slots), n, w.disk.delay_us);
		w.copies++;
		pace_begun(&w.pace, n, now_ms());
		if (w.pace.in_flight > w.most_in_flight)
			w.most_in_flight = w.pace.in_flight;
		assert_true(w.begun_count < BEGUN_MAX);
		w.begun[w.begun_count].at_ms = now_ms();
		w.begun[w.begun_count++].sectors = n;
	}
}

static void end_copies(void)
{
	for (uint32_t i = 0; i < w.slots; i++) {
		struct op *op = &w.copy[i];

		if (!op->busy || op->end_us > w.now_us)
			continue;
		op->busy = false;
		w.copies--;
		w.copied += op->sectors;
		w.took_sum_ms += now_ms() - op->begun_us / 1000;
		w.took_count++;
		pace_ended(&w.pace, op->sectors, now_ms() - op->begun_us / 1000, now_ms());
	}
}

static uint64_t pause_of_guest(void)
{
	return w.load.random_pause ? pick(2 * w.load.pause_us + 1) : w.load.pause_us;
}

static void run_guest(void)
{
	for (uint32_t i = 0; i < w.load.depth; i++) {
		struct op *op = &w.guest[i];

		if (op->busy && op->end_us <= w.now_us) {
			uint64_t took = op->end_us - op->begun_us;

			op->busy = false;
			w.guests--;
			w.guest_done++;
			w.guest_sum_us += took;
			if (took > w.guest_longest_us)
				w.guest_longest_us = took;
			w.guest_at[i] = w.now_us + pause_of_guest();
			pace_guest(&w.pace, w.guests, now_ms());
		}
		if (!op->busy && w.guest_at[i] <= w.now_us) {
			submit(op, w.load.sectors, 0);
			w.guests++;
			pace_guest(&w.pace, w.guests, now_ms());
		}
	}
}

static uint64_t next_event(void)
{
	uint64_t next = w.ask_us;

	for (uint32_t i = 0; i < w.slots; i++)
		if (w.copy[i].busy && w.copy[i].end_us < next)
			next = w.copy[i].end_us;
	for (uint32_t i = 0; i < w.load.depth; i++) {
		uint64_t at = w.guest[i].busy ? w.guest[i].end_us : w.guest_at[i];

		if (at < next)
			next = at;
	}
	return next;
}

static void run_until(uint64_t until_ms)
{
	while (w.now_us < until_ms * 1000) {
		uint64_t next;

		end_copies();
		run_guest();
		begin_copies();
		next = next_event();
		assert_true(next != UINT64_MAX);
		w.now_us = next > w.now_us ? next : w.now_us + 1;
	}
}

static void forget_what_was_seen(void)
{
	w.copied = w.guest_done = w.guest_longest_us = w.guest_sum_us = w.took_sum_ms = w.took_count = 0;
	w.begun_count = 0;
	w.most_in_flight = 0;
}

static struct pace_config nothing_given(void)
{
	return (struct pace_config){ NG, NG, NG, NG, NG, NG };
}

static void world(struct disk disk, const struct pace_config *cfg)
{
	memset(&w, 0, offsetof(typeof(w), begun));
	w.begun_count = 0;
	w.disk = disk;
	w.slots = 16;
	w.copy_sectors = 128;
	w.now_us = 1000000 + (uint64_t)pick(1000000);
	w.ask_us = PACE_NEVER;
	pace_start(&w.pace, cfg, now_ms());
}

static void with_guest(struct load load)
{
	w.load = load;
	for (uint32_t i = 0; i < load.depth; i++)
		w.guest_at[i] = w.now_us;
}

/* Between 100 KiB/s and 1 GiB/s, each order of magnitude as often. */
static uint32_t any_rate(void)
{
	uint32_t rate = 100;

	for (uint32_t doublings = pick(14); doublings; doublings--)
		rate *= 2;
	rate += pick(rate);
	return rate < 1u << 20 ? rate : 1u << 20;
}

/* The most and the least that began in any second of what was seen, in KiB. */
static void extremes(uint64_t from_ms, uint64_t to_ms, uint64_t *most, uint64_t *least)
{
	uint64_t sum = 0;
	uint32_t tail = 0;

	*most = 0;
	for (uint32_t i = 0; i < w.begun_count; i++) {
		sum += w.begun[i].sectors;
		while (w.begun[tail].at_ms + 1000 <= w.begun[i].at_ms)
			sum -= w.begun[tail++].sectors;
		*most = sum > *most ? sum : *most;
	}
	*least = UINT64_MAX;
	for (uint64_t t = from_ms; t + 1000 <= to_ms; t += 100) {
		sum = 0;
		for (uint32_t i = 0; i < w.begun_count && w.begun[i].at_ms < t + 1000; i++)
			sum += w.begun[i].at_ms >= t ? w.begun[i].sectors : 0;
		*least = sum < *least ? sum : *least;
	}
	*most /= 2;
	*least /= 2;
}

#define within(value, low, high, ...)                                                                        \
	do {                                                                                                 \
		uint64_t v_ = (value), l_ = (low), h_ = (high);                                              \
		if (v_ < l_ || v_ > h_) {                                                                    \
			print_error("%s = %llu, not within %llu and %llu: ", #value, (unsigned long long)v_, \
				    (unsigned long long)l_, (unsigned long long)h_);                         \
			print_error(__VA_ARGS__);                                                            \
			fail();                                                                              \
		}                                                                                            \
	} while (0)

/* A disk that does at least that many KiB/s. */
static struct disk faster_than(uint32_t rate)
{
	return (struct disk){ .kib_s = rate * 2, .seek_us = 0, .delay_us = pick(1000) };
}

static void a_fixed_rate_is_held(void **state)
{
	(void)state;
	for (int run = 0; run < 40; run++) {
		struct pace_config cfg = nothing_given();
		uint64_t from, most, least;

		cfg.rate = any_rate();
		if (one_in(2))
			cfg.plan_ahead_ms = 0, cfg.max_rate = 1;
		world(faster_than(cfg.rate), &cfg);
		w.copy_sectors = cfg.rate > 100000 ? 2048 : 128;
		w.late_ms = pick(6);
		run_until(now_ms() + 2000);
		forget_what_was_seen();
		from = now_ms();
		run_until(from + 10000);
		within(w.copied / 20, cfg.rate * 9ull / 10, cfg.rate * 11ull / 10, "rate %u\n", cfg.rate);
		extremes(from, from + 10000, &most, &least);
		within(most, 0, cfg.rate * 12ull / 10, "rate %u\n", cfg.rate);
		within(least, cfg.rate * 8ull / 10, UINT64_MAX, "rate %u\n", cfg.rate);
	}
}

static struct load any_load(void)
{
	return (struct load){ .depth = 1 + pick(GUESTS_MAX),
			      .sectors = 8u << pick(6),
			      .pause_us = one_in(2) ? pick(5000) : pick(2000000),
			      .random_pause = one_in(2) };
}

static void max_rate_is_never_exceeded(void **state)
{
	(void)state;
	for (int run = 0; run < 60; run++) {
		struct pace_config cfg = nothing_given();
		struct disk disk = { .kib_s = any_rate() * 4,
				     .seek_us = pick(2000),
				     .delay_us = pick(20000) };
		uint64_t most, least;

		cfg.max_rate = any_rate();
		cfg.min_rate = one_in(3) ? 0 : one_in(2) ? any_rate() : NG;
		cfg.fill_target = one_in(3) ? pick(100000) : NG;
		cfg.rate = one_in(2) ? any_rate() : NG;
		world(disk, &cfg);
		w.copy_sectors = cfg.max_rate > 100000 ? 2048 : 128;
		w.late_ms = pick(20);
		if (one_in(2)) {
			with_guest(any_load());
			w.load.pause_us |=
				256; /* a guest that never rests on a fast disk costs too many events */
		}
		run_until(now_ms() + 6000);
		extremes(0, 0, &most, &least);
		within(most, 0, cfg.max_rate * 12ull / 10, "max-rate %u\n", cfg.max_rate);
	}
}

static uint64_t speed_of(struct disk disk, const struct pace_config *cfg, bool unpaced)
{
	world(disk, cfg);
	w.unpaced = unpaced;
	run_until(now_ms() + 15000);
	forget_what_was_seen();
	run_until(now_ms() + 10000);
	return w.copied / 20;
}

static void an_idle_disk_is_used_at_full_speed(void **state)
{
	(void)state;
	for (int run = 0; run < 30; run++) {
		struct pace_config cfg = nothing_given();
		struct disk disk = { .kib_s = any_rate(), .seek_us = pick(10000), .delay_us = pick(20000) };
		uint64_t full = speed_of(disk, &cfg, true), paced = speed_of(disk, &cfg, false);

		/* of a disk that takes a good part of c-delay-target for one copy there may be no second one
		 * in flight */
		bool slow = disk.seek_us + 64 * 1000000ull / disk.kib_s > 30000;

		full = full < PACE_MAX_RATE ? full : PACE_MAX_RATE;
		within(paced, full * (slow ? 6 : 9) / 10, full * 12 / 10,
		       "disk %u KiB/s, seek %u, delay %u us\n", disk.kib_s, disk.seek_us, disk.delay_us);
	}
}

static void a_copy_takes_what_c_delay_target_says(void **state)
{
	(void)state;
	for (int run = 0; run < 30; run++) {
		struct pace_config cfg = nothing_given();
		/* the line to the partner is never more than a part of the target */
		struct disk disk = { .kib_s = 2000 + pick(30000), .delay_us = pick(20000) };
		uint64_t took;

		cfg.delay_target_ms = 100 * (1 + pick(4));
		cfg.max_rate = 0;
		cfg.plan_ahead_ms = 500 * (1 + pick(8));
		world(disk, &cfg);
		w.slots = SLOTS_MAX;
		run_until(now_ms() + 10 * cfg.plan_ahead_ms + 5000);
		forget_what_was_seen();
		run_until(now_ms() + 10000);
		took = w.took_sum_ms / w.took_count;
		if (w.most_in_flight < SLOTS_MAX * 128)
			within(took, cfg.delay_target_ms * 8 / 10,
			       cfg.delay_target_ms * 12 / 10 + 64000 / disk.kib_s,
			       "disk %u KiB/s, delay %u us\n", disk.kib_s, disk.delay_us);
		within(w.copied / 20, disk.kib_s * 9 / 10, disk.kib_s * 11 / 10, "disk %u KiB/s\n",
		       disk.kib_s);
	}
}

static void a_disk_that_gets_slower_gets_less(void **state)
{
	struct pace_config cfg = nothing_given();

	(void)state;
	world((struct disk){ .kib_s = 80000, .delay_us = 500 }, &cfg);
	w.slots = SLOTS_MAX;
	run_until(now_ms() + 20000);
	w.disk.kib_s = 4000;
	run_until(now_ms() + 15000);
	forget_what_was_seen();
	run_until(now_ms() + 5000);
	within(w.took_sum_ms / w.took_count, 60, 140, "a slower disk\n");
	w.disk.kib_s = 80000;
	run_until(now_ms() + 15000);
	forget_what_was_seen();
	run_until(now_ms() + 5000);
	within(w.copied / 10, 72000, 88000, "a faster disk\n");
}

static void c_fill_target_is_in_flight(void **state)
{
	(void)state;
	for (int run = 0; run < 30; run++) {
		struct pace_config cfg = nothing_given();

		cfg.fill_target = 1 + pick(20000);
		cfg.min_rate = 0;
		cfg.max_rate = 0;
		world((struct disk){ .kib_s = 5000 + pick(50000), .delay_us = pick(100000) }, &cfg);
		w.slots = SLOTS_MAX;
		run_until(now_ms() + 3000);
		within(w.most_in_flight,
		       cfg.fill_target >= 128 ? cfg.fill_target - 127 : cfg.fill_target & ~7u,
		       cfg.fill_target > 8 ? cfg.fill_target : 8, "fill target %u\n", cfg.fill_target);
	}
}

static void the_guest_never_starves_the_resync(void **state)
{
	(void)state;
	for (int run = 0; run < 60; run++) {
		struct pace_config cfg = nothing_given();
		uint64_t from, most, least, rate;

		cfg.min_rate = one_in(3) ? NG : 100 + pick(8000);
		if (one_in(3))
			cfg.plan_ahead_ms = 0, cfg.rate = any_rate();
		/* it can do twice the rate, and what the guest has in the queue takes less than a second */
		world((struct disk){ .kib_s = 40000 + pick(200000),
				     .seek_us = pick(5000),
				     .delay_us = pick(20000) },
		      &cfg);
		with_guest(any_load());
		rate = w.pace.least.rate;
		if (rate * 2 > 64 * 1000000ull / (w.disk.seek_us + 64 * 1000000ull / w.disk.kib_s))
			w.disk.seek_us = 0;
		w.late_ms = pick(30);
		w.slots = 64; /* what limits is to be the pace */
		run_until(now_ms() + 2000);
		forget_what_was_seen();
		from = now_ms();
		run_until(from + 10000);
		extremes(from, from + 10000, &most, &least);
		/* a second may begin with the debt of a piece, and end just before one */
		within(least, rate * 7 / 10, UINT64_MAX, "min-rate %llu, depth %u, pause %u us\n",
		       (unsigned long long)rate, w.load.depth, w.load.pause_us);
		within(w.copied / 20, rate * 9 / 10, UINT64_MAX, "min-rate %llu, depth %u, pause %u us\n",
		       (unsigned long long)rate, w.load.depth, w.load.pause_us);
	}
}

static void a_busy_guest_loses_no_more_than_c_min_rate(void **state)
{
	(void)state;
	for (int run = 0; run < 40; run++) {
		struct pace_config cfg = nothing_given();
		struct load load = { .depth = 1 + pick(16),
				     .sectors = 8u << pick(5),
				     .pause_us = pick(400000),
				     .random_pause = false };
		uint64_t most, least;

		cfg.min_rate = one_in(2) ? NG : 100 + pick(8000);
		if (one_in(3))
			cfg.plan_ahead_ms = 0, cfg.rate = 10240;
		world((struct disk){ .kib_s = 20000 + pick(200000), .seek_us = 100 + pick(2000) }, &cfg);
		run_until(now_ms() + 5000);
		with_guest(load);
		run_until(now_ms() + 1000);
		forget_what_was_seen();
		run_until(now_ms() + 8000);
		extremes(0, 0, &most, &least);
		within(most, 0, w.pace.least.rate * 12ull / 10, "min-rate %u\n", w.pace.least.rate);
	}
}

/* A guest that saturates the disk does as many requests as the disk without the copies' share allows. */
static void a_busy_guest_keeps_its_latency(void **state)
{
	(void)state;
	for (int run = 0; run < 10; run++) {
		struct pace_config cfg = nothing_given();
		struct disk disk = { .kib_s = 50000 + pick(200000), .seek_us = 200 + pick(4000) };
		struct load load = { .depth = 8, .sectors = 8 };
		uint64_t alone, copy_us = 8 * (disk.seek_us + 32 * 1000000ull / disk.kib_s);

		world(disk, &cfg);
		w.slots = 0;
		with_guest(load);
		run_until(now_ms() + 10000);
		alone = w.guest_done;
		world(disk, &cfg);
		run_until(now_ms() + 5000);
		with_guest(load);
		run_until(now_ms() + 1000);
		forget_what_was_seen();
		run_until(now_ms() + 10000);
		within(w.guest_done, alone * (1000000 - copy_us * 12 / 10) / 1000000, UINT64_MAX,
		       "alone %llu\n", (unsigned long long)alone);
		within(w.guest_longest_us, 0, 8 * (disk.seek_us + 80) + 3 * copy_us / 8 + 1000, "longest\n");
	}
}

/* A request after a pause waits for what is in flight: c-delay-target, not more. */
static void a_quiet_guests_next_request_waits_for_c_delay_target(void **state)
{
	(void)state;
	for (int run = 0; run < 20; run++) {
		struct pace_config cfg = nothing_given();

		world((struct disk){ .kib_s = 2000 + pick(50000), .seek_us = pick(5000) }, &cfg);
		w.slots = SLOTS_MAX;
		run_until(now_ms() + 15000);
		with_guest((struct load){ .depth = 1, .sectors = 8, .pause_us = 3000000 });
		run_until(now_ms() + 30000);
		within(w.guest_longest_us, 0, 160000, "disk %u KiB/s\n", w.disk.kib_s);
	}
}

/* Any order of events, times that jump: a copy is allowed within the time that the rate asks for. */
static void a_clock_that_jumps_stops_nothing(void **state)
{
	(void)state;
	for (int run = 0; run < 2000; run++) {
		struct pace_config cfg = { .plan_ahead_ms = pick(3) ? NG : pick(30001),
					   .rate = 1 + pick(1u << (1 + pick(22))),
					   .min_rate = 1 + pick(1u << (1 + pick(22))),
					   .max_rate = pick(3) ? NG : pick(1u << (1 + pick(22))),
					   .fill_target = pick(2) ? NG : pick(1u << (1 + pick(20))),
					   .delay_target_ms = 100 * (1 + pick(100)) };
		uint64_t now = random_word() >> (4 + pick(58)), flying = 0, ask, waited;
		struct pace p;

		pace_start(&p, &cfg, now);
		for (int event = 0; event < 50; event++) {
			uint32_t n, sectors = 1 + pick(2048);

			now = one_in(10) ? random_word() >> (4 + pick(58)) : now + pick(300);
			if (one_in(3))
				pace_guest(&p, pick(3), now);
			if (one_in(20))
				pace_set(&p, &cfg, now);
			n = pace_allows(&p, sectors, now, &ask);
			assert_true(n <= sectors && ask >= now && (n || ask > now));
			if (n && flying < 1u << 20) {
				pace_begun(&p, n, now);
				flying += n;
			} else if (flying && one_in(2)) {
				n = 1 + pick(flying < 4096 ? (uint32_t)flying : 4096);
				pace_ended(&p, n, random_word() >> pick(64), now);
				flying -= n;
			}
			assert_int_equal(p.in_flight, flying);
		}
		pace_guest(&p, 1, now);
		pace_ended(&p, (uint32_t)flying, 1, now);
		for (waited = 0; !pace_allows(&p, 2048, now, &ask); now = ask) {
			assert_true(ask > now && ask != PACE_NEVER);
			waited += ask - now;
		}
		within(waited, 0, 200 + 2048 * 500ull / p.least.rate, "rate %u\n", p.least.rate);
	}
}

/* ---- one thing at a time ---- */

static void copies_go_on_when_the_guest_was_quiet_for_half_a_second(void **state)
{
	struct pace_config cfg = nothing_given();
	struct pace p;
	uint64_t ask;

	(void)state;
	cfg.min_rate = 1;
	pace_start(&p, &cfg, 1000);
	pace_guest(&p, 1, 1000);
	pace_begun(&p, pace_allows(&p, 128, 1000, &ask), 1000);
	pace_ended(&p, 8, 1, 1001);
	assert_int_equal(pace_allows(&p, 128, 1100, &ask), 0);
	assert_true(ask > 4000); /* a block of 4 KiB is what 1 KiB/s gives in 4 s */
	pace_guest(&p, 0, 1200);
	assert_int_equal(pace_allows(&p, 128, 1200, &ask), 0);
	assert_int_equal(ask, 1700);
	assert_int_equal(pace_allows(&p, 128, 1699, &ask), 0);
	assert_int_equal(pace_allows(&p, 128, 1700, &ask), 128);
}

static void a_request_that_takes_long_keeps_the_guest_busy(void **state)
{
	struct pace_config cfg = nothing_given();
	struct pace p;
	uint64_t ask;

	(void)state;
	pace_start(&p, &cfg, 0);
	pace_guest(&p, 1, 0);
	for (uint64_t now = 0; now < 10000; now += 100) {
		pace_allows(&p, 128, now, &ask);
		assert_true(pace_yields(&p));
	}
}

static void a_clock_that_goes_back_earns_nothing(void **state)
{
	struct pace_config cfg = nothing_given();
	uint64_t now = 1000000, ask;
	uint32_t n, begun = 0;
	struct pace p;

	(void)state;
	cfg.rate = 1000;
	pace_start(&p, &cfg, now);
	for (int i = 0; i < 1000; i++, now -= 10)
		while ((n = pace_allows(&p, 128, now, &ask))) {
			pace_begun(&p, n, now);
			begun += n;
		}
	assert_int_equal(begun, 128);
	assert_true(ask <= now + 200);
}

static void a_loop_that_was_away_makes_up_for_little(void **state)
{
	struct pace_config cfg = nothing_given();
	uint32_t n, begun = 0;
	struct pace p;
	uint64_t ask;

	(void)state;
	cfg.rate = 1000;
	pace_start(&p, &cfg, 0);
	while ((n = pace_allows(&p, 128, 10000, &ask))) {
		pace_begun(&p, n, 10000);
		begun += n;
	}
	assert_int_equal(begun, 128); /* one piece; 50 ms are 100 sectors */
}

/* What waits on a disk that cannot do c-min-rate is no more than a second of it. */
static void a_disk_below_c_min_rate_is_not_buried(void **state)
{
	struct pace_config cfg = nothing_given();

	(void)state;
	world((struct disk){ .kib_s = 60 }, &cfg);
	w.slots = SLOTS_MAX;
	with_guest((struct load){ .depth = 1, .sectors = 8, .pause_us = 1000 });
	run_until(now_ms() + 60000);
	within(w.most_in_flight, 8, 2 * PACE_MIN_RATE, "busy\n");
	world((struct disk){ .kib_s = 60 }, &cfg);
	w.slots = SLOTS_MAX;
	run_until(now_ms() + 60000);
	within(w.most_in_flight, 8, 2 * PACE_MIN_RATE, "quiet\n");
}

static void copies_beside_a_busy_guest_teach_nothing(void **state)
{
	struct pace_config cfg = nothing_given();
	uint64_t before;

	(void)state;
	world((struct disk){ .kib_s = 30000, .seek_us = 500 }, &cfg);
	w.slots = SLOTS_MAX;
	run_until(now_ms() + 15000);
	before = w.pace.window;
	forget_what_was_seen();
	with_guest((struct load){ .depth = GUESTS_MAX, .sectors = 512 });
	run_until(now_ms() + 10000);
	assert_true(w.took_sum_ms / w.took_count > 100);
	within(w.pace.window, before * 8 / 10, before * 12 / 10, "the window\n");
}

static void a_window_that_is_not_used_does_not_grow(void **state)
{
	struct pace_config cfg = nothing_given();

	(void)state;
	world((struct disk){ .kib_s = 50000 }, &cfg);
	w.slots = 4;
	run_until(now_ms() + 60000);
	w.slots = SLOTS_MAX;
	w.disk.kib_s = 1000;
	run_until(now_ms() + 500);
	within(w.most_in_flight, 4 * 128, 3 * 4 * 128, "4 slots\n");
}

static void a_very_slow_disk_may_become_fast(void **state)
{
	struct pace_config cfg = nothing_given();

	(void)state;
	cfg.min_rate = 0;
	world((struct disk){ .kib_s = 200, .delay_us = 5000 }, &cfg);
	w.slots = SLOTS_MAX;
	run_until(now_ms() + 100000);
	w.disk.kib_s = 50000;
	run_until(now_ms() + 15000);
	forget_what_was_seen();
	run_until(now_ms() + 5000);
	within(w.copied / 10, 45000, 55000, "a faster disk\n");
}

static uint32_t plan_of(struct pace_config cfg)
{
	struct pace p;

	pace_start(&p, &cfg, 0);
	return p.cfg.plan_ahead_ms;
}

static void a_rate_that_stands_alone_is_fixed(void **state)
{
	(void)state;
	assert_int_equal(plan_of(nothing_given()), PACE_PLAN_AHEAD_MS);
	assert_int_equal(plan_of((struct pace_config){ NG, 10240, NG, NG, NG, NG }), 0);
	assert_int_equal(plan_of((struct pace_config){ NG, 10240, 4096, NG, NG, NG }), 0);
	assert_int_equal(plan_of((struct pace_config){ NG, 10240, NG, 50000, NG, NG }), PACE_PLAN_AHEAD_MS);
	assert_int_equal(plan_of((struct pace_config){ NG, 10240, NG, NG, 0, NG }), PACE_PLAN_AHEAD_MS);
	assert_int_equal(plan_of((struct pace_config){ NG, 10240, NG, NG, NG, 1000 }), PACE_PLAN_AHEAD_MS);
	assert_int_equal(plan_of((struct pace_config){ 700, 10240, NG, NG, NG, NG }), 700);
	assert_int_equal(plan_of((struct pace_config){ 0, NG, NG, NG, NG, NG }), 0);
}

static void no_yielding_with_c_min_rate_0(void **state)
{
	struct pace_config cfg = nothing_given();

	(void)state;
	cfg.rate = 5000;
	cfg.min_rate = 0;
	world((struct disk){ .kib_s = 100000, .seek_us = 100 }, &cfg);
	with_guest((struct load){ .depth = 4, .sectors = 8, .pause_us = 100 });
	assert_false(pace_yields(&w.pace));
	run_until(now_ms() + 1000);
	forget_what_was_seen();
	run_until(now_ms() + 10000);
	within(w.copied / 20, 4500, 5500, "rate 5000\n");
}

static void new_values_count_at_once(void **state)
{
	struct pace_config cfg = nothing_given();

	(void)state;
	cfg.rate = 100;
	world((struct disk){ .kib_s = 100000 }, &cfg);
	run_until(now_ms() + 5000);
	assert_true(w.copied / 2 < 600);
	cfg.rate = 20000;
	pace_set(&w.pace, &cfg, now_ms());
	forget_what_was_seen();
	run_until(now_ms() + 5000);
	within(w.copied / 10, 18000, 22000, "rate 20000\n");
}

static int seed(void **state)
{
	(void)state;
	random_begin();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fixed_rate_is_held),
		cmocka_unit_test(max_rate_is_never_exceeded),
		cmocka_unit_test(an_idle_disk_is_used_at_full_speed),
		cmocka_unit_test(a_copy_takes_what_c_delay_target_says),
		cmocka_unit_test(a_disk_that_gets_slower_gets_less),
		cmocka_unit_test(c_fill_target_is_in_flight),
		cmocka_unit_test(the_guest_never_starves_the_resync),
		cmocka_unit_test(a_busy_guest_loses_no_more_than_c_min_rate),
		cmocka_unit_test(a_busy_guest_keeps_its_latency),
		cmocka_unit_test(a_quiet_guests_next_request_waits_for_c_delay_target),
		cmocka_unit_test(a_clock_that_jumps_stops_nothing),
		cmocka_unit_test(copies_go_on_when_the_guest_was_quiet_for_half_a_second),
		cmocka_unit_test(a_request_that_takes_long_keeps_the_guest_busy),
		cmocka_unit_test(a_clock_that_goes_back_earns_nothing),
		cmocka_unit_test(a_loop_that_was_away_makes_up_for_little),
		cmocka_unit_test(a_disk_below_c_min_rate_is_not_buried),
		cmocka_unit_test(copies_beside_a_busy_guest_teach_nothing),
		cmocka_unit_test(a_window_that_is_not_used_does_not_grow),
		cmocka_unit_test(a_very_slow_disk_may_become_fast),
		cmocka_unit_test(a_rate_that_stands_alone_is_fixed),
		cmocka_unit_test(no_yielding_with_c_min_rate_0),
		cmocka_unit_test(new_values_count_at_once),
	};

	return cmocka_run_group_tests(tests, seed, NULL);
}
