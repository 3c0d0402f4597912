# SPDX-License-Identifier: Apache-2.0

vswitchd_ovs_vswitchd_SOURCES += $(DPDKR_SWITCH_SOURCES)

