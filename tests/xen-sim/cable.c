/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cable between two simulated hosts: a tap device eth1 in each of their network namespaces, and this
 * process between them. It can be cut without either end losing its carrier, also in one direction only; it
 * can be slow, and lose frames.
 *
 *	cable SOCKET			serve until the command "quit"
 *	cable ctl SOCKET COMMAND...	send one command, print the answer
 *
 * Commands: attach N PID (host N's namespace is that of PID), detach N, up, down, down N (only what host N
 * sends), down-at N TYPE (when host N sends a packet of this type, docs/PROTOCOL.md; the packet is lost, too),
 * delay MILLISECONDS, loss PERCENT, status, quit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX	9216
#define QUEUE		4096	/* frames under way in one direction; more are lost, as in a switch */

struct frame {
	uint64_t due;		/* ns */
	uint32_t len;
	uint8_t *data;
};

/* What host N (0 or 1) sends. */
struct side {
	int tap;		/* -1: no host */
	bool cut;
	uint16_t cut_at;	/* type of the packet with which the link goes down; 0: none */
	uint32_t head, tail;	/* free-running */
	struct frame queue[QUEUE];
	uint64_t passed, lost;
};

static struct side side[2] = { { .tap = -1 }, { .tap = -1 } };
static uint64_t delay_ns;
static unsigned loss_percent;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int tun_open(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	char path[64];

	if (fd >= 0 || errno != ENOENT)
		return fd;
	snprintf(path, sizeof(path), "/tmp/.cable-tun.%d",
		 getpid()); /* a bare /dev: the device by its numbers */
	if (mknod(path, S_IFCHR | 0600, makedev(10, 200)) < 0)
		return -1;
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	unlink(path);
	return fd;
}

/* A tap device eth1 in the network namespace of pid: a descriptor or a negative errno. */
static int tap_in_namespace(const char *pid)
{
	struct ifreq ifr = { .ifr_name = "eth1", .ifr_flags = IFF_TAP | IFF_NO_PI };
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[64];
	int ns, fd = tun_open(), rc = 0;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (home < 0 || ns < 0 || fd < 0 || setns(ns, CLONE_NEWNET) < 0) {
		rc = -errno;
		goto out;
	}
	close(fd);			/* the device is made where the descriptor is opened */
	fd = tun_open();
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
		rc = -errno;
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
out:
	if (rc < 0 && fd >= 0)
		close(fd);
	if (home >= 0)
		close(home);
	if (ns >= 0)
		close(ns);
	return rc < 0 ? rc : fd;
}

static void side_detach(struct side *s)
{
	if (s->tap >= 0)
		close(s->tap);
	s->tap = -1;
	for (; s->head != s->tail; s->head++)
		free(s->queue[s->head % QUEUE].data);
}

/* Does the header of a packet of this type begin in the frame? One that is split between two frames is not seen. */
static bool carries(const uint8_t *data, uint32_t len, uint16_t type)
{
	const uint8_t *end = data + len, *p = data;

	while ((p = memmem(p, (size_t)(end - p), "drbx", 4)) && p + 8 <= end) {
		if (p[6] << 8 == (type & 0xff00) && p[7] == (type & 0xff))
			return true;
		p += 4;
	}
	return false;
}

static void frame_take(struct side *s, const uint8_t *data, uint32_t len)
{
	struct frame *f = &s->queue[s->tail % QUEUE];

	if (s->cut_at && carries(data, len, s->cut_at))
		side[0].cut = side[1].cut = true;
	if (s->cut)
		s->cut_at = 0;
	if (s->cut || s->tail - s->head == QUEUE || (unsigned)(random() % 100) < loss_percent) {
		s->lost++;
		return;
	}
	f->data = malloc(len);
	if (!f->data)
		return;
	memcpy(f->data, data, len);
	f->len = len;
	f->due = now_ns() + delay_ns;
	s->tail++;
}

/* False if the device is gone with its namespace. */
static bool side_read(struct side *s)
{
	uint8_t buf[FRAME_MAX];

	for (int i = 0; i < 64; i++) {
		ssize_t n = read(s->tap, buf, sizeof(buf));

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		frame_take(s, buf, (uint32_t)n);
	}
	return true;
}

/*
 * What is due goes to the other side; returns when the next is due, or UINT64_MAX. A cut also takes what is
 * under way.
 */
static uint64_t side_send(struct side *from, struct side *to)
{
	uint64_t now = now_ns();

	while (from->head != from->tail) {
		struct frame *f = &from->queue[from->head % QUEUE];

		if (f->due > now)
			return f->due;
		if (from->cut || to->tap < 0 || write(to->tap, f->data, f->len) < 0)
			from->lost++;
		else
			from->passed++;
		free(f->data);
		from->head++;
	}
	return UINT64_MAX;
}

static void command_status(char *out, size_t size)
{
	snprintf(out, size,
		 "{\"delay_ms\":%.3f,\"loss\":%u,\"cut\":[%s,%s],\"cut_at\":[%u,%u],\"passed\":[%llu,%llu],\"lost\":[%llu,%llu]}"
		 "\n",
		 (double)delay_ns / 1e6, loss_percent, side[0].cut ? "true" : "false",
		 side[1].cut ? "true" : "false", side[0].cut_at, side[1].cut_at, (unsigned long long)side[0].passed,
		 (unsigned long long)side[1].passed, (unsigned long long)side[0].lost,
		 (unsigned long long)side[1].lost);
}

static int command_attach(unsigned n, const char *pid)
{
	int fd;

	if (n < 1 || n > 2)
		return -EINVAL;
	side_detach(&side[n - 1]);
	fd = tap_in_namespace(pid);
	if (fd < 0)
		return fd;
	side[n - 1].tap = fd;
	return 0;
}

static int command_run(const char *cmd, bool *quit)
{
	unsigned n;
	uint16_t type;
	char pid[32];
	double d;

	if (sscanf(cmd, "attach %u %31s", &n, pid) == 2)
		return command_attach(n, pid);
	if (sscanf(cmd, "detach %u", &n) == 1 && n >= 1 && n <= 2)
		side_detach(&side[n - 1]);
	else if (!strcmp(cmd, "up"))
		side[0].cut = side[1].cut = false;
	else if (!strcmp(cmd, "down"))
		side[0].cut = side[1].cut = true;
	else if (sscanf(cmd, "down-at %u %hu", &n, &type) == 2 && n >= 1 && n <= 2)
		side[n - 1].cut_at = type;
	else if (sscanf(cmd, "down %u", &n) == 1 && n >= 1 && n <= 2)
		side[n - 1].cut = true;
	else if (sscanf(cmd, "delay %lf", &d) == 1 && d >= 0 && d <= 60000)
		delay_ns = (uint64_t)(d * 1e6);
	else if (sscanf(cmd, "loss %u", &n) == 1 && n <= 100)
		loss_percent = n;
	else if (!strcmp(cmd, "quit"))
		*quit = true;
	else if (strcmp(cmd, "status"))
		return -EINVAL;
	return 0;
}

static void client_serve(int listener, bool *quit)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char cmd[256], out[512];
	ssize_t n;
	int rc;

	if (fd < 0)
		return;
	n = read(fd, cmd, sizeof(cmd) - 1);
	cmd[n > 0 ? n : 0] = '\0';
	rc = command_run(cmd, quit);
	if (rc < 0)
		snprintf(out, sizeof(out), "error: %s: %s\n", cmd, strerror(-rc));
	else
		command_status(out, sizeof(out));
	if (write(fd, out, strlen(out)) < 0)
		perror("cable: answer");
	close(fd);
}

static int socket_at(const char *path, bool serve)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path)) {
		errno = fd < 0 ? errno : ENAMETOOLONG;
		return -1;
	}
	strcpy(a.sun_path, path);
	if (serve)
		unlink(path);
	if (serve ? bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 8)
		  : connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void serve(int listener)
{
	bool quit = false;

	while (!quit) {
		struct pollfd p[3] = { { .fd = listener, .events = POLLIN },
				       { .fd = side[0].tap, .events = POLLIN },
				       { .fd = side[1].tap, .events = POLLIN } };
		uint64_t a = side_send(&side[0], &side[1]), b = side_send(&side[1], &side[0]);
		uint64_t due = a < b ? a : b, now = now_ns();
		struct timespec t = { 3600, 0 };

		if (due != UINT64_MAX)
			t = (struct timespec){ .tv_nsec = due > now ? (long)((due - now) % 1000000000u) : 0,
					       .tv_sec =
						       due > now ? (time_t)((due - now) / 1000000000u) : 0 };
		if (ppoll(p, 3, &t, NULL) <= 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i + 1].revents && !side_read(&side[i]))
				side_detach(&side[i]);
		if (p[0].revents)
			client_serve(listener, &quit);
	}
}

static int control(int argc, char **argv)
{
	char buf[512] = "";
	ssize_t n;
	int fd;

	for (int i = 3; i < argc; i++) {
		strncat(buf, i > 3 ? " " : "", sizeof(buf) - strlen(buf) - 1);
		strncat(buf, argv[i], sizeof(buf) - strlen(buf) - 1);
	}
	fd = socket_at(argv[2], false);
	if (fd < 0 || write(fd, buf, strlen(buf)) < 0) {
		perror("cable: control");
		return 1;
	}
	n = read(fd, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	fputs(buf, stdout);
	return n <= 0 || !strncmp(buf, "error", 5);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc >= 4 && !strcmp(argv[1], "ctl"))
		return control(argc, argv);
	if (argc != 2) {
		fprintf(stderr, "usage: cable SOCKET | cable ctl SOCKET COMMAND...\n");
		return 2;
	}
	fd = socket_at(argv[1], true);
	if (fd < 0) {
		perror("cable: socket");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	serve(fd);
	unlink(argv[1]);
	return 0;
}
