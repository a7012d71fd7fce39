#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A PVH guest reads a disk that is read only, cannot write to it, and migrates with it. A PV guest reads a CD-ROM (Linux has none in a PVH guest), and cannot write to it. Nothing in either
# copy has changed.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016,SC2034
. "$(dirname "$0")/../lib.sh"

sums() # of all four volumes
{
	local host volume
	for host in 1 2; do
		for volume in my-domu-disk my-domu-swap; do
			sha256sum <"$(lab disk-image "$host" "$volume")"
		done
	done
}

cannot_write() # HOST NAME DEVICE
{
	guest "$1" "$2" "[ \$(cat /sys/block/$3/ro) = 1 ] && ! writer write -n 1 /dev/$3" || fail "$3 of $2 on dom0_$1 can be written"
}

can_read_files() # HOST
{
	guest "$1" g1 'mount -o ro /dev/xvda /mnt && cd /mnt && sha256sum -c sums && cd / && umount /mnt' || fail "the files cannot be read on dom0_$1"
}

start_pair
step "what is to be read is written"
start_guest 1 g1 drbdx:my-domu-disk,xvda,w drbdx:my-domu-swap,xvdc,w
guest 1 g1 -t 120 'mkfs.ext4 -q /dev/xvda && mount /dev/xvda /mnt && cd /mnt && head -c 3000000 /dev/urandom >file && sha256sum file >sums && cd / && umount /mnt &&
	writer write -n 100 /dev/xvdc'
shut_down_guest 1 g1
before=$(sums)
step "read only on dom0_1, then on dom0_2"
start_guest 1 g1 drbdx:my-domu-disk,xvda,r
can_read_files 1
cannot_write 1 g1 xvda
migrate_guest 1 2 g1
can_read_files 2
cannot_write 2 g1 xvda
shut_down_guest 2 g1
step "a CD-ROM"
guest_config_more="type = 'pv'"
start_guest 1 g2 drbdx:my-domu-swap,xvdc,devtype=cdrom
has_frontend 1 g2 xvdc
on 1 'cd=$(xenstore-read /local/domain/$(xl domid g2)/device/vbd/51744/backend) && [ "$(xenstore-read $cd/info)" = 5 ] && [ "$(xenstore-read $cd/device-type)" = cdrom ]' ||
	fail "xvdc is no CD-ROM that is read only"
guest 1 g2 'writer verify -l 100 /dev/xvdc'
cannot_write 1 g2 xvdc
shut_down_guest 1 g2
[ "$(sums)" = "$before" ] || fail "a volume has changed"
