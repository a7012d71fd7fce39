/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a request leaves behind that is given up while the kernel has it (disk.c, loop.c).
 *
 * A pipe stands in for the disk: a read waits until something is written into it, a write until there is room.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/disk.h"

#define AREA	 (64u << 10)
#define BYTES	 4096u
#define SECTORS	 (BYTES / SECTOR_SIZE)
#define REQUESTS 4u

static char path[] = "/var/tmp/drbdx-hang-XXXXXX";
static struct loop *loop;
static struct disk *disk;
static uint8_t *area;
static int pipefd[2];
static struct request req[REQUESTS];
static unsigned int answers;
static int answer_rc;

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
	if (fd < 0 || ftruncate(fd, AREA) || close(fd) || pipe(pipefd))
		return -1;
	area = aligned_alloc(4096, AREA);
	memset(area, 0, AREA);
	answers = 0;
	if (loop_new(64, area, AREA, &loop) || disk_open(path, loop, REQUESTS, on_done, NULL, &disk, why, sizeof(why)))
		return -1;
	for (unsigned int i = 0; i < REQUESTS; i++)
		req[i] = (struct request){ .sectors = SECTORS, .data = area + (size_t)i * BYTES };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_close(disk);
	loop_free(loop);
	free(area);
	close(pipefd[0]);
	close(pipefd[1]);
	return unlink(path);
}

/* From now on the disk is this end of the pipe. */
static void becomes(int end)
{
	assert_true(dup2(pipefd[end], disk_claim(disk)->fd) >= 0);
}

/* Until the disk has nothing, but not for ever. */
static void settle(void)
{
	for (int i = 0; i < 200 && disk_in_flight(disk); i++)
		assert_int_equal(loop_run(loop, loop_now_ms(loop) + 50), 0);
	assert_int_equal(disk_in_flight(disk), 0);
}

static void submit(unsigned int i, enum request_op op)
{
	req[i].op = op;
	disk_submit(disk, &req[i]);
	assert_int_equal(loop_run(loop, 0), 0);
}

static bool filled_with(const uint8_t *data, uint8_t byte)
{
	return data[0] == byte && !memcmp(data, data + 1, BYTES - 1);
}

static void a_read_that_was_given_up_lands_in_nobodys_buffer(void **state)
{
	uint8_t late[BYTES];

	(void)state;
	becomes(0);
	memset(req[0].data, 'o', BYTES);
	submit(0, REQUEST_READ);
	assert_true(disk_abandon(disk, &req[0]));
	assert_true(filled_with(req[0].data, 'o'));
	memset(req[0].data, 'n', BYTES); /* it is used again */
	memset(late, 'l', BYTES);
	assert_int_equal(write(pipefd[1], late, BYTES), BYTES);
	settle();
	assert_true(filled_with(req[0].data, 'n'));
	assert_int_equal(answers, 0);
}

static void a_write_that_was_given_up_writes_what_it_was_given(void **state)
{
	static uint8_t filler[1 << 16], got[BYTES];
	ssize_t n;

	(void)state;
	fcntl(pipefd[1], F_SETPIPE_SZ, sizeof(filler));
	assert_int_equal(write(pipefd[1], filler, sizeof(filler)), sizeof(filler));
	becomes(1);
	memset(req[1].data, 'w', BYTES);
	submit(1, REQUEST_WRITE);
	assert_true(disk_abandon(disk, &req[1]));
	assert_true(filled_with(req[1].data, 'w')); /* it is also what goes to the partner */
	memset(req[1].data, 'n', BYTES);
	for (size_t left = sizeof(filler); left; left -= (size_t)n) {
		n = read(pipefd[0], filler, left);
		assert_true(n > 0);
	}
	settle();
	assert_int_equal(read(pipefd[0], got, BYTES), BYTES);
	assert_true(filled_with(got, 'w'));
	assert_int_equal(answers, 0);
}

static void only_what_was_given_up_gets_another_buffer(void **state)
{
	uint8_t data[BYTES];

	(void)state;
	becomes(0);
	submit(0, REQUEST_READ);
	submit(1, REQUEST_READ);
	assert_true(disk_abandon(disk, &req[0]));
	memset(data, 'a', BYTES);
	assert_int_equal(write(pipefd[1], data, BYTES), BYTES);
	memset(data, 'b', BYTES);
	assert_int_equal(write(pipefd[1], data, BYTES), BYTES);
	settle();
	assert_int_equal(answers, 1);
	assert_int_equal(answer_rc, 0);
	assert_true(filled_with(req[1].data, 'a') || filled_with(req[1].data, 'b'));
	assert_true(filled_with(req[0].data, 0));
}

/* What is read into another address than the kernel knows must not go by what it knows of the area. */
static void a_buffer_that_was_exchanged_can_be_read_into_again(void **state)
{
	uint8_t data[BYTES];

	(void)state;
	becomes(0);
	submit(0, REQUEST_READ);
	assert_true(disk_abandon(disk, &req[0]));
	memset(data, 'a', BYTES);
	assert_int_equal(write(pipefd[1], data, BYTES), BYTES);
	settle();
	submit(0, REQUEST_READ);
	memset(data, 'b', BYTES);
	assert_int_equal(write(pipefd[1], data, BYTES), BYTES);
	settle();
	assert_int_equal(answers, 1);
	assert_true(filled_with(req[0].data, 'b'));
}

static void what_was_given_up_is_counted_until_the_kernel_has_ended_it(void **state)
{
	uint8_t data[BYTES];
	uint64_t since, first = loop_now_ms(loop);

	(void)state;
	becomes(0);
	assert_int_equal(disk_abandoned(disk, &since), 0);
	submit(0, REQUEST_READ);
	while (loop_now_ms(loop) < first + 20)
		assert_int_equal(loop_run(loop, first + 20), 0);
	submit(1, REQUEST_READ);
	assert_int_equal(disk_abandoned(disk, &since), 0);
	assert_true(disk_abandon(disk, &req[1]));
	assert_int_equal(disk_abandoned(disk, &since), 1);
	assert_true(since >= first + 20);
	assert_true(disk_abandon(disk, &req[0]));
	assert_int_equal(disk_abandoned(disk, &since), 2);
	assert_true(since <= first + 1);
	assert_int_equal(disk_in_flight(disk), 2);
	memset(data, 'x', BYTES);
	assert_int_equal(write(pipefd[1], data, BYTES), BYTES);
	assert_int_equal(write(pipefd[1], data, BYTES), BYTES);
	settle();
	assert_int_equal(disk_abandoned(disk, &since), 0);
	assert_int_equal(answers, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_read_that_was_given_up_lands_in_nobodys_buffer),
		TEST(a_write_that_was_given_up_writes_what_it_was_given),
		TEST(only_what_was_given_up_gets_another_buffer),
		TEST(a_buffer_that_was_exchanged_can_be_read_into_again),
		TEST(what_was_given_up_is_counted_until_the_kernel_has_ended_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
