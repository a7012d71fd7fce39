/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address.c: addresses as text, and their order, which decides who listens.
 */
#include "backend/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 8

struct parts { const void *bytes; size_t length; uint16_t port; };

static struct parts parts_of(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;

	if (a->ss_family == AF_INET)
		return (struct parts) { &in->sin_addr, sizeof(in->sin_addr), ntohs(in->sin_port) };
	if (a->ss_family == AF_INET6)
		return (struct parts) { &in6->sin6_addr, sizeof(in6->sin6_addr), ntohs(in6->sin6_port) };
	return (struct parts) { NULL, 0, 0 };
}

void address_text(const struct sockaddr_storage *a, bool with_port, char *out)
{
	struct parts p = parts_of(a);
	char host[INET6_ADDRSTRLEN] = "?";

	if (p.length)
		inet_ntop(a->ss_family, p.bytes, host, sizeof(host));
	if (with_port)
		snprintf(out, ADDRESS_TEXT, a->ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, p.port);
	else
		snprintf(out, ADDRESS_TEXT, "%s", host);
}

int address_compare(const struct sockaddr_storage *a, const struct sockaddr_storage *b, int *ports)
{
	struct parts x = parts_of(a), y = parts_of(b);

	if (x.length != y.length)
		return x.length < y.length ? -1 : 1;
	*ports = (int)x.port - (int)y.port;
	return x.length ? memcmp(x.bytes, y.bytes, x.length) : 0;
}

int address_socket(const struct sockaddr_storage *own, socklen_t length, bool listening)
{
	struct sockaddr_storage at = *own;
	int one = 1, fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	if (at.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (listening)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else if (at.ss_family == AF_INET)
		((struct sockaddr_in *)&at)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&at)->sin6_port = 0;
	if (!bind(fd, (struct sockaddr *)&at, length) && (!listening || !listen(fd, BACKLOG)))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}
