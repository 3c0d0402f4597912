/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_LINKS_H
#define DPDKR_LINKS_H 1

/* Direct links, seen from a peer
 * ==============================
 *
 * What
 * ----
 *
 * A peer's part of <dpdkr/link.h>.  The control thread (links.c) maps the
 * links that the switch offers, and unmaps them.  The queue threads
 * (link-queue.c) carry out what the switch orders, each for its own queue:
 *
 *   - A transmit queue has one ring to produce in, 'out': that of the port or
 *     that of a link.  dpdkr_links_tx() returns it, after it has looked at the
 *     switch's order and taken steps S1 to S5 if there is a new one.
 *
 *   - A receive queue reads the port's ring and a circular list, 'rings', of
 *     those rings of links that are active: ring r is read by receive queue
 *     r % n_rxq.  Notes in the port's ring make rings active (R1), notes in a
 *     link's ring end that (R2).
 *
 *
 * To receive
 * ----------
 *
 *     if (dpdkr_links_rx_is_plain(q)) {
 *         read 'q->c';
 *     } else {
 *         struct dpdkr_links_iter it;
 *
 *         dpdkr_links_rx_start(q, &it);
 *         while ((c = dpdkr_links_rx_next(q, &it)) != NULL) {
 *             read 'c';
 *             if (nothing was received) {
 *                 dpdkr_links_rx_nothing(q, &it);
 *             }
 *         }
 *     }
 *
 * Whoever finds 'at_note' set after it read 'q->c' the first way, and received
 * nothing, goes on the second way.  A note is taken only in a burst that finds
 * nothing before it, so that the frames before it have really reached the
 * program by then.
 *
 *
 * Threads
 * -------
 *
 * As in peer.h.  What is new is that there is something to unmap while the
 * port's link is up.  The control thread
 *
 *     takes the link out of 'shared->links';
 *     increases 'shared->generation' by 2;
 *     membarrier(2);
 *     for all queues: not busy, or 'generation' that large?
 *
 * and unmaps the link once that holds for all queues, in this run or a later
 * one.  A queue that finds a new generation goes by 'shared->links' alone, and
 * follows no pointer to a link that it had before.
 *
 * A queue that holds frames of the library's zero-copy calls does not take
 * over a new generation before it has given them back.
 *
 * When the last note of R1 comes to another receive queue than that which is
 * going to read the ring, the thread there increases 'generation' for it. */

#include <dpdkr/abi.h>
#include <dpdkr/link.h>
#include <dpdkr/ring.h>

#include "memory.h"
#include "peer.h"

/* How long 'rx_force' has to stand there before it has an effect.  It may be
 * meant for a peer that was stopped and goes on just now: its queue threads
 * are to have read by then what waits for them, and the notes in it. */
#define DPDKR_LINKS_FORCE_MS 200

/* A ring of a link that we read. */
struct dpdkr_link_ring {
    /* Queue thread that reads the ring. */
    struct dpdkr_consumer c;
    struct dpdkr_link *link;    /* Constant. */
    struct dpdkr_link_ring *next;   /* In the circle 'rings' of the queue. */
    uint32_t index;             /* Constant: number of the sender's queue. */
    uint32_t drain;             /* Standing order, or 0. */

    /* All receive queues, atomically. */
    uint32_t active;            /* Number of the handover, or 0. */
    uint32_t last;              /* Number last made active. */
} __attribute__((aligned(DPDKR_CACHE_LINE)));

/* A ring of a link that we write. */
struct dpdkr_link_tx {
    struct dpdkr_producer p;    /* 'slot_size': no more than the switch's
                                 * 'max_frame'. */
    struct dpdkr_note_mark mark;
} __attribute__((aligned(DPDKR_CACHE_LINE)));

/* A link that is mapped.  Owned by the control thread; constant but for what
 * is said above, and for 'broken'. */
struct dpdkr_link {
    struct dpdkr_memory mem;
    uint32_t entry;             /* Index of its offer. */
    uint32_t seq;               /* Of its offer, never 0. */
    uint32_t broken;            /* DPDKR_CUT_*, atomic. */
    uint32_t force;             /* 'rx_force' of the offer, once it has stood
                                 * there for DPDKR_LINKS_FORCE_MS; atomic. */
    uint32_t n_rxq;             /* Receive queues, and... */
    uint32_t n_txq;             /* ...transmit queues of this peer. */
    uint32_t n_rings;           /* Rings that we read. */
    struct dpdkr_link_ring *rings;  /* 'n_rings' elements. */
    struct dpdkr_link_tx *txqs; /* 'n_txq' elements. */
    uint32_t *seen;             /* 'n_rings' times 'n_rxq' numbers: note last
                                 * read for a ring, by receive queue. */
    uint32_t *wake[DPDKR_MAX_QUEUES];   /* Of the port's rings, by receive
                                         * queue; NULL if we do not sleep. */
};

/* The control thread's part of a peer. */
struct dpdkr_links {
    struct dpdkr_peer_shared *shared;
    struct dpdkr_peer_queue **rxqs;     /* DPDKR_MAX_QUEUES elements. */
    struct dpdkr_peer_queue **txqs;     /* DPDKR_MAX_QUEUES elements. */
    dpdkr_peer_log_func *log;
    void *log_aux;
    const char *path;           /* Of the port. */
    bool sleeps;
    bool refuse;                /* There is no directory to look into. */

    /* While attached. */
    struct dpdkr_control *control;  /* NULL: not attached. */
    uint32_t n_rxq, n_txq;
    uint32_t seq[DPDKR_MAX_LINKS];      /* Of the offer that was dealt with. */
    bool told_broken[DPDKR_MAX_LINKS];
    uint32_t force[DPDKR_MAX_LINKS];    /* 'rx_force', as last seen... */
    int64_t force_since[DPDKR_MAX_LINKS];   /* ...and since when, ms. */
    struct dpdkr_link *old[DPDKR_MAX_LINKS];    /* Out of use, mapped. */
    uint32_t old_generation[DPDKR_MAX_LINKS];
};

static inline struct dpdkr_order
dpdkr_order_unpack(uint64_t word)
{
    struct dpdkr_order order;

    memcpy(&order, &word, sizeof order);
    return order;
}

static inline uint64_t
dpdkr_order_pack(uint32_t number, uint32_t link)
{
    struct dpdkr_order order = { .number = number, .link = link };
    uint64_t word;

    memcpy(&word, &order, sizeof word);
    return word;
}

/* Wakes who sleeps on the word at 'wake', of a ring of the port that this
 * peer reads.  Partner: dpdkr_links_rx_sleep(). */
static inline void
dpdkr_links_wake(uint32_t *wake)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(wake, 0, __ATOMIC_RELAXED)) {
        syscall(SYS_futex, wake, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

/* ## ------------ ## */
/* ## Queue thread ## */
/* ## ------------ ## */

/* All of these are for queues that are entered. */

struct dpdkr_producer *dpdkr_links_tx__(struct dpdkr_peer_queue *);

/* Returns the ring that transmit queue 'q' has to produce in, or NULL if it
 * cannot produce just now, as with a ring that is full.  Not to be called
 * while a reservation is held: that is in 'q->out'. */
static inline struct dpdkr_producer *
dpdkr_links_tx(struct dpdkr_peer_queue *q)
{
    const struct dpdkr_control *control = q->control;

    if (DPDKR_UNLIKELY(dpdkr_peer_order_word(control) != q->order
                       || __atomic_load_n(&control->seq, __ATOMIC_RELAXED)
                          != q->control_seq)) {
        return dpdkr_links_tx__(q);
    }
    return q->out;
}

/* Returns what of transmit queue 'q' has not been taken at the other end. */
uint32_t dpdkr_links_tx_pending(struct dpdkr_peer_queue *);

/* To be called after a burst that found 'broken' of 'p' set. */
void dpdkr_links_tx_broken(struct dpdkr_peer_queue *,
                           const struct dpdkr_producer *p);

/* Returns true if receive queue 'q' has only the port's ring to read. */
static inline bool
dpdkr_links_rx_is_plain(const struct dpdkr_peer_queue *q)
{
    return !q->rings && (__atomic_load_n(&q->control->seq, __ATOMIC_RELAXED)
                         == q->control_seq);
}

/* What a receive queue reads in one burst. */
struct dpdkr_links_iter {
    struct dpdkr_link_ring *ring;   /* Of which 'c' is, or NULL: port. */
    struct dpdkr_link_ring *next;
    uint32_t n_left;            /* Of the circle. */
    bool port_left;             /* The port is still to come. */
    bool restart;               /* What is to be read has changed. */
    int n_restarts;
};

void dpdkr_links_rx_start(struct dpdkr_peer_queue *,
                          struct dpdkr_links_iter *);
void dpdkr_links_rx_restart__(struct dpdkr_peer_queue *,
                              struct dpdkr_links_iter *);

static inline struct dpdkr_consumer *
dpdkr_links_rx_next(struct dpdkr_peer_queue *q, struct dpdkr_links_iter *it)
{
    if (DPDKR_UNLIKELY(it->restart)) {
        dpdkr_links_rx_restart__(q, it);
    }
    if (it->port_left && (!q->rings_first || !it->n_left)) {
        it->port_left = false;
        it->ring = NULL;
        return &q->c;
    } else if (it->n_left) {
        it->n_left--;
        it->ring = it->next;
        it->next = it->ring->next;
        return &it->ring->c;
    }
    return NULL;
}

/* The consumer that dpdkr_links_rx_next() returned last yielded nothing: takes
 * a note if one stands there, and carries out an order to drain. */
void dpdkr_links_rx_nothing(struct dpdkr_peer_queue *,
                            struct dpdkr_links_iter *);

/* To be called after a burst that found 'broken' of 'c' set. */
void dpdkr_links_rx_broken(struct dpdkr_peer_queue *,
                           const struct dpdkr_consumer *c);

/* Returns how many frames wait for receive queue 'q', up to about 'want' (with
 * notes behind the first frame of a ring counted as frames).  Sets '*full' if
 * a ring has no room for more. */
uint32_t dpdkr_links_rx_avail(struct dpdkr_peer_queue *, uint32_t want,
                              bool *full);

/* Sleeps until 'more' frames more than now, or nearly as many, wait in the
 * rings of receive queue 'q', or 'ns' nanoseconds have passed, or a signal
 * arrives, or the switch or another thread has news.  Spurious returns are
 * possible.  Returns 0, or EINTR after a signal. */
int dpdkr_links_rx_sleep(struct dpdkr_peer_queue *, uint32_t more,
                         int64_t ns);

/* For dpdkr_peer_rebind__() alone. */
void dpdkr_links_rebind(struct dpdkr_peer_queue *);

/* ## -------------- ## */
/* ## Control thread ## */
/* ## -------------- ## */

/* Starts without links in the port's memory at 'base'.  The peer is
 * quiescent, and is going to be attached. */
void dpdkr_links_start(struct dpdkr_links *, void *base,
                       const struct dpdkr_geometry *,
                       uint32_t n_rxq, uint32_t n_txq);

/* Unmaps all links.  The peer is quiescent. */
void dpdkr_links_stop(struct dpdkr_links *);

/* Looks at the offers and answers.  'now' is in milliseconds. */
void dpdkr_links_run(struct dpdkr_links *, int64_t now);

/* Returns true if frames go by a link in either direction. */
bool dpdkr_links_in_use(const struct dpdkr_links *);

/* Stores what is known into the members of 'info' that are about links. */
void dpdkr_links_get_info(const struct dpdkr_links *,
                          struct dpdkr_peer_info *info);

#endif /* drivers/libdpdkr/links.h */
