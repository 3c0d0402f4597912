/* SPDX-License-Identifier: Apache-2.0 */

#ifndef NET_DPDKR_H
#define NET_DPDKR_H 1

/* A DPDK driver for the far end of dpdkr ports
 * ============================================
 *
 *     probe.c     makes devices: --vdev net_dpdkr0,path=FILE, or ivshmem PCI
 *                 devices that a kernel driver has
 *     ivshmem.c   finds the ivshmem PCI devices of a VM that none has
 *     ethdev.c    what an application does with a device
 *     stats.c     what it wants to know
 *     rxtx.c      frames
 *
 * The link logic, and the rules for which thread may touch what, are those of
 * ../libdpdkr/peer.h, and for direct links of links.h there.  Their control
 * thread is here whoever holds 'mutex': the application in a function of
 * ethdev.c, or EAL's interrupt thread, which looks after the link of a started
 * device from an alarm, and at once from another one when a queue thread asks
 * for it.  The queue threads are the application's.
 *
 * Devices belong to one process; secondary processes are refused. */

#include <pthread.h>

#include <ethdev_driver.h>
#include <rte_log.h>

#include "../libdpdkr/links.h"
#include "../libdpdkr/peer.h"

/* Microseconds between two looks at the link. */
#define NET_DPDKR_TICK_US (DPDKR_PEER_RUN_MS * 1000 / 2)

struct net_dpdkr_rxq {
    struct dpdkr_peer_queue q;  /* 'drop_other' counts failed allocations. */

    /* Constant after set-up. */
    struct rte_mempool *pool;
    uint64_t rearm;             /* For 'rearm_data' of new mbufs. */
    uint32_t room;              /* Bytes of data in an mbuf. */
    bool scatter;               /* Chain mbufs for longer frames. */
};

struct net_dpdkr_txq {
    struct dpdkr_peer_queue q;

    /* Constant after set-up. */
    bool fast_free;             /* RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE. */
};

/* Values of the counters of a queue when they were last reset. */
struct net_dpdkr_base {
    uint64_t packets, bytes, drop_size, drop_other, runts, full, skipped;
};

/* The 'dev_private' of a device. */
struct net_dpdkr {
    struct rte_eth_dev *dev;
    pthread_mutex_t mutex;      /* Makes its holder the control thread. */
    struct dpdkr_peer *peer;
    char *path;
    uint32_t max_queues;        /* Of the user's, or DPDKR_MAX_QUEUES. */
    bool started;
    bool kicked;                /* The alarm is set that a queue thread sets.
                                 * Atomic. */

    struct net_dpdkr_base rx_base[DPDKR_MAX_QUEUES];
    struct net_dpdkr_base tx_base[DPDKR_MAX_QUEUES];
    uint64_t base_attached, base_cut_by_switch, base_cut_by_us;
    uint64_t base_link_changes, base_handovers, base_notes;
    uint64_t base_stray_notes, base_refused_orders;
};

extern int net_dpdkr_logtype;
#define NET_DPDKR_LOG(LEVEL, ...)                       \
    rte_log(RTE_LOG_##LEVEL, net_dpdkr_logtype,         \
            "net_dpdkr: " __VA_ARGS__)

static inline struct net_dpdkr *
net_dpdkr_from_dev(const struct rte_eth_dev *dev)
{
    return dev->data->dev_private;
}

/* ethdev.c. */
int net_dpdkr_create(struct rte_eth_dev *, const char *path,
                     unsigned int peer_flags, uint32_t max_queues,
                     const struct rte_ether_addr *mac);
int net_dpdkr_dev_close(struct rte_eth_dev *);

/* ivshmem.c. */
int net_dpdkr_enable_pci(const char *dir);

/* stats.c. */
int net_dpdkr_stats_get(struct rte_eth_dev *, struct rte_eth_stats *);
int net_dpdkr_stats_reset(struct rte_eth_dev *);
int net_dpdkr_xstats_get(struct rte_eth_dev *, struct rte_eth_xstat *,
                         unsigned int n);
int net_dpdkr_xstats_get_names(struct rte_eth_dev *,
                               struct rte_eth_xstat_name *, unsigned int n);

/* rxtx.c. */
uint64_t net_dpdkr_rearm(uint16_t port_id);
uint16_t net_dpdkr_rx_burst(void *, struct rte_mbuf **, uint16_t n);
uint16_t net_dpdkr_tx_burst(void *, struct rte_mbuf **, uint16_t n);

#endif /* drivers/net_dpdkr/net_dpdkr.h */
