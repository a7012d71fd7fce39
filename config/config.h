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
/* The longest that the start of a guest waits for the partner: xl would not wait for more (CLAIM_LONGEST_MS). */
#define CONFIG_START_WAIT_MAX_SECONDS 27
/* What the activity log can do (backend/actlog.h; a test compares). Other values are moved into it, and that
 * is said. */
#define CONFIG_AL_EXTENTS_MIN		     7
#define CONFIG_AL_EXTENTS_MAX		     5000
/* DRBD 8.4's. A file of 8.3 (`syncer { rate … }` and no c-* option) means a fixed rate: then c_plan_ahead_ms
 * is 0. */
#define CONFIG_DEFAULT_RESYNC_RATE_KIB	     250
#define CONFIG_DEFAULT_C_PLAN_AHEAD_MS	     2000
#define CONFIG_DEFAULT_C_DELAY_TARGET_MS     100 /* DRBD 8.4: 1000; it is what the next request of a quiet guest may wait for */
#define CONFIG_DEFAULT_C_FILL_TARGET_SECTORS 0 /* DRBD 8.4: 100, less than one copy */
#define CONFIG_DEFAULT_C_MAX_RATE_KIB	     (100 << 10)
#define CONFIG_DEFAULT_C_MIN_RATE_KIB	     4096 /* as DRBD 8.3; with 250 of 8.4 a resync under a guest that never rests takes days */

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

/* Choices, in the order of the words in options.def. */
enum config_on_io_error { CONFIG_PASS_ON, CONFIG_CALL_LOCAL_IO_ERROR, CONFIG_DETACH };
enum config_on_wfc_timeout { CONFIG_REFUSE_START, CONFIG_FORCE_PRIMARY };
enum config_no_data { CONFIG_IO_ERROR, CONFIG_SUSPEND_IO };
enum config_fencing { CONFIG_DONT_CARE, CONFIG_RESOURCE_ONLY, CONFIG_RESOURCE_AND_STONITH };
enum config_rr_conflict {
	CONFIG_RR_DISCONNECT,
	CONFIG_RR_CALL_PRI_LOST,
	CONFIG_RR_VIOLENTLY,
	CONFIG_RR_RETRY_CONNECT,
	CONFIG_RR_AUTO_DISCARD
};
enum config_after_sb_0pri {
	CONFIG_0PRI_DISCONNECT,
	CONFIG_0PRI_DISCARD_YOUNGER_PRIMARY,
	CONFIG_0PRI_DISCARD_OLDER_PRIMARY,
	CONFIG_0PRI_DISCARD_ZERO_CHANGES,
	CONFIG_0PRI_DISCARD_LEAST_CHANGES,
	CONFIG_0PRI_DISCARD_HOST, /* discard-local, -remote and -node-HOST: after_sb_discard says whose */
};
enum config_after_sb_1pri {
	CONFIG_1PRI_DISCONNECT,
	CONFIG_1PRI_CONSENSUS,
	CONFIG_1PRI_DISCARD_SECONDARY,
	CONFIG_1PRI_CALL_PRI_LOST,
	CONFIG_1PRI_VIOLENTLY
};
enum config_after_sb_2pri { CONFIG_2PRI_DISCONNECT, CONFIG_2PRI_CALL_PRI_LOST, CONFIG_2PRI_VIOLENTLY };

enum config_handler {
	CONFIG_PRI_ON_INCON_DEGR,
	CONFIG_PRI_LOST_AFTER_SB,
	CONFIG_PRI_LOST,
	CONFIG_INITIAL_SPLIT_BRAIN,
	CONFIG_SPLIT_BRAIN,
	CONFIG_FENCE_PEER, /* outdate-peer is its old name */
	CONFIG_UNFENCE_PEER,
	CONFIG_LOCAL_IO_ERROR,
	CONFIG_BEFORE_RESYNC_TARGET,
	CONFIG_AFTER_RESYNC_TARGET,
	CONFIG_BEFORE_RESYNC_SOURCE,
	CONFIG_OUT_OF_SYNC,
	CONFIG_QUORUM_LOST,
	CONFIG_DISCONNECTED,
	CONFIG_HANDLER_COUNT
};

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
	enum config_no_data on_no_data_accessible;
	unsigned disk_timeout_ms; /* 0: a disk may take for ever */
	enum config_fencing fencing;
	/* a guest is started, and the partner is not there */
	unsigned wfc_timeout_s, degr_wfc_timeout_s; /* 0: it is waited for for ever */
	enum config_on_wfc_timeout on_wfc_timeout;
	/* two nodes that parted */
	enum config_after_sb_0pri after_sb_0pri;
	enum config_after_sb_1pri after_sb_1pri;
	enum config_after_sb_2pri after_sb_2pri;
	const struct config_host *after_sb_discard; /* self or peer; NULL but with CONFIG_0PRI_DISCARD_HOST */
	bool always_asbp;
	enum config_rr_conflict rr_conflict;
	/* resync */
	unsigned resync_rate_kib; /* a second; with c_plan_ahead_ms 0 the rate, else the one to begin with */
	bool resync_rate_set, c_plan_ahead_set;
	unsigned c_plan_ahead_ms, c_delay_target_ms;
	unsigned c_fill_target_sectors; /* 0: c_delay_target_ms counts */
	unsigned c_max_rate_kib;	/* 0: no limit */
	unsigned c_min_rate_kib;	/* 0: a guest's I/O does not slow the resync */
	const char *csums_alg;		/* NULL: without */
	bool csums_after_crash_only;
	const char *resync_after;		    /* another resource of the configuration; NULL: none */
	const char *handlers[CONFIG_HANDLER_COUNT]; /* command lines for /bin/sh -c; NULL: none */
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

/* Its name in the file, "fence-peer". */
const char *config_handler_name(enum config_handler);

/* Prints one message and a newline. */
void config_message_print(FILE *, const struct config_message *);

#endif
