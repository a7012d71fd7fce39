#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The lab itself, with a disk that both hosts have: the stream breaks when the destination has said that it is ready, and the guest goes on at the
# source; the next one is stopped at the same place for a while, and arrives.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_guest 1 g1 phy:/dev/vg0/shared-disk,xvda,w
start_writer 1 g1 xvda

step "the stream breaks"
hold_stream 1 before 'domain received, ready to unpause'
migrate_guest 1 2 g1 &
wait_held 1 170
on 2 'xl list' | grep -q '^g1--incoming .*p' || fail "no guest waits on dom0_2"
cut_stream 1
! wait $! || fail "a broken migration has succeeded"
guest_runs_on 1 g1 || fail "the guest does not go on at the source"
writer_goes_on 1 g1
# the receiving xl destroys its copy, or leaves it paused if it could not say so any more
on 2 'xl destroy g1--incoming 2>/dev/null || true'
wait_for 2 30 '! xl domid g1--incoming >/dev/null 2>&1'

step "the stream is stopped, and goes on"
hold_stream 1 after 'domain received, ready to unpause'
migrate_guest 1 2 g1 &
wait_held 1 170
! guest_runs_on 1 g1 || fail "the guest runs on dom0_1 after the destination was ready"
release_stream 1
wait $!
guest_runs_on 2 g1 || fail "the guest does not run on dom0_2"
writer_goes_on 2 g1
last=$(stop_writer 2 g1)
guest 2 g1 "writer verify -l $last /dev/xvda"
