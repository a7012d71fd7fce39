#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# The connection of xl breaks after the whole stream and before 'ready': the guest is resumed at its source, its first request ends the reservation; the copy that was left behind on dom0_2 is stale and never served.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
begin_migration 1 2 g1
status_says 2 20 'g1--incoming .* is arriving from dom0_1'
cut_stream 1
end_migration
writer_goes_on 1 g1
if on 2 'xl domid g1--incoming' >/dev/null 2>&1; then
	step "the copy is unpaused by mistake: it is not served"
	on 2 'xl unpause g1--incoming'
	status_says 2 20 'copy of the guest is stale'
	writer_goes_on 1 g1
	on 2 'xl destroy g1--incoming'
fi
no_domain 2 g1--incoming 20
guest_is_intact 1 g1 my-domu-disk
