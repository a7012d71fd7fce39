#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Another program takes the daemon's place under the guests, and two hosts have different ones (docs/RESTART.md, sections 7 and 8).
#
#   older    built from this project's history (older-build)
#   next     this one, with another version string, that also speaks a version of the protocol which nobody knows today
#   beyond   that speaks nothing but that one
load scenario.bash

setup_file() {
	OLDER=$("$BATS_TEST_DIRNAME/older-build" 3>&-) || { echo "no older build" >&2; return 1; }
	export OLDER
}
setup() { pair_of "$BUILD/drbdxd" "$BUILD/drbdxd"; }
teardown() { teardown_scenario; }

NEXT=$SIM/drbdxd-next BEYOND=$SIM/drbdxd-beyond

pair_of() { # PROGRAM1 PROGRAM2
	apart setup_pair 1
	both_run "$1" "$2"
	wait_for 20 connected r0
}
both_run() { # PROGRAM1 PROGRAM2
	install_daemon 1 "$1"
	install_daemon 2 "$2"
	daemon 1
	daemon 2
}
instead() { # PROGRAM1 PROGRAM2: of the pair of setup()
	stop_daemon 1
	stop_daemon 2
	both_run "$1" "$2"
	wait_for 20 connected r0
}
# A pair that has met for the first time with these: what the two agree on is what both know.
anew() { # PROGRAM1 PROGRAM2
	local i
	stop_daemon 1
	stop_daemon 2
	for i in 1 2; do on $i "$BUILD/backend-ctl" create-md --force --assume-clean all; done
	both_run "$1" "$2"
	wait_for 20 connected r0
}
version_is() { [ "$(ctl "$1" status --json | jq -r .version)" = "$2" ]; }
installed() { "$1" --version | cut -d' ' -f2; }
# The same process as before: for what follows, too, a pid in a file names it.
upgrade() { # N PROGRAM: installs it and upgrades to it
	local pid
	pid=$(daemon_pid "$1")
	install_daemon "$1" "$2"
	ctl "$1" upgrade
	version_is "$1" "$(installed "$2")"
	[ "$(readlink "/proc/$pid/exe")" = "$T/host$1/sbin/drbdxd" ]
}
refused_upgrade() { # N REGEX: in these words, and the daemon serves on
	local status=0 version
	version=$(ctl "$1" status --json | jq -r .version)
	ctl "$1" upgrade 2>"$T/refused" || status=$?
	cat "$T/refused"
	[ $status = 11 ]
	grep -qE "$2" "$T/refused"
	version_is "$1" "$version"
	[ "$(logged "$1" 'upgrade: drbdxd')" = 0 ]
}
loaded_with_flushes() {
	start_guest 1 5 r0 --ring-order 2 --depth 64
	guest 5 set flush 10
	guest 5 start mixed
	wait_for 10 writing 5 50
}
# Nobody parted: the data are what they were, nothing was copied, nothing had to be finished again, nobody was fenced.
generation() { value_of "$1" .generations.current; }
epoch() { value_of "$1" .token.epoch; }
nobody_parted() { # GENERATION EPOCH, as before
	wait_for 20 connected r0
	wait_for 20 in_sync
	[ "$(generation 1)" = "$1" ]
	[ "$(generation 2)" = "$1" ]
	[ "$(epoch 1)" = "$2" ]
	[ "$(epoch 2)" = "$2" ]
	[ "$(logged 1 'goes on without')" = 0 ]
	[ "$(logged 2 'goes on without')" = 0 ]
	[ "$(logged 1 'handler fence-peer')" = 0 ]
	[ "$(logged 1 'requests of the earlier daemon are unanswered')" = 0 ]
	[ "$(logged 2 'requests of the earlier daemon are unanswered')" = 0 ]
}

# --- backend-ctl upgrade

@test "P6 the Primary's daemon is upgraded 10 times under load: its guest's requests are all answered before, and nobody parts" {
	local g e i
	loaded_with_flushes
	g=$(generation 1) e=$(epoch 1)
	for i in {1..5}; do
		progress 5 $((RANDOM % 60))
		upgrade 1 "$NEXT"
		progress 5 20
		upgrade 1 "$BUILD/drbdxd"
	done
	progress 5 50
	nobody_parted "$g" "$e"
	[ "$(copied)" = 0 ]
	finish 5
}

@test "P6 the Secondary's daemon is upgraded 10 times under load of the other: nobody parts" {
	local g e i
	loaded_with_flushes
	g=$(generation 1) e=$(epoch 1)
	for i in {1..5}; do
		progress 5 $((RANDOM % 60))
		upgrade 2 "$NEXT"
		progress 5 20
		upgrade 2 "$BUILD/drbdxd"
	done
	progress 5 50
	nobody_parted "$g" "$e"
	finish 5
}

@test "P6 with fencing, neither upgrade outdates or fences anybody" {
	local g e
	apart pair_down 0
	CONFIG_COMMON='disk { fencing resource-only; } handlers { fence-peer "echo called >>/run/fenced; exit 4"; }' pair_of "$BUILD/drbdxd" "$BUILD/drbdxd"
	loaded_with_flushes
	g=$(generation 1) e=$(epoch 1)
	upgrade 2 "$NEXT"
	progress 5 30
	upgrade 1 "$NEXT"
	progress 5 30
	nobody_parted "$g" "$e"
	! on 1 test -e /run/fenced || false
	! on 2 test -e /run/fenced || false
	finish 5
}

@test "P6 a node without a guest keeps the token that it has over an upgrade" {
	start_guest 1 5
	guest_detach 5
	wait_for 10 says 1 '.guest == null and .token.state == "held"'
	upgrade 1 "$NEXT"
	says 1 '.token.state == "held"'
	start_guest 1 6
	guest 6 write 20
	guest 6 verify
	guest_detach 6
}

@test "an upgrade to the same program is a new start of it" {
	loaded_with_flushes
	ctl 1 upgrade
	[ "$(logged 1 'serves the resources of host')" = 2 ]
	progress 5 30
	finish 5
}

@test "P6 killed at any moment of an upgrade, a daemon is started as ever" {
	local i
	loaded_with_flushes
	install_daemon 1 "$NEXT"
	for i in {1..12}; do
		progress 5 $((RANDOM % 30))
		beside ctl 1 upgrade --timeout 5 >"$T/upgrade" 2>&1
		wait_for 5 asked "$i"
		sleep "0.0$((RANDOM % 9))"	# not a wait: where in the upgrade it is killed
		kill_daemon 1
		wait "$beside" || true
		daemon 1
	done
	progress 5 50
	wait_for 20 in_sync
	finish 5
}
asked() { [ "$(logged 1 'upgrade: drbdxd')" -ge "$1" ] || ! kill -0 "$beside" 2>/dev/null; }

@test "P6 a signal to stop that comes during an upgrade stops it" {
	apart pair_down 0
	hanging_pair 0 1:disk
	start_guest 1 5 r0 --ring-order 2 --depth 64
	hangs 1:disk		# an upgrade waits for what it has
	guest 5 start write
	wait_for 5 in_flight 5 64
	beside ctl 1 upgrade --timeout 20 >"$T/upgrade" 2>&1
	wait_for 5 logged_once 1 'upgrade: drbdxd'
	kill "$(daemon_pid 1)"
	wait_for 5 logged_once 1 'no other program goes on'
	goes_on 1:disk
	wait_for 20 daemon_gone 1
	[ "$(logged 1 'drbdxd has stopped')" = 1 ]
	kill "$beside" 2>/dev/null || true
	wait "$beside" || true
	daemon 1
	progress 5 20
	finish 5
}
logged_once() { [ "$(logged "$1" "$2")" = 1 ]; }

# --- what is refused, while the running one serves on

@test "a program that is not there, cannot be executed, or is none, is refused" {
	loaded_with_flushes
	rm "$T/host1/sbin/drbdxd"
	refused_upgrade 1 'sbin/drbdxd cannot be executed: No such file'
	printf 'no program' >"$T/host1/sbin/drbdxd"
	refused_upgrade 1 'sbin/drbdxd cannot be executed: Permission denied'
	chmod +x "$T/host1/sbin/drbdxd"
	refused_upgrade 1 'nothing was changed, and drbdxd .* serves on'
	printf '#!/bin/sh\necho something else\n' >"$T/host1/sbin/drbdxd"
	refused_upgrade 1 'is not drbdxd'
	printf '#!/bin/sh\necho libnew.so.2: cannot open shared object file >&2; exit 127\n' >"$T/host1/sbin/drbdxd"
	refused_upgrade 1 'libnew.so.2: cannot open'
	progress 5 30
	finish 5
}

@test "a program that cannot be executed when it has come to that: the one that was running goes on" {
	loaded_with_flushes
	install_daemon 1 "$NEXT"
	# It answers as it should, and is another one when it is to be executed.
	printf '#!/bin/sh\ncase $1 in --version) echo drbdxd lying;; --check) printf "#!/none\\n" >"$0".2; chmod +x "$0".2; mv "$0".2 "$0";; esac\n' \
		>"$T/host1/sbin/drbdxd"
	! ctl 1 upgrade 2>"$T/words" || false
	grep -q 'could not be executed' "$T/words"
	version_is 1 "$(installed "$BUILD/drbdxd")"
	progress 5 30
	finish 5
}

@test "a configuration, metadata or records that the new program could not read are refused" {
	loaded_with_flushes
	install_daemon 1 "$NEXT"
	cp "$T/host1/etc/drbdx.d/r0.res" "$T/r0.res"
	echo 'resource {' >>"$T/host1/etc/drbdx.d/r0.res"
	refused_upgrade 1 'r0.res:[0-9]+: '
	echo >"$T/host1/etc/drbdx.d/r0.res"
	refused_upgrade 1 'domain 5 uses the resource with minor 0, which the configuration no longer has'
	cp "$T/r0.res" "$T/host1/etc/drbdx.d/r0.res"
	on 1 cp /run/drbdx/minor-0.attachment /run/attachment
	on 1 sed -i 's/version 3/version 4/' /run/drbdx/minor-0.attachment
	refused_upgrade 1 'minor-0.attachment is not a record that this drbdxd knows'
	on 1 cp /run/attachment /run/drbdx/minor-0.attachment
	on 1 sh -c 'printf "\\2" | dd of=/run/drbdx/minor-0.inflight bs=1 seek=8 conv=notrunc 2>/dev/null'
	refused_upgrade 1 'minor-0.inflight: it is of version 2'
	on 1 sh -c 'printf "\\1" | dd of=/run/drbdx/minor-0.inflight bs=1 seek=8 conv=notrunc 2>/dev/null'
	mv "$T/host1/r0.img" "$T/host1/r0.away"
	refused_upgrade 1 'r0: .*r0.img: No such file'
	mv "$T/host1/r0.away" "$T/host1/r0.img"
	upgrade 1 "$NEXT"
	progress 5 30
	finish 5
}

@test "P5 refused while a guest is arriving or leaving, until it is here or there" {
	start_guest 1 5
	guest 5 write 50
	guest_suspend 5
	guest_receive 2 5 6
	install_daemon 1 "$NEXT"
	install_daemon 2 "$NEXT"
	refused_upgrade 1 'r0: its guest is migrating to the partner: wait'
	refused_upgrade 2 'r0: .* is being started, or migrates \(RESERVED\): wait'
	guest_unpause 6
	guest_destroy 5
	survives 6
	guest 6 start mixed
	wait_for 10 says 1 '.guest == null'
	upgrade 1 "$NEXT"
	upgrade 2 "$NEXT"
	well 6
}

@test "refused while a person holds the guest's I/O or the resync, which the new program would not know" {
	start_guest 1 5
	ctl 1 suspend-io r0
	refused_upgrade 1 'r0: .*suspend-io.*resume-io. first'
	ctl 1 resume-io r0
	ctl 1 pause-sync r0
	refused_upgrade 1 'r0: .*pause-sync.*resume-sync. first'
	ctl 1 resume-sync r0
	upgrade 1 "$NEXT"
	guest_detach 5
}

@test "P6 an upgrade, twice, under a guest of x86_32 with four queues and barriers" {
	start_guest 1 5 r0 --queues 4 --ring-order 1 --depth 64 --protocol x86_32-abi
	guest 5 set barrier 10
	guest 5 start mixed
	progress 5 50
	upgrade 1 "$NEXT"
	progress 5 50
	says 1 '.counters.ring.queues == 4'
	upgrade 2 "$NEXT"
	upgrade 1 "$BUILD/drbdxd"
	progress 5 50
	finish 5
}

# --- an older program

@test "older and new replicate, migrate to and fro, and speak the older one's protocol" {
	anew "$OLDER/drbdxd" "$NEXT"
	version_is 1 older
	says 2 '.connection.protocol_version == 5'
	start_guest 1 5
	guest 5 start mixed
	progress 5 50
	migrate 1 2 5
	progress 6 50
	wait_for 10 connected r0
	migrate 2 1 6
	progress 7 50
	finish 7
}

@test "P6 older to new under load: the older one is stopped, and the new one started, on both hosts" {
	anew "$OLDER/drbdxd" "$OLDER/drbdxd"
	loaded_with_flushes
	install_daemon 2 "$NEXT"
	stop_daemon 2
	daemon 2
	wait_for 20 connected r0
	progress 5 30
	refused_by_older
	install_daemon 1 "$NEXT"
	stop_daemon 1
	daemon 1
	wait_for 20 connected r0
	progress 5 30
	wait_for 20 in_sync
	[ "$(logged 1 'requests of the earlier daemon are unanswered')" = 0 ]
	wait_for 10 says 1 '.connection.protocol_version == 9'
	finish 5
}
refused_by_older() {
	local status=0
	ctl 1 upgrade 2>"$T/refused" || status=$?
	[ $status = 11 ]
	grep -q "older than this backend-ctl.*systemctl restart drbdxd" "$T/refused"
	version_is 1 older
}

@test "P6 an older one is killed under load, and a new one goes on with what was unanswered; and the other way around" {
	anew "$OLDER/drbdxd" "$NEXT"
	loaded_with_flushes
	kill_daemon 1
	install_daemon 1 "$NEXT"
	daemon 1
	progress 5 30
	kill_daemon 1
	install_daemon 1 "$OLDER/drbdxd"
	daemon 1
	progress 5 30
	[ "$(logged 1 'requests of the earlier daemon were unanswered, finished again')" -ge 1 ]
	wait_for 20 in_sync
	finish 5
}

@test "metadata that an older one made and wrote are the new one's, and the other way around" {
	local first second
	for first in "$OLDER" "$BUILD"; do
		[ "$first" = "$BUILD" ] && second=$OLDER || second=$BUILD
		stop_daemon 1
		stop_daemon 2
		for i in 1 2; do on $i "$first/backend-ctl" create-md --force --assume-clean all; done
		both_run "$first/drbdxd" "$OLDER/drbdxd" # what they agree on is what the older one knows
		wait_for 20 connected r0
		instead "$first/drbdxd" "$first/drbdxd"
		start_guest 1 5
		guest 5 write 50
		kill_daemon 2
		guest 5 write 50
		alone 1
		guest_detach 5			# marks in the bitmap, generations
		stop_daemon 1
		on 1 "$second/backend-ctl" show-gi r0
		both_run "$second/drbdxd" "$second/drbdxd"
		wait_for 30 in_sync
		compare_volumes
		start_guest 1 6
		guest 6 verify
		guest 6 write 50
		guest_detach 6
		volumes_agree
	done
}

@test "P2 what was agreed on with an older one stays: a guest that would have four queues gets one, and migrates to the older one and back" {
	anew "$BUILD/drbdxd" "$OLDER/drbdxd"
	says 1 '.disk.state == "UpToDate"'
	start_guest 1 5 r0 --queues 4
	[ "$(node 1 5 multi-queue-max-queues)" = 1 ]
	says 1 '.counters.ring.queues == 1'
	guest 5 start mixed
	progress 5 50
	migrate 1 2 5
	progress 6 50
	migrate 2 1 6
	progress 7 50
	finish 7
	instead "$BUILD/drbdxd" "$BUILD/drbdxd"
	start_guest 1 8 r0 --queues 4
	says 1 '.counters.ring.queues == 1'
	guest 8 verify
	guest_detach 8
}

@test "a pair that has agreed on several queues does not go on with an older one, which says why" {
	stop_daemon 2
	install_daemon 2 "$OLDER/drbdxd"
	daemon 2
	wait_for 10 words_say 1 'offers less than|refuse'
	! connected r0
}

# --- versions of the protocol

@test "two that both know a later version of the protocol speak it, and the earlier one with an earlier program" {
	instead "$NEXT" "$NEXT"
	says 1 '.connection.protocol_version == 9'
	loaded_with_flushes
	progress 5 30
	upgrade 2 "$BUILD/drbdxd"
	says 1 '.connection.protocol_version == 8'
	says 2 '.connection.protocol_version == 8'
	progress 5 30
	upgrade 2 "$BEYOND"
	says 1 '.connection.protocol_version == 9'
	progress 5 30
	finish 5
}

@test "two without a common version of the protocol say so on both hosts, name the one to upgrade, and connect when it is" {
	local words
	stop_daemon 2
	install_daemon 2 "$BEYOND"
	daemon 2
	words='speaks versions [59] to [89] of the protocol, dom0_. [59] to [89],.*install the newer drbdx on dom0_1, too'
	wait_for 10 words_say 1 "$words"
	wait_for 10 words_say 2 "$words"
	upgrade 1 "$NEXT"
	wait_for 20 connected r0
	start_guest 1 5
	guest 5 write 20
	guest_detach 5
	volumes_agree
}
