/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_OFFLOAD_H
#define DPDKR_OFFLOAD_H 1

/* Finishes packets that still have transmit offloads to be done.
 *
 * With userspace-tso-enable, packets from kernel interfaces and vhost-user
 * ports arrive in the datapath with their TCP checksum or their segmentation
 * left to the device that sends them.  dpdkr memory carries complete frames
 * only (see "Offloads" in <dpdkr/abi.h>), so a dpdkr port does it in
 * software. */

#include <stdbool.h>
#include <stddef.h>

struct dp_packet;

bool dpdkr_offload_is_needed(const struct dp_packet *);
struct dp_packet **dpdkr_offload_finish(struct dp_packet *, int mtu,
                                        size_t *n);

#endif /* dpdkr-offload.h */
