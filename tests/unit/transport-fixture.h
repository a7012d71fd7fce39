/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport-fixture.h: two transports, or one and a hand-made peer, in one real loop over loopback addresses.
 */
#ifndef DRBDX_TESTS_TRANSPORT_FIXTURE_H
#define DRBDX_TESTS_TRANSPORT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/auth.h"
#include "backend/transport.h"

#define WINDOW 8u
#define POOL_BYTES (4u << 20)
#define KEPT 64u
#define PATIENCE_MS 8000u

struct node {
	uint32_t restarts_ms;
	struct transport_config cfg;
	struct transport *t;
	struct pool *pool;
	uint8_t *area;
	unsigned int connected, disconnected, packets;
	char why[400], problem[400], events[200];
	struct packet last;
	struct request *kept[KEPT];	/* requests not put back yet, oldest first */
	unsigned int nkept;
	bool put_at_once, refuse_packets;
	uint8_t expected;		/* payload bytes must have this value if check is set */
	bool check;
};

/* a: 127.0.0.1, listens; b: 127.0.0.2 */
struct world { struct loop *loop; struct node a, b; uint16_t port; };

static struct world world;

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void note(struct node *n, const char *event)
{
	snprintf(n->events + strlen(n->events), sizeof(n->events) - strlen(n->events), "%s ", event);
}

static void on_connected(void *ctx)
{
	struct node *n = ctx;

	n->connected++;
	note(n, "up");
}

static void on_disconnected(void *ctx, const char *why)
{
	struct node *n = ctx;

	n->disconnected++;
	snprintf(n->why, sizeof(n->why), "%s", why);
	note(n, "down");
}

static void on_problem(void *ctx, const char *why)
{
	struct node *n = ctx;

	snprintf(n->problem, sizeof(n->problem), "%s", why ? why : "");
}

static int on_packet(void *ctx, const struct packet *p, struct request *req)
{
	struct node *n = ctx;

	assert_true(n->connected > n->disconnected);
	n->packets++;
	n->last = *p;
	if (n->check && p->payload)
		for (uint32_t i = 0; i < p->payload; i++)
			assert_int_equal(req->data[i], n->expected);
	if (n->refuse_packets)
		return -EPROTO;
	if (req && n->put_at_once) {
		transport_put_request(n->t, req);
	} else if (req) {
		assert_true(n->nkept < KEPT);
		n->kept[n->nkept++] = req;
	}
	return 0;
}

static inline void put_oldest(struct node *n)
{
	struct request *req = n->kept[0];

	assert_true(n->nkept > 0);
	memmove(n->kept, n->kept + 1, --n->nkept * sizeof(n->kept[0]));
	transport_put_request(n->t, req);
}

static void on_restarts(void *ctx, uint32_t within_ms)
{
	struct node *n = ctx;

	n->restarts_ms = within_ms;
	note(n, "restarts");
}

static const struct transport_ops node_ops = { on_connected, on_packet, on_disconnected, on_problem, on_restarts };

static inline struct sockaddr_storage address(const char *ip, uint16_t port)
{
	struct sockaddr_storage a = { .ss_family = AF_INET };
	struct sockaddr_in *in = (void *)&a;

	in->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, ip, &in->sin_addr), 1);
	return a;
}

static inline uint16_t free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (void *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (void *)&in, &length), 0);
	close(fd);
	return ntohs(in.sin_port);
}

static inline void node_config(struct node *n, const char *self, const char *peer, const char *host)
{
	n->cfg = (struct transport_config) {
		.resource = "disk", .self_host = host,
		.self = address(self, world.port), .peer = address(peer, world.port),
		.self_len = sizeof(struct sockaddr_in), .peer_len = sizeof(struct sockaddr_in),
		.retry_ms = 50, .handshake_ms = 1000, .liveness = { 1500, 500, 300 },
	};
}

static inline void node_start(struct node *n)
{
	char why[300] = "";

	n->area = aligned_alloc(POOL_PAGE, POOL_BYTES);
	assert_int_equal(pool_new(n->area, POOL_BYTES, &n->pool), 0);
	if (transport_new(&n->cfg, world.loop, n->pool, WINDOW, &node_ops, n, &n->t, why, sizeof(why)))
		fail_msg("transport_new: %s", why);
}

static inline uint64_t node_turn(struct node *n)
{
	if (!n->t)
		return UINT64_MAX;
	if (transport_deadline(n->t) <= now_ms())
		transport_tick(n->t, now_ms());
	transport_flush(n->t);
	return transport_deadline(n->t);
}

/* One turn of the loop; at most 20 ms, so that the hand-made peer is looked at, too. */
static inline void turn(void)
{
	uint64_t at = now_ms() + 20, x = node_turn(&world.a), y = node_turn(&world.b);

	at = x < at ? x : at;
	assert_int_equal(loop_run(world.loop, y < at ? y : at), 0);
}

#define run_until(condition) do { \
	uint64_t until = now_ms() + PATIENCE_MS; \
	while (!(condition)) { \
		turn(); \
		if (now_ms() > until) \
			fail_msg("did not happen: %s (a: %s / %s; b: %s / %s)", #condition, \
				 world.a.problem, world.a.events, world.b.problem, world.b.events); \
	} \
} while (0)

static inline void run_for(uint64_t ms)
{
	for (uint64_t until = now_ms() + ms; now_ms() < until;)
		turn();
}

static inline void node_stop(struct node *n)
{
	if (!n->t)
		return;
	while (n->nkept)
		put_oldest(n);
	transport_shutdown(n->t, "the test is over");
	run_until(transport_idle(n->t));
	transport_free(n->t);
	n->t = NULL;
	pool_free(n->pool);		/* asserts that every buffer came back */
	free(n->area);
}

static inline int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	world.port = free_port();
	assert_int_equal(loop_new(256, NULL, 0, &world.loop), 0);
	node_config(&world.a, "127.0.0.1", "127.0.0.2", "alpha");
	node_config(&world.b, "127.0.0.2", "127.0.0.1", "beta");
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	node_stop(&world.a);
	node_stop(&world.b);
	loop_free(world.loop);
	return 0;
}

/* A hand-made peer of node a, at 127.0.0.2. */
struct raw {
	int fd;
	uint64_t tx, rx;		/* sequence numbers */
	uint16_t version;		/* written in, 0: the highest; 0: read in any */
	uint8_t in[65536];
	size_t have;
	bool closed;
	struct packet last;
	unsigned int count[32];		/* packets received by type */
	struct packet_intro own, peer;
};

static inline void raw_connect_from(struct raw *r, const char *ip)
{
	struct sockaddr_storage own = address(ip, 0), to = address("127.0.0.1", world.port);

	memset(r, 0, sizeof(*r));
	run_until(strstr(world.a.problem, "listening") || world.a.connected);
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(r->fd, (void *)&own, sizeof(struct sockaddr_in)), 0);
	assert_int_equal(connect(r->fd, (void *)&to, sizeof(struct sockaddr_in)), 0);
	fcntl(r->fd, F_SETFL, O_NONBLOCK);
}

static inline void raw_connect(struct raw *r)
{
	raw_connect_from(r, "127.0.0.2");
}

static inline void raw_bytes(struct raw *r, const void *bytes, size_t length)
{
	const uint8_t *p = bytes;
	ssize_t n;

	for (uint64_t until = now_ms() + PATIENCE_MS; length;) {
		n = send(r->fd, p, length, MSG_NOSIGNAL);
		if (n > 0) {
			p += n;
			length -= n;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		assert_true(now_ms() < until);
		turn();
	}
}

static inline void raw_send(struct raw *r, const struct packet *p)
{
	uint8_t bytes[WIRE_HEADER + WIRE_BODY_MAX];

	raw_bytes(r, bytes, wire_encode(p, r->version ? r->version : WIRE_VERSION_MAX, r->tx++, bytes));
}

static inline void raw_take(struct raw *r)
{
	int length;

	while (r->have >= WIRE_HEADER) {
		length = wire_length(r->in, r->version);
		assert_true(length > 0);
		if (r->have < (size_t)length)
			return;
		assert_int_equal(wire_decode(r->in, length, r->rx++, &r->last, NULL, 0), 0);
		assert_int_equal(r->last.payload, 0);
		r->count[r->last.type]++;
		if (r->last.type == PACKET_INTRO)
			r->peer = r->last.intro;
		memmove(r->in, r->in + length, r->have -= length);
	}
}

/* Reads what has come; true once the other side has closed. */
static inline bool raw_look(struct raw *r)
{
	ssize_t n;

	while (!r->closed && (n = recv(r->fd, r->in + r->have, sizeof(r->in) - r->have, 0)) != -1) {
		if (n == 0)
			r->closed = true;
		r->have += n;
		raw_take(r);
	}
	if (!r->closed && errno != EAGAIN)
		r->closed = true;
	return r->closed;
}

static inline bool raw_got(struct raw *r, enum packet_type type)
{
	raw_look(r);
	return r->count[type] > 0;
}

static inline void raw_intro(struct raw *r)
{
	struct packet p = { .type = PACKET_INTRO,
			    .intro = {
				    .version_min = WIRE_VERSION_MIN, .version_max = WIRE_VERSION_MAX, .resource = "disk", .host = "raw" } };

	memset(p.intro.nonce, 7, sizeof(p.intro.nonce));
	if (world.a.cfg.alg)
		snprintf(p.intro.alg, sizeof(p.intro.alg), "%s", world.a.cfg.alg);
	r->own = p.intro;
	raw_send(r, &p);
}

static inline void raw_auth(struct raw *r)
{
	struct packet p = { .type = PACKET_AUTH };
	struct auth_context c = {
		.alg = world.a.cfg.alg, .secret = world.a.cfg.secret, .resource = "disk", .version = WIRE_VERSION_MAX
	};

	run_until(raw_got(r, PACKET_INTRO));
	memcpy(c.listener_nonce, r->peer.nonce, WIRE_NONCE);
	memcpy(c.connector_nonce, r->own.nonce, WIRE_NONCE);
	assert_int_equal(auth_proof(&c, AUTH_CONNECTOR, &p.auth), 0);
	raw_send(r, &p);
}

static inline void raw_authenticate(struct raw *r)
{
	unsigned int before = world.a.connected;

	raw_connect(r);
	raw_intro(r);
	raw_auth(r);
	run_until(world.a.connected == before + 1 && raw_got(r, PACKET_AUTH));
}

/* From now on the host behind this socket does not exist any more: nothing is received, acknowledged or
 * closed. */
static inline void raw_vanish(struct raw *r)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &drop };

	assert_int_equal(setsockopt(r->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}

#endif
