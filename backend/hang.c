/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hang.c: a local disk that hangs instead of failing: disk-timeout, and what a detached disk still has.
 *
 *   attached ── something has not ended within disk-timeout, and the partner's disk is good ──> detached [hang_detach]
 *   detached ── requests at the disk ──> given up: they go to the partner [hang_give_up]
 *            └─ metadata that do not end ──> lost, as metadata that fail (replicate.c): this node goes on without
 *
 * What was given up is still in the kernel, and may reach the medium at any later time.
 *
 * Invariants
 *  1. at_disk has every request that the disk has, the oldest first, from disk_begin() until replicate_disk_done() or until it is given
 *     up.
 *  2. Only a detached disk's requests are given up. Where one writes, the blocks are out of sync for the partner, which gets the write
 *     after it has heard that we have no disk (alone.c, invariant 3); so a write that lands late lands on what is copied anew before
 *     it is read.
 *  3. What was given up does not come back to the core, and the kernel keeps the buffer [ops->abandon]: the request has another one, and
 *     a copy's slot, which has not, is not used again. Nobody opens the disk before the kernel has finished (claim.c, P6).
 *  4. No superblock is written while one that was given up may still reach the medium [superblock_kick].
 */
#include "backend/replicate_private.h"

#include <errno.h>
#include <inttypes.h>

void disk_begin(struct replicate *r, struct request *req)
{
	req->disk_ms = r->now_ms;
	TAILQ_INSERT_TAIL(&r->at_disk, req, disk_link);
	r->ops->disk(r->ctx, req);
}

void disk_ended(struct replicate *r, struct request *req)
{
	TAILQ_REMOVE(&r->at_disk, req, disk_link);
}

void replicate_was_late(struct replicate *r, uint64_t now_ms)
{
	r->disk_clock_ms = now_ms;
}

/* ---- what takes too long ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When what began at `since` will have taken too long; UINT64_MAX: never. */
static uint64_t due(const struct replicate *r, uint64_t since)
{
	uint64_t limit = r->cfg.disk_timeout_ms ? r->cfg.disk_timeout_ms : UINT64_MAX;

	if (r->detached)
		limit = earlier(limit, DETACHED_WAIT_MS);
	if (limit == UINT64_MAX)
		return UINT64_MAX;
	return (since > r->disk_clock_ms ? since : r->disk_clock_ms) + limit;
}

static uint64_t requests_due(const struct replicate *r)
{
	const struct request *oldest = TAILQ_FIRST(&r->at_disk);

	return oldest ? due(r, oldest->disk_ms) : UINT64_MAX;
}

static uint64_t block_due(const struct replicate *r, const struct metadata_op *op)
{
	return op->busy && !r->metadata_lost ? due(r, op->since_ms) : UINT64_MAX;
}

static uint64_t metadata_due(const struct replicate *r)
{
	uint64_t at = r->write_busy && !r->write_hung ? due(r, r->write_since_ms) : UINT64_MAX;

	if (r->detached && r->outdated_on_medium) /* which a later daemon would believe: they are not given up */
		return UINT64_MAX;
	at = earlier(at, block_due(r, &r->log_write));
	at = earlier(at, block_due(r, &r->page_write));
	return earlier(at, block_due(r, &r->page_read));
}

bool hang_noticed(const struct replicate *r)
{
	return earlier(requests_due(r), metadata_due(r)) <= r->now_ms;
}

static bool may_detach(const struct replicate *r)
{
	return r->connection == CONNECTION_CONNECTED && !r->reconnecting && peer_good(r);
}

/* Past it, and nothing to be done about it: not before the partner's disk is good, which is an event of its own. */
uint64_t hang_deadline(const struct replicate *r)
{
	uint64_t at = earlier(requests_due(r), metadata_due(r));

	return earlier(r->write_pretended_ms, r->detached || may_detach(r) || at > r->now_ms ? at : UINT64_MAX);
}

/* ---- what is done about it ---- */

static void give_up_request(struct replicate *r, struct request *req)
{
	disk_ended(r, req);
	TAILQ_REMOVE(list_of(r, req), req, link);
	if (req->flags & REQUEST_FROM_PEER) {
		peer_request_failed(r, req, -ETIMEDOUT);
	} else {
		req->slot_lost = is_copy(req);
		without_disk(r, req);
	}
}

/* Everything that the disk has: where one request hangs, the others need not be waited for. */
void hang_give_up(struct replicate *r)
{
	struct request *req, *next;
	uint32_t n = 0;

	disk_breaks(r);
	TAILQ_FOREACH_SAFE(req, &r->at_disk, disk_link, next) {
		if (r->ops->abandon(r->ctx, req)) {
			give_up_request(r, req);
			n++;
		} else {
			req->disk_ms = r->now_ms; /* no memory: once more, later */
		}
	}
	if (n)
		say(r, "local disk: %u requests that have not ended are left to it, and go to the partner", n);
}

static void metadata_give_up(struct replicate *r)
{
	metadata_lose(r, -ETIMEDOUT);
	if (!r->write_busy || r->write_hung)
		return;
	r->write_hung = true;
	r->hung_since_ms = r->write_since_ms;
	superblock_done(r);
}

void hang_detach(struct replicate *r)
{
	disk_break(r, "its disk hangs; it goes on without");
	hang_give_up(r);
}

void hang_tick(struct replicate *r)
{
	uint64_t requests = requests_due(r), metadata = metadata_due(r);

	if (r->write_pretended_ms <= r->now_ms)
		superblock_done(r);
	if (earlier(requests, metadata) > r->now_ms)
		return;
	if (!r->detached) {
		if (!may_detach(r))
			return;
		say(r, "local disk: %s not ended within disk-timeout (%u ms): the disk is detached",
		    requests <= r->now_ms ? "a request has" : "a write or a read of the metadata has", r->cfg.disk_timeout_ms);
		run_handler(r, HANDLER_LOCAL_IO_ERROR);
		hang_detach(r);
	} else if (requests <= r->now_ms) {
		hang_give_up(r);
	}
	if (metadata <= r->now_ms && !r->outdated_on_medium)
		metadata_give_up(r);
}

/* ---- for status ---- */

void hang_status(const struct replicate *r, struct replicate_status *out, uint64_t now_ms)
{
	const struct metadata_op *const ops[] = { &r->log_write, &r->page_write, &r->page_read };
	const struct request *oldest = TAILQ_FIRST(&r->at_disk);

	out->disk_ms = oldest ? now_ms - oldest->disk_ms : 0;
	out->metadata_ms = r->write_busy && !r->write_hung ? now_ms - r->write_since_ms : 0;
	if (r->write_hung) {
		out->metadata_hung = 1;
		out->metadata_hung_ms = now_ms - r->hung_since_ms;
	}
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		uint64_t age = ops[i]->busy ? now_ms - ops[i]->since_ms : 0;

		if (!r->metadata_lost && age > out->metadata_ms)
			out->metadata_ms = age;
		if (!r->metadata_lost || !ops[i]->busy)
			continue;
		out->metadata_hung++;
		if (age > out->metadata_hung_ms)
			out->metadata_hung_ms = age;
	}
}
