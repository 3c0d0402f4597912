/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of what a peer can do to a port, lib/dpdkr-port.c, when it does not
 * keep to the format. */

#include <config.h>

#include "dpdkr-port.h"

#include <pthread.h>
#include <sched.h>

#include "dp-packet.h"
#include "dpdkr-bench.h"
#include "dpdkr-packet.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "util.h"

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
        { "cut-off", test_cut_off },
        { "repair", test_repair },
        { "late-report", test_late_report },
        { "threads", test_threads },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
