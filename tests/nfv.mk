# SPDX-License-Identifier: Apache-2.0

# What tests/run runs as unit tests.
NFV_UNIT_TESTS = \
	tests/test-dpdkr-mem \
	tests/test-dpdkr-ring

noinst_PROGRAMS += $(NFV_UNIT_TESTS)

NFV_TEST_H = \
	tests/dpdkr-peer.h \
	tests/nfv-test.h

tests_test_dpdkr_mem_SOURCES = \
	$(DPDKR_SWITCH_SOURCES) \
	$(NFV_TEST_H) \
	tests/test-dpdkr-mem.c
tests_test_dpdkr_mem_LDADD = lib/libopenvswitch.la

tests_test_dpdkr_ring_SOURCES = \
	$(NFV_TEST_H) \
	tests/test-dpdkr-ring.c
