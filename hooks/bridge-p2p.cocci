// SPDX-License-Identifier: Apache-2.0
//
// The p-2-p link detector is switched off and on by other_config:p2p of
// bridges and ports, which the ofproto layer does not get to see.
//
// file: vswitchd/bridge.c
// matches: 2

@@
@@
 #include "bridge.h"
+#include "ofproto/p2p.h"

@@
expression br;
@@
 bridge_configure_aa(br);
+p2p_configure(br->ofproto, br->cfg);
