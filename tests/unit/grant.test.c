/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * grant.test.c: batches of grant copies: none crosses a page of ours, every failure reaches its own flag
 */
#include "ring-fake.h"

#include "backend/grant.h"

static struct grant *grant;
static uint8_t *local;			/* page aligned, several pages */

static int setup(void **state)
{
	fake_setup(state);
	local = aligned_alloc(PAGE, 2048 * PAGE);
	assert_non_null(local);
	return grant_open(DOMID, &grant);
}

static int teardown(void **state)
{
	grant_close(grant);
	free(local);
	return fake_teardown(state);
}

static void every_alignment_of_the_local_side_is_copied_right(void **state)
{
	uint32_t at, i;
	bool failed = false;

	(void)state;
	for (i = 0; i < PAGE; i++)
		fake.data[i] = (uint8_t)(i * 7 + i / 256);
	for (at = 0; at <= PAGE; at += 512) {
		memset(local, 0, 3 * PAGE);
		grant_from_guest(grant, DATA_REF, 0, local + at, PAGE, &failed);
		grant_flush(grant);
		assert_memory_equal(local + at, fake.data, PAGE);
		grant_to_guest(grant, DATA_REF + 1, 512, local + at + 512, PAGE - 512, &failed);
		grant_flush(grant);
		assert_memory_equal(fake.data + PAGE + 512, fake.data + 512, PAGE - 512);
		memset(fake.data + PAGE, 0, PAGE);
	}
	assert_false(failed);
}

static void nothing_is_copied_before_the_flush_and_nothing_without_work(void **state)
{
	bool failed = false;

	(void)state;
	grant_flush(grant);
	assert_int_equal(fake.calls, 0);
	grant_from_guest(grant, DATA_REF, 0, local, PAGE, &failed);
	assert_int_equal(fake.calls, 0);
	grant_flush(grant);
	grant_flush(grant);
	assert_int_equal(fake.calls, 1);
}

static void a_full_batch_goes_out_by_itself_with_its_own_failures(void **state)
{
	static bool failed[2048];
	struct grant_counters c;
	unsigned int i;

	(void)state;
	memset(failed, 0, sizeof(failed));
	fake.dead_ref = DATA_REF + 1500;
	for (i = 0; i < 2000; i++)
		grant_from_guest(grant, i == 3 ? 1 : DATA_REF + i, 0, local + (size_t)i * PAGE, 512,
				 &failed[i]);
	assert_int_equal(fake.calls, 1);
	grant_flush(grant);
	assert_int_equal(fake.calls, 2);
	assert_int_equal(fake.copies, 2000);
	for (i = 0; i < 2000; i++)
		assert_int_equal(failed[i], i == 3 || i == 1500);
	grant_counters(grant, &c);
	assert_int_equal(c.copies, 2000);
	assert_int_equal(c.batches, 2);
}

static void a_copy_in_two_parts_fails_if_either_does(void **state)
{
	unsigned int k;

	(void)state;
	for (k = 0; k < 3; k++) {
		bool failed = false;

		fake.copies = 0;
		fake.fail_from = (int)k;
		fake.fail_count = 1;
		grant_from_guest(grant, DATA_REF, 0, local + 512, PAGE, &failed);
		grant_flush(grant);
		assert_int_equal(fake.copies, 2);
		assert_int_equal(failed, k < 2);
	}
}

static void a_flag_once_set_stays_set(void **state)
{
	bool failed = false;

	(void)state;
	grant_from_guest(grant, 1, 0, local, 512, &failed);
	grant_flush(grant);
	grant_from_guest(grant, DATA_REF, 0, local, 512, &failed);
	grant_flush(grant);
	assert_true(failed);
}

static void an_error_of_the_device_is_reported(void **state)
{
	struct grant *other = NULL;

	(void)state;
	fake.fail_open_gnttab = ENOENT;
	assert_int_equal(grant_open(DOMID, &other), -ENOENT);
	assert_null(other);
	grant_close(NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_alignment_of_the_local_side_is_copied_right),
		T(nothing_is_copied_before_the_flush_and_nothing_without_work),
		T(a_full_batch_goes_out_by_itself_with_its_own_failures),
		T(a_copy_in_two_parts_fails_if_either_does),
		T(a_flag_once_set_stays_set),
		T(an_error_of_the_device_is_reported),
	};

	return cmocka_run_group_tests_name("grant", tests, NULL, NULL);
}
