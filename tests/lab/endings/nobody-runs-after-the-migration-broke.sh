#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# xl at the source is killed when the guest is suspended; in another migration xl's connection breaks when the source has given the guest away and the destination has not heard it. Each time a suspended guest
# is left at the source and a paused one at the destination, and status says on both hosts what they are. Unpaused at the destination, the guest goes on there, and what is left at the source is stale.
# shellcheck disable=SC2016 # for the shell in the host or guest
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"

unpause_the_copy() # FROM TO
{
	wait_for "$2" 60 'grep -q "failed to read GO message" /var/log/stream.log'
	status_says "$1" 20 "reserved for a guest that arrives on dom0_$2"
	status_says "$2" 20 "g1--incoming .* is arriving from dom0_$1, which has the disk"
	on "$2" 'xl unpause g1--incoming && xl rename g1--incoming g1'
	writer_goes_on "$2" g1
	status_says "$1" 20 'this copy of the guest is stale: .*xl destroy'
	on "$1" 'xl list | awk "/^g1/ { print \$2 }" | while read -r d; do xl destroy $d; done'
	wait_in_sync 120
}

begin_migration reserved 1 2 g1
on 1 'pkill -KILL -f "^/usr/[^ ]*xl migrate"'
cut_stream 1
end_migration
on 1 'xl list g1 | grep -q " ---ss- "' || fail "the guest is not suspended"
unpause_the_copy 1 2
begin_migration cleared 2 1 g1
cut_stream 2
end_migration
on 2 'xl list g1--migratedaway'
unpause_the_copy 2 1
guest_is_intact 1 g1 my-domu-disk
