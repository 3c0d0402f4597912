/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "peer.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "links.h"
#include "memory.h"

/* Back-off after a cut-off, ms. */
#define BACKOFF_MIN 1000
#define BACKOFF_MAX 30000
/* A link that held this long, ms, starts from BACKOFF_MIN again. */
#define BACKOFF_FORGIVE 60000

enum peer_state {
    PEER_NO_MEMORY,
    PEER_DETACHED,
    PEER_ATTACHING,
    PEER_ATTACHED,
};

struct dpdkr_peer {
    struct dpdkr_peer_shared shared;

    /* All the rest belongs to the control thread. */
    char *path;
    unsigned int flags;         /* DPDKR_PEER_*. */
    dpdkr_peer_log_func *log;
    void *log_aux;
    char last_error[256];       /* Last problem that was logged, or "". */

    enum peer_state state;
    bool started;
    bool admin_up;
    bool quiescent;             /* No queue is, or can get, at the rings. */
    uint32_t n_rxq, n_txq;

    /* Queues in use, by index. */
    struct dpdkr_peer_queue *rxqs[DPDKR_MAX_QUEUES];
    struct dpdkr_peer_queue *txqs[DPDKR_MAX_QUEUES];

    /* In states other than PEER_NO_MEMORY. */
    struct dpdkr_memory mem;
    struct dpdkr_side *us, *them;   /* In shared memory. */
    bool drop_memory;           /* Unmap as soon as quiescent. */
    uint32_t epoch;             /* Ours. */
    uint32_t their_epoch;       /* Last seen. */
    uint64_t beat;              /* Our heartbeat. */
    uint64_t their_beat;        /* Last seen... */
    int64_t their_beat_time;    /* ...to change, then. */
    struct dpdkr_links links;   /* Mapped ones only if the port is, too. */

    int64_t attach_after;       /* Back-off: not before that time. */
    int64_t backoff;            /* The next one. */
    int64_t attached_since;

    uint32_t last_cut_reason;
    uint64_t n_attached, n_cut_by_switch, n_cut_by_us, n_link_changes;
};

static int64_t
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

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
peer_log(struct dpdkr_peer *peer, enum dpdkr_peer_log_level level,
         const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
peer_log(struct dpdkr_peer *peer, enum dpdkr_peer_log_level level,
         const char *format, ...)
{
    char msg[512];
    va_list args;

    if (!peer->log) {
        return;
    }
    va_start(args, format);
    vsnprintf(msg, sizeof msg, format, args);
    va_end(args);
    peer->log(peer->log_aux, level, msg);
}

/* Logs 'msg', which keeps the peer from attaching, unless it was the last
 * such message. */
static void
peer_log_problem(struct dpdkr_peer *peer, const char *msg)
{
    if (strcmp(msg, peer->last_error)) {
        snprintf(peer->last_error, sizeof peer->last_error, "%s", msg);
        peer_log(peer, DPDKR_PEER_WARN, "%s", msg);
    }
}

/* ## ------------- ## */
/* ## Queue threads ## */
/* ## ------------- ## */

bool
dpdkr_peer_rebind__(struct dpdkr_peer_queue *q, uint32_t generation)
{
    if (!(generation & 1)) {
        return false;
    }
    /* What the program holds stays where it is, and with it what the queue
     * looks at. */
    if (!q->held) {
        dpdkr_links_rebind(q);
        /* Partner: queues_have_seen() in links.c. */
        __atomic_store_n(&q->generation, generation, __ATOMIC_RELEASE);
    }
    return true;
}

static void
peer_add_generation(struct dpdkr_peer *peer, uint32_t n)
{
    /* Partner: dpdkr_peer_enter(). */
    __atomic_fetch_add(&peer->shared.generation, n, __ATOMIC_SEQ_CST);
}

/* Makes the queues look at what has changed, link up. */
static void
peer_link_changed(struct dpdkr_peer *peer)
{
    peer_add_generation(peer, 2);
}

static void
peer_set_link(struct dpdkr_peer *peer, bool up)
{
    if (up != dpdkr_peer_link_up(peer)) {
        peer->quiescent = false;
        peer->n_link_changes++;
        peer_add_generation(peer, 1);
    }
}

/* Orders the caller's accesses to memory before this call and those after it
 * with regard to each queue thread, as if that executed a full barrier in
 * between. */
void
dpdkr_peer_membarrier(const struct dpdkr_peer_shared *shared)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!shared->need_fence) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
}

/* Tries to make 'peer', whose link is down, quiescent.  See "Threads" in
 * peer.h. */
static bool
peer_quiesce(struct dpdkr_peer *peer)
{
    if (peer->quiescent) {
        return true;
    }
    /* Partner: dpdkr_peer_enter(). */
    dpdkr_peer_membarrier(&peer->shared);
    for (uint32_t i = 0; i < DPDKR_MAX_QUEUES; i++) {
        /* Partner: dpdkr_peer_leave(). */
        if ((peer->rxqs[i] && get32(&peer->rxqs[i]->busy))
            || (peer->txqs[i] && get32(&peer->txqs[i]->busy))) {
            return false;
        }
    }
    peer->quiescent = true;
    return true;
}

/* Returns the DPDKR_CUT_* reason of a ring that a queue thread found broken,
 * or 0. */
static uint32_t
peer_broken_queue(const struct dpdkr_peer *peer, uint32_t *index, bool *is_rx)
{
    for (uint32_t i = 0; i < DPDKR_MAX_QUEUES; i++) {
        for (int rx = 0; rx <= 1; rx++) {
            const struct dpdkr_peer_queue *q
                = rx ? peer->rxqs[i] : peer->txqs[i];
            uint32_t reason = q ? get32(&q->broken) : 0;

            if (reason) {
                *index = i;
                *is_rx = rx;
                return reason;
            }
        }
    }
    return 0;
}

/* ## ------ ## */
/* ## Memory ## */
/* ## ------ ## */

static void
peer_unmap(struct dpdkr_peer *peer)
{
    dpdkr_links_stop(&peer->links);
    dpdkr_memory_close(&peer->mem);
    peer->us = peer->them = NULL;
    peer->drop_memory = false;
    peer->state = PEER_NO_MEMORY;
}

static int
peer_map(struct dpdkr_peer *peer, char *error, size_t error_size)
{
    struct dpdkr_memory *m = &peer->mem;
    int err;

    err = dpdkr_memory_open(m, peer->path, DPDKR_KIND_PORT, DPDKR_SIDE_B,
                            peer->flags & DPDKR_PEER_BAR, error, error_size);
    if (err) {
        return err;
    }
    peer->us = &m->header->side[DPDKR_SIDE_B];
    peer->them = &m->header->side[DPDKR_SIDE_A];
    peer->their_epoch = get32(&peer->them->epoch);
    peer->beat = __atomic_load_n(&peer->us->heartbeat, __ATOMIC_RELAXED);
    /* This value may have stood there for long.  The next one is fresh. */
    peer->their_beat = __atomic_load_n(&peer->them->heartbeat,
                                       __ATOMIC_RELAXED);
    peer->their_beat_time = INT64_MIN / 2;
    peer->drop_memory = false;
    peer->state = PEER_DETACHED;
    peer_log(peer, DPDKR_PEER_DBG, "%s: mapped %u queue pairs of %u frames of "
             "up to %u bytes", peer->path, m->geometry.n_queues,
             m->geometry.ring_size, m->geometry.slot_size);
    return 0;
}

/* Returns true if the memory may still be used.  Otherwise arranges for it to
 * be unmapped. */
static bool
peer_check_memory(struct dpdkr_peer *peer, bool switch_alive)
{
    const char *why;

    if (peer->drop_memory) {
        return false;
    } else if (!dpdkr_memory_is_whole(&peer->mem)) {
        why = "memory was truncated";
        peer->last_cut_reason = DPDKR_CUT_MEMORY;
    } else if (get32(&peer->them->state) == DPDKR_RETIRED) {
        why = "memory was retired by the switch";
    } else if (memcmp(peer->mem.header->id, peer->mem.id,
                      sizeof peer->mem.id)) {
        why = "memory was made anew";
    } else if (!switch_alive && !peer->mem.bar
               && dpdkr_memory_is_replaced(&peer->mem, peer->path)) {
        why = "file was replaced";
    } else {
        return true;
    }
    peer_log(peer, DPDKR_PEER_INFO, "%s: %s", peer->path, why);
    peer->drop_memory = true;
    peer->state = PEER_DETACHED;
    peer_set_link(peer, false);
    return false;
}

/* Returns true if the switch is there. */
static bool
peer_switch_alive(struct dpdkr_peer *peer, int64_t now)
{
    uint64_t beat;

    if (!peer->mem.bar) {
        return dpdkr_memory_other_locked(&peer->mem);
    }
    beat = __atomic_load_n(&peer->them->heartbeat, __ATOMIC_RELAXED);
    if (beat != peer->their_beat) {
        peer->their_beat = beat;
        peer->their_beat_time = now;
    }
    return now - peer->their_beat_time < DPDKR_DEAD_MS;
}

/* ## ---------------- ## */
/* ## Attaching, links ## */
/* ## ---------------- ## */

static void
peer_detach(struct dpdkr_peer *peer)
{
    set32(&peer->us->state, DPDKR_DOWN);
    peer->state = PEER_DETACHED;
}

/* Step 2 of "Attaching" in <dpdkr/abi.h>. */
static void
peer_announce(struct dpdkr_peer *peer)
{
    struct dpdkr_side *us = peer->us;

    us->version = DPDKR_ABI_VERSION;
    us->flags = ((peer->mem.bar ? DPDKR_F_HEARTBEAT : DPDKR_F_LINKS)
                 | (peer->flags & DPDKR_PEER_SLEEPS ? DPDKR_F_SLEEPS : 0));
    us->n_rxq = peer->n_rxq;
    us->n_txq = peer->n_txq;
    us->pid = peer->mem.bar ? 0 : getpid();
    set32(&us->state, DPDKR_ATTACHING);
    us->cut_reason = DPDKR_CUT_NONE;
    set32(&us->cut, 0);

    /* It must differ from what side A knows, whatever stands in our part of
     * the memory, and 0 stands for none. */
    peer->epoch = get32(&us->epoch);
    do {
        peer->epoch++;
    } while (!peer->epoch || peer->epoch == get32(&peer->them->ack)
             || peer->epoch == get32(&peer->them->cut));
    set32(&us->epoch, peer->epoch);

    peer->state = PEER_ATTACHING;
}

/* Steps 4 and 5.  'peer' must be quiescent. */
static void
peer_start_rings(struct dpdkr_peer *peer, int64_t now)
{
    const struct dpdkr_geometry *g = &peer->mem.geometry;
    void *base = peer->mem.base;

    for (uint32_t i = 0; i < g->n_queues; i++) {
        struct dpdkr_peer_queue *q;
        struct dpdkr_consumer c;
        struct dpdkr_producer p;
        uint64_t skipped;

        dpdkr_consumer_init(&c, base, g, dpdkr_ring_of(i, DPDKR_SIDE_A));
        dpdkr_consumer_adopt(&c);
        skipped = c.skipped;
        dpdkr_consumer_start(&c, true);
        q = peer->rxqs[i];
        if (q) {
            q->c = c;
            dpdkr_peer_count(&q->skipped, c.skipped - skipped);
            q->broken = 0;
        }

        dpdkr_producer_init(&p, base, g, dpdkr_ring_of(i, DPDKR_SIDE_B));
        dpdkr_producer_adopt(&p);
        dpdkr_producer_start_empty(&p);
        q = peer->txqs[i];
        if (q) {
            q->p = p;
            q->broken = 0;
        }
    }
    peer->links.refuse = peer->mem.bar;
    dpdkr_links_start(&peer->links, base, g, peer->n_rxq, peer->n_txq);
    set32(&peer->us->state, peer->admin_up ? DPDKR_UP : DPDKR_ADMIN_DOWN);
    peer->state = PEER_ATTACHED;
    peer->attached_since = now;
    peer->n_attached++;
    peer->last_error[0] = '\0';
}

/* Returns true if everything is there for attaching. */
static bool
peer_may_attach(struct dpdkr_peer *peer, bool switch_alive, int64_t now)
{
    uint32_t n = (peer->n_rxq > peer->n_txq ? peer->n_rxq : peer->n_txq);
    uint32_t version = get32(&peer->them->version);
    char msg[256];

    /* Without locks, that a switch is there is best found out by attaching. */
    if (!peer->started || now < peer->attach_after
        || (!switch_alive && !peer->mem.bar)) {
        return false;
    }
    if (version && DPDKR_VERSION_MAJOR(version) != DPDKR_ABI_MAJOR) {
        snprintf(msg, sizeof msg, "%s: switch speaks dpdkr version %u.%u, "
                 "this program %u.%u", peer->path,
                 DPDKR_VERSION_MAJOR(version), DPDKR_VERSION_MINOR(version),
                 DPDKR_ABI_MAJOR, DPDKR_ABI_MINOR);
        peer_log_problem(peer, msg);
        return false;
    }
    if (n > peer->mem.geometry.n_queues) {
        snprintf(msg, sizeof msg, "%s: %u queues are configured, the port "
                 "has %u", peer->path, n, peer->mem.geometry.n_queues);
        peer_log_problem(peer, msg);
        return false;
    }
    return true;
}

/* Ends the attachment for 'reason', a DPDKR_CUT_* found by 'who', and has
 * another one made after a while. */
static void
peer_cut_off(struct dpdkr_peer *peer, const char *who, uint32_t reason,
             int64_t now)
{
    if (now - peer->attached_since > BACKOFF_FORGIVE) {
        peer->backoff = BACKOFF_MIN;
    }
    peer_log(peer, DPDKR_PEER_WARN, "%s: %s (%s), attaching again in %lld ms",
             peer->path, who, dpdkr_cut_reason_to_string(reason),
             (long long) peer->backoff);
    peer->last_cut_reason = reason;
    peer->attach_after = now + peer->backoff;
    peer->backoff *= 2;
    if (peer->backoff > BACKOFF_MAX) {
        peer->backoff = BACKOFF_MAX;
    }
    peer_set_link(peer, false);
    peer_detach(peer);
}

static void
peer_run_attached(struct dpdkr_peer *peer, bool switch_alive, int64_t now)
{
    uint32_t their_epoch = get32(&peer->them->epoch);
    uint32_t reason, index;
    bool is_rx, up;

    if (get32(&peer->them->cut) == peer->epoch) {
        peer->n_cut_by_switch++;
        peer_cut_off(peer, "cut off by the switch",
                     get32(&peer->them->cut_reason), now);
        return;
    }

    reason = peer_broken_queue(peer, &index, &is_rx);
    if (reason) {
        char who[64];

        snprintf(who, sizeof who, "switch broke %s ring %u",
                 is_rx ? "receive" : "transmit", index);
        peer->n_cut_by_us++;
        peer->us->cut_reason = reason;
        set32(&peer->us->cut, their_epoch);
        peer_cut_off(peer, who, reason, now);
        return;
    }

    if (switch_alive && get32(&peer->them->ack) != peer->epoch) {
        peer_log(peer, DPDKR_PEER_INFO, "%s: switch has forgotten this peer",
                 peer->path);
        peer_set_link(peer, false);
        peer_detach(peer);
        return;
    }

    bool other_sleeps = get32(&peer->them->flags) & DPDKR_F_SLEEPS;
    if (their_epoch != peer->their_epoch
        || other_sleeps != peer->shared.other_sleeps) {
        peer->their_epoch = their_epoch;
        __atomic_store_n(&peer->shared.other_sleeps, other_sleeps,
                         __ATOMIC_RELAXED);
        peer_link_changed(peer);
    }

    dpdkr_links_run(&peer->links, now);

    up = ((switch_alive || dpdkr_links_in_use(&peer->links))
          && peer->admin_up
          && get32(&peer->them->state) != DPDKR_ADMIN_DOWN);
    if (up != dpdkr_peer_link_up(peer)) {
        peer_set_link(peer, up);
        peer_log(peer, DPDKR_PEER_INFO, "%s: link %s%s", peer->path,
                 up ? "up" : "down",
                 up ? "" : !switch_alive ? " (switch is gone)"
                 : " (set down)");
    }
}

/* One step.  Returns true if another one may follow at once. */
static bool
peer_run__(struct dpdkr_peer *peer, int64_t now)
{
    char error[256];
    bool alive;
    int err;

    if (peer->state == PEER_NO_MEMORY) {
        if (!peer->started) {
            return false;
        }
        err = peer_map(peer, error, sizeof error);
        if (err && err != ENOENT && err != ESTALE) {
            peer_log_problem(peer, error);
        }
        return !err;
    }

    alive = (!peer->drop_memory && dpdkr_memory_is_whole(&peer->mem)
             && peer_switch_alive(peer, now));
    if (!peer_check_memory(peer, alive)) {
        if (!peer_quiesce(peer)) {
            return false;
        }
        peer_unmap(peer);
        return true;
    }

    switch (peer->state) {
    case PEER_DETACHED:
        if (peer->links.control && peer_quiesce(peer)) {
            dpdkr_links_stop(&peer->links);
        }
        if (peer_may_attach(peer, alive, now) && peer_quiesce(peer)) {
            peer_announce(peer);
        }
        return false;

    case PEER_ATTACHING:
        if (get32(&peer->them->ack) != peer->epoch) {
            return false;
        }
        /* An acknowledgment is a sign of life. */
        peer->their_beat_time = now;
        peer_start_rings(peer, now);
        return true;

    case PEER_ATTACHED:
        peer_run_attached(peer, alive, now);
        return peer->state == PEER_DETACHED;

    case PEER_NO_MEMORY:
    default:
        return false;
    }
}

/* Does what is to be done.  To be called at least every
 * DPDKR_PEER_RUN_MS. */
void
dpdkr_peer_run(struct dpdkr_peer *peer)
{
    int64_t now = now_ms();

    if (peer->state != PEER_NO_MEMORY && peer->mem.bar && peer->started
        && dpdkr_memory_is_whole(&peer->mem)) {
        __atomic_store_n(&peer->us->heartbeat, ++peer->beat,
                         __ATOMIC_RELAXED);
    }
    for (int i = 0; i < 8 && peer_run__(peer, now); i++) {
        continue;
    }
}

/* ## ---------- ## */
/* ## Life cycle ## */
/* ## ---------- ## */

/* Opens the port at 'path'.  'flags' is a set of DPDKR_PEER_*.  'log', if it
 * is not NULL, gets 'aux' and each message, and must not call back.  'kick',
 * if it is not NULL, gets 'aux'.
 *
 * Returns 0 and stores a peer that is stopped into '*peerp', or returns a
 * positive errno value (see dpdkr_memory_open()) and stores a message, with
 * 'path' in it, into the 'error_size' bytes at 'error'. */
int
dpdkr_peer_open(const char *path, unsigned int flags,
                dpdkr_peer_log_func *log, dpdkr_peer_kick_func *kick,
                void *aux, struct dpdkr_peer **peerp,
                char *error, size_t error_size)
{
    struct dpdkr_peer *peer;
    int err;

    *peerp = NULL;
    peer = aligned_alloc(DPDKR_CACHE_LINE,
                         (sizeof *peer + DPDKR_CACHE_LINE - 1)
                         / DPDKR_CACHE_LINE * DPDKR_CACHE_LINE);
    if (!peer) {
        snprintf(error, error_size, "%s: out of memory", path);
        return ENOMEM;
    }
    memset(peer, 0, sizeof *peer);
    peer->mem.fd = -1;
    peer->path = strdup(path);
    if (!peer->path) {
        free(peer);
        snprintf(error, error_size, "%s: out of memory", path);
        return ENOMEM;
    }
    peer->flags = flags;
    peer->log = log;
    peer->log_aux = aux;
    peer->state = PEER_NO_MEMORY;
    peer->admin_up = true;
    peer->quiescent = true;
    peer->backoff = BACKOFF_MIN;
    peer->attach_after = INT64_MIN;
    peer->shared.generation = 2;
    peer->shared.need_fence
        = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
                  0, 0) != 0;

    peer->shared.kick = kick;
    peer->shared.kick_aux = aux;
    peer->links = (struct dpdkr_links) {
        .shared = &peer->shared,
        .rxqs = peer->rxqs,
        .txqs = peer->txqs,
        .log = log,
        .log_aux = aux,
        .path = peer->path,
        .sleeps = flags & DPDKR_PEER_SLEEPS,
    };

    err = peer_map(peer, error, error_size);
    if (err && !((flags & DPDKR_PEER_WAIT)
                 && (err == ENOENT || err == ESTALE))) {
        free(peer->path);
        free(peer);
        return err;
    }
    *peerp = peer;
    return 0;
}

/* Detaches from the port and frees 'peer'.  No queue thread may be using its
 * queues any more. */
void
dpdkr_peer_close(struct dpdkr_peer *peer)
{
    if (peer) {
        dpdkr_peer_stop(peer);
        if (peer->state != PEER_NO_MEMORY) {
            peer_unmap(peer);
        }
        free(peer->path);
        free(peer);
    }
}

/* Makes 'q', all zeros but for what the caller has around it, receive ring
 * ('is_rx') or transmit ring 'index' of 'peer', which must be stopped.
 * Returns 0 or a positive errno value. */
int
dpdkr_peer_add_queue(struct dpdkr_peer *peer, struct dpdkr_peer_queue *q,
                     bool is_rx, uint32_t index)
{
    struct dpdkr_peer_queue **qp;

    if (index >= DPDKR_MAX_QUEUES || peer->started) {
        return EINVAL;
    }
    qp = is_rx ? &peer->rxqs[index] : &peer->txqs[index];
    if (*qp) {
        return EEXIST;
    }
    q->shared = &peer->shared;
    q->is_rx = is_rx;
    q->index = index;
    *qp = q;
    return 0;
}

/* Takes 'q' out of 'peer', which must be stopped, and its threads too. */
void
dpdkr_peer_remove_queue(struct dpdkr_peer *peer, struct dpdkr_peer_queue *q)
{
    for (uint32_t i = 0; i < DPDKR_MAX_QUEUES; i++) {
        if (peer->rxqs[i] == q) {
            peer->rxqs[i] = NULL;
        }
        if (peer->txqs[i] == q) {
            peer->txqs[i] = NULL;
        }
    }
}

/* Lets 'peer' attach with the receive queues 0...'n_rxq' - 1 and the transmit
 * queues 0...'n_txq' - 1, all of which have been added.  It does so in
 * dpdkr_peer_run(). */
void
dpdkr_peer_start(struct dpdkr_peer *peer, uint32_t n_rxq, uint32_t n_txq)
{
    peer->n_rxq = n_rxq;
    peer->n_txq = n_txq;
    peer->started = true;
    peer->last_error[0] = '\0';
}

/* Detaches from the switch.  The port remains taken.
 *
 * Queue threads that are still polling find the link down.  The next
 * attachment waits until all of them have left their queues. */
void
dpdkr_peer_stop(struct dpdkr_peer *peer)
{
    peer->started = false;
    peer_set_link(peer, false);
    if (peer->state == PEER_NO_MEMORY) {
        return;
    }
    if (peer->drop_memory || !dpdkr_memory_is_whole(&peer->mem)) {
        peer->drop_memory = true;
        peer->state = PEER_DETACHED;
    } else {
        peer_detach(peer);
        if (peer->links.control && peer_quiesce(peer)) {
            dpdkr_links_stop(&peer->links);
        }
    }
}

/* Sets the administrative state of this side, for the switch to see. */
void
dpdkr_peer_set_admin(struct dpdkr_peer *peer, bool up)
{
    peer->admin_up = up;
    if (peer->state == PEER_ATTACHED
        && dpdkr_memory_is_whole(&peer->mem)) {
        set32(&peer->us->state, up ? DPDKR_UP : DPDKR_ADMIN_DOWN);
        if (!up) {
            peer_set_link(peer, false);
        }
    }
}

/* Returns true if the link is up.  Any thread may call this. */
bool
dpdkr_peer_link_up(const struct dpdkr_peer *peer)
{
    return __atomic_load_n(&peer->shared.generation, __ATOMIC_RELAXED) & 1;
}

void
dpdkr_peer_get_info(const struct dpdkr_peer *peer,
                    struct dpdkr_peer_info *info)
{
    memset(info, 0, sizeof *info);
    info->link_up = dpdkr_peer_link_up(peer);
    info->attaching = peer->state == PEER_ATTACHING;
    info->epoch = peer->epoch;
    info->last_cut_reason = peer->last_cut_reason;
    info->n_attached = peer->n_attached;
    info->n_cut_by_switch = peer->n_cut_by_switch;
    info->n_cut_by_us = peer->n_cut_by_us;
    info->n_link_changes = peer->n_link_changes;
    dpdkr_links_get_info(&peer->links, info);

    if (peer->state == PEER_NO_MEMORY || peer->drop_memory
        || !dpdkr_memory_is_whole(&peer->mem)) {
        return;
    }
    const struct dpdkr_side *them = peer->them;
    uint32_t room = peer->mem.geometry.slot_size - DPDKR_L2_OVERHEAD;

    info->mapped = true;
    info->heartbeat = peer->mem.bar;
    info->geometry = peer->mem.geometry;
    memcpy(info->id, peer->mem.id, sizeof info->id);
    info->mtu = get32(&them->mtu);
    if (info->mtu > room) {
        info->mtu = room;
    }
    memcpy(info->mac, them->mac, sizeof info->mac);
    if (info->mac[0] & 1) {
        memset(info->mac, 0, sizeof info->mac);
    }
    memcpy(info->name, them->name, sizeof info->name);
    info->name[sizeof info->name - 1] = '\0';
    for (char *p = info->name; *p; p++) {
        if (*p < ' ' || *p > '~') {
            *p = '?';
        }
    }
    info->version = get32(&them->version);
    info->switch_pid = get32(&them->pid);
}
