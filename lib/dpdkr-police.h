/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_POLICE_H
#define DPDKR_POLICE_H 1

/* Rate limits of a dpdkr port: ingress policing and the "egress-policer" QoS.
 *
 * A policer is immutable apart from its buckets; the owner replaces it through
 * RCU.  Any number of threads may run batches through one. */

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/thread.h"

struct dp_packet_batch;

/* A bucket of tokens that are added by the microsecond.  (token-bucket.h has
 * 32 bits, which end at 4 Gbit of burst, and whole tokens a millisecond.) */
struct dpdkr_bucket {
    uint64_t rate;              /* Tokens per second; zero: unlimited. */
    uint64_t burst;             /* Most tokens. */
    uint64_t tokens;
    uint64_t rest;              /* Millionths of a token, less than one. */
    long long int last_fill;    /* time_usec(). */
};

struct dpdkr_policer {
    struct ovs_spin lock;
    struct dpdkr_bucket bits;
    struct dpdkr_bucket packets;
};

struct dpdkr_policer *dpdkr_policer_create(uint64_t bits_per_second,
                                           uint64_t burst_bits,
                                           uint64_t packets_per_second,
                                           uint64_t burst_packets);
void dpdkr_policer_destroy(struct dpdkr_policer *);
int dpdkr_policer_run(struct dpdkr_policer *, struct dp_packet_batch *,
                      uint64_t *bytes);

#endif /* dpdkr-police.h */
