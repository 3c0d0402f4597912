/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_REPORT_H
#define DPDKR_REPORT_H 1

/* What the database shows of a dpdkr port: columns status and statistics of
 * its Interface, from what the other rooms know and count.
 *
 * Called with the port's mutex held, apart from the datapath's threads, whose
 * counters are read as they run. */

#include <stdint.h>

#include "dpdkr-link.h"
#include "dpdkr-port.h"

struct dpdkr_limits;
struct netdev_custom_stats;
struct netdev_stats;
struct smap;

/* What a port counted over all of its memories. */
struct dpdkr_totals {
    struct dpdkr_port_stats stats;
    struct dpdkr_port_events events;
    struct dpdkr_link_stats links;
    uint64_t memory_lost;       /* Times that the file was truncated. */

    /* What policing and QoS dropped. */
    uint64_t rx_policed, rx_policed_bytes;
    uint64_t tx_policed;
};

void dpdkr_report_add_port(struct dpdkr_totals *, const struct dpdkr_port *);
void dpdkr_report_add_limits(struct dpdkr_totals *,
                             const struct dpdkr_limits *);

void dpdkr_report_status(const struct dpdkr_port *, struct smap *);
void dpdkr_report_link_status(struct dpdkr_end *, struct smap *);
void dpdkr_report_stats(const struct dpdkr_totals *, struct netdev_stats *);
void dpdkr_report_custom_stats(const struct dpdkr_totals *,
                               struct netdev_custom_stats *);

#endif /* dpdkr-report.h */
