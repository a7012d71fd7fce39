/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vbd.h: one device, private to device.c, vbd.c, vbd_claim.c and vbd_handover.c.  Control thread only.
 *
 * Two small machines side by side: `phase` is what xenstore and the frontend see (xenstore/xenbus.h), `claim`
 * is what the resource has given us.  They meet in two places: a ring is attached only at CLAIM_DONE, and
 * RELEASED is raised when the claim is back at CLAIM_NONE with no answer outstanding.
 */
#ifndef DRBDX_BACKEND_VBD_H
#define DRBDX_BACKEND_VBD_H

#include <bsd/sys/queue.h>

#include "backend/device.h"
#include "xenstore/store.h"
#include "xenstore/xenbus.h"

enum vbd_kind { VBD_KIND_VBD, VBD_KIND_VBD3, VBD_KINDS };

enum claim {
	CLAIM_NONE,
	CLAIM_ASKED,		/* resource_claim() is under way */
	CLAIM_GRANTED,		/* granted to a block-drbdx that has not said add-done yet */
	CLAIM_DONE,		/* the guest may connect */
	CLAIM_RELEASING,	/* resource_release() is under way, or an answer to an earlier question is */
};

struct waiter {			/* somebody who waits for the release */
	resource_reply_fn *reply;
	void *ctx;
	STAILQ_ENTRY(waiter) link;
};

struct vbd {
	TAILQ_ENTRY(vbd) link;
	struct devices *devices;		/* NULL: the daemon has let go; freed with the last answer */
	enum vbd_kind kind;
	uint32_t domid, devid;
	char path[64];				/* "backend/vbd/D/V", relative to Dom0's directory */
	char object[32];			/* "vbd 3/51714", for the log */
	char frontend[96];
	char resource_name[METADATA_NAME_MAX + 1], guest[128], dev[32];
	char marker[32];
	char script_mode;			/* 'r', 'w', or 0: neither */
	bool cdrom;
	bool no_discard;			/* discard-enable=0, as libxl writes it for "no-discard" */

	enum xenbus_phase phase;
	int published;				/* the state that our node must have; 0: not ours yet */
	int own_state, frontend_state;		/* as seen last; -1: garbage */
	bool hotplug;				/* hotplug-status was "connected" */
	bool marked;				/* our marker is in the directory */
	bool unwritten;				/* what was published last could not be written */
	bool resized;				/* the disk has become larger, which is not published yet */
	bool unseen; /* xenstored lost its contents: no directory, and that says nothing */
	unsigned int completed;			/* 1u << event: answers that have not been acted upon */
	bool touched, running;
	uint64_t found_ms, wake_ms, restore_ms, retry_ms, adopt_ms;

	enum claim claim;
	bool adopted;				/* the present claim was made without block-drbdx */
	bool adoptable;				/* found with a granted disk when the daemon started */
	bool refused;				/* and cannot be: nobody knows what is unanswered in its ring */
	bool undo_write;			/* hotplug-status=error is still to be written */
	struct resource *resource;		/* valid while claim != CLAIM_NONE */
	bool claim_pending, connect_pending, detach_pending, release_pending;
	bool attached;
	struct ring_set rings, seen;		/* attached or being attached; last read from the frontend */
	bool ask_again;				/* vbd_used() could not ask all of them */
	struct vbd_question *question;		/* vbd_handover.c: the first request waits for other disks */
	resource_reply_fn *add_reply;
	void *add_ctx;
	STAILQ_HEAD(, waiter) waiters;

	char why[RESOURCE_TEXT];		/* why it is not being served, for status */
	char error[RESOURCE_TEXT];		/* in the error node */
};

struct devices {
	TAILQ_HEAD(, vbd) list;
	device_find_fn *find;
	void *find_ctx;
	struct store *store;			/* NULL while xenstored is away */
	uint64_t now_ms, retry_ms, ping_ms, away_ms;
	unsigned int serial;			/* makes markers unique */
	bool scanned;				/* the first scan is done */
	bool rescan;
	bool connected_before;
	char problem[200];
};

/* vbd.c */
void vbd_run(struct vbd *v);			/* looks and acts until nothing changes; may free *v */
void vbd_say(struct vbd *v, const char *why);	/* for status; logged when it changes */
struct resource *vbd_resource(const struct vbd *v);
void vbd_resized(void *ctx);			/* struct resource_events */
unsigned int vbd_queues(const struct vbd *v);	/* how many the guest may have */
void vbd_free(struct vbd *v);

/* device.c */
uint64_t vbd_now(struct vbd *v);	/* CLOCK_MONOTONIC, or later if devices_tick() said so */

/* vbd_claim.c */
void vbd_claim(struct vbd *v, struct resource *r, bool adopt);
void vbd_adopt(struct vbd *v);			/* claims a disk that was granted before the daemon started */
void vbd_attach(struct vbd *v);
void vbd_detach(struct vbd *v);
void vbd_release(struct vbd *v);
void vbd_undo(struct vbd *v, const char *why);
void vbd_write_undo(struct vbd *v);
bool vbd_pending(const struct vbd *v);		/* is an answer outstanding? */

/* vbd_handover.c; the last three are struct resource_events */
void vbd_claimant(struct vbd *v, struct claimant *c);
bool vbd_alone(const struct vbd *v);			/* the guest has no other disk of ours */
bool uuid_parse(const char *text, uint8_t *uuid);	/* 32 hexadecimal digits, with or without dashes */
bool name_is_incoming(const char *name);
void vbd_look_suspended(void *ctx, uint64_t query, const uint8_t *uuid);
void vbd_used(void *ctx);
void vbd_outdated(void *ctx, const char *why);
void vbd_question_drop(struct vbd *v);

#endif
