/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-link.h"
#include "dpif.h"
#include "hash.h"
#include "ofproto-dpif.h"
#include "ofproto-provider.h"
#include "p2p-private.h"
#include "p2p.h"
#include "util.h"

/* Packets on a link are counted in the tables, rules and groups of the answer
 * that the link was made for, whose references last until the last packet is
 * counted; that it delays the end of a rule, and so its flow-removed message,
 * is what makes the numbers in that message right.  The caches of the
 * translation do the same for packets that go through the datapath.
 *
 * Numbers are fetched from links when somebody asks for them, and before rules
 * are looked through for those whose time is over. */

static uint32_t
hash_rule(const struct rule *rule)
{
    return hash_pointer(rule, 0);
}

/* From now on, what goes over the link of 'port' is to be counted as 'answer'
 * says.  Takes a reference. */
void
p2p_credit_start(struct p2p_port *port, struct p2p_answer *answer)
{
    ovs_assert(!port->link);
    port->link = p2p_answer_ref(answer);
    for (size_t i = 0; i < answer->n_hops; i++) {
        struct p2p_hop *hop = &answer->hops[i];

        if (hop->rule) {
            hop->port = port;
            hmap_insert(&port->bridge->credited, &hop->rule_node,
                        hash_rule(&hop->rule->up));
        }
    }
    port->bridge->n_links++;
}

/* The opposite of p2p_credit_start().  Counts what there is to be counted
 * first. */
void
p2p_credit_stop(struct p2p_port *port)
{
    struct p2p_answer *answer = port->link;

    p2p_count_port(port);
    for (size_t i = 0; i < answer->n_hops; i++) {
        struct p2p_hop *hop = &answer->hops[i];

        if (hop->rule) {
            hmap_remove(&port->bridge->credited, &hop->rule_node);
        }
    }
    port->bridge->n_links--;
    port->link = NULL;
    p2p_answer_unref(answer);
}

/* Counts what went over the link of 'port', if it has one. */
void
p2p_count_port(struct p2p_port *port)
{
    if (port->link) {
        struct dpif_flow_stats stats = { .tcp_flags = 0 };

        stats.used = dpdkr_link_harvest(port->ofport->netdev,
                                        &stats.n_packets, &stats.n_bytes);
        if (stats.n_packets) {
            p2p_answer_credit(port->link, port->bridge->ofproto, &stats);
        }
    }
}

/* Counts what went over all links of 'ofproto'. */
void
p2p_count_all(const struct ofproto *ofproto)
{
    struct p2p_bridge *b = p2p_bridge_find(ofproto);

    if (b && b->n_links) {
        struct p2p_port *port;

        HMAP_FOR_EACH (port, node, &b->ports) {
            p2p_count_port(port);
        }
    }
}

/* Counts what went over links that concerns 'rule'. */
void
p2p_count_rule(const struct rule *rule)
{
    struct p2p_bridge *b = p2p_bridge_find(rule->ofproto);

    if (b && b->n_links) {
        struct p2p_hop *hop;

        HMAP_FOR_EACH_WITH_HASH (hop, rule_node, hash_rule(rule),
                                 &b->credited) {
            if (&hop->rule->up == rule) {
                p2p_count_port(hop->port);
            }
        }
    }
}

/* Counts what went over links that concerns 'group'. */
void
p2p_count_group(const struct ofgroup *group)
{
    p2p_count_all(group->ofproto);
}
