/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle.c: the decision when two nodes meet (HANDOVER.md, R8: generations first, then the token).
 *
 * Checks are in the order in which a person would want to hear of them: can the disks work
 * together, is each disk usable, is it the same data, who may write. In this version there
 * is no resync, so whatever would need one is refused, and the words say so.
 */
#include "backend/settle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RECREATE                                                               \
	"make the two volumes identical and run "                              \
	"'backend-ctl create-md --assume-clean --force' for it on both nodes " \
	"(resync is not available in this version)"

struct decision {
	const struct settle_side *self, *peer;
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
	out->discard = LESSER(a->discard, b->discard);
}

bool settle_features_cover(const struct features *offer, const struct features *agreed)
{
	return offer->sectors >= agreed->sectors && offer->block_size <= agreed->block_size &&
	       offer->max_segments >= agreed->max_segments && offer->ring_order >= agreed->ring_order &&
	       offer->queues >= agreed->queues && offer->discard >= agreed->discard;
}

static bool features_equal(const struct features *a, const struct features *b)
{
	return settle_features_cover(a, b) && settle_features_cover(b, a);
}

static bool just_created(const struct settle_side *s)
{
	return s->hello->flags & SB_JUST_CREATED;
}

/* Words for a side whose disk cannot be used, or NULL. */
static const char *unusable(const struct settle_side *s)
{
	if (s->hello->flags & SB_UNCLEAN)
		return "is unclean: this node died while it served a guest, "
		       "and its last writes may differ from the partner's";
	if (!(s->hello->flags & SB_CONSISTENT))
		return "is inconsistent: its content was never declared usable";
	return NULL;
}

static bool check_disks(struct decision *d)
{
	const struct settle_side *sides[] = { d->self, d->peer };
	size_t i;

	if (!memcmp(d->self->hello->device_uuid, d->peer->hello->device_uuid,
		    sizeof(d->self->hello->device_uuid))) {
		refuse(d, "both nodes present the same metadata: it was "
			  "copied from one to the other; " RECREATE);
		return false;
	}
	for (i = 0; i < 2; i++) {
		const struct packet_hello *h = sides[i]->hello;

		if (!just_created(sides[i]) && !settle_features_cover(&h->offer, &h->agreed)) {
			refuse(d,
			       "the disk on %s offers less than was agreed (%llu of %llu "
			       "sectors, block size %u of %u): restore its size or kind",
			       sides[i]->host, (unsigned long long)h->offer.sectors,
			       (unsigned long long)h->agreed.sectors, h->offer.block_size,
			       h->agreed.block_size);
			return false;
		}
		if (unusable(sides[i])) {
			refuse(d, "the disk on %s %s; " RECREATE, sides[i]->host, unusable(sides[i]));
			return false;
		}
	}
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

static enum settle_verdict meet_new(struct decision *d)
{
	const struct settle_side *old = just_created(d->self) ? d->peer : d->self;
	bool lead = just_created(old) ? d->self->first : old == d->self;

	if (!just_created(old)) {
		const struct settle_side *new = old == d->self ? d->peer : d->self;

		if (!settle_features_cover(&new->hello->offer, &old->hello->agreed))
			return refuse(d,
				      "the disk on %s offers less than was agreed "
				      "(%llu of %llu sectors, block size %u of %u)",
				      new->host, (unsigned long long)new->hello->offer.sectors,
				      (unsigned long long)old->hello->agreed.sectors,
				      new->hello->offer.block_size, old->hello->agreed.block_size);
		if (old->hello->base > 0)
			return refuse(d,
				      "the metadata on %s is new, but %s has served guests since "
				      "it was paired: a full resync would be needed; " RECREATE,
				      old == d->self ? d->peer->host : d->self->host, old->host);
		if (old->hello->token != TOKEN_HELD)
			return refuse(d,
				      "one node's metadata is new and the other one does not hold the token: "
				      "run 'backend-ctl create-md --assume-clean --force' for it on "
				      "both nodes");
	}
	if (just_created(old) && !same_size(&d->self->hello->offer, &d->peer->hello->offer))
		return refuse(d,
			      "the two volumes have different sizes (%llu sectors on %s, %llu on %s), so "
			      "they cannot be "
			      "identical: give them one size, then " RECREATE,
			      (unsigned long long)d->self->hello->offer.sectors, d->self->host,
			      (unsigned long long)d->peer->hello->offer.sectors, d->peer->host);
	return lead ? SETTLE_PAIR_LEAD : SETTLE_PAIR_FOLLOW;
}

/* `holder` has the token; is that compatible with what the other one remembers? */
static bool holder_is_newer(const struct packet_hello *holder, const struct packet_hello *other)
{
	return holder->epoch >= other->epoch && holder->base >= other->base;
}

static enum settle_verdict meet_token(struct decision *d)
{
	const struct packet_hello *self = d->self->hello, *peer = d->peer->hello;
	const struct packet_hello *giver;

	if (self->token == TOKEN_HELD && peer->token == TOKEN_HELD)
		return refuse(d,
			      "split brain: %s and %s both hold the token (epochs %llu "
			      "and %llu); decide whose data to keep, then " RECREATE,
			      d->self->host, d->peer->host, (unsigned long long)self->epoch,
			      (unsigned long long)peer->epoch);
	if (self->token == TOKEN_HELD || peer->token == TOKEN_HELD) {
		bool here = self->token == TOKEN_HELD;

		if (!holder_is_newer(here ? self : peer, here ? peer : self))
			return refuse(d,
				      "the node that holds the token, %s, remembers less "
				      "than its partner (epochs %llu here, %llu there): "
				      "its metadata is older than the data; " RECREATE,
				      here ? d->self->host : d->peer->host, (unsigned long long)self->epoch,
				      (unsigned long long)peer->epoch);
		return here ? SETTLE_KEEP : SETTLE_ADOPT;
	}
	giver = self->epoch > peer->epoch ? self : peer;
	if (self->epoch == peer->epoch || giver->token != TOKEN_GIVEN)
		return refuse(d,
			      "neither node holds the token (%s: %s, epoch %llu; %s: %s, "
			      "epoch %llu): the metadata of one was set back; " RECREATE,
			      d->self->host, token_name(self->token), (unsigned long long)self->epoch,
			      d->peer->host, token_name(peer->token), (unsigned long long)peer->epoch);
	return giver == self ? SETTLE_GIVE_AGAIN : SETTLE_KEEP;
}

enum settle_verdict settle(const struct settle_side *self, const struct settle_side *peer, char *why,
			   size_t why_size)
{
	struct decision d = { self, peer, why, why_size };

	if (why_size)
		why[0] = '\0';
	if (!check_disks(&d))
		return SETTLE_REFUSE;
	if (just_created(self) || just_created(peer))
		return meet_new(&d);
	if (self->hello->gen.current != peer->hello->gen.current)
		return refuse(&d,
			      "the two disks have different histories (generations "
			      "%016llX on %s, %016llX on %s); " RECREATE,
			      (unsigned long long)self->hello->gen.current, self->host,
			      (unsigned long long)peer->hello->gen.current, peer->host);
	if (!features_equal(&self->hello->agreed, &peer->hello->agreed))
		return refuse(&d, "the two nodes remember different agreements about size "
				  "and features; " RECREATE);
	return meet_token(&d);
}
