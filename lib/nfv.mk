# SPDX-License-Identifier: Apache-2.0

# The switch's side of dpdkr ports.  A constructor registers it, so it has to
# be named on the link line of each program that is to know such ports: from
# libopenvswitch.a the linker takes only what somebody refers to.
DPDKR_SWITCH_SOURCES = \
	lib/dpdkr-config.c \
	lib/dpdkr-config.h \
	lib/dpdkr-gate.c \
	lib/dpdkr-gate.h \
	lib/dpdkr-guard.c \
	lib/dpdkr-guard.h \
	lib/dpdkr-limits.c \
	lib/dpdkr-limits.h \
	lib/dpdkr-link-adopt.c \
	lib/dpdkr-link-dir.c \
	lib/dpdkr-link-end.c \
	lib/dpdkr-link-mem.c \
	lib/dpdkr-link-private.h \
	lib/dpdkr-link.c \
	lib/dpdkr-link.h \
	lib/dpdkr-mem.c \
	lib/dpdkr-mem.h \
	lib/dpdkr-offload.c \
	lib/dpdkr-offload.h \
	lib/dpdkr-packet.c \
	lib/dpdkr-packet.h \
	lib/dpdkr-police.c \
	lib/dpdkr-police.h \
	lib/dpdkr-port.c \
	lib/dpdkr-port.h \
	lib/dpdkr-report.c \
	lib/dpdkr-report.h \
	lib/dpdkr-watch.c \
	lib/dpdkr-watch.h \
	lib/netdev-dpdkr.c \
	lib/netdev-dpdkr.h
