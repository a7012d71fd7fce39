/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * upgrade.c: another program takes this daemon's place (docs/RESTART.md, section 7).
 *
 *   serving ── asked for, allowed [upgrade_program, upgrade_allowed] ──> draining ── everything is parked ──> [upgrade_exec]
 *                     │ refused                                            │ a signal to stop, a disk that hangs
 *                     v                                                    v
 *                  serving                                               ends, as for a stop
 *
 * Crash argument: draining is a stop in order (resource_stop(RESOURCE_REPLACE)), and what executes then is a daemon that starts after a
 * stop; a kill at any moment is a kill of the one or the other (docs/RESTART.md, sections 3 to 6). If the file cannot be executed, what
 * this process is executing is, from the start: nobody is served by nobody.
 */
#include "backend/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/log.h"

#define SELF	"/proc/self/exe"
#define DELETED " (deleted)"

/* The link of a file that was replaced says so; the name is that of the new one. */
static void strip_deleted(char *path)
{
	size_t n = strlen(path), d = strlen(DELETED);
	struct stat st;

	if (n > d && !strcmp(path + n - d, DELETED) && lstat(path, &st))
		path[n - d] = '\0';
}

int upgrade_init(struct upgrade *u, char **argv, const char *config)
{
	ssize_t n = readlink(SELF, u->program, sizeof(u->program) - 1);

	if (n < 0)
		return -errno;
	u->program[n] = '\0';
	strip_deleted(u->program);
	if (!realpath(config, u->config))
		snprintf(u->config, sizeof(u->config), "%s", config);
	u->argv = argv;
	return 0;
}

int upgrade_program(const struct upgrade *u, char *why, size_t why_size)
{
	struct stat st;
	int rc = 0;

	if (stat(u->program, &st))
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = -EACCES;
	else if (access(u->program, X_OK))
		rc = -errno;
	if (rc)
		snprintf(why, why_size, "%s cannot be executed: %s: install drbdx again; this drbdxd serves on", u->program, strerror(-rc));
	return rc;
}

static int refuse(char *why, size_t why_size, const char *words)
{
	snprintf(why, why_size, "%s", words);
	return -EBUSY;
}

/* What a guest's attachment has to say. */
static int attachment_allows(const struct replicate_status *core, char *why, size_t why_size)
{
	switch (core->attachment) {
	case ATTACHMENT_NONE:
	case ATTACHMENT_ACTIVE:
	case ATTACHMENT_CLAIMED: /* asks again; nothing was executed */
	case ATTACHMENT_STALE:
		break;
	case ATTACHMENT_RELEASING:
		snprintf(why, why_size, "the last writes of %s, which is gone, are not done: wait for them", core->who);
		return -EBUSY;
	default:
		snprintf(why, why_size, "%s is being started, or migrates (%s): wait until that has ended, one way or the other", core->who,
			 attachment_state_name(core->attachment));
		return -EBUSY;
	}
	return core->superblock.reservation ? refuse(why, why_size, "its guest is migrating to the partner: wait until that has ended, one way or the other")
					    : 0;
}

int upgrade_allowed(const struct resource_status *status, char *why, size_t why_size)
{
	const struct replicate_status *core = &status->core;

	if (!status->open)
		return 0; /* nothing is under way; the other program opens it, too */
	if (status->hung || core->hangs)
		return refuse(why, why_size, "its disk hangs, and a daemon does not end before that has ended what it has: see the kernel log (dmesg)");
	if (status->left_requests)
		return refuse(why, why_size, "what an earlier drbdxd left unanswered is not finished: see 'backend-ctl status', and wait for it");
	if (core->suspended)
		return refuse(why, why_size, "its guest's I/O is held by suspend-io, which the new program would not know: 'backend-ctl resume-io' first");
	if (core->sync_paused)
		return refuse(why, why_size, "its resync is held by pause-sync, which the new program would not know: 'backend-ctl resume-sync' first");
	return attachment_allows(core, why, why_size);
}

void upgrade_exec(const struct upgrade *u)
{
	/* All are closed by exec in any case; but a disk that stayed open would keep its claim from the next one (P6). */
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	execv(u->program, u->argv);
	log_error(NULL, "%s cannot be executed: %s: the program that was running is started again", u->program, strerror(errno));
	execv(SELF, u->argv);
	log_error(NULL, "nor can that be executed: %s: start drbdxd (systemctl start drbdxd)", strerror(errno));
}
