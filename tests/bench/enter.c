/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library to preload into a daemon that runs under valgrind, which holds all other threads while one waits in an io_uring: the wait is
 * a poll(), during which they run. One call of these functions is one system call in a daemon that runs by itself.
 */
#include <liburing.h>
#include <poll.h>

static int enter(struct io_uring *ring, int timeout_ms)
{
	struct pollfd p = { .fd = ring->ring_fd, .events = POLLIN };
	int rc = io_uring_submit(ring);

	if (!io_uring_cq_ready(ring))
		poll(&p, 1, timeout_ms);
	return rc;
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned int n)
{
	(void)n;
	return enter(ring, -1);
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned int n, struct __kernel_timespec *ts,
				     sigset_t *mask)
{
	(void)cqe;
	(void)n;
	(void)mask;
	return enter(ring, (int)(ts->tv_sec * 1000 + ts->tv_nsec / 1000000));
}
