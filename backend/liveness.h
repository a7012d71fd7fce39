/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * liveness.h: is the peer there?  Pure: the clock is an argument.
 *
 * Alive means: a byte received, or a byte of ours acknowledged by its TCP.  A quiet line is
 * asked with PING.  A node whose own loop ran late starts the timer again: it may not blame
 * the peer for its own pause.  A live peer with a slow disk is not this file's business.
 */
#ifndef DRBDX_BACKEND_LIVENESS_H
#define DRBDX_BACKEND_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

/* defaults 1500, 500, 300 */
struct liveness_config {
	uint32_t dead_ms;
	uint32_t ping_ms;
	uint32_t late_ms;
};
struct liveness {
	struct liveness_config cfg;
	uint64_t heard_ms, pinged_ms, checked_ms, received, acked;
};

enum liveness_verdict { LIVENESS_ALIVE, LIVENESS_SEND_PING, LIVENESS_DEAD };

void liveness_start(struct liveness *l, const struct liveness_config *cfg, uint64_t now_ms);
/* received: bytes read from the socket so far; acked: bytes that its TCP acknowledged so
 * far (TCP_INFO tcpi_bytes_acked). */
enum liveness_verdict liveness_check(struct liveness *l, uint64_t received, uint64_t acked, uint64_t now_ms);
/* a byte was received just now: no need to wait for the next check */
void liveness_heard(struct liveness *l, uint64_t now_ms);
uint64_t liveness_deadline(const struct liveness *l); /* when to check next */

#endif
