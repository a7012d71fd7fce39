/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A remote shell without encryption, for xl migrate -s: /lab/stream HOST COMMAND... runs COMMAND in HOST's
 * Dom0 over the migration network; standard input and output are the command's. It ends when the command has
 * closed its output. The other side, /lab/stream -l, is started at boot; the commands' standard error goes
 * where its own goes.
 *
 * Fault tests stop a stream at a chosen text, which may go in either direction (see hold_stream in lib.sh):
 *
 *   /run/lab/hold     "before TEXT" or "after TEXT", read once, at the start: the last byte that is still
 * sent /run/lab/held     its process number, written when nothing goes any more in either direction; kill it
 * to break the connection /run/lab/release  a FIFO; when somebody opens it for writing, the stream goes on
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT	     7000
#define COMMAND_SIZE 1024
#define BUFFER_SIZE  (256 * 1024)

struct hold {
	char text[256]; /* empty: none */
	bool after;
	int connection;
};

struct direction {
	int from, to;
	bool ended; /* nothing more comes */
	size_t len; /* bytes in the buffer, not sent yet */
	char buffer[BUFFER_SIZE];
};

static void die(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt");
}

/* A partner that lost its power is noticed within half a minute. */
static void set_options(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 25000); /* ms; it bounds the probing, too */
}

/* ---- the listener ---- */

/* The first line; byte by byte, because what follows is for the command. */
static void read_command(int fd, char *command)
{
	size_t n = 0;

	while (n < COMMAND_SIZE - 1 && read(fd, command + n, 1) == 1 && command[n] != '\n')
		n++;
	command[n] = '\0';
}

static void serve(int fd)
{
	char command[COMMAND_SIZE];

	set_options(fd);
	read_command(fd, command);
	fprintf(stderr, "stream: %s\n", command);
	signal(SIGCHLD, SIG_DFL);
	if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		die("dup2");
	close(fd);
	setsid();
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	die("/bin/sh");
}

static void listen_forever(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	signal(SIGCHLD, SIG_IGN);
	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 8) < 0)
		die("listen");
	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd >= 0 && fork() == 0)
			serve(fd);
		close(fd);
	}
}

/* ---- the caller ---- */

/* Of NAME in /etc/hosts; libc's own resolver is not there in a static program. */
static in_addr_t address_of(const char *name)
{
	char line[512], address[64], found[256];
	FILE *hosts = fopen("/etc/hosts", "re");
	in_addr_t result = INADDR_NONE;

	while (hosts && fgets(line, sizeof(line), hosts))
		if (sscanf(line, "%63s %255s", address, found) == 2 && strcmp(found, name) == 0)
			result = inet_addr(address);
	if (hosts)
		fclose(hosts);
	return result;
}

static int connect_to(const char *host)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[256];

	snprintf(name, sizeof(name), "%s-mig", host);
	address.sin_addr.s_addr = address_of(name);
	if (address.sin_addr.s_addr == INADDR_NONE) {
		fprintf(stderr, "stream: %s is not in /etc/hosts\n", name);
		exit(1);
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(name);
	set_options(fd);
	return fd;
}

static void send_command(int fd, char **words)
{
	char line[COMMAND_SIZE] = "";
	size_t len = 0;

	for (; *words && len < sizeof(line); words++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%c", *words,
					words[1] ? ' ' : '\n');
	if (len >= sizeof(line)) {
		fprintf(stderr, "stream: the command is too long\n");
		exit(1);
	}
	if (write(fd, line, len) != (ssize_t)len)
		die("write");
}

static struct hold read_hold(void)
{
	struct hold hold = { 0 };
	char when[8];
	FILE *file = fopen("/run/lab/hold", "re");

	if (file && fscanf(file, "%7s %255[^\n]", when, hold.text) == 2)
		hold.after = strcmp(when, "after") == 0;
	if (file)
		fclose(file);
	return hold;
}

/* Whoever kills the process while it is held breaks the connection, instead of ending it: as with ssh, xl at the
 * other side cannot say anything any more, and leaves its copy of the guest behind. */
static void break_when_killed(int connection, bool on)
{
	struct linger linger = { .l_onoff = on };

	if (setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		die("setsockopt");
}

static void wait_for_release(int connection)
{
	FILE *held = fopen("/run/lab/held.new", "we");
	int fd;

	break_when_killed(connection, true);
	if (!held || fprintf(held, "%d\n", (int)getpid()) < 0 || fclose(held) != 0 ||
	    rename("/run/lab/held.new", "/run/lab/held") < 0)
		die("/run/lab/held");
	fd = open("/run/lab/release", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("/run/lab/release");
	close(fd);
	break_when_killed(connection, false);
	unlink("/run/lab/held");
}

/* How much of the buffer may be sent: up to where the stream is held, or to what may be the beginning of
 * TEXT. */
static size_t sendable(const struct direction *d, const struct hold *hold)
{
	size_t len = strlen(hold->text), begun;
	const char *found;

	if (len == 0 || d->len == 0)
		return d->len;
	found = memmem(d->buffer, d->len, hold->text, len);
	if (found)
		return (size_t)(found - d->buffer) + (hold->after ? len : 0);
	begun = d->ended ? 0 : len - 1 < d->len ? len - 1 : d->len;
	while (memcmp(d->buffer + d->len - begun, hold->text, begun) != 0)
		begun--;
	return d->len - begun;
}

static bool is_reached(const struct direction *d, const struct hold *hold)
{
	return hold->text[0] && memmem(d->buffer, d->len, hold->text, strlen(hold->text));
}

static void receive(struct direction *d)
{
	ssize_t r = read(d->from, d->buffer + d->len, sizeof(d->buffer) - d->len);

	if (r < 0 && errno != EINTR && errno != EAGAIN)
		die("read");
	if (r > 0)
		d->len += (size_t)r;
	d->ended = r == 0;
}

static void send_some(struct direction *d, struct hold *hold)
{
	size_t len = sendable(d, hold);
	bool reached = is_reached(d, hold);
	ssize_t r = write(d->to, d->buffer, len);

	if (r < 0 && errno != EINTR && errno != EAGAIN)
		die("write");
	if (r < 0)
		return;
	d->len -= (size_t)r;
	memmove(d->buffer, d->buffer + r, d->len);
	if (!reached || (size_t)r < len)
		return;
	wait_for_release(hold->connection);
	hold->text[0] = '\0';
}

/* Waits until one of the two directions can go on. */
static void forward(struct direction *both, struct hold *hold)
{
	struct pollfd wait[4];

	for (int i = 0; i < 2; i++) {
		struct direction *d = &both[i];
		bool room = !d->ended && d->len < sizeof(d->buffer);
		bool due = sendable(d, hold) > 0 || is_reached(d, hold);

		wait[2 * i] = (struct pollfd){ room ? d->from : -1, POLLIN, 0 };
		wait[2 * i + 1] = (struct pollfd){ due ? d->to : -1, POLLOUT, 0 };
	}
	if (poll(wait, 4, -1) < 0 && errno != EINTR)
		die("poll");
	for (int i = 0; i < 2; i++) {
		if (wait[2 * i].revents)
			receive(&both[i]);
		if (wait[2 * i + 1].revents)
			send_some(&both[i], hold);
	}
}

static bool is_done(const struct direction *d)
{
	return d->ended && d->len == 0;
}

static void call(const char *host, char **command)
{
	static struct direction both[2];
	struct direction *in = &both[0], *out = &both[1];
	struct hold hold = read_hold();
	int fd = connect_to(host);

	hold.connection = fd;
	send_command(fd, command);
	in->from = out->to = fd;
	in->to = STDOUT_FILENO;
	out->from = STDIN_FILENO;
	for (int i = 0; i < 2; i++)
		fcntl(both[i].to, F_SETFL, fcntl(both[i].to, F_GETFL) | O_NONBLOCK);
	while (!is_done(in)) {
		forward(both, &hold);
		if (is_done(out))
			shutdown(fd, SHUT_WR);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "-l") == 0)
		listen_forever();
	if (argc < 3) {
		fprintf(stderr, "usage: stream HOST COMMAND... | stream -l\n");
		return 2;
	}
	call(argv[1], argv + 2);
	return 0;
}
