# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2016
# What the endings of a migration are written in: a guest that writes all the time, one way or another to end its migration, and what must be
# true of it afterwards. "g1" is the guest, it begins on dom0_1; what it does is told by the writer's log in its memory and by ext4 on the disk.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ready_text='domain received, ready to unpause' # what xl at the destination says when every disk was added

# The guest's file system on DEVICE, with a file that the writer works in, synchronously.
start_file_writer() # HOST NAME DEVICE
{
	guest "$1" "$2" -t 120 "/sbin/mkfs.ext4 -q /dev/$3 && mount /dev/$3 /mnt && dd if=/dev/zero of=/mnt/log bs=64k count=64 2>/dev/null && sync"
	guest "$1" "$2" 'writer write /mnt/log >/tmp/writer.log 2>&1 & echo $! >/tmp/writer.pid'
	writer_goes_on "$1" "$2"
}

# shellcheck disable=SC2034 # for those who source this
one_disk='drbdx:my-domu-disk,xvda2,w'

# A pair, and g1 on dom0_1, writing.
start_writing_guest() # DISK...
{
	start_pair
	start_guest 1 g1 "$@"
	has_frontend 1 g1 xvda2
	start_file_writer 1 g1 xvda2
}

migration_fails() # FROM TO NAME [XL-MIGRATE-OPTION...]: without migrate-check; xl's words are kept in $xl_said
{
	xl_said=$(xl_environment=DRBDX_NO_MIGRATE_CHECK=1 migrate_guest "$@" 2>&1) && fail "the migration succeeded: $xl_said"
	echo "$xl_said"
}

# Starts a migration in the background that is stopped at the point which hold_stream() was told.
begin_migration() # FROM TO NAME
{
	hold_stream "$1" "${hold:-before}" "${hold_text:-$ready_text}"
	migrate_guest "$1" "$2" "$3" >/tmp/migration.$$ 2>&1 &
	migration=$!
	wait_held "$1" 120
}

end_migration() # whether it succeeded is not what counts here
{
	wait "$migration" || true
	sed 's/^/    /' /tmp/migration.$$
	rm -f /tmp/migration.$$
}

# One writer: exactly one host has the token of each resource.
one_token()
{
	local resource states
	for resource in my-domu-disk my-domu-swap; do
		states=$(for host in 1 2; do on "$host" "backend-ctl status $resource --json" |
			sed -n '/"token"/,/}/s/.*"state": "\([a-z]*\)".*/\1/p'; done | sort | paste -sd ' ')
		[ "$states" = 'held none' ] || fail "token of $resource: $states"
	done
}

# Up to Xen 4.19, nobody looks after a guest that was resumed after a failed migration: xl's monitor has ended when it was suspended.
end_guest() # HOST NAME
{
	on "$1" "xl shutdown $2"
	wait_for "$1" 100 "! xl domid $2 >/dev/null 2>&1 || xl list $2 | grep -q ' ---s-- '"
	on "$1" "! xl domid $2 >/dev/null 2>&1 || xl destroy $2"
	no_domain "$1" "$2" 20
}

# The guest is well, on HOST: it goes on writing, has seen no error, its log and ext4 are intact, both copies are the same, one host has the token.
guest_is_intact() # HOST NAME DISK...: names of the volumes, the first one has the file system
{
	local host=$1 name=$2 last volume
	shift 2
	guest_runs_on "$host" "$name" || fail "the guest does not run on dom0_$host"
	writer_goes_on "$host" "$name"
	guest "$host" "$name" '! dmesg | grep -iE "i/o error|ext4-fs (error|warning)|blk_update"' || fail "the guest saw an I/O error"
	last=$(stop_writer "$host" "$name")
	guest "$host" "$name" -t 120 "writer verify -l $last /mnt/log && umount /mnt"
	one_token
	end_guest "$host" "$name"
	for volume in "$@"; do
		assert_same_volumes "$volume"
	done
	/sbin/e2fsck -fn "$(lab disk-image 1 "$1")" >/dev/null || fail "ext4 is damaged"
	echo "intact: $last acknowledged blocks"
}

status_says() # HOST SECONDS REGEX [RESOURCE]
{
	wait_for "$1" "$2" "backend-ctl status ${4:-my-domu-disk} | tr '\n' ' ' | grep -qE '$3'"
}

no_domain() # HOST NAME SECONDS
{
	wait_for "$1" "$3" "! xl domid $2 >/dev/null 2>&1"
}
