#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A power cut of the destination's host when the guest runs there: its copy at the source is stale and says so. The guest is started at the source, by force, with all that was acknowledged.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration arrived 1 2 g1
writer_goes_on 2 g1
last=$(last_ack 2 g1)
lab power-cut 2
cut_stream 1
end_migration
status_says 1 20 'this copy of the guest is stale: .*xl destroy'
on 1 'xl list | grep -v Domain-0; xl destroy g1--migratedaway'
on 1 'backend-ctl primary --force my-domu-disk'
guest_begins_again 1 g1 "$last"
lab power-on 2
wait_in_sync 120
guest_is_intact 1 g1 my-domu-disk
