# SPDX-License-Identifier: Apache-2.0

# The switch's side of dpdkr ports.  A constructor registers it, so it has to
# be named on the link line of each program that is to know such ports: from
# libopenvswitch.a the linker takes only what somebody refers to.
DPDKR_SWITCH_SOURCES = \
	lib/dpdkr-guard.c \
	lib/dpdkr-guard.h \
	lib/dpdkr-mem.c \
	lib/dpdkr-mem.h
