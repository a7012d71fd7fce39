#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# One frontend follows another on the same device: firmware and boot loader, then the kernel; a kernel after the one that crashed; a
# guest that is resumed in place. Each has a ring of its own.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

FE=device/vbd/51714
fe_state() { # N DOMID STATE: as whoever drives the frontend without a ring
	on "$1" xenstore-write "/local/domain/$2/$FE/state" "$3"
}
# As OVMF and GRUB do before they leave. Where a ring of several pages was before one of a single page, its keys have to go: nothing
# tells a backend, ours or xen-blkback, that they are old.
forget_ring() { # DOMID
	local key
	for key in ring-ref event-channel protocol ring-page-order ring-ref{0..15}; do
		on 1 xenstore-rm "/local/domain/$1/$FE/$key" 2>/dev/null || true
	done
}
# With requests in flight, and its ring still attached.
crashes_under_load() { # DOMID
	guest "$1" start mixed
	progress "$1" 30
	guest "$1" die
}
# The next kernel's xenbus resets what the last one left.
reset() { # DOMID STATE...
	local state wanted
	for state in "${@:2}"; do
		fe_state 1 "$1" "$state"
		wanted=$state
		[ "$state" != 1 ] || wanted=2
		wait_for 20 backend_state_is 1 "$1" "$wanted"	# what is in flight ends first
	done
}
works() { # DOMID
	guest "$1" verify
	guest "$1" mixed 100
	guest "$1" verify
}
ends_well() { # DOMID
	guest_detach "$1"
	volumes_agree
}

@test "P2 OVMF, pv-grub, NetBSD's loader and GRUB are followed by a kernel with a larger ring" {
	local style domid=5
	for style in jump4 netbsd grub; do
		echo "-- $style"
		start_guest 1 $domid r0 --style $style --ring-keys old --no-indirect
		guest $domid mixed 50
		guest $domid quit
		forget_ring $domid
		reset $domid 1
		next_frontend $domid --style linux --ring-keys new --ring-order 2 --depth 100
		works $domid
		ends_well $domid
		domid=$((domid + 1))
	done
}

@test "P2 a kernel is followed by a boot loader with a smaller ring, and that by a kernel, with requests in flight each time" {
	start_guest 1 5 r0 --ring-order 4 --ring-keys new --depth 64
	crashes_under_load 5
	reset 5 5 6
	forget_ring 5
	reset 5 1
	next_frontend 5 --style grub --ring-keys old --no-indirect
	works 5
	crashes_under_load 5
	reset 5 6 1
	next_frontend 5 --style linux --ring-order 1 --ring-keys new --depth 40
	works 5
	ends_well 5
}

@test "P3 ten kernels after each other, each with another ring, each with requests in flight" {
	local i
	start_guest 1 5
	for i in 0 1 2 3 4 3 2 1 0 4; do
		crashes_under_load 5
		if ((i % 2)); then reset 5 5 6 1; else reset 5 6 1; fi
		next_frontend 5 --ring-order "$i" --ring-keys new --depth 32
	done
	works 5
	ends_well 5
	no_incident
}

# The old ring is still there, with requests in it; nothing was closed.
@test "P4 at 4 a frontend goes to 3, or 4, with another ring: the old one is let go, and the new one is served" {
	local style
	start_guest 1 5
	for style in grub jump4 netbsd linux; do
		echo "-- $style"
		crashes_under_load 5
		next_frontend 5 --style $style --ring-keys new --ring-order 1
		works 5
		crashes_under_load 5
		next_frontend 5 --style $style --ring-keys new --ring-order 2
		works 5
	done
	ends_well 5
}

@test "P6 a daemon that finds 5 or 6 goes to 2 when the frontend begins anew: H28" {
	local state
	start_guest 1 5
	for state in 5 6; do
		echo "-- killed at $state"
		guest 5 mixed 50
		guest 5 die
		if [ $state = 5 ]; then reset 5 5; else reset 5 5 6; fi
		kill_daemon 1
		fe_state 1 5 1
		daemon 1
		wait_for 10 backend_state_is 1 5 2
		wait_for 20 connected
		next_frontend 5 --ring-order 1
		works 5
	done
	ends_well 5
}

@test "P6 a daemon is killed while one ring takes the other's place" {
	start_guest 1 5
	crashes_under_load 5
	kill_daemon 1
	forget_ring 5
	fe_state 1 5 6
	daemon 1
	wait_for 10 backend_state_is 1 5 6
	reset 5 1
	wait_for 20 connected
	next_frontend 5 --ring-order 2 --ring-keys new
	works 5
	ends_well 5
}

# xl asks for a fast resume always; other toolstacks may not: then the guest makes a new ring where the old one still is.
@test "P2 a guest that is resumed in place with a new ring goes on at its source, and its reservation is over" {
	start_guest 1 5
	guest 5 start mixed
	progress 5 30
	guest_suspend 5
	guest_receive 2 5 6
	says 1 '.reservation != null'
	guest 5 die
	domain 5 resume
	next_frontend 5 --state "$T/state.5"
	wait_for 10 says 1 '.reservation == null'
	wait_for 10 says 2 '.guest.attachment == "Stale"'
	guest_destroy 6
	progress 5 30
	guest_is_well 5
	ends_well 5
}

attaching() { # TIMES
	[ "$(logged 1 'WAIT -> ATTACHING')" = "$1" ]
}
@test "P3 what an earlier ring has in flight ends before the next ring is served" {
	apart pair_down 0
	hanging_pair 0 2:disk
	start_guest 1 5
	hangs 2:disk
	apart guest 5 write 64 >"$T/written" &
	wait_for 5 in_flight 5 16
	guest 5 die
	reset 5 5 6 1
	beside guest_start 5 --ring-order 1 --ring-keys new
	wait_for 10 attaching 2
	says 1 '.in_flight.peer > 0'
	backend_state_is 1 5 2
	goes_on 2:disk
	wait "$beside"
	works 5
	ends_well 5
}
