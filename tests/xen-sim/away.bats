#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest is started where the partner is not there: wfc-timeout, degr-wfc-timeout, on-wfc-timeout, wait-connect (docs/HANDOVER.md, R17).
load scenario.bash
teardown() { teardown_scenario; }

waiting_pair() { # STARTUP-OPTIONS
	CONFIG_COMMON="startup { $1 }"
	pair 1
}
lost_by() { # N
	wait_for 10 says "$1" '.connection.state == "Connecting"'
}
forced_by_wait() { # N
	says "$1" '.superblock_flags | index("forced") and index("forced_by_wait")'
}
never_forced() { # N
	says "$1" '.superblock_flags | index("forced") == null'
}
# Host 1 has lost power, with a guest that had nothing in flight; host 2 has everything that was answered.
holder_is_lost() {
	start_guest 1 5
	guest 5 write 50
	lost=$(now_ms)
	power_cut 1
	lost_by 2
}
exits() { # STATUS COMMAND...
	local status=0
	"${@:2}" >"$T/said" 2>&1 || status=$?
	cat "$T/said"
	[ $status = "$1" ]
}

@test "P2 a start waits for the partner as long as wfc-timeout says, and is refused with the way out" {
	waiting_pair "wfc-timeout 5;"
	holder_is_lost
	refused 2 6 "the partner dom0_1 is not connected .*was waited for for the 5 s of wfc-timeout, and it may have newer data.*primary --force r0'"
	[ $(($(now_ms) - lost)) -gt 5000 ]
	[ "$(refused_after)" -lt 9000 ]
	says 2 '.awaited == {option: "wfc-timeout", left_seconds: 0, then: "refuse"}'
	words_say 2 'a guest that is started waits for it no longer \(wfc-timeout is over\), and is refused'
	refused 2 7 'was waited for for the 5 s of wfc-timeout' # at once, now
	[ "$(refused_after)" -lt 4000 ]
	never_forced 2
	ctl 2 primary --force r0
	start_guest 2 8
	guest 8 verify
	says 2 '.superblock_flags | index("forced") and (index("forced_by_wait") | not)'
}

@test "P2 a start that waits gets the disk when the partner comes, and nothing is forced" {
	waiting_pair "wfc-timeout 25; on-wfc-timeout force-primary;"
	holder_is_lost
	beside start_guest 2 6
	wait_for 10 says 2 '.guest.attachment == "Claiming"'
	words_say 2 'a guest is being started, and waits for the partner, for [0-9]+ s more \(wfc-timeout\), and is then let go on alone, by force'
	power_on 1
	daemon 1
	wait "$beside"
	never_forced 2
	guest 6 verify
	guest 6 write 20
	done_with 6
}
done_with() { # DOMID
	guest "$1" verify
	guest_detach "$1"
	volumes_agree
}

@test "P2 with on-wfc-timeout force-primary a guest is started when the wait is over, status says so, and the old node becomes the target" {
	local epoch
	waiting_pair "wfc-timeout 4; on-wfc-timeout force-primary;"
	epoch=$(value_of 1 .token.epoch)
	holder_is_lost
	start_guest 2 6
	forced_by_wait 2
	says 2 ".token == {state: \"held\", epoch: ($epoch + 2), base: ($epoch + 2)}"
	words_say 2 "epoch $((epoch + 2)) was forced because of 'on-wfc-timeout force-primary'"
	[ "$(logged 2 'promoted by force, for on-wfc-timeout says so, and dom0_1 was waited for in vain')" = 1 ]
	guest 6 verify
	guest 6 write 30
	power_on 1
	daemon 1
	wait_for 30 in_sync
	says 1 '.token.state == "none"'
	never_forced 2
	done_with 6
	start_guest 1 7		# and the token moves as ever
	done_with 7
}

@test "P2 what was forced against a partner that went on is found as a split brain" {
	waiting_pair "wfc-timeout 3; on-wfc-timeout force-primary;"
	start_guest 1 5
	cut_link
	guest 5 write 20
	alone 1
	start_guest 2 6
	forced_by_wait 2
	guest 6 write 20
	join_link
	wait_for 20 says 1 '.connection.state == "StandAlone"'
	wait_for 20 words_say 2 'split brain'
	forced_by_wait 2
	says 1 '.role == "Primary" and .frozen == null'
	says 2 '.role == "Primary" and .frozen == null'
}

@test "P2 data that are outdated, or a mixture, are never forced" {
	waiting_pair "wfc-timeout 2; on-wfc-timeout force-primary;"
	cut_link
	lost_by 2
	ctl 2 outdate r0
	refused 2 6 "this node's copy is outdated: the newer data are over there"
	never_forced 2
	join_link
	wait_for 20 in_sync
	ctl 1 pause-sync r0
	ctl 2 invalidate r0
	wait_for 20 says 2 '.resync.state == "PausedSyncT"'
	cut_link
	lost_by 2
	refused 2 7 'not connected'
	never_forced 2
	join_link
	ctl 1 resume-sync r0
	wait_for 30 in_sync
}

@test "P2 after a run without the partner degr-wfc-timeout counts" {
	waiting_pair "wfc-timeout 200; degr-wfc-timeout 4;"
	start_guest 1 5
	cut_link
	guest 5 write 20
	alone 1
	power_cut 1
	power_on 1
	daemon 1
	wait_for 10 says 1 '.awaited.option == "degr-wfc-timeout"'
	refused 1 6 'was waited for for the 4 s of degr-wfc-timeout'
}

@test "P7 wait-connect ends with the connection, with the wait, and with a refusal" {
	waiting_pair "wfc-timeout 4;"
	exits 0 ctl 1 wait-connect all
	ctl 2 down r0
	exits 11 ctl 2 wait-connect r0
	grep -q "'backend-ctl up r0' starts it" "$T/said"
	exits 5 ctl 1 wait-connect --timeout 1 r0
	grep -q 'the wait is over (--timeout)' "$T/said"
	exits 5 ctl 1 wait-connect r0
	grep -q 'the partner dom0_2 is not connected .*the wait is over (wfc-timeout)' "$T/said"
	exits 0 ctl 1 wait-connect --at-boot all	# the partner left in good order: a guest would be started at once
	ctl 1 down r0
	exits 11 ctl 1 wait-connect --at-boot all
	sed -i 's/wfc-timeout 4;/wfc-timeout 60;/' "$T/host1/etc/drbdx.d/global_common.conf"
	ctl 1 up r0		# waits anew, for longer than the partner needs to come
	beside ctl 1 wait-connect r0
	ctl 2 up r0
	wait "$beside"
	wait_for 10 connected r0
}
