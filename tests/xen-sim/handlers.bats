#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The handlers in hotplug/handlers, between stand-ins for LVM and ssh. They are run as drbdxd runs them: /bin/sh, nothing but DRBD's environment.
bats_require_minimum_version 1.5.0

HANDLERS=$BATS_TEST_DIRNAME/../../hotplug/handlers
MIB=1048576

setup() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/handlers.XXXXXX")
	mkdir -p "$T/bin" "$T/vg0" "$T/free"
	: >"$T/calls"
	fake_lvm
	echo $((1000 * MIB)) >"$T/free/vg0"
	volume disk $((1000 * MIB))
}

teardown() { rm -rf "$T"; }

# A volume is a folder with one file for each field that lvs prints.
volume() { # NAME SIZE [FIELD=VALUE...]
	local field
	mkdir -p "$T/vg0/$1"
	for field in vg_name=vg0 "lv_name=$1" "lv_size=$2" pool_lv= origin= lv_attr=-wi-a----- data_percent= "${@:3}"; do
		echo "${field#*=}" >"$T/vg0/$1/${field%%=*}"
	done
}

fake_lvm() {
	cat >"$T/bin/lvs" <<-EOF
		#!/bin/sh
		# lvs --noheadings --nosuffix --units b --separator , -o FIELDS VOLUME
		[ "\$1 \$2 \$3 \$4 \$5 \$6 \$7" = "--noheadings --nosuffix --units b --separator , -o" ] || exit 3
		volume=$T/\${9#/dev/}
		[ -d "\$volume" ] || { echo "Failed to find logical volume" >&2; exit 5; }
		line=
		for field in \$(echo "\$8" | tr , ' '); do
			[ "\$field" = vg_free ] && value=\$(cat "$T/free/vg0") || value=\$(cat "\$volume/\$field") || exit 3
			line="\$line,\$value"
		done
		echo "  \${line#,}"
	EOF
	cat >"$T/bin/lvcreate" <<-EOF
		#!/bin/sh
		# lvcreate --yes --snapshot --name NAME (--size Nb | --setactivationskip n) VG/LV
		echo "lvcreate \$*" >>"$T/calls"
		[ ! -e "$T/lvcreate-fails" ] || { echo "device-mapper: suspend ioctl failed" >&2; exit 5; }
		[ "\$1 \$2 \$3" = "--yes --snapshot --name" ] || exit 3
		mkdir "$T/vg0/\$4" || exit 5
		echo "\${7#vg0/}" >"$T/vg0/\$4/origin"
		echo swi-a-s--- >"$T/vg0/\$4/lv_attr"
	EOF
	cat >"$T/bin/lvremove" <<-EOF
		#!/bin/sh
		echo "lvremove \$*" >>"$T/calls"
		[ ! -e "$T/lvremove-fails" ] || exit 5
		[ "\$1" = --yes ] && rm -r "$T/\$2"
	EOF
	chmod +x "$T"/bin/*
}

handler() { # NAME [ARGUMENT...]
	env -i HOME=/ TERM=linux PATH="$T/bin:/sbin:/usr/sbin:/bin:/usr/bin" DRBD_RESOURCE=r0 DRBD_LL_DISK="${DISKS-/dev/vg0/disk}" \
		DRBD_PEER=dom0_2 DRBD_PEER_ADDRESS=192.0.2.2 DRBD_PEER_AF=ipv4 /bin/sh -c '"$@"' sh "$HANDLERS/$1" "${@:2}"
}

called() { # CALL...: exactly these, in this order
	diff <(printf '%s\n' "$@") "$T/calls"
}

says() { # TEXT
	[[ "$output" == *"$1"* ]] || { echo "not said: $1"; echo "$output"; return 1; }
}

# --- before-resync-target

@test "a thick volume gets a snapshot with a fifth of its size" {
	run -0 handler before-resync-target
	says "vg0/disk-before-resync keeps /dev/vg0/disk as it was before the resync"
	called "lvcreate --yes --snapshot --name disk-before-resync --size $((200 * MIB))b vg0/disk"
}

@test "the reserve is a percentage or a size" {
	for reserve in 50%=500 100%=1000 300M=300 1G=1024 102400k=100 007M=7; do
		rm -rf "$T/vg0/disk-before-resync" "$T/calls"
		echo $((2000 * MIB)) >"$T/free/vg0"
		run -0 handler before-resync-target --reserve "${reserve%=*}"
		called "lvcreate --yes --snapshot --name disk-before-resync --size $((${reserve#*=} * MIB))b vg0/disk"
	done
}

@test "a reserve that is none is refused before anything is looked at" {
	for reserve in "" 0 0% 101% 10X -5 1.5G %; do
		run -1 handler before-resync-target --reserve "$reserve" --continue
		says "neither a percentage nor a size"
	done
	run -1 handler before-resync-target --reserve
	says usage
	run -1 handler before-resync-target --other
	says usage
	[ ! -s "$T/calls" ]
}

@test "without room in the volume group the resync is refused in words" {
	echo $((200 * MIB - 1)) >"$T/free/vg0"
	run -1 handler before-resync-target
	says "no room for a snapshot of vg0/disk: it needs 200 MiB, and the volume group vg0 has 199 MiB left"
	says "the resync of r0 must not begin"
	[ ! -s "$T/calls" ]
	echo $((200 * MIB)) >"$T/free/vg0"
	run -0 handler before-resync-target
}

@test "without room but with --continue the resync begins, and it is said what that means" {
	echo 0 >"$T/free/vg0"
	run -0 handler before-resync-target --continue
	says "no room for a snapshot"
	says "begins without a snapshot: until it has ended, losing the source loses the data"
}

@test "a thin volume gets a thin snapshot if its pool has room" {
	echo 0 >"$T/free/vg0"
	volume disk $((1000 * MIB)) pool_lv=pool
	volume pool $((2000 * MIB)) data_percent=89.99
	run -0 handler before-resync-target
	called "lvcreate --yes --snapshot --name disk-before-resync --setactivationskip n vg0/disk"
}

@test "a thin pool that is too full refuses the resync in words" {
	volume disk $((1000 * MIB)) pool_lv=pool
	volume pool $((2000 * MIB)) data_percent=90.01
	run -1 handler before-resync-target
	says "it needs 200 MiB, and the thin pool vg0/pool has 199 MiB left"
	rm -r "$T/vg0/pool"
	run -1 handler before-resync-target
	says "the thin pool vg0/pool cannot be looked at"
	[ ! -s "$T/calls" ]
}

@test "the snapshot of an interrupted resync is kept, for it is the last good copy" {
	run -0 handler before-resync-target
	run -0 handler before-resync-target
	says "taken before an earlier resync that did not end, is kept"
	[ "$(wc -l <"$T/calls")" = 1 ]
}

@test "the snapshot of an interrupted resync that has run full protects nothing" {
	volume disk-before-resync 1 origin=disk lv_attr=swi-I-s---
	run -1 handler before-resync-target
	says "has run full and holds nothing any more; 'lvremove vg0/disk-before-resync' removes it"
	run -0 handler before-resync-target --continue
	[ ! -s "$T/calls" ]
}

@test "a disk that is no LVM volume is refused in words" {
	DISKS=/dev/sdb run -1 handler before-resync-target
	says "/dev/sdb is no LVM volume"
	DISKS=/dev/sdb run -0 handler before-resync-target --continue
}

@test "a snapshot that LVM refuses refuses the resync, with LVM's words" {
	touch "$T/lvcreate-fails"
	run -1 handler before-resync-target
	says "device-mapper: suspend ioctl failed"
	says "no snapshot of vg0/disk could be taken"
}

@test "of several volumes all get a snapshot, or none" {
	volume swap $((100 * MIB))
	DISKS="/dev/vg0/disk none /dev/vg0/swap" run -0 handler before-resync-target
	[ -d "$T/vg0/disk-before-resync" ] && [ -d "$T/vg0/swap-before-resync" ]
	rm -r "$T"/vg0/*-before-resync "$T/calls"
	DISKS="/dev/vg0/disk /dev/sdb" run -1 handler before-resync-target
	called "lvcreate --yes --snapshot --name disk-before-resync --size $((200 * MIB))b vg0/disk" \
		"lvremove --yes vg0/disk-before-resync"
}

@test "a kept snapshot stays when another volume cannot have one" {
	run -0 handler before-resync-target
	DISKS="/dev/vg0/disk /dev/sdb" run -1 handler before-resync-target
	[ -d "$T/vg0/disk-before-resync" ]
}

# --- after-resync-target

@test "after the resync the snapshot is removed" {
	run -0 handler before-resync-target
	run -0 handler after-resync-target
	says "vg0/disk-before-resync is removed"
	[ ! -d "$T/vg0/disk-before-resync" ]
	run -0 handler after-resync-target
	says "vg0/disk has no snapshot to remove"
}

@test "a volume that is only called like a snapshot is never removed" {
	volume disk-before-resync $((10 * MIB))
	run -0 handler after-resync-target
	says "has no snapshot to remove"
	volume disk-before-resync $((10 * MIB)) origin=other
	run -0 handler after-resync-target
	[ -d "$T/vg0/disk-before-resync" ] && [ ! -s "$T/calls" ]
}

@test "that the snapshot had run full is said when it is removed" {
	volume disk-before-resync 1 origin=disk lv_attr=swi-I-s---
	run -0 handler after-resync-target
	says "had run full during the resync, and protected nothing"
	[ ! -d "$T/vg0/disk-before-resync" ]
}

@test "a snapshot that cannot be removed is a failure in words, and the others are removed" {
	volume disk-before-resync 1 origin=disk
	touch "$T/lvremove-fails"
	DISKS="/dev/sdb /dev/vg0/disk" run -1 handler after-resync-target
	says "/dev/sdb is no LVM volume"
	says "'lvremove vg0/disk-before-resync' by hand"
}

# --- fence-peer-ssh

fake_ssh() { # STATUS WORDS
	cat >"$T/bin/ssh" <<-EOF
		#!/bin/sh
		echo "\$*" >>"$T/calls"
		echo "$2" >&2
		exit $1
	EOF
	chmod +x "$T/bin/ssh"
}

@test "fence-peer-ssh answers with the codes that drbdxd and DRBD take" {
	local row
	for row in "0 4" "5 3" "17 6" "1 1" "127 1" "3 1"; do
		fake_ssh "${row% *}" "words of the partner"
		run -"${row#* }" handler fence-peer-ssh
		says "words of the partner"
	done
	[[ "$(tail -n 1 "$T/calls")" == *"root@dom0_2 backend-ctl outdate r0" ]]
}

@test "fence-peer-ssh takes a host for unreachable only if the network says so" {
	local words
	for words in "Connection timed out" "No route to host" "Network is unreachable" "Host is down"; do
		fake_ssh 255 "ssh: connect to host dom0_2 port 22: $words"
		run -5 handler fence-peer-ssh
		says "dom0_2 is unreachable"
	done
	for words in "connect to host dom0_2 port 22: Connection refused" "Permission denied (publickey)." \
		"Host key verification failed." "Connection timed out during banner exchange" "Timeout, server dom0_2 not responding."; do
		fake_ssh 255 "ssh: $words"
		run -1 handler fence-peer-ssh
		says "says nothing about its copy of r0"
	done
}

@test "fence-peer-ssh goes to another host with other options if told so" {
	fake_ssh 0 ok
	run -4 handler fence-peer-ssh dom0_2.management -p 2222
	[[ "$(cat "$T/calls")" == *" -p 2222 root@dom0_2.management backend-ctl outdate r0" ]]
}

@test "without a handler's environment each says what it is" {
	local name
	for name in before-resync-target after-resync-target fence-peer-ssh; do
		run -1 env -i PATH="$T/bin:/bin:/usr/bin" "$HANDLERS/$name"
		says "this is a handler, which drbdxd runs"
	done
}
