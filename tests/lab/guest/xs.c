/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The little of the xenstore protocol that the lab needs: see xs.h. */
#include "xs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <xen/errno.h>
#include <xen/io/xs_wire.h>

static int open_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

int xs_open(struct xs *xs, const char *path)
{
	struct stat st;

	memset(xs, 0, sizeof(*xs));
	xs->fd = -1;
	if (stat(path, &st) < 0)
		return -errno;
	xs->fd = S_ISSOCK(st.st_mode) ? open_socket(path) : open(path, O_RDWR | O_CLOEXEC);
	return xs->fd < 0 ? -errno : 0;
}

void xs_close(struct xs *xs)
{
	while (xs->events > 0)
		free(xs->event[--xs->events]);
	if (xs->fd >= 0)
		close(xs->fd);
	xs->fd = -1;
}

static bool write_all(int fd, const void *data, size_t len)
{
	while (len > 0) {
		ssize_t r = write(fd, data, len);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		data = (const char *)data + r;
		len -= (size_t)r;
	}
	return true;
}

static bool read_all(int fd, void *data, size_t len)
{
	while (len > 0) {
		ssize_t r = read(fd, data, len);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			errno = r == 0 ? EPIPE : errno;
			return false;
		}
		data = (char *)data + r;
		len -= (size_t)r;
	}
	return true;
}

/* One message, its body NUL-terminated. The caller frees. */
static char *receive(struct xs *xs, struct xsd_sockmsg *head)
{
	char *body;

	if (!read_all(xs->fd, head, sizeof(*head)) || head->len > XENSTORE_PAYLOAD_MAX)
		return NULL;
	body = malloc(head->len + 1);
	if (!body)
		return NULL;
	body[head->len] = '\0';
	if (read_all(xs->fd, body, head->len))
		return body;
	free(body);
	return NULL;
}

static int error_number(const char *name)
{
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
		if (strcmp(xsd_errors[i].errstring, name) == 0)
			return xsd_errors[i].errnum;
	return EIO;
}

static void keep_event(struct xs *xs, char *path)
{
	if (xs->events < XS_QUEUE)
		xs->event[xs->events++] = path;
	else
		free(path);
}

/* One request, its body 'path' NUL 'more', and its reply. */
static char *talk(struct xs *xs, uint32_t type, const char *path, const void *more, size_t more_len, size_t *len)
{
	struct xsd_sockmsg head = { .type = type, .len = (uint32_t)(strlen(path) + 1 + more_len) };
	char message[sizeof(head) + XENSTORE_PAYLOAD_MAX];
	char *reply;

	if (head.len > XENSTORE_PAYLOAD_MAX) {
		errno = E2BIG;
		return NULL;
	}
	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), path, strlen(path) + 1);
	if (more_len > 0)
		memcpy(message + sizeof(head) + strlen(path) + 1, more, more_len);
	if (!write_all(xs->fd, message, sizeof(head) + head.len))
		return NULL;
	for (;;) {
		reply = receive(xs, &head);
		if (!reply || head.type != XS_WATCH_EVENT)
			break;
		keep_event(xs, reply);
	}
	if (reply && head.type == XS_ERROR) {
		errno = error_number(reply);
		free(reply);
		return NULL;
	}
	if (reply && len)
		*len = head.len;
	return reply;
}

static int talk_rc(struct xs *xs, uint32_t type, const char *path, const void *more, size_t len)
{
	char *reply = talk(xs, type, path, more, len, NULL);

	if (!reply)
		return -errno;
	free(reply);
	return 0;
}

char *xs_read(struct xs *xs, const char *path, size_t *len)
{
	return talk(xs, XS_READ, path, NULL, 0, len);
}

char *xs_list(struct xs *xs, const char *path, size_t *len)
{
	return talk(xs, XS_DIRECTORY, path, NULL, 0, len);
}

int xs_write(struct xs *xs, const char *path, const void *value, size_t len)
{
	return talk_rc(xs, XS_WRITE, path, value, len);
}

int xs_rm(struct xs *xs, const char *path)
{
	return talk_rc(xs, XS_RM, path, NULL, 0);
}

int xs_watch(struct xs *xs, const char *path)
{
	return talk_rc(xs, XS_WATCH, path, "lab", sizeof("lab"));
}

char *xs_event(struct xs *xs, int ms)
{
	struct pollfd wait = { .fd = xs->fd, .events = POLLIN };
	struct xsd_sockmsg head;
	char *body;

	if (xs->events > 0) {
		body = xs->event[0];
		memmove(xs->event, xs->event + 1, --xs->events * sizeof(xs->event[0]));
		return body;
	}
	while (poll(&wait, 1, ms) > 0) {
		body = receive(xs, &head);
		if (!body || head.type == XS_WATCH_EVENT)
			return body;
		free(body);
	}
	return NULL;
}
