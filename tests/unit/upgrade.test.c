/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * upgrade.test.c: when a resource may be left to another program, and which file that program is. What follows is in
 * xen-sim/upgrade.bats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/upgrade.h"

static char why[RESOURCE_TEXT];

static struct resource_status quiet(enum attachment_state attachment)
{
	struct resource_status s = { .open = true, .core.attachment = attachment };

	strcpy(s.core.who, "guest web1");
	return s;
}

static int allowed(const struct resource_status *s)
{
	why[0] = '\0';
	return upgrade_allowed(s, why, sizeof(why));
}

static void a_resource_is_left_only_where_its_guest_stays(void **state)
{
	(void)state;
	for (int i = 0; i < ATTACHMENT_STATE_COUNT; i++) {
		enum attachment_state a = (enum attachment_state)i;
		struct resource_status s = quiet(a);
		bool stays = a == ATTACHMENT_NONE || a == ATTACHMENT_ACTIVE || a == ATTACHMENT_CLAIMED || a == ATTACHMENT_STALE;

		assert_int_equal(allowed(&s), stays ? 0 : -EBUSY);
		assert_int_equal(!!strstr(why, "guest web1"), !stays);
		assert_int_equal(!!strstr(why, "wait"), !stays);
	}
}

#define REFUSED(change, words) do { \
	struct resource_status s = quiet(ATTACHMENT_ACTIVE); \
	change; \
	assert_int_equal(allowed(&s), -EBUSY); \
	if (!strstr(why, words)) \
		fail_msg("%s: %s", #change, why); \
	s.open = false; /* nothing is known of it, and nothing under way */ \
	assert_int_equal(allowed(&s), 0); \
} while (0)

static void what_would_not_go_on_is_refused(void **state)
{
	(void)state;
	REFUSED(s.core.superblock.reservation = 5, "is migrating to the partner");
	REFUSED(s.core.suspended = true, "resume-io");
	REFUSED(s.core.sync_paused = true, "resume-sync");
	REFUSED(s.hung = 1, "hangs");
	REFUSED(s.core.hangs = true, "hangs");
	REFUSED(s.left_requests = 1, "not finished");
}

/* ---- the file ---- */

static struct upgrade u;

static int setup(void **state)
{
	static char folder[] = "/tmp/drbdx-upgrade-XXXXXX";
	static char *argv[] = { "drbdxd", NULL };

	(void)state;
	if (!mkdtemp(strcpy(folder, "/tmp/drbdx-upgrade-XXXXXX")))
		return -1;
	assert_int_equal(upgrade_init(&u, argv, "/etc/../etc/passwd"), 0);
	snprintf(u.program, sizeof(u.program), "%s/drbdxd", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(u.program);
	rmdir(u.program);
	*strrchr(u.program, '/') = '\0';
	return rmdir(u.program);
}

static void a_program_is_known_by_the_file_that_it_was_started_from(void **state)
{
	struct upgrade self;

	(void)state;
	assert_int_equal(upgrade_init(&self, NULL, "/etc/../etc/passwd"), 0);
	assert_non_null(strstr(self.program, "upgrade.test"));
	assert_string_equal(self.config, "/etc/passwd");
	assert_int_equal(upgrade_init(&self, NULL, "/no/such/file"), 0);
	assert_string_equal(self.config, "/no/such/file");
}

static void only_what_can_be_executed_is_a_program(void **state)
{
	(void)state;
	assert_int_equal(upgrade_program(&u, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, u.program));
	assert_non_null(strstr(why, "this drbdxd serves on"));
	assert_int_equal(mkdir(u.program, 0755), 0);
	assert_int_equal(upgrade_program(&u, why, sizeof(why)), -EACCES);
	assert_int_equal(rmdir(u.program), 0);
	close(creat(u.program, 0644));
	assert_int_equal(upgrade_program(&u, why, sizeof(why)), -EACCES);
	assert_int_equal(chmod(u.program, 0755), 0);
	assert_int_equal(upgrade_program(&u, why, sizeof(why)), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_resource_is_left_only_where_its_guest_stays),
		T(what_would_not_go_on_is_refused),
		T(a_program_is_known_by_the_file_that_it_was_started_from),
		T(only_what_can_be_executed_is_a_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
