/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generation.c: what holds of every two nodes that meet. All small combinations of generations, of what is
 * known of the disks, and of policies; then every short history of two nodes that write alone, are promoted
 * by force, meet and are interrupted, where the test knows which writes are on which disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "backend/generation.h"
#include "backend/replicate.h"
#include "tests/unit/words.h"

/* ---- what holds of each two ---- */

static bool takes_part_as_source(enum sync_verdict v)
{
	return v == SYNC_SOURCE || v == SYNC_SOURCE_FULL;
}

static bool takes_part_as_target(enum sync_verdict v)
{
	return v == SYNC_TARGET || v == SYNC_TARGET_FULL;
}

static enum sync_verdict mirrored(enum sync_verdict v)
{
	switch (v) {
	case SYNC_SOURCE:
		return SYNC_TARGET;
	case SYNC_TARGET:
		return SYNC_SOURCE;
	case SYNC_SOURCE_FULL:
		return SYNC_TARGET_FULL;
	case SYNC_TARGET_FULL:
		return SYNC_SOURCE_FULL;
	default:
		return v;
	}
}

static bool same_but_for_the_direction(const struct generation_decision *a,
				       const struct generation_decision *b)
{
	return a->verdict == mirrored(b->verdict) && a->rule == b->rule && a->split_brain == b->split_brain &&
	       a->primary_loses == b->primary_loses && a->call_pri_lost == b->call_pri_lost;
}

static bool equal_decisions(const struct generation_decision *a, const struct generation_decision *b)
{
	return a->verdict == b->verdict && a->rule == b->rule && a->split_brain == b->split_brain &&
	       a->primary_loses == b->primary_loses && a->call_pri_lost == b->call_pri_lost;
}

static void print_side(const struct generation_side *s)
{
	print_error("  gen %d %d %d %d flags %#x%s%s%s%s bits %d since %d policy %d %d %d %d\n",
		    (int)s->gen.current, (int)s->gen.bitmap, (int)s->gen.history[0], (int)s->gen.history[1],
		    s->flags, s->diskless ? " diskless" : "", s->primary ? " primary" : "",
		    s->first ? " first" : "", s->discard_my_data ? " discard" : "", (int)s->bits,
		    (int)s->since, (int)s->policy.zero, (int)s->policy.one, (int)s->policy.two,
		    s->policy.always);
}

static void fail_pair(const struct generation_side *a, const struct generation_side *b, const char *what)
{
	char why[1000];
	struct generation_decision d = generation_compare("r0", a, b, why, sizeof(why));

	print_side(a);
	print_side(b);
	fail_msg("%s (rule %u, %s: %s)", what, d.rule, sync_verdict_name(d.verdict), why);
}
#define HOLDS(condition)                             \
	do {                                         \
		if (!(condition))                    \
			fail_pair(a, b, #condition); \
	} while (0)

static struct generation_decision decide(const struct generation_side *a, const struct generation_side *b)
{
	return generation_compare("r0", a, b, NULL, 0);
}

static bool is_new(const struct generation_side *s)
{
	return s->flags & SB_JUST_CREATED || !s->gen.current;
}

static bool descends(const struct generation_side *a, const struct generation_side *b)
{
	uint64_t from = b->gen.current;

	return from && (from == a->gen.bitmap || from == a->gen.history[0] || from == a->gen.history[1]);
}

/* By its numbers alone: it was changed since it had the other's data. */
static bool knows_more(const struct generation_side *a, const struct generation_side *b)
{
	return !is_new(a) && a->gen.current != b->gen.current && descends(a, b) && !descends(b, a);
}

/* Every source is a good one, and no target has what the source lacks unless somebody said so. */
static void check_direction(const struct generation_side *a, const struct generation_side *b,
			    const struct generation_decision *d)
{
	const struct generation_side *source = takes_part_as_source(d->verdict) ? a : b;
	const struct generation_side *target = source == a ? b : a;
	bool said = target->discard_my_data && !source->discard_my_data;

	HOLDS(!source->diskless && !target->diskless);
	HOLDS(source->flags & SB_CONSISTENT);
	HOLDS(said || !(source->flags & SB_OUTDATED));
	HOLDS(said || d->split_brain || !knows_more(target, source));
	HOLDS(d->primary_loses <= target->primary);
	HOLDS(!target->primary || d->primary_loses || source->gen.current == target->gen.current ||
	      (!source->primary && source->gen.bitmap == target->gen.current && source->since <= target->since));
	HOLDS(!d->call_pri_lost || (d->primary_loses && d->split_brain));
}

static void check_none(const struct generation_side *a, const struct generation_side *b)
{
	const struct generation_side *with = a->diskless ? b : a, *without = with == a ? b : a;

	if (!a->diskless && !b->diskless) {
		HOLDS(a->gen.current == b->gen.current || (is_new(a) && is_new(b)));
		return;
	}
	HOLDS(!with->diskless && with->flags & SB_CONSISTENT && !(with->flags & SB_OUTDATED));
	HOLDS(!without->primary || a->gen.current == b->gen.current ||
	      (with->gen.bitmap && with->gen.bitmap == without->gen.current && with->since <= without->since));
}

/* These choices may be any, as long as both nodes make the same one. */
static bool the_first_may_matter(const struct generation_decision *d)
{
	return d->rule == 44 || d->rule == 47 || d->split_brain;
}

static void check(const struct generation_side *a, const struct generation_side *b)
{
	struct generation_decision d = decide(a, b), e = decide(b, a), f = decide(a, b);
	struct generation_side c = *a, g = *b;

	HOLDS(same_but_for_the_direction(&d, &e));
	HOLDS(equal_decisions(&d, &f));
	HOLDS(d.verdict < SYNC_VERDICT_COUNT && d.rule);
	if (takes_part_as_source(d.verdict) || takes_part_as_target(d.verdict))
		check_direction(a, b, &d);
	else
		HOLDS(!d.primary_loses && !d.call_pri_lost);
	if (d.verdict == SYNC_NONE)
		check_none(a, b);
	HOLDS(d.verdict != SYNC_SPLIT_BRAIN || d.split_brain);
	if (!the_first_may_matter(&d)) {
		c.first = b->first;
		g.first = a->first;
		f = decide(&c, &g);
		HOLDS(equal_decisions(&d, &f));
	}
	if (!d.split_brain) {
		memset(&c.policy, 0, sizeof(c.policy));
		f = decide(&c, &g);
		HOLDS(d.rule == f.rule && d.verdict == f.verdict);
	}
}

/* ---- all small combinations ---- */

#define VALUES	    4u /* of a generation: none and three others */
#define GENERATIONS (VALUES * VALUES * VALUES * VALUES)

static struct generations generations(unsigned n)
{
	return (struct generations){ n % VALUES, n / VALUES % VALUES, { n / 16 % VALUES, n / 64 } };
}

/* Everything else but the policy: 4 flags, 3 more, bits 0 or 1, since 1 or 2. */
#define STATES 512u

static void set_state(struct generation_side *s, unsigned n)
{
	s->flags = (n & 1 ? SB_CONSISTENT : 0) | (n & 2 ? SB_CRASHED : 0) | (n & 4 ? SB_OUTDATED : 0) |
		   (n & 8 ? SB_JUST_CREATED : 0);
	s->diskless = n & 16;
	s->primary = n & 32;
	s->discard_my_data = n & 64;
	s->bits = n >> 7 & 1;
	s->since = 1 + (n >> 8);
}

static const struct after_sb least = { AFTER_SB_0PRI_DISCARD_LEAST_CHANGES, AFTER_SB_1PRI_CALL_PRI_LOST,
				       AFTER_SB_2PRI_VIOLENTLY, true };

static void all_generations(void **state)
{
	static const unsigned states[] = { 1, 0, 1 + 32, 1 + 4, 1 + 2 + 128, 1 + 8, 1 + 16, 1 + 16 + 32 };
	struct generation_side a = { .host = "a", .first = true, .policy = least },
			       b = { .host = "b", .policy = least };
	unsigned i, j, k, l;

	(void)state;
	for (i = 0; i < GENERATIONS; i++) {
		for (j = 0; j < GENERATIONS; j++) {
			for (k = 0; k < 64; k++) {
				a.gen = generations(i);
				b.gen = generations(j);
				l = (i + j) &
				    1; /* half of the states for each two, all of them over neighbours */
				if (((k ^ k >> 3) & 1) != l)
					continue;
				set_state(&a, states[k % 8]);
				set_state(&b, states[k / 8]);
				check(&a, &b);
			}
		}
	}
}

/* One pair of generations for each way in which they can relate. */
static const struct generations related[][2] = {
	{ { .current = 1 }, { .current = 1 } },
	{ { .current = 2, .bitmap = 1 }, { .current = 1 } },
	{ { .current = 3, .bitmap = 2, .history = { 1 } }, { .current = 1 } },
	{ { .current = 2, .bitmap = 1 }, { .current = 3, .bitmap = 1 } },
	{ { .current = 2, .bitmap = 4, .history = { 1 } }, { .current = 3, .bitmap = 1 } },
	{ { .current = 2, .bitmap = 1 }, { .current = 3, .bitmap = 4 } },
	{ { .current = 2, .bitmap = 1 }, { .current = 0 } },
};
#define RELATED (sizeof(related) / sizeof(related[0]))

static void all_states_of_disks_and_nodes(void **state)
{
	struct generation_side a = { .host = "a", .policy = least }, b = { .host = "b", .policy = least };
	unsigned r, i, j, first;

	(void)state;
	for (r = 0; r < RELATED; r++) {
		for (i = 0; i < STATES; i++) {
			for (j = 0; j < STATES; j++) {
				first = (i ^ j) & 1;
				a.first = first;
				b.first = !first;
				a.gen = related[r][0];
				b.gen = related[r][1];
				set_state(&a, i);
				set_state(&b, j);
				check(&a, &b);
			}
		}
	}
}

/* ---- the words ---- */

static bool is_decided(const struct generation_decision *d)
{
	return d->verdict != SYNC_SPLIT_BRAIN && d->verdict != SYNC_UNRELATED && d->verdict != SYNC_UNUSABLE;
}

/* A person shuts the guest of `loser` down, and gives its data up. */
static bool given_up(struct generation_side loser, struct generation_side other)
{
	struct generation_decision d;

	loser.primary = other.discard_my_data = false;
	loser.discard_my_data = true;
	d = decide(&loser, &other);
	return is_decided(&d) && !d.primary_loses;
}

/* Where one node is named, it is the one; where none is, a person has the choice, and one choice at least leads out. */
static void check_way_out(const struct generation_side *a, const struct generation_side *b, const char *why)
{
	static const char command[] = "--discard-my-data " LONGEST_RESOURCE "' on ";
	const char *at = strstr(why, command), *host = at ? at + strlen(command) : "";

	if (!at)
		return;
	if (!strcmp(host, a->host))
		HOLDS(given_up(*a, *b));
	else if (!strcmp(host, b->host))
		HOLDS(given_up(*b, *a));
	else
		HOLDS(given_up(*a, *b) || given_up(*b, *a));
}

static void check_words(const struct generation_side *a, const struct generation_side *b)
{
	char why[REPLICATE_TEXT];
	struct generation_decision d = generation_compare(LONGEST_RESOURCE, a, b, why, sizeof(why));

	if (is_decided(&d) && !d.primary_loses)
		return;
	has_way_out("a meeting", why, sizeof(why));
	if (!is_decided(&d))
		check_way_out(a, b, why);
}

static void a_meeting_that_fails_names_a_way_out_that_works(void **state)
{
	struct generation_side a = { .host = LONGEST_HOST_A, .first = true }, b = { .host = LONGEST_HOST_B };
	unsigned r, i, j;

	(void)state;
	for (r = 0; r < RELATED; r++) {
		for (i = 0; i < 128; i++) {
			for (j = 0; j < 128; j++) {
				a.gen = related[r][0];
				b.gen = related[r][1];
				set_state(&a, i);
				set_state(&b, j);
				a.bits = b.bits = 1;
				check_words(&a, &b);
			}
		}
	}
}

#define POLICIES (AFTER_SB_0PRI_COUNT * AFTER_SB_1PRI_COUNT * AFTER_SB_2PRI_COUNT * 2u)

static struct after_sb policy(unsigned n)
{
	return (struct after_sb){ n % AFTER_SB_0PRI_COUNT, n / AFTER_SB_0PRI_COUNT % AFTER_SB_1PRI_COUNT,
				  n / AFTER_SB_0PRI_COUNT / AFTER_SB_1PRI_COUNT % AFTER_SB_2PRI_COUNT,
				  n >= POLICIES / 2 };
}

/* Parted in one step (exact bits) or in more; 0, 1 or 2 Primaries; 9 pairs of bits; 3 of epochs. */
static void set_split_brain(struct generation_side *a, struct generation_side *b, unsigned n)
{
	bool far = n % 2;

	a->gen = related[far ? 4 : 3][0];
	b->gen = related[far ? 4 : 3][1];
	n /= 2;
	a->primary = n & 1;
	b->primary = n & 2;
	n /= 4;
	a->bits = n % 3;
	b->bits = n / 3 % 3;
	n /= 9;
	a->since = 1 + (n == 1);
	b->since = 1 + (n == 2);
}
#define SPLIT_BRAINS (2u * 4 * 9 * 3)

/* What the values of after-sb-1pri and -2pri promise of each other. */
static void check_promises(struct generation_side *a, struct generation_side *b)
{
	struct generation_decision d = decide(a, b), violent;
	unsigned primaries = (unsigned)a->primary + (unsigned)b->primary;

	a->policy.one = b->policy.one = AFTER_SB_1PRI_VIOLENTLY;
	a->policy.two = b->policy.two = AFTER_SB_2PRI_VIOLENTLY;
	violent = decide(a, b);
	if (primaries == 0)
		HOLDS(equal_decisions(&d, &violent));
	HOLDS(!violent.call_pri_lost &&
	      (d.verdict == violent.verdict || d.verdict == SYNC_SPLIT_BRAIN || !d.primary_loses));
}

static void all_policies(void **state)
{
	struct generation_side a = { .host = "a", .first = true, .flags = SB_CONSISTENT, .since = 1 };
	struct generation_side b = { .host = "b", .flags = SB_CONSISTENT, .since = 1 };
	unsigned p, q, n;

	(void)state;
	for (n = 0; n < SPLIT_BRAINS; n++) {
		set_split_brain(&a, &b, n);
		for (p = 0; p < POLICIES; p++) {
			a.policy = b.policy = policy(p);
			check(&a, &b);
			check_promises(&a, &b);
			a.policy = policy(p);
			for (q = p % 3; q < POLICIES; q += 7) {
				b.policy = policy(q);
				check(&a, &b);
			}
		}
	}
}

/* ---- histories ---- */

/*
 * Two nodes with two blocks each. A write goes to one block of one node, alone, and has a number; `seen` are
 * the acknowledged writes that a node's data contains or has overwritten. What the verdict lets be copied
 * must bring the target to the source's content, and must not take away a write that the source has not seen,
 * unless the test gave it up.
 */
#define BLOCKS 2u
struct model_node {
	struct generations gen, partner; /* `partner` as it was when we began to settle as source */
	bool consistent, alone, settling;
	unsigned marked; /* bit for each block */
	unsigned data[BLOCKS];
	uint32_t seen;
};
struct model {
	struct model_node node[2];
	uint64_t generation; /* the last one that was used */
	unsigned writes;
	uint64_t fulls, splits;
	char trail[16]; /* the events so far, for a failure */
};

static void fail_history(const struct model *m, const struct generation_side *a,
			 const struct generation_side *b, const char *what)
{
	print_error("history %s\n", m->trail);
	fail_pair(a, b, what);
}
#define HISTORY_HOLDS(condition)                             \
	do {                                                 \
		if (!(condition))                            \
			fail_history(m, &a, &b, #condition); \
	} while (0)

static void model_write(struct model *m, int who)
{
	struct model_node *n = &m->node[who];
	unsigned block = m->writes++ % BLOCKS;

	if (!n->consistent)
		return;
	if (!n->alone)
		generation_alone(&n->gen, ++m->generation, n->settling ? &n->partner : NULL);
	n->alone = true;
	n->settling = false;
	n->data[block] = m->writes;
	n->seen |= 1u << m->writes;
	n->marked |= 1u << block;
}

static void model_force(struct model *m, int who)
{
	struct model_node *n = &m->node[who];

	if (!n->consistent)
		return;
	generation_alone(&n->gen, ++m->generation, n->settling ? &n->partner : NULL);
	n->settling = false;
	n->alone = true;
}

/* It dies and comes back: what is in memory only is forgotten. */
static void model_restart(struct model *m, int who)
{
	m->node[who].alone = m->node[who].settling = false;
}

static struct generation_side model_side(const struct model *m, int who)
{
	const struct model_node *n = &m->node[who];

	return (struct generation_side){ .host = who ? "b" : "a",
					 .first = !who,
					 .gen = n->gen,
					 .flags = n->consistent ? SB_CONSISTENT : 0,
					 .bits = (uint64_t)__builtin_popcount(n->marked) };
}

static void copy_blocks(struct model_node *target, const struct model_node *source, unsigned blocks)
{
	unsigned i;

	for (i = 0; i < BLOCKS; i++)
		if (blocks & 1u << i)
			target->data[i] = source->data[i];
}

/* How far a meeting gets. */
enum reach { LOST_AT_ONCE, TARGET_DURABLE, HALF_COPIED, FINISHED };

static void model_resync(struct model_node *source, struct model_node *target, bool full, enum reach reach)
{
	unsigned marked = full ? (1u << BLOCKS) - 1 : source->marked | target->marked;

	source->settling = reach < HALF_COPIED;
	source->partner = target->gen;
	if (reach == LOST_AT_ONCE)
		return;
	if (full)
		target->marked = marked;
	generation_become_target(&target->gen, &source->gen);
	target->consistent = false;
	target->seen = source->seen;
	target->alone = source->alone = target->settling = false;
	if (reach == TARGET_DURABLE)
		return;
	generation_met(&source->gen);
	copy_blocks(target, source, reach == FINISHED ? marked : marked & 1);
	source->marked = target->marked = reach == FINISHED ? 0 : marked & ~1u;
	if (reach != FINISHED)
		return;
	target->consistent = true;
}

static void model_meet(struct model *m, enum reach reach)
{
	struct generation_side a = model_side(m, 0), b = model_side(m, 1);
	enum sync_verdict v = decide(&a, &b).verdict;
	struct model_node *source = &m->node[0], *target = &m->node[1];
	bool given_up = v == SYNC_SPLIT_BRAIN, full;

	if (given_up) {
		a.discard_my_data = b.flags & SB_CONSISTENT;
		b.discard_my_data = !a.discard_my_data;
		v = decide(&a, &b).verdict;
		m->splits++;
	}
	HISTORY_HOLDS(v == SYNC_NONE || takes_part_as_source(v) || takes_part_as_target(v));
	if (v == SYNC_NONE) {
		HISTORY_HOLDS(!memcmp(source->data, target->data, sizeof(source->data)));
		HISTORY_HOLDS(source->seen == target->seen);
		return;
	}
	if (takes_part_as_target(v)) {
		source = &m->node[1];
		target = &m->node[0];
	}
	HISTORY_HOLDS(given_up || !(target->seen & ~source->seen));
	full = v == SYNC_SOURCE_FULL || v == SYNC_TARGET_FULL;
	m->fulls += full;
	/* only what got lost before the target wrote anything, or was forgotten by a restart, costs a full
	 * resync */
	HISTORY_HOLDS(!full || strpbrk(m->trail, "0RS"));
	model_resync(source, target, full, reach);
	HISTORY_HOLDS(reach != FINISHED || !memcmp(source->data, target->data, sizeof(source->data)));
}

#define EVENTS 10

/* A, B write alone; F, G are promoted by force; R, S restart; 0 to 3: they meet and get so far. */
static void model_event(struct model *m, int event)
{
	m->trail[strlen(m->trail)] = "ABFGRS0123"[event];
	if (event < 2)
		model_write(m, event);
	else if (event < 4)
		model_force(m, event - 2);
	else if (event < 6)
		model_restart(m, event - 4);
	else
		model_meet(m, (enum reach)(event - 6));
}

static void every_history(const struct model *before, int depth, uint64_t *fulls, uint64_t *splits)
{
	struct model m;
	int event;

	for (event = 0; event < EVENTS; event++) {
		m = *before;
		model_event(&m, event);
		if (depth) {
			every_history(&m, depth - 1, fulls, splits);
			continue;
		}
		*fulls += m.fulls;
		*splits += m.splits;
	}
}

static void no_history_loses_a_write_that_nobody_gave_up(void **state)
{
	struct model m = { .node = { { .gen = { .current = 1 }, .consistent = true },
				     { .gen = { .current = 1 }, .consistent = true } },
			   .generation = 1 };
	uint64_t fulls = 0, splits = 0;

	(void)state;
	every_history(&m, 6, &fulls, &splits);
	assert_true(fulls && splits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_generations),
		cmocka_unit_test(all_states_of_disks_and_nodes),
		cmocka_unit_test(a_meeting_that_fails_names_a_way_out_that_works),
		cmocka_unit_test(all_policies),
		cmocka_unit_test(no_history_loses_a_write_that_nobody_gave_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
