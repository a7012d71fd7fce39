/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * statistics.h: what xentop shows of a disk of kind vbd3: counters in a file of its own, which xentop reads when it likes (docs/XENTOP.md).
 *
 * xentop finds it as /dev/shm/td3-PID/vbd-DOMID-DEVID, PID being what the device's node `kthread-pid` says.  The files are in a directory
 * below /run/drbdx, and /dev/shm, where anybody may make files, has only a link to that: nothing in it is ever opened or followed here.
 */
#ifndef DRBDX_BACKEND_STATISTICS_H
#define DRBDX_BACKEND_STATISTICS_H

#include "backend/request.h"

#define STATISTICS_VERSION 1

struct statistics { /* Xen's order and sizes; numbers are the host's own */
	uint32_t version, zero;
	uint64_t out_of_room;	/* looks at a ring whose next request found no room */
	uint64_t reads, reads_done;
	uint64_t read_sectors, read_us;	/* of those that are done: 512-byte sectors, microseconds */
	uint64_t writes, writes_done;
	uint64_t write_sectors, write_us;
	uint64_t errors;
	uint64_t flags;		/* 0 */
};

/* Control thread. Before the first disk is served, by the only daemon of the host: `directory` (constant, and in a directory that only root
 * writes to) is made, and what an earlier daemon left there and in `shm` is removed. Where that cannot be done it is said, and nothing is shown. */
void statistics_start(const char *directory, const char *shm);
/* For `kthread-pid`; NULL if nothing is shown. The link is made with the first call. */
const char *statistics_name(void);
void statistics_end(void);

/* Owner thread. NULL: it has been said why; the disk is served all the same. */
struct statistics *statistics_open(uint32_t domid, uint32_t devid);
void statistics_close(struct statistics *s, uint32_t domid, uint32_t devid); /* NULL is fine */

/* A few stores for each request; no lock: one thread writes. NULL is fine: the disk is of another kind. */
static inline void statistics_submitted(struct statistics *s, const struct request *req)
{
	if (!s)
		return;
	s->reads += req->op == REQUEST_READ;
	s->writes += req->op == REQUEST_WRITE;
}

static inline void statistics_completed(struct statistics *s, const struct request *req, int rc, uint64_t now_ms)
{
	uint64_t us;

	if (!s)
		return;
	us = (now_ms - req->since_ms) * 1000;
	s->errors += rc != 0;
	if (req->op == REQUEST_READ) {
		s->reads_done++;
		s->read_sectors += rc ? 0 : req->sectors;
		s->read_us += us;
	} else if (req->op == REQUEST_WRITE) {
		s->writes_done++;
		s->write_sectors += rc ? 0 : req->sectors;
		s->write_us += us;
	}
}

static inline void statistics_no_room(struct statistics *s)
{
	if (s)
		s->out_of_room++;
}

#endif
