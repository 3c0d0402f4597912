/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_PAIR_H
#define DPDKR_PAIR_H 1

/* For tests of direct links in libdpdkr: two ports of a fake switch, their
 * peers, and a link between them, all in one process. */

#include <dpdkr/dpdkr.h>

#include <time.h>

#include "dpdkr-fake-link.h"
#include "nfv-test.h"

struct pair {
    struct fake_port ports[2];  /* "port0" and "port1" in the directory. */
    struct dpdkr *peers[2];
    struct fake_link link;      /* "link". */
};

static inline int64_t
links_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* A directory for the files of a test program, and the path of a file in
 * there, which is valid for the next three calls. */
void pair_make_dir(void);
void pair_remove_dir(void);
const char *pair_file(const char *name);

/* Makes the ports, with 'n_queues' queues and rings of 'ring_size', and a link
 * that nobody has been offered, and has the peers attach, which are opened
 * with 'flags'.  Returns false if that fails. */
bool pair_init(struct pair *, uint32_t n_queues, uint32_t ring_size,
               uint32_t link_ring_size, uint32_t flags);
void pair_destroy(struct pair *);

/* Runs both ports and both peers. */
void pair_run(struct pair *);

/* Runs until the link of both ports is up. */
bool pair_wait_link(struct pair *);

/* Runs until the answers to the offers to both are 'status'. */
bool pair_wait_answers(struct pair *, int status);

/* Offers the link to both and waits for them to map it. */
bool pair_offer(struct pair *);

struct dpdkr_info links_info(struct dpdkr *);
struct dpdkr_stats links_stats(struct dpdkr *);

/* Where fake_forward() puts frames that nobody cares about. */
uint32_t first_ring(const void *frame, uint32_t n_rxq);

/* As nfv_test_main(), with a directory. */
static inline int
pair_test_main(int argc, char *argv[], const struct nfv_test *tests, size_t n)
{
    int status;

    pair_make_dir();
    status = nfv_test_main(argc, argv, tests, n);
    pair_remove_dir();
    return status;
}

#endif /* tests/dpdkr-pair.h */
