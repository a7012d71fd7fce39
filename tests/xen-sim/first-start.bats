#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A new pair of which nobody has said yet whose data count.
load scenario.bash
setup() {
	CREATE_MD_OPTIONS="" apart setup_pair 1
}
# The guest expects zeroes where it has not written: this node's volume is the one that does not count.
both_but_garbage_on() { # N
	head -c 16777216 /dev/urandom >"$T/host$1/r0.img"
	both
}
both() {
	daemon 1
	daemon 2
	wait_for 20 connected r0
}
teardown() { teardown_scenario; }

@test "P1 a guest is refused until a person names the source; then everything is copied under its load" {
	both_but_garbage_on 2
	refused 1 5 "nobody has said whose data count; run 'backend-ctl primary --force r0'"
	refused 2 6 "nobody has said whose data count"
	says 1 '.disk.state == "Inconsistent" and .peer_disk.state == "Inconsistent"'
	words_say 1 'backend-ctl primary --force r0'
	words_say 2 'new-current-uuid --clear-bitmap r0'
	ctl 1 pause-sync r0
	ctl 1 -- --overwrite-data-of-peer primary r0
	wait_for 20 says 1 '.resync.state == "PausedSyncS"'
	start_guest 1 7
	guest 7 start mixed
	wait_for 10 writing 7 50
	words_say 1 'this is the only copy that can be used'
	ctl 1 resume-sync r0
	wait_for 60 in_sync
	finish 7
}

@test "P1 the source may be either node: also the one that does not hold the token" {
	both_but_garbage_on 1
	says 1 '.token.state == "held"'
	ctl 2 primary --force r0
	wait_for 60 in_sync
	start_guest 2 5
	guest 5 write 50
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "volumes that are the same need no first resync when a person says so" {
	both
	run ctl 1 new-current-uuid r0
	[ "$status" = 1 ]
	[[ "$output" == *"--clear-bitmap"* ]]
	run ctl 2 new-current-uuid --clear-bitmap r0
	[ "$status" = 11 ]
	[[ "$output" == *"dom0_1 holds the token: run"*"there"* ]]
	ctl 1 new-current-uuid --clear-bitmap r0
	wait_for 10 in_sync
	says 1 '.counters.resynced_bytes == 0 and .counters.found_same_bytes == 0'
	start_guest 1 5
	guest 5 write 50
	guest 5 verify
	guest_detach 5
	volumes_agree
	# Not twice: now there is something that could be lost.
	run ctl 1 new-current-uuid --clear-bitmap r0
	[ "$status" = 11 ]
}
