/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_guard);

/* The signal handler walks the list at any moment, so a guard is never
 * unlinked or freed: a removed one has 'size' zero and is used again. */
struct dpdkr_guard {
    struct dpdkr_guard *next;   /* Constant once in the list. */
    atomic_uintptr_t base;
    atomic_size_t size;         /* Zero: free for reuse. */
    atomic_bool hit;
};

static ATOMIC(struct dpdkr_guard *) guards = NULL;
static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static struct sigaction old_action;

static void
handle_sigbus(int sig, siginfo_t *info, void *context)
{
    uintptr_t addr = (uintptr_t) info->si_addr;
    int save_errno = errno;
    struct dpdkr_guard *g;

    /* Only a missing page of a file counts: a memory error of the machine
     * must not be papered over. */
    if (info->si_code == BUS_ADRERR) {
        atomic_read(&guards, &g);
        for (; g; g = g->next) {
            size_t size, again;
            uintptr_t base;

            /* A guard may be given to another mapping just now: a size and a
             * base of different ones must not be taken together. */
            atomic_read(&g->size, &size);
            atomic_read(&g->base, &base);
            atomic_read(&g->size, &again);
            if (size == again && addr - base < size
                && mmap((void *) base, size, PROT_READ | PROT_WRITE,
                        (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
                         | MAP_NORESERVE), -1, 0) != MAP_FAILED) {
                atomic_store(&g->hit, true);
                errno = save_errno;
                return;
            }
        }
    }

    if (old_action.sa_flags & SA_SIGINFO) {
        old_action.sa_sigaction(sig, info, context);
    } else if (old_action.sa_handler != SIG_DFL
               && old_action.sa_handler != SIG_IGN) {
        old_action.sa_handler(sig);
    } else {
        /* Returning repeats the access, now with the default action. */
        signal(SIGBUS, SIG_DFL);
    }
    errno = save_errno;
}

static void
install_handler(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;

    if (ovsthread_once_start(&once)) {
        struct sigaction action = {
            .sa_sigaction = handle_sigbus,
            .sa_flags = SA_SIGINFO | SA_ONSTACK,
        };

        sigemptyset(&action.sa_mask);
        if (sigaction(SIGBUS, &action, &old_action)) {
            VLOG_ERR("cannot handle SIGBUS, a peer that truncates its memory "
                     "could end this process (%s)", ovs_strerror(errno));
        }
        ovsthread_once_done(&once);
    }
}

/* Guards the mapping of 'size' bytes at 'base', whole pages.  The caller owns
 * the guard and removes it before it unmaps the memory. */
struct dpdkr_guard *
dpdkr_guard_add(void *base, size_t size)
{
    struct dpdkr_guard *g;

    install_handler();

    ovs_mutex_lock(&mutex);
    atomic_read(&guards, &g);
    for (; g; g = g->next) {
        size_t used;

        atomic_read(&g->size, &used);
        if (!used) {
            break;
        }
    }
    if (g) {
        atomic_store(&g->hit, false);
        atomic_store(&g->base, (uintptr_t) base);
        atomic_store(&g->size, size);
    } else {
        g = xzalloc(sizeof *g);
        atomic_init(&g->hit, false);
        atomic_init(&g->base, (uintptr_t) base);
        atomic_init(&g->size, size);
        atomic_read(&guards, &g->next);
        atomic_store(&guards, g);
    }
    ovs_mutex_unlock(&mutex);

    return g;
}

void
dpdkr_guard_remove(struct dpdkr_guard *g)
{
    if (g) {
        ovs_mutex_lock(&mutex);
        atomic_store(&g->size, 0);
        ovs_mutex_unlock(&mutex);
    }
}

/* Returns true if the mapping was lost and now is private memory. */
bool
dpdkr_guard_is_hit(const struct dpdkr_guard *g)
{
    bool hit;

    atomic_read_relaxed(&CONST_CAST(struct dpdkr_guard *, g)->hit, &hit);
    return hit;
}
