# SPDX-License-Identifier: Apache-2.0

# Our part of the tree's Makefile, which hooks/makefile.edit includes.
#
# Where the base has an automake.mk in a directory, ours is called nfv.mk; a
# directory of our own has an automake.mk.

# "make dist" takes all of our files along without being told of each, since
# the assembly lists them in nfv-files.mk.

include nfv-files.mk
include include/dpdkr/automake.mk
include lib/nfv.mk
include ofproto/nfv.mk
include vswitchd/nfv.mk
include drivers/automake.mk
include utilities/nfv.mk
include tests/nfv.mk
include Documentation/nfv.mk
