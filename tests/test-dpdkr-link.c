/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of direct links, the switch's side: lib/dpdkr-link.c and the rooms
 * around it. */

#include <config.h>

#include "dpdkr-link-lab.h"

/* ## ----- ## */
/* ## Tests ## */
/* ## ----- ## */

static void
test_one_way(void)
{
    start_all(1);
    settle();
    CHECK_EQ(count_files(), N_PORTS);
    set_wish(0, 1, true);
    CHECK(!strcmp(state_of(0), "to-direct"));
    settle();
    CHECK_EQ(count_files(), N_PORTS + 1);
    CHECK(!strcmp(state_of(0), "direct"));

    /* Nothing of it crosses the switch. */
    uint64_t before = nodes[1].n_forwarded;
    for (int k = 0; k < 100; k++) {
        step_send(0);
        step_forward(0);
        step_receive(1);
    }
    settle();
    CHECK(nodes[0].n_sent[0] > 500);
    CHECK_EQ(nodes[1].n_forwarded, before);
    check_all();
    for (int i = 0; i < N_PORTS; i++) {
        check_counters(i);
    }

    set_wish(0, 1, false);
    step_send(0);
    settle();
    CHECK(!strcmp(state_of(0), "switch"));
    check_all();
    check_counters(0);

    /* The link goes after a while. */
    for (int k = 0; k < 3000; k++) {
        step_control();
        for (int i = 0; i < N_PORTS; i++) {
            lp_control(&nodes[i].peer);
        }
    }
    CHECK_EQ(count_files(), N_PORTS);
    stop();
}

/* A sender that has nothing to send is to be called direct, too: at first, and
 * when it was ordered back and to the link again meanwhile. */
static void
test_idle_sender(void)
{
    start_all(2);
    settle();
    for (int round = 0; round < 3; round++) {
        set_wish(0, 1, true);
        for (int k = 0; k < 100 && strcmp(state_of(0), "direct"); k++) {
            step_control();
            for (int i = 0; i < N_PORTS; i++) {
                lp_control(&nodes[i].peer);
            }
        }
        CHECK(!strcmp(state_of(0), "direct"));
        if (!round) {
            step_send(0);
            settle();
        }
        set_wish(0, 1, false);
        step_control();
    }
    check_all();
    stop();
}

/* Everybody sends to random others, directly or not, and changes its mind. */
static void
random_walk(uint32_t n_queues_, int n_rounds, int crashes, int restarts)
{
    uint64_t handovers = 0;
    uint32_t lives = 0;

    start_all(n_queues_);
    for (int round = 0; round < n_rounds; round++) {
        int i = random_range(N_PORTS);

        switch (random_range(64)) {
        case 0:
            set_wish(i, (i + 1 + random_range(N_PORTS - 1)) % N_PORTS,
                     random_range(4) != 0);
            break;
        case 1: case 2: case 3: case 4: case 5:
            step_peer_control(i);
            break;
        case 11:
            if (restarts && !random_range(restarts)) {
                restart_switch();
            }
            run_ports();
            break;
        case 10:
            if (crashes && !random_range(crashes)) {
                if (nodes[i].alive) {
                    kill_peer(&nodes[i]);
                    if (random_range(2)) {
                        dpdkr_port_run(nodes[i].port, now);
                    }
                } else {
                    attach(&nodes[i]);
                }
            }
            break;
        case 6: case 7: case 8: case 9:
            step_control();
            break;
        default:
            switch (random_range(3)) {
            case 0:
                step_send(i);
                break;
            case 1:
                step_forward(i);
                break;
            default:
                step_receive(i);
                break;
            }
        }
    }
    for (int i = 0; i < N_PORTS; i++) {
        if (!nodes[i].alive) {
            attach(&nodes[i]);
        }
    }
    run_ports();
    settle();
    for (int i = 0; i < N_PORTS; i++) {
        struct dpdkr_link_stats l;

        dpdkr_end_get_stats(nodes[i].end, &l);
        handovers += l.handovers;
        lives += nodes[i].life;
        if (!crashes) {
            CHECK_EQ(l.lost, 0);
        }
        if (!crashes && !restarts) {
            check_counters(i);
        }
    }
    printf("# %"PRIu64" handovers to links, %"PRIu32" peers\n",
           handovers, lives);
    CHECK(restarts || handovers > n_rounds / 1000);
    if (!crashes) {
        check_all();
    } else {
        check_goes_on(lives);
    }
    stop();
}

static void
test_random(void)
{
    random_walk(1, 3000000, 0, 0);
}

static void
test_random_queues(void)
{
    random_walk(4, 3000000, 0, 0);
}

/* With packets that stay in the switch's output batches for a while. */
static void
test_flush_interval(void)
{
    flush_interval = 100;
    dpdkr_gate_set_flush_interval(flush_interval);
    random_walk(2, 1000000, 0, 0);
    flush_interval = 0;
    dpdkr_gate_set_flush_interval(flush_interval);
}

/* With peers that die at any point. */
static void
test_crashes(void)
{
    random_walk(2, 3000000, 4, 0);
}

/* With a switch that ends, and is started again, at any point. */
static void
test_restarts(void)
{
    random_walk(1, 1000000, 0, 20);
}

static void
test_restarts_queues(void)
{
    random_walk(3, 1000000, 0, 20);
}

/* A receiver that does not empty the link holds up nobody for long, and gets
 * what is in there when it goes on. */
static void
test_late(void)
{
    struct dpdkr_link_stats stats;

    start_all(1);
    go_direct(0, 1, 10);
    send_more(0, 10);
    set_wish(0, 2, false);
    uint32_t on_link = nodes[0].n_sent[0];
    send_more(0, 10);
    uint32_t sent = nodes[0].n_sent[0];
    for (int ms = 0; ms < DPDKR_LINK_PATIENCE_MS - 10; ms++) {
        step_control();
        step_forward(0);
        step_receive(2);
        CHECK_EQ(nodes[2].n_received, 0);
    }
    CHECK(!strcmp(state_of(0), "to-switch"));
    for (int ms = 0; ms < 20; ms++) {
        step_control();
        step_forward(0);
        step_receive(2);
    }
    CHECK_EQ(nodes[2].n_received, sent - on_link);
    dpdkr_end_get_stats(nodes[0].end, &stats);
    CHECK_EQ(stats.late, 1);
    CHECK_EQ(stats.lost, 0);
    settle();
    check_all();
    CHECK_EQ(nodes[1].n_received, on_link);

    /* And it can be direct again. */
    go_direct(0, 1, 1);
    check_all();
    stop();
}

/* A peer that goes on sending over a link that it was told to leave loses
 * it. */
static void
test_defiance(void)
{
    struct lp_link *l;

    start_all(1);
    go_direct(0, 1, 1);
    set_wish(0, 2, false);
    l = nodes[0].peer.out[0];
    for (int ms = 0; ms < 2 * DPDKR_LINK_PATIENCE_MS; ms++) {
        step_control();
        if (dpdkr_producer_room(&l->tx[0], 1)) {
            dpdkr_producer_set(&l->tx[0], 0, 60);
            dpdkr_producer_publish(&l->tx[0], 1);
        }
        uint8_t frame[2048];
        lp_receive(&nodes[1].peer, 0, frame, sizeof frame);
        step_peer_control(1);
        if (!nodes[1].peer.links[0].mapped) {
            break;
        }
    }
    CHECK(!nodes[1].peer.links[0].mapped);
    step_peer_control(0);
    settle();
    CHECK(!nodes[0].peer.links[0].mapped);
    CHECK_EQ(count_files(), N_PORTS);
    check_link_is_refused(0, 1);
    stop();
}

/* Counters that go backwards end the link. */
static void
test_counters(void)
{
    struct lp_link *l;

    start_all(1);
    go_direct(0, 1, 10);
    check_counters(0);
    l = nodes[0].peer.out[0];
    l->tx[0].r.ctl->packets = 1;
    step_control();
    settle();
    check_link_is_refused(0, 1);
    check_counters(0);
    stop();
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "one-way", test_one_way },
        { "idle-sender", test_idle_sender },
        { "random", test_random },
        { "random-queues", test_random_queues },
        { "flush-interval", test_flush_interval },
        { "crashes", test_crashes },
        { "restarts", test_restarts },
        { "restarts-queues", test_restarts_queues },
        { "late", test_late },
        { "defiance", test_defiance },
        { "counters", test_counters },
    };

    nfv_test_before = make_dir;
    nfv_test_after = remove_dir;
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
