/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the text of a configuration comes from: files, folders, patterns, and their limits. */
#include "config-fixture.h"

static void make_folder(struct fixture *f, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void paths_are_relative_to_the_file_that_names_them(void **state)
{
	struct fixture *f = *state;

	make_folder(f, "d");
	put(f, "d/inner.conf", "include \"r.res\";\n");
	put(f, "d/r.res", NET(""));
	assert_int_equal(load(f, "include d/inner.conf;\n"), 0);
	assert_non_null(config_find(f->config, "r"));
	assert_non_null(strstr(config_find(f->config, "r")->file, "/d/r.res"));
}

static void a_pattern_reads_all_it_matches_in_alphabetical_order(void **state)
{
	struct fixture *f = *state;
	const struct config_resource *r;

	make_folder(f, "d");
	put(f, "d/2.res", NET(""));
	put(f, "d/1.res",
	    "resource first { net { " SECRET " }\n"
	    "on alpha { device minor 1; disk /dev/vg/1; address 10.0.0.1:1; meta-disk internal; }\n"
	    "on beta { device minor 1; disk /dev/vg/1; address 10.0.0.2:1; meta-disk internal; } }\n");
	put(f, "d/ignored.conf", "nonsense");
	assert_int_equal(load(f, "include \"d/*.res\";\n"), 0);
	assert_int_equal(config_resources(f->config, &r), 2);
	assert_string_equal(r[0].name, "first");
	assert_string_equal(r[1].name, "r");
}

static void an_error_names_the_file_it_is_in(void **state)
{
	struct fixture *f = *state;

	put(f, "r.res", "\n\nresource r { bogus; }\n");
	assert_int_equal(load(f, "include \"r.res\";\n" NET("")), -EINVAL);
	assert_non_null(find_message(f, CONFIG_ERROR, "r.res", 3, "but got 'bogus'"));
}

static void errors_of_several_files_are_all_said(void **state)
{
	struct fixture *f = *state;

	put(f, "1.res", "bogus");
	put(f, "2.res", "bogus");
	assert_int_equal(load(f, "include \"*.res\";\n"), -EINVAL);
	assert_non_null(find_message(f, CONFIG_ERROR, "1.res", 1, "but got 'bogus'"));
	assert_non_null(find_message(f, CONFIG_ERROR, "2.res", 1, "but got 'bogus'"));
}

static void a_file_is_read_once(void **state)
{
	struct fixture *f = *state;

	put(f, "r.res", NET(""));
	assert_int_equal(load(f, "include \"r.res\";\ninclude \"*.res\";\n"), 0);
	expect_message(f, CONFIG_NOTE, 2, "has been read already");
	assert_non_null(config_find(f->config, "r"));
}

static void a_loop_of_two_files_is_an_error(void **state)
{
	struct fixture *f = *state;

	put(f, "other.conf", "include \"drbdx.conf\";\n");
	assert_int_equal(load(f, "include \"other.conf\";\n"), -EINVAL);
	assert_non_null(find_message(f, CONFIG_ERROR, "other.conf", 1, "include loop"));
}

static void chain(struct fixture *f, int files)
{
	char name[32], text[64];
	int i;

	for (i = 1; i < files; i++) {
		snprintf(name, sizeof(name), "%d.conf", i);
		snprintf(text, sizeof(text), "include \"%d.conf\";\n", i + 1);
		put(f, name, text);
	}
	snprintf(name, sizeof(name), "%d.conf", files);
	put(f, name, NET(""));
}

static void ten_files_inside_each_other_are_read(void **state)
{
	struct fixture *f = *state;

	chain(f, 10);
	assert_int_equal(load_as(f, "1.conf", "alpha"), 0);
	assert_non_null(config_find(f->config, "r"));
}

static void eleven_files_inside_each_other_are_an_error(void **state)
{
	struct fixture *f = *state;

	chain(f, 11);
	assert_int_equal(load_as(f, "1.conf", "alpha"), -EINVAL);
	assert_non_null(find_message(f, CONFIG_ERROR, "10.conf", 1, "eleventh"));
}

static void a_missing_first_file_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_as(f, "missing.conf", "alpha"), -EINVAL);
	assert_non_null(find_message(f, CONFIG_ERROR, "missing.conf", 0, "No such file"));
}

static void a_fifo_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	char path[256];

	snprintf(path, sizeof(path), "%s/fifo", f->folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load(f, "include \"fifo\";\n"), -EINVAL);
	expect_message(f, CONFIG_ERROR, 1, "no regular file");
}

static void a_file_of_more_than_4_MiB_is_not_read(void **state)
{
	struct fixture *f = *state;
	char path[256];

	put(f, "big.conf", "");
	snprintf(path, sizeof(path), "%s/big.conf", f->folder);
	assert_int_equal(truncate(path, (4 << 20) + 1), 0);
	assert_int_equal(load(f, "include \"big.conf\";\n"), -EINVAL);
	expect_message(f, CONFIG_ERROR, 1, "larger than 4 MiB");
}

static void a_zero_byte_is_an_error(void **state)
{
	struct fixture *f = *state;

	put_bytes(f, "drbdx.conf", "# comment\n\0global { }", 21);
	assert_int_equal(load_as(f, "drbdx.conf", "alpha"), -EINVAL);
	assert_non_null(find_message(f, CONFIG_ERROR, "drbdx.conf", 2, "Parse error"));
}

static void a_zero_byte_in_a_quoted_string_is_an_error(void **state)
{
	struct fixture *f = *state;

	put_bytes(f, "drbdx.conf", "include \"a\0b\";", 14);
	assert_int_equal(load_as(f, "drbdx.conf", "alpha"), -EINVAL);
	assert_non_null(find_message(f, CONFIG_ERROR, "drbdx.conf", 1, "holds a zero byte"));
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	struct fixture *f = *state;
	const struct config_message *m;

	assert_int_equal(load(f, "resource r { net { verify-alg \"\033[31m\"; } }\n"), -EINVAL);
	assert_true(config_messages(f->config, &m) >= 1);
	assert_null(strchr(m[0].text, '\033'));
}

static void many_braces_are_an_error_and_no_crash(void **state)
{
	struct fixture *f = *state;
	char *text = calloc(1, 4200);

	strcpy(text, "resource r { proxy ");
	memset(text + strlen(text), '{', 4000);
	assert_int_equal(load(f, text), -EINVAL);
	expect_message(f, CONFIG_ERROR, 1, "too deep");
	free(text);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(paths_are_relative_to_the_file_that_names_them),
		WITH_FOLDER(a_pattern_reads_all_it_matches_in_alphabetical_order),
		WITH_FOLDER(an_error_names_the_file_it_is_in),
		WITH_FOLDER(errors_of_several_files_are_all_said),
		WITH_FOLDER(a_file_is_read_once),
		WITH_FOLDER(a_loop_of_two_files_is_an_error),
		WITH_FOLDER(ten_files_inside_each_other_are_read),
		WITH_FOLDER(eleven_files_inside_each_other_are_an_error),
		WITH_FOLDER(a_missing_first_file_is_an_error),
		WITH_FOLDER(a_fifo_is_not_waited_for),
		WITH_FOLDER(a_file_of_more_than_4_MiB_is_not_read),
		WITH_FOLDER(a_zero_byte_is_an_error),
		WITH_FOLDER(a_zero_byte_in_a_quoted_string_is_an_error),
		WITH_FOLDER(control_characters_do_not_reach_the_terminal),
		WITH_FOLDER(many_braces_are_an_error_and_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
