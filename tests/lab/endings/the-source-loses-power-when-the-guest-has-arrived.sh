#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A power cut of the source's host when the guest runs at the destination already: it goes on alone there, and the source becomes its copy.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration arrived 1 2 g1
writer_goes_on 2 g1
lab power-cut 1
end_migration
status_says 2 20 'the guest goes on without dom0_1'
writer_goes_on 2 g1
lab power-on 1
wait_in_sync 120
guest_is_intact 2 g1 my-domu-disk
