# SPDX-License-Identifier: Apache-2.0

# Our part of the tree's Makefile, which hooks/makefile.edit includes.
#
# Where the base has an automake.mk in a directory, ours is called nfv.mk; a
# directory of our own has an automake.mk.

EXTRA_DIST += nfv.mk m4/ovs-nfv.m4

include third-party/dpdk-driver/automake.mk
include include/dpdkr/automake.mk
include lib/nfv.mk
include vswitchd/nfv.mk
include drivers/automake.mk
include utilities/nfv.mk
include tests/nfv.mk
include Documentation/nfv.mk
