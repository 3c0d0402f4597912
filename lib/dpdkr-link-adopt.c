/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-link-private.h"

#include <stdlib.h>

#include "dpdkr-gate.h"
#include "dpdkr-mem.h"
#include "openvswitch/vlog.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_link_adopt);

/* Links that an earlier switch has left
 * =====================================
 *
 * The peers go on over their links while there is no switch.  The next one
 * finds in the memory of the ports what the last one ordered, and continues
 * there.  What it finds may have been changed by the peers: it is good enough
 * to tell a peer what it was told before, and which file to look for, but
 * whether that is the memory of a link, and of the one that the other port
 * names too, is checked. */

/* Finds the entry of 'b' that offers the other side of what entry 'entry' of
 * 'a' offers.  Returns it, or -1. */
static int
find_partner(const struct dpdkr_end *a, uint32_t entry,
             const struct dpdkr_end *b)
{
    const struct dpdkr_link_offer *oa = &a->port->orders.offer[entry];

    for (int i = 0; i < DPDKR_MAX_LINKS; i++) {
        const struct dpdkr_link_offer *ob = &b->port->orders.offer[i];

        if (ob->file[0] && !b->links[i] && ob->side == !oa->side
            && !memcmp(oa->id, ob->id, sizeof oa->id)) {
            return i;
        }
    }
    return -1;
}

static bool
is_answered(const struct dpdkr_end *end, uint32_t entry)
{
    uint32_t status, error;

    return dpdkr_orders_answered(end->port, entry, &status, &error);
}

/* If entry 'entry' of 'a' and some entry of 'b' offer the two sides of a link
 * whose memory is there, and nobody has it, returns it, ready but in no list.
 * Otherwise returns NULL.  (Until a peer has answered that it has mapped it,
 * nothing has been ordered there.) */
static struct dpdkr_link *
adopt(struct dpdkr_end *a, uint32_t entry, struct dpdkr_end *b,
      long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    const struct dpdkr_link_offer *offer = &a->port->orders.offer[entry];
    int partner = find_partner(a, entry, b);
    struct dpdkr_link *link;

    if (partner < 0) {
        return NULL;
    }
    link = xzalloc(sizeof *link);
    link->mem = dpdkr_link_mem_adopt(a->port, b->port, offer->file, offer->id,
                                     &link->other_path);
    if (!link->mem) {
        free(link);
        return NULL;
    }
    link->state = (is_answered(a, entry) && is_answered(b, partner)
                   ? LINK_READY : LINK_OFFERED);
    link->since = now;
    link->unused_since = LLONG_MAX;
    link->was[offer->side] = link->end[offer->side] = a;
    link->entry[offer->side] = entry;
    link->was[!offer->side] = link->end[!offer->side] = b;
    link->entry[!offer->side] = partner;

    for (int side = 0; side < 2; side++) {
        struct dpdkr_end *src = link->end[side];
        struct dpdkr_end *dst = link->end[!side];
        struct dpdkr_dir *dir = &link->dir[side];

        src->links[link->entry[side]] = link;
        dpdkr_dir_skip(link, side);
        dir->since = now;
        dir->stuck_since = LLONG_MAX;
        dir->next_look = now + DPDKR_LINK_PATIENCE_MS;
        dir->number = dpdkr_orders_resume(src->port, link->entry[side],
                                          dst->port, link->entry[!side]);
        if (dir->number && src->port->orders.link == link->entry[side]) {
            src->tx = link;
        }
    }
    VLOG_INFO("%s: found the direct link to %s again", a->name, b->name);
    return link;
}

/* Gives up what entry 'entry' of 'end' says about a link of an earlier
 * switch. */
static void
give_up(struct dpdkr_end *end, uint32_t entry)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    const struct dpdkr_link_offer *offer = &end->port->orders.offer[entry];

    VLOG_INFO("%s: giving up direct link %s of an earlier switch", end->name,
              (dpdkr_link_mem_is_name(offer->file) ? offer->file
               : "with an invalid name"));
    dpdkr_link_mem_remove(end->port, offer->file, offer->id);
    dpdkr_orders_withdraw(end->port, entry);
}

/* Has links that an earlier switch has left at 'end', which has got its port,
 * looked for from now on. */
void
dpdkr_end_find_links(struct dpdkr_end *end, long long int now)
{
    end->adopt_until = LLONG_MIN;
    if (end->port && dpdkr_orders_are_adopted(end->port)) {
        end->adopt_until = now + DPDKR_ADOPT_MS;
        memcpy(end->found, end->port->orders.offer, sizeof end->found);
    }
}

/* Removes what has been found of links of an earlier switch, but has not been
 * taken up, and is not on offer any more, since there is another peer, or, if
 * 'all' is true, whether it is or not. */
void
dpdkr_end_forget_links(struct dpdkr_end *end, bool all)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link_offer *found = &end->found[i];

        if (found->file[0]
            && (all || end->port->orders.offer[i].seq != found->seq)) {
            if (!end->links[i]) {
                dpdkr_link_mem_remove(end->port, found->file, found->id);
            }
            found->file[0] = '\0';
        }
    }
}

/* Looks for links that an earlier switch has left at 'end', and gives up in
 * the end. */
void
dpdkr_end_adopt(struct dpdkr_end *end, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    struct dpdkr_port *port = end->port;
    bool missing = false;

    dpdkr_end_forget_links(end, false);
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_end *other;

        if (!port->orders.offer[i].file[0] || end->links[i]) {
            continue;
        }
        LIST_FOR_EACH (other, node, &dpdkr_all_ends) {
            struct dpdkr_link *link
                = (other != end && end->epoch && other->epoch
                   && other->adopt_until != LLONG_MIN
                   ? adopt(end, i, other, now) : NULL);

            if (link) {
                ovs_list_push_back(&dpdkr_all_links, &link->node);
                break;
            }
        }
        if (!end->links[i]) {
            missing = true;
            if (now >= end->adopt_until) {
                give_up(end, i);
            }
        }
    }
    if (!missing || now >= end->adopt_until) {
        end->adopt_until = LLONG_MIN;
        memset(end->found, 0, sizeof end->found);
        if (!end->tx && port->orders.number & 1) {
            dpdkr_orders_to_port(port, port->orders.number + 1);
        }
        dpdkr_orders_give_up(port);
    } else {
        dpdkr_link_run_again(end->adopt_until - DPDKR_ADOPT_MS, now);
    }
}

/* Returns true if the port at side 'side' of 'link' tells the next switch of
 * it.  It does not if the link is about to go, or the port has another peer
 * since the last run. */
static bool
is_offered(const struct dpdkr_link *link, int side)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    const struct dpdkr_end *end = link->end[side];

    return end && end->port->orders.offer[link->entry[side]].file[0];
}

/* Forgets the links of 'end' and leaves them to the next switch. */
void
dpdkr_end_leave_links(struct dpdkr_end *end)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link *link = end->links[i];
        struct dpdkr_end *other = link ? other_end(link, end) : NULL;
        bool next_can_adopt;

        if (!link) {
            continue;
        }
        next_can_adopt = is_offered(link, 0) && is_offered(link, 1);
        if (other) {
            /* The threads of the datapath are still running. */
            for (uint32_t q = 0; q < other->port->n_queues; q++) {
                struct dpdkr_port_queue *queue = &other->port->queues[q];

                dpdkr_queue_lock(&queue->rx_lock);
                queue->gate.route.dst = queue->gate.next.dst = NULL;
                ovs_spin_unlock(&queue->rx_lock);
            }
            other->links[link->entry[side_of(link, other)]] = NULL;
            other->tx = other->tx == link ? NULL : other->tx;
        }
        end->links[i] = NULL;
        ovs_list_remove(&link->node);
        dpdkr_link_mem_destroy(link->mem, link->other_path, !next_can_adopt);
        free(link);
    }
    end->tx = NULL;
}
