#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# shellcheck disable=SC2016 # for the shell in the host or guest
# The destination can offer less than the two nodes agreed: it is refused when it connects, so is its add, and with the right volume the guest goes on at its source.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
on 2 '/lab/daemon stop && sed -i.right s,/dev/vg0/my-domu-disk,/dev/vg0/plain-disk, /etc/drbdx.d/*.res && /lab/daemon start'
status_says 1 30 'StandAlone'
status_says 1 5 'offers less than is needed'
migration_fails 1 2 g1
guest_runs_on 1 g1 || fail "the guest does not run at its source"
no_domain 2 g1--incoming 20
on 2 '/lab/daemon stop && for f in /etc/drbdx.d/*.res; do mv $f.right $f; done && /lab/daemon start'
wait_in_sync 120 my-domu-disk my-domu-swap
guest_is_intact 1 g1 my-domu-disk
