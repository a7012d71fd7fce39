#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# flavour: systemd
# A host boots, and its partner does not come within wfc-timeout: the boot goes on, no unit has failed, the guest of /etc/xen/auto is refused, and the journal says why and what to do. When
# the partner is there, xendomains starts the guest.
# shellcheck disable=SC2016 # for the host's shell
# shellcheck source-path=SCRIPTDIR source=../systemd.sh
. "$(dirname "$0")/../systemd.sh"

startup_options 'wfc-timeout 8;'
start_pair
start_with_host 1 drbdx:my-domu-disk,xvda2,w XENDOMAINS_SAVE=
shut_down_host 1
lab link down
lab power-on 1
boot_is_over 1 180
journal_has_in_order 1 0 'Started drbdxd.service' 'Starting drbdx-wait-connect.service' 'backend-ctl: my-domu-disk: the partner dom0_2 is not connected' 'the wait is over (wfc-timeout)' \
	'Finished drbdx-wait-connect.service' 'Starting xendomains.service' 'Started xendomains.service'
on 1 'journalctl -b --no-pager -u drbdxd.service -u xendomains.service | grep "primary --force my-domu-disk"' || fail "the journal does not name the way out"
on 1 '! xl domid g1 2>/dev/null && [ "$(systemctl is-system-running)" = running ]' || fail "the guest was started, or a unit has failed"
lab link up
wait_connected my-domu-disk
on 1 'timeout 50 systemctl restart xendomains.service'
guest 1 g1 'writer write -n 50 /dev/xvda2'
end_guest 1 g1
assert_acknowledged_is_on 2 my-domu-disk 50
assert_same_volumes my-domu-disk
