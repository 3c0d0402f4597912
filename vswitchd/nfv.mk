# SPDX-License-Identifier: Apache-2.0

vswitchd_ovs_vswitchd_SOURCES += $(DPDKR_SWITCH_SOURCES)

# Parts of vswitch.xml, put there by hooks/vswitch-xml-*.edit.
EXTRA_DIST += \
	vswitchd/dpdkr-options.xml \
	vswitchd/dpdkr.xml
