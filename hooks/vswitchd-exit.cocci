// SPDX-License-Identifier: Apache-2.0
//
// A dpdkr port that is deleted takes its memory with it.  One whose switch
// exits, to be started again, leaves it to its successor, so that the peer
// carries on.  The netdev layer destroys the device alike in both cases and
// cannot tell them apart; only main() knows what is about to happen.
//
// file: vswitchd/ovs-vswitchd.c
// matches: 2

@@
@@
 #include "bridge.h"
+#include "netdev-dpdkr.h"

@@
expression cleanup;
@@
+    netdev_dpdkr_exit(cleanup);
     bridge_exit(cleanup);
