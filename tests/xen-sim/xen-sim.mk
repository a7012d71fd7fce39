# SPDX-License-Identifier: GPL-2.0-or-later
# Xen without a hypervisor; included by the top Makefile, and usable alone: make -f tests/xen-sim/xen-sim.mk xen-sim
XEN_SIM_OUT := build/tests/xen-sim
XEN_SIM_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -pthread $(XEN_SIM_EXTRA_CFLAGS)
XEN_SIM_PROGRAMS := $(XEN_SIM_OUT)/libxen-standin.so $(XEN_SIM_OUT)/blkfront-sim $(XEN_SIM_OUT)/cable \
	$(XEN_SIM_OUT)/selftest-backend

.PHONY: xen-sim
xen-sim: $(XEN_SIM_PROGRAMS)

$(XEN_SIM_OUT)/libxen-standin.so: tests/xen-sim/standin.c tests/xen-sim/machine.c tests/xen-sim/standin.h
	@mkdir -p $(@D)
	$(CC) $(XEN_SIM_CFLAGS) -fPIC -shared -o $@ $(filter %.c,$^) -ldl

$(XEN_SIM_OUT)/cable: tests/xen-sim/cable.c
	@mkdir -p $(@D)
	$(CC) $(XEN_SIM_CFLAGS) -o $@ $<

$(XEN_SIM_OUT)/blkfront-sim: $(addprefix tests/xen-sim/,blkfront-sim.c frontend.c hostile.c load.c machine.c model.c toolstack.c) \
		$(wildcard tests/xen-sim/*.h)
	@mkdir -p $(@D)
	$(CC) $(XEN_SIM_CFLAGS) -o $@ $(filter %.c,$^) -lxenstore

$(XEN_SIM_OUT)/selftest-backend: tests/xen-sim/selftest-backend.c
	@mkdir -p $(@D)
	$(CC) $(XEN_SIM_CFLAGS) -o $@ $< -lxenstore -lxengnttab -lxenevtchn
