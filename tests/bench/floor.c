/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor below a replicated write: the least that two processes can do for it. The one that drives writes each request to its file, with
 * O_DIRECT and RWF_DSYNC as drbdxd does, and sends it over TCP to the one that serves, which writes it to its own and answers; a request is done
 * when both have been. Reads are local. No ring, no order of overlapping writes, no log, no checksum, no time-outs, no reconnection.
 *
 *	floor serve PORT FILE SIZE DEPTH
 *	floor drive ADDRESS PORT FILE SIZE DEPTH read|write random|sequential RANGE SECONDS [FLUSH-AFTER]
 *
 * SIZE of a request and RANGE of the file in bytes; a flush after each FLUSH-AFTER writes. Prints one line of JSON, as blkfront-sim does. Serves
 * one connection, prints its processor time and ends. Messages have one length, so that each takes one recvmsg: a flush carries the bytes of a
 * write, which nobody uses.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 512u

enum { OP_READ, OP_WRITE, OP_FLUSH };
enum { DISK = 1, PARTNER = 2 };			/* what a request still waits for */
enum { DONE_SEND = DEPTH_MAX, DONE_RECEIVE };	/* user_data; below: the slot whose disk operation it was */

struct message {
	uint64_t offset;
	uint32_t slot, op;
};

struct slot {
	struct message message;
	uint8_t *data;
	unsigned int pending;
	int64_t since_ns;
};

static struct io_uring ring;
static struct slot slot[DEPTH_MAX];
static uint32_t size, depth;
static int file, connection = -1;

/* What is to be sent: indices of slots, whose messages (driver) or numbers (server) leave together. */
static uint32_t queue[DEPTH_MAX], queued, answers[DEPTH_MAX];
static struct iovec out[2 * DEPTH_MAX];
static struct msghdr out_message = { .msg_iov = out };
static bool sending;

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct io_uring_sqe *sqe_new(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe)
		errx(1, "the submission queue is full");
	return sqe;
}

static void set_up(const char *path)
{
	struct iovec area = { .iov_len = (size_t)size * (depth + 1) };
	int rc = io_uring_queue_init(4 * DEPTH_MAX, &ring, 0);

	file = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (file < 0)
		err(1, "%s", path);
	area.iov_base = aligned_alloc(4096, area.iov_len);
	if (rc < 0 || !area.iov_base)
		errx(1, "io_uring: %s", strerror(-rc));
	for (size_t i = 0; i < area.iov_len; i++)
		((uint8_t *)area.iov_base)[i] = (uint8_t)(i * 2654435761u >> 13);
	rc = io_uring_register_buffers(&ring, &area, 1);
	if (rc < 0)
		errx(1, "io_uring buffers: %s", strerror(-rc));
	for (uint32_t i = 0; i <= depth; i++)
		slot[i] = (struct slot){ .data = (uint8_t *)area.iov_base + (size_t)i * size, .message.slot = i };
}

static void start_disk(uint32_t i)
{
	struct io_uring_sqe *sqe = sqe_new();
	const struct message *m = &slot[i].message;

	if (m->op == OP_READ)
		io_uring_prep_read_fixed(sqe, file, slot[i].data, size, m->offset, 0);
	else if (m->op == OP_WRITE)
		io_uring_prep_write_fixed(sqe, file, slot[i].data, size, m->offset, 0);
	else
		io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
	if (m->op == OP_WRITE)
		sqe->rw_flags = RWF_DSYNC;
	sqe->user_data = i;
}

static void start_send(void)
{
	struct io_uring_sqe *sqe;

	if (sending || !out_message.msg_iovlen)
		return;
	sqe = sqe_new();
	io_uring_prep_sendmsg(sqe, connection, &out_message, MSG_WAITALL | MSG_NOSIGNAL);
	sqe->user_data = DONE_SEND;
	sending = true;
}

static void receive(struct msghdr *in)
{
	struct io_uring_sqe *sqe = sqe_new();

	io_uring_prep_recvmsg(sqe, connection, in, MSG_WAITALL);
	sqe->user_data = DONE_RECEIVE;
}

static void no_delay(void)
{
	int on = 1;

	setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void check_disk(const struct io_uring_cqe *cqe)
{
	if (cqe->res != (slot[cqe->user_data].message.op == OP_FLUSH ? 0 : (int)size))
		errx(1, "disk: %s", cqe->res < 0 ? strerror(-cqe->res) : "short");
}

/* The server. */

static uint32_t unused[DEPTH_MAX + 1], unused_count, receiving;
static struct iovec in_vector[2];
static struct msghdr in_message = { .msg_iov = in_vector, .msg_iovlen = 2 };
static struct message in_header;

static void receive_request(void)
{
	receiving = unused[--unused_count];
	in_vector[0] = (struct iovec){ &in_header, sizeof(in_header) };
	in_vector[1] = (struct iovec){ slot[receiving].data, size };
	receive(&in_message);
}

static void send_answers(void)
{
	if (sending)
		return;
	memcpy(answers, queue, queued * sizeof(queue[0]));
	out[0] = (struct iovec){ answers, queued * sizeof(queue[0]) };
	out_message.msg_iovlen = queued ? 1 : 0;
	queued = 0;
	start_send();
}

/* False: the driver is gone. */
static bool serve_one(const struct io_uring_cqe *cqe)
{
	if (cqe->user_data == DONE_SEND) {
		sending = false;
	} else if (cqe->user_data == DONE_RECEIVE) {
		if (cqe->res != (int)(sizeof(in_header) + size))
			return false;
		slot[receiving].message = in_header;
		start_disk(receiving);
		receive_request();
	} else {
		check_disk(cqe);
		queue[queued++] = slot[cqe->user_data].message.slot;
		unused[unused_count++] = (uint32_t)cqe->user_data;
	}
	return true;
}

static void serve(const char *port, const char *path)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct io_uring_cqe *cqe;
	bool more = true;

	set_up(path);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1))
		err(1, "port %s", port);
	puts("ready");
	fflush(stdout);
	connection = accept(listener, NULL, NULL);
	no_delay();
	for (uint32_t i = 0; i <= depth; i++)
		unused[unused_count++] = i;
	receive_request();
	while (more) {
		io_uring_submit_and_wait(&ring, 1);
		while (more && io_uring_peek_cqe(&ring, &cqe) == 0) {
			more = serve_one(cqe);
			io_uring_cqe_seen(&ring, cqe);
		}
		send_answers();
	}
	printf("{\"cpu_ns\":%lld}\n", (long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}

/* The driver. */

static uint64_t range, next_offset, random_state = 0x9e3779b97f4a7c15u;
static uint32_t operation, flush_after, in_flight;
static bool sequential;
static uint64_t issued, done;
static uint32_t *latency;			/* of each request, in microseconds */
static size_t latency_room;
static uint32_t acked[DEPTH_MAX];
static size_t acked_bytes;			/* of which the last may be in part */
static struct iovec ack_vector;
static struct msghdr ack_message = { .msg_iov = &ack_vector, .msg_iovlen = 1 };

static uint64_t choose(void)
{
	uint64_t at = next_offset;

	if (sequential) {
		next_offset = (next_offset + size) % range;
		return at;
	}
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % (range / size) * size;
}

static void receive_acks(void)
{
	struct io_uring_sqe *sqe = sqe_new();

	ack_vector = (struct iovec){ (uint8_t *)acked + acked_bytes, sizeof(acked) - acked_bytes };
	io_uring_prep_recvmsg(sqe, connection, &ack_message, 0);
	sqe->user_data = DONE_RECEIVE;
}

static void issue(uint32_t i)
{
	struct slot *s = &slot[i];
	bool flush = flush_after && ++issued % (flush_after + 1) == 0;

	s->message = (struct message){ .offset = choose(), .slot = i, .op = flush ? OP_FLUSH : operation };
	s->since_ns = clock_ns(CLOCK_MONOTONIC);
	s->pending = DISK;
	if (operation == OP_WRITE) {
		s->pending |= PARTNER;
		queue[queued++] = i;
	}
	start_disk(i);
	in_flight++;
}

static void send_requests(void)
{
	if (sending)
		return;
	for (uint32_t i = 0; i < queued; i++) {
		out[2 * i] = (struct iovec){ &slot[queue[i]].message, sizeof(struct message) };
		out[2 * i + 1] = (struct iovec){ slot[queue[i]].data, size };
	}
	out_message.msg_iovlen = 2 * queued;
	queued = 0;
	start_send();
}

static void part_done(uint32_t i, unsigned int part, bool again)
{
	struct slot *s = &slot[i];

	s->pending &= ~part;
	if (s->pending)
		return;
	if (done == latency_room) {
		latency_room = latency_room ? 2 * latency_room : 1 << 16;
		latency = realloc(latency, latency_room * sizeof(latency[0]));
		if (!latency)
			err(1, "latencies");
	}
	latency[done++] = (uint32_t)((clock_ns(CLOCK_MONOTONIC) - s->since_ns) / 1000);
	in_flight--;
	if (again)
		issue(i);
}

static void drive_one(const struct io_uring_cqe *cqe, bool again)
{
	uint32_t whole;

	if (cqe->user_data == DONE_SEND) {
		sending = false;
	} else if (cqe->user_data == DONE_RECEIVE) {
		if (cqe->res <= 0)
			errx(1, "the server is gone");
		acked_bytes += (size_t)cqe->res;
		whole = (uint32_t)(acked_bytes / sizeof(acked[0]));
		for (uint32_t i = 0; i < whole; i++)
			part_done(acked[i], PARTNER, again);
		acked_bytes -= whole * sizeof(acked[0]);
		memmove(acked, acked + whole, acked_bytes);
		receive_acks();
	} else {
		check_disk(cqe);
		part_done((uint32_t)cqe->user_data, DISK, again);
	}
}

static int by_value(const void *a, const void *b)
{
	return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

static void report(int64_t from_ns, int64_t cpu_ns)
{
	double elapsed = (double)(clock_ns(CLOCK_MONOTONIC) - from_ns), cpu = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns);

	qsort(latency, done, sizeof(latency[0]), by_value);
	printf("{\"ops\":%llu,\"elapsed_ms\":%.3f,\"cpu_ms\":%.3f,\"p50_us\":%u,\"p99_us\":%u}\n", (unsigned long long)done, elapsed / 1e6,
	       cpu / 1e6, latency[done / 2], latency[done * 99 / 100]);
}

static void drive(const char *address, const char *port, const char *path, double seconds)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	struct io_uring_cqe *cqe;
	int64_t from, end, cpu;

	set_up(path);
	if (operation == OP_WRITE) {
		connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (inet_pton(AF_INET, address, &a.sin_addr) != 1 || connect(connection, (struct sockaddr *)&a, sizeof(a)))
			err(1, "%s:%s", address, port);
		no_delay();
		receive_acks();
	}
	from = clock_ns(CLOCK_MONOTONIC);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	end = from + (int64_t)(seconds * 1e9);
	for (uint32_t i = 0; i < depth; i++)
		issue(i);
	while (in_flight) {
		bool again = clock_ns(CLOCK_MONOTONIC) < end;

		if (operation == OP_WRITE)
			send_requests();
		io_uring_submit_and_wait(&ring, 1);
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			struct io_uring_cqe copy = *cqe;

			io_uring_cqe_seen(&ring, cqe);
			drive_one(&copy, again);
		}
	}
	report(from, cpu);
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "serve")) {
		size = (uint32_t)atoi(argv[4]);
		depth = (uint32_t)atoi(argv[5]);
		serve(argv[2], argv[3]);
		return 0;
	}
	if (argc < 11 || strcmp(argv[1], "drive"))
		errx(2, "usage: see the head of floor.c");
	size = (uint32_t)atoi(argv[5]);
	depth = (uint32_t)atoi(argv[6]);
	operation = strcmp(argv[7], "read") ? OP_WRITE : OP_READ;
	sequential = !strcmp(argv[8], "sequential");
	range = strtoull(argv[9], NULL, 10);
	flush_after = argc > 11 ? (uint32_t)atoi(argv[11]) : 0;
	if (!depth || depth >= DEPTH_MAX || size % 4096 || !size || range < size)
		errx(2, "depth, size or range");
	drive(argv[2], argv[3], argv[4], atof(argv[10]));
	return 0;
}
