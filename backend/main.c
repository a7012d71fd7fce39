/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c: drbdxd: start-up, the control thread's loop, and the end.
 *
 * The control thread waits in poll(2) for xenstore, the control socket, the mailbox
 * (answers of the owner threads), the process that runs handlers, and signals.  It never
 * touches a disk, a ring or a peer connection: those belong to the owner threads (resource.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "backend/control.h"
#include "backend/daemon_private.h"
#include "backend/device.h"
#include "backend/handler_helper.h"
#include "backend/handlers.h"
#include "backend/log.h"
#include "backend/loop.h"
#include "backend/mailbox.h"
#include "backend/statistics.h"
#include "backend/upgrade.h"

#ifndef DRBDX_VERSION
#define DRBDX_VERSION "unknown"
#endif

#define RUN_DIR	  "/run/drbdx"
#define LOCK_FILE RUN_DIR "/drbdxd.lock"
#define STATISTICS_DIR RUN_DIR "/statistics"
#define POLL_MAX  73
#define LOCK_WAIT_MS  2000
#define LOCK_RETRY_MS 5

struct options {
	const char *config, *socket;
	bool debug, check;
};

struct control_thread {
	struct mailbox *mailbox;
	struct daemon_state *daemon;
	struct devices *devices;
	struct control *control;
	struct handlers *handlers;
	int signals;
	bool stopping, upgrading; /* upgrading: when everything has stopped, another program goes on */
	struct upgrade upgrade;
};

static uint64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void usage(FILE *out)
{
	fputs("usage: drbdxd [-f] [-d] [-c FILE] [-s SOCKET]\n"
	      "  -f, --foreground   stay in the foreground (always so; accepted for habit)\n"
	      "  -d, --debug        say more\n"
	      "  -c, --config FILE  configuration (default " DAEMON_CONFIG ")\n"
	      "  -s, --socket PATH  control socket (default " CONTROL_SOCKET ")\n"
	      "      --check        say what would keep this program from going on where the running one is, and exit:\n"
	      "                     0 nothing, 1 what was printed\n"
	      "      --handlers     run handlers for the daemon that is connected to standard input\n"
	      "                     (drbdx-handlers@.service)\n"
	      "  -V, --version      print the version\n"
	      "  -h, --help         print this\n",
	      out);
}

static struct options parse_options(int argc, char **argv)
{
	/* clang-format off */
	static const struct option longs[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "debug", no_argument, NULL, 'd' },
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "check", no_argument, NULL, 'C' },
		{ "handlers", no_argument, NULL, 'H' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	/* clang-format on */
	struct options o = { DAEMON_CONFIG, CONTROL_SOCKET, false, false };
	int c;

	while ((c = getopt_long(argc, argv, "fdc:s:Vh", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			break;
		case 'd':
			o.debug = true;
			break;
		case 'c':
			o.config = optarg;
			break;
		case 's':
			o.socket = optarg;
			break;
		case 'C':
			o.check = true;
			break;
		case 'H':
			handler_helper_run(STDIN_FILENO);
		case 'V':
			puts("drbdxd " DRBDX_VERSION);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(1);
		}
	}
	if (optind < argc) {
		usage(stderr);
		exit(1);
	}
	return o;
}

/* ---- start-up ---- */

/* One daemon a host: two would serve one ring. The lock goes with the last thread of the process, which may live for a moment
 * longer than what its parent sees of it; or when main() ends, should a disk that hangs keep the process: its claim is enough then. */
static int instance_lock = -1;

static int lock_instance(void)
{
	uint64_t until = monotonic_ms() + LOCK_WAIT_MS;
	int fd;

	if (mkdir(RUN_DIR, 0755) && errno != EEXIST) {
		log_error(NULL, "%s cannot be created: %s", RUN_DIR, strerror(errno));
		return -errno;
	}
	fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		log_error(NULL, "%s cannot be opened: %s", LOCK_FILE, strerror(errno));
		return -errno;
	}
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (monotonic_ms() < until) {
			poll(NULL, 0, LOCK_RETRY_MS);
			continue;
		}
		log_error(NULL, "another drbdxd is running on this host (it holds %s): stop it first (systemctl stop drbdxd)", LOCK_FILE);
		return -EBUSY;
	}
	instance_lock = fd;
	return 0;
}

static int check_io_uring(void)
{
	struct loop *probe;
	int rc = loop_new(8, NULL, 0, &probe);

	if (rc)
		log_error(NULL, "%s (%s)", loop_requirement(rc), strerror(-rc));
	else
		loop_free(probe);
	return rc;
}

static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* a closed terminal is no reason to stop serving disks */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread is made: they inherit it */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Domain 0 may use one of our disks itself. Memory that the kernel frees for us must not wait for that disk: it would wait for us. Whoever is
 * forked, and every thread, has it from here. */
static void become_io_flusher(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		log_warn(NULL, "drbdxd may have to wait for memory that only its own disks can free, if Domain 0 uses one: %s (CAP_SYS_RESOURCE is needed)",
			 strerror(errno));
}

/* The service manager's readiness protocol: one datagram to the socket that it names. */
static void notify(const char *state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(to.sun_path))
		return;
	length = strlen(path);
	memcpy(to.sun_path, path, length);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		log_debug(NULL, "the service manager was not told '%s': %s", state, strerror(errno));
	close(fd);
}

static struct resource *find_resource(void *ctx, const char *name)
{
	return daemon_find(ctx, name);
}

/* Everything that could be in the way has been looked at. */
static int begin_upgrade(void *ctx, char *why, size_t why_size);

static int start(struct control_thread *t, const struct options *o, char **argv)
{
	char host[65] = "", why[RESOURCE_TEXT] = "";
	int rc;

	gethostname(host, sizeof(host) - 1);
	/* Before there is anything that a handler must not inherit (P6). */
	rc = handlers_start(HANDLERS_SOCKET, &t->handlers);
	if (rc) {
		log_error(NULL, "the process that runs handlers cannot be started: %s", strerror(-rc));
		return rc;
	}
	resource_run_handlers_by(t->handlers, o->config);
	become_io_flusher();
	t->signals = open_signals();
	rc = t->signals < 0 ? -errno : 0;
	if (!rc)
		rc = lock_instance();
	if (!rc)
		rc = check_io_uring();
	if (rc)
		return rc;
	statistics_start(STATISTICS_DIR, "/dev/shm");
	rc = mailbox_new(&t->mailbox);
	if (!rc)
		rc = daemon_new(o->config, host, t->mailbox, &t->daemon, why, sizeof(why));
	/* Before the devices: one that a guest still uses is claimed at once. What cannot start has been
	 * said; the others are served. */
	if (!rc)
		daemon_start_all(t->daemon, why, sizeof(why));
	if (!rc)
		rc = devices_new(find_resource, t->daemon, &t->devices, why, sizeof(why));
	if (!rc)
		rc = control_new(o->socket, t->daemon, t->devices, &t->control, why, sizeof(why));
	if (rc) {
		log_error(NULL, "drbdxd cannot start: %s", why[0] ? why : strerror(-rc));
		return rc;
	}
	if (!upgrade_init(&t->upgrade, argv, o->config))
		control_set_upgrade(t->control, &t->upgrade, begin_upgrade, t);
	notify("READY=1");
	log_notice(NULL, "drbdxd " DRBDX_VERSION " serves the resources of host %s", host);
	return 0;
}

/* ---- the loop ---- */

static void on_stopped(void *ctx, int rc, const char *why)
{
	(void)ctx;
	if (rc)
		log_warn(NULL, "a resource did not stop: %s", why);
}

static void on_signal(struct control_thread *t)
{
	struct signalfd_siginfo info;

	if (read(t->signals, &info, sizeof(info)) != (ssize_t)sizeof(info) || (t->stopping && !t->upgrading))
		return;
	log_notice(NULL, "stopping (%s)%s", strsignal((int)info.ssi_signo), t->upgrading ? ": no other program goes on" : "");
	notify("STOPPING=1");
	t->upgrading = false;
	if (t->stopping)
		return;
	t->stopping = true;
	daemon_stop_all(t->daemon, RESOURCE_END, on_stopped, t);
}

static int begin_upgrade(void *ctx, char *why, size_t why_size)
{
	struct control_thread *t = ctx;

	if (t->stopping) {
		snprintf(why, why_size, t->upgrading ? "it is being upgraded already" : "drbdxd is being stopped");
		return -ESHUTDOWN;
	}
	log_notice(NULL, "upgrade: drbdxd " DRBDX_VERSION " finishes what is unanswered, then %s goes on", t->upgrade.program);
	notify("RELOADING=1");
	t->stopping = t->upgrading = true;
	daemon_stop_all(t->daemon, RESOURCE_REPLACE, on_stopped, t);
	return 0;
}

static int poll_timeout(const struct control_thread *t)
{
	uint64_t deadline = devices_deadline_ms(t->devices), now = monotonic_ms();

	if (handlers_deadline_ms(t->handlers) < deadline)
		deadline = handlers_deadline_ms(t->handlers);
	if (deadline == UINT64_MAX)
		return -1;
	if (deadline <= now)
		return 0;
	return deadline - now > 60000 ? 60000 : (int)(deadline - now);
}

/* The guest of an attachment that an earlier daemon left: its device has been found, or it is gone (R11). */
static void settle_leftovers(struct control_thread *t)
{
	struct resource *r;
	uint32_t domid;

	for (size_t i = 0; devices_known(t->devices) && daemon_each(t->daemon, i, &r); i++)
		if (r && resource_left(r, &domid) && !devices_have(t->devices, resource_name(r), domid))
			resource_nobody_left(r);
}

static void run_once(struct control_thread *t)
{
	struct pollfd fds[POLL_MAX] = {
		{ .fd = t->signals, .events = POLLIN },
		{ .fd = mailbox_fd(t->mailbox), .events = POLLIN },
		{ .fd = devices_fd(t->devices), .events = POLLIN },
		{ .fd = handlers_fd(t->handlers), .events = handlers_events(t->handlers) },
	};
	size_t n = control_pollfds(t->control, fds + 4, POLL_MAX - 4);

	if (poll(fds, 4 + n, poll_timeout(t)) < 0 && errno != EINTR)
		log_error(NULL, "poll: %s", strerror(errno));
	if (fds[1].revents)
		mailbox_run(t->mailbox);
	if (fds[2].revents)
		devices_event(t->devices);
	if (monotonic_ms() >= devices_deadline_ms(t->devices))
		devices_tick(t->devices, monotonic_ms());
	if (fds[3].revents || monotonic_ms() >= handlers_deadline_ms(t->handlers))
		handlers_dispatch(t->handlers, monotonic_ms());
	settle_leftovers(t);
	control_events(t->control, fds + 4, n);
	if (fds[0].revents)
		on_signal(t);
	daemon_order_resyncs(t->daemon);
}

/* --check */
static int check(const struct options *o)
{
	char host[65] = "";

	gethostname(host, sizeof(host) - 1);
	return upgrade_check(o->config, host, stderr) ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct control_thread t = { .signals = -1 };
	struct options o = parse_options(argc, argv);
	bool hangs;

	if (o.debug)
		log_set_level(LOG_DEBUG);
	if (o.check)
		return check(&o);
	if (start(&t, &o, argv))
		return 1;
	while (!t.stopping || !daemon_idle(t.daemon))
		run_once(&t);
	hangs = daemon_left_behind(t.daemon);
	control_free(t.control);
	devices_free(t.devices);
	daemon_free(t.daemon);
	mailbox_free(t.mailbox);
	handlers_stop(t.handlers);
	statistics_end();
	if (t.upgrading && !hangs) {
		upgrade_exec(&t.upgrade);
		return 1; /* the service manager tries it again */
	}
	if (t.upgrading) /* exec would wait for the threads that wait for the disk */
		log_error(NULL, "a disk hangs, so that this process has to end before another one can start: where no service manager does that, start drbdxd");
	log_notice(NULL, "drbdxd has stopped");
	close(instance_lock);
	return t.upgrading ? 1 : 0;
}
