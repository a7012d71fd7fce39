/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xen-blkback through a sysfs in a temporary directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "backend/takeover.h"

#define BUS "/sys/bus/xen-backend"

static char root[64];

static void make_parents(char *path)
{
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = 0;
		mkdir(path, 0700);
	}
}

static void file(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	make_parents(full);
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void bound(const char *id, const char *driver)
{
	char full[512], target[512];

	snprintf(full, sizeof(full), "%s" BUS "/devices/%s/driver", root, id);
	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	make_parents(full);
	assert_int_equal(symlink(target, full), 0);
}

static void module_installed(void)
{
	struct utsname u;
	char path[512];

	uname(&u);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", u.release);
	file(path, "kernel/drivers/block/loop.ko:\nkernel/drivers/block/xen-blkback/xen-blkback.ko.xz: "
		   "kernel/x.ko\n");
}

static enum takeover_host check(void)
{
	char why[512] = "";
	enum takeover_host h = takeover_check(why, sizeof(why));

	assert_true(strlen(why) > 10);
	return h;
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/takeover.XXXXXX");
	takeover_set_root(root);
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void a_bound_device_is_unbound_by_its_name(void **state)
{
	char text[64] = "", why[256] = "", path[256];
	FILE *f;

	(void)state;
	file(BUS "/drivers/vbd/unbind", "");
	bound("vbd-3-51714", "vbd");
	assert_true(takeover_loaded());
	assert_true(takeover_held(3, 51714));
	assert_false(takeover_held(3, 51715));
	assert_int_equal(takeover_unbind(3, 51714, why, sizeof(why)), 0);
	snprintf(path, sizeof(path), "%s" BUS "/drivers/vbd/unbind", root);
	f = fopen(path, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "vbd-3-51714");
}

static void a_vbd3_is_seen_when_it_is_on_the_bus(void **state)
{
	(void)state;
	assert_true(takeover_vbd3_seen(3, 51714)); /* no bus: nothing to wait for */
	file(BUS "/devices/vbd-3-51714/uevent", "");
	assert_false(takeover_vbd3_seen(3, 51714));
	file(BUS "/devices/vbd3-3-51714/uevent", "");
	assert_true(takeover_vbd3_seen(3, 51714));
	assert_false(takeover_vbd3_seen(3, 51715));
}

static void a_device_of_another_driver_is_left_alone(void **state)
{
	char why[256] = "", path[256];
	struct stat st;

	(void)state;
	file(BUS "/drivers/vbd/unbind", "");
	bound("vbd-3-51714", "not-vbd");
	assert_false(takeover_held(3, 51714));
	assert_int_equal(takeover_unbind(3, 51714, why, sizeof(why)), 0);
	snprintf(path, sizeof(path), "%s" BUS "/drivers/vbd/unbind", root);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void an_unbind_that_fails_is_told_in_words(void **state)
{
	char why[256] = "";

	(void)state;
	bound("vbd-3-51714", "vbd");		/* and no unbind file */
	assert_int_equal(takeover_unbind(3, 51714, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "vbd-3-51714"));
}

static void without_the_bus_nothing_can_come(void **state)
{
	(void)state;
	assert_int_equal(check(), TAKEOVER_NO_BUS);
	assert_false(takeover_loaded());
	assert_false(takeover_held(3, 51714));
}

static void loaded_blacklisted_and_autoload_are_told_apart(void **state)
{
	(void)state;
	file(BUS "/drivers_probe", "");
	module_installed();
	assert_int_equal(check(), TAKEOVER_AUTOLOAD);
	file("/etc/modprobe.d/a.conf", "# blacklist xen-blkback\nblacklist xen-blkback-other\n");
	assert_int_equal(check(), TAKEOVER_AUTOLOAD);
	file("/etc/modprobe.d/b.conf.dpkg-old", "blacklist xen-blkback\n");
	assert_int_equal(check(), TAKEOVER_AUTOLOAD);
	file("/etc/modprobe.d/b.conf", "  blacklist\txen_blkback\n");
	assert_int_equal(check(), TAKEOVER_BLACKLISTED);
	file(BUS "/drivers/vbd/unbind", "");
	assert_int_equal(check(), TAKEOVER_LOADED);
}

static void an_install_line_is_a_blacklist(void **state)
{
	(void)state;
	file(BUS "/drivers_probe", "");
	module_installed();
	file("/lib/modprobe.d/x.conf", "install xen-blkback /bin/false\n");
	assert_int_equal(check(), TAKEOVER_BLACKLISTED);
}

static void the_kernel_command_line_may_blacklist(void **state)
{
	(void)state;
	file(BUS "/drivers_probe", "");
	module_installed();
	file("/proc/cmdline", "quiet modprobe.blacklist=loop,xen-blkback2 x=modprobe.blacklist\n");
	assert_int_equal(check(), TAKEOVER_AUTOLOAD);
	file("/proc/cmdline", "quiet modprobe.blacklist=loop,xen-blkback root=/dev/xvda\n");
	assert_int_equal(check(), TAKEOVER_BLACKLISTED);
}

static void a_module_that_is_not_installed_cannot_come(void **state)
{
	struct utsname u;
	char path[512];

	(void)state;
	uname(&u);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", u.release);
	file(BUS "/drivers_probe", "");
	file(path, "kernel/drivers/block/loop.ko:\n");
	assert_int_equal(check(), TAKEOVER_BLACKLISTED);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_bound_device_is_unbound_by_its_name),
		TEST(a_device_of_another_driver_is_left_alone),
		TEST(a_vbd3_is_seen_when_it_is_on_the_bus),
		TEST(an_unbind_that_fails_is_told_in_words),
		TEST(without_the_bus_nothing_can_come),
		TEST(loaded_blacklisted_and_autoload_are_told_apart),
		TEST(an_install_line_is_a_blacklist),
		TEST(the_kernel_command_line_may_blacklist),
		TEST(a_module_that_is_not_installed_cannot_come),
	};

	return cmocka_run_group_tests_name("takeover", tests, NULL, NULL);
}
