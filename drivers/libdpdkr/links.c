/* SPDX-License-Identifier: Apache-2.0 */

/* Direct links: what the control thread does. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "links.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Stands in for the control area of a peer that follows no orders: there is
 * never one in it. */
static struct dpdkr_control no_control;

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

static void
links_log(const struct dpdkr_links *links, enum dpdkr_peer_log_level level,
          const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
links_log(const struct dpdkr_links *links, enum dpdkr_peer_log_level level,
          const char *format, ...)
{
    char msg[512];
    va_list args;

    if (links->log) {
        va_start(args, format);
        vsnprintf(msg, sizeof msg, format, args);
        va_end(args);
        links->log(links->log_aux, level, msg);
    }
}

static void
link_free(struct dpdkr_link *link)
{
    if (link) {
        dpdkr_memory_close(&link->mem);
        free(link->rings);
        free(link->txqs);
        free(link->seen);
        free(link);
    }
}

static void *
zalloc_lines(size_t n, size_t size)
{
    /* 'size' is a multiple of the alignment. */
    void *p = aligned_alloc(DPDKR_CACHE_LINE, n * size);

    return p ? memset(p, 0, n * size) : NULL;
}

/* Makes the rings of 'link', which is mapped.  Returns 0 or a positive errno
 * value. */
static int
link_init_rings(struct dpdkr_link *link, const struct dpdkr_link_offer *offer)
{
    const struct dpdkr_geometry *g = &link->mem.geometry;
    void *base = link->mem.base;

    link->n_rings = g->n_queues;
    link->rings = zalloc_lines(link->n_rings, sizeof *link->rings);
    link->txqs = zalloc_lines(link->n_txq, sizeof *link->txqs);
    link->seen = calloc((size_t) link->n_rings * link->n_rxq,
                        sizeof *link->seen);
    if (!link->rings || !link->txqs || !link->seen) {
        return ENOMEM;
    }
    for (uint32_t i = 0; i < link->n_rings; i++) {
        struct dpdkr_link_ring *r = &link->rings[i];

        r->link = link;
        r->index = i;
        dpdkr_consumer_init(&r->c, base, g,
                            dpdkr_ring_of(i, !link->mem.side));
        dpdkr_consumer_adopt(&r->c);
        dpdkr_consumer_start(&r->c, false);
        r->c.takes_notes = true;
    }
    for (uint32_t i = 0; i < link->n_txq; i++) {
        struct dpdkr_producer *p = &link->txqs[i].p;

        dpdkr_producer_init(p, base, g, dpdkr_ring_of(i, link->mem.side));
        dpdkr_producer_adopt(p);
        dpdkr_producer_start(p);
        p->limit = g->ring_size - DPDKR_RESERVED;
        if (p->r.slot_size > offer->max_frame) {
            p->r.slot_size = offer->max_frame;
        }
    }
    return 0;
}

/* Returns true if 'file', of an offer, is a name without a directory. */
static bool
is_file_name(const char file[64])
{
    size_t n = strnlen(file, 64);

    if (n == 64 || file[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (file[i] <= ' ' || file[i] > '~' || file[i] == '/') {
            return false;
        }
    }
    return true;
}

/* Maps the link of 'offer', a private copy.  Returns 0 and stores it, or
 * returns a positive errno value and writes a message. */
static int
link_open(const struct dpdkr_links *links,
          const struct dpdkr_link_offer *offer, struct dpdkr_link **linkp,
          char *error, size_t error_size)
{
    const char *slash = strrchr(links->path, '/');
    int dir_len = slash ? slash - links->path + 1 : 0;
    char path[PATH_MAX];
    struct dpdkr_link *link;
    const char *problem;
    int err;

    if (!is_file_name(offer->file) || offer->side > DPDKR_SIDE_B
        || offer->max_frame < DPDKR_MIN_FRAME) {
        snprintf(error, error_size, "offer of a link makes no sense");
        return EPROTO;
    }
    if (snprintf(path, sizeof path, "%.*s%s", dir_len, links->path,
                 offer->file) >= (int) sizeof path) {
        snprintf(error, error_size, "path of a link is too long");
        return ENAMETOOLONG;
    }

    link = calloc(1, sizeof *link);
    if (!link) {
        snprintf(error, error_size, "%s: out of memory", path);
        return ENOMEM;
    }
    err = dpdkr_memory_open(&link->mem, path, DPDKR_KIND_LINK, offer->side,
                            false, error, error_size);
    if (err) {
        free(link);
        return err;
    }
    link->n_rxq = links->n_rxq;
    link->n_txq = links->n_txq;
    problem = (memcmp(link->mem.id, offer->id, sizeof link->mem.id)
               ? "not the link that was offered"
               : link->mem.geometry.n_queues < link->n_txq
               ? "link has too few queues" : NULL);
    err = problem ? EPROTO : link_init_rings(link, offer);
    if (err) {
        snprintf(error, error_size, "%s: %s", path,
                 problem ? problem : strerror(err));
        link_free(link);
        return err;
    }
    *linkp = link;
    return 0;
}

/* Has all queues look anew at what there is to read, those that sleep over
 * what 'link' brings as well.  Returns the new generation. */
static uint32_t
new_generation(struct dpdkr_links *links, const struct dpdkr_link *link)
{
    uint32_t generation = __atomic_add_fetch(&links->shared->generation, 2,
                                             __ATOMIC_SEQ_CST);

    for (uint32_t i = 0; i < link->n_rxq; i++) {
        if (link->wake[i]) {
            dpdkr_links_wake(link->wake[i]);
        }
    }
    return generation;
}

/* Takes the link in entry 'entry', if there is one, out of use. */
static void
retire_link(struct dpdkr_links *links, uint32_t entry)
{
    struct dpdkr_peer_shared *shared = links->shared;
    struct dpdkr_link *link = shared->links[entry];

    if (link) {
        links_log(links, DPDKR_PEER_DBG, "%s: link %u is given up",
                  links->path, entry);
        links->old[entry] = link;
        __atomic_store_n(&shared->pending, true, __ATOMIC_RELAXED);
        __atomic_store_n(&shared->links[entry], NULL, __ATOMIC_RELAXED);
        links->old_generation[entry] = new_generation(links, link);
    }
}

/* Returns true if no queue uses the link any more that went out of use with
 * generation 'generation'. */
static bool
queues_have_seen(const struct dpdkr_links *links, uint32_t generation)
{
    /* Partner: dpdkr_peer_enter(). */
    dpdkr_peer_membarrier(links->shared);
    for (uint32_t i = 0; i < 2 * DPDKR_MAX_QUEUES; i++) {
        const struct dpdkr_peer_queue *q
            = i & 1 ? links->rxqs[i / 2] : links->txqs[i / 2];

        /* Partners: dpdkr_peer_leave(), dpdkr_peer_rebind__(). */
        if (q && get32(&q->busy)
            && (int32_t) (get32(&q->generation) - generation) < 0) {
            return false;
        }
    }
    return true;
}

static void
answer(struct dpdkr_links *links, uint32_t entry, uint32_t seq,
       uint32_t status, uint32_t error)
{
    struct dpdkr_link_answer *a = &links->control->answer[entry];

    set32(&a->error, error);
    set32(&a->status, status);
    set32(&a->seq, seq);
}

/* Deals with a new offer in entry 'entry', from which the link before has been
 * removed. */
static void
answer_offer(struct dpdkr_links *links, uint32_t entry, uint32_t seq)
{
    struct dpdkr_link_answer *a = &links->control->answer[entry];
    struct dpdkr_link_offer offer;
    struct dpdkr_link *link;
    char error[PATH_MAX + 256];
    int err;

    memcpy(&offer, &links->control->offer[entry], sizeof offer);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (get32(&links->control->offer[entry].seq) != seq) {
        return;                 /* Changes just now: next run. */
    }
    links->seq[entry] = seq;
    links->told_broken[entry] = false;
    links->force[entry] = 0;
    for (uint32_t i = 0; i < DPDKR_MAX_QUEUES; i++) {
        set32(&a->rx_done[i], DPDKR_RX_NOTHING);
    }

    if (!seq || !offer.file[0]) {
        answer(links, entry, seq, DPDKR_LINK_NONE, 0);
        return;
    }
    if (links->refuse) {
        answer(links, entry, seq, DPDKR_LINK_FAILED, ENOTSUP);
        return;
    }
    err = link_open(links, &offer, &link, error, sizeof error);
    if (err) {
        links_log(links, DPDKR_PEER_WARN, "%s: link %u: %s", links->path,
                  entry, error);
        answer(links, entry, seq, DPDKR_LINK_FAILED, err);
        return;
    }
    link->entry = entry;
    link->seq = seq;
    if (links->sleeps) {
        __atomic_fetch_or(&link->mem.header->side[link->mem.side].flags,
                          DPDKR_F_SLEEPS, __ATOMIC_RELEASE);
        for (uint32_t i = 0; i < link->n_rxq; i++) {
            link->wake[i] = &links->rxqs[i]->c.r.ctl->wake;
        }
    }
    links_log(links, DPDKR_PEER_DBG, "%s: link %u is %s, side %c",
              links->path, entry, offer.file,
              link->mem.side == DPDKR_SIDE_A ? 'A' : 'B');
    /* Partner: current_link(). */
    __atomic_store_n(&links->shared->links[entry], link, __ATOMIC_RELEASE);
    answer(links, entry, seq, DPDKR_LINK_MAPPED, 0);
}

/* Has the queues see 'rx_force' of entry 'entry', where 'link' is, when its
 * time has come. */
static void
run_force(struct dpdkr_links *links, uint32_t entry, struct dpdkr_link *link,
          int64_t now)
{
    uint32_t force = get32(&links->control->offer[entry].rx_force);

    if (force != links->force[entry]) {
        links->force[entry] = force;
        links->force_since[entry] = now;
        set32(&link->force, 0);
    } else if (force != link->force
               && now - links->force_since[entry] >= DPDKR_LINKS_FORCE_MS) {
        set32(&link->force, force);
        new_generation(links, link);
    }
}

/* Looks after entry 'entry'.  Returns false if that waits for queues. */
static bool
run_entry(struct dpdkr_links *links, uint32_t entry, int64_t now)
{
    struct dpdkr_link *link = links->shared->links[entry];
    uint32_t seq = get32(&links->control->offer[entry].seq);
    bool changed = seq != links->seq[entry];

    if (link && !changed) {
        uint32_t reason = get32(&link->broken);

        if (!dpdkr_memory_is_whole(&link->mem)) {
            reason = DPDKR_CUT_MEMORY;
        }
        if (reason && !links->told_broken[entry]) {
            links_log(links, DPDKR_PEER_WARN, "%s: other side broke link %u "
                      "(%s)", links->path, entry,
                      dpdkr_cut_reason_to_string(reason));
            links->told_broken[entry] = true;
            answer(links, entry, seq, DPDKR_LINK_BROKEN, reason);
        }
        if (reason == DPDKR_CUT_MEMORY) {
            /* Nobody must touch it any more. */
            retire_link(links, entry);
        } else {
            run_force(links, entry, link, now);
        }
    } else if (link) {
        retire_link(links, entry);
    }
    if (links->old[entry]) {
        if (!queues_have_seen(links, links->old_generation[entry])) {
            return false;
        }
        link_free(links->old[entry]);
        links->old[entry] = NULL;
    }
    if (changed) {
        answer_offer(links, entry, seq);
    }
    return true;
}

void
dpdkr_links_run(struct dpdkr_links *links, int64_t now)
{
    bool pending = false;

    if (links->control) {
        for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
            pending |= !run_entry(links, i, now);
        }
        __atomic_store_n(&links->shared->pending, pending, __ATOMIC_RELAXED);
    }
}

void
dpdkr_links_stop(struct dpdkr_links *links)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        link_free(links->shared->links[i]);
        links->shared->links[i] = NULL;
        link_free(links->old[i]);
        links->old[i] = NULL;
    }
    links->control = NULL;
    links->shared->pending = false;
}

/* Starts queue 'q' in the port, with nothing of what it followed before. */
static void
start_queue(struct dpdkr_peer_queue *q, struct dpdkr_control *control,
            uint64_t order, bool refuse)
{
    q->control = refuse ? &no_control : control;
    q->control_seq = refuse ? 0 : get32(&control->seq);
    if (q->is_rx) {
        q->rings = NULL;
        q->in = &q->c;
        q->c.takes_notes = !refuse;
    } else {
        q->out = &q->p;
        q->link_seq = 0;
        q->order = refuse ? 0 : order;
        q->refused = 0;
        q->mark.valid = false;
        if (!refuse) {
            q->p.limit -= DPDKR_RESERVED;
        }
    }
}

void
dpdkr_links_start(struct dpdkr_links *links, void *base,
                  const struct dpdkr_geometry *g, uint32_t n_rxq,
                  uint32_t n_txq)
{
    struct dpdkr_control *control = dpdkr_control(base);
    struct dpdkr_order order;

    dpdkr_links_stop(links);
    links->control = control;
    links->n_rxq = n_rxq;
    links->n_txq = n_txq;
    memset(links->seq, 0, sizeof links->seq);
    memset(links->told_broken, 0, sizeof links->told_broken);
    memset(links->force, 0, sizeof links->force);

    /* An odd order is carried out as if it came now. */
    order = dpdkr_order_unpack(dpdkr_peer_order_word(control));
    if (order.number & 1) {
        order = (struct dpdkr_order) { .number = order.number - 1 };
    }
    for (uint32_t i = 0; i < DPDKR_MAX_QUEUES; i++) {
        set32(&control->applied[i], order.number);
        set32(&control->noted[i], 0);
    }
    memset(control->answer, 0, sizeof control->answer);

    for (uint32_t i = 0; i < g->n_queues; i++) {
        uint64_t word = dpdkr_order_pack(order.number, order.link);

        if (links->rxqs[i]) {
            start_queue(links->rxqs[i], control, word, links->refuse);
        }
        if (links->txqs[i]) {
            start_queue(links->txqs[i], control, word, links->refuse);
        }
    }
}

/* Returns true if 'q', a transmit queue, produces in a link. */
static bool
is_tx_direct(const struct dpdkr_links *links,
             const struct dpdkr_peer_queue *q)
{
    uint32_t seq = __atomic_load_n(&q->link_seq, __ATOMIC_RELAXED);
    uint32_t entry = __atomic_load_n(&q->link_entry, __ATOMIC_RELAXED);
    const struct dpdkr_link *link = links->shared->links[entry];

    return link && seq == link->seq;
}

void
dpdkr_links_get_info(const struct dpdkr_links *links,
                     struct dpdkr_peer_info *info)
{
    info->n_links = info->n_tx_direct = info->n_rx_direct = 0;
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        const struct dpdkr_link *link = links->shared->links[i];

        if (link) {
            info->n_links++;
            for (uint32_t j = 0; j < link->n_rings; j++) {
                info->n_rx_direct += get32(&link->rings[j].active) != 0;
            }
        }
    }
    for (uint32_t i = 0; i < DPDKR_MAX_QUEUES; i++) {
        const struct dpdkr_peer_queue *tx = links->txqs[i];
        const struct dpdkr_peer_queue *rx = links->rxqs[i];

        if (tx) {
            info->n_tx_direct += is_tx_direct(links, tx);
            info->n_handovers += dpdkr_peer_counter(&tx->handovers);
            info->n_refused_orders += dpdkr_peer_counter(&tx->refused_orders);
        }
        if (rx) {
            info->n_notes += dpdkr_peer_counter(&rx->notes);
            info->n_stray_notes += dpdkr_peer_counter(&rx->stray_notes);
        }
    }
}

bool
dpdkr_links_in_use(const struct dpdkr_links *links)
{
    struct dpdkr_peer_info info;

    memset(&info, 0, sizeof info);
    dpdkr_links_get_info(links, &info);
    return info.n_tx_direct || info.n_rx_direct;
}
