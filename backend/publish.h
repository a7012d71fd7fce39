/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * publish.h: what our side of the XenBus directory says.
 */
#ifndef DRBDX_BACKEND_PUBLISH_H
#define DRBDX_BACKEND_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/metadata.h"
#include "xenstore/store.h"

#define PUBLISH_MARKER                                                                                       \
	"drbdxd" /* our name for a directory: another directory at the same path does not have it */

struct publication {
	const struct features *features;
	const char *marker;
	bool geometry;		/* with sectors, sector-size … (state 4); they are not known before */
	const char *statistics; /* for xentop (statistics.h), with the geometry; NULL: none */
	bool read_only, cdrom;
	bool no_discard;	/* the guest's configuration says so */
	int state;		/* 0: do not touch */
};

/* All of it in one transaction; -ENOENT when the directory is gone. */
int publish(struct store *s, const char *path, const struct publication *p);
int publish_state(struct store *s, const char *path, int state);

/* What is offered for a disk that nobody knows: block-drbdx refuses it in words later. */
void publish_default_features(struct features *out);

#endif
