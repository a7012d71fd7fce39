#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 7200
# soak: 20 migrations
# A guest that writes all the time is migrated MIGRATIONS times (default 20), to and fro: nothing is lost, no error is seen.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

migrations=${MIGRATIONS:-20} gaps=()
start_writing_guest "$one_disk"
for ((i = 0; i < migrations; i++)); do
	from=$((1 + i % 2)) to=$((2 - i % 2))
	take_gap "$from" g1 >/dev/null
	seconds=$(migrate_guest "$from" "$to" g1 2>/dev/null)
	guest_runs_on "$to" g1 || fail "migration $((i + 1)): the guest does not run on dom0_$to"
	no_domain "$from" g1 20
	writer_goes_on "$to" g1
	gaps+=("$(take_gap "$to" g1)")
	step "$((i + 1)): dom0_$from to dom0_$to in $seconds s, gap ${gaps[-1]} ms"
done
guest_is_intact "$to" g1 my-domu-disk
printf '%s\n' "${gaps[@]}" | sort -n | awk '{ g[NR] = $1 } END { printf "%d migrations, gap: min %d, median %d, max %d ms\n", NR, g[1], g[int((NR + 1) / 2)], g[NR] }'
