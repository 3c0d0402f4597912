// SPDX-License-Identifier: Apache-2.0
//
// Our ofproto class (ofproto/ofproto-nfv.c) is the base's with some members
// replaced, so its bridges are of the base's kind, which is told by how they
// are allocated.
//
// file: ofproto/ofproto-dpif.c
// matches: 1

@@
expression ofproto;
@@
-    ovs_assert(ofproto->ofproto_class == &ofproto_dpif_class);
+    ovs_assert(ofproto->ofproto_class->alloc == ofproto_dpif_class.alloc);
