#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Both volumes are enlarged, and the disk becomes larger under its guest.
load scenario.bash
setup() {
	declare -f "setup_$BATS_TEST_NUMBER" >/dev/null || pair 1
}
teardown() { teardown_scenario; }

OLD=32768 NEW=49152	# sectors: 16 and 24 MiB

enlarge() { # [HOST...]: as lvextend does
	local h
	[ $# != 0 ] || set -- 1 2
	for h; do
		truncate -s 24M "$T/host$h/r0.img"
	done
}
guest_sees() { # KEY SECTORS
	[ "$(guest "$1" status | guest_value sectors)" = "$2" ]
}
has() { # N BYTES
	says "$1" ".disk.size_bytes == $2"
}
both_have() { # SECTORS
	on_both has $(($1 * 512))
}
resize_refused() { # N REGEX
	! ctl "$1" resize r0 2>"$T/said" || { fail "it was not refused"; return 1; }
	cat "$T/said"
	grep -qE "$2" "$T/said" || { fail "not in words of: $2"; return 1; }
}
well_and_away() { # KEY
	guest "$1" verify
	guest_detach "$1"
	volumes_agree
}
fill_new() { # KEY
	guest "$1" set range "$OLD:$((NEW - OLD - 2048))"
	guest "$1" mixed 200
	guest "$1" set range "0:$((NEW - 2048))"
}

@test "P1 a running guest sees that its disk is larger, loses nothing, and what is new is the same on both hosts" {
	loaded mixed
	enlarge
	# The partner's has something else there.
	dd if=/dev/urandom of="$T/host2/r0.img" bs=1M seek=16 count=8 conv=notrunc status=none
	ctl 1 resize r0 >"$T/said"
	cat "$T/said"
	grep -q 'the disk has 49152 sectors (24 MiB) from now on; what is new is being copied' "$T/said"
	wait_for 5 guest_sees 5 $NEW
	both_have $NEW
	progress 5 200
	guest_is_well 5
	guest_detach 5
	volumes_agree
	[ "$(copied)" -ge $((8 << 20)) ]
}

@test "P1 a larger disk is known after a restart of the guest, its migration, and that of the daemons" {
	start_guest 1 5
	guest 5 write 100
	enlarge
	ctl 1 resize r0
	wait_for 5 guest_sees 5 $NEW
	fill_new 5
	migrate 1 2 5
	guest_sees 6 $NEW
	fill_new 6
	guest 6 verify
	kill_daemon 2
	daemon 2
	guest 6 mixed 50
	guest_sees 6 $NEW
	guest_detach 6
	stop_daemon 1
	daemon 1
	wait_for 20 connected
	start_guest 1 7
	guest_sees 7 $NEW
	fill_new 7
	well_and_away 7
	both_have $NEW
}

@test "P1 assumed to be clean, nothing is copied, and the guest uses what is new" {
	start_guest 1 5
	enlarge
	ctl 1 -- --assume-clean resize r0 | grep 'what is new counts as the same on both nodes'
	wait_for 5 guest_sees 5 $NEW
	wait_for 20 in_sync
	[ "$(copied)" = 0 ]
	fill_new 5
	well_and_away 5
}

@test "P4 what stands in the way of a larger disk is said, and nothing changes" {
	start_guest 1 5
	resize_refused 1 'r0: the volume on dom0_1 has not become larger .*: enlarge it on both nodes \(lvextend\), then try again'
	enlarge 1
	resize_refused 1 'r0: on dom0_2: the volume has 32768 sectors \(16 MiB\), not more than before: enlarge it there, too \(lvextend\)'
	enlarge 2
	resize_refused 2 "r0: dom0_1 has the right to write: run 'backend-ctl resize r0' there"
	stop_daemon 2
	wait_for 20 disconnected 1
	resize_refused 1 'r0: dom0_2 is not connected, and both nodes have to know the new size'
	daemon 2
	wait_for 20 connected
	truncate -s 12M "$T/host2/r0.img"
	resize_refused 1 'r0: on dom0_2: the volume has 24576 sectors .*, not more than before'
	enlarge 2
	both_have $OLD
	guest_sees 5 $OLD
	wait_for 20 in_sync
	ctl 1 resize r0
	wait_for 5 guest_sees 5 $NEW
	fill_new 5
	well_and_away 5
}

internal_on_1() {
	apart setup_pair 1
	sed -i "s|meta-disk $T/host1/meta.img\[0\]|meta-disk internal|" "$T"/host[12]/etc/drbdx.d/r0.res
	truncate -s 16818176 "$T/host1/r0.img"	# 16 MiB and its metadata
	on 1 "$BUILD/backend-ctl" create-md --assume-clean r0
	daemon 1
	daemon 2
	wait_for 20 connected
}
setup_5() { :; }
@test "P4 internal metadata cannot move under a disk in use: refused, whichever node has them" {
	internal_on_1
	start_guest 1 5
	enlarge
	resize_refused 1 "r0: on dom0_1: its metadata are internal, .*: give it external metadata \('meta-disk DEVICE;'\)"
	guest_detach 5
	start_guest 2 6
	resize_refused 2 "r0: on dom0_1: its metadata are internal, .*: give it external metadata \('meta-disk DEVICE;'\)"
	both_have $OLD
	guest 6 mixed 100
	guest_detach 6
}

# The bitmap of 16 MiB needs one page of 4 KiB; a second one describes up to 256 MiB.
flexible_pair() {
	META_SIZE=40K apart setup_pair 1
	daemon 1
	daemon 2
	wait_for 20 connected
}
setup_6() { :; }
@test "P4 flexible metadata grow with their device, and without room the disk stays as it is" {
	flexible_pair
	start_guest 1 5
	truncate -s 160M "$T/host1/r0.img"
	truncate -s 160M "$T/host2/r0.img"
	resize_refused 1 'r0: on dom0_1: a disk of 0 GiB needs a metadata device of at least 44 KiB; this one has 40 KiB'
	truncate -s 44K "$T/host1/meta.img"
	resize_refused 1 'r0: on dom0_2: a disk of 0 GiB needs a metadata device of at least 44 KiB; this one has 40 KiB'
	both_have $OLD
	truncate -s 44K "$T/host2/meta.img"
	ctl 1 resize r0
	wait_for 5 guest_sees 5 327680
	guest 5 set range "$((150 * 2048)):2048"
	guest 5 mixed 100
	cut_link
	guest 5 mixed 100
	join_link
	guest 5 set range "0:$((327680 - 2048))"
	guest 5 mixed 100
	well_and_away 5
	power_cut 1
	power_on 1
	daemon 1
	wait_for 20 connected
	both_have 327680
	volumes_agree
}

# The link goes down with the partner's answer: it has the larger size, and the guest's node does not know.
@test "P1 an answer that is lost: both have the new size when they meet again, and then the guest sees it" {
	start_guest 1 5
	guest 5 write 50
	enlarge
	cut_at 2 RESIZED
	! ctl 1 resize r0 2>"$T/said" || false
	cat "$T/said"
	grep -q 'the connection to dom0_2 was lost meanwhile' "$T/said"
	guest_sees 5 $OLD
	guest 5 write 50
	has 2 $((NEW * 512))
	has 1 $((OLD * 512))
	join_link
	wait_for 20 connected
	wait_for 5 guest_sees 5 $NEW
	fill_new 5
	well_and_away 5
}

# With the question lost both have the old size, with the answer lost both have the new one.
@test "P1 both hosts lose power while their disks become larger: one size, and what is new is the same" {
	local from=1 packet
	enlarge
	for packet in RESIZE RESIZED; do
		echo "-- $packet"
		cut_at $from $packet
		! ctl 1 resize r0 || false
		power_cut 1
		power_cut 2
		power_on 1
		power_on 2
		join_link
		daemon 1
		daemon 2
		wait_for 20 connected
		volumes_agree
		[ $packet = RESIZED ] || both_have $OLD
		from=2
	done
	both_have $NEW
}

@test "P4 a partner whose drbdxd does not know how to make a disk larger has to be upgraded first" {
	stop_daemon 2
	install_daemon 2 "$SIM/drbdxd-former"
	daemon 2
	wait_for 20 connected
	enlarge
	resize_refused 1 'r0: drbdxd on dom0_2 does not know how to make a disk larger: upgrade it there first'
	stop_daemon 2
	rm "$T/host2/sbin/drbdxd"
	daemon 2
	wait_for 20 connected
	ctl 1 resize r0
	volumes_agree
	both_have $NEW
}
