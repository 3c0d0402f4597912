/* SPDX-License-Identifier: Apache-2.0 */

/* The tests of direct links in libdpdkr that have threads, time or a hostile
 * peer. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "dpdkr-pair.h"

#include <pthread.h>
#include <sched.h>

#define MAX_QUEUES 4
#define N_FLOWS 8
#define BURST 16

/* Begins each frame. */
struct payload {
    uint32_t queue;             /* Of the sender... */
    uint32_t flow;              /* ...which numbers each flow by itself. */
    uint64_t seq;
    uint64_t check;
};

static uint64_t
payload_check(const struct payload *p)
{
    return ((p->seq * 0x9e3779b97f4a7c15) ^ p->flow * UINT64_C(0x85ebca6b)
            ^ (uint64_t) p->queue << 56);
}

/* A flow keeps to one ring of the receiver's port. */
static uint32_t
flow_ring(const void *frame, uint32_t n_rxq)
{
    struct payload p;

    memcpy(&p, frame, sizeof p);
    return p.flow % n_rxq;
}

/* What is known of the frames that go one way. */
struct stream {
    pthread_mutex_t mutex;
    uint64_t sent[MAX_QUEUES][N_FLOWS];
    uint64_t received[MAX_QUEUES][N_FLOWS];
    uint64_t n_sent, n_received;
    uint64_t n_wrong;           /* Lost, doubled, overtaken or spoiled. */
};

struct worker {
    pthread_t thread;
    struct dpdkr *d;
    struct stream *stream;
    uint32_t queue, n_queues;
    bool zero_copy, wait;
    uint32_t seed;
};

static bool stop_sending, stop_receiving;

static uint32_t
next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void
make_payload(struct stream *s, uint32_t queue, uint32_t flow, uint32_t ahead,
             void *data)
{
    struct payload p = {
        .queue = queue,
        .flow = flow,
        .seq = s->sent[queue][flow] + ahead,
    };

    p.check = payload_check(&p);
    memcpy(data, &p, sizeof p);
}

static void
count_sent(struct stream *s, uint32_t queue, const uint32_t flows[],
           uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        s->sent[queue][flows[i]]++;
    }
    __atomic_store_n(&s->n_sent, s->n_sent + n, __ATOMIC_RELAXED);
}

/* Sends bursts on all queues, of which it leaves some alone for long. */
static void *
send_main(void *worker_)
{
    static __thread uint8_t buffers[BURST][512];
    struct worker *w = worker_;
    struct dpdkr_frame f[BURST];
    uint32_t flows[BURST];

    while (!__atomic_load_n(&stop_sending, __ATOMIC_RELAXED)) {
        uint32_t r = next_random(&w->seed);
        uint32_t queue = (r & 0x70 ? (r >> 4) & (r >> 7) : r) % w->n_queues;
        uint32_t n = 1 + (r >> 12) % BURST, done;
        uint32_t ahead[N_FLOWS] = { 0 };

        if (!(r & 0xf00)) {
            sched_yield();
            continue;
        }
        if (w->zero_copy && r & 8) {
            n = dpdkr_tx_reserve(w->d, queue, f, n);
        } else {
            for (uint32_t i = 0; i < n; i++) {
                f[i] = (struct dpdkr_frame) { .data = buffers[i] };
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            flows[i] = next_random(&w->seed) % N_FLOWS;
            make_payload(w->stream, queue, flows[i], ahead[flows[i]]++,
                         f[i].data);
            f[i].len = sizeof(struct payload) + (r + i) % 300;
        }
        done = (w->zero_copy && r & 8
                ? dpdkr_tx_commit(w->d, queue, f, n - (n && r & 1))
                : dpdkr_tx_burst(w->d, queue, f, n));
        count_sent(w->stream, queue, flows, done);
        if (done < n) {
            sched_yield();
        }
    }
    return NULL;
}

static void
check_frame(struct stream *s, const void *data, uint32_t len)
{
    struct payload p;

    memcpy(&p, data, sizeof p);
    pthread_mutex_lock(&s->mutex);
    if (len < sizeof p || p.queue >= MAX_QUEUES || p.flow >= N_FLOWS
        || p.check != payload_check(&p)) {
        printf("# spoiled frame, %u bytes\n", len);
        s->n_wrong++;
    } else {
        uint64_t *want = &s->received[p.queue][p.flow];

        if (p.seq != *want) {
            if (s->n_wrong++ < 10) {
                printf("# queue %u flow %u: frame %llu instead of %llu\n",
                       p.queue, p.flow, (unsigned long long) p.seq,
                       (unsigned long long) *want);
            }
        }
        *want = p.seq + 1;
    }
    __atomic_store_n(&s->n_received, s->n_received + 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->mutex);
}

static void *
receive_main(void *worker_)
{
    static __thread uint8_t buffers[BURST][512];
    struct worker *w = worker_;
    struct dpdkr_frame f[BURST];

    while (!__atomic_load_n(&stop_receiving, __ATOMIC_RELAXED)) {
        uint32_t r = next_random(&w->seed);
        uint32_t n, n_max = 1 + r % BURST;

        if (w->wait) {
            int waiting = dpdkr_wait(w->d, w->queue, 1 + (r >> 8) % 4,
                                     (r >> 10) % 200, 20);

            if (waiting <= 0) {
                continue;
            }
        }
        if (w->zero_copy && r & 0x80) {
            n = dpdkr_rx_peek(w->d, w->queue, f, n_max);
            if (r & 0x1000) {
                n = n / 2;
            }
        } else {
            for (uint32_t i = 0; i < n_max; i++) {
                f[i].data = buffers[i];
                f[i].size = sizeof buffers[i];
            }
            n = dpdkr_rx_burst(w->d, w->queue, f, n_max);
        }
        for (uint32_t i = 0; i < n; i++) {
            check_frame(w->stream, f[i].data, f[i].len);
        }
        dpdkr_rx_release(w->d, w->queue, n);
        if (!n) {
            sched_yield();
        }
    }
    return NULL;
}

/* A moment in the life of the fake switch. */
static void
switch_round(struct pair *p, uint32_t n_queues, uint32_t *seed)
{
    for (uint32_t q = 0; q < n_queues; q++) {
        for (int i = 0; i < 2; i++) {
            fake_forward(&p->link.ways[i], q, 1 + next_random(seed) % 64,
                         flow_ring);
        }
    }
}

/* Orders all back, and takes the link away.  Returns true if that ended as it
 * should. */
static bool
take_link_away(struct pair *p, uint32_t n_queues, uint32_t *seed)
{
    int64_t end = links_now_us() + 5000000;
    bool gone[2] = { false, false };

    for (int i = 0; i < 2; i++) {
        if (p->link.ways[i].number & 1) {
            fake_order_port(&p->link.ways[i]);
        }
        fake_withdraw(&p->ports[i], p->link.entries[i]);
    }
    while (!(gone[0] && gone[1]) && links_now_us() < end) {
        switch_round(p, n_queues, seed);
        for (int i = 0; i < 2; i++) {
            gone[i] = (fake_answer(&p->ports[i], p->link.entries[i])
                       == DPDKR_LINK_NONE);
        }
        pair_run(p);
    }
    return gone[0] && gone[1];
}

/* Returns true if nothing of 'p' is under way any more: all orders are for
 * the ports, no queue follows the link, and all is received. */
static bool
is_at_rest(struct pair *p, struct stream s[2], uint32_t n_queues)
{
    for (int i = 0; i < 2; i++) {
        const struct dpdkr_control *c = dpdkr_control(p->ports[i].base);

        if (s[i].n_sent != __atomic_load_n(&s[i].n_received,
                                           __ATOMIC_RELAXED)) {
            return false;
        }
        for (uint32_t q = 0; q < n_queues; q++) {
            if (p->link.ways[i].queues[q].gate != FAKE_OPEN
                || __atomic_load_n(&c->applied[q], __ATOMIC_ACQUIRE) & 1) {
                return false;
            }
        }
    }
    return true;
}

static void
handovers(uint32_t n_queues, bool zero_copy, bool wait, uint32_t n_orders)
{
    static struct worker workers[2 * (1 + MAX_QUEUES)];
    static struct stream streams[2];
    uint32_t seed = 4711, n_workers = 0;
    struct pair p;
    int64_t end;

    memset(streams, 0, sizeof streams);
    memset(workers, 0, sizeof workers);
    stop_sending = stop_receiving = false;
    REQUIRE(pair_init(&p, n_queues, 128, 64,
                      wait ? DPDKR_OPEN_SLEEPS : 0));
    REQUIRE(pair_offer(&p));
    for (int i = 0; i < 2; i++) {
        pthread_mutex_init(&streams[i].mutex, NULL);
        for (uint32_t j = 0; j <= n_queues; j++) {
            struct worker *w = &workers[n_workers];

            *w = (struct worker) {
                .d = p.peers[j < n_queues ? !i : i],
                .stream = &streams[i],
                .queue = j,
                .n_queues = n_queues,
                .zero_copy = zero_copy,
                .wait = wait,
                .seed = 1000 + n_workers++,
            };
            CHECK(!pthread_create(&w->thread, NULL,
                                  j < n_queues ? receive_main : send_main,
                                  w));
        }
    }

    if (NFV_TEST_SANITIZED) {
        n_orders /= 10;
    }
    end = links_now_us() + (NFV_TEST_SANITIZED ? 60 : 30) * 1000000;
    uint64_t n_done[2] = { 0, 0 };
    while ((n_done[0] < n_orders || n_done[1] < n_orders)
           && links_now_us() < end) {
        uint32_t r = next_random(&seed);
        struct fake_way *w = &p.link.ways[r & 1];

        switch_round(&p, n_queues, &seed);
        if (w->number & 1) {
            /* In some rounds at once, mostly after frames have passed. */
            if ((r & 0x1e) == 0) {
                fake_order_port(w);
                n_done[r & 1]++;
            }
        } else if ((r & 0xe) == 0 && fake_may_order(w)) {
            fake_order_link(w);
            n_done[r & 1]++;
        }
        if ((r & 0xff0) == 0) {
            pair_run(&p);
        }
        sched_yield();
    }
    CHECK(n_done[0] >= n_orders && n_done[1] >= n_orders);

    /* Everything back.  Idle queues need a frame for that, so that the senders
     * go on for a while. */
    for (int i = 0; i < 2; i++) {
        if (p.link.ways[i].number & 1) {
            fake_order_port(&p.link.ways[i]);
        }
    }
    end = links_now_us() + 10000000;
    bool applied = false;
    while (!applied && links_now_us() < end) {
        applied = true;
        for (int i = 0; i < 2; i++) {
            for (uint32_t q = 0; q < n_queues; q++) {
                applied &= !(__atomic_load_n(&dpdkr_control(p.ports[i].base)
                                             ->applied[q], __ATOMIC_ACQUIRE)
                             & 1);
            }
        }
        switch_round(&p, n_queues, &seed);
    }
    CHECK(applied);
    __atomic_store_n(&stop_sending, true, __ATOMIC_RELAXED);
    for (uint32_t i = n_queues; i < n_workers; i += n_queues + 1) {
        pthread_join(workers[i].thread, NULL);
    }
    end = links_now_us() + 10000000;
    while (!is_at_rest(&p, streams, n_queues) && links_now_us() < end) {
        switch_round(&p, n_queues, &seed);
        sched_yield();
    }
    CHECK(is_at_rest(&p, streams, n_queues));
    CHECK(take_link_away(&p, n_queues, &seed));
    __atomic_store_n(&stop_receiving, true, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < n_workers; i++) {
        if (i % (n_queues + 1) < n_queues) {
            pthread_join(workers[i].thread, NULL);
        }
    }

    for (int i = 0; i < 2; i++) {
        struct dpdkr_info info = links_info(p.peers[i]);

        CHECK_EQ(streams[i].n_wrong, 0);
        CHECK_EQ(streams[i].n_sent, streams[i].n_received);
        CHECK(info.n_handovers > n_orders / 4);
        CHECK(info.n_notes > n_orders / 4);
        CHECK(p.link.ways[i].n_forwarded < streams[i].n_sent);
        CHECK_EQ(info.n_attached, 1);
        CHECK_EQ(info.n_links, 0);
        printf("# way %d: %llu frames, %llu of them through the switch, "
               "%llu handovers\n", i,
               (unsigned long long) streams[i].n_sent,
               (unsigned long long) p.link.ways[i].n_forwarded,
               (unsigned long long) info.n_handovers);
    }
    pair_destroy(&p);
}

static void
test_handovers(void)
{
    handovers(1, false, false, 10000);
}

static void
test_handovers_zero_copy(void)
{
    handovers(1, true, false, 10000);
}

static void
test_handovers_queues(void)
{
    handovers(4, false, false, 3000);
}

static void
test_handovers_queues_zero_copy(void)
{
    handovers(4, true, false, 3000);
}

static void
test_handovers_wait(void)
{
    handovers(4, true, true, 2000);
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "handovers", test_handovers },
        { "handovers-zero-copy", test_handovers_zero_copy },
        { "handovers-queues", test_handovers_queues },
        { "handovers-queues-zero-copy", test_handovers_queues_zero_copy },
        { "handovers-wait", test_handovers_wait },
    };

    return pair_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
