/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handler_helper.c: the process that runs handlers.  It is started by the service manager, outside of the
 * daemon's sandbox (LVM writes below /etc, mail has set-group-id programs); or, where there is none, forked
 * when drbdxd begins, before there are threads, disks or a lock. So a handler can inherit nothing of them
 * (P6), and starting one never copies the daemon's memory or runs between its threads' locks.
 *
 *   message -> start() -> RUNNING -- its process ends: ended(), reports --> LINGERING -- last writer of
 *   its output closes it --> free
 *
 * Invariants
 *  1. A job is free (id 0), running (pidfd) or lingering (only `output`). Each start is answered by one
 *     result, when the shell has ended; not when its output is closed, for a script may leave a process
 *     in the background.
 *  2. Output is read as long as anybody has it open, also after the daemon's end: a script must neither
 *     block on a full pipe nor be killed by SIGPIPE because drbdxd was restarted.
 *  3. No handler is ever ended from here. Half of a fencing agent or of an lvcreate (which suspends a
 *     disk meanwhile) is worse than a late one. What takes too long is the daemon's to judge.
 */
#include "backend/handler_helper.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/handler.h"

#define SOCKET_FD  3
#define PIPE_READS 16 /* of 4 KiB: what a pipe holds */

struct job {
	uint32_t id; /* 0: free */
	pid_t pid;
	int pidfd, output; /* -1: ended, closed */
	struct handler_tail tail;
};

struct helper {
	bool connected;
	struct job jobs[HANDLER_HELPER_JOBS];
};

/* ---- the child that becomes the handler ---- */

static void reset_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn)) become_handler(char *command, char **env, int output)
{
	char *argv[] = { "sh", "-c", command, NULL };

	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
	setsid(); /* a signal to the daemon's process group is not meant for it */
	reset_signals();
	execve("/bin/sh", argv, env);
	fprintf(stderr, "/bin/sh cannot be run: %s\n", strerror(errno));
	_exit(127);
}

/* ---- jobs ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void report(const struct helper *h, uint32_t id, enum handler_end end, int code, const struct job *j)
{
	struct handler_result r = { .id = id, .end = end, .code = code };
	ssize_t sent;

	if (j)
		memcpy(r.output, j->tail.text, j->tail.used);
	if (!h->connected)
		return;
	sent = send(SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL);
	(void)sent; /* if the daemon is gone, nobody waits for it */
}

static struct job *free_job(struct helper *h)
{
	struct job *lingering = NULL;

	for (size_t i = 0; i < HANDLER_HELPER_JOBS; i++) {
		if (!h->jobs[i].id)
			return &h->jobs[i];
		if (h->jobs[i].pidfd < 0 && (!lingering || h->jobs[i].id < lingering->id))
			lingering = &h->jobs[i];
	}
	/* The longest-lasting leftover of an ended script makes room: it may write no more. */
	if (lingering)
		close_fd(&lingering->output);
	return lingering;
}

/* pidfd and output of `j`, or -errno and nothing is left behind */
static int launch(struct job *j, char *command, char **env)
{
	int p[2], rc = 0;

	if (pipe2(p, O_CLOEXEC))
		return -errno;
	j->pid = fork();
	if (j->pid == 0)
		become_handler(command, env, p[1]);
	if (j->pid < 0)
		rc = -errno;
	close(p[1]);
	j->output = p[0];
	fcntl(j->output, F_SETFL, O_NONBLOCK); /* this end alone; the handler's blocks as usual */
	j->pidfd = rc ? -1 : (int)syscall(SYS_pidfd_open, j->pid, 0);
	if (!rc && j->pidfd < 0) {
		/* Started and not to be watched: the caller is told that it failed, so it must not go on. */
		rc = -errno;
		kill(j->pid, SIGKILL);
		waitpid(j->pid, NULL, 0);
	}
	if (rc)
		close_fd(&j->output);
	return rc;
}

static void start(struct helper *h, struct handler_start *m, size_t bytes)
{
	char *env[HANDLER_ENV_MAX + 1];
	struct job *j;
	int rc;

	if (handler_start_decode(m, bytes, env)) {
		report(h, m->id, HANDLER_FAILED, EINVAL, NULL);
		return;
	}
	j = free_job(h);
	if (!j) {
		report(h, m->id, HANDLER_FAILED, EAGAIN, NULL);
		return;
	}
	*j = (struct job){ .id = m->id, .pidfd = -1, .output = -1 };
	rc = launch(j, m->text, env);
	if (rc) {
		report(h, m->id, HANDLER_FAILED, -rc, NULL);
		j->id = 0;
	}
}

static void settle(struct job *j)
{
	if (j->pidfd < 0 && j->output < 0)
		j->id = 0;
}

/* What is there; bounded, for somebody may write all the time. */
static void read_output(struct job *j)
{
	char buf[4096];
	ssize_t n = 1;

	for (int i = 0; i < PIPE_READS && j->output >= 0 && n > 0; i++) {
		n = read(j->output, buf, sizeof(buf));
		if (n > 0)
			handler_tail_add(&j->tail, buf, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			close_fd(&j->output);
	}
}

static void ended(struct helper *h, struct job *j)
{
	int status;

	if (waitpid(j->pid, &status, 0) != j->pid)
		return;
	if (WIFSIGNALED(status))
		report(h, j->id, HANDLER_KILLED, WTERMSIG(status), j);
	else
		report(h, j->id, HANDLER_EXITED, WEXITSTATUS(status), j);
	close_fd(&j->pidfd);
}

/* ---- the loop ---- */

static void receive(struct helper *h)
{
	struct handler_start m;
	ssize_t n = recv(SOCKET_FD, &m, sizeof(m), MSG_DONTWAIT | MSG_TRUNC);

	if (n > 0)
		start(h, &m, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		h->connected = false;
}

static bool busy(const struct helper *h)
{
	for (size_t i = 0; i < HANDLER_HELPER_JOBS; i++)
		if (h->jobs[i].id)
			return true;
	return false;
}

static void turn(struct helper *h)
{
	struct pollfd fds[1 + 2 * HANDLER_HELPER_JOBS], *fd = fds;

	*fd++ = (struct pollfd){ .fd = h->connected ? SOCKET_FD : -1, .events = POLLIN };
	for (size_t i = 0; i < HANDLER_HELPER_JOBS; i++) {
		struct job *j = &h->jobs[i];

		*fd++ = (struct pollfd){ .fd = j->id ? j->output : -1, .events = POLLIN };
		*fd++ = (struct pollfd){ .fd = j->id ? j->pidfd : -1, .events = POLLIN };
	}
	if (poll(fds, (nfds_t)(fd - fds), -1) < 0)
		return;
	for (size_t i = 0; i < HANDLER_HELPER_JOBS; i++) {
		struct job *j = &h->jobs[i];

		/* First: with its end, all that it wrote is there, and a pipe holds no more than is read here. */
		if (fds[1 + 2 * i].revents)
			read_output(j);
		if (fds[2 + 2 * i].revents)
			ended(h, j);
		if (j->id)
			settle(j);
	}
	if (fds[0].revents)
		receive(h);
}

/* The daemon is not to be killed when memory is short, nor to wait for I/O; what it starts may be, and may. (A daemon that took another's
 * place in its process has that from its beginning.) */
static void be_ordinary(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n;

	prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	if (fd < 0)
		return;
	n = write(fd, "0", 1);
	(void)n; /* then it stays as it is */
	close(fd);
}

static void leave_the_daemon(int socket)
{
	int null;

	if (socket != SOCKET_FD)
		dup2(socket, SOCKET_FD);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	closefrom(SOCKET_FD + 1);
	setsid();
	umask(022);
	if (chdir("/"))
		_exit(1);
	prctl(PR_SET_NAME, "drbdxd-handlers");
	signal(SIGCHLD, SIG_DFL);
	be_ordinary();
}

void handler_helper_run(int socket)
{
	static struct helper h = { .connected = true };

	leave_the_daemon(socket);
	while (h.connected || busy(&h))
		turn(&h);
	_exit(0);
}
