/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-limits.h"

#include <errno.h>
#include <string.h>

#include "dpdkr-police.h"
#include "openvswitch/vlog.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_limits);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 20);

void
dpdkr_limits_init(struct dpdkr_limits *limits)
{
    ovsrcu_init(&limits->ingress, NULL);
    ovsrcu_init(&limits->egress, NULL);
    atomic_init(&limits->rx_packets, 0);
    atomic_init(&limits->rx_bytes, 0);
    atomic_init(&limits->tx_packets, 0);
    atomic_init(&limits->tx_bytes, 0);
    limits->kbits = limits->kbits_burst = 0;
    limits->kpkts = limits->kpkts_burst = 0;
    smap_init(&limits->qos);
}

static void
set_ingress(struct dpdkr_limits *limits, struct dpdkr_policer *new)
{
    struct dpdkr_policer *old
        = ovsrcu_get_protected(struct dpdkr_policer *, &limits->ingress);

    ovsrcu_set(&limits->ingress, new);
    if (old) {
        ovsrcu_postpone(dpdkr_policer_destroy, old);
    }
}

static void
set_egress(struct dpdkr_limits *limits, struct dpdkr_policer *new)
{
    struct dpdkr_policer *old
        = ovsrcu_get_protected(struct dpdkr_policer *, &limits->egress);

    ovsrcu_set(&limits->egress, new);
    if (old) {
        ovsrcu_postpone(dpdkr_policer_destroy, old);
    }
}

void
dpdkr_limits_destroy(struct dpdkr_limits *limits)
{
    set_ingress(limits, NULL);
    set_egress(limits, NULL);
    smap_destroy(&limits->qos);
}

/* Sets ingress policing to 'kbits' kilobits and 'kpkts' thousand packets per
 * second, each unlimited if zero, with bursts in the same units, for which
 * zero stands for the default of other port types. */
void
dpdkr_limits_set_policing(struct dpdkr_limits *limits,
                          uint32_t kbits, uint32_t kbits_burst,
                          uint32_t kpkts, uint32_t kpkts_burst)
{
    kbits_burst = !kbits ? 0 : kbits_burst ? kbits_burst : 8000;
    kpkts_burst = !kpkts ? 0 : kpkts_burst ? kpkts_burst : 16;
    if (limits->kbits == kbits && limits->kbits_burst == kbits_burst
        && limits->kpkts == kpkts && limits->kpkts_burst == kpkts_burst) {
        return;
    }
    set_ingress(limits, (kbits || kpkts
                         ? dpdkr_policer_create(kbits * 1000ULL,
                                                kbits_burst * 1000ULL,
                                                kpkts * 1000ULL,
                                                kpkts_burst * 1000ULL)
                         : NULL));
    limits->kbits = kbits;
    limits->kbits_burst = kbits_burst;
    limits->kpkts = kpkts;
    limits->kpkts_burst = kpkts_burst;
}

/* Sets QoS of the given 'type', "" for none, on the port called 'port'.
 * Returns 0 if successful, otherwise a positive errno value, and nothing has
 * changed then. */
int
dpdkr_limits_set_qos(struct dpdkr_limits *limits, const char *port,
                     const char *type, const struct smap *details)
{
    unsigned long long int cir = smap_get_ullong(details, "cir", 0);
    unsigned long long int cbs = smap_get_ullong(details, "cbs", 0);

    if (!*type) {
        if (!smap_is_empty(&limits->qos)) {
            set_egress(limits, NULL);
            smap_clear(&limits->qos);
        }
        return 0;
    }
    if (strcmp(type, DPDKR_EGRESS_POLICER)) {
        return EOPNOTSUPP;
    }
    if (!cir || !cbs || cir > UINT64_MAX / 8 || cbs > UINT64_MAX / 8) {
        VLOG_WARN_RL(&rl, "%s: QoS type %s needs other_config cir and cbs, "
                     "both greater than zero", port, type);
        return EINVAL;
    }
    if (!smap_equal(details, &limits->qos)) {
        set_egress(limits, dpdkr_policer_create(cir * 8, cbs * 8, 0, 0));
        smap_destroy(&limits->qos);
        smap_clone(&limits->qos, details);
    }
    return 0;
}

/* Runs 'batch' through 'policer' and counts what is dropped. */
void
dpdkr_limits_police(struct dpdkr_policer *policer,
                    struct dp_packet_batch *batch,
                    atomic_uint64_t *packets, atomic_uint64_t *bytes)
{
    uint64_t bytes_dropped = 0;
    int n = dpdkr_policer_run(policer, batch, &bytes_dropped);

    if (n) {
        uint64_t orig;

        atomic_add_relaxed(packets, n, &orig);
        atomic_add_relaxed(bytes, bytes_dropped, &orig);
    }
}
