/* SPDX-License-Identifier: Apache-2.0 */

#ifndef P2P_DETECTOR_H
#define P2P_DETECTOR_H 1

/* Where do all packets go that enter a bridge by a given port?
 * ============================================================
 *
 * p2p_detect() asks whether the flow tables and groups of a bridge send every
 * packet that comes in by a port out by one other port, once and unchanged,
 * with no other effect than to be counted.
 *
 *
 * How it stays sound
 * ------------------
 *
 * There is no model of the tables here that could differ from the tables.  The
 * question goes to the classifiers that the switch itself uses: p2p_probe()
 * looks up a packet of which only that is filled in which all packets from the
 * port have in common (the input port, and zero for registers, metadata and
 * the like), and makes sure that no rule of the same or a higher priority can
 * match any of them.  Overlaps, conjunctions and rules that no controller sees
 * are taken care of that way.  If it depends on anything else which rule
 * packets match, then the answer is "no".
 *
 * Then the actions of that rule are followed as the translation into datapath
 * actions would (xlate_actions()), through further tables and groups, as long
 * as what they do is the same for all packets.  An action that is not known to
 * be harmless gives "no".
 *
 *
 * What it does not look at
 * ------------------------
 *
 * Anything outside of tables and groups: the state of ports, mirrors,
 * protocols and so on.  That is p2p-veto.h.  The exceptions are those that the
 * actions themselves depend on: whether an output port exists and may be sent
 * to, and whether those that buckets watch are live.  The answer lists these
 * ports.
 *
 *
 * Threads
 * -------
 *
 * The main thread, since ports do not change meanwhile, with ofproto_mutex,
 * since flow tables do not.  The answer is for the version that is given. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-port.h"
#include "ovs-thread.h"
#include "versions.h"

struct dpif_flow_stats;
struct ds;
struct group_dpif;
struct ofproto_dpif;
struct ofputil_bucket;
struct p2p_port;
struct rule_dpif;

extern struct ovs_mutex ofproto_mutex;

/* Why not.  'format' is a constant string which lasts for ever, with "%d" for
 * 'arg' if it has one, or NULL for "yes".  Fits behind "is no p-2-p link:". */
struct p2p_reason {
    const char *format;
    int arg;
};

#define P2P_YES ((struct p2p_reason) { NULL, 0 })

static inline bool
p2p_reason_equals(struct p2p_reason a, struct p2p_reason b)
{
    return a.format == b.format && a.arg == b.arg;
}
void p2p_reason_format(struct p2p_reason, struct ds *);

/* A lookup in a flow table on the way of the packets. */
struct p2p_hop {
    uint8_t table_id;

    /* If 'certain', all packets find 'rule', or none if 'rule' is null.
     * Otherwise the detector cannot tell, 'rule' is null, and this is the last
     * hop. */
    bool certain;
    struct rule_dpif *rule;     /* Holds a reference. */

    /* What is known of the packets when they come here. */
    struct minimatch packets;

    /* For those who have the answer. */
    struct p2p_port *port;
    struct hmap_node port_node; /* In an index, see p2p-index.h... */
    struct ovs_list list_node;  /* ...in two ways. */
    struct hmap_node rule_node; /* Among the rules to be credited. */
};

/* A group on the way of the packets. */
struct p2p_group {
    struct group_dpif *group;   /* Holds a reference. */
    bool used;                  /* False if it only mattered whether it is
                                 * live. */
    struct ofputil_bucket *bucket; /* That packets use, or NULL for all. */
};

/* A port that an answer depends on. */
struct p2p_watch {
    ofp_port_t ofp_port;
    unsigned int state;         /* P2P_WATCH_*. */
};
enum {
    P2P_WATCH_EXISTS = 1 << 0,
    P2P_WATCH_NO_FWD = 1 << 1,  /* Nothing may be sent to it. */
    P2P_WATCH_LIVE = 1 << 2
};
unsigned int p2p_watch_state(const struct ofproto_dpif *, ofp_port_t);

/* An answer.  It stays as it is as long as the lookups in 'hops' have the same
 * result, the groups in 'groups' exist (one that is modified counts as
 * removed), and the ports in 'watches', some of which may not exist, stay in
 * the same state; and, if 'missing_group', no group is added. */
struct p2p_answer {
    int n_refs;                 /* Main thread only. */

    ofp_port_t out_port;        /* OFPP_NONE if "no". */
    struct p2p_reason reason;   /* Why not. */

    struct p2p_hop *hops;
    size_t n_hops, allocated_hops;
    struct p2p_group *groups;
    size_t n_groups, allocated_groups;
    bool missing_group;
    struct p2p_watch *watches;
    size_t n_watches, allocated_watches;
};

struct p2p_answer *p2p_detect(struct ofproto_dpif *, ovs_version_t,
                              ofp_port_t in_port)
    OVS_REQUIRES(ofproto_mutex);

struct p2p_answer *p2p_answer_ref(struct p2p_answer *);
void p2p_answer_unref(struct p2p_answer *);

void p2p_answer_credit(const struct p2p_answer *, struct ofproto_dpif *,
                       const struct dpif_flow_stats *);

#endif /* p2p-detector.h */
