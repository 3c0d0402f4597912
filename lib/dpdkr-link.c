/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coverage.h"
#include "dpdkr-gate.h"
#include "dpdkr-link-private.h"
#include "dpdkr-mem.h"
#include "dpdkr-port.h"
#include "netdev-dpdkr.h"
#include "openvswitch/list.h"
#include "openvswitch/vlog.h"
#include "ovs-thread.h"
#include "timeval.h"
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

/* How long ports that another switch has left are waited for. */
#define ADOPT_MS 500

/* How often links that are changing are looked at. */
#define INTERVAL_MS 1

static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static struct ovs_list all_ends OVS_GUARDED_BY(mutex)
    = OVS_LIST_INITIALIZER(&all_ends);
static struct ovs_list all_links OVS_GUARDED_BY(mutex)
    = OVS_LIST_INITIALIZER(&all_links);

/* Set when links are to be left to the next switch. */
static bool leaving OVS_GUARDED_BY(mutex) = false;

/* dpdkr_link_run() has nothing to do before. */
static long long int next_run OVS_GUARDED_BY(mutex) = LLONG_MAX;

static void
run_soon(void)
    OVS_REQUIRES(mutex)
{
    next_run = LLONG_MIN;
}

static struct dpdkr_end *
end_of(const struct netdev *netdev)
{
    return netdev_dpdkr_get_end(netdev);
}

/* ## ---------- ## */
/* ## Directions ## */
/* ## ---------- ## */

/* Step A1. */
static void
to_link(struct dpdkr_end *src, struct dpdkr_link *link)
    OVS_REQUIRES(mutex)
{
    int side = side_of(link, src);
    struct dpdkr_end *dst = link->end[!side];
    uint32_t number = src->port->orders.number + 1;

    ovs_assert(number & 1);
    link->dir[side].number = number;
    link->dir[side].late = false;
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
    OVS_REQUIRES(mutex)
{
    struct dpdkr_dir *dir = &src->tx->dir[side_of(src->tx, src)];
    uint32_t number = src->port->orders.number + 1;

    ovs_assert(!(number & 1));
    dir->back_since = now;
    dir->next_look = now + DPDKR_LINK_PATIENCE_MS;
    dir->defiance = 0;
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
    OVS_REQUIRES(mutex)
{
    if (end->failed_with != with) {
        end->backoff = 0;
    }
    end->backoff = MIN(MAX(2 * end->backoff, RETRY_MIN_MS), RETRY_MAX_MS);
    end->retry_at = now + end->backoff;
    end->failed_with = with;
    end->stats.failed++;
    COVERAGE_INC(dpdkr_link_failed);
    if (!end->error || strcmp(end->error, error)) {
        VLOG_WARN("%s: no direct link to %s: %s", end->name, with->name,
                  error);
    }
    free(end->error);
    end->error = error;
}

static void
clear_error(struct dpdkr_end *end)
    OVS_REQUIRES(mutex)
{
    free(end->error);
    end->error = NULL;
    end->failed_with = NULL;
    end->retry_at = LLONG_MIN;
    end->backoff = 0;
}

static struct dpdkr_link *
find_link(const struct dpdkr_end *a, const struct dpdkr_end *b)
    OVS_REQUIRES(mutex)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link *link = a->links[i];

        if (link && other_end(link, a) == b) {
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
    OVS_REQUIRES(mutex)
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

/* Makes a link between 'src' and 'dst' and offers it. */
static void
make_link(struct dpdkr_end *src, struct dpdkr_end *dst, long long int now)
    OVS_REQUIRES(mutex)
{
    int entries[2] = { free_entry(src), free_entry(dst) };
    char *error = NULL;

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
    link->end[0] = src;
    link->end[1] = dst;
    link->dir[0].stuck_since = link->dir[1].stuck_since = LLONG_MAX;
    link->unused_since = LLONG_MAX;
    set_state(link, LINK_OFFERED, now);
    ovs_list_push_back(&all_links, &link->node);
    for (int i = 0; i < 2; i++) {
        link->entry[i] = entries[i];
        link->end[i]->links[entries[i]] = link;
        offer(link, i);
    }
    COVERAGE_INC(dpdkr_link_made);
    VLOG_DBG("%s: made link memory for %s and %s",
             link->mem->path, src->name, dst->name);
}

/* Detaches 'end', which has left or is gone, from 'link'. */
static void
unlink_end(struct dpdkr_link *link, struct dpdkr_end *end)
    OVS_REQUIRES(mutex)
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
            VLOG_INFO("%s: %"PRIu64" packets were left in a direct link",
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
    OVS_REQUIRES(mutex)
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
    OVS_REQUIRES(mutex)
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

/* Handles that 'end' has another peer or none, or is about to lose its
 * port. */
static void
end_is_gone(struct dpdkr_end *end, long long int now)
    OVS_REQUIRES(mutex)
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
    clear_error(end);
    run_soon();
}

/* ## ------------- ## */
/* ## State machine ## */
/* ## ------------- ## */

/* Returns the epoch of the peer of 'end', or 0 if there is none. */
static uint32_t
current_epoch(const struct dpdkr_end *end)
{
    return end->port && end->port->linked ? end->port->own.ack : 0;
}

static const char *
peer_veto(const struct dpdkr_end *end)
{
    const struct dpdkr_port *port = end->port;

    return (!port || !port->linked ? "no peer is attached"
            : port->peer_flags & DPDKR_F_HEARTBEAT ? "the peer is in a VM"
            : !(port->peer_flags & DPDKR_F_LINKS)
            ? "the peer does not support direct links"
            : NULL);
}

/* Waits for the peers to map 'link'. */
static void
run_offered(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(mutex)
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
        run_soon();
    }
}

/* Looks after what side 'side' of 'link' sends.  Returns true if the link is
 * in use, and sets '*busy' if something is about to change. */
static bool
run_dir(struct dpdkr_link *link, int side, long long int now, bool *busy)
    OVS_REQUIRES(mutex)
{
    struct dpdkr_end *src = link->end[side];
    struct dpdkr_dir *dir = &link->dir[side];
    enum dpdkr_queue_state state;

    if (!dir->number) {
        return false;
    }
    state = dpdkr_dir_state(link, side);
    if (src->tx == link && is_direct(src)) {
        *busy = *busy || state == QUEUE_ENTERING;
        if (dpdkr_dir_is_stuck(link, side, now)) {
            /* Perhaps there is a queue that the receiver does not poll, with a
             * note in it.  If it does not poll any, this has no effect. */
            dpdkr_orders_force(link->end[!side]->port, link->entry[!side],
                               dir->number);
        }
        return true;
    }
    if (dpdkr_dir_is_defiant(link, side, now)) {
        VLOG_WARN("%s: peer (pid %"PRIu32") goes on sending over the link "
                  "that it was told to leave, revoking the link",
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
    if (state == QUEUE_LEFT && !dir->late
        && now - dir->back_since > DPDKR_LINK_PATIENCE_MS) {
        /* Others must not wait for this receiver.  What it finds in the link
         * when it goes on may come after what it gets through its port. */
        VLOG_INFO("%s: peer of %s has not emptied the link for %d ms, going "
                  "on without", src->name, link->end[!side]->name,
                  DPDKR_LINK_PATIENCE_MS);
        COVERAGE_INC(dpdkr_handover_late);
        src->stats.late++;
        dir->late = true;
        dpdkr_orders_open_late_gates(src->port, link->end[!side]->port);
    }
    if (state == QUEUE_ENTERING
        && now - dir->back_since > DPDKR_LINK_PATIENCE_MS
        && dpdkr_end_has_note_in_hold(src)) {
        VLOG_INFO("%s: peer of %s has had no room for a note for %d ms, "
                  "giving the link up", src->name, link->end[!side]->name,
                  DPDKR_LINK_PATIENCE_MS);
        COVERAGE_INC(dpdkr_link_revoked);
        withdraw(link, now);
        dpdkr_orders_open_gates(src->port, link->end[!side]->port);
        return true;
    }
    *busy = *busy || (state > QUEUE_IDLE && !dir->late);
    return state > QUEUE_AWAY || !dpdkr_dir_is_empty(link, side);
}

static void
run_ready(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(mutex)
{
    bool busy = false;
    bool used = false;

    for (int side = 0; side < 2; side++) {
        struct dpdkr_end *end = link->end[side];
        uint32_t status, error;

        if (dpdkr_orders_answered(end->port, link->entry[side],
                                  &status, &error)
            && status != DPDKR_LINK_MAPPED) {
            struct dpdkr_end *other = link->end[!side];

            set_error(end, other,
                      xasprintf("peer of %s gave the link up (%s)", end->name,
                                status == DPDKR_LINK_BROKEN
                                ? dpdkr_cut_reason_to_string(error)
                                : ovs_strerror(error)), now);
            set_error(other, end, xstrdup(end->error), now);
            withdraw(link, now);
            return;
        }
        if (!dpdkr_dir_harvest(link, side)) {
            set_error(end, link->end[!side],
                      xstrdup("the peer spoiled the counters of the link"),
                      now);
            withdraw(link, now);
            return;
        }
        used = run_dir(link, side, now, &busy) || used;
        if (link->state != LINK_READY) {
            return;
        }
        used = used || end->wish == link->end[!side];
    }
    if (busy) {
        next_run = MIN(next_run, now + INTERVAL_MS);
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
    OVS_REQUIRES(mutex)
{
    int side = !link->end[0];
    struct dpdkr_end *end = link->end[side];
    bool late = now - link->since > DPDKR_LINK_PATIENCE_MS;

    if (end && !late && !dpdkr_dir_is_empty(link, !side)) {
        next_run = MIN(next_run, now + INTERVAL_MS);
    } else {
        withdraw(link, now);
    }
}

static void
run_leaving(struct dpdkr_link *link, long long int now)
    OVS_REQUIRES(mutex)
{
    bool late = now - link->since > LEAVE_MS;

    for (int side = 0; side < 2; side++) {
        struct dpdkr_end *end = link->end[side];
        uint32_t status, error;

        if (end
            && (dpdkr_orders_answered(end->port, link->entry[side],
                                      &status, &error) || late)) {
            if (late) {
                VLOG_WARN("%s: peer (pid %"PRIu32") did not give up its link "
                          "in %d ms", end->name, end->port->peer_pid,
                          LEAVE_MS);
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
    OVS_REQUIRES(mutex)
{
    if (link->state == LINK_OFFERED) {
        run_offered(link, now);
    }
    switch (link->state) {
    case LINK_OFFERED:
        next_run = MIN(next_run, now + INTERVAL_MS);
        break;
    case LINK_READY:
        run_ready(link, now);
        break;
    case LINK_DRAINING:
        run_draining(link, now);
        break;
    case LINK_LEAVING:
        next_run = MIN(next_run, now + INTERVAL_MS);
        run_leaving(link, now);
        break;
    }
}

/* Has what the peer of 'src' sends go where it is wanted. */
static void
run_end(struct dpdkr_end *src, long long int now)
    OVS_REQUIRES(mutex)
{
    struct dpdkr_end *dst = src->wish;
    struct dpdkr_link *link;

    if (dst && (peer_veto(src) || peer_veto(dst)
                || current_epoch(dst) != dst->epoch
                || dst->adopt_until != LLONG_MIN)) {
        dst = NULL;
    }
    if (is_direct(src)) {
        if (other_end(src->tx, src) == dst) {
            return;
        }
        to_port(src, now);
        next_run = MIN(next_run, now + INTERVAL_MS);
    }
    if (!dst) {
        return;
    }

    link = find_link(src, dst);
    if (!link) {
        if (now < src->retry_at && src->failed_with == dst) {
            next_run = MIN(next_run, src->retry_at);
        } else {
            make_link(src, dst, now);
            next_run = MIN(next_run, now + INTERVAL_MS);
        }
    } else if (link->state == LINK_READY) {
        int side = side_of(link, src);

        /* The receiver must have read the last note in the link, and no other
         * one may be under way. */
        if (!dpdkr_end_has_note_under_way(src)
            && dpdkr_dir_state(link, side) <= QUEUE_IDLE
            && (!link->dir[side].late || dpdkr_dir_is_empty(link, side))) {
            clear_error(src);
            to_link(src, link);
        }
        next_run = MIN(next_run, now + INTERVAL_MS);
    }
}

/* Looks for links that an earlier switch has left at 'end', and gives up in
 * the end. */
static void
run_adopting(struct dpdkr_end *end, long long int now)
    OVS_REQUIRES(mutex)
{
    struct dpdkr_port *port = end->port;
    bool missing = false;

    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_end *other;

        if (!port->orders.offer[i].file[0] || end->links[i]) {
            continue;
        }
        LIST_FOR_EACH (other, node, &all_ends) {
            struct dpdkr_link *link
                = (other != end && end->epoch && other->epoch
                   && other->adopt_until != LLONG_MIN
                   ? dpdkr_link_adopt(end, i, other, now) : NULL);

            if (link) {
                ovs_list_push_back(&all_links, &link->node);
                break;
            }
        }
        if (!end->links[i]) {
            missing = true;
            if (now >= end->adopt_until) {
                VLOG_INFO("%s: giving up direct link %s of an earlier switch",
                          end->name, port->orders.offer[i].file);
                dpdkr_link_mem_remove(port, port->orders.offer[i].file);
                dpdkr_orders_withdraw(port, i);
            }
        }
    }
    if (!missing || now >= end->adopt_until) {
        end->adopt_until = LLONG_MIN;
        if (!end->tx && port->orders.number & 1) {
            dpdkr_orders_to_port(port, port->orders.number + 1);
        }
        dpdkr_orders_give_up(port);
    } else {
        next_run = MIN(next_run, now + INTERVAL_MS);
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

    ovs_mutex_lock(&mutex);
    next_run = LLONG_MAX;
    LIST_FOR_EACH (end, node, &all_ends) {
        uint32_t epoch = current_epoch(end);

        if (epoch != end->epoch) {
            end_is_gone(end, now);
            end->epoch = epoch;
        }
    }
    next_run = LLONG_MAX;
    LIST_FOR_EACH (end, node, &all_ends) {
        if (end->port && end->adopt_until != LLONG_MIN) {
            run_adopting(end, now);
        }
        if (end->epoch && end->adopt_until == LLONG_MIN) {
            run_end(end, now);
        }
    }
    LIST_FOR_EACH_SAFE (link, node, &all_links) {
        run_link(link, now);
    }
    next = next_run;
    ovs_mutex_unlock(&mutex);

    return next;
}

/* ## ------ ## */
/* ## Wishes ## */
/* ## ------ ## */

/* The inner half of dpdkr_link_set(), for ends. */
void
dpdkr_end_set_wish(struct dpdkr_end *src, struct dpdkr_end *dst,
                   long long int now)
{
    ovs_mutex_lock(&mutex);
    if (src->wish != dst) {
        src->wish = dst;
        /* The way back must not wait for the next run. */
        if (src->epoch && current_epoch(src) == src->epoch
            && src->adopt_until == LLONG_MIN) {
            run_end(src, now);
        }
        run_soon();
    }
    ovs_mutex_unlock(&mutex);
}

void
dpdkr_link_set(struct netdev *src, struct netdev *dst)
{
    dpdkr_end_set_wish(end_of(src), dst ? end_of(dst) : NULL, time_msec());
    netdev_dpdkr_run_soon();
}

/* Returns true if 'netdev' can be an end of a link.  Otherwise stores the
 * reason, a constant string, into '*why'. */
bool
dpdkr_link_is_possible(const struct netdev *netdev, const char **why)
{
    ovs_mutex_lock(&mutex);
    *why = peer_veto(end_of(netdev));
    ovs_mutex_unlock(&mutex);

    return !*why;
}

/* Returns the state of what the peer of 'end' sends, in words, and stores the
 * receiver, if any, into '*peer'. */
static const char *
end_state(const struct dpdkr_end *end, const struct dpdkr_end **peer)
    OVS_REQUIRES(mutex)
{
    enum dpdkr_queue_state state = QUEUE_AWAY;

    *peer = NULL;
    if (end->tx) {
        state = dpdkr_dir_state(end->tx, side_of(end->tx, end));
    }
    if (is_direct(end)) {
        *peer = other_end(end->tx, end);
        return state == QUEUE_ENTERING ? "to-direct" : "direct";
    } else if (state > QUEUE_IDLE) {
        return "to-switch";
    } else if (end->wish && !end->error) {
        *peer = end->wish;
        return "to-direct";
    } else {
        return "switch";
    }
}

/* Describes what has become of the wish for 'end'. */
void
dpdkr_end_get_status(const struct dpdkr_end *end,
                     struct dpdkr_link_status *status)
{
    const struct dpdkr_end *peer;

    memset(status, 0, sizeof *status);
    ovs_mutex_lock(&mutex);
    status->state = end_state(end, &peer);
    status->peer = nullable_xstrdup(peer ? peer->name : NULL);
    if (end->wish) {
        status->error = nullable_xstrdup(end->error);
    }
    status->packets = end->stats.rx_packets;
    status->bytes = end->stats.rx_bytes;
    ovs_mutex_unlock(&mutex);
}

/* Returns true if the status of 'end' is another one than in the last call. */
bool
dpdkr_end_changed(struct dpdkr_end *end)
{
    const struct dpdkr_end *peer;
    const char *state;
    bool changed;

    ovs_mutex_lock(&mutex);
    state = end_state(end, &peer);
    changed = (state != end->shown_state || peer != end->shown_peer
               || (end->error != NULL) != end->shown_error);
    end->shown_state = state;
    end->shown_peer = peer;
    end->shown_error = end->error != NULL;
    ovs_mutex_unlock(&mutex);

    return changed;
}

void
dpdkr_link_get_status(const struct netdev *src,
                      struct dpdkr_link_status *status)
{
    dpdkr_end_get_status(end_of(src), status);
}

static void
harvest_end(struct dpdkr_end *end)
    OVS_REQUIRES(mutex)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        if (end->links[i]) {
            dpdkr_dir_harvest(end->links[i], 0);
            dpdkr_dir_harvest(end->links[i], 1);
        }
    }
}

/* Stores what the peer of 'src' has sent over links since the last call into
 * '*packets' and '*bytes'.  Returns the time_msec() when the last of it was
 * seen, or LLONG_MIN if there is nothing. */
long long int
dpdkr_link_harvest(struct netdev *src_, uint64_t *packets, uint64_t *bytes)
{
    struct dpdkr_end *src = end_of(src_);
    long long int used;

    ovs_mutex_lock(&mutex);
    harvest_end(src);
    used = src->new_packets ? src->used : LLONG_MIN;
    *packets = src->new_packets;
    *bytes = src->new_bytes;
    src->new_packets = src->new_bytes = 0;
    ovs_mutex_unlock(&mutex);

    return used;
}

/* Returns true if what the peer of 'src' sends from now on goes where the last
 * dpdkr_link_set() wants it, or through the switch. */
bool
dpdkr_link_is_settled(const struct netdev *src_)
{
    const struct dpdkr_end *src = end_of(src_);
    bool settled = true;

    ovs_mutex_lock(&mutex);
    if (is_direct(src)) {
        settled = other_end(src->tx, src) == src->wish;
    } else if (src->port) {
        for (uint32_t i = 0; i < DPDKR_MAX_LINKS && settled; i++) {
            const struct dpdkr_link *link = src->links[i];

            settled = (!link || (dpdkr_dir_state(link, side_of(link, src))
                                 <= QUEUE_IDLE));
        }
    }
    ovs_mutex_unlock(&mutex);

    return settled;
}

/* ## ---- ## */
/* ## Ends ## */
/* ## ---- ## */

/* Creates the end of links for the port called 'name'. */
struct dpdkr_end *
dpdkr_end_create(const char *name)
{
    struct dpdkr_end *end = xzalloc(sizeof *end);

    end->name = xstrdup(name);
    end->retry_at = end->adopt_until = LLONG_MIN;
    ovs_mutex_lock(&mutex);
    ovs_list_push_back(&all_ends, &end->node);
    ovs_mutex_unlock(&mutex);
    return end;
}

/* Frees 'end', which has no port. */
void
dpdkr_end_destroy(struct dpdkr_end *end)
{
    struct dpdkr_end *other;

    ovs_mutex_lock(&mutex);
    ovs_assert(!end->port);
    ovs_list_remove(&end->node);
    LIST_FOR_EACH (other, node, &all_ends) {
        if (other->wish == end) {
            other->wish = NULL;
        }
        if (other->failed_with == end) {
            clear_error(other);
        }
    }
    ovs_mutex_unlock(&mutex);
    free(end->error);
    free(end->name);
    free(end);
}

/* To be called with true before the switch exits, if it leaves its ports to
 * the next one: it leaves their links as well. */
void
dpdkr_link_leave(bool leave)
{
    ovs_mutex_lock(&mutex);
    leaving = leave;
    ovs_mutex_unlock(&mutex);
}

/* Forgets the links of 'end' and leaves them to the next switch. */
static void
leave_links(struct dpdkr_end *end)
    OVS_REQUIRES(mutex)
{
    for (uint32_t i = 0; i < DPDKR_MAX_LINKS; i++) {
        struct dpdkr_link *link = end->links[i];
        struct dpdkr_end *other = link ? other_end(link, end) : NULL;

        if (!link) {
            continue;
        }
        if (other) {
            /* The threads of the datapath are still running. */
            for (uint32_t q = 0; q < other->port->n_queues; q++) {
                struct dpdkr_port_queue *queue = &other->port->queues[q];

                ovs_spin_lock(&queue->rx_lock);
                queue->gate.route.dst = queue->gate.next.dst = NULL;
                ovs_spin_unlock(&queue->rx_lock);
            }
            other->links[link->entry[side_of(link, other)]] = NULL;
            other->tx = other->tx == link ? NULL : other->tx;
        }
        end->links[i] = NULL;
        ovs_list_remove(&link->node);
        dpdkr_link_mem_destroy(link->mem, link->other_path, false);
        free(link);
    }
    end->tx = NULL;
}

/* Tells 'end' that it has 'port' now.  Must be called with NULL before the
 * port it had is destroyed. */
void
dpdkr_end_set_port(struct dpdkr_end *end, struct dpdkr_port *port)
{
    ovs_mutex_lock(&mutex);
    if (end->port && leaving) {
        leave_links(end);
    } else if (end->port) {
        end_is_gone(end, time_msec());
    }
    end->port = port;
    end->epoch = 0;
    end->adopt_until = (port && dpdkr_orders_are_adopted(port)
                        ? time_msec() + ADOPT_MS : LLONG_MIN);
    run_soon();
    ovs_mutex_unlock(&mutex);
}

/* Copies the counters of 'end', as of now, into '*stats'. */
void
dpdkr_end_get_stats(struct dpdkr_end *end, struct dpdkr_link_stats *stats)
{
    ovs_mutex_lock(&mutex);
    harvest_end(end);
    *stats = end->stats;
    ovs_mutex_unlock(&mutex);
}
