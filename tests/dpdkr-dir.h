/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_DIR_H
#define DPDKR_DIR_H 1

/* A directory for the files of one test, and dpdkr memory in it.
 *
 * main() has each test run in one, 'dir', empty at first and removed
 * afterwards:
 *
 *     nfv_test_before = make_dir;
 *     nfv_test_after = remove_dir; */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dpdkr-mem.h"
#include "nfv-test.h"
#include "util.h"

static char *dir;

static inline char *
in_dir(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

/* Number of files in 'dir'. */
static inline int
count_files(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d))) {
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static inline void
make_dir(void)
{
    static char buffer[64];

    strcpy(buffer, "/dev/shm/test-dpdkr.XXXXXX");
    dir = mkdtemp(buffer);
    if (!dir) {
        ovs_fatal(errno, "%s", buffer);
    }
}

static inline void
remove_dir(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
            char *path = in_dir(e->d_name);

            if (unlink(path)) {
                rmdir(path);
            }
            free(path);
        }
    }
    if (d) {
        closedir(d);
    }
    rmdir(dir);
}

static inline struct dpdkr_mem_config
small_config(const char *path)
{
    return (struct dpdkr_mem_config) {
        .path = CONST_CAST(char *, path),
        .n_queues = 2,
        .ring_size = 64,
        .slot_size = 2048,
        .uid = (uid_t) -1,
        .gid = (gid_t) -1,
        .mode = 0600,
    };
}

/* dpdkr_mem_open() that has to succeed. */
static inline struct dpdkr_mem *
open_ok(const struct dpdkr_mem_config *config, const char *user,
        const struct dpdkr_mem *replaces)
{
    struct dpdkr_mem *mem = NULL;
    char *error = NULL;
    int retval = dpdkr_mem_open(config, user, replaces, &mem, &error);

    CHECK_EQ(retval, 0);
    CHECK(!error);
    CHECK(mem != NULL);
    if (error) {
        printf("# %s\n", error);
    }
    if (!mem) {
        printf("not ok %s\n", nfv_test_name);
        exit(1);
    }
    free(error);
    return mem;
}

/* dpdkr_mem_open() that has to fail with 'errno_', naming the path and
 * 'text', and to leave 'n_files' files. */
static inline void
open_fails(const struct dpdkr_mem_config *config, int errno_, const char *text,
           int n_files)
{
    struct dpdkr_mem *mem = NULL;
    char *error = NULL;

    CHECK_EQ(dpdkr_mem_open(config, "p1", NULL, &mem, &error), errno_);
    CHECK(!mem);
    CHECK(error && strstr(error, config->path) && strstr(error, text));
    if (error && !strstr(error, text)) {
        printf("# %s\n", error);
    }
    free(error);
    CHECK_EQ(count_files(), n_files);
}

static inline void
write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t) size);
    close(fd);
}

#endif /* tests/dpdkr-dir.h */
