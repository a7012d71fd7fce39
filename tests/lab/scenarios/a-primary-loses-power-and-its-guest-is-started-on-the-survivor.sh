#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# every run
# needs: drbdx
# A power cut of the host on which the guest runs. Every acknowledged block is on both disks, though one cache died. On the survivor a start is refused, in words, until a person says that
# the other host runs no guest; then ext4 and every acknowledged block are there. The host that comes back becomes the copy of the survivor's disk.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
last=$(last_ack 1 g1)
lab power-cut 1
guest_config g1 "$one_disk" | on 2 'cat >/etc/xen/g1.cfg'
refused=$(on 2 'xl create -q /etc/xen/g1.cfg 2>&1' || true)
grep -q 'backend-ctl primary --force my-domu-disk' <<<"$refused" || fail "host 2 did not say how to start without its partner: $refused"
wait_for 2 30 '! xl domid g1 >/dev/null 2>&1'
on 2 'backend-ctl primary --force my-domu-disk'
guest_begins_again 2 g1 "$last"
lab power-on 1
wait_in_sync 120
guest_is_intact 2 g1 my-domu-disk
