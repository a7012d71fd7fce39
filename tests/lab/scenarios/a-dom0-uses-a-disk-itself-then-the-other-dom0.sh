#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# Domain 0 as its own guest, by its own blkfront: xl block-attach 0. A file system made and written on dom0_1 is read on dom0_2, is written there and read
# again on dom0_1, while a guest beside it writes to another resource all the time. While one Dom0 has the disk, the other is not given it.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"

attach() # HOST: and mounts it
{
	on "$1" 'xl block-attach 0 drbdx:my-domu-disk xvda w'
	has_frontend "$1" Domain-0 xvda
	on "$1" '[ "$(readlink /sys/block/xvda/device/driver | sed s,.*/,,)" = vbd ] && grep -q ^xen_blkfront /proc/modules'
	on "$1" 'backend-ctl status my-domu-disk | grep -q "Domain-0"'
}

detach() # HOST
{
	on "$1" 'umount /mnt && xl block-detach 0 xvda'
	wait_for "$1" 20 '[ ! -e /dev/xvda ] && [ -z "$(xenstore-list /local/domain/0/backend/vbd/0)" ]'
	assert_same_volumes my-domu-disk
	/sbin/e2fsck -fn "$(lab disk-image 1 my-domu-disk)" >/dev/null || fail "the file system is not clean"
}

write_files() # HOST PREFIX: eight files and their checksums
{
	on "$1" "cd /mnt && for i in 1 2 3 4 5 6 7 8; do head -c \$((i * 150000)) /dev/urandom >$2\$i || exit 1; done && sha256sum $2? >>sums && sync"
}

start_pair
start_guest 1 g1 drbdx:my-domu-swap,xvdb,w
start_writer 1 g1 xvdb -r 4096
step "dom0_1 makes a file system and writes files"
attach 1
on 1 'mkfs.ext4 -q /dev/xvda && mount /dev/xvda /mnt'
write_files 1 first
never_waits_for_io 1
step "dom0_2 is refused it meanwhile"
said=$(on 2 'xl block-attach 0 drbdx:my-domu-disk xvda w 2>&1') && fail "both Dom0s have the disk"
grep -i 'Domain-0' <<<"$said" || fail "xl says: $said"
on 2 '[ ! -e /dev/xvda ] && { xl block-detach 0 xvda || true; }' # what a failed attach leaves in xenstore
writer_goes_on 1 g1
detach 1
step "dom0_2 reads them, and writes others"
attach 2
on 2 'mount /dev/xvda /mnt && cd /mnt && sha256sum -c --quiet sums'
write_files 2 second
detach 2
step "dom0_1 reads all of them"
attach 1
on 1 'mount -o ro /dev/xvda /mnt && cd /mnt && sha256sum -c --quiet sums && [ "$(wc -l <sums)" = 16 ]'
detach 1
on_both '! dmesg | grep -iE "I/O error|xvda.*error|ext4-fs (error|warning)"'
last=$(stop_writer 1 g1)
shut_down_guest 1 g1
assert_acknowledged_is_on 2 my-domu-swap "$last" -r 4096
assert_same_volumes my-domu-swap
