# SPDX-License-Identifier: Apache-2.0
#
# A part of the Makefile that automake must not read: it would take these
# lines for rules of ours that replace its own.
#
# The base's configure puts each library that anything needs into LIBS, and
# automake puts LIBS on every link line.  These are linked with what they
# name themselves and nothing else.

drivers/libdpdkr/libpeer.la: LIBS =
drivers/libdpdkr/libdpdkr.la: LIBS =
drivers/net_dpdkr/librte_net_dpdkr.la: LIBS =
tests/test-libdpdkr: LIBS =
tests/test-libdpdkr-links: LIBS =
tests/test-libdpdkr-links-stress: LIBS =
tests/dpdkr-fake-switch: LIBS =
tests/dpdkr-traffic: LIBS =
tests/ethdev-latency: LIBS =
