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
FUZZ_TARGETS = config header switch-rx

# Without warnings, which are gcc's business, and the driver's part of LIBS.
FUZZ_FLAGS = \
	-g -O1 -fno-omit-frame-pointer -msse4.2 \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
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

fuzzers: $(FUZZ_TARGETS:%=$(FUZZ_DIR)/fuzz-%)
.PHONY: fuzzers

$(FUZZ_DIR)/obj/%.o: %.c tests/fuzz/fuzz.mk
	@mkdir -p $(@D)
	@echo "  CLANG    $<"
	@$(FUZZ_CC) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

.SECONDARY: $(FUZZ_OBJECTS) \
	$(FUZZ_TARGETS:%=$(FUZZ_DIR)/obj/tests/fuzz/fuzz-%.o)

$(FUZZ_DIR)/fuzz-%: $(FUZZ_DIR)/obj/tests/fuzz/fuzz-%.o $(FUZZ_OBJECTS) \
		lib/libopenvswitch.la
	@echo "  CLANGLD  $@"
	@$(FUZZ_CC) $(FUZZ_FLAGS) -o $@ $(filter %.o,$^) \
	    $(or $(wildcard lib/.libs/libopenvswitch.a),-Llib/.libs -lopenvswitch) \
	    $(wildcard lib/.libs/libopenvswitchavx512.a) $(FUZZ_LIBS)

-include $(wildcard $(FUZZ_DIR)/obj/*/*.d $(FUZZ_DIR)/obj/*/*/*.d)
