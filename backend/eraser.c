/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eraser.c: the thread that waits in ioctl(BLKSECDISCARD) for an owner thread.
 *
 *   owner thread ── eraser_erase ──> inbox ──> eraser thread: ioctl ──> outbox ── on_mail ──> op->fn, on the owner thread
 *
 * Invariants
 *  1. The two threads share nothing but messages: an erasure is the one's, then the other's, then the first one's again.
 *  2. on_mail's poll is with the kernel exactly while something is under way, so an eraser with nothing to do can be freed.
 *
 * Crash argument (P6): a thread of a killed process leaves the ioctl only when the device has done what it was asked for: the kernel waits for
 * it without regard to signals (blkdev_issue_secure_erase() ends in submit_bio_wait()). Until then the system call has a reference to the open
 * file, and with it the exclusive claim (claim.h): a successor's claim fails with EBUSY, and nothing is executed. What was erased, and not yet
 * zeroed, may read as anything; its extent is in the activity log, and the successor executes the guest's request again.
 *
 * What the kernel says (block/ioctl.c, block/blk-lib.c):
 *
 *   since 5.19    a device that cannot erase securely says EOPNOTSUPP before the range is looked at; one that can says EINVAL to a range that is not
 *                 in whole sectors, before anything is done. (Commit 44abff2c0b97.)
 *   5.10 to 5.18  the range is looked at first, and what is known before is only whether the device can discard. The one probe that would tell, an
 *                 empty range, throws the device's page cache away. So it is not offered there; nor where a distribution has
 *                 brought the newer code to an older number, which cannot be told.
 *
 * Files, and devices whose driver has no secure erase (loop, thin volumes of LVM, nearly all disks but eMMC) say that they cannot.
 */
#include "backend/eraser.h"

#include <assert.h>
#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

struct eraser {
	struct loop *loop;
	int fd;
	struct mailbox *inbox, *outbox;
	pthread_t thread;
	struct message stop;
	bool stopped; /* the eraser thread's */
	struct loop_op mail_op;
	unsigned int under_way;
};

/* ---- can it? ---- */

static bool kernel_tells(void)
{
	unsigned int major, minor;
	struct utsname u;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 5 || (major == 5 && minor >= 19);
}

bool eraser_possible(int fd)
{
	uint64_t no_range[2] = { 1, 0 };

	return kernel_tells() && ioctl(fd, BLKSECDISCARD, no_range) && errno == EINVAL;
}

/* ---- the eraser thread ---- */

static void deliver(struct message *m);

static void erase(struct message *m)
{
	struct erasure *e = (struct erasure *)m;

	e->result = ioctl(e->eraser->fd, BLKSECDISCARD, e->range) ? -errno : 0;
	m->run = deliver;
	mailbox_post(e->eraser->outbox, m);
}

static void stop(struct message *m)
{
	struct eraser *eraser = (struct eraser *)((char *)m - offsetof(struct eraser, stop));

	eraser->stopped = true;
}

static void *eraser_main(void *arg)
{
	struct eraser *eraser = arg;
	struct pollfd p = { .fd = mailbox_fd(eraser->inbox), .events = POLLIN };

	while (!eraser->stopped)
		if (poll(&p, 1, -1) > 0)
			mailbox_run(eraser->inbox);
	return NULL;
}

/* ---- the owner thread ---- */

static void deliver(struct message *m)
{
	struct erasure *e = (struct erasure *)m;

	e->eraser->under_way--;
	e->op->busy = false;
	e->op->fn(e->op, e->result);
}

static void await(struct eraser *eraser)
{
	if (eraser->under_way && !eraser->mail_op.busy)
		loop_poll_in(eraser->loop, &eraser->mail_op, mailbox_fd(eraser->outbox));
}

static void on_mail(struct loop_op *op, int result)
{
	struct eraser *eraser = (struct eraser *)((char *)op - offsetof(struct eraser, mail_op));

	(void)result; /* an error is no mail: it is polled again */
	mailbox_run(eraser->outbox);
	await(eraser);
}

void eraser_erase(struct eraser *eraser, struct erasure *erasure, struct loop_op *op, uint64_t offset, uint64_t bytes)
{
	assert(op->fn && !op->busy);
	*erasure = (struct erasure){ .message.run = erase, .eraser = eraser, .op = op, .range = { offset, bytes } };
	op->busy = true;
	eraser->under_way++;
	mailbox_post(eraser->inbox, &erasure->message);
	await(eraser);
}

static void dispose(struct eraser *eraser)
{
	mailbox_free(eraser->inbox);
	mailbox_free(eraser->outbox);
	free(eraser);
}

int eraser_new(struct loop *loop, int fd, struct eraser **out)
{
	struct eraser *eraser = calloc(1, sizeof(*eraser));
	int rc;

	if (!eraser)
		return -ENOMEM;
	eraser->loop = loop;
	eraser->fd = fd;
	eraser->stop.run = stop;
	eraser->mail_op.fn = on_mail;
	rc = mailbox_new(&eraser->inbox);
	if (!rc)
		rc = mailbox_new(&eraser->outbox);
	if (!rc)
		rc = -pthread_create(&eraser->thread, NULL, eraser_main, eraser);
	if (rc)
		dispose(eraser);
	else
		*out = eraser;
	return rc;
}

void eraser_free(struct eraser *eraser)
{
	if (!eraser)
		return;
	assert(!eraser->under_way && !eraser->mail_op.busy);
	mailbox_post(eraser->inbox, &eraser->stop);
	pthread_join(eraser->thread, NULL);
	dispose(eraser);
}
