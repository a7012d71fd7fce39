/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verbs that make, remove and show metadata: create-md, wipe-md, show-gi. They work without the daemon.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backend/actlog.h"
#include "ctl/metadata_text.h"
#include "ctl/volumes.h"

/* Nothing may use the metadata that a verb is about to write. */
static int refuse_up(const struct scene *scene, const struct config_resource *res)
{
	if (!volumes_up(scene, res->name))
		return EXIT_DONE;
	ctl_error("%s: it is up: take it down first with 'backend-ctl down %s'", res->name, res->name);
	return EXIT_REFUSED;
}

/* ---- create-md ---- */

static void say_created(const struct scene *scene, const struct config_resource *res, const struct volumes *v)
{
	char place[WORDS];

	printf("%s: metadata written to %s\n", res->name, volumes_place(v, res, place, sizeof(place)));
	if (v->internal)
		printf("%s: the guest's disk will have %" PRIu64 " sectors (%" PRIu64
		       " MiB); the last %" PRIu64 " KiB of %s are metadata\n",
		       res->name, v->sectors, v->sectors >> 11, (v->data.bytes >> 10) - (v->sectors >> 1),
		       res->self->disk);
	if (!scene->ctl->assume_clean)
		printf("%s: nothing is in sync yet; on the host whose data count: backend-ctl primary "
		       "--force %s\n",
		       res->name, res->name);
}

static int create_one(const struct scene *scene, const struct config_resource *res)
{
	struct metadata_new new = { .name = res->name,
				    .assume_clean = scene->ctl->assume_clean,
				    .force = scene->ctl->force };
	char why[WORDS] = "";
	struct volumes v;
	int rc, status = refuse_up(scene, res);

	if (status)
		return status;
	/* nobody may have the disk; its content is not touched, but by internal metadata */
	rc = volumes_claim(scene, res, &v, why);
	new.sectors = v.sectors;
	new.al_extents = res->al_extents < ACTLOG_EXTENTS_MAX ? res->al_extents : ACTLOG_EXTENTS_MAX;
	if (!rc)
		rc = metadata_create(v.meta.fd, &v.geometry, &new, why, WORDS);
	if (rc)
		status = volumes_failed(res, rc, why);
	else
		say_created(scene, res, &v);
	volumes_close(&v);
	return status;
}

int verb_create_md(const struct ctl *ctl)
{
	return volumes_each(ctl, ctl->n_names, create_one);
}

/* ---- wipe-md ---- */

static int wipe_one(const struct scene *scene, const struct config_resource *res)
{
	char why[WORDS] = "", place[WORDS];
	struct volumes v;
	int rc, status = refuse_up(scene, res);

	if (status)
		return status;
	rc = volumes_claim(scene, res, &v, why);
	if (!rc)
		rc = metadata_wipe(v.meta.fd, &v.geometry, res->name, scene->ctl->force, why, WORDS);
	if (rc)
		status = volumes_failed(res, rc, why);
	else
		printf("%s: the metadata in %s are wiped\n", res->name,
		       volumes_place(&v, res, place, sizeof(place)));
	volumes_close(&v);
	return status;
}

int verb_wipe_md(const struct ctl *ctl)
{
	return volumes_each(ctl, ctl->n_names, wipe_one);
}

/* ---- show-gi ---- */

static void show_generation(const char *what, uint64_t gen, const char *none, const char *meaning)
{
	if (gen)
		printf("  %-10s %016" PRIX64 "  %s\n", what, gen, meaning);
	else
		printf("  %-10s %-16s  %s\n", what, "none", none);
}

static void show(const struct superblock *sb)
{
	const struct text_flag *flag;

	show_generation("current", sb->gen.current, "the data have no generation yet",
			"these data; the same on both nodes: the same lineage");
	show_generation("bitmap", sb->gen.bitmap, "the partner is not known to be behind",
			"the partner's data when it parted; the bitmap says what differs");
	show_generation("history", sb->gen.history[0], "nothing before that", "before that");
	show_generation("", sb->gen.history[1], "nothing before that", "and before that");
	for (flag = text_flags; flag->name; flag++)
		printf("  %-16s %s  %s\n", flag->name, sb->flags & flag->flag ? "yes" : "no ",
		       sb->flags & flag->flag ? flag->yes : flag->no);
	printf("  token %s, epoch %" PRIu64 ", written in epoch %" PRIu64 "\n", token_name(sb->token),
	       sb->epoch, sb->base);
	if (sb->full_from != METADATA_NO_FULL)
		printf("  everything from sector %" PRIu64 " on is out of sync\n", sb->full_from);
	if (sb->flags & SB_BITMAP_SUMMED)
		printf("  %" PRIu64 " blocks of 4 KiB are marked in the bitmap\n", sb->bitmap_bits);
}

static int show_one(const struct scene *scene, const struct config_resource *res)
{
	char why[WORDS] = "", place[WORDS];
	struct superblock sb;
	struct volumes v;
	int rc, status = EXIT_DONE;

	(void)scene;
	rc = volumes_look(res, &v, why);
	if (!rc)
		rc = metadata_read(v.meta.fd, &v.geometry, &sb, why, WORDS);
	if (!rc && strcmp(sb.name, res->name))
		rc = metadata_of_another(&v.geometry, sb.name, why, WORDS);
	if (rc) {
		status = volumes_failed(res, rc, why);
	} else {
		printf("%s: %s\n", res->name, volumes_place(&v, res, place, sizeof(place)));
		show(&sb);
	}
	volumes_close(&v);
	return status;
}

int verb_show_gi(const struct ctl *ctl)
{
	return volumes_each(ctl, ctl->n_names, show_one);
}
