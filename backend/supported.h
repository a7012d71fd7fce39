/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * supported.h: whether this version of the daemon can serve a resource as it is configured.
 */
#ifndef DRBDX_BACKEND_SUPPORTED_H
#define DRBDX_BACKEND_SUPPORTED_H

#include <stddef.h>

#include "config/config.h"

/* 0, or -EOPNOTSUPP with FILE:LINE words: the configuration refused it, or it asks for what is not there yet.
 */
int supported_check(const struct config_resource *cfg, char *why, size_t why_size);

#endif
