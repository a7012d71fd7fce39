/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generation.c: the decision when two nodes meet, in four steps.
 *
 *   1. rules[], in order: what the generations, and for equal ones the flags and bits, say      [find_rule]
 *   2. a split brain: the user's word, else the policies                                          [resolve]
 *   3. may the source be one?                                                                  [check_source]
 *   4. a side without a disk copies nothing                                                     [check_disks]
 *
 * All of it sees the two nodes as first and second, never as self and peer: both nodes compute the same, and
 * only the last line turns it into "source" here and "target" there.
 *
 * The rules err on one side: where DRBD would let a worse disk win because the better one cannot be used
 * (inconsistent, or told that it is outdated), nobody wins without a person, for acknowledged writes would be
 * lost without a word.
 */
#include "backend/generation.h"

#include <stdarg.h>
#include <stdio.h>

typedef const struct generation_side side;

/* What rules[] can answer about two sides a and b. */
enum relation {
	SAME,
	A_NEWER,      /* the marked blocks are the difference */
	A_NEWER_FULL, /* nobody knows the difference */
	SPLIT,	      /* both have what the other lacks; the marked blocks of both are the difference */
	SPLIT_FULL,
	UNRELATED,
	UNUSABLE
};

struct outcome {
	const char *resource;
	side *first, *second;
	side *a, *b; /* as the rule saw them */
	enum relation relation;
	side *source; /* NULL: none */
	bool full;
	bool by_user; /* discard_my_data decided */
	const char *by_policy, *undecided;
	struct generation_decision decision;
	char *why;
	size_t room;
};

/* ---- what is asked of a side, or of two ---- */

static bool created(side *s)
{
	return s->flags & SB_JUST_CREATED || !s->gen.current;
}

static bool consistent(side *s)
{
	return !s->diskless && s->flags & SB_CONSISTENT;
}

static bool outdated(side *s)
{
	return s->flags & SB_OUTDATED;
}

static bool crashed(side *s)
{
	return s->flags & SB_CRASHED;
}

static bool in_history(uint64_t generation, side *s)
{
	return generation && (generation == s->gen.history[0] || generation == s->gen.history[1]);
}

static bool equal(side *a, side *b)
{
	return a->gen.current == b->gen.current;
}

/* ---- the rules ---- */

static bool both_new_one_declared(side *a, side *b)
{
	return created(a) && created(b) && consistent(a) && !consistent(b);
}

static bool both_new(side *a, side *b)
{
	return created(a) && created(b);
}

static bool one_new(side *a, side *b)
{
	return !created(a) && created(b);
}

static bool equal_one_whole(side *a, side *b)
{
	return equal(a, b) && consistent(a) && !consistent(b);
}

static bool equal_none_whole(side *a, side *b)
{
	return equal(a, b) && !consistent(a) && !consistent(b);
}

static bool equal_one_outdated(side *a, side *b)
{
	return equal(a, b) && !outdated(a) && outdated(b);
}

static bool equal_both_outdated(side *a, side *b)
{
	return equal(a, b) && outdated(a) && outdated(b);
}

static bool equal_nothing_marked(side *a, side *b)
{
	return equal(a, b) && !crashed(a) && !crashed(b) && !a->bits && !b->bits;
}

static bool equal_both_primary(side *a, side *b)
{
	return equal(a, b) && a->primary && b->primary;
}

static bool equal_one_primary(side *a, side *b)
{
	return equal(a, b) && a->primary && !b->primary;
}

static bool equal_one_crashed(side *a, side *b)
{
	return equal(a, b) && crashed(a) && !crashed(b);
}

static bool equal_both_crashed(side *a, side *b)
{
	return equal(a, b) && crashed(a) && crashed(b) && a->first;
}

static bool equal_primary_later(side *a, side *b)
{
	return equal(a, b) && a->since > b->since;
}

static bool equal_more_marked(side *a, side *b)
{
	return equal(a, b) && a->bits > b->bits;
}

static bool equal_first(side *a, side *b)
{
	return equal(a, b) && a->first;
}

static bool parted_from(side *a, side *b)
{
	return a->gen.bitmap == b->gen.current;
}

static bool descends_from(side *a, side *b)
{
	return in_history(b->gen.current, a);
}

static bool parted_at_the_same(side *a, side *b)
{
	return a->gen.bitmap && a->gen.bitmap == b->gen.bitmap;
}

static bool one_ancestor(side *a, side *b)
{
	return in_history(a->gen.bitmap, b) || in_history(a->gen.history[0], b) ||
	       in_history(a->gen.history[1], b);
}

static bool always(side *a, side *b)
{
	(void)a;
	(void)b;
	return true;
}

/*
 * The first row that holds counts; each is tried with (a, b) = (first, second) and (second, first). A row
 * about a newer side that holds both ways is metadata that contradicts itself, and decides nothing. Rows that
 * carry a number of DRBD's table (drbd_uuid_compare) are its rules; docs/PROTOCOL.md, section 7, has the same
 * table (a test compares the numbers).
 *
 * 42-44: a Primary that died has writes that only one disk may have. None of them was acknowledged unless
 * both have it, so either content is right, but the two must be alike. Who runs a guest now has shown that
 * guest its own content: it is the source.  Else the one that died, for its disk has all that it acknowledged
 * and all that its guest had read.
 *
 * 42, 45-47, blocks marked and nothing else (a Primary that lost its partner and ended before it acknowledged
 * a write alone; what verify found): DRBD logs "N bits in bitmap" and drops them. They say that the disks may
 * differ, so they are resynced. Here, too, any content is right for which nothing acknowledged is lost, and
 * what a guest may have read must stay: the Primary's, else of who was Primary last. If both never were, or
 * it is the same epoch, the node with more marks is the one that saw writes go unanswered; the first is
 * merely the same choice on both.
 */
/* clang-format off */
static const struct rule {
	unsigned int number;
	bool (*holds)(side *a, side *b);
	enum relation result;
	const char *found; /* in words, of the hosts of a and b */
} rules[] = {
	{  10, both_new_one_declared, A_NEWER_FULL, "both are new; %s was declared consistent, %s was not" },
	{  11, both_new,              SAME,         "the metadata on %s and on %s is new" },
	{  20, one_new,               A_NEWER_FULL, "%s has data, the metadata on %s is new" },
	/* one generation */
	{  30, equal_one_whole,       A_NEWER,      "%s has every block of its data, %s lacks some" },
	{  31, equal_none_whole,      UNUSABLE,     "neither %s nor %s has a disk with every block of its data" },
	{  32, equal_one_outdated,    A_NEWER,      "the data on %s is current, that on %s is marked outdated" },
	{  33, equal_both_outdated,   UNUSABLE,     "the data on %s and that on %s are both marked outdated" },
	{  40, equal_nothing_marked,  SAME,         "%s and %s have the same data" },
	{  41, equal_both_primary,    SPLIT,        "%s and %s are both Primary, and blocks may differ" },
	{  42, equal_one_primary,     A_NEWER,      "%s is Primary, and blocks on %s may differ" },
	{  43, equal_one_crashed,     A_NEWER,      "%s died as Primary; its last writes may not be on %s" },
	{  44, equal_both_crashed,    A_NEWER,      "%s and %s both died as Primary; their last writes may differ" },
	{  45, equal_primary_later,   A_NEWER,      "blocks may differ, and %s was Primary later than %s" },
	{  46, equal_more_marked,     A_NEWER,      "blocks may differ, and %s has marked more of them than %s" },
	{  47, equal_first,           A_NEWER,      "blocks on %s and %s may differ" },
	/* two generations */
	{  50, parted_from,           A_NEWER,      "the data on %s was changed since it parted from %s" },
	{  60, descends_from,         A_NEWER_FULL, "the data on %s and on %s parted too long ago" },
	{  90, parted_at_the_same,    SPLIT,        "the data was changed on %s and on %s since they parted" },
	{ 100, one_ancestor,          SPLIT_FULL,   "the data was changed on %s and %s, more than once" },
	{ 110, always,                UNRELATED,    "the data on %s and on %s have no known generation in common" },
};
/* clang-format on */

static bool directed(enum relation r)
{
	return r == A_NEWER || r == A_NEWER_FULL;
}

static void found(struct outcome *o, const struct rule *rule, side *a, side *b)
{
	o->a = a;
	o->b = b;
	o->relation = rule->result;
	o->decision.rule = rule->number;
	o->source = directed(rule->result) ? a : NULL;
	o->full = rule->result == A_NEWER_FULL || rule->result == SPLIT_FULL;
}

static const struct rule *find_rule(struct outcome *o)
{
	const struct rule *rule;

	for (rule = rules;; rule++) {
		bool here = rule->holds(o->first, o->second), there = rule->holds(o->second, o->first);

		if (here == there && (!here || directed(rule->result)))
			continue;
		if (here)
			found(o, rule, o->first, o->second);
		else
			found(o, rule, o->second, o->first);
		return rule;
	}
}

/* ---- a split brain ---- */

static side *other(const struct outcome *o, side *s)
{
	return s == o->first ? o->second : o->first;
}

/* Whose data the user throws away. Both have said so: that is no answer. */
static side *given_up(const struct outcome *o)
{
	if (o->first->discard_my_data == o->second->discard_my_data)
		return NULL;
	return o->first->discard_my_data ? o->first : o->second;
}

static side *fewer_changes(const struct outcome *o)
{
	return o->first->bits < o->second->bits ? o->first : o->second;
}

static side *without_changes(const struct outcome *o)
{
	return o->first->bits && o->second->bits ? NULL : fewer_changes(o);
}

/* Became Primary later, or NULL. */
static side *younger(const struct outcome *o)
{
	if (o->first->since == o->second->since)
		return NULL;
	return o->first->since > o->second->since ? o->first : o->second;
}

/* Who loses by after-sb-0pri; NULL: nobody. Who became Primary in the same epoch is compared by changes, as
 * in DRBD. */
static side *loser_0pri(const struct outcome *o)
{
	side *late = younger(o);

	switch (o->first->policy.zero) {
	case AFTER_SB_0PRI_DISCARD_YOUNGER_PRIMARY:
		return late ? late : fewer_changes(o);
	case AFTER_SB_0PRI_DISCARD_OLDER_PRIMARY:
		return late ? other(o, late) : fewer_changes(o);
	case AFTER_SB_0PRI_DISCARD_ZERO_CHANGES:
		return without_changes(o);
	case AFTER_SB_0PRI_DISCARD_LEAST_CHANGES:
		return fewer_changes(o);
	case AFTER_SB_0PRI_DISCARD_FIRST:
		return o->first;
	case AFTER_SB_0PRI_DISCARD_SECOND:
		return o->second;
	case AFTER_SB_0PRI_DISCONNECT:
	case AFTER_SB_0PRI_COUNT:
		break;
	}
	return NULL;
}

/* after-sb-1pri and -2pri mostly ask after-sb-0pri, which then has to be the same on both nodes, too. */
static side *ask_0pri(struct outcome *o)
{
	side *loser = NULL;

	if (o->first->policy.zero != o->second->policy.zero)
		o->undecided = "after-sb-0pri is not the same on both nodes";
	else if (!(loser = loser_0pri(o)))
		o->undecided = "after-sb-0pri does not decide it";
	return loser;
}

static side *loser_1pri(struct outcome *o)
{
	side *secondary = o->first->primary ? o->second : o->first, *loser;

	o->by_policy = "after-sb-1pri";
	if (o->first->policy.one != o->second->policy.one) {
		o->undecided = "after-sb-1pri is not the same on both nodes";
		return NULL;
	}
	switch (o->first->policy.one) {
	case AFTER_SB_1PRI_DISCARD_SECONDARY:
		return secondary;
	case AFTER_SB_1PRI_CONSENSUS:
		loser = ask_0pri(o);
		if (loser && loser->primary)
			o->undecided =
				"after-sb-1pri consensus: after-sb-0pri would discard the Primary's data";
		return loser == secondary ? loser : NULL;
	case AFTER_SB_1PRI_CALL_PRI_LOST:
		o->decision.call_pri_lost = true;
		return ask_0pri(o);
	case AFTER_SB_1PRI_VIOLENTLY:
		return ask_0pri(o);
	case AFTER_SB_1PRI_DISCONNECT:
	case AFTER_SB_1PRI_COUNT:
		break;
	}
	o->undecided = "after-sb-1pri is disconnect";
	return NULL;
}

static side *loser_2pri(struct outcome *o)
{
	o->by_policy = "after-sb-2pri";
	if (o->first->policy.two != o->second->policy.two) {
		o->undecided = "after-sb-2pri is not the same on both nodes";
		return NULL;
	}
	switch (o->first->policy.two) {
	case AFTER_SB_2PRI_CALL_PRI_LOST:
		o->decision.call_pri_lost = true;
		return ask_0pri(o);
	case AFTER_SB_2PRI_VIOLENTLY:
		return ask_0pri(o);
	case AFTER_SB_2PRI_DISCONNECT:
	case AFTER_SB_2PRI_COUNT:
		break;
	}
	o->undecided = "after-sb-2pri is disconnect";
	return NULL;
}

static side *loser_by_policy(struct outcome *o)
{
	o->by_policy = "after-sb-0pri";
	/* after more than one generation the bits are no measure of who changed what: automatic only if the
	 * user insists */
	if (o->relation == SPLIT_FULL && !(o->first->policy.always && o->second->policy.always)) {
		o->undecided =
			"the changes cannot be told apart any more, and always-asbp is not set on both nodes";
		return NULL;
	}
	if (o->first->primary && o->second->primary)
		return loser_2pri(o);
	if (o->first->primary || o->second->primary)
		return loser_1pri(o);
	return ask_0pri(o);
}

/* Unlike in DRBD the user's word comes before the policies: a policy could throw away just the other one's
 * data. */
static void resolve(struct outcome *o)
{
	side *loser = given_up(o);

	o->decision.split_brain = true;
	if (o->first->diskless || o->second->diskless)
		return;
	o->by_user = loser;
	if (!loser)
		loser = loser_by_policy(o);
	if (!loser)
		return;
	if (!consistent(other(o, loser)) || (!o->by_user && outdated(other(o, loser)))) {
		o->undecided = "the disk that would win is inconsistent or outdated";
		return;
	}
	o->source = other(o, loser);
}

/* ---- the disks ---- */

/* Data that is not whole is nobody's source. Data that is known not to be the newest is so only if the user
 * gives the other up. */
static bool may_be_source(const struct outcome *o, side *s)
{
	return consistent(s) && (!outdated(s) || o->by_user);
}

static void check_source(struct outcome *o)
{
	side *loser = given_up(o);

	if (o->relation != UNUSABLE && (!o->source || may_be_source(o, o->source)))
		return;
	if (loser && consistent(other(o, loser)) && !loser->diskless) {
		o->by_user = true;
		o->relation = A_NEWER;
		o->source = other(o, loser);
		return;
	}
	o->relation = UNUSABLE;
	o->source = NULL;
}

/* Everything that was changed since the disk was lost was changed through the node that lost it, if that was Primary last. */
static bool served_by(side *with, side *without)
{
	return with->gen.bitmap && parted_from(with, without) && with->since <= without->since;
}

/* One disk serves both nodes as long as it has the newest data, and as a guest on the other node has seen it.
 */
static void check_disks(struct outcome *o)
{
	side *without = o->first->diskless ? o->first : o->second, *with = other(o, without);

	if (!without->diskless || o->relation == UNRELATED || o->relation == UNUSABLE ||
	    o->decision.split_brain)
		return;
	if (!may_be_source(o, with) || (without->primary && !equal(without, with) && !served_by(with, without)))
		o->relation = UNUSABLE;
	else
		o->relation = SAME;
	o->source = NULL;
}

/* ---- the verdict ---- */

static enum sync_verdict verdict(const struct outcome *o, side *self)
{
	if (o->source == self)
		return o->full ? SYNC_SOURCE_FULL : SYNC_SOURCE;
	if (o->source)
		return o->full ? SYNC_TARGET_FULL : SYNC_TARGET;
	if (o->decision.split_brain)
		return SYNC_SPLIT_BRAIN;
	if (o->relation == UNRELATED)
		return SYNC_UNRELATED;
	return o->relation == SAME ? SYNC_NONE : SYNC_UNUSABLE;
}

/* Not so where a Primary whose disk is being completed (rule 30), or was away, meets its source again: its guest has read what that disk lacks
 * over there all the time. */
static bool primary_loses(const struct outcome *o)
{
	side *loser = o->source ? other(o, o->source) : NULL;

	if (!loser || !loser->primary)
		return false;
	return o->source->primary || (o->decision.rule != 30 && !served_by(o->source, loser));
}

static void __attribute__((format(printf, 2, 3))) say(struct outcome *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!o->room)
		return;
	va_start(ap, fmt);
	n = vsnprintf(o->why, o->room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= o->room)
		n = (int)o->room - 1;
	o->why += n;
	o->room -= (size_t)n;
}

static void say_sync(struct outcome *o)
{
	const char *from = o->source->host, *to = other(o, o->source)->host;

	if (o->by_user)
		say(o, "; the data on %s is given up (discard-my-data)", to);
	else if (o->decision.split_brain)
		say(o, "; split brain, decided by %s: what was written on %s alone is lost", o->by_policy,
		    to);
	say(o, "; %s gets %s from %s", to, o->full ? "everything" : "what is marked", from);
	if (o->decision.primary_loses)
		say(o,
		    "; the guest on %s has seen other data than %s has and cannot go on with it: shut it "
		    "down ('xl destroy', if its I/O is frozen); then they meet anew",
		    to, from);
}

/* Only a whole disk can win. */
static void say_split_brain(struct outcome *o)
{
	side *broken = consistent(o->first) ? o->second : o->first;

	if (o->first->diskless || o->second->diskless)
		say(o, "; split brain, and %s has no disk, so nothing can be made alike: repair that, and 'backend-ctl attach %s' there opens it",
		    (o->first->diskless ? o->first : o->second)->host, o->resource);
	else if (consistent(o->first) && consistent(o->second))
		say(o,
		    "; split brain: %s; decide whose data to give up, shut down the guest there and run 'backend-ctl connect "
		    "--discard-my-data %s' on that node",
		    o->undecided, o->resource);
	else if (consistent(o->first) || consistent(o->second))
		say(o, "; split brain: %s; %s lacks blocks, so shut down its guest and run 'backend-ctl connect --discard-my-data %s' on %s",
		    o->undecided, broken->host, o->resource, broken->host);
	else
		say(o,
		    "; split brain: %s; both lack blocks: decide whose data to keep all the same, shut down the guests and run 'backend-ctl "
		    "primary --force %s' on that node",
		    o->undecided, o->resource);
}

static void say_unusable(struct outcome *o)
{
	side *without = o->first->diskless ? o->first : o->second, *broken = consistent(o->first) ? o->second : o->first;

	say(o, "; no disk with the newest data can be a source: ");
	if (o->first->diskless && o->second->diskless) {
		say(o, "the disks on both nodes have failed or are detached: repair one, that with the newest data if they differ; "
		       "'backend-ctl attach %s' there opens it", o->resource);
		return;
	}
	if (without->diskless)
		say(o, "bring the missing disk back ('backend-ctl attach %s' on %s), or, ", o->resource, without->host);
	if (!without->diskless && (consistent(o->first) || consistent(o->second)))
		say(o, "to go on with the other data and lose the rest, run 'backend-ctl connect --discard-my-data %s' on %s", o->resource,
		    consistent(broken) ? "the node whose data are to be given up" : broken->host);
	else
		say(o, "to go on with what there is and lose the rest, run 'backend-ctl primary --force %s' on the node whose data are to be kept",
		    o->resource);
}

static void say_follows(struct outcome *o, enum sync_verdict v)
{
	switch (v) {
	case SYNC_SPLIT_BRAIN:
		say_split_brain(o);
		break;
	case SYNC_UNRELATED:
		say(o,
		    "; to give up the data of one node, run there 'backend-ctl down %s', 'backend-ctl create-md --force %s', "
		    "'backend-ctl up %s'",
		    o->resource, o->resource, o->resource);
		break;
	case SYNC_UNUSABLE:
		say_unusable(o);
		break;
	case SYNC_NONE:
		if (o->decision.rule == 11 && !consistent(o->first) && !consistent(o->second))
			say(o, "; nobody's data count yet: run 'backend-ctl primary --force %s' on the node whose data are to be kept",
			    o->resource);
		break;
	default:
		say_sync(o);
	}
}

struct generation_decision generation_compare(const char *resource, const struct generation_side *self,
					      const struct generation_side *peer, char *why, size_t why_size)
{
	struct outcome o = { .resource = resource,
			     .first = self->first ? self : peer,
			     .second = self->first ? peer : self,
			     .why = why,
			     .room = why_size };
	const struct rule *rule = find_rule(&o);

	if (o.relation == SPLIT || o.relation == SPLIT_FULL)
		resolve(&o);
	else
		check_source(&o);
	check_disks(&o);
	o.decision.verdict = verdict(&o, self);
	o.decision.primary_loses = primary_loses(&o);
	o.decision.call_pri_lost &= o.decision.primary_loses;
	say(&o, rule->found, o.a->host, o.b->host);
	say_follows(&o, o.decision.verdict);
	return o.decision;
}

/* ---- the steps ---- */

static void remember(struct generations *g, uint64_t generation)
{
	if (!generation || generation == g->history[0])
		return;
	g->history[1] = g->history[0];
	g->history[0] = generation;
}

static bool descends(const struct generations *g, uint64_t generation)
{
	return generation &&
	       (generation == g->bitmap || generation == g->history[0] || generation == g->history[1]);
}

/*
 * Where the partner may be must be found in `bitmap` and history[0] at the next meeting, however often this
 * is done before. A generation of ours that it never heard of must not push that out: it goes behind, and is
 * kept at all only because a restart forgets that we were settling.
 */
void generation_alone(struct generations *g, uint64_t fresh, const struct generations *settling)
{
	if (settling) {
		remember(g, descends(g, settling->current) ? settling->current : g->bitmap);
		g->bitmap = g->current;
	} else if (g->bitmap) {
		g->history[1] = g->current;
	} else {
		g->bitmap = g->current;
	}
	g->current = fresh;
}

void generation_become_target(struct generations *g, const struct generations *source)
{
	*g = *source;
	generation_met(g);
}

void generation_met(struct generations *g)
{
	remember(g, g->bitmap);
	g->bitmap = 0;
}

const char *sync_verdict_name(enum sync_verdict v)
{
	static const char *const names[SYNC_VERDICT_COUNT] = {
		[SYNC_NONE] = "none",
		[SYNC_SOURCE] = "source",
		[SYNC_TARGET] = "target",
		[SYNC_SOURCE_FULL] = "source of a full resync",
		[SYNC_TARGET_FULL] = "target of a full resync",
		[SYNC_SPLIT_BRAIN] = "split brain",
		[SYNC_UNRELATED] = "unrelated data",
		[SYNC_UNUSABLE] = "no usable source",
	};

	return v < SYNC_VERDICT_COUNT ? names[v] : "?";
}
