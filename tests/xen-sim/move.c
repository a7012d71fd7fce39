/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's disk on its way to another host; see move.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "move.h"

#define MOVE_MAGIC 0x32766d64u

struct move_header {
	uint32_t magic, count;
	struct fe_config cfg;
	struct load load;
	char command[COMMAND_MAX];
};

static size_t floors(const struct request *r)
{
	return r->op == BLKIF_OP_READ ? r->sectors : 0;
}

/* Ids grow from request to request. */
static int by_id(const void *a, const void *b)
{
	const struct request *const *x = a, *const *y = b;

	return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

static bool write_requests(const struct frontend *fe, FILE *f)
{
	const struct request **list = calloc(fe->cfg.depth, sizeof(*list));
	unsigned n = 0;
	bool ok = list != NULL;

	for (unsigned i = 0; ok && i < fe->cfg.depth; i++)
		if (fe->req[i].busy)
			list[n++] = &fe->req[i];
	if (ok)
		qsort(list, n, sizeof(*list), by_id);
	for (unsigned i = 0; ok && i < n; i++)
		ok = fwrite(list[i], sizeof(*list[i]), 1, f) == 1 &&
		     fwrite(list[i]->floor, sizeof(uint32_t), floors(list[i]), f) == floors(list[i]);
	free(list);
	return ok;
}

int move_save(const struct load *l, const char *command, const char *path)
{
	struct move_header h = {
		.magic = MOVE_MAGIC, .count = l->fe->in_flight, .cfg = l->fe->cfg, .load = *l
	};
	FILE *f = fopen(path, "we");
	bool ok;

	if (!f)
		return -errno;
	snprintf(h.command, sizeof(h.command), "%s", command);
	ok = fwrite(&h, sizeof(h), 1, f) == 1 && write_requests(l->fe, f);
	if (fclose(f) || !ok)
		return -EIO;
	return 0;
}

static bool read_request(struct request *r, FILE *f)
{
	if (fread(r, sizeof(*r), 1, f) != 1)
		return false;
	r->floor = calloc(floors(r) + 1, sizeof(uint32_t));
	return r->floor && fread(r->floor, sizeof(uint32_t), floors(r), f) == floors(r);
}

int move_read(struct move *m, const char *path)
{
	FILE *f = fopen(path, "re");
	struct move_header h;
	bool ok;

	if (!f)
		return -errno;
	ok = fread(&h, sizeof(h), 1, f) == 1 && h.magic == MOVE_MAGIC;
	if (ok) {
		*m = (struct move){ .cfg = h.cfg, .load = h.load, .count = h.count };
		memcpy(m->command, h.command, sizeof(m->command));
		m->unanswered = calloc(m->count + 1, sizeof(*m->unanswered));
		ok = m->unanswered != NULL;
	}
	for (unsigned i = 0; ok && i < m->count; i++)
		ok = read_request(&m->unanswered[i], f);
	fclose(f);
	return ok ? 0 : -EPROTO;
}

void move_resume(struct move *m, struct load *l)
{
	struct frontend *fe = l->fe;
	struct model model = l->model;

	*l = m->load;
	l->fe = fe;
	l->model = model;
	for (unsigned i = 0; i < m->count; i++) {
		load_reissue(l, &m->unanswered[i]);
		free(m->unanswered[i].floor);
	}
	free(m->unanswered);
	if (m->count)
		fe_push(fe);
}
