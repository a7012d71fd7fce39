/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_probe.c: whose data are where new metadata would go?  What is recognised is refused by create-md.
 *
 * An external place has to be empty. Internal metadata take the end of a disk that may hold a file system,
 * which has to end before them; libblkid tells what is there, but only its newer versions how long it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <blkid/blkid.h>

#include "backend/layout.h"
#include "backend/metadata_private.h"

#define CHUNK	    (1u << 20) /* bytes read at a time */
#define END_UNKNOWN UINT64_MAX

struct found {
	char what[64]; /* "" if nothing */
	uint64_t end;  /* of what it occupies, in bytes, or END_UNKNOWN */
};

static int device_size(int fd, uint64_t *bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, bytes) ? -errno : 0;
	if (!S_ISREG(st.st_mode))
		return -ENOTBLK;
	*bytes = st.st_size;
	return 0;
}

/* DRBD keeps its superblock's magic number at byte 60 of the block, big-endian (versions 07, 08, 08
 * unclean, 09). */
static bool is_drbd(const uint8_t *block)
{
	struct be32 magic;

	memcpy(&magic, block + 60, sizeof(magic));
	return get_be32(magic) >= 0x8374026au && get_be32(magic) <= 0x8374026du;
}

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ext2, 3, 4: the superblock is 1 KiB from the start. */
static uint64_t ext_end(const uint8_t *block)
{
	const uint8_t *sb = block + 1024;
	uint64_t blocks = le32(sb + 0x04);

	if (le32(sb + 0x60) & 0x80) /* 64bit */
		blocks |= (uint64_t)le32(sb + 0x150) << 32;
	if (le32(sb + 0x18) > 6 || blocks >> 47)
		return END_UNKNOWN;
	return blocks << (10 + le32(sb + 0x18));
}

static uint64_t xfs_end(const uint8_t *block)
{
	struct be32 size;
	struct be64 blocks;

	memcpy(&size, block + 4, sizeof(size));
	memcpy(&blocks, block + 8, sizeof(blocks));
	if (get_be32(size) > 65536 || get_be64(blocks) >> 47)
		return END_UNKNOWN;
	return get_be64(blocks) * get_be32(size);
}

/* A GPT keeps a copy in the last sector, whatever its partitions are. */
static uint64_t partitions_end(blkid_probe pr)
{
	blkid_partlist list = blkid_probe_get_partitions(pr);
	blkid_parttable table = list ? blkid_partlist_get_table(list) : NULL;
	uint64_t end = 512, last;

	if (!table || strcmp(blkid_parttable_get_type(table), "dos"))
		return END_UNKNOWN;
	for (int i = 0; i < blkid_partlist_numof_partitions(list); i++) {
		blkid_partition part = blkid_partlist_get_partition(list, i);

		last = ((uint64_t)blkid_partition_get_start(part) +
			(uint64_t)blkid_partition_get_size(part)) *
		       512;
		end = last > end ? last : end;
	}
	return end;
}

static uint64_t end_of(blkid_probe pr, int fd, uint64_t offset, const char *type)
{
	uint8_t block[METADATA_BLOCK];

	if (!type)
		return partitions_end(pr);
	if (metadata_read_at(fd, offset, block, sizeof(block)))
		return END_UNKNOWN;
	if (!strncmp(type, "ext", 3))
		return ext_end(block);
	return strcmp(type, "xfs") ? END_UNKNOWN : xfs_end(block);
}

/* What libblkid sees in `size` bytes from `offset` on. 0 or negative errno. */
static int probe(int fd, uint64_t offset, uint64_t size, struct found *found)
{
	blkid_probe pr = blkid_new_probe();
	const char *type = NULL, *table = NULL;
	int r, rc = 0;

	*found = (struct found){ .end = END_UNKNOWN };
	if (!pr)
		return -ENOMEM;
	if (blkid_probe_set_device(pr, fd, offset, size)) {
		rc = -EIO;
		goto out;
	}
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE);
	blkid_probe_enable_partitions(pr, 1);
	r = blkid_do_safeprobe(pr);
	if (r == -2) {
		snprintf(found->what, sizeof(found->what), "several kinds of data");
	} else if (r < 0) {
		rc = -EIO;
	} else if (r == 0) {
		blkid_probe_lookup_value(pr, "TYPE", &type, NULL);
		blkid_probe_lookup_value(pr, "PTTYPE", &table, NULL);
		snprintf(found->what, sizeof(found->what), "%s%s",
			 type	 ? type
			 : table ? table
				 : "something",
			 !type && table ? " partitions" : "");
		found->end = type || table ? end_of(pr, fd, offset, type) : END_UNKNOWN;
	}
out:
	blkid_free_probe(pr);
	return rc;
}

/* External: neither the slot nor the device as a whole may be somebody's. */
static int probe_external(int fd, const struct metadata_geometry *g, uint64_t size, char *why,
			  size_t why_size)
{
	struct found found;
	int rc;

	rc = probe(fd, g->start, g->bytes, &found);
	if (!rc && found.what[0])
		return say(-EEXIST, why, why_size, "%s holds data that looks like %s", g->place, found.what);
	if (!rc)
		rc = probe(fd, 0, size, &found);
	if (!rc && found.what[0])
		return say(-EEXIST, why, why_size, "the metadata device holds data that looks like %s",
			   found.what);
	return rc;
}

/* Are there bytes other than zero where internal metadata would go? */
static int probe_area(int fd, const struct metadata_geometry *g, char *why, size_t why_size)
{
	uint8_t *chunk = malloc(CHUNK);
	int rc = chunk ? 0 : -ENOMEM;

	for (uint64_t at = 0; !rc && at < g->bytes; at += CHUNK) {
		size_t n = g->bytes - at < CHUNK ? g->bytes - at : CHUNK;

		rc = metadata_read_at(fd, g->start + at, chunk, n);
		if (!rc && !all_zero(chunk, n))
			rc = say(-EEXIST, why, why_size,
				 "the last %llu KiB of the disk, where internal metadata would go, are not "
				 "empty",
				 (unsigned long long)g->bytes >> 10);
	}
	free(chunk);
	return rc;
}

/* Internal: the disk may hold something, if that ends in time. */
static int probe_internal(int fd, const struct metadata_geometry *g, uint64_t size, char *why,
			  size_t why_size)
{
	struct found found;
	int rc;

	rc = probe(fd, 0, size, &found);
	if (rc)
		return rc;
	if (found.what[0] && found.end == END_UNKNOWN)
		return say(-EEXIST, why, why_size,
			   "the disk holds %s, and how long that is cannot be told; internal metadata would "
			   "take the disk's last %llu KiB: use an external meta-disk",
			   found.what, (unsigned long long)g->bytes >> 10);
	if (found.what[0] && found.end > g->start)
		return say(-EEXIST, why, why_size,
			   "the disk holds %s of %llu KiB; internal metadata would leave %llu KiB: shrink it "
			   "first, enlarge the disk, or use an external meta-disk",
			   found.what, (unsigned long long)found.end >> 10,
			   (unsigned long long)g->start >> 10);
	return probe_area(fd, g, why, why_size);
}

/* `fd` may be O_DIRECT, which libblkid cannot use: a descriptor of its own is opened. */
static int probe_device(int fd, const struct metadata_geometry *g, uint64_t size, char *why, size_t why_size)
{
	char path[40];
	int own, rc;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return say(-errno, why, why_size, "%s: %s cannot be opened: %s", g->place, path,
			   strerror(errno));
	rc = g->layout == METADATA_INTERNAL ? probe_internal(own, g, size, why, why_size)
					    : probe_external(own, g, size, why, why_size);
	if (rc && rc != -EEXIST)
		say(rc, why, why_size, "%s: the device's content cannot be examined: %s", g->place,
		    strerror(-rc));
	close(own);
	return rc;
}

/* 0 or -EEXIST with words: data of others in the place or on the device. */
int metadata_look_for_others(int fd, const struct metadata_geometry *g, const struct copies *copies,
			     char *why, size_t why_size)
{
	struct copies last;
	uint64_t size = 0;
	int rc = device_size(fd, &size);

	if (rc)
		return say(rc, why, why_size, "%s: neither a block device nor a file: %s", g->place,
			   strerror(-rc));
	if (is_drbd(copies->block[0]))
		return say(-EEXIST, why, why_size, "%s holds DRBD's metadata", g->place);
	if (!metadata_read_at(fd, (size & ~(uint64_t)(METADATA_BLOCK - 1)) - METADATA_BLOCK, last.block[0],
			      METADATA_BLOCK) &&
	    is_drbd(last.block[0]))
		return say(-EEXIST, why, why_size, "the metadata device ends in DRBD's internal metadata");
	for (int i = 0; i < 2; i++)
		if (!memcmp(copies->block[i], METADATA_MAGIC, 8))
			return say(-EEXIST, why, why_size, "%s holds damaged metadata of drbdx", g->place);
	rc = probe_device(fd, g, size, why, why_size);
	if (rc)
		return rc;
	for (int i = 0; i < 2; i++)
		if (!all_zero(copies->block[i], METADATA_BLOCK))
			return say(-EEXIST, why, why_size,
				   "%s holds data that is not recognised (an empty place holds zeroes)",
				   g->place);
	return 0;
}
