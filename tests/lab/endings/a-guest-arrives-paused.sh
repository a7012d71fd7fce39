#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# xl migrate -p: the guest is destroyed at its source before it ever ran at the destination. The token moves at once; unpaused later, the guest goes on.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
migrate_guest 1 2 g1 -p
no_domain 1 g1 20
on 2 'xl list g1 | grep -q " --p--- "'
one_token
status_says 2 20 'g1--incoming .* has arrived from dom0_1 and has the disk, but has not run here yet.*xl unpause'
on 2 'xl unpause g1'
writer_goes_on 2 g1
guest_is_intact 2 g1 my-domu-disk
