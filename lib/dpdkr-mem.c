/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dpdkr-guard.h"
#include "entropy.h"
#include "openvswitch/vlog.h"
#include "ovs-thread.h"
#include "random.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_mem);

/* Marks, in its mode, a file that the switch has given up.  Peers of the port
 * may keep other names of it (hard links), and what is in it can be written by
 * them: without the mark they could offer it as the memory of another port,
 * whose frames they would see.  Only its owner, which a peer is not unless
 * option "owner" says so, can take the mark away. */
#define GIVEN_UP S_ISVTX

/* All the memories of this process, to name the port that has a path. */
static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static struct ovs_list all_mems OVS_GUARDED_BY(mutex)
    = OVS_LIST_INITIALIZER(&all_mems);

static const struct dpdkr_mem *
find_mem__(dev_t dev, ino_t ino)
    OVS_REQUIRES(mutex)
{
    const struct dpdkr_mem *mem;

    LIST_FOR_EACH (mem, node, &all_mems) {
        if (mem->dev == dev && mem->ino == ino) {
            return mem;
        }
    }
    return NULL;
}

/* Returns the name of the port of this process that uses the file, to be freed
 * by the caller, or NULL if none does. */
static char *
mem_user(dev_t dev, ino_t ino)
{
    ovs_mutex_lock(&mutex);
    const struct dpdkr_mem *mem = find_mem__(dev, ino);
    char *user = mem ? xstrdup(mem->user) : NULL;
    ovs_mutex_unlock(&mutex);

    return user;
}

/* Returns true if the file at 'path' is one of this process's memories. */
bool
dpdkr_mem_is_used(const char *path)
{
    struct stat s;
    bool used = false;

    if (!lstat(path, &s)) {
        ovs_mutex_lock(&mutex);
        used = find_mem__(s.st_dev, s.st_ino) != NULL;
        ovs_mutex_unlock(&mutex);
    }
    return used;
}

static int
lock_side(int fd, int side, int cmd, short *type)
{
    struct flock lock = {
        .l_type = *type,
        .l_whence = SEEK_SET,
        .l_start = DPDKR_LOCK_OFFSET + side,
        .l_len = 1,
    };
    int error = fcntl(fd, cmd, &lock) ? errno : 0;

    *type = lock.l_type;
    return error;
}

static int
lock_side_a(int fd)
{
    short type = F_WRLCK;

    return lock_side(fd, DPDKR_SIDE_A, F_OFD_SETLK, &type);
}

/* Returns true if a process holds the lock of side B. */
bool
dpdkr_mem_peer_has_lock(const struct dpdkr_mem *mem)
{
    short type = F_WRLCK;

    return (mem->fd >= 0
            && !lock_side(mem->fd, DPDKR_SIDE_B, F_OFD_GETLK, &type)
            && type != F_UNLCK);
}

static int
node_of(void *addr)
{
    int node = -1;

    if (syscall(SYS_get_mempolicy, &node, NULL, 0, addr,
                MPOL_F_NODE | MPOL_F_ADDR) || node < 0) {
        return 0;
    }
    return node;
}

/* Returns the page size of the hugetlbfs that 'fd' is on, or 0 if it is on
 * another file system. */
static uint64_t
huge_page_size(int fd)
{
    struct statfs fs;

    return !fstatfs(fd, &fs) && fs.f_type == HUGETLBFS_MAGIC ? fs.f_bsize : 0;
}

/* Returns how many bytes of a file are mapped: whole pages. */
static uint64_t
mapped_size(const struct dpdkr_geometry *g, uint64_t huge_page)
{
    return huge_page ? ROUND_UP(g->total_size, huge_page) : g->total_size;
}

/* Returns how large a file is, of which 'mapped' bytes are mapped: a power of
 * two, since a VM maps it as a PCI BAR.  The rest is a hole that takes no
 * memory. */
static uint64_t
file_size(uint64_t mapped)
{
    uint64_t size = 4096;

    while (size < mapped) {
        size *= 2;
    }
    return size;
}

/* Maps the memory of 'fd', whose geometry 'mem->g' is known to fit into the
 * file.  What lies behind it, of whatever size, stays unmapped. */
static int
map_mem(struct dpdkr_mem *mem, int fd, const struct stat *s, char **errp)
{
    mem->file_size = s->st_size;
    mem->mapped = mapped_size(&mem->g, huge_page_size(fd));
    mem->base = mmap(NULL, mem->mapped, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_POPULATE, fd, 0);
    if (mem->base == MAP_FAILED) {
        int error = errno;

        *errp = xasprintf("%s: could not map %"PRIuSIZE" bytes (%s)",
                          mem->path, mem->mapped, ovs_strerror(error));
        return error;
    }
    mem->guard = dpdkr_guard_add(mem->base, mem->mapped);
    mem->fd = fd;
    mem->dev = s->st_dev;
    mem->ino = s->st_ino;
    mem->numa_id = node_of(mem->base);
    return 0;
}

static void
register_mem(struct dpdkr_mem *mem)
{
    ovs_mutex_lock(&mutex);
    ovs_list_push_back(&all_mems, &mem->node);
    ovs_mutex_unlock(&mutex);
}

static struct dpdkr_mem *
alloc_mem(const char *path, const char *user)
{
    struct dpdkr_mem *mem = xzalloc(sizeof *mem);

    ovs_list_init(&mem->node);
    mem->path = nullable_xstrdup(path);
    mem->user = nullable_xstrdup(user);
    mem->fd = -1;
    return mem;
}

static void
free_mem(struct dpdkr_mem *mem)
{
    free(mem->path);
    free(mem->user);
    free(mem);
}

/* Outcome of looking at the file that is under a path already. */
enum existing {
    EXISTING_NONE,              /* None, or one to be replaced. */
    EXISTING_ADOPTED,
    EXISTING_ERROR,
};

static void
give_up_file(int fd)
{
    struct stat s;

    if (!fstat(fd, &s) && !(s.st_mode & GIVEN_UP)) {
        ignore(fchmod(fd, (s.st_mode & 07777) | GIVEN_UP));
    }
}

/* Tells those who have it mapped that the memory is not coming back. */
static void
retire_header(struct dpdkr_header *h)
{
    __atomic_store_n(&h->side[DPDKR_SIDE_A].state, DPDKR_RETIRED,
                     __ATOMIC_RELEASE);
}

/* Tells the peers of a file that is about to be replaced.  (A file on a
 * hugetlbfs can only be written to through a mapping.) */
static void
retire_file(int fd)
{
    size_t size = MAX(huge_page_size(fd), DPDKR_HEADER_BYTES);
    struct dpdkr_guard *guard;
    void *base;

    give_up_file(fd);
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base != MAP_FAILED) {
        guard = dpdkr_guard_add(base, size);
        retire_header(base);
        dpdkr_guard_remove(guard);
        munmap(base, size);
    }
}

static uint32_t
kind_of(const struct dpdkr_mem_config *config)
{
    return config->is_link ? DPDKR_KIND_LINK : DPDKR_KIND_PORT;
}

static bool
geometry_fits(const struct dpdkr_geometry *g,
              const struct dpdkr_mem_config *config)
{
    uint32_t slot_size = ROUND_UP(config->slot_size, DPDKR_CACHE_LINE);

    return (g->n_queues == config->n_queues
            && g->ring_size == config->ring_size
            && (config->slot_size_exact
                ? g->slot_size == slot_size
                : g->slot_size >= slot_size));
}

/* Returns true if 'mem' is what 'config' asks for. */
bool
dpdkr_mem_fits(const struct dpdkr_mem *mem,
               const struct dpdkr_mem_config *config)
{
    return (mem->path && !strcmp(mem->path, config->path)
            && geometry_fits(&mem->g, config)
            && (!config->hugepages || huge_page_size(mem->fd)));
}

/* Returns true if 'header' is that of the link with id 'id', which only those
 * know who may open its file. */
static bool
is_link(const struct dpdkr_header *header, const uint8_t id[16])
{
    return (header->magic == DPDKR_MAGIC
            && header->kind == DPDKR_KIND_LINK
            && !memcmp(header->id, id, sizeof header->id));
}

/* Returns true if the file at 'path' is the memory of the link with id
 * 'id'. */
bool
dpdkr_mem_is_link(const char *path, const uint8_t id[16])
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct dpdkr_header header;
    struct stat s;
    bool ok;

    if (fd < 0) {
        return false;
    }
    memset(&header, 0, sizeof header);
    ok = (!fstat(fd, &s) && S_ISREG(s.st_mode)
          && pread(fd, &header, sizeof header, 0) == sizeof header
          && is_link(&header, id));
    close(fd);
    return ok;
}

/* Looks at the file under 'config->path', if any.  Nothing of it is trusted:
 * somebody may have it mapped and may truncate it, so its header is read, not
 * mapped.  If it was the memory of the port, but will not do any more, stores
 * in 'id' what is to be kept of its id. */
static enum existing
open_existing(const struct dpdkr_mem_config *config, const char *user,
              const struct dpdkr_mem *replaces, uint8_t id[16],
              struct dpdkr_mem **memp, int *error, char **errp)
{
    const char *path = config->path;
    struct dpdkr_header header;
    struct dpdkr_geometry g;
    enum existing result = EXISTING_ERROR;
    struct dpdkr_mem *mem;
    struct stat s;
    const char *why;

    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT && !config->link_id) {
            return EXISTING_NONE;
        }
        *error = errno;
        *errp = (*error == ELOOP
                 ? xasprintf("%s: is a symbolic link, not dpdkr memory; "
                             "remove it or choose another path", path)
                 : xasprintf("%s: could not open (%s)",
                             path, ovs_strerror(*error)));
        return EXISTING_ERROR;
    }

    if (fstat(fd, &s)) {
        *error = errno;
        *errp = xasprintf("%s: could not stat (%s)", path,
                          ovs_strerror(*error));
        goto exit;
    }
    if (!S_ISREG(s.st_mode)
        || (s.st_uid != geteuid() && s.st_uid != config->uid)) {
        *error = EEXIST;
        *errp = xasprintf("%s: exists and %s; remove it or choose another "
                          "path", path,
                          !S_ISREG(s.st_mode) ? "is not a regular file"
                          : "belongs to somebody else");
        goto exit;
    }

    char *other = mem_user(s.st_dev, s.st_ino);
    if (replaces && replaces->dev == s.st_dev && replaces->ino == s.st_ino) {
        free(other);
        result = EXISTING_NONE;
        goto exit;
    }
    if (other) {
        *error = EBUSY;
        *errp = xasprintf("%s: already used by port %s", path, other);
        free(other);
        goto exit;
    }

    memset(&header, 0, sizeof header);
    ssize_t n = pread(fd, &header, sizeof header, 0);
    if (n < (ssize_t) sizeof header.magic || header.magic != DPDKR_MAGIC) {
        *error = EEXIST;
        *errp = xasprintf("%s: exists and is not dpdkr memory; remove it or "
                          "choose another path", path);
        goto exit;
    }

    if (config->is_link
        && (!config->link_id || !is_link(&header, config->link_id)
            || s.st_uid != config->uid || s.st_gid != config->gid
            || (s.st_mode & 0777) != config->mode)) {
        /* The links of others may be in the same directory, and peers may have
         * written their names where an earlier switch wrote its own. */
        *error = EEXIST;
        *errp = xasprintf("%s: exists and is another link", path);
        goto exit;
    }

    /* From here on it is ours, or another switch's. */
    if (lock_side_a(fd)) {
        *error = EBUSY;
        *errp = xasprintf("%s: already used by another process", path);
        goto exit;
    }
    if (config->is_link && (s.st_nlink > 2 || s.st_mode & GIVEN_UP)) {
        *error = EEXIST;
        *errp = xasprintf("%s: %s", path, s.st_mode & GIVEN_UP
                          ? "given up before" : "has other names, too");
        goto exit;
    }
    if (!config->is_link && (s.st_nlink > 1 || s.st_mode & GIVEN_UP)) {
        /* It is, or was, another port's, linked here by that one's peer.  Its
         * content is left alone, for it may still be in use there. */
        VLOG_WARN("%s: replacing %s (%s)", user, path,
                  s.st_mode & GIVEN_UP ? "given up before"
                  : "has other names, too");
        give_up_file(fd);
        result = EXISTING_NONE;
        goto exit;
    }
    why = dpdkr_geometry_read(&g, &header, s.st_size);
    if (config->is_link && (why || !geometry_fits(&g, config))) {
        *error = EINVAL;
        *errp = xasprintf("%s: %s", path, why ? why : "other geometry");
        goto exit;
    }
    if (!why && header.kind != kind_of(config)) {
        why = "memory of another kind";
    }
    if (!why && (!geometry_fits(&g, config)
                 || (config->hugepages && !huge_page_size(fd)))) {
        why = "configured differently now";
        memcpy(id, header.id, DPDKR_MEM_KEPT_ID);
    }
    if (why) {
        VLOG_INFO("%s: replacing %s (%s)", user, path, why);
        retire_file(fd);
        result = EXISTING_NONE;
        goto exit;
    }

    /* A peer may have changed the size.  It matters to VMs only. */
    off_t size = file_size(mapped_size(&g, huge_page_size(fd)));
    if (s.st_size != size && (ftruncate(fd, size) || fstat(fd, &s))) {
        *error = errno;
        *errp = xasprintf("%s: could not change size to %lld bytes (%s)",
                          path, (long long int) size, ovs_strerror(*error));
        goto exit;
    }

    mem = alloc_mem(path, user);
    mem->g = g;
    mem->adopted = true;
    *error = map_mem(mem, fd, &s, errp);
    if (*error) {
        free_mem(mem);
        goto exit;
    }
    memcpy(&mem->constant, &header, offsetof(struct dpdkr_header, side));
    register_mem(mem);
    *memp = mem;
    return EXISTING_ADOPTED;

exit:
    close(fd);
    return result;
}

/* Sets owner, group and mode of 'fd'. */
static int
set_access(int fd, const struct dpdkr_mem_config *config, char **errp)
{
    if ((config->uid != (uid_t) -1 || config->gid != (gid_t) -1)
        && fchown(fd, config->uid, config->gid)) {
        int error = errno;

        *errp = xasprintf("%s: could not change owner (%s)",
                          config->path, ovs_strerror(error));
        return error;
    }
    if (fchmod(fd, config->mode)) {
        int error = errno;

        *errp = xasprintf("%s: could not change mode to %04o (%s)",
                          config->path, (unsigned int) config->mode,
                          ovs_strerror(error));
        return error;
    }
    return 0;
}

/* Applies the owner, group and mode in 'config' to 'mem'. */
int
dpdkr_mem_set_access(const struct dpdkr_mem *mem,
                     const struct dpdkr_mem_config *config, char **errp)
{
    return set_access(mem->fd, config, errp);
}

/* Makes a new file with this 'id' and puts it under 'config->path'. */
static int
create_mem(const struct dpdkr_mem_config *config, const char *user,
           const uint8_t id[16], struct dpdkr_mem **memp, char **errp)
{
    struct dpdkr_mem *mem = alloc_mem(config->path, user);
    char *tmp = xasprintf("%s.XXXXXX", config->path);
    struct dpdkr_header *header;
    struct stat s;
    const char *why;
    int error;

    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0) {
        error = errno;
        *errp = xasprintf("%s: could not create (%s)",
                          config->path, ovs_strerror(error));
        goto error_free;
    }

    why = dpdkr_geometry_init(&mem->g, config->n_queues, config->ring_size,
                              config->slot_size);
    if (why) {
        error = EINVAL;
        *errp = xasprintf("%s: %s", config->path, why);
        goto error_unlink;
    }

    uint64_t huge = huge_page_size(fd);
    off_t size = mapped_size(&mem->g, huge);
    if (config->hugepages && !huge) {
        error = EINVAL;
        *errp = xasprintf("%s: is not on a hugetlbfs", config->path);
        goto error_unlink;
    }

    /* Reserving all of the memory now is what keeps a full file system from
     * becoming a SIGBUS later. */
    error = posix_fallocate(fd, 0, size);
    if (error) {
        *errp = xasprintf("%s: could not allocate %lld bytes%s (%s)",
                          config->path, (long long int) size,
                          huge ? " of huge pages" : "", ovs_strerror(error));
        goto error_unlink;
    }
    if (ftruncate(fd, file_size(size))) {
        error = errno;
        *errp = xasprintf("%s: could not change size to %lld bytes (%s)",
                          config->path, (long long int) file_size(size),
                          ovs_strerror(error));
        goto error_unlink;
    }
    error = set_access(fd, config, errp);
    if (error) {
        goto error_unlink;
    }
    if (lock_side_a(fd) || fstat(fd, &s)) {
        error = errno;
        *errp = xasprintf("%s: could not lock (%s)",
                          config->path, ovs_strerror(error));
        goto error_unlink;
    }
    error = map_mem(mem, fd, &s, errp);
    if (error) {
        goto error_unlink;
    }

    /* Not read back from the file, which its owner may have open already. */
    dpdkr_header_init(&mem->constant, &mem->g, kind_of(config), id);
    header = dpdkr_mem_header(mem);
    memcpy(header, &mem->constant, offsetof(struct dpdkr_header, side));
    header->side[DPDKR_SIDE_A].version = DPDKR_ABI_VERSION;
    atomic_thread_fence(memory_order_release);
    header->magic = mem->constant.magic = DPDKR_MAGIC;

    if (rename(tmp, config->path)) {
        error = errno;
        *errp = xasprintf("%s: could not create (%s)",
                          config->path, ovs_strerror(error));
        dpdkr_guard_remove(mem->guard);
        munmap(mem->base, mem->mapped);
        goto error_unlink;
    }
    free(tmp);
    register_mem(mem);
    *memp = mem;
    return 0;

error_unlink:
    unlink(tmp);
    close(fd);
error_free:
    free(tmp);
    free_mem(mem);
    return error;
}

/* Makes the memory that 'config' asks for, or finds it again, for the port
 * named 'user', and locks side A of it.  'replaces', if nonnull, is the memory
 * that the port has now: a new one takes over the beginning of its id, and its
 * place if it is under the same path.
 *
 * Returns 0 and a memory that the caller owns in '*memp'; or a positive errno
 * value and a message in '*errp', to be freed by the caller. */
int
dpdkr_mem_open(const struct dpdkr_mem_config *config, const char *user,
               const struct dpdkr_mem *replaces, struct dpdkr_mem **memp,
               char **errp)
{
    uint8_t id[16];
    int error = 0;

    *memp = NULL;
    *errp = NULL;
    if (get_entropy(id, sizeof id)) {
        random_bytes(id, sizeof id);
    }
    if (replaces) {
        memcpy(id, replaces->constant.id, DPDKR_MEM_KEPT_ID);
    }
    switch (open_existing(config, user, replaces, id, memp, &error, errp)) {
    case EXISTING_ADOPTED:
        error = dpdkr_mem_set_access(*memp, config, errp);
        if (error) {
            dpdkr_mem_close(*memp, false);
            *memp = NULL;
        }
        return error;
    case EXISTING_ERROR:
        return error;
    case EXISTING_NONE:
    default:
        return create_mem(config, user, id, memp, errp);
    }
}

/* Returns memory with no file, for tests. */
struct dpdkr_mem *
dpdkr_mem_anonymous(const struct dpdkr_geometry *g)
{
    struct dpdkr_mem *mem = alloc_mem(NULL, "anonymous");
    uint8_t id[16] = { 1 };

    mem->g = *g;
    mem->mapped = g->total_size;
    mem->base = mmap(NULL, mem->mapped, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mem->base == MAP_FAILED) {
        out_of_memory();
    }
    dpdkr_header_init(dpdkr_mem_header(mem), g, DPDKR_KIND_PORT, id);
    dpdkr_mem_header(mem)->magic = DPDKR_MAGIC;
    memcpy(&mem->constant, mem->base, offsetof(struct dpdkr_header, side));
    return mem;
}

static bool
stat_path(const struct dpdkr_mem *mem, struct stat *s)
{
    return mem->path && !lstat(mem->path, s);
}

static bool
is_same_file(const struct dpdkr_mem *mem, const struct stat *s)
{
    return s->st_dev == mem->dev && s->st_ino == mem->ino;
}

/* Frees 'mem'.  If 'remove' is true, tells its peers that it is not coming
 * back, and removes its file, unless another file is under its path by now. */
void
dpdkr_mem_close(struct dpdkr_mem *mem, bool remove)
{
    struct stat s;

    if (!mem) {
        return;
    }
    ovs_mutex_lock(&mutex);
    ovs_list_remove(&mem->node);
    ovs_mutex_unlock(&mutex);

    if (remove) {
        retire_header(dpdkr_mem_header(mem));
        if (mem->fd >= 0) {
            give_up_file(mem->fd);
        }
    }
    if (remove && stat_path(mem, &s) && is_same_file(mem, &s)
        && unlink(mem->path)) {
        VLOG_WARN("%s: could not remove %s (%s)",
                  mem->user, mem->path, ovs_strerror(errno));
    }
    dpdkr_guard_remove(mem->guard);
    munmap(mem->base, mem->mapped);
    if (mem->fd >= 0) {
        close(mem->fd);
    }
    free_mem(mem);
}

/* Returns what has become of the file behind 'mem'. */
enum dpdkr_mem_status
dpdkr_mem_check(const struct dpdkr_mem *mem)
{
    struct stat s;

    if (mem->fd < 0) {
        return DPDKR_MEM_OK;
    }
    if (dpdkr_guard_is_hit(mem->guard)
        || (!fstat(mem->fd, &s) && s.st_size < (off_t) mem->mapped)) {
        return DPDKR_MEM_TRUNCATED;
    }
    if (!stat_path(mem, &s)) {
        return DPDKR_MEM_GONE;
    }
    return is_same_file(mem, &s) ? DPDKR_MEM_OK : DPDKR_MEM_HIDDEN;
}

/* Restores the constant part of the header.  Returns true if it was not what
 * it has to be. */
bool
dpdkr_mem_repair_header(struct dpdkr_mem *mem)
{
    size_t n = offsetof(struct dpdkr_header, side);

    if (!memcmp(mem->base, &mem->constant, n)) {
        return false;
    }
    memcpy(mem->base, &mem->constant, n);
    return true;
}
