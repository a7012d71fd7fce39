/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gives the tree its meaning for one host: what sections inherit, which resources are this host's, their
 * typed values. */
#include <netinet/in.h>
#include <string.h>

#include "config/tree.h"

#define AL_EXTENTS_MIN 67 /* since DRBD 8.4; smaller values of 8.3 are raised to it */
#define SECRET_SHORT 16

const struct option_use *resource_option(const struct config *config, const struct resource *resource,
					 enum option_id id)
{
	return resource->body.last[id] ? resource->body.last[id] : config->common.last[id];
}

static const char *text_of(const struct config *config, const struct resource *resource, enum option_id id)
{
	const struct option_use *use = resource_option(config, resource, id);

	return use ? use->value : NULL;
}

/* The number in the option's unit times `scale`, or the default. */
static unsigned number_of(const struct config *config, const struct resource *resource, enum option_id id,
			  unsigned scale, unsigned by_default, bool *set)
{
	const struct option_use *use = resource_option(config, resource, id);

	*set = use;
	return use ? scale * (unsigned)use->number : by_default;
}

/* --- hosts
 * ----------------------------------------------------------------------------------------------------- */

static void inherit(struct host *host, const struct host *from)
{
	if (!host->device_at.file) {
		host->value.device = from->value.device;
		host->value.minor = from->value.minor;
	}
	if (!host->disk_at.file)
		host->value.disk = from->value.disk;
	if (!host->meta_at.file) {
		host->value.meta_disk = from->value.meta_disk;
		host->value.meta_index = from->value.meta_index;
	}
}

static void need(struct config *config, const struct host *host, const struct location *here,
		 const struct location *inherited, const char *what)
{
	if (!here->file && !inherited->file)
		config_say(config, CONFIG_ERROR, &host->at, "'%s' keyword missing", what);
}

static void complete_hosts(struct config *config, struct resource *resource)
{
	const struct host *from = &resource->defaults;
	struct host *host;

	for (host = resource->hosts; host; host = host->next) {
		inherit(host, from);
		if (resource->refusals)
			continue;
		need(config, host, &host->device_at, &from->device_at, "device");
		need(config, host, &host->disk_at, &from->disk_at, "disk");
		need(config, host, &host->address_at, &from->address_at, "address");
		need(config, host, &host->meta_at, &from->meta_at, "meta-disk");
	}
}

static bool same_endpoint(const struct config_host *a, const struct config_host *b)
{
	return a->addr_len && a->addr_len == b->addr_len && !memcmp(&a->addr, &b->addr, a->addr_len);
}

static struct host *find_peer(struct config *config, const struct resource *resource, const struct host *self)
{
	struct host *peer = resource->hosts == self ? self->next : resource->hosts;

	if (resource->host_count > 2)
		tree_refuse(config, &resource->body.at, "it has %u hosts; drbdx replicates between two",
			    resource->host_count);
	else if (!peer)
		tree_refuse(config, &resource->body.at, "it has no section for a partner");
	else if (peer->value.addr.ss_family != self->value.addr.ss_family)
		tree_refuse(config, &peer->at, "one host has an IPv4 address, the other an IPv6 address");
	else if (same_endpoint(&peer->value, &self->value))
		config_say(config, CONFIG_ERROR, &peer->address_at,
			   "both hosts have the same address and port");
	return peer;
}

static void check_paths(struct config *config, const struct host *self)
{
	const struct config_host *value = &self->value;

	if (value->disk && *value->disk != '/')
		tree_refuse(config, &self->at, "its disk '%s' is no absolute path", value->disk);
	if (value->meta_disk && *value->meta_disk != '/')
		tree_refuse(config, &self->at, "its meta-disk '%s' is no absolute path", value->meta_disk);
}

/* --- options
 * --------------------------------------------------------------------------------------------------- */

static void refuse_by_use(struct config *config, const struct option_use *use)
{
	const struct treatment_info *treatment = &treatment_table[use->treatment];

	if (treatment->answer == ANSWER_REFUSE && !option_is_normal(use->id, use->value))
		tree_refuse(config, &use->at, "%s %s: %s", use->word, use->value, treatment->words);
}

/* The resource can undo what common asks for; but of two values of its own, the one that asks for more
 * counts. */
static void refuse_by_option(struct config *config, const struct resource *resource)
{
	const struct option_use *use;

	for (use = resource->body.first; use; use = use->next)
		refuse_by_use(config, use);
	for (use = config->common.first; use; use = use->next) {
		if (!resource->body.last[use->id])
			refuse_by_use(config, use);
	}
}

/* Once is enough: resources tend to share it. */
static void judge_secret(struct config *config, const struct option_use *secret)
{
	if (strlen(secret->value) >= SECRET_SHORT || config->secret_judged)
		return;
	config->secret_judged = true;
	config_say(config, CONFIG_WARNING, &secret->at,
		   "the shared-secret is short and can be guessed; %d random characters or more are better",
		   SECRET_SHORT);
}

static void fill_authentication(struct config *config, const struct resource *resource,
				struct config_resource *out)
{
	const struct option_use *alg = resource_option(config, resource, OPTION_NET_cram_hmac_alg);
	const struct option_use *secret = resource_option(config, resource, OPTION_NET_shared_secret);

	out->cram_hmac_alg = alg ? alg->value : NULL;
	out->shared_secret = secret ? secret->value : NULL;
	if (alg && !secret)
		config_say(config, CONFIG_ERROR, &alg->at, "cram-hmac-alg without a shared-secret");
	else if (secret && !alg)
		config_say(config, CONFIG_ERROR, &secret->at,
			   "shared-secret without a cram-hmac-alg: it would not be used");
	else if (secret)
		judge_secret(config, secret);
	else
		config_say(config, CONFIG_WARNING, &resource->body.at,
			   "resource '%s' has no cram-hmac-alg and shared-secret: anybody at the partner's "
			   "address is the partner",
			   resource->name);
}

static void fill_timeouts(const struct config *config, const struct resource *r, struct config_resource *out)
{
	out->timeout_ms =
		number_of(config, r, OPTION_NET_timeout, 100, CONFIG_DEFAULT_TIMEOUT_MS, &out->timeout_set);
	out->ping_timeout_ms = number_of(config, r, OPTION_NET_ping_timeout, 100,
					 CONFIG_DEFAULT_PING_TIMEOUT_MS, &out->ping_timeout_set);
	out->ping_int_ms = number_of(config, r, OPTION_NET_ping_int, 1000, CONFIG_DEFAULT_PING_INT_MS,
				     &out->ping_int_set);
	out->connect_int_ms = number_of(config, r, OPTION_NET_connect_int, 1000,
					CONFIG_DEFAULT_CONNECT_INT_MS, &out->connect_int_set);
	out->ko_count =
		number_of(config, r, OPTION_NET_ko_count, 1, CONFIG_DEFAULT_KO_COUNT, &out->ko_count_set);
}

static void check_timeouts(struct config *config, const struct resource *resource,
			   const struct config_resource *out)
{
	const struct option_use *timeout = resource_option(config, resource, OPTION_NET_timeout);

	if (timeout && ((out->ping_int_set && out->timeout_ms >= out->ping_int_ms) ||
			(out->connect_int_set && out->timeout_ms >= out->connect_int_ms)))
		config_say(config, CONFIG_WARNING, &timeout->at,
			   "timeout (%u ms) should be shorter than ping-int and connect-int",
			   out->timeout_ms);
}

static void fill_activity_log(struct config *config, const struct resource *resource,
			      struct config_resource *out)
{
	enum option_id id = resource_option(config, resource, OPTION_DISK_al_extents)
				    ? OPTION_DISK_al_extents
				    : OPTION_SYNCER_al_extents;

	out->al_extents = number_of(config, resource, id, 1, CONFIG_DEFAULT_AL_EXTENTS, &out->al_extents_set);
	if (out->al_extents >= AL_EXTENTS_MIN)
		return;
	config_say(config, CONFIG_NOTE, &resource_option(config, resource, id)->at,
		   "al-extents %u is raised to %d", out->al_extents, AL_EXTENTS_MIN);
	out->al_extents = AL_EXTENTS_MIN;
}

static void fill_io_error(const struct config *config, const struct resource *resource,
			  struct config_resource *out)
{
	const char *value = text_of(config, resource, OPTION_DISK_on_io_error);

	out->on_io_error_set = value;
	out->on_io_error = CONFIG_DETACH;
	if (value && !strcmp(value, "pass_on"))
		out->on_io_error = CONFIG_PASS_ON;
	else if (value && !strcmp(value, "call-local-io-error"))
		out->on_io_error = CONFIG_CALL_LOCAL_IO_ERROR;
}

/* `after` may name "RESOURCE/VOLUME"; "-1" is what drbdsetup shows for nothing. */
static void check_after(struct config *config, const struct resource *resource, enum option_id id)
{
	const struct option_use *use = resource_option(config, resource, id);
	const struct resource *other;
	size_t len;

	if (!use || !strcmp(use->value, "-1"))
		return;
	len = strcspn(use->value, "/");
	for (other = config->resources; other; other = other->next) {
		if (strlen(other->name) == len && !memcmp(other->name, use->value, len))
			break;
	}
	if (!other)
		config_say(config, CONFIG_WARNING, &use->at, "%s: there is no resource '%s'", use->word,
			   use->value);
	else if (other == resource)
		config_say(config, CONFIG_WARNING, &use->at, "%s: resource '%s' after itself", use->word,
			   use->value);
}

/* --- all together
 * ------------------------------------------------------------------------------------------------ */

static void say_refusals(struct config *config, const struct resource *resource, struct config_resource *out)
{
	const struct refusal *r;

	for (r = resource->refusals; r; r = r->next) {
		config_say(config, CONFIG_WARNING, &r->at, "resource '%s' is not served: %s", resource->name,
			   r->text);
		if (!out->refused)
			out->refused =
				arena_printf(&config->arena, "%s:%u: %s", r->at.file, r->at.line, r->text);
	}
}

static void build_one(struct config *config, struct resource *resource, struct host *self,
		      struct config_resource *out)
{
	struct host *peer = find_peer(config, resource, self);

	out->name = resource->name;
	out->file = resource->body.at.file;
	out->line = resource->body.at.line;
	fill_authentication(config, resource, out);
	fill_timeouts(config, resource, out);
	check_timeouts(config, resource, out);
	fill_activity_log(config, resource, out);
	fill_io_error(config, resource, out);
	check_after(config, resource, OPTION_SYNCER_after);
	check_after(config, resource, OPTION_DISK_resync_after);
	check_paths(config, self);
	refuse_by_option(config, resource);
	say_refusals(config, resource, out);
	out->self = &self->value;
	out->peer = peer ? &peer->value : NULL;
}

void resource_build(struct config *config, const char *hostname)
{
	struct resource *resource;
	struct host *self;

	config->served = arena_alloc(&config->arena, config->resource_count * sizeof(*config->served));
	for (resource = config->resources; resource; resource = resource->next) {
		complete_hosts(config, resource);
		config->resource = resource;
		self = select_self(config, hostname);
		resource->mine = self;
		if (self)
			build_one(config, resource, self, &config->served[config->served_count++]);
		else	/* it may be this host's all the same: a stacked section has no host name */
			say_refusals(config, resource, &(struct config_resource) { .name = resource->name });
	}
	config->resource = NULL;
	if (config->resources && !config->served_count)
		config_say(config, CONFIG_WARNING, &config->resources->body.at,
			   "no resource has a section for this host, '%s'", hostname);
}
