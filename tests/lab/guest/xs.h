/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The little of the xenstore protocol that the lab's agent (in the guest, over /dev/xen/xenbus) and guest-run (in
 * Dom0, over xenstored's socket) need. Both are linked statically, so they cannot use libxenstore. One request at a
 * time; watch events that arrive before a reply are kept in a queue. Wire format: <xen/io/xs_wire.h>.
 */
#ifndef LAB_XS_H
#define LAB_XS_H

#include <stdbool.h>
#include <stddef.h>

#define XS_QUEUE 64

struct xs {
	int fd;
	char *event[XS_QUEUE];
	unsigned int events;
};

/* 'path' is a character device or a unix socket. 0 or negative errno. */
int xs_open(struct xs *xs, const char *path);
void xs_close(struct xs *xs);

/* The caller frees the value; it ends in a NUL that *len does not count. NULL: errno says why. */
char *xs_read(struct xs *xs, const char *path, size_t *len);
/* Children of 'path', each ending in a NUL, one after the other in *len bytes. The caller frees. */
char *xs_list(struct xs *xs, const char *path, size_t *len);
int xs_write(struct xs *xs, const char *path, const void *value, size_t len);
int xs_rm(struct xs *xs, const char *path);
int xs_watch(struct xs *xs, const char *path);

/* The path of the next watch event (the caller frees), or NULL when 'ms' milliseconds passed (-1: no limit). */
char *xs_event(struct xs *xs, int ms);

#endif
