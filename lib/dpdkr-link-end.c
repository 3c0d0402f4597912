/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-link-private.h"

#include <stdlib.h>

#include "dpdkr-gate.h"
#include "netdev-dpdkr.h"
#include "ovs-thread.h"
#include "timeval.h"
#include "util.h"

/* Set when links are to be left to the next switch. */
static bool leaving OVS_GUARDED_BY(dpdkr_link_mutex) = false;

/* ## ---- ## */
/* ## Ends ## */
/* ## ---- ## */

/* Returns the epoch of the peer of 'end', or 0 if there is none. */
uint32_t
dpdkr_end_epoch(const struct dpdkr_end *end)
{
    return end->port && end->port->linked ? end->port->own.ack : 0;
}

/* Returns why 'end' can have no links now, a constant string, or NULL if it
 * can. */
const char *
dpdkr_end_veto(const struct dpdkr_end *end)
{
    const struct dpdkr_port *port = end->port;

    return (!port || !port->linked ? "no peer is attached"
            : port->peer_flags & DPDKR_F_HEARTBEAT ? "the peer is in a VM"
            : !(port->peer_flags & DPDKR_F_LINKS)
            ? "the peer does not support direct links"
            : NULL);
}

/* Creates the end of links for the port called 'name'. */
struct dpdkr_end *
dpdkr_end_create(const char *name)
{
    struct dpdkr_end *end = xzalloc(sizeof *end);

    end->name = xstrdup(name);
    end->retry_at = end->adopt_until = LLONG_MIN;
    ovs_mutex_lock(&dpdkr_link_mutex);
    ovs_list_push_back(&dpdkr_all_ends, &end->node);
    ovs_mutex_unlock(&dpdkr_link_mutex);
    return end;
}

/* Frees 'end', which has no port. */
void
dpdkr_end_destroy(struct dpdkr_end *end)
{
    struct dpdkr_end *other;

    ovs_mutex_lock(&dpdkr_link_mutex);
    ovs_assert(!end->port);
    ovs_list_remove(&end->node);
    LIST_FOR_EACH (other, node, &dpdkr_all_ends) {
        if (other->wish == end) {
            other->wish = NULL;
        }
        if (other->failed_with == end) {
            dpdkr_end_clear_error(other);
        }
    }
    ovs_mutex_unlock(&dpdkr_link_mutex);
    free(end->error);
    free(end->name);
    free(end);
}

/* To be called with true before the switch exits, if it leaves its ports to
 * the next one: it leaves their links as well. */
void
dpdkr_link_leave(bool leave)
{
    ovs_mutex_lock(&dpdkr_link_mutex);
    leaving = leave;
    ovs_mutex_unlock(&dpdkr_link_mutex);
}

/* Tells 'end' that it has 'port' now.  Must be called with NULL before the
 * port it had is destroyed. */
void
dpdkr_end_set_port(struct dpdkr_end *end, struct dpdkr_port *port)
{
    ovs_mutex_lock(&dpdkr_link_mutex);
    if (end->port && leaving) {
        dpdkr_end_forget_links(end, false);
        dpdkr_end_leave_links(end);
    } else if (end->port) {
        dpdkr_end_forget_links(end, true);
        dpdkr_end_is_gone(end, time_msec());
    }
    end->port = port;
    end->epoch = 0;
    dpdkr_end_find_links(end, time_msec());
    dpdkr_link_run_by(LLONG_MIN);
    ovs_mutex_unlock(&dpdkr_link_mutex);
}

/* ## ------ ## */
/* ## Wishes ## */
/* ## ------ ## */

static struct dpdkr_end *
end_of(const struct netdev *netdev)
{
    return netdev_dpdkr_get_end(netdev);
}

/* The inner half of dpdkr_link_set(), for ends. */
void
dpdkr_end_set_wish(struct dpdkr_end *src, struct dpdkr_end *dst,
                   long long int now)
{
    ovs_mutex_lock(&dpdkr_link_mutex);
    if (src->wish != dst) {
        src->wish = dst;
        src->wish_since = now;
        /* The way back must not wait for the next run. */
        if (src->epoch && dpdkr_end_epoch(src) == src->epoch
            && src->adopt_until == LLONG_MIN) {
            dpdkr_end_run(src, now);
        }
        dpdkr_link_run_by(LLONG_MIN);
    }
    ovs_mutex_unlock(&dpdkr_link_mutex);
}

void
dpdkr_link_set(struct netdev *src, struct netdev *dst)
{
    dpdkr_end_set_wish(end_of(src), dst ? end_of(dst) : NULL, time_msec());
    netdev_dpdkr_run_soon();
}

/* Returns true if 'netdev' can be an end of a link.  Otherwise stores the
 * reason, a constant string, into '*why'. */
bool
dpdkr_link_is_possible(const struct netdev *netdev, const char **why)
{
    ovs_mutex_lock(&dpdkr_link_mutex);
    *why = dpdkr_end_veto(end_of(netdev));
    ovs_mutex_unlock(&dpdkr_link_mutex);

    return !*why;
}

/* ## ----------------------- ## */
/* ## What others get to see. ## */
/* ## ----------------------- ## */

/* Returns the state of what the peer of 'end' sends, in words, and stores the
 * receiver, if any, into '*peer'. */
static const char *
end_state(const struct dpdkr_end *end, const struct dpdkr_end **peer)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    int side = end->tx ? side_of(end->tx, end) : 0;

    *peer = NULL;
    if (is_direct(end)) {
        *peer = other_end(end->tx, end);
        return end->tx->dir[side].followed ? "direct" : "to-direct";
    } else if (end->tx && dpdkr_dir_state(end->tx, side) > QUEUE_IDLE) {
        return "to-switch";
    } else if (end->wish && !end->error) {
        *peer = end->wish;
        return "to-direct";
    } else {
        return "switch";
    }
}

/* Describes what has become of the wish for 'end'. */
void
dpdkr_end_get_status(const struct dpdkr_end *end,
                     struct dpdkr_link_status *status)
{
    const struct dpdkr_end *peer;

    memset(status, 0, sizeof *status);
    ovs_mutex_lock(&dpdkr_link_mutex);
    status->state = end_state(end, &peer);
    status->peer = nullable_xstrdup(peer ? peer->name : NULL);
    if (end->wish) {
        status->error = nullable_xstrdup(end->error);
    }
    status->packets = end->stats.rx_packets;
    status->bytes = end->stats.rx_bytes;
    ovs_mutex_unlock(&dpdkr_link_mutex);
}

/* Returns true if the status of 'end' is another one than in the last call. */
bool
dpdkr_end_changed(struct dpdkr_end *end)
{
    const struct dpdkr_end *peer;
    const char *state;
    bool changed;

    ovs_mutex_lock(&dpdkr_link_mutex);
    state = end_state(end, &peer);
    changed = (state != end->shown_state || peer != end->shown_peer
               || (end->error != NULL) != end->shown_error);
    end->shown_state = state;
    end->shown_peer = peer;
    end->shown_error = end->error != NULL;
    ovs_mutex_unlock(&dpdkr_link_mutex);

    return changed;
}

void
dpdkr_link_get_status(const struct netdev *src,
                      struct dpdkr_link_status *status)
{
    dpdkr_end_get_status(end_of(src), status);
}

static void
harvest_end(struct dpdkr_end *end)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        if (end->links[i]) {
            dpdkr_dir_harvest(end->links[i], 0);
            dpdkr_dir_harvest(end->links[i], 1);
        }
    }
}

/* Stores what the peer of 'src' has sent over links since the last call into
 * '*packets' and '*bytes'.  Returns the time_msec() when the last of it was
 * seen, or LLONG_MIN if there is nothing. */
long long int
dpdkr_link_harvest(struct netdev *src_, uint64_t *packets, uint64_t *bytes)
{
    struct dpdkr_end *src = end_of(src_);
    long long int used;

    ovs_mutex_lock(&dpdkr_link_mutex);
    harvest_end(src);
    used = src->new_packets ? src->used : LLONG_MIN;
    *packets = src->new_packets;
    *bytes = src->new_bytes;
    src->new_packets = src->new_bytes = 0;
    ovs_mutex_unlock(&dpdkr_link_mutex);

    return used;
}

/* Copies the counters of 'end', as of now, into '*stats'. */
void
dpdkr_end_get_stats(struct dpdkr_end *end, struct dpdkr_link_stats *stats)
{
    ovs_mutex_lock(&dpdkr_link_mutex);
    harvest_end(end);
    *stats = end->stats;
    ovs_mutex_unlock(&dpdkr_link_mutex);
}

/* Returns true if what the peer of 'src' sends from now on goes where the last
 * dpdkr_link_set() wants it, or through the switch. */
bool
dpdkr_link_is_settled(const struct netdev *src_)
{
    const struct dpdkr_end *src = end_of(src_);
    bool settled = true;

    ovs_mutex_lock(&dpdkr_link_mutex);
    if (is_direct(src)) {
        settled = other_end(src->tx, src) == src->wish;
    } else if (src->port) {
        for (uint32_t i = 0; i < DPDKR_MAX_LINKS && settled; i++) {
            const struct dpdkr_link *link = src->links[i];

            settled = (!link || (dpdkr_dir_state(link, side_of(link, src))
                                 <= QUEUE_IDLE));
        }
    }
    ovs_mutex_unlock(&dpdkr_link_mutex);

    return settled;
}
