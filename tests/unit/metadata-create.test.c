/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata-create.test.c: what create-md and wipe-md refuse, what they write, and in which order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/metadata.h"

#define MIB    (1ull << 20)
#define COPY_A 0ll /* of slot 0 */
#define COPY_B 32768ll

static int fd;
static char why[400];
static struct metadata_geometry slot[2]; /* of a device of two slots */
static struct metadata_geometry internal;

/* The program's own fallocate() and pwrite() come before libc's: the power goes after so many of them. */
static int writes_left = -1;
static bool no_fallocate;

/* And they may only do what a device with blocks of 4096 bytes allows to direct I/O: then this is its descriptor. */
static int strict_fd = -1;

static bool allowed(int file, const void *bytes, size_t length, off_t offset)
{
	errno = EINVAL;
	return file != strict_fd || !(((uintptr_t)bytes | length | (uint64_t)offset) & 4095);
}

ssize_t pread(int file, void *bytes, size_t length, off_t offset)
{
	return allowed(file, bytes, length, offset) ? syscall(SYS_pread64, file, bytes, length, offset) : -1;
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset)
{
	if (!allowed(file, bytes, length, offset))
		return -1;
	if (writes_left == 0) {
		errno = EIO;
		return -1;
	}
	writes_left -= writes_left > 0;
	return syscall(SYS_pwrite64, file, bytes, length, offset);
}

int fallocate(int file, int mode, off_t offset, off_t length)
{
	if (writes_left == 0 || no_fallocate) {
		errno = EOPNOTSUPP;
		return -1;
	}
	writes_left -= writes_left > 0;
	return (int)syscall(SYS_fallocate, file, mode, offset, length);
}

static struct superblock sample(void)
{
	return (struct superblock) {
		.sequence = 41,
		.name = "my-domu-disk",
		.device_uuid = { 1, 2, 3 },
		.flags = SB_CONSISTENT | SB_IN_USE,
		.token = TOKEN_HELD,
		.epoch = 9,
		.agreed = { .sectors = 4096,
			    .block_size = 512,
			    .max_segments = 256,
			    .ring_order = 4,
			    .queues = 1 },
		.full_from = METADATA_NO_FULL,
		.al_extents = 1237,
	};
}

static int setup(void **state)
{
	char path[] = "/tmp/drbdx-metadata-XXXXXX";

	(void)state;
	writes_left = -1;
	strict_fd = -1;
	no_fallocate = false;
	fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, 256 * MIB), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(metadata_geometry(METADATA_INDEXED, i, 256 * MIB, 0, 512, &slot[i], why,
						   sizeof(why)),
				 0);
	assert_int_equal(
		metadata_geometry(METADATA_INTERNAL, 0, 256 * MIB, 0, 512, &internal, why, sizeof(why)), 0);
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

static int create_in(int file, int index, const char *name, bool assume_clean, bool force)
{
	const struct metadata_new new = { .name = name,
					  .sectors = 4096,
					  .al_extents = METADATA_AL_EXTENTS,
					  .assume_clean = assume_clean,
					  .force = force };

	return metadata_create(file, &slot[index], &new, why, sizeof(why));
}

static int create(int index, bool force)
{
	return create_in(fd, index, "my-domu-disk", true, force);
}

static void a_new_slot_is_just_created(void **state)
{
	struct superblock sb;

	(void)state;
	assert_int_equal(create(1, false), 0);
	assert_int_equal(metadata_read(fd, &slot[1], &sb, why, sizeof(why)), 0);
	assert_int_equal(sb.flags, SB_JUST_CREATED | SB_CONSISTENT | SB_BITMAP_SUMMED);
	assert_true(sb.full_from == METADATA_NO_FULL);
	assert_int_equal(sb.bitmap_bits, 0);
	assert_int_equal(sb.al_extents, METADATA_AL_EXTENTS);
	assert_int_equal(sb.token, TOKEN_NONE);
	assert_int_equal(sb.epoch, 0);
	assert_string_equal(sb.name, "my-domu-disk");
	assert_int_equal(create_in(fd, 0, "swap", false, false), 0);
	assert_int_equal(metadata_read(fd, &slot[0], &sb, why, sizeof(why)), 0);
	assert_int_equal(sb.flags, SB_JUST_CREATED);
	assert_true(sb.full_from == 0);
}

static void two_slots_have_different_uuids(void **state)
{
	struct superblock a, b;

	(void)state;
	assert_int_equal(create(0, false), 0);
	assert_int_equal(create(1, false), 0);
	assert_int_equal(metadata_read(fd, &slot[0], &a, NULL, 0), 0);
	assert_int_equal(metadata_read(fd, &slot[1], &b, NULL, 0), 0);
	assert_memory_not_equal(a.device_uuid, b.device_uuid, sizeof(a.device_uuid));
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
	sb.flags = SB_CONSISTENT | SB_CRASHED;
	write_sb(&sb);
	assert_int_equal(create(0, false), -EEXIST);
	assert_int_equal(create(0, true), 0);
	assert_int_equal(metadata_read(fd, &slot[0], &new, why, sizeof(why)), 0);
	assert_int_equal(new.flags, SB_JUST_CREATED | SB_CONSISTENT | SB_BITMAP_SUMMED);
	assert_true(new.sequence > sb.sequence);
	assert_memory_not_equal(new.device_uuid, sb.device_uuid, sizeof(sb.device_uuid));
}

static void create_never_takes_a_superblock_that_a_guest_uses(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	put_bytes(COPY_A, "damage", 6);	/* the lone other copy is enough to know */
	assert_int_equal(create(0, true), -EBUSY);
	assert_non_null(strstr(why, "in use by a guest"));
}

static void create_refuses_drbd_metadata_unless_forced(void **state)
{
	static const uint8_t magic[] = { 0x83, 0x74, 0x02, 0x6b };

	(void)state;
	put_bytes(128 * MIB + 60, magic, 4);
	assert_int_equal(create(1, false), -EEXIST);
	assert_non_null(strstr(why, "DRBD"));
	assert_int_equal(create(0, false), 0);
	assert_int_equal(create(1, true), 0);
}

static void create_refuses_drbd_internal_metadata(void **state)
{
	static const uint8_t magic[] = { 0x83, 0x74, 0x02, 0x6b };

	(void)state;
	put_bytes(256 * MIB - 4096 + 60, magic, 4);
	assert_int_equal(create(0, false), -EEXIST);
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
	assert_int_equal(create(1, false), -EEXIST);
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
	assert_int_equal(create(0, false), -EEXIST);
	assert_non_null(strstr(why, "ext2"));
}

static void create_refuses_unknown_bytes(void **state)
{
	(void)state;
	put_bytes(COPY_B + 4000, "something", 9);
	assert_int_equal(create(0, false), -EEXIST);
	assert_non_null(strstr(why, "not recognised"));
	assert_int_equal(create(0, true), 0);
}

static void create_refuses_bad_names(void **state)
{
	char name[METADATA_NAME_MAX + 2];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(create_in(fd, 0, name, true, false), -EINVAL);
	assert_int_equal(create_in(fd, 0, "", true, false), -EINVAL);
	assert_int_equal(create_in(fd, 0, "a\nb", true, false), -EINVAL);
	name[METADATA_NAME_MAX] = '\0';
	assert_int_equal(create_in(fd, 0, name, true, false), 0);
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
	assert_int_equal(create_in(direct, 0, "r", true, false), 0);
	assert_int_equal(metadata_read(direct, &slot[0], &sb, why, sizeof(why)), 0);
	assert_int_equal(metadata_write(direct, &slot[0], &sb, why, sizeof(why)), 0);
	close(direct);
}

static void all_access_is_in_whole_blocks_from_aligned_memory(void **state)
{
	struct superblock sb;
	uint8_t damaged[4096] = { 1 };
	const struct metadata_new new = { .name = "r", .sectors = internal.data_sectors_max, .al_extents = METADATA_AL_EXTENTS };

	(void)state;
	strict_fd = fd;
	no_fallocate = true;
	assert_int_equal(create(0, false), 0);
	put_bytes(slot[0].copy[1], damaged, sizeof(damaged));
	assert_int_equal(metadata_read(fd, &slot[0], &sb, why, sizeof(why)), 0); /* and the damaged copy is written again */
	assert_int_equal(metadata_write(fd, &slot[0], &sb, why, sizeof(why)), 0);
	assert_int_equal(create(0, true), 0);
	assert_int_equal(metadata_wipe(fd, &slot[0], "my-domu-disk", false, why, sizeof(why)), 0);
	assert_int_equal(metadata_create(fd, &internal, &new, why, sizeof(why)), 0);
	assert_int_equal(metadata_wipe(fd, &internal, "r", false, why, sizeof(why)), 0);
}

/* Bytes that are zero from `offset` on. */
static bool zero(uint64_t offset, uint64_t bytes)
{
	uint8_t block[4096];

	for (uint64_t at = 0; at < bytes; at += sizeof(block)) {
		assert_int_equal(pread(fd, block, sizeof(block), (off_t)(offset + at)), sizeof(block));
		for (size_t i = 0; i < sizeof(block); i++)
			if (block[i])
				return false;
	}
	return true;
}

static void fill(uint64_t offset, uint64_t bytes)
{
	uint8_t block[4096];

	memset(block, 0xa5, sizeof(block));
	for (uint64_t at = 0; at < bytes; at += sizeof(block))
		put_bytes(offset + at, block, sizeof(block));
}

static void clean_metadata_have_an_empty_bitmap_on_disk(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		no_fallocate = i;
		fill(slot[0].bitmap, 3 * 4096);
		/* 4096 sectors are described by the first page; what is beyond the disk is nobody's */
		assert_int_equal(create(0, true), 0);
		assert_true(zero(slot[0].bitmap, 4096));
		assert_false(zero(slot[0].bitmap + 4096, 4096));
	}
}

static void without_assume_clean_everything_is_out_of_sync_unread(void **state)
{
	struct superblock sb;

	(void)state;
	fill(slot[0].bitmap, 4096);
	assert_int_equal(create_in(fd, 0, "r", false, true), 0);
	assert_int_equal(metadata_read(fd, &slot[0], &sb, why, sizeof(why)), 0);
	assert_true(sb.full_from == 0);
	assert_int_equal(sb.flags, SB_JUST_CREATED);
	assert_false(zero(slot[0].bitmap, 4096));
}

static void a_sparse_file_stays_sparse(void **state)
{
	const struct metadata_new new = { .name = "r",
					  .sectors = slot[0].data_sectors_max,
					  .al_extents = METADATA_AL_EXTENTS,
					  .assume_clean = true };
	struct stat before, after;

	(void)state;
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(metadata_create(fd, &slot[0], &new, why, sizeof(why)), 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_true(after.st_blocks - before.st_blocks <= 2 * 128); /* superblocks and log, generously */
}

/* The old bits are gone only after the old superblock, which counts on them. */
static void a_power_cut_while_creating_leaves_the_old_or_none_or_the_new(void **state)
{
	struct superblock old = sample(), sb;
	bool finished = false;

	(void)state;
	old.flags = SB_CONSISTENT;
	for (int through = 0; !finished; through++) {
		int rc;

		assert_true(through < 40);
		writes_left = -1;
		assert_true(!metadata_zero(fd, 0, 65536));
		write_sb(&old);
		fill(slot[0].bitmap, 4096);
		writes_left = through;
		finished = !create(0, true);
		writes_left = -1;
		rc = metadata_read(fd, &slot[0], &sb, why, sizeof(why));
		if (rc)
			assert_int_equal(rc, -EBADMSG);
		else if (!memcmp(sb.device_uuid, old.device_uuid, sizeof(old.device_uuid)))
			assert_false(zero(slot[0].bitmap, 4096));
		else
			assert_true(zero(slot[0].bitmap, 4096));
		assert_true(!finished || !rc);
	}
}

static int create_internal(bool force)
{
	const struct metadata_new new = { .name = "r",
					  .sectors = internal.data_sectors_max,
					  .al_extents = METADATA_AL_EXTENTS,
					  .assume_clean = true,
					  .force = force };

	return metadata_create(fd, &internal, &new, why, sizeof(why));
}

static void make_file_system(const char *blocks)
{
	char command[120];

	snprintf(command, sizeof(command),
		 "/sbin/mke2fs -q -F -b 4096 -t ext4 /proc/%d/fd/%d %s >/dev/null 2>&1", getpid(), fd, blocks);
	if (access("/sbin/mke2fs", X_OK) || system(command))
		skip();
}

static void internal_metadata_leave_the_file_system_before_them_alone(void **state)
{
	struct superblock sb;
	char blocks[20];

	(void)state;
	snprintf(blocks, sizeof(blocks), "%llu", (unsigned long long)internal.start / 4096);
	make_file_system(blocks);
	assert_int_equal(create_internal(false), 0);
	assert_int_equal(metadata_read(fd, &internal, &sb, why, sizeof(why)), 0);
	assert_int_equal(sb.layout, METADATA_INTERNAL);
}

static void internal_metadata_do_not_cut_a_file_system_unless_forced(void **state)
{
	char blocks[20];

	(void)state;
	snprintf(blocks, sizeof(blocks), "%llu", (unsigned long long)internal.start / 4096 + 1);
	make_file_system(blocks);
	assert_int_equal(create_internal(false), -EEXIST);
	assert_non_null(strstr(why, "ext4"));
	assert_non_null(strstr(why, "shrink it"));
	assert_int_equal(create_internal(true), 0);
}

/* One partition of a DOS table, ending where it says. */
static void make_partition(uint64_t end)
{
	uint8_t mbr[512] = { 0 };
	uint32_t first = 2048, sectors = (uint32_t)(end / 512) - first;

	mbr[446 + 4] = 0x83;
	memcpy(mbr + 446 + 8, &first, 4);
	memcpy(mbr + 446 + 12, &sectors, 4);
	mbr[510] = 0x55;
	mbr[511] = 0xaa;
	put_bytes(0, mbr, sizeof(mbr));
}

static void internal_metadata_do_not_cut_a_partition(void **state)
{
	(void)state;
	make_partition(internal.start + 512);
	assert_int_equal(create_internal(false), -EEXIST);
	assert_non_null(strstr(why, "dos partitions"));
	make_partition(internal.start);
	assert_int_equal(create_internal(false), 0);
}

static void internal_metadata_refuse_what_has_no_known_end(void **state)
{
	uint8_t swap[4096] = { 0 };

	(void)state;
	memcpy(swap + 4086, "SWAPSPACE2", 10);
	swap[1024] = 1;
	swap[1029] = 0xff;
	put_bytes(0, swap, sizeof(swap));
	assert_int_equal(create_internal(false), -EEXIST);
	assert_non_null(strstr(why, "swap"));
	assert_non_null(strstr(why, "external"));
}

static void internal_metadata_refuse_unknown_bytes_at_the_end(void **state)
{
	(void)state;
	put_bytes(internal.bitmap + 4000, "data", 4);
	assert_int_equal(create_internal(false), -EEXIST);
	assert_non_null(strstr(why, "not empty"));
}

static void metadata_made_for_another_place_are_refused(void **state)
{
	struct metadata_geometry flexible;
	struct superblock sb;

	(void)state;
	assert_int_equal(metadata_geometry(METADATA_FLEXIBLE, 0, 256 * MIB, 0, 512, &flexible, why,
					   sizeof(why)),
			 0);
	assert_int_equal(create(0, false), 0);
	assert_int_equal(metadata_read(fd, &flexible, &sb, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "made to be in an indexed slot"));
	assert_int_equal(metadata_read(fd, &slot[0], &sb, why, sizeof(why)), 0);
	assert_int_equal(metadata_write(fd, &flexible, &sb, why, sizeof(why)), -EINVAL);
}

static int wipe(const char *name, bool force)
{
	return metadata_wipe(fd, &slot[0], name, force, why, sizeof(why));
}

static void wipe_leaves_nothing_and_no_neighbour_is_touched(void **state)
{
	struct superblock sb;

	(void)state;
	assert_int_equal(create(0, false), 0);
	assert_int_equal(create(1, false), 0);
	fill(slot[0].bitmap, 4096);
	assert_int_equal(wipe("my-domu-disk", false), 0);
	assert_true(zero(slot[0].start, 65536));
	assert_int_equal(metadata_read(fd, &slot[1], &sb, why, sizeof(why)), 0);
	assert_int_equal(wipe("my-domu-disk", false), -ENODATA);
	assert_int_equal(create(0, false), 0);
}

static void wipe_refuses_what_is_not_the_resources_own(void **state)
{
	struct superblock sb = sample();

	(void)state;
	write_sb(&sb);
	assert_int_equal(wipe("my-domu-disk", true), -EBUSY);
	assert_non_null(strstr(why, "in use by a guest"));
	assert_int_equal(wipe("other", true), -EBUSY);
	put_bytes(COPY_A + 100, "damage", 6);
	put_bytes(COPY_B + 100, "damage", 6);
	assert_int_equal(wipe("my-domu-disk", false), -EEXIST);
	assert_non_null(strstr(why, "damaged"));
	assert_int_equal(wipe("my-domu-disk", true), 0);
	fill(COPY_A, 4096); /* somebody's data */
	assert_int_equal(wipe("my-domu-disk", true), -ENODATA);
	assert_false(zero(COPY_A, 4096));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_slot_is_just_created),
		T(two_slots_have_different_uuids),
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
		T(all_access_is_in_whole_blocks_from_aligned_memory),
		T(clean_metadata_have_an_empty_bitmap_on_disk),
		T(without_assume_clean_everything_is_out_of_sync_unread),
		T(a_sparse_file_stays_sparse),
		T(a_power_cut_while_creating_leaves_the_old_or_none_or_the_new),
		T(internal_metadata_leave_the_file_system_before_them_alone),
		T(internal_metadata_do_not_cut_a_file_system_unless_forced),
		T(internal_metadata_do_not_cut_a_partition),
		T(internal_metadata_refuse_what_has_no_known_end),
		T(internal_metadata_refuse_unknown_bytes_at_the_end),
		T(metadata_made_for_another_place_are_refused),
		T(wipe_leaves_nothing_and_no_neighbour_is_touched),
		T(wipe_refuses_what_is_not_the_resources_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
