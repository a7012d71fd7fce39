/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of options (options.def, treatments.def) and the check of one value against it. */
#ifndef DRBDX_CONFIG_OPTION_H
#define DRBDX_CONFIG_OPTION_H

#include "config/arena.h"
#include "config/number.h"

enum section {
	SECTION_GLOBAL,
	SECTION_NET,
	SECTION_DISK,
	SECTION_SYNCER,
	SECTION_STARTUP,
	SECTION_HANDLERS,
	SECTION_OPTIONS,
	SECTION_COUNT
};

enum option_kind {
	KIND_BOOL,
	KIND_NUMBER,
	KIND_ENUM,
	KIND_PROTOCOL,
	KIND_STRING,
	KIND_HMAC,
	KIND_DIGEST,
	KIND_SECRET,
	KIND_QUORUM,
	KIND_COMMAND
};

enum option_answer { ANSWER_OBEY, ANSWER_NOTE, ANSWER_WARN, ANSWER_REFUSE };

enum option_treatment {
#define TREATMENT(name, answer, words) TREATMENT_##name,
#include "config/treatments.def"
#undef TREATMENT
	TREATMENT_COUNT
};

enum option_id {
#define OPT(section, ident, name, kind, min, max, unit, normal, treatment, values) OPTION_##section##_##ident,
#include "config/options.def"
#undef OPT
	OPTION_COUNT
};

struct option_info {
	enum section section;
	const char *name;
	enum option_kind kind;
	uint64_t min, max;
	enum number_unit unit;
	const char *normal;
	enum option_treatment treatment;
	const char *values;
};

struct treatment_info {
	enum option_answer answer;
	const char *words;
};

extern const struct option_info option_table[OPTION_COUNT];
extern const struct treatment_info treatment_table[TREATMENT_COUNT];
extern const char *const section_names[SECTION_COUNT];

/* OPTION_COUNT if the section has no such option. `no-X` finds the switch X and sets *negated. */
enum option_id option_find(enum section, const char *word, bool *negated);

/* The first section that has such an option, SECTION_COUNT if none has. */
enum section option_section(const char *word);

/*
 * Checks a value (NULL: none was written) and puts its canonical text into *value: "yes" or "no" of a switch,
 * the number in the option's unit, otherwise what was written. NULL if it is right, else what is wrong with
 * it.
 */
const char *option_check(struct arena *, enum option_id, bool negated, const char **value, uint64_t *number);

/* Which of an ENUM's words (options.def) a value is, from 0: the enumerators in config.h are in their order.
 */
unsigned option_position(enum option_id, const char *value);

/* Nothing needs to be said about the option when it has this canonical value. */
bool option_is_normal(enum option_id, const char *value);

#endif
