/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-link.h"

#include <stdlib.h>

#include "coverage.h"
#include "dpdkr-gate.h"
#include "dpdkr-link-private.h"
#include "dpdkr-mem.h"
#include "dpdkr-port.h"
#include "openvswitch/list.h"
#include "openvswitch/vlog.h"
#include "ovs-thread.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_link);

COVERAGE_DEFINE(dpdkr_link_made);
COVERAGE_DEFINE(dpdkr_link_failed);
COVERAGE_DEFINE(dpdkr_link_removed);
COVERAGE_DEFINE(dpdkr_link_revoked);
COVERAGE_DEFINE(dpdkr_handover_to_link);
COVERAGE_DEFINE(dpdkr_handover_to_port);
COVERAGE_DEFINE(dpdkr_handover_late);

/* How long a link that nobody wants is kept, in case somebody does again, and
 * how long one that failed is not tried again. */
#define LINGER_MS 2000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

/* How long peers have for answering to a withdrawal: as long as their control
 * threads may sleep, many times over. */
#define LEAVE_MS 5000

struct ovs_mutex dpdkr_link_mutex = OVS_MUTEX_INITIALIZER;
struct ovs_list dpdkr_all_ends = OVS_LIST_INITIALIZER(&dpdkr_all_ends);
struct ovs_list dpdkr_all_links = OVS_LIST_INITIALIZER(&dpdkr_all_links);

/* dpdkr_link_run() has nothing to do before. */
static long long int next_run OVS_GUARDED_BY(dpdkr_link_mutex) = LLONG_MAX;

/* How often a link is waited for that peers have a part in: often at first,
 * when they are likely to have done it. */
#define INTERVAL_MIN_MS 1
#define INTERVAL_MAX_MS 50

/* Peers can cause these messages.  They must not fill the log. */
static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 60);

/* Has dpdkr_link_run() called again by 'when', at the latest. */
void
dpdkr_link_run_by(long long int when)
{
    next_run = MIN(next_run, when);
}

/* Has dpdkr_link_run() called again for what has been waited for since
 * 'since'.  A peer that never does its share must not keep the main thread
 * busy. */
void
dpdkr_link_run_again(long long int since, long long int now)
{
    long long int interval = (now - since) / 8;

    dpdkr_link_run_by(now + MAX(INTERVAL_MIN_MS,
                                MIN(interval, INTERVAL_MAX_MS)));
}

/* ## ---------- ## */
/* ## Directions ## */
/* ## ---------- ## */

/* Step A1. */
static void
to_link(struct dpdkr_end *src, struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    int side = side_of(link, src);
    struct dpdkr_end *dst = link->end[!side];
    uint32_t number = src->port->orders.number + 1;

    ovs_assert(number & 1);
    link->dir[side].number = number;
    link->dir[side].late = false;
    link->dir[side].since = now;
    link->dir[side].followed = false;
    src->tx = link;
    src->stats.handovers++;
    COVERAGE_INC(dpdkr_handover_to_link);
    VLOG_DBG("%s: handing over to link to %s (handover %"PRIu32")",
             src->name, dst->name, number);
    dpdkr_orders_to_link(src->port, number, link->entry[side], dst->port,
                         link->entry[!side]);
}

/* Step A2. */
static void
to_port(struct dpdkr_end *src, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    struct dpdkr_dir *dir = &src->tx->dir[side_of(src->tx, src)];
    uint32_t number = src->port->orders.number + 1;

    ovs_assert(!(number & 1));
    dir->since = now;
    dir->next_look = now + DPDKR_LINK_PATIENCE_MS;
    dir->defiance = 0;
    dir->hold_since = 0;
    memset(dir->left_since, 0, sizeof dir->left_since);
    COVERAGE_INC(dpdkr_handover_to_port);
    VLOG_DBG("%s: handing back to the switch (handover %"PRIu32")",
             src->name, number);
    dpdkr_orders_to_port(src->port, number);
}

/* ## ----- ## */
/* ## Links ## */
/* ## ----- ## */

static void
set_state(struct dpdkr_link *link, enum dpdkr_link_state state,
          long long int now)
{
    link->state = state;
    link->since = now;
}

/* Notes that 'end' can have no link to 'with', for a while. */
static void
set_error(struct dpdkr_end *end, const struct dpdkr_end *with, char *error,
          long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    if (end->failed_with != with || now - end->retry_at > RETRY_MAX_MS) {
        end->backoff = 0;
    }
    end->backoff = MIN(MAX(2 * end->backoff, RETRY_MIN_MS), RETRY_MAX_MS);
    end->retry_at = now + end->backoff;
    end->failed_with = with;
    end->stats.failed++;
    COVERAGE_INC(dpdkr_link_failed);
    if (!end->error || strcmp(end->error, error)) {
        VLOG_WARN_RL(&rl, "%s: no direct link to %s: %s", end->name,
                     with->name, error);
    }
    free(end->error);
    end->error = error;
}

void
dpdkr_end_clear_error(struct dpdkr_end *end)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    free(end->error);
    end->error = NULL;
    end->failed_with = NULL;
    end->retry_at = LLONG_MIN;
    end->backoff = 0;
}

/* Has 'end', which has a link again, no longer say that it has none.  The next
 * failure counts as one more, unless the link holds for a while. */
static void
forget_error(struct dpdkr_end *end)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    free(end->error);
    end->error = NULL;
}

static struct dpdkr_link *
find_link(const struct dpdkr_end *a, const struct dpdkr_end *b)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link *link = a->links[i];

        if (link && other_end(link, a) == b) {
            return link;
        }
    }
    return NULL;
}

/* Returns a link of 'a' that an earlier peer of 'b' had, or NULL.  There is no
 * other one meanwhile, or a peer that comes and goes would soon have all the
 * entries of the other end. */
static const struct dpdkr_link *
find_former_link(const struct dpdkr_end *a, const struct dpdkr_end *b)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        const struct dpdkr_link *link = a->links[i];

        if (link && !other_end(link, a) && link->was[!side_of(link, a)] == b) {
            return link;
        }
    }
    return NULL;
}

static int
free_entry(const struct dpdkr_end *end)
{
    for (int i = 0; i < DPDKR_MAX_LINKS; i++) {
        if (!end->links[i]) {
            return i;
        }
    }
    return -1;
}

/* Offers side 'side' of 'link' to its end. */
static void
offer(struct dpdkr_link *link, int side)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    struct dpdkr_port *port = link->end[side]->port;
    struct dpdkr_link_offer o;

    memset(&o, 0, sizeof o);
    o.side = side;
    memcpy(o.id, link->mem->constant.id, sizeof o.id);
    atomic_read_relaxed(&port->max_frame, &o.max_frame);
    dpdkr_link_mem_name(link->mem, o.file, sizeof o.file);
    dpdkr_orders_offer(port, link->entry[side], &o);
}

/* Detaches 'end', which has left or is gone, from 'link'. */
static void
unlink_end(struct dpdkr_link *link, struct dpdkr_end *end)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    int side = side_of(link, end);
    struct dpdkr_end *other = link->end[!side];

    dpdkr_dir_harvest(link, side);
    dpdkr_dir_harvest(link, !side);
    if (other) {
        /* No note may go to this end any more. */
        dpdkr_orders_open_gates(other->port, end->port);
    } else {
        /* Nobody adds or takes anything any more. */
        uint64_t lost = (dpdkr_dir_left_frames(link, side)
                         + dpdkr_dir_left_frames(link, !side));

        if (lost) {
            end->stats.lost += lost;
            VLOG_INFO_RL(&rl,
                         "%s: %"PRIu64" packets were left in a direct link",
                         end->name, lost);
        }
    }
    if (end->tx == link) {
        end->tx = NULL;
    }
    end->links[link->entry[side]] = NULL;
    link->end[side] = NULL;
}

static void
destroy_link(struct dpdkr_link *link)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    for (int side = 0; side < 2; side++) {
        if (link->end[side]) {
            unlink_end(link, link->end[side]);
        }
    }
    VLOG_DBG("%s: removed link memory", link->mem->path);
    COVERAGE_INC(dpdkr_link_removed);
    ovs_list_remove(&link->node);
    dpdkr_link_mem_destroy(link->mem, link->other_path, true);
    free(link);
}

/* Withdraws 'link' from the ends that are left. */
static void
withdraw(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    for (int side = 0; side < 2; side++) {
        struct dpdkr_end *end = link->end[side];

        if (end && end->tx == link) {
            if (is_direct(end)) {
                to_port(end, now);
            }
            end->tx = NULL;
        }
        if (end) {
            dpdkr_orders_withdraw(end->port, link->entry[side]);
        }
    }
    set_state(link, LINK_LEAVING, now);
}

/* Returns true if somebody wants 'link'. */
static bool
is_wanted(const struct dpdkr_link *link)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    const struct dpdkr_end *a = link->end[0], *b = link->end[1];

    return a && b && (a->wish == b || b->wish == a);
}

/* Returns true if a peer may still send what it has for the other one over
 * 'link', which nobody wants. */
static bool
is_in_use(const struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    for (int side = 0; side < 2; side++) {
        if (now - link->dir[side].since <= DPDKR_LINK_PATIENCE_MS
            && link->dir[side].number
            && (dpdkr_dir_state(link, side) > QUEUE_AWAY
                || !dpdkr_dir_is_empty(link, side))) {
            return true;
        }
    }
    return false;
}

/* Withdraws a link of 'end' that is only kept since nothing has been sent, or
 * read, at its other end, if there is one.  Returns true if an entry is about
 * to become free. */
static bool
reclaim_entry(struct dpdkr_end *end, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    bool soon = false;

    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link *link = end->links[i];

        if (!link || is_wanted(link)) {
            continue;
        }
        soon = true;
        if (link->state != LINK_READY) {
            return true;        /* Goes by itself. */
        }
        if (!is_in_use(link, now)) {
            VLOG_DBG("%s: removed for another link", link->mem->path);
            withdraw(link, now);
            return true;
        }
    }
    return soon;
}

/* Makes a link between 'src' and 'dst' and offers it. */
static void
make_link(struct dpdkr_end *src, struct dpdkr_end *dst, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    int entries[2] = { free_entry(src), free_entry(dst) };
    char *error = NULL;

    if ((entries[0] < 0 && reclaim_entry(src, now))
        || (entries[1] < 0 && reclaim_entry(dst, now))) {
        return;                 /* Next time. */
    }
    if (entries[0] < 0 || entries[1] < 0) {
        set_error(src, dst, xasprintf("%s has %d links already",
                                      entries[0] < 0 ? src->name : dst->name,
                                      DPDKR_MAX_LINKS), now);
        return;
    }

    struct dpdkr_link *link = xzalloc(sizeof *link);
    link->mem = dpdkr_link_mem_create(src->port, dst->port, &link->other_path,
                                      &error);
    if (!link->mem) {
        free(link);
        set_error(src, dst, error, now);
        return;
    }
    link->was[0] = link->end[0] = src;
    link->was[1] = link->end[1] = dst;
    link->dir[0].stuck_since = link->dir[1].stuck_since = LLONG_MAX;
    link->unused_since = LLONG_MAX;
    set_state(link, LINK_OFFERED, now);
    ovs_list_push_back(&dpdkr_all_links, &link->node);
    for (int i = 0; i < 2; i++) {
        link->entry[i] = entries[i];
        link->end[i]->links[entries[i]] = link;
        offer(link, i);
    }
    COVERAGE_INC(dpdkr_link_made);
    VLOG_DBG("%s: made link memory for %s and %s",
             link->mem->path, src->name, dst->name);
}

/* Handles that 'end' has another peer or none, or is about to lose its
 * port. */
void
dpdkr_end_is_gone(struct dpdkr_end *end, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    bool had_links = false;

    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link *link = end->links[i];

        if (!link) {
            continue;
        }
        had_links = true;

        int side = side_of(link, end);
        struct dpdkr_end *other = link->end[!side];
        uint32_t last = link->dir[side].number;

        unlink_end(link, end);
        if (!other || link->state == LINK_LEAVING) {
            continue;
        }
        if (other->tx == link && is_direct(other)) {
            to_port(other, now);
        }
        if (last) {
            dpdkr_orders_drain(other->port, link->entry[!side], last + 1);
        }
        set_state(link, LINK_DRAINING, now);
    }
    if (had_links) {
        dpdkr_orders_reset(end->port);
    }
    dpdkr_end_clear_error(end);
    dpdkr_link_run_by(LLONG_MIN);
}

/* ## ------------- ## */
/* ## State machine ## */
/* ## ------------- ## */

/* Waits for the peers to map 'link'. */
static void
run_offered(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    int n_mapped = 0;

    for (int side = 0; side < 2; side++) {
        struct dpdkr_end *end = link->end[side];
        struct dpdkr_end *other = link->end[!side];
        uint32_t status, error;
        char *why = NULL;

        if (dpdkr_orders_answered(end->port, link->entry[side],
                                  &status, &error)) {
            if (status == DPDKR_LINK_MAPPED) {
                n_mapped++;
                continue;
            }
            why = xasprintf("peer of %s could not map %s (%s)", end->name,
                            link->mem->path, ovs_strerror(error));
        } else if (now - link->since > DPDKR_LINK_PATIENCE_MS) {
            why = xasprintf("peer of %s does not answer", end->name);
        }
        if (why) {
            if (other->wish == end) {
                set_error(other, end, xstrdup(why), now);
            }
            if (end->wish == other) {
                set_error(end, other, xstrdup(why), now);
            }
            free(why);
            withdraw(link, now);
            return;
        }
    }
    if (n_mapped == 2) {
        set_state(link, LINK_READY, now);
        /* The ends, which come first in a run, must not wait for the next
         * regular one. */
        dpdkr_link_run_by(LLONG_MIN);
    }
}

/* Looks after what side 'side' of 'link' sends.  Returns true if the link is
 * in use. */
static bool
run_dir(struct dpdkr_link *link, int side, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    struct dpdkr_end *src = link->end[side];
    struct dpdkr_dir *dir = &link->dir[side];
    enum dpdkr_queue_state state;
    uint64_t late;

    if (!dir->number) {
        return false;
    }
    state = dpdkr_dir_state(link, side);
    if (src->tx == link && is_direct(src)) {
        if (!dir->followed && now > dir->since) {
            dir->followed = dpdkr_dir_has_followed(link, side);
        }
        if (!dir->followed || state == QUEUE_ENTERING) {
            dpdkr_link_run_again(dir->since, now);
        }
        if (dpdkr_dir_is_stuck(link, side, now)) {
            /* Perhaps there is a queue that the receiver does not poll, with a
             * note in it.  If it does not poll any, this has no effect. */
            dpdkr_orders_force(link->end[!side]->port, link->entry[!side],
                               dir->number);
        }
        return true;
    }
    if (dpdkr_dir_is_defiant(link, side, now)) {
        VLOG_WARN_RL(&rl, "%s: peer (pid %"PRIu32") goes on sending over the "
                     "link that it was told to leave, revoking the link",
                     src->name, src->port->peer_pid);
        COVERAGE_INC(dpdkr_link_revoked);
        withdraw(link, now);
        if (link->end[!side]) {
            set_error(src, link->end[!side],
                      xstrdup("peer did not leave the last link"), now);
            src->backoff = RETRY_MAX_MS;
            src->retry_at = now + src->backoff;
        }
        return true;
    }
    late = dpdkr_dir_late_queues(link, side, now);
    if (late) {
        /* Others must not wait for this receiver.  What it finds in the link
         * when it goes on may come after what it gets through its port. */
        if (!dir->late) {
            VLOG_INFO_RL(&rl, "%s: peer of %s has not emptied the link for %d "
                         "ms, going on without", src->name,
                         link->end[!side]->name, DPDKR_LINK_PATIENCE_MS);
            COVERAGE_INC(dpdkr_handover_late);
            src->stats.late++;
        }
        dir->late = true;
        dpdkr_orders_open_late_gates(src->port, link->end[!side]->port, late);
    }
    if (state == QUEUE_ENTERING && dpdkr_dir_is_held_up(link, side, now)) {
        VLOG_INFO_RL(&rl, "%s: peer of %s has had no room for a note for %d "
                     "ms, giving the link up", src->name,
                     link->end[!side]->name, DPDKR_LINK_PATIENCE_MS);
        COVERAGE_INC(dpdkr_link_revoked);
        withdraw(link, now);
        dpdkr_orders_open_gates(src->port, link->end[!side]->port);
        return true;
    }
    if (state > QUEUE_IDLE) {
        dpdkr_link_run_again(dir->since, now);
    }
    return state > QUEUE_AWAY || !dpdkr_dir_is_empty(link, side);
}

/* Withdraws 'link', which has both its ends and has turned out to be unusable,
 * as 'error' says.  Which peer is to blame is often not clear. */
static void
fail_link(struct dpdkr_link *link, char *error, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    set_error(link->end[0], link->end[1], xstrdup(error), now);
    set_error(link->end[1], link->end[0], error, now);
    withdraw(link, now);
}

static void
run_ready(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    bool used = false;

    for (int side = 0; side < 2; side++) {
        struct dpdkr_end *end = link->end[side];
        uint32_t status, error;

        if (dpdkr_orders_answered(end->port, link->entry[side],
                                  &status, &error)
            && status != DPDKR_LINK_MAPPED) {
            fail_link(link, xasprintf("peer of %s gave the link up (%s)",
                                      end->name,
                                      status == DPDKR_LINK_BROKEN
                                      ? dpdkr_cut_reason_to_string(error)
                                      : ovs_strerror(error)), now);
            return;
        }
        if (!dpdkr_dir_harvest(link, side)) {
            fail_link(link, xasprintf("peer of %s or of %s spoiled the "
                                      "counters of the link", end->name,
                                      link->end[!side]->name), now);
            return;
        }
        used = run_dir(link, side, now) || used;
        if (link->state != LINK_READY) {
            return;
        }
        used = used || end->wish == link->end[!side];
    }
    if (used) {
        link->unused_since = LLONG_MAX;
    } else if (link->unused_since == LLONG_MAX) {
        link->unused_since = now;
    } else if (now - link->unused_since >= LINGER_MS) {
        withdraw(link, now);
    }
}

/* Lets the end that is left read what the other one sent. */
static void
run_draining(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    int side = !link->end[0];
    struct dpdkr_end *end = link->end[side];
    bool late = now - link->since > DPDKR_LINK_PATIENCE_MS;

    if (end && !late && !dpdkr_dir_is_empty(link, !side)) {
        dpdkr_link_run_again(link->since, now);
    } else {
        withdraw(link, now);
    }
}

static void
run_leaving(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    bool late = now - link->since > LEAVE_MS;

    for (int side = 0; side < 2; side++) {
        struct dpdkr_end *end = link->end[side];
        uint32_t status, error;

        if (end
            && (dpdkr_orders_answered(end->port, link->entry[side],
                                      &status, &error) || late)) {
            if (late) {
                VLOG_WARN_RL(&rl, "%s: peer (pid %"PRIu32") did not give up "
                             "its link in %d ms", end->name,
                             end->port->peer_pid, LEAVE_MS);
            }
            if (link->end[!side]) {
                /* Queues that were idle until now no longer can send there. */
                dpdkr_orders_open_gates(end->port, link->end[!side]->port);
            }
            unlink_end(link, end);
        }
    }
    if (!link->end[0] && !link->end[1]) {
        destroy_link(link);
    }
}

static void
run_link(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    if (link->state == LINK_OFFERED) {
        run_offered(link, now);
    }
    switch (link->state) {
    case LINK_OFFERED:
        dpdkr_link_run_again(link->since, now);
        break;
    case LINK_READY:
        run_ready(link, now);
        break;
    case LINK_DRAINING:
        run_draining(link, now);
        break;
    case LINK_LEAVING:
        dpdkr_link_run_again(link->since, now);
        run_leaving(link, now);
        break;
    }
}

/* Has what the peer of 'src' sends go where it is wanted. */
void
dpdkr_end_run(struct dpdkr_end *src, long long int now)
    OVS_REQUIRES(dpdkr_link_mutex)
{
    struct dpdkr_end *dst = src->wish;
    struct dpdkr_link *link;

    if (dst && (dpdkr_end_veto(src) || dpdkr_end_veto(dst)
                || dpdkr_end_epoch(dst) != dst->epoch
                || dst->adopt_until != LLONG_MIN)) {
        dst = NULL;
    }
    if (is_direct(src)) {
        if (other_end(src->tx, src) == dst) {
            return;
        }
        to_port(src, now);
        dpdkr_link_run_by(now + INTERVAL_MIN_MS);
    }
    if (!dst) {
        return;
    }

    link = find_link(src, dst);
    if (!link) {
        if (now < src->retry_at && src->failed_with == dst) {
            dpdkr_link_run_by(src->retry_at);
        } else {
            if (!find_former_link(src, dst) && !find_former_link(dst, src)) {
                make_link(src, dst, now);
            }
            dpdkr_link_run_again(src->wish_since, now);
        }
    } else if (link->state == LINK_READY) {
        int side = side_of(link, src);

        /* The receiver must have read the last note in the link, and no other
         * one may be under way. */
        if (!dpdkr_end_has_note_under_way(src)
            && dpdkr_dir_state(link, side) <= QUEUE_IDLE
            && (!link->dir[side].late || dpdkr_dir_is_empty(link, side))) {
            forget_error(src);
            to_link(src, link, now);
        }
        dpdkr_link_run_again(MAX(src->wish_since, link->dir[side].since), now);
    }
}

/* Does the periodic work of all links.  Returns the time_msec() by which to
 * call it again. */
long long int
dpdkr_link_run(long long int now)
{
    struct dpdkr_end *end;
    struct dpdkr_link *link;
    long long int next;

    ovs_mutex_lock(&dpdkr_link_mutex);
    LIST_FOR_EACH (end, node, &dpdkr_all_ends) {
        uint32_t epoch = dpdkr_end_epoch(end);

        if (epoch != end->epoch) {
            dpdkr_end_is_gone(end, now);
            end->epoch = epoch;
        }
    }
    next_run = LLONG_MAX;
    LIST_FOR_EACH (end, node, &dpdkr_all_ends) {
        if (end->port && end->adopt_until != LLONG_MIN) {
            dpdkr_end_adopt(end, now);
        }
    }
    /* Not before all of them have looked: a link that has just been found must
     * not be left for that its other end has not. */
    LIST_FOR_EACH (end, node, &dpdkr_all_ends) {
        if (end->epoch && end->adopt_until == LLONG_MIN) {
            dpdkr_end_run(end, now);
        }
    }
    LIST_FOR_EACH_SAFE (link, node, &dpdkr_all_links) {
        run_link(link, now);
    }
    next = next_run;
    ovs_mutex_unlock(&dpdkr_link_mutex);

    return next;
}
