#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest whose disk has several queues: one ring and event channel for each, one owner thread, one budget of buffers and requests (H25).
load scenario.bash
setup() { pair "${PAIR:-1}"; }
teardown() { teardown_scenario; }

queues_are() { # N NUMBER
	says "$1" ".counters.ring.queues == $2"
}
loaded_on_4() { # OPTIONS...
	start_guest 1 5 r0 --queues 4 --ring-order 1 --depth 128 "$@"
	queues_are 1 4
	guest 5 set flush 20
	guest 5 start mixed
	wait_for 10 writing 5 100
}

@test "P3 two to four queues are offered and served, with every size of ring, of both layouts, and without flushes" {
	local n
	for n in 2 3 4; do
		start_guest 1 1$n r0 --queues $n --ring-order $((n - 2)) --depth $((32 * n)) --segments 40
		[ "$(node 1 1$n multi-queue-max-queues)" = 4 ]
		queues_are 1 $n
		guest 1$n mixed 200
		guest 1$n verify
		guest_detach 1$n
	done
	start_guest 1 20 r0 --queues 4 --ring-order 4 --depth 512 --segments 4 --protocol x86_32-abi
	queues_are 1 4
	guest 20 mixed 1500
	guest 20 verify
	guest_detach 20
	start_guest 1 21 r0 --queues 1
	queues_are 1 1
	guest 21 mixed 100
	guest_detach 21
	volumes_agree
}

@test "P3 writes to the same few sectors from all queues leave both volumes equal" {
	start_guest 1 5 r0 --queues 4 --ring-order 1 --depth 128
	guest 5 set range 4096:64
	guest 5 write 1500
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P6 the Primary's daemon, or both, killed 15 times under load on 4 queues" {
	local i
	loaded_on_4
	[ -e "$T/host1/run/drbdx/minor-0.inflight-3" ] || on 1 test -e /run/drbdx/minor-0.inflight-3
	for i in {1..15}; do
		progress 5 $((RANDOM % 60))
		kill_daemon 1
		[ $((i % 5)) != 0 ] || { kill_daemon 2 && daemon 2; }
		daemon 1
	done
	progress 5 100
	queues_are 1 4
	[ "$(logged 1 'has to be destroyed')" = 0 ]
	[ "$(grep -oE '[0-9]+ requests of the earlier daemon were unanswered' "$T/host1/log/drbdxd.log" | awk '{ n += $1 } END { print n + 0 }')" -gt 50 ]
	finish 5
	on 1 sh -c '! ls /run/drbdx/minor-0.inflight*' # nothing is left behind
}

@test "P6 killed while it attaches the rings that an earlier one left, at each of them" {
	local place count
	loaded_on_4
	for place in map bind notify; do
		for count in 1 2 3 4; do
			kill_daemon 1
			echo "$place after $count" >"$T/host1/die"
			apart begin_daemon_1
			wait_for 20 daemon_gone 1
			[ ! -e "$T/host1/die" ]
			daemon 1
			progress 5 20
		done
	done
	queues_are 1 4
	finish 5
}
begin_daemon_1() { # not waiting for its answer, for it dies
	"$XEN_SIM/host" exec 1 "$T" "$(daemon_program 1)" -f >>"$T/host1/log/drbdxd.log" 2>&1 </dev/null &
	echo $! >"$T/host1/drbdxd.pid"
	disown
}

@test "P2 a guest with 4 queues migrates there and back under load" {
	loaded_on_4
	migrate 1 2 5
	queues_are 2 4
	progress 6 100
	migrate 2 1 6
	queues_are 1 4
	well 7
}

@test "P2 a guest with 4 queues that is resumed at its source goes on, and a kill while it is reserved changes nothing" {
	loaded_on_4
	guest_suspend 5
	guest_receive 2 5 6
	says 1 '.reservation != null'
	kill_daemon 1
	daemon 1
	wait_for 10 says 1 '.reservation != null'
	guest_resume 5
	wait_for 10 says 1 '.reservation == null'
	progress 5 100
	guest_destroy 6
	finish 5
}

@test "P3 barriers of 4 queues: what was asked in one queue keeps its order" {
	loaded_on_4
	guest 5 stop
	guest 5 set barrier 8
	guest 5 mixed 1500 >"$T/result"
	[ "$(guest_value barriers <"$T/result")" -gt 40 ]
	guest 5 start mixed
	for _ in {1..5}; do
		progress 5 $((RANDOM % 60))
		kill_daemon 1
		daemon 1
	done
	progress 5 100
	migrate 1 2 5
	progress 6 100
	well 6
}

@test "P4 a guest connects again with another number of queues, also while no daemon runs" {
	start_guest 1 5 r0 --queues 4
	guest 5 mixed 50
	for n in 2 4 1 3; do
		guest 5 set queues $n
		guest 5 reconnect
		queues_are 1 $n
		guest 5 mixed 50
		[ "$(on 1 sh -c 'ls /run/drbdx/minor-0.inflight* | wc -l')" = $n ]
	done
	kill_daemon 1
	daemon 1
	wait_for 10 queues_are 1 3
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P4 one queue that is hostile costs the guest its disk, and nobody else" {
	apart pair_down 0
	apart setup_pair 2
	daemon 1
	daemon 2
	wait_for 20 connected r0
	wait_for 20 connected r1
	start_guest 1 6 r1 --queues 4
	guest 6 start mixed
	start_guest 1 5 r0 --queues 4 --ring-order 1 --depth 64
	for how in over back max; do
		guest 5 hostile H1 $how
		queues_are 1 4 # it has closed and connected anew
	done
	[ "$(logged 1 'not served any more: .*queue 3')" -ge 3 ]
	guest 5 hostile H2
	guest 5 hostile H21
	guest 6 status | jq -e '.errors == 0 and .mismatches == 0 and .violations == 0 and .connected'
	finish 6 r1
}

# The partner's disk does not answer: large requests take all buffers. When it does, every queue goes on.
@test "P7 a queue of large requests and queues of small ones: nobody waits for ever" {
	apart pair_down 0
	hanging_pair 0 2:disk
	start_guest 1 5 r0 --queues 4 --ring-order 1 --depth 128 --segments 256
	guest 5 set size 2048
	hangs 2:disk
	guest 5 start write
	wait_for 5 in_flight 5 128
	says 1 '.counters.ring.consumed < 64'
	goes_on 2:disk
	progress 5 300
	guest 5 stop
	guest 5 set size 0
	guest 5 start mixed
	finish 5
}
