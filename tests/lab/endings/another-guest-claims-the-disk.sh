#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# shellcheck disable=SC2016 # for the shell in the host or guest
# Another virtual machine arrives with a configuration that names the disk of g1: its add is refused in words that name g1; both guests go on where they were.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

start_writing_guest "$one_disk"
start_guest 1 g2 phy:/dev/vg0/shared-disk,xvda,w
guest_config g2 drbdx:my-domu-disk,xvda2,w | on 1 'cat >/etc/xen/wrong.cfg'
migration_fails 1 2 g2 -C /etc/xen/wrong.cfg
grep -q 'in use at the source by guest g1, which is another virtual machine' <<<"$xl_said
$(on 2 'cat /var/log/stream.log')" || fail "the refusal does not name the guest"
guest_runs_on 1 g2 || fail "the other guest does not run"
no_domain 2 g2--incoming 20
end_guest 1 g2
guest_is_intact 1 g1 my-domu-disk
