#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Daemons and hosts that die, orderly and otherwise.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

@test "P1 the partner's daemon killed 10 times at random moments costs the guest nothing but time" {
	local i
	loaded
	for i in 1 2 3 4 5 6 7 8 9 10; do
		progress 5 $((RANDOM % 40))
		kill_daemon 2
		daemon 2
		wait_for 20 connected r0
	done
	progress 5 50
	finish 5
}

@test "P1 the partner's host loses power and comes back: the guest goes on all the time" {
	loaded
	power_cut 2
	wait_for 10 alone 1
	progress 5 50
	power_on 2
	daemon 2
	wait_for 20 connected r0
	progress 5 50
	finish 5
}

@test "P7 the partner's daemon stopped in order: the guest goes on, and status says why it is alone" {
	loaded
	stop_daemon 2
	wait_for 10 alone 1
	words_say 1 'not connected with dom0_2 .*being stopped'
	progress 5 50
	daemon 2
	wait_for 20 connected r0
	progress 5 50
	finish 5
}

# Which slots were executed cannot be told from the ring alone. Not even when the metadata are new.
@test "P6 a guest of which nobody knows what is unanswered is never served again, whatever is done to the metadata" {
	local before
	loaded write
	kill_daemon 1
	on 1 rm /run/drbdx/minor-0.inflight
	daemon 1
	wait_for 20 words_say 1 'has to be destroyed \(xl destroy\)'
	wait_for 30 in_sync
	ctl 1 down r0
	ctl 2 down r0
	run ctl 1 create-md --assume-clean --force r0	# the guest is still there
	[ "$status" = 11 ]
	head -c 128M /dev/zero | dd of="$T/host1/meta.img" conv=notrunc status=none
	ctl 1 create-md --assume-clean --force r0
	ctl 2 create-md --assume-clean --force r0
	before=$(sha256sum <"$T/host1/r0.img")
	ctl 1 up r0
	ctl 2 up r0
	wait_for 20 connected r0
	stop_daemon 1		# also not by a daemon that starts now
	daemon 1
	wait_for 20 connected r0
	# Time enough for the claim that must not come: another guest's whole life.
	guest_destroy 5 || true
	start_guest 2 8
	guest 8 verify
	guest_detach 8
	[ "$(sha256sum <"$T/host1/r0.img")" = "$before" ]
	! grep -q 'ATTACHING.*guest vm-r0' "$T/host1/log/drbdxd.log" || false
	says 1 '.guest == null'
}

@test "P2 metadata in use are not overwritten while the daemon lives or after it was killed" {
	loaded
	run ctl 1 create-md --assume-clean --force r0
	[ "$status" = 11 ]
	progress 5 10
	kill_daemon 1
	# The flag of a guest in use is on the disk; the socket is gone.
	run ctl 1 create-md --assume-clean r0
	echo "$output"
	[ "$status" = 11 ]
}

@test "P7 a daemon without a guest stops in order within 5 s, and nothing need be copied" {
	local begin
	start_guest 1 5
	guest 5 write 50
	guest_detach 5
	begin=$(now_ms)
	stop_daemon 1 5
	stop_daemon 2 5
	echo "$(($(now_ms) - begin)) ms"
	daemon 1
	daemon 2
	wait_for 20 connected r0
	says 1 '.disk.state == "UpToDate" and .superblock_flags == ["consistent"] and .counters.resynced_bytes == 0'
	says 2 '.disk.state == "UpToDate"'
	start_guest 2 6
	guest 6 verify
}

@test "P6 a daemon restarted in order under its guest goes on with the same ring" {
	loaded
	stop_daemon 1 20
	daemon 1
	wait_for 20 connected r0
	says 1 '.disk.state == "UpToDate"'
	guest 5 status
	progress 5 50
	finish 5
}

@test "P6 a second daemon on the same host does not start" {
	loaded
	run on 1 "$BUILD/drbdxd"
	[ "$status" = 1 ]
	[[ "$output" == *"another drbdxd is running on this host"* ]]
	progress 5 20
	finish 5
}

xenstored_path() { "$XEN_SIM/host" tools; }
restart_xenstored() { # N
	on "$1" "$(xenstored_path)" --no-domain-init --no-access-log --config-file /run/xenstored/conf --pid-file /run/xenstored/pid
	on "$1" xenstore-write /local/domain/0/name Domain-0 /local/domain/0/domid 0
}

@test "P7 xenstored killed and restarted under load: the guest's I/O goes on" {
	start_guest 1 5
	waits_less_than 1000 mixed xenstored_gone_and_back another_pair
	volumes_agree
}
another_pair() {
	apart pair_down 0
	pair 1
	start_guest 1 5
}
xenstored_gone_and_back() {
	kill -9 "$(on 1 cat /run/xenstored/pid)"
	progress 5 50
	wait_for 10 words_say 1 'xenstored has not answered'
	apart restart_xenstored 1
	wait_for 20 words_say 1 'xenstored came back without its contents'
	progress 5 50
}

@test "P7 after a restart of xenstored a new guest can be attached" {
	kill -9 "$(on 1 cat /run/xenstored/pid)"
	apart restart_xenstored 1
	start_guest 1 6
	guest 6 write 50
	guest 6 verify
	guest_detach 6
	start_guest 2 7
	guest 7 verify
	guest_detach 7
	volumes_agree
}
