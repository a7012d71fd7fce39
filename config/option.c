/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of options and the check of one value against it. */
#include "config/option.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "config/digest.h"

#define SECRET_MAX 63 /* DRBD's limit: 64 with the terminating zero */

const struct option_info option_table[OPTION_COUNT] = {
#define OPT(section, ident, name, kind, min, max, unit, normal, treatment, values) \
	{ \
		SECTION_##section, name,   KIND_##kind,		  min,	 max, \
		UNIT_##unit,	   normal, TREATMENT_##treatment, values \
	},
#include "config/options.def"
#undef OPT
};

const struct treatment_info treatment_table[TREATMENT_COUNT] = {
#define TREATMENT(name, answer, words) { ANSWER_##answer, words },
#include "config/treatments.def"
#undef TREATMENT
};

const char *const section_names[SECTION_COUNT] = {
	[SECTION_GLOBAL] = "global",   [SECTION_NET] = "net",	      [SECTION_DISK] = "disk",
	[SECTION_SYNCER] = "syncer",   [SECTION_STARTUP] = "startup", [SECTION_HANDLERS] = "handlers",
	[SECTION_OPTIONS] = "options",
};

static bool names(const struct option_info *info, const char *word, bool *negated)
{
	*negated = false;
	if (!strcmp(info->name, word))
		return true;
	*negated = true;
	return info->kind == KIND_BOOL && !strncmp(word, "no-", 3) && !strcmp(info->name, word + 3);
}

enum option_id option_find(enum section section, const char *word, bool *negated)
{
	unsigned id;

	for (id = 0; id < OPTION_COUNT; id++) {
		if (option_table[id].section == section && names(&option_table[id], word, negated))
			break;
	}
	return (enum option_id)id;
}

enum section option_section(const char *word)
{
	unsigned id;
	bool negated;

	for (id = 0; id < OPTION_COUNT; id++) {
		if (names(&option_table[id], word, &negated))
			return option_table[id].section;
	}
	return SECTION_COUNT;
}

static const char *check_bool(bool negated, const char **value)
{
	if (negated && *value)
		return "takes no value: write it alone, or without 'no-' and with yes or no";
	if (!*value)
		*value = negated ? "no" : "yes";
	else if (strcmp(*value, "yes") && strcmp(*value, "no"))
		return "is yes or no";
	return NULL;
}

static const char *check_number(struct arena *arena, const struct option_info *info, const char **value,
				uint64_t *number)
{
	if (!number_parse(*value, info->unit, number))
		return arena_printf(arena, "is a number, with K, M, G or s (sectors) as a unit, not '%s'",
				    *value);
	if (*number < info->min || *number > info->max)
		return arena_printf(arena, "%s is out of range [%" PRIu64 "..%" PRIu64 "]", *value, info->min,
				    info->max);
	*value = arena_printf(arena, "%" PRIu64, *number);
	return NULL;
}

/* The place of a word in "a|b|c", from 0; -1: it is not there. */
static int place(const char *values, const char *value)
{
	size_t len, given = strlen(value);
	int n;

	for (n = 0; *values; values += len + (values[len] == '|'), n++) {
		len = strcspn(values, "|");
		if (len == given && !memcmp(values, value, len))
			return n;
		if (values[len - 1] == '*' && given >= len && !memcmp(values, value, len - 1))
			return n;
	}
	return -1;
}

static bool one_of(const char *values, const char *value)
{
	return place(values, value) >= 0;
}

static const char *check_enum(struct arena *arena, const struct option_info *info, const char **value)
{
	if (one_of(info->values, *value))
		return NULL;
	return arena_printf(arena, "is one of %s, not '%s'", info->values, *value);
}

static const char *check_protocol(struct arena *arena, const struct option_info *info, const char **value)
{
	static const char *const letters[] = { "A", "B", "C" };
	size_t i;

	for (i = 0; i < 3; i++) {
		if (!strcasecmp(*value, letters[i])) {
			*value = letters[i];
			return NULL;
		}
	}
	return check_enum(arena, info, value);
}

static const char *check_secret(struct arena *arena, const char *value)
{
	size_t len = strlen(value);

	if (!len)
		return "is empty";
	if (len > SECRET_MAX)
		return arena_printf(arena, "has %zu characters, at most %d are allowed", len, SECRET_MAX);
	return NULL;
}

static const char *check_quorum(struct arena *arena, const char *value)
{
	uint64_t n;

	if (one_of("off|majority|all", value) || (number_plain(value, 32, &n) && n >= 1))
		return NULL;
	return arena_printf(arena, "is off, majority, all or a number of 1 to 32, not '%s'", value);
}

const char *option_check(struct arena *arena, enum option_id id, bool negated, const char **value,
			 uint64_t *number)
{
	const struct option_info *info = &option_table[id];

	*number = 0;
	if (info->kind == KIND_BOOL)
		return check_bool(negated, value);
	if (!*value)
		return "needs a value";
	switch (info->kind) {
	case KIND_NUMBER:
		return check_number(arena, info, value, number);
	case KIND_ENUM:
		return check_enum(arena, info, value);
	case KIND_PROTOCOL:
		return check_protocol(arena, info, value);
	case KIND_HMAC:
		return digest_authenticates(*value)
			       ? NULL
			       : arena_printf(arena, "'%s' is no digest known here that can authenticate",
					      *value);
	case KIND_DIGEST:
		return !**value || digest_compares(*value)
			       ? NULL
			       : arena_printf(arena, "'%s' is no digest known here", *value);
	case KIND_SECRET:
		return check_secret(arena, *value);
	case KIND_QUORUM:
		return check_quorum(arena, *value);
	case KIND_COMMAND:
		return **value ? NULL : "is empty";
	case KIND_BOOL:
	case KIND_STRING:
		break;
	}
	return NULL;
}

unsigned option_position(enum option_id id, const char *value)
{
	return (unsigned)place(option_table[id].values, value);
}

bool option_is_normal(enum option_id id, const char *value)
{
	return option_table[id].normal && !strcmp(option_table[id].normal, value);
}
