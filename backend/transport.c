/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport.c: which TCP connection is the partner's.
 *
 * Invariants
 *  1. At most one link is live: connected() was called for it and disconnected() was not.  Only a live link's
 *     packets reach the owner.
 *  2. A link becomes live after both proofs were right, and after disconnected() for the one before it:
 *     nobody who is not authenticated displaces anything but another one who is not authenticated (P4).
 *  3. disconnected() comes when no operation of that link touches a request's buffer any more (P6: nothing of
 *     an old connection arrives late).
 *  4. The owner is called from callbacks of the loop, from transport_tick() and from transport_flush(), never
 *     from within its own calls.
 *  5. While there is no live link, the owner knows why (P7); every state of a link before LIVE has a bound in
 *     time.
 *
 * A link:   INTRO ─ INTRO fits ─> AUTH ─ proof is right ─> WAITING ─ the live one before it is gone ─> LIVE
 *             └─────────────────────┴─ anything else, or handshake_ms are over: REFUSE with the reason, end
 *
 * The connector proves itself first: the listener, which anybody with the partner's address can reach, shows
 * no proof to one who has none.
 */
#include "backend/transport.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/address.h"
#include "backend/intro.h"
#include "backend/log.h"
#include "backend/stream.h"

#define LINKS 4u			/* the live one, one in its handshake, and what is being closed */
#define STRANGER_LOG_MS 60000u		/* at most one line about strangers in this time */
/* A partner whose daemon has died or is starting has another one in a moment: guests wait for that. So for a while after a
 * connection was lost, and after our own start, it is tried more often. */
#define QUICK_RETRY_MS 50u
#define QUEUE_SPARE 128u /* packets that are neither DATA, FLUSH, READ nor their answers */

enum link_state { LINK_UNUSED, LINK_INTRO, LINK_AUTH, LINK_WAITING, LINK_LIVE, LINK_CLOSED };

struct link {
	struct stream stream;
	struct transport *t;
	enum link_state state;
	uint64_t deadline_ms;		/* end of the handshake */
	uint16_t version;
	struct packet_intro own;
	struct auth_context auth;
	char host[WIRE_HOST + 1];	/* the peer's, once it said so */
	/* a PING is to be answered; only the last one counts, so a flood of them costs nothing */
	bool pong;
	uint64_t cookie;
	uint32_t back_within_ms; /* RESTARTING came; 0: it did not */
};

struct transport {
	struct transport_config cfg;
	struct intro_self intro;
	enum auth_role role;
	char self_text[ADDRESS_TEXT], peer_text[ADDRESS_TEXT];
	struct loop *loop;
	struct transport_ops ops;
	void *ctx;

	struct link links[LINKS], *live, *pending;	/* pending: INTRO, AUTH or WAITING */
	struct liveness liveness;
	uint64_t sent, received;	/* bytes over links that are gone */
	uint64_t heard;			/* bytes received over the live one when the liveness was told last */

	int fd;				/* the listening socket, or the one being connected; -1 none */
	struct loop_op op;		/* accept or connect */
	struct sockaddr_storage from;
	socklen_t from_len;
	uint64_t retry_ms, quick_until_ms, connect_deadline_ms;
	uint64_t stranger_logged_ms;
	uint32_t strangers;

	struct pool *pool;
	size_t pool_bytes, taken_bytes;
	struct request *requests;
	uint16_t *free;			/* stack of tags */
	unsigned int requests_size, frees;

	char problem[STREAM_WHY];
	bool resume, working, stopping;
};

static void work(struct transport *t);

/* Words. */

static void set_problem(struct transport *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void set_problem(struct transport *t, const char *fmt, ...)
{
	char text[STREAM_WHY];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!strcmp(text, t->problem))
		return;
	memcpy(t->problem, text, sizeof(text));
	t->ops.problem(t->ctx, t->problem);
}

static void no_problem(struct transport *t)
{
	t->problem[0] = '\0';
	t->ops.problem(t->ctx, NULL);
}

/* Something failed that did not concern the live link: status if there is none, otherwise only the log,
 * and not often. */
static void failed(struct transport *t, const char *why)
{
	uint64_t now = loop_now_ms(t->loop);

	if (!t->live) {
		set_problem(t, "%s", why);
		return;
	}
	t->strangers++;
	if (t->stranger_logged_ms && now - t->stranger_logged_ms < STRANGER_LOG_MS)
		return;
	log_notice(t->cfg.resource, "%s (%u such so far)", why, t->strangers);
	t->stranger_logged_ms = now;
}

bool transport_is_first(const struct transport_config *cfg)
{
	int ports = 0, addresses = address_compare(&cfg->self, &cfg->peer, &ports);

	return addresses ? addresses < 0 : ports < 0;
}

/* The peer's requests. */

/* READ_DATA is not counted by the window that was granted (PROTOCOL.md, section 6), so it may have to wait for buffers. */
static int room(void *ctx, const struct packet *p, struct request **out, char *why, size_t why_size)
{
	struct transport *t = ((struct link *)ctx)->t;
	uint32_t bytes = wire_buffer_bytes(p);
	struct request *req;
	uint8_t *buffer = NULL;

	if (!t->frees || t->taken_bytes + bytes > t->pool_bytes) {
		if (p->type == PACKET_READ_DATA)
			return -EAGAIN;
		snprintf(why, why_size, "more requests at once than the receive window allows");
		return -EPROTO;
	}
	if (bytes) {
		buffer = pool_get(t->pool, bytes);
		if (!buffer && t->taken_bytes)
			return -EAGAIN;	/* there is room, but in pieces: one that comes back makes it whole */
		if (!buffer) {
			snprintf(why, why_size, "no buffer for %u bytes", bytes);
			return -ENOMEM;
		}
	}
	req = &t->requests[t->free[--t->frees]];
	*req = (struct request) { .tag = req - t->requests, .data = buffer };
	wire_describe(p, req);
	t->taken_bytes += bytes;
	*out = req;
	return 0;
}

void transport_put_request(struct transport *t, struct request *req)
{
	assert(req >= t->requests && req < t->requests + t->requests_size && t->frees < t->requests_size);
	if (req->data) { /* neither FLUSH nor DISCARD has taken any */
		pool_put(t->pool, req->data);
		t->taken_bytes -= (size_t)req->sectors * SECTOR_SIZE;
	}
	req->data = NULL;
	t->free[t->frees++] = req->tag;
	t->resume = t->live && t->live->stream.held;
}

static void put(void *ctx, struct request *req)
{
	transport_put_request(((struct link *)ctx)->t, req);
}

/* A link's packets. */

static void link_refuse(struct link *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void link_refuse(struct link *l, const char *fmt, ...)
{
	char why[STREAM_WHY];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	stream_refuse(&l->stream, why, loop_now_ms(l->t->loop));
}

static void link_refused(struct link *l, const struct packet_text *text)
{
	char why[STREAM_WHY];

	snprintf(why, sizeof(why), "%.64s refused: %.240s", l->host[0] ? l->host : l->t->peer_text,
		 text->text);
	stream_abort(&l->stream, why);
}

static bool prove(struct link *l)
{
	struct packet p = { .type = PACKET_AUTH };
	int rc = auth_proof(&l->auth, l->t->role, &p.auth);

	if (rc)
		link_refuse(l, "%s cannot compute its proof: %s", l->t->cfg.self_host, strerror(-rc));
	else
		stream_send(&l->stream, &p, NULL);
	return !rc;
}

static void introduced(struct link *l, const struct packet_intro *peer)
{
	struct transport *t = l->t;
	char why[STREAM_WHY];

	memcpy(l->host, peer->host, sizeof(l->host));
	if (intro_check(&t->intro, peer, &l->version, why, sizeof(why))) {
		link_refuse(l, "%s", why);
		return;
	}
	stream_speak(&l->stream, l->version);
	l->auth = intro_context(&t->intro, t->role, &l->own, peer, l->version);
	l->state = LINK_AUTH;
	if (t->role == AUTH_CONNECTOR)
		prove(l);
}

static void authenticated(struct link *l, const struct packet_auth *proof)
{
	struct transport *t = l->t;

	if (!auth_verify(&l->auth, t->role == AUTH_LISTENER ? AUTH_CONNECTOR : AUTH_LISTENER, proof)) {
		link_refuse(l, "wrong secret: the shared-secret of %s and of %s differ: correct one, then 'backend-ctl down' and 'backend-ctl up' there", t->cfg.self_host,
			    l->host);
		return;
	}
	if (t->role == AUTH_LISTENER && !prove(l))
		return;
	l->state = LINK_WAITING;
	stream_pause(&l->stream);
	if (t->live)
		stream_abort(&t->live->stream, "replaced by a newer connection of the partner");
}

static int handshake_packet(struct link *l, const struct packet *p)
{
	if (p->type == PACKET_REFUSE)
		link_refused(l, &p->text);
	else if (p->type == PACKET_INTRO && l->state == LINK_INTRO)
		introduced(l, &p->intro);
	else if (p->type == PACKET_AUTH && l->state == LINK_AUTH)
		authenticated(l, &p->auth);
	else
		link_refuse(l, "%s came during the handshake", packet_name(p->type));
	return 0;
}

static int live_packet(struct link *l, const struct packet *p, struct request *req)
{
	switch (p->type) {
	case PACKET_INTRO:
	case PACKET_AUTH:
		link_refuse(l, "%s came after the handshake", packet_name(p->type));
		return 0;
	case PACKET_REFUSE:
		link_refused(l, &p->text);
		return 0;
	case PACKET_PING:
		l->pong = true;
		l->cookie = p->ping.cookie;
		return 0;
	case PACKET_PONG:
		return 0;	/* that it came is all it says */
	case PACKET_RESTARTING:
		l->back_within_ms = p->restarting.within_ms;
		return 0;
	default:
		return l->t->ops.packet(l->t->ctx, p, req);
	}
}

static int packet(void *ctx, const struct packet *p, struct request *req)
{
	struct link *l = ctx;

	return l->state == LINK_LIVE ? live_packet(l, p, req) : handshake_packet(l, p);
}

/* Before a link is live, nothing may get a request. */
static int link_room(void *ctx, const struct packet *p, struct request **req, char *why, size_t why_size)
{
	struct link *l = ctx;

	if (l->state == LINK_LIVE)
		return room(ctx, p, req, why, why_size);
	snprintf(why, why_size, "%s came during the handshake", packet_name(p->type));
	return -EPROTO;
}

static void progress(void *ctx)
{
	struct link *l = ctx;

	if (l->state == LINK_LIVE && l->stream.received != l->t->heard) {
		l->t->heard = l->stream.received;
		liveness_heard(&l->t->liveness, loop_now_ms(l->t->loop));
	}
	work(l->t);
}

static const struct stream_ops link_ops = {
	.packet = packet, .room = link_room, .put = put, .progress = progress
};

/* A connected socket begins its handshake. The older one that has not finished its own makes way; a
 * waiting one is authenticated and does not. */
static void link_start(struct transport *t, int fd)
{
	struct packet p = { .type = PACKET_INTRO };
	struct link *l = NULL;
	uint8_t nonce[WIRE_NONCE];
	int one = 1;

	if (t->pending && t->pending->state != LINK_WAITING)
		stream_abort(&t->pending->stream,
			     "a newer connection came before the handshake was finished");
	for (unsigned int i = 0; i < LINKS && !(t->pending && t->pending->state == LINK_WAITING); i++)
		if (t->links[i].state == LINK_UNUSED)
			l = &t->links[i];
	if (!l || auth_nonce(nonce)) {
		failed(t,
		       l ? "no randomness for the handshake" : "too many connections of the partner at once");
		close(fd);
		return;
	}
	if (t->pending)
		t->pending->state = LINK_CLOSED;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	l->state = LINK_INTRO;
	l->deadline_ms = loop_now_ms(t->loop) + t->cfg.handshake_ms;
	l->host[0] = '\0';
	l->pong = false;
	l->back_within_ms = 0;
	t->pending = l;
	stream_open(&l->stream, fd);
	intro_compose(&t->intro, nonce, &l->own);
	p.intro = l->own;
	stream_send(&l->stream, &p, NULL);
	stream_flush(&l->stream);
}

/* Sockets. */

static void close_socket(struct transport *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

static void start_accept(struct transport *t)
{
	t->from_len = sizeof(t->from);
	loop_accept(t->loop, &t->op, t->fd, &t->from, &t->from_len);
}

static void on_accepted(struct loop_op *op, int result)
{
	struct transport *t = (struct transport *)((char *)op - offsetof(struct transport, op));
	char from[ADDRESS_TEXT], why[STREAM_WHY];
	int ports = 0;

	if (t->stopping || result < 0) {
		if (result >= 0)
			close(result);
		close_socket(t);	/* opened again by try_socket() */
		if (!t->stopping)
			failed(t, strerror(-result));
	} else if (address_compare(&t->from, &t->cfg.peer, &ports)) {
		address_text(&t->from, false, from);
		close(result);
		snprintf(why, sizeof(why), "a connection from %s was closed: the configured partner is %s",
			 from, t->peer_text);
		failed(t, why);
	} else {
		link_start(t, result);
	}
	if (t->fd >= 0)
		start_accept(t);
	work(t);
}

static void on_connected(struct loop_op *op, int result)
{
	struct transport *t = (struct transport *)((char *)op - offsetof(struct transport, op));
	int fd = t->fd;

	t->fd = -1;
	if (result || t->stopping) {
		close(fd);
		if (result && !t->stopping)
			set_problem(t, "cannot connect to %s: %s", t->peer_text,
				    result == -ECANCELED || result == -EINTR ? "no answer"
									     : strerror(-result));
	} else {
		link_start(t, fd);
	}
	work(t);
}

/* Opens the listening socket, or begins an attempt to connect. */
static void try_socket(struct transport *t, uint64_t now_ms)
{
	bool listening = t->role == AUTH_LISTENER;

	t->retry_ms = now_ms + (now_ms < t->quick_until_ms && t->cfg.retry_ms > QUICK_RETRY_MS ? QUICK_RETRY_MS : t->cfg.retry_ms);
	t->fd = address_socket(&t->cfg.self, t->cfg.self_len, listening);
	if (t->fd < 0) {
		int error = -t->fd;

		t->fd = -1;
		if (error == EADDRNOTAVAIL)
			set_problem(t, "this host does not have its configured address %s: correct it, or bring the interface up (ip address)", t->self_text);
		else
			set_problem(t, "cannot %s at %s: %s; trying again (ss -tlnp shows who listens)", listening ? "listen" : "connect",
				    t->self_text, strerror(error));
		return;
	}
	if (!listening) {
		if (!t->problem[0])
			set_problem(t, "connecting to %s", t->peer_text);
		t->connect_deadline_ms = now_ms + 2ull * t->cfg.liveness.dead_ms;
		loop_connect(t->loop, &t->op, t->fd, (const struct sockaddr *)&t->cfg.peer, t->cfg.peer_len);
		return;
	}
	if (!t->live && !t->pending)
		set_problem(t, "listening at %s; %s has not connected yet", t->self_text, t->peer_text);
	start_accept(t);
}

static bool wants_socket(const struct transport *t)
{
	return !t->stopping && t->fd < 0 && !t->op.busy &&
	       (t->role == AUTH_LISTENER || (!t->live && !t->pending));
}

/* What follows from what has happened. */

static void live_ended(struct transport *t)
{
	struct link *l = t->live;

	t->live = NULL;
	t->quick_until_ms = loop_now_ms(t->loop) + t->cfg.quick_ms;
	t->resume = false;	/* else transport_deadline() says `now` until the next connection */
	l->state = LINK_CLOSED;
	if (l->back_within_ms && t->ops.restarts)
		t->ops.restarts(t->ctx, l->back_within_ms);
	t->ops.disconnected(t->ctx, l->stream.why);
	if (!t->stopping)
		set_problem(t, "%s", l->stream.why);
}

static void pending_ended(struct transport *t)
{
	struct link *l = t->pending;
	char why[STREAM_WHY + 3 * ADDRESS_TEXT];

	t->pending = NULL;
	if (l->state == LINK_INTRO && !l->host[0])
		snprintf(why, sizeof(why), "the connection with %s (our side: %s) failed: %s", t->peer_text,
			 t->self_text, l->stream.why);
	else
		snprintf(why, sizeof(why), "%s", l->stream.why);
	if (!t->stopping)
		failed(t, why);
	l->state = LINK_CLOSED;
}

static void go_live(struct transport *t)
{
	struct link *l = t->pending;

	t->pending = NULL;
	t->live = l;
	l->state = LINK_LIVE;
	liveness_start(&t->liveness, &t->cfg.liveness, loop_now_ms(t->loop));
	t->heard = l->stream.received;
	no_problem(t);
	t->ops.connected(t->ctx);
	stream_resume(&l->stream);
}

static void answer_ping(struct link *l)
{
	struct packet p;

	if (!l->pong || l->stream.phase != STREAM_OPEN)
		return;
	p = (struct packet) { .type = PACKET_PONG, .ping.cookie = l->cookie };
	if (!stream_send(&l->stream, &p, NULL)) {
		l->pong = false;
		stream_flush(&l->stream);
	}
}

static void reap(struct transport *t)
{
	for (unsigned int i = 0; i < LINKS; i++) {
		struct link *l = &t->links[i];

		if (l->state == LINK_UNUSED)
			continue;
		stream_reap(&l->stream);
		if (l->state == LINK_CLOSED && l->stream.phase == STREAM_FREE) {
			t->sent += l->stream.sent;
			t->received += l->stream.received;
			l->state = LINK_UNUSED;
		}
	}
}

static void work(struct transport *t)
{
	if (t->working)
		return;
	t->working = true;
	if (t->pending && t->pending->stream.phase != STREAM_OPEN)
		pending_ended(t);
	reap(t);
	if (t->live && stream_quiet(&t->live->stream))
		live_ended(t);
	if (!t->live && t->pending && t->pending->state == LINK_WAITING)
		go_live(t);
	reap(t);
	if (t->live)
		answer_ping(t->live);
	if (t->pending)
		stream_flush(&t->pending->stream);
	if (wants_socket(t) && loop_now_ms(t->loop) >= t->retry_ms)
		try_socket(t, loop_now_ms(t->loop));
	t->working = false;
}

/* The owner's side. */

static int check_config(struct transport *t, char *why, size_t why_size)
{
	const struct transport_config *cfg = &t->cfg;
	struct auth_context c = { .alg = cfg->alg, .secret = cfg->secret, .resource = cfg->resource };
	struct packet_auth proof;
	int ports = 0;

	if (cfg->self.ss_family != cfg->peer.ss_family ||
	    (cfg->self.ss_family != AF_INET && cfg->self.ss_family != AF_INET6)) {
		snprintf(why, why_size, "the two addresses must both be IPv4 or both be IPv6");
		return -EINVAL;
	}
	if (!address_compare(&cfg->self, &cfg->peer, &ports) && !ports) {
		snprintf(why, why_size, "both hosts have the address %s", t->self_text);
		return -EINVAL;
	}
	if (!cfg->alg != !cfg->secret) {
		snprintf(why, why_size, "cram-hmac-alg and shared-secret need each other");
		return -EINVAL;
	}
	if (auth_proof(&c, t->role, &proof)) {
		snprintf(why, why_size,
			 "cram-hmac-alg %s is not known to OpenSSL, or the shared-secret is empty", cfg->alg);
		return -EINVAL;
	}
	return 0;
}

static void set_default(uint32_t *value, uint32_t to)
{
	if (!*value)
		*value = to;
}

static void set_defaults(struct transport_config *cfg)
{
	if (!cfg->version_max) {
		cfg->version_min = WIRE_VERSION_MIN;
		cfg->version_max = WIRE_VERSION_MAX;
	}
	set_default(&cfg->retry_ms, 500);
	set_default(&cfg->quick_ms, 3000);
	set_default(&cfg->handshake_ms, 3000);
	set_default(&cfg->liveness.dead_ms, 1500);
	set_default(&cfg->liveness.ping_ms, 500);
	set_default(&cfg->liveness.late_ms, 300);
}

static int allocate(struct transport *t, unsigned int window_requests)
{
	t->requests_size = t->frees = window_requests;
	t->requests = calloc(window_requests, sizeof(*t->requests));
	t->free = calloc(window_requests, sizeof(*t->free));
	if (!t->requests || !t->free)
		return -ENOMEM;
	for (unsigned int i = 0; i < window_requests; i++) {
		t->requests[i].tag = i;
		t->free[i] = i;
	}
	for (unsigned int i = 0; i < LINKS; i++) {
		t->links[i].t = t;
		if (stream_init(&t->links[i].stream, t->loop, window_requests + REQUESTS_MAX + QUEUE_SPARE,
				&link_ops, &t->links[i]))
			return -ENOMEM;
	}
	return 0;
}

int transport_new(const struct transport_config *cfg, struct loop *loop, struct pool *peer_pool,
		  unsigned int window_requests, const struct transport_ops *ops, void *ctx,
		  struct transport **out, char *why, size_t why_size)
{
	struct transport *t = calloc(1, sizeof(*t));
	int rc = -ENOMEM;

	if (!t)
		goto out;
	t->cfg = *cfg;
	set_defaults(&t->cfg);
	t->loop = loop;
	t->quick_until_ms = loop_now_ms(loop) + t->cfg.quick_ms;
	t->ops = *ops;
	t->ctx = ctx;
	t->fd = -1;
	t->pool = peer_pool;
	t->pool_bytes = pool_free_bytes(peer_pool);
	t->role = transport_is_first(cfg) ? AUTH_LISTENER : AUTH_CONNECTOR;
	t->op.fn = t->role == AUTH_LISTENER ? on_accepted : on_connected;
	t->intro = (struct intro_self) { cfg->resource, cfg->self_host,	 cfg->alg,
					cfg->secret,   t->cfg.version_min, t->cfg.version_max };
	address_text(&cfg->self, true, t->self_text);
	address_text(&cfg->peer, true, t->peer_text);
	rc = check_config(t, why, why_size);
	if (rc)
		goto out;
	rc = window_requests && window_requests <= UINT16_MAX ? allocate(t, window_requests) : -EINVAL;
	if (rc)
		snprintf(why, why_size, "transport: %s", strerror(-rc));
out:
	if (rc) {
		transport_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void transport_shutdown(struct transport *t, const char *why)
{
	t->stopping = true;
	if (t->pending)
		stream_abort(&t->pending->stream, why);
	if (t->live)
		link_refuse(t->live, "%s", why);
	loop_cancel(t->loop, &t->op);
}

bool transport_idle(const struct transport *t)
{
	for (unsigned int i = 0; i < LINKS; i++)
		if (t->links[i].state != LINK_UNUSED)
			return false;
	return t->stopping && !t->op.busy;
}

void transport_free(struct transport *t)
{
	if (!t)
		return;
	close_socket(t);
	for (unsigned int i = 0; i < LINKS; i++)
		stream_dispose(&t->links[i].stream);
	free(t->requests);
	free(t->free);
	free(t);
}

void transport_send(struct transport *t, const struct packet *p, struct request *req)
{
	if (!t->live || t->live->stream.phase != STREAM_OPEN)
		return;
	if (stream_send(&t->live->stream, p, p->payload ? req->data : NULL))
		stream_abort(&t->live->stream, "the partner asks for more answers than it reads");
}

void transport_flush(struct transport *t)
{
	if (t->resume && t->live) {
		t->resume = false;
		stream_resume(&t->live->stream);
	}
	work(t);
	if (t->live)
		stream_flush(&t->live->stream);
}

bool transport_flushed(const struct transport *t)
{
	return !t->live || t->live->stream.tx_head == t->live->stream.tx_tail;
}

void transport_restarting(struct transport *t, uint32_t within_ms)
{
	struct packet p = { .type = PACKET_RESTARTING, .restarting.within_ms = within_ms };

	if (!t->live || t->live->version < WIRE_VERSION_RESTARTING)
		return;
	transport_send(t, &p, NULL);
	stream_flush(&t->live->stream);
}

void transport_disconnect(struct transport *t, const char *why)
{
	if (t->live)
		link_refuse(t->live, "%s", why);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t transport_deadline(const struct transport *t)
{
	uint64_t at = UINT64_MAX;

	if (t->resume || (t->live && stream_quiet(&t->live->stream)) ||
	    (t->pending && t->pending->stream.phase != STREAM_OPEN))
		return 0;
	for (unsigned int i = 0; i < LINKS; i++)
		at = earlier(at, stream_deadline(&t->links[i].stream));
	if (t->live && t->live->stream.phase == STREAM_OPEN)
		at = earlier(at, liveness_deadline(&t->liveness));
	if (t->pending)
		at = earlier(at, t->pending->deadline_ms);
	if (wants_socket(t))
		at = earlier(at, t->retry_ms);
	if (t->role == AUTH_CONNECTOR && t->op.busy)
		at = earlier(at, t->connect_deadline_ms);
	return at;
}

static void check_liveness(struct transport *t, uint64_t now_ms)
{
	struct packet p = { .type = PACKET_PING, .ping.cookie = now_ms };
	struct stream *s = &t->live->stream;
	uint64_t received = t->liveness.received, acked = t->liveness.acked;
	char why[STREAM_WHY];

	if (s->phase != STREAM_OPEN || now_ms < liveness_deadline(&t->liveness))
		return;
	stream_counters(s, &received, &acked);
	switch (liveness_check(&t->liveness, received, acked, now_ms)) {
	case LIVENESS_ALIVE:
		break;
	case LIVENESS_SEND_PING:
		if (!stream_send(s, &p, NULL))	/* a full queue asks just as well */
			stream_flush(s);
		break;
	case LIVENESS_DEAD:
		snprintf(why, sizeof(why), "nothing heard of %s at %s for %u ms", t->live->host, t->peer_text,
			 t->cfg.liveness.dead_ms);
		stream_abort(s, why);
		break;
	}
}

void transport_tick(struct transport *t, uint64_t now_ms)
{
	char why[STREAM_WHY];

	for (unsigned int i = 0; i < LINKS; i++)
		stream_tick(&t->links[i].stream, now_ms);
	if (t->live)
		check_liveness(t, now_ms);
	if (t->pending && t->pending->state != LINK_WAITING && now_ms >= t->pending->deadline_ms) {
		snprintf(why, sizeof(why), "the handshake with %s was not finished within %u ms",
			 t->peer_text, t->cfg.handshake_ms);
		stream_refuse(&t->pending->stream, why, now_ms);
	}
	if (t->role == AUTH_CONNECTOR && t->op.busy && now_ms >= t->connect_deadline_ms) {
		t->connect_deadline_ms = UINT64_MAX;
		loop_cancel(t->loop, &t->op);
	}
	work(t);
}

uint16_t transport_version(const struct transport *t)
{
	return t->live ? t->live->version : 0;
}

void transport_describe(const struct transport *t, char *out, size_t size)
{
	if (t->live)
		snprintf(out, size, "%s (%s), %llu bytes sent, %llu received", t->peer_text, t->live->host,
			 (unsigned long long)(t->sent + t->live->stream.sent),
			 (unsigned long long)(t->received + t->live->stream.received));
	else if (size)
		out[0] = '\0';
}
