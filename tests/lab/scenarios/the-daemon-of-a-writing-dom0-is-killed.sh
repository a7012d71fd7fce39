#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# Domain 0 writes to its own frontend while drbdxd beneath it is killed, upgraded, and killed on the other host: it sees a pause. Then the disk is taken away under its writes: Linux's
# blkfront gives up what is in use, whatever backend it has, so the writer ends with an error; what was acknowledged is on both disks, which are the same, and the other Dom0 is given them.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"

start_pair
on 1 'xl block-attach 0 drbdx:my-domu-disk xvda w'
has_frontend 1 Domain-0 xvda
start_writer 1 Domain-0 xvda
for round in 1 2 3; do
	step "killed, $round: the partner's disk hangs, so that something is unanswered"
	lab disk-hang 2 my-domu-disk
	wait_for 1 20 'backend-ctl status my-domu-disk --json | grep -q "\"peer\": [1-9]"'
	on 1 '/lab/daemon kill'
	lab disk-go-on 2 my-domu-disk
	on 1 '/lab/daemon start'
	writer_goes_on 1 Domain-0
	on 1 'backend-ctl status my-domu-disk --json | grep -q "\"finished_again\": [1-9]"' || fail "nothing was unanswered, or it is not finished"
	wait_in_sync 120
done
step "upgraded"
on 1 'backend-ctl upgrade'
writer_goes_on 1 Domain-0
step "the partner's is killed"
on 2 '/lab/daemon kill && /lab/daemon start'
writer_goes_on 1 Domain-0
wait_in_sync 120
step "taken away under load"
seen=$(last_ack 1 Domain-0)
on 1 'xl block-detach 0 xvda'
wait_for 1 60 '[ ! -e /dev/xvda ] && grep -q "^writer: acked" /tmp/writer.log'
last=$(on 1 'sed -n "s/^writer: acked=\([0-9]*\) errors=1 .*/\1/p" /tmp/writer.log')
[ "$last" -ge "$seen" ] || fail "acknowledged: $seen, then $last"
wait_in_sync 20
assert_same_volumes my-domu-disk
assert_acknowledged_is_on 1 my-domu-disk "$last"
step "dom0_2 has the disk"
on 2 'xl block-attach 0 drbdx:my-domu-disk xvda w'
has_frontend 2 Domain-0 xvda
on 2 "writer verify -l $last /dev/xvda && xl block-detach 0 xvda"
