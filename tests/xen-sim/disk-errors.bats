#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk fails, is given up, and comes back (docs/DEGRADED.md, section 4): a guest sees no error as long as one copy can be used.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

diskless() { # N: it says so, and so does the other one
	wait_for 10 says "$1" '.disk.state == "Diskless" and .connection.state == "Connected"'
	wait_for 10 says $((3 - $1)) '.peer_disk.state == "Diskless"'
}
generation() { value_of "$1" .generations.current; }
idle_guest() {
	start_guest 1 5
	guest 5 write 20
}
done_with() { # DOMID
	guest "$1" verify
	guest_detach "$1"
	volumes_agree
}

@test "P1 a write fault on the Secondary: its disk is given up, and the guest notices nothing" {
	loaded
	disk_fails 2 write
	diskless 2
	words_say 2 'backend-ctl attach r0'
	progress 5 50
	says 1 '.disk.state == "UpToDate" and .frozen == null'
	disk_heals 2
	ctl 2 attach r0
	wait_for 20 in_sync
	finish 5
}

@test "P1 a write fault under the guest: its disk is given up, and its I/O goes on through the partner" {
	loaded
	disk_fails 1 write
	diskless 1
	progress 5 50
	says 1 '.frozen == null'
	disk_heals 1
	guest_is_well 5
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	ctl 1 attach r0
	wait_for 20 in_sync
	volumes_agree
}

@test "P1 a flush that fails under the guest: its disk is given up, and the flush is the partner's" {
	idle_guest
	disk_fails 1 flush
	guest 5 flush 2
	diskless 1
	guest 5 write 10
	guest 5 flush 2
	guest 5 verify
}

@test "P1 both disks fail: the guest waits in words, never sees an error, and goes on when one works again" {
	loaded
	disk_fails 2 write
	diskless 2
	disk_fails 1 write
	wait_for 10 says 1 '.disk.state == "Failed" and .disk.error != null'
	words_say 1 'the local disk fails requests|trying again|failed'
	disk_heals 1
	progress 5 50
	disk_heals 2
	ctl 2 attach r0
	wait_for 20 in_sync
	finish 5
}

@test "P1 a read fault: the partner's copy is read, those blocks are written anew, and only those" {
	idle_guest
	touch_sectors 5 800 64
	disk_fails 1 read 816 8		# one block in the middle
	guest 5 set range 800:64
	guest 5 verify
	wait_for 10 says 1 '.disk.state == "Inconsistent" or .counters.resynced_bytes > 0'
	disk_heals 1
	wait_for 20 in_sync
	[ "$(copied)" -le $((64 * 512)) ]
	[ "$(copied)" -ge 4096 ]
	[ "$(logged 1 'the partner.s copy is read')" -gt 0 ]
	guest 5 set range 0:30720
	done_with 5
}

@test "P1 a read fault while the partner is away: the guest waits, and is served when the partner is back" {
	idle_guest
	ctl 2 down r0
	disk_fails 1 read
	beside guest 5 read 3 >"$T/read"
	wait_for 10 says 1 '.disk.state == "Failed"'
	ctl 2 up r0
	wait "$beside"
	grep -q '"ok":true' "$T/read"
	disk_heals 1
	wait_for 20 in_sync
	done_with 5
}

@test "P1 a disk that is given up and taken back without a write in between: nothing is copied" {
	idle_guest
	ctl 2 detach r0
	diskless 2
	guest 5 read 5
	ctl 2 attach r0
	wait_for 20 in_sync
	[ "$(copied)" = 0 ]
	done_with 5
}

@test "P1 a disk that is given up and taken back gets exactly what was written meanwhile: 4 KiB, then 12 KiB more" {
	idle_guest
	ctl 2 detach r0
	diskless 2
	touch_sectors 5 801 1
	out_of_sync_is 1 4
	ctl 2 attach r0
	wait_for 20 in_sync
	[ "$(copied)" = 4096 ]
	ctl 2 detach r0
	diskless 2
	touch_sectors 5 8000 24
	out_of_sync_is 1 12
	ctl 2 attach r0
	wait_for 20 in_sync
	[ "$(copied)" = $((4096 + 12288)) ]
	done_with 5
}

@test "P1 the guest's own disk is given up and taken back gets exactly what was written through the partner" {
	idle_guest
	ctl 1 detach r0
	diskless 1
	touch_sectors 5 801 1
	touch_sectors 5 8000 24
	out_of_sync_is 2 16
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	ctl 1 attach r0
	wait_for 20 in_sync
	[ "$(copied)" = 16384 ]
	start_guest 1 6
	done_with 6
}

@test "P1 a disk that comes back with new metadata gets everything" {
	idle_guest
	ctl 2 detach r0
	diskless 2
	touch_sectors 5 801 1
	ctl 2 down r0
	ctl 2 wipe-md --force r0
	ctl 2 create-md r0
	ctl 1 pause-sync r0
	ctl 2 up r0
	wait_for 20 says 1 '.peer_disk.state == "Inconsistent" and .out_of_sync.bytes == 16777216'
	ctl 1 resume-sync r0
	wait_for 30 in_sync
	[ $(($(copied) + $(found_same))) = 16777216 ]
	done_with 5
}

# A target of a resync, with marks, whose disk goes and comes while the guest writes elsewhere.
@test "P1 a disk that was not up to date when it was given up comes back with its old marks and the new ones" {
	idle_guest
	ctl 2 down r0
	touch_sectors 5 800 8
	ctl 1 pause-sync r0
	ctl 2 up r0
	wait_for 20 says 2 '.resync.state == "PausedSyncT"'
	ctl 2 detach r0
	diskless 2
	touch_sectors 5 16000 8
	ctl 2 attach r0
	wait_for 20 says 1 '.resync.state == "PausedSyncS" and .out_of_sync.bytes == 8192'
	ctl 1 resume-sync r0
	wait_for 20 in_sync
	[ "$(copied)" = 8192 ]
	done_with 5
}

@test "P1 the first thing that goes to the partner's disk alone has a generation of its own" {
	local before
	idle_guest
	before=$(generation 1)
	ctl 1 detach r0
	diskless 1
	guest 5 write 1
	[ "$(generation 1)" = "$before" ] # what is on that disk has not changed
	[ "$(generation 2)" != "$before" ]
	says 2 ".generations.bitmap == $before"
}

@test "P1 the only good copy is not given up: without the partner, and beside a partner without a disk" {
	idle_guest
	ctl 2 detach r0
	diskless 2
	run ctl 1 detach r0
	[ "$status" = 11 ]
	[[ "$output" == *"without a disk"*"may be the only good ones"* ]]
	ctl 2 attach r0
	wait_for 20 in_sync
	ctl 2 down r0
	run ctl 1 detach r0
	[ "$status" = 11 ]
	[[ "$output" == *"not connected"*"may be the only good ones"* ]]
	guest 5 write 10
	guest 5 verify
}

# Each may still believe in the other's: then the holder's is taken back, and who asked for it is told so.
@test "P1 both disks are given up at the same time: one of the two is refused, and the guest goes on" {
	local one first second
	loaded
	for _ in 1 2 3 4 5; do
		first=0 second=0
		ctl 1 detach r0 >"$T/first" 2>&1 3>&- &
		one=$!
		ctl 2 detach r0 >"$T/second" 2>&1 3>&- || second=$?
		wait $one || first=$?
		wait_for 10 one_disk
		progress 5 10
		if says 1 '.disk.state == "UpToDate"'; then
			[ "$first" = 11 ]
			[ "$second" = 0 ]
			grep -q 'may be the only good one' "$T/first"
		else
			[ "$first" = 0 ]
			[ "$second" = 11 ]
			grep -q 'may be the only good one' "$T/second"
			break	# comes back when the guest has left
		fi
		ctl 2 attach r0
		wait_for 20 in_sync
	done
	guest_is_well 5
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	ctl 1 attach r0
	ctl 2 attach r0
	wait_for 20 in_sync
	volumes_agree
}
one_disk() {
	says 1 '(.disk.state == "UpToDate") != (.peer_disk.state == "UpToDate") and .connection.state == "Connected"'
}

# Metadata and disk are on one failing device only with internal metadata; here the volume became shorter than was agreed.
@test "P4 a partner whose volume has become smaller is refused in words on both nodes, and the guest goes on" {
	idle_guest
	ctl 2 down r0
	truncate -s 8M "$T/host2/r0.img"
	ctl 2 up r0
	wait_for 10 words_say 1 'the disk on dom0_2 offers less than is needed \(16384 of 32768 sectors'
	wait_for 10 words_say 2 'the disk on dom0_2 offers less than is needed'
	guest 5 write 20
	wait_for 5 alone 1
	ctl 2 down r0
	truncate -s 16M "$T/host2/r0.img"
	ctl 2 create-md --force r0
	ctl 2 up r0
	wait_for 30 in_sync
	done_with 5
}
