# SPDX-License-Identifier: Apache-2.0
#
# Builds the fuzzers, with clang, in ../fuzz of a tree that is built:
#
#     make -C BUILD/tree -f tests/fuzz/fuzz.mk fuzzers
#
# What is fuzzed, and what it calls with its data, is compiled for it; the rest
# comes from the tree's library.

include Makefile

FUZZ_CC = clang
FUZZ_DIR = ../fuzz
FUZZ_TARGETS = config header peer-links switch-link switch-rx

# Without warnings, which are gcc's business, and the driver's part of LIBS.
FUZZ_SANITIZERS = \
	-g -O1 -fno-omit-frame-pointer -msse4.2 \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
FUZZ_FLAGS = $(FUZZ_SANITIZERS) \
	$(DEFS) $(DEFAULT_INCLUDES) $(INCLUDES) $(AM_CPPFLAGS) \
	$(filter-out -W%,$(AM_CFLAGS)) -I tests

FUZZ_SOURCES = \
	$(filter %.c,$(DPDKR_SWITCH_SOURCES)) \
	lib/crc32c.c \
	lib/csum.c \
	lib/dp-packet.c \
	lib/packets.c \
	lib/smap.c
# What the library is to be linked with, libtool has noted.
FUZZ_LIBS = $(filter-out %.la,$(shell . lib/libopenvswitch.la \
	&& echo $$dependency_libs)) $(LIBS) -lpthread

FUZZ_OBJECTS = $(FUZZ_SOURCES:%.c=$(FUZZ_DIR)/obj/%.o)

# The far end of ports, and a fake switch for it, have nothing of Open vSwitch.
FUZZ_PEER_FLAGS = $(FUZZ_SANITIZERS) $(NFV_PEER_CPPFLAGS) -I tests
FUZZ_PEER_SOURCES = \
	drivers/libdpdkr/libdpdkr.c \
	drivers/libdpdkr/link-queue.c \
	drivers/libdpdkr/links.c \
	drivers/libdpdkr/memory.c \
	drivers/libdpdkr/peer.c \
	tests/dpdkr-fake-link.c \
	tests/dpdkr-fake.c \
	tests/fuzz/fuzz-peer-links.c
FUZZ_PEER_OBJECTS = $(FUZZ_PEER_SOURCES:%.c=$(FUZZ_DIR)/obj/peer/%.o)

# Its clock is the fuzzer's.
$(FUZZ_DIR)/fuzz-switch-link: FUZZ_LDFLAGS = -Wl,--wrap=time_msec

fuzzers: $(FUZZ_TARGETS:%=$(FUZZ_DIR)/fuzz-%)
.PHONY: fuzzers

$(FUZZ_DIR)/obj/%.o: %.c tests/fuzz/fuzz.mk
	@mkdir -p $(@D)
	@echo "  CLANG    $<"
	@$(FUZZ_CC) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_DIR)/obj/peer/%.o: %.c tests/fuzz/fuzz.mk
	@mkdir -p $(@D)
	@echo "  CLANG    $<"
	@$(FUZZ_CC) $(FUZZ_PEER_FLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_DIR)/fuzz-peer-links: $(FUZZ_PEER_OBJECTS)
	@echo "  CLANGLD  $@"
	@$(FUZZ_CC) $(FUZZ_PEER_FLAGS) -o $@ $^ -lpthread

.SECONDARY: $(FUZZ_OBJECTS) $(FUZZ_PEER_OBJECTS) \
	$(FUZZ_TARGETS:%=$(FUZZ_DIR)/obj/tests/fuzz/fuzz-%.o)

$(FUZZ_DIR)/fuzz-%: $(FUZZ_DIR)/obj/tests/fuzz/fuzz-%.o $(FUZZ_OBJECTS) \
		lib/libopenvswitch.la
	@echo "  CLANGLD  $@"
	@$(FUZZ_CC) $(FUZZ_FLAGS) $(FUZZ_LDFLAGS) -o $@ $(filter %.o,$^) \
	    $(or $(wildcard lib/.libs/libopenvswitch.a),-Llib/.libs -lopenvswitch) \
	    $(wildcard lib/.libs/libopenvswitchavx512.a) $(FUZZ_LIBS)

-include $(wildcard $(patsubst %,$(FUZZ_DIR)/obj/%.d,*/* */*/* */*/*/*))
