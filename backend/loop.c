/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.c: one io_uring: submissions are queued in the ring and enter the kernel together,
 * with the wait for completions, once a turn.
 *
 * Invariants
 *  1. op->busy from the start of an operation until just before its callback; the kernel's
 *     user_data is the op, so it stays in place that long.
 *  2. Only the owner thread touches the ring.
 *  3. A turn takes the completions that are there when it begins its pass, so callbacks
 *     that start operations cannot starve the timers.
 */
#include "backend/loop.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

#define PAGE 4096u

struct loop {
	struct io_uring ring;
	uint8_t *area; /* known to the kernel as buffer 0, NULL if none */
	size_t area_bytes;
	bool registered; /* the pages there are still those that the kernel knows */
	uint64_t now_ms;
};

static uint64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The thread runs its turn to the end before it looks what has been done meanwhile, so the kernel need not interrupt it for that. Before Linux 5.19 it
 * always does. */
static int ring_new(unsigned int entries, struct io_uring *ring)
{
	int rc = io_uring_queue_init(entries, ring, IORING_SETUP_COOP_TASKRUN);

	return rc == -EINVAL ? io_uring_queue_init(entries, ring, 0) : rc;
}

int loop_new(unsigned int entries, void *registered, size_t registered_bytes, struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct iovec area = { registered, registered_bytes };
	int rc;

	if (!loop)
		return -ENOMEM;
	rc = ring_new(entries, &loop->ring);
	if (rc < 0) {
		free(loop);
		return rc;
	}
	if (registered) {
		rc = io_uring_register_buffers(&loop->ring, &area, 1);
		if (rc < 0) {
			io_uring_queue_exit(&loop->ring);
			free(loop);
			return rc;
		}
		loop->area = registered;
		loop->area_bytes = registered_bytes;
		loop->registered = true;
	}
	loop->now_ms = monotonic_ms();
	*out = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	io_uring_queue_exit(&loop->ring);
	free(loop);
}

const char *loop_requirement(int rc)
{
	switch (rc) {
	case -ENOSYS:
		return "this kernel has no io_uring; Linux 5.10 or newer is required";
	case -EPERM:
	case -EACCES:
		return "io_uring is switched off; set the sysctl kernel.io_uring_disabled "
		       "to 0 and allow io_uring_setup in the service's system call filter";
	case -ENOMEM:
		return "not enough lockable memory for io_uring; raise "
		       "LimitMEMLOCK (ulimit -l) or grant CAP_IPC_LOCK";
	default:
		return "io_uring could not be set up";
	}
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

static struct io_uring_sqe *begin(struct loop *loop, struct loop_op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	assert(op->fn && !op->busy);
	while (!sqe) { /* the submission queue is full: let the kernel take it */
		io_uring_submit(&loop->ring);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	op->busy = true;
	return sqe;
}

void loop_poll_in(struct loop *loop, struct loop_op *op, int fd)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_sqe_set_data(sqe, op);
}

static bool is_registered(const struct loop *loop, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return loop->registered && p >= loop->area && p + len <= loop->area + loop->area_bytes;
}

/* An operation on a registered buffer works on the pages that were there when it was registered, whatever is mapped now; the kernel
 * keeps them until the ring is gone. */
bool loop_leave_pages(struct loop *loop, void *buf, size_t len)
{
	void *copy;

	if (!loop->area || (uint8_t *)buf < loop->area || (uint8_t *)buf >= loop->area + loop->area_bytes)
		return true;
	len = (len + PAGE - 1) & ~(size_t)(PAGE - 1);
	copy = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED)
		return false;
	memcpy(copy, buf, len);
	if (mremap(copy, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, buf) == MAP_FAILED) {
		munmap(copy, len);
		return false;
	}
	loop->registered = false;
	return true;
}

void loop_read(struct loop *loop, struct loop_op *op, int fd, void *buf, size_t len, uint64_t offset)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	if (is_registered(loop, buf, len))
		io_uring_prep_read_fixed(sqe, fd, buf, (unsigned int)len, offset, 0);
	else
		io_uring_prep_read(sqe, fd, buf, (unsigned int)len, offset);
	io_uring_sqe_set_data(sqe, op);
}

void loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, size_t len, uint64_t offset,
		int rwf)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	if (is_registered(loop, buf, len))
		io_uring_prep_write_fixed(sqe, fd, buf, (unsigned int)len, offset, 0);
	else
		io_uring_prep_write(sqe, fd, buf, (unsigned int)len, offset);
	sqe->rw_flags = rwf;
	io_uring_sqe_set_data(sqe, op);
}

void loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	io_uring_prep_fallocate(sqe, fd, mode, (off_t)offset, (off_t)len);
	io_uring_sqe_set_data(sqe, op);
}

void loop_fdatasync(struct loop *loop, struct loop_op *op, int fd)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, op);
}

void loop_accept(struct loop *loop, struct loop_op *op, int fd, struct sockaddr_storage *from,
		 socklen_t *from_len)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	io_uring_prep_accept(sqe, fd, (struct sockaddr *)from, from_len, SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, op);
}

void loop_connect(struct loop *loop, struct loop_op *op, int fd, const struct sockaddr *to, socklen_t to_len)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	io_uring_prep_connect(sqe, fd, to, to_len);
	io_uring_sqe_set_data(sqe, op);
}

void loop_recv(struct loop *loop, struct loop_op *op, int fd, void *buf, size_t len)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	io_uring_prep_recv(sqe, fd, buf, len, 0);
	io_uring_sqe_set_data(sqe, op);
}

void loop_sendmsg(struct loop *loop, struct loop_op *op, int fd, const struct msghdr *msg)
{
	struct io_uring_sqe *sqe = begin(loop, op);

	io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, op);
}

void loop_cancel(struct loop *loop, struct loop_op *op)
{
	struct loop_op dummy = { .fn = op->fn };
	struct io_uring_sqe *sqe;

	if (!op->busy)
		return;
	sqe = begin(loop, &dummy);
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL); /* nobody waits for the cancellation itself */
}

static void dispatch(struct loop *loop)
{
	struct io_uring_cqe *cqe;
	unsigned int n = io_uring_cq_ready(&loop->ring);

	while (n-- && io_uring_peek_cqe(&loop->ring, &cqe) == 0) {
		struct loop_op *op = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&loop->ring, cqe);
		if (!op)
			continue;
		op->busy = false;
		op->fn(op, result);
	}
}

int loop_run(struct loop *loop, uint64_t deadline_ms)
{
	struct __kernel_timespec ts = { 0 };
	struct io_uring_cqe *cqe;
	uint64_t now = monotonic_ms(), wait;
	int r;

	if (deadline_ms == UINT64_MAX) {
		r = io_uring_submit_and_wait(&loop->ring, 1);
	} else {
		wait = deadline_ms > now ? deadline_ms - now : 0;
		ts.tv_sec = (long long)(wait / 1000);
		ts.tv_nsec = (long long)(wait % 1000) * 1000000;
		r = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &ts, NULL);
	}
	loop->now_ms = monotonic_ms();
	if (r < 0 && r != -ETIME && r != -EINTR && r != -EAGAIN && r != -EBUSY)
		return r;
	dispatch(loop);
	return 0;
}
