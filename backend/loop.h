/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h: the io_uring of one owner thread.  Everything that a resource waits for (disk,
 * sockets, event channels, mailbox, time) comes through it.
 *
 * A `struct loop_op` is embedded in whatever waits; it must stay in place until its
 * callback ran (the kernel holds a pointer to it). Callbacks run on the owner thread, from
 * loop_run(); they may start further operations.
 */
#ifndef DRBDX_BACKEND_LOOP_H
#define DRBDX_BACKEND_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct loop;
struct loop_op;
/* result: bytes or 0, or negative errno; -ECANCELED after loop_cancel() */
typedef void loop_fn(struct loop_op *op, int result);
struct loop_op {
	loop_fn *fn;
	bool busy; /* the kernel has it */
};

/* A memory area registered with the ring: disk operations inside it need no page pinning.
 * -ENOSYS/-EPERM in words by loop_requirement() */
int loop_new(unsigned int entries, void *registered, size_t registered_bytes, struct loop **out);
void loop_free(struct loop *loop);
const char *loop_requirement(int rc); /* what to tell the user when loop_new() failed */

/* Leaves the pages of `buf` to whatever operation is under way in them: at its address there are others from now on, with the same
 * contents, and nothing of the area is used as registered any more. Page aligned; outside of the area nothing is done, which is
 * success. False: no memory. */
bool loop_leave_pages(struct loop *loop, void *buf, size_t len);

uint64_t loop_now_ms(const struct loop *loop); /* CLOCK_MONOTONIC, read once a turn */

/* Start an operation. op->fn must be set; op must not be busy. They cannot fail: a full
 * queue is submitted first; errors arrive at op->fn. */

/* one shot; result = revents or negative errno */
void loop_poll_in(struct loop *loop, struct loop_op *op, int fd);
void loop_read(struct loop *loop, struct loop_op *op, int fd, void *buf, size_t len, uint64_t offset);
/* rwf: RWF_DSYNC … */
void loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, size_t len, uint64_t offset,
		int rwf);
/* mode: FALLOC_FL_* */
void loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset, uint64_t len);
void loop_fdatasync(struct loop *loop, struct loop_op *op, int fd);
void loop_accept(struct loop *loop, struct loop_op *op, int fd, struct sockaddr_storage *from,
		 socklen_t *from_len);
void loop_connect(struct loop *loop, struct loop_op *op, int fd, const struct sockaddr *to, socklen_t to_len);
void loop_recv(struct loop *loop, struct loop_op *op, int fd, void *buf, size_t len);
void loop_sendmsg(struct loop *loop, struct loop_op *op, int fd, const struct msghdr *msg);
/* its callback still comes, maybe with a real result */
void loop_cancel(struct loop *loop, struct loop_op *op);

/* One turn: submit, wait until something completes or `deadline_ms` (CLOCK_MONOTONIC,
 * UINT64_MAX = none) is reached, run the callbacks. */
int loop_run(struct loop *loop, uint64_t deadline_ms);

#endif
