#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# xen: 4.20
# A guest that writes all the time to a disk of kind vbd3 is migrated to dom0_2 and back; xentop shows its writes wherever it runs, and only there.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

xentop_counts() # HOST
{
	local seen
	mapfile -t seen < <(on "$1" 'xentop -b -i 2 -d 3 -x' | sed -n 's/^VBD Tapdisk3 51714 .* WR: *\([0-9]*\) .*/\1/p')
	echo "xentop, writes: ${seen[*]}"
	((${#seen[@]} == 2 && seen[1] > seen[0])) || fail "xentop shows no writes"
}

start_writing_guest "$one_disk,backendtype=tap"
for from in 1 2; do
	to=$((3 - from))
	xentop_counts "$from"
	step "dom0_$from to dom0_$to"
	seconds=$(migrate_guest "$from" "$to" g1)
	guest_runs_on "$to" g1 || fail "the guest does not run on dom0_$to"
	no_domain "$from" g1 20
	writer_goes_on "$to" g1
	echo "migrated in $seconds s, gap $(take_gap "$to" g1) ms"
	on "$to" 'xenstore-list backend/vbd3 && ! xenstore-list backend/vbd'
	on "$from" '! ls /run/drbdx/statistics | grep .' || fail "counters of a disk that is gone"
	one_token
done
xentop_counts 1
guest_is_intact 1 g1 my-domu-disk
