/* SPDX-License-Identifier: Apache-2.0 */

#include "net_dpdkr.h"

#include <stdio.h>

/* Names behind "rx_qN_" and "tx_qN_", with the value's place in 'struct
 * dpdkr_peer_queue' and 'struct net_dpdkr_base'. */
struct counter {
    const char *name;
    size_t offset;
    size_t base_offset;
};

#define COUNTER(NAME, MEMBER)                           \
    { NAME, offsetof(struct dpdkr_peer_queue, MEMBER),  \
      offsetof(struct net_dpdkr_base, MEMBER) }

static const struct counter rx_counters[] = {
    COUNTER("packets", packets),
    COUNTER("bytes", bytes),
    COUNTER("runts", runts),            /* Dropped: under 14 bytes. */
    COUNTER("too_long", drop_size),     /* Dropped: no scatter. */
    COUNTER("no_mbuf", drop_other),     /* Allocations that failed. */
    COUNTER("skipped", skipped),        /* Left by an earlier peer. */
};
static const struct counter tx_counters[] = {
    COUNTER("packets", packets),
    COUNTER("bytes", bytes),
    COUNTER("bad_size", drop_size),     /* Dropped: impossible length. */
    COUNTER("ring_full", full),         /* Not taken. */
};

/* Those of the device, in the order of device_values(). */
static const char *const device_names[] = {
    "epoch",
    "attached",
    "cut_by_switch",
    "cut_by_driver",
    "link_changes",
    "direct_links",             /* Mapped. */
    "direct_tx_queues",         /* That send by one. */
    "direct_rx_rings",          /* Queues of others received by one. */
    "handovers",                /* Of TX queues to a link, or back. */
    "notes",                    /* Of such, read by RX queues... */
    "stray_notes",              /* ...and not for a link that there is. */
    "refused_orders",           /* Of handovers to a link that is not there. */
};
#define N_DEVICE RTE_DIM(device_names)

static void
device_values(struct net_dpdkr *nd, uint64_t values[N_DEVICE])
{
    struct dpdkr_peer_info info;

    pthread_mutex_lock(&nd->mutex);
    dpdkr_peer_get_info(nd->peer, &info);
    pthread_mutex_unlock(&nd->mutex);
    values[0] = info.epoch;
    values[1] = info.n_attached - nd->base_attached;
    values[2] = info.n_cut_by_switch - nd->base_cut_by_switch;
    values[3] = info.n_cut_by_us - nd->base_cut_by_us;
    values[4] = info.n_link_changes - nd->base_link_changes;
    values[5] = info.n_links;
    values[6] = info.n_tx_direct;
    values[7] = info.n_rx_direct;
    values[8] = info.n_handovers - nd->base_handovers;
    values[9] = info.n_notes - nd->base_notes;
    values[10] = info.n_stray_notes - nd->base_stray_notes;
    values[11] = info.n_refused_orders - nd->base_refused_orders;
}

static uint64_t
counter_get(const struct counter *counter, const struct dpdkr_peer_queue *q,
            const struct net_dpdkr_base *base)
{
    const uint64_t *value = RTE_PTR_ADD(q, counter->offset);
    const uint64_t *old = RTE_PTR_ADD(base, counter->base_offset);

    return dpdkr_peer_counter(value) - *old;
}

static void
reset_base(struct net_dpdkr_base *base, const struct dpdkr_peer_queue *q)
{
    base->packets = dpdkr_peer_counter(&q->packets);
    base->bytes = dpdkr_peer_counter(&q->bytes);
    base->drop_size = dpdkr_peer_counter(&q->drop_size);
    base->drop_other = dpdkr_peer_counter(&q->drop_other);
    base->runts = dpdkr_peer_counter(&q->runts);
    base->full = dpdkr_peer_counter(&q->full);
    base->skipped = dpdkr_peer_counter(&q->skipped);
}

int
net_dpdkr_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);

    for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++) {
        const struct net_dpdkr_rxq *rxq = dev->data->rx_queues[i];
        const struct net_dpdkr_base *base = &nd->rx_base[i];

        if (!rxq) {
            continue;
        }
        uint64_t packets = counter_get(&rx_counters[0], &rxq->q, base);
        uint64_t bytes = counter_get(&rx_counters[1], &rxq->q, base);
        uint64_t errors = (counter_get(&rx_counters[2], &rxq->q, base)
                           + counter_get(&rx_counters[3], &rxq->q, base));

        stats->ipackets += packets;
        stats->ibytes += bytes;
        stats->ierrors += errors;
        stats->rx_nombuf += counter_get(&rx_counters[4], &rxq->q, base);
        if (i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
            stats->q_ipackets[i] = packets;
            stats->q_ibytes[i] = bytes;
            stats->q_errors[i] = errors;
        }
    }
    for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++) {
        const struct net_dpdkr_txq *txq = dev->data->tx_queues[i];
        const struct net_dpdkr_base *base = &nd->tx_base[i];

        if (!txq) {
            continue;
        }
        uint64_t packets = counter_get(&tx_counters[0], &txq->q, base);
        uint64_t bytes = counter_get(&tx_counters[1], &txq->q, base);

        stats->opackets += packets;
        stats->obytes += bytes;
        stats->oerrors += counter_get(&tx_counters[2], &txq->q, base);
        if (i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
            stats->q_opackets[i] = packets;
            stats->q_obytes[i] = bytes;
        }
    }
    return 0;
}

int
net_dpdkr_stats_reset(struct rte_eth_dev *dev)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    struct dpdkr_peer_info info;

    for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++) {
        const struct net_dpdkr_rxq *rxq = dev->data->rx_queues[i];

        if (rxq) {
            reset_base(&nd->rx_base[i], &rxq->q);
        }
    }
    for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++) {
        const struct net_dpdkr_txq *txq = dev->data->tx_queues[i];

        if (txq) {
            reset_base(&nd->tx_base[i], &txq->q);
        }
    }
    pthread_mutex_lock(&nd->mutex);
    dpdkr_peer_get_info(nd->peer, &info);
    pthread_mutex_unlock(&nd->mutex);
    nd->base_attached = info.n_attached;
    nd->base_cut_by_switch = info.n_cut_by_switch;
    nd->base_cut_by_us = info.n_cut_by_us;
    nd->base_link_changes = info.n_link_changes;
    nd->base_handovers = info.n_handovers;
    nd->base_notes = info.n_notes;
    nd->base_stray_notes = info.n_stray_notes;
    nd->base_refused_orders = info.n_refused_orders;
    return 0;
}

static unsigned int
n_xstats(const struct rte_eth_dev *dev)
{
    return (N_DEVICE
            + dev->data->nb_rx_queues * RTE_DIM(rx_counters)
            + dev->data->nb_tx_queues * RTE_DIM(tx_counters));
}

int
net_dpdkr_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats,
                     unsigned int n)
{
    struct net_dpdkr *nd = net_dpdkr_from_dev(dev);
    unsigned int needed = n_xstats(dev);
    uint64_t values[N_DEVICE];
    unsigned int k = 0;

    if (!xstats || n < needed) {
        return needed;
    }
    device_values(nd, values);
    for (unsigned int j = 0; j < N_DEVICE; j++) {
        xstats[k++].value = values[j];
    }
    for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++) {
        const struct net_dpdkr_rxq *rxq = dev->data->rx_queues[i];

        for (unsigned int j = 0; j < RTE_DIM(rx_counters); j++) {
            xstats[k++].value = rxq ? counter_get(&rx_counters[j], &rxq->q,
                                                  &nd->rx_base[i]) : 0;
        }
    }
    for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++) {
        const struct net_dpdkr_txq *txq = dev->data->tx_queues[i];

        for (unsigned int j = 0; j < RTE_DIM(tx_counters); j++) {
            xstats[k++].value = txq ? counter_get(&tx_counters[j], &txq->q,
                                                  &nd->tx_base[i]) : 0;
        }
    }
    for (unsigned int j = 0; j < k; j++) {
        xstats[j].id = j;
    }
    return k;
}

int
net_dpdkr_xstats_get_names(struct rte_eth_dev *dev,
                           struct rte_eth_xstat_name *names, unsigned int n)
{
    unsigned int needed = n_xstats(dev);
    unsigned int k = 0;

    if (!names || n < needed) {
        return needed;
    }
    for (unsigned int j = 0; j < N_DEVICE; j++) {
        snprintf(names[k++].name, sizeof names->name, "%s", device_names[j]);
    }
    for (unsigned int i = 0; i < dev->data->nb_rx_queues; i++) {
        for (unsigned int j = 0; j < RTE_DIM(rx_counters); j++) {
            snprintf(names[k++].name, sizeof names->name, "rx_q%u_%s", i,
                     rx_counters[j].name);
        }
    }
    for (unsigned int i = 0; i < dev->data->nb_tx_queues; i++) {
        for (unsigned int j = 0; j < RTE_DIM(tx_counters); j++) {
            snprintf(names[k++].name, sizeof names->name, "tx_q%u_%s", i,
                     tx_counters[j].name);
        }
    }
    return k;
}
