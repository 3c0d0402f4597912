# SPDX-License-Identifier: Apache-2.0

# What tests/run runs as unit tests.
NFV_UNIT_TESTS = \
	tests/test-dpdkr-config \
	tests/test-dpdkr-cut-off \
	tests/test-dpdkr-guard \
	tests/test-dpdkr-link \
	tests/test-dpdkr-link-hostile \
	tests/test-dpdkr-mem \
	tests/test-dpdkr-packet \
	tests/test-dpdkr-port \
	tests/test-dpdkr-restart \
	tests/test-dpdkr-ring \
	tests/test-dpdkr-watch

noinst_PROGRAMS += $(NFV_UNIT_TESTS)

NFV_TEST_H = \
	tests/dpdkr-bench.h \
	tests/dpdkr-dir.h \
	tests/dpdkr-peer.h \
	tests/nfv-test.h

NFV_SWITCH_TEST_SOURCES = \
	$(DPDKR_SWITCH_SOURCES) \
	$(NFV_TEST_H)

tests_test_dpdkr_config_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	tests/test-dpdkr-config.c
tests_test_dpdkr_config_LDADD = lib/libopenvswitch.la

tests_test_dpdkr_cut_off_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	tests/test-dpdkr-cut-off.c
tests_test_dpdkr_cut_off_LDADD = lib/libopenvswitch.la

tests_test_dpdkr_guard_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	tests/test-dpdkr-guard.c
tests_test_dpdkr_guard_LDADD = lib/libopenvswitch.la

# The clock is theirs.
NFV_LINK_LAB = \
	tests/dpdkr-link-lab.h \
	tests/dpdkr-link-peer.h

tests_test_dpdkr_link_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	$(NFV_LINK_LAB) \
	tests/test-dpdkr-link.c
tests_test_dpdkr_link_LDADD = lib/libopenvswitch.la
tests_test_dpdkr_link_LDFLAGS = -Wl,--wrap=time_usec

tests_test_dpdkr_link_hostile_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	$(NFV_LINK_LAB) \
	tests/test-dpdkr-link-hostile.c
tests_test_dpdkr_link_hostile_LDADD = lib/libopenvswitch.la
tests_test_dpdkr_link_hostile_LDFLAGS = -Wl,--wrap=time_usec

tests_test_dpdkr_mem_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	tests/test-dpdkr-mem.c
tests_test_dpdkr_mem_LDADD = lib/libopenvswitch.la

# Its clock is the test's.
tests_test_dpdkr_packet_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	tests/test-dpdkr-packet.c
tests_test_dpdkr_packet_LDADD = lib/libopenvswitch.la
tests_test_dpdkr_packet_LDFLAGS = -Wl,--wrap=time_usec

tests_test_dpdkr_port_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	tests/test-dpdkr-port.c
tests_test_dpdkr_port_LDADD = lib/libopenvswitch.la

tests_test_dpdkr_restart_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	tests/test-dpdkr-restart.c
tests_test_dpdkr_restart_LDADD = lib/libopenvswitch.la

tests_test_dpdkr_ring_SOURCES = \
	$(NFV_TEST_H) \
	tests/test-dpdkr-ring.c

tests_test_dpdkr_watch_SOURCES = \
	$(NFV_SWITCH_TEST_SOURCES) \
	tests/test-dpdkr-watch.c
tests_test_dpdkr_watch_LDADD = lib/libopenvswitch.la

# The far end of dpdkr ports: its tests, a fake switch for them, and a source
# and sink of traffic.  They have nothing of Open vSwitch in them.
NFV_UNIT_TESTS += tests/test-libdpdkr
noinst_PROGRAMS += \
	tests/dpdkr-fake-switch \
	tests/dpdkr-traffic

NFV_DPDKR_FAKE = \
	tests/dpdkr-fake.c \
	tests/dpdkr-fake.h

tests_test_libdpdkr_SOURCES = \
	$(NFV_DPDKR_FAKE) \
	tests/test-libdpdkr-stress.c \
	tests/test-libdpdkr.c \
	tests/test-libdpdkr.h
tests_test_libdpdkr_CPPFLAGS = $(NFV_PEER_CPPFLAGS)
tests_test_libdpdkr_CFLAGS = $(NFV_CFLAGS)
tests_test_libdpdkr_LDFLAGS = -static
tests_test_libdpdkr_LDADD = drivers/libdpdkr/libdpdkr.la

# Its direct links.
NFV_UNIT_TESTS += \
	tests/test-libdpdkr-links \
	tests/test-libdpdkr-links-stress

NFV_DPDKR_PAIR = \
	$(NFV_DPDKR_FAKE) \
	tests/dpdkr-fake-link.c \
	tests/dpdkr-fake-link.h \
	tests/dpdkr-pair.c \
	tests/dpdkr-pair.h \
	tests/nfv-test.h

tests_test_libdpdkr_links_SOURCES = \
	$(NFV_DPDKR_PAIR) \
	tests/test-libdpdkr-links.c
tests_test_libdpdkr_links_CPPFLAGS = $(NFV_PEER_CPPFLAGS)
tests_test_libdpdkr_links_CFLAGS = $(NFV_CFLAGS)
tests_test_libdpdkr_links_LDFLAGS = -static
tests_test_libdpdkr_links_LDADD = drivers/libdpdkr/libdpdkr.la

tests_test_libdpdkr_links_stress_SOURCES = \
	$(NFV_DPDKR_PAIR) \
	tests/test-libdpdkr-links-stress.c
tests_test_libdpdkr_links_stress_CPPFLAGS = $(NFV_PEER_CPPFLAGS)
tests_test_libdpdkr_links_stress_CFLAGS = $(NFV_CFLAGS)
tests_test_libdpdkr_links_stress_LDFLAGS = -static
tests_test_libdpdkr_links_stress_LDADD = drivers/libdpdkr/libdpdkr.la

tests_dpdkr_fake_switch_SOURCES = \
	$(NFV_DPDKR_FAKE) \
	tests/dpdkr-fake-switch.c
tests_dpdkr_fake_switch_CPPFLAGS = $(NFV_PEER_CPPFLAGS)
tests_dpdkr_fake_switch_CFLAGS = $(NFV_CFLAGS)
tests_dpdkr_fake_switch_LDADD =

noinst_PROGRAMS += tests/dpdkr-establish
tests_dpdkr_establish_SOURCES = tests/dpdkr-establish.c
tests_dpdkr_establish_CPPFLAGS = $(NFV_PEER_CPPFLAGS)
tests_dpdkr_establish_CFLAGS = $(NFV_CFLAGS)
tests_dpdkr_establish_LDFLAGS = -static
tests_dpdkr_establish_LDADD = drivers/libdpdkr/libdpdkr.la

tests_dpdkr_traffic_SOURCES = \
	tests/dpdkr-traffic-flow.c \
	tests/dpdkr-traffic-hostile.c \
	tests/dpdkr-traffic.c \
	tests/dpdkr-traffic.h
tests_dpdkr_traffic_CPPFLAGS = $(NFV_PEER_CPPFLAGS)
tests_dpdkr_traffic_CFLAGS = $(NFV_CFLAGS)
tests_dpdkr_traffic_LDFLAGS = -static
tests_dpdkr_traffic_LDADD = drivers/libdpdkr/libdpdkr.la

# Both ends of a chain, on any DPDK devices.
if HAVE_DPDK_DRIVER
noinst_PROGRAMS += tests/ethdev-latency
tests_ethdev_latency_SOURCES = tests/ethdev-latency.c
tests_ethdev_latency_CPPFLAGS = $(DPDK_DRIVER_CFLAGS)
tests_ethdev_latency_CFLAGS = $(NFV_CFLAGS)
tests_ethdev_latency_LDADD = $(DPDK_DRIVER_LIBS)
endif

# Loads the random flow tables of tests/system/p2p_oracle.py.
noinst_PROGRAMS += tests/p2p-load
tests_p2p_load_SOURCES = tests/p2p-load.c
tests_p2p_load_LDADD = lib/libopenvswitch.la
