/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenbus.c: the table of xenbus.h.
 *
 * ROW takes one cell for every event: a row with a cell too few or too many does not compile.
 * A phase without a row is found by xenbus.test.c (XENBUS_DEFINED is in every cell).
 */
#include "xenstore/xenbus.h"

#include <assert.h>

#define SELF		0xff	/* the row's own phase */
#define GO(phase, acts)	{ (acts) | XENBUS_DEFINED, XENBUS_PHASE_##phase }
#define DO(acts)	{ (acts) | XENBUS_DEFINED, SELF }
#define STAY		DO(0)
#define NO		DO(XENBUS_ODD)

#define ROW(phase, taken, disturbed, offline, vanished, \
	    init, idle, early, ready, same, bad, \
	    closing, closed, gone, garbage, \
	    attached, attach_failed, detached, broken, released) \
	[XENBUS_PHASE_##phase] = { \
		[XENBUS_EVENT_TAKEN] = taken, [XENBUS_EVENT_DISTURBED] = disturbed, \
		[XENBUS_EVENT_OFFLINE] = offline, [XENBUS_EVENT_VANISHED] = vanished, \
		[XENBUS_EVENT_FE_INIT] = init, [XENBUS_EVENT_FE_IDLE] = idle, \
		[XENBUS_EVENT_FE_EARLY] = early, \
		[XENBUS_EVENT_FE_READY] = ready, [XENBUS_EVENT_FE_SAME] = same, [XENBUS_EVENT_FE_BAD] = bad, \
		[XENBUS_EVENT_FE_CLOSING] = closing, [XENBUS_EVENT_FE_CLOSED] = closed, \
		[XENBUS_EVENT_FE_GONE] = gone, [XENBUS_EVENT_FE_GARBAGE] = garbage, \
		[XENBUS_EVENT_ATTACHED] = attached, [XENBUS_EVENT_ATTACH_FAILED] = attach_failed, \
		[XENBUS_EVENT_DETACHED] = detached, [XENBUS_EVENT_BROKEN] = broken, \
		[XENBUS_EVENT_RELEASED] = released, \
	},

/* Short names of the cells that are used most; */
#define REPAIR	(XENBUS_TAKE | XENBUS_RESTORE)
#define REMOVE	GO(RELEASING, XENBUS_RELEASE)
#define LEAVE	GO(LEAVING, XENBUS_RELEASE)
#define DRAIN	GO(DETACHING, XENBUS_DETACH)
#define OPEN	GO(WAIT, XENBUS_PUBLISH)
#define REFUSE	GO(FAILED, XENBUS_ERROR | XENBUS_WRITE_5)
#define ANSWER5	GO(CLOSING_IDLE, XENBUS_WRITE_5)
#define CLOSE	GO(CLOSED, XENBUS_WRITE_6)

/*
 * Columns:
 *	TAKEN, DISTURBED, OFFLINE, VANISHED,
 *	FE_INIT, FE_IDLE, FE_EARLY, FE_READY, FE_SAME, FE_BAD,
 *	FE_CLOSING, FE_CLOSED, FE_GONE, FE_GARBAGE,
 *	ATTACHED, ATTACH_FAILED, DETACHED, BROKEN, RELEASED
 */
static const struct xenbus_cell table[XENBUS_PHASE_COUNT][XENBUS_EVENT_COUNT] = {
	ROW(FOUND,
		OPEN, STAY, REMOVE, LEAVE,
		STAY, STAY, STAY, STAY, NO, STAY,
		STAY, STAY, STAY, STAY,
		NO, NO, NO, NO, STAY)
	ROW(WAIT,
		STAY, DO(REPAIR), REMOVE, LEAVE,
		STAY, STAY, STAY, GO(ATTACHING, XENBUS_ATTACH), NO, REFUSE,
		ANSWER5, CLOSE, CLOSE, DO(XENBUS_ERROR),
		NO, NO, NO, NO, STAY)
	ROW(ORPHANED,
		STAY, DO(REPAIR), REMOVE, LEAVE,
		OPEN, STAY, STAY, GO(ATTACHING, XENBUS_ATTACH), NO, REFUSE,
		ANSWER5, CLOSE, CLOSE, DO(XENBUS_ERROR),
		NO, NO, NO, NO, STAY)
	ROW(ATTACHING,
		STAY, DO(REPAIR), REMOVE, LEAVE,
		DRAIN, STAY, DRAIN, DRAIN, STAY, DRAIN,
		DRAIN, DRAIN, DRAIN, DO(XENBUS_ERROR),
		GO(SERVING, XENBUS_CONNECT), GO(WAIT, XENBUS_ERROR | XENBUS_PUBLISH), NO, NO, STAY)
	ROW(SERVING,
		STAY, DO(XENBUS_ALARM | REPAIR), REMOVE, LEAVE,
		DRAIN, STAY, DRAIN, DRAIN, STAY, DRAIN,
		GO(CLOSING, XENBUS_WRITE_5), DRAIN, DRAIN, DO(XENBUS_ERROR),
		NO, NO, NO, REFUSE, STAY)
	ROW(CLOSING,
		STAY, DO(REPAIR), REMOVE, LEAVE,
		DRAIN, STAY, DRAIN, DRAIN, DRAIN, DRAIN,
		STAY, DRAIN, DRAIN, DO(XENBUS_ERROR),
		NO, NO, NO, GO(CLOSING_IDLE, XENBUS_ERROR), STAY)
	ROW(CLOSING_IDLE,
		STAY, DO(REPAIR), REMOVE, LEAVE,
		OPEN, STAY, OPEN, OPEN, NO, GO(FAILED, XENBUS_ERROR),
		STAY, CLOSE, CLOSE, DO(XENBUS_ERROR),
		NO, NO, NO, NO, STAY)
	/* A hostile ring is not attached again before its frontend has closed or started over. */
	ROW(FAILED,
		STAY, DO(REPAIR), REMOVE, LEAVE,
		OPEN, STAY, STAY, STAY, NO, STAY,
		STAY, CLOSE, CLOSE, STAY,
		NO, NO, NO, NO, STAY)
	ROW(DETACHING,
		STAY, STAY, REMOVE, LEAVE,
		STAY, STAY, STAY, STAY, STAY, STAY,
		STAY, STAY, STAY, STAY,
		STAY, STAY, GO(DETACHED, 0), STAY, STAY)
	ROW(DETACHED,
		STAY, STAY, REMOVE, LEAVE,
		OPEN, OPEN, OPEN, OPEN, NO, REFUSE,
		ANSWER5, CLOSE, CLOSE, REFUSE,
		NO, NO, NO, NO, STAY)
	ROW(CLOSED,
		STAY, DO(REPAIR), REMOVE, LEAVE,
		OPEN, STAY, OPEN, OPEN, NO, REFUSE,
		ANSWER5, STAY, STAY, DO(XENBUS_ERROR),
		NO, NO, NO, NO, STAY)
	ROW(RELEASING,
		STAY, STAY, STAY, GO(LEAVING, 0),
		STAY, STAY, STAY, STAY, STAY, STAY,
		STAY, STAY, STAY, STAY,
		STAY, STAY, STAY, STAY, GO(RELEASED, 0))
	/* Someone set online=1 again: closed, and may be opened once more. */
	ROW(RELEASED,
		STAY, STAY, GO(OFFLINE, XENBUS_WRITE_6), GO(LEAVING, XENBUS_FORGET),
		CLOSE, CLOSE, CLOSE, CLOSE, NO, CLOSE,
		CLOSE, CLOSE, CLOSE, CLOSE,
		NO, NO, NO, NO, STAY)
	ROW(OFFLINE,
		STAY, DO(XENBUS_RESTORE), STAY, GO(LEAVING, XENBUS_FORGET),
		GO(CLOSED, 0), GO(CLOSED, 0), GO(CLOSED, 0), GO(CLOSED, 0), NO, GO(CLOSED, 0),
		GO(CLOSED, 0), GO(CLOSED, 0), GO(CLOSED, 0), GO(CLOSED, 0),
		NO, NO, NO, NO, STAY)
	ROW(LEAVING,
		STAY, STAY, STAY, STAY,
		STAY, STAY, STAY, STAY, STAY, STAY,
		STAY, STAY, STAY, STAY,
		STAY, STAY, STAY, STAY, GO(LEAVING, XENBUS_FORGET))
};

struct xenbus_cell xenbus_step(enum xenbus_phase phase, enum xenbus_event event)
{
	struct xenbus_cell cell;

	assert(phase < XENBUS_PHASE_COUNT && event < XENBUS_EVENT_COUNT);
	cell = table[phase][event];
	if (cell.next == SELF)
		cell.next = phase;
	return cell;
}

#define X(name, what) #name,
static const char *const phase_names[] = { XENBUS_PHASES(X) };
static const char *const event_names[] = { XENBUS_EVENTS(X) };
#undef X
#define X(name, what) what,
static const char *const phase_whats[] = { XENBUS_PHASES(X) };
static const char *const event_whats[] = { XENBUS_EVENTS(X) };
#undef X

const char *xenbus_phase_name(enum xenbus_phase phase)
{
	return phase < XENBUS_PHASE_COUNT ? phase_names[phase] : "?";
}

const char *xenbus_phase_what(enum xenbus_phase phase)
{
	return phase < XENBUS_PHASE_COUNT ? phase_whats[phase] : "?";
}

const char *xenbus_event_name(enum xenbus_event event)
{
	return event < XENBUS_EVENT_COUNT ? event_names[event] : "NONE";
}

const char *xenbus_event_what(enum xenbus_event event)
{
	return event < XENBUS_EVENT_COUNT ? event_whats[event] : "?";
}
