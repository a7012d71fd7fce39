/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What libxl 4.17 does at xl create, block-attach, block-detach and destroy: the nodes, their permissions,
 * the order, the bounds in time (10 s for a state, 40 s for the script), the environment of the script, and
 * what it leaves behind when something fails (a failed add leaves the nodes, and no "remove" is run).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "standin.h"
#include "toolstack.h"

#define STATE_TIMEOUT_MS	10000
#define SCRIPT_TIMEOUT_MS	40000
#define STATE_INIT_WAIT		2
#define STATE_CLOSING		5
#define STATE_CLOSED		6

char *fmt(const char *f, ...)
{
	va_list ap;
	char *s;

	va_start(ap, f);
	if (vasprintf(&s, f, ap) < 0)
		abort();
	va_end(ap);
	return s;
}

char *node_read(struct xs_handle *xs, const char *path)
{
	unsigned len;

	return xs_read(xs, XBT_NULL, path, &len);
}

int node_read_int(struct xs_handle *xs, const char *path, int missing)
{
	char *s = node_read(xs, path);
	int v = s ? atoi(s) : missing;

	free(s);
	return v;
}

bool node_write(struct xs_handle *xs, xs_transaction_t t, const char *path, const char *value)
{
	return xs_write(xs, t, path, value, (unsigned)strlen(value));
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* On a connection of its own, so that no watch of the caller is swallowed. */
int wait_for_state(const char *path, int value, int timeout_ms)
{
	struct xs_handle *xs = xs_open(0);
	int64_t end = now_ms() + timeout_ms;
	int rc = -ETIMEDOUT;

	if (!xs || !xs_watch(xs, path, "state"))
		goto out;
	for (;;) {
		struct pollfd p = { .fd = xs_fileno(xs), .events = POLLIN };
		int64_t left = end - now_ms();

		if (node_read_int(xs, path, -1) == value) {
			rc = 0;
			break;
		}
		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			break;
		free(xs_check_watch(xs));
	}
out:
	xs_close(xs);
	return rc;
}

static char *backend_path(const struct disk *d)
{
	return fmt("/local/domain/0/backend/%s/%u/%u", d->kind, d->domid, d->devid);
}

static char *frontend_path(const struct disk *d)
{
	return fmt("/local/domain/%u/device/vbd/%u", d->domid, d->devid);
}

static char *libxl_path(const struct disk *d)
{
	return fmt("/libxl/%u/device/vbd/%u", d->domid, d->devid);
}

/* xvda2 for 51714; extended numbers (1 << 28 | disk << 8 | partition) too. */
static char *dev_name(const struct disk *d)
{
	unsigned disk = (d->devid >> 4) & 15, part = d->devid & 15;

	if (d->dev)
		return strdup(d->dev);
	if (d->devid & (1u << 28)) {
		disk = (d->devid >> 8) & 0xfffff;
		part = d->devid & 0xff;
	}
	return part ? fmt("xvd%c%u", 'a' + disk % 26, part) : fmt("xvd%c", 'a' + disk % 26);
}

/* A directory with its permissions: owner all, reader read, others nothing. */
static bool make_dir(struct xs_handle *xs, xs_transaction_t t, const char *path, unsigned owner, int reader)
{
	struct xs_permissions p[2] = { { .id = owner, .perms = XS_PERM_NONE },
				       { .id = (unsigned)reader, .perms = XS_PERM_READ } };

	return xs_mkdir(xs, t, path) && xs_set_permissions(xs, t, path, p, reader >= 0 ? 2 : 1);
}

/* New nodes take the permissions of their directory. */
static bool put(struct xs_handle *xs, xs_transaction_t t, const char *dir, const char *key, const char *value)
{
	char *path = fmt("%s/%s", dir, key);
	bool ok = node_write(xs, t, path, value);

	free(path);
	return ok;
}

static bool put_int(struct xs_handle *xs, xs_transaction_t t, const char *dir, const char *key,
		    unsigned value)
{
	char *s = fmt("%u", value);
	bool ok = put(xs, t, dir, key, s);

	free(s);
	return ok;
}

static char *script_path(const struct disk *d)
{
	return strchr(d->script, '/') ? strdup(d->script) : fmt("/etc/xen/scripts/%s", d->script);
}

/* The values that the backend's directory and libxl's own copy have in common. */
static bool put_backend(struct xs_handle *xs, xs_transaction_t t, const struct disk *d, const char *dir,
			const char *fe)
{
	char *dev = dev_name(d), *script = script_path(d);
	char *params = fmt("%s%s", strcmp(d->kind, "vbd3") ? "" : "aio:", d->resource);
	bool ok = put(xs, t, dir, "frontend", fe) && put(xs, t, dir, "params", params) &&
		  put(xs, t, dir, "script", script) && put_int(xs, t, dir, "frontend-id", d->domid) &&
		  put_int(xs, t, dir, "online", 1) && put_int(xs, t, dir, "removable", d->cdrom) &&
		  put_int(xs, t, dir, "bootable", 1) && put_int(xs, t, dir, "state", 1) &&
		  put(xs, t, dir, "dev", dev) &&
		  put(xs, t, dir, "type", strcmp(d->kind, "vbd3") ? "phy" : "vbd3") &&
		  put(xs, t, dir, "mode", d->readonly ? "r" : "w") &&
		  put(xs, t, dir, "device-type", d->cdrom ? "cdrom" : "disk") &&
		  put_int(xs, t, dir, "discard-enable", !d->readonly) &&
		  put(xs, t, dir, "specification", "xen");

	free(dev);
	free(script);
	free(params);
	return ok;
}

static bool put_frontend(struct xs_handle *xs, xs_transaction_t t, const struct disk *d, const char *fe,
			 const char *be)
{
	return put(xs, t, fe, "backend", be) && put_int(xs, t, fe, "backend-id", 0) &&
	       put_int(xs, t, fe, "state", 1) && put_int(xs, t, fe, "virtual-device", d->devid) &&
	       put(xs, t, fe, "device-type", d->cdrom ? "cdrom" : "disk") && put_int(xs, t, fe, "trusted", 1) &&
	       (!d->pv || put(xs, t, fe, "protocol", "x86_64-abi"));
}

static bool add_nodes(struct xs_handle *xs, const struct disk *d)
{
	char *be = backend_path(d), *fe = frontend_path(d), *lx = libxl_path(d);
	bool ok = false;

	while (!ok) {
		xs_transaction_t t = xs_transaction_start(xs);

		if (!t)
			break;
		xs_rm(xs, t, fe);
		xs_rm(xs, t, be);
		ok = make_dir(xs, t, fe, d->domid, 0) && make_dir(xs, t, be, 0, (int)d->domid) &&
		     make_dir(xs, t, lx, 0, -1) && put_frontend(xs, t, d, fe, be) &&
		     put_backend(xs, t, d, be, fe) && put_backend(xs, t, d, lx, fe) &&
		     put(xs, t, lx, "backend", be);
		if (!xs_transaction_end(xs, t, !ok)) {
			ok = false;
			if (errno != EAGAIN)
				break;
		} else if (!ok) {
			break;
		}
	}
	free(be);
	free(fe);
	free(lx);
	return ok;
}

/*
 * Milliseconds are waited by SIGCHLD, not by looking again and again. -1: killed after 40 s; else the wait
 * status.
 */
static int wait_script(pid_t pid, const sigset_t *chld)
{
	int64_t end = now_ms() + SCRIPT_TIMEOUT_MS;
	int status;

	for (;;) {
		int64_t left = end - now_ms();
		struct timespec t = { left / 1000, left % 1000 * 1000000 };

		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		if (left <= 0)
			break;
		sigtimedwait(chld, NULL, &t);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static void exec_script(const struct disk *d, const char *script, const char *action)
{
	char *path = fmt("backend/%s/%u/%u", d->kind, d->domid, d->devid);

	setenv("script", script, 1);
	setenv("XENBUS_TYPE", d->kind, 1);
	setenv("XENBUS_PATH", path, 1);
	setenv("XENBUS_BASE_PATH", "backend", 1);
	if (!freopen("/dev/null", "r", stdin))
		_exit(127);
	dup2(2, 1);
	execl(script, script, action, (char *)NULL);
	fprintf(stderr, "libxl: cannot execute %s: %s\n", script, strerror(errno));
	_exit(255);
}

static int run_script(const struct disk *d, const char *action)
{
	char *script = script_path(d);
	int64_t begin = now_ms();
	sigset_t chld, old;
	int status = -1;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &old);
	pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		exec_script(d, script, action);
	}
	if (pid > 0)
		status = wait_script(pid, &chld);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (status == -1)
		fprintf(stderr, "libxl: killing execution of %s %s because of timeout\n", script, action);
	else if (status)
		fprintf(stderr, "libxl: %s %s exited with error status %d after %lld ms\n", script, action,
			WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
			(long long)(now_ms() - begin));
	free(script);
	return status ? 1 : 0;
}

static bool path_exists(struct xs_handle *xs, const char *path)
{
	unsigned n;
	char **l = xs_directory(xs, XBT_NULL, path, &n);

	free(l);
	return l != NULL;
}

static void print_hotplug_error(struct xs_handle *xs, const char *be)
{
	char *path = fmt("%s/hotplug-error", be), *s = node_read(xs, path);

	if (s)
		fprintf(stderr, "libxl: script: %s\n", s);
	free(s);
	free(path);
}

int disk_attach(struct xs_handle *xs, const struct disk *d)
{
	char *be = backend_path(d), *lx = libxl_path(d), *state = fmt("%s/state", be);
	int rc = 1;

	if (path_exists(xs, lx)) {
		fprintf(stderr, "libxl: device already exists in xenstore\n");
		goto out;
	}
	if (!add_nodes(xs, d)) {
		fprintf(stderr, "libxl: cannot write the nodes of the device: %s\n", strerror(errno));
		goto out;
	}
	if (wait_for_state(state, STATE_INIT_WAIT, STATE_TIMEOUT_MS) < 0) {
		fprintf(stderr, "libxl: unable to add device: backend state is %d after 10 s\n",
			node_read_int(xs, state, -1));
		goto out;
	}
	rc = run_script(d, "add");
	if (rc)
		print_hotplug_error(xs, be);
out:
	free(be);
	free(lx);
	free(state);
	return rc;
}

static void remove_with_empty_parents(struct xs_handle *xs, char *path, int parents)
{
	xs_rm(xs, XBT_NULL, path);
	while (parents-- > 0) {
		unsigned n = 1;
		char **l;

		*strrchr(path, '/') = '\0';
		l = xs_directory(xs, XBT_NULL, path, &n);
		free(l);
		if (!l || n)
			return;
		xs_rm(xs, XBT_NULL, path);
	}
}

static void remove_nodes(struct xs_handle *xs, const struct disk *d)
{
	char *be = backend_path(d), *fe = frontend_path(d), *lx = libxl_path(d);

	remove_with_empty_parents(xs, fe, 1);
	remove_with_empty_parents(xs, lx, 1);
	remove_with_empty_parents(xs, be, 2);
	free(be);
	free(fe);
	free(lx);
}

/*
 * One transaction: [the frontend away,] online=0, state=5 unless it is 6. 1: there is no state, so nothing to
 * do.
 */
static int remove_begin(struct xs_handle *xs, const char *be, const char *fe, bool force)
{
	for (;;) {
		xs_transaction_t t = xs_transaction_start(xs);
		char *path = fmt("%s/state", be), *state;
		unsigned len;
		bool gone;

		if (force)
			xs_rm(xs, t, fe);
		state = xs_read(xs, t, path, &len);
		gone = state == NULL;
		if (state) {
			put(xs, t, be, "online", "0");
			if (atoi(state) != STATE_CLOSED)
				put(xs, t, be, "state", "5");
		}
		free(state);
		free(path);
		if (xs_transaction_end(xs, t, false))
			return gone;
		if (errno != EAGAIN)
			return 1;
	}
}

int disk_remove(struct xs_handle *xs, const struct disk *d, enum remove_force force)
{
	char *be = backend_path(d), *fe = frontend_path(d), *state = fmt("%s/state", be);
	int rc = 0, gone;

	gone = remove_begin(xs, be, fe, force == REMOVE_FORCE);
	if (!gone)
		rc = wait_for_state(state, STATE_CLOSED, STATE_TIMEOUT_MS);
	if (rc < 0 && force == REMOVE_AUTO) {
		remove_begin(xs, be, fe, true);
		rc = wait_for_state(state, STATE_CLOSED, STATE_TIMEOUT_MS);
		force = REMOVE_FORCE;
	}
	if (rc < 0)
		fprintf(stderr, "libxl: unable to remove device: backend state is %d after 10 s\n",
			node_read_int(xs, state, -1));
	if (rc == 0 && !gone)
		run_script(d, "remove");
	if (rc == 0 || force == REMOVE_FORCE)
		remove_nodes(xs, d);
	free(be);
	free(fe);
	free(state);
	return rc < 0;
}

/* The nodes of the domain itself. A second disk of a domain that is there changes nothing. */
int domain_create(struct xs_handle *xs, const struct disk *d)
{
	char *dom = fmt("/local/domain/%u", d->domid);
	char *uuid = d->uuid ? strdup(d->uuid) : fmt("00000000-0000-4000-8000-%012u", d->domid);
	char *vm = fmt("/vm/%s", uuid), *name = d->name ? strdup(d->name) : fmt("guest%u", d->domid);
	char *device = fmt("%s/device", dom);
	int rc = sim_domain_create((uint16_t)d->domid);
	bool ok = true;

	if (rc == 0 && d->domid)
		ok = make_dir(xs, XBT_NULL, dom, 0, (int)d->domid) && make_dir(xs, XBT_NULL, vm, 0, -1) &&
		     put(xs, XBT_NULL, vm, "uuid", uuid) && put(xs, XBT_NULL, vm, "name", name) &&
		     put(xs, XBT_NULL, dom, "vm", vm) && put(xs, XBT_NULL, dom, "name", name) &&
		     put_int(xs, XBT_NULL, dom, "domid", d->domid) &&
		     make_dir(xs, XBT_NULL, device, 0, (int)d->domid);
	if (!ok || (rc < 0 && rc != -EEXIST)) {
		fprintf(stderr, "cannot create domain %u: %s\n", d->domid, strerror(ok ? -rc : errno));
		ok = false;
	}
	free(dom);
	free(uuid);
	free(vm);
	free(name);
	free(device);
	return !ok;
}

/* All devices by the forced path, while the domain stands still; then its nodes; then the domain. */
int domain_destroy(struct xs_handle *xs, unsigned domid)
{
	char *dir = fmt("/libxl/%u/device/vbd", domid), *path = fmt("/local/domain/%u", domid), *node, *vm;
	char *libxl = fmt("/libxl/%u", domid);
	unsigned n = 0, pins;
	char **l = xs_directory(xs, XBT_NULL, dir, &n);
	int rc = 0;

	sim_domain_kill_processes((uint16_t)domid);
	for (unsigned i = 0; i < n; i++) {
		struct disk d = {
			.domid = domid, .devid = (unsigned)atoi(l[i]), .kind = "vbd", .resource = ""
		};
		char *key = fmt("%s/%s/script", dir, l[i]), *type = fmt("%s/%s/type", dir, l[i]);
		char *script = node_read(xs, key), *t = node_read(xs, type);

		d.script = script ? script : "/bin/false";
		d.kind = t && !strcmp(t, "vbd3") ? "vbd3" : "vbd";
		rc |= disk_remove(xs, &d, REMOVE_FORCE);
		free(key);
		free(type);
		free(script);
		free(t);
	}
	free(l);
	node = fmt("%s/vm", path);
	vm = node_read(xs, node);
	if (vm)
		xs_rm(xs, XBT_NULL, vm);
	free(vm);
	xs_rm(xs, XBT_NULL, path);
	xs_rm(xs, XBT_NULL, libxl);
	pins = sim_domain_pins((uint16_t)domid);
	if (pins) {
		fprintf(stderr, "xen: domain %u stays a zombie: %u of its pages are mapped\n", domid, pins);
		rc = 1;
	}
	sim_domain_destroy((uint16_t)domid);
	xs_release_domain(xs, domid);
	free(node);
	free(libxl);
	free(dir);
	free(path);
	return rc;
}
