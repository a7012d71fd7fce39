#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# The link between the daemons is cut when the disk is reserved, in both directions and in one: the guest arrives, waits in words, and goes on when the link is back. It is cut when the guest has
# arrived: that goes on alone. (Cut before that, the add is refused: the-partner-is-unreachable.)
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration reserved 1 2 g1
lab link down
migration_succeeds 1 g1
status_says 2 20 'frozen .*the partner dom0_1 is not connected'
writer_is_frozen 2 g1
lab link up
writer_goes_on 2 g1
wait_in_sync 120
begin_migration reserved 2 1 g1
lab link down 2to1 # the destination's question may arrive, the token cannot
migration_succeeds 2 g1
status_says 1 20 'frozen .*the partner dom0_2 is not connected'
lab link up
writer_goes_on 1 g1
wait_in_sync 120
begin_migration arrived 1 2 g1
writer_goes_on 2 g1
lab link down
status_says 2 20 'the guest goes on without dom0_1'
writer_goes_on 2 g1
migration_succeeds 1 g1
lab link up
wait_in_sync 120
guest_is_intact 2 g1 my-domu-disk
