/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resource_handlers.c: a resource's handlers: the owner thread's core asks for one, the control thread has it run
 * (handlers.c), and its end goes back to the core.
 *
 * A handler may take minutes, longer than the resource lives: what is under way is on a list of the resource's, and is cut loose when
 * that is freed.
 */
#include "backend/resource_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/log.h"

static struct handlers *runner; /* the control thread's */
static const char *config_path;

struct handler_run {
	struct message message; /* first: the mailbox hands it back */
	struct resource *resource; /* NULL: it was freed meanwhile */
	enum handler handler;
	TAILQ_ENTRY(handler_run) link;
};

void resource_run_handlers_by(struct handlers *handlers, const char *path)
{
	runner = handlers;
	config_path = path;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The end of a handler, on the owner thread. */
void owner_handled(struct resource *r, struct call *call)
{
	if (r->core)
		replicate_handled(r->core, call->handled.handler, handler_succeeded(&call->handled.result),
				  handler_fence_verdict(&call->handled.result, call->handled.up_to_date),
				  loop_now_ms(r->loop));
	call_answer(call, 0, "");
}

static void on_reply(void *ctx, enum handler handler, const struct handler_result *result)
{
	struct handler_run *run = ctx;

	if (run->resource) {
		TAILQ_REMOVE(&run->resource->handler_runs, run, link);
		if (handler_status_counts(handler))
			resource_handled(run->resource, handler, result);
	}
	free(run);
}

static void fill(struct resource *r, enum handler handler, struct handler_volume *volume, struct handler_request *rq)
{
	*volume = (struct handler_volume){ .number = 0, .minor = r->minor, .disk = r->disk_path };
	*rq = (struct handler_request){
		.handler = handler,
		.command = r->handlers[handler],
		.resource = r->name,
		.config = config_path,
		.volumes = volume,
		.n_volumes = 1,
		.self = { .name = r->self_host, .id = -1, .addr = &r->transport_cfg.self },
		.peer = { .name = r->peer_host, .id = -1, .addr = &r->transport_cfg.peer },
	};
}

/* On the control thread. */
static void run_handler_now(struct message *m)
{
	struct handler_run *run = (struct handler_run *)m;
	struct resource *r = run->resource;
	struct handler_result failed = { .end = HANDLER_LOST };
	struct handler_volume volume;
	struct handler_request rq;
	char why[RESOURCE_TEXT] = "";

	TAILQ_INSERT_TAIL(&r->handler_runs, run, link);
	fill(r, run->handler, &volume, &rq);
	if (!runner || handlers_run(runner, &rq, on_reply, run, now_ms(), why, sizeof(why))) {
		log_error(r->name, "handler %s cannot be run: %s", handler_name(run->handler),
			  why[0] ? why : "there is no process that runs handlers");
		on_reply(run, run->handler, &failed);
	}
}

void act_handler(void *ctx, enum handler handler)
{
	struct resource *r = ctx;
	struct handler_run *run = calloc(1, sizeof(*run));

	if (!run) { /* the core treats a handler without an answer as one that still runs */
		log_error(r->name, "handler %s cannot be run: drbdxd is out of memory", handler_name(handler));
		return;
	}
	run->message.run = run_handler_now;
	run->resource = r;
	run->handler = handler;
	mailbox_post(r->control, &run->message);
}

void handlers_forget(struct resource *r)
{
	struct handler_run *run;

	while ((run = TAILQ_FIRST(&r->handler_runs))) {
		TAILQ_REMOVE(&r->handler_runs, run, link);
		run->resource = NULL;
	}
}
