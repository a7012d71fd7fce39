/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handlers.h: runs handlers (handler.h) for the control thread, through a helper process.
 *
 * Control thread only, but for handlers_start(). Times are CLOCK_MONOTONIC in ms.
 */
#ifndef DRBDX_BACKEND_HANDLERS_H
#define DRBDX_BACKEND_HANDLERS_H

#include "backend/handler.h"

/* How many run at the same time; of those whose exit status does not count, half as many: a mail that hangs
 * because the network is down must not keep fence-peer from running. */
#define HANDLERS_RUNNING 32u

struct handlers;

/* How it ended; `r` is valid during the call. May call handlers_run(). */
typedef void handlers_reply_fn(void *ctx, enum handler handler, const struct handler_result *r);

/* Where the service manager starts a helper for whoever connects (drbdx-handlers.socket). */
#define HANDLERS_SOCKET "/run/drbdx-handlers.socket"

/* Connects to a helper outside of the daemon's sandbox at `path`; where nobody listens (NULL, or no service
 * manager), forks one. So this comes before any thread is made, and before a disk or the lock is opened.
 * Negative errno. */
int handlers_start(const char *path, struct handlers **out);
/* No reply comes any more. Handlers that run are left alone. */
void handlers_stop(struct handlers *h);

/* To poll, and for what; fd is -1 when the helper is gone. After an event or at the deadline (UINT64_MAX:
 * none) handlers_dispatch() is to be called. */
int handlers_fd(const struct handlers *h);
short handlers_events(const struct handlers *h);
uint64_t handlers_deadline_ms(const struct handlers *h);
void handlers_dispatch(struct handlers *h, uint64_t now_ms);

/*
 * Runs a handler, at once or when another one has ended. 0: `reply` comes exactly once, never from within
 * this call. Otherwise it does not come, and `why` says in words why nothing is run:
 *   -EINVAL   the request lacks something
 *   -E2BIG    command and environment are too long
 *   -EALREADY this handler still runs for this resource; it also does after a time-out, until it has ended
 *   -EPIPE    the helper is gone
 *   -ENOMEM
 */
int handlers_run(struct handlers *h, const struct handler_request *rq, handlers_reply_fn *reply, void *ctx,
		 uint64_t now_ms, char *why, size_t why_size);

#endif
