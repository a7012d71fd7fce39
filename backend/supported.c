/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * supported.c: what the file may say but this version does not do, beyond what config/ itself refuses.
 */
#include "backend/supported.h"

#include <errno.h>
#include <stdio.h>

int supported_check(const struct config_resource *cfg, char *why, size_t why_size)
{
	if (cfg->refused) {
		snprintf(why, why_size, "%s", cfg->refused);
		return -EOPNOTSUPP;
	}
	return 0;
}
