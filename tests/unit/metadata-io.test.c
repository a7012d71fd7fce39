/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_io.c: each block of each area goes to its own place, durably, and is answered once.  The loop is played by this
 * file: it notes what was asked for, and does it on a file when it is told to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "backend/metadata_io.h"

#define SECTORS (1ull << 22) /* 16 pages of bitmap */

static struct asked {
	struct loop_op *op;
	void *buf;
	uint64_t offset;
	bool write;
} asked[8];
static size_t n_asked;

static void ask(struct loop_op *op, const void *buf, size_t len, uint64_t offset, bool write)
{
	assert_int_equal(len, METADATA_BLOCK);
	assert_int_equal((uintptr_t)buf % METADATA_BLOCK, 0); /* O_DIRECT */
	asked[n_asked++] = (struct asked){ op, (void *)(uintptr_t)buf, offset, write };
}

void loop_write(struct loop *loop, struct loop_op *op, int fd, const void *buf, size_t len, uint64_t offset, int rwf)
{
	(void)loop;
	(void)fd;
	assert_int_equal(rwf, 2); /* RWF_DSYNC */
	ask(op, buf, len, offset, true);
}

void loop_read(struct loop *loop, struct loop_op *op, int fd, void *buf, size_t len, uint64_t offset)
{
	(void)loop;
	(void)fd;
	ask(op, buf, len, offset, false);
}

static int fd;
static struct metadata_geometry geometry;
static struct metadata_io io;
static struct metadata_op *answered;
static int answer;
static size_t answers;

static void on_answer(void *ctx, struct metadata_op *op, int rc)
{
	assert_ptr_equal(ctx, &io);
	answered = op;
	answer = rc;
	answers++;
}

/* The kernel has done the oldest one, or says this instead. */
static void finish(int result)
{
	struct asked a = asked[0];

	memmove(asked, asked + 1, --n_asked * sizeof(asked[0]));
	if (result == METADATA_BLOCK && a.write)
		assert_int_equal(pwrite(fd, a.buf, METADATA_BLOCK, (off_t)a.offset), METADATA_BLOCK);
	else if (result == METADATA_BLOCK)
		assert_int_equal(pread(fd, a.buf, METADATA_BLOCK, (off_t)a.offset), METADATA_BLOCK);
	a.op->fn(a.op, result);
}

static int setup(void **state)
{
	char why[200] = "";

	(void)state;
	n_asked = answers = 0;
	fd = memfd_create("metadata", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 2 * (off_t)METADATA_SLOT_BYTES) ||
	    metadata_geometry(METADATA_INDEXED, 1, 2 * METADATA_SLOT_BYTES, SECTORS * 512, 512, &geometry, why, sizeof(why)))
		return -1;
	metadata_io_init(&io, NULL, fd, &geometry, on_answer, &io);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return close(fd);
}

static uint8_t block[2][METADATA_BLOCK] __attribute__((aligned(METADATA_BLOCK)));

static struct metadata_op op_of(enum metadata_area area, bool write, uint32_t number, int which)
{
	return (struct metadata_op){ .area = area, .write = write, .block = number, .data = block[which] };
}

static void a_block_goes_to_its_place_and_comes_back(void **state)
{
	static const struct {
		enum metadata_area area;
		uint32_t block;
	} places[] = { { METADATA_LOG, 0 },
		       { METADATA_LOG, ACTLOG_BLOCKS - 1 },
		       { METADATA_BITMAP, 0 },
		       { METADATA_BITMAP, 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct metadata_op write = op_of(places[i].area, true, places[i].block, 0),
				   read = op_of(places[i].area, false, places[i].block, 1);
		uint64_t area = places[i].area == METADATA_LOG ? geometry.log : geometry.bitmap;

		memset(block[0], 0x11 * (int)(i + 1), METADATA_BLOCK);
		memset(block[1], 0, METADATA_BLOCK);
		metadata_io_submit(&io, &write);
		assert_int_equal(asked[0].offset, area + places[i].block * METADATA_BLOCK);
		assert_true(metadata_io_busy(&io));
		finish(METADATA_BLOCK);
		assert_ptr_equal(answered, &write);
		assert_int_equal(answer, 0);
		metadata_io_submit(&io, &read);
		finish(METADATA_BLOCK);
		assert_ptr_equal(answered, &read);
		assert_int_equal(answer, 0);
		assert_memory_equal(block[0], block[1], METADATA_BLOCK);
		assert_false(metadata_io_busy(&io));
	}
	assert_int_equal(answers, 8);
}

/* One of each kind at the same time. */
static void areas_and_directions_do_not_wait_for_each_other(void **state)
{
	struct metadata_op ops[] = { op_of(METADATA_LOG, true, 1, 0), op_of(METADATA_BITMAP, true, 1, 0),
				     op_of(METADATA_BITMAP, false, 2, 1) };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		metadata_io_submit(&io, &ops[i]);
	assert_int_equal(n_asked, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(metadata_io_busy(&io));
		finish(METADATA_BLOCK);
		assert_ptr_equal(answered, &ops[i]);
	}
	assert_false(metadata_io_busy(&io));
}

static void an_error_is_answered_and_an_interruption_is_not(void **state)
{
	struct metadata_op op = op_of(METADATA_BITMAP, true, 0, 0);

	(void)state;
	metadata_io_submit(&io, &op);
	finish(-EINTR);
	finish(-EAGAIN);
	assert_int_equal(answers, 0);
	finish(-ENOSPC);
	assert_int_equal(answers, 1);
	assert_int_equal(answer, -ENOSPC);
	metadata_io_submit(&io, &op);
	finish(512); /* torn */
	assert_int_equal(answers, 2);
	assert_int_equal(answer, -EIO);
}

static void the_log_that_was_formatted_is_one_of_any_number_of_slots(void **state)
{
	static uint8_t area[ACTLOG_BLOCKS * ACTLOG_BLOCK] __attribute__((aligned(ACTLOG_BLOCK)));
	static const uint32_t slots[] = { ACTLOG_EXTENTS_MIN, 1237, ACTLOG_EXTENTS_MAX };
	char why[200] = "";
	struct actlog *log;

	(void)state;
	assert_int_equal(metadata_io_format_log(fd, &geometry, area, why, sizeof(why)), 0);
	memset(area, 0xee, sizeof(area));
	assert_int_equal(metadata_io_read_log(fd, &geometry, area, why, sizeof(why)), 0);
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		assert_int_equal(actlog_new(slots[i], SECTORS, ACTLOG_EXTENT_SECTORS, &log), 0);
		assert_int_equal(actlog_load(log, area, why, sizeof(why)), 0);
		assert_int_equal(actlog_used(log), 0);
		actlog_free(log);
	}
	assert_int_equal(ftruncate(fd, (off_t)geometry.log + 4096), 0);
	assert_true(metadata_io_read_log(fd, &geometry, area, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "activity log of slot 1 cannot be read"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_block_goes_to_its_place_and_comes_back),
		TEST(areas_and_directions_do_not_wait_for_each_other),
		TEST(an_error_is_answered_and_an_interruption_is_not),
		TEST(the_log_that_was_formatted_is_one_of_any_number_of_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
