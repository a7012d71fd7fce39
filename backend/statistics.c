/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * statistics.c: see statistics.h.
 *
 * Crash argument: a daemon that is killed leaves its files and its link, which say what was true when it died, until the next one starts; xentop
 * shows that meanwhile.
 */
#include "backend/statistics.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/log.h"

#define LINK_PREFIX "td3-"

/* Constant while there are owner threads. NULL: nothing is shown. */
static const char *directory;
/* the control thread's */
static const char *shm;
static char pid[16];	/* "" until the link is there */

static void give_up(const char *what, int rc)
{
	log_warn(NULL, "%s: %s: xentop does not show disks of kind vbd3", what, strerror(-rc));
}

/* ---- what an earlier daemon left ---- */

/* 0, or negative errno. Removes each entry of `path` for which `ours` is true; NULL: all. */
static int sweep(const char *path, bool (*ours)(int dir, const char *name))
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (!d) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && (!ours || ours(fd, e->d_name)) && unlinkat(fd, e->d_name, 0) && !rc)
			rc = -errno;
	closedir(d);
	return rc;
}

/* A link to our directory, of a process that is no more. (One with our number is of an earlier process, or of the program whose place this
 * one has taken.) */
static bool is_left_link(int dir, const char *name)
{
	char target[256], *end;
	ssize_t r;
	long of;

	if (strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX)))
		return false;
	r = readlinkat(dir, name, target, sizeof(target) - 1);
	if (r < 0)
		return false;
	target[r] = 0;
	of = strtol(name + strlen(LINK_PREFIX), &end, 10);
	return !strcmp(target, directory) && !*end && of > 0 && (of == getpid() || (kill((pid_t)of, 0) && errno == ESRCH));
}

void statistics_start(const char *dir, const char *shm_dir)
{
	int rc = mkdir(dir, 0700) && errno != EEXIST ? -errno : 0;

	pid[0] = 0;
	directory = dir;
	shm = shm_dir;
	if (!rc)
		rc = sweep(dir, NULL);
	if (rc)
		give_up(dir, rc);
	else if ((rc = sweep(shm_dir, is_left_link)))
		give_up(shm_dir, rc);
	if (rc)
		directory = NULL;
}

/* ---- the link ---- */

static void link_path(char *out, size_t size)
{
	snprintf(out, size, "%s/" LINK_PREFIX "%ld", shm, (long)getpid());
}

const char *statistics_name(void)
{
	char path[256];

	if (!directory || pid[0])
		return directory ? pid : NULL;
	link_path(path, sizeof(path));
	if (symlink(directory, path)) {
		give_up(path, -errno);
		return NULL;
	}
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	return pid;
}

void statistics_end(void)
{
	char path[256];

	if (!pid[0])
		return;
	link_path(path, sizeof(path));
	unlink(path);
	pid[0] = 0;
}

/* ---- a disk's file ---- */

static void file_path(uint32_t domid, uint32_t devid, char *out, size_t size)
{
	snprintf(out, size, "%s/vbd-%" PRIu32 "-%" PRIu32, directory, domid, devid);
}

static struct statistics *map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc = fd < 0 ? -errno : -posix_fallocate(fd, 0, sizeof(struct statistics));
	void *at = MAP_FAILED;

	if (!rc)
		at = mmap(NULL, sizeof(struct statistics), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!rc && at == MAP_FAILED)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	errno = -rc;
	return rc ? NULL : at;
}

struct statistics *statistics_open(uint32_t domid, uint32_t devid)
{
	struct statistics *s;
	char path[256];

	if (!directory)
		return NULL;
	file_path(domid, devid, path, sizeof(path));
	s = map_file(path);
	if (s)
		s->version = STATISTICS_VERSION;
	else
		log_warn(NULL, "%s: %s: xentop does not show this disk", path, strerror(errno));
	return s;
}

void statistics_close(struct statistics *s, uint32_t domid, uint32_t devid)
{
	char path[256];

	if (!s)
		return;
	file_path(domid, devid, path, sizeof(path));
	unlink(path);
	munmap(s, sizeof(*s));
}
