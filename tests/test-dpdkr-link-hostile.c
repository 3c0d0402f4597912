/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of direct links, the switch's side, with peers that do what they can
 * to harm it and others. */

#include <config.h>

#define N_PORTS 6

#include "dpdkr-link-lab.h"
#include "dpdkr-link-private.h"

/* Ends the switch, and starts the next one with the ports of the nodes for
 * which 'first' has a bit, and only after its patience with them with the
 * others. */
static void
restart_in_parts(unsigned int first)
{
    dpdkr_link_leave(true);
    for (int i = 0; i < N_PORTS; i++) {
        dpdkr_end_set_port(nodes[i].end, NULL);
        dpdkr_end_destroy(nodes[i].end);
        dpdkr_port_destroy(nodes[i].port, false);
        nodes[i].port = NULL;
    }
    dpdkr_link_leave(false);
    for (int part = 0; part < 2; part++) {
        for (int i = 0; i < N_PORTS; i++) {
            if (((first >> i) & 1) != part) {
                start_port(&nodes[i]);
            }
            if (nodes[i].port) {
                dpdkr_port_run(nodes[i].port, now);
            }
        }
        now = time_msec();
        dpdkr_link_run(now);
        if (!part) {
            now += 2 * DPDKR_ADOPT_MS;
            dpdkr_link_run(now);
        }
    }
}

/* Writes into entry 'entry' of node 'i' what that of node 'of' says. */
static void
forge_offer(int i, uint32_t entry, int of, const uint8_t *id)
{
    struct dpdkr_link_offer *o = &nodes[i].peer.c->offer[entry];

    *o = nodes[of].port->orders.offer[0];
    if (id) {
        memcpy(o->id, id, sizeof o->id);
    }
}

/* Peers that name the link of others where the switch wrote what it had
 * offered them get neither the link nor have it removed, or changed. */
static void
test_adopt_others(void)
{
    static const uint8_t id[16] = { 1, 2, 3 };
    struct stat before, after;
    char *path;

    start_all(1);
    go_direct(2, 3, 10);
    path = in_dir(nodes[2].port->orders.offer[0].file);
    CHECK(!stat(path, &before));

    /* They cannot know its id; if they try one, let it be the same one. */
    forge_offer(0, 0, 2, id);
    forge_offer(1, 0, 3, id);
    restart_in_parts(1 << 0 | 1 << 1);
    CHECK(!stat(path, &after));
    CHECK_EQ(before.st_ino, after.st_ino);
    CHECK_EQ(before.st_mode, after.st_mode);
    CHECK(!nodes[0].port->orders.offer[0].file[0]);

    set_wish(2, 3, true);
    CHECK(!strcmp(state_of(2), "direct") || !strcmp(state_of(2), "to-direct"));
    CHECK(nodes[2].end->tx && nodes[2].end->tx == nodes[3].end->links[0]);
    send_more(2, 10);
    settle();
    CHECK(!strcmp(state_of(2), "direct"));
    check_all();
    free(path);
    stop();
}

/* Whoever names a file that belongs to nobody's link does not have it
 * removed. */
static void
test_remove_others(void)
{
    static const char *const names[] = {
        "ovs-link-", "ovs-link-00", "p5", "../p5", "ovs-link-0/../../p5",
    };
    char *path = in_dir("ovs-link-00");

    start_all(1);
    write_file(path, "something", 9);
    for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
        struct dpdkr_link_offer *o = &nodes[0].peer.c->offer[0];

        o->seq++;
        ovs_strlcpy(o->file, names[k], sizeof o->file);
        restart_in_parts(1 << 0);
        CHECK(!nodes[0].port->orders.offer[0].file[0]);
        CHECK_EQ(count_files(), N_PORTS + 1);
        CHECK_EQ(dpdkr_mem_check(nodes[5].port->mem), DPDKR_MEM_OK);
    }
    CHECK(!unlink(path));
    free(path);
    stop();
}

/* A switch that ends when a link is about to go leaves nothing of it behind,
 * and one that ends before both peers have the link finds it again. */
static void
test_restart_between(void)
{
    start_all(1);
    go_direct(0, 1, 10);
    set_wish(0, -1, false);
    CHECK(lp_follow(&nodes[0].peer, 0));
    step_receive(1);
    step_forward(0);
    for (int ms = 0; ms < 4000 && nodes[0].port->orders.offer[0].file[0];
         ms++) {
        step_control();
        step_receive(1);
        step_forward(0);
    }
    CHECK(!nodes[0].port->orders.offer[0].file[0]);
    CHECK_EQ(count_files(), N_PORTS + 1);
    restart_in_parts(1 << 0);
    CHECK_EQ(count_files(), N_PORTS);
    settle();

    set_wish(0, 1, true);
    step_control();
    step_peer_control(0);
    CHECK(nodes[0].port->orders.offer[0].file[0]);
    restart_in_parts(0);
    set_wish(0, 1, true);
    send_more(0, 10);
    step_control();
    REQUIRE(nodes[0].end->links[0] != NULL);
    CHECK_EQ(nodes[0].end->links[0]->state, LINK_OFFERED);
    settle();
    CHECK(!strcmp(state_of(0), "direct"));
    check_all();
    stop();
}

/* A link that is taken up and still wanted is not left in between. */
static void
test_restart_direct(void)
{
    struct dpdkr_link_stats stats;

    start_all(1);
    go_direct(0, 1, 10);
    restart_switch();
    set_wish(0, 1, true);
    run_ports();
    step_control();
    step_control();
    CHECK(!strcmp(state_of(0), "direct"));
    go_direct(0, 1, 10);
    CHECK_EQ(nodes[0].port->orders.number, 1);
    dpdkr_end_get_stats(nodes[0].end, &stats);
    CHECK_EQ(stats.handovers, 0);
    check_all();
    stop();
}

/* When both peers of a link have been started anew before the next switch took
 * it up, nobody knows it any more. */
static void
restart_all(bool before)
{
    start_all(1);
    go_direct(0, 1, 10);
    CHECK_EQ(count_files(), N_PORTS + 1);
    kill_peer(&nodes[0]);
    kill_peer(&nodes[1]);
    if (before) {
        attach(&nodes[0]);
        attach(&nodes[1]);
    }
    restart_switch__();
    for (int i = 0; i < 2; i++) {
        if (!before) {
            attach(&nodes[i]);
        }
    }
    run_ports();
    now = time_msec();
    dpdkr_link_run(now);
    CHECK_EQ(count_files(), N_PORTS);
    go_direct(0, 1, 10);
    stop();
}

static void
test_restart_all(void)
{
    restart_all(false);
}

/* Nor when they have been just before the last one ended. */
static void
test_restart_all_before(void)
{
    restart_all(true);
}

/* Fills the ring of port 'i' with packets, as much as it takes. */
static void
flood(int i)
{
    struct dpdkr_port_queue *q = &nodes[i].port->queues[0];
    uint64_t full = q->tx_full;

    while (q->tx_full == full) {
        struct dp_packet_batch batch;

        dp_packet_batch_init(&batch);
        dp_packet_batch_add(&batch, dpdkr_packet_new(64));
        dpdkr_port_tx(nodes[i].port, 0, &batch);
    }
}

/* Has what node 'i' sends ordered to go to node 1 directly, and returns when
 * the switch has come to its note. */
static void
start_handover(int i)
{
    set_wish(i, 1, true);
    for (int k = 0; k < 5; k++) {
        step_control();
        step_peer_control(i);
        step_peer_control(1);
    }
    CHECK(lp_follow(&nodes[i].peer, 0));
    CHECK_EQ(nodes[i].peer.follows[0], 1);
    struct dp_packet_batch batch;
    dp_packet_batch_init(&batch);
    CHECK(dpdkr_port_rx(nodes[i].port, 0, &batch, NULL));
    CHECK(dpdkr_port_rx(nodes[i].port, 0, &batch, NULL));
}

/* A peer that keeps the receiver's ring full does not keep others from handing
 * over to a link with that one. */
static void
test_flood(void)
{
    start_all(1);
    flood(1);
    start_handover(0);
    CHECK_EQ(nodes[0].port->queues[0].gate.state, DPDKR_GATE_CLOSED);
    flood(1);
    dpdkr_consumer_start(&nodes[1].peer.p.rx[0], true);
    stop();
}

/* One that breaks its ring is found out by a note, too. */
static void
test_broken_by_note(void)
{
    struct dpdkr_port *port;

    start_all(1);
    flood(1);
    start_handover(0);
    port = nodes[1].port;
    nodes[1].peer.p.rx[0].r.ctl->cons -= 7;
    start_handover(2);
    CHECK_EQ(nodes[2].port->queues[0].gate.state, DPDKR_GATE_HOLD);
    CHECK(!dpdkr_port_is_up(port));
    dpdkr_port_run(port, now);
    CHECK_EQ(port->events.cut_off[DPDKR_CUT_INDEX], 1);
    /* That ends the link, and what holds up the sender. */
    step_control();
    CHECK_EQ(nodes[2].port->queues[0].gate.state, DPDKR_GATE_OPEN);
    stop();
}

/* Peers that are idle, or read nothing, when their links are not wanted any
 * more do not use up the entries of the other end. */
static void
test_entries(void)
{
    start_all(1);
    for (int i = 1; i <= DPDKR_MAX_LINKS; i++) {
        go_direct(i, 0, 1);
    }
    for (int i = 1; i <= DPDKR_MAX_LINKS; i++) {
        struct dpdkr_ring *ctl = nodes[i].peer.out[0]->tx[0].r.ctl;

        set_wish(i, -1, false);
        if (i % 2) {
            /* As if there were a frame that nobody takes. */
            ctl->cons--;
        }
    }
    for (int ms = 0; ms < 3000; ms++) {
        step_control();
    }
    for (int i = 1; i <= DPDKR_MAX_LINKS; i++) {
        CHECK(nodes[0].end->links[i - 1] != NULL);
    }
    nodes[1].dst = 0;
    go_direct(5, 0, 10);
    nodes[2].dst = nodes[3].dst = nodes[4].dst = 0;
    for (int i = 1; i <= DPDKR_MAX_LINKS; i++) {
        send_more(i, 1);
    }
    settle();
    check_all();
    stop();
}

/* Nor does a peer that comes and goes. */
static void
test_comes_and_goes(void)
{
    start_all(1);
    for (int k = 0; k < 20; k++) {
        set_wish(0, 1, true);
        set_wish(1, 0, true);
        for (int ms = 0; ms < 5; ms++) {
            step_control();
            if (!k) {
                step_peer_control(0);
            }
            step_peer_control(1);
        }
        /* Port 0's peer does not look after its links any more. */
        CHECK_EQ(count_files(), N_PORTS + 1);
        kill_peer(&nodes[1]);
        attach(&nodes[1]);
    }
    for (int ms = 0; ms < 3 * DPDKR_LINK_PATIENCE_MS; ms++) {
        step_control();
        step_peer_control(0);
        step_peer_control(1);
    }
    go_direct(0, 1, 10);
    check_all();
    stop();
}

/* A peer that never does what it is waited for does not have the switch look
 * all the time. */
static void
test_waiting(void)
{
    start_all(1);
    go_direct(0, 1, 1);
    set_wish(0, -1, false);
    nodes[0].peer.c->noted[0] += 2;
    set_wish(0, 1, true);
    for (int ms = 0; ms < 100; ms++) {
        step_control();
    }
    CHECK(strcmp(state_of(0), "direct"));
    CHECK(dpdkr_link_run(now) - now > 5);
    now += 2000;
    CHECK(dpdkr_link_run(now) - now >= 50);
    nodes[0].peer.c->noted[0] -= 2;
    settle();
    CHECK(!strcmp(state_of(0), "direct"));
    stop();
}

/* A link that is broken as soon as it is there is tried less and less, from
 * both ends. */
static void
test_backoff(void)
{
    long long int waited[3];

    start_all(1);
    go_direct(0, 1, 5);
    go_direct(1, 0, 5);
    for (int k = 0; k < ARRAY_SIZE(waited); k++) {
        long long int since;

        nodes[0].peer.out[0]->tx[0].r.ctl->packets = 1;
        step_control();
        check_link_is_refused(0, 1);
        check_link_is_refused(1, 0);
        since = now;
        while (strcmp(state_of(0), "direct") && now - since < 60000) {
            step_control();
            for (int i = 0; i < 2; i++) {
                step_peer_control(i);
                lp_follow(&nodes[i].peer, 0);
                step_forward(i);
                step_receive(i);
            }
        }
        waited[k] = now - since;
        send_more(0, 5);
        settle();
    }
    printf("# waited %lld, %lld, %lld ms\n", waited[0], waited[1], waited[2]);
    CHECK(waited[0] >= 990 && waited[0] < 2000);
    CHECK(waited[1] >= 1990 && waited[1] < 4000);
    CHECK(waited[2] >= 3990 && waited[2] < 8000);
    stop();
}

/* What the peer of a port sends is "direct" when it is. */
static void
test_state(void)
{
    start_all(1);
    send_more(0, 5);
    set_wish(0, 1, true);
    for (int ms = 0; ms < 100; ms++) {
        step_control();
        step_peer_control(0);
        step_peer_control(1);
    }
    /* It has been ordered, but frames are in the port. */
    CHECK(nodes[0].port->orders.number & 1);
    CHECK(!strcmp(state_of(0), "to-direct"));
    send_more(0, 5);
    CHECK(nodes[0].peer.out[0] != NULL);
    step_control();
    CHECK(!strcmp(state_of(0), "to-direct"));
    step_forward(0);
    step_forward(0);
    step_control();
    step_control();
    CHECK(!strcmp(state_of(0), "direct"));

    /* One that is idle: its next frame goes over the link. */
    set_wish(2, 3, true);
    for (int ms = 0; ms < 10; ms++) {
        step_control();
        step_peer_control(2);
        step_peer_control(3);
    }
    CHECK(!strcmp(state_of(2), "direct"));
    CHECK(!nodes[2].peer.out[0]);
    send_more(2, 1);
    CHECK(nodes[2].peer.out[0] != NULL);
    settle();
    check_all();
    stop();
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "adopt-others", test_adopt_others },
        { "remove-others", test_remove_others },
        { "restart-between", test_restart_between },
        { "restart-direct", test_restart_direct },
        { "restart-all", test_restart_all },
        { "restart-all-before", test_restart_all_before },
        { "flood", test_flood },
        { "broken-by-note", test_broken_by_note },
        { "entries", test_entries },
        { "comes-and-goes", test_comes_and_goes },
        { "waiting", test_waiting },
        { "backoff", test_backoff },
        { "state", test_state },
    };

    nfv_test_before = make_dir;
    nfv_test_after = remove_dir;
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
