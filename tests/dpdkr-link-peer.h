/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_LINK_PEER_H
#define DPDKR_LINK_PEER_H 1

/* A peer that follows orders, to play with
 * ========================================
 *
 * The peer's side of <dpdkr/link.h>, written from that text alone, for tests
 * of the switch's side.  Nothing happens but in the functions that a test
 * calls, so that it decides who comes next. */

#include <sys/mman.h>
#include <sys/stat.h>

#include <dpdkr/link.h>
#include "dpdkr-peer.h"

/* One link of a peer. */
struct lp_link {
    uint32_t seq;               /* Of the offer, as handled. */
    bool mapped;
    void *base;
    size_t size;
    uint32_t n_queues;
    struct dpdkr_producer tx[DPDKR_MAX_QUEUES];
    struct dpdkr_consumer rx[DPDKR_MAX_QUEUES];
    uint32_t active[DPDKR_MAX_QUEUES]; /* Number of the handover, or 0. */
    uint32_t noted[DPDKR_MAX_QUEUES]; /* The last that a note named... */
    uint64_t seen[DPDKR_MAX_QUEUES]; /* ...and the rings where it was. */
};

struct link_peer {
    struct dpdkr_peer p;
    struct dpdkr_control *c;
    const char *directory;
    struct lp_link links[DPDKR_MAX_LINKS];
    uint32_t follows[DPDKR_MAX_QUEUES]; /* By transmit queue: number... */
    struct lp_link *out[DPDKR_MAX_QUEUES]; /* ...and link, or NULL. */
    uint64_t n_broken;          /* Things that must not be. */
};

/* Makes 'lp' the peer of the port memory at 'base', whose file is in
 * 'directory'. */
static inline void
lp_init(struct link_peer *lp, void *base, const struct dpdkr_geometry *g,
        const char *directory)
{
    memset(lp, 0, sizeof *lp);
    dpdkr_peer_init(&lp->p, base, g);
    lp->c = dpdkr_control(base);
    lp->directory = directory;
    for (uint32_t q = 0; q < g->n_queues; q++) {
        lp->p.tx[q].limit -= DPDKR_RESERVED;
        lp->p.rx[q].takes_notes = true;
    }
}

/* Steps 2, 4 and 5 of "Attaching". */
static inline void
lp_announce(struct link_peer *lp)
{
    dpdkr_peer_announce(&lp->p);
    lp->p.us->flags |= DPDKR_F_LINKS;
}

static inline void
lp_unmap(struct lp_link *l)
{
    if (l->mapped) {
        munmap(l->base, l->size);
    }
    l->mapped = false;
    memset(l->active, 0, sizeof l->active);
}

static inline void
lp_start(struct link_peer *lp)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct lp_link *l = &lp->links[i];

        lp_unmap(l);
        l->seq = 0;
        memset(&lp->c->answer[i], 0, sizeof lp->c->answer[i]);
        memset(l->noted, 0, sizeof l->noted);
    }
    for (uint32_t q = 0; q < lp->p.n_queues; q++) {
        lp->out[q] = NULL;
        lp->follows[q] = 0;
        lp->c->applied[q] = lp->c->noted[q] = 0;
    }
    for (uint32_t q = 0; q < lp->p.n_queues; q++) {
        dpdkr_consumer_adopt(&lp->p.rx[q]);
        dpdkr_consumer_start(&lp->p.rx[q], true);
        dpdkr_producer_adopt(&lp->p.tx[q]);
        dpdkr_producer_start_empty(&lp->p.tx[q]);
    }
    __atomic_store_n(&lp->p.us->state, DPDKR_UP, __ATOMIC_RELEASE);
}

/* Counts what must not be, and says the first of it. */
static inline void
lp_check__(struct link_peer *lp, bool ok, const char *what, int line)
{
    if (!ok && !lp->n_broken++) {
        printf("# %s:%d: peer of %s: not true: %s\n", __FILE__, line,
               lp->p.them->name, what);
    }
}
#define LP_CHECK(LP, OK) lp_check__(LP, OK, #OK, __LINE__)

/* ## ------- ## */
/* ## Control ## */
/* ## ------- ## */

static inline int
lp_map(struct link_peer *lp, struct lp_link *l,
       const struct dpdkr_link_offer *offer)
{
    struct dpdkr_geometry g;
    char path[512];
    struct stat s;

    snprintf(path, sizeof path, "%s/%.63s", lp->directory, offer->file);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &s)) {
        return errno;
    }
    l->base = mmap(NULL, s.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (l->base == MAP_FAILED) {
        return errno;
    }
    l->size = s.st_size;
    const struct dpdkr_header *h = l->base;
    if (dpdkr_geometry_read(&g, h, s.st_size)
        || h->kind != DPDKR_KIND_LINK
        || memcmp(h->id, offer->id, sizeof h->id)) {
        munmap(l->base, l->size);
        return EPROTO;
    }
    l->n_queues = g.n_queues;
    for (uint32_t q = 0; q < g.n_queues; q++) {
        dpdkr_producer_init(&l->tx[q], l->base, &g,
                            dpdkr_ring_of(q, offer->side & 1));
        dpdkr_producer_adopt(&l->tx[q]);
        dpdkr_producer_start(&l->tx[q]);
        l->tx[q].limit -= DPDKR_RESERVED;
        dpdkr_consumer_init(&l->rx[q], l->base, &g,
                            dpdkr_ring_of(q, !(offer->side & 1)));
        dpdkr_consumer_adopt(&l->rx[q]);
        dpdkr_consumer_start(&l->rx[q], false);
        l->rx[q].takes_notes = true;
    }
    memset(l->noted, 0, sizeof l->noted);
    l->mapped = true;
    return 0;
}

/* Handles the offers. */
static inline void
lp_control(struct link_peer *lp)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct lp_link *l = &lp->links[i];
        struct dpdkr_link_offer offer = lp->c->offer[i];
        struct dpdkr_link_answer *a = &lp->c->answer[i];

        if (offer.seq == l->seq) {
            continue;
        }
        for (uint32_t q = 0; q < lp->p.n_queues; q++) {
            if (lp->out[q] == l) {
                lp->out[q] = NULL;
                lp->follows[q]++;
                lp->c->applied[q] = lp->follows[q];
            }
        }
        lp_unmap(l);
        l->seq = offer.seq;
        a->status = DPDKR_LINK_NONE;
        if (offer.file[0]) {
            for (uint32_t q = 0; q < DPDKR_MAX_QUEUES; q++) {
                a->rx_done[q] = DPDKR_RX_NOTHING;
            }
            a->error = lp_map(lp, l, &offer);
            a->status = a->error ? DPDKR_LINK_FAILED : DPDKR_LINK_MAPPED;
        }
        __atomic_store_n(&a->seq, offer.seq, __ATOMIC_RELEASE);
    }
}

/* ## ---- ## */
/* ## Send ## */
/* ## ---- ## */

/* S1 to S5 for queue 'q'.  Returns false if there is no room for a note. */
static inline bool
lp_follow(struct link_peer *lp, uint32_t q)
{
    struct dpdkr_order order = dpdkr_order_load(&lp->c->tx_order);

    if (order.number == lp->follows[q]) {
        return true;
    }
    if (lp->out[q]) {
        if (!dpdkr_producer_note(&lp->out[q]->tx[q], lp->follows[q] + 1, 0)) {
            return false;
        }
        lp->out[q] = NULL;
        lp->follows[q]++;
    }
    lp->c->applied[q] = order.number;
    if (order.number & 1) {
        struct lp_link *l = &lp->links[order.link % DPDKR_MAX_LINKS];

        LP_CHECK(lp, l->mapped && q < l->n_queues);
        if (!l->mapped || q >= l->n_queues) {
            return false;
        }
        if (!dpdkr_producer_note(&lp->p.tx[q], order.number, 0)) {
            return false;
        }
        lp->c->noted_link[q] = DPDKR_NOTED_LINK(l->seq, order.link);
        lp->c->noted[q] = order.number;
        lp->out[q] = l;
    }
    lp->follows[q] = order.number;
    return true;
}

static inline bool
lp_send(struct link_peer *lp, uint32_t q, const void *frame, uint32_t len)
{
    if (!lp_follow(lp, q)) {
        return false;
    }
    struct dpdkr_producer *p = lp->out[q] ? &lp->out[q]->tx[q] : &lp->p.tx[q];

    if (!dpdkr_producer_room(p, 1)) {
        return false;
    }
    memcpy(dpdkr_producer_slot(p, 0), frame, len);
    dpdkr_producer_set(p, 0, len);
    dpdkr_producer_publish(p, 1);
    return true;
}

/* ## ------- ## */
/* ## Receive ## */
/* ## ------- ## */

/* R1: a note in ring 'r' of the port. */
static inline void
lp_port_note(struct link_peer *lp, uint32_t r, uint32_t number, uint16_t pad)
{
    uint32_t entry = DPDKR_NOTE_ENTRY(pad);
    uint32_t q = DPDKR_NOTE_QUEUE(pad);

    struct lp_link *l = &lp->links[entry];

    if (!l->mapped || q >= l->n_queues
        || (l->seq & 0xff) != DPDKR_NOTE_SEQ(pad)) {
        return;
    }
    if (l->noted[q] != number) {
        l->noted[q] = number;
        l->seen[q] = 0;
    } else if (l->seen[q] == UINT64_MAX >> (64 - lp->p.n_queues)) {
        return;                 /* Once more, from a switch that restarted. */
    }
    l->seen[q] |= UINT64_C(1) << r;
    if (l->seen[q] == UINT64_MAX >> (64 - lp->p.n_queues)) {
        LP_CHECK(lp, !l->active[q]);
        l->active[q] = number;
    }
}

/* R2. */
static inline void
lp_link_done(struct link_peer *lp, struct lp_link *l, uint32_t q)
{
    l->active[q]++;
    __atomic_store_n(&lp->c->answer[l - lp->links].rx_done[q], l->active[q],
                     __ATOMIC_RELEASE);
    l->active[q] = 0;
}

static inline uint32_t
lp_take(struct dpdkr_consumer *c, void *frame, uint32_t size)
{
    const uint8_t *data;
    uint32_t len;

    if (!dpdkr_consumer_avail(c, 1)) {
        return 0;
    }
    data = dpdkr_consumer_frame(c, 0, &len);
    if (!data || len > size) {
        return 0;
    }
    memcpy(frame, data, len);
    dpdkr_consumer_release(c, 1);
    return len;
}

/* Receives one frame on receive queue 'r', from its ring of the port or one of
 * a link.  Returns its length, or 0 if there is none. */
static inline uint32_t
lp_receive(struct link_peer *lp, uint32_t r, void *frame, uint32_t size)
{
    struct dpdkr_consumer *c = &lp->p.rx[r];
    uint32_t len, number;
    uint16_t pad;

    len = lp_take(c, frame, size);
    if (len) {
        return len;
    }
    if (dpdkr_consumer_note(c, &number, &pad)) {
        lp_port_note(lp, r, number, pad);
        dpdkr_consumer_release(c, 0);
    }
    LP_CHECK(lp, !c->broken);

    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct lp_link *l = &lp->links[i];

        if (lp->c->offer[i].seq != l->seq) {
            continue;           /* Withdrawn. */
        }
        for (uint32_t q = r; l->mapped && q < l->n_queues;
             q += lp->p.n_queues) {
            uint32_t drain = lp->c->offer[i].rx_drain;

            if (!l->active[q]) {
                continue;
            }
            len = lp_take(&l->rx[q], frame, size);
            if (len) {
                return len;
            }
            if (dpdkr_consumer_note(&l->rx[q], &number, &pad)) {
                LP_CHECK(lp, number == l->active[q] + 1);
                dpdkr_consumer_release(&l->rx[q], 0);
                lp_link_done(lp, l, q);
            } else if (drain == l->active[q] + 1) {
                lp_link_done(lp, l, q);
            }
            LP_CHECK(lp, !l->rx[q].broken);
        }
    }
    return 0;
}

#endif /* tests/dpdkr-link-peer.h */
