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

static const char *const connection_names[] = {
#define X(name, what) [CONNECTION_##name] = #name,
	CONNECTION_STATES(X)
#undef X
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

	entry = json_pack("{s:o, s:o, s:b, s:o, s:n, s:n, s:{s:n, s:n, s:n, s:n, s:o, s:o}, s:{s:n, s:n, "
			  "s:o, s:n, s:n, s:n}, s:{s:n, s:n}, s:n, s:n,"
			  " s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:[]}",
			  "name", control_text(cfg->name), "minor",
			  self ? json_integer(self->minor) : json_null(), "up", 0, "config_refused",
			  control_text(served ? NULL : refused), "role", "peer_role", "connection", "state", "meaning",
			  "age_seconds", "why", "peer_host", control_text(peer ? peer->name : NULL),
			  "peer_address", address(peer), "disk", "state", "why", "path",
			  control_text(self ? self->disk : NULL), "size_bytes", "block_size_bytes", "error",
			  "peer_disk", "state", "size_bytes", "token", "generations", "superblock_flags",
			  "reservation", "guest", "frozen", "refused", "hand_over", "in_flight", "counters",
			  "devices");
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
	json_object_set_new(connection, "state", state_text(connection_names[state]));
	json_object_set_new(connection, "meaning", json_string(connection_meanings[state]));
	json_object_set_new(connection, "age_seconds", age_seconds(st->now_ms, st->core.connection_since_ms));
	json_object_set_new(connection, "why", control_text(st->core.why));
	if (st->peer_address[0])
		json_object_set_new(connection, "peer_address", control_text(st->peer_address));
	json_object_set_new(entry, "refused",
			    state == CONNECTION_REFUSED ? control_text(st->core.why) : json_null());
}

static bool peer_is_known(const struct replicate_status *core)
{
	return core->peer_known &&
	       (core->connection == CONNECTION_SETTLING || core->connection == CONNECTION_CONNECTED ||
		core->connection == CONNECTION_REFUSED);
}

static const char *disk_word(uint32_t flags)
{
	if (flags & SB_UNCLEAN)
		return "Unclean";
	return flags & SB_CONSISTENT ? "UpToDate" : "Inconsistent";
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
	if (st->core.disk_error)
		json_object_set_new(disk, "error", control_text(strerror(abs(st->core.disk_error))));
	if (peer_is_known(&st->core)) {
		json_object_set_new(peer, "state", json_string(disk_word(st->core.peer.flags)));
		json_object_set_new(peer, "size_bytes", count(st->core.peer.offer.sectors * 512));
	}
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
		{ SB_UNCLEAN, "unclean" },
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

static void fill_counters(json_t *entry, const struct resource_status *st)
{
	const struct replicate_status *core = &st->core;

	json_object_set_new(entry, "in_flight",
			    json_pack("{s:o, s:o, s:o, s:o, s:o}", "queued", count(core->queued), "local",
				      count(core->local_pending), "peer", count(core->peer_pending),
				      "peer_writes", count(core->peer_writes), "oldest_age_milliseconds",
				      count(core->oldest_ms)));
	json_object_set_new(
		entry, "counters",
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o, s:o}}", "reads",
			  count(core->reads), "writes", count(core->writes), "flushes", count(core->flushes),
			  "read_bytes", count(core->read_sectors * 512), "written_bytes",
			  count(core->written_sectors * 512), "sent_bytes", count(core->sent_sectors * 512),
			  "received_bytes", count(core->received_sectors * 512), "ring", "consumed",
			  count(st->ring.consumed), "answered", count(st->ring.answered), "errors",
			  count(st->ring.errors), "notifications", count(st->ring.notifications),
			  "grant_copies", count(st->ring.grant_copies), "copy_batches",
			  count(st->ring.copy_batches)));
}

void control_status_fill(json_t *entry, const struct resource_status *st)
{
	json_object_set_new(entry, "up", json_true());
	fill_guest(entry, &st->core, st->now_ms);
	fill_connection(entry, st);
	fill_disks(entry, st);
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
