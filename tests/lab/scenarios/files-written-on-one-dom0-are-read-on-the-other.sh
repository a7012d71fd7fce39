#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The main job: a file system made in a guest, its files' checksums, a shutdown; both volumes are the same and clean, and the guest starts
# on the other Dom0 with the same files.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
step "the guest makes a file system on dom0_1"
start_guest 1 g1 drbdx:my-domu-disk,xvda2,w
# shellcheck disable=SC2016 # for the guest's shell
guest 1 g1 -t 120 'mkfs.ext4 -q /dev/xvda2 && mount /dev/xvda2 /mnt && cd /mnt &&
	for i in 1 2 3 4 5 6 7 8; do head -c $((i * 150000)) /dev/urandom >file$i || exit 1; done &&
	sha256sum file* >sums && sync && cd / && umount /mnt'
shut_down_guest 1 g1
assert_same_volumes my-domu-disk
e2fsck -fn "$(lab disk-image 1 my-domu-disk)" || fail "the file system is not clean"
step "the guest starts on dom0_2"
start_guest 2 g1 drbdx:my-domu-disk,xvda2,w
guest 2 g1 'mount /dev/xvda2 /mnt && cd /mnt && sha256sum -c sums && echo more >more && sync && cd / && umount /mnt'
shut_down_guest 2 g1
assert_same_volumes my-domu-disk
