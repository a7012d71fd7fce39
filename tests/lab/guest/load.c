/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads or writes a disk for a while, with so many requests in flight, and says how long they took.
 *
 *   load read|write [-s] [-f] [-b BYTES] [-d DEPTH] [-t MS] [-i SEED] [-l BYTES] DEVICE
 *
 * O_DIRECT, BYTES (default 4096) at a time, in the first BYTES of the device (-l; default: all of it), at random places, by SEED, or with -s one after the other. After MS
 * milliseconds (default 1000; 0: once over all) nothing is begun any more, and what is in flight is waited for. With -f a request is a write and the
 * fdatasync after it, one at a time. Prints one line, or ends at the first error with status 1 and its words:
 *
 *   REQUESTS MICROSECONDS P50 P99 MAX
 *
 * MICROSECONDS is from the first request to the last answer; the others are of a request's latency, in microseconds. CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX    256
#define REQUESTS_MAX (1u << 20) /* of which the latency is kept */

struct options {
	bool write;
	bool sequential;
	bool flush;
	size_t block; /* bytes */
	unsigned int depth;
	int64_t ms;
	uint64_t seed;
	uint64_t limit; /* bytes; 0: the device's */
	const char *device;
};

struct load {
	const struct options *o;
	int fd;
	uint64_t blocks;  /* that are used */
	uint64_t random;
	uint64_t next;	  /* block, if sequential */
	uint64_t begun, ended;
	int64_t started, last; /* us */
	aio_context_t aio;
	struct iocb iocbs[DEPTH_MAX];
	int64_t begun_at[DEPTH_MAX]; /* us */
	uint32_t *latency;	     /* us, REQUESTS_MAX of them */
};

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void fail(const char *what, int error)
{
	printf("load: %s: %s\n", what, strerror(error));
	exit(1);
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static off_t next_position(struct load *l)
{
	uint64_t block = l->o->sequential ? l->next++ % l->blocks : next_random(&l->random) % l->blocks;

	return (off_t)(block * l->o->block);
}

static bool may_begin(const struct load *l)
{
	if (l->begun == REQUESTS_MAX)
		return false;
	return !l->begun || (l->o->ms ? now_us() - l->started < l->o->ms * 1000 : l->begun < l->blocks);
}

static void note_end(struct load *l, int64_t begun_at)
{
	l->last = now_us();
	l->latency[l->ended++] = (uint32_t)(l->last - begun_at);
}

static void begin(struct load *l, unsigned int slot)
{
	struct iocb *iocb = &l->iocbs[slot];

	iocb->aio_offset = next_position(l);
	l->begun_at[slot] = now_us();
	if (syscall(SYS_io_submit, l->aio, 1L, &iocb) != 1)
		fail("io_submit", errno);
	l->begun++;
}

static void run_at_depth(struct load *l, void *buffers)
{
	struct io_event events[DEPTH_MAX];
	unsigned int slot;
	long n;

	if (syscall(SYS_io_setup, l->o->depth, &l->aio) < 0)
		fail("io_setup", errno);
	for (slot = 0; slot < l->o->depth; slot++)
		l->iocbs[slot] = (struct iocb){
			.aio_data = slot,
			.aio_lio_opcode = l->o->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
			.aio_fildes = (uint32_t)l->fd,
			.aio_buf = (uintptr_t)buffers + slot * l->o->block,
			.aio_nbytes = l->o->block,
		};
	for (slot = 0; slot < l->o->depth && may_begin(l); slot++)
		begin(l, slot);
	while (l->ended < l->begun) {
		n = syscall(SYS_io_getevents, l->aio, 1L, (long)l->o->depth, events, NULL);
		if (n < 0 && errno != EINTR)
			fail("io_getevents", errno);
		for (long i = 0; i < n; i++) {
			if (events[i].res != (int64_t)l->o->block)
				fail(l->o->device, events[i].res < 0 ? (int)-events[i].res : EIO);
			slot = (unsigned int)events[i].data;
			note_end(l, l->begun_at[slot]);
			if (may_begin(l))
				begin(l, slot);
		}
	}
}

static void run_with_flushes(struct load *l, const void *buffer)
{
	int64_t begun_at;

	while (may_begin(l)) {
		begun_at = now_us();
		l->begun++;
		if (pwrite(l->fd, buffer, l->o->block, next_position(l)) != (ssize_t)l->o->block || fdatasync(l->fd) < 0)
			fail(l->o->device, errno);
		note_end(l, begun_at);
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_result(struct load *l)
{
	if (!l->ended)
		fail(l->o->device, ETIME);
	qsort(l->latency, l->ended, sizeof(*l->latency), by_size);
	printf("%" PRIu64 " %" PRId64 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", l->ended, l->last - l->started, l->latency[l->ended / 2],
	       l->latency[l->ended - 1 - l->ended / 100], l->latency[l->ended - 1]);
}

static bool parse(struct options *o, int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "sfb:d:t:i:l:")) != -1) {
		switch (letter) {
		case 's': o->sequential = true; break;
		case 'f': o->flush = true; break;
		case 'b': o->block = strtoul(optarg, NULL, 0); break;
		case 'd': o->depth = (unsigned int)strtoul(optarg, NULL, 0); break;
		case 't': o->ms = strtoll(optarg, NULL, 0); break;
		case 'i': o->seed = strtoull(optarg, NULL, 0); break;
		case 'l': o->limit = strtoull(optarg, NULL, 0); break;
		default: return false;
		}
	}
	o->device = argv[optind];
	return optind + 1 == argc && o->block >= 512 && o->block % 512 == 0 && o->depth >= 1 && o->depth <= DEPTH_MAX && o->ms >= 0 &&
	       (!o->flush || (o->write && o->depth == 1));
}

int main(int argc, char **argv)
{
	struct options o = { .block = 4096, .depth = 1, .ms = 1000, .seed = 1 };
	struct load l = { .o = &o };
	uint64_t *buffers;

	o.write = argc > 1 && strcmp(argv[1], "write") == 0;
	if (argc < 3 || (!o.write && strcmp(argv[1], "read") != 0) || !parse(&o, argc - 1, argv + 1)) {
		fprintf(stderr, "usage: load read|write [OPTIONS] DEVICE (see load.c)\n");
		return 2;
	}
	l.fd = open(o.device, (o.write ? O_WRONLY : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (l.fd < 0)
		fail(o.device, errno);
	l.blocks = (o.limit ? o.limit : (uint64_t)lseek(l.fd, 0, SEEK_END)) / o.block;
	buffers = aligned_alloc(4096, (o.block * o.depth + 4095) / 4096 * 4096);
	l.latency = malloc(REQUESTS_MAX * sizeof(*l.latency));
	if (!buffers || !l.latency || !l.blocks)
		fail(o.device, l.blocks ? ENOMEM : ENXIO);
	l.random = (o.seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (size_t i = 0; i < o.block * o.depth / sizeof(*buffers); i++)
		buffers[i] = next_random(&l.random);
	l.started = now_us();
	if (o.flush)
		run_with_flushes(&l, buffers);
	else
		run_at_depth(&l, buffers);
	print_result(&l);
	return 0;
}
