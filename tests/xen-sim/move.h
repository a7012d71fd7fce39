/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's disk on its way to another host: what its memory holds about it is saved while the guest is
 * suspended, and loaded where its copy runs. What is on the ring stays there.
 */
#ifndef TESTS_XEN_SIM_MOVE_H
#define TESTS_XEN_SIM_MOVE_H

#include "load.h"

#define COMMAND_MAX 128

struct move {
	struct fe_config cfg;
	struct load load;	   /* its pointers are those of the process that saved it */
	char command[COMMAND_MAX]; /* what the load was started with */
	unsigned count;
	struct request *unanswered; /* in the order in which they were issued */
};

/* 0 or a negative errno. */
int move_save(const struct load *l, const char *command, const char *path);
int move_read(struct move *m, const char *path);
/* The frontend is connected and l is initialised: the load goes on, and asks again for what had no answer. */
void move_resume(struct move *m, struct load *l);

#endif
