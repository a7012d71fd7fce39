/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xentop reads: the file of a disk, where it is found, and what is left in /dev/shm by daemons that died, in a directory of this test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/layout.h"
#include "backend/statistics.h"
#include "document.h"

static char root[64], shm[80], directory[80];

static char *in_shm(const char *format, long pid)
{
	static char path[200];
	size_t n = (size_t)snprintf(path, sizeof(path), "%s/", shm);

	snprintf(path + n, sizeof(path) - n, format, pid);
	return path;
}

static bool is_there(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* As xentop does. */
static bool look(struct statistics *out)
{
	FILE *f = fopen(in_shm("td3-%ld/vbd-3-51714", getpid()), "rb");
	bool ok = f && fread(out, sizeof(*out), 1, f) == 1 && out->version == 1;

	if (f)
		fclose(f);
	return ok;
}

/* The number of a process that has ended. */
static long dead(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void the_document_has_the_fields_of_the_code(void **state)
{
#define F(field) { #field, offsetof(struct statistics, field), sizeof(((struct statistics *)0)->field) }
	static const struct layout_field fields[] = {
		F(version), F(zero), F(out_of_room), F(reads), F(reads_done), F(read_sectors), F(read_us), F(writes), F(writes_done),
		F(write_sectors), F(write_us), F(errors), F(flags), { 0 },
	};
#undef F
	char *text = document_read("docs/XENTOP.md");

	(void)state;
	document_compare(text, "## The file", fields);
	assert_int_equal(sizeof(struct statistics), 96);
	free(text);
}

static void requests_are_counted_where_xentop_looks(void **state)
{
	struct request read = { .op = REQUEST_READ, .sectors = 8, .since_ms = 100 }, write = { .op = REQUEST_WRITE, .sectors = 16, .since_ms = 100 },
		       flush = { .op = REQUEST_FLUSH, .since_ms = 100 };
	struct statistics *s, seen;

	(void)state;
	statistics_start(directory, shm);
	s = statistics_open(3, 51714);
	assert_non_null(s);
	assert_int_equal(atol(statistics_name()), getpid());
	statistics_submitted(s, &read);
	statistics_submitted(s, &write);
	statistics_submitted(s, &write);
	statistics_submitted(s, &flush);
	statistics_no_room(s);
	assert_true(look(&seen));
	assert_int_equal(seen.reads, 1);
	assert_int_equal(seen.writes, 2);
	assert_int_equal(seen.reads_done + seen.writes_done + seen.write_sectors, 0);
	statistics_completed(s, &read, 0, 103);
	statistics_completed(s, &write, 0, 102);
	statistics_completed(s, &write, -EIO, 101);
	statistics_completed(s, &flush, 0, 101);
	assert_true(look(&seen));
	assert_int_equal(seen.out_of_room, 1);
	assert_int_equal(seen.reads_done, 1);
	assert_int_equal(seen.read_sectors, 8);
	assert_int_equal(seen.read_us, 3000);
	assert_int_equal(seen.writes_done, 2);
	assert_int_equal(seen.write_sectors, 16);
	assert_int_equal(seen.write_us, 3000);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(mode_of(directory), 0700);
	assert_int_equal(mode_of(in_shm("td3-%ld/vbd-3-51714", getpid())), 0600);
	statistics_close(s, 3, 51714);
	assert_false(look(&seen));
	statistics_end();
	assert_false(is_there(in_shm("td3-%ld", getpid())));
}

static void a_disk_of_another_kind_is_not_counted(void **state)
{
	struct request read = { .op = REQUEST_READ };

	(void)state;
	statistics_submitted(NULL, &read);
	statistics_completed(NULL, &read, 0, 1);
	statistics_no_room(NULL);
	statistics_close(NULL, 3, 51714);
}

static void nothing_is_in_dev_shm_before_there_is_a_disk(void **state)
{
	(void)state;
	statistics_start(directory, shm);
	assert_false(is_there(in_shm("td3-%ld", getpid())));
	statistics_end();
}

static void a_disk_that_comes_again_begins_at_0(void **state)
{
	struct request read = { .op = REQUEST_READ };
	struct statistics *s, seen;

	(void)state;
	statistics_start(directory, shm);
	for (int i = 0; i < 2; i++) {
		s = statistics_open(3, 51714);
		assert_non_null(s);
		statistics_name();
		statistics_submitted(s, &read);
		assert_true(look(&seen));
		assert_int_equal(seen.reads, 1);
		statistics_close(s, 3, 51714);
	}
	statistics_end();
}

/* Also of one that had our number: the program whose place this one has taken. */
static void what_dead_daemons_left_is_removed(void **state)
{
	long pid = dead();
	struct statistics *s, seen;

	(void)state;
	assert_int_equal(mkdir(directory, 0700), 0);
	assert_int_equal(symlink(directory, in_shm("td3-%ld", pid)), 0);
	assert_int_equal(symlink(directory, in_shm("td3-%ld", getpid())), 0);
	touch(in_shm("td3-%ld/vbd-3-51714", pid));
	statistics_start(directory, shm);
	assert_false(is_there(in_shm("td3-%ld", pid)));
	assert_false(is_there(in_shm("td3-%ld", getpid())));
	s = statistics_open(3, 51714);
	assert_non_null(s);
	assert_non_null(statistics_name());
	assert_true(look(&seen));
	statistics_close(s, 3, 51714);
	statistics_end();
}

static void what_is_not_ours_or_whose_process_lives_stays(void **state)
{
	long pid = dead();

	(void)state;
	assert_int_equal(mkdir(in_shm("td3-%ld", pid), 0700), 0);	/* a tapdisk's */
	assert_int_equal(symlink("/elsewhere", in_shm("td3-%ld0", pid)), 0);
	assert_int_equal(symlink(directory, in_shm("td3-%ld", getppid())), 0);
	assert_int_equal(symlink(directory, in_shm("td3-%ldx", pid)), 0);
	statistics_start(directory, shm);
	assert_true(is_there(in_shm("td3-%ld", pid)));
	assert_true(is_there(in_shm("td3-%ld0", pid)));
	assert_true(is_there(in_shm("td3-%ld", getppid())));
	assert_true(is_there(in_shm("td3-%ldx", pid)));
	statistics_end();
	assert_int_equal(rmdir(in_shm("td3-%ld", pid)), 0);
}

static void a_name_that_somebody_has_taken_is_not_followed(void **state)
{
	char theirs[100];
	struct statistics *s;

	(void)state;
	snprintf(theirs, sizeof(theirs), "%s/theirs", root);
	assert_int_equal(mkdir(theirs, 0700), 0);
	assert_int_equal(symlink(theirs, in_shm("td3-%ld", getpid())), 0);
	statistics_start(directory, shm);
	s = statistics_open(3, 51714);
	assert_non_null(s);
	assert_null(statistics_name());
	assert_false(is_there(in_shm("td3-%ld/vbd-3-51714", getpid())));
	statistics_close(s, 3, 51714);
	statistics_end();
	assert_true(is_there(in_shm("td3-%ld", getpid())));
}

/* The files' directory, or a file, that is a link leads nowhere. */
static void links_in_the_place_of_files_are_refused(void **state)
{
	char path[160], theirs[100];

	(void)state;
	snprintf(theirs, sizeof(theirs), "%s/theirs", root);
	assert_int_equal(mkdir(theirs, 0700), 0);
	assert_int_equal(symlink(theirs, directory), 0);
	statistics_start(directory, shm);
	assert_null(statistics_open(3, 51714));
	assert_null(statistics_name());
	assert_int_equal(unlink(directory), 0);

	statistics_start(directory, shm);
	snprintf(path, sizeof(path), "%s/vbd-3-51714", directory);
	snprintf(theirs, sizeof(theirs), "%s/theirs/file", root);
	touch(theirs);
	assert_int_equal(symlink(theirs, path), 0);
	assert_null(statistics_open(3, 51714));
	statistics_end();
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/statistics.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(shm, sizeof(shm), "%s/shm", root);
	snprintf(directory, sizeof(directory), "%s/statistics", root);
	return mkdir(shm, 0700);
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_document_has_the_fields_of_the_code),
		TEST(requests_are_counted_where_xentop_looks),
		TEST(a_disk_of_another_kind_is_not_counted),
		TEST(nothing_is_in_dev_shm_before_there_is_a_disk),
		TEST(a_disk_that_comes_again_begins_at_0),
		TEST(what_dead_daemons_left_is_removed),
		TEST(what_is_not_ours_or_whose_process_lives_stays),
		TEST(a_name_that_somebody_has_taken_is_not_followed),
		TEST(links_in_the_place_of_files_are_refused),
	};

	return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
