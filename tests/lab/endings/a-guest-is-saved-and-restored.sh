#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# xl save -c: the guest is suspended, and goes on. xl save and xl restore on the same host; xl save, and xl restore on the other host: the disk goes with the guest.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

image=/var/tmp/g1.save
start_writing_guest "$one_disk"
step "saved, and going on"
on 1 "xl save -c g1 $image"
guest_runs_on 1 g1 || fail "the guest does not run"
writer_goes_on 1 g1
for to in 1 2; do
	step "saved on dom0_1, restored on dom0_$to"
	on 1 "xl save g1 $image"
	no_domain 1 g1 20
	one_token
	[ $to = 1 ] || on 1 "cat $image" | on 2 "cat >$image"
	on $to "xl restore $image && rm $image"
	writer_goes_on $to g1
done
guest_is_intact 2 g1 my-domu-disk
