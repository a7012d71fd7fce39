#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests with unusual requests, administrators with unusual wishes, while everything is connected.
load scenario.bash
teardown() { teardown_scenario; }

answered_some() { [ "$(guest "$1" status | guest_value ops)" -gt "$2" ]; }
descriptors() { find "/proc/$(daemon_pid "$1")/fd" -mindepth 1 | wc -l; }
edit() { # N SED-SCRIPT: bound mounts are of the file, so in place
	local text
	text=$(sed "$2" "$T/host$1/etc/drbdx.d/r0.res")
	printf '%s\n' "$text" >"$T/host$1/etc/drbdx.d/r0.res"
}

@test "P3 requests of every size at every offset, on the disk and in the guest's pages, alone and over each other" {
	local offset size
	pair 1
	start_guest 1 5 r0 --depth 8
	for offset in 0 1 4 7; do
		guest 5 set offset $offset
		guest 5 set range $((4000 + (offset + 3) % 8)):30
		for size in 1 9; do
			guest 5 set size $size
			guest 5 mixed 30
		done
	done
	guest 5 set range 0:30720
	guest 5 set size 0
	guest 5 mixed 30
	guest 5 verify
	guest_detach 5
	start_guest 1 6 r0 --segments 256 --depth 8
	guest 6 set offset 5
	guest 6 mixed 30
	guest 6 set offset 0
	guest 6 verify
	guest_detach 6
	volumes_agree
}

# At one of five times: a disk that stalls makes them wait as well, but not each time.
none_waits_for_2_s() {
	local round
	for round in {1..5}; do
		guest 5 write 500 >"$T/result"
		cat "$T/result"
		[ "$(guest_value max_us <"$T/result")" -ge 2000000 ] || return 0
	done
	fail "a write waited for 2 s, $round times"
}
@test "P1 random writes over many more extents than the activity log has room for: none waits for 2 s" {
	VOLUME_SIZE=160M CONFIG_COMMON="disk { al-extents 7; }" pair 1
	says 1 '.activity_log.extents == 7'
	start_guest 1 5 r0 --ring-order 2 --depth 64
	guest 5 set size 8
	none_waits_for_2_s
	says 1 '.activity_log.writes > 30 and .activity_log.used <= 7'
	guest 5 set size 0
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P7 writers that wait for suspend-io all go on at resume-io, twice" {
	local ops
	pair 1
	loaded write
	for _ in 1 2; do
		ctl 1 suspend-io r0
		wait_for 5 in_flight 5 16
		says 1 '.frozen.reason | test("suspend-io")'
		ops=$(guest 5 status | guest_value ops)
		ctl 1 resume-io r0
		wait_for 5 answered_some 5 $((ops + 15))
	done
	says 1 '.frozen == null and .connection.state == "Connected"'
	[ "$(meetings 1)" = 1 ]
	finish 5
}

@test "P1 at suspend-io both volumes are the same, byte for byte, and stay so until resume-io" {
	pair 1
	loaded write
	ctl 1 suspend-io r0
	compare_volumes
	cp --sparse=always "$T/host1/r0.img" "$T/first"
	cp --sparse=always "$T/host2/r0.img" "$T/second"
	wait_for 5 in_flight 5 16
	cmp "$T/first" "$T/second"
	cmp "$T/first" "$T/host2/r0.img"
	ctl 1 resume-io r0
	progress 5 20
	finish 5
}

@test "P4 a second resource is added while the first one does I/O, which nothing disturbs" {
	local h
	pair 1
	loaded
	write_config 2
	for h in 2 1; do
		truncate -s 16M "$T/host$h/r1.img"
		ctl $h create-md --assume-clean r1
		ctl $h up r1
	done
	wait_for 20 connected r1
	start_guest 1 5b r1
	guest 5b start mixed
	progress 5b 20
	progress 5 20
	[ "$(meetings 1) $(meetings 2)" = "1 1" ]
	guest_is_well 5b
	guest_detach 5b
	volumes_agree r1
	finish 5
}

@test "P4 a digest that does not exist is refused by FILE:LINE, costs nothing, and the right one connects" {
	local before
	pair 1
	loaded
	before=$(descriptors 1)
	edit 1 's/cram-hmac-alg .*/cram-hmac-alg nonsense;/'
	run ctl 1 up all
	[ "$status" = 10 ]
	[[ "$output" == *"/etc/drbdx.d/r0.res:3:"*nonsense*"the running configuration is kept"* ]]
	progress 5 20
	[ "$(meetings 1)" = 1 ]
	guest_is_well 5
	guest_detach 5
	wait_for 10 says 1 '.guest == null'
	ctl 1 down r0
	run ctl 1 up r0
	[ "$status" = 10 ]
	says 1 '.up == false'
	edit 1 's/cram-hmac-alg .*/cram-hmac-alg sha256;/'
	ctl 1 up r0
	wait_for 20 connected r0
	[ "$(descriptors 1)" -le "$before" ]
	volumes_agree
}

@test "P4 names that no resource may have are refused or not served, by FILE:LINE, and the others are" {
	local name
	apart setup_pair 1
	resource_named '""'
	run ctl 1 check
	[ "$status" = 10 ]
	[[ "$output" == *"/etc/drbdx.d/x.res:1: a resource needs a name"* ]]
	! daemon 1 || false
	for name in '"a/b"' $'"a\tb"' $'"a\001b"'; do
		resource_named "$name"
		run ctl 1 check
		[[ "$output" == *"/etc/drbdx.d/x.res:1: warning: resource "*" is not served: its name has a slash or a control character"* ]]
	done
	resource_named '"a/b"'
	daemon 1
	daemon 2
	wait_for 20 connected r0
	run ctl 1 up a/b
	echo "$output"
	[ "$status" = 10 ]
	says 1 '.up == false and (.config_refused | test("slash"))' a/b
}
resource_named() { # NAME, in quotes
	sed "s/^resource r0 /resource $(sed 's/[/&]/\\&/g' <<<"$1") /; s/r0.img/x.img/; s/meta.img\[0\]/meta.img[1]/; s/:7700/:7701/; s/minor 0/minor 1/" \
		"$T/host1/etc/drbdx.d/r0.res" >"$T/host1/etc/drbdx.d/x.res"
}

# --- metadata that do not belong to the data

@test "P1 metadata restored from an older dump are found to be older, and everything is copied" {
	pair 1
	start_guest 1 5
	guest 5 write 20
	ctl 2 down r0
	ctl 2 dump-md r0 >"$T/dump"
	guest 5 write 20
	wait_for 5 alone 1
	ctl 2 up r0
	wait_for 20 in_sync
	ctl 2 down r0
	guest 5 write 20
	wait_for 5 alone 1
	ctl 2 restore-md --force r0 "$T/dump"
	ctl 2 up r0
	wait_for 30 in_sync
	[ "$(logged 2 'r0: target of a full resync \(rule 60\)')" = 1 ]
	guest 5 verify
	guest_detach 5
	volumes_agree
}

@test "P4 volume and metadata cloned from the partner, taken at suspend-io, are refused in words until they have metadata of their own" {
	pair 1
	loaded
	ctl 1 suspend-io r0
	mkdir "$T/clone"
	cp --sparse=always "$T/host1/r0.img" "$T/host1/meta.img" "$T/clone/"
	ctl 1 resume-io r0
	ctl 2 down r0
	cat "$T/clone/r0.img" >"$T/host2/r0.img"
	cat "$T/clone/meta.img" >"$T/host2/meta.img"
	progress 5 20
	ctl 2 up r0
	wait_for 10 words_say 2 'r0: .*both nodes present the same metadata'
	wait_for 10 words_say 1 'both nodes present the same metadata'
	progress 5 20
	ctl 2 down r0
	ctl 2 wipe-md --force r0
	ctl 2 create-md r0
	ctl 2 up r0
	wait_for 30 in_sync
	finish 5
}
