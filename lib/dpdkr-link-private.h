/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_LINKS_PRIVATE_H
#define DPDKR_LINKS_PRIVATE_H 1

/* The inside of dpdkr-link.h
 * ==========================
 *
 *   - dpdkr-link.c: the life of links: how they are made, what is handed over
 *     to them and back, and when they go.
 *   - dpdkr-link-end.c: ends: their ports, what is wished for them, and what
 *     others get to see of them.
 *   - dpdkr-link-dir.c: what can be seen of one direction of a link: counters,
 *     and how far each queue is in its handover.
 *   - dpdkr-link-mem.c: the file behind a link.
 *   - dpdkr-link-adopt.c: links that an earlier switch has left, and those
 *     that are left to the next one.
 *
 * Everything here is protected by 'dpdkr_link_mutex', which the callers of all
 * these functions hold.  It nests inside the mutex of a netdev-dpdkr and
 * outside 'rx_lock' and 'tx_lock' of the queues of any port. */

#include <stdbool.h>
#include <stdint.h>

#include <dpdkr/link.h>
#include "dpdkr-link.h"
#include "dpdkr-port.h"
#include "openvswitch/list.h"
#include "openvswitch/thread.h"

struct dpdkr_mem;

/* How long ports that another switch has left are waited for. */
#define DPDKR_ADOPT_MS 500

enum dpdkr_link_state {
    LINK_OFFERED,               /* The peers are to map it. */
    LINK_READY,                 /* They have. */
    LINK_DRAINING,              /* One is gone, the other reads the rest. */
    LINK_LEAVING,               /* The peers are to unmap it. */
};

/* What the peer of one end sends over a link to the other. */
struct dpdkr_dir {
    uint32_t number;            /* Of the last handover to the link, or 0. */
    long long int since;        /* When the last handover was ordered. */
    bool followed;              /* What is sent from now on goes over the link:
                                 * dpdkr_dir_has_followed() was true once. */
    long long int left_since[DPDKR_MAX_QUEUES]; /* Since when the receiver is
                                 * known to have the last note of a queue and
                                 * not to have read it, or 0. */
    long long int hold_since;   /* The same for notes that it has no room for,
                                 * once it was ordered back. */
    bool late;                  /* A gate was opened without an answer. */
    uint64_t conss;             /* Sum of the receiver's indexes, and... */
    long long int stuck_since;  /* ...since when it has not moved with frames
                                 * waiting, or LLONG_MAX. */
    long long int next_look;    /* See dpdkr_dir_is_defiant(). */
    uint32_t defiance;          /* Looks in a row that found it. */
    uint64_t prods;             /* Sum of the ring indexes then. */

    /* As of the last harvest, by queue. */
    uint64_t packets[DPDKR_MAX_QUEUES];
    uint64_t bytes[DPDKR_MAX_QUEUES];
};

struct dpdkr_link {
    struct ovs_list node;       /* In 'dpdkr_all_links'. */
    struct dpdkr_mem *mem;
    char *other_path;           /* Second name of its file, or NULL. */
    enum dpdkr_link_state state;
    long long int since;        /* In that state. */
    long long int unused_since; /* LLONG_MAX while it is used. */
    struct dpdkr_end *end[2];   /* NULL once it is gone... */
    const struct dpdkr_end *was[2]; /* ...then only to be compared with. */
    uint32_t entry[2];          /* Index in the ends' 'links'. */
    struct dpdkr_dir dir[2];          /* By sending side. */
};

struct dpdkr_end {
    struct ovs_list node;       /* In 'dpdkr_all_ends'. */
    char *name;
    struct dpdkr_port *port;    /* Or NULL. */
    uint32_t epoch;             /* Of the peer that the links are for. */
    long long int adopt_until;  /* Links of an earlier switch are looked for
                                 * until then, or LLONG_MIN. */
    struct dpdkr_link_offer found[DPDKR_MAX_LINKS]; /* Their offers. */
    struct dpdkr_end *wish;     /* Receiver that is wanted, or NULL... */
    long long int wish_since;   /* ...since then. */
    struct dpdkr_link *tx;      /* Link that the newest order is for, or, if
                                 * that is even, was for; or NULL. */
    struct dpdkr_link *links[DPDKR_MAX_LINKS];
    const char *shown_state;    /* By dpdkr_end_changed()... */
    const struct dpdkr_end *shown_peer; /* ...last time. */
    bool shown_error;

    /* After a failure. */
    char *error;
    const struct dpdkr_end *failed_with;
    long long int retry_at;
    int backoff;                /* Kept until a link has held for a while. */

    /* Counters. */
    struct dpdkr_link_stats stats;
    uint64_t new_packets, new_bytes; /* Since dpdkr_link_harvest(). */
    long long int used;         /* time_msec() of the last of them. */
};

/* Where one queue of a sender stands. */
enum dpdkr_queue_state {
    QUEUE_AWAY,                 /* Does not use the link. */
    QUEUE_ENTERING,             /* Its note to the link is under way. */
    QUEUE_ON_LINK,              /* Sends over the link, as ordered. */
    QUEUE_IDLE,                 /* Is to leave the link when it sends next, and
                                 * has left nothing there. */
    QUEUE_LEAVING,              /* Is to leave; frames are in the link. */
    QUEUE_LEFT,                 /* Has left, the receiver is still reading. */
};

/* Returns which side of 'link' 'end' is. */
static inline int
side_of(const struct dpdkr_link *link, const struct dpdkr_end *end)
{
    return link->end[1] == end;
}

static inline struct dpdkr_end *
other_end(const struct dpdkr_link *link, const struct dpdkr_end *end)
{
    return link->end[!side_of(link, end)];
}

/* Returns true while what the peer of 'end' sends is ordered to 'end->tx'. */
static inline bool
is_direct(const struct dpdkr_end *end)
{
    return end->tx && end->port && end->port->orders.number & 1;
}

/* dpdkr-link.c. */
extern struct ovs_mutex dpdkr_link_mutex;
extern struct ovs_list dpdkr_all_ends OVS_GUARDED_BY(dpdkr_link_mutex);
extern struct ovs_list dpdkr_all_links OVS_GUARDED_BY(dpdkr_link_mutex);

void dpdkr_link_run_by(long long int when)
    OVS_REQUIRES(dpdkr_link_mutex);
void dpdkr_link_run_again(long long int since, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
void dpdkr_end_run(struct dpdkr_end *src, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
void dpdkr_end_is_gone(struct dpdkr_end *, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
void dpdkr_end_clear_error(struct dpdkr_end *)
    OVS_REQUIRES(dpdkr_link_mutex);

/* dpdkr-link-end.c. */
uint32_t dpdkr_end_epoch(const struct dpdkr_end *)
    OVS_REQUIRES(dpdkr_link_mutex);
const char *dpdkr_end_veto(const struct dpdkr_end *)
    OVS_REQUIRES(dpdkr_link_mutex);

/* dpdkr-link-dir.c. */
bool dpdkr_dir_harvest(struct dpdkr_link *, int side)
    OVS_REQUIRES(dpdkr_link_mutex);
uint32_t dpdkr_dir_fill(const struct dpdkr_link *, int side, uint32_t queue)
    OVS_REQUIRES(dpdkr_link_mutex);
bool dpdkr_dir_is_empty(const struct dpdkr_link *, int side)
    OVS_REQUIRES(dpdkr_link_mutex);
uint64_t dpdkr_dir_left_frames(const struct dpdkr_link *, int side)
    OVS_REQUIRES(dpdkr_link_mutex);
enum dpdkr_queue_state dpdkr_dir_state(const struct dpdkr_link *, int side)
    OVS_REQUIRES(dpdkr_link_mutex);
bool dpdkr_dir_has_followed(const struct dpdkr_link *, int side)
    OVS_REQUIRES(dpdkr_link_mutex);
uint64_t dpdkr_dir_late_queues(struct dpdkr_link *, int side,
                               long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
bool dpdkr_dir_is_held_up(struct dpdkr_link *, int side, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
bool dpdkr_dir_is_defiant(struct dpdkr_link *, int side, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
bool dpdkr_dir_is_stuck(struct dpdkr_link *, int side, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
bool dpdkr_end_has_note_under_way(const struct dpdkr_end *)
    OVS_REQUIRES(dpdkr_link_mutex);
bool dpdkr_end_has_note_in_hold(const struct dpdkr_end *)
    OVS_REQUIRES(dpdkr_link_mutex);
void dpdkr_dir_skip(struct dpdkr_link *, int side)
    OVS_REQUIRES(dpdkr_link_mutex);

/* dpdkr-link-adopt.c. */
void dpdkr_end_find_links(struct dpdkr_end *, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
void dpdkr_end_adopt(struct dpdkr_end *, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex);
void dpdkr_end_forget_links(struct dpdkr_end *, bool all)
    OVS_REQUIRES(dpdkr_link_mutex);
void dpdkr_end_leave_links(struct dpdkr_end *)
    OVS_REQUIRES(dpdkr_link_mutex);

/* dpdkr-link-mem.c. */
struct dpdkr_mem *dpdkr_link_mem_create(const struct dpdkr_port *,
                                        const struct dpdkr_port *,
                                        char **other_path, char **errp);
struct dpdkr_mem *dpdkr_link_mem_adopt(const struct dpdkr_port *,
                                       const struct dpdkr_port *,
                                       const char *name, const uint8_t id[16],
                                       char **other_path);
void dpdkr_link_mem_destroy(struct dpdkr_mem *, char *other_path, bool remove);
bool dpdkr_link_mem_is_name(const char *name);
void dpdkr_link_mem_remove(const struct dpdkr_port *, const char *name,
                           const uint8_t id[16]);
void dpdkr_link_mem_name(const struct dpdkr_mem *, char *name, size_t size);

#endif /* dpdkr-link-private.h */
