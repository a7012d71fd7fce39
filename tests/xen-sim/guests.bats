#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What a guest sees of its disk, on one host and then on the other.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

@test "P1 a guest's writes are on both volumes, byte for byte" {
	start_guest 1 5
	guest 5 write 500
	guest 5 mixed 500
	guest 5 verify
	# Both have it as soon as it was answered, not only when the guest is gone.
	volumes_agree
	guest_detach 5
	volumes_agree
}

@test "P2 a guest that was shut down starts on the other host and finds its data" {
	start_guest 1 5
	guest 5 write 300
	guest_detach 5
	start_guest 2 6
	says 2 '.role == "Primary" and .token.state == "held"'
	says 1 '.role == "Secondary" and .token.state == "given"'
	guest 6 verify
	guest 6 mixed 300
	guest_destroy 6
	start_guest 1 7
	guest 7 verify
	guest_detach 7
	volumes_agree
}
