#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# block-drbdx at the destination gets no answer and gives up; it is killed; the source's drbdxd is killed while the destination asks it. Each time the add fails, and the guest goes on at its source.
# shellcheck disable=SC2016 # for the shell in the host or guest
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"

fails() # WHAT
{
	end_migration
	guest_runs_on 1 g1 || fail "$1: the guest does not run at its source"
	no_domain 2 g1--incoming 20
	writer_goes_on 1 g1
	one_token
}

begin_migration suspended 1 2 g1
on 2 'kill -STOP $(cat /run/lab-drbdxd.pid)'
add_waits 2
wait_for 2 45 '! pgrep -f "[b]lock-drbdx add"'
on 2 'kill -CONT $(cat /run/lab-drbdxd.pid)'
fails 'timed out'
wait_in_sync 120

begin_migration suspended 1 2 g1
on 2 'kill -STOP $(cat /run/lab-drbdxd.pid)'
add_waits 2
on 2 'pkill -KILL -f "[b]lock-drbdx add"; kill -CONT $(cat /run/lab-drbdxd.pid)'
fails 'killed'
wait_in_sync 120

begin_migration suspended 1 2 g1
on 1 'kill -STOP $(cat /run/lab-drbdxd.pid)'
add_waits 2
on 1 '/lab/daemon kill && /lab/daemon start'
fails "the source's daemon killed"
wait_in_sync 120
guest_is_intact 1 g1 my-domu-disk
