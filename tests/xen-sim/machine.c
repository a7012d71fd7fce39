/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The simulated machine: domains, their memory and grants, event channels. What it keeps to, and the files it
 * keeps it in: standin.h.
 *
 * Life of a port (Xen's event_channel.c decides what happens; Linux' evtchn driver what a handle sees):
 *
 *	free --alloc--> unbound --remote binds--> interdomain --either closes--> the other end: unbound again
 *
 * A raise on a masked port only marks it pending; on an unmasked one it is written to the handle's FIFO, and
 * masked. A process that dies closes nothing itself: its FIFOs have no reader any more, and whoever next
 * finds one of its ports in the way closes them [reap_handles].
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define __XEN_TOOLS__
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "standin.h"

static struct sim *_Atomic machine;
static const char *machine_dir;
static int owners_fd = -1;
static uint32_t owner_slot;
static struct sim_guest *_Atomic guests;
static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;

static void shared_mutex_init(pthread_mutex_t *m)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &a);
	pthread_mutexattr_destroy(&a);
}

static void lock(pthread_mutex_t *m)
{
	if (pthread_mutex_lock(m) == EOWNERDEAD)
		pthread_mutex_consistent(m);
}

static void unlock(pthread_mutex_t *m)
{
	pthread_mutex_unlock(m);
}

__attribute__((format(printf, 2, 3)))
static void path_in_dir(char path[4096], const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(path, 4096, "%s/", machine_dir);

	va_start(ap, fmt);
	vsnprintf(path + n, 4096 - (size_t)n, fmt, ap);
	va_end(ap);
}

/* A file of this size, mapped shared; init (if given) runs once, by whoever finds it empty. */
static void *map_shared_file(const char *path, size_t size, void (*init)(void *), int *keep_fd)
{
	void *p = NULL;
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return NULL;
	if (flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
		goto out;
	if (st.st_size == 0 && ftruncate(fd, (off_t)size) < 0)
		goto out;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED)
		p = NULL;
	else if (st.st_size == 0 && init)
		init(p);
out:
	flock(fd, LOCK_UN);
	if (p && keep_fd)
		*keep_fd = fd;
	else
		close(fd);
	return p;
}

static void machine_init(void *p)
{
	struct sim *s = p;

	shared_mutex_init(&s->lock);
	s->size = sizeof(*s);
	s->next_port = 1;
	s->next_gen = 1;
	s->domain[0].present = true;	/* domain 0; it may also be its own guest */
	for (unsigned i = 0; i < SIM_PINS; i++)
		s->pin[i].ref = SIM_NO_REF;
	s->magic = SIM_MAGIC;
}

static void gnttab_init(void *p)
{
	struct sim_gnttab *t = p;

	shared_mutex_init(&t->lock);
	t->next_ref = 8;		/* the first ones are reserved on Xen */
	t->next_page = 16;
}

static bool owner_alive(uint32_t slot)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };

	if (slot == owner_slot)
		return true;
	return fcntl(owners_fd, F_GETLK, &fl) < 0 || fl.l_type != F_UNLCK;
}

static void pins_of_slot_free(struct sim *s, uint32_t slot)
{
	for (uint32_t i = 0; i < s->pins_high; i++)
		if (s->pin[i].owner == slot + 1)
			sim_pin_free(&s->pin[i]);
}

/* A slot that nobody's lock holds; what a dead owner left in it goes. */
static int owner_claim(struct sim *s)
{
	char path[4096];

	path_in_dir(path, "owners");
	owners_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (owners_fd < 0)
		return -errno;
	for (uint32_t i = 0; i < SIM_OWNERS; i++) {
		struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 1 };

		if (fcntl(owners_fd, F_SETLK, &fl) < 0)
			continue;
		owner_slot = i;
		pins_of_slot_free(s, i);
		return 0;
	}
	return -EMFILE;
}

static void machine_open(void)
{
	char path[4096];
	struct sim *s;

	machine_dir = getenv(SIM_ENV);
	if (!machine_dir) {
		errno = ENOENT;		/* as if /dev/xen were not there */
		return;
	}
	path_in_dir(path, "machine");
	s = map_shared_file(path, sizeof(*s), machine_init, NULL);
	if (!s)
		return;
	if (s->magic != SIM_MAGIC || s->size != sizeof(*s)) {
		errno = EPROTO;
		return;
	}
	if (owner_claim(s) < 0)
		return;
	guests = NULL;
	machine = s;
}

/* A child is another owner: its record lock is not its parent's. */
static void after_fork_in_child(void)
{
	pthread_mutex_init(&process_lock, NULL);
	machine = NULL;
}

struct sim *sim_machine(void)
{
	static bool fork_handled;
	struct sim *s = machine;

	if (s)
		return s;
	pthread_mutex_lock(&process_lock);
	if (!fork_handled)
		pthread_atfork(NULL, NULL, after_fork_in_child);
	fork_handled = true;
	if (!machine)
		machine_open();
	s = machine;
	pthread_mutex_unlock(&process_lock);
	return s;
}

/* Domains. */

static struct sim_domain *domain_find(struct sim *s, uint16_t domid)
{
	for (unsigned i = 0; i < SIM_DOMAINS; i++)
		if (s->domain[i].present && s->domain[i].domid == domid)
			return &s->domain[i];
	return NULL;
}

int sim_domain_create(uint16_t domid)
{
	struct sim *s = sim_machine();
	int rc = -ENOSPC;

	if (!s)
		return -errno;
	lock(&s->lock);
	if (domain_find(s, domid)) {
		rc = -EEXIST;
		goto out;
	}
	for (unsigned i = 1; i < SIM_DOMAINS; i++) {
		struct sim_domain *d = &s->domain[i];

		if (d->present)
			continue;
		*d = (struct sim_domain){ .domid = domid, .gen = s->next_gen++ };
		d->present = true;
		rc = 0;
		break;
	}
out:
	unlock(&s->lock);
	return rc;
}

int sim_domain_shutdown(uint16_t domid, uint32_t shutdown)
{
	struct sim *s = sim_machine();
	struct sim_domain *d;

	if (!s)
		return -errno;
	lock(&s->lock);
	d = domain_find(s, domid);
	if (d)
		d->shutdown = shutdown;
	unlock(&s->lock);
	if (d)
		sim_virq_raise(VIRQ_DOM_EXC);
	return d ? 0 : -ESRCH;
}

bool sim_domain_get(uint16_t domid, struct sim_domain *copy)
{
	struct sim *s = sim_machine();
	struct sim_domain *d;

	if (!s)
		return false;
	lock(&s->lock);
	d = domain_find(s, domid);
	if (d)
		*copy = *d;
	unlock(&s->lock);
	return d != NULL;
}

static uint32_t pin_key(uint16_t domid, uint32_t gen)
{
	return (uint32_t)domid << 16 | (gen & 0xffff);
}

unsigned sim_domain_pins(uint16_t domid)
{
	struct sim *s = sim_machine();
	struct sim_domain d;
	unsigned n = 0;

	if (!s || !sim_domain_get(domid, &d))
		return 0;
	for (uint32_t i = 0; i < s->pins_high; i++) {
		struct sim_pin *p = &s->pin[i];

		if (p->owner && p->ref != SIM_NO_REF && p->domid_gen == pin_key(domid, d.gen) &&
		    owner_alive(p->owner - 1))
			n++;
	}
	return n;
}

int sim_domain_kill_processes(uint16_t domid)
{
	struct sim *s = sim_machine();
	int n = 0;

	if (!s || !domid)
		return 0;
	lock(&s->lock);
	for (unsigned i = 0; i < SIM_HANDLES; i++)
		if (s->handle[i].used && s->handle[i].domid == domid && s->handle[i].pid != getpid() &&
		    kill(s->handle[i].pid, SIGKILL) == 0)
			n++;
	unlock(&s->lock);
	return n;
}

/* Guest memory and grants. */

static struct sim_guest *guest_map(struct sim_domain *d)
{
	struct sim_guest *g = calloc(1, sizeof(*g));
	uint16_t domid = d->domid;
	uint32_t gen = d->gen;
	char path[4096];

	if (!g)
		return NULL;
	g->domid = domid;
	g->gen = gen;
	g->domain = d;
	path_in_dir(path, "gnt.%u.%u", domid, gen);
	g->gnttab = map_shared_file(path, sizeof(*g->gnttab), gnttab_init, NULL);
	path_in_dir(path, "mem.%u.%u", domid, gen);
	if (g->gnttab)
		g->mem = map_shared_file(path, (size_t)SIM_GUEST_PAGES * SIM_PAGE, NULL, &g->mem_fd);
	if (!g->mem) {
		free(g);
		return NULL;
	}
	g->next = guests;
	guests = g;
	return g;
}

struct sim_guest *sim_guest_get(uint16_t domid)
{
	struct sim *s = sim_machine();
	struct sim_domain *d;
	struct sim_guest *g;

	if (!s)
		return NULL;
	for (g = guests; g; g = g->next)	/* without a lock: the list only grows, at its head */
		if (g->domid == domid && g->domain->present && g->domain->gen == g->gen)
			return g;
	lock(&s->lock);
	d = domain_find(s, domid);
	if (d) {
		pthread_mutex_lock(&process_lock);
		g = guest_map(d);
		pthread_mutex_unlock(&process_lock);
	}
	unlock(&s->lock);
	return d ? g : NULL;
}

int64_t sim_pages_alloc(struct sim_guest *g, uint32_t pages)
{
	int64_t first = -ENOMEM;

	lock(&g->gnttab->lock);
	if (g->gnttab->next_page + pages <= SIM_GUEST_PAGES) {
		first = g->gnttab->next_page;
		g->gnttab->next_page += pages;
	}
	unlock(&g->gnttab->lock);
	return first;
}

int64_t sim_grant_give(struct sim_guest *g, uint16_t to, uint32_t page, bool readonly)
{
	struct sim_gnttab *t = g->gnttab;
	uint32_t ref = SIM_NO_REF;

	lock(&t->lock);
	for (uint32_t i = 8; i < SIM_GRANTS; i++) {
		if (t->next_ref >= SIM_GRANTS)
			t->next_ref = 8;
		if (!t->grant[t->next_ref++].flags) {
			ref = t->next_ref - 1;
			break;
		}
	}
	if (ref != SIM_NO_REF) {
		t->grant[ref].domid = to;
		t->grant[ref].page = page;
		t->grant[ref].uses++;
		atomic_store(&t->grant[ref].flags, SIM_GRANT_TAKEN | SIM_GRANT_VALID |
			     (readonly ? SIM_GRANT_READONLY : 0));
	}
	unlock(&t->lock);
	return ref == SIM_NO_REF ? -ENOSPC : (int64_t)ref;
}

static bool grant_in_use(struct sim_guest *g, uint32_t ref)
{
	struct sim *s = machine;

	for (uint32_t i = 0; i < atomic_load(&s->pins_high); i++) {
		struct sim_pin *p = &s->pin[i];

		if (atomic_load(&p->ref) == ref && p->domid_gen == pin_key(g->domid, g->gen) && p->owner &&
		    owner_alive(p->owner - 1))
			return true;
	}
	return false;
}

int sim_grant_end(struct sim_guest *g, uint32_t ref)
{
	struct sim_grant *gr = &g->gnttab->grant[ref];

	if (ref >= SIM_GRANTS || !(atomic_load(&gr->flags) & SIM_GRANT_TAKEN))
		return -ENOENT;
	atomic_store(&gr->flags, SIM_GRANT_TAKEN);	/* not valid, not given out again before we know */
	if (grant_in_use(g, ref))
		return -EBUSY;
	atomic_store(&gr->flags, 0);
	return 0;
}

int sim_grant_revoke(struct sim_guest *g, uint32_t ref)
{
	if (ref >= SIM_GRANTS)
		return -ENOENT;
	atomic_store(&g->gnttab->grant[ref].flags, SIM_GRANT_TAKEN | SIM_GRANT_REVOKED);
	return 0;
}

/* Pins. */

static struct sim_pin *pin_new(struct sim *s)
{
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < SIM_PINS; i++) {
			uint32_t none = 0, high = s->pins_high;

			if (!atomic_compare_exchange_strong(&s->pin[i].owner, &none, owner_slot + 1))
				continue;
			while (high < i + 1 && !atomic_compare_exchange_weak(&s->pins_high, &high, i + 1))
				;
			return &s->pin[i];
		}
		for (uint32_t o = 0; o < SIM_OWNERS; o++)
			if (!owner_alive(o))
				pins_of_slot_free(s, o);
	}
	return NULL;
}

static int16_t grant_check(struct sim_grant *gr, uint16_t me, bool write)
{
	uint32_t f = atomic_load(&gr->flags);

	if (!(f & SIM_GRANT_VALID) || gr->domid != me || gr->page >= SIM_GUEST_PAGES)
		return GNTST_bad_gntref;
	if (write && (f & SIM_GRANT_READONLY))
		return GNTST_permission_denied;
	return GNTST_okay;
}

struct sim_pin *sim_pin_get(struct sim_pin *pin, uint16_t me, uint16_t domid, uint32_t ref, bool write,
			    struct sim_guest **guest, uint32_t *page, int16_t *status)
{
	struct sim *s = sim_machine();
	struct sim_guest *g = s ? sim_guest_get(domid) : NULL;
	struct sim_pin *given = pin;

	if (!g) {
		*status = GNTST_bad_domain;
		return NULL;
	}
	if (ref >= SIM_GRANTS) {
		*status = GNTST_bad_gntref;
		return NULL;
	}
	if (!pin && !(pin = pin_new(s))) {
		*status = GNTST_no_space;
		return NULL;
	}
	pin->map = !given;
	pin->domid_gen = pin_key(domid, g->gen);
	atomic_store(&pin->ref, ref);			/* invariant 2: first the pin ... */
	*status = grant_check(&g->gnttab->grant[ref], me, write);	/* ... then the grant */
	if (*status != GNTST_okay) {
		if (given)
			sim_pin_put(pin);
		else
			sim_pin_free(pin);
		return NULL;
	}
	*page = g->gnttab->grant[ref].page;
	*guest = g;
	return pin;
}

void sim_pin_put(struct sim_pin *pin)
{
	atomic_store(&pin->ref, SIM_NO_REF);
}

void sim_pin_free(struct sim_pin *pin)
{
	atomic_store(&pin->ref, SIM_NO_REF);
	atomic_store(&pin->owner, 0);
}

/* Event channels; the functions with _locked in their name are called under sim->lock. */

static void fifo_path(char path[4096], uint32_t handle, uint32_t gen)
{
	path_in_dir(path, "ev.%u.%u", handle, gen);
}

/*
 * Opened for both directions: a FIFO that lost its reader then swallows the word instead of raising SIGPIPE.
 */
static void write_fifo(struct sim *s, uint32_t port)
{
	const struct sim_port *p = &s->port[port];
	char path[4096];
	int fd;

	fifo_path(path, p->handle, s->handle[p->handle].gen);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, &port, sizeof(port)) == sizeof(port))
		s->stats.deliveries++;
	close(fd);
}

/* Xen would do this in one: a process that is killed in the middle must not leave a port that is masked and was never delivered. */
static void deliver_locked(struct sim *s, uint32_t port)
{
	struct sim_port *p = &s->port[port];

	s->delivering = port;
	p->pending = false;
	p->masked = true;
	p->delivered++;
	write_fifo(s, port);
	s->delivering = 0;
}

/* What a process that was killed had begun; twice is no harm. */
static void finish_delivery(struct sim *s)
{
	if (!s->delivering)
		return;
	write_fifo(s, s->delivering);
	s->delivering = 0;
}

static void raise_locked(struct sim *s, uint32_t port)
{
	struct sim_port *p = &s->port[port];

	finish_delivery(s);
	p->pending = true;
	if (!p->masked)
		deliver_locked(s, port);
}

static void port_close_locked(struct sim *s, uint32_t port)
{
	struct sim_port *p = &s->port[port];

	if (p->state == SIM_INTERDOMAIN) {
		struct sim_port *peer = &s->port[p->remote_port];

		peer->state = SIM_UNBOUND;
		peer->remote_domid = p->domid;
		peer->remote_port = 0;
	}
	memset(p, 0, sizeof(*p));
}

static void handle_close_locked(struct sim *s, uint32_t h)
{
	char path[4096];

	for (uint32_t i = 1; i < SIM_PORTS; i++)
		if (s->port[i].state != SIM_FREE && s->port[i].handle == h)
			port_close_locked(s, i);
	fifo_path(path, h, s->handle[h].gen);
	unlink(path);
	s->handle[h].used = false;
}

static bool handle_alive_locked(struct sim *s, uint32_t h)
{
	char path[4096];
	int fd;

	fifo_path(path, h, s->handle[h].gen);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno != ENXIO && errno != ENOENT;
	close(fd);
	return true;
}

static void reap_handles_locked(struct sim *s)
{
	for (uint32_t h = 0; h < SIM_HANDLES; h++)
		if (s->handle[h].used && !handle_alive_locked(s, h))
			handle_close_locked(s, h);
}

/* Numbers go round, so that a number that was closed comes again late. */
static uint32_t port_new_locked(struct sim *s, struct sim_evtchn *ev, enum sim_port_state state)
{
	for (uint32_t n = 1; n < SIM_PORTS; n++) {
		uint32_t i = s->next_port;

		s->next_port = i + 1 < SIM_PORTS ? i + 1 : 1;
		if (s->port[i].state != SIM_FREE)
			continue;
		s->port[i] = (struct sim_port){ .domid = s->handle[ev->handle].domid, .handle = ev->handle };
		s->port[i].state = (uint8_t)state;
		return i;
	}
	return 0;
}

/* The caller's own port, or NULL. */
static struct sim_port *port_of_locked(struct sim *s, struct sim_evtchn *ev, uint32_t port)
{
	if (port == 0 || port >= SIM_PORTS || s->port[port].state == SIM_FREE ||
	    s->port[port].handle != ev->handle)
		return NULL;
	return &s->port[port];
}

static int handle_new_locked(struct sim *s, struct sim_evtchn *ev, uint16_t domid, bool cloexec)
{
	for (uint32_t h = 0; h < SIM_HANDLES; h++) {
		struct sim_handle *hd = &s->handle[h];
		char path[4096];
		struct stat st;

		if (hd->used)
			continue;
		*hd = (struct sim_handle){ .domid = domid, .gen = s->next_gen++, .restricted_to = -1 };
		fifo_path(path, h, hd->gen);
		if (mkfifo(path, 0600) < 0)
			return -errno;
		ev->fd = open(path, O_RDWR | (cloexec ? O_CLOEXEC : 0));
		if (ev->fd < 0 || fstat(ev->fd, &st) < 0)
			return -errno;
		hd->ino = st.st_ino;
		hd->pid = getpid();
		hd->used = true;
		ev->handle = h;
		return 0;
	}
	return -EMFILE;
}

int sim_evtchn_open(struct sim_evtchn *ev, uint16_t domid, bool cloexec)
{
	struct sim *s = sim_machine();
	int rc;

	if (!s)
		return -errno;
	lock(&s->lock);
	rc = handle_new_locked(s, ev, domid, cloexec);
	if (rc == -EMFILE) {
		reap_handles_locked(s);
		rc = handle_new_locked(s, ev, domid, cloexec);
	}
	unlock(&s->lock);
	return rc;
}

int sim_evtchn_fdopen(struct sim_evtchn *ev, int fd)
{
	struct sim *s = sim_machine();
	struct stat st;
	int rc = -EBADF;

	if (!s || fstat(fd, &st) < 0)
		return -errno;
	lock(&s->lock);
	for (uint32_t h = 0; h < SIM_HANDLES; h++)
		if (s->handle[h].used && s->handle[h].ino == st.st_ino) {
			s->handle[h].pid = getpid();
			ev->fd = fd;
			ev->handle = h;
			rc = 0;
		}
	unlock(&s->lock);
	return rc;
}

void sim_evtchn_close(struct sim_evtchn *ev)
{
	struct sim *s = sim_machine();

	if (!s)
		return;
	lock(&s->lock);
	handle_close_locked(s, ev->handle);
	unlock(&s->lock);
	close(ev->fd);
}

int sim_evtchn_restrict(struct sim_evtchn *ev, uint16_t domid)
{
	struct sim *s = sim_machine();
	int rc = 0;

	lock(&s->lock);
	if (s->handle[ev->handle].restricted_to >= 0)
		rc = -EACCES;
	else
		s->handle[ev->handle].restricted_to = domid;
	unlock(&s->lock);
	return rc;
}

static bool may_bind_locked(struct sim *s, struct sim_evtchn *ev, uint16_t remote)
{
	int32_t only = s->handle[ev->handle].restricted_to;

	return only < 0 || only == remote;
}

int sim_evtchn_alloc(struct sim_evtchn *ev, uint16_t remote_domid)
{
	struct sim *s = sim_machine();
	uint32_t port;
	int rc = -EACCES;

	lock(&s->lock);
	if (!may_bind_locked(s, ev, remote_domid))
		goto out;
	port = port_new_locked(s, ev, SIM_UNBOUND);
	s->port[port].remote_domid = remote_domid;
	rc = port ? (int)port : -ENOSPC;
out:
	unlock(&s->lock);
	return rc;
}

/* The remote end must be an unbound port of that domain which waits for ours. */
static int remote_check_locked(struct sim *s, uint16_t me, uint16_t remote_domid, uint32_t remote_port)
{
	struct sim_port *r;

	if (!domain_find(s, remote_domid))
		return -ESRCH;
	if (remote_port == 0 || remote_port >= SIM_PORTS)
		return -EINVAL;
	r = &s->port[remote_port];
	if (r->domid != remote_domid || r->state != SIM_UNBOUND || r->remote_domid != me)
		return -EINVAL;
	return 0;
}

int sim_evtchn_bind(struct sim_evtchn *ev, uint16_t remote_domid, uint32_t remote_port)
{
	struct sim *s = sim_machine();
	struct sim_port *r;
	uint32_t port;
	uint16_t me;
	int rc = -EACCES;

	lock(&s->lock);
	me = s->handle[ev->handle].domid;
	if (!may_bind_locked(s, ev, remote_domid))
		goto out;
	rc = remote_check_locked(s, me, remote_domid, remote_port);
	if (rc == -EINVAL) {
		reap_handles_locked(s);
		rc = remote_check_locked(s, me, remote_domid, remote_port);
	}
	if (rc < 0)
		goto out;
	port = port_new_locked(s, ev, SIM_INTERDOMAIN);
	if (!port) {
		rc = -ENOSPC;
		goto out;
	}
	s->port[port].remote_domid = remote_domid;
	s->port[port].remote_port = remote_port;
	r = &s->port[remote_port];
	r->state = SIM_INTERDOMAIN;
	r->remote_port = port;
	raise_locked(s, port);		/* what was sent before is lost, so Xen marks the new port pending */
	rc = (int)port;
out:
	unlock(&s->lock);
	return rc;
}

int sim_evtchn_virq(struct sim_evtchn *ev, uint32_t virq)
{
	struct sim *s = sim_machine();
	uint32_t port = 0;
	int rc = -EACCES;

	lock(&s->lock);
	if (s->handle[ev->handle].restricted_to >= 0)
		goto out;
	port = port_new_locked(s, ev, SIM_VIRQ);
	s->port[port].remote_port = virq;
	rc = port ? (int)port : -ENOSPC;
out:
	unlock(&s->lock);
	return rc;
}

int sim_evtchn_unbind(struct sim_evtchn *ev, uint32_t port)
{
	struct sim *s = sim_machine();
	struct sim_port *p;

	lock(&s->lock);
	p = port_of_locked(s, ev, port);
	if (p)
		port_close_locked(s, port);
	unlock(&s->lock);
	return p ? 0 : -ENOTCONN;
}

/* Of a port that is masked and pending already: whoever unmasks it sees what was done before this. Without the lock, as in Xen: a guest that
 * sends all the time keeps nobody else from sending. */
static bool pending_anyway(struct sim *s, struct sim_evtchn *ev, uint32_t port)
{
	const struct sim_port *p, *remote;

	atomic_thread_fence(memory_order_seq_cst);
	if (port == 0 || port >= SIM_PORTS)
		return false;
	p = &s->port[port];
	remote = &s->port[p->remote_port < SIM_PORTS ? p->remote_port : 0];
	return p->state == SIM_INTERDOMAIN && p->handle == ev->handle && remote->state == SIM_INTERDOMAIN && remote->remote_port == port &&
	       *(const volatile bool *)&remote->masked && *(const volatile bool *)&remote->pending;
}

/* A send on a port whose other end is gone is dropped without an error, as Xen does. */
int sim_evtchn_send(struct sim_evtchn *ev, uint32_t port)
{
	struct sim *s = sim_machine();
	struct sim_port *p;

	if (pending_anyway(s, ev, port))
		return 0;
	lock(&s->lock);
	p = port_of_locked(s, ev, port);
	if (p && p->state == SIM_INTERDOMAIN)
		raise_locked(s, p->remote_port);
	s->stats.sends++;
	unlock(&s->lock);
	return p ? 0 : -ENOTCONN;
}

int sim_evtchn_unmask(struct sim_evtchn *ev, uint32_t port)
{
	struct sim *s = sim_machine();
	struct sim_port *p;

	lock(&s->lock);
	p = port_of_locked(s, ev, port);
	if (p && p->masked) {
		p->masked = false;
		if (p->pending)
			deliver_locked(s, port);
	}
	unlock(&s->lock);
	return p ? 0 : -ENOTCONN;
}

void sim_virq_raise(uint32_t virq)
{
	struct sim *s = sim_machine();

	lock(&s->lock);
	for (uint32_t i = 1; i < SIM_PORTS; i++)
		if (s->port[i].state == SIM_VIRQ && s->port[i].remote_port == virq)
			raise_locked(s, i);
	unlock(&s->lock);
}

void sim_holdings(uint16_t domid, unsigned *mapped, unsigned *ports, unsigned *handles)
{
	struct sim *s = sim_machine();

	*mapped = *ports = *handles = 0;
	if (!s)
		return;
	lock(&s->lock);
	reap_handles_locked(s);
	for (uint32_t i = 0; i < s->pins_high; i++)
		*mapped += s->pin[i].owner && s->pin[i].map && s->pin[i].ref != SIM_NO_REF && owner_alive(s->pin[i].owner - 1);
	for (uint32_t i = 1; i < SIM_PORTS; i++)
		*ports += s->port[i].state != SIM_FREE && s->port[i].domid == domid;
	for (uint32_t i = 0; i < SIM_HANDLES; i++)
		*handles += s->handle[i].used && s->handle[i].domid == domid;
	unlock(&s->lock);
}

/* The pages that somebody still maps live on as files without a name until the last mapping goes. */
int sim_domain_destroy(uint16_t domid)
{
	struct sim *s = sim_machine();
	struct sim_domain *d;
	char path[4096];
	uint32_t gen = 0;

	if (!s || !domid)
		return -EINVAL;
	lock(&s->lock);
	d = domain_find(s, domid);
	if (d) {
		gen = d->gen;
		d->present = false;
		for (uint32_t h = 0; h < SIM_HANDLES; h++)
			if (s->handle[h].used && s->handle[h].domid == domid)
				handle_close_locked(s, h);
	}
	unlock(&s->lock);
	if (!d)
		return -ESRCH;
	path_in_dir(path, "gnt.%u.%u", domid, gen);
	unlink(path);
	path_in_dir(path, "mem.%u.%u", domid, gen);
	unlink(path);
	sim_virq_raise(VIRQ_DOM_EXC);
	return 0;
}
