#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# xen: 4.20
# flavour: systemd
# block-attach and block-detach on a running guest, as kind vbd3, as vbd, and as vbd3 again: the data are the same. xen-blkback, which is loaded, never has a
# vbd3. drbdxd's unit, with its sandbox, lets it write what xentop reads.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
on 1 'grep -q ^xen_blkback /proc/modules'
start_guest 1 g1
count=0
for kind in vbd3 vbd vbd3; do
	on 1 "xl block-attach g1 drbdx:my-domu-disk xvdb w $([ $kind = vbd ] || echo backendtype=tap)"
	has_frontend 1 g1 xvdb
	on 1 "[ -e /sys/bus/xen-backend/devices/$kind-*-51728 ] && ! [ -e /sys/bus/xen-backend/devices/$kind-*-51728/driver ]" ||
		fail "$kind: the kernel does not see the device, or xen-blkback has it"
	((count == 0)) || guest 1 g1 "writer verify -l $count /dev/xvdb"
	((count += 100))
	guest 1 g1 "writer write -n $count /dev/xvdb && writer verify -l $count /dev/xvdb"
	[ $kind = vbd ] || on 1 'xentop -b -i 1 -x | grep -E "^VBD Tapdisk3 51728 .* WR: *[1-9]"'
	on 1 'xl block-detach g1 xvdb'
	# shellcheck disable=SC2016 # for the guest's shell
	guest 1 g1 'for i in $(seq 100); do [ -b /dev/xvdb ] || exit 0; usleep 100000; done; exit 1'
	on 1 '! ls /run/drbdx/statistics | grep .'
done
assert_acknowledged_is_on 1 my-domu-disk 300
assert_acknowledged_is_on 2 my-domu-disk 300
