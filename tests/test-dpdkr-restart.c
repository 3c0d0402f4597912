/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of the switch's side of dpdkr memory, lib/dpdkr-port.c, that is in a
 * file: the peer's lock, and switches that find what others left. */

#include <config.h>

#include "dpdkr-port.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "dpdkr-bench.h"
#include "dpdkr-dir.h"
#include "dpdkr-mem.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "util.h"

/* The lock of the file is a peer's life where there is a file. */
static void
test_lock(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct bench b;

    REQUIRE(bench_open_file(&b, &config));

    /* Without the lock, nobody is there, whatever is written. */
    dpdkr_peer_announce(&b.peer);
    b.peer.us->flags = 0;
    bench_run(&b);
    CHECK(!b.port->alive);
    CHECK(!dpdkr_peer_is_acknowledged(&b.peer));

    CHECK(dpdkr_peer_lock(&b.peer, path));
    CHECK(bench_attach(&b));
    check_traffic(&b, 0, 10);
    b.now += 1000000;
    CHECK(!bench_run(&b));
    CHECK(dpdkr_port_is_up(b.port));
    dpdkr_peer_die(&b.peer);
    CHECK(bench_run(&b));
    CHECK(!dpdkr_port_is_up(b.port));
    CHECK(dpdkr_peer_lock(&b.peer, path));
    CHECK(bench_attach(&b));
    check_traffic(&b, 0, 10);

    /* The port is removed, which its peer can see, in a mapping of its own. */
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    bench_close(&b);
    struct dpdkr_header h;
    CHECK_EQ(pread(fd, &h, sizeof h, 0), sizeof h);
    CHECK_EQ(h.side[DPDKR_SIDE_A].state, DPDKR_RETIRED);
    CHECK(access(path, F_OK) && errno == ENOENT);
    close(fd);
    free(path);
}

/* The switch ends and another one finds the memory, with frames under way in
 * both directions and a peer that carries on without any step of its own. */
static void
test_restart(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    uint32_t sent = 0, received = 0, back_sent = 0, back_received = 0;
    uint32_t epoch = 0;
    struct bench b;

    memset(&b, 0, sizeof b);
    void *peer_base = NULL;
    int fd = -1;
    for (int life = 0; life < 30; life++) {
        REQUIRE(bench_start_switch(&b, &config, NULL));
        CHECK_EQ(b.mem->adopted, life > 0);
        if (!life) {
            fd = open(path, O_RDWR);
            peer_base = mmap(NULL, b.g.total_size, PROT_READ | PROT_WRITE,
                             MAP_SHARED, fd, 0);
            REQUIRE(peer_base != MAP_FAILED);
            dpdkr_peer_init(&b.peer, peer_base, &b.g);
            REQUIRE(dpdkr_peer_lock(&b.peer, path));
            REQUIRE(bench_attach(&b));
        } else {
            CHECK(b.peer.them->epoch != epoch);
            CHECK(dpdkr_peer_is_acknowledged(&b.peer));
            bench_run(&b);
            CHECK(dpdkr_port_is_up(b.port));
        }
        epoch = b.peer.them->epoch;

        for (int i = 0; i < 10; i++) {
            for (int j = 0; j < 7 && peer_send(&b, 1, sent); j++) {
                sent++;
            }
            if (i % 3 == 1) {
                received += switch_receives(&b, 1, received);
            }
            uint64_t before = get_stats(&b).tx_packets;
            switch_send(&b, 1, back_sent, 5);
            back_sent += get_stats(&b).tx_packets - before;
            for (int j = 0; j < 5 + life % 3; j++) {
                if (!dpdkr_consumer_avail(&b.peer.rx[1], 1)) {
                    break;
                }
                CHECK(peer_receives(&b, 1, back_received));
                back_received++;
            }
        }
        CHECK(sent > received);

        /* Half of the lives end in good order.  The others end with what a
         * killed process leaves: nothing is written any more. */
        struct dpdkr_header before = *b.peer.h;
        dpdkr_port_destroy(b.port, false);
        if (life % 2) {
            b.peer.h->side[DPDKR_SIDE_A] = before.side[DPDKR_SIDE_A];
        }
        /* The peer does not notice and sends on. */
        if (peer_send(&b, 1, sent)) {
            sent++;
        }
    }
    REQUIRE(bench_start_switch(&b, &config, NULL));
    bench_run(&b);
    for (uint32_t n; (n = switch_receives(&b, 1, received)); ) {
        received += n;
    }
    while (dpdkr_consumer_avail(&b.peer.rx[1], 1)) {
        CHECK(peer_receives(&b, 1, back_received));
        back_received++;
    }
    printf("# %u frames in, %u out\n", sent, back_sent);
    CHECK_EQ(received, sent);
    CHECK_EQ(back_received, back_sent);
    CHECK(sent > 500 && back_sent > 500);
    CHECK_EQ(b.peer.us->epoch, 1);
    munmap(peer_base, b.g.total_size);
    close(fd);
    bench_close(&b);
    free(path);
}

/* A switch that restarts keeps a peer cut off that it had cut off. */
static void
test_restart_cut_off(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct bench b;

    REQUIRE(bench_open_file(&b, &config));
    REQUIRE(dpdkr_peer_lock(&b.peer, path));
    REQUIRE(bench_attach(&b));
    b.peer.tx[0].r.ctl->prod += b.g.ring_size + 1;
    switch_receives(&b, 0, 0);
    bench_run(&b);
    CHECK_EQ(b.peer.them->cut, b.peer.us->epoch);
    dpdkr_port_destroy(b.port, false);

    REQUIRE(bench_start_switch(&b, &config, NULL));
    int fd = b.peer.fd;
    dpdkr_peer_init(&b.peer, b.mem->base, &b.g);
    b.peer.fd = fd;
    bench_run(&b);
    bench_run(&b);
    CHECK(!dpdkr_port_is_up(b.port));
    CHECK_EQ(b.peer.them->cut, b.peer.us->epoch);
    REQUIRE(bench_attach(&b));
    check_traffic(&b, 0, 10);
    bench_close(&b);
    free(path);
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "lock", test_lock },
        { "restart", test_restart },
        { "restart-cut-off", test_restart_cut_off },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    nfv_test_before = make_dir;
    nfv_test_after = remove_dir;
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
