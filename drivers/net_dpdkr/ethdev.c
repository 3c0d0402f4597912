/* SPDX-License-Identifier: Apache-2.0 */

#include "net_dpdkr.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_ether.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

/* How long rte_eth_dev_start() waits for a switch that is there, so that an
 * application that looks at the link just once finds it up. */
#define START_WAIT_MS 500

#define MIN_MTU 68

/* What is advertised while the memory does not exist. */
#define UNKNOWN_SLOT DPDKR_MAX_SLOT

static int link_update(struct rte_eth_dev *, int wait_to_complete);

static void
forward_log(void *aux, enum dpdkr_peer_log_level level, const char *message)
{
    const struct net_dpdkr *nd = aux;
    uint32_t rte_level = (level == DPDKR_PEER_ERR ? RTE_LOG_ERR
                          : level == DPDKR_PEER_WARN ? RTE_LOG_WARNING
                          : level == DPDKR_PEER_INFO ? RTE_LOG_NOTICE
                          : RTE_LOG_DEBUG);

    rte_log(rte_level, net_dpdkr_logtype, "net_dpdkr: %s: %s\n",
            nd->dev->device->name, message);
}

static void
get_info(struct net_dpdkr *nd, struct dpdkr_peer_info *info)
{
    pthread_mutex_lock(&nd->mutex);
    dpdkr_peer_get_info(nd->peer, info);
    pthread_mutex_unlock(&nd->mutex);
    if (!info->mapped) {
        info->geometry.n_queues = DPDKR_MAX_QUEUES;
        info->geometry.slot_size = UNKNOWN_SLOT;
    }
}

/* ## ---- ## */
/* ## Link ## */
/* ## ---- ## */

static void
run_peer(struct net_dpdkr *nd)
{
    pthread_mutex_lock(&nd->mutex);
    dpdkr_peer_run(nd->peer);
    pthread_mutex_unlock(&nd->mutex);
}

/* Tells the application if the link has changed.
 *
 * Its callback may stop or close the device.  So this comes last: 'nd' may be
 * gone when it returns, and so may the alarm. */
static void
tell_link(struct rte_eth_dev *dev)
{
    if (!link_update(dev, 0) && dev->data->dev_conf.intr_conf.lsc) {
        rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, NULL);
    }
}

/* Looks after the link of a started device, in EAL's interrupt thread. */
static void
tick(void *nd_)
{
    struct net_dpdkr *nd = nd_;
    struct rte_eth_dev *dev = nd->dev;

    run_peer(nd);
    if (rte_eal_alarm_set(NET_DPDKR_TICK_US, tick, nd)) {
        NET_DPDKR_LOG(ERR, "%s: no alarm, link is not looked after\n",
                      dev->device->name);
    }
    tell_link(dev);
}

/* The same for once, soon after kick(). */
static void
tick_once(void *nd_)
{
    struct net_dpdkr *nd = nd_;

    __atomic_store_n(&nd->kicked, false, __ATOMIC_SEQ_CST);
    run_peer(nd);
    tell_link(nd->dev);
}

/* A queue thread knows of work for the control thread. */
static void
kick(void *nd_)
{
    struct net_dpdkr *nd = nd_;

    if (!__atomic_exchange_n(&nd->kicked, true, __ATOMIC_SEQ_CST)
        && rte_eal_alarm_set(1, tick_once, nd)) {
        /* tick() comes anyway. */
        __atomic_store_n(&nd->kicked, false, __ATOMIC_SEQ_CST);
    }
}

/* Returns 0 if the link has changed, otherwise -1. */
static int
link_update(struct rte_eth_dev *dev, int wait_to_complete)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    struct rte_eth_link link = {
        .link_speed = RTE_ETH_SPEED_NUM_100G,
        .link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
        .link_autoneg = RTE_ETH_LINK_FIXED,
        .link_status = (dpdkr_peer_link_up(nd->peer)
                        ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN),
    };

    RTE_SET_USED(wait_to_complete);
    return rte_eth_linkstatus_set(dev, &link);
}

static int
set_link(struct rte_eth_dev *dev, bool up)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);

    pthread_mutex_lock(&nd->mutex);
    dpdkr_peer_set_admin(nd->peer, up);
    if (nd->started) {
        dpdkr_peer_run(nd->peer);
    }
    pthread_mutex_unlock(&nd->mutex);
    link_update(dev, 0);
    return 0;
}

static int
dev_set_link_up(struct rte_eth_dev *dev)
{
    return set_link(dev, true);
}

static int
dev_set_link_down(struct rte_eth_dev *dev)
{
    return set_link(dev, false);
}

/* ## ---------- ## */
/* ## Life cycle ## */
/* ## ---------- ## */

static int
dev_configure(struct rte_eth_dev *dev)
{
    RTE_SET_USED(dev);
    return 0;
}

static int
dev_start(struct rte_eth_dev *dev)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    int error;

    pthread_mutex_lock(&nd->mutex);
    dpdkr_peer_start(nd->peer, dev->data->nb_rx_queues,
                     dev->data->nb_tx_queues);
    nd->started = true;
    for (int i = 0; i < START_WAIT_MS; i++) {
        struct dpdkr_peer_info info;

        dpdkr_peer_run(nd->peer);
        dpdkr_peer_get_info(nd->peer, &info);
        if (!info.attaching || info.heartbeat) {
            break;
        }
        usleep(1000);
    }
    pthread_mutex_unlock(&nd->mutex);

    link_update(dev, 0);
    error = rte_eal_alarm_set(NET_DPDKR_TICK_US, tick, nd);
    if (error) {
        NET_DPDKR_LOG(ERR, "%s: cannot set an alarm (%s)\n",
                      dev->device->name, strerror(-error));
        pthread_mutex_lock(&nd->mutex);
        dpdkr_peer_stop(nd->peer);
        nd->started = false;
        pthread_mutex_unlock(&nd->mutex);
        return error;
    }
    for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++) {
        dev->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
    }
    for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++) {
        dev->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
    }
    return 0;
}

static int
dev_stop(struct rte_eth_dev *dev)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);

    rte_eal_alarm_cancel(tick, nd);
    pthread_mutex_lock(&nd->mutex);
    nd->started = false;
    dpdkr_peer_stop(nd->peer);
    pthread_mutex_unlock(&nd->mutex);
    /* The link is down: no queue thread kicks any more. */
    rte_eal_alarm_cancel(tick_once, nd);
    nd->kicked = false;
    link_update(dev, 0);
    dev->data->dev_started = 0;
    for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++) {
        dev->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
    }
    for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++) {
        dev->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
    }
    return 0;
}

static void
rx_queue_release(struct rte_eth_dev *dev, uint16_t index)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    struct net_dpdkr_rxq *rxq = dev->data->rx_queues[index];

    if (rxq) {
        pthread_mutex_lock(&nd->mutex);
        dpdkr_peer_remove_queue(nd->peer, &rxq->q);
        pthread_mutex_unlock(&nd->mutex);
        dev->data->rx_queues[index] = NULL;
        rte_free(rxq);
    }
}

static void
tx_queue_release(struct rte_eth_dev *dev, uint16_t index)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    struct net_dpdkr_txq *txq = dev->data->tx_queues[index];

    if (txq) {
        pthread_mutex_lock(&nd->mutex);
        dpdkr_peer_remove_queue(nd->peer, &txq->q);
        pthread_mutex_unlock(&nd->mutex);
        dev->data->tx_queues[index] = NULL;
        rte_free(txq);
    }
}

int
net_dpdkr_dev_close(struct rte_eth_dev *dev)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);

    if (rte_eal_process_type() != RTE_PROC_PRIMARY || !nd) {
        return 0;
    }
    if (nd->started) {
        dev_stop(dev);
    }
    for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++) {
        rx_queue_release(dev, i);
    }
    for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++) {
        tx_queue_release(dev, i);
    }
    dpdkr_peer_close(nd->peer);
    nd->peer = NULL;
    free(nd->path);
    pthread_mutex_destroy(&nd->mutex);
    return 0;
}

/* ## ------ ## */
/* ## Queues ## */
/* ## ------ ## */

static int
add_queue(struct rte_eth_dev *dev, struct dpdkr_peer_queue *q, bool is_rx,
          uint16_t index)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    int error;

    pthread_mutex_lock(&nd->mutex);
    error = dpdkr_peer_add_queue(nd->peer, q, is_rx, index);
    pthread_mutex_unlock(&nd->mutex);
    return -error;
}

static int
rx_queue_setup(struct rte_eth_dev *dev, uint16_t index, uint16_t n_desc,
               unsigned int socket, const struct rte_eth_rxconf *conf,
               struct rte_mempool *pool)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    uint64_t offloads = conf->offloads | dev->data->dev_conf.rxmode.offloads;
    uint32_t data_room = rte_pktmbuf_data_room_size(pool);
    struct net_dpdkr_rxq *rxq;
    int error;

    /* The switch has chosen the length of the rings. */
    RTE_SET_USED(n_desc);

    if (data_room < RTE_PKTMBUF_HEADROOM + RTE_ETHER_MIN_LEN) {
        NET_DPDKR_LOG(ERR, "%s: mbufs of pool %s are too small\n",
                      dev->device->name, pool->name);
        return -EINVAL;
    }
    rxq = rte_zmalloc_socket("net_dpdkr_rxq", sizeof *rxq,
                             RTE_CACHE_LINE_SIZE, socket);
    if (!rxq) {
        return -ENOMEM;
    }
    rxq->pool = pool;
    rxq->rearm = net_dpdkr_rearm(dev->data->port_id);
    rxq->room = data_room - RTE_PKTMBUF_HEADROOM;
    rxq->scatter = (offloads & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
    error = add_queue(dev, &rxq->q, true, index);
    if (error) {
        rte_free(rxq);
        return error;
    }
    if (rxq->scatter) {
        dev->data->scattered_rx = 1;
    }
    memset(&nd->rx_base[index], 0, sizeof nd->rx_base[index]);
    dev->data->rx_queues[index] = rxq;
    return 0;
}

static int
tx_queue_setup(struct rte_eth_dev *dev, uint16_t index, uint16_t n_desc,
               unsigned int socket, const struct rte_eth_txconf *conf)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    uint64_t offloads = conf->offloads | dev->data->dev_conf.txmode.offloads;
    struct net_dpdkr_txq *txq;
    int error;

    RTE_SET_USED(n_desc);

    txq = rte_zmalloc_socket("net_dpdkr_txq", sizeof *txq,
                             RTE_CACHE_LINE_SIZE, socket);
    if (!txq) {
        return -ENOMEM;
    }
    txq->fast_free = (offloads & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) != 0;
    error = add_queue(dev, &txq->q, false, index);
    if (error) {
        rte_free(txq);
        return error;
    }
    memset(&nd->tx_base[index], 0, sizeof nd->tx_base[index]);
    dev->data->tx_queues[index] = txq;
    return 0;
}

/* ## -------- ## */
/* ## Settings ## */
/* ## -------- ## */

static int
dev_infos_get(struct rte_eth_dev *dev, struct rte_eth_dev_info *dev_info)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    struct dpdkr_peer_info info;
    uint32_t n_queues, ring_size;

    get_info(nd, &info);
    n_queues = RTE_MIN(info.geometry.n_queues, nd->max_queues);
    ring_size = info.mapped ? info.geometry.ring_size : 1024;

    dev_info->max_rx_queues = n_queues;
    dev_info->max_tx_queues = n_queues;
    dev_info->max_mac_addrs = 1;
    dev_info->max_rx_pktlen = info.geometry.slot_size;
    dev_info->min_rx_bufsize = 0;
    dev_info->min_mtu = MIN_MTU;
    dev_info->max_mtu = info.geometry.slot_size - DPDKR_L2_OVERHEAD;
    dev_info->speed_capa = RTE_ETH_LINK_SPEED_100G;
    dev_info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER;
    dev_info->rx_queue_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER;
    dev_info->tx_offload_capa = (RTE_ETH_TX_OFFLOAD_MULTI_SEGS
                                 | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
    dev_info->tx_queue_offload_capa = dev_info->tx_offload_capa;
    dev_info->default_rxportconf.burst_size = 32;
    dev_info->default_rxportconf.ring_size = ring_size;
    dev_info->default_rxportconf.nb_queues = 1;
    dev_info->default_txportconf = dev_info->default_rxportconf;
    return 0;
}

static int
mtu_set(struct rte_eth_dev *dev, uint16_t mtu)
{
    uint32_t frame = mtu + DPDKR_L2_OVERHEAD;

    for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++) {
        const struct net_dpdkr_rxq *rxq = dev->data->rx_queues[i];

        if (rxq && !rxq->scatter && frame > rxq->room) {
            NET_DPDKR_LOG(ERR, "%s: MTU %u needs mbufs with room for %u "
                          "bytes, or RX scatter\n", dev->device->name, mtu,
                          frame);
            return -EINVAL;
        }
    }
    return 0;
}

static int
mac_addr_set(struct rte_eth_dev *dev, struct rte_ether_addr *mac)
{
    RTE_SET_USED(dev);
    RTE_SET_USED(mac);
    return 0;
}

/* The switch sends what it wants this port to have: nothing is filtered in any
 * of these modes. */
static int
set_rx_mode(struct rte_eth_dev *dev)
{
    RTE_SET_USED(dev);
    return 0;
}

static const struct eth_dev_ops net_dpdkr_ops = {
    .dev_configure = dev_configure,
    .dev_start = dev_start,
    .dev_stop = dev_stop,
    .dev_close = net_dpdkr_dev_close,
    .dev_set_link_up = dev_set_link_up,
    .dev_set_link_down = dev_set_link_down,
    .link_update = link_update,
    .dev_infos_get = dev_infos_get,
    .rx_queue_setup = rx_queue_setup,
    .rx_queue_release = rx_queue_release,
    .tx_queue_setup = tx_queue_setup,
    .tx_queue_release = tx_queue_release,
    .mtu_set = mtu_set,
    .mac_addr_set = mac_addr_set,
    .promiscuous_enable = set_rx_mode,
    .promiscuous_disable = set_rx_mode,
    .allmulticast_enable = set_rx_mode,
    .allmulticast_disable = set_rx_mode,
    .stats_get = net_dpdkr_stats_get,
    .stats_reset = net_dpdkr_stats_reset,
    .xstats_get = net_dpdkr_xstats_get,
    .xstats_get_names = net_dpdkr_xstats_get_names,
    .xstats_reset = net_dpdkr_stats_reset,
};

/* Makes 'dev', which has a 'struct net_dpdkr' of zeros as private data, the
 * device for the memory at 'path'.  'mac' is NULL to take what the switch
 * proposes.  Returns 0 or a negative errno value, then it has logged why,
 * except for -EPROTO: whether that is an error only the caller knows. */
int
net_dpdkr_create(struct rte_eth_dev *dev, const char *path,
                 unsigned int peer_flags, uint32_t max_queues,
                 const struct rte_ether_addr *mac)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    struct rte_ether_addr *addr;
    struct dpdkr_peer_info info;
    char message[256];
    int error;

    nd->dev = dev;
    nd->max_queues = max_queues;
    error = dpdkr_peer_open(path, peer_flags | DPDKR_PEER_WAIT, forward_log,
                            kick, nd, &nd->peer, message, sizeof message);
    if (error) {
        rte_log(error == EPROTO ? RTE_LOG_DEBUG : RTE_LOG_ERR,
                net_dpdkr_logtype, "net_dpdkr: %s: %s\n", dev->device->name,
                message);
        return -error;
    }
    addr = rte_zmalloc("net_dpdkr_mac", sizeof *addr, 0);
    nd->path = strdup(path);
    if (!addr || !nd->path) {
        rte_free(addr);
        free(nd->path);
        dpdkr_peer_close(nd->peer);
        return -ENOMEM;
    }
    pthread_mutex_init(&nd->mutex, NULL);

    get_info(nd, &info);
    if (mac) {
        *addr = *mac;
    } else {
        memcpy(addr->addr_bytes, info.mac, sizeof addr->addr_bytes);
        if (!rte_is_valid_assigned_ether_addr(addr)) {
            rte_eth_random_addr(addr->addr_bytes);
        }
    }
    if (!info.mapped) {
        NET_DPDKR_LOG(NOTICE, "%s: %s does not exist yet, waiting for it\n",
                      dev->device->name, path);
    }
    dev->data->mac_addrs = addr;
    dev->data->dev_link = (struct rte_eth_link) {
        .link_speed = RTE_ETH_SPEED_NUM_100G,
        .link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
        .link_autoneg = RTE_ETH_LINK_FIXED,
    };
    dev->data->dev_flags |= RTE_ETH_DEV_INTR_LSC;
    dev->data->promiscuous = 1;
    dev->data->all_multicast = 1;
    dev->dev_ops = &net_dpdkr_ops;
    dev->rx_pkt_burst = net_dpdkr_rx_burst;
    dev->tx_pkt_burst = net_dpdkr_tx_burst;
    return 0;
}
