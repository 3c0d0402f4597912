/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_RING_H
#define DPDKR_RING_H 1

/* Operations on the rings of <dpdkr/abi.h>
 * ========================================
 *
 * The only code that touches a ring.  The switch, the driver and the client
 * library wrap it; none of them has a ring loop of its own.
 *
 * A producer or consumer is private memory of one side: its own index lives
 * there, not in shared memory, and so does the last index seen of the other
 * side, which is refreshed only when the old one says that there is too little
 * room or too few frames.
 *
 *
 * Trust
 * -----
 *
 * The far side may write anything anywhere at any time.  For every content of
 * the shared memory, these functions only access the ring they were set up
 * for, in bounds; what they return is in range.  A contradiction is returned
 * as a DPDKR_CUT_* reason in 'broken', after which the ring yields no frames
 * and no room until dpdkr_producer_start() or dpdkr_consumer_start() is called
 * anew.  The pointer to a frame points to shared memory: copy it out before
 * looking at it.
 *
 *
 * Threads
 * -------
 *
 * One thread at a time uses a producer or consumer; different ones, also the
 * two ends of one ring, are independent. */

#include <dpdkr/abi.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

#define DPDKR_LIKELY(X) __builtin_expect(!!(X), 1)
#define DPDKR_UNLIKELY(X) __builtin_expect(!!(X), 0)

/* Constants of one ring, from the private geometry. */
struct dpdkr_ring_view {
    struct dpdkr_ring *ctl;
    struct dpdkr_desc *descs;
    uint8_t *slots;
    uint32_t mask;              /* ring_size - 1. */
    uint32_t slot_size;
    uint32_t slot_stride;
};

struct dpdkr_producer {
    struct dpdkr_ring_view r;
    uint32_t prod;              /* Own index. */
    uint32_t cons;              /* Other's, as last seen. */
    uint32_t broken;            /* DPDKR_CUT_*, 0 while all is well. */
    uint32_t limit;             /* Frames that may wait: ring_size, less
                                 * DPDKR_RESERVED if there can be notes. */
    bool consumer_sleeps;       /* Other side has DPDKR_F_SLEEPS. */

    /* Own counters, see struct dpdkr_ring. */
    uint64_t packets, bytes, drop_full, drop_size, drop_other;
};

struct dpdkr_consumer {
    struct dpdkr_ring_view r;
    uint32_t cons;              /* Own index. */
    uint32_t prod;              /* Other's, as last seen. */
    uint32_t broken;            /* DPDKR_CUT_*, 0 while all is well. */
    bool takes_notes;           /* Other side may write notes. */
    bool at_note;               /* The next descriptor is one. */

    /* Own counters.  Only the last two are in shared memory. */
    uint64_t packets, bytes, runts, skipped;
};

/* Descriptors in a cache line. */
#define DPDKR_DESCS_PER_LINE__ (DPDKR_CACHE_LINE / sizeof(struct dpdkr_desc))

/* Points 'r' to ring number 'ring' of the memory at 'base'. */
static inline void
dpdkr_ring_view_init(struct dpdkr_ring_view *r, void *base,
                     const struct dpdkr_geometry *g, uint32_t ring)
{
    uint8_t *ctl = (uint8_t *) base + g->rings_offset
                   + (uint64_t) ring * g->ring_bytes;

    r->ctl = (struct dpdkr_ring *) (void *) ctl;
    r->descs = (struct dpdkr_desc *) (void *) (ctl + sizeof *r->ctl);
    r->slots = (uint8_t *) base + g->slots_offset
               + (uint64_t) ring * g->ring_size * g->slot_stride;
    r->mask = g->ring_size - 1;
    r->slot_size = g->slot_size;
    r->slot_stride = g->slot_stride;
}

static inline uint8_t *
dpdkr_slot(const struct dpdkr_ring_view *r, uint32_t index)
{
    return r->slots + (uint64_t) (index & r->mask) * r->slot_stride;
}

/* ## -------- ## */
/* ## Producer ## */
/* ## -------- ## */

/* Makes 'p' the producer of ring 'ring' of the memory at 'base'.  It is not
 * ready for use before dpdkr_producer_start(). */
static inline void
dpdkr_producer_init(struct dpdkr_producer *p, void *base,
                    const struct dpdkr_geometry *g, uint32_t ring)
{
    memset(p, 0, sizeof *p);
    dpdkr_ring_view_init(&p->r, base, g, ring);
    p->broken = DPDKR_CUT_INDEX;
    p->limit = g->ring_size;
    p->cons = p->prod - g->ring_size;
}

/* Publishes the index and counters of 'p'. */
static inline void
dpdkr_producer_publish__(struct dpdkr_producer *p)
{
    struct dpdkr_ring *ctl = p->r.ctl;

    __atomic_store_n(&ctl->packets, p->packets, __ATOMIC_RELAXED);
    __atomic_store_n(&ctl->bytes, p->bytes, __ATOMIC_RELAXED);
    /* Partner: dpdkr_consumer_avail(). */
    __atomic_store_n(&ctl->prod, p->prod, __ATOMIC_RELEASE);
}

static inline void
dpdkr_producer_publish_drops__(struct dpdkr_producer *p)
{
    struct dpdkr_ring *ctl = p->r.ctl;

    __atomic_store_n(&ctl->drop_full, p->drop_full, __ATOMIC_RELAXED);
    __atomic_store_n(&ctl->drop_size, p->drop_size, __ATOMIC_RELAXED);
    __atomic_store_n(&ctl->drop_other, p->drop_other, __ATOMIC_RELAXED);
}

/* Takes index and counters out of shared memory, where an earlier producer of
 * the same side left them. */
static inline void
dpdkr_producer_adopt(struct dpdkr_producer *p)
{
    struct dpdkr_ring *ctl = p->r.ctl;

    p->prod = __atomic_load_n(&ctl->prod, __ATOMIC_RELAXED);
    p->packets = __atomic_load_n(&ctl->packets, __ATOMIC_RELAXED);
    p->bytes = __atomic_load_n(&ctl->bytes, __ATOMIC_RELAXED);
    p->drop_full = __atomic_load_n(&ctl->drop_full, __ATOMIC_RELAXED);
    p->drop_size = __atomic_load_n(&ctl->drop_size, __ATOMIC_RELAXED);
    p->drop_other = __atomic_load_n(&ctl->drop_other, __ATOMIC_RELAXED);
}

/* Starts 'p', or starts it anew for another consumer ("Attaching" in
 * <dpdkr/abi.h>).  Continues at the own index if the consumer's is consistent
 * with it; otherwise at the consumer's, with an empty ring, so that it cannot
 * fail. */
static inline void
dpdkr_producer_start(struct dpdkr_producer *p)
{
    uint32_t cons = __atomic_load_n(&p->r.ctl->cons, __ATOMIC_ACQUIRE);

    if (p->prod - cons > p->r.mask + 1) {
        p->prod = cons;
    }
    p->cons = cons;
    p->broken = DPDKR_CUT_NONE;
    dpdkr_producer_publish__(p);
    dpdkr_producer_publish_drops__(p);
}

/* Starts 'p' with an empty ring: what an earlier producer of the same side
 * published and the consumer has not taken is dropped and counted.  The
 * consumer must not be running ("Attaching" in <dpdkr/abi.h>). */
static inline void
dpdkr_producer_start_empty(struct dpdkr_producer *p)
{
    uint32_t cons = __atomic_load_n(&p->r.ctl->cons, __ATOMIC_ACQUIRE);

    if (p->prod - cons <= p->r.mask + 1) {
        p->drop_other += p->prod - cons;
    }
    p->prod = cons;
    dpdkr_producer_start(p);
}

/* Refreshes 'cons' of 'p' from shared memory.  Returns false if it contradicts
 * what was there before. */
static inline bool
dpdkr_producer_refresh__(struct dpdkr_producer *p)
{
    /* Partner: dpdkr_consumer_release(). */
    uint32_t cons = __atomic_load_n(&p->r.ctl->cons, __ATOMIC_ACQUIRE);

    if (DPDKR_UNLIKELY(p->broken)) {
        return false;
    }
    /* The consumer can have moved from where it was towards 'prod' only;
     * anything else would let frames be overwritten that wait. */
    if (DPDKR_UNLIKELY(cons - p->cons > p->prod - p->cons)) {
        p->broken = DPDKR_CUT_INDEX;
        p->cons = p->prod - (p->r.mask + 1);
        return false;
    }
    p->cons = cons;
    return true;
}

static inline uint32_t
dpdkr_producer_room__(const struct dpdkr_producer *p)
{
    uint32_t used = p->prod - p->cons;

    return DPDKR_LIKELY(used < p->limit) ? p->limit - used : 0;
}

/* Returns for how many frames the ring has room, at most 'want'. */
static inline uint32_t
dpdkr_producer_room(struct dpdkr_producer *p, uint32_t want)
{
    uint32_t room = dpdkr_producer_room__(p);

    if (DPDKR_UNLIKELY(room < want)) {
        if (!dpdkr_producer_refresh__(p)) {
            return 0;
        }
        room = dpdkr_producer_room__(p);
    }
    return room < want ? room : want;
}

/* The slot 'i' frames behind the last one published, for 'i' below what
 * dpdkr_producer_room() returned.  Write the frame there... */
static inline uint8_t *
dpdkr_producer_slot(const struct dpdkr_producer *p, uint32_t i)
{
    return dpdkr_slot(&p->r, p->prod + i);
}

/* ...say how long it is ('len' at most the slot size; once for each frame that
 * is going to be published)... */
static inline void
dpdkr_producer_set(struct dpdkr_producer *p, uint32_t i, uint32_t len)
{
    union {
        struct dpdkr_desc desc;
        uint64_t word;
    } u = { .desc = { .len = len } };

    __atomic_store_n((uint64_t *) (void *) &p->r.descs[(p->prod + i)
                                                       & p->r.mask],
                     u.word, __ATOMIC_RELAXED);
    p->bytes += len;
}

/* Prepares for the cache line at 'address' to be written.  What compilers make
 * of __builtin_prefetch() for x86-64 in general only fetches a shared copy:
 * one more way to the other core and back for the store. */
static inline void
dpdkr_prefetch_write__(void *address)
{
#ifdef __x86_64__
    __asm__ volatile ("prefetchw %0" : : "m" (*(char *) address));
#else
    __builtin_prefetch(address, 1, 3);
#endif
}

/* Prepares for dpdkr_producer_slot(p, i) to be written.  'i' may be any
 * number. */
static inline void
dpdkr_producer_prefetch(const struct dpdkr_producer *p, uint32_t i)
{
    dpdkr_prefetch_write__(dpdkr_producer_slot(p, i));
}

/* Prepares for the descriptors of frames 'i' to 'i' + 'n' to be written.  They
 * may be any numbers. */
static inline void
dpdkr_producer_prefetch_descs(const struct dpdkr_producer *p, uint32_t i,
                              uint32_t n)
{
    for (uint32_t j = 0; j <= n; j += DPDKR_DESCS_PER_LINE__) {
        dpdkr_prefetch_write__(&p->r.descs[(p->prod + i + j) & p->r.mask]);
    }
}

#ifdef __linux__
/* Wakes the consumer if it sleeps and its threshold is reached.  Returns true
 * if it did. */
static inline bool
dpdkr_producer_wake(struct dpdkr_producer *p)
{
    uint32_t threshold;

    /* Partner: dpdkr_consumer_wait(). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    threshold = __atomic_load_n(&p->r.ctl->wake, __ATOMIC_RELAXED);
    if (DPDKR_LIKELY(!threshold)) {
        return false;
    }
    /* 'cons' is read for this decision only: a lie makes for a late or a
     * needless wake-up of the liar. */
    if (p->prod - __atomic_load_n(&p->r.ctl->cons, __ATOMIC_RELAXED)
        < threshold) {
        return false;
    }
    __atomic_store_n(&p->r.ctl->wake, 0, __ATOMIC_RELAXED);
    syscall(SYS_futex, &p->r.ctl->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
    return true;
}
#endif

/* ...and publish the first 'n' of them, all at once. */
static inline void
dpdkr_producer_publish(struct dpdkr_producer *p, uint32_t n)
{
    p->prod += n;
    p->packets += n;
    dpdkr_producer_publish__(p);
#ifdef __linux__
    if (DPDKR_UNLIKELY(p->consumer_sleeps)) {
        dpdkr_producer_wake(p);
    }
#endif
}

/* Publishes a note (<dpdkr/link.h>) behind what was published before.  Returns
 * false if there is no room for it. */
static inline bool
dpdkr_producer_note(struct dpdkr_producer *p, uint32_t number, uint16_t pad)
{
    union {
        struct dpdkr_desc desc;
        uint64_t word;
    } u = { .desc = { .len = number, .flags = DPDKR_D_NOTE, .pad = pad } };

    if (p->prod - p->cons > p->r.mask
        && (!dpdkr_producer_refresh__(p) || p->prod - p->cons > p->r.mask)) {
        return false;
    }
    __atomic_store_n((uint64_t *) (void *) &p->r.descs[p->prod & p->r.mask],
                     u.word, __ATOMIC_RELAXED);
    p->prod++;
    dpdkr_producer_publish__(p);
#ifdef __linux__
    if (p->consumer_sleeps) {
        dpdkr_producer_wake(p);
    }
#endif
    return true;
}

/* Counts frames that were not sent. */
static inline void
dpdkr_producer_count_drops(struct dpdkr_producer *p, uint64_t full,
                           uint64_t size, uint64_t other)
{
    p->drop_full += full;
    p->drop_size += size;
    p->drop_other += other;
    dpdkr_producer_publish_drops__(p);
}

/* ## -------- ## */
/* ## Consumer ## */
/* ## -------- ## */

/* Makes 'c' the consumer of ring 'ring' of the memory at 'base'.  It is not
 * ready for use before dpdkr_consumer_start(). */
static inline void
dpdkr_consumer_init(struct dpdkr_consumer *c, void *base,
                    const struct dpdkr_geometry *g, uint32_t ring)
{
    memset(c, 0, sizeof *c);
    dpdkr_ring_view_init(&c->r, base, g, ring);
    c->broken = DPDKR_CUT_INDEX;
}

static inline void
dpdkr_consumer_publish__(struct dpdkr_consumer *c)
{
    /* Partner: dpdkr_producer_room().  The release keeps the reads of the
     * slots before it. */
    __atomic_store_n(&c->r.ctl->cons, c->cons, __ATOMIC_RELEASE);
}

/* Takes index and counters out of shared memory, where an earlier consumer of
 * the same side left them. */
static inline void
dpdkr_consumer_adopt(struct dpdkr_consumer *c)
{
    struct dpdkr_ring *ctl = c->r.ctl;

    c->cons = __atomic_load_n(&ctl->cons, __ATOMIC_RELAXED);
    c->runts = __atomic_load_n(&ctl->cons_runts, __ATOMIC_RELAXED);
    c->skipped = __atomic_load_n(&ctl->cons_skipped, __ATOMIC_RELAXED);
}

/* Starts 'c', or starts it anew for another producer.  Continues at the own
 * index if the producer's is consistent with it and 'skip' is false; otherwise
 * at the producer's, and counts what it skips. */
static inline void
dpdkr_consumer_start(struct dpdkr_consumer *c, bool skip)
{
    uint32_t prod = __atomic_load_n(&c->r.ctl->prod, __ATOMIC_ACQUIRE);

    if (prod - c->cons > c->r.mask + 1) {
        c->cons = prod;
    } else if (skip) {
        c->skipped += prod - c->cons;
        c->cons = prod;
    }
    c->prod = prod;
    c->broken = DPDKR_CUT_NONE;
    c->at_note = false;
    __atomic_store_n(&c->r.ctl->cons_runts, c->runts, __ATOMIC_RELAXED);
    __atomic_store_n(&c->r.ctl->cons_skipped, c->skipped, __ATOMIC_RELAXED);
    dpdkr_consumer_publish__(c);
}

/* Returns how many frames wait, at most 'want'. */
static inline uint32_t
dpdkr_consumer_avail(struct dpdkr_consumer *c, uint32_t want)
{
    uint32_t avail = c->prod - c->cons;

    if (avail < want) {
        /* Partner: dpdkr_producer_publish__(). */
        uint32_t prod = __atomic_load_n(&c->r.ctl->prod, __ATOMIC_ACQUIRE);

        if (DPDKR_UNLIKELY(c->broken)) {
            return 0;
        }
        /* The producer can have moved on from where it was into free slots
         * only. */
        if (DPDKR_UNLIKELY(prod - c->prod > c->r.mask + 1 - avail)) {
            c->broken = DPDKR_CUT_INDEX;
            c->prod = c->cons;
            return 0;
        }
        c->prod = prod;
        avail = prod - c->cons;
    }
    return avail < want ? avail : want;
}

/* Prepares for the descriptors of frames 0 to 'n' to be read. */
static inline void
dpdkr_consumer_prefetch_descs(const struct dpdkr_consumer *c, uint32_t n)
{
    for (uint32_t j = 0; j <= n; j += DPDKR_DESCS_PER_LINE__) {
        __builtin_prefetch(&c->r.descs[(c->cons + j) & c->r.mask], 0, 3);
    }
}

/* Prepares for frame 'i' to be read. */
static inline void
dpdkr_consumer_prefetch(const struct dpdkr_consumer *c, uint32_t i)
{
    __builtin_prefetch(dpdkr_slot(&c->r, c->cons + i), 0, 3);
}

/* Prepares for up to 'n' frames to be read that are known to wait, without a
 * look for new ones. */
static inline void
dpdkr_consumer_prefetch_known(const struct dpdkr_consumer *c, uint32_t n)
{
    uint32_t avail = c->prod - c->cons;

    if (n > avail) {
        n = avail;
    }
    if (n) {
        dpdkr_consumer_prefetch_descs(c, n - 1);
        for (uint32_t i = 0; i < n; i++) {
            dpdkr_consumer_prefetch(c, i);
        }
    }
}

/* The inner half of dpdkr_consumer_frame() for a descriptor that is no
 * frame's. */
static inline void
dpdkr_consumer_no_frame__(struct dpdkr_consumer *c, struct dpdkr_desc desc)
{
    if (desc.flags == DPDKR_D_NOTE && c->takes_notes) {
        c->at_note = true;
    } else if (desc.flags || desc.pad) {
        c->broken = DPDKR_CUT_FLAGS;
    } else {
        c->broken = DPDKR_CUT_LENGTH;
    }
}

/* Returns frame 'i', for 'i' below what dpdkr_consumer_avail() returned, and
 * stores its length, 0 to the slot size, into '*len'.
 *
 * Returns NULL if there is no frame: the descriptor is a note, then 'at_note'
 * is set, or is broken, then 'c' is.  Release the frames before it and
 * stop. */
static inline const uint8_t *
dpdkr_consumer_frame(struct dpdkr_consumer *c, uint32_t i, uint32_t *len)
{
    union {
        struct dpdkr_desc desc;
        uint64_t word;
    } u;

    u.word = __atomic_load_n((uint64_t *) (void *) &c->r.descs[(c->cons + i)
                                                               & c->r.mask],
                             __ATOMIC_RELAXED);
    if (DPDKR_UNLIKELY(u.desc.len > c->r.slot_size
                       || u.desc.flags || u.desc.pad)) {
        dpdkr_consumer_no_frame__(c, u.desc);
        *len = 0;
        return NULL;
    }
    *len = u.desc.len;
    return dpdkr_slot(&c->r, c->cons + i);
}

/* If the next descriptor is a note, which 'at_note' says, takes it, stores its
 * contents into '*number' and '*pad', and returns true.  The slot goes back to
 * the producer with the next dpdkr_consumer_release(), if only of 0 frames.
 *
 * To be called when all frames before it have been released. */
static inline bool
dpdkr_consumer_note(struct dpdkr_consumer *c, uint32_t *number, uint16_t *pad)
{
    union {
        struct dpdkr_desc desc;
        uint64_t word;
    } u;

    if (!c->at_note) {
        return false;
    }
    c->at_note = false;
    u.word = __atomic_load_n((uint64_t *) (void *) &c->r.descs[c->cons
                                                               & c->r.mask],
                             __ATOMIC_RELAXED);
    if (u.desc.flags != DPDKR_D_NOTE) {
        /* It was one a moment ago. */
        c->broken = DPDKR_CUT_FLAGS;
        return false;
    }
    *number = u.desc.len;
    *pad = u.desc.pad;
    c->cons++;
    return true;
}

/* Gives the slots of the first 'n' frames back to the producer. */
static inline void
dpdkr_consumer_release(struct dpdkr_consumer *c, uint32_t n)
{
    c->cons += n;
    if (DPDKR_UNLIKELY(c->broken)) {
        /* Nothing more is expected of this producer. */
        c->prod = c->cons;
    }
    dpdkr_consumer_publish__(c);
}

/* Counts 'n' frames refused for being under DPDKR_MIN_FRAME. */
static inline void
dpdkr_consumer_count_runts(struct dpdkr_consumer *c, uint64_t n)
{
    c->runts += n;
    __atomic_store_n(&c->r.ctl->cons_runts, c->runts, __ATOMIC_RELAXED);
}

#ifdef __linux__
/* Sleeps until 'threshold' frames wait, or 'timeout_ns' nanoseconds have
 * passed (negative: no limit), or a signal arrives, or the memory breaks.
 * Returns at once if as many wait already.  Spurious returns are possible.
 *
 * The own side must have DPDKR_F_SLEEPS set. */
static inline void
dpdkr_consumer_wait(struct dpdkr_consumer *c, uint32_t threshold,
                    int64_t timeout_ns)
{
    struct timespec ts = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };

    if (c->broken) {
        return;
    }
    if (threshold > c->r.mask + 1) {
        threshold = c->r.mask + 1;
    }
    __atomic_store_n(&c->r.ctl->wake, threshold, __ATOMIC_RELAXED);
    /* Partner: dpdkr_producer_wake(). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (dpdkr_consumer_avail(c, threshold) < threshold && !c->broken) {
        syscall(SYS_futex, &c->r.ctl->wake, FUTEX_WAIT, threshold,
                timeout_ns < 0 ? NULL : &ts, NULL, 0);
    }
    __atomic_store_n(&c->r.ctl->wake, 0, __ATOMIC_RELAXED);
}
#endif

#endif /* dpdkr/ring.h */
