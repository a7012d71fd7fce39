#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# every run
# needs: drbdx
# While the link is cut, each direction alone and both, the guest goes on from its own disk, without an error; when the link is back, what it wrote
# meanwhile is copied, and both volumes are the same.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2
for direction in '' 1to2 2to1; do
	step "link down ${direction:-both ways}"
	take_gap 1 g1 >/dev/null
	lab link down ${direction:+"$direction"}
	wait_for 1 20 'backend-ctl status my-domu-disk | grep -q "the guest goes on without"'
	writer_goes_on 1 g1
	echo "the guest waited $(take_gap 1 g1) ms"
	lab link up
	wait_in_sync 120
done
last=$(stop_writer 1 g1)
guest 1 g1 "writer verify -l $last /dev/xvda2 && ! dmesg | grep -i 'I/O error'"
shut_down_guest 1 g1
assert_acknowledged_is_on 1 my-domu-disk "$last"
assert_same_volumes my-domu-disk
