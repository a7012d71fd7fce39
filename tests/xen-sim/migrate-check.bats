#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# backend-ctl migrate-check: what would make `xl migrate` fail is found while the guest runs; and the xl wrapper, which runs it.
load scenario.bash
teardown() { teardown_scenario; }

# --- two hosts that reach each other by a stand-in for ssh, each with a stand-in for xl

# xl as far as it is asked; what it says is in files of its host.
fake_xl() { # N
	mkdir -p "$T/host$1/bin"
	cat >"$T/host$1/bin/xl" <<-EOF
		#!/bin/sh
		case "\$*" in
		"info free_memory") cat "$T/host$1/free" ;;
		list) cat "$T/host$1/list" ;;
		*) exit 9 ;;
		esac
	EOF
	chmod +x "$T/host$1/bin/xl"
	ln -s "$BUILD/backend-ctl" "$T/host$1/bin/backend-ctl"
	echo 600 >"$T/host$1/free"
	echo "Name                                        ID   Mem VCPUs	State	Time(s)" >"$T/host$1/list"
	listed "$1" Domain-0 0
}
listed() { # N NAME DOMID
	printf '%-40s %5d   512     1     -b----       1.0\n' "$2" "$3" >>"$T/host$1/list"
}

# dom0_3 is dom0_2 by another name.
fake_ssh() {
	cat >"$T/ssh" <<-EOF
		#!/bin/sh
		n=\${1#dom0_}
		shift
		case \$n in
		[123]) PATH=$T/host\$n/bin:\$PATH exec "$XEN_SIM/host" exec \$((n == 1 ? 1 : 2)) "$T" "\$@" ;;
		*) echo "ssh: connect to host: No route to host" >&2; exit 255 ;;
		esac
	EOF
	chmod +x "$T/ssh"
	fake_xl 1
	fake_xl 2
	mkdir -p "$T/host3/bin"
	cp -a "$T/host2/bin/xl" "$T/host3/bin/xl"
	cat >"$T/host3/bin/backend-ctl" <<-EOF
		#!/bin/sh
		"$BUILD/backend-ctl" "\$@" | sed 's/"host": "dom0_2"/"host": "dom0_3"/'
	EOF
	chmod +x "$T/host3/bin/backend-ctl"
}

pair_with_guest() {
	pair 1
	fake_ssh
	start_guest 1 5
	guest 5 write 20
	on 1 xenstore-write /local/domain/5/memory/target $((512 * 1024))
}

# Its exit status and its words, all of them (extended regular expressions, one a line).
check() { # STATUS DOMAIN HOST REGEX...
	local line=0 regex
	run ctl 1 migrate-check -s "$T/ssh" "$2" "$3"
	echo "$output"
	[ "$status" = "$1" ] || { fail "exit status $status"; return 1; }
	for regex in "${@:4}"; do
		[[ "${lines[line]-}" =~ ^$regex$ ]] || { fail "line $line is not: $regex"; return 1; }
		line=$((line + 1))
	done
	[ "${#lines[@]}" = $line ] || fail "more lines than $line"
}

@test "P7 a guest whose disk the partner can take over passes, by name and by domid" {
	pair_with_guest
	check 0 vm-r0 dom0_2 'r0 \(xvda2\): dom0_2 can take it over'
	check 0 5 dom0_2 'r0 \(xvda2\): dom0_2 can take it over'
	guest 5 verify
}

@test "P7 a guest without drbdx disks, or none at all, needs neither host nor daemon" {
	apart setup_pair 1
	on 1 "$SIM/blkfront-sim" domain --domid 6 create
	on 1 xenstore-write /local/domain/6/name plain /local/domain/0/backend/vbd/6/51712/script /etc/xen/scripts/block
	run ctl 1 migrate-check -s false plain dom0_2
	echo "$output"
	[ "$status" = 0 ]
	[ -z "$output" ]
	run ctl 1 migrate-check -s false nosuch dom0_2
	[ "$status" = 11 ]
	[[ "$output" == *"there is no domain nosuch on this host"* ]]
	run ctl 1 migrate-check -s false 7 dom0_2
	[ "$status" = 11 ]
}

@test "P2 a host that is not the partner is refused by its name" {
	pair_with_guest
	check 11 vm-r0 dom0_3 'backend-ctl: dom0_3 is dom0_3, but the partner of r0 is dom0_2: .*'
	check 11 vm-r0 dom0_1 'backend-ctl: dom0_1 is this very host: .*not available in this version'
}

@test "P7 a resource that is down at the partner is refused in the words of both hosts" {
	pair_with_guest
	ctl 2 down r0
	wait_for 20 says 1 '.connection.state == "Connecting"'
	check 11 vm-r0 dom0_2 'backend-ctl: r0 on dom0_1: not connected with dom0_2 \(.*' \
		'backend-ctl: r0 on dom0_2: it is down; there: backend-ctl up r0'
	ctl 2 up r0
	wait_for 20 connected r0
	wait_for 20 in_sync r0
	check 0 vm-r0 dom0_2 'r0 .*can take it over'
}

@test "P7 on a cut link the migration is refused in the words of both hosts" {
	pair_with_guest
	cut_link
	wait_for 10 says 1 '.connection.state == "Connecting"'
	wait_for 10 says 2 '.connection.state == "Connecting"'
	check 11 vm-r0 dom0_2 'backend-ctl: r0 on dom0_1: not connected with dom0_2 \(Connecting.*' \
		'backend-ctl: r0 on dom0_2: not connected with dom0_1 \(Connecting.*'
	join_link
	wait_for 20 connected r0
	check 0 vm-r0 dom0_2 'r0 .*can take it over'
}

@test "P7 a partner without a daemon, without drbdx, or out of reach is refused in words" {
	pair_with_guest
	stop_daemon 2
	wait_for 10 says 1 '.connection.state == "Connecting"'
	check 11 vm-r0 dom0_2 'backend-ctl: r0 on dom0_1: not connected with dom0_2 .*' \
		'backend-ctl: dom0_2: backend-ctl status: drbdxd is not running .*.systemctl start drbdxd.'
	daemon 2
	wait_for 20 connected r0
	rm "$T/host2/bin/backend-ctl"
	check 11 vm-r0 dom0_2 'backend-ctl: dom0_2 has no backend-ctl: install drbdx there.*'
	check 20 vm-r0 dom0_9 'ssh: .*No route to host' 'backend-ctl: dom0_9 does not answer: .*ended with exit status 255'
}

@test "P7 our own daemon that does not answer is an error, for a guest with drbdx disks" {
	pair_with_guest
	stop_daemon 1
	check 20 vm-r0 dom0_2 'backend-ctl: drbdxd is not running .*'
}

@test "P7 a disk that the guest has not connected to is refused" {
	pair 1
	fake_ssh
	attach 1 5
	check 11 vm-r0 dom0_2 'backend-ctl: r0: the guest does not use its disk xvda2 \(attachment: Claimed, .*xl block-detach vm-r0 xvda2'
}

@test "P7 what xl needs at the partner is looked at: script, Xen, memory, names" {
	pair_with_guest
	echo 500 >"$T/host2/free"
	check 0 vm-r0 dom0_2 'backend-ctl: warning: dom0_2 has 500 MiB free, and vm-r0 needs about 536 MiB.*' 'r0 .*can take it over'
	echo 600 >"$T/host2/free"
	listed 2 vm-r0--incoming 3
	listed 2 vm-r0 4
	check 11 vm-r0 dom0_2 'backend-ctl: dom0_2 has a domain vm-r0--incoming, .*xl destroy vm-r0--incoming' \
		'backend-ctl: dom0_2 already has a domain named vm-r0; .*'
	sed -i /vm-r0/d "$T/host2/list"
	on 2 rm /etc/xen/scripts/block-drbdx
	check 11 vm-r0 dom0_2 'backend-ctl: dom0_2 has no executable /etc/xen/scripts/block-drbdx: .*'
	on 2 ln -s "$BUILD/block-drbdx" /etc/xen/scripts/block-drbdx
	printf '#!/bin/sh\necho "libxl: no Xen here" >&2\nexit 1\n' >"$T/host2/bin/xl"
	check 11 vm-r0 dom0_2 'backend-ctl: dom0_2: Xen does not answer: xl info: libxl: no Xen here'
}

@test "P7 wrong usage of migrate-check is exit status 1" {
	local words
	apart setup_pair 1
	for words in "" "vm" "vm dom0_2 more" "-s" "--json vm dom0_2" "--force vm dom0_2"; do
		# shellcheck disable=SC2086
		run ctl 1 migrate-check $words
		echo "$words: $output"
		[ "$status" = 1 ]
	done
	run ctl 1 migrate-check -s '' vm dom0_2
	[ "$status" = 1 ]
	run ctl 1 status -s ssh
	[ "$status" = 1 ]
}

# --- the wrapper, with an xl and a backend-ctl that note their words

wrapper() { # the wrapper's directory, once
	W=$BATS_TEST_TMPDIR/wrapper
	mkdir -p "$W/bin"
	sed "s,/usr/lib/drbdx,$W,g" "$TOP/hotplug/xl-wrapper" >"$W/bin/xl"
	printf '#!/bin/sh\nprintf "<%%s>" xl "$@"\necho\n' >"$W/xl"
	printf '#!/bin/sh\nprintf "<%%s>" "$@" >"%s/asked"\necho words\nexit "$(cat "%s/answer")"\n' "$W" "$W" >"$W/bin/backend-ctl"
	chmod +x "$W/bin/xl" "$W/xl" "$W/bin/backend-ctl"
	echo 0 >"$W/answer"
}

# Runs the wrapper with these words: xl gets them all; backend-ctl was asked for EXPECTED ("": was not asked).
wrapped() { # EXPECTED WORDS...
	local words
	rm -f "$W/asked"
	words=$(printf '<%s>' xl "${@:2}")
	[ "$(PATH=$W/bin:$PATH xl "${@:2}" 2>"$W/stderr")" = "$words" ] || { fail "xl did not get its words: $words"; return 1; }
	if [ -z "$1" ]; then
		[ ! -e "$W/asked" ] || { fail "$words: asked for $(cat "$W/asked")"; return 1; }
		[ ! -s "$W/stderr" ]
	else
		[ "$(cat "$W/asked")" = "<migrate-check>$1" ] || { fail "$words: asked for $(cat "$W/asked")"; return 1; }
	fi
}

@test "P7 the wrapper understands each way to write xl migrate" {
	wrapper
	wrapped '<-s><ssh><vm><host>' migrate vm host
	wrapped '<-s><ssh><vm><host>' -v -ftT -vvv migrate vm host
	wrapped '<-s><ssh><vm><host>' -- migrate -- vm host
	wrapped '<-s><ssh><vm><host>' migrate vm -- host
	wrapped '<-s><ssh><vm><host>' migrate --live -e -p -D -F -T --debug vm host
	wrapped '<-s><ssh><vm><host>' migrate vm --live host
	wrapped '<-s><ssh><vm><host>' migrate vm host --live
	wrapped '<-s><ssh><vm><host>' migrate vm host more
	wrapped '<-s><ssh -p 22><vm><root@host>' migrate -s 'ssh -p 22' vm root@host
	wrapped '<-s><ssh -p 22><vm><host>' migrate vm host -s 'ssh -p 22'
	wrapped '<-s><rsh><vm><host>' migrate -srsh vm host
	wrapped '<-s><rsh><vm><host>' migrate -epsrsh vm host
	wrapped '<-s><rsh><vm><host>' migrate -eps rsh vm host
	wrapped '<-s><rsh><vm><host>' migrate -s ssh -s rsh vm host
	wrapped '<-s><ssh><vm><host>' migrate -C file vm host
	wrapped '<-s><ssh><vm><host>' migrate -C -s vm host
	wrapped '<-s><ssh><vm><host>' migrate -Cfile -eC file vm host
	wrapped '<-s><a "b" $c><my vm><h *>' migrate -s 'a "b" $c' 'my vm' 'h *'
	grep -qx words "$W/stderr"
}

@test "P7 what the wrapper does not understand is xl's business, without a word" {
	wrapper
	wrapped '' list
	wrapped ''
	wrapped '' create migrate vm host
	wrapped '' migrate-receive
	wrapped '' migrate
	wrapped '' migrate vm
	wrapped '' migrate --live vm
	wrapped '' migrate -s
	wrapped '' migrate vm host -s
	wrapped '' migrate vm host -C
	wrapped '' migrate -s '' vm 'ssh host xl migrate-receive'
	wrapped '' migrate -h
	wrapped '' migrate -eh vm host
	wrapped '' migrate --help vm host
	wrapped '' migrate --colo vm host
	wrapped '' -N migrate vm host
	wrapped '' -x migrate vm host
	wrapped '' - migrate vm host
}

@test "P7 the wrapper keeps xl from migrating after a finding, unless it is told to go without the check" {
	local status
	wrapper
	for status in 10 11 20 127; do
		echo $status >"$W/answer"
		run env PATH="$W/bin:$PATH" xl migrate vm host
		[ "$status" = 1 ]
		[[ "$output" != *"<xl>"* ]]
		[[ "$output" == *words*"DRBDX_NO_MIGRATE_CHECK=1"* ]]
		export DRBDX_NO_MIGRATE_CHECK=1
		wrapped '' migrate vm host
		unset DRBDX_NO_MIGRATE_CHECK
	done
	echo 1 >"$W/answer"	# backend-ctl takes the words for wrong usage
	wrapped '<-s><ssh><vm><host>' migrate vm host
	rm "$W/bin/backend-ctl"
	if ! command -v backend-ctl; then
		wrapped '' migrate vm host
	fi
}
