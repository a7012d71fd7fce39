#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Disks that are only read: mode r, and CD-ROMs.
load scenario.bash
setup() {
	pair 1
	start_guest 1 5
	guest 5 write 200
	guest_detach 5
	volumes_agree
	sums >"$T/before"
}
teardown() { teardown_scenario; }

sums() { sha256sum "$T"/host[12]/r0.img; }
unchanged() { sums | diff "$T/before" -; }
reader() { # N DOMID [OPTION]: a guest that may only read
	ATTACH_OPTIONS=${3:---readonly} start_guest "$1" "$2" r0
}
# The disk is not taken from a guest that tries all the same.
cannot_write() { # DOMID
	! guest "$1" write 20 >"$T/result" || false
	cat "$T/result"
	jq -e '.errors == 20 and .unsupported == 0 and .writes == 0 and .connected and .violations == 0' "$T/result"
}
reads() { # DOMID
	guest "$1" read 50
	guest "$1" flush 5
	guest "$1" verify
}

@test "P4 a read-only disk: reads and flushes are answered, writes are refused, and neither volume changes" {
	reader 1 6
	[ "$(node 1 6 info)" = 4 ]
	reads 6
	cannot_write 6
	reads 6
	guest_detach 6
	unchanged
	start_guest 1 7		# nothing of that stays
	[ "$(node 1 7 info)" = 0 ]
	guest 7 write 20
	guest 7 verify
	guest_detach 7
}

@test "P4 a CD-ROM says so, and is read-only" {
	reader 1 6 --cdrom
	[ "$(node 1 6 info)" = 5 ]
	reads 6
	cannot_write 6
	guest_detach 6
	unchanged
}

@test "P2 a second reader is refused on either host, in words that say who has the disk, and that there is one at a time" {
	local words="in use on dom0_1 by guest vm-r0 .*; a disk has one guest at a time on both hosts, also one that is only read"
	reader 1 6
	ATTACH_OPTIONS=--readonly refused 1 7 "$words"
	ATTACH_OPTIONS=--readonly refused 2 8 "$words"
	reads 6
	guest_detach 6
	reader 2 9
	reads 9
	guest_detach 9
	unchanged
}

@test "P2 a guest that only reads migrates there and back, and is read-only there, too" {
	reader 1 6
	guest 6 start read
	progress 6 30
	ATTACH_OPTIONS=--readonly migrate 1 2 6
	[ "$(node 2 7 info)" = 4 ]
	progress 7 30
	guest 7 stop
	cannot_write 7
	ATTACH_OPTIONS=--readonly migrate 2 1 7
	reads 8
	guest_detach 8
	unchanged
}

@test "P6 after the daemon was killed a disk is read-only still" {
	reader 1 6
	guest 6 start read
	progress 6 30
	kill_daemon 1
	daemon 1
	progress 6 30
	guest 6 stop
	cannot_write 6
	guest_detach 6
	unchanged
}
