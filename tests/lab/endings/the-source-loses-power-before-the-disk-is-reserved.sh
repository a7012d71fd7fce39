#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# A power cut of the source's host while the guest still runs there, and another one when it is suspended and its disk about to be added: the guest is lost, its copy goes, too. When the host is back, the guest is
# started, on the other one, with all that was acknowledged.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
from=1 to=2
for point in copying suspended; do
	last=$(last_ack $from g1)
	begin_migration $point $from $to g1
	lab power-cut $from
	[ $point = copying ] || release_add $to
	end_migration
	no_domain $to g1--incoming 60
	status_says $to 20 "not connected with dom0_$from .*The partner has the right to write: .*backend-ctl primary --force my-domu-disk"
	lab power-on $from
	wait_in_sync 120
	guest_begins_again $to g1 "$last"
	from=$((3 - from)) to=$((3 - to))
done
guest_is_intact $from g1 my-domu-disk
