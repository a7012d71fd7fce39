# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2016
# What the endings of a migration are written in: a guest that writes all the time, one way or another to end its migration, and what must be
# true of it afterwards. "g1" is the guest, it begins on dom0_1; what it does is told by the writer's log in its memory and by ext4 on the disk.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Where a migration is stopped, and by what one of the two xl says there:
#   copying   the guest runs at the source, its memory is about to be copied
#   suspended the guest is suspended, its disk is about to be added at the destination
#   reserved  every disk was added at the destination; xl at the source does not know that yet
#   cleared   xl at the source has said that the guest is no longer its own, the destination has not heard it
#   arrived   the guest runs at the destination, the source does not know that yet; its own copy is still there
# shellcheck disable=SC2034 # for those who source this
declare -A xl_says=(
	[copying]='ready, send binary domain data'
	[reserved]='domain received, ready to unpause'
	[cleared]='domain is yours, you are cleared to unpause'
	[arrived]='my copy unpause results are as follows'
)

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

# Starts a migration in the background, which is stopped at that point.
begin_migration() # copying|suspended|reserved|cleared|arrived FROM TO NAME [XL-MIGRATE-OPTION...]
{
	if [ "$1" = suspended ]; then
		hold_add "$3"
	else
		hold_stream "$2" before "${xl_says[$1]}"
	fi
	migrate_guest "${@:2}" >/tmp/migration.$$ 2>&1 &
	migration=$!
	if [ "$1" = suspended ]; then
		wait_for "$3" 300 '[ -e /run/lab/adding ]'
	else
		wait_held "$2" 300
	fi
	step "dom0_$2 to dom0_$3: $1"
}

end_migration() # whether it succeeded is not what counts here
{
	wait "$migration" || true
	sed 's/^/    /' /tmp/migration.$$
	rm -f /tmp/migration.$$
}

# What was stopped goes on, to the end: until the guest is gone at its source.
migration_succeeds() # FROM NAME
{
	if on $((3 - $1)) '[ -e /run/lab/add-release ]'; then
		release_add $((3 - $1))
	else
		release_stream "$1"
	fi
	wait "$migration" || fail "the migration failed: $(cat /tmp/migration.$$)"
	rm -f /tmp/migration.$$
	no_domain "$1" "$2" 30
}

# One writer: exactly one host has the token of each resource. (The one that gave it keeps that in mind until it hears that it is used.)
one_token()
{
	local resource states
	for resource in my-domu-disk my-domu-swap; do
		states=$(for host in 1 2; do on "$host" "backend-ctl status $resource --json" |
			sed -n '/"token"/,/}/s/.*"state": "\([a-z]*\)".*/\1/p'; done | sort | paste -sd ' ')
		[ "$states" = 'held none' ] || [ "$states" = 'given held' ] || fail "token of $resource: $states"
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

# The guest was lost with its host: it is started on HOST, has every acknowledged block up to LAST, and writes again.
guest_begins_again() # HOST NAME LAST [DISK...]
{
	local host=$1 name=$2 last=$3
	shift 3
	start_guest "$host" "$name" "${@:-$one_disk}"
	has_frontend "$host" "$name" xvda2
	guest "$host" "$name" -t 120 "mount /dev/xvda2 /mnt && writer verify -l $last -w 100000 /mnt/log && ! dmesg | grep -iE 'i/o error'"
	guest "$host" "$name" 'mv -f /mnt/log /mnt/old && dd if=/dev/zero of=/mnt/log bs=64k count=64 2>/dev/null && sync'
	guest "$host" "$name" 'writer write /mnt/log >/tmp/writer.log 2>&1 & echo $! >/tmp/writer.pid'
	writer_goes_on "$host" "$name"
}

# kill -9 and a new daemon; until the two have met.
daemon_dies() # HOST...
{
	local host pids=()
	for host in "$@"; do
		on "$host" '/lab/daemon kill && /lab/daemon start' &
		pids+=($!)
	done
	for host in "${pids[@]}"; do
		wait "$host"
	done
	wait_connected my-domu-disk my-domu-swap
}

status_says() # HOST SECONDS REGEX [RESOURCE]
{
	wait_for "$1" "$2" "backend-ctl status ${4:-my-domu-disk} | tr '\n' ' ' | grep -qE '$3'"
}

# An add, which was held, waits for its daemon. (A pattern that does not fit the shell that looks for it.)
add_waits() # HOST
{
	release_add "$1"
	wait_for "$1" 20 'pgrep -f "^/[a-z/]*[b]lock-drbdx add"'
}

no_domain() # HOST NAME SECONDS
{
	wait_for "$1" "$3" "! xl domid $2 >/dev/null 2>&1"
}
