#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# Both hosts lose power at the same moment. When both are back, the blocks that the guest was writing to are compared by copying, both volumes are the same, and every acknowledged
# block and ext4 are there on whichever host the guest is started.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
last=$(last_ack 1 g1)
lab power-cut 1 &
lab power-cut 2
wait $!
lab power-on 1
lab power-on 2
wait_in_sync 120
assert_same_volumes my-domu-disk
start_guest 2 g1 "$one_disk"
has_frontend 2 g1 xvda2
guest 2 g1 -t 120 "mount /dev/xvda2 /mnt && writer verify -l $last -w 100000 /mnt/log && umount /mnt && ! dmesg | grep -iE 'i/o error'"
shut_down_guest 2 g1
/sbin/e2fsck -fn "$(lab disk-image 2 my-domu-disk)" >/dev/null || fail "ext4 is damaged"
