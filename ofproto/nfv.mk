# SPDX-License-Identifier: Apache-2.0

# Our ofproto class, and what it adds to bridges.  A constructor registers it,
# so it stands on the link line, as DPDKR_SWITCH_SOURCES does.
NFV_OFPROTO_SOURCES = \
	ofproto/ofproto-nfv.c \
	ofproto/p2p-counters.c \
	ofproto/p2p-detector.c \
	ofproto/p2p-detector.h \
	ofproto/p2p-index.c \
	ofproto/p2p-index.h \
	ofproto/p2p-mirror.c \
	ofproto/p2p-private.h \
	ofproto/p2p-probe.c \
	ofproto/p2p-probe.h \
	ofproto/p2p-show.c \
	ofproto/p2p-veto.c \
	ofproto/p2p-veto.h \
	ofproto/p2p.c \
	ofproto/p2p.h

vswitchd_ovs_vswitchd_SOURCES += $(NFV_OFPROTO_SOURCES)
