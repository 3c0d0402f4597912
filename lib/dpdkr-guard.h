/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_GUARD_H
#define DPDKR_GUARD_H 1

/* Guarded mappings
 * ================
 *
 * Whoever may write to a dpdkr memory file can also truncate it, and tmpfs and
 * hugetlbfs files can't be sealed against that.  The next access behind the
 * new end raises SIGBUS, which by default ends the process.
 *
 * A guard makes that survivable for one mapping: the signal handler replaces
 * the whole mapping by private zero-filled memory and marks the guard as hit.
 * The interrupted access goes on with zeros, which the readers of the mapping
 * can stand as they can stand anything that a hostile peer writes; the owner
 * finds the guard hit and gives the mapping up.
 *
 * A SIGBUS outside of all the guards is handed to the handler that was
 * installed before.
 *
 * Thread-safety
 * =============
 *
 * All functions may be called from any thread. */

#include <stdbool.h>
#include <stddef.h>

struct dpdkr_guard;

struct dpdkr_guard *dpdkr_guard_add(void *base, size_t size);
void dpdkr_guard_remove(struct dpdkr_guard *);
bool dpdkr_guard_is_hit(const struct dpdkr_guard *);

#endif /* dpdkr-guard.h */
