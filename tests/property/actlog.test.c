/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actlog.test.c: random writers on activity logs of every size, against a naive model of the rules in
 * actlog.h; and each transaction of their history torn at each sector.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/actlog.h"
#include "tests/property/random.h"

#define EXTENT	64u /* sectors */
#define AREA	(ACTLOG_BLOCKS * ACTLOG_BLOCK)
#define SECTOR	512u
#define SECTORS (ACTLOG_BLOCK / SECTOR)
#define WRITERS 64
#define CONTEXT 920u /* slots of a transaction's context */
#define EXTENTS 12000u

/* ---- the model: an array of extents, searched from end to end ---- */

struct extent {
	bool in, coming, leaving, pinned, was; /* was: on disk, before the log was begun anew */
	uint32_t references;
	uint64_t idle_since; /* a clock that ticks with each use */
};

struct range {
	uint32_t first, last;
};

static struct {
	uint32_t slots, extents;
	struct extent *extent; /* [extents] */
	struct range noted[2 * WRITERS];
	uint32_t notes;
	/* extents pinned by the transaction under way, in order */
	uint32_t pinned[EXTENTS], pins;
	bool starving, prepared, anew;
	uint64_t clock;
	/* What the log is to begin with: warm[i] is meant for slot i. From `left` on all slots are filled or taken by writes; before
	 * `done` a transaction has passed. `spare`: free slots that nothing is meant for. */
	uint32_t warm[ACTLOG_EXTENTS_MAX], warm_total, left, done, spare, context;
} model;

static bool model_idle(const struct extent *e)
{
	return e->in && !e->leaving && !e->references && !e->pinned;
}

static void model_note(struct range r)
{
	for (uint32_t i = 0; i < model.notes; i++)
		if (!memcmp(&model.noted[i], &r, sizeof(r)))
			return;
	model.noted[model.notes++] = r;
}

static void model_forget(uint32_t i)
{
	memmove(&model.noted[i], &model.noted[i + 1], (--model.notes - i) * sizeof(model.noted[0]));
}

static bool model_begin(struct range r)
{
	bool all = !model.starving;

	for (uint32_t i = r.first; i <= r.last; i++)
		all = all && model.extent[i].in && !model.extent[i].leaving;
	if (!all) {
		model_note(r);
		return false;
	}
	for (uint32_t i = r.first; i <= r.last; i++)
		model.extent[i].references++;
	for (uint32_t i = 0; i < model.notes; i++)
		if (!memcmp(&model.noted[i], &r, sizeof(r)))
			model_forget(i);
	return true;
}

static void model_end(struct range r)
{
	for (uint32_t i = r.first; i <= r.last; i++)
		if (!--model.extent[i].references && !model.extent[i].pinned)
			model.extent[i].idle_since = ++model.clock;
}

static void model_pin(uint32_t i)
{
	if (model.extent[i].pinned)
		return;
	model.extent[i].pinned = true;
	model.pinned[model.pins++] = i;
}

static void model_unpin(void)
{
	for (uint32_t i = 0; i < model.pins; i++) {
		model.extent[model.pinned[i]].pinned = false;
		if (!model.extent[model.pinned[i]].references)
			model.extent[model.pinned[i]].idle_since = ++model.clock;
	}
	model.pins = 0;
}

/* Free slots, and the extent that was idle longest. */
static uint32_t model_room(uint32_t *oldest)
{
	uint32_t taken = 0, idle = 0;

	*oldest = ACTLOG_FREE;
	for (uint32_t i = 0; i < model.extents; i++) {
		const struct extent *e = &model.extent[i];

		taken += e->coming || (e->in && !e->leaving);
		if (!model_idle(e))
			continue;
		idle++;
		if (*oldest == ACTLOG_FREE || e->idle_since < model.extent[*oldest].idle_since)
			*oldest = i;
	}
	return taken == model.slots ? 0 : model.slots - taken;
}

/* A write takes a free slot: the one meant for what is used least, if there is no other. */
static void model_take_free(void)
{
	if (model.spare)
		model.spare--;
	else
		model.left--;
	assert_true(model.left >= model.done);
}

/* The slots of the next transaction's context that something is meant for. */
static uint32_t model_fill(void)
{
	uint32_t end = model.context + CONTEXT, filled = 0;

	for (; model.done < model.left && model.done < end; model.done++) {
		struct extent *e = &model.extent[model.warm[model.done]];

		if (e->coming || (e->in && !e->leaving)) {
			model.spare++;
			continue;
		}
		e->coming = true;
		e->idle_since = model.clock - model.done; /* less recent than what writes have used since */
		filled++;
	}
	return filled;
}

static uint32_t model_count_idle(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < model.extents; i++)
		n += model_idle(&model.extent[i]);
	return n;
}

static bool model_prepare(void)
{
	uint32_t updates = 0, missing, kept, oldest, room;
	struct range r;

	while (model.notes) {
		r = model.noted[0];
		missing = kept = 0;
		for (uint32_t i = r.first; i <= r.last; i++) {
			const struct extent *e = &model.extent[i];

			missing += !e->coming && (!e->in || e->leaving);
			kept += model_idle(e);
		}
		room = model_room(&oldest) + model_count_idle();
		if (updates + missing > ACTLOG_UPDATES || missing + kept > room)
			break;
		for (uint32_t i = r.first; i <= r.last; i++)
			if (model.extent[i].coming || (model.extent[i].in && !model.extent[i].leaving))
				model_pin(i);
		for (uint32_t i = r.first; i <= r.last; i++) {
			if (model.extent[i].coming || (model.extent[i].in && !model.extent[i].leaving))
				continue;
			if (!model_room(&oldest))
				model.extent[oldest].leaving = true;
			else
				model_take_free();
			model.extent[i].coming = true;
			model_pin(i);
			updates++;
		}
		model_forget(0);
		if (!updates)
			model_unpin();
	}
	model.starving = model.notes && !updates;
	updates += model_fill();
	return model.prepared = updates;
}

static void model_written(void)
{
	for (uint32_t i = 0; i < model.extents; i++) {
		struct extent *e = &model.extent[i];

		e->in = (e->in && !e->leaving) || e->coming;
		e->leaving = e->coming = false;
	}
	model_unpin();
	model.prepared = model.anew = false;
	model.context = model.slots - model.context > CONTEXT ? model.context + CONTEXT : 0;
}

/* ---- the disk ---- */

static struct actlog *al;
static uint8_t area[AREA];

enum reading { BEFORE = 1, AFTER = 2, REFUSED = 4 };

/* Does the log hold what the model has on disk before (after) the transaction that is under way? */
static bool holds(const struct actlog *read, bool after)
{
	uint32_t n = 0, extent;
	const struct extent *e;

	for (uint32_t i = 0; i < model.extents; i++) {
		e = &model.extent[i];
		n += after ? (e->in && !e->leaving) || e->coming : model.anew ? e->was : e->in;
	}
	if (actlog_used(read) != n)
		return false;
	for (uint32_t i = 0; i < model.slots; i++) {
		extent = actlog_extent(read, i);
		if (extent == ACTLOG_FREE)
			continue;
		e = &model.extent[extent];
		if (!(after ? (e->in && !e->leaving) || e->coming : model.anew ? e->was : e->in))
			return false;
	}
	return true;
}

/* What is read from the area. Fails if it is neither state. */
static enum reading read_area(void)
{
	struct actlog *read;
	char why[200] = "";
	enum reading r = REFUSED;

	assert_int_equal(actlog_new(model.slots, (uint64_t)model.extents * EXTENT, EXTENT, &read), 0);
	if (!actlog_load(read, area, why, sizeof(why)))
		r = (holds(read, false) ? BEFORE : 0) | (holds(read, true) ? AFTER : 0); /* a log begun anew may be the old one again */
	else
		assert_true(why[0] != '\0');
	actlog_free(read);
	if (!r)
		fail_msg("a state was read that never was");
	return r;
}

/* The block under the pen, its sectors old (0), new (1) or garbage (2), by the digits of `how` to base 3. */
static void tear(uint8_t *at, const uint8_t *old, const uint8_t *new, uint32_t how)
{
	uint64_t garbage;

	for (uint32_t i = 0; i < SECTORS; i++, how /= 3) {
		if (how % 3 < 2)
			memcpy(at + i * SECTOR, (how % 3 ? new : old) + i * SECTOR, SECTOR);
		else
			for (uint32_t j = 0; j < SECTOR; j += sizeof(garbage)) {
				garbage = random_word();
				memcpy(at + i * SECTOR + j, &garbage, sizeof(garbage));
			}
	}
}

/* Every prefix, whole sectors first to last, with the old or garbage behind; with `all`, every mix. */
static void tear_everywhere(uint8_t *at, const uint8_t *old, const uint8_t *new, bool all)
{
	static const uint32_t mixes = 6561; /* 3^SECTORS */
	uint32_t prefix = 0, power = 1;

	tear(at, old, new, 0);
	assert_true(read_area() & BEFORE);
	tear(at, old, new, (mixes - 1) / 2);
	assert_true(read_area() & AFTER);
	for (uint32_t i = 0; i < SECTORS; i++, prefix += power, power *= 3) {
		tear(at, old, new, prefix);
		assert_int_not_equal(read_area(), REFUSED);
		tear(at, old, new, prefix + 2 * power);
		assert_true(read_area() & BEFORE);
	}
	for (uint32_t how = 0; all && how < mixes; how++) {
		tear(at, old, new, how);
		assert_int_not_equal(read_area(), REFUSED);
	}
}

/* Any other block is damaged, while this one is torn or was not begun: the state, or words. */
static void damage_another(uint32_t place, uint8_t *at, const uint8_t *old, const uint8_t *new)
{
	uint32_t newest = (place + ACTLOG_BLOCKS - 1) % ACTLOG_BLOCKS;

	for (uint32_t other = 0; other < ACTLOG_BLOCKS; other++) {
		uint8_t *bit = area + other * ACTLOG_BLOCK + pick(ACTLOG_BLOCK);

		if (other == place)
			continue;
		*bit ^= 1;
		tear(at, old, new, 2);
		/* the newest and the next one gone: whatever is read would lack what was announced */
		assert_true(read_area() == REFUSED || other != newest);
		if (other != newest) {
			memcpy(at, old, ACTLOG_BLOCK);
			assert_int_not_equal(read_area(), AFTER);
		}
		memcpy(at, new, ACTLOG_BLOCK);
		assert_int_not_equal(read_area(), BEFORE);
		*bit ^= 1;
	}
}

static void write_transaction(bool all)
{
	uint8_t old[ACTLOG_BLOCK], new[ACTLOG_BLOCK], *at;
	uint32_t place = actlog_transaction(al, new);

	at = area + place * ACTLOG_BLOCK;
	memcpy(old, at, sizeof(old));
	tear_everywhere(at, old, new, all);
	damage_another(place, at, old, new);
	memcpy(at, new, sizeof(new));
}

/* ---- the writers ---- */

static struct writer {
	enum { IDLE, WAITS, RUNS } state;
	uint64_t sector, asked; /* `asked`: for the order in which they ask again */
	uint32_t sectors;
} writers[WRITERS];

static uint64_t asks;

static struct range range_of(const struct writer *w)
{
	return (struct range){ (uint32_t)(w->sector / EXTENT),
			       (uint32_t)((w->sector + w->sectors - 1) / EXTENT) };
}

static void ask(struct writer *w)
{
	bool begun = actlog_begin(al, w->sector, w->sectors);

	assert_int_equal(begun, model_begin(range_of(w)));
	w->state = begun ? RUNS : WAITS;
}

static void ask_new(struct writer *w)
{
	uint32_t slots = model.slots < ACTLOG_UPDATES ? model.slots : ACTLOG_UPDATES;
	uint32_t most = (slots - 1) * EXTENT + 1 < 2048 ? (slots - 1) * EXTENT + 1 : 2048;
	uint64_t disk = (uint64_t)model.extents * EXTENT;

	w->sectors = 1 + pick(one_in(2) ? most : EXTENT);
	w->sector = random_word() % (disk - w->sectors + 1);
	if (one_in(2)) /* a hot corner */
		w->sector %= 8 * EXTENT;
	if (w->sector + w->sectors > disk)
		w->sector = disk - w->sectors;
	w->asked = ++asks;
	ask(w);
}

static void finish(struct writer *w)
{
	actlog_end(al, w->sector, w->sectors);
	model_end(range_of(w));
	w->state = IDLE;
}

/* All that wait, the oldest first. */
static void ask_again(void)
{
	struct writer *next;
	uint64_t after = 0;

	do {
		next = NULL;
		for (struct writer *w = writers; w < writers + WRITERS; w++)
			if (w->state == WAITS && w->asked > after && (!next || w->asked < next->asked))
				next = w;
		if (next) {
			after = next->asked;
			ask(next);
		}
	} while (next);
}

static void prepare(void)
{
	uint32_t victims = 0;

	if (model.prepared) {
		assert_false(actlog_prepare(al, &victims));
		return;
	}
	assert_int_equal(actlog_prepare(al, &victims), model_prepare());
	assert_int_equal(actlog_prepared(al), model.prepared);
	for (uint32_t i = 0; i < victims; i++)
		assert_true(model.extent[actlog_victim(al, i)].leaving);
	for (uint32_t i = 0; i < model.extents; i++)
		victims -= model.extent[i].leaving;
	assert_int_equal(victims, 0);
}

static void announce(bool all)
{
	write_transaction(all);
	actlog_written(al);
	model_written();
	ask_again();
}

static bool somebody(int state)
{
	for (uint32_t i = 0; i < WRITERS; i++)
		if ((int)writers[i].state == state)
			return true;
	return false;
}

/* No new writes: those that wait must all get through, in a transaction each at most. */
static void drain(void)
{
	uint32_t rounds = 0;

	while (somebody(WAITS) || somebody(RUNS)) {
		assert_true(rounds++ <= 2 * WRITERS);
		for (uint32_t i = 0; i < WRITERS; i++)
			if (writers[i].state == RUNS)
				finish(&writers[i]);
		prepare();
		if (model.prepared)
			announce(false);
	}
}

/* What is on disk counts again. */
static void model_restart(void)
{
	for (uint32_t i = 0; model.anew && i < model.extents; i++)
		model.extent[i].in = model.extent[i].was;
	model.anew = false;
	model.notes = model.left = model.done = 0;
	model.starving = false;
	model.spare = model.slots;
	for (uint32_t i = 0; i < model.extents; i++)
		model.spare -= model.extent[i].in;
}

/* The log as another daemon reads it: the same extents, nothing referenced, no order of use. */
static void restart(void)
{
	struct actlog *read;
	bool anew = model.anew;

	model_restart();
	assert_int_equal(actlog_new(model.slots, (uint64_t)model.extents * EXTENT, EXTENT, &read), 0);
	assert_int_equal(actlog_load(read, area, NULL, 0), 0);
	for (uint32_t i = 0; i < model.slots; i++) {
		assert_true(anew || actlog_extent(read, i) == actlog_extent(al, i));
		if (actlog_extent(read, i) != ACTLOG_FREE)
			model.extent[actlog_extent(read, i)].idle_since = ++model.clock;
	}
	actlog_free(al);
	al = read;
}

/* A guest arrives with what it was writing to, some of it named twice, perhaps more than there are slots. */
static void warm(void)
{
	uint32_t extents[ACTLOG_EXTENTS_MAX + 5], n = pick(model.slots + 5);

	for (uint32_t i = 0; i < n; i++)
		extents[i] = pick(one_in(20) ? 10 : model.extents);
	assert_int_equal(actlog_warm(al, extents, n), 0);
	for (uint32_t i = 0; i < model.extents; i++) {
		struct extent *e = &model.extent[i];

		if (!model.anew)
			e->was = e->in;
		e->in = false;
	}
	model.anew = true;
	model.notes = model.done = model.context = 0;
	model.starving = false;
	model.left = model.warm_total = n < model.slots ? n : model.slots;
	model.spare = model.slots - model.left;
	model.clock += model.left;
	memcpy(model.warm, extents, model.left * sizeof(extents[0]));
}

/* Without writes in between: all of it is in the log, in as few transactions as describe its slots. */
static void warm_alone(void)
{
	uint32_t transactions = 0;

	warm();
	for (prepare(); model.prepared; prepare(), transactions++)
		announce(false);
	assert_true(transactions <= (model.warm_total + CONTEXT - 1) / CONTEXT);
	for (uint32_t i = 0; i < model.warm_total; i++)
		assert_true(model.extent[model.warm[i]].in);
}

static void history(uint32_t slots, uint32_t steps, uint32_t exhausted)
{
	memset(&model, 0, sizeof(model));
	memset(writers, 0, sizeof(writers));
	model.slots = model.spare = slots;
	model.extents = slots + 10 + pick(slots);
	model.extent = calloc(model.extents, sizeof(*model.extent));
	assert_int_equal(actlog_new(slots, (uint64_t)model.extents * EXTENT, EXTENT, &al), 0);
	actlog_format(area);
	while (steps--) {
		struct writer *w = &writers[pick(WRITERS)];

		if (w->state == IDLE)
			ask_new(w);
		else if (w->state == RUNS && one_in(2))
			finish(w);
		if (one_in(4))
			prepare();
		if (model.prepared && one_in(4)) {
			announce(exhausted > 0);
			exhausted -= exhausted > 0;
		}
		if (one_in(50)) {
			if (model.prepared)
				announce(false);
			drain();
			if (one_in(2))
				one_in(3) ? warm_alone() : warm();
			if (one_in(4))
				restart();
			if (one_in(2))
				prepare();
		}
	}
	if (model.prepared)
		announce(false);
	drain();
	actlog_free(al);
	free(model.extent);
}

static void small_logs_follow_the_model(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 6; i++)
		history(ACTLOG_EXTENTS_MIN + pick(4), 1500, i == 0 ? 2 : 0);
	history(33 + pick(40), 1500, 1);
}

static void logs_of_several_contexts_follow_the_model(void **state)
{
	static const uint32_t edges[] = { 919, 920, 921, 1237, 1840, 1841, 4600, 4601, ACTLOG_EXTENTS_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		history(edges[i], 250, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_logs_follow_the_model),
		cmocka_unit_test(logs_of_several_contexts_follow_the_model),
	};

	random_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
