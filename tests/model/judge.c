/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judge.c: two HELLOs of the model, put before the daemon's own settle() (backend/settle.c, generation.c): the model has no second copy of
 * the table in docs/PROTOCOL.md, section 7.
 */
#include "backend/settle.h"
#include "tests/model/judge.h"

static const struct features features = { .sectors = 8, .block_size = 512, .max_segments = 11, .queues = 1 };

static struct packet_hello hello_of(const struct model_hello *m)
{
	return (struct packet_hello){
		.token = (uint8_t)(m->held ? TOKEN_HELD : m->given ? TOKEN_GIVEN : TOKEN_NONE),
		.flags = (m->consistent ? SB_CONSISTENT : 0u) | (m->crashed ? SB_CRASHED : 0u),
		.epoch = m->epoch,
		.base = m->base,
		.gen = { m->current, m->bitmap, { m->history[0], m->history[1] } },
		.agreed = features,
		.offer = features,
		.device_uuid = { m->first },
		.bits = m->marked,
		.diskless = m->diskless,
		.primary = m->primary,
		.discard = m->discard,
	};
}

static int data_of(enum sync_verdict v)
{
	return v == SYNC_SOURCE	       ? MODEL_SOURCE
	       : v == SYNC_SOURCE_FULL ? MODEL_SOURCE | MODEL_FULL
	       : v == SYNC_TARGET      ? MODEL_TARGET
	       : v == SYNC_TARGET_FULL ? MODEL_TARGET | MODEL_FULL
				       : 0;
}

static bool undecided(const struct generation_decision *d)
{
	return d->primary_loses || d->verdict == SYNC_SPLIT_BRAIN || d->verdict == SYNC_UNRELATED || d->verdict == SYNC_UNUSABLE;
}

int model_judge(const struct model_hello *self, const struct model_hello *peer)
{
	struct packet_hello here = hello_of(self), there = hello_of(peer);
	struct settle_side one = { "self", &here, self->first }, two = { "peer", &there, peer->first };
	struct generation_decision data;
	enum settle_verdict verdict = settle("disk", &one, &two, &data, NULL, 0);

	switch (verdict) {
	case SETTLE_KEEP:
		return MODEL_KEEP | data_of(data.verdict);
	case SETTLE_ADOPT:
		return MODEL_ADOPT | data_of(data.verdict);
	case SETTLE_RAISE:
		return MODEL_RAISE | data_of(data.verdict);
	default:
		return undecided(&data) ? 0 : MODEL_CONTRADICTION;
	}
}

/* Of the words that nobody reads here. */
const char *token_name(enum token t)
{
	(void)t;
	return "";
}
