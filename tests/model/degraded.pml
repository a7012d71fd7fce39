/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * degraded.pml: what handover.pml does besides where one copy is enough (docs/DEGRADED.md; HANDOVER.md, R12 to R14): going on alone, a disk that
 * fails, a resync, promotion by force, and meeting again. Included by it; with DEGRADED=0 only the names at the end remain.
 *
 * Who has the token and whose data count is not modelled: settle() itself decides (judge.c).
 *
 * The disk is one block. `marked` is its bit in the bitmap, and what survives a crash is as DEGRADED.md's D2 to D4 say: the bit, set also
 * where SB_IN_USE is found. A read of the guest's is looked at when its next request is consumed: that is the moment at which the disk
 * that serves it must hold what it was told to hold.
 *
 * What the disk must hold is known for each `line`, a history of the data: the pair begins one, each promotion by force another one, with what that node's
 * disk holds (P2's exception: a person has thrown away the rest). In a line it is what was acknowledged last (`truth`), or what was executed
 * after it (`latest`) and may have been lost with its host; once that was not there, it must not come back.
 */

#if DEGRADED

/* ---- asked of a node ---- */

#define good(i)	      (!detached[i] && durable[i].consistent && wanted[i].consistent)
#define peer_good(i)  (peer_consistent[i] && !peer_diskless[i])
#define certain(i)    (token_held(i) && rule(R12_CERTAIN, confirmed[i] == durable[i].epoch))
#define accessible(i) (linked(i) -> (good(i) || peer_good(i)) : (good(i) && certain(i)))
#define certain_token(i) (linked(i) || told[i])
#define apart(i)      (connection[i] == DISCONNECTED || connection[i] == REFUSED)
#define reachable(i)  (linked(i) -> accessible(i) : (apart(i) && accessible(i)))
/* until what an earlier guest left is settled, but for a reservation */
#define claim_settled(i) (wanted[i].reservation != 0 || !((durable[i].in_use && !used_by_partner(i)) || durable[i].reservation != 0))
#define hopeless(i)   (linked(i) -> !accessible(i) : !reachable(i))
#define live(i)	      (attachment[i] == CLAIMED || arriving(i) || attachment[i] == ACTIVE || attachment[i] == HANDED_OVER)
#define primary(i)    (durable[i].token == HELD && (attachment[i] == ACTIVE || attachment[i] == CLAIMED || attachment[i] == RELEASING))

/* Where a read is answered [resync_reads_here]. */
#define whole(i)      (!detached[i] && durable[i].consistent && wanted[i].consistent)
#define merged(i)     (linked(i) && sync[i] == TARGET && !detached[i])
#define reads_here(i) (whole(i) || (merged(i) && rule(D7_MARKED, !marked[i])))
#define read_at(i)    (reads_here(i) -> i : PARTNER(i))
#define readable(i)   (reads_here(i) || (linked(i) && linked(PARTNER(i))))

/* Could the partner execute a request of the same data? */
#define may_execute(i) ((durable[i].token == HELD || writing[i].token == HELD) && \
			durable[i].line == durable[PARTNER(i)].line && (linked(i) || confirmed[i] == durable[i].epoch))
#define other_line(i) (durable[i].line != durable[PARTNER(i)].line)

#define holds_truth(i) (disk[read_at(i)] == truth[durable[i].line] || disk[read_at(i)] == latest[durable[i].line])
/* A node that is made a target gives up nothing that was acknowledged, or what a person has thrown away by a promotion. */
#define gives_up_nothing(i, to) (to == durable[i].line || \
				 ((parent[to] == durable[i].line || (parent[to] > durable[i].line && \
								     parent[parent[to]] == durable[i].line)) && (!whole_then[to] || truth[durable[i].line] == first[to] || latest[durable[i].line] == first[to])))
#define serves_good(i) (reads_here(i) -> (durable[i].consistent || !marked[i]) : \
			(durable[PARTNER(i)].consistent && !detached[PARTNER(i)]))

#define refused(i)    (connection[i] == REFUSED && connection[PARTNER(i)] == REFUSED)
#define same(i)	      (disk[i] == disk[PARTNER(i)] && durable[i].consistent && durable[PARTNER(i)].consistent && \
		       !detached[i] && !detached[PARTNER(i)] && !marked[i] && !marked[PARTNER(i)])
/* a resync waits while a guest is reserved for the other node: until it is destroyed, or resumed and asks for something */
#define reserved_for_partner(i) (durable[i].token == HELD && durable[i].reservation != 0)
#define waits_for_xl(i) (reserved_for_partner(i) || reserved_for_partner(PARTNER(i)))
#define named(i)      (attachment[i] == LEFT || (attachment[i] == COMMITTING && attachment[PARTNER(i)] == LEFT) || refused(i))

/* ---- generations [generation.c] ---- */

inline remember(sb, generation) {
	if
	:: generation == 0 || generation == sb.history0
	:: else ->
		sb.history1 = sb.history0;
		sb.history0 = generation
	fi
}

inline generation_met(sb) {
	remember(sb, sb.bitmap);
	sb.bitmap = 0
}

#define descends(sb, generation) (generation != 0 && (generation == sb.bitmap || generation == sb.history0 || generation == sb.history1))

/* `there`: where the partner was, if the connection was lost between a verdict that made us the source and READY; else 0. */
inline generation_alone(sb, fresh, there) {
	if
	:: there != 0 ->
		if
		:: descends(sb, there) -> remember(sb, there)
		:: else -> remember(sb, sb.bitmap)
		fi;
		sb.bitmap = sb.current
	:: there == 0 && sb.bitmap != 0 -> sb.history1 = sb.current
	:: else -> sb.bitmap = sb.current
	fi;
	sb.current = fresh
}

inline generation_copy(sb, source) {
	sb.current = source.current;
	sb.bitmap = source.bitmap;
	sb.history0 = source.history0;
	sb.history1 = source.history1;
	sb.line = source.line
}

/* ---- one copy is enough [alone.c] ---- */

inline confirm(i) {
	confirmed[i] = durable[i].epoch;
	told[i] = 1
}

inline requests_part(i) {
	if
	:: executing[i] != 0 && !copying[i] && at_peer[i] != DONE ->
		at_peer[i] = DONE;
		marked[i] = marked[i] | !without(R13_MARKED)
	:: else
	fi
}

inline part(i) {
	if
	:: !linked(i) && !parted[i] ->
		parted[i] = 1;
		requests_part(i)
	:: else
	fi
}

/* alone_advance */
inline go_alone(i) {
	if
	:: without(R13_GENERATION)
	:: else ->
		generations++;
		generation_alone(wanted[i], generations, settled[i])
	fi;
	settled[i] = 0;
	if
	:: without(R13_RESERVATION) -> wanted[i].reservation = 0
	:: else
	fi;
	want(i, STEP_ALONE);
	if
	:: without(R13_DURABLE) -> part(i)
	:: else
	fi
}

/* What a request does at first [start_write]. */
inline start_write(i) {
	if
	:: detached[i] -> at_disk[i] = 0
	:: else -> at_disk[i] = executing[i]
	fi;
	if
	:: parted[i] ->
		at_peer[i] = DONE;
		marked[i] = marked[i] | !without(R13_MARKED)
	:: else -> at_peer[i] = UNSENT
	fi
}

inline begin_line(i) {
	lines++;
	parent[lines] = durable[i].line;
	whole_then[lines] = durable[i].consistent;
	wanted[i].line = lines;
	first[lines] = disk[i];
	truth[lines] = disk[i];
	latest[lines] = disk[i];
	issued[DISK(i)]++;
	executed[lines] = issued[DISK(i)] /* no copy of the guest that ran before knows it */
}

/* R14 [promote, overtake_token] */
inline promote(i) {
	marked[i] = marked[i] | !wanted[i].consistent;
	wanted[i].token = HELD;
	wanted[i].epoch = wanted[i].epoch + (without(R14_EPOCH) -> 0 : 2); /* or more: what the partner said may be higher */
	if
	:: without(R14_BASE)
	:: else -> wanted[i].base = wanted[i].epoch
	fi;
	if
	:: without(R14_RESERVATION)
	:: else -> wanted[i].reservation = 0
	fi;
	if
	:: without(R14_GENERATION)
	:: else ->
		generations++;
		generation_alone(wanted[i], generations, 0)
	fi;
	wanted[i].consistent = 1;
	wanted[i].crashed = 0;
	begin_line(i);
	want(i, STEP_COMMAND)
}

/* Our disk has failed what it was asked for: the partner's has to do, when the two have met without it [detach_on_error, requests_detach]. */
inline detach(i) {
	detached[i] = 1;
	if
	:: copying[i] -> drop_copy(i)
	:: !copying[i] && at_disk[i] != 0 && at_peer[i] == DONE && !without(D4_AGAIN) -> at_peer[i] = UNSENT
	:: else
	fi;
	at_disk[i] = 0;
	incoming[i] = 0;
	incoming_copy[i] = 0;
	ack[i] = 0;
	if
	:: without(D4_AGAIN)
	:: else -> lost(i)
	fi
}

/* ---- they meet again [handshake.c] ---- */

c_decl {
\#include "tests/model/judge.h"
}
c_code {
	static struct model_hello hello_of(int i)
	{
		return (struct model_hello){
			now.own_held[i], now.own_given[i], now.own[i].epoch, now.own[i].base, now.own[i].current,
			now.own[i].bitmap, { now.own[i].history0, now.own[i].history1 }, now.own[i].consistent,
			now.own[i].crashed, now.own_marked[i], now.own_diskless[i], now.own_primary[i], now.own_discard[i], i == 0
		};
	}
	static int judge(int i)
	{
		struct model_hello self = hello_of(i), peer = hello_of(!i);
		return model_judge(&self, &peer);
	}
}
#define KEEP	     1
#define ADOPT	     2
#define RAISE	     4
#define DATA_SOURCE  8
#define DATA_TARGET  16
#define FULL	     32
#define CONTRADICTION 64

inline fill_hello(i) {
	own_held[i] = durable[i].token == HELD;
	own_given[i] = durable[i].token == GIVEN;
	own_marked[i] = marked[i];
	own_diskless[i] = detached[i];
	own_primary[i] = primary(i) && !without(R14_PRIMARY);
	own_discard[i] = discard[i];
	/* the generation that this meeting makes it begin, if it does: only then a new number */
	if
	:: detached[PARTNER(i)] || own_diskless[PARTNER(i)] ->
		generations++;
		own_fresh[i] = generations
	:: else
	fi
}

inline forget_said(i) {
	own[i].current = 0;
	own[i].bitmap = 0;
	own[i].history0 = 0;
	own[i].history1 = 0;
	own[i].line = 0;
	own[i].consistent = 0;
	own[i].crashed = 0;
	own_held[i] = 0;
	own_given[i] = 0;
	own_marked[i] = 0;
	own_diskless[i] = 0;
	own_primary[i] = 0;
	own_discard[i] = 0;
	own_fresh[i] = 0
}

/* What would be said now is something else: worth meeting again. */
#define says_otherwise(i) (own[i].token != durable[i].token || own[i].epoch != durable[i].epoch || \
			   own[i].current != durable[i].current || own_primary[i] != primary(i) || own_diskless[i] != detached[i])

#define RAISED (own[0].epoch > own[1].epoch -> own[0].epoch + 1 : own[1].epoch + 1)

/* take_token: adopt, raise_epoch */
inline take_token(i, verdict) {
	if
	:: verdict & ADOPT ->
		confirmed[i] = 0;
		wanted[i].token = TOKEN_NONE;
		wanted[i].epoch = (own[i].token == HELD && !without(R14_HIGHER) -> RAISED : own[PARTNER(i)].epoch);
		wanted[i].base = own[PARTNER(i)].base;
		wanted[i].reservation = 0;
		if
		:: own[i].token == HELD && live(i) -> outdate(i)
		:: arriving(i) && own[PARTNER(i)].token == HELD && reserved[i] != own[PARTNER(i)].reservation -> outdate(i)
		:: else -> check_overtaken(i)
		fi
	:: (verdict & RAISE) && !without(R14_HIGHER) ->
		if
		:: wanted[i].base == wanted[i].epoch && attachment[i] == ACTIVE && adopted[i] -> served[i] = RAISED
		:: else
		fi;
		if
		:: wanted[i].base == wanted[i].epoch && adopted[i] -> wanted[i].base = RAISED
		:: else
		fi;
		if
		:: confirmed[i] == durable[i].epoch -> confirmed[i] = RAISED
		:: else
		fi;
		wanted[i].epoch = RAISED
	:: else
	fi
}

inline take_data(i, verdict) {
	wanted[i].crashed = 0;
	if
	:: verdict & FULL -> marked[i] = 1
	:: else
	fi;
	property(split_brain, !(verdict & DATA_TARGET) || own_discard[i] || gives_up_nothing(i, own[PARTNER(i)].line));
	if
	:: verdict & DATA_TARGET ->
		sync_verdict[i] = TARGET;
		if
		:: without(D5_TARGET)
		:: else ->
			generation_copy(wanted[i], own[PARTNER(i)]); /* generation_become_target */
			generation_met(wanted[i]);
			wanted[i].consistent = 0
		fi
	:: verdict & DATA_SOURCE ->
		sync_verdict[i] = SOURCE;
		settled[i] = own[PARTNER(i)].current
	:: else ->
		sync_verdict[i] = OFF;
		if
		:: settled[i] != 0 -> settled[i] = own[PARTNER(i)].current
		:: else
		fi
	fi;
	if
	:: own_diskless[PARTNER(i)] ->
		wanted[i].in_use = 1;
		if
		:: without(D4_LONE) && wanted[i].bitmap == 0 -> generation_alone(wanted[i], own_fresh[i], 0)
		:: else
		fi
	:: detached[i] && !own_diskless[PARTNER(i)] -> /* it keeps its generation: that is what its disk holds */
		if
		:: without(D4_KEPT) ->
			generation_copy(wanted[i], own[PARTNER(i)]);
			if
			:: wanted[i].bitmap == 0 -> generation_alone(wanted[i], own_fresh[PARTNER(i)], 0)
			:: else
			fi;
			generation_met(wanted[i])
		:: else
		fi;
		wanted[i].consistent = 0
	:: else
	fi
}

inline settle(i) {
	me = i;
	c_code { now.verdict = judge(now.me); };
	me = 0;
	if
	:: verdict == 0 || verdict == CONTRADICTION ->
		property(meets, verdict == 0 && (forced || own_diskless[0] || own_diskless[1]));
		discard[i] = 0;
		connection[i] = REFUSED
	:: (verdict & ADOPT) && own[i].token == HELD && !ready_received[i] && !without(R14_RAISED) ->
		connection[i] = SETTLING;
		awaits_winner[i] = 1
	:: else ->
		connection[i] = SETTLING;
		awaits_winner[i] = 0;
		take_token(i, verdict);
		take_data(i, verdict);
		want(i, STEP_READY)
	fi;
	verdict = 0
}

/* READY has come: the partner's disk, should it come back, is not consistent, durably. */
inline begin_lone(i) {
	if
	:: lone_due(i) ->
		generation_alone(wanted[i], own_fresh[i], 0);
		want(i, STEP_READY)
	:: else
	fi
}

/* settled, alone_met, requests_connection_up, handover_connected, resync_met; the partner's HELLO is still known */
inline data_met(i) {
	peer_consistent[i] = own[PARTNER(i)].consistent && sync_verdict[i] != SOURCE;
	peer_diskless[i] = own_diskless[PARTNER(i)];
	if
	:: wanted[i].bitmap != 0 && !peer_diskless[i] && sync_verdict[i] != TARGET ->
		generation_met(wanted[i]);
		want(i, STEP_MET)
	:: else -> settled[i] = 0
	fi;
	parted[i] = peer_diskless[i];
	discard[i] = 0;
	if
	:: token_held(i) -> confirm(i)
	:: else
	fi;
	if
	:: parted[i] -> requests_part(i)
	:: else
	fi;
	if
	:: token_held(i) && durable[i].base == durable[i].epoch -> send(i, USED, durable[i].epoch, 0, 0, 0)
	:: else
	fi;
	if
	:: ending[i] != 0 && !PENDING(i, STEP_ENDED) ->
		send(i, ENDED, ending[i], 0, 0, 0);
		ending[i] = 0
	:: else
	fi;
	if
	:: sync_verdict[i] != OFF -> sync[i] = EXCHANGE
	:: else
	fi
}

/* resync_lost, requests_connection_lost, peer_connection_lost */
inline data_lost(i) {
	awaits_winner[i] = 0;
	sync[i] = OFF;
	sync_verdict[i] = OFF;
	bitmap_sent[i] = 0;
	bitmap_received[i] = 0;
	sync_end_sent[i] = 0;
	peer_consistent[i] = 0;
	peer_diskless[i] = 0;
	if
	:: copying[i] && at_disk[i] == 0 -> drop_copy(i)
	:: copying[i] && at_disk[i] != 0 -> copying[i] = LATE
	:: else
	fi;
	if
	:: incoming[i] == 0 -> incoming_copy[i] = 0
	:: else
	fi
}

inline data_daemon_lost(i) {
	if
	:: attachment[i] == ACTIVE && durable[i].token == HELD && !drained -> /* which of its requests were executed cannot be told */
		attachment[i] = LEFT;
		held[i] = 0;
		old[i] = 0;
		ring1[i] = 0;
		ring2[i] = 0
	:: else
	fi;
	durable[i].crashed = durable[i].crashed | durable[i].in_use;
	marked[i] = marked[i] | (durable[i].in_use && !without(D2_CRASHED));
	detached[i] = 0;
	parted[i] = 0;
	settled[i] = 0;
	copying[i] = (copying[i] && at_disk[i] != 0 -> LATE : 0)
}

/* ---- resync [resync.c] ---- */

/* A copy is a request in the order of the guest's: it takes `executing`, so nothing overlaps it (D6). */
#define token_wanted(i) (peer_wants[i] != NO_WANT && \
			 (without(D9_WANT) || (adopted[i] && (attachment[i] == NONE || attachment[i] == STALE))))
#define token_moves(i) (!token_held(i) || commit[i] != 0 || token_wanted(i) || wanted[i].reservation != 0)
#define may_copy(i) ((sync[i] == SOURCE || sync[i] == TARGET) && linked(i) && !PENDING(i, STEP_COMMAND) && !sync_end_sent[i] && \
		     !token_moves(i))

inline begin_copying(i) {
	if
	:: bitmap_sent[i] && bitmap_received[i] -> sync[i] = sync_verdict[i]
	:: else
	fi
}

inline drop_copy(i) {
	copying[i] = 0;
	executing[i] = 0;
	at_peer[i] = UNSENT
}

/* COPY_OUT: DATA(copy) follows. COPY_IN: READ and READ_DATA are one step, for nothing writes there meanwhile. */
inline copy_begin(i) {
	copying[i] = COPYING;
	if
	:: sync[i] == SOURCE ->
		executing[i] = disk[i];
		at_peer[i] = UNSENT
	:: else ->
		executing[i] = disk[PARTNER(i)];
		at_disk[i] = executing[i];
		at_peer[i] = DONE
	fi
}

/* copy_end */
inline copy_done(i) {
	if
	:: copying[i] == COPYING && linked(i) ->
		marked[i] = 0;
		if
		:: sync[i] == TARGET -> send(i, IN_SYNC, 0, 0, 0, 0)
		:: else
		fi
	:: else
	fi;
	drop_copy(i)
}

inline resync_ended(i) {
	if
	:: sync[i] == SOURCE || sync[i] == EXCHANGE -> peer_consistent[i] = 1
	:: else
	fi;
	sync_verdict[i] = OFF;
	sync[i] = OFF
}

inline synced(i) {
	wanted[i].consistent = 1;
	want(i, STEP_SYNCED)
}

/* end_if_done */
inline resync_end(i) {
	sync_end_sent[i] = 1;
	if
	:: sync[i] == TARGET -> synced(i)
	:: else -> send(i, SYNC_END, 0, 0, 0, 0)
	fi
}

inline on_bitmap_end(i) {
	property(protocol, sync[i] == EXCHANGE && !bitmap_received[i]);
	marked[i] = marked[i] | a;
	bitmap_received[i] = 1;
	begin_copying(i)
}

inline on_sync_end(i) {
	property(protocol, wanted[i].token != HELD);
	if
	:: sync_verdict[i] == TARGET ->
		property(protocol, !marked[i]);
		synced(i)
	:: else ->
		send(i, SYNC_ENDED, 0, 0, 0, 0);
		resync_ended(i)
	fi
}

inline on_sync_ended(i) {
	if
	:: sync[i] == SOURCE && sync_end_sent[i] -> resync_ended(i)
	:: else
	fi
}

/* ---- steps ---- */

inline data_taken(i) {
	if
	:: (due[i] & STEP_TAKEN) && token_held(i) -> confirm(i)
	:: else
	fi
}

inline data_steps(i) {
	if
	:: due[i] & STEP_ALONE -> part(i)
	:: else
	fi;
	if
	:: (due[i] & STEP_SYNCED) && linked(i) && durable[i].consistent && wanted[i].consistent ->
		if
		:: token_held(i) -> send(i, SYNC_END, 0, 0, 0, 0)
		:: else -> send(i, SYNC_ENDED, 0, 0, 0, 0)
		fi;
		resync_ended(i)
	:: else
	fi;
	if
	:: due[i] & STEP_COMMAND ->
		confirm(i);
		if
		:: connection[i] != DISCONNECTED -> lost(i)
		:: else
		fi
	:: else
	fi
}

/* ---- events ---- */

/* Nobody uses the disk, and the superblock still says so [settle_superblock]. */
#define serves(i) (wanted[i].token == HELD && attachment[i] != NONE && attachment[i] != CLAIMING && attachment[i] != STALE && \
		   attachment[i] != LEFT)

proctype Data(byte i) {
end:
	do
	:: d_step { up(i) && apart(i) && good(i) && certain(i) && !parted[i] && executing[i] != 0 && !copying[i] && at_peer[i] != DONE &&
		    !PENDING(i, STEP_ALONE) -> go_alone(i) }
	:: d_step { up(i) && forces < FORCES && !over && adopted[i] && rule(R14_ATTACHED, attachment[i] == NONE) && !detached[i] &&
		    (apart(i) || (linked(i) && rule(R14_CONNECTED, token_held(i) && !peer_good(i)))) && incoming[i] == 0 &&
		    !(good(i) && certain(i)) && !PENDING(i, STEP_COMMAND) ->
		forces++;
		promote(i)
	   }
	:: d_step { linked(i) && peer_good(i) && !detached[i] && DISK_FAILS && faults < FAULTS && !over ->
		faults++;
		detach(i)
	   }
	/* a person decides a split brain: connect --discard-my-data, where no guest is */
	:: d_step { up(i) && refused(i) && !discarded && !primary(i) ->
		discarded = 1;
		discard[i] = 1;
		lost(i)
	   }
	:: d_step { connection[i] == REFUSED && (says_otherwise(i) || says_otherwise(PARTNER(i))) -> lost(i) }
	:: d_step { up(i) && durable[i].in_use && !serves(i) && !used_by_partner(i) && sync[i] == OFF && executing[i] == 0 &&
		    !busy[i] ->
		wanted[i].in_use = 0;
		want(i, STEP_NOTED);
		at_once(i)
	   }

	/* resync */
	:: d_step { linked(i) && sync[i] == EXCHANGE && !bitmap_sent[i] ->
		send(i, BITMAP_END, marked[i], 0, 0, 0);
		bitmap_sent[i] = 1;
		begin_copying(i)
	   }
	:: d_step { may_copy(i) && marked[i] && executing[i] == 0 && linked(PARTNER(i)) -> copy_begin(i) }
	:: d_step { may_copy(i) && !marked[i] && !copying[i] ->
		resync_end(i);
		at_once(i)
	   }
	:: d_step { copying[i] && at_disk[i] == 0 && at_peer[i] == DONE -> copy_done(i) }
	:: d_step { up(i) && attachment[i] == LEFT && guest[NODE(i)] == ABSENT -> forget_attachment(i) }
	od
}

/* ---- in the beginning ---- */

inline begin_data(i) {
	durable[i].current = 1;
	durable[i].consistent = 1;
	disk[i] = 1;
	executions[DISK(i)] = 1;
	truth[0] = 1;
	latest[0] = 1;
	generations = 1;
	if
	:: durable[i].token == HELD ->
		confirmed[i] = 1;
		told[i] = 1
	:: else
	fi;
	peer_consistent[i] = 1;
	sync[i] = OFF;
	sync_verdict[i] = OFF
}

/* `target` lacks something, and the two have just exchanged their bitmaps. */
inline begin_resync(target) {
	durable[0].current = 2;
	durable[1].current = 2;
	durable[0].history0 = 1;
	durable[1].history0 = 1;
	generations = 2;
	executions[0] = 2;
	truth[0] = 2;
	latest[0] = 2;
	disk[1 - target] = 2;
	durable[target].consistent = 0;
	marked[0] = 1;
	marked[1] = 1;
	peer_consistent[1 - target] = 0;
	sync[target] = TARGET;
	sync[1 - target] = SOURCE;
	sync_verdict[target] = TARGET;
	sync_verdict[1 - target] = SOURCE;
	bitmap_sent[0] = 1;
	bitmap_sent[1] = 1;
	bitmap_received[0] = 1;
	bitmap_received[1] = 1
}

/* The disk of `without_disk` has failed, and the two have met without it. */
inline begin_diskless(without_disk) {
	durable[0].current = 2;
	durable[1].current = 2;
	generations = 2;
	durable[1 - without_disk].bitmap = 1;
	durable[without_disk].history0 = 1;
	durable[without_disk].consistent = 0;
	durable[1 - without_disk].in_use = 1;
	detached[without_disk] = 1;
	peer_consistent[1 - without_disk] = 0;
	peer_diskless[1 - without_disk] = 1;
	parted[1 - without_disk] = 1
}

/* START: 0 both have everything; 1, 2 a resync to node 1, to node 0; 3, 4 node 1, node 0 without a disk. */
inline begin_degraded() {
	if
	:: START == 1 -> begin_resync(1)
	:: START == 2 -> begin_resync(0)
	:: START == 3 -> begin_diskless(1)
	:: START == 4 -> begin_diskless(0)
	:: else
	fi;
	copy(wanted[0], durable[0]);
	copy(wanted[1], durable[1]);
	copy(writing[0], durable[0]);
	copy(writing[1], durable[1])
}

#else

#define certain_token(i) true
#define accessible(i)	 linked(i)
#define reachable(i)	 linked(i)
#define claim_settled(i) true
#define hopeless(i)	 (!linked(i))
#define readable(i)	 true
#define may_execute(i)	 (durable[i].token == HELD || writing[i].token == HELD)
#define other_line(i)	 false
#define holds_truth(i)	 (disk[i] >= acknowledged[DISK(i)])
#define serves_good(i)	 true
#define refused(i)	 dead(i)
#define same(i)		 (disk[i] == disk[PARTNER(i)])
#define waits_for_xl(i)	 false
#define named(i)	 false

#endif
