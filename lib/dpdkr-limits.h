/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_LIMITS_H
#define DPDKR_LIMITS_H 1

/* The rate limits of a dpdkr port, as OVSDB sets them: ingress policing
 * (Interface columns ingress_policing_*) and QoS of type "egress-policer".
 *
 * The datapath's threads run batches through dpdkr_limits_ingress() and
 * dpdkr_limits_egress() at any time; all the other functions are called with
 * the port's mutex held. */

#include "openvswitch/compiler.h"
#include "ovs-atomic.h"
#include "ovs-rcu.h"
#include "smap.h"

struct dp_packet_batch;
struct dpdkr_policer;

#define DPDKR_EGRESS_POLICER "egress-policer"

struct dpdkr_limits {
    /* Null while there is no limit. */
    OVSRCU_TYPE(struct dpdkr_policer *) ingress;
    OVSRCU_TYPE(struct dpdkr_policer *) egress;

    /* What the limits dropped. */
    atomic_uint64_t rx_packets, rx_bytes;
    atomic_uint64_t tx_packets, tx_bytes;

    /* As set. */
    uint32_t kbits, kbits_burst;
    uint32_t kpkts, kpkts_burst;
    struct smap qos;            /* Details of the QoS, empty if none is set. */
};

void dpdkr_limits_init(struct dpdkr_limits *);
void dpdkr_limits_destroy(struct dpdkr_limits *);

void dpdkr_limits_set_policing(struct dpdkr_limits *,
                               uint32_t kbits, uint32_t kbits_burst,
                               uint32_t kpkts, uint32_t kpkts_burst);
int dpdkr_limits_set_qos(struct dpdkr_limits *, const char *port,
                         const char *type, const struct smap *details);

void dpdkr_limits_police(struct dpdkr_policer *, struct dp_packet_batch *,
                         atomic_uint64_t *packets, atomic_uint64_t *bytes);

/* Deletes what exceeds the ingress policing out of a received 'batch'. */
static inline void
dpdkr_limits_ingress(struct dpdkr_limits *limits,
                     struct dp_packet_batch *batch)
{
    struct dpdkr_policer *policer
        = ovsrcu_get(struct dpdkr_policer *, &limits->ingress);

    if (OVS_UNLIKELY(policer)) {
        dpdkr_limits_police(policer, batch,
                            &limits->rx_packets, &limits->rx_bytes);
    }
}

/* Deletes what exceeds the QoS out of a 'batch' that is to be sent. */
static inline void
dpdkr_limits_egress(struct dpdkr_limits *limits, struct dp_packet_batch *batch)
{
    struct dpdkr_policer *policer
        = ovsrcu_get(struct dpdkr_policer *, &limits->egress);

    if (OVS_UNLIKELY(policer)) {
        dpdkr_limits_police(policer, batch,
                            &limits->tx_packets, &limits->tx_bytes);
    }
}

#endif /* dpdkr-limits.h */
