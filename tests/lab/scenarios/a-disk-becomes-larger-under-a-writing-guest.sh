#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# Both volumes become larger, then the resource, while its guest writes: its kernel sees the new size, uses what is new, and loses nothing; so it is on the
# other host after a migration. The volumes are loop devices in the Dom0s, for the lab's own disks cannot grow.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"

sectors() { guest "$1" g1 'cat /sys/block/xvda2/size'; } # HOST

on_both '[ ! -b /dev/loop0 ] || losetup -D; rm -f /var/lib/volume'
new_metadata
on_both 'modprobe loop && truncate -s 32M /var/lib/volume && losetup /dev/loop0 /var/lib/volume &&
	sed -i s,/dev/vg0/my-domu-disk,/dev/loop0, /etc/drbdx.d/my-domu.res && backend-ctl create-md --assume-clean --force my-domu-disk && /lab/daemon start'
wait_connected
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
start_writer 1 g1 xvda2 -r 4096
[ "$(sectors 1)" = 65536 ] || fail "the disk has $(sectors 1) sectors"
step "one volume alone is larger: nothing changes"
on 1 'truncate -s 64M /var/lib/volume && losetup -c /dev/loop0'
on 1 '! backend-ctl resize my-domu-disk'
[ "$(sectors 1)" = 65536 ] || fail "the disk has $(sectors 1) sectors"
step "both are"
on 2 'truncate -s 64M /var/lib/volume && losetup -c /dev/loop0'
on 1 'backend-ctl resize my-domu-disk'
guest 1 g1 'for i in $(seq 200); do [ "$(cat /sys/block/xvda2/size)" != 131072 ] || exit 0; usleep 100000; done; exit 1' ||
	fail "the guest does not see that its disk is larger"
guest 1 g1 'writer write -n 500 -o 8192 /dev/xvda2 && writer verify -l 500 -o 8192 /dev/xvda2'
writer_goes_on 1 g1
wait_in_sync 60
step "on dom0_2"
migrate_guest 1 2 g1
writer_goes_on 2 g1
[ "$(sectors 2)" = 131072 ] || fail "the disk has $(sectors 2) sectors"
last=$(stop_writer 2 g1)
guest 2 g1 "writer verify -l $last -r 4096 /dev/xvda2 && writer verify -l 500 -o 8192 /dev/xvda2 && ! dmesg | grep -i 'I/O error'"
shut_down_guest 2 g1
[ "$(on 1 'sha256sum </dev/loop0')" = "$(on 2 'sha256sum </dev/loop0')" ] || fail "the volumes differ"
on_both '/lab/daemon kill; losetup -d /dev/loop0 && rm /var/lib/volume'
