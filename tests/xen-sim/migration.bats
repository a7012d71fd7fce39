#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A running guest moves from host to host under load, and every way back (docs/HANDOVER.md).
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

# --- There, with the guest going on

@test "P2 a guest migrates there and back under load" {
	loaded
	migrate 1 2 5
	says 2 '.role == "Primary" and .guest.attachment == "Active"'
	wait_for 10 says 1 '.role == "Secondary" and .guest == null and .token.state == "none"'
	progress 6 50
	migrate 2 1 6
	says 1 '.role == "Primary" and .guest.attachment == "Active"'
	wait_for 10 says 2 '.role == "Secondary" and .guest == null and .token.state == "none"'
	well 7
}

@test "P2 a guest migrates ten times in a row under load" {
	local at=1 domid
	loaded
	for domid in 5 6 7 8 9 10 11 12 13 14; do
		migrate $at $((3 - at)) $domid
		at=$((3 - at))
	done
	says 1 '.token.epoch > 10 and .role == "Primary"'
	well 15
}

@test "P2 a guest of x86_32 migrates there and back under load, with requests on their way" {
	start_guest 1 5 r0 --protocol x86_32-abi --ring-order 2 --depth 64 --segments 40
	guest 5 start mixed
	wait_for 10 writing 5 50
	migrate 1 2 5
	progress 6 50
	migrate 2 1 6
	[ "$(on 1 xenstore-read /local/domain/7/device/vbd/51714/protocol)" = x86_32-abi ]
	well 7
}

@test "P5 the steps of a hand-over are timed at the destination" {
	loaded
	says 1 '.hand_over == null'
	migrate 1 2 5
	progress 6 1
	says 2 '.hand_over | .reserve_microseconds > 0 and .commit_microseconds > 0 and .first_request_microseconds > 0'
	well 6
}

@test "P5 the first writes after a hand-over find the destination's activity log warm" {
	start_guest 1 5
	guest 5 write 200
	says 1 '.activity_log.used == 4' # the volume's four extents
	says 2 '.activity_log | .used == 0 and .writes == 0'
	migrate 1 2 5
	wait_for 5 says 2 '.activity_log.used == 4'
	guest 6 write 200
	says 2 '.activity_log.writes == 1 and .token.base == .token.epoch'
	migrate 2 1 6
	guest 7 write 200
	says 1 '.activity_log | .used == 4 and .writes <= 5' # one for each extent, and one for what came back
	guest 7 verify
	guest_detach 7
	volumes_agree
}

@test "P3 the destination's frontend connects before the source is destroyed" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_unpause 6
	progress 6 30
	wait_for 5 says 1 '.guest.attachment == "Stale"'
	words_say 1 'this copy of the guest is stale: the guest has run on dom0_2 since; destroy it \(xl destroy\)'
	guest_destroy 5
	wait_for 5 says 1 '.guest == null'
	well 6
}

@test "P3 the source is destroyed before the destination's frontend connects" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_destroy 5
	wait_for 5 says 2 '.token.state == "held"'
	guest_unpause 6
	well 6
}

# Requests that the source's daemon has not even looked at when the guest stops are executed there before its copy asks again.
@test "P3 a ring full of requests that nobody consumed moves with the guest" {
	reserved_with_a_full_ring
	guest_unpause 6
	guest_destroy 5
	wait_for 60 answered_all 6	# 64 MiB, twice to one disk
	guest 6 set size 0
	guest 6 start mixed
	well 6
}

# --- The guest is resumed at its source

@test "P2 resumed at the source after add: the first request ends the reservation, and the copy is stale" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	says 1 '.reservation != null and .guest.attachment == "Active" and .token.state == "held"'
	words_say 1 'reserved for a guest that arrives on dom0_2; if it goes on here instead, its first request ends that'
	says 2 '.guest.attachment == "Reserved" and .token.state == "none"'
	words_say 2 'vm-r0--incoming .*is arriving from dom0_1, which has the disk until it runs here'
	guest_resume 5
	wait_for 5 says 1 '.reservation == null'
	wait_for 5 says 2 '.guest.attachment == "Stale"'
	words_say 2 'this copy of the guest is stale: the guest was resumed on dom0_1; destroy it \(xl destroy\)'
	progress 5 30
	guest_destroy 6
	well 5
}

@test "P7 resumed at the source with only old requests in the ring: they are answered, and the reservation stays" {
	reserved_with_a_full_ring
	guest_resume 5
	wait_for 60 answered_all 5	# 64 MiB, twice to one disk
	says 1 '.reservation != null'
	says 2 '.guest.attachment == "Reserved"'
	guest 5 set size 0
	guest 5 start mixed
	wait_for 5 says 1 '.reservation == null'
	wait_for 5 says 2 '.guest.attachment == "Stale"'
	guest_destroy 6
	well 5
}

@test "P2 resumed at the source, and the copy unpaused by mistake: its disk is refused in words" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_resume 5
	progress 5 20
	wait_for 5 says 2 '.guest.attachment == "Stale"'
	beside guest_unpause 6
	wait_for 10 device_says 2 'stale|resumed on dom0_1'
	says 2 '.role == "Secondary" and .guest.attachment == "Stale"'
	words_say 2 'this copy of the guest is stale: .*destroy it \(xl destroy\)'
	progress 5 20
	guest_destroy 6
	! wait "$beside" || false
	well 5
}

# Both are there when the source's daemon looks: COMMIT, and requests beyond the mark.
@test "P2 resumed at the source at the moment when the copy starts: the source goes on, and the copy is stale" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	kill -STOP "$(daemon_pid 1)"
	guest_resume 5
	wait_for 5 in_flight 5 16
	beside guest_unpause 6
	wait_for 10 says 2 '.guest.attachment == "Committing"'
	kill -CONT "$(daemon_pid 1)"
	wait_for 10 says 2 '.guest.attachment == "Stale"'
	says 1 '.token.state == "held" and .reservation == null'
	progress 5 30
	guest_destroy 6
	! wait "$beside" || false
	well 5
}

@test "P2 the copy is destroyed before it ran: the reservation is over, and the source goes on" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_destroy 6
	wait_for 5 says 1 '.reservation == null'
	guest_resume 5
	well 5
}

@test "P2 a second attempt to migrate, after the first was given up, succeeds" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_destroy 6
	guest_resume 5
	progress 5 20
	migrate 1 2 5
	well 6
}

# xl can leave a paused copy behind; it must not be in the way of the next attempt for longer than it takes to destroy it.
@test "P2 a copy that was left behind is stale, is named, and makes room when it is destroyed" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_resume 5
	wait_for 5 says 2 '.guest.attachment == "Stale"'
	guest_suspend 5
	refused_arrival 2 5 8 'already in use on dom0_2 by guest vm-r0--incoming'
	guest_destroy 6
	guest_receive 2 5 9
	guest_unpause 9
	guest_destroy 5
	well 9
}

@test "P2 resumed at the source after the hand-over, the destination never used: the token comes back" {
	handed_over_unused
	words_say 1 'vm-r0 .*was handed over to dom0_2 and is still attached here'
	guest_resume 5
	guest 5 start mixed
	wait_for 5 says 1 '.frozen.reason | test("resumed here after it had been handed over to dom0_2; the token comes back when its copy there is destroyed")'
	says 1 '.token.state != "held"'
	guest_destroy 6
	wait_for 5 says 1 '.token.state == "held" and .guest.attachment == "Active"'
	well 5
}

@test "P2 the destination, handed over and never used, is destroyed: the token goes back unasked, and the source goes on" {
	handed_over_unused
	guest_destroy 6
	wait_for 5 says 1 '.token.state == "held" and .guest.attachment == "Active"'
	guest_resume 5
	guest 5 start mixed
	well 5
}

@test "P2 resumed at the source after the destination was used: stale for ever, and the destination is served on" {
	local before
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_unpause 6
	progress 6 20
	guest_resume 5
	wait_for 5 says 1 '.guest.attachment == "Stale"'
	before=$(guest 5 status | guest_value writes)
	progress 6 50
	[ "$(guest 5 status | guest_value writes)" -le $((before + 16)) ]	# what had been answered before the hand-over
	guest_destroy 5
	wait_for 5 says 1 '.guest == null'
	well 6
}

# --- add is refused

@test "P2 a guest that is not suspended is not handed over, idle or busy" {
	start_guest 1 5
	guest 5 write 50
	refused_arrival 2 5 6 'domain 5 is not suspended: it still runs at its source'
	says 1 '.reservation == null'
	guest 5 start mixed
	progress 5 20
	refused_arrival 2 5 6 'not suspended: it (still )?runs at its source'
	says 1 '.reservation == null'
	well 5
}

@test "P2 another virtual machine is not given a suspended guest's disk" {
	loaded
	guest_suspend 5
	GUEST_UUID=00000000-0000-4000-8000-000000000099 GUEST_NAME=other--incoming refused 2 6 'guest vm-r0, which is another virtual machine'
	guest_resume 5
	well 5
}

@test "P2 a guest that only bears the suspended one's uuid, but is started, does not get its disk" {
	loaded
	guest_suspend 5
	GUEST_UUID=00000000-0000-4000-8000-000000000005 refused 2 6 'in use on dom0_1 by guest vm-r0'
	guest_resume 5
	well 5
}

@test "P7 while the partner cannot be reached add is refused within 9 s, and the source goes on after the heal" {
	loaded
	guest_suspend 5
	cut_link
	refused_arrival 2 5 6 'the partner dom0_1 (is not connected|did not answer the reservation)' 9000
	join_link
	guest_resume 5
	well 5
}

@test "P7 while the partner's daemon does not run add is refused within 9 s" {
	loaded
	guest_suspend 5
	stop_daemon 1
	refused_arrival 2 5 6 'the partner dom0_1 is not connected' 9000
	daemon 1
	wait_for 20 connected r0
	guest_resume 5
	well 5
}

@test "P2 without a guest at the partner none can arrive" {
	start_guest 1 5
	guest 5 write 50
	guest_detach 5
	guest_destroy 5
	GUEST_NAME=vm-r0--incoming refused 2 6 'no guest has it on dom0_1, so none can be arriving from there'
	GUEST_NAME=vm-r0--incoming refused 1 7 'dom0_1 holds the token itself'
	start_guest 2 8
	guest 8 verify
	volumes_agree
}

# What was unanswered in its ring is not known.
@test "P2 a source that cannot go on with its guest after a kill hands nothing over" {
	loaded
	guest_suspend 5
	kill_daemon 1
	on 1 rm /run/drbdx/minor-0.inflight
	daemon 1
	wait_for 20 connected r0
	wait_for 10 device_says 1 'has to be destroyed'
	refused_arrival 2 5 6 'no guest has r0 on dom0_1|in use on dom0_1|drbdxd on dom0_1 is being started'
	says 1 '.reservation == null'
}

# --- Connections and daemons break in the middle

@test "P7 cut after add and before the commit: the guest waits, in words, and goes on after the heal" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	cut_link
	beside guest_unpause 6
	wait_for 10 says 2 '.guest.attachment == "Committing" and (.frozen.reason | test("the partner dom0_1 is not connected"))'
	words_say 2 "the guest's I/O is frozen .*the partner dom0_1 is not connected"
	join_link
	wait "$beside"
	guest_destroy 5
	well 6
}

@test "P2 cut after add, and the source is resumed: the copy that waits is stale after the heal" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	cut_link
	wait_for 10 says 1 '.connection.state != "Connected"'
	guest_resume 5
	wait_for 5 says 1 '.reservation == null'
	beside guest_unpause 6
	wait_for 10 says 2 '.guest.attachment == "Committing"'
	join_link
	wait_for 20 says 2 '.guest.attachment == "Stale"'
	words_say 2 'this copy of the guest is stale: the guest went on at dom0_1 while the connection was lost'
	progress 5 30
	guest_destroy 6
	! wait "$beside" || false
	well 5
}

@test "P6 the destination's daemon killed during add: the add fails, and the source goes on" {
	loaded
	guest_suspend 5
	kill -STOP "$(daemon_pid 1)"
	beside guest_receive 2 5 6 2>"$T/refused"
	wait_for 5 says 2 '.guest.attachment == "Reserving"'
	kill_daemon 2
	kill -CONT "$(daemon_pid 1)"
	daemon 2
	! wait "$beside" || false
	cat "$T/refused"
	wait_for 20 connected r0
	guest_resume 5
	well 5
}

@test "P6 the destination's daemon killed after add: the next one goes on with the reservation" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	kill_daemon 2
	daemon 2
	wait_for 20 says 2 '.guest.attachment == "Reserved"'
	guest_unpause 6
	guest_destroy 5
	well 6
}

@test "P6 the destination's daemon restarted in order between add and commit" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	stop_daemon 2
	daemon 2
	wait_for 20 says 2 '.guest.attachment == "Reserved"'
	guest_unpause 6
	guest_destroy 5
	well 6
}

@test "P6 the source's daemon restarted in order between add and commit" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	stop_daemon 1
	daemon 1
	wait_for 20 connected r0
	guest_unpause 6
	guest_destroy 5
	well 6
}

@test "P6 the source's daemon restarted in order after add, and the guest resumed: its first request ends the reservation" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	stop_daemon 1
	daemon 1
	wait_for 20 connected r0
	says 1 '.reservation != null'
	guest_resume 5
	wait_for 5 says 1 '.reservation == null'
	wait_for 5 says 2 '.guest.attachment == "Stale"'
	guest_destroy 6
	well 5
}

@test "P6 the source's daemon restarted in order after the hand-over keeps the ring for the token's return" {
	handed_over_unused
	stop_daemon 1
	daemon 1
	wait_for 20 says 1 '.guest.attachment == "HandedOver"'
	guest_destroy 6
	wait_for 5 says 1 '.token.state == "held"'
	guest_resume 5
	guest 5 start mixed
	well 5
}

# --- A host loses power

power_returns() { # N
	power_on "$1"
	daemon "$1"
}

@test "P2 the source's host loses power when the guest is reserved: its copy waits in words, and goes on when the host is back" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	power_cut 1
	wait_for 10 disconnected 2
	words_say 2 'is arriving from dom0_1, which has the disk until it runs here'
	beside guest_unpause 6
	wait_for 10 says 2 '.guest.attachment == "Committing" and (.frozen.reason | test("this node does not have the token, and the partner dom0_1 is not connected"))'
	power_returns 1
	wait "$beside"
	survives 6
	well 6
}

@test "P1 the source's host loses power when the guest has arrived: the guest goes on alone, and the source follows" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_unpause 6
	progress 6 20
	power_cut 1
	wait_for 10 alone 2
	progress 6 20
	power_returns 1
	survives 6
	well 6
}

@test "P1 the destination's host loses power when the guest is reserved: resumed, it goes on alone at its source" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	power_cut 2
	guest_resume 5
	wait_for 10 alone 1
	progress 5 20
	says 1 '.reservation == null'
	power_returns 2
	well 5
}

@test "P2 the destination's host loses power when the guest has arrived: what is left at the source is stale, and a new start has everything" {
	loaded
	guest_suspend 5
	guest_receive 2 5 6
	guest_unpause 6
	progress 6 20
	power_cut 2
	wait_for 10 disconnected 1
	words_say 1 'this copy of the guest is stale: .*destroy it \(xl destroy\)'
	guest_destroy 5
	survives 6
	wait_for 10 says 1 '.guest == null'
	refused 1 7 'primary --force r0'
	ctl 1 primary --force r0
	start_guest 1 8
	guest 8 verify
	guest 8 start mixed
	power_returns 2
	well 8
}
