/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-link-private.h"

#include <dpdkr/ring.h>
#include "dpdkr-gate.h"
#include "dpdkr-mem.h"
#include "timeval.h"
#include "util.h"

/* ## -------- ## */
/* ## Counters ## */
/* ## -------- ## */

/* Takes over what the ring of queue 'q' that side 'side' of 'link' fills says
 * has been sent.  Returns false if it cannot be true. */
static bool
harvest_ring(struct dpdkr_link *link, int side, uint32_t q,
             uint64_t *n_packets, uint64_t *n_bytes)
{
    struct dpdkr_dir *dir = &link->dir[side];
    const struct dpdkr_geometry *g = &link->mem->g;
    struct dpdkr_ring_view r;

    dpdkr_ring_view_init(&r, link->mem->base, g, dpdkr_ring_of(q, side));
    uint64_t packets = __atomic_load_n(&r.ctl->packets, __ATOMIC_RELAXED);
    uint64_t bytes = __atomic_load_n(&r.ctl->bytes, __ATOMIC_RELAXED);
    uint64_t dp = packets - dir->packets[q];
    uint64_t db = bytes - dir->bytes[q];

    /* The sender stores 'packets', then 'bytes': between the two, the bytes of
     * a burst are missing, and come next time. */
    if (dp > UINT32_MAX || db > (uint64_t) UINT32_MAX * DPDKR_MAX_SLOT) {
        return false;
    }
    dir->packets[q] = packets;
    dir->bytes[q] = bytes;
    *n_packets += dp;
    *n_bytes += db;
    return true;
}

/* Counts what side 'side' of 'link' has sent since the last time.  Returns
 * false if the counters in the link make no sense. */
bool
dpdkr_dir_harvest(struct dpdkr_link *link, int side)
{
    uint64_t packets = 0, bytes = 0;
    bool ok = true;

    if (!link->dir[side].number) {
        return true;
    }
    for (uint32_t q = 0; q < link->mem->g.n_queues; q++) {
        ok = harvest_ring(link, side, q, &packets, &bytes) && ok;
    }
    if (packets || bytes) {
        struct dpdkr_end *src = link->end[side];
        struct dpdkr_end *dst = link->end[!side];

        if (src) {
            src->stats.rx_packets += packets;
            src->stats.rx_bytes += bytes;
            src->new_packets += packets;
            src->new_bytes += bytes;
            src->used = time_msec();
        }
        if (dst) {
            dst->stats.tx_packets += packets;
            dst->stats.tx_bytes += bytes;
        }
    }
    return ok;
}

/* Leaves what side 'side' of 'link' has sent so far uncounted. */
void
dpdkr_dir_skip(struct dpdkr_link *link, int side)
{
    for (uint32_t q = 0; q < link->mem->g.n_queues; q++) {
        struct dpdkr_ring_view r;

        dpdkr_ring_view_init(&r, link->mem->base, &link->mem->g,
                             dpdkr_ring_of(q, side));
        link->dir[side].packets[q] = __atomic_load_n(&r.ctl->packets,
                                                     __ATOMIC_RELAXED);
        link->dir[side].bytes[q] = __atomic_load_n(&r.ctl->bytes,
                                                   __ATOMIC_RELAXED);
    }
}

/* Returns how many frames and notes wait in the ring of queue 'q' that side
 * 'side' of 'link' fills. */
uint32_t
dpdkr_dir_fill(const struct dpdkr_link *link, int side, uint32_t q)
{
    struct dpdkr_ring_view r;

    dpdkr_ring_view_init(&r, link->mem->base, &link->mem->g,
                         dpdkr_ring_of(q, side));
    uint32_t cons = __atomic_load_n(&r.ctl->cons, __ATOMIC_RELAXED);
    uint32_t n = __atomic_load_n(&r.ctl->prod, __ATOMIC_ACQUIRE) - cons;

    return MIN(n, link->mem->g.ring_size);
}

static enum dpdkr_queue_state
queue_state(const struct dpdkr_link *link, int side, uint32_t q)
{
    struct dpdkr_port *src = link->end[side]->port;
    const struct dpdkr_end *dst = link->end[!side];
    uint32_t applied = dpdkr_orders_applied(src, q);
    struct dpdkr_gate gate;

    dpdkr_orders_gate(src, q, &gate);
    if (dpdkr_orders_note_is_under_way(src, q, &gate)) {
        return QUEUE_ENTERING;
    }
    if (gate.state == DPDKR_GATE_OPEN || !dst || gate.route.dst != dst->port
        || gate.route.entry != link->entry[!side]) {
        return QUEUE_AWAY;
    }
    if (src->orders.number == gate.route.number) {
        return QUEUE_ON_LINK;
    }
    if (applied != gate.route.number) {
        return QUEUE_LEFT;
    }
    return dpdkr_dir_fill(link, side, q) ? QUEUE_LEAVING : QUEUE_IDLE;
}

/* Returns the highest state of the queues of side 'side' of 'link'. */
enum dpdkr_queue_state
dpdkr_dir_state(const struct dpdkr_link *link, int side)
{
    const struct dpdkr_end *src = link->end[side];
    enum dpdkr_queue_state highest = QUEUE_AWAY;

    if (src && src->port && link->dir[side].number) {
        uint32_t n = MIN(src->port->n_queues, link->mem->g.n_queues);

        for (uint32_t q = 0; q < n; q++) {
            highest = MAX(highest, queue_state(link, side, q));
        }
    }
    return highest;
}

/* Returns true if what the peer at side 'side' of 'link', which is ordered
 * there, sends from now on goes over the link.  A queue has followed the order
 * when its note has been passed on.  One from which nothing waits in the port,
 * or that has not sent since an earlier order to the same link, follows with
 * its next frame; should it be in the middle of a burst just now, with the one
 * after that. */
bool
dpdkr_dir_has_followed(const struct dpdkr_link *link, int side)
{
    struct dpdkr_port *src = link->end[side]->port;
    uint32_t n_txq;

    atomic_read_relaxed(&src->peer_n_txq, &n_txq);
    for (uint32_t q = 0; q < n_txq; q++) {
        enum dpdkr_queue_state state = queue_state(link, side, q);

        if (state == QUEUE_ENTERING || state == QUEUE_LEFT
            || (state == QUEUE_AWAY && dpdkr_orders_queue_waits(src, q))) {
            return false;
        }
    }
    return true;
}

/* Returns the queues of side 'side' of 'link' whose last note there the
 * receiver has had for DPDKR_LINK_PATIENCE_MS without reading it, one bit
 * each.  A queue that was idle, or whose peer stood still, may leave the link
 * long after it was ordered to: the receiver's time begins with the note. */
uint64_t
dpdkr_dir_late_queues(struct dpdkr_link *link, int side, long long int now)
{
    struct dpdkr_dir *dir = &link->dir[side];
    uint32_t n = MIN(link->end[side]->port->n_queues, link->mem->g.n_queues);
    uint64_t late = 0;

    for (uint32_t q = 0; q < n; q++) {
        if (queue_state(link, side, q) != QUEUE_LEFT) {
            dir->left_since[q] = 0;
        } else if (!dir->left_since[q]) {
            dir->left_since[q] = now;
        } else if (now - dir->left_since[q] > DPDKR_LINK_PATIENCE_MS) {
            late |= UINT64_C(1) << q;
        }
    }
    return late;
}

/* Returns true if the receiver of what side 'side' of 'link' sends has had no
 * room for a note of a handover to the link for some time, although the next
 * order is to go back. */
bool
dpdkr_dir_is_held_up(struct dpdkr_link *link, int side, long long int now)
{
    struct dpdkr_dir *dir = &link->dir[side];

    if (!dpdkr_end_has_note_in_hold(link->end[side])) {
        dir->hold_since = 0;
    } else if (!dir->hold_since) {
        dir->hold_since = now;
    }
    return dir->hold_since && now - dir->hold_since > DPDKR_LINK_PATIENCE_MS;
}

/* Returns true if nothing waits in what side 'side' of 'link' fills. */
bool
dpdkr_dir_is_empty(const struct dpdkr_link *link, int side)
{
    for (uint32_t q = 0; q < link->mem->g.n_queues; q++) {
        if (dpdkr_dir_fill(link, side, q)) {
            return false;
        }
    }
    return true;
}

/* Returns how many frames of side 'side' wait in 'link'. */
uint64_t
dpdkr_dir_left_frames(const struct dpdkr_link *link, int side)
{
    uint64_t n = 0;

    for (uint32_t q = 0; q < link->mem->g.n_queues; q++) {
        uint32_t fill = dpdkr_dir_fill(link, side, q);

        if (fill) {
            struct dpdkr_ring_view r;
            uint32_t last;

            /* Nothing is ever behind a note. */
            dpdkr_ring_view_init(&r, link->mem->base, &link->mem->g,
                                 dpdkr_ring_of(q, side));
            last = __atomic_load_n(&r.ctl->prod, __ATOMIC_ACQUIRE) - 1;
            n += fill - (r.descs[last & r.mask].flags == DPDKR_D_NOTE);
        }
    }
    return n;
}

/* Returns true if side 'side' of 'link' goes on filling it long after it was
 * told to stop: frames that the flow table wants elsewhere reach the receiver.
 * A sender that was stopped in the middle of a burst finishes that one, so
 * seeing it once is not enough. */
bool
dpdkr_dir_is_defiant(struct dpdkr_link *link, int side, long long int now)
{
    struct dpdkr_dir *dir = &link->dir[side];
    uint64_t prods = 0;

    if (now < dir->next_look) {
        return false;
    }
    for (uint32_t q = 0; q < link->mem->g.n_queues; q++) {
        struct dpdkr_ring_view r;

        dpdkr_ring_view_init(&r, link->mem->base, &link->mem->g,
                             dpdkr_ring_of(q, side));
        prods += __atomic_load_n(&r.ctl->prod, __ATOMIC_RELAXED);
    }
    if (dir->next_look == dir->since + DPDKR_LINK_PATIENCE_MS
        || prods == dir->prods) {
        dir->defiance = 0;
    } else {
        dir->defiance++;
    }
    dir->prods = prods;
    dir->next_look = now + DPDKR_LINK_PATIENCE_MS / 10;
    return dir->defiance > 2;
}

/* Returns true if the receiver of what side 'side' of 'link' sends has taken
 * nothing for some time though there was something. */
bool
dpdkr_dir_is_stuck(struct dpdkr_link *link, int side, long long int now)
{
    struct dpdkr_dir *dir = &link->dir[side];
    uint64_t conss = 0;
    bool empty = true;

    for (uint32_t q = 0; q < link->mem->g.n_queues; q++) {
        struct dpdkr_ring_view r;

        dpdkr_ring_view_init(&r, link->mem->base, &link->mem->g,
                             dpdkr_ring_of(q, side));
        conss += __atomic_load_n(&r.ctl->cons, __ATOMIC_RELAXED);
        empty = empty && !dpdkr_dir_fill(link, side, q);
    }
    if (empty || conss != dir->conss) {
        dir->stuck_since = LLONG_MAX;
    } else if (dir->stuck_since == LLONG_MAX) {
        dir->stuck_since = now;
    }
    dir->conss = conss;
    return (dir->stuck_since != LLONG_MAX
            && now - dir->stuck_since > DPDKR_LINK_PATIENCE_MS);
}

/* Returns true if a note of the peer of 'src' is on its way to the switch or
 * being passed on, so that there must not be another one (A1). */
bool
dpdkr_end_has_note_under_way(const struct dpdkr_end *src)
{
    for (uint32_t q = 0; q < src->port->n_queues; q++) {
        struct dpdkr_gate gate;

        dpdkr_orders_gate(src->port, q, &gate);
        if (dpdkr_orders_note_is_under_way(src->port, q, &gate)) {
            return true;
        }
    }
    return false;
}

/* Returns true if a note of the peer of 'src' cannot be passed on. */
bool
dpdkr_end_has_note_in_hold(const struct dpdkr_end *src)
{
    for (uint32_t q = 0; q < src->port->n_queues; q++) {
        struct dpdkr_gate gate;

        dpdkr_orders_gate(src->port, q, &gate);
        if (gate.state == DPDKR_GATE_HOLD) {
            return true;
        }
    }
    return false;
}
