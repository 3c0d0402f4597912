/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_TRAFFIC_H
#define DPDKR_TRAFFIC_H 1

/* What the files of dpdkr-traffic share. */

#include <stdbool.h>
#include <stdint.h>

#include <dpdkr/dpdkr.h>

#define MAX_QUEUES 64
#define MAX_BURST 256

struct traffic_options {
    uint32_t queues;            /* Used of each port, 0 for all. */
    uint64_t count;             /* Frames to send, or to expect; 0: no end. */
    double duration;            /* Seconds; 0: no end. */
    double timeout;             /* Seconds without a frame, then it's over. */
    double link_timeout;        /* Seconds to wait for a link. */
    uint32_t min_size, max_size;    /* Of frames, bytes. */
    uint64_t seed;
    double rate;                /* Frames a second; 0: no limit. */
    uint64_t window;            /* Frames on the way; 0: no limit. */
    const char *state, *other;  /* Files, or NULL. */
    uint32_t flows;
    uint32_t burst;
    uint8_t src_mac[6], dst_mac[6];
    bool blocking;              /* Sleep in dpdkr_wait(). */
    bool busy;                  /* Never sleep otherwise. */
    bool copy;                  /* Copying functions, not zero-copy. */
    bool swap_mac;              /* Echo and forward: exchange addresses. */
    bool no_probe;              /* Do not wait until frames arrive. */
    bool quiet;                 /* No log messages. */
};

extern struct traffic_options opts;

/* Set by SIGINT and SIGTERM, and by SIGUSR1. */
extern volatile int stopping, draining;

/* Ports opened as the options say; exits on errors. */
struct dpdkr *open_port(const char *path);
uint32_t n_queues(struct dpdkr *);

/* Waits until the link of each of the 'n' ports is up.  Returns false if that
 * took too long or the program is to end. */
bool wait_links(struct dpdkr *ports[], int n);

double now_s(void);             /* Seconds, monotonic. */
void relax(void);               /* Called when there is nothing to do. */

/* The subcommands return an exit code.
 *
 * dpdkr-traffic-flow.c; either of the ports may be NULL.  With 'pair', what is
 * sent through 'tx' arrives at 'rx'. */
int run_flows(const char *name, struct dpdkr *tx, struct dpdkr *rx, bool pair);

/* dpdkr-traffic-hostile.c. */
int run_hostile(const char *path, struct dpdkr *, const char *mode);

#endif /* tests/dpdkr-traffic.h */
