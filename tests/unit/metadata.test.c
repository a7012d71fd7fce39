/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata.test.c: the superblock's two copies, and power cuts at every write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/crc32c.h"
#include "backend/metadata.h"
#include "tests/unit/document.h"

#define MIB    (1ull << 20)
#define COPY_A 0ll /* of slot 0 */
#define COPY_B 32768ll

/*
 * The program's own pwrite() and fdatasync() come before libc's: they record what happens ("A", "B": a copy
 * of slot 0, "f": a flush), and the n-th write fails, as when the power goes.
 */
static char trace[100];
static int writes_left = -1;

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset)
{
	strcat(trace, offset == COPY_A ? "A" : offset == COPY_B ? "B" : "?");
	if (writes_left == 0) {
		errno = EIO;
		return -1;
	}
	writes_left -= writes_left > 0;
	return syscall(SYS_pwrite64, file, bytes, length, offset);
}

int fdatasync(int file)
{
	strcat(trace, "f");
	return (int)syscall(SYS_fdatasync, file);
}

static int fd;
static char why[400];
static struct metadata_geometry slot[2]; /* of a device of two slots */

static struct superblock sample(void)
{
	return (struct superblock) {
		.sequence = 41,
		.name = "my-domu-disk",
		.device_uuid = { 1, 2, 3 },
		.flags = SB_CONSISTENT | SB_IN_USE,
		.token = TOKEN_HELD,
		.epoch = 9,
		.base = 8,
		.reservation = 7,
		.gen = { 1, 2, { 3, 4 } },
		.agreed = { .sectors = 4096,
			    .block_size = 512,
			    .max_segments = 256,
			    .ring_order = 4,
			    .queues = 1 },
		.full_from = METADATA_NO_FULL,
		.al_extents = 1237,
	};
}

/* A sparse file of `mib` MiB. */
static void file_of(uint64_t mib)
{
	char path[] = "/tmp/drbdx-metadata-XXXXXX";

	fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, (off_t)(mib * MIB)), 0);
}

static int setup(void **state)
{
	(void)state;
	trace[0] = '\0';
	writes_left = -1;
	file_of(256);
	for (int i = 0; i < 2; i++)
		assert_int_equal(metadata_geometry(METADATA_INDEXED, i, 256 * MIB, 0, 512, &slot[i], why,
						   sizeof(why)),
				 0);
	why[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(fd);
	return 0;
}

static void put_bytes(uint64_t offset, const void *bytes, size_t length)
{
	assert_int_equal(syscall(SYS_pwrite64, fd, bytes, length, (off_t)offset), length);
}

static void write_sb(struct superblock *sb)
{
	assert_int_equal(metadata_write(fd, &slot[0], sb, why, sizeof(why)), 0);
}

static void a_superblock_survives(void **state)
{
	uint8_t block[METADATA_BLOCK], again[METADATA_BLOCK];
	struct superblock in = sample(), out;

	(void)state;
	metadata_encode(&in, block);
	assert_int_equal(metadata_decode(block, &out, why, sizeof(why)), 0);
	assert_int_equal(out.sequence, 41);
	assert_string_equal(out.name, "my-domu-disk");
	assert_int_equal(out.token, TOKEN_HELD);
	assert_int_equal(out.flags, SB_CONSISTENT | SB_IN_USE);
	assert_int_equal(out.epoch, 9);
	assert_int_equal(out.base, 8);
	assert_int_equal(out.reservation, 7);
	assert_int_equal(out.gen.history[1], 4);
	assert_int_equal(out.agreed.sectors, 4096);
	assert_int_equal(out.device_uuid[2], 3);
	metadata_encode(&out, again);
	assert_memory_equal(block, again, METADATA_BLOCK);
}

static void every_flipped_bit_is_noticed(void **state)
{
	uint8_t block[METADATA_BLOCK];
	struct superblock sb = sample();

	(void)state;
	metadata_encode(&sb, block);
	for (size_t bit = 0; bit < 8 * METADATA_BLOCK; bit += bit < 8 * 300 || bit > 8 * 4090 ? 1 : 97) {
		block[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(metadata_decode(block, &sb, NULL, 0), -EBADMSG);
		block[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(metadata_decode(block, &sb, NULL, 0), 0);
}

static int sealed(uint8_t *block, struct superblock *sb)
{
	uint32_t crc = crc32c(block, METADATA_BLOCK - 4);

	for (int i = 0; i < 4; i++)
		block[METADATA_BLOCK - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
	return metadata_decode(block, sb, why, sizeof(why));
}

static void another_version_is_named(void **state)
{
	uint8_t block[METADATA_BLOCK];
	struct superblock sb = sample();

	(void)state;
	metadata_encode(&sb, block);
	for (uint8_t version = 1; version <= 3; version += 2) {
		block[11] = version;
		assert_int_equal(sealed(block, &sb), -EPROTONOSUPPORT);
		assert_non_null(strstr(why, version == 1 ? "version 1;" : "version 3;"));
		assert_int_equal(!!strstr(why, "install the newer drbdx"), version == 3);
	}
}

static void a_feature_that_has_to_be_known_is_refused(void **state)
{
	uint8_t block[METADATA_BLOCK], good[METADATA_BLOCK];
	struct superblock sb = sample();
	int newer;
	bool heal;

	(void)state;
	metadata_encode(&sb, good);
	for (int bit = 0; bit < 32; bit++) {
		memcpy(block, good, sizeof(block));
		block[288 + bit / 8] = (uint8_t)(1 << bit % 8);
		assert_int_equal(sealed(block, &sb), -EPROTONOSUPPORT);
		assert_non_null(strstr(why, "install the newer drbdx"));
		/* nor is the other copy taken instead, which may be older */
		assert_int_equal(metadata_choose(good, block, &sb, &newer, &heal, why, sizeof(why)), -EPROTONOSUPPORT);
		assert_non_null(strstr(why, "copy B"));
	}
}

static void a_feature_that_may_be_ignored_is_ignored_and_gone_after_a_write(void **state)
{
	uint8_t block[METADATA_BLOCK], again[METADATA_BLOCK];
	struct superblock sb = sample(), out;

	(void)state;
	metadata_encode(&sb, block);
	block[295] = 4;
	block[296] = block[1000] = 77; /* its fields */
	assert_int_equal(sealed(block, &out), 0);
	assert_int_equal(out.epoch, sb.epoch);
	metadata_encode(&out, again);
	assert_int_equal(again[295], 0);
	assert_int_equal(again[296] | again[1000], 0);
	block[295] = 0; /* fields of nobody */
	assert_int_equal(sealed(block, &out), -EINVAL);
}

/* A release that does not know it reads the rest, as the test before this one does with a feature of nobody's. */
static void the_unit_of_discards_is_a_feature_that_may_be_ignored(void **state)
{
	static const uint8_t zero[METADATA_BLOCK];
	uint8_t block[METADATA_BLOCK], without[METADATA_BLOCK];
	struct superblock sb = sample(), out;

	(void)state;
	metadata_encode(&sb, without);
	sb.discard_unit = 16;
	metadata_encode(&sb, block);
	assert_memory_equal(block, without, 288);
	assert_memory_equal(block + 288, "\0\0\0\0\0\0\0\1\20\0\0\0\0\0\0\0", 16);
	assert_memory_equal(block + 304, zero, 3788);
	assert_memory_equal(without + 288, zero, 3804);
	assert_int_equal(sealed(block, &out), 0);
	assert_int_equal(out.discard_unit, 16);
	assert_int_equal(sealed(without, &out), 0);
	assert_int_equal(out.discard_unit, 0);
	block[295] = 0; /* a field without its feature */
	assert_int_equal(sealed(block, &out), -EINVAL);
	block[295] = 1;
	block[296] = 0; /* a feature without its field */
	assert_int_equal(sealed(block, &out), -EINVAL);
	block[296] = 23;
	assert_int_equal(sealed(block, &out), -EINVAL);
	block[296] = 22;
	assert_int_equal(sealed(block, &out), 0);
	block[297] = 1;
	assert_int_equal(sealed(block, &out), -EINVAL);
	block[295] = 5; /* which is another one's, that is not known */
	assert_int_equal(sealed(block, &out), 0);
	assert_int_equal(out.discard_unit, 22);
}

static void secure_discards_are_a_feature_that_may_be_ignored(void **state)
{
	uint8_t block[METADATA_BLOCK], without[METADATA_BLOCK];
	struct superblock sb = sample(), out;

	(void)state;
	sb.discard_unit = 16;
	metadata_encode(&sb, without);
	sb.discard_secure = 1;
	metadata_encode(&sb, block);
	assert_int_equal(block[295], 3);
	block[295] = 1;
	assert_memory_equal(block, without, METADATA_BLOCK - 4);
	block[295] = 3;
	assert_int_equal(sealed(block, &out), 0);
	assert_int_equal(out.discard_secure, 1);
	assert_int_equal(sealed(without, &out), 0);
	assert_int_equal(out.discard_secure, 0);
	block[295] = 2; /* without discards */
	block[296] = 0;
	assert_int_equal(sealed(block, &out), -EINVAL);
}

/* Metadata as version 2 of them has always been: a program that does not read these bytes cannot take a host over. */
static void what_a_release_wrote_is_read(void **state)
{
	static const struct { size_t offset, length; const char *bytes; } parts[] = {
		{ 0, 24, "drbdxmd1\0\0\0\2\0\0\0\6\0\0\0\0\0\0\0\51" },
		{ 24, 12, "my-domu-disk" },
		{ 152, 3, "\1\2\3" },
		{ 168, 1, "\1" },
		{ 176, 24, "\0\0\0\0\0\0\0\11\0\0\0\0\0\0\0\10\0\0\0\0\0\0\0\7" },
		{ 200, 32, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\4" },
		{ 232, 17, "\0\0\0\0\0\0\20\0\0\0\2\0\1\0\4\1" },
		{ 256, 8, "\377\377\377\377\377\377\377\377" },
		{ 280, 5, "\0\0\4\325\0" },
	};
	uint8_t block[METADATA_BLOCK] = { 0 }, again[METADATA_BLOCK];
	struct superblock sb = sample(), out;

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		memcpy(block + parts[i].offset, parts[i].bytes, parts[i].length);
	if (sealed(block, &out))
		fail_msg("%s", why);
	assert_memory_equal(out.name, sb.name, sizeof(sb.name));
	metadata_encode(&sb, again); /* and what is written is what a release reads */
	assert_memory_equal(block, again, METADATA_BLOCK);
}

static void impossible_content_is_refused(void **state)
{
	static const struct { size_t offset; uint8_t value; const char *words;
	} bad[] = {
		{ 14, 0x04, "flags" },	  { 24, 0, "name" },	  { 24, 7, "name" },
		{ 168, 3, "token" },	  { 170, 1, "reserved" }, { 191, 10, "base" },
		{ 243, 1, "block size" }, { 255, 1, "reserved" }, { 3000, 1, "reserved" },
		{ 15, 1, "agreed" },
	};
	uint8_t block[METADATA_BLOCK];
	struct superblock sb = sample();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		sb = sample();
		metadata_encode(&sb, block);
		block[bad[i].offset] = bad[i].value;
		assert_int_equal(sealed(block, &sb), -EINVAL);
		if (!strstr(why, bad[i].words))
			fail_msg("'%s' instead of '%s'", why, bad[i].words);
	}
}

static int choose(const struct superblock *a, const struct superblock *b, struct superblock *sb, int *newer,
		  bool *heal)
{
	uint8_t block[2][METADATA_BLOCK] = { { 0 }, { 0 } };

	if (a)
		metadata_encode(a, block[0]);
	if (b)
		metadata_encode(b, block[1]);
	return metadata_choose(block[0], block[1], sb, newer, heal, why, sizeof(why));
}

static void the_higher_sequence_counts(void **state)
{
	struct superblock low = sample(), high = sample(), sb;
	int newer = -1;
	bool heal = false;

	(void)state;
	high.sequence++;
	assert_int_equal(choose(&low, &high, &sb, &newer, &heal), 0);
	assert_int_equal(newer, 1);
	assert_int_equal(sb.sequence, 42);
	assert_true(heal);
	assert_int_equal(choose(&high, &low, &sb, &newer, &heal), 0);
	assert_int_equal(newer, 0);
	assert_int_equal(sb.sequence, 42);
	assert_int_equal(choose(&high, &high, &sb, &newer, &heal), 0);
	assert_false(heal);
}

static void a_lone_copy_is_enough_and_none_is_not(void **state)
{
	struct superblock one = sample(), sb;
	int newer = -1;
	bool heal = false;

	(void)state;
	assert_int_equal(choose(NULL, &one, &sb, &newer, &heal), 0);
	assert_true(newer == 1 && heal);
	assert_int_equal(choose(&one, NULL, &sb, &newer, &heal), 0);
	assert_true(newer == 0 && heal);
	assert_int_equal(choose(NULL, NULL, &sb, &newer, &heal), -EBADMSG);
	assert_non_null(strstr(why, "copy A: no metadata"));
}

static void an_impossible_copy_is_not_replaced_by_an_older_one(void **state)
{
	struct superblock good = sample(), bad = sample(), sb;
	int newer;
	bool heal;

	(void)state;
	bad.sequence++;
	bad.base = bad.epoch + 1;
	assert_int_equal(choose(&good, &bad, &sb, &newer, &heal), -EINVAL);
	bad = sample();
	bad.token = TOKEN_GIVEN;	/* the same number, another content */
	assert_int_equal(choose(&good, &bad, &sb, &newer, &heal), -EINVAL);
}

static void what_is_written_is_read(void **state)
{
	struct superblock in = sample(), out;

	(void)state;
	write_sb(&in);
	assert_int_equal(in.sequence, 42);
	assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), 0);
	assert_int_equal(out.sequence, 42);
	assert_int_equal(out.epoch, 9);
	assert_int_equal(metadata_read(fd, &slot[1], &out, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "slot 1"));
}

static void slots_do_not_touch_each_other(void **state)
{
	struct superblock zero = sample(), one = sample(), out;

	(void)state;
	one.epoch = 100;
	write_sb(&zero);
	assert_int_equal(metadata_write(fd, &slot[1], &one, why, sizeof(why)), 0);
	assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), 0);
	assert_int_equal(out.epoch, 9);
	assert_int_equal(metadata_read(fd, &slot[1], &out, why, sizeof(why)), 0);
	assert_int_equal(out.epoch, 100);
}

/* A torn write leaves garbage in the copy under the pen: cut during the first or the second write, in
 * either order of the copies. */
static void a_power_cut_at_any_write_leaves_a_whole_state(void **state)
{
	struct superblock sb = sample(), out;
	uint8_t before[2][METADATA_BLOCK], after[METADATA_BLOCK], torn[METADATA_BLOCK];
	static const uint64_t at[2] = { COPY_A, COPY_B };

	(void)state;
	write_sb(&sb);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pread(fd, before[i], METADATA_BLOCK, (off_t)at[i]), METADATA_BLOCK);
	sb.epoch = 10;
	write_sb(&sb);
	assert_int_equal(pread(fd, after, METADATA_BLOCK, 0), METADATA_BLOCK);
	for (int first = 0; first < 2; first++)
		for (size_t cut = 0; cut <= METADATA_BLOCK; cut += 512) {
			memcpy(torn, before[first], METADATA_BLOCK);
			memcpy(torn, after, cut);
			put_bytes(at[first], torn, METADATA_BLOCK);
			put_bytes(at[!first], before[!first], METADATA_BLOCK);
			/* cut in the first write */
			assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), 0);
			assert_int_equal(out.epoch, cut == METADATA_BLOCK ? 10 : 9);
			put_bytes(at[first], after, METADATA_BLOCK);
			put_bytes(at[!first], torn, METADATA_BLOCK);
			/* cut in the second */
			assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), 0);
			assert_int_equal(out.epoch, 10);
		}
}

static void reading_heals_a_damaged_copy(void **state)
{
	struct superblock sb = sample(), out;

	(void)state;
	write_sb(&sb);
	put_bytes(COPY_A + 100, "damage", 6);
	assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), 0);
	put_bytes(COPY_B + 100, "damage", 6);
	assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), 0);
	put_bytes(COPY_A + 100, "damage", 6);
	put_bytes(COPY_B + 100, "damage", 6);
	assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "damaged"));
}

static void each_copy_is_flushed_before_the_other_one_is_touched(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	trace[0] = '\0';
	write_sb(&sb);
	assert_true(!strcmp(trace, "AfBf") || !strcmp(trace, "BfAf"));
}

static void the_damaged_copy_is_written_first(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	put_bytes(COPY_B, "damage", 6);
	trace[0] = '\0';
	write_sb(&sb);
	assert_string_equal(trace, "BfAf");
	put_bytes(COPY_A, "damage", 6);
	trace[0] = '\0';
	write_sb(&sb);
	assert_string_equal(trace, "AfBf");
}

/* Whatever number of writes comes through, what is read next is whole, and the next write goes to the
 * older copy. */
static void a_write_that_fails_half_way_is_survived(void **state)
{
	struct superblock sb = sample(), out;

	(void)state;
	write_sb(&sb);
	for (int through = 0; through < 2; through++) {
		sb.epoch++;
		writes_left = through;
		assert_int_equal(metadata_write(fd, &slot[0], &sb, why, sizeof(why)), -EIO);
		assert_non_null(strstr(why, "cannot be written"));
		writes_left = -1;
		sb.epoch += 100;	/* another content: it must get another number */
		trace[0] = '\0';
		write_sb(&sb);
		assert_string_equal(trace, through ? "AfBf" : "BfAf");
		assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), 0);
		assert_int_equal(out.epoch, sb.epoch);
	}
}

static void numbers_grow_past_what_is_on_disk(void **state)
{
	struct superblock sb = sample(), stale = sample();

	(void)state;
	write_sb(&sb);
	write_sb(&sb);
	assert_int_equal(sb.sequence, 43);
	write_sb(&stale);
	assert_int_equal(stale.sequence, 44);
}

static void a_slot_created_anew_is_not_overwritten(void **state)
{
	struct superblock sb = sample(), other = sample();

	(void)state;
	other.device_uuid[0] = 99;
	write_sb(&other);
	assert_int_equal(metadata_write(fd, &slot[0], &sb, why, sizeof(why)), -ESTALE);
	assert_non_null(strstr(why, "anew"));
}

static void what_could_not_be_read_again_is_not_written(void **state)
{
	struct superblock sb = sample(), out;

	(void)state;
	sb.base = sb.epoch + 1;
	assert_int_equal(metadata_write(fd, &slot[0], &sb, why, sizeof(why)), -EINVAL);
	assert_int_equal(metadata_read(fd, &slot[0], &out, why, sizeof(why)), -EBADMSG);
}

static void the_document_has_the_fields_of_the_code(void **state)
{
	char *text = document_read("docs/METADATA.md"), row[100];

	(void)state;
	document_compare(text, "## Superblock", metadata_fields());
	snprintf(row, sizeof(row), "\n| superblock B | %llu | %u |", COPY_B, METADATA_BLOCK);
	assert_non_null(strstr(text, row));
	snprintf(row, sizeof(row), "\n| bitmap | %llu | %llu |", COPY_B + METADATA_BLOCK,
		 METADATA_SLOT_BYTES - COPY_B - METADATA_BLOCK);
	assert_non_null(strstr(text, row));
#define FLAG(name) \
	(snprintf(row, sizeof(row), "\n| %s | %u |", #name, name), assert_non_null(strstr(text, row)))
	FLAG(SB_JUST_CREATED);
	FLAG(SB_CONSISTENT);
	FLAG(SB_IN_USE);
	FLAG(SB_CRASHED);
	FLAG(SB_OUTDATED);
	FLAG(SB_BITMAP_SUMMED);
	FLAG(SB_FORCED);
	FLAG(SB_PEER_OUTDATED);
	FLAG(SB_MIXED);
	FLAG(SB_FORCED_BY_WAIT);
	free(text);
}

static void tokens_have_names(void **state)
{
	(void)state;
	assert_string_equal(token_name(TOKEN_NONE), "none");
	assert_string_equal(token_name(TOKEN_HELD), "held");
	assert_string_equal(token_name(TOKEN_GIVEN), "given");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_superblock_survives),
		T(every_flipped_bit_is_noticed),
		T(another_version_is_named),
		T(a_feature_that_has_to_be_known_is_refused),
		T(a_feature_that_may_be_ignored_is_ignored_and_gone_after_a_write),
		T(the_unit_of_discards_is_a_feature_that_may_be_ignored),
		T(secure_discards_are_a_feature_that_may_be_ignored),
		T(what_a_release_wrote_is_read),
		T(impossible_content_is_refused),
		T(the_higher_sequence_counts),
		T(a_lone_copy_is_enough_and_none_is_not),
		T(an_impossible_copy_is_not_replaced_by_an_older_one),
		T(what_is_written_is_read),
		T(slots_do_not_touch_each_other),
		T(a_power_cut_at_any_write_leaves_a_whole_state),
		T(reading_heals_a_damaged_copy),
		T(each_copy_is_flushed_before_the_other_one_is_touched),
		T(the_damaged_copy_is_written_first),
		T(a_write_that_fails_half_way_is_survived),
		T(numbers_grow_past_what_is_on_disk),
		T(a_slot_created_anew_is_not_overwritten),
		T(what_could_not_be_read_again_is_not_written),
		T(the_document_has_the_fields_of_the_code),
		T(tokens_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
