#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# resync-after: the resync of one resource waits for that of another on the same host. r1 comes after r0.
load scenario.bash
setup() {
	apart setup_pair 2
	after r0
	daemon 1
	daemon 2
	wait_for 20 connected r0
	wait_for 20 connected r1
}
teardown() { teardown_scenario; }

after() { # [RES]: what the files of both hosts say for r1
	local h
	for h in 1 2; do
		sed -i '/resync-after/d' "$T/host$h/etc/drbdx.d/r1.res"
		[ -z "${1-}" ] || sed -i "1a\\\tdisk { resync-after $1; }" "$T/host$h/etc/drbdx.d/r1.res"
	done
}
held_on() { # N RES REGEX
	says "$1" ".resync != null and (.resync.state | startswith(\"PausedSync\")) and (.resync.held.reason | test(\"$3\"))" "$2"
}
held() { on_both held_on "$@"; } # RES REGEX
logged() { grep -qE "$1" "$T/host1/log/drbdxd.log"; }
copied_nothing() { # RES
	says 1 '.counters.resynced_bytes == 0 and .counters.found_same_bytes == 0' "$1"
}
# Both are to be resynced, and r0, which comes first, is paused by a person.
both_begin() {
	ctl 1 pause-sync r0
	ctl 2 invalidate r0
	wait_for 20 held_on 1 r0 "pause-sync.*resume-sync r0"
	wait_for 20 held_on 2 r0 "dom0_1 holds it"
	ctl 2 invalidate r1
	wait_for 20 held r1 'it waits for the resync of r0 .resync-after.'
}

@test "the second resource's resync waits, in words, until the first one's is done" {
	both_begin
	words_say 1 'r1: 16 MiB are to be copied to dom0_2; held for [0-9]+ s: it waits for the resync of r0 \(resync-after\)'
	copied_nothing r1
	ctl 1 resume-sync r0
	# Nobody asks the daemons anything meanwhile: that would wake them.
	wait_for 60 logged 'r1: resync .* -> Established'
	in_sync r0
	wait_for 10 in_sync r1
	grep -E 'r0: resync .* -> Established|r1: resync-after: .*need not wait|r1: resync .* -> Established' "$T/host1/log/drbdxd.log" >"$T/order"
	cat "$T/order"
	sed -n '1s/.*\(r0: resync\).*/\1/p; 2s/.*\(need not wait\).*/\1/p; 3s/.*\(r1: resync\).*/\1/p' "$T/order" | diff - <(printf '%s\n' 'r0: resync' 'need not wait' 'r1: resync')
	compare_volumes r0
	compare_volumes r1
}

@test "a person's pause and that of resync-after do not end each other" {
	both_begin
	ctl 1 pause-sync r1
	held_on 1 r1 'waits for the resync of r0.*; .backend-ctl pause-sync. holds it here'
	ctl 1 resume-sync r1
	held_on 1 r1 'waits for the resync of r0'
	says 1 '.resync.held.reason | test("pause-sync") | not' r1
	ctl 1 pause-sync r1
	ctl 1 resume-sync r0
	wait_for 60 in_sync r0
	wait_for 10 says 1 '.resync.held.reason | test("resync-after") | not' r1
	wait_for 10 says 2 '.resync.held.reason | test("resync-after") | not' r1
	held_on 1 r1 'pause-sync'
	held_on 2 r1 'dom0_1 holds it'
	copied_nothing r1
	ctl 1 resume-sync r1
	wait_for 60 in_sync r1
}

@test "a changed resync-after counts from the next 'up' on, under way" {
	both_begin
	after r1
	run ctl 1 up r1
	[ "$status" = 10 ]
	[[ "$output" == *"r1.res:2: resync-after: resource 'r1' after itself"* ]]
	held r1 'waits for the resync of r0'
	after ''
	ctl 1 up r1
	held_on 2 r1 'waits for the resync of r0'
	ctl 2 up r1
	wait_for 60 in_sync r1
	held_on 1 r0 'pause-sync'
	after r0
	ctl 1 up all
	ctl 2 invalidate r1
	wait_for 20 held_on 1 r1 'waits for the resync of r0'
	wait_for 10 held_on 2 r1 'dom0_1 holds it'
	says 1 '.out_of_sync.bytes == 16777216' r1
	ctl 1 down r0
	wait_for 60 in_sync r1
}
