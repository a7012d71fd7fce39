/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mailbox.c: a queue of messages under a mutex, and an eventfd that says when it is not
 * empty.  It carries control messages, and secure erasures (eraser.c), which take a device far longer; nothing else of the data path posts.
 */
#include "backend/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

TAILQ_HEAD(message_list, message);

struct mailbox {
	int fd;
	pthread_mutex_t lock; /* guards `list` */
	struct message_list list;
};

int mailbox_new(struct mailbox **out)
{
	struct mailbox *mb = calloc(1, sizeof(*mb));

	if (!mb)
		return -ENOMEM;
	mb->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mb->fd < 0) {
		int rc = -errno;

		free(mb);
		return rc;
	}
	pthread_mutex_init(&mb->lock, NULL);
	TAILQ_INIT(&mb->list);
	*out = mb;
	return 0;
}

void mailbox_free(struct mailbox *mb)
{
	if (!mb)
		return;
	close(mb->fd);
	pthread_mutex_destroy(&mb->lock);
	free(mb);
}

int mailbox_fd(const struct mailbox *mb)
{
	return mb->fd;
}

void mailbox_post(struct mailbox *mb, struct message *m)
{
	uint64_t one = 1;
	ssize_t r;

	pthread_mutex_lock(&mb->lock);
	TAILQ_INSERT_TAIL(&mb->list, m, link);
	pthread_mutex_unlock(&mb->lock);
	do
		r = write(mb->fd, &one, sizeof(one));
	while (r < 0 && errno == EINTR); /* EAGAIN: the counter is full, so the reader is woken already */
}

void mailbox_run(struct mailbox *mb)
{
	struct message_list taken = TAILQ_HEAD_INITIALIZER(taken);
	struct message *m;
	uint64_t n;
	ssize_t r;

	do
		r = read(mb->fd, &n, sizeof(n));
	while (r < 0 && errno == EINTR);
	pthread_mutex_lock(&mb->lock);
	TAILQ_CONCAT(&taken, &mb->list, link);
	pthread_mutex_unlock(&mb->lock);
	while ((m = TAILQ_FIRST(&taken))) {
		TAILQ_REMOVE(&taken, m, link);
		m->run(m);
	}
}
