/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * claim.c: opens devices and files as their only user on this host.
 *
 * Why flock for files: the lock belongs to the open file description and is dropped when its
 * last reference goes, and the kernel holds a reference for each write that is under way, also
 * after the process was killed.  (POSIX locks go with the process and would prove nothing.)
 */
#include "backend/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/sys/queue.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct held {
	dev_t dev;
	ino_t ino;
	struct claim claim;
	bool shared;
	unsigned int users;
	SLIST_ENTRY(held) link;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `all` */
static SLIST_HEAD(, held) all = SLIST_HEAD_INITIALIZER(all);

static struct held *find(const struct stat *st)
{
	dev_t dev = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	ino_t ino = S_ISBLK(st->st_mode) ? 0 : st->st_ino;
	struct held *h;

	SLIST_FOREACH(h, &all, link)
		if (h->dev == dev && h->ino == ino)
			return h;
	return NULL;
}

/* The unit of direct I/O on a file, as its file system says; 4096 where it does not say. */
static uint32_t file_block_size(int fd)
{
#ifdef STATX_DIOALIGN
	struct {
		struct statx stx;
		uint8_t room[256];
	} buf;

	memset(&buf, 0, sizeof(buf));
	if (!syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &buf.stx) &&
	    (buf.stx.stx_mask & STATX_DIOALIGN) && buf.stx.stx_dio_offset_align &&
	    buf.stx.stx_dio_offset_align <= 4096)
		return buf.stx.stx_dio_offset_align < 512 ? 512 : buf.stx.stx_dio_offset_align;
#endif
	(void)fd;
	return 4096;
}

static int measure(struct claim *c, const struct stat *st)
{
	int block_size = 0;

	if (S_ISREG(st->st_mode)) {
		c->bytes = (uint64_t)st->st_size;
		c->block_size = file_block_size(c->fd);
		return 0;
	}
	if (ioctl(c->fd, BLKGETSIZE64, &c->bytes) || ioctl(c->fd, BLKSSZGET, &block_size))
		return -errno;
	c->block_size = (uint32_t)block_size;
	return c->block_size == 512 || c->block_size == 4096 ? 0 : -EOPNOTSUPP;
}

int claim_measure(struct claim *c)
{
	struct claim now = *c;
	struct stat st;
	int rc = fstat(c->fd, &st) ? -errno : measure(&now, &st);

	if (!rc)
		c->bytes = now.bytes; /* the unit of its I/O stays what both nodes agreed on */
	return rc;
}

static int open_exclusively(const char *path, const struct stat *st, struct claim *c, char *why,
			    size_t why_size)
{
	int rc;

	c->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC | (S_ISBLK(st->st_mode) ? O_EXCL : 0));
	if (c->fd < 0) {
		rc = -errno;
		snprintf(why, why_size,
			 rc == -EBUSY
				 ? "%s is in use: it is mounted, belongs to another program (see lsblk, fuser -v), or the last "
				   "writes of an earlier drbdxd are not over (wait)"
			 : rc == -EINVAL
				 ? "%s does not support direct I/O (O_DIRECT): use a block device or a file "
				   "on another file system"
				 : "%s cannot be opened: %s: correct that, or the configuration",
			 path, strerror(-rc));
		return rc;
	}
	if (S_ISREG(st->st_mode) && flock(c->fd, LOCK_EX | LOCK_NB)) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		snprintf(why, why_size,
			 "%s is in use by another program (see fuser -v), or the last writes of an earlier drbdxd are not over (wait)",
			 path);
		return rc;
	}
	rc = measure(c, st);
	if (rc)
		snprintf(why, why_size, "%s: its size or block size cannot be used: %s: use another device", path, strerror(-rc));
	return rc;
}

static int open_new(const char *path, const struct stat *st, bool shared, struct claim *out, char *why,
		    size_t why_size)
{
	struct held *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->claim.fd = -1;
	rc = open_exclusively(path, st, &h->claim, why, why_size);
	if (rc) {
		if (h->claim.fd >= 0)
			close(h->claim.fd);
		free(h);
		return rc;
	}
	h->dev = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	h->ino = S_ISBLK(st->st_mode) ? 0 : st->st_ino;
	h->shared = shared;
	h->users = 1;
	SLIST_INSERT_HEAD(&all, h, link);
	*out = h->claim;
	return 0;
}

int claim_open(const char *path, bool shared, struct claim *out, char *why, size_t why_size)
{
	struct stat st;
	struct held *h;
	int rc = 0;

	out->fd = -1;
	if (stat(path, &st)) {
		rc = -errno;
		snprintf(why, why_size, "%s: %s: create or activate it (vgchange -ay), or correct the configuration", path, strerror(-rc));
		return rc;
	}
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)) {
		snprintf(why, why_size, "%s is neither a block device nor a file: correct the configuration", path);
		return -ENOTBLK;
	}
	pthread_mutex_lock(&lock);
	h = find(&st);
	if (h && !(h->shared && shared)) {
		rc = -EBUSY;
		snprintf(why, why_size, "%s is in use by another resource of this host: correct the configuration", path);
	} else if (h) {
		h->users++;
		*out = h->claim;
	} else {
		rc = open_new(path, &st, shared, out, why, why_size);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

void claim_close(struct claim *claim)
{
	struct held *h;

	if (claim->fd < 0)
		return;
	pthread_mutex_lock(&lock);
	SLIST_FOREACH(h, &all, link)
		if (h->claim.fd == claim->fd)
			break;
	if (h && !--h->users) {
		SLIST_REMOVE(&all, h, held, link);
		close(h->claim.fd);
		free(h);
	}
	pthread_mutex_unlock(&lock);
	claim->fd = -1;
}
