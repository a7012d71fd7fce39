/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * claim.c: one owner at a time, and a dead owner's writes count as one (P6).
 *
 * The last test needs a disk that is slow enough to be caught writing: a cgroup (version 1,
 * blkio) throttles the child.  Where there is none, it is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/claim.h"
#include "backend/loop.h"

#define BYTES (8u << 20)
#define CHUNK (512u << 10)

static char path[] = "/var/tmp/drbdx-claim-XXXXXX";
static char why[300];

static int setup(void **unused)
{
	int fd;

	(void)unused;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || posix_fallocate(fd, 0, BYTES))
		return -1;
	fsync(fd); /* the throttled writes are to be the only ones */
	return close(fd);
}

static int teardown(void **unused)
{
	(void)unused;
	return unlink(path);
}

/* Runs `child` in another process; returns when that has said that it is ready. */
static pid_t start_child(void (*child)(int ready), int *out)
{
	int pipefd[2];
	pid_t pid;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (!pid) {
		close(pipefd[0]);
		child(pipefd[1]);
		_exit(1);
	}
	close(pipefd[1]);
	*out = pipefd[0];
	return pid;
}

static char wait_ready(int fd)
{
	char word = 0;

	if (read(fd, &word, 1) != 1)
		word = 0;
	close(fd);
	return word;
}

static void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void hold(int ready)
{
	struct claim c;

	if (claim_open(path, false, &c, why, sizeof(why)) || write(ready, "r", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void another_process_is_refused_in_words_until_it_ends(void **unused)
{
	struct claim c;
	int fd;
	pid_t pid = start_child(hold, &fd);

	(void)unused;
	assert_int_equal(wait_ready(fd), 'r');
	assert_int_equal(claim_open(path, false, &c, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, path));
	assert_int_equal(c.fd, -1);
	kill_child(pid);
	assert_int_equal(claim_open(path, false, &c, why, sizeof(why)), 0);
	claim_close(&c);
	claim_close(&c);
}

static void one_process_may_claim_a_metadata_device_for_several_resources(void **unused)
{
	struct claim a, b;

	(void)unused;
	assert_int_equal(claim_open(path, true, &a, why, sizeof(why)), 0);
	assert_int_equal(claim_open(path, true, &b, why, sizeof(why)), 0);
	assert_int_equal(a.fd, b.fd);
	claim_close(&a);
	assert_true(fcntl(b.fd, F_GETFD) & FD_CLOEXEC); /* still open, and no child gets it */
	claim_close(&b);
}

static void a_data_disk_has_one_user_whatever_its_path_is_called(void **unused)
{
	struct claim a, b;
	char alias[sizeof(path) + 8];

	(void)unused;
	snprintf(alias, sizeof(alias), "%s.alias", path);
	assert_int_equal(symlink(path, alias), 0);
	assert_int_equal(claim_open(path, false, &a, why, sizeof(why)), 0);
	assert_int_equal(claim_open(alias, false, &b, why, sizeof(why)), -EBUSY);
	assert_int_equal(claim_open(alias, true, &b, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "another resource"));
	claim_close(&a);
	assert_int_equal(claim_open(alias, false, &b, why, sizeof(why)), 0);
	claim_close(&b);
	unlink(alias);
}

static void what_cannot_be_a_disk_is_refused_in_words(void **unused)
{
	struct claim c;

	(void)unused;
	assert_int_equal(claim_open("/dev/null", false, &c, why, sizeof(why)), -ENOTBLK);
	assert_int_equal(claim_open("/nonexistent", false, &c, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent"));
}

/* ---- a dead process's writes ---- */

static char group[100];

static bool write_text(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool throttle(void)
{
	char file[200], limit[64];
	struct stat st;

	snprintf(group, sizeof(group), "/sys/fs/cgroup/blkio/drbdx-claim-%d", (int)getpid());
	if (stat(path, &st) || mkdir(group, 0755))
		return false;
	snprintf(file, sizeof(file), "%s/blkio.throttle.write_bps_device", group);
	snprintf(limit, sizeof(limit), "%u:%u %u", major(st.st_dev), minor(st.st_dev), BYTES / 4);
	return write_text(file, limit);
}

static void ignore(struct loop_op *op, int result)
{
	(void)op;
	(void)result;
}

static void write_slowly(int ready)
{
	static struct loop_op ops[BYTES / CHUNK];
	char file[200], pid[16];
	uint8_t *data = aligned_alloc(4096, CHUNK);
	struct loop *loop;
	struct claim c;

	snprintf(file, sizeof(file), "%s/cgroup.procs", group);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	memset(data, 'x', CHUNK);
	if (!write_text(file, pid) || loop_new(64, NULL, 0, &loop) ||
	    claim_open(path, false, &c, why, sizeof(why)))
		_exit(1);
	for (size_t i = 0; i < BYTES / CHUNK; i++) {
		ops[i].fn = ignore;
		loop_write(loop, &ops[i], c.fd, data, CHUNK, i * CHUNK, 0);
	}
	loop_run(loop, 0);
	if (write(ready, "r", 1) != 1)
		_exit(1);
	for (;;)
		loop_run(loop, UINT64_MAX);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void a_killed_process_keeps_its_claim_until_its_writes_are_over(void **unused)
{
	static uint8_t at_claim[BYTES] __attribute__((aligned(4096)));
	static uint8_t later[BYTES] __attribute__((aligned(4096)));
	double start;
	struct claim c;
	int fd, rc, refused = 0, plain;
	pid_t pid;

	(void)unused;
	if (!throttle()) {
		rmdir(group);
		print_message("skipped: no blkio cgroup to throttle a disk with\n");
		skip();
	}
	pid = start_child(write_slowly, &fd);
	assert_int_equal(wait_ready(fd), 'r');
	kill(pid, SIGKILL);
	start = now_s();
	while ((rc = claim_open(path, false, &c, why, sizeof(why))) == -EBUSY && now_s() - start < 60)
		refused++;
	assert_int_equal(rc, 0);
	plain = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	assert_int_equal(pread(plain, at_claim, BYTES, 0), BYTES);
	claim_close(&c);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(refused > 0);
	/* 8 MiB at a quarter of that a second: it was still writing */
	assert_true(now_s() - start > 0.5);
	assert_int_equal(pread(plain, later, BYTES, 0), BYTES);
	assert_memory_equal(at_claim, later, BYTES);
	close(plain);
	rmdir(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_process_is_refused_in_words_until_it_ends, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_process_may_claim_a_metadata_device_for_several_resources,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_data_disk_has_one_user_whatever_its_path_is_called, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_a_disk_is_refused_in_words, setup, teardown),
		cmocka_unit_test_setup_teardown(a_killed_process_keeps_its_claim_until_its_writes_are_over,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
