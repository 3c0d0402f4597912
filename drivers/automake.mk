# SPDX-License-Identifier: Apache-2.0

# What is loaded or linked into other people's programs: the client library
# and the DPDK driver.
#
# None of it may depend on Open vSwitch's libraries, headers or wrappers of
# system headers, so every target here sets all of its flags itself.  (The
# base's LIBS name all of DPDK: drivers/no-libs.mk keeps them off.)

NFV_PEER_CPPFLAGS = -I $(top_srcdir)/include

# The other side of a dpdkr port, in both.
noinst_LTLIBRARIES += drivers/libdpdkr/libpeer.la
drivers_libdpdkr_libpeer_la_SOURCES = \
	drivers/libdpdkr/link-queue.c \
	drivers/libdpdkr/links.c \
	drivers/libdpdkr/links.h \
	drivers/libdpdkr/memory.c \
	drivers/libdpdkr/memory.h \
	drivers/libdpdkr/peer.c \
	drivers/libdpdkr/peer.h
drivers_libdpdkr_libpeer_la_CPPFLAGS = $(NFV_PEER_CPPFLAGS)
drivers_libdpdkr_libpeer_la_CFLAGS = $(NFV_CFLAGS)
drivers_libdpdkr_libpeer_la_LIBTOOLFLAGS =

# The client library.  Its version is current:revision:age, see libtool's
# manual; libdpdkr.sym lists what programs may use.
lib_LTLIBRARIES += drivers/libdpdkr/libdpdkr.la
drivers_libdpdkr_libdpdkr_la_SOURCES = \
	drivers/libdpdkr/libdpdkr.c
drivers_libdpdkr_libdpdkr_la_CPPFLAGS = $(NFV_PEER_CPPFLAGS)
drivers_libdpdkr_libdpdkr_la_CFLAGS = $(NFV_CFLAGS)
drivers_libdpdkr_libdpdkr_la_LIBTOOLFLAGS =
drivers_libdpdkr_libdpdkr_la_LIBADD = drivers/libdpdkr/libpeer.la
drivers_libdpdkr_libdpdkr_la_LDFLAGS = \
	-version-info 0:0:0 \
	-no-undefined -Wl,-z,defs \
	-Wl,--version-script=$(top_srcdir)/drivers/libdpdkr/libdpdkr.sym
drivers_libdpdkr_libdpdkr_la_DEPENDENCIES = \
	drivers/libdpdkr/libpeer.la \
	drivers/libdpdkr/libdpdkr.sym
pkgconfig_DATA += drivers/libdpdkr/libdpdkr.pc
EXTRA_DIST += \
	drivers/libdpdkr/libdpdkr.sym \
	drivers/libdpdkr/libdpdkr.pc.in

dist_man_MANS += drivers/libdpdkr/dpdkr.3

# The DPDK driver, which EAL loads ("-d").  RTE_PMD_EXPORT_NAME and the like
# are for dpdk-pmdinfo only, so there is nothing for anybody to link with.
if HAVE_DPDK_DRIVER
pmddir = $(libdir)/dpdkr
pmd_LTLIBRARIES = drivers/net_dpdkr/librte_net_dpdkr.la
drivers_net_dpdkr_librte_net_dpdkr_la_SOURCES = \
	drivers/net_dpdkr/ethdev.c \
	drivers/net_dpdkr/ivshmem.c \
	drivers/net_dpdkr/net_dpdkr.h \
	drivers/net_dpdkr/probe.c \
	drivers/net_dpdkr/rxtx.c \
	drivers/net_dpdkr/stats.c
drivers_net_dpdkr_librte_net_dpdkr_la_CPPFLAGS = \
	$(NFV_PEER_CPPFLAGS) \
	$(DPDK_DRIVER_CFLAGS)
drivers_net_dpdkr_librte_net_dpdkr_la_CFLAGS = $(NFV_CFLAGS)
drivers_net_dpdkr_librte_net_dpdkr_la_LIBTOOLFLAGS =
drivers_net_dpdkr_librte_net_dpdkr_la_LIBADD = \
	drivers/libdpdkr/libpeer.la \
	$(DPDK_DRIVER_LIBS)
drivers_net_dpdkr_librte_net_dpdkr_la_LDFLAGS = \
	-module -avoid-version -shared \
	-no-undefined -Wl,-z,defs \
	-Wl,--version-script=$(top_srcdir)/drivers/net_dpdkr/net_dpdkr.sym
drivers_net_dpdkr_librte_net_dpdkr_la_DEPENDENCIES = \
	drivers/libdpdkr/libpeer.la \
	drivers/net_dpdkr/net_dpdkr.sym
endif
EXTRA_DIST += drivers/net_dpdkr/net_dpdkr.sym

EXTRA_DIST += drivers/no-libs.mk
-include $(srcdir)/drivers/no-libs.mk
