/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attachment.h: what a later daemon must know of a guest's attachment: one small file a resource, in /run.
 *
 * It outlives the daemon and dies with the host, as the guest and its ring do (docs/HANDOVER.md, section 2).
 */
#ifndef DRBDX_BACKEND_ATTACHMENT_H
#define DRBDX_BACKEND_ATTACHMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/replicate.h"

struct attachment_record {
	uint32_t domid;
	struct attachment core;
	/* an orderly stop left nothing unanswered in the ring; a killed daemon leaves this false, and which
	 * slots it had executed cannot be told from the ring, so that ring is never served again */
	bool drained;
	bool held; /* the ring is held: nothing beyond `mark` (free-running, as req_prod) may be consumed */
	uint32_t mark;
};

/* `minor` is the resource's, unique on this host. Read: 0, -ENOENT, or -EINVAL for a file that is not ours
 * (logged). A record that cannot be written is logged and is not there: the guest has to be started anew. */
int attachment_read(unsigned int minor, struct attachment_record *out);
void attachment_write(unsigned int minor, const struct attachment_record *record);
void attachment_forget(unsigned int minor);

/* Whether the ring that it was about may be served on by another daemon; also one that was never served (an
 * arriving guest whose frontend has connected, and waits for the token). */
bool attachment_may_go_on(const struct attachment_record *record);

#endif
