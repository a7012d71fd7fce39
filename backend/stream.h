/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.h: packets over one connected TCP socket: framing, the queue of what is to be sent, and an orderly
 * end.  transport.c decides which stream is the partner's; this file does not know what the packets mean,
 * except that DATA and FLUSH need a request to be received into.
 */
#ifndef DRBDX_BACKEND_STREAM_H
#define DRBDX_BACKEND_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "backend/loop.h"
#include "backend/request.h"
#include "backend/wire.h"

#define STREAM_RECEIVE_BYTES 65536u
#define STREAM_IOVECS 64u
#define STREAM_WHY 320u
#define STREAM_LINGER_MS 1000u		/* bound on the polite end: REFUSE sent, the peer's close awaited */

enum stream_phase {
	STREAM_FREE,		/* no socket */
	STREAM_OPEN,		/* packets both ways */
	/* what was begun is sent to its end, then a REFUSE; what comes in is thrown away */
	STREAM_REFUSING,
	/* our direction is shut; waiting for the peer to close, so that it can read the REFUSE */
	STREAM_LINGERING,
	STREAM_ENDING,		/* shut down; operations in flight are coming back */
};

struct stream_ops {
	/* A packet; with DATA and FLUSH the request from room(), for DATA its payload is complete.
	 * Non-zero: refused; the request goes back by put(). */
	int (*packet)(void *ctx, const struct packet *p, struct request *req);
	/* A request for a DATA or FLUSH. -EAGAIN: none now, stream_resume() will be called; others: the
	 * peer sends more than it may, words in `why`. */
	int (*room)(void *ctx, const struct packet *p, struct request **req, char *why, size_t why_size);
	void (*put)(void *ctx, struct request *req);
	void (*progress)(void *ctx);	/* at the end of each callback of the loop: phases may have changed */
};

struct stream_entry { uint64_t at; const uint8_t *payload; uint32_t length, payload_length; };

struct stream {
	struct loop *loop;
	const struct stream_ops *ops;
	void *ctx;
	enum stream_phase phase;
	int fd;
	uint16_t version;		/* of the protocol, that is spoken; 0: not agreed yet */
	char why[STREAM_WHY];		/* why it is not OPEN; the first reason stays */
	uint64_t closing_ms;		/* when a polite end is cut short */

	struct loop_op recv_op;
	uint8_t *rx;			/* STREAM_RECEIVE_BYTES; [rx_start, rx_end) is unread */
	uint32_t rx_start, rx_end;
	uint64_t rx_sequence, received;
	/* being received: `held` until it has a request, `req` while its payload comes in */
	struct packet packet;
	struct request *req;
	uint32_t got;			/* bytes of payload in req->data */
	/* direct: recv_op writes into req->data; eof: the peer closed its direction */
	bool held, direct, paused, eof;

	struct loop_op send_op;
	struct stream_entry *tx;	/* ring of tx_size entries, [tx_tail, tx_head) */
	/* flying: entries (also in part) in the sendmsg under way */
	uint32_t tx_size, tx_tail, tx_head, tx_flying;
	/* ring of encoded headers and bodies; `at` and bytes_* are offsets that only grow */
	uint8_t *bytes;
	uint32_t bytes_size;
	uint64_t bytes_tail, bytes_head;
	uint64_t tx_done;		/* bytes of the entry at tx_tail that are sent */
	uint64_t tx_sequence, sent;
	struct iovec iov[STREAM_IOVECS];
	struct msghdr msg;
};

/* Memory for `packets` packets waiting to be sent. -ENOMEM. Phase FREE. */
int stream_init(struct stream *s, struct loop *loop, uint32_t packets, const struct stream_ops *ops,
		void *ctx);
void stream_dispose(struct stream *s);		/* FREE or never opened */

void stream_open(struct stream *s, int fd);	/* takes the connected socket over and starts to receive */

/* From the next packet on, both ways, this version of the protocol is spoken. Before: INTRO and REFUSE alone. */
void stream_speak(struct stream *s, uint16_t version);

/* Queues a packet; payload bytes stay the caller's and in place until it is sent. OPEN only. -ENOBUFS: the
 * queue is full. */
int stream_send(struct stream *s, const struct packet *p, const uint8_t *payload);
void stream_flush(struct stream *s);		/* starts to send what is queued */
void stream_pause(struct stream *s);		/* no further packets until stream_resume() */
void stream_resume(struct stream *s);

/* ends it after telling the peer why */
void stream_refuse(struct stream *s, const char *why, uint64_t now_ms);
void stream_abort(struct stream *s, const char *why);			/* ends it now, with a reset */
void stream_tick(struct stream *s, uint64_t now_ms);
uint64_t stream_deadline(const struct stream *s);

/* not OPEN, and no operation touches memory outside the stream any more */
bool stream_quiet(const struct stream *s);
/* ENDING, and every operation is back: stream_reap() will free the socket */
bool stream_over(const struct stream *s);
void stream_reap(struct stream *s);

/* Bytes that this host's TCP received and that the peer's TCP acknowledged (TCP_INFO). */
void stream_counters(const struct stream *s, uint64_t *received, uint64_t *acked);

#endif
