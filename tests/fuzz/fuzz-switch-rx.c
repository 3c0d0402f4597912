/* SPDX-License-Identifier: Apache-2.0 */

/* Fuzzes the switch's side of dpdkr memory (lib/dpdkr-port.c).
 *
 * The input is a program for a hostile peer: it overwrites any part of the
 * memory, sends and receives as it should, attaches, dies; and for the switch,
 * which receives, sends, runs, restarts.  What has to hold in between:
 *
 *   - what the switch receives is within the limits and is all counted,
 *   - its private indexes never are further apart than the ring is large,
 *
 * and at the end: a peer that does everything right is served, exactly. */

#include <config.h>

#include "dpdkr-port.h"

#include <errno.h>

#include "dp-packet.h"
#include "dpdkr-mem.h"
#include "dpdkr-packet.h"
#include "dpdkr-peer.h"
#include "fuzz.h"
#include "openvswitch/vlog.h"
#include "util.h"

#define RING_SIZE 64
#define SLOT_SIZE 256
#define MAX_MTU (SLOT_SIZE - DPDKR_L2_OVERHEAD)
#define MAX_QUEUES 3
#define MAX_STEPS 400

static const struct eth_addr mac = { .ea = { 2, 0, 0, 0, 0, 1 } };

struct state {
    struct dpdkr_geometry g;
    struct dpdkr_mem *mem;
    struct dpdkr_port *port;
    struct dpdkr_peer peer;
    long long int now;
    int mtu;
    uint64_t n_received;        /* Since the port was created. */
    uint64_t n_offered;
};

int
LLVMFuzzerInitialize(int *argc OVS_UNUSED, char ***argv)
{
    set_program_name((*argv)[0]);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    return 0;
}

static void
open_port(struct state *s, const void *content)
{
    s->mem = dpdkr_mem_anonymous(&s->g);
    if (content) {
        memcpy(s->mem->base, content, s->g.total_size);
    }
    s->port = dpdkr_port_create(s->mem, "p1", mac, s->mtu, true);
    s->n_received = s->n_offered = 0;
}

/* The switch ends, and another one finds the memory, as it was. */
static void
restart(struct state *s, bool in_order)
{
    void *content = xmemdup(s->mem->base, s->g.total_size);
    struct dpdkr_peer old = s->peer;

    if (in_order) {
        s->port->own.state = DPDKR_DOWN;
    }
    dpdkr_port_destroy(s->port, false);
    open_port(s, content);
    free(content);
    dpdkr_peer_init(&s->peer, s->mem->base, &s->g);
    for (uint32_t q = 0; q < s->g.n_queues; q++) {
        s->peer.rx[q].cons = old.rx[q].cons;
        s->peer.rx[q].prod = old.rx[q].prod;
        s->peer.rx[q].broken = old.rx[q].broken;
        s->peer.tx[q].prod = old.tx[q].prod;
        s->peer.tx[q].cons = old.tx[q].cons;
        s->peer.tx[q].broken = old.tx[q].broken;
    }
}

static void
check_state(struct state *s)
{
    struct dpdkr_port_stats stats;
    uint32_t max_frame;

    for (uint32_t q = 0; q < s->g.n_queues; q++) {
        struct dpdkr_port_queue *queue = &s->port->queues[q];

        if (!queue->rx.broken && s->port->linked) {
            FUZZ_CHECK(queue->rx.prod - queue->rx.cons <= RING_SIZE);
        }
        if (!queue->tx.broken && s->port->linked) {
            FUZZ_CHECK(queue->tx.prod - queue->tx.cons <= RING_SIZE);
        }
    }
    memset(&stats, 0, sizeof stats);
    dpdkr_port_add_stats(s->port, &stats);
    FUZZ_CHECK(stats.rx_packets == s->n_received);
    FUZZ_CHECK(stats.tx_packets + stats.tx_no_peer + stats.tx_full
               + stats.tx_size + stats.tx_offload == s->n_offered);
    atomic_read_relaxed(&s->port->max_frame, &max_frame);
    FUZZ_CHECK(max_frame == s->mtu + DPDKR_L2_OVERHEAD);
}

/* Receives a batch.  Returns how many packets, which have to be those that
 * start with 'tag' if it is nonzero. */
static int
switch_receive(struct state *s, uint32_t queue, uint8_t tag)
{
    struct dp_packet_batch batch;
    struct dp_packet *packet;
    bool up = dpdkr_port_is_up(s->port);
    int qfill = -1;
    int n;

    dp_packet_batch_init(&batch);
    int error = dpdkr_port_rx(s->port, queue, &batch, &qfill);
    FUZZ_CHECK(error == (batch.count ? 0 : EAGAIN));
    FUZZ_CHECK(batch.count <= NETDEV_MAX_BURST);
    FUZZ_CHECK(up || !batch.count);
    FUZZ_CHECK(qfill >= -1 && qfill <= RING_SIZE);
    DP_PACKET_BATCH_FOR_EACH (i, packet, &batch) {
        const uint8_t *data = dp_packet_data(packet);
        uint32_t size = dp_packet_size(packet);

        FUZZ_CHECK(size >= DPDKR_MIN_FRAME);
        FUZZ_CHECK(size <= s->mtu + DPDKR_L2_OVERHEAD);
        FUZZ_CHECK(!tag || (data[0] == tag && data[1] == (uint8_t) i
                            && size == 20u + i));
    }
    s->n_received += batch.count;
    n = batch.count;
    if (tag || !n || n % 2) {
        dpdkr_packet_delete_batch(&batch);
    } else {
        s->n_offered += n;
        dpdkr_port_tx(s->port, queue, &batch);
    }
    return n;
}

static void
switch_send(struct state *s, uint32_t queue, int n, uint32_t len,
            uint32_t step, uint8_t tag)
{
    struct dp_packet_batch batch;

    dp_packet_batch_init(&batch);
    for (int i = 0; i < n; i++) {
        uint32_t size = (len + i * step) % (2 * SLOT_SIZE);
        struct dp_packet *packet = dp_packet_new_with_headroom(size, 6);
        uint8_t *data = dp_packet_put_zeros(packet, size);

        if (size >= 2) {
            data[0] = tag;
            data[1] = i;
        }
        dp_packet_batch_add(&batch, packet);
    }
    s->n_offered += n;
    dpdkr_port_tx(s->port, queue, &batch);
    FUZZ_CHECK(!batch.count);
}

static void
run(struct state *s)
{
    s->now += 50;
    dpdkr_port_run(s->port, s->now);
    FUZZ_CHECK(s->peer.h->magic == DPDKR_MAGIC);
    FUZZ_CHECK(!memcmp(s->peer.h, &s->mem->constant,
                       offsetof(struct dpdkr_header, side)));
}

static void
attach(struct state *s)
{
    dpdkr_peer_announce(&s->peer);
    run(s);
    dpdkr_peer_start(&s->peer);
    run(s);
}

/* The end: a peer that does all right gets what it has a right to. */
static void
heal(struct state *s)
{
    dpdkr_port_set_admin(s->port, true);

    /* It may inherit frames that break the format, which nobody has looked at
     * yet, and get cut off for that: once. */
    for (int i = 0; i < 2; i++) {
        /* Epoch 0 is nobody. */
        if (s->peer.us->epoch == UINT32_MAX
            || s->peer.us->epoch + 1 == s->port->own.ack) {
            s->peer.us->epoch += 3;
        }
        /* Of its heartbeats, the first may by chance be what stood there. */
        s->peer.us->heartbeat = s->port->heartbeat + 1;
        attach(s);
        FUZZ_CHECK(dpdkr_peer_is_acknowledged(&s->peer));
        FUZZ_CHECK(dpdkr_port_is_up(s->port));
        for (uint32_t q = 0; q < s->g.n_queues; q++) {
            while (dpdkr_consumer_avail(&s->port->queues[q].rx, 1)
                   && dpdkr_port_is_up(s->port)) {
                switch_receive(s, q, 0);
            }
        }
        run(s);
        if (dpdkr_port_is_up(s->port)) {
            break;
        }
        FUZZ_CHECK(!i);
    }

    for (uint32_t q = 0; q < s->g.n_queues; q++) {
        uint8_t frame[SLOT_SIZE];

        while (dpdkr_peer_receive(&s->peer, q, frame, sizeof frame)) {
            continue;
        }
        for (int i = 0; i < 10; i++) {
            memset(frame, 0, sizeof frame);
            frame[0] = 'B';
            frame[1] = i;
            FUZZ_CHECK(dpdkr_peer_send(&s->peer, q, frame, 20 + i));
        }
        FUZZ_CHECK(switch_receive(s, q, 'B') == 10);

        switch_send(s, q, 10, 20, 1, 'A');
        for (int i = 0; i < 10; i++) {
            FUZZ_CHECK(dpdkr_peer_receive(&s->peer, q, frame, sizeof frame)
                       == 20u + i);
            FUZZ_CHECK(frame[0] == 'A' && frame[1] == i);
        }
        FUZZ_CHECK(!dpdkr_consumer_avail(&s->peer.rx[q], 1));
    }
    check_state(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { data, size };
    struct state s;
    uint8_t first;

    memset(&s, 0, sizeof s);
    first = fuzz_u8(&in);
    if (dpdkr_geometry_init(&s.g, 1 + first % MAX_QUEUES, RING_SIZE,
                            SLOT_SIZE)) {
        abort();
    }
    s.mtu = MAX_MTU;
    s.now = 1000;
    open_port(&s, NULL);
    dpdkr_peer_init(&s.peer, s.mem->base, &s.g);
    if (first & 0x80) {
        attach(&s);
    }

    for (int step = 0; in.left && step < MAX_STEPS; step++) {
        uint8_t op = fuzz_u8(&in);
        uint32_t q = (op >> 5) % s.g.n_queues;
        uint8_t *base = s.mem->base;
        struct dpdkr_ring *ctl;
        uint8_t frame[SLOT_SIZE];
        uint32_t x;

        memset(frame, step, sizeof frame);
        ctl = (op & 0x80 ? s.peer.rx[q].r.ctl : s.peer.tx[q].r.ctl);
        switch (op & 0x1f) {
        case 0:                 /* Writes to the peer's own side. */
            x = fuzz_u8(&in) % (sizeof(struct dpdkr_side) / 4);
            ((uint32_t *) (void *) s.peer.us)[x] = fuzz_u32(&in);
            break;
        case 1:                 /* A small change there. */
            x = fuzz_u8(&in) % (sizeof(struct dpdkr_side) / 4);
            ((uint32_t *) (void *) s.peer.us)[x] += (int8_t) fuzz_u8(&in);
            break;
        case 2:                 /* To the switch's side. */
            x = fuzz_u8(&in) % (sizeof(struct dpdkr_side) / 4);
            ((uint32_t *) (void *) s.peer.them)[x] = fuzz_u32(&in);
            break;
        case 3:                 /* To the constants. */
            x = fuzz_u8(&in) % (offsetof(struct dpdkr_header, side) / 4);
            ((uint32_t *) (void *) s.peer.h)[x] = fuzz_u32(&in);
            break;
        case 4:                 /* To indexes. */
            ctl->prod += (int16_t) fuzz_u16(&in);
            break;
        case 5:
            ctl->cons += (int16_t) fuzz_u16(&in);
            break;
        case 6:
            ctl->prod = fuzz_u32(&in);
            break;
        case 7:
            ctl->cons = fuzz_u32(&in);
            break;
        case 8:                 /* To any word of a control block. */
            x = fuzz_u8(&in) % (sizeof *ctl / 4);
            ((uint32_t *) (void *) ctl)[x] = fuzz_u32(&in);
            break;
        case 9:                 /* To a descriptor. */
            x = fuzz_u8(&in) % RING_SIZE;
            fuzz_get(&in, &s.peer.tx[q].r.descs[x],
                     sizeof(struct dpdkr_desc));
            break;
        case 10:                /* To one that waits. */
            x = fuzz_u8(&in);
            s.peer.tx[q].r.descs[(s.peer.tx[q].prod - x)
                                 % RING_SIZE].len = fuzz_u16(&in);
            break;
        case 11:                /* Anywhere. */
            x = fuzz_u32(&in) % s.g.total_size;
            base[x] = fuzz_u8(&in);
            break;
        case 12: case 13: case 14: /* Sends as it should. */
            x = fuzz_u8(&in) % 40;
            for (uint32_t i = 0; i < x; i++) {
                dpdkr_peer_send(&s.peer, q, frame,
                                (20 + i * step) % (SLOT_SIZE + 1));
            }
            break;
        case 15: case 16:       /* Receives as it should. */
            x = fuzz_u8(&in) % 80;
            while (x-- && dpdkr_peer_receive(&s.peer, q, frame,
                                             sizeof frame)) {
                continue;
            }
            break;
        case 17:
            dpdkr_peer_detach(&s.peer);
            break;
        case 18:
            dpdkr_peer_announce(&s.peer);
            break;
        case 19:
            dpdkr_peer_start(&s.peer);
            break;
        case 20:
            attach(&s);
            break;
        case 21:
            s.peer.us->heartbeat++;
            break;
        case 22: case 23: case 24:
            switch_receive(&s, q, 0);
            break;
        case 25: case 26:
            x = fuzz_u8(&in) % (NETDEV_MAX_BURST + 1);
            switch_send(&s, op & 0x80 ? fuzz_u32(&in) : q, x, fuzz_u16(&in),
                        fuzz_u8(&in), step);
            break;
        case 27: case 28:
            run(&s);
            break;
        case 29:
            s.now += fuzz_u16(&in);
            break;
        case 30:
            x = fuzz_u8(&in);
            if (x & 1) {
                dpdkr_port_set_admin(s.port, x & 2);
            } else {
                s.mtu = MIN(DPDKR_MIN_FRAME + 50 + x, MAX_MTU);
                dpdkr_port_set_mtu(s.port, s.mtu);
            }
            break;
        case 31:
            restart(&s, q & 1);
            break;
        }
        check_state(&s);
    }
    heal(&s);
    dpdkr_port_destroy(s.port, true);
    return 0;
}
