/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of what a packet needs on its way through a dpdkr port:
 * lib/dpdkr-packet.c, lib/dpdkr-offload.c and lib/dpdkr-police.c. */

#include <config.h>

#include "dpdkr-packet.h"

#include <netinet/in.h>
#include <pthread.h>

#include "dp-packet.h"
#include "dpdkr-offload.h"
#include "dpdkr-police.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "packets.h"
#include "timeval.h"
#include "util.h"

/* ## ------- ## */
/* ## Packets ## */
/* ## ------- ## */

/* A packet that was sent comes back for the next frame, as new. */
static void
test_recycle(void)
{
    struct dp_packet *p = dpdkr_packet_new(100);

    CHECK_EQ(dp_packet_size(p), 100);
    CHECK_EQ(dp_packet_headroom(p), 6);
    CHECK(p->source == DPBUF_MALLOC);

    /* All that could stick to it. */
    dp_packet_set_size(p, 1500);
    dp_packet_push_zeros(p, 4);
    dp_packet_set_cutlen(p, 60);
    dp_packet_hwol_set_tx_ipv4(p);
    dp_packet_hwol_set_tcp_seg(p);
    dp_packet_set_rss_hash(p, 0x1234);
    p->packet_type = htonl(PT_IPV6);
    dp_packet_set_l2_pad_size(p, 3);
    dp_packet_set_l3(p, (char *) dp_packet_data(p) + 14);
    dp_packet_set_l4(p, (char *) dp_packet_data(p) + 34);
    dpdkr_packet_delete(p);

    struct dp_packet *q = dpdkr_packet_new(200);
    CHECK(p == q);
    CHECK_EQ(dp_packet_size(q), 200);
    CHECK_EQ(dp_packet_headroom(q), 6);
    CHECK_EQ(dp_packet_get_send_len(q), 200);
    CHECK(!dpdkr_offload_is_needed(q));
    CHECK(!dp_packet_rss_valid(q));
    CHECK(q->packet_type == htonl(PT_ETH));
    CHECK_EQ(dp_packet_l2_pad_size(q), 0);
    CHECK(!dp_packet_l3(q));
    CHECK(!dp_packet_l4(q));
    memset(dp_packet_data(q), 0, 200);
    dpdkr_packet_delete(q);
}

/* Frames of all sizes get the room that they need, also between recycled
 * ones, and packets of any origin may be given back. */
static void
test_sizes(void)
{
    struct dp_packet *packets[600];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ARRAY_SIZE(packets); i++) {
            uint32_t size = (i * 97 + round) % 16385;

            packets[i] = (i % 10 == 9 ? dp_packet_new_with_headroom(size, 128)
                          : dpdkr_packet_new(size));
            if (i % 10 == 9) {
                dp_packet_put_uninit(packets[i], size);
            }
            CHECK_EQ(dp_packet_size(packets[i]), size);
            memset(dp_packet_data(packets[i]), i, size);
        }
        for (int i = 0; i < ARRAY_SIZE(packets); i++) {
            uint32_t size = dp_packet_size(packets[i]);
            const uint8_t *data = dp_packet_data(packets[i]);

            CHECK(!size || (data[0] == (uint8_t) i
                            && data[size - 1] == (uint8_t) i));
            for (int j = 0; j < i; j += 50) {
                CHECK(packets[i] != packets[j]);
            }
        }
        for (int i = 0; i < ARRAY_SIZE(packets); i += NETDEV_MAX_BURST) {
            struct dp_packet_batch batch;

            dp_packet_batch_init(&batch);
            for (int j = i; j < MIN(i + NETDEV_MAX_BURST,
                                    ARRAY_SIZE(packets)); j++) {
                dp_packet_batch_add(&batch, packets[j]);
            }
            dpdkr_packet_delete_batch(&batch);
            CHECK_EQ(batch.count, 0);
        }
    }
}

static void *
delete_packets(void *packets_)
{
    struct dp_packet **packets = packets_;

    for (int i = 0; i < 300; i++) {
        dpdkr_packet_delete(packets[i]);
    }
    for (int i = 0; i < 300; i++) {
        packets[i] = dpdkr_packet_new(60);
        memset(dp_packet_data(packets[i]), 1, 60);
    }
    return NULL;
}

/* A packet is received by one thread and sent by another, which then ends: the
 * sanitizers say whether anything leaks. */
static void
test_two_threads(void)
{
    struct dp_packet *packets[300];

    for (int i = 0; i < ARRAY_SIZE(packets); i++) {
        packets[i] = dpdkr_packet_new(60);
    }
    for (int i = 0; i < 5; i++) {
        pthread_t thread;

        REQUIRE(!pthread_create(&thread, NULL, delete_packets, packets));
        pthread_join(thread, NULL);
    }
    for (int i = 0; i < ARRAY_SIZE(packets); i++) {
        CHECK_EQ(dp_packet_size(packets[i]), 60);
        dpdkr_packet_delete(packets[i]);
    }
}

/* ## -------- ## */
/* ## Offloads ## */
/* ## -------- ## */

/* The checksums by another way than the base's: byte by byte. */

static uint32_t
sum_bytes(const uint8_t *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint32_t
slow_crc32c(const uint8_t *p, size_t n)
{
    uint32_t crc = UINT32_MAX;

    while (n--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
    }
    return ~crc;
}

/* Whether the TCP or UDP checksum at 'l4' is right: the sum over everything is
 * all ones. */
static bool
l4_sum_is_right(const uint8_t *l3, bool ipv6, const uint8_t *l4, size_t len,
                uint8_t proto)
{
    uint32_t sum = ipv6 ? sum_bytes(l3 + 8, 32, 0) : sum_bytes(l3 + 12, 8, 0);

    sum += proto + len;
    return sum_bytes(l4, len, (sum & 0xffff) + (sum >> 16)) == 0xffff;
}

struct shape {
    const char *name;
    bool ipv6;
    uint8_t proto;
    int n_vlans;
    int ip_options;             /* Bytes. */
    int l4_options;             /* Bytes, TCP only. */
    int payload;
    int padding;                /* Behind the IP packet. */
};

static size_t
l4_header_len(const struct shape *s)
{
    return (s->proto == IPPROTO_TCP ? 20 + s->l4_options
            : s->proto == IPPROTO_UDP ? 8 : 12);
}

#define FIRST_SEQ 0xfffff000u
#define FIRST_ID 0xfffe
#define ALL_FLAGS (TCP_CWR | TCP_ECE | TCP_ACK | TCP_PSH | TCP_FIN)

/* Builds a packet byte by byte, with wrong checksums. */
static struct dp_packet *
build(const struct shape *s)
{
    size_t l2 = 14 + 4 * s->n_vlans;
    size_t l3 = s->ipv6 ? 40 : 20 + s->ip_options;
    size_t l4 = l4_header_len(s);
    size_t len = l2 + l3 + l4 + s->payload + s->padding;
    struct dp_packet *packet = dp_packet_new_with_headroom(len, 64);
    uint8_t *p = dp_packet_put_zeros(packet, len);
    uint8_t *ip = p + l2, *th = ip + l3;

    memcpy(p, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
    for (int i = 0; i < s->n_vlans; i++) {
        memcpy(p + 12 + 4 * i, i ? "\x81\x00\x00\x05" : "\x88\xa8\x00\x06",
               4);
    }
    memcpy(p + l2 - 2, s->ipv6 ? "\x86\xdd" : "\x08\x00", 2);
    if (s->ipv6) {
        ip[0] = 0x60;
        ip[4] = (l4 + s->payload) >> 8;
        ip[5] = l4 + s->payload;
        ip[6] = s->proto;
        ip[7] = 64;
        for (int i = 8; i < 40; i++) {
            ip[i] = i * 11;
        }
    } else {
        ip[0] = 0x40 | l3 / 4;
        ip[2] = (l3 + l4 + s->payload) >> 8;
        ip[3] = l3 + l4 + s->payload;
        ip[4] = FIRST_ID >> 8;
        ip[5] = FIRST_ID & 0xff;
        ip[8] = 64;
        ip[9] = s->proto;
        memcpy(ip + 12, "\xc0\x00\x02\x01\xc6\x33\x64\x02", 8);
        memset(ip + 20, 1, s->ip_options);
        uint32_t sum = ~sum_bytes(ip, l3, 0);
        ip[10] = sum >> 8;
        ip[11] = sum;
    }
    th[1] = 80;
    th[3] = 81;
    if (s->proto == IPPROTO_TCP) {
        memcpy(th + 4, "\xff\xff\xf0\x00", 4);
        th[12] = l4 / 4 << 4;
        th[13] = ALL_FLAGS;
        th[16] = 0xde;          /* What a kernel leaves there. */
        th[17] = 0xad;
        memset(th + 20, 1, s->l4_options);
    } else if (s->proto == IPPROTO_UDP) {
        th[4] = (l4 + s->payload) >> 8;
        th[5] = l4 + s->payload;
        th[6] = 0xbe;
    } else {
        memset(th + 8, 0xcc, 4);
    }
    for (int i = 0; i < s->payload; i++) {
        th[l4 + i] = i * 31 + (i >> 8);
    }
    memset(th + l4 + s->payload, 0xee, s->padding);

    dp_packet_set_l3(packet, ip);
    dp_packet_set_l4(packet, th);
    dp_packet_set_l2_pad_size(packet, s->padding);
    if (s->ipv6) {
        dp_packet_hwol_set_tx_ipv6(packet);
    } else {
        dp_packet_hwol_set_tx_ipv4(packet);
    }
    if (s->proto == IPPROTO_TCP) {
        dp_packet_hwol_set_csum_tcp(packet);
    } else if (s->proto == IPPROTO_UDP) {
        dp_packet_hwol_set_csum_udp(packet);
    } else {
        dp_packet_hwol_set_csum_sctp(packet);
    }
    return packet;
}

/* Checks the headers and checksums of 'frame', and returns its payload. */
static const uint8_t *
check_frame(const struct shape *s, const struct dp_packet *frame,
            size_t payload, int padding)
{
    const uint8_t *p = dp_packet_data(frame);
    size_t l2 = 14 + 4 * s->n_vlans;
    size_t l3 = s->ipv6 ? 40 : 20 + s->ip_options;
    size_t l4 = l4_header_len(s);
    const uint8_t *ip = p + l2, *th = ip + l3;

    CHECK_EQ(dp_packet_size(frame), l2 + l3 + l4 + payload + padding);
    if (s->ipv6) {
        CHECK_EQ(ip[4] << 8 | ip[5], l4 + payload);
    } else {
        CHECK_EQ(ip[2] << 8 | ip[3], l3 + l4 + payload);
        CHECK_EQ(sum_bytes(ip, l3, 0), 0xffff);
    }
    if (s->proto == IPPROTO_SCTP) {
        uint8_t *copy = xmemdup(th, l4 + payload);
        uint32_t crc;

        memcpy(&crc, copy + 8, 4);
        memset(copy + 8, 0, 4);
        /* Little-endian on the wire. */
        const uint8_t *c = th + 8;
        CHECK_EQ(slow_crc32c(copy, l4 + payload),
                 c[0] | c[1] << 8 | c[2] << 16 | (uint32_t) c[3] << 24);
        free(copy);
    } else {
        CHECK(l4_sum_is_right(ip, s->ipv6, th, l4 + payload, s->proto));
    }
    CHECK(!dpdkr_offload_is_needed(frame));
    return th + l4;
}

static bool
payload_is(const struct shape *s, const uint8_t *payload, size_t ofs,
           size_t len)
{
    for (size_t i = ofs; i < ofs + len; i++) {
        if (payload[i - ofs] != (uint8_t) (i * 31 + (i >> 8))) {
            return false;
        }
    }
    return ofs + len <= s->payload;
}

static void
test_checksums(void)
{
    static const struct shape shapes[] = {
        { "TCP", false, IPPROTO_TCP, 0, 0, 0, 1000, 0 },
        { "TCP odd", false, IPPROTO_TCP, 0, 0, 12, 1001, 0 },
        { "TCP empty", false, IPPROTO_TCP, 0, 0, 0, 0, 0 },
        { "TCP empty, padded", false, IPPROTO_TCP, 0, 0, 0, 0, 6 },
        { "TCP VLAN", false, IPPROTO_TCP, 1, 0, 0, 77, 0 },
        { "TCP QinQ, options", false, IPPROTO_TCP, 2, 8, 40, 1, 0 },
        { "TCP6", true, IPPROTO_TCP, 0, 0, 0, 1000, 0 },
        { "TCP6 odd", true, IPPROTO_TCP, 1, 0, 12, 999, 3 },
        { "UDP", false, IPPROTO_UDP, 0, 0, 0, 100, 0 },
        { "UDP odd", false, IPPROTO_UDP, 1, 4, 0, 101, 1 },
        { "UDP6", true, IPPROTO_UDP, 0, 0, 0, 1400, 0 },
        { "UDP6 empty", true, IPPROTO_UDP, 0, 0, 0, 0, 0 },
        { "SCTP", false, IPPROTO_SCTP, 0, 0, 0, 100, 0 },
        { "SCTP padded", false, IPPROTO_SCTP, 2, 0, 0, 4, 10 },
        { "SCTP6", true, IPPROTO_SCTP, 0, 0, 0, 1452, 0 },
    };

    for (int i = 0; i < ARRAY_SIZE(shapes); i++) {
        const struct shape *s = &shapes[i];
        struct dp_packet *packet = build(s);
        size_t n;

        CHECK(dpdkr_offload_is_needed(packet));
        struct dp_packet **frames = dpdkr_offload_finish(packet, 1500, &n);
        CHECK_EQ(n, 1);
        if (n == 1) {
            const uint8_t *payload = check_frame(s, frames[0], s->payload,
                                                 s->padding);
            CHECK(payload_is(s, payload, 0, s->payload));
            dpdkr_packet_delete(frames[0]);
        }
        if (nfv_test_failed) {
            printf("# in case %s\n", s->name);
            nfv_test_failed = true;
        }
        free(frames);
    }
}

/* A UDP checksum that comes out as zero is sent as all ones, since zero means
 * none. */
static void
test_udp_zero(void)
{
    static const struct shape s = {
        "UDP", false, IPPROTO_UDP, 0, 0, 0, 2, 0
    };
    bool seen = false;

    for (int i = 0; i < 65536 && !seen; i++) {
        struct dp_packet *packet = build(&s);
        uint8_t *payload = (uint8_t *) dp_packet_tail(packet) - 2;
        size_t n;

        payload[0] = i >> 8;
        payload[1] = i;
        struct dp_packet **frames = dpdkr_offload_finish(packet, 1500, &n);
        REQUIRE(n == 1);
        const uint8_t *udp = dp_packet_l4(frames[0]);
        CHECK(udp[6] || udp[7]);
        seen = udp[6] == 0xff && udp[7] == 0xff;
        dpdkr_packet_delete(frames[0]);
        free(frames);
    }
    CHECK(seen);
}

static void
test_segments(void)
{
    static const struct {
        struct shape shape;
        int mtu;
    } cases[] = {
        { { "short", false, IPPROTO_TCP, 0, 0, 0, 100, 0 }, 1500 },
        { { "empty", false, IPPROTO_TCP, 0, 0, 0, 0, 0 }, 1500 },
        { { "one exactly", false, IPPROTO_TCP, 0, 0, 0, 1460, 0 }, 1500 },
        { { "one more", false, IPPROTO_TCP, 0, 0, 0, 1461, 0 }, 1500 },
        { { "three exactly", false, IPPROTO_TCP, 0, 0, 12, 3 * 1448, 0 },
          1500 },
        { { "largest", false, IPPROTO_TCP, 0, 0, 12, 65535 - 52, 0 }, 1500 },
        { { "tags, options", false, IPPROTO_TCP, 2, 12, 40, 20000, 0 },
          1500 },
        { { "padded", false, IPPROTO_TCP, 0, 0, 0, 2000, 4 }, 1500 },
        { { "IPv6", true, IPPROTO_TCP, 0, 0, 12, 30000, 0 }, 1500 },
        { { "IPv6 VLAN", true, IPPROTO_TCP, 1, 0, 0, 1441, 0 }, 1500 },
        { { "jumbo", true, IPPROTO_TCP, 0, 0, 32, 65000, 0 }, 9000 },
        { { "small MTU", false, IPPROTO_TCP, 0, 0, 0, 1000, 0 }, 68 },
        { { "one byte each", false, IPPROTO_TCP, 0, 0, 0, 50, 0 }, 41 },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct shape *s = &cases[i].shape;
        size_t l3 = s->ipv6 ? 40 : 20 + s->ip_options;
        size_t l2 = 14 + 4 * s->n_vlans;
        size_t mss = cases[i].mtu - l3 - l4_header_len(s);
        struct dp_packet *packet = build(s);
        size_t n, ofs = 0;

        dp_packet_hwol_set_tcp_seg(packet);
        struct dp_packet **frames = dpdkr_offload_finish(packet, cases[i].mtu,
                                                         &n);
        CHECK_EQ(n, MAX(1, (s->payload + mss - 1) / mss));
        for (size_t j = 0; j < n; j++) {
            size_t len = MIN(mss, s->payload - ofs);
            const uint8_t *payload = check_frame(s, frames[j], len, 0);
            const uint8_t *p = dp_packet_data(frames[j]);
            const uint8_t *th = p + l2 + l3;
            bool first = !j, last = j == n - 1;

            CHECK(payload_is(s, payload, ofs, len));
            CHECK(dp_packet_size(frames[j]) <= l2 + cases[i].mtu);
            CHECK_EQ((uint32_t) th[4] << 24 | th[5] << 16 | th[6] << 8 | th[7],
                     (uint32_t) (FIRST_SEQ + ofs));
            CHECK_EQ(th[13], TCP_ECE | TCP_ACK | (first ? TCP_CWR : 0)
                             | (last ? TCP_PSH | TCP_FIN : 0));
            if (!s->ipv6) {
                const uint8_t *ip = p + l2;

                CHECK_EQ(ip[4] << 8 | ip[5], (uint16_t) (FIRST_ID + j));
            }
            ofs += len;
            dpdkr_packet_delete(frames[j]);
        }
        CHECK_EQ(ofs, s->payload);
        if (nfv_test_failed) {
            printf("# in case %s\n", s->name);
        }
        free(frames);
    }
}

/* What is not what its flags say is dropped, and nothing is read behind its
 * end. */
static void
test_wrong_flags(void)
{
    static const struct shape tcp = {
        "TCP", false, IPPROTO_TCP, 0, 0, 0, 100, 0
    };

    for (int i = 0; i < 9; i++) {
        struct dp_packet *packet = build(&tcp);
        uint8_t *th = dp_packet_l4(packet);
        size_t n = 99;
        int mtu = 1500;

        if (i < 4) {
            dp_packet_hwol_set_tcp_seg(packet);
        }
        switch (i) {
        case 0:                 /* No TCP header at all. */
        case 4:
            packet->l4_ofs = UINT16_MAX;
            break;
        case 1:                 /* Half of one. */
        case 5:
            dp_packet_set_size(packet, packet->l4_ofs + 10);
            break;
        case 2:                 /* Options behind the end. */
            th[12] = 0xf0;
            dp_packet_set_size(packet, packet->l4_ofs + 30);
            break;
        case 3:                 /* No room for a byte of payload. */
            mtu = 40;
            break;
        case 6:                 /* No network header. */
            packet->l3_ofs = UINT16_MAX;
            break;
        case 7:
            dp_packet_reset_offload(packet);
            dp_packet_hwol_set_tx_ipv4(packet);
            dp_packet_hwol_set_csum_udp(packet);
            dp_packet_set_size(packet, packet->l4_ofs + 7);
            break;
        case 8:
            dp_packet_reset_offload(packet);
            dp_packet_hwol_set_tx_ipv4(packet);
            dp_packet_hwol_set_csum_sctp(packet);
            dp_packet_set_size(packet, packet->l4_ofs + 11);
            break;
        }
        struct dp_packet **frames = dpdkr_offload_finish(packet, mtu, &n);
        CHECK_EQ(n, 0);
        for (size_t j = 0; j < n; j++) {
            printf("# case %d\n", i);
            dpdkr_packet_delete(frames[j]);
        }
        free(frames);
    }
}

/* ## -------- ## */
/* ## Policing ## */
/* ## -------- ## */

/* The policer's clock: the linker puts this in place of time_usec(). */
long long int __wrap_time_usec(void);

static long long int simulated_usec = 1;

long long int
__wrap_time_usec(void)
{
    return simulated_usec;
}

/* Offers bursts of 'n' packets of 'len' bytes every 'interval' µs for
 * 'duration' µs.  Returns how many passed. */
static uint64_t
offer(struct dpdkr_policer *policer, int n, uint32_t len,
      long long int interval, long long int duration)
{
    uint64_t n_passed = 0, n_offered = 0, n_dropped = 0, bytes = 0;

    for (long long int t = 0; t < duration; t += interval) {
        struct dp_packet_batch batch;

        dp_packet_batch_init(&batch);
        for (int i = 0; i < n; i++) {
            dp_packet_batch_add(&batch, dpdkr_packet_new(len));
        }
        n_dropped += dpdkr_policer_run(policer, &batch, &bytes);
        n_passed += batch.count;
        n_offered += n;
        dpdkr_packet_delete_batch(&batch);
        simulated_usec += interval;
    }
    CHECK_EQ(n_passed + n_dropped, n_offered);
    CHECK_EQ(bytes, n_dropped * len);
    return n_passed;
}

static void
check_near(uint64_t is, uint64_t should)
{
    if (is < should * 99 / 100 || is > should * 101 / 100 + 1) {
        CHECK_EQ(is, should);
    }
}

/* Over some seconds, what passes is the rate and the burst, within 1 %,
 * however the packets come. */
static void
test_police_rates(void)
{
    static const uint64_t rates[] = {
        10 * 1000, 1000 * 1000, 100 * 1000 * 1000, 10000ULL * 1000 * 1000
    };
    static const long long int intervals[] = { 7, 100, 1900, 33333 };
    for (int i = 0; i < ARRAY_SIZE(rates); i++) {
        for (int j = 0; j < ARRAY_SIZE(intervals); j++) {
            long long int duration = (intervals[j] == 7 ? 1 : 10) * 1000000;
            uint32_t len = 1014;
            uint64_t bits = (len - ETH_HEADER_LEN) * 8;
            uint64_t burst = MAX(rates[i] / 10, 64 * bits);
            uint64_t offered = duration / intervals[j] * 32;
            struct dpdkr_policer *p;

            p = dpdkr_policer_create(rates[i], burst, 0, 0);
            uint64_t passed = offer(p, 32, len, intervals[j],
                                    duration / intervals[j] * intervals[j]);
            uint64_t allowed = (rates[i] * (duration / 1000000) + burst)
                               / bits;
            check_near(passed, MIN(offered, allowed));
            dpdkr_policer_destroy(p);
        }
    }
}

static void
test_police_packets(void)
{
    static const uint64_t rates[] = { 1, 10, 1000, 1000 * 1000 };
    static const long long int intervals[] = { 1, 100, 1900, 9999 };

    for (int i = 0; i < ARRAY_SIZE(rates); i++) {
        for (int j = 0; j < ARRAY_SIZE(intervals); j++) {
            long long int duration = intervals[j] == 1 ? 100000 : 10000000;
            uint64_t burst = MAX(2, rates[i] / 10);
            struct dpdkr_policer *p;

            p = dpdkr_policer_create(0, 0, rates[i], burst);
            uint64_t passed = offer(p, 4, 60, intervals[j], duration);
            uint64_t allowed = rates[i] * duration / 1000000 + burst;
            uint64_t offered = (duration + intervals[j] - 1) / intervals[j]
                               * 4;
            check_near(passed, MIN(offered, allowed));
            dpdkr_policer_destroy(p);
        }
    }
}

static void
test_police_burst(void)
{
    struct dpdkr_policer *p = dpdkr_policer_create(8000, 8 * 1000, 0, 0);

    /* The whole burst at once, then nothing, then what time has brought, and
     * never more than the burst. */
    CHECK_EQ(offer(p, 32, 114, 1, 1), 10);
    CHECK_EQ(offer(p, 32, 114, 1, 1), 0);
    simulated_usec += 100 * 1000;
    CHECK_EQ(offer(p, 32, 114, 1, 1), 1);
    simulated_usec += 1000LL * 1000 * 1000 * 1000;
    CHECK_EQ(offer(p, 32, 114, 1, 1), 10);
    CHECK_EQ(offer(p, 32, 114, 1, 1), 0);

    /* A large packet does not keep smaller ones behind it from passing. */
    simulated_usec += 500 * 1000;
    struct dp_packet_batch batch;
    uint64_t bytes = 0;
    dp_packet_batch_init(&batch);
    dp_packet_batch_add(&batch, dpdkr_packet_new(1514));
    dp_packet_batch_add(&batch, dpdkr_packet_new(114));
    CHECK_EQ(dpdkr_policer_run(p, &batch, &bytes), 1);
    CHECK_EQ(bytes, 1514);
    CHECK_EQ(batch.count, 1);
    CHECK_EQ(dp_packet_size(batch.packets[0]), 114);
    dpdkr_packet_delete_batch(&batch);

    /* A clock that goes back takes nothing away and gives nothing. */
    simulated_usec -= 1000 * 1000;
    CHECK_EQ(offer(p, 1, 114, 1, 1), 1);
    dpdkr_policer_destroy(p);

    /* Both limits, and none. */
    p = dpdkr_policer_create(8 * 1000, 8 * 1000, 1, 5);
    CHECK_EQ(offer(p, 32, 114, 1, 1), 5);
    dpdkr_policer_destroy(p);
    p = dpdkr_policer_create(0, 0, 0, 0);
    CHECK_EQ(offer(p, 32, 1514, 1, 100), 3200);
    dpdkr_policer_destroy(p);
    dpdkr_policer_destroy(NULL);
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "recycle", test_recycle },
        { "sizes", test_sizes },
        { "two-threads", test_two_threads },
        { "checksums", test_checksums },
        { "udp-zero", test_udp_zero },
        { "segments", test_segments },
        { "wrong-flags", test_wrong_flags },
        { "police-rates", test_police_rates },
        { "police-packets", test_police_packets },
        { "police-burst", test_police_burst },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
