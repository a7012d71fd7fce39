#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The destination's metadata says that its volume was never declared usable: its add is refused, in words, and with the right metadata the guest goes on at its source.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
on 2 '/lab/daemon stop && dd if=/dev/vg0/drbd-meta-data of=/root/meta bs=1M count=1 2>/dev/null &&
	backend-ctl create-md --force my-domu-disk && /lab/daemon start'
status_says 1 30 'Refused'
migration_fails 1 2 g1
on 2 'grep -q "inconsistent on dom0_2" /var/log/xen/xl-*.log /var/log/stream.log /var/log/drbdxd.log' || fail "the refusal does not say why"
guest_runs_on 1 g1 || fail "the guest does not run at its source"
no_domain 2 g1--incoming 20
on 2 '/lab/daemon stop && dd if=/root/meta of=/dev/vg0/drbd-meta-data bs=1M conv=notrunc,fsync 2>/dev/null && /lab/daemon start'
wait_connected my-domu-disk my-domu-swap
guest_is_intact 1 g1 my-domu-disk
