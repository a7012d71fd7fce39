/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library to preload into the qemu-storage-daemon that serves: before version 8.0 its NBD server leaves Nagle's algorithm on, so that answers wait
 * for the acknowledgement of earlier ones, 40 ms at depths above 1. That is not what is to be measured.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
	int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
	int on = 1, client = real(fd, address.__sockaddr__, length, flags);

	if (client >= 0)
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return client;
}
