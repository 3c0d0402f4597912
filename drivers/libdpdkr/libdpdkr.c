/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <dpdkr/dpdkr.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "peer.h"

/* How far ahead slots are prefetched, in frames. */
#define AHEAD 4

#define NS_PER_MS INT64_C(1000000)

struct dpdkr_rxq {
    struct dpdkr_peer_queue q;
    uint32_t held;              /* Frames given out by dpdkr_rx_peek(). */
};

struct dpdkr_txq {
    struct dpdkr_peer_queue q;
    uint32_t held;              /* Slots given out by dpdkr_tx_reserve(). */
};

struct dpdkr {
    struct dpdkr_peer *peer;
    bool sleeps;
    uint32_t n_rxq, n_txq;
    struct dpdkr_rxq *rxqs;     /* 'n_rxq' elements. */
    struct dpdkr_txq *txqs;     /* 'n_txq' elements. */

    pthread_mutex_t mutex;      /* Makes its holder the control thread. */
    int64_t last_run;           /* Last dpdkr_run(), ns.  Atomic. */

    void (*log)(void *, enum dpdkr_log_level, const char *);
    void *log_aux;
};

static int64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000 * NS_PER_MS + ts.tv_nsec;
}

static void *
zalloc_lines(size_t size)
{
    void *p;

    size = (size + DPDKR_CACHE_LINE - 1) & ~(size_t) (DPDKR_CACHE_LINE - 1);
    p = aligned_alloc(DPDKR_CACHE_LINE, size);
    return p ? memset(p, 0, size) : NULL;
}

static void
forward_log(void *aux, enum dpdkr_peer_log_level level, const char *message)
{
    struct dpdkr *d = aux;

    if (d->log) {
        d->log(d->log_aux, (enum dpdkr_log_level) level, message);
    }
}

static int
open__(struct dpdkr *d, const char *path, const struct dpdkr_options *o,
       char *error, size_t error_size)
{
    struct dpdkr_peer_info info;
    unsigned int flags;
    uint32_t limit;
    int err;

    flags = ((o->flags & DPDKR_OPEN_SLEEPS ? DPDKR_PEER_SLEEPS : 0)
             | (o->flags & DPDKR_OPEN_WAIT ? DPDKR_PEER_WAIT : 0)
             | (o->flags & DPDKR_OPEN_BAR ? DPDKR_PEER_BAR : 0));
    d->sleeps = o->flags & DPDKR_OPEN_SLEEPS;
    err = dpdkr_peer_open(path, flags, forward_log, d, &d->peer,
                          error, error_size);
    if (err) {
        return err;
    }
    dpdkr_peer_get_info(d->peer, &info);
    limit = info.mapped ? info.geometry.n_queues : DPDKR_MAX_QUEUES;
    if (o->n_rxq > limit || o->n_txq > limit) {
        snprintf(error, error_size, "%s: %u receive and %u transmit queues "
                 "are wanted, the port has %u of each", path, o->n_rxq,
                 o->n_txq, limit);
        return EINVAL;
    }
    d->n_rxq = o->n_rxq ? o->n_rxq : info.mapped ? limit : 1;
    d->n_txq = o->n_txq ? o->n_txq : info.mapped ? limit : 1;

    d->rxqs = zalloc_lines(d->n_rxq * sizeof *d->rxqs);
    d->txqs = zalloc_lines(d->n_txq * sizeof *d->txqs);
    if (!d->rxqs || !d->txqs) {
        snprintf(error, error_size, "%s: out of memory", path);
        return ENOMEM;
    }
    for (uint32_t i = 0; i < d->n_rxq; i++) {
        dpdkr_peer_add_queue(d->peer, &d->rxqs[i].q, true, i);
    }
    for (uint32_t i = 0; i < d->n_txq; i++) {
        dpdkr_peer_add_queue(d->peer, &d->txqs[i].q, false, i);
    }
    dpdkr_peer_start(d->peer, d->n_rxq, d->n_txq);
    return 0;
}

int
dpdkr_open(const char *path, const struct dpdkr_options *options,
           struct dpdkr **portp, char *error, size_t error_size)
{
    const uint32_t known_flags = (DPDKR_OPEN_SLEEPS | DPDKR_OPEN_WAIT
                                  | DPDKR_OPEN_BAR);
    struct dpdkr_options o = DPDKR_OPTIONS_INIT;
    struct dpdkr *d;
    char dummy[1];
    int err;

    *portp = NULL;
    if (!error_size) {
        error = dummy;
    }
    if (options) {
        size_t size = options->size;

        if (size < offsetof(struct dpdkr_options, log)
            || size > sizeof o) {
            snprintf(error, error_size, "%s: options of another version of "
                     "libdpdkr", path);
            return EINVAL;
        }
        memcpy(&o, options, size);
    }
    if (o.flags & ~known_flags) {
        snprintf(error, error_size, "%s: unknown flags in options", path);
        return EINVAL;
    }

    d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(error, error_size, "%s: out of memory", path);
        return ENOMEM;
    }
    d->log = o.log;
    d->log_aux = o.log_aux;
    pthread_mutex_init(&d->mutex, NULL);
    err = open__(d, path, &o, error, error_size);
    if (err) {
        dpdkr_close(d);
        return err;
    }
    dpdkr_run(d);
    *portp = d;
    return 0;
}

void
dpdkr_close(struct dpdkr *d)
{
    if (d) {
        dpdkr_peer_close(d->peer);
        free(d->rxqs);
        free(d->txqs);
        pthread_mutex_destroy(&d->mutex);
        free(d);
    }
}

void
dpdkr_run(struct dpdkr *d)
{
    /* Whoever has the mutex does what this thread would do. */
    if (!pthread_mutex_trylock(&d->mutex)) {
        __atomic_store_n(&d->last_run, now_ns(), __ATOMIC_RELAXED);
        dpdkr_peer_run(d->peer);
        pthread_mutex_unlock(&d->mutex);
    }
}

bool
dpdkr_link_up(const struct dpdkr *d)
{
    return dpdkr_peer_link_up(d->peer);
}

/* ## ------- ## */
/* ## Receive ## */
/* ## ------- ## */

unsigned int
dpdkr_rx_burst(struct dpdkr *d, unsigned int queue,
               struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_rxq *rxq = &d->rxqs[queue];
    unsigned int n_rx = 0, n_done = 0;
    unsigned int runts = 0, too_long = 0;
    uint64_t bytes = 0;

    if (queue >= d->n_rxq || rxq->held) {
        return 0;
    }
    if (dpdkr_peer_enter(&rxq->q)) {
        struct dpdkr_consumer *c = &rxq->q.c;

        n = dpdkr_consumer_avail(c, n);
        for (unsigned int i = 0; i < n && i < AHEAD; i++) {
            dpdkr_consumer_prefetch(c, i);
        }
        for (; n_done < n; n_done++) {
            struct dpdkr_frame *f = &frames[n_rx];
            const uint8_t *data;
            uint32_t len;

            if (n_done + AHEAD < n) {
                dpdkr_consumer_prefetch(c, n_done + AHEAD);
            }
            data = dpdkr_consumer_frame(c, n_done, &len);
            if (DPDKR_UNLIKELY(!data)) {
                break;
            } else if (DPDKR_UNLIKELY(len < DPDKR_MIN_FRAME)) {
                runts++;
            } else if (DPDKR_UNLIKELY(len > f->size)) {
                too_long++;
            } else {
                memcpy(f->data, data, len);
                f->len = len;
                bytes += len;
                n_rx++;
            }
        }
        if (n_done) {
            dpdkr_consumer_release(c, n_done);
            dpdkr_peer_count(&rxq->q.packets, n_rx);
            dpdkr_peer_count(&rxq->q.bytes, bytes);
        }
        if (DPDKR_UNLIKELY(runts)) {
            dpdkr_consumer_count_runts(c, runts);
            dpdkr_peer_count(&rxq->q.runts, runts);
        }
        if (DPDKR_UNLIKELY(too_long)) {
            dpdkr_peer_count(&rxq->q.drop_size, too_long);
        }
        if (DPDKR_UNLIKELY(c->broken)) {
            dpdkr_peer_report_broken(&rxq->q);
        }
    }
    dpdkr_peer_leave(&rxq->q);
    return n_rx;
}

/* The inner half of dpdkr_rx_peek(), on a queue that is entered. */
static unsigned int
rx_peek__(struct dpdkr_rxq *rxq, struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_consumer *c = &rxq->q.c;
    unsigned int i, runts = 0;
    const uint8_t *data;
    uint32_t len;

    /* The caller is to see no runts: those that stand first go now, others end
     * this burst. */
    n = dpdkr_consumer_avail(c, n);
    for (i = 0; i < n; i++) {
        data = dpdkr_consumer_frame(c, i, &len);
        if (DPDKR_UNLIKELY(!data)) {
            break;
        } else if (DPDKR_UNLIKELY(len < DPDKR_MIN_FRAME)) {
            if (i > runts) {
                break;
            }
            runts++;
            continue;
        }
        frames[i - runts].data = (void *) (uintptr_t) data;
        frames[i - runts].len = len;
        frames[i - runts].size = c->r.slot_size;
        __builtin_prefetch(data, 0, 3);
    }
    if (DPDKR_UNLIKELY(runts)) {
        dpdkr_consumer_count_runts(c, runts);
        dpdkr_peer_count(&rxq->q.runts, runts);
        dpdkr_consumer_release(c, runts);
    }
    return i - runts;
}

unsigned int
dpdkr_rx_peek(struct dpdkr *d, unsigned int queue,
              struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_rxq *rxq = &d->rxqs[queue];
    unsigned int n_rx = 0;

    if (queue >= d->n_rxq) {
        return 0;
    }
    if (dpdkr_peer_enter(&rxq->q)) {
        n_rx = rx_peek__(rxq, frames, n);
        if (n_rx > rxq->held) {
            rxq->held = n_rx;
        }
        if (DPDKR_UNLIKELY(rxq->q.c.broken)) {
            dpdkr_peer_report_broken(&rxq->q);
        }
    }
    if (!rxq->held) {
        dpdkr_peer_leave(&rxq->q);
    }
    return n_rx;
}

void
dpdkr_rx_release(struct dpdkr *d, unsigned int queue, unsigned int n)
{
    struct dpdkr_rxq *rxq = &d->rxqs[queue];

    if (queue >= d->n_rxq || !rxq->held) {
        return;
    }
    n = n < rxq->held ? n : rxq->held;
    if (n) {
        struct dpdkr_consumer *c = &rxq->q.c;
        uint64_t bytes = 0;
        unsigned int i;

        for (i = 0; i < n; i++) {
            uint32_t len;

            if (!dpdkr_consumer_frame(c, i, &len)) {
                break;
            }
            bytes += len;
        }
        dpdkr_consumer_release(c, n);
        dpdkr_peer_count(&rxq->q.packets, n);
        dpdkr_peer_count(&rxq->q.bytes, bytes);
    }
    rxq->held = 0;
    dpdkr_peer_leave(&rxq->q);
}

/* ## ---- ## */
/* ## Send ## */
/* ## ---- ## */

unsigned int
dpdkr_tx_burst(struct dpdkr *d, unsigned int queue,
               const struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_txq *txq = &d->txqs[queue];
    unsigned int n_done = 0;

    if (queue >= d->n_txq || txq->held) {
        return 0;
    }
    if (dpdkr_peer_enter(&txq->q)) {
        struct dpdkr_producer *p = &txq->q.p;
        uint32_t room = dpdkr_producer_room(p, n);
        unsigned int n_tx = 0;
        uint64_t bytes = 0;

        for (unsigned int i = 0; i < room && i < AHEAD; i++) {
            dpdkr_producer_prefetch(p, i);
        }
        for (; n_done < n; n_done++) {
            const struct dpdkr_frame *f = &frames[n_done];

            if (DPDKR_UNLIKELY(f->len < DPDKR_MIN_FRAME
                               || f->len > p->r.slot_size)) {
                continue;
            } else if (n_tx >= room) {
                break;
            }
            if (n_tx + AHEAD < room) {
                dpdkr_producer_prefetch(p, n_tx + AHEAD);
            }
            memcpy(dpdkr_producer_slot(p, n_tx), f->data, f->len);
            dpdkr_producer_set(p, n_tx, f->len);
            bytes += f->len;
            n_tx++;
        }
        if (n_tx) {
            dpdkr_producer_publish(p, n_tx);
            dpdkr_peer_count(&txq->q.packets, n_tx);
            dpdkr_peer_count(&txq->q.bytes, bytes);
        }
        if (DPDKR_UNLIKELY(n_done > n_tx)) {
            dpdkr_producer_count_drops(p, 0, n_done - n_tx, 0);
            dpdkr_peer_count(&txq->q.drop_size, n_done - n_tx);
        }
        if (n_done < n) {
            dpdkr_peer_count(&txq->q.full, n - n_done);
            if (DPDKR_UNLIKELY(p->broken)) {
                dpdkr_peer_report_broken(&txq->q);
            }
        }
    }
    dpdkr_peer_leave(&txq->q);
    return n_done;
}

unsigned int
dpdkr_tx_reserve(struct dpdkr *d, unsigned int queue,
                 struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_txq *txq = &d->txqs[queue];
    unsigned int n_tx = 0;

    if (queue >= d->n_txq) {
        return 0;
    }
    if (dpdkr_peer_enter(&txq->q)) {
        struct dpdkr_producer *p = &txq->q.p;

        n_tx = dpdkr_producer_room(p, n);
        for (unsigned int i = 0; i < n_tx; i++) {
            frames[i].data = dpdkr_producer_slot(p, i);
            frames[i].len = 0;
            frames[i].size = p->r.slot_size;
            __builtin_prefetch(frames[i].data, 1, 3);
        }
        if (n_tx > txq->held) {
            txq->held = n_tx;
        }
        if (DPDKR_UNLIKELY(p->broken)) {
            dpdkr_peer_report_broken(&txq->q);
        }
    }
    if (!txq->held) {
        dpdkr_peer_leave(&txq->q);
    }
    return n_tx;
}

unsigned int
dpdkr_tx_commit(struct dpdkr *d, unsigned int queue,
                const struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_txq *txq = &d->txqs[queue];
    struct dpdkr_producer *p = &txq->q.p;
    uint64_t bytes = 0;
    unsigned int i;

    if (queue >= d->n_txq || !txq->held) {
        return 0;
    }
    n = n < txq->held ? n : txq->held;
    for (i = 0; i < n; i++) {
        uint32_t len = frames[i].len;

        if (DPDKR_UNLIKELY(len < DPDKR_MIN_FRAME || len > p->r.slot_size)) {
            dpdkr_producer_count_drops(p, 0, 1, 0);
            dpdkr_peer_count(&txq->q.drop_size, 1);
            break;
        }
        dpdkr_producer_set(p, i, len);
        bytes += len;
    }
    if (i) {
        dpdkr_producer_publish(p, i);
        dpdkr_peer_count(&txq->q.packets, i);
        dpdkr_peer_count(&txq->q.bytes, bytes);
    }
    txq->held = 0;
    dpdkr_peer_leave(&txq->q);
    return i;
}

unsigned int
dpdkr_tx_pending(struct dpdkr *d, unsigned int queue)
{
    struct dpdkr_txq *txq = &d->txqs[queue];
    unsigned int pending = 0;

    if (queue >= d->n_txq) {
        return 0;
    }
    if (dpdkr_peer_enter(&txq->q)) {
        struct dpdkr_producer *p = &txq->q.p;
        uint32_t size = p->r.mask + 1;

        pending = size - dpdkr_producer_room(p, size);
        if (DPDKR_UNLIKELY(p->broken)) {
            dpdkr_peer_report_broken(&txq->q);
            pending = 0;
        }
    }
    if (!txq->held) {
        dpdkr_peer_leave(&txq->q);
    }
    return pending;
}

/* ## ---- ## */
/* ## Wait ## */
/* ## ---- ## */

/* One sleep of dpdkr_wait() on a queue that is entered: for 'latency' ns if
 * frames wait already, else for the first one, but not past 'limit' (on the
 * clock of now_ns()) either way.
 *
 * Two thresholds, since with a single one the latency would have to bound each
 * sleep, also of a queue where nothing ever arrives. */
static bool
wait__(struct dpdkr_rxq *rxq, uint32_t avail, uint32_t threshold,
       int64_t latency, int64_t limit, int64_t now)
{
    int64_t ns = limit - now;

    if (avail && latency < ns) {
        ns = latency;
    }
    errno = 0;
    dpdkr_consumer_wait(&rxq->q.c, avail ? threshold : 1, ns > 0 ? ns : 0);
    dpdkr_peer_count(&rxq->q.wakeups, 1);
    return errno == EINTR;
}

int
dpdkr_wait(struct dpdkr *d, unsigned int queue, unsigned int threshold,
           unsigned int latency_us, int timeout_ms)
{
    const int64_t run_interval = DPDKR_PEER_RUN_MS * NS_PER_MS;
    struct dpdkr_rxq *rxq = &d->rxqs[queue];
    int64_t now = now_ns();
    int64_t deadline = (timeout_ms < 0 ? INT64_MAX
                        : now + timeout_ms * NS_PER_MS);
    int64_t latency_end = -1;   /* Unknown before there is a frame. */
    bool interrupted = false;

    if (!d->sleeps || queue >= d->n_rxq) {
        return -EINVAL;
    } else if (rxq->held) {
        return -EBUSY;
    }
    if (!threshold) {
        threshold = 1;
    } else if (threshold > DPDKR_MAX_RING) {
        threshold = DPDKR_MAX_RING;
    }

    for (;;) {
        int64_t next_run = (__atomic_load_n(&d->last_run, __ATOMIC_RELAXED)
                            + run_interval);
        uint32_t avail = 0;

        if (now >= next_run) {
            dpdkr_run(d);
            next_run = now + run_interval;
        }

        bool up = dpdkr_peer_enter(&rxq->q);
        if (up) {
            struct dpdkr_consumer *c = &rxq->q.c;

            if (threshold > c->r.mask + 1) {
                threshold = c->r.mask + 1;
            }
            avail = dpdkr_consumer_avail(c, threshold);
            if (avail && latency_end < 0) {
                latency_end = now + (int64_t) latency_us * 1000;
            }
            if (avail < threshold && !interrupted && now < deadline
                && (!avail || now < latency_end)) {
                interrupted = wait__(rxq, avail, threshold,
                                     latency_end - now,
                                     next_run < deadline ? next_run
                                     : deadline, now);
                avail = 0;
            }
            if (DPDKR_UNLIKELY(c->broken)) {
                dpdkr_peer_report_broken(&rxq->q);
            }
        }
        dpdkr_peer_leave(&rxq->q);

        if (avail) {
            return avail;
        }
        if (!up && !interrupted && now < deadline) {
            int64_t ns = deadline - now;
            struct timespec ts = { .tv_sec = 0, .tv_nsec = 5 * NS_PER_MS };

            if (ns < ts.tv_nsec) {
                ts.tv_nsec = ns;
            }
            interrupted = nanosleep(&ts, NULL) && errno == EINTR;
            dpdkr_run(d);
        }

        now = now_ns();
        if (now >= deadline || interrupted) {
            /* A last look at the ring. */
            if (up && dpdkr_peer_enter(&rxq->q)) {
                avail = dpdkr_consumer_avail(&rxq->q.c, threshold);
            }
            dpdkr_peer_leave(&rxq->q);
            return avail ? (int) avail : interrupted ? -EINTR : 0;
        }
    }
}

/* ## ----------- ## */
/* ## Information ## */
/* ## ----------- ## */

static void
add_rx_stats(const struct dpdkr_peer_queue *q, struct dpdkr_stats *s)
{
    s->rx_packets += dpdkr_peer_counter(&q->packets);
    s->rx_bytes += dpdkr_peer_counter(&q->bytes);
    s->rx_runts += dpdkr_peer_counter(&q->runts);
    s->rx_drop_size += dpdkr_peer_counter(&q->drop_size);
    s->rx_skipped += dpdkr_peer_counter(&q->skipped);
    s->rx_wakeups += dpdkr_peer_counter(&q->wakeups);
}

static void
add_tx_stats(const struct dpdkr_peer_queue *q, struct dpdkr_stats *s)
{
    s->tx_packets += dpdkr_peer_counter(&q->packets);
    s->tx_bytes += dpdkr_peer_counter(&q->bytes);
    s->tx_drop_size += dpdkr_peer_counter(&q->drop_size);
    s->tx_full += dpdkr_peer_counter(&q->full);
}

int
dpdkr_get_stats(const struct dpdkr *d, unsigned int queue,
                struct dpdkr_stats *stats, size_t size)
{
    struct dpdkr_stats s;
    bool found = queue == DPDKR_ALL_QUEUES;

    memset(&s, 0, sizeof s);
    for (uint32_t i = 0; i < d->n_rxq; i++) {
        if (queue == i || queue == DPDKR_ALL_QUEUES) {
            add_rx_stats(&d->rxqs[i].q, &s);
            found = true;
        }
    }
    for (uint32_t i = 0; i < d->n_txq; i++) {
        if (queue == i || queue == DPDKR_ALL_QUEUES) {
            add_tx_stats(&d->txqs[i].q, &s);
            found = true;
        }
    }
    memset(stats, 0, size);
    memcpy(stats, &s, size < sizeof s ? size : sizeof s);
    return found ? 0 : EINVAL;
}

void
dpdkr_get_info(struct dpdkr *d, struct dpdkr_info *info, size_t size)
{
    struct dpdkr_peer_info p;
    struct dpdkr_info i;

    pthread_mutex_lock(&d->mutex);
    dpdkr_peer_get_info(d->peer, &p);
    pthread_mutex_unlock(&d->mutex);

    memset(&i, 0, sizeof i);
    i.link_up = p.link_up;
    i.mapped = p.mapped;
    i.n_rxq = d->n_rxq;
    i.n_txq = d->n_txq;
    i.n_queues = p.geometry.n_queues;
    i.ring_size = p.geometry.ring_size;
    i.max_frame = p.geometry.slot_size;
    i.mtu = p.mtu;
    memcpy(i.mac, p.mac, sizeof i.mac);
    memcpy(i.name, p.name, sizeof i.name);
    memcpy(i.id, p.id, sizeof i.id);
    i.switch_pid = p.switch_pid;
    i.epoch = p.epoch;
    i.n_attached = p.n_attached;
    i.n_cut_by_switch = p.n_cut_by_switch;
    i.n_cut_by_us = p.n_cut_by_us;
    i.last_cut = dpdkr_cut_reason_to_string(p.last_cut_reason);

    memset(info, 0, size);
    memcpy(info, &i, size < sizeof i ? size : sizeof i);
}
