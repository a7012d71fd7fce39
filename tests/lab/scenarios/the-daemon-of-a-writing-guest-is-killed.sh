#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# kill -9 of the Primary's drbdxd under a guest that writes to ext4, and a new one, three times; then of both at once, of the target's and of the source's during a resync, and of the Primary's with the partner
# away: each time the next daemon finishes what was unanswered and goes on with the ring. The guest sees a pause: no I/O error, its log and ext4 intact, the replicas the same.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"

gap() # WHAT
{
	writer_goes_on 1 g1
	echo "the guest's longest gap, $1: $(take_gap 1 g1) ms"
}

gap 'nothing done'
for round in 1 2 3; do
	step "killed, $round"
	on 1 '/lab/daemon kill && /lab/daemon start'
	gap 'the daemon killed and started'
	wait_in_sync 120
done
step 'both at once'
on_both '/lab/daemon kill'
on_both '/lab/daemon start'
gap 'both daemons killed and started'
wait_in_sync 120
step 'the partner is away, and the copy that it lacks is being made'
on 2 '/lab/daemon kill'
writer_goes_on 1 g1
on 1 '/lab/daemon kill && /lab/daemon start'
gap 'the daemon killed and started without its partner'
on 1 'backend-ctl pause-sync my-domu-disk'
on 2 '/lab/daemon start'
wait_connected my-domu-disk
on 2 '/lab/daemon kill && /lab/daemon start'
gap "the target's daemon killed and started during a resync"
wait_connected my-domu-disk
on 1 '/lab/daemon kill && /lab/daemon start'
gap 'the daemon killed and started during a resync'
wait_in_sync 120
on 1 "grep -h 'of the earlier daemon' /var/log/drbdxd.log || true"
on 1 "! backend-ctl status | grep 'has to be destroyed'"
guest_is_intact 1 g1 my-domu-disk
