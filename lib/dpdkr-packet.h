/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_PACKET_H
#define DPDKR_PACKET_H 1

/* Packets for frames out of dpdkr memory
 * ======================================
 *
 * A frame is copied into an ordinary DPBUF_MALLOC packet, whether or not DPDK
 * was initialized, so that any code may own and free it.  Two malloc() and
 * two free() a packet would cost as much as the rest of the port's work, so
 * each thread keeps the packets that dpdkr ports have sent for the frames that
 * they receive next. */

#include <stdint.h>

struct dp_packet;
struct dp_packet_batch;

struct dp_packet *dpdkr_packet_new(uint32_t size);
void dpdkr_packet_delete(struct dp_packet *);
void dpdkr_packet_delete_batch(struct dp_packet_batch *);

#endif /* dpdkr-packet.h */
