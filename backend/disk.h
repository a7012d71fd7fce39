/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.h: the local volume: direct I/O through the owner thread's io_uring.
 */
#ifndef DRBDX_BACKEND_DISK_H
#define DRBDX_BACKEND_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/claim.h"
#include "backend/loop.h"
#include "backend/request.h"

struct disk;
typedef void disk_done_fn(void *ctx, struct request *req, int rc);

/* Claims `path` (P6). `requests`: how many may be in flight. 0 or negative errno with words
 * in `why`; -EBUSY as claim_open(). */
int disk_open(const char *path, struct loop *loop, unsigned int requests, disk_done_fn *done, void *ctx,
	      struct disk **out, char *why, size_t why_size);
void disk_close(struct disk *disk);			 /* nothing may be in flight */
uint64_t disk_sectors(const struct disk *disk);		 /* 512-byte sectors, rounded down to whole blocks */
int disk_measure(struct disk *disk);			 /* anew: it may have become larger. 0 or negative errno */
uint32_t disk_block_size(const struct disk *disk);	 /* logical, bytes */
const struct claim *disk_claim(const struct disk *disk); /* for internal metadata */

/* The disk gives space back, in units of so many bytes, as a power of two (DISCARD_UNIT_MIN to _MAX), and what it gave back reads as
 * zeroes, that is certain. 0: it does not; a discard is written then. */
uint8_t disk_discard_unit(const struct disk *disk);
/* It can erase securely (eraser.h). */
bool disk_erases(const struct disk *disk);

/* Read, write, flush or discard; answered by done() with 0 or negative errno, from loop_run(). A write, or a discard, is durable
 * when it is done; with preflush everything completed before it is made durable first. A discard reads as zeroes then; of a secure one
 * req->erase_rc says whether what was there is erased. */
void disk_submit(struct disk *disk, struct request *req);
unsigned int disk_in_flight(const struct disk *disk);

/* The request is not answered any more, and its buffer is another one from now on, if it is in the loop's registered area; what the
 * kernel has of it goes on. False: no memory, nothing has changed. */
bool disk_abandon(struct disk *disk, struct request *req);
/* How many of these the kernel still has, and when the oldest of them was submitted (loop_now_ms()). */
unsigned int disk_abandoned(const struct disk *disk, uint64_t *since_ms);

#endif
