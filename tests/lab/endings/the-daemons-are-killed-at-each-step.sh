#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# kill -9 of the source's drbdxd, of the destination's, and of both, and a new one each time, at each point where a migration can be stopped: it succeeds, and the guest goes on where it runs.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
from=1 to=2
for point in copying suspended reserved arrived; do
	begin_migration $point $from $to g1
	[ $point = suspended ] || daemon_dies $from # in 40 s Xen would kill the add
	[ $point = suspended ] || daemon_dies $to
	daemon_dies 1 2
	case $point in
	copying) writer_goes_on $from g1 ;;
	reserved) status_says $to 20 'g1--incoming .* is arriving from' ;;
	arrived) writer_goes_on $to g1 ;;
	esac
	migration_succeeds $from g1
	writer_goes_on $to g1
	one_token
	from=$((3 - from)) to=$((3 - to))
done
guest_is_intact $from g1 my-domu-disk
