/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_PORT_H
#define DPDKR_PORT_H 1

/* The switch's side of one dpdkr memory
 * =====================================
 *
 * Moves packets between the datapath and the rings of a memory of which the
 * switch is side A, and keeps the book about the peer: attached or not, alive
 * or not, cut off.  "Attaching" and "Cutting off" in <dpdkr/abi.h> describe
 * the protocol; the functions here name its steps.
 *
 *
 * Trust
 * =====
 *
 * The peer is hostile.  What the switch goes by is in struct dpdkr_port and
 * struct dpdkr_port_queue, private memory; what it says in shared memory is
 * written anew by each dpdkr_port_run().  A frame is copied out of shared
 * memory before anything looks at it.
 *
 *
 * Threads
 * =======
 *
 * dpdkr_port_rx() and dpdkr_port_tx(), and dpdkr_port_report_broken() with the
 * lock of a queue, may be called by any thread at any time between
 * dpdkr_port_create() and dpdkr_port_destroy().  A spin lock for each queue
 * and direction, free of contention when each queue has one PMD thread, keeps
 * them apart from each other and from a peer that comes or goes.  All others
 * take these locks with dpdkr_queue_lock().
 *
 * All other functions that take a non-const port are called by one thread at a
 * time (the caller has a mutex), in practice the main thread. */

#include <stdbool.h>
#include <stdint.h>

#include <dpdkr/abi.h>
#include <dpdkr/ring.h>
#include "dpdkr-gate.h"
#include "dpdkr-mem.h"
#include "openvswitch/thread.h"
#include "ovs-atomic.h"
#include "packets.h"

struct dp_packet_batch;

/* Packets and bytes since the port was created. */
struct dpdkr_port_stats {
    uint64_t rx_packets, rx_bytes;
    uint64_t rx_runts;          /* Shorter than an Ethernet header. */
    uint64_t rx_oversize;       /* Longer than the MTU allows. */
    uint64_t tx_packets, tx_bytes;
    uint64_t tx_no_peer;        /* Dropped: nobody is attached. */
    uint64_t tx_full;           /* Dropped: the ring is full. */
    uint64_t tx_size;           /* Dropped: longer than the MTU allows. */
    uint64_t tx_offload;        /* Dropped: offload flags are wrong. */
};

/* Events since the port was created. */
struct dpdkr_port_events {
    uint64_t attached;          /* Peers accepted. */
    uint64_t cut_off[DPDKR_CUT_N]; /* Peers cut off, by reason. */
    uint64_t refused;           /* Peers with another ABI version. */
    uint64_t repaired;          /* Header overwritten and restored. */
};

struct dpdkr_port_queue {
    struct ovs_spin rx_lock;    /* Protects 'gate' and the 'rx*' members. */
    struct dpdkr_consumer rx;
    struct dpdkr_gate gate;
    uint64_t rx_packets, rx_bytes, rx_runts, rx_oversize;

    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) struct ovs_spin tx_lock;
    struct dpdkr_producer tx;   /* The same for 'tx*'. */
    uint64_t tx_packets, tx_bytes;
    uint64_t tx_no_peer, tx_full, tx_size, tx_offload;
};

struct dpdkr_port {
    struct dpdkr_mem *mem;      /* Owned. */
    char *name;
    struct dpdkr_port_queue *queues;
    uint32_t n_queues;

    /* Read by rx and tx. */
    atomic_bool up;             /* Frames may flow. */
    atomic_uint32_t peer_n_rxq; /* Queues that tx may use, at least 1. */
    atomic_uint32_t peer_n_txq; /* Queues that the peer fills, at least 1. */
    atomic_uint32_t max_frame;  /* Bytes, from the MTU. */
    atomic_uint32_t order;      /* 'orders.number'. */
    atomic_uint32_t broken;     /* DPDKR_CUT_*, set by rx or tx, handled by
                                 * dpdkr_port_run(). */

    /* What the switch says in shared memory. */
    struct dpdkr_side own;
    struct dpdkr_orders orders;
    bool admin_up;

    /* What it knows of the peer. */
    bool alive;                 /* A process holds the lock, or heartbeats. */
    bool linked;                /* Brought up; 'up' unless found broken. */
    uint32_t refused_epoch;     /* Last epoch that was refused, or 0. */
    uint32_t cut_epoch;         /* Epoch that is cut off, or 0. */
    uint64_t heartbeat;         /* Last one seen. */
    long long int heartbeat_time; /* When it moved, time_msec(). */
    uint32_t peer_pid;          /* As claimed. */
    uint32_t peer_flags;        /* Taken over when it attached. */

    struct dpdkr_port_events events;
};

struct dpdkr_port *dpdkr_port_create(struct dpdkr_mem *, const char *name,
                                     struct eth_addr peer_mac, int mtu,
                                     bool admin_up);
void dpdkr_port_destroy(struct dpdkr_port *, bool retire);

bool dpdkr_port_run(struct dpdkr_port *, long long int now);
void dpdkr_port_set_mtu(struct dpdkr_port *, int mtu);
void dpdkr_port_set_admin(struct dpdkr_port *, bool up);

void dpdkr_queue_lock(const struct ovs_spin *lock) OVS_ACQUIRES(lock);
int dpdkr_port_rx(struct dpdkr_port *, uint32_t queue,
                  struct dp_packet_batch *, int *qfill);
void dpdkr_port_tx(struct dpdkr_port *, uint32_t queue,
                   struct dp_packet_batch *);

void dpdkr_port_report_broken(struct dpdkr_port *, uint32_t reason);

void dpdkr_port_add_stats(const struct dpdkr_port *,
                          struct dpdkr_port_stats *);
void dpdkr_port_add_events(const struct dpdkr_port *,
                           struct dpdkr_port_events *);

static inline bool
dpdkr_port_is_up(const struct dpdkr_port *port)
{
    bool up;

    atomic_read_relaxed(&CONST_CAST(struct dpdkr_port *, port)->up, &up);
    return up;
}

#endif /* dpdkr-port.h */
