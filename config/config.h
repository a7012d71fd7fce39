/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: drbd.conf files in, typed and checked values out.
 *
 * What DRBD 8.3, 8.4 and 9 accept is accepted (the union of the three); what drbdx does not do is said once,
 * by file and line. Three answers to a statement that cannot be obeyed: error    the text has no meaning
 * (unknown word, value out of range, two resources on one disk): nothing is loaded refused  the text is
 * right, but serving the resource without it would be less durable or less secure than asked for, or its
 * shape is not supported: that resource is not served, the others are note     nothing is lost by not acting
 * upon it, or by doing something safer: the resource is served
 */
#ifndef DRBDX_CONFIG_CONFIG_H
#define DRBDX_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#define CONFIG_PATH "/etc/drbdx.conf"

/* drbdx's own values where the file gives none: a dead partner is noticed in 1.5 s, a live one given 42 s. */
#define CONFIG_DEFAULT_PING_INT_MS 500
#define CONFIG_DEFAULT_PING_TIMEOUT_MS 1000
#define CONFIG_DEFAULT_CONNECT_INT_MS 500
#define CONFIG_DEFAULT_TIMEOUT_MS 6000
#define CONFIG_DEFAULT_KO_COUNT 7
#define CONFIG_DEFAULT_AL_EXTENTS 1237

enum config_severity { CONFIG_NOTE, CONFIG_WARNING, CONFIG_ERROR };

/* `line` 0: the message is about the whole file. Printed as FILE:LINE: [note: |warning: ]text. */
struct config_message {
	enum config_severity severity;
	char *file;
	unsigned line;
	char *text;
};

enum config_meta_index {
	CONFIG_META_INTERNAL = -2, /* at the end of the data disk; meta_disk is NULL */
	CONFIG_META_FLEXIBLE = -1, /* all of meta_disk */
				   /* 0 and more: that slot of 128 MiB in meta_disk */
};

enum config_on_io_error { CONFIG_PASS_ON, CONFIG_CALL_LOCAL_IO_ERROR, CONFIG_DETACH };

/* One `on` or `floating` section with what it inherits from the resource. */
struct config_host {
	const char *name;	      /* as written; of a floating section "ADDRESS:PORT" */
	struct sockaddr_storage addr; /* AF_INET or AF_INET6, with the port */
	socklen_t addr_len;
	unsigned minor;	    /* a label only: there is no /dev/drbdN */
	const char *device; /* "/dev/drbdN" or "/dev/drbd_NAME" */
	const char *disk;
	const char *meta_disk;
	int meta_index; /* enum config_meta_index, or a slot number */
};

/*
 * One resource of this host. When `refused` is set it must not be served, and `self` and `peer` may be NULL.
 * A `..._set` member is true when the file gives the value; otherwise the value is drbdx's own default.
 */
struct config_resource {
	const char *name;
	const char *file; /* where the resource section begins */
	unsigned line;
	const char *refused; /* NULL, or "FILE:LINE: why this resource is not served" */
	const struct config_host *self, *peer;
	const char *cram_hmac_alg, *shared_secret; /* both or neither */
	unsigned timeout_ms, ping_int_ms, ping_timeout_ms, connect_int_ms;
	unsigned ko_count; /* 0: a slow partner is never dropped */
	unsigned al_extents;
	bool timeout_set, ping_int_set, ping_timeout_set, connect_int_set, ko_count_set;
	bool al_extents_set, on_io_error_set;
	enum config_on_io_error on_io_error;
};

struct config; /* owns everything it hands out */

/*
 * Reads `path` and what it includes, as the host `hostname` (uname -n). 0 even when there are notes and
 * warnings; -EINVAL when a message is an error: *out is then a configuration without resources that carries
 * the messages. -ENOMEM: *out is NULL. The caller gives *out to config_free().
 */
int config_load(const char *path, const char *hostname, struct config **out);
void config_free(struct config *); /* NULL is fine */

/* Number of messages, in *messages an array of them, in the order in which they were found. */
size_t config_messages(const struct config *, const struct config_message **messages);

/* Number of resources that have a section for this host, refused ones included, in the order of the file. */
size_t config_resources(const struct config *, const struct config_resource **resources);

/* NULL if this host has no such resource. */
const struct config_resource *config_find(const struct config *, const char *name);

/* Prints one message and a newline. */
void config_message_print(FILE *, const struct config_message *);

#endif
