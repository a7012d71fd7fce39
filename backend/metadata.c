/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata.c: the superblock's layout, its two copies, and create-md.  docs/METADATA.md is normative.
 *
 * Invariants
 *  1. A copy counts only if magic, checksum, version and every field are right (P4).
 *  2. At every moment at least one copy is whole and holds a state that was once returned as durable, or the
 *     one being written.
 *  3. Sequence numbers only grow, also when a write failed half-way: no two different superblocks of a slot
 *     have the same number.
 *  4. A superblock of another owner (another device uuid) is never overwritten by metadata_write(), nor one
 *     in use by metadata_create().
 *
 * A write [write_both]:   both copies n ─> older copy n+1 ─flush─> other copy n+1 ─flush─> durable
 *
 * Crash argument: a power cut can spoil only the copy under the pen, and that is never the newest whole
 * one.  Cut before the first flush, the slot reads as n, as if the write had not begun; later, as
 * n+1.  Nobody acts on n+1 before both flushes (P1, P2), so both readings are allowed.  A copy whose checksum
 * is right but whose content is impossible, or of a newer version, is not a torn write: falling back to the
 * older copy could bring a given-away token back (P2), so the slot is refused.
 */
#include "backend/metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <blkid/blkid.h>

#include "backend/crc32c.h"
#include "backend/layout.h"

#define MAGIC "drbdxmd1"
#define VERSION 1u

struct disk_superblock {
	char magic[8];
	struct be32 version, flags;
	struct be64 sequence;
	char name[METADATA_NAME_MAX];
	uint8_t device_uuid[16];
	uint8_t token, zero[7];
	struct be64 epoch, base, reservation;
	struct be_generations gen;
	struct be_features agreed;
	uint8_t room[3836];
	struct be32 crc;
};
static_assert(sizeof(struct disk_superblock) == METADATA_BLOCK, "superblock");
static_assert(offsetof(struct disk_superblock, name) == 24, "name");
static_assert(offsetof(struct disk_superblock, token) == 168, "token");
static_assert(offsetof(struct disk_superblock, gen) == 200, "gen");
static_assert(offsetof(struct disk_superblock, crc) == METADATA_BLOCK - 4, "crc");

static const struct layout_field fields[] = {
#define F(name) { #name, offsetof(struct disk_superblock, name), sizeof(((struct disk_superblock *)0)->name) }
	F(magic),  F(version), F(flags), F(sequence),	 F(name),	 F(device_uuid),
	F(token),  F(zero),    F(epoch), F(base),	 F(reservation), F(gen),
	F(agreed), F(room),    F(crc),	 { NULL, 0, 0 },
#undef F
};

const struct layout_field *metadata_fields(void)
{
	return fields;
}

static const uint64_t copy_offset[2] = { METADATA_COPY_A, METADATA_COPY_B };

static int say(int rc, char *why, size_t why_size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int say(int rc, char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why && why_size)
		vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return rc;
}

void metadata_encode(const struct superblock *sb, uint8_t *block)
{
	struct disk_superblock d = {
		.version = put_be32(VERSION),
		.flags = put_be32(sb->flags),
		.sequence = put_be64(sb->sequence),
		.token = sb->token,
		.epoch = put_be64(sb->epoch),
		.base = put_be64(sb->base),
		.reservation = put_be64(sb->reservation),
		.gen = put_generations(&sb->gen),
		.agreed = put_features(&sb->agreed),
	};

	memcpy(d.magic, MAGIC, sizeof(d.magic));
	put_text(d.name, sizeof(d.name), sb->name);
	memcpy(d.device_uuid, sb->device_uuid, sizeof(d.device_uuid));
	d.crc = put_be32(crc32c(&d, offsetof(struct disk_superblock, crc)));
	memcpy(block, &d, sizeof(d));
}

/* NULL, or what cannot be in a superblock of this version. */
static const char *impossible(const struct disk_superblock *d, const struct superblock *sb)
{
	if (!text_valid(d->name, sizeof(d->name)) || !d->name[0])
		return "the resource's name is malformed";
	if (!all_zero(d->zero, sizeof(d->zero)) || !all_zero(d->room, sizeof(d->room)) ||
	    !all_zero(d->agreed.zero, sizeof(d->agreed.zero)))
		return "reserved bytes are not zero";
	if (sb->flags & ~SB_FLAGS_KNOWN)
		return "unknown flags";
	if (d->token > TOKEN_GIVEN)
		return "the token is in an unknown state";
	if (sb->base > sb->epoch)
		return "the base is above the epoch";
	if (!(sb->flags & SB_JUST_CREATED))
		return features_check(&sb->agreed, NULL);
	return features_zero(&sb->agreed) ? NULL : "features were agreed before the first connection";
}

int metadata_decode(const uint8_t *block, struct superblock *sb, char *why, size_t why_size)
{
	struct disk_superblock d;
	struct superblock out = { .sequence = 0 };
	const char *wrong;

	memcpy(&d, block, sizeof(d));
	if (memcmp(d.magic, MAGIC, sizeof(d.magic)))
		return say(-EBADMSG, why, why_size, "no metadata of drbdx");
	if (get_be32(d.crc) != crc32c(&d, offsetof(struct disk_superblock, crc)))
		return say(-EBADMSG, why, why_size, "damaged metadata (wrong checksum)");
	if (get_be32(d.version) != VERSION)
		return say(-EPROTONOSUPPORT, why, why_size,
			   "metadata of version %u; this program knows version %u", get_be32(d.version),
			   VERSION);
	out.sequence = get_be64(d.sequence);
	get_text(out.name, d.name, sizeof(d.name));
	memcpy(out.device_uuid, d.device_uuid, sizeof(out.device_uuid));
	out.flags = get_be32(d.flags);
	out.token = d.token;
	out.epoch = get_be64(d.epoch);
	out.base = get_be64(d.base);
	out.reservation = get_be64(d.reservation);
	out.gen = get_generations(&d.gen);
	out.agreed = get_features(&d.agreed);
	wrong = impossible(&d, &out);
	if (wrong)
		return say(-EINVAL, why, why_size, "impossible metadata: %s", wrong);
	*sb = out;
	return 0;
}

int metadata_choose(const uint8_t *a, const uint8_t *b, struct superblock *sb, int *newer, bool *heal,
		    char *why, size_t why_size)
{
	struct superblock copy[2];
	char words[2][120] = { "", "" };
	int rc[2];

	rc[0] = metadata_decode(a, &copy[0], words[0], sizeof(words[0]));
	rc[1] = metadata_decode(b, &copy[1], words[1], sizeof(words[1]));
	for (int i = 0; i < 2; i++)
		if (rc[i] && rc[i] != -EBADMSG)
			return say(rc[i], why, why_size, "copy %c: %s", 'A' + i, words[i]);
	if (rc[0] && rc[1])
		return say(-EBADMSG, why, why_size, "copy A: %s; copy B: %s", words[0], words[1]);
	if (!rc[0] && !rc[1] && copy[0].sequence == copy[1].sequence && memcmp(a, b, METADATA_BLOCK))
		return say(-EINVAL, why, why_size, "the two copies have the same number and differ");
	*newer = rc[0] || (!rc[1] && copy[1].sequence > copy[0].sequence);
	*heal = rc[0] || rc[1] || copy[0].sequence != copy[1].sequence;
	*sb = copy[*newer];
	return 0;
}

static int read_block(int fd, uint64_t offset, uint8_t *block)
{
	size_t done = 0;
	ssize_t r;

	while (done < METADATA_BLOCK) {
		r = pread(fd, block + done, METADATA_BLOCK - done, offset + done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!r)
			return -ENOSPC;
		done += r;
	}
	return 0;
}

static int write_block(int fd, uint64_t offset, const uint8_t *block)
{
	size_t done = 0;
	ssize_t r;

	while (done < METADATA_BLOCK) {
		r = pwrite(fd, block + done, METADATA_BLOCK - done, offset + done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -EIO;
		done += r;
	}
	return fdatasync(fd) ? -errno : 0;
}

static uint64_t copy_at(int index, int copy)
{
	return (uint64_t)index * METADATA_SLOT_BYTES + copy_offset[copy];
}

/* Both copies as they are; the buffers are aligned, since fd may be O_DIRECT. */
struct slot { uint8_t copy[2][METADATA_BLOCK]; } __attribute__((aligned(METADATA_BLOCK)));

static int read_slot(int fd, int index, struct slot *slot, char *why, size_t why_size)
{
	int rc;

	for (int i = 0; i < 2; i++) {
		rc = read_block(fd, copy_at(index, i), slot->copy[i]);
		if (rc == -ENOSPC)
			return say(rc, why, why_size, "slot %d is beyond the end of the metadata device",
				   index);
		if (rc)
			return say(rc, why, why_size, "slot %d cannot be read: %s", index, strerror(-rc));
	}
	return 0;
}

static int write_copy(int fd, int index, int copy, const uint8_t *block, char *why, size_t why_size)
{
	int rc = write_block(fd, copy_at(index, copy), block);

	return rc ? say(rc, why, why_size, "slot %d, copy %c cannot be written: %s", index, 'A' + copy,
			strerror(-rc))
		  : 0;
}

int metadata_read(int fd, int index, struct superblock *sb, char *why, size_t why_size)
{
	struct slot slot;
	char words[280] = "";
	bool heal = false;
	int newer = 0, rc;

	rc = read_slot(fd, index, &slot, why, why_size);
	if (rc)
		return rc;
	rc = metadata_choose(slot.copy[0], slot.copy[1], sb, &newer, &heal, words, sizeof(words));
	if (rc)
		return say(rc, why, why_size, "slot %d: %s", index, words);
	if (heal && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		rc = write_copy(fd, index, !newer, slot.copy[newer], why, why_size);
	return rc;
}

/* Writes `sb` to both copies, the one that `newer` does not name first. */
static int write_both(int fd, int index, struct superblock *sb, int newer, char *why, size_t why_size)
{
	struct { uint8_t block[METADATA_BLOCK]; } __attribute__((aligned(METADATA_BLOCK))) new;
	struct superblock check;
	char words[120] = "";
	int rc;

	sb->sequence++;
	metadata_encode(sb, new.block);
	rc = metadata_decode(new.block, &check, words, sizeof(words));
	if (rc)
		return say(rc, why, why_size, "slot %d: refused to write %s", index, words);
	rc = write_copy(fd, index, !newer, new.block, why, why_size);
	return rc ? rc : write_copy(fd, index, newer, new.block, why, why_size);
}

int metadata_write(int fd, int index, struct superblock *sb, char *why, size_t why_size)
{
	struct slot slot;
	struct superblock old;
	bool heal = false;
	int newer = 0, rc;

	rc = read_slot(fd, index, &slot, why, why_size);
	if (rc)
		return rc;
	rc = metadata_choose(slot.copy[0], slot.copy[1], &old, &newer, &heal, NULL, 0);
	if (!rc && memcmp(old.device_uuid, sb->device_uuid, sizeof(old.device_uuid)))
		return say(-ESTALE, why, why_size,
			   "slot %d: the metadata was created anew, for resource '%s', and is not this one's "
			   "any more",
			   index, old.name);
	if (rc == -EPROTONOSUPPORT)
		return say(rc, why, why_size, "slot %d holds metadata of a newer version", index);
	if (!rc && old.sequence > sb->sequence)
		sb->sequence = old.sequence;
	return write_both(fd, index, sb, newer, why, why_size);
}

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

/* What libblkid sees in `size` bytes from `offset` on; "" if nothing. 0 or negative errno. */
static int probe(int fd, uint64_t offset, uint64_t size, char *found, size_t found_size)
{
	blkid_probe pr = blkid_new_probe();
	const char *type = NULL;
	int r, rc = 0;

	*found = '\0';
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
	if (r == 0 && blkid_probe_lookup_value(pr, "TYPE", &type, NULL) &&
	    blkid_probe_lookup_value(pr, "PTTYPE", &type, NULL))
		type = "something";
	if (r == 0 || r == -2)
		snprintf(found, found_size, "%s", r == -2 ? "several kinds of data" : type);
	else if (r < 0)
		rc = -EIO;
out:
	blkid_free_probe(pr);
	return rc;
}

/* -EBUSY with words if the device looks like something else's.  `fd` may be O_DIRECT, which libblkid
 * cannot use: a descriptor of its own is opened. */
static int probe_device(int fd, int index, uint64_t size, char *why, size_t why_size)
{
	char path[40], found[64];
	int own, rc;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return say(-errno, why, why_size, "slot %d: %s cannot be opened: %s", index, path,
			   strerror(errno));
	rc = probe(own, (uint64_t)index * METADATA_SLOT_BYTES, METADATA_SLOT_BYTES, found, sizeof(found));
	if (!rc && found[0])
		rc = say(-EBUSY, why, why_size, "slot %d holds data that looks like %s", index, found);
	if (!rc)
		rc = probe(own, 0, size, found, sizeof(found));
	if (!rc && found[0])
		rc = say(-EBUSY, why, why_size, "the metadata device holds data that looks like %s", found);
	else if (rc == -EIO)
		say(rc, why, why_size, "slot %d: the device's content cannot be examined", index);
	close(own);
	return rc;
}

/* 0 or -EBUSY with words: data of others in the slot or on the device. */
static int look_for_others(int fd, int index, const struct slot *slot, uint64_t size, char *why,
			   size_t why_size)
{
	struct slot last;
	int rc;

	if (is_drbd(slot->copy[0]))
		return say(-EBUSY, why, why_size, "slot %d holds DRBD's metadata", index);
	if (!read_block(fd, (size & ~(uint64_t)(METADATA_BLOCK - 1)) - METADATA_BLOCK, last.copy[0]) &&
	    is_drbd(last.copy[0]))
		return say(-EBUSY, why, why_size, "the metadata device ends in DRBD's internal metadata");
	rc = probe_device(fd, index, size, why, why_size);
	if (rc)
		return rc;
	for (int i = 0; i < 2; i++)
		if (!all_zero(slot->copy[i], METADATA_BLOCK))
			return say(-EBUSY, why, why_size, "slot %d holds %s", index,
				   memcmp(slot->copy[i], MAGIC, 8)
					   ? "data that is not recognised (an empty slot holds zeroes)"
					   : "damaged metadata of drbdx");
	return 0;
}

/* May the superblock that is there, if any, be replaced?  *ours: there is one, and it may. */
static int look_for_ours(int index, const struct slot *slot, const char *name, bool force, bool *ours,
			 char *why, size_t why_size)
{
	struct superblock sb;
	int rc;

	/* each copy by itself: a lone one, or two that contradict each other, is somebody's, too */
	for (int i = 0; i < 2; i++) {
		rc = metadata_decode(slot->copy[i], &sb, NULL, 0);
		if (rc == -EPROTONOSUPPORT)
			return say(-EBUSY, why, why_size,
				   "slot %d holds metadata of a newer version of drbdx", index);
		if (rc)
			continue;
		if (strcmp(sb.name, name))
			return say(-EBUSY, why, why_size, "slot %d holds the metadata of resource '%s'",
				   index, sb.name);
		if (sb.flags & SB_IN_USE)
			return say(-EBUSY, why, why_size,
				   "slot %d: resource '%s' is in use by a guest, or its "
				   "host died while it was; bring it up and down once first",
				   index, sb.name);
		if (!force)
			return say(-EBUSY, why, why_size, "slot %d already holds metadata of resource '%s'",
				   index, sb.name);
		*ours = true;
	}
	return 0;
}

/* -EINVAL, -ENOSPC …: what is wrong with the request itself. */
static int check_place(int fd, int index, const char *name, uint64_t *size, char *why, size_t why_size)
{
	char field[METADATA_NAME_MAX] = "";
	int rc;

	if (index < 0)
		return say(-EINVAL, why, why_size, "slot %d: there are no negative slots", index);
	if (!name[0] || strlen(name) > METADATA_NAME_MAX)
		return say(-EINVAL, why, why_size, "the resource's name must have 1 to %u bytes",
			   METADATA_NAME_MAX);
	memcpy(field, name, strlen(name));
	if (!text_valid(field, sizeof(field)))
		return say(-EINVAL, why, why_size, "the resource's name is not plain UTF-8 text");
	rc = device_size(fd, size);
	if (rc)
		return say(rc, why, why_size, "slot %d: neither a block device nor a file: %s", index,
			   strerror(-rc));
	if (*size < ((uint64_t)index + 1) * METADATA_SLOT_BYTES)
		return say(-ENOSPC, why, why_size,
			   "slot %d needs a metadata device of at least %llu MiB; this one has %llu MiB",
			   index, ((unsigned long long)index + 1) * (METADATA_SLOT_BYTES >> 20),
			   (unsigned long long)*size >> 20);
	return 0;
}

int metadata_create(int fd, int index, const char *name, bool assume_clean, bool force, char *why,
		    size_t why_size)
{
	struct superblock sb = { .flags = SB_JUST_CREATED | (assume_clean ? SB_CONSISTENT : 0) }, old;
	struct slot slot;
	uint64_t size = 0;
	bool ours = false;
	int rc, newer = 0;

	rc = check_place(fd, index, name, &size, why, why_size);
	if (!rc)
		rc = read_slot(fd, index, &slot, why, why_size);
	if (!rc)
		rc = look_for_ours(index, &slot, name, force, &ours, why, why_size);
	if (!rc && !ours && !force)
		rc = look_for_others(fd, index, &slot, size, why, why_size);
	if (rc)
		return rc;
	if (getrandom(sb.device_uuid, sizeof(sb.device_uuid), 0) != sizeof(sb.device_uuid))
		return say(-EIO, why, why_size, "no randomness");
	snprintf(sb.name, sizeof(sb.name), "%s", name);
	for (int i = 0; i < 2; i++)
		if (!metadata_decode(slot.copy[i], &old, NULL, 0) && old.sequence > sb.sequence) {
			sb.sequence = old.sequence;
			newer = i;
		}
	return write_both(fd, index, &sb, newer, why, why_size);
}

const char *token_name(enum token token)
{
	switch (token) {
	case TOKEN_NONE: return "none";
	case TOKEN_HELD: return "held";
	case TOKEN_GIVEN: return "given";
	}
	return "unknown";
}
