/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile guest; see hostile.h. Each attack is a function that counts its cases and says in words which of
 * them the backend did not stand. Data of attacks go to the last sectors of the disk, which ordinary load
 * leaves alone.
 *
 * After every attack an ordinary load must work, on the same ring, or on a new one where the attack was on
 * the ring itself.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"
#include "toolstack.h"

#define ANSWER_MS	5000
#define RAW_ID		0xbad0000000000000ull
#define ANY_STATUS	1		/* no backend may answer this: it stands for "whatever" */

struct attack {
	struct load *l;
	struct frontend *fe;
	const char *variant;
	int listener;			/* -1, or it goes on until somebody wants to connect to this */
	unsigned cases, failed;
	char message[256];
	uint64_t next_id;
	uint32_t ref[16];		/* of data pages 0.., for reading and writing */
	bool ring_lost;			/* the ring must be given up by the backend */
};

__attribute__((format(printf, 3, 4)))
static void verdict(struct attack *a, bool good, const char *f, ...)
{
	va_list ap;

	a->cases++;
	if (good)
		return;
	if (!a->failed++) {
		va_start(ap, f);
		vsnprintf(a->message, sizeof(a->message), f, ap);
		va_end(ap);
		fprintf(stderr, "blkfront-sim: hostile: %s\n", a->message);
	}
}

static bool told_to_stop(const struct attack *a)
{
	struct pollfd p = { .fd = a->listener, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Of something that lasts: until the time is up or, in an attack that goes on, until that is over. */
static bool lasts(const struct attack *a, int64_t end)
{
	return a->listener >= 0 ? !told_to_stop(a) : now_ns() < end;
}

static uint64_t scratch(const struct attack *a)
{
	return a->fe->sectors - LOAD_SCRATCH;
}

/* Answers to raw requests beyond 'seen', until there are n or the time is up. */
static bool wait_answers(struct attack *a, unsigned seen, unsigned n, int timeout_ms)
{
	int64_t end = now_ns() + (int64_t)timeout_ms * 1000000;

	while (a->fe->raw_count - seen < n && now_ns() < end && a->fe->connected)
		fe_wait(a->fe, -1, 50);
	return a->fe->raw_count - seen >= n;
}

/* A good one-page request on the scratch area, to be spoilt. */
static struct blkif_request good_request(struct attack *a, uint8_t op)
{
	struct blkif_request q = { .operation = op, .nr_segments = 1, .handle = (uint16_t)a->fe->cfg.devid,
				   .id = RAW_ID | a->next_id++ << 16, .sector_number = scratch(a) };

	for (int i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
		q.seg[i] =
			(struct blkif_request_segment){ .gref = a->ref[i], .first_sect = 0, .last_sect = 7 };
	return q;
}

static struct blkif_request_indirect good_indirect(struct attack *a, uint8_t op)
{
	struct blkif_request_indirect q = { .operation = BLKIF_OP_INDIRECT,
					    .indirect_op = op,
					    .nr_segments = 12,
					    .id = RAW_ID | a->next_id++ << 16,
					    .sector_number = scratch(a),
					    .handle = (uint16_t)a->fe->cfg.devid };
	struct blkif_request_segment *seg = sim_page(a->fe->guest, a->fe->req[0].first_page + 15);

	for (unsigned i = 0; i < SIM_PAGE / sizeof(*seg); i++)
		seg[i] = (struct blkif_request_segment){ .gref = a->ref[i % 12],
							 .first_sect = 0,
							 .last_sect = 7 };
	for (int i = 0; i < BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST; i++)
		q.indirect_grefs[i] = a->ref[15];
	return q;
}

/* One slot, one answer: with its id and this status (or any, or for a wanted error EOPNOTSUPP too). */
static void one(struct attack *a, const void *slot, uint64_t id, int status, const char *what)
{
	unsigned seen = a->fe->raw_count;
	struct raw_response *r;
	bool good;

	fe_raw_put(a->fe, slot);
	fe_push(a->fe);
	if (!wait_answers(a, seen, 1, ANSWER_MS)) {
		verdict(a, false, "%s: no answer (backend state %d)", what, a->fe->be_state);
		return;
	}
	r = &a->fe->raw_rsp[seen % RAW_MAX];
	good = r->id == id && (status == ANY_STATUS || r->status == status ||
			       (status == BLKIF_RSP_ERROR && r->status == BLKIF_RSP_EOPNOTSUPP));
	verdict(a, good, "%s: answer id %#llx status %d, wanted id %#llx status %d", what,
		(unsigned long long)r->id, r->status, (unsigned long long)id, status);
}

static void one_request(struct attack *a, struct blkif_request q, int status, const char *what)
{
	one(a, &q, q.id, status, what);
}

static void one_indirect(struct attack *a, struct blkif_request_indirect q, int status, const char *what)
{
	struct blkif_request slot;

	memset(&slot, 0, sizeof(slot));
	memcpy(&slot, &q, sizeof(q));
	one(a, &slot, q.id, status, what);
}

/* H1: the producer index jumps. */
static void req_prod_jumps(struct attack *a)
{
	struct fe_queue *q = &a->fe->q[a->fe->queues - 1]; /* one of several is enough */
	struct blkif_sring *s = q->ring.sring;
	uint32_t size = RING_SIZE(&q->ring), was = q->ring.req_prod_pvt;

	if (!strcmp(a->variant, "back"))
		was -= 1;
	else if (!strcmp(a->variant, "max"))
		was = UINT32_MAX;
	else
		was += size + 1;
	__atomic_store_n(&s->req_prod, was, __ATOMIC_SEQ_CST);
	fe_notify(a->fe);
	a->ring_lost = true;
	if (strcmp(a->variant, "stay"))
		return;
	/* It does not close, and goes on knocking at the ports that it had. */
	fe_wait_backend(a->fe, 1u << 5 | 1u << 6, ANSWER_MS);
	for (int64_t end = now_ns() + 100000000; lasts(a, end);) {
		fe_notify(a->fe);
		fe_wait(a->fe, -1, 1);
	}
}

struct flipper {
	volatile uint8_t *at;
	size_t len;
	size_t where[4];		/* these bytes alone, if there are any */
	unsigned places;
	uint8_t bits;			/* these alone, 0: all */
	volatile bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	uint64_t x = 88172645463325252ull;

	while (!f->stop) {
		size_t at;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		at = f->places ? f->where[x % f->places] : x % f->len;
		f->at[at] ^= (uint8_t)(1u << (x >> 32) % 8 & (f->bits ? f->bits : 0xff));
	}
	return NULL;
}

/*
 * While these bytes change all the time, the request must be answered once, as the n - 1 before it; what it then does is not
 * foreseen.
 */
static void slot_while_flipping(struct attack *a, const void *slot, struct flipper f, unsigned n)
{
	unsigned seen = a->fe->raw_count;
	pthread_t t;

	fe_raw_put(a->fe, slot);
	pthread_create(&t, NULL, flip, &f);
	fe_push(a->fe);
	verdict(a, wait_answers(a, seen, n, ANSWER_MS), "a slot that changes: no answer (backend state %d)",
		a->fe->be_state);
	f.stop = true;
	pthread_join(t, NULL);
}

/* What the next raw request is put into; from: where in it, as in struct blkif_request. */
static volatile uint8_t *next_slot(struct attack *a, size_t from)
{
	return (volatile uint8_t *)fe_slot(a->fe, &a->fe->q[0], a->fe->q[0].ring.req_prod_pvt) + fe_in_slot(a->fe, from);
}

static void one_while_flipping(struct attack *a, struct blkif_request q, size_t from, size_t len, unsigned n)
{
	struct flipper f = { .at = next_slot(a, from), .len = len };

	slot_while_flipping(a, &q, f, n);
}

/* Its numbers change in their last byte, so that it stays in the area that is ours; its flags altogether. */
static void discard_while_flipping(struct attack *a)
{
	struct blkif_request_discard d = { .operation = BLKIF_OP_DISCARD, .id = RAW_ID | a->next_id++ << 16,
					   .sector_number = scratch(a), .nr_sectors = 8 };
	struct flipper f = { .at = next_slot(a, 0), .places = 3 };
	struct blkif_request slot = { 0 };

	memcpy(&slot, &d, sizeof(d));
	f.where[0] = offsetof(struct blkif_request_discard, flag);
	f.where[1] = fe_in_slot(a->fe, offsetof(struct blkif_request_discard, sector_number));
	f.where[2] = fe_in_slot(a->fe, offsetof(struct blkif_request_discard, nr_sectors));
	slot_while_flipping(a, &slot, f, 1);
}

/* Operation, inner operation and number of segments; or the page that has the segments. */
static void indirect_while_flipping(struct attack *a, bool page)
{
	struct blkif_request_indirect q = good_indirect(a, BLKIF_OP_READ);
	struct flipper f = { .at = next_slot(a, 0), .len = 4 };
	struct blkif_request slot = { 0 };

	memcpy(&slot, &q, sizeof(q));
	if (page)
		f = (struct flipper){ .at = sim_page(a->fe->guest, a->fe->req[0].first_page + 15),
				      .len = 12 * sizeof(struct blkif_request_segment) };
	slot_while_flipping(a, &slot, f, 1);
}

/*
 * H2: the slot changes while it is read. Bytes 16 on are not in the answer's place; operation and count are
 * bytes 0 and 1.
 */
static void slot_flipping(struct attack *a)
{
	for (int i = 0; i < 100 && a->fe->connected && !told_to_stop(a); i++) {
		/* Reads only: a flipped sector number would hit what the load knows. */
		struct blkif_request q = good_request(a, BLKIF_OP_READ);

		q.nr_segments = 11;
		if (i % 2)
			one_while_flipping(a, q, 1, 1, 1);
		else
			one_while_flipping(a, q, 16, 8 + 11 * sizeof(struct blkif_request_segment), 1);
		indirect_while_flipping(a, i % 2);
		if (a->fe->discard)
			discard_while_flipping(a);
	}
}

/* H3: what is left in a slot after its answer is the guest's own bytes or zero. */
static void answer_padding_of(struct attack *a, struct blkif_request q, int status, const char *what)
{
	uint8_t *slot = fe_slot(a->fe, &a->fe->q[0], a->fe->q[0].ring.req_prod_pvt), mine[sizeof(q)];
	size_t size = fe_in_slot(a->fe, sizeof(q)), response = size == sizeof(q) ? 16 : 12;
	bool good = true;

	memset((uint8_t *)&q + 9, 0x5a, 7);	/* also in what stands for the id, which is echoed */
	memset(slot, 0, size);
	fe_raw_put(a->fe, &q);
	memcpy(mine, slot, size);		/* as it lies there */
	a->fe->q[0].ring.req_prod_pvt--;
	one_request(a, q, status, what);
	for (unsigned i = 9; i < size; i++) {
		if (i == 10 || i == 11) /* the status */
			continue;
		good = good && (slot[i] == 0 || slot[i] == mine[i]);
	}
	for (size_t i = response; i < size; i++)
		good = good && slot[i] == mine[i];
	verdict(a, good, "the slot of an answer to %s holds bytes that are neither the guest's nor zero", what);
}

static void answer_padding(struct attack *a)
{
	struct blkif_request_indirect in = good_indirect(a, BLKIF_OP_READ);
	struct blkif_request q = good_request(a, BLKIF_OP_READ), indirect = { 0 };

	memcpy(&indirect, &in, sizeof(in));
	answer_padding_of(a, q, BLKIF_RSP_OKAY, "a good read");
	answer_padding_of(a, indirect, BLKIF_RSP_OKAY, "a good indirect read");
	q.nr_segments = 12;
	answer_padding_of(a, q, BLKIF_RSP_ERROR, "a bad read");
	q = good_request(a, BLKIF_OP_WRITE_BARRIER);
	answer_padding_of(a, q, BLKIF_RSP_OKAY, "a barrier");
	q = good_request(a, BLKIF_OP_FLUSH_DISKCACHE);
	q.nr_segments = 0;
	answer_padding_of(a, q, BLKIF_RSP_OKAY, "a flush");
	q = good_request(a, BLKIF_OP_DISCARD);
	memset(q.seg, 0, sizeof(q.seg));
	q.nr_segments = 0;
	answer_padding_of(a, q, BLKIF_RSP_ERROR, "a discard of nothing");
}

/* H4: numbers of segments. */
static void segment_counts(struct attack *a)
{
	static const uint8_t counts[] = { 0, 12, 33, 255 };
	static const uint16_t indirect[] = { 0, 257, 513, 4096, 65535 };

	for (unsigned i = 0; i < 2 * sizeof(counts); i++) {
		struct blkif_request q = good_request(a, i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ);

		q.nr_segments = counts[i / 2];
		one_request(a, q, BLKIF_RSP_ERROR, "bad number of segments");
	}
	for (unsigned i = 0; i < 2 * sizeof(indirect) / sizeof(indirect[0]); i++) {
		struct blkif_request_indirect q = good_indirect(a, i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ);

		q.nr_segments = indirect[i / 2];
		one_indirect(a, q, BLKIF_RSP_ERROR, "bad number of indirect segments");
	}
}

/* H5: first and last sector of a segment. */
static void segment_bounds(struct attack *a)
{
	static const uint8_t bad[][2] = { { 1, 0 },   { 7, 6 },	    { 0, 8 },	{ 8, 8 },
					  { 0, 255 }, { 255, 255 }, { 255, 0 }, { 9, 8 } };

	for (unsigned i = 0; i < 4 * sizeof(bad) / 2; i++) {
		struct blkif_request q = good_request(a, i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ);
		unsigned at = i & 2 ? 10 : 0;

		q.nr_segments = (uint8_t)(at + 1);
		q.seg[at].first_sect = bad[i / 4][0];
		q.seg[at].last_sect = bad[i / 4][1];
		one_request(a, q, BLKIF_RSP_ERROR, "bad first or last sector");
	}
}

/* H6: sectors that wrap, lie beyond the end, or do not fit the blocks of the disk. */
static void sector_bounds(struct attack *a)
{
	uint64_t n = a->fe->sectors;
	uint64_t bad[] = { UINT64_MAX,
			   UINT64_MAX - 6,
			   UINT64_MAX - 7,
			   1ull << 63,
			   n,
			   n - 7,
			   n + 1,
			   1ull << 55,
			   (1ull << 55) + scratch(a),
			   1ull << 32 | UINT32_MAX };

	for (unsigned i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
		struct blkif_request q = good_request(a, i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ);

		q.sector_number = bad[i / 2];
		one_request(a, q, BLKIF_RSP_ERROR, "sectors that are not there");
	}
	if (a->fe->sector_size > 512) {
		struct blkif_request q = good_request(a, BLKIF_OP_WRITE);

		q.sector_number++;
		one_request(a, q, BLKIF_RSP_ERROR, "misaligned sector");
		for (int op = BLKIF_OP_READ; op <= BLKIF_OP_WRITE; op++) {
			q = good_request(a, (uint8_t)op);
			q.seg[0].last_sect = 0;
			one_request(a, q, BLKIF_RSP_ERROR, "part of a block");
			q = good_request(a, (uint8_t)op);
			q.seg[0].first_sect = 4;
			one_request(a, q, BLKIF_RSP_ERROR, "half a block");
		}
	}
}

/* H7: many requests under way with the same id, in all queues. */
static void same_ids(struct attack *a)
{
	unsigned seen = a->fe->raw_count, good = 0;

	for (unsigned i = 0; i < 16; i++) {
		struct blkif_request q = good_request(a, i / 4 % 2 ? BLKIF_OP_WRITE : BLKIF_OP_READ);

		q.id = RAW_ID | 7u << 16;
		a->fe->raw_queue = i;
		fe_raw_put(a->fe, &q);
	}
	a->fe->raw_queue = 0;
	fe_push(a->fe);
	wait_answers(a, seen, 16, ANSWER_MS);
	for (unsigned i = seen; i < a->fe->raw_count; i++)
		good += a->fe->raw_rsp[i % RAW_MAX].id == (RAW_ID | 7u << 16) &&
			a->fe->raw_rsp[i % RAW_MAX].status == BLKIF_RSP_OKAY;
	verdict(a, good == 16, "16 requests with one id: %u good answers", good);
}

/* How often the backend was woken by the last queue. */
static uint32_t woken(const struct attack *a)
{
	const struct sim_port *port = sim_machine()->port;

	return port[port[a->fe->q[a->fe->queues - 1].port].remote_port].delivered;
}

/* H8: notifications without requests, as fast as they go, for a second; for all queues, or for one of them. The backend hears some, and then
 * one every 5 ms. */
static void event_storm(struct attack *a)
{
	bool one = !strcmp(a->variant, "one");
	int64_t begin = now_ns(), end = begin + 1000000000;
	uint32_t before = woken(a), times;
	unsigned n = 0;

	while (++n % 64 || lasts(a, end)) {
		if (one)
			sim_evtchn_send(&a->fe->ev, (uint32_t)a->fe->q[a->fe->queues - 1].port);
		else
			fe_notify(a->fe);
		if (n % 1024 == 0)
			fe_wait(a->fe, -1, 0);
	}
	times = woken(a) - before;
	verdict(a, times <= 200 + (now_ns() - begin) / 4000000, "%u notifications woke the backend %u times", n, times);
	verdict(a, a->fe->connected, "an event storm ended in backend state %d", a->fe->be_state);
}

/* H9: writes to xenstore, far more than the backend can look at one by one: each is a round trip, which takes long on a host that does much
 * else. */
static void xenstore_storm(struct attack *a)
{
	int64_t end = now_ns() + 20 * INT64_C(1000000000);

	for (unsigned i = 0; (a->listener >= 0 || i < 20000) && lasts(a, end); i++) {
		fe_write_int(a->fe, i & 1 ? "state" : "feature-persistent", i & 1 ? 4 : 0);
		if (i % 64 == 0)
			fe_wait(a->fe, -1, 0);
	}
	verdict(a, a->fe->connected, "a xenstore storm ended in backend state %d", a->fe->be_state);
}

/* The key of the last queue. */
static const char *queue_key(struct attack *a, const char *name)
{
	static char key[64];

	if (a->fe->queues == 1)
		return name;
	snprintf(key, sizeof(key), "queue-%u/%s", a->fe->queues - 1, name);
	return key;
}

/* H10: the frontend's state jumps about, and its ring changes while it is connected. */
static void state_toggling(struct attack *a)
{
	static const int states[] = { 1, 3, 4, 5, 6, 2, 0, 7, 8, 42, -1 };
	uint64_t x = (uint64_t)now_ns() | 1;

	for (unsigned i = 0; i < 400 && !told_to_stop(a); i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		if (x % 5 == 0)
			fe_write_int(a->fe, queue_key(a, "ring-ref"), a->ref[x >> 8 & 7]);
		if (x % 7 == 0 && a->fe->queues > 1)
			fe_write_int(a->fe, "multi-queue-num-queues", x >> 40 & 7);
		fe_set_state(a->fe, states[(x >> 16) % (x % 4 ? 5 : 11)]);
		if (x % 3 == 0)
			fe_wait(a->fe, -1, (int)(x >> 24 & 3));
	}
	a->cases++;
	a->fe->connected = false;
	a->ring_lost = true;
}

/* H11: data that change while they are written: one state of them, the same everywhere. */
static void data_in_flight(struct attack *a)
{
	struct frontend *fe = a->fe;
	struct flipper f = { .at = fe_request_data(fe, &fe->req[0]), .len = 11 * SIM_PAGE };
	pthread_t t;

	pthread_create(&t, NULL, flip, &f);
	for (int i = 0; i < 100 && fe->connected; i++) {
		struct blkif_request q = good_request(a, BLKIF_OP_WRITE);

		q.nr_segments = 11;
		q.sector_number += (uint64_t)(i % 16) * 88;
		one_request(a, q, BLKIF_RSP_OKAY, "a write of changing data");
	}
	f.stop = true;
	pthread_join(t, NULL);
}

/* H21: barriers as no kernel sends them: on data that cannot be, many in a row, and with a slot that changes while it waits its turn. */
static void barriers(struct attack *a)
{
	unsigned seen = a->fe->raw_count, good = 0;
	struct blkif_request q = good_request(a, BLKIF_OP_WRITE_BARRIER);

	q.nr_segments = 12;
	one_request(a, q, BLKIF_RSP_ERROR, "a barrier of 12 segments");
	q = good_request(a, BLKIF_OP_WRITE_BARRIER);
	q.sector_number = UINT64_MAX;
	one_request(a, q, BLKIF_RSP_ERROR, "a barrier beyond the end");
	q = good_request(a, BLKIF_OP_WRITE_BARRIER);
	q.seg[0].gref = UINT32_MAX;
	one_request(a, q, BLKIF_RSP_ERROR, "a barrier whose data cannot be copied");
	one_indirect(a, good_indirect(a, BLKIF_OP_WRITE_BARRIER), BLKIF_RSP_ERROR, "an indirect barrier");
	q = good_request(a, BLKIF_OP_WRITE_BARRIER);
	q.nr_segments = 0;
	one_request(a, q, BLKIF_RSP_OKAY, "an empty barrier");
	seen = a->fe->raw_count;
	for (unsigned i = 0; i < 16; i++) {
		q = good_request(a, i % 4 ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_WRITE);
		q.nr_segments = i % 4 == 1 ? 12 : 1;
		fe_raw_put(a->fe, &q);
	}
	fe_push(a->fe);
	wait_answers(a, seen, 16, ANSWER_MS);
	for (unsigned i = seen; i < a->fe->raw_count; i++)
		good += a->fe->raw_rsp[i % RAW_MAX].status == BLKIF_RSP_OKAY;
	verdict(a, a->fe->raw_count - seen == 16 && good == 12, "16 barriers and writes, 4 of them bad: %u answers, %u good",
		a->fe->raw_count - seen, good);
	for (int i = 0; i < 50 && a->fe->connected; i++) {
		q = good_request(a, BLKIF_OP_READ);
		fe_raw_put(a->fe, &q);
		q = good_request(a, BLKIF_OP_WRITE_BARRIER);
		q.nr_segments = 0;
		one_while_flipping(a, q, 0, 2, 2);
	}
}

/* A single bad grant in a request of many, at every place of those in the slot, and where a batch of the kernel's (16) begins and ends. */
static void bad_at_each_place(struct attack *a)
{
	static const unsigned at[] = { 0, 11, 15, 16, 17, 31, 32, 128, 254, 255 };
	struct blkif_request_segment *seg = sim_page(a->fe->guest, a->fe->req[0].first_page + 15);

	for (unsigned i = 0; i < 2 * 11; i++) {
		struct blkif_request q = good_request(a, i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ);

		q.nr_segments = 11;
		q.seg[i / 2].gref = UINT32_MAX;
		one_request(a, q, BLKIF_RSP_ERROR, "a bad grant at one place");
	}
	for (unsigned i = 0; i < 2 * sizeof(at) / sizeof(at[0]); i++) {
		struct blkif_request_indirect q = good_indirect(a, i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ);

		q.nr_segments = 256;
		seg[at[i / 2]].gref = UINT32_MAX;
		one_indirect(a, q, BLKIF_RSP_ERROR, "a bad grant at one place of 256");
	}
}

/* Of requests that are copied together only those fail that have a bad grant, each at another place. */
static void bad_among_good(struct attack *a)
{
	unsigned seen = a->fe->raw_count, right = 0;

	for (unsigned i = 0; i < 22; i++) {
		struct blkif_request q = good_request(a, i & 2 ? BLKIF_OP_WRITE : BLKIF_OP_READ);

		q.nr_segments = 11;
		if (i & 1)
			q.seg[i / 2].gref = UINT32_MAX;
		q.id = RAW_ID | (uint64_t)i << 16;
		fe_raw_put(a->fe, &q);
	}
	fe_push(a->fe);
	wait_answers(a, seen, 22, ANSWER_MS);
	for (unsigned i = seen; i < a->fe->raw_count; i++) {
		const struct raw_response *r = &a->fe->raw_rsp[i % RAW_MAX];

		right += r->status == (r->id >> 16 & 1 ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
	}
	verdict(a, right == 22, "22 requests, half of them with a bad grant: %u right answers", right);
}

/* H13: grants that are wrong, of somebody else, for reading only, revoked. */
static void bad_grants(struct attack *a)
{
	struct sim_guest *g = a->fe->guest;
	uint32_t page = a->fe->req[0].first_page;
	uint32_t readonly = (uint32_t)sim_grant_give(g, 0, page, true),
		 revoked = (uint32_t)sim_grant_give(g, 0, page, false);
	uint32_t foreign = (uint32_t)sim_grant_give(g, 77, page, false);
	uint32_t bad[] = { UINT32_MAX, 0, 5, SIM_GRANTS, SIM_GRANTS - 1, revoked, foreign };
	struct blkif_request q;

	sim_grant_revoke(g, revoked);
	for (unsigned i = 0; i < 4 * sizeof(bad) / sizeof(bad[0]); i++) {
		q = good_request(a, i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ);
		q.nr_segments = 11;
		q.seg[i & 2 ? 10 : 0].gref = bad[i / 4];
		one_request(a, q, BLKIF_RSP_ERROR, "a grant that may not be used");
	}
	bad_at_each_place(a);
	bad_among_good(a);
	q = good_request(a, BLKIF_OP_READ);
	q.seg[0].gref = readonly;
	one_request(a, q, BLKIF_RSP_ERROR, "a read into a read-only grant");
	q = good_request(a, BLKIF_OP_WRITE);
	q.seg[0].gref = readonly;
	one_request(a, q, BLKIF_RSP_OKAY, "a write from a read-only grant");
	sim_grant_end(g, readonly);
	sim_grant_end(g, revoked);
	sim_grant_end(g, foreign);
}

/* Through close and a new start up to where the frontend would publish its ring. A negative errno. */
static int start_again(struct attack *a)
{
	struct frontend *fe = a->fe;
	int rc = fe_close(fe, ANSWER_MS);

	if (rc < 0)
		return rc;
	fe_set_state(fe, 1);
	rc = fe_wait_backend(fe, 1u << 2, ANSWER_MS);
	return rc < 0 ? rc : 0;
}

static void copy_node(struct frontend *fe, const char *from, const char *to)
{
	char *path = fmt("%s/%s", fe->fe_path, from), *value = node_read(fe->xs, path);

	if (value)
		fe_write(fe, to, value);
	free(value);
	free(path);
}

/* One value in place of a good one ("=KEY": what that key has): the backend must not connect, and a good start afterwards must work. */
static void one_bad_node(struct attack *a, const char *key, const char *value)
{
	struct frontend *fe = a->fe;
	int rc = start_again(a);

	if (rc == 0)
		rc = fe_make_ring(fe);
	verdict(a, rc == 0, "before %s=\"%.20s\": %s (backend state %d)", key, value ? value : "(missing)",
		strerror(-rc), fe->be_state);
	if (rc < 0)
		return;
	fe_publish(fe);
	if (value && *value == '=')
		copy_node(fe, value + 1, key);
	else if (value)
		verdict(a, fe_write(fe, key, value), "cannot write %s: %s", key, strerror(errno));
	else
		fe_remove(fe, key);
	fe_set_state(fe, 3);
	rc = fe_wait_backend(fe, 1u << 4 | 1u << 5 | 1u << 6, 150);	/* at 2 it stays where the ring cannot be attached */
	verdict(a, rc != 4, "backend connected with %s=\"%.20s\"", key, value ? value : "(missing)");
	fe->connected = false;
}

static void bad_nodes(struct attack *a, const char *key, const char *const *values)
{
	bool old = a->fe->cfg.old_keys;

	a->fe->cfg.old_keys = strstr(key, "ring-ref") || old;
	for (; *values && !told_to_stop(a); values++)
		one_bad_node(a, key, *values);
	a->fe->cfg.old_keys = old;
	a->ring_lost = true;
}

/* A ring of 16 pages of which one cannot be mapped. */
static void bad_ring_pages(struct attack *a)
{
	static const char *const pages[] = { "ring-ref0", "ring-ref1", "ring-ref8", "ring-ref15" };
	unsigned order = a->fe->cfg.ring_order;

	a->fe->cfg.ring_order = 4;
	for (unsigned i = 0; i < 4 && !told_to_stop(a); i++)
		one_bad_node(a, queue_key(a, pages[i]), "60000");
	a->fe->cfg.ring_order = order;
}

/* H16: nodes that are missing or nonsense. */
static void bad_node_values(struct attack *a)
{
	static const char *const refs[] = { "",	  "-1", "4294967296", "4294967295", "0", "0x10",
					    " 9", "9 ", "abc",	      "1e3",	    "\xd9\xa9", NULL };
	static const char *const ports[] = { "",     "-1",	   "0",	  "4294967296", "4294967295",
					     "1023", "2147483648", "0x1", "x",		NULL };
	static const char *const protocols[] = { "", "x86_65-abi", "native", "x86_64-abi ", "x86_32", NULL };

	static char digits[2000]; /* oxenstored takes 2048 */

	memset(digits, '1', sizeof(digits) - 1);
	bad_nodes(a, queue_key(a, "ring-ref"), refs);
	bad_nodes(a, queue_key(a, "event-channel"), ports);
	bad_nodes(a, "protocol", protocols);
	one_bad_node(a, queue_key(a, "ring-ref"), NULL);
	one_bad_node(a, queue_key(a, "event-channel"), NULL);
	one_bad_node(a, queue_key(a, "event-channel"), digits);
	bad_ring_pages(a);
}

/* H17: sizes of the ring. */
static void bad_ring_orders(struct attack *a)
{
	static const char *const orders[] = { "-1",	    "5",   "31", "32", "64", "4294967295",
					      "4294967296", "abc", "",	 "1x", NULL };

	bad_nodes(a, "ring-page-order", orders);
}

/* H18: numbers of queues; queues that are missing, or that share what is one's own. */
static void bad_queues(struct attack *a)
{
	static const char *const numbers[] = { "0", "5", "-1", "65535", "65536", "4294967298", "x", "", NULL };
	struct frontend *fe = a->fe;
	unsigned queues = fe->cfg.queues;

	bad_nodes(a, "multi-queue-num-queues", numbers);
	fe->cfg.queues = 1;
	one_bad_node(a, "multi-queue-num-queues", "2"); /* and no queue-0 */
	fe->cfg.queues = 4;
	one_bad_node(a, "queue-3/event-channel", NULL);
	one_bad_node(a, "queue-2/ring-ref", NULL);
	one_bad_node(a, "queue-1/ring-ref", "0");
	one_bad_node(a, "queue-0/ring-ref", "=queue-1/ring-ref");
	one_bad_node(a, "queue-3/ring-ref", "=queue-0/ring-ref");
	one_bad_node(a, "queue-2/event-channel", "=queue-0/event-channel");
	fe->cfg.queues = queues;
}

/* H19: indirect pages and inner operations. */
static void bad_indirect(struct attack *a)
{
	static const uint8_t ops[] = { 2, 3, 5, 6, 7, 255 };
	uint32_t bad[] = { UINT32_MAX, 0, SIM_GRANTS };
	struct blkif_request_segment *seg = sim_page(a->fe->guest, a->fe->req[0].first_page + 15);

	for (unsigned i = 0; i < sizeof(ops); i++)
		one_indirect(a, good_indirect(a, ops[i]), BLKIF_RSP_ERROR, "bad inner operation");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct blkif_request_indirect q = good_indirect(a, BLKIF_OP_READ);

		q.indirect_grefs[0] = bad[i];
		one_indirect(a, q, BLKIF_RSP_ERROR, "bad grant of the indirect page");
		q = good_indirect(a, BLKIF_OP_READ);
		seg[11].gref = bad[i];
		one_indirect(a, q, BLKIF_RSP_ERROR, "bad grant in the indirect page");
		q = good_indirect(a, BLKIF_OP_WRITE);
		seg[3].last_sect = 8;
		one_indirect(a, q, BLKIF_RSP_ERROR, "bad last sector in the indirect page");
	}
	one_indirect(a, good_indirect(a, BLKIF_OP_READ), BLKIF_RSP_OKAY, "a good indirect read");
}

static void one_discard(struct attack *a, uint64_t sector, uint64_t sectors, uint8_t flag, int status, const char *what)
{
	struct blkif_request_discard d = { .operation = BLKIF_OP_DISCARD,
					   .flag = flag,
					   .id = RAW_ID | a->next_id++ << 16,
					   .sector_number = sector,
					   .nr_sectors = sectors,
					   .handle = (uint16_t)a->fe->cfg.devid };
	struct blkif_request slot;

	memset(&slot, 0, sizeof(slot));
	memcpy(&slot, &d, sizeof(d));
	one(a, &slot, d.id, status, what);
}

static void bad_discards(struct attack *a)
{
	uint64_t end = a->fe->sectors;

	one_discard(a, scratch(a), 0, 0, BLKIF_RSP_ERROR, "a discard of nothing");
	one_discard(a, end, 8, 0, BLKIF_RSP_ERROR, "a discard beyond the end");
	one_discard(a, end - 8, 16, 0, BLKIF_RSP_ERROR, "a discard over the end");
	one_discard(a, scratch(a), UINT64_MAX, 0, BLKIF_RSP_ERROR, "a discard that wraps around");
	one_discard(a, scratch(a), (1ull << 32) + 8, 0, BLKIF_RSP_ERROR, "a discard of 2^32 sectors and some");
	one_discard(a, UINT64_MAX - 7, 16, 0, BLKIF_RSP_ERROR, "a discard from before the beginning");
	if (!a->fe->discard)
		return;
	if (a->fe->sector_size > 512) {
		one_discard(a, scratch(a) + 1, 8, 0, BLKIF_RSP_ERROR, "a discard that begins in a block");
		one_discard(a, scratch(a), 9, 0, BLKIF_RSP_ERROR, "a discard that ends in a block");
	}
	one_discard(a, scratch(a), LOAD_SCRATCH, 0, BLKIF_RSP_OKAY, "a large discard");
	one_discard(a, end - 8, 8, 0, BLKIF_RSP_OKAY, "a discard up to the end");
	one_discard(a, scratch(a), 8, BLKIF_DISCARD_SECURE, BLKIF_RSP_OKAY, "a secure discard, offered or not");
	one_discard(a, scratch(a), 8, 0xff, BLKIF_RSP_OKAY, "a discard with unknown flags");
}

/* Operations that are not offered. */
static void unknown_operations(struct attack *a)
{
	static const uint8_t ops[] = { 4, 5, 7, 8, 99, 128, 255 };

	for (unsigned i = 0; i < sizeof(ops); i++) {
		struct blkif_request q = good_request(a, ops[i]);

		if (ops[i] == BLKIF_OP_DISCARD)
			memset(q.seg, 0, sizeof(q.seg)); /* no sectors, where it is offered after all */
		one_request(a, q, BLKIF_RSP_ERROR, "an unknown operation");
	}
}

/* H25: all rings full, and nobody takes the answers out; they fit. */
static void unread_answers(struct attack *a)
{
	struct frontend *fe = a->fe;
	unsigned seen = fe->raw_count, n = 0, there;
	int64_t end = now_ns() + ANSWER_MS * INT64_C(1000000);

	fe->suspended = true;
	for (unsigned i = 0; i < fe->queues; i++)
		for (fe->raw_queue = i; !RING_FULL(&fe->q[i].ring); n++) {
			struct blkif_request q = good_request(a, BLKIF_OP_READ);

			q.nr_segments = 11;
			fe_raw_put(fe, &q);
		}
	fe->raw_queue = 0;
	fe_push(fe);
	do {
		fe_wait(fe, -1, 1);
		fe_notify(fe);
		there = 0;
		for (unsigned i = 0; i < fe->queues; i++)
			there += __atomic_load_n(&fe->q[i].ring.sring->rsp_prod, __ATOMIC_ACQUIRE) - fe->q[i].ring.rsp_cons;
	} while (there < n && now_ns() < end);
	for (unsigned i = 0; i < 1000; i++)
		fe_notify(fe);
	fe->suspended = false;
	fe_handle_responses(fe);
	verdict(a, there == n && fe->raw_count - seen == n, "%u requests whose answers nobody took: %u answers", n, fe->raw_count - seen);
}

/* H29: requests that were in the ring, and a notification that went nowhere, before the backend had the port. */
static void requests_before_the_port(struct attack *a)
{
	struct frontend *fe = a->fe;
	int rc = start_again(a);
	unsigned seen;

	if (rc == 0)
		rc = fe_make_ring(fe);
	verdict(a, rc == 0, "no new start: %s", strerror(-rc));
	if (rc < 0)
		return;
	fe->connected = true;
	seen = fe->raw_count;
	for (unsigned i = 0; i < 4 * fe->queues; i++) {
		struct blkif_request q = good_request(a, BLKIF_OP_READ);

		fe->raw_queue = i;
		fe_raw_put(fe, &q);
	}
	fe->raw_queue = 0;
	fe_push(fe);
	fe_publish(fe);
	fe_set_state(fe, 3);
	rc = fe_wait_backend(fe, 1u << 4, ANSWER_MS);
	fe->connected = true;		/* a backend at 3 looks like one that closes */
	verdict(a, rc == 4 && wait_answers(a, seen, 4 * fe->queues, ANSWER_MS), "requests from before the port was there: %u answers",
		fe->raw_count - seen);
	fe_set_state(fe, 4);
}

/* H31: what the guest says about when it wants to be notified changes all the time; it looks at the ring by itself. */
static void unsteady_rsp_event(struct attack *a)
{
	struct frontend *fe = a->fe;
	struct flipper f = { .at = (volatile uint8_t *)&fe->q[0].ring.sring->rsp_event, .len = sizeof(RING_IDX) };
	unsigned seen = fe->raw_count, n = 0;
	int64_t end = now_ns() + ANSWER_MS * INT64_C(1000000);
	pthread_t t;

	pthread_create(&t, NULL, flip, &f);
	while (n < 400 && fe->connected && now_ns() < end) {
		for (; n < 400 && n - (fe->raw_count - seen) < 8; n++) {
			struct blkif_request q = good_request(a, BLKIF_OP_READ);

			fe_raw_put(fe, &q);
		}
		fe_push(fe);
		fe_wait(fe, -1, 0);
		fe_handle_responses(fe);
	}
	f.stop = true;
	pthread_join(t, NULL);
	while (fe->raw_count - seen < n && fe->connected && now_ns() < end) {
		fe_wait(fe, -1, 1);
		fe_handle_responses(fe);
	}
	fe_handle_responses(fe);	/* and says when it wants to hear of the next one */
	verdict(a, n == 400 && fe->raw_count - seen == n, "%u requests with rsp_event anywhere: %u answers", n, fe->raw_count - seen);
}

/* A disk that may only be read: every way to change it, one of them an operation that changes while it is looked at. */
static void changes_where_only_reading_is_allowed(struct attack *a)
{
	struct blkif_request q = good_request(a, BLKIF_OP_WRITE);

	one_request(a, q, BLKIF_RSP_ERROR, "a write");
	one_indirect(a, good_indirect(a, BLKIF_OP_WRITE), BLKIF_RSP_ERROR, "an indirect write");
	q = good_request(a, BLKIF_OP_WRITE_BARRIER);
	one_request(a, q, BLKIF_RSP_ERROR, "a barrier with data");
	q = good_request(a, BLKIF_OP_FLUSH_DISKCACHE);
	one_request(a, q, BLKIF_RSP_ERROR, "a flush with data");
	one_discard(a, scratch(a), 8, 0, BLKIF_RSP_ERROR, "a discard");
	one_discard(a, scratch(a), 8, BLKIF_DISCARD_SECURE, BLKIF_RSP_ERROR, "a secure discard");
	for (int i = 0; i < 100 && a->fe->connected; i++) {
		struct flipper f = { .at = next_slot(a, 0), .len = 1, .bits = 1 };

		q = good_request(a, BLKIF_OP_READ);
		q.nr_segments = 11;
		slot_while_flipping(a, &q, f, 1);
	}
}

/* What lies behind the end of a disk that becomes larger under the attack: not there, and from some moment on there. */
static void sectors_behind_the_end(struct attack *a)
{
	int64_t end = now_ns() + 1000000000;
	uint64_t behind = a->fe->sectors;
	bool there = false, steady = true;

	while (a->fe->connected && lasts(a, end)) {
		struct blkif_request q = good_request(a, BLKIF_OP_READ);
		unsigned seen = a->fe->raw_count;
		bool good;

		q.sector_number = behind;
		one_request(a, q, ANY_STATUS, "a read behind the end");
		good = a->fe->raw_rsp[seen % RAW_MAX].status == BLKIF_RSP_OKAY;
		steady = steady && (good || !there);
		there = there || good;
	}
	verdict(a, there && steady, "what is behind the end %s", there ? "was there, and was not any more" : "was never there");
}

static const struct {
	const char *name;
	void (*run)(struct attack *a);
} attacks[] = {
	{ "H1", req_prod_jumps },   { "H2", slot_flipping },
	{ "H3", answer_padding },   { "H4", segment_counts },
	{ "H5", segment_bounds },   { "H6", sector_bounds },
	{ "H7", same_ids },	    { "H8", event_storm },
	{ "H9", xenstore_storm },   { "H10", state_toggling },
	{ "H11", data_in_flight },  { "H13", bad_grants },
	{ "H16", bad_node_values }, { "H17", bad_ring_orders },
	{ "H18", bad_queues },	    { "H19", bad_indirect },    { "H21", barriers },
	{ "H22", bad_discards },    { "H25", unread_answers },
	{ "H29", requests_before_the_port },
	{ "H31", unsteady_rsp_event },
	{ "ops", unknown_operations },
	{ "readonly", changes_where_only_reading_is_allowed },
	{ "grow", sectors_behind_the_end },
};

static char *list(void)
{
	char *s = strdup("");

	for (unsigned i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		char *t = fmt("%s%s\"%s\"", s, i ? "," : "", attacks[i].name);

		free(s);
		s = t;
	}
	return fmt("{\"ok\":true,\"attacks\":[%s],\"variants_of_H1\":[\"over\",\"back\",\"max\",\"stay\"]}", s);
}

/* Their numbers have little in common with those of ring pages: where numbers change in flight (H2), a read into a ring would be the
 * guest's own fault. */
static void give_pages(struct attack *a)
{
	uint32_t *next_ref = &a->fe->guest->gnttab->next_ref, next = *next_ref;

	*next_ref = 0x7fc0;
	for (unsigned i = 0; i < 16; i++)
		a->ref[i] = (uint32_t)sim_grant_give(a->fe->guest, 0, a->fe->req[0].first_page + i, false);
	*next_ref = next;
}

static void end_pages(struct attack *a)
{
	for (unsigned i = 0; i < 16; i++)
		if (sim_grant_end(a->fe->guest, a->ref[i]) == -EBUSY)
			verdict(a, false, "a page of an answered request is still in use");
}

/* After an attack on the ring: the backend lets go of it, and serves a new one. */
static void expect_ring_lost(struct attack *a)
{
	struct frontend *fe = a->fe;
	int rc;

	if (fe->connected)
		rc = fe_wait_backend(fe, 1u << 5 | 1u << 6, ANSWER_MS);
	else
		rc = 0;
	verdict(a, rc >= 0, "the backend kept a hostile ring (state %d)", fe->be_state);
	/* After states written in a storm an answer to one of them may be taken for that to the new start: it starts once more. */
	for (int tries = 2; tries && (rc || tries == 2); tries--) {
		fe->connected = false;
		rc = start_again(a);
		if (rc == 0)
			rc = fe_connect(fe, ANSWER_MS);
	}
	verdict(a, rc == 0, "no new connection after the attack: %s (backend state %d)", strerror(-rc),
		fe->be_state);
}

/* Ordinary load, at once and synchronously. */
static void expect_service(struct attack *a)
{
	struct load *l = a->l;
	int64_t end = now_ns() + 10ll * 1000000000;

	load_start(l, a->fe->info & VDISK_READONLY ? JOB_READ : JOB_MIXED, 64);
	while (load_issue(l) && now_ns() < end)
		fe_wait(a->fe, -1, 100);
	verdict(a, load_ok(l) && l->res.reads + l->res.writes >= 64, "ordinary load after the attack: %s",
		l->message[0] ? l->message : a->fe->message[0] ? a->fe->message : "not served");
	l->job = JOB_NONE;
}

static char *run(struct load *l, unsigned which, const char *name, const char *variant, int listener)
{
	struct attack a = { .l = l, .fe = l->fe, .variant = variant, .listener = listener };
	char *out;

	if (!l->fe->connected)
		return fmt("{\"ok\":false,\"hostile\":\"%s\",\"message\":\"not connected\"}", name);
	give_pages(&a);
	l->fe->raw = true;
	do {
		a.ring_lost = false;
		attacks[which].run(&a);
		if (a.ring_lost)
			expect_ring_lost(&a);
	} while (listener >= 0 && !a.failed && !told_to_stop(&a));
	l->fe->raw = false;
	end_pages(&a);
	expect_service(&a);
	for (char *p = a.message; *p; p++)
		if (*p == '"')
			*p = '\'';
	out = fmt("{\"ok\":%s,\"hostile\":\"%s\",\"cases\":%u,\"failed\":%u,\"connected\":%s,\"backend_"
		  "state\":%d,"
		  "\"message\":\"%s\"}",
		  a.failed ? "false" : "true", name, a.cases, a.failed, l->fe->connected ? "true" : "false",
		  l->fe->be_state, a.message);
	return out;
}

char *hostile_run(struct load *l, const char *name, int listener)
{
	char word[32] = "", variant[32] = "";

	sscanf(name, "%31s %31s", word, variant);
	if (!strcmp(word, "list"))
		return list();
	for (unsigned i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		if (!strcmp(attacks[i].name, word))
			return run(l, i, name, variant, listener);
	return fmt("{\"ok\":false,\"hostile\":\"%s\",\"message\":\"no such attack; see hostile list\"}",
		   name);
}
