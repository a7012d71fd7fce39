/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mailbox.h: how threads talk: a message is a function and its argument, run on the
 * receiving thread in the order of posting.
 */
#ifndef DRBDX_BACKEND_MAILBOX_H
#define DRBDX_BACKEND_MAILBOX_H

#include <bsd/sys/queue.h>

struct mailbox;
/* embedded; owned by the receiver once posted */
struct message {
	void (*run)(struct message *m);
	TAILQ_ENTRY(message) link;
};

int mailbox_new(struct mailbox **out);
void mailbox_free(struct mailbox *mb);
int mailbox_fd(const struct mailbox *mb);		  /* readable when there is mail (eventfd) */
void mailbox_post(struct mailbox *mb, struct message *m); /* any thread */
/* receiving thread: takes what is there and runs it */
void mailbox_run(struct mailbox *mb);

#endif
