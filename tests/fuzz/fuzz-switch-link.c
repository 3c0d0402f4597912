/* SPDX-License-Identifier: Apache-2.0 */

/* Fuzzes the switch's part of direct links: lib/dpdkr-link*.c, and the notes
 * and gates of lib/dpdkr-port.c and lib/dpdkr-gate.c.
 *
 * There are four ports.  The input is a program for the hostile peers of two
 * of them, which take part in the protocol and write anything anywhere in the
 * memory of their ports and in that of their links; and for the switch, which
 * receives, sends, runs, wants links or not, restarts.  The peers of the other
 * two ports do as they should: one sends the other numbered frames.  What has
 * to hold:
 *
 *   - those two lose nothing and get all in order, now and at the end,
 *   - when all peers have gone, so have all links, with their files, unless
 *     the hostile ones have overwritten by what a switch that is started finds
 *     theirs. */

#include <config.h>

#include "dpdkr-link.h"

#include <dirent.h>
#include <errno.h>
#include <sys/mman.h>

#include "dp-packet.h"
#include "dpdkr-gate.h"
#include "dpdkr-link-peer.h"
#include "dpdkr-mem.h"
#include "dpdkr-packet.h"
#include "dpdkr-port.h"
#include "fuzz-ring.h"
#include "openvswitch/vlog.h"
#include "util.h"

#define RING_SIZE 64
#define SLOT_SIZE 256
#define MTU (SLOT_SIZE - DPDKR_L2_OVERHEAD)
#define MAX_STEPS 300
#define N_PORTS 4
#define N_HOSTILE 2
#define X 2                     /* Honest, sends to... */
#define Y 3                     /* ...this one. */

static const struct eth_addr mac = { .ea = { 2, 0, 0, 0, 0, 1 } };

struct node {
    char name[8];
    char *path;
    struct dpdkr_port *port;
    struct dpdkr_end *end;
    struct link_peer peer;
    void *base;                 /* The peer's own mapping. */
    size_t size;
    int dst;                    /* Where its frames go, or -1: dropped. */
};

static char dir[64];
static struct node nodes[N_PORTS];
static uint32_t n_queues;
static long long int now;
static bool restarted;
static bool spoiled;            /* What the next switch knows links by has been
                                 * overwritten. */
static uint32_t n_sent[DPDKR_MAX_QUEUES], n_got[DPDKR_MAX_QUEUES];

static void
remove_files(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (e->d_name[0] != '.') {
            char *path = xasprintf("%s/%s", dir, e->d_name);

            unlink(path);
            free(path);
        }
    }
    if (d) {
        closedir(d);
    }
}

static void
remove_dir(void)
{
    remove_files();
    rmdir(dir);
}

static int
count_files(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int n = 0;

    while ((e = readdir(d))) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

int
LLVMFuzzerInitialize(int *argc OVS_UNUSED, char ***argv)
{
    set_program_name((*argv)[0]);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    fuzz_make_dir(dir, sizeof dir);
    atexit(remove_dir);
    return 0;
}

/* The clock is ours. */
long long int __wrap_time_msec(void);
long long int
__wrap_time_msec(void)
{
    return now;
}

/* ## ---------- ## */
/* ## The switch ## */
/* ## ---------- ## */

static void
open_port(struct node *n)
{
    struct dpdkr_mem_config config = {
        .path = n->path,
        .n_queues = n_queues,
        .ring_size = RING_SIZE,
        .slot_size = SLOT_SIZE,
        .uid = -1,
        .gid = -1,
        .mode = 0600,
    };
    struct dpdkr_mem *mem;
    char *error = NULL;

    FUZZ_CHECK(!dpdkr_mem_open(&config, n->name, NULL, &mem, &error));
    n->port = dpdkr_port_create(mem, n->name, mac, MTU, true);
    n->end = dpdkr_end_create(n->name);
    dpdkr_end_set_port(n->end, n->port);
}

static void
run_ports(void)
{
    for (int i = 0; i < N_PORTS; i++) {
        dpdkr_port_run(nodes[i].port, now);
    }
}

/* The thread that polls the ports. */
static void
forward(int i, uint32_t q)
{
    struct dp_packet_batch batch;
    struct node *n = &nodes[i];

    dp_packet_batch_init(&batch);
    if (i == X) {
        /* Nothing of this is to be lost for lack of room. */
        struct dpdkr_producer *p = &nodes[Y].port->queues[q].tx;

        if (dpdkr_producer_room(p, NETDEV_MAX_BURST) < NETDEV_MAX_BURST) {
            return;
        }
    }
    if (!dpdkr_port_rx(n->port, q, &batch, NULL)) {
        FUZZ_CHECK(batch.count && batch.count <= NETDEV_MAX_BURST);
        if (n->dst >= 0) {
            dpdkr_port_tx(nodes[n->dst].port, q, &batch);
        } else {
            dpdkr_packet_delete_batch(&batch);
        }
    }
}

static void
set_wish(int i, int dst, bool direct)
{
    nodes[i].dst = dst;
    dpdkr_end_set_wish(nodes[i].end,
                       dst >= 0 && direct ? nodes[dst].end : NULL, now);
}

static void
restart_switch(bool direct)
{
    restarted = true;
    dpdkr_link_leave(true);
    for (int i = 0; i < N_PORTS; i++) {
        const struct dpdkr_port *port = nodes[i].port;

        if (memcmp(dpdkr_control(port->mem->base)->offer, port->orders.offer,
                   sizeof port->orders.offer)) {
            spoiled = true;
        }
        dpdkr_end_set_port(nodes[i].end, NULL);
        dpdkr_end_destroy(nodes[i].end);
        dpdkr_port_destroy(nodes[i].port, false);
    }
    dpdkr_link_leave(false);
    for (int i = 0; i < N_PORTS; i++) {
        open_port(&nodes[i]);
        nodes[i].dst = -1;
    }
    set_wish(X, Y, direct);
    run_ports();
}

/* ## --------- ## */
/* ## The peers ## */
/* ## --------- ## */

static void
die(struct node *n)
{
    dpdkr_peer_die(&n->peer.p);
    for (int i = 0; i < DPDKR_MAX_LINKS; i++) {
        lp_unmap(&n->peer.links[i]);
    }
    if (n->base) {
        munmap(n->base, n->size);
        n->base = NULL;
    }
}

static void
attach(struct node *n, uint32_t flags)
{
    die(n);
    int fd = open(n->path, O_RDWR | O_CLOEXEC);
    n->size = n->port->mem->g.total_size;
    n->base = mmap(NULL, n->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FUZZ_CHECK(n->base != MAP_FAILED);
    close(fd);
    lp_init(&n->peer, n->base, &n->port->mem->g, dir);
    n->peer.n_broken = 1;       /* It need not say so. */
    dpdkr_peer_lock(&n->peer.p, n->path);
    lp_announce(&n->peer);
    n->peer.p.us->flags = flags;
    if (!n->peer.p.us->epoch || dpdkr_peer_is_acknowledged(&n->peer.p)) {
        n->peer.p.us->epoch += 2;
    }
    dpdkr_port_run(n->port, now);
    lp_start(&n->peer);
    dpdkr_port_run(n->port, now);
}

/* The ring of a link, or of the port, that a hostile peer has to do with. */
static struct dpdkr_ring_view
some_ring(struct node *n, uint32_t q, uint8_t which)
{
    struct lp_link *l = &n->peer.links[which % DPDKR_MAX_LINKS];

    if (which & 0x20 || !l->mapped || q >= l->n_queues) {
        return which & 0x10 ? n->peer.p.rx[q].r : n->peer.p.tx[q].r;
    }
    return which & 0x10 ? l->rx[q].r : l->tx[q].r;
}

/* A number that may pass for one of a handover of 'n'. */
static uint32_t
some_number(const struct node *n, struct fuzz_input *in)
{
    int8_t x = fuzz_u8(in);

    return (x & 0x40 ? x : n->port->orders.number + x % 4);
}

static void
honest_send(uint32_t q, uint32_t k)
{
    while (k--) {
        uint8_t frame[64] = { 0 };
        uint32_t number = n_sent[q] + 1;

        memcpy(frame + 16, &number, sizeof number);
        if (!lp_send(&nodes[X].peer, q, frame, sizeof frame)) {
            break;
        }
        n_sent[q] = number;
    }
}

static void
honest_receive(uint32_t q)
{
    uint8_t frame[SLOT_SIZE];
    uint32_t len, number;

    while ((len = lp_receive(&nodes[Y].peer, q, frame, sizeof frame))) {
        memcpy(&number, frame + 16, sizeof number);
        if (len == 64 && number) {
            FUZZ_CHECK(number == n_got[q] + 1);
            n_got[q] = number;
        }
    }
}

static void
step_honest(uint32_t k)
{
    for (uint32_t q = 0; q < n_queues; q++) {
        honest_send(q, k);
        forward(X, q);
        lp_control(&nodes[X].peer);
        lp_control(&nodes[Y].peer);
        honest_receive(q);
    }
}

/* ## --------- ## */
/* ## The input ## */
/* ## --------- ## */

/* Writes what an order, an offer or an answer might look like. */
static void
write_control(struct node *n, struct fuzz_input *in)
{
    struct dpdkr_control *c = n->peer.c;
    uint8_t x = fuzz_u8(in);
    uint32_t i = x % DPDKR_MAX_LINKS;
    uint32_t q = fuzz_u8(in) % n_queues;

    switch (x >> 2 & 15) {
    case 0:
        c->answer[i].status = fuzz_u8(in) % 5;
        c->answer[i].seq = c->offer[i].seq;
        break;
    case 1:
        c->answer[i].error = fuzz_u32(in);
        break;
    case 2: case 3:
        c->answer[i].rx_done[q] = some_number(n, in);
        break;
    case 4:
        c->applied[q] = some_number(n, in);
        break;
    case 5:
        c->noted[q] = some_number(n, in);
        break;
    case 6:
        c->noted_link[q] = DPDKR_NOTED_LINK(c->offer[i].seq, i);
        break;
    case 7:
        c->gate[q].number = some_number(n, in);
        c->gate[q].link = DPDKR_NOTED_LINK(c->offer[i].seq, i);
        break;
    case 8:
        dpdkr_order_store(&c->tx_order, some_number(n, in), i);
        break;
    case 9:                     /* Another's link as its own. */
        for (int j = 0; j < N_PORTS; j++) {
            const struct dpdkr_link_offer *o
                = &nodes[j].port->orders.offer[q % DPDKR_MAX_LINKS];

            if (o->file[0] && (x & 0x80 || j != n - nodes)) {
                c->offer[i] = *o;
                c->offer[i].side ^= x >> 6 & 1;
                if (j >= N_HOSTILE) {
                    /* It cannot know that. */
                    memset(c->offer[i].id, 1, sizeof c->offer[i].id);
                }
                break;
            }
        }
        break;
    case 10:
        memset(c->offer[i].file, fuzz_u8(in), sizeof c->offer[i].file);
        break;
    default:
        i = (x >> 2 & 15) * 97 + fuzz_u16(in);
        ((uint32_t *) (void *) c)[i % (sizeof *c / 4)] = fuzz_u32(in);
        break;
    }
}

/* Puts a descriptor that is a note, more or less, into a ring. */
static void
write_note(struct node *n, struct fuzz_input *in, uint32_t q)
{
    struct dpdkr_ring_view r = some_ring(n, q, fuzz_u8(in));
    uint32_t prod = r.ctl->prod;
    struct dpdkr_desc *d = &r.descs[prod & r.mask];

    d->len = some_number(n, in);
    d->flags = DPDKR_D_NOTE;
    d->pad = fuzz_u8(in) & 1 ? fuzz_u16(in) : 0;
    r.ctl->prod = prod + 1;
}

static void
write_ring(struct node *n, struct fuzz_input *in, uint32_t q)
{
    uint8_t x = fuzz_u8(in);
    struct dpdkr_ring_view r = some_ring(n, q, x);

    fuzz_ring(in, &r, x >> 6);
}

static void
step(struct fuzz_input *in)
{
    uint8_t op = fuzz_u8(in);
    struct node *n = &nodes[op >> 7];   /* Hostile. */
    uint32_t q = (op >> 5 & 3) % n_queues;
    uint8_t frame[SLOT_SIZE];
    uint32_t x;

    if (!n->base && (op & 31) < 16) {
        attach(n, DPDKR_F_LINKS);
    }
    memset(frame, 0, sizeof frame);
    switch (op & 31) {
    case 0: case 1:
        write_control(n, in);
        break;
    case 2: case 3:
        write_note(n, in, q);
        break;
    case 4: case 5:
        write_ring(n, in, q);
        break;
    case 6: case 7:
        lp_control(&n->peer);
        break;
    case 8: case 9:
        for (x = fuzz_u8(in) % 80; x; x--) {
            lp_send(&n->peer, q, frame, 60);
        }
        break;
    case 10:
        lp_follow(&n->peer, q);
        break;
    case 11: case 12:
        for (x = fuzz_u8(in) % 80; x; x--) {
            lp_receive(&n->peer, q, frame, sizeof frame);
        }
        break;
    case 13:
        x = fuzz_u8(in) % (sizeof(struct dpdkr_side) / 4);
        ((uint32_t *) (void *) n->peer.p.us)[x] = fuzz_u32(in);
        break;
    case 14:
        dpdkr_peer_detach(&n->peer.p);
        break;
    case 15:                    /* What both may do to the link. */
        for (int i = 0; i < DPDKR_MAX_LINKS; i++) {
            if (n->peer.links[i].mapped) {
                x = fuzz_u16(in) % (DPDKR_HEADER_BYTES / 4);
                ((uint32_t *) n->peer.links[i].base)[x] = fuzz_u32(in);
                spoiled = true;
                break;
            }
        }
        break;
    case 16:
        die(n);
        break;
    case 17:
        attach(n, fuzz_u8(in) & 7);
        break;
    case 18: case 19: case 20: case 21:
        forward(n - nodes, q);
        break;
    case 22: case 23: case 24:
        now++;
        dpdkr_link_run(now);
        break;
    case 25:
        for (x = fuzz_u8(in) / 16; x; x--) {
            now += 256;
            dpdkr_link_run(now);
            step_honest(0);     /* It takes no time for this. */
        }
        break;
    case 26:
        run_ports();
        break;
    case 27: case 28:           /* What the hostile ones send. */
        x = fuzz_u8(in);
        set_wish(n - nodes, x & 8 ? -1 : (x & 4 ? X + (x & 1)
                                          : !(n - nodes)), x & 0x30);
        break;
    case 29:                    /* What the honest ones do. */
        set_wish(X, Y, fuzz_u8(in) % 4 != 0);
        break;
    case 30:
        restart_switch(q);
        break;
    case 31:
        step_honest(fuzz_u8(in) % 20);
        break;
    }
    step_honest(0);
}

/* The honest ones get all that is under way, whatever the others have done. */
static void
settle(void)
{
    for (int i = 0; i < 3000; i++) {
        bool all = true;

        now++;
        dpdkr_link_run(now);
        if (!(i % 50)) {
            run_ports();
        }
        step_honest(0);
        for (uint32_t q = 0; q < n_queues; q++) {
            all = all && n_got[q] == n_sent[q];
        }
        if (all) {
            return;
        }
    }
    FUZZ_CHECK(!"frames of others are stuck");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { data, size };
    uint8_t first = fuzz_u8(&in);

    memset(nodes, 0, sizeof nodes);
    memset(n_sent, 0, sizeof n_sent);
    memset(n_got, 0, sizeof n_got);
    n_queues = 1 + first % 3;
    restarted = spoiled = false;
    now = 1000000;
    for (int i = 0; i < N_PORTS; i++) {
        snprintf(nodes[i].name, sizeof nodes[i].name, "p%d", i);
        nodes[i].path = xasprintf("%s/p%d", dir, i);
        nodes[i].dst = -1;
        nodes[i].peer.p.fd = -1;
        open_port(&nodes[i]);
    }
    attach(&nodes[X], DPDKR_F_LINKS);
    attach(&nodes[Y], DPDKR_F_LINKS);
    set_wish(X, Y, true);
    if (first & 0x80) {
        for (int i = 0; i < N_HOSTILE; i++) {
            attach(&nodes[i], DPDKR_F_LINKS);
            set_wish(i, !i, true);
        }
        for (int i = 0; i < 4; i++) {
            now++;
            dpdkr_link_run(now);
            lp_control(&nodes[0].peer);
            lp_control(&nodes[1].peer);
            step_honest(3);
        }
    }

    for (int i = 0; in.left && i < MAX_STEPS; i++) {
        step(&in);
    }
    settle();
    step_honest(10);
    settle();

    /* All of them go. */
    for (int i = 0; i < N_PORTS; i++) {
        die(&nodes[i]);
        set_wish(i, -1, false);
    }
    for (int i = 0; i < 4; i++) {
        now += 10000;
        run_ports();
        dpdkr_link_run(now);
    }
    FUZZ_CHECK((restarted && spoiled) || count_files() == N_PORTS);
    for (int i = 0; i < N_PORTS; i++) {
        dpdkr_end_set_port(nodes[i].end, NULL);
        dpdkr_end_destroy(nodes[i].end);
        dpdkr_port_destroy(nodes[i].port, true);
        free(nodes[i].path);
    }
    FUZZ_CHECK((restarted && spoiled) || !count_files());
    remove_files();
    return 0;
}
