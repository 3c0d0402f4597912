/* SPDX-License-Identifier: Apache-2.0 */

/* Sends, receives, checks and forwards frames at the far end of dpdkr ports,
 * with nothing but libdpdkr.  See usage(). */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "dpdkr-traffic.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct traffic_options opts = {
    .queues = 0,
    .timeout = 2,
    .link_timeout = 10,
    .min_size = 60,
    .max_size = 1514,
    .seed = 1,
    .flows = 1,
    .burst = 32,
    .src_mac = { 0x02, 0, 0, 0, 0, 0x01 },
    .dst_mac = { 0x02, 0, 0, 0, 0, 0x02 },
};
volatile int stopping, draining;

static void
usage(void)
{
    printf("dpdkr-traffic: frames for the far end of dpdkr ports\n"
"usage: dpdkr-traffic [OPTION...] COMMAND ARGUMENT...\n"
"\n"
"  echo PATH            send back what port PATH receives\n"
"  forward PATH PATH    connect two ports\n"
"  send PATH            send numbered frames\n"
"  recv PATH            receive and check them\n"
"  pair TXPATH RXPATH   do both in one process; both may be the same\n"
"  exchange PATH        do both, with an exchange at the other end\n"
"  hostile PATH MODE    attach, then misbehave: scribble, bad-index,\n"
"                       bad-length, bad-flags, truncate, unlink, header,\n"
"                       epoch-flood, stop\n"
"\n"
"send, recv, pair and exchange print a JSON object.  All but send fail if\n"
"a frame was lost, duplicated, changed, overtaken by another of its flow,\n"
"or if none was received.  All commands end in good order on SIGINT and\n"
"SIGTERM; on SIGUSR1, pair sends no more, and ends when all has arrived,\n"
"and exchange sends no more.\n"
"\n"
"  --queues=N           use N queues of each port (default: all)\n"
"  --count=N            frames to send, or to expect, in total\n"
"  --duration=S         end after S seconds\n"
"  --timeout=S          when nothing comes for S seconds, what is missing is\n"
"                       lost (default: 2)\n"
"  --link-timeout=S     wait that long for the link (default: 10)\n"
"  --min=N, --max=N     frame sizes in bytes, without FCS (60, 1514)\n"
"  --seed=N             for sizes and contents\n"
"  --rate=N             frames a second (default: as many as go)\n"
"  --window=N           pair, or with --other: at most N frames on the way,\n"
"                       so that none can be lost for lack of room\n"
"  --state=FILE         what was sent and received; the next process goes on\n"
"                       with it, and it is seen by...\n"
"  --other=FILE         ...that of the process at the other end\n"
"  --flows=N            UDP flows, by port and address\n"
"  --src-mac=MAC, --dst-mac=MAC\n"
"  --burst=N            frames at once (32)\n"
"  --blocking           sleep until frames arrive\n"
"  --busy               never sleep\n"
"  --copy               use the copying functions\n"
"  --swap-mac           echo, forward: exchange the Ethernet addresses\n"
"  --no-probe           begin without waiting until a probe arrives\n"
"  --quiet              do not log changes of the link\n");
    exit(0);
}

double
now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

void
relax(void)
{
    if (!opts.busy) {
        struct timespec ts = { 0, 20000 };

        nanosleep(&ts, NULL);
    }
}

static void
on_signal(int sig)
{
    if (sig == SIGUSR1) {
        draining = 1;
    } else {
        stopping = 1;
    }
}

static void
log_message(void *aux, enum dpdkr_log_level level, const char *message)
{
    (void) aux;
    if (!opts.quiet && level <= DPDKR_LOG_INFO) {
        fprintf(stderr, "%s\n", message);
    }
}

struct dpdkr *
open_port(const char *path)
{
    struct dpdkr_options o = DPDKR_OPTIONS_INIT;
    struct dpdkr *d;
    char error[256];

    o.flags = opts.blocking ? DPDKR_OPEN_SLEEPS : 0;
    o.n_rxq = o.n_txq = opts.queues;
    o.log = log_message;

    /* A switch repairs what a hostile peer left behind, and learns that a port
     * is free, within a moment. */
    for (int i = 0; dpdkr_open(path, &o, &d, error, sizeof error); i++) {
        struct timespec ts = { 0, 10000000 };

        if (i >= 100 || stopping) {
            errx(2, "%s", error);
        }
        nanosleep(&ts, NULL);
    }
    return d;
}

uint32_t
n_queues(struct dpdkr *d)
{
    struct dpdkr_info info;

    dpdkr_get_info(d, &info, sizeof info);
    return info.n_rxq < MAX_QUEUES ? info.n_rxq : MAX_QUEUES;
}

bool
wait_links(struct dpdkr *ports[], int n)
{
    double end = now_s() + opts.link_timeout;

    while (!stopping && now_s() < end) {
        struct timespec ts = { 0, 1000000 };
        int n_up = 0;

        for (int i = 0; i < n; i++) {
            dpdkr_run(ports[i]);
            n_up += dpdkr_link_up(ports[i]);
        }
        if (n_up == n) {
            return true;
        }
        nanosleep(&ts, NULL);
    }
    if (!stopping) {
        fprintf(stderr, "dpdkr-traffic: link did not come up\n");
    }
    return false;
}

/* ## ------- ## */
/* ## Forward ## */
/* ## ------- ## */

/* One direction of one queue. */
struct lane {
    struct dpdkr *from, *to;
    uint32_t q;
    uint64_t forwarded;
    pthread_t thread;
};

static void
swap_mac(uint8_t *frame)
{
    uint8_t tmp[6];

    memcpy(tmp, frame, 6);
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, tmp, 6);
}

/* Moves what waits, as far as there is room.  Returns the number of frames,
 * those included that are dropped because they are too long. */
static unsigned int
lane_run(struct lane *lane)
{
    struct dpdkr_frame in[MAX_BURST], out[MAX_BURST];
    unsigned int n, room, n_out = 0;

    n = dpdkr_rx_peek(lane->from, lane->q, in, opts.burst);
    if (!n) {
        dpdkr_rx_release(lane->from, lane->q, 0);
        return 0;
    }
    room = dpdkr_tx_reserve(lane->to, lane->q, out, n);
    n = n < room ? n : room;
    for (unsigned int i = 0; i < n; i++) {
        if (in[i].len > out[n_out].size) {
            continue;
        }
        memcpy(out[n_out].data, in[i].data, in[i].len);
        out[n_out].len = in[i].len;
        if (opts.swap_mac) {
            swap_mac(out[n_out].data);
        }
        n_out++;
    }
    dpdkr_tx_commit(lane->to, lane->q, out, n_out);
    dpdkr_rx_release(lane->from, lane->q, n);
    __atomic_store_n(&lane->forwarded, lane->forwarded + n_out,
                     __ATOMIC_RELAXED);
    return n;
}

static void *
lane_main(void *lane_)
{
    struct lane *lane = lane_;

    while (!stopping) {
        if (dpdkr_wait(lane->from, lane->q, opts.burst, 50, 200) > 0
            && !lane_run(lane)) {
            struct timespec ts = { 0, 20000 };

            nanosleep(&ts, NULL);       /* No room. */
        }
    }
    return NULL;
}

static int
run_forward(struct dpdkr *a, struct dpdkr *b)
{
    struct dpdkr *ports[2] = { a, b };
    struct lane lanes[2 * MAX_QUEUES];
    uint32_t n = n_queues(a), n_lanes = 0;
    double end = opts.duration ? now_s() + opts.duration : 0;
    double next_run = 0;
    uint64_t total;

    if (n_queues(b) < n) {
        n = n_queues(b);
    }
    for (uint32_t q = 0; q < n; q++) {
        lanes[n_lanes++] = (struct lane) { .from = a, .to = b, .q = q };
        if (a != b) {
            lanes[n_lanes++] = (struct lane) { .from = b, .to = a, .q = q };
        }
    }
    for (uint32_t i = 0; opts.blocking && i < n_lanes; i++) {
        int error = pthread_create(&lanes[i].thread, NULL, lane_main,
                                   &lanes[i]);

        if (error) {
            errx(2, "cannot create a thread (%s)", strerror(error));
        }
    }
    for (unsigned int round = 0; !stopping; round++) {
        unsigned int moved = 0;
        double now;

        if (opts.blocking) {
            struct timespec ts = { 0, 50000000 };

            nanosleep(&ts, NULL);
        } else {
            for (uint32_t i = 0; i < n_lanes; i++) {
                moved += lane_run(&lanes[i]);
            }
            if (!moved) {
                relax();
            } else if (round & 255) {
                continue;
            }
        }
        now = now_s();
        if (now >= next_run) {
            dpdkr_run(ports[0]);
            dpdkr_run(ports[1]);
            next_run = now + 0.05;
        }
        total = 0;
        for (uint32_t i = 0; i < n_lanes; i++) {
            total += __atomic_load_n(&lanes[i].forwarded, __ATOMIC_RELAXED);
        }
        if ((end && now >= end) || (opts.count && total >= opts.count)) {
            stopping = 1;
        }
    }
    total = 0;
    for (uint32_t i = 0; i < n_lanes; i++) {
        if (opts.blocking) {
            pthread_join(lanes[i].thread, NULL);
        }
        total += lanes[i].forwarded;
    }
    printf("{\"command\": \"%s\", \"forwarded\": %llu}\n",
           a == b ? "echo" : "forward", (unsigned long long) total);
    return 0;
}

/* ## ------- ## */
/* ## Options ## */
/* ## ------- ## */

static double
parse_number(const char *name, const char *s, double min, double max)
{
    char *end;
    double x = strtod(s, &end);

    if (end == s || *end || !(x >= min && x <= max)) {
        errx(2, "--%s=%s: not a number from %.0f to %.0f", name, s, min, max);
    }
    return x;
}

static void
parse_mac(const char *name, const char *s, uint8_t mac[6])
{
    int n = -1;

    if (sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1],
               &mac[2], &mac[3], &mac[4], &mac[5], &n) != 6
        || n < 0 || s[n]) {
        errx(2, "--%s=%s: not an Ethernet address", name, s);
    }
}

static void
parse_option(const char *name, const char *arg)
{
    if (!strcmp(name, "help")) {
        usage();
    } else if (!strcmp(name, "queues")) {
        opts.queues = parse_number(name, arg, 0, MAX_QUEUES);
    } else if (!strcmp(name, "count")) {
        opts.count = parse_number(name, arg, 0, 1e15);
    } else if (!strcmp(name, "duration")) {
        opts.duration = parse_number(name, arg, 0, 1e9);
    } else if (!strcmp(name, "timeout")) {
        opts.timeout = parse_number(name, arg, 0, 1e9);
    } else if (!strcmp(name, "link-timeout")) {
        opts.link_timeout = parse_number(name, arg, 0, 1e9);
    } else if (!strcmp(name, "min")) {
        opts.min_size = parse_number(name, arg, 60, 16384);
    } else if (!strcmp(name, "max")) {
        opts.max_size = parse_number(name, arg, 60, 16384);
    } else if (!strcmp(name, "seed")) {
        opts.seed = parse_number(name, arg, 0, 1e15);
    } else if (!strcmp(name, "rate")) {
        opts.rate = parse_number(name, arg, 0, 1e9);
    } else if (!strcmp(name, "window")) {
        opts.window = parse_number(name, arg, 0, 1e9);
    } else if (!strcmp(name, "state")) {
        opts.state = arg;
    } else if (!strcmp(name, "other")) {
        opts.other = arg;
    } else if (!strcmp(name, "flows")) {
        opts.flows = parse_number(name, arg, 1, 65536);
    } else if (!strcmp(name, "burst")) {
        opts.burst = parse_number(name, arg, 1, MAX_BURST);
    } else if (!strcmp(name, "src-mac")) {
        parse_mac(name, arg, opts.src_mac);
    } else if (!strcmp(name, "dst-mac")) {
        parse_mac(name, arg, opts.dst_mac);
    } else if (!strcmp(name, "blocking")) {
        opts.blocking = true;
    } else if (!strcmp(name, "busy")) {
        opts.busy = true;
    } else if (!strcmp(name, "copy")) {
        opts.copy = true;
    } else if (!strcmp(name, "swap-mac")) {
        opts.swap_mac = true;
    } else if (!strcmp(name, "no-probe")) {
        opts.no_probe = true;
    } else if (!strcmp(name, "quiet")) {
        opts.quiet = true;
    }
}

static void
parse_options(int argc, char *argv[])
{
    static const struct option options[] = {
        { "help", no_argument, NULL, 0 },
        { "queues", required_argument, NULL, 0 },
        { "count", required_argument, NULL, 0 },
        { "duration", required_argument, NULL, 0 },
        { "timeout", required_argument, NULL, 0 },
        { "link-timeout", required_argument, NULL, 0 },
        { "min", required_argument, NULL, 0 },
        { "max", required_argument, NULL, 0 },
        { "seed", required_argument, NULL, 0 },
        { "rate", required_argument, NULL, 0 },
        { "window", required_argument, NULL, 0 },
        { "state", required_argument, NULL, 0 },
        { "other", required_argument, NULL, 0 },
        { "flows", required_argument, NULL, 0 },
        { "burst", required_argument, NULL, 0 },
        { "src-mac", required_argument, NULL, 0 },
        { "dst-mac", required_argument, NULL, 0 },
        { "blocking", no_argument, NULL, 0 },
        { "busy", no_argument, NULL, 0 },
        { "copy", no_argument, NULL, 0 },
        { "swap-mac", no_argument, NULL, 0 },
        { "no-probe", no_argument, NULL, 0 },
        { "quiet", no_argument, NULL, 0 },
        { NULL, 0, NULL, 0 },
    };
    int index, opt;

    while ((opt = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (opt) {
            exit(2);            /* getopt_long() has said why. */
        }
        parse_option(options[index].name, optarg);
    }
    if (opts.max_size < opts.min_size) {
        opts.max_size = opts.min_size;
    }
}

int
main(int argc, char *argv[])
{
    struct sigaction sa = { .sa_handler = on_signal };
    struct dpdkr *ports[2] = { NULL, NULL };
    const char *command, *mode = NULL;
    int n_ports, n_args, code;

    parse_options(argc, argv);
    argc -= optind;
    argv += optind;
    if (!argc) {
        errx(2, "a command is missing, see --help");
    }
    command = argv[0];
    n_ports = !strcmp(command, "forward") || !strcmp(command, "pair") ? 2 : 1;
    n_args = n_ports + !strcmp(command, "hostile");
    if (argc != 1 + n_args) {
        errx(2, "%s: wrong number of arguments, see --help", command);
    }

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    if (n_ports == 2 && !strcmp(argv[1], argv[2])) {
        n_ports = 1;            /* Somebody at the other end bounces. */
        ports[1] = ports[0] = open_port(argv[1]);
    }
    for (int i = 0; i < n_ports && !ports[i]; i++) {
        ports[i] = open_port(argv[1 + i]);
    }
    if (!strcmp(command, "hostile")) {
        mode = argv[2];
    }

    if (!strcmp(command, "echo")) {
        /* These two serve whenever there is a link. */
        code = run_forward(ports[0], ports[0]);
    } else if (!strcmp(command, "forward")) {
        code = run_forward(ports[0], ports[1]);
    } else if (!wait_links(ports, n_ports)) {
        code = stopping ? 0 : 1;
    } else if (!strcmp(command, "send")) {
        code = run_flows(command, ports[0], NULL, false);
    } else if (!strcmp(command, "recv")) {
        code = run_flows(command, NULL, ports[0], false);
    } else if (!strcmp(command, "exchange")) {
        code = run_flows(command, ports[0], ports[0], false);
    } else if (!strcmp(command, "pair")) {
        code = run_flows(command, ports[0], ports[1], true);
    } else if (mode) {
        code = run_hostile(argv[1], ports[0], mode);
    } else {
        errx(2, "%s: no such command, see --help", command);
    }
    for (int i = 0; i < n_ports; i++) {
        dpdkr_close(ports[i]);
    }
    return code;
}
