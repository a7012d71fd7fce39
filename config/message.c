/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the user is told, by file and line: each thing once, and not without end. */
#include <string.h>

#include "config/tree.h"

#define MESSAGES_MAX 200

static bool said_before(const struct config *config, const struct location *at, const char *text)
{
	size_t i;

	for (i = 0; i < config->message_count; i++) {
		const struct config_message *m = &config->messages[i];

		if (m->line == at->line && !strcmp(m->file, at->file) && !strcmp(m->text, text))
			return true;
	}
	return false;
}

/* Text from the file may hold anything; a terminal or a log gets no control characters. */
static void clean(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

static void add(struct config *config, enum config_severity severity, const struct location *at, char *text)
{
	struct config_message *m;

	if (!config->messages)
		config->messages = arena_alloc(&config->arena, MESSAGES_MAX * sizeof(*config->messages));
	m = &config->messages[config->message_count++];
	m->severity = severity;
	m->file = arena_strdup(&config->arena, at->file);
	m->line = at->line;
	m->text = text;
}

static bool said_enough(const struct config *config)
{
	return config->message_count == MESSAGES_MAX;
}

void config_say(struct config *config, enum config_severity severity, const struct location *at,
		const char *format, ...)
{
	va_list args;
	char *text;

	if (severity == CONFIG_ERROR)
		config->failed = true;
	if (said_enough(config)) {
		if (severity == CONFIG_ERROR)
			config->messages[MESSAGES_MAX - 1].severity = CONFIG_ERROR;
		return;
	}
	va_start(args, format);
	text = arena_vprintf(&config->arena, format, args);
	va_end(args);
	clean(text);
	if (said_before(config, at, text))
		return;
	if (config->message_count == MESSAGES_MAX - 1) {
		severity = config->failed ? CONFIG_ERROR : CONFIG_WARNING;
		text = arena_strdup(&config->arena, "too many messages, the rest is not shown");
	}
	add(config, severity, at, text);
}

void config_message_print(FILE *to, const struct config_message *m)
{
	static const char *const prefix[] = {
		[CONFIG_NOTE] = "note: ",
		[CONFIG_WARNING] = "warning: ",
		[CONFIG_ERROR] = "",
	};

	if (m->line)
		fprintf(to, "%s:%u: %s%s\n", m->file, m->line, prefix[m->severity], m->text);
	else
		fprintf(to, "%s: %s%s\n", m->file, prefix[m->severity], m->text);
}
