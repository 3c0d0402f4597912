# SPDX-License-Identifier: Apache-2.0

dpdkrincludedir = $(includedir)/dpdkr
dpdkrinclude_HEADERS = \
	include/dpdkr/abi.h \
	include/dpdkr/dpdkr.h \
	include/dpdkr/link.h \
	include/dpdkr/ring.h
