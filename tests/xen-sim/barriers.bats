#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that orders its writes by barriers (H21): all that it asked before one is answered before it, all that it asked after it is
# answered after it, whatever happens meanwhile. The guest itself judges each answer.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

loaded_with_barriers() { # OPTIONS...
	start_guest 1 5 r0 --ring-order 2 --depth 64 "$@"
	guest 5 set barrier 6
	guest 5 set flush 20
	guest 5 start mixed
	wait_for 10 writing 5 100
}
saw_barriers() { # KEY NUMBER
	[ "$(guest "$1" status | guest_value barriers)" -gt "$2" ]
}
stopped() { # N
	guest "$1" stop >"$T/result" || { cat "$T/result"; return 1; }
	cat "$T/result"
}

@test "P1 barriers, with data and without, are offered and served among reads, writes and flushes" {
	start_guest 1 5 r0 --ring-order 2 --depth 64
	[ "$(node 1 5 feature-barrier)" = 1 ]
	guest 5 set barrier 4
	guest 5 mixed 800 >"$T/result"
	cat "$T/result"
	[ "$(guest_value barriers <"$T/result")" -gt 40 ]
	[ "$(guest_value flushes <"$T/result")" -gt 0 ] # those without data
	guest 5 set range 4096:64 # many that overlap
	guest 5 write 600
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P6 the Primary's daemon, or both, killed 12 times under barriers" {
	local i
	loaded_with_barriers
	for i in {1..12}; do
		progress 5 $((RANDOM % 60))
		kill_daemon 1
		[ $((i % 4)) != 0 ] || { kill_daemon 2 && daemon 2; }
		daemon 1
	done
	progress 5 100
	wait_for 20 saw_barriers 5 10
	[ "$(logged 1 'has to be destroyed')" = 0 ]
	finish 5
}

@test "P2 a guest with barriers in flight migrates there and back" {
	loaded_with_barriers
	migrate 1 2 5
	progress 6 100
	migrate 2 1 6
	progress 7 50
	wait_for 20 saw_barriers 7 10
	well 7
}

# One is in flight, and cannot end; the others wait behind it.
stuck_at_a_barrier() {
	apart pair_down 0
	hanging_pair 0 2:disk
	start_guest 1 5 r0 --ring-order 2 --depth 64
	guest 5 set barrier 3
	hangs 2:disk
	guest 5 start write
	wait_for 5 in_flight 5 64
	wait_for 5 says 1 '.counters.ring.consumed > 0'
	says 1 '.counters.ring.consumed < 64'
}

@test "P6 a daemon that is killed while a barrier is in flight, and others wait behind it, executes them in their order" {
	stuck_at_a_barrier
	kill_daemon 1
	daemon 1
	kill_daemon 1
	goes_on 2:disk
	daemon 1
	progress 5 100
	wait_for 20 saw_barriers 5 10
	finish 5
}

@test "P3 barriers that nobody consumed move with the guest" {
	stuck_at_a_barrier
	guest_suspend 5
	guest_receive 2 5 6
	says 1 '.reservation != null and .counters.ring.consumed < 64'
	goes_on 2:disk
	guest_unpause 6
	progress 6 100
	guest_destroy 5
	wait_for 20 saw_barriers 6 10
	well 6
}

@test "P7 what is frozen by suspend-io, or because the partner is lost, goes on in its order" {
	loaded_with_barriers
	ctl 1 suspend-io r0
	guest 5 status >"$T/before"
	ctl 1 resume-io r0
	progress 5 50
	cut_link
	progress 5 50 # alone, after a while
	join_link
	wait_for 20 connected r0
	progress 5 50
	wait_for 20 saw_barriers 5 10
	finish 5
}

@test "P1 a flush of a barrier that fails: the disk is given up, and the barrier is the partner's" {
	loaded_with_barriers
	disk_fails 1 flush
	wait_for 20 says 1 '.disk.state == "Diskless"'
	progress 5 100
	wait_for 20 saw_barriers 5 10
	guest_is_well 5
	guest_detach 5
	"$SIM/blkfront-sim" check-volume --model "$T/model.r0" --volume "$T/host2/r0.img"
}
