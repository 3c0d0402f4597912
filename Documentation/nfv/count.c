/* SPDX-License-Identifier: Apache-2.0 */

/* Sends every frame back to where it came from, and says how many there were.
 * Ends by SIGINT or SIGTERM. */

#include <dpdkr/dpdkr.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t done;

static void
handle_signal(int number)
{
    (void) number;
    done = 1;
}

/* Swaps the addresses of the frame at 'data'. */
static void
turn_around(unsigned char *data)
{
    unsigned char mac[6];

    memcpy(mac, data, 6);
    memcpy(data, data + 6, 6);
    memcpy(data + 6, mac, 6);
}

int
main(int argc, char *argv[])
{
    struct dpdkr_options options = DPDKR_OPTIONS_INIT;
    struct dpdkr_stats stats;
    struct dpdkr *port;
    char error[256];

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }

    /* We sleep while there is nothing to do, and use one queue only. */
    options.flags = DPDKR_OPEN_SLEEPS;
    options.n_rxq = options.n_txq = 1;
    if (dpdkr_open(argv[1], &options, &port, error, sizeof error)) {
        fprintf(stderr, "%s: %s\n", argv[0], error);
        return 1;
    }
    signal(SIGINT, handle_signal);
    signal(SIGTERM, handle_signal);

    while (!done) {
        struct dpdkr_frame in[32], out[32];
        unsigned int n, m;

        /* Until 32 frames wait, or one has waited for 100 us, or for a second
         * if there is none.  This also looks after the link. */
        dpdkr_wait(port, 0, 32, 100, 1000);

        n = dpdkr_rx_peek(port, 0, in, 32);
        m = dpdkr_tx_reserve(port, 0, out, n);
        for (unsigned int i = 0; i < m; i++) {
            out[i].len = in[i].len;
            memcpy(out[i].data, in[i].data, in[i].len);
            turn_around(out[i].data);
        }
        dpdkr_tx_commit(port, 0, out, m);
        dpdkr_rx_release(port, 0, n);   /* Drops what found no room. */
        dpdkr_run(port);
    }

    dpdkr_get_stats(port, DPDKR_ALL_QUEUES, &stats, sizeof stats);
    printf("%llu in, %llu out\n", (unsigned long long int) stats.rx_packets,
           (unsigned long long int) stats.tx_packets);
    dpdkr_close(port);
    return 0;
}
