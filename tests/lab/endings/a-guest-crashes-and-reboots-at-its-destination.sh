#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# needs: drbdx
# on_crash=restart: the guest panics under load, before and after a migration, and reboots under load: each time a new domain has the disk at once, and all that was acknowledged.
# shellcheck source-path=SCRIPTDIR source=../migration.sh
. "$(dirname "$0")/../migration.sh"

# shellcheck disable=SC2034 # for lib.sh
guest_config_more="on_crash = 'restart'"

panics() # HOST
{
	local before last
	before=$(on "$1" 'xl domid g1')
	last=$(last_ack "$1" g1)
	guest "$1" g1 'echo 1 >/proc/sys/kernel/sysrq; (sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &'
	new_domain "$1" "$before"
	found "$1" "$last"
}

new_domain() # HOST OLD-DOMID
{
	wait_for "$1" 60 "d=\$(xl domid g1 2>/dev/null) && [ \"\$d\" != $2 ]"
	guest "$1" g1 ''
	has_frontend "$1" g1 xvda2
}

found() # HOST LAST
{
	guest "$1" g1 -t 120 "mount /dev/xvda2 /mnt && writer verify -l $2 -w 100000 /mnt/log"
	guest "$1" g1 'rm -f /mnt/old; mv /mnt/log /mnt/old && dd if=/dev/zero of=/mnt/log bs=64k count=64 2>/dev/null && sync'
	guest "$1" g1 'writer write /mnt/log >/tmp/writer.log 2>&1 & echo $! >/tmp/writer.pid'
	writer_goes_on "$1" g1
}

start_writing_guest "$one_disk"
step "it panics at its source"
panics 1
migrate_guest 1 2 g1
step "it panics at its destination"
panics 2
step "it reboots there"
before=$(on 2 'xl domid g1')
last=$(last_ack 2 g1)
on 2 'xl reboot g1'
new_domain 2 "$before"
found 2 "$last"
guest_is_intact 2 g1 my-domu-disk
