/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_MEM_H
#define DPDKR_MEM_H 1

/* Files of dpdkr memory
 * =====================
 *
 * Makes, finds again, checks and removes the file behind a dpdkr port, of
 * which the switch is side A.  What is in it is described in <dpdkr/abi.h>.
 *
 * A file appears under its path in one step, complete, and is replaced in one
 * step: a peer never finds half of one.  A file that is in the way and that
 * the switch did not make is never touched.
 *
 * A file outlives the process that made it, so that a switch that restarts
 * finds its peers' memory again.  dpdkr_mem_close() says whether it goes.
 *
 * The random 'id' of a memory that takes the place of another one of the port
 * begins with the same DPDKR_MEM_KEPT_ID bytes, for what has to stay the same
 * while memories come and go: the port's addresses.
 *
 * Thread-safety
 * =============
 *
 * The functions may be called from any thread; one object is used by one
 * thread at a time, apart from its 'base' memory. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <dpdkr/abi.h>
#include "openvswitch/list.h"

#define DPDKR_MEM_KEPT_ID 8

struct dpdkr_mem_config {
    char *path;                 /* Absolute. */
    bool is_link;               /* Of kind DPDKR_KIND_LINK, not _PORT.  Makes
                                 * a new file, and replaces none... */
    const uint8_t *link_id;     /* ...or, if nonnull, finds that with this id,
                                 * and with this owner, group and mode, and
                                 * changes nothing about any other. */
    uint32_t n_queues;
    uint32_t ring_size;
    uint32_t slot_size;         /* At least this... */
    bool slot_size_exact;       /* ...or exactly this. */
    bool hugepages;             /* Must be on hugetlbfs. */
    uid_t uid;                  /* (uid_t) -1 to leave as created. */
    gid_t gid;                  /* (gid_t) -1 to leave as created. */
    mode_t mode;
};

struct dpdkr_mem {
    struct ovs_list node;       /* In the list of all of them. */
    char *path;                 /* NULL for anonymous memory. */
    char *user;                 /* Name of the port, for messages. */
    int fd;                     /* Holds side A's lock. */
    dev_t dev;
    ino_t ino;

    void *base;
    size_t mapped;              /* Whole pages, at least g.total_size. */
    uint64_t file_size;         /* A power of two, at least 'mapped'. */
    struct dpdkr_geometry g;
    struct dpdkr_header constant; /* What the header's constants must be. */
    struct dpdkr_guard *guard;
    bool adopted;               /* Was there, with what peers had in it. */
    int numa_id;                /* Node of the first page. */
};

/* What has become of a file. */
enum dpdkr_mem_status {
    DPDKR_MEM_OK,
    DPDKR_MEM_TRUNCATED,        /* Unusable. */
    DPDKR_MEM_GONE,             /* Usable, but no longer under its path. */
    DPDKR_MEM_HIDDEN,           /* The same, and another file is there. */
};

int dpdkr_mem_open(const struct dpdkr_mem_config *, const char *user,
                   const struct dpdkr_mem *replaces, struct dpdkr_mem **,
                   char **errp);
struct dpdkr_mem *dpdkr_mem_anonymous(const struct dpdkr_geometry *);
void dpdkr_mem_close(struct dpdkr_mem *, bool remove);

bool dpdkr_mem_is_used(const char *path);
bool dpdkr_mem_is_link(const char *path, const uint8_t id[16]);
bool dpdkr_mem_fits(const struct dpdkr_mem *, const struct dpdkr_mem_config *);
enum dpdkr_mem_status dpdkr_mem_check(const struct dpdkr_mem *);
bool dpdkr_mem_peer_has_lock(const struct dpdkr_mem *);
bool dpdkr_mem_repair_header(struct dpdkr_mem *);
int dpdkr_mem_set_access(const struct dpdkr_mem *,
                         const struct dpdkr_mem_config *, char **errp);

static inline struct dpdkr_header *
dpdkr_mem_header(const struct dpdkr_mem *mem)
{
    return mem->base;
}

#endif /* dpdkr-mem.h */
