#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# When a guest may not start, in which words, and that nothing is left behind then.
load scenario.bash
setup() { apart setup_pair 1; }
teardown() { teardown_scenario; }

both() {
	daemon 1
	daemon 2
	wait_for 20 connected r0
}

# A start that was given up leaves the disk free: another guest can have it, on both hosts.
still_free() { # DOMID
	start_guest 1 "$1"
	guest "$1" write 20
	guest_detach "$1"
	start_guest 2 $(($1 + 1))
	guest $(($1 + 1)) verify
	guest_detach $(($1 + 1))
}

# libxl's part up to where it runs the script, and then a script that does this instead.
attach_with() { # N DOMID COMMANDS-OF-SH
	mkdir -p "$T/scripts"
	printf '#!/bin/sh\n%s\n' "$3" >"$T/scripts/block-drbdx"
	chmod +x "$T/scripts/block-drbdx"
	echo "$1 r0" >"$T/guest.$2"
	apart on "$1" "$SIM/blkfront-sim" attach --domid "$2" --devid 51714 --resource r0 --name vm-r0 --script "$T/scripts/block-drbdx"
}

@test "P2 a second start on the same host is refused and names the guest that has the disk" {
	both
	start_guest 1 5
	guest 5 start mixed
	GUEST_NAME=other refused 1 20 'r0 is already in use on dom0_1 by guest vm-r0'
	progress 5 20
	finish 5
}

@test "P2 a second start on the other host is refused and names host and guest that have the disk" {
	both
	start_guest 1 5
	guest 5 start mixed
	GUEST_NAME=other refused 2 20 'r0: in use on dom0_1 by guest vm-r0.*: shut it down there'
	says 1 '.token.state == "held"'
	progress 5 20
	finish 5
}

@test "P2 of two starts at the same time on both hosts at most one is granted" {
	local round granted one
	both
	for round in 1 2 3 4; do
		attach 1 $((round * 10 + 1)) >"$T/start.1" 2>&1 3>&- &
		one=$!
		attach 2 $((round * 10 + 2)) >"$T/start.2" 2>&1 3>&- &
		wait $one || true
		wait $! || true
		granted=0
		! hotplug_connected 1 $((round * 10 + 1)) || granted=$((granted + 1))
		! hotplug_connected 2 $((round * 10 + 2)) || granted=$((granted + 1))
		[ $granted -le 1 ] || { fail "granted on both hosts"; return 1; }
		guest_destroy $((round * 10 + 1))
		guest_destroy $((round * 10 + 2))
	done
	still_free 90
}

@test "P2 without the partner a start is refused within 20 s, in words that name the partner" {
	daemon 1
	local begin
	begin=$(now_ms)
	refused 1 5 'the partner dom0_2 is not connected .*it may have newer data or a guest that runs'
	[ $(($(now_ms) - begin)) -lt 20000 ]
	daemon 2
	wait_for 20 connected r0
	still_free 6
}

@test "P2 on a cut link a start is refused on the host that does not hold the token" {
	both
	still_free 5
	says 2 '.token.state == "held"'
	cut_link
	wait_for 10 says 1 '.connection.state == "Connecting"'
	wait_for 10 says 2 '.connection.state == "Connecting"'
	refused 1 8 'the partner dom0_2 is not connected'
	join_link
	wait_for 20 connected r0
	still_free 10
}

@test "P7 without the daemon block-drbdx says so" {
	on 1 env XENBUS_PATH=backend/vbd/5/51714 "$BUILD/block-drbdx" add 2>"$T/refused" && return 1
	grep -q 'drbdxd is not running' "$T/refused"
}

@test "P7 a resource that is not configured is refused by its name" {
	both
	refused 1 5 'no resource nosuch is up on this host' nosuch
}

@test "P7 a resource that is down is refused" {
	both
	ctl 1 down r0
	refused 1 5 'no resource r0 is up on this host'
	ctl 1 up r0
	wait_for 20 connected r0
	still_free 6
}

@test "P4 a mode that is neither r nor w is refused" {
	local be=/local/domain/0/backend/vbd/5/51714 fe=/local/domain/5/device/vbd/51714
	both
	on 1 "$SIM/blkfront-sim" domain --domid 5 create
	on 1 xenstore-write $fe/backend $be $fe/backend-id 0 $fe/state 1 $be/frontend $fe $be/frontend-id 5 $be/params r0 $be/mode x \
		$be/dev xvda2 $be/type phy $be/device-type disk $be/online 1 $be/script /etc/xen/scripts/block-drbdx $be/state 1
	wait_for 5 backend_state_is 1 5 2
	! on 1 env XENBUS_PATH=backend/vbd/5/51714 "$BUILD/block-drbdx" add || false
	[ "$(node 1 5 hotplug-status)" = error ]
	[ "$(node 1 5 hotplug-error)" = "the disk's mode is neither r nor w: correct it in the guest's configuration" ]
	on 1 xenstore-rm $fe
	on 1 xenstore-rm $be
	still_free 6
}

@test "P2 an add that fails after the grant leaves nothing that a guest could use" {
	both
	# The grant belongs to the connection: this asks as block-drbdx does, and ends without add-done.
	attach_with 1 5 'exec perl -MIO::Socket::UNIX -e '\''
		$s = IO::Socket::UNIX->new("/run/drbdx/control.sock") or die; print $s "{\"verb\":\"add\",\"path\":\"$ENV{XENBUS_PATH}\"}\n"; $s->flush;
		print STDERR scalar <$s>; exit 1'\' 2>"$T/add" && return 1
	grep -q '"ok": *true' "$T/add"
	wait_for 5 says 1 '.guest == null'
	! hotplug_connected 1 5 || false
	! next_frontend 5 --timeout 1500 || { fail "the guest connected"; return 1; }
	guest_destroy 5
	still_free 6
}

@test "P2 block-drbdx killed at any moment of an add leaves nothing that a guest could use" {
	local i
	both
	still_free 80		# now the token is on host 2: an add on host 1 has to ask for it
	link delay 15
	for i in 1 2 3 4 5 6 7 8; do
		attach_with 1 $((10 + i)) "
			[ \$1 = add ] || exec $BUILD/block-drbdx \$1
			$BUILD/block-drbdx add & p=\$!
			perl -e 'select undef, undef, undef, $i * 0.01'
			kill -9 \$p; wait \$p" 2>"$T/add" || true
		if ! hotplug_connected 1 $((10 + i)); then
			! next_frontend $((10 + i)) --timeout 500 || { fail "the guest connected"; return 1; }
		fi
		guest_destroy $((10 + i))
		wait_for 15 says 1 '.guest == null'
	done
	link delay 0
	still_free 50
}

@test "P4 a device without our script is left alone" {
	both
	printf '#!/bin/sh\nexit 0\n' >"$T/other-script"
	chmod +x "$T/other-script"
	echo "1 r0" >"$T/guest.5"
	# Nobody serves it, so libxl waits 10 s in vain.
	on 1 "$SIM/blkfront-sim" attach --domid 5 --devid 51714 --resource r0 --script "$T/other-script" 2>"$T/refused" && return 1
	[ "$(node 1 5 state)" = 1 ]
	says 1 '.guest == null and (.devices | length) == 0'
}

@test "P2 a token handed over is not handed back by a restart of the daemons" {
	both
	still_free 5
	says 2 '.token.state == "held"'
	stop_daemon 1
	stop_daemon 2
	both
	says 2 '.token.state == "held"'
	says 1 '.token.state != "held"'
	still_free 7
}
