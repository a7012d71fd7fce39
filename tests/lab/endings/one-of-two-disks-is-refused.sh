#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# shellcheck disable=SC2016 # for the shell in the host or guest
# Of a guest's two disks dom0_2 cannot take one: neither moves, and the guest goes on with both at its source.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest drbdx:my-domu-disk,xvda2,w drbdx:my-domu-swap,xvda1,w
guest 1 g1 'writer write -n 100 /dev/xvda1'
step "migrate-check finds it while the guest runs"
on 2 'backend-ctl down my-domu-swap'
migrate_guest 1 2 g1 2>/tmp/check.$$ && fail "xl migrated in spite of migrate-check"
grep 'my-domu-swap' /tmp/check.$$
rm /tmp/check.$$
step "without it, the destination's add is refused"
migration_fails 1 2 g1
no_domain 2 g1--incoming 20
writer_goes_on 1 g1
on 2 'backend-ctl up my-domu-swap'
wait_connected my-domu-disk my-domu-swap
guest 1 g1 'writer verify -l 100 /dev/xvda1 && writer write -n 100 -s 101 /dev/xvda1'
guest_is_intact 1 g1 my-domu-disk my-domu-swap
