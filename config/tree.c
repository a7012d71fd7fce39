/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Builds the tree of what was read, one call for each thing the grammar finds, in the order of the text. */
#include "config/tree.h"

#include <ctype.h>
#include <string.h>

static void body_init(struct body *body, const struct location *at)
{
	body->at = *at;
	body->tail = &body->first;
}

void tree_init(struct config *config)
{
	config->open_file = -1;
	config->resource_tail = &config->resources;
	config->global.tail = &config->global.first;
	config->common.tail = &config->common.first;
	config->remarks.tail = &config->remarks.first;
}

static bool begin_once(struct config *config, struct body *body, const struct location *at, const char *what)
{
	if (body->at.file) {
		config_say(config, CONFIG_ERROR, at, "there is already a section '%s' at %s:%u", what,
			   body->at.file, body->at.line);
		return false;
	}
	body_init(body, at);
	return true;
}

void tree_global(struct config *config, const struct location *at)
{
	if (begin_once(config, &config->global, at, "global") && config->resources)
		config_say(config, CONFIG_WARNING, at,
			   "the section 'global' should come before the first resource");
	config->resource = NULL;
	config->body = &config->global;
	config->section = SECTION_GLOBAL;
}

void tree_common(struct config *config, const struct location *at)
{
	begin_once(config, &config->common, at, "common");
	config->resource = NULL;
	config->body = &config->common;
	config->host = arena_alloc(&config->arena, sizeof(*config->host));
}

static const char *unusable_name(const char *name)
{
	const char *p;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return "names a directory";
	if (strlen(name) > 128)
		return "has more than 128 characters";
	for (p = name; *p; p++) {
		if (*p == '/' || iscntrl((unsigned char)*p))
			return "has a slash or a control character";
	}
	return NULL;
}

void tree_resource(struct config *config, const struct location *at, const char *name)
{
	struct resource *resource = arena_alloc(&config->arena, sizeof(*resource));

	body_init(&resource->body, at);
	resource->name = name;
	resource->number = config->resource_count++;
	resource->defaults.at = *at;
	resource->host_tail = &resource->hosts;
	resource->refusal_tail = &resource->refusals;
	*config->resource_tail = resource;
	config->resource_tail = &resource->next;
	config->resource = resource;
	config->body = &resource->body;
	config->host = &resource->defaults;
	if (!*name)
		config_say(config, CONFIG_ERROR, at, "a resource needs a name");
	else if (unusable_name(name))
		tree_refuse(config, at, "its name %s", unusable_name(name));
}

void tree_body_end(struct config *config)
{
	config->resource = NULL;
	config->body = NULL;
	config->host = NULL;
}

void tree_section(struct config *config, const struct location *at, enum section section)
{
	struct location *first = &config->body->sections[section];

	if (first->file)
		config_say(config, CONFIG_ERROR, at, "there is already a section '%s' at %s:%u",
			   section_names[section], first->file, first->line);
	*first = *at;
	config->section = section;
}

/* A section inside a volume or a connection-mesh: its options are those of the resource, and it may come
 * again. */
void tree_section_inner(struct config *config, enum section section)
{
	config->section = section;
}

static void unknown_option(struct config *config, const struct location *at, const char *word)
{
	enum section other = option_section(word);

	if (other != SECTION_COUNT)
		config_say(config, CONFIG_ERROR, at, "'%s' is no option of section '%s' (but of '%s')", word,
			   section_names[config->section], section_names[other]);
	else
		config_say(config, CONFIG_ERROR, at, "'%s' is no option of section '%s'", word,
			   section_names[config->section]);
}

static void add_use(struct config *config, struct option_use *use)
{
	struct body *body = config->body;
	const struct option_use *before = body->last[use->id];

	if (before)
		config_say(config, CONFIG_WARNING, &use->at, "'%s' again: this one counts, not that of %s:%u",
			   use->word, before->at.file, before->at.line);
	*body->tail = use;
	body->tail = &use->next;
	body->last[use->id] = use;
}

void tree_option(struct config *config, const struct location *at, const char *word, const char *value)
{
	bool negated;
	enum option_id id = option_find(config->section, word, &negated);
	struct option_use *use;
	const char *wrong;

	if (id == OPTION_COUNT) {
		unknown_option(config, at, word);
		return;
	}
	use = arena_alloc(&config->arena, sizeof(*use));
	use->at = *at;
	use->id = id;
	use->word = word;
	use->treatment = option_table[id].treatment;
	use->value = value;
	wrong = option_check(&config->arena, id, negated, &use->value, &use->number);
	if (wrong)
		config_say(config, CONFIG_ERROR, at, "%s %s", word, wrong);
	else
		add_use(config, use);
}

void tree_protocol(struct config *config, const struct location *at, const char *value)
{
	config->section = SECTION_NET;
	tree_option(config, at, "protocol", value);
}

struct name *tree_name(struct config *config, const struct location *at, const char *text, struct name *next)
{
	struct name *name = arena_alloc(&config->arena, sizeof(*name));

	name->next = next;
	name->at = *at;
	name->text = text;
	return name;
}

static struct host *add_host(struct config *config, const struct location *at, const char *what)
{
	struct host *host = arena_alloc(&config->arena, sizeof(*host));

	host->at = *at;
	config->host = host;
	if (!config->resource) {
		config_say(config, CONFIG_ERROR, at, "'%s' is not allowed in common, only in a resource",
			   what);
		return host;
	}
	*config->resource->host_tail = host;
	config->resource->host_tail = &host->next;
	config->resource->host_count++;
	return host;
}

static struct name *reversed(struct name *names)
{
	struct name *done = NULL;

	while (names) {
		struct name *next = names->next;

		names->next = done;
		done = names;
		names = next;
	}
	return done;
}

/* `names` has the last one first. */
void tree_on(struct config *config, const struct location *at, struct name *names)
{
	struct host *host = add_host(config, at, "on");

	host->names = reversed(names);
	host->value.name = host->names->text;
}

void tree_floating(struct config *config, const struct location *at)
{
	add_host(config, at, "floating")->floating = true;
}

void tree_host_end(struct config *config)
{
	if (config->resource)
		config->host = &config->resource->defaults;
}

static bool another_volume(struct config *config, uint64_t n)
{
	struct resource *resource = config->resource;

	if (!resource)
		return false;
	if (resource->has_volume && resource->volume != n)
		return true;
	resource->has_volume = true;
	resource->volume = n;
	return false;
}

/* The one volume of a resource is the resource; a second one goes nowhere and refuses it. */
void tree_volume(struct config *config, const struct location *at, const char *number)
{
	uint64_t n;

	config->outside = config->host;
	if (!number_plain(number, 65535, &n)) {
		config_say(config, CONFIG_ERROR, at, "volume number %s is out of range [0..65535]", number);
	} else if (another_volume(config, n)) {
		tree_refuse(config, at, "it has more than one volume; make each a resource of its own");
		config->host = arena_alloc(&config->arena, sizeof(*config->host));
	} else if (config->host->volume_at.file) {
		config_say(config, CONFIG_ERROR, at, "there is already a volume %s at %s:%u", number,
			   config->host->volume_at.file, config->host->volume_at.line);
	} else {
		config->host->volume_at = *at;
	}
}

void tree_volume_end(struct config *config)
{
	config->host = config->outside;
}

void tree_refuse(struct config *config, const struct location *at, const char *format, ...)
{
	struct refusal *refusal = arena_alloc(&config->arena, sizeof(*refusal));
	va_list args;

	refusal->at = *at;
	va_start(args, format);
	refusal->text = arena_vprintf(&config->arena, format, args);
	va_end(args);
	if (!config->resource) {
		config_say(config, CONFIG_WARNING, at, "no effect in common: %s", refusal->text);
		return;
	}
	*config->resource->refusal_tail = refusal;
	config->resource->refusal_tail = &refusal->next;
}

void tree_mesh(struct config *config, const struct location *at, const struct name *hosts)
{
	unsigned count = 0;

	for (; hosts; hosts = hosts->next)
		count++;
	if (count != 2)
		tree_refuse(config, at, "its connection-mesh has %u hosts; drbdx replicates between two",
			    count);
}

void tree_remark(struct config *config, const struct location *at, const char *word,
		 enum option_treatment treatment)
{
	struct option_use *use = arena_alloc(&config->arena, sizeof(*use));

	use->at = *at;
	use->id = OPTION_COUNT;
	use->treatment = treatment;
	use->word = word;
	*config->remarks.tail = use;
	config->remarks.tail = &use->next;
}
