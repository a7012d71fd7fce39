#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Metadata in other places than a slot, and what backend-ctl does with them (docs/METADATA.md).
load scenario.bash
setup() { apart setup_pair; }
teardown() { teardown_scenario; }

# Bound mounts are of the file: rewrite it in place.
meta_disk() { # PLACE: instead of the slot, on both hosts
	local h text
	for h in 1 2; do
		text=$(sed "s#meta-disk .*#meta-disk $1;#" "$T/host$h/etc/drbdx.d/r0.res")
		printf '%s\n' "$text" >"$T/host$h/etc/drbdx.d/r0.res"
	done
}
serve() {
	daemon 1
	daemon 2
	wait_for 20 connected r0
	start_guest 1 5
	guest 5 write 100
	guest 5 verify
}

@test "P1 internal metadata: the guest's disk is shorter, and nothing of the metadata is the guest's" {
	local size
	size=$(stat -c %s "$T/host1/r0.img")
	meta_disk internal
	ctl 1 create-md --assume-clean r0 >"$T/out"
	ctl 2 create-md --assume-clean r0
	grep -q "the guest's disk will have $(((size - 40960) / 512)) sectors" "$T/out"
	serve
	says 1 ".disk.size_bytes == $((size - 40960))"
	[ "$(node 1 5 sectors)" = $(((size - 40960) / 512)) ]
	stop_daemon 1		# and once more
	daemon 1
	wait_for 20 connected r0
	guest 5 write 100
	guest 5 verify
	guest_detach 5
	cmp -n $((size - 40960)) "$T/host1/r0.img" "$T/host2/r0.img"
	ctl 1 down r0
	ctl 1 dump-md r0 | grep -qx 'layout internal;'
}

@test "P1 flexible metadata serve as a slot does, and are refused in another place" {
	local h
	for h in 1 2; do truncate -s 1M "$T/host$h/flexible.img"; done
	meta_disk "$T/host1/flexible.img"
	# each host has its own
	sed "s#host1/flexible#host2/flexible#" "$T/host2/etc/drbdx.d/r0.res" >"$T/res"
	cat "$T/res" >"$T/host2/etc/drbdx.d/r0.res"
	ctl 1 create-md --assume-clean r0
	ctl 2 create-md --assume-clean r0
	serve
	guest_detach 5
	volumes_agree
	ctl 1 down r0
	meta_disk "$T/host1/flexible.img[0]"
	truncate -s 128M "$T/host1/flexible.img"
	ctl 1 up r0
	wait_for 10 words_say 1 'made to be on a flexible metadata device'
}

@test "P2 a dump restored elsewhere goes on where the resource was" {
	serve
	guest_detach 5
	volumes_agree
	ctl 1 down r0
	ctl 1 dump-md r0 >"$T/dump"
	ctl 1 wipe-md r0
	run ctl 1 up r0
	wait_for 10 words_say 1 'no metadata of drbdx'
	ctl 1 down r0
	ctl 1 restore-md --force r0 "$T/dump"
	ctl 1 up r0
	wait_for 20 connected r0
	one_token_held
	start_guest 1 6
	guest 6 write 50
	guest_detach 6
	volumes_agree
}
