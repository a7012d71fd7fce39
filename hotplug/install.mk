# SPDX-License-Identifier: GPL-2.0-or-later
#
# What is installed where; included by the Makefile. DESTDIR= stages, PREFIX=/usr.
# /etc, /lib/systemd and /usr/lib/drbdx do not follow PREFIX: Xen, systemd and the wrapper look there.

INSTALL ?= install
UNITDIR ?= /lib/systemd/system
SBIN = $(DESTDIR)$(PREFIX)/sbin
SHARE = $(DESTDIR)$(PREFIX)/share
PRIVATE = $(DESTDIR)/usr/lib/drbdx
HANDLERS := $(addprefix hotplug/handlers/,before-resync-target after-resync-target fence-peer-ssh)
MAN5 := $(wildcard docs/man/*.5)
MAN7 := $(wildcard docs/man/*.7)
MAN8 := $(wildcard docs/man/*.8)

install: $(PROGRAMS)
	$(INSTALL) -d $(SBIN) $(PRIVATE) $(DESTDIR)/etc/xen/scripts $(DESTDIR)/etc/drbdx.d $(DESTDIR)$(UNITDIR) \
		$(SHARE)/man/man5 $(SHARE)/man/man7 $(SHARE)/man/man8 $(SHARE)/bash-completion/completions $(SHARE)/doc/drbdx/examples \
		$(DESTDIR)/etc/needrestart/conf.d
	$(INSTALL) -m 0755 $(B)/drbdxd $(B)/backend-ctl $(SBIN)/
	$(INSTALL) -m 0755 $(B)/block-drbdx $(PRIVATE)/block-drbdx
	ln -sfn /usr/lib/drbdx/block-drbdx $(DESTDIR)/etc/xen/scripts/block-drbdx
	$(INSTALL) -m 0644 $(B)/libdrbdx-xl.so $(PRIVATE)/libdrbdx-xl.so
	$(INSTALL) -m 0755 hotplug/xl-wrapper $(PRIVATE)/xl-wrapper
	ln -sfn ../../sbin/xl.distrib $(PRIVATE)/xl
	$(INSTALL) -m 0755 $(HANDLERS) $(PRIVATE)/
	$(INSTALL) -m 0644 hotplug/handlers/snapshot.sh $(PRIVATE)/snapshot.sh
	$(INSTALL) -m 0644 hotplug/drbdxd.service hotplug/drbdx-wait-connect.service hotplug/drbdx-handlers.socket hotplug/drbdx-handlers@.service $(DESTDIR)$(UNITDIR)/
	$(INSTALL) -m 0644 hotplug/backend-ctl.bash-completion $(SHARE)/bash-completion/completions/backend-ctl
	$(INSTALL) -m 0644 $(MAN5) $(SHARE)/man/man5/
	$(INSTALL) -m 0644 $(MAN7) $(SHARE)/man/man7/
	$(INSTALL) -m 0644 $(MAN8) $(SHARE)/man/man8/
	$(INSTALL) -m 0644 hotplug/needrestart.conf $(DESTDIR)/etc/needrestart/conf.d/drbdx.conf
	cp -r --no-preserve=mode,ownership config/examples/. $(SHARE)/doc/drbdx/examples/
	test -e $(DESTDIR)/etc/drbdx.conf || $(INSTALL) -m 0644 hotplug/drbdx.conf $(DESTDIR)/etc/drbdx.conf
	@test -n "$(DESTDIR)" || echo "To let xl read 'drbdx:' disks: dpkg-divert --local --rename --divert /usr/sbin/xl.distrib --add /usr/sbin/xl" \
		"&& ln -s /usr/lib/drbdx/xl-wrapper /usr/sbin/xl"
