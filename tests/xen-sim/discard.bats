#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What a guest has discarded reads as zeroes on both hosts, and both disks have the space back (docs/DEGRADED.md, section 9).
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

ALL=30720	# sectors of the guest's model: 16 MiB less LOAD_SCRATCH

# One discard of an idle guest.
discarded() { # DOMID FIRST SECTORS
	guest "$1" set range "$2:$3"
	guest "$1" set size "$3"
	guest "$1" discard 1
	guest "$1" set range "0:$ALL"
	guest "$1" set size 0
}
loaded_with_discards() {
	start_guest 1 5 "$@"
	guest 5 set discard 4
	guest 5 start mixed
	wait_for 10 discarding 5 10
}
discarding() { # DOMID DISCARDS
	[ "$(guest "$1" status | guest_value discards)" -ge "$2" ]
}
space() { stat -c %b "$T/host$1/r0.img"; } # N: of its volume, in sectors
zeroes_on() { # N FIRST SECTORS
	cmp -n $(($3 * 512)) -i $(($2 * 512)):0 "$T/host$1/r0.img" /dev/zero
}
offered() { # N DOMID
	[ "$(node "$1" "$2" feature-discard)" = 1 ] && [ "$(node "$1" "$2" discard-granularity)" = 4096 ] &&
		[ "$(node "$1" "$2" discard-alignment)" = 0 ] && [ "$(node "$1" "$2" discard-secure)" = 0 ]
}
offered_none() { [ "$(node "$1" "$2" feature-discard)" = 0 ]; }
status_of() { # DOMID SECTOR:SECTORS:FLAG: of such a request
	guest "$1" raw-discard "$2" | guest_value status
}

@test "P3 what a guest discards reads as zeroes on both hosts, to the last sector, and both volumes have the space back" {
	local before1 before2
	start_guest 1 5
	offered 1 5
	filled 5
	before1=$(space 1) before2=$(space 2)
	discarded 5 1003 20001 # over two boundaries of 4 MiB, and no whole blocks
	zeroes_on 1 1003 20001
	zeroes_on 2 1003 20001
	[ "$(space 1)" -le $((before1 - 20001 + 64)) ]
	[ "$(space 2)" -le $((before2 - 20001 + 64)) ]
	says 1 '.disk.discard_unit_bytes == 4096 and .counters.discards == 1 and .counters.discarded_bytes == 20001 * 512'
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P3 discards among reads and writes, small ones and long ones, over each other" {
	loaded_with_discards r0 --ring-order 2 --depth 64
	wait_for 30 discarding 5 150
	finish 5
}

@test "P3 a guest of x86_32-abi discards, too" {
	loaded_with_discards r0 --protocol x86_32-abi
	wait_for 30 discarding 5 60
	finish 5
}

@test "P1 what is discarded while the partner is away is copied when it is back" {
	loaded_with_discards
	cut_link
	wait_for 10 alone 1
	wait_for 20 discarding 5 60
	says 1 '.out_of_sync.bytes > 0'
	join_link
	wait_for 30 in_sync
	finish 5
}

@test "P1 exactly what is discarded is marked: 8 MiB of an idle guest" {
	start_guest 1 5
	filled 5
	cut_link
	guest 5 write 1
	wait_for 10 alone 1
	join_link
	wait_for 30 in_sync
	cut_link
	wait_for 10 disconnected 1
	discarded 5 4096 16384
	out_of_sync_is 1 8192
	join_link
	wait_for 30 in_sync
	zeroes_on 2 4096 16384
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P1 a disk becomes larger under a guest that discards" {
	loaded_with_discards
	truncate -s 24M "$T"/host[12]/r0.img
	ctl 1 resize r0
	progress 5 100
	guest_is_well 5
	guest 5 set range 32768:14336
	guest 5 mixed 100
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P6 either daemon killed 12 times while its guest discards" {
	local i
	loaded_with_discards
	for i in {1..12}; do
		progress 5 $((RANDOM % 40))
		kill_daemon $((i % 2 + 1))
		daemon $((i % 2 + 1))
		wait_for 20 connected r0
	done
	progress 5 30
	finish 5
}

@test "P1 a host that loses power after its guest has discarded: the survivor has all that was answered" {
	loaded_with_discards
	kill_daemon 2
	wait_for 10 alone 1
	progress 5 50
	daemon 2
	wait_for 30 in_sync
	progress 5 30
	guest 5 stop
	power_cut 1
	wait_for 10 says 2 '.connection.state == "Connecting"'
	ctl 2 primary --force r0
	start_guest 2 6
	guest 6 verify
	power_on 1
	daemon 1
	wait_for 30 in_sync
	guest_detach 6
	volumes_agree
}

@test "P2 a guest that discards migrates there and back, and finds the same offer" {
	loaded_with_discards
	migrate 1 2 5
	offered 2 6
	progress 6 60
	migrate 2 1 6
	offered 1 7
	progress 7 60
	guest 7 stop >"$T/result"
	guest 7 verify
	survives 7
	guest_detach 7
	volumes_agree
}

@test "P1 a disk that fails its discards, though it said that it can: zeroes are written, and the guest notices nothing" {
	start_guest 1 5
	filled 5
	disk_fails 1 discard
	disk_fails 2 discard
	discarded 5 2000 18000
	zeroes_on 1 2000 18000
	zeroes_on 2 2000 18000
	says 1 '.disk.state == "UpToDate" and .peer_disk.state == "UpToDate"'
	disk_heals 1
	disk_heals 2
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P1 a disk that fails altogether under discards: the guest goes on with the partner's" {
	loaded_with_discards
	disk_fails 1 discard
	disk_fails 1 write
	wait_for 10 says 1 '.disk.state == "Diskless"'
	progress 5 60
	disk_heals 1
	guest_is_well 5
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	ctl 1 attach r0
	volumes_agree
}

@test "P4 impossible discards are refused, and cost their guest nothing else" {
	start_guest 1 5
	guest 5 write 50
	[ "$(status_of 5 32768:8:0)" = -1 ]			# beyond the end
	[ "$(status_of 5 32760:16:0)" = -1 ]			# over it
	[ "$(status_of 5 31000:0:0)" = -1 ]			# of nothing
	[ "$(status_of 5 31000:18446744073709551615:0)" = -1 ]	# around
	[ "$(status_of 5 31000:8:1)" = 0 ]			# secure, which is not offered
	guest 5 hostile H22
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P4 a guest that may only read is offered no discards, and refused them" {
	start_guest 1 5
	filled 5
	guest_detach 5
	apart attach_readonly 6
	apart guest_start 6
	offered_none 1 6
	[ "$(status_of 6 1000:8:0)" = -1 ]
	guest 6 verify
	guest_detach 6
	volumes_agree
}
attach_readonly() { # DOMID
	echo "1 r0 $T/model.r0" >"$T/guest.$1"
	on 1 "$SIM/blkfront-sim" attach --domid "$1" --devid 51714 --resource r0 --name vm-r0 --readonly
}

@test "P3 beside a partner whose program knows no discards none are offered, and those of a guest that was offered them are zeroes for it" {
	start_guest 1 5
	filled 5
	stop_daemon 2
	install_daemon 2 "$SIM/drbdxd-former"
	daemon 2
	wait_for 20 connected r0
	says 1 '.connection.protocol_version == 6'
	discarded 5 2500 20000
	zeroes_on 1 2500 20000
	zeroes_on 2 2500 20000
	guest 5 set discard 4
	guest 5 mixed 200
	guest 5 verify
	guest_detach 5
	start_guest 1 6
	offered_none 1 6
	[ "$(status_of 6 31000:8:0)" = -2 ]
	stop_daemon 2
	install_daemon 2 "$BUILD/drbdxd"
	daemon 2
	wait_for 20 connected r0
	guest 6 reconnect
	offered 1 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}
