/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.c: what a person may say: whose data count, which disk is not to be used, what is to wait (COMMANDS in replicate.h).
 *
 * Invariants
 *  1. One command at a time, and each is answered once; but not one that another overtakes, of which the caller knows.
 *  2. Whatever changes what a disk is, is durable before it is answered, and then the two meet anew (alone.c, invariant 4).
 *  3. Nothing makes this node's data count while the partner is connected with data that are good, or with a guest.
 *  4. Every refusal says why, and what to do: a command, what to wait for, or that nothing is to be done. The resource's name is in
 *     the commands alone: whoever asks puts it before the words.
 */
#include "backend/replicate_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void answer(struct replicate *r, int rc, const char *why)
{
	r->asked_for.busy = r->asked_for.clear_sent = false;
	r->ops->commanded(r->ctx, rc, why);
}

static void refuse(struct replicate *r, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void refuse(struct replicate *r, int rc, const char *fmt, ...)
{
	char why[REPLICATE_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	answer(r, rc, why);
}

void command_refuse(struct replicate *r, int rc, const char *fmt, ...)
{
	char why[REPLICATE_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	refuse(r, rc, "%s", why);
	token_advance(r);
}

void command_done(struct replicate *r, const char *words)
{
	answer(r, 0, words);
	token_advance(r);
}

/* Whether the partner's data could be wanted, so that this node's must not be declared the newest: words. */
static bool partner_objects(struct replicate *r)
{
	if (r->connection != CONNECTION_CONNECTED)
		return false;
	if (!token_held(r) && (r->wanted.base || r->wanted.flags & SB_CONSISTENT)) /* it may have a guest; a new pair has none */
		refuse(r, -EBUSY,
		       "%s is connected and holds the token, so a guest may run there: shut that down, then start it here; no force is "
		       "needed or allowed",
		       r->cfg.peer_host);
	else if (peer_good(r))
		refuse(r, -EEXIST, "%s is connected and up to date: start the guest, no force is needed", r->cfg.peer_host);
	else
		return false;
	return true;
}

/* A guest is here, or its last writes. One whose writes wait for a partner that is lost for good is rid of them by a new daemon. */
static bool guest_objects(struct replicate *r)
{
	if (r->left)
		refuse(r, -EAGAIN, "a guest that an earlier drbdxd on %s served is being looked for: try again", r->cfg.self_host);
	else if (r->attachment == ATTACHMENT_RELEASING)
		refuse(r, -EBUSY,
		       "the last writes of %s, which is gone, wait (see 'backend-ctl status %s'): try again, or give them up: 'systemctl "
		       "restart drbdxd'",
		       r->guest.who, r->cfg.name);
	else if (r->attachment != ATTACHMENT_NONE)
		refuse(r, -EBUSY, "in use on %s by %s: shut that guest down first ('xl destroy', if its I/O is frozen)", r->cfg.self_host,
		       r->guest.who);
	else
		return false;
	return true;
}

/* The target of a resync that did not end; a new pair's data have no age. */
static bool is_mixture(const struct superblock *sb)
{
	return !(sb->flags & SB_CONSISTENT) && sb->base;
}

/* What is given up by making our data count. */
static void promote_words(struct replicate *r)
{
	char *words = r->asked_for.words;

	words[0] = '\0';
	if (is_mixture(&r->durable))
		snprintf(words, sizeof(r->asked_for.words),
			 "the data on %s count from now on, though they are a mixture of old and new: a resync from %s did not end; check the "
			 "guest's file systems and data",
			 r->cfg.self_host, r->cfg.peer_host);
	else if (r->durable.flags & SB_OUTDATED)
		snprintf(words, sizeof(r->asked_for.words), "the old data on %s count from now on; the newer ones of %s are given up", r->cfg.self_host,
			 r->cfg.peer_host);
}

/* R14, and the first start of a new pair. */
static void promote(struct replicate *r)
{
	struct superblock *sb = &r->wanted;

	if (guest_objects(r))
		return;
	if (r->detached) {
		refuse(r, -ENODEV, "the disk on %s has failed or is detached: 'backend-ctl attach %s' opens it again", r->cfg.self_host,
		       r->cfg.name);
		return;
	}
	if (sb->flags & SB_JUST_CREATED) {
		refuse(r, -EAGAIN,
		       "%s has never met its partner %s, so the size of the disk is not agreed: let the two connect once ('backend-ctl "
		       "up %s' there), and try again",
		       r->cfg.self_host, r->cfg.peer_host, r->cfg.name);
		return;
	}
	if (partner_objects(r))
		return;
	if (r->peer_count) { /* they must not land over what a guest here writes (P6) */
		refuse(r, -EAGAIN, "writes of %s are still on their way to the disk: try again", r->cfg.peer_host);
		return;
	}
	if (disk_good(r) && alone_allowed(r)) {
		answer(r, 0,
		       fence_overruled(r) ? "the token is here, and the disk is up to date; the partner counts as fenced, for you said so" :
					    "nothing to be done: the token is here, and the disk is up to date");
		return;
	}
	if (!(sb->flags & SB_CONSISTENT)) /* what the partner has is not known to be anything */
		marks_set_all(r);
	promote_words(r);
	if (is_mixture(sb))
		sb->flags |= SB_MIXED;
	overtake_token(r); /* changes base */
	sb->flags = (sb->flags & ~(SB_OUTDATED | SB_CRASHED | SB_FORCED_BY_WAIT)) | SB_CONSISTENT | SB_FORCED;
	superblock_want(r, STEP_COMMAND);
}

static bool partner_outdated(const struct replicate *r)
{
	return (r->durable.flags | r->wanted.flags) & SB_PEER_OUTDATED;
}

/* A guest is here, this node went on alone, or the other copy is outdated already: not this copy is the outdated one. */
static bool newest_here(const struct replicate *r)
{
	if (partner_outdated(r))
		return true;
	return token_held(r) && (r->attachment == ATTACHMENT_ACTIVE || r->attachment == ATTACHMENT_CLAIMED ||
				 r->attachment == ATTACHMENT_RELEASING || r->wanted.gen.bitmap);
}

static bool being_decided(const struct replicate *r)
{
	return r->left || r->fence_running || (r->attachment != ATTACHMENT_NONE && r->attachment != ATTACHMENT_STALE &&
			   r->attachment != ATTACHMENT_HANDED_OVER);
}

/* Nothing, not even a disk that is opened again, makes these data count: that they are not consistent is durable, or they are nobody's until
 * the two have met, for their metadata are lost (hang.c). */
static bool less_than_outdated(const struct replicate *r)
{
	return r->metadata_lost || !(superblock_may_say(r, SB_CONSISTENT) || r->wanted.flags & SB_CONSISTENT);
}

/* Most often said by the partner's fence-peer, which needs to know: -ENODATA not even outdated, -ETXTBSY Primary, or as good as that: then
 * it outdates its own copy. Not so a guest whose disk here is not good: that copy may be the only good one. */
static void outdate_disk(struct replicate *r)
{
	if (r->connection == CONNECTION_CONNECTED)
		refuse(r, -EISCONN, "connected with %s, and the two agree whose data are the newest: nothing is to be done", r->cfg.peer_host);
	else if (partner_outdated(r) && r->attachment == ATTACHMENT_NONE)
		refuse(r, -ETXTBSY, "%s is outdated, or was powered off, so the data that count are on %s: let the two connect", r->cfg.peer_host,
		       r->cfg.self_host);
	else if (newest_here(r) && r->attachment != ATTACHMENT_NONE && !disk_good(r))
		refuse(r, -EBUSY, "in use on %s by %s, without a disk here that is up to date: shut that guest down first ('xl destroy', if its I/O is frozen)",
		       r->cfg.self_host, r->guest.who);
	else if (newest_here(r) && r->attachment != ATTACHMENT_NONE)
		refuse(r, -ETXTBSY, "in use on %s by %s: shut that guest down first, if its data are not to count", r->cfg.self_host,
		       r->guest.who);
	else if (newest_here(r))
		refuse(r, -ETXTBSY, "%s has data that %s lacks: it went on alone; let the two connect, and they are copied there",
		       r->cfg.self_host, r->cfg.peer_host);
	else if (being_decided(r))
		refuse(r, -EAGAIN, "just being started, taken over or released on %s, or its partner is being fenced: try again", r->cfg.self_host);
	else if (less_than_outdated(r))
		refuse(r, -ENODATA, "%s is not even outdated: its disk %s; nothing is to be done", r->cfg.self_host,
		       r->detached ? "has failed or is detached" : "is inconsistent");
	else if (r->durable.flags & r->wanted.flags & SB_OUTDATED)
		answer(r, 0, "it is outdated already");
	else
		outdate_self(r, STEP_COMMAND);
}

/* What is wrong with the partner's copy, NULL: it is connected and good. */
static const char *partner_lacks(const struct replicate *r)
{
	if (r->connection != CONNECTION_CONNECTED)
		return "not connected";
	if (r->peer.diskless)
		return "without a disk";
	return peer_good(r) ? NULL : "not up to date";
}

/* Everything here would be lost: words. */
static bool partner_needed(struct replicate *r, int rc)
{
	const char *lacks = partner_lacks(r);

	if (lacks)
		refuse(r, rc, "the partner %s is %s, so the data on %s may be the only good ones: try again when it is up to date ('backend-ctl status %s')",
		       r->cfg.peer_host, lacks, r->cfg.self_host, r->cfg.name);
	return lacks;
}

static bool resync_objects(struct replicate *r)
{
	if (r->sync == SYNC_STATE_OFF)
		return false;
	refuse(r, -EBUSY, "a resync is under way: wait for its end ('backend-ctl status %s')", r->cfg.name);
	return true;
}

static void invalidate(struct replicate *r)
{
	if (partner_needed(r, -ENOTCONN) || resync_objects(r))
		return;
	r->wanted.flags &= ~SB_CONSISTENT;
	marks_set_all(r);
	superblock_want(r, STEP_COMMAND);
}

/*
 * A new generation here, under which everything is marked, makes the partner the target when the two meet anew. Only the holder
 * can be certain that the partner does not begin one of its own in the meantime: that would be a split brain.
 */
static void invalidate_remote(struct replicate *r)
{
	if (r->connection != CONNECTION_CONNECTED || r->peer.diskless) {
		refuse(r, -ENOTCONN, "the partner %s is %s: try again when it is connected with a disk ('backend-ctl status %s')",
		       r->cfg.peer_host, partner_lacks(r), r->cfg.name);
		return;
	}
	if (!disk_good(r)) {
		refuse(r, -EPERM,
		       "the data on %s are not up to date, and those of %s may be the only good ones: try again when they are "
		       "('backend-ctl status %s')",
		       r->cfg.self_host, r->cfg.peer_host, r->cfg.name);
		return;
	}
	if (resync_objects(r))
		return;
	if (token_moves(r)) {
		refuse(r, -EPERM, "%s has the right to write: run 'backend-ctl invalidate %s' there", r->cfg.peer_host, r->cfg.name);
		return;
	}
	generation_alone(&r->wanted.gen, random_id(r), r->settling_as_source ? &r->peer.gen : NULL);
	r->settling_as_source = false;
	marks_set_all(r);
	superblock_want(r, STEP_COMMAND);
}

static void declare_same(struct replicate *r)
{
	uint64_t sectors = r->durable.agreed.sectors;

	r->wanted.flags = (r->wanted.flags | SB_CONSISTENT) & ~SB_OUTDATED;
	bitmap_set_from(r->bitmap, 0); /* whatever the pages say that were not read */
	bitmap_pass_full(r->bitmap, sectors);
	bitmap_clear(r->bitmap, 0, sectors);
}

/* Should the partner not get it, it is inconsistent at the next meeting, and everything is copied: nothing is lost. Until it has said that it
 * has, its disk is not relied upon. */
static void send_clear(struct replicate *r)
{
	struct packet p = { .type = PACKET_CLEAR };

	r->asked_for.clear_sent = true;
	if (r->connection != CONNECTION_CONNECTED)
		return; /* command_advance() answers */
	p.used.epoch = r->durable.epoch;
	r->ops->send(r->ctx, &p, NULL);
}

void command_cleared(struct replicate *r)
{
	if (!r->asked_for.clear_sent)
		return;
	r->peer.flags = (r->peer.flags | SB_CONSISTENT) & ~SB_OUTDATED;
	answer(r, 0, "");
	token_advance(r);
}

int command_clear(struct replicate *r)
{
	if (r->wanted.token == TOKEN_HELD || r->wanted.flags & SB_CONSISTENT || r->wanted.base ||
	    r->sync != SYNC_STATE_OFF) {
		protocol_error(r, "CLEAR for a disk that has been used");
		return -EPROTO;
	}
	say(r, "%s says that both volumes are the same: no resync is needed", r->cfg.peer_host);
	declare_same(r);
	r->peer.flags = (r->peer.flags | SB_CONSISTENT) & ~SB_OUTDATED;
	superblock_want(r, STEP_SYNCED); /* answered by SYNC_ENDED */
	return 0;
}

/* Both new, connected, and a person knows that the volumes are the same (both are zeroed, or a copy was carried over). */
static void clear_bitmap(struct replicate *r)
{
	if (r->connection != CONNECTION_CONNECTED) {
		refuse(r, -EPERM, "%s is not connected: try again when it is ('backend-ctl status %s')", r->cfg.peer_host, r->cfg.name);
		return;
	}
	if (r->wanted.flags & SB_CONSISTENT || r->peer.flags & SB_CONSISTENT || r->wanted.base) {
		refuse(r, -EPERM,
		       "the data were declared usable on a node already: a resync that is under way cannot be skipped, wait for its end "
		       "('backend-ctl status %s')",
		       r->cfg.name);
		return;
	}
	if (!token_held(r)) {
		refuse(r, -EPERM, "%s holds the token: run 'backend-ctl new-current-uuid --clear-bitmap %s' there", r->cfg.peer_host,
		       r->cfg.name);
		return;
	}
	declare_same(r);
	superblock_want(r, STEP_COMMAND);
}

/* Not under a guest: its data would have to be taken from it. One that is started later makes them count again (admission.c). */
static void discard(struct replicate *r)
{
	char words[REPLICATE_TEXT];

	if (guest_objects(r))
		return;
	if (r->connection == CONNECTION_CONNECTED) {
		snprintf(words, sizeof(words), "nothing to be done: connected with %s, and the two agree whose data are the newest", r->cfg.peer_host);
		answer(r, 0, words);
		return;
	}
	r->discard_my_data = true;
	reconnect(r, "connect --discard-my-data");
	snprintf(words, sizeof(words), "what %s wrote without %s is given up when the two meet, if they contradict each other; a guest that is started here before ends that",
		 r->cfg.self_host, r->cfg.peer_host);
	answer(r, 0, words);
}

/* The disk has ended what it had, or it was left to it; and the partner has taken its place: it is not taken back any more (detach.c). */
static bool detach_ended(const struct replicate *r)
{
	return r->detached && TAILQ_EMPTY(&r->at_disk) && (r->broken || !(r->durable.flags & SB_CONSISTENT));
}

static void detach_by_force(struct replicate *r)
{
	say(r, "the disk was detached by force");
	hang_detach(r);
	answer(r, 0, "");
}

/* What it still has when that is durable, or at once, is waited for, or left to it. */
static void detach(struct replicate *r, bool force)
{
	if (r->detached && force)
		hang_give_up(r); /* and it is not taken back any more */
	if (detach_ended(r))
		answer(r, 0, "it is detached already");
	else if (r->detached)
		return; /* answered when that is so [detach_ended] */
	else if (partner_needed(r, -EPERM))
		return;
	else if (force) /* not even the metadata are waited for: they may be on the same disk */
		detach_by_force(r);
	else
		superblock_want(r, STEP_COMMAND);
}

/* What a meeting under way judges by must not change. */
static bool changes_disk(enum command command)
{
	return command == COMMAND_PROMOTE || command == COMMAND_OUTDATE || command == COMMAND_INVALIDATE ||
	       command == COMMAND_INVALIDATE_REMOTE || command == COMMAND_CLEAR_BITMAP || command == COMMAND_RESIZE ||
	       command == COMMAND_RESIZE_CLEAN;
}

static bool suspending(const struct replicate *r)
{
	return r->asked_for.busy && r->asked_for.command == COMMAND_SUSPEND_IO;
}

static bool detaching(const struct replicate *r)
{
	return r->asked_for.busy && (r->asked_for.command == COMMAND_DETACH || r->asked_for.command == COMMAND_DETACH_FORCE);
}

/* The one that is under way stays so. */
static void refuse_another(struct replicate *r)
{
	char why[REPLICATE_TEXT];

	if (suspending(r))
		snprintf(why, sizeof(why), "suspend-io still waits for what is in flight: 'backend-ctl resume-io %s' ends that", r->cfg.name);
	else if (detaching(r) && r->detached)
		snprintf(why, sizeof(why), "detach still waits for what the disk has, or for the partner: 'backend-ctl detach --force %s' goes on without it", r->cfg.name);
	else
		snprintf(why, sizeof(why), "another command is under way: try again");
	r->ops->commanded(r->ctx, -EBUSY, why);
}

bool command_overtakes(enum command later, enum command earlier)
{
	return (later == COMMAND_RESUME_IO && earlier == COMMAND_SUSPEND_IO) ||
	       (later == COMMAND_DETACH_FORCE && earlier == COMMAND_DETACH);
}

void replicate_command(struct replicate *r, enum command command, uint64_t now_ms)
{
	wake(r, now_ms);
	if (r->asked_for.busy && command_overtakes(command, r->asked_for.command)) {
		r->asked_for.busy = false;
		r->step_version[STEP_COMMAND] = 0;
	}
	if (r->asked_for.busy) {
		refuse_another(r);
		return;
	}
	r->asked_for.busy = true;
	r->asked_for.command = command;
	if (changes_disk(command) && r->connection > CONNECTION_DISCONNECTED && r->connection < CONNECTION_CONNECTED) {
		refuse(r, -EAGAIN, "%s and %s are just finding out whose data count: try again", r->cfg.self_host, r->cfg.peer_host);
		return;
	}
	switch (command) {
	case COMMAND_PROMOTE:
		promote(r);
		break;
	case COMMAND_OUTDATE:
		outdate_disk(r);
		break;
	case COMMAND_INVALIDATE:
		invalidate(r);
		break;
	case COMMAND_INVALIDATE_REMOTE:
		invalidate_remote(r);
		break;
	case COMMAND_CLEAR_BITMAP:
		clear_bitmap(r);
		break;
	case COMMAND_DETACH:
	case COMMAND_DETACH_FORCE:
		detach(r, command == COMMAND_DETACH_FORCE);
		break;
	case COMMAND_DISCARD:
		discard(r);
		break;
	case COMMAND_SUSPEND_IO:
		if (r->wanted.reservation || r->asked.looking) {
			refuse(r, -EBUSY, "a migration of the guest is under way: try again when it has ended");
			break;
		}
		r->io_suspended = true; /* answered when nothing is in flight */
		say(r, "guest I/O is held by suspend-io");
		break;
	case COMMAND_RESUME_IO:
		r->io_suspended = false;
		answer(r, 0, fence_freezes(r) && fence_overruled(r) ? "the guest goes on, though the partner was not fenced" : "");
		break;
	case COMMAND_PAUSE_SYNC:
	case COMMAND_RESUME_SYNC:
		resync_pause(r, command == COMMAND_PAUSE_SYNC);
		answer(r, 0, "");
		break;
	case COMMAND_RESIZE:
	case COMMAND_RESIZE_CLEAN:
		resize_command(r, command == COMMAND_RESIZE_CLEAN);
		break;
	case COMMAND_COUNT:
		answer(r, -EINVAL, "no such command");
		break;
	}
	replicate_settle(r);
}

/* What was asked for is durable. */
void command_step(struct replicate *r)
{
	if (!r->asked_for.busy)
		return;
	switch (r->asked_for.command) {
	case COMMAND_PROMOTE:
		say(r, "promoted by force: epoch %llu, generation %016llX", (unsigned long long)r->durable.epoch,
		    (unsigned long long)r->durable.gen.current);
		confirm(r);
		fence_overruled(r);
		reconnect(r, "this node was promoted by force");
		answer(r, 0, r->asked_for.words);
		token_advance(r);
		return;
	case COMMAND_DETACH:
		if (!partner_needed(r, -EPERM)) /* the partner may have lost its disk meanwhile, or have gone */
			disk_detach(r, "its disk was detached; it goes on without");
		return; /* answered when it is certain that it is out [detach_ended] */
	case COMMAND_INVALIDATE:
		reconnect(r, "its data were invalidated");
		break;
	case COMMAND_INVALIDATE_REMOTE:
		reconnect(r, "the partner's data were invalidated");
		break;
	case COMMAND_CLEAR_BITMAP:
		send_clear(r);
		token_advance(r);
		return;
	case COMMAND_RESIZE:
	case COMMAND_RESIZE_CLEAN:
		resize_step(r);
		return;
	default:
		break;
	}
	answer(r, 0, "");
	token_advance(r);
}

void command_advance(struct replicate *r)
{
	if (detaching(r) && detach_ended(r)) {
		answer(r, 0, "");
		token_advance(r);
	}
	if (suspending(r) && !r->guest_count && !r->copies)
		answer(r, 0, "");
	if (r->asked_for.clear_sent && r->connection != CONNECTION_CONNECTED)
		answer(r, 0, "the connection was lost: should the partner not have heard of it, everything is copied to it");
}

void command_disk_returned(struct replicate *r, const char *why)
{
	if (detaching(r))
		refuse(r, -EPERM, "its disk is kept, for it may be the only good one: %s; try again when %s is up to date ('backend-ctl status %s')", why,
		       r->cfg.peer_host, r->cfg.name);
}
