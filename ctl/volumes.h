/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * volumes.h: a resource's disk and metadata device, for the verbs that work on them without the daemon.
 */
#ifndef DRBDX_CTL_VOLUMES_H
#define DRBDX_CTL_VOLUMES_H

#include "backend/claim.h"
#include "backend/metadata.h"
#include "ctl/ctl.h"

#define WORDS 1024u

/* What a verb knows of this host: the file, and what the daemon says runs (NULL: none answers). */
struct scene {
	const struct ctl *ctl;
	const struct config *config;
	const json_t *status;
};

struct volumes {
	struct claim data, meta; /* of internal metadata meta is data */
	bool internal, looking;
	struct metadata_geometry geometry;
	uint64_t sectors; /* that a guest's disk can have */
};

/* Reads the configuration, asks the daemon what is up, and calls `one` for each resource that the operands
 * name; the first `names` of them are names. An exit status, the first that is not 0. */
int volumes_each(const struct ctl *ctl, size_t names,
		 int (*one)(const struct scene *scene, const struct config_resource *res));

bool volumes_up(const struct scene *scene, const char *name);

/* Opens both and finds the metadata. For itself alone; -EBUSY if somebody has the disk. 0 or negative errno
 * with words. */
int volumes_claim(const struct scene *scene, const struct config_resource *res, struct volumes *v, char *why);
/* to read only, whoever has them */
int volumes_look(const struct config_resource *res, struct volumes *v, char *why);
void volumes_close(struct volumes *v); /* after either, also a failed one */

/* "slot 0 of /dev/vg0/meta", for words */
const char *volumes_place(const struct volumes *v, const struct config_resource *res, char *words,
			  size_t size);

/* Prints the words of a failed step and says which exit status it is. */
int volumes_failed(const struct config_resource *res, int rc, const char *why);

#endif
