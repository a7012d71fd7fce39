/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenstore-fake.h: libxenstore over a tree in memory: transactions with conflicts, watches, a server that
 * dies. Included by the one file of a test that needs it; its xs_* functions take the place of the library's.
 */
#ifndef DRBDX_TESTS_XENSTORE_FAKE_H
#define DRBDX_TESTS_XENSTORE_FAKE_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#define XF_NODES 4096
#define XF_HOME "/local/domain/0/"

struct xf_node { char *path, *value; unsigned int len; };
struct xf_tree { struct xf_node node[XF_NODES]; size_t n; unsigned int generation; };
struct xf_watch { char path[256], token[128]; bool relative; };
struct xf_event { char path[256], token[128]; struct xf_event *next; };

struct xs_handle { int dummy; };

static struct {
	struct xf_tree tree, copy;		/* copy: of the one transaction that may be open */
	bool in_transaction;
	unsigned int start_generation;
	char changed[256][256];			/* paths written in the transaction */
	size_t nchanged;
	struct xf_watch watch[64];
	size_t nwatch;
	struct xf_event *first, **last;
	bool down;				/* the server is dead: this handle is of no use any more */
	bool open;
	unsigned int opens, events_queued, calls;
	int conflicts;				/* so many commits fail with EAGAIN */
	void (*before_commit)(void);		/* called once, outside of the transaction */
	struct xs_handle handle;
} xf;

static inline void xf_abs(const char *path, char *out, size_t size)
{
	if (*path == '/' || *path == '@')
		snprintf(out, size, "%s", path);
	else
		snprintf(out, size, XF_HOME "%s", path);
}

static inline struct xf_node *xf_find(struct xf_tree *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->node[i].path, path))
			return &t->node[i];
	return NULL;
}

static inline bool xf_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

static inline void xf_put(struct xf_tree *t, const char *path, const void *value, unsigned int len)
{
	struct xf_node *n = xf_find(t, path);

	if (!n) {
		if (t->n >= XF_NODES)
			abort();
		n = &t->node[t->n++];
		n->path = strdup(path);
	} else {
		free(n->value);
	}
	n->value = malloc(len + 1);
	memcpy(n->value, value, len);
	n->value[len] = 0;
	n->len = len;
	t->generation++;
}

static inline bool xf_cut(struct xf_tree *t, const char *path)
{
	bool any = false;

	for (size_t i = 0; i < t->n; )
		if (xf_below(t->node[i].path, path)) {
			free(t->node[i].path);
			free(t->node[i].value);
			t->node[i] = t->node[--t->n];
			any = true;
		} else {
			i++;
		}
	t->generation += any;
	return any;
}

static inline void xf_clear(struct xf_tree *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->node[i].path);
		free(t->node[i].value);
	}
	t->n = 0;
}

static inline void xf_copy(struct xf_tree *to, const struct xf_tree *from)
{
	xf_clear(to);
	for (size_t i = 0; i < from->n; i++)
		xf_put(to, from->node[i].path, from->node[i].value, from->node[i].len);
	to->generation = from->generation;
}

static inline void xf_queue(const struct xf_watch *w, const char *path)
{
	struct xf_event *e = calloc(1, sizeof(*e));

	if (w->relative && !strncmp(path, XF_HOME, strlen(XF_HOME)))
		path += strlen(XF_HOME);
	snprintf(e->path, sizeof(e->path), "%s", path);
	snprintf(e->token, sizeof(e->token), "%s", w->token);
	if (!xf.last)
		xf.last = &xf.first;
	*xf.last = e;
	xf.last = &e->next;
	xf.events_queued++;
}

static inline void xf_fire(const char *path, bool removed)
{
	for (size_t i = 0; i < xf.nwatch; i++)
		if (xf_below(path, xf.watch[i].path))
			xf_queue(&xf.watch[i], path);
		else if (removed && xf_below(xf.watch[i].path, path))
			xf_queue(&xf.watch[i], xf.watch[i].path);
}

/* ---- what a test does as toolstack or guest ---- */

static inline void xf_write_raw(const char *path, const void *value, unsigned int len)
{
	char full[256];

	xf_abs(path, full, sizeof(full));
	xf_put(&xf.tree, full, value, len);
	xf_fire(full, false);
}

static inline void xf_write(const char *path, const char *value)
{
	xf_write_raw(path, value, (unsigned int)strlen(value));
}

static inline void xf_rm(const char *path)
{
	char full[256];

	xf_abs(path, full, sizeof(full));
	if (xf_cut(&xf.tree, full))
		xf_fire(full, true);
}

static inline const char *xf_get(const char *path)	/* "" if it is not there */
{
	char full[256];
	struct xf_node *n;

	xf_abs(path, full, sizeof(full));
	n = xf_find(&xf.tree, full);
	return n ? n->value : "";
}

static inline bool xf_exists(const char *path)
{
	char full[256];

	xf_abs(path, full, sizeof(full));
	for (size_t i = 0; i < xf.tree.n; i++)
		if (xf_below(xf.tree.node[i].path, full))
			return true;
	return false;
}

static inline void xf_drop_connection(void)
{
	struct xf_event *e;

	while ((e = xf.first)) {
		xf.first = e->next;
		free(e);
	}
	xf.last = NULL;
	xf.nwatch = 0;
	xf.in_transaction = false;
}

static inline void xf_die(void)
{
	xf.down = true;
	xf_drop_connection();
}

static inline void xf_reset(void)
{
	xf_drop_connection();
	xf_clear(&xf.tree);
	xf_clear(&xf.copy);
	memset(&xf, 0, sizeof(xf));
}

/* ---- libxenstore ---- */

const char *xs_daemon_socket(void)
{
	return xf.down ? "/nonexistent/xenstored" : "/dev/null";
}

struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	if (xf.open)
		abort();	/* the old one must be closed first */
	xf.open = true;
	xf.opens++;
	return &xf.handle;
}

void xs_close(struct xs_handle *h)
{
	(void)h;
	xf.open = false;
	xf_drop_connection();
}

static inline bool xf_dead(struct xs_handle *h)
{
	xf.calls++;
	if (!xf.down && h == &xf.handle && xf.open)
		return false;
	errno = EBADF;
	return true;
}

static inline struct xf_tree *xf_of(xs_transaction_t t)
{
	if (t != XBT_NULL && !xf.in_transaction)
		abort();
	return t == XBT_NULL ? &xf.tree : &xf.copy;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
	char full[256], *out;
	struct xf_node *n;

	if (xf_dead(h))
		return NULL;
	xf_abs(path, full, sizeof(full));
	n = xf_find(xf_of(t), full);
	if (!n) {
		errno = ENOENT;
		return NULL;
	}
	out = malloc(n->len + 1);
	memcpy(out, n->value, n->len + 1);
	if (len)
		*len = n->len;
	return out;
}

static inline void xf_note_change(xs_transaction_t t, const char *path, bool removed)
{
	if (t == XBT_NULL)
		xf_fire(path, removed);
	else if (xf.nchanged < 256)
		snprintf(xf.changed[xf.nchanged++], sizeof(xf.changed[0]), "%s", path);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned int len)
{
	char full[256];

	if (xf_dead(h))
		return false;
	xf_abs(path, full, sizeof(full));
	xf_put(xf_of(t), full, data, len);
	xf_note_change(t, full, false);
	return true;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	char full[256];

	if (xf_dead(h))
		return false;
	xf_abs(path, full, sizeof(full));
	if (!xf_cut(xf_of(t), full)) {
		errno = ENOENT;
		return false;
	}
	xf_note_change(t, full, true);
	return true;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
	char full[256], names[256][64], *text;
	struct xf_tree *tree;
	unsigned int n = 0;
	char **out;
	size_t skip;

	if (xf_dead(h))
		return NULL;
	xf_abs(path, full, sizeof(full));
	skip = strlen(full);
	tree = xf_of(t);
	for (size_t i = 0; i < tree->n; i++) {
		const char *p = tree->node[i].path;
		unsigned int j;
		int len;

		if (!xf_below(p, full) || !p[skip])
			continue;
		len = (int)strcspn(p + skip + 1, "/");
		for (j = 0; j < n; j++)
			if ((int)strlen(names[j]) == len && !strncmp(names[j], p + skip + 1, (size_t)len))
				break;
		if (j == n && n < 256)
			snprintf(names[n++], sizeof(names[0]), "%.*s", len, p + skip + 1);
	}
	if (!n) {
		errno = ENOENT;
		return NULL;
	}
	out = malloc(n * (sizeof(char *) + sizeof(names[0])));
	text = (char *)(out + n);
	for (unsigned int i = 0; i < n; i++, text += sizeof(names[0])) {
		memcpy(text, names[i], sizeof(names[0]));
		out[i] = text;
	}
	*num = n;
	return out;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	if (xf_dead(h))
		return XBT_NULL;
	if (xf.in_transaction)
		abort();	/* one at a time here */
	xf_copy(&xf.copy, &xf.tree);
	xf.start_generation = xf.tree.generation;
	xf.in_transaction = true;
	xf.nchanged = 0;
	return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
	void (*hook)(void) = xf.before_commit;

	(void)t;
	if (xf_dead(h))
		return false;
	xf.in_transaction = false;
	if (abandon)
		return true;
	xf.before_commit = NULL;
	if (hook)
		hook();
	if (xf.conflicts > 0 || xf.tree.generation != xf.start_generation) {
		xf.conflicts -= xf.conflicts > 0;
		errno = EAGAIN;
		return false;
	}
	xf_copy(&xf.tree, &xf.copy);
	for (size_t i = 0; i < xf.nchanged; i++)
		xf_fire(xf.changed[i], false);
	return true;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	struct xf_watch *w;

	if (xf_dead(h))
		return false;
	for (size_t i = 0; i < xf.nwatch; i++)
		if (!strcmp(xf.watch[i].token, token) && strstr(xf.watch[i].path, path)) {
			errno = EEXIST;
			return false;
		}
	if (xf.nwatch >= 64)
		abort();
	w = &xf.watch[xf.nwatch++];
	xf_abs(path, w->path, sizeof(w->path));
	snprintf(w->token, sizeof(w->token), "%s", token);
	w->relative = *path != '/' && *path != '@';
	xf_queue(w, w->path);
	return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	char full[256];

	if (xf_dead(h))
		return false;
	xf_abs(path, full, sizeof(full));
	for (size_t i = 0; i < xf.nwatch; i++)
		if (!strcmp(xf.watch[i].path, full) && !strcmp(xf.watch[i].token, token)) {
			xf.watch[i] = xf.watch[--xf.nwatch];
			return true;
		}
	errno = ENOENT;
	return false;
}

int xs_fileno(struct xs_handle *h)
{
	(void)h;
	return 0;
}

char **xs_check_watch(struct xs_handle *h)
{
	struct xf_event *e = xf.first;
	char **out, *text;

	if (xf_dead(h)) {
		errno = EINVAL;
		return NULL;
	}
	if (!e) {
		errno = EAGAIN;
		return NULL;
	}
	xf.first = e->next;
	if (!xf.first)
		xf.last = NULL;
	out = malloc(2 * sizeof(char *) + sizeof(e->path) + sizeof(e->token));
	text = (char *)(out + 2);
	memcpy(text, e->path, sizeof(e->path));
	memcpy(text + sizeof(e->path), e->token, sizeof(e->token));
	out[XS_WATCH_PATH] = text;
	out[XS_WATCH_TOKEN] = text + sizeof(e->path);
	free(e);
	return out;
}

#endif
