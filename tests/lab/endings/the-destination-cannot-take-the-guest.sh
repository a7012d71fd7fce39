#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# xl at the destination refuses the guest's configuration before anything was copied; in another migration it cannot give the guest its name when that was cleared to run, and gives it back: it goes
# on at its source each time, and the next migration succeeds.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
step "a configuration that does not fit"
guest_config g1 "$one_disk" | sed 's/^memory = .*/memory = 4000/' | on 1 'cat >/etc/xen/large.cfg'
migration_fails 1 2 g1 -C /etc/xen/large.cfg
guest_runs_on 1 g1 || fail "the guest does not run at its source"
no_domain 2 g1--incoming 20
begin_migration reserved 1 2 g1
guest_config g1 | on 2 'cat >/etc/xen/other.cfg'
on 2 'xl create -q -p /etc/xen/other.cfg'
release_stream 1
end_migration
guest_runs_on 1 g1 || fail "the guest does not run at its source"
no_domain 2 g1--incoming 20
writer_goes_on 1 g1
on 2 'xl destroy g1'
step "again"
migrate_guest 1 2 g1
guest_is_intact 2 g1 my-domu-disk
