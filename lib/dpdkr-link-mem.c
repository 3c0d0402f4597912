/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-link-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dpdkr-mem.h"
#include "entropy.h"
#include "openvswitch/vlog.h"
#include "random.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_link_mem);

/* The file of a link is in the directories of the files of both ports, under
 * one name, and can be opened by whoever can open those. */
#define NAME_PREFIX "ovs-link-"
#define NAME_FORMAT NAME_PREFIX "%08"PRIx32"%08"PRIx32
#define HEX "0123456789abcdef"

static char *
path_in_dir_of(const struct dpdkr_port *port, const char *name)
{
    char *dir = dir_name(port->mem->path);
    char *path = xasprintf("%s/%s", dir, name);

    free(dir);
    return path;
}

static const char *
compare_access(const struct stat *a, const struct stat *b)
{
    return (a->st_uid != b->st_uid || a->st_gid != b->st_gid
            ? "the files of the two ports have different owners"
            : (a->st_mode ^ b->st_mode) & 0777
            ? "the files of the two ports have different modes"
            : a->st_dev != b->st_dev
            ? "the files of the two ports are on different file systems"
            : NULL);
}

/* Gives 'mem' the second name 'path', which it may have from an earlier
 * switch.  Returns 0 or a positive errno value. */
static int
add_name(const struct dpdkr_mem *mem, const char *path)
{
    struct stat s;

    if (!link(mem->path, path)) {
        return 0;
    }
    int error = errno;
    return (error == EEXIST && mem->adopted && !lstat(path, &s)
            && s.st_dev == mem->dev && s.st_ino == mem->ino ? 0 : error);
}

/* Opens the memory called 'name' of a link between the peers of 'a' and 'b',
 * large enough for the queues, rings and frames of both: if 'id' is nonnull,
 * that with this id, otherwise makes it.  If the files of the ports are in
 * different directories, the link's has a second name in that of 'b', which is
 * stored into '*other_path'.
 *
 * Returns the memory, or NULL and a message in '*errp', to be freed by the
 * caller. */
static struct dpdkr_mem *
open_mem(const struct dpdkr_port *a, const struct dpdkr_port *b,
         const char *name, const uint8_t *id, char **other_path, char **errp)
{
    uint32_t max_frame[2];
    struct dpdkr_mem *mem;
    struct stat sa, sb;
    const char *why;

    *other_path = NULL;
    if (fstat(a->mem->fd, &sa) || fstat(b->mem->fd, &sb)) {
        *errp = xasprintf("could not stat (%s)", ovs_strerror(errno));
        return NULL;
    }
    why = compare_access(&sa, &sb);
    if (why) {
        *errp = xstrdup(why);
        return NULL;
    }

    atomic_read_relaxed(&CONST_CAST(struct dpdkr_port *, a)->max_frame,
                        &max_frame[0]);
    atomic_read_relaxed(&CONST_CAST(struct dpdkr_port *, b)->max_frame,
                        &max_frame[1]);

    struct dpdkr_mem_config config = {
        .is_link = true,
        .link_id = id,
        .path = path_in_dir_of(a, name),
        .n_queues = MAX(a->n_queues, b->n_queues),
        .ring_size = MAX(a->mem->g.ring_size, b->mem->g.ring_size),
        .slot_size = MAX(max_frame[0], max_frame[1]),
        .uid = sa.st_uid,
        .gid = sa.st_gid,
        .mode = sa.st_mode & 0777,
    };
    char *user = xasprintf("link of %s and %s", a->name, b->name);
    char *second = path_in_dir_of(b, name);

    if (dpdkr_mem_open(&config, user, NULL, &mem, errp)) {
        mem = NULL;
    } else if (strcmp(second, config.path)) {
        int error = add_name(mem, second);

        if (error) {
            *errp = xasprintf("%s: could not create (%s)", second,
                              ovs_strerror(error));
            dpdkr_mem_close(mem, true);
            mem = NULL;
        } else {
            *other_path = second;
            second = NULL;
        }
    }
    free(second);
    free(user);
    free(config.path);
    return mem;
}

/* Makes the memory of a link between the peers of 'a' and 'b'.  The caller
 * gives it, and '*other_path', to dpdkr_link_mem_destroy().
 *
 * Returns NULL and a message in '*errp', to be freed by the caller, if that
 * cannot be done. */
struct dpdkr_mem *
dpdkr_link_mem_create(const struct dpdkr_port *a, const struct dpdkr_port *b,
                      char **other_path, char **errp)
{
    uint32_t random[2];
    struct dpdkr_mem *mem;
    char *name;

    /* Nobody is to know it before, and have something else there. */
    if (get_entropy(random, sizeof random)) {
        random_bytes(random, sizeof random);
    }
    name = xasprintf(NAME_FORMAT, random[0], random[1]);
    mem = open_mem(a, b, name, NULL, other_path, errp);
    free(name);
    return mem;
}

/* Returns true if 'name', which a peer may have written, is one that the file
 * of a link can have. */
bool
dpdkr_link_mem_is_name(const char *name)
{
    size_t n = strlen(NAME_PREFIX);

    return (!strncmp(name, NAME_PREFIX, n) && name[n]
            && !name[n + strspn(name + n, HEX)]);
}

/* Removes the file called 'name', in the directory of that of 'port', if it is
 * that of the link with id 'id' and nobody in this process has it. */
void
dpdkr_link_mem_remove(const struct dpdkr_port *port, const char *name,
                      const uint8_t id[16])
{
    char *path = path_in_dir_of(port, name);

    if (dpdkr_link_mem_is_name(name) && dpdkr_mem_is_link(path, id)
        && !dpdkr_mem_is_used(path)) {
        unlink(path);
    }
    free(path);
}

/* Like dpdkr_link_mem_create(), for memory called 'name', with id 'id', that
 * an earlier switch has made.  Returns NULL if there is none. */
struct dpdkr_mem *
dpdkr_link_mem_adopt(const struct dpdkr_port *a, const struct dpdkr_port *b,
                     const char *name, const uint8_t id[16], char **other_path)
{
    struct dpdkr_mem *mem;
    char *error = NULL;

    if (!dpdkr_link_mem_is_name(name)) {
        return NULL;
    }
    mem = open_mem(a, b, name, id, other_path, &error);
    if (!mem) {
        VLOG_DBG("%s: no direct link to adopt: %s", a->name, error);
    }
    free(error);
    return mem;
}

/* Frees 'mem', with its file if 'remove' is true, and 'other_path'. */
void
dpdkr_link_mem_destroy(struct dpdkr_mem *mem, char *other_path, bool remove)
{
    struct stat s;

    if (remove && other_path && !lstat(other_path, &s)
        && s.st_dev == mem->dev && s.st_ino == mem->ino) {
        unlink(other_path);
    }
    free(other_path);
    dpdkr_mem_close(mem, remove);
}

/* Stores the name of the file of 'mem', without directory, into the 'size'
 * bytes at 'name'. */
void
dpdkr_link_mem_name(const struct dpdkr_mem *mem, char *name, size_t size)
{
    char *base = base_name(mem->path);

    ovs_strlcpy(name, base, size);
    free(base);
}
