/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool.test.c: the buddy allocator, by hand and against a naive model
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/pool.h"

#define MIB (1u << 20)

struct fixture { uint8_t *area; size_t bytes; struct pool *pool; };

static int setup_mib(void **state, size_t mib)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->bytes = mib * MIB;
	f->area = aligned_alloc(POOL_PAGE, f->bytes);
	assert_non_null(f->area);
	assert_int_equal(pool_new(f->area, f->bytes, &f->pool), 0);
	*state = f;
	return 0;
}

static int setup_one(void **state)
{
	return setup_mib(state, 1);
}

static int setup_four(void **state)
{
	return setup_mib(state, 4);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pool_free(f->pool);
	free(f->area);
	free(f);
	return 0;
}

static void a_wrong_area_is_refused(void **state)
{
	struct pool *pool = NULL;
	uint8_t *area = aligned_alloc(POOL_PAGE, 2 * MIB);

	(void)state;
	assert_int_equal(pool_new(NULL, MIB, &pool), -EINVAL);
	assert_int_equal(pool_new(area, 0, &pool), -EINVAL);
	assert_int_equal(pool_new(area, MIB - POOL_PAGE, &pool), -EINVAL);
	assert_int_equal(pool_new(area, MIB + POOL_PAGE, &pool), -EINVAL);
	assert_int_equal(pool_new(area + 512, MIB, &pool), -EINVAL);
	free(area);
}

static void sizes_that_cannot_be_get_nothing(void **state)
{
	struct fixture *f = *state;

	assert_null(pool_get(f->pool, 0));
	assert_null(pool_get(f->pool, MIB + 1));
	assert_null(pool_get(f->pool, SIZE_MAX));
	assert_int_equal(pool_free_bytes(f->pool), f->bytes);
}

static void a_byte_takes_a_page_and_a_maximal_request_all(void **state)
{
	struct fixture *f = *state;
	void *page = pool_get(f->pool, 1);

	assert_ptr_equal((uint8_t *)page, f->area);
	assert_int_equal(pool_free_bytes(f->pool), f->bytes - POOL_PAGE);
	assert_null(pool_get(f->pool, MIB));
	pool_put(f->pool, page);
	page = pool_get(f->pool, MIB);
	assert_ptr_equal((uint8_t *)page, f->area);
	assert_int_equal(pool_free_bytes(f->pool), 0);
	assert_null(pool_get(f->pool, 1));
	pool_put(f->pool, page);
}

static void sizes_are_rounded_up_to_a_power_of_two_of_pages(void **state)
{
	struct fixture *f = *state;
	static const struct { size_t ask, taken; } t[] = {
		{ 4096, 4096 }, { 4097, 8192 }, { 8192, 8192 }, { 11 * 4096, 16 * 4096 },
		{ MIB / 2 + 1, MIB },
	};
	unsigned int i;
	void *b;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		b = pool_get(f->pool, t[i].ask);
		assert_non_null(b);
		assert_int_equal(f->bytes - pool_free_bytes(f->pool), t[i].taken);
		pool_put(f->pool, b);
	}
}

static void buddies_merge_in_whatever_order_they_come_back(void **state)
{
	struct fixture *f = *state;
	void *b[MIB / POOL_PAGE];
	unsigned int i, n = MIB / POOL_PAGE, step;

	for (step = 1; step < n; step += 2) {	/* odd: visits every index once */
		for (i = 0; i < n; i++)
			assert_non_null(b[i] = pool_get(f->pool, POOL_PAGE));
		assert_null(pool_get(f->pool, 1));
		for (i = 0; i < n; i++)
			pool_put(f->pool, b[i * step % n]);
		b[0] = pool_get(f->pool, MIB);
		assert_non_null(b[0]);
		pool_put(f->pool, b[0]);
	}
}

static void blocks_do_not_merge_across_a_mebibyte(void **state)
{
	struct fixture *f = *state;
	void *b[4], *small;
	unsigned int i;

	for (i = 0; i < 4; i++)
		assert_non_null(b[i] = pool_get(f->pool, MIB));
	pool_put(f->pool, b[1]);
	pool_put(f->pool, b[2]);
	small = pool_get(f->pool, MIB);
	assert_non_null(small);
	assert_non_null(b[1] = pool_get(f->pool, MIB));
	assert_null(pool_get(f->pool, 1));
	pool_put(f->pool, small);
	pool_put(f->pool, b[0]);
	pool_put(f->pool, b[1]);
	pool_put(f->pool, b[3]);
}

/* The model: one byte a page, 0 free, else the number of the buffer that has it. */
struct buffer { uint8_t *at; size_t bytes; };

static size_t rounded(size_t bytes)
{
	size_t size = POOL_PAGE;

	while (size < bytes)
		size *= 2;
	return size;
}

static bool model_has_room(const uint16_t *model, size_t pages, size_t want)
{
	size_t i, j;

	for (i = 0; i < pages; i += want) {
		for (j = 0; j < want && !model[i + j]; j++)
			;
		if (j == want)
			return true;
	}
	return false;
}

static void model_mark(uint16_t *model, const struct fixture *f, const struct buffer *b, uint16_t value,
		       bool was_free)
{
	size_t first = (size_t)(b->at - f->area) / POOL_PAGE, n = rounded(b->bytes) / POOL_PAGE, i;

	assert_int_equal(first % n, 0);
	for (i = first; i < first + n; i++) {
		assert_int_equal(!model[i], was_free);
		model[i] = value;
	}
}

static void check_content(const struct buffer *b, uint16_t value)
{
	assert_int_equal(b->at[0], value & 0xff);
	assert_int_equal(b->at[b->bytes - 1], value & 0xff);
}

/* A get succeeds exactly when the model has an aligned hole; buffers do not overlap and keep their bytes. */
static void random_use_agrees_with_a_naive_model(void **state)
{
	struct fixture *f = *state;
	size_t pages = f->bytes / POOL_PAGE, used = 0;
	uint16_t *model = calloc(pages, sizeof(*model));
	struct buffer b[128] = { { NULL, 0 } };
	unsigned int turn, k;
	unsigned int seed = 20;

	for (turn = 0; turn < 60000; turn++) {
		k = (unsigned int)rand_r(&seed) % 128;
		if (b[k].at) {
			check_content(&b[k], (uint16_t)(k + 1));
			model_mark(model, f, &b[k], 0, false);
			used -= rounded(b[k].bytes);
			pool_put(f->pool, b[k].at);
			b[k].at = NULL;
		} else {
			b[k].bytes = (size_t)rand_r(&seed) % POOL_PAGE + 1;
			b[k].bytes <<= (unsigned int)rand_r(&seed) % 9;
			b[k].at = pool_get(f->pool, b[k].bytes);
			assert_int_equal(b[k].at != NULL,
					 model_has_room(model, pages, rounded(b[k].bytes) / POOL_PAGE));
			if (b[k].at) {
				model_mark(model, f, &b[k], (uint16_t)(k + 1), true);
				used += rounded(b[k].bytes);
				b[k].at[0] = b[k].at[b[k].bytes - 1] = (uint8_t)(k + 1);
			}
		}
		assert_int_equal(pool_free_bytes(f->pool), f->bytes - used);
	}
	for (k = 0; k < 128; k++)
		pool_put(f->pool, b[k].at);
	assert_int_equal(pool_free_bytes(f->pool), f->bytes);
	free(model);
}

static void nothing_back_is_nothing(void **state)
{
	struct fixture *f = *state;

	pool_put(f->pool, NULL);
	assert_int_equal(pool_free_bytes(f->pool), f->bytes);
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_area_is_refused),
		cmocka_unit_test_setup_teardown(sizes_that_cannot_be_get_nothing, setup_one, teardown),
		cmocka_unit_test_setup_teardown(a_byte_takes_a_page_and_a_maximal_request_all, setup_one,
						teardown),
		cmocka_unit_test_setup_teardown(sizes_are_rounded_up_to_a_power_of_two_of_pages, setup_one,
						teardown),
		cmocka_unit_test_setup_teardown(buddies_merge_in_whatever_order_they_come_back, setup_one,
						teardown),
		cmocka_unit_test_setup_teardown(blocks_do_not_merge_across_a_mebibyte, setup_four, teardown),
		cmocka_unit_test_setup_teardown(random_use_agrees_with_a_naive_model, setup_four, teardown),
		cmocka_unit_test_setup_teardown(nothing_back_is_nothing, setup_one, teardown),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
