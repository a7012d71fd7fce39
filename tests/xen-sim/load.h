/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Load on a disk, judged by the model: what was acknowledged must be read again. */
#ifndef TESTS_XEN_SIM_LOAD_H
#define TESTS_XEN_SIM_LOAD_H

#include "frontend.h"
#include "model.h"

#define FOREVER UINT64_MAX
#define LOAD_SCRATCH                                                                                         \
	2048u /* sectors at the end of the disk that are left to attacks (hostile.h), and not in the model   \
	       */

enum job_kind { JOB_NONE, JOB_WRITE, JOB_READ, JOB_MIXED, JOB_VERIFY, JOB_FLUSH, JOB_DISCARD };

/* Latencies in buckets of 1/16 of a power of two microseconds. */
struct latencies {
	uint64_t bucket[64 * 16], count;
	int64_t max_ns;
};

struct results {
	uint64_t reads, writes, flushes, barriers, discards, errors, unsupported, mismatches;
	int64_t longest_gap_ns;
	int64_t started_ns, cpu_ns;	/* cpu: of this process, when it started */
	struct latencies lat;
};

struct load {
	struct frontend *fe;
	struct model model;
	uint64_t first, sectors;	/* the range that is used, 512-byte sectors */
	uint32_t size, max_size;	/* of a request in sectors; size 0: any up to max_size */
	unsigned flush_every;		/* in mixed load, 0: never */
	unsigned flush_after;		/* so many writes of a load that only writes, 0: never */
	unsigned barrier_every;		/* of the writes, 0: none is a barrier */
	bool secure;			/* the discards are, where that is offered */
	unsigned discard_every;		/* instead of a write, where discards are offered; 0: never */
	bool sequential;
	int64_t every_ns; /* a request each; 0: as soon as the ring has room. One that is late counts from when it was due */
	bool paused; /* from a suspension to the first answer after it, which ends one gap */
	uint64_t random, next;		/* next: of a sequential pass */

	enum job_kind job;
	uint64_t left;			/* operations still to issue */
	uint64_t issued;
	int64_t due_ns; /* when the next request is, of a load with a pace */
	int64_t progress_ns; /* last completion, or when the first request of a busy time was issued */
	struct results res;
	char message[256];		/* the first mismatch or error in words */
};

int load_init(struct load *l, struct frontend *fe, const char *model_path, uint64_t seed);
int load_follow(struct load *l, const char *model_path); /* the disk may have become larger: all of it is used */
void load_start(struct load *l, enum job_kind job, uint64_t ops);
void load_stop(struct load *l);		/* issue no more; what is under way still completes */
bool load_issue(struct load *l);	/* what is due and fits on the ring; false: the job is over */
int load_pause_ms(const struct load *l, int most); /* until the next one is due */
void load_measure(struct load *l);	/* latencies count from now on */
bool load_ok(const struct load *l);
/* On a new ring: a request again that had no answer on an earlier one; `old` is not of this frontend. */
void load_reissue(struct load *l, const struct request *old);
/* One JSON object without newline; what: name of the command. */
char *load_json(const struct load *l, const char *what);

#endif
