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

/* Returns true if A3 may come: no queue follows the link of 'p', gates are
 * open, rings empty. */
static bool
is_unused(const struct pair *p, uint32_t n_queues)
{
    for (uint32_t q = 0; q < n_queues; q++) {
        for (uint32_t side = 0; side < 2; side++) {
            const struct dpdkr_control *c
                = dpdkr_control(p->ports[side].base);
            struct dpdkr_ring_view r;

            dpdkr_ring_view_init(&r, p->link.base, &p->link.g,
                                 dpdkr_ring_of(q, side));
            if (__atomic_load_n(&c->applied[q], __ATOMIC_ACQUIRE) & 1
                || p->link.ways[side].queues[q].gate != FAKE_OPEN
                || (__atomic_load_n(&c->noted[q], __ATOMIC_ACQUIRE)
                    != p->link.ways[side].queues[q].noted)
                || (__atomic_load_n(&r.ctl->prod, __ATOMIC_ACQUIRE)
                    != __atomic_load_n(&r.ctl->cons, __ATOMIC_ACQUIRE))) {
                return false;
            }
        }
    }
    return true;
}

/* Orders all queues back and takes the link away, while frames flow (a queue
 * that sends nothing does not leave the link).  Returns true if that ended as
 * it should. */
static bool
take_link_away(struct pair *p, uint32_t n_queues, uint32_t *seed)
{
    int64_t end = links_now_us() + 20000000;
    bool gone[2] = { false, false };

    for (int i = 0; i < 2; i++) {
        if (p->link.ways[i].number & 1) {
            fake_order_port(&p->link.ways[i]);
        }
    }
    while (!is_unused(p, n_queues)) {
        switch_round(p, n_queues, seed);
        sched_yield();
        if (links_now_us() > end) {
            return false;
        }
    }
    for (int i = 0; i < 2; i++) {
        fake_withdraw(&p->ports[i], p->link.entries[i]);
    }
    while (!(gone[0] && gone[1]) && links_now_us() < end) {
        switch_round(p, n_queues, seed);
        for (int i = 0; i < 2; i++) {
            gone[i] = (fake_answer(&p->ports[i], p->link.entries[i])
                       == DPDKR_LINK_NONE);
        }
        sched_yield();
    }
    return gone[0] && gone[1];
}

/* Replaces the link by another one, in other entries. */
static bool
replace_link(struct pair *p, uint32_t n_queues, uint32_t *seed)
{
    struct fake_way ways[2];
    int64_t end;

    if (!take_link_away(p, n_queues, seed)) {
        return false;
    }
    memcpy(ways, p->link.ways, sizeof ways);
    fake_link_destroy(&p->link);
    fake_link_create(&p->link, pair_file("link"), &p->ports[0], &p->ports[1],
                     n_queues, 64 << next_random(seed) % 3, 512);
    for (int i = 0; i < 2; i++) {
        p->link.ways[i].n_forwarded = ways[i].n_forwarded;
        p->link.ways[i].n_notes = ways[i].n_notes;
    }
    fake_link_offer_both(&p->link, next_random(seed) % DPDKR_MAX_LINKS,
                         next_random(seed) % DPDKR_MAX_LINKS);
    end = links_now_us() + 5000000;
    while (fake_answer(&p->ports[0], p->link.entries[0]) != DPDKR_LINK_MAPPED
           || (fake_answer(&p->ports[1], p->link.entries[1])
               != DPDKR_LINK_MAPPED)) {
        switch_round(p, n_queues, seed);
        sched_yield();
        if (links_now_us() > end) {
            return false;
        }
    }
    return true;
}

/* Returns true if nothing of 'p' is under way any more. */
static bool
is_at_rest(const struct stream s[2])
{
    return (s[0].n_sent == __atomic_load_n(&s[0].n_received,
                                           __ATOMIC_RELAXED)
            && s[1].n_sent == __atomic_load_n(&s[1].n_received,
                                              __ATOMIC_RELAXED));
}

static void
handovers(uint32_t n_queues, bool zero_copy, bool wait, uint32_t n_orders)
{
    static struct worker workers[2 * (1 + MAX_QUEUES)];
    static struct stream streams[2];
    uint32_t seed = 4711, n_workers = 0, n_links = 1;
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
        if (n_done[0] + n_done[1] > n_links * n_orders / 20) {
            if (!CHECK(replace_link(&p, n_queues, &seed))) {
                break;
            }
            n_links++;
        }
        sched_yield();
    }
    CHECK(n_done[0] >= n_orders && n_done[1] >= n_orders);
    CHECK(n_links >= 20);

    CHECK(take_link_away(&p, n_queues, &seed));
    __atomic_store_n(&stop_sending, true, __ATOMIC_RELAXED);
    for (uint32_t i = n_queues; i < n_workers; i += n_queues + 1) {
        pthread_join(workers[i].thread, NULL);
    }
    end = links_now_us() + 10000000;
    while (!is_at_rest(streams) && links_now_us() < end) {
        switch_round(&p, n_queues, &seed);
        sched_yield();
    }
    CHECK(is_at_rest(streams));
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
        CHECK_EQ(info.n_cut_by_us, 0);
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

/* Sends each frame back. */
static void *
echo_main(void *worker_)
{
    struct worker *w = worker_;
    uint8_t data[512];

    while (!__atomic_load_n(&stop_receiving, __ATOMIC_RELAXED)) {
        if (dpdkr_wait(w->d, w->queue, 1, 0, 1000) > 0) {
            struct dpdkr_frame f = { .data = data, .size = sizeof data };

            while (dpdkr_rx_burst(w->d, w->queue, &f, 1)) {
                while (!dpdkr_tx_burst(w->d, w->queue, &f, 1)
                       && !__atomic_load_n(&stop_receiving,
                                           __ATOMIC_RELAXED)) {
                    sched_yield();
                }
            }
        }
    }
    return NULL;
}

/* Sends 'rounds' frames, each at a random moment after the echo of the one
 * before, the 'orders'th ones just after an order.  Returns how many rounds
 * took as long as an internal sleep. */
static int
wake_rounds(struct pair *p, uint32_t n_queues, uint32_t rounds,
            uint32_t orders, uint32_t *seed)
{
    int n_slow = 0;

    for (uint32_t i = 0; i < rounds; i++) {
        uint8_t out[64], in[512];
        struct dpdkr_frame f = { .data = out, .len = 60 };
        int64_t start;

        memset(out, i, sizeof out);
        for (volatile uint32_t n = next_random(seed) >> 12; n > 0; n--) {
            continue;
        }
        if (i % orders == orders - 1) {
            struct fake_way *w = &p->link.ways[next_random(seed) & 1];

            if (w->number & 1) {
                fake_order_port(w);
            } else if (fake_may_order(w)) {
                fake_order_link(w);
            }
        }
        start = links_now_us();
        CHECK_EQ(dpdkr_tx_burst(p->peers[0], next_random(seed) % n_queues,
                                &f, 1), 1);
        for (uint32_t q = 0, done = 0; !done; q = (q + 1) % n_queues) {
            fake_forward(&p->link.ways[0], q, 1, first_ring);
            fake_forward(&p->link.ways[1], q, 1, first_ring);
            f = (struct dpdkr_frame) { .data = in, .size = sizeof in };
            done = dpdkr_rx_burst(p->peers[0], q, &f, 1);
            if (links_now_us() - start > 10000000) {
                CHECK(!"echo");
                return INT32_MAX;
            }
        }
        n_slow += links_now_us() - start > 95000;
        CHECK(!memcmp(in, out, 60));
    }
    return n_slow;
}

/* Forces the race between a consumer that is about to sleep on several rings
 * and their producers, with handovers.  A wake-up that is lost makes for a
 * round that takes a whole internal sleep.
 *
 * Something else that runs on this machine can stop us for as long, but hardly
 * in each of several attempts. */
static void
wake_rounds_of(uint32_t n_queues)
{
    uint32_t rounds = NFV_TEST_SANITIZED ? 2000 : 20000;
    struct worker echoes[MAX_QUEUES];
    int n_slow = INT32_MAX;
    uint32_t seed = 4711;
    struct pair p;

    REQUIRE(pair_init(&p, n_queues, 64, 64, DPDKR_OPEN_SLEEPS));
    REQUIRE(pair_offer(&p));
    CHECK(p.link.h->side[1].flags & DPDKR_F_SLEEPS);
    stop_receiving = false;
    for (uint32_t i = 0; i < n_queues; i++) {
        echoes[i] = (struct worker) { .d = p.peers[1], .queue = i };
        CHECK(!pthread_create(&echoes[i].thread, NULL, echo_main,
                              &echoes[i]));
    }
    for (int i = 0; i < 5 && n_slow > 2; i++) {
        n_slow = wake_rounds(&p, n_queues, rounds / 2, 1000, &seed);
        n_slow += wake_rounds(&p, n_queues, rounds / 2, 3, &seed);
    }
    CHECK(n_slow <= 2);
    __atomic_store_n(&stop_receiving, true, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < n_queues; i++) {
        pthread_join(echoes[i].thread, NULL);
    }
    CHECK(links_stats(p.peers[1]).rx_wakeups > rounds / 100);
    CHECK(links_info(p.peers[0]).n_handovers > rounds / 20);
    CHECK(links_info(p.peers[1]).n_handovers > rounds / 20);
    pair_destroy(&p);
}

static void
test_wake_rounds(void)
{
    wake_rounds_of(1);
}

/* Here the thread that reads the last note has to wake the one that is going
 * to read the link. */
static void
test_wake_rounds_queues(void)
{
    wake_rounds_of(2);
}

/* An offer reaches a program that sleeps, and its withdrawal one that sleeps
 * on the link, long before it would have looked by itself. */
static void *
sleep_main(void *worker_)
{
    struct worker *w = worker_;

    while (!__atomic_load_n(&stop_receiving, __ATOMIC_RELAXED)) {
        dpdkr_wait(w->d, 0, 1, 0, 1000);
    }
    return NULL;
}

static void
test_wait_for_offer(void)
{
    int n_slow = INT32_MAX;
    struct worker sleeper;
    struct pair p;

    REQUIRE(pair_init(&p, 1, 64, 64, DPDKR_OPEN_SLEEPS));
    sleeper = (struct worker) { .d = p.peers[0] };
    stop_receiving = false;
    CHECK(!pthread_create(&sleeper.thread, NULL, sleep_main, &sleeper));
    for (int i = 0; i < 5 && n_slow > 2; i++) {
        n_slow = 0;
        for (int j = 0; j < 50; j++) {
            struct dpdkr_link_offer o = fake_link_offer(&p.link, 0);
            int64_t start = links_now_us();

            if (j & 1) {
                memset(o.file, 0, sizeof o.file);
            }
            fake_offer(&p.ports[0], 0, &o);
            while (fake_answer(&p.ports[0], 0)
                   != (j & 1 ? DPDKR_LINK_NONE : DPDKR_LINK_MAPPED)
                   && links_now_us() < start + 5000000) {
                sched_yield();
            }
            n_slow += links_now_us() - start > 20000;
            usleep(500);
        }
    }
    CHECK(n_slow <= 2);
    __atomic_store_n(&stop_receiving, true, __ATOMIC_RELAXED);
    fake_control_changed(&p.ports[0]);
    pthread_join(sleeper.thread, NULL);
    pair_destroy(&p);
}

/* A switch and a peer that write anything anywhere into the control area and
 * the link. */
static void
test_scribble(void)
{
    static uint8_t buffers[8][512];
    uint64_t x = 88172645463325252;
    struct dpdkr_frame f[8];
    struct pair p;
    int n_mapped = 0;

    memset(&p, 0, sizeof p);
    for (int round = 0; round < 200; round++) {
        if (round) {
            pair_destroy(&p);
        }
        REQUIRE(pair_init(&p, 2, 64, 64, DPDKR_OPEN_SLEEPS));
        REQUIRE(pair_offer(&p));
        fake_order_link(&p.link.ways[0]);
        fake_order_link(&p.link.ways[1]);
        for (int i = 0; i < 400; i++) {
            struct dpdkr_control *c = dpdkr_control(p.ports[i & 1].base);
            struct dpdkr *d = p.peers[i >> 1 & 1];

            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            if (i > 50 && round & 1) {
                ((uint8_t *) p.link.base)[x % (i & 4 ? p.link.g.slots_offset
                                               : sizeof *p.link.h)] = x >> 32;
            }
            if (i > 50 && round & 2) {
                ((uint8_t *) c)[x % sizeof *c] = x >> 40;
                if (i & 8) {
                    fake_control_changed(&p.ports[i & 1]);
                }
            }
            if (i > 50 && round & 4) {
                dpdkr_producer_note(&p.ports[i & 1].tx[i >> 2 & 1],
                                    (x >> 20) % 4, x >> 24);
            }
            for (int j = 0; j < 8; j++) {
                f[j] = (struct dpdkr_frame) {
                    .data = buffers[j], .len = 14 + (x >> 40) % 300,
                    .size = sizeof buffers[j],
                };
            }
            dpdkr_tx_burst(d, x >> 50 & 1, f, 8);
            dpdkr_tx_pending(d, x >> 50 & 1);
            if (i & 16) {
                dpdkr_rx_burst(d, x >> 51 & 1, f, 8);
            } else {
                unsigned int n = dpdkr_rx_peek(d, x >> 51 & 1, f, 8);

                for (unsigned int j = 0; j < n; j++) {
                    CHECK(f[j].len >= 14 && f[j].len <= 512);
                    memset(f[j].data, 0, f[j].len);
                }
                dpdkr_rx_release(d, x >> 51 & 1, n);
            }
            if (!(i & 63)) {
                dpdkr_wait(d, i >> 6 & 1, 3, 10, 1);
            }
            for (uint32_t q = 0; q < 2; q++) {
                fake_forward(&p.link.ways[i & 1], q, 8, first_ring);
            }
            if (!(i & 7)) {
                pair_run(&p);
            }
            n_mapped += links_info(d).n_links;
        }
    }
    CHECK(n_mapped > 10000);
    pair_destroy(&p);
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
        { "wake-rounds", test_wake_rounds },
        { "wake-rounds-queues", test_wake_rounds_queues },
        { "wait-for-offer", test_wait_for_offer },
        { "scribble", test_scribble },
    };

    return pair_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
