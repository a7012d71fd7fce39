/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * takeover.h: keeping xen-blkback away from our devices, through sysfs.
 *
 * xen-blkback probes every vbd of state 1 that the kernel sees, and every vbd without a driver when the
 * module is loaded. It answers the frontend and binds its event channel even without a physical device, so it
 * must let go first: unbinding leaves `state` as it is and frees ring and port (xenbus: allow_rebind).
 */
#ifndef DRBDX_BACKEND_TAKEOVER_H
#define DRBDX_BACKEND_TAKEOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Directory in front of /sys, /proc, /etc … (tests); "" is the real one. The string must stay. */
void takeover_set_root(const char *root);

enum takeover_host {
	TAKEOVER_NO_BUS, /* no xen-backend bus: no kernel backend can come */
	TAKEOVER_LOADED, /* xen-blkback is there: it takes every new vbd first, and is unbound */
	TAKEOVER_BLACKLISTED, /* it is not loaded and will not be by itself */
	TAKEOVER_AUTOLOAD, /* it is not loaded, and the next vbd would load it: that disturbs disks being
			      served */
};
/* `why`: a sentence for the log, with the way out where one is needed. */
enum takeover_host takeover_check(char *why, size_t why_size);

bool takeover_loaded(void);				/* is xen-blkback's driver registered now? */
bool takeover_held(uint32_t domid, uint32_t devid);	/* is vbd-D-V bound to xen-blkback? */
bool takeover_vbd3_seen(uint32_t domid, uint32_t devid); /* is vbd3-D-V on the kernel's bus, where xentop looks? Also without a bus */
/* Unbinds it; waits for xen-blkback to stop its thread and unmap (milliseconds). 0 also if it was not bound.
 */
int takeover_unbind(uint32_t domid, uint32_t devid, char *why, size_t why_size);

#endif
