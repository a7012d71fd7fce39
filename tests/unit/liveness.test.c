/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * liveness.test.c: a simulated clock, a peer that lives or not, a loop that is late or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>

#include <cmocka.h>

#include "backend/liveness.h"

static const struct liveness_config config = { .dead_ms = 1500, .ping_ms = 500, .late_ms = 300 };
static struct liveness l;

/* Checks whenever one is due until `until`; the counters stand still. Returns when the peer was found
 * dead, 0 if it was not. */
static uint64_t silence(uint64_t until, unsigned int *pings)
{
	uint64_t at;

	while ((at = liveness_deadline(&l)) <= until)
		switch (liveness_check(&l, l.received, l.acked, at)) {
		case LIVENESS_DEAD:
			return at;
		case LIVENESS_SEND_PING:
			if (pings)
				(*pings)++;
			break;
		case LIVENESS_ALIVE:
			break;
		}
	return 0;
}

static void a_silent_peer_is_dead_exactly_after_dead_ms(void **state)
{
	(void)state;
	for (uint64_t start = 0; start < 5000; start += 777) {
		liveness_start(&l, &config, start);
		assert_int_equal(silence(start + 10000, NULL), start + 1500);
	}
}

static void a_quiet_line_is_asked(void **state)
{
	unsigned int pings = 0;

	(void)state;
	liveness_start(&l, &config, 0);
	silence(1499, &pings);
	assert_int_equal(pings, 2);	/* at 500 and at 1000 */
}

static void a_received_byte_is_life(void **state)
{
	(void)state;
	liveness_start(&l, &config, 0);
	assert_int_equal(silence(1400, NULL), 0);
	assert_int_not_equal(liveness_check(&l, 1, 0, 1400), LIVENESS_DEAD);
	assert_int_equal(silence(9999, NULL), 2900);
}

static void an_acknowledged_byte_is_life(void **state)
{
	(void)state;
	liveness_start(&l, &config, 0);
	assert_int_equal(silence(1499, NULL), 0);
	assert_int_not_equal(liveness_check(&l, 0, 1, 1500), LIVENESS_DEAD);
	assert_int_equal(silence(9999, NULL), 3000);
}

static void a_byte_told_at_once_counts_from_then(void **state)
{
	(void)state;
	liveness_start(&l, &config, 0);
	assert_int_equal(silence(700, NULL), 0);
	liveness_heard(&l, 710);
	assert_int_equal(silence(9999, NULL), 2210);
}

static void a_late_loop_starts_again(void **state)
{
	enum liveness_verdict v;

	(void)state;
	liveness_start(&l, &config, 0);
	assert_int_equal(silence(1000, NULL), 0);
	v = liveness_check(&l, 0, 0, 60000);		/* this node stood still for a minute */
	assert_int_equal(v, LIVENESS_SEND_PING);
	assert_int_equal(silence(99999, NULL), 61500);
}

static void a_little_late_is_not_late(void **state)
{
	(void)state;
	liveness_start(&l, &config, 0);
	assert_int_equal(silence(1499, NULL), 0);
	assert_int_equal(liveness_check(&l, 0, 0, 1500 + 299), LIVENESS_DEAD);
}

static void configured_values_are_followed(void **state)
{
	struct liveness_config slow = { .dead_ms = 10000, .ping_ms = 3000, .late_ms = 1000 };
	unsigned int pings = 0;

	(void)state;
	liveness_start(&l, &slow, 0);
	assert_int_equal(silence(99999, &pings), 10000);
	assert_int_equal(pings, 3);
}

/* A random run: the peer sends or acknowledges at least every 1499 - 300 ms; checks come when due or up to
 * 300 ms late, or after a pause of ours. */
static void a_live_peer_is_never_dead(void **state)
{
	uint64_t now = 0, received = 0, acked = 0, last = 0;

	(void)state;
	srandom(1);
	liveness_start(&l, &config, 0);
	for (unsigned int i = 0; i < 200000; i++) {
		uint64_t due = liveness_deadline(&l);

		now = (due > now ? due : now) + (uint64_t)(random() % 300);
		if (random() % 50 == 0)
			now = due + 301 + (uint64_t)(random() % 100000);
		if (now - last > 500 || random() % 4 == 0) {
			if (random() % 2)
				received += 1 + (uint64_t)random() % 5000;
			else
				acked++;
			last = now;
		}
		assert_int_not_equal(liveness_check(&l, received, acked, now), LIVENESS_DEAD);
	}
}

/* A random run after which the peer falls silent: found dead between dead_ms and dead_ms + one interval +
 * the lateness of the checks. */
static void a_dead_peer_is_always_found_in_time(void **state)
{
	(void)state;
	srandom(2);
	for (unsigned int run = 0; run < 2000; run++) {
		uint64_t now = 0, received = 0, last = 0;
		unsigned int left = (unsigned int)random() % 30;
		enum liveness_verdict v;

		liveness_start(&l, &config, 0);
		do {
			now = liveness_deadline(&l) + (uint64_t)(random() % 100);
			if (left && left--) {
				received++;
				last = now;
			}
			v = liveness_check(&l, received, 0, now);
			assert_true(now < last + 1700);
		} while (v != LIVENESS_DEAD);
		assert_true(now >= last + 1500);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_silent_peer_is_dead_exactly_after_dead_ms),
		cmocka_unit_test(a_quiet_line_is_asked),
		cmocka_unit_test(a_received_byte_is_life),
		cmocka_unit_test(an_acknowledged_byte_is_life),
		cmocka_unit_test(a_byte_told_at_once_counts_from_then),
		cmocka_unit_test(a_late_loop_starts_again),
		cmocka_unit_test(a_little_late_is_not_late),
		cmocka_unit_test(configured_values_are_followed),
		cmocka_unit_test(a_live_peer_is_never_dead),
		cmocka_unit_test(a_dead_peer_is_always_found_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
