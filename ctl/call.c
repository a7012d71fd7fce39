/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One question to the daemon: JSON lines over its unix socket, every wait bounded by the caller's deadline
 * (P7).
 */
#define _GNU_SOURCE
#include "ctl/call.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REPLY_MAX (16u << 20)	/* bytes; a status of some thousand resources */

uint64_t call_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int call_words(int rc, const char *socket_path, char *why, size_t why_size)
{
	switch (rc) {
	case -ENOENT:
	case -ECONNREFUSED:
		snprintf(why, why_size,
			 "drbdxd is not running (nothing answers on %s): start it with 'systemctl start drbdxd'",
			 socket_path);
		break;
	case -EACCES:
	case -EPERM:
		snprintf(why, why_size, "%s: only root may talk to drbdxd", socket_path);
		break;
	default: snprintf(why, why_size, "drbdxd cannot be asked: %s: %s; see: systemctl status drbdxd", socket_path, strerror(-rc));
	}
	return rc;
}

/* Waits for `events`. 0, or -ETIMEDOUT. */
static int wait_for(int fd, short events, uint64_t deadline_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		uint64_t now = call_now_ms();
		int r = now >= deadline_ms ? 0 : poll(&p, 1, (int)(deadline_ms - now));

		if (r > 0)
			return 0;
		if (!r)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

/* A full queue of connections answers EAGAIN on a unix socket, and nothing can be polled for: ask again. */
static int connect_bounded(int fd, const struct sockaddr_un *addr, uint64_t deadline_ms)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	while (connect(fd, (const struct sockaddr *)addr, sizeof(*addr))) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		if (call_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int call_open(const char *socket_path, uint64_t deadline_ms, char *why, size_t why_size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(socket_path) >= sizeof(addr.sun_path))
		return call_words(-ENAMETOOLONG, socket_path, why, why_size);
	memcpy(addr.sun_path, socket_path, strlen(socket_path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return call_words(-errno, socket_path, why, why_size);
	rc = connect_bounded(fd, &addr, deadline_ms);
	if (!rc)
		return fd;
	close(fd);
	return call_words(rc, socket_path, why, why_size);
}

static int send_all(int fd, const char *text, size_t n, uint64_t deadline_ms)
{
	size_t sent = 0;

	while (sent < n) {
		ssize_t r = send(fd, text + sent, n - sent, MSG_NOSIGNAL);
		int rc;

		if (r >= 0) {
			sent += (size_t)r;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -ECONNRESET;
		rc = wait_for(fd, POLLOUT, deadline_ms);
		if (rc)
			return rc;
	}
	return 0;
}

/* Reads until the newline that ends the answer. */
static int receive_line(int fd, char **line, size_t *length, uint64_t deadline_ms)
{
	size_t room = 0, n = 0;
	char *buffer = NULL;
	int rc;

	for (;;) {
		ssize_t r;

		if (n == room) {
			char *bigger = room >= REPLY_MAX ? NULL : realloc(buffer, room + 65536);

			if (!bigger) {
				rc = -EPROTO;
				break;
			}
			buffer = bigger;
			room += 65536;
		}
		rc = wait_for(fd, POLLIN, deadline_ms);
		if (rc)
			break;
		r = recv(fd, buffer + n, room - n, 0);
		if (r < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (r <= 0) {
			rc = -ECONNRESET;
			break;
		}
		n += (size_t)r;
		if (buffer[n - 1] == '\n') {
			*line = buffer;
			*length = n;
			return 0;
		}
	}
	free(buffer);
	return rc;
}

static int parse_reply(const char *line, size_t n, json_t **reply)
{
	*reply = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(*reply) && json_is_boolean(json_object_get(*reply, "ok")))
		return 0;
	json_decref(*reply);
	*reply = NULL;
	return -EPROTO;
}

int call_request(int fd, json_t *request, uint64_t deadline_ms, json_t **reply, char *why, size_t why_size)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL, *line = NULL;
	size_t n = 0;
	int rc = -ENOMEM;

	*reply = NULL;
	json_decref(request);
	if (text) {
		n = strlen(text);
		text[n] = '\n';		/* in the place of the final NUL */
		rc = send_all(fd, text, n + 1, deadline_ms);
	}
	/* A daemon that turns a caller away may have answered and closed before the question arrived. */
	if (!rc || rc == -ECONNRESET)
		rc = receive_line(fd, &line, &n, deadline_ms);
	if (!rc)
		rc = parse_reply(line, n, reply);
	if (rc == -ETIMEDOUT)
		snprintf(why, why_size, "drbdxd did not answer in time; see: journalctl -u drbdxd");
	else if (rc == -ECONNRESET)
		snprintf(why, why_size, "drbdxd ended before it had answered; see: journalctl -u drbdxd");
	else if (rc)
		snprintf(why, why_size, "drbdxd's answer makes no sense (%s): are both of the same version? restart drbdxd", strerror(-rc));
	free(text);
	free(line);
	return rc;
}

int call_await_end(int fd, uint64_t deadline_ms)
{
	char byte;
	int rc;

	for (;;) {
		ssize_t r = recv(fd, &byte, 1, 0);

		if (!r || (r < 0 && errno != EAGAIN && errno != EINTR))
			return 0;
		rc = r < 0 ? wait_for(fd, POLLIN, deadline_ms) : 0;
		if (rc)
			return rc == -ETIMEDOUT ? rc : 0;
	}
}
