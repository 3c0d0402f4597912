/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-packet.h"

#include <pthread.h>
#include <stdlib.h>

#include "dp-packet.h"
#include "dpif-netdev.h"
#include "ovs-thread.h"
#include "util.h"

/* Bytes of the buffer of a kept packet, without the headroom: enough for a
 * standard MTU with tags and tunnels to come. */
#define KEPT_SIZE (2048 - DP_NETDEV_HEADROOM)

/* Most packets kept by one thread: some bursts' worth. */
#define MAX_KEPT 256

struct packet_cache {
    unsigned int n;
    struct dp_packet *packets[MAX_KEPT];
};

static __thread struct packet_cache *cache;
static pthread_key_t cache_key;

static void
destroy_cache(void *cache_)
{
    struct packet_cache *c = cache_;

    while (c->n) {
        dp_packet_delete(c->packets[--c->n]);
    }
    free(c);
    cache = NULL;
}

static struct packet_cache *
get_cache(void)
{
    if (OVS_UNLIKELY(!cache)) {
        static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;

        if (ovsthread_once_start(&once)) {
            xpthread_key_create(&cache_key, destroy_cache);
            ovsthread_once_done(&once);
        }
        cache = xzalloc(sizeof *cache);
        pthread_setspecific(cache_key, cache);
    }
    return cache;
}

/* Returns a packet of 'size' bytes of undefined content with
 * DP_NETDEV_HEADROOM bytes of headroom, that the caller owns and may pass on
 * as any other packet. */
struct dp_packet *
dpdkr_packet_new(uint32_t size)
{
    struct dp_packet *packet;

    if (OVS_LIKELY(size <= KEPT_SIZE)) {
        struct packet_cache *c = get_cache();

        if (OVS_LIKELY(c->n)) {
            packet = c->packets[--c->n];
            dp_packet_reset_packet(packet, 0);
            dp_packet_set_data(packet, (char *) dp_packet_base(packet)
                                       + DP_NETDEV_HEADROOM);
            dp_packet_set_size(packet, size);
            packet->packet_type = htonl(PT_ETH);
            dp_packet_reset_cutlen(packet);
            /* Without DPDK, the second of these resets nothing. */
            dp_packet_reset_offload(packet);
            dp_packet_init_specific(packet);
            return packet;
        }
        /* Whoever deletes the packet calls free(), which is right for
         * memory from posix_memalign(), as this is on Linux. */
        packet = xmalloc_cacheline(sizeof *packet);
        dp_packet_init(packet, KEPT_SIZE + DP_NETDEV_HEADROOM);
        dp_packet_reserve(packet, DP_NETDEV_HEADROOM);
    } else {
        packet = dp_packet_new_with_headroom(size, DP_NETDEV_HEADROOM);
    }
    dp_packet_set_size(packet, size);
    return packet;
}

static inline bool
is_keepable(const struct dp_packet *packet)
{
    return (packet->source == DPBUF_MALLOC
            && (dp_packet_get_allocated(packet)
                == KEPT_SIZE + DP_NETDEV_HEADROOM));
}

static inline void
delete_packet__(struct packet_cache *c, struct dp_packet *packet)
{
    if (OVS_LIKELY(c->n < MAX_KEPT && is_keepable(packet))) {
        c->packets[c->n++] = packet;
    } else {
        dp_packet_delete(packet);
    }
}

/* Deletes 'packet', which need not come from dpdkr_packet_new(). */
void
dpdkr_packet_delete(struct dp_packet *packet)
{
    delete_packet__(get_cache(), packet);
}

/* Deletes the packets of 'batch', wherever they come from. */
void
dpdkr_packet_delete_batch(struct dp_packet_batch *batch)
{
    struct packet_cache *c = get_cache();
    struct dp_packet *packet;

    DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
        delete_packet__(c, packet);
    }
    dp_packet_batch_init(batch);
}
