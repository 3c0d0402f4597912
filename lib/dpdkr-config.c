/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-config.h"

#include <ctype.h>
#include <grp.h>
#include <mntent.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "dpdkr-mem.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "smap.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_config);

#define DEFAULT_DIR "/dev/shm"
#define DEFAULT_RING_SIZE 1024
#define DEFAULT_SLOT_SIZE 2048
#define DEFAULT_MODE 0600

/* Returns the default name of the file of port 'name', to be freed by the
 * caller.  Any port name goes, so what does not belong into a file name is
 * written as '%' and two hexadecimal digits. */
static char *
default_file_name(const char *name)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    ds_put_cstr(&s, "ovs-");
    for (; *name; name++) {
        if (isalnum((unsigned char) *name) || strchr("._-", *name)) {
            ds_put_char(&s, *name);
        } else {
            ds_put_format(&s, "%%%02x", (unsigned char) *name);
        }
    }
    return ds_steal_cstr(&s);
}

/* Returns where the first hugetlbfs is mounted, to be freed by the caller, or
 * NULL. */
static char *
find_hugetlbfs(void)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    struct mntent *m;
    char *dir = NULL;

    if (mounts) {
        while (!dir && (m = getmntent(mounts))) {
            if (!strcmp(m->mnt_type, "hugetlbfs")) {
                dir = xstrdup(m->mnt_dir);
            }
        }
        endmntent(mounts);
    }
    return dir;
}

/* Parses option 'key' as an unsigned number from 'min' to 'max' into
 * '*value', which it leaves alone if there is no such option. */
static bool
parse_number(const struct smap *args, const char *key, unsigned int min,
             unsigned int max, uint32_t *value, char **errp)
{
    const char *s = smap_get(args, key);
    unsigned int n;

    if (!s) {
        return true;
    }
    if (!str_to_uint(s, 10, &n) || n < min || n > max) {
        *errp = xasprintf("option %s=%s is not a number from %u to %u",
                          key, s, min, max);
        return false;
    }
    *value = n;
    return true;
}

static bool
parse_owner(const char *s, struct dpdkr_mem_config *conf, char **errp)
{
    char *copy = xstrdup(s);
    char *save_ptr = NULL;
    char *user = strtok_r(copy, ":", &save_ptr);
    char *group = strtok_r(NULL, "", &save_ptr);
    bool ok = false;
    unsigned int n;

    if (s[0] == ':') {
        group = user;
        user = NULL;
    }
    if (user) {
        struct passwd *pw = getpwnam(user);

        if (pw) {
            conf->uid = pw->pw_uid;
        } else if (str_to_uint(user, 10, &n)) {
            conf->uid = n;
        } else {
            *errp = xasprintf("option owner=%s names no user \"%s\"", s, user);
            goto exit;
        }
    }
    if (group) {
        struct group *gr = getgrnam(group);

        if (gr) {
            conf->gid = gr->gr_gid;
        } else if (str_to_uint(group, 10, &n)) {
            conf->gid = n;
        } else {
            *errp = xasprintf("option owner=%s names no group \"%s\"",
                              s, group);
            goto exit;
        }
    }
    if (!user && !group) {
        *errp = xasprintf("option owner=%s is not USER[:GROUP] or :GROUP", s);
        goto exit;
    }
    ok = true;

exit:
    free(copy);
    return ok;
}

static bool
parse_bool(const struct smap *args, const char *key, bool *value, char **errp)
{
    const char *s = smap_get(args, key);

    if (s && strcmp(s, "true") && strcmp(s, "false")) {
        *errp = xasprintf("option %s=%s is neither true nor false", key, s);
        return false;
    }
    *value = s && !strcmp(s, "true");
    return true;
}

static bool
parse_path(const char *name, const struct smap *args,
           struct dpdkr_mem_config *conf, char **errp)
{
    const char *path = smap_get(args, "path");
    const char *dir = smap_get(args, "dir");
    char *huge_dir = NULL;
    char *file;

    if (path && dir) {
        *errp = xasprintf("options path=%s and dir=%s exclude each other",
                          path, dir);
        return false;
    }
    if ((path && path[0] != '/') || (dir && dir[0] != '/')) {
        *errp = xasprintf("option %s=%s is not an absolute path",
                          path ? "path" : "dir", path ? path : dir);
        return false;
    }
    if (path) {
        conf->path = xstrdup(path);
        return true;
    }
    if (!dir && conf->hugepages) {
        dir = huge_dir = find_hugetlbfs();
        if (!dir) {
            *errp = xstrdup("option hugepages=true needs a mounted hugetlbfs "
                            "and there is none");
            return false;
        }
    }
    if (!dir) {
        dir = getenv("OVS_DPDKR_DIR");
    }
    if (!dir) {
        dir = DEFAULT_DIR;
    }
    file = default_file_name(name);
    conf->path = xasprintf("%s/%s", dir, file);
    free(file);
    free(huge_dir);
    return true;
}

/* Fills in 'conf' from 'args', the options of a port called 'name' whose MTU
 * is 'mtu'.  If successful, returns true, and the caller frees 'conf->path'.
 * Otherwise, returns false and stores a message, to be freed by the caller, in
 * '*errp'. */
bool
dpdkr_config_parse(const char *name, const struct smap *args, int mtu,
                   struct dpdkr_mem_config *conf, char **errp)
{
    const char *mode = smap_get(args, "mode");
    const char *owner = smap_get(args, "owner");

    *conf = (struct dpdkr_mem_config) {
        .n_queues = 1,
        .ring_size = DEFAULT_RING_SIZE,
        .slot_size = MAX(DEFAULT_SLOT_SIZE, mtu + DPDKR_L2_OVERHEAD),
        .slot_size_exact = smap_get(args, "slot_size") != NULL,
        .uid = (uid_t) -1,
        .gid = (gid_t) -1,
        .mode = DEFAULT_MODE,
    };
    if (!parse_number(args, "n_rxq", 1, DPDKR_MAX_QUEUES, &conf->n_queues,
                      errp)
        || !parse_number(args, "ring_size", DPDKR_MIN_RING, DPDKR_MAX_RING,
                         &conf->ring_size, errp)
        || !parse_number(args, "slot_size", DPDKR_MIN_SLOT, DPDKR_MAX_SLOT,
                         &conf->slot_size, errp)
        || !parse_bool(args, "hugepages", &conf->hugepages, errp)
        || (owner && !parse_owner(owner, conf, errp))) {
        return false;
    }
    if (!is_pow2(conf->ring_size)) {
        *errp = xasprintf("option ring_size=%"PRIu32" is not a power of two",
                          conf->ring_size);
        return false;
    }
    if (mode) {
        unsigned int m;

        if (!str_to_uint(mode, 8, &m) || m > 0777 || (m & 0600) != 0600) {
            *errp = xasprintf("option mode=%s is not an octal file mode from "
                              "0600 to 0777", mode);
            return false;
        }
        conf->mode = m;
    }
    if (mtu + DPDKR_L2_OVERHEAD > conf->slot_size) {
        *errp = xasprintf("option slot_size=%"PRIu32" is too small for MTU %d,"
                          " which takes %d bytes", conf->slot_size, mtu,
                          mtu + DPDKR_L2_OVERHEAD);
        return false;
    }
    return parse_path(name, args, conf, errp);
}

/* Logs a warning for each of 'args', the options of a port called 'name', that
 * dpdkr_config_parse() does not know and passes over. */
void
dpdkr_config_warn(const char *name, const struct smap *args)
{
    static const char *const known[] = {
        "path", "dir", "n_rxq", "ring_size", "slot_size", "owner", "mode",
        "hugepages",
    };
    const struct smap_node *node;

    SMAP_FOR_EACH (node, args) {
        size_t i;

        for (i = 0; i < ARRAY_SIZE(known); i++) {
            if (!strcmp(node->key, known[i])) {
                break;
            }
        }
        if (i >= ARRAY_SIZE(known)) {
            VLOG_WARN("%s: unknown dpdkr option '%s'", name, node->key);
        }
    }
}
