/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring-fake.h: a guest in this process: its memory, its half of the ring, and the Xen libraries as ring.c
 * sees them
 *
 * The functions of libxengnttab and libxenevtchn are defined here, which overrides the libraries at link
 * time. The fake is strict: a copy that crosses a page on either side, a status that was not preset to an error, a
 * port that is not bound or a handle used after its end fails the test.
 */
#ifndef DRBDX_TESTS_RING_FAKE_H
#define DRBDX_TESTS_RING_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "backend/gate.h"
#include "backend/inflight.h"
#include "backend/pool.h"
#include "backend/ring.h"

#define DOMID 7u
#define PAGE 4096u
#define RING_REF 16u			/* of the first ring page */
#define DATA_REF 1000u			/* of the first data page */
#define DATA_PAGES 4096u
#define GUEST_PORT 5u
#define LOCAL_PORT 42
#define MIB (1u << 20)

enum copy_mode { COPY_WORKS, COPY_CALL_FAILS, COPY_DOES_NOTHING };

struct xengntdev_handle { int dummy; };
struct xenevtchn_handle { int fd; };

struct fake {				/* everything around the ring */
	uint8_t *ring_pages, *data;
	blkif_front_ring_t front;
	struct xengntdev_handle gnttab;
	struct xenevtchn_handle evtchn;
	bool gnttab_open, evtchn_open, mapped, bound, masked, kicked;
	int fail_open_gnttab, fail_map, fail_open_evtchn, fail_bind;	/* errno, 0: works */
	enum copy_mode mode;
	int fail_from, fail_count;	/* copies (counted from fake_expect_copies) that get a bad status */
	unsigned int calls, copies, notified, unmasked;
	uint32_t dead_ref;		/* a reference that cannot be copied, 0: none */
	void (*on_copy)(void);		/* called at each xengnttab_grant_copy() */

	struct ring *ring;
	struct inflight_table *table;	/* outlives the ring, as the file does */
	struct pool *pool;
	uint8_t *area;
	struct request *got[4096];	/* submitted, in order */
	unsigned int got_count, ready_left, broken, resumed;
	char why[200];
	bool gated;			/* barriers are executed as such */
	struct gate gate;
	/* A guest of x86_32 makes its requests here, by index; guest_push() writes them into the ring in its layout. */
	blkif_request_t staged[512];
	RING_IDX pushed;
};
static struct fake fake;

/* Of the guest's slots; a program runs its tests with one after the other [run_with_each_abi]. */
static enum slot_abi fake_abi;

/* ---- libxengnttab ---- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)logger;
	(void)flags;
	if (fake.fail_open_gnttab) {
		errno = fake.fail_open_gnttab;
		return NULL;
	}
	assert_false(fake.gnttab_open);
	fake.gnttab_open = true;
	return &fake.gnttab;
}

int xengnttab_close(xengnttab_handle *h)
{
	assert_ptr_equal(h, &fake.gnttab);
	assert_true(fake.gnttab_open);
	assert_false(fake.mapped);
	fake.gnttab_open = false;
	return 0;
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *h, uint32_t count, uint32_t domid, uint32_t *refs,
				      int prot)
{
	uint32_t i;

	assert_ptr_equal(h, &fake.gnttab);
	assert_int_equal(domid, DOMID);
	assert_int_equal(prot, PROT_READ | PROT_WRITE);
	for (i = 0; i < count; i++)
		assert_int_equal(refs[i], RING_REF + i);
	if (fake.fail_map) {
		errno = fake.fail_map;
		return NULL;
	}
	fake.mapped = true;
	return fake.ring_pages;
}

int xengnttab_unmap(xengnttab_handle *h, void *address, uint32_t count)
{
	assert_ptr_equal(h, &fake.gnttab);
	assert_ptr_equal(address, fake.ring_pages);
	assert_in_range(count, 1, 16);
	assert_true(fake.mapped);
	fake.mapped = false;
	return 0;
}

static void fake_copy_one(xengnttab_grant_copy_segment_t *seg)
{
	bool in = seg->flags & GNTCOPY_source_gref;
	const union xengnttab_copy_ptr *foreign = in ? &seg->source : &seg->dest;
	uint8_t *local = in ? seg->dest.virt : seg->source.virt, *page;

	assert_true(seg->flags == GNTCOPY_source_gref || seg->flags == GNTCOPY_dest_gref);
	assert_int_not_equal(seg->status, GNTST_okay);	/* preset to an error */
	assert_int_equal(foreign->foreign.domid, DOMID);
	assert_true(seg->len && foreign->foreign.offset + seg->len <= PAGE);
	assert_true((uintptr_t)local % PAGE + seg->len <= PAGE);
	fake.copies++;
	if (fake.fail_count && fake.copies > (unsigned int)fake.fail_from &&
	    fake.copies <= (unsigned int)(fake.fail_from + fake.fail_count)) {
		seg->status = GNTST_bad_gntref;
		return;
	}
	if (foreign->foreign.ref - DATA_REF >= DATA_PAGES || foreign->foreign.ref == fake.dead_ref) {
		seg->status = GNTST_bad_gntref;
		return;
	}
	page = fake.data + (size_t)(foreign->foreign.ref - DATA_REF) * PAGE + foreign->foreign.offset;
	memcpy(in ? local : page, in ? page : local, seg->len);
	seg->status = GNTST_okay;
}

int xengnttab_grant_copy(xengnttab_handle *h, uint32_t count, xengnttab_grant_copy_segment_t *segs)
{
	uint32_t i;

	assert_ptr_equal(h, &fake.gnttab);
	assert_in_range(count, 1, 1024);
	fake.calls++;
	if (fake.on_copy)
		fake.on_copy();
	if (fake.mode == COPY_CALL_FAILS) {	/* as Linux: accepted segments look good all the same */
		for (i = 0; i < count; i++)
			segs[i].status = GNTST_okay;
		errno = EFAULT;
		return -1;
	}
	for (i = 0; fake.mode == COPY_WORKS && i < count; i++)
		fake_copy_one(&segs[i]);
	return 0;
}

/* ---- libxenevtchn ---- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)logger;
	assert_int_equal(flags, 0);		/* close-on-exec */
	if (fake.fail_open_evtchn) {
		errno = fake.fail_open_evtchn;
		return NULL;
	}
	assert_false(fake.evtchn_open);
	fake.evtchn.fd = eventfd(0, EFD_CLOEXEC);
	assert_true(fake.evtchn.fd >= 0);
	fake.evtchn_open = true;
	return &fake.evtchn;
}

int xenevtchn_close(xenevtchn_handle *h)
{
	assert_true(fake.evtchn_open);
	assert_false(fake.bound);
	close(h->fd);
	fake.evtchn_open = false;
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	return h->fd;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid, evtchn_port_t port)
{
	assert_ptr_equal(h, &fake.evtchn);
	assert_int_equal(domid, DOMID);
	assert_int_equal(port, GUEST_PORT);
	if (fake.fail_bind) {
		errno = fake.fail_bind;
		return -1;
	}
	fake.bound = true;
	return LOCAL_PORT;
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	assert_ptr_equal(h, &fake.evtchn);
	assert_int_equal(port, LOCAL_PORT);
	assert_true(fake.bound);
	fake.bound = false;
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	assert_ptr_equal(h, &fake.evtchn);
	assert_int_equal(port, LOCAL_PORT);
	assert_true(fake.bound);
	fake.notified++;
	return 0;
}

static void fake_deliver(void)
{
	uint64_t one = 1;

	assert_int_equal(write(fake.evtchn.fd, &one, sizeof(one)), sizeof(one));
	fake.kicked = false;
	fake.masked = true;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	uint64_t count;

	return read(h->fd, &count, sizeof(count)) == sizeof(count) ? LOCAL_PORT : -1;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	assert_ptr_equal(h, &fake.evtchn);
	assert_int_equal(port, LOCAL_PORT);
	fake.unmasked++;
	fake.masked = false;
	if (fake.kicked)
		fake_deliver();
	return 0;
}

/* The guest notifies: delivered at once, or when the port is unmasked. */
static inline void guest_kick(void)
{
	fake.kicked = true;
	if (!fake.masked)
		fake_deliver();
}

static inline bool event_waits(void)
{
	uint64_t count;
	ssize_t r = read(fake.evtchn.fd, &count, sizeof(count));

	if (r == sizeof(count))
		assert_int_equal(write(fake.evtchn.fd, &count, sizeof(count)), sizeof(count));
	return r == sizeof(count);
}

/* ---- the owner ---- */

static bool owner_ready(void *ctx, const struct request *next)
{
	assert_ptr_equal(ctx, &fake);
	if (fake.gated && !gate_opens(&fake.gate, fake.ring, next))
		return false;
	if (!fake.ready_left)
		return false;
	if (fake.ready_left != UINT32_MAX)
		fake.ready_left--;
	return true;
}

static void owner_submit(void *ctx, struct request *req)
{
	assert_ptr_equal(ctx, &fake);
	assert_true(fake.got_count < 4096);
	if (fake.gated)
		gate_enter(&fake.gate, req);
	fake.got[fake.got_count++] = req;
}

static void owner_broken(void *ctx, const char *why)
{
	assert_ptr_equal(ctx, &fake);
	fake.broken++;
	snprintf(fake.why, sizeof(fake.why), "%s", why);
}

static void owner_resumed(void *ctx)
{
	assert_ptr_equal(ctx, &fake);
	fake.resumed++;
}

static const struct ring_ops owner_ops = { owner_ready, owner_submit, owner_broken, owner_resumed };
static const struct blkif_limits disk_limits = { .sectors = 1u << 20, .block_size = 512,
						 .max_segments = 256, .discard = true };

/* ---- set-up ---- */

static inline int fake_attach(unsigned int order)
{
	struct ring_params params = { .domid = DOMID, .order = (uint8_t)order, .abi = (uint8_t)fake_abi, .port = GUEST_PORT };
	unsigned int i;

	for (i = 0; i < 16; i++)
		params.ref[i] = RING_REF + i;
	return ring_attach(&params, &disk_limits, fake.pool, fake.table, &owner_ops, &fake, &fake.ring, fake.why,
			   sizeof(fake.why));
}

/* A frontend that makes a ring whose indices start at `start`. */
static inline void fake_front(unsigned int order, RING_IDX start)
{
	blkif_sring_t *s = (blkif_sring_t *)fake.ring_pages;

	memset(fake.ring_pages, 0xaa, 16 * PAGE);
	SHARED_RING_INIT(s);
	s->req_prod = s->rsp_prod = start;
	s->req_event = s->rsp_event = start + 1;
	FRONT_RING_ATTACH(&fake.front, s, start, (size_t)PAGE << order);
	fake.pushed = start;
}

static inline void fake_pool(size_t mib)
{
	fake.area = aligned_alloc(PAGE, mib * MIB);
	assert_non_null(fake.area);
	assert_int_equal(pool_new(fake.area, mib * MIB, &fake.pool), 0);
}

static inline void fake_start(unsigned int order, RING_IDX start, size_t pool_mib)
{
	fake_pool(pool_mib);
	fake_front(order, start);
	assert_int_equal(fake_attach(order), 0);
}

static inline int fake_setup(void **state)
{
	size_t i;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.ready_left = UINT32_MAX;
	fake.table = calloc(1, sizeof(*fake.table));
	assert_non_null(fake.table);
	memcpy(fake.table->magic, "drbdxif1", 8);
	fake.table->version = INFLIGHT_VERSION;
	fake.ring_pages = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fake.data = mmap(NULL, (size_t)DATA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	assert_true(fake.ring_pages != MAP_FAILED && fake.data != MAP_FAILED);
	for (i = 0; i < DATA_PAGES; i++)
		memset(fake.data + i * PAGE, (int)(i % 251), 64);
	return 0;
}

/* Everything is given back, whatever the test did. */
static inline int fake_teardown(void **state)
{
	(void)state;
	if (fake.ring)
		ring_detach(fake.ring, false);
	assert_false(fake.gnttab_open || fake.evtchn_open || fake.mapped || fake.bound);
	pool_free(fake.pool);
	free(fake.area);
	free(fake.table);
	munmap(fake.ring_pages, 16 * PAGE);
	munmap(fake.data, (size_t)DATA_PAGES * PAGE);
	return 0;
}

/* ---- the guest ---- */

/* A slot of the shared ring, by the layout's own numbers. */
static inline uint8_t *slot_at(RING_IDX index)
{
	return fake.ring_pages + 64 + (size_t)(index & (fake.front.nr_ents - 1)) * (fake_abi == SLOT_X86_32 ? 108 : 112);
}

/* Where in a slot what is at `offset` in blkif_request_t is. */
static inline size_t in_slot(size_t offset)
{
	return offset < 4 || fake_abi != SLOT_X86_32 ? offset : offset - 4;
}

/* The request that was made last; it may be changed until guest_push(). */
static inline blkif_request_t *guest_made(void)
{
	RING_IDX index = fake.front.req_prod_pvt - 1;

	return fake_abi == SLOT_X86_32 ? &fake.staged[index % 512] : (blkif_request_t *)slot_at(index);
}

static inline blkif_request_t *guest_slot(void)
{
	blkif_request_t *r;

	fake.front.req_prod_pvt++;
	r = guest_made();
	memset(r, 0, sizeof(*r));
	return r;
}

/* `n` whole pages from data page `page` on; the id is the page's number. */
static inline blkif_request_t *guest_put(uint8_t operation, uint64_t sector, uint8_t n, unsigned int page)
{
	blkif_request_t *r = guest_slot();
	unsigned int i;

	r->operation = operation;
	r->nr_segments = n;
	r->id = page;
	r->sector_number = sector;
	for (i = 0; i < n && i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
		r->seg[i] = (struct blkif_request_segment){ .gref = DATA_REF + page + i, .last_sect = 7 };
	return r;
}

/* The segments' page is data page `table`. */
static inline void guest_put_indirect(uint8_t inner, uint64_t sector, uint16_t n, unsigned int page,
				      unsigned int table)
{
	blkif_request_indirect_t *r = (void *)guest_slot();
	struct blkif_request_segment *seg = (void *)(fake.data + (size_t)table * PAGE);
	unsigned int i;

	r->operation = BLKIF_OP_INDIRECT;
	r->indirect_op = inner;
	r->nr_segments = n;
	r->id = page;
	r->sector_number = sector;
	r->indirect_grefs[0] = DATA_REF + table;
	for (i = 0; i < n; i++)
		seg[i] = (struct blkif_request_segment){ .gref = DATA_REF + page + i, .last_sect = 7 };
}

static inline bool guest_push(void)
{
	int notify;

	for (; fake_abi == SLOT_X86_32 && fake.pushed != fake.front.req_prod_pvt; fake.pushed++) {
		const uint8_t *r = (const uint8_t *)&fake.staged[fake.pushed % 512];

		memcpy(slot_at(fake.pushed), r, 4);
		memcpy(slot_at(fake.pushed) + 4, r + 8, 104);
	}
	RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&fake.front, notify);
	return notify;
}

static inline unsigned int guest_responses(void)
{
	return XEN_RING_NR_UNCONSUMED_RESPONSES(&fake.front);
}

static inline blkif_response_t guest_take(void)
{
	blkif_response_t response = { 0 };
	const uint8_t *at = slot_at(fake.front.rsp_cons);

	assert_true(guest_responses() > 0);
	memcpy(&response.id, at, 8);
	response.operation = at[8];
	memcpy(&response.status, at + 10, 2);
	fake.front.rsp_cons++;
	return response;
}

static inline void guest_expect(uint64_t id, uint8_t operation, int status)
{
	blkif_response_t response = guest_take();

	assert_int_equal(response.id, id);
	assert_int_equal(response.operation, operation);
	assert_int_equal(response.status, status);
}

/* ---- the program ---- */

/* `tests` runs the group under this name. */
static inline int run_with_each_abi(int (*tests)(const char *name), const char *name)
{
	char name32[80];
	int failed;

	snprintf(name32, sizeof(name32), "%s, x86_32", name);
	fake_abi = SLOT_X86_64;
	failed = tests(name);
	fake_abi = SLOT_X86_32;
	return failed + tests(name32);
}

#endif
