/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domain.c: is a domain suspended?
 *
 * libxenctrl is the library of one Xen release (libxenctrl.so.4.17): it is never linked, but opened by the version
 * that the hypervisor says. Of what it returns only the first eight bytes of a record are read: they have been domid and
 * flags in every release (XEN_DOMCTL_getdomaininfo); the rest of the buffer is room for records of any size.
 */
#include "backend/domain.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/log.h"

/* xen/include/public/domctl.h and sched.h */
#define DOMINF_SHUTDOWN (1u << 2)
#define DOMINF_REASON(flags) ((flags) >> 16 & 0xff)
#define REASON_SUSPEND	2u
#define RECORD_ROOM	4096u
#define XL_TIMEOUT_MS	2500 /* below the time that the partner waits for a reservation */

enum answer { NOBODY_KNOWS, NO_DOMAIN, RUNNING, SUSPENDED, OTHERWISE_DOWN };

static enum answer judge(uint32_t flags)
{
	if (!(flags & DOMINF_SHUTDOWN))
		return RUNNING;
	return DOMINF_REASON(flags) == REASON_SUSPEND ? SUSPENDED : OTHERWISE_DOWN;
}

/* ---- libxenctrl ---- */

typedef void *xc_open_fn(void *logger, void *dombuild_logger, unsigned int flags);
typedef int xc_close_fn(void *xch);
typedef int xc_getinfolist_fn(void *xch, uint32_t first, unsigned int max, void *info);

struct xenctrl {
	xc_open_fn *open;
	xc_close_fn *close;
	xc_getinfolist_fn *getinfolist;
};

static bool read_number(const char *path, unsigned int *out)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fscanf(f, "%u", out) == 1;

	if (f)
		fclose(f);
	return ok;
}

static void *open_library(void)
{
	unsigned int major, minor;
	char name[64];

	if (!read_number("/sys/hypervisor/version/major", &major) ||
	    !read_number("/sys/hypervisor/version/minor", &minor))
		return NULL;
	snprintf(name, sizeof(name), "libxenctrl.so.%u.%u", major, minor);
	return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

/* In a process that has the functions already (a preloaded stand-in) those are meant. */
static bool find_xenctrl(struct xenctrl *x)
{
	bool preloaded = dlsym(RTLD_DEFAULT, "xc_interface_open");
	void *library = preloaded ? RTLD_DEFAULT : open_library();

	if (!library && !preloaded)
		return false;
	x->open = (xc_open_fn *)dlsym(library, "xc_interface_open");
	x->close = (xc_close_fn *)dlsym(library, "xc_interface_close");
	x->getinfolist = (xc_getinfolist_fn *)dlsym(library, "xc_domain_getinfolist");
	return x->open && x->close && x->getinfolist;
}

static enum answer ask_xenctrl(uint32_t domid)
{
	static struct xenctrl x;
	static bool looked, found;
	uint32_t *record;
	enum answer answer = NOBODY_KNOWS;
	void *xch;
	int n;

	if (!looked)
		found = find_xenctrl(&x);
	looked = true;
	xch = found ? x.open(NULL, NULL, 0) : NULL;
	record = calloc(1, RECORD_ROOM);
	if (xch && record) {
		n = x.getinfolist(xch, domid, 1, record);
		if (n >= 0) /* the first one whose number is not lower */
			answer = n && (record[0] & 0xffff) == domid ? judge(record[1]) : NO_DOMAIN;
	}
	free(record);
	if (xch)
		x.close(xch);
	return answer;
}

/* ---- xl list -v ---- */

static int spawn_xl(uint32_t domid, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	char number[16];
	char *const argv[] = { "xl", "list", "-v", number, NULL };
	char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	int fds[2], rc;

	snprintf(number, sizeof(number), "%u", domid);
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	rc = posix_spawn(pid, "/usr/sbin/xl", &actions, NULL, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (!rc)
		return fds[0];
	close(fds[0]);
	return -rc;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Up to its end, or the time is over. */
static bool read_all(int fd, char *out, size_t size)
{
	int64_t deadline = now_ms() + XL_TIMEOUT_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	ssize_t n = 1;

	while (n > 0 && used < size - 1) {
		int64_t left = deadline - now_ms();
		int rc = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return false;
		n = read(fd, out + used, size - 1 - used);
		if (n > 0)
			used += (size_t)n;
	}
	out[used] = 0;
	return n == 0;
}

/* "NAME ID Mem VCPUs State Time(s) UUID Reason-Code Label": the domain's line is the last one. A name may not
 * contain blanks; the reason is a number in hexadecimal, or "-". */
static enum answer judge_xl(char *text)
{
	char *line = text, *next, state[16], reason[16];
	unsigned long value;
	char *end;

	while ((next = strchr(line, '\n')) && next[1])
		line = next + 1;
	if (sscanf(line, "%*s %*u %*u %*u %15s %*s %*s %15s", state, reason) != 2)
		return NOBODY_KNOWS;
	if (!strchr(state, 's'))
		return RUNNING;
	value = strtoul(reason, &end, 16);
	if (end == reason || *end)
		return NOBODY_KNOWS;
	return value == REASON_SUSPEND ? SUSPENDED : OTHERWISE_DOWN;
}

static enum answer ask_xl(uint32_t domid)
{
	enum answer answer = NOBODY_KNOWS;
	char text[4096];
	int fd, status;
	pid_t pid;

	fd = spawn_xl(domid, &pid);
	if (fd < 0)
		return NOBODY_KNOWS;
	if (read_all(fd, text, sizeof(text)))
		answer = judge_xl(text);
	kill(pid, SIGKILL); /* it has said all, or took too long */
	close(fd);
	waitpid(pid, &status, 0);
	return answer;
}

int domain_suspended(uint32_t domid, char *why, size_t why_size)
{
	enum answer answer = ask_xenctrl(domid);

	if (answer == NOBODY_KNOWS)
		answer = ask_xl(domid);
	why[0] = 0;
	switch (answer) {
	case SUSPENDED:
		return 0;
	case RUNNING:
		snprintf(why, why_size, "domain %u is not suspended: it still runs at its source; use 'xl migrate'", domid);
		return -EBUSY;
	case OTHERWISE_DOWN:
		snprintf(why, why_size, "domain %u is shut down, but not for a migration: 'xl destroy' it at its source, and start it here", domid);
		return -EBUSY;
	case NO_DOMAIN:
		snprintf(why, why_size, "domain %u is not there any more: start it with 'xl create'", domid);
		return -ENOENT;
	default:
		snprintf(why, why_size,
			 "whether domain %u is suspended cannot be told at its source: install libxenctrl of the running Xen there, or see why "
			 "'xl list -v' fails",
			 domid);
		return -ENOSYS;
	}
}
