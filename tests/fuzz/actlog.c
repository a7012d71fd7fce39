/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actlog.c: any list of extents through actlog_warm(), as a partner may send it (HOT), on a log of any number of slots; what was
 * accepted is read back from the disk. Input: slots (2 bytes), extents (4 bytes each), all big-endian.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/actlog.h"
#include "backend/endian.h"

#define EXTENTS 6000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct actlog *log_of(uint32_t slots)
{
	struct actlog *log = NULL;

	if (actlog_new(slots, EXTENTS, 1, &log))
		return NULL;
	return log;
}

/* The transactions that it takes, as they come to lie on the disk. */
static void write_all(struct actlog *log, uint8_t *area)
{
	uint8_t block[ACTLOG_BLOCK];
	uint32_t victims, place;

	while (actlog_prepare(log, &victims)) {
		assert(!victims);
		place = actlog_transaction(log, block);
		memcpy(area + (size_t)place * ACTLOG_BLOCK, block, ACTLOG_BLOCK);
		actlog_written(log);
	}
}

static void read_back(const struct actlog *log, const uint8_t *area)
{
	struct actlog *read = log_of(actlog_slots(log));

	assert(read && !actlog_load(read, area, NULL, 0));
	for (uint32_t i = 0; i < actlog_slots(log); i++)
		assert(actlog_extent(read, i) == actlog_extent(log, i));
	assert(actlog_used(read) == actlog_used(log));
	actlog_free(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t area[ACTLOG_BLOCKS * ACTLOG_BLOCK];
	uint32_t extents[ACTLOG_EXTENTS_MAX], n = 0;
	struct actlog *log;

	if (size < 2)
		return 0;
	log = log_of(data[0] << 8 | data[1]);
	if (!log)
		return 0;
	for (data += 2, size -= 2; size >= 4 && n < ACTLOG_EXTENTS_MAX; data += 4, size -= 4) {
		struct be32 extent;

		memcpy(&extent, data, sizeof(extent));
		extents[n++] = get_be32(extent);
	}
	actlog_format(area);
	if (!actlog_warm(log, extents, n)) {
		write_all(log, area);
		assert(actlog_used(log) <= n && (!n || actlog_used(log)));
		read_back(log, area);
		for (uint32_t i = 0; i < n && i < actlog_slots(log); i++) {
			assert(actlog_begin(log, extents[i], 1));
			actlog_end(log, extents[i], 1);
		}
	}
	actlog_free(log);
	return 0;
}
