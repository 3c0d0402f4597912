/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-link-private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dpdkr-mem.h"
#include "random.h"
#include "util.h"

/* The file of a link is in the directories of the files of both ports, under
 * one name, and can be opened by whoever can open those. */
#define NAME_FORMAT "ovs-link-%08"PRIx32"%08"PRIx32

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

/* Makes the memory of a link between the peers of 'a' and 'b', large enough
 * for the queues, rings and frames of both.  If the files of the ports are in
 * different directories, the link's has a second name in that of 'b', which is
 * stored into '*other_path'.
 *
 * Returns the memory, to be given to dpdkr_link_mem_destroy(), or NULL and a
 * message in '*errp', to be freed by the caller. */
struct dpdkr_mem *
dpdkr_link_mem_create(const struct dpdkr_port *a, const struct dpdkr_port *b,
                      char **other_path, char **errp)
{
    uint32_t max_frame[2];
    struct dpdkr_mem *mem;
    struct stat sa, sb;
    const char *why;
    char *name;

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
    name = xasprintf(NAME_FORMAT, random_uint32(), random_uint32());

    struct dpdkr_mem_config config = {
        .is_link = true,
        .path = path_in_dir_of(a, name),
        .n_queues = MAX(a->n_queues, b->n_queues),
        .ring_size = MAX(a->mem->g.ring_size, b->mem->g.ring_size),
        .slot_size = MAX(max_frame[0], max_frame[1]),
        .uid = sa.st_uid,
        .gid = sa.st_gid,
        .mode = sa.st_mode & 0777,
    };
    char *user = xasprintf("link of %s and %s", a->name, b->name);

    if (dpdkr_mem_open(&config, user, NULL, &mem, errp)) {
        mem = NULL;
        goto exit;
    }

    char *second = path_in_dir_of(b, name);
    if (strcmp(second, config.path)) {
        if (link(config.path, second)) {
            *errp = xasprintf("%s: could not create (%s)", second,
                              ovs_strerror(errno));
            free(second);
            dpdkr_mem_close(mem, true);
            mem = NULL;
            goto exit;
        }
        *other_path = second;
    } else {
        free(second);
    }

exit:
    free(user);
    free(config.path);
    free(name);
    return mem;
}

/* Frees 'mem' and its file, and takes ownership of 'other_path'. */
void
dpdkr_link_mem_destroy(struct dpdkr_mem *mem, char *other_path)
{
    struct stat s;

    if (other_path) {
        if (!lstat(other_path, &s)
            && s.st_dev == mem->dev && s.st_ino == mem->ino) {
            unlink(other_path);
        }
        free(other_path);
    }
    dpdkr_mem_close(mem, true);
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
