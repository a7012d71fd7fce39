#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A guest with two replicated disks: both tokens move, there and back.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest drbdx:my-domu-disk,xvda2,w drbdx:my-domu-swap,xvda1,w
guest 1 g1 'writer write -n 100 /dev/xvda1'
migrate_guest 1 2 g1
for resource in my-domu-disk my-domu-swap; do
	status_says 2 20 "^RESOURCE.* $resource *Primary" "$resource"
done
guest 2 g1 'writer verify -l 100 /dev/xvda1 && writer write -n 100 -s 101 /dev/xvda1'
migrate_guest 2 1 g1
guest 1 g1 'writer verify -l 200 /dev/xvda1'
guest_is_intact 1 g1 my-domu-disk my-domu-swap
