#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The guest wrote while the link was cut; as soon as it is back, and before everything is copied, it is migrated to the host that lacks blocks, and back.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
lab link down
wait_for 1 20 'backend-ctl status my-domu-disk | grep -q "the guest goes on without"'
writer_goes_on 1 g1
on_both 'backend-ctl pause-sync my-domu-disk'
lab link up
wait_for 1 30 'backend-ctl status my-domu-disk | grep -q PausedSync'
for from in 1 2; do
	step "dom0_$from to dom0_$((3 - from))"
	migrate_guest "$from" $((3 - from)) g1
	guest_runs_on $((3 - from)) g1 || fail "the guest does not run on dom0_$((3 - from))"
	writer_goes_on $((3 - from)) g1
	one_token
done
on_both 'backend-ctl resume-sync my-domu-disk'
wait_in_sync 120
guest_is_intact 1 g1 my-domu-disk
