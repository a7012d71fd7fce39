# SPDX-License-Identifier: GPL-2.0-or-later
# What requests cost: counts that do not depend on time, and measurements that do. Included by the top Makefile.
BENCH_OUT := $(B)/tests/bench

.PHONY: bench bench-scale check-guards bench-programs
bench-programs: $(PROGRAMS) xen-sim $(addprefix $(BENCH_OUT)/,enter.so no-delay.so floor)

$(BENCH_OUT)/%.so: tests/bench/%.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(XEN_SIM_CFLAGS) -o $@ $< -fPIC -shared -luring -ldl

$(BENCH_OUT)/floor: tests/bench/floor.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(XEN_SIM_CFLAGS) -o $@ $< -luring

bench:
	$(Q)./dependencies bench
	$(Q)$(MAKE) bench-programs
	$(Q)tests/bench/bench

bench-scale:
	$(Q)./dependencies bench
	$(Q)$(MAKE) bench-programs
	$(Q)tests/bench/scale

check-guards:
	$(Q)./dependencies guards
	$(Q)$(MAKE) bench-programs
	$(Q)tests/bench/guards
