/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The io_uring of an owner thread, on kernels that know more or less of it. */
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/loop.h"

static unsigned int unknown_flags, calls; /* what this kernel refuses; how often it was asked */
static int failure;			  /* whatever the flags are */

/* In the library's place. */
int io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	int (*real)(unsigned int, struct io_uring *, unsigned int) = dlsym(RTLD_NEXT, "io_uring_queue_init");

	calls++;
	return failure ? failure : flags & unknown_flags ? -EINVAL : real(entries, ring, flags);
}

static int results[2];
static void on_read(struct loop_op *op, int result)
{
	(void)op;
	results[0] = result;
	results[1]++;
}

/* An operation is done, and its callback comes once. */
static void works(struct loop *loop)
{
	struct loop_op op = { .fn = on_read };
	char byte = 0;
	int pipe_fds[2];

	results[0] = results[1] = 0;
	assert_int_equal(pipe(pipe_fds), 0);
	loop_read(loop, &op, pipe_fds[0], &byte, 1, 0);
	assert_int_equal(loop_run(loop, 0), 0);
	assert_int_equal(results[1], 0);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	while (!results[1])
		assert_int_equal(loop_run(loop, loop_now_ms(loop) + 10000), 0);
	assert_int_equal(results[0], 1);
	assert_int_equal(byte, 'x');
	assert_false(op.busy);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void new_ring(unsigned int unknown, unsigned int asked)
{
	struct loop *loop;

	unknown_flags = unknown;
	calls = 0;
	assert_int_equal(loop_new(8, NULL, 0, &loop), 0);
	assert_int_equal(calls, asked);
	works(loop);
	loop_free(loop);
}

static void it_works_with_and_without_cooperative_task_work(void **state)
{
	(void)state;
	new_ring(0, 1);
	new_ring(UINT32_MAX, 2);
}

static void another_error_is_not_taken_for_an_older_kernel(void **state)
{
	struct loop *loop;

	(void)state;
	calls = 0;
	failure = -EPERM;
	assert_int_equal(loop_new(8, NULL, 0, &loop), -EPERM);
	assert_int_equal(calls, 1);
	failure = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_works_with_and_without_cooperative_task_work),
		cmocka_unit_test(another_error_is_not_taken_for_an_older_kernel),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
