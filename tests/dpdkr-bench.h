/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_BENCH_H
#define DPDKR_BENCH_H 1

/* A bench for tests of the switch's side of dpdkr memory: a port, and a peer
 * in the same process that does what the test tells it, right or wrong.
 *
 * Time passes only when the test says so.  After bench_open() the memory has
 * no file and the peer is alive by its heartbeat; after bench_open_file()
 * there is a file, whose lock the peer has to take. */

#include <errno.h>
#include <string.h>

#include "dp-packet.h"
#include "dpdkr-mem.h"
#include "dpdkr-packet.h"
#include "dpdkr-peer.h"
#include "dpdkr-port.h"
#include "nfv-test.h"
#include "util.h"

#define MTU 1500
#define MAX_FRAME (MTU + DPDKR_L2_OVERHEAD)

static const struct eth_addr peer_mac = { .ea = { 2, 0, 0, 0, 0, 7 } };

struct bench {
    struct dpdkr_geometry g;
    struct dpdkr_port *port;
    struct dpdkr_mem *mem;      /* Owned by 'port'. */
    struct dpdkr_peer peer;
    long long int now;
};

static inline void
bench_open(struct bench *b, uint32_t n_queues, uint32_t ring_size)
{
    memset(b, 0, sizeof *b);
    const char *error = dpdkr_geometry_init(&b->g, n_queues, ring_size, 2048);
    ovs_assert(!error);
    b->mem = dpdkr_mem_anonymous(&b->g);
    b->port = dpdkr_port_create(b->mem, "p1", peer_mac, MTU, true);
    dpdkr_peer_init(&b->peer, b->mem->base, &b->g);
    b->now = 1000;
}

/* Starts a switch on the memory that 'config' describes, which 'replaces', if
 * nonnull, and leaves the peer alone. */
static inline bool
bench_start_switch(struct bench *b, const struct dpdkr_mem_config *config,
                   const struct dpdkr_mem *replaces)
{
    char *error = NULL;

    if (!CHECK(!dpdkr_mem_open(config, "p1", replaces, &b->mem, &error))) {
        printf("# %s\n", error);
        free(error);
        return false;
    }
    b->g = b->mem->g;
    b->port = dpdkr_port_create(b->mem, "p1", peer_mac, MTU, true);
    return true;
}

static inline bool
bench_open_file(struct bench *b, const struct dpdkr_mem_config *config)
{
    memset(b, 0, sizeof *b);
    b->now = 1000;
    if (!bench_start_switch(b, config, NULL)) {
        return false;
    }
    dpdkr_peer_init(&b->peer, b->mem->base, &b->g);
    return true;
}

static inline bool
bench_run(struct bench *b)
{
    b->now += 50;
    return dpdkr_port_run(b->port, b->now);
}

/* Attaches the peer as it should be. */
static inline bool
bench_attach(struct bench *b)
{
    dpdkr_peer_announce(&b->peer);
    bench_run(b);
    if (!CHECK(dpdkr_peer_is_acknowledged(&b->peer))) {
        return false;
    }
    dpdkr_peer_start(&b->peer);
    bench_run(b);
    return CHECK(dpdkr_port_is_up(b->port)) && CHECK(b->port->linked);
}

static inline void
bench_close(struct bench *b)
{
    dpdkr_peer_die(&b->peer);
    dpdkr_port_destroy(b->port, true);
}

/* Frames say who sent them, on which queue, and as which. */
static inline uint32_t
make_frame(uint8_t *frame, char from, uint32_t queue, uint32_t number)
{
    uint32_t len = 60 + (number * 37 + queue) % (MTU - 100);

    memset(frame, (uint8_t) number, len);
    frame[14] = from;
    memcpy(frame + 16, &queue, sizeof queue);
    memcpy(frame + 20, &number, sizeof number);
    return len;
}

static inline bool
is_frame(const void *data, uint32_t len, char from, uint32_t queue,
         uint32_t number)
{
    uint8_t want[2048];

    return (len == make_frame(want, from, queue, number)
            && !memcmp(data, want, len));
}

static inline bool
peer_send(struct bench *b, uint32_t queue, uint32_t number)
{
    uint8_t frame[2048];
    uint32_t len = make_frame(frame, 'B', queue, number);

    return dpdkr_peer_send(&b->peer, queue, frame, len);
}

static inline bool
peer_receives(struct bench *b, uint32_t queue, uint32_t number)
{
    uint8_t frame[2048];
    uint32_t len = dpdkr_peer_receive(&b->peer, queue, frame, sizeof frame);

    return is_frame(frame, len, 'A', queue, number);
}

static inline struct dp_packet *
make_packet(uint32_t len, const void *data)
{
    struct dp_packet *packet = dp_packet_new_with_headroom(len, 64);

    dp_packet_put(packet, data, len);
    return packet;
}

/* Sends frames 'number' to 'number + n - 1' to the peer. */
static inline void
switch_send(struct bench *b, uint32_t queue, uint32_t number, uint32_t n)
{
    while (n) {
        struct dp_packet_batch batch;

        dp_packet_batch_init(&batch);
        for (; n && batch.count < NETDEV_MAX_BURST; n--) {
            uint8_t frame[2048];
            uint32_t len = make_frame(frame, 'A', queue, number++);

            dp_packet_batch_add(&batch, make_packet(len, frame));
        }
        dpdkr_port_tx(b->port, queue, &batch);
        CHECK_EQ(batch.count, 0);
    }
}

/* Receives one batch, whose frames have to be those from 'number' on.  Returns
 * how many. */
static inline uint32_t
switch_receives(struct bench *b, uint32_t queue, uint32_t number)
{
    struct dp_packet_batch batch;
    struct dp_packet *packet;
    uint32_t n = 0;

    dp_packet_batch_init(&batch);
    int error = dpdkr_port_rx(b->port, queue, &batch, NULL);
    CHECK_EQ(error, batch.count ? 0 : EAGAIN);
    DP_PACKET_BATCH_FOR_EACH (i, packet, &batch) {
        CHECK(is_frame(dp_packet_data(packet), dp_packet_size(packet), 'B',
                       queue, number + n));
        CHECK_EQ(dp_packet_headroom(packet), 6);
        CHECK(packet->packet_type == htonl(PT_ETH));
        n++;
    }
    dpdkr_packet_delete_batch(&batch);
    return n;
}

/* That frames go both ways, on every queue, starting with number 'number'. */
static inline void
check_traffic(struct bench *b, uint32_t number, uint32_t n)
{
    for (uint32_t q = 0; q < b->g.n_queues; q++) {
        for (uint32_t i = 0; i < n; i++) {
            CHECK(peer_send(b, q, number + i));
        }
        uint32_t got = 0;
        for (uint32_t m; (m = switch_receives(b, q, number + got)); ) {
            got += m;
        }
        CHECK_EQ(got, n);

        switch_send(b, q, number, n);
        for (uint32_t i = 0; i < n; i++) {
            CHECK(peer_receives(b, q, number + i));
        }
        CHECK_EQ(dpdkr_consumer_avail(&b->peer.rx[q], 1), 0);
    }
}

static inline struct dpdkr_port_stats
get_stats(struct bench *b)
{
    struct dpdkr_port_stats stats;

    memset(&stats, 0, sizeof stats);
    dpdkr_port_add_stats(b->port, &stats);
    return stats;
}

#endif /* tests/dpdkr-bench.h */
