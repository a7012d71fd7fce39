#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A power cut of the other host: every block that the guest has an acknowledgement for is on that host's disk, though its cache died with
# it; the guest waits without an error and goes on when the host is back.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
lab power-cut 2
wait_for 1 20 'backend-ctl status my-domu-disk | grep -q "I/O is frozen"'
writer_is_frozen 1 g1
assert_acknowledged_is_on 2 my-domu-disk "$(last_ack 1 g1)"
lab power-on 2
writer_goes_on 1 g1
wait_connected
last=$(stop_writer 1 g1)
guest 1 g1 "writer verify -l $last /dev/xvda2 && ! dmesg | grep -i 'I/O error'"
shut_down_guest 1 g1
assert_acknowledged_is_on 2 my-domu-disk "$last"
assert_same_volumes my-domu-disk
