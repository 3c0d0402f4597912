/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "dpdkr-fake-link.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>

void
fake_link_create(struct fake_link *l, const char *path, struct fake_port *a,
                 struct fake_port *b, uint32_t n_queues, uint32_t ring_size,
                 uint32_t slot_size)
{
    const char *problem;
    uint8_t id[16];

    memset(l, 0, sizeof *l);
    snprintf(l->path, sizeof l->path, "%s", path);
    l->ports[0] = l->ways[0].src = l->ways[1].dst = a;
    l->ports[1] = l->ways[1].src = l->ways[0].dst = b;
    unlink(path);
    l->fd = open(path, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL, 0600);
    problem = dpdkr_geometry_init(&l->g, n_queues, ring_size, slot_size);
    if (l->fd < 0 || problem || ftruncate(l->fd, l->g.total_size)
        || getrandom(id, sizeof id, 0) != sizeof id) {
        err(2, "%s: %s", path, problem ? problem : "cannot create");
    }
    l->base = mmap(NULL, l->g.total_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                   l->fd, 0);
    if (l->base == MAP_FAILED) {
        err(2, "%s: mmap", path);
    }
    l->h = l->base;
    dpdkr_header_init(l->h, &l->g, DPDKR_KIND_LINK, id);
    __atomic_store_n(&l->h->magic, DPDKR_MAGIC, __ATOMIC_RELEASE);
}

void
fake_link_destroy(struct fake_link *l)
{
    munmap(l->base, l->g.total_size);
    close(l->fd);
    unlink(l->path);
    memset(l, 0, sizeof *l);
}

/* Wakes who sleeps in the rings of 'p'. */
static void
wake_peer(struct fake_port *p)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < p->g.n_queues; i++) {
        uint32_t *wake = &p->tx[i].r.ctl->wake;

        if (__atomic_exchange_n(wake, 0, __ATOMIC_SEQ_CST)) {
            syscall(SYS_futex, wake, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
    }
}

void
fake_control_changed(struct fake_port *p)
{
    struct dpdkr_control *c = dpdkr_control(p->base);

    __atomic_store_n(&c->seq, c->seq + 1, __ATOMIC_RELEASE);
    wake_peer(p);
}

void
fake_offer(struct fake_port *p, uint32_t entry,
           const struct dpdkr_link_offer *offer)
{
    struct dpdkr_link_offer *to = &dpdkr_control(p->base)->offer[entry];
    uint32_t seq = to->seq;

    memcpy((char *) to + sizeof to->seq,
           (const char *) offer + sizeof to->seq,
           sizeof *to - sizeof to->seq);
    __atomic_store_n(&to->seq, seq + 1 ? seq + 1 : 1, __ATOMIC_RELEASE);
    fake_control_changed(p);
}

void
fake_withdraw(struct fake_port *p, uint32_t entry)
{
    struct dpdkr_link_offer none;

    memset(&none, 0, sizeof none);
    fake_offer(p, entry, &none);
}

struct dpdkr_link_offer
fake_link_offer(const struct fake_link *l, uint32_t side)
{
    struct dpdkr_link_offer o;

    memset(&o, 0, sizeof o);
    o.side = side;
    memcpy(o.id, l->h->id, sizeof o.id);
    o.max_frame = l->g.slot_size;
    snprintf(o.file, sizeof o.file, "%.63s", strrchr(l->path, '/') + 1);
    return o;
}

int
fake_answer(const struct fake_port *p, uint32_t entry)
{
    const struct dpdkr_control *c = dpdkr_control(p->base);

    if (__atomic_load_n(&c->answer[entry].seq, __ATOMIC_ACQUIRE)
        != c->offer[entry].seq) {
        return -1;
    }
    return c->answer[entry].status;
}

void
fake_link_offer_both(struct fake_link *l, uint32_t a, uint32_t b)
{
    l->entries[0] = l->ways[0].src_entry = l->ways[1].dst_entry = a;
    l->entries[1] = l->ways[1].src_entry = l->ways[0].dst_entry = b;
    for (uint32_t side = 0; side < 2; side++) {
        struct dpdkr_link_offer o = fake_link_offer(l, side);

        fake_offer(l->ports[side], l->entries[side], &o);
        /* Numbers go on from those of an earlier link. */
        l->ways[side].number
            = dpdkr_order_load(&dpdkr_control(l->ports[side]->base)
                               ->tx_order).number;
    }
    for (uint32_t side = 0; side < 2; side++) {
        struct fake_way *w = &l->ways[side];

        for (uint32_t q = 0; q < w->src->g.n_queues; q++) {
            w->queues[q].gate = FAKE_OPEN;
            w->queues[q].noted = dpdkr_control(w->src->base)->noted[q];
        }
    }
}

/* Returns true if no queue of 'src' has a note under way, so that the next
 * order to a link may be given. */
bool
fake_may_order(const struct fake_way *w)
{
    const struct dpdkr_control *c = dpdkr_control(w->src->base);

    if (w->number & 1
        || fake_answer(w->src, w->src_entry) != DPDKR_LINK_MAPPED
        || fake_answer(w->dst, w->dst_entry) != DPDKR_LINK_MAPPED) {
        return false;
    }
    for (uint32_t q = 0; q < w->src->g.n_queues; q++) {
        uint32_t applied = __atomic_load_n(&c->applied[q], __ATOMIC_ACQUIRE);
        uint32_t noted = __atomic_load_n(&c->noted[q], __ATOMIC_ACQUIRE);

        if (w->queues[q].gate == FAKE_HOLD || noted != w->queues[q].noted
            || (applied & 1 && applied != w->queues[q].noted)) {
            return false;
        }
    }
    return true;
}

static void
order(struct fake_way *w, uint32_t link)
{
    w->n_orders++;
    dpdkr_order_store(&dpdkr_control(w->src->base)->tx_order, ++w->number,
                      link);
    /* Partner: S1. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void
fake_order_link(struct fake_way *w)
{
    order(w, w->src_entry);
}

void
fake_order_port(struct fake_way *w)
{
    order(w, 0);
}

/* Returns true if there is nothing more to take from queue 'q' now. */
static bool
gate_is_shut(struct fake_way *w, uint32_t q)
{
    struct dpdkr_consumer *rx = &w->src->rx[q];
    uint32_t n_rxq = w->dst->them->n_rxq;
    uint32_t number = w->queues[q].noted;
    uint32_t seq = dpdkr_control(w->dst->base)->offer[w->dst_entry].seq;

    if (w->queues[q].gate == FAKE_HOLD) {
        /* W2. */
        for (uint32_t i = 0; i < n_rxq; i++) {
            uint64_t bit = UINT64_C(1) << i;

            if (!(w->queues[q].passed & bit)
                && dpdkr_producer_note(&w->dst->tx[i], number,
                                       DPDKR_NOTE_PAD(seq, w->dst_entry,
                                                      q))) {
                w->queues[q].passed |= bit;
                w->n_notes++;
            }
        }
        if (w->queues[q].passed == (UINT64_C(2) << (n_rxq - 1)) - 1) {
            w->queues[q].gate = FAKE_CLOSED;
            dpdkr_consumer_release(rx, 0);
        }
    }
    if (w->queues[q].gate == FAKE_CLOSED) {
        const struct dpdkr_control *c = dpdkr_control(w->dst->base);

        /* W3. */
        if (w->number != number
            && (__atomic_load_n(&c->answer[w->dst_entry].rx_done[q],
                                __ATOMIC_ACQUIRE) == number + 1)) {
            w->queues[q].gate = FAKE_OPEN;
        }
    }
    return w->queues[q].gate != FAKE_OPEN;
}

uint32_t
fake_forward(struct fake_way *w, uint32_t q, uint32_t n,
             uint32_t (*ring_of)(const void *, uint32_t))
{
    struct dpdkr_consumer *rx = &w->src->rx[q];
    uint32_t i;

    if (!w->src->up || !w->dst->up || gate_is_shut(w, q)) {
        return 0;
    }
    n = dpdkr_consumer_avail(rx, n);
    for (i = 0; i < n; i++) {
        struct dpdkr_producer *tx;
        const uint8_t *data;
        uint32_t len, number;
        uint16_t pad;

        data = dpdkr_consumer_frame(rx, 0, &len);
        if (!data) {
            /* W1. */
            if (dpdkr_consumer_note(rx, &number, &pad)) {
                w->queues[q].noted = number;
                w->queues[q].passed = 0;
                w->queues[q].gate = FAKE_HOLD;
            }
            break;
        }
        tx = &w->dst->tx[ring_of(data, w->dst->them->n_rxq)];
        if (!dpdkr_producer_room(tx, 1) || len > tx->r.slot_size) {
            break;
        }
        memcpy(dpdkr_producer_slot(tx, 0), data, len);
        dpdkr_producer_set(tx, 0, len);
        dpdkr_producer_publish(tx, 1);
        dpdkr_consumer_release(rx, 1);
    }
    w->n_forwarded += i;
    return i;
}
