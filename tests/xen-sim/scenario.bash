# SPDX-License-Identifier: GPL-2.0-or-later
# What the *.bats files share: a pair of hosts with running daemons for each test, and checks in words of the field.
# shellcheck shell=bash
# lib.sh has the pair, the guests and the link; its functions fail by their status, which ends a test.
export TMPDIR=${TMPDIR:-/var/tmp} VOLUME_SIZE=${VOLUME_SIZE:-16M}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$BATS_TEST_DIRNAME/lib.sh"
# Each file's own teardown() would take the place of lib.sh's.
eval "pair_down() $(declare -f teardown | tail -n +2)"

T=${T-}		# a file whose tests share a pair hands it on

# Processes in the background must not hold bats' own descriptor; but a test that ends while it is closed cannot tell bats so.
apart() { # COMMAND...
	local status=0
	"$@" 3>&- || status=$?
	return $status
}
daemon() { # N
	apart start_daemon "$1"
}

pair() { # [RESOURCES]: two hosts, daemons, everything connected
	local i
	apart setup_pair "${1:-1}"
	daemon 1
	daemon 2
	for ((i = 0; i < ${1:-1}; i++)); do
		wait_for 20 connected "r$i"
	done
}

teardown_scenario() {
	local status=1
	[ -n "${BATS_TEST_COMPLETED-}" ] && status=0
	apart pair_down $status
}

start_guest() { # N DOMID [RES [OPTIONS...]]
	apart guest_attach "$@"
}
next_frontend() { # DOMID OPTIONS...: on the device that is there
	apart guest_start "$@"
}

daemon_pid() { cat "$T/host$1/drbdxd.pid"; }
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# Is this true of the resource's status on host N? jq's language; "." is the resource.
says() { # N EXPRESSION [RES]
	ctl "$1" status "${3:-r0}" --json | jq -e ".resources[0] | $2" >/dev/null
}
says_not() { ! says "$@"; }

# The table and the words below it contain this (extended regular expression).
words_say() { # N REGEX
	ctl "$1" status >"$T/words" && grep -qE "$2" "$T/words"
}

# A start that must not succeed: refused in these words (extended regular expression), and with nothing left that a guest could use.
refused() { # N DOMID REGEX [RES]
	local status=0
	attach "$1" "$2" "${4:-r0}" 2>"$T/refused" || status=$?
	cat "$T/refused"
	[ $status != 0 ] || { fail "host $1 let domain $2 have ${4:-r0}"; return 1; }
	grep '^libxl: script: ' "$T/refused" | grep -qE "$3" || { fail "not refused in words of: $3"; return 1; }
	! hotplug_connected "$1" "$2" || { fail "refused, but hotplug-status is connected"; return 1; }
	guest_destroy "$2"
}

node() { # N KEY NODE: of the backend's directory
	on "$1" xenstore-read "/local/domain/0/backend/vbd/$(domid_of "$2")/$(devid_of "$2")/$3" 2>/dev/null
}
backend_state_is() { [ "$(node "$1" "$2" state)" = "$3" ]; }
hotplug_connected() { [ "$(node "$1" "$2" hotplug-status)" = connected ]; }

# The load ends without error; everything reads back; both volumes hold it.
guest_is_well() { # DOMID
	guest "$1" stop >"$T/result" || { cat "$T/result"; return 1; }
	guest "$1" verify >"$T/result" || { cat "$T/result"; return 1; }
}
volumes_agree() { # [RES]
	compare_volumes "${1:-r0}" || return 1
	check_volumes "${1:-r0}" >"$T/result" || { cat "$T/result"; return 1; }
}
finish() { # DOMID [RES]: load under way
	guest_is_well "$1"
	guest_detach "$1"
	volumes_agree "${2:-r0}"
}

# So many operations more than now.
progress() { # DOMID OPERATIONS
	local ops
	ops=$(guest "$1" status | guest_value ops)
	wait_for 20 writing "$1" $((ops + $2))
}

# --- live migration

loaded_guest() { # on host 1, domain 5
	start_guest 1 5
	guest 5 start mixed
	wait_for 10 writing 5 50
}

# Its copy runs at the destination, and has not asked for anything yet.
handed_over_unused() {
	start_guest 1 5
	guest 5 write 100
	guest_suspend 5
	guest_receive 2 5 6
	guest_unpause 6
	says 2 '.token.state == "held" and .token.base < .token.epoch'
	says 1 '.guest.attachment == "HandedOver"'
}

# On a slow link four requests of this size fill the daemon's buffers: of 64 most stay in the ring, also when the copy arrives.
reserved_with_a_full_ring() {
	start_guest 1 5 r0 --ring-order 2 --depth 64 --segments 256
	guest 5 set size 2048
	link delay 100 >/dev/null
	apart guest 5 write 64 >"$T/written" &
	wait_for 5 in_flight 5 64
	guest_suspend 5
	guest_receive 2 5 6
	says 1 '.reservation != null and .counters.ring.consumed < 64'
	link delay 0 >/dev/null
}
in_flight() { # KEY REQUESTS
	[ "$(guest "$1" status | guest_value in_flight)" = "$2" ]
}
answered_all() { in_flight "$1" 0; }

# The domain that arrives does not get its disk, in these words, and is gone again; block-drbdx took so many milliseconds at most.
refused_arrival() { # N DOMID NEW REGEX [MILLISECONDS]
	local name vm took
	[ -f "$T/state.$2.vm" ] || identity "$2"
	read -r name vm <"$T/state.$2.vm"
	GUEST_NAME=$name--incoming GUEST_UUID=${vm##*/} refused "$1" "$3" "$4"
	took=$(sed -n 's/^libxl: .* add exited .* after \([0-9]*\) ms$/\1/p' "$T/refused")
	[ "$took" -lt "${5:-20000}" ]
}

device_says() { # N REGEX: why a device is not served
	says "$1" ".devices | any(.why // \"\" | test(\"$2\"))"
}

one_token_held() { # [RES]
	local n=0 h
	for h in 1 2; do
		! says "$h" '.token.state == "held"' "${1:-r0}" || n=$((n + 1))
	done
	[ $n = 1 ]
}

# The load goes on and ends without an error; everything reads back on both hosts; one of them may write.
well() { # KEY [RES]
	progress "$1" 30
	guest "$1" stop >"$T/result" || { cat "$T/result"; return 1; }
	echo "longest gap between two answers: $(guest_value longest_gap_ms <"$T/result") ms"
	guest "$1" verify >"$T/result" || { cat "$T/result"; return 1; }
	survives "$1"
	volumes_agree "${2:-r0}"
	one_token_held "${2:-r0}"
}
