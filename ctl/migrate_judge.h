/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * migrate_judge.h: would `xl migrate` of this guest to that host succeed?  Pure: from our daemon's status and
 * from what the host answered, a list of findings in words.
 */
#ifndef DRBDX_CTL_MIGRATE_JUDGE_H
#define DRBDX_CTL_MIGRATE_JUDGE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which the worst of several decides. */
enum finding_class {
	FINDING_GOOD,
	FINDING_WARNING,
	FINDING_FAILED,	 /* somebody does not answer: nothing is known */
	FINDING_REFUSED, /* the migration would fail, or is not possible */
};

struct finding {
	enum finding_class class;
	char *words;
};

struct findings {
	struct finding *list;
	size_t n;
};

struct migration {
	const json_t *document; /* the status of this host's daemon */
	const char *guest;	/* name of the domain */
	unsigned int domid;
	unsigned int disks;  /* drbdx disks that it has by xenstore */
	uint64_t memory_kib; /* 0: not known */
	const char *host;    /* as given to xl */
};

/* What the host's shell is to run: see migrate_judge.c for the answer's format. Shorter than a pipe's buffer.
 */
extern const char migrate_questions[];

/* What this host says about the guest's disks. */
void judge_here(const struct migration *m, struct findings *out);

/* What the host says. `answer`: all that it wrote, which may be incomplete; `ended` says in words how it came
 * to its end ("… ended with exit status 255"). */
void judge_there(const struct migration *m, const char *answer, const char *ended, struct findings *out);

/* One good finding a disk, for when nothing is in the way. */
void judge_good(const struct migration *m, struct findings *out);

enum finding_class findings_worst(const struct findings *f);
void findings_free(struct findings *f);

#endif
