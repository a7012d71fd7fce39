#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# What the host runs at boot and at shutdown: xendomains finds the wrapper, so a guest of /etc/xen/auto with a "drbdx:" disk is started, and shut
# down in good order. Meanwhile the package does not let itself be removed.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

start_pair
guest_config g1 drbdx:my-domu-disk,xvda2,w | on 1 'cat >/etc/xen/g1.cfg'
# shellcheck disable=SC2016 # for the host's shell
on 1 'mkdir -p /etc/xen/auto /var/lib/xen/save /var/lock/subsys && ln -sf /etc/xen/g1.cfg /etc/xen/auto/g1.cfg &&
	printf "XENDOMAINS_AUTO=/etc/xen/auto\nXENDOMAINS_SAVE=\nXENDOMAINS_RESTORE=false\nXENDOMAINS_SHUTDOWN=--wait\nXENDOMAINS_STOP_MAXWAIT=60\nXENDOMAINS_AUTO_ONLY=false\n" >/etc/default/xendomains &&
	timeout 50 /usr/lib/xen-4.17/bin/xendomains start'
guest 1 g1 ''
guest 1 g1 'writer write -n 50 /dev/xvda2'
on 1 '! dpkg -r drbdx >/tmp/removal 2>&1 && grep -q "guests use its disks" /tmp/removal' || fail "the package lets itself be removed under a guest"
guest 1 g1 'writer verify -l 50 /dev/xvda2'
on 1 'timeout 55 /usr/lib/xen-4.17/bin/xendomains stop; rm -f /etc/xen/auto/g1.cfg'
wait_for 1 30 '! xl domid g1 >/dev/null 2>&1'
wait_for 1 20 'backend-ctl status my-domu-disk | grep -q "^my-domu-disk *Secondary *Connected"'
assert_acknowledged_is_on 2 my-domu-disk 50
assert_same_volumes my-domu-disk
