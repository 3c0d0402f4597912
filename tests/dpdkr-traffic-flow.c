/* SPDX-License-Identifier: Apache-2.0 */

/* Numbered frames: how they are made, and how they are checked.
 *
 * Frame number i of queue q belongs to one of the flows that are q modulo the
 * number of queues, each in its turn.  It carries its flow, its number within
 * the flow, and a hash over these two, its length and all that follows; the
 * headers before that may be rewritten on the way. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "dpdkr-traffic.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define HEADERS (14 + 20 + 8)
#define TRAFFIC_MAGIC 0xd9c7
#define PROBE_MAGIC 0xd9c8

/* Follows Ethernet, IPv4 and UDP headers; as long as the shortest frame. */
struct tag {
    uint16_t magic;
    uint16_t flow;
    uint16_t seq_high;
    uint32_t seq_low;
    uint64_t hash;
} __attribute__((packed));

#define BODY (HEADERS + sizeof(struct tag))

/* Numbers remembered for each flow, to tell a frame that was overtaken from
 * one that came twice. */
#define HISTORY 4096

struct flow {
    uint64_t next;              /* One above the highest number received. */
    uint64_t seen[HISTORY / 64];    /* Bit n: n modulo HISTORY was. */
};

#define MAX_FLOWS 65536

/* What was sent and received.  It is in a file if the options name one, where
 * others see it, and where it outlives the process: the next one with this
 * file goes on counting, even if this one was killed.  The first members are
 * known to tests/system/direct_traffic.py. */
struct state {
    uint64_t sent;
    uint64_t in_hand;           /* Frames that are being sent just now... */
    uint64_t unsure;            /* ...and were when a process was killed. */
    uint64_t received;          /* Sound frames, each counted once. */
    uint64_t reordered, duplicated, corrupted, other;
    uint64_t probes;            /* Sent... */
    uint64_t probed;            /* ...and received. */
    uint64_t starts;            /* Processes that have used this. */
    uint64_t tx_bytes, rx_bytes, probe_bytes;
    double first, last;         /* Frame sent or received. */

    struct flow flows[MAX_FLOWS];   /* As received. */
};

static struct state *st;
static const struct state *other;   /* Of the other end, or NULL. */

static uint8_t noise[2 * 16384];
static uint64_t random_state;
static uint64_t sent_before;    /* By earlier processes with the state. */
static uint32_t first_flow;
static struct tx_queue {
    uint64_t sent;
    uint32_t n_flows;
} tx_queues[MAX_QUEUES];

static uint64_t
random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t
hash(uint64_t seed, const uint8_t *data, uint32_t len)
{
    const uint64_t k = 0x9e3779b97f4a7c15;
    uint64_t h = (seed ^ len) * k;
    uint64_t word;

    for (; len >= 8; len -= 8, data += 8) {
        memcpy(&word, data, 8);
        h = (h ^ word) * k;
        h ^= h >> 29;
    }
    word = 0;
    memcpy(&word, data, len);
    h = (h ^ word) * k;
    return h ^ h >> 32;
}

static uint64_t
hash_frame(const uint8_t *frame, uint32_t len, uint16_t flow, uint64_t seq)
{
    return hash((seq << 16 | flow) + ((uint64_t) len << 48),
                frame + BODY, len - BODY);
}

/* ## ---- ## */
/* ## Send ## */
/* ## ---- ## */

static uint16_t
ip_checksum(const uint8_t *ip)
{
    uint32_t sum = 0;

    for (int i = 0; i < 20; i += 2) {
        sum += ip[i] << 8 | ip[i + 1];
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum;
}

static void
put16(uint8_t *p, uint16_t x)
{
    p[0] = x >> 8;
    p[1] = x;
}

/* Writes frame number 'seq' of 'flow' and returns its length. */
static uint32_t
make_frame(uint8_t *frame, uint32_t max_size, uint16_t flow, uint64_t seq)
{
    uint64_t x = random64();
    uint32_t range = opts.max_size - opts.min_size + 1;
    uint32_t len = opts.min_size + (uint32_t) (x >> 40) % range;
    uint8_t *ip = frame + 14;
    uint8_t *udp = ip + 20;
    struct tag tag;

    if (len > max_size) {
        len = max_size;
    }
    memcpy(frame, opts.dst_mac, 6);
    memcpy(frame + 6, opts.src_mac, 6);
    put16(frame + 12, 0x0800);

    memset(ip, 0, 28);
    ip[0] = 0x45;
    put16(ip + 2, len - 14);
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
    ip[14] = flow >> 8;
    put16(ip + 10, ip_checksum(ip));
    put16(udp, 1024 + (flow & 0x7fff));
    put16(udp + 2, 2000);
    put16(udp + 4, len - 34);           /* No checksum. */

    memcpy(frame + BODY, noise + (x & 0x3fff), len - BODY);
    tag.magic = TRAFFIC_MAGIC;
    tag.flow = flow;
    tag.seq_high = seq >> 32;
    tag.seq_low = seq;
    tag.hash = hash_frame(frame, len, flow, seq);
    memcpy(frame + HEADERS, &tag, sizeof tag);
    return len;
}

/* Sends up to 'limit' frames through queue 'q' of 'n'.  Returns how many. */
static unsigned int
send_burst(struct dpdkr *port, uint32_t q, uint32_t n, uint64_t limit)
{
    static uint8_t buffers[MAX_BURST][16384];
    struct dpdkr_frame f[MAX_BURST];
    struct tx_queue *txq = &tx_queues[q];
    unsigned int n_tx = limit < opts.burst ? limit : opts.burst;
    uint64_t bytes = 0;

    /* Slots come first in both cases: once it has its number, a frame has to
     * be sent. */
    n_tx = dpdkr_tx_reserve(port, q, f, n_tx);
    if (opts.copy) {
        dpdkr_tx_commit(port, q, f, 0);
    }
    for (unsigned int i = 0; i < n_tx; i++) {
        uint64_t number = txq->sent + i;

        if (opts.copy) {
            f[i].data = buffers[i];
        }
        f[i].len = make_frame(f[i].data, f[i].size,
                              first_flow + q + n * (number % txq->n_flows),
                              number / txq->n_flows);
        bytes += f[i].len;
    }

    /* A process that is killed here cannot tell whether it has sent them. */
    st->in_hand = n_tx;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (opts.copy) {
        for (unsigned int i = 0; i < n_tx && !stopping; ) {
            unsigned int done = dpdkr_tx_burst(port, q, f + i, n_tx - i);

            i += done;
            if (!done) {        /* The link went down. */
                relax();
                dpdkr_run(port);
            }
        }
    } else {
        dpdkr_tx_commit(port, q, f, n_tx);
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    txq->sent += n_tx;
    st->tx_bytes += bytes;
    __atomic_store_n(&st->sent, st->sent + n_tx, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    st->in_hand = 0;
    return n_tx;
}

/* ## ------- ## */
/* ## Receive ## */
/* ## ------- ## */

/* Notes that frame 'seq' of 'flow' arrived. */
static void
note_frame(struct flow *flow, uint64_t seq, uint32_t len)
{
    uint64_t bit = (uint64_t) 1 << (seq & 63);
    uint64_t *word = &flow->seen[seq / 64 % (HISTORY / 64)];

    if (seq >= flow->next) {
        /* Forget what is HISTORY behind. */
        if (seq - flow->next >= HISTORY) {
            memset(flow->seen, 0, sizeof flow->seen);
        } else {
            for (uint64_t i = flow->next; i <= seq; i++) {
                flow->seen[i / 64 % (HISTORY / 64)]
                    &= ~((uint64_t) 1 << (i & 63));
            }
        }
        flow->next = seq + 1;
    } else if (flow->next - seq <= HISTORY && (*word & bit)) {
        st->duplicated++;
        return;
    } else {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        if (st->reordered++ < 10) {
            fprintf(stderr, "dpdkr-traffic: %lld.%03ld: frame %llu of flow %u "
                    "was overtaken by %llu\n", (long long) now.tv_sec,
                    now.tv_nsec / 1000000, (unsigned long long) seq,
                    (unsigned) (flow - st->flows),
                    (unsigned long long) flow->next - 1);
        }
    }
    *word |= bit;
    st->rx_bytes += len;
    __atomic_store_n(&st->received, st->received + 1, __ATOMIC_RELAXED);
}

static void
check_frame(const uint8_t *shared, uint32_t len)
{
    uint8_t frame[16384];
    struct tag tag;
    uint64_t seq;

    if (len < BODY || len > sizeof frame) {
        st->other++;
        return;
    }
    memcpy(frame, shared, len);
    memcpy(&tag, frame + HEADERS, sizeof tag);
    if (tag.magic == PROBE_MAGIC) {
        st->probed++;
        return;
    }
    if (tag.magic != TRAFFIC_MAGIC) {
        /* A frame of ours with a spoiled magic is missed, and so found. */
        st->other++;
        return;
    }
    seq = (uint64_t) tag.seq_high << 32 | tag.seq_low;
    if (tag.hash != hash_frame(frame, len, tag.flow, seq)) {
        st->corrupted++;
        return;
    }
    note_frame(&st->flows[tag.flow], seq, len);
}

static unsigned int
receive_burst(struct dpdkr *port, uint32_t q)
{
    static uint8_t buffers[MAX_BURST][16384];
    struct dpdkr_frame f[MAX_BURST];
    unsigned int n;

    if (opts.copy) {
        for (unsigned int i = 0; i < opts.burst; i++) {
            f[i].data = buffers[i];
            f[i].size = sizeof buffers[i];
        }
        n = dpdkr_rx_burst(port, q, f, opts.burst);
    } else {
        n = dpdkr_rx_peek(port, q, f, opts.burst);
    }
    for (unsigned int i = 0; i < n; i++) {
        check_frame(f[i].data, f[i].len);
    }
    if (!opts.copy) {
        dpdkr_rx_release(port, q, n);
    }
    return n;
}

/* ## ----- ## */
/* ## Probe ## */
/* ## ----- ## */

static void
send_probe(struct dpdkr *tx)
{
    struct tag tag = { .magic = PROBE_MAGIC };
    struct dpdkr_frame f;

    if (dpdkr_tx_reserve(tx, 0, &f, 1)) {
        f.len = make_frame(f.data, f.size, 0, 0);
        memcpy((uint8_t *) f.data + HEADERS, &tag, sizeof tag);
        dpdkr_tx_commit(tx, 0, &f, 1);
        st->probes++;
        st->probe_bytes += f.len;
    }
}

/* Sends a frame through 'tx' every 20 ms until one arrives, at 'rx' or, with
 * --other, at the other process.  A link that is up at this end need not be at
 * the other end of the switch yet, and what is sent before would be lost.
 * Returns false if none arrives. */
static bool
probe(struct dpdkr *tx, struct dpdkr *rx)
{
    double start = now_s(), next = start, quiet = 0;

    while (!stopping && now_s() - start < opts.link_timeout) {
        double now = now_s();

        if (now >= next && !quiet) {
            send_probe(tx);
            dpdkr_run(tx);
            if (rx) {
                dpdkr_run(rx);
            }
            next = now + 0.02;
        }
        for (uint32_t q = 0; rx && q < n_queues(rx); q++) {
            receive_burst(rx, q);
        }
        if (!quiet && (other ? other : st)->probed) {
            quiet = now;
        }
        /* Others may be on the way still; check_frame() does not mind. */
        if (quiet && now - quiet > 0.02) {
            return true;
        }
        relax();
    }
    if (!stopping) {
        fprintf(stderr, "dpdkr-traffic: none of %llu probes arrived\n",
                (unsigned long long) st->probes);
    }
    return false;
}

/* ## ---- ## */
/* ## Both ## */
/* ## ---- ## */

/* Returns how many frames may be sent now.  'pair' is true if all of them are
 * to come back to this process. */
static uint64_t
send_limit(double now, double start, bool pair)
{
    uint64_t limit = UINT64_MAX;

    if (opts.count) {
        limit = opts.count - st->sent;
    }
    if (opts.rate) {
        uint64_t due = (now - start) * opts.rate;
        uint64_t sent = st->sent - sent_before;

        if (due <= sent) {
            return 0;
        }
        limit = due - sent < limit ? due - sent : limit;
    }
    if (opts.window && (pair || other)) {
        const struct state *far = other ? other : st;
        uint64_t received = __atomic_load_n(&far->received, __ATOMIC_RELAXED);
        uint64_t on_way = st->sent - received - far->corrupted;

        if (on_way >= opts.window) {
            return 0;
        }
        limit = (opts.window - on_way < limit
                 ? opts.window - on_way : limit);
    }
    return limit;
}

static int
report(const char *name, bool rx, bool pair)
{
    double seconds = st->last > st->first ? st->last - st->first : 0;
    uint64_t n = rx ? st->received : st->sent;
    uint64_t lost = 0;
    bool ok;

    if (rx) {
        uint64_t expected = pair ? st->sent : 0;

        for (uint32_t i = 0; i < MAX_FLOWS && !pair; i++) {
            expected += st->flows[i].next;
        }
        if (!pair && opts.count > expected) {
            expected = opts.count;
        }
        lost = expected > st->received ? expected - st->received : 0;
    }
    ok = (n && !lost && !st->reordered && !st->duplicated
          && !st->corrupted);
    printf("{\"command\": \"%s\", \"ok\": %s, \"sent\": %llu, "
           "\"received\": %llu, \"lost\": %llu, \"reordered\": %llu, "
           "\"duplicated\": %llu, \"corrupted\": %llu, \"other\": %llu, "
           "\"tx_bytes\": %llu, \"rx_bytes\": %llu, \"probes\": %llu, "
           "\"probe_bytes\": %llu, \"seconds\": %.6f, "
           "\"pps\": %.0f}\n",
           name, ok ? "true" : "false", (unsigned long long) st->sent,
           (unsigned long long) st->received, (unsigned long long) lost,
           (unsigned long long) st->reordered,
           (unsigned long long) st->duplicated,
           (unsigned long long) st->corrupted,
           (unsigned long long) st->other,
           (unsigned long long) st->tx_bytes,
           (unsigned long long) st->rx_bytes,
           (unsigned long long) st->probes,
           (unsigned long long) st->probe_bytes, seconds,
           seconds ? n / seconds : 0);
    return !ok;
}

/* Maps the state in file 'path', which is made if it does not exist, or memory
 * of this process's own. */
static struct state *
map_state(const char *path)
{
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *p;

    if (path && (fd < 0 || ftruncate(fd, sizeof *st))) {
        err(2, "%s", path);
    }
    p = mmap(NULL, sizeof *st, PROT_READ | PROT_WRITE,
             fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        err(2, "mmap");
    }
    if (fd >= 0) {
        close(fd);
    }
    return p;
}

static void
prepare(uint32_t n_txq)
{
    uint32_t n_flows;

    random_state = opts.seed * 0x9e3779b97f4a7c15 + 1;
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = random64() >> 24;
    }
    st = map_state(opts.state);
    other = opts.other ? map_state(opts.other) : NULL;

    /* What an earlier process sent may still be on its way, so this one has
     * flows of its own. */
    n_flows = opts.flows > n_txq ? opts.flows : n_txq;
    first_flow = st->starts * n_flows % MAX_FLOWS;
    for (uint32_t q = 0; q < n_txq; q++) {
        tx_queues[q].n_flows = n_flows / n_txq + (q < n_flows % n_txq);
    }
    st->unsure += st->in_hand;
    st->in_hand = 0;
    sent_before = st->sent;
    st->starts++;
}

int
run_flows(const char *name, struct dpdkr *tx, struct dpdkr *rx, bool pair)
{
    uint32_t n_txq = tx ? n_queues(tx) : 0;
    uint32_t n_rxq = rx ? n_queues(rx) : 0;
    double start = now_s(), now = start, next_run = start;
    double send_end, last_progress;
    uint64_t expected = rx && !tx ? opts.count : 0;
    bool arrives;

    prepare(n_txq);
    arrives = (!tx || !(pair || other) || opts.no_probe || st->starts > 1
               || probe(tx, rx));
    now = start = last_progress = now_s();
    send_end = opts.duration ? start + opts.duration : 1e300;
    st->first = start;
    st->last = start;
    for (uint32_t round = 0; arrives && !stopping; round++) {
        bool sending = (tx && now < send_end && !draining
                        && (!opts.count || st->sent < opts.count));
        unsigned int n = 0;

        if (sending) {
            uint64_t limit = send_limit(now, start, pair);

            if (limit) {
                n += send_burst(tx, round % n_txq, n_txq, limit);
            }
        }
        for (uint32_t q = 0; q < n_rxq; q++) {
            n += receive_burst(rx, q);
        }

        now = now_s();
        if (n) {
            if (!tx && st->last == start) {
                st->first = now;
            }
            st->last = last_progress = now;
        } else if (!tx && opts.blocking && n_rxq == 1) {
            dpdkr_wait(rx, 0, opts.burst, 50, 50);
        } else {
            relax();
        }
        if (now >= next_run) {
            if (tx) {
                dpdkr_run(tx);
            }
            if (rx) {
                dpdkr_run(rx);
            }
            next_run = now + 0.05;
        }

        /* Is that all? */
        if (tx && !sending
            && (!rx || (pair && st->received + st->corrupted >= st->sent
                        && now - last_progress > 0.2))) {
            break;              /* 0.2 s for duplicates to show. */
        }
        if (expected && st->received >= expected
            && now - last_progress > 0.2) {
            break;
        }
        if (!tx && now >= send_end) {
            break;
        }
        if (now - last_progress > opts.timeout
            && (tx || st->received || opts.count)
            && (!sending || opts.window || !dpdkr_link_up(tx))) {
            break;
        }
    }
    for (uint32_t q = 0; q < n_txq; q++) {
        double end = now_s() + opts.timeout;

        while (!stopping && dpdkr_tx_pending(tx, q) && now_s() < end) {
            relax();
            dpdkr_run(tx);
        }
    }
    return report(name, rx != NULL, pair);
}
