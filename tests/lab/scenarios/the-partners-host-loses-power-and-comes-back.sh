#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A power cut of the other host: every block acknowledged before it is on that host's disk, though its cache died with it; the guest goes on
# alone, and when the host is back, it gets what it missed.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
last=$(last_ack 1 g1)
lab power-cut 2
wait_for 1 20 'backend-ctl status my-domu-disk | grep -q "the guest goes on without"'
writer_goes_on 1 g1
echo "the guest waited $(take_gap 1 g1) ms"
# The survivor has written over some of them since: what is newer than LAST is on its disk alone.
"$(lab tool writer)" verify -l "$last" -w 100000 "$(lab disk-image 2 my-domu-disk)" || fail "an acknowledged block is not on host 2"
lab power-on 2
wait_in_sync 120
writer_goes_on 1 g1
last=$(stop_writer 1 g1)
guest 1 g1 "writer verify -l $last /dev/xvda2 && ! dmesg | grep -i 'I/O error'"
shut_down_guest 1 g1
assert_acknowledged_is_on 2 my-domu-disk "$last"
assert_same_volumes my-domu-disk
