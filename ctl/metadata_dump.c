/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata_dump.c: dump-md and restore-md: metadata between disk and text (metadata_text.h).
 *
 * Crash argument of restore-md: as of create-md: the old superblock goes first, the new one comes when log
 * and bitmap are durable.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/metadata_text.h"
#include "ctl/volumes.h"

#define LOG_BYTES   ((size_t)ACTLOG_BLOCKS * ACTLOG_BLOCK)
#define CHUNK_PAGES 256u

/* ---- reading ---- */

/* The log counts if a guest was attached; otherwise it may hold anything. */
static int read_log(const struct volumes *v, struct metadata_text *t, char *why)
{
	uint8_t *area = aligned_alloc(METADATA_BLOCK, LOG_BYTES);
	struct actlog *log = NULL;
	char words[200] = "";
	int rc = area ? metadata_read_at(v->meta.fd, v->geometry.log, area, LOG_BYTES) : -ENOMEM;

	if (!rc)
		rc = actlog_new(t->sb.al_extents, t->sectors, ACTLOG_EXTENT_SECTORS, &log);
	if (!rc)
		rc = actlog_load(log, area, words, sizeof(words));
	for (uint32_t i = 0; !rc && i < actlog_slots(log); i++)
		if (actlog_extent(log, i) != ACTLOG_FREE)
			t->extents[t->n_extents++] = actlog_extent(log, i);
	if (rc == -EBADMSG && !(t->sb.flags & SB_IN_USE))
		rc = 0;
	else if (rc)
		snprintf(why, WORDS, "%s: the activity log cannot be read: %s: bring the resource up once, which does without it", v->geometry.place,
			 *words ? words : strerror(-rc));
	actlog_free(log);
	free(area);
	return rc;
}

/* Pages that lie wholly in what is out of sync anyway are not read: they may hold anything. */
static uint32_t pages_that_count(const struct metadata_text *t)
{
	uint64_t sectors = t->sb.full_from < t->sectors ? t->sb.full_from : t->sectors;

	return (uint32_t)(metadata_bitmap_bytes(sectors) / BITMAP_PAGE);
}

static int read_bitmap(const struct volumes *v, struct metadata_text *t, char *why)
{
	struct bitmap_config cfg = { .sectors = t->sectors,
				     .page_blocks = BITMAP_PAGE_BLOCKS,
				     .full_from = BITMAP_NONE };
	uint8_t *chunk = aligned_alloc(METADATA_BLOCK, CHUNK_PAGES * BITMAP_PAGE);
	uint32_t pages = pages_that_count(t);
	int rc = chunk ? bitmap_new(&cfg, &t->bitmap) : -ENOMEM;

	for (uint32_t page = 0; !rc && page < pages; page += CHUNK_PAGES) {
		uint32_t n = pages - page < CHUNK_PAGES ? pages - page : CHUNK_PAGES;

		rc = metadata_read_at(v->meta.fd, v->geometry.bitmap + (uint64_t)page * BITMAP_PAGE, chunk,
				      (size_t)n * BITMAP_PAGE);
		for (uint32_t i = 0; !rc && i < n; i++)
			bitmap_read(t->bitmap, page + i, chunk + (size_t)i * BITMAP_PAGE);
	}
	if (rc)
		snprintf(why, WORDS, "%s: the bitmap cannot be read: %s", v->geometry.place, strerror(-rc));
	free(chunk);
	return rc;
}

static int read_all(const struct config_resource *res, const struct volumes *v, struct metadata_text *t,
		    char *why)
{
	int rc = metadata_read(v->meta.fd, &v->geometry, &t->sb, why, WORDS);

	if (!rc && strcmp(t->sb.name, res->name))
		rc = metadata_of_another(&v->geometry, t->sb.name, why, WORDS);
	if (rc)
		return rc;
	t->sectors = t->sb.flags & SB_JUST_CREATED ? v->sectors : t->sb.agreed.sectors;
	if (t->sectors > v->geometry.data_sectors_max) {
		snprintf(why, WORDS, "%s: the bitmap of a disk of %" PRIu64 " sectors does not fit there: correct meta-disk in the configuration",
			 v->geometry.place, t->sectors);
		return -EINVAL;
	}
	rc = read_log(v, t, why);
	return rc ? rc : read_bitmap(v, t, why);
}

static int dump_one(const struct scene *scene, const struct config_resource *res)
{
	struct metadata_text *t = calloc(1, sizeof(*t));
	bool up = volumes_up(scene, res->name);
	char why[WORDS] = "";
	struct volumes v;
	int rc, status = EXIT_DONE;

	if (!t)
		return EXIT_FAILED;
	if (up && !scene->ctl->force) {
		ctl_error("%s: it is up, and its metadata change all the time: take it down first with 'backend-ctl down %s', or use --force "
			  "to look at what is on disk at the moment",
			  res->name, res->name);
		free(t);
		return EXIT_REFUSED;
	}
	t->snapshot = scene->ctl->force;
	rc = t->snapshot ? volumes_look(res, &v, why) : volumes_claim(scene, res, &v, why);
	if (!rc)
		rc = read_all(res, &v, t, why);
	if (rc)
		status = volumes_failed(res, rc, why);
	else
		metadata_text_print(stdout, t);
	volumes_close(&v);
	metadata_text_dispose(t);
	free(t);
	return status;
}

int verb_dump_md(const struct ctl *ctl)
{
	return volumes_each(ctl, 1, dump_one);
}

/* ---- restoring ---- */

/* A log whose extents are those of the text: written as a guest's writes would have written it. */
static int build_log(const struct metadata_text *t, uint8_t *area)
{
	struct actlog *log = NULL;
	uint32_t i = 0, victims, block;
	int rc = actlog_new(t->sb.al_extents, t->sectors, ACTLOG_EXTENT_SECTORS, &log);
	uint8_t transaction[ACTLOG_BLOCK];

	actlog_format(area);
	if (!rc)
		rc = actlog_load(log, area, NULL, 0);
	while (!rc && i < t->n_extents) {
		if (actlog_begin(log, (uint64_t)t->extents[i] * ACTLOG_EXTENT_SECTORS, 1)) {
			i++;
			continue;
		}
		if (!actlog_prepare(log, &victims)) {
			rc = -EINVAL; /* more than the log has room for: the parser has counted them */
			break;
		}
		block = actlog_transaction(log, transaction);
		memcpy(area + (size_t)block * ACTLOG_BLOCK, transaction, ACTLOG_BLOCK);
		actlog_written(log);
	}
	actlog_free(log);
	return rc;
}

static int write_log(const struct volumes *v, const struct metadata_text *t)
{
	uint8_t *area = aligned_alloc(METADATA_BLOCK, LOG_BYTES);
	int rc = area ? build_log(t, area) : -ENOMEM;

	if (!rc)
		rc = metadata_write_at(v->meta.fd, v->geometry.log, area, LOG_BYTES);
	free(area);
	return rc;
}

/* All of it zero, then the pages that have bits. */
static int write_bitmap(const struct volumes *v, const struct metadata_text *t)
{
	uint8_t *bytes = aligned_alloc(METADATA_BLOCK, BITMAP_PAGE);
	uint32_t page = 0;
	int rc = bytes ? metadata_zero(v->meta.fd, v->geometry.bitmap, metadata_bitmap_bytes(v->sectors))
		       : -ENOMEM;

	while (!rc && (page = bitmap_dirty(t->bitmap, page, BITMAP_MUST)) != UINT32_MAX) {
		bitmap_content(t->bitmap, page, bytes);
		bitmap_write_begins(t->bitmap, page);
		rc = metadata_write_at(v->meta.fd, v->geometry.bitmap + (uint64_t)page * BITMAP_PAGE, bytes,
				       BITMAP_PAGE);
		bitmap_write_ends(t->bitmap, page, !rc);
		page++;
	}
	free(bytes);
	if (!rc && fdatasync(v->meta.fd))
		rc = -errno;
	return rc;
}

/* Nothing of what the text says may be guessed away. */
static int check_text(const struct scene *scene, const struct config_resource *res, const struct volumes *v,
		      const struct metadata_text *t, char *why)
{
	if (strcmp(t->sb.name, res->name))
		snprintf(why, WORDS, "the file is a dump of resource '%s': use one of '%s'", t->sb.name, res->name);
	else if (t->snapshot)
		snprintf(why, WORDS,
			 "the file was dumped while the resource was up (--force), and cannot be restored: use one that was made while it was "
			 "down, or 'backend-ctl create-md %s'",
			 res->name);
	else if (t->sectors > v->sectors)
		snprintf(why, WORDS,
			 "the file is for a disk of %" PRIu64 " sectors; here there is room for %" PRIu64 ": restore the disk's size",
			 t->sectors, v->sectors);
	else if (t->sb.token != TOKEN_NONE && !scene->ctl->force)
		snprintf(why, WORDS,
			 "the file says that this node has the right to write, which may be its partner's "
			 "since; if "
			 "no guest ran on either node after the dump, use --force");
	else
		return 0;
	return -EINVAL;
}

/* The sum is what was written; a text changed by hand need not know it. */
static void sum_up(struct metadata_text *t)
{
	t->sb.flags |= SB_BITMAP_SUMMED;
	t->sb.bitmap_bits = bitmap_disk_bits(t->bitmap);
	t->sb.bitmap_digest = bitmap_disk_digest(t->bitmap);
}

static int restore(const struct scene *scene, const struct config_resource *res, struct volumes *v,
		   struct metadata_text *t, char *why)
{
	uint8_t block[METADATA_BLOCK];
	struct superblock sb;
	uint64_t sequence = 0;
	int rc = check_text(scene, res, v, t, why);

	t->sb.layout = v->geometry.layout;
	metadata_encode(&t->sb, block);
	if (!rc)
		rc = metadata_decode(block, &sb, why, WORDS);
	if (!rc)
		rc = metadata_take(v->meta.fd, &v->geometry, res->name, scene->ctl->force, &sequence, why,
				   WORDS);
	if (!rc)
		rc = write_log(v, t);
	if (!rc)
		rc = write_bitmap(v, t);
	if (rc)
		return rc;
	if (t->sb.flags & SB_BITMAP_SUMMED)
		sum_up(t);
	t->sb.sequence = sequence > t->sb.sequence ? sequence : t->sb.sequence;
	return metadata_write_first(v->meta.fd, &v->geometry, &t->sb, why, WORDS);
}

static int parse_file(const struct scene *scene, struct metadata_text *t, char *why)
{
	const char *path = scene->ctl->names[1];
	FILE *in = !strcmp(path, "-") ? stdin : fopen(path, "re");
	char words[WORDS / 2] = "";
	int rc;

	if (!in) {
		snprintf(why, WORDS, "%s: %s", path, strerror(errno));
		return -errno;
	}
	rc = metadata_text_parse(in, t, words, sizeof(words));
	if (rc)
		snprintf(why, WORDS, "%.200s: %s", path, words);
	if (in != stdin)
		fclose(in);
	return rc;
}

static int restore_one(const struct scene *scene, const struct config_resource *res)
{
	struct metadata_text *t = calloc(1, sizeof(*t));
	struct volumes v = { .data.fd = -1, .meta.fd = -1 };
	char why[WORDS] = "", place[WORDS];
	int rc, status = EXIT_DONE;

	if (!t)
		return EXIT_FAILED;
	if (volumes_up(scene, res->name)) {
		rc = -EBUSY;
		snprintf(why, sizeof(why), "it is up: take it down first with 'backend-ctl down %s'", res->name);
	} else {
		rc = parse_file(scene, t, why);
		if (!rc)
			rc = volumes_claim(scene, res, &v, why);
		if (!rc)
			rc = restore(scene, res, &v, t, why);
	}
	if (rc)
		status = volumes_failed(res, rc, why);
	else
		printf("%s: metadata restored to %s\n", res->name,
		       volumes_place(&v, res, place, sizeof(place)));
	volumes_close(&v);
	metadata_text_dispose(t);
	free(t);
	return status;
}

int verb_restore_md(const struct ctl *ctl)
{
	return volumes_each(ctl, 1, restore_one);
}
