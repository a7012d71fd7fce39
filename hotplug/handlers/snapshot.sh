# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What before-resync-target and after-resync-target share: the disks of the resource, and their LVM snapshots. Sourced by both.
#
# A snapshot is VG/LV-before-resync: as the name says, the disk as it was before a resync began to overwrite it.

export LC_ALL=C	# the decimal point of percentages, and the words of LVM in the log

say() { echo "${0##*/}: $*" >&2; }

# The handler's environment; of several volumes the disks are a list.
need_environment() {
	if [ -z "${DRBD_RESOURCE-}" ] || [ -z "${DRBD_LL_DISK-}" ]; then
		say "DRBD_RESOURCE and DRBD_LL_DISK are not set: this is a handler, which drbdxd runs (see drbdx.conf(5))"
		exit 1
	fi
}

# FIELDS of a volume, separated by commas; fails if there is none.
lvm_fields() { # FIELDS VOLUME
	lvs --noheadings --nosuffix --units b --separator , -o "$1" "$2" 2>/dev/null | tr -d ' '
}

# Sets vg, lv, size, pool, free (bytes) and snapshot; fails in words.
# shellcheck disable=SC2034	# read by the two that source this
look_at_disk() { # DISK
	fields=$(lvm_fields vg_name,lv_name,lv_size,pool_lv,vg_free "$1")
	if [ -z "$fields" ]; then
		say "$1 is no LVM volume, so it can have no snapshot"
		return 1
	fi
	vg=${fields%%,*} fields=${fields#*,}
	lv=${fields%%,*} fields=${fields#*,}
	size=${fields%%,*} fields=${fields#*,}
	pool=${fields%%,*} free=${fields#*,}
	snapshot=$vg/$lv-before-resync
}

# Is there a snapshot of the disk that was looked at? Sets attributes. A volume of that name which is none is never touched.
have_snapshot() {
	fields=$(lvm_fields origin,lv_attr "$snapshot")
	[ -n "$fields" ] && [ "${fields%%,*}" = "$lv" ] || return 1
	attributes=${fields#*,}
}

# A snapshot outside of a thin pool that has run full has lost what it held.
snapshot_is_lost() {
	case $attributes in
	????[IS]*) return 0 ;;
	*) return 1 ;;
	esac
}
