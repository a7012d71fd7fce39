/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Says what is read and not acted upon: once per file and reason, with the options and the lines that it is
 * about. "FILE:27: note: rate, verify-alg, csums-alg (lines 27-29): not acted upon yet: …"
 */
#include <string.h>

#include "config/tree.h"

#define LINES_MAX 12 /* ranges of lines in one message */

struct uses {
	struct config *config;
	const struct option_use **list; /* NULL where it has been said */
	size_t count, room;
};

static bool to_say(const struct option_use *use)
{
	enum option_answer answer = treatment_table[use->treatment].answer;

	if (answer != ANSWER_NOTE && answer != ANSWER_WARN)
		return false;
	return use->id == OPTION_COUNT || !option_is_normal(use->id, use->value);
}

static void collect(struct uses *uses, const struct body *body)
{
	const struct option_use *use;

	for (use = body->first; use; use = use->next) {
		if (!to_say(use))
			continue;
		if (uses->count == uses->room) {
			uses->room = uses->room ? 2 * uses->room : 64;
			uses->list = arena_grow(&uses->config->arena, uses->list,
						uses->count * sizeof(*uses->list),
						uses->room * sizeof(*uses->list));
		}
		uses->list[uses->count++] = use;
	}
}

static bool same_reason(const struct option_use *a, const struct option_use *b)
{
	return a->treatment == b->treatment && !strcmp(a->at.file, b->at.file);
}

/* One message in the making. */
struct group {
	const char *names[OPTION_COUNT + 1];
	size_t name_count;
	const char *text;  /* the names */
	const char *lines; /* ranges, the last one open */
	unsigned first, last, ranges, first_line_of_all, uses;
};

static void add_name(struct arena *arena, struct group *group, const char *name)
{
	size_t i;

	for (i = 0; i < group->name_count; i++) {
		if (!strcmp(group->names[i], name))
			return;
	}
	if (i == OPTION_COUNT + 1)
		return;
	group->names[group->name_count++] = name;
	group->text = arena_printf(arena, "%s%s%s", group->text, i ? ", " : "", name);
}

static void close_range(struct arena *arena, struct group *group)
{
	const char *comma = group->ranges ? ", " : "";

	if (group->ranges > LINES_MAX)
		return;
	if (group->ranges == LINES_MAX)
		group->lines = arena_printf(arena, "%s and more", group->lines);
	else if (group->first == group->last)
		group->lines = arena_printf(arena, "%s%s%u", group->lines, comma, group->first);
	else
		group->lines =
			arena_printf(arena, "%s%s%u-%u", group->lines, comma, group->first, group->last);
	group->ranges++;
}

static void add_line(struct arena *arena, struct group *group, unsigned line)
{
	if (group->uses++ && (line == group->last || line == group->last + 1)) {
		group->last = line;
		return;
	}
	if (group->uses > 1)
		close_range(arena, group);
	group->first = group->last = line;
}

static void say_group(struct uses *uses, size_t from)
{
	const struct option_use *first = uses->list[from];
	const struct treatment_info *treatment = &treatment_table[first->treatment];
	struct arena *arena = &uses->config->arena;
	struct group *group = arena_alloc(arena, sizeof(*group));
	size_t i;

	group->text = group->lines = "";
	for (i = from; i < uses->count; i++) {
		if (!uses->list[i] || !same_reason(first, uses->list[i]))
			continue;
		add_name(arena, group, uses->list[i]->word);
		add_line(arena, group, uses->list[i]->at.line);
		uses->list[i] = NULL;
	}
	if (group->uses > 1) {
		close_range(arena, group);
		group->text = arena_printf(arena, "%s (line%s %s)", group->text,
					   group->ranges > 1 || group->first != group->last ? "s" : "",
					   group->lines);
	}
	config_say(uses->config, treatment->answer == ANSWER_WARN ? CONFIG_WARNING : CONFIG_NOTE, &first->at,
		   "%s: %s", group->text, treatment->words);
}

void report_unused(struct config *config)
{
	struct uses uses = { .config = config };
	const struct resource *resource;
	size_t i;

	collect(&uses, &config->remarks);
	collect(&uses, &config->global);
	collect(&uses, &config->common);
	for (resource = config->resources; resource; resource = resource->next) {
		if (resource->mine)
			collect(&uses, &resource->body);
	}
	for (i = 0; i < uses.count; i++) {
		if (uses.list[i])
			say_group(&uses, i);
	}
}
