/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle.c: the decision when two nodes meet (HANDOVER.md, R8: generations first, then the token).
 *
 * Checks are in the order in which a person would want to hear of them: can the disks work
 * together, whose data count, who may write.
 */
#include "backend/settle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WHAT 320u /* what is wrong, with two names of hosts */

struct decision {
	const char *resource; /* its name, for the words */
	const struct settle_side *self, *peer;
	struct generation_decision *data;
	char *why;
	size_t why_size;
};

static enum settle_verdict __attribute__((format(printf, 2, 3)))
refuse(struct decision *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->why, d->why_size, fmt, ap);
	va_end(ap);
	return SETTLE_REFUSE;
}

/* The way out of metadata that cannot go on: new ones, `where`; everything is copied to that node then. */
static enum settle_verdict renew(struct decision *d, const char *what, const char *where)
{
	return refuse(d, "%s: on %s, 'backend-ctl down %s', 'backend-ctl create-md --force %s', 'backend-ctl up %s'", what, where,
		      d->resource, d->resource, d->resource);
}

#define LESSER(a, b) ((a) < (b) ? (a) : (b))

void settle_features(const struct features *a, const struct features *b, struct features *out)
{
	uint32_t block_sectors;

	out->block_size = a->block_size > b->block_size ? a->block_size : b->block_size;
	block_sectors = out->block_size / SECTOR_SIZE;
	out->sectors = LESSER(a->sectors, b->sectors);
	out->sectors -= out->sectors % block_sectors;
	out->max_segments = LESSER(a->max_segments, b->max_segments);
	out->ring_order = LESSER(a->ring_order, b->ring_order);
	out->queues = LESSER(a->queues, b->queues);
	out->discard = out->discard_unit = out->discard_secure = 0; /* settle_discard_unit(), settle_discard_secure() */
}

uint8_t settle_discard_unit(const struct features *a, const struct features *b)
{
	if (!a->discard || !b->discard || !a->discard_unit || !b->discard_unit)
		return 0;
	return a->discard_unit > b->discard_unit ? a->discard_unit : b->discard_unit;
}

uint8_t settle_discard_secure(const struct features *a, const struct features *b)
{
	return settle_discard_unit(a, b) && a->discard_secure && b->discard_secure;
}

bool settle_features_cover(const struct features *offer, const struct features *agreed)
{
	return offer->sectors >= agreed->sectors && offer->block_size <= agreed->block_size &&
	       offer->max_segments >= agreed->max_segments && offer->ring_order >= agreed->ring_order &&
	       offer->queues >= agreed->queues;
}

static bool features_equal(const struct features *a, const struct features *b)
{
	return settle_features_cover(a, b) && settle_features_cover(b, a);
}

static bool just_created(const struct settle_side *s)
{
	return s->hello->flags & SB_JUST_CREATED;
}

static bool consistent(const struct settle_side *s)
{
	return s->hello->flags & SB_CONSISTENT;
}

static bool covers(struct decision *d, const struct settle_side *disk, const struct features *agreed)
{
	const struct packet_hello *h = disk->hello;

	if (h->diskless || settle_features_cover(&h->offer, agreed))
		return true;
	refuse(d,
	       "the disk on %s offers less than is needed (%llu of %llu sectors, block size %u of %u): restore its size or kind, then "
	       "'backend-ctl down %s' and 'backend-ctl up %s' there",
	       disk->host, (unsigned long long)h->offer.sectors, (unsigned long long)agreed->sectors, h->offer.block_size,
	       agreed->block_size, d->resource, d->resource);
	return false;
}

/* A resize that only one of the two has durably: the larger size counts, if the other one's disk has room for it. */
static bool agree(struct decision *d)
{
	struct features self = d->self->hello->agreed, peer = d->peer->hello->agreed;
	const struct settle_side *smaller = self.sectors < peer.sectors ? d->self : d->peer;

	self.sectors = peer.sectors = self.sectors > peer.sectors ? self.sectors : peer.sectors;
	if (features_equal(&self, &peer))
		return covers(d, smaller, &self);
	renew(d, "the two nodes remember different agreements about size and features", "the node whose data do not count");
	return false;
}

static bool check_disks(struct decision *d)
{
	const struct settle_side *sides[] = { d->self, d->peer };

	if (!memcmp(d->self->hello->device_uuid, d->peer->hello->device_uuid,
		    sizeof(d->self->hello->device_uuid))) {
		renew(d, "both nodes present the same metadata, which was copied from one to the other", "the node whose data do not count");
		return false;
	}
	for (size_t i = 0; i < 2; i++)
		if (!just_created(sides[i]) && !covers(d, sides[i], &sides[i]->hello->agreed))
			return false;
	return true;
}

/* Declared identical (create-md --assume-clean): then they have one size, up to a partial block. */
static bool same_size(const struct features *a, const struct features *b)
{
	struct features both;

	settle_features(a, b, &both);
	return a->sectors - both.sectors < both.block_size / SECTOR_SIZE &&
	       b->sectors - both.sectors < both.block_size / SECTOR_SIZE;
}

static void whose(struct decision *d, const struct settle_side *source)
{
	*d->data = (struct generation_decision){
		.verdict = !source	       ? SYNC_NONE
			   : source == d->self ? SYNC_SOURCE_FULL
					       : SYNC_TARGET_FULL,
	};
}

static enum settle_verdict lead(const struct decision *d, const struct settle_side *leader)
{
	return leader == d->self ? SETTLE_PAIR_LEAD : SETTLE_PAIR_FOLLOW;
}

/* Two that have never met anybody: a side that was declared consistent (create-md --assume-clean) is the source of one that was
 * not. */
static enum settle_verdict meet_both_new(struct decision *d)
{
	const struct settle_side *source = consistent(d->self) ? d->self : d->peer,
				 *other = source == d->self ? d->peer : d->self;
	const struct settle_side *first = d->self->first ? d->self : d->peer;
	char what[WHAT];

	if (consistent(d->self) && consistent(d->peer)) {
		if (!same_size(&d->self->hello->offer, &d->peer->hello->offer)) {
			snprintf(what, sizeof(what),
				 "the two volumes were declared identical, but have different sizes (%llu sectors on %s, %llu on %s)",
				 (unsigned long long)d->self->hello->offer.sectors, d->self->host,
				 (unsigned long long)d->peer->hello->offer.sectors, d->peer->host);
			return renew(d, what, "the node whose data do not count");
		}
		whose(d, NULL);
		return lead(d, first);
	}
	if (!consistent(source)) { /* nobody's data count: a person names the source (primary --force) */
		whose(d, NULL);
		return lead(d, first);
	}
	if (!covers(d, other, &source->hello->offer))
		return SETTLE_REFUSE;
	whose(d, source);
	return lead(d, source);
}

/* One of the two has a new disk. */
static enum settle_verdict meet_one_new(struct decision *d)
{
	const struct settle_side *new = just_created(d->self) ? d->self : d->peer, *old = new == d->self ? d->peer : d->self;

	if (!covers(d, new, &old->hello->agreed))
		return SETTLE_REFUSE;
	if (old->hello->token != TOKEN_HELD)
		return refuse(d,
			      "the metadata on %s is new, and %s does not hold the token: if its data count, run 'backend-ctl "
			      "primary --force %s' there",
			      new->host, old->host, d->resource);
	if (old->hello->diskless)
		return refuse(d,
			      "the metadata on %s is new, and the disk on %s, which would be its source, has failed or is detached: "
			      "'backend-ctl attach %s' there opens it again",
			      new->host, old->host, d->resource);
	if (!consistent(old) && old->hello->base)
		return refuse(d,
			      "the metadata on %s is new, and the disk on %s, which would be its source, is inconsistent: if it counts all "
			      "the same, run 'backend-ctl primary --force %s' there",
			      new->host, old->host, d->resource);
	/* declared identical, and nothing was written since the pair began */
	whose(d, !consistent(old) || (consistent(new) && !old->hello->base) ? NULL : old);
	return lead(d, old);
}

/* A pair whose data were never declared usable: it waits for a person. */
static bool virgin(const struct settle_side *s)
{
	return !s->hello->diskless && !consistent(s) && !s->hello->base && s->hello->token != TOKEN_GIVEN;
}

static void describe(const struct settle_side *s, struct generation_side *out)
{
	const struct packet_hello *h = s->hello;

	*out = (struct generation_side){
		.host = s->host,
		.gen = h->gen,
		.flags = h->flags,
		.diskless = h->diskless,
		.primary = h->primary,
		.first = s->first,
		.discard_my_data = h->discard,
		.bits = h->bits,
		.since = h->base,
		.policy = { h->after_sb_0pri, h->after_sb_1pri, h->after_sb_2pri, h->always_asbp },
	};
}

static bool decided(enum sync_verdict v)
{
	return v != SYNC_SPLIT_BRAIN && v != SYNC_UNRELATED && v != SYNC_UNUSABLE;
}

/* False: refused, in words. A Primary that would lose is not made to: its guest has to be shut down first. */
static bool meet_data(struct decision *d)
{
	struct generation_side self, peer;

	if (virgin(d->self) && virgin(d->peer) && d->self->hello->gen.current == d->peer->hello->gen.current) {
		whose(d, NULL);
		return true;
	}
	describe(d->self, &self);
	describe(d->peer, &peer);
	*d->data = generation_compare(d->resource, &self, &peer, d->why, d->why_size);
	return decided(d->data->verdict) && !d->data->primary_loses;
}

/* `holder` has the token; is that compatible with what the other one remembers? */
static bool holder_is_newer(const struct packet_hello *holder, const struct packet_hello *other)
{
	return holder->epoch >= other->epoch && holder->base >= other->base;
}

uint64_t settle_raised(const struct packet_hello *a, const struct packet_hello *b)
{
	return (a->epoch > b->epoch ? a->epoch : b->epoch) + 1;
}

/* Whose data stay: the source's, or those on the only disk if no guest is where there is none. */
static bool stays(const struct settle_side *s, bool source, const struct settle_side *other)
{
	return source || (!s->hello->diskless && other->hello->diskless && !other->hello->primary);
}

static enum settle_verdict meet_token(struct decision *d)
{
	const struct packet_hello *self = d->self->hello, *peer = d->peer->hello;
	const struct packet_hello *giver;
	char what[WHAT];

	if (self->token == TOKEN_HELD && peer->token == TOKEN_HELD) { /* one was promoted by force */
		if (stays(d->self, sync_is_source(d->data->verdict), d->peer))
			return SETTLE_RAISE;
		if (stays(d->peer, sync_is_target(d->data->verdict), d->self))
			return SETTLE_ADOPT;
		snprintf(what, sizeof(what), "%s and %s both hold the token (epochs %llu and %llu), and neither has newer data",
			 d->self->host, d->peer->host, (unsigned long long)self->epoch, (unsigned long long)peer->epoch);
		return renew(d, what, "one of them");
	}
	if (self->token == TOKEN_HELD || peer->token == TOKEN_HELD) {
		bool here = self->token == TOKEN_HELD;

		if (!holder_is_newer(here ? self : peer, here ? peer : self)) {
			snprintf(what, sizeof(what),
				 "%s holds the token, but remembers less than its partner (epoch %llu on %s, %llu on %s), so its "
				 "metadata are older than the data",
				 here ? d->self->host : d->peer->host, (unsigned long long)self->epoch, d->self->host,
				 (unsigned long long)peer->epoch, d->peer->host);
			return renew(d, what, here ? d->self->host : d->peer->host);
		}
		return here ? SETTLE_KEEP : SETTLE_ADOPT;
	}
	giver = self->epoch > peer->epoch ? self : peer;
	if (self->epoch == peer->epoch || giver->token != TOKEN_GIVEN)
		return refuse(d,
			      "neither node holds the token (%s: %s, epoch %llu; %s: %s, "
			      "epoch %llu), because metadata was set back or a node that held it is gone: run 'backend-ctl primary "
			      "--force %s' on the node whose data count",
			      d->self->host, token_name(self->token), (unsigned long long)self->epoch,
			      d->peer->host, token_name(peer->token), (unsigned long long)peer->epoch, d->resource);
	return SETTLE_KEEP; /* GIVE is sent again (handover_connected()) */
}

/* It works as far as its node knows, and has every write that was answered (detach.c, invariants 2 and 3). */
static bool returnable(const struct settle_side *s)
{
	return consistent(s) && !(s->hello->flags & (SB_OUTDATED | SB_JUST_CREATED));
}

/* Either would do. The holder's saves its guest the way to the partner. */
const struct settle_side *settle_returning(const struct settle_side *self, const struct settle_side *peer)
{
	if (!self->hello->diskless && !peer->hello->diskless)
		return NULL;
	if (!returnable(self) || !returnable(peer)) {
		const struct settle_side *good = returnable(self) ? self : peer;

		return returnable(good) && good->hello->diskless ? good : NULL;
	}
	if (!self->hello->diskless || !peer->hello->diskless) /* one of the two has what it takes */
		return NULL;
	if ((self->hello->token == TOKEN_HELD) != (peer->hello->token == TOKEN_HELD))
		return self->hello->token == TOKEN_HELD ? self : peer;
	return self->first ? self : peer;
}

enum settle_verdict settle(const char *resource, const struct settle_side *self, const struct settle_side *peer,
			   struct generation_decision *data, char *why, size_t why_size)
{
	struct decision d = { resource, self, peer, data, why, why_size };

	*data = (struct generation_decision){ .verdict = SYNC_NONE };
	if (why_size)
		why[0] = '\0';
	if (!check_disks(&d))
		return SETTLE_REFUSE;
	if (just_created(self) && just_created(peer))
		return meet_both_new(&d);
	if (just_created(self) || just_created(peer))
		return meet_one_new(&d);
	if (!agree(&d))
		return SETTLE_REFUSE;
	return meet_data(&d) ? meet_token(&d) : SETTLE_REFUSE;
}
