#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# New metadata on both hosts and nobody's data declared to count: a start is refused, in words, until a person names the source; then the guest runs while everything is copied.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

new_metadata
on_both 'backend-ctl create-md --force my-domu-disk && /lab/daemon start'
wait_for 1 30 'backend-ctl status my-domu-disk | grep -qE "^my-domu-disk +[A-Za-z]+ +Connected +Inconsistent +Inconsistent "'
guest_config g1 drbdx:my-domu-disk,xvda2,w | on 1 'cat >/etc/xen/g1.cfg'
refused=$(on 1 'xl create -q /etc/xen/g1.cfg 2>&1' || true)
grep -q 'backend-ctl primary --force my-domu-disk' <<<"$refused" || fail "host 1 did not say how to name the source: $refused"
wait_for 1 30 '! xl domid g1 >/dev/null 2>&1'
on 1 'backend-ctl pause-sync my-domu-disk' # zeroes might all be copied before the guest runs
on 1 'backend-ctl -- --overwrite-data-of-peer primary my-domu-disk'
wait_for 2 30 'backend-ctl status my-domu-disk | grep -q PausedSync'
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
on 1 'backend-ctl resume-sync my-domu-disk'
wait_in_sync 300
writer_goes_on 1 g1
last=$(stop_writer 1 g1)
shut_down_guest 1 g1
assert_acknowledged_is_on 2 my-domu-disk "$last"
assert_same_volumes my-domu-disk
