/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of <dpdkr/ring.h> by itself, with a thread at each end of a ring.
 *
 * It needs nothing of Open vSwitch, so that it can be built with the thread
 * sanitizer as well. */

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <dpdkr/ring.h>

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "nfv-test.h"

#define RING_SIZE 256
#define SLOT_SIZE 256

static struct dpdkr_geometry g;
static void *base;
static struct dpdkr_producer producer;
static struct dpdkr_consumer consumer;

/* Sets up one ring whose indexes start at 'first'. */
static bool
open_ring(uint32_t first)
{
    struct dpdkr_ring *ctl;

    if (dpdkr_geometry_init(&g, 1, RING_SIZE, SLOT_SIZE)) {
        return false;
    }
    base = mmap(NULL, g.total_size, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return false;
    }
    dpdkr_producer_init(&producer, base, &g, 0);
    dpdkr_consumer_init(&consumer, base, &g, 0);
    ctl = producer.r.ctl;
    ctl->prod = ctl->cons = first;
    dpdkr_producer_adopt(&producer);
    dpdkr_consumer_adopt(&consumer);
    dpdkr_producer_start(&producer);
    dpdkr_consumer_start(&consumer, false);
    return true;
}

static void
close_ring(void)
{
    munmap(base, g.total_size);
}

static uint32_t
next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* A frame's length and content follow from its number. */
static uint32_t
frame_len(uint64_t number)
{
    return 16 + (number * 7) % (SLOT_SIZE - 16 + 1);
}

static void
write_frame(uint8_t *slot, uint64_t number)
{
    uint64_t last = ~number;

    memcpy(slot, &number, sizeof number);
    memcpy(slot + frame_len(number) - sizeof last, &last, sizeof last);
}

static bool
frame_is(const uint8_t *slot, uint32_t len, uint64_t number)
{
    uint64_t first, last;

    if (len != frame_len(number)) {
        return false;
    }
    memcpy(&first, slot, sizeof first);
    memcpy(&last, slot + len - sizeof last, sizeof last);
    return first == number && last == ~number;
}

/* ## ------------ ## */
/* ## Two threads. ## */
/* ## ------------ ## */

static uint64_t n_frames;

static void *
produce(void *arg)
{
    uint32_t random = 12345;
    uint64_t number = 0;

    (void) arg;
    while (number < n_frames) {
        uint32_t want = 1 + next_random(&random) % 64;
        uint32_t n;

        if (want > n_frames - number) {
            want = n_frames - number;
        }
        n = dpdkr_producer_room(&producer, want);
        for (uint32_t i = 0; i < n; i++) {
            write_frame(dpdkr_producer_slot(&producer, i), number);
            dpdkr_producer_set(&producer, i, frame_len(number));
            number++;
        }
        if (n) {
            dpdkr_producer_publish(&producer, n);
        } else if (producer.broken) {
            break;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

/* Every frame arrives once, whole and in order, with bursts of all sizes and
 * over the wrap-around of the indexes. */
static void
test_threads(void)
{
    uint32_t random = 54321;
    uint64_t number = 0;
    uint64_t n_empty = 0, n_full_bursts = 0, bytes = 0;
    pthread_t thread;
    bool ok = true;

    n_frames = NFV_TEST_SANITIZED ? 2000000 : 20000000;
    REQUIRE(open_ring(UINT32_MAX - 1000000));
    REQUIRE(!pthread_create(&thread, NULL, produce, NULL));
    while (number < n_frames) {
        uint32_t want = 1 + next_random(&random) % 64;
        uint32_t n = dpdkr_consumer_avail(&consumer, want);

        for (uint32_t i = 0; i < n; i++) {
            const uint8_t *frame;
            uint32_t len;

            frame = dpdkr_consumer_frame(&consumer, i, &len);
            ok = ok && frame && frame_is(frame, len, number);
            bytes += len;
            number++;
        }
        if (n) {
            n_full_bursts += n == want;
            dpdkr_consumer_release(&consumer, n);
        } else if (consumer.broken) {
            break;
        } else {
            n_empty++;
            sched_yield();
        }
    }
    pthread_join(thread, NULL);
    CHECK(ok);
    CHECK_EQ(number, n_frames);
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 1), 0);
    CHECK_EQ(producer.broken, 0);
    CHECK_EQ(consumer.broken, 0);
    CHECK_EQ(consumer.r.ctl->packets, n_frames);
    CHECK_EQ(consumer.r.ctl->bytes, bytes);

    /* That both sides of the shadow indexes were at work. */
    CHECK(n_empty > 0);
    CHECK(n_full_bursts > 0);
    close_ring();
}

/* ## ---------- ## */
/* ## Sleeping.  ## */
/* ## ---------- ## */

/* Each round, the producer sends some frames in some bursts, and the consumer
 * sleeps without a time limit until all of them are there.  Neither goes on
 * before the other.  With one lost wake-up the test never ends. */

#define MAX_ROUND 100

static uint32_t n_rounds;
static uint32_t round_done;     /* By the consumer. */

static uint32_t
frames_of_round(uint32_t round)
{
    return 1 + (round * 2654435761u >> 7) % MAX_ROUND;
}

static void *
produce_rounds(void *n_woken_)
{
    uint64_t *n_woken = n_woken_;
    uint32_t random = 777;

    for (uint32_t round = 0; round < n_rounds; round++) {
        uint32_t left = frames_of_round(round);

        while (left) {
            uint32_t n = 1 + next_random(&random) % left;

            if (dpdkr_producer_room(&producer, n) < n) {
                return NULL;
            }
            for (uint32_t i = 0; i < n; i++) {
                write_frame(dpdkr_producer_slot(&producer, i), round);
                dpdkr_producer_set(&producer, i, frame_len(round));
            }
            producer.consumer_sleeps = false;
            dpdkr_producer_publish(&producer, n);
            *n_woken += dpdkr_producer_wake(&producer);
            left -= n;
        }
        while (__atomic_load_n(&round_done, __ATOMIC_ACQUIRE) <= round) {
            sched_yield();
        }
        /* Meet the consumer in every phase of going to sleep. */
        for (uint32_t i = next_random(&random) % 2000; i; i--) {
            __asm__ volatile ("" ::: "memory");
        }
    }
    return NULL;
}

static void
test_sleep(void)
{
    uint64_t n_woken = 0, n_waits = 0;
    pthread_t thread;
    bool ok = true;

    n_rounds = NFV_TEST_SANITIZED ? 20000 : 100000;
    round_done = 0;
    REQUIRE(open_ring(UINT32_MAX - 1000));
    REQUIRE(!pthread_create(&thread, NULL, produce_rounds, &n_woken));
    for (uint32_t round = 0; ok && round < n_rounds; round++) {
        uint32_t n = frames_of_round(round);

        while (dpdkr_consumer_avail(&consumer, n) < n) {
            dpdkr_consumer_wait(&consumer, n, -1);
            n_waits++;
        }
        for (uint32_t i = 0; i < n; i++) {
            const uint8_t *frame;
            uint32_t len;

            frame = dpdkr_consumer_frame(&consumer, i, &len);
            ok = ok && frame && frame_is(frame, len, round);
        }
        dpdkr_consumer_release(&consumer, n);
        CHECK_EQ(__atomic_load_n(&consumer.r.ctl->wake, __ATOMIC_RELAXED), 0);
        __atomic_store_n(&round_done, round + 1, __ATOMIC_RELEASE);
    }
    CHECK(ok);
    pthread_join(thread, NULL);
    printf("# %u rounds, %llu waits, %llu woken\n", n_rounds,
           (unsigned long long int) n_waits,
           (unsigned long long int) n_woken);
    CHECK(n_woken > n_rounds / 100);
    close_ring();
}

/* An age limit ends the sleep when fewer frames wait than the threshold, and a
 * producer below the threshold wakes nobody. */
static void
test_sleep_limit(void)
{
    REQUIRE(open_ring(0));
    dpdkr_consumer_wait(&consumer, 1, 1000000);
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 1), 0);

    producer.r.ctl->wake = 2;
    write_frame(dpdkr_producer_slot(&producer, 0), 0);
    dpdkr_producer_set(&producer, 0, frame_len(0));
    dpdkr_producer_publish(&producer, 1);
    CHECK(!dpdkr_producer_wake(&producer));
    CHECK_EQ(producer.r.ctl->wake, 2);
    producer.r.ctl->wake = 1;
    CHECK(dpdkr_producer_wake(&producer));
    CHECK_EQ(producer.r.ctl->wake, 0);

    dpdkr_consumer_wait(&consumer, 2, 1000000);
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 2), 1);
    CHECK_EQ(consumer.r.ctl->wake, 0);

    /* More than there can ever be is as many as there can be, and a broken
     * ring does not put its consumer to sleep. */
    consumer.r.ctl->prod = consumer.cons + RING_SIZE;
    dpdkr_consumer_wait(&consumer, UINT32_MAX, -1);
    dpdkr_consumer_release(&consumer, RING_SIZE);
    consumer.r.ctl->prod = consumer.cons - 1;
    dpdkr_consumer_wait(&consumer, RING_SIZE, -1);
    CHECK_EQ(consumer.broken, DPDKR_CUT_INDEX);
    dpdkr_consumer_wait(&consumer, 1, -1);
    close_ring();
}

/* ## ------------------ ## */
/* ## One end is a liar. ## */
/* ## ------------------ ## */

static void
test_full_and_empty(void)
{
    uint32_t len;

    REQUIRE(open_ring(UINT32_MAX - 10));
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 1), 0);
    CHECK_EQ(dpdkr_producer_room(&producer, RING_SIZE + 1), RING_SIZE);
    for (uint32_t i = 0; i < RING_SIZE; i++) {
        write_frame(dpdkr_producer_slot(&producer, i), i);
        dpdkr_producer_set(&producer, i, frame_len(i));
    }
    dpdkr_producer_publish(&producer, RING_SIZE);
    CHECK_EQ(dpdkr_producer_room(&producer, 1), 0);
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 2 * RING_SIZE), RING_SIZE);
    for (uint32_t i = 0; i < RING_SIZE; i++) {
        const uint8_t *frame = dpdkr_consumer_frame(&consumer, i, &len);

        CHECK(frame && frame_is(frame, len, i));
    }
    CHECK_EQ(dpdkr_producer_room(&producer, 1), 0);
    dpdkr_consumer_release(&consumer, 3);
    CHECK_EQ(dpdkr_producer_room(&producer, RING_SIZE), 3);
    CHECK_EQ(producer.broken, 0);
    CHECK_EQ(consumer.broken, 0);
    close_ring();
}

/* Any index that the far side can write either is one that it could have
 * reached, or breaks the ring, which then yields nothing. */
static void
test_lies(void)
{
    REQUIRE(open_ring(0));
    for (int64_t lie = -3 * RING_SIZE; lie <= 3 * RING_SIZE; lie++) {
        /* Ten frames wait, of which the consumer knows five. */
        consumer.r.ctl->prod = 5;
        consumer.cons = 0;
        dpdkr_consumer_start(&consumer, false);
        CHECK_EQ(dpdkr_consumer_avail(&consumer, 1), 1);
        consumer.r.ctl->prod = (uint32_t) lie;
        uint32_t n = dpdkr_consumer_avail(&consumer, UINT32_MAX);
        bool possible = lie >= 5 && lie <= RING_SIZE;
        CHECK_EQ(n, possible ? lie : 0);
        CHECK_EQ(consumer.broken, possible ? 0 : DPDKR_CUT_INDEX);
        if (!possible) {
            consumer.r.ctl->prod = 6;
            CHECK_EQ(dpdkr_consumer_avail(&consumer, 1), 0);
        }

        /* The producer is at 100; the consumer was seen at 20. */
        producer.r.ctl->cons = 20;
        producer.prod = 100;
        dpdkr_producer_start(&producer);
        producer.r.ctl->cons = (uint32_t) lie;
        n = dpdkr_producer_room(&producer, UINT32_MAX);
        possible = lie >= 20 && lie <= 100;
        CHECK_EQ(n, possible ? RING_SIZE - (100 - lie) : 0);
        CHECK_EQ(producer.broken, possible ? 0 : DPDKR_CUT_INDEX);
        if (!possible) {
            producer.r.ctl->cons = 100;
            CHECK_EQ(dpdkr_producer_room(&producer, 1), 0);
        }
    }
    close_ring();
}

static void
test_descriptors(void)
{
    static const struct {
        struct dpdkr_desc desc;
        uint32_t broken;
    } cases[] = {
        { { .len = 0 }, 0 },
        { { .len = SLOT_SIZE }, 0 },
        { { .len = SLOT_SIZE + 1 }, DPDKR_CUT_LENGTH },
        { { .len = UINT32_MAX }, DPDKR_CUT_LENGTH },
        { { .len = 64, .flags = 1 }, DPDKR_CUT_FLAGS },
        { { .len = 64, .pad = 0x8000 }, DPDKR_CUT_FLAGS },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *frame;
        uint32_t len = 12345;

        REQUIRE(open_ring(0));
        consumer.r.descs[0] = cases[i].desc;
        consumer.r.ctl->prod = 2;
        CHECK_EQ(dpdkr_consumer_avail(&consumer, 64), 2);
        frame = dpdkr_consumer_frame(&consumer, 0, &len);
        CHECK_EQ(consumer.broken, cases[i].broken);
        CHECK_EQ(frame != NULL, !cases[i].broken);
        CHECK_EQ(len, cases[i].broken ? 0 : cases[i].desc.len);
        dpdkr_consumer_release(&consumer, !cases[i].broken);
        CHECK_EQ(dpdkr_consumer_avail(&consumer, 64), !cases[i].broken);
        close_ring();
    }
}

/* Before it is started, a ring has neither room nor frames. */
static void
test_not_started(void)
{
    REQUIRE(open_ring(0));
    producer.r.ctl->prod = 7;
    dpdkr_producer_init(&producer, base, &g, 0);
    dpdkr_consumer_init(&consumer, base, &g, 0);
    CHECK_EQ(dpdkr_producer_room(&producer, 1), 0);
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 1), 0);
    close_ring();
}

/* Starting anew skips or keeps what waits, and takes up where an impossible
 * index leaves no choice. */
static void
test_start(void)
{
    REQUIRE(open_ring(100));
    consumer.r.ctl->prod = 110;
    dpdkr_consumer_start(&consumer, false);
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 64), 10);
    CHECK_EQ(consumer.skipped, 0);
    dpdkr_consumer_start(&consumer, true);
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 64), 0);
    CHECK_EQ(consumer.r.ctl->cons_skipped, 10);
    CHECK_EQ(consumer.r.ctl->cons, 110);
    consumer.r.ctl->prod = 5;
    dpdkr_consumer_start(&consumer, false);
    CHECK_EQ(dpdkr_consumer_avail(&consumer, 64), 0);
    CHECK_EQ(consumer.cons, 5);
    CHECK_EQ(consumer.r.ctl->cons_skipped, 10);

    producer.r.ctl->cons = 200;
    dpdkr_producer_start(&producer);
    CHECK_EQ(producer.prod, 200);
    CHECK_EQ(producer.r.ctl->prod, 200);
    CHECK_EQ(dpdkr_producer_room(&producer, UINT32_MAX), RING_SIZE);
    close_ring();
}

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "threads", test_threads },
        { "sleep", test_sleep },
        { "sleep-limit", test_sleep_limit },
        { "full-and-empty", test_full_and_empty },
        { "lies", test_lies },
        { "descriptors", test_descriptors },
        { "not-started", test_not_started },
        { "start", test_start },
    };

    return nfv_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
