/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * call.h: one question to the daemon on its control socket, with a bound on the wait.  Used by backend-ctl
 * and by block-drbdx.
 */
#ifndef DRBDX_CTL_CALL_H
#define DRBDX_CTL_CALL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC in milliseconds; deadlines are points on it. */
uint64_t call_now_ms(void);

/*
 * Connects to the daemon. A descriptor, or negative errno with words in `why` that say what to do:
 * -ECONNREFUSED and -ENOENT when no daemon
 * runs, -ETIMEDOUT when it does not take the connection.
 */
int call_open(const char *socket_path, uint64_t deadline_ms, char *why, size_t why_size);

/*
 * Sends `request` (its reference is taken) and waits for the answer. 0: *reply is the daemon's object, the
 * caller's; it may say "ok": false.
 * -ETIMEDOUT, -ECONNRESET (the daemon ended), -EPROTO (no JSON object) with words in `why`.
 */
int call_request(int fd, json_t *request, uint64_t deadline_ms, json_t **reply, char *why, size_t why_size);

/* Waits until the daemon has closed the connection. 0 or -ETIMEDOUT. */
int call_await_end(int fd, uint64_t deadline_ms);

#endif
