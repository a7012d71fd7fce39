#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 7200
# soak: 10 power cuts
# Hosts lose power CUTS times (default 10) while a guest writes all the time: its partner's, its own (by a person's word it is started on the survivor), or both at once, as chance has it
# (SEED, by default the time). Whatever was acknowledged is there where the guest runs next, and a host that comes back gets what it missed.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

cuts=${CUTS:-10} seed=${SEED:-$(($(date +%s) % 32768))}
RANDOM=$seed
echo "SEED=$seed"
start_writing_guest "$one_disk"
at=1
for ((i = 1; i <= cuts; i++)); do
	other=$((3 - at)) last=$(last_ack "$at" g1)
	case $((RANDOM % 3)) in
	0)
		step "$i: its partner, dom0_$other"
		lab power-cut "$other"
		writer_goes_on "$at" g1
		lab power-on "$other"
		;;
	1)
		step "$i: its own host, dom0_$at"
		lab power-cut "$at"
		on "$other" 'backend-ctl primary --force my-domu-disk'
		guest_begins_again "$other" g1 "$last"
		lab power-on "$at"
		at=$other
		;;
	2)
		step "$i: both"
		lab power-cut 1 &
		lab power-cut 2
		wait $!
		lab power-on 1 &
		lab power-on 2
		wait $!
		wait_in_sync 120
		at=$((RANDOM % 2 + 1))
		guest_begins_again "$at" g1 "$last"
		;;
	esac
	wait_in_sync 120
	writer_goes_on "$at" g1
done
guest_is_intact "$at" g1 my-domu-disk
echo "$cuts power cuts"
