#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# Power cuts of the destination's host while memory is copied, when the guest is suspended, and when the disk is reserved: the guest goes on at its source each time, alone, and the destination catches up.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
for point in copying suspended reserved; do
	begin_migration $point 1 2 g1
	lab power-cut 2
	[ $point = suspended ] || cut_stream 1 # what TCP finds out by itself, after a while
	end_migration
	guest_runs_on 1 g1 || fail "the guest does not run at its source"
	status_says 1 20 'the guest goes on without dom0_2'
	writer_goes_on 1 g1
	lab power-on 2
	wait_in_sync 120
done
guest_is_intact 1 g1 my-domu-disk
