/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "p2p-probe.h"

#include <limits.h>
#include <stdint.h>

#include "ccmap.h"
#include "classifier.h"
#include "classifier-private.h"
#include "flow.h"
#include "openvswitch/match.h"
#include "pvector.h"
#include "rculist.h"
#include "util.h"

struct probe {
    const struct classifier *cls;
    ovs_version_t version;
    const struct flow *flow;
    const struct flow_wildcards *known;
    int budget;                 /* Rules that may still be looked at. */
};

static uint64_t
get_u64(const void *flow, size_t index)
{
    return ((const uint64_t *) flow)[index];
}

/* True if the bits of 'mask' in 'map', a part of its map, are all known. */
static bool
is_known(const struct probe *p, const struct minimask *mask,
         struct flowmap map)
{
    size_t i;

    FLOWMAP_FOR_EACH_INDEX (i, map) {
        if (miniflow_get(&mask->masks, i) & ~get_u64(&p->known->masks, i)) {
            return false;
        }
    }
    return true;
}

/* True if all packets match 'rule'. */
static bool
matches_all(const struct probe *p, const struct cls_rule *rule)
{
    const struct minimask *mask = rule->match.mask;

    return (is_known(p, mask, mask->masks.map)
            && miniflow_equal_flow_in_minimask(rule->match.flow, p->flow,
                                               mask));
}

/* True if some packets match 'rule', in 'subtable'. */
static bool
matches_some(const struct probe *p, const struct cls_subtable *subtable,
             const struct cls_rule *rule)
{
    const uint64_t *masks = miniflow_get_values(&subtable->mask.masks);
    const uint64_t *values = miniflow_get_values(rule->match.flow);
    size_t i;

    /* Rules have the same map as the mask of their subtable. */
    FLOWMAP_FOR_EACH_INDEX (i, subtable->mask.masks.map) {
        if ((*values++ ^ get_u64(p->flow, i))
            & *masks++ & get_u64(&p->known->masks, i)) {
            return false;
        }
    }
    return true;
}

/* True if the index for the first stage of lookups in 'subtable' tells that no
 * rule there can match. */
static bool
index_excludes(const struct probe *p, const struct cls_subtable *subtable)
{
    unsigned int offset = 0;
    uint32_t basis = 0;

    return (subtable->n_indices
            && is_known(p, &subtable->mask, subtable->index_maps[0])
            && !ccmap_find(&subtable->indices[0],
                           flow_hash_in_minimask_range(
                               p->flow, &subtable->mask,
                               subtable->index_maps[0], &offset, &basis)));
}

/* True if 'subtable', which looks at known bits only, has a rule for these
 * packets with exactly 'priority'. */
static bool
has_tie(const struct probe *p, const struct cls_subtable *subtable,
        int priority)
{
    struct flow_wildcards wc;
    struct match match;

    minimask_expand(&subtable->mask, &wc);
    match_init(&match, p->flow, &wc);
    return classifier_find_match_exactly(p->cls, &match, priority,
                                         p->version) != NULL;
}

/* True if a rule in 'subtable' with 'priority' or more may match some packets,
 * or if finding out is too much work. */
static bool
has_rival(struct probe *p, const struct cls_subtable *subtable, int priority)
{
    const struct cls_rule *rule;

    if (index_excludes(p, subtable)) {
        return false;
    }
    RCULIST_FOR_EACH (rule, node, &subtable->rules_list) {
        if (p->budget-- <= 0) {
            return true;
        }
        if (rule->priority >= priority
            && matches_some(p, subtable, rule)
            && cls_rule_visible_in_version(rule, p->version)) {
            return true;
        }
    }
    return false;
}

/* Returns true if it is certain which rule in 'cls' all packets match, and
 * stores that rule in '*rulep', or NULL if they match none.  'flow' is the
 * same afterward. */
bool
p2p_probe(const struct classifier *cls, ovs_version_t version,
          struct flow *flow, const struct flow_wildcards *known,
          const struct cls_rule **rulep)
{
    struct probe p = { cls, version, flow, known, P2P_PROBE_BUDGET };
    const struct cls_rule *rule = classifier_lookup(cls, version, flow, NULL);
    int priority = rule ? rule->priority : INT_MIN;
    const struct cls_subtable *subtable;

    *rulep = rule;
    if (rule && !matches_all(&p, rule)) {
        return false;
    }

    PVECTOR_FOR_EACH_PRIORITY (subtable, priority, 2, sizeof *subtable,
                               &cls->subtables) {
        if (!is_known(&p, &subtable->mask, subtable->mask.masks.map)) {
            if (has_rival(&p, subtable, priority)) {
                return false;
            }
        } else if (rule && !minimask_equal(&subtable->mask, rule->match.mask)
                   && has_tie(&p, subtable, priority)) {
            /* With a higher priority, the lookup would have found it. */
            return false;
        }
    }
    return true;
}
