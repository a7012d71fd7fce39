/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.h: a connection to xenstored: bounded reads, strict numbers, guarded updates, watches.  Control
 * thread only.
 *
 * xenstored may die and come back.  A connection that has broken stays broken (every call gives -EIO): the
 * caller closes it and opens another one.
 */
#ifndef DRBDX_XENSTORE_STORE_H
#define DRBDX_XENSTORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_PATH 256u		/* longest path used here, with its NUL */

struct store;

/* The value as strictly decimal: digits only, no sign, blank or leading zero, all `len` bytes, min <= value
 * <= max. Pure. -EINVAL: not such a number, -ERANGE: out of range. */
int store_decimal(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *out);

/* Never waits for a xenstored that is away: -ECONNREFUSED, -ENOENT, or another negative errno. */
int store_open(struct store **out);
void store_close(struct store *s);		/* NULL is fine */
/* Readable when a watch has fired. It says nothing when xenstored dies. */
int store_fd(const struct store *s);
bool store_broken(const struct store *s);
void store_ping(struct store *s); /* asks something small, so that store_broken() is up to date */

/* Between the two, reads see one moment. A view cannot fail for another's sake: it is never committed. */
int store_view(struct store *s);
void store_view_end(struct store *s);

/* Reads `dir`/`key` ("" key: `dir` itself) into buf, with a NUL. -ENOENT; -EMSGSIZE: does not fit; -EILSEQ:
 * has a NUL or control character inside; -EIO: connection broken; other negative errno from xenstored. *buf
 * is "" on error. */
int store_read(struct store *s, const char *dir, const char *key, char *buf, size_t size);
/* As store_read() and store_decimal(). */
int store_number(struct store *s, const char *dir, const char *key, uint64_t min, uint64_t max,
		 uint64_t *out);

/* Names below `path`: malloc()ed in one piece, to be freed. NULL and *n = 0 if there are none. */
char **store_list(struct store *s, const char *path, unsigned int *n);

struct store_entry { const char *key, *value; };	/* value NULL: remove */
/* Writes all entries below `dir` in one transaction, if dir/guard exists (-ENOENT otherwise): a directory
 * that the toolstack has removed does not come back through a late write of ours. */
int store_update(struct store *s, const char *dir, const char *guard, const struct store_entry *entry,
		 size_t n);
/* A single value outside of a device's directory; `value` NULL removes the path and what is below. */
int store_write(struct store *s, const char *path, const char *value);

int store_watch(struct store *s, const char *path, const char *token);
void store_unwatch(struct store *s, const char *path, const char *token);
/* Takes one event: 1, 0 when there is none, -EIO. Too long ones are cut. */
int store_next(struct store *s, char *path, size_t path_size, char *token, size_t token_size);

#endif
