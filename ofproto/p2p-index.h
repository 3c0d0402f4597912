/* SPDX-License-Identifier: Apache-2.0 */

#ifndef P2P_INDEX_H
#define P2P_INDEX_H 1

/* Which answers does a change of the flow tables concern?
 * =======================================================
 *
 * An index of the lookups ("hops") that led to the answers of a bridge's
 * ports, so that a changed rule costs next to nothing, and only the ports that
 * it can touch are asked again.
 *
 * A rule that is inserted concerns a lookup if it can match the packets there
 * (see p2p_hop's 'packets'), and
 *
 *   - if all packets found the same rule: if its priority is not lower;
 *
 *   - if they found none: in any case;
 *
 *   - if that was uncertain: if it matches all of these packets.  A rule that
 *     matches only some of them leaves it as uncertain as it was.
 *
 * A rule that is removed concerns a lookup whose packets found it, and an
 * uncertain one if it can match packets there.  The provider is told of a
 * removal only when nobody uses the rule any more, which is good enough for
 * the latter.  For the former, p2p_index_run() looks whether all
 * rules that packets found are still there.
 *
 * A single change looks at the lookups one by one, unless the rule matches on
 * an input port.  When that gets too much, P2P_INDEX_WORK between two calls of
 * p2p_index_run(), all lookups in the table count as concerned instead.
 *
 * All functions require ofproto_mutex, and any thread may call those about
 * rules. */

#include <stdbool.h>
#include <stddef.h>

#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "ovs-thread.h"
#include "versions.h"

struct ofproto;
struct p2p_answer;
struct p2p_port;
struct rule;

extern struct ovs_mutex ofproto_mutex;

#define P2P_INDEX_WORK 65536

/* Called for each port that a change concerns, perhaps more than once.  It is
 * urgent unless the change can only make a "yes" of a "no".  The rule is the
 * one that was inserted, or null if the change was another one: should it be
 * gone when the port is about to be asked, this change concerns it no more. */
typedef void p2p_touch_func(struct p2p_port *, bool urgent,
                            const struct rule *);

struct p2p_index {
    struct hmap hops;           /* All, by table and input port. */
    struct p2p_table *tables[255]; /* Null for those without hops. */
    p2p_touch_func *touch;
    unsigned int work;          /* Lookups looked at. */
};

void p2p_index_init(struct p2p_index *, p2p_touch_func *);
void p2p_index_destroy(struct p2p_index *);

void p2p_index_add(struct p2p_index *, const struct ofproto *,
                   struct p2p_answer *, struct p2p_port *)
    OVS_REQUIRES(ofproto_mutex);
void p2p_index_remove(struct p2p_index *, struct p2p_answer *)
    OVS_REQUIRES(ofproto_mutex);

void p2p_index_rule_inserted(struct p2p_index *, const struct rule *,
                             const struct rule *replaced)
    OVS_REQUIRES(ofproto_mutex);
void p2p_index_rule_removed(struct p2p_index *, const struct rule *)
    OVS_REQUIRES(ofproto_mutex);
void p2p_index_run(struct p2p_index *, const struct ofproto *, ovs_version_t)
    OVS_REQUIRES(ofproto_mutex);

#endif /* p2p-index.h */
