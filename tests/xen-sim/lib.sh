# SPDX-License-Identifier: GPL-2.0-or-later
# For tests on the Xen stand-ins (shell or bats): two simulated Dom0s, the shipped daemon, guests. Source it.
#
#   setup_pair [RESOURCES]       two hosts up; volumes, metadata, configuration for r0 ...; folder $T
#   CREATE_MD_OPTIONS=           with which the metadata are made (--assume-clean)
#   META_SIZE=                   of one resource's metadata without an index, for a volume that is too large for a slot
#   start_daemon N               and wait until it answers; log in $T/hostN/log/drbdxd.log; DAEMON_UNDER= the command that runs it (valgrind),
#                                DAEMON_ANSWERS_WITHIN= seconds
#   install_daemon N PROGRAM     this one on that host, in place of what is there, as dpkg does it
#   stop_daemon N                SIGTERM and wait; kill_daemon N: SIGKILL
#   ctl N ARGUMENTS...           backend-ctl there
#   on N COMMAND...              anything there
#   guest_attach N DOMID [RES [OPTIONS...]]   libxl's attach, then a guest with these options
#   ATTACH_OPTIONS=              of the disk: --readonly, --cdrom
#   DISK_KIND=vbd3               its kind, as libxl calls it (default vbd)
#   guest DOMID COMMAND...       a command to it ("write 1000"); prints its JSON; fails if that says ok:false
#   guest DOMID status | guest_value KEY   one value of that JSON; writing DOMID N: has it done N operations?
#   guest_detach DOMID, guest_destroy DOMID
#   guest_suspend DOMID          Xen suspends it; its state is saved
#   guest_receive N DOMID NEW    its copy arrives on host N as NAME--incoming: disks attached, paused
#   guest_unpause NEW            the copy gets its name and runs: new rings, everything unanswered once more
#   guest_resume DOMID           the suspended one goes on with its rings, as if nothing had happened
#   migrate FROM TO DOMID        all of these, as xl does it; the guest arrives as DOMID+1
#   compare_volumes [RES]        byte for byte; check_volumes DOMID [RES]: both against what the guest knows
#   wait_for SECONDS COMMAND...  until it succeeds
#   connected RES, frozen N RES  conditions for wait_for
#   cut_link, join_link, power_cut N, power_on N
#   teardown [STATUS]            everything away; with a status other than 0 the logs are shown
#
# DOMID names the first disk of a domain; DOMIDb the second one, where a disk is meant (guest_attach 1 5b r1).
# A guest's model is $T/model.RES, so that a guest of the same resource on the other host knows what was
# written before. A copy that arrives has its own one; that of the copy that goes on takes the place ("survives KEY").

XEN_SIM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$XEN_SIM/../.." && pwd)
BUILD=${DRBDX_BUILD:-$TOP/build}
export DRBDX_BUILD=$BUILD
SIM=$BUILD/tests/xen-sim
VOLUME_SIZE=${VOLUME_SIZE:-64M}
GUEST_TIMEOUT=${GUEST_TIMEOUT:-30000}		# milliseconds
CONFIG_COMMON=${CONFIG_COMMON-}			# more lines for the common section

fail() { echo "FAIL: $*" >&2; return 1; }

# Looks every 20 ms; the time is a bound, not a pause.
wait_for() { # SECONDS COMMAND...
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || { fail "not within the time: $*"; return 1; }
		sleep 0.02
	done
}

on() { # N COMMAND...
	"$XEN_SIM/host" exec "$1" "$T" "${@:2}"
}

write_config() { # RESOURCES
	local h i slot=
	for h in 1 2; do
		mkdir -p "$T/host$h/etc/drbdx.d"
		cp "$TOP/config/examples/drbdx.conf" "$T/host$h/etc/drbdx.conf"
		{
			echo "global { usage-count no; }"
			echo "common { protocol C; $CONFIG_COMMON }"
		} >"$T/host$h/etc/drbdx.d/global_common.conf"
		for ((i = 0; i < $1; i++)); do
			[ -n "${META_SIZE-}" ] || slot="[$i]"
			cat >"$T/host$h/etc/drbdx.d/r$i.res" <<-EOF
			resource r$i {
				net {
					cram-hmac-alg sha256;
					shared-secret "secret of r$i";
				}
				on dom0_1 {
					device minor $i;
					address 192.168.0.25:$((7700 + i));
					disk $T/host1/r$i.img;
					meta-disk $T/host1/meta.img$slot;
				}
				on dom0_2 {
					device minor $i;
					address 192.168.0.54:$((7700 + i));
					disk $T/host2/r$i.img;
					meta-disk $T/host2/meta.img$slot;
				}
			}
			EOF
		done
	done
}

setup_pair() { # [RESOURCES]
	local n=${1:-1} h i
	T=$(mktemp -d "${TMPDIR:-/tmp}/drbdx-sim.XXXXXX")
	RESOURCES=$n
	write_config "$n"
	for h in 1 2; do
		truncate -s "${META_SIZE:-$((n > 2 ? n * 128 : 256))M}" "$T/host$h/meta.img"
		for ((i = 0; i < n; i++)); do
			truncate -s "$VOLUME_SIZE" "$T/host$h/r$i.img"
		done
		"$XEN_SIM/host" start "$h" "$T" || return 1
		on "$h" "$BUILD/backend-ctl" create-md ${CREATE_MD_OPTIONS---assume-clean} all \
			>"$T/host$h/log/create-md.log" 2>&1 ||
			{ cat "$T/host$h/log/create-md.log" >&2; return 1; }
	done
}

ctl() { # N ARGUMENTS...
	on "$1" "$BUILD/backend-ctl" "${@:2}"
}

daemon_program() { # N
	[ -e "$T/host$1/sbin/drbdxd" ] && echo "$T/host$1/sbin/drbdxd" || echo "$BUILD/drbdxd"
}
install_daemon() { # N PROGRAM
	mkdir -p "$T/host$1/sbin" && cp "$2" "$T/host$1/sbin/drbdxd.new" && mv -f "$T/host$1/sbin/drbdxd.new" "$T/host$1/sbin/drbdxd"
}

# A daemon that ended before it answered is an error at once.
start_daemon() { # N
	local pid
	# Not by on(): a function in the background would leave a shell between the pid and the daemon.
	"$XEN_SIM/host" exec "$1" "$T" ${DAEMON_UNDER-} "$(daemon_program "$1")" -f ${DRBDXD_OPTIONS-} \
		>>"$T/host$1/log/drbdxd.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid" >"$T/host$1/drbdxd.pid"
	disown "$pid"
	daemon_answers_or_died() { ctl "$1" status || ! kill -0 "$2"; }
	wait_for "${DAEMON_ANSWERS_WITHIN:-20}" daemon_answers_or_died "$1" "$pid" || return 1
	kill -0 "$pid" 2>/dev/null ||
		{ fail "drbdxd of host $1 ended: $(tail -n 3 "$T/host$1/log/drbdxd.log")"; return 1; }
}

daemon_gone() { daemon_is_zombie "$1" || ! kill -0 "$(cat "$T/host$1/drbdxd.pid")" 2>/dev/null; }
daemon_is_zombie() { grep -q '^State:.[ZX]' "/proc/$(cat "$T/host$1/drbdxd.pid")/status" 2>/dev/null; }
stop_daemon() { kill "$(cat "$T/host$1/drbdxd.pid")" && wait_for "${2:-20}" daemon_gone "$1"; }
kill_daemon() { kill -9 "$(cat "$T/host$1/drbdxd.pid")" && wait_for 5 daemon_gone "$1"; }

# --- guests

domid_of() { echo "${1%b}"; }			# KEY: DOMID or DOMIDb
devid_of() { [ "$1" = "${1%b}" ] && echo 51714 || echo 51730; }
# $T/guest.KEY: host, resource, model
host_of() { cut -d' ' -f1 "$T/guest.$1"; }
resource_of() { cut -d' ' -f2 "$T/guest.$1"; }
model_of() { cut -d' ' -f3 "$T/guest.$1"; }
disks_of() { # DOMID: the keys of its disks
	local key
	for key in "$1" "$1b"; do
		[ ! -e "$T/guest.$key" ] || echo "$key"
	done
}

attach() { # N KEY [RES]: libxl's part alone
	echo "$1 ${3:-r0} ${GUEST_MODEL:-$T/model.${3:-r0}}" >"$T/guest.$2"
	on "$1" "$SIM/blkfront-sim" attach --domid "$(domid_of "$2")" --devid "$(devid_of "$2")" --resource "${3:-r0}" \
		--name "${GUEST_NAME:-vm-${3:-r0}}" ${GUEST_UUID:+--uuid "$GUEST_UUID"} --kind "${DISK_KIND:-vbd}" ${ATTACH_OPTIONS-}
}

guest_start() { # KEY OPTIONS...
	on "$(host_of "$1")" "$SIM/blkfront-sim" guest --domid "$(domid_of "$1")" --devid "$(devid_of "$1")" \
		--control "$T/guest.$1.sock" --model "$(model_of "$1")" --background "${@:2}" 2>>"$T/guest.$1.log"
}

guest_attach() { # N KEY [RES [OPTIONS...]]
	attach "$1" "$2" "${3:-r0}" && guest_start "$2" "${@:4}"
}

guest() { # KEY COMMAND...
	on "$(host_of "$1")" "$SIM/blkfront-sim" ctl "$T/guest.$1.sock" --timeout "$GUEST_TIMEOUT" "${@:2}"
}

guest_value() { # KEY: of the JSON on stdin
	sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

writing() { # KEY OPERATIONS: has its load done so many?
	[ "$(guest "$1" status | guest_value ops)" -ge "$2" ]
}

guest_write() { # KEY COUNT
	guest "$1" write "$2"
}

guest_detach() { # KEY
	on "$(host_of "$1")" "$SIM/blkfront-sim" detach --domid "$(domid_of "$1")" --devid "$(devid_of "$1")" \
		--kind "${DISK_KIND:-vbd}"
}

guest_destroy() { # DOMID
	on "$(host_of "$1")" "$SIM/blkfront-sim" destroy --domid "$1"
}

# --- live migration, in the order in which xl and libxl do it

domain() { # DOMID VERB...: what Xen and xl do with the domain itself
	on "$(host_of "$1")" "$SIM/blkfront-sim" domain --domid "$1" "${@:2}"
}

identity() { # DOMID: its name and /vm/UUID, on one line in a file
	local vm
	vm=$(on "$(host_of "$1")" xenstore-read "/local/domain/$1/name" "/local/domain/$1/vm") &&
		echo "${vm//$'\n'/ }" >"$T/state.$1.vm"
}

guest_suspend() { # DOMID
	local key
	identity "$1" || return 1
	for key in $(disks_of "$1"); do
		guest "$key" suspend "$T/state.$key" >/dev/null || return 1
		cp "$(model_of "$key")" "$T/state.$key.model" || return 1	# it is the guest's memory
	done
	domain "$1" suspend
}

guest_resume() { # DOMID
	local key
	domain "$1" resume || return 1
	for key in $(disks_of "$1"); do
		guest "$key" resume >/dev/null || return 1
	done
}

# Where a disk is refused, libxl takes the whole domain away again.
guest_receive() { # N DOMID NEW
	local key name vm
	read -r name vm <"$T/state.$2.vm"
	echo "$2" >"$T/arrived.$3"
	for key in $(disks_of "$2"); do
		GUEST_NAME=$name--incoming GUEST_UUID=${vm##*/} GUEST_MODEL=$T/state.$key.model \
			attach "$1" "$3${key#"$2"}" "$(resource_of "$key")" && continue
		guest_destroy "$3"
		return 1
	done
}

guest_unpause() { # NEW
	local old key name
	old=$(cat "$T/arrived.$1")
	read -r name _ <"$T/state.$old.vm"
	domain "$1" rename "$name" || return 1
	for key in $(disks_of "$1"); do
		# Not with a test program's descriptor, which would wait for the guest's end. Its source finishes what it has first, up to 64 MiB.
		guest_start "$key" --state "$T/state.$old${key#"$1"}" --timeout 90000 3>&- || return 1
	done
}

survives() { # KEY
	ln -f "$(model_of "$1")" "$T/model.$(resource_of "$1")" 2>/dev/null || [ "$(model_of "$1")" -ef "$T/model.$(resource_of "$1")" ]
}

migrate() { # FROM TO DOMID
	local new=$(($3 + 1)) key
	[ "$(host_of "$3")" = "$1" ] || { fail "domain $3 is not on host $1"; return 1; }
	guest_suspend "$3" || return 1
	guest_receive "$2" "$3" "$new" || { guest_resume "$3"; return 1; }
	domain "$3" rename "$(cut -d' ' -f1 "$T/state.$3.vm")--migratedaway" &&	# the point of no return
		guest_unpause "$new" && guest_destroy "$3" || return 1
	for key in $(disks_of "$new"); do
		survives "$key"
	done
}

# --- the pair

on_both() { # COMMAND...: with the host's number as its first argument
	"$1" 1 "${@:2}" && "$1" 2 "${@:2}"
}
connected_on() { ctl "$1" status "$2" --json | grep -q '"state": *"Connected"'; }
connected() { # [RES]: both say so
	on_both connected_on "${1:-r0}"
}
frozen() { # N [RES]
	ctl "$1" status "${2:-r0}" --json | grep -q '"frozen": *{'
}

compare_volumes() { # [RES]
	cmp "$T/host1/${1:-r0}.img" "$T/host2/${1:-r0}.img"
}

check_volumes() { # [RES]
	local h
	for h in 1 2; do
		"$SIM/blkfront-sim" check-volume --model "$T/model.${1:-r0}" \
			--volume "$T/host$h/${1:-r0}.img" || return 1
	done
}

cut_link() { "$XEN_SIM/host" link "$T" down >/dev/null; }
join_link() { "$XEN_SIM/host" link "$T" up >/dev/null; }
link() { "$XEN_SIM/host" link "$T" "$@"; }
power_cut() { "$XEN_SIM/host" stop "$1" "$T"; }
# Its card has a new address each time, which a real one has not: the other host must not look for the old one.
power_on() { # N
	"$XEN_SIM/host" start "$1" "$T" || return 1
	on $((3 - $1)) ip neigh flush all 2>/dev/null || true
}

teardown() { # [STATUS]
	local status=${1:-0} h
	set +e				# whatever fails here, the rest still goes away
	[ -n "${T-}" ] && [ -d "$T" ] || return 0
	if [ "$status" != 0 ]; then
		for h in 1 2; do
			echo "--- host $h: status" >&2
			timeout 15 "$XEN_SIM/host" exec "$h" "$T" "$BUILD/backend-ctl" status >&2
			echo "--- host $h: drbdxd.log (last lines)" >&2
			tail -n 40 "$T/host$h/log/drbdxd.log" >&2
			echo "--- host $h: xenstore" >&2
			timeout 5 "$XEN_SIM/host" exec "$h" "$T" xenstore-ls -f 2>/dev/null |
				grep -E 'vbd/|error' >&2
		done
		tail -n 20 "$T"/guest.*.log >&2 2>/dev/null
	fi
	"$XEN_SIM/host" stop-all "$T"
	if [ "$status" != 0 ] && [ -n "${KEEP-}" ]; then
		echo "kept: $T" >&2
	else
		rm -rf "$T"
	fi
}
