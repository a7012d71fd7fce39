/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight.c: any table of requests in flight, as an earlier daemon may have left it in /run, and any indices of a ring: what
 * is taken from it is possible, and goes on being so. Input: rsp_prod, req_prod (4 bytes each), then bytes over a sound table: its
 * header's first 248, then its first 8 entries.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backend/inflight.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADER	248u
#define ENTRIES (8 * sizeof(struct inflight_entry))

static const struct ring_params ring = { .domid = 7, .order = 0, .ref = { 16 }, .port = 5 };

/* Three requests in flight, the last one answered and not seen. */
static void sound(struct inflight_table *t)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->magic, "drbdxif1", 8);
	t->version = INFLIGHT_VERSION;
	strcpy(t->resource, "r0");
	inflight_begin(t, &ring, 1000);
	for (unsigned int i = 0; i < 3; i++) {
		t->entry[i].request = 1000 + i;
		t->entry[i].response = 1000;
		inflight_set_state(&t->entry[i], i < 2 ? INFLIGHT_TAKEN : INFLIGHT_ANSWERING);
		inflight_consume(t);
	}
}

static void check(const struct inflight_table *t, const struct inflight_left *left, uint32_t rsp_prod)
{
	unsigned int taken = 0;

	assert(t->serving == 1 && left->count <= RING_SLOTS(0));
	assert((uint32_t)t->req_cons - rsp_prod == left->count && t->req_cons == left->req_cons);
	for (unsigned int i = 0; i < REQUESTS_MAX; i++)
		taken += t->entry[i].state == INFLIGHT_TAKEN;
	assert(taken == left->count);
	for (unsigned int i = 0; i < left->count; i++) {
		const struct inflight_entry *e = &t->entry[left->tag[i]];

		assert(left->tag[i] < RING_SLOTS(0) && e->state == INFLIGHT_TAKEN && e->request < t->req_cons);
		assert(!i || t->entry[left->tag[i - 1]].request < e->request);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct inflight_table t;
	struct inflight_left left, again;
	uint32_t rsp_prod, req_prod;
	char why[300] = "";

	if (size < 8)
		return 0;
	memcpy(&rsp_prod, data, 4);
	memcpy(&req_prod, data + 4, 4);
	data += 8, size -= 8;
	sound(&t);
	memcpy(&t, data, size < HEADER ? size : HEADER);
	if (size > HEADER)
		memcpy(t.entry, data + HEADER, size - HEADER < ENTRIES ? size - HEADER : ENTRIES);
	if (inflight_recover(&t, &ring, rsp_prod, req_prod, &left, why, sizeof(why))) {
		assert(why[0]);
		return 0;
	}
	check(&t, &left, rsp_prod);
	if (left.count) { /* killed at once */
		assert(!inflight_recover(&t, &ring, rsp_prod, req_prod, &again, why, sizeof(why)));
		assert(again.count == left.count && !memcmp(again.tag, left.tag, left.count * sizeof(left.tag[0])));
	}
	return 0;
}
