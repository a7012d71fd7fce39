#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# backend-ctl: what it says, and its exit status (docs/man/backend-ctl.8, docs/CONTROL.md).
load scenario.bash
setup() { apart setup_pair 2; }
teardown() { teardown_scenario; }

both() {
	daemon 1
	daemon 2
	wait_for 20 connected r0
	wait_for 20 connected r1
}
config() { echo "$T/host${1:-1}/etc/drbdx.d/r0.res"; }
# Bound mounts are of the file: rewrite it in place.
edit() { # SED-SCRIPT [N]
	local text
	text=$(sed "$1" "$(config "${2:-1}")")
	printf '%s\n' "$text" >"$(config "${2:-1}")"
}

@test "P7 status as text is a table with what is wrong in words below" {
	both
	ctl 1 status >"$T/words"
	head -n 1 "$T/words" | grep -qE '^RESOURCE +ROLE +CONNECTION +DISK +PEER DISK +RESYNC +EPOCH +IN FLIGHT +GUEST'
	grep -qE '^r0 +Secondary +Connected +UpToDate +UpToDate' "$T/words"
	[ "$(wc -l <"$T/words")" = 3 ]
	start_guest 1 5 r1
	ctl 1 status r1 >"$T/words"
	grep -qE '^r1 +Primary .*guest vm-r1' "$T/words"
	! grep -q '^r0' "$T/words"
}

@test "P7 status as JSON has the keys of docs/CONTROL.md" {
	both
	start_guest 1 5 r0
	guest 5 write 20
	ctl 1 status --json >"$T/json"
	jq -e '.schema == 2 and .host == "dom0_1" and (.resources | length) == 2 and .xenstored_problem == null' "$T/json"
	jq -e '.resources[0] | has("name") and has("minor") and has("up") and has("config_refused") and has("role") and has("peer_role") and
		has("connection") and has("disk") and has("peer_disk") and has("token") and has("generations") and has("superblock_flags") and
		has("guest") and has("frozen") and has("refused") and has("in_flight") and has("counters") and has("devices") and has("resync") and has("out_of_sync") and has("alone")' "$T/json"
	jq -e '.resources[0] | .role == "Primary" and .peer_role == "Secondary" and .guest.attachment == "Active" and .counters.writes == 20 and
		.disk.size_bytes == 16777216 and .peer_disk.state == "UpToDate" and (.superblock_flags | index("in_use"))' "$T/json"
	jq -e '.resources[0].devices[0] | .path == "backend/vbd/5/51714" and .domid == 5 and .ring and .backend_state == "Connected"' "$T/json"
	ctl 1 status r1 --json | jq -e '.resources | length == 1 and .[0].name == "r1"'
}

@test "P7 exit status 1, 10, 11 and 20 mean what the man page says" {
	local s
	code() { local s=0; ctl 1 "$@" >"$T/out" 2>&1 || s=$?; echo "$s"; }
	[ "$(code status)" = 20 ]
	grep -q 'drbdxd is not running' "$T/out"
	[ "$(code up r0)" = 20 ]
	both
	[ "$(code status)" = 0 ]
	[ "$(code nosuchverb)" = 1 ]
	[ "$(code up)" = 1 ]
	[ "$(code status --force)" = 1 ]
	[ "$(code status nosuch)" = 10 ]
	[ "$(code up nosuch)" = 10 ]
	[ "$(code down nosuch)" = 10 ]
	[ "$(code create-md --assume-clean r0)" = 11 ]
	grep -q 'it is up' "$T/out"
	[ "$(code wipe-md r0)" = 11 ]
	[ "$(code dump-md r0)" = 11 ]
	[ "$(code dump-md --force r0)" = 0 ]
	[ "$(code show-gi r0)" = 0 ]
	[ "$(code down r0)" = 0 ]
	[ "$(code down r0)" = 0 ]
	[ "$(code up r0)" = 0 ]
	[ "$(code help)" = 0 ]
	[ "$(code --version)" = 0 ]
}

@test "P7 status works while the disk cannot be opened, and says why" {
	mv "$T/host1/r0.img" "$T/host1/away"
	daemon 1
	daemon 2
	wait_for 10 says 1 '.disk.state == "opening" and (.disk.why | test("No such file"))'
	words_say 1 'r0: the local disk is opening: .*No such file'
	wait_for 20 connected r1		# the neighbour is served
	refused 1 5 'disk is not available.*No such file'
	mv "$T/host1/away" "$T/host1/r0.img"
	wait_for 20 connected r0
	start_guest 1 6
	guest 6 write 20
}

@test "P6 a volume that somebody else has is not opened, and status says so until it is free" {
	local pid
	# As a daemon's predecessor would hold it, until its last write is over.
	perl -MFcntl=:flock -e 'open $f, "+<", $ARGV[0] or die; flock $f, LOCK_EX or die; open $g, ">", $ARGV[1]; close $g; sleep 60' \
		"$T/host1/r0.img" "$T/locked" 3>&- &
	pid=$!
	wait_for 5 test -e "$T/locked"
	daemon 1
	daemon 2
	wait_for 20 connected r1
	says 1 '.disk.state == "opening" and (.disk.why | test("r0.img is in use by another program"))'
	words_say 1 'r0: the local disk is opening: .*is in use by another program'
	kill "$pid"
	wait_for 20 connected r0
}

@test "P7 the age of a connection whose disk is not open yet is that of this daemon" {
	mv "$T/host1/r0.img" "$T/host1/away"
	daemon 1
	wait_for 10 says 1 '.disk.state == "opening"'
	says 1 '.connection.age_seconds == null or .connection.age_seconds < 60'
}

@test "P4 check accepts a good configuration and names FILE:LINE of a bad one" {
	run ctl 1 check
	[ "$status" = 0 ]
	edit '/cram-hmac-alg/s/.*/no-such-option 5;/'
	run ctl 1 check
	echo "$output"
	[ "$status" = 10 ]
	[[ "$output" == *"/etc/drbdx.d/r0.res:3:"* ]]
	edit 's/no-such-option.*/cram-hmac-alg sha256;/'
	mv "$T/host1/r1.img" "$T/host1/away"
	run ctl 1 check
	echo "$output"
	[[ "$output" == *"r1.img"* ]]
}

@test "P4 a bad file at up changes nothing: the running configuration is kept" {
	both
	start_guest 1 5
	guest 5 start mixed
	edit '/cram-hmac-alg/s/.*/cram-hmac-alg {{{/'
	run ctl 1 up all
	echo "$output"
	[ "$status" = 10 ]
	[[ "$output" == *"r0.res:3:"*"the running configuration is kept"* ]]
	connected r0
	connected r1
	progress 5 20
	finish 5
}

@test "P4 a resource that the file gains is served after up" {
	both
	ctl 1 down r1
	ctl 2 down r1
	says 1 '.up == false' r1
	ctl 1 up all
	ctl 2 up r1
	wait_for 20 connected r1
	start_guest 2 5 r1
	guest 5 write 20
}

@test "P4 create-md is refused where something is" {
	local before
	before=$(sha256sum <"$T/host1/meta.img")
	run ctl 1 create-md --assume-clean r0
	echo "$output"
	[ "$status" = 11 ]
	[ "$(sha256sum <"$T/host1/meta.img")" = "$before" ]
	ctl 1 create-md --assume-clean --force r0
	[ "$(sha256sum <"$T/host1/meta.img")" != "$before" ]
}

@test "P4 one slot for two resources is refused by FILE:LINE, and the daemon does not start with it" {
	sed -i 's/meta.img\[1\]/meta.img[0]/' "$T/host1/etc/drbdx.d/r1.res"
	run ctl 1 check
	echo "$output"
	[ "$status" = 10 ]
	[[ "$output" == *"r1.res:10: conflicting use of meta-disk"*"r0.res:10"* ]]
	! daemon 1 || false
	grep -q 'r1.res:10: conflicting use of meta-disk' "$T/host1/log/drbdxd.log"
}

@test "P4 a slot that holds another resource's metadata is not used, and the words name it" {
	sed -i 's/meta.img\[0\]/meta.img[9]/' "$T/host1/etc/drbdx.d/r0.res"
	sed -i 's/meta.img\[1\]/meta.img[0]/' "$T/host1/etc/drbdx.d/r1.res"
	daemon 1
	wait_for 10 words_say 1 'slot 0 of .*meta.img belongs to resource r0'
	says 1 '.connection.state != "Connected"' r1
	refused 1 5 'slot 0 of .*belongs to resource r0' r1
}

@test "P4 new volumes of different sizes are refused in words on both hosts; one that grows later does no harm" {
	truncate -s 12M "$T/host2/r0.img"
	daemon 1
	daemon 2
	wait_for 20 connected r1
	wait_for 10 words_say 1 'r0: .*volumes were declared identical, but have different sizes'
	wait_for 10 words_say 2 'r0: .*volumes were declared identical, but have different sizes'
	ctl 2 down r0
	truncate -s 16M "$T/host2/r0.img"
	ctl 2 up r0
	wait_for 20 connected r0
	ctl 1 down r0
	truncate -s 20M "$T/host1/r0.img"
	ctl 1 up r0
	wait_for 20 connected r0
	says 1 '.disk.size_bytes == 16777216'
	start_guest 1 5
	guest 5 write 100
	guest 5 verify
	guest_detach 5
	cmp -n 16777216 "$T/host1/r0.img" "$T/host2/r0.img"
}
