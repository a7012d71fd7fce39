#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# shellcheck disable=SC2016 # for the shell in the host or guest
# What is left at the source is resumed, by mistake, while the guest runs at its destination: it is stale, and never served. In another migration the guest has not used its disk at the destination yet: what is
# resumed waits, in words, and goes on when its copy there is destroyed.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

resume_what_is_left() # HOST
{
	cut_stream "$1"
	end_migration
	on "$1" 'xl rename g1--migratedaway old && /lab/resume $(xl domid old)'
}

start_writing_guest "$one_disk"
begin_migration arrived 1 2 g1
writer_goes_on 2 g1
resume_what_is_left 1
status_says 1 20 'this copy of the guest is stale: .*xl destroy'
writer_is_frozen 1 old
writer_goes_on 2 g1
on 1 'xl destroy old'

last=$(stop_writer 2 g1)
guest 2 g1 -t 120 "writer verify -l $last /mnt/log && umount /mnt"
begin_migration arrived 2 1 g1
wait_for 1 20 "backend-ctl status my-domu-disk --json | grep -q '\"attachment\": \"Active\"'"
resume_what_is_left 2
guest 2 old 'mount /dev/xvda2 /mnt >/tmp/mount.log 2>&1 &'
status_says 2 20 'the guest was resumed here after it had been handed over to dom0_1; the token comes back when its copy there is destroyed'
on 1 'xl destroy g1'
guest 2 old 'for i in $(seq 300); do grep -q " /mnt " /proc/mounts && exit 0; usleep 100000; done; exit 1'
on 2 'xl rename old g1'
guest 2 g1 "writer write -s $((last + 1)) /mnt/log >/tmp/writer.log 2>&1 & echo \$! >/tmp/writer.pid"
guest_is_intact 2 g1 my-domu-disk
