/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence.c: the partner is fenced before this node goes on without it (drbd.conf's `fencing` and fence-peer; docs/DEGRADED.md, section 4).
 *
 *               the partner is gone, and a guest is here,           3, 4, 5, 7, or a person says so
 *    NOT_YET ── or is started here ──> ASKED: fence-peer runs ──┬──────────────────────────────────> DONE
 *      ^                                                        └── anything else ──> FAILED
 *      └──────────── READY is sent: the two are meeting, and the partner may count as met ───────────┘
 *
 * Invariants
 *  1. Only a node asks whose data are the newest as far as can be known: the certain holder (R12), or one that met its partner last with a
 *     good disk since its host was started (R15).
 *  2. The answer counts for the loss of the connection that it was asked for, and no other: one that comes after the two have met says
 *     nothing about the next loss. handlers.c runs one fence-peer at a time, so the next one is begun when the last one has ended.
 *     What is durable changes by an answer only while the two are not meeting: then the meeting says better.
 *  3. What keeps the partner from being promoted until the two meet, also over a start of either host (it is outdated, inconsistent, or
 *     was powered off), is durable here: SB_PEER_OUTDATED. Then this node's token, or its right to promote itself, is certain. "Unreachable" is not that.
 *  4. A person's word (primary --force, resume-io) stands for a handler's success, at the certain holder: resume-io promotes nobody.
 *  5. Metadata that may say SB_PEER_OUTDATED are not given up with a disk (hang.c, replicate.c): a later daemon would believe them, and the
 *     token may have gone to the partner since.
 *
 * Crash argument: DONE is forgotten with the daemon, and fence-peer, which may be run any number of times, runs again; SB_PEER_OUTDATED is
 * set after the partner was fenced, and cleared durably before READY.
 */
#include "backend/replicate_private.h"

#include <stdio.h>
#include <string.h>

static void set_fence(struct replicate *r, enum fence_state state, const char *words)
{
	r->fence = state;
	r->fence_words = words;
	r->fence_since_ms = r->now_ms;
}

void fence_new(struct replicate *r)
{
	if (r->durable.flags & (SB_PEER_OUTDATED | SB_FORCED))
		set_fence(r, FENCE_DONE, "before drbdxd was started");
	r->unfence = r->durable.flags & SB_PEER_OUTDATED;
}

bool fence_freezes(const struct replicate *r)
{
	return r->cfg.fencing == FENCING_RESOURCE_AND_STONITH && r->connection != CONNECTION_CONNECTED && r->fence != FENCE_DONE;
}

bool fence_known(const struct replicate *r)
{
	return r->kept.known || (r->durable.flags & r->wanted.flags & SB_PEER_OUTDATED);
}

static void ask(struct replicate *r)
{
	set_fence(r, FENCE_ASKED, "");
	if (!has_handler(r, HANDLER_FENCE_PEER)) {
		set_fence(r, FENCE_FAILED, "no handler fence-peer is configured");
	} else if (r->fence_running) {
		r->fence_again = true;
	} else {
		r->fence_running = true;
		run_handler(r, HANDLER_FENCE_PEER);
	}
}

enum fence_state fence_for_claim(struct replicate *r)
{
	if (r->fence == FENCE_NOT_YET && r->now_ms >= parted_for_good(r))
		ask(r);
	return r->fence;
}

/* A guest is here that cannot go on, or should not, before the partner is fenced. During a migration its copy over there is not shot:
 * the guest is suspended, or ends the reservation when it goes on (R3). */
static bool wanted(const struct replicate *r)
{
	bool guest = r->attachment == ATTACHMENT_ACTIVE || (r->attachment == ATTACHMENT_RELEASING && r->guest_count);

	return guest && r->cfg.fencing != FENCING_DONT_CARE && r->fence == FENCE_NOT_YET && parted_from_partner(r) &&
	       disk_good(r) && alone_allowed(r) && !r->wanted.reservation;
}

void fence_advance(struct replicate *r)
{
	if (wanted(r) && r->now_ms >= parted_for_good(r))
		ask(r);
}

uint64_t fence_deadline(const struct replicate *r)
{
	bool claimed = r->attachment == ATTACHMENT_CLAIMING && parted_from_partner(r);

	return (wanted(r) || claimed) && r->now_ms < parted_for_good(r) ? parted_for_good(r) : UINT64_MAX;
}

void outdate_self(struct replicate *r, enum step then)
{
	r->wanted.flags = (r->wanted.flags | SB_OUTDATED) & ~SB_PEER_OUTDATED;
	r->kept.known = false;
	attachment_kept(r);
	superblock_want(r, then);
}

void fence_outdated(struct replicate *r, const char *words)
{
	set_fence(r, FENCE_DONE, words);
	r->wanted.flags |= SB_PEER_OUTDATED;
	superblock_want(r, STEP_NOTED);
}

void fence_undone(struct replicate *r)
{
	if (!(r->wanted.flags & SB_PEER_OUTDATED))
		return;
	set_fence(r, FENCE_NOT_YET, "");
	r->wanted.flags &= ~SB_PEER_OUTDATED;
	r->peer.flags &= ~SB_OUTDATED;
}

/* Our HELLO is on its way: what the two judge by must not change, and READY, which ends all this, may follow at once. */
static bool meeting(const struct replicate *r)
{
	return r->connection == CONNECTION_HELLO_SENT || r->connection == CONNECTION_SETTLING;
}

static void succeed(struct replicate *r, enum fence_verdict verdict)
{
	if (verdict == FENCE_FENCED_UNREACHABLE || meeting(r))
		set_fence(r, FENCE_DONE, handler_fence_words(verdict));
	else
		fence_outdated(r, handler_fence_words(verdict));
}

static void take_verdict(struct replicate *r, enum fence_verdict verdict)
{
	switch (verdict) {
	case FENCE_PEER_INCONSISTENT:
	case FENCE_FENCED_OUTDATED:
	case FENCE_FENCED_UNREACHABLE:
	case FENCE_FENCED_STONITHED:
		if (disk_good(r))
			succeed(r, verdict);
		else /* it was outdated meanwhile, or has failed */
			set_fence(r, FENCE_FAILED, handler_fence_words(FENCE_UNREACHABLE));
		break;
	case FENCE_PEER_IS_PRIMARY: /* not the partner's copy is the outdated one, ours is */
		if (!meeting(r))
			outdate_self(r, STEP_NOTED);
		set_fence(r, FENCE_FAILED, handler_fence_words(verdict));
		break;
	default:
		set_fence(r, FENCE_FAILED, handler_fence_words(verdict));
		break;
	}
}

void fence_answered(struct replicate *r, enum fence_verdict verdict)
{
	bool again = r->fence_again;

	r->fence_running = r->fence_again = false;
	if (r->fence != FENCE_ASKED) {
		say(r, "fence-peer has ended too late, which changes nothing: %s", handler_fence_words(verdict));
		return;
	}
	if (again) { /* invariant 2 */
		ask(r);
		return;
	}
	take_verdict(r, verdict);
	say(r, "fence-peer: %s", handler_fence_words(verdict));
	token_advance(r);
}

bool fence_overruled(struct replicate *r)
{
	if (r->cfg.fencing == FENCING_DONT_CARE || r->connection == CONNECTION_CONNECTED || r->fence == FENCE_DONE || !alone_allowed(r))
		return false;
	set_fence(r, FENCE_DONE, "a person said so");
	return true;
}

void fence_retry(struct replicate *r)
{
	if (r->fence == FENCE_FAILED)
		set_fence(r, FENCE_NOT_YET, "");
}

void fence_over(struct replicate *r)
{
	r->unfence |= r->fence != FENCE_NOT_YET;
	set_fence(r, FENCE_NOT_YET, "");
}

void unfence(struct replicate *r)
{
	r->unfence = false;
	if (r->cfg.fencing != FENCING_DONT_CARE && disk_good(r) && peer_good(r))
		run_handler(r, HANDLER_UNFENCE_PEER);
}

void fence_words(const struct replicate *r, char *out, size_t size)
{
	switch (r->fence) {
	case FENCE_ASKED:
		snprintf(out, size, "its fencing is under way (fence-peer)");
		break;
	case FENCE_FAILED:
		snprintf(out, size, "it could not be fenced: %s", r->fence_words);
		break;
	default:
		snprintf(out, size, "%s", r->wanted.reservation ? "it is not fenced, for a migration there was under way" :
								  "its fencing begins in a moment");
		break;
	}
}
