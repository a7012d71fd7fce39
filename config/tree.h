/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was read, before it is given a meaning: the tree that the grammar (drbd.y) builds with the tree_*
 * functions. Everything lies in the configuration's arena. Wrong values are reported when they are read, with
 * their line.
 */
#ifndef DRBDX_CONFIG_TREE_H
#define DRBDX_CONFIG_TREE_H

#include <glob.h>
#include <ifaddrs.h>

#include "config/arena.h"
#include "config/config.h"
#include "config/option.h"

struct location {
	const char *file; /* NULL: never written */
	unsigned line;
};

/* One option as written. */
struct option_use {
	struct option_use *next; /* in the order of the file */
	struct location at;
	enum option_id id;
	enum option_treatment treatment;
	const char *word;  /* its name as written: may begin with "no-" */
	const char *value; /* canonical: see option_check() */
	uint64_t number;
};

/* The options of `global`, of `common` or of a resource. */
struct body {
	struct location at, sections[SECTION_COUNT];
	struct option_use *first, **tail;
	struct option_use *last[OPTION_COUNT]; /* the one that counts */
};

struct name {
	struct name *next;
	struct location at;
	const char *text;
};

struct refusal {
	struct refusal *next;
	struct location at;
	const char *text;
};

/* An `on` or `floating` section, or the statements at the level of a resource that such sections inherit. */
struct host {
	struct host *next;
	struct location at;
	struct name *names;
	bool floating;
	struct location device_at, disk_at, meta_at, address_at, volume_at;
	struct config_host value;
};

struct resource {
	struct resource *next;
	unsigned number; /* in the order of the files, from 0 */
	const char *name;
	struct body body;
	struct host defaults;
	struct host *hosts, **host_tail;
	unsigned host_count;
	struct refusal *refusals, **refusal_tail;
	bool has_volume;
	bool mine; /* has a section for this host */
	uint64_t volume;
};

struct file_seen; /* source.c */

struct config {
	struct arena arena;
	struct config_message *messages;
	size_t message_count;
	bool failed; /* a message was an error */
	bool broken; /* so much that what was read has holes */
	struct body global, common;
	struct resource *resources, **resource_tail;
	unsigned resource_count;
	struct body remarks; /* statements without effect that are no options; `id` means nothing there */
	struct file_seen *files;
	int open_file; /* source.c: -1 when none is */
	glob_t found;
	bool has_found;
	struct ifaddrs *addresses; /* of this host */
	/* what the grammar is in the middle of */
	struct resource *resource; /* NULL in common */
	struct body *body;
	struct host *host, *outside; /* `outside` the volume that is being read */
	enum section section;
	/* the result */
	struct config_resource *served;
	size_t served_count;
	bool secret_judged; /* a short secret has been spoken of */
};

/* message.c: one more message; the 200th is the last, errors still count. */
void config_say(struct config *, enum config_severity, const struct location *, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* tree.c: called by the grammar in the order of the text. */
void tree_init(struct config *);
void tree_global(struct config *, const struct location *);
void tree_common(struct config *, const struct location *);
void tree_resource(struct config *, const struct location *, const char *name);
void tree_body_end(struct config *);
void tree_section(struct config *, const struct location *, enum section);
void tree_section_inner(struct config *, enum section);
void tree_option(struct config *, const struct location *, const char *word, const char *value);
void tree_protocol(struct config *, const struct location *, const char *value);
struct name *tree_name(struct config *, const struct location *, const char *text, struct name *next);
void tree_on(struct config *, const struct location *, struct name *names);
void tree_floating(struct config *, const struct location *);
void tree_host_end(struct config *);
void tree_volume(struct config *, const struct location *, const char *number);
void tree_volume_end(struct config *);
void tree_refuse(struct config *, const struct location *, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void tree_mesh(struct config *, const struct location *, const struct name *hosts);
void tree_remark(struct config *, const struct location *, const char *word, enum option_treatment);

/* host.c: the statements of a host. `minor`, `index` may be NULL. */
void host_device(struct config *, const struct location *, const char *name, const char *minor);
void host_disk(struct config *, const struct location *, const char *path);
void host_meta(struct config *, const struct location *, const char *path, const char *index);
void host_address(struct config *, const struct location *, const char *family, const char *address,
		  const char *port);

/* source.c: the first file; a file or pattern that an include statement names; what is open when reading was
 * broken off. */
void source_first(struct config *, const char *path);
void source_include(struct config *, const struct location *, const char *path);
void source_dispose(struct config *);
/* In drbd.l: parses a text of `len` bytes, followed by two zero bytes; the text is used up. */
void source_parse(struct config *, const char *file, char *text, size_t len);

/* claim.c: what may be used only once in the whole configuration. */
void claim_check(struct config *);

/* select.c: the section of config->resource that is this host's; NULL if none is. Two that could be refuse
 * the resource. */
struct host *select_self(struct config *, const char *hostname);
/* The host has that name, in whatever case, with or without the domain. */
bool host_is_named(const struct host *, const char *name);

/* resource.c: gives the tree its meaning for one host; fills `served`. */
void resource_build(struct config *, const char *hostname);
/* The use of an option that counts for a resource; NULL if it is nowhere given. */
const struct option_use *resource_option(const struct config *, const struct resource *, enum option_id);

/* report.c: says what is not acted upon, in `global`, `common` and the resources marked `mine`. */
void report_unused(struct config *);

#endif
