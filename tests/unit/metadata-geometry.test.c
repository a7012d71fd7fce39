/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata-geometry.test.c: where the metadata are, how much they describe, and what does not fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "backend/metadata.h"
#include "config/config.h"

#define KIB 1024ull
#define MIB (KIB << 10)
#define GIB (KIB << 20)
#define TIB (KIB << 30)

static struct metadata_geometry g;
static char why[400];

static int place(enum metadata_layout layout, int index, uint64_t meta, uint64_t data)
{
	why[0] = '\0';
	return metadata_geometry(layout, index, meta, data, 512, &g, why, sizeof(why));
}

/* Every area within the place, none over another one, all on blocks. */
static void check_areas(void)
{
	const uint64_t area[][2] = { { g.copy[0], METADATA_BLOCK },
				     { g.log, 7 * METADATA_BLOCK },
				     { g.copy[1], METADATA_BLOCK },
				     { g.bitmap, g.bitmap_bytes } };
	uint64_t sum = 0;

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(area[i][0] % METADATA_BLOCK, 0);
		assert_true(area[i][1] && area[i][1] % METADATA_BLOCK == 0);
		assert_true(area[i][0] >= g.start && area[i][0] + area[i][1] <= g.start + g.bytes);
		sum += area[i][1];
		for (size_t j = 0; j < i; j++)
			assert_true(area[i][0] >= area[j][0] + area[j][1] ||
				    area[j][0] >= area[i][0] + area[i][1]);
	}
	assert_true(sum == g.bytes);
	assert_true(metadata_bitmap_bytes(g.data_sectors_max) <= g.bitmap_bytes);
}

static void a_slot_is_128_mib(void **state)
{
	(void)state;
	assert_int_equal(place(METADATA_INDEXED, 3, 512 * MIB, 100 * GIB), 0);
	check_areas();
	assert_true(g.copy[0] == 384 * MIB && g.copy[1] == 384 * MIB + 32 * KIB);
	assert_true(g.log == 384 * MIB + 4 * KIB && g.bitmap == 384 * MIB + 36 * KIB);
	assert_true(g.bitmap_bytes == 128 * MIB - 36 * KIB);
	assert_string_equal(g.place, "slot 3");
}

static void a_slot_beyond_the_device_is_refused(void **state)
{
	(void)state;
	assert_int_equal(place(METADATA_INDEXED, 2, 256 * MIB, 0), -ENOSPC);
	assert_non_null(strstr(why, "384 MiB"));
	assert_int_equal(place(METADATA_INDEXED, INT32_MAX, 256 * MIB, 0), -ENOSPC);
	assert_int_equal(place(METADATA_INDEXED, -1, 256 * MIB, 0), -EINVAL);
}

static void a_slot_describes_just_under_4_tib(void **state)
{
	uint64_t most = (128 * MIB - 36 * KIB) * 8 * 4096;

	(void)state;
	assert_int_equal(place(METADATA_INDEXED, 0, 128 * MIB, most), 0);
	assert_true(g.data_sectors_max == most / 512);
	assert_int_equal(place(METADATA_INDEXED, 0, 128 * MIB, most + 512), -ENOSPC);
	assert_non_null(strstr(why, "just under 4 TiB"));
	assert_non_null(strstr(why, "without an index"));
}

static void flexible_metadata_describe_16_tib_and_more(void **state)
{
	(void)state;
	assert_int_equal(place(METADATA_FLEXIBLE, 0, 512 * MIB + 36 * KIB, 16 * TIB), 0);
	check_areas();
	assert_true(g.copy[0] == 0 && g.bitmap == 36 * KIB && g.data_sectors_max == 16 * TIB / 512);
	assert_int_equal(place(METADATA_FLEXIBLE, 0, 512 * MIB + 36 * KIB, 16 * TIB + 512), -ENOSPC);
	assert_non_null(strstr(why, "at least 524328 KiB"));
	assert_int_equal(place(METADATA_FLEXIBLE, 0, 4 * GIB, 100 * TIB), 0);
	assert_int_equal(place(METADATA_FLEXIBLE, 0, 40 * KIB, 128 * MIB), 0);
	assert_int_equal(place(METADATA_FLEXIBLE, 0, 40 * KIB, 128 * MIB + 512), -ENOSPC);
	assert_int_equal(place(METADATA_FLEXIBLE, 0, 40 * KIB - 1, 0), -ENOSPC);
}

static void no_disk_is_larger_than_the_largest(void **state)
{
	(void)state;
	assert_int_equal(place(METADATA_FLEXIBLE, 0, UINT64_MAX, 1024 * TIB), 0);
	assert_int_equal(place(METADATA_FLEXIBLE, 0, UINT64_MAX, 1024 * TIB + 512), -EFBIG);
	assert_int_equal(place(METADATA_FLEXIBLE, 0, UINT64_MAX, UINT64_MAX), -EFBIG);
}

static void internal_metadata_are_at_the_end(void **state)
{
	(void)state;
	/* one page describes 128 MiB */
	assert_int_equal(place(METADATA_INTERNAL, 0, 128 * MIB, 0), 0);
	check_areas();
	assert_true(g.copy[0] == 128 * MIB - 4 * KIB);
	assert_true(g.log == 128 * MIB - 36 * KIB && g.copy[1] == 128 * MIB - 8 * KIB);
	assert_true(g.bitmap == 128 * MIB - 40 * KIB && g.data_sectors_max * 512 == g.bitmap);
	/* an end that is no block's: the last whole block counts, and the bitmap is for the whole disk */
	assert_int_equal(place(METADATA_INTERNAL, 0, 128 * MIB + 512, 0), 0);
	check_areas();
	assert_true(g.copy[0] == 128 * MIB - 4 * KIB && g.bitmap_bytes == 8 * KIB);
}

static void internal_metadata_of_every_size_fit(void **state)
{
	(void)state;
	for (uint64_t bytes = 44 * KIB; bytes < 512 * MIB; bytes += 1234567) {
		assert_int_equal(place(METADATA_INTERNAL, 0, bytes, 0), 0);
		check_areas();
		assert_true(g.start + g.bytes <= bytes && bytes - (g.start + g.bytes) < METADATA_BLOCK);
	}
	assert_int_equal(place(METADATA_INTERNAL, 0, 44 * KIB - 1, 0), -ENOSPC);
	assert_non_null(strstr(why, "too small"));
}

static void block_sizes_are_512_and_4096(void **state)
{
	(void)state;
	assert_int_equal(metadata_geometry(METADATA_FLEXIBLE, 0, GIB, GIB, 4096, &g, why, sizeof(why)), 0);
	assert_int_equal(metadata_geometry(METADATA_FLEXIBLE, 0, GIB, GIB, 1024, &g, why, sizeof(why)),
			 -EINVAL);
	assert_int_equal(metadata_geometry(METADATA_FLEXIBLE, 0, GIB, GIB, 0, &g, why, sizeof(why)), -EINVAL);
}

static void the_file_says_which_layout(void **state)
{
	(void)state;
	assert_int_equal(metadata_layout_of(0), METADATA_INDEXED);
	assert_int_equal(metadata_layout_of(7), METADATA_INDEXED);
	assert_int_equal(metadata_layout_of(CONFIG_META_FLEXIBLE), METADATA_FLEXIBLE);
	assert_int_equal(metadata_layout_of(CONFIG_META_INTERNAL), METADATA_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_is_128_mib),
		cmocka_unit_test(a_slot_beyond_the_device_is_refused),
		cmocka_unit_test(a_slot_describes_just_under_4_tib),
		cmocka_unit_test(flexible_metadata_describe_16_tib_and_more),
		cmocka_unit_test(no_disk_is_larger_than_the_largest),
		cmocka_unit_test(internal_metadata_are_at_the_end),
		cmocka_unit_test(internal_metadata_of_every_size_fit),
		cmocka_unit_test(block_sizes_are_512_and_4096),
		cmocka_unit_test(the_file_says_which_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
