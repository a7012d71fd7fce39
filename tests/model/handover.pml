/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handover.pml: the hand-over of the token between two nodes (docs/HANDOVER.md), for the model checker spin.
 *
 * Names are those of HANDOVER.md; README.md maps each transition to the function that does it. One line of
 * a do-loop is one event of the daemon: atomic, for a resource has one thread. Everything that HANDOVER.md
 * separates is separate here: a durable write begins, ends, and only then sends; a message is sent, is under
 * way, arrives; the look at the domain is taken, and its result arrives later; each side notices for itself
 * that the connection is lost. A resource of a node is numbered i = node * DISKS + disk.
 *
 * With DEGRADED=1 (one disk) degraded.pml is part of it: a pair of which one may go on without the other (R12 to R14). Without, requests are executed only
 * while the nodes are connected, both disks are good, and a node that died while it served a guest does not connect again.
 *
 * Kept finite by budgets: FAULTS (connection, daemon, host), ACTIONS (of xl and of people), WRITES (of the guest, for
 * each disk), REPEATS (messages delivered twice). Nothing can be done for ever, so every run ends, and what must
 * not hang is an assertion about the states in which nothing can move any more (End, at the bottom).
 *
 * Properties (the name is in the assertion that fails):
 *   one_node             a request is executed only while the partner cannot execute any                        (P2)
 *   acknowledged_write   the disk of the node that executes has every acknowledged write                        (P1)
 *   late_write           no write of one node lands over a newer one, or is still under way when the other one
 *                        executes                                                                               (P3)
 *   stale_copy           the copy of the guest that is served knows every request that any copy of it had executed,
 *                        on each of its disks
 *   returned_unused      a token comes back to an old ring only if no disk of the guest was used since
 *   not_overtaken        an arriving copy is declared stale only if the guest really went on somewhere else
 *   not_taken_away       a guest's disk is not given away to a stranger
 *   ends_*               where nothing moves any more: the nodes are connected, one has the token, the disks are
 *                        equal, every guest that waits is one of those that `backend-ctl status` names
 * and with DEGRADED, where acknowledged_write is about the disk that answers the guest's reads, and a promotion by force excuses what it threw away:
 *   certain_holder       a node without its partner executes only if it was told since its host was started that the token is here   (P2)
 *   good_disk            the guest's reads are answered by a disk that has everything, or in a resync by blocks that are not marked
 *   meets                nodes that meet agree, unless a promotion by force, or a disk that is gone, needs a person's word
 *   split_brain          nobody is made a target who has what the source lacks, unless a person gave it up
 *
 * A rule can be left out (WITHOUT=number, see the list): each of these must make a property fail.
 */

/* ---- bounds ---- */

#ifndef DISKS
#define DISKS 1
#endif
#ifndef DEGRADED
#define DEGRADED 0
#endif
/* One program for all bounds and for every rule that is left out: they come from the environment when it starts. */
c_decl {
	static int max_faults, fault_kinds, max_actions, max_writes, max_repeats, max_forces, may_create, start, runs, left_out;
	static int from_environment(const char *name, int otherwise)
	{
		const char *value = getenv(name);
		return value ? atoi(value) : otherwise;
	}
}
#define FAULTS	c_expr { max_faults }
#define CONNECTION_FAILS (c_expr { fault_kinds & 1 })
#define DAEMON_FAILS	 (c_expr { fault_kinds & 2 })
#define HOST_FAILS	 (c_expr { fault_kinds & 4 })
#define DISK_FAILS	 (c_expr { fault_kinds & 8 })
#define FORCES	c_expr { max_forces }
#define START	c_expr { start }
#define RUNS	c_expr { runs }
#define ACTIONS c_expr { max_actions }
#define WRITES	c_expr { max_writes }
#define REPEATS c_expr { max_repeats }
#define CREATE	c_expr { may_create }

inline read_bounds() {
	c_code {
		max_faults = from_environment("FAULTS", 1);
		fault_kinds = from_environment("FAULT_KINDS", 7);
		max_actions = from_environment("ACTIONS", 4);
		max_writes = from_environment("WRITES", 1);
		max_repeats = from_environment("REPEATS", 0);
		max_forces = from_environment("FORCES", 0);
		may_create = from_environment("CREATE", 1);
		start = from_environment("START", 0);
		runs = from_environment("RUNS", 1);
		left_out = from_environment("WITHOUT", 0);
	}
}

/*
 * COARSE joins events that the finer configuration keeps apart, so that two disks remain exhaustive: what can be sent is
 * sent at once (the message may still be late), a request is executed in one step and the partner hears of it by USED alone, and
 * the writes of the superblock on which R10 does not depend are done at once.
 */
#ifndef COARSE
#define COARSE (DISKS == 2 || DEGRADED)
#endif

#define ALL		   (2 * DISKS)
#define NODE(i)		   ((i) / DISKS)
#define DISK(i)		   ((i) % DISKS)
#define PARTNER(i)	   (((i) + DISKS) % ALL)
#define OTHER(n)	   (1 - (n))
#define FIRST(n)	   ((n) * DISKS)
#if DISKS == 2
#define SIBLING(i)	   (FIRST(NODE(i)) + 1 - DISK(i))
#define EVERY_DISK(n, is)  (is(FIRST(n)) && is(FIRST(n) + 1))
#define ANY_DISK(n, is)	   (is(FIRST(n)) || is(FIRST(n) + 1))
#else
#define EVERY_DISK(n, is)  (is(FIRST(n)))
#define ANY_DISK(n, is)	   (is(FIRST(n)))
#endif

/* ---- rules that can be left out ---- */

#define NOTHING		   0
#define R1_CURRENT	   1  /* an old ring lives whenever the token can be had: nobody asks base (R6, R7) */
#define R2_SUSPENDED	   2  /* nobody looks whether the domain is suspended */
#define R2_HOLD_FIRST	   3  /* the domain is looked at first, the ring is held then */
#define R2_NONCE	   4  /* any answer to RESERVE is taken for the answer to the last one */
#define R2_NEW_NONCE	   5  /* a RESERVE older than the last one replaces the reservation */
#define R2_DURABLE	   6  /* GRANT before the reservation is durable */
#define R3_KICK		   7  /* a request in the ring, old or new, means that the guest was resumed */
#define R3_MARK		   8  /* requests beyond the mark are consumed while reserved */
#define R3_UP_TO_MARK	   9  /* nothing is consumed while reserved */
#define R3_ENDED	   10 /* the mark is lifted before reservation 0 is durable, and the partner is not told */
#define R3_STARTED	   11 /* a guest that is started does not end the reservation */
#define R4_DRAINED	   12 /* the token is given with requests in flight */
#define R4_DURABLE	   13 /* GIVE before GIVEN is durable */
#define R4_ID		   14 /* any COMMIT is taken for the one of the reservation */
#define R5_EPOCH	   15 /* a GIVE is taken whatever its epoch */
#define R5_DURABLE	   16 /* the token is used before HELD is durable */
#define R6_STALE	   17 /* USED does not make the old ring stale */
#define R7_IDLE		   18 /* WANT is granted while a guest is attached */
#define R7_FORGET	   19 /* what was asked is not forgotten with the connection */
#define R7_BACK		   20 /* a resumed guest does not ask for its token */
#define R8_RAISE	   21 /* the epoch is raised from HELLO although the token is under way */
#define R8_AGAIN	   22 /* GIVE is not sent again */
#define R10_USED	   23 /* (b) the other disks do not count as used */
#define R10_DURABLE	   24 /* (b) the other disks are only told, nobody waits until it is durable */
#define R10_STALE	   25 /* (c) the other disks do not become stale */
#define R10_ALL_HERE	   26 /* (b) the first request does not wait for the tokens of the other disks */
#define R11_ADOPTED	   27 /* WANT and COMMIT are answered before the attachments are known again */
#define R11_RECORD	   28 /* the record of an attachment is not read again */

#define R12_CERTAIN	   29 /* whoever has HELD on disk goes on alone */
#define R12_HOST	   30 /* that the epoch was confirmed is not forgotten when the host starts */
#define R13_GENERATION	   31 /* alone, no generation of its own is begun */
#define R13_DURABLE	   32 /* what the partner has not got is answered before the generation is durable */
#define R13_MARKED	   33 /* what the partner has not got is not marked */
#define R13_RESERVATION	   34 /* going alone ends a reservation, without a word */
#define R14_EPOCH	   35 /* a promotion does not raise the epoch */
#define R14_BASE	   36 /* a promotion leaves base as it is */
#define R14_GENERATION	   37 /* a promotion begins no generation */
#define R14_RESERVATION	   38 /* a promotion leaves the reservation as it is */
#define R14_ATTACHED	   39 /* it is not refused while a guest is attached here */
#define R14_CONNECTED	   40 /* it is not refused while the partner is connected with good data */
#define R14_RAISED	   41 /* the loser of a split brain gives up its token before the winner has raised its epoch */
#define R14_HIGHER	   42 /* of two holders that meet, the winner keeps its epoch, and the loser takes it */
#define R14_PRIMARY	   43 /* a node whose guest may still run is made a target */
#define D2_CRASHED	   44 /* what the log of a node that died as Primary holds is not marked */
#define D4_AGAIN	   45 /* a disk is given up, and the two do not meet anew */
#define D4_LONE		   51 /* a generation for a partner without a disk is begun before that one's READY */
#define D4_KEPT		   46 /* a node without a disk takes the generation that its partner begins */
#define D5_TARGET	   47 /* a target is not inconsistent, with the source's generations, before READY */
#define D7_MARKED	   48 /* a target reads its own disk for the guest also where it is marked */
#define D9_COPIES	   49 /* the token is given while a block is being copied */
#define D9_WANT		   50 /* a WANT that cannot be answered yet holds up a resync */

#define without(name)		  (c_expr { left_out == name })
#define rule(name, condition)	  (without(name) || (condition))
#define property(name, condition) assert((condition) || name)

/* Never set: their names tell which assertion failed. */
byte one_node, acknowledged_write, late_write, stale_copy, returned_unused, not_overtaken, not_taken_away;
byte two_holders, protocol;
byte good_disk, certain_holder, meets, split_brain;
byte ends_connected, ends_one_holder, ends_done, ends_equal, ends_served, ends_started, ends_committed;

/* ---- what is on disk ---- */

mtype:token = { TOKEN_NONE, HELD, GIVEN };

typedef superblock {
	mtype:token token;
	byte epoch;
	byte base;
	byte reservation;
	bit in_use
#if DEGRADED
	byte current;
	byte bitmap;
	byte history0;
	byte history1;
	bit consistent;
	bit crashed;
	byte line /* not of the superblock, but of this model */
#endif
};
superblock durable[ALL];
bit unclean[ALL];		/* in_use was found at a start: without degraded.pml this pair does not connect again */
#define dead(i)	   (unclean[i] || unclean[PARTNER(i)])

/* A write of the superblock: `wanted` is what it should be, `writing` what is being written. */
superblock wanted[ALL], writing[ALL];
bit busy[ALL];
short due[ALL];			/* steps to be done when `writing` is durable */
short next[ALL];		/* steps to be done when `wanted` is */

#define STEP_READY    1
#define STEP_RESERVED 2
#define STEP_ENDED    4
#define STEP_GIVE     8
#define STEP_TAKEN    16
#define STEP_USE      32
#define STEP_USED     64
#define STEP_RELEASE  128
#define STEP_MET      256
#define STEP_ALONE    512
#define STEP_SYNCED   1024
#define STEP_COMMAND  2048
#define STEP_NOTED    4096
#if COARSE
#define AT_ONCE (STEP_READY | STEP_RESERVED | STEP_ENDED | STEP_RELEASE | STEP_MET | STEP_SYNCED | STEP_NOTED)
#else
#define AT_ONCE 0
#endif
#define PENDING(i, step) (((due[i] | next[i]) & (step)) != 0)

/* ---- the attachment: /run, survives the daemon ---- */

mtype:attachment = { NONE, CLAIMING, CLAIMED, RESERVING, RESERVED, COMMITTING, ACTIVE, HANDED_OVER, STALE, RELEASING,
#if DEGRADED
	LEFT /* by a daemon that was killed: its ring is not served again, and nobody is admitted until it is gone */
#endif
};

mtype:attachment attachment[ALL];
byte served[ALL];		/* epoch in which the ring was last served, 0: never */
byte reserved[ALL];		/* D: the reservation under which this copy arrived */
bit held[ALL];			/* S: nothing beyond the mark is consumed */
byte old[ALL];			/* S: requests in the ring up to the mark */
bit adopted[ALL];		/* the device of the record has been found again since the daemon started */

/* ---- memory of the daemon, most of it gone with the connection ---- */

mtype:connection = { DISCONNECTED, DRAINING, HELLO_SENT, SETTLING, CONNECTED
#if DEGRADED
	, REFUSED
#endif
};
mtype:connection connection[ALL];
bit ready_sent[ALL], ready_received[ALL];
superblock own[ALL];		/* what the HELLO of this connection says, until the partner is CONNECTED */
bit peer_known[ALL];		/* the partner's HELLO has come */

bit want_sent[ALL], commit_sent[ALL];
byte nonce[ALL];		/* of the last RESERVE or WANT sent from here */
byte commit[ALL];		/* a COMMIT that waits for the ring to be quiet */
byte ending[ALL];		/* the reservation that is being ended */
byte peer_nonce[ALL];		/* of the last RESERVE received */
byte granted_nonce[ALL];	/* of the one that led to the reservation */
mtype:look = { NOT_LOOKING, LOOKING, IS_SUSPENDED, IS_RUNNING };
mtype:look look[ALL];
mtype:want = { NO_WANT, WANT_START, WANT_BACK };
mtype:want peer_wants[ALL];
byte peer_want_nonce[ALL];
bit peer_ring[ALL];		/* GIVE said that a guest that may be resumed is attached there */
bit told_used[ALL];		/* another disk of this guest is about to be used */
bit told_stale[ALL];		/* another disk of this guest became stale */

/*
 * ---- requests ----
 * One sector, so each write waits for the one before (overlap.c). Writes are numbered as the guest issues them,
 * executions as they begin: a guest that arrived executes again what it saw no answer to.
 */

byte ring1[ALL], ring2[ALL];	/* unanswered writes in the ring, oldest first; a write is its number, 0 none */
byte executing[ALL];		/* the execution of the request that was consumed and is not answered */
bit consumed[ALL];		/* it is still wanted: the ring has not been dropped */
byte at_disk[ALL];		/* a write of ours that the kernel has not done */
mtype:peer_part = { UNSENT, SENT, DONE };
mtype:peer_part at_peer[ALL];
byte incoming[ALL];		/* a write of the partner that the kernel has not done */
byte ack[ALL];			/* a write of the partner to be acknowledged on this connection */
byte disk[ALL];			/* what the sector holds: the number of an execution */

#define COUNT(i)	((ring1[i] != 0) + (ring2[i] != 0))
#define RESUMED(i)	(COUNT(i) > old[i])
/* R3: while the ring is held, only what is before the mark. */
#define may_consume(i)	(COUNT(i) != 0 && executing[i] == 0 && \
			 (!held[i] || (old[i] != 0 && !without(R3_UP_TO_MARK)) || without(R3_MARK)))

/* ---- the machines and the guest ---- */

bit host[2], daemon[2];
mtype:guest = { ABSENT, CREATING, ARRIVING, RUNNING, SUSPENDED };
mtype:guest guest[2];		/* the copy of the guest on this node */
#define FRESH 255
byte seen[ALL];			/* the newest write that this copy knows; FRESH: it was started here and reads the disk */

bit image;			/* a copy of the suspended guest's memory is at the other node */
byte image_from, image_ring1[DISKS], image_ring2[DISKS], image_seen[DISKS];

byte issued[DISKS];		/* writes that any copy put into its ring */
#if DEGRADED
#define LINES 3
#define HISTORY(i) durable[i].line
#else
#define LINES DISKS
#define HISTORY(i) DISK(i)
#endif
byte executed[LINES];		/* the newest one that was consumed */
byte executions[DISKS];
byte acknowledged[DISKS];	/* the last execution that was answered */

byte faults, actions, repeats, ids[DISKS];
bit created;			/* a guest was started anew */
bit over;			/* no more faults, actions and writes: what is under way comes to its end */

/* ---- messages ---- */

mtype:message = { HELLO, READY, RESERVE, GRANT, RESERVE_REFUSE, COMMIT, COMMIT_REFUSE, GIVE, USED, ENDED, WANT, WANT_REFUSE,
	DATA, ACK
#if DEGRADED
	, BITMAP_END, IN_SYNC, SYNC_END, SYNC_ENDED
#endif
};

chan to[ALL] = [6 + 2 * DEGRADED] of { mtype:message, byte, byte, byte, byte };

#define NO_MESSAGE 0
byte again_type[ALL], again_a[ALL], again_b[ALL], again_c[ALL], again_e[ALL]; /* a message that will be delivered once more */

mtype:message type;	/* of the message that is being handled */
byte a, b, c, e;

#if DEGRADED
/* ---- what degraded.pml adds ---- */

byte truth[LINES], latest[LINES];	/* what a disk may hold, of each line */
byte first[LINES];		/* what its node's disk held when it began, */
byte parent[LINES];		/* and which one that was on; */
bit whole_then[LINES];		/* its disk was good */
byte lines, generations, forces;
bit told[ALL];			/* since the host was started somebody has told that the token is here */
bit discard[ALL], discarded;	/* a person said so: connect --discard-my-data, once */
bit marked[ALL];		/* the block's bit in the bitmap */
bit detached[ALL], parted[ALL];
bit awaits_winner[ALL];
byte settled[ALL];		/* settling_as_source: the partner's generation then */
byte confirmed[ALL];		/* /run: the token is certain in this epoch */
bit peer_consistent[ALL], peer_diskless[ALL];
bit own_held[ALL], own_given[ALL], own_marked[ALL], own_diskless[ALL], own_primary[ALL], own_discard[ALL]; /* of HELLO, besides own[] */
byte own_fresh[ALL];
mtype:sync = { OFF, EXCHANGE, SOURCE, TARGET };
mtype:sync sync[ALL], sync_verdict[ALL];
bit bitmap_sent[ALL], bitmap_received[ALL], sync_end_sent[ALL];
#define COPYING 1
#define LATE	2		/* begun on an earlier connection */
byte copying[ALL];
bit incoming_copy[ALL];		/* what the partner writes here is a copy of its block */
bit drained;			/* the daemon that ends was stopped in order */
byte me, verdict;
#define forced	      (lines != 0)
#define copies(i)     (copying[i] != 0)
#define may_adopt(i)  (attachment[i] != LEFT)
#define used_by_partner(i) (linked(i) && peer_diskless[i]) /* marks_for_partner */
#define lone_due(i)   (own_diskless[PARTNER(i)] && !own_diskless[i] && wanted[i].bitmap == 0 && !without(D4_LONE))
#else
#define forced	      false
#define copies(i)     false
#define may_adopt(i)  true
#define used_by_partner(i) false
#define lone_due(i)   false
#endif

/* Into a connection that the partner has given up it is sent in vain. */
inline send(i, what, w, x, y, z) {
	if
	:: connection[PARTNER(i)] != DISCONNECTED -> to[PARTNER(i)]!what, w, x, y, z
	:: else
	fi
}

/* ---- the superblock ---- */

inline copy(into, from) {
	into.token = from.token;
	into.epoch = from.epoch;
	into.base = from.base;
	into.reservation = from.reservation;
	into.in_use = from.in_use;
#if DEGRADED
	into.current = from.current;
	into.bitmap = from.bitmap;
	into.history0 = from.history0;
	into.history1 = from.history1;
	into.consistent = from.consistent;
	into.crashed = from.crashed;
	into.line = from.line
#endif
}

inline forget_hello(i) {
	own[i].token = 0;
	own[i].epoch = 0;
	own[i].base = 0;
	own[i].reservation = 0;
	own[i].in_use = 0;
#if DEGRADED
	forget_said(i)
#endif
}

inline begin_write(i) {
	copy(writing[i], wanted[i]);
	due[i] = next[i];
	next[i] = 0;
	busy[i] = 1
}

/* superblock_want */
inline want(i, step) {
	due[i] = due[i] & ~(step);
	next[i] = next[i] | (step);
	if
	:: !busy[i] -> begin_write(i)
	:: else
	fi
}

#define up(i)		(daemon[NODE(i)])
#define linked(i)	(connection[i] == CONNECTED)
#define token_held(i)	(durable[i].token == HELD && wanted[i].token == HELD)
#define taken(i)	(token_held(i) || (without(R5_DURABLE) && wanted[i].token == HELD))
/* Never served, or served in no older epoch than the newest one in which a request ran. */
#define current(i)	(served[i] == 0 || rule(R1_CURRENT, served[i] >= wanted[i].base))
#define in_flight(i)	(executing[i] != 0 && !(without(D9_COPIES) && copies(i)))
#define idle(i)		(token_held(i) && !in_flight(i) && rule(R11_ADOPTED, adopted[i]) && \
			 (attachment[i] == NONE || attachment[i] == STALE || (without(R11_ADOPTED) && !adopted[i]) || \
			  (without(R7_IDLE) && attachment[i] == ACTIVE)))
#define unused(i)	(wanted[i].base < wanted[i].epoch)
#define arriving(i)	(attachment[i] == RESERVED || attachment[i] == COMMITTING)
/* A copy that came from elsewhere, or may go back there, and has not run in this epoch. */
#define untouched(i)	(arriving(i) || attachment[i] == HANDED_OVER || (attachment[i] == ACTIVE && unused(i)))
#if DISKS == 2
#define attached(i)	(attachment[i] == CLAIMED || arriving(i) || attachment[i] == ACTIVE)
/* R10 (b): the token of the other disk of this guest is here; its record says so durably that it is used. */
#define others_here(i)	(token_held(SIBLING(i)) || \
			 !(attachment[SIBLING(i)] == CLAIMING || attachment[SIBLING(i)] == RESERVING || arriving(SIBLING(i))))
#define others_used(i)	(!(attached(SIBLING(i)) && token_held(SIBLING(i)) && durable[SIBLING(i)].base < durable[SIBLING(i)].epoch))
#define others_told(i)	(!(attached(SIBLING(i)) && unused(SIBLING(i))) || told_used[SIBLING(i)] || without(R10_USED))
#define others_live(i)	(!(attachment[SIBLING(i)] == STALE && unused(i)))
#else
#define others_here(i)	true
#define others_used(i)	true
#define others_told(i)	true
#define others_live(i)	true
#endif

/* What a copy of the guest must know to be served. */
#define knows(i)	(seen[i] >= executed[HISTORY(i)])
#define newest(i)	(seen[i] >= issued[DISK(i)])

/* ---- the attachment ---- */

inline forget_attachment(i) {
	attachment[i] = NONE;
	served[i] = 0;
	reserved[i] = 0;
	held[i] = 0;
	old[i] = 0;
	adopted[i] = 1;
	told_used[i] = 0;
	told_stale[i] = 0;
	seen[i] = 0;
	ring1[i] = 0;
	ring2[i] = 0;
	want_sent[i] = 0;
	commit_sent[i] = 0
}

inline lift_mark(i) {
	held[i] = 0;
	old[i] = 0
}

/* replicate_outdate: this copy was overtaken. */
inline outdate(i) {
	property(not_overtaken, !arriving(i) || created || forced || !EVERY_DISK(NODE(i), newest));
	attachment[i] = STALE;
	lift_mark(i);
#if DISKS == 2
	told_stale[SIBLING(i)] = !without(R10_STALE)
#endif
}

/* The token is here, durably: the ring lives if it is current. */
inline activate(i) {
	if
	:: current(i) ->
		property(returned_unused, attachment[i] != HANDED_OVER || EVERY_DISK(NODE(i), knows));
		attachment[i] = ACTIVE;
		served[i] = wanted[i].epoch;
		reserved[i] = 0
	:: else -> outdate(i)
	fi
}

/* R4, R7, R9: the one write that gives the token away; `id`: the reservation that this fulfils, 0 none. */
inline give(i, id, steps) {
	wanted[i].reservation = id;
	wanted[i].token = GIVEN;
	wanted[i].epoch = wanted[i].epoch + 1;
	wanted[i].in_use = used_by_partner(i);
#if DEGRADED
	confirmed[i] = 0;
#endif
	commit[i] = 0;
	if
	:: without(R4_DURABLE) && connection[i] == CONNECTED ->
		send(i, GIVE, wanted[i].epoch, wanted[i].base, attachment[i] == ACTIVE, wanted[i].reservation)
	:: else
	fi;
	want(i, steps)
}

/* R3: the guest was resumed, or its copy at the partner is gone. */
inline end_reservation(i) {
	ending[i] = wanted[i].reservation;
	wanted[i].reservation = 0;
	commit[i] = 0;
	if
	:: without(R3_ENDED) -> lift_mark(i)
	:: else
	fi;
	want(i, STEP_ENDED)
}

/* replicate_release: the device is closed; nobody will put anything into the ring or read it. */
inline release(i) {
	ring1[i] = 0;
	ring2[i] = 0;
	consumed[i] = 0;
	adopted[i] = 1;
	if
	:: arriving(i) && connection[i] == CONNECTED && wanted[i].token != HELD ->
		send(i, ENDED, reserved[i], 0, 0, 0)
	:: else
	fi;
	if
	:: !may_adopt(i) -> forget_attachment(i)
	:: may_adopt(i) && (wanted[i].in_use || executing[i] != 0 || (linked(i) && wanted[i].token == HELD && wanted[i].reservation != 0) ||
	   PENDING(i, STEP_GIVE)) ->
		attachment[i] = RELEASING
	:: else -> forget_attachment(i)
	fi
}

inline release_all(n) {
	guest[n] = ABSENT;
	release(FIRST(n));
#if DISKS == 2
	release(FIRST(n) + 1)
#endif
}

/* ---- a write of the superblock is done: its steps (enum step) ---- */

inline send_give(i) {
	send(i, GIVE, durable[i].epoch, durable[i].base, attachment[i] == HANDED_OVER, durable[i].reservation)
}

inline meet(i) {
	if
	:: ready_sent[i] && ready_received[i] ->
		connection[i] = CONNECTED;
		if
		:: durable[i].token == GIVEN && durable[i].epoch > own[PARTNER(i)].epoch && !without(R8_AGAIN) -> send_give(i)
		:: else
		fi;
#if DEGRADED
		data_met(i);
#endif
		forget_hello(PARTNER(i));
		peer_known[i] = 0;
		ready_sent[i] = 0;
		ready_received[i] = 0
	:: else
	fi
}

inline step_ready(i) {
	if
	:: lone_due(i) -> skip
	:: else ->
		send(i, READY, 0, 0, 0, 0);
		ready_sent[i] = 1;
		meet(i)
	fi
}

inline superblock_done(i) {
	copy(durable[i], writing[i]);
	busy[i] = 0;
	if
	:: due[i] & STEP_READY -> step_ready(i)
	:: else
	fi;
	if
	:: (due[i] & STEP_RESERVED) && connection[i] == CONNECTED && granted_nonce[i] != 0 && !without(R2_DURABLE) ->
		if
		:: wanted[i].reservation != 0 && wanted[i].reservation == durable[i].reservation ->
			send(i, GRANT, granted_nonce[i], durable[i].reservation, 0, 0)
		:: else -> /* it ended, or the token was given, while it was being written */
			send(i, RESERVE_REFUSE, granted_nonce[i], 0, 0, 0)
		fi
	:: else
	fi;
	if
	:: due[i] & STEP_ENDED ->
		lift_mark(i);
		if
		:: connection[i] == CONNECTED ->
			if
			:: !without(R3_ENDED) -> send(i, ENDED, ending[i], 0, 0, 0)
			:: else
			fi;
			ending[i] = 0
		:: else -> ending[i] = (DEGRADED -> ending[i] : 0) /* told when they have met */
		fi
	:: else
	fi;
	if
	:: due[i] & STEP_GIVE ->
		lift_mark(i);
		if
		:: attachment[i] == ACTIVE -> attachment[i] = HANDED_OVER
		:: else
		fi;
		if
		:: !without(R4_DURABLE) && connection[i] == CONNECTED -> send_give(i)
		:: else
		fi
	:: else
	fi;
	if
	:: (due[i] & STEP_TAKEN) && (attachment[i] == COMMITTING || attachment[i] == HANDED_OVER) && adopted[i] -> activate(i)
	:: else
	fi;
#if DEGRADED
	data_taken(i);
#endif
	if
	:: (due[i] & STEP_USE) && connection[i] == CONNECTED -> send(i, USED, durable[i].epoch, 0, 0, 0)
	:: else
	fi;
	if
	:: (due[i] & STEP_RELEASE) && attachment[i] == RELEASING -> forget_attachment(i)
	:: else
	fi;
#if DEGRADED
	data_steps(i);
#endif
	due[i] = 0;
	if
	:: next[i] != 0 -> begin_write(i)
	:: else
	fi
}

/* COARSE: the write is done at once. */
inline at_once(i) {
#if COARSE
	if
	:: busy[i] && (due[i] & ~AT_ONCE) == 0 -> superblock_done(i)
	:: else
	fi
#else
	skip
#endif
}

/* ---- connection ---- */

/* handover_lost, handshake_lost: what was asked dies with the connection. */
inline lost(i) {
	connection[i] = DISCONNECTED;
	do
	:: nempty(to[i]) -> to[i]?type, a, b, c, e
	:: empty(to[i]) -> break
	od;
	type = NO_MESSAGE;
	a = 0;
	b = 0;
	c = 0;
	e = 0;
	again_type[i] = NO_MESSAGE;
	again_a[i] = 0;
	again_b[i] = 0;
	again_c[i] = 0;
	again_e[i] = 0;
	ready_sent[i] = 0;
	ready_received[i] = 0;
	peer_known[i] = 0;
	if
	:: connection[PARTNER(i)] == DISCONNECTED ->
		forget_hello(i);
		forget_hello(PARTNER(i))
	:: else
	fi;
	due[i] = due[i] & ~STEP_READY;
	if
	:: next[i] & STEP_READY -> next[i] = (next[i] & ~STEP_READY) | STEP_NOTED /* it is written all the same */
	:: else
	fi;
	if
	:: without(R7_FORGET)
	:: else ->
		want_sent[i] = 0;
		commit_sent[i] = 0
	fi;
	commit[i] = 0;
	peer_nonce[i] = 0;
	granted_nonce[i] = 0;
	look[i] = NOT_LOOKING;
	if
	:: held[i] && wanted[i].reservation == 0 && !PENDING(i, STEP_ENDED) -> lift_mark(i)
	:: else
	fi;
	peer_wants[i] = NO_WANT;
	peer_want_nonce[i] = 0;
	peer_ring[i] = 0;
	ack[i] = 0;
	if
	:: at_peer[i] == SENT -> at_peer[i] = UNSENT
	:: else
	fi;
#if DEGRADED
	data_lost(i)
#endif
}

/* base has grown, or may have: is the old ring dead? */
inline check_overtaken(i) {
	if
	:: attachment[i] == HANDED_OVER && !current(i) -> outdate(i)
	:: else
	fi
}

#if !DEGRADED
/* settle, adopt: both HELLOs are known. */
inline settle(i) {
	connection[i] = SETTLING;
	if
	:: durable[i].token == HELD ->
		property(two_holders, own[PARTNER(i)].token != HELD)
	:: durable[i].token != HELD && own[PARTNER(i)].token == HELD ->
		property(protocol, own[PARTNER(i)].epoch >= durable[i].epoch && own[PARTNER(i)].base >= durable[i].base);
		wanted[i].token = TOKEN_NONE;
		wanted[i].epoch = own[PARTNER(i)].epoch;
		wanted[i].base = own[PARTNER(i)].base;
		wanted[i].reservation = 0;
		if
		:: arriving(i) && reserved[i] != own[PARTNER(i)].reservation -> outdate(i)
		:: else -> check_overtaken(i)
		fi
	:: else ->
		property(protocol, durable[i].epoch != own[PARTNER(i)].epoch);
		if
		:: without(R8_RAISE) && own[PARTNER(i)].epoch > wanted[i].epoch -> wanted[i].epoch = own[PARTNER(i)].epoch
		:: else
		fi
	fi;
	want(i, STEP_READY)
}
#endif

/* ---- messages ---- */

/* R6, handover_saw_epoch */
inline saw_epoch(i, epoch_seen) {
	if
	:: wanted[i].token == HELD || epoch_seen < wanted[i].epoch
	:: else ->
		if
		:: wanted[i].token != TOKEN_NONE || wanted[i].epoch != epoch_seen || wanted[i].base != epoch_seen ->
#if DEGRADED
			confirmed[i] = 0;
#endif
			wanted[i].token = TOKEN_NONE;
			wanted[i].epoch = epoch_seen;
			wanted[i].base = epoch_seen;
			wanted[i].reservation = 0;
			want(i, STEP_USED)
		:: else
		fi;
		if
		:: attachment[i] == HANDED_OVER && !without(R6_STALE) && !without(R1_CURRENT) -> outdate(i)
		:: else
		fi
	fi
}

/* R2: hold first, look then. */
inline on_reserve(i) {
	if
	:: !(token_held(i) && attachment[i] == ACTIVE && current(i) && adopted[i]) ->
		send(i, RESERVE_REFUSE, a, 0, 0, 0)
	:: else ->
		if
		:: a < peer_nonce[i] && !without(R2_NEW_NONCE)	/* an old one once more */
		:: a == peer_nonce[i] && look[i] != NOT_LOOKING	/* the answer is coming */
		:: a == peer_nonce[i] && look[i] == NOT_LOOKING ->
			if
			:: granted_nonce[i] == a && wanted[i].reservation != 0 && !PENDING(i, STEP_RESERVED) ->
				send(i, GRANT, a, wanted[i].reservation, 0, 0)
			:: else
			fi
		:: else ->
			if
			:: !held[i] && !without(R2_HOLD_FIRST) ->
				held[i] = 1;
				old[i] = COUNT(i)
			:: else
			fi;
			peer_nonce[i] = a;
			look[i] = LOOKING
		fi
	fi
}

/* replicate_suspended: the domain was looked at. */
inline looked(i) {
	if
	:: look[i] == IS_SUSPENDED && without(R2_HOLD_FIRST) && !held[i] ->
		held[i] = 1;
		old[i] = COUNT(i)
	:: else
	fi;
	if
	:: look[i] == IS_SUSPENDED && token_held(i) && attachment[i] == ACTIVE && held[i] && !RESUMED(i) &&
	   !PENDING(i, STEP_ENDED) ->
		ids[DISK(i)]++;
		wanted[i].reservation = ids[DISK(i)];
		commit[i] = 0;
		granted_nonce[i] = peer_nonce[i];
		want(i, STEP_RESERVED);
		if
		:: without(R2_DURABLE) -> send(i, GRANT, peer_nonce[i], ids[DISK(i)], 0, 0)
		:: else
		fi
	:: else ->
		send(i, RESERVE_REFUSE, peer_nonce[i], 0, 0, 0);
		if
		:: held[i] && wanted[i].reservation == 0 && !PENDING(i, STEP_ENDED) -> lift_mark(i)
		:: else
		fi
	fi;
	look[i] = NOT_LOOKING
}

/* Not if it is being ended just now. */
#define its_reservation(i, id) (durable[i].reservation == id && rule(R3_ENDED, wanted[i].reservation == id))

inline on_commit(i) {
	if
	:: token_held(i) && (its_reservation(i, a) || without(R4_ID)) -> commit[i] = a
	:: token_held(i) && !(its_reservation(i, a) || without(R4_ID)) ->
		send(i, COMMIT_REFUSE, a, 0, 0, 0)
	:: else /* given, or being given: GIVE comes */
	fi
}

inline on_give(i) {
	if
	:: wanted[i].token != HELD && (a > wanted[i].epoch || without(R5_EPOCH)) ->
		wanted[i].token = HELD;
		wanted[i].epoch = a;
		wanted[i].base = b;
		wanted[i].reservation = 0;
		peer_ring[i] = c;
		want(i, STEP_TAKEN);
		if
		:: arriving(i) && reserved[i] != e -> outdate(i) /* outdate_unfulfilled */
		:: else
		fi
	:: else
	fi
}

/* ENDED(id), COMMIT_REFUSE(id) */
inline on_ended(i) {
	if
	:: arriving(i) && reserved[i] == a && wanted[i].token != HELD -> outdate(i)
	:: wanted[i].token == HELD && wanted[i].reservation == a && a != 0 -> end_reservation(i)
	:: else
	fi
}

inline land(i, execution, copied) {
	property(late_write, copied || forced || execution >= disk[i]);
	disk[i] = execution
}

/* The request is done on both nodes: the guest is answered. */
inline answer(i) {
	if
	:: consumed[i] ->
		consumed[i] = 0;
#if DEGRADED
		truth[HISTORY(i)] = executing[i];
#else
		acknowledged[DISK(i)] = executing[i];
#endif
		ring1[i] = ring2[i];
		ring2[i] = 0;
		if
		:: old[i] != 0 -> old[i]--
		:: else
		fi
	:: else
	fi;
	executing[i] = 0;
	at_peer[i] = UNSENT
}

inline on_data(i) {
	property(one_node, wanted[i].token != HELD && b >= wanted[i].epoch);
	property(late_write, incoming[i] == 0);
#if DEGRADED
	incoming_copy[i] = c;
	marked[i] = marked[i] | peer_diskless[i];
#endif
	if
	:: c == 0 -> saw_epoch(i, b)
	:: else
	fi;
	ack[i] = a;
	incoming[i] = a
}

inline on_ack(i) {
	if
	:: executing[i] == a && at_peer[i] == SENT ->
		at_peer[i] = DONE
	:: else
	fi
}

#define may_come_again (!DEGRADED && type != HELLO && type != READY && type != DATA && type != ACK)

inline handle(i) {
	if
	:: type == HELLO ->
		peer_known[i] = 1;
		if
		:: connection[i] == HELLO_SENT -> settle(i)
		:: else
		fi
	:: type == READY ->
		ready_received[i] = 1;
#if DEGRADED
		if
		:: awaits_winner[i] -> settle(i)
		:: else
		fi;
		begin_lone(i);
#endif
		meet(i)
	:: type == RESERVE -> on_reserve(i)
	:: type == GRANT ->
		if
		:: attachment[i] == RESERVING && rule(R2_NONCE, want_sent[i] && a == nonce[i]) ->
			attachment[i] = RESERVED;
			reserved[i] = b
		:: else
		fi
	:: type == RESERVE_REFUSE ->
		if
		:: attachment[i] == RESERVING && want_sent[i] && a == nonce[i] -> release_all(NODE(i))
		:: else
		fi
	:: type == COMMIT -> on_commit(i)
	:: type == COMMIT_REFUSE -> on_ended(i)
	:: type == ENDED -> on_ended(i)
	:: type == GIVE -> on_give(i)
	:: type == USED -> saw_epoch(i, a)
	:: type == WANT ->
		if
		:: b == 1 -> peer_wants[i] = WANT_BACK
		:: else -> peer_wants[i] = WANT_START
		fi;
		peer_want_nonce[i] = a
	:: type == WANT_REFUSE ->
		if
		:: attachment[i] == CLAIMING && want_sent[i] && a == nonce[i] -> release_all(NODE(i))
		:: else
		fi
	:: type == DATA -> on_data(i)
	:: type == ACK -> on_ack(i)
#if DEGRADED
	:: type == BITMAP_END -> on_bitmap_end(i)
	:: type == IN_SYNC -> marked[i] = 0
	:: type == SYNC_END -> on_sync_end(i)
	:: type == SYNC_ENDED -> on_sync_ended(i)
#endif
	fi
}

#include "degraded.pml"

/* ---- one resource on one node ---- */

proctype Resource(byte i) {
end:
	do
	/* messages */
	:: atomic {
		(connection[i] != DISCONNECTED && nempty(to[i]) && !(to[i]?[DATA, _, _, _, _] && incoming[i] != 0)) ||
		again_type[i] != NO_MESSAGE ->
		if
		:: connection[i] != DISCONNECTED && nempty(to[i]) && !(to[i]?[DATA, _, _, _, _] && incoming[i] != 0) ->
			to[i]?type, a, b, c, e;
			if
			:: true
			:: repeats < REPEATS && again_type[i] == NO_MESSAGE && may_come_again && !over ->
				repeats++;
				again_type[i] = type;
				again_a[i] = a;
				again_b[i] = b;
				again_c[i] = c;
				again_e[i] = e
			fi
		:: again_type[i] != NO_MESSAGE ->
			d_step {
				type = again_type[i];
				a = again_a[i];
				b = again_b[i];
				c = again_c[i];
				e = again_e[i];
				again_type[i] = NO_MESSAGE;
				again_a[i] = 0;
				again_b[i] = 0;
				again_c[i] = 0;
				again_e[i] = 0
			}
		fi;
		printf("message %d %d %d %d\n", type, a, b, c);
		d_step {
			handle(i);
			at_once(i);
			type = NO_MESSAGE;
			a = 0;
			b = 0;
			c = 0;
			e = 0
		}
	   }

	/* a write of the superblock ends */
	:: d_step { up(i) && busy[i] -> superblock_done(i) }

	/* R8: nothing of an older connection is on its way [handshake_begin] */
	:: d_step { connection[i] == DRAINING && !busy[i] && incoming[i] == 0 && !copies(i) ->
		copy(own[i], durable[i]);
#if DEGRADED
		fill_hello(i);
#endif
		send(i, HELLO, 0, 0, 0, 0);
		connection[i] = HELLO_SENT;
		if
		:: peer_known[i] -> settle(i)
		:: else
		fi;
		at_once(i)
	   }

	/* a guest is started here [claim_advance] */
	:: d_step { reachable(i) && attachment[i] == CLAIMING && token_held(i) && !PENDING(i, STEP_ENDED) && claim_settled(i) ->
		if
		:: wanted[i].reservation != 0 && !without(R3_STARTED) -> end_reservation(i)
		:: else -> attachment[i] = CLAIMED
		fi;
		at_once(i)
	   }
	:: d_step { linked(i) && attachment[i] == CLAIMING && wanted[i].token != HELD && !want_sent[i] &&
		    !PENDING(i, STEP_GIVE) ->
		want_sent[i] = 1;
		nonce[i]++;
		send(i, WANT, nonce[i], 0, 0, 0)
	   }

	/* a guest is arriving */
	:: d_step { linked(i) && attachment[i] == RESERVING && !want_sent[i] ->
		want_sent[i] = 1;
		nonce[i]++;
		send(i, RESERVE, nonce[i], 0, 0, 0)
	   }
	:: d_step { look[i] == LOOKING ->
		if
		:: rule(R2_SUSPENDED, guest[NODE(i)] == SUSPENDED) -> look[i] = IS_SUSPENDED
		:: else -> look[i] = IS_RUNNING
		fi;
#if COARSE
		looked(i);
		at_once(i)
#endif
	   }
	:: d_step { look[i] == IS_SUSPENDED || look[i] == IS_RUNNING -> looked(i) }

	/* its frontend connects [replicate_activate] */
	:: d_step { up(i) && adopted[i] && guest[NODE(i)] == RUNNING && attachment[i] == CLAIMED && token_held(i) -> activate(i) }
	:: d_step { up(i) && adopted[i] && guest[NODE(i)] == RUNNING && attachment[i] == RESERVED ->
		attachment[i] = COMMITTING
	   }
	:: d_step { up(i) && adopted[i] && attachment[i] == COMMITTING && taken(i) -> activate(i) }
	:: d_step { linked(i) && adopted[i] && attachment[i] == COMMITTING && wanted[i].token != HELD && !commit_sent[i] ->
		commit_sent[i] = 1;
		send(i, COMMIT, reserved[i], 0, 0, 0)
	   }
	/* the token came back while the daemon was away */
	:: d_step { up(i) && adopted[i] && attachment[i] == HANDED_OVER && token_held(i) -> activate(i) }

	/* R4 [commit_advance] */
	:: d_step { linked(i) && commit[i] != 0 && token_held(i) && rule(R4_ID, its_reservation(i, commit[i])) && rule(R11_ADOPTED, adopted[i]) &&
		    attachment[i] != RELEASING && attachment[i] != CLAIMING &&
		    (attachment[i] != ACTIVE ||
		     (rule(R4_DRAINED, !in_flight(i) && old[i] == 0) && !RESUMED(i))) ->
		give(i, durable[i].reservation, STEP_GIVE)
	   }
	/* R3 [replicate_resumed] */
	:: d_step { up(i) && held[i] && adopted[i] && token_held(i) && !PENDING(i, STEP_ENDED) &&
		    (RESUMED(i) || (without(R3_KICK) && COUNT(i) != 0)) ->
		if
		:: wanted[i].reservation != 0 -> end_reservation(i)
		:: else -> lift_mark(i) /* the look at the domain comes too late */
		fi;
		at_once(i)
	   }

	/* R7 [answer_want, give_back] */
	:: d_step { linked(i) && peer_wants[i] != NO_WANT && rule(R11_ADOPTED, adopted[i]) && wanted[i].token == GIVEN ->
		peer_wants[i] = NO_WANT; /* GIVE is on its way */
		peer_want_nonce[i] = 0
	   }
	:: d_step { linked(i) && peer_wants[i] != NO_WANT && idle(i) &&
		    (peer_wants[i] == WANT_START || without(R1_CURRENT) || unused(i)) ->
		property(not_taken_away, attachment[i] == NONE || attachment[i] == STALE);
		peer_wants[i] = NO_WANT;
		peer_want_nonce[i] = 0;
		peer_ring[i] = 0;
		give(i, 0, STEP_GIVE)
	   }
	:: d_step { linked(i) && peer_wants[i] != NO_WANT && adopted[i] && attachment[i] != RELEASING &&
		    (wanted[i].token == TOKEN_NONE ||
		     (token_held(i) && (peer_wants[i] == WANT_START -> !idle(i) : !unused(i) && !without(R1_CURRENT)))) ->
		send(i, WANT_REFUSE, peer_want_nonce[i], 0, 0, 0);
		peer_wants[i] = NO_WANT;
		peer_want_nonce[i] = 0
	   }
	:: d_step { linked(i) && peer_ring[i] && idle(i) && (unused(i) || without(R1_CURRENT)) && !without(R7_BACK) ->
		peer_ring[i] = 0;
		give(i, 0, STEP_GIVE)
	   }
	:: d_step { linked(i) && adopted[i] && attachment[i] == HANDED_OVER && COUNT(i) != 0 && wanted[i].token != HELD &&
		    !want_sent[i] && !PENDING(i, STEP_GIVE) && !without(R7_BACK) ->
		want_sent[i] = 1;
		nonce[i]++;
		send(i, WANT, nonce[i], 1, 0, 0)
	   }

	/* R1: the first request waits [replicate_request] */
	:: d_step { accessible(i) && adopted[i] && attachment[i] == ACTIVE && taken(i) && may_consume(i) &&
		    rule(R10_ALL_HERE, others_here(i) && others_live(i)) && !PENDING(i, STEP_USE) &&
		    (!wanted[i].in_use || wanted[i].base < wanted[i].epoch || !(others_told(i))) ->
		wanted[i].in_use = 1;
		wanted[i].base = wanted[i].epoch;
#if DEGRADED
		served[i] = wanted[i].epoch; /* use(): a split brain was decided for us */
#endif
#if DISKS == 2
		if
		:: attached(SIBLING(i)) && unused(SIBLING(i)) && !without(R10_USED) -> told_used[SIBLING(i)] = 1
		:: else
		fi;
#endif
		want(i, STEP_USE)
	   }
#if DISKS == 2
	/* R10 (b) [replicate_sibling_used] */
	:: d_step { up(i) && told_used[i] && (token_held(i) || !attached(i)) ->
		told_used[i] = 0;
		if
		:: attached(i) && unused(i) ->
			wanted[i].base = wanted[i].epoch;
			want(i, STEP_USE)
		:: else
		fi
	   }
	/* R10 (c) [replicate_outdate] */
	:: d_step { up(i) && told_stale[i] ->
		told_stale[i] = 0;
		if
		:: untouched(i) -> outdate(i)
		:: else
		fi
	   }
#endif
	/* R1: consume */
	:: d_step { accessible(i) && readable(i) && adopted[i] && attachment[i] == ACTIVE && taken(i) && may_consume(i) &&
		    served[i] == wanted[i].epoch && wanted[i].base == wanted[i].epoch && wanted[i].in_use &&
		    rule(R5_DURABLE, durable[i].base == durable[i].epoch && durable[i].in_use) &&
		    (without(R10_USED) || without(R10_DURABLE) || others_used(i)) ->
		property(one_node, !may_execute(PARTNER(i)));
		property(late_write, (at_disk[PARTNER(i)] == 0 || other_line(i)) && incoming[i] == 0);
		property(certain_holder, certain_token(i));
		property(good_disk, serves_good(i));
		property(acknowledged_write, holds_truth(i));
		property(stale_copy, EVERY_DISK(NODE(i), knows));
		executions[DISK(i)]++;
		executing[i] = executions[DISK(i)];
		consumed[i] = 1;
		if
		:: ring1[i] > executed[HISTORY(i)] -> executed[HISTORY(i)] = ring1[i]
		:: else
		fi;
#if DEGRADED
		truth[HISTORY(i)] = disk[read_at(i)]; /* what the guest has read */
		latest[HISTORY(i)] = executing[i];
		start_write(i)
#elif COARSE
		answer(i)
#else
		at_disk[i] = executing[i];
		at_peer[i] = UNSENT
#endif
	   }
	:: d_step { at_disk[i] != 0 ->
		land(i, at_disk[i], copies(i));
#if DEGRADED
		if
		:: copying[i] == LATE && executing[i] == 0 -> copying[i] = 0 /* an earlier daemon's */
		:: else
		fi;
#endif
		at_disk[i] = 0
	   }
	:: d_step { linked(i) && executing[i] != 0 && at_peer[i] == UNSENT ->
		at_peer[i] = SENT;
		send(i, DATA, executing[i], durable[i].epoch, copies(i), 0)
	   }
	:: d_step { incoming[i] != 0 ->
#if DEGRADED
		land(i, incoming[i], incoming_copy[i]);
		if
		:: ack[i] == 0 -> incoming_copy[i] = 0 /* nobody waits for it any more */
		:: else
		fi;
#else
		land(i, incoming[i], false);
#endif
		incoming[i] = 0
	   }
	/* R6 [acks_release] */
	:: d_step { linked(i) && ack[i] != 0 && incoming[i] == 0 && !PENDING(i, STEP_USED) ->
		send(i, ACK, ack[i], 0, 0, 0);
#if DEGRADED
		marked[i] = marked[i] & !incoming_copy[i];
		incoming_copy[i] = 0;
#endif
		ack[i] = 0
	   }
	:: d_step { executing[i] != 0 && at_disk[i] == 0 && at_peer[i] == DONE && !copies(i) -> answer(i) }

	/* R9 [handover_drained] */
	:: d_step { up(i) && attachment[i] == RELEASING && executing[i] == 0 && adopted[i] && !PENDING(i, STEP_RELEASE) &&
		    !PENDING(i, STEP_ENDED) ->
		lift_mark(i);
		if
		:: linked(i) && token_held(i) && wanted[i].reservation != 0 ->
			give(i, wanted[i].reservation, STEP_GIVE | STEP_RELEASE)
		:: else ->
			wanted[i].in_use = used_by_partner(i);
			want(i, STEP_RELEASE)
		fi;
		at_once(i)
	   }

	/* the nodes were not connected then [give_reserved] */
	:: d_step { linked(i) && attachment[i] == NONE && adopted[i] && token_held(i) && durable[i].reservation != 0 &&
		    wanted[i].reservation != 0 ->
		give(i, durable[i].reservation, STEP_GIVE)
	   }

	/* R11 [replicate_adopt, replicate_nobody_left] */
	:: d_step { up(i) && !adopted[i] && may_adopt(i) ->
		if
		:: guest[NODE(i)] != ABSENT -> adopted[i] = 1
		:: else -> release(i)
		fi
	   }

	/* the guest writes */
	:: d_step { guest[NODE(i)] == RUNNING && (attachment[i] == ACTIVE || attachment[i] == HANDED_OVER) && ring2[i] == 0 &&
		    issued[DISK(i)] < WRITES && !over ->
		issued[DISK(i)]++;
		seen[i] = issued[DISK(i)];
		if
		:: ring1[i] == 0 -> ring1[i] = issued[DISK(i)]
		:: else -> ring2[i] = issued[DISK(i)]
		fi
	   }
	/* this side notices that the connection is lost: because it is, or because the other side has given it up */
	:: d_step { connection[i] != DISCONNECTED && connection[PARTNER(i)] == DISCONNECTED -> lost(i) }
	:: d_step { connection[i] != DISCONNECTED && connection[PARTNER(i)] != DISCONNECTED && CONNECTION_FAILS && faults < FAULTS &&
		    !over ->
		faults++;
		lost(i)
	   }
	/* a new connection */
	:: d_step { i < DISKS && daemon[0] && daemon[1] && connection[i] == DISCONNECTED && connection[PARTNER(i)] == DISCONNECTED &&
		    !dead(i) ->
		connection[i] = DRAINING;
		connection[PARTNER(i)] = DRAINING
	   }
	od
}

/* ---- a host: xl, people, and what can go wrong ---- */

#define may_act	      (actions < ACTIONS && !over)
#define may_fail      (faults < FAULTS && !over)
#define is_none(i)    (attachment[i] == NONE)
#define is_claimed(i) (attachment[i] == CLAIMED)
#define is_reserved(i) (attachment[i] == RESERVED)
#define is_served(i)  (served[i] != 0 && (attachment[i] == ACTIVE || attachment[i] == HANDED_OVER || attachment[i] == STALE))
#define is_asking(i)  (attachment[i] == CLAIMING || attachment[i] == RESERVING)
#define is_linked(i)  (connection[i] == CONNECTED)
#define is_hopeless(i) hopeless(i)
#define is_quiet(i)   (!busy[i] && executing[i] == 0 && at_disk[i] == 0 && incoming[i] == 0 && look[i] == NOT_LOOKING)
#define is_written(i) (at_disk[i] == 0 && incoming[i] == 0)
#define is_busy(i)    (busy[i])

inline image_lost() {
	image = 0;
	image_from = 0;
	image_ring1[0] = 0;
	image_ring2[0] = 0;
	image_seen[0] = 0;
#if DISKS == 2
	image_ring1[1] = 0;
	image_ring2[1] = 0;
	image_seen[1] = 0;
#endif
}

inline suspend_disk(i) {
	image_ring1[DISK(i)] = ring1[i];
	image_ring2[DISK(i)] = ring2[i];
	image_seen[DISK(i)] = seen[i]
}

inline arrive_disk(i) {
	attachment[i] = RESERVING;
	want_sent[i] = 0;
	ring1[i] = image_ring1[DISK(i)];
	ring2[i] = image_ring2[DISK(i)];
	seen[i] = image_seen[DISK(i)];
#if COARSE
	want_sent[i] = 1;
	nonce[i]++;
	send(i, RESERVE, nonce[i], 0, 0, 0)
#endif
}

inline create_disk(i) {
	attachment[i] = CLAIMING;
	want_sent[i] = 0;
	seen[i] = FRESH;
#if COARSE
	if
	:: token_held(i) && wanted[i].reservation == 0 && !PENDING(i, STEP_ENDED) -> attachment[i] = CLAIMED
	:: wanted[i].token != HELD && !PENDING(i, STEP_GIVE) ->
		want_sent[i] = 1;
		nonce[i]++;
		send(i, WANT, nonce[i], 0, 0, 0)
	:: else
	fi
#endif
}

inline connect_frontend(i) {
	if
	:: attachment[i] == CLAIMED -> activate(i)
	:: attachment[i] == RESERVED ->
		attachment[i] = COMMITTING;
		if
		:: connection[i] == CONNECTED && wanted[i].token != HELD && adopted[i] ->
			commit_sent[i] = 1;
			send(i, COMMIT, reserved[i], 0, 0, 0)
		:: else
		fi
	:: else
	fi
}

/* COARSE: the frontends connect as soon as the guest runs. */
inline connect_frontends(n) {
#if COARSE
	connect_frontend(FIRST(n));
#if DISKS == 2
	connect_frontend(FIRST(n) + 1)
#endif
#else
	skip
#endif
}

/* The daemon's memory is gone; its record and what its kernel has begun are not. */
inline daemon_lost(i) {
	lost(i);
#if DEGRADED
	data_daemon_lost(i);
#else
	unclean[i] = unclean[i] | durable[i].in_use;
#endif
	copy(wanted[i], durable[i]);
	copy(writing[i], durable[i]);
	busy[i] = 0;
	due[i] = 0;
	next[i] = 0;
	executing[i] = 0;
	consumed[i] = 0;
	at_peer[i] = UNSENT;
	want_sent[i] = 0;
	commit_sent[i] = 0;
	ending[i] = 0;
	told_used[i] = 0;
	told_stale[i] = 0;
	if
	:: held[i] && (durable[i].reservation == 0 || durable[i].token != HELD) -> lift_mark(i)
	:: else
	fi;
	if
	:: attachment[i] == COMMITTING -> attachment[i] = RESERVED
	:: attachment[i] == ACTIVE && durable[i].token != HELD ->
		attachment[i] = HANDED_OVER;
		check_overtaken(i)
	:: attachment[i] == CLAIMING || attachment[i] == RESERVING -> forget_attachment(i)
	:: else
	fi;
	if
	:: attachment[i] != NONE -> adopted[i] = 0
	:: else
	fi;
	if
	:: without(R11_RECORD) && attachment[i] == HANDED_OVER -> attachment[i] = RESERVED; served[i] = 0
	:: else
	fi
}

inline daemon_down(n) {
	daemon[n] = 0;
	if
	:: ANY_DISK(n, is_asking) -> guest[n] = ABSENT /* `add` fails */
	:: else
	fi;
	daemon_lost(FIRST(n));
#if DISKS == 2
	daemon_lost(FIRST(n) + 1)
#endif
}

inline stop(n) {
	durable[FIRST(n)].in_use = used_by_partner(FIRST(n));
#if DISKS == 2
	durable[FIRST(n) + 1].in_use = 0;
#endif
#if DEGRADED
	drained = 1;
#endif
	daemon_down(n);
#if DEGRADED
	drained = 0
#endif
}

inline host_lost(i) {
	forget_attachment(i);
#if DEGRADED
	copying[i] = 0;
	confirmed[i] = (without(R12_HOST) -> confirmed[i] : 0);
	told[i] = 0;
#endif
	at_disk[i] = 0;
	incoming[i] = 0
}

inline host_down(n) {
	daemon_down(n);
	host[n] = 0;
	guest[n] = ABSENT;
	host_lost(FIRST(n));
#if DISKS == 2
	host_lost(FIRST(n) + 1);
#endif
	if
	:: image && image_from == OTHER(n) -> image_lost()
	:: else
	fi
}

inline write_landed(i) {
	if
	:: busy[i] -> copy(durable[i], writing[i])
	:: else
	fi
}

proctype Host(byte n) {
end:
	do
	/* xl migrate, and what it may do when it fails */
	:: d_step { may_act && guest[n] == RUNNING && EVERY_DISK(n, is_served) && !image && guest[OTHER(n)] == ABSENT ->
		actions++;
		guest[n] = SUSPENDED;
		image = 1;
		image_from = n;
		suspend_disk(FIRST(n));
#if DISKS == 2
		suspend_disk(FIRST(n) + 1)
#endif
	   }
	:: d_step { may_act && image && image_from == OTHER(n) && guest[n] == ABSENT && EVERY_DISK(n, is_none) && daemon[n] &&
		    EVERY_DISK(n, is_linked) ->
		actions++;
		guest[n] = ARRIVING;
		arrive_disk(FIRST(n));
#if DISKS == 2
		arrive_disk(FIRST(n) + 1);
#endif
		image_lost()
	   }
	:: d_step { may_act && guest[n] == ARRIVING && EVERY_DISK(n, is_reserved) ->
		actions++;
		guest[n] = RUNNING;
		connect_frontends(n)
	   }
	:: d_step { may_act && guest[n] == SUSPENDED ->
		actions++;
		guest[n] = RUNNING
	   }
	:: d_step { may_act && guest[n] != ABSENT ->
		actions++;
		if
		:: daemon[n] -> release_all(n)
		:: else -> guest[n] = ABSENT
		fi
	   }
	/* xl create */
	:: d_step { may_act && CREATE && !created && guest[n] == ABSENT && daemon[n] && EVERY_DISK(n, is_none) &&
		    !EVERY_DISK(n, is_hopeless) ->
		actions++;
		created = 1;
		guest[n] = CREATING;
		create_disk(FIRST(n));
#if DISKS == 2
		create_disk(FIRST(n) + 1)
#endif
	   }
	:: d_step { guest[n] == CREATING && EVERY_DISK(n, is_claimed) ->
		guest[n] = RUNNING;
		connect_frontends(n)
	   }
	/* `add` does not wait for ever */
	:: d_step { daemon[n] && (guest[n] == CREATING || guest[n] == ARRIVING) && ANY_DISK(n, is_asking) &&
		    ANY_DISK(n, is_hopeless) -> release_all(n) }

	/* killed; killed when the write was done, but not what follows it; stopped and started again */
	:: d_step { may_fail && DAEMON_FAILS && daemon[n] ->
		faults++;
		daemon_down(n)
	   }
	:: d_step { may_fail && DAEMON_FAILS && daemon[n] && ANY_DISK(n, is_busy) ->
		faults++;
		write_landed(FIRST(n));
#if DISKS == 2
		write_landed(FIRST(n) + 1);
#endif
		daemon_down(n)
	   }
	:: d_step { may_fail && DAEMON_FAILS && daemon[n] && EVERY_DISK(n, is_quiet) ->
		faults++;
		stop(n)
	   }
#if DEGRADED
	/* in the end a new daemon is started where the disk has failed */
	:: d_step { over && detached[n] && daemon[n] && EVERY_DISK(n, is_quiet) -> stop(n) }
#endif
	:: d_step { may_fail && HOST_FAILS && host[n] ->
		faults++;
		host_down(n)
	   }
	:: d_step { may_fail && HOST_FAILS && host[n] && ANY_DISK(n, is_busy) ->
		faults++;
		write_landed(FIRST(n));
#if DISKS == 2
		write_landed(FIRST(n) + 1);
#endif
		host_down(n)
	   }
	:: d_step { !host[n] -> host[n] = 1 }
	/* the dead daemon's writes have ended (P6) */
	:: d_step { host[n] && !daemon[n] && EVERY_DISK(n, is_written) -> daemon[n] = 1 }
	od
}

/* ---- where nothing moves any more ---- */

#define waits(i)   (served[i] == 0 || COUNT(i) != 0)

inline check_pair(i) {
	property(ends_connected, refused(i) || (linked(i) && linked(PARTNER(i))));
	property(ends_one_holder, refused(i) || (durable[i].token == HELD) != (durable[PARTNER(i)].token == HELD));
	property(ends_equal, refused(i) || waits_for_xl(i) || same(i))
}

inline check_guest(i) {
	property(ends_done, refused(i) || (executing[i] == 0 && !busy[i] && attachment[i] != RELEASING));
	property(ends_started, refused(i) || !may_adopt(PARTNER(i)) || (guest[NODE(i)] != CREATING && attachment[i] != RESERVING));
	property(ends_committed, refused(i) || !may_adopt(PARTNER(i)) || attachment[i] != COMMITTING);
	/* a guest that waits was overtaken, or handed over to a copy that still exists, or one of its disks is unclean */
	property(ends_served, ANY_DISK(NODE(i), dead) || guest[NODE(i)] != RUNNING || !waits(i) || attachment[i] == STALE || named(i) ||
		 (attachment[i] == HANDED_OVER && guest[OTHER(NODE(i))] != ABSENT))
}

proctype End() {
	d_step { !over -> over = 1 }
	timeout ->
	d_step {
		check_pair(0);
		check_guest(0);
		check_guest(DISKS);
#if DISKS == 2
		check_pair(1);
		check_guest(1);
		check_guest(3)
#endif
	}
}

/* ---- in the beginning the guest runs on node 0; COARSE: it has been suspended for its migration ---- */

inline begin(i) {
	durable[i].epoch = 1;
	durable[i].base = 1;
	if
	:: NODE(i) == 0 ->
		durable[i].token = HELD;
		attachment[i] = ACTIVE;
		served[i] = 1
	:: else ->
		durable[i].token = TOKEN_NONE;
		attachment[i] = NONE
	fi;
#if DEGRADED
	begin_data(i);
#endif
	copy(wanted[i], durable[i]);
	copy(writing[i], durable[i]);
	adopted[i] = 1;
	connection[i] = CONNECTED;
	look[i] = NOT_LOOKING;
	peer_wants[i] = NO_WANT;
	at_peer[i] = UNSENT
}

init {
	atomic {
		read_bounds();
		d_step {
			begin(0);
			begin(1);
#if DISKS == 2
			begin(2);
			begin(3);
#endif
			host[0] = 1;
			host[1] = 1;
			daemon[0] = 1;
			daemon[1] = 1;
#if DEGRADED
			begin_degraded();
#endif
			if
			:: COARSE && !(DEGRADED && RUNS) ->
				guest[0] = SUSPENDED;
				image = 1
			:: else -> guest[0] = RUNNING
			fi;
			guest[1] = ABSENT
		}
		run Resource(0);
		run Resource(1);
#if DEGRADED
		run Data(0);
		run Data(1);
#endif
#if DISKS == 2
		run Resource(2);
		run Resource(3);
#endif
		run Host(0);
		run Host(1);
		run End()
	}
}
