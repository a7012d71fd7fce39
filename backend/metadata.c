/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata.c: the superblock's layout and its two copies.  docs/METADATA.md is normative.
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
 * A write [metadata_write_both]:
 *   both copies n ─> older copy n+1 ─flush─> other copy n+1 ─flush─> durable
 *
 * Crash argument: a power cut can spoil only the copy under the pen, and that is never the newest whole
 * one.  Cut before the first flush, the slot reads as n, as if the write had not begun; later, as
 * n+1.  Nobody acts on n+1 before both flushes (P1, P2), so both readings are allowed.  A copy whose checksum
 * is right but whose content is impossible, or of another version, is not a torn write: falling back to the
 * older copy could bring a given-away token back (P2), so the slot is refused.
 */
#include "backend/metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/actlog.h"
#include "backend/crc32c.h"
#include "backend/layout.h"
#include "backend/metadata_private.h"

#define VERSION 2u
#define INCOMPATIBLE_KNOWN 0u /* bits of `incompatible` and `compatible` that this program acts upon */
#define COMPATIBLE_DISCARD 1u
#define COMPATIBLE_SECURE  2u
#define COMPATIBLE_KNOWN   (COMPATIBLE_DISCARD | COMPATIBLE_SECURE)

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
	struct be64 full_from, bitmap_bits, bitmap_digest;
	struct be32 al_extents;
	uint8_t layout, zero_2[3];
	struct be32 incompatible, compatible;
	uint8_t discard_unit, zero_3[7];
	uint8_t room[3788];
	struct be32 crc;
};
static_assert(sizeof(struct disk_superblock) == METADATA_BLOCK, "superblock");
static_assert(offsetof(struct disk_superblock, name) == 24, "name");
static_assert(offsetof(struct disk_superblock, token) == 168, "token");
static_assert(offsetof(struct disk_superblock, gen) == 200, "gen");
static_assert(offsetof(struct disk_superblock, incompatible) == 288, "incompatible");
static_assert(offsetof(struct disk_superblock, room) == 304, "room");
static_assert(offsetof(struct disk_superblock, crc) == METADATA_BLOCK - 4, "crc");

static const struct layout_field fields[] = {
#define F(name)                                                                                            \
	{                                                                                                  \
#name, offsetof(struct disk_superblock, name), sizeof(((struct disk_superblock *)0)->name) \
	}
	F(magic),  F(version),	 F(flags),	 F(sequence),	   F(name),	   F(device_uuid),
	F(token),  F(zero),	 F(epoch),	 F(base),	   F(reservation), F(gen),
	F(agreed), F(full_from), F(bitmap_bits), F(bitmap_digest), F(al_extents),  F(layout),
	F(zero_2), F(incompatible), F(compatible), F(discard_unit), F(zero_3), F(room), F(crc), { NULL, 0, 0 },
#undef F
};

const struct layout_field *metadata_fields(void)
{
	return fields;
}

int metadata_say(int rc, char *why, size_t why_size, const char *fmt, ...)
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
		.full_from = put_be64(sb->full_from),
		.bitmap_bits = put_be64(sb->bitmap_bits),
		.bitmap_digest = put_be64(sb->bitmap_digest),
		.al_extents = put_be32(sb->al_extents),
		.layout = sb->layout,
		.compatible = put_be32((sb->discard_unit ? COMPATIBLE_DISCARD : 0) | (sb->discard_secure ? COMPATIBLE_SECURE : 0)),
		.discard_unit = sb->discard_unit,
	};

	memcpy(d.magic, METADATA_MAGIC, sizeof(d.magic));
	put_text(d.name, sizeof(d.name), sb->name);
	memcpy(d.device_uuid, sb->device_uuid, sizeof(d.device_uuid));
	d.crc = put_be32(crc32c(&d, offsetof(struct disk_superblock, crc)));
	memcpy(block, &d, sizeof(d));
}

/* NULL, or what is wrong about the compatible features. Of those that are not known the fields are no business of ours: our next write takes
 * both away. */
static const char *features_wrong(const struct disk_superblock *d)
{
	uint32_t compatible = get_be32(d->compatible);

	if (compatible & COMPATIBLE_DISCARD && (!d->discard_unit || discard_unit_check(d->discard_unit)))
		return "the unit of discards is impossible";
	if (compatible & COMPATIBLE_SECURE && !(compatible & COMPATIBLE_DISCARD))
		return "secure discards without discards";
	if (compatible & ~COMPATIBLE_KNOWN)
		return NULL;
	if ((!(compatible & COMPATIBLE_DISCARD) && d->discard_unit) || !all_zero(d->zero_3, sizeof(d->zero_3)) ||
	    !all_zero(d->room, sizeof(d->room)))
		return "reserved bytes are not zero";
	return NULL;
}

/* NULL, or what cannot be in a superblock of this version. */
static const char *impossible(const struct disk_superblock *d, const struct superblock *sb)
{
	if (!text_valid(d->name, sizeof(d->name)) || !d->name[0])
		return "the resource's name is malformed";
	if (!all_zero(d->zero, sizeof(d->zero)) || !all_zero(d->zero_2, sizeof(d->zero_2)) || d->agreed.discard_unit || d->agreed.discard_secure ||
	    !all_zero(d->agreed.zero, sizeof(d->agreed.zero)))
		return "reserved bytes are not zero";
	if (features_wrong(d))
		return features_wrong(d);
	if (sb->flags & ~SB_FLAGS_KNOWN)
		return "unknown flags";
	if (d->token > TOKEN_GIVEN)
		return "the token is in an unknown state";
	if (sb->base > sb->epoch)
		return "the base is above the epoch";
	if (sb->full_from > LAYOUT_SECTORS_MAX && sb->full_from != METADATA_NO_FULL)
		return "the full sync begins beyond any disk";
	if (sb->al_extents < ACTLOG_EXTENTS_MIN || sb->al_extents > ACTLOG_EXTENTS_MAX)
		return "the activity log's number of slots is out of range";
	if (d->layout > METADATA_INTERNAL)
		return "the layout is unknown";
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
	if (memcmp(d.magic, METADATA_MAGIC, sizeof(d.magic)))
		return say(-EBADMSG, why, why_size, "no metadata of drbdx");
	if (get_be32(d.crc) != crc32c(&d, offsetof(struct disk_superblock, crc)))
		return say(-EBADMSG, why, why_size, "damaged metadata (wrong checksum)");
	if (get_be32(d.version) != VERSION)
		return say(-EPROTONOSUPPORT, why, why_size, "metadata of version %u; this program knows version %u%s",
			   get_be32(d.version), VERSION,
			   get_be32(d.version) > VERSION ? ": install the newer drbdx that wrote them" : "");
	if (get_be32(d.incompatible) & ~INCOMPATIBLE_KNOWN)
		return say(-EPROTONOSUPPORT, why, why_size,
			   "metadata with features that this program does not know (0x%x): install the newer drbdx that wrote them",
			   get_be32(d.incompatible) & ~INCOMPATIBLE_KNOWN);
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
	out.full_from = get_be64(d.full_from);
	out.bitmap_bits = get_be64(d.bitmap_bits);
	out.bitmap_digest = get_be64(d.bitmap_digest);
	out.al_extents = get_be32(d.al_extents);
	out.layout = d.layout;
	out.discard_unit = get_be32(d.compatible) & COMPATIBLE_DISCARD ? d.discard_unit : 0;
	out.discard_secure = (get_be32(d.compatible) & COMPATIBLE_SECURE) != 0;
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

int metadata_read_at(int fd, uint64_t offset, void *bytes, size_t length)
{
	size_t done = 0;
	ssize_t r;

	while (done < length) {
		r = pread(fd, (uint8_t *)bytes + done, length - done, offset + done);
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

int metadata_write_at(int fd, uint64_t offset, const void *bytes, size_t length)
{
	size_t done = 0;
	ssize_t r;

	while (done < length) {
		r = pwrite(fd, (const uint8_t *)bytes + done, length - done, offset + done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -EIO;
		done += r;
	}
	return 0;
}

int metadata_copies(int fd, const struct metadata_geometry *g, struct copies *copies, char *why,
		    size_t why_size)
{
	int rc;

	for (int i = 0; i < 2; i++) {
		rc = metadata_read_at(fd, g->copy[i], copies->block[i], METADATA_BLOCK);
		if (rc)
			return say(rc, why, why_size, "%s cannot be read: %s", g->place, strerror(-rc));
	}
	return 0;
}

static int write_copy(int fd, const struct metadata_geometry *g, int copy, const uint8_t *block, char *why,
		      size_t why_size)
{
	int rc = metadata_write_at(fd, g->copy[copy], block, METADATA_BLOCK);

	if (!rc && fdatasync(fd))
		rc = -errno;
	return rc ? say(rc, why, why_size, "%s, copy %c cannot be written: %s", g->place, 'A' + copy,
			strerror(-rc))
		  : 0;
}

static int check_layout(const struct metadata_geometry *g, const struct superblock *sb, char *why,
			size_t why_size)
{
	static const char *const names[] = { "in an indexed slot", "on a flexible metadata device",
					     "at the end of the data disk" };

	if (sb->layout == g->layout)
		return 0;
	return say(-EINVAL, why, why_size,
		   "%s: these metadata, of resource '%s', were made to be %s, and the configuration has them "
		   "%s: correct its meta-disk",
		   g->place, sb->name, names[sb->layout], names[g->layout]);
}

/* Of metadata that cannot be read. */
static const char *way_out(int rc, const uint8_t *a, const uint8_t *b)
{
	if (rc == -EPROTONOSUPPORT)
		return "install the drbdx that wrote them";
	if (memcmp(a, METADATA_MAGIC, 8) && memcmp(b, METADATA_MAGIC, 8))
		return "'backend-ctl create-md' writes them anew, if meta-disk in the configuration is right";
	return "'backend-ctl restore-md --force' from a dump, or 'backend-ctl create-md --force', after which everything is copied from "
	       "the partner";
}

int metadata_read(int fd, const struct metadata_geometry *g, struct superblock *sb, char *why,
		  size_t why_size)
{
	struct copies copies;
	char words[280] = "";
	bool heal = false;
	int newer = 0, rc;

	rc = metadata_copies(fd, g, &copies, why, why_size);
	if (rc)
		return rc;
	rc = metadata_choose(copies.block[0], copies.block[1], sb, &newer, &heal, words, sizeof(words));
	if (rc)
		return say(rc, why, why_size, "%s: %s: %s", g->place, words, way_out(rc, copies.block[0], copies.block[1]));
	rc = check_layout(g, sb, why, why_size);
	if (!rc && heal && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		rc = write_copy(fd, g, !newer, copies.block[newer], why, why_size);
	return rc;
}

int metadata_write_both(int fd, const struct metadata_geometry *g, struct superblock *sb, int newer,
			char *why, size_t why_size)
{
	struct {
		uint8_t block[METADATA_BLOCK];
	} __attribute__((aligned(METADATA_BLOCK))) new;
	struct superblock check;
	char words[120] = "";
	int rc;

	sb->sequence++;
	metadata_encode(sb, new.block);
	rc = metadata_decode(new.block, &check, words, sizeof(words));
	if (rc)
		return say(rc, why, why_size, "%s: refused to write %s", g->place, words);
	rc = write_copy(fd, g, !newer, new.block, why, why_size);
	return rc ? rc : write_copy(fd, g, newer, new.block, why, why_size);
}

int metadata_write(int fd, const struct metadata_geometry *g, struct superblock *sb, char *why,
		   size_t why_size)
{
	struct copies copies;
	struct superblock old;
	bool heal = false;
	int newer = 0, rc;

	rc = check_layout(g, sb, why, why_size);
	if (!rc)
		rc = metadata_copies(fd, g, &copies, why, why_size);
	if (rc)
		return rc;
	rc = metadata_choose(copies.block[0], copies.block[1], &old, &newer, &heal, NULL, 0);
	if (!rc && memcmp(old.device_uuid, sb->device_uuid, sizeof(old.device_uuid)))
		return say(-ESTALE, why, why_size,
			   "%s: the metadata were created anew, for resource '%s', and are not this one's "
			   "any more: restart drbdxd",
			   g->place, old.name);
	if (rc == -EPROTONOSUPPORT)
		return say(rc, why, why_size, "%s holds metadata of another version: install the drbdx that wrote them", g->place);
	if (!rc && old.sequence > sb->sequence)
		sb->sequence = old.sequence;
	return metadata_write_both(fd, g, sb, newer, why, why_size);
}

const char *token_name(enum token token)
{
	switch (token) {
	case TOKEN_NONE:
		return "none";
	case TOKEN_HELD:
		return "held";
	case TOKEN_GIVEN:
		return "given";
	}
	return "unknown";
}
