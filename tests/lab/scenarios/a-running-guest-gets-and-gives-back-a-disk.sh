#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# block-attach and block-detach on a running guest, twice, with xen-blkback loaded: it has probed the device before drbdxd takes it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
on 1 'grep -q ^xen_blkback /proc/modules'
start_guest 1 g1
for count in 100 200; do
	on 1 'xl block-attach g1 drbdx:my-domu-disk xvdb w'
	has_frontend 1 g1 xvdb
	guest 1 g1 "writer write -n $count /dev/xvdb && writer verify -l $count /dev/xvdb"
	on 1 'xl block-detach g1 xvdb'
	# shellcheck disable=SC2016 # for the guest's shell
	guest 1 g1 'for i in $(seq 100); do [ -b /dev/xvdb ] || exit 0; usleep 100000; done; exit 1'
done
assert_acknowledged_is_on 1 my-domu-disk 200
assert_acknowledged_is_on 2 my-domu-disk 200
