# SPDX-License-Identifier: GPL-2.0-or-later
# What the *.bats files share: a pair of hosts with running daemons for each test, and checks in words of the field.
# shellcheck shell=bash
# lib.sh has the pair, the guests and the link; its functions fail by their status, which ends a test.
export TMPDIR=${TMPDIR:-/var/tmp} VOLUME_SIZE=${VOLUME_SIZE:-16M}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$BATS_TEST_DIRNAME/lib.sh"
# Each file's own teardown() would take the place of lib.sh's. In a shell of its own: it goes on whatever fails, and a test that takes a
# pair down in its middle must not do so afterwards.
eval "pair_down() ( $(declare -f teardown | tail -n +2) )"

T=${T-}		# a file whose tests share a pair hands it on

# Processes in the background must not hold bats' own descriptor; but a test that ends while it is closed cannot tell bats so.
apart() { # COMMAND...
	local status=0
	"$@" 3>&- || status=$?
	return $status
}
# Runs COMMAND beside the test; `wait $beside` is its end. Not $!, which is the daemon's when one has been started meanwhile.
beside() { # COMMAND...
	apart "$@" &
	beside=$!
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

# Two shipped daemons never break the protocol between them, whatever happens: a reconnection that nobody asked for fails a
# test whose data are right.
no_protocol_error() {
	! grep -hs 'protocol error' "$T"/host?/log/drbdxd.log
}

teardown_scenario() {
	local status=0 broken=0
	no_protocol_error || broken=1
	[ -n "${BATS_TEST_COMPLETED-}" ] && [ $broken = 0 ] || status=1
	apart pair_down $status
	return $broken
}

start_guest() { # N DOMID [RES [OPTIONS...]]
	apart guest_attach "$@"
}
next_frontend() { # DOMID OPTIONS...: on the device that is there
	apart guest_start "$@"
}

# Every sector that the guest's model knows is written once; ALL says how many, a multiple of 256.
filled() { # DOMID
	guest "$1" set sequential 1
	guest "$1" set size 256
	guest "$1" write $((ALL / 256))
	guest "$1" set sequential 0
	guest "$1" set size 0
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

# How many milliseconds block-drbdx took for that.
refused_after() { sed -n 's/^libxl: .* add exited .* after \([0-9]*\) ms$/\1/p' "$T/refused"; }

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
# Nothing differs any more, and both hosts know that.
in_sync() { # [RES]
	connected "${1:-r0}" && on_both in_sync_on "${1:-r0}"
}
in_sync_on() {
	says "$1" '.disk.state == "UpToDate" and .peer_disk.state == "UpToDate" and .resync == null and .out_of_sync.bytes == 0' "$2"
}
alone() { # N [RES]
	says "$1" '.alone != null' "${2:-r0}"
}
volumes_agree() { # [RES]
	wait_for 30 in_sync "${1:-r0}" || return 1
	compare_volumes "${1:-r0}" || return 1
	check_volumes "${1:-r0}" >"$T/result" || { cat "$T/result"; return 1; }
}
finish() { # DOMID [RES]: load under way
	guest_is_well "$1"
	guest_detach "$1"
	volumes_agree "${2:-r0}"
}

# On host 1, domain 5.
loaded() { # [LOAD]: a guest under load
	start_guest 1 5
	guest 5 start "${1:-mixed}"
	wait_for 10 writing 5 50
}

# So many operations more than now.
progress() { # DOMID OPERATIONS
	local ops
	ops=$(guest "$1" status | guest_value ops)
	wait_for 20 writing "$1" $((ops + $2))
}

# Domain 5 gets answers again within that time, whatever WHAT does under its load. UNDONE is what the next round needs: a stall of the disk to which everything
# in this machine writes is not in each of five rounds, what the daemon makes the guest wait for is.
waits_less_than() { # MILLISECONDS LOAD WHAT UNDONE
	local gap round
	for round in {1..5}; do
		guest 5 start "$2"
		wait_for 10 writing 5 50
		eval "$3"
		gap=$(guest 5 status | guest_value longest_gap_ms)
		echo "round $round: longest gap between two answers: $gap ms"
		guest_is_well 5
		[ "${gap%.*}" -ge "$1" ] || return 0
		eval "$4"
	done
	fail "the guest waited for $1 ms and longer, each time"
}

# --- how much differs, and how much is copied

# One write of an idle guest: these sectors, and nothing else.
touch_sectors() { # KEY FIRST SECTORS
	local all
	all=$(($(guest "$1" status | guest_value sectors) - 2048))	# LOAD_SCRATCH
	guest "$1" set range "$2:$3"
	guest "$1" set size "$3"
	guest "$1" write 1
	guest "$1" set range "0:$all"
	guest "$1" set size 0
}
out_of_sync_is() { # N KIB [RES]
	says "$1" ".out_of_sync == {bytes: ($2 * 1024), certain: true}" "${3:-r0}"
}
value_of() { # N EXPRESSION [RES]: of the resource's status
	ctl "$1" status "${3:-r0}" --json | jq ".resources[0] | $2"
}
# Bytes that resyncs have copied since both daemons were started; and those that they found to be the same by their digests.
copied() { echo $(($(value_of 1 .counters.resynced_bytes "${1:-r0}") + $(value_of 2 .counters.resynced_bytes "${1:-r0}"))); }
found_same() { echo $(($(value_of 1 .counters.found_same_bytes "${1:-r0}") + $(value_of 2 .counters.found_same_bytes "${1:-r0}"))); }

# --- what the logs say of the connection

logged() { # N REGEX: how often
	grep -cE "$2" "$T/host$1/log/drbdxd.log" || true
}
meetings() { logged "$1" 'r0: connection SETTLING -> CONNECTED'; }
# Not a word of a partner that was taken for dead, that refused, or whose connection was replaced.
no_incident() {
	! grep -nE 'protocol error|nothing heard of|not finished within|refused: |replaced by|reset by|split brain|cannot' "$T"/host?/log/drbdxd.log
}

# --- what a guest leaves behind, and what it costs others

# What a host holds, one fact a line: the daemon's descriptors, threads, mappings and locked memory; mapped pages of guests, event channels;
# watches and nodes of xenstore; files in /run. Without what the stand-in keeps of each domain that it has seen, without the kernel's
# threads for disk I/O, which come and go, and without numbers that are other ones each time.
holdings() { # N
	local proc
	proc=/proc/$(daemon_pid "$1")
	find "$proc/fd" -mindepth 1 -printf 'descriptor %l\n' | grep -vE '/xen-sim/(gnt|mem)\.' | sed -E 's/:\[[0-9]+\]//; s/(xen-sim\/ev).*/\1/' | sort | uniq -c
	sed 's/^/thread /' "$proc"/task/*/comm | grep -v ' iou-' | sort | uniq -c
	awk '{ print "mapping", $2, $6 == "" ? "anonymous" : $6 }' "$proc/maps" | grep -vE '\[heap\]|\.so|/xen-sim/(gnt|mem)\.' | sort | uniq -c
	grep -E '^Vm(Lck|Pin):' "$proc/status"
	on "$1" "$SIM/blkfront-sim" holdings | sed 's/^watch [^:]*:/watch/' | sort
	on "$1" xenstore-ls -f / | sed 's/ = .*//'
	on "$1" find /run -path /run/.over -prune -o -path /run/xen-sim -prune -o -print | sort
}
anonymous_kib() { # N: memory of the daemon
	sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(daemon_pid "$1")/status"
}

# As it is now; after a first guest of r0, which leaves the libraries' own memory and threads behind, but no table of requests in /run.
note_holdings() { # N
	wait_for 5 on "$1" sh -c '! ls /run/drbdx/minor-0.inflight*'
	holdings "$1" >"$T/holdings.$1"
	wait_for 10 same_holdings "$1"
	anonymous_kib "$1" >"$T/anonymous.$1"
}
# Twice in a row: a descriptor of the question that was answered last may not be closed yet.
same_holdings() { # N
	mv "$T/holdings.$1" "$T/holdings.before" && holdings "$1" >"$T/holdings.$1" && cmp "$T/holdings.before" "$T/holdings.$1"
}
holds_as_noted() {
	holdings "$1" | diff "$T/holdings.$1" - >"$T/holdings.diff" && [ "$(anonymous_kib "$1")" -le $(($(cat "$T/anonymous.$1") + 1024)) ]
}
nothing_left_behind() { # N
	wait_for 5 holds_as_noted "$1" && return
	cat "$T/holdings.diff"
	fail "host $1 has not what it had; anonymous memory $(cat "$T/anonymous.$1") KiB before, $(anonymous_kib "$1") after"
}

# A neighbour is a guest of another resource of the same daemon that reads 4 KiB 1000 times a second. Reads, for they are as fast as the
# daemon; a write takes as long as the disk on which everything else in this machine writes, too. All threads of the daemon share one
# processor, so that what another guest costs is not hidden by a second one; and it and the neighbour go before all other work (SCHED_FIFO), that
# of the attacker as well, which is another machine's: what is left is what the daemon itself makes the neighbour wait for.
neighbour() { # N DOMID RES
	taskset -apc "$(taskset -cp $$ | sed 's/.*[ :]\([0-9]*\)[-,0-9]*$/\1/')" "$(daemon_pid "$1")" >"$T/processor"
	start_guest "$1" "$2" "$3"
	chrt -a -f -p 1 "$(daemon_pid "$1")" || echo "no SCHED_FIFO here: other work makes these measurements longer"
	chrt -a -f -p 1 "$(pgrep -f "^$SIM/blkfront-sim guest --domid $2 .*$T/guest.$2.sock")" || true
	guest "$2" write 200
	guest "$2" set size 8
	guest "$2" set rate 1000
	guest "$2" start read
}
# Of its next 100 requests: p99 in microseconds, counted from when each is due; and what the daemon worked meanwhile, in hundredths of a second.
measured() { # DOMID
	local proc ticks
	proc=/proc/$(daemon_pid "$(host_of "$1")")/stat
	ticks=$(awk '{ print $14 + $15 }' "$proc")
	guest "$1" measure 100 >"$T/measured" || return 1
	echo "$(guest_value p99_us <"$T/measured") $(($(awk '{ print $14 + $15 }' "$proc") - ticks))"
}
least() { echo $(($1 < $2 ? $1 : $2)); }

# While another guest attacks again and again, the neighbour's p99 is at most twice what it is while that guest does nothing. Both are measured
# in turn: idle, attack, idle. What else the machine does comes in bursts, and makes any of the three longer; so one round in which the
# attack was no longer than twice the shorter of the idle times around it is enough, out of twenty. An attack that does keep the neighbour waiting
# does so in every round. So a busy machine can hide a small delay, but none can invent one.
#
# An attack that is over costs nothing: for 100 requests of the neighbour, which take 0.1 s and a small part of a processor, the daemon works
# 40 ms at most. It would take all that it gets if it went on looking at a hostile ring.
#
# Several attacks make the backend read, from the disk that the neighbour reads from, too. So less than DISK_SHARE_US, which is what the two
# wait for each other there, is no fault of the daemon's; one that handles a guest at another one's expense makes it wait for longer.
DISK_SHARE_US=20000
neighbour_is_served() { # NEIGHBOUR DOMID ATTACK
	local before attacked after bound work work_after round
	measured "$1" >"$T/window" && read -r before work <"$T/window" || return 1
	for round in {1..20}; do
		# shellcheck disable=SC2086
		guest "$2" attack $3 >"$T/result" || return 1
		measured "$1" >"$T/window" && read -r attacked _ <"$T/window" || return 1
		guest "$2" stop >"$T/result" || { cat "$T/result"; return 1; }
		measured "$1" >"$T/window" && read -r after work_after <"$T/window" || return 1
		work=$(least "$work" "$work_after")
		echo "round $round: the neighbour's p99 is $before us, $attacked us under $3, $after us after it; ${work}0 ms of the daemon's work"
		bound=$((2 * $(least "$before" "$after")))
		[ "$attacked" -gt $((bound > DISK_SHARE_US ? bound : DISK_SHARE_US)) ] || [ "$work" -gt 4 ] || return 0
		before=$after
	done
	fail "the neighbour's p99 is more than twice as long under $3, or the daemon works when it is over"
}
neighbour_is_well() { # DOMID
	guest "$1" status | jq -e '.errors == 0 and .mismatches == 0 and .violations == 0 and .connected'
}

# One guest after the other with an attack on r0 of host 1, beside the neighbour, domain 5 on r1.
attack() { # DOMID NAME [OPTIONS OF THE GUEST...]
	local pid words since queues
	pid=$(daemon_pid 1)
	words=$(logged 1 'request refused') since=$SECONDS
	queues=$(sed -n 's/.*--queues \([0-9]*\).*/\1/p' <<<"${*:3}")
	echo "$1" >"$T/attacker"
	start_guest 1 "$1" r0 "${@:3}"
	# shellcheck disable=SC2086
	GUEST_TIMEOUT=60000 guest "$1" hostile $2 >"$T/result" || { cat "$T/result"; return 1; }
	cat "$T/result"
	neighbour_is_served 5 "$1" "$2"
	# It served the guest again after the attack; the neighbour did not notice.
	guest "$1" verify >"$T/result" || { cat "$T/result"; return 1; }
	neighbour_is_well 5
	guest_destroy "$1"
	rm "$T/attacker"
	kill -0 "$pid"
	nothing_left_behind 1
	says 1 '.guest == null'
	connected r0
	# H27: however many requests are bad, a ring has one of them in the log each second.
	words=$(($(logged 1 'request refused') - words))
	echo "$words lines of refused requests in $((SECONDS - since)) s"
	[ $words -le $(((SECONDS - since + 2) * ${queues:-1})) ]
}
# What a failed attack has left must not make the next ones fail.
end_attack() {
	[ -n "${BATS_TEST_COMPLETED-}" ] || [ ! -f "$T/attacker" ] || guest_destroy "$(cat "$T/attacker")" || true
}

# --- faults

packet() { # NAME: its number on the wire
	awk -F' *[|] *' -v name="$1" '$3 == name && $2 + 0 { print $2; found = 1; exit } END { exit !found }' "$TOP/docs/PROTOCOL.md"
}
# The link goes down when host N sends this packet, which is lost.
cut_at() { # N PACKET
	link down-at "$1" "$(packet "$2")" >/dev/null
}
link_is_cut() { link status | grep -q '"cut":\[true,true\]'; }
disconnected() { says "$1" '.connection.state != "Connected"'; }

# The disk of r0 on host N fails reads, writes, flushes or discards: all, or those that touch these sectors.
disk_fails() { # N read|write|flush|discard [SECTOR SECTORS]
	echo "$2 r0.img ${*:3}" >>"$T/host$1/faults"
}
disk_heals() { rm -f "$T/host$1/faults"; }

# --- a disk that hangs (hanging-disk.c)

# Two hosts; what is named can be made to hang. "2:disk" is the disk of host 2, "2:meta" its metadata.
hanging_pair() { # DISK-TIMEOUT (tenths of a second, 0 = none) HOST:PART...
	local which host part
	CONFIG_COMMON="disk { disk-timeout $1; }" apart setup_pair 1
	for which in "${@:2}"; do
		host=${which%:*} part=${which#*:}
		: >"$T/host$host/$part"
		serve "$which"
		sed -i "s|host$host/$(volume "$part")|host$host/$part|" "$T"/host[12]/etc/drbdx.d/r0.res
	done
	daemon 1
	daemon 2
	wait_for 20 connected r0
}
# Two hosts whose disks, or those that are named, erase securely.
erasing_pair() { # DISK-TIMEOUT [HOST:disk...]
	ERASES=1 hanging_pair "$1" "${@:2}"
}
volume() { # PART: its file
	[ "$1" = disk ] && echo r0.img || echo meta.img
}
serve() { # HOST:PART
	local h=$T/host${1%:*} part=${1#*:}
	apart on "${1%:*}" "$SIM/hanging-disk" ${ERASES:+--erases} "$h/$part" "$h/$(volume "$part")" "$h/$part.pid" </dev/null >/dev/null 2>&1
}
hangs() { # HOST:PART...
	local which
	for which; do
		kill -USR1 "$(cat "$T/host${which%:*}/${which#*:}.pid")"
	done
}
goes_on() { # HOST:PART...
	local which
	for which; do
		kill -USR2 "$(cat "$T/host${which%:*}/${which#*:}.pid")"
	done
}

# --- live migration

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

# While the partner's disk does not answer, four requests of this size fill what it lets the daemon send: of 64 most stay in the ring, also when
# the copy arrives, and all are unanswered until COMMAND has been run, too.
reserved_with_a_full_ring() { # [COMMAND...]
	apart pair_down 0
	hanging_pair 0 2:disk
	start_guest 1 5 r0 --ring-order 2 --depth 64 --segments 256
	guest 5 set size 2048
	hangs 2:disk
	beside guest 5 write 64 >"$T/written"
	wait_for 5 in_flight 5 64
	guest_suspend 5
	guest_receive 2 5 6
	says 1 '.reservation != null and .counters.ring.consumed < 64'
	"${@:-true}"
	goes_on 2:disk
}
in_flight() { # KEY REQUESTS
	[ "$(guest "$1" status | guest_value in_flight)" = "$2" ]
}
answered_all() { in_flight "$1" 0; }

# The domain that arrives does not get its disk, in these words, and is gone again; block-drbdx took so many milliseconds at most.
refused_arrival() { # N DOMID NEW REGEX [MILLISECONDS]
	local name vm
	[ -f "$T/state.$2.vm" ] || identity "$2"
	read -r name vm <"$T/state.$2.vm"
	GUEST_NAME=$name--incoming GUEST_UUID=${vm##*/} refused "$1" "$3" "$4"
	[ "$(refused_after)" -lt "${5:-20000}" ]
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
