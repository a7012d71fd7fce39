/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shell on another host, or a program on this one: see remote.h.  The command stays in our process group: it may ask for a password
 * on the terminal.
 */
#define _GNU_SOURCE
#include "ctl/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/call.h"

#define OUTPUT_MAX (16u << 20) /* bytes, as of the daemon's own answer */
#define END_MS	   2000u       /* for a command that was told to end; ssh restores the terminal then */

extern char **environ;

/* Waits until fd is readable (a pidfd: the process has ended). False: the time is up. */
static bool readable(int fd, uint64_t deadline_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = call_now_ms();
		int r = now < deadline_ms ? poll(&p, 1, (int)(deadline_ms - now)) : 0;

		if (r >= 0 || errno != EINTR)
			return r > 0;
	}
}

/* Reads up to the end, the deadline or the bound; always a string. True: up to the end. */
static bool read_all(int fd, uint64_t deadline_ms, char **output)
{
	size_t room = 0, n = 0;
	ssize_t r = 1;

	for (;;) {
		if (n + 1 >= room) {
			room += 65536;
			*output = realloc(*output, room);
			if (!*output)
				abort();
		}
		if (n >= OUTPUT_MAX || !readable(fd, deadline_ms))
			break;
		r = read(fd, *output + n, room - n - 1);
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	(*output)[n] = 0;
	return r <= 0;
}

/* Of sh and what it becomes. */
static int spawn(char *const *argv, int in, int out, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int rc = posix_spawn_file_actions_init(&actions);

	if (rc)
		return -rc;
	rc = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!rc)
		rc = posix_spawnp(pid, "sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

/* Ends it if it does not end by itself; returns its wait status. */
static int finish(pid_t pid, uint64_t deadline_ms)
{
	int fd = pidfd_open(pid, 0), status = 0;

	if (fd >= 0 && !readable(fd, deadline_ms)) {
		kill(pid, SIGTERM);
		if (!readable(fd, call_now_ms() + END_MS))
			kill(pid, SIGKILL);
	}
	if (fd >= 0)
		close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static void describe(const char *command, bool complete, int status, char *ended, size_t size)
{
	if (!complete)
		snprintf(ended, size, "'%s' took too long (--timeout)", command);
	else if (WIFSIGNALED(status))
		snprintf(ended, size, "'%s' was ended by signal %d", command, WTERMSIG(status));
	else
		snprintf(ended, size, "'%s' ended with exit status %d", command, WEXITSTATUS(status));
}

/* The script is in the pipe before there is anybody to read it, so nobody can refuse it. */
static int open_pipes(const char *script, int in[2], int out[2])
{
	size_t n = strlen(script);

	if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (!pipe2(out, O_CLOEXEC)) {
		if (write(in[1], script, n) == (ssize_t)n) {
			close(in[1]);
			return 0;
		}
		close(out[0]);
		close(out[1]);
	}
	close(in[0]);
	close(in[1]);
	return errno ? -errno : -EIO;
}

/* sh with these arguments; `command` for words. *good: it came to its end in time, with exit status 0. */
static int run_shell(char *const *argv, const char *command, const char *script, uint64_t deadline_ms, char **output, bool *good,
	       char *ended, size_t ended_size)
{
	int in[2], out[2], rc = open_pipes(script, in, out), status;
	bool complete;
	pid_t pid;

	*output = NULL;
	if (rc)
		return rc;
	rc = spawn(argv, in[0], out[1], &pid);
	close(in[0]);
	close(out[1]);
	if (!rc) {
		complete = read_all(out[0], deadline_ms, output);
		status = finish(pid, complete ? deadline_ms : 0);
		*good = complete && WIFEXITED(status) && !WEXITSTATUS(status);
		describe(command, complete, status, ended, ended_size);
	}
	close(out[0]);
	return rc;
}

int remote_run(const char *ssh_command, const char *host, const char *script, uint64_t deadline_ms,
	       char **output, char *ended, size_t ended_size)
{
	char *rune, *argv[] = { "sh", "-c", NULL, NULL };
	bool good;
	int rc;

	*output = NULL;
	if (asprintf(&rune, "exec %s %s sh", ssh_command, host) < 0)
		return -ENOMEM;
	argv[2] = rune;
	rc = run_shell(argv, rune + strlen("exec "), script, deadline_ms, output, &good, ended, ended_size);
	free(rune);
	return rc;
}

int program_run(const char *program, const char *const *args, uint64_t deadline_ms, char **output, bool *good, char *ended,
		size_t ended_size)
{
	char *argv[PROGRAM_ARGS_MAX + 5] = { "sh", "-c", "exec \"$0\" \"$@\" 2>&1", (char *)program };
	char command[512];

	*good = false;
	for (size_t i = 0; args[i] && i < PROGRAM_ARGS_MAX; i++)
		argv[4 + i] = (char *)args[i];
	snprintf(command, sizeof(command), "%s %s", program, args[0]);
	return run_shell(argv, command, "", deadline_ms, output, good, ended, ended_size);
}
