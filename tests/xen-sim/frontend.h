/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's end of a disk: negotiation by xenstore, the ring, grants, and the books about requests.
 *
 * It judges the backend as Linux' xen-blkfront does, and more strictly: an answer with an unknown id or
 * another operation, two answers to one request, an answer while a grant of the request is still in use, more
 * answers than requests, an answer that a barrier should have come before or after, are violations; they are counted and the first is kept in words.
 */
#ifndef TESTS_XEN_SIM_FRONTEND_H
#define TESTS_XEN_SIM_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#define mb()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define rmb()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define wmb()	__atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/io/blkif.h>

#include "standin.h"

#define RING_PAGES_MAX	16u
#define FE_QUEUES_MAX	4u
#define SEGS_MAX	256u
#define SECTORS_PER_PAGE 8u
#define RAW_MAX		1024u

enum style {
	STYLE_LINUX, /* 1, backend 2 -> 3, backend 4 -> 4; close 5, backend 5 or 6 -> 6 */
	STYLE_JUMP4, /* 4 at once, waits for backend 4 (OVMF, mini-os); close 5, 6, 1 */
	STYLE_GRUB,  /* 3 at once, goes on as soon as the backend is not at 2 (or 1); close 6, backend 6, 1 */
	STYLE_NETBSD, /* 3 and 4 at once */
};

struct fe_config {
	unsigned domid, devid;
	enum style style;
	unsigned ring_order;
	unsigned queues;	/* wanted; what is offered is taken, if that is less */
	bool old_keys;		/* order 0: ring-ref, without ring-page-order */
	bool order0_ring_ref;	/* ring-page-order=0 together with ring-ref */
	bool num_ring_pages;	/* FreeBSD's twin of ring-page-order, too */
	char protocol[24];	/* "": none, which means x86_32-abi */
	bool no_indirect;
	unsigned depth, max_segs;
};

struct request {
	bool busy;
	unsigned queue;
	uint64_t id;
	uint8_t op;			/* the one that the answer must name */
	uint8_t slot_op;
	uint32_t nsegs, sectors;
	uint32_t offset;		/* sectors of its first page that are not its data */
	uint64_t sector;
	bool secure;			/* a discard, with that flag */
	uint64_t seq, oldest_seq; /* writes: its own, and of the oldest write under way that it overlaps */
	uint32_t first_page;		/* SEGS_MAX data pages, then one for indirect segments */
	uint32_t ref[SEGS_MAX], indirect_ref;
	uint32_t *floor;		/* reads: model->floor at issue */
	int64_t issued_ns;
	int16_t status;
};

struct raw_response {
	uint64_t id;
	uint8_t op;
	int16_t status;
	uint8_t pad[4];
};

struct fe_queue {
	int port;
	uint32_t ring_page;
	uint32_t ring_ref[RING_PAGES_MAX];
	struct blkif_front_ring ring;
};

struct frontend {
	struct fe_config cfg;
	struct xs_handle *xs;
	char *fe_path, *be_path;
	struct sim_guest *guest;
	struct sim_evtchn ev;
	struct fe_queue q[FE_QUEUES_MAX];
	unsigned queues, next_queue;	/* in use; the next request's */
	uint32_t offset;		/* of the next requests: as of a buffer that does not begin with a page; below 8 */
	bool connected, closed_by_backend;
	bool suspended;			/* nothing that happens is seen */
	int be_state;

	uint64_t sectors;
	uint32_t sector_size, info, max_indirect;
	bool flush, barrier, discard, discard_secure;

	struct request *req;
	unsigned in_flight, most;	/* of cfg.depth, so many are used */
	uint64_t next_id;

	bool raw;			/* unknown ids are kept here instead of being violations */
	unsigned raw_queue;		/* where raw requests go */
	struct raw_response raw_rsp[RAW_MAX];
	unsigned raw_count;

	uint64_t violations;
	char message[256];

	void (*completed)(void *ctx, struct request *r);
	void *ctx;
};

int64_t now_ns(void);		/* CLOCK_BOOTTIME */

int fe_init(struct frontend *fe, const struct fe_config *cfg);
/* Make a ring and ports and go through the states: 0, or a negative errno after timeout_ms. */
int fe_connect(struct frontend *fe, int timeout_ms);
int fe_read_features(struct frontend *fe);
int fe_close(struct frontend *fe, int timeout_ms);
void fe_violation(struct frontend *fe, const char *f, ...) __attribute__((format(printf, 2, 3)));

/* A request that is free and fits in depth and ring, or NULL. */
struct request *fe_request_get(struct frontend *fe);
/* Put it on the ring (not yet seen by the backend): op READ, WRITE, FLUSH, DISCARD; its data are in its pages. */
void fe_request_put(struct frontend *fe, struct request *r, uint8_t op, uint64_t sector, uint32_t sectors);
/* The ring's slots, in the layout of the frontend's protocol: a slot, and where in it what is at `offset` in struct blkif_request is. */
uint8_t *fe_slot(struct frontend *fe, const struct fe_queue *q, RING_IDX index);
size_t fe_in_slot(const struct frontend *fe, size_t offset);
uint8_t *fe_request_data(struct frontend *fe, struct request *r);
void fe_raw_put(struct frontend *fe, const struct blkif_request *slot);
void fe_push(struct frontend *fe);
void fe_notify(struct frontend *fe);

/*
 * Wait at most timeout_ms for events on event channel, xenstore and extra_fd, and handle them; true: extra_fd
 * is readable.
 */
bool fe_wait(struct frontend *fe, int extra_fd, int timeout_ms);
void fe_handle_responses(struct frontend *fe);

/* Xenstore, relative to the frontend's or the backend's directory. */
bool fe_write(struct frontend *fe, const char *key, const char *value);
bool fe_write_int(struct frontend *fe, const char *key, long long value);
void fe_set_state(struct frontend *fe, int state);
void fe_remove(struct frontend *fe, const char *key);
int be_read_int(struct frontend *fe, const char *key, int missing);
char *be_error(struct frontend *fe);

/* The parts of fe_connect, for those who want to do it wrongly. */
int fe_make_ring(struct frontend *fe);
void fe_publish(struct frontend *fe);
void fe_drop_ring(struct frontend *fe);
int fe_wait_backend(struct frontend *fe, unsigned states_mask, int timeout_ms);	/* the state, or -ETIMEDOUT */

#endif
