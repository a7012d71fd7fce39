/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Load on a disk, judged by the model; see load.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"
#include "toolstack.h"

#define DISCARD_SECTORS 20480u /* the largest discard: over two boundaries of 4 MiB */

static uint64_t rnd(struct load *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

static void latency_add(struct latencies *t, int64_t ns)
{
	uint64_t us = (uint64_t)ns / 1000 + 1;
	unsigned log = 63 - (unsigned)__builtin_clzll(us);
	unsigned frac = log < 4 ? (unsigned)(us << (4 - log)) & 15 : (unsigned)(us >> (log - 4)) & 15;

	t->bucket[log * 16 + frac]++;
	t->count++;
	if (ns > t->max_ns)
		t->max_ns = ns;
}

/* The upper bound, in microseconds, of the bucket in which this share of all samples ends. */
static uint64_t latency_us(const struct latencies *t, double share)
{
	uint64_t want = (uint64_t)((double)t->count * share), seen = 0;

	for (unsigned i = 0; i < 64 * 16; i++) {
		seen += t->bucket[i];
		if (seen > want)
			return (uint64_t)((double)(1ull << (i / 16)) * (1.0 + (i % 16 + 1) / 16.0));
	}
	return (uint64_t)t->max_ns / 1000;
}

static void complain(struct load *l, const struct request *r, uint64_t sector, const char *what)
{
	if (l->message[0])
		return;
	snprintf(l->message, sizeof(l->message), "%s of sectors %llu+%u, sector %llu: %s",
		 r->op == BLKIF_OP_READ	     ? "read"
		 : r->op == BLKIF_OP_WRITE   ? "write"
		 : r->op == BLKIF_OP_DISCARD ? "discard"
					     : "flush",
		 (unsigned long long)r->sector, r->sectors, (unsigned long long)sector, what);
	fprintf(stderr, "blkfront-sim: %s\n", l->message);
}

/* While a disk erases, what is read may be anything: a read is not ordered with a secure discard that was issued after it. */
static bool may_be_anything(const struct load *l, const struct request *r, uint64_t sector)
{
	return l->secure && l->model.discarded[sector] > r->seq;
}

static void read_completed(struct load *l, struct request *r)
{
	const uint8_t *data = fe_request_data(l->fe, r);

	for (uint32_t i = 0; i < r->sectors; i++) {
		const char *why = model_check(&l->model, r->sector + i, data + i * SECTOR, r->floor[i]);

		if (why && may_be_anything(l, r, r->sector + i))
			continue;
		if (why) {
			l->res.mismatches++;
			complain(l, r, r->sector + i, why);
		} else if (l->job == JOB_VERIFY) {
			model_settle(&l->model, r->sector + i, data + i * SECTOR);
		}
	}
	l->res.reads++;
}

static bool changes(const struct request *r)
{
	return r->op != BLKIF_OP_READ && r->sectors;
}

static void write_completed(struct load *l, struct request *r)
{
	for (uint32_t i = 0; i < r->sectors; i++)
		if (l->model.floor[r->sector + i] < r->oldest_seq)
			l->model.floor[r->sector + i] = (uint32_t)r->oldest_seq;
	*(r->op == BLKIF_OP_DISCARD ? &l->res.discards : &l->res.writes) += 1;
	l->res.barriers += r->op == BLKIF_OP_WRITE_BARRIER;
}

static void completed(void *ctx, struct request *r)
{
	struct load *l = ctx;
	int64_t now = now_ns();

	if (now - l->progress_ns > l->res.longest_gap_ns)
		l->res.longest_gap_ns = now - l->progress_ns;
	l->progress_ns = now;
	l->paused = false;
	latency_add(&l->res.lat, now - r->issued_ns);
	if (r->status != BLKIF_RSP_OKAY) {
		l->res.errors++;
		l->res.unsupported += r->status == BLKIF_RSP_EOPNOTSUPP;
		complain(l, r, r->sector, r->status == BLKIF_RSP_EOPNOTSUPP ? "not supported" : "I/O error");
	} else if (r->op == BLKIF_OP_READ) {
		read_completed(l, r);
	} else if (changes(r)) {
		write_completed(l, r);
	} else {
		l->res.flushes++;
	}
}

int load_init(struct load *l, struct frontend *fe, const char *model_path, uint64_t seed)
{
	uint32_t segs = fe->cfg.max_segs;
	int rc = fe->sectors <= LOAD_SCRATCH ? -ENOSPC : model_open(&l->model, model_path, fe->sectors, seed);

	if (rc < 0)
		return rc;
	l->fe = fe;
	l->random = seed * 0x9e3779b97f4a7c15ull ^ (uint64_t)now_ns();
	l->sectors = fe->sectors - LOAD_SCRATCH;
	if (segs > BLKIF_MAX_SEGMENTS_PER_REQUEST && segs > fe->max_indirect)
		segs = fe->max_indirect > BLKIF_MAX_SEGMENTS_PER_REQUEST ? fe->max_indirect
									 : BLKIF_MAX_SEGMENTS_PER_REQUEST;
	l->max_size = segs * SECTORS_PER_PAGE;
	if (l->max_size > l->sectors)
		l->max_size = (uint32_t)l->sectors;
	fe->completed = completed;
	fe->ctx = l;
	return 0;
}

static int64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int load_follow(struct load *l, const char *model_path)
{
	uint64_t old;
	int rc;

	if (!l->model.h || l->fe->sectors <= l->model.h->sectors)
		return 0;
	old = l->model.h->sectors;
	rc = model_grow(&l->model, model_path, l->fe->sectors);
	if (rc == 0 && !l->first && l->sectors == old - LOAD_SCRATCH)
		l->sectors = l->fe->sectors - LOAD_SCRATCH;
	return rc;
}

void load_start(struct load *l, enum job_kind job, uint64_t ops)
{
	memset(&l->res, 0, sizeof(l->res));
	l->res.started_ns = l->due_ns = now_ns();
	l->res.cpu_ns = cpu_now_ns();
	l->issued = 0;
	l->message[0] = '\0';
	l->job = job;
	l->left = ops;
	if (job == JOB_VERIFY) {
		l->next = l->first;
		l->left = FOREVER;
	}
}

void load_stop(struct load *l)
{
	l->left = 0;
}

static void fill(const struct load *l, struct request *r, uint64_t sector, uint32_t sectors)
{
	uint8_t *data = fe_request_data(l->fe, r);

	for (uint32_t i = 0; i < sectors; i++)
		sector_fill(data + i * SECTOR, l->model.h->seed, sector + i, r->seq);
}

/* A barrier is executed after all that it overlaps in its queue. */
static void issue_change(struct load *l, struct request *r, uint8_t op, uint64_t sector, uint32_t sectors)
{
	uint64_t seq = ++l->model.h->next_seq, oldest = seq;

	for (unsigned i = 0; i < l->fe->cfg.depth; i++) {
		struct request *o = &l->fe->req[i];

		if ((op != BLKIF_OP_WRITE_BARRIER || o->queue != r->queue) && o->busy && changes(o) && o->sector < sector + sectors &&
		    sector < o->sector + o->sectors && o->seq < oldest)
			oldest = o->seq;
	}
	r->seq = seq;
	r->oldest_seq = oldest;
	r->secure = op == BLKIF_OP_DISCARD && l->secure && l->fe->discard_secure;
	if (op != BLKIF_OP_DISCARD)
		fill(l, r, sector, sectors);
	for (uint32_t i = 0; i < sectors; i++) {
		l->model.hi[sector + i] = (uint32_t)seq;
		if (op == BLKIF_OP_DISCARD)
			l->model.discarded[sector + i] = (uint32_t)seq;
	}
	fe_request_put(l->fe, r, op, sector, sectors);
}

static void issue_read(struct load *l, struct request *r, uint64_t sector, uint32_t sectors)
{
	r->seq = l->model.h->next_seq;
	memset(fe_request_data(l->fe, r), 0xa5, (size_t)sectors * SECTOR);
	memcpy(r->floor, l->model.floor + sector, sectors * sizeof(uint32_t));
	fe_request_put(l->fe, r, BLKIF_OP_READ, sector, sectors);
}

/* Where and how much, in multiples of the disk's sector size. */
static void choose(struct load *l, uint32_t most, uint64_t *sector, uint32_t *sectors)
{
	uint32_t unit = l->fe->sector_size / SECTOR;
	uint32_t n = l->size ? l->size : (uint32_t)(rnd(l) % most) + 1;
	uint64_t end = l->first + l->sectors;

	n = n < unit ? unit : n / unit * unit;
	if (n > most)
		n = most / unit * unit;
	if (n > l->sectors)
		n = (uint32_t)l->sectors;
	if (l->sequential || l->job == JOB_VERIFY) {
		if (l->job == JOB_VERIFY)
			n = most;
		if (l->next < l->first || l->next >= end)
			l->next = l->first;
		*sector = l->next;
		*sectors = n < end - l->next ? n : (uint32_t)(end - l->next);
		l->next += *sectors;
	} else {
		*sector = l->first + rnd(l) % (l->sectors - n + 1) / unit * unit;
		*sectors = n;
	}
}

/* Some have no data. */
static void issue_barrier(struct load *l, struct request *r, uint64_t sector, uint32_t sectors)
{
	const uint32_t most = (BLKIF_MAX_SEGMENTS_PER_REQUEST - 1) * SECTORS_PER_PAGE;

	if (rnd(l) % 4 == 0)
		fe_request_put(l->fe, r, BLKIF_OP_WRITE_BARRIER, 0, 0);
	else
		issue_change(l, r, BLKIF_OP_WRITE_BARRIER, sector, sectors < most ? sectors : most);
}

static uint32_t longest(struct load *l, bool discard)
{
	if (!discard)
		return l->max_size - l->fe->offset;
	return l->size || rnd(l) % 4 == 0 ? DISCARD_SECTORS : l->max_size;
}

static void issue_one(struct load *l, struct request *r)
{
	uint64_t sector;
	uint32_t sectors;
	bool write = l->job == JOB_WRITE || (l->job == JOB_MIXED && rnd(l) % 2);
	bool discard = l->job == JOB_DISCARD || (write && l->discard_every && l->fe->discard && rnd(l) % l->discard_every == 0);

	l->issued++;
	if (l->job == JOB_FLUSH || (l->job == JOB_WRITE && l->flush_after && l->issued % (l->flush_after + 1) == 0) ||
	    (l->job == JOB_MIXED && l->flush_every && l->fe->flush && rnd(l) % l->flush_every == 0)) {
		fe_request_put(l->fe, r, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
		return;
	}
	choose(l, longest(l, discard), &sector, &sectors);
	if (discard)
		issue_change(l, r, BLKIF_OP_DISCARD, sector, sectors);
	else if (write && l->barrier_every && l->fe->barrier && rnd(l) % l->barrier_every == 0)
		issue_barrier(l, r, sector, sectors);
	else if (write)
		issue_change(l, r, BLKIF_OP_WRITE, sector, sectors);
	else
		issue_read(l, r, sector, sectors);
	if (l->job == JOB_VERIFY && l->next >= l->first + l->sectors)
		l->left = 1;			/* the caller counts it down: this was the last */
}

void load_reissue(struct load *l, const struct request *old)
{
	struct request *r = fe_request_get(l->fe);

	if (!r)
		abort();		/* they fitted on the ring that they come from */
	r->seq = old->seq;
	r->oldest_seq = old->oldest_seq;
	r->secure = old->secure;
	if (old->op == BLKIF_OP_READ)
		memcpy(r->floor, old->floor, old->sectors * sizeof(uint32_t));
	if (changes(old) && old->op != BLKIF_OP_DISCARD)
		fill(l, r, old->sector, old->sectors);
	else if (old->op == BLKIF_OP_READ)
		memset(fe_request_data(l->fe, r), 0xa5, (size_t)old->sectors * SECTOR);
	fe_request_put(l->fe, r, old->op, old->sector, old->sectors);
	r->issued_ns = old->issued_ns;
}

#define EARLY_NS 1000000 /* poll() waits for whole milliseconds */

static bool due(const struct load *l)
{
	return !l->every_ns || now_ns() + EARLY_NS > l->due_ns;
}

int load_pause_ms(const struct load *l, int most)
{
	int64_t left = (l->due_ns - now_ns()) / 1000000;

	if (!l->job || !l->left || !l->every_ns || left > most)
		return most;
	return left < 0 ? 0 : (int)left;
}

void load_measure(struct load *l)
{
	memset(&l->res.lat, 0, sizeof(l->res.lat));
}

bool load_issue(struct load *l)
{
	struct request *r;
	bool any = false;

	while (l->job && l->left && !l->fe->suspended && due(l) && (r = fe_request_get(l->fe))) {
		if (l->fe->in_flight == 0 && !l->paused)
			l->progress_ns = now_ns();
		issue_one(l, r);
		if (l->every_ns) {
			if (l->due_ns < r->issued_ns)
				r->issued_ns = l->due_ns;
			l->due_ns += l->every_ns;
		}
		if (l->left != FOREVER)
			l->left--;
		any = true;
	}
	if (any)
		fe_push(l->fe);
	return l->job && (l->left || l->fe->in_flight) && l->fe->connected && !l->fe->violations;
}

bool load_ok(const struct load *l)
{
	return !l->res.errors && !l->res.mismatches && !l->fe->violations && l->fe->connected;
}

static char *json_string(const char *s)
{
	char *out = malloc(strlen(s) * 2 + 3), *p = out;

	*p++ = '"';
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			*p++ = '\\';
		*p++ = (unsigned char)*s < 32 ? ' ' : *s;
	}
	strcpy(p, "\"");
	return out;
}

char *load_json(const struct load *l, const char *what)
{
	const struct results *r = &l->res;
	const struct frontend *fe = l->fe;
	int64_t gap = r->longest_gap_ns, now = now_ns();
	char *cmd = json_string(what);
	char *msg = json_string(fe->message[0] ? fe->message : l->message), *out;

	if (fe->in_flight && now - l->progress_ns > gap)
		gap = now - l->progress_ns;
	out = fmt("{\"ok\":%s,\"command\":%s,\"ops\":%llu,\"reads\":%llu,\"writes\":%llu,\"flushes\":%llu,\"barriers\":%llu,\"discards\":%llu,"
		  "\"errors\":%llu,\"unsupported\":%llu,\"mismatches\":%llu,\"violations\":%llu,\"in_"
		  "flight\":%u,"
		  "\"longest_gap_ms\":%.3f,\"elapsed_ms\":%.3f,\"cpu_ms\":%.3f,\"p50_us\":%llu,\"p99_us\":%llu,\"max_us\":%lld,\"connected\":%s,"
		  "\"backend_state\":%d,\"sectors\":%llu,\"message\":%s}",
		  load_ok(l) ? "true" : "false", cmd, (unsigned long long)(r->reads + r->writes + r->flushes + r->discards),
		  (unsigned long long)r->reads, (unsigned long long)r->writes, (unsigned long long)r->flushes,
		  (unsigned long long)r->barriers, (unsigned long long)r->discards, (unsigned long long)r->errors, (unsigned long long)r->unsupported,
		  (unsigned long long)r->mismatches, (unsigned long long)fe->violations, fe->in_flight,
		  (double)gap / 1e6, (double)((fe->in_flight ? now : l->progress_ns) - r->started_ns) / 1e6,
		  (double)(cpu_now_ns() - r->cpu_ns) / 1e6, (unsigned long long)latency_us(&r->lat, 0.5),
		  (unsigned long long)latency_us(&r->lat, 0.99), (long long)(r->lat.max_ns / 1000),
		  fe->connected ? "true" : "false", fe->be_state, (unsigned long long)fe->sectors, msg);
	free(cmd);
	free(msg);
	return out;
}
