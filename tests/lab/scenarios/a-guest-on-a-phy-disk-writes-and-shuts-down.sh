#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The lab itself: a guest on an ordinary disk writes, sees its own blocks, ends at xl shutdown, and what it wrote is in the file.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_guest 1 g1 phy:/dev/vg0/plain-disk,xvda,w
guest 1 g1 'writer write -n 200 /dev/xvda && writer verify -l 200 /dev/xvda'
! guest 1 g1 'exit 3' || fail "the status of a guest's command is lost"
shut_down_guest 1 g1
assert_acknowledged_is_on 1 plain-disk 200
