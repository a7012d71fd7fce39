#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The replication link is cut after the guest's memory began to move: the destination's add is refused, and the guest goes on at its source (once the link is back: nothing is written to one copy alone).
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
hold_text='ready, send binary domain data' begin_migration 1 2 g1
lab link down
release_stream 1
end_migration
guest_runs_on 1 g1 || fail "the guest does not run at its source"
no_domain 2 g1--incoming 20
status_says 1 20 'I/O is frozen .*dom0_2 is not connected'
lab link up
wait_connected my-domu-disk my-domu-swap
guest_is_intact 1 g1 my-domu-disk
