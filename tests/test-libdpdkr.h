/* SPDX-License-Identifier: Apache-2.0 */

#ifndef TEST_LIBDPDKR_H
#define TEST_LIBDPDKR_H 1

/* What the files of test-libdpdkr share. */

#include <dpdkr/dpdkr.h>

#include <stdio.h>

#include "dpdkr-fake.h"

extern const char *test_name;   /* Of the test that runs. */
extern bool failed;             /* The test has failed. */
extern char dir[64];            /* A new directory, and... */
extern char path[96], path2[96];    /* ...files in it, for the test. */
extern char last_log[512];      /* Last warning or error of the library. */
extern unsigned int n_logged;   /* Number of them. */

#define CHECK(CONDITION)                                                \
    do {                                                                \
        if (!(CONDITION)) {                                             \
            failed = true;                                              \
            printf("# %s:%d: %s: not true: %s\n", __FILE__, __LINE__,   \
                   test_name, #CONDITION);                              \
        }                                                               \
    } while (0)

int64_t now_us(void);
struct dpdkr *open_port_flags(const char *name, uint32_t flags);
struct dpdkr *open_port(void);  /* At 'path', with DPDKR_OPEN_SLEEPS. */

/* Runs both sides until the link is up or down as wanted at both ('p' may be
 * NULL), or five seconds have passed.  Returns true if it is. */
bool wait_link(struct dpdkr *d, struct fake_port *p, bool want);

/* Fills in 'data' from 'seed', and checks that nothing else is there. */
void fill(uint8_t *data, uint32_t len, uint32_t seed);
bool is_filled(const uint8_t *data, uint32_t len, uint32_t seed);

/* Sends one frame each way on queue 'q'.  Returns true if they arrive. */
bool ping(struct dpdkr *d, struct fake_port *p, uint32_t q, uint32_t len);

struct dpdkr_stats get_stats(struct dpdkr *d);
struct dpdkr_info get_info(struct dpdkr *d);

/* test-libdpdkr-stress.c. */
void test_wait(void);
void test_wake_rounds(void);
void test_threads(void);
void test_corrupt_header(void);
void test_scribble(void);

#endif /* tests/test-libdpdkr.h */
