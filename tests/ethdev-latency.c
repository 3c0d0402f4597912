/* SPDX-License-Identifier: Apache-2.0 */

/* Measures how long frames take from one Ethernet device of DPDK through a
 * chain of functions to another.
 *
 *     ethdev-latency EAL-OPTION... -- [--functions=N] [--size=BYTES]
 *
 * EAL's devices are, in this order: the source, two for each of the functions,
 * and the sink.  Both ends of the chain are here, so that all times are those
 * of one clock, the TSC.  So are the functions, if any: each moves what it
 * receives on one of its devices to the other, in bursts, as testpmd's "io"
 * mode does.  All of that is done by one thread, in turns: a turn sends what
 * is due, looks at the sink, and at both devices of each function.
 *
 * Standard input tells what to do:
 *
 *     measure SECONDS    measure, print the result: one line, a JSON object
 *     quit               end, as does the end of the input
 *
 * Until then 1,000 frames a second go into the chain, so that switches learn
 * of flows and links get used.  "measure" waits until they arrive, and prints
 * an object with nothing but "error" if they do not.  Then it looks for the
 * highest rate without loss, by trials, and measures the latency of
 *
 *     ping-pong          one frame at a time: the next one is sent when this
 *                        one has arrived
 *     10, 50, 90         frames that are sent at regular intervals, at 10, 50
 *                        and 90 % of that rate
 *
 * for so many seconds each.  The latency of a frame counts from when it is
 * handed over to the source's driver to when the sink's driver hands it out.
 * Frames are numbered; what is lost, comes too late, out of order, or is not
 * what was sent, is counted.  Times in the result are in nanoseconds. */

#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#define BURST 32
#define ETHERTYPE 0x88b5        /* For local experiments. */

#define WARM_UP_RATE 1000
#define N_WARM_UP 100           /* Frames to arrive in order. */
#define WARM_UP_TIMEOUT 10      /* Seconds. */

/* How the highest rate without loss is found: by halving an interval so many
 * times.  A rate counts as one without loss if one trial of TRIES succeeds, as
 * another program may have had the core for a moment. */
#define N_HALVINGS 8
#define TRIES 3
#define TRIAL_S 0.05

/* What is missing after so many seconds without any frame is lost. */
#define LOST_S 0.02

struct tag {
    uint32_t epoch;             /* Of the trial. */
    uint64_t number;
    uint64_t time;              /* When it was sent, TSC. */
    uint64_t check;             /* Of the rest. */
} __attribute__((packed));

#define MIN_SIZE 60

/* Counts values by their size: those below 2 * SUB exactly, others to 1 part
 * in SUB. */
#define SUB 64
#define N_BUCKETS (60 * SUB)

struct histogram {
    uint64_t buckets[N_BUCKETS];
    uint64_t n, min, max;
    double sum;
};

struct trial {
    uint64_t sent, received;
    uint64_t refused;           /* Not sent: no room at the source. */
    uint64_t next;              /* One above the highest number received. */
    uint64_t reordered, wrong;
    uint64_t start, end, last;  /* TSC; 'last': last frame received. */
    struct histogram *latency;  /* Null if nobody asks. */
};

static unsigned int n_functions;
static unsigned int frame_size = 64;

static uint16_t sink;
static struct rte_mempool *pool;
static uint32_t epoch;
static uint64_t hz;             /* Of the TSC. */

/* ## --------- ## */
/* ## Histogram ## */
/* ## --------- ## */

static unsigned int
bucket_of(uint64_t value)
{
    unsigned int shift = 0;

    if (value >= SUB) {
        shift = 63 - __builtin_clzll(value) - __builtin_ctz(SUB);
    }
    unsigned int i = shift * SUB + (value >> shift);
    return i < N_BUCKETS ? i : N_BUCKETS - 1;
}

/* Returns the middle of bucket 'i'. */
static double
bucket_value(unsigned int i)
{
    unsigned int shift = i < SUB ? 0 : i / SUB - 1;
    uint64_t low = (uint64_t) (i - shift * SUB) << shift;

    return low + (((uint64_t) 1 << shift) - 1) / 2.0;
}

static void
histogram_clear(struct histogram *h)
{
    memset(h, 0, sizeof *h);
    h->min = UINT64_MAX;
}

static void
histogram_add(struct histogram *h, uint64_t value)
{
    h->buckets[bucket_of(value)]++;
    h->n++;
    h->sum += value;
    h->min = value < h->min ? value : h->min;
    h->max = value > h->max ? value : h->max;
}

/* Returns the value that 'share' of all values do not exceed. */
static double
histogram_quantile(const struct histogram *h, double share)
{
    uint64_t n = 0;

    for (unsigned int i = 0; i < N_BUCKETS; i++) {
        n += h->buckets[i];
        if (h->n && n >= share * h->n) {
            double value = bucket_value(i);

            return (value < h->min ? h->min
                    : value > h->max ? h->max : value);
        }
    }
    return 0;
}

/* ## ------ ## */
/* ## Frames ## */
/* ## ------ ## */

static uint64_t
tag_check(const struct tag *tag)
{
    uint64_t h = tag->epoch + 1;

    h = (h ^ tag->number) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 29 ^ tag->time) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static void
make_frame(struct rte_mbuf *mbuf, uint64_t number, uint64_t now)
{
    static const uint8_t addresses[12] = {
        0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01
    };
    struct tag tag = { .epoch = epoch, .number = number, .time = now };
    uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);

    tag.check = tag_check(&tag);
    memcpy(frame, addresses, sizeof addresses);
    frame[12] = ETHERTYPE >> 8;
    frame[13] = ETHERTYPE & 0xff;
    memcpy(frame + RTE_ETHER_HDR_LEN, &tag, sizeof tag);
    mbuf->data_len = mbuf->pkt_len = frame_size;
}

/* Sends 'n' frames, as far as there is room. */
static void
send_frames(struct trial *t, unsigned int n, uint64_t now)
{
    struct rte_mbuf *mbufs[BURST];
    unsigned int done = 0;

    if (rte_pktmbuf_alloc_bulk(pool, mbufs, n)) {
        t->refused += n;
        return;
    }
    for (unsigned int i = 0; i < n; i++) {
        make_frame(mbufs[i], t->sent + i, now);
    }
    done = rte_eth_tx_burst(0, 0, mbufs, n);
    rte_pktmbuf_free_bulk(mbufs + done, n - done);
    t->sent += done;
    t->refused += n - done;
}

static void
take_frame(struct trial *t, struct rte_mbuf *mbuf, uint64_t now)
{
    const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
    struct tag tag;

    if (mbuf->pkt_len < RTE_ETHER_HDR_LEN + sizeof tag
        || mbuf->data_len != mbuf->pkt_len
        || (frame[12] << 8 | frame[13]) != ETHERTYPE) {
        return;                 /* None of ours. */
    }
    memcpy(&tag, frame + RTE_ETHER_HDR_LEN, sizeof tag);
    if (tag.check != tag_check(&tag) || mbuf->pkt_len != frame_size) {
        t->wrong++;
        return;
    }
    if (tag.epoch != epoch) {
        return;                 /* Of an earlier trial. */
    }

    if (tag.number < t->next) {
        t->reordered++;
    } else {
        t->next = tag.number + 1;
    }
    t->received++;
    t->last = now;
    if (t->latency) {
        histogram_add(t->latency, now - tag.time);
    }
}

/* ## ------ ## */
/* ## A turn ## */
/* ## ------ ## */

static void
forward(uint16_t from, uint16_t to)
{
    struct rte_mbuf *mbufs[BURST];
    unsigned int n = rte_eth_rx_burst(from, 0, mbufs, BURST);

    if (n) {
        unsigned int done = rte_eth_tx_burst(to, 0, mbufs, n);

        rte_pktmbuf_free_bulk(mbufs + done, n - done);
    }
}

/* Does all but sending, and returns when that ended. */
static uint64_t
turn(struct trial *t)
{
    struct rte_mbuf *mbufs[BURST];
    unsigned int n;
    uint64_t now;

    n = rte_eth_rx_burst(sink, 0, mbufs, BURST);
    now = rte_rdtsc_precise();
    for (unsigned int i = 0; i < n; i++) {
        take_frame(t, mbufs[i], now);
    }
    rte_pktmbuf_free_bulk(mbufs, n);

    /* Nothing comes back to the source, but drivers expect to be asked. */
    n = rte_eth_rx_burst(0, 0, mbufs, BURST);
    rte_pktmbuf_free_bulk(mbufs, n);

    for (unsigned int i = 0; i < n_functions; i++) {
        forward(2 * i + 1, 2 * i + 2);
        forward(2 * i + 2, 2 * i + 1);
    }
    return rte_rdtsc();
}

static void
trial_start(struct trial *t, struct histogram *latency)
{
    memset(t, 0, sizeof *t);
    t->latency = latency;
    if (latency) {
        histogram_clear(latency);
    }
    epoch++;
    t->start = t->last = rte_rdtsc();
}

/* Waits for what is on the way. */
static void
trial_finish(struct trial *t)
{
    uint64_t now = rte_rdtsc(), since = now;

    t->end = now;
    while (t->received < t->sent
           && now - (t->last > since ? t->last : since) < LOST_S * hz) {
        now = turn(t);
    }
}

/* Sends 'rate' frames a second, or as many as go if that is 0. */
static void
run_rate(struct trial *t, double rate, double seconds,
         struct histogram *latency)
{
    double interval = rate ? hz / rate : 0;

    trial_start(t, latency);

    uint64_t now = t->start, end = t->start + (uint64_t) (seconds * hz);
    double due = t->start;
    while (now < end) {
        unsigned int n = 0;

        while (n < BURST && due <= now) {
            due += interval;
            n++;
        }
        if (n) {
            send_frames(t, n, now);
        }
        now = turn(t);
    }
    trial_finish(t);
}

static void
run_ping_pong(struct trial *t, double seconds, struct histogram *latency)
{
    trial_start(t, latency);

    uint64_t now = t->start, end = t->start + (uint64_t) (seconds * hz);
    uint64_t sent_at = now, arrived = 0;
    bool waiting = false;
    while (now < end) {
        if (t->received != arrived || now - sent_at > LOST_S * hz) {
            waiting = false;
        }
        if (!waiting) {
            arrived = t->received;
            now = rte_rdtsc_precise();
            send_frames(t, 1, now);
            sent_at = now;
            waiting = true;
        }
        now = turn(t);
    }
    trial_finish(t);
}

/* ## ------- ## */
/* ## Measure ## */
/* ## ------- ## */

static double
trial_pps(const struct trial *t)
{
    return (double) t->received * hz / (t->end - t->start);
}

static bool
carries(double rate)
{
    for (int i = 0; i < TRIES; i++) {
        struct trial t;

        run_rate(&t, rate, TRIAL_S, NULL);
        if (!t.refused && t.received == t.sent
            && t.sent >= 0.99 * rate * TRIAL_S) {
            return true;
        }
    }
    return false;
}

/* Returns the highest rate without loss below 'high', or 0. */
static double
find_loss_free_rate(double high)
{
    double low = 0;

    if (carries(high)) {
        return high;
    }
    for (int i = 0; i < N_HALVINGS; i++) {
        double middle = (low + high) / 2;

        if (carries(middle)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static void
print_trial(const char *name, double rate, const struct trial *t)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {
        { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 },
    };
    const struct histogram *h = t->latency;
    double ns = 1e9 / hz;

    printf(", \"%s\": {\"rate\": %.0f, \"pps\": %.0f, \"sent\": %"PRIu64", "
           "\"refused\": %"PRIu64", \"lost\": %"PRId64", "
           "\"reordered\": %"PRIu64", \"wrong\": %"PRIu64", ",
           name, rate, trial_pps(t), t->sent, t->refused,
           (int64_t) (t->sent - t->received), t->reordered, t->wrong);
    for (size_t i = 0; i < RTE_DIM(quantiles); i++) {
        printf("\"%s\": %.0f, ", quantiles[i].name,
               histogram_quantile(h, quantiles[i].share) * ns);
    }
    printf("\"min\": %.0f, \"max\": %.0f, \"mean\": %.0f}",
           (h->n ? h->min : 0) * ns, h->max * ns,
           h->n ? h->sum / h->n * ns : 0);
}

/* Sends slowly until 'end' or, if 'n' is not 0, until 'n' frames have arrived
 * and none was lost in between.  Returns false at 'end'. */
static bool
warm_up(struct trial *t, uint64_t end, uint64_t n)
{
    uint64_t now = rte_rdtsc(), due = now;

    trial_start(t, NULL);
    while (now < end) {
        if (now >= due) {
            if (t->next != t->received || t->sent > t->received + n) {
                trial_start(t, NULL);
            }
            send_frames(t, 1, now);
            due = now + hz / WARM_UP_RATE;
        }
        now = turn(t);
        if (n && t->received >= n && t->next == t->received) {
            return true;
        }
    }
    return false;
}

static void
measure(double seconds)
{
    static const unsigned int loads[] = { 10, 50, 90 };
    static struct histogram latency;
    struct trial t;
    double rate;

    if (!warm_up(&t, rte_rdtsc() + WARM_UP_TIMEOUT * hz, N_WARM_UP)) {
        printf("{\"error\": \"frames do not arrive\"}\n");
        return;
    }
    run_rate(&t, 0, TRIAL_S, NULL);
    printf("{\"size\": %u, \"tsc_hz\": %"PRIu64", \"overload_pps\": %.0f",
           frame_size, hz, trial_pps(&t));
    rate = find_loss_free_rate(1.1 * trial_pps(&t));
    printf(", \"loss_free_pps\": %.0f", rate);

    run_ping_pong(&t, seconds, &latency);
    print_trial("ping-pong", 0, &t);
    for (size_t i = 0; rate && i < RTE_DIM(loads); i++) {
        char name[16];

        run_rate(&t, rate * loads[i] / 100, seconds, &latency);
        snprintf(name, sizeof name, "%u", loads[i]);
        print_trial(name, rate * loads[i] / 100, &t);
    }
    printf("}\n");
}

/* ## ---- ## */
/* ## Main ## */
/* ## ---- ## */

static void
start_port(uint16_t port)
{
    struct rte_eth_conf conf = { .rxmode = { .mtu = RTE_ETHER_MTU } };
    int socket = rte_eth_dev_socket_id(port);
    int error;

    error = rte_eth_dev_configure(port, 1, 1, &conf);
    if (!error) {
        error = rte_eth_rx_queue_setup(port, 0, 0, socket, NULL, pool);
    }
    if (!error) {
        error = rte_eth_tx_queue_setup(port, 0, 0, socket, NULL);
    }
    if (!error) {
        error = rte_eth_dev_start(port);
    }
    if (error) {
        errx(2, "port %u: %s", port, rte_strerror(-error));
    }
}

static unsigned int
parse_number(const char *name, const char *s, unsigned int min,
             unsigned int max)
{
    char *end;
    unsigned long n = strtoul(s, &end, 10);

    if (end == s || *end || n < min || n > max) {
        errx(2, "--%s=%s: not a number from %u to %u", name, s, min, max);
    }
    return n;
}

static void
parse_options(int argc, char *argv[])
{
    static const struct option options[] = {
        { "functions", required_argument, NULL, 'f' },
        { "size", required_argument, NULL, 's' },
        { NULL, 0, NULL, 0 },
    };
    int index, opt;

    optind = 1;
    while ((opt = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (opt == 'f') {
            n_functions = parse_number("functions", optarg, 0,
                                       (RTE_MAX_ETHPORTS - 2) / 2);
        } else if (opt == 's') {
            frame_size = parse_number("size", optarg, MIN_SIZE,
                                      RTE_ETHER_MAX_LEN - RTE_ETHER_CRC_LEN);
        } else {
            exit(2);            /* getopt_long() has said why. */
        }
    }
}

int
main(int argc, char *argv[])
{
    int n_args = rte_eal_init(argc, argv);

    if (n_args < 0) {
        errx(2, "EAL: %s", rte_strerror(rte_errno));
    }
    parse_options(argc - n_args, argv + n_args);

    uint16_t n_ports = 2 * n_functions + 2;
    if (rte_eth_dev_count_avail() != n_ports) {
        errx(2, "%u ports for %u functions, not %u",
             rte_eth_dev_count_avail(), n_functions, n_ports);
    }
    sink = n_ports - 1;
    hz = rte_get_tsc_hz();

    /* Enough for the rings of all, and what is in the rings of others. */
    pool = rte_pktmbuf_pool_create("frames", n_ports * 2048 + 1024, 256, 0,
                                   RTE_MBUF_DEFAULT_BUF_SIZE,
                                   rte_socket_id());
    if (!pool) {
        errx(2, "mbuf pool: %s", rte_strerror(rte_errno));
    }
    for (uint16_t port = 0; port < n_ports; port++) {
        start_port(port);
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    for (;;) {
        struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
        struct trial t;

        warm_up(&t, rte_rdtsc() + hz / 100, 0);
        if (poll(&pfd, 1, 0) > 0) {
            char line[64];
            double seconds;

            if (!fgets(line, sizeof line, stdin) || !strcmp(line, "quit\n")) {
                break;
            } else if (sscanf(line, "measure %lf", &seconds) == 1) {
                measure(seconds);
            } else {
                errx(2, "unknown command: %s", line);
            }
        }
    }
    for (uint16_t port = 0; port < n_ports; port++) {
        rte_eth_dev_stop(port);
        rte_eth_dev_close(port);
    }
    rte_eal_cleanup();
    return 0;
}
