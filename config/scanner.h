/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What drbd.l and drbd.y share: one file that is being read. */
#ifndef DRBDX_CONFIG_SCANNER_H
#define DRBDX_CONFIG_SCANNER_H

#include "config/tree.h"

struct scanner {
	struct config *config;
	const char *file;
	unsigned skip_depth; /* open braces of a skip section */
	const char *got;     /* the token read last, for messages */
};

#endif
