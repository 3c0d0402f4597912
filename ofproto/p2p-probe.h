/* SPDX-License-Identifier: Apache-2.0 */

#ifndef P2P_PROBE_H
#define P2P_PROBE_H 1

/* Which rule do all packets of a set match?
 * =========================================
 *
 * The set is given by a flow and by the bits in it that are 'known': it is all
 * packets whose known bits are those of the flow, whatever the others are.
 *
 * p2p_probe() looks up the flow itself, as the switch looks up a packet.  What
 * it finds is the answer for all of the set if
 *
 *   - the rule matches nothing but known bits, and
 *
 *   - no other visible rule of the same or a higher priority could match any
 *     packet of the set.
 *
 * Of two rules of the same priority the classifier finds one or the other,
 * depending on its history, so these are as bad as those of a higher priority.
 *
 * Rules of conjunctions need no extra care: if it depends on the packet
 * whether a conjunction holds, then one of its parts could match a packet of
 * the set, and the parts are rules of the same priority.  If it holds for all,
 * then the rule that is found is the one for the conjunction's id, a bit that
 * is known to be different.
 *
 * The time it takes is about that of a lookup.  Where the rivals of a rule
 * cannot be excluded by the indexes that the classifier has, it looks at them
 * one by one, but not at more than P2P_PROBE_BUDGET in all, and is uncertain
 * after that.
 *
 * It must not run while rules are inserted or removed: writers have
 * ofproto_mutex. */

#include <stdbool.h>

#include "ovs-thread.h"
#include "versions.h"

struct classifier;
struct cls_rule;
struct flow;
struct flow_wildcards;

extern struct ovs_mutex ofproto_mutex;

#define P2P_PROBE_BUDGET 256

bool p2p_probe(const struct classifier *, ovs_version_t, struct flow *,
               const struct flow_wildcards *known, const struct cls_rule **)
    OVS_REQUIRES(ofproto_mutex);

#endif /* p2p-probe.h */
