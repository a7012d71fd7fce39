#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The partner is fenced before a guest goes on without it (docs/DEGRADED.md, section 4; drbdx.conf(5), "Fencing").
load scenario.bash
teardown() { teardown_scenario; }

# The handlers of host N are $T/hostN/fence-peer and unfence-peer: found by the volume in their environment.
fencing_pair() { # POLICY
	# shellcheck disable=SC2016
	CONFIG_COMMON='disk { fencing '$1'; } handlers { fence-peer "exec $(dirname $DRBD_LL_DISK)/fence-peer"; unfence-peer "exec $(dirname $DRBD_LL_DISK)/unfence-peer"; }'
	pair 1
	fence_exits 1 1
	fence_exits 2 1
	script 1 unfence-peer 'echo called >>unfenced'
	script 2 unfence-peer 'echo called >>unfenced'
}

script() { # N NAME COMMANDS
	printf '#!/bin/sh\ncd %s || exit 99\n%s\n' "$T/host$1" "$3" >"$T/host$1/$2.new"
	chmod +x "$T/host$1/$2.new"
	mv "$T/host$1/$2.new" "$T/host$1/$2"
}
fence_exits() { # N STATUS
	script "$1" fence-peer "env >env; echo called >>fenced; exit $2"
}
# Runs until it is told how to end.
fence_hangs() { # N
	rm -f "$T/host$1/answer"
	mkfifo "$T/host$1/answer"
	script "$1" fence-peer 'echo called >>fenced; exec 3>&- 9>&-; read status <answer; exit $status'
}
fence_ends() { # N STATUS
	apart timeout 10 sh -c "echo $2 >'$T/host$1/answer'"
}
# fence-peer-ssh as shipped, over a network of its own.
fence_by_ssh() { # N
	mkdir -p "$T/host$1/bin"
	printf '#!/bin/sh\nDRBDX_BUILD=%s exec %s/host exec %d %s %s/backend-ctl outdate r0\n' "$BUILD" "$XEN_SIM" $((3 - $1)) "$T" "$BUILD" >"$T/host$1/bin/ssh"
	chmod +x "$T/host$1/bin/ssh"
	script "$1" fence-peer "echo called >>fenced; PATH=\$PWD/bin:\$PATH exec $TOP/hotplug/handlers/fence-peer-ssh"
}

calls() { # N FILE NUMBER
	[ "$(cat "$T/host$1/$2" 2>/dev/null | wc -l)" = "$3" ]
}
stands_still() { # DOMID: nothing is answered any more
	local ops
	ops=$(guest "$1" status | guest_value ops)
	! wait_for 1 writing "$1" $((ops + 1)) 2>/dev/null
}
lost() { # N...: the connection, so many hosts know
	local h
	for h; do
		wait_for 10 says "$h" '.connection.state == "Connecting"'
	done
}
back() {
	join_link
	wait_for 30 in_sync
}
# A guest ran on host 1 and is gone; both are up to date.
idle_pair() { # POLICY
	fencing_pair "$1"
	start_guest 1 5
	guest 5 write 20
	guest_detach 5
	wait_for 10 in_sync
}

@test "P2 resource-and-stonith: the guest is frozen until fence-peer ends with 3, 4, 5 or 7, and goes on then" {
	local status calls=0
	fencing_pair resource-and-stonith
	loaded
	for status in 3 4 5 7; do
		fence_hangs 1
		cut_link
		calls=$((calls + 1))
		wait_for 10 calls 1 fenced $calls
		says 1 '.fencing.state == "running" and (.frozen.reason | test("its fencing is under way.*resume-io r0"))'
		stands_still 5
		says 1 '.alone == null'
		fence_ends 1 $status
		wait_for 10 alone 1
		progress 5 50
		says 1 '.fencing.state == "done" and .frozen == null'
		if [ $status = 5 ]; then
			says 1 '.peer_disk.state == "DUnknown"'
		else
			says 1 '.peer_disk.state == "Outdated" and (.superblock_flags | index("peer_outdated"))'
		fi
		back
		says 1 '.fencing == null and (.superblock_flags | index("peer_outdated") | not)'
	done
	calls 1 fenced 4
	calls 2 fenced 0
	finish 5
}

@test "P2 resource-and-stonith: a handler that fails leaves the guest frozen, in words, until a person lets it go on" {
	fencing_pair resource-and-stonith
	loaded
	fence_exits 1 1
	cut_link
	wait_for 10 says 1 '.fencing.state == "failed"'
	says 1 '.frozen.reason | test("could not be fenced: the handler is broken.*backend-ctl resume-io r0")'
	words_say 1 'dom0_2 is not fenced: the handler is broken'
	stands_still 5
	calls 1 fenced 1
	ctl 1 resume-io r0
	wait_for 10 alone 1
	progress 5 50
	says 1 '.fencing.why == "a person said so" and (.superblock_flags | index("peer_outdated") | not)'
	back
	finish 5
}

@test "P2 exit 6: the partner is Primary, so this copy is the outdated one, and the guest is frozen until it is shut down" {
	fencing_pair resource-and-stonith
	loaded write
	fence_exits 1 6
	cut_link
	wait_for 10 says 1 '.disk.state == "Outdated"'
	says 1 '.frozen.reason | test("copy is outdated.*the partner is Primary.*destroy the guest here.*primary --force r0")'
	run ctl 1 resume-io r0
	stands_still 5
	guest_destroy 5 || true
	# What it had asked for waits; each refusal names the next step, up to a guest on what is here.
	refused 1 6 "last writes of guest vm-r0 .* are still being finished.*'backend-ctl status r0'"
	words_say 1 "'systemctl restart drbdxd' gives them up"
	run ctl 1 primary --force r0
	[[ "$output" == *"'systemctl restart drbdxd'"* ]]
	stop_daemon 1
	daemon 1
	refused 1 7 "copy is outdated: the newer data are over there.*'backend-ctl primary --force r0'"
	ctl 1 primary --force r0
	start_guest 1 8
	guest 8 write 10
}

@test "resource-only: the guest goes on while fence-peer runs, and status says since when" {
	fencing_pair resource-only
	loaded
	fence_hangs 1
	cut_link
	wait_for 10 calls 1 fenced 1
	wait_for 10 alone 1
	progress 5 50
	words_say 1 'fence-peer has been running for [0-9]+ s, to fence dom0_2'
	fence_ends 1 4
	wait_for 10 says 1 '.fencing.state == "done" and .peer_disk.state == "Outdated"'
	progress 5 50
	back
	finish 5
}

@test "P7 the partner comes back while fence-peer hangs: the guest goes on, and what the handler says then is about nothing any more" {
	fencing_pair resource-and-stonith
	loaded
	fence_hangs 1
	cut_link
	wait_for 10 calls 1 fenced 1
	says 1 '.frozen != null'
	join_link
	wait_for 20 connected r0
	progress 5 50
	cut_link
	wait_for 10 says 1 '.fencing.state == "running"'
	calls 1 fenced 1				# one at a time
	fence_ends 1 4					# the answer to the first question
	wait_for 10 calls 1 fenced 2
	says 1 '.fencing.state == "running" and .frozen != null'
	stands_still 5
	fence_ends 1 7
	wait_for 10 alone 1
	progress 5 50
	back
	finish 5
}

@test "a partner whose daemon is restarted is not fenced" {
	fencing_pair resource-and-stonith
	loaded
	kill_daemon 2
	daemon 2
	wait_for 20 in_sync
	progress 5 50
	ctl 2 invalidate r0
	wait_for 30 in_sync
	calls 1 fenced 0
	finish 5
}

@test "unfence-peer is run once when both are up to date again, also where nothing had to be copied" {
	fencing_pair resource-and-stonith
	loaded
	fence_exits 1 7
	cut_link
	wait_for 10 alone 1
	progress 5 50
	calls 1 unfenced 0
	back
	wait_for 10 calls 1 unfenced 1
	calls 2 unfenced 0
	guest 5 stop
	cut_link					# an idle guest: no generation of its own
	wait_for 10 says 1 '.fencing.state == "done" and .alone == null'
	back
	wait_for 10 calls 1 unfenced 2
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "the handler has DRBD's environment" {
	fencing_pair resource-only
	loaded
	cut_link
	wait_for 10 says 1 '.fencing.state == "failed"'
	for variable in DRBD_RESOURCE=r0 DRBD_PEER=dom0_2 DRBD_PEERS=dom0_2 DRBD_PEER_AF=ipv4 DRBD_PEER_ADDRESS=192.168.0.54 DRBD_MINOR=0 \
		DRBD_VOLUME=0 "DRBD_LL_DISK=$T/host1/r0.img" DRBD_CONF=/etc/drbdx.conf PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/; do
		grep -qx "$variable" "$T/host1/env" || { fail "not in the environment: $variable"; cat "$T/host1/env"; return 1; }
	done
	back
	finish 5
}

@test "fencing without a handler is said by check, and by status when it matters" {
	CONFIG_COMMON='disk { fencing resource-and-stonith; }' pair 1
	run ctl 1 check
	[[ "$output" == *"fencing resource-and-stonith without a handler fence-peer"*"resume-io"* ]]
	loaded
	cut_link
	wait_for 10 says 1 '.frozen.reason // "" | test("no handler fence-peer is configured.*resume-io r0")'
	stands_still 5
	ctl 1 resume-io r0
	wait_for 10 alone 1
	progress 5 50
	back
	finish 5
}

@test "P2 the other host starts the guest without a person once the partner is fenced" {
	idle_pair resource-only
	power_cut 1
	lost 2
	fence_exits 2 7
	start_guest 2 6
	calls 2 fenced 1
	says 2 '(.superblock_flags | index("forced") | not) and (.superblock_flags | index("peer_outdated"))'
	guest 6 verify
	guest 6 write 50
	power_on 1
	daemon 1
	wait_for 30 in_sync
	says 1 '.token.state != "held"'
	wait_for 10 calls 2 unfenced 1
	guest_detach 6
	volumes_agree
}

@test "P2 a start without the partner is refused when fencing fails, runs the handler once for each start, and names the way out" {
	idle_pair resource-only
	power_cut 1
	lost 2
	fence_exits 2 1
	refused 2 6 "not connected, and it could not be fenced: the handler is broken.*'backend-ctl primary --force r0'"
	refused 2 7 "could not be fenced"
	calls 2 fenced 2
	fence_hangs 2
	apart refused 2 8 "fence-peer, which is to fence it, has been running for 1[0-9] s: try again"
	fence_ends 2 5
	wait_for 10 says 2 '.fencing.state == "done"'
	start_guest 2 9					# the answer is still good
	calls 2 fenced 3
	guest 9 verify
}

@test "P2 the certain holder, too, fences its partner before a guest is started without it" {
	idle_pair resource-only
	cut_link
	lost 1
	fence_exits 1 1
	refused 1 6 "could not be fenced"
	run ctl 1 primary --force r0
	[[ "$output" == *"the partner counts as fenced, for you said so"* ]]
	start_guest 1 7
	guest 7 write 20
	calls 1 fenced 1
	guest_detach 7
	back
	calls 1 fenced 1
	volumes_agree
}

@test "P2 a node that was restarted since the two met may not fence its way to a start" {
	idle_pair resource-only
	cut_link
	lost 2
	power_cut 2
	power_on 2
	daemon 2
	fence_exits 2 7
	refused 2 6 "'backend-ctl primary --force r0'"
	calls 2 fenced 0
}

@test "P2 fence-peer-ssh outdates the partner, which refuses the guest from then on; this host starts it also after a power cut" {
	fencing_pair resource-and-stonith
	loaded write
	fence_by_ssh 1
	fence_by_ssh 2
	cut_link
	wait_for 10 alone 1
	progress 5 50
	says 2 '.disk.state == "Outdated" and (.superblock_flags | index("outdated"))'
	guest 5 stop
	refused 2 6 "copy is outdated: the newer data are over there; start the guest there.*'backend-ctl primary --force r0'"
	calls 2 fenced 0
	power_cut 1
	power_on 1
	daemon 1
	says 1 '.disk.state == "UpToDate" and .fencing.state == "done"'
	start_guest 1 7
	guest 7 verify
	guest 7 write 50
	calls 1 fenced 1
	back
	says 2 '.superblock_flags | index("outdated") | not'
	guest 7 verify
	guest_detach 7
	volumes_agree
}

@test "P2 fence-peer-ssh finds the partner Primary: the guest is not started, and the copy is outdated from then on" {
	fencing_pair resource-only
	fence_by_ssh 1
	fence_by_ssh 2
	loaded
	fence_exits 1 1
	cut_link
	lost 2
	refused 2 6 "the partner is Primary"
	says 2 '.disk.state == "Outdated"'
	progress 5 50
	back
	finish 5
}

@test "P6 an orderly restart of the daemon under a guest that goes on alone fences the partner again, or knows that it is fenced" {
	fencing_pair resource-and-stonith
	loaded
	fence_exits 1 5
	cut_link
	wait_for 10 alone 1
	stop_daemon 1 20
	daemon 1
	wait_for 15 calls 1 fenced 2			# unreachable is not for good
	progress 5 20
	back
	fence_exits 1 4
	cut_link
	wait_for 10 alone 1
	stop_daemon 1 20
	daemon 1
	progress 5 20
	calls 1 fenced 3
	back
	finish 5
}

# --- the partner leaves in good order (D20)

# Host 2 leaves by COMMAND while the guest of host 1 writes, and is away for longer than it takes to be fenced.
leaves() { # COMMAND THAT-BRINGS-IT-BACK
	waits_less_than 1500 mixed "$1; goes_on_without_the_one_that_left" "$2; wait_for 30 in_sync"
}
goes_on_without_the_one_that_left() {
	wait_for 10 alone 1
	progress 5 50
	says 1 '.fencing.state == "done" and .fencing.why == "it left in good order, and is outdated" and .peer_disk.state == "Outdated" and .frozen == null'
	wait_for 10 says 1 '.connection.age_seconds >= 3'
}
its_copy_is_outdated() { # N
	ctl "$1" show-gi r0 | grep -qE '(^|[^-])outdated  *yes'
}
one_copy_is_good() {
	! its_copy_is_outdated 1 || ! its_copy_is_outdated 2
}

@test "P2 a partner that leaves in good order is not fenced, and is up to date again when it is back; one whose daemon is killed is fenced" {
	fencing_pair resource-and-stonith
	start_guest 1 5
	leaves 'ctl 2 down r0' 'ctl 2 up r0'
	its_copy_is_outdated 2
	words_say 1 'dom0_2 counts as fenced: it left in good order, and is outdated'
	ctl 2 up r0
	wait_for 30 in_sync
	leaves 'stop_daemon 2' 'daemon 2'		# as for an upgrade
	daemon 2
	wait_for 30 in_sync
	on_both says '.fencing == null and (.superblock_flags | index("outdated") or index("peer_outdated") | not)'
	calls 1 fenced 0
	guest 5 start mixed
	fence_exits 1 4
	kill_daemon 2
	wait_for 10 calls 1 fenced 1
	progress 5 50
	daemon 2
	wait_for 30 in_sync
	finish 5
}

@test "P2 resource-only: a partner that leaves in good order is not fenced; what it says is durable, and gets lost if the link is cut" {
	fencing_pair resource-only
	start_guest 1 5
	leaves 'stop_daemon 2' 'daemon 2'
	calls 1 fenced 0
	daemon 2
	wait_for 30 in_sync
	cut_at 2 LEAVING
	stop_daemon 2
	wait_for 10 link_is_cut
	its_copy_is_outdated 2
	wait_for 10 calls 1 fenced 1
	daemon 2
	says 2 '.disk.state == "Outdated"'
	back
	guest_detach 5
	volumes_agree
}

@test "P2 an idle holder that leaves in good order gives the right to write, and the other host starts the guest without fencing it" {
	idle_pair resource-and-stonith
	says 1 '.token.state == "held"'
	stop_daemon 1
	its_copy_is_outdated 1
	wait_for 10 says 2 '.connection.age_seconds >= 3'
	start_guest 2 6
	guest 6 verify
	guest 6 write 50
	calls 2 fenced 0
	daemon 1
	wait_for 30 in_sync
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P2 a guest is started without the partner that has left, also after a power cut; the copy that was left is refused" {
	idle_pair resource-and-stonith
	stop_daemon 2
	power_cut 1
	power_on 1
	daemon 1
	start_guest 1 6
	guest 6 write 50
	calls 1 fenced 0
	cut_link
	daemon 2
	refused 2 7 "copy is outdated: the newer data are over there"
	calls 2 fenced 0
	back
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P2 two that leave at once are not both outdated: they meet again by themselves" {
	local i
	idle_pair resource-and-stonith
	for i in 1 2 3 4 5; do
		kill "$(daemon_pid 1)" "$(daemon_pid 2)"
		wait_for 20 daemon_gone 1
		wait_for 20 daemon_gone 2
		one_copy_is_good
		daemon 1
		daemon 2
		wait_for 30 in_sync
	done
	on_both calls fenced 0
	volumes_agree
}

status_of_outdate() { # STATUS N [REGEX]
	local status=0
	ctl "$2" outdate r0 >"$T/outdate" 2>&1 || status=$?
	[ $status = "$1" ] && { [ -z "${3-}" ] || grep -qE "$3" "$T/outdate"; } || { fail "outdate ended with $status, in words:"; cat "$T/outdate"; return 1; }
}

@test "outdate ends as DRBD's does: 0, 17 where the newest data are, 11 while the two agree" {
	fencing_pair dont-care
	status_of_outdate 11 2 'connected with dom0_1'
	loaded
	cut_link
	lost 2
	wait_for 10 alone 1
	status_of_outdate 17 1 'r0: in use on dom0_1 by guest vm-r0'
	status_of_outdate 0 2
	status_of_outdate 0 2 'outdated already'
	says 2 '.disk.state == "Outdated"'
	guest_is_well 5
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	status_of_outdate 17 1 'has data that dom0_2 lacks'
	back
	volumes_agree
}

@test "outdate works on a resource that is down, and without a daemon" {
	idle_pair dont-care
	ctl 2 down r0
	status_of_outdate 0 2 'marked as outdated, while it is down'
	ctl 2 up r0
	wait_for 30 in_sync
	stop_daemon 2
	status_of_outdate 0 2 'marked as outdated'
	status_of_outdate 0 2
	ctl 2 show-gi r0 | grep -qE '(^|[^-])outdated  *yes'
	daemon 2
	wait_for 30 in_sync
	start_guest 1 0 # Domain 0 is one as well
	guest 0 write 10
	stop_daemon 1
	status_of_outdate 17 1 'a guest is attached'
	daemon 1
	guest 0 verify
	guest_detach 0
	start_guest 1 6
	stop_daemon 1
	status_of_outdate 17 1 'a guest is attached'
	daemon 1
	guest 6 verify
	ctl 2 down r0
	ctl 2 wipe-md --force r0
	ctl 2 create-md r0
	status_of_outdate 5 2 'not even outdated'
}
