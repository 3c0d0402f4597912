/* SPDX-License-Identifier: Apache-2.0 */

/* Direct links: what the queue threads do.  S1 to S5 and R1, R2 are the steps
 * of <dpdkr/link.h>. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "links.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Times that a queue looks at an order anew that changes while it looks. */
#define MAX_LOOKS 16

static uint32_t
get32(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void
set32(uint32_t *p, uint32_t x)
{
    __atomic_store_n(p, x, __ATOMIC_RELEASE);
}

/* Returns the link in entry 'entry', if it is mapped and still on offer. */
static struct dpdkr_link *
current_link(const struct dpdkr_peer_queue *q, uint32_t entry)
{
    struct dpdkr_link *link;

    if (entry >= DPDKR_MAX_LINKS) {
        return NULL;
    }
    /* Partner: answer_offer(). */
    link = __atomic_load_n(&q->shared->links[entry], __ATOMIC_ACQUIRE);
    return (link && get32(&q->control->offer[entry].seq) == link->seq
            ? link : NULL);
}

static void
report_link_broken(struct dpdkr_peer_queue *q, struct dpdkr_link *link,
                   uint32_t reason)
{
    uint32_t none = DPDKR_CUT_NONE;

    if (__atomic_compare_exchange_n(&link->broken, &none, reason, false,
                                    __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        dpdkr_peer_kick(q);
    }
}

static void
report_port_broken(struct dpdkr_peer_queue *q, uint32_t reason)
{
    if (!q->broken) {
        set32(&q->broken, reason);
        dpdkr_peer_kick(q);
    }
}

/* ## --------------------- ## */
/* ## Queue thread, sending ## */
/* ## --------------------- ## */

/* Returns the link that 'q' produces in, or NULL if that is the port or the
 * link is not there any more. */
static struct dpdkr_link *
tx_link(const struct dpdkr_peer_queue *q)
{
    struct dpdkr_link *link;

    if (!q->link_seq) {
        return NULL;
    }
    link = __atomic_load_n(&q->shared->links[q->link_entry],
                           __ATOMIC_ACQUIRE);
    /* Shared memory may have the same number for one link after the other. */
    return (link && link->seq == q->link_seq
            && q->out == &link->txqs[q->index].p ? link : NULL);
}

/* S5, and where a queue starts. */
static void
tx_use_port(struct dpdkr_peer_queue *q)
{
    q->out = &q->p;
    __atomic_store_n(&q->link_seq, 0, __ATOMIC_RELAXED);
}

static void
tx_look_for_sleeper(struct dpdkr_peer_queue *q, struct dpdkr_link *link)
{
    const struct dpdkr_side *far
        = &link->mem.header->side[!link->mem.side];

    link->txqs[q->index].p.consumer_sleeps
        = get32(&far->flags) & DPDKR_F_SLEEPS;
}

/* S3. */
static void
tx_use_link(struct dpdkr_peer_queue *q, struct dpdkr_link *link)
{
    tx_look_for_sleeper(q, link);
    q->out = &link->txqs[q->index].p;
    __atomic_store_n(&q->link_entry, link->entry, __ATOMIC_RELAXED);
    __atomic_store_n(&q->link_seq, link->seq, __ATOMIC_RELAXED);
}

static bool
tx_note(struct dpdkr_producer *p, struct dpdkr_note_mark *mark,
        uint32_t number)
{
    uint32_t index = p->prod;

    if (!dpdkr_producer_note(p, number, 0)) {
        return false;
    }
    *mark = (struct dpdkr_note_mark) { .index = index, .valid = true };
    return true;
}

/* S1.  Returns the order that 'q' has applied and has to follow now, which is
 * that which it follows already if there is no other that it can follow.  For
 * an odd one, stores its link into '*linkp'. */
static uint64_t
tx_apply_order(struct dpdkr_peer_queue *q, struct dpdkr_link **linkp)
{
    uint32_t *applied = &q->control->applied[q->index];

    for (int i = 0; i < MAX_LOOKS; i++) {
        uint64_t word = dpdkr_peer_order_word(q->control);
        struct dpdkr_order order = dpdkr_order_unpack(word);

        *linkp = NULL;
        if (word == q->order) {
            break;
        }
        if (order.number & 1) {
            *linkp = current_link(q, order.link);
            if (!*linkp) {
                if (word != q->refused) {
                    q->refused = word;
                    dpdkr_peer_count(&q->refused_orders, 1);
                }
                break;
            }
        }
        set32(applied, order.number);
        /* Partner: the switch's barrier behind its store of 'tx_order'. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (dpdkr_peer_order_word(q->control) == word) {
            return word;
        }
    }
    *linkp = NULL;
    set32(applied, dpdkr_order_unpack(q->order).number);
    return q->order;
}

/* S4 and S5, for a queue that follows an odd order.  Returns false if it has
 * to stay for now. */
static bool
tx_leave_link(struct dpdkr_peer_queue *q)
{
    struct dpdkr_order old = dpdkr_order_unpack(q->order);
    struct dpdkr_link *link = tx_link(q);

    /* Without a link it has been withdrawn: no note, see A5. */
    if (link) {
        struct dpdkr_link_tx *tx = &link->txqs[q->index];

        if (!tx_note(&tx->p, &tx->mark, old.number + 1)) {
            if (tx->p.broken) {
                report_link_broken(q, link, tx->p.broken);
            }
            return false;
        }
    }
    tx_use_port(q);
    q->order = dpdkr_order_pack(old.number + 1, 0);
    dpdkr_peer_count(&q->handovers, 1);
    return true;
}

/* S2 and S3.  Returns false if it has to stay for now. */
static bool
tx_enter_link(struct dpdkr_peer_queue *q, uint64_t word,
              struct dpdkr_link *link)
{
    struct dpdkr_order order = dpdkr_order_unpack(word);

    if (!tx_note(&q->p, &q->mark, order.number)) {
        if (q->p.broken) {
            report_port_broken(q, q->p.broken);
        }
        return false;
    }
    set32(&q->control->noted_link[q->index],
          DPDKR_NOTED_LINK(link->seq, link->entry));
    set32(&q->control->noted[q->index], order.number);
    tx_use_link(q, link);
    q->order = word;
    dpdkr_peer_count(&q->handovers, 1);
    return true;
}

/* Follows the order as far as there is room for notes.  Until there is for all
 * of them, the queue takes no frames. */
static struct dpdkr_producer *
tx_follow_order(struct dpdkr_peer_queue *q)
{
    struct dpdkr_link *link;
    uint64_t word = tx_apply_order(q, &link);

    if (word != q->order) {
        if ((dpdkr_order_unpack(q->order).number & 1) && !tx_leave_link(q)) {
            return NULL;
        }
        if (!link) {
            q->order = word;
        } else if (!tx_enter_link(q, word, link)) {
            return NULL;
        }
    }
    return q->out;
}

/* The outer half of dpdkr_links_tx(): something has changed in 'control'. */
struct dpdkr_producer *
dpdkr_links_tx__(struct dpdkr_peer_queue *q)
{
    uint32_t seq = get32(&q->control->seq);

    if (seq != q->control_seq) {
        struct dpdkr_link *link = tx_link(q);

        q->control_seq = seq;
        if (link) {
            tx_look_for_sleeper(q, link);
        }
        dpdkr_peer_kick(q);
    }
    return tx_follow_order(q);
}

/* Frames in the ring of 'p' that have not been taken. */
static uint32_t
tx_ring_pending(struct dpdkr_producer *p, const struct dpdkr_note_mark *mark)
{
    uint32_t n;

    if (!dpdkr_producer_refresh__(p)) {
        return 0;
    }
    n = p->prod - p->cons;
    return n - (mark->valid && mark->index - p->cons < n);
}

uint32_t
dpdkr_links_tx_pending(struct dpdkr_peer_queue *q)
{
    uint32_t n = tx_ring_pending(&q->p, &q->mark);

    if (q->p.broken) {
        report_port_broken(q, q->p.broken);
    }
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link *link = __atomic_load_n(&q->shared->links[i],
                                                  __ATOMIC_ACQUIRE);

        if (link) {
            struct dpdkr_link_tx *tx = &link->txqs[q->index];

            n += tx_ring_pending(&tx->p, &tx->mark);
            if (tx->p.broken) {
                report_link_broken(q, link, tx->p.broken);
            }
        }
    }
    return n;
}

void
dpdkr_links_tx_broken(struct dpdkr_peer_queue *q,
                      const struct dpdkr_producer *p)
{
    if (p == &q->p) {
        report_port_broken(q, p->broken);
    } else {
        struct dpdkr_link *link = tx_link(q);

        if (link) {
            report_link_broken(q, link, p->broken);
        }
    }
}

static void
tx_rebind(struct dpdkr_peer_queue *q)
{
    struct dpdkr_link *link = tx_link(q);

    q->p.consumer_sleeps = __atomic_load_n(&q->shared->other_sleeps,
                                           __ATOMIC_RELAXED);
    if (link) {
        tx_look_for_sleeper(q, link);
    } else {
        tx_use_port(q);
    }
}

/* ## ----------------------- ## */
/* ## Queue thread, receiving ## */
/* ## ----------------------- ## */

/* Makes 'r' active, for note 'number'.  Returns false if that has happened
 * already, or it is an old note. */
static bool
ring_activate(struct dpdkr_link_ring *r, uint32_t number)
{
    uint32_t last = get32(&r->last);

    do {
        if (last && (int32_t) (number - last) <= 0) {
            return false;
        }
    } while (!__atomic_compare_exchange_n(&r->last, &last, number, true,
                                          __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    set32(&r->active, number);
    return true;
}

/* R2: the last frame of 'r' is out. */
static void
ring_deactivate(struct dpdkr_peer_queue *q, struct dpdkr_link_ring *r,
                uint32_t active)
{
    uint32_t number = active + 1;

    __atomic_compare_exchange_n(&r->active, &active, 0, false,
                                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    /* Partner: the switch's look at it (W3). */
    set32(&q->control->answer[r->link->entry].rx_done[r->index], number);
}

/* Takes all of the rings of links that 'q' has to read into its circle, and
 * the orders for them. */
static void
rx_refresh(struct dpdkr_peer_queue *q)
{
    struct dpdkr_link_ring *head = NULL, **tail = &head;

    /* Partner: rx_port_note(). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link *link = current_link(q, i);
        uint32_t drain, force;

        if (!link || q->index >= link->n_rxq) {
            continue;
        }
        drain = get32(&q->control->offer[i].rx_drain);
        force = get32(&link->force);
        for (uint32_t j = q->index; j < link->n_rings; j += link->n_rxq) {
            struct dpdkr_link_ring *r = &link->rings[j];

            for (uint32_t k = 0; force && k < link->n_rxq; k++) {
                uint32_t seen = get32(&link->seen[j * link->n_rxq + k]);

                if (seen && (int32_t) (force - seen) >= 0) {
                    ring_activate(r, seen);
                }
            }
            r->drain = drain;
            if (get32(&r->active)) {
                *tail = r;
                tail = &r->next;
            }
        }
    }
    *tail = head;               /* Closes the circle. */
    q->rings = head;
}

/* R1 for a note in the port's ring. */
static void
rx_port_note(struct dpdkr_peer_queue *q, uint32_t number, uint16_t pad)
{
    uint32_t entry = DPDKR_NOTE_ENTRY(pad);
    uint32_t index = DPDKR_NOTE_QUEUE(pad);
    struct dpdkr_link *link = current_link(q, entry);
    bool complete = true;

    if (!link || DPDKR_NOTE_SEQ(pad) != (link->seq & 0xff) || !(number & 1)
        || index >= link->n_rings || q->index >= link->n_rxq) {
        dpdkr_peer_count(&q->stray_notes, 1);
        return;
    }

    uint32_t *seen = &link->seen[index * link->n_rxq];
    set32(&seen[q->index], number);
    /* Two partners: this same place, so that of the threads that read the last
     * notes at the same time one at least finds them complete, and
     * rx_refresh(). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < link->n_rxq; i++) {
        complete &= get32(&seen[i]) == number;
    }
    if (!complete) {
        uint32_t force = get32(&link->force);

        if (!force || (int32_t) (force - number) < 0) {
            return;
        }
    }
    if (ring_activate(&link->rings[index], number)) {
        uint32_t owner = index % link->n_rxq;

        if (owner == q->index) {
            rx_refresh(q);
        } else {
            __atomic_fetch_add(&q->shared->generation, 2, __ATOMIC_SEQ_CST);
            if (link->wake[owner]) {
                dpdkr_links_wake(link->wake[owner]);
            }
        }
    }
}

/* R2 for a note in the ring 'r' of a link.
 *
 * If the switch did not wait for it ("A receiver that is there" in
 * <dpdkr/link.h>), the next handover to this link may have come before it:
 * what is behind the note belongs to that one. */
static void
rx_link_note(struct dpdkr_peer_queue *q, struct dpdkr_link_ring *r,
             uint32_t number)
{
    uint32_t active = get32(&r->active);
    uint32_t last = get32(&r->last);

    if (number & 1 || (int32_t) (last - (number - 1)) < 0) {
        r->c.broken = DPDKR_CUT_FLAGS;
        report_link_broken(q, r->link, r->c.broken);
    } else if ((int32_t) (last - number) > 0) {
        set32(&q->control->answer[r->link->entry].rx_done[r->index], number);
    } else {
        ring_deactivate(q, r, active);
        rx_refresh(q);
    }
}

void
dpdkr_links_rx_nothing(struct dpdkr_peer_queue *q,
                       struct dpdkr_links_iter *it)
{
    struct dpdkr_link_ring *r = it->ring;
    struct dpdkr_consumer *c = r ? &r->c : &q->c;
    uint32_t number;
    uint16_t pad;

    if (DPDKR_UNLIKELY(c->at_note)) {
        if (dpdkr_consumer_note(c, &number, &pad)) {
            dpdkr_peer_count(&q->notes, 1);
            if (r) {
                rx_link_note(q, r, number);
            } else {
                rx_port_note(q, number, pad);
            }
            /* Behind all of R2, as the switch takes an empty ring for one that
             * is not active. */
            dpdkr_consumer_release(c, 0);
            it->restart = true;
        }
    } else if (r && DPDKR_UNLIKELY(r->drain) && !dpdkr_consumer_avail(c, 1)) {
        uint32_t active = get32(&r->active);

        if ((int32_t) (r->drain - active) > 0) {
            ring_deactivate(q, r, active);
            rx_refresh(q);
            it->restart = true;
        }
    }
    if (DPDKR_UNLIKELY(c->broken)) {
        dpdkr_links_rx_broken(q, c);
    }
    if (it->restart && it->n_restarts >= MAX_LOOKS) {
        it->restart = it->port_left = false;
        it->n_left = 0;
    }
}

void
dpdkr_links_rx_restart__(struct dpdkr_peer_queue *q,
                         struct dpdkr_links_iter *it)
{
    it->ring = NULL;
    it->n_left = 0;
    it->port_left = true;
    it->restart = false;
    it->n_restarts++;
    if (q->rings) {
        struct dpdkr_link_ring *r = q->rings;

        do {
            it->n_left++;
            r = r->next;
        } while (r != q->rings);
        it->next = q->rings;
    }
}

/* Starts a burst on 'q', in which nobody always comes first. */
void
dpdkr_links_rx_start(struct dpdkr_peer_queue *q, struct dpdkr_links_iter *it)
{
    uint32_t seq = get32(&q->control->seq);

    if (DPDKR_UNLIKELY(seq != q->control_seq)) {
        q->control_seq = seq;
        rx_refresh(q);
        dpdkr_peer_kick(q);
    }
    if (q->rings) {
        q->rings = q->rings->next;
        q->rings_first = !q->rings_first;
    }
    it->n_restarts = 0;
    dpdkr_links_rx_restart__(q, it);
}

void
dpdkr_links_rx_broken(struct dpdkr_peer_queue *q,
                      const struct dpdkr_consumer *c)
{
    if (c == &q->c) {
        report_port_broken(q, c->broken);
    } else {
        const struct dpdkr_link_ring *r
            = (const struct dpdkr_link_ring *) (const void *)
              ((const uint8_t *) c - offsetof(struct dpdkr_link_ring, c));

        report_link_broken(q, r->link, c->broken);
    }
}

uint32_t
dpdkr_links_rx_avail(struct dpdkr_peer_queue *q, uint32_t want, bool *full)
{
    struct dpdkr_links_iter it;
    struct dpdkr_consumer *c;
    uint32_t total = 0;

    *full = false;
    dpdkr_links_rx_start(q, &it);
    while (total < want && (c = dpdkr_links_rx_next(q, &it)) != NULL) {
        uint32_t n = dpdkr_consumer_avail(c, want - total);
        uint32_t len;

        c->at_note = false;
        if (n && dpdkr_consumer_frame(c, 0, &len)) {
            total += n;
            *full |= c->prod - c->cons >= c->r.mask;
        } else {
            dpdkr_links_rx_nothing(q, &it);
            if (it.restart) {
                total = 0;
            }
        }
    }
    return total;
}

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* As the kernel's futex_waitv, which not all headers have. */
struct waiter {
    uint64_t val;
    uint64_t uaddr;
    uint32_t flags;
    uint32_t reserved;
};
#define WAITER_32 2             /* In 'flags': 32 bits, shared. */
#define MAX_WAITERS 128         /* The kernel's limit. */

/* How long to sleep in ns where all rings cannot be slept on. */
#define SHORT_SLEEP 200000

/* The inner half of dpdkr_links_rx_sleep(): sleeps on the words of 'cs', for
 * which 'thresholds' have been stored. */
static int
sleep_on(struct dpdkr_consumer *const cs[], const uint32_t thresholds[],
         uint32_t n, bool all, int64_t ns)
{
    static bool no_waitv;
    struct waiter waiters[MAX_WAITERS];
    struct timespec ts;

    if (n > 1 && all && !__atomic_load_n(&no_waitv, __ATOMIC_RELAXED)) {
        for (uint32_t i = 0; i < n; i++) {
            waiters[i] = (struct waiter) {
                .val = thresholds[i],
                .uaddr = (uintptr_t) &cs[i]->r.ctl->wake,
                .flags = WAITER_32,
            };
        }
        clock_gettime(CLOCK_MONOTONIC, &ts);
        ns += ts.tv_nsec;
        ts.tv_sec += ns / 1000000000;
        ts.tv_nsec = ns % 1000000000;
        if (syscall(SYS_futex_waitv, waiters, n, 0, &ts,
                    CLOCK_MONOTONIC) >= 0
            || errno != ENOSYS) {
            return errno == EINTR ? EINTR : 0;
        }
        __atomic_store_n(&no_waitv, true, __ATOMIC_RELAXED);
        return 0;
    }
    if (n > 1 && ns > SHORT_SLEEP) {
        ns = SHORT_SLEEP;
    }
    ts.tv_sec = ns / 1000000000;
    ts.tv_nsec = ns % 1000000000;
    syscall(SYS_futex, &cs[0]->r.ctl->wake, FUTEX_WAIT, thresholds[0], &ts,
            NULL, 0);
    return errno == EINTR ? EINTR : 0;
}

int
dpdkr_links_rx_sleep(struct dpdkr_peer_queue *q, uint32_t more, int64_t ns)
{
    struct dpdkr_consumer *cs[MAX_WAITERS];
    uint32_t thresholds[MAX_WAITERS];
    struct dpdkr_link_ring *r = q->rings;
    bool news = false, all = true;
    uint32_t n = 0;
    int error = 0;

    cs[n++] = &q->c;
    if (r) {
        do {
            if (n >= MAX_WAITERS) {
                all = false;
                break;
            }
            if (!r->c.broken) {
                cs[n++] = &r->c;
            }
            r = r->next;
        } while (r != q->rings);
    }

    /* The frames may come by any of the rings: nobody waits for more than its
     * share of them. */
    more = (more + n - 1) / n;
    for (uint32_t i = 0; i < n; i++) {
        struct dpdkr_consumer *c = cs[i];

        /* By what the caller has seen.  What has come since then is no reason
         * to sleep until there is more. */
        thresholds[i] = c->prod - c->cons + more;
        if (thresholds[i] > c->r.mask) {
            thresholds[i] = c->r.mask;
        }
        __atomic_store_n(&c->r.ctl->wake, thresholds[i], __ATOMIC_RELAXED);
    }
    /* Partners: dpdkr_producer_wake() for the rings, dpdkr_links_wake() and
     * the like of it in the switch for the news. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < n; i++) {
        news |= (dpdkr_consumer_avail(cs[i], thresholds[i]) >= thresholds[i]
                 || cs[i]->broken);
    }
    news |= (get32(&q->control->seq) != q->control_seq
             || get32(&q->shared->generation) != q->generation);
    if (!news) {
        errno = 0;
        error = sleep_on(cs, thresholds, n, all, ns > 0 ? ns : 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        __atomic_store_n(&cs[i]->r.ctl->wake, 0, __ATOMIC_RELAXED);
    }
    dpdkr_peer_count(&q->wakeups, 1);
    return error;
}

void
dpdkr_links_rebind(struct dpdkr_peer_queue *q)
{
    if (q->is_rx) {
        rx_refresh(q);
    } else {
        tx_rebind(q);
    }
    if (__atomic_load_n(&q->shared->pending, __ATOMIC_RELAXED)) {
        dpdkr_peer_kick(q);
    }
}
