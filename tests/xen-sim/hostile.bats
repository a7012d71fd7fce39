#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A hostile guest on r0 harms only itself: the daemon lives, a neighbour on r1 waits no longer than without it and has no error, and
# what the daemon holds for the guest is given back. One pair for the whole file, a new hostile guest for each attack.
load scenario.bash

setup_file() {
	pair 2
	export T
	neighbour 1 5 r1
	start_guest 1 6 r0 --queues 4
	guest 6 hostile H1
	guest_destroy 6
	note_holdings 1
}
teardown_file() {
	pair_down 0
}
setup() { :; }
teardown() { end_attack; }

@test "P4 the list of attacks is the one tested here" {
	start_guest 1 9 r0
	guest 9 hostile list >"$T/list"
	guest_destroy 9
	jq -r '.attacks[]' "$T/list" | sort >"$T/known"
	grep -hoE '^@test .*: [A-Za-z0-9]+( [a-z]+)?" \{' "$XEN_SIM"/hostile*.bats | sed 's/.*: //; s/ [a-z]*" {//; s/" {//' | sort -u >"$T/tested"
	diff "$T/known" "$T/tested"
}
@test "P4 the request index jumps beyond the ring: H1 over" { attack 10 "H1 over"; }
@test "P4 the request index goes back: H1 back" { attack 11 "H1 back"; }
@test "P4 the request index is the largest there is: H1 max" { attack 12 "H1 max"; }
@test "P4 a guest that keeps a ring that was given up, and notifies: H1 stay" { attack 30 "H1 stay"; }
@test "P3 a slot that changes while it is read: H2" { attack 13 H2; }
@test "P4 what the slot of an answer shows: H3" { attack 14 H3; }
@test "P4 impossible numbers of segments: H4" { attack 15 H4; }
@test "P4 impossible bounds of segments: H5" { attack 16 H5; }
@test "P4 sectors that are not there: H6" { attack 17 H6; }
@test "P4 the same id many times: H7" { attack 18 H7; }
@test "P4 a storm of notifications: H8" { attack 19 H8; }
@test "P4 a storm of writes to xenstore: H9" { attack 20 H9; }
@test "P4 states and ring that jump about: H10" { attack 21 H10; }
@test "P3 data that change while they are written: H11" { attack 22 H11; }
@test "P4 grants that may not be used: H13" { attack 23 H13; }
@test "P4 nodes that are missing or nonsense: H16" { attack 24 H16; }
@test "P4 impossible sizes of the ring: H17" { attack 25 H17; }
@test "P4 queues that cannot be: H18" { attack 29 H18; }
@test "P4 bad indirect requests: H19" { attack 26 H19; }
@test "P4 bad barriers, and such as change while they wait: H21" { attack 28 H21; }
@test "P4 impossible discards: H22" { attack 29 H22; }
@test "P4 answers that nobody takes out of the ring: H25" { attack 31 H25; }
@test "P4 requests from before the port was there: H29" { attack 32 H29; }
@test "P4 a guest that wants to be notified now here, now there: H31" { attack 33 H31; }
@test "P4 operations that are not offered: ops" { attack 27 ops; }

@test "P4 attacks of a guest with four queues" {
	local domid=60 name
	for name in "H1 over" "H1 back" H2 H7 H8 "H8 one" H21 H22 H25; do
		attack $((domid++)) "$name" --queues 4
	done
}
@test "P4 states and nodes of a guest with four queues that cannot be" {
	local domid=70 name
	for name in H10 H16 H17 H18 H29; do
		attack $((domid++)) "$name" --queues 4
	done
}

# Its slots are of another size, and have their fields elsewhere.
@test "P4 the attacks on slots and segments, by a guest of x86_32" {
	local domid=40 name
	for name in "H1 over" H2 H3 H4 H5 H6 H7 H13 H19 H21 H22 ops; do
		attack $((domid++)) "$name" --protocol x86_32-abi
	done
}
@test "P4 the attacks on slots and segments, by a guest of arm" {
	local domid=80 name
	for name in H2 H4 H22; do
		attack $((domid++)) "$name" --protocol arm-abi
	done
}

@test "P3 after all attacks the neighbour reads what it wrote, and the volumes of both are equal" {
	guest 5 stop
	guest 5 verify
	guest_detach 5
	volumes_agree r1
	# r0's last sectors belong to the attacks: the model does not know them, but they are the same on both.
	compare_volumes r0
	check_volumes r0
}
