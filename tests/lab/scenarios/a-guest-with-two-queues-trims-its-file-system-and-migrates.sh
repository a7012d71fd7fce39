#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# A guest with two processors has two queues. It writes all the time, trims its file system, and migrates there and back: what was trimmed is
# zeroes on both disks, byte for byte, and nothing else is lost.
# shellcheck source-path=SCRIPTDIR source=../migration.sh disable=SC2016,SC2034
. "$(dirname "$0")/../migration.sh"

guest_config_more='vcpus = 2'
start_writing_guest "$one_disk"
queues() { on "$1" 'backend-ctl status my-domu-disk --json' | sed -n 's/.*"queues": \([0-9]*\).*/\1/p'; }
discarded() { on "$1" 'backend-ctl status my-domu-disk --json' | sed -n 's/.*"discarded_bytes": \([0-9]*\).*/\1/p'; }

guest 1 g1 '[ "$(ls /sys/block/xvda2/mq | wc -l)" = 2 ]' || fail "the guest has not two queues"
[ "$(queues 1)" = 2 ] || fail "status: $(queues 1) queues are attached"
for from in 1 2; do
	to=$((3 - from))
	step "dom0_$from: a file is removed, and what it had is trimmed"
	guest "$from" g1 -t 120 'dd if=/dev/urandom of=/mnt/old bs=64k count=128 2>/dev/null && sync && rm /mnt/old && sync && fstrim /mnt'
	[ "$(discarded "$from")" -ge $((8 << 20)) ] || fail "$(discarded "$from") bytes were discarded"
	step "dom0_$from to dom0_$to"
	migrate_guest "$from" "$to" g1 >/dev/null
	guest_runs_on "$to" g1 || fail "the guest does not run on dom0_$to"
	no_domain "$from" g1 20
	writer_goes_on "$to" g1
	[ "$(queues "$to")" = 2 ] || fail "status: $(queues "$to") queues are attached on dom0_$to"
done
guest_is_intact 1 g1 my-domu-disk
