/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight.c: the table of requests in flight: its file, and what can be told from it when its daemon has died.
 *
 * Invariant (docs/RESTART.md, section 3), after each store of ring.c and of this file:
 *	entries that are TAKEN with request < req_cons, or ANSWERING with response >= rsp_prod = req_cons - rsp_prod
 * where rsp_prod is the one in the shared ring.  These entries are the requests that the guest waits for and that the
 * ring no longer has.
 *
 * Crash argument: inflight_recover() may die after each of its stores, too: it only frees entries that do not count, and
 * turns entries that count as ANSWERING into such as count as TAKEN.  inflight_begin() is not `serving` while it writes.
 */
#include "backend/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/layout.h"
#include "backend/log.h"

#define TABLE_PATH "/run/drbdx/minor-%u.inflight" /* of the first queue; of the others with "-" and their number */

static const char magic[8] = { 'd', 'r', 'b', 'd', 'x', 'i', 'f', '1' };

static int __attribute__((format(printf, 4, 5)))
refuse(int rc, char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- the file ---- */

static void path_of(unsigned int minor, unsigned int queue, char *out, size_t size)
{
	snprintf(out, size, queue ? TABLE_PATH "-%u" : TABLE_PATH, minor, queue);
}

/* All of it, now: a store must never find that /run is full. */
static int make_room(int fd)
{
	struct stat st;
	int rc;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size != (off_t)sizeof(struct inflight_table) && ftruncate(fd, 0))
		return -errno;
	rc = posix_fallocate(fd, 0, sizeof(struct inflight_table));
	return -rc;
}

static struct inflight_table *map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = fd < 0 ? -errno : make_room(fd);
	void *at = MAP_FAILED;

	if (!rc)
		at = mmap(NULL, sizeof(struct inflight_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!rc && at == MAP_FAILED)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	errno = -rc;
	return rc ? NULL : at;
}

static void make_idle(struct inflight_table *t, const char *resource)
{
	inflight_idle(t);
	memset(t, 0, sizeof(*t));
	t->version = INFLIGHT_VERSION;
	memcpy(t->magic, magic, sizeof(magic));
	snprintf(t->resource, sizeof(t->resource), "%s", resource);
}

struct inflight_table *inflight_open(unsigned int minor, unsigned int queue, const char *resource, bool go_on)
{
	struct inflight_table *t;
	char path[64];
	void *at;

	path_of(minor, queue, path, sizeof(path));
	t = map_file(path);
	if (!t) {
		log_error(resource,
			  "%s cannot be used (%s): if drbdxd dies, the guest has to be started anew", path, strerror(errno));
		unlink(path);
		at = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			return NULL;
		t = at;
	}
	if (!go_on || !t->serving)
		make_idle(t, resource);
	return t;
}

void inflight_close(struct inflight_table *t)
{
	if (t)
		munmap(t, sizeof(*t));
}

void inflight_forget(unsigned int minor, unsigned int queue)
{
	char path[64];

	path_of(minor, queue, path, sizeof(path));
	unlink(path);
}

/* ---- is it sound? ---- */

/* What an entry may say by itself. Its indices are judged with the ring's (inflight_recover). */
static bool entry_sound(const struct inflight_table *t, unsigned int tag)
{
	const struct inflight_entry *e = &t->entry[tag];
	unsigned int slots = RING_SLOTS(t->order);

	if (e->state == INFLIGHT_FREE)
		return true;
	if (tag >= slots || e->state > INFLIGHT_ANSWERING)
		return false;
	if (e->request < t->req_cons)
		return true;
	/* taken from the ring, and not consumed yet */
	return e->state == INFLIGHT_TAKEN && e->request - t->req_cons < slots;
}

static int check(const struct inflight_table *t, char *why, size_t why_size)
{
	if (memcmp(t->magic, magic, sizeof(magic)))
		return refuse(-EINVAL, why, why_size, "it is not a table of requests in flight");
	if (!t->serving)
		return 0;
	if (t->version != INFLIGHT_VERSION)
		return refuse(-EINVAL, why, why_size, "it is of version %u, and this drbdxd knows version %u", t->version,
			      INFLIGHT_VERSION);
	if (t->serving != 1 || t->order > RING_ORDER_MAX || t->abi > SLOT_ABI_MAX || t->others >= QUEUES_MAX || t->queue > t->others || t->zero || !all_zero(t->room, sizeof(t->room)) ||
	    !memchr(t->resource, 0, sizeof(t->resource)))
		return refuse(-EINVAL, why, why_size, "its header is damaged");
	for (unsigned int tag = 0; tag < REQUESTS_MAX; tag++)
		if (!entry_sound(t, tag))
			return refuse(-EINVAL, why, why_size, "its entry %u is damaged", tag);
	return 0;
}

static int check_owner(const struct inflight_table *t, const char *resource, uint32_t domid, char *why, size_t why_size)
{
	if (!t->serving)
		return 0;
	if (strcmp(t->resource, resource))
		return refuse(-EINVAL, why, why_size, "it is of resource %s", t->resource);
	if (t->domid != domid)
		return refuse(-EINVAL, why, why_size, "it is of domain %u", t->domid);
	return 0;
}

static int read_file(const char *path, struct inflight_table *t, char *why, size_t why_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	ssize_t n;

	if (fd < 0) {
		rc = -errno;
		return refuse(rc, why, why_size, "%s", strerror(-rc));
	}
	n = read(fd, t, sizeof(*t));
	if (n < 0)
		rc = refuse(-errno, why, why_size, "%s", strerror(errno));
	else if (n != (ssize_t)sizeof(*t))
		rc = refuse(-EINVAL, why, why_size, "it is not a table of requests in flight");
	close(fd);
	return rc;
}

static int look_at(unsigned int minor, unsigned int queue, const char *resource, uint32_t domid, struct inflight_table *t, char *why,
		size_t why_size)
{
	char path[64], problem[200] = "";
	int rc;

	path_of(minor, queue, path, sizeof(path));
	rc = read_file(path, t, problem, sizeof(problem));
	if (!rc)
		rc = check(t, problem, sizeof(problem));
	if (!rc)
		rc = check_owner(t, resource, domid, problem, sizeof(problem));
	if (!rc && t->serving && t->queue != queue)
		rc = refuse(-EINVAL, problem, sizeof(problem), "it is of queue %u", t->queue);
	return rc ? refuse(rc, why, why_size, "%s: %s", path, problem) : 0;
}

int inflight_look(unsigned int minor, unsigned int queues, const char *resource, uint32_t domid, char *why, size_t why_size)
{
	struct inflight_table *t = malloc(sizeof(*t));
	int rc = 0;

	if (!t)
		return refuse(-ENOMEM, why, why_size, "drbdxd is out of memory");
	for (unsigned int i = 0; !rc && i < queues; i++)
		rc = look_at(minor, i, resource, domid, t, why, why_size);
	free(t);
	return rc;
}

/* ---- the ring that it is about ---- */

void inflight_begin(struct inflight_table *t, const struct ring_params *ring, uint32_t req_cons)
{
	inflight_idle(t);
	t->domid = ring->domid;
	t->order = ring->order;
	t->abi = ring->abi;
	t->queue = ring->queue;
	t->others = ring->others;
	t->port = ring->port;
	memset(t->ref, 0, sizeof(t->ref));
	memcpy(t->ref, ring->ref, sizeof(t->ref[0]) << ring->order);
	memset(t->room, 0, sizeof(t->room));
	t->zero = 0;
	t->req_cons = req_cons;
	memset(t->entry, 0, sizeof(t->entry));
	inflight_fence();
	__atomic_store_n(&t->serving, 1, __ATOMIC_RELAXED);
	inflight_fence();
}

static bool same_ring(const struct inflight_table *t, const struct ring_params *ring)
{
	return t->order == ring->order && t->abi == ring->abi && t->queue == ring->queue && t->others == ring->others && t->port == ring->port &&
	       !memcmp(t->ref, ring->ref, sizeof(t->ref[0]) << t->order);
}

/* Has the guest seen the answer? */
static bool answered(const struct inflight_entry *e, uint32_t rsp_prod)
{
	return e->state == INFLIGHT_ANSWERING && (int32_t)(e->response - rsp_prod) < 0;
}

static bool in_flight(const struct inflight_table *t, const struct inflight_entry *e, uint32_t rsp_prod)
{
	return e->state != INFLIGHT_FREE && e->request < t->req_cons && !answered(e, rsp_prod);
}

/* No two entries have one request; the responses are near rsp_prod, and no two entries have one. */
static bool indices_sound(const struct inflight_table *t, const struct inflight_left *left, uint32_t rsp_prod)
{
	bool seen[2 * REQUESTS_MAX] = { false };
	unsigned int slots = RING_SLOTS(t->order);

	for (unsigned int i = 1; i < left->count; i++)
		if (t->entry[left->tag[i - 1]].request == t->entry[left->tag[i]].request)
			return false;
	for (unsigned int tag = 0; tag < slots; tag++) {
		uint32_t from = t->entry[tag].response - (rsp_prod - slots);

		if (t->entry[tag].state != INFLIGHT_ANSWERING)
			continue;
		if (from >= 2 * slots || seen[from])
			return false;
		seen[from] = true;
	}
	return true;
}

/* In ring order; at most 512, once in a daemon's life. */
static void collect(const struct inflight_table *t, uint32_t rsp_prod, struct inflight_left *out)
{
	unsigned int at;

	out->req_cons = t->req_cons;
	out->count = 0;
	for (unsigned int tag = 0; tag < RING_SLOTS(t->order); tag++) {
		if (!in_flight(t, &t->entry[tag], rsp_prod))
			continue;
		for (at = out->count++; at && t->entry[out->tag[at - 1]].request > t->entry[tag].request; at--)
			out->tag[at] = out->tag[at - 1];
		out->tag[at] = (uint16_t)tag;
	}
}

/* As ring.c has its table while nothing but these requests is in flight. */
static void settle(struct inflight_table *t, uint32_t rsp_prod)
{
	for (unsigned int tag = 0; tag < REQUESTS_MAX; tag++) {
		struct inflight_entry *e = &t->entry[tag];

		inflight_set_state(e, in_flight(t, e, rsp_prod) ? INFLIGHT_TAKEN : INFLIGHT_FREE);
	}
}

static void begin_anew(struct inflight_table *t, const struct ring_params *ring, uint32_t rsp_prod, struct inflight_left *out)
{
	inflight_begin(t, ring, rsp_prod);
	out->req_cons = rsp_prod;
}

int inflight_recover(struct inflight_table *t, const struct ring_params *ring, uint32_t rsp_prod, uint32_t req_prod,
		     struct inflight_left *out, char *why, size_t why_size)
{
	char problem[128] = "";
	bool fits;

	*out = (struct inflight_left){ .count = 0 };
	if (!t->serving) {
		begin_anew(t, ring, rsp_prod, out);
		return 0;
	}
	if (check(t, problem, sizeof(problem)))
		return refuse(-ESTALE, why, why_size, "the table of the requests in flight cannot be used: %s", problem);
	if (t->domid != ring->domid)
		return refuse(-ESTALE, why, why_size, "the table of the requests in flight is of domain %u", t->domid);
	collect(t, rsp_prod, out);
	fits = same_ring(t, ring) && (uint32_t)t->req_cons - rsp_prod == out->count &&
	       req_prod - (uint32_t)t->req_cons <= RING_SLOTS(t->order) - out->count;
	/* Other pages; or the same ones with a ring in which nothing has been answered yet. */
	if (!same_ring(t, ring) || (!fits && !rsp_prod)) {
		*out = (struct inflight_left){ .new_ring = true };
		begin_anew(t, ring, rsp_prod, out);
		return 0;
	}
	if (!fits || !indices_sound(t, out, rsp_prod))
		return refuse(-ESTALE, why, why_size,
			      "the table of the requests in flight does not fit the guest's ring (%u answered, %u asked for; the table "
			      "has %u unanswered of %u)",
			      rsp_prod, req_prod, out->count, (uint32_t)t->req_cons);
	settle(t, rsp_prod);
	return 0;
}
