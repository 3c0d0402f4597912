/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "p2p-index.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "classifier.h"
#include "flow.h"
#include "hash.h"
#include "ofproto-dpif.h"
#include "ofproto-provider.h"
#include "p2p-detector.h"
#include "util.h"

/* The lookups in a table. */
struct p2p_table {
    struct ovs_list certain;    /* Of struct p2p_hop... */
    struct ovs_list uncertain;  /* ...by their 'list_node'. */

    /* No rule of a lower priority concerns any in 'certain'.  May be lower
     * than necessary. */
    int min_priority;

    /* Rules may have been removed if the table has not as many more than
     * 'n_flows' as were inserted since, or if one was replaced. */
    unsigned int n_flows;
    unsigned int n_inserted;
    bool replaced;

    /* All that are certain, or uncertain, are concerned by some change. */
    bool all_certain;
    bool all_uncertain;
};

BUILD_ASSERT_DECL(N_TABLES
                  == ARRAY_SIZE(((struct p2p_index *) NULL)->tables));

void
p2p_index_init(struct p2p_index *index, p2p_touch_func *touch)
{
    memset(index, 0, sizeof *index);
    hmap_init(&index->hops);
    index->touch = touch;
}

/* 'index' must have no hops. */
void
p2p_index_destroy(struct p2p_index *index)
{
    ovs_assert(hmap_is_empty(&index->hops));
    hmap_destroy(&index->hops);
    for (size_t i = 0; i < ARRAY_SIZE(index->tables); i++) {
        free(index->tables[i]);
    }
}

static uint16_t
in_port_of(const struct miniflow *flow)
{
    return MINIFLOW_GET_TYPE__(flow, uint16_t, in_port.ofp_port);
}

static uint32_t
hash_in_port(uint8_t table_id, uint16_t in_port)
{
    return hash_2words(table_id, in_port);
}

static int
hop_priority(const struct p2p_hop *hop)
{
    return hop->rule ? hop->rule->up.cr.priority : INT_MIN;
}

static void
count_rules(struct p2p_table *t, const struct oftable *table)
{
    t->n_flows = table->n_flows;
    t->n_inserted = 0;
    t->replaced = false;
}

/* Adds the hops of 'answer', which is that of 'port'. */
void
p2p_index_add(struct p2p_index *index, const struct ofproto *ofproto,
              struct p2p_answer *answer, struct p2p_port *port)
{
    for (size_t i = 0; i < answer->n_hops; i++) {
        struct p2p_hop *hop = &answer->hops[i];
        struct p2p_table *t = index->tables[hop->table_id];

        if (!t) {
            t = index->tables[hop->table_id] = xzalloc(sizeof *t);
            ovs_list_init(&t->certain);
            ovs_list_init(&t->uncertain);
            t->min_priority = INT_MAX;
            count_rules(t, &ofproto->tables[hop->table_id]);
        }
        hop->port = port;
        hmap_insert(&index->hops, &hop->port_node,
                    hash_in_port(hop->table_id,
                                 in_port_of(hop->packets.flow)));
        if (hop->certain) {
            ovs_list_push_back(&t->certain, &hop->list_node);
            t->min_priority = MIN(t->min_priority, hop_priority(hop));
        } else {
            ovs_list_push_back(&t->uncertain, &hop->list_node);
        }
    }
}

/* Removes the hops of 'answer', which p2p_index_add() added. */
void
p2p_index_remove(struct p2p_index *index, struct p2p_answer *answer)
{
    for (size_t i = 0; i < answer->n_hops; i++) {
        struct p2p_hop *hop = &answer->hops[i];
        struct p2p_table *t = index->tables[hop->table_id];

        hmap_remove(&index->hops, &hop->port_node);
        ovs_list_remove(&hop->list_node);
        if (ovs_list_is_empty(&t->certain)) {
            t->min_priority = INT_MAX;
            if (ovs_list_is_empty(&t->uncertain)) {
                free(t);
                index->tables[hop->table_id] = NULL;
            }
        }
    }
}

/* True if packets of 'hop' may match 'rule', whatever other rules say. */
static bool
hop_may_match(const struct p2p_hop *hop, const struct rule *rule)
{
    struct {
        struct minimask mask;
        uint64_t storage[FLOW_U64S];
    } both;

    minimask_combine(&both.mask, hop->packets.mask, rule->cr.match.mask,
                     both.storage);
    return miniflow_equal_in_minimask(hop->packets.flow, rule->cr.match.flow,
                                      &both.mask);
}

/* True if all packets of 'hop' match 'rule', given that some may. */
static bool
hop_must_match(const struct p2p_hop *hop, const struct rule *rule)
{
    return !minimask_has_extra(hop->packets.mask, rule->cr.match.mask);
}

/* True if it matters to 'hop' that 'rule' is now in its table. */
static bool
insertion_concerns(const struct p2p_hop *hop, const struct rule *rule)
{
    return ((!hop->certain || rule->cr.priority >= hop_priority(hop))
            && hop_may_match(hop, rule)
            && (hop->certain || hop_must_match(hop, rule)));
}

/* True if it matters to 'hop', and find_removed() does not find out, that
 * 'rule' is no longer in its table. */
static bool
removal_concerns(const struct p2p_hop *hop, const struct rule *rule)
{
    return !hop->certain && hop_may_match(hop, rule);
}

/* True if 'rule' looks at what is in packets, so that it cannot match all of
 * them. */
static bool
is_about_content(const struct rule *rule)
{
    const struct flowmap *map = &rule->cr.match.mask->masks.map;

    for (size_t i = FLOW_SEGMENT_1_ENDS_AT / sizeof(uint64_t); i < FLOW_U64S;
         i++) {
        if (flowmap_is_set(map, i)) {
            return true;
        }
    }
    return false;
}

/* Touches the ports among 'hops' that the insertion or removal of 'rule'
 * concerns.  Returns false if that is too much work. */
static bool
touch_concerned(struct p2p_index *index, const struct ovs_list *hops,
                const struct rule *rule, bool inserted)
{
    const struct p2p_hop *hop;

    LIST_FOR_EACH (hop, list_node, hops) {
        if (index->work >= P2P_INDEX_WORK) {
            /* For the main thread to run. */
            index->touch(hop->port, inserted, NULL);
            return false;
        }
        index->work++;
        if (inserted ? insertion_concerns(hop, rule)
            : removal_concerns(hop, rule)) {
            index->touch(hop->port, inserted, inserted ? rule : NULL);
        }
    }
    return true;
}

static void
rule_changed(struct p2p_index *index, const struct rule *rule, bool inserted)
{
    struct p2p_table *t = index->tables[rule->table_id];
    bool certain = (inserted && !t->all_certain
                    && rule->cr.priority >= t->min_priority);
    bool uncertain = !t->all_uncertain && !ovs_list_is_empty(&t->uncertain);

    /* This must not look at what 'rule' matches, which for the rules of a
     * bundle is no longer in the CPU's caches. */
    if (!certain && !uncertain) {
        return;
    }

    if (in_port_of(&rule->cr.match.mask->masks) == UINT16_MAX) {
        uint16_t in_port = in_port_of(rule->cr.match.flow);
        struct p2p_hop *hop;

        HMAP_FOR_EACH_WITH_HASH (hop, port_node,
                                 hash_in_port(rule->table_id, in_port),
                                 &index->hops) {
            if (hop->table_id == rule->table_id
                && (inserted ? insertion_concerns(hop, rule)
                    : removal_concerns(hop, rule))) {
                index->touch(hop->port, inserted, inserted ? rule : NULL);
            }
        }
        return;
    }

    if (certain && !touch_concerned(index, &t->certain, rule, true)) {
        t->all_certain = true;
    }
    if (uncertain && !(inserted && is_about_content(rule))
        && !touch_concerned(index, &t->uncertain, rule, inserted)) {
        t->all_uncertain = true;
    }
}

/* 'rule' has been inserted and took the place of 'replaced', if that is
 * nonnull. */
void
p2p_index_rule_inserted(struct p2p_index *index, const struct rule *rule,
                        const struct rule *replaced)
{
    struct p2p_table *t = index->tables[rule->table_id];

    if (t) {
        if (replaced) {
            t->replaced = true;
        } else {
            t->n_inserted++;
        }
        rule_changed(index, rule, true);
    }
}

/* 'rule' has been removed, perhaps some time ago. */
void
p2p_index_rule_removed(struct p2p_index *index, const struct rule *rule)
{
    const struct p2p_table *t = index->tables[rule->table_id];

    if (t && !ovs_list_is_empty(&t->uncertain)) {
        rule_changed(index, rule, false);
    }
}

static void
touch_all(struct p2p_index *index, const struct ovs_list *hops, bool urgent)
{
    const struct p2p_hop *hop;

    LIST_FOR_EACH (hop, list_node, hops) {
        index->touch(hop->port, urgent, NULL);
    }
}

/* Touches the ports whose packets found rules in 't' that are not visible in
 * 'version'. */
static void
find_removed(struct p2p_index *index, struct p2p_table *t,
             ovs_version_t version)
{
    const struct p2p_hop *hop;

    /* Takes the occasion to make 'min_priority' exact. */
    t->min_priority = INT_MAX;
    LIST_FOR_EACH (hop, list_node, &t->certain) {
        t->min_priority = MIN(t->min_priority, hop_priority(hop));
        if (hop->rule
            && !cls_rule_visible_in_version(&hop->rule->up.cr, version)) {
            index->touch(hop->port, true, NULL);
        }
    }
}

/* Finds out what changes of rules did not tell.  Has to be called after each
 * new version of the tables, and whenever a port was touched. */
void
p2p_index_run(struct p2p_index *index, const struct ofproto *ofproto,
              ovs_version_t version)
{
    index->work = 0;
    for (size_t i = 0; i < ARRAY_SIZE(index->tables); i++) {
        struct p2p_table *t = index->tables[i];

        if (!t) {
            continue;
        }
        if (t->all_certain) {
            t->all_certain = false;
            touch_all(index, &t->certain, true);
        }
        if (t->all_uncertain) {
            t->all_uncertain = false;
            touch_all(index, &t->uncertain, true);
        }
        if (t->replaced
            || t->n_flows + t->n_inserted != ofproto->tables[i].n_flows) {
            count_rules(t, &ofproto->tables[i]);
            find_removed(index, t, version);
        }
    }
}
