/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * takeover.c: see takeover.h.  No state is kept: sysfs is asked each time, since udev or a person may load
 * the module at any moment.
 */
#include "backend/takeover.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BUS "/sys/bus/xen-backend"
#define DRIVER BUS "/drivers/vbd"	/* the name that xen-blkback registers */

static const char *root = "";

void takeover_set_root(const char *r)
{
	root = r;
}

static bool exists(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return !access(full, F_OK);
}

bool takeover_loaded(void)
{
	return exists(DRIVER);
}

bool takeover_held(uint32_t domid, uint32_t devid)
{
	char link[512], target[512];
	const char *name;
	ssize_t r;

	snprintf(link, sizeof(link), "%s" BUS "/devices/vbd-%u-%u/driver", root, domid, devid);
	r = readlink(link, target, sizeof(target) - 1);
	if (r <= 0)
		return false;
	target[r] = 0;
	name = strrchr(target, '/');
	return !strcmp(name ? name + 1 : target, "vbd");
}

bool takeover_vbd3_seen(uint32_t domid, uint32_t devid)
{
	char path[128];

	snprintf(path, sizeof(path), BUS "/devices/vbd3-%u-%u", domid, devid);
	return !exists(BUS) || exists(path);
}

int takeover_unbind(uint32_t domid, uint32_t devid, char *why, size_t why_size)
{
	char path[512], id[64];
	int fd, n, rc = 0;

	if (!takeover_held(domid, devid))
		return 0;
	n = snprintf(id, sizeof(id), "vbd-%u-%u", domid, devid);
	snprintf(path, sizeof(path), "%s" DRIVER "/unbind", root);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, id, (size_t)n) != n)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (rc == -ENODEV)			/* it let go by itself in between */
		rc = 0;
	if (rc)
		snprintf(why, why_size, "xen-blkback holds %s and could not be unbound through %s: %s; trying again", id,
			 path, strerror(-rc));
	return rc;
}

/* The module's name may be spelt with - or _. Returns what follows it, or NULL. */
static const char *match_module(const char *text)
{
	static const char name[] = "xen-blkback";

	for (size_t i = 0; i < sizeof(name) - 1; i++)
		if (text[i] != name[i] && !(name[i] == '-' && text[i] == '_'))
			return NULL;
	return text + sizeof(name) - 1;
}

/* "blacklist xen-blkback" or "install xen-blkback …" in a line of modprobe.d. */
static bool line_blacklists(const char *line)
{
	static const char *const words[] = { "blacklist", "install" };

	line += strspn(line, " \t");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);
		const char *rest;

		if (strncmp(line, words[i], n) || !isblank((unsigned char)line[n]))
			continue;
		rest = match_module(line + n + strspn(line + n, " \t"));
		if (rest && (!*rest || isspace((unsigned char)*rest)))
			return true;
	}
	return false;
}

static bool file_has(const char *path, bool (*match)(const char *line))
{
	char line[4096];
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = match(line);
	fclose(f);
	return found;
}

static bool directory_blacklists(const char *dir)
{
	char path[1024];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "%s%s", root, dir);
	d = opendir(path);
	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (n < 5 || strcmp(e->d_name + n - 5, ".conf"))
			continue;
		snprintf(path, sizeof(path), "%s%s/%s", root, dir, e->d_name);
		found = file_has(path, line_blacklists);
	}
	closedir(d);
	return found;
}

/* modprobe.blacklist=a,xen-blkback on the kernel's command line. */
static bool cmdline_blacklists(const char *line)
{
	static const char key[] = "modprobe.blacklist=";

	for (const char *p = line; (p = strstr(p, key)); ) {
		for (p += sizeof(key) - 1; *p && !isspace((unsigned char)*p); p += strcspn(p, ", \t\n")) {
			const char *rest;

			p += *p == ',';
			rest = match_module(p);
			if (rest && (!*rest || *rest == ',' || isspace((unsigned char)*rest)))
				return true;
		}
	}
	return false;
}

static bool line_is_module(const char *line)
{
	const char *colon = strchr(line, ':');
	const char *p = colon;

	while (p && p > line && p[-1] != '/')
		p--;
	return p && (p = match_module(p)) && !strncmp(p, ".ko", 3);
}

/* Can modprobe find the module at all? Unknown counts as yes. */
static bool installed(void)
{
	char path[1024];
	struct utsname u;

	if (uname(&u))
		return true;
	snprintf(path, sizeof(path), "%s/lib/modules/%s/modules.dep", root, u.release);
	return access(path, R_OK) || file_has(path, line_is_module);
}

static bool blacklisted(void)
{
	static const char *const dirs[] = {
		"/etc/modprobe.d",     "/run/modprobe.d", "/usr/local/lib/modprobe.d",
		"/usr/lib/modprobe.d", "/lib/modprobe.d",
	};
	char path[512];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (directory_blacklists(dirs[i]))
			return true;
	snprintf(path, sizeof(path), "%s/proc/cmdline", root);
	return file_has(path, cmdline_blacklists);
}

enum takeover_host takeover_check(char *why, size_t why_size)
{
	if (!exists(BUS)) {
		snprintf(why, why_size,
			 "this kernel has no xen-backend bus: no kernel backend will take a disk");
		return TAKEOVER_NO_BUS;
	}
	if (takeover_loaded()) {
		snprintf(why, why_size,
			 "xen-blkback is loaded: drbdx disks are unbound from it as they appear; "
			 "do not unload and load it again while disks are served");
		return TAKEOVER_LOADED;
	}
	if (blacklisted() || !installed()) {
		snprintf(why, why_size, "xen-blkback is not loaded and will not be loaded by itself");
		return TAKEOVER_BLACKLISTED;
	}
	snprintf(why, why_size,
		 "xen-blkback is neither loaded nor blacklisted: the next disk of a guest would load it, "
		 "and that disturbs every disk being served; load it before drbdxd starts "
		 "(/etc/modules-load.d) or "
		 "blacklist it (/etc/modprobe.d)");
	return TAKEOVER_AUTOLOAD;
}
