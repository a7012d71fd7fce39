/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * schedule.c: one schedule: a pair that has just been created meets, guests come and go under faults; then
 * the faults stop, and what must come true in the end is waited for, in virtual time, with a bound.
 *
 *   quiet ending      requests are answered, guests leave, the volumes are equal; then a guest can be started
 *                     on either node, and migrates
 *   a Primary died    both nodes refuse in words, no claim is granted, no acknowledged write is missing
 *   power cut of both then one of these two, by what the superblocks say
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define BOUND	   (60 * SIM_SECOND) /* virtual time in which the end must come true */
#define EVENTS_MAX 3000000ull	     /* of a schedule; more is a loop */

uint64_t sim_ms(const struct sim *s)
{
	return s->now / SIM_MS;
}

bool sim_is(const struct sim *s, enum mutant m)
{
	return s->mutant == m;
}

/* ---- trace ---- */

static void hash(struct sim *s, uint64_t x)
{
	s->hash = (s->hash ^ x) * 0x100000001b3ull;
	s->hash ^= s->hash >> 31;
}

static void print_line(const struct line *l)
{
	printf("  %10.6f s  %c  %-18s", (double)l->at / SIM_SECOND, l->node < 0 ? '-' : '0' + l->node,
	       l->what);
	if (l->text[0])
		printf(" %s\n", l->text);
	else
		printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", l->a, l->b, l->c);
}

static struct line *new_line(struct sim *s, const struct node *n, const char *what)
{
	struct line *l = &s->line[s->lines++ % SIM_TRACE];

	*l = (struct line){ .at = s->now, .node = n ? n->index : -1, .what = what };
	hash(s, s->now);
	hash(s, (uint64_t)l->node);
	for (const char *c = what; *c; c++)
		hash(s, (unsigned char)*c);
	return l;
}

void sim_note(struct sim *s, const struct node *n, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
	struct line *l = new_line(s, n, what);

	l->a = a;
	l->b = b;
	l->c = c;
	hash(s, a);
	hash(s, b);
	hash(s, c);
	if (s->trace)
		print_line(l);
}

void sim_say(struct sim *s, const struct node *n, const char *what, const char *text)
{
	struct line *l = new_line(s, n, what);

	snprintf(l->text, sizeof(l->text), "%s", text);
	for (const char *c = text; *c; c++)
		hash(s, (unsigned char)*c);
	if (s->trace)
		print_line(l);
}

void sim_print_trace(const struct sim *s)
{
	for (uint64_t i = s->lines > SIM_TRACE ? s->lines - SIM_TRACE : 0; i < s->lines; i++)
		print_line(&s->line[i % SIM_TRACE]);
}

void sim_violate(struct sim *s, enum oracle o, const char *format, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	s->oracle = o;
	va_start(ap, format);
	vsnprintf(s->violation, sizeof(s->violation), format, ap);
	va_end(ap);
	sim_say(s, NULL, "VIOLATION", s->violation);
}

/* ---- running ---- */

static bool run_until(struct sim *s, bool (*done)(struct sim *), uint64_t until)
{
	while (!s->failed && !(done && done(s))) {
		if (s->events > EVENTS_MAX)
			sim_violate(s, ORACLE_LIVENESS, "more than %llu events in one schedule: a loop",
				    EVENTS_MAX);
		if (!sim_step(s, until)) {
			s->now = until;
			return done && done(s);
		}
	}
	return !s->failed;
}

static void expect(struct sim *s, bool (*done)(struct sim *), enum oracle o, const char *what)
{
	if (s->failed || run_until(s, done, s->now + BOUND) || s->failed)
		return;
	sim_violate(s, o,
		    "within a minute after the last fault it does not come true that %s.  node 0: %s, %s, "
		    "guest %d, %u in flight, "
		    "frozen '%s', why '%s'.  node 1: %s, %s, guest %d, %u in flight, frozen '%s', why '%s'",
		    what, connection_state_name(s->node[0].status.connection),
		    attachment_state_name(s->node[0].status.attachment), s->node[0].guest.attach,
		    s->node[0].guest.inflight, s->node[0].status.frozen, s->node[0].status.why,
		    connection_state_name(s->node[1].status.connection),
		    attachment_state_name(s->node[1].status.attachment), s->node[1].guest.attach,
		    s->node[1].guest.inflight, s->node[1].status.frozen, s->node[1].status.why);
}

static bool both_connected(struct sim *s)
{
	return s->node[0].up && s->node[1].up && s->node[0].status.connection == CONNECTION_CONNECTED &&
	       s->node[1].status.connection == CONNECTION_CONNECTED;
}

static bool both_refused(struct sim *s)
{
	return s->node[0].up && s->node[1].up && s->node[0].status.connection == CONNECTION_REFUSED &&
	       s->node[1].status.connection == CONNECTION_REFUSED;
}

static bool guests_gone(struct sim *s)
{
	return s->node[0].guest.attach == ATTACH_NONE && s->node[1].guest.attach == ATTACH_NONE;
}

static bool at_rest(struct sim *s)
{
	int held = (s->node[0].meta.durable.token == TOKEN_HELD) +
		   (s->node[1].meta.durable.token == TOKEN_HELD);

	return held == 1 && !s->node[0].guest.left && !s->node[1].guest.left && vnet_whole(s) &&
	       !s->node[0].stopping && !s->node[1].stopping && both_connected(s) && guests_gone(s) &&
	       !s->node[0].disk.inflight && !s->node[1].disk.inflight && !s->node[0].meta.step &&
	       !s->node[1].meta.step;
}

static bool claims_answered(struct sim *s)
{
	return s->node[0].guest.attach != ATTACH_CLAIMING && s->node[1].guest.attach != ATTACH_CLAIMING;
}

static bool guests_progress(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		struct guest *g = &s->node[i].guest;

		if (g->attach == ATTACH_ACTIVATING ||
		    (g->attach == ATTACH_ACTIVE && !g->leaving && g->answered < 20))
			return false;
	}
	return true;
}

static bool settled_progress(struct sim *s)
{
	return migration_settled(s) && guests_progress(s);
}

static void count_answers_again(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		struct guest *g = &s->node[i].guest;

		g->answered = 0;
		g->think = g->think < 20 * SIM_MS ? g->think : 20 * SIM_MS;
	}
}

static void guests_leave(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		vdevice_leave(&s->node[i], false);
	expect(s, guests_gone, ORACLE_LIVENESS, "every request is answered and the guests are gone");
}

static void come_to_rest(struct sim *s)
{
	guests_leave(s);
	expect(s, at_rest, ORACLE_LIVENESS, "the nodes are connected and at rest, and one holds the token");
	if (!s->failed)
		oracle_replicas(s, "at rest");
}

/* A guest can be started here, and its requests are answered. */
static bool probed(struct sim *s)
{
	return guests_gone(s) ||
	       (claims_answered(s) && guests_progress(s) &&
		(s->node[0].guest.attach == ATTACH_ACTIVE || s->node[1].guest.attach == ATTACH_ACTIVE));
}

static bool migrated(struct sim *s)
{
	return !s->migration.running && guests_progress(s) &&
	       s->node[s->migration.source].guest.attach == ATTACH_NONE;
}

/* At rest a migration succeeds. */
static void migrate(struct sim *s, struct node *n)
{
	if (s->failed || n->guest.life != LIFE_RUNNING)
		return;
	s->migration.must_succeed = true;
	migration_begin(n);
	expect(s, migrated, ORACLE_LIVENESS, "a guest migrates at rest");
	if (!s->failed && node_peer(n)->guest.attach != ATTACH_ACTIVE)
		sim_violate(s, ORACLE_LIVENESS, "node %d: a migration at rest failed", n->index);
}

static void probe(struct sim *s, struct node *n)
{
	if (s->failed)
		return;
	count_answers_again(s);
	vdevice_claim(n, NULL);
	expect(s, probed, ORACLE_LIVENESS, "a guest runs that was started at rest");
	if (!s->failed && n->guest.attach != ATTACH_ACTIVE)
		sim_violate(s, ORACLE_LIVENESS, "node %d: a claim at rest was refused (error %d)", n->index,
			    n->guest.claim_rc);
	migrate(s, n);
	come_to_rest(s);
}

static void end_quiet(struct sim *s)
{
	int first = (int)sim_random(s, SIM_NODES);

	count_answers_again(s);
	expect(s, both_connected, ORACLE_LIVENESS, "the nodes connect");
	expect(s, migration_settled, ORACLE_LIVENESS, "of each guest one copy is left, and it runs");
	count_answers_again(s);
	expect(s, settled_progress, ORACLE_LIVENESS, "the guests go on");
	come_to_rest(s);
	probe(s, &s->node[first]);
	probe(s, &s->node[!first]);
}

static void refuse(struct sim *s, struct node *n)
{
	if (s->failed)
		return;
	vdevice_claim(n, NULL);
	expect(s, claims_answered, ORACLE_LIVENESS, "a claim on an unclean pair is answered");
	if (!s->failed && n->guest.attach != ATTACH_NONE)
		sim_violate(s, ORACLE_UNCLEAN, "node %d: a claim was granted although a Primary has died",
			    n->index);
}

static void end_unclean(struct sim *s)
{
	expect(s, both_refused, ORACLE_UNCLEAN, "both nodes refuse, because a Primary has died");
	guests_leave(s);
	refuse(s, &s->node[0]);
	refuse(s, &s->node[1]);
}

static void power_cut_of_both(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		if (s->node[i].up)
			node_crash(&s->node[i], true, sim_between(s, 20, 500) * SIM_MS);
	s->faults++;
	oracle_volumes(s, "power cut of both");
}

static void end(struct sim *s)
{
	if (s->failed)
		return;
	plan_stop(s);
	if (s->plan.ending == END_BOTH)
		power_cut_of_both(s);
	if (s->plan.cache && s->plan.ending == END_BOTH)
		return; /* what no flush covered is gone; there is nothing to go on with */
	if (s->history.primary_died)
		end_unclean(s);
	else
		end_quiet(s);
	if (s->failed)
		return;
	oracle_volumes(s, "end");
}

static void monitor_event(struct sim *s, struct event *e)
{
	(void)e;
	oracle_monitor(s);
	sim_in(s, 250 * SIM_MS, monitor_event, NULL);
}

static void create_pair(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		struct superblock sb = { .name = "disk", .flags = SB_JUST_CREATED | SB_CONSISTENT };

		for (int k = 0; k < 16; k++)
			sb.device_uuid[k] = (uint8_t)(random_next(&s->core_random) | 1);
		node_init(s, i, &sb);
	}
	for (int i = 0; i < SIM_NODES; i++)
		node_boot(&s->node[i]);
}

static void add_up(const struct sim *s)
{
	struct totals *t = s->totals;

	t->schedules++;
	t->events += s->events;
	t->guest_ops += s->guest_ops;
	t->faults += s->faults;
}

/* Runs one schedule; the outcome is in s->failed, ->oracle, ->violation and ->hash. */
void sim_schedule(struct sim *s, uint64_t seed, enum mutant m, bool trace, struct totals *t)
{
	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->mutant = m;
	s->trace = trace;
	s->totals = t;
	s->hash = 0xcbf29ce484222325ull;
	random_seed(&s->random, seed);
	random_seed(&s->core_random, ~seed);
	plan_make(s);
	create_pair(s);
	vnet_start(s);
	plan_start(s);
	migration_start(s);
	sim_in(s, 250 * SIM_MS, monitor_event, NULL);
	run_until(s, NULL, s->plan.duration);
	end(s);
	add_up(s);
	sim_drop_events(s);
	for (int i = 0; i < SIM_NODES; i++)
		node_dispose(&s->node[i]);
	free(s->history.write);
	free(s->history.branch);
}
