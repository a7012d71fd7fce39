/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remote.h: a shell on another host, through the very command by which xl reaches it, with a bound on the
 * wait.
 */
#ifndef DRBDX_CTL_REMOTE_H
#define DRBDX_CTL_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Runs `sh -c "exec SSHCOMMAND HOST sh"`, both words as they are, as `xl migrate` does with its own, and
 * gives that shell `script` (at most 4096 bytes) on its stdin. Its stderr is ours. 0: *output is what it
 * wrote, to be freed, and `ended` says in words how it came to its end, within the time or not; or negative
 * errno.
 */
int remote_run(const char *ssh_command, const char *host, const char *script, uint64_t deadline_ms,
	       char **output, char *ended, size_t ended_size);

/* Runs a program of this host, with at most so many arguments, and nothing on stdin. 0: *output is what it wrote to stdout and
 * stderr, to be freed; `ended` as above; *good: in time, and with exit status 0. Or negative errno. */
#define PROGRAM_ARGS_MAX 8u
int program_run(const char *program, const char *const *args, uint64_t deadline_ms, char **output, bool *good, char *ended,
		size_t ended_size);

#endif
