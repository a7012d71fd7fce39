/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight.h: the table of a guest's requests in flight, in a file in /run: what a daemon that dies leaves to the next one
 * (P6).  docs/RESTART.md is normative: the fields, the order of the stores, and the crash argument for each of them.
 *
 * One table for each queue of a resource's guest; one process at a time has it (the daemon's lock).  The functions below change a table with plain
 * stores, so ring.c can do so for each request.  Owner thread only, but for inflight_look().
 */
#ifndef DRBDX_BACKEND_INFLIGHT_H
#define DRBDX_BACKEND_INFLIGHT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/blkif.h"
#include "backend/metadata.h"
#include "backend/request.h"
#include "backend/ring.h"

#define INFLIGHT_VERSION 1u
#define INFLIGHT_HEADER	 4096u

enum inflight_state {
	INFLIGHT_FREE,
	INFLIGHT_TAKEN,	    /* consumed, if `request` is below the table's req_cons; being executed then */
	INFLIGHT_ANSWERING, /* executed; answered if the ring's rsp_prod is beyond `response` */
};

/* Numbers are the host's own: the file does not outlive it. */
struct inflight_entry {
	blkif_request_t slot; /* the copy of the guest's request, in the x86_64 layout */
	uint64_t request;     /* its index in the ring, counted on in 64 bits */
	uint32_t response;    /* of its answer, as the ring counts; while ANSWERING */
	uint32_t state;
};

struct inflight_table {
	char magic[8];
	uint32_t version;
	uint32_t serving; /* 0: nothing is in flight, whatever else the table says, and whatever its version */
	char resource[136]; /* its name, filled up with NUL */
	uint32_t domid, order, port, zero;
	uint32_t ref[1u << RING_ORDER_MAX];
	uint64_t req_cons; /* requests below it are consumed */
	uint32_t abi; /* of the ring's slots, enum slot_abi; 0 in the tables of programs that knew no other */
	uint16_t queue;	   /* the ring's number among those of the disk */
	uint16_t others; /* how many other queues the disk has, each with a table of its own */
	uint8_t room[3848]; /* 0 */
	struct inflight_entry entry[REQUESTS_MAX];
};
static_assert(sizeof(struct inflight_entry) == 128, "an entry is two cache lines");
static_assert(offsetof(struct inflight_table, entry) == INFLIGHT_HEADER, "the header is a page");
static_assert(sizeof(((struct inflight_table *)0)->resource) > METADATA_NAME_MAX, "a name and a NUL");

/* ---- the file ---- */

/* The table of a queue of the resource with this minor, which is unique on this host: an idle one, or, to `go_on`, as an earlier daemon
 * left it. Where /run has no room (logged), one that dies with this process: the guest then has to be started anew after the
 * daemon's next start. NULL: no memory. */
struct inflight_table *inflight_open(unsigned int minor, unsigned int queue, const char *resource, bool go_on);
void inflight_close(struct inflight_table *t); /* the file stays; NULL is allowed */
void inflight_forget(unsigned int minor, unsigned int queue); /* removes the file */

/* Whether a daemon can go on with what the files of so many queues have about a guest of domain `domid`, as far as can be said without its
 * rings. 0, or -ENOENT or -EINVAL with words. Any thread. */
int inflight_look(unsigned int minor, unsigned int queues, const char *resource, uint32_t domid, char *why, size_t why_size);

/* ---- the ring that it is about ---- */

struct inflight_left {	    /* what an earlier daemon left */
	bool new_ring;	    /* the frontend has made a new ring since: nobody waits for what was in the old one */
	uint64_t req_cons;
	unsigned int count; /* unanswered requests, to be executed (again), */
	uint16_t tag[REQUESTS_MAX]; /* in the order of the ring: indices of entries, each TAKEN */
};

/* From here on the table is this ring's, which has no request in flight; the first to be consumed is `req_cons`. */
void inflight_begin(struct inflight_table *t, const struct ring_params *ring, uint32_t req_cons);

/* The ring's own indices, read once, say which answers the guest has seen. What the table says is not trusted (P4). 0: the
 * table is this ring's, and only the requests in `out` are in flight. -ESTALE with words: which ones are cannot be told. */
int inflight_recover(struct inflight_table *t, const struct ring_params *ring, uint32_t rsp_prod, uint32_t req_prod,
		     struct inflight_left *out, char *why, size_t why_size);

/* ---- the stores ---- */

/*
 * A process that dies leaves what it has stored, in the order of its program; only the compiler must be kept from changing
 * that order, which costs no instruction.  A test dies at each of these places.
 */
#ifndef INFLIGHT_DIE_HERE
#define INFLIGHT_DIE_HERE() ((void)0)
#endif

static inline void inflight_fence(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	INFLIGHT_DIE_HERE();
}

static inline void inflight_set_state(struct inflight_entry *e, enum inflight_state state)
{
	inflight_fence();
	__atomic_store_n(&e->state, (uint32_t)state, __ATOMIC_RELAXED);
	inflight_fence();
}

/* The next request is consumed: its entry is TAKEN. */
static inline void inflight_consume(struct inflight_table *t)
{
	inflight_fence();
	__atomic_store_n(&t->req_cons, t->req_cons + 1, __ATOMIC_RELAXED);
	inflight_fence();
}

/* Nothing is in flight, or nobody waits for what is. */
static inline void inflight_idle(struct inflight_table *t)
{
	inflight_fence();
	__atomic_store_n(&t->serving, 0, __ATOMIC_RELAXED);
	inflight_fence();
}

#endif
