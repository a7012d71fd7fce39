#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A reboot is a new domain on the same disk; a destroy under load lets go of the disk at once; what was acknowledged before either is there afterwards, and the
# guest may then start on the other Dom0. A second start meanwhile is refused in words.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
guest 1 g1 'writer write -n 200 /dev/xvda2'
step "reboot"
before=$(on 1 'xl domid g1')
on 1 'xl reboot g1'
wait_for 1 60 "d=\$(xl domid g1 2>/dev/null) && [ \"\$d\" != $before ]"
guest 1 g1 ''
guest 1 g1 'writer verify -l 200 /dev/xvda2'
step "a second start is refused, on either host"
for host in 1 2; do
	guest_config g2 drbdx:my-domu-disk,xvda2,w | on "$host" 'cat >/etc/xen/g2.cfg'
	refused=$(on "$host" 'xl create -q /etc/xen/g2.cfg 2>&1' || true)
	grep -q 'in use on dom0_1 by guest g1' <<<"$refused" || fail "host $host did not say who has the disk: $refused"
	wait_for "$host" 30 '! xl domid g2 >/dev/null 2>&1'
done
step "destroy under load"
start_writer 1 g1 xvda2 -o 1024
last=$(last_ack 1 g1)
on 1 'xl destroy g1'
wait_for 1 20 'backend-ctl status my-domu-disk | grep -q "^my-domu-disk *Secondary *Connected"'
assert_same_volumes my-domu-disk
step "the guest starts on dom0_2"
start_guest 2 g1 drbdx:my-domu-disk,xvda2,w
guest 2 g1 "writer verify -l 200 /dev/xvda2 && writer verify -l $last -w 4096 -o 1024 /dev/xvda2"
shut_down_guest 2 g1
assert_same_volumes my-domu-disk
