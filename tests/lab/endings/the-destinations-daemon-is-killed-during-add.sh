#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# shellcheck disable=SC2016 # for the shell in the host or guest
# drbdxd on dom0_2 stands still when the disk is to be added, and is killed then: the add fails, the guest is resumed at its source.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration suspended 1 2 g1
on 2 'kill -STOP $(cat /run/lab-drbdxd.pid)'
add_waits 2
on 2 '/lab/daemon kill'
end_migration
guest_runs_on 1 g1 || fail "the guest does not run at its source"
no_domain 2 g1--incoming 20
on 2 '/lab/daemon start'
wait_connected my-domu-disk my-domu-swap
guest_is_intact 1 g1 my-domu-disk
