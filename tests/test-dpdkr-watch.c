/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of the limits on what a peer can make the switch do,
 * lib/dpdkr-watch.c, on a clock of their own. */

#include <config.h>

#include "dpdkr-watch.h"

#include <stdio.h>
#include <unistd.h>

#include "dpdkr-bench.h"
#include "dpdkr-dir.h"
#include "dpdkr-mem.h"
#include "dpdkr-port.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "util.h"

/* How often the owner of a port runs its watch. */
#define STEP 50

static unsigned int
run(struct dpdkr_watch *w, struct bench *b)
{
    return dpdkr_watch_run(w, b->port, b->now);
}

static bool
announces(struct dpdkr_watch *w, struct bench *b)
{
    return (run(w, b) & DPDKR_WATCH_ANNOUNCE) != 0;
}

/* ## ------------- ## */
/* ## Announcements ## */
/* ## ------------- ## */

/* A peer that attaches anew each time that the switch looks. */
static bool
announces_flap(struct dpdkr_watch *w, struct bench *b)
{
    dpdkr_peer_announce(&b->peer);
    return announces(w, b);
}

/* Opens a bench whose peer has had all that may be announced in a row. */
static void
open_limited(struct bench *b, struct dpdkr_watch *w)
{
    int n = 0;

    bench_open(b, 1, 64);
    dpdkr_watch_init(w);
    CHECK_EQ(run(w, b), 0);
    while (n < 1000 && announces_flap(w, b)) {
        n++;
    }
    CHECK_EQ(n, 60);
}

static void
test_burst(void)
{
    struct dpdkr_watch w;
    struct bench b;

    open_limited(&b, &w);

    /* From now on, one a second. */
    long long int start = b.now;
    for (int i = 1; i <= 120; i++) {
        long long int due = start + 1000 * i;

        while (b.now + STEP < due) {
            b.now += STEP;
            CHECK(!announces_flap(&w, &b));
        }
        b.now = due;
        CHECK(announces_flap(&w, &b));
    }

    /* Ten quiet seconds are good for ten. */
    b.now += 10 * 1000;
    for (int i = 0; i < 10; i++) {
        CHECK(announces_flap(&w, &b));
    }
    CHECK(!announces_flap(&w, &b));

    /* A quiet day is good for no more than before. */
    b.now += 24 * 60 * 60 * 1000;
    for (int i = 0; i < 60; i++) {
        CHECK(announces_flap(&w, &b));
    }
    CHECK(!announces_flap(&w, &b));
    bench_close(&b);
}

/* One that comes and goes slowly is told of each time, for ever. */
static void
test_slow(void)
{
    struct dpdkr_watch w;
    struct bench b;

    bench_open(&b, 1, 64);
    dpdkr_watch_init(&w);
    for (int i = 0; i < 1000; i++) {
        CHECK(announces_flap(&w, &b));
        b.now += 1000;
    }
    bench_close(&b);
}

/* What could not be announced is announced later, as it is then. */
static void
test_later(void)
{
    struct dpdkr_watch w;
    struct bench b;

    open_limited(&b, &w);
    CHECK(!w.linked);
    CHECK_EQ(w.carrier_resets, 0);

    /* The link comes up and nobody is told... */
    dpdkr_peer_start(&b.peer);
    CHECK(!announces(&w, &b));
    CHECK(b.port->linked);
    CHECK(!w.linked);

    /* ...nor of its going down and up again. */
    for (int i = 0; i < 5; i++) {
        dpdkr_peer_detach(&b.peer);
        CHECK(!announces(&w, &b));
        CHECK(!b.port->linked);
        dpdkr_peer_announce(&b.peer);
        CHECK(!announces(&w, &b));
        dpdkr_peer_start(&b.peer);
        CHECK(!announces(&w, &b));
        CHECK(b.port->linked);
    }
    CHECK(!w.linked);
    b.now += 1000;
    CHECK(announces(&w, &b));
    CHECK(w.linked);
    CHECK_EQ(w.carrier_resets, 1);

    /* Down and up between two announcements counts for nothing. */
    dpdkr_peer_detach(&b.peer);
    CHECK(!announces(&w, &b));
    REQUIRE(bench_attach(&b));
    b.now += 1000;
    b.peer.us->heartbeat++;
    CHECK(announces(&w, &b));
    CHECK(w.linked);
    CHECK_EQ(w.carrier_resets, 1);
    bench_close(&b);
}

/* What the administrator does is announced in any case, and not at the expense
 * of the peer. */
static void
test_expedite(void)
{
    struct dpdkr_watch w;
    struct bench b;

    open_limited(&b, &w);
    dpdkr_peer_start(&b.peer);
    CHECK(!announces(&w, &b));
    for (int i = 0; i < 10; i++) {
        dpdkr_port_set_admin(b.port, i % 2);
        dpdkr_watch_expedite(&w);
        CHECK(announces(&w, &b));
        CHECK_EQ(w.linked, i % 2);
    }
    CHECK_EQ(w.carrier_resets, 9);

    /* It is used up, also when there was nothing to announce. */
    dpdkr_watch_expedite(&w);
    CHECK(!announces(&w, &b));
    CHECK(!announces_flap(&w, &b));
    b.now += 1000;
    CHECK(announces_flap(&w, &b));
    CHECK(!announces_flap(&w, &b));
    bench_close(&b);
}

/* Each change is announced once more two seconds later. */
static void
test_reminder(void)
{
    struct dpdkr_watch w;
    struct bench b;

    bench_open(&b, 1, 64);
    dpdkr_watch_init(&w);
    CHECK(announces_flap(&w, &b));
    b.now += 1950;
    b.peer.us->heartbeat++;
    CHECK(!announces(&w, &b));
    b.now += 50;
    CHECK(announces(&w, &b));
    for (int i = 0; i < 100; i++) {
        b.now += STEP;
        b.peer.us->heartbeat++;
        CHECK(!announces(&w, &b));
    }
    bench_close(&b);
}

/* ## -------- ## */
/* ## The file ## */
/* ## -------- ## */

/* A port with a file, and what watches it. */
struct scene {
    char *path;
    struct dpdkr_mem_config config;
    struct dpdkr_watch w;
    struct bench b;
};

static bool
open_scene(struct scene *s)
{
    s->path = in_dir("port");
    s->config = small_config(s->path);
    dpdkr_watch_init(&s->w);
    return bench_open_file(&s->b, &s->config);
}

static void
close_scene(struct scene *s)
{
    bench_close(&s->b);
    free(s->path);
}

/* Puts the port of 's' on a new memory, as the switch does after
 * DPDKR_WATCH_REMAKE. */
static bool
renew(struct scene *s)
{
    struct dpdkr_port *old = s->b.port;

    if (!bench_start_switch(&s->b, &s->config, old->mem)) {
        return false;
    }
    dpdkr_watch_remade(&s->w, true, s->b.now);
    dpdkr_port_destroy(old, true);
    dpdkr_watch_renew(&s->w);
    return true;
}

/* Lets time pass until the watch wants the memory made anew, 'limit' ms at
 * most.  Returns after how long, -1 for not at all. */
static long long int
wait_remake(struct scene *s, long long int limit)
{
    long long int start = s->b.now;

    while (!(run(&s->w, &s->b) & DPDKR_WATCH_REMAKE)) {
        if (s->b.now - start >= limit) {
            return -1;
        }
        s->b.now += STEP;
    }
    return s->b.now - start;
}

/* Lets 'ms' pass in which nothing happens to the file. */
static void
hold(struct scene *s, long long int ms)
{
    uint64_t before = s->w.n_memory_lost;

    CHECK_EQ(wait_remake(s, ms), -1);
    CHECK_EQ(s->w.n_memory_lost, before);
}

static void
truncate_file(const char *path)
{
    CHECK(!truncate(path, 0));
}

static void
remove_file(const char *path)
{
    CHECK(!unlink(path));
}

/* Does 'lose' to the file, which has just been made, after 'held' ms, and
 * makes it anew when the watch says so.  Returns how many ms after it was
 * noticed, which takes a second at most. */
static long long int
lose_and_remake(struct scene *s, void (*lose)(const char *path),
                long long int held)
{
    long long int lost, noticed = -1;
    unsigned int todo;

    hold(s, held);
    CHECK_EQ(s->w.file_status, DPDKR_MEM_OK);
    lose(s->path);
    lost = s->b.now;
    do {
        s->b.now += STEP;
        todo = run(&s->w, &s->b);
        if (noticed < 0 && s->w.file_status != DPDKR_MEM_OK) {
            noticed = s->b.now;
            CHECK(noticed - lost <= 1000);
        }
        if (!CHECK(s->b.now - lost < 100 * 1000)) {
            return -1;
        }
    } while (!(todo & DPDKR_WATCH_REMAKE));
    CHECK(noticed >= 0);
    CHECK(renew(s));
    CHECK_EQ(s->w.file_status, DPDKR_MEM_OK);
    return s->b.now - noticed;
}

/* Files that are truncated again and again. */
static void
test_truncate(void)
{
    static const int seconds[] = { 0, 1, 2, 4, 8, 16, 30, 30, 30 };
    struct scene s;

    REQUIRE(open_scene(&s));
    CHECK_EQ(run(&s.w, &s.b), 0);

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ARRAY_SIZE(seconds); i++) {
            CHECK_EQ(lose_and_remake(&s, truncate_file, 500),
                     seconds[i] * 1000);
        }
        /* It has not held for long enough, and then it has. */
        CHECK_EQ(lose_and_remake(&s, truncate_file, 58 * 1000),
                 30 * 1000);
        hold(&s, 60 * 1000);
    }
    CHECK_EQ(s.w.n_memory_lost, 3 * (ARRAY_SIZE(seconds) + 1));
    close_scene(&s);
}

/* The link of a peer that truncates its file goes down when the switch looks
 * at the memory, however long the file is going to take. */
static void
test_truncate_link(void)
{
    struct scene s;

    REQUIRE(open_scene(&s));
    for (int i = 0; i < 5; i++) {
        dpdkr_peer_init(&s.b.peer, s.b.mem->base, &s.b.g);
        REQUIRE(dpdkr_peer_lock(&s.b.peer, s.path));
        REQUIRE(bench_attach(&s.b));
        CHECK(announces(&s.w, &s.b));
        CHECK(s.w.linked);
        CHECK(!truncate(s.path, 0));
        s.b.now += STEP;
        CHECK(announces(&s.w, &s.b));
        CHECK(!s.w.linked);
        dpdkr_peer_die(&s.b.peer);
        CHECK(wait_remake(&s, 60 * 1000) >= 0);
        REQUIRE(renew(&s));
    }
    close_scene(&s);
}

/* There is no memory to be had. */
static void
test_retry(void)
{
    struct scene s;

    REQUIRE(open_scene(&s));
    CHECK_EQ(run(&s.w, &s.b), 0);
    CHECK(!truncate(s.path, 0));
    CHECK(wait_remake(&s, 1000) >= 0);
    for (int i = 0; i < 10; i++) {
        dpdkr_watch_remade(&s.w, false, s.b.now);
        CHECK_EQ(wait_remake(&s, 60 * 1000), 5000);
    }

    /* One that was tried in vain does not count. */
    REQUIRE(renew(&s));
    CHECK_EQ(lose_and_remake(&s, truncate_file, 500), 1000);
    CHECK_EQ(lose_and_remake(&s, truncate_file, 500), 2000);
    CHECK_EQ(s.w.n_memory_lost, 3);
    close_scene(&s);
}

/* A file that is no longer under its path is made anew when the peer, who can
 * go on with it, is gone. */
static void
test_remove(void)
{
    struct scene s;

    REQUIRE(open_scene(&s));
    REQUIRE(dpdkr_peer_lock(&s.b.peer, s.path));
    REQUIRE(bench_attach(&s.b));
    CHECK(!unlink(s.path));
    hold(&s, 100 * 1000);
    CHECK_EQ(s.w.file_status, DPDKR_MEM_GONE);
    CHECK(dpdkr_port_is_up(s.b.port));
    CHECK(s.w.linked);

    /* Also one that it makes itself is not in its way. */
    write_file(s.path, "x", 1);
    hold(&s, 2000);
    CHECK_EQ(s.w.file_status, DPDKR_MEM_HIDDEN);
    CHECK(!unlink(s.path));

    dpdkr_peer_die(&s.b.peer);
    CHECK(wait_remake(&s, 1000) >= 0);
    CHECK(!s.w.linked);
    CHECK(renew(&s));
    CHECK_EQ(s.w.n_memory_lost, 0);

    /* Nobody is attached: soon, then later and later, as with truncation. */
    for (int i = 1; i <= 4; i *= 2) {
        CHECK_EQ(lose_and_remake(&s, remove_file, 500),
                 i * 1000);
    }

    /* It comes back by itself. */
    char *aside = in_dir("aside");
    hold(&s, 2000);
    CHECK(!rename(s.path, aside));
    hold(&s, 1000);
    CHECK_EQ(s.w.file_status, DPDKR_MEM_GONE);
    CHECK(!rename(aside, s.path));
    hold(&s, 100 * 1000);
    CHECK_EQ(s.w.file_status, DPDKR_MEM_OK);
    free(aside);
    close_scene(&s);
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "burst", test_burst },
        { "slow", test_slow },
        { "later", test_later },
        { "expedite", test_expedite },
        { "reminder", test_reminder },
        { "truncate", test_truncate },
        { "truncate-link", test_truncate_link },
        { "retry", test_retry },
        { "remove", test_remove },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    nfv_test_before = make_dir;
    nfv_test_after = remove_dir;
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
