/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address.h: IPv4 and IPv6 addresses of the two nodes: as text, in order, and as sockets.
 */
#ifndef DRBDX_BACKEND_ADDRESS_H
#define DRBDX_BACKEND_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#define ADDRESS_TEXT 64u

/* "192.0.2.1:7789", "[2001:db8::1]:7789"; without the port "192.0.2.1", "2001:db8::1". `out` has
 * ADDRESS_TEXT bytes. */
void address_text(const struct sockaddr_storage *a, bool with_port, char *out);

/* <0, 0, >0 as the addresses compare, bytewise; IPv4 before IPv6. *ports likewise, if they are of one
 * family. */
int address_compare(const struct sockaddr_storage *a, const struct sockaddr_storage *b, int *ports);

/* A TCP socket bound to `own`, listening there, or with any port, to be connected. Descriptor (O_CLOEXEC)
 * or negative errno. */
int address_socket(const struct sockaddr_storage *own, socklen_t length, bool listening);

#endif
