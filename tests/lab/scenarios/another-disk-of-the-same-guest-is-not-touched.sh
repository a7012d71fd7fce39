#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A guest writes to an ordinary disk, served by xen-blkback, while a replicated one comes and goes and drbdxd starts and dies beside it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

new_metadata
start_guest 1 g1 phy:/dev/vg0/plain-disk,xvda,w
start_writer 1 g1 xvda
on_both '/lab/daemon start'
wait_connected
on 1 'xl block-attach g1 drbdx:my-domu-disk xvdb w'
has_frontend 1 g1 xvdb
guest 1 g1 'writer write -n 100 /dev/xvdb'
writer_goes_on 1 g1
on 1 '/lab/daemon kill'
writer_goes_on 1 g1
# shellcheck disable=SC2016 # for the host's shell
on 1 '[ "$(readlink /sys/bus/xen-backend/devices/vbd-*-51712/driver | sed s,.*/,,)" = vbd ]'
last=$(stop_writer 1 g1)
assert_acknowledged_is_on 1 plain-disk "$last"
