/* SPDX-License-Identifier: Apache-2.0 */

/* Sends numbered frames out of one dpdkr port into another, as fast as it can
 * with a few on the way, and tells when which step of a handover was taken.
 *
 *     dpdkr-establish FROM TO
 *
 * prints a line for each event, with the time of CLOCK_MONOTONIC in
 * nanoseconds:
 *
 *     TIME mapped        both have mapped a link
 *     TIME to-link       the sender goes over to the link
 *     TIME first-link    the first frame that it put there has arrived
 *     TIME to-port       the sender goes back to its port
 *     TIME first-port    the first frame that it put there has arrived
 *     TIME unmapped      neither has a link any more
 *
 * and on SIGTERM a line "sent=N received=N lost=N wrong=N": those that came
 * out of turn are "wrong".  One thread plays both functions, so that there is
 * one clock and no waiting for a core. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <dpdkr/dpdkr.h>

#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FRAME_BYTES 64
#define BURST 8
#define WINDOW 32               /* Frames on the way at most. */

static volatile sig_atomic_t done;

static void
handle_signal(int number)
{
    (void) number;
    done = 1;
}

static uint64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

static void
tell(const char *event)
{
    printf("%llu %s\n", (unsigned long long) now_ns(), event);
    fflush(stdout);
}

static struct dpdkr *
open_port(const char *path)
{
    struct dpdkr_options options = DPDKR_OPTIONS_INIT;
    struct dpdkr *port;
    char error[256];

    options.n_rxq = options.n_txq = 1;
    if (dpdkr_open(path, &options, &port, error, sizeof error)) {
        errx(1, "%s", error);
    }
    return port;
}

struct traffic {
    struct dpdkr *from, *to;
    uint64_t sent, received, wrong;
};

static void
send_some(struct traffic *t)
{
    uint8_t data[BURST][FRAME_BYTES];
    struct dpdkr_frame frames[BURST];

    if (t->sent - t->received > WINDOW - BURST) {
        return;
    }
    memset(data, 0, sizeof data);
    for (int i = 0; i < BURST; i++) {
        uint64_t number = t->sent + i;

        data[i][0] = data[i][6] = 2;
        data[i][5] = 2;
        data[i][11] = 1;
        data[i][12] = 0x88;
        data[i][13] = 0xb5;
        memcpy(&data[i][16], &number, sizeof number);
        frames[i].data = data[i];
        frames[i].len = FRAME_BYTES;
    }
    t->sent += dpdkr_tx_burst(t->from, 0, frames, BURST);
}

static void
receive_some(struct traffic *t)
{
    struct dpdkr_frame frames[WINDOW];
    unsigned int n = dpdkr_rx_peek(t->to, 0, frames, WINDOW);

    for (unsigned int i = 0; i < n; i++) {
        uint64_t number = UINT64_MAX;

        if (frames[i].len == FRAME_BYTES) {
            memcpy(&number, (const uint8_t *) frames[i].data + 16,
                   sizeof number);
        }
        t->wrong += number != t->received;
        t->received++;
    }
    dpdkr_rx_release(t->to, 0, n);
}

int
main(int argc, char *argv[])
{
    struct traffic t = { .sent = 0 };
    bool mapped = false, direct = false, waiting = false;
    uint64_t first = 0;

    if (argc != 3) {
        errx(2, "usage: %s FROM TO", argv[0]);
    }
    signal(SIGINT, handle_signal);
    signal(SIGTERM, handle_signal);
    t.from = open_port(argv[1]);
    t.to = open_port(argv[2]);
    while (!done
           && (!dpdkr_link_up(t.from) || !dpdkr_link_up(t.to))) {
        dpdkr_run(t.from);
        dpdkr_run(t.to);
    }
    tell("up");
    while (!done) {
        struct dpdkr_info from, to;
        uint64_t sent = t.sent;

        send_some(&t);
        dpdkr_run(t.from);
        dpdkr_run(t.to);
        dpdkr_get_info(t.from, &from, sizeof from);
        dpdkr_get_info(t.to, &to, sizeof to);
        if (mapped ? !from.n_links && !to.n_links
                   : from.n_links && to.n_links) {
            mapped = !mapped;
            tell(mapped ? "mapped" : "unmapped");
        }
        if (direct != (from.n_tx_direct > 0)) {
            direct = !direct;
            first = sent;
            waiting = true;
            tell(direct ? "to-link" : "to-port");
        }
        receive_some(&t);
        if (waiting && t.received > first) {
            waiting = false;
            tell(direct ? "first-link" : "first-port");
        }
    }
    for (uint64_t end = now_ns() + 500000000;
         now_ns() < end && t.received < t.sent; ) {
        receive_some(&t);
    }
    printf("sent=%llu received=%llu lost=%llu wrong=%llu\n",
           (unsigned long long) t.sent, (unsigned long long) t.received,
           (unsigned long long) (t.sent - t.received),
           (unsigned long long) t.wrong);
    dpdkr_close(t.from);
    dpdkr_close(t.to);
    return t.sent != t.received || t.wrong;
}
