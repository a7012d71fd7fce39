#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What a guest has discarded securely is erased on both hosts, or it hears an error (docs/DEGRADED.md, section 9). The disks are hanging-disk's
# with --erases: the shipped daemon's ioctl(BLKSECDISCARD) goes through the kernel to them, and waits there.
load scenario.bash
setup() { erasing_pair 0 1:disk 2:disk; }
teardown() { teardown_scenario; }
anew() { # ARGUMENTS of erasing_pair: other disks than setup's
	apart pair_down 0
	erasing_pair "$@"
}

ALL=30720 FREE=31000	# sectors of the guest's model; one behind it

# One secure discard of an idle guest.
erased() { # DOMID FIRST SECTORS
	guest "$1" set range "$2:$3"
	guest "$1" set size "$3"
	guest "$1" set secure 1
	guest "$1" discard 1
	guest "$1" set range "0:$ALL"
	guest "$1" set size 0
}
loaded_with_erasures() {
	start_guest 1 5 "$@"
	guest 5 set discard 4
	guest 5 set secure 1
	guest 5 start mixed
	wait_for 20 discarding 5 10
	[ "$(erasures 1)" -ge 10 ]
	[ "$(erasures 2)" -ge 10 ]
}
discarding() { # DOMID DISCARDS
	[ "$(guest "$1" status | guest_value discards)" -ge "$2" ]
}
erasures() { # N: of its disk
	cat "$T/host$1/r0.img.erased" 2>/dev/null | wc -l
}
# Each sector once, and no other.
disk_has_erased() { # N FIRST SECTORS
	awk -v first="$2" -v sectors="$3" '{ sum += $2; bad += $1 < first || $1 + $2 > first + sectors } END { exit bad || sum != sectors }' \
		"$T/host$1/r0.img.erased"
}
zeroes_on() { # N FIRST SECTORS
	cmp -n $(($3 * 512)) -i $(($2 * 512)):0 "$T/host$1/r0.img" /dev/zero
}
wears_out() { : >"$T/host$1/r0.img.worn"; } # N: its disk erases nothing any more
is_mended() { rm "$T/host$1/r0.img.worn"; }
offered() { # N DOMID 0|1
	[ "$(node "$1" "$2" feature-discard)" = 1 ] && [ "$(node "$1" "$2" discard-secure)" = "$3" ]
}
status_of() { # DOMID SECTOR:SECTORS:FLAG: of such a request
	guest "$1" raw-discard "$2" | guest_value status
}
both_good() { says 1 '.disk.state == "UpToDate" and .peer_disk.state == "UpToDate" and .out_of_sync.bytes == 0'; }

@test "P3 what a guest discards securely is erased on both hosts, each sector once, and reads as zeroes" {
	start_guest 1 5
	offered 1 5 1
	filled 5
	[ "$(erasures 1)" = 0 ]
	erased 5 1000 20000 # over two boundaries of 4 MiB
	disk_has_erased 1 1000 20000
	disk_has_erased 2 1000 20000
	zeroes_on 1 1000 20000
	zeroes_on 2 1000 20000
	says 1 '.counters.discards == 1 and .counters.discarded_bytes == 20000 * 512'
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P3 an ordinary discard erases nothing" {
	start_guest 1 5
	[ "$(status_of 5 $FREE:64:0)" = 0 ]
	[ "$(erasures 1)" = 0 ]
	[ "$(erasures 2)" = 0 ]
	guest_detach 5
}

@test "P3 secure discards among reads and writes, over each other, by a guest of x86_32-abi" {
	loaded_with_erasures r0 --protocol x86_32-abi --depth 32
	wait_for 60 discarding 5 40
	finish 5
}

@test "P1 a disk that cannot erase what it said it could, on either host: the guest hears an error, and the data are the same on both" {
	local n
	start_guest 1 5
	filled 5
	for n in 1 2; do
		wears_out $n
		[ "$(status_of 5 $FREE:64:1)" = -1 ]
		zeroes_on 1 $FREE 64
		zeroes_on 2 $FREE 64
		both_good
		[ "$(logged $n 'r0: local disk: secure erase of 64 sectors at 31000 failed: Input/output error; they are zeroes all the same')" = 1 ]
		is_mended $n
		[ "$(status_of 5 $FREE:64:1)" = 0 ]
	done
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P1 while the partner is away a secure discard is refused, and what was to be erased is still there for the next one" {
	start_guest 1 5
	filled 5
	cut_link
	guest 5 write 1
	wait_for 10 alone 1
	[ "$(status_of 5 1000:2000:1)" = -1 ]
	[ "$(erasures 1)" = 0 ]
	[ "$(logged 1 'r0: a secure discard of 2000 sectors at 1000 is refused, and nothing of it done')" = 1 ]
	guest 5 verify
	join_link
	wait_for 30 in_sync
	erased 5 1000 2000
	disk_has_erased 1 1000 2000
	disk_has_erased 2 1000 2000
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P4 beside a disk that cannot erase they are not offered, and their flag is ignored" {
	anew 0 1:disk
	start_guest 1 5
	offered 1 5 0
	[ "$(status_of 5 $FREE:64:1)" = 0 ]
	zeroes_on 1 $FREE 64
	zeroes_on 2 $FREE 64
	[ "$(erasures 1)" = 0 ]
	guest 5 hostile H22
	guest_detach 5
	volumes_agree
}

@test "P4 impossible secure discards are refused, and a guest that may only read is offered none" {
	start_guest 1 5
	filled 5
	[ "$(status_of 5 32768:8:1)" = -1 ]			# beyond the end
	[ "$(status_of 5 32760:16:1)" = -1 ]			# over it
	[ "$(status_of 5 $FREE:0:1)" = -1 ]			# of nothing
	[ "$(status_of 5 $FREE:18446744073709551615:1)" = -1 ]	# around
	[ "$(erasures 1)" = 0 ]
	guest 5 hostile H22
	guest_detach 5
	apart attach_readonly 6
	apart guest_start 6
	[ "$(node 1 6 feature-discard)" = 0 ]
	[ "$(status_of 6 1000:8:1)" = -1 ]
	guest 6 verify
	guest_detach 6
	volumes_agree
}
attach_readonly() { # DOMID
	echo "1 r0 $T/model.r0" >"$T/guest.$1"
	on 1 "$SIM/blkfront-sim" attach --domid "$1" --devid 51714 --resource r0 --name vm-r0 --readonly
}

@test "P1 a guest that was offered them relies on it: beside a program that knows none, also after its own daemon was restarted, it hears an error" {
	start_guest 1 5
	filled 5
	stop_daemon 2
	install_daemon 2 "$SIM/drbdxd-previous"
	daemon 2
	wait_for 20 connected r0
	says 1 '.connection.protocol_version == 7'
	[ "$(status_of 5 1000:64:1)" = -1 ]
	stop_daemon 1
	daemon 1
	wait_for 20 connected r0
	[ "$(status_of 5 1000:64:1)" = -1 ]
	kill_daemon 1
	daemon 1
	wait_for 20 connected r0
	[ "$(status_of 5 1000:64:1)" = -1 ]
	[ "$(erasures 1)" = 0 ]
	guest 5 verify
	guest_detach 5
	start_guest 1 6
	offered 1 6 0
	[ "$(status_of 6 $FREE:64:1)" = 0 ]
	stop_daemon 2
	install_daemon 2 "$BUILD/drbdxd"
	daemon 2
	wait_for 20 connected r0
	guest 6 reconnect
	offered 1 6 1
	[ "$(status_of 6 $FREE:64:1)" = 0 ]
	disk_has_erased 2 $FREE 64
	guest_detach 6
	volumes_agree
}

@test "P6 a daemon is killed while its disk erases: the next one has the disk when that is over, and erases once more" {
	local pid
	start_guest 1 5
	filled 5
	hangs 1:disk
	beside guest 5 raw-discard $FREE:64:1 >"$T/answer"
	wait_for 10 says 1 '.in_flight.local == 1'
	pid=$(cat "$T/host1/drbdxd.pid")
	kill -9 "$pid"
	wait_for 10 has_one_thread "$pid"			# which is still in the kernel
	claim_is_held 1
	[ "$(erasures 1)" = 0 ]
	goes_on 1:disk
	wait_for 10 claim_is_free 1
	[ "$(erasures 1)" = 1 ]
	daemon 1
	wait "$beside"
	[ "$(guest_value status <"$T/answer")" = 0 ]
	[ "$(erasures 1)" = 2 ]
	zeroes_on 1 $FREE 64
	zeroes_on 2 $FREE 64
	guest 5 verify
	guest_detach 5
	volumes_agree
}
has_one_thread() { # PID: beside the first one, which is there as long as one is
	[ "$(ls "/proc/$1/task" | wc -l)" = 2 ]
}
claim_is_free() { on "$1" flock -n "$T/host$1/disk" true; }
claim_is_held() { ! claim_is_free "$1"; }

@test "P6 the daemon is killed 8 times while its guest discards securely, and the guest hears no error" {
	local i
	loaded_with_erasures
	for i in {1..8}; do
		progress 5 $((RANDOM % 40))
		kill_daemon 1
		daemon 1
		wait_for 20 connected r0
	done
	progress 5 30
	finish 5
}

@test "P1 the partner's daemon killed 4 times while a guest discards securely: errors, and nothing else" {
	local i
	loaded_with_erasures
	for i in {1..4}; do
		kill_daemon 2
		progress 5 $((RANDOM % 40))
		daemon 2
		wait_for 20 connected r0
		progress 5 20
	done
	apart guest 5 stop >"$T/result" || true			# not ok: errors
	jq -e '.mismatches == 0 and .violations == 0 and .errors > 0 and .unsupported == 0' "$T/result"
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P7 a disk that hangs while it erases: after disk-timeout the guest hears an error, and goes on with the other disk" {
	local n
	for n in 1 2; do
		anew 10 1:disk 2:disk
		start_guest 1 5
		filled 5
		hangs $n:disk
		[ "$(status_of 5 $FREE:64:1)" = -1 ]
		says $n '.disk.state == "Diskless"'
		guest 5 mixed 50
		goes_on $n:disk
		guest 5 verify
		guest_detach 5
		wait_for 20 says $n '.disk.hung == null'
		ctl $n attach r0
		volumes_agree
	done
}

@test "P2 a guest that discards securely migrates there and back, and finds the same offer" {
	loaded_with_erasures
	migrate 1 2 5
	offered 2 6 1
	progress 6 60
	migrate 2 1 6
	offered 1 7 1
	progress 7 60
	guest 7 stop >"$T/result"
	guest 7 verify
	survives 7
	guest_detach 7
	volumes_agree
}
