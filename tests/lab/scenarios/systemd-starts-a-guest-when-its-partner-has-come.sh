#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# flavour: systemd
# A host shuts down with a guest of /etc/xen/auto, which xendomains shuts down before drbdxd ends. It boots before its partner can be reached: drbdx-wait-connect holds xendomains,
# and nothing else; when the partner has come the guest is started, with everything that it had written.
# shellcheck disable=SC2016 # for the host's shell
# shellcheck source-path=SCRIPTDIR source=../systemd.sh
. "$(dirname "$0")/../systemd.sh"

startup_options 'wfc-timeout 300;'
start_pair
start_with_host 1 drbdx:my-domu-disk,xvda2,w XENDOMAINS_SAVE=
on 1 'systemctl restart xendomains.service'
has_frontend 1 g1 xvda2
guest 1 g1 'writer write -n 50 /dev/xvda2'
shut_down_host 1
lab link down
lab power-on 1
wait_for 1 60 '[ "$(systemctl is-active drbdx-wait-connect.service)" = activating ]'
wait_for 1 60 'systemctl list-jobs | grep -E "xendomains.service +start +waiting" && backend-ctl status | grep -q "for .* s more (wfc-timeout)"'
lab link up
boot_is_over 1 120
guest 1 g1 'writer verify -l 50 /dev/xvda2'
ended_in_good_order 1 'Shutting down Xen domain g1'
journal_has_in_order 1 0 'Started drbdxd.service' 'Starting drbdx-wait-connect.service' 'Finished drbdx-wait-connect.service' 'Starting xendomains.service' 'Starting Xen domain g1' 'Started xendomains.service'
wait_in_sync 120
end_guest 1 g1
assert_acknowledged_is_on 2 my-domu-disk 50
assert_same_volumes my-domu-disk
