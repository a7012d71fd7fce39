#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that is taken away from its guest: in order and by force, also while nothing moves.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

# Ends within libxl's 10 s; how long it took is said.
within_10_s() { # COMMAND...
	local begin
	begin=$(now_ms)
	"$@" || { fail "$* failed"; return 1; }
	echo "$*: $(($(now_ms) - begin)) ms"
	[ $(($(now_ms) - begin)) -lt 10000 ]
}

# Neither its own disk nor the partner's can be reached.
frozen_under_load() {
	start_guest 1 5
	guest 5 start mixed
	wait_for 10 writing 5 50
	ctl 1 detach r0
	wait_for 10 says 1 '.disk.state == "Diskless" and .connection.state == "Connected"'
	progress 5 20
	cut_link
	wait_for 10 frozen 1 r0
}

@test "P7 an orderly detach ends within 10 s and frees the disk" {
	start_guest 1 5
	guest 5 write 100
	within_10_s guest_detach 5
	says 1 '.guest == null and .role == "Secondary" and (.devices | length) == 0'
	start_guest 2 6
	guest 6 verify
}

@test "P7 a guest that is destroyed while it is frozen is gone within 10 s" {
	frozen_under_load
	within_10_s guest_destroy 5
	join_link
	wait_for 20 connected r0
	wait_for 20 says 1 '.guest == null'
	ctl 1 attach r0
	wait_for 20 connected r0
	start_guest 2 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P2 what a destroyed guest left unfinished keeps the disk until it is finished" {
	frozen_under_load
	guest_destroy 5
	refused 1 7 'the partner dom0_2 is not connected|last writes of guest vm-r0 .* are still being finished|already in use on dom0_1'
	join_link
	wait_for 20 connected r0
	start_guest 1 6
	guest 6 verify
	guest_detach 6
	wait_for 10 says 1 '.guest == null'
	ctl 1 attach r0
	volumes_agree
}

@test "P7 an idle guest shuts down while the link is cut" {
	start_guest 1 5
	guest 5 write 100
	cut_link
	wait_for 10 says 1 '.connection.state != "Connected"'
	within_10_s guest_detach 5
	join_link
	wait_for 20 connected r0
	start_guest 2 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}

@test "P2 backend-ctl down is refused while a guest is attached, and names it" {
	start_guest 1 5
	guest 5 start mixed
	run ctl 1 down r0
	echo "$output"
	[ "$status" = 11 ]
	[[ "$output" == *"vm-r0"* ]]
	run ctl 1 down all
	[ "$status" = 11 ]
	sed -i 's|net {|net { ping-int 9;|' "$T/host1/etc/drbdx.d/r0.res"
	run ctl 1 up r0 # what applies a changed file under a guest
	echo "$output"
	[ "$status" != 0 ]
	[[ "$output" == *"'backend-ctl up r0' apply the new one, or, under a guest, 'systemctl restart drbdxd'"* ]]
	progress 5 20
	finish 5
	ctl 1 down r0
	says 1 '.up == false'
	words_say 1 'r0: down'
}

@test "P7 the partner taken down does not stop the guest, and up lets it follow" {
	start_guest 1 5
	guest 5 start mixed
	wait_for 10 writing 5 50
	ctl 2 down r0
	wait_for 10 alone 1
	progress 5 20
	ctl 2 up r0
	wait_for 20 connected r0
	progress 5 20
	finish 5
}

@test "P4 a guest that crashes leaves its disk to the next one" {
	start_guest 1 5
	guest 5 start mixed
	wait_for 10 writing 5 50
	guest 5 die
	guest_destroy 5
	start_guest 1 6
	guest 6 verify
	guest_detach 6
	volumes_agree
}
