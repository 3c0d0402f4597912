/* SPDX-License-Identifier: Apache-2.0 */

/* Unit test of libdpdkr, with a fake switch in the same process.
 *
 * Prints "ok NAME" or "not ok NAME" for each test and exits with 1 if one of
 * the latter was printed.  Arguments choose tests by name. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "test-libdpdkr.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *test_name;
char dir[64], path[96], path2[96];
bool failed;
char last_log[512];
unsigned int n_logged;

int64_t
now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
nap(void)
{
    struct timespec ts = { 0, 200000 };

    nanosleep(&ts, NULL);
}

static void
log_message(void *aux, enum dpdkr_log_level level, const char *message)
{
    (void) aux;
    if (getenv("VERBOSE")) {
        printf("# %d %s\n", level, message);
    }
    if (level <= DPDKR_LOG_WARN) {
        snprintf(last_log, sizeof last_log, "%s", message);
        n_logged++;
    }
}

struct dpdkr *
open_port_flags(const char *name, uint32_t flags)
{
    struct dpdkr_options o = DPDKR_OPTIONS_INIT;
    struct dpdkr *d;
    char error[256];

    o.flags = flags;
    o.log = log_message;
    if (dpdkr_open(name, &o, &d, error, sizeof error)) {
        errx(2, "%s: %s", test_name, error);
    }
    return d;
}

struct dpdkr *
open_port(void)
{
    return open_port_flags(path, DPDKR_OPEN_SLEEPS);
}

bool
wait_link(struct dpdkr *d, struct fake_port *p, bool want)
{
    int64_t end = now_us() + 5000000;

    do {
        bool up = p ? fake_port_run(p) : want;

        dpdkr_run(d);
        if (up == want && dpdkr_link_up(d) == want) {
            return true;
        }
        nap();
    } while (now_us() < end);
    return false;
}

void
fill(uint8_t *data, uint32_t len, uint32_t seed)
{
    for (uint32_t i = 0; i < len; i++) {
        data[i] = seed * 31 + i * 7 + (i >> 8);
    }
}

bool
is_filled(const uint8_t *data, uint32_t len, uint32_t seed)
{
    for (uint32_t i = 0; i < len; i++) {
        if (data[i] != (uint8_t) (seed * 31 + i * 7 + (i >> 8))) {
            return false;
        }
    }
    return true;
}

bool
ping(struct dpdkr *d, struct fake_port *p, uint32_t q, uint32_t len)
{
    static uint8_t out[DPDKR_MAX_SLOT], in[DPDKR_MAX_SLOT];
    static uint32_t seed;
    struct dpdkr_frame f = { .data = out, .len = len };

    fill(out, len, ++seed);
    if (dpdkr_tx_burst(d, q, &f, 1) != 1
        || fake_port_receive(p, q, in, sizeof in) != len
        || !is_filled(in, len, seed)) {
        return false;
    }
    fill(out, len, ++seed);
    f.data = in;
    f.size = sizeof in;
    return (fake_port_send(p, q, out, len)
            && dpdkr_rx_burst(d, q, &f, 1) == 1
            && f.len == len && is_filled(in, len, seed));
}

struct dpdkr_stats
get_stats(struct dpdkr *d)
{
    struct dpdkr_stats s;

    CHECK(!dpdkr_get_stats(d, DPDKR_ALL_QUEUES, &s, sizeof s));
    return s;
}

struct dpdkr_info
get_info(struct dpdkr *d)
{
    struct dpdkr_info i;

    dpdkr_get_info(d, &i, sizeof i);
    return i;
}

/* ## ----- ## */
/* ## Tests ## */
/* ## ----- ## */

static void
test_basic(void)
{
    struct fake_port p;
    struct dpdkr *d, *other;
    struct dpdkr_frame f;
    char error[256];
    uint8_t byte;

    fake_port_create(&p, path, 2, 64, 2048, 1500);
    d = open_port();
    CHECK(!dpdkr_link_up(d));
    f = (struct dpdkr_frame) { .data = &byte, .len = 60, .size = 1 };
    CHECK(!dpdkr_tx_burst(d, 0, &f, 1));
    CHECK(!dpdkr_rx_burst(d, 0, &f, 1));

    /* A second user is refused. */
    CHECK(dpdkr_open(path, NULL, &other, error, sizeof error) == EBUSY);
    CHECK(strstr(error, path) && !other);

    CHECK(wait_link(d, &p, true));
    for (uint32_t len = 14; len <= 2048; len++) {
        if (!ping(d, &p, len & 1, len)) {
            CHECK(!"ping");
            break;
        }
    }
    CHECK(!dpdkr_rx_burst(d, 2, &f, 1));    /* No such queue. */
    CHECK(!dpdkr_tx_burst(d, 2, &f, 1));

    struct dpdkr_info i = get_info(d);
    CHECK(i.link_up && i.mapped && i.n_rxq == 2 && i.n_txq == 2);
    CHECK(i.ring_size == 64 && i.max_frame == 2048 && i.mtu == 1500);
    CHECK(!strcmp(i.name, "fake0") && i.mac[5] == 0xbb);
    CHECK(i.switch_pid == (uint32_t) getpid() && i.n_attached == 1);
    CHECK(!strcmp(i.last_cut, "none"));

    struct dpdkr_stats s = get_stats(d);
    CHECK(s.tx_packets == 2035 && s.rx_packets == 2035);
    CHECK(s.tx_bytes == s.rx_bytes && s.rx_bytes == 2035 * (14 + 2048) / 2);

    /* The other side sees the counters of the rings. */
    CHECK(p.rx[0].r.ctl->packets + p.rx[1].r.ctl->packets == 2035);

    dpdkr_close(d);
    CHECK(!fake_port_run(&p));
    CHECK(p.them->state == DPDKR_DOWN);
    fake_port_die(&p);
}

static void
test_jumbo(void)
{
    struct fake_port p;
    struct dpdkr *d;

    fake_port_create(&p, path, 1, 64, DPDKR_MAX_SLOT, 9000);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, DPDKR_MAX_SLOT));
    CHECK(ping(d, &p, 0, 9018));
    CHECK(get_info(d).mtu == 9000);
    dpdkr_close(d);
    fake_port_die(&p);
}

static void
test_full_ring(void)
{
    uint8_t data[256], in[256];
    struct dpdkr_frame f[100];
    struct fake_port p;
    struct dpdkr *d;

    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    for (uint32_t round = 0; round < 1000; round++) {
        fill(data, sizeof data, round);
        for (int i = 0; i < 100; i++) {
            f[i] = (struct dpdkr_frame) { .data = data, .len = 60 + i };
        }
        /* One descriptor is for notes (<dpdkr/link.h>). */
        if (dpdkr_tx_burst(d, 0, f, 100) != 63
            || dpdkr_tx_burst(d, 0, f, 100) != 0
            || dpdkr_tx_pending(d, 0) != 63) {
            CHECK(!"full");
            break;
        }
        for (int i = 0; i < 63; i++) {
            CHECK(fake_port_receive(&p, 0, in, sizeof in)
                  == (uint32_t) 60 + i);
        }
        CHECK(!fake_port_receive(&p, 0, in, sizeof in));
        CHECK(!dpdkr_tx_pending(d, 0));

        for (int i = 0; i < 64; i++) {
            CHECK(fake_port_send(&p, 0, data, 60 + i));
        }
        CHECK(!fake_port_send(&p, 0, data, 60));
        for (int i = 0; i < 100; i++) {
            f[i] = (struct dpdkr_frame) { .data = in, .size = sizeof in };
        }
        CHECK(dpdkr_rx_burst(d, 0, f, 100) == 64);
        CHECK(f[63].len == 123);
    }
    CHECK(get_stats(d).tx_full == 1000 * (37 + 100));
    dpdkr_close(d);
    fake_port_die(&p);
}

static void
test_sizes(void)
{
    const uint32_t lens[] = { 13, 60, 0, 256, 257, 14, 70000, 61 };
    uint8_t data[256], in[256];
    struct dpdkr_frame f[8];
    struct dpdkr_stats s;
    struct fake_port p;
    struct dpdkr *d;

    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    fill(data, sizeof data, 3);

    /* Sending: impossible lengths are dropped, the others are sent. */
    for (int i = 0; i < 8; i++) {
        f[i] = (struct dpdkr_frame) { .data = data, .len = lens[i] };
    }
    CHECK(dpdkr_tx_burst(d, 0, f, 8) == 8);
    CHECK(fake_port_receive(&p, 0, in, sizeof in) == 60);
    CHECK(fake_port_receive(&p, 0, in, sizeof in) == 256);
    CHECK(fake_port_receive(&p, 0, in, sizeof in) == 14);
    CHECK(fake_port_receive(&p, 0, in, sizeof in) == 61);
    CHECK(!fake_port_receive(&p, 0, in, sizeof in));
    CHECK(p.rx[0].r.ctl->drop_size == 4);

    /* Receiving: runts are counted, and so is what does not fit. */
    for (int i = 0; i < 4; i++) {
        CHECK(fake_port_send(&p, 0, data, i == 3 ? 200 : 12 + i));
        f[i] = (struct dpdkr_frame) { .data = in, .size = 100 };
    }
    CHECK(dpdkr_rx_burst(d, 0, f, 8) == 1);
    CHECK(f[0].len == 14);
    s = get_stats(d);
    CHECK(s.rx_runts == 2 && s.rx_drop_size == 1 && s.tx_drop_size == 4);
    CHECK(p.tx[0].r.ctl->cons_runts == 2);

    /* The same without copy: runts never show. */
    CHECK(fake_port_send(&p, 0, data, 1));
    CHECK(fake_port_send(&p, 0, data, 20));
    CHECK(fake_port_send(&p, 0, data, 2));
    CHECK(fake_port_send(&p, 0, data, 21));
    CHECK(dpdkr_rx_peek(d, 0, f, 8) == 1 && f[0].len == 20);
    dpdkr_rx_release(d, 0, 1);
    CHECK(dpdkr_rx_peek(d, 0, f, 8) == 1 && f[0].len == 21);
    dpdkr_rx_release(d, 0, 1);
    CHECK(!dpdkr_rx_peek(d, 0, f, 8));
    CHECK(get_stats(d).rx_runts == 4);
    dpdkr_close(d);
    fake_port_die(&p);
}

static void
test_zero_copy(void)
{
    struct dpdkr_frame f[128];
    uint8_t in[256], data[256];
    struct fake_port p;
    struct dpdkr *d;

    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port();
    CHECK(wait_link(d, &p, true));

    CHECK(dpdkr_tx_reserve(d, 0, f, 128) == 63);
    CHECK(f[0].size == 256);
    fill(f[0].data, 100, 1);
    fill(f[1].data, 101, 2);
    f[0].len = 100;
    f[1].len = 101;
    f[2].len = 5;
    CHECK(!dpdkr_tx_burst(d, 0, f, 1));     /* Reserved. */
    CHECK(dpdkr_tx_commit(d, 0, f, 3) == 2);
    CHECK(dpdkr_tx_commit(d, 0, f, 3) == 0);
    CHECK(fake_port_receive(&p, 0, in, 256) == 100 && is_filled(in, 100, 1));
    CHECK(fake_port_receive(&p, 0, in, 256) == 101 && is_filled(in, 101, 2));
    CHECK(!fake_port_receive(&p, 0, in, 256));

    for (int i = 0; i < 10; i++) {
        fill(data, 60 + i, i);
        CHECK(fake_port_send(&p, 0, data, 60 + i));
    }
    CHECK(dpdkr_rx_peek(d, 0, f, 4) == 4);
    CHECK(dpdkr_rx_peek(d, 0, f, 8) == 8);
    CHECK(is_filled(f[7].data, 67, 7) && f[7].len == 67);
    CHECK(!dpdkr_rx_burst(d, 0, f + 8, 1)); /* Peeked. */
    CHECK(dpdkr_wait(d, 0, 1, 0, 0) == -EBUSY);
    dpdkr_rx_release(d, 0, 3);
    dpdkr_rx_release(d, 0, 3);              /* Nothing is held: no effect. */
    CHECK(dpdkr_rx_peek(d, 0, f, 128) == 7);
    CHECK(f[0].len == 63);
    dpdkr_rx_release(d, 0, 1000);
    CHECK(!dpdkr_rx_peek(d, 0, f, 128));
    CHECK(get_stats(d).rx_packets == 10);

    /* A frame that is held keeps a new attachment waiting. */
    fake_port_send(&p, 0, data, 60);
    CHECK(dpdkr_rx_peek(d, 0, f, 1) == 1);
    fake_port_retire(&p, true);
    fake_port_create(&p, path, 1, 64, 256, 200);
    for (int i = 0; i < 20; i++) {
        fake_port_run(&p);
        dpdkr_run(d);
    }
    CHECK(!dpdkr_link_up(d) && !p.attached);
    CHECK(f[0].len == 60 && is_filled(f[0].data, 60, 9));
    dpdkr_rx_release(d, 0, 1);
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 77));
    dpdkr_close(d);
    fake_port_die(&p);
}

static void
test_cut_off(void)
{
    struct fake_port p;
    struct dpdkr *d;
    int64_t start;
    uint32_t epoch;

    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    epoch = get_info(d).epoch;
    fake_port_cut(&p, DPDKR_CUT_LENGTH);
    start = now_us();
    CHECK(wait_link(d, &p, false));
    CHECK(strstr(last_log, "cut off by the switch") && strstr(last_log, path)
          && strstr(last_log, dpdkr_cut_reason_to_string(DPDKR_CUT_LENGTH)));
    CHECK(wait_link(d, &p, true));
    CHECK(now_us() - start > 950000);
    CHECK(get_info(d).epoch > epoch && get_info(d).n_cut_by_switch == 1);
    CHECK(ping(d, &p, 0, 60));
    dpdkr_close(d);
    fake_port_die(&p);
}

/* The switch breaks the rings in every way that can be noticed. */
static void
test_broken_by_switch(void)
{
    for (int i = 0; i < 4; i++) {
        struct dpdkr_frame f;
        struct fake_port p;
        struct dpdkr *d;
        uint8_t data[256];

        fake_port_create(&p, path, 1, 64, 256, 200);
        d = open_port();
        CHECK(wait_link(d, &p, true));
        CHECK(ping(d, &p, 0, 60));
        n_logged = 0;
        fill(data, sizeof data, 0);
        switch (i) {
        case 0:                 /* Producer's index. */
            p.tx[0].r.ctl->prod += 100000;
            break;
        case 1:                 /* Length. */
            fake_port_send(&p, 0, data, 60);
            p.tx[0].r.descs[1].len = 257;
            break;
        case 2:                 /* Flags. */
            fake_port_send(&p, 0, data, 60);
            p.tx[0].r.descs[1].flags = 2;
            break;
        case 3:                 /* Consumer's index. */
            p.rx[0].r.ctl->cons += 70;
            break;
        }
        f = (struct dpdkr_frame) { .data = data, .len = 60, .size = 256 };
        if (i < 3) {
            CHECK(!dpdkr_rx_burst(d, 0, &f, 1));
            CHECK(!dpdkr_rx_burst(d, 0, &f, 1));
        } else {
            for (int j = 0; j < 100; j++) {
                dpdkr_tx_burst(d, 0, &f, 1);
            }
        }
        dpdkr_run(d);
        CHECK(!dpdkr_link_up(d));
        CHECK(n_logged == 1 && strstr(last_log, "switch broke"));
        CHECK(p.them->cut == p.us->epoch);
        CHECK(p.them->cut_reason == (i == 1 ? DPDKR_CUT_LENGTH
                                     : i == 2 ? DPDKR_CUT_FLAGS
                                     : DPDKR_CUT_INDEX));
        fake_port_run(&p);
        CHECK(wait_link(d, &p, true));
        CHECK(!p.them->cut);
        CHECK(ping(d, &p, 0, 60));
        CHECK(get_info(d).n_cut_by_us == 1);
        dpdkr_close(d);
        fake_port_die(&p);
    }
}

static void
test_switch_death(void)
{
    uint8_t data[256], in[256];
    struct dpdkr_frame f;
    struct fake_port p;
    struct dpdkr *d;

    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 60));

    /* Frames in both directions survive the death of the switch. */
    fill(data, sizeof data, 1);
    f = (struct dpdkr_frame) { .data = data, .len = 99 };
    CHECK(dpdkr_tx_burst(d, 0, &f, 1) == 1);
    CHECK(fake_port_send(&p, 0, data, 98));
    fake_port_die(&p);
    dpdkr_run(d);
    CHECK(!dpdkr_link_up(d));
    CHECK(!dpdkr_tx_burst(d, 0, &f, 1));

    fake_port_adopt(&p, path);
    CHECK(wait_link(d, &p, true));
    CHECK(p.attached == 0);     /* The same epoch. */
    CHECK(fake_port_receive(&p, 0, in, sizeof in) == 99);
    f = (struct dpdkr_frame) { .data = in, .size = sizeof in };
    CHECK(dpdkr_rx_burst(d, 0, &f, 1) == 1 && f.len == 98);
    CHECK(ping(d, &p, 0, 60));
    CHECK(get_info(d).n_attached == 1);

    /* A return that is too fast to be noticed. */
    fake_port_die(&p);
    fake_port_adopt(&p, path);
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 60));

    /* A switch that forgot 'ack'. */
    p.us->ack = 0;
    dpdkr_run(d);
    CHECK(!dpdkr_link_up(d));
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 60));
    CHECK(get_info(d).n_attached == 2);

    /* Set down by the switch. */
    p.us->state = DPDKR_ADMIN_DOWN;
    dpdkr_run(d);
    CHECK(!dpdkr_link_up(d));
    p.us->state = DPDKR_UP;
    CHECK(wait_link(d, &p, true));
    CHECK(get_info(d).n_attached == 2);
    dpdkr_close(d);
    fake_port_die(&p);
}

static void
test_retired(void)
{
    struct fake_port p, q;
    struct dpdkr *d;
    char error[256];

    /* Retired, and made anew with another geometry. */
    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    fake_port_retire(&p, true);
    CHECK(wait_link(d, NULL, false));
    dpdkr_run(d);
    CHECK(!get_info(d).mapped);
    fake_port_create(&p, path, 4, 128, 2048, 1500);
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 1500));
    CHECK(get_info(d).n_rxq == 1 && get_info(d).n_queues == 4);

    /* Retired; the file stays a while. */
    fake_port_retire(&p, false);
    CHECK(wait_link(d, NULL, false));
    dpdkr_run(d);
    CHECK(!get_info(d).mapped);
    struct dpdkr *other;
    CHECK(dpdkr_open(path, NULL, &other, error, sizeof error) == ESTALE);
    fake_port_create(&p, path, 1, 64, 256, 200);
    CHECK(wait_link(d, &p, true));

    /* The switch died and came back with another file. */
    fake_port_die(&p);
    CHECK(wait_link(d, NULL, false));
    CHECK(get_info(d).mapped);
    fake_port_create(&q, path2, 2, 64, 256, 200);
    CHECK(!rename(path2, path));
    CHECK(wait_link(d, &q, true));
    CHECK(ping(d, &q, 0, 60));

    /* It was truncated. */
    fake_port_die(&q);
    CHECK(!truncate(path, 4096));
    CHECK(wait_link(d, NULL, false));
    dpdkr_run(d);
    CHECK(!get_info(d).mapped);
    CHECK(strstr(last_log, "smaller than its header says"));
    fake_port_create(&p, path, 1, 64, 256, 200);
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 60));
    dpdkr_close(d);
    fake_port_die(&p);
}

static void
test_wait_for_file(void)
{
    struct fake_port p;
    struct dpdkr *d;
    char error[256];

    unlink(path);
    CHECK(dpdkr_open(path, NULL, &d, error, sizeof error) == ENOENT);
    CHECK(strstr(error, path));
    d = open_port_flags(path, DPDKR_OPEN_WAIT);
    dpdkr_run(d);
    CHECK(!dpdkr_link_up(d) && !get_info(d).mapped);
    fake_port_create(&p, path, 1, 64, 256, 200);
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 60));
    dpdkr_close(d);

    /* Too many queues. */
    struct dpdkr_options o = DPDKR_OPTIONS_INIT;
    o.n_rxq = 2;
    CHECK(dpdkr_open(path, &o, &d, error, sizeof error) == EINVAL);

    /* Things that are no port. */
    CHECK(dpdkr_open(dir, NULL, &d, error, sizeof error));
    CHECK(strstr(error, dir));
    CHECK(dpdkr_open("/dev/null", NULL, &d, error, sizeof error) == EPROTO);
    p.h->kind = DPDKR_KIND_LINK;
    CHECK(dpdkr_open(path, NULL, &d, error, sizeof error) == EPROTO);
    CHECK(strstr(error, "not the memory of a port"));
    p.h->kind = DPDKR_KIND_PORT;
    p.h->version = DPDKR_VERSION(2, 0);
    CHECK(dpdkr_open(path, NULL, &d, error, sizeof error) == EPROTO);
    CHECK(strstr(error, "version"));
    p.h->version = DPDKR_ABI_VERSION;

    /* A switch of another version. */
    p.us->version = DPDKR_VERSION(3, 1);
    p.attached = 0;
    d = open_port();
    dpdkr_run(d);
    CHECK(strstr(last_log, "version 3.1"));
    fake_port_run(&p);
    CHECK(!p.attached);
    dpdkr_close(d);
    fake_port_die(&p);
}

static void
test_heartbeat(void)
{
    struct fake_port p;
    struct dpdkr *d;
    int64_t start;
    uint64_t beat;

    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port_flags(path, DPDKR_OPEN_BAR);
    CHECK(wait_link(d, &p, true));
    CHECK(p.them->flags & DPDKR_F_HEARTBEAT);
    CHECK(ping(d, &p, 0, 60));
    beat = p.them->heartbeat;
    dpdkr_run(d);
    CHECK(p.them->heartbeat > beat);

    /* The heart of the switch stops. */
    start = now_us();
    CHECK(wait_link(d, NULL, false));
    CHECK(now_us() - start > 2000000);
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 60));
    CHECK(get_info(d).n_attached == 1);
    dpdkr_close(d);
    fake_port_die(&p);
}

/* What an earlier peer left in a ring is skipped, not received. */
static void
test_skipped(void)
{
    uint8_t data[256];
    struct dpdkr_frame f = { .data = data, .size = sizeof data };
    struct fake_port p;
    struct dpdkr *d;

    fake_port_create(&p, path, 1, 64, 256, 200);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    for (int i = 0; i < 5; i++) {
        CHECK(fake_port_send(&p, 0, data, 60));
    }
    CHECK(dpdkr_rx_burst(d, 0, &f, 1) == 1);
    dpdkr_close(d);
    fake_port_run(&p);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    CHECK(get_stats(d).rx_skipped == 4);
    CHECK(p.tx[0].r.ctl->cons_skipped == 4);
    CHECK(!dpdkr_rx_burst(d, 0, &f, 1));
    CHECK(ping(d, &p, 0, 60));

    /* The other way round: what the switch has not taken is dropped, such as
     * a descriptor that it would cut the next peer off for. */
    f = (struct dpdkr_frame) { .data = data, .len = 60, .size = 256 };
    CHECK(dpdkr_tx_burst(d, 0, &f, 1) == 1 && dpdkr_tx_burst(d, 0, &f, 1));
    p.rx[0].r.descs[(p.rx[0].cons + 1) & p.rx[0].r.mask].len = 257;
    dpdkr_close(d);
    fake_port_run(&p);
    d = open_port();
    CHECK(wait_link(d, &p, true));
    CHECK(p.rx[0].r.ctl->drop_other == 2);
    CHECK(ping(d, &p, 0, 60));

    /* Whatever an earlier peer wrote over its own part, or the switch's. */
    dpdkr_close(d);
    fake_port_run(&p);
    memset(p.them, 0xff, sizeof *p.them);
    p.tx[0].r.ctl->cons = 12345678;
    p.rx[0].r.ctl->prod = 87654321;
    d = open_port();
    CHECK(wait_link(d, &p, true));
    CHECK(ping(d, &p, 0, 60));
    dpdkr_close(d);
    fake_port_die(&p);
}


struct test {
    const char *name;
    void (*run)(void);
};

int
main(int argc, char *argv[])
{
    static const struct test tests[] = {
        { "basic", test_basic },
        { "jumbo", test_jumbo },
        { "full-ring", test_full_ring },
        { "sizes", test_sizes },
        { "zero-copy", test_zero_copy },
        { "cut-off", test_cut_off },
        { "broken-by-switch", test_broken_by_switch },
        { "switch-death", test_switch_death },
        { "retired", test_retired },
        { "wait-for-file", test_wait_for_file },
        { "heartbeat", test_heartbeat },
        { "skipped", test_skipped },
        { "wait", test_wait },
        { "wake-rounds", test_wake_rounds },
        { "threads", test_threads },
        { "corrupt-header", test_corrupt_header },
        { "scribble", test_scribble },
    };
    const char *tmp = getenv("TMPDIR");
    bool any_failed = false;

    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(dir, sizeof dir, "%s/test-libdpdkr.XXXXXX",
             tmp && strlen(tmp) < 32 ? tmp : "/dev/shm");
    if (!mkdtemp(dir)) {
        err(2, "%s: mkdtemp", dir);
    }
    snprintf(path, sizeof path, "%s/port", dir);
    snprintf(path2, sizeof path2, "%s/port.new", dir);
    alarm(600);

    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        bool wanted = argc < 2;

        for (int j = 1; j < argc; j++) {
            wanted |= !strcmp(argv[j], tests[i].name);
        }
        if (!wanted) {
            continue;
        }
        test_name = tests[i].name;
        failed = false;
        n_logged = 0;
        last_log[0] = '\0';
        tests[i].run();
        printf("%sok %s\n", failed ? "not " : "", test_name);
        any_failed |= failed;
    }
    unlink(path);
    unlink(path2);
    rmdir(dir);
    return any_failed;
}
