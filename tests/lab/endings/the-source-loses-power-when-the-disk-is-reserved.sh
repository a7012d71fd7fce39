#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A power cut of the source's host when the guest is suspended, and complete at the destination, but paused: status says there what is missing. Unpaused by hand, it waits, and goes on when the
# source's host is back, which has the token.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration reserved 1 2 g1
lab power-cut 1
end_migration
status_says 2 20 'g1--incoming .* is arriving from dom0_1, which has the disk'
wait_for 2 60 'grep -q "failed to read GO message" /var/log/stream.log'
on 2 'xl list g1--incoming && xl unpause g1--incoming'
status_says 2 20 'frozen .*the partner dom0_1 is not connected'
lab power-on 1
writer_goes_on 2 g1--incoming
on 2 'xl rename g1--incoming g1'
wait_in_sync 120
guest_is_intact 2 g1 my-domu-disk
