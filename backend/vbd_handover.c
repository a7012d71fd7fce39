/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vbd_handover.c: what a device does for the hand-over of its guest (docs/HANDOVER.md): it looks whether the guest
 * is the one that is meant, and suspended, and carries news between the disks of one guest (R10).
 */
#include "backend/vbd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/domain.h"
#include "backend/log.h"

#define INCOMING "--incoming" /* xl migrate-receive's name for a domain that is arriving */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool uuid_parse(const char *text, uint8_t *uuid)
{
	unsigned int i;

	for (i = 0; i < UUID_BYTES; i++) {
		if (*text == '-')
			text++;
		if (hex(text[0]) < 0 || hex(text[1]) < 0)
			return false;
		uuid[i] = (uint8_t)(hex(text[0]) << 4 | hex(text[1]));
		text += 2;
	}
	return !*text;
}

bool name_is_incoming(const char *name)
{
	size_t length = strlen(name), tail = strlen(INCOMING);

	return length > tail && !strcmp(name + length - tail, INCOMING);
}

/* The text behind the last '/' of "/vm/UUID", and the UUID; zero and "" where they are not known. */
static void read_uuid(struct vbd *v, char *text, size_t size, uint8_t *uuid)
{
	char path[64], vm[64] = "";
	const char *slash;

	memset(uuid, 0, UUID_BYTES);
	snprintf(path, sizeof(path), "/local/domain/%u", v->domid);
	if (v->devices->store)
		store_read(v->devices->store, path, "vm", vm, sizeof(vm));
	slash = strrchr(vm, '/');
	snprintf(text, size, "%s", slash ? slash + 1 : "");
	if (!uuid_parse(text, uuid))
		memset(uuid, 0, UUID_BYTES);
}

/* "guest NAME (uuid U)", as far as xenstore knows. */
void vbd_claimant(struct vbd *v, struct claimant *c)
{
	char path[64], uuid[64], name[sizeof(v->guest)] = "";

	*c = (struct claimant){ .who = "" };
	snprintf(path, sizeof(path), "/local/domain/%u", v->domid);
	if (v->devices->store)
		store_read(v->devices->store, path, "name", name, sizeof(name));
	if (*name)
		snprintf(v->guest, sizeof(v->guest), "%s", name);
	else
		snprintf(v->guest, sizeof(v->guest), "domain %u", v->domid);
	c->incoming = name_is_incoming(name);
	read_uuid(v, uuid, sizeof(uuid), c->uuid);
	if (*uuid)
		snprintf(c->who, sizeof(c->who), "guest %s (uuid %s)", v->guest, uuid);
	else
		snprintf(c->who, sizeof(c->who), "guest %s", v->guest);
}

/* ---- the partner wants the guest ---- */

static int look(struct vbd *v, const uint8_t *uuid, char *why, size_t size)
{
	static const uint8_t unknown[UUID_BYTES];
	uint8_t own[UUID_BYTES];
	char text[64];

	if (!v->devices || !v->devices->store) {
		snprintf(why, size, "xenstored does not answer at the source: try again when it does");
		return -EAGAIN;
	}
	read_uuid(v, text, sizeof(text), own);
	if (!memcmp(uuid, unknown, UUID_BYTES) || memcmp(uuid, own, UUID_BYTES)) {
		snprintf(why, size, "in use at the source by guest %.80s, which is another virtual machine: shut that down first", v->guest);
		return -EBUSY;
	}
	return domain_suspended(v->domid, why, size);
}

void vbd_look_suspended(void *ctx, uint64_t query, const uint8_t *uuid)
{
	struct vbd *v = ctx;
	char why[RESOURCE_TEXT] = "";
	int rc;

	if (!v->resource || v->claim == CLAIM_RELEASING)
		return; /* the release has refused it */
	rc = look(v, uuid, why, sizeof(why));
	resource_suspended(v->resource, query, rc, why);
}

/* ---- several disks of one guest ---- */

/* A disk of the same guest whose resource knows of it. */
static bool sibling(const struct vbd *v, const struct vbd *other)
{
	return other != v && other->domid == v->domid && other->resource &&
	       (other->claim == CLAIM_GRANTED || other->claim == CLAIM_DONE);
}

/* One that is being claimed, or will be adopted: it has to be asked, and cannot be yet. */
static bool sibling_to_come(const struct vbd *v, const struct vbd *other)
{
	if (other == v || other->domid != v->domid)
		return false;
	return other->claim == CLAIM_ASKED ||
	       (other->claim == CLAIM_NONE && other->adoptable && !other->refused && other->hotplug);
}

bool vbd_alone(const struct vbd *v)
{
	const struct vbd *other;

	TAILQ_FOREACH(other, &v->devices->list, link)
		if (sibling(v, other) || sibling_to_come(v, other))
			return false;
	return true;
}

/* A first request waits for the answers of the guest's other disks. */
struct vbd_question {
	struct vbd *asker; /* NULL: it is gone, or has asked anew */
	unsigned int waits;
	bool stale, failed; /* one of them is; could not be asked */
};

void vbd_question_drop(struct vbd *v)
{
	if (v->question)
		v->question->asker = NULL;
	v->question = NULL;
}

static void question_over(struct vbd_question *q)
{
	struct vbd *v = q->asker;

	if (v && v->resource && !v->devices)
		v->question = NULL; /* the daemon ends */
	else if (v && v->resource && q->stale)
		resource_outdate(v->resource, v, "it has gone on at the partner");
	else if (v && v->resource && !q->failed)
		resource_guest_ready(v->resource, v);
	else if (v)
		v->ask_again = true;
	if (v)
		v->question = NULL;
	free(q);
}

/* -ECANCELED: it has no guest any more, and needs no regard. */
static void sibling_answered(void *ctx, int rc, const char *why)
{
	struct vbd_question *q = ctx;

	(void)why;
	q->stale |= rc == -ESTALE;
	q->failed |= rc && rc != -ESTALE && rc != -ECANCELED;
	if (!--q->waits)
		question_over(q);
}

void vbd_used(void *ctx)
{
	struct vbd *v = ctx, *other;
	struct vbd_question *q;

	if (!v->devices || !v->resource)
		return;
	v->ask_again = false;
	vbd_question_drop(v);
	q = calloc(1, sizeof(*q));
	if (!q) {
		v->ask_again = true;
		return;
	}
	v->question = q;
	q->asker = v;
	q->waits = 1; /* our own, so that an answer at once is not the last one */
	TAILQ_FOREACH(other, &v->devices->list, link) {
		q->failed |= sibling_to_come(v, other);
		if (!sibling(v, other))
			continue;
		q->waits++;
		resource_sibling_used(other->resource, other, sibling_answered, q);
	}
	sibling_answered(q, 0, "");
}

void vbd_outdated(void *ctx, const char *why)
{
	struct vbd *v = ctx, *other;

	if (!v->devices)
		return;
	vbd_say(v, why);
	TAILQ_FOREACH(other, &v->devices->list, link)
		if (sibling(v, other))
			resource_outdate(other->resource, other, why);
}
