/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generation.c: each rule by name, each policy by the number of Primaries and by who changed data, the words,
 * and the steps of the four numbers. alpha is the first node. Every case is looked at from both nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backend/generation.h"
#include "tests/unit/document.h"

static char words[1000];

static const enum sync_verdict mirror[SYNC_VERDICT_COUNT] = {
	[SYNC_NONE] = SYNC_NONE,
	[SYNC_SOURCE] = SYNC_TARGET,
	[SYNC_TARGET] = SYNC_SOURCE,
	[SYNC_SOURCE_FULL] = SYNC_TARGET_FULL,
	[SYNC_TARGET_FULL] = SYNC_SOURCE_FULL,
	[SYNC_SPLIT_BRAIN] = SYNC_SPLIT_BRAIN,
	[SYNC_UNRELATED] = SYNC_UNRELATED,
	[SYNC_UNUSABLE] = SYNC_UNUSABLE,
};

static struct generation_decision meet(const struct generation_side *alpha,
				       const struct generation_side *beta)
{
	char there[sizeof(words)];
	struct generation_decision d = generation_compare("r0", alpha, beta, words, sizeof(words));
	struct generation_decision e = generation_compare("r0", beta, alpha, there, sizeof(there));

	assert_int_equal(e.verdict, mirror[d.verdict]);
	assert_int_equal(e.rule, d.rule);
	assert_string_equal(there, words);
	return d;
}

/* current, bitmap, history: what is not given is 0 */
#define GEN(...)		GEN4(__VA_ARGS__, 0, 0, 0, 0)
#define GEN4(c, b, h0, h1, ...) .gen = { c, b, { h0, h1 } }
#define GOOD			.flags = SB_CONSISTENT
#define NEW			.flags = SB_JUST_CREATED
#define ALPHA			.host = "alpha", .first = true
#define BETA			.host = "beta"

/* ---- one case for each rule, and what stands in its way ---- */

struct meeting {
	const char *name;
	struct generation_side alpha, beta;
	unsigned int rule;
	enum sync_verdict verdict; /* for alpha */
	bool primary_loses;
	const char *words;
};

static const struct meeting meetings[] = {
	{ "two new nodes wait for a person",
	  { ALPHA, NEW },
	  { BETA, NEW },
	  11,
	  SYNC_NONE,
	  false,
	  "primary --force" },
	{ "two new nodes that were declared identical",
	  { ALPHA, .flags = SB_JUST_CREATED | SB_CONSISTENT },
	  { BETA, .flags = SB_JUST_CREATED | SB_CONSISTENT },
	  11,
	  SYNC_NONE,
	  false,
	  "is new" },
	{ "two new nodes, one declared good",
	  { ALPHA, NEW },
	  { BETA, .flags = SB_JUST_CREATED | SB_CONSISTENT },
	  10,
	  SYNC_TARGET_FULL,
	  false,
	  "alpha gets everything from beta" },
	{ "a new node beside one with data",
	  { ALPHA, GEN(7), GOOD },
	  { BETA, NEW },
	  20,
	  SYNC_SOURCE_FULL,
	  false,
	  "beta gets everything" },
	{ "a new node that was declared good all the same",
	  { ALPHA, GEN(7), GOOD },
	  { BETA, .flags = SB_JUST_CREATED | SB_CONSISTENT },
	  20,
	  SYNC_SOURCE_FULL,
	  false,
	  "beta gets everything" },
	{ "no generation is new, too",
	  { ALPHA, GEN(0), GOOD },
	  { BETA, GEN(7), GOOD },
	  20,
	  SYNC_TARGET_FULL,
	  false,
	  "" },
	{ "a new node beside an inconsistent one",
	  { ALPHA, GEN(7) },
	  { BETA, NEW },
	  20,
	  SYNC_UNUSABLE,
	  false,
	  "primary --force" },

	{ "a resync is gone on with",
	  { ALPHA, GEN(7), GOOD },
	  { BETA, GEN(7), .bits = 3 },
	  30,
	  SYNC_SOURCE,
	  false,
	  "beta gets what is marked" },
	{ "a resync of the Primary's disk is gone on with",
	  { ALPHA, GEN(7), GOOD },
	  { BETA, GEN(7), .primary = true },
	  30,
	  SYNC_SOURCE,
	  false,
	  "beta lacks some" },
	{ "a resync whose source is Primary, too",
	  { ALPHA, GEN(7), GOOD, .primary = true },
	  { BETA, GEN(7), .primary = true },
	  30,
	  SYNC_SOURCE,
	  true,
	  "" },
	{ "a resync from a source that is outdated by now",
	  { ALPHA, GEN(7), .flags = SB_CONSISTENT | SB_OUTDATED },
	  { BETA, GEN(7) },
	  30,
	  SYNC_UNUSABLE,
	  false,
	  "no disk with the newest data" },
	{ "neither is whole",
	  { ALPHA, GEN(7), .primary = true },
	  { BETA, GEN(7) },
	  31,
	  SYNC_UNUSABLE,
	  false,
	  "neither alpha nor beta" },
	{ "one was outdated",
	  { ALPHA, GEN(7), .flags = SB_CONSISTENT | SB_OUTDATED | SB_CRASHED, .since = 9 },
	  { BETA, GEN(7), GOOD },
	  32,
	  SYNC_TARGET,
	  false,
	  "that on alpha is marked outdated" },
	{ "both were outdated",
	  { ALPHA, GEN(7), .flags = SB_CONSISTENT | SB_OUTDATED },
	  { BETA, GEN(7), .flags = SB_CONSISTENT | SB_OUTDATED },
	  33,
	  SYNC_UNUSABLE,
	  false,
	  "both marked outdated" },
	{ "both were outdated, and a person gives one up",
	  { ALPHA, GEN(7), .flags = SB_CONSISTENT | SB_OUTDATED, .discard_my_data = true },
	  { BETA, GEN(7), .flags = SB_CONSISTENT | SB_OUTDATED },
	  33,
	  SYNC_TARGET,
	  false,
	  "the data on alpha is given up" },
	{ "nothing happened",
	  { ALPHA, GEN(7, 5), GOOD, .since = 3 },
	  { BETA, GEN(7, 0, 5), GOOD, .since = 4 },
	  40,
	  SYNC_NONE,
	  false,
	  "the same data" },
	{ "nothing happened under two Primaries: the token's business",
	  { ALPHA, GEN(7), GOOD, .primary = true },
	  { BETA, GEN(7), GOOD, .primary = true },
	  40,
	  SYNC_NONE,
	  false,
	  "the same data" },
	{ "two Primaries with marks",
	  { ALPHA, GEN(7), GOOD, .primary = true },
	  { BETA, GEN(7), GOOD, .primary = true, .bits = 1 },
	  41,
	  SYNC_SPLIT_BRAIN,
	  false,
	  "split brain" },
	{ "a Primary died, the other one is Primary now",
	  { ALPHA, GEN(7), .flags = SB_CONSISTENT | SB_CRASHED, .bits = 9, .since = 9 },
	  { BETA, GEN(7), GOOD, .primary = true },
	  42,
	  SYNC_TARGET,
	  false,
	  "beta is Primary" },
	{ "marks under a Primary",
	  { ALPHA, GEN(7), GOOD, .primary = true },
	  { BETA, GEN(7), GOOD, .bits = 1, .since = 9 },
	  42,
	  SYNC_SOURCE,
	  false,
	  "alpha is Primary" },
	{ "a Primary died",
	  { ALPHA, GEN(7), GOOD, .since = 9, .bits = 9 },
	  { BETA, GEN(7), .flags = SB_CONSISTENT | SB_CRASHED },
	  43,
	  SYNC_TARGET,
	  false,
	  "beta died as Primary" },
	{ "both died as Primary",
	  { ALPHA, GEN(7), .flags = SB_CONSISTENT | SB_CRASHED },
	  { BETA, GEN(7), .flags = SB_CONSISTENT | SB_CRASHED, .since = 9, .bits = 9 },
	  44,
	  SYNC_SOURCE,
	  false,
	  "both died as Primary" },
	{ "a Primary died, and nothing is marked",
	  { ALPHA, GEN(7), .flags = SB_CONSISTENT | SB_CRASHED },
	  { BETA, GEN(7), GOOD, .since = 9 },
	  43,
	  SYNC_SOURCE,
	  false,
	  "alpha died as Primary" },
	{ "marks, and one was Primary later",
	  { ALPHA, GEN(7), GOOD, .since = 1, .bits = 2 },
	  { BETA, GEN(7), GOOD, .since = 2 },
	  45,
	  SYNC_TARGET,
	  false,
	  "Primary later" },
	{ "marks, and one has more",
	  { ALPHA, GEN(7), GOOD, .bits = 1 },
	  { BETA, GEN(7), GOOD, .bits = 2 },
	  46,
	  SYNC_TARGET,
	  false,
	  "marked more" },
	{ "marks, the same number",
	  { ALPHA, GEN(7), GOOD, .bits = 2 },
	  { BETA, GEN(7), GOOD, .bits = 2 },
	  47,
	  SYNC_SOURCE,
	  false,
	  "may differ" },

	{ "one wrote alone",
	  { ALPHA, GEN(8, 7), GOOD },
	  { BETA, GEN(7, 0, 5), GOOD },
	  50,
	  SYNC_SOURCE,
	  false,
	  "changed since it parted" },
	{ "one wrote alone and the other died as Primary before",
	  { ALPHA, GEN(8, 7), GOOD },
	  { BETA, GEN(7), .flags = SB_CONSISTENT | SB_CRASHED, .since = 9, .bits = 9 },
	  50,
	  SYNC_SOURCE,
	  false,
	  "" },
	{ "one was promoted by force over a Primary",
	  { ALPHA, GEN(7), GOOD, .primary = true },
	  { BETA, GEN(8, 7), GOOD, .primary = true },
	  50,
	  SYNC_TARGET,
	  true,
	  "the guest on alpha has seen other data than beta has" },
	{ "one wrote alone, then lost its disk's content",
	  { ALPHA, GEN(8, 7) },
	  { BETA, GEN(7), GOOD },
	  50,
	  SYNC_UNUSABLE,
	  false,
	  "discard-my-data r0' on alpha" },
	{ "and a person gives that up",
	  { ALPHA, GEN(8, 7), .discard_my_data = true },
	  { BETA, GEN(7), GOOD },
	  50,
	  SYNC_TARGET,
	  false,
	  "given up" },
	{ "a person cannot make an inconsistent disk good",
	  { ALPHA, GEN(8, 7) },
	  { BETA, GEN(7), GOOD, .discard_my_data = true },
	  50,
	  SYNC_UNUSABLE,
	  false,
	  "" },
	{ "one wrote alone, then was outdated",
	  { ALPHA, GEN(8, 7), .flags = SB_CONSISTENT | SB_OUTDATED },
	  { BETA, GEN(7), GOOD },
	  50,
	  SYNC_UNUSABLE,
	  false,
	  "discard-my-data r0' on the node whose data are to be given up" },
	{ "and a person gives up the older data",
	  { ALPHA, GEN(8, 7), .flags = SB_CONSISTENT | SB_OUTDATED },
	  { BETA, GEN(7), GOOD, .discard_my_data = true },
	  50,
	  SYNC_SOURCE,
	  false,
	  "given up" },
	{ "giving up data does not turn the clear case",
	  { ALPHA, GEN(8, 7), GOOD, .discard_my_data = true },
	  { BETA, GEN(7), GOOD },
	  50,
	  SYNC_SOURCE,
	  false,
	  "" },
	{ "parted too long ago",
	  { ALPHA, GEN(9, 8, 7), GOOD },
	  { BETA, GEN(7), GOOD },
	  60,
	  SYNC_SOURCE_FULL,
	  false,
	  "too long ago" },
	{ "parted even longer ago",
	  { ALPHA, GEN(6), GOOD },
	  { BETA, GEN(9, 0, 7, 6), GOOD },
	  60,
	  SYNC_TARGET_FULL,
	  false,
	  "too long ago" },
	{ "both wrote alone",
	  { ALPHA, GEN(8, 7), GOOD },
	  { BETA, GEN(9, 7), GOOD },
	  90,
	  SYNC_SPLIT_BRAIN,
	  false,
	  "after-sb-0pri does not decide" },
	{ "both wrote alone, more than once",
	  { ALPHA, GEN(8, 5, 7), GOOD },
	  { BETA, GEN(9, 7), GOOD },
	  100,
	  SYNC_SPLIT_BRAIN,
	  false,
	  "always-asbp" },
	{ "both have an ancestor",
	  { ALPHA, GEN(8, 0, 4, 3), GOOD },
	  { BETA, GEN(9, 0, 5, 3), GOOD },
	  100,
	  SYNC_SPLIT_BRAIN,
	  false,
	  "more than once" },
	{ "other data altogether",
	  { ALPHA, GEN(8, 7), GOOD },
	  { BETA, GEN(9, 6), GOOD },
	  110,
	  SYNC_UNRELATED,
	  false,
	  "create-md --force" },
	{ "no generation is nobody's ancestor",
	  { ALPHA, GEN(8), GOOD },
	  { BETA, GEN(9), GOOD },
	  110,
	  SYNC_UNRELATED,
	  false,
	  "" },
	{ "each says that the other is older",
	  { ALPHA, GEN(8, 7), GOOD },
	  { BETA, GEN(7, 8), GOOD },
	  110,
	  SYNC_UNRELATED,
	  false,
	  "" },
	{ "unrelated data is not given up by a word",
	  { ALPHA, GEN(8), GOOD, .discard_my_data = true },
	  { BETA, GEN(9), GOOD },
	  110,
	  SYNC_UNRELATED,
	  false,
	  "" },

	{ "a person gives up one of two",
	  { ALPHA, GEN(8, 7), GOOD },
	  { BETA, GEN(9, 7), GOOD, .discard_my_data = true },
	  90,
	  SYNC_SOURCE,
	  false,
	  "the data on beta is given up" },
	{ "a person gives up both",
	  { ALPHA, GEN(8, 7), GOOD, .discard_my_data = true },
	  { BETA, GEN(9, 7), GOOD, .discard_my_data = true },
	  90,
	  SYNC_SPLIT_BRAIN,
	  false,
	  "" },
	{ "a person gives up the Primary's data",
	  { ALPHA, GEN(8, 7), GOOD, .discard_my_data = true, .primary = true },
	  { BETA, GEN(9, 7), GOOD },
	  90,
	  SYNC_TARGET,
	  true,
	  "cannot go on" },
	{ "a person gives up one of two, long parted",
	  { ALPHA, GEN(8, 5, 7), GOOD },
	  { BETA, GEN(9, 7), GOOD, .discard_my_data = true },
	  100,
	  SYNC_SOURCE_FULL,
	  false,
	  "beta gets everything" },
	{ "a person gives up the only whole disk",
	  { ALPHA, GEN(8, 7) },
	  { BETA, GEN(9, 7), GOOD, .discard_my_data = true },
	  90,
	  SYNC_SPLIT_BRAIN,
	  false,
	  "inconsistent or outdated" },

	{ "the Primary has no disk",
	  { ALPHA, GEN(7), .diskless = true, .primary = true },
	  { BETA, GEN(7), GOOD, .bits = 5 },
	  30,
	  SYNC_NONE,
	  false,
	  "alpha lacks some" },
	{ "the Primary has no disk, the other one died once",
	  { ALPHA, GEN(7), GOOD, .diskless = true, .primary = true },
	  { BETA, GEN(7), .flags = SB_CONSISTENT | SB_CRASHED },
	  30,
	  SYNC_NONE,
	  false,
	  "" },
	{ "the Primary has no disk and the other one is behind",
	  { ALPHA, GEN(8, 7), GOOD, .diskless = true, .primary = true },
	  { BETA, GEN(7), GOOD },
	  50,
	  SYNC_UNUSABLE,
	  false,
	  "bring the missing disk back" },
	{ "the Primary has no disk, and what was written since was written through it",
	  { ALPHA, GEN(7), GOOD, .diskless = true, .primary = true, .since = 3 },
	  { BETA, GEN(8, 7), GOOD, .since = 3 },
	  50,
	  SYNC_NONE,
	  false,
	  "" },
	{ "the Primary has no disk and the other one was Primary since",
	  { ALPHA, GEN(7), GOOD, .diskless = true, .primary = true, .since = 3 },
	  { BETA, GEN(8, 7), GOOD, .since = 5 },
	  50,
	  SYNC_UNUSABLE,
	  false,
	  "" },
	{ "the Primary has no disk and the other one went on more than once",
	  { ALPHA, GEN(7), GOOD, .diskless = true, .primary = true },
	  { BETA, GEN(9, 8, 7), GOOD },
	  60,
	  SYNC_UNUSABLE,
	  false,
	  "" },
	{ "a node without a disk and one with the newest data",
	  { ALPHA, GEN(7), .diskless = true },
	  { BETA, GEN(8, 7), GOOD },
	  50,
	  SYNC_NONE,
	  false,
	  "" },
	{ "a node without a disk that never had one",
	  { ALPHA, .diskless = true },
	  { BETA, GEN(8, 7), GOOD },
	  20,
	  SYNC_NONE,
	  false,
	  "" },
	{ "a node without a disk and one with half a disk",
	  { ALPHA, GEN(7), .diskless = true },
	  { BETA, GEN(7) },
	  31,
	  SYNC_UNUSABLE,
	  false,
	  "" },
	{ "a node without a disk and one that is outdated",
	  { ALPHA, GEN(7), .diskless = true },
	  { BETA, GEN(7), .flags = SB_CONSISTENT | SB_OUTDATED },
	  30,
	  SYNC_UNUSABLE,
	  false,
	  "" },
	{ "two nodes without disks",
	  { ALPHA, GEN(7), GOOD, .diskless = true },
	  { BETA, GEN(7), GOOD, .diskless = true },
	  31,
	  SYNC_UNUSABLE,
	  false,
	  "" },
	{ "a split brain with a disk missing is not decided",
	  { ALPHA, GEN(8, 7), GOOD, .diskless = true, .discard_my_data = true },
	  { BETA, GEN(9, 7), GOOD },
	  90,
	  SYNC_SPLIT_BRAIN,
	  false,
	  "has no disk" },
};

static void is_decided(void **state)
{
	const struct meeting *m = *state;
	struct generation_decision d = meet(&m->alpha, &m->beta);

	if (d.rule != m->rule || d.verdict != m->verdict || !strstr(words, m->words))
		fail_msg("rule %u, %s: %s", d.rule, sync_verdict_name(d.verdict), words);
	assert_int_equal(d.primary_loses, m->primary_loses);
	assert_int_equal(d.split_brain, m->rule == 41 || m->rule == 90 || m->rule == 100);
}

/* The rules of the document, in its order, are the ones that the cases above have. */
static void the_document_has_the_rules_of_the_code(void **state)
{
	char *text = document_read("docs/PROTOCOL.md"), *line = strstr(text, "\n## 7. Whose data\n");
	size_t i = 0, count = sizeof(meetings) / sizeof(meetings[0]);
	unsigned int rule, last = 0, covered = 0, documented = 0;
	char bar;

	(void)state;
	assert_non_null(line);
	for (; (line = strstr(line, "\n| ")); line++) {
		if (sscanf(line, "\n| %u %c", &rule, &bar) != 2 || bar != '|')
			continue;
		assert_true(rule > last);
		for (i = 0; i < count && meetings[i].rule != rule; i++)
			;
		if (i == count)
			fail_msg("no case for the documented rule %u", rule);
		last = rule;
		documented++;
	}
	for (rule = 0; rule <= last; rule++) {
		for (i = 0; i < count && meetings[i].rule != rule; i++)
			;
		covered += i < count;
	}
	assert_int_equal(covered, documented);
	free(text);
}

/* ---- policies ---- */

/*
 * What becomes of a split brain, by who changed data: nobody, alpha alone, beta alone, both (alpha more),
 * both (beta more), both the same. A, B: that node is the source; small: and the Primary loses; '-': nothing
 * is decided. beta became Primary later.
 */
#define CHANGES 6
static const uint64_t changed[CHANGES][2] = { { 0, 0 }, { 5, 0 }, { 0, 5 }, { 5, 3 }, { 3, 5 }, { 4, 4 } };

enum who { NOBODY, IS_ALPHA, IS_BETA, ARE_BOTH };
struct policy_case {
	const char *name;
	enum who primary;
	struct after_sb policy;
	const char *outcome;
	bool handler; /* pri-lost-after-sb where the Primary loses */
};

#define P0(v) AFTER_SB_0PRI_##v
#define P1(v) AFTER_SB_1PRI_##v
#define P2(v) AFTER_SB_2PRI_##v

static const struct policy_case policies[] = {
	{ "0pri disconnect",
	  NOBODY,
	  { P0(DISCONNECT), P1(VIOLENTLY), P2(VIOLENTLY), true },
	  "------",
	  false },
	{ "0pri discard-younger-primary", NOBODY, { .zero = P0(DISCARD_YOUNGER_PRIMARY) }, "AAAAAA", false },
	{ "0pri discard-older-primary", NOBODY, { .zero = P0(DISCARD_OLDER_PRIMARY) }, "BBBBBB", false },
	{ "0pri discard-zero-changes", NOBODY, { .zero = P0(DISCARD_ZERO_CHANGES) }, "AAB---", false },
	{ "0pri discard-least-changes", NOBODY, { .zero = P0(DISCARD_LEAST_CHANGES) }, "AABABA", false },
	{ "0pri discard the first", NOBODY, { .zero = P0(DISCARD_FIRST) }, "BBBBBB", false },
	{ "0pri discard the second", NOBODY, { .zero = P0(DISCARD_SECOND) }, "AAAAAA", false },

	{ "1pri disconnect, alpha",
	  IS_ALPHA,
	  { P0(DISCARD_LEAST_CHANGES), P1(DISCONNECT), P2(VIOLENTLY), true },
	  "------",
	  false },
	{ "1pri disconnect, beta",
	  IS_BETA,
	  { P0(DISCARD_LEAST_CHANGES), P1(DISCONNECT), P2(VIOLENTLY), true },
	  "------",
	  false },
	{ "1pri discard-secondary, alpha", IS_ALPHA, { .one = P1(DISCARD_SECONDARY) }, "AAAAAA", false },
	{ "1pri discard-secondary, beta", IS_BETA, { .one = P1(DISCARD_SECONDARY) }, "BBBBBB", false },
#define WITH_0PRI(value, a, b, a_agrees, b_agrees, two_primaries)                                 \
	{ "1pri consensus, alpha, " #value,                                                       \
	  IS_ALPHA,                                                                               \
	  { .zero = P0(value), .one = P1(CONSENSUS) },                                            \
	  a_agrees,                                                                               \
	  false },                                                                                \
		{ "1pri consensus, beta, " #value,                                                \
		  IS_BETA,                                                                        \
		  { .zero = P0(value), .one = P1(CONSENSUS) },                                    \
		  b_agrees,                                                                       \
		  false },                                                                        \
		{ "1pri call-pri-lost, alpha, " #value,                                           \
		  IS_ALPHA,                                                                       \
		  { .zero = P0(value), .one = P1(CALL_PRI_LOST) },                                \
		  a,                                                                              \
		  true },                                                                         \
		{ "1pri call-pri-lost, beta, " #value,                                            \
		  IS_BETA,                                                                        \
		  { .zero = P0(value), .one = P1(CALL_PRI_LOST) },                                \
		  b,                                                                              \
		  true },                                                                         \
		{ "1pri violently, alpha, " #value,                                               \
		  IS_ALPHA,                                                                       \
		  { .zero = P0(value), .one = P1(VIOLENTLY) },                                    \
		  a,                                                                              \
		  false },                                                                        \
		{ "1pri violently, beta, " #value,                                                \
		  IS_BETA,                                                                        \
		  { .zero = P0(value), .one = P1(VIOLENTLY) },                                    \
		  b,                                                                              \
		  false },                                                                        \
		{ "2pri disconnect, " #value,                                                     \
		  ARE_BOTH,                                                                       \
		  { P0(value), P1(VIOLENTLY), P2(DISCONNECT), true },                             \
		  "------",                                                                       \
		  false },                                                                        \
		{ "2pri call-pri-lost, " #value,                                                  \
		  ARE_BOTH,                                                                       \
		  { .zero = P0(value), .two = P2(CALL_PRI_LOST) },                                \
		  two_primaries,                                                                  \
		  true },                                                                         \
	{                                                                                         \
		"2pri violently, " #value, ARE_BOTH, { .zero = P0(value), .two = P2(VIOLENTLY) }, \
			two_primaries, false                                                      \
	}
	WITH_0PRI(DISCONNECT, "------", "------", "------", "------", "------"),
	WITH_0PRI(DISCARD_YOUNGER_PRIMARY, "AAAAAA", "aaaaaa", "AAAAAA", "------", "aaaaaa"),
	WITH_0PRI(DISCARD_OLDER_PRIMARY, "bbbbbb", "BBBBBB", "------", "BBBBBB", "bbbbbb"),
	WITH_0PRI(DISCARD_ZERO_CHANGES, "AAb---", "aaB---", "AA----", "--B---", "aab---"),
	WITH_0PRI(DISCARD_LEAST_CHANGES, "AAbAbA", "aaBaBa", "AA-A-A", "--B-B-", "aababa"),
	WITH_0PRI(DISCARD_FIRST, "bbbbbb", "BBBBBB", "------", "BBBBBB", "bbbbbb"),
	WITH_0PRI(DISCARD_SECOND, "AAAAAA", "aaaaaa", "AAAAAA", "------", "aaaaaa"),
};

static void parted(struct generation_side *alpha, struct generation_side *beta, const struct policy_case *p,
		   int i)
{
	*alpha = (struct generation_side){ ALPHA, GEN(8, 7), GOOD, .since = 4, .policy = p->policy };
	*beta = (struct generation_side){ BETA, GEN(9, 7), GOOD, .since = 6, .policy = p->policy };
	alpha->primary = p->primary == IS_ALPHA || p->primary == ARE_BOTH;
	beta->primary = p->primary == IS_BETA || p->primary == ARE_BOTH;
	alpha->bits = changed[i][0];
	beta->bits = changed[i][1];
}

static char letter(const struct generation_decision *d)
{
	bool full = d->verdict == SYNC_SOURCE_FULL || d->verdict == SYNC_TARGET_FULL;
	char source = d->verdict == SYNC_SOURCE || d->verdict == SYNC_SOURCE_FULL ? 'A' : 'B';

	if (d->verdict == SYNC_SPLIT_BRAIN)
		return '-';
	assert_true(full || d->verdict == SYNC_SOURCE || d->verdict == SYNC_TARGET);
	return d->primary_loses ? (char)(source + 'a' - 'A') : source;
}

static void decides_as_documented(void **state)
{
	const struct policy_case *p = *state;
	struct generation_side alpha, beta;
	struct generation_decision d;
	char got[CHANGES + 1] = "";
	int i;

	for (i = 0; i < CHANGES; i++) {
		parted(&alpha, &beta, p, i);
		d = meet(&alpha, &beta);
		got[i] = letter(&d);
		assert_true(d.split_brain);
		assert_int_equal(d.call_pri_lost, p->handler && d.primary_loses);
		assert_int_equal(got[i] != '-', strstr(words, "is lost") != NULL);
	}
	assert_string_equal(got, p->outcome);
}

static void who_became_primary_in_one_epoch_is_told_apart_by_changes(void **state)
{
	struct policy_case p = { .policy = { .zero = P0(DISCARD_YOUNGER_PRIMARY) } };
	struct generation_side alpha, beta;
	int i, older;

	(void)state;
	for (older = 0; older < 2; older++) {
		for (i = 0; i < CHANGES; i++) {
			struct generation_decision d;

			parted(&alpha, &beta, &p, i);
			alpha.since = beta.since;
			d = meet(&alpha, &beta);
			assert_int_equal(letter(&d), "AABABA"[i]);
		}
		p.policy.zero = P0(DISCARD_OLDER_PRIMARY);
	}
}

static const struct policy_case unlike = { .policy = { P0(DISCARD_FIRST), P1(VIOLENTLY), P2(VIOLENTLY),
						       true } };

static void expect_undecided(const struct generation_side *alpha, const struct generation_side *beta,
			     const char *text)
{
	assert_int_equal(meet(alpha, beta).verdict, SYNC_SPLIT_BRAIN);
	assert_non_null(strstr(words, text));
}

static void a_policy_that_is_not_the_same_on_both_decides_nothing(void **state)
{
	struct generation_side alpha, beta;

	(void)state;
	parted(&alpha, &beta, &unlike, 0);
	beta.policy.zero = P0(DISCARD_SECOND);
	expect_undecided(&alpha, &beta, "after-sb-0pri is not the same");
	beta.primary = true;
	expect_undecided(&alpha, &beta, "after-sb-0pri is not the same");
	beta.policy.one = P1(CONSENSUS);
	expect_undecided(&alpha, &beta, "after-sb-1pri is not the same");
	alpha.primary = true;
	expect_undecided(&alpha, &beta, "after-sb-0pri is not the same");
	beta.policy.two = P2(DISCONNECT);
	expect_undecided(&alpha, &beta, "after-sb-2pri is not the same");
}

static void a_policy_that_is_not_asked_may_differ(void **state)
{
	struct generation_side alpha, beta;

	(void)state;
	parted(&alpha, &beta, &unlike, 0);
	beta.policy = (struct after_sb){ .zero = P0(DISCARD_FIRST) };
	assert_int_equal(meet(&alpha, &beta).verdict, SYNC_TARGET);
	alpha.policy = (struct after_sb){ P0(DISCARD_FIRST), P1(DISCARD_SECONDARY), P2(VIOLENTLY), false };
	beta.policy = (struct after_sb){ .one = P1(DISCARD_SECONDARY) };
	alpha.primary = true;
	assert_int_equal(meet(&alpha, &beta).verdict, SYNC_SOURCE);
}

static void always_asbp_copies_everything(void **state)
{
	struct generation_side alpha, beta;
	struct generation_decision d;

	(void)state;
	parted(&alpha, &beta, &unlike, 0);
	alpha.gen = (struct generations){ 8, 5, { 7 } };
	d = meet(&alpha, &beta);
	assert_int_equal(d.rule, 100);
	assert_int_equal(d.verdict, SYNC_TARGET_FULL);
	beta.policy.always = false;
	expect_undecided(&alpha, &beta, "always-asbp");
}

static void the_users_word_comes_before_the_policy(void **state)
{
	struct generation_side alpha, beta;

	(void)state;
	parted(&alpha, &beta, &unlike, 0);
	beta.discard_my_data = true;
	assert_int_equal(meet(&alpha, &beta).verdict, SYNC_SOURCE);
}

static void a_policy_lets_no_bad_disk_win(void **state)
{
	struct generation_side alpha, beta;

	(void)state;
	parted(&alpha, &beta, &unlike, 0);
	beta.flags = SB_CONSISTENT | SB_OUTDATED;
	expect_undecided(&alpha, &beta, "inconsistent or outdated");
	beta.flags = 0;
	expect_undecided(&alpha, &beta, "inconsistent or outdated");
	beta.flags = SB_CONSISTENT | SB_CRASHED;
	assert_int_equal(meet(&alpha, &beta).verdict, SYNC_TARGET);
}

static void two_primaries_with_one_generation_are_a_case_for_the_policies(void **state)
{
	struct generation_side alpha, beta;
	struct generation_decision d;

	(void)state;
	parted(&alpha, &beta, &(struct policy_case){ .primary = ARE_BOTH, .policy = unlike.policy }, 1);
	alpha.gen = beta.gen;
	d = meet(&alpha, &beta);
	assert_int_equal(d.rule, 41);
	assert_int_equal(d.verdict, SYNC_TARGET);
	assert_true(d.split_brain && d.primary_loses);
}

/* ---- the steps ---- */

static void expect_generations(const struct generations *g, uint64_t c, uint64_t b, uint64_t h0, uint64_t h1)
{
	assert_int_equal(g->current, c);
	assert_int_equal(g->bitmap, b);
	assert_int_equal(g->history[0], h0);
	assert_int_equal(g->history[1], h1);
}

static void writing_alone_remembers_where_the_partner_is(void **state)
{
	struct generations g = { 7, 0, { 5, 4 } };

	(void)state;
	generation_alone(&g, 8, NULL);
	expect_generations(&g, 8, 7, 5, 4);
	generation_alone(&g, 9, NULL); /* promoted by force: the partner is still where it was */
	expect_generations(&g, 9, 7, 5, 8);
	generation_alone(&g, 10, NULL);
	expect_generations(&g, 10, 7, 5, 9);
}

static void a_source_that_did_not_hear_ready_expects_the_partner_at_either(void **state)
{
	static const struct generations at_5 = { 5, 0, { 0 } }, at_7 = { 7, 0, { 0 } },
					at_8 = { 8, 0, { 0 } };
	static const struct generations elsewhere = { 6, 7, { 0 } };
	struct generations g = { 8, 7, { 5, 4 } };

	(void)state;
	generation_alone(&g, 9, &at_7);
	expect_generations(&g, 9, 8, 7, 5);
	generation_alone(&g, 10, &at_7); /* and again */
	expect_generations(&g, 10, 9, 7, 5);
	generation_alone(&g, 11, &at_5);
	expect_generations(&g, 11, 10, 5, 7);
	g = (struct generations){ 8, 0, { 5, 4 } };
	generation_alone(&g, 9, &at_8);
	expect_generations(&g, 9, 8, 5, 4);
	g = (struct generations){ 8, 7, { 5, 4 } };
	generation_alone(&g, 9, &elsewhere); /* after a split brain its generation is no ancestor of ours */
	expect_generations(&g, 9, 8, 7, 5);
}

static void source_and_target_end_with_the_same_generations(void **state)
{
	struct generations source = { 8, 7, { 5, 4 } }, target = { 7, 0, { 5, 4 } };

	(void)state;
	generation_become_target(&target, &source);
	generation_met(&source);
	expect_generations(&source, 8, 0, 7, 5);
	assert_memory_equal(&source, &target, sizeof(source));
	generation_met(&source);
	expect_generations(&source, 8, 0, 7, 5);
}

static void words_are_cut_where_there_is_no_room(void **state)
{
	struct generation_side alpha = { ALPHA, GEN(8, 7), GOOD }, beta = { BETA, GEN(9, 7), GOOD };
	char little[9] = "........";

	(void)state;
	assert_int_equal(generation_compare("r0", &alpha, &beta, NULL, 0).rule, 90);
	generation_compare("r0", &alpha, &beta, little, 6);
	assert_string_equal(little, "the d");
	assert_int_equal(little[6], '.');
}

static void every_verdict_has_a_name(void **state)
{
	int v;

	(void)state;
	for (v = 0; v < SYNC_VERDICT_COUNT; v++)
		assert_true(strlen(sync_verdict_name((enum sync_verdict)v)) > 1);
	assert_string_equal(sync_verdict_name(SYNC_VERDICT_COUNT), "?");
}

/* Runs each element of a table, whose first member is its name, as a test. */
static int run_table(const char *group, const void *table, size_t size, size_t count, CMUnitTestFunction test)
{
	struct CMUnitTest *tests = calloc(count, sizeof(*tests));
	size_t i;
	int r;

	for (i = 0; i < count; i++) {
		const char *const *element = (const void *)((const char *)table + i * size);

		tests[i] = (struct CMUnitTest){ *element, test, NULL, NULL, (void *)element };
	}
	r = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
	free(tests);
	return r;
}
#define RUN_TABLE(table, test) \
	run_table(#table, table, sizeof((table)[0]), sizeof(table) / sizeof((table)[0]), test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_document_has_the_rules_of_the_code),
		cmocka_unit_test(who_became_primary_in_one_epoch_is_told_apart_by_changes),
		cmocka_unit_test(a_policy_that_is_not_the_same_on_both_decides_nothing),
		cmocka_unit_test(a_policy_that_is_not_asked_may_differ),
		cmocka_unit_test(always_asbp_copies_everything),
		cmocka_unit_test(the_users_word_comes_before_the_policy),
		cmocka_unit_test(a_policy_lets_no_bad_disk_win),
		cmocka_unit_test(two_primaries_with_one_generation_are_a_case_for_the_policies),
		cmocka_unit_test(writing_alone_remembers_where_the_partner_is),
		cmocka_unit_test(a_source_that_did_not_hear_ready_expects_the_partner_at_either),
		cmocka_unit_test(source_and_target_end_with_the_same_generations),
		cmocka_unit_test(words_are_cut_where_there_is_no_room),
		cmocka_unit_test(every_verdict_has_a_name),
	};
	int failed = RUN_TABLE(meetings, is_decided);

	failed += RUN_TABLE(policies, decides_as_documented);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
