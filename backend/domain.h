/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domain.h: the one thing that must be known of a domain and is not in xenstore: is it suspended?
 */
#ifndef DRBDX_BACKEND_DOMAIN_H
#define DRBDX_BACKEND_DOMAIN_H

#include <stddef.h>
#include <stdint.h>

/*
 * 0: the domain exists and is shut down with the reason "suspend", so it can put nothing into its rings until the
 * toolstack resumes it (docs/HANDOVER.md, R2). -EBUSY: it runs, or is shut down for another reason; -ENOENT: no
 * such domain; -ENOSYS: nobody here can tell. Words in `why`. Asks the running Xen's libxenctrl, whose ABI changes with every
 * release, through dlopen; where that is not there, `xl list -v`, for at most 2.5 s. Control thread only.
 */
int domain_suspended(uint32_t domid, char *why, size_t why_size);

#endif
