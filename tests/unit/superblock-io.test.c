/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * superblock_io.c over a disk that fails and tears: at every moment the slot can be read,
 * and says the old or the new.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/superblock_io.h"

#define COPY_A 0 /* of slot 0 */
#define COPY_B 32768

static uint8_t slot[2][METADATA_BLOCK];
static struct superblock initial;
static uint64_t state;

static struct {
	struct loop_op *op;
	const void *buf;
	int copy;
} pending;

static uint32_t pick(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % below;
}

/* What superblock_io.c links against here. */
void loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, size_t len, uint64_t offset,
		int rwf)
{
	(void)loop;
	(void)fd;
	assert_int_equal(len, METADATA_BLOCK);
	assert_true(rwf); /* durable, or the order means nothing */
	assert_true(offset == COPY_A || offset == COPY_B);
	pending.op = op;
	pending.buf = buf;
	pending.copy = offset == COPY_B;
}

/* The slot as it is at the start; after that the fake loop_write() has the only copy. */
int claim_open(const char *path, bool shared, struct claim *out, char *why, size_t why_size)
{
	assert_true(shared);
	(void)why;
	(void)why_size;
	out->fd = memfd_create(path, MFD_CLOEXEC);
	out->bytes = METADATA_SLOT_BYTES;
	out->block_size = 512;
	assert_int_equal(ftruncate(out->fd, (off_t)METADATA_SLOT_BYTES), 0);
	assert_int_equal(pwrite(out->fd, slot[0], METADATA_BLOCK, COPY_A), METADATA_BLOCK);
	assert_int_equal(pwrite(out->fd, slot[1], METADATA_BLOCK, COPY_B), METADATA_BLOCK);
	return 0;
}

int claim_measure(struct claim *claim)
{
	(void)claim;
	return 0;
}

void claim_close(struct claim *claim)
{
	close(claim->fd);
	claim->fd = -1;
}

static int result;
static bool done;

static void on_done(void *ctx, int rc)
{
	(void)ctx;
	result = rc;
	done = true;
}

static void make_initial(void)
{
	memset(&initial, 0, sizeof(initial));
	strcpy(initial.name, "my-domu-disk");
	initial.device_uuid[0] = 1;
	initial.flags = SB_CONSISTENT;
	initial.token = TOKEN_HELD;
	initial.epoch = 10;
	initial.base = 9;
	initial.gen.current = 7;
	initial.agreed = (struct features){
		.sectors = 1000, .block_size = 512, .max_segments = 256, .ring_order = 4, .queues = 1
	};
	initial.sequence = 5;
	initial.full_from = METADATA_NO_FULL;
	initial.al_extents = METADATA_AL_EXTENTS;
	metadata_encode(&initial, slot[0]);
	memcpy(slot[1], slot[0], METADATA_BLOCK);
}

/* A power cut now: what would the next start read? */
static void check_readable(uint64_t old_epoch, uint64_t new_epoch)
{
	struct superblock sb;
	char why[200] = "";
	bool heal;
	int newer;

	if (metadata_choose(slot[0], slot[1], &sb, &newer, &heal, why, sizeof(why)))
		fail_msg("the slot cannot be read: %s", why);
	assert_true(sb.epoch >= old_epoch && sb.epoch <= new_epoch);
}

/* The write of one copy ends: well, torn with an error, or whole with an error. */
static bool finish_copy(uint64_t old_epoch, uint64_t new_epoch)
{
	struct loop_op *op = pending.op;
	uint32_t fate = pick(4);
	uint32_t torn = pick(METADATA_BLOCK / 512) * 512;

	memcpy(slot[pending.copy], pending.buf, torn);
	check_readable(old_epoch, new_epoch); /* half-written */
	if (fate != 0)
		memcpy(slot[pending.copy], pending.buf, METADATA_BLOCK);
	check_readable(old_epoch, new_epoch);
	op->fn(op, fate > 1 ? (int)METADATA_BLOCK : -EIO);
	return fate > 1;
}

static void every_power_cut_leaves_a_readable_slot(void **unused)
{
	(void)unused;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		const struct claim data = { .fd = -1, .bytes = 1000 * 512, .block_size = 512 };
		struct superblock_io io;
		struct superblock sb;
		uint64_t durable;
		char why[200];

		state = seed;
		make_initial();
		durable = initial.epoch;
		assert_int_equal(
			superblock_io_open(&io, "meta", 0, &data, NULL, on_done, NULL, &sb, why, sizeof(why)),
			0);
		for (int i = 0; i < 30; i++) {
			sb.epoch++;
			done = false;
			superblock_io_write(&io, &sb);
			while (!done)
				finish_copy(durable, sb.epoch);
			if (!result) {
				durable = sb.epoch;
				assert_memory_equal(slot[0], slot[1], METADATA_BLOCK);
			}
			check_readable(durable, sb.epoch);
		}
		superblock_io_close(&io);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_power_cut_leaves_a_readable_slot) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
