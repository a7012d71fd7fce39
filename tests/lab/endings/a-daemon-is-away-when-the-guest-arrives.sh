#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The source's drbdxd was killed when the disk was reserved: the guest arrives, and waits in words until there is a daemon again that finds the source's device gone. The same with the
# destination's: the guest's frontend waits for its backend.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration reserved 1 2 g1
on 1 '/lab/daemon kill'
migration_succeeds 1 g1
status_says 2 20 'frozen .*the partner dom0_1 is not connected'
on 1 '/lab/daemon start'
writer_goes_on 2 g1
wait_in_sync 120
begin_migration reserved 2 1 g1
on 1 '/lab/daemon kill'
migration_succeeds 2 g1
guest_runs_on 1 g1 || fail "the guest does not run at its destination"
status_says 2 20 'not connected with dom0_1'
on 1 '/lab/daemon start'
writer_goes_on 1 g1
wait_in_sync 120
guest_is_intact 1 g1 my-domu-disk
