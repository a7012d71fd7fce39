#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# A guest that does not react to xl's request to suspend itself (it is paused), and one that says yes but cannot, because a write of its own waits: xl gives up after a minute, and the guest goes on at its source.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
on 1 'xl pause g1'
migration_fails 1 2 g1
on 1 'xl unpause g1'
no_domain 2 g1--incoming 20
writer_goes_on 1 g1
begin_migration copying 1 2 g1
on 1 'backend-ctl suspend-io my-domu-disk'
writer_is_frozen 1 g1
release_stream 1
end_migration
on 1 'backend-ctl resume-io my-domu-disk'
no_domain 2 g1--incoming 20
writer_goes_on 1 g1
guest_is_intact 1 g1 my-domu-disk
