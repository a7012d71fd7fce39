/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata.test.c: the superblock's two copies, power cuts at every write, and what create-md refuses.
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

#define MIB (1ull << 20)

/*
 * The program's own pwrite() and fdatasync() come before libc's: they record what happens ("A", "B": a copy
 * of slot 0, "f": a flush), and the n-th write fails, as when the power goes.
 */
static char trace[100];
static int writes_left = -1;

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset)
{
	strcat(trace, offset == METADATA_COPY_A ? "A" : offset == METADATA_COPY_B ? "B" : "?");
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
	assert_int_equal(metadata_write(fd, 0, sb, why, sizeof(why)), 0);
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

static void a_newer_version_is_named(void **state)
{
	uint8_t block[METADATA_BLOCK];
	struct superblock sb = sample();

	(void)state;
	metadata_encode(&sb, block);
	block[11] = 2;
	assert_int_equal(sealed(block, &sb), -EPROTONOSUPPORT);
	assert_non_null(strstr(why, "version 2"));
}

static void impossible_content_is_refused(void **state)
{
	static const struct { size_t offset; uint8_t value; const char *words;
	} bad[] = {
		{ 15, 0x82, "flags" },	  { 24, 0, "name" },	  { 24, 7, "name" },
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
	assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), 0);
	assert_int_equal(out.sequence, 42);
	assert_int_equal(out.epoch, 9);
	assert_int_equal(metadata_read(fd, 1, &out, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "slot 1"));
	assert_int_equal(metadata_read(fd, 2, &out, why, sizeof(why)), -ENOSPC);
	assert_non_null(strstr(why, "slot 2 is beyond"));
}

static void slots_do_not_touch_each_other(void **state)
{
	struct superblock zero = sample(), one = sample(), out;

	(void)state;
	one.epoch = 100;
	write_sb(&zero);
	assert_int_equal(metadata_write(fd, 1, &one, why, sizeof(why)), 0);
	assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), 0);
	assert_int_equal(out.epoch, 9);
	assert_int_equal(metadata_read(fd, 1, &out, why, sizeof(why)), 0);
	assert_int_equal(out.epoch, 100);
}

/* A torn write leaves garbage in the copy under the pen: cut during the first or the second write, in
 * either order of the copies. */
static void a_power_cut_at_any_write_leaves_a_whole_state(void **state)
{
	struct superblock sb = sample(), out;
	uint8_t before[2][METADATA_BLOCK], after[METADATA_BLOCK], torn[METADATA_BLOCK];
	static const uint64_t at[2] = { METADATA_COPY_A, METADATA_COPY_B };

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
			assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), 0);
			assert_int_equal(out.epoch, cut == METADATA_BLOCK ? 10 : 9);
			put_bytes(at[first], after, METADATA_BLOCK);
			put_bytes(at[!first], torn, METADATA_BLOCK);
			/* cut in the second */
			assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), 0);
			assert_int_equal(out.epoch, 10);
		}
}

static void reading_heals_a_damaged_copy(void **state)
{
	struct superblock sb = sample(), out;

	(void)state;
	write_sb(&sb);
	put_bytes(METADATA_COPY_A + 100, "damage", 6);
	assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), 0);
	put_bytes(METADATA_COPY_B + 100, "damage", 6);
	assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), 0);
	put_bytes(METADATA_COPY_A + 100, "damage", 6);
	put_bytes(METADATA_COPY_B + 100, "damage", 6);
	assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), -EBADMSG);
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
	put_bytes(METADATA_COPY_B, "damage", 6);
	trace[0] = '\0';
	write_sb(&sb);
	assert_string_equal(trace, "BfAf");
	put_bytes(METADATA_COPY_A, "damage", 6);
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
		assert_int_equal(metadata_write(fd, 0, &sb, why, sizeof(why)), -EIO);
		assert_non_null(strstr(why, "cannot be written"));
		writes_left = -1;
		sb.epoch += 100;	/* another content: it must get another number */
		trace[0] = '\0';
		write_sb(&sb);
		assert_string_equal(trace, through ? "AfBf" : "BfAf");
		assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), 0);
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
	assert_int_equal(metadata_write(fd, 0, &sb, why, sizeof(why)), -ESTALE);
	assert_non_null(strstr(why, "anew"));
}

static void what_could_not_be_read_again_is_not_written(void **state)
{
	struct superblock sb = sample(), out;

	(void)state;
	sb.base = sb.epoch + 1;
	assert_int_equal(metadata_write(fd, 0, &sb, why, sizeof(why)), -EINVAL);
	assert_int_equal(metadata_read(fd, 0, &out, why, sizeof(why)), -EBADMSG);
}

static int create(int index, bool force)
{
	return metadata_create(fd, index, "my-domu-disk", true, force, why, sizeof(why));
}

static void a_new_slot_is_just_created(void **state)
{
	struct superblock sb;

	(void)state;
	assert_int_equal(create(1, false), 0);
	assert_int_equal(metadata_read(fd, 1, &sb, why, sizeof(why)), 0);
	assert_int_equal(sb.flags, SB_JUST_CREATED | SB_CONSISTENT);
	assert_int_equal(sb.token, TOKEN_NONE);
	assert_int_equal(sb.epoch, 0);
	assert_string_equal(sb.name, "my-domu-disk");
	assert_int_equal(metadata_create(fd, 0, "swap", false, false, why, sizeof(why)), 0);
	assert_int_equal(metadata_read(fd, 0, &sb, why, sizeof(why)), 0);
	assert_int_equal(sb.flags, SB_JUST_CREATED);
}

static void two_slots_have_different_uuids(void **state)
{
	struct superblock a, b;

	(void)state;
	assert_int_equal(create(0, false), 0);
	assert_int_equal(create(1, false), 0);
	assert_int_equal(metadata_read(fd, 0, &a, NULL, 0), 0);
	assert_int_equal(metadata_read(fd, 1, &b, NULL, 0), 0);
	assert_memory_not_equal(a.device_uuid, b.device_uuid, sizeof(a.device_uuid));
}

static void create_refuses_a_slot_beyond_the_end(void **state)
{
	(void)state;
	assert_int_equal(create(2, true), -ENOSPC);
	assert_non_null(strstr(why, "384 MiB"));
	assert_int_equal(create(-1, true), -EINVAL);
	assert_int_equal(create(INT32_MAX, true), -ENOSPC);
}

static void create_refuses_a_slot_in_use(void **state)
{
	struct superblock sb = sample();

	(void)state;
	snprintf(sb.name, sizeof(sb.name), "swap");
	sb.flags = SB_CONSISTENT;
	write_sb(&sb);
	assert_int_equal(create(0, false), -EBUSY);
	assert_int_equal(create(0, true), -EBUSY);
	assert_non_null(strstr(why, "'swap'"));
	assert_int_equal(create(1, false), 0);
}

static void create_refuses_its_own_superblock_unless_forced(void **state)
{
	struct superblock sb = sample(), new;

	(void)state;
	sb.flags = SB_CONSISTENT | SB_UNCLEAN;
	write_sb(&sb);
	assert_int_equal(create(0, false), -EBUSY);
	assert_int_equal(create(0, true), 0);
	assert_int_equal(metadata_read(fd, 0, &new, why, sizeof(why)), 0);
	assert_int_equal(new.flags, SB_JUST_CREATED | SB_CONSISTENT);
	assert_true(new.sequence > sb.sequence);
	assert_memory_not_equal(new.device_uuid, sb.device_uuid, sizeof(sb.device_uuid));
}

static void create_never_takes_a_superblock_that_a_guest_uses(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	put_bytes(METADATA_COPY_A, "damage", 6);	/* the lone other copy is enough to know */
	assert_int_equal(create(0, true), -EBUSY);
	assert_non_null(strstr(why, "in use by a guest"));
}

static void create_refuses_drbd_metadata_unless_forced(void **state)
{
	static const uint8_t magic[] = { 0x83, 0x74, 0x02, 0x6b };

	(void)state;
	put_bytes(128 * MIB + 60, magic, 4);
	assert_int_equal(create(1, false), -EBUSY);
	assert_non_null(strstr(why, "DRBD"));
	assert_int_equal(create(0, false), 0);
	assert_int_equal(create(1, true), 0);
}

static void create_refuses_drbd_internal_metadata(void **state)
{
	static const uint8_t magic[] = { 0x83, 0x74, 0x02, 0x6b };

	(void)state;
	put_bytes(256 * MIB - 4096 + 60, magic, 4);
	assert_int_equal(create(0, false), -EBUSY);
	assert_non_null(strstr(why, "DRBD's internal"));
}

static void create_refuses_what_libblkid_recognises(void **state)
{
	uint8_t swap[4096] = { 0 };

	(void)state;
	memcpy(swap + 4086, "SWAPSPACE2", 10);
	swap[1024] = 1;			/* version */
	swap[1029] = 0xff;		/* last page */
	put_bytes(0, swap, sizeof(swap));
	/* the device is somebody's, though the slot is empty */
	assert_int_equal(create(1, false), -EBUSY);
	assert_non_null(strstr(why, "looks like swap"));
	assert_int_equal(create(1, true), 0);
}

static void create_refuses_a_file_system(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "/sbin/mke2fs -q -F /proc/%d/fd/%d 200M >/dev/null 2>&1", getpid(),
		 fd);
	if (access("/sbin/mke2fs", X_OK) || system(command))
		skip();
	assert_int_equal(create(0, false), -EBUSY);
	assert_non_null(strstr(why, "ext2"));
}

static void create_refuses_unknown_bytes(void **state)
{
	(void)state;
	put_bytes(METADATA_COPY_B + 4000, "something", 9);
	assert_int_equal(create(0, false), -EBUSY);
	assert_non_null(strstr(why, "not recognised"));
	assert_int_equal(create(0, true), 0);
}

static void create_refuses_bad_names(void **state)
{
	char name[METADATA_NAME_MAX + 2];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(metadata_create(fd, 0, name, true, false, why, sizeof(why)), -EINVAL);
	assert_int_equal(metadata_create(fd, 0, "", true, false, why, sizeof(why)), -EINVAL);
	assert_int_equal(metadata_create(fd, 0, "a\nb", true, false, why, sizeof(why)), -EINVAL);
	name[METADATA_NAME_MAX] = '\0';
	assert_int_equal(metadata_create(fd, 0, name, true, false, why, sizeof(why)), 0);
}

static void direct_io_works(void **state)
{
	char path[40];
	struct superblock sb;
	int direct;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (direct < 0)
		skip();			/* a file system without O_DIRECT */
	assert_int_equal(metadata_create(direct, 0, "r", true, false, why, sizeof(why)), 0);
	assert_int_equal(metadata_read(direct, 0, &sb, why, sizeof(why)), 0);
	assert_int_equal(metadata_write(direct, 0, &sb, why, sizeof(why)), 0);
	close(direct);
}

static void the_document_has_the_fields_of_the_code(void **state)
{
	char *text = document_read("docs/METADATA.md"), row[100];

	(void)state;
	document_compare(text, "## Superblock", metadata_fields());
	snprintf(row, sizeof(row), "\n| superblock B | %llu | %u |", METADATA_COPY_B, METADATA_BLOCK);
	assert_non_null(strstr(text, row));
	snprintf(row, sizeof(row), "\n| bitmap | %llu | %llu |", METADATA_COPY_B + METADATA_BLOCK,
		 METADATA_SLOT_BYTES - METADATA_COPY_B - METADATA_BLOCK);
	assert_non_null(strstr(text, row));
#define FLAG(name) \
	(snprintf(row, sizeof(row), "\n| %s | %u |", #name, name), assert_non_null(strstr(text, row)))
	FLAG(SB_JUST_CREATED);
	FLAG(SB_CONSISTENT);
	FLAG(SB_IN_USE);
	FLAG(SB_UNCLEAN);
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
		T(a_newer_version_is_named),
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
		T(a_new_slot_is_just_created),
		T(two_slots_have_different_uuids),
		T(create_refuses_a_slot_beyond_the_end),
		T(create_refuses_a_slot_in_use),
		T(create_refuses_its_own_superblock_unless_forced),
		T(create_never_takes_a_superblock_that_a_guest_uses),
		T(create_refuses_drbd_metadata_unless_forced),
		T(create_refuses_drbd_internal_metadata),
		T(create_refuses_what_libblkid_recognises),
		T(create_refuses_a_file_system),
		T(create_refuses_unknown_bytes),
		T(create_refuses_bad_names),
		T(direct_io_works),
		T(the_document_has_the_fields_of_the_code),
		T(tokens_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
