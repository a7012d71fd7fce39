/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * claim.h: exclusive claims on devices and files (P6).
 *
 * A claim is held by an open file description that a dead process's disk writes keep alive too: for a block
 * device O_EXCL, for a file flock(2).  So a claim that succeeds proves that no write of a predecessor can
 * still reach the disk.  One process claims a metadata device once, however many resources have slots on it.
 */
#ifndef DRBDX_BACKEND_CLAIM_H
#define DRBDX_BACKEND_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct claim {
	int fd;		     /* O_RDWR, O_DIRECT, O_CLOEXEC; -1: none */
	uint64_t bytes;	     /* size */
	uint32_t block_size; /* logical block size: the unit of direct I/O, 512 or 4096 */
};

/* Any thread. Never blocks on another claimant. `shared`: a metadata device, on which
 * several resources of this process have slots; a data disk has one user. 0, -EBUSY
 * (somebody has it), or another negative errno; words that name `path` in `why`. */
int claim_open(const char *path, bool shared, struct claim *out, char *why, size_t why_size);
/* How large it is now: it may have become larger while it was open. 0 or negative errno. */
int claim_measure(struct claim *claim);
void claim_close(struct claim *claim); /* idempotent */

#endif
