/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-report.h"

#include <stdlib.h>
#include <string.h>

#include "dpdkr-limits.h"
#include "dpdkr-mem.h"
#include "netdev.h"
#include "smap.h"
#include "util.h"

/* Adds what 'port' counted, if it is nonnull. */
void
dpdkr_report_add_port(struct dpdkr_totals *totals,
                      const struct dpdkr_port *port)
{
    if (port) {
        dpdkr_port_add_stats(port, &totals->stats);
        dpdkr_port_add_events(port, &totals->events);
    }
}

void
dpdkr_report_add_limits(struct dpdkr_totals *totals,
                        const struct dpdkr_limits *limits)
{
    struct dpdkr_limits *l = CONST_CAST(struct dpdkr_limits *, limits);
    uint64_t n;

    atomic_read_relaxed(&l->rx_packets, &n);
    totals->rx_policed += n;
    atomic_read_relaxed(&l->rx_bytes, &n);
    totals->rx_policed_bytes += n;
    atomic_read_relaxed(&l->tx_packets, &n);
    totals->tx_policed += n;
}

/* ## ------ ## */
/* ## Status ## */
/* ## ------ ## */

static const char *
peer_state(const struct dpdkr_port *port)
{
    return (port->linked ? "attached"
            : !port->alive ? "none"
            : port->cut_epoch && port->cut_epoch == port->own.ack ? "cut off"
            : !port->admin_up ? "port is down"
            : port->events.refused && !port->own.ack ? "refused"
            : "attaching");
}

/* Adds what column status shows of 'port' to 'status'. */
void
dpdkr_report_status(const struct dpdkr_port *port, struct smap *status)
{
    const struct dpdkr_mem *mem = port->mem;
    const struct dpdkr_geometry *g = &mem->g;
    uint32_t n;

    smap_add(status, "driver_name", "dpdkr");
    smap_add_format(status, "abi_version", "%d.%d",
                    DPDKR_ABI_MAJOR, DPDKR_ABI_MINOR);
    smap_add(status, "path", mem->path);
    smap_add_format(status, "memory_bytes", "%"PRIuSIZE, mem->mapped);
    smap_add_format(status, "file_bytes", "%"PRIu64, mem->file_size);
    smap_add_format(status, "numa_id", "%d", mem->numa_id);
    smap_add_format(status, "n_queues", "%"PRIu32, g->n_queues);
    smap_add_format(status, "ring_size", "%"PRIu32, g->ring_size);
    smap_add_format(status, "slot_size", "%"PRIu32, g->slot_size);
    smap_add(status, "peer_state", peer_state(port));
    if (port->own.cut_reason) {
        smap_add(status, "peer_cut_reason",
                 dpdkr_cut_reason_to_string(port->own.cut_reason));
    }
    if (port->linked) {
        struct dpdkr_port *p = CONST_CAST(struct dpdkr_port *, port);

        smap_add_format(status, "peer_pid", "%"PRIu32, port->peer_pid);
        smap_add(status, "peer_mode",
                 port->peer_flags & DPDKR_F_SLEEPS ? "sleeping" : "polling");
        atomic_read_relaxed(&p->peer_n_rxq, &n);
        smap_add_format(status, "peer_rx_queues", "%"PRIu32, n);
        atomic_read_relaxed(&p->peer_n_txq, &n);
        smap_add_format(status, "peer_tx_queues", "%"PRIu32, n);
    }
}

/* Adds what column status shows of the direct links of 'end'. */
void
dpdkr_report_link_status(struct dpdkr_end *end, struct smap *status)
{
    struct dpdkr_link_status s;

    /* This may be called for any other reason between two announcements: from
     * now on, what differs from this has to be announced, even if it was last
     * time. */
    dpdkr_end_changed(end);
    dpdkr_end_get_status(end, &s);
    smap_add(status, "p2p_state", s.state);
    if (s.peer) {
        smap_add(status, "p2p_peer", s.peer);
    }
    if (s.error) {
        smap_add(status, "p2p_error", s.error);
    }
    free(s.peer);
    free(s.error);
}

/* ## ---------- ## */
/* ## Statistics ## */
/* ## ---------- ## */

/* Stores the counters that ports of every type have.  All ones is for what is
 * not counted.  What went over direct links counts as if the switch had
 * forwarded it. */
void
dpdkr_report_stats(const struct dpdkr_totals *totals,
                   struct netdev_stats *stats)
{
    const struct dpdkr_port_stats *s = &totals->stats;
    const struct dpdkr_link_stats *l = &totals->links;

    memset(stats, 0xff, sizeof *stats);
    /* A packet that policing drops counts as dropped, not as received. */
    stats->rx_packets = (s->rx_packets - totals->rx_policed
                         + l->rx_packets);
    stats->rx_bytes = s->rx_bytes - totals->rx_policed_bytes + l->rx_bytes;
    stats->rx_length_errors = s->rx_runts + s->rx_oversize;
    stats->rx_errors = stats->rx_length_errors;
    stats->rx_dropped = totals->rx_policed;
    stats->tx_packets = s->tx_packets + l->tx_packets;
    stats->tx_bytes = s->tx_bytes + l->tx_bytes;
    stats->tx_errors = s->tx_offload;
    stats->tx_dropped = (s->tx_no_peer + s->tx_full + s->tx_size
                         + totals->tx_policed);
    stats->collisions = 0;
}

/* Stores the counters that only dpdkr ports have. */
void
dpdkr_report_custom_stats(const struct dpdkr_totals *totals,
                          struct netdev_custom_stats *custom)
{
    const struct dpdkr_port_events *e = &totals->events;
    const struct dpdkr_port_stats *s = &totals->stats;
    const struct dpdkr_link_stats *l = &totals->links;
    uint64_t cut_off = totals->memory_lost;

    for (size_t i = 0; i < DPDKR_CUT_N; i++) {
        cut_off += e->cut_off[i];
    }

    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        { "rx_runt_errors", s->rx_runts },
        { "rx_oversize_errors", s->rx_oversize },
        { "rx_policer_drops", totals->rx_policed },
        { "tx_no_peer_drops", s->tx_no_peer },
        { "tx_ring_full_drops", s->tx_full },
        { "tx_mtu_exceeded_drops", s->tx_size },
        { "tx_invalid_hwol_drops", s->tx_offload },
        { "tx_qos_drops", totals->tx_policed },
        { "peer_attached", e->attached },
        { "peer_refused", e->refused },
        { "peer_cut_off", cut_off },
        { "header_repaired", e->repaired },
        { "rx_direct_packets", l->rx_packets },
        { "tx_direct_packets", l->tx_packets },
        { "direct_lost_packets", l->lost },
        { "direct_handovers", l->handovers },
        { "direct_late_handovers", l->late },
        { "direct_failed_links", l->failed },
    };

    custom->size = ARRAY_SIZE(counters);
    custom->counters = xcalloc(custom->size, sizeof *custom->counters);
    for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
        ovs_strlcpy(custom->counters[i].name, counters[i].name,
                    NETDEV_CUSTOM_STATS_NAME_SIZE);
        custom->counters[i].value = counters[i].value;
    }
}
