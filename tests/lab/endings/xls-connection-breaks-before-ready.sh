#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The connection of xl breaks after the whole stream and before 'ready': the guest is resumed at its source, its first request ends the reservation; the copy that was left behind on dom0_2 is stale and never served.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration reserved 1 2 g1
status_says 2 20 'g1--incoming .* is arriving from dom0_1'
cut_stream 1
end_migration
guest_runs_on 1 g1 || fail "the guest does not run at its source"
writer_goes_on 1 g1
step "the copy is unpaused by mistake: it is not served"
status_says 2 20 'copy of the guest is stale'
on 2 'xl unpause g1--incoming'
writer_goes_on 1 g1
status_says 2 20 'Secondary .*copy of the guest is stale: .*xl destroy'
on 2 'xl destroy g1--incoming'
no_domain 2 g1--incoming 20
guest_is_intact 1 g1 my-domu-disk
