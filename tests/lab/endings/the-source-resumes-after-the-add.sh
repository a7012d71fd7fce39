#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The receiving xl is killed when the disk was added: the guest is resumed at its source, and the next migration succeeds.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration reserved 1 2 g1
on 2 'pkill -KILL -f "xl migrate-receive"'
cut_stream 1
end_migration
writer_goes_on 1 g1
on 2 '! xl domid g1--incoming >/dev/null 2>&1 || xl destroy g1--incoming'
no_domain 2 g1--incoming 20
step "again"
migrate_guest 1 2 g1
no_domain 1 g1 20
guest_is_intact 2 g1 my-domu-disk
