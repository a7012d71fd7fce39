#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What a guest sees of its disk, on one host and then on the other.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

# A guest on this kind of frontend writes, reads, connects again, and goes.
served() { # DOMID OPTIONS...
	echo "-- $*"
	start_guest 1 "$1" r0 "${@:2}"
	guest "$1" mixed 60
	guest "$1" reconnect
	guest "$1" mixed 30
	guest "$1" verify
	guest_detach "$1"
}

@test "P1 a guest's writes are on both volumes, byte for byte, as soon as they are answered" {
	start_guest 1 5
	guest 5 write 500
	guest 5 mixed 500
	guest 5 verify
	volumes_agree
	guest_detach 5
	volumes_agree
}

@test "P2 a guest that was shut down starts on the other host and finds its data" {
	start_guest 1 5
	guest 5 write 300
	guest_detach 5
	start_guest 2 6
	says 2 '.role == "Primary" and .token.state == "held"'
	says 1 '.role == "Secondary" and .token.state != "held"'
	guest 6 verify
	guest 6 mixed 300
	guest_destroy 6
	start_guest 1 7
	says 1 '.role == "Primary" and .token.state == "held"'
	guest 7 verify
	guest_detach 7
	volumes_agree
}

@test "P3 every ring size, order 0 to 4, is served" {
	served 10
	served 11 --ring-order 1 --depth 64
	served 12 --ring-order 2 --depth 100
	served 13 --ring-order 3 --depth 200 --segments 4
	served 14 --ring-order 4 --depth 512 --segments 4
	volumes_agree
}

@test "P4 all spellings of the ring's keys are understood" {
	served 10 --ring-keys old
	served 11 --ring-keys new
	served 12 --ring-keys order0
	served 13 --ring-order 2 --num-ring-pages
	volumes_agree
}

@test "P3 requests of 256 indirect segments, and of none, are served" {
	served 10 --segments 256 --depth 8
	served 11 --segments 33
	served 12 --no-indirect --depth 32
	volumes_agree
}

@test "P4 guests of every protocol are served, and one that names none as x86_32" {
	served 10 --protocol x86_64-abi
	served 11 --protocol x86_32-abi
	served 12 --protocol none --ring-order 2 --depth 100
	served 13 --protocol arm-abi --segments 33
	served 14 --protocol x86_32-abi --ring-order 4 --depth 512 --segments 4
	served 15 --protocol x86_32-abi --segments 256 --depth 8
	volumes_agree
}

# The same pages and the same port: a 64-bit kernel after a 32-bit boot loader.
@test "P2 a kernel of another protocol follows on the same device" {
	start_guest 1 5 r0 --protocol x86_32-abi
	guest 5 write 50
	guest 5 quit
	on 1 xenstore-write /local/domain/5/device/vbd/51714/state 1
	wait_for 5 backend_state_is 1 5 2
	next_frontend 5 --protocol x86_64-abi
	guest 5 verify
	guest 5 write 100
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P4 frontends that go through their states as Linux, OVMF, GRUB and NetBSD do are served" {
	served 10 --style linux
	served 11 --style jump4
	served 12 --style grub
	served 13 --style netbsd
	volumes_agree
}

@test "P2 a boot loader's frontend is followed by the kernel's on the same device" {
	start_guest 1 5 r0 --style grub --ring-keys old --no-indirect
	guest 5 read 50
	guest 5 quit
	on 1 xenstore-write /local/domain/5/device/vbd/51714/state 1	# as GRUB leaves it
	wait_for 5 backend_state_is 1 5 2
	next_frontend 5 --style linux --ring-order 2 --depth 64
	guest 5 write 200
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P1 flushes are answered, alone and among writes" {
	start_guest 1 5
	guest 5 flush 5
	guest 5 set flush 4
	guest 5 mixed 400 >"$T/result"
	[ "$(guest_value flushes <"$T/result")" -gt 20 ]
	says 1 '.counters.flushes > 25'
	guest 5 verify
	guest_detach 5
}

@test "P3 writes to the same few sectors, many at a time, leave both volumes equal" {
	start_guest 1 5 r0 --ring-order 2 --depth 64
	guest 5 set range 4096:64
	guest 5 write 1500
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P7 a forced detach under load ends within 10 s, and the disk starts on the other host" {
	local domid
	for domid in 5 6 7; do
		start_guest 1 $domid
		guest $domid start mixed
		wait_for 10 writing $domid 30
		guest_destroy $domid
	done
	start_guest 2 9
	guest 9 verify
	guest_detach 9
	volumes_agree
}

@test "P4 volumes with blocks of 4096 bytes: block devices, claimed exclusively, written in whole blocks" {
	local h dev
	ctl 1 down r0
	ctl 2 down r0
	for h in 1 2; do
		mv "$T/host$h/r0.img" "$T/host$h/r0.raw"
		dev=$(losetup --sector-size 4096 --find --show "$T/host$h/r0.raw") || skip "no loop devices of 4096-byte blocks"
		ln -s "$dev" "$T/host$h/r0.img"
		echo "$dev" >"$T/host$h/loop"
		ctl "$h" create-md --assume-clean --force r0
		ctl "$h" up r0
	done
	wait_for 20 connected r0
	for h in 1 2; do
		run mkfs.ext4 -q "$(cat "$T/host$h/loop")"	# a claimed disk is in use for everybody else
		echo "$output"
		[ "$status" != 0 ]
		[[ "$output" == *"in use"* ]]
		losetup -d "$(cat "$T/host$h/loop")"		# goes when the daemon lets go of it
	done
	says 1 '.disk.block_size_bytes == 4096'
	start_guest 1 5
	guest 5 mixed 300
	guest 5 verify
	guest_detach 5
	ctl 1 down r0
	ctl 2 down r0
	cmp "$T/host1/r0.raw" "$T/host2/r0.raw"
	[ "$(tr -d '\0' <"$T/host1/r0.raw" | head -c 1 | wc -c)" = 1 ]	# something was written at all
}
