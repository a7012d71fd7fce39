#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Both nodes went on alone: who wins, by a person's word or by after-sb-*, and what the loser says (docs/PROTOCOL.md, section 7).
load scenario.bash
teardown() { teardown_scenario; }

# With these policies on both nodes.
pair_with() { # POLICIES
	CONFIG_COMMON="net { $1 }" pair 1
}
# What host 2 writes is another guest's story.
OTHER() { echo "$T/model.other"; }

# The node that held the token has a guest that has written so many blocks alone (and goes, unless it stays), then the other one is forced.
part() { # BLOCKS-ON-1 BLOCKS-ON-2 [stay-on-1] [stay-on-2] [still-cut]
	start_guest 1 5
	guest 5 write 20
	cp "$T/model.r0" "$(OTHER)"
	cut_link
	wait_for 10 disconnected 1
	wait_for 10 disconnected 2
	guest 5 set size 8
	[ "$1" = 0 ] || { guest 5 write "$1"; wait_for 5 alone 1; }
	[[ " $* " = *" stay-on-1 "* ]] || guest_detach 5
	ctl 2 primary --force r0
	if [ "$2" != 0 ] || [[ " $* " = *" stay-on-2 "* ]]; then
		GUEST_MODEL=$(OTHER) start_guest 2 7
		guest 7 set size 8
		[ "$2" = 0 ] || guest 7 write "$2"
		[[ " $* " = *" stay-on-2 "* ]] || guest_detach 7
	fi
	[[ " $* " = *" still-cut "* ]] || join_link
}
stands_alone() { says "$1" '.connection.state == "StandAlone" and .refused != null'; }
stay_apart() { # REGEX: both, in these words
	on_both wait_for_stand_alone
	words_say 1 "$1"
	words_say 2 "$1"
}
wait_for_stand_alone() { wait_for 20 stands_alone "$1"; }
# Both volumes are what the guest of this model knows.
all_have() { # MODEL
	wait_for 20 in_sync
	compare_volumes
	"$SIM/blkfront-sim" check-volume --model "$1" --volume "$T/host1/r0.img"
	one_token_held
}

@test "P2 a split brain is said on both nodes, and the node that held the token may be the one that gives up" {
	pair_with "after-sb-0pri disconnect;"
	part 5 5
	stay_apart 'split brain.*discard-my-data'
	ctl 1 connect --discard-my-data r0
	all_have "$(OTHER)"
}

@test "P2 both told to throw their changes away: neither does" {
	pair_with "after-sb-0pri disconnect;"
	part 5 5 still-cut
	ctl 1 connect --discard-my-data r0
	ctl 2 connect --discard-my-data r0
	join_link
	stay_apart 'split brain'
	ctl 2 connect --discard-my-data r0
	all_have "$T/model.r0"
}

@test "P2 after-sb-0pri discard-zero-changes: who wrote nothing follows by itself" {
	pair_with "after-sb-0pri discard-zero-changes;"
	part 5 0
	all_have "$T/model.r0"
}

@test "P2 after-sb-0pri discard-zero-changes: when both wrote, a person is asked" {
	pair_with "after-sb-0pri discard-zero-changes;"
	part 5 5
	stay_apart 'split brain.*after-sb-0pri does not decide it'
	ctl 2 connect --discard-my-data r0
	all_have "$T/model.r0"
}

@test "P2 after-sb-0pri discard-least-changes: who wrote more wins" {
	pair_with "after-sb-0pri discard-least-changes;"
	part 2 30
	all_have "$(OTHER)"
}

@test "P2 after-sb-0pri discard-younger-primary: who was Primary first wins, whatever it wrote" {
	pair_with "after-sb-0pri discard-younger-primary;"
	part 2 30
	all_have "$T/model.r0"
}

@test "P2 after-sb-0pri discard-older-primary: who was Primary last wins, whatever it wrote" {
	pair_with "after-sb-0pri discard-older-primary;"
	part 30 2
	all_have "$(OTHER)"
}

@test "P2 after-sb-1pri disconnect: beside a guest nothing is thrown away without a person" {
	pair_with "after-sb-0pri discard-younger-primary; after-sb-1pri disconnect;"
	part 5 5 stay-on-2
	stay_apart 'split brain.*after-sb-1pri is disconnect'
	guest 7 write 10
	ctl 1 connect --discard-my-data r0
	wait_for 20 in_sync
	guest 7 verify
	guest_detach 7
	all_have "$(OTHER)"
}

@test "P2 after-sb-1pri discard-secondary: the guest's node wins, and the guest goes on" {
	pair_with "after-sb-0pri disconnect; after-sb-1pri discard-secondary;"
	part 30 2 stay-on-2
	wait_for 20 in_sync
	guest 7 write 10
	guest 7 verify
	guest_detach 7
	all_have "$(OTHER)"
}

@test "P2 after-sb-1pri consensus: where after-sb-0pri would discard the guest's data, a person is asked" {
	pair_with "after-sb-0pri discard-younger-primary; after-sb-1pri consensus;"
	part 5 5 stay-on-2
	stay_apart "split brain.*after-sb-0pri would discard the Primary's data"
	guest 7 write 10
	guest 7 verify
}

@test "P2 after-sb-2pri disconnect: a guest on each node, and each goes on with its own data" {
	pair_with "after-sb-0pri discard-younger-primary; after-sb-2pri disconnect;"
	part 5 5 stay-on-1 stay-on-2
	stay_apart 'split brain.*after-sb-2pri is disconnect'
	guest 5 write 10
	guest 5 verify
	guest 7 write 10
	guest 7 verify
	guest_detach 7
	ctl 2 connect --discard-my-data r0
	wait_for 20 in_sync
	guest 5 verify
	guest_detach 5
	all_have "$T/model.r0"
}

# DRBD would demote the loser under its running guest; here it stays apart until the guest is shut down.
@test "P2 after-sb-2pri violently-as0p: a Primary that would lose keeps its guest until it is shut down, and then follows" {
	pair_with "after-sb-0pri discard-younger-primary; after-sb-2pri violently-as0p;"
	part 5 5 stay-on-1 stay-on-2
	on_both wait_for_stand_alone
	guest 7 write 5
	guest 7 verify
	guest_detach 7
	ctl 2 connect --discard-my-data r0
	wait_for 20 in_sync
	guest 5 verify
	guest_detach 5
	all_have "$T/model.r0"
}

@test "P2 policies that differ between the two nodes decide nothing" {
	CONFIG_COMMON="net { after-sb-0pri discard-younger-primary; }" apart setup_pair 1
	echo "global { usage-count no; } common { net { after-sb-0pri discard-older-primary; } }" >"$T/host2/etc/drbdx.d/global_common.conf"
	daemon 1
	daemon 2
	wait_for 20 connected r0
	part 5 5
	stay_apart 'split brain.*after-sb-0pri is not the same on both nodes'
	ctl 2 connect --discard-my-data r0
	all_have "$T/model.r0"
}
