#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that hangs instead of failing (docs/DEGRADED.md, section 5). hanging-disk.c is that disk.
load scenario.bash
teardown() { teardown_scenario; }

power_cycled() { # HOST:PART...: what it has not done, it never will
	local which
	for which; do
		kill -9 "$(cat "$T/host${which%:*}/${which#*:}.pid")"
		on "${which%:*}" umount -l "$T/host${which%:*}/${which#*:}"
		serve "$which"
	done
}
diskless() { # N: and the two have met without its disk
	says "$1" '.disk.state == "Diskless" and .connection.state == "Connected"' && says $((3 - $1)) '.peer_disk.state == "Diskless"'
}
attached_again() { # N
	wait_for 20 says "$1" '.disk.hung == null'
	ctl "$1" attach r0
	wait_for 30 in_sync
}
stopped_load_waited() { # DOMID MILLISECONDS: at most
	guest "$1" stop >"$T/result"
	echo "longest gap between two answers: $(guest_value longest_gap_ms <"$T/result") ms"
	jq -e ".errors == 0 and .longest_gap_ms < $2" "$T/result"
}

@test "P1 the Primary's disk hangs: its guest goes on with the partner's copy, and what lands late is copied over" {
	hanging_pair 10 1:disk
	loaded
	hangs 1:disk
	wait_for 10 diskless 1
	progress 5 200
	says 1 '.disk.hung.requests > 0 and .frozen == null'
	words_say 1 'r0: .*[0-9]+ requests? of the detached disk .*/host1/disk (has|have) not ended for [0-9]+ s'
	stopped_load_waited 5 4000
	guest 5 verify
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	run ctl 1 attach r0
	[ "$status" = 11 ]
	[[ "$output" == *"of the detached disk $T/host1/disk ha"*" not ended for "*": wait for that, and see the kernel log (dmesg)"* ]]
	run ctl 1 down r0
	[ "$status" = 11 ]
	[[ "$output" == *"of the detached disk"*" not ended for "*": wait for that, and see the kernel log (dmesg)"* ]]
	goes_on 1:disk
	attached_again 1
	volumes_agree
}

@test "P1 the Secondary's disk hangs: the guest waits disk-timeout, and goes on" {
	hanging_pair 10 2:disk
	loaded
	hangs 2:disk
	wait_for 10 diskless 2
	progress 5 200
	stopped_load_waited 5 4000
	goes_on 2:disk
	attached_again 2
	guest 5 start mixed
	progress 5 50
	finish 5
}

@test "P1 disk and metadata hang together: the guest goes on without both" {
	hanging_pair 10 1:disk 1:meta
	loaded
	hangs 1:disk 1:meta
	wait_for 10 diskless 1
	progress 5 200
	stopped_load_waited 5 6000
	grep -q 'the metadata cannot be written either' "$T/host1/log/drbdxd.log"
	goes_on 1:disk 1:meta
	guest 5 verify
	guest_detach 5
	attached_again 1
	start_guest 1 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P1 the superblock's write alone hangs: that is a disk that hangs" {
	hanging_pair 10 1:meta
	start_guest 1 5
	hangs 1:meta
	guest 5 start mixed # its first request is not executed before that is written
	wait_for 10 diskless 1
	progress 5 200
	goes_on 1:meta
	guest_is_well 5
	guest_detach 5
	attached_again 1
	volumes_agree
}

@test "P1 the activity log's write alone hangs: that is a disk that hangs" {
	VOLUME_SIZE=256M hanging_pair 10 1:meta
	start_guest 1 5
	guest 5 write 1 # one extent is in the log; of the others, each first write waits for it
	hangs 1:meta
	guest 5 start mixed
	wait_for 10 diskless 1
	progress 5 200
	stopped_load_waited 5 6000
	goes_on 1:meta
	guest 5 verify
	guest_detach 5
	attached_again 1
	volumes_agree
}

@test "P1 after disk and metadata hung, the next daemon serves nothing from that disk before it has met the partner" {
	hanging_pair 10 1:disk 1:meta
	loaded
	hangs 1:disk 1:meta
	wait_for 10 diskless 1
	progress 5 100
	stop_daemon 1 15
	power_cycled 1:disk 1:meta # so the metadata say what they said before
	cut_link
	daemon 1
	wait_for 15 says 1 '.frozen.reason | test("it is not certain that this node has the token")'
	says 1 '.alone == null'
	join_link
	# Whatever the partner has that this disk lacks, this node's guest wrote: it goes on.
	wait_for 30 in_sync
	progress 5 50
	finish 5
}

@test "P1 the target's disk hangs under a resync: the source's guest goes on" {
	hanging_pair 10 2:disk
	start_guest 1 5
	guest 5 write 50
	ctl 1 pause-sync r0
	ctl 2 invalidate r0
	wait_for 20 says 1 '.resync.state == "PausedSyncS"'
	hangs 2:disk
	ctl 1 resume-sync r0
	wait_for 10 diskless 2
	guest 5 write 50
	goes_on 2:disk
	attached_again 2
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P7 the source's disk hangs under a resync: it is the only good one, and waited for" {
	hanging_pair 10 1:disk
	start_guest 1 5
	guest 5 write 50
	ctl 1 pause-sync r0
	ctl 2 invalidate r0
	wait_for 20 says 1 '.resync.state == "PausedSyncS"'
	hangs 1:disk
	guest 5 start mixed
	wait_for 10 says 1 '.frozen.reason == "the local disk hangs (disk-timeout), and the partner dom0_2 is not up to date: wait for either; see the kernel log (dmesg)"'
	says 1 '.disk.state == "UpToDate"'
	goes_on 1:disk
	progress 5 50
	ctl 1 resume-sync r0
	wait_for 30 in_sync
	finish 5
}

@test "P7 the only good disk hangs: the guest waits, in words, and goes on when it does" {
	hanging_pair 10 1:disk
	loaded
	cut_link
	wait_for 10 alone 1
	hangs 1:disk
	wait_for 10 says 1 '.frozen.reason == "the local disk hangs (disk-timeout), and the partner dom0_2 is not connected: wait for either; see the kernel log (dmesg)"'
	words_say 1 'a request has not ended for [0-9]+ s'
	run ctl 1 detach --force r0
	[ "$status" = 11 ]
	[[ "$output" == *"the partner dom0_2 is not connected, so the data on dom0_1 may be the only good ones"* ]]
	goes_on 1:disk
	progress 5 50
	says 1 '.disk.state == "UpToDate"'
	join_link
	wait_for 30 in_sync
	finish 5
}

@test "P7 without disk-timeout a disk that hangs is waited for, in words; 'detach --force' ends that" {
	hanging_pair 0 1:disk
	loaded
	hangs 1:disk
	wait_for 10 words_say 1 'the local disk: a request has not ended for [0-9]+ s'
	# An interrupted command is in nobody's way.
	run timeout 1 "$XEN_SIM/host" exec 1 "$T" "$BUILD/backend-ctl" detach r0
	[ "$status" = 124 ]
	ctl 1 detach --force r0
	wait_for 10 diskless 1
	progress 5 100
	guest_is_well 5
	goes_on 1:disk
	guest_detach 5
	attached_again 1
	volumes_agree
}

@test "P7 'detach' of a disk that hangs is answered in its time, and says what else there is" {
	hanging_pair 0 1:disk 1:meta
	loaded
	hangs 1:disk 1:meta
	wait_for 10 words_say 1 'has not ended for [0-9]+ s'
	run timeout 15 "$XEN_SIM/host" exec 1 "$T" "$BUILD/backend-ctl" detach r0
	[ "$status" = 20 ]
	[[ "$output" == *"go on without it with 'backend-ctl detach --force r0'"* ]]
	ctl 1 detach --force r0
	wait_for 20 diskless 1
	progress 5 50
	goes_on 1:disk 1:meta
	guest_is_well 5
	guest_detach 5
	attached_again 1
	volumes_agree
}

@test "P7 a daemon whose disk hangs stops in order within 10 s; the next one waits for the disk, and its guest is served on" {
	hanging_pair 10 1:disk
	loaded
	hangs 1:disk
	wait_for 10 diskless 1
	progress 5 50
	stop_daemon 1 10
	grep -q "r0: stopping, and [0-9]* requests at the disk $T/host1/disk, or its metadata, have not ended" "$T/host1/log/drbdxd.log"
	daemon 1
	wait_for 10 words_say 1 'r0: the local disk is opening: .*the last writes of an earlier drbdxd are not over'
	goes_on 1:disk
	wait_for 30 in_sync
	progress 5 50
	finish 5
}
