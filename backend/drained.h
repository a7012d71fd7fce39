/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drained.h: a note, in /run, that a daemon which stopped in good order left a guest's ring with nothing
 * unanswered in it, so that a later daemon may go on with that ring.
 *
 * A killed daemon leaves no note: which of the ring's slots it had executed cannot be told from the ring, so
 * that guest's ring must never be served again.  The note dies with the host, and is taken away before the
 * ring is served.
 */
#ifndef DRBDX_BACKEND_DRAINED_H
#define DRBDX_BACKEND_DRAINED_H

#include <stdbool.h>
#include <stdint.h>

/* `minor` is the resource's, unique on this host; `domid` the guest's. A note that cannot be written is not
 * there: the guest has to be started anew. */
void drained_record(unsigned int minor, uint32_t domid);
bool drained_recorded(unsigned int minor, uint32_t domid);
void drained_forget(unsigned int minor);

#endif
