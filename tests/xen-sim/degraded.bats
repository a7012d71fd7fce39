#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# One copy is enough, and how the two become the same again (docs/DEGRADED.md).
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

resynced_bytes() { ctl "$1" status r0 --json | jq '.resources[0].counters.resynced_bytes'; }

recreated() { # N: its metadata are lost
	ctl "$1" down r0
	ctl "$1" wipe-md --force r0
	ctl "$1" create-md r0
	ctl "$1" up r0
}

@test "P1 the partner's daemon killed under a writing guest: it goes on within 3 s, and what differs is copied afterwards" {
	start_guest 1 5
	waits_less_than 3000 write partner_killed partner_started
	partner_started
	guest 5 verify
	guest_detach 5
	volumes_agree
}
partner_killed() {
	kill_daemon 2
	wait_for 10 alone 1
	progress 5 100
	words_say 1 'r0: the guest goes on without dom0_2 for [0-9]+ s \(generation [0-9a-f]{16}\); [0-9]+ [KM]iB are out of sync'
	says 1 '.frozen == null and .disk.state == "UpToDate" and .peer_disk.state == "DUnknown" and .out_of_sync.bytes > 0'
}
partner_started() {
	daemon 2
	wait_for 30 in_sync
	says 1 '.alone == null'
}

@test "P1 a cut link costs the guest one time-out, and joining it costs nothing" {
	start_guest 1 5
	waits_less_than 3000 mixed cut_and_joined :
	guest_detach 5
	volumes_agree
}
cut_and_joined() {
	cut_link
	wait_for 10 alone 1
	progress 5 100
	join_link
	wait_for 30 in_sync
	progress 5 50
}

@test "P1 the resync goes on under the guest's load, however often it is interrupted" {
	local i
	loaded
	for i in 1 2 3 4 5; do
		cut_link
		wait_for 10 alone 1
		progress 5 30
		join_link
		wait_for 20 connected r0
		kill_daemon 2
		daemon 2
		wait_for 20 connected r0
	done
	wait_for 30 in_sync
	finish 5
}

@test "P1 a guest that is started without the partner, where that is certain to be right" {
	start_guest 1 5
	guest 5 write 20
	guest_detach 5
	cut_link
	wait_for 10 says 1 '.connection.state == "Connecting"'
	start_guest 1 6
	guest 6 verify
	guest 6 write 100
	wait_for 5 alone 1
	join_link
	wait_for 30 in_sync
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P2 the other host refuses a guest while the partner is away, and says what a person can do" {
	start_guest 1 5
	guest 5 write 20
	guest_detach 5
	power_cut 1
	wait_for 10 says 2 '.connection.state == "Connecting"'
	refused 2 6 "the partner dom0_1 is not connected .*'backend-ctl primary --force r0'"
	words_say 2 'backend-ctl primary --force r0'
	ctl 2 primary --force r0
	says 2 '.superblock_flags | index("forced")'
	words_say 2 'was forced by a person'
	start_guest 2 6
	guest 6 verify
	guest 6 write 100
	power_on 1
	daemon 1
	wait_for 30 in_sync
	says 1 '.role == "Secondary" and .token.state != "held"'
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P2 a promotion while the partner's data are good and at hand is refused" {
	run ctl 2 primary --force r0
	[ "$status" = 11 ]
	[[ "$output" == *"dom0_1 is connected and holds the token"* ]]
	run ctl 1 -- --overwrite-data-of-peer primary r0	# where it is, there is nothing to be forced
	[ "$status" = 11 ]
	[[ "$output" == *"dom0_2 is connected and up to date"* ]]
	run ctl 2 primary r0
	[ "$status" = 0 ]
	[[ "$output" == *"the role follows the guest"* ]]
}

@test "P2 both went on alone: split brain is said on both hosts, and one throws its changes away when told" {
	start_guest 1 5
	guest 5 write 20
	guest_detach 5
	cut_link
	wait_for 10 says 1 '.connection.state == "Connecting"'
	wait_for 10 says 2 '.connection.state == "Connecting"'
	start_guest 1 6
	guest 6 write 50
	wait_for 5 alone 1
	guest_detach 6
	ctl 2 primary --force r0
	GUEST_MODEL=$T/model.other start_guest 2 7
	guest 7 write 50
	guest_detach 7
	join_link
	wait_for 20 says 1 '.connection.state == "StandAlone"'
	wait_for 20 says 2 '.connection.state == "StandAlone"'
	words_say 1 'split brain|discard-my-data'
	words_say 2 'split brain|discard-my-data'
	ctl 2 connect --discard-my-data r0
	wait_for 30 in_sync
	start_guest 2 8
	guest 8 verify
	guest_detach 8
	volumes_agree
}

@test "P1 the guest's host loses power: the guest starts on the survivor after a word, and the other one follows" {
	loaded write
	power_cut 1
	wait_for 10 says 2 '.connection.state == "Connecting"'
	refused 2 6 'primary --force r0'
	ctl 2 primary --force r0
	start_guest 2 7
	guest 7 verify
	guest 7 start mixed
	wait_for 10 writing 7 50
	power_on 1
	daemon 1
	wait_for 30 in_sync
	finish 7
}

@test "P1 the guest's daemon is killed: only what it was writing to is copied" {
	local bytes
	loaded write
	kill_daemon 1
	guest_destroy 5 || true		# nobody answers libxl; it removes by force
	daemon 1
	wait_for 30 in_sync
	bytes=$(($(resynced_bytes 1) + $(resynced_bytes 2)))
	echo "$bytes bytes copied"
	[ "$bytes" -gt 0 ]
	[ "$bytes" -le $((16 * 1048576)) ]
	says 1 '.superblock_flags | index("crashed") | not'
	start_guest 2 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P1 both hosts lose power under load: they meet again, and the guest starts on either" {
	loaded write
	power_cut 1
	power_cut 2
	power_on 1
	power_on 2
	daemon 1
	daemon 2
	wait_for 30 in_sync
	start_guest 2 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P1 new metadata on the partner: everything is copied, under the guest's load" {
	loaded
	recreated 2
	wait_for 30 in_sync
	[ "$(resynced_bytes 1)" -gt 0 ] || says 1 '.counters.found_same_bytes > 0'
	finish 5
}

@test "P1 the target of a resync says what it is worth, and a guest that is started there reads the right blocks" {
	start_guest 1 5
	guest 5 write 200
	guest_detach 5
	ctl 1 pause-sync r0
	recreated 2
	wait_for 20 says 2 '.resync.state == "PausedSyncT" or .resync.state == "SyncTarget"'
	words_say 2 'could not be used'
	start_guest 2 6
	guest 6 verify
	guest 6 write 50
	ctl 1 resume-sync r0
	wait_for 30 in_sync
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P1 a partner's data that are declared worthless are copied anew" {
	loaded
	ctl 2 invalidate r0
	wait_for 30 in_sync
	finish 5
}

@test "P1 a node's own data are declared worthless under its guest: it reads the partner's meanwhile" {
	loaded
	ctl 1 invalidate r0
	wait_for 30 in_sync
	finish 5
}

@test "P7 I/O that is suspended waits in words, and goes on" {
	loaded
	ctl 1 suspend-io r0
	wait_for 5 says 1 ".frozen.reason | test(\"suspend-io.*resume-io r0\")"
	guest 5 status | guest_value errors | grep -qx 0
	ctl 1 resume-io r0
	progress 5 50
	finish 5
}

@test "P1 a disk that is detached under its guest is opened again when the guest has left, and follows" {
	loaded
	ctl 1 detach r0
	wait_for 10 says 1 '.disk.state == "Diskless" and .connection.state == "Connected"'
	wait_for 10 says 2 '.peer_disk.state == "Diskless"'
	words_say 1 'backend-ctl attach r0'
	progress 5 50
	run ctl 1 attach r0
	[ "$status" = 11 ]
	[[ "$output" == *"guest vm-r0"*"systemctl restart drbdxd"* ]]
	guest_is_well 5
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	ctl 1 attach r0
	wait_for 30 in_sync
	volumes_agree
}

@test "P6 a daemon that is restarted opens a detached disk under its guest" {
	loaded
	ctl 1 detach r0
	wait_for 10 says 1 '.disk.state == "Diskless" and .connection.state == "Connected"'
	progress 5 20
	stop_daemon 1 20
	daemon 1
	wait_for 30 in_sync
	progress 5 20
	finish 5
}

@test "P6 a daemon that is restarted in order goes on alone, without the partner, under its guest" {
	loaded
	cut_link
	wait_for 10 alone 1
	progress 5 20
	stop_daemon 1 20
	daemon 1
	progress 5 20
	join_link
	wait_for 30 in_sync
	finish 5
}

@test "al-extents of the file is what the log has from the next start on" {
	says 1 '.activity_log.extents == 1237'
	ctl 1 down r0
	sed -i 's|net {|disk { al-extents 257; } net {|' "$T/host1/etc/drbdx.d/r0.res"
	ctl 1 up r0
	wait_for 20 connected r0
	says 1 '.activity_log.extents == 257'
	start_guest 1 5
	guest 5 write 100
	says 1 '.activity_log.used > 0'
	guest 5 verify
}

@test "on-no-data-accessible: without a disk and without the partner the guest is frozen, and with io-error it gets errors until a disk is back" {
	loaded write
	ctl 1 detach r0
	wait_for 10 says 1 '.disk.state == "Diskless" and .connection.state == "Connected"'
	cut_link
	wait_for 10 says 1 '.frozen.reason // "" | test("the local disk has failed or is detached, and the partner dom0_2 is not connected")'
	guest 5 status | guest_value errors | grep -qx 0
	join_link
	progress 5 20
	guest_is_well 5
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	ctl 1 down r0
	sed -i 's|net {|options { on-no-data-accessible io-error; } net {|' "$T/host1/etc/drbdx.d/r0.res"
	ctl 1 up r0
	wait_for 20 in_sync
	start_guest 1 6
	guest 6 write 20
	ctl 1 detach r0
	wait_for 10 says 1 '.disk.state == "Diskless" and .connection.state == "Connected"'
	guest 6 write 20
	cut_link
	wait_for 10 says 1 '.failing.reason // "" | test("the local disk has failed or is detached, and the partner dom0_2 is not connected")'
	says 1 '.frozen == null'
	words_say 1 "I/O has been ending with errors for .*the local disk has failed"
	run guest 6 write 20
	[ "$(guest 6 status | guest_value errors)" -ge 1 ]
	join_link
	wait_for 20 connected r0
	says 1 '.failing == null'
	guest 6 verify
	guest_detach 6
	wait_for 10 says 1 '.guest == null'
	ctl 1 attach r0
	volumes_agree
}

@test "rr-conflict call-pri-lost: a Primary whose data would lose is told so, goes on, and follows when its guest is gone" {
	local h
	ctl 1 down r0
	for h in 1 2; do
		# shellcheck disable=SC2016
		sed -i 's|net {|handlers { pri-lost "echo called >>$(dirname $DRBD_LL_DISK)/pri-lost"; } net { rr-conflict call-pri-lost;|' "$T/host$h/etc/drbdx.d/r0.res"
	done
	ctl 1 up r0
	ctl 2 down r0
	ctl 2 up r0
	wait_for 20 in_sync
	start_guest 1 5
	guest 5 write 50
	cut_link
	wait_for 10 says 1 '.connection.state == "Connecting"'
	wait_for 10 says 2 '.connection.state == "Connecting"'
	ctl 2 primary --force r0
	join_link
	wait_for 20 says 1 '.connection.state == "StandAlone" and (.refused | test("shut it down"))'
	wait_for 10 grep -qx called "$T/host1/pri-lost"
	[ ! -e "$T/host2/pri-lost" ]
	guest 5 verify
	guest_detach 5
	wait_for 30 in_sync
	says 1 '.token.state == "none"'
	start_guest 2 6
	guest 6 verify
	guest_detach 6
}

@test "P7 a guest is started where the partner has no disk" {
	ctl 2 detach r0
	wait_for 10 says 1 '.peer_disk.state == "Diskless"'
	start_guest 1 6
	guest 6 write 20
	guest 6 verify
	guest_detach 6
	ctl 2 attach r0
	wait_for 30 in_sync
	volumes_agree
}
