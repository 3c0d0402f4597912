/* SPDX-License-Identifier: Apache-2.0 */

/* Fuzzes the far end of a port: libdpdkr, above all its direct links
 * (drivers/libdpdkr/links.c, link-queue.c).
 *
 * The input is a program for a hostile switch, for the hostile program at the
 * other end of two links, and for the program that uses the library.  The
 * first two offer, order and send notes as they should, and write anything
 * anywhere in the memory of the port and in that of the links.  What has to
 * hold: nothing goes astray, each call comes back, what is received and sent
 * is within the limits, and a port that is closed leaves nothing behind. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <dpdkr/dpdkr.h>
#include <dpdkr/link.h>

#include <dirent.h>
#include <unistd.h>

#include "dpdkr-fake-link.h"
#include "fuzz-ring.h"

#define RING_SIZE 64
#define SLOT_SIZE 256
#define MAX_STEPS 300
#define N_LINKS 2
#define BURST 32

static char dir[64];
static uint32_t n_queues;
static struct fake_port ports[2];       /* The library's is the first. */
static struct fake_link links[N_LINKS];
static struct dpdkr *peer;
static unsigned int n_held[DPDKR_MAX_QUEUES], n_reserved[DPDKR_MAX_QUEUES];

static void
remove_dir(void)
{
    rmdir(dir);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;
    fuzz_make_dir(dir, sizeof dir);
    atexit(remove_dir);
    return 0;
}

static int
n_open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n;
}

/* ## ------- ## */
/* ## Hostile ## */
/* ## ------- ## */

/* A ring of the port or of a link, which the library reads or writes. */
static struct dpdkr_ring_view
some_ring(uint8_t x, uint32_t q)
{
    struct dpdkr_ring_view r;

    if (x & 0x40) {
        struct fake_link *l = &links[x & 1];

        dpdkr_ring_view_init(&r, l->base, &l->g,
                             dpdkr_ring_of(q, x >> 4 & 1));
    } else {
        dpdkr_ring_view_init(&r, ports[0].base, &ports[0].g,
                             dpdkr_ring_of(q, x >> 4 & 1));
    }
    return r;
}

static uint32_t
some_number(struct fuzz_input *in)
{
    const struct dpdkr_control *c = dpdkr_control(ports[0].base);
    int8_t x = fuzz_u8(in);

    return x & 0x40 ? x : c->tx_order.number + x % 4;
}

static void
offer(struct fuzz_input *in)
{
    struct dpdkr_control *c = dpdkr_control(ports[0].base);
    uint8_t x = fuzz_u8(in);
    uint32_t entry = x % DPDKR_MAX_LINKS;
    struct dpdkr_link_offer o
        = fake_link_offer(&links[x >> 2 & 1], x >> 3 & 1);

    switch (x >> 4) {
    default:
        fake_offer(&ports[0], entry, &o);
        break;
    case 4: case 5:
        fake_withdraw(&ports[0], entry);
        break;
    case 6:
        o.max_frame = fuzz_u32(in);
        fake_offer(&ports[0], entry, &o);
        break;
    case 7:
        o.side = fuzz_u8(in);
        o.id[0] ^= fuzz_u8(in);
        fake_offer(&ports[0], entry, &o);
        break;
    case 8:
        fuzz_get(in, o.file, sizeof o.file);
        fake_offer(&ports[0], entry, &o);
        break;
    case 9:
        c->offer[entry].rx_drain = some_number(in);
        fake_control_changed(&ports[0]);
        break;
    case 10:
        c->offer[entry].rx_force = some_number(in);
        fake_control_changed(&ports[0]);
        break;
    case 11:
        c->offer[entry].seq = fuzz_u8(in);
        break;
    }
}

/* Puts a frame or a note into a ring that the library reads. */
static void
put(struct fuzz_input *in, uint32_t q)
{
    const struct dpdkr_control *c = dpdkr_control(ports[0].base);
    uint8_t x = fuzz_u8(in), y = fuzz_u8(in);
    struct dpdkr_ring_view r = some_ring(x, q);
    uint32_t n = x & 0x20 ? 1 : y % 40;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t prod = r.ctl->prod;
        struct dpdkr_desc *d = &r.descs[prod & r.mask];

        if (x & 0x20) {
            d->len = some_number(in);
            d->flags = DPDKR_D_NOTE;
            d->pad = (x & 0x40 ? 0
                      : DPDKR_NOTE_PAD(c->offer[y & 3].seq, y & 3,
                                       y >> 2 & 3));
        } else {
            *d = (struct dpdkr_desc) { .len = 20 + (i * y) % SLOT_SIZE };
        }
        __atomic_store_n(&r.ctl->prod, prod + 1, __ATOMIC_RELEASE);
    }
}

static void
write_ring(struct fuzz_input *in, uint32_t q)
{
    uint8_t x = fuzz_u8(in);
    struct dpdkr_ring_view r = some_ring(x, q);

    fuzz_ring(in, &r, x >> 1 & 3);
}

/* Takes what the library has put into a ring. */
static void
take(struct fuzz_input *in, uint32_t q)
{
    uint8_t x = fuzz_u8(in);
    struct dpdkr_ring_view r = some_ring(x, q);
    uint32_t n = r.ctl->prod - r.ctl->cons;

    if (n <= RING_SIZE) {
        r.ctl->cons += x & 0x20 ? n : n / 2;
    }
}

/* ## ----------- ## */
/* ## The program ## */
/* ## ----------- ## */

static void
receive(uint32_t q, unsigned int n)
{
    static uint8_t data[BURST][SLOT_SIZE];
    struct dpdkr_frame frames[BURST];

    for (int i = 0; i < BURST; i++) {
        frames[i] = (struct dpdkr_frame) { .data = data[i],
                                           .size = sizeof data[i] };
    }
    unsigned int got = dpdkr_rx_burst(peer, q, frames, n);
    FUZZ_CHECK(got <= n && (!got || !n_held[q]));
    for (unsigned int i = 0; i < got; i++) {
        FUZZ_CHECK(frames[i].len >= DPDKR_MIN_FRAME
                   && frames[i].len <= SLOT_SIZE);
    }
}

static void
peek(uint32_t q, unsigned int n)
{
    struct dpdkr_frame frames[BURST];
    unsigned int got = dpdkr_rx_peek(peer, q, frames, n);

    FUZZ_CHECK(got <= n);
    for (unsigned int i = 0; i < got; i++) {
        FUZZ_CHECK(frames[i].len <= SLOT_SIZE);
        memset(frames[i].data, i, frames[i].len);
    }
    n_held[q] = got > n_held[q] ? got : n_held[q];
}

static void
release(uint32_t q, unsigned int n)
{
    dpdkr_rx_release(peer, q, n < n_held[q] ? n : n_held[q]);
    n_held[q] = 0;
}

static void
send(uint32_t q, unsigned int n, uint32_t len)
{
    static uint8_t data[2 * SLOT_SIZE];
    struct dpdkr_frame frames[BURST];

    for (int i = 0; i < BURST; i++) {
        frames[i] = (struct dpdkr_frame) { .data = data,
                                           .len = len % sizeof data };
    }
    if (!n_reserved[q]) {
        FUZZ_CHECK(dpdkr_tx_burst(peer, q, frames, n) <= n);
    }
}

static void
reserve(uint32_t q, unsigned int n)
{
    struct dpdkr_frame frames[BURST];

    if (!n_reserved[q]) {
        n_reserved[q] = dpdkr_tx_reserve(peer, q, frames, n);
        FUZZ_CHECK(n_reserved[q] <= n);
        for (unsigned int i = 0; i < n_reserved[q]; i++) {
            memset(frames[i].data, i, frames[i].size);
        }
    }
}

static void
commit(uint32_t q, unsigned int n, uint32_t len)
{
    struct dpdkr_frame frames[BURST];

    n = n < n_reserved[q] ? n : n_reserved[q];
    for (unsigned int i = 0; i < n; i++) {
        frames[i].len = len + i;
    }
    if (n_reserved[q]) {
        FUZZ_CHECK(dpdkr_tx_commit(peer, q, frames, n) <= n);
        n_reserved[q] = 0;
    }
}

/* ## --------- ## */
/* ## The input ## */
/* ## --------- ## */

static void
step(struct fuzz_input *in)
{
    struct dpdkr_control *c = dpdkr_control(ports[0].base);
    uint8_t op = fuzz_u8(in);
    uint32_t q = (op >> 5) % n_queues;
    uint32_t x;

    switch (op & 31) {
    case 0: case 1: case 2:
        offer(in);
        break;
    case 3: case 4:
        x = fuzz_u8(in);
        dpdkr_order_store(&c->tx_order, some_number(in), x % 5);
        break;
    case 5: case 6: case 7:
        put(in, q);
        break;
    case 8:
        write_ring(in, q);
        break;
    case 9: case 10:
        take(in, q);
        break;
    case 11:
        x = fuzz_u16(in) % (sizeof *c / 4);
        ((uint32_t *) (void *) c)[x] = fuzz_u32(in);
        break;
    case 12:
        x = fuzz_u16(in) % (DPDKR_HEADER_BYTES / 4);
        ((uint32_t *) links[x & 1].base)[x] = fuzz_u32(in);
        break;
    case 13:
        x = fuzz_u8(in) % (sizeof(struct dpdkr_side) / 4);
        ((uint32_t *) (void *) ports[0].us)[x] = fuzz_u32(in);
        break;
    case 14:
        fake_control_changed(&ports[0]);
        break;
    case 15: case 16: case 17:
        dpdkr_run(peer);
        break;
    case 18: case 19: case 20:
        receive(q, 1 + fuzz_u8(in) % BURST);
        break;
    case 21: case 22: case 23:
        x = fuzz_u8(in);
        send(q, 1 + x % BURST, x & 0x80 ? fuzz_u16(in) : 60);
        break;
    case 24:
        peek(q, 1 + fuzz_u8(in) % BURST);
        break;
    case 25:
        release(q, fuzz_u8(in) % BURST);
        break;
    case 26:
        reserve(q, 1 + fuzz_u8(in) % BURST);
        break;
    case 27:
        commit(q, fuzz_u8(in) % BURST, 60 + fuzz_u8(in));
        break;
    case 28:
        FUZZ_CHECK(dpdkr_tx_pending(peer, q)
                   <= (1 + DPDKR_MAX_LINKS) * RING_SIZE);
        break;
    case 29:
        x = fuzz_u8(in);
        dpdkr_wait(peer, q, 1 + x % 64, 0, 0);
        break;
    case 30: {
        struct dpdkr_info info;

        dpdkr_get_info(peer, &info, sizeof info);
        FUZZ_CHECK(info.n_links <= DPDKR_MAX_LINKS
                   && info.n_tx_direct <= n_queues
                   && info.n_rx_direct <= DPDKR_MAX_LINKS * (n_queues + 1));
        break;
    }
    case 31:
        fake_port_run(&ports[0]);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dpdkr_options options = DPDKR_OPTIONS_INIT;
    struct fuzz_input in = { data, size };
    uint8_t first = fuzz_u8(&in);
    int n_files = n_open_files();
    char path[128], error[256];

    n_queues = 1 + first % 3;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/p%d", dir, i);
        fake_port_create(&ports[i], path, n_queues, RING_SIZE, SLOT_SIZE,
                         SLOT_SIZE - DPDKR_L2_OVERHEAD);
    }
    for (int i = 0; i < N_LINKS; i++) {
        /* The other program may have more queues, or fewer. */
        snprintf(path, sizeof path, "%s/ovs-link-%d", dir, i);
        fake_link_create(&links[i], path, &ports[0], &ports[1],
                         n_queues + i, RING_SIZE, SLOT_SIZE);
    }
    options.flags = first & 0x40 ? DPDKR_OPEN_SLEEPS : 0;
    FUZZ_CHECK(!dpdkr_open(ports[0].path, &options, &peer,
                           error, sizeof error));
    for (int i = 0; i < 4; i++) {
        dpdkr_run(peer);
        fake_port_run(&ports[0]);
    }
    FUZZ_CHECK(dpdkr_link_up(peer));
    if (first & 0x80) {
        struct dpdkr_link_offer o = fake_link_offer(&links[0], DPDKR_SIDE_A);

        fake_offer(&ports[0], 0, &o);
        dpdkr_run(peer);
        FUZZ_CHECK(fake_answer(&ports[0], 0) == DPDKR_LINK_MAPPED);
        dpdkr_order_store(&dpdkr_control(ports[0].base)->tx_order, 1, 0);
    }

    for (int i = 0; in.left && i < MAX_STEPS; i++) {
        step(&in);
    }

    dpdkr_close(peer);
    memset(n_held, 0, sizeof n_held);
    memset(n_reserved, 0, sizeof n_reserved);
    for (int i = 0; i < N_LINKS; i++) {
        fake_link_destroy(&links[i]);
    }
    for (int i = 0; i < 2; i++) {
        fake_port_retire(&ports[i], true);
    }
    FUZZ_CHECK(n_open_files() == n_files);
    return 0;
}
