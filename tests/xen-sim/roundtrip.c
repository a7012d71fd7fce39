/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Do the stand-ins keep what Xen promises? One process plays domain 0 through the libraries' own calls (this
 * program, with the stand-in preloaded), a child plays domain 9 through standin.h. Prints what failed; exit
 * status 0 if nothing did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#include "standin.h"

#define DOM 9

/* What the guest tells domain 0 at the start, and then whenever it has done what it was asked for. */
struct message {
	uint32_t good, readonly, revoked, foreign, port;
	int busy;
};

static int failures;
static int to_guest[2], from_guest[2];

#define check(x) do { if (!(x)) { failures++; printf("failed: %s (line %d)\n", #x, __LINE__); } } while (0)

static void guest_event_channel(struct sim_evtchn *ev)
{
	struct pollfd p = { .fd = ev->fd, .events = POLLIN };
	uint32_t port = 0;

	if (poll(&p, 1, 2000) == 1 && read(ev->fd, &port, 4) == 4) {
		sim_evtchn_unmask(ev, port);
		sim_evtchn_send(ev, port);	/* the echo that domain 0 waits for */
	}
}

/*
 * Commands: e wait for an event and echo it; g end the good grant; n a new event channel handle and port; q.
 */
static void guest(void)
{
	struct sim_guest *g = sim_guest_get(DOM);
	int64_t page = sim_pages_alloc(g, 2);
	struct sim_evtchn ev;
	struct message m = { .good = (uint32_t)sim_grant_give(g, 0, (uint32_t)page, false),
			     .readonly = (uint32_t)sim_grant_give(g, 0, (uint32_t)page + 1, true),
			     .revoked = (uint32_t)sim_grant_give(g, 0, (uint32_t)page, false),
			     .foreign = (uint32_t)sim_grant_give(g, 3, (uint32_t)page, false) };
	char c;

	sim_evtchn_open(&ev, DOM, true);
	m.port = (uint32_t)sim_evtchn_alloc(&ev, 0);
	sim_grant_revoke(g, m.revoked);
	strcpy(sim_page(g, (uint32_t)page), "from the guest");
	do {
		if (write(from_guest[1], &m, sizeof(m)) != sizeof(m) || read(to_guest[0], &c, 1) != 1)
			_exit(1);
		if (c == 'e')
			guest_event_channel(&ev);
		if (c == 'g')
			m.busy = sim_grant_end(g, m.good);
		if (c == 'r')
			m.good = (uint32_t)sim_grant_give(g, 0, (uint32_t)page, false);
	} while (c != 'q');
	_exit(0);
}

static struct message ask(char c)
{
	struct message m = { 0 };

	if (c && write(to_guest[1], &c, 1) != 1)
		exit(1);
	if (read(from_guest[0], &m, sizeof(m)) != sizeof(m))
		exit(1);
	return m;
}

static int copy_status(xengnttab_handle *gt, uint32_t ref, uint16_t domid, bool to_guest_page, void *local,
		       uint16_t len)
{
	union xengnttab_copy_ptr mine = { .virt = local },
				 theirs = { .foreign = { .ref = ref, .domid = domid } };
	xengnttab_grant_copy_segment_t c = { .len = len, .status = 42 };

	c.source = to_guest_page ? mine : theirs;
	c.dest = to_guest_page ? theirs : mine;
	c.flags = to_guest_page ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
	return xengnttab_grant_copy(gt, 1, &c) < 0 ? -errno - 1000 : c.status;
}

static void grants(xengnttab_handle *gt, const struct message *m)
{
	char buf[4096] = "";
	uint32_t domid = DOM, both[2] = { m->good, m->readonly }, mixed[2] = { m->good, m->revoked };
	char *p;

	check(copy_status(gt, m->good, DOM, false, buf, 4096) == GNTST_okay);
	check(!strcmp(buf, "from the guest"));
	check(copy_status(gt, m->good, DOM, true, "from domain 0", 14) == GNTST_okay);
	check(copy_status(gt, m->readonly, DOM, false, buf, 512) == GNTST_okay);
	check(copy_status(gt, m->readonly, DOM, true, buf, 512) == GNTST_permission_denied);
	check(copy_status(gt, m->revoked, DOM, false, buf, 512) == GNTST_bad_gntref);
	check(copy_status(gt, m->foreign, DOM, false, buf, 512) == GNTST_bad_gntref);
	check(copy_status(gt, 4242, DOM, false, buf, 512) == GNTST_bad_gntref);
	check(copy_status(gt, UINT32_MAX, DOM, true, buf, 512) == GNTST_bad_gntref);
	check(copy_status(gt, m->good, 55, false, buf, 512) == GNTST_bad_domain);
	check(copy_status(gt, m->good, DOM, false, buf, 4097) == -EINVAL - 1000);
	p = xengnttab_map_grant_ref(gt, DOM, m->good, PROT_READ | PROT_WRITE);
	check(p && !strcmp(p, "from domain 0"));
	check(ask('g').busy == -EBUSY);
	check(xengnttab_unmap(gt, p, 1) == 0);
	check(ask('g').busy == 0);
	check(copy_status(gt, m->good, DOM, false, buf, 512) == GNTST_bad_gntref);
	check(!xengnttab_map_grant_ref(gt, DOM, m->readonly, PROT_READ | PROT_WRITE) && errno == EINVAL);
	both[0] = mixed[0] = ask('r').good;
	p = xengnttab_map_domain_grant_refs(gt, 2, domid, both, PROT_READ);
	check(p && !strcmp(p, "from domain 0"));
	check(xengnttab_unmap(gt, p, 1) < 0 && errno == EINVAL);
	check(xengnttab_unmap(gt, p, 2) == 0);
	check(!xengnttab_map_domain_grant_refs(gt, 2, domid, mixed, PROT_READ));
	check(ask('g').busy == 0);		/* the half that was mapped is undone */
}

static bool readable(xenevtchn_handle *ec, int ms)
{
	struct pollfd p = { .fd = xenevtchn_fd(ec), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void event_channels(const struct message *m)
{
	xenevtchn_handle *ec = xenevtchn_open(NULL, 0), *other = xenevtchn_open(NULL, 0);
	int port = xenevtchn_bind_interdomain(ec, DOM, m->port), again;

	check(port > 0);
	check(readable(ec, 0) && xenevtchn_pending(ec) == port);	/* pending once after binding */
	check(xenevtchn_bind_interdomain(other, DOM, m->port) < 0 && errno == EINVAL);
	xenevtchn_notify(ec, (evtchn_port_t)port);
	ask('e');
	check(!readable(ec, 20));					/* masked since it was pending */
	check(xenevtchn_unmask(ec, (evtchn_port_t)port) == 0);
	check(readable(ec, 100) && xenevtchn_pending(ec) == port);
	check(xenevtchn_unmask(ec, (evtchn_port_t)port) == 0);
	check(!readable(ec, 20));
	check(xenevtchn_unmask(other, (evtchn_port_t)port) < 0 &&
	      xenevtchn_notify(other, (evtchn_port_t)port) < 0);
	check(xenevtchn_unbind(ec, (evtchn_port_t)port) == 0);
	again = xenevtchn_bind_interdomain(other, DOM, m->port);	/* free again, for any handle */
	check(again > 0);
	xenevtchn_close(other);
	again = xenevtchn_bind_interdomain(ec, DOM, m->port);
	check(again > 0);
	check(xenevtchn_bind_interdomain(ec, 55, 1) < 0);
	xenevtchn_close(ec);
}

/* A process that is killed with a ring mapped and a port bound holds neither any more. */
static void killed_process(const struct message *m)
{
	uint32_t ref = ask('r').good;
	xenevtchn_handle *ec;
	int p[2], status;
	char c;
	pid_t pid;

	if (pipe(p) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		xengnttab_handle *gt = xengnttab_open(NULL, 0);

		ec = xenevtchn_open(NULL, 0);
		c = xengnttab_map_grant_ref(gt, DOM, ref, PROT_READ) &&
		    xenevtchn_bind_interdomain(ec, DOM, m->port) > 0 ? 'y' : 'n';
		status = (int)write(p[1], &c, 1);
		pause();
	}
	check(read(p[0], &c, 1) == 1 && c == 'y');
	check(ask('g').busy == -EBUSY);
	ec = xenevtchn_open(NULL, 0);
	check(xenevtchn_bind_interdomain(ec, DOM, m->port) < 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	check(ask('g').busy == 0);
	check(xenevtchn_bind_interdomain(ec, DOM, m->port) > 0);
	xenevtchn_close(ec);
}

int main(void)
{
	struct message m;
	xengnttab_handle *gt;
	pid_t pid;
	int rc;

	rc = sim_domain_create(DOM);
	if (rc < 0 || pipe(to_guest) < 0 || pipe(from_guest) < 0) {
		printf("cannot make a domain: %s\n", strerror(-rc));
		return 1;
	}
	pid = fork();
	if (pid == 0)
		guest();
	m = ask(0);
	gt = xengnttab_open(NULL, 0);
	check(gt != NULL);
	grants(gt, &m);
	event_channels(&m);
	killed_process(&m);
	xengnttab_close(gt);
	if (write(to_guest[1], "q", 1) == 1)
		waitpid(pid, &rc, 0);
	sim_domain_destroy(DOM);
	printf("stand-ins: %d failed\n", failures);
	return failures != 0;
}
