/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport.h: one authenticated TCP connection to the partner, kept up for ever.  Owner
 * thread only; all I/O through the loop.
 *
 * The node with the lower address listens, the other one connects (again and again); only the
 * configured peer address is accepted.  A newly authenticated connection replaces the old one.
 * INTRO, AUTH, REFUSE, PING, PONG and RESTARTING are dealt with here; every other packet goes to ops->packet().
 */
#ifndef DRBDX_BACKEND_TRANSPORT_H
#define DRBDX_BACKEND_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "backend/liveness.h"
#include "backend/loop.h"
#include "backend/pool.h"
#include "backend/request.h"
#include "backend/wire.h"

/* a time of 0 means the default */
struct transport_config {
	const char *resource, *self_host, *alg, *secret; /* alg, secret NULL: none */
	struct sockaddr_storage self, peer;
	socklen_t self_len, peer_len;
	/* pause between attempts to connect; 500 unless connect-int was set */
	uint32_t retry_ms;
	uint32_t quick_ms;     /* for so long after a connection was lost, and after the start, it is 50 at most; 3000 */
	uint32_t handshake_ms; /* bound on INTRO and AUTH; 3000 */
	struct liveness_config liveness;
	uint16_t version_min, version_max; /* of the protocol; 0: those that this program knows (wire.h) */
};

struct transport_ops {
	void (*connected)(void *ctx); /* authenticated; may send from now on */
	/* A DATA packet's payload is in req->data (peer pool); FLUSH has a request without
	 * data; others NULL. Non-zero: the connection is being closed, and the request is taken
	 * back by the transport. Otherwise it is given back with transport_put_request(). */
	int (*packet)(void *ctx, const struct packet *p, struct request *req);
	/* after connected() only; every send has ended */
	void (*disconnected)(void *ctx, const char *why);
	/* why there is no connection, for status; said again only when it changes; NULL = trying */
	void (*problem)(void *ctx, const char *why);
	/* The partner's program is being replaced, and connects again within so long; comes right before disconnected(). NULL is
	 * allowed. */
	void (*restarts)(void *ctx, uint32_t within_ms);
};

struct transport;

/* Starts listening or connecting, at the first transport_tick(), so that no callback comes from within
 * this call. The strings of `cfg` stay the caller's and must outlive the transport; `peer_pool` must
 * be whole. `window_requests` peer requests with buffers from `peer_pool` may be outstanding. */
int transport_new(const struct transport_config *cfg, struct loop *loop, struct pool *peer_pool,
		  unsigned int window_requests, const struct transport_ops *ops, void *ctx,
		  struct transport **out, char *why, size_t why_size);
/* Ends everything; the caller goes on with loop_run() until transport_idle(), then frees. */
void transport_shutdown(struct transport *t, const char *why);
bool transport_idle(const struct transport *t);
void transport_free(struct transport *t);

/* this node's address (then port) is the lower one: it listens */
bool transport_is_first(const struct transport_config *cfg);

/* Queues a packet; `req` (DATA) keeps its data until the peer has acknowledged it or
 * disconnected() was called. Dropped if not connected. Flushed by transport_flush() at the
 * end of a turn, so that the packets of one turn leave in one sendmsg. */
void transport_send(struct transport *t, const struct packet *p, struct request *req);
void transport_flush(struct transport *t);
bool transport_flushed(const struct transport *t); /* nothing queued waits to be sent */
/* sends REFUSE(why), then disconnected() comes */
void transport_disconnect(struct transport *t, const char *why);
/* Tells a partner that understands it that another program takes our place and connects within so long. To be sent
 * (transport_flushed()) before transport_shutdown(). */
void transport_restarting(struct transport *t, uint32_t within_ms);
/* a peer's request is done: its buffer is free again */
void transport_put_request(struct transport *t, struct request *req);

uint64_t transport_deadline(const struct transport *t);
void transport_tick(struct transport *t, uint64_t now_ms);

uint16_t transport_version(const struct transport *t); /* of the protocol, that is spoken; 0: not connected */
/* For status: "" or the peer's address, bytes sent and received. */
void transport_describe(const struct transport *t, char *out, size_t size);

#endif
