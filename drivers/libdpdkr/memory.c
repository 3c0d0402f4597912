/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYSFS_MAGIC
#define SYSFS_MAGIC 0x62656572
#endif

static int
lock_byte(int fd, int cmd, uint32_t side, struct flock *fl)
{
    *fl = (struct flock) {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = DPDKR_LOCK_OFFSET + side,
        .l_len = 1,
    };
    return fcntl(fd, cmd, fl) ? errno : 0;
}

/* Reads the first bytes of the file, of which there are 'size', into 'h'.  A
 * file is read, since one that shrinks now makes pread() return less, but
 * access through a mapping fail with SIGBUS.  A BAR can only be mapped, but
 * does not shrink. */
static int
read_header(const struct dpdkr_memory *m, uint64_t size,
            struct dpdkr_header *h)
{
    memset(h, 0, sizeof *h);
    if (size < DPDKR_HEADER_BYTES) {
        return 0;
    }
    if (m->bar) {
        void *p = mmap(NULL, DPDKR_HEADER_BYTES, PROT_READ, MAP_SHARED,
                       m->fd, 0);

        if (p == MAP_FAILED) {
            return errno;
        }
        memcpy(h, p, sizeof *h);
        munmap(p, DPDKR_HEADER_BYTES);
    } else {
        ssize_t n;

        do {
            n = pread(m->fd, h, sizeof *h, 0);
        } while (n < 0 && errno == EINTR);
        if (n < 0) {
            return errno;
        } else if ((size_t) n < sizeof *h) {
            memset(h, 0, sizeof *h);
        }
    }
    return 0;
}

/* Huge page file systems map, and above all unmap, whole pages only. */
static uint64_t
map_granularity(const struct stat *s)
{
    uint64_t blk = s->st_blksize > 0 ? (uint64_t) s->st_blksize : 0;

    return (blk >= 4096 && blk <= (uint64_t) 1 << 30 && !(blk & (blk - 1))
            ? blk : 4096);
}

static int
memory_open__(struct dpdkr_memory *m, const char *path, uint32_t kind,
              char *error, size_t error_size)
{
    struct dpdkr_header h;
    struct statfs fs;
    struct flock fl;
    struct stat s;
    const char *problem;
    int err;

    if (fstat(m->fd, &s) || fstatfs(m->fd, &fs)) {
        err = errno;
        snprintf(error, error_size, "%s: cannot get status (%s)", path,
                 strerror(err));
        return err;
    }
    if (!S_ISREG(s.st_mode)) {
        snprintf(error, error_size, "%s: not a regular file", path);
        return EPROTO;
    }
    m->st_dev = s.st_dev;
    m->st_ino = s.st_ino;
    if ((uint32_t) fs.f_type == SYSFS_MAGIC) {
        m->bar = true;
    }

    err = read_header(m, s.st_size, &h);
    if (err) {
        snprintf(error, error_size, "%s: cannot read header (%s)", path,
                 strerror(err));
        return err;
    }
    problem = dpdkr_geometry_read(&m->geometry, &h, s.st_size);
    if (!problem && h.kind != kind) {
        problem = (kind == DPDKR_KIND_PORT ? "not the memory of a port"
                   : "not the memory of a link");
    }
    if (problem) {
        snprintf(error, error_size, "%s: %s", path, problem);
        return EPROTO;
    }
    if (kind == DPDKR_KIND_PORT
        && h.side[DPDKR_SIDE_A].state == DPDKR_RETIRED) {
        snprintf(error, error_size, "%s: retired by the switch", path);
        return ESTALE;
    }
    memcpy(m->id, h.id, sizeof m->id);

    if (kind == DPDKR_KIND_PORT && !m->bar) {
        err = lock_byte(m->fd, F_OFD_SETLK, m->side, &fl);
        if (err == EAGAIN || err == EACCES) {
            snprintf(error, error_size, "%s: port is in use by another "
                     "process", path);
            return EBUSY;
        } else if (err) {
            snprintf(error, error_size, "%s: cannot lock (%s)", path,
                     strerror(err));
            return err;
        }
    }

    uint64_t unit = map_granularity(&s);
    uint64_t size = (m->geometry.total_size + unit - 1) & ~(unit - 1);
    void *base = (size == (size_t) size
                  ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                         m->fd, 0)
                  : MAP_FAILED);

    if (base == MAP_FAILED) {
        err = errno ? errno : ENOMEM;
        snprintf(error, error_size, "%s: cannot map %llu bytes (%s)", path,
                 (unsigned long long) size, strerror(err));
        return err;
    }
    m->base = base;
    m->map_size = size;
    m->header = base;
    return 0;
}

int
dpdkr_memory_open(struct dpdkr_memory *m, const char *path, uint32_t kind,
                  uint32_t side, bool bar, char *error, size_t error_size)
{
    int err;

    memset(m, 0, sizeof *m);
    m->side = side;
    m->bar = bar;
    /* O_NONBLOCK, so that a FIFO does not block. */
    m->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (m->fd < 0) {
        err = errno;
        snprintf(error, error_size, "%s: cannot open (%s)", path,
                 strerror(err));
        return err;
    }
    err = memory_open__(m, path, kind, error, error_size);
    if (err) {
        dpdkr_memory_close(m);
    }
    return err;
}

void
dpdkr_memory_close(struct dpdkr_memory *m)
{
    if (m->base) {
        munmap(m->base, m->map_size);
        m->base = NULL;
        m->header = NULL;
    }
    if (m->fd >= 0) {
        close(m->fd);           /* Drops the lock. */
        m->fd = -1;
    }
}

bool
dpdkr_memory_other_locked(const struct dpdkr_memory *m)
{
    struct flock fl;

    return (!m->bar
            && !lock_byte(m->fd, F_OFD_GETLK, !m->side, &fl)
            && fl.l_type != F_UNLCK);
}

bool
dpdkr_memory_is_whole(const struct dpdkr_memory *m)
{
    struct stat s;

    return (!fstat(m->fd, &s)
            && s.st_size >= 0
            && (uint64_t) s.st_size >= m->geometry.total_size);
}

bool
dpdkr_memory_is_replaced(const struct dpdkr_memory *m, const char *path)
{
    struct stat s;

    return (!stat(path, &s)
            && (s.st_dev != m->st_dev || s.st_ino != m->st_ino));
}
