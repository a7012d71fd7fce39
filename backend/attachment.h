/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attachment.h: what a later daemon must know of a guest's attachment, and of the token: one small file a resource, in
 * /run.
 *
 * It outlives the daemon and dies with the host, as the guest and its ring do (docs/HANDOVER.md, section 2).
 */
#ifndef DRBDX_BACKEND_ATTACHMENT_H
#define DRBDX_BACKEND_ATTACHMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/replicate.h"

#define ATTACHMENT_PATTERN "/run/drbdx/minor-*.attachment"

struct attachment_record {
	bool attached; /* a guest is, that of `domid`; if not, of `core` only what attachment_of_host() keeps counts */
	uint32_t domid; /* 0: Domain 0 itself */
	struct attachment core;
	bool held; /* the ring is held: nothing beyond `mark` (free-running, as req_prod) may be consumed */
	uint32_t mark;
	unsigned int others; /* queues of the disk beside the first one, */
	uint32_t more_marks[QUEUES_MAX - 1]; /* whose marks these are */
	bool secure; /* the guest may have been offered secure discards: their flag is never ignored */
};

/* `minor` is the resource's, unique on this host. Read: 0, -ENOENT, or -EINVAL for a file that is not ours
 * (logged). A record that cannot be written is logged and is not there: the guest has to be started anew. */
int attachment_read(unsigned int minor, struct attachment_record *out);
/* The same without a log, with words. */
int attachment_look(unsigned int minor, struct attachment_record *out, char *why, size_t why_size);
void attachment_write(unsigned int minor, const struct attachment_record *record);
/* The guest is gone; what is not of an attachment stays. */
void attachment_forget(unsigned int minor, const struct attachment *core);
/* What is not of an attachment: confirmed and known. */
struct attachment attachment_of_host(const struct attachment *core);

/* Whether something may be unanswered in the ring: then the table of requests in flight says what (inflight.h). */
bool attachment_needs_table(const struct attachment_record *record);

#endif
