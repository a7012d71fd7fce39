/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library to preload (LD_PRELOAD) into programs of a simulated domain 0: it stands in for libxengnttab,
 * libxenevtchn and, as far as oxenstored and a look at the list of domains need it, libxencall, libxenctrl,
 * libxenforeignmemory and libxendevicemodel. The program that runs on it is the shipped one. What these calls
 * promise, and the errors they give, is as in Xen 4.17 and Linux' gntdev and evtchn drivers; where
 * DRBDX_XEN_SIM is not set they fail like a host without /dev/xen.
 *
 * A daemon may be told to die in one of these calls (death.c), and its disks to fail (faults.c).
 *
 * Not modelled: dma-buf, the notification of a mapping when the process that made it is killed (only on unmap
 * and close).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/sysctl.h>
#include <xen/version.h>
#include <xencall.h>
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#include "death.h"
#include "standin.h"

#define DOM0 0
#define COPY_BATCH 16		/* copies that gntdev hands to Xen at once */

/* libxengnttab */

struct mapping {
	struct mapping *next;
	uint8_t *addr;
	uint32_t count;
	uint32_t notify_offset;	/* UINT32_MAX: none */
	uint32_t notify_port;	/* UINT32_MAX: none */
	struct sim_pin *pin[];
};

struct xengntdev_handle {
	int fd;
	uint32_t max_grants;	/* 0: no limit */
	uint32_t mapped;
	pthread_mutex_t lock;
	struct mapping *mappings;
};

static int fail(int rc)
{
	errno = -rc;
	return -1;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
	xengnttab_handle *h;

	(void)logger;
	(void)flags;
	if (!sim_machine())
		return NULL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

static void port_notify(uint32_t port);

static void mapping_drop(struct mapping *m)
{
	if (m->notify_offset != UINT32_MAX)
		m->addr[m->notify_offset] = 0;
	if (m->notify_port != UINT32_MAX)
		port_notify(m->notify_port);
	munmap(m->addr, (size_t)m->count * SIM_PAGE);
	for (uint32_t i = 0; i < m->count; i++)
		if (m->pin[i])
			sim_pin_free(m->pin[i]);
	free(m);
}

int xengnttab_close(xengnttab_handle *h)
{
	if (!h)
		return 0;
	while (h->mappings) {
		struct mapping *m = h->mappings;

		h->mappings = m->next;
		mapping_drop(m);
	}
	close(h->fd);
	pthread_mutex_destroy(&h->lock);
	free(h);
	return 0;
}

int xengnttab_fd(xengnttab_handle *h)
{
	return h->fd;
}

int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t nr_grants)
{
	h->max_grants = nr_grants;
	return 0;
}

/* One page of a mapping; a negative errno. */
static int map_page(struct mapping *m, uint32_t i, uint32_t domid, uint32_t ref, int prot)
{
	struct sim_guest *g;
	uint32_t page;
	int16_t status;

	if (domid > UINT16_MAX)
		return -EINVAL;
	m->pin[i] = sim_pin_get(NULL, DOM0, (uint16_t)domid, ref, prot & PROT_WRITE, &g, &page, &status);
	if (!m->pin[i])
		return -EINVAL;		/* gntdev gives this for any status of a map */
	if (mmap(m->addr + (size_t)i * SIM_PAGE, SIM_PAGE, prot, MAP_SHARED | MAP_FIXED, g->mem_fd,
		 (off_t)page * SIM_PAGE) == MAP_FAILED)
		return -errno;
	return 0;
}

static struct mapping *mapping_new(xengnttab_handle *h, uint32_t count)
{
	struct mapping *m;

	if (count == 0 || count > SIM_PINS || (h->max_grants && h->mapped + count > h->max_grants)) {
		errno = count ? ENOMEM : EINVAL;
		return NULL;
	}
	m = calloc(1, sizeof(*m) + count * sizeof(m->pin[0]));
	if (!m)
		return NULL;
	m->count = count;
	m->notify_offset = m->notify_port = UINT32_MAX;
	m->addr = mmap(NULL, (size_t)count * SIM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->addr == MAP_FAILED) {
		free(m);
		return NULL;
	}
	return m;
}

/* domid_step is 0 for one domain, 1 for an array of them. */
static void *map_refs(xengnttab_handle *h, uint32_t count, const uint32_t *domids, int domid_step,
		      const uint32_t *refs, int prot, uint32_t notify_offset, uint32_t notify_port)
{
	struct mapping *m = mapping_new(h, count);
	int rc = 0;

	if (!m)
		return NULL;
	die_before("map");
	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = map_page(m, i, domids[i * (uint32_t)domid_step], refs[i], prot);
	if (rc < 0) {
		mapping_drop(m);
		errno = -rc;
		return NULL;
	}
	m->notify_offset = notify_offset;
	m->notify_port = notify_port;
	pthread_mutex_lock(&h->lock);
	m->next = h->mappings;
	h->mappings = m;
	h->mapped += count;
	pthread_mutex_unlock(&h->lock);
	sim_machine()->stats.maps += count;
	die_after("map");
	return m->addr;
}

void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot)
{
	return map_refs(h, 1, &domid, 0, &ref, prot, UINT32_MAX, UINT32_MAX);
}

void *xengnttab_map_grant_refs(xengnttab_handle *h, uint32_t count, uint32_t *domids, uint32_t *refs,
			       int prot)
{
	return map_refs(h, count, domids, 1, refs, prot, UINT32_MAX, UINT32_MAX);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *h, uint32_t count, uint32_t domid, uint32_t *refs,
				      int prot)
{
	return map_refs(h, count, &domid, 0, refs, prot, UINT32_MAX, UINT32_MAX);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot,
				     uint32_t offset, evtchn_port_t port)
{
	if (offset != UINT32_MAX && (offset >= SIM_PAGE || !(prot & PROT_WRITE))) {
		errno = EINVAL;
		return NULL;
	}
	return map_refs(h, 1, &domid, 0, &ref, prot, offset, port);
}

/* Only a whole mapping can be undone. */
int xengnttab_unmap(xengnttab_handle *h, void *start, uint32_t count)
{
	struct mapping **prev, *m;

	pthread_mutex_lock(&h->lock);
	for (prev = &h->mappings; (m = *prev); prev = &m->next)
		if (m->addr == start)
			break;
	if (m && m->count == count) {
		*prev = m->next;
		h->mapped -= count;
	} else {
		m = NULL;
	}
	pthread_mutex_unlock(&h->lock);
	if (!m)
		return fail(-EINVAL);
	mapping_drop(m);
	return 0;
}

/* The two grants that this thread may be copying between. */
static __thread struct sim_pin *copy_pin[2];
static __thread struct sim *copy_pin_machine;
static pthread_key_t copy_pin_key;
static pthread_once_t copy_pin_once = PTHREAD_ONCE_INIT;

static void copy_pins_free(void *unused)
{
	(void)unused;
	for (int i = 0; i < 2; i++)
		if (copy_pin[i] && copy_pin_machine == sim_machine())
			sim_pin_free(copy_pin[i]);
	copy_pin[0] = copy_pin[1] = NULL;
}

static void copy_pin_key_create(void)
{
	pthread_key_create(&copy_pin_key, copy_pins_free);
}

/* One side of a copy: an address, or NULL with *status set. */
static uint8_t *copy_side(int side, bool foreign, union xengnttab_copy_ptr *p, uint16_t len, int16_t *status)
{
	struct sim_guest *g;
	struct sim_pin *pin;
	uint32_t page;

	if (!foreign)
		return p->virt;
	if (p->foreign.offset + len > SIM_PAGE) {
		*status = GNTST_bad_copy_arg;
		return NULL;
	}
	pin = sim_pin_get(copy_pin[side], DOM0, p->foreign.domid, p->foreign.ref, side == 1, &g, &page,
			  status);
	if (!pin)
		return NULL;
	copy_pin[side] = pin;
	pin->map = 0;
	return (uint8_t *)sim_page(g, page) + p->foreign.offset;
}

static void copy_one(xengnttab_grant_copy_segment_t *seg)
{
	int16_t status = GNTST_okay;
	uint8_t *src, *dst = NULL;

	src = copy_side(0, seg->flags & GNTCOPY_source_gref, &seg->source, seg->len, &status);
	if (status == GNTST_okay)
		dst = copy_side(1, seg->flags & GNTCOPY_dest_gref, &seg->dest, seg->len, &status);
	if (status == GNTST_okay)
		memcpy(dst, src, seg->len);
	else
		sim_machine()->stats.copy_errors++;
	for (int i = 0; i < 2; i++)
		if (copy_pin[i])
			sim_pin_put(copy_pin[i]);
	seg->status = status;
}

/*
 * gntdev refuses a copy that crosses a granted page with EINVAL, and with it the batch that it is in and all
 * later ones.
 */
static bool copy_acceptable(const xengnttab_grant_copy_segment_t *seg)
{
	if ((seg->flags & GNTCOPY_source_gref) && seg->source.foreign.offset + seg->len > SIM_PAGE)
		return false;
	if ((seg->flags & GNTCOPY_dest_gref) && seg->dest.foreign.offset + seg->len > SIM_PAGE)
		return false;
	return true;
}

int xengnttab_grant_copy(xengnttab_handle *h, uint32_t count, xengnttab_grant_copy_segment_t *segs)
{
	struct sim *s = sim_machine();

	(void)h;
	die_before("copy");
	pthread_once(&copy_pin_once, copy_pin_key_create);
	pthread_setspecific(copy_pin_key, s);
	if (copy_pin_machine != s)
		copy_pin[0] = copy_pin[1] = NULL;
	copy_pin_machine = s;
	for (uint32_t first = 0; first < count; first += COPY_BATCH) {
		uint32_t end = count - first < COPY_BATCH ? count : first + COPY_BATCH;

		for (uint32_t i = first; i < end; i++)
			if (!copy_acceptable(&segs[i]))
				return fail(-EINVAL);
		for (uint32_t i = first; i < end; i++)
			copy_one(&segs[i]);
	}
	s->stats.copies += count;
	die_after("copy");
	return 0;
}

/* libxenevtchn */

struct xenevtchn_handle {
	struct sim_evtchn ev;
	struct xenevtchn_handle *next;
};

static struct xenevtchn_handle *evtchn_handles;
static pthread_mutex_t evtchn_lock = PTHREAD_MUTEX_INITIALIZER;

static xenevtchn_handle *evtchn_new(int fd, bool cloexec)
{
	xenevtchn_handle *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return NULL;
	rc = fd < 0 ? sim_evtchn_open(&h->ev, DOM0, cloexec) : sim_evtchn_fdopen(&h->ev, fd);
	if (rc < 0) {
		free(h);
		errno = -rc;
		return NULL;
	}
	pthread_mutex_lock(&evtchn_lock);
	h->next = evtchn_handles;
	evtchn_handles = h;
	pthread_mutex_unlock(&evtchn_lock);
	return h;
}

/* A send on whichever handle of this process has the port, as for the notification of an unmap. */
static void port_notify(uint32_t port)
{
	pthread_mutex_lock(&evtchn_lock);
	for (xenevtchn_handle *h = evtchn_handles; h; h = h->next)
		if (sim_evtchn_send(&h->ev, port) == 0)
			break;
	pthread_mutex_unlock(&evtchn_lock);
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
	(void)logger;
	if (flags & ~XENEVTCHN_NO_CLOEXEC) {
		errno = EINVAL;
		return NULL;
	}
	return evtchn_new(-1, !(flags & XENEVTCHN_NO_CLOEXEC));
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned flags)
{
	(void)logger;
	if (flags) {
		errno = EINVAL;
		return NULL;
	}
	return evtchn_new(fd, false);
}

int xenevtchn_close(xenevtchn_handle *h)
{
	xenevtchn_handle **p;

	if (!h)
		return 0;
	pthread_mutex_lock(&evtchn_lock);
	for (p = &evtchn_handles; *p; p = &(*p)->next)
		if (*p == h) {
			*p = h->next;
			break;
		}
	pthread_mutex_unlock(&evtchn_lock);
	sim_evtchn_close(&h->ev);
	free(h);
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	return h->ev.fd;
}

static int evtchn_result(int rc)
{
	return rc < 0 ? fail(rc) : rc;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	int rc;

	die_before("notify");
	rc = sim_evtchn_send(&h->ev, port);
	die_after("notify");
	return evtchn_result(rc);
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *h, uint32_t domid)
{
	return evtchn_result(sim_evtchn_alloc(&h->ev, (uint16_t)domid));
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
						     evtchn_port_t remote)
{
	int rc;

	die_before("bind");
	rc = sim_evtchn_bind(&h->ev, (uint16_t)domid, remote);
	die_after("bind");
	return evtchn_result(rc);
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned int virq)
{
	return evtchn_result(sim_evtchn_virq(&h->ev, virq));
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	return evtchn_result(sim_evtchn_unbind(&h->ev, port));
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	evtchn_port_t port;
	ssize_t n = read(h->ev.fd, &port, sizeof(port));

	if (n < 0)
		return -1;
	if (n != sizeof(port))
		return fail(-EIO);
	return (int)port;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	int rc;

	die_before("unmask");
	rc = sim_evtchn_unmask(&h->ev, port);
	die_after("unmask");
	return evtchn_result(rc);
}

int xenevtchn_restrict(xenevtchn_handle *h, domid_t domid)
{
	return evtchn_result(sim_evtchn_restrict(&h->ev, domid));
}

/* libxencall: the version, and the list of domains. */

struct xencall_handle {
	int fd;
};

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned flags)
{
	xencall_handle *h;

	(void)logger;
	(void)flags;
	if (!sim_machine())
		return NULL;
	h = calloc(1, sizeof(*h));
	if (h)
		h->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return h;
}

int xencall_close(xencall_handle *h)
{
	if (!h)
		return 0;
	close(h->fd);
	free(h);
	return 0;
}

int xencall_fd(xencall_handle *h)
{
	return h->fd;
}

void *xencall_alloc_buffer_pages(xencall_handle *h, size_t pages)
{
	(void)h;
	return aligned_alloc(SIM_PAGE, pages * SIM_PAGE);
}

void xencall_free_buffer_pages(xencall_handle *h, void *p, size_t pages)
{
	(void)h;
	(void)pages;
	free(p);
}

void *xencall_alloc_buffer(xencall_handle *h, size_t size)
{
	return xencall_alloc_buffer_pages(h, (size + SIM_PAGE - 1) / SIM_PAGE);
}

void xencall_free_buffer(xencall_handle *h, void *p)
{
	(void)h;
	free(p);
}

int xencall_buffers_never_fault(xencall_handle *h)
{
	(void)h;
	return 1;
}

static void domain_info(const struct sim_domain *d, xen_domctl_getdomaininfo_t *info)
{
	memset(info, 0, sizeof(*info));
	info->domain = d->domid;
	info->flags = d->shutdown ? XEN_DOMINF_shutdown | (d->shutdown - 1) << XEN_DOMINF_shutdownshift
				  : XEN_DOMINF_running;
	if (d->dying)
		info->flags |= XEN_DOMINF_dying;
	info->tot_pages = info->max_pages = SIM_GUEST_PAGES;
	info->nr_online_vcpus = 1;
}

/* In the order of their numbers, from first_domain on. */
static int list_domains(struct xen_sysctl_getdomaininfolist *l)
{
	xen_domctl_getdomaininfo_t *out = l->buffer.p;
	struct sim_domain d;

	l->num_domains = 0;
	for (uint32_t id = l->first_domain; id < DOMID_FIRST_RESERVED && l->num_domains < l->max_domains;
	     id++)
		if ((id < 256 || id == l->first_domain) && sim_domain_get((uint16_t)id, &d))
			domain_info(&d, &out[l->num_domains++]);
	return 0;
}

/* libxenctrl: the list of domains alone. The daemon finds these instead of opening the library. */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger,
				unsigned open_flags)
{
	(void)logger;
	(void)dombuild_logger;
	(void)open_flags;
	return sim_machine() ? (xc_interface *)xencall_open(NULL, 0) : NULL;
}

int xc_interface_close(xc_interface *xch)
{
	return xencall_close((xencall_handle *)xch);
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain, unsigned int max_domains,
			  xc_domaininfo_t *info)
{
	struct xen_sysctl_getdomaininfolist list = {
		.first_domain = (domid_t)first_domain, .max_domains = max_domains, .buffer.p = info,
	};

	(void)xch;
	list_domains(&list);
	return (int)list.num_domains;
}

int xencall1(xencall_handle *h, unsigned int op, uint64_t arg)
{
	xen_sysctl_t *ctl = (xen_sysctl_t *)(uintptr_t)arg;

	(void)h;
	if (op == __HYPERVISOR_sysctl && ctl->cmd == XEN_SYSCTL_getdomaininfolist)
		return list_domains(&ctl->u.getdomaininfolist);
	return fail(-ENOSYS);
}

int xencall2(xencall_handle *h, unsigned int op, uint64_t arg1, uint64_t arg2)
{
	(void)h;
	(void)arg2;
	if (op == __HYPERVISOR_xen_version && arg1 == XENVER_version)
		return 4 << 16 | 17;
	return fail(-ENOSYS);
}

int xencall0(xencall_handle *h, unsigned int op)
{
	return xencall2(h, op, UINT64_MAX, 0);
}

int xencall3(xencall_handle *h, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
	(void)arg3;
	return xencall2(h, op, arg1, arg2);
}

int xencall4(xencall_handle *h, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4)
{
	(void)arg4;
	return xencall3(h, op, arg1, arg2, arg3);
}

int xencall5(xencall_handle *h, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4,
	     uint64_t arg5)
{
	(void)arg5;
	return xencall4(h, op, arg1, arg2, arg3, arg4);
}

long xencall2L(xencall_handle *h, unsigned int op, uint64_t arg1, uint64_t arg2)
{
	return xencall2(h, op, arg1, arg2);
}

/*
 * libxenforeignmemory, libxendevicemodel: oxenstored maps a guest's xenstore ring, which our guests do not
 * use.
 */

static int no_driver;

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger, unsigned flags)
{
	(void)logger;
	(void)flags;
	return sim_machine() ? (xenforeignmemory_handle *)&no_driver : NULL;
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	(void)h;
	return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t dom, int prot, size_t pages,
			   const xen_pfn_t *arr, int *err)
{
	void *p = mmap(NULL, pages * SIM_PAGE, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)h;
	(void)dom;
	(void)arr;
	if (err)
		memset(err, 0, pages * sizeof(*err));
	return p == MAP_FAILED ? NULL : p;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *addr, size_t pages)
{
	(void)h;
	return munmap(addr, pages * SIM_PAGE);
}

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger, unsigned flags)
{
	(void)logger;
	(void)flags;
	return sim_machine() ? (xendevicemodel_handle *)&no_driver : NULL;
}

int xendevicemodel_close(xendevicemodel_handle *h)
{
	(void)h;
	return 0;
}

/* oxenstored raises its limit of open files and gives up if it may not. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	int (*real)(__rlimit_resource_t, const struct rlimit *) = dlsym(RTLD_NEXT, "setrlimit");
	int r = real(resource, limit);

	if (r < 0 && errno == EPERM && !strcmp(program_invocation_short_name, "oxenstored"))
		return 0;
	return r;
}
