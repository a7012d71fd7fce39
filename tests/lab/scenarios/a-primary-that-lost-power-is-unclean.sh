#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A power cut of the host on which the guest runs: every acknowledged block is on both disks, though one cache died; but the last writes may differ, so the resource is
# unclean, and a start is refused in words on both hosts until the administrator has made the volumes identical.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
last=$(last_ack 1 g1)
lab power-cut 1
assert_acknowledged_is_on 1 my-domu-disk "$last" -w 100000
assert_acknowledged_is_on 2 my-domu-disk "$last" -w 100000
lab power-on 1
for host in 1 2; do
	wait_for "$host" 60 'backend-ctl status my-domu-disk | grep -q "died while it served a guest"'
	guest_config g1 drbdx:my-domu-disk,xvda2,w | on "$host" 'cat >/etc/xen/g1.cfg'
	refused=$(on "$host" 'xl create -q /etc/xen/g1.cfg 2>&1' || true)
	grep -q 'unclean' <<<"$refused" || fail "host $host did not say why: $refused"
	wait_for "$host" 30 '! xl domid g1 >/dev/null 2>&1'
done
step "the way out, as status says it"
on_both 'backend-ctl down all'
# A quarter of a GiB through an emulated ssh takes a while.
timeout 240 "$tests/lab" ssh 1 'dd of=/dev/vg0/my-domu-disk bs=1M conv=fsync status=none' <"$(lab disk-image 2 my-domu-disk)"
on_both 'backend-ctl create-md --assume-clean --force my-domu-disk && backend-ctl up all'
wait_connected my-domu-disk
assert_same_volumes my-domu-disk
start_guest 2 g1 drbdx:my-domu-disk,xvda2,w
guest 2 g1 "writer verify -l $last -w 100000 /dev/xvda2"
