/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_LINK_LAB_H
#define DPDKR_LINK_LAB_H 1

/* N_PORTS ports with peers that follow orders (dpdkr-link-peer.h), a switch
 * that forwards between them, and a clock, for tests of direct links.
 *
 * Everybody takes one small step at a time, in an order that the test decides
 * or that is drawn at random ($NFV_SEED), and every frame has a number.
 *
 * The program is to be linked with --wrap=time_usec. */

#include <stdlib.h>

#include "dp-packet.h"
#include "dpdkr-dir.h"
#include "dpdkr-gate.h"
#include "dpdkr-link.h"
#include "dpdkr-link-peer.h"
#include "dpdkr-packet.h"
#include "dpdkr-port.h"
#include "nfv-test.h"
#include "random.h"
#include "timeval.h"
#include "util.h"

#define MTU 1500
#ifndef N_PORTS
#define N_PORTS 3
#endif

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
    void *base;                 /* The peer's own mapping, or NULL. */
    size_t size;
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

static inline void
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

static inline void
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

static inline void
unmap(struct node *n)
{
    if (n->base) {
        munmap(n->base, n->size);
        n->base = NULL;
    }
}

static inline void
attach(struct node *n)
{
    char *path = in_dir(n->name);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    unmap(n);
    n->size = n->port->mem->g.total_size;
    n->base = mmap(NULL, n->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (n->base == MAP_FAILED) {
        ovs_fatal(errno, "%s: mmap", path);
    }
    lp_init(&n->peer, n->base, &n->port->mem->g, dir);
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

/* start(), with a peer for each port. */
static inline void
start_all(uint32_t n_queues_)
{
    start(n_queues_);
    for (int i = 0; i < N_PORTS; i++) {
        attach(&nodes[i]);
    }
}

static inline void
kill_peer(struct node *n)
{
    CHECK_EQ(n->peer.n_broken, 0);
    dpdkr_peer_die(&n->peer.p);
    for (int j = 0; j < DPDKR_MAX_LINKS; j++) {
        lp_unmap(&n->peer.links[j]);
    }
    n->alive = false;
}

static inline void
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
        unmap(&nodes[i]);
    }
    CHECK_EQ(count_files(), 0);
}

/* ## ----- ## */
/* ## Steps ## */
/* ## ----- ## */

static inline void
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

static inline void
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

static inline bool
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

static inline void
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
static inline bool
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

static inline void
step_peer_control(int i)
{
    if (nodes[i].alive) {
        lp_control(&nodes[i].peer);
    }
}

static inline void
step_control(void)
{
    now++;
    dpdkr_link_run(now);
}

/* Ends the switch as it is and starts the next one, with an empty table. */
static inline void
restart_switch__(void)
{
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

static inline void
restart_switch(void)
{
    flush();
    restart_switch__();
}

/* What every run of the switch does after a while. */
static inline void
run_ports(void)
{
    for (int i = 0; i < N_PORTS; i++) {
        dpdkr_port_run(nodes[i].port, now);
    }
}

static inline void
set_wish(int i, int dst, bool direct)
{
    nodes[i].dst = dst;
    dpdkr_end_set_wish(nodes[i].end,
                       dst >= 0 && direct ? nodes[dst].end : NULL, now);
}

static inline const char *
state_of(int i)
{
    struct dpdkr_link_status s;

    dpdkr_end_get_status(nodes[i].end, &s);
    free(s.peer);
    free(s.error);
    return s.state;
}

/* That port 'i' has no link to port 'dst' though it wants one, and says
 * why. */
static inline void
check_link_is_refused(int i, int dst)
{
    struct dpdkr_link_status s;

    set_wish(i, dst, true);
    step_control();
    dpdkr_end_get_status(nodes[i].end, &s);
    CHECK(!strcmp(s.state, "switch"));
    CHECK(s.error != NULL);
    free(s.peer);
    free(s.error);
}

/* Lets everybody go on until nothing moves any more. */
static inline void
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

/* Has node 'i' send, on queue 0, until it has sent 'n' frames more. */
static inline void
send_more(int i, uint32_t n)
{
    uint32_t end = nodes[i].n_sent[0] + n;

    while (nodes[i].n_sent[0] < end) {
        step_send(i);
    }
}

/* Has what node 'i' sends go to node 'dst' directly, and the first 'n' frames
 * or more. */
static inline void
go_direct(int i, int dst, uint32_t n)
{
    set_wish(i, dst, true);
    settle();
    CHECK(!strcmp(state_of(i), "direct"));
    send_more(i, n);
    settle();
}

static inline void
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
static inline void
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
static inline void
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

#endif /* tests/dpdkr-link-lab.h */
