#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Hostile guests on disks that are not like any other: with larger blocks, only read, that become larger, attached and detached again and
# again; and what the daemon must not give away. As in hostile.bats a neighbour on r1 must not notice, and nothing is left behind.
load scenario.bash
teardown() {
	local status=0
	cat "$T"/host?/loops >"$BATS_TEST_TMPDIR/loops" 2>/dev/null || true
	teardown_scenario || status=1
	while read -r dev; do
		losetup -d "$dev" 2>/dev/null || true
	done <"$BATS_TEST_TMPDIR/loops"
	return $status
}

with_neighbour() {
	pair 2
	neighbour 1 5 r1
}
first_guest() { # OPTIONS...: after which nothing more may be left behind; with a word in xenstore's error directory
	start_guest 1 6 r0 "$@"
	guest 6 hostile H1
	guest_destroy 6
	note_holdings 1
}
sums() { sha256sum "$T"/host[12]/r0.img; }
ring_pages_mapped() { # PAGES
	[ "$(on 1 "$SIM/blkfront-sim" holdings | sed -n 's/^mapped pages //p')" = "$1" ]
}

# Half a block, and what begins or ends in one, in requests of both layouts.
@test "P4 attacks on a disk with blocks of 4096 bytes" {
	local h dev name domid=10
	with_neighbour
	ctl 1 down r0
	ctl 2 down r0
	for h in 1 2; do
		mv "$T/host$h/r0.img" "$T/host$h/r0.raw"
		dev=$(losetup --sector-size 4096 --direct-io=on --find --show "$T/host$h/r0.raw") || skip "no loop devices of 4096-byte blocks"
		ln -s "$dev" "$T/host$h/r0.img"
		echo "$dev" >>"$T/host$h/loops"
		ctl "$h" create-md --assume-clean --force r0
		ctl "$h" up r0
	done
	wait_for 20 connected r0
	first_guest
	for name in H2 H5 H6 H21 H22; do
		attack $((domid++)) "$name"
	done
	for name in H6 H22; do
		attack $((domid++)) "$name" --protocol x86_32-abi --queues 2
	done
	ctl 1 down r0
	ctl 2 down r0
	cmp "$T/host1/r0.raw" "$T/host2/r0.raw"
}

# CVE-2013-2140, XSA-142
@test "P4 every way to change a disk that is only read: readonly" {
	local protocol domid=10
	with_neighbour
	start_guest 1 7 r0
	guest 7 write 50
	guest_detach 7
	volumes_agree
	first_guest
	sums >"$T/before"
	for protocol in x86_64-abi x86_32-abi; do
		ATTACH_OPTIONS=--readonly attack $((domid++)) readonly --protocol $protocol
		ATTACH_OPTIONS=--readonly attack $((domid++)) readonly --protocol $protocol --queues 4
	done
	sums | diff "$T/before" -
}

@test "P4 a guest reads behind the end of its disk while that becomes larger: grow" {
	local mib=16 protocol
	with_neighbour
	first_guest
	for protocol in x86_64-abi x86_32-abi; do
		start_guest 1 10 r0 --queues 2 --protocol $protocol
		guest 10 attack grow
		mib=$((mib + 4))
		truncate -s ${mib}M "$T"/host[12]/r0.img
		ctl 1 resize r0
		wait_for 10 size_seen 10 $((mib * 2048))
		guest 10 stop >"$T/result" || { cat "$T/result"; return 1; }
		neighbour_is_well 5
		guest_destroy 10
		nothing_left_behind 1
		wait_for 30 in_sync
	done
	compare_volumes
}
size_seen() { # DOMID SECTORS
	[ "$(node 1 "$1" sectors)" = "$2" ]
}

# CVE-2010-3699, XSA-71. A thousand of ring.c alone: unit/ring-hostile.test.c.
@test "P4 rings and devices that come and go leave no thread, descriptor, mapping or node behind" {
	local i
	with_neighbour
	first_guest --queues 4
	start_guest 1 10 r0 --queues 4 --ring-order 2 --ring-keys new --depth 64
	for i in {1..40}; do
		guest 10 set queues $((i % 4 + 1))
		guest 10 reconnect
		guest 10 mixed 10
	done
	guest_destroy 10
	nothing_left_behind 1
	for i in {11..25}; do
		start_guest 1 "$i" r0 --queues $((i % 4 + 1))
		guest "$i" start mixed
		wait_for 10 writing "$i" 5
		if ((i % 2)); then guest_detach "$i"; fi
		guest_destroy "$i"
	done
	nothing_left_behind 1
	neighbour_is_well 5
	volumes_agree
}

# XSA-528: H33
@test "P4 status is asked for without a pause while devices go" {
	local i
	with_neighbour
	first_guest
	beside ask_all_the_time
	for i in {10..17}; do
		start_guest 1 "$i" r0 --queues 4
		guest "$i" start mixed
		wait_for 10 writing "$i" 5
		guest_destroy "$i"
	done
	touch "$T/enough"
	wait "$beside"
	[ "$(cat "$T/asked")" -gt 8 ]
	nothing_left_behind 1
	neighbour_is_well 5
}
ask_all_the_time() {
	local n=0
	until [ -e "$T/enough" ]; do
		ctl 1 status --json >"$T/status" || return 1
		jq -e '.resources | length == 2' "$T/status" >/dev/null || return 1
		n=$((n + 1))
	done
	echo $n >"$T/asked"
}

# H12, H34: a guest's data are copied. H35: what a handler would inherit.
@test "P4 of a guest only ring pages are mapped, and no program that is run inherits them or a descriptor" {
	local pid fd flags mapping
	with_neighbour
	# What a test program has open when it starts a daemon is not the daemon's.
	cat >"$T/alone" <<-'EOF'
	for fd in /proc/self/fd/*; do
		fd=${fd##*/}
		((fd < 3)) || eval "exec $fd>&-"
	done
	exec "$@"
	EOF
	stop_daemon 1
	DAEMON_UNDER="bash $T/alone" daemon 1
	pid=$(daemon_pid 1)
	start_guest 1 10 r0 --queues 4 --ring-order 2 --ring-keys new --depth 256 --segments 256
	guest 10 start mixed
	progress 10 50
	wait_for 10 ring_pages_mapped $((4 * 4 + 1))	# the neighbour's is back after the daemon's restart
	for fd in "/proc/$pid/fdinfo"/*; do
		[ "${fd##*/}" -gt 2 ] || continue
		flags=$(sed -n 's/^flags:\t*//p' "$fd" 2>/dev/null) || continue # that of a question that has been answered meanwhile
		((flags & 02000000)) || { ls -l "/proc/$pid/fd/${fd##*/}"; return 1; }
	done
	# Four pages each; the stand-in's own view of a guest's memory has gigabytes.
	mapping=$(awk '/^[0-9a-f]+-/ { ring = /xen-sim\/mem/ } ring && /^Size:/ { ring = $2 <= 16 } ring && /^VmFlags:/ { print / dc( |$)/ }' "/proc/$pid/smaps" | sort | uniq -c)
	echo "$mapping"
	[ "$(awk '{ print $2 }' <<<"$mapping")" = 1 ]
	guest_destroy 10
	wait_for 5 ring_pages_mapped 1
}
