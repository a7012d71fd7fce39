/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coverage.c: what the schedules have been through, and what they ought to have been through.
 *
 *   packets   of every type one was lost, one came late, and one came twice:
 *               lost    the connection is cut with the packet in flight
 *               late    it arrives more than 100 ms after it was sent, behind timers and the other node's events
 *               twice   a node sends it a second time in the same connection. For the hand-over's messages that is harmless
 *                       (docs/PROTOCOL.md), also much later; any other is repeated at once, and its receiver, or the one that
 *                       gets a second answer, either takes no harm or closes the connection with words
 *               again   what was sent in one connection is sent in the next one
 *             A connection is a TCP stream: within a living one no packet is lost, and none overtakes another.
 *   fencing   under each policy the partner's fencing came to each state, and fence-peer gave each answer; promotions, forks, errors (FENCED)
 *   states    a node was in each state that is not impossible (impossible()): its role, the connection, its disk, the partner's disk.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

/* ---- packets: what was said in the last connection, and is said again ---- */

static bool is_answer(enum packet_type type)
{
	return type == PACKET_ACK || type == PACKET_NOT_ERASED || type == PACKET_FLUSH_ACK || type == PACKET_READ_DATA || type == PACKET_READ_ZEROES ||
	       type == PACKET_READ_FAILED || type == PACKET_SAME || type == PACKET_DIFFERENT || type == PACKET_RECEIVED;
}

/* What the packet is about, so that it is known again: a copy that was lost is begun anew, with an id of its own. */
static uint64_t subject(const struct packet *p)
{
	switch (p->type) {
	case PACKET_DATA:
		return p->data.copy ? p->data.sector : p->data.id;
	case PACKET_READ:
	case PACKET_ZEROES:
		return p->read.sector;
	case PACKET_CSUM:
		return p->csum.sector;
	case PACKET_DISCARD:
		return p->discard.id;
	case PACKET_FLUSH:
		return p->ack.id;
	case PACKET_BITMAP:
		return p->bitmap.page;
	case PACKET_IN_SYNC:
	case PACKET_OUT_OF_SYNC:
		return p->in_sync.sector;
	default:
		return 0;
	}
}

/* An answer is about what its question was about. */
static uint64_t subject_of_answer(const struct connection *c, int side, uint64_t id)
{
	for (unsigned int i = 0; i < VNET_SAID; i++)
		if (c->said[!side][i].id == id)
			return c->said[!side][i].subject;
	return id;
}

static bool was_said(const struct connection *c, int side, const struct said *what)
{
	for (unsigned int i = 0; c && i < VNET_SAID && i < c->sayings[side]; i++)
		if (c->said[side][i].type == what->type && c->said[side][i].subject == what->subject)
			return true;
	return false;
}

void coverage_sent(struct sim *s, struct connection *c, const struct connection *before, int side, const struct packet *p)
{
	bool about_request = is_answer(p->type) || wire_needs_request(p->type);
	struct said said = { .type = p->type, .id = about_request ? p->ack.id : 0 };

	said.subject = is_answer(p->type) ? subject_of_answer(c, side, p->ack.id) : subject(p);
	if (c->sayings[side] < VNET_SAID && was_said(before, side, &said))
		s->totals->again[p->type]++;
	c->said[side][c->sayings[side]++ % VNET_SAID] = said;
}

/* ---- states ---- */

static enum role role_of(const struct replicate_status *st)
{
	bool held = st->superblock.token == TOKEN_HELD;

	if (st->attachment == ATTACHMENT_ACTIVE)
		return held ? ROLE_PRIMARY : ROLE_TOKENLESS;
	return held ? ROLE_HOLDER : st->superblock.token == TOKEN_GIVEN ? ROLE_GIVER : ROLE_SECONDARY;
}

void coverage_state(struct totals *t, const struct replicate_status *is)
{
	t->state[role_of(is)][is->connection][is->disk][is->peer_disk]++;
}

static const char *const role_names[] = {
#define X(name, text, what) [ROLE_##name] = text,
	ROLES(X)
#undef X
};

static bool usable(enum disk_state disk)
{
	return disk == DISK_UP_TO_DATE;
}

/* NULL, or why no node is ever in this state. */
static const char *impossible(enum role role, enum connection_state connection, enum disk_state disk, enum disk_state peer)
{
	bool met = connection == CONNECTION_CONNECTED;

	if (disk == DISK_UNKNOWN)
		return "a node knows its own disk";
	if (met && peer == DISK_UNKNOWN)
		return "the partner's disk is known while the two are connected";
	if (!met && peer != DISK_UNKNOWN && peer != DISK_OUTDATED)
		return "of a partner that is not connected it can only be known that it was outdated";
	if (!met && peer == DISK_OUTDATED && disk == DISK_OUTDATED)
		return "whoever is outdated does not know the partner to be that (DEGRADED.md, D14 and D20)";
	if (peer == DISK_OUTDATED && (disk == DISK_DISKLESS || disk == DISK_INCONSISTENT))
		return "a disk is given up, or lacks something, only beside a partner's that is good (DEGRADED.md, section 5)";
	if (role == ROLE_TOKENLESS)
		return "a guest is served with the token only (HANDOVER.md, R1)";
	if (!met && disk == DISK_UP_TO_DATE && role != ROLE_PRIMARY && role != ROLE_HOLDER)
		return "without the token and the partner nobody knows that his data are the newest";
	if (met && (disk == DISK_CONSISTENT || peer == DISK_CONSISTENT))
		return "where two have met, each disk is up to date, a target, or not there (PROTOCOL.md, section 7)";
	if (met && disk == DISK_OUTDATED && (role == ROLE_PRIMARY || role == ROLE_HOLDER || peer != DISK_UP_TO_DATE))
		return "who leaves in good order has a partner that goes on (DEGRADED.md, D20)";
	if (met && peer == DISK_OUTDATED && ((role != ROLE_PRIMARY && role != ROLE_HOLDER) || disk == DISK_OUTDATED))
		return "who has been left in good order is the holder (DEGRADED.md, D20)";
	if (met && (disk == DISK_DISKLESS || peer == DISK_DISKLESS) && !usable(disk) && !usable(peer))
		return "who has no disk meets only a partner whose disk can be used (PROTOCOL.md, section 7)";
	return NULL;
}

/* ---- what ought to have been seen ---- */

static const char *const faults[FAULT_COUNT] = {
#define X(id, name) name,
	FAULTS(X)
#undef X
};
static const char *const points[POINT_COUNT] = {
#define X(id, what) what,
	POINTS(X)
#undef X
};
static const char *const actions[AMBUSH_COUNT] = {
#define X(id, what) what,
	AMBUSHES(X)
#undef X
};

struct state { enum role role; enum connection_state connection; enum disk_state disk, peer; };

static bool next_state(struct state *at)
{
	if (++at->peer < DISK_STATE_COUNT)
		return true;
	at->peer = 0;
	if (++at->disk < DISK_STATE_COUNT)
		return true;
	at->disk = 0;
	if (++at->connection < CONNECTION_STATE_COUNT)
		return true;
	at->connection = 0;
	return ++at->role < ROLE_COUNT;
}

static const char *state_name(const struct state *at, char *out, size_t size)
{
	snprintf(out, size, "%s %s %s %s", role_names[at->role], connection_state_name(at->connection), disk_state_name(at->disk),
		 disk_state_name(at->peer));
	return out;
}

/* Does a line of the file begin with these words? What follows them on the line says why. */
static bool listed(FILE *f, const char *words)
{
	size_t length = strlen(words);
	char line[512];

	rewind(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, words, length) && (line[length] == ':' || line[length] == '\n'))
			return true;
	return false;
}

static unsigned int missing(FILE *f, const char *words)
{
	if (listed(f, words))
		return 0;
	printf("coverage: never seen: %s\n", words);
	return 1;
}

static unsigned int missing_states(const struct totals *t, FILE *f)
{
	struct state at = { 0 };
	unsigned int lacking = 0;
	char words[96];

	do {
		uint64_t n = t->state[at.role][at.connection][at.disk][at.peer];
		const char *why = impossible(at.role, at.connection, at.disk, at.peer);

		state_name(&at, words, sizeof(words));
		if (!n && !why)
			lacking += missing(f, words);
		if (n && why)
			lacking += (unsigned int)printf("coverage: %s was seen, but %s\n", words, why) > 0;
	} while (next_state(&at));
	return lacking;
}

static unsigned int missing_packets(const struct totals *t, FILE *f)
{
	static const char *const fates[] = { "lost", "late", "twice" };
	const uint64_t *const seen[] = { t->lost, t->late, t->twice };
	unsigned int lacking = 0;
	char words[96];

	for (unsigned int i = PACKET_HELLO; i <= PACKET_LAST; i++)
		for (unsigned int k = 0; k < 3; k++) {
			snprintf(words, sizeof(words), "%s %s", packet_name(i), fates[k]);
			if (!seen[k][i])
				lacking += missing(f, words);
		}
	return lacking;
}

static unsigned int missing_faults(const struct totals *t, FILE *f)
{
	unsigned int lacking = 0;
	char words[96];

	for (int i = 0; i < FAULT_COUNT; i++)
		lacking += t->fault[i] ? 0 : missing(f, faults[i]);
	for (int p = 0; p < POINT_COUNT; p++)
		for (int a = 0; a < AMBUSH_COUNT; a++) {
			snprintf(words, sizeof(words), "%s, when %s", actions[a], points[p]);
			lacking += t->ambush[p][a] ? 0 : missing(f, words);
		}
	return lacking;
}

/* What is counted once, and its name. */
static const struct {
	size_t at;
	const char *name;
} fenced[] = {
#define X(field, name) { offsetof(struct totals, field), name },
	FENCED(X)
#undef X
};

static uint64_t fenced_count(const struct totals *t, size_t i)
{
	return *(const uint64_t *)(const void *)((const char *)t + fenced[i].at);
}

static const char *const policies[FENCING_COUNT] = { "dont-care", "resource-only", "resource-and-stonith" };

static const char *const fence_states[FENCE_STATE_COUNT] = {
#define X(name, what) #name,
	FENCE_STATES(X)
#undef X
};

static const char *const verdicts[FENCE_VERDICT_COUNT] = {
#define X(name, what) #name,
	FENCE_VERDICTS(X)
#undef X
};

static unsigned int missing_fencing(const struct totals *t, FILE *f)
{
	unsigned int lacking = 0;
	char words[96];

	for (int p = FENCING_RESOURCE_ONLY; p < FENCING_COUNT; p++) {
		for (int i = 0; i < FENCE_STATE_COUNT; i++) {
			snprintf(words, sizeof(words), "fencing %s, %s", policies[p], fence_states[i]);
			lacking += t->fence[p][i] ? 0 : missing(f, words);
		}
		for (int i = 0; i < FENCE_VERDICT_COUNT; i++) {
			if (i == FENCE_UNREACHABLE) /* a node whose disk is not up to date never asks (resource.c) */
				continue;
			snprintf(words, sizeof(words), "fence-peer under %s, %s", policies[p], verdicts[i]);
			lacking += t->verdict[p][i] ? 0 : missing(f, words);
		}
	}
	for (size_t i = 0; i < sizeof(fenced) / sizeof(fenced[0]); i++)
		lacking += fenced_count(t, i) ? 0 : missing(f, fenced[i].name);
	return lacking;
}

/* Whether everything was seen but for what the file lists. */
bool coverage_complete(const struct totals *t, const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned int lacking;

	if (!f) {
		perror(path);
		return false;
	}
	lacking = missing_faults(t, f) + missing_packets(t, f) + missing_fencing(t, f) + missing_states(t, f);
	lacking += t->discards_long ? 0 : missing(f, "a discard of several pieces");
	lacking += t->discarding_older ? 0 : missing(f, "a discard beside a partner that knows no DISCARD");
	lacking += t->erased ? 0 : missing(f, "a secure discard that both disks have done");
	lacking += t->not_erased ? 0 : missing(f, "a secure discard that ended with an error");
	fclose(f);
	if (lacking)
		printf("coverage: %u cells were never seen (or are impossible, and were), and %s does not list them\n", lacking, path);
	return !lacking;
}

/* ---- printed ---- */

static void print_states(const struct totals *t)
{
	unsigned int seen = 0, unseen = 0, never = 0;
	struct state at = { 0 };
	char words[96];

	do {
		uint64_t n = t->state[at.role][at.connection][at.disk][at.peer];

		if (impossible(at.role, at.connection, at.disk, at.peer) && !n) {
			never++;
			continue;
		}
		*(n ? &seen : &unseen) += 1;
		printf("  state %-48s %12" PRIu64 "\n", state_name(&at, words, sizeof(words)), n);
	} while (next_state(&at));
	printf("  states (role, connection, disk, partner's disk): %u seen, %u never seen, %u impossible\n", seen, unseen, never);
}

static void print_packets(const struct totals *t)
{
	for (unsigned int i = PACKET_HELLO; i <= PACKET_LAST; i++)
		printf("  packet %-14s arrived %10" PRIu64 "  lost %8" PRIu64 "  late %8" PRIu64 "  twice %8" PRIu64 " (closed for it %6" PRIu64
		       ")  again %8" PRIu64 "\n",
		       packet_name(i), t->delivered[i], t->lost[i], t->late[i], t->twice[i], t->refused_twice[i], t->again[i]);
	printf("  packets INTRO, AUTH, REFUSE, PING, PONG and RESTARTING are the transport's: tests/unit/transport.test.c\n");
}

static void print_faults(const struct totals *t)
{
	for (int i = 0; i < FAULT_COUNT; i++)
		printf("  fault %-42s %10" PRIu64 "\n", faults[i], t->fault[i]);
}

/* What happens to a node at which step. */
static void print_ambushes(const struct totals *t)
{
	printf("  %-32s", "at the moment when");
	for (int a = 0; a < AMBUSH_COUNT; a++)
		printf(" %12s", actions[a]);
	putchar('\n');
	for (int p = 0; p < POINT_COUNT; p++) {
		printf("  %-32s", points[p]);
		for (int a = 0; a < AMBUSH_COUNT; a++)
			printf(" %12" PRIu64, t->ambush[p][a]);
		putchar('\n');
	}
}

static void print_commands(const struct totals *t)
{
	static const char *const names[] = {
#define X(id, name) [COMMAND_##id] = #id,
		COMMANDS(X)
#undef X
	};

	for (int i = 0; i < COMMAND_COUNT; i++)
		printf("  command %-14s given %10" PRIu64 "  done %8" PRIu64 "\n", names[i], t->command[i], t->command_done[i]);
}

static void print_entered(const struct totals *t)
{
	for (int i = 0; i < CONNECTION_STATE_COUNT; i++)
		printf("  connection %-14s entered %10" PRIu64 "\n", connection_state_name(i), t->states[i]);
	for (int i = 0; i < ATTACHMENT_STATE_COUNT; i++)
		printf("  attachment %-14s entered %10" PRIu64 "\n", attachment_state_name(i), t->attachments[i]);
	for (int i = 0; i < SYNC_STATE_COUNT; i++)
		printf("  resync %-18s entered %10" PRIu64 "\n", sync_state_name(i), t->syncs[i]);
}

static void print_fencing(const struct totals *t)
{
	for (int p = 0; p < FENCING_COUNT; p++) {
		for (int i = 0; i < FENCE_STATE_COUNT; i++)
			if (p || t->fence[p][i]) /* with dont-care only LEAVING changes it, if the other node has fencing */
				printf("  fencing %-22s %-18s entered %10" PRIu64 "\n", policies[p], fence_states[i], t->fence[p][i]);
		for (int i = 0; i < FENCE_VERDICT_COUNT && p; i++)
			if (i != FENCE_UNREACHABLE)
				printf("  fence-peer under %-22s %-18s %10" PRIu64 "\n", policies[p], verdicts[i], t->verdict[p][i]);
	}
	for (size_t i = 0; i < sizeof(fenced) / sizeof(fenced[0]); i++)
		printf("  %-65s %10" PRIu64 "\n", fenced[i].name, fenced_count(t, i));
}

void coverage_print(const struct totals *t)
{
	print_faults(t);
	print_ambushes(t);
	print_packets(t);
	print_entered(t);
	print_states(t);
	print_fencing(t);
	print_commands(t);
	printf("  migrations %" PRIu64 ": reserved %" PRIu64 ", refused %" PRIu64 ", completed %" PRIu64
	       ", undone %" PRIu64 "; tokens back %" PRIu64 "; guests parked %" PRIu64 ", daemons upgraded %" PRIu64 ", adopted %" PRIu64 "; requests executed again %" PRIu64 "\n",
	       t->migrations, t->reserved, t->reserve_refused, t->completed, t->undone, t->back, t->parked, t->upgraded, t->adopted, t->executed_again);
	printf("  claims %" PRIu64 ": granted %" PRIu64 ", refused %" PRIu64 "; activations %" PRIu64 "; Primaries that died %" PRIu64 "\n",
	       t->claims, t->granted, t->refused, t->activations, t->primaries);
	printf("  resyncs begun %" PRIu64 ", sectors copied %" PRIu64 ", guests that went on alone %" PRIu64 ", timelines %" PRIu64
	       ", of them given up %" PRIu64 ", log writes %" PRIu64 ", page writes %" PRIu64 "\n",
	       t->resyncs, t->copied, t->alone, t->timelines, t->discarded, t->log_writes, t->page_writes);
	printf("  schedules whose guests discard %" PRIu64 ", of them with nodes that know no DISCARD %" PRIu64 "; discards answered %" PRIu64
	       ", of them of several pieces %" PRIu64 "\n",
	       t->discarding, t->discarding_older, t->discards, t->discards_long);
	printf("  schedules whose guests discard securely %" PRIu64 "; these done on both disks %" PRIu64 ", ended with an error %" PRIu64 "\n",
	       t->erasing, t->erased, t->not_erased);
	printf("  disks that hung %" PRIu64 ", requests given up %" PRIu64 ", of them writes that landed late %" PRIu64
	       ", metadata given up %" PRIu64 "\n",
	       t->hangs, t->abandoned, t->late_writes, t->metadata_hung);
}
