/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fencer.c: fence-peer, as a correct script does it (docs/DEGRADED.md, section 4; hotplug/handlers/fence-peer-ssh).
 *
 *   begins ──> looks ─┬─ the partner's host is off ───────────────────> 5
 *                     ├─ no daemon runs there: its metadata are written > 3, 4, 6
 *                     ├─ 'backend-ctl outdate' there ─ is answered ────> 3, 4, 6, 1 ("try again": once more, or 1)
 *                     ├─ its power is cut ────────────────────────────> 7
 *                     └─ nothing of that can be done ─────────────────> 1
 *
 * What it says is so at that moment; what it is told may be late, and reaches only the daemon that asked. The script is a process of its own: it goes
 * on when that daemon is killed, or has lost its patience ("did not end in time"), and ends with the host.
 *
 * Random numbers come from s->fencing, so that what is drawn here changes no schedule in which nobody is fenced.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

#define PATIENCE     (6 * SIM_SECOND) /* HANDLER_LIMIT_MS, in a world in which everything is quicker */
#define TRIES	     5u
#define EXIT_UNKNOWN 1 /* nothing is known of the partner */

struct script {
	struct node *node;
	uint64_t life, power_cuts; /* of the daemon, and of the host */
	enum script_kind kind;
	bool answered;		   /* the daemon has been told something */
	bool unreachable, unarmed; /* the other network, or the switch for the power, fails */
	unsigned int tries;
};

/* ---- the answer ---- */

static bool fences(enum fence_verdict v)
{
	return v == FENCE_PEER_INCONSISTENT || v == FENCE_FENCED_OUTDATED || v == FENCE_FENCED_UNREACHABLE || v == FENCE_FENCED_STONITHED;
}

static void answer_event(struct sim *s, struct event *e)
{
	enum fence_verdict v = (enum fence_verdict)e->a;
	struct node *n = e->node;

	n->fencing--;
	sim_say(s, n, "fence-peer", handler_fence_words(v));
	s->totals->verdict[n->cfg.fencing][v]++;
	n->told |= fences(v);
	replicate_handled(n->core, HANDLER_FENCE_PEER, v == FENCE_FENCED_STONITHED, v, sim_ms(s));
	node_settle(n);
}

/* The daemon that asked has been told something, or has died. */
static bool unheard(const struct script *p)
{
	return p->answered || !p->node->up || p->node->life != p->life;
}

/* By a daemon that has died meanwhile nothing is heard. */
static void answer(struct script *p, enum fence_verdict v, uint64_t delay)
{
	struct event *e;

	if (unheard(p))
		return;
	p->answered = true;
	e = sim_in(p->node->sim, delay, answer_event, p->node);
	e->a = v;
	sim_mortal(e);
}

/* The partner was outdated by a node whose own copy has become a target since, or does so in this moment: then neither counts, and a person has to
 * say which. */
static bool in_vain(const struct node *n)
{
	uint32_t flags = n->meta.durable.flags;

	return flags & SB_OUTDATED || !(flags & SB_CONSISTENT) || n->status.connection == CONNECTION_HELLO_SENT ||
	       n->status.connection == CONNECTION_SETTLING;
}

/* Its end; frees it. */
static void finish(struct script *p, int status)
{
	struct sim *s = p->node->sim;
	struct handler_result result = { .end = HANDLER_EXITED, .code = status };

	sim_note(s, p->node, "script-ends", (uint64_t)status, 0, 0);
	s->history.excused |= status == 4 && in_vain(p->node);
	answer(p, handler_fence_verdict(&result, true), sim_between_fencing(s, 0, sim_chance_fencing(s, 900) ? 5 : 500) * SIM_MS);
	s->scripts--;
	free(p);
}

/* ---- the partner is told that it is outdated ---- */

static void script_event(struct sim *s, struct event *e);

static void go_on_in(struct script *p, uint64_t delay)
{
	sim_in(p->node->sim, delay, script_event, p->node)->p = p;
}

/* As ctl/outdate.c: nobody is there who could be asked. */
static int outdate_metadata(struct node *peer)
{
	const struct superblock *sb = &peer->meta.durable;
	const struct guest *g = &peer->guest;

	if (g->filed && g->file.domid && !g->file.core.handed_over && !g->file.core.stale)
		return sb->token == TOKEN_HELD && sb->flags & SB_CONSISTENT && !(sb->flags & SB_OUTDATED) ? 6 : EXIT_UNKNOWN;
	if (sb->flags & SB_PEER_OUTDATED || (sb->token == TOKEN_HELD && sb->gen.bitmap))
		return 6;
	if (!(sb->flags & SB_CONSISTENT) || sb->flags & SB_JUST_CREATED)
		return 3;
	if (vdisk_busy(&peer->disk) || !vmeta_outdate(&peer->meta))
		return EXIT_UNKNOWN;
	peer->sim->totals->outdated_offline++;
	return 4;
}

static void next(struct script *p, int status)
{
	if (status == EXIT_UNKNOWN && p->kind == SCRIPT_BOTH) {
		p->kind = SCRIPT_POWER;
		go_on_in(p, SIM_MS);
	} else {
		finish(p, status);
	}
}

static bool once_more(struct script *p)
{
	struct sim *s = p->node->sim;

	if (!s->plan.persistent || p->tries >= TRIES)
		return false;
	p->tries++;
	go_on_in(p, sim_between_fencing(s, 20, 300) * SIM_MS);
	return true;
}

void fencer_outdated(struct node *peer, int rc)
{
	struct script *p = peer->asked_by;

	peer->asked_by = NULL;
	if (rc != -EAGAIN && rc != -EBUSY && rc != -EISCONN)
		next(p, !rc ? 4 : rc == -ENODATA ? 3 : rc == -ETXTBSY ? 6 : EXIT_UNKNOWN);
	else if (!once_more(p))
		next(p, EXIT_UNKNOWN);
}

void fencer_daemon_died(struct node *n)
{
	struct script *p = n->asked_by;

	n->fencing = 0;
	n->asked_by = NULL;
	if (p)
		go_on_in(p, SIM_MS); /* it is told so, and asks again, or not */
}

static void outdate(struct script *p)
{
	struct node *peer = node_peer(p->node);

	p->node->sim->history.excused |= unheard(p); /* then both may be outdated */

	if (p->unreachable) {
		next(p, EXIT_UNKNOWN);
	} else if (peer->off) {
		finish(p, 5);
	} else if (!peer->up) {
		next(p, outdate_metadata(peer));
	} else if (peer->commanding || peer->stopping) {
		if (!once_more(p))
			next(p, EXIT_UNKNOWN);
	} else if (sim_is(p->node->sim, MUTANT_VERDICT_EARLY)) {
		finish(p, 4);
		node_command(peer, COMMAND_OUTDATE);
	} else {
		peer->asked_by = p;
		node_command(peer, COMMAND_OUTDATE);
	}
}

/* ---- the partner's power is cut ---- */

static void cut_power(struct script *p)
{
	struct node *n = p->node, *peer = node_peer(n);
	struct sim *s = n->sim;

	if (p->unarmed) {
		finish(p, EXIT_UNKNOWN);
		return;
	}
	sim_note(s, n, "stonith", peer->up, peer->off, 0);
	s->totals->shot += !peer->off;
	if (!peer->off)
		node_power_off(peer, sim_between_fencing(s, 200, sim_chance_fencing(s, 500) ? 1000 : 8000) * SIM_MS);
	finish(p, 7);
}

/* ---- its life ---- */

static void script_event(struct sim *s, struct event *e)
{
	struct script *p = e->p;

	e->p = NULL;
	if (e->node->off || e->node->power_cuts != p->power_cuts) {
		s->scripts--;
		free(p);
	} else if (sim_is(s, MUTANT_UNREACHABLE_LIE) && p->unreachable) {
		finish(p, 5);
	} else if (p->kind == SCRIPT_POWER) {
		cut_power(p);
	} else {
		outdate(p);
	}
}

void fencer_run(struct node *n)
{
	struct sim *s = n->sim;
	struct script *p = sim_memory(1, sizeof(*p));
	bool late = sim_chance_fencing(s, 40);

	*p = (struct script){ .node = n, .life = n->life, .power_cuts = n->power_cuts, .kind = s->plan.script };
	p->unreachable = sim_chance_fencing(s, sim_is(s, MUTANT_UNREACHABLE_LIE) ? 700 : 200);
	p->unarmed = sim_chance_fencing(s, 150);
	n->fencing++;
	n->fenced = true;
	s->scripts++;
	if (sim_chance_fencing(s, 20)) {
		answer(p, FENCE_NOT_RUN, 0);
		s->scripts--;
		free(p);
		return;
	}
	if (late)
		answer(p, FENCE_LATE, PATIENCE);
	go_on_in(p, sim_between_fencing(s, 0, sim_chance_fencing(s, 700) ? 50 : 3000) * SIM_MS + (late ? PATIENCE - SIM_SECOND : 0));
}
