/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A discard at the disk (disk.c): zeroes are read there afterwards, whatever the disk can do, and a file gives its space back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/disk.h"

#define MIB	(1u << 20)
#define SECTORS (8 * MIB / SECTOR_SIZE)

static char path[] = "/var/tmp/drbdx-discard-XXXXXX";
static struct loop *loop;
static struct disk *disk;
static uint8_t *bytes;
static struct request req;
static int answers, answer_rc;

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_space_is_given_back_and_reads_as_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_edges_are_zeroed_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_block_device_gives_its_space_back, setup, teardown),
		cmocka_unit_test_setup_teardown(zeroes_are_written_where_no_hole_can_be_made, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_cannot_write_either_fails, setup, teardown),
	};

	return cmocka_run_group_tests_name("disk-discard", tests, NULL, NULL);
}
