/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of the switch's side of dpdkr memory, lib/dpdkr-port.c, with a peer in
 * the same process that does what the test tells it, right or wrong. */

#include <config.h>

#include "dpdkr-port.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "dp-packet.h"
#include "dpdkr-mem.h"
#include "dpdkr-packet.h"
#include "dpdkr-peer.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "util.h"

#define MTU 1500
#define MAX_FRAME (MTU + DPDKR_L2_OVERHEAD)

static const struct eth_addr peer_mac = { .ea = { 2, 0, 0, 0, 0, 7 } };

/* A port without a file, and its peer, which is alive by its heartbeat. */
struct bench {
    struct dpdkr_geometry g;
    struct dpdkr_port *port;
    struct dpdkr_mem *mem;      /* Owned by 'port'. */
    struct dpdkr_peer peer;
    long long int now;
};

static void
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

static bool
bench_run(struct bench *b)
{
    b->now += 50;
    return dpdkr_port_run(b->port, b->now);
}

/* Attaches the peer as it should be. */
static bool
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

static void
bench_close(struct bench *b)
{
    dpdkr_peer_die(&b->peer);
    dpdkr_port_destroy(b->port, true);
}

/* Frames say who sent them, on which queue, and as which. */
static uint32_t
make_frame(uint8_t *frame, char from, uint32_t queue, uint32_t number)
{
    uint32_t len = 60 + (number * 37 + queue) % (MTU - 100);

    memset(frame, (uint8_t) number, len);
    frame[14] = from;
    memcpy(frame + 16, &queue, sizeof queue);
    memcpy(frame + 20, &number, sizeof number);
    return len;
}

static bool
is_frame(const void *data, uint32_t len, char from, uint32_t queue,
         uint32_t number)
{
    uint8_t want[2048];

    return (len == make_frame(want, from, queue, number)
            && !memcmp(data, want, len));
}

static bool
peer_send(struct bench *b, uint32_t queue, uint32_t number)
{
    uint8_t frame[2048];
    uint32_t len = make_frame(frame, 'B', queue, number);

    return dpdkr_peer_send(&b->peer, queue, frame, len);
}

static bool
peer_receives(struct bench *b, uint32_t queue, uint32_t number)
{
    uint8_t frame[2048];
    uint32_t len = dpdkr_peer_receive(&b->peer, queue, frame, sizeof frame);

    return is_frame(frame, len, 'A', queue, number);
}

static struct dp_packet *
make_packet(uint32_t len, const void *data)
{
    struct dp_packet *packet = dp_packet_new_with_headroom(len, 64);

    dp_packet_put(packet, data, len);
    return packet;
}

/* Sends frames 'number' to 'number + n - 1' to the peer. */
static void
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
static uint32_t
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
static void
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

static struct dpdkr_port_stats
get_stats(struct bench *b)
{
    struct dpdkr_port_stats stats;

    memset(&stats, 0, sizeof stats);
    dpdkr_port_add_stats(b->port, &stats);
    return stats;
}

/* ## --------- ## */
/* ## Attaching ## */
/* ## --------- ## */

static void
test_attach(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    CHECK_EQ(b.peer.them->state, DPDKR_UP);
    CHECK_EQ(b.peer.them->version, DPDKR_ABI_VERSION);
    CHECK_EQ(b.peer.them->mtu, MTU);
    CHECK_EQ(b.peer.them->n_rxq, 1);
    CHECK_EQ(b.peer.them->pid, getpid());
    CHECK(!memcmp(b.peer.them->mac, &peer_mac, 6));
    CHECK(!strcmp(b.peer.them->name, "p1"));
    bench_run(&b);
    CHECK(!dpdkr_port_is_up(b.port));
    CHECK(!b.port->alive);

    /* Each step in order, and nothing flows before the last. */
    dpdkr_peer_announce(&b.peer);
    CHECK(!dpdkr_peer_is_acknowledged(&b.peer));
    bench_run(&b);
    CHECK(dpdkr_peer_is_acknowledged(&b.peer));
    CHECK(b.port->alive);
    CHECK(!dpdkr_port_is_up(b.port));
    CHECK_EQ(b.port->events.attached, 1);
    bench_run(&b);
    CHECK(!dpdkr_port_is_up(b.port));
    dpdkr_peer_start(&b.peer);
    switch_send(&b, 0, 0, 3);
    CHECK_EQ(get_stats(&b).tx_no_peer, 3);
    CHECK(bench_run(&b));
    CHECK(dpdkr_port_is_up(b.port));
    CHECK_EQ(dpdkr_consumer_avail(&b.peer.rx[0], 1), 0);

    uint64_t heartbeat = b.peer.them->heartbeat;
    b.peer.us->heartbeat++;
    CHECK(!bench_run(&b));
    CHECK(b.peer.them->heartbeat != heartbeat);
    check_traffic(&b, 0, 40);
    struct dpdkr_port_stats stats = get_stats(&b);
    CHECK_EQ(stats.rx_packets, 40);
    CHECK_EQ(stats.tx_packets, 40);
    CHECK_EQ(stats.rx_bytes, stats.tx_bytes);
    CHECK_EQ(b.peer.rx[0].r.ctl->packets, 40);
    CHECK_EQ(b.peer.rx[0].r.ctl->bytes, stats.tx_bytes);
    bench_close(&b);
}

/* It goes by every way there is. */
static void
test_detach(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    REQUIRE(bench_attach(&b));

    /* In good order. */
    dpdkr_peer_detach(&b.peer);
    CHECK(bench_run(&b));
    CHECK(!dpdkr_port_is_up(b.port));
    switch_send(&b, 0, 0, 2);
    CHECK_EQ(get_stats(&b).tx_no_peer, 2);
    REQUIRE(bench_attach(&b));
    check_traffic(&b, 0, 10);

    /* Without a word. */
    b.now += DPDKR_DEAD_MS - 100;
    dpdkr_port_run(b.port, b.now);
    CHECK(dpdkr_port_is_up(b.port));
    b.now += 200;
    CHECK(dpdkr_port_run(b.port, b.now));
    CHECK(!dpdkr_port_is_up(b.port));
    CHECK(!b.port->alive);

    /* It was only slow, and goes on. */
    b.peer.us->heartbeat++;
    CHECK(bench_run(&b));
    CHECK(dpdkr_port_is_up(b.port));
    check_traffic(&b, 0, 10);

    /* Attached anew over itself: what it had not read is skipped, what the
     * switch had not read is kept. */
    switch_send(&b, 0, 0, 5);
    CHECK(peer_send(&b, 0, 70));
    dpdkr_peer_announce(&b.peer);
    bench_run(&b);
    CHECK(!dpdkr_port_is_up(b.port));
    dpdkr_peer_start(&b.peer);
    bench_run(&b);
    CHECK_EQ(b.peer.rx[0].r.ctl->cons_skipped, 5);
    CHECK_EQ(switch_receives(&b, 0, 70), 1);
    check_traffic(&b, 0, 10);
    bench_close(&b);
}

/* The lock of the file is a peer's life where there is a file. */
static void
test_lock(void)
{
    char *path = xasprintf("/dev/shm/test-dpdkr-port.%d", (int) getpid());
    struct dpdkr_mem_config config = {
        .path = path, .n_queues = 1, .ring_size = 64, .slot_size = 2048,
        .uid = (uid_t) -1, .gid = (gid_t) -1, .mode = 0600,
    };
    char *error = NULL;
    struct bench b;

    memset(&b, 0, sizeof b);
    int retval = dpdkr_mem_open(&config, "p1", NULL, &b.mem, &error);
    CHECK_EQ(retval, 0);
    if (retval) {
        free(error);
        free(path);
        return;
    }
    b.g = b.mem->g;
    b.port = dpdkr_port_create(b.mem, "p1", peer_mac, MTU, true);
    dpdkr_peer_init(&b.peer, b.mem->base, &b.g);

    /* Without the lock, nobody is there, whatever is written. */
    dpdkr_peer_announce(&b.peer);
    b.peer.us->flags = 0;
    bench_run(&b);
    CHECK(!b.port->alive);
    CHECK(!dpdkr_peer_is_acknowledged(&b.peer));

    CHECK(dpdkr_peer_lock(&b.peer, path));
    CHECK(bench_attach(&b));
    check_traffic(&b, 0, 10);
    b.now += 1000000;
    CHECK(!bench_run(&b));
    CHECK(dpdkr_port_is_up(b.port));
    dpdkr_peer_die(&b.peer);
    CHECK(bench_run(&b));
    CHECK(!dpdkr_port_is_up(b.port));
    CHECK(dpdkr_peer_lock(&b.peer, path));
    CHECK(bench_attach(&b));
    check_traffic(&b, 0, 10);

    /* The port is removed, which its peer can see, in a mapping of its own. */
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    bench_close(&b);
    struct dpdkr_header h;
    CHECK_EQ(pread(fd, &h, sizeof h, 0), sizeof h);
    CHECK_EQ(h.side[DPDKR_SIDE_A].state, DPDKR_RETIRED);
    CHECK(access(path, F_OK) && errno == ENOENT);
    close(fd);
    free(path);
}

static void
test_version(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    dpdkr_peer_announce(&b.peer);
    b.peer.us->version = DPDKR_VERSION(DPDKR_ABI_MAJOR + 1, 0);
    for (int i = 0; i < 5; i++) {
        bench_run(&b);
        CHECK(!dpdkr_peer_is_acknowledged(&b.peer));
        CHECK_EQ(b.port->events.refused, 1);
    }
    /* Also when it does not care. */
    dpdkr_peer_start(&b.peer);
    bench_run(&b);
    CHECK(!dpdkr_port_is_up(b.port));
    dpdkr_peer_announce(&b.peer);
    b.peer.us->version = 0;
    bench_run(&b);
    CHECK_EQ(b.port->events.refused, 2);
    CHECK_EQ(b.port->events.attached, 0);

    /* A newer minor version is fine. */
    dpdkr_peer_announce(&b.peer);
    b.peer.us->version = DPDKR_VERSION(DPDKR_ABI_MAJOR, 99);
    bench_run(&b);
    CHECK(dpdkr_peer_is_acknowledged(&b.peer));
    dpdkr_peer_start(&b.peer);
    bench_run(&b);
    check_traffic(&b, 0, 10);
    bench_close(&b);
}

/* A peer that attaches without end gets what it asks for, and is a peer as any
 * other when it stops. */
static void
test_epoch_flood(void)
{
    struct bench b;

    bench_open(&b, 2, 64);
    for (int i = 0; i < 10000; i++) {
        dpdkr_peer_announce(&b.peer);
        b.peer.us->epoch += i * 2654435761u;
        if (i % 3) {
            b.peer.us->state = DPDKR_UP;
        }
        bench_run(&b);
        switch_send(&b, 0, 0, 1);
        switch_receives(&b, 1, 0);
    }
    CHECK(b.port->events.attached >= 9999);
    REQUIRE(bench_attach(&b));
    check_traffic(&b, 0, 20);

    /* Epoch 0 is nobody's. */
    b.peer.us->epoch = 0;
    bench_run(&b);
    CHECK(!dpdkr_port_is_up(b.port));
    bench_close(&b);
}

static void
test_admin(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    REQUIRE(bench_attach(&b));
    dpdkr_port_set_admin(b.port, false);
    CHECK(!dpdkr_port_is_up(b.port));
    CHECK_EQ(b.peer.them->state, DPDKR_ADMIN_DOWN);
    bench_run(&b);
    CHECK(!b.port->linked);
    switch_send(&b, 0, 0, 1);
    CHECK_EQ(get_stats(&b).tx_no_peer, 1);

    /* A peer that comes meanwhile is accepted, and waits. */
    dpdkr_peer_announce(&b.peer);
    bench_run(&b);
    CHECK(dpdkr_peer_is_acknowledged(&b.peer));
    dpdkr_peer_start(&b.peer);
    bench_run(&b);
    CHECK(!dpdkr_port_is_up(b.port));
    dpdkr_port_set_admin(b.port, true);
    CHECK_EQ(b.peer.them->state, DPDKR_UP);
    bench_run(&b);
    CHECK(dpdkr_port_is_up(b.port));
    check_traffic(&b, 0, 10);

    /* Down and up with nothing between. */
    dpdkr_port_set_admin(b.port, false);
    dpdkr_port_set_admin(b.port, true);
    bench_run(&b);
    CHECK(dpdkr_port_is_up(b.port));
    check_traffic(&b, 10, 10);
    bench_close(&b);
}

/* What the switch says in shared memory does not depend on what is there. */
static void
test_own_side(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    REQUIRE(bench_attach(&b));
    struct dpdkr_side good = *b.peer.them;
    memset(b.peer.them, 0xa5, sizeof *b.peer.them);
    b.peer.us->heartbeat++;
    bench_run(&b);
    good.heartbeat = b.peer.them->heartbeat;
    CHECK(b.peer.them->heartbeat != 0xa5a5a5a5a5a5a5a5ULL);
    CHECK_EQ(b.peer.them->state, good.state);
    CHECK_EQ(b.peer.them->epoch, good.epoch);
    CHECK_EQ(b.peer.them->ack, good.ack);
    CHECK_EQ(b.peer.them->cut, 0);
    CHECK_EQ(b.peer.them->mtu, good.mtu);
    CHECK(!memcmp(b.peer.them->mac, good.mac, 6));
    CHECK(!memcmp(b.peer.them->name, good.name, sizeof good.name));
    CHECK(dpdkr_port_is_up(b.port));
    check_traffic(&b, 0, 10);

    dpdkr_port_set_mtu(b.port, 1400);
    CHECK_EQ(b.peer.them->mtu, 1400);
    bench_close(&b);
}

/* ## ------- ## */
/* ## Packets ## */
/* ## ------- ## */

static void
test_many_queues(void)
{
    struct bench b;

    bench_open(&b, DPDKR_MAX_QUEUES, 64);
    REQUIRE(bench_attach(&b));
    check_traffic(&b, 0, 40);
    CHECK_EQ(get_stats(&b).rx_packets, 40 * DPDKR_MAX_QUEUES);
    CHECK_EQ(get_stats(&b).tx_packets, 40 * DPDKR_MAX_QUEUES);
    bench_close(&b);

    /* A peer that reads fewer gets everything on those, in order. */
    bench_open(&b, 4, 64);
    b.peer.n_queues = 3;
    REQUIRE(bench_attach(&b));
    for (uint32_t q = 0; q < 8; q++) {
        uint8_t frame[2048];
        uint32_t len = make_frame(frame, 'A', q % 3, q);
        struct dp_packet_batch batch;

        dp_packet_batch_init_packet(&batch, make_packet(len, frame));
        dpdkr_port_tx(b.port, q, &batch);
    }
    for (uint32_t q = 0; q < 8; q++) {
        CHECK(peer_receives(&b, q % 3, q));
    }
    CHECK_EQ(dpdkr_consumer_avail(&b.peer.rx[3], 1), 0);
    bench_close(&b);

    /* One that claims more, or none. */
    static const uint32_t claims[] = { 0, 5, UINT32_MAX };
    for (int i = 0; i < ARRAY_SIZE(claims); i++) {
        bench_open(&b, 4, 64);
        b.peer.n_queues = claims[i];
        REQUIRE(bench_attach(&b));
        uint32_t n;
        atomic_read(&b.port->peer_n_rxq, &n);
        CHECK_EQ(n, claims[i] ? 4 : 1);
        atomic_read(&b.port->peer_n_txq, &n);
        CHECK_EQ(n, claims[i] ? 4 : 1);
        for (uint32_t q = 0; q < 100; q++) {
            uint8_t frame[2048];
            uint32_t len = make_frame(frame, 'A', q, q);
            struct dp_packet_batch batch;

            dp_packet_batch_init_packet(&batch, make_packet(len, frame));
            dpdkr_port_tx(b.port, UINT32_MAX - q, &batch);
        }
        bench_close(&b);
    }
}

/* Indexes run over the end of 32 bits in the middle of traffic. */
static void
test_wrap_around(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    dpdkr_port_destroy(b.port, false);
    b.mem = dpdkr_mem_anonymous(&b.g);
    dpdkr_peer_init(&b.peer, b.mem->base, &b.g);
    struct dpdkr_ring *ab = b.peer.rx[0].r.ctl, *ba = b.peer.tx[0].r.ctl;
    ab->prod = ab->cons = UINT32_MAX - 100;
    ba->prod = ba->cons = UINT32_MAX - 333;
    b.port = dpdkr_port_create(b.mem, "p1", peer_mac, MTU, true);
    REQUIRE(bench_attach(&b));
    for (uint32_t i = 0; i < 40; i++) {
        check_traffic(&b, i * 64, 1 + (i * 29) % 64);
    }
    CHECK(ab->prod < 10000);
    CHECK(ba->prod < 10000);
    CHECK_EQ(b.port->events.cut_off[DPDKR_CUT_INDEX], 0);
    bench_close(&b);
}

static void
test_full(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    REQUIRE(bench_attach(&b));
    switch_send(&b, 0, 0, 64 + 10);
    struct dpdkr_port_stats stats = get_stats(&b);
    CHECK_EQ(stats.tx_packets, 64);
    CHECK_EQ(stats.tx_full, 10);
    CHECK_EQ(b.peer.rx[0].r.ctl->drop_full, 10);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(peer_receives(&b, 0, i));
    }
    switch_send(&b, 0, 64, 5);
    stats = get_stats(&b);
    CHECK_EQ(stats.tx_packets, 64 + 3);
    CHECK_EQ(stats.tx_full, 10 + 2);
    for (uint32_t i = 3; i < 64 + 3; i++) {
        CHECK(peer_receives(&b, 0, i));
    }

    /* The other way, in bursts of the datapath's size. */
    for (uint32_t i = 0; i < 64; i++) {
        CHECK(peer_send(&b, 0, i));
    }
    CHECK(!peer_send(&b, 0, 64));
    struct dp_packet_batch batch;
    int qfill = -1;
    dp_packet_batch_init(&batch);
    CHECK_EQ(dpdkr_port_rx(b.port, 0, &batch, &qfill), 0);
    CHECK_EQ(batch.count, NETDEV_MAX_BURST);
    CHECK_EQ(qfill, 64 - NETDEV_MAX_BURST);
    dpdkr_packet_delete_batch(&batch);
    CHECK_EQ(switch_receives(&b, 0, NETDEV_MAX_BURST), 64 - NETDEV_MAX_BURST);
    CHECK_EQ(switch_receives(&b, 0, 64), 0);
    bench_close(&b);
}

static void
test_sizes(void)
{
    static const struct {
        uint32_t len;
        enum { TAKEN, RUNT, OVERSIZE } what;
    } cases[] = {
        { 0, RUNT }, { 1, RUNT }, { 13, RUNT }, { 14, TAKEN }, { 60, TAKEN },
        { MAX_FRAME, TAKEN }, { MAX_FRAME + 1, OVERSIZE }, { 2048, OVERSIZE },
    };
    uint8_t frame[2048];
    struct bench b;

    memset(frame, 0x55, sizeof frame);
    bench_open(&b, 1, 64);
    REQUIRE(bench_attach(&b));
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        struct dpdkr_port_stats old = get_stats(&b), new;
        uint32_t len = cases[i].len;
        struct dp_packet_batch batch;

        /* Towards the switch, in the middle of others. */
        CHECK(peer_send(&b, 0, 1));
        CHECK(dpdkr_peer_send(&b.peer, 0, frame, len));
        CHECK(peer_send(&b, 0, 2));
        dp_packet_batch_init(&batch);
        CHECK_EQ(dpdkr_port_rx(b.port, 0, &batch, NULL), 0);
        CHECK_EQ(batch.count, 2 + (cases[i].what == TAKEN));
        CHECK(is_frame(dp_packet_data(batch.packets[0]),
                       dp_packet_size(batch.packets[0]), 'B', 0, 1));
        struct dp_packet *last = batch.packets[batch.count - 1];
        CHECK(is_frame(dp_packet_data(last), dp_packet_size(last), 'B', 0,
                       2));
        if (cases[i].what == TAKEN) {
            CHECK_EQ(dp_packet_size(batch.packets[1]), len);
            CHECK(!memcmp(dp_packet_data(batch.packets[1]), frame, len));
        }
        dpdkr_packet_delete_batch(&batch);
        new = get_stats(&b);
        CHECK_EQ(new.rx_runts - old.rx_runts, cases[i].what == RUNT);
        CHECK_EQ(new.rx_oversize - old.rx_oversize,
                 cases[i].what == OVERSIZE);
        CHECK_EQ(b.peer.tx[0].r.ctl->cons_runts, new.rx_runts);

        /* Towards the peer. */
        dp_packet_batch_init_packet(&batch, make_packet(len, frame));
        dpdkr_port_tx(b.port, 0, &batch);
        struct dpdkr_port_stats sent = get_stats(&b);
        CHECK_EQ(sent.tx_packets - new.tx_packets, cases[i].what == TAKEN);
        CHECK_EQ(sent.tx_size - new.tx_size, cases[i].what != TAKEN);
        CHECK_EQ(b.peer.rx[0].r.ctl->drop_size, sent.tx_size);
        if (cases[i].what == TAKEN) {
            uint8_t got[2048];

            CHECK_EQ(dpdkr_peer_receive(&b.peer, 0, got, sizeof got), len);
            CHECK(!memcmp(got, frame, len));
        }
        CHECK_EQ(dpdkr_consumer_avail(&b.peer.rx[0], 1), 0);
    }
    CHECK(dpdkr_port_is_up(b.port));

    /* Only those in the middle of a batch that do not fit are dropped. */
    struct dp_packet_batch batch;
    dp_packet_batch_init(&batch);
    for (uint32_t i = 0; i < 20; i++) {
        if (i % 2) {
            dp_packet_batch_add(&batch, make_packet(5, frame));
        } else {
            uint8_t data[2048];
            uint32_t len = make_frame(data, 'A', 0, i);

            dp_packet_batch_add(&batch, make_packet(len, data));
        }
    }
    dpdkr_port_tx(b.port, 0, &batch);
    for (uint32_t i = 0; i < 20; i += 2) {
        CHECK(peer_receives(&b, 0, i));
    }

    /* The MTU decides, not the slot. */
    dpdkr_port_set_mtu(b.port, 500);
    dp_packet_batch_init_packet(&batch, make_packet(600, frame));
    uint64_t tx_size = get_stats(&b).tx_size;
    dpdkr_port_tx(b.port, 0, &batch);
    CHECK_EQ(get_stats(&b).tx_size, tx_size + 1);
    bench_close(&b);
}

/* A truncated packet (output:port,max_len=...) arrives truncated. */
static void
test_cutlen(void)
{
    struct dp_packet_batch batch;
    uint8_t frame[2048], got[2048];
    struct bench b;

    bench_open(&b, 1, 64);
    REQUIRE(bench_attach(&b));
    make_frame(frame, 'A', 0, 1);
    struct dp_packet *packet = make_packet(1000, frame);
    dp_packet_set_cutlen(packet, 100);
    dp_packet_batch_init_packet(&batch, packet);
    batch.trunc = true;
    dpdkr_port_tx(b.port, 0, &batch);
    CHECK_EQ(dpdkr_peer_receive(&b.peer, 0, got, sizeof got), 100);
    CHECK(!memcmp(got, frame, 100));

    /* The packet that was recycled does not remember. */
    CHECK(peer_send(&b, 0, 5));
    CHECK_EQ(switch_receives(&b, 0, 5), 1);
    bench_close(&b);
}

/* A packet that is not Ethernet has no place in the memory. */
static void
test_packet_type(void)
{
    struct dp_packet_batch batch;
    uint8_t frame[2048];
    struct bench b;

    bench_open(&b, 1, 64);
    REQUIRE(bench_attach(&b));
    uint32_t len = make_frame(frame, 'A', 0, 1);
    struct dp_packet *packet = make_packet(len, frame);
    packet->packet_type = htonl(PT_IPV4);
    dp_packet_batch_init_packet(&batch, packet);
    dpdkr_port_tx(b.port, 0, &batch);
    CHECK_EQ(get_stats(&b).tx_size, 1);
    CHECK_EQ(dpdkr_consumer_avail(&b.peer.rx[0], 1), 0);
    bench_close(&b);
}

/* ## ----------- ## */
/* ## Cutting off ## */
/* ## ----------- ## */

/* Ways to break the format.  Each returns the reason for which the peer has to
 * be cut off. */

static uint32_t
break_prod_ahead(struct bench *b)
{
    b->peer.tx[0].r.ctl->prod += b->g.ring_size + 1;
    return DPDKR_CUT_INDEX;
}

static uint32_t
break_prod_back(struct bench *b)
{
    b->peer.tx[0].r.ctl->prod--;
    return DPDKR_CUT_INDEX;
}

static uint32_t
break_cons_ahead(struct bench *b)
{
    b->peer.rx[0].r.ctl->cons = b->peer.rx[0].r.ctl->prod + 1000;
    switch_send(b, 0, 0, b->g.ring_size + 1);
    return DPDKR_CUT_INDEX;
}

static uint32_t
break_cons_back(struct bench *b)
{
    b->peer.rx[0].r.ctl->cons = b->port->queues[0].tx.cons - 1;
    switch_send(b, 0, 0, b->g.ring_size + 1);
    return DPDKR_CUT_INDEX;
}

static uint32_t
break_len(struct bench *b)
{
    CHECK(peer_send(b, 0, 0));
    CHECK(peer_send(b, 0, 1));
    b->peer.tx[0].r.descs[(b->peer.tx[0].prod - 1)
                          & b->peer.tx[0].r.mask].len = b->g.slot_size + 1;
    return DPDKR_CUT_LENGTH;
}

static uint32_t
break_flags(struct bench *b)
{
    CHECK(peer_send(b, 0, 0));
    b->peer.tx[0].r.descs[(b->peer.tx[0].prod - 1)
                          & b->peer.tx[0].r.mask].flags = 0x4000;
    return DPDKR_CUT_FLAGS;
}

static uint32_t
break_header(struct bench *b)
{
    b->peer.h->ring_size = 1 << 30;
    return DPDKR_CUT_HEADER;
}

static uint32_t
break_magic(struct bench *b)
{
    b->peer.h->magic = 0;
    return DPDKR_CUT_HEADER;
}

static void
test_cut_off(void)
{
    static uint32_t (*const ways[])(struct bench *) = {
        break_prod_ahead, break_prod_back, break_cons_ahead, break_cons_back,
        break_len, break_flags, break_header, break_magic,
    };

    for (int i = 0; i < ARRAY_SIZE(ways); i++) {
        struct bench b;

        bench_open(&b, 2, 64);
        REQUIRE(bench_attach(&b));
        check_traffic(&b, 0, 10);
        uint32_t reason = ways[i](&b);
        /* Found when the rings are used next, or at the latest here. */
        struct dp_packet_batch batch;
        dp_packet_batch_init(&batch);
        dpdkr_port_rx(b.port, 0, &batch, NULL);
        CHECK(batch.count <= 1);
        dpdkr_packet_delete_batch(&batch);
        bench_run(&b);
        CHECK(!dpdkr_port_is_up(b.port));
        CHECK(!b.port->linked);
        CHECK_EQ(b.port->events.cut_off[reason], 1);
        CHECK_EQ(b.peer.them->cut, b.peer.us->epoch);
        CHECK_EQ(b.peer.them->cut_reason, reason);
        CHECK_EQ(b.peer.h->magic, DPDKR_MAGIC);
        CHECK_EQ(b.peer.h->ring_size, 64);

        /* That is final for this epoch, whatever it writes. */
        uint64_t packets = get_stats(&b).rx_packets;
        dpdkr_producer_start(&b.peer.tx[1]);
        CHECK(peer_send(&b, 1, 0));
        for (int j = 0; j < 5; j++) {
            b.peer.us->heartbeat++;
            b.peer.us->state = j % 2 ? DPDKR_UP : DPDKR_ATTACHING;
            bench_run(&b);
            switch_receives(&b, 1, 0);
        }
        CHECK_EQ(get_stats(&b).rx_packets, packets);
        CHECK(!dpdkr_port_is_up(b.port));

        /* Until it attaches anew. */
        REQUIRE(bench_attach(&b));
        CHECK_EQ(b.peer.them->cut, 0);
        CHECK_EQ(b.peer.them->cut_reason, DPDKR_CUT_NONE);
        check_traffic(&b, 0, 10);
        bench_close(&b);
    }
}

/* The header of a memory that nobody is attached to is put right too, and that
 * is nobody's fault. */
static void
test_repair(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    b.peer.h->total_size = 1;
    CHECK(bench_run(&b));
    CHECK_EQ(b.port->events.repaired, 1);
    CHECK_EQ(b.port->events.cut_off[DPDKR_CUT_HEADER], 0);
    CHECK_EQ(b.peer.h->total_size, b.g.total_size);
    REQUIRE(bench_attach(&b));
    check_traffic(&b, 0, 10);
    bench_close(&b);
}

/* A report of what an earlier peer did does not hit the next one. */
static void
test_late_report(void)
{
    struct bench b;

    bench_open(&b, 1, 64);
    REQUIRE(bench_attach(&b));
    break_prod_ahead(&b);
    switch_receives(&b, 0, 0);
    CHECK(!dpdkr_port_is_up(b.port));

    /* It attaches anew before the switch has looked. */
    dpdkr_peer_announce(&b.peer);
    bench_run(&b);
    CHECK(dpdkr_peer_is_acknowledged(&b.peer));
    dpdkr_peer_start(&b.peer);
    bench_run(&b);
    CHECK(dpdkr_port_is_up(b.port));
    check_traffic(&b, 0, 10);
    bench_close(&b);
}

/* ## ------- ## */
/* ## Restart ## */
/* ## ------- ## */

/* The switch ends and another one finds the memory, with frames under way in
 * both directions and a peer that carries on without any step of its own. */
static void
test_restart(void)
{
    char *path = xasprintf("/dev/shm/test-dpdkr-port.%d", (int) getpid());
    struct dpdkr_mem_config config = {
        .path = path, .n_queues = 2, .ring_size = 64, .slot_size = 2048,
        .uid = (uid_t) -1, .gid = (gid_t) -1, .mode = 0600,
    };
    uint32_t sent = 0, received = 0, back_sent = 0, back_received = 0;
    uint32_t epoch = 0;
    struct bench b;

    memset(&b, 0, sizeof b);
    void *peer_base = NULL;
    int fd = -1;
    for (int life = 0; life < 30; life++) {
        char *error = NULL;

        REQUIRE(!dpdkr_mem_open(&config, "p1", NULL, &b.mem, &error));
        CHECK_EQ(b.mem->adopted, life > 0);
        b.g = b.mem->g;
        b.port = dpdkr_port_create(b.mem, "p1", peer_mac, MTU, true);
        if (!life) {
            fd = open(path, O_RDWR);
            peer_base = mmap(NULL, b.g.total_size, PROT_READ | PROT_WRITE,
                             MAP_SHARED, fd, 0);
            REQUIRE(peer_base != MAP_FAILED);
            dpdkr_peer_init(&b.peer, peer_base, &b.g);
            REQUIRE(dpdkr_peer_lock(&b.peer, path));
            REQUIRE(bench_attach(&b));
        } else {
            CHECK(b.peer.them->epoch != epoch);
            CHECK(dpdkr_peer_is_acknowledged(&b.peer));
            bench_run(&b);
            CHECK(dpdkr_port_is_up(b.port));
        }
        epoch = b.peer.them->epoch;

        for (int i = 0; i < 10; i++) {
            for (int j = 0; j < 7 && peer_send(&b, 1, sent); j++) {
                sent++;
            }
            if (i % 3 == 1) {
                received += switch_receives(&b, 1, received);
            }
            uint64_t before = get_stats(&b).tx_packets;
            switch_send(&b, 1, back_sent, 5);
            back_sent += get_stats(&b).tx_packets - before;
            for (int j = 0; j < 5 + life % 3; j++) {
                if (!dpdkr_consumer_avail(&b.peer.rx[1], 1)) {
                    break;
                }
                CHECK(peer_receives(&b, 1, back_received));
                back_received++;
            }
        }
        CHECK(sent > received);

        /* Half of the lives end in good order.  The others end with what a
         * killed process leaves: nothing is written any more. */
        struct dpdkr_header before = *b.peer.h;
        dpdkr_port_destroy(b.port, false);
        if (life % 2) {
            b.peer.h->side[DPDKR_SIDE_A] = before.side[DPDKR_SIDE_A];
        }
        /* The peer does not notice and sends on. */
        if (peer_send(&b, 1, sent)) {
            sent++;
        }
    }
    char *error = NULL;
    REQUIRE(!dpdkr_mem_open(&config, "p1", NULL, &b.mem, &error));
    b.port = dpdkr_port_create(b.mem, "p1", peer_mac, MTU, true);
    bench_run(&b);
    for (uint32_t n; (n = switch_receives(&b, 1, received)); ) {
        received += n;
    }
    while (dpdkr_consumer_avail(&b.peer.rx[1], 1)) {
        CHECK(peer_receives(&b, 1, back_received));
        back_received++;
    }
    printf("# %u frames in, %u out\n", sent, back_sent);
    CHECK_EQ(received, sent);
    CHECK_EQ(back_received, back_sent);
    CHECK(sent > 500 && back_sent > 500);
    CHECK_EQ(b.peer.us->epoch, 1);
    munmap(peer_base, b.g.total_size);
    close(fd);
    bench_close(&b);
    free(path);
}

/* A switch that restarts keeps a peer cut off that it had cut off. */
static void
test_restart_cut_off(void)
{
    char *path = xasprintf("/dev/shm/test-dpdkr-port.%d", (int) getpid());
    struct dpdkr_mem_config config = {
        .path = path, .n_queues = 1, .ring_size = 64, .slot_size = 2048,
        .uid = (uid_t) -1, .gid = (gid_t) -1, .mode = 0600,
    };
    char *error = NULL;
    struct bench b;

    memset(&b, 0, sizeof b);
    REQUIRE(!dpdkr_mem_open(&config, "p1", NULL, &b.mem, &error));
    b.g = b.mem->g;
    b.port = dpdkr_port_create(b.mem, "p1", peer_mac, MTU, true);
    dpdkr_peer_init(&b.peer, b.mem->base, &b.g);
    REQUIRE(dpdkr_peer_lock(&b.peer, path));
    REQUIRE(bench_attach(&b));
    break_prod_ahead(&b);
    switch_receives(&b, 0, 0);
    bench_run(&b);
    CHECK_EQ(b.peer.them->cut, b.peer.us->epoch);
    dpdkr_port_destroy(b.port, false);

    REQUIRE(!dpdkr_mem_open(&config, "p1", NULL, &b.mem, &error));
    b.port = dpdkr_port_create(b.mem, "p1", peer_mac, MTU, true);
    int fd = b.peer.fd;
    dpdkr_peer_init(&b.peer, b.mem->base, &b.g);
    b.peer.fd = fd;
    bench_run(&b);
    bench_run(&b);
    CHECK(!dpdkr_port_is_up(b.port));
    CHECK_EQ(b.peer.them->cut, b.peer.us->epoch);
    REQUIRE(bench_attach(&b));
    check_traffic(&b, 0, 10);
    bench_close(&b);
    free(path);
}

/* ## ------- ## */
/* ## Threads ## */
/* ## ------- ## */

static bool stop_threads;
static uint64_t n_thread_rounds;

static void *
rx_tx_thread(void *b_)
{
    struct bench *b = b_;

    while (!__atomic_load_n(&stop_threads, __ATOMIC_ACQUIRE)) {
        for (uint32_t q = 0; q < 2; q++) {
            struct dp_packet_batch batch;
            struct dp_packet *packet;

            dp_packet_batch_init(&batch);
            if (!dpdkr_port_rx(b->port, q, &batch, NULL)) {
                DP_PACKET_BATCH_FOR_EACH (i, packet, &batch) {
                    CHECK(dp_packet_size(packet) >= DPDKR_MIN_FRAME);
                    CHECK(dp_packet_size(packet) <= MAX_FRAME);
                }
                dpdkr_port_tx(b->port, q, &batch);
            } else {
                sched_yield();
            }
        }
        __atomic_add_fetch(&n_thread_rounds, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void
wait_thread_rounds(void)
{
    uint64_t n = __atomic_load_n(&n_thread_rounds, __ATOMIC_ACQUIRE) + 4;

    while (__atomic_load_n(&n_thread_rounds, __ATOMIC_ACQUIRE) < n) {
        sched_yield();
    }
}

/* Datapath threads go on while the peer comes and goes, breaks everything it
 * can and is cut off, and while the port goes down and up. */
static void
test_threads(void)
{
    pthread_t threads[2];
    uint32_t random = 4711;
    struct bench b;
    uint64_t n_up = 0;

    bench_open(&b, 2, 64);
    stop_threads = false;
    for (int i = 0; i < 2; i++) {
        REQUIRE(!pthread_create(&threads[i], NULL, rx_tx_thread, &b));
    }
    for (int i = 0; i < (NFV_TEST_SANITIZED ? 1000 : 3000); i++) {
        dpdkr_peer_announce(&b.peer);
        bench_run(&b);
        dpdkr_peer_start(&b.peer);
        bench_run(&b);
        n_up += dpdkr_port_is_up(b.port);
        for (int j = 0; j < 50; j++) {
            peer_send(&b, j % 2, j);
        }
        random = random * 1103515245 + 12345;
        switch (random >> 16 & 15) {
        case 0:
            b.peer.tx[1].r.ctl->prod = random;
            break;
        case 1:
            b.peer.rx[0].r.ctl->cons = random;
            break;
        case 2:
            b.peer.tx[0].r.descs[random & 63].len = random;
            break;
        case 3:
            b.peer.h->slot_size = random;
            break;
        case 4:
            dpdkr_peer_detach(&b.peer);
            break;
        case 5:
            b.now += 10 * DPDKR_DEAD_MS;
            break;
        case 6:
            dpdkr_port_set_admin(b.port, false);
            bench_run(&b);
            dpdkr_port_set_admin(b.port, true);
            break;
        default:
            for (int q = 0; q < 2; q++) {
                uint8_t frame[2048];

                while (dpdkr_peer_receive(&b.peer, q, frame, sizeof frame)) {
                    continue;
                }
            }
            break;
        }
        wait_thread_rounds();
        bench_run(&b);
    }
    __atomic_store_n(&stop_threads, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    struct dpdkr_port_stats stats = get_stats(&b);
    printf("# up %llu times, cut off %llu/%llu/%llu/%llu times, "
           "%llu packets in, %llu out\n", (unsigned long long int) n_up,
           (unsigned long long int) b.port->events.cut_off[DPDKR_CUT_INDEX],
           (unsigned long long int) b.port->events.cut_off[DPDKR_CUT_LENGTH],
           (unsigned long long int) b.port->events.cut_off[DPDKR_CUT_FLAGS],
           (unsigned long long int) b.port->events.cut_off[DPDKR_CUT_HEADER],
           (unsigned long long int) stats.rx_packets,
           (unsigned long long int) stats.tx_packets);
    CHECK(n_up > 0);
    CHECK(stats.rx_packets > 0);
    CHECK(b.port->events.cut_off[DPDKR_CUT_INDEX] > 0);
    CHECK(b.port->events.cut_off[DPDKR_CUT_LENGTH] > 0);
    CHECK(b.port->events.cut_off[DPDKR_CUT_HEADER] > 0);
    REQUIRE(bench_attach(&b));
    bench_close(&b);
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "attach", test_attach },
        { "detach", test_detach },
        { "lock", test_lock },
        { "version", test_version },
        { "epoch-flood", test_epoch_flood },
        { "admin", test_admin },
        { "own-side", test_own_side },
        { "many-queues", test_many_queues },
        { "wrap-around", test_wrap_around },
        { "full", test_full },
        { "sizes", test_sizes },
        { "cutlen", test_cutlen },
        { "packet-type", test_packet_type },
        { "cut-off", test_cut_off },
        { "repair", test_repair },
        { "late-report", test_late_report },
        { "restart", test_restart },
        { "restart-cut-off", test_restart_cut_off },
        { "threads", test_threads },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
