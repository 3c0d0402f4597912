/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_LINKS_H
#define DPDKR_LINKS_H 1

/* Direct links between the peers of dpdkr ports
 * =============================================
 *
 * The p-2-p link detector (ofproto/p2p.h) decides that all that the peer of
 * one port sends has to reach the peer of another and nobody else.  This room
 * makes it so, with the protocol of <dpdkr/link.h>: it makes the memory of
 * links and gives it to the two peers, hands what they send over to it and
 * back, counts what goes through it, and takes it away again.
 *
 * It is the control thread of the protocol; the threads that poll the ports
 * have their part in dpdkr-gate.h.
 *
 *
 * Ends and links
 * ==============
 *
 * A port, as long as it exists, has a 'struct dpdkr_end', whatever happens to
 * its memory and its peer.  A link joins two ends.  It is made when the first
 * of its two directions is wanted, and goes when none was for a while and no
 * queue of either peer uses it any more.
 *
 * A link that cannot be made is tried again after 1 s, 2 s and so on up to
 * 60 s, or when one of the peers is another one.  The frames go through the
 * switch meanwhile.
 *
 *
 * Threads
 * =======
 *
 * The functions that change ports or wishes are for the main thread.  The
 * others are thread-safe. */

#include <stdbool.h>
#include <stdint.h>

struct dpdkr_end;
struct dpdkr_port;
struct netdev;

/* ## ------------------------------------ ## */
/* ## For those who decide (main thread).  ## */
/* ## ------------------------------------ ## */

/* Asks that what the peer of 'src' sends go to the peer of 'dst' directly;
 * NULL 'dst': through the switch.  Both are dpdkr netdevs.  To ask for what
 * was asked for before has no effect.  If it cannot be done now, it is as soon
 * as it can.
 *
 * The wish ends with dpdkr_link_set(src, NULL), which the caller calls before
 * it closes 'src' or 'dst'. */
void dpdkr_link_set(struct netdev *src, struct netdev *dst);

/* True if 'netdev' can be an end of a direct link; otherwise stores a constant
 * reason in '*why'.  When that changes, so does the change_seq of 'netdev'. */
bool dpdkr_link_is_possible(const struct netdev *netdev, const char **why);

struct dpdkr_link_status {
    const char *state;          /* "switch", "to-direct", "direct" or
                                 * "to-switch".  What the peer sends from when
                                 * it is "direct" goes over the link, but for a
                                 * burst that it is in the middle of. */
    char *peer;                 /* Name of the port whose peer gets what the
                                 * peer of this one sends, or NULL.  The
                                 * caller frees it. */
    uint64_t packets, bytes;    /* Over links since the port was created. */
    char *error;                /* Why there is no link though one was asked
                                 * for, or NULL.  The caller frees it. */
};
void dpdkr_link_get_status(const struct netdev *src,
                           struct dpdkr_link_status *);

/* Takes what was sent directly from 'src' since the last time, and returns the
 * time_msec() of the newest packet, or LLONG_MIN if there was none. */
long long int dpdkr_link_harvest(struct netdev *src, uint64_t *packets,
                                 uint64_t *bytes);

/* False while 'src' may still have packets on a link, or to be harvested from
 * it, that were sent before the last dpdkr_link_set(): handing over or back is
 * not complete. */
bool dpdkr_link_is_settled(const struct netdev *src);

/* ## ------------------- ## */
/* ## For netdev-dpdkr.c. ## */
/* ## ------------------- ## */

/* What went over links since the port was created. */
struct dpdkr_link_stats {
    uint64_t rx_packets, rx_bytes; /* Sent by the port's peer. */
    uint64_t tx_packets, tx_bytes; /* Sent to it. */
    uint64_t lost;              /* Sent by the port's peer, or to it, and left
                                 * behind in a link. */
    uint64_t handovers;         /* To links, of what the peer sends. */
    uint64_t late;              /* Back, when the receiver did not empty the
                                 * link in time. */
    uint64_t failed;            /* Links that could not be made. */
};

struct dpdkr_end *dpdkr_end_create(const char *name);
void dpdkr_end_destroy(struct dpdkr_end *);
void dpdkr_end_set_port(struct dpdkr_end *, struct dpdkr_port *);
void dpdkr_end_set_wish(struct dpdkr_end *src, struct dpdkr_end *dst,
                        long long int now);
void dpdkr_end_get_stats(struct dpdkr_end *, struct dpdkr_link_stats *);
void dpdkr_end_get_status(const struct dpdkr_end *,
                          struct dpdkr_link_status *);
bool dpdkr_end_changed(struct dpdkr_end *);

long long int dpdkr_link_run(long long int now);
void dpdkr_link_leave(bool);

#endif /* dpdkr-link.h */
