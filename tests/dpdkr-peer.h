/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_PEER_H
#define DPDKR_PEER_H 1

/* A peer to play with: side B of dpdkr memory, for tests of side A.
 *
 * It does each step of "Attaching" in <dpdkr/abi.h> when it is told to, so
 * that a test can leave one out or do it wrong.  It uses the memory through
 * whatever mapping it is given and holds the lock of side B, if at all,
 * through a file of its own. */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <dpdkr/abi.h>
#include <dpdkr/ring.h>

struct dpdkr_peer {
    struct dpdkr_geometry g;
    uint8_t *base;
    struct dpdkr_header *h;
    struct dpdkr_side *us, *them;
    int fd;                     /* Holds the lock, or -1. */
    uint32_t n_queues;
    struct dpdkr_consumer rx[DPDKR_MAX_QUEUES];
    struct dpdkr_producer tx[DPDKR_MAX_QUEUES];
};

/* Takes the lock of side B of the file at 'path'.  Returns false if somebody
 * has it. */
static inline bool
dpdkr_peer_lock(struct dpdkr_peer *p, const char *path)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = DPDKR_LOCK_OFFSET + DPDKR_SIDE_B,
        .l_len = 1,
    };

    p->fd = open(path, O_RDWR | O_CLOEXEC);
    if (p->fd >= 0 && !fcntl(p->fd, F_OFD_SETLK, &lock)) {
        return true;
    }
    if (p->fd >= 0) {
        close(p->fd);
        p->fd = -1;
    }
    return false;
}

/* Makes 'p' the peer of the memory with geometry 'g' at 'base'. */
static inline void
dpdkr_peer_init(struct dpdkr_peer *p, void *base,
                const struct dpdkr_geometry *g)
{
    memset(p, 0, sizeof *p);
    p->g = *g;
    p->base = base;
    p->h = base;
    p->us = &p->h->side[DPDKR_SIDE_B];
    p->them = &p->h->side[DPDKR_SIDE_A];
    p->fd = -1;
    p->n_queues = g->n_queues;
    for (uint32_t i = 0; i < g->n_queues; i++) {
        dpdkr_consumer_init(&p->rx[i], base, g,
                            dpdkr_ring_of(i, DPDKR_SIDE_A));
        dpdkr_producer_init(&p->tx[i], base, g,
                            dpdkr_ring_of(i, DPDKR_SIDE_B));
    }
}

/* Step 2. */
static inline void
dpdkr_peer_announce(struct dpdkr_peer *p)
{
    p->us->version = DPDKR_ABI_VERSION;
    p->us->flags = p->fd < 0 ? DPDKR_F_HEARTBEAT : 0;
    p->us->n_rxq = p->us->n_txq = p->n_queues;
    p->us->pid = getpid();
    if (p->fd < 0) {
        p->us->heartbeat++;
    }
    __atomic_store_n(&p->us->state, DPDKR_ATTACHING, __ATOMIC_RELEASE);
    __atomic_store_n(&p->us->epoch, p->us->epoch + 1, __ATOMIC_RELEASE);
}

/* Step 3: whether it is done. */
static inline bool
dpdkr_peer_is_acknowledged(const struct dpdkr_peer *p)
{
    return (__atomic_load_n(&p->them->ack, __ATOMIC_ACQUIRE)
            == p->us->epoch);
}

/* Steps 4 and 5. */
static inline void
dpdkr_peer_start(struct dpdkr_peer *p)
{
    for (uint32_t i = 0; i < p->g.n_queues; i++) {
        dpdkr_consumer_adopt(&p->rx[i]);
        dpdkr_consumer_start(&p->rx[i], true);
        dpdkr_producer_adopt(&p->tx[i]);
        dpdkr_producer_start(&p->tx[i]);
    }
    __atomic_store_n(&p->us->state, DPDKR_UP, __ATOMIC_RELEASE);
}

static inline void
dpdkr_peer_detach(struct dpdkr_peer *p)
{
    __atomic_store_n(&p->us->state, DPDKR_DOWN, __ATOMIC_RELEASE);
}

/* Ends without a word, as a process that is killed. */
static inline void
dpdkr_peer_die(struct dpdkr_peer *p)
{
    if (p->fd >= 0) {
        close(p->fd);
        p->fd = -1;
    }
}

/* Sends one frame.  Returns false if there is no room. */
static inline bool
dpdkr_peer_send(struct dpdkr_peer *p, uint32_t queue, const void *frame,
                uint32_t len)
{
    struct dpdkr_producer *tx = &p->tx[queue];

    if (!dpdkr_producer_room(tx, 1)) {
        return false;
    }
    memcpy(dpdkr_producer_slot(tx, 0), frame, len);
    dpdkr_producer_set(tx, 0, len);
    dpdkr_producer_publish(tx, 1);
    return true;
}

/* Receives one frame of at most 'size' bytes.  Returns its length, 0 if there
 * is none. */
static inline uint32_t
dpdkr_peer_receive(struct dpdkr_peer *p, uint32_t queue, void *frame,
                   uint32_t size)
{
    struct dpdkr_consumer *rx = &p->rx[queue];
    const uint8_t *data;
    uint32_t len;

    if (!dpdkr_consumer_avail(rx, 1)) {
        return 0;
    }
    data = dpdkr_consumer_frame(rx, 0, &len);
    if (!data || len > size) {
        return 0;
    }
    memcpy(frame, data, len);
    dpdkr_consumer_release(rx, 1);
    return len;
}

#endif /* tests/dpdkr-peer.h */
