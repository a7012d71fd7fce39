#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The destination's metadata is new, so its copy would need a full resync: its add is refused, in words, and with the right metadata the guest goes on at its source.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
on 2 '/lab/daemon stop && dd if=/dev/vg0/drbd-meta-data of=/root/meta bs=1M count=1 2>/dev/null &&
	backend-ctl create-md --assume-clean --force my-domu-disk && /lab/daemon start'
status_says 1 30 'Refused'
migration_fails 1 2 g1
on 2 'grep -q "the metadata on dom0_2 is new, but dom0_1 has served guests" /var/log/stream.log' || fail "the refusal does not say why"
guest_runs_on 1 g1 || fail "the guest does not run at its source"
no_domain 2 g1--incoming 20
on 2 '/lab/daemon stop && dd if=/root/meta of=/dev/vg0/drbd-meta-data bs=1M conv=notrunc,fsync 2>/dev/null && /lab/daemon start'
wait_connected my-domu-disk my-domu-swap
guest_is_intact 1 g1 my-domu-disk
