/* SPDX-License-Identifier: Apache-2.0 */

/* A fake switch as a process: connects dpdkr ports in pairs.
 *
 *     dpdkr-fake-switch [OPTION...] PATH...
 *
 *     --adopt         take the memories as they are, as a restarted switch
 *     --queues=N --ring=N --slot=N --mtu=N     for new ones
 *     --busy          never sleep
 *
 * Frames of queue q of port 2i go to queue q of port 2i + 1 and back; those of
 * a last, single port go back to it.  Prints "ready" when it is.  Reads
 * commands from standard input: "cut" cuts all peers off, "down" and "up" set
 * all ports' administrative state, "retire" removes the ports and ends.  At
 * the end of standard input, or killed, it leaves the memories behind as a
 * switch that dies. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dpdkr-fake.h"

#define MAX_PORTS 32
#define BURST 64

static struct fake_port ports[MAX_PORTS];
static int n_ports;

/* Moves what waits in queue 'q' of 'from', as far as there is room.  Returns
 * the number of frames. */
static uint32_t
forward(struct fake_port *from, struct fake_port *to, uint32_t q)
{
    struct dpdkr_consumer *rx = &from->rx[q];
    struct dpdkr_producer *tx = &to->tx[q];
    uint32_t n, i;

    if (!from->up || !to->up) {
        return 0;
    }
    n = dpdkr_consumer_avail(rx, dpdkr_producer_room(tx, BURST));
    for (i = 0; i < n; i++) {
        const uint8_t *data;
        uint32_t len;

        data = dpdkr_consumer_frame(rx, i, &len);
        if (!data || len > tx->r.slot_size) {
            break;
        }
        memcpy(dpdkr_producer_slot(tx, i), data, len);
        dpdkr_producer_set(tx, i, len);
    }
    if (i) {
        dpdkr_producer_publish(tx, i);
        dpdkr_consumer_release(rx, i);
    }
    return i;
}

/* Returns false when the program is to end. */
static bool
run_command(void)
{
    struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
    char line[64];
    ssize_t n;

    if (poll(&pfd, 1, 0) <= 0) {
        return true;
    }
    n = read(STDIN_FILENO, line, sizeof line - 1);
    if (n <= 0) {
        return false;
    }
    line[n] = '\0';
    for (int i = 0; i < n_ports; i++) {
        struct fake_port *p = &ports[i];

        if (!strncmp(line, "cut", 3)) {
            fake_port_cut(p, DPDKR_CUT_LENGTH);
        } else if (!strncmp(line, "down", 4)) {
            p->us->state = DPDKR_ADMIN_DOWN;
        } else if (!strncmp(line, "up", 2)) {
            p->us->state = DPDKR_UP;
        } else if (!strncmp(line, "retire", 6)) {
            fake_port_retire(p, true);
        }
    }
    return strncmp(line, "retire", 6) != 0;
}

int
main(int argc, char *argv[])
{
    static const struct option options[] = {
        { "adopt", no_argument, NULL, 'a' },
        { "queues", required_argument, NULL, 'q' },
        { "ring", required_argument, NULL, 'r' },
        { "slot", required_argument, NULL, 's' },
        { "mtu", required_argument, NULL, 'm' },
        { "busy", no_argument, NULL, 'b' },
        { NULL, 0, NULL, 0 },
    };
    uint32_t queues = 1, ring = 512, slot = 2048, mtu = 1500;
    bool adopt = false, busy = false;
    int opt;

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'a': adopt = true; break;
        case 'q': queues = strtoul(optarg, NULL, 0); break;
        case 'r': ring = strtoul(optarg, NULL, 0); break;
        case 's': slot = strtoul(optarg, NULL, 0); break;
        case 'm': mtu = strtoul(optarg, NULL, 0); break;
        case 'b': busy = true; break;
        default: return 2;
        }
    }
    for (; optind < argc && n_ports < MAX_PORTS; optind++) {
        if (adopt) {
            fake_port_adopt(&ports[n_ports++], argv[optind]);
        } else {
            fake_port_create(&ports[n_ports++], argv[optind], queues, ring,
                             slot, mtu);
        }
    }
    printf("ready\n");
    fflush(stdout);

    for (uint32_t round = 0; ; round++) {
        uint32_t n = 0;

        for (int i = 0; i < n_ports; i++) {
            struct fake_port *to = &ports[(i ^ 1) < n_ports ? i ^ 1 : i];

            for (uint32_t q = 0; q < ports[i].g.n_queues; q++) {
                n += forward(&ports[i], to, q);
            }
        }
        if (!n || !(round & 1023)) {
            if (!n && !busy) {
                struct timespec ts = { 0, 50000 };

                nanosleep(&ts, NULL);
            }
            if (!(round & 15)) {
                for (int i = 0; i < n_ports; i++) {
                    fake_port_run(&ports[i]);
                }
                if (!run_command()) {
                    return 0;
                }
            }
        }
    }
}
