/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.c: libxenstore, made bounded and able to lose its server.
 *
 * What libxenstore does not say by itself: when xenstored dies, its reader thread closes the socket and
 * nothing becomes readable on xs_fileno(); so the caller pings.  A broken connection shows as EBADF or EPIPE,
 * but also as EINVAL, which xenstored itself may answer: one more question tells them apart.  xs_open() turns
 * to the kernel's device when nobody listens on the socket, and a request there waits for ever; so the socket
 * is tried first.
 */
#include "xenstore/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenstore.h>

#define TRANSACTION_TRIES 64

struct store {
	struct xs_handle *xs;
	xs_transaction_t view;
	bool broken;
};

int store_decimal(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!len || len > 20 || (len > 1 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text[i] - '0', &v))
			return -ERANGE;
	}
	if (v < min || v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

/* Does somebody listen? A device node (XENSTORED_PATH, for a xenstore domain) is taken as it is. */
static int server_there(void)
{
	const char *path = xs_daemon_socket();
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int fd, rc = 0;

	if (!path || stat(path, &st))
		return -ENOENT;
	if (S_ISCHR(st.st_mode))
		return 0;
	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		rc = -errno;
	close(fd);
	return rc;
}

int store_open(struct store **out)
{
	struct store *s;
	int rc = server_there();

	if (rc)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->view = XBT_NULL;
	s->xs = xs_open(0);
	if (!s->xs) {
		rc = errno ? -errno : -EIO;
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	xs_close(s->xs);
	free(s);
}

int store_fd(const struct store *s)
{
	return s->broken ? -1 : xs_fileno(s->xs);
}

bool store_broken(const struct store *s)
{
	return s->broken;
}

/* Is this errno an answer of xenstored (and not of the socket)? */
static bool is_answer(int e)
{
	switch (e) {
	case ENOENT:
	case EACCES:
	case EPERM:
	case EAGAIN:
	case EEXIST:
	case E2BIG:
	case EBUSY:
	case ENOSPC:
	case ENOMEM:
	case EISDIR: case EROFS: case ENOTEMPTY: case ENOSYS: case EDQUOT:
		return true;
	default:
		return false;
	}
}

void store_ping(struct store *s)
{
	void *value;

	if (s->broken)
		return;
	value = xs_read(s->xs, XBT_NULL, "/local", NULL);
	if (!value && !is_answer(errno))
		s->broken = true;
	free(value);
}

/* The negative errno of a call that failed; notices a broken connection. */
static int failure(struct store *s, int e)
{
	if (s->broken)
		return -EIO;
	if (is_answer(e))
		return -e;
	if (e == EINVAL)
		store_ping(s);
	else
		s->broken = true;
	return s->broken ? -EIO : -e;
}

int store_view(struct store *s)
{
	if (s->broken)
		return -EIO;
	s->view = xs_transaction_start(s->xs);
	return s->view == XBT_NULL ? failure(s, errno) : 0;
}

void store_view_end(struct store *s)
{
	if (s->view != XBT_NULL && !s->broken && !xs_transaction_end(s->xs, s->view, true))
		failure(s, errno);
	s->view = XBT_NULL;
}

static int join(char *path, size_t size, const char *dir, const char *key)
{
	int n = *key ? snprintf(path, size, "%s/%s", dir, key) : snprintf(path, size, "%s", dir);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int copy_value(const char *value, unsigned int len, char *buf, size_t size)
{
	if (len >= size)
		return -EMSGSIZE;
	for (unsigned int i = 0; i < len; i++)
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
			return -EILSEQ;
	memcpy(buf, value, len);
	buf[len] = 0;
	return 0;
}

int store_read(struct store *s, const char *dir, const char *key, char *buf, size_t size)
{
	char path[STORE_PATH], *value;
	unsigned int len = 0;
	int rc;

	*buf = 0;
	if (s->broken)
		return -EIO;
	rc = join(path, sizeof(path), dir, key);
	if (rc)
		return rc;
	value = xs_read(s->xs, s->view, path, &len);
	if (!value)
		return failure(s, errno);
	rc = copy_value(value, len, buf, size);
	free(value);
	return rc;
}

int store_number(struct store *s, const char *dir, const char *key, uint64_t min, uint64_t max, uint64_t *out)
{
	char text[32];
	int rc = store_read(s, dir, key, text, sizeof(text));

	if (rc == -EMSGSIZE || rc == -EILSEQ)
		return -EINVAL;
	return rc ? rc : store_decimal(text, strlen(text), min, max, out);
}

char **store_list(struct store *s, const char *path, unsigned int *n)
{
	char **names;

	*n = 0;
	if (s->broken)
		return NULL;
	names = xs_directory(s->xs, s->view, path, n);
	if (!names) {
		failure(s, errno);
		*n = 0;
	}
	return names;
}

static int write_one(struct store *s, xs_transaction_t t, const char *path, const char *value)
{
	if (value)
		return xs_write(s->xs, t, path, value, (unsigned int)strlen(value)) ? 0 : failure(s, errno);
	if (xs_rm(s->xs, t, path))
		return 0;
	return errno == ENOENT ? 0 : failure(s, errno);
}

int store_write(struct store *s, const char *path, const char *value)
{
	return s->broken ? -EIO : write_one(s, XBT_NULL, path, value);
}

static int write_all(struct store *s, xs_transaction_t t, const char *dir, const char *guard,
		     const struct store_entry *entry, size_t n)
{
	char path[STORE_PATH];
	void *value;
	int rc = join(path, sizeof(path), dir, guard);

	if (rc)
		return rc;
	value = xs_read(s->xs, t, path, NULL);
	if (!value)
		return failure(s, errno);
	free(value);
	for (size_t i = 0; !rc && i < n; i++) {
		rc = join(path, sizeof(path), dir, entry[i].key);
		if (!rc)
			rc = write_one(s, t, path, entry[i].value);
	}
	return rc;
}

int store_update(struct store *s, const char *dir, const char *guard, const struct store_entry *entry,
		 size_t n)
{
	int rc = -EAGAIN;

	for (int i = 0; rc == -EAGAIN && i < TRANSACTION_TRIES; i++) {
		xs_transaction_t t;

		if (s->broken)
			return -EIO;
		t = xs_transaction_start(s->xs);
		if (t == XBT_NULL)
			return failure(s, errno);
		rc = write_all(s, t, dir, guard, entry, n);
		if (s->broken)
			return -EIO;
		if (!xs_transaction_end(s->xs, t, rc != 0) && !rc)
			rc = failure(s, errno);
	}
	return rc;
}

int store_watch(struct store *s, const char *path, const char *token)
{
	if (s->broken)
		return -EIO;
	return xs_watch(s->xs, path, token) ? 0 : failure(s, errno);
}

void store_unwatch(struct store *s, const char *path, const char *token)
{
	if (!s->broken && !xs_unwatch(s->xs, path, token))
		failure(s, errno);
}

int store_next(struct store *s, char *path, size_t path_size, char *token, size_t token_size)
{
	char **event;

	if (s->broken)
		return -EIO;
	event = xs_check_watch(s->xs);
	if (!event) {
		if (errno == EAGAIN)
			return 0;
		s->broken = true;
		return -EIO;
	}
	snprintf(path, path_size, "%s", event[XS_WATCH_PATH]);
	snprintf(token, token_size, "%s", event[XS_WATCH_TOKEN]);
	free(event);
	return 1;
}
