/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The preloaded xlu_disk_parse(), with a libxlutil that remembers what it was given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

static void *fake_dlsym(void *handle, const char *name);
#define dlsym fake_dlsym
#include "hotplug/xl-shim.c"
#undef dlsym

static struct {
	bool absent;
	int answer, nspecs, calls;
	char specs[4][64];
	void *config, *disk;
} seen;

static int real_parse(void *config, int nspecs, const char *const *specs, void *disk)
{
	seen.calls++;
	seen.config = config;
	seen.disk = disk;
	seen.nspecs = nspecs;
	for (int i = 0; i < nspecs && i < 4; i++)
		strcpy(seen.specs[i], specs[i]);
	return seen.answer;
}

static void *fake_dlsym(void *handle, const char *name)
{
	assert_ptr_equal(RTLD_NEXT, handle);
	assert_string_equal("xlu_disk_parse", name);
	return seen.absent ? NULL : (void *)real_parse;
}

static int parse(const char *first, const char *second, const char *third)
{
	const char *specs[] = { first, second, third };

	return xlu_disk_parse(&seen, third ? 3 : second ? 2 : 1, specs, specs);
}

static int forget(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	return 0;
}

static void the_prefix_becomes_what_xl_knows(void **state)
{
	(void)state;
	assert_int_equal(0, parse("drbdx:my-domu-disk,xvda2,w", NULL, NULL));
	assert_string_equal("format=raw,script=block-drbdx,my-domu-disk,xvda2,w", seen.specs[0]);
	assert_int_equal(1, seen.nspecs);
	assert_ptr_equal(&seen, seen.config);
}

static void leading_blanks_are_fine(void **state)
{
	(void)state;
	parse("  \tdrbdx:r0,xvda,r", NULL, NULL);
	assert_string_equal("format=raw,script=block-drbdx,r0,xvda,r", seen.specs[0]);
}

static void only_the_first_of_several_words_has_the_prefix(void **state)
{
	(void)state;
	parse("drbdx:r0", "xvdb", "w");
	assert_int_equal(3, seen.nspecs);
	assert_string_equal("format=raw,script=block-drbdx,r0", seen.specs[0]);
	assert_string_equal("xvdb", seen.specs[1]);
	assert_string_equal("w", seen.specs[2]);
	parse("phy:/dev/x", "drbdx:r0", NULL);
	assert_string_equal("drbdx:r0", seen.specs[1]);
}

static void everything_else_passes_untouched(void **state)
{
	static const char *const others[] = {
		"phy:/dev/vg/disk,xvda,w", "drbd:r0,xvda,w", "drbdxx:r0,xvda,w", "drbdx", "", "DRBDX:r0", "target=drbdx:r0",
		"script=block-drbdx,vdev=xvda2,access=w,target=r0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		parse(others[i], NULL, NULL);
		assert_string_equal(others[i], seen.specs[0]);
	}
}

static void the_answer_is_the_real_ones(void **state)
{
	(void)state;
	seen.answer = EINVAL;
	assert_int_equal(EINVAL, parse("drbdx:r0,nonsense=1", NULL, NULL));
	assert_int_equal(EINVAL, parse("phy:x", NULL, NULL));
}

static void no_words_at_all_pass(void **state)
{
	(void)state;
	assert_int_equal(0, xlu_disk_parse(NULL, 0, NULL, NULL));
	assert_int_equal(1, seen.calls);
}

static void a_libxlutil_without_the_function_is_an_error(void **state)
{
	(void)state;
	seen.absent = true;
	assert_int_equal(ENOSYS, parse("drbdx:r0,xvda,w", NULL, NULL));
	assert_int_equal(0, seen.calls);
}

static void strip(const char *list, const char *left)
{
	char copy[128];

	strcpy(copy, list);
	strip_preload(copy);
	assert_string_equal(left, copy);
}

static void only_this_library_leaves_the_preload_list(void **state)
{
	(void)state;
	strip("/usr/lib/drbdx/libdrbdx-xl.so", "");
	strip("/usr/lib/drbdx/libdrbdx-xl.so:/lib/other.so", "/lib/other.so");
	strip("/lib/a.so /x/libdrbdx-xl.so:b.so", "/lib/a.so:b.so");
	strip("libdrbdx-xl.so", "");
	strip("/lib/libdrbdx-xl.so.bak", "/lib/libdrbdx-xl.so.bak");
}

static void a_program_that_is_not_xl_hands_the_list_on(void **state)
{
	(void)state;
	setenv("LD_PRELOAD", "/usr/lib/drbdx/libdrbdx-xl.so", 1);
	program_invocation_short_name = (char *)"sh";
	keep_from_children();
	assert_string_equal("/usr/lib/drbdx/libdrbdx-xl.so", getenv("LD_PRELOAD"));
	program_invocation_short_name = (char *)"xl";
	keep_from_children();
	assert_null(getenv("LD_PRELOAD"));
	keep_from_children();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_prefix_becomes_what_xl_knows, forget),
		cmocka_unit_test_setup(leading_blanks_are_fine, forget),
		cmocka_unit_test_setup(only_the_first_of_several_words_has_the_prefix, forget),
		cmocka_unit_test_setup(everything_else_passes_untouched, forget),
		cmocka_unit_test_setup(the_answer_is_the_real_ones, forget),
		cmocka_unit_test_setup(no_words_at_all_pass, forget),
		cmocka_unit_test_setup(a_libxlutil_without_the_function_is_an_error, forget),
		cmocka_unit_test_setup(only_this_library_leaves_the_preload_list, forget),
		cmocka_unit_test_setup(a_program_that_is_not_xl_hands_the_list_on, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
