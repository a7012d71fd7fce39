#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# limit: 900
# flavour: systemd
# The units are in order, between Xen and its guests. drbdxd is killed under a guest that writes to ext4, twice, and systemd starts it again; then 'systemctl restart'.
# The guest sees a pause: no I/O error, its log and ext4 intact, the replicas the same, the partner connected again.
# shellcheck source-path=SCRIPTDIR source=../systemd.sh
. "$(dirname "$0")/../systemd.sh"

step 'the units'
boot_is_over 1 60
# Those of the package, and whatever they name; what systemd says of Debian's own units is not counted.
on 1 'systemd-analyze verify --man=no drbdxd.service drbdx-wait-connect.service drbdx-handlers.socket drbdx-handlers@0.service 2>&1 | grep drbdx' && fail "systemd-analyze finds something in the units"
on 1 'systemctl is-enabled drbdxd.service drbdx-wait-connect.service'
has() { # UNIT After|Before WORD...
	local words word
	words=" $(on 1 "systemctl show --value -p $2 $1") "
	for word in "${@:3}"; do
		[[ "$words" == *" $word "* ]] || fail "$1: $word is not in $2=$words"
	done
}
has drbdxd.service After xen.service network-online.target local-fs.target drbdx-handlers.socket
has drbdxd.service Before xendomains.service
has drbdx-wait-connect.service Before xendomains.service
has drbdx-wait-connect.service After drbdxd.service

start_writing_guest drbdx:my-domu-disk,xvda2,w
gap() # WHAT
{
	writer_goes_on 1 g1
	echo "the guest's longest gap, $1: $(take_gap 1 g1) ms"
}

# In whose hands the time went since the last "$1" in the journal of drbdxd's unit, until the guest's ring was served again.
show_shares() # TEXT
{
	on 1 "forked=\$(systemctl show --value -p ExecMainStartTimestampMonotonic drbdxd.service)
		journalctl -b -u drbdxd.service -o short-monotonic --no-pager | tr -d '[]' | awk -v forked=\$forked -v text='$1' '
			index(\$0, text) { begin = \$1 * 1000; word = served = 0 }
			begin && !word && /drbdxd.[0-9]+:/ && \$1 * 1000 > forked / 1000 { word = \$1 * 1000 }
			begin && /ATTACHING -> SERVING|were unanswered, finished/ { served = \$1 * 1000 }
			END {
				if (!begin || !word || !served) exit 1
				printf \"systemd, until the new process is there: %d ms; until its first words (sandbox, exec, configuration): %d ms; until the ring is served: %d ms\\n\",
					forked / 1000 - begin, word - forked / 1000, served - word
			}'"
}

gap 'nothing done'
for round in 1 2; do
	step "killed, $round"
	restarts=$(on 1 'systemctl show --value -p NRestarts drbdxd.service')
	on 1 'systemctl kill --signal=KILL drbdxd.service'
	wait_for 1 30 "[ \$(systemctl show --value -p NRestarts drbdxd.service) -gt $restarts ] && systemctl is-active --quiet drbdxd.service"
	gap 'the daemon killed'
	show_shares 'Main process exited'
	wait_in_sync 120
done
never_waits_for_io 1
step "systemctl restart"
on 1 'systemctl restart drbdxd.service'
gap 'systemctl restart'
show_shares 'Stopping drbdxd.service'
wait_in_sync 120
on 1 'systemctl is-failed drbdxd.service drbdx-wait-connect.service' && fail "a unit has failed"
guest_is_intact 1 g1 my-domu-disk
