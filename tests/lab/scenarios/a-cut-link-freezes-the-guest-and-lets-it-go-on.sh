#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# Nothing is acknowledged from one copy: while the link is cut the guest waits, without an error, and status says why; when the link is
# back it goes on, and both volumes hold every acknowledged block. Each direction alone and both.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
for direction in '' 1to2 2to1; do
	step "link down ${direction:-both ways}"
	lab link down ${direction:+"$direction"}
	wait_for 1 20 'backend-ctl status my-domu-disk | grep -q "I/O is frozen"'
	writer_is_frozen 1 g1
	lab link up
	writer_goes_on 1 g1
done
wait_connected
last=$(stop_writer 1 g1)
guest 1 g1 "writer verify -l $last /dev/xvda2 && ! dmesg | grep -i 'I/O error'"
shut_down_guest 1 g1
assert_acknowledged_is_on 1 my-domu-disk "$last"
assert_same_volumes my-domu-disk
