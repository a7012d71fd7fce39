#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The destination's metadata is new, so that it has to get everything: the guest arrives nevertheless, reads from its source what is not there yet, and the resync goes on under it.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
on 1 'backend-ctl pause-sync my-domu-disk' # little might all be copied before the guest arrives
on 2 '/lab/daemon stop && backend-ctl create-md --force my-domu-disk && /lab/daemon start'
status_says 2 30 'PausedSync'
migrate_guest 1 2 g1
guest_runs_on 2 g1 || fail "the guest does not run on dom0_2"
writer_goes_on 2 g1
on 1 'backend-ctl resume-sync my-domu-disk'
wait_in_sync 300
guest_is_intact 2 g1 my-domu-disk
