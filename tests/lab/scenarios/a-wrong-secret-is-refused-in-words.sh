#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# Two nodes with different shared secrets do not replicate, say so, and start no guest.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

new_metadata
on 2 'sed -i "s/shared-secret \"secret\"/shared-secret \"another\"/" /etc/drbdx.d/my-domu.res'
on_both '/lab/daemon start'
wait_for 1 20 'backend-ctl status my-domu-disk | grep -q "wrong secret"'
wait_for 2 20 'backend-ctl status my-domu-disk | grep -q "wrong secret"'
on 1 '! backend-ctl status | grep -q " Connected "'
! create_guest 1 g1 drbdx:my-domu-disk,xvda2,w || fail "a guest started on a disk without its partner"
on 1 '! xl domid g1'
