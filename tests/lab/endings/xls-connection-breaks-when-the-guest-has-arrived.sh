#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The connection of xl breaks before the source hears that the guest runs at the destination: the suspended copy that is left at the source is stale, and status says what to do with it.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration arrived 1 2 g1
writer_goes_on 2 g1
cut_stream 1
end_migration
guest_runs_on 2 g1 || fail "the guest does not run at its destination"
status_says 1 20 'this copy of the guest is stale: .*xl destroy'
on 1 'xl destroy g1--migratedaway'
one_token
guest_is_intact 2 g1 my-domu-disk
