#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Daemons and hosts that die, orderly and otherwise.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

loaded() { # a guest on host 1 under load
	start_guest 1 5
	guest 5 start "${1:-mixed}"
	wait_for 10 writing 5 50
}

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

@test "P1 the partner's host loses power and comes back: the guest was frozen, and goes on" {
	loaded
	power_cut 2
	wait_for 10 frozen 1 r0
	power_on 2
	daemon 2
	wait_for 20 connected r0
	progress 5 50
	finish 5
}

@test "P7 the partner's daemon stopped in order freezes the guest in words, and it goes on" {
	loaded
	stop_daemon 2
	wait_for 10 says 1 '.frozen.reason | test("dom0_2 is not connected.*being stopped")'
	daemon 2
	wait_for 20 connected r0
	progress 5 50
	finish 5
}

@test "P2 the daemon on the guest's host killed under load: unclean, said on both hosts, and nobody may start" {
	loaded write
	kill_daemon 1
	guest_destroy 5 || true		# nobody answers libxl; it removes by force
	daemon 1
	wait_for 20 says 1 '.disk.state == "Unclean"'
	wait_for 20 says 2 '.peer_disk.state == "Unclean" or .disk.state == "Unclean" or .connection.state == "Refused"'
	words_say 1 'r0: the local disk is Unclean'
	words_say 2 "Unclean|unclean"
	refused 1 6 'r0 is unclean on dom0_1: this node died while it served a guest'
	refused 2 7 'unclean|not connected'
}

@test "P1 an unclean resource gets out as the words in status say, and not otherwise" {
	loaded write
	kill_daemon 1
	guest_destroy 5 || true
	daemon 1
	wait_for 20 says 1 '.disk.state == "Unclean"'
	words_say 1 'copy it over the other one'
	words_say 1 'create-md --assume-clean --force r0'
	# Up: refused.
	run ctl 1 create-md --assume-clean --force r0
	[ "$status" = 11 ]
	[[ "$output" == *"it is up; take it down first"* ]]
	ctl 1 down r0
	ctl 2 down r0
	# Down, but without being told that something is overwritten: refused, and the flag is still there.
	run ctl 1 create-md --assume-clean r0
	[ "$status" = 11 ]
	cp "$T/host1/r0.img" "$T/host2/r0.img"
	ctl 1 create-md --assume-clean --force r0
	ctl 2 create-md --assume-clean --force r0
	ctl 1 up r0
	ctl 2 up r0
	wait_for 20 connected r0
	start_guest 2 8
	guest 8 verify
	guest 8 write 50
	guest_detach 8
	volumes_agree
}

# The ring of a killed daemon cannot be gone on with: which slots were executed cannot be told from it. Not even when the metadata are new.
@test "P6 a guest whose daemon was killed is never served again, whatever is done to the metadata" {
	local before
	loaded write
	kill_daemon 1
	daemon 1
	wait_for 20 says 1 '.disk.state == "Unclean"'
	words_say 1 'has to be destroyed \(xl destroy\)'
	ctl 1 down r0
	ctl 2 down r0
	cp "$T/host1/r0.img" "$T/host2/r0.img"
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

@test "P1 the guest's host loses power: unclean when it is back" {
	loaded write
	power_cut 1
	wait_for 10 says 2 '.connection.state != "Connected"'
	refused 2 6 'the partner dom0_1 is not connected'
	power_on 1
	daemon 1
	wait_for 20 says 1 '.disk.state == "Unclean"'
	refused 1 7 'unclean on dom0_1'
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

@test "P7 a daemon without a guest stops in order within 5 s, and nothing is unclean" {
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
	says 1 '.disk.state == "UpToDate" and .superblock_flags == ["consistent"]'
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
	guest 5 start mixed
	wait_for 10 writing 5 50
	kill -9 "$(on 1 cat /run/xenstored/pid)"
	progress 5 50
	wait_for 10 words_say 1 'xenstored has not answered'
	apart restart_xenstored 1
	wait_for 20 words_say 1 'xenstored came back without its contents'
	progress 5 50
	guest 5 stop >"$T/result"
	guest_value longest_gap_ms <"$T/result"
	jq -e '.errors == 0 and .longest_gap_ms < 1000' "$T/result"
	guest 5 verify
	volumes_agree
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
