/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strict readers and guarded updates over a fake xenstore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "xenstore/store.h"
#include "xenstore-fake.h"

static struct store *s;

static int setup(void **state)
{
	(void)state;
	xf_reset();
	xf_write("/local", "");
	return store_open(&s);
}

static int teardown(void **state)
{
	(void)state;
	store_close(s);
	s = NULL;
	xf_reset();
	return 0;
}

static void decimals_are_strict(void **state)
{
	static const char *const bad[] = {
		"",
		"-1",
		"+1",
		" 1",
		"1 ",
		"0x10",
		"010",
		"00",
		"1e3",
		"1.0",
		"one",
		"1\n",
		"99999999999999999999999",
		"\xd9\xa1",
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(store_decimal(bad[i], strlen(bad[i]), 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(store_decimal("1\0002", 3, 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(store_decimal("18446744073709551616", 20, 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(store_decimal("5", 1, 6, 9, &v), -ERANGE);
	assert_int_equal(store_decimal("10", 2, 6, 9, &v), -ERANGE);
	assert_int_equal(store_decimal("0", 1, 0, 9, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(store_decimal("18446744073709551615", 20, 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
}

static void a_value_is_bounded_before_it_is_used(void **state)
{
	static char big[1 << 20];
	char buf[16] = "x";

	(void)state;
	memset(big, '1', sizeof(big));
	xf_write_raw("/g/big", big, sizeof(big));
	assert_int_equal(store_read(s, "/g", "big", buf, sizeof(buf)), -EMSGSIZE);
	assert_string_equal(buf, "");
	xf_write_raw("/g/fits", big, 15);
	assert_int_equal(store_read(s, "/g", "fits", buf, sizeof(buf)), 0);
	xf_write_raw("/g/not", big, 16);
	assert_int_equal(store_read(s, "/g", "not", buf, sizeof(buf)), -EMSGSIZE);
}

static void a_value_with_nul_or_control_characters_is_refused(void **state)
{
	char buf[16];
	uint64_t v;

	(void)state;
	xf_write_raw("/g/nul", "1\0002", 3);
	xf_write_raw("/g/nl", "1\n", 2);
	xf_write_raw("/g/end", "1\0", 2);
	assert_int_equal(store_read(s, "/g", "nul", buf, sizeof(buf)), -EILSEQ);
	assert_int_equal(store_number(s, "/g", "nul", 0, 9, &v), -EINVAL);
	assert_int_equal(store_number(s, "/g", "nl", 0, 9, &v), -EINVAL);
	assert_int_equal(store_number(s, "/g", "end", 0, 9, &v), -EINVAL);
	assert_int_equal(store_number(s, "/g", "none", 0, 9, &v), -ENOENT);
}

static void an_update_is_all_or_nothing_and_tried_again_on_conflict(void **state)
{
	const struct store_entry entry[] = { { "a", "1" }, { "b", NULL }, { "c", "3" } };

	(void)state;
	xf_write("dir/guard", "");
	xf_write("dir/b", "2");
	xf.conflicts = 3;
	assert_int_equal(store_update(s, "dir", "guard", entry, 3), 0);
	assert_int_equal(xf.conflicts, 0);
	assert_string_equal(xf_get("dir/a"), "1");
	assert_false(xf_exists("dir/b"));
	assert_string_equal(xf_get("dir/c"), "3");
}

static void an_update_that_always_conflicts_ends(void **state)
{
	const struct store_entry entry[] = { { "a", "1" } };

	(void)state;
	xf_write("dir/guard", "");
	xf.conflicts = 1000000;
	assert_int_equal(store_update(s, "dir", "guard", entry, 1), -EAGAIN);
}

static void an_update_needs_its_guard(void **state)
{
	const struct store_entry entry[] = { { "a", "1" } };

	(void)state;
	assert_int_equal(store_update(s, "dir", "guard", entry, 1), -ENOENT);
	assert_false(xf_exists("dir"));
}

static void a_view_sees_one_moment(void **state)
{
	char buf[16];

	(void)state;
	xf_write("/g/a", "1");
	assert_int_equal(store_view(s), 0);
	xf_write("/g/a", "2");
	assert_int_equal(store_read(s, "/g", "a", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "1");
	store_view_end(s);
	assert_int_equal(store_read(s, "/g", "a", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "2");
}

static void a_dead_server_is_noticed_by_every_call(void **state)
{
	const struct store_entry entry[] = { { "a", "1" } };
	char buf[16], token[16];
	unsigned int n;

	(void)state;
	xf_write("dir/guard", "");
	for (int i = 0; i < 8; i++) {
		assert_false(store_broken(s));
		xf_die();
		switch (i) {
		case 0: assert_int_equal(store_read(s, "dir", "guard", buf, sizeof(buf)), -EIO); break;
		case 1: assert_int_equal(store_update(s, "dir", "guard", entry, 1), -EIO); break;
		case 2: assert_int_equal(store_watch(s, "dir", "t"), -EIO); break;
		case 3: assert_int_equal(store_next(s, buf, sizeof(buf), token, sizeof(token)), -EIO); break;
		case 4: assert_null(store_list(s, "dir", &n)); break;
		case 5: assert_int_equal(store_view(s), -EIO); break;
		case 6: assert_int_equal(store_write(s, "x", NULL), -EIO); break;
		case 7: store_ping(s); break;
		}
		assert_true(store_broken(s));
		store_close(s);
		xf.down = false;
		assert_int_equal(store_open(&s), 0);
	}
}

static void an_absent_node_is_not_a_dead_server(void **state)
{
	char buf[16];

	(void)state;
	assert_int_equal(store_read(s, "/none", "", buf, sizeof(buf)), -ENOENT);
	xf_rm("/local");
	store_ping(s);
	assert_false(store_broken(s));
}

static void open_does_not_wait_for_a_server_that_is_away(void **state)
{
	struct store *other = NULL;

	(void)state;
	xf_die();
	unsigned int opens = xf.opens;
	assert_int_equal(store_open(&other), -ENOENT);
	assert_int_equal(xf.opens, opens);
	assert_null(other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(decimals_are_strict),
		TEST(a_value_is_bounded_before_it_is_used),
		TEST(a_value_with_nul_or_control_characters_is_refused),
		TEST(an_update_is_all_or_nothing_and_tried_again_on_conflict),
		TEST(an_update_that_always_conflicts_ends),
		TEST(an_update_needs_its_guard),
		TEST(a_view_sees_one_moment),
		TEST(a_dead_server_is_noticed_by_every_call),
		TEST(an_absent_node_is_not_a_dead_server),
		TEST(open_does_not_wait_for_a_server_that_is_away),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
