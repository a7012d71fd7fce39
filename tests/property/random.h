/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random.h: the numbers of a property test.  Each run takes a fresh seed and prints it; DRBDX_SEED=N repeats
 * one.
 */
#ifndef DRBDX_TESTS_RANDOM_H
#define DRBDX_TESTS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t random_state;

/* splitmix64 */
static inline uint64_t random_word(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint32_t pick(uint32_t below)
{
	return (uint32_t)((random_word() >> 32) * below >> 32);
}

static inline bool one_in(uint32_t n)
{
	return !pick(n);
}

static inline void random_begin(void)
{
	const char *given = getenv("DRBDX_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
	print_message("seed: DRBDX_SEED=%llu\n", (unsigned long long)random_state);
}

#endif
