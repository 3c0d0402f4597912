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

#include "links.h"
#include "peer.h"

/* How far ahead slots are prefetched, in frames. */
#define AHEAD 4

#define NS_PER_MS INT64_C(1000000)

struct dpdkr {
    struct dpdkr_peer *peer;
    bool sleeps;
    bool kicked;                /* dpdkr_run() is due.  Atomic. */
    uint32_t n_rxq, n_txq;
    struct dpdkr_peer_queue *rxqs;  /* 'n_rxq' elements. */
    struct dpdkr_peer_queue *txqs;  /* 'n_txq' elements. */

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

static void
set_kicked(void *d_)
{
    struct dpdkr *d = d_;

    __atomic_store_n(&d->kicked, true, __ATOMIC_RELAXED);
}

/* Leaves 'q', and does for the control thread what 'q' has asked for. */
static inline void
leave(struct dpdkr *d, struct dpdkr_peer_queue *q)
{
    dpdkr_peer_leave(q);
    if (DPDKR_UNLIKELY(__atomic_load_n(&d->kicked, __ATOMIC_RELAXED))) {
        dpdkr_run(d);
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
    err = dpdkr_peer_open(path, flags, forward_log, set_kicked, d, &d->peer,
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
        dpdkr_peer_add_queue(d->peer, &d->rxqs[i], true, i);
    }
    for (uint32_t i = 0; i < d->n_txq; i++) {
        dpdkr_peer_add_queue(d->peer, &d->txqs[i], false, i);
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
        __atomic_store_n(&d->kicked, false, __ATOMIC_RELAXED);
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

/* Copies up to 'n' frames out of the ring of 'c', one of those of 'q'. */
static inline unsigned int
rx_copy(struct dpdkr_peer_queue *q, struct dpdkr_consumer *c,
        struct dpdkr_frame frames[], unsigned int n)
{
    unsigned int n_rx = 0, n_done;
    unsigned int runts = 0, too_long = 0;
    uint64_t bytes = 0;

    c->at_note = false;
    n = dpdkr_consumer_avail(c, n);
    for (unsigned int i = 0; i < n && i < AHEAD; i++) {
        dpdkr_consumer_prefetch(c, i);
    }
    for (n_done = 0; n_done < n; n_done++) {
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
        dpdkr_peer_count(&q->packets, n_rx);
        dpdkr_peer_count(&q->bytes, bytes);
    }
    if (DPDKR_UNLIKELY(runts)) {
        dpdkr_consumer_count_runts(c, runts);
        dpdkr_peer_count(&q->runts, runts);
    }
    if (DPDKR_UNLIKELY(too_long)) {
        dpdkr_peer_count(&q->drop_size, too_long);
    }
    if (DPDKR_UNLIKELY(c->broken)) {
        dpdkr_links_rx_broken(q, c);
    }
    return n_rx;
}

/* The same with all the rings that 'q' has, and what stands there for it. */
static unsigned int
rx_copy_all(struct dpdkr_peer_queue *q, struct dpdkr_frame frames[],
            unsigned int n)
{
    struct dpdkr_links_iter it;
    struct dpdkr_consumer *c;
    unsigned int n_rx = 0;

    dpdkr_links_rx_start(q, &it);
    while (n_rx < n && (c = dpdkr_links_rx_next(q, &it)) != NULL) {
        unsigned int n_new = rx_copy(q, c, frames + n_rx, n - n_rx);

        if (!n_new) {
            dpdkr_links_rx_nothing(q, &it);
        }
        n_rx += n_new;
    }
    return n_rx;
}

unsigned int
dpdkr_rx_burst(struct dpdkr *d, unsigned int queue,
               struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_peer_queue *q = &d->rxqs[queue];
    unsigned int n_rx = 0;

    if (queue >= d->n_rxq || q->held) {
        return 0;
    }
    if (dpdkr_peer_enter(q)) {
        bool plain = dpdkr_links_rx_is_plain(q);

        if (DPDKR_LIKELY(plain)) {
            n_rx = rx_copy(q, &q->c, frames, n);
        }
        if (DPDKR_UNLIKELY(!plain || (!n_rx && q->c.at_note))) {
            n_rx = rx_copy_all(q, frames, n);
        }
    }
    leave(d, q);
    return n_rx;
}

/* The inner half of dpdkr_rx_peek(), for the ring of 'c'. */
static unsigned int
rx_peek(struct dpdkr_peer_queue *q, struct dpdkr_consumer *c,
        struct dpdkr_frame frames[], unsigned int n)
{
    unsigned int i, runts = 0;
    const uint8_t *data;
    uint32_t len;

    /* The caller is to see no runts: those that stand first go now, others end
     * this burst. */
    c->at_note = false;
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
        dpdkr_peer_count(&q->runts, runts);
        dpdkr_consumer_release(c, runts);
    }
    if (DPDKR_UNLIKELY(c->broken)) {
        dpdkr_links_rx_broken(q, c);
    }
    return i - runts;
}

/* The same with the first ring of 'q' that has frames. */
static unsigned int
rx_peek_any(struct dpdkr_peer_queue *q, struct dpdkr_frame frames[],
            unsigned int n)
{
    struct dpdkr_links_iter it;
    struct dpdkr_consumer *c;

    dpdkr_links_rx_start(q, &it);
    while ((c = dpdkr_links_rx_next(q, &it)) != NULL) {
        unsigned int n_rx = rx_peek(q, c, frames, n);

        if (n_rx) {
            q->in = c;
            return n_rx;
        }
        dpdkr_links_rx_nothing(q, &it);
    }
    return 0;
}

unsigned int
dpdkr_rx_peek(struct dpdkr *d, unsigned int queue,
              struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_peer_queue *q = &d->rxqs[queue];
    unsigned int n_rx = 0;

    if (queue >= d->n_rxq || !n) {
        return 0;
    }
    if (dpdkr_peer_enter(q)) {
        if (q->held) {
            n_rx = rx_peek(q, q->in, frames, n);
        } else {
            bool plain = dpdkr_links_rx_is_plain(q);

            if (DPDKR_LIKELY(plain)) {
                q->in = &q->c;
                n_rx = rx_peek(q, &q->c, frames, n);
            }
            if (DPDKR_UNLIKELY(!plain || (!n_rx && q->c.at_note))) {
                n_rx = rx_peek_any(q, frames, n);
            }
        }
        if (n_rx > q->held) {
            q->held = n_rx;
        }
    }
    if (!q->held) {
        leave(d, q);
    }
    return n_rx;
}

void
dpdkr_rx_release(struct dpdkr *d, unsigned int queue, unsigned int n)
{
    struct dpdkr_peer_queue *q = &d->rxqs[queue];

    if (queue >= d->n_rxq || !q->held) {
        return;
    }
    n = n < q->held ? n : q->held;
    if (n) {
        struct dpdkr_consumer *c = q->in;
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
        dpdkr_peer_count(&q->packets, n);
        dpdkr_peer_count(&q->bytes, bytes);
    }
    q->held = 0;
    leave(d, q);
}

/* ## ---- ## */
/* ## Send ## */
/* ## ---- ## */

/* Copies as many of the 'n' frames as possible into the ring of 'p', that of
 * 'q'.  Returns how many are done with. */
static unsigned int
tx_copy(struct dpdkr_peer_queue *q, struct dpdkr_producer *p,
        const struct dpdkr_frame frames[], unsigned int n)
{
    uint32_t room = dpdkr_producer_room(p, n);
    unsigned int n_done, n_tx = 0;
    uint64_t bytes = 0;

    for (unsigned int i = 0; i < room && i < AHEAD; i++) {
        dpdkr_producer_prefetch(p, i);
    }
    for (n_done = 0; n_done < n; n_done++) {
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
        dpdkr_peer_count(&q->packets, n_tx);
        dpdkr_peer_count(&q->bytes, bytes);
    }
    if (DPDKR_UNLIKELY(n_done > n_tx)) {
        dpdkr_producer_count_drops(p, 0, n_done - n_tx, 0);
        dpdkr_peer_count(&q->drop_size, n_done - n_tx);
    }
    if (n_done < n && DPDKR_UNLIKELY(p->broken)) {
        dpdkr_links_tx_broken(q, p);
    }
    return n_done;
}

unsigned int
dpdkr_tx_burst(struct dpdkr *d, unsigned int queue,
               const struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_peer_queue *q = &d->txqs[queue];
    unsigned int n_done = 0;

    if (queue >= d->n_txq || q->held) {
        return 0;
    }
    if (dpdkr_peer_enter(q)) {
        struct dpdkr_producer *p = dpdkr_links_tx(q);

        if (DPDKR_LIKELY(p != NULL)) {
            n_done = tx_copy(q, p, frames, n);
        }
        if (n_done < n) {
            dpdkr_peer_count(&q->full, n - n_done);
        }
    }
    leave(d, q);
    return n_done;
}

unsigned int
dpdkr_tx_reserve(struct dpdkr *d, unsigned int queue,
                 struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_peer_queue *q = &d->txqs[queue];
    unsigned int n_tx = 0;

    if (queue >= d->n_txq) {
        return 0;
    }
    if (dpdkr_peer_enter(q)) {
        struct dpdkr_producer *p = q->held ? q->out : dpdkr_links_tx(q);

        if (DPDKR_LIKELY(p != NULL)) {
            n_tx = dpdkr_producer_room(p, n);
            for (unsigned int i = 0; i < n_tx; i++) {
                frames[i].data = dpdkr_producer_slot(p, i);
                frames[i].len = 0;
                frames[i].size = p->r.slot_size;
                __builtin_prefetch(frames[i].data, 1, 3);
            }
            if (DPDKR_UNLIKELY(p->broken)) {
                dpdkr_links_tx_broken(q, p);
            }
        }
        if (n_tx > q->held) {
            q->held = n_tx;
        }
    }
    if (!q->held) {
        leave(d, q);
    }
    return n_tx;
}

unsigned int
dpdkr_tx_commit(struct dpdkr *d, unsigned int queue,
                const struct dpdkr_frame frames[], unsigned int n)
{
    struct dpdkr_peer_queue *q = &d->txqs[queue];
    struct dpdkr_producer *p;
    uint64_t bytes = 0;
    unsigned int i;

    if (queue >= d->n_txq || !q->held) {
        return 0;
    }
    p = q->out;
    n = n < q->held ? n : q->held;
    for (i = 0; i < n; i++) {
        uint32_t len = frames[i].len;

        if (DPDKR_UNLIKELY(len < DPDKR_MIN_FRAME || len > p->r.slot_size)) {
            dpdkr_producer_count_drops(p, 0, 1, 0);
            dpdkr_peer_count(&q->drop_size, 1);
            break;
        }
        dpdkr_producer_set(p, i, len);
        bytes += len;
    }
    if (i) {
        dpdkr_producer_publish(p, i);
        dpdkr_peer_count(&q->packets, i);
        dpdkr_peer_count(&q->bytes, bytes);
    }
    q->held = 0;
    leave(d, q);
    return i;
}

unsigned int
dpdkr_tx_pending(struct dpdkr *d, unsigned int queue)
{
    struct dpdkr_peer_queue *q = &d->txqs[queue];
    unsigned int pending = 0;

    if (queue >= d->n_txq) {
        return 0;
    }
    if (dpdkr_peer_enter(q)) {
        pending = dpdkr_links_tx_pending(q);
    }
    if (!q->held) {
        leave(d, q);
    }
    return pending;
}

/* ## ---- ## */
/* ## Wait ## */
/* ## ---- ## */

/* Sleeps, up to 'ns' ns, while the link is down.  Returns true if a signal
 * arrived. */
static bool
wait_for_link(struct dpdkr *d, int64_t ns)
{
    struct timespec ts = { .tv_sec = 0, .tv_nsec = 5 * NS_PER_MS };
    bool interrupted;

    if (ns < ts.tv_nsec) {
        ts.tv_nsec = ns;
    }
    interrupted = nanosleep(&ts, NULL) && errno == EINTR;
    dpdkr_run(d);
    return interrupted;
}

int
dpdkr_wait(struct dpdkr *d, unsigned int queue, unsigned int threshold,
           unsigned int latency_us, int timeout_ms)
{
    const int64_t run_interval = DPDKR_PEER_RUN_MS * NS_PER_MS;
    struct dpdkr_peer_queue *q = &d->rxqs[queue];
    int64_t now = now_ns();
    int64_t deadline = (timeout_ms < 0 ? INT64_MAX
                        : now + timeout_ms * NS_PER_MS);
    int64_t latency_end = -1;   /* Unknown before there is a frame. */
    bool interrupted = false;

    if (!d->sleeps || queue >= d->n_rxq) {
        return -EINVAL;
    } else if (q->held) {
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
        bool up, full = false;
        uint32_t avail = 0;

        if (now >= next_run) {
            dpdkr_run(d);
            next_run = now + run_interval;
        }

        up = dpdkr_peer_enter(q);
        if (up) {
            avail = dpdkr_links_rx_avail(q, threshold, &full);
            if (avail && latency_end < 0) {
                latency_end = now + (int64_t) latency_us * 1000;
            }
            if (avail < threshold && !full && !interrupted && now < deadline
                && (!avail || now < latency_end)
                && !__atomic_load_n(&d->kicked, __ATOMIC_RELAXED)) {
                /* For the first frame, or for those that are missing but not
                 * past the latency.  Two thresholds, since with a single one
                 * the latency would have to bound each sleep, also where
                 * nothing ever arrives. */
                int64_t limit = next_run < deadline ? next_run : deadline;

                if (avail && latency_end < limit) {
                    limit = latency_end;
                }
                interrupted = dpdkr_links_rx_sleep(q, avail
                                                   ? threshold - avail : 1,
                                                   limit - now) == EINTR;
                avail = 0;
            }
        }
        leave(d, q);

        if (avail) {
            return avail;
        }
        if (!up && !interrupted && now < deadline) {
            interrupted = wait_for_link(d, deadline - now);
        }

        now = now_ns();
        if (now >= deadline || interrupted) {
            /* A last look at the rings. */
            if (up && dpdkr_peer_enter(q)) {
                avail = dpdkr_links_rx_avail(q, threshold, &full);
            }
            leave(d, q);
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
            add_rx_stats(&d->rxqs[i], &s);
            found = true;
        }
    }
    for (uint32_t i = 0; i < d->n_txq; i++) {
        if (queue == i || queue == DPDKR_ALL_QUEUES) {
            add_tx_stats(&d->txqs[i], &s);
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
    i.n_links = p.n_links;
    i.n_tx_direct = p.n_tx_direct;
    i.n_rx_direct = p.n_rx_direct;
    i.n_handovers = p.n_handovers;
    i.n_notes = p.n_notes;

    memset(info, 0, size);
    memcpy(info, &i, size < sizeof i ? size : sizeof i);
}
