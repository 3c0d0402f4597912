/* SPDX-License-Identifier: Apache-2.0 */

/* Unit test of direct links in libdpdkr, with a fake switch in the same
 * process that does all of its steps by hand. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "dpdkr-pair.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Returns true if this process has the link mapped, apart from the switch. */
static bool
is_mapped_by_peers(const struct pair *p)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    while (fgets(line, sizeof line, f)) {
        n += strstr(line, p->link.path) != NULL;
    }
    fclose(f);
    return n > 1;
}

/* Sends a frame that holds 'x' by queue 'q' of 'd'. */
static bool
send_x(struct dpdkr *d, unsigned int q, uint32_t x)
{
    uint8_t data[64];
    struct dpdkr_frame f = { .data = data, .len = 60 };

    memset(data, x, sizeof data);
    memcpy(data, &x, sizeof x);
    return dpdkr_tx_burst(d, q, &f, 1) == 1;
}

/* Receives a frame from queue 'q' of 'd'.  Returns what it holds, 0 if there
 * is none. */
static uint32_t
receive_x(struct dpdkr *d, unsigned int q)
{
    uint8_t data[512];
    struct dpdkr_frame f = { .data = data, .size = sizeof data };
    uint32_t x;

    if (dpdkr_rx_burst(d, q, &f, 1) != 1) {
        return 0;
    }
    memcpy(&x, data, sizeof x);
    return x;
}

static uint32_t
link_waiting(const struct fake_link *l, uint32_t q, uint32_t side)
{
    struct dpdkr_ring_view r;

    dpdkr_ring_view_init(&r, l->base, &l->g, dpdkr_ring_of(q, side));
    return r.ctl->prod - r.ctl->cons;
}

static struct dpdkr_control *
control(struct pair *p, int i)
{
    return dpdkr_control(p->ports[i].base);
}

/* Each step by itself. */
static void
test_steps(void)
{
    struct fake_way *w;
    struct pair p;

    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    w = &p.link.ways[0];
    CHECK(p.ports[0].them->flags & DPDKR_F_LINKS);
    CHECK_EQ(fake_answer(&p.ports[0], 0), DPDKR_LINK_NONE);
    REQUIRE(pair_offer(&p));
    CHECK_EQ(links_info(p.peers[0]).n_links, 1);
    CHECK(is_mapped_by_peers(&p));

    /* To the link: the note follows the frames in the port. */
    CHECK(send_x(p.peers[0], 0, 1));
    REQUIRE(fake_may_order(w));
    fake_order_link(w);
    CHECK(!control(&p, 0)->applied[0]);
    CHECK(send_x(p.peers[0], 0, 2));            /* S1 to S3. */
    CHECK_EQ(control(&p, 0)->applied[0], 1);
    CHECK_EQ(control(&p, 0)->noted[0], 1);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 1);
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), 2);
    CHECK_EQ(links_info(p.peers[0]).n_tx_direct, 1);
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);    /* W1. */
    CHECK_EQ(w->queues[0].gate, FAKE_HOLD);
    CHECK_EQ(receive_x(p.peers[1], 0), 1);
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 0);
    fake_forward(w, 0, 32, first_ring);         /* W2. */
    CHECK_EQ(w->queues[0].gate, FAKE_CLOSED);
    CHECK_EQ(receive_x(p.peers[1], 0), 2);      /* R1. */
    CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 1);
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), 0);

    /* The port is read as before. */
    CHECK(send_x(p.peers[0], 0, 3));
    CHECK(fake_port_send(&p.ports[1], 0, (uint32_t[16]) { 77 }, 60));
    uint32_t x = receive_x(p.peers[1], 0), y = receive_x(p.peers[1], 0);
    CHECK((x == 3 && y == 77) || (x == 77 && y == 3));
    CHECK(!receive_x(p.peers[1], 0));

    /* And back. */
    CHECK(!fake_may_order(w));
    CHECK(send_x(p.peers[0], 0, 4));
    fake_order_port(w);
    CHECK(send_x(p.peers[0], 0, 5));            /* S4, S5. */
    CHECK_EQ(control(&p, 0)->applied[0], 2);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 2);
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 0);
    CHECK_EQ(receive_x(p.peers[1], 0), 4);
    CHECK_EQ(control(&p, 1)->answer[0].rx_done[0], DPDKR_RX_NOTHING);
    CHECK(!receive_x(p.peers[1], 0));           /* R2. */
    CHECK_EQ(control(&p, 1)->answer[0].rx_done[0], 2);
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);    /* W3. */
    CHECK_EQ(receive_x(p.peers[1], 0), 5);
    CHECK_EQ(links_info(p.peers[0]).n_handovers, 2);
    CHECK_EQ(links_info(p.peers[1]).n_notes, 2);
    CHECK_EQ(links_info(p.peers[0]).n_tx_direct, 0);
    CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 0);

    /* Withdrawal. */
    fake_withdraw(&p.ports[0], 0);
    fake_withdraw(&p.ports[1], 0);
    CHECK(pair_wait_answers(&p, DPDKR_LINK_NONE));
    CHECK(!is_mapped_by_peers(&p));
    CHECK_EQ(links_info(p.peers[0]).n_links, 0);
    CHECK_EQ(control(&p, 1)->answer[0].rx_done[0], DPDKR_RX_NOTHING);
    CHECK(send_x(p.peers[0], 0, 6));
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);
    CHECK_EQ(receive_x(p.peers[1], 0), 6);
    pair_destroy(&p);
}

/* Brings 'p', fresh, to where peer 0 sends directly on queue 0, after frame 1
 * and with frame 2 received. */
static bool
go_direct(struct pair *p)
{
    struct fake_way *w = &p->link.ways[0];

    if (!pair_offer(p) || !send_x(p->peers[0], 0, 1)) {
        return false;
    }
    fake_order_link(w);
    if (!send_x(p->peers[0], 0, 2)) {
        return false;
    }
    fake_forward(w, 0, 32, first_ring);
    fake_forward(w, 0, 32, first_ring);
    for (uint32_t i = 0, n = 1; i < 100 && n <= 2; i++) {
        for (uint32_t q = 0; q < p->ports[1].g.n_queues; q++) {
            n += receive_x(p->peers[1], q) == n;
        }
    }
    return links_info(p->peers[1]).n_rx_direct == 1;
}

/* A queue that sends nothing takes no steps, and its link may be taken away
 * under it. */
static void
test_idle(void)
{
    struct fake_way *w;
    struct pair p;

    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(go_direct(&p));
    CHECK(send_x(p.peers[0], 0, 3));
    fake_order_port(w);
    pair_run(&p);
    CHECK_EQ(control(&p, 0)->applied[0], 1);

    /* A5, as seen by S: without a note. */
    fake_withdraw(&p.ports[0], 0);
    dpdkr_run(p.peers[0]);
    CHECK_EQ(fake_answer(&p.ports[0], 0), DPDKR_LINK_NONE);
    CHECK_EQ(links_info(p.peers[0]).n_tx_direct, 0);
    CHECK(send_x(p.peers[0], 0, 4));
    CHECK_EQ(control(&p, 0)->applied[0], 2);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 1);
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 0);

    /* A4: what is in the link comes first. */
    control(&p, 1)->offer[0].rx_drain = 2;
    fake_control_changed(&p.ports[1]);
    CHECK_EQ(receive_x(p.peers[1], 0), 3);
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(control(&p, 1)->answer[0].rx_done[0], 2);
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);
    CHECK_EQ(receive_x(p.peers[1], 0), 4);
    pair_destroy(&p);

    /* The same, but several orders later. */
    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(go_direct(&p));
    fake_order_port(w);
    CHECK(fake_may_order(w));
    fake_order_link(w);
    fake_order_port(w);
    control(&p, 1)->offer[0].rx_drain = 4;
    fake_control_changed(&p.ports[1]);
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(control(&p, 1)->answer[0].rx_done[0], 2);
    pair_destroy(&p);

    /* A queue that has missed the order back and sees the next one follows
     * both. */
    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(go_direct(&p));
    fake_order_port(w);
    REQUIRE(fake_may_order(w));
    fake_order_link(w);
    CHECK(send_x(p.peers[0], 0, 3));
    CHECK_EQ(control(&p, 0)->applied[0], 3);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 2);       /* Note 2, frame 3. */
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(control(&p, 1)->answer[0].rx_done[0], 2);
    CHECK(!receive_x(p.peers[1], 0));
    fake_forward(w, 0, 32, first_ring);
    fake_forward(w, 0, 32, first_ring);
    CHECK_EQ(receive_x(p.peers[1], 0), 3);
    CHECK_EQ(links_info(p.peers[0]).n_handovers, 3);
    pair_destroy(&p);
}

/* Room for notes is kept, and is no room for frames. */
static void
test_full(void)
{
    struct fake_way *w;
    struct pair p;
    uint32_t n;

    REQUIRE(pair_init(&p, 1, 128, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(pair_offer(&p));
    for (n = 0; send_x(p.peers[0], 0, n + 1); n++) {
        continue;
    }
    CHECK_EQ(n, 127);
    fake_order_link(w);
    for (; send_x(p.peers[0], 0, n + 1); n++) {
        continue;
    }
    CHECK_EQ(n, 127 + 63);
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), n);
    fake_order_port(w);
    CHECK(!send_x(p.peers[0], 0, n + 1));
    CHECK_EQ(link_waiting(&p.link, 0, 0), 64);
    CHECK_EQ(control(&p, 0)->applied[0], 2);
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), n);

    for (uint32_t i = 1; i <= n; i++) {
        uint32_t x;

        for (int j = 0; !(x = receive_x(p.peers[1], 0)) && j < 10; j++) {
            fake_forward(w, 0, 1, first_ring);
        }
        CHECK_EQ(x, i);
    }
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(control(&p, 1)->answer[0].rx_done[0], 2);
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), 0);

    /* No room for a second note: nothing is taken until there is. */
    fake_order_link(w);
    CHECK(send_x(p.peers[0], 0, 1));
    fake_forward(w, 0, 32, first_ring);
    fake_forward(w, 0, 32, first_ring);
    CHECK_EQ(receive_x(p.peers[1], 0), 1);
    for (n = 1; send_x(p.peers[0], 0, n + 1); n++) {
        continue;
    }
    CHECK_EQ(n, 64);
    fake_order_port(w);
    fake_order_link(w);
    CHECK(!send_x(p.peers[0], 0, n + 1));
    CHECK_EQ(control(&p, 0)->noted[0], 5);
    fake_order_port(w);
    for (int i = 0; i < 3; i++) {
        CHECK(!send_x(p.peers[0], 0, n + 1));
        CHECK_EQ(control(&p, 0)->applied[0], 6);
        CHECK_EQ(link_waiting(&p.link, 0, 0), 64);
    }
    CHECK_EQ(receive_x(p.peers[1], 0), 2);
    CHECK(send_x(p.peers[0], 0, n + 1));
    CHECK_EQ(link_waiting(&p.link, 0, 0), 64);
    for (uint32_t i = 3; i <= n + 1; i++) {
        uint32_t x;

        for (int j = 0; !(x = receive_x(p.peers[1], 0)) && j < 10; j++) {
            fake_forward(w, 0, 1, first_ring);
        }
        CHECK_EQ(x, i);
    }
    pair_destroy(&p);
}

/* What the program holds stays where it is. */
static void
test_held(void)
{
    struct dpdkr_frame f[8];
    struct fake_way *w;
    struct pair p;
    uint32_t x;

    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(pair_offer(&p));

    /* A reservation in the port, through an order to the link. */
    CHECK_EQ(dpdkr_tx_reserve(p.peers[0], 0, f, 2), 2);
    fake_order_link(w);
    memset(f[0].data, 1, 60);
    f[0].len = 60;
    CHECK_EQ(dpdkr_tx_reserve(p.peers[0], 0, f, 2), 2);
    CHECK_EQ(control(&p, 0)->applied[0], 0);
    f[0].len = 60;
    x = 1;
    memcpy(f[0].data, &x, sizeof x);
    CHECK_EQ(dpdkr_tx_commit(p.peers[0], 0, f, 1), 1);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 0);

    /* One in the link, through a withdrawal. */
    CHECK_EQ(dpdkr_tx_reserve(p.peers[0], 0, f, 2), 2);
    CHECK_EQ(control(&p, 0)->applied[0], 1);
    x = 2;
    memcpy(f[0].data, &x, sizeof x);
    f[0].len = 60;
    fake_forward(w, 0, 32, first_ring);
    fake_forward(w, 0, 32, first_ring);
    CHECK_EQ(receive_x(p.peers[1], 0), 1);
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 1);
    fake_order_port(w);
    fake_withdraw(&p.ports[0], 0);
    for (int i = 0; i < 3; i++) {
        pair_run(&p);
        CHECK_EQ(fake_answer(&p.ports[0], 0), -1);
        CHECK(is_mapped_by_peers(&p));
    }
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), 0);
    CHECK_EQ(dpdkr_tx_commit(p.peers[0], 0, f, 1), 1);
    pair_run(&p);
    CHECK_EQ(fake_answer(&p.ports[0], 0), DPDKR_LINK_NONE);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 1);

    /* Frames in the link, through its withdrawal. */
    CHECK_EQ(dpdkr_rx_peek(p.peers[1], 0, f, 8), 1);
    memcpy(&x, f[0].data, sizeof x);
    CHECK_EQ(x, 2);
    fake_withdraw(&p.ports[1], 0);
    for (int i = 0; i < 3; i++) {
        pair_run(&p);
        CHECK_EQ(fake_answer(&p.ports[1], 0), -1);
        CHECK(is_mapped_by_peers(&p));
        CHECK_EQ(dpdkr_rx_peek(p.peers[1], 0, f, 8), 1);
        memcpy(&x, f[0].data, sizeof x);
        CHECK_EQ(x, 2);
    }
    dpdkr_rx_release(p.peers[1], 0, 1);
    pair_run(&p);
    CHECK_EQ(fake_answer(&p.ports[1], 0), DPDKR_LINK_NONE);
    CHECK(!is_mapped_by_peers(&p));
    CHECK_EQ(dpdkr_rx_peek(p.peers[1], 0, f, 8), 0);
    pair_destroy(&p);
}

/* A note behind frames that are given back in parts. */
static void
test_peek_note(void)
{
    struct dpdkr_frame f[8];
    struct fake_way *w;
    uint8_t tiny[16];
    struct pair p;

    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(pair_offer(&p));
    for (uint32_t i = 1; i <= 3; i++) {
        CHECK(send_x(p.peers[0], 0, i));
    }
    fake_order_link(w);
    CHECK(send_x(p.peers[0], 0, 4));
    fake_forward(w, 0, 32, first_ring);
    fake_forward(w, 0, 32, first_ring);
    for (int i = 3; i > 0; i--) {
        CHECK_EQ(dpdkr_rx_peek(p.peers[1], 0, f, 8), i);
        dpdkr_rx_release(p.peers[1], 0, i == 3 ? 0 : 1);
        if (i == 3) {
            CHECK_EQ(dpdkr_rx_peek(p.peers[1], 0, f, 8), 3);
            dpdkr_rx_release(p.peers[1], 0, 1);
        }
        CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 0);
    }
    CHECK_EQ(receive_x(p.peers[1], 0), 4);

    /* Nor is a note taken for granted that was seen behind a frame which is
     * dropped now. */
    fake_order_port(w);
    CHECK(send_x(p.peers[0], 0, 5));
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);
    CHECK(send_x(p.peers[0], 0, 6));
    fake_order_link(w);
    CHECK(send_x(p.peers[0], 0, 7));
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);
    fake_forward(w, 0, 32, first_ring);
    CHECK_EQ(dpdkr_rx_peek(p.peers[1], 0, f, 8), 2);
    dpdkr_rx_release(p.peers[1], 0, 0);
    for (int i = 0; i < 2; i++) {
        f[0] = (struct dpdkr_frame) { .data = tiny, .size = sizeof tiny };
        CHECK_EQ(dpdkr_rx_burst(p.peers[1], 0, f, 1), 0);
    }
    CHECK_EQ(links_stats(p.peers[1]).rx_drop_size, 2);
    CHECK_EQ(receive_x(p.peers[1], 0), 7);
    CHECK_EQ(links_info(p.peers[1]).n_cut_by_us, 0);
    pair_destroy(&p);
}

/* R1 with several receive queues, and without those that nobody polls. */
static void
test_force(void)
{
    struct fake_way *w;
    int64_t start;
    uint32_t x;
    struct pair p;

    REQUIRE(pair_init(&p, 4, 64, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(pair_offer(&p));
    fake_order_link(w);
    CHECK(send_x(p.peers[0], 1, 1));    /* Of queue 1, read by queue 1. */
    fake_forward(w, 1, 32, first_ring);
    fake_forward(w, 1, 32, first_ring);
    CHECK_EQ(w->n_notes, 4);
    for (int i = 0; i < 10; i++) {
        for (uint32_t q = 0; q < 3; q++) {
            CHECK(!receive_x(p.peers[1], q));
        }
    }
    CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 0);

    /* Not at once, for the peer could have been stopped until just now, and
     * not for a queue of which there is no note. */
    control(&p, 1)->offer[0].rx_force = 1;
    fake_control_changed(&p.ports[1]);
    pair_run(&p);
    start = links_now_us();
    CHECK(!receive_x(p.peers[1], 0));
    while (!(x = receive_x(p.peers[1], 1))
           && links_now_us() - start < 5000000) {
        pair_run(&p);
        usleep(1000);
    }
    CHECK_EQ(x, 1);
    CHECK(links_now_us() - start > 100000);
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 1);

    /* The note that comes later changes nothing; for the next queue, the
     * first one is enough. */
    CHECK(!receive_x(p.peers[1], 3));
    CHECK_EQ(links_info(p.peers[1]).n_notes, 4);
    CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 1);
    CHECK(send_x(p.peers[0], 2, 2));
    fake_forward(w, 2, 32, first_ring);
    fake_forward(w, 2, 32, first_ring);
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(receive_x(p.peers[1], 2), 2);

    /* Without it, the last note makes the ring active, whichever it is. */
    control(&p, 1)->offer[0].rx_force = 0;
    fake_control_changed(&p.ports[1]);
    pair_run(&p);
    CHECK(send_x(p.peers[0], 3, 3));
    fake_forward(w, 3, 32, first_ring);
    fake_forward(w, 3, 32, first_ring);
    for (int q = 3; q >= 0; q--) {
        CHECK(!receive_x(p.peers[1], q));
        CHECK(!receive_x(p.peers[1], q));
    }
    CHECK_EQ(receive_x(p.peers[1], 3), 3);
    CHECK_EQ(links_info(p.peers[1]).n_rx_direct, 3);
    pair_destroy(&p);
}

/* The longest frame is that of the offer. */
static void
test_max_frame(void)
{
    struct dpdkr_link_offer o;
    struct dpdkr_frame f;
    uint8_t data[512];
    struct pair p;

    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    fake_link_offer_both(&p.link, 2, 3);
    o = fake_link_offer(&p.link, 0);
    o.max_frame = 100;
    fake_offer(&p.ports[0], 2, &o);
    REQUIRE(pair_wait_answers(&p, DPDKR_LINK_MAPPED));
    fake_order_link(&p.link.ways[0]);
    memset(data, 0, sizeof data);
    f = (struct dpdkr_frame) { .data = data, .len = 101 };
    CHECK_EQ(dpdkr_tx_burst(p.peers[0], 0, &f, 1), 1);
    CHECK_EQ(links_stats(p.peers[0]).tx_drop_size, 1);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 0);
    CHECK_EQ(dpdkr_tx_reserve(p.peers[0], 0, &f, 1), 1);
    CHECK_EQ(f.size, 100);
    f.len = 101;
    CHECK_EQ(dpdkr_tx_commit(p.peers[0], 0, &f, 1), 0);
    CHECK_EQ(dpdkr_tx_reserve(p.peers[0], 0, &f, 1), 1);
    f.len = 100;
    CHECK_EQ(dpdkr_tx_commit(p.peers[0], 0, &f, 1), 1);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 1);
    pair_destroy(&p);
}

/* Offers and orders that make no sense. */
static void
test_bad_offers(void)
{
    static const char *const names[] = {
        "../links/link", "/etc/passwd", "a/link", ".", "..", "link\n",
        "no-such-file", "port1", "short", "fifo",
    };
    struct dpdkr_link_offer good, o;
    struct fake_link narrow;
    struct pair p;
    int fd;

    REQUIRE(pair_init(&p, 2, 64, 64, 0));
    fd = open(pair_file("short"), O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0 && write(fd, p.link.h, 4096) == 4096);
    close(fd);
    CHECK(!mkfifo(pair_file("fifo"), 0600));
    good = fake_link_offer(&p.link, 0);
    for (size_t i = 0; i < 10 + 6; i++) {
        o = good;
        if (i < 10) {
            memset(o.file, 0, sizeof o.file);
            strcpy(o.file, names[i]);
        }
        switch (i) {
        case 10: memset(o.file, 'x', sizeof o.file); break;
        case 11: o.side = 2; break;
        case 12: o.side = UINT32_MAX; break;
        case 13: o.id[15] ^= 1; break;
        case 14: o.max_frame = 13; break;
        case 15: p.link.h->slot_stride++; break;
        }
        fake_offer(&p.ports[0], 1, &o);
        dpdkr_run(p.peers[0]);
        CHECK_EQ(fake_answer(&p.ports[0], 1), DPDKR_LINK_FAILED);
        CHECK_EQ(control(&p, 0)->answer[1].error,
                 i == 6 ? ENOENT : EPROTO);
        CHECK_EQ(links_info(p.peers[0]).n_links, 0);
    }
    p.link.h->slot_stride--;
    CHECK(!chmod(pair_file("short"), 0));
    unlink(pair_file("short"));
    unlink(pair_file("fifo"));

    fake_link_create(&narrow, pair_file("narrow"), &p.ports[0],
                     &p.ports[1], 1, 64, 256);
    o = fake_link_offer(&narrow, 0);
    fake_offer(&p.ports[0], 1, &o);
    dpdkr_run(p.peers[0]);
    CHECK_EQ(fake_answer(&p.ports[0], 1), DPDKR_LINK_FAILED);
    fake_link_destroy(&narrow);

    /* Orders to what is not there. */
    for (uint32_t i = 0; i < 8; i++) {
        dpdkr_order_store(&control(&p, 0)->tx_order, 1, i * i * i);
        CHECK(send_x(p.peers[0], 0, 1 + i));
        CHECK(send_x(p.peers[0], 0, 100));
        CHECK_EQ(control(&p, 0)->applied[0], 0);
        CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), 2 + 2 * i);
    }
    dpdkr_order_store(&control(&p, 0)->tx_order, 2, 12345);
    CHECK(send_x(p.peers[0], 0, 1));
    CHECK_EQ(control(&p, 0)->applied[0], 2);

    /* Notes from nowhere. */
    fake_offer(&p.ports[0], 0, &good);
    dpdkr_run(p.peers[0]);
    CHECK_EQ(fake_answer(&p.ports[0], 0), DPDKR_LINK_MAPPED);
    for (uint32_t pad = 0; pad < 0x10000; pad += 0x3f) {
        CHECK(dpdkr_producer_note(&p.ports[0].tx[0], pad % 3 ? pad : 1, pad));
        CHECK(!receive_x(p.peers[0], 0));
    }
    CHECK(fake_port_send(&p.ports[0], 0, (uint32_t[16]) { 5 }, 60));
    CHECK_EQ(receive_x(p.peers[0], 0), 5);
    CHECK_EQ(links_info(p.peers[0]).n_cut_by_us, 0);
    pair_destroy(&p);
}

/* What the other peer may do to a link harms nobody. */
static void
test_broken(void)
{
    static const uint32_t reasons[] = {
        DPDKR_CUT_INDEX, DPDKR_CUT_LENGTH, DPDKR_CUT_FLAGS, DPDKR_CUT_FLAGS,
        DPDKR_CUT_MEMORY, DPDKR_CUT_INDEX,
    };

    for (int i = 0; i < 6; i++) {
        struct dpdkr_ring_view r;
        struct fake_way *w;
        struct pair p;
        int victim;

        REQUIRE(pair_init(&p, 1, 64, 64, 0));
        w = &p.link.ways[0];
        REQUIRE(go_direct(&p));
        dpdkr_ring_view_init(&r, p.link.base, &p.link.g, 0);
        CHECK(send_x(p.peers[0], 0, 3));
        victim = i < 5;
        switch (i) {
        case 0: r.ctl->prod += 100; break;
        case 1: r.descs[(r.ctl->prod - 1) & r.mask].len = 513; break;
        case 2: r.descs[(r.ctl->prod - 1) & r.mask].flags = 2; break;
        case 3: r.descs[(r.ctl->prod - 1) & r.mask].flags = 1; break;
        case 4: CHECK(!ftruncate(p.link.fd, 4096)); break;
        case 5: r.ctl->cons += 100; break;
        }
        if (i == 5) {
            for (int j = 0; j < 63; j++) {
                send_x(p.peers[0], 0, 4);
            }
        } else if (i != 4) {
            CHECK(!receive_x(p.peers[1], 0));
        }
        dpdkr_run(p.peers[victim]);
        CHECK_EQ(fake_answer(&p.ports[victim], 0), DPDKR_LINK_BROKEN);
        CHECK_EQ(control(&p, victim)->answer[0].error, reasons[i]);
        CHECK(dpdkr_link_up(p.peers[victim]));
        CHECK_EQ(links_info(p.peers[victim]).n_cut_by_us, 0);

        /* The port works. */
        CHECK(fake_port_send(&p.ports[1], 0, (uint32_t[16]) { 9 }, 60));
        int n = 0;
        while (receive_x(p.peers[1], 0) != 9 && n++ < 100) {
            continue;
        }
        CHECK(n <= 3);

        /* The switch takes the link away. */
        fake_order_port(w);
        fake_withdraw(&p.ports[0], 0);
        fake_withdraw(&p.ports[1], 0);
        CHECK(pair_wait_answers(&p, DPDKR_LINK_NONE));
        CHECK(send_x(p.peers[0], 0, 10));
        w->queues[0].gate = FAKE_OPEN;
        CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);
        CHECK_EQ(receive_x(p.peers[1], 0), 10);
        pair_destroy(&p);
    }
}

/* A new attachment starts without links, and in the port. */
static void
test_reattach(void)
{
    struct fake_way *w;
    struct pair p;

    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(go_direct(&p));
    fake_order_port(w);
    CHECK(!receive_x(p.peers[1], 0));
    for (int i = 0; i < 2; i++) {
        p.ports[i].us->ack = 0;     /* "Forgotten": attaches anew at once. */
        p.ports[i].up = false;
        dpdkr_run(p.peers[i]);
    }
    REQUIRE(pair_wait_link(&p));
    CHECK_EQ(links_info(p.peers[0]).n_attached, 2);
    CHECK_EQ(control(&p, 0)->noted[0], 0);
    CHECK_EQ(control(&p, 0)->applied[0], 2);
    CHECK(send_x(p.peers[0], 0, 8));
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), 1);
    w->queues[0].gate = FAKE_OPEN;
    w->queues[0].noted = 0;
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);
    CHECK_EQ(receive_x(p.peers[1], 0), 8);

    /* An order that stands already is followed like any other, once there is
     * a link. */
    w->number = 4;
    fake_order_link(w);
    p.ports[0].us->ack = 0;
    p.ports[0].up = false;
    dpdkr_run(p.peers[0]);
    fake_withdraw(&p.ports[0], 0);
    REQUIRE(pair_wait_link(&p));
    CHECK(send_x(p.peers[0], 0, 9));
    CHECK_EQ(control(&p, 0)->applied[0], 4);
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), 1);
    struct dpdkr_link_offer o = fake_link_offer(&p.link, 0);
    fake_offer(&p.ports[0], 0, &o);
    CHECK(send_x(p.peers[0], 0, 10));       /* Has it mapped... */
    CHECK(send_x(p.peers[0], 0, 11));       /* ...and followed. */
    CHECK_EQ(control(&p, 0)->applied[0], 5);
    CHECK_EQ(link_waiting(&p.link, 0, 0), 1);
    pair_destroy(&p);
}

/* The switch dies and comes back while frames pass it by. */
static void
test_switch_death(void)
{
    struct fake_way *w;
    struct pair p;

    REQUIRE(pair_init(&p, 1, 64, 64, 0));
    w = &p.link.ways[0];
    REQUIRE(go_direct(&p));
    fake_port_die(&p.ports[0]);
    fake_port_die(&p.ports[1]);
    for (uint32_t i = 1; i < 200; i++) {
        dpdkr_run(p.peers[0]);
        dpdkr_run(p.peers[1]);
        CHECK(send_x(p.peers[0], 0, i));
        CHECK_EQ(receive_x(p.peers[1], 0), i);
    }
    CHECK(dpdkr_link_up(p.peers[0]) && dpdkr_link_up(p.peers[1]));
    CHECK(send_x(p.peers[1], 0, 1));        /* Waits for the switch. */
    CHECK(send_x(p.peers[0], 0, 1));

    fake_port_adopt(&p.ports[0], pair_file("port0"));
    fake_port_adopt(&p.ports[1], pair_file("port1"));
    REQUIRE(pair_wait_link(&p));
    CHECK_EQ(links_info(p.peers[0]).n_attached, 1);
    CHECK_EQ(receive_x(p.peers[1], 0), 1);
    fake_order_port(w);
    CHECK(send_x(p.peers[0], 0, 3));
    CHECK(!receive_x(p.peers[1], 0));
    CHECK_EQ(fake_forward(w, 0, 32, first_ring), 1);
    CHECK_EQ(receive_x(p.peers[1], 0), 3);
    CHECK_EQ(fake_forward(&p.link.ways[1], 0, 32, first_ring), 1);
    CHECK_EQ(receive_x(p.peers[0], 0), 1);

    /* Now nothing is direct. */
    fake_port_die(&p.ports[0]);
    dpdkr_run(p.peers[0]);
    CHECK(!dpdkr_link_up(p.peers[0]));
    fake_port_adopt(&p.ports[0], pair_file("port0"));
    REQUIRE(pair_wait_link(&p));
    pair_destroy(&p);
}

/* Peers that have no directory. */
static void
test_no_directory(void)
{
    struct dpdkr_link_offer o;
    struct pair p;

    REQUIRE(pair_init(&p, 1, 64, 64, DPDKR_OPEN_BAR));
    CHECK(!(p.ports[0].them->flags & DPDKR_F_LINKS));
    o = fake_link_offer(&p.link, 0);
    fake_offer(&p.ports[0], 0, &o);
    dpdkr_run(p.peers[0]);
    CHECK_EQ(fake_answer(&p.ports[0], 0), DPDKR_LINK_FAILED);
    CHECK_EQ(control(&p, 0)->answer[0].error, ENOTSUP);
    dpdkr_order_store(&control(&p, 0)->tx_order, 1, 0);
    for (uint32_t i = 0; i < 64; i++) {
        CHECK(send_x(p.peers[0], 0, 1));
    }
    CHECK(!send_x(p.peers[0], 0, 1));
    CHECK_EQ(dpdkr_tx_pending(p.peers[0], 0), 64);

    /* Nor do they know of notes. */
    CHECK(dpdkr_producer_note(&p.ports[0].tx[0], 1, 0));
    CHECK(!receive_x(p.peers[0], 0));
    dpdkr_run(p.peers[0]);
    CHECK_EQ(links_info(p.peers[0]).n_cut_by_us, 1);
    pair_destroy(&p);
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "steps", test_steps },
        { "idle", test_idle },
        { "full", test_full },
        { "held", test_held },
        { "peek-note", test_peek_note },
        { "force", test_force },
        { "max-frame", test_max_frame },
        { "bad-offers", test_bad_offers },
        { "broken", test_broken },
        { "reattach", test_reattach },
        { "switch-death", test_switch_death },
        { "no-directory", test_no_directory },
    };

    return pair_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
