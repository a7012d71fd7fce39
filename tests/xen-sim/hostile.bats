#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A hostile guest on r0 harms only itself: the daemon lives, a neighbour on r1 has no error, and what the daemon
# holds for the guest is given back. One pair for the whole file, a new hostile guest for each attack.
load scenario.bash

setup_file() {
	pair 2
	export T
	start_guest 1 5 r1
	guest 5 start mixed
}
teardown_file() {
	pair_down 0
}
setup() { :; }
# A failed attack must not make the next ones fail.
teardown() {
	[ -n "${BATS_TEST_COMPLETED-}" ] || [ ! -f "$T/attacker" ] || guest_destroy "$(cat "$T/attacker")" || true
}

# Without what the stand-in keeps for each domain that it has seen; that a page of a guest is still mapped is said by guest_destroy.
descriptors() { find "/proc/$(daemon_pid 1)/fd" -mindepth 1 -printf '%l\n' | grep -vcE '/xen-sim/(gnt|mem)\.'; }
mappings() { grep -vcE '\[heap\]|\[stack\]|\.so|/xen-sim/(gnt|mem)\.' "/proc/$(daemon_pid 1)/maps"; }
neighbour_errors() { guest 5 status | jq -e '.errors == 0 and .mismatches == 0 and .violations == 0 and .connected'; }
back_where_they_were() { [ "$(descriptors)" -le "$1" ] && [ "$(mappings)" -le "$2" ]; }

attack() { # DOMID NAME
	local pid fds maps
	pid=$(daemon_pid 1)
	fds=$(descriptors)
	maps=$(mappings)
	echo "$1" >"$T/attacker"
	# shellcheck disable=SC2086
	start_guest 1 "$1" r0 ${ATTACKER-}
	# shellcheck disable=SC2086
	GUEST_TIMEOUT=60000 guest "$1" hostile $2 >"$T/result" || "${3:-false}" "$1" || { cat "$T/result"; return 1; }
	cat "$T/result"
	# It served the guest again after the attack; the neighbour did not notice.
	guest "$1" verify >"$T/result" || { cat "$T/result"; return 1; }
	neighbour_errors
	guest_destroy "$1"
	kill -0 "$pid"
	wait_for 5 back_where_they_were "$fds" "$maps" || {
		echo "descriptors: $fds before, $(descriptors) after; mappings: $maps before, $(mappings) after"
		return 1
	}
	says 1 '.guest == null'
	connected r0
}

# After states written in a storm the frontend may take one of the storm's answers for that to its new start: it starts once more.
starts_once_more() { # DOMID
	jq -e '.message | test("no new connection after the attack")' "$T/result" && guest "$1" reconnect
}

@test "P4 the list of attacks is the one tested here" {
	start_guest 1 9 r0
	guest 9 hostile list >"$T/list"
	guest_destroy 9
	jq -r '.attacks[]' "$T/list" | sort >"$T/known"
	grep -oE '^@test .*: [A-Za-z0-9]+( [a-z]+)?" \{' "$BATS_TEST_FILENAME" | sed 's/.*: //; s/ [a-z]*" {//; s/" {//' | sort -u >"$T/tested"
	diff "$T/known" "$T/tested"
}
@test "P4 the request index jumps beyond the ring: H1 over" { attack 10 "H1 over"; }
@test "P4 the request index goes back: H1 back" { attack 11 "H1 back"; }
@test "P4 the request index is the largest there is: H1 max" { attack 12 "H1 max"; }
@test "P3 a slot that changes while it is read: H2" { attack 13 H2; }
@test "P4 what the slot of an answer shows: H3" { attack 14 H3; }
@test "P4 impossible numbers of segments: H4" { attack 15 H4; }
@test "P4 impossible bounds of segments: H5" { attack 16 H5; }
@test "P4 sectors that are not there: H6" { attack 17 H6; }
@test "P4 the same id many times: H7" { attack 18 H7; }
@test "P4 a storm of notifications: H8" { attack 19 H8; }
@test "P4 a storm of writes to xenstore: H9" { attack 20 H9; }
@test "P4 states and ring that jump about: H10" { attack 21 H10 starts_once_more; }
@test "P3 data that change while they are written: H11" { attack 22 H11; }
@test "P4 grants that may not be used: H13" { attack 23 H13; }
@test "P4 nodes that are missing or nonsense: H16" { attack 24 H16; }
@test "P4 impossible sizes of the ring: H17" { attack 25 H17; }
@test "P4 queues that cannot be: H18" { attack 29 H18; }
@test "P4 bad indirect requests: H19" { attack 26 H19; }
@test "P4 bad barriers, and such as change while they wait: H21" { attack 28 H21; }
@test "P4 impossible discards: H22" { attack 29 H22; }
@test "P4 operations that are not offered: ops" { attack 27 ops; }

@test "P4 attacks of a guest with four queues" {
	local domid=60 name
	for name in "H1 over" "H1 back" H2 H7 H8 H10 H21; do
		if [ "$name" = H10 ]; then
			ATTACKER="--queues 4" attack $((domid++)) "$name" starts_once_more
		else
			ATTACKER="--queues 4" attack $((domid++)) "$name"
		fi
	done
}

# Its slots are of another size, and have their fields elsewhere.
@test "P4 the attacks on slots and segments, by a guest of x86_32" {
	local domid=40 name
	for name in "H1 over" H2 H3 H4 H5 H6 H7 H13 H19 H21 ops; do
		ATTACKER="--protocol x86_32-abi" attack $((domid++)) "$name"
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
