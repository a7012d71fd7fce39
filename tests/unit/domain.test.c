/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is a domain suspended? libxenctrl as this file plays it; what `xl list -v` prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The code under test finds its library here, and no other. */
static void *find_symbol(void *library, const char *name);
static void *find_library(const char *name, int flags);
#include <dlfcn.h>
#define dlsym  find_symbol
#define dlopen find_library
#include "backend/domain.c"
#undef dlsym
#undef dlopen

static struct {
	bool missing, cannot_open, fails;
	bool none;	       /* no domain with that number or a higher one */
	uint32_t domid, flags; /* of the first one */
	unsigned int open;
} xen;

static void *xc_open(void *logger, void *dombuild_logger, unsigned int flags)
{
	assert_null(logger);
	assert_null(dombuild_logger);
	assert_int_equal(flags, 0);
	if (xen.cannot_open)
		return NULL;
	xen.open++;
	return &xen;
}

static int xc_close(void *xch)
{
	assert_ptr_equal(xch, &xen);
	xen.open--;
	return 0;
}

/* A record of a later Xen: longer than any known one, and full of other things. */
static int xc_list(void *xch, uint32_t first, unsigned int max, void *info)
{
	uint32_t *record = info;

	assert_ptr_equal(xch, &xen);
	assert_int_equal(first, 5);
	assert_int_equal(max, 1);
	if (xen.fails)
		return -1;
	if (xen.none)
		return 0;
	memset(record, 0xff, 1000);
	record[0] = 0xabcd0000u | xen.domid;
	record[1] = xen.flags;
	return 1;
}

static void *find_symbol(void *library, const char *name)
{
	assert_ptr_equal(library, RTLD_DEFAULT);
	if (xen.missing)
		return NULL;
	if (!strcmp(name, "xc_interface_open"))
		return (void *)(uintptr_t)xc_open;
	if (!strcmp(name, "xc_interface_close"))
		return (void *)(uintptr_t)xc_close;
	if (!strcmp(name, "xc_domain_getinfolist"))
		return (void *)(uintptr_t)xc_list;
	return NULL;
}

static void *find_library(const char *name, int flags)
{
	(void)flags;
	assert_non_null(strstr(name, "libxenctrl.so."));
	return NULL;
}

#define SHUTDOWN(reason) (1u << 2 | (uint32_t)(reason) << 16)

static int reset(void **state)
{
	(void)state;
	memset(&xen, 0, sizeof(xen));
	xen.domid = 5;
	return 0;
}

static int ask(const char *words)
{
	char why[256] = "unset";
	int rc = domain_suspended(5, why, sizeof(why));

	assert_int_equal(xen.open, 0);
	if (!rc)
		assert_string_equal(why, "");
	else if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	return rc;
}

static void a_domain_that_is_shut_down_to_be_suspended_is_suspended(void **state)
{
	(void)state;
	xen.flags = SHUTDOWN(2);
	assert_int_equal(ask(""), 0);
	xen.flags = SHUTDOWN(2) | 1u << 5 | 0xff000000u; /* whatever else is said of it */
	assert_int_equal(ask(""), 0);
}

static void a_domain_that_runs_is_not(void **state)
{
	(void)state;
	xen.flags = 1u << 5;
	assert_int_equal(ask("domain 5 is not suspended: it still runs"), -EBUSY);
	xen.flags = 2u << 16; /* a reason without the shutdown means nothing */
	assert_int_equal(ask("not suspended"), -EBUSY);
}

static void a_domain_that_is_shut_down_for_another_reason_is_not(void **state)
{
	(void)state;
	for (unsigned int reason = 0; reason < 256; reason++) {
		if (reason == 2)
			continue;
		xen.flags = SHUTDOWN(reason);
		assert_int_equal(ask("shut down, but not for a migration"), -EBUSY);
	}
}

static void a_domain_that_is_gone_is_not(void **state)
{
	(void)state;
	xen.none = true;
	assert_int_equal(ask("domain 5 is not there any more"), -ENOENT);
}

/* Xen answers with the next domain where that one does not exist. */
static void the_next_domain_is_not_taken_for_it(void **state)
{
	(void)state;
	xen.domid = 6;
	xen.flags = SHUTDOWN(2);
	assert_int_equal(ask("not there any more"), -ENOENT);
}

/* Where xl is not either, nobody knows, and that is no "suspended". */
static void without_an_answer_it_is_not_taken_for_suspended(void **state)
{
	(void)state;
	if (!access("/usr/sbin/xl", X_OK))
		skip();
	xen.fails = true;
	assert_int_equal(ask("cannot be told"), -ENOSYS);
	xen.fails = false;
	xen.cannot_open = true;
	assert_int_equal(ask("cannot be told"), -ENOSYS);
}

#define HEADER                                                                              \
	"Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID" \
	"                            Reason-Code\tSecurity Label\n"
#define LINE(state, reason)                                                            \
	HEADER "web1                                         5  1024     2     " state \
	       "      12.5 9b3f2e2c-0000-4000-8000-000000000001 " reason

static enum answer xl(const char *printed)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s", printed);
	return judge_xl(text);
}

static void what_xl_prints_is_understood(void **state)
{
	(void)state;
	assert_int_equal(xl(LINE("---s--", "       2                -\n")), SUSPENDED);
	assert_int_equal(xl(LINE("---s--", "       2                -")), SUSPENDED);
	assert_int_equal(xl(LINE("r-----", "       -                -\n")), RUNNING);
	assert_int_equal(xl(LINE("-b----", "       -                -\n")), RUNNING);
	assert_int_equal(xl(LINE("--p---", "       -                -\n")), RUNNING);
	assert_int_equal(xl(LINE("---s--", "       0                -\n")), OTHERWISE_DOWN);
	assert_int_equal(xl(LINE("---s--", "       3                -\n")), OTHERWISE_DOWN);
}

static void what_xl_does_not_say_is_not_guessed(void **state)
{
	(void)state;
	assert_int_equal(xl(LINE("---s--", "       -                -\n")), NOBODY_KNOWS);
	assert_int_equal(xl(LINE("---s--", "       2x               -\n")), NOBODY_KNOWS);
	assert_int_equal(xl("web1 is an invalid domain identifier (rc=-6)\n"), NOBODY_KNOWS);
	assert_int_equal(xl(HEADER), NOBODY_KNOWS);
	assert_int_equal(xl(""), NOBODY_KNOWS);
	assert_int_equal(xl("\n"), NOBODY_KNOWS);
}

static void the_library_is_looked_for_once(void **state)
{
	struct xenctrl x;

	(void)state;
	xen.missing = true;
	assert_false(find_xenctrl(&x));
	xen.missing = false;
	assert_true(find_xenctrl(&x));
	xen.flags = SHUTDOWN(2);
	xen.missing = true;
	assert_int_equal(ask(""), 0);
}

#define T(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_domain_that_is_shut_down_to_be_suspended_is_suspended),
		T(a_domain_that_runs_is_not),
		T(a_domain_that_is_shut_down_for_another_reason_is_not),
		T(a_domain_that_is_gone_is_not),
		T(the_next_domain_is_not_taken_for_it),
		T(without_an_answer_it_is_not_taken_for_suspended),
		T(what_xl_prints_is_understood),
		T(what_xl_does_not_say_is_not_guessed),
		T(the_library_is_looked_for_once),
	};

	return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
