#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Two nodes meet, part, and meet again: in order, at the wrong moment, and over bad networks.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

meetings_are() { # ON-1 ON-2
	[ "$(meetings 1) $(meetings 2)" = "$1 $2" ]
}
# Everything is as it should be after a meeting that was interfered with.
all_is_well() { # HOST DOMID: a guest that is started there
	wait_for 20 in_sync
	one_token_held
	start_guest "$1" "$2"
	guest "$2" write 20
	guest "$2" verify
	guest_detach "$2"
	volumes_agree
}
within() { # MILLISECONDS COMMAND...
	local begin
	begin=$(now_ms)
	"${@:2}" || return 1
	[ $(($(now_ms) - begin)) -lt "$1" ] || { fail "$(($(now_ms) - begin)) ms: ${*:2}"; return 1; }
}
a_while() { # MILLISECONDS: any time up to that; the moment is what is tested
	perl -e 'select undef, undef, undef, rand($ARGV[0]) / 1000' "$1"
}
descriptors() { find "/proc/$(daemon_pid "$1")/fd" -mindepth 1 | wc -l; }
threads() { cat "/proc/$(daemon_pid "$1")"/task/*/comm | grep -vc '^iou-'; }	# the kernel's own come and go
no_more_than() { # DESCRIPTORS THREADS: has the daemon of host 1
	[ "$(descriptors 1)" -le "$1" ] && [ "$(threads 1)" -le "$2" ]
}

@test "P7 two idle nodes meet once, and end in order without an incident" {
	stop_daemon 2
	stop_daemon 1
	meetings_are 1 1
	no_incident_but_the_end
	tail -n 1 "$T/host1/log/drbdxd.log" | grep -q 'drbdxd has stopped'
	tail -n 1 "$T/host2/log/drbdxd.log" | grep -q 'drbdxd has stopped'
}
no_incident_but_the_end() {
	sed -i '/is being stopped/d' "$T"/host?/log/drbdxd.log
	no_incident
}

@test "P2 the role goes to and fro again and again: always one writer, and never a second meeting" {
	local i host
	for i in 1 2 3 4 5 6; do
		host=$((i % 2 + 1))
		start_guest $host $((10 + i))
		says $host '.role == "Primary"'
		says $((3 - host)) '.role == "Secondary"'
		one_token_held
		guest $((10 + i)) write 10
		guest_detach $((10 + i))
	done
	meetings_are 1 1
	no_incident
	start_guest 1 30
	guest 30 verify
	guest_detach 30
	volumes_agree
}

@test "P7 up and down again and again, in whatever state, are answered and do no harm" {
	local i
	for i in 1 2 3; do
		ctl 1 up r0
		ctl 2 up r0
		ctl 2 down r0		# while it may be connecting
		ctl 2 down r0
		ctl 1 down r0
		ctl 1 down r0
		ctl 1 up r0
		ctl 2 up r0
	done
	run ctl 1 up nosuch
	[ "$status" = 10 ]
	all_is_well 2 5
}

@test "P4 a device that is added a second time is served on, as if nothing had happened" {
	loaded
	on 1 env XENBUS_PATH=backend/vbd/5/51714 "$BUILD/block-drbdx" add
	[ "$(node 1 5 hotplug-status)" = connected ]
	[ -z "$(node 1 5 hotplug-error)" ]
	stop_daemon 1
	! on 1 env XENBUS_PATH=backend/vbd/5/51714 "$BUILD/block-drbdx" add || false # without a daemon
	[ "$(node 1 5 hotplug-status)" = connected ]
	daemon 1
	finish 5
}

@test "P7 a resource that is taken down at any moment of looking for a lost partner leaves nothing behind" {
	local i descriptors threads
	power_cut 2
	ctl 1 down r0
	descriptors=$(descriptors 1) threads=$(threads 1)
	for i in $(seq 25); do
		ctl 1 up r0
		a_while 30
		within 3000 ctl 1 down r0
	done
	wait_for 5 no_more_than "$descriptors" "$threads"
	ctl 1 up r0
	power_on 2
	daemon 2
	all_is_well 1 5
}

# Host HOST sends it, it is lost, and the link with it.
meeting_cut_at() { # HOST PACKET
	ctl 2 down r0
	cut_at "$1" "$2"
	ctl 2 up r0
	wait_for 10 link_is_cut
	within 2000 ctl 1 pause-sync r0
	within 2000 ctl 1 resume-sync r0
}
# From the log: status says it until the next attempt ends.
attempts_given_up() { logged "$1" 'not finished within|nothing heard of'; }
gave_up_more_than() { [ "$(attempts_given_up "$1")" -gt "$2" ]; }
# Once the two are left to notice it by themselves, once a person takes the resource down meanwhile.
cut_at_every() { # PACKET
	local before1 before2
	before1=$(attempts_given_up 1) before2=$(attempts_given_up 2)
	meeting_cut_at 1 "$1"
	wait_for 10 gave_up_more_than 1 "$before1"
	wait_for 10 gave_up_more_than 2 "$before2"
	join_link
	wait_for 20 connected r0
	meeting_cut_at 2 "$1"
	within 3000 ctl 2 down r0
	join_link
	ctl 2 up r0
	all_is_well 2 5
}
@test "P7 a link that is cut at INTRO costs that meeting, and commands are answered meanwhile" { cut_at_every INTRO; }
@test "P7 a link that is cut at AUTH costs that meeting, and commands are answered meanwhile" { cut_at_every AUTH; }
@test "P7 a link that is cut at HELLO costs that meeting, and commands are answered meanwhile" { cut_at_every HELLO; }
@test "P7 a link that is cut at READY costs that meeting, and commands are answered meanwhile" { cut_at_every READY; }

@test "P1 a link that is cut when one node has told the other who is newer is no split brain" {
	local host
	start_guest 1 5
	for host in 1 2; do
		ctl 2 down r0
		guest 5 write 10
		wait_for 5 alone 1
		cut_at $host READY
		ctl 2 up r0
		wait_for 10 link_is_cut
		guest 5 write 10
		ctl 2 down r0
		join_link
		ctl 2 up r0
		wait_for 20 in_sync
	done
	! grep 'split brain' "$T"/host?/log/drbdxd.log || false
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P1 a guest that begins to write while the two are meeting does not part them" {
	local i
	start_guest 1 5
	link delay 15 >/dev/null
	for i in 1 2 3 4; do
		ctl 2 down r0
		beside ctl 2 up r0
		a_while 400
		guest 5 write 5
		wait "$beside"
		wait_for 20 in_sync
	done
	link delay 0 >/dev/null
	! grep 'split brain' "$T"/host?/log/drbdxd.log || false
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P7 both nodes going up and down at random end connected" {
	local i one
	for i in $(seq 10); do
		{ ctl 1 down r0; a_while 50; ctl 1 up r0; } 3>&- &
		one=$!
		{ ctl 2 down r0; a_while 50; ctl 2 up r0; } 3>&- &
		wait $one
		wait $!
	done
	all_is_well $((RANDOM % 2 + 1)) 5
}

@test "P7 a partner that is there and never answers costs a bounded time, and the next question is answered" {
	start_guest 1 5
	guest 5 write 20
	guest_suspend 5
	kill -STOP "$(daemon_pid 1)"
	refused_arrival 2 5 6 'dom0_1 did not answer the reservation' 9000
	kill -CONT "$(daemon_pid 1)"
	wait_for 20 connected r0
	guest_receive 2 5 7
	guest_unpause 7
	guest_destroy 5
	guest 7 start mixed
	well 7
}

@test "P7 a guest that is started while the two are just meeting is served in time" {
	stop_daemon 2
	link delay 80 >/dev/null
	kill -STOP "$(daemon_pid 1)"
	daemon 2
	beside start_guest 2 5
	wait_for 10 says 2 '.guest.attachment == "Claiming"'
	kill -CONT "$(daemon_pid 1)"
	within 8000 wait "$beside"		# the token is asked for over the connection that begins
	within 5000 guest 5 write 5
	link delay 0 >/dev/null
	wait_for 20 connected r0
	guest 5 start mixed
	progress 5 20
	finish 5
}

@test "P7 a network interface that goes away ends the connection, and its return mends it" {
	loaded
	on 2 ip link set eth1 down
	wait_for 10 alone 1
	progress 5 20
	wait_for 10 disconnected 2
	on 2 ip link set eth1 up
	wait_for 20 in_sync
	progress 5 20
	finish 5
}

@test "P3 large requests that travel in many small packets, some of them lost, are put together right" {
	on 1 ip link set eth1 mtu 576
	on 2 ip link set eth1 mtu 576
	start_guest 1 5 r0 --segments 256 --depth 8
	link loss 1 >/dev/null
	guest 5 set size 2048
	GUEST_TIMEOUT=120000 guest 5 write 12
	link loss 0 >/dev/null
	guest 5 set size 0
	guest 5 mixed 20
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P7 over a long and lossy way: connecting, a resync, a guest on either node, its migration" {
	link delay 20 >/dev/null
	link loss 1 >/dev/null
	start_guest 1 5
	ctl 2 down r0
	guest 5 write 20
	wait_for 5 alone 1
	ctl 2 up r0
	wait_for 30 in_sync
	migrate 1 2 5
	guest 6 write 10
	guest_detach 6
	start_guest 1 7
	guest 7 write 10
	link loss 0 >/dev/null
	link delay 0 >/dev/null
	guest 7 verify
	guest_detach 7
	volumes_agree
}

@test "P6 both daemons are restarted one after the other under a guest that migrates in between: only what was written meanwhile is copied" {
	loaded
	stop_daemon 2
	wait_for 10 alone 1
	progress 5 10
	daemon 2
	wait_for 30 in_sync
	[ "$(copied)" -lt 16777216 ]
	migrate 1 2 5
	stop_daemon 1
	wait_for 10 alone 2
	progress 6 10
	daemon 1
	wait_for 30 in_sync
	[ "$(copied)" -lt 16777216 ]
	well 6
}
