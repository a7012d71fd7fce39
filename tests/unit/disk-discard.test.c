/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A discard at the disk (disk.c): zeroes are read there afterwards, whatever the disk can do, and a file gives its space back. And a secure
 * one (eraser.c), on a disk whose ioctl(BLKSECDISCARD) is the one below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/disk.h"
#include "backend/eraser.h"

#define MIB	(1u << 20)
#define SECTORS (8 * MIB / SECTOR_SIZE)

static char path[] = "/var/tmp/drbdx-discard-XXXXXX";
static struct loop *loop;
static struct disk *disk;
static uint8_t *bytes;
static struct request req;
static int answers, answer_rc;

/* ---- a kernel, and a device that erases securely ---- */

static struct {
	const char *release; /* NULL: this kernel's own, and its own ioctl */
	int probe_errno, erase_errno;
	unsigned int probes, erasures;
	uint64_t first, bytes; /* of the last erasure */
	uint8_t there;	       /* what was there before it */
	pthread_t thread;
	int hold;	       /* a byte from this pipe is awaited in it; -1: not */
} fake;

int uname(struct utsname *u)
{
	int (*real)(struct utsname *) = (int (*)(struct utsname *))dlsym(RTLD_NEXT, "uname");
	int r = real(u);

	if (fake.release)
		snprintf(u->release, sizeof(u->release), "%s", fake.release);
	return r;
}

static int erase(int fd, const uint64_t *range)
{
	uint8_t *block;
	char word;

	if (range[0] % 512 || range[1] % 512) {
		fake.probes++;
		errno = fake.probe_errno;
		return errno ? -1 : 0;
	}
	fake.erasures++;
	fake.thread = pthread_self();
	fake.first = range[0];
	fake.bytes = range[1];
	if (fake.hold >= 0 && read(fake.hold, &word, 1) != 1)
		abort();
	block = aligned_alloc(4096, 4096);
	if (pread(fd, block, 4096, (off_t)(range[0] / 4096 * 4096)) != 4096)
		abort();
	fake.there = block[range[0] % 4096];
	free(block);
	errno = fake.erase_errno;
	return errno ? -1 : 0;
}

int ioctl(int fd, unsigned long what, ...)
{
	int (*real)(int, unsigned long, void *) = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
	va_list ap;
	void *arg;

	va_start(ap, what);
	arg = va_arg(ap, void *);
	va_end(ap);
	return what == BLKSECDISCARD && fake.release ? erase(fd, arg) : real(fd, what, arg);
}

static void on_done(void *ctx, struct request *r, int rc)
{
	(void)ctx, (void)r;
	answers++;
	answer_rc = rc;
}

static int setup(void **state)
{
	char why[300];
	int fd;

	(void)state;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	bytes = malloc(8 * MIB);
	memset(bytes, 'x', 8 * MIB);
	if (fd < 0 || write(fd, bytes, 8 * MIB) != 8 * MIB || fsync(fd) || close(fd))
		return -1;
	answers = 0;
	fake.release = NULL;
	return loop_new(64, NULL, 0, &loop) || disk_open(path, loop, 4, on_done, NULL, &disk, why, sizeof(why)) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_close(disk);
	loop_free(loop);
	free(bytes);
	return unlink(path);
}

static void discard(uint64_t sector, uint32_t sectors)
{
	req = (struct request){ .op = REQUEST_DISCARD, .sector = sector, .sectors = sectors };
	answers = 0;
	disk_submit(disk, &req);
	for (int i = 0; i < 400 && disk_in_flight(disk); i++)
		assert_int_equal(loop_run(loop, loop_now_ms(loop) + 50), 0);
	assert_int_equal(answers, 1);
}

static void read_back(void)
{
	FILE *f = fopen(path, "r");

	assert_int_equal(fread(bytes, 1, 8 * MIB, f), 8 * MIB);
	fclose(f);
}

static void expect(uint64_t sector, uint64_t sectors, uint8_t byte)
{
	for (uint64_t i = sector * SECTOR_SIZE; i < (sector + sectors) * SECTOR_SIZE; i++)
		if (bytes[i] != byte)
			fail_msg("byte %lu is %u, not %u", (unsigned long)i, bytes[i], byte);
}

static long blocks(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long)st.st_blocks;
}

static void the_space_is_given_back_and_reads_as_zeroes(void **state)
{
	long before = blocks();

	(void)state;
	assert_true(disk_discard_unit(disk) >= DISCARD_UNIT_MIN);
	discard(1024, DISCARD_SECTORS_MAX);
	assert_int_equal(answer_rc, 0);
	assert_true(blocks() <= before - (long)DISCARD_SECTORS_MAX + 16);
	read_back();
	expect(0, 1024, 'x');
	expect(1024, DISCARD_SECTORS_MAX, 0);
	expect(1024 + DISCARD_SECTORS_MAX, SECTORS - 1024 - DISCARD_SECTORS_MAX, 'x');
}

/* Not in units of the disk's own: to the last byte all the same. */
static void the_edges_are_zeroed_too(void **state)
{
	uint32_t block = disk_block_size(disk) / SECTOR_SIZE;

	(void)state;
	discard(8 + block, 64);
	assert_int_equal(answer_rc, 0);
	read_back();
	expect(0, 8 + block, 'x');
	expect(8 + block, 64, 0);
	expect(8 + block + 64, SECTORS - 8 - block - 64, 'x');
}

static bool run(const char *command, char *out, int size)
{
	FILE *p = popen(command, "r");

	out[0] = '\0';
	if (!p || !fgets(out, size, p))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return p && !pclose(p);
}

/* A block device that punches a hole into its file when it is told to. Where there is no loop device, there is nothing to be seen. */
static void a_block_device_gives_its_space_back(void **state)
{
	char command[100], device[64], words[300], gone[64];
	long before = blocks();
	int rc;

	(void)state;
	disk_close(disk);
	disk = NULL;
	snprintf(command, sizeof(command), "losetup --find --show %s 2>/dev/null", path);
	if (!run(command, device, sizeof(device)))
		skip();
	rc = disk_open(device, loop, 4, on_done, NULL, &disk, words, sizeof(words));
	snprintf(command, sizeof(command), "losetup --detach %s; echo", device); /* when it is closed */
	run(command, gone, sizeof(gone));
	assert_int_equal(rc, 0);
	assert_true(disk_discard_unit(disk) >= DISCARD_UNIT_MIN);
	assert_false(disk_erases(disk));
	discard(1024 + 1, DISCARD_SECTORS_MAX - 2);
	assert_int_equal(answer_rc, 0);
	assert_true(blocks() <= before - (long)DISCARD_SECTORS_MAX + 32);
	read_back();
	expect(0, 1025, 'x');
	expect(1025, DISCARD_SECTORS_MAX - 2, 0);
	expect(1025 + DISCARD_SECTORS_MAX - 2, SECTORS - 1025 - DISCARD_SECTORS_MAX + 2, 'x');
}

/* A pipe stands in for a disk that has no holes: what is written for them can be read out of it. */
static void zeroes_are_written_where_no_hole_can_be_made(void **state)
{
	int pipefd[2];
	uint8_t *got = malloc(MIB);
	ssize_t n, total = 0;

	(void)state;
	assert_int_equal(pipe2(pipefd, O_NONBLOCK), 0);
	assert_true(fcntl(pipefd[1], F_SETPIPE_SZ, MIB) >= (int)MIB);
	assert_true(dup2(pipefd[1], disk_claim(disk)->fd) >= 0);
	discard(0, MIB / SECTOR_SIZE / 2);
	assert_int_equal(answer_rc, 0);
	memset(got, 'x', MIB);
	while ((n = read(pipefd[0], got + total, MIB - (size_t)total)) > 0)
		total += n;
	assert_int_equal(total, MIB / 2);
	assert_int_equal(got[0], 0);
	assert_memory_equal(got, got + 1, MIB / 2 - 1);
	close(pipefd[0]);
	close(pipefd[1]);
	free(got);
}

static void a_disk_that_cannot_write_either_fails(void **state)
{
	int fd = open("/dev/full", O_RDWR);

	(void)state;
	assert_true(fd >= 0 && dup2(fd, disk_claim(disk)->fd) >= 0);
	discard(0, 64);
	assert_int_equal(answer_rc, -ENOSPC);
	close(fd);
}

/* ---- secure ones ---- */

static void open_eraser(void)
{
	char why[300];

	disk_close(disk);
	memset(&fake, 0, sizeof(fake));
	fake.release = "6.1.0-18-amd64";
	fake.probe_errno = EINVAL;
	fake.hold = -1;
	assert_int_equal(disk_open(path, loop, 4, on_done, NULL, &disk, why, sizeof(why)), 0);
}

static void submit(struct request *r, uint64_t sector, uint32_t sectors)
{
	*r = (struct request){ .op = REQUEST_DISCARD, .secure = true, .sector = sector, .sectors = sectors, .erase_rc = 1 };
	disk_submit(disk, r);
}

static void run_until(int n)
{
	for (int i = 0; i < 400 && answers < n; i++)
		assert_int_equal(loop_run(loop, loop_now_ms(loop) + 50), 0);
	assert_int_equal(answers, n);
}

static void whether_a_disk_erases_is_asked_only_where_the_answer_means_it(void **state)
{
	static const struct { const char *release; int probe; bool asked, erases; } cases[] = {
		{ "5.19.0", EINVAL, true, true },
		{ "6.1.0-18-amd64", EINVAL, true, true },
		{ "10.0.0", EINVAL, true, true },
		{ "6.1.0", EOPNOTSUPP, true, false },
		{ "6.1.0", ENOTTY, true, false },
		{ "6.1.0", 0, true, false }, /* that cannot be */
		{ "5.18.19", EINVAL, false, false },
		{ "5.10.0-28-amd64", EINVAL, false, false },
		{ "4.19.0", EINVAL, false, false },
		{ "unknown", EINVAL, false, false },
	};
	int fd = disk_claim(disk)->fd;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&fake, 0, sizeof(fake));
		fake.release = cases[i].release;
		fake.probe_errno = cases[i].probe;
		assert_int_equal(eraser_possible(fd), cases[i].erases);
		assert_int_equal(fake.probes, cases[i].asked);
		assert_int_equal(fake.erasures, 0);
	}
}

/* By the kernel's own word. */
static void a_file_does_not_erase_and_says_so(void **state)
{
	(void)state;
	assert_false(disk_erases(disk));
	submit(&req, 1024, 64);
	run_until(1);
	assert_int_equal(answer_rc, 0);
	assert_int_equal(req.erase_rc, -EOPNOTSUPP);
	read_back();
	expect(1024, 64, 0);
	expect(1024 + 64, 64, 'x');
}

static void what_is_discarded_securely_is_erased_and_then_zeroes(void **state)
{
	(void)state;
	open_eraser();
	assert_true(disk_erases(disk));
	submit(&req, 1024, DISCARD_SECTORS_MAX);
	run_until(1);
	assert_int_equal(answer_rc, 0);
	assert_int_equal(req.erase_rc, 0);
	assert_int_equal(fake.erasures, 1);
	assert_int_equal(fake.first, 1024 * SECTOR_SIZE);
	assert_int_equal(fake.bytes, DISCARD_SECTORS_MAX * SECTOR_SIZE);
	assert_int_equal(fake.there, 'x');
	assert_false(pthread_equal(fake.thread, pthread_self()));
	read_back();
	expect(0, 1024, 'x');
	expect(1024, DISCARD_SECTORS_MAX, 0);
	expect(1024 + DISCARD_SECTORS_MAX, SECTORS - 1024 - DISCARD_SECTORS_MAX, 'x');
	discard(0, 64); /* an ordinary one */
	assert_int_equal(fake.erasures, 1);
}

static void what_could_not_be_erased_is_zeroes_all_the_same(void **state)
{
	(void)state;
	open_eraser();
	fake.erase_errno = EIO;
	submit(&req, 1024, 64);
	run_until(1);
	assert_int_equal(answer_rc, 0);
	assert_int_equal(req.erase_rc, -EIO);
	read_back();
	expect(1024, 64, 0);
}

static void the_loop_goes_on_while_the_device_erases(void **state)
{
	struct request read_meanwhile = { .op = REQUEST_READ, .sector = 0, .sectors = 8 }, second;
	int pipefd[2];

	(void)state;
	open_eraser();
	assert_int_equal(pipe(pipefd), 0);
	fake.hold = pipefd[0];
	read_meanwhile.data = aligned_alloc(4096, 4096);
	submit(&req, 1024, 64);
	submit(&second, 2048, 64);
	disk_submit(disk, &read_meanwhile);
	run_until(1);
	assert_int_equal(read_meanwhile.data[0], 'x');
	assert_int_equal(disk_in_flight(disk), 2);
	assert_int_equal(write(pipefd[1], "12", 2), 2);
	run_until(3);
	assert_int_equal(fake.erasures, 2);
	assert_int_equal(req.erase_rc | second.erase_rc, 0);
	read_back();
	expect(1024, 64, 0);
	expect(2048, 64, 0);
	free(read_meanwhile.data);
	close(pipefd[0]);
	close(pipefd[1]);
}

/* disk-timeout: it is not answered, and what it does not end keeps the disk open. */
static void an_erasure_that_is_given_up_is_not_answered_and_goes_no_further(void **state)
{
	uint64_t since;
	int pipefd[2];

	(void)state;
	open_eraser();
	assert_int_equal(pipe(pipefd), 0);
	fake.hold = pipefd[0];
	submit(&req, 1024, 64);
	assert_true(disk_abandon(disk, &req));
	assert_int_equal(disk_abandoned(disk, &since), 1);
	assert_true(since <= loop_now_ms(loop));
	assert_int_equal(disk_in_flight(disk), 1);
	assert_int_equal(write(pipefd[1], "1", 1), 1);
	for (int i = 0; i < 400 && disk_in_flight(disk); i++)
		assert_int_equal(loop_run(loop, loop_now_ms(loop) + 50), 0);
	assert_int_equal(disk_in_flight(disk), 0);
	assert_int_equal(disk_abandoned(disk, &since), 0);
	assert_int_equal(answers, 0);
	assert_int_equal(req.erase_rc, -EOPNOTSUPP); /* nobody touches it any more */
	read_back();
	expect(1024, 64, 'x'); /* no zeroes after it */
	close(pipefd[0]);
	close(pipefd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_space_is_given_back_and_reads_as_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_edges_are_zeroed_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_block_device_gives_its_space_back, setup, teardown),
		cmocka_unit_test_setup_teardown(zeroes_are_written_where_no_hole_can_be_made, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_cannot_write_either_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(whether_a_disk_erases_is_asked_only_where_the_answer_means_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_does_not_erase_and_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_discarded_securely_is_erased_and_then_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_could_not_be_erased_is_zeroes_all_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(the_loop_goes_on_while_the_device_erases, setup, teardown),
		cmocka_unit_test_setup_teardown(an_erasure_that_is_given_up_is_not_answered_and_goes_no_further, setup, teardown),
	};

	return cmocka_run_group_tests_name("disk-discard", tests, NULL, NULL);
}
