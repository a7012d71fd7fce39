/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * schedule.c: one schedule: a pair that has just been created meets, guests come and go under faults; then
 * the faults stop, and what must come true in the end is waited for, in virtual time, with a bound.
 *
 *   (the link stays   with fencing: whoever waits for it goes on when the administrator has done what status says)
 *    cut for a while)
 *   quiet ending      the administrator brings the two together, requests are answered, guests leave, the volumes are
 *                     equal and nothing is out of sync; then a guest can be started on either node, and migrates
 *   a Primary dies    late, then as before
 *   power cut of both at the end, then as before
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define BOUND	   (60 * SIM_SECOND) /* virtual time in which the end must come true */
#define RAGE	   (60 * SIM_SECOND) /* virtual time after which a schedule ends although it does not count */
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
		    "%s, %s, %lu out of sync, guest %d, %u in flight, "
		    "frozen '%s', why '%s'.  node 1: %s, %s, %s, %s, %lu out of sync, guest %d, %u in flight, frozen '%s', why '%s'",
		    what, connection_state_name(s->node[0].status.connection),
		    attachment_state_name(s->node[0].status.attachment), sync_state_name(s->node[0].status.sync),
		    disk_state_name(s->node[0].status.disk), s->node[0].status.out_of_sync, s->node[0].guest.attach,
		    s->node[0].guest.inflight, s->node[0].status.frozen, s->node[0].status.why,
		    connection_state_name(s->node[1].status.connection),
		    attachment_state_name(s->node[1].status.attachment), sync_state_name(s->node[1].status.sync),
		    disk_state_name(s->node[1].status.disk), s->node[1].status.out_of_sync, s->node[1].guest.attach,
		    s->node[1].guest.inflight, s->node[1].status.frozen, s->node[1].status.why);
}

static bool both_connected(struct sim *s)
{
	return s->node[0].up && s->node[1].up && s->node[0].status.connection == CONNECTION_CONNECTED &&
	       s->node[1].status.connection == CONNECTION_CONNECTED;
}

static bool guests_gone(struct sim *s)
{
	return s->node[0].guest.attach == ATTACH_NONE && s->node[1].guest.attach == ATTACH_NONE;
}

/* What was cleared of the bitmap is written when there is nothing else to do. */
static bool written_out(const struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		for (unsigned int k = 0; k < VMETA_LANES; k++)
			if (s->node[i].meta.lane[k].op)
				return false;
	return true;
}

static bool at_rest(struct sim *s)
{
	int held = (s->node[0].meta.durable.token == TOKEN_HELD) +
		   (s->node[1].meta.durable.token == TOKEN_HELD);

	return held == 1 && !s->scripts && admin_content(s) && written_out(s) && !s->node[0].guest.left && !s->node[1].guest.left && vnet_whole(s) &&
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
		    (g->attach == ATTACH_ACTIVE && !g->leaving && g->answered < vguest_enough(s)))
			return false;
	}
	return true;
}

static bool settled_progress(struct sim *s)
{
	return !s->scripts && migration_settled(s) && guests_progress(s);
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
	if (!s->failed && !s->plan.cache)
		oracle_crash(s, "at rest");
	if (!s->plan.virgin)
		expect(s, oracle_nothing_marked, ORACLE_MARKS, "the metadata of both say that nothing is out of sync");
}

/* A guest can be started here, and its requests are answered. */
static bool probed(struct sim *s)
{
	return guests_gone(s) ||
	       (claims_answered(s) && guests_progress(s) &&
		(s->node[0].guest.attach == ATTACH_ACTIVE || s->node[1].guest.attach == ATTACH_ACTIVE));
}

/* With less a slow disk is enough for a reservation to be refused. */
static bool has_time(const struct node *destination)
{
	return destination->cfg.reserve_timeout_ms >= 1000;
}

static bool migrated(struct sim *s)
{
	const struct node *source = &s->node[s->migration.source];

	return !s->migration.running && guests_progress(s) &&
	       (source->guest.attach == ATTACH_NONE || !has_time(node_peer(source)));
}

/* Also under a daemon that the administrator restarts, to have its disk back. */
static bool arrived(const struct node *n)
{
	return n->guest.life == LIFE_RUNNING && (n->guest.attach == ATTACH_ACTIVE || n->guest.attach == ATTACH_ORPHAN);
}

/* At rest a migration succeeds. */
static void migrate(struct sim *s, struct node *n)
{
	if (s->failed || n->guest.life != LIFE_RUNNING)
		return;
	s->migration.must_succeed = true;
	migration_begin(n);
	expect(s, migrated, ORACLE_LIVENESS, "a guest migrates at rest");
	if (!s->failed && !arrived(node_peer(n)) && (has_time(node_peer(n)) || !arrived(n)))
		sim_violate(s, ORACLE_LIVENESS, "node %d: a migration at rest failed", n->index);
}

static bool requests_were(struct sim *s)
{
	return s->guest_ops >= s->plan.goal_ops;
}

/* A write that failed before the faults stopped is tried again. */
static bool metadata_written(struct sim *s)
{
	return !s->node[0].meta.failed && !s->node[1].meta.failed;
}

static void probe(struct sim *s, struct node *n)
{
	if (s->failed)
		return;
	expect(s, metadata_written, ORACLE_LIVENESS, "the metadata are written");
	count_answers_again(s);
	vdevice_claim(n, NULL);
	expect(s, probed, ORACLE_LIVENESS, "a guest runs that was started at rest");
	if (!s->failed && n->guest.attach != ATTACH_ACTIVE)
		sim_violate(s, ORACLE_LIVENESS, "node %d: a claim at rest was refused (error %d)", n->index,
			    n->guest.claim_rc);
	expect(s, requests_were, ORACLE_LIVENESS, "a guest that runs goes on");
	migrate(s, n);
	come_to_rest(s);
}

static void end_quiet(struct sim *s)
{
	int first = (int)sim_random(s, SIM_NODES);

	count_answers_again(s);
	admin_start(s);
	expect(s, both_connected, ORACLE_LIVENESS, "the nodes connect");
	expect(s, admin_content, ORACLE_LIVENESS, "both disks are up to date, and nothing is out of sync");
	expect(s, migration_settled, ORACLE_LIVENESS, "of each guest one copy is left, and it runs");
	count_answers_again(s);
	expect(s, settled_progress, ORACLE_LIVENESS, "the guests go on");
	come_to_rest(s);
	if (!s->plan.brief || !requests_were(s) || sim_chance(s, 400))
		probe(s, &s->node[first]);
	if (!s->plan.brief)
		probe(s, &s->node[!first]);
	s->quiescent = !s->failed;
}

static void power_cut_of_both(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		if (s->node[i].up)
			node_crash(&s->node[i], true, sim_between(s, 20, 500) * SIM_MS);
	s->faults++;
	oracle_crash(s, "power cut of both");
}

#define APART (20 * SIM_SECOND)

static void let_go_event(struct sim *s, struct event *e)
{
	(void)e;
	for (int i = 0; i < SIM_NODES; i++)
		if (sim_chance_fencing(s, 300))
			admin_lets_go(&s->node[i]);
	if (s->plan.apart)
		sim_in(s, 300 * SIM_MS, let_go_event, NULL);
}

/* Nothing is wrong with this node, its guest waits for the partner's fencing, and no guest runs over there. */
static bool still_frozen(const struct node *n)
{
	const struct superblock *sb = &n->meta.durable;

	return n->up && !n->stopping && n->guest.attach == ATTACH_ACTIVE && node_peer(n)->guest.attach == ATTACH_NONE &&
	       n->status.attachment == ATTACHMENT_ACTIVE && n->status.connection == CONNECTION_DISCONNECTED && sb->token == TOKEN_HELD && n->status.disk == DISK_UP_TO_DATE &&
	       !sb->reservation && !n->status.suspended && !n->guest.left && n->cfg.fencing == FENCING_RESOURCE_AND_STONITH &&
	       n->status.fence != FENCE_DONE;
}

/* Everything is repaired but the link: the administrator does what status says. */
static void stay_apart(struct sim *s)
{
	s->net.up = false;
	vnet_cut(s);
	sim_in(s, SIM_SECOND, let_go_event, NULL);
	run_until(s, NULL, s->now + APART);
	for (int i = 0; i < SIM_NODES && !s->failed; i++)
		if (still_frozen(&s->node[i]))
			sim_violate(s, ORACLE_LIVENESS, "node %d's guest still waits for the partner's fencing: %s", i, s->node[i].status.frozen);
	s->plan.apart = false;
	s->net.up = true;
}

static bool a_primary_died(struct sim *s)
{
	return s->primaries;
}

static bool faults_were(struct sim *s)
{
	return s->faults >= s->plan.goal_faults;
}

/* Faults, until the schedule counts.  Requests that are missing then are made up for in the end. */
static void rage(struct sim *s)
{
	run_until(s, NULL, s->plan.duration);
	run_until(s, faults_were, s->now + RAGE);
	run_until(s, plan_fulfilled, s->now + 3 * SIM_SECOND);
	if (s->plan.ending != END_PRIMARY || !s->plan.brief)
		return;
	plan_kill_primary(s);
	s->primaries = 0;
	run_until(s, a_primary_died, s->now + RAGE / 20);
	run_until(s, NULL, s->now + sim_random(s, 2 * s->plan.gap));
}

static void end(struct sim *s)
{
	if (s->failed)
		return;
	plan_stop(s);
	if (s->plan.apart)
		stay_apart(s);
	if (s->failed)
		return;
	if (s->plan.ending == END_BOTH)
		power_cut_of_both(s);
	if (s->plan.cache && s->plan.ending == END_BOTH)
		return; /* what no flush covered is gone; there is nothing to go on with */
	end_quiet(s);
}

static void monitor_event(struct sim *s, struct event *e)
{
	(void)e;
	oracle_monitor(s);
	sim_in(s, 250 * SIM_MS, monitor_event, NULL);
}

static void create_node(struct sim *s, int i)
{
	struct node unborn = { .sim = s };
	struct superblock sb;

	node_superblock_new(&unborn, &sb);
	node_init(s, i, &sb);
}

static void create_pair(struct sim *s)
{
	uint64_t other;

	for (int i = 0; i < SIM_NODES; i++)
		create_node(s, i);
	if (!s->plan.same) {
		other = truth_write(s, 0, (uint32_t)s->volume);
		s->history.write[other].order = ++s->history.consumed;
		vdisk_replace(&s->node[1].disk, other);
	}
	for (int i = 0; i < SIM_NODES; i++)
		node_boot(&s->node[i]);
}

static void add_up(struct sim *s)
{
	struct totals *t = s->totals;

	t->schedules++;
	t->counted += s->quiescent && plan_fulfilled(s);
	t->events += s->events;
	t->guest_ops += s->guest_ops;
	t->faults += s->faults;
}

/* Runs one schedule; the outcome is in s->failed, ->oracle, ->violation and ->hash. */
void sim_schedule(struct sim *s, const struct schedule *what, struct totals *t)
{
	memset(s, 0, sizeof(*s));
	s->seed = what->seed;
	s->mutant = what->mutant;
	s->trace = what->trace;
	s->plain = what->plain;
	s->cuts = what->cuts;
	s->draw = &s->random;
	s->totals = t;
	s->hash = 0xcbf29ce484222325ull;
	random_seed(&s->random, what->seed);
	random_seed(&s->core_random, ~what->seed);
	random_seed(&s->apart, what->seed ^ 0xd15cull << 32);
	random_seed(&s->fencing, what->seed ^ 0xfe39ull << 32);
	random_seed(&s->discards, what->seed ^ 0xd15ca4dull << 32);
	random_seed(&s->secure, what->seed ^ 0x5ec5eull << 32);
	plan_make(s);
	cost_start(s);
	create_pair(s);
	vnet_start(s);
	plan_start(s);
	migration_start(s);
	sim_in(s, 250 * SIM_MS, monitor_event, NULL);
	rage(s);
	end(s);
	add_up(s);
	sim_drop_events(s);
	for (int i = 0; i < SIM_NODES; i++)
		node_dispose(&s->node[i]);
	truth_dispose(s);
}
