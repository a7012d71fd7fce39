#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk of kind vbd3, as libxl makes it from Xen 4.19 on, and what xentop reads of it (docs/XENTOP.md).
load scenario.bash
export DISK_KIND=vbd3
setup() { pair 1; }
teardown() { teardown_scenario; }

kthread_pid() { # N DOMID
	on "$1" xenstore-read "/local/domain/0/backend/vbd3/$2/51714/kthread-pid"
}

# As xentop finds and reads it: a field of 8 bytes, at this offset.
counter() { # N DOMID OFFSET
	local pid
	pid=$(kthread_pid "$1" "$2") &&
		on "$1" od -An -tu8 -j "$3" -N 8 "/dev/shm/td3-$pid/vbd-$2-51714" | tr -d ' '
}
reads=16 reads_done=24 writes=48 writes_done=56 write_sectors=64 errors=80
at_least() { # N DOMID OFFSET VALUE
	[ "$(counter "$1" "$2" "$3")" -ge "$4" ]
}

links() { # N
	on "$1" find /dev/shm -name 'td3-*' -printf '%f -> %l\n'
}

nothing_counted() { [ -z "$(on "$1" ls /run/drbdx/statistics)" ]; } # N

@test "P7 xentop sees a disk of kind vbd3 while its guest writes" {
	local n
	start_guest 1 5
	guest 5 start mixed
	wait_for 10 at_least 1 5 $writes_done 50
	n=$(counter 1 5 $writes)
	wait_for 10 at_least 1 5 $writes $((n + 50))
	guest 5 stop
	[ "$(counter 1 5 0)" = 1 ]	# version, and the 0 behind it
	[ "$(counter 1 5 $writes)" = "$(counter 1 5 $writes_done)" ]
	[ "$(counter 1 5 $reads)" = "$(counter 1 5 $reads_done)" ]
	[ "$(counter 1 5 $errors)" = 0 ]
	n=$(counter 1 5 $write_sectors)
	guest 5 write 100
	[ "$(counter 1 5 $write_sectors)" -ge $((n + 100)) ]
}

@test "P7 what xentop reads goes with the disk, and its link with the daemon" {
	local pid
	pid=$(daemon_pid 1)
	[ -z "$(links 1)" ]
	start_guest 1 5
	[ "$(kthread_pid 1 5)" = "$pid" ]
	[ "$(links 1)" = "td3-$pid -> /run/drbdx/statistics" ]
	[ "$(on 1 ls /run/drbdx/statistics)" = vbd-5-51714 ]
	guest_detach 5
	nothing_counted 1
	stop_daemon 1
	[ -z "$(links 1)" ]
}

@test "P6 a killed daemon's counters are removed by the next one, which counts on its own" {
	local old
	start_guest 1 5
	guest 5 start mixed
	wait_for 10 writing 5 50
	old=$(daemon_pid 1)
	kill_daemon 1
	[ "$(links 1)" = "td3-$old -> /run/drbdx/statistics" ]
	daemon 1
	[ "$(daemon_pid 1)" != "$old" ]
	progress 5 50
	wait_for 10 at_least 1 5 $writes_done 1
	[ "$(kthread_pid 1 5)" = "$(daemon_pid 1)" ]
	[ "$(links 1)" = "td3-$(daemon_pid 1) -> /run/drbdx/statistics" ]
}

@test "P6 a program that takes the daemon's place has its number, and counts on its own" {
	start_guest 1 5
	guest 5 write 100
	wait_for 20 connected r0
	ctl 1 upgrade
	guest 5 write 10
	[ "$(kthread_pid 1 5)" = "$(daemon_pid 1)" ]
	wait_for 10 at_least 1 5 $writes_done 1
	[ "$(counter 1 5 $writes_done)" -lt 100 ]
}

@test "P2 a guest with a disk of kind vbd3 migrates there and back under load" {
	start_guest 1 5
	guest 5 start mixed
	wait_for 10 writing 5 50
	migrate 1 2 5
	progress 6 50
	wait_for 10 at_least 2 6 $writes_done 1
	migrate 2 1 6
	progress 7 50
	wait_for 10 at_least 1 7 $writes_done 1
	guest 7 stop
	guest 7 verify
	guest_detach 7
	volumes_agree
}
