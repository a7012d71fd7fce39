/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resource.c: the control thread's side of a resource: birth, questions to the owner
 * thread, their answers, end.
 *
 * Invariant: a call is owned by one thread at a time; the mailboxes hand it over.  Every
 * call is answered once: the owner thread answers what it still has when it ends, and
 * nothing is posted to it after resource_stop().
 */
#include "backend/resource_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/log.h"
#include "backend/supported.h"

static_assert(RESOURCE_TEXT > REPLICATE_TEXT + METADATA_NAME_MAX + sizeof(" cannot be used: "), "words");

const char *resource_name(const struct resource *r)
{
	return r->name;
}

/* ---- calls ---- */

static void deliver_reply(struct call *call)
{
	call->reply(call->ctx, call->rc, call->why);
	free(call);
}

static void deliver_claim(struct call *call)
{
	if (call->claim.adopt && !call->rc)
		call->resource->left_unsettled = false; /* found */
	deliver_reply(call);
}

static void deliver_status(struct call *call)
{
	call->status_reply(call->ctx, call->status);
	free(call->status);
	free(call);
}

static void run_on_control(struct message *m)
{
	struct call *call = (struct call *)m;

	call->deliver(call);
}

void call_answer(struct call *call, int rc, const char *why)
{
	if (!call)
		return;
	call->rc = rc;
	snprintf(call->why, sizeof(call->why), "%s", why ? why : "");
	call->message.run = run_on_control;
	mailbox_post(call->resource->control, &call->message);
}

static void run_on_owner(struct message *m)
{
	struct call *call = (struct call *)m;

	/* it came after the owner thread's last look (run by deliver_stop()) */
	if (call->resource->gone)
		call_answer(call, -ESHUTDOWN, "it has been stopped: 'backend-ctl up' starts it again");
	else
		call->work(call->resource, call);
}

static struct call *call_new(struct resource *r, void (*work)(struct resource *, struct call *),
			     resource_reply_fn *reply, void *ctx)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->message.run = run_on_owner;
	call->resource = r;
	call->work = work;
	call->deliver = deliver_reply;
	call->reply = reply;
	call->ctx = ctx;
	return call;
}

static void call_post(struct call *call)
{
	if (call->resource->gone)
		run_on_owner(&call->message);
	else
		mailbox_post(call->resource->inbox, &call->message);
}

/* Control-path memory is small and rare; when even that is gone the answer is given at once. */
static struct call *call_or_refuse(struct resource *r, void (*work)(struct resource *, struct call *),
				   resource_reply_fn *reply, void *ctx)
{
	struct call *call = call_new(r, work, reply, ctx);

	if (!call)
		reply(ctx, -ENOMEM, "drbdxd is out of memory");
	return call;
}

void resource_claim(struct resource *r, const struct resource_claim *claim, resource_reply_fn *reply, void *ctx)
{
	struct call *call = call_or_refuse(r, owner_claim, reply, ctx);

	if (!call)
		return;
	call->claim = *claim;
	call->deliver = deliver_claim;
	call_post(call);
}

void resource_release(struct resource *r, resource_reply_fn *reply, void *ctx)
{
	struct call *call = call_or_refuse(r, owner_release, reply, ctx);

	if (call)
		call_post(call);
}

void resource_ring_connect(struct resource *r, const struct resource_connection *c, resource_reply_fn *reply,
			   void *ctx)
{
	struct call *call = call_or_refuse(r, owner_ring_connect, reply, ctx);

	if (!call)
		return;
	call->connection = *c;
	call_post(call);
}

void resource_ring_disconnect(struct resource *r, resource_reply_fn *reply, void *ctx)
{
	struct call *call = call_or_refuse(r, owner_ring_disconnect, reply, ctx);

	if (call)
		call_post(call);
}

void resource_command(struct resource *r, enum command command, resource_reply_fn *reply, void *ctx)
{
	struct call *call = call_or_refuse(r, owner_command, reply, ctx);

	if (!call)
		return;
	call->command = command;
	call_post(call);
}

/* What nobody waits for. */
static void ignore_reply(void *ctx, int rc, const char *why)
{
	(void)ctx;
	(void)rc;
	(void)why;
}

static struct call *tell_new(struct resource *r, void (*work)(struct resource *, struct call *), const void *holder,
			     const char *why)
{
	struct call *call = call_new(r, work, ignore_reply, NULL);

	if (!call) {
		log_error(r->name, "out of memory: a step of a hand-over, or of a resync's turn, is lost");
		return NULL;
	}
	call->holder = holder;
	snprintf(call->answer_why, sizeof(call->answer_why), "%s", why);
	return call;
}

void resource_suspended(struct resource *r, uint64_t query, int rc, const char *why)
{
	struct call *call = tell_new(r, owner_suspended, NULL, why);

	if (!call)
		return;
	call->query = query;
	call->answer = rc;
	call_post(call);
}

void resource_sibling_used(struct resource *r, const void *holder, resource_reply_fn *reply, void *ctx)
{
	struct call *call = call_or_refuse(r, owner_sibling_used, reply, ctx);

	if (!call)
		return;
	call->holder = holder;
	call_post(call);
}

void resource_guest_ready(struct resource *r, const void *holder)
{
	struct call *call = tell_new(r, owner_guest_ready, holder, "");

	if (call)
		call_post(call);
}

void resource_outdate(struct resource *r, const void *holder, const char *why)
{
	struct call *call = tell_new(r, owner_outdate, holder, why);

	if (call)
		call_post(call);
}

bool resource_resyncing(const struct resource *r)
{
	return atomic_load(&r->resyncing);
}

/* The control thread is awake, which is what it was posted for (daemon.c looks at all resources). */
static void resyncing_changed(struct message *m)
{
	struct resource *r = (struct resource *)((char *)m - offsetof(struct resource, resyncing_message));

	atomic_store(&r->resyncing_posted, false);
}

bool resource_sync_after(struct resource *r, const char *name)
{
	struct call *call = tell_new(r, owner_sync_after, NULL, name);

	if (call)
		call_post(call);
	return call;
}

bool resource_left(const struct resource *r, uint32_t *domid)
{
	*domid = r->left_domid;
	return r->left_unsettled;
}

void resource_nobody_left(struct resource *r)
{
	struct call *call = tell_new(r, owner_nobody_left, NULL, "");

	if (!call)
		return;
	r->left_unsettled = false;
	call_post(call);
}

void resource_status(struct resource *r, resource_status_fn *reply, void *ctx)
{
	struct call *call = call_new(r, owner_status, NULL, ctx);

	if (call)
		call->status = calloc(1, sizeof(*call->status));
	if (!call || !call->status) {
		free(call);
		reply(ctx, NULL);
		return;
	}
	call->status_reply = reply;
	call->deliver = deliver_status;
	call_post(call);
}

/* ---- features ---- */

void resource_set_features(struct resource *r, const struct features *f)
{
	pthread_mutex_lock(&r->features_lock);
	r->features = *f;
	pthread_mutex_unlock(&r->features_lock);
}

void resource_features(const struct resource *r, struct features *out)
{
	struct resource *unconst = (struct resource *)r; /* the lock is not part of the value */

	pthread_mutex_lock(&unconst->features_lock);
	*out = r->features;
	pthread_mutex_unlock(&unconst->features_lock);
}

int resource_left_servable(const struct resource *r, uint32_t domid, bool served, char *why, size_t why_size)
{
	struct attachment_record record;

	if (attachment_read(r->minor, &record) || !record.attached || record.domid != domid) {
		if (served)
			snprintf(why, why_size, "the record of its attachment is gone");
		return served ? -ENOENT : 0;
	}
	if (!attachment_needs_table(&record))
		return 0;
	return inflight_look(r->minor, record.others + 1, r->name, domid, why, why_size);
}

/* Before the thread runs: it must not give the token away under a guest that is still there. */
static void look_for_leftovers(struct resource *r)
{
	if (attachment_read(r->minor, &r->found))
		return;
	r->record.core = attachment_of_host(&r->found.core);
	r->left_domid = r->found.domid;
	r->left = r->left_unsettled = r->found.attached;
}

/* ---- birth and end ---- */

static char *copy(const char *s, bool *failed)
{
	char *c = s ? strdup(s) : NULL;

	if (s && !c)
		*failed = true;
	return c;
}

static void resource_free(struct resource *r)
{
	if (r->secret)
		explicit_bzero(r->secret, strlen(r->secret));
	free(r->name);
	free(r->self_host);
	free(r->peer_host);
	free(r->disk_path);
	free(r->meta_path);
	free(r->alg);
	free(r->secret);
	free(r->csums_alg);
	for (int i = 0; i < HANDLER_COUNT; i++)
		free(r->handlers[i]);
	handlers_forget(r);
	mailbox_free(r->inbox);
	pthread_mutex_destroy(&r->features_lock);
	free(r);
}

static void configure_transport(struct resource *r, const struct config_resource *cfg)
{
	struct transport_config *t = &r->transport_cfg;

	t->resource = r->name;
	t->self_host = r->self_host;
	t->alg = r->alg;
	t->secret = r->secret;
	t->self = cfg->self->addr;
	t->self_len = cfg->self->addr_len;
	t->peer = cfg->peer->addr;
	t->peer_len = cfg->peer->addr_len;
	t->retry_ms = cfg->connect_int_ms;
	t->handshake_ms = 3000;
	t->liveness.late_ms = 300;
	t->liveness.ping_ms = cfg->ping_int_ms; /* quiet for so long: ask */
	t->liveness.dead_ms = cfg->ping_int_ms + cfg->ping_timeout_ms;
}

static enum after_sb_0pri discard(const struct config_resource *cfg, const struct transport_config *t)
{
	bool self_first = transport_is_first(t);

	if (cfg->after_sb_0pri != CONFIG_0PRI_DISCARD_HOST)
		return (enum after_sb_0pri)cfg->after_sb_0pri;
	return (cfg->after_sb_discard == cfg->self) == self_first ? AFTER_SB_0PRI_DISCARD_FIRST : AFTER_SB_0PRI_DISCARD_SECOND;
}

/* The numbers in config.h and in generation.h are the same, in drbd.conf's order. */
static_assert((int)CONFIG_0PRI_DISCARD_LEAST_CHANGES == (int)AFTER_SB_0PRI_DISCARD_LEAST_CHANGES, "after-sb-0pri");
static_assert((int)CONFIG_1PRI_VIOLENTLY == (int)AFTER_SB_1PRI_VIOLENTLY, "after-sb-1pri");
static_assert((int)CONFIG_2PRI_VIOLENTLY == (int)AFTER_SB_2PRI_VIOLENTLY, "after-sb-2pri");
static_assert((int)CONFIG_RESOURCE_AND_STONITH == (int)FENCING_RESOURCE_AND_STONITH, "fencing");
static_assert(CONFIG_START_WAIT_MAX_SECONDS * 1000 == CLAIM_LONGEST_MS, "wfc-timeout");
static_assert((int)CONFIG_HANDLER_COUNT == (int)HANDLER_COUNT && (int)CONFIG_FENCE_PEER == (int)HANDLER_FENCE_PEER, "handlers");

static void configure_degraded(struct resource *r, const struct config_resource *cfg, bool *failed)
{
	r->detach = cfg->on_io_error != CONFIG_PASS_ON;
	r->io_error = cfg->on_no_data_accessible == CONFIG_IO_ERROR;
	r->wfc_ms = cfg->wfc_timeout_s * 1000;
	r->degr_wfc_ms = cfg->degr_wfc_timeout_s * 1000;
	r->wfc_force = cfg->on_wfc_timeout == CONFIG_FORCE_PRIMARY;
	r->call_pri_lost = cfg->rr_conflict == CONFIG_RR_CALL_PRI_LOST;
	r->disk_timeout_ms = cfg->disk_timeout_ms;
	r->after_sb = (struct after_sb){
		.zero = discard(cfg, &r->transport_cfg),
		.one = (enum after_sb_1pri)cfg->after_sb_1pri,
		.two = (enum after_sb_2pri)cfg->after_sb_2pri,
		.always = cfg->always_asbp,
	};
	r->pace = (struct pace_config){
		.plan_ahead_ms = cfg->c_plan_ahead_ms,
		.rate = cfg->resync_rate_kib,
		.min_rate = cfg->c_min_rate_kib,
		.max_rate = cfg->c_max_rate_kib,
		.fill_target = cfg->c_fill_target_sectors,
		.delay_target_ms = cfg->c_delay_target_ms,
	};
	r->fencing = (enum fencing)cfg->fencing;
	r->csums_alg = copy(cfg->csums_alg, failed);
	r->csums_after_crash_only = cfg->csums_after_crash_only;
	for (int i = 0; i < HANDLER_COUNT; i++)
		if (i != HANDLER_LOCAL_IO_ERROR || cfg->on_io_error == CONFIG_CALL_LOCAL_IO_ERROR)
			r->handlers[i] = copy(cfg->handlers[i], failed);
}

int resource_start(const struct config_resource *cfg, struct mailbox *control, struct resource **out,
		   char *why, size_t why_size)
{
	struct resource *r;
	bool failed = false;
	int rc = supported_check(cfg, why, why_size);

	if (rc)
		return rc;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->features_lock, NULL);
	r->features = (struct features){ .block_size = 512,
					 .max_segments = BLKIF_SEGMENTS_MAX,
					 .ring_order = RING_ORDER_MAX,
					 .queues = 1 }; /* until it is known what was agreed on */
	TAILQ_INIT(&r->handler_runs);
	r->resyncing_message.run = resyncing_changed;
	r->control = control;
	r->name = copy(cfg->name, &failed);
	r->self_host = copy(cfg->self->name, &failed);
	r->peer_host = copy(cfg->peer->name, &failed);
	r->disk_path = copy(cfg->self->disk, &failed);
	r->meta_path = copy(cfg->self->meta_disk, &failed);
	r->alg = copy(cfg->cram_hmac_alg, &failed);
	r->secret = copy(cfg->shared_secret, &failed);
	r->meta_index = cfg->self->meta_index;
	r->minor = cfg->self->minor;
	r->al_extents = cfg->al_extents;
	configure_transport(r, cfg);
	configure_degraded(r, cfg, &failed);
	look_for_leftovers(r);
	rc = failed ? -ENOMEM : mailbox_new(&r->inbox);
	if (!rc)
		rc = resource_owner_start(r, why, why_size);
	if (rc) {
		if (!why[0])
			snprintf(why, why_size, "%s: %s", cfg->name, strerror(-rc));
		resource_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

static void nothing(void *ctx, int rc, const char *why)
{
	(void)ctx, (void)rc, (void)why;
}

void resource_handled(struct resource *r, enum handler handler, const struct handler_result *result)
{
	struct call *call = call_new(r, owner_handled, nothing, NULL);

	if (!call)
		return;
	call->handled.handler = handler;
	call->handled.result = *result;
	call->handled.up_to_date = true; /* a node whose disk is not never asks */
	call_post(call);
}

/* The owner thread answers a stop as its last act, or refuses it and lives on. */
static void deliver_stop(struct call *call)
{
	struct resource *r = call->resource;

	if (!call->rc) {
		/* A thread whose disk hangs does not end before that has ended what it has. */
		if (r->left_behind)
			pthread_detach(r->thread);
		else
			pthread_join(r->thread, NULL);
		r->gone = true;
		mailbox_run(r->inbox);
		if (call->stop == RESOURCE_DOWN) /* devices may still refer to it until the process ends */
			resource_free(r);
	}
	deliver_reply(call);
}

bool resource_left_behind(const struct resource *r)
{
	return r->left_behind;
}

void resource_stop(struct resource *r, enum resource_stop kind, resource_reply_fn *reply, void *ctx)
{
	struct call *call = call_or_refuse(r, owner_stop, reply, ctx);

	if (!call)
		return;
	call->stop = kind;
	call->deliver = deliver_stop;
	call_post(call);
}
