#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# How much is copied, how fast, in which direction, and what happens when it is interrupted (docs/DEGRADED.md, section 6).
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

# An idle guest on host 1 whose partner is away, in order, and back.
guest_alone() {
	start_guest 1 5
	guest 5 write 20
	ctl 2 down r0
}
partner_back() { ctl 2 up r0; }
# Its disk is Inconsistent, nothing is copied yet, and everything on it is wrong.
invalidated_by() { # N
	ctl 1 pause-sync r0
	ctl "$1" invalidate r0
	wait_for 20 says "$1" '.disk.state == "Inconsistent" and .resync.state == "PausedSyncT"'
	dd if=/dev/urandom of="$T/host$1/r0.img" bs=1M count=16 conv=notrunc status=none
}
# Down, another configuration, and up again.
edited() { # N SED-SCRIPT
	local text
	text=$(sed "$2" "$T/host$1/etc/drbdx.d/r0.res")
	printf '%s\n' "$text" >"$T/host$1/etc/drbdx.d/r0.res"
}
configured() { # N SED-SCRIPT
	ctl "$1" down r0
	edited "$@"
	ctl "$1" up r0
	[ "$1" = 1 ] || wait_for 20 connected r0
}
done_with() { # DOMID
	guest "$1" verify
	guest_detach "$1"
	volumes_agree
}

@test "P1 what was written while the partner was away is copied, those blocks and no other" {
	guest_alone
	touch_sectors 5 800 8
	wait_for 5 alone 1
	out_of_sync_is 1 4
	touch_sectors 5 16000 24
	out_of_sync_is 1 16
	touch_sectors 5 804 1		# of a block that is marked already
	out_of_sync_is 1 16
	partner_back
	wait_for 20 in_sync
	[ "$(copied)" = 16384 ]
	done_with 5
}

@test "P1 a partner that was away while nothing was written gets nothing" {
	guest_alone
	guest 5 read 5
	partner_back
	wait_for 20 in_sync
	[ "$(copied)" = 0 ]
	done_with 5
}

@test "P1 while the resync is paused its target is told what is written, and all of it is the same afterwards" {
	guest_alone
	touch_sectors 5 800 8
	ctl 1 pause-sync r0
	partner_back
	wait_for 20 says 1 '.resync.state == "PausedSyncS"'
	wait_for 20 says 2 '.resync.state == "PausedSyncT"'
	touch_sectors 5 800 8		# over what is to be copied, and elsewhere
	touch_sectors 5 8000 64
	out_of_sync_is 1 4
	says 2 '.disk.state == "Inconsistent"'
	ctl 1 resume-sync r0
	wait_for 20 in_sync
	[ "$(copied)" = 4096 ]
	done_with 5
}

@test "P1 while a paused resync waits its target is taken down and comes back: the blocks stay marked" {
	guest_alone
	touch_sectors 5 800 8
	ctl 1 pause-sync r0
	partner_back
	wait_for 20 says 2 '.resync.state == "PausedSyncT"'
	ctl 2 down r0
	touch_sectors 5 8000 8
	partner_back
	wait_for 20 says 1 '.resync.state == "PausedSyncS" and .out_of_sync.bytes == 8192'
	[ "$(copied)" = 0 ]
	ctl 1 resume-sync r0
	wait_for 20 in_sync
	[ "$(copied)" = 8192 ]
	done_with 5
}

@test "P1 a write at the very start of a resync of one block is on both disks when it has ended" {
	guest_alone
	touch_sectors 5 800 8
	cut_at 2 RECEIVED		# of our bitmap, and mended before anybody notices
	partner_back
	wait_for 20 link_is_cut
	beside guest 5 write 10 >"$T/written"
	wait_for 1 in_flight 5 10 || true
	join_link
	wait "$beside"
	wait_for 20 in_sync
	done_with 5
}

# The message is lost with the link; the target may or may not know that it is whole again.
end_is_lost() { # HOST PACKET
	guest_alone
	touch_sectors 5 800 8
	cut_at "$1" "$2"
	partner_back
	wait_for 20 link_is_cut
	wait_for 10 disconnected 1
	wait_for 10 disconnected 2
}
@test "P1 the end of a resync is lost: what is written then is copied, and nothing else" {
	end_is_lost 2 SYNC_ENDED
	touch_sectors 5 16000 8
	wait_for 5 alone 1
	join_link
	wait_for 20 in_sync
	[ "$(copied)" = 8192 ]
	done_with 5
}
@test "P1 the end of a resync is lost, and nothing is written: nothing is copied again, on either side of the message" {
	end_is_lost 1 SYNC_END
	join_link
	wait_for 20 in_sync
	[ "$(copied)" = 4096 ]
	ctl 2 down r0
	touch_sectors 5 800 8
	cut_at 2 SYNC_ENDED
	partner_back
	wait_for 20 link_is_cut
	wait_for 10 disconnected 1
	join_link
	wait_for 20 in_sync
	[ "$(copied)" = $((2 * 4096)) ]
	done_with 5
}

@test "P1 with csums-alg only the blocks that differ travel" {
	local before
	on_both configured 's|net {|net { csums-alg crc32c;|'
	start_guest 1 5
	guest 5 mixed 100
	ctl 1 pause-sync r0
	ctl 2 invalidate r0
	wait_for 20 says 2 '.resync.state == "PausedSyncT"'
	# three blocks behind the daemon's back: these alone are not the same
	printf changed | dd of="$T/host2/r0.img" bs=4096 seek=99 conv=notrunc status=none
	printf changed | dd of="$T/host2/r0.img" bs=4096 seek=1340 conv=notrunc status=none
	printf changed | dd of="$T/host2/r0.img" bs=4096 seek=3980 conv=notrunc status=none
	before=$(value_of 1 .counters.sent_bytes)
	ctl 1 resume-sync r0
	wait_for 30 in_sync
	# a copy may be larger than a block
	[ $(($(copied) + $(found_same))) = 16777216 ]
	[ "$(copied)" -le $((3 * 256 * 1024)) ]
	[ $(($(value_of 1 .counters.sent_bytes) - before)) -le $((3 * 256 * 1024 + 1048576)) ]
	done_with 5
}
seconds_of_resync() {
	local begin
	begin=$(now_ms)
	ctl 1 resume-sync r0
	wait_for 60 in_sync
	echo "$(($(now_ms) - begin)) ms"
	took=$(($(now_ms) - begin))
}
@test "P1 resync-rate is held: 16 MiB at 8 MiB/s take two seconds" {
	on_both configured 's|net {|disk { resync-rate 8M; } net {|'
	ctl 1 pause-sync r0
	ctl 2 invalidate r0
	wait_for 20 says 2 '.resync.state == "PausedSyncT"'
	seconds_of_resync
	[ "$took" -gt 1600 ]
	[ "$took" -lt 20000 ]	# on any machine; property/pace.test.c has the exact one
}

@test "P1 c-min-rate: a guest that keeps the disk busy slows the resync down, and never starves it" {
	on_both configured 's|net {|disk { c-min-rate 8M; } net {|'
	start_guest 1 5 r0 --ring-order 2 --depth 64
	ctl 1 pause-sync r0
	ctl 2 invalidate r0
	wait_for 20 says 2 '.resync.state == "PausedSyncT"'
	guest 5 start mixed
	progress 5 50
	seconds_of_resync
	[ "$took" -lt 30000 ]	# the c-min-rate that nobody gives is 250K: 64 s
	finish 5
}

@test "P1 a resync that is interrupted in whatever way goes on where it was" {
	local way left=16777216
	on_both configured 's|net {|disk { resync-rate 512K; } net {|'
	start_guest 1 5
	guest 5 write 50
	ctl 2 invalidate r0
	for way in 'ctl 2 down r0; ctl 2 up r0' 'stop_daemon 2; daemon 2' 'stop_daemon 1; daemon 1' 'cut_link; wait_for 10 disconnected 2; join_link'; do
		wait_for 20 less_is_left "$left"
		left=$(value_of 2 .out_of_sync.bytes)
		[ "$left" != 0 ]
		eval "$way"
		wait_for 20 connected r0
		wait_for 20 says 2 '.resync.state != "WFBitMap"'
		[ "$(went_on_with)" -le "$left" ]
	done
	[ "$(logged 2 'resync WFBitMap -> SyncTarget')" -gt 4 ]
	stop_daemon 1 # the node with the guest, which paces the copies
	edited 1 's|resync-rate 512K|resync-rate 100M|'
	daemon 1
	wait_for 20 in_sync
	done_with 5
}
less_is_left() { [ "$(value_of 2 .out_of_sync.bytes)" -lt $(($1 - 131072)) ]; }
went_on_with() { # bytes
	echo $(($(sed -n 's/.*r0: resync WFBitMap -> SyncTarget (\([0-9]*\) KiB.*/\1/p' "$T/host2/log/drbdxd.log" | tail -n 1) * 1024))
}

@test "P1 a resync whose target, source, and both are killed is made to its end" {
	on_both configured 's|net {|disk { resync-rate 512K; } net {|'	# it is under way at each look
	invalidated_by 2
	ctl 1 resume-sync r0
	wait_for 20 says 2 '.resync.done_percent > 10'
	kill_daemon 2
	daemon 2
	wait_for 20 says 2 '.resync.done_percent > 10'
	kill_daemon 1
	daemon 1
	wait_for 20 says 2 '.resync.done_percent > 10'
	kill_daemon 1
	kill_daemon 2
	on_both edited 's|resync-rate 512K|resync-rate 100M|'
	daemon 1
	daemon 2
	wait_for 30 in_sync
	compare_volumes
}

@test "P1 a guest on the target of a resync reads the source's blocks, waits in words while the link is cut, and goes on" {
	start_guest 1 5
	guest 5 write 100
	guest_detach 5
	invalidated_by 2
	start_guest 2 6
	guest 6 verify
	guest 6 start mixed
	progress 6 20
	cut_link
	wait_for 10 frozen 2
	words_say 2 "the guest's I/O is frozen"
	join_link
	progress 6 20
	ctl 1 resume-sync r0
	wait_for 30 in_sync
	finish 6
}

@test "P1 many writes during a resync over a slow link end, and so does the resync" {
	start_guest 1 5 r0 --ring-order 2 --depth 64
	link delay 10 >/dev/null
	invalidated_by 2
	ctl 1 resume-sync r0
	guest 5 start write
	progress 5 100
	link delay 0 >/dev/null
	wait_for 60 in_sync
	finish 5
}

@test "P1 a guest that migrates to the target of a resync and back is served right, and the rest is copied" {
	guest_alone
	guest 5 write 100
	ctl 1 pause-sync r0
	partner_back
	wait_for 20 says 2 '.resync.state == "PausedSyncT"'
	guest 5 start mixed
	migrate 1 2 5
	progress 6 20
	migrate 2 1 6
	progress 7 20
	ctl 1 resume-sync r0
	well 7
}

# --- who is the source

@test "P1 a Primary that lost power while the survivor, promoted, wrote nothing is the target" {
	loaded write
	power_cut 1
	wait_for 10 disconnected 2
	ctl 2 primary --force r0
	power_on 1
	daemon 1
	wait_for 30 in_sync
	[ "$(logged 1 'r0: target')" -gt 0 ]
	says 2 '.token.state == "held"'
	[ "$(copied)" -le 16777216 ]
	start_guest 2 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P1 of equal data the node that was told it is outdated is the target" {
	start_guest 1 5
	guest 5 write 20
	cut_link
	wait_for 10 disconnected 2
	ctl 2 outdate r0
	says 2 '.disk.state == "Outdated"'
	words_say 2 'r0: the local disk is Outdated'
	join_link
	wait_for 20 in_sync
	[ "$(logged 2 'r0: target \(rule 32\)')" = 1 ]
	done_with 5
}

# As after a snapshot of the whole host, metadata and all.
snapshot() { cp --sparse=always "$T/host2/r0.img" "$T/host2/meta.img" "$T/snapshot/"; }
@test "P1 a node that is set back, data and metadata, is found to be the older one and gets everything" {
	mkdir "$T/snapshot"
	guest_alone
	snapshot
	guest 5 write 20
	wait_for 5 alone 1
	partner_back
	wait_for 20 in_sync
	ctl 2 down r0
	guest 5 write 20
	wait_for 5 alone 1
	cat "$T/snapshot/r0.img" >"$T/host2/r0.img"
	cat "$T/snapshot/meta.img" >"$T/host2/meta.img"
	partner_back
	wait_for 30 in_sync
	[ "$(logged 2 'r0: target of a full resync \(rule 60\)')" = 1 ]
	done_with 5
}

# --- new metadata

recreated() { # N OPTIONS...
	ctl "$1" down r0
	ctl "$1" wipe-md --force r0
	ctl "$1" create-md "${@:2}" r0
	ctl "$1" up r0
}
@test "P1 a partner made anew, and declared the same, gets everything after the first write" {
	start_guest 1 5
	touch_sectors 5 800 8
	dd if=/dev/zero of="$T/host2/r0.img" bs=1M count=16 conv=notrunc status=none
	recreated 2 --assume-clean
	wait_for 30 in_sync
	[ $(($(copied) + $(found_same))) = 16777216 ]
	done_with 5
}

@test "P1 a partner made anew after the generations moved gets everything, and is UpToDate only then" {
	guest_alone
	guest 5 write 10
	partner_back
	wait_for 20 in_sync
	ctl 1 pause-sync r0
	dd if=/dev/urandom of="$T/host2/r0.img" bs=1M count=16 conv=notrunc status=none
	recreated 2
	wait_for 20 says 1 '.peer_disk.state == "Inconsistent" and .out_of_sync.bytes == 16777216'
	wait_for 20 says 2 '.disk.state == "Inconsistent"'
	ctl 1 resume-sync r0
	wait_for 30 in_sync
	done_with 5
}

# --- whose data are worthless

invalidated() { # N: and copied whole
	wait_for 20 says "$1" '.disk.state == "Inconsistent" and .out_of_sync.bytes == 16777216'
	ctl 1 resume-sync r0
	wait_for 30 in_sync
	[ $(($(copied) + $(found_same))) = 16777216 ]
}
@test "P1 invalidate, where no guest is: all of the partner's data are copied here" {
	start_guest 1 5
	guest 5 write 50
	invalidated_by 2
	invalidated 2
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P1 invalidate-remote: all of our data are copied to the partner, under the guest" {
	start_guest 1 5
	guest 5 write 50
	guest 5 start mixed
	ctl 1 pause-sync r0
	ctl 1 invalidate-remote r0
	invalidated 2
	finish 5
}

@test "P1 invalidate-remote without a guest, from the node that holds the token" {
	start_guest 2 5
	guest 5 write 50
	guest_detach 5
	ctl 1 pause-sync r0
	run ctl 1 invalidate-remote r0
	[ "$status" = 11 ]
	[[ "$output" == *"run 'backend-ctl invalidate r0' there"* ]]
	ctl 2 invalidate-remote r0
	dd if=/dev/urandom of="$T/host1/r0.img" bs=1M count=16 conv=notrunc status=none
	invalidated 1
	start_guest 1 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P1 neither invalidate nor invalidate-remote touches the only good copy" {
	local verb
	start_guest 1 5
	guest 5 write 20
	ctl 1 pause-sync r0
	ctl 2 invalidate r0
	wait_for 20 says 2 '.disk.state == "Inconsistent"'
	run ctl 1 invalidate r0			# the other one is not good
	[ "$status" = 11 ]
	run ctl 2 invalidate-remote r0
	[ "$status" = 11 ]
	[[ "$output" == *"those of dom0_1 may be the only good ones"* ]]
	ctl 1 resume-sync r0
	wait_for 30 in_sync
	cut_link
	wait_for 10 disconnected 1
	for verb in invalidate invalidate-remote; do
		run ctl 1 $verb r0
		[ "$status" = 11 ]
		[[ "$output" == *"not connected"* ]]
	done
	says 1 '.disk.state == "UpToDate"'
	join_link
	wait_for 20 in_sync
	[ $(($(copied) + $(found_same))) = 16777216 ]
	done_with 5
}
