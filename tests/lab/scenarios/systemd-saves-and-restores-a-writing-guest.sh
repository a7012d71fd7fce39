#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# flavour: systemd
# 'systemctl poweroff' and a boot, with Debian's defaults: xendomains saves the guest, which writes to ext4, before drbdxd ends, and restores it at boot when drbdxd is there again. It
# goes on writing where it was; both disks are UpToDate by themselves.
# shellcheck source-path=SCRIPTDIR source=../systemd.sh
. "$(dirname "$0")/../systemd.sh"

start_pair
start_with_host 1 drbdx:my-domu-disk,xvda2,w
on 1 'systemctl restart xendomains.service'
has_frontend 1 g1 xvda2
start_file_writer 1 g1 xvda2
shut_down_host 1
wait_for 2 20 'backend-ctl status my-domu-disk | grep -q "^my-domu-disk *Secondary *Connecting"'
lab power-on 1
boot_is_over 1 180
guest 1 g1 ''
writer_goes_on 1 g1
ended_in_good_order 1 'Saving Xen domain g1'
journal_has_in_order 1 0 'Started xen.service' 'Started drbdxd.service' 'Finished drbdx-wait-connect.service' 'Starting xendomains.service' 'Restoring Xen domain g1' 'Started xendomains.service'
wait_in_sync 120
guest_is_intact 1 g1 my-domu-disk
