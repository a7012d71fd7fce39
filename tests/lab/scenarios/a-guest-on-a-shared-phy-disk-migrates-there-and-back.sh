#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The lab itself: a guest on a disk that both hosts have migrates to dom0_2 and back while it writes. It sees no error, takes commands where it
# is, and every acknowledged block is there.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_guest 1 g1 phy:/dev/vg0/shared-disk,xvda,w
start_writer 1 g1 xvda
for from in 1 2; do
	to=$((3 - from))
	step "dom0_$from to dom0_$to"
	take_gap "$from" g1 >/dev/null
	seconds=$(migrate_guest "$from" "$to" g1)
	guest_runs_on "$to" g1 || fail "the guest does not run on dom0_$to"
	! guest_runs_on "$from" g1 || fail "the guest runs on dom0_$from, too"
	writer_goes_on "$to" g1
	echo "migrated in $seconds s, gap $(take_gap "$to" g1) ms"
done
last=$(stop_writer 1 g1)
guest 1 g1 "writer verify -l $last /dev/xvda"
shut_down_guest 1 g1
assert_acknowledged_is_on 2 shared-disk "$last"
