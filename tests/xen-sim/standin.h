/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Xen without a hypervisor: the machine that the stand-ins share.
 *
 * One directory (environment variable DRBDX_XEN_SIM) is one simulated host. In it:
 *
 *	machine		struct sim: domains, event channel ports, handles, pins; mapped by every process
 *	owners		byte n is record-locked by the process that owns slot n: the kernel tells who is dead
 *	gnt.D.G		grant table of domain D (G: generation, because a domid may be used again)
 *	mem.D.G		memory of domain D, a sparse file
 *	ev.N.G		FIFO of event channel handle N; its content is the list of delivered ports
 *
 * Users: standin.c (the preloaded libxengnttab, libxenevtchn, ... of domain 0) and blkfront-sim (the guests).
 *
 * Invariants
 *  1. All but grants and pins is changed under sim->lock, a robust mutex, and is consistent at every
 *     instruction at which a process may be killed, except that a port or a pin may leak until its owner is
 *found dead.
 *  2. A grant is used only while an active pin names it. The user publishes the pin, then looks at the grant;
 *     the granter ends the grant, then looks at the pins. So one of the two sees the other (both sides have a
 *     full barrier between).
 *  3. A port that was delivered is masked until it is unmasked, so a FIFO holds each port at most once.
 */
#ifndef TESTS_XEN_SIM_STANDIN_H
#define TESTS_XEN_SIM_STANDIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_ENV		"DRBDX_XEN_SIM"
#define SIM_MAGIC	0x73696d34u
#define SIM_PAGE	4096u
#define SIM_DOMAINS	64u
#define SIM_PORTS	1024u
#define SIM_HANDLES	256u
#define SIM_OWNERS	256u
#define SIM_PINS	8192u
#define SIM_GRANTS	65536u
#define SIM_GUEST_PAGES	(1u << 20)	/* 4 GiB, sparse */
#define SIM_NO_REF	UINT32_MAX

enum sim_port_state { SIM_FREE, SIM_UNBOUND, SIM_INTERDOMAIN, SIM_VIRQ };

struct sim_port {
	uint8_t state;			/* enum sim_port_state */
	bool pending;			/* raised and not yet delivered */
	bool masked;			/* delivered and not yet unmasked */
	uint16_t domid;			/* whose port this is */
	uint16_t remote_domid;
	uint32_t remote_port;		/* SIM_INTERDOMAIN; for SIM_VIRQ the number of the virq */
	uint32_t handle;
	uint32_t delivered;		/* how often */
};

struct sim_handle {
	bool used;
	uint16_t domid;
	int32_t restricted_to;		/* domid, or -1 */
	int32_t pid;			/* who opened it: only to end a guest's processes */
	uint32_t gen;
	uint64_t ino;			/* of the FIFO, to find the handle of a descriptor */
};

struct sim_domain {
	bool present;
	bool dying;
	uint16_t domid;
	uint32_t gen;
	uint32_t shutdown;		/* 0: runs; else 1 + SHUTDOWN_* */
};

/* A use of a grant by a process: a mapped page, or the copy that a thread is just doing. */
struct sim_pin {
	_Atomic uint32_t owner;		/* slot + 1, 0: free */
	_Atomic uint32_t domid_gen;	/* domid << 16 | low bits of its generation */
	_Atomic uint32_t ref;		/* SIM_NO_REF: not active */
	uint32_t map;			/* 1 for a mapping, 0 for a copy */
};

struct sim_stats {
	_Atomic uint64_t maps, copies, copy_errors, sends, deliveries;
};

struct sim {
	uint32_t magic, size;
	pthread_mutex_t lock;
	uint32_t next_gen, next_port;
	_Atomic uint32_t delivering;	/* a port whose delivery has begun, 0: none */
	_Atomic uint32_t pins_high;	/* no pin at or above it was ever used */
	struct sim_domain domain[SIM_DOMAINS];
	struct sim_port port[SIM_PORTS]; /* port 0 is never used; numbers are unique over all domains */
	struct sim_handle handle[SIM_HANDLES];
	struct sim_pin pin[SIM_PINS];
	struct sim_stats stats;
};

enum { SIM_GRANT_VALID = 1, SIM_GRANT_READONLY = 2, SIM_GRANT_REVOKED = 4, SIM_GRANT_TAKEN = 8 };

struct sim_grant {
	_Atomic uint32_t flags;
	uint32_t domid;			/* to whom */
	uint32_t page;
	uint32_t uses;			/* how often it was handed out, for diagnosis */
};

struct sim_gnttab {
	pthread_mutex_t lock;
	uint32_t next_ref, next_page;
	struct sim_grant grant[SIM_GRANTS];
};

/* A domain's memory and grant table as mapped into this process; never unmapped while the process lives. */
struct sim_guest {
	uint16_t domid;
	uint32_t gen;
	struct sim_domain *domain;
	struct sim_gnttab *gnttab;
	uint8_t *mem;
	int mem_fd;
	struct sim_guest *next;
};

/* All return 0 or a negative errno unless said otherwise. */

struct sim *sim_machine(void);		/* NULL and errno if the directory cannot be used */

int sim_domain_create(uint16_t domid);	/* -EEXIST if it is there */
int sim_domain_destroy(uint16_t domid);
int sim_domain_shutdown(uint16_t domid, uint32_t shutdown);
bool sim_domain_get(uint16_t domid, struct sim_domain *copy);
unsigned sim_domain_pins(uint16_t domid);	/* of living processes: what would make the domain a zombie */
/* What living processes of a domain have: pages of others that they map, ports, handles. */
void sim_holdings(uint16_t domid, unsigned *mapped, unsigned *ports, unsigned *handles);
int sim_domain_kill_processes(
	uint16_t domid); /* SIGKILL to all that have event channels of it: number of them */

struct sim_guest *sim_guest_get(uint16_t domid);	/* NULL: no such domain */
int64_t sim_pages_alloc(struct sim_guest *g, uint32_t pages);	/* first page number, or a negative errno */
static inline void *sim_page(struct sim_guest *g, uint32_t page)
{
	return g->mem + (size_t)page * SIM_PAGE;
}

int64_t sim_grant_give(struct sim_guest *g, uint16_t to, uint32_t page, bool readonly);	/* ref, or -ENOSPC */
int sim_grant_end(struct sim_guest *g, uint32_t ref);	/* -EBUSY: ended, but somebody still uses it */
int sim_grant_revoke(struct sim_guest *g, uint32_t ref); /* the ref stays taken, and fails from now on */

/*
 * Start to use a grant: as 'me', for writing or reading. On success *status is 0 (GNTST_okay), *page points
 * to the page and the result is the pin; else NULL and *status is a GNTST_* code. pin: one to use again (a
 * copy), or NULL for a new one.
 */
struct sim_pin *sim_pin_get(struct sim_pin *pin, uint16_t me, uint16_t domid, uint32_t ref, bool write,
			    struct sim_guest **guest, uint32_t *page, int16_t *status);
void sim_pin_put(struct sim_pin *pin);		/* inactive, stays ours */
void sim_pin_free(struct sim_pin *pin);

struct sim_evtchn {
	int fd;			/* readable while a port was delivered; reads give 4-byte port numbers */
	uint32_t handle;
};

int sim_evtchn_open(struct sim_evtchn *ev, uint16_t domid, bool cloexec);
int sim_evtchn_fdopen(struct sim_evtchn *ev, int fd);
void sim_evtchn_close(struct sim_evtchn *ev);		/* its ports, too */
int sim_evtchn_restrict(struct sim_evtchn *ev, uint16_t domid);
int sim_evtchn_alloc(struct sim_evtchn *ev, uint16_t remote_domid);	/* port, or a negative errno */
int sim_evtchn_bind(struct sim_evtchn *ev, uint16_t remote_domid, uint32_t remote_port); /* port or -errno */
int sim_evtchn_virq(struct sim_evtchn *ev, uint32_t virq);	/* port or -errno */
int sim_evtchn_unbind(struct sim_evtchn *ev, uint32_t port);
int sim_evtchn_send(struct sim_evtchn *ev, uint32_t port);
int sim_evtchn_unmask(struct sim_evtchn *ev, uint32_t port);
void sim_virq_raise(uint32_t virq);

#endif
