/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A backend as small as can be, for the self test: one device, one thread, a file. It shows that the
 * stand-ins and blkfront-sim work with each other, and with a bug on request, that blkfront-sim notices it.
 *
 *	selftest-backend DOMID DEVID FILE [BUG]
 *
 * BUG: lost-write, old-read, wrong-id, wrong-op, twice, grant-in-use, keep-ring
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define mb()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define rmb()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define wmb()	__atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/io/blkif.h>

static struct xs_handle *xs;
static xengnttab_handle *gt;
static xenevtchn_handle *ec;
static char be[128], fe[128];
static uint32_t domid;
static int disk, port = -1, state;
static uint64_t sectors;
static void *ring_pages;
static uint32_t ring_count;
static struct blkif_back_ring ring;
static const char *bug = "";
static unsigned served;
static uint8_t buffer[256 * 4096];

static bool bug_now(const char *name)
{
	return !strcmp(bug, name) && served % 50 == 49;
}

static int get(const char *dir, const char *key, int missing)
{
	char path[256], *s;
	unsigned len;
	int v;

	snprintf(path, sizeof(path), "%s/%s", dir, key);
	s = xs_read(xs, XBT_NULL, path, &len);
	v = s ? atoi(s) : missing;
	free(s);
	return v;
}

static void put(const char *key, uint64_t value)
{
	char path[256], s[32];

	snprintf(path, sizeof(path), "%s/%s", be, key);
	snprintf(s, sizeof(s), "%llu", (unsigned long long)value);
	xs_write(xs, XBT_NULL, path, s, (unsigned)strlen(s));
}

static void set_state(int s)
{
	state = s;
	put("state", (uint64_t)s);
}

static bool connect_ring(void)
{
	int order = get(fe, "ring-page-order", -1);
	uint32_t refs[16];
	char key[32];

	ring_count = order < 0 ? 1 : 1u << order;
	for (uint32_t i = 0; i < ring_count; i++) {
		snprintf(key, sizeof(key), "ring-ref%u", i);
		refs[i] = (uint32_t)get(fe, key, i ? -1 : get(fe, "ring-ref", -1));
	}
	ring_pages = xengnttab_map_domain_grant_refs(gt, ring_count, domid, refs, PROT_READ | PROT_WRITE);
	if (!ring_pages)
		return false;
	BACK_RING_ATTACH(&ring, (struct blkif_sring *)ring_pages,
			 ((struct blkif_sring *)ring_pages)->rsp_prod, ring_count * 4096);
	port = xenevtchn_bind_interdomain(ec, domid, (evtchn_port_t)get(fe, "event-channel", 0));
	return port >= 0;
}

static void disconnect_ring(void)
{
	if (port >= 0)
		xenevtchn_unbind(ec, (evtchn_port_t)port);
	if (ring_pages && strcmp(bug, "keep-ring"))
		xengnttab_unmap(gt, ring_pages, ring_count);
	port = -1;
	ring_pages = NULL;
}

/* All segments by grant copy, to or from the buffer: bytes, or -1. */
static long copy_segments(const struct blkif_request_segment *seg, unsigned n, bool to_guest)
{
	static xengnttab_grant_copy_segment_t c[256];
	long bytes = 0;

	memset(c, 0, sizeof(c));
	for (unsigned i = 0; i < n; i++) {
		union xengnttab_copy_ptr local = { .virt = buffer + bytes }, remote = { .foreign = {
			.ref = seg[i].gref, .domid = (uint16_t)domid, .offset = seg[i].first_sect * 512u } };

		if (seg[i].last_sect > 7 || seg[i].first_sect > seg[i].last_sect)
			return -1;
		c[i].len = (uint16_t)((seg[i].last_sect - seg[i].first_sect + 1) * 512);
		c[i].source = to_guest ? local : remote;
		c[i].dest = to_guest ? remote : local;
		c[i].flags = to_guest ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
		bytes += c[i].len;
	}
	if (xengnttab_grant_copy(gt, n, c) < 0)
		return -1;
	for (unsigned i = 0; i < n; i++)
		if (c[i].status != GNTST_okay)
			return -1;
	return bytes;
}

static long segments_bytes(const struct blkif_request_segment *seg, unsigned n)
{
	long bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += (seg[i].last_sect - seg[i].first_sect + 1) * 512;
	return bytes;
}

static int16_t execute(uint8_t op, uint64_t sector, const struct blkif_request_segment *seg, unsigned n)
{
	long bytes = segments_bytes(seg, n);

	if (bytes <= 0 || sector > sectors || (uint64_t)bytes / 512 > sectors - sector)
		return BLKIF_RSP_ERROR;
	if (op == BLKIF_OP_WRITE) {
		if (copy_segments(seg, n, false) < 0)
			return BLKIF_RSP_ERROR;
		if (!bug_now("lost-write") &&
		    pwrite(disk, buffer, (size_t)bytes, (off_t)(sector * 512)) != bytes)
			return BLKIF_RSP_ERROR;
		return BLKIF_RSP_OKAY;
	}
	if (pread(disk, buffer, (size_t)bytes, (off_t)(sector * 512)) != bytes)
		return BLKIF_RSP_ERROR;
	if (bug_now("old-read"))
		memset(buffer, 0, (size_t)bytes);
	return copy_segments(seg, n, true) < 0 ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY;
}

static void respond(uint64_t id, uint8_t op, int16_t status)
{
	struct blkif_response *r = RING_GET_RESPONSE(&ring, ring.rsp_prod_pvt++);

	r->id = bug_now("wrong-id") ? id + 4096 : id;
	r->operation = bug_now("wrong-op") ? op ^ 1 : op;
	r->status = status;
}

static void serve_one(const struct blkif_request *q)
{
	struct blkif_request_segment seg[256];
	const struct blkif_request_indirect *ind = (const struct blkif_request_indirect *)q;
	uint8_t op = q->operation;
	int16_t status = BLKIF_RSP_EOPNOTSUPP;
	unsigned n = q->nr_segments;
	bool valid = n >= 1 && n <= 11;
	void *held = NULL;

	memcpy(seg, q->seg, sizeof(q->seg));
	if (op == BLKIF_OP_INDIRECT) {
		struct blkif_request_segment page = { .gref = ind->indirect_grefs[0], .last_sect = 7 };

		op = ind->indirect_op;
		n = ind->nr_segments;
		valid = n >= 1 && n <= 256 && op <= 1 && copy_segments(&page, 1, false) > 0;
		if (valid)
			memcpy(seg, buffer, n * sizeof(seg[0]));
	}
	if (bug_now("grant-in-use"))
		held = xengnttab_map_grant_ref(gt, domid, seg[0].gref, PROT_READ);
	if (op == BLKIF_OP_FLUSH_DISKCACHE)
		status = fdatasync(disk) ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY;
	else if (op <= BLKIF_OP_WRITE)
		status = !valid ? BLKIF_RSP_ERROR
				: execute(op,
					  q->operation == BLKIF_OP_INDIRECT ? ind->sector_number
									    : q->sector_number,
					  seg, n);
	respond(q->operation == BLKIF_OP_INDIRECT ? ind->id : q->id, op, status);
	if (bug_now("twice"))
		respond(q->id, op, status);
	(void)held;
	served++;
}

static void serve(void)
{
	int more = 1, notify;

	while (more && ring_pages) {
		RING_IDX prod = ring.sring->req_prod;

		xen_rmb();
		if (RING_REQUEST_PROD_OVERFLOW(&ring, prod)) {
			set_state(5);
			return;
		}
		while (ring.req_cons != prod) {
			struct blkif_request q;

			RING_COPY_REQUEST(&ring, ring.req_cons, &q);
			ring.req_cons++;
			serve_one(&q);
		}
		RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&ring, notify);
		if (notify)
			xenevtchn_notify(ec, (evtchn_port_t)port);
		RING_FINAL_CHECK_FOR_REQUESTS(&ring, more);
	}
}

static void frontend_moved(void)
{
	int f = get(fe, "state", 0);

	if ((f == 3 || f == 4) && !ring_pages && state == 2) {
		if (!connect_ring()) {
			disconnect_ring();
			set_state(5);
			return;
		}
		set_state(4);
		serve();
	} else if (f == 5 && state != 5 && state != 6) {
		set_state(5);
	} else if ((f == 6 || f == 0) && state != 6 && state >= 2) {
		disconnect_ring();
		set_state(6);
	} else if (f == 1 && state >= 5 && get(be, "online", 0) == 1) {
		disconnect_ring();
		set_state(2);
	}
}

static void backend_moved(void)
{
	int s = get(be, "state", 0), f = get(fe, "state", 0);

	if (s == 0)
		exit(0);
	if (s == 5 && get(be, "online", 1) == 0 && (f < 3 || f == 6)) {
		disconnect_ring();
		set_state(6);
	}
	state = get(be, "state", 0);
}

int main(int argc, char **argv)
{
	char path[256];
	struct stat st;

	if (argc < 4)
		return 2;
	domid = (uint32_t)atoi(argv[1]);
	bug = argc > 4 ? argv[4] : "";
	xs = xs_open(0);
	gt = xengnttab_open(NULL, 0);
	ec = xenevtchn_open(NULL, 0);
	disk = open(argv[3], O_RDWR | O_CLOEXEC);
	if (!xs || !gt || !ec || disk < 0 || fstat(disk, &st) < 0)
		return 1;
	sectors = (uint64_t)st.st_size / 512;
	snprintf(be, sizeof(be), "/local/domain/0/backend/vbd/%s/%s", argv[1], argv[2]);
	snprintf(fe, sizeof(fe), "/local/domain/%s/device/vbd/%s", argv[1], argv[2]);
	xs_watch(xs, be, "be");
	while (get(be, "state", 0) != 1)
		free(xs_read_watch(xs, &(unsigned){ 0 }));
	put("sectors", sectors);
	put("sector-size", 512);
	put("info", 0);
	put("feature-flush-cache", 1);
	put("max-ring-page-order", 4);
	put("feature-max-indirect-segments", 256);
	set_state(2);
	snprintf(path, sizeof(path), "%s/state", fe);
	xs_watch(xs, path, "fe");
	for (;;) {
		struct pollfd p[2] = { { .fd = xs_fileno(xs), .events = POLLIN },
				       { .fd = xenevtchn_fd(ec), .events = POLLIN } };
		char **w;

		poll(p, 2, -1);
		if (p[0].revents) {
			while ((w = xs_check_watch(xs)))
				free(w);
			backend_moved();
			frontend_moved();
		}
		if (p[1].revents) {
			int e = xenevtchn_pending(ec);

			serve();
			if (e >= 0)
				xenevtchn_unmask(ec, (evtchn_port_t)e);
		}
	}
}
