/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gives the tree its meaning for one host: what sections inherit, which resources are this host's, their
 * typed values. */
#include <netinet/in.h>
#include <string.h>

#include "config/tree.h"

#define SECRET_SHORT 16

const struct option_use *resource_option(const struct config *config, const struct resource *resource,
					 enum option_id id)
{
	return resource->body.last[id] ? resource->body.last[id] : config->common.last[id];
}

static const struct option_use *last_of(const struct body *body, enum option_id a, enum option_id b)
{
	const struct option_use *use, *last = NULL;

	for (use = body->first; use; use = use->next) {
		if (use->id == a || use->id == b)
			last = use;
	}
	return last;
}

/* Of an option that DRBD moved to another section: the resource's last one, in whichever section, then
 * common's. */
static const struct option_use *moved_option(const struct config *config, const struct resource *resource,
					     enum option_id id, enum option_id old_id)
{
	const struct option_use *use = last_of(&resource->body, id, old_id);

	return use ? use : last_of(&config->common, id, old_id);
}

/* The number in the option's unit times `scale`, or the default. */
static unsigned number_of_use(const struct option_use *use, unsigned scale, unsigned by_default, bool *set)
{
	*set = use;
	return use ? scale * (unsigned)use->number : by_default;
}

static unsigned number_of(const struct config *config, const struct resource *resource, enum option_id id,
			  unsigned scale, unsigned by_default, bool *set)
{
	return number_of_use(resource_option(config, resource, id), scale, by_default, set);
}

static unsigned moved_number(const struct config *config, const struct resource *resource, enum option_id id,
			     enum option_id old_id, unsigned scale, unsigned by_default)
{
	bool set;

	return number_of_use(moved_option(config, resource, id, old_id), scale, by_default, &set);
}

/* The enumerator in config.h, or the default. */
static unsigned choice_of(const struct option_use *use, unsigned by_default)
{
	return use ? option_position(use->id, use->value) : by_default;
}

static bool switch_of(const struct config *config, const struct resource *resource, enum option_id id)
{
	const struct option_use *use = resource_option(config, resource, id);

	return use && !strcmp(use->value, "yes");
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
	const struct option_use *use = moved_option(config, resource, OPTION_DISK_al_extents,
						    OPTION_SYNCER_al_extents);
	unsigned given = number_of_use(use, 1, CONFIG_DEFAULT_AL_EXTENTS, &out->al_extents_set);

	out->al_extents = given;
	if (given < CONFIG_AL_EXTENTS_MIN)
		out->al_extents = CONFIG_AL_EXTENTS_MIN;
	if (given > CONFIG_AL_EXTENTS_MAX)
		out->al_extents = CONFIG_AL_EXTENTS_MAX;
	if (out->al_extents != given)
		config_say(config, CONFIG_NOTE, &use->at, "al-extents %u is %s to %u", given,
			   given < out->al_extents ? "raised" : "lowered", out->al_extents);
}

static void fill_disk_errors(const struct config *config, const struct resource *resource,
			     struct config_resource *out)
{
	const struct option_use *on_io_error = resource_option(config, resource, OPTION_DISK_on_io_error);
	bool set;

	out->on_io_error_set = on_io_error;
	out->on_io_error = choice_of(on_io_error, CONFIG_DETACH);
	out->on_no_data_accessible = choice_of(moved_option(config, resource,
							    OPTION_OPTIONS_on_no_data_accessible,
							    OPTION_SYNCER_on_no_data_accessible),
					       CONFIG_SUSPEND_IO);
	out->disk_timeout_ms = number_of(config, resource, OPTION_DISK_disk_timeout, 100, 0, &set);
	out->fencing = choice_of(moved_option(config, resource, OPTION_NET_fencing, OPTION_DISK_fencing),
				 CONFIG_DONT_CARE);
}

static void fill_startup(const struct config *config, const struct resource *r, struct config_resource *out)
{
	bool set;

	out->wfc_timeout_s = number_of(config, r, OPTION_STARTUP_wfc_timeout, 1, 0, &set);
	out->degr_wfc_timeout_s = number_of(config, r, OPTION_STARTUP_degr_wfc_timeout, 1, 0, &set);
	out->on_wfc_timeout = choice_of(resource_option(config, r, OPTION_STARTUP_on_wfc_timeout), CONFIG_REFUSE_START);
}

/* discard-local, -remote and -node-HOST, which mean other things on the two nodes, as the host that is meant.
 */
static const struct config_host *discarded_host(struct config *config, const struct resource *resource,
						const struct option_use *use, const struct host *self,
						const struct host *peer)
{
	static const char node[] = "discard-node-";
	const char *name = use->value + strlen(node);

	if (!strcmp(use->value, "discard-local"))
		return &self->value;
	if (!strcmp(use->value, "discard-remote"))
		return &peer->value;
	if (host_is_named(self, name))
		return &self->value;
	if (host_is_named(peer, name))
		return &peer->value;
	config_say(config, CONFIG_ERROR, &use->at, "%s %s: resource '%s' has no host '%s'", use->word,
		   use->value, resource->name, name);
	return NULL;
}

static void fill_after_sb(struct config *config, const struct resource *resource, const struct host *self,
			  const struct host *peer, struct config_resource *out)
{
	const struct option_use *zero = resource_option(config, resource, OPTION_NET_after_sb_0pri);

	out->after_sb_0pri = choice_of(zero, CONFIG_0PRI_DISCONNECT);
	out->after_sb_1pri = choice_of(resource_option(config, resource, OPTION_NET_after_sb_1pri),
				       CONFIG_1PRI_DISCONNECT);
	out->after_sb_2pri = choice_of(resource_option(config, resource, OPTION_NET_after_sb_2pri),
				       CONFIG_2PRI_DISCONNECT);
	out->always_asbp = switch_of(config, resource, OPTION_NET_always_asbp);
	out->rr_conflict = choice_of(resource_option(config, resource, OPTION_NET_rr_conflict),
				     CONFIG_RR_DISCONNECT);
	if (out->after_sb_0pri < CONFIG_0PRI_DISCARD_HOST)
		return;
	out->after_sb_0pri = CONFIG_0PRI_DISCARD_HOST;
	if (peer)
		out->after_sb_discard = discarded_host(config, resource, zero, self, peer);
}

/* `after` may name "RESOURCE/VOLUME"; "-1" is what drbdsetup shows for nothing. */
static const struct resource *resource_named(const struct config *config, const char *name)
{
	const struct resource *resource;
	size_t len = strcspn(name, "/");

	for (resource = config->resources; resource; resource = resource->next) {
		if (strlen(resource->name) == len && !memcmp(resource->name, name, len))
			return resource;
	}
	return NULL;
}

static const struct option_use *after_of(const struct config *config, const struct resource *resource)
{
	const struct option_use *use = moved_option(config, resource, OPTION_DISK_resync_after,
						    OPTION_SYNCER_after);

	return use && strcmp(use->value, "-1") ? use : NULL;
}

static const struct resource *before(const struct config *config, const struct resource *resource)
{
	const struct option_use *use = after_of(config, resource);

	return use ? resource_named(config, use->value) : NULL;
}

/* They would wait for each other. */
static bool waits_for_itself(const struct config *config, const struct resource *resource)
{
	const struct resource *other = before(config, resource);
	unsigned steps;

	for (steps = 0; other && other != resource && steps < config->resource_count; steps++)
		other = before(config, other);
	return other == resource;
}

static void fill_resync_after(struct config *config, const struct resource *resource,
			      struct config_resource *out)
{
	const struct option_use *use = after_of(config, resource);
	const struct resource *other = before(config, resource);

	if (!use)
		return;
	if (!other)
		config_say(config, CONFIG_ERROR, &use->at, "%s: there is no resource '%s'", use->word,
			   use->value);
	else if (other == resource)
		config_say(config, CONFIG_ERROR, &use->at, "%s: resource '%s' after itself", use->word,
			   use->value);
	else if (waits_for_itself(config, resource))
		config_say(config, CONFIG_ERROR, &use->at,
			   "%s %s: they go in a circle, so resource '%s' would wait for itself", use->word,
			   use->value, resource->name);
	else
		out->resync_after = other->name;
}

static bool controlled(const struct config *config, const struct resource *resource)
{
#define GIVEN(option) moved_option(config, resource, OPTION_DISK_##option, OPTION_SYNCER_##option)
	return GIVEN(c_plan_ahead) || GIVEN(c_delay_target) || GIVEN(c_fill_target) || GIVEN(c_max_rate);
#undef GIVEN
}

/* A rate that stands alone, or with c-min-rate, is the rate (pace.h); with other values of the controller's, only the
 * first one. */
static unsigned default_plan(const struct config *config, const struct resource *resource,
			     const struct option_use *rate)
{
	if (rate && !controlled(config, resource))
		return 0;
	return CONFIG_DEFAULT_C_PLAN_AHEAD_MS;
}

static void fill_resync(const struct config *config, const struct resource *r, struct config_resource *out)
{
	const struct option_use *rate = moved_option(config, r, OPTION_DISK_resync_rate, OPTION_SYNCER_rate);
	const struct option_use *csums = moved_option(config, r, OPTION_NET_csums_alg,
						      OPTION_SYNCER_csums_alg);

	out->resync_rate_kib = number_of_use(rate, 1, CONFIG_DEFAULT_RESYNC_RATE_KIB, &out->resync_rate_set);
	out->c_plan_ahead_ms = number_of_use(
		moved_option(config, r, OPTION_DISK_c_plan_ahead, OPTION_SYNCER_c_plan_ahead), 100,
		default_plan(config, r, rate), &out->c_plan_ahead_set);
#define NUMBER(option, scale, by_default) \
	moved_number(config, r, OPTION_DISK_##option, OPTION_SYNCER_##option, scale, by_default)
	out->c_delay_target_ms = NUMBER(c_delay_target, 100, CONFIG_DEFAULT_C_DELAY_TARGET_MS);
	out->c_fill_target_sectors = NUMBER(c_fill_target, 1, CONFIG_DEFAULT_C_FILL_TARGET_SECTORS);
	out->c_max_rate_kib = NUMBER(c_max_rate, 1, CONFIG_DEFAULT_C_MAX_RATE_KIB);
	out->c_min_rate_kib = NUMBER(c_min_rate, 1, CONFIG_DEFAULT_C_MIN_RATE_KIB);
#undef NUMBER
	out->csums_alg = csums && *csums->value ? csums->value : NULL;
	out->csums_after_crash_only = switch_of(config, r, OPTION_NET_csums_after_crash_only);
}

static const enum option_id handler_options[CONFIG_HANDLER_COUNT] = {
	[CONFIG_PRI_ON_INCON_DEGR] = OPTION_HANDLERS_pri_on_incon_degr,
	[CONFIG_PRI_LOST_AFTER_SB] = OPTION_HANDLERS_pri_lost_after_sb,
	[CONFIG_PRI_LOST] = OPTION_HANDLERS_pri_lost,
	[CONFIG_INITIAL_SPLIT_BRAIN] = OPTION_HANDLERS_initial_split_brain,
	[CONFIG_SPLIT_BRAIN] = OPTION_HANDLERS_split_brain,
	[CONFIG_FENCE_PEER] = OPTION_HANDLERS_fence_peer,
	[CONFIG_UNFENCE_PEER] = OPTION_HANDLERS_unfence_peer,
	[CONFIG_LOCAL_IO_ERROR] = OPTION_HANDLERS_local_io_error,
	[CONFIG_BEFORE_RESYNC_TARGET] = OPTION_HANDLERS_before_resync_target,
	[CONFIG_AFTER_RESYNC_TARGET] = OPTION_HANDLERS_after_resync_target,
	[CONFIG_BEFORE_RESYNC_SOURCE] = OPTION_HANDLERS_before_resync_source,
	[CONFIG_OUT_OF_SYNC] = OPTION_HANDLERS_out_of_sync,
	[CONFIG_QUORUM_LOST] = OPTION_HANDLERS_quorum_lost,
	[CONFIG_DISCONNECTED] = OPTION_HANDLERS_disconnected,
};

const char *config_handler_name(enum config_handler handler)
{
	return option_table[handler_options[handler]].name;
}

static void fill_handlers(const struct config *config, const struct resource *resource,
			  struct config_resource *out)
{
	const struct option_use *use;
	unsigned i;

	for (i = 0; i < CONFIG_HANDLER_COUNT; i++) {
		enum option_id id = handler_options[i];

		use = moved_option(config, resource, id,
				   i == CONFIG_FENCE_PEER ? OPTION_HANDLERS_outdate_peer : id);
		out->handlers[i] = use ? use->value : NULL;
	}
}

/* A Primary whose data would lose stays apart from its partner until its guest is gone: no value changes data under a guest. */
static void check_rr_conflict(struct config *config, const struct resource *resource, const struct config_resource *r)
{
	const struct option_use *use = resource_option(config, resource, OPTION_NET_rr_conflict);

	if (r->rr_conflict == CONFIG_RR_VIOLENTLY)
		config_say(config, CONFIG_WARNING, &use->at,
			   "resource '%s': rr-conflict violently is not followed: data never change under a running guest; a Primary whose data "
			   "would lose stays apart from its partner until its guest is shut down",
			   resource->name);
	else if (r->rr_conflict == CONFIG_RR_AUTO_DISCARD)
		config_say(config, CONFIG_NOTE, &use->at,
			   "resource '%s': rr-conflict auto-discard has no effect: it is for protocol A, which is run as C; as with disconnect a Primary "
			   "whose data would lose stays apart from its partner until its guest is shut down",
			   resource->name);
	else if (r->rr_conflict == CONFIG_RR_CALL_PRI_LOST && !r->handlers[CONFIG_PRI_LOST])
		config_say(config, CONFIG_WARNING, &use->at,
			   "resource '%s': rr-conflict call-pri-lost without a handler pri-lost: as with disconnect, a person has to shut the guest down",
			   resource->name);
}

static void check_wait(struct config *config, const struct resource *resource, enum option_id id, unsigned seconds)
{
	if (seconds > CONFIG_START_WAIT_MAX_SECONDS)
		config_say(config, CONFIG_NOTE, &resource_option(config, resource, id)->at,
			   "%s %u is longer than xl waits for a disk: the start of a guest ends after %d s, in words; 'backend-ctl wait-connect' "
			   "waits for all of it",
			   option_table[id].name, seconds, CONFIG_START_WAIT_MAX_SECONDS);
}

/* DRBD's way has to be asked for, and is never asked for without a word. */
static void check_startup(struct config *config, const struct resource *resource, const struct config_resource *r)
{
	const struct option_use *use = resource_option(config, resource, OPTION_STARTUP_on_wfc_timeout);

	check_wait(config, resource, OPTION_STARTUP_wfc_timeout, r->wfc_timeout_s);
	check_wait(config, resource, OPTION_STARTUP_degr_wfc_timeout, r->degr_wfc_timeout_s);
	if (r->on_wfc_timeout != CONFIG_FORCE_PRIMARY)
		return;
	if (r->fencing != CONFIG_DONT_CARE)
		config_say(config, CONFIG_WARNING, &use->at,
			   "resource '%s': on-wfc-timeout force-primary has no effect with fencing: fence-peer decides whether a guest is started without the "
			   "partner",
			   resource->name);
	else if (!r->wfc_timeout_s && !r->degr_wfc_timeout_s)
		config_say(config, CONFIG_WARNING, &use->at,
			   "resource '%s': on-wfc-timeout force-primary has no effect: without wfc-timeout and degr-wfc-timeout the partner is waited for for ever",
			   resource->name);
	else
		config_say(config, CONFIG_WARNING, &use->at,
			   "resource '%s': on-wfc-timeout force-primary: a guest is started without the partner when the wait is over, also if that "
			   "has newer data or runs a guest; what the two have written then is a split brain, of which one side is lost",
			   resource->name);
}

/* Fencing takes a policy and a handler. */
static void check_fencing(struct config *config, const struct resource *resource, const struct config_resource *r)
{
	const struct option_use *policy = moved_option(config, resource, OPTION_NET_fencing, OPTION_DISK_fencing);
	const struct option_use *handler = moved_option(config, resource, OPTION_HANDLERS_fence_peer, OPTION_HANDLERS_outdate_peer);

	if (r->fencing != CONFIG_DONT_CARE && !r->handlers[CONFIG_FENCE_PEER])
		config_say(config, CONFIG_WARNING, &policy->at,
			   "resource '%s': fencing %s without a handler fence-peer: the partner is never fenced, so that %s", resource->name,
			   policy->value,
			   r->fencing == CONFIG_RESOURCE_AND_STONITH ? "a guest that loses it is frozen until a person says 'backend-ctl resume-io'"
								     : "no guest is started without it");
	else if (r->fencing == CONFIG_DONT_CARE && r->handlers[CONFIG_FENCE_PEER])
		config_say(config, CONFIG_NOTE, &handler->at, "resource '%s': %s is never run: fencing is dont-care", resource->name,
			   handler->word);
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
	fill_disk_errors(config, resource, out);
	fill_startup(config, resource, out);
	fill_after_sb(config, resource, self, peer, out);
	fill_resync(config, resource, out);
	fill_resync_after(config, resource, out);
	fill_handlers(config, resource, out);
	check_fencing(config, resource, out);
	check_startup(config, resource, out);
	check_rr_conflict(config, resource, out);
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
