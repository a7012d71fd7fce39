/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places at which a daemon may be told to die; see death.c. */
#ifndef TESTS_XEN_SIM_DEATH_H
#define TESTS_XEN_SIM_DEATH_H

#include <stdbool.h>

/* Around a call of this kind: map, bind, copy, notify, unmask, submit (to io_uring). */
void die_before(const char *place);
void die_after(const char *place);

#endif
