/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenbus.h: the XenBus life of a block backend as one pure table: [phase][event] -> actions and next phase.
 *
 * The caller looks at xenstore as it is now (never at the history of changes, which a guest may flood), turns
 * what it sees into one event, and does what the table says.  After a change of phase it looks again, so a
 * table cell need not remember what the frontend wanted while a ring was being drained.
 *
 *   FOUND ──taken──> WAIT ──ready──> ATTACHING ──attached──> SERVING ──closing──> CLOSING
 *                     ^                  │                     │                     │
 *                     │              (frontend moved)    (6, 1, other ring)       (6, 1)
 *                     │                  └──────> DETACHING <──┴─────────────────────┘
 *                     │                               │ unmapped
 *                     ├──1, 3, 4── CLOSED <──6── DETACHED
 *   online=0, any phase ──> RELEASING ──> RELEASED ──> OFFLINE (6), then the directory goes
 *   directory gone, any phase ──> LEAVING ──> forgotten
 *
 * Invariants
 *   1. 4 is written only after the resource answered that the ring is being served (P2: only then may a
 *      guest request run).
 *   2. 6 is written only when no page of the guest is mapped: frontends free the ring when they read it.
 *   3. Whatever the guest writes, nothing but its own disk is affected (P4).
 */
#ifndef DRBDX_XENSTORE_XENBUS_H
#define DRBDX_XENSTORE_XENBUS_H

#include <stdint.h>

enum xenbus_state {		/* values of a `state` node; xen/io/xenbus.h */
	XENBUS_UNKNOWN = 0,
	XENBUS_INITIALISING = 1,
	XENBUS_INITWAIT = 2,
	XENBUS_INITIALISED = 3,
	XENBUS_CONNECTED = 4,
	XENBUS_CLOSING = 5,
	XENBUS_CLOSED = 6,
	XENBUS_RECONFIGURING = 7,
	XENBUS_RECONFIGURED = 8,
};

/* X(name, what).  "settled" phases are those whose own `state` node must read as published. */
#define XENBUS_PHASES(X) \
	X(FOUND,	"directory seen; being taken from xen-blkback; state as found") \
	X(WAIT,		"state 2: features published, no ring") \
	X(ORPHANED,	"state 4 left by an earlier daemon: no ring, the guest's I/O waits") \
	X(ATTACHING,	"the resource was asked to attach the ring") \
	X(SERVING,	"state 4: the ring is served") \
	X(CLOSING,	"state 5: the frontend is closing, the ring is still served") \
	X(CLOSING_IDLE,	"state 5: the frontend is closing, there is no ring") \
	X(FAILED,	"state 5: refused with words in the error node; no ring") \
	X(DETACHING,	"the ring is being drained and unmapped") \
	X(DETACHED,	"the ring is unmapped; the frontend's present state decides what comes next") \
	X(CLOSED,	"state 6: may be opened again") \
	X(RELEASING,	"the toolstack removes the device: the resource is being released") \
	X(RELEASED,	"the resource is released; state 6 comes next") \
	X(OFFLINE,	"state 6 for good: the toolstack removes the directory") \
	X(LEAVING,	"the directory is gone: the resource is being released")
enum xenbus_phase {
#define X(name, what) XENBUS_PHASE_##name,
	XENBUS_PHASES(X)
#undef X
	XENBUS_PHASE_COUNT
};

#define XENBUS_EVENTS(X) \
	X(TAKEN,	"no other driver has the device") \
	X(DISTURBED,	"our state was changed by someone else, or xen-blkback took the device") \
	X(OFFLINE,	"online=0") \
	X(VANISHED,	"the directory is gone, or is another one at the same path") \
	X(FE_INIT,	"frontend 1") \
	X(FE_IDLE,	"frontend 2") \
	X(FE_EARLY,	"frontend 3 or 4, block-drbdx has not finished") \
	X(FE_READY,	"frontend 3 or 4 with a ring that is not attached") \
	X(FE_SAME,	"frontend 3 or 4 with the attached ring") \
	X(FE_BAD,	"frontend 3 or 4 with keys that cannot be served") \
	X(FE_CLOSING,	"frontend 5") \
	X(FE_CLOSED,	"frontend 6") \
	X(FE_GONE,	"frontend 0 or without a state") \
	X(FE_GARBAGE,	"frontend in a state that a block frontend does not have") \
	X(ATTACHED,	"the resource serves the ring") \
	X(ATTACH_FAILED, "the resource could not attach the ring") \
	X(DETACHED,	"the ring is unmapped") \
	X(BROKEN,	"the ring is hostile and was detached") \
	X(RELEASED,	"the resource is released")
enum xenbus_event {
#define X(name, what) XENBUS_EVENT_##name,
	XENBUS_EVENTS(X)
#undef X
	XENBUS_EVENT_COUNT,
	XENBUS_EVENT_NONE = XENBUS_EVENT_COUNT	/* nothing to do; not in the table */
};

enum {				/* actions; done in this order */
	XENBUS_ALARM	= 1u << 0,	/* say loudly that someone else changed our state */
	XENBUS_TAKE	= 1u << 1,	/* take the device from xen-blkback (again) */
	XENBUS_ERROR	= 1u << 2,	/* the reason into the error node */
	XENBUS_DETACH	= 1u << 3,	/* answered by DETACHED */
	XENBUS_RELEASE	= 1u << 4,	/* answered by RELEASED; unmaps the ring too */
	XENBUS_PUBLISH	= 1u << 5,	/* features and state 2 */
	XENBUS_CONNECT	= 1u << 6,	/* features, geometry and state 4 */
	XENBUS_WRITE_5	= 1u << 7,
	XENBUS_WRITE_6	= 1u << 8,
	XENBUS_RESTORE	= 1u << 9,	/* what was published last, again */
	XENBUS_ATTACH	= 1u << 10,	/* answered by ATTACHED or ATTACH_FAILED */
	XENBUS_FORGET	= 1u << 11,	/* free the device; always the last */
	XENBUS_ODD	= 1u << 12,	/* cannot happen: say so in the log, change nothing */
	XENBUS_DEFINED	= 1u << 15,	/* set in every cell */
};

struct xenbus_cell { uint16_t actions; uint8_t next; };

/* Pure.  phase < XENBUS_PHASE_COUNT, event < XENBUS_EVENT_COUNT. */
struct xenbus_cell xenbus_step(enum xenbus_phase phase, enum xenbus_event event);

const char *xenbus_phase_name(enum xenbus_phase phase);
const char *xenbus_phase_what(enum xenbus_phase phase);
const char *xenbus_event_name(enum xenbus_event event);
const char *xenbus_event_what(enum xenbus_event event);

#endif
