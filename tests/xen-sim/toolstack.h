/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libxl and xl do for a guest's disk, as far as a backend and its hotplug script can see it. */
#ifndef TESTS_XEN_SIM_TOOLSTACK_H
#define TESTS_XEN_SIM_TOOLSTACK_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

struct disk {
	unsigned domid, devid;
	const char *kind;		/* vbd or vbd3 */
	const char *resource;		/* the target of the disk specification */
	const char *script;		/* a name in /etc/xen/scripts, or a path */
	const char *dev;		/* xvda2; NULL: made from devid */
	const char *name, *uuid;	/* of the guest; may be NULL */
	bool readonly, cdrom, pv;
};

enum remove_force { REMOVE_SAFE, REMOVE_AUTO, REMOVE_FORCE };

/* printf into a fresh string; ends the program when out of memory. */
char *fmt(const char *f, ...) __attribute__((format(printf, 1, 2)));

/* A node's value as a string to free, or NULL. */
char *node_read(struct xs_handle *xs, const char *path);
int node_read_int(struct xs_handle *xs, const char *path, int missing);
bool node_write(struct xs_handle *xs, xs_transaction_t t, const char *path, const char *value);

/* 0, or 1 after a line of explanation on stderr. */
int domain_create(struct xs_handle *xs, const struct disk *d);
int domain_destroy(struct xs_handle *xs, unsigned domid);
int disk_attach(struct xs_handle *xs, const struct disk *d);
int disk_remove(struct xs_handle *xs, const struct disk *d, enum remove_force force);

/* Wait until path has the value of an int (or is missing, for -1): 0, or -ETIMEDOUT. */
int wait_for_state(const char *path, int value, int timeout_ms);

#endif
