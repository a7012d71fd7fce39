# SPDX-License-Identifier: GPL-2.0-or-later
# For tests on the Xen stand-ins (shell or bats): two simulated Dom0s, the shipped daemon, guests. Source it.
#
#   setup_pair [RESOURCES]       two hosts up; volumes, metadata, configuration for r0 ...; folder $T
#   start_daemon N               and wait until it answers; log in $T/hostN/log/drbdxd.log
#   stop_daemon N                SIGTERM and wait; kill_daemon N: SIGKILL
#   ctl N ARGUMENTS...           backend-ctl there
#   on N COMMAND...              anything there
#   guest_attach N DOMID [RES [OPTIONS...]]   libxl's attach, then a guest with these options
#   guest DOMID COMMAND...       a command to it ("write 1000"); prints its JSON; fails if that says ok:false
#   guest DOMID status | guest_value KEY   one value of that JSON; writing DOMID N: has it done N operations?
#   guest_detach DOMID, guest_destroy DOMID
#   compare_volumes [RES]        byte for byte; check_volumes DOMID [RES]: both against what the guest knows
#   wait_for SECONDS COMMAND...  until it succeeds
#   connected RES, frozen N RES  conditions for wait_for
#   cut_link, join_link, power_cut N, power_on N
#   teardown [STATUS]            everything away; with a status other than 0 the logs are shown
#
# A guest's model is $T/model.RES, so that a guest of the same resource on the other host knows what was
# written before.

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
	local h i
	for h in 1 2; do
		mkdir -p "$T/host$h/etc/drbdx.d"
		cp "$TOP/config/examples/drbdx.conf" "$T/host$h/etc/drbdx.conf"
		{
			echo "global { usage-count no; }"
			echo "common { protocol C; $CONFIG_COMMON }"
		} >"$T/host$h/etc/drbdx.d/global_common.conf"
		for ((i = 0; i < $1; i++)); do
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
					meta-disk $T/host1/meta.img[$i];
				}
				on dom0_2 {
					device minor $i;
					address 192.168.0.54:$((7700 + i));
					disk $T/host2/r$i.img;
					meta-disk $T/host2/meta.img[$i];
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
		truncate -s "$((n > 2 ? n * 128 : 256))M" "$T/host$h/meta.img"
		for ((i = 0; i < n; i++)); do
			truncate -s "$VOLUME_SIZE" "$T/host$h/r$i.img"
		done
		"$XEN_SIM/host" start "$h" "$T" || return 1
		on "$h" "$BUILD/backend-ctl" create-md --assume-clean all \
			>"$T/host$h/log/create-md.log" 2>&1 ||
			{ cat "$T/host$h/log/create-md.log" >&2; return 1; }
	done
}

ctl() { # N ARGUMENTS...
	on "$1" "$BUILD/backend-ctl" "${@:2}"
}

# A daemon that ended before it answered is an error at once.
start_daemon() { # N
	local pid
	# Not by on(): a function in the background would leave a shell between the pid and the daemon.
	"$XEN_SIM/host" exec "$1" "$T" "$BUILD/drbdxd" -f ${DRBDXD_OPTIONS-} \
		>>"$T/host$1/log/drbdxd.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid" >"$T/host$1/drbdxd.pid"
	disown "$pid"
	daemon_answers_or_died() { ctl "$1" status || ! kill -0 "$2"; }
	wait_for 20 daemon_answers_or_died "$1" "$pid" || return 1
	kill -0 "$pid" 2>/dev/null ||
		{ fail "drbdxd of host $1 ended: $(tail -n 3 "$T/host$1/log/drbdxd.log")"; return 1; }
}

daemon_gone() { ! kill -0 "$(cat "$T/host$1/drbdxd.pid")" 2>/dev/null || daemon_is_zombie "$1"; }
daemon_is_zombie() { grep -q '^State:.Z' "/proc/$(cat "$T/host$1/drbdxd.pid")/status" 2>/dev/null; }
stop_daemon() { kill "$(cat "$T/host$1/drbdxd.pid")" && wait_for "${2:-20}" daemon_gone "$1"; }
kill_daemon() { kill -9 "$(cat "$T/host$1/drbdxd.pid")" && wait_for 5 daemon_gone "$1"; }

# --- guests

attach() { # N DOMID [RES]: libxl's part alone
	echo "$1 ${3:-r0}" >"$T/guest.$2"
	on "$1" "$SIM/blkfront-sim" attach --domid "$2" --devid 51714 --resource "${3:-r0}" \
		--name "${GUEST_NAME:-vm-${3:-r0}}" ${GUEST_UUID:+--uuid "$GUEST_UUID"}
}

guest_start() { # DOMID OPTIONS...
	local n res
	read -r n res <"$T/guest.$1"
	on "$n" "$SIM/blkfront-sim" guest --domid "$1" --devid 51714 --control "$T/guest.$1.sock" \
		--model "$T/model.$res" --background "${@:2}" 2>>"$T/guest.$1.log"
}

guest_attach() { # N DOMID [RES [OPTIONS...]]
	attach "$1" "$2" "${3:-r0}" && guest_start "$2" "${@:4}"
}

guest() { # DOMID COMMAND...
	local n res
	read -r n res <"$T/guest.$1"
	on "$n" "$SIM/blkfront-sim" ctl "$T/guest.$1.sock" --timeout "$GUEST_TIMEOUT" "${@:2}"
}

guest_value() { # KEY: of the JSON on stdin
	sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

writing() { # DOMID OPERATIONS: has its load done so many?
	[ "$(guest "$1" status | guest_value ops)" -ge "$2" ]
}

guest_write() { # DOMID COUNT
	guest "$1" write "$2"
}

guest_detach() { # DOMID
	local n res
	read -r n res <"$T/guest.$1"
	on "$n" "$SIM/blkfront-sim" detach --domid "$1" --devid 51714
}

guest_destroy() { # DOMID
	local n res
	read -r n res <"$T/guest.$1"
	on "$n" "$SIM/blkfront-sim" destroy --domid "$1"
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
power_on() { "$XEN_SIM/host" start "$1" "$T"; }

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
