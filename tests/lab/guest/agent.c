/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lab guest's first process: runs the commands that guest-run puts into the guest's xenstore directory.
 *
 *   data/agent        "ready", written once the agent listens, and again after a migration
 *   data/run/ID       a shell command, written by Dom0, removed by the agent
 *   data/out/ID/N     the command's output, in pieces of CHUNK bytes
 *   data/done/ID      "STATUS PIECES", written last
 *
 * Each command runs in a process of its own, so that a long one does not hold up the next. The output of a command
 * also goes to the console if it says so itself (> /dev/hvc0).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xs.h"

#define XENBUS "/dev/xen/xenbus"
#define CHUNK 1024 /* a guest may store 2048 bytes in a node */
#define CHUNKS 64

static int run_shell(const char *command, const char *output)
{
	int status, fd;
	pid_t pid = fork();

	if (pid == 0) {
		fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
			_exit(126);
		fd = open("/dev/null", O_RDONLY);
		if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
			_exit(126);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int send_output(struct xs *xs, const char *id, const char *output)
{
	char piece[CHUNK], path[64];
	int fd = open(output, O_RDONLY), n;
	ssize_t r;

	for (n = 0; fd >= 0 && n < CHUNKS; n++) {
		r = read(fd, piece, sizeof(piece));
		if (r <= 0)
			break;
		snprintf(path, sizeof(path), "data/out/%s/%d", id, n);
		if (xs_write(xs, path, piece, (size_t)r) < 0)
			break;
	}
	if (fd >= 0)
		close(fd);
	return n;
}

static void run_command(const char *id, const char *command)
{
	char output[64], path[64], result[32];
	struct xs xs;
	int status, pieces;

	signal(SIGCHLD, SIG_DFL);
	setsid();
	snprintf(output, sizeof(output), "/tmp/output.%s", id);
	status = run_shell(command, output);
	if (xs_open(&xs, XENBUS) < 0)
		_exit(1);
	pieces = send_output(&xs, id, output);
	unlink(output);
	snprintf(path, sizeof(path), "data/done/%s", id);
	snprintf(result, sizeof(result), "%d %d", status, pieces);
	_exit(xs_write(&xs, path, result, strlen(result)) < 0);
}

/*
 * The watch itself fires when it is registered: by us, and by the kernel after a migration, when the directory is that of a
 * new domain.
 */
static void announce(struct xs *xs)
{
	if (xs_write(xs, "data/agent", "ready", strlen("ready")) == 0)
		puts("agent: ready");
	fflush(stdout);
}

static void take_command(struct xs *xs, const char *path)
{
	const char *id = path + strlen("data/run/");
	char *command;

	if (strcmp(path, "data/run") == 0)
		announce(xs);
	if (strncmp(path, "data/run/", strlen("data/run/")) != 0 || *id == '\0' || strlen(id) > 20)
		return;
	command = xs_read(xs, path, NULL);
	if (!command)
		return; /* our own removal of it */
	xs_rm(xs, path);
	if (fork() == 0)
		run_command(id, command);
	free(command);
}

int main(void)
{
	struct xs xs;
	char *path;
	int rc;

	signal(SIGCHLD, SIG_IGN); /* the first process: nobody else collects orphans */
	rc = xs_open(&xs, XENBUS);
	if (rc == 0)
		rc = xs_watch(&xs, "data/run");
	if (rc < 0)
		printf("agent: %s: %s\n", XENBUS, strerror(-rc));
	fflush(stdout);
	for (;;) {
		path = xs_event(&xs, -1);
		if (path)
			take_command(&xs, path);
		else
			pause();
		free(path);
	}
}
