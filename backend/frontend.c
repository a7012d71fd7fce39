/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frontend.c: see frontend.h.
 *
 * Spellings that are in use (xen/io/blkif.h and the frontends themselves): one page as `ring-ref`, or as
 * `ring-ref0` when `ring-page-order` is written as 0; several pages as `ring-ref0`…; the number of pages as
 * `ring-page-order`, or as `num-ring-pages` by frontends that know only the older key.  With `multi-queue-num-queues` from 2 on, pages and
 * event channels are in `queue-0`…; the protocol and the number of pages are the same for all.
 */
#include "backend/frontend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GRANT_REF_MAX UINT32_MAX
#define PORT_MAX ((1u << 17) - 1)	/* EVTCHN_FIFO_NR_CHANNELS - 1 */

bool frontend_path_ok(const char *path, uint32_t domid, uint32_t devid)
{
	char expected[STORE_PATH];

	snprintf(expected, sizeof(expected), "/local/domain/%u/device/vbd/%u", domid, devid);
	return !strcmp(path, expected);
}

int frontend_state(struct store *s, const char *path)
{
	uint64_t v = 0;
	int rc = store_number(s, path, "state", 0, 6, &v);

	if (rc == -ENOENT)
		return 0;
	if (rc == -EIO)
		return rc;
	return rc ? -EINVAL : (int)v;
}

/* -ENOENT when the key is missing and may be; -EINVAL with words when its value is not a number in range. */
static int number(struct store *s, const char *path, const char *key, uint64_t min, uint64_t max,
		  uint64_t *out, char *why, size_t why_size)
{
	int rc = store_number(s, path, key, min, max, out);

	if (!rc || rc == -ENOENT || rc == -EIO)
		return rc;
	snprintf(why, why_size, "the frontend's %s is not a number from %llu to %llu", key,
		 (unsigned long long)min, (unsigned long long)max);
	return -EINVAL;
}

static int missing(const char *key, char *why, size_t why_size)
{
	snprintf(why, why_size, "the frontend has written no %s", key);
	return -EINVAL;
}

/* Where a guest that names none may run: one that is older than the key. */
#if defined(__x86_64__) || defined(__i386__)
#define PROTOCOL_UNNAMED SLOT_X86_32
#else
#define PROTOCOL_UNNAMED SLOT_X86_64
#endif

static const struct {
	const char *name;
	enum slot_abi abi;
} protocols[] = { { "x86_64-abi", SLOT_X86_64 }, { "x86_32-abi", SLOT_X86_32 }, { "arm-abi", SLOT_X86_64 } };

static int read_protocol(struct store *s, const char *path, uint8_t *abi, char *why, size_t why_size)
{
	char text[32];
	int rc = store_read(s, path, "protocol", text, sizeof(text));

	if (rc == -EIO)
		return rc;
	*abi = PROTOCOL_UNNAMED;
	if (rc == -ENOENT)
		return 0;
	for (size_t i = 0; !rc && i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!strcmp(text, protocols[i].name)) {
			*abi = (uint8_t)protocols[i].abi;
			return 0;
		}
	snprintf(why, why_size, "the frontend's protocol is %s; x86_64-abi, x86_32-abi and arm-abi are served", rc ? "unreadable" : text);
	return -EINVAL;
}

static int read_queues(struct store *s, const char *path, unsigned int most, unsigned int *count, char *why, size_t why_size)
{
	uint64_t n = 1;
	int rc = number(s, path, "multi-queue-num-queues", 1, UINT16_MAX, &n, why, why_size);

	if (rc && rc != -ENOENT)
		return rc;
	if (n <= most && n <= QUEUES_MAX) {
		*count = (unsigned int)n;
		return 0;
	}
	snprintf(why, why_size,
		 "the guest wants %llu queues, and %u %s served: if it agreed on them with xen-blkback before drbdxd got the disk, load xen-blkback with "
		 "max_queues=%u or blacklist it, then detach and attach the disk again",
		 (unsigned long long)n, most, most == 1 ? "is" : "are", most);
	return -EINVAL;
}

static int read_order(struct store *s, const char *path, uint64_t *order, bool *numbered, char *why,
		      size_t why_size)
{
	uint64_t pages = 1;
	int rc = number(s, path, "ring-page-order", 0, RING_ORDER_MAX, order, why, why_size);

	*numbered = !rc;
	if (rc != -ENOENT)
		return rc;
	*order = 0;
	rc = number(s, path, "num-ring-pages", 1, 1u << RING_ORDER_MAX, &pages, why, why_size);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (pages & (pages - 1)) {
		snprintf(why, why_size, "the frontend's num-ring-pages is not a power of two");
		return -EINVAL;
	}
	*order = (uint64_t)__builtin_ctzll(pages);
	*numbered = *order > 0;
	return 0;
}

static int read_ref(struct store *s, const char *path, const char *key, uint32_t *ref, char *why,
		    size_t why_size)
{
	uint64_t v = 0;
	int rc = number(s, path, key, 1, GRANT_REF_MAX, &v, why, why_size);

	*ref = (uint32_t)v;
	return rc;
}

/* The name of a queue's key. A single queue has them in the directory itself. */
static const char *key_of(const struct ring_params *ring, const char *name, char *buf, size_t size)
{
	if (ring->others)
		snprintf(buf, size, "queue-%u/%s", ring->queue, name);
	else
		snprintf(buf, size, "%s", name);
	return buf;
}

static int read_refs(struct store *s, const char *path, bool numbered, struct ring_params *out, char *why,
		     size_t why_size)
{
	const unsigned int pages = 1u << out->order;
	const char *const one[2] = {numbered ? "ring-ref0" : "ring-ref", numbered ? "ring-ref" : "ring-ref0"};
	char name[32], key[64];
	int rc;

	if (pages == 1) {
		rc = read_ref(s, path, key_of(out, one[0], key, sizeof(key)), &out->ref[0], why, why_size);
		if (rc == -ENOENT)
			rc = read_ref(s, path, key_of(out, one[1], key, sizeof(key)), &out->ref[0], why, why_size);
		return rc == -ENOENT ? missing(key_of(out, "ring-ref", key, sizeof(key)), why, why_size) : rc;
	}
	for (unsigned int i = 0; i < pages; i++) {
		snprintf(name, sizeof(name), "ring-ref%u", i);
		rc = read_ref(s, path, key_of(out, name, key, sizeof(key)), &out->ref[i], why, why_size);
		if (rc)
			return rc == -ENOENT ? missing(key, why, why_size) : rc;
	}
	return 0;
}

static int read_ring(struct store *s, const char *path, bool numbered, struct ring_params *out, char *why, size_t why_size)
{
	uint64_t port = 0;
	char key[64];
	int rc = read_refs(s, path, numbered, out, why, why_size);

	if (rc)
		return rc;
	rc = number(s, path, key_of(out, "event-channel", key, sizeof(key)), 1, PORT_MAX, &port, why, why_size);
	if (rc == -ENOENT)
		rc = missing(key, why, why_size);
	out->port = (uint32_t)port;
	return rc;
}

static bool share_a_page(const struct ring_params *a, const struct ring_params *b)
{
	for (unsigned int i = 0; i < 1u << a->order; i++)
		for (unsigned int k = 0; k < 1u << b->order; k++)
			if (a->ref[i] == b->ref[k])
				return true;
	return false;
}

/* Two queues on one page would each take the other's answers for requests. */
static int check_apart(const struct ring_set *set, char *why, size_t why_size)
{
	for (unsigned int i = 1; i < set->count; i++)
		for (unsigned int k = 0; k < i; k++) {
			bool page = share_a_page(&set->ring[i], &set->ring[k]);

			if (!page && set->ring[i].port != set->ring[k].port)
				continue;
			snprintf(why, why_size, "the frontend's queue-%u has %s of queue-%u", i, page ? "a ring page" : "the event channel", k);
			return -EINVAL;
		}
	return 0;
}

int frontend_read(struct store *s, const char *path, uint32_t domid, unsigned int queues, struct ring_set *out, char *why,
		  size_t why_size)
{
	struct ring_params common = { .domid = domid };
	uint64_t order = 0;
	bool numbered = false;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = read_protocol(s, path, &common.abi, why, why_size);
	if (!rc)
		rc = read_queues(s, path, queues, &out->count, why, why_size);
	if (!rc)
		rc = read_order(s, path, &order, &numbered, why, why_size);
	if (rc)
		return rc;
	common.order = (uint8_t)order;
	common.others = (uint8_t)(out->count - 1);
	for (unsigned int i = 0; !rc && i < out->count; i++) {
		out->ring[i] = common;
		out->ring[i].queue = (uint8_t)i;
		rc = read_ring(s, path, numbered, &out->ring[i], why, why_size);
	}
	return rc ? rc : check_apart(out, why, why_size);
}

static bool same_ring(const struct ring_params *a, const struct ring_params *b)
{
	return a->domid == b->domid && a->order == b->order && a->abi == b->abi && a->port == b->port &&
	       !memcmp(a->ref, b->ref, sizeof(a->ref[0]) << a->order);
}

bool frontend_same_rings(const struct ring_set *a, const struct ring_set *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned int i = 0; i < a->count; i++)
		if (!same_ring(&a->ring[i], &b->ring[i]))
			return false;
	return true;
}
