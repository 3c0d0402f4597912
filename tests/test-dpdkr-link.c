/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of direct links, the switch's side: lib/dpdkr-link.c and the rooms
 * around it, with peers that follow orders (dpdkr-link-peer.h).
 *
 * Everybody takes one small step at a time, in an order that is drawn at
 * random ($NFV_SEED), and every frame has a number. */

#include <config.h>

#include "dpdkr-link.h"

#include <stdlib.h>

#include "dp-packet.h"
#include "dpdkr-dir.h"
#include "dpdkr-gate.h"
#include "dpdkr-link-peer.h"
#include "dpdkr-packet.h"
#include "dpdkr-port.h"
#include "nfv-test.h"
#include "random.h"
#include "timeval.h"
#include "util.h"

#define MTU 1500
#define N_PORTS 3

static const struct eth_addr peer_mac = { .ea = { 2, 0, 0, 0, 0, 7 } };

/* A frame: its Ethernet header, and this. */
struct payload {
    uint32_t from, life, queue, number;
};
#define FRAME_LEN (16 + sizeof(struct payload))

struct node {
    char name[8];
    struct dpdkr_port *port;
    struct dpdkr_end *end;
    struct link_peer peer;
    int dst;                    /* Where its frames go, or -1: dropped. */
    bool alive;
    uint32_t life;              /* Times that the peer was started. */

    /* What the peer sent, by queue, and of that, what each other one got. */
    uint32_t n_sent[DPDKR_MAX_QUEUES];
    uint32_t last[N_PORTS][DPDKR_MAX_QUEUES]; /* [from][queue]... */
    uint32_t last_life[N_PORTS][DPDKR_MAX_QUEUES]; /* ...of that life. */
    uint64_t n_received, n_dropped, n_reordered, n_forwarded;
    uint64_t bytes_sent;
};

static struct node nodes[N_PORTS];
static uint32_t n_queues;
static long long int now;

/* Packets that the switch has taken and not put out yet. */
static struct {
    struct dp_packet_batch batch;
    int port;                   /* Where to, or -1. */
    uint32_t queue;
    long long int since;
} held;
static long long int flush_interval; /* In us. */
static long long int now_us;

/* The clock of gates is ours. */
long long int __wrap_time_usec(void);
long long int
__wrap_time_usec(void)
{
    return now_us;
}

static void
start_port(struct node *n)
{
    char *path = in_dir(n->name);
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem;
    char *error = NULL;

    config.n_queues = n_queues;
    if (!CHECK(!dpdkr_mem_open(&config, n->name, NULL, &mem, &error))) {
        printf("# %s\n", error);
        exit(1);
    }
    free(path);
    n->port = dpdkr_port_create(mem, n->name, peer_mac, MTU, true);
    n->end = dpdkr_end_create(n->name);
    dpdkr_end_set_port(n->end, n->port);
}

static void
start(uint32_t n_queues_)
{
    random_set_seed(getenv("NFV_SEED") ? atoi(getenv("NFV_SEED")) : 1);
    n_queues = n_queues_;
    now = time_msec();
    memset(nodes, 0, sizeof nodes);
    held.port = -1;
    dp_packet_batch_init(&held.batch);
    for (int i = 0; i < N_PORTS; i++) {
        snprintf(nodes[i].name, sizeof nodes[i].name, "p%d", i);
        nodes[i].dst = -1;
        start_port(&nodes[i]);
    }
}

static void
attach(struct node *n)
{
    char *path = in_dir(n->name);

    lp_init(&n->peer, n->port->mem->base, &n->port->mem->g, dir);
    CHECK(dpdkr_peer_lock(&n->peer.p, path));
    free(path);
    n->alive = true;
    n->life++;
    lp_announce(&n->peer);
    dpdkr_port_run(n->port, now);
    CHECK(dpdkr_peer_is_acknowledged(&n->peer.p));
    lp_start(&n->peer);
    dpdkr_port_run(n->port, now);
    CHECK(n->port->linked);
}

static void
kill_peer(struct node *n)
{
    CHECK_EQ(n->peer.n_broken, 0);
    dpdkr_peer_die(&n->peer.p);
    for (int j = 0; j < DPDKR_MAX_LINKS; j++) {
        lp_unmap(&n->peer.links[j]);
    }
    n->alive = false;
}

static void
stop(void)
{
    for (int i = 0; i < N_PORTS; i++) {
        dpdkr_end_set_port(nodes[i].end, NULL);
        CHECK_EQ(nodes[i].peer.n_broken, 0);
    }
    /* Nobody is left to answer. */
    for (int i = 0; i < 3; i++) {
        dpdkr_link_run(now);
    }
    for (int i = 0; i < N_PORTS; i++) {
        dpdkr_end_destroy(nodes[i].end);
        dpdkr_peer_die(&nodes[i].peer.p);
        dpdkr_port_destroy(nodes[i].port, true);
        for (int j = 0; j < DPDKR_MAX_LINKS; j++) {
            lp_unmap(&nodes[i].peer.links[j]);
        }
    }
    CHECK_EQ(count_files(), 0);
}

/* ## ----- ## */
/* ## Steps ## */
/* ## ----- ## */

static void
step_send(int i)
{
    struct node *n = &nodes[i];
    uint32_t q = random_range(n_queues);

    for (uint32_t k = n->alive ? random_range(40) : 0; k; k--) {
        uint8_t frame[FRAME_LEN];
        struct payload p = { .from = i, .life = n->life, .queue = q,
                             .number = n->n_sent[q] + 1 };

        memset(frame, 0, sizeof frame);
        memcpy(frame + 16, &p, sizeof p);
        if (!lp_send(&n->peer, q, frame, sizeof frame)) {
            break;
        }
        n->n_sent[q]++;
        n->bytes_sent += sizeof frame;
    }
}

static void
receive(int i, const uint8_t *frame, uint32_t len)
{
    struct node *n = &nodes[i];
    struct payload p;

    REQUIRE(len == FRAME_LEN);
    memcpy(&p, frame + 16, sizeof p);
    REQUIRE(p.from < N_PORTS && p.queue < n_queues);
    n->n_received++;
    if (p.life == n->last_life[p.from][p.queue]) {
        n->n_reordered += p.number <= n->last[p.from][p.queue];
    } else {
        /* What a peer that died has sent may come late, but comes once. */
        n->n_reordered += p.number == n->last[p.from][p.queue];
    }
    n->last[p.from][p.queue] = p.number;
    n->last_life[p.from][p.queue] = p.life;
}

static bool
step_receive(int i)
{
    uint32_t r = random_range(n_queues);
    uint8_t frame[2048];
    uint32_t len;
    bool any = false;

    for (uint32_t k = nodes[i].alive ? random_range(50) : 0; k; k--) {
        len = lp_receive(&nodes[i].peer, r, frame, sizeof frame);
        if (!len) {
            break;
        }
        receive(i, frame, len);
        any = true;
    }
    return any;
}

static void
flush(void)
{
    if (held.port >= 0) {
        nodes[held.port].n_forwarded += held.batch.count;
        dpdkr_port_tx(nodes[held.port].port, held.queue, &held.batch);
        held.port = -1;
        dp_packet_batch_init(&held.batch);
    }
}

/* The thread that polls the ports: takes a burst and sends it where the table
 * says.  Packets leave before the thread polls anything again, or, with a
 * flush interval, when that has passed. */
static bool
step_forward(int i)
{
    uint32_t q = random_range(n_queues);
    struct dp_packet_batch batch;

    dp_packet_batch_init(&batch);
    now_us += 5;
    if (held.port >= 0 && (held.port != nodes[i].dst || held.queue != q
                           || now_us - held.since >= flush_interval)) {
        flush();
    }
    if (nodes[i].dst >= 0) {
        /* Do not lose anything for lack of room, also for notes. */
        struct dpdkr_producer *p = &nodes[nodes[i].dst].port->queues[q].tx;
        uint32_t room = NETDEV_MAX_BURST + N_PORTS * n_queues;

        if (held.port >= 0 || dpdkr_producer_room(p, room) < room) {
            /* Only the gate has something to do. */
            ovs_spin_lock(&nodes[i].port->queues[q].rx_lock);
            if (nodes[i].port->queues[q].gate.state != DPDKR_GATE_OPEN) {
                dpdkr_gate_try_open(nodes[i].port, &nodes[i].port->queues[q],
                                    q);
            }
            ovs_spin_unlock(&nodes[i].port->queues[q].rx_lock);
            return false;
        }
    }
    if (dpdkr_port_rx(nodes[i].port, q, &batch, NULL)) {
        return false;
    }
    if (nodes[i].dst < 0) {
        nodes[i].n_dropped += batch.count;
        dpdkr_packet_delete_batch(&batch);
    } else {
        held.batch = batch;
        held.port = nodes[i].dst;
        held.queue = q;
        held.since = now_us;
        if (!flush_interval) {
            flush();
        }
    }
    return true;
}

static void
step_peer_control(int i)
{
    if (nodes[i].alive) {
        lp_control(&nodes[i].peer);
    }
}

static void
step_control(void)
{
    now++;
    dpdkr_link_run(now);
}

/* Ends the switch and starts the next one, with an empty table. */
static void
restart_switch(void)
{
    flush();
    dpdkr_link_leave(true);
    for (int i = 0; i < N_PORTS; i++) {
        dpdkr_end_set_port(nodes[i].end, NULL);
        dpdkr_end_destroy(nodes[i].end);
        dpdkr_port_destroy(nodes[i].port, false);
    }
    dpdkr_link_leave(false);
    for (int i = 0; i < N_PORTS; i++) {
        start_port(&nodes[i]);
    }
}

/* What every run of the switch does after a while. */
static void
run_ports(void)
{
    for (int i = 0; i < N_PORTS; i++) {
        dpdkr_port_run(nodes[i].port, now);
    }
}

static void
set_wish(int i, int dst, bool direct)
{
    nodes[i].dst = dst;
    dpdkr_end_set_wish(nodes[i].end,
                       dst >= 0 && direct ? nodes[dst].end : NULL, now);
}

static const char *
state_of(int i)
{
    struct dpdkr_link_status s;

    dpdkr_end_get_status(nodes[i].end, &s);
    free(s.peer);
    free(s.error);
    return s.state;
}

/* That port 0 has no link to port 1 though it wants one, and says why. */
static void
check_link_is_refused(void)
{
    struct dpdkr_link_status s;

    set_wish(0, 1, true);
    step_control();
    dpdkr_end_get_status(nodes[0].end, &s);
    CHECK(!strcmp(s.state, "switch"));
    CHECK(s.error != NULL);
    free(s.peer);
    free(s.error);
}

/* Lets everybody go on until nothing moves any more. */
static void
settle(void)
{
    for (int quiet = 0, rounds = 0; quiet < 200 && rounds < 100000;
         rounds++) {
        bool any = false;

        for (int i = 0; i < N_PORTS; i++) {
            step_peer_control(i);
            for (uint32_t q = 0; nodes[i].alive && q < n_queues; q++) {
                lp_follow(&nodes[i].peer, q);
            }
            for (int k = 0; k < 8; k++) {
                any = step_forward(i) || any;
                any = step_receive(i) || any;
            }
        }
        flush();
        step_control();
        quiet = any ? 0 : quiet + 1;
    }
}

static void
check_all(void)
{
    uint64_t sent = 0, got = 0, dropped = 0;

    for (int i = 0; i < N_PORTS; i++) {
        struct node *n = &nodes[i];

        for (uint32_t q = 0; q < n_queues; q++) {
            sent += n->n_sent[q];
        }
        got += n->n_received;
        dropped += n->n_dropped;
        CHECK_EQ(n->n_reordered, 0);
        CHECK_EQ(n->peer.n_broken, 0);
    }
    CHECK_EQ(got + dropped, sent);
}

/* After many deaths nothing is stuck, and not more was lost than was under way
 * when each peer died. */
static void
check_goes_on(uint32_t lives)
{
    uint64_t sent = 0, got = 0, ring = nodes[0].port->mem->g.ring_size;

    for (int i = 0; i < N_PORTS; i++) {
        struct node *n = &nodes[i];

        for (uint32_t q = 0; q < n_queues; q++) {
            sent += n->n_sent[q];
        }
        got += n->n_received + n->n_dropped;
        CHECK_EQ(n->n_reordered, 0);
        CHECK_EQ(n->peer.n_broken, 0);
    }
    printf("# sent %"PRIu64", lost %"PRIu64"\n", sent, sent - got);
    /* Its rings of the port, and those of two links. */
    CHECK(sent - got <= lives * n_queues * (2 + 2 * 2) * ring);

    for (int i = 0; i < N_PORTS; i++) {
        set_wish(i, (i + 1) % N_PORTS, true);
    }
    settle();
    for (int i = 0; i < N_PORTS; i++) {
        uint64_t before = nodes[(i + 1) % N_PORTS].n_received;

        CHECK(!strcmp(state_of(i), "direct"));
        for (int k = 0; k < 20; k++) {
            step_send(i);
            step_receive((i + 1) % N_PORTS);
        }
        settle();
        CHECK(nodes[(i + 1) % N_PORTS].n_received > before);
    }
}

/* The switch's counters of node 'i' say what was sent and received. */
static void
check_counters(int i)
{
    struct node *n = &nodes[i];
    struct dpdkr_port_stats p;
    struct dpdkr_link_stats l;
    uint64_t sent = 0;

    memset(&p, 0, sizeof p);
    dpdkr_port_add_stats(n->port, &p);
    dpdkr_end_get_stats(n->end, &l);
    for (uint32_t q = 0; q < n_queues; q++) {
        sent += n->n_sent[q];
    }
    CHECK_EQ(p.rx_packets + l.rx_packets, sent);
    CHECK_EQ(p.rx_bytes + l.rx_bytes, n->bytes_sent);
    CHECK_EQ(p.tx_packets + l.tx_packets, n->n_received);
    CHECK_EQ(l.lost, 0);
}

/* ## ----- ## */
/* ## Tests ## */
/* ## ----- ## */

static void
test_one_way(void)
{
    start(1);
    for (int i = 0; i < N_PORTS; i++) {
        attach(&nodes[i]);
    }
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

/* Everybody sends to random others, directly or not, and changes its mind. */
static void
random_walk(uint32_t n_queues_, int n_rounds, int crashes, int restarts)
{
    uint64_t handovers = 0;
    uint32_t lives = 0;

    start(n_queues_);
    for (int i = 0; i < N_PORTS; i++) {
        attach(&nodes[i]);
    }
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

    start(1);
    for (int i = 0; i < N_PORTS; i++) {
        attach(&nodes[i]);
    }
    set_wish(0, 1, true);
    settle();
    while (nodes[0].n_sent[0] < 10) {
        step_send(0);
    }
    settle();
    uint64_t n = nodes[0].n_sent[0];
    while (nodes[0].n_sent[0] < n + 10) {
        step_send(0);
    }
    set_wish(0, 2, false);
    uint32_t on_link = nodes[0].n_sent[0];
    while (nodes[0].n_sent[0] < on_link + 10) {
        step_send(0);
    }
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
    set_wish(0, 1, true);
    settle();
    CHECK(!strcmp(state_of(0), "direct"));
    step_send(0);
    settle();
    check_all();
    stop();
}

/* A peer that goes on sending over a link that it was told to leave loses
 * it. */
static void
test_defiance(void)
{
    struct lp_link *l;

    start(1);
    for (int i = 0; i < N_PORTS; i++) {
        attach(&nodes[i]);
    }
    set_wish(0, 1, true);
    settle();
    while (!nodes[0].n_sent[0]) {
        step_send(0);
    }
    settle();
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
    check_link_is_refused();
    stop();
}

/* Counters that go backwards end the link. */
static void
test_counters(void)
{
    struct lp_link *l;

    start(1);
    for (int i = 0; i < N_PORTS; i++) {
        attach(&nodes[i]);
    }
    set_wish(0, 1, true);
    settle();
    while (nodes[0].n_sent[0] < 10) {
        step_send(0);
    }
    settle();
    check_counters(0);
    l = nodes[0].peer.out[0];
    l->tx[0].r.ctl->packets = 1;
    step_control();
    settle();
    check_link_is_refused();
    check_counters(0);
    stop();
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "one-way", test_one_way },
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
