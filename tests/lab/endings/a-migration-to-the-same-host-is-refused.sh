#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# xl migrate to the host on which the guest runs: refused before anything happens; without migrate-check the add is refused, and the guest goes on.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
migrate_guest 1 1 g1 2>/tmp/check.$$ && fail "xl migrated in spite of migrate-check"
cat /tmp/check.$$
grep -q 'is this very host' /tmp/check.$$
rm /tmp/check.$$
writer_goes_on 1 g1
step "without migrate-check"
migration_fails 1 1 g1
no_domain 1 g1--incoming 20
guest_is_intact 1 g1 my-domu-disk
