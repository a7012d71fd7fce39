#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# block-attach and block-detach on a running guest where no driver of the kernel's holds the device: xen-blkback is blacklisted.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_guest 1 g1
on 1 'printf "blacklist xen_blkback\ninstall xen_blkback /bin/false\n" >/etc/modprobe.d/lab.conf && rmmod xen_blkback'
start_pair
on 1 'xl block-attach g1 drbdx:my-domu-disk xvdb w'
has_frontend 1 g1 xvdb
guest 1 g1 'writer write -n 100 /dev/xvdb && writer verify -l 100 /dev/xvdb'
on 1 '! grep -q ^xen_blkback /proc/modules'
on 1 'xl block-detach g1 xvdb'
assert_acknowledged_is_on 1 my-domu-disk 100
assert_acknowledged_is_on 2 my-domu-disk 100
