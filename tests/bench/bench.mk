# SPDX-License-Identifier: GPL-2.0-or-later
# What requests cost: counts that do not depend on time, and measurements that do. Included by the top Makefile.
BENCH_OUT := $(B)/tests/bench

.PHONY: check-guards bench-programs
bench-programs: $(PROGRAMS) xen-sim $(addprefix $(BENCH_OUT)/,enter.so)

$(BENCH_OUT)/enter.so: tests/bench/enter.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(XEN_SIM_CFLAGS) -o $@ $< -fPIC -shared -luring

check-guards: bench-programs
	$(Q)tests/bench/guards
