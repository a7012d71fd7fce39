#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# kill -9 of the daemon on the other Dom0: the guest goes on, and what it writes meanwhile is copied when that daemon is back, three times.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
for _ in 1 2 3; do
	on 2 '/lab/daemon kill'
	writer_goes_on 1 g1
	on 2 '/lab/daemon start'
	wait_in_sync 120
done
writer_goes_on 1 g1
last=$(stop_writer 1 g1)
guest 1 g1 "writer verify -l $last /dev/xvda2 && ! dmesg | grep -i 'I/O error'"
shut_down_guest 1 g1
assert_acknowledged_is_on 2 my-domu-disk "$last"
assert_same_volumes my-domu-disk
