/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_PEER_H
#define DPDKR_PEER_H 1

/* Side B of a dpdkr port
 * ======================
 *
 * What
 * ----
 *
 * Everything that a peer of the switch does with a dpdkr memory, except to
 * move frames: it opens, checks and maps the memory, attaches to it, and keeps
 * the link up across a death of the switch, a new memory and a cut-off.  The
 * client library (libdpdkr.c) and the DPDK driver (../net_dpdkr) both compile
 * this file in; neither has any link logic of its own.
 *
 * "Link" is here what the network stack means by it, the state of the port.
 * Direct links to other peers are in links.h.
 *
 *
 * Life cycle
 * ----------
 *
 *     dpdkr_peer_open()        opens and maps, if the path is there
 *     dpdkr_peer_add_queue()   once for each queue and direction
 *     dpdkr_peer_start()       from now on it attaches
 *     dpdkr_peer_run()         at least every DPDKR_PEER_RUN_MS; does it all
 *     dpdkr_peer_stop()        detaches; dpdkr_peer_remove_queue() may follow
 *     dpdkr_peer_close()
 *
 * dpdkr_peer_run() never blocks.  It is in one of these states:
 *
 *     NO_MEMORY   Nothing is mapped.  Each run tries the path.  A memory that
 *                 side A retired is not opened again.
 *     DETACHED    Mapped, not attached: stopped, or the switch is not there,
 *                 or waits out the back-off after a cut-off.
 *     ATTACHING   Waits for side A's 'ack'.
 *     ATTACHED    Rings are started.  The link is up, unless the switch is
 *                 dead or either side is set down by its administrator.
 *
 * What makes it leave ATTACHED:
 *
 *     switch died           Stays: the link goes down, rings and indexes are
 *                           left alone, and the link comes up as soon as a
 *                           switch is back and 'ack' is as it was.  While a
 *                           queue sends or receives directly, it stays up.
 *     'ack' has changed     DETACHED, attaches at once with a new epoch.
 *     side A cut us off     DETACHED, attaches with a new epoch after 1 s, 2 s
 *                           and so on up to 30 s; from 1 s again once the link
 *                           has held for 60 s.
 *     side A broke a ring   The same, after saying so in our own 'cut'.  (Our
 *                           'cut' is lifted when we attach anew, as side A
 *                           starts anew then.)
 *     DPDKR_RETIRED, file   NO_MEMORY.
 *     truncated, path names
 *     another file while
 *     the switch is dead
 *
 *
 * Threads
 * -------
 *
 * There is a control thread and there are queue threads.
 *
 *   - All functions that take a 'struct dpdkr_peer *' belong to the control
 *     thread.  Which thread that is may change, as long as only one runs at a
 *     time: the callers have a mutex for that.
 *
 *   - Each 'struct dpdkr_peer_queue' (one direction of one queue pair) is used
 *     by one thread at a time, between dpdkr_peer_enter() and
 *     dpdkr_peer_leave().  Only there may it touch 'c' or 'p' and the memory
 *     behind them.
 *
 * Neither waits for the other.  The control thread changes 'c' and 'p' of all
 * the queues, and unmaps memory, only while the peer is "quiescent": the link
 * is down, and no queue is entered.  To get there,
 *
 *     control thread                      queue thread
 *
 *     generation := even (down)           busy := 1
 *     membarrier(2)              <---->   compiler barrier
 *     all queues' busy == 0 ?             generation odd, as last time?
 *
 * so that either the control thread sees 'busy', and tries again in its next
 * run, or the queue thread sees that the link is down.  membarrier() has the
 * control thread pay for the full barrier that both sides need; where the
 * kernel refuses it, 'need_fence' makes the queue threads execute one.
 *
 * A queue that nobody polls is not busy and holds nothing up.  A queue thread
 * that holds frames of the library's zero-copy calls is busy until it gives
 * them back; a mapping lives as long.
 *
 * 'generation' changes whenever the queues have something to look at, and is
 * odd while the link is up.  A queue that finds a generation other than its
 * own goes through dpdkr_peer_rebind__(), which is where whatever a queue
 * thread must do by itself on such a change belongs.  Only the control thread
 * changes whether it is odd, but any thread may add 2.
 *
 * A queue thread that knows of work for the control thread calls 'kick'. */

#include <dpdkr/abi.h>
#include <dpdkr/link.h>
#include <dpdkr/ring.h>

/* The longest time from one dpdkr_peer_run() to the next. */
#define DPDKR_PEER_RUN_MS 100

/* Flags for dpdkr_peer_open(). */
#define DPDKR_PEER_BAR (1u << 0)    /* The path is a PCI BAR: there is no lock,
                                     * the heartbeat takes its place.  Implied
                                     * for a path in sysfs. */
#define DPDKR_PEER_SLEEPS (1u << 1) /* Consumers may use
                                     * dpdkr_consumer_wait(). */
#define DPDKR_PEER_WAIT (1u << 2)   /* A path that does not exist yet is no
                                     * error. */

enum dpdkr_peer_log_level {
    DPDKR_PEER_ERR,
    DPDKR_PEER_WARN,
    DPDKR_PEER_INFO,
    DPDKR_PEER_DBG,
};

/* Receives a message, one line without new-line. */
typedef void dpdkr_peer_log_func(void *aux, enum dpdkr_peer_log_level,
                                 const char *message);

/* Asks for a dpdkr_peer_run() soon.  Called by a queue thread that has a queue
 * entered: it must neither block nor run the control thread's part itself,
 * which often waits for just that queue. */
typedef void dpdkr_peer_kick_func(void *aux);

struct dpdkr_link;
struct dpdkr_link_ring;
struct dpdkr_peer;

/* Where the last note was written into a ring. */
struct dpdkr_note_mark {
    uint32_t index;
    bool valid;
};

/* One direction of one queue pair.  Part of a struct of the user, aligned to
 * DPDKR_CACHE_LINE. */
struct dpdkr_peer_queue {
    /* Queue thread.  The control thread reads 'generation', 'busy', 'broken'
     * and what counts, and owns all but 'busy' while the peer is
     * quiescent. */
    struct dpdkr_peer_shared *shared;
    uint32_t generation;        /* Last seen, odd. */
    uint32_t busy;              /* Is (being) entered. */
    uint32_t broken;            /* DPDKR_CUT_* told to the control thread. */
    uint16_t index;
    bool is_rx;
    bool rings_first;           /* Rx: 'rings' before 'c', in turns. */
    uint32_t held;              /* Frames or room that the program holds, in
                                 * 'in' or 'out'. */
    uint32_t control_seq;       /* Of 'control', as last seen. */
    struct dpdkr_control *control;  /* In shared memory, or all zeros. */
    union {
        struct {                /* If 'is_rx'. */
            struct dpdkr_link_ring *rings;  /* Circle, links.h. */
            struct dpdkr_consumer *in;
        };
        struct {                /* If not. */
            struct dpdkr_producer *out; /* 'p', or that of a link. */
            uint64_t order;     /* That is followed, as in 'control'. */
        };
    };
    union {
        struct dpdkr_consumer c;    /* If 'is_rx'. */
        struct dpdkr_producer p;    /* If not. */
    } __attribute__((aligned(DPDKR_CACHE_LINE)));

    /* Counters of this process, by the queue thread, dpdkr_peer_count(). */
    uint64_t packets;
    uint64_t bytes;
    uint64_t drop_size;         /* Rx: longer than the room given for it.
                                 * Tx: longer than a slot or a runt. */
    uint64_t drop_other;        /* Rx: no buffer.  Tx: unusable buffer. */
    uint64_t runts;             /* Rx only. */
    uint64_t full;              /* Tx: not taken for lack of room. */
    uint64_t wakeups;           /* Rx: returns from a sleep. */
    uint64_t handovers;         /* Tx: to a link, or back. */
    uint64_t refused_orders;    /* Tx: to a link that there is not. */
    uint64_t notes;             /* Rx: taken. */
    uint64_t stray_notes;       /* Rx: of them, those of no use. */

    /* Tx: more for links.c. */
    uint32_t link_entry;        /* Of what 'out' is, if it is a link's, ... */
    uint32_t link_seq;          /* ...and its 'seq', or 0. */
    uint64_t refused;           /* Order last counted in that. */
    struct dpdkr_note_mark mark;    /* In the port's ring. */

    /* Control thread. */
    uint64_t skipped;           /* Rx: left by an earlier peer. */
} __attribute__((aligned(DPDKR_CACHE_LINE)));

/* What the queue threads read of a peer. */
struct dpdkr_peer_shared {
    uint32_t generation;        /* Odd: the link is up. */
    bool need_fence;            /* No membarrier(). */
    bool other_sleeps;          /* Side A has DPDKR_F_SLEEPS. */
    bool pending;               /* The control thread waits for queues to see
                                 * a generation. */
    dpdkr_peer_kick_func *kick; /* May be NULL. */
    void *kick_aux;
    struct dpdkr_link *links[DPDKR_MAX_LINKS];  /* By entry; NULL: none. */
} __attribute__((aligned(DPDKR_CACHE_LINE)));

/* What is known of a port.  Copied out of shared memory and sane. */
struct dpdkr_peer_info {
    bool mapped;                /* If false, only the counters are valid. */
    bool link_up;
    bool attaching;             /* Waits for the switch's answer. */
    bool heartbeat;             /* No lock, as in a guest. */
    struct dpdkr_geometry geometry;
    uint8_t id[16];
    uint32_t mtu;               /* Side A's; 0 if it names none. */
    uint8_t mac[6];             /* For us; zeros if there is none. */
    char name[64];
    uint32_t version;           /* Of the switch. */
    uint32_t switch_pid;
    uint32_t epoch;             /* Ours. */
    uint32_t last_cut_reason;   /* Of the last cut-off, by either side. */
    uint64_t n_attached;        /* Times that rings were started. */
    uint64_t n_cut_by_switch;
    uint64_t n_cut_by_us;
    uint64_t n_link_changes;

    /* Direct links. */
    uint32_t n_links;           /* Mapped. */
    uint32_t n_tx_direct;       /* Transmit queues that use one... */
    uint32_t n_rx_direct;       /* ...and rings of theirs that are read. */
    uint64_t n_handovers;       /* Of transmit queues, each way. */
    uint64_t n_refused_orders;
    uint64_t n_notes;           /* Taken by receive queues. */
    uint64_t n_stray_notes;
};

/* ## ------------ ## */
/* ## Queue thread ## */
/* ## ------------ ## */

bool dpdkr_peer_rebind__(struct dpdkr_peer_queue *, uint32_t generation);

/* Enters 'q'.  Returns true if the link is up and the rings may be used.
 * Whatever it returns, dpdkr_peer_leave() must follow. */
static inline bool
dpdkr_peer_enter(struct dpdkr_peer_queue *q)
{
    const struct dpdkr_peer_shared *shared = q->shared;
    uint32_t generation;

    __atomic_store_n(&q->busy, 1, __ATOMIC_RELAXED);
    /* Partner: peer_quiesce(). */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (DPDKR_UNLIKELY(shared->need_fence)) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    /* Partner: peer_set_generation(). */
    generation = __atomic_load_n(&shared->generation, __ATOMIC_ACQUIRE);
    return (DPDKR_LIKELY(generation == q->generation)
            || dpdkr_peer_rebind__(q, generation));
}

/* Returns the order in 'control' as one word. */
static inline uint64_t
dpdkr_peer_order_word(const struct dpdkr_control *control)
{
    return __atomic_load_n((const uint64_t *) (const void *)
                           &control->tx_order, __ATOMIC_ACQUIRE);
}

/* Leaves 'q' again. */
static inline void
dpdkr_peer_leave(struct dpdkr_peer_queue *q)
{
    /* Partner: peer_quiesce(). */
    __atomic_store_n(&q->busy, 0, __ATOMIC_RELEASE);
}

/* Has the control thread run soon. */
static inline void
dpdkr_peer_kick(const struct dpdkr_peer_queue *q)
{
    if (q->shared->kick) {
        q->shared->kick(q->shared->kick_aux);
    }
}

/* Adds 'n' to '*counter', which another thread may be reading. */
static inline void
dpdkr_peer_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t
dpdkr_peer_counter(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* ## -------------- ## */
/* ## Control thread ## */
/* ## -------------- ## */

void dpdkr_peer_membarrier(const struct dpdkr_peer_shared *);

int dpdkr_peer_open(const char *path, unsigned int flags,
                    dpdkr_peer_log_func *, dpdkr_peer_kick_func *, void *aux,
                    struct dpdkr_peer **, char *error, size_t error_size);
void dpdkr_peer_close(struct dpdkr_peer *);

int dpdkr_peer_add_queue(struct dpdkr_peer *, struct dpdkr_peer_queue *,
                         bool is_rx, uint32_t index);
void dpdkr_peer_remove_queue(struct dpdkr_peer *, struct dpdkr_peer_queue *);

void dpdkr_peer_start(struct dpdkr_peer *, uint32_t n_rxq, uint32_t n_txq);
void dpdkr_peer_stop(struct dpdkr_peer *);
void dpdkr_peer_set_admin(struct dpdkr_peer *, bool up);

void dpdkr_peer_run(struct dpdkr_peer *);

bool dpdkr_peer_link_up(const struct dpdkr_peer *);
void dpdkr_peer_get_info(const struct dpdkr_peer *, struct dpdkr_peer_info *);

#endif /* drivers/libdpdkr/peer.h */
