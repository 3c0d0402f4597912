/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-gate.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "coverage.h"
#include "dpdkr-port.h"
#include "timeval.h"
#include "util.h"

COVERAGE_DEFINE(dpdkr_note_passed);
COVERAGE_DEFINE(dpdkr_gate_opened);

/* How long a packet may wait in an output batch of a datapath thread, in
 * microseconds: other_config:tx-flush-interval. */
static atomic_uint32_t flush_interval = ATOMIC_VAR_INIT(0);

/* Tells what other_config:tx-flush-interval is going to be.  The longest one
 * ever is what counts: packets that were put into a batch before a change wait
 * as long as was said then. */
void
dpdkr_gate_set_flush_interval(uint32_t us)
{
    uint32_t old;

    atomic_read(&flush_interval, &old);
    if (us > old) {
        atomic_store(&flush_interval, us);
    }
}

static struct dpdkr_control *
control(const struct dpdkr_port *port)
{
    return dpdkr_control(port->mem->base);
}

/* Tells the next switch that the gate of queue 'queue' is closed behind note
 * 'number', or open if that is 0. */
static void
mark_gate(struct dpdkr_port *port, uint32_t queue, uint32_t number,
          uint32_t link)
{
    struct dpdkr_gate_mark *mark = &control(port)->gate[queue];

    __atomic_store_n(&mark->link, link, __ATOMIC_RELAXED);
    __atomic_store_n(&mark->number, number, __ATOMIC_RELEASE);
}

/* ## ------------- ## */
/* ## Queue threads ## */
/* ## ------------- ## */

/* Step W1 of <dpdkr/link.h>: 'q' is at a note.  Returns false if that note
 * cannot be. */
bool
dpdkr_gate_take_note(struct dpdkr_port_queue *q)
    OVS_REQUIRES(q->rx_lock)
{
    struct dpdkr_gate *gate = &q->gate;
    uint32_t number, interval;
    uint16_t pad;

    if (!dpdkr_consumer_note(&q->rx, &number, &pad) || !number) {
        return false;
    }
    if (number == gate->route.number) {
        /* An earlier switch has passed it on. */
        dpdkr_consumer_release(&q->rx, 0);
        return true;
    }
    if (number != gate->next.number) {
        return false;
    }
    gate->route = gate->next;
    if (!gate->route.dst) {
        dpdkr_consumer_release(&q->rx, 0);
        return true;
    }

    /* The packets that this thread has taken from the queue so far leave its
     * output batches before it polls the queue again, unless batches are kept
     * for a while. */
    atomic_read_relaxed(&flush_interval, &interval);
    gate->state = DPDKR_GATE_HOLD;
    gate->passed = 0;
    gate->flush_after = interval ? time_usec() + 2 * interval : LLONG_MIN;
    return true;
}

/* Step W2.  Returns true when it is complete. */
static bool
pass_note(struct dpdkr_port *port, struct dpdkr_port_queue *q, uint32_t queue)
    OVS_REQUIRES(q->rx_lock)
{
    struct dpdkr_gate *gate = &q->gate;
    struct dpdkr_port *dst = gate->route.dst;
    uint16_t pad = DPDKR_NOTE_PAD(gate->route.seq, gate->route.entry, queue);
    bool all = true;
    uint32_t n_rxq;

    if (!dst) {
        return false;
    }
    if (gate->flush_after != LLONG_MIN) {
        if (time_usec() >= gate->flush_after) {
            /* Time is up, but this thread may not have noticed: it looks at
             * its batches before it polls this queue again. */
            gate->flush_after = LLONG_MIN;
        }
        return false;
    }
    atomic_read_relaxed(&dst->peer_n_rxq, &n_rxq);
    for (uint32_t i = 0; i < n_rxq; i++) {
        struct dpdkr_port_queue *out = &dst->queues[i];

        if (gate->passed & UINT64_C(1) << i) {
            continue;
        }
        ovs_spin_lock(&out->tx_lock);
        if (dpdkr_port_is_up(dst)
            && dpdkr_producer_note(&out->tx, gate->route.number, pad)) {
            gate->passed |= UINT64_C(1) << i;
        } else if (out->tx.broken && dpdkr_port_is_up(dst)) {
            dpdkr_port_report_broken(dst, out->tx.broken);
        }
        ovs_spin_unlock(&out->tx_lock);
        all = all && gate->passed & UINT64_C(1) << i;
    }
    if (!all) {
        return false;
    }

    /* Now its slot may go. */
    mark_gate(port, queue, gate->route.number, gate->route.link);
    dpdkr_consumer_release(&q->rx, 0);
    COVERAGE_INC(dpdkr_note_passed);
    gate->state = DPDKR_GATE_CLOSED;
    return true;
}

/* Does what there is to do at the gate of 'q', number 'queue' of 'port', which
 * is not open.  Returns true if it is now. */
bool
dpdkr_gate_try_open(struct dpdkr_port *port, struct dpdkr_port_queue *q,
                    uint32_t queue)
    OVS_REQUIRES(q->rx_lock)
{
    struct dpdkr_gate *gate = &q->gate;
    uint32_t order;

    if (gate->state == DPDKR_GATE_HOLD && !pass_note(port, q, queue)) {
        return false;
    }

    /* W3. */
    atomic_read_relaxed(&port->order, &order);
    if (order == gate->route.number || !gate->route.dst
        || (dpdkr_orders_rx_done(gate->route.dst, gate->route.entry, queue)
            != gate->route.number + 1)) {
        return false;
    }
    gate->state = DPDKR_GATE_OPEN;
    mark_gate(port, queue, 0, 0);
    COVERAGE_INC(dpdkr_gate_opened);
    return true;
}

/* ## ------ ## */
/* ## Orders ## */
/* ## ------ ## */

/* Wakes the threads of a peer that sleep in the port's rings. */
static void
wake_peer(struct dpdkr_port *port)
{
    if (!(port->peer_flags & DPDKR_F_SLEEPS)) {
        return;
    }
    for (uint32_t i = 0; i < port->n_queues; i++) {
        uint32_t *wake = &port->queues[i].tx.r.ctl->wake;

        if (__atomic_exchange_n(wake, 0, __ATOMIC_SEQ_CST)) {
            syscall(SYS_futex, wake, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
    }
}

/* Writes all that 'port->orders' says, whatever the peer has made of it. */
void
dpdkr_orders_publish(struct dpdkr_port *port)
{
    struct dpdkr_control *c = control(port);
    const struct dpdkr_orders *o = &port->orders;

    if (memcmp(c->offer, o->offer, sizeof c->offer)) {
        for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
            struct dpdkr_link_offer *to = &c->offer[i];
            const struct dpdkr_link_offer *from = &o->offer[i];
            size_t ofs = sizeof to->seq;

            memcpy((char *) to + ofs, (const char *) from + ofs,
                   sizeof *to - ofs);
            __atomic_store_n(&to->seq, from->seq, __ATOMIC_RELEASE);
        }
    }
    if (dpdkr_order_load(&c->tx_order).number != o->number
        || dpdkr_order_load(&c->tx_order).link != o->link) {
        dpdkr_order_store(&c->tx_order, o->number, o->link);
    }
    if (__atomic_load_n(&c->seq, __ATOMIC_RELAXED) != o->seq) {
        __atomic_store_n(&c->seq, o->seq, __ATOMIC_RELEASE);
    }
}

static void
orders_changed(struct dpdkr_port *port)
{
    port->orders.seq++;
    dpdkr_orders_publish(port);
    wake_peer(port);
}

static void
set_order(struct dpdkr_port *port, uint32_t number, uint32_t link)
{
    port->orders.number = number;
    port->orders.link = link;
    atomic_store(&port->order, number);
}

/* Returns true if note 'number' waits in the ring of 'q'. */
static bool
find_note(const struct dpdkr_port_queue *q, uint32_t number)
    OVS_REQUIRES(q->rx_lock)
{
    const struct dpdkr_ring_view *r = &q->rx.r;
    uint32_t prod = __atomic_load_n(&r->ctl->prod, __ATOMIC_ACQUIRE);
    uint32_t n = MIN(prod - q->rx.cons, r->mask + 1);

    for (uint32_t i = 0; i < n; i++) {
        const struct dpdkr_desc *d = &r->descs[(q->rx.cons + i) & r->mask];

        if (d->flags == DPDKR_D_NOTE && d->len == number) {
            return true;
        }
    }
    return false;
}

/* Finds out where an earlier switch has left queue number 'queue'. */
static void
adopt_gate(struct dpdkr_port *port, uint32_t queue)
{
    const struct dpdkr_control *c = control(port);
    struct dpdkr_port_queue *q = &port->queues[queue];
    uint32_t noted = __atomic_load_n(&c->noted[queue], __ATOMIC_RELAXED);
    uint32_t closed = __atomic_load_n(&c->gate[queue].number,
                                      __ATOMIC_RELAXED);
    struct dpdkr_gate *gate = &q->gate;

    dpdkr_queue_lock(&q->rx_lock);
    gate->route.number = noted;
    if (dpdkr_orders_are_adopted(port)) {
        if (noted && noted != closed && find_note(q, noted)) {
            gate->found_note = noted;
            gate->route.number = 0;
        }
        if (closed) {
            gate->route.number = closed;
        }
        /* Also where there is no note: there may be one soon. */
        gate->state = DPDKR_GATE_CLOSED;
    }
    ovs_spin_unlock(&q->rx_lock);
}

/* Continues with what an earlier switch has ordered in the memory of 'port'.
 * If there are links, the gates are closed until dpdkr_orders_resume() and
 * dpdkr_orders_give_up(). */
void
dpdkr_orders_adopt(struct dpdkr_port *port)
{
    const struct dpdkr_control *c = control(port);
    struct dpdkr_order order = dpdkr_order_load(&c->tx_order);

    port->orders.seq = c->seq;
    memcpy(port->orders.offer, c->offer, sizeof port->orders.offer);
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link_offer *o = &port->orders.offer[i];

        o->side &= 1;
        o->file[sizeof o->file - 1] = '\0';
    }
    set_order(port, order.number, order.link % DPDKR_MAX_LINKS);
    if (!dpdkr_orders_are_adopted(port)) {
        dpdkr_orders_reset(port);
    }
    for (uint32_t i = 0; i < port->n_queues; i++) {
        adopt_gate(port, i);
    }
}

/* Returns true if an earlier switch has left links in the memory of 'port', or
 * this one has made some. */
bool
dpdkr_orders_are_adopted(const struct dpdkr_port *port)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        if (port->orders.offer[i].file[0]) {
            return true;
        }
    }
    return false;
}

/* Continues with what an earlier switch has handed over to the link in entry
 * 'entry', whose receiver is 'dst', where the link has entry 'dst_entry'.
 * Returns the number of the last handover there, or 0 if there is none. */
uint32_t
dpdkr_orders_resume(struct dpdkr_port *port, uint32_t entry,
                    struct dpdkr_port *dst, uint32_t dst_entry)
{
    const struct dpdkr_control *c = control(port);
    uint32_t number = port->orders.number;
    struct dpdkr_route route = {
        .dst = dst,
        .entry = dst_entry,
        .seq = dst->orders.offer[dst_entry].seq,
        .link = DPDKR_NOTED_LINK(port->orders.offer[entry].seq, entry),
    };
    uint32_t last = 0;

    if (port->orders.link == entry && number) {
        last = number & 1 ? number : number - 1;
    }
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];
        struct dpdkr_gate *gate = &q->gate;

        dpdkr_queue_lock(&q->rx_lock);
        if (gate->state == DPDKR_GATE_CLOSED && !gate->route.dst
            && gate->route.number && c->gate[i].number == gate->route.number
            && c->gate[i].link == route.link) {
            uint32_t closed = gate->route.number;

            gate->route = route;
            gate->route.number = closed;
            last = last && (int32_t) (last - closed) > 0 ? last : closed;
        }
        if (gate->found_note && c->noted_link[i] == route.link) {
            gate->next = route;
            gate->next.number = gate->found_note;
            last = (last && (int32_t) (last - gate->found_note) > 0
                    ? last : gate->found_note);
        } else if (!gate->found_note && last && port->orders.link == entry) {
            /* The queue may not have noticed yet. */
            gate->next = route;
            gate->next.number = last;
        }
        ovs_spin_unlock(&q->rx_lock);
    }
    return last;
}

/* Ends what dpdkr_orders_adopt() began: opens the gates that nothing has to be
 * waited for at. */
void
dpdkr_orders_give_up(struct dpdkr_port *port)
{
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];
        struct dpdkr_gate *gate = &q->gate;

        dpdkr_queue_lock(&q->rx_lock);
        if (gate->found_note && gate->next.number != gate->found_note) {
            gate->next = (struct dpdkr_route) { .number = gate->found_note };
        }
        gate->found_note = 0;
        if (gate->state == DPDKR_GATE_CLOSED && !gate->route.dst) {
            gate->state = DPDKR_GATE_OPEN;
            mark_gate(port, i, 0, 0);
        }
        ovs_spin_unlock(&q->rx_lock);
    }
}

/* Forgets the notes of the last peer: there is a new one. */
void
dpdkr_orders_forget_notes(struct dpdkr_port *port)
{
    dpdkr_orders_reset(port);
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];

        dpdkr_queue_lock(&q->rx_lock);
        q->gate.next.number = q->gate.route.number = 0;
        q->gate.found_note = 0;
        ovs_spin_unlock(&q->rx_lock);
    }
}

/* Takes back everything that was ordered, and opens the gates. */
void
dpdkr_orders_reset(struct dpdkr_port *port)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        uint32_t seq = port->orders.offer[i].seq;

        if (seq && port->orders.offer[i].file[0]) {
            seq++;
        }
        memset(&port->orders.offer[i], 0, sizeof port->orders.offer[i]);
        port->orders.offer[i].seq = seq;
    }
    set_order(port, ROUND_UP(port->orders.number, 2), 0);
    orders_changed(port);
    dpdkr_orders_open_gates(port, NULL);
}

/* Offers the link that '*offer' describes ('seq' does not matter) in entry
 * 'entry'. */
void
dpdkr_orders_offer(struct dpdkr_port *port, uint32_t entry,
                   const struct dpdkr_link_offer *offer)
{
    uint32_t seq = port->orders.offer[entry].seq;

    port->orders.offer[entry] = *offer;
    port->orders.offer[entry].seq = seq + 1 ? seq + 1 : 1;
    orders_changed(port);
}

/* Withdraws the offer in entry 'entry'. */
void
dpdkr_orders_withdraw(struct dpdkr_port *port, uint32_t entry)
{
    struct dpdkr_link_offer none;

    memset(&none, 0, sizeof none);
    dpdkr_orders_offer(port, entry, &none);
}

/* Step A4. */
void
dpdkr_orders_drain(struct dpdkr_port *port, uint32_t entry, uint32_t number)
{
    port->orders.offer[entry].rx_drain = number;
    orders_changed(port);
}

/* Has rings that wait for the rest of the notes of handover 'number' read
 * without. */
void
dpdkr_orders_force(struct dpdkr_port *port, uint32_t entry, uint32_t number)
{
    if (port->orders.offer[entry].rx_force != number) {
        port->orders.offer[entry].rx_force = number;
        orders_changed(port);
    }
}

/* Step A1: orders handover 'number', odd, to the link in entry 'entry'.  Notes
 * are passed on to 'dst', where the link has entry 'dst_entry'. */
void
dpdkr_orders_to_link(struct dpdkr_port *port, uint32_t number, uint32_t entry,
                     struct dpdkr_port *dst, uint32_t dst_entry)
{
    struct dpdkr_route route = {
        .number = number,
        .dst = dst,
        .entry = dst_entry,
        .seq = dst->orders.offer[dst_entry].seq,
        .link = DPDKR_NOTED_LINK(port->orders.offer[entry].seq, entry),
    };

    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];

        dpdkr_queue_lock(&q->rx_lock);
        q->gate.next = route;
        ovs_spin_unlock(&q->rx_lock);
    }
    set_order(port, number, entry);
    dpdkr_orders_publish(port);
    /* Partner: S1. */
    atomic_thread_fence(memory_order_seq_cst);
}

/* Step A2: orders handover 'number', even, to the port. */
void
dpdkr_orders_to_port(struct dpdkr_port *port, uint32_t number)
{
    set_order(port, number, port->orders.link);
    dpdkr_orders_publish(port);
    /* Partner: S1. */
    atomic_thread_fence(memory_order_seq_cst);
}

/* ## ------- ## */
/* ## Answers ## */
/* ## ------- ## */

/* Returns true if the peer has answered to the last offer, or withdrawal, in
 * entry 'entry', and stores what it said. */
bool
dpdkr_orders_answered(const struct dpdkr_port *port, uint32_t entry,
                      uint32_t *status, uint32_t *error)
{
    const struct dpdkr_link_answer *a = &control(port)->answer[entry];

    if (__atomic_load_n(&a->seq, __ATOMIC_ACQUIRE)
        != port->orders.offer[entry].seq) {
        return false;
    }
    *status = __atomic_load_n(&a->status, __ATOMIC_RELAXED);
    *error = __atomic_load_n(&a->error, __ATOMIC_RELAXED);
    return true;
}

/* Returns the number of the handover that transmit queue 'queue' of the peer
 * follows. */
uint32_t
dpdkr_orders_applied(const struct dpdkr_port *port, uint32_t queue)
{
    return __atomic_load_n(&control(port)->applied[queue], __ATOMIC_ACQUIRE);
}

/* Returns true if a note of transmit queue 'queue' of the peer, whose gate is
 * 'gate', is on its way to the switch or being passed on. */
bool
dpdkr_orders_note_is_under_way(const struct dpdkr_port *port, uint32_t queue,
                               const struct dpdkr_gate *gate)
{
    uint32_t applied = dpdkr_orders_applied(port, queue);
    uint32_t noted = __atomic_load_n(&control(port)->noted[queue],
                                     __ATOMIC_ACQUIRE);

    return (gate->state == DPDKR_GATE_HOLD
            || noted != gate->route.number
            || (applied & 1 && applied != gate->route.number));
}

/* Returns the last note that the peer has read in its ring 'queue' of the link
 * in entry 'entry'. */
uint32_t
dpdkr_orders_rx_done(const struct dpdkr_port *port, uint32_t entry,
                     uint32_t queue)
{
    return __atomic_load_n(&control(port)->answer[entry].rx_done[queue],
                           __ATOMIC_ACQUIRE);
}

/* ## ----- ## */
/* ## Gates ## */
/* ## ----- ## */

/* Copies the gate of queue 'queue' into '*gate'. */
void
dpdkr_orders_gate(struct dpdkr_port *port, uint32_t queue,
                  struct dpdkr_gate *gate)
{
    struct dpdkr_port_queue *q = &port->queues[queue];

    dpdkr_queue_lock(&q->rx_lock);
    *gate = q->gate;
    ovs_spin_unlock(&q->rx_lock);
}

/* Returns true if the peer has put something into queue 'queue' that has not
 * been taken. */
bool
dpdkr_orders_queue_waits(struct dpdkr_port *port, uint32_t queue)
{
    struct dpdkr_port_queue *q = &port->queues[queue];
    bool waits;

    dpdkr_queue_lock(&q->rx_lock);
    waits = (__atomic_load_n(&q->rx.r.ctl->prod, __ATOMIC_ACQUIRE)
             != q->rx.cons);
    ovs_spin_unlock(&q->rx_lock);

    return waits;
}

/* Opens those gates of 'queues', a bit each, that are closed until 'dst' has
 * emptied a link that is to be left, without waiting for that. */
void
dpdkr_orders_open_late_gates(struct dpdkr_port *port,
                             const struct dpdkr_port *dst, uint64_t queues)
{
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];
        struct dpdkr_gate *gate = &q->gate;

        dpdkr_queue_lock(&q->rx_lock);
        if (queues & UINT64_C(1) << i
            && gate->state == DPDKR_GATE_CLOSED && gate->route.dst == dst
            && gate->route.number != port->orders.number) {
            gate->state = DPDKR_GATE_OPEN;
            gate->route.dst = NULL;
            mark_gate(port, i, 0, 0);
        }
        ovs_spin_unlock(&q->rx_lock);
    }
}

/* Opens the gates behind which notes went to 'dst', or all of them if 'dst' is
 * NULL, without the receiver's answer, and forgets all routes there. */
void
dpdkr_orders_open_gates(struct dpdkr_port *port, const struct dpdkr_port *dst)
{
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];
        struct dpdkr_gate *gate = &q->gate;

        dpdkr_queue_lock(&q->rx_lock);
        if (!dst || gate->route.dst == dst) {
            if (gate->state == DPDKR_GATE_HOLD) {
                dpdkr_consumer_release(&q->rx, 0);
            }
            gate->state = DPDKR_GATE_OPEN;
            gate->route.dst = NULL;
            mark_gate(port, i, 0, 0);
        }
        if (!dst || gate->next.dst == dst) {
            gate->next.dst = NULL;
        }
        ovs_spin_unlock(&q->rx_lock);
    }
}
