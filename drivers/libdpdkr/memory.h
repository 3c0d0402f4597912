/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_MEMORY_H
#define DPDKR_MEMORY_H 1

/* The file behind a dpdkr memory, seen from one side: opened, locked if it is
 * a port's, checked and mapped, and what the file system tells about it
 * afterwards.
 *
 * All functions are for one thread at a time and do not block. */

#include <dpdkr/abi.h>
#include <sys/types.h>

struct dpdkr_memory {
    int fd;
    uint32_t side;              /* Ours: DPDKR_SIDE_*. */
    bool bar;                   /* A PCI BAR: no locks. */
    void *base;
    size_t map_size;            /* Bytes; at least geometry.total_size. */
    struct dpdkr_header *header;    /* At 'base'. */
    struct dpdkr_geometry geometry;
    uint8_t id[16];
    dev_t st_dev;
    ino_t st_ino;
};

/* Opens the memory of kind 'kind' at 'path' and, if that is a port's, takes
 * the lock of side 'side'.  (Nobody locks a link: who is alive, the locks of
 * the ports tell.)  'bar' says that 'path' is a PCI BAR; one in sysfs is
 * recognized by itself.
 *
 * Returns 0 if successful, then the caller owns '*m' and must finally call
 * dpdkr_memory_close().  Otherwise returns a positive errno value and writes a
 * message that names 'path' into the 'error_size' bytes at 'error':
 *
 *     ENOENT     There is no such file.
 *     EBUSY      Another process has the lock.
 *     EPROTO     This is no sound dpdkr memory of that kind.
 *     ESTALE     It is a port's, but side A has retired it.
 *     others     As open(), fstat(), fcntl() and mmap() return them. */
int dpdkr_memory_open(struct dpdkr_memory *m, const char *path, uint32_t kind,
                      uint32_t side, bool bar,
                      char *error, size_t error_size);
void dpdkr_memory_close(struct dpdkr_memory *);

/* Returns true if the other side holds its lock.  Always false for a BAR. */
bool dpdkr_memory_other_locked(const struct dpdkr_memory *);

/* Returns true if the file still has all of the bytes that are mapped.
 * Otherwise the memory must not be touched any more. */
bool dpdkr_memory_is_whole(const struct dpdkr_memory *);

/* Returns true if 'path' names an existing file other than that of 'm'. */
bool dpdkr_memory_is_replaced(const struct dpdkr_memory *, const char *path);

#endif /* drivers/libdpdkr/memory.h */
