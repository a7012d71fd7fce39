/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The document that `status` answers: see control_status.h for the conventions and docs/CONTROL.md for the
 * keys.
 */
#include "backend/control_status.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/control.h"

#include "backend/supported.h"

#ifndef DRBDX_VERSION
#define DRBDX_VERSION "0.1.0"
#endif

json_t *control_text(const char *text)
{
	json_t *value;
	char *copy;

	if (!text || !*text)
		return json_null();
	value = json_string(text);
	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return json_null();
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	value = json_string(copy);
	free(copy);
	return value ? value : json_null();
}

/* JSON integers are signed here; a count that high is a damaged one. */
static json_t *count(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *hex(uint64_t id)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, id);
	return json_string(text);
}

static json_t *age_seconds(uint64_t now_ms, uint64_t since_ms)
{
	return count(now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0);
}

static json_t *address(const struct config_host *host)
{
	char ip[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];

	if (!host)
		return json_null();
	if (host->addr.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&host->addr;

		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		snprintf(text, sizeof(text), "%s:%u", ip, ntohs(in->sin_port));
	} else if (host->addr.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)&host->addr;

		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
		snprintf(text, sizeof(text), "[%s]:%u", ip, ntohs(in6->sin6_port));
	} else {
		return json_null();
	}
	return json_string(text);
}

/* "HELLO_SENT" as "HelloSent": the form in which DRBD's users know states. */
static json_t *state_text(const char *name)
{
	char text[64];
	size_t n = 0;
	bool upper = true;

	for (; *name && n < sizeof(text) - 1; name++) {
		if (*name == '_') {
			upper = true;
			continue;
		}
		text[n++] = upper || *name < 'A' || *name > 'Z' ? *name : (char)(*name - 'A' + 'a');
		upper = false;
	}
	text[n] = 0;
	return json_string(text);
}

/* DRBD's words where it has one for the state. */
static const char *const connection_names[CONNECTION_STATE_COUNT] = {
	[CONNECTION_DISCONNECTED] = "Connecting", [CONNECTION_DRAINING] = "Draining",
	[CONNECTION_HELLO_SENT] = "HelloSent",	  [CONNECTION_SETTLING] = "Settling",
	[CONNECTION_CONNECTED] = "Connected",	  [CONNECTION_REFUSED] = "StandAlone",
};
static const char *const connection_meanings[] = {
#define X(name, what) [CONNECTION_##name] = what,
	CONNECTION_STATES(X)
#undef X
};
static const char *const attachment_names[] = {
#define X(name, what) [ATTACHMENT_##name] = #name,
	ATTACHMENT_STATES(X)
#undef X
};
static const char *const xenbus_names[] = {
	"Unknown", "Initialising", "InitWait",	    "Initialised",  "Connected",
	"Closing", "Closed",	   "Reconfiguring", "Reconfigured",
};

json_t *control_status_new(const char *host, const char *problem)
{
	return json_pack("{s:b, s:i, s:s, s:o, s:o, s:[], s:[]}", "ok", 1, "schema", CONTROL_SCHEMA,
			 "version", DRBDX_VERSION, "host", control_text(host), "xenstored_problem",
			 control_text(problem), "resources", "unassigned_devices");
}

json_t *control_status_add(json_t *document, const struct config_resource *cfg)
{
	const struct config_host *self = cfg->self, *peer = cfg->peer;
	char refused[RESOURCE_TEXT];
	bool served = !supported_check(cfg, refused, sizeof(refused));
	json_t *entry;

	entry = json_pack("{s:o, s:o, s:b, s:o, s:n, s:n, s:{s:n, s:n, s:n, s:n, s:o, s:o, s:n}, s:{s:n, s:n, "
			  "s:o, s:n, s:n, s:n, s:n, s:n, s:n}, s:{s:n, s:n}, s:n, s:n, s:n, s:n,"
			  " s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:[]}",
			  "name", control_text(cfg->name), "minor",
			  self ? json_integer(self->minor) : json_null(), "up", 0, "config_refused",
			  control_text(served ? NULL : refused), "role", "peer_role", "connection", "state", "meaning",
			  "age_seconds", "why", "peer_host", control_text(peer ? peer->name : NULL),
			  "peer_address", address(peer), "protocol_version", "disk", "state", "why", "path",
			  control_text(self ? self->disk : NULL), "size_bytes", "block_size_bytes", "discard_unit_bytes", "discard_secure", "error", "hung",
			  "peer_disk", "state", "size_bytes", "out_of_sync", "resync", "alone", "awaited", "fencing", "io_suspended",
			  "sync_paused", "activity_log", "token", "generations", "superblock_flags", "reservation", "guest",
			  "frozen", "failing", "recovery", "refused", "hand_over", "in_flight", "counters", "devices");
	if (!entry || json_array_append_new(json_object_get(document, "resources"), entry))
		return NULL;
	return entry;
}

static void fill_connection(json_t *entry, const struct resource_status *st)
{
	json_t *connection = json_object_get(entry, "connection");
	enum connection_state state = st->core.connection;

	if ((unsigned int)state >= CONNECTION_STATE_COUNT)
		return;
	json_object_set_new(connection, "state", json_string(connection_names[state]));
	json_object_set_new(connection, "meaning", json_string(connection_meanings[state]));
	json_object_set_new(connection, "age_seconds", age_seconds(st->now_ms, st->core.connection_since_ms));
	json_object_set_new(connection, "why", control_text(st->core.why));
	if (st->peer_address[0])
		json_object_set_new(connection, "peer_address", control_text(st->peer_address));
	if (st->protocol)
		json_object_set_new(connection, "protocol_version", json_integer(st->protocol));
	json_object_set_new(entry, "refused",
			    state == CONNECTION_REFUSED ? control_text(st->core.why) : json_null());
}

static bool peer_is_known(const struct replicate_status *core)
{
	return core->peer_known &&
	       (core->connection == CONNECTION_SETTLING || core->connection == CONNECTION_CONNECTED ||
		core->connection == CONNECTION_REFUSED);
}

static void fill_disks(json_t *entry, const struct resource_status *st)
{
	json_t *disk = json_object_get(entry, "disk"), *peer = json_object_get(entry, "peer_disk");
	const struct features *agreed = &st->core.superblock.agreed;

	json_object_set_new(disk, "state", control_text(st->disk_state));
	json_object_set_new(disk, "why", control_text(st->disk_why));
	if (agreed->sectors) {
		json_object_set_new(disk, "size_bytes", count(agreed->sectors * 512));
		json_object_set_new(disk, "block_size_bytes", count(agreed->block_size));
	}
	if (st->core.superblock.discard_unit)
		json_object_set_new(disk, "discard_unit_bytes", count(1ull << st->core.superblock.discard_unit));
	json_object_set_new(disk, "discard_secure", json_boolean(st->core.superblock.discard_secure));
	if (st->hung)
		json_object_set_new(disk, "hung",
				    json_pack("{s:o, s:o}", "requests", count(st->hung), "age_seconds", count(st->hung_ms / 1000)));
	if (st->core.disk_error)
		json_object_set_new(disk, "error", control_text(strerror(abs(st->core.disk_error))));
	if (st->open)
		json_object_set_new(peer, "state", json_string(disk_state_name(st->core.peer_disk)));
	if (peer_is_known(&st->core))
		json_object_set_new(peer, "size_bytes", count(st->core.peer.offer.sectors * 512));
}

static json_t *held(const struct replicate_status *core, uint64_t now_ms)
{
	if (!core->held[0])
		return json_null();
	return json_pack("{s:o, s:o}", "reason", control_text(core->held), "age_seconds",
			 age_seconds(now_ms, core->held_since_ms));
}

/* The speed is the average since the resync began, and so is the estimate; null until there is one. */
static json_t *resync(const struct replicate_status *core, uint64_t now_ms)
{
	uint64_t total = core->sync_total, left = core->out_of_sync < total ? core->out_of_sync : total;
	uint64_t ms = now_ms > core->sync_since_ms ? now_ms - core->sync_since_ms : 0;
	uint64_t speed = ms ? (total - left) * 512 * 1000 / ms : 0;
	bool copying = core->sync == SYNC_STATE_SOURCE || core->sync == SYNC_STATE_TARGET;

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "state", sync_state_name(core->sync), "held",
			 held(core, now_ms), "age_seconds",
			 count(ms / 1000), "total_bytes", total ? count(total * 512) : json_null(), "done_percent",
			 total ? json_real((double)((total - left) * 1000 / total) / 10) : json_null(),
			 "speed_bytes_per_second", copying && speed ? count(speed) : json_null(), "estimate_seconds",
			 copying && speed ? count((left * 512 + speed - 1) / speed) : json_null());
}

static json_t *fencing(const struct replicate_status *core, uint64_t now_ms)
{
	static const char *const states[FENCE_STATE_COUNT] = { "not_yet", "running", "done", "failed" };

	return json_pack("{s:s, s:o, s:o}", "state", states[core->fence], "age_seconds", age_seconds(now_ms, core->fence_since_ms),
			 "why", control_text(core->fence_why));
}

/* The partner is not there: for how long it is waited for, and what then. */
static json_t *awaited(const struct replicate_status *core)
{
	return json_pack("{s:s, s:o, s:s}", "option", core->awaited_degraded ? "degr-wfc-timeout" : "wfc-timeout", "left_seconds",
			 count((core->awaited_ms + 999) / 1000), "then", core->awaited);
}

/* What differs, what is being done about it, and how that is remembered. */
static void fill_marks(json_t *entry, const struct resource_status *st)
{
	const struct replicate_status *core = &st->core;

	if (!st->open)
		return;
	json_object_set_new(entry, "out_of_sync",
			    json_pack("{s:o, s:b}", "bytes", count(core->out_of_sync * 512), "certain",
				      core->out_of_sync_known));
	if (core->sync != SYNC_STATE_OFF)
		json_object_set_new(entry, "resync", resync(core, st->now_ms));
	if (core->alone)
		json_object_set_new(entry, "alone",
				    json_pack("{s:o, s:o}", "generation", hex(core->superblock.gen.current),
					      "age_seconds", age_seconds(st->now_ms, core->connection_since_ms)));
	if (core->awaited)
		json_object_set_new(entry, "awaited", awaited(core));
	if (core->fence != FENCE_NOT_YET)
		json_object_set_new(entry, "fencing", fencing(core, st->now_ms));
	json_object_set_new(entry, "io_suspended", json_boolean(core->suspended));
	json_object_set_new(entry, "sync_paused", json_boolean(core->sync_paused));
	json_object_set_new(entry, "activity_log",
			    json_pack("{s:o, s:o, s:o, s:o}", "extents", count(core->superblock.al_extents), "used",
				      count(core->log_used), "writes", count(core->log_writes), "bitmap_writes",
				      count(core->bitmap_writes)));
}

static json_t *flags_list(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ SB_JUST_CREATED, "just_created" },
		{ SB_CONSISTENT, "consistent" },
		{ SB_IN_USE, "in_use" },
		{ SB_CRASHED, "crashed" },
		{ SB_OUTDATED, "outdated" },
		{ SB_FORCED, "forced" },
		{ SB_PEER_OUTDATED, "peer_outdated" },
		{ SB_MIXED, "mixed" },
		{ SB_FORCED_BY_WAIT, "forced_by_wait" },
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & names[i].flag)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

static const char *token_word(enum token token)
{
	return token == TOKEN_HELD ? "held" : token == TOKEN_GIVEN ? "given" : "none";
}

/* Left null while the metadata have not been read. */
static void fill_superblock(json_t *entry, const struct superblock *sb)
{
	if (!sb->name[0])
		return;
	json_object_set_new(entry, "token",
			    json_pack("{s:s, s:o, s:o}", "state", token_word(sb->token), "epoch",
				      count(sb->epoch), "base", count(sb->base)));
	json_object_set_new(entry, "generations",
			    json_pack("{s:o, s:o, s:[o, o]}", "current", hex(sb->gen.current), "bitmap",
				      hex(sb->gen.bitmap), "history", hex(sb->gen.history[0]),
				      hex(sb->gen.history[1])));
	json_object_set_new(entry, "superblock_flags", flags_list(sb->flags));
	if (sb->reservation)
		json_object_set_new(entry, "reservation", hex(sb->reservation));
}

static void fill_hand_over(json_t *entry, const struct handover_steps *steps)
{
	if (steps->reserve_us)
		json_object_set_new(entry, "hand_over",
				    json_pack("{s:o, s:o, s:o}", "reserve_microseconds", count(steps->reserve_us),
					      "commit_microseconds", count(steps->commit_us),
					      "first_request_microseconds", count(steps->use_us)));
}

static void fill_guest(json_t *entry, const struct replicate_status *core, uint64_t now_ms)
{
	bool primary = core->attachment == ATTACHMENT_ACTIVE || core->attachment == ATTACHMENT_RELEASING;

	json_object_set_new(entry, "role", json_string(primary ? "Primary" : "Secondary"));
	if (primary)	/* one writer (P2): then the partner is none */
		json_object_set_new(entry, "peer_role", json_string("Secondary"));
	if (core->attachment != ATTACHMENT_NONE)
		json_object_set_new(entry, "guest",
				    json_pack("{s:o, s:o}", "who", control_text(core->who), "attachment",
					      state_text(attachment_names[core->attachment])));
	if (core->frozen[0])
		json_object_set_new(entry, "frozen",
				    json_pack("{s:o, s:o}", "reason", control_text(core->frozen),
					      "age_seconds", age_seconds(now_ms, core->frozen_since_ms)));
}

static void fill_failing(json_t *entry, const struct replicate_status *core, uint64_t now_ms)
{
	if (core->failing[0])
		json_object_set_new(entry, "failing",
				    json_pack("{s:o, s:o}", "reason", control_text(core->failing), "age_seconds",
					      age_seconds(now_ms, core->failing_since_ms)));
}

/* What an earlier daemon left unanswered. */
static void fill_recovery(json_t *entry, const struct resource_status *st)
{
	if (st->left_requests)
		json_object_set_new(entry, "recovery",
				    json_pack("{s:o, s:o}", "requests", count(st->left_requests), "age_seconds",
					      age_seconds(st->now_ms, st->left_since_ms)));
}

static void fill_counters(json_t *entry, const struct resource_status *st)
{
	const struct replicate_status *core = &st->core;

	json_object_set_new(entry, "in_flight",
			    json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "queued", count(core->queued), "logging",
				      count(core->logging), "local",
				      count(core->local_pending), "peer", count(core->peer_pending),
				      "peer_writes", count(core->peer_writes), "oldest_age_milliseconds",
				      count(core->oldest_ms)));
	json_object_set_new(
		entry, "counters",
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}}", "reads",
			  count(core->reads), "writes", count(core->writes), "flushes", count(core->flushes),
			  "discards", count(core->discards),
			  "read_bytes", count(core->read_sectors * 512), "written_bytes",
			  count(core->written_sectors * 512), "discarded_bytes", count(core->discarded_sectors * 512), "sent_bytes", count(core->sent_sectors * 512),
			  "received_bytes", count(core->received_sectors * 512), "resynced_bytes",
			  count(core->copied_sectors * 512), "found_same_bytes", count(core->same_sectors * 512), "ring", "queues", count(st->queues), "consumed",
			  count(st->ring.consumed), "answered", count(st->ring.answered), "finished_again",
			  count(st->ring.again), "errors",
			  count(st->ring.errors), "notifications", count(st->ring.notifications),
			  "grant_copies", count(st->ring.grant_copies), "copy_batches",
			  count(st->ring.copy_batches)));
}

void control_status_fill(json_t *entry, const struct resource_status *st)
{
	json_object_set_new(entry, "up", json_true());
	fill_guest(entry, &st->core, st->now_ms);
	fill_failing(entry, &st->core, st->now_ms);
	fill_recovery(entry, st);
	fill_connection(entry, st);
	fill_disks(entry, st);
	fill_marks(entry, st);
	fill_superblock(entry, &st->core.superblock);
	fill_hand_over(entry, &st->steps);
	fill_counters(entry, st);
}

static json_t *xenbus_text(int state)
{
	if (state < 0 || (size_t)state >= sizeof(xenbus_names) / sizeof(xenbus_names[0]))
		return json_null();
	return json_string(xenbus_names[state]);
}

static json_t *find_resource(json_t *document, const char *name)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(document, "resources"), i, entry) {
		const char *text = json_string_value(json_object_get(entry, "name"));

		if (text && !strcmp(text, name))
			return entry;
	}
	return NULL;
}

void control_status_devices(json_t *document, const struct device_status *devices, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct device_status *d = &devices[i];
		json_t *entry = find_resource(document, d->resource);
		json_t *list = entry ? json_object_get(entry, "devices")
				     : json_object_get(document, "unassigned_devices");

		json_array_append_new(list,
				      json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "path",
						control_text(d->path), "domid", count(d->domid), "devid",
						count(d->devid), "dev", control_text(d->dev), "guest",
						control_text(d->guest), "resource", control_text(d->resource),
						"backend_state", xenbus_text(d->backend_state),
						"frontend_state", xenbus_text(d->frontend_state), "ring",
						d->ring, "why", control_text(d->why)));
	}
}
