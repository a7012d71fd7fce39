/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handler_helper.h: the process that runs handlers, apart from the daemon that asks for them.
 */
#ifndef DRBDX_BACKEND_HANDLER_HELPER_H
#define DRBDX_BACKEND_HANDLER_HELPER_H

/* Handlers under way, and ended ones whose children still hold their output. */
#define HANDLER_HELPER_JOBS 64u

/* Serves the daemon's end of `socket` (SEQPACKET) until that is closed and no handler is left; takes over
 * the process: all other descriptors but stderr are closed. Never returns. */
void handler_helper_run(int socket) __attribute__((noreturn));

#endif
