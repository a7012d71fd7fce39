/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * publish.c: see publish.h.
 *
 * Every feature that xen-blkback may have written before us is written again, since a frontend reads them
 * once more when it sees state 4.  They are the set that both nodes agreed on, never more: a guest that
 * resumes on the other node with fewer segments than it has requests for crashes.
 */
#include "backend/publish.h"

#include <inttypes.h>
#include <stdio.h>

#include "backend/blkif.h"
#include "backend/ring.h"

#define INFO_CDROM 1u		/* VDISK_* of xen/io/blkif.h */
#define INFO_READONLY 4u
#define ENTRIES_MAX 24
#define GUARD "frontend"

struct list { struct store_entry entry[ENTRIES_MAX]; char text[ENTRIES_MAX][24]; size_t n; };

static void put_text(struct list *l, const char *key, const char *value)
{
	l->entry[l->n++] = (struct store_entry){ key, value };
}

static void put(struct list *l, const char *key, uint64_t value)
{
	char *text = l->text[l->n];

	snprintf(text, sizeof(l->text[0]), "%" PRIu64, value);
	put_text(l, key, text);
}

/* The alignment is a hint, which the two nodes' volumes need not have in common. */
static void put_discard(struct list *l, const struct publication *p)
{
	uint64_t unit = 1ull << p->features->discard_unit;
	bool offered = p->features->discard_unit && !p->read_only && !p->no_discard;

	put(l, "feature-discard", offered);
	if (!offered)
		return;
	put(l, "discard-granularity", unit > p->features->block_size ? unit : p->features->block_size);
	put(l, "discard-alignment", 0);
	put(l, "discard-secure", p->features->discard_secure);
}

static void put_features(struct list *l, const struct features *f)
{
	put(l, "feature-flush-cache", 1);
	put(l, "feature-barrier", 1);
	put(l, "feature-persistent", 0);
	put(l, "feature-max-indirect-segments", f->max_segments);
	put(l, "max-ring-page-order", f->ring_order);
	put(l, "max-ring-pages", 1u << f->ring_order);
	put(l, "multi-queue-max-queues", f->queues);
}

static void put_geometry(struct list *l, const struct publication *p)
{
	put(l, "sectors", p->features->sectors);
	put(l, "sector-size", p->features->block_size);
	put(l, "physical-sector-size", p->features->block_size);
	put(l, "info", (p->cdrom ? INFO_CDROM : 0) | (p->read_only ? INFO_READONLY : 0));
	if (p->statistics)
		put_text(l, "kthread-pid", p->statistics);
}

int publish(struct store *s, const char *path, const struct publication *p)
{
	struct list l = { .n = 0 };

	put_text(&l, PUBLISH_MARKER, p->marker);
	put_features(&l, p->features);
	put_discard(&l, p);
	if (p->geometry)
		put_geometry(&l, p);
	if (p->state)
		put(&l, "state", (uint64_t)p->state);
	return store_update(s, path, GUARD, l.entry, l.n);
}

int publish_state(struct store *s, const char *path, int state)
{
	struct list l = { .n = 0 };

	put(&l, "state", (uint64_t)state);
	return store_update(s, path, GUARD, l.entry, l.n);
}

void publish_default_features(struct features *out)
{
	*out = (struct features){.max_segments = BLKIF_SEGMENTS_MAX,
				 .ring_order = RING_ORDER_MAX,
				 .queues = 1, /* what every partner offers */
				 .block_size = 512};
}
