#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The replication link is cut before the guest's memory is copied, and in another migration when the guest is suspended: the destination's add is refused, and the guest goes on at its source, alone.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
for point in copying suspended; do
	begin_migration $point 1 2 g1
	lab link down
	[ $point = suspended ] || release_stream 1
	[ $point = copying ] || release_add 2
	end_migration
	guest_runs_on 1 g1 || fail "the guest does not run at its source"
	no_domain 2 g1--incoming 20
	status_says 1 20 'the guest goes on without dom0_2'
	lab link up
	wait_in_sync 120
done
guest_is_intact 1 g1 my-domu-disk
