# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2016
# What the lab's scenarios are written in. A scenario sources this, does what its name says and exits 0; "fail" or any failing
# command ends it. Every wait is bounded.
set -euo pipefail

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$tests/../.." && pwd)
trap 'echo "failed at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR
set -E

lab() { "$tests/lab" "$@"; }

fail()
{
	echo "fail: $*" >&2
	exit 1
}

step() { echo "--- $*"; }

on() # HOST COMMAND: in the host's Dom0, for at most a minute
{
	timeout 60 "$tests/lab" ssh "$@"
}

on_both() # COMMAND
{
	on 1 "$1" &
	on 2 "$1"
	wait $!
}

# Waits until a shell condition holds in a Dom0.
wait_for() # HOST SECONDS CONDITION
{
	timeout $(($2 + 20)) "$tests/lab" ssh "$1" "timeout $2 sh -c $(printf %q "until { $3; }; do sleep 0.2; done") " ||
		fail "host $1, $2 s: $3"
}

# Domain-0 is a guest of drbdx, too, when a disk is attached to it; its files and programs are the host's.
guest() # HOST NAME [-t SECONDS] COMMAND
{
	if [ "$2" = Domain-0 ]; then
		timeout 120 "$tests/lab" ssh "$1" "${*: -1}"
	else
		lab guest "$@"
	fi
}

# Domain 0 may use a disk of ours itself: when drbdxd gets memory it waits for no I/O (PF_MEMALLOC_NOIO of each thread); its handlers may.
never_waits_for_io() # HOST
{
	on "$1" 'flags_of() { grep -lx "$1" /proc/[0-9]*/comm | sed s,comm,task, | while read -r tasks; do cat $tasks/*/stat; done | sed "s/.*) //" | cut -d " " -f 7; }
		[ -n "$(flags_of drbdxd)" ] && [ -n "$(flags_of drbdxd-handlers)" ] || { echo "no drbdxd, or nobody runs its handlers"; exit 1; }
		for flags in $(flags_of drbdxd); do [ $((flags & 0x80000)) != 0 ] || { echo "a thread of drbdxd waits for I/O"; exit 1; }; done
		for flags in $(flags_of drbdxd-handlers); do [ $((flags & 0x80000)) = 0 ] || { echo "handlers do not wait for I/O"; exit 1; }; done'
}

# --- guests ---------------------------------------------------------------------------------------------------------

# Three settings save half of the guest's boot in software emulation: without a TSC the kernel does not try for seconds to
# measure it against a timer that is not there, and takes its delay loop's speed from lpj; pci=off because there is none.
guest_config() # NAME DISK...
{
	local name=$1 disks=''
	shift
	(($# == 0)) || disks=$(printf "'%s', " "$@")
	cat <<-EOF
		name = '$name'
		type = 'pvh'
		memory = 112
		vcpus = 1
		kernel = '/var/lib/guest/vmlinuz'
		ramdisk = '/var/lib/guest/initrd.img'
		cmdline = 'console=hvc0 quiet loglevel=4 pci=off lpj=9781696 cryptomgr.notests 8250.nr_uarts=0 rodata=off mitigations=off'
		tsc_mode = 'native'
		cpuid = 'host,tsc=0'
		disk = [$disks]
		${guest_config_more-}
	EOF
}

create_guest() # HOST NAME DISK...: xl create alone
{
	local host=$1
	shift
	guest_config "$@" | on "$host" "cat >/etc/xen/$1.cfg"
	on "$host" "xl create -q /etc/xen/$1.cfg"
}

start_guest() # HOST NAME DISK...: until it takes commands
{
	create_guest "$@"
	guest "$1" "$2" ''
}

shut_down_guest() # HOST NAME
{
	on "$1" "xl shutdown $2"
	wait_for "$1" 60 "! xl domid $2 >/dev/null 2>&1"
}

has_frontend() # HOST NAME DEVICE: waits until the guest sees the disk
{
	guest "$1" "$2" "for i in \$(seq 200); do [ -b /dev/$3 ] && exit 0; usleep 100000; done; exit 1"
}

# --- migrations -----------------------------------------------------------------------------------------------------

# Migrates a guest over the plain stream (image/host/stream.c); prints the seconds that it took. xl's output goes to standard
# error, that of the receiving xl to /var/log/stream.log there.
migrate_guest() # FROM TO NAME [XL-MIGRATE-OPTION...]
{
	local from=$1 to=$2 name=$3 started=$EPOCHREALTIME
	shift 3
	timeout 200 "$tests/lab" ssh "$from" "timeout 180 env ${xl_environment-} xl migrate $* -s /lab/stream $name dom0_$to" >&2 || return
	awk "BEGIN { printf \"%.1f\\n\", $EPOCHREALTIME - $started }"
}

# Not one that is paused, suspended, or on its way (its name differs then).
guest_runs_on() # HOST NAME
{
	on "$1" "xl list" | awk -v name="$2" '$1 == name && $5 !~ /[psd]/ { runs = 1 } END { exit !runs }'
}

# Stops the next migration from HOST where TEXT, which either side may say, begins ("before") or ends ("after").
hold_stream() # HOST before|after TEXT
{
	on "$1" "rm -f /run/lab/release && mkfifo /run/lab/release && echo $(printf %q "$2 $3") >/run/lab/hold"
}

wait_held() # HOST SECONDS
{
	wait_for "$1" "$2" '[ -e /run/lab/held ]'
}

release_stream() # HOST: which is held; it goes on
{
	on "$1" 'rm /run/lab/hold && timeout 10 sh -c ": >/run/lab/release"'
}

cut_stream() # HOST: which is held; both sides see the end of the connection
{
	on "$1" 'rm /run/lab/hold && kill $(cat /run/lab/held) && rm /run/lab/held'
}

# An add on HOST stops before block-drbdx asks for anything, for 40 s at most.
hold_add() # HOST
{
	on "$1" 'rm -f /run/lab/adding /run/lab/add-release && mkfifo /run/lab/add-release && cp /usr/lib/drbdx/block-drbdx /run/lab/ &&
		mount --bind /lab/held-add /usr/lib/drbdx/block-drbdx'
}

release_add() # HOST
{
	on "$1" 'umount -l /usr/lib/drbdx/block-drbdx && timeout 10 sh -c ": >/run/lab/add-release" && rm /run/lab/add-release'
}

# --- a guest that writes all the time -------------------------------------------------------------------------------

start_writer() # HOST NAME DEVICE [WRITER-OPTION...]
{
	local host=$1 name=$2 device=$3
	shift 3
	guest "$host" "$name" "writer write $* /dev/$device >/tmp/writer.log 2>&1 & echo \$! >/tmp/writer.pid"
	writer_goes_on "$host" "$name"
}

last_ack() # HOST NAME
{
	guest "$1" "$2" "sed -n 's/^ack //p' /tmp/writer.log | tail -n 1"
}

# Waits until the writer has got acknowledgements that it had not when this was called.
writer_goes_on() # HOST NAME
{
	guest "$1" "$2" -t 40 'n=$(wc -l </tmp/writer.log)
		for i in $(seq 300); do
			! grep -q "^writer:" /tmp/writer.log || { cat /tmp/writer.log | tail -n 3; exit 1; }
			[ $(wc -l </tmp/writer.log) -le $((n + 2)) ] || exit 0
			usleep 100000
		done
		echo "the writer does not go on"; exit 1'
}

writer_is_frozen() # HOST NAME: no acknowledgement for two seconds, and no error
{
	guest "$1" "$2" 'n=$(wc -l </tmp/writer.log); sleep 2; ! grep "^writer:" /tmp/writer.log && [ $(wc -l </tmp/writer.log) = $n ]'
}

# Prints the writer's longest gap in ms since the last call, with one that lasts.
take_gap() # HOST NAME
{
	guest "$1" "$2" -t 40 'n=$(grep -c ^gap /tmp/writer.log); kill -USR1 $(cat /tmp/writer.pid)
		for i in $(seq 300); do
			[ $(grep -c ^gap /tmp/writer.log) = $n ] || { sed -n "s/^gap \([0-9]*\) .*/\1/p" /tmp/writer.log | tail -n 1; exit 0; }
			usleep 100000
		done
		echo "the writer does not go on" >&2; exit 1'
}

# Ends the writer, which must have seen no error; prints its last acknowledged block.
stop_writer() # HOST NAME
{
	guest "$1" "$2" 'kill $(cat /tmp/writer.pid)
		for i in $(seq 300); do ! grep -q "^writer: acked" /tmp/writer.log || break; usleep 100000; done
		tail -n 1 /tmp/writer.log >&2
		grep -q "^writer: acked=.* errors=0 " /tmp/writer.log && sed -n "s/^writer: acked=\([0-9]*\).*/\1/p" /tmp/writer.log' |
		tee >(cat >&2) | grep -o '^[0-9]*$' # not /dev/stderr: that would truncate a log file
}

# The raw volume of a host, read from outside: everything acknowledged is in it.
assert_acknowledged_is_on() # HOST NAME LAST [WRITER-OPTION...]
{
	local host=$1 name=$2 last=$3
	shift 3
	"$(lab tool writer)" verify -l "$last" "$@" "$(lab disk-image "$host" "$name")" ||
		fail "an acknowledged block is not on $name of host $host"
}

# --- a pair of drbdx hosts ------------------------------------------------------------------------------------------

put_config() # HOST
{
	lab put "$1" "$top/config/examples/drbdx.conf" /etc
	lab put "$1" "$top"/config/examples/drbdx.d/* /etc/drbdx.d
}

# Both hosts with the example configuration, empty identical volumes, new metadata.
new_metadata()
{
	local host
	for host in 1 2; do
		put_config "$host"
	done
	on_both '[ -d /run/systemd/system ] || [ -e /run/lab-drbdxd.pid ] && /lab/daemon kill 2>/dev/null; cd /dev/vg0 &&
		for v in my-domu-disk my-domu-swap drbd-meta-data; do blkdiscard -z -f $v || exit 1; done &&
		backend-ctl create-md --assume-clean all'
}

wait_connected() # [RESOURCE...]
{
	local resource host
	for resource in "${@:-my-domu-disk}"; do
		for host in 1 2; do
			wait_for "$host" 30 "backend-ctl status $resource | grep -q '^$resource .* Connected '"
		done
	done
}

# Both hosts say that both disks are up to date, and nothing is being copied.
wait_in_sync() # SECONDS [RESOURCE...]
{
	local seconds=$1 resource host
	shift
	for resource in "${@:-my-domu-disk}"; do
		for host in 1 2; do
			wait_for "$host" "$seconds" "backend-ctl status $resource | grep -qE '^$resource +[A-Za-z]+ +Connected +UpToDate +UpToDate '"
		done
	done
}

start_pair()
{
	new_metadata
	on_both '/lab/daemon start'
	wait_connected my-domu-disk my-domu-swap
}

assert_same_volumes() # NAME
{
	cmp "$(lab disk-image 1 "$1")" "$(lab disk-image 2 "$1")" || fail "$1 differs between the hosts"
}

# --- what drbdx is compared with ------------------------------------------------------------------------------------

# DRBD 8.4 with the same configuration files (but for use-bmbv, which it has no longer), and ports of its own, so that drbdx may run beside it.
start_drbd() # [VOLUME METADATA-VOLUME [SED-SCRIPT]]: what else is changed in the files
{
	local host volume=${1-my-domu-disk} metadata=${2-drbd-meta-data}
	for host in 1 2; do
		lab put "$host" "$top"/config/examples/drbdx.d/* /etc/drbd.d
	done
	on_both "modprobe drbd && sed -i '/use-bmbv/d; s,/my-domu-disk;,/$volume;,; s,/drbd-meta-data\[,/${metadata}[,; s/:77/:78/; ${3-}' /etc/drbd.d/* &&
		blkdiscard -z -f /dev/vg0/$volume && blkdiscard -z -f /dev/vg0/$metadata &&
		drbdadm create-md --force my-domu-disk && drbdadm up my-domu-disk"
	wait_for 1 60 'drbdadm cstate my-domu-disk | grep -qx Connected'
	on 1 'drbdadm new-current-uuid --clear-bitmap my-domu-disk'
	wait_for 1 20 'drbdadm dstate my-domu-disk | grep -qx UpToDate/UpToDate'
}
