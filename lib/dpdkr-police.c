/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-police.h"

#include <stdlib.h>

#include "dp-packet.h"
#include "dpdkr-packet.h"
#include "timeval.h"
#include "util.h"

static void
bucket_init(struct dpdkr_bucket *b, uint64_t rate, uint64_t burst)
{
    b->rate = rate;
    b->burst = burst;
    b->tokens = burst;
    b->rest = 0;
    b->last_fill = time_usec();
}

static void
bucket_fill(struct dpdkr_bucket *b, long long int now)
{
    if (b->rate && now > b->last_fill) {
        uint64_t elapsed = now - b->last_fill;
        long double added = (long double) b->rate * elapsed / 1000000;

        if (added >= b->burst - b->tokens) {
            b->tokens = b->burst;
            b->rest = 0;
        } else {
            /* Cannot overflow, as it is less than 'burst' tokens. */
            uint64_t millionths = b->rate * elapsed + b->rest;

            b->tokens += millionths / 1000000;
            b->rest = millionths % 1000000;
        }
        b->last_fill = now;
    }
}

static bool
bucket_has(const struct dpdkr_bucket *b, uint64_t n)
{
    return !b->rate || b->tokens >= n;
}

static void
bucket_take(struct dpdkr_bucket *b, uint64_t n)
{
    if (b->rate) {
        b->tokens -= n;
    }
}

/* Returns a policer that lets pass what conforms to both rates; a rate of zero
 * does not limit. */
struct dpdkr_policer *
dpdkr_policer_create(uint64_t bits_per_second, uint64_t burst_bits,
                     uint64_t packets_per_second, uint64_t burst_packets)
{
    struct dpdkr_policer *policer = xmalloc(sizeof *policer);

    ovs_spin_init(&policer->lock);
    bucket_init(&policer->bits, bits_per_second, burst_bits);
    bucket_init(&policer->packets, packets_per_second, burst_packets);
    return policer;
}

void
dpdkr_policer_destroy(struct dpdkr_policer *policer)
{
    if (policer) {
        ovs_spin_destroy(&policer->lock);
        free(policer);
    }
}

/* Deletes the packets of 'batch' that exceed the limits.  Returns how many,
 * and adds their whole lengths to '*bytes'.
 *
 * Counts the bytes of a packet without its Ethernet header, as the limits of
 * DPDK ports do. */
int
dpdkr_policer_run(struct dpdkr_policer *policer, struct dp_packet_batch *batch,
                  uint64_t *bytes)
{
    const size_t size = dp_packet_batch_size(batch);
    long long int now = time_usec();
    struct dp_packet *packet;
    size_t i;

    ovs_spin_lock(&policer->lock);
    bucket_fill(&policer->bits, now);
    bucket_fill(&policer->packets, now);
    DP_PACKET_BATCH_REFILL_FOR_EACH (i, size, packet, batch) {
        uint64_t bits = (uint64_t) (dp_packet_size(packet)
                                    - ETH_HEADER_LEN) * 8;

        if (bucket_has(&policer->bits, bits)
            && bucket_has(&policer->packets, 1)) {
            bucket_take(&policer->bits, bits);
            bucket_take(&policer->packets, 1);
            dp_packet_batch_refill(batch, packet, i);
        } else {
            *bytes += dp_packet_size(packet);
            dpdkr_packet_delete(packet);
        }
    }
    ovs_spin_unlock(&policer->lock);

    return size - dp_packet_batch_size(batch);
}
