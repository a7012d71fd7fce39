#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Devices whose blocks are larger than 512 bytes (4Kn), for the volume, for the metadata, on one node or on both.
load scenario.bash
# The loop devices go when nobody has them open any more.
teardown() {
	local status=0
	cat "$T"/host?/loops >"$BATS_TEST_TMPDIR/loops" 2>/dev/null || true
	teardown_scenario || status=1
	while read -r dev; do
		losetup -d "$dev" 2>/dev/null || true
	done <"$BATS_TEST_TMPDIR/loops"
	return $status
}

# This file becomes a block device with such blocks; its name stays.
loop() { # HOST FILE BLOCK-SIZE
	local f=$T/host$1/$2 dev
	mv "$f" "$f.raw"
	dev=$(losetup --sector-size "$3" --direct-io=on --find --show "$f.raw") || skip "no loop devices of $3-byte blocks"
	ln -s "$dev" "$f"
	echo "$dev" >>"$T/host$1/loops"
}
blocks() { # HOST:FILE:BLOCK-SIZE...: of a pair whose daemons do not run yet
	local what
	apart setup_pair 1
	for what; do
		IFS=: read -r host file size <<<"$what"
		loop "$host" "$file" "$size"
	done
}
new_metadata() { # HOST [OPTION...]
	on "$1" "$BUILD/backend-ctl" create-md "${@:2}" r0
}
begin() {
	daemon 1
	daemon 2
	wait_for 20 connected
}
# The raw files, whatever the guest's disk is called.
volumes_agree_raw() {
	local f
	wait_for 30 in_sync
	ctl 1 down r0
	ctl 2 down r0
	for f in "$T"/host[12]/r0.img; do
		blockdev --flushbufs "$f" 2>/dev/null || true
	done
	cmp -n $((16 << 20)) "$T/host1/r0.img" "$T/host2/r0.img"
}

@test "P4 metadata on a device with blocks of 4096 bytes: made, dumped, restored, read after a power cut, wiped" {
	blocks 1:r0.img:4096 1:meta.img:4096 2:r0.img:4096 2:meta.img:4096
	new_metadata 1 --assume-clean --force
	new_metadata 2 --assume-clean --force
	on 1 "$BUILD/backend-ctl" dump-md r0 >"$T/dump"
	on 1 "$BUILD/backend-ctl" wipe-md r0
	on 1 "$BUILD/backend-ctl" restore-md r0 "$T/dump"
	on 1 "$BUILD/backend-ctl" show-gi r0
	begin
	loaded mixed
	cut_link
	progress 5 100
	kill_daemon 1
	daemon 1
	join_link
	wait_for 20 connected
	guest_is_well 5
	wait_for 30 in_sync
	guest 5 start mixed
	progress 5 50
	power_cut 1
	power_on 1
	daemon 1
	wait_for 20 connected
	volumes_agree_raw
	on 1 "$BUILD/backend-ctl" wipe-md r0
}

@test "P4 internal metadata on a volume with blocks of 4096 bytes: beside a file system, never in it" {
	blocks 1:r0.img:4096 2:r0.img:4096
	sed -i "s|meta-disk $T/host[12]/meta.img\[0\]|meta-disk internal|" "$T"/host[12]/etc/drbdx.d/r0.res
	mkfs.ext4 -q "$T/host1/r0.img"
	! new_metadata 1 2>"$T/said" || false
	cat "$T/said"
	grep -q 'ext4' "$T/said"
	mkfs.ext4 -q -F "$T/host1/r0.img" 12M
	mkfs.ext4 -q -F "$T/host2/r0.img" 12M
	new_metadata 1
	new_metadata 2
	begin
	ctl 1 primary --force r0
	wait_for 20 in_sync
	start_guest 1 5
	[ "$(node 1 5 sector-size)" = 4096 ]
	[ "$(node 1 5 sectors)" = $(((16 << 11) - 40960 / 512)) ]
	guest_detach 5
}

@test "P4 blocks of 4096 bytes on one node alone: the guest sees 4096 on both, before and after its migration" {
	blocks 2:r0.img:4096
	new_metadata 2 --assume-clean --force
	begin
	says 1 '.disk.block_size_bytes == 4096'
	says 2 '.disk.block_size_bytes == 4096'
	start_guest 1 5
	[ "$(node 1 5 sector-size)" = 4096 ]
	guest 5 start mixed
	progress 5 50
	migrate 1 2 5
	[ "$(node 2 6 sector-size)" = 4096 ]
	progress 6 50
	guest_is_well 6
	guest_detach 6
	volumes_agree_raw
}

# A copy of the volume on another device, and its metadata beside it.
@test "P4 a node whose volume moves to blocks of 4096 bytes is refused by one that agreed on 512, and no guest is started or arrives there" {
	local words="the disk on dom0_2 offers less than is needed \(32768 of 32768 sectors, block size 4096 of 512\)"
	blocks 1:r0.img:512 2:r0.img:512
	new_metadata 1 --assume-clean --force
	new_metadata 2 --assume-clean --force
	begin
	start_guest 1 5
	guest 5 write 50
	stop_daemon 2
	rm "$T/host2/r0.img"
	mv "$T/host2/r0.img.raw" "$T/host2/r0.img"
	loop 2 r0.img 4096
	daemon 2
	wait_for 10 words_say 1 "$words"
	wait_for 10 words_say 2 "$words"
	guest 5 write 50
	guest_suspend 5
	refused_arrival 2 5 6 "$words"
	guest_resume 5
	guest 5 verify
	guest_detach 5
	stop_daemon 1
	refused 2 7 'agreed on 32768 sectors and blocks of 512 bytes, and its volume has 32768 sectors and blocks of 4096 bytes: restore its size or kind'
}
