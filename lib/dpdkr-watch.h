/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_WATCH_H
#define DPDKR_WATCH_H 1

/* The watch over the peer and the file of a dpdkr port
 * ====================================================
 *
 * Looks at both now and then, and says when the port's state is to be
 * announced and when its memory is to be made anew.  It does neither itself.
 *
 *
 * Limits
 * ======
 *
 * A peer can come and go, be cut off and truncate its file as often as it
 * likes.  Each change that is announced costs a transaction of the database,
 * messages to the controllers and a revalidation of all the flows, and a new
 * file even stops the threads of the datapath, at the expense of the other
 * ports.  So the watch lets the changes of one port cost no more than this:
 *
 *   - Once 60 changes were announced in a row, one a second is.  What changes
 *     meanwhile is announced together, as it is then: a link that went down
 *     and came back in between was never down for anybody else.  What the
 *     administrator of the switch does is not limited.
 *
 *   - A file that is lost is made anew at once the first time, then after 1,
 *     2, 4 and so on up to 30 seconds.  The first time comes again when a file
 *     held for 60 seconds.
 *
 *
 * Usage
 * =====
 *
 * The owner of the port does this every 50 ms or so, and whenever it has
 * changed something that may change the link:
 *
 *     todo = dpdkr_watch_run(&watch, port, now);
 *     if (todo & DPDKR_WATCH_REMAKE && !...it is under way already...) {
 *         error = ...make the memory that shall replace 'port->mem'...;
 *         dpdkr_watch_remade(&watch, !error, now);
 *     }
 *     if (todo & DPDKR_WATCH_ANNOUNCE) {
 *         ...tell everybody, watch.linked among others...
 *     }
 *
 * It calls dpdkr_watch_renew() when the port is on another memory, and
 * dpdkr_watch_expedite() before a dpdkr_watch_run() that is to announce what
 * the administrator did.
 *
 *
 * Threads and time
 * ================
 *
 * One watch is used by one thread at a time.  'now' is time_msec(); the watch
 * asks no clock itself. */

#include <stdbool.h>
#include <stdint.h>

#include "dpdkr-mem.h"

struct dpdkr_port;

/* What is to be done, bits. */
#define DPDKR_WATCH_ANNOUNCE (1u << 0) /* The state changed. */
#define DPDKR_WATCH_REMAKE (1u << 1) /* The memory is to be made anew. */

/* How long after it could not be made anew that is tried again, in ms. */
#define DPDKR_WATCH_RETRY 5000

struct dpdkr_watch {
    /* For everybody to read.  The link as of the last announcement, and what
     * was counted over all memories of the port. */
    bool linked;
    long long int carrier_resets; /* Times that 'linked' changed. */
    uint64_t n_memory_lost;     /* Times that the file was truncated. */
    enum dpdkr_mem_status file_status; /* As last seen. */

    /* Private: announcements. */
    bool changed;               /* There is something to be announced... */
    bool expedited;             /* ...whatever the limit says. */
    long long int paid_until;   /* Until when the announcements made so far
                                 * would take at one a second. */
    long long int next_reminder; /* LLONG_MAX for none. */

    /* Private: the file. */
    long long int next_file_check;
    long long int last_remake;  /* LLONG_MIN for never. */
    int remake_delay;           /* Before the last or next remake, in ms. */
};

void dpdkr_watch_init(struct dpdkr_watch *);
void dpdkr_watch_renew(struct dpdkr_watch *);
void dpdkr_watch_expedite(struct dpdkr_watch *);
unsigned int dpdkr_watch_run(struct dpdkr_watch *, struct dpdkr_port *,
                             long long int now);
void dpdkr_watch_remade(struct dpdkr_watch *, bool ok, long long int now);

#endif /* dpdkr-watch.h */
