/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner_storage.c: the disk of a resource and its metadata: opened when nobody else's I/O can reach them any more, closed at
 * the end, or when the disk is given up.
 *
 *   opening (claims on disk and metadata are awaited) ──> open ──> disk detached: closed as soon as nothing needs it
 */
#include "backend/resource_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/log.h"

#define LOG_BYTES ((size_t)ACTLOG_BLOCKS * ACTLOG_BLOCK)

void storage_offer(const struct resource *r, struct features *f)
{
	uint64_t disk = disk_sectors(r->disk), room = r->superblock.geometry.data_sectors_max;

	/* internal metadata take the end of the disk */
	*f = (struct features){ .sectors = disk < room ? disk : room,
				.block_size = disk_block_size(r->disk),
				.max_segments = BLKIF_SEGMENTS_MAX,
				.ring_order = RING_ORDER_MAX,
				.queues = QUEUES_MAX,
				.discard = 1,
				.discard_unit = disk_discard_unit(r->disk),
				.discard_secure = disk_erases(r->disk) };
}

int storage_measure(struct resource *r, uint64_t *sectors, char *why, size_t why_size)
{
	struct features f;
	int rc = r->disk ? disk_measure(r->disk) : -ENODEV;

	if (rc) {
		snprintf(why, why_size, "the size of disk %s cannot be found out: %s", r->disk_path, strerror(-rc));
		return rc;
	}
	rc = superblock_io_measure(&r->superblock, r->meta_index, disk_claim(r->disk), why, why_size);
	if (rc)
		return rc;
	r->metadata.geometry = r->superblock.geometry;
	storage_offer(r, &f);
	*sectors = f.sectors;
	return 0;
}

static int check_superblock(struct resource *r, const struct superblock *sb)
{
	if (!strcmp(sb->name, r->name))
		return 0;
	snprintf(r->disk_why, sizeof(r->disk_why),
		 "%s of %s belongs to resource %s: correct meta-disk in the configuration",
		 r->superblock.geometry.place, r->meta_path ? r->meta_path : r->disk_path, sb->name);
	return -EINVAL;
}

/* Another number of slots than the file says: possible while nothing in the log counts. An empty log is one of any number,
 * so a crash between the two writes leaves a log that goes with either superblock. */
static int resize_log(struct resource *r, struct superblock *sb)
{
	int fd = r->superblock.claim.fd, rc;

	rc = metadata_io_format_log(fd, &r->superblock.geometry, r->log_area, r->disk_why, sizeof(r->disk_why));
	if (rc)
		return rc;
	log_info(r->name, "the activity log has %u extents from now on, as al-extents says (%u before)", r->al_extents,
		 sb->al_extents);
	sb->al_extents = r->al_extents;
	rc = metadata_write(fd, &r->superblock.geometry, sb, r->disk_why, sizeof(r->disk_why));
	r->superblock.sequence = sb->sequence;
	return rc;
}

static int read_log(struct resource *r)
{
	struct superblock *sb = &r->superblock_read;

	r->log_area = aligned_alloc(ACTLOG_BLOCK, LOG_BYTES);
	if (!r->log_area)
		return -ENOMEM;
	if (sb->al_extents != r->al_extents && !(sb->flags & SB_IN_USE))
		return resize_log(r, sb);
	return metadata_io_read_log(r->superblock.claim.fd, &r->superblock.geometry, r->log_area, r->disk_why,
				    sizeof(r->disk_why));
}

static int open_metadata(struct resource *r)
{
	int rc = superblock_io_open(&r->superblock, r->meta_path, r->meta_index, disk_claim(r->disk), r->loop,
				    owner_superblock_done, r, &r->superblock_read, r->disk_why, sizeof(r->disk_why));

	if (!rc)
		rc = check_superblock(r, &r->superblock_read);
	if (!rc)
		rc = read_log(r);
	if (!rc)
		metadata_io_init(&r->metadata, r->loop, r->superblock.claim.fd, &r->superblock.geometry, owner_metadata_done,
				 r);
	return rc;
}

static int open_all(struct resource *r)
{
	int rc = disk_open(r->disk_path, r->loop, REQUESTS_MAX + COPIES_MAX + PIECES_MAX + PEER_REQUESTS, owner_disk_done, r, &r->disk,
			   r->disk_why, sizeof(r->disk_why));

	if (!rc)
		rc = open_metadata(r);
	if (!rc)
		rc = owner_start_core(r);
	free(r->log_area);
	r->log_area = NULL;
	return rc;
}

void storage_try_open(struct resource *r)
{
	char before[RESOURCE_TEXT];
	int rc;

	memcpy(before, r->disk_why, sizeof(before));
	r->disk_why[0] = '\0';
	r->open_retry_ms = UINT64_MAX;
	rc = open_all(r);
	if (!rc) {
		r->disk_why[0] = '\0';
		log_info(r->name, "disk %s and its metadata, %s%s%s, are open", r->disk_path,
			 r->superblock.geometry.place, r->meta_path ? " of " : "",
			 r->meta_path ? r->meta_path : "");
		return;
	}
	if (!r->disk_why[0])
		snprintf(r->disk_why, sizeof(r->disk_why), "cannot start: %s; trying again", strerror(-rc));
	if (strcmp(before, r->disk_why))
		log_error(r->name, "%s", r->disk_why);
	storage_close(r);
	r->open_retry_ms = now(r) + (rc == -EBUSY ? BUSY_RETRY_MS : OPEN_RETRY_MS);
}

unsigned int storage_in_flight(const struct resource *r)
{
	return (r->disk ? disk_in_flight(r->disk) : 0) + (r->superblock.stage != 0) + metadata_io_busy(&r->metadata);
}

void storage_close(struct resource *r)
{
	superblock_io_close(&r->superblock); /* first: it may use the disk's claim */
	disk_close(r->disk);
	r->disk = NULL;
}

/* So that a disk that was detached can be replaced. Internal metadata keep it open: they are still written to. */
void storage_let_go(struct resource *r)
{
	struct replicate_status s;

	if (!r->look_at_disk || !r->core || (r->disk && disk_in_flight(r->disk)))
		return; /* also of what was given up (P6) */
	replicate_status(r->core, &s, now(r));
	if (s.disk != DISK_DISKLESS || !r->disk || !r->superblock.claimed) {
		r->look_at_disk = false;
		return;
	}
	if (s.local_pending || s.peer_writes || s.returnable)
		return; /* a request that waits to be tried again needs it, or it is taken back */
	log_info(r->name, "disk %s is closed", r->disk_path);
	disk_close(r->disk);
	r->disk = NULL;
}
