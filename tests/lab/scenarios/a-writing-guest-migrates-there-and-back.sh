#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# every run
# needs: drbdx
# A guest that writes all the time is migrated to dom0_2 and back: no I/O error, ext4 and its log intact, the replicas the same.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
for from in 1 2; do
	to=$((3 - from))
	step "dom0_$from to dom0_$to"
	take_gap "$from" g1 >/dev/null
	seconds=$(migrate_guest "$from" "$to" g1)
	guest_runs_on "$to" g1 || fail "the guest does not run on dom0_$to"
	no_domain "$from" g1 20
	writer_goes_on "$to" g1
	echo "migrated in $seconds s, gap $(take_gap "$to" g1) ms"
	on "$to" 'backend-ctl status my-domu-disk --json' | sed -n '/"hand_over"/,/}/p'
	one_token
done
guest_is_intact 1 g1 my-domu-disk
