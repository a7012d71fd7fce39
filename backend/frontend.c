/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frontend.c: see frontend.h.
 *
 * Spellings that are in use (xen/io/blkif.h and the frontends themselves): one page as `ring-ref`, or as
 * `ring-ref0` when `ring-page-order` is written as 0; several pages as `ring-ref0`…; the number of pages as
 * `ring-page-order`, or as `num-ring-pages` by frontends that know only the older key.
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

static int read_queues(struct store *s, const char *path, char *why, size_t why_size)
{
	uint64_t n = 1;
	int rc = number(s, path, "multi-queue-num-queues", 1, UINT16_MAX, &n, why, why_size);

	if (rc && rc != -ENOENT)
		return rc;
	if (n == 1)
		return 0;
	snprintf(why, why_size,
		 "the guest agreed on %llu queues with xen-blkback before drbdxd got the disk, and one is "
		 "served: load xen-blkback with max_queues=1 or blacklist it, then detach and attach the "
		 "disk again",
		 (unsigned long long)n);
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

static int read_refs(struct store *s, const char *path, bool numbered, struct ring_params *out, char *why,
		     size_t why_size)
{
	const unsigned int pages = 1u << out->order;
	const char *const one[2] = {numbered ? "ring-ref0" : "ring-ref", numbered ? "ring-ref" : "ring-ref0"};
	char key[32];
	int rc;

	if (pages == 1) {
		rc = read_ref(s, path, one[0], &out->ref[0], why, why_size);
		if (rc == -ENOENT)
			rc = read_ref(s, path, one[1], &out->ref[0], why, why_size);
		return rc == -ENOENT ? missing("ring-ref", why, why_size) : rc;
	}
	for (unsigned int i = 0; i < pages; i++) {
		snprintf(key, sizeof(key), "ring-ref%u", i);
		rc = read_ref(s, path, key, &out->ref[i], why, why_size);
		if (rc)
			return rc == -ENOENT ? missing(key, why, why_size) : rc;
	}
	return 0;
}

int frontend_read(struct store *s, const char *path, uint32_t domid, struct ring_params *out, char *why,
		  size_t why_size)
{
	uint64_t order = 0, port = 0;
	bool numbered = false;
	int rc;

	memset(out, 0, sizeof(*out));
	out->domid = domid;
	rc = read_protocol(s, path, &out->abi, why, why_size);
	if (!rc)
		rc = read_queues(s, path, why, why_size);
	if (!rc)
		rc = read_order(s, path, &order, &numbered, why, why_size);
	if (rc)
		return rc;
	out->order = (uint8_t)order;
	rc = read_refs(s, path, numbered, out, why, why_size);
	if (rc)
		return rc;
	rc = number(s, path, "event-channel", 1, PORT_MAX, &port, why, why_size);
	if (rc == -ENOENT)
		rc = missing("event-channel", why, why_size);
	out->port = (uint32_t)port;
	return rc;
}

bool frontend_same_ring(const struct ring_params *a, const struct ring_params *b)
{
	return a->domid == b->domid && a->order == b->order && a->abi == b->abi && a->port == b->port &&
	       !memcmp(a->ref, b->ref, sizeof(a->ref[0]) << a->order);
}
