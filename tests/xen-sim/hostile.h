/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile guest: the hazards of the protocol, by their number. */
#ifndef TESTS_XEN_SIM_HOSTILE_H
#define TESTS_XEN_SIM_HOSTILE_H

#include "load.h"

/*
 * name: "H4", or with a variant as in "H1 back"; "list" prints them. The answer is a JSON object to free.
 * listener: the same again and again, until somebody wants to connect to this socket; -1: once.
 * "ok" says that the backend did what a good backend does: bad requests are answered with an error and the
 * ring lives on, or where the ring itself is hostile, the backend lets go of it.
 */
char *hostile_run(struct load *l, const char *name, int listener);

#endif
