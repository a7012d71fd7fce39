/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlap.c against a naive model: random insertions, removals and searches, and the tree's
 * own invariant after each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "backend/overlap.h"

#define REQUESTS 96
#define SPACE	 256u

static uint64_t state;

static uint32_t pick(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % below;
}

static uint64_t check_node(const struct request *req)
{
	uint64_t end, child;

	if (!req)
		return 0;
	end = req->sector + req->sectors;
	child = check_node(RB_LEFT(req, overlap));
	end = child > end ? child : end;
	child = check_node(RB_RIGHT(req, overlap));
	end = child > end ? child : end;
	assert_int_equal(req->overlap_end, end);
	return end;
}

static int by_place(const void *a, const void *b)
{
	const struct request *x = *(struct request *const *)a, *y = *(struct request *const *)b;

	if (x->sector != y->sector)
		return x->sector < y->sector ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

static void compare_search(struct overlap_tree *tree, struct request *all, const int *in, uint64_t sector,
			   uint32_t sectors)
{
	struct request *expected[REQUESTS], *found = NULL;
	size_t n = 0, i;

	for (i = 0; i < REQUESTS; i++)
		if (in[i] && all[i].sector < sector + sectors && sector < all[i].sector + all[i].sectors)
			expected[n++] = &all[i];
	qsort(expected, n, sizeof(*expected), by_place);
	for (i = 0; i < n; i++) {
		found = overlap_next(tree, found, sector, sectors);
		assert_ptr_equal(found, expected[i]);
	}
	assert_null(overlap_next(tree, found, sector, sectors));
}

static void the_tree_finds_what_a_list_finds(void **unused)
{
	struct overlap_tree tree;
	struct request all[REQUESTS];
	int in[REQUESTS] = { 0 }, round;
	uint64_t seed, id = 0;

	(void)unused;
	for (seed = 1; seed <= 40; seed++) {
		state = seed;
		overlap_init(&tree);
		for (round = 0; round < REQUESTS; round++)
			in[round] = 0;
		for (round = 0; round < 1000; round++) {
			uint32_t i = pick(REQUESTS);

			if (in[i]) {
				overlap_remove(&tree, &all[i]);
			} else {
				all[i] = (struct request){ .id = ++id,
							   .sector = pick(SPACE),
							   .sectors = 1 + pick(pick(4) ? 8 : 64) };
				overlap_insert(&tree, &all[i]);
			}
			in[i] = !in[i];
			check_node(RB_ROOT(&tree));
			compare_search(&tree, all, in, pick(SPACE), 1 + pick(32));
		}
	}
}

static void neighbours_do_not_overlap(void **unused)
{
	struct overlap_tree tree;
	struct request req = { .id = 1, .sector = 8, .sectors = 8 };

	(void)unused;
	overlap_init(&tree);
	overlap_insert(&tree, &req);
	assert_null(overlap_next(&tree, NULL, 0, 8));
	assert_null(overlap_next(&tree, NULL, 16, 8));
	assert_ptr_equal(overlap_next(&tree, NULL, 15, 1), &req);
	assert_ptr_equal(overlap_next(&tree, NULL, 0, 9), &req);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_finds_what_a_list_finds),
		cmocka_unit_test(neighbours_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
