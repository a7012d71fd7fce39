# SPDX-License-Identifier: GPL-2.0-or-later
#
# drbdx: one Makefile for everything; what it makes goes to build/.
#
#   make                 the programs
#   make check           unit tests, simulator, and the tests on the Xen stand-ins; check-unit, check-sim, check-xen-sim, check-model, check-fuzz,
#                        check-guards, check-scripts: one of them
#   make bench           how fast it is; bench-scale: what grows with size and number
#   make install         DESTDIR=, PREFIX=/usr
#   make deb             Debian packages, in build/deb/
#   make fuzz            fuzz targets (clang), in build/fuzz/
#   SAN=address,undefined   sanitizers, in build-san/ ;  CC=clang-14 ;  V=1 shows the commands

PREFIX ?= /usr
DESTDIR ?=
CC ?= gcc
SAN ?=
B ?= build$(if $(SAN),-san)
VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog 2>/dev/null)

PACKAGES := xenstore xengnttab xenevtchn xentoollog libcrypto liburing jansson libisal libbsd blkid
CTL_PACKAGES := smartcols
CPPFLAGS += -D_GNU_SOURCE= -I. -I$(B) -DDRBDX_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(PACKAGES) $(CTL_PACKAGES))
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Werror -Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes -Wvla
# Programs are optimized as a whole, for a request passes through a dozen files; the tests are linked without, which takes a tenth of the time.
LTO := $(if $(SAN)$(findstring clang,$(CC)),,-flto=auto)
NO_LTO := $(if $(LTO),-fno-lto)
ALL_CFLAGS := -std=gnu11 $(WARNINGS) -fno-strict-aliasing -fstack-protector-strong $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) $(CFLAGS)
LTO_CFLAGS := $(if $(LTO),$(LTO) -ffat-lto-objects)
ALL_LDFLAGS := $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
LIBS := -lpthread $(shell pkg-config --libs $(PACKAGES))

Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)")

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all check check-unit check-sim check-xen-sim check-fuzz check-model check-scripts sim fuzz install deb clean
all:

# ---- objects ----

GENERATED := $(B)/config/drbd.lex.c $(B)/config/drbd.tab.c
DAEMON_SRC := $(wildcard backend/*.c xenstore/*.c config/*.c)
DAEMON_OBJ := $(DAEMON_SRC:%.c=$(B)/%.o) $(GENERATED:.c=.o)
LIBRARY_OBJ := $(filter-out $(B)/backend/main.o,$(DAEMON_OBJ))
LIBRARY := $(B)/libdrbdx.a

$(B)/%.o: %.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(if $(filter $(B)/tests/%,$@),,$(LTO_CFLAGS)) -MMD -MP -c -o $@ $<

$(B)/config/%.o: $(B)/config/%.c
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LTO_CFLAGS) -Wno-unused-function -Wno-missing-prototypes -Wno-sign-compare -MMD -MP -c -o $@ $<

$(B)/config/drbd.tab.c: config/drbd.y
	$(call say,BISON,$@)
	@mkdir -p $(@D)
	$(Q)bison -Wall -Werror -d -o $@ $<

$(B)/config/drbd.lex.c: config/drbd.l
	$(call say,FLEX,$@)
	@mkdir -p $(@D)
	$(Q)flex -o $@ $<

$(B)/config/drbd.tab.h: $(B)/config/drbd.tab.c
$(DAEMON_OBJ): | $(B)/config/drbd.tab.h $(B)/config/drbd.lex.c

# P: members are stored by path, for backend/ and config/ have files of the same name.
$(LIBRARY): $(LIBRARY_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsP $@ $^

# ---- programs ----

PROGRAMS := $(B)/drbdxd $(B)/backend-ctl $(B)/block-drbdx $(B)/libdrbdx-xl.so
all: $(PROGRAMS)

$(B)/drbdxd: $(B)/backend/main.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LTO) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

CTL_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard ctl/*.c))
$(B)/backend-ctl: $(CTL_OBJ) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LTO) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) $(shell pkg-config --libs $(CTL_PACKAGES))

$(B)/block-drbdx: $(B)/hotplug/block-drbdx.o $(B)/ctl/call.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(LTO) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs xenstore jansson)

$(B)/libdrbdx-xl.so: hotplug/xl-shim.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -MF $@.d -fPIC -shared $(LDFLAGS) -o $@ $< -ldl

# ---- tests ----

UNIT_TESTS := $(patsubst %.test.c,$(B)/%.test,$(wildcard tests/unit/*.test.c tests/property/*.test.c))
$(B)/tests/%.test: $(B)/tests/%.test.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(NO_LTO) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) $(shell pkg-config --libs cmocka) -ldl

check: check-unit check-sim check-xen-sim

check-unit: $(UNIT_TESTS) $(PROGRAMS)
	$(Q)tests/run-unit $(UNIT_TESTS)

# The simulator links the core, and what it is made of, and nothing else: so no I/O can slip in.
SIM_CORE := $(patsubst %,$(B)/backend/%.o,replicate request discard remote peer marks alone detach fence hang command resize resync pace handshake settle handover admission \
	leave reserve hot overlap csum handler address generation actlog bitmap metadata layout crc32c wire attachment log)
SIM_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/sim/*.c))
$(B)/tests/sim/sim: $(SIM_OBJ) $(SIM_CORE)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LTO) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

-include $(wildcard tests/sim/*.mk tests/xen-sim/*.mk tests/bench/*.mk)

# The seeds that failed once, every planted bug found, everything seen; with SEED also SIM_SECONDS of schedules from that seed on.
SIM_SECONDS ?= 40
check-sim: $(B)/tests/sim/sim
	$(Q)SIM=$(B)/tests/sim/sim tests/sim/check $(SIM_SECONDS)

# SECONDS of schedules on all cores, from seed SEED on.
sim: $(B)/tests/sim/sim
	$(Q)$(B)/tests/sim/sim --seed $(or $(SEED),1) --seconds $(or $(SECONDS),60) --jobs $(shell nproc) --coverage

check-xen-sim: $(PROGRAMS) xen-sim
	$(Q)tests/xen-sim/run

FUZZ := $(patsubst tests/fuzz/%.c,build-fuzz/fuzz/%,$(wildcard tests/fuzz/*.c))
fuzz:
	$(Q)$(MAKE) --no-print-directory B=build-fuzz CC=clang-14 CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined" $(FUZZ)

build-fuzz/fuzz/%: build-fuzz/tests/fuzz/%.o build-fuzz/libdrbdx.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

# Each target over its corpus and a few thousand fresh inputs: enough to see that it builds and holds.
check-fuzz: fuzz
	$(Q)for f in $(FUZZ); do echo "  FUZZ	$$f"; \
		mkdir -p $$f.corpus; $$f -runs=20000 -max_total_time=10 $$f.corpus $$(ls -d tests/fuzz/corpus/$$(basename $$f) 2>/dev/null) >$$f.log 2>&1 || { tail -n 30 $$f.log; exit 1; }; done

# Every state of the hand-over's model, and every rule that it can leave out.
check-model:
	$(Q)B=$(B) tests/model/check

SCRIPTS := $(shell git ls-files 2>/dev/null | xargs -r grep -lE '^\#!/bin/(ba)?sh' 2>/dev/null)
check-scripts:
	$(Q)shellcheck -x $(SCRIPTS)
	$(Q)tests/check-table
	$(Q)tests/check-negations

# ---- installation ----

-include hotplug/install.mk

deb:
	$(call say,DEB,$(B)/deb)
	$(Q)debian/build-packages $(CURDIR)/$(B)/deb

clean:
	rm -rf build build-san build-clang build-fuzz

-include $(filter-out $(B)/tests/xen-sim/tools/%,$(wildcard $(B)/*.d $(B)/*/*.d $(B)/*/*/*.d))
