/* SPDX-License-Identifier: Apache-2.0 */

/* A peer that attaches in good order, then misbehaves.
 *
 * The library does the former.  For the latter the file is mapped a second
 * time.  Whenever the switch has cut the port off and the library has attached
 * it again, the attack is repeated. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "dpdkr-traffic.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <dpdkr/abi.h>
#include <dpdkr/ring.h>

struct victim {
    const char *path;
    int fd;
    uint8_t *base;
    struct dpdkr_geometry g;
    uint64_t random;
};

static uint64_t
random64(struct victim *v)
{
    v->random ^= v->random << 13;
    v->random ^= v->random >> 7;
    v->random ^= v->random << 17;
    return v->random;
}

static void
victim_open(struct victim *v, const char *path)
{
    struct dpdkr_header h;
    const char *problem;
    struct stat s;

    v->path = path;
    v->random = opts.seed * 0x9e3779b97f4a7c15 + 1;
    v->fd = open(path, O_RDWR | O_CLOEXEC);
    if (v->fd < 0 || fstat(v->fd, &s)
        || pread(v->fd, &h, sizeof h, 0) != sizeof h) {
        err(2, "%s", path);
    }
    problem = dpdkr_geometry_read(&v->g, &h, s.st_size);
    if (problem) {
        errx(2, "%s: %s", path, problem);
    }
    v->base = mmap(NULL, s.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                   v->fd, 0);
    if (v->base == MAP_FAILED) {
        err(2, "%s: mmap", path);
    }
}

/* Random ring of those that side B produces. */
static struct dpdkr_ring_view
our_ring(struct victim *v)
{
    struct dpdkr_ring_view r;

    dpdkr_ring_view_init(&r, v->base, &v->g,
                         dpdkr_ring_of(random64(v) % v->g.n_queues,
                                       DPDKR_SIDE_B));
    return r;
}

static void
scribble(struct victim *v)
{
    for (int i = 0; i < 4096; i++) {
        uint64_t x = random64(v);
        /* The first part of the memory matters most. */
        uint64_t limit = (i & 1 ? v->g.total_size : v->g.slots_offset);

        v->base[(x >> 8) % limit] = x;
    }
}

static void
bad_index(struct victim *v)
{
    for (uint32_t q = 0; q < v->g.n_queues; q++) {
        struct dpdkr_ring_view r;

        dpdkr_ring_view_init(&r, v->base, &v->g,
                             dpdkr_ring_of(q, DPDKR_SIDE_B));
        r.ctl->prod += v->g.ring_size + 1 + random64(v) % 100000;
        dpdkr_ring_view_init(&r, v->base, &v->g,
                             dpdkr_ring_of(q, DPDKR_SIDE_A));
        r.ctl->cons += v->g.ring_size + 1 + random64(v) % 100000;
    }
}

/* Publishes a frame whose descriptor is 'desc'. */
static void
bad_desc(struct victim *v, struct dpdkr_desc desc)
{
    struct dpdkr_ring_view r = our_ring(v);
    uint32_t prod = __atomic_load_n(&r.ctl->prod, __ATOMIC_RELAXED);

    r.descs[prod & r.mask] = desc;
    __atomic_store_n(&r.ctl->prod, prod + 1, __ATOMIC_RELEASE);
}

static void
bad_length(struct victim *v)
{
    uint64_t x = random64(v);

    bad_desc(v, (struct dpdkr_desc) {
        .len = x & 1 ? UINT32_MAX - (x >> 60)
               : v->g.slot_size + 1 + (x >> 32) % 65536,
    });
}

static void
bad_flags(struct victim *v)
{
    uint64_t x = random64(v);

    bad_desc(v, (struct dpdkr_desc) {
        .len = 60, .flags = x & 1 ? 1u << (x >> 60) : 0, .pad = !(x & 1),
    });
}

static void
shrink(struct victim *v)
{
    if (ftruncate(v->fd, random64(v) & 1 ? 0 : 4096)) {
        fprintf(stderr, "%s: truncate: %s\n", v->path, strerror(errno));
    }
}

static void
unlink_file(struct victim *v)
{
    if (unlink(v->path)) {
        fprintf(stderr, "%s: unlink: %s\n", v->path, strerror(errno));
    }
}

static void
spoil_header(struct victim *v)
{
    for (size_t i = 0; i < offsetof(struct dpdkr_header, side[1]); i++) {
        v->base[i] = random64(v) >> 24;
    }
}

static void
flood_epochs(struct victim *v)
{
    struct dpdkr_header *h = (struct dpdkr_header *) (void *) v->base;
    struct dpdkr_side *us = &h->side[DPDKR_SIDE_B];

    for (int i = 0; i < 10000; i++) {
        __atomic_store_n(&us->epoch, us->epoch + 1, __ATOMIC_RELEASE);
        __atomic_store_n(&us->state, random64(v) % 6, __ATOMIC_RELEASE);
    }
}

static void
stop_self(struct victim *v)
{
    (void) v;
    raise(SIGSTOP);             /* Until SIGCONT. */
}

int
run_hostile(const char *path, struct dpdkr *port, const char *mode)
{
    static const struct {
        const char *name;
        void (*attack)(struct victim *);
        bool once;              /* Nothing is left to be attacked. */
        bool always;            /* Also while the link is down. */
    } modes[] = {
        { "scribble", scribble, false, true },
        { "bad-index", bad_index, false, false },
        { "bad-length", bad_length, false, false },
        { "bad-flags", bad_flags, false, false },
        { "truncate", shrink, true, false },
        { "unlink", unlink_file, true, false },
        { "header", spoil_header, false, true },
        { "epoch-flood", flood_epochs, false, true },
        { "stop", stop_self, true, false },
    };
    double start = now_s();
    struct victim v;
    struct dpdkr_info info;
    uint64_t n_attacks = 0;
    size_t m;

    for (m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        if (!strcmp(mode, modes[m].name)) {
            break;
        }
    }
    if (m >= sizeof modes / sizeof modes[0]) {
        errx(2, "%s: no such mode, see --help", mode);
    }
    victim_open(&v, path);
    while (!stopping
           && !(opts.duration && now_s() - start >= opts.duration)
           && !(opts.count && n_attacks >= opts.count)) {
        struct timespec ts = { 0, 5000000 };

        if ((modes[m].always || dpdkr_link_up(port))
            && !(modes[m].once && n_attacks)) {
            modes[m].attack(&v);
            n_attacks++;
            if (!opts.quiet && (n_attacks & (n_attacks - 1)) == 0) {
                fprintf(stderr, "%s: attack %llu\n", mode,
                        (unsigned long long) n_attacks);
            }
        }
        nanosleep(&ts, NULL);
        dpdkr_run(port);
    }
    dpdkr_get_info(port, &info, sizeof info);
    printf("{\"command\": \"hostile\", \"mode\": \"%s\", \"attacks\": %llu, "
           "\"attached\": %llu, \"cut_by_switch\": %llu, "
           "\"last_cut\": \"%s\"}\n", mode,
           (unsigned long long) n_attacks,
           (unsigned long long) info.n_attached,
           (unsigned long long) info.n_cut_by_switch, info.last_cut);
    close(v.fd);
    return 0;
}
