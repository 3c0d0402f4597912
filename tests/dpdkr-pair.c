/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "dpdkr-pair.h"

#include <err.h>

static char dir[64];            /* A new directory for the test's files. */

struct dpdkr_info
links_info(struct dpdkr *d)
{
    struct dpdkr_info i;

    dpdkr_get_info(d, &i, sizeof i);
    return i;
}

struct dpdkr_stats
links_stats(struct dpdkr *d)
{
    struct dpdkr_stats s;

    dpdkr_get_stats(d, DPDKR_ALL_QUEUES, &s, sizeof s);
    return s;
}

uint32_t
first_ring(const void *frame, uint32_t n_rxq)
{
    (void) frame;
    (void) n_rxq;
    return 0;
}

static void
log_message(void *aux, enum dpdkr_log_level level, const char *message)
{
    (void) aux;
    if (getenv("VERBOSE")) {
        printf("# %d %s\n", level, message);
    }
}

static struct dpdkr *
open_peer(const char *path, uint32_t n_rxq, uint32_t flags)
{
    struct dpdkr_options o = DPDKR_OPTIONS_INIT;
    char error[256];
    struct dpdkr *d;

    o.flags = flags;
    o.n_rxq = n_rxq;
    o.log = log_message;
    if (dpdkr_open(path, &o, &d, error, sizeof error)) {
        errx(2, "%s", error);
    }
    return d;
}

const char *
pair_file(const char *name)
{
    static char paths[4][128];
    static unsigned int i;
    char *path = paths[i++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

void
pair_run(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        if (p->ports[i].base) {
            fake_port_run(&p->ports[i]);
        }
        dpdkr_run(p->peers[i]);
    }
}

bool
pair_wait_link(struct pair *p)
{
    int64_t end = links_now_us() + 5000000;

    do {
        pair_run(p);
        if (p->ports[0].up && p->ports[1].up && dpdkr_link_up(p->peers[0])
            && dpdkr_link_up(p->peers[1])) {
            return true;
        }
        usleep(200);
    } while (links_now_us() < end);
    return false;
}

bool
pair_init(struct pair *p, uint32_t n_queues, uint32_t ring_size,
          uint32_t link_ring_size, uint32_t flags)
{
    memset(p, 0, sizeof *p);
    for (int i = 0; i < 2; i++) {
        const char *path = pair_file(i ? "port1" : "port0");

        fake_port_create(&p->ports[i], path, n_queues, ring_size, 512, 400);
        p->peers[i] = open_peer(path, 0, flags);
    }
    fake_link_create(&p->link, pair_file("link"), &p->ports[0],
                     &p->ports[1], n_queues, link_ring_size, 512);
    return pair_wait_link(p);
}

void
pair_destroy(struct pair *p)
{
    fake_link_destroy(&p->link);
    for (int i = 0; i < 2; i++) {
        dpdkr_close(p->peers[i]);
        fake_port_retire(&p->ports[i], true);
    }
}

bool
pair_wait_answers(struct pair *p, int status)
{
    int64_t end = links_now_us() + 5000000;

    do {
        pair_run(p);
        if (fake_answer(&p->ports[0], p->link.entries[0]) == status
            && fake_answer(&p->ports[1], p->link.entries[1]) == status) {
            return true;
        }
        usleep(200);
    } while (links_now_us() < end);
    return false;
}

bool
pair_offer(struct pair *p)
{
    fake_link_offer_both(&p->link, 0, 0);
    return pair_wait_answers(p, DPDKR_LINK_MAPPED);
}

void
pair_make_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(dir, sizeof dir, "%s/links.XXXXXX",
             tmp && strlen(tmp) < 32 ? tmp : "/dev/shm");
    if (!mkdtemp(dir)) {
        err(2, "%s: mkdtemp", dir);
    }
}

void
pair_remove_dir(void)
{
    unlink(pair_file("port0"));
    unlink(pair_file("port1"));
    unlink(pair_file("link"));
    rmdir(dir);
}
