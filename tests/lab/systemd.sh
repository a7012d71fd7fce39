# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2016
# What the scenarios with systemd are written in (their header says "flavour: systemd"): two Dom0s as Debian boots them, with the package as dpkg installs it.
# shellcheck source-path=SCRIPTDIR source=migration.sh
. "$(dirname "${BASH_SOURCE[0]}")/migration.sh"

# g1 is started when HOST boots, and xendomains has these settings instead of Debian's.
start_with_host() # HOST DISK [SETTING...]
{
	guest_config g1 "$2" | on "$1" 'mkdir -p /etc/xen/auto && cat >/etc/xen/g1.cfg && ln -sf ../g1.cfg /etc/xen/auto/g1.cfg'
	on "$1" "printf '%s\n' XENDOMAINS_AUTO=/etc/xen/auto XENDOMAINS_SAVE=/var/lib/xen/save XENDOMAINS_RESTORE=true XENDOMAINS_STOP_MAXWAIT=120 ${*:3} >/etc/default/xendomains"
}

# In good order, as an administrator does it; ends when the host is off.
shut_down_host() # HOST
{
	on "$1" 'systemctl poweroff' || true # the connection may end first
	lab wait-off "$1" 200
}

# The journal of a boot (0: this one, -1: the one before), from the last line on that has TEXT.
journal_since() # HOST BOOT TEXT
{
	on "$1" "journalctl -b $2 -o short-monotonic --no-pager" | awk -v text="$3" '
		index($0, text) { n = 0; found = 1 }
		found { line[n++] = $0 }
		END { for (i = 0; i < n; i++) print line[i] }'
}

# Fails unless the journal of that boot has lines with these texts, in this order; the first one counts where it is found last.
journal_has_in_order() # HOST BOOT TEXT...
{
	local host=$1 boot=$2 text journal rest
	shift 2
	journal=$(journal_since "$host" "$boot" "$1")
	rest=$journal
	for text; do
		[[ "$rest" == *"$text"* ]] || fail "host $host, boot $boot: '$text' is not in its place in the journal: $journal"
		grep -m 1 -F -- "$text" <<<"$rest"
		rest=${rest#*"$text"}
	done
}

# HOST's last shutdown: xendomains has done that with the guest, then drbdxd ended by itself, then Xen's daemons; and what runs handlers was there as long as the daemon.
ended_in_good_order() # HOST TEXT
{
	local journal
	journal_has_in_order "$1" -1 'Stopping xendomains.service' "$2" 'Stopped xendomains.service' 'Stopping drbdxd.service' 'Stopped drbdxd.service' 'Stopping xen.service'
	journal=$(journal_since "$1" -1 'Stopping xendomains.service')
	! grep -E 'drbdx.*(SIGKILL|killed|timed out|Failed with)' <<<"$journal" || fail "drbdxd did not end by itself"
	! sed '/Stopping drbdxd.service/,$d' <<<"$journal" | grep 'drbdx-handlers@' || fail "handlers could not be run any more while guests were there"
}

# Of section startup, on both hosts, instead of the example's; before start_pair.
startup_options() # OPTIONS
{
	startup=$1
}

put_config() # HOST
{
	local startup=${startup-}
	lab put "$1" "$top/config/examples/drbdx.conf" /etc
	lab put "$1" "$top"/config/examples/drbdx.d/* /etc/drbdx.d
	[ -z "$startup" ] || on "$1" "sed -i -e '/wfc-timeout/d' -e 's/startup {/startup { $startup/' /etc/drbdx.d/global_common.conf && grep -A1 'startup {' /etc/drbdx.d/global_common.conf"
}

# The boot is over: no job is left.
boot_is_over() # HOST SECONDS
{
	wait_for "$1" "$2" 'systemctl is-active --quiet multi-user.target && systemctl list-jobs | grep -q "No jobs"'
}
