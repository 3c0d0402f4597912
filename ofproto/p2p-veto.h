/* SPDX-License-Identifier: Apache-2.0 */

#ifndef P2P_VETO_H
#define P2P_VETO_H 1

/* Who, besides the flow tables, has a say in what happens to packets
 * ==================================================================
 *
 * What follows is in force for a whole bridge, or for a port that packets come
 * in by (its source side) or go out by (its sink side).  Each function returns
 * the first reason that it finds not to let packets go past the switch, or
 * P2P_YES.
 *
 * The functions look at the present state and remember nothing.  They are for
 * the main thread. */

#include <stdbool.h>

#include "p2p-detector.h"

struct ofport;
struct ofproto_dpif;

/* What one cannot see by looking at a port, but has to be told, see struct
 * ofproto_bundle_settings, struct ofproto_mirror_settings, set_queues() of the
 * ofproto class, and the database. */
struct p2p_port_settings {
    void *bundle;               /* Only to be compared. */
    bool bonded;                /* One of several in a bundle. */
    bool lacp;
    bool protected;             /* Does not talk to other protected ports. */
    bool marks_dscp;            /* Has queues that set the DSCP field. */
    bool p2p;                   /* Not switched off by the user. */
    bool policed;               /* What comes in by it is limited. */
    bool mirrored_in;           /* Packets that come in by it... */
    bool mirrored_out;          /* ...or go out by it, perhaps not all. */
    bool mirror_output;         /* What is mirrored goes out by it. */
    int mtu;
};

struct p2p_reason p2p_bridge_veto(struct ofproto_dpif *);
struct p2p_reason p2p_source_veto(const struct ofport *,
                                  const struct p2p_port_settings *);
struct p2p_reason p2p_sink_veto(const struct ofport *,
                                const struct p2p_port_settings *);
struct p2p_reason p2p_pair_veto(const struct p2p_port_settings *source,
                                const struct p2p_port_settings *sink);

#endif /* p2p-veto.h */
