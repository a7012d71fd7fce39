#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The Primary's disk hangs under a writing guest, with disk-timeout 10 s: the guest goes on with the partner's copy soon after that, without an
# error. While the disk still has writes, it is not attached again; when it has gone on, it is, what differs is copied, and both volumes are
# the same.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

new_metadata
on_both 'sed -i "s/on-io-error detach;/&\n\t\tdisk-timeout 100;/" /etc/drbdx.d/global_common.conf && /lab/daemon start'
wait_connected my-domu-disk my-domu-swap
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
take_gap 1 g1 >/dev/null

step 'the disk hangs'
lab disk-hang 1 my-domu-disk
trap 'lab disk-go-on 1 my-domu-disk' EXIT
wait_for 1 30 'backend-ctl status my-domu-disk | grep -qE "^my-domu-disk +Primary +Connected +Diskless +UpToDate "'
writer_goes_on 1 g1
gap=$(take_gap 1 g1)
echo "the guest waited $gap ms"
# disk-timeout, and a meeting of two hosts in software emulation
((gap < 18000)) || fail "the guest waited $gap ms"
on 1 'backend-ctl status my-domu-disk | grep -E "requests? of the detached disk /dev/vg0/my-domu-disk (has|have) not ended"'
last=$(stop_writer 1 g1)
guest 1 g1 "writer verify -l $last /dev/xvda2 && ! dmesg | grep -i 'I/O error'"
shut_down_guest 1 g1
wait_for 1 20 'backend-ctl attach my-domu-disk 2>&1 | grep -q "not ended"'

step 'the disk goes on'
lab disk-go-on 1 my-domu-disk
trap - EXIT
wait_for 1 30 '! backend-ctl status my-domu-disk | grep -q "not ended"'
on 1 'backend-ctl attach my-domu-disk'
wait_in_sync 120
assert_acknowledged_is_on 1 my-domu-disk "$last"
assert_same_volumes my-domu-disk
