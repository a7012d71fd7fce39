/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes numbered, checksummed blocks one after the other, says which are acknowledged, and checks them later.
 *
 *   writer write  [-n COUNT] [-s FIRST] [-f N] [-e MS] [common] DEVICE
 *   writer verify -l LAST [-w WINDOW] [common] DEVICE
 *   common: [-b BLOCK_BYTES] [-r REGION_BLOCKS] [-o OFFSET_BLOCKS] [-i RUN]
 *
 * Block SEQ (from 1) goes to slot (SEQ - 1) % REGION_BLOCKS of the region that starts at OFFSET_BLOCKS. 'write' uses
 * O_DIRECT | O_SYNC, or with -f N plain O_DIRECT and an fdatasync after every N blocks; a block counts as acknowledged when
 * the write (or the fdatasync after it) has returned. It prints "ack SEQ" at most every MS milliseconds and once at the
 * end; it ends after COUNT blocks, at SIGTERM or at the first error, with one line that starts with "writer:". The gap is
 * the longest time between two acknowledgements by CLOCK_BOOTTIME, which goes on while the guest is suspended. At SIGUSR1 it
 * prints "gap MS at SEQ", the longest since the last SIGUSR1, after the next acknowledgement: a gap that lasts is in it.
 *
 * 'verify' wants in each slot the newest block up to LAST. Blocks LAST+1 to LAST+WINDOW (written but not acknowledged)
 * may be there, may be torn, may be missing; their slots are checked for nothing but that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x6472626478776274)

struct head {
	uint64_t magic;
	uint64_t run;
	uint64_t seq;
	uint64_t sum; /* of the whole block, with this field 0 */
};

struct options {
	const char *device;
	size_t block;     /* bytes */
	uint64_t region;  /* blocks */
	uint64_t offset;  /* blocks */
	uint64_t run;
	uint64_t count;   /* blocks; 0: until SIGTERM */
	uint64_t first;   /* sequence number */
	uint64_t flush;   /* blocks between two fdatasync; 0: O_SYNC */
	uint64_t every;   /* milliseconds between two "ack" lines */
	uint64_t last;    /* sequence number */
	uint64_t window;  /* blocks */
};

struct gap {
	int64_t ms;
	uint64_t at; /* sequence number of the block that it ended with */
};

struct progress {
	uint64_t acked;   /* sequence number, 0: none */
	uint64_t printed; /* sequence number */
	int64_t acked_at; /* ms */
	int64_t printed_at;
	struct gap longest;
	struct gap recent; /* the longest since the last SIGUSR1 */
};

static volatile sig_atomic_t ended, gap_wanted;

static void on_term(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

static void on_usr1(int signal_number)
{
	(void)signal_number;
	gap_wanted = 1;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* FNV-1a over 64-bit words. */
static uint64_t checksum(const void *block, size_t len)
{
	const uint64_t *word = block;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len / sizeof(*word); i++)
		sum = (sum ^ word[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void fill(void *block, const struct options *o, uint64_t seq)
{
	struct head *head = block;
	uint64_t *word = block, x = seq * UINT64_C(0x9e3779b97f4a7c15) + o->run;

	for (size_t i = sizeof(*head) / sizeof(*word); i < o->block / sizeof(*word); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		word[i] = x;
	}
	*head = (struct head){ .magic = MAGIC, .run = o->run, .seq = seq };
	head->sum = checksum(block, o->block);
}

/* The sequence number in 'block', or 0 when it is none of ours or damaged. */
static uint64_t examine(void *block, const struct options *o)
{
	struct head *head = block;
	uint64_t sum = head->sum;

	head->sum = 0;
	if (head->magic != MAGIC || head->run != o->run || checksum(block, o->block) != sum)
		return 0;
	return head->seq;
}

static uint64_t slot_of(const struct options *o, uint64_t seq)
{
	return (seq - 1) % o->region;
}

static off_t position(const struct options *o, uint64_t slot)
{
	return (off_t)((o->offset + slot) * o->block);
}

static void print_ack(struct progress *p, int64_t now)
{
	if (p->printed == p->acked)
		return;
	printf("ack %" PRIu64 "\n", p->acked);
	fflush(stdout);
	p->printed = p->acked;
	p->printed_at = now;
}

static void note_gap(struct gap *gap, int64_t ms, uint64_t seq)
{
	if (ms > gap->ms)
		*gap = (struct gap){ .ms = ms, .at = seq };
}

static void print_gap(struct progress *p)
{
	printf("gap %" PRId64 " at %" PRIu64 "\n", p->recent.ms, p->recent.at);
	fflush(stdout);
	p->recent = (struct gap){ 0 };
}

static void acknowledged(struct progress *p, const struct options *o, uint64_t seq)
{
	int64_t now = now_ms();

	if (p->acked_at) {
		note_gap(&p->longest, now - p->acked_at, seq);
		note_gap(&p->recent, now - p->acked_at, seq);
	}
	p->acked = seq;
	p->acked_at = now;
	if (now - p->printed_at >= (int64_t)o->every)
		print_ack(p, now);
	if (gap_wanted) {
		gap_wanted = 0;
		print_gap(p);
	}
}

static int write_one(int fd, const struct options *o, struct progress *p, void *block, uint64_t seq)
{
	ssize_t r;

	fill(block, o, seq);
	r = pwrite(fd, block, o->block, position(o, slot_of(o, seq)));
	if (r != (ssize_t)o->block)
		return r < 0 ? -errno : -EIO;
	if (o->flush && seq % o->flush != 0)
		return 0;
	if (o->flush && fdatasync(fd) < 0)
		return -errno;
	acknowledged(p, o, seq);
	return 0;
}

static int run_write(const struct options *o)
{
	struct progress p = { 0 };
	uint64_t seq, end = o->count ? o->first + o->count : UINT64_MAX;
	void *block = aligned_alloc(4096, o->block);
	int fd = open(o->device, O_WRONLY | O_DIRECT | O_CLOEXEC | (o->flush ? 0 : O_SYNC));
	int rc = fd < 0 ? -errno : 0;

	for (seq = o->first; rc == 0 && !ended && seq < end; seq++)
		rc = write_one(fd, o, &p, block, seq);
	if (rc == 0 && o->flush && p.acked + 1 < seq) {
		rc = fdatasync(fd) < 0 ? -errno : 0;
		if (rc == 0)
			acknowledged(&p, o, seq - 1);
	}
	print_ack(&p, now_ms());
	if (rc < 0)
		printf("writer: error %s at %" PRIu64 "\n", strerror(-rc), seq - 1);
	printf("writer: acked=%" PRIu64 " errors=%d gap_ms=%" PRId64 " gap_at=%" PRIu64 "\n", p.acked, rc < 0,
	       p.longest.ms, p.longest.at);
	if (fd >= 0)
		close(fd);
	free(block);
	return rc < 0;
}

/* The newest sequence number up to LAST that belongs into 'slot', or 0. */
static uint64_t wanted(const struct options *o, uint64_t slot)
{
	uint64_t seq, newest;

	if (o->last == 0 || slot_of(o, o->last) == slot)
		return o->last;
	newest = slot_of(o, o->last);
	seq = o->last - (newest > slot ? newest - slot : newest + o->region - slot);
	return seq > o->last || seq < o->first ? 0 : seq;
}

static bool in_window(const struct options *o, uint64_t slot)
{
	uint64_t ahead = (slot + o->region - o->last % o->region) % o->region; /* of LAST+1's slot */

	return ahead < o->window;
}

static bool slot_is_good(const struct options *o, uint64_t slot, uint64_t seq)
{
	uint64_t want = wanted(o, slot);

	if (want == 0 || seq == want || in_window(o, slot))
		return true;
	printf("writer: slot %" PRIu64 " holds %" PRIu64 ", wanted %" PRIu64 "\n", slot, seq, want);
	return false;
}

static int open_for_reading(const char *device)
{
	int fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);

	return fd < 0 && errno == EINVAL ? open(device, O_RDONLY | O_CLOEXEC) : fd;
}

static int run_verify(const struct options *o)
{
	uint64_t bad = 0, checked = 0, slot;
	void *block = aligned_alloc(4096, o->block);
	int fd = open_for_reading(o->device);
	int rc = fd < 0 ? -errno : 0;

	for (slot = 0; rc == 0 && slot < o->region && slot < o->last + o->window; slot++) {
		ssize_t r = pread(fd, block, o->block, position(o, slot));

		if (r != (ssize_t)o->block)
			rc = r < 0 ? -errno : -EIO;
		else if (!slot_is_good(o, slot, examine(block, o)) && ++bad >= 10)
			break;
		checked++;
	}
	if (rc < 0)
		printf("writer: error %s at slot %" PRIu64 "\n", strerror(-rc), slot - 1);
	printf("writer: verified=%" PRIu64 " last=%" PRIu64 " bad=%" PRIu64 "\n", checked, o->last, bad);
	if (fd >= 0)
		close(fd);
	free(block);
	return rc < 0 || bad > 0;
}

static uint64_t *numeric_option(struct options *o, int letter)
{
	switch (letter) {
	case 'r': return &o->region;
	case 'o': return &o->offset;
	case 'i': return &o->run;
	case 'n': return &o->count;
	case 's': return &o->first;
	case 'f': return &o->flush;
	case 'e': return &o->every;
	case 'l': return &o->last;
	case 'w': return &o->window;
	default: return NULL;
	}
}

static bool parse(struct options *o, int argc, char **argv)
{
	uint64_t *number;
	int letter;

	while ((letter = getopt(argc, argv, "b:r:o:i:n:s:f:e:l:w:")) != -1) {
		number = numeric_option(o, letter);
		if (letter == 'b')
			o->block = strtoul(optarg, NULL, 0);
		else if (number)
			*number = strtoull(optarg, NULL, 0);
		else
			return false;
	}
	o->device = argv[optind];
	return optind + 1 == argc && o->block >= 512 && o->block % 512 == 0 && o->region > 0 && o->first > 0;
}

int main(int argc, char **argv)
{
	struct options o = { .block = 4096, .region = 1024, .run = 1, .first = 1, .every = 200, .window = 1 };
	bool verify = argc > 1 && strcmp(argv[1], "verify") == 0;

	if (argc < 3 || (!verify && strcmp(argv[1], "write") != 0) || !parse(&o, argc - 1, argv + 1)) {
		fprintf(stderr, "usage: writer write|verify [OPTIONS] DEVICE (see writer.c)\n");
		return 2;
	}
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_usr1, .sa_flags = SA_RESTART }, NULL);
	return verify ? run_verify(&o) : run_write(&o);
}
