/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's end of a disk; see frontend.h. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "frontend.h"
#include "model.h"
#include "toolstack.h"

#define INDIRECT_PAGE	SEGS_MAX	/* index of the page after the data pages */
#define BIT(n)		(1u << (n))

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void fe_violation(struct frontend *fe, const char *f, ...)
{
	va_list ap;

	if (fe->violations++)
		return;
	va_start(ap, f);
	vsnprintf(fe->message, sizeof(fe->message), f, ap);
	va_end(ap);
	fprintf(stderr, "blkfront-sim: VIOLATION: %s\n", fe->message);
}

/* Xenstore. */

bool fe_write(struct frontend *fe, const char *key, const char *value)
{
	char *path = fmt("%s/%s", fe->fe_path, key);
	bool ok = node_write(fe->xs, XBT_NULL, path, value);

	free(path);
	return ok;
}

bool fe_write_int(struct frontend *fe, const char *key, long long value)
{
	char *s = fmt("%lld", value);
	bool ok = fe_write(fe, key, s);

	free(s);
	return ok;
}

/* Only while the directory is there: a guest cannot make it again after the toolstack has removed it. */
void fe_set_state(struct frontend *fe, int state)
{
	char *backend = fmt("%s/backend", fe->fe_path), *path = fmt("%s/state", fe->fe_path);
	char *value = fmt("%d", state), *there;
	xs_transaction_t t;
	unsigned len;

	do {
		t = xs_transaction_start(fe->xs);
		there = xs_read(fe->xs, t, backend, &len);
		if (there)
			node_write(fe->xs, t, path, value);
		free(there);
	} while (!xs_transaction_end(fe->xs, t, !there) && errno == EAGAIN);
	free(backend);
	free(path);
	free(value);
}

void fe_remove(struct frontend *fe, const char *key)
{
	char *path = fmt("%s/%s", fe->fe_path, key);

	xs_rm(fe->xs, XBT_NULL, path);
	free(path);
}

static char *be_read(struct frontend *fe, const char *key)
{
	char *path = fmt("%s/%s", fe->be_path, key), *s = node_read(fe->xs, path);

	free(path);
	return s;
}

int be_read_int(struct frontend *fe, const char *key, int missing)
{
	char *s = be_read(fe, key);
	int v = s ? atoi(s) : missing;

	free(s);
	return v;
}

/* Where xenbus drivers leave their errors: error/<path of the node>/error, below the backend's domain. */
char *be_error(struct frontend *fe)
{
	const char *rel = strlen(fe->be_path) > 16 ? fe->be_path + strlen("/local/domain/0/") : "";
	char *path = fmt("/local/domain/0/error/%s/error", rel), *s = node_read(fe->xs, path);

	free(path);
	return s;
}

static void watch_backend(struct frontend *fe)
{
	char *path = fmt("%s/state", fe->be_path);

	xs_watch(fe->xs, path, "be");
	free(path);
}

int fe_init(struct frontend *fe, const struct fe_config *cfg)
{
	char *path;
	int64_t page;
	int rc;

	memset(fe, 0, sizeof(*fe));
	fe->cfg = *cfg;
	fe->xs = xs_open(0);
	if (!fe->xs)
		return -errno;
	fe->fe_path = fmt("/local/domain/%u/device/vbd/%u", cfg->domid, cfg->devid);
	path = fmt("%s/backend", fe->fe_path);
	fe->be_path = node_read(fe->xs, path);
	free(path);
	if (!fe->be_path)
		return -ENOENT;
	fe->guest = sim_guest_get((uint16_t)cfg->domid);
	if (!fe->guest)
		return -ESRCH;
	rc = sim_evtchn_open(&fe->ev, (uint16_t)cfg->domid, true);
	if (rc < 0)
		return rc;
	page = sim_pages_alloc(fe->guest, cfg->depth * (SEGS_MAX + 1) + FE_QUEUES_MAX * RING_PAGES_MAX);
	if (page < 0)
		return (int)page;
	fe->most = cfg->depth;
	for (unsigned i = 0; i < FE_QUEUES_MAX; i++)
		fe->q[i].ring_page = (uint32_t)page + i * RING_PAGES_MAX;
	fe->req = calloc(cfg->depth, sizeof(*fe->req));
	for (unsigned i = 0; i < cfg->depth; i++) {
		fe->req[i].first_page = (uint32_t)page + FE_QUEUES_MAX * RING_PAGES_MAX + i * (SEGS_MAX + 1);
		fe->req[i].floor = calloc(SEGS_MAX * SECTORS_PER_PAGE, sizeof(uint32_t));
	}
	fe->next_id = 0x5eed000000000000ull;
	watch_backend(fe);
	return 0;
}

/* Ring and states. */

static int make_queue(struct frontend *fe, struct fe_queue *q)
{
	unsigned pages = 1u << fe->cfg.ring_order;
	struct blkif_sring *s = sim_page(fe->guest, q->ring_page);

	memset(s, 0, (size_t)pages * SIM_PAGE);
	XEN_FRONT_RING_INIT(&q->ring, s, (size_t)pages * SIM_PAGE);
	for (unsigned i = 0; i < pages; i++) {
		int64_t ref = sim_grant_give(fe->guest, 0, q->ring_page + i, false);

		if (ref < 0)
			return (int)ref;
		q->ring_ref[i] = (uint32_t)ref;
	}
	q->port = sim_evtchn_alloc(&fe->ev, 0);
	return q->port < 0 ? q->port : 0;
}

/* Of all its queues: as many as it wants and the backend offers. */
int fe_make_ring(struct frontend *fe)
{
	int rc = 0, most = be_read_int(fe, "multi-queue-max-queues", 1);

	fe->queues = fe->cfg.queues && (int)fe->cfg.queues < most ? fe->cfg.queues : fe->cfg.queues ? (unsigned)most : 1;
	fe->next_queue = 0;
	for (unsigned i = 0; !rc && i < fe->queues; i++)
		rc = make_queue(fe, &fe->q[i]);
	return rc;
}

/* A single queue has its keys in the directory itself. */
static void queue_write_int(struct frontend *fe, unsigned queue, const char *name, long long value)
{
	char *key = fe->queues > 1 ? fmt("queue-%u/%s", queue, name) : fmt("%s", name);

	fe_write_int(fe, key, value);
	free(key);
}

static void publish_queue(struct frontend *fe, unsigned queue)
{
	const struct fe_queue *q = &fe->q[queue];
	unsigned pages = 1u << fe->cfg.ring_order;
	char key[32];

	if (fe->cfg.ring_order == 0 && (fe->cfg.old_keys || fe->cfg.order0_ring_ref)) {
		queue_write_int(fe, queue, "ring-ref", q->ring_ref[0]);
	} else {
		for (unsigned i = 0; i < pages; i++) {
			snprintf(key, sizeof(key), "ring-ref%u", i);
			queue_write_int(fe, queue, key, q->ring_ref[i]);
		}
	}
	queue_write_int(fe, queue, "event-channel", q->port);
}

void fe_publish(struct frontend *fe)
{
	if (fe->cfg.ring_order || !fe->cfg.old_keys) {
		fe_write_int(fe, "ring-page-order", fe->cfg.ring_order);
		if (fe->cfg.num_ring_pages)
			fe_write_int(fe, "num-ring-pages", 1u << fe->cfg.ring_order);
	}
	if (fe->cfg.queues)
		fe_write_int(fe, "multi-queue-num-queues", fe->queues);
	for (unsigned i = 0; i < fe->queues; i++)
		publish_queue(fe, i);
	if (*fe->cfg.protocol)
		fe_write(fe, "protocol", fe->cfg.protocol);
	fe_write_int(fe, "feature-persistent", 0);
}

static void unpublish(struct frontend *fe)
{
	static const char *const keys[] = { "ring-ref", "ring-page-order", "num-ring-pages", "event-channel", "multi-queue-num-queues",
					    "queue-0", "queue-1", "queue-2", "queue-3" };
	char key[32];

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		fe_remove(fe, keys[i]);
	for (unsigned i = 0; i < RING_PAGES_MAX; i++) {
		snprintf(key, sizeof(key), "ring-ref%u", i);
		fe_remove(fe, key);
	}
}

static void drop_queue(struct frontend *fe, struct fe_queue *q)
{
	for (unsigned i = 0; i < RING_PAGES_MAX; i++) {
		if (q->ring_ref[i] && sim_grant_end(fe->guest, q->ring_ref[i]) == -EBUSY)
			fe_violation(fe, "ring page %u is still mapped after backend state %d", i,
				     fe->be_state);
		q->ring_ref[i] = 0;
	}
	if (q->port > 0)
		sim_evtchn_unbind(&fe->ev, (uint32_t)q->port);
	q->port = 0;
}

/* The rings are ours again; a backend that still maps one is in the wrong. */
void fe_drop_ring(struct frontend *fe)
{
	for (unsigned i = 0; i < FE_QUEUES_MAX; i++)
		drop_queue(fe, &fe->q[i]);
	fe->connected = false;
}

int fe_wait_backend(struct frontend *fe, unsigned mask, int timeout_ms)
{
	int64_t end = now_ns() + (int64_t)timeout_ms * 1000000;

	for (;;) {
		int64_t left = end - now_ns();
		int state = be_read_int(fe, "state", 0);

		fe->be_state = state;
		if (state >= 0 && state < 16 && (mask & BIT(state)))
			return state;
		if (left <= 0)
			return -ETIMEDOUT;
		fe_wait(fe, -1, (int)(left / 1000000) + 1);
	}
}

int fe_read_features(struct frontend *fe)
{
	char *s = be_read(fe, "sectors");

	if (!s)
		return -ENOENT;
	fe->sectors = strtoull(s, NULL, 10);
	free(s);
	fe->sector_size = (uint32_t)be_read_int(fe, "sector-size", 0);
	fe->info = (uint32_t)be_read_int(fe, "info", -1);
	fe->flush = be_read_int(fe, "feature-flush-cache", 0) == 1;
	fe->barrier = be_read_int(fe, "feature-barrier", 0) == 1;
	fe->discard = be_read_int(fe, "feature-discard", 0) == 1;
	fe->discard_secure = fe->discard && be_read_int(fe, "discard-secure", 0) == 1;
	fe->max_indirect = (uint32_t)be_read_int(fe, "feature-max-indirect-segments", 0);
	if (fe->cfg.no_indirect)
		fe->max_indirect = 0;
	if (fe->max_indirect > SEGS_MAX)
		fe->max_indirect = SEGS_MAX;
	if (!fe->sectors || fe->sector_size < 512 || fe->sector_size % 512 || (int32_t)fe->info < 0)
		return -EPROTO;
	return 0;
}

static int ring_order_offered(struct frontend *fe)
{
	int max = be_read_int(fe, "max-ring-page-order", 0);

	if ((int)fe->cfg.ring_order <= max)
		return 0;
	fprintf(stderr, "blkfront-sim: ring order %u is not offered (max-ring-page-order %d)\n",
		fe->cfg.ring_order, max);
	return -EOPNOTSUPP;
}

/* The state that the frontend takes with its ring, and for which backend states it waited before. */
static int go_initialised(struct frontend *fe, int timeout_ms)
{
	int rc;

	if (fe->cfg.style == STYLE_LINUX) {
		rc = fe_wait_backend(fe, BIT(2) | BIT(4), timeout_ms);
		if (rc < 0)
			return rc;
	}
	if (fe->cfg.ring_order) {
		rc = ring_order_offered(fe);
		if (rc < 0)
			return rc;
	}
	rc = fe_make_ring(fe);
	if (rc < 0)
		return rc;
	fe_publish(fe);
	fe_set_state(fe, fe->cfg.style == STYLE_JUMP4 ? 4 : 3);
	if (fe->cfg.style == STYLE_NETBSD)
		fe_set_state(fe, 4);
	return 0;
}

int fe_connect(struct frontend *fe, int timeout_ms)
{
	unsigned wanted = BIT(4), fatal = BIT(5) | BIT(6);
	int rc = go_initialised(fe, timeout_ms);

	fe->closed_by_backend = false;
	if (rc < 0)
		return rc;
	rc = fe_wait_backend(fe, wanted | fatal, timeout_ms);
	if (rc < 0)
		return rc;
	if (rc != 4)
		return -ECONNREFUSED;
	rc = fe_read_features(fe);
	if (rc < 0)
		return rc;
	if (fe->cfg.style == STYLE_LINUX)
		fe_set_state(fe, 4);
	fe->connected = true;
	return 0;
}

/* Requests that were not answered are forgotten: their grants go without a judgement. */
static void forget_requests(struct frontend *fe)
{
	for (unsigned i = 0; i < fe->cfg.depth; i++) {
		struct request *r = &fe->req[i];

		for (uint32_t s = 0; r->busy && s < r->nsegs; s++)
			sim_grant_end(fe->guest, r->ref[s]);
		if (r->busy && r->slot_op == BLKIF_OP_INDIRECT)
			sim_grant_end(fe->guest, r->indirect_ref);
		r->busy = false;
	}
	fe->in_flight = 0;
}

int fe_close(struct frontend *fe, int timeout_ms)
{
	int rc = 0;

	if (fe->cfg.style != STYLE_GRUB && !fe->closed_by_backend) {
		fe_set_state(fe, 5);
		rc = fe_wait_backend(fe, BIT(5) | BIT(6) | BIT(0), timeout_ms);
	}
	if (rc >= 0) {
		fe_set_state(fe, 6);
		rc = fe_wait_backend(fe, BIT(6) | BIT(0), timeout_ms);
	}
	if (rc >= 0) {
		forget_requests(fe);
		fe_drop_ring(fe);
		unpublish(fe);
	}
	return rc < 0 ? rc : 0;
}

/* Slots. Those of x86_32 have 108 bytes, since a 64-bit field is aligned to 4 there: the same fields, without the padding behind the
 * first four bytes. Both rings have 32 slots a page, so the macros' indices serve for both. */

static bool x86_32(const struct frontend *fe)
{
	return !*fe->cfg.protocol || !strcmp(fe->cfg.protocol, "x86_32-abi");
}

uint8_t *fe_slot(struct frontend *fe, const struct fe_queue *q, RING_IDX index)
{
	return (uint8_t *)q->ring.sring->ring + (size_t)(index & (RING_SIZE(&q->ring) - 1)) * (x86_32(fe) ? 108 : 112);
}

size_t fe_in_slot(const struct frontend *fe, size_t offset)
{
	return x86_32(fe) && offset > 4 ? offset - 4 : offset;
}

static void put_slot(struct frontend *fe, struct fe_queue *q, const void *slot)
{
	uint8_t *at = fe_slot(fe, q, q->ring.req_prod_pvt++);
	const uint8_t *from = slot;

	if (x86_32(fe)) {
		memcpy(at, from, 4);
		memcpy(at + 4, from + 8, 104);
	} else {
		memcpy(at, from, 112);
	}
}

/* Its fields are at the same places in both. */
static struct blkif_response get_response(struct frontend *fe, const struct fe_queue *q, RING_IDX index)
{
	const uint8_t *at = fe_slot(fe, q, index);
	struct blkif_response rsp = { .operation = at[8] };

	memcpy(&rsp.id, at, sizeof(rsp.id));
	memcpy(&rsp.status, at + 10, sizeof(rsp.status));
	return rsp;
}

/* Requests. */

uint8_t *fe_request_data(struct frontend *fe, struct request *r)
{
	return (uint8_t *)sim_page(fe->guest, r->first_page) + r->offset * SECTOR;
}

/* The next queue that has room, in turn; -1: none has. */
static int queue_with_room(struct frontend *fe)
{
	for (unsigned i = 0; i < fe->queues; i++) {
		unsigned queue = fe->next_queue++ % fe->queues;

		if (!RING_FULL(&fe->q[queue].ring))
			return (int)queue;
	}
	return -1;
}

struct request *fe_request_get(struct frontend *fe)
{
	int queue = fe->connected && fe->in_flight < fe->most ? queue_with_room(fe) : -1;

	for (unsigned i = 0; queue >= 0 && i < fe->cfg.depth; i++)
		if (!fe->req[i].busy) {
			fe->req[i].offset = fe->offset;
			fe->req[i].queue = (unsigned)queue;
			return &fe->req[i];
		}
	return NULL;
}

/* A write's pages are granted for reading only, every second time: a backend needs no more. */
static void grant_segments(struct frontend *fe, struct request *r, struct blkif_request_segment *seg)
{
	bool readonly = r->op == BLKIF_OP_WRITE && (r->id >> 10 & 1);
	uint32_t left = r->sectors, first = r->offset;

	for (uint32_t i = 0; i < r->nsegs; i++) {
		int64_t ref = sim_grant_give(fe->guest, 0, r->first_page + i, readonly);
		uint32_t n = left < SECTORS_PER_PAGE - first ? left : SECTORS_PER_PAGE - first;

		if (ref < 0)
			abort();
		r->ref[i] = (uint32_t)ref;
		seg[i] = (struct blkif_request_segment){ .gref = r->ref[i],
							 .first_sect = (uint8_t)first,
							 .last_sect = (uint8_t)(first + n - 1) };
		left -= n;
		first = 0;
	}
}

static void slot_indirect(struct frontend *fe, struct request *r, struct blkif_request *slot)
{
	struct blkif_request_indirect *ind = (struct blkif_request_indirect *)slot;

	grant_segments(fe, r, sim_page(fe->guest, r->first_page + INDIRECT_PAGE));
	r->indirect_ref = (uint32_t)sim_grant_give(fe->guest, 0, r->first_page + INDIRECT_PAGE, true);
	ind->operation = BLKIF_OP_INDIRECT;
	ind->indirect_op = r->op;
	ind->nr_segments = (uint16_t)r->nsegs;
	ind->id = r->id;
	ind->sector_number = r->sector;
	ind->handle = (uint16_t)fe->cfg.devid;
	ind->indirect_grefs[0] = r->indirect_ref;
}

static void slot_direct(struct frontend *fe, struct request *r, struct blkif_request *slot)
{
	slot->operation = r->op;
	slot->nr_segments = (uint8_t)r->nsegs;
	slot->handle = (uint16_t)fe->cfg.devid;
	slot->id = r->id;
	slot->sector_number = r->sector;
	grant_segments(fe, r, slot->seg);
}

static void slot_discard(struct frontend *fe, struct request *r, struct blkif_request *slot)
{
	struct blkif_request_discard *d = (struct blkif_request_discard *)slot;

	d->operation = BLKIF_OP_DISCARD;
	d->flag = r->secure ? BLKIF_DISCARD_SECURE : 0;
	d->handle = (uint16_t)fe->cfg.devid;
	d->id = r->id;
	d->sector_number = r->sector;
	d->nr_sectors = r->sectors;
}

void fe_request_put(struct frontend *fe, struct request *r, uint8_t op, uint64_t sector, uint32_t sectors)
{
	struct blkif_request slot;

	r->busy = true;
	r->op = op;
	r->sector = sector;
	r->sectors = sectors;
	r->nsegs = sectors && op != BLKIF_OP_DISCARD ? (r->offset + sectors + SECTORS_PER_PAGE - 1) / SECTORS_PER_PAGE : 0;
	r->id = (fe->next_id++ << 10) | (uint64_t)(r - fe->req);
	r->slot_op = r->nsegs > BLKIF_MAX_SEGMENTS_PER_REQUEST ? BLKIF_OP_INDIRECT : op;
	r->issued_ns = now_ns();
	memset(&slot, 0, sizeof(slot));
	if (r->slot_op == BLKIF_OP_INDIRECT)
		slot_indirect(fe, r, &slot);
	else if (op == BLKIF_OP_DISCARD)
		slot_discard(fe, r, &slot);
	else
		slot_direct(fe, r, &slot);
	put_slot(fe, &fe->q[r->queue], &slot);
	fe->in_flight++;
}

void fe_raw_put(struct frontend *fe, const struct blkif_request *slot)
{
	put_slot(fe, &fe->q[fe->raw_queue % fe->queues], slot);
}

void fe_notify(struct frontend *fe)
{
	for (unsigned i = 0; i < fe->queues; i++)
		sim_evtchn_send(&fe->ev, (uint32_t)fe->q[i].port);
}

void fe_push(struct frontend *fe)
{
	int notify;

	for (unsigned i = 0; i < fe->queues; i++) {
		struct fe_queue *q = &fe->q[i];

		RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&q->ring, notify);
		if (notify)
			sim_evtchn_send(&fe->ev, (uint32_t)q->port);
	}
}

static void end_grants(struct frontend *fe, struct request *r)
{
	for (uint32_t i = 0; i < r->nsegs; i++)
		if (sim_grant_end(fe->guest, r->ref[i]) == -EBUSY)
			fe_violation(fe, "response to id %#llx while grant %u is still in use",
				     (unsigned long long)r->id, r->ref[i]);
	if (r->slot_op == BLKIF_OP_INDIRECT && sim_grant_end(fe->guest, r->indirect_ref) == -EBUSY)
		fe_violation(fe, "response to id %#llx while its indirect page is still in use",
			     (unsigned long long)r->id);
}

static bool raw_response(struct frontend *fe, const struct blkif_response *rsp)
{
	struct raw_response *raw = &fe->raw_rsp[fe->raw_count % RAW_MAX];

	if (!fe->raw)
		return false;
	*raw = (struct raw_response){ .id = rsp->id, .op = rsp->operation, .status = rsp->status };
	fe->raw_count++;
	return true;
}

/* All that was asked before a barrier is answered before it, all that was asked after it is answered after it; of another queue nobody
 * can say from outside what was seen before it. Ids grow. */
static void check_barriers(struct frontend *fe, const struct request *r)
{
	for (unsigned i = 0; i < fe->cfg.depth; i++) {
		const struct request *o = &fe->req[i];

		if (o != r && o->busy && o->queue == r->queue && o->id < r->id && (o->op == BLKIF_OP_WRITE_BARRIER || r->op == BLKIF_OP_WRITE_BARRIER))
			fe_violation(fe, "response to id %#llx (operation %u) before that to id %#llx (operation %u)",
				     (unsigned long long)r->id, r->op, (unsigned long long)o->id, o->op);
	}
}

static void handle_response(struct frontend *fe, unsigned queue, const struct blkif_response *rsp)
{
	struct request *r = &fe->req[(rsp->id & 1023) % fe->cfg.depth];

	if (!r->busy || r->id != rsp->id) {
		if (!raw_response(fe, rsp))
			fe_violation(fe, "response with id %#llx, which is not under way",
				     (unsigned long long)rsp->id);
		return;
	}
	if (r->queue != queue)
		fe_violation(fe, "response to id %#llx of queue %u comes in queue %u", (unsigned long long)rsp->id, r->queue, queue);
	if (rsp->operation != r->op)
		fe_violation(fe, "response to id %#llx says operation %u, not %u",
			     (unsigned long long)rsp->id, rsp->operation, r->op);
	if (rsp->status > 0 || rsp->status < BLKIF_RSP_EOPNOTSUPP)
		fe_violation(fe, "response to id %#llx has status %d", (unsigned long long)rsp->id,
			     rsp->status);
	check_barriers(fe, r);
	end_grants(fe, r);
	r->status = rsp->status;
	r->busy = false;
	fe->in_flight--;
	if (fe->completed)
		fe->completed(fe->ctx, r);
}

static void handle_queue(struct frontend *fe, unsigned queue)
{
	struct blkif_front_ring *ring = &fe->q[queue].ring;
	int more = fe->connected;

	while (more) {
		RING_IDX prod = __atomic_load_n(&ring->sring->rsp_prod, __ATOMIC_ACQUIRE);

		if (RING_RESPONSE_PROD_OVERFLOW(ring, prod) ||
		    prod - ring->rsp_cons > ring->req_prod_pvt - ring->rsp_cons) {
			fe_violation(fe,
				     "rsp_prod %u: more responses than requests (consumed %u, produced %u)",
				     prod, ring->rsp_cons, ring->req_prod_pvt);
			fe->connected = false;
			return;
		}
		while (ring->rsp_cons != prod) {
			struct blkif_response rsp = get_response(fe, &fe->q[queue], ring->rsp_cons);

			ring->rsp_cons++;
			handle_response(fe, queue, &rsp);
		}
		RING_FINAL_CHECK_FOR_RESPONSES(ring, more);
	}
}

void fe_handle_responses(struct frontend *fe)
{
	for (unsigned i = 0; i < fe->queues; i++)
		handle_queue(fe, i);
}

static void handle_event_channel(struct frontend *fe)
{
	uint32_t port;

	if (read(fe->ev.fd, &port, sizeof(port)) != sizeof(port))
		return;
	sim_evtchn_unmask(&fe->ev, port);
	fe_handle_responses(fe);
}

/* As Linux does: what it looks at again when the backend says that it is connected. A disk that became smaller would be
 * taken for one, too. */
static void follow_size(struct frontend *fe)
{
	char *s = be_read(fe, "sectors");
	uint64_t sectors = s ? strtoull(s, NULL, 10) : 0;

	free(s);
	if (sectors < fe->sectors)
		fe_violation(fe, "the disk had %llu sectors, and has %llu", (unsigned long long)fe->sectors, (unsigned long long)sectors);
	else
		fe->sectors = sectors;
}

static void handle_xenstore(struct frontend *fe)
{
	char **w;

	while ((w = xs_check_watch(fe->xs)))
		free(w);
	fe->be_state = be_read_int(fe, "state", 0);
	/* Linux looks at 2 only when it is at 1 itself: a backend that takes another ring goes there and back. */
	if (fe->connected && fe->be_state != 4 && fe->be_state != 2) {
		fe_handle_responses(fe);
		fe->connected = false;
		fe->closed_by_backend = true;
		fe_set_state(fe, 6);	/* as Linux does for backend state 5 */
	} else if (fe->connected && fe->be_state == 4) { /* its state node was written, though it says 4 as before */
		follow_size(fe);
	}
}

bool fe_wait(struct frontend *fe, int extra_fd, int timeout_ms)
{
	struct pollfd p[3] = { { .fd = fe->suspended ? -1 : fe->ev.fd, .events = POLLIN },
			       { .fd = fe->suspended ? -1 : xs_fileno(fe->xs), .events = POLLIN },
			       { .fd = extra_fd, .events = POLLIN } };

	if (poll(p, 3, timeout_ms) <= 0)
		return false;
	if (p[0].revents & POLLIN)
		handle_event_channel(fe);
	if (p[1].revents & POLLIN)
		handle_xenstore(fe);
	return p[2].revents != 0;
}
