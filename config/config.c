/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loading a configuration: read, check, give a meaning, report; and the way out when memory ends. */
#include "config/config.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

#include "config/tree.h"

static void load(struct config *config, const char *path, const char *hostname)
{
	tree_init(config);
	source_first(config, arena_strdup(&config->arena, path));
	if (config->broken)
		return;
	/* Without the list, floating sections are nobody's. */
	if (getifaddrs(&config->addresses) < 0)
		config->addresses = NULL;
	resource_build(config, hostname);
	claim_check(config);
	report_unused(config);
}

int config_load(const char *path, const char *hostname, struct config **out)
{
	struct config *config = calloc(1, sizeof(*config));
	jmp_buf unwind;

	*out = config;
	if (!config)
		return -ENOMEM;
	config->open_file = -1;
	config->arena.unwind = &unwind;
	if (setjmp(unwind)) {
		config_free(*out);
		*out = NULL;
		return -ENOMEM;
	}
	load(*out, path, hostname);
	(*out)->arena.unwind = NULL;
	if (!(*out)->failed)
		return 0;
	(*out)->served_count = 0;
	return -EINVAL;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	source_dispose(config);
	if (config->addresses)
		freeifaddrs(config->addresses);
	arena_dispose(&config->arena);
	free(config);
}

size_t config_messages(const struct config *config, const struct config_message **messages)
{
	*messages = config->messages;
	return config->message_count;
}

size_t config_resources(const struct config *config, const struct config_resource **resources)
{
	*resources = config->served;
	return config->served_count;
}

const struct config_resource *config_find(const struct config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->served_count; i++) {
		if (!strcmp(config->served[i].name, name))
			return &config->served[i];
	}
	return NULL;
}
