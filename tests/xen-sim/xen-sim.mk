# SPDX-License-Identifier: GPL-2.0-or-later
# Xen without a hypervisor: included by the top Makefile. Built without sanitizers: they stand in for the system.
XEN_SIM_OUT := $(B)/tests/xen-sim
XEN_SIM_CFLAGS := -std=gnu11 -O2 -g $(WARNINGS) -pthread
XEN_SIM_PROGRAMS := $(addprefix $(XEN_SIM_OUT)/,libxen-standin.so blkfront-sim cable hanging-disk roundtrip selftest-backend drbdxd-next drbdxd-beyond drbdxd-previous drbdxd-former)
BLKFRONT_SIM_SRC := $(addprefix tests/xen-sim/,blkfront-sim.c frontend.c hostile.c load.c machine.c model.c \
	move.c toolstack.c)
XEN_SIM_HEADERS := $(wildcard tests/xen-sim/*.h)

.PHONY: xen-sim
xen-sim: $(XEN_SIM_PROGRAMS)

define xen_sim_link
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(XEN_SIM_CFLAGS) -o $@ $(filter %.c,$^)
endef

$(XEN_SIM_OUT)/libxen-standin.so: $(addprefix tests/xen-sim/,standin.c faults.c death.c machine.c) $(XEN_SIM_HEADERS)
	$(xen_sim_link) -fPIC -shared -ldl

$(XEN_SIM_OUT)/cable: tests/xen-sim/cable.c
	$(xen_sim_link)

$(XEN_SIM_OUT)/hanging-disk: tests/xen-sim/hanging-disk.c
	$(xen_sim_link)

$(XEN_SIM_OUT)/blkfront-sim: $(BLKFRONT_SIM_SRC) $(XEN_SIM_HEADERS)
	$(xen_sim_link) -lxenstore

$(XEN_SIM_OUT)/roundtrip: $(addprefix tests/xen-sim/,roundtrip.c machine.c) $(XEN_SIM_HEADERS)
	$(xen_sim_link) -lxengnttab -lxenevtchn

# Two daemons of the future: one that also speaks a version of the protocol that is not known today, and one that speaks nothing
# else; and two of the past, that do not know the last one, and the last two. What knows versions is compiled anew, and takes the place of the library's.
OTHER_DRBDXD_SRC := $(addprefix backend/,main.c wire.c transport.c control.c control_status.c)
define other_drbdxd
$$(XEN_SIM_OUT)/drbdxd-$(1): $$(OTHER_DRBDXD_SRC) backend/wire.h $$(LIBRARY)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CPPFLAGS) -UDRBDX_VERSION -DDRBDX_VERSION='"$(1)"' -DWIRE_VERSION_MIN=$(2)u -DWIRE_VERSION_MAX=$(3)u \
		$$(ALL_CFLAGS) $$(NO_LTO) $$(ALL_LDFLAGS) -o $$@ $$(OTHER_DRBDXD_SRC) $$(LIBRARY) $$(LIBS)
endef
$(eval $(call other_drbdxd,next,5,9))
$(eval $(call other_drbdxd,beyond,9,9))
$(eval $(call other_drbdxd,previous,5,7))
$(eval $(call other_drbdxd,former,5,6))

$(XEN_SIM_OUT)/selftest-backend: tests/xen-sim/selftest-backend.c
	$(xen_sim_link) -lxenstore -lxengnttab -lxenevtchn
