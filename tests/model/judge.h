/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judge.h: the daemon's decision when two nodes meet, for the model.  Small numbers for generations, in the order in which they begin; 0 none.
 */
#ifndef DRBDX_TESTS_MODEL_JUDGE_H
#define DRBDX_TESTS_MODEL_JUDGE_H

struct model_hello {
	unsigned char held, given; /* the token: neither, it is the partner's */
	unsigned char epoch, base, current, bitmap, history[2];
	unsigned char consistent, crashed, marked, diskless, primary, discard, first;
};

/* What model_judge() returns, or-ed; 0: refused. The numbers are degraded.pml's, too. */
#define MODEL_KEEP   1
#define MODEL_ADOPT  2
#define MODEL_RAISE  4
#define MODEL_SOURCE 8
#define MODEL_TARGET 16
#define MODEL_FULL   32
/* Refused, and not for the data: what the two say of the token cannot be. */
#define MODEL_CONTRADICTION 64

int model_judge(const struct model_hello *self, const struct model_hello *peer);

#endif
