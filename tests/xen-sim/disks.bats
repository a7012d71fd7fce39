#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with two disks migrates: each disk has its own token, and they move together (docs/HANDOVER.md, R10).
load scenario.bash
setup() { pair 2; }
teardown() { teardown_scenario; }

two_disks() { # a guest on host 1 with r0 and r1
	GUEST_NAME=vm start_guest 1 5 r0
	GUEST_NAME=vm start_guest 1 5b r1
	guest 5 write 50
	guest 5b write 50
}

both_start() { # DOMID
	guest "$1" start mixed
	guest "$1b" start mixed
}

both_loaded() { # DOMID
	both_start "$1"
	progress "$1" 20
	progress "$1b" 20
}

both_say() { # N EXPRESSION
	says "$1" "$2" r0 && says "$1" "$2" r1
}

both_well() { # DOMID
	well "$1" r0
	well "$1b" r1
}

@test "P2 a guest with two disks migrates there and back under load" {
	two_disks
	both_loaded 5
	migrate 1 2 5
	both_say 2 '.role == "Primary"'
	progress 6 20
	progress 6b 20
	migrate 2 1 6
	both_say 1 '.role == "Primary"'
	both_well 7
}

@test "P2 one of two disks is refused: none stays reserved, and the guest goes on at its source with both" {
	two_disks
	both_loaded 5
	guest_suspend 5
	ctl 2 down r1
	! guest_receive 2 5 6 2>"$T/refused" || false
	cat "$T/refused"
	grep -q 'no resource r1 is up on this host' "$T/refused"
	wait_for 5 says 1 '.reservation == null' r0
	says 2 '.guest == null' r0
	ctl 2 up r1
	wait_for 20 connected r1
	guest_resume 5
	both_well 5
}

@test "P2 resumed at the source: one disk's request makes the copies of both stale" {
	two_disks
	guest_suspend 5
	guest_receive 2 5 6
	both_say 2 '.guest.attachment == "Reserved"'
	both_say 1 '.reservation != null'
	guest_resume 5
	guest 5 write 10
	wait_for 5 both_say 2 '.guest.attachment == "Stale"'
	words_say 2 'r1: .*this copy of the guest is stale: another disk of this guest: the guest was resumed on dom0_1'
	wait_for 5 both_say 1 '.reservation == null'
	guest_destroy 6
	both_loaded 5
	both_well 5
}

@test "P2 both disks handed over and neither used: both tokens come back" {
	two_disks
	guest_suspend 5
	guest_receive 2 5 6
	guest_unpause 6
	both_say 2 '.token.state == "held"'
	both_say 1 '.guest.attachment == "HandedOver"'
	guest_resume 5
	both_start 5
	guest_destroy 6
	wait_for 5 both_say 1 '.token.state == "held" and .guest.attachment == "Active"'
	progress 5 20
	progress 5b 20
	both_well 5
}

@test "P2 one of two disks used at the destination: neither token comes back" {
	two_disks
	guest_suspend 5
	guest_receive 2 5 6
	guest_unpause 6
	guest 6 write 10
	wait_for 5 both_say 1 '.guest.attachment == "Stale"'
	says 2 '.token.base == .token.epoch' r1
	guest_destroy 5
	both_loaded 6
	both_well 6
}
