#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# drbdxd stopped in good order under a writing guest, and started again, twice: it goes on with the ring where it stopped; the guest sees a pause. Killed, and with the table of what
# was in flight removed, it leaves a ring that is never served again, and says so.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
for round in 1 2; do
	step "restart $round"
	on 1 '/lab/daemon stop && /lab/daemon start'
	writer_goes_on 1 g1
done
last=$(stop_writer 1 g1)
guest 1 g1 "writer verify -l $last /dev/xvda2 && ! dmesg | grep -i 'I/O error'"
assert_acknowledged_is_on 2 my-domu-disk "$last"
assert_same_volumes my-domu-disk
step "killed, and its table is lost"
start_writer 1 g1 xvda2 -o 4096
on 1 '/lab/daemon kill; rm /run/drbdx/minor-*.inflight; /lab/daemon start'
wait_for 1 20 'backend-ctl status | grep -q "has to be destroyed"'
on 1 'xl destroy g1'
wait_in_sync 120
assert_same_volumes my-domu-disk
