#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# Debian's own xl, without the wrapper that knows "drbdx:": the disk in xl's stock words is the same disk; and without the wrapper "drbdx:" is an error.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
guest_config g1 script=block-drbdx,vdev=xvda2,access=w,target=my-domu-disk | on 1 'cat >/etc/xen/g1.cfg'
guest_config g2 drbdx:my-domu-disk,xvda2,w | on 1 'cat >/etc/xen/g2.cfg'
on 1 '! /usr/lib/drbdx/xl create -q /etc/xen/g2.cfg 2>/dev/null' || fail "this xl knows drbdx: without help; the test tests nothing"
on 1 '/usr/lib/drbdx/xl create -q /etc/xen/g1.cfg'
guest 1 g1 ''
guest 1 g1 'writer write -n 100 /dev/xvda2'
shut_down_guest 1 g1
assert_acknowledged_is_on 2 my-domu-disk 100
assert_same_volumes my-domu-disk
