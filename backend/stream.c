/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.c: packets over one TCP socket.
 *
 * Invariants
 *  1. At most one recv and one sendmsg are under way.  Memory they use stays until their callbacks ran: the
 *     socket is closed, and requests are given back, only after that.
 *  2. Packets are handed on in the order of their sequence numbers, each after wire_decode() has checked it
 *     (P4); after the first bad one nothing more is handed on.
 *  3. A packet that was begun is sent to its end or the connection ends: the peer's framing never breaks.
 *  4. Nothing here calls its owner from within the owner's call, except stream_resume(), which hands on
 *     packets.
 *
 *   FREE ─ stream_open ─> OPEN ─ stream_refuse ─> REFUSING ─ queue empty ─> LINGERING ─ peer closed ─> ENDING
 *                          └───────────── stream_abort, error, time is up ──┴──────────────────────────^
 *   ENDING ─ operations are back [stream_reap] ─> FREE
 *
 * Receiving: bytes come into a buffer of 64 KiB; what of a payload is already in it is copied, the rest is
 * received into the request's buffer directly. Large payloads come one after the other: behind one only the next packet's
 * beginning is received into the buffer, so that nearly nothing is copied.
 */
#include "backend/stream.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL_PACKET 64u /* DATA without its payload: the largest of the packets that come in numbers */
#define LARGE_PAYLOAD (32u << 10)
#define BEGINNING (2 * (WIRE_HEADER + WIRE_BODY_MAX))
#define LARGE_PACKETS 16u	/* room for as many of the largest besides */

static void receive(struct stream *s);
static void on_received(struct loop_op *op, int result);
static void on_sent(struct loop_op *op, int result);

int stream_init(struct stream *s, struct loop *loop, uint32_t packets, const struct stream_ops *ops,
		void *ctx)
{
	*s = (struct stream) { .loop = loop, .ops = ops, .ctx = ctx, .fd = -1 };
	s->recv_op.fn = on_received;
	s->send_op.fn = on_sent;
	s->tx_size = packets;
	s->bytes_size = packets * SMALL_PACKET + LARGE_PACKETS * (WIRE_HEADER + WIRE_BODY_MAX);
	s->rx = malloc(STREAM_RECEIVE_BYTES);
	s->tx = calloc(packets, sizeof(*s->tx));
	s->bytes = malloc(s->bytes_size);
	if (s->rx && s->tx && s->bytes)
		return 0;
	stream_dispose(s);
	return -ENOMEM;
}

void stream_dispose(struct stream *s)
{
	free(s->rx);
	free(s->tx);
	free(s->bytes);
	s->rx = NULL;
	s->tx = NULL;
	s->bytes = NULL;
}

/* Ending. */

static void set_why(struct stream *s, const char *why)
{
	if (!s->why[0])
		snprintf(s->why, sizeof(s->why), "%s", why);
}

static void end(struct stream *s)
{
	s->phase = STREAM_ENDING;
	shutdown(s->fd, SHUT_RDWR);
	loop_cancel(s->loop, &s->recv_op);
	loop_cancel(s->loop, &s->send_op);
}

void stream_abort(struct stream *s, const char *why)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (s->phase == STREAM_FREE || s->phase == STREAM_ENDING)
		return;
	set_why(s, why);
	/* What the kernel has not sent yet must not reach the peer late. */
	setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	end(s);
}

/* Forgets what has not been begun, so that the next packet follows what has; their sequence numbers are
 * used again. */
static void drop_unsent(struct stream *s)
{
	uint32_t keep = s->tx_flying ? s->tx_flying : s->tx_done ? 1 : 0;
	const struct stream_entry *last;

	while (s->tx_head - s->tx_tail > keep) {
		s->tx_head--;
		s->tx_sequence--;
	}
	if (!keep) {
		s->bytes_head = s->bytes_tail;
		return;
	}
	last = &s->tx[(s->tx_head - 1) % s->tx_size];
	s->bytes_head = last->at + last->length;
}

void stream_refuse(struct stream *s, const char *why, uint64_t now_ms)
{
	struct packet p = { .type = PACKET_REFUSE };

	if (s->phase != STREAM_OPEN)
		return;
	set_why(s, why);
	drop_unsent(s);
	snprintf(p.text.text, sizeof(p.text.text), "%s", why);
	if (stream_send(s, &p, NULL)) {
		stream_abort(s, why);
		return;
	}
	s->phase = STREAM_REFUSING;
	s->closing_ms = now_ms + STREAM_LINGER_MS;
	if (s->direct)	/* the request is not to be filled any more */
		loop_cancel(s->loop, &s->recv_op);
	stream_flush(s);
	receive(s);
}

bool stream_quiet(const struct stream *s)
{
	return s->phase != STREAM_OPEN && s->phase != STREAM_REFUSING && !s->send_op.busy && !s->req;
}

bool stream_over(const struct stream *s)
{
	return s->phase == STREAM_ENDING && !s->recv_op.busy && !s->send_op.busy;
}

/* A request that will not be filled any more goes back as soon as no recv writes into it. */
static void release_request(struct stream *s)
{
	if (s->phase == STREAM_OPEN || !s->req || s->direct)
		return;
	s->ops->put(s->ctx, s->req);
	s->req = NULL;
}

void stream_reap(struct stream *s)
{
	release_request(s);
	if (!stream_over(s))
		return;
	close(s->fd);
	s->fd = -1;
	s->phase = STREAM_FREE;
}

void stream_tick(struct stream *s, uint64_t now_ms)
{
	if ((s->phase == STREAM_REFUSING || s->phase == STREAM_LINGERING) && now_ms >= s->closing_ms)
		stream_abort(s, "");
}

uint64_t stream_deadline(const struct stream *s)
{
	if (stream_over(s))
		return 0;
	return s->phase == STREAM_REFUSING || s->phase == STREAM_LINGERING ? s->closing_ms : UINT64_MAX;
}

/* Sending. */

/* `length` contiguous bytes of the ring, NULL if there is no room. */
static uint8_t *reserve(struct stream *s, uint32_t length, uint64_t *at)
{
	uint64_t start = s->bytes_head, to_edge = s->bytes_size - start % s->bytes_size;

	if (to_edge < length)
		start += to_edge;
	if (start + length - s->bytes_tail > s->bytes_size)
		return NULL;
	*at = start;
	s->bytes_head = start + length;
	return s->bytes + start % s->bytes_size;
}

int stream_send(struct stream *s, const struct packet *p, const uint8_t *payload)
{
	struct stream_entry *e = &s->tx[s->tx_head % s->tx_size];
	size_t length = wire_size(p->type);
	uint64_t at;
	uint8_t *to;

	if (s->tx_head - s->tx_tail == s->tx_size)
		return -ENOBUFS;
	to = reserve(s, length, &at);
	if (!to)
		return -ENOBUFS;
	wire_encode(p, s->version, s->tx_sequence, to);
	*e = (struct stream_entry) {
		.at = at, .length = length, .payload = payload, .payload_length = p->payload
	};
	s->tx_head++;
	s->tx_sequence++;
	return 0;
}

/* Adds what of `length` bytes is left after `*skip` to the vectors. */
static void add_iovec(struct stream *s, unsigned int *n, const uint8_t *bytes, size_t length, uint64_t *skip)
{
	uint64_t over = *skip < length ? *skip : length;

	*skip -= over;
	if (over < length)
		s->iov[(*n)++] = (struct iovec) { (void *)(uintptr_t)(bytes + over), length - over };
}

void stream_flush(struct stream *s)
{
	uint64_t skip = s->tx_done;
	unsigned int n = 0;

	if (s->send_op.busy || (s->phase != STREAM_OPEN && s->phase != STREAM_REFUSING) ||
	    s->tx_head == s->tx_tail)
		return;
	s->tx_flying = 0;
	for (uint32_t i = s->tx_tail; i != s->tx_head && n + 2 <= STREAM_IOVECS; i++) {
		const struct stream_entry *e = &s->tx[i % s->tx_size];

		add_iovec(s, &n, s->bytes + e->at % s->bytes_size, e->length, &skip);
		if (e->payload_length)
			add_iovec(s, &n, e->payload, e->payload_length, &skip);
		s->tx_flying++;
	}
	s->msg = (struct msghdr) { .msg_iov = s->iov, .msg_iovlen = n };
	loop_sendmsg(s->loop, &s->send_op, s->fd, &s->msg);
}

/* `n` further bytes are with the kernel: whole entries are done with. */
static void advance(struct stream *s, uint64_t n)
{
	s->sent += n;
	s->tx_done += n;
	s->tx_flying = 0;
	while (s->tx_tail != s->tx_head) {
		const struct stream_entry *e = &s->tx[s->tx_tail % s->tx_size];

		if (s->tx_done < (uint64_t)e->length + e->payload_length)
			return;
		s->tx_done -= (uint64_t)e->length + e->payload_length;
		s->bytes_tail = e->at + e->length;
		s->tx_tail++;
	}
}

static void on_sent(struct loop_op *op, int result)
{
	struct stream *s = (struct stream *)((char *)op - offsetof(struct stream, send_op));

	if (result > 0)
		advance(s, result);
	else if (result != -EINTR && result != -EAGAIN && s->phase != STREAM_ENDING)
		stream_abort(s, result ? strerror(-result) : "the socket takes no more bytes");
	stream_flush(s);
	if (s->phase == STREAM_REFUSING && !s->send_op.busy && s->tx_head == s->tx_tail) {
		shutdown(s->fd, SHUT_WR);
		s->phase = STREAM_LINGERING;
		if (s->eof)
			end(s);
	}
	s->ops->progress(s->ctx);
}

/* Receiving. */

static void receive(struct stream *s)
{
	uint32_t most;

	if (s->recv_op.busy || s->eof || s->phase == STREAM_FREE || s->phase == STREAM_ENDING)
		return;
	if (s->phase == STREAM_OPEN && (s->paused || s->held))
		return;
	if (s->phase == STREAM_OPEN && s->req) {
		s->direct = true;
		loop_recv(s->loop, &s->recv_op, s->fd, s->req->data + s->got, s->packet.payload - s->got);
		return;
	}
	if (s->phase != STREAM_OPEN)
		s->rx_start = s->rx_end = 0;
	/* less than one packet without its payload */
	memmove(s->rx, s->rx + s->rx_start, s->rx_end - s->rx_start);
	s->rx_end -= s->rx_start;
	s->rx_start = 0;
	most = s->packet.payload >= LARGE_PAYLOAD ? BEGINNING : STREAM_RECEIVE_BYTES; /* of the last packet */
	loop_recv(s->loop, &s->recv_op, s->fd, s->rx + s->rx_end, most - s->rx_end);
}

static void hand_on(struct stream *s)
{
	struct request *req = s->req;

	s->req = NULL;
	if (!s->ops->packet(s->ctx, &s->packet, req))
		return;
	if (req)
		s->ops->put(s->ctx, req);
	stream_refuse(s, "a packet that may not come now", loop_now_ms(s->loop));
}

/* Gives the packet a request if it needs one. False: it has to wait, or the stream ends. */
static bool admit(struct stream *s)
{
	char why[STREAM_WHY] = "no room";
	int rc;

	s->held = false;
	if (wire_needs_request(s->packet.type)) {
		rc = s->ops->room(s->ctx, &s->packet, &s->req, why, sizeof(why));
		s->held = rc == -EAGAIN;
		if (rc && !s->held)
			stream_refuse(s, why, loop_now_ms(s->loop));
		if (rc)
			return false;
	}
	s->got = 0;
	if (!s->packet.payload)
		hand_on(s);
	return true;
}

static bool take_payload(struct stream *s)
{
	uint32_t n = s->rx_end - s->rx_start, left = s->packet.payload - s->got;

	n = n < left ? n : left;
	memcpy(s->req->data + s->got, s->rx + s->rx_start, n);
	s->rx_start += n;
	s->got += n;
	if (s->got < s->packet.payload)
		return false;
	hand_on(s);
	return true;
}

static bool take_packet(struct stream *s)
{
	uint32_t n = s->rx_end - s->rx_start;
	const uint8_t *in = s->rx + s->rx_start;
	char why[STREAM_WHY];
	int length;

	if (n < WIRE_HEADER)
		return false;
	length = wire_length(in, s->version);
	if (length >= 0 && n < (uint32_t)length)
		return false;
	if (wire_decode(in, length, s->rx_sequence, &s->packet, why, sizeof(why))) {
		stream_refuse(s, why, loop_now_ms(s->loop));
		return false;
	}
	s->rx_sequence++;
	s->rx_start += length;
	return admit(s);
}

static void parse(struct stream *s)
{
	bool more = true;

	while (more && s->phase == STREAM_OPEN && !s->paused)
		more = s->held ? admit(s) : s->req ? take_payload(s) : take_packet(s);
	release_request(s);
	receive(s);
}

static void lost(struct stream *s, int result)
{
	if (result == 0 && (s->phase == STREAM_LINGERING || s->phase == STREAM_REFUSING)) {
		s->eof = true;
		if (s->phase == STREAM_LINGERING)
			/* both directions are closed: no reset, the peer may still be reading */
			end(s);
		return;
	}
	stream_abort(s, result ? strerror(-result) : "the other side closed the connection");
}

static void on_received(struct loop_op *op, int result)
{
	struct stream *s = (struct stream *)((char *)op - offsetof(struct stream, recv_op));
	bool direct = s->direct;

	s->direct = false;
	if (result > 0) {
		s->received += result;
		if (direct)
			s->got += result;
		else
			s->rx_end += result;
	} else if (result != -EINTR && result != -EAGAIN &&
		   !(result == -ECANCELED && s->phase != STREAM_OPEN)) {
		lost(s, result);
	}
	parse(s);
	s->ops->progress(s->ctx);
}

void stream_pause(struct stream *s)
{
	s->paused = true;
}

void stream_resume(struct stream *s)
{
	s->paused = false;
	if (s->phase == STREAM_OPEN && !s->recv_op.busy)
		parse(s);
}

void stream_open(struct stream *s, int fd)
{
	s->fd = fd;
	s->phase = STREAM_OPEN;
	s->version = 0;
	s->why[0] = '\0';
	s->rx_start = s->rx_end = s->got = 0;
	s->rx_sequence = s->received = s->tx_sequence = s->sent = s->tx_done = s->bytes_tail = s->bytes_head =
		0;
	s->tx_tail = s->tx_head = s->tx_flying = 0;
	s->held = s->direct = s->paused = s->eof = false;
	s->req = NULL;
	receive(s);
}

void stream_speak(struct stream *s, uint16_t version)
{
	s->version = version;
}

void stream_counters(const struct stream *s, uint64_t *received, uint64_t *acked)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof(info);

	if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &length))
		return;
	*received = info.tcpi_bytes_received;
	*acked = info.tcpi_bytes_acked;
}
