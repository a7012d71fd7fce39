#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What a guest and its two copies notice of the network between the hosts.
load scenario.bash
setup() { pair 1; }
teardown() { teardown_scenario; }

disconnected() { says "$1" '.connection.state != "Connected"'; }

@test "P7 a link that is cut in one direction only is noticed, and mended without loss" {
	local side
	loaded
	for side in 1 2; do
		link down $side >/dev/null
		wait_for 10 alone 1
		join_link
		wait_for 20 connected r0
		progress 5 20
	done
	finish 5
}

@test "P1 a slow link slows the guest down and changes nothing else" {
	start_guest 1 5
	link delay 40 >/dev/null
	guest 5 mixed 60 >"$T/result"
	[ "$(guest_value p99_us <"$T/result")" -gt 80000 ]
	says 1 '.connection.state == "Connected"'
	link delay 0 >/dev/null
	guest 5 start mixed
	progress 5 50
	finish 5
}

@test "P3 a link that loses packets changes nothing" {
	loaded
	link loss 3 >/dev/null
	progress 5 50
	link loss 0 >/dev/null
	wait_for 20 connected r0
	finish 5
}

@test "P1 a link that comes and goes 10 times under load loses and mixes up nothing" {
	local i
	loaded
	for i in 1 2 3 4 5 6 7 8 9 10; do
		cut_link
		# Every second time it is back before anybody noticed.
		[ $((i % 2)) = 0 ] || wait_for 10 alone 1
		join_link
		wait_for 20 connected r0
		progress 5 5
	done
	finish 5
}

# Its kernel still acknowledges every byte: it is alive, and only slow. Nothing is lost by waiting, but it must be seen.
@test "P7 a partner that hangs is not dropped, and status names what waits for it" {
	loaded
	kill -STOP "$(daemon_pid 2)"
	wait_for 10 says 1 '.in_flight.oldest_age_milliseconds > 2000 and .in_flight.peer > 0'
	words_say 1 'r0: the oldest request waits for .* at the partner'
	says 1 '.connection.state == "Connected"'
	kill -CONT "$(daemon_pid 2)"
	progress 5 50
	finish 5
}

@test "P7 a pause of 0.5 s is not taken for death" {
	loaded
	kill -STOP "$(daemon_pid 2)"
	perl -e 'select undef, undef, undef, 0.5'	# the length is what is tested
	kill -CONT "$(daemon_pid 2)"
	progress 5 50
	says 1 '.connection.state == "Connected"'
	! grep -q 'CONNECTED -> DISCONNECTED' "$T/host1/log/drbdxd.log" "$T/host2/log/drbdxd.log" || false
	finish 5
}

@test "P4 with different secrets the hosts do not connect, both say why, and no guest starts where the token is not" {
	stop_daemon 2
	sed -i 's/shared-secret.*/shared-secret "another secret";/' "$T/host2/etc/drbdx.d/r0.res"
	daemon 2
	wait_for 10 says 1 '.connection.why | test("wrong secret")'
	wait_for 10 says 2 '.connection.why | test("wrong secret")'
	! connected r0 || false
	words_say 1 'wrong secret: the shared-secret of dom0_1 and of dom0_2 differ'
	refused 2 6 'not connected .*secret'
	stop_daemon 2
	cp "$T/host1/etc/drbdx.d/r0.res" "$T/host2/etc/drbdx.d/r0.res"
	daemon 2
	wait_for 20 connected r0
	start_guest 1 7
}

# Connects from host 2, from this address, sends what is on stdin, and waits until the other side closes it (or 5 s).
stranger() { # ADDRESS
	on 2 timeout 10 perl -MIO::Socket::INET -e '
		$s = IO::Socket::INET->new(PeerAddr => "192.168.0.25:7700", LocalAddr => $ARGV[0], Timeout => 3) or exit 0;
		$SIG{PIPE} = "IGNORE"; $SIG{ALRM} = sub { exit 1 }; alarm 8;
		{ local $/; print $s <STDIN>; } $s->flush; 1 while sysread $s, $x, 4096;' "$1"
}

@test "P4 strangers and garbage at the port cost nothing, while connected" {
	local i since
	loaded
	on 2 ip addr add 192.168.0.99/24 dev eth1
	since=$(ctl 1 status r0 --json | jq '.resources[0].connection.age_seconds')
	for i in 1 2 3; do
		head -c 5000 /dev/urandom | stranger 192.168.0.99
		head -c 5000 /dev/urandom | stranger 192.168.0.54
		head -c 5000 /dev/zero | stranger 192.168.0.54
		stranger 192.168.0.54 </dev/null
	done
	says 1 ".connection.state == \"Connected\" and .connection.age_seconds >= $since"
	says 1 '.frozen == null'
	progress 5 20
	finish 5
}

@test "P4 a stranger that holds the port open does not keep the partner out" {
	stop_daemon 2
	wait_for 5 disconnected 1
	on 2 ip addr add 192.168.0.99/24 dev eth1
	# From the partner's own address too: it says nothing, and goes on holding the connection.
	on 2 timeout 60 perl -MIO::Socket::INET -e '
		for $a ("192.168.0.99", "192.168.0.54", "192.168.0.54") { push @s, IO::Socket::INET->new(PeerAddr => "192.168.0.25:7700", LocalAddr => $a, Timeout => 3); }
		open $f, ">", $ARGV[0]; close $f; sleep 50' "$T/holding" 3>&- &
	wait_for 10 test -e "$T/holding"
	daemon 2
	wait_for 20 connected r0
	start_guest 2 5
	guest 5 write 20
}
