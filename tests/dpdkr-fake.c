/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "dpdkr-fake.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

static void
fake_port_map(struct fake_port *p)
{
    p->base = mmap(NULL, p->g.total_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                   p->fd, 0);
    if (p->base == MAP_FAILED) {
        err(2, "%s: mmap", p->path);
    }
    p->h = p->base;
    p->us = &p->h->side[DPDKR_SIDE_A];
    p->them = &p->h->side[DPDKR_SIDE_B];
}

static void
fake_port_open(struct fake_port *p, const char *path, int flags)
{
    struct flock fl = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = DPDKR_LOCK_OFFSET + DPDKR_SIDE_A,
        .l_len = 1,
    };

    memset(p, 0, sizeof *p);
    p->path = strdup(path);
    p->fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    if (p->fd < 0) {
        err(2, "%s: open", path);
    }
    if (fcntl(p->fd, F_OFD_SETLK, &fl)) {
        err(2, "%s: lock", path);
    }
}

static void
fake_port_init_rings(struct fake_port *p)
{
    for (uint32_t i = 0; i < p->g.n_queues; i++) {
        dpdkr_consumer_init(&p->rx[i], p->base, &p->g,
                            dpdkr_ring_of(i, DPDKR_SIDE_B));
        dpdkr_producer_init(&p->tx[i], p->base, &p->g,
                            dpdkr_ring_of(i, DPDKR_SIDE_A));
        dpdkr_consumer_adopt(&p->rx[i]);
        dpdkr_producer_adopt(&p->tx[i]);
    }
    p->us->epoch++;
    p->us->version = DPDKR_ABI_VERSION;
    p->us->flags = DPDKR_F_HEARTBEAT;
    p->us->n_rxq = p->us->n_txq = p->g.n_queues;
    p->us->pid = getpid();
    p->us->state = DPDKR_UP;
}

void
fake_port_create(struct fake_port *p, const char *path, uint32_t n_queues,
                 uint32_t ring_size, uint32_t slot_size, uint32_t mtu)
{
    const uint8_t mac[6] = { 0x02, 0, 0, 0, 0, 0xbb };
    uint8_t id[16];
    const char *problem;

    unlink(path);
    fake_port_open(p, path, O_CREAT | O_EXCL);
    problem = dpdkr_geometry_init(&p->g, n_queues, ring_size, slot_size);
    if (problem) {
        errx(2, "%s: %s", path, problem);
    }
    if (ftruncate(p->fd, p->g.total_size)) {
        err(2, "%s: ftruncate", path);
    }
    fake_port_map(p);
    if (getrandom(id, sizeof id, 0) != sizeof id) {
        err(2, "getrandom");
    }
    dpdkr_header_init(p->h, &p->g, DPDKR_KIND_PORT, id);
    p->us->mtu = mtu;
    memcpy(p->us->mac, mac, sizeof mac);
    strcpy(p->us->name, "fake0");
    fake_port_init_rings(p);
    __atomic_store_n(&p->h->magic, DPDKR_MAGIC, __ATOMIC_RELEASE);
}

void
fake_port_adopt(struct fake_port *p, const char *path)
{
    struct dpdkr_header h;
    const char *problem;
    struct stat s;

    fake_port_open(p, path, 0);
    if (pread(p->fd, &h, sizeof h, 0) != sizeof h || fstat(p->fd, &s)) {
        err(2, "%s: read", path);
    }
    problem = dpdkr_geometry_read(&p->g, &h, s.st_size);
    if (problem) {
        errx(2, "%s: %s", path, problem);
    }
    fake_port_map(p);
    fake_port_init_rings(p);
}

static void
fake_port_close(struct fake_port *p)
{
    munmap(p->base, p->g.total_size);
    close(p->fd);
    free(p->path);
    memset(p, 0, sizeof *p);
    p->fd = -1;
}

void
fake_port_die(struct fake_port *p)
{
    fake_port_close(p);
}

void
fake_port_retire(struct fake_port *p, bool unlink_file)
{
    __atomic_store_n(&p->us->state, DPDKR_RETIRED, __ATOMIC_RELEASE);
    if (unlink_file) {
        unlink(p->path);
    }
    fake_port_close(p);
}

static bool
peer_alive(struct fake_port *p)
{
    struct flock fl = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = DPDKR_LOCK_OFFSET + DPDKR_SIDE_B,
        .l_len = 1,
    };

    return ((p->them->flags & DPDKR_F_HEARTBEAT)
            || (!fcntl(p->fd, F_OFD_GETLK, &fl) && fl.l_type != F_UNLCK));
}

bool
fake_port_run(struct fake_port *p)
{
    uint32_t epoch = __atomic_load_n(&p->them->epoch, __ATOMIC_ACQUIRE);
    uint32_t state = __atomic_load_n(&p->them->state, __ATOMIC_ACQUIRE);

    __atomic_store_n(&p->us->heartbeat, p->us->heartbeat + 1,
                     __ATOMIC_RELAXED);
    if (!epoch || state == DPDKR_DOWN || !peer_alive(p)) {
        p->up = false;
    } else if (epoch != p->us->ack) {
        p->up = false;
        if (p->keep_ack) {
            return false;
        }
        for (uint32_t i = 0; i < p->g.n_queues; i++) {
            dpdkr_consumer_publish__(&p->rx[i]);
            dpdkr_producer_publish__(&p->tx[i]);
        }
        p->us->cut = 0;
        p->us->cut_reason = 0;
        p->attached++;
        __atomic_store_n(&p->us->ack, epoch, __ATOMIC_RELEASE);
    } else if (p->us->cut == epoch) {
        p->up = false;
    } else if (state == DPDKR_UP && !p->up) {
        for (uint32_t i = 0; i < p->g.n_queues; i++) {
            dpdkr_consumer_start(&p->rx[i], false);
            dpdkr_producer_start(&p->tx[i]);
            p->tx[i].consumer_sleeps = p->them->flags & DPDKR_F_SLEEPS;
            p->rx[i].takes_notes = p->them->flags & DPDKR_F_LINKS;
        }
        p->up = true;
    } else if (state != DPDKR_UP) {
        p->up = false;
    }
    return p->up;
}

void
fake_port_cut(struct fake_port *p, uint32_t reason)
{
    p->us->cut_reason = reason;
    __atomic_store_n(&p->us->cut, p->us->ack, __ATOMIC_RELEASE);
    p->up = false;
}

bool
fake_port_send(struct fake_port *p, uint32_t queue, const void *data,
               uint32_t len)
{
    struct dpdkr_producer *tx = &p->tx[queue];

    if (!p->up || !dpdkr_producer_room(tx, 1)) {
        return false;
    }
    memcpy(dpdkr_producer_slot(tx, 0), data, len);
    dpdkr_producer_set(tx, 0, len);
    dpdkr_producer_publish(tx, 1);
    return true;
}

uint32_t
fake_port_receive(struct fake_port *p, uint32_t queue, void *data,
                  uint32_t size)
{
    struct dpdkr_consumer *rx = &p->rx[queue];
    const uint8_t *frame;
    uint32_t len;

    if (!p->up || !dpdkr_consumer_avail(rx, 1)) {
        return 0;
    }
    frame = dpdkr_consumer_frame(rx, 0, &len);
    if (!frame) {
        return 0;
    }
    memcpy(data, frame, len < size ? len : size);
    dpdkr_consumer_release(rx, 1);
    return len;
}
