/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of the switch's side of dpdkr memory, lib/dpdkr-port.c: attaching, and
 * packets both ways. */

#include <config.h>

#include "dpdkr-port.h"

#include "dp-packet.h"
#include "dpdkr-bench.h"
#include "dpdkr-mem.h"
#include "dpdkr-packet.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "util.h"

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

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "attach", test_attach },
        { "detach", test_detach },
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
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
