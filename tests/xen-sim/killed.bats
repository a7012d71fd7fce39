#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The daemon is killed under its guest: the next one finishes what was unanswered and goes on with the ring (docs/RESTART.md).
load scenario.bash
setup() { pair "${PAIR:-1}"; }
teardown() { teardown_scenario; }

again() { # N...: new daemons, until all are connected
	local n i
	for n in "$@"; do daemon "$n"; done
	for ((i = 0; i < RESOURCES; i++)); do wait_for 20 connected "r$i"; done
}
loaded_with_flushes() { # RES [OPTIONS...]
	start_with_flushes 5 "$@"
}
start_with_flushes() { # DOMID [RES [OPTIONS...]]
	start_guest 1 "$@"
	guest "$1" set flush 10
	guest "$1" start mixed
	wait_for 10 writing "$1" 50
}
# At random moments of its guest's load; then that is served as before.
primary_killed() { # TIMES DOMID
	local i
	for ((i = 0; i < $1; i++)); do
		progress "$2" $((RANDOM % 60))
		kill_daemon 1
		daemon 1
	done
	progress "$2" 50
	recovered 1
}
recovered() { says "$1" '.recovery == null and .guest.attachment == "Active"'; }
# The line of the log says of how many it was.
said_finished() { # N: how many requests altogether
	grep -oE '[0-9]+ requests of the earlier daemon were unanswered, finished again' "$T/host$1/log/drbdxd.log" | awk '{ n += $1 } END { print n + 0 }'
}
# The daemon is told where to die, and dies there.
die_at() { # N PLACE before|after COUNT
	echo "${*:2}" >"$T/host$1/die"
}

# --- at random moments

@test "P6 the Primary's daemon killed 20 times under load: its guest sees 20 pauses" {
	loaded_with_flushes r0 --ring-order 2 --depth 64
	primary_killed 20 5
	[ "$(said_finished 1)" -gt 100 ]
	[ "$(logged 1 'has to be destroyed')" = 0 ]
	finish 5
}

@test "P6 the same of a guest of x86_32, with a full ring, and with indirect segments" {
	local options
	for options in "--ring-order 2 --depth 128" "--segments 256 --depth 12"; do
		# shellcheck disable=SC2086
		loaded_with_flushes r0 --protocol x86_32-abi $options
		primary_killed 8 5
		finish 5
	done
	[ "$(said_finished 1)" -gt 20 ]
	[ "$(logged 1 'has to be destroyed')" = 0 ]
}

@test "P6 the same of Domain 0, which is its own guest" {
	start_with_flushes 0 r0 --ring-order 2 --depth 64
	primary_killed 8 0
	[ "$(said_finished 1)" -gt 20 ]
	finish 0
}

@test "P6 both daemons killed at once 10 times under load" {
	local i
	loaded_with_flushes
	for i in {1..10}; do
		progress 5 $((RANDOM % 60))
		kill -9 "$(daemon_pid 1)" "$(daemon_pid 2)"
		wait_for 5 daemon_gone 1
		wait_for 5 daemon_gone 2
		again $((i % 2 + 1)) $((2 - i % 2))
	done
	progress 5 50
	finish 5
}

@test "P6 either daemon killed 20 times under load, whether the other is back or not" {
	local i
	loaded_with_flushes
	for i in {1..20}; do
		kill_daemon $((RANDOM % 2 + 1))
		[ $((RANDOM % 3)) = 0 ] || progress_or_not
		for n in 1 2; do ! daemon_gone $n || daemon $n; done
	done
	wait_for 30 in_sync
	progress 5 50
	finish 5
}
progress_or_not() { # some answers, if there is a daemon for them
	daemon_gone 1 || progress 5 10
}

# Nothing but one request after the other: what is unanswered is one, or none.
@test "P6 a guest with one request in flight, and one with a full ring of 256" {
	local i
	start_guest 1 5 r0 --depth 1
	guest 5 set size 8
	guest 5 start mixed
	for i in {1..10}; do
		progress 5 $((RANDOM % 20))
		kill_daemon 1
		daemon 1
	done
	progress 5 20
	guest_is_well 5
	guest_detach 5
	volumes_agree
	start_guest 1 6 r0 --ring-order 3 --depth 256
	guest 6 start write
	for i in {1..6}; do
		progress 6 $((RANDOM % 50))
		kill_daemon 1
		daemon 1
	done
	progress 6 50
	[ "$(said_finished 1)" -gt 30 ]
	says 1 ".counters.ring | .finished_again > 0 and .answered > .consumed - 257"
	finish 6
}

# --- at each call that it makes for a ring

at_each() { # PLACE...
	local place when count
	loaded_with_flushes
	for place in "$@"; do
		for when in before after; do
			for count in 1 2 5 17; do
				die_at 1 $place $when $count
				wait_for 20 daemon_gone 1
				[ ! -e "$T/host1/die" ]
				daemon 1
				progress 5 20
			done
		done
	done
	recovered 1
	finish 5
}

@test "P6 killed before and after copies of data and notifications" { at_each copy notify; }
@test "P6 killed before and after the port is unmasked, and I/O submitted" { at_each unmask submit; }

@test "P6 killed while it attaches the ring that an earlier one left, and again" {
	local place when
	loaded_with_flushes
	for place in map bind notify copy submit; do
		for when in before after; do
			kill_daemon 1
			die_at 1 $place $when 1
			begin_daemon 1
			wait_for 20 daemon_gone 1
			daemon 1
			progress 5 20
		done
	done
	recovered 1
	finish 5
}
# As daemon, but it need not live until it answers.
begin_daemon() { # N
	"$XEN_SIM/host" exec "$1" "$T" "$BUILD/drbdxd" -f >>"$T/host$1/log/drbdxd.log" 2>&1 </dev/null 3>&- &
	echo $! >"$T/host$1/drbdxd.pid"
	disown $! 2>/dev/null || true
}

# --- with one copy

@test "P6 killed while the partner is away: the guest goes on alone after the grace, and what differs is copied later" {
	local i
	loaded_with_flushes
	kill_daemon 2
	wait_for 10 alone 1
	for i in 1 2 3; do
		progress 5 20
		kill_daemon 1
		daemon 1
	done
	progress 5 20
	says 1 '.alone != null'
	again 2
	finish 5
}

@test "P6 what waits while the partner is away is said: what it is, and for how long" {
	apart pair_down 0
	CONFIG_COMMON='disk { fencing resource-and-stonith; }' pair 1		# without a handler: it waits until a person says so
	loaded write
	cut_link
	kill_daemon 1
	daemon 1
	wait_for 10 says 1 '.recovery.requests > 0 and .recovery.age_seconds >= 0 and .frozen != null'
	words_say 1 '[0-9]+ requests? that an earlier drbdxd left unanswered (is|are) being finished'
	wait_for 10 says 1 '.frozen.reason // "" | test("resume-io r0")'
	ctl 1 resume-io r0
	wait_for 10 recovered 1
	progress 5 20
	join_link
	wait_for 30 in_sync
	finish 5
}

@test "P6 the source of a resync killed 6 times, with a guest that writes" {
	local i
	VOLUME_SIZE=64M resync_under_load
	for i in {1..6}; do
		progress 5 20
		kill_daemon 1
		again 1
	done
	progress 5 20
	finish 5
}
resync_under_load() {
	loaded_with_flushes
	kill_daemon 2
	wait_for 10 alone 1
	progress 5 200
	link delay 2 >/dev/null
	again 2
}

@test "P6 the guest's own disk is the target of a resync, and the daemon there is killed 6 times" {
	local i
	loaded_with_flushes
	link delay 2 >/dev/null
	ctl 1 invalidate r0
	wait_for 10 says 1 '.disk.state == "Inconsistent"'
	for i in {1..6}; do
		progress 5 20
		kill_daemon 1
		again 1
	done
	progress 5 20
	link delay 0 >/dev/null
	finish 5
}

@test "P6 without its own disk: the daemon is killed, and finds its disk again" {
	loaded_with_flushes
	ctl 1 detach r0
	wait_for 10 says 1 '.disk.state == "Diskless"'
	progress 5 20
	kill_daemon 1
	again 1
	progress 5 20
	finish 5
}

# --- two disks of one guest

@test "P6 a guest with two disks, both with requests in flight, killed 5 times" {
	local i
	pair_down_first
	pair 2
	start_guest 1 5 r0
	start_guest 1 5b r1
	guest 5 start mixed
	guest 5b start mixed
	for i in {1..5}; do
		progress 5 20
		progress 5b 20
		kill_daemon 1
		again 1
	done
	progress 5 20
	progress 5b 20
	guest_is_well 5b
	guest_detach 5b
	volumes_agree r1
	finish 5
}
pair_down_first() { apart pair_down 0; }

# --- xenstored is away at the same time

xenstored_path() { "$XEN_SIM/host" tools; }
@test "P6 killed together with xenstored, which comes back with its contents: the guest goes on then" {
	loaded_with_flushes
	on 1 xenstore-ls -f | grep -v '^/tool\|^/vm = ""\|^/local = ""' >"$T/contents"
	kill -9 "$(on 1 cat /run/xenstored/pid)" "$(daemon_pid 1)"
	wait_for 5 daemon_gone 1
	daemon 1		# it waits for xenstored
	wait_for 5 words_say 1 'xenstored has not answered'
	kill_daemon 1
	apart on 1 "$(xenstored_path)" --no-domain-init --no-access-log --config-file /run/xenstored/conf --pid-file /run/xenstored/pid
	sed -n 's/^\([^ ]*\) = "\(.*\)"$/\1\n\2/p' "$T/contents" | xargs -d '\n' "$XEN_SIM/host" exec 1 "$T" xenstore-write
	daemon 1
	progress 5 50
	finish_without_xenstore
}
# The guest's own watches went with the old xenstored.
finish_without_xenstore() {
	guest_is_well 5
	volumes_agree
}

# --- what the guest does meanwhile

@test "P6 the frontend closes while there is no daemon: the next one answers, and it can connect again" {
	loaded_with_flushes
	guest 5 stop >/dev/null
	kill_daemon 1
	beside guest 5 reconnect >"$T/reconnect"
	wait_for 5 frontend_state_is 1 5 5
	daemon 1
	wait "$beside"
	cat "$T/reconnect"
	grep -q '"ok":true' "$T/reconnect"
	guest 5 start mixed
	progress 5 50
	finish 5
}
frontend_state_is() { [ "$(on "$1" xenstore-read "/local/domain/$(domid_of "$2")/device/vbd/$(devid_of "$2")/state")" = "$3" ]; }

# kexec: the new kernel knows nothing of the old ring, and makes one at once.
@test "P6 the guest makes a new ring while there is no daemon: nothing of the old one is executed on it" {
	loaded_with_flushes
	kill_daemon 1
	guest 5 die
	next_frontend 5 --style jump4
	guest 5 start mixed
	daemon 1
	progress 5 50
	[ "$(said_finished 1)" = 0 ]
	[ "$(logged 1 'the frontend has made a new ring')" = 1 ]
	finish 5
}

@test "P6 the guest is destroyed while there is no daemon: the token is free, what was being written is compared, another guest starts" {
	loaded_with_flushes
	kill_daemon 1
	guest_destroy 5 || true		# libxl's remove finds no daemon
	again 1
	wait_for 10 says 1 '.guest == null'
	wait_for 10 on 1 sh -c '! ls /run/drbdx/minor-0.inflight*'
	wait_for 30 in_sync
	compare_volumes
	start_guest 2 6
	guest 6 write 50
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P6 a guest that gets the number of the one that was killed is another one" {
	loaded_with_flushes
	kill_daemon 1
	guest_destroy 5 || true
	on 1 "$SIM/blkfront-sim" domain --domid 5 create
	again 1
	wait_for 10 says 1 '.guest == null'
	start_guest 1 5
	guest 5 write 50
	[ "$(said_finished 1)" = 0 ]
	guest 5 verify
	guest_detach 5
	volumes_agree
}

# --- what cannot be gone on with

refused_until_destroyed() { # REGEX
	daemon 1
	wait_for 20 words_say 1 "$1"
	words_say 1 'has to be destroyed \(xl destroy\)'
	wait_for 20 in_sync
	says 1 '.guest == null and .token.state == "held"'
	# Neither is it served later, nor does the token leave: not for a start over there,
	GUEST_NAME=other refused 2 20 'an earlier daemon on dom0_1 left a guest attached|did not give the token|is being started'
	# nor by a daemon that is started in good order.
	stop_daemon 1
	again 1
	wait_for 20 words_say 1 'has to be destroyed \(xl destroy\)'
	! grep -q 'ATTACHING.*guest vm-r0' "$T/host1/log/drbdxd.log" || false
	guest_destroy 5 || true
	wait_for 10 says 1 '[.devices[]] == []'
	start_guest 1 8
	guest 8 write 50
	guest 8 verify
	guest_detach 8
	volumes_agree
}

@test "P6 the table of what was in flight is gone: the guest is refused, in words, until it is destroyed" {
	loaded write
	kill_daemon 1
	on 1 rm /run/drbdx/minor-0.inflight
	refused_until_destroyed 'not known what the earlier daemon left unanswered .*No such file'
}

@test "P4 the table is damaged: the guest is refused, in words, until it is destroyed" {
	loaded write
	kill_daemon 1
	on 1 sh -c 'printf "\\5" | dd of=/run/drbdx/minor-0.inflight bs=1 seek=4220 conv=notrunc 2>/dev/null'
	refused_until_destroyed 'not known what the earlier daemon left unanswered .*entry 0 is damaged'
}

@test "P6 the record of the attachment is gone: the guest is refused, in words" {
	loaded write
	kill_daemon 1
	on 1 rm /run/drbdx/minor-0.attachment
	daemon 1
	wait_for 20 words_say 1 'the record of its attachment is gone.*has to be destroyed'
	guest_destroy 5 || true
}

@test "P4 a table that does not fit the ring is refused, in words" {
	loaded write
	kill_daemon 1
	on 1 sh -c 'printf "\\377" | dd of=/run/drbdx/minor-0.inflight bs=1 seek=234 conv=notrunc 2>/dev/null'	# req_cons
	daemon 1
	wait_for 20 words_say 1 'does not fit the guest.s ring .*has to be destroyed'
	guest_destroy 5 || true
}

# --- in every step of a migration

killed_and_back() { # N
	kill_daemon "$1"
	again "$1"
}

# The link goes down when host N sends this packet, and is lost; then a daemon is killed, and all is well again.
killed_at() { # N PACKET KILLED
	wait_for 20 link_is_cut
	kill_daemon "$3"
	join_link
	again "$3"
}

@test "P6 the source's daemon killed while the guest is suspended and not reserved: it migrates" {
	loaded_with_flushes
	guest_suspend 5
	killed_and_back 1
	wait_for 10 says 1 '.guest.attachment == "Active"'
	guest_receive 2 5 6
	guest_unpause 6
	guest_destroy 5
	survives 6
	well 6
}

@test "P6 the source's daemon killed when the guest is reserved: what is unanswered is finished first, then the token is given" {
	reserved_with_a_full_ring kill_daemon 1
	again 1
	wait_for 10 says 1 '.reservation != null and .guest.attachment == "Active"'
	guest_unpause 6
	wait_for 20 says 2 '.guest.attachment == "Active"'
	[ "$(said_finished 1)" -gt 0 ]
	guest_destroy 5
	survives 6
	wait_for 60 answered_all 6
	guest 6 set size 0
	guest 6 start mixed
	well 6
}

@test "P6 the source's daemon killed when the guest is reserved, which is resumed then" {
	loaded_with_flushes
	guest_suspend 5
	guest_receive 2 5 6
	killed_and_back 1
	guest_resume 5
	progress 5 50
	wait_for 10 says 2 '.guest.attachment == "Stale"'
	guest_destroy 6
	well 5
}

@test "P6 the destination's daemon killed when the guest is reserved: it arrives" {
	loaded_with_flushes
	guest_suspend 5
	guest_receive 2 5 6
	killed_and_back 2
	wait_for 10 says 2 '.guest.attachment == "Reserved"'
	guest_unpause 6
	guest_destroy 5
	survives 6
	well 6
}

@test "P6 the source's daemon killed at GRANT: the guest goes on at its source" {
	loaded_with_flushes
	cut_at 1 GRANT
	guest_suspend 5
	! guest_receive 2 5 6 || false
	killed_at 1 GRANT 1
	guest_resume 5
	well 5
}

@test "P6 the source's daemon killed at COMMIT: the guest arrives" { killed_during_commit 2 COMMIT 1; }
@test "P6 the destination's daemon killed at COMMIT: the guest arrives" { killed_during_commit 2 COMMIT 2; }
@test "P6 the source's daemon killed at GIVE: the guest arrives" { killed_during_commit 1 GIVE 1; }
@test "P6 the destination's daemon killed at GIVE: the guest arrives" { killed_during_commit 1 GIVE 2; }
@test "P6 the destination's daemon killed at USED: the guest goes on there" { killed_during_commit 2 USED 2; }
@test "P6 the source's daemon killed at USED: the guest goes on at its destination" { killed_during_commit 2 USED 1; }
killed_during_commit() { # N PACKET KILLED
	loaded_with_flushes
	guest_suspend 5
	guest_receive 2 5 6
	cut_at "$1" "$2"
	beside guest_unpause 6
	killed_at "$1" "$2" "$3"
	wait "$beside"
	wait_for 20 says 2 '.guest.attachment == "Active"'
	guest_destroy 5
	survives 6
	well 6
}

@test "P6 the source's daemon killed when the guest was handed over, and xl fails afterwards: the guest comes back" {
	handed_over_unused
	killed_and_back 1
	wait_for 10 says 1 '.guest.attachment == "HandedOver"'
	guest_destroy 6
	guest_resume 5
	guest 5 write 50
	wait_for 10 says 1 '.guest.attachment == "Active"'
	guest 5 start mixed
	well 5
}

@test "P6 both daemons killed when the guest was handed over" {
	handed_over_unused
	kill_daemon 1
	kill_daemon 2
	again 1 2
	guest 6 write 50
	wait_for 10 says 1 '.guest.attachment == "Stale"'
	guest_destroy 5
	survives 6
	guest 6 start mixed
	well 6
}

@test "P6 a guest migrates ten times while daemons are killed between and during the steps" {
	local at=1 domid=5 i
	loaded_with_flushes
	for i in {1..10}; do
		kill_daemon $((RANDOM % 2 + 1))
		for n in 1 2; do ! daemon_gone $n || daemon $n; done
		wait_for 20 connected r0
		progress $domid 10
		wait_for 10 ready_to_migrate $at
		migrate $at $((3 - at)) $domid
		at=$((3 - at))
		domid=$((domid + 1))
		[ $((RANDOM % 2)) = 0 ] || killed_and_back $at
	done
	well $domid
}
ready_to_migrate() { says "$1" '.guest.attachment == "Active" and .recovery == null' && connected r0; }
