/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-watch.h"

#include <limits.h>

#include "dpdkr-port.h"
#include "openvswitch/vlog.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_watch);

/* See "Limits" in the header.  All times are in ms. */
#define CHANGE_INTERVAL 1000
#define CHANGE_BURST 60
#define REMAKE_MIN 1000
#define REMAKE_MAX 30000
#define REMAKE_FORGIVE 60000

/* How often the file is looked at. */
#define FILE_INTERVAL 1000

/* How long after a change it is announced once more. */
#define REMINDER_INTERVAL 2000

void
dpdkr_watch_init(struct dpdkr_watch *watch)
{
    *watch = (struct dpdkr_watch) {
        .file_status = DPDKR_MEM_OK,
        .paid_until = LLONG_MIN,
        .next_reminder = LLONG_MAX,
        .next_file_check = LLONG_MIN,
        .last_remake = LLONG_MIN,
    };
}

/* Tells 'watch' that its port has another memory from now on. */
void
dpdkr_watch_renew(struct dpdkr_watch *watch)
{
    watch->file_status = DPDKR_MEM_OK;
}

/* Makes the next dpdkr_watch_run() announce a change whatever the limit says,
 * since it is not the peer's. */
void
dpdkr_watch_expedite(struct dpdkr_watch *watch)
{
    watch->expedited = true;
}

/* ## -------- ## */
/* ## The peer ## */
/* ## -------- ## */

/* Returns true if a change may be announced.  A bucket of CHANGE_BURST tokens,
 * one for each announcement, that a new one drips into every CHANGE_INTERVAL,
 * seen from its other end: 'paid_until' is when it will be full again. */
static bool
may_announce(struct dpdkr_watch *watch, long long int now)
{
    if (watch->expedited) {
        return true;
    }
    if (watch->paid_until > now + (CHANGE_BURST - 1) * CHANGE_INTERVAL) {
        return false;
    }
    watch->paid_until = MAX(watch->paid_until, now) + CHANGE_INTERVAL;
    return true;
}

/* Returns true if the state of the port is to be announced. */
static bool
check_peer(struct dpdkr_watch *watch, struct dpdkr_port *port,
           long long int now)
{
    if (dpdkr_port_run(port, now) || watch->linked != port->linked) {
        watch->changed = true;
    }
    if (watch->changed && may_announce(watch, now)) {
        watch->changed = false;
        if (watch->linked != port->linked) {
            watch->linked = port->linked;
            watch->carrier_resets++;
        }
        watch->next_reminder = now + REMINDER_INTERVAL;
        return true;
    }
    if (now >= watch->next_reminder) {
        /* Whoever writes the state to the database skips what the database
         * seems to have already, and misses that an earlier write of another
         * value is on its way: when the link came up while the switch was
         * starting, column link_state was left "down" for good. */
        watch->next_reminder = LLONG_MAX;
        return true;
    }
    return false;
}

/* ## -------- ## */
/* ## The file ## */
/* ## -------- ## */

/* Decides how long after 'now' the file that was lost is made anew. */
static void
delay_remake(struct dpdkr_watch *watch, long long int now)
{
    if (watch->last_remake == LLONG_MIN
        || now - watch->last_remake >= REMAKE_FORGIVE) {
        watch->remake_delay = 0;
    } else {
        watch->remake_delay = MIN(MAX(2 * watch->remake_delay, REMAKE_MIN),
                                  REMAKE_MAX);
    }
    watch->next_file_check = now + watch->remake_delay;
}

/* Notices when the file behind 'port' is truncated or removed.  Returns true
 * if it is to be made anew: if it is unusable, or when the peer, which has it
 * mapped, is gone. */
static bool
check_file(struct dpdkr_watch *watch, const struct dpdkr_port *port,
           long long int now)
{
    enum dpdkr_mem_status status = dpdkr_mem_check(port->mem);
    const char *path = port->mem->path;

    watch->next_file_check = now;
    if (status != watch->file_status) {
        watch->file_status = status;
        switch (status) {
        case DPDKR_MEM_OK:
            break;
        case DPDKR_MEM_TRUNCATED:
            watch->n_memory_lost++;
            delay_remake(watch, now);
            VLOG_ERR("%s: %s was truncated, making it anew; its peer has to "
                     "attach again", port->name, path);
            break;
        case DPDKR_MEM_GONE:
        case DPDKR_MEM_HIDDEN:
            delay_remake(watch, now);
            VLOG_WARN("%s: %s was %s by somebody else; it will be made anew "
                      "when no peer is attached", port->name, path,
                      status == DPDKR_MEM_GONE ? "removed" : "replaced");
            break;
        }
    }

    bool due = now >= watch->next_file_check;
    watch->next_file_check = MAX(watch->next_file_check, now + FILE_INTERVAL);
    return (due && status != DPDKR_MEM_OK
            && (status == DPDKR_MEM_TRUNCATED || !port->alive));
}

/* Tells 'watch' what came of making the memory anew: whether there is one that
 * the port is going to be on. */
void
dpdkr_watch_remade(struct dpdkr_watch *watch, bool ok, long long int now)
{
    if (ok) {
        watch->last_remake = now;
    } else {
        watch->next_file_check = now + DPDKR_WATCH_RETRY;
    }
}

/* Does the periodic work of 'port' with dpdkr_port_run(), and looks at its
 * peer and its file.  Returns what is to be done, DPDKR_WATCH_*. */
unsigned int
dpdkr_watch_run(struct dpdkr_watch *watch, struct dpdkr_port *port,
                long long int now)
{
    unsigned int todo = 0;

    if (check_peer(watch, port, now)) {
        todo |= DPDKR_WATCH_ANNOUNCE;
    }
    if (now >= watch->next_file_check && check_file(watch, port, now)) {
        todo |= DPDKR_WATCH_REMAKE;
    }
    watch->expedited = false;
    return todo;
}
