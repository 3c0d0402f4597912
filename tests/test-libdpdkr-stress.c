/* SPDX-License-Identifier: Apache-2.0 */

/* The part of test-libdpdkr that has threads, time or a hostile switch. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "test-libdpdkr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

void
test_wait(void)
{
    uint8_t data[256];
    struct fake_port p;
    struct dpdkr *d;
    int64_t start;

    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port_flags(path, 0);
    CHECK(dpdkr_wait(d, 0, 1, 0, 0) == -EINVAL);
    dpdkr_close(d);

    d = open_port();
    CHECK(dpdkr_wait(d, 1, 1, 0, 0) == -EINVAL);
    start = now_us();
    CHECK(dpdkr_wait(d, 0, 1, 0, 30) == 0);     /* The link is down. */
    CHECK(now_us() - start >= 30000);
    CHECK(wait_link(d, &p, true));
    start = now_us();
    CHECK(dpdkr_wait(d, 0, 1, 0, 0) == 0);
    CHECK(dpdkr_wait(d, 0, 1, 0, 250) == 0);
    CHECK(now_us() - start >= 250000);

    for (int i = 0; i < 4; i++) {
        CHECK(fake_port_send(&p, 0, data, 60));
    }
    CHECK(dpdkr_wait(d, 0, 1, 0, -1) == 1);
    CHECK(dpdkr_wait(d, 0, 4, 1000000, -1) == 4);
    CHECK(dpdkr_wait(d, 0, 30, 0, -1) == 4);
    start = now_us();
    CHECK(dpdkr_wait(d, 0, 5, 20000, -1) == 4);
    CHECK(now_us() - start >= 20000 && now_us() - start < 1000000);
    CHECK(dpdkr_wait(d, 0, 5, 1000000, 20) == 4);   /* Time limit. */
    dpdkr_close(d);
    fake_port_die(&p);
}

struct echo {
    struct dpdkr *d;
    bool stop;
    uint64_t n;
};

static void *
echo_main(void *echo_)
{
    struct echo *e = echo_;
    uint8_t data[256];

    while (!__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
        if (dpdkr_wait(e->d, 0, 1, 0, 1000) > 0) {
            struct dpdkr_frame f = { .data = data, .size = sizeof data };

            while (dpdkr_rx_burst(e->d, 0, &f, 1)) {
                while (!dpdkr_tx_burst(e->d, 0, &f, 1)
                       && !__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
                    dpdkr_run(e->d);
                }
                e->n++;
            }
        }
    }
    return NULL;
}

/* Sends 'rounds' frames, each at a random moment after the echo of the one
 * before.  Returns how many rounds took as long as an internal sleep. */
static int
wake_rounds(struct fake_port *p, int rounds)
{
    static uint32_t x = 1;
    uint8_t data[64], in[64];
    int n_slow = 0;

    memset(data, 0, sizeof data);
    for (int i = 0; i < rounds && !failed; i++) {
        int64_t start;

        x = x * 1664525 + 1013904223;
        for (volatile uint32_t n = x >> 20; n > 0; n--) {
            continue;
        }
        memcpy(data, &i, sizeof i);
        CHECK(fake_port_send(p, 0, data, 60));
        start = now_us();
        while (!fake_port_receive(p, 0, in, sizeof in)) {
            if (now_us() - start > 30000000) {
                CHECK(!"echo");
                break;
            }
        }
        n_slow += now_us() - start > 95000;
        CHECK(!memcmp(data, in, 60));
    }
    return n_slow;
}

/* Forces the race between a consumer that is about to sleep and a producer.  A
 * wake-up that is lost makes for a round that takes a whole internal sleep.
 *
 * Something else that runs on this machine can stop us for as long, but hardly
 * in each of several attempts. */
void
test_wake_rounds(void)
{
    const char *rounds_s = getenv("ROUNDS");
    int rounds = rounds_s ? atoi(rounds_s) : 100000;
    int n_slow = INT_MAX;
    struct fake_port p;
    pthread_t thread;
    struct echo e;

    fake_port_create(&p, path, 1, 64, 256, 200);
    e = (struct echo) { .d = open_port() };
    CHECK(wait_link(e.d, &p, true));
    pthread_create(&thread, NULL, echo_main, &e);
    for (int i = 0; i < 5 && n_slow > 2 && !failed; i++) {
        n_slow = wake_rounds(&p, i ? rounds / 4 : rounds);
    }
    CHECK(n_slow <= 2);
    __atomic_store_n(&e.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    CHECK(get_stats(e.d).rx_wakeups > (uint64_t) rounds / 100);
    dpdkr_close(e.d);
    fake_port_die(&p);
}

/* Two threads poll while the switch dies, comes back, cuts off, retires its
 * memory and makes it anew.  Under a sanitizer this finds uses of a mapping
 * that is gone; in any case every epoch's first frame each way must arrive. */
static void *
poll_main(void *echo_)
{
    struct echo *e = echo_;
    struct dpdkr_frame f[8];

    while (!__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
        unsigned int n = dpdkr_rx_peek(e->d, 0, f, 8);
        uint32_t sum = 0;

        for (unsigned int i = 0; i < n; i++) {
            sum += ((const uint8_t *) f[i].data)[f[i].len - 1];
        }
        dpdkr_rx_release(e->d, 0, n);
        __atomic_store_n(&e->n, e->n + n, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        (void) sum;
    }
    return NULL;
}

static void *
send_main(void *echo_)
{
    struct echo *e = echo_;
    uint8_t data[60];

    memset(data, 1, sizeof data);
    while (!__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
        struct dpdkr_frame f = { .data = data, .len = sizeof data };

        e->n += dpdkr_tx_burst(e->d, 0, &f, 1);
    }
    return NULL;
}

void
test_threads(void)
{
    struct fake_port p;
    struct dpdkr *d;
    struct echo rx, tx;
    pthread_t threads[2];
    uint8_t data[256];

    memset(data, 2, sizeof data);
    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port();
    rx = tx = (struct echo) { .d = d };
    pthread_create(&threads[0], NULL, poll_main, &rx);
    pthread_create(&threads[1], NULL, send_main, &tx);
    for (int i = 0; i < 300 && !failed; i++) {
        int64_t end = now_us() + 5000000;
        uint64_t before = __atomic_load_n(&rx.n, __ATOMIC_RELAXED);
        int n_in = 0, n_out = 0;

        CHECK(wait_link(d, &p, true));
        /* Until both threads have had their turn, whenever that is. */
        while ((n_in < 10 || n_out < 10
                || __atomic_load_n(&rx.n, __ATOMIC_RELAXED) == before)
               && now_us() < end) {
            n_in += fake_port_receive(&p, 0, data, sizeof data) == 60;
            n_out += fake_port_send(&p, 0, data, 60);
            fake_port_run(&p);
        }
        CHECK(n_in >= 10 && n_out >= 10);
        switch (i % 3) {
        case 0:
            fake_port_die(&p);
            if (i & 1) {
                dpdkr_run(d);
            }
            fake_port_adopt(&p, path);
            break;
        case 1:
            fake_port_retire(&p, true);
            fake_port_create(&p, path, 1 + i % 4, 64, 256 + i, 200);
            break;
        case 2:
            p.us->ack = 0;      /* "Forgotten": attaches anew at once. */
            p.up = false;
            dpdkr_run(d);
            break;
        }
    }
    __atomic_store_n(&rx.stop, true, __ATOMIC_RELAXED);
    __atomic_store_n(&tx.stop, true, __ATOMIC_RELAXED);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK(rx.n >= 300 && tx.n >= 300);
    CHECK(get_stats(d).rx_packets == rx.n && get_stats(d).tx_packets == tx.n);
    dpdkr_close(d);
    fake_port_die(&p);
}

/* Each bit of each byte of the constant part of the header: dpdkr_open()
 * either fails with a message or works. */
void
test_corrupt_header(void)
{
    unsigned int n_ok = 0, n_bad = 0;
    struct fake_port p;
    char error[256];

    fake_port_create(&p, path, 2, 64, 256, 200);
    for (uint32_t bit = 0; bit < sizeof *p.h * 8; bit++) {
        uint8_t *byte = (uint8_t *) p.h + bit / 8;
        struct dpdkr *d;
        int error_no;

        *byte ^= 1u << (bit & 7);
        error_no = dpdkr_open(path, NULL, &d, error, sizeof error);
        if (error_no) {
            CHECK(!d && strstr(error, path));
            n_bad++;
        } else {
            struct dpdkr_info i = get_info(d);

            CHECK(i.n_queues == 2 && i.ring_size == 64);
            fake_port_run(&p);
            dpdkr_run(d);
            dpdkr_close(d);
            n_ok++;
        }
        *byte ^= 1u << (bit & 7);
        memset(p.them, 0, sizeof *p.them);
    }
    CHECK(n_bad > 300 && n_ok > 300);

    /* Files that are too short, by any number of pages. */
    uint64_t total = p.g.total_size;
    fake_port_die(&p);
    for (uint64_t size = 0; size < total; size += 1000) {
        struct dpdkr *d;

        CHECK(!truncate(path, 0) && !truncate(path, total));
        int fd = open(path, O_RDWR);
        struct dpdkr_header h = { .magic = DPDKR_MAGIC };
        dpdkr_geometry_init(&p.g, 2, 64, 256);
        dpdkr_header_init(&h, &p.g, DPDKR_KIND_PORT, h.id);
        CHECK(pwrite(fd, &h, sizeof h, 0) == sizeof h);
        close(fd);
        CHECK(!truncate(path, size));
        CHECK(dpdkr_open(path, NULL, &d, error, sizeof error) == EPROTO);
    }
}

/* A switch that writes anything anywhere. */
void
test_scribble(void)
{
    static uint8_t buffers[8][16384];
    struct dpdkr_frame f[8];
    struct fake_port p;
    struct dpdkr *d;
    uint64_t x = 88172645463325252ULL;

    fake_port_create(&p, path, 2, 64, 256, 200);
    d = open_port();
    for (int round = 0; round < 200; round++) {
        /* Back-offs would take all the time. */
        if (get_info(d).n_cut_by_us + get_info(d).n_cut_by_switch) {
            dpdkr_close(d);
            fake_port_die(&p);
            fake_port_create(&p, path, 2, 64, 256, 200);
            d = open_port();
        }
        fake_port_run(&p);
        dpdkr_run(d);
        fake_port_run(&p);
        for (int i = 0; i < 200; i++) {
            uint64_t limit = (i & 1 ? p.g.slots_offset : p.g.total_size);

            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            /* RETIRED and the like are other tests' business. */
            if (x % limit >= sizeof *p.h) {
                ((uint8_t *) p.base)[x % limit] = x >> 32;
            }
            for (int j = 0; j < 8; j++) {
                f[j] = (struct dpdkr_frame) {
                    .data = buffers[j], .len = 14 + (x >> 40) % 300,
                    .size = sizeof buffers[j],
                };
            }
            if (i & 4) {
                dpdkr_rx_burst(d, i & 1, f, 8);
            } else {
                unsigned int n = dpdkr_rx_peek(d, i & 1, f, 8);

                for (unsigned int j = 0; j < n; j++) {
                    CHECK(f[j].len >= 14 && f[j].len <= 256);
                    memset(f[j].data, 0, f[j].len);
                }
                dpdkr_rx_release(d, i & 1, n);
            }
            for (int j = 0; j < 8; j++) {
                f[j].data = buffers[j];
            }
            dpdkr_tx_burst(d, i & 1, f, 8);
        }
    }
    dpdkr_close(d);
    fake_port_die(&p);
}
