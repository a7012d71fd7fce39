/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that fail: the part of libxen-standin.so that stands between a program and the kernel's io_uring. What
 * DRBDX_SIM_HOST/faults says, as long as it is there, happens to the I/O that is submitted from then on:
 *
 *	read|write|flush|discard FILE [SECTOR SECTORS]
 *
 * in each line: this kind of I/O on the file of that name (without its folder), everywhere or only where it touches
 * these sectors of 512 bytes, fails with an error. Nothing of it is read or written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <liburing.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "death.h"

#define SECTOR 512u

static const char *kind_of(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_READ_FIXED:
		return "read";
	case IORING_OP_WRITE:
	case IORING_OP_WRITE_FIXED:
		return "write";
	case IORING_OP_FSYNC:
		return "flush";
	case IORING_OP_FALLOCATE:
		return "discard";
	default:
		return NULL;
	}
}

static bool hit(const char *line, const struct io_uring_sqe *sqe)
{
	const char *kind = kind_of(sqe), *name;
	char want_kind[16], want_name[128], link[64], path[PATH_MAX];
	unsigned long long first = 0, sectors = 0, length;
	ssize_t n;

	if (!kind || sscanf(line, "%15s %127s %llu %llu", want_kind, want_name, &first, &sectors) < 2 ||
	    strcmp(kind, want_kind))
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", sqe->fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	name = strrchr(path, '/');
	if (!name || strcmp(name + 1, want_name))
		return false;
	length = sqe->opcode == IORING_OP_FALLOCATE ? sqe->addr : sqe->len;
	return !sectors || (sqe->off < (first + sectors) * SECTOR && first * SECTOR < sqe->off + length);
}

/* An operation on no file fails, whatever it is. */
static void apply(FILE *faults, struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;
	char line[256];

	while (fgets(line, sizeof(line), faults))
		for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++) {
			struct io_uring_sqe *sqe = &sq->sqes[i & *sq->kring_mask];

			if (hit(line, sqe))
				sqe->fd = -1;
		}
}

static void before_submit(struct io_uring *ring)
{
	const char *host = getenv("DRBDX_SIM_HOST");
	char path[PATH_MAX];
	FILE *faults;

	if (io_uring_sq_ready(ring))
		die_before("submit");
	if (!host || snprintf(path, sizeof(path), "%s/faults", host) >= (int)sizeof(path))
		return;
	faults = fopen(path, "re");
	if (!faults)
		return;
	apply(faults, ring);
	fclose(faults);
}

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		abort();
	return f;
}

int io_uring_submit(struct io_uring *ring)
{
	int r;

	before_submit(ring);
	r = ((int (*)(struct io_uring *))next("io_uring_submit"))(ring);
	die_after("submit");
	return r;
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr)
{
	int r;

	before_submit(ring);
	r = ((int (*)(struct io_uring *, unsigned))next("io_uring_submit_and_wait"))(ring, wait_nr);
	die_after("submit");
	return r;
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned wait_nr,
				     struct __kernel_timespec *ts, sigset_t *sigmask)
{
	int r;

	before_submit(ring);
	r = ((int (*)(struct io_uring *, struct io_uring_cqe **, unsigned, struct __kernel_timespec *,
		      sigset_t *))next("io_uring_submit_and_wait_timeout"))(ring, cqe, wait_nr, ts, sigmask);
	die_after("submit");
	return r;
}
