/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of the files behind dpdkr ports: lib/dpdkr-mem.c, lib/dpdkr-guard.c
 * and lib/dpdkr-config.c. */

#include <config.h>

#include "dpdkr-mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "dpdkr-config.h"
#include "dpdkr-guard.h"
#include "dpdkr-peer.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "smap.h"
#include "util.h"

static char *dir;               /* All files of a test are in it. */

static char *
in_dir(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

/* Number of files in 'dir'. */
static int
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

static void
make_dir(void)
{
    static char buffer[64];

    strcpy(buffer, "/dev/shm/test-dpdkr-mem.XXXXXX");
    dir = mkdtemp(buffer);
    if (!dir) {
        ovs_fatal(errno, "%s", buffer);
    }
}

static void
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

static struct dpdkr_mem_config
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
static struct dpdkr_mem *
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
static void
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

static void
write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t) size);
    close(fd);
}

/* ## ------ ## */
/* ## Memory ## */
/* ## ------ ## */

static void
test_mem_create(void)
{
    static const uint8_t zeros[16];
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_geometry g;
    struct stat s;

    config.mode = 0640;
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    struct dpdkr_header *h = dpdkr_mem_header(mem);
    CHECK(!mem->adopted);
    CHECK(dpdkr_mem_fits(mem, &config));
    CHECK(!dpdkr_geometry_read(&g, h, mem->mapped));
    CHECK_EQ(g.n_queues, 2);
    CHECK_EQ(g.ring_size, 64);
    CHECK_EQ(g.slot_size, 2048);
    CHECK(!memcmp(&g, &mem->g, sizeof g));
    CHECK_EQ(h->kind, DPDKR_KIND_PORT);
    CHECK(memcmp(h->id, zeros, sizeof h->id));
    CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_OK);
    REQUIRE(!stat(path, &s));
    CHECK_EQ(s.st_mode & 07777, 0640);
    CHECK(s.st_size >= (off_t) g.total_size);
    CHECK(s.st_blocks * 512 >= (off_t) g.total_size);
    CHECK_EQ(count_files(), 1);

    /* The last byte of the last slot is there. */
    uint8_t *last = (uint8_t *) mem->base + g.total_size - 1;
    *(volatile uint8_t *) last = 1;
    CHECK(!dpdkr_guard_is_hit(mem->guard));

    /* What another configuration does to it. */
    struct dpdkr_mem_config other = config;
    other.n_queues = 3;
    CHECK(!dpdkr_mem_fits(mem, &other));
    other = config;
    other.slot_size = 1024;
    CHECK(dpdkr_mem_fits(mem, &other));
    other.slot_size_exact = true;
    CHECK(!dpdkr_mem_fits(mem, &other));

    dpdkr_mem_close(mem, true);
    CHECK_EQ(count_files(), 0);
    dpdkr_mem_close(NULL, true);
    free(path);
}

/* What a process left is found again, with all that is in it. */
static void
test_mem_adopt(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    uint8_t id[16];
    struct stat s;

    memcpy(id, dpdkr_mem_header(mem)->id, sizeof id);
    memset((uint8_t *) mem->base + DPDKR_HEADER_BYTES, 0x5a,
           mem->g.total_size - DPDKR_HEADER_BYTES);
    dpdkr_mem_header(mem)->side[DPDKR_SIDE_A].epoch = 77;
    dpdkr_mem_close(mem, false);
    CHECK_EQ(count_files(), 1);

    config.mode = 0666;
    mem = open_ok(&config, "p1", NULL);
    CHECK(mem->adopted);
    CHECK(!memcmp(dpdkr_mem_header(mem)->id, id, sizeof id));
    CHECK_EQ(dpdkr_mem_header(mem)->side[DPDKR_SIDE_A].epoch, 77);
    const uint8_t *bytes = mem->base;
    size_t n = 0;
    for (size_t i = DPDKR_HEADER_BYTES; i < mem->g.total_size; i++) {
        n += bytes[i] == 0x5a;
    }
    CHECK_EQ(n, mem->g.total_size - DPDKR_HEADER_BYTES);
    CHECK(!stat(path, &s) && (s.st_mode & 07777) == 0666);
    dpdkr_mem_close(mem, true);
    CHECK_EQ(count_files(), 0);
    free(path);
}

/* What does not fit is replaced, and the peers that have it mapped are told,
 * through the memory that they have. */
static void
test_mem_replace(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    uint8_t id[16];

    memcpy(id, dpdkr_mem_header(mem)->id, sizeof id);
    int fd = open(path, O_RDWR);
    REQUIRE(fd >= 0);
    struct dpdkr_header *peer = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                     MAP_SHARED, fd, 0);
    REQUIRE(peer != MAP_FAILED);
    dpdkr_mem_close(mem, false);

    config.ring_size = 128;
    mem = open_ok(&config, "p1", NULL);
    CHECK(!mem->adopted);
    CHECK_EQ(mem->g.ring_size, 128);
    CHECK(memcmp(dpdkr_mem_header(mem)->id, id, sizeof id));
    CHECK_EQ(peer->side[DPDKR_SIDE_A].state, DPDKR_RETIRED);
    CHECK(!memcmp(peer->id, id, sizeof id));
    CHECK_EQ(count_files(), 1);

    /* The same from one memory of a port to its next. */
    config.ring_size = 256;
    struct dpdkr_mem *next = open_ok(&config, "p1", mem);
    CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_HIDDEN);
    CHECK_EQ(dpdkr_mem_check(next), DPDKR_MEM_OK);
    CHECK_EQ(count_files(), 1);
    dpdkr_mem_close(mem, true);
    CHECK_EQ(count_files(), 1);
    CHECK_EQ(dpdkr_mem_check(next), DPDKR_MEM_OK);
    dpdkr_mem_close(next, true);
    CHECK_EQ(count_files(), 0);

    munmap(peer, 4096);
    close(fd);
    free(path);
}

/* Anything in a header that does not make sense makes for a new file, and
 * never for a crash. */
static void
test_mem_broken_file(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_header good;

    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    good = *dpdkr_mem_header(mem);
    dpdkr_mem_close(mem, true);

    for (size_t ofs = sizeof good.magic; ofs < offsetof(struct dpdkr_header,
                                                        pad); ofs += 4) {
        if (ofs >= offsetof(struct dpdkr_header, id)
            && ofs < offsetof(struct dpdkr_header, kind)) {
            continue;
        }
        uint8_t page[4096] = { 0 };

        memcpy(page, &good, sizeof good);
        for (int i = 0; i < 4; i++) {
            page[ofs + i] ^= 0xff;
        }
        write_file(path, page, sizeof page);
        REQUIRE(!truncate(path, 16 * 1024 * 1024));
        mem = open_ok(&config, "p1", NULL);
        CHECK(!mem->adopted);
        dpdkr_mem_close(mem, true);
    }

    /* Sound, but smaller than it says. */
    uint8_t page[4096] = { 0 };
    memcpy(page, &good, sizeof good);
    write_file(path, page, sizeof page);
    mem = open_ok(&config, "p1", NULL);
    CHECK(!mem->adopted);
    dpdkr_mem_close(mem, true);

    /* Sound, but a link's. */
    struct dpdkr_header *h = (struct dpdkr_header *) (void *) page;
    h->kind = DPDKR_KIND_LINK;
    write_file(path, page, sizeof page);
    REQUIRE(!truncate(path, 16 * 1024 * 1024));
    mem = open_ok(&config, "p1", NULL);
    CHECK(!mem->adopted);
    dpdkr_mem_close(mem, true);
    CHECK_EQ(count_files(), 0);
    free(path);
}

/* What the switch did not make is left alone. */
static void
test_mem_foreign(void)
{
    static const char text[] = "somebody's thesis, seventh draft";
    char *path = in_dir("port");
    char *target = in_dir("target");
    struct dpdkr_mem_config config = small_config(path);
    char buffer[sizeof text];

    write_file(path, text, sizeof text);
    open_fails(&config, EEXIST, "not dpdkr memory", 1);
    int fd = open(path, O_RDONLY);
    CHECK_EQ(read(fd, buffer, sizeof buffer), sizeof text);
    CHECK(!memcmp(buffer, text, sizeof text));
    close(fd);

    write_file(path, "", 0);
    open_fails(&config, EEXIST, "not dpdkr memory", 1);
    unlink(path);

    /* Also a link to what would do. */
    struct dpdkr_mem_config target_config = small_config(target);
    dpdkr_mem_close(open_ok(&target_config, "p2", NULL), false);
    REQUIRE(!symlink(target, path));
    open_fails(&config, ELOOP, "symbolic link", 2);
    unlink(target);
    open_fails(&config, ELOOP, "symbolic link", 1);
    unlink(path);

    REQUIRE(!mkfifo(path, 0600));
    open_fails(&config, EEXIST, "not a regular file", 1);
    unlink(path);

    REQUIRE(!mkdir(path, 0700));
    open_fails(&config, EISDIR, "could not open", 1);
    rmdir(path);
    free(path);
    free(target);
}

static void
test_mem_no_directory(void)
{
    char *path = in_dir("missing/port");
    struct dpdkr_mem_config config = small_config(path);

    open_fails(&config, ENOENT, "could not create", 0);
    free(path);
}

static void
test_mem_other_owner(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct stat s;

    if (geteuid()) {
        free(path);
        SKIP("needs root");
    }
    config.uid = 65534;
    config.gid = 65534;
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    CHECK(!stat(path, &s) && s.st_uid == 65534 && s.st_gid == 65534);
    dpdkr_mem_close(mem, false);

    /* Whom the port belongs to by configuration is not somebody else. */
    mem = open_ok(&config, "p1", NULL);
    CHECK(mem->adopted);
    dpdkr_mem_close(mem, false);

    config.uid = 4711;
    open_fails(&config, EEXIST, "belongs to somebody else", 1);
    config.uid = (uid_t) -1;
    open_fails(&config, EEXIST, "belongs to somebody else", 1);
    free(path);
}

static void
test_mem_two_ports(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "first-port", NULL);

    open_fails(&config, EBUSY, "first-port", 1);
    config.ring_size = 128;
    open_fails(&config, EBUSY, "first-port", 1);
    CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_OK);
    dpdkr_mem_close(mem, true);
    free(path);
}

/* Another switch, which is in another process, has the file. */
static void
test_mem_two_processes(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    int ready[2], quit[2];
    char byte;

    REQUIRE(!pipe(ready) && !pipe(quit));
    pid_t pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(quit[1]);
        struct dpdkr_mem *mem = open_ok(&config, "theirs", NULL);
        ignore(write(ready[1], "", 1));
        ignore(read(quit[0], &byte, 1));
        CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_OK);
        CHECK_EQ(dpdkr_mem_header(mem)->side[DPDKR_SIDE_A].state, DPDKR_DOWN);
        _exit(nfv_test_failed);
    }
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    open_fails(&config, EBUSY, "another process", 1);
    config.ring_size = 128;
    open_fails(&config, EBUSY, "another process", 1);
    close(quit[1]);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && !status);

    /* It died and left the file. */
    config.ring_size = 64;
    struct dpdkr_mem *mem = open_ok(&config, "ours", NULL);
    CHECK(mem->adopted);
    dpdkr_mem_close(mem, true);
    close(quit[0]);
    close(ready[0]);
    close(ready[1]);
    free(path);
}

/* A file system that is full says so when the port is made, not when the last
 * page is touched, and nothing is left of the attempt. */
static void
test_mem_no_space(void)
{
    if (geteuid()) {
        SKIP("needs root");
    }
    pid_t pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNS)
            || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)
            || mount("none", dir, "tmpfs", 0, "size=256k")) {
            _exit(77);
        }
        char *path = in_dir("port");
        struct dpdkr_mem_config config = small_config(path);
        open_fails(&config, ENOSPC, "could not allocate", 0);
        config.n_queues = 1;
        config.slot_size = 1024;
        dpdkr_mem_close(open_ok(&config, "p1", NULL), true);
        free(path);
        _exit(nfv_test_failed);
    }
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        SKIP("could not mount a tmpfs");
    }
    CHECK_EQ(status, 0);
}

/* hugepages=true on a file system of small pages. */
static void
test_mem_no_huge_pages(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);

    config.hugepages = true;
    open_fails(&config, EINVAL, "is not on a hugetlbfs", 0);
    free(path);
}

static bool stop_looking;
static unsigned int n_looked, n_found_none;

/* A peer that looks at the path all the time. */
static void *
look(void *path)
{
    while (!__atomic_load_n(&stop_looking, __ATOMIC_ACQUIRE)) {
        struct dpdkr_header header;
        struct dpdkr_geometry g;
        struct stat s;
        int fd = open(path, O_RDWR);

        if (fd < 0) {
            CHECK_EQ(errno, ENOENT);
            __atomic_add_fetch(&n_found_none, 1, __ATOMIC_RELAXED);
            continue;
        }
        CHECK_EQ(pread(fd, &header, sizeof header, 0), sizeof header);
        CHECK(!fstat(fd, &s));
        const char *why = dpdkr_geometry_read(&g, &header, s.st_size);
        CHECK(!why);
        CHECK_EQ(s.st_mode & 0777, 0600);
        close(fd);
        __atomic_add_fetch(&n_looked, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* A file appears and is replaced in one step. */
static void
test_mem_atomic(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    pthread_t thread;

    stop_looking = false;
    n_looked = n_found_none = 0;
    REQUIRE(!pthread_create(&thread, NULL, look, path));
    for (int i = 0; i < 100
         || !__atomic_load_n(&n_looked, __ATOMIC_RELAXED)
         || !__atomic_load_n(&n_found_none, __ATOMIC_RELAXED); i++) {
        config.ring_size = 64;
        struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
        config.ring_size = 128;
        struct dpdkr_mem *next = open_ok(&config, "p1", mem);
        dpdkr_mem_close(mem, true);
        dpdkr_mem_close(next, true);
    }
    __atomic_store_n(&stop_looking, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    printf("# found complete %u times, missing %u times\n",
           n_looked, n_found_none);
    CHECK_EQ(count_files(), 0);
    free(path);
}

/* A peer that may write to its memory may link it to the path of another
 * port.  That one does not get memory which the peer has mapped: neither while
 * the first port is there nor afterwards. */
static void
test_mem_linked(void)
{
    char *path = in_dir("port");
    char *path2 = in_dir("port2");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem_config config2 = small_config(path2);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    ino_t ino = mem->ino;

    REQUIRE(!link(path, path2));
    open_fails(&config2, EBUSY, "already used by port p1", 2);

    /* Left for the next switch, which comes to the second port first. */
    dpdkr_mem_close(mem, false);
    mem = open_ok(&config2, "p2", NULL);
    CHECK(!mem->adopted && mem->ino != ino);
    dpdkr_mem_close(mem, true);

    /* Nor does it get back what the peer could link elsewhere meanwhile. */
    mem = open_ok(&config, "p1", NULL);
    CHECK(!mem->adopted && mem->ino != ino);
    ino = mem->ino;

    /* The port was removed. */
    REQUIRE(!link(path, path2));
    dpdkr_mem_close(mem, true);
    mem = open_ok(&config2, "p2", NULL);
    CHECK(!mem->adopted && mem->ino != ino);
    ino = mem->ino;

    /* The port was configured anew while the switch was down. */
    dpdkr_mem_close(mem, false);
    int fd = open(path2, O_RDWR);
    config2.ring_size = 128;
    mem = open_ok(&config2, "p2", NULL);
    char *linked = xasprintf("/proc/self/fd/%d", fd);
    struct stat s;
    CHECK(!stat(linked, &s) && s.st_ino == ino && s.st_mode & S_ISVTX);
    free(linked);
    close(fd);
    dpdkr_mem_close(mem, true);

    CHECK_EQ(count_files(), 0);
    free(path);
    free(path2);
}

static void
test_mem_status(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);

    CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_OK);
    unlink(path);
    CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_GONE);
    write_file(path, "x", 1);
    CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_HIDDEN);
    CHECK(!ftruncate(mem->fd, 4096));
    CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_TRUNCATED);

    /* Somebody else's file is not removed. */
    dpdkr_mem_close(mem, true);
    CHECK_EQ(count_files(), 1);
    free(path);
}

static void
test_mem_lock(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    struct dpdkr_peer peer, second;

    dpdkr_peer_init(&peer, mem->base, &mem->g);
    dpdkr_peer_init(&second, mem->base, &mem->g);
    CHECK(!dpdkr_mem_peer_has_lock(mem));
    CHECK(dpdkr_peer_lock(&peer, path));
    CHECK(dpdkr_mem_peer_has_lock(mem));
    CHECK(!dpdkr_peer_lock(&second, path));
    dpdkr_peer_die(&peer);
    CHECK(!dpdkr_mem_peer_has_lock(mem));
    CHECK(dpdkr_peer_lock(&second, path));
    CHECK(dpdkr_mem_peer_has_lock(mem));
    dpdkr_peer_die(&second);
    dpdkr_mem_close(mem, true);
    free(path);
}

static void
test_mem_repair(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    struct dpdkr_header good = *dpdkr_mem_header(mem);
    uint8_t *bytes = mem->base;

    CHECK(!dpdkr_mem_repair_header(mem));
    for (size_t i = 0; i < offsetof(struct dpdkr_header, side); i++) {
        bytes[i] ^= 0x10;
        CHECK(dpdkr_mem_repair_header(mem));
        CHECK(!memcmp(bytes, &good, sizeof good));
        CHECK(!dpdkr_mem_repair_header(mem));
    }
    dpdkr_mem_close(mem, true);
    free(path);
}

/* ## ----- ## */
/* ## Guard ## */
/* ## ----- ## */

struct toucher {
    uint8_t *base;
    size_t size;
    uint64_t n_rounds;
    bool stop;
};

/* Reads and writes all over the mapping. */
static void *
touch(void *t_)
{
    struct toucher *t = t_;
    unsigned int sum = 0;

    while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
        for (size_t i = 0; i < t->size; i += 1024) {
            volatile uint8_t *p = t->base + i;

            sum += *p;
            *p = sum;
        }
        __atomic_add_fetch(&t->n_rounds, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void
wait_rounds(struct toucher *t, uint64_t n)
{
    n += __atomic_load_n(&t->n_rounds, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&t->n_rounds, __ATOMIC_ACQUIRE) < n) {
        sched_yield();
    }
}

/* The file is truncated while threads use the mapping, to nothing and to a
 * part; they go on as if nothing had happened. */
static void
test_guard_truncate(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);

    for (int i = 0; i < 20; i++) {
        struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
        struct toucher t[2];
        pthread_t threads[2];

        for (int j = 0; j < 2; j++) {
            t[j] = (struct toucher) { .base = mem->base,
                                      .size = mem->g.total_size };
            REQUIRE(!pthread_create(&threads[j], NULL, touch, &t[j]));
        }
        wait_rounds(&t[0], 2);
        wait_rounds(&t[1], 2);
        CHECK(!dpdkr_guard_is_hit(mem->guard));
        CHECK(!truncate(path, i % 2 ? 0 : 8192));
        wait_rounds(&t[0], 2);
        wait_rounds(&t[1], 2);
        CHECK(dpdkr_guard_is_hit(mem->guard));
        CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_TRUNCATED);
        for (int j = 0; j < 2; j++) {
            __atomic_store_n(&t[j].stop, true, __ATOMIC_RELEASE);
            pthread_join(threads[j], NULL);
        }

        /* All of it is private memory now: growing the file again does not
         * bring the peer back. */
        CHECK(!truncate(path, 1 << 20));
        *(volatile uint8_t *) mem->base = 0x42;
        int fd = open(path, O_RDONLY);
        uint8_t byte = 0;
        CHECK_EQ(pread(fd, &byte, 1, 0), 1);
        CHECK(byte != 0x42);
        close(fd);
        dpdkr_mem_close(mem, true);
    }
    free(path);
}

/* Guards do not end with each other. */
static void
test_guard_several(void)
{
    enum { N = 5 };
    struct dpdkr_mem *mems[N];
    char *paths[N];

    for (int i = 0; i < N; i++) {
        paths[i] = xasprintf("%s/port%d", dir, i);
        struct dpdkr_mem_config config = small_config(paths[i]);
        mems[i] = open_ok(&config, "p", NULL);
    }
    for (int i = 0; i < N; i += 2) {
        CHECK(!truncate(paths[i], 0));
        *(volatile uint8_t *) mems[i]->base = 1;
    }
    for (int i = 0; i < N; i++) {
        *(volatile uint8_t *) mems[i]->base = 1;
        CHECK_EQ(dpdkr_guard_is_hit(mems[i]->guard), i % 2 == 0);
        dpdkr_mem_close(mems[i], true);
    }

    /* One that is used again does not remember. */
    for (int i = 0; i < N; i++) {
        struct dpdkr_mem_config config = small_config(paths[i]);
        mems[i] = open_ok(&config, "p", NULL);
        CHECK(!dpdkr_guard_is_hit(mems[i]->guard));
    }
    for (int i = 0; i < N; i++) {
        dpdkr_mem_close(mems[i], true);
        free(paths[i]);
    }
}

/* Maps a file and cuts it off under the mapping, not guarded. */
static volatile uint8_t *
map_truncated(void)
{
    char *path = in_dir("foreign");
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    if (fd < 0 || ftruncate(fd, 4096)) {
        _exit(3);
    }
    uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED || ftruncate(fd, 0)) {
        _exit(3);
    }
    free(path);
    return p;
}

static void *foreign_address;

static void
foreign_handler(int sig OVS_UNUSED, siginfo_t *info, void *context OVS_UNUSED)
{
    _exit(info->si_addr == foreign_address ? 42 : 43);
}

static void
foreign_handler_simple(int sig)
{
    _exit(sig == SIGBUS ? 44 : 45);
}

enum foreign { FOREIGN_DEFAULT, FOREIGN_IGNORE, FOREIGN_SIMPLE, FOREIGN_INFO,
               FOREIGN_RAISED, N_FOREIGN };

/* In a new process, as the guard installs its handler once in one's life. */
static int
child_guard_foreign(enum foreign what)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    if (what == FOREIGN_INFO || what == FOREIGN_RAISED) {
        action.sa_sigaction = foreign_handler;
        action.sa_flags = SA_SIGINFO;
    } else {
        action.sa_handler = (what == FOREIGN_SIMPLE ? foreign_handler_simple
                             : what == FOREIGN_IGNORE ? SIG_IGN : SIG_DFL);
    }
    sigaction(SIGBUS, &action, NULL);

    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);

    /* First one that is ours. */
    if (truncate(path, 0)) {
        return 3;
    }
    *(volatile uint8_t *) mem->base = 1;
    if (!dpdkr_guard_is_hit(mem->guard)) {
        return 4;
    }

    volatile uint8_t *p = map_truncated();
    foreign_address = CONST_CAST(uint8_t *, p);
    if (what == FOREIGN_RAISED) {
        /* Sent, with a code and an address that mean nothing. */
        foreign_address = NULL;
        union sigval value = { .sival_ptr = mem->base };
        foreign_address = value.sival_ptr;
        sigqueue(getpid(), SIGBUS, value);
        return 5;
    }
    *p = 1;
    return 5;
}

static void
test_guard_foreign(void)
{
    for (int what = 0; what < N_FOREIGN; what++) {
        char number[16];
        int status;

        snprintf(number, sizeof number, "%d", what);
        pid_t pid = fork();
        if (!pid) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            execl("/proc/self/exe", program_name, "--guard-foreign", dir,
                  number, NULL);
            _exit(99);
        }
        REQUIRE(waitpid(pid, &status, 0) == pid);
        printf("# case %d: status %#x\n", what, status);
        switch (what) {
        case FOREIGN_DEFAULT:
        case FOREIGN_IGNORE:
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
            break;
        case FOREIGN_SIMPLE:
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 44);
            break;
        case FOREIGN_INFO:
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
            break;
        case FOREIGN_RAISED:
            CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 42
                                        || WEXITSTATUS(status) == 43));
            break;
        }
        char *path = in_dir("port");
        unlink(path);
        free(path);
    }
}

/* ## ------------- ## */
/* ## Configuration ## */
/* ## ------------- ## */

/* Parses options given as "key", "value", ..., NULL. */
static bool
parse(const char *name, int mtu, struct dpdkr_mem_config *config, char **error,
      const char *const args[])
{
    struct smap smap = SMAP_INITIALIZER(&smap);

    for (; args[0]; args += 2) {
        smap_add(&smap, args[0], args[1]);
    }
    *error = NULL;
    bool ok = dpdkr_config_parse(name, &smap, mtu, config, error);
    smap_destroy(&smap);
    return ok;
}

#define ARGS(...) ((const char *const []) { __VA_ARGS__, NULL })
#define NO_ARGS ((const char *const []) { NULL })

static void
test_config_defaults(void)
{
    struct dpdkr_mem_config c;
    char *error;

    unsetenv("OVS_DPDKR_DIR");
    REQUIRE(parse("vm1", 1500, &c, &error, NO_ARGS));
    CHECK(!strcmp(c.path, "/dev/shm/ovs-vm1"));
    CHECK_EQ(c.n_queues, 1);
    CHECK_EQ(c.ring_size, 1024);
    CHECK_EQ(c.slot_size, 2048);
    CHECK(!c.slot_size_exact);
    CHECK(!c.hugepages);
    CHECK_EQ(c.mode, 0600);
    CHECK(c.uid == (uid_t) -1 && c.gid == (gid_t) -1);
    free(c.path);

    REQUIRE(parse("vm1", 9000, &c, &error, NO_ARGS));
    CHECK_EQ(c.slot_size, 9000 + DPDKR_L2_OVERHEAD);
    free(c.path);

    setenv("OVS_DPDKR_DIR", "/run/x", 1);
    REQUIRE(parse("a/b c%", 1500, &c, &error, NO_ARGS));
    CHECK(!strcmp(c.path, "/run/x/ovs-a%2fb%20c%25"));
    free(c.path);
    REQUIRE(parse("..", 1500, &c, &error, ARGS("dir", "/tmp/d")));
    CHECK(!strcmp(c.path, "/tmp/d/ovs-.."));
    free(c.path);
    unsetenv("OVS_DPDKR_DIR");
}

static void
test_config_right(void)
{
    struct dpdkr_mem_config c;
    char *error;

    REQUIRE(parse("p", 1500, &c, &error,
                  ARGS("path", "/tmp/x y", "n_rxq", "64", "ring_size", "32768",
                       "slot_size", "16384", "mode", "0666",
                       "hugepages", "true", "owner", "1:2")));
    CHECK(!strcmp(c.path, "/tmp/x y"));
    CHECK_EQ(c.n_queues, 64);
    CHECK_EQ(c.ring_size, 32768);
    CHECK_EQ(c.slot_size, 16384);
    CHECK(c.slot_size_exact);
    CHECK_EQ(c.mode, 0666);
    CHECK(c.hugepages);
    CHECK_EQ(c.uid, 1);
    CHECK_EQ(c.gid, 2);
    free(c.path);

    REQUIRE(parse("p", 68, &c, &error,
                  ARGS("n_rxq", "1", "ring_size", "64", "slot_size", "256",
                       "mode", "600", "hugepages", "false",
                       "owner", "root")));
    CHECK_EQ(c.ring_size, 64);
    CHECK_EQ(c.slot_size, 256);
    CHECK_EQ(c.mode, 0600);
    CHECK_EQ(c.uid, 0);
    CHECK(c.gid == (gid_t) -1);
    free(c.path);

    REQUIRE(parse("p", 1500, &c, &error, ARGS("owner", ":root")));
    CHECK(c.uid == (uid_t) -1);
    CHECK_EQ(c.gid, 0);
    free(c.path);

    /* An option that nobody knows is warned of, no more. */
    REQUIRE(parse("p", 1500, &c, &error, ARGS("n_txq", "3")));
    free(c.path);
}

static void
test_config_wrong(void)
{
    static const struct {
        const char *args[5];
        const char *names;      /* What the message has to name. */
    } cases[] = {
        { { "n_rxq", "0" }, "n_rxq=0" },
        { { "n_rxq", "65" }, "n_rxq=65" },
        { { "n_rxq", "-1" }, "n_rxq=-1" },
        { { "n_rxq", "two" }, "n_rxq=two" },
        { { "n_rxq", "" }, "n_rxq=" },
        { { "n_rxq", "1x" }, "n_rxq=1x" },
        { { "n_rxq", "4294967297" }, "n_rxq=4294967297" },
        { { "n_rxq", "18446744073709551617" }, "n_rxq=18446744073709551617" },
        { { "ring_size", "63" }, "ring_size=63" },
        { { "ring_size", "65536" }, "ring_size=65536" },
        { { "ring_size", "1000" }, "power of two" },
        { { "slot_size", "255" }, "slot_size=255" },
        { { "slot_size", "16385" }, "slot_size=16385" },
        { { "slot_size", "1024" }, "too small for MTU 1500" },
        { { "mode", "0400" }, "mode=0400" },
        { { "mode", "01777" }, "mode=01777" },
        { { "mode", "rw" }, "mode=rw" },
        { { "mode", "0888" }, "mode=0888" },
        { { "hugepages", "yes" }, "hugepages=yes" },
        { { "hugepages", "" }, "hugepages=" },
        { { "owner", "" }, "owner=" },
        { { "owner", ":" }, "owner=:" },
        { { "owner", "no such user" }, "no such user" },
        { { "owner", "0:no such group" }, "no such group" },
        { { "path", "relative/path" }, "path=relative/path" },
        { { "path", "" }, "path=" },
        { { "dir", "relative" }, "dir=relative" },
        { { "path", "/a", "dir", "/b" }, "exclude each other" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct dpdkr_mem_config c;
        char *error;

        memset(&c, 0, sizeof c);
        bool ok = parse("p", 1500, &c, &error, cases[i].args);
        if (ok || !error || !strstr(error, cases[i].names)) {
            printf("# %s=%s: %s\n", cases[i].args[0], cases[i].args[1],
                   ok ? "taken" : error ? error : "no message");
        }
        CHECK(!ok);
        CHECK(error && strstr(error, cases[i].names));
        CHECK(!c.path);
        free(error);
    }
}

/* ## ---- ## */
/* ## Main ## */
/* ## ---- ## */

/* Each test has an empty directory. */
#define IN_DIR(FUNCTION)                        \
    static void                                 \
    FUNCTION##_in_dir(void)                     \
    {                                           \
        make_dir();                             \
        FUNCTION();                             \
        remove_dir();                           \
    }

IN_DIR(test_mem_create)
IN_DIR(test_mem_adopt)
IN_DIR(test_mem_replace)
IN_DIR(test_mem_broken_file)
IN_DIR(test_mem_foreign)
IN_DIR(test_mem_no_directory)
IN_DIR(test_mem_other_owner)
IN_DIR(test_mem_two_ports)
IN_DIR(test_mem_two_processes)
IN_DIR(test_mem_no_space)
IN_DIR(test_mem_no_huge_pages)
IN_DIR(test_mem_atomic)
IN_DIR(test_mem_linked)
IN_DIR(test_mem_status)
IN_DIR(test_mem_lock)
IN_DIR(test_mem_repair)
IN_DIR(test_guard_truncate)
IN_DIR(test_guard_several)
IN_DIR(test_guard_foreign)

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "mem-create", test_mem_create_in_dir },
        { "mem-adopt", test_mem_adopt_in_dir },
        { "mem-replace", test_mem_replace_in_dir },
        { "mem-broken-file", test_mem_broken_file_in_dir },
        { "mem-foreign", test_mem_foreign_in_dir },
        { "mem-no-directory", test_mem_no_directory_in_dir },
        { "mem-other-owner", test_mem_other_owner_in_dir },
        { "mem-two-ports", test_mem_two_ports_in_dir },
        { "mem-two-processes", test_mem_two_processes_in_dir },
        { "mem-no-space", test_mem_no_space_in_dir },
        { "mem-no-huge-pages", test_mem_no_huge_pages_in_dir },
        { "mem-atomic", test_mem_atomic_in_dir },
        { "mem-linked", test_mem_linked_in_dir },
        { "mem-status", test_mem_status_in_dir },
        { "mem-lock", test_mem_lock_in_dir },
        { "mem-repair", test_mem_repair_in_dir },
        { "guard-truncate", test_guard_truncate_in_dir },
        { "guard-several", test_guard_several_in_dir },
        { "guard-foreign", test_guard_foreign_in_dir },
        { "config-defaults", test_config_defaults },
        { "config-right", test_config_right },
        { "config-wrong", test_config_wrong },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    if (argc == 4 && !strcmp(argv[1], "--guard-foreign")) {
        dir = argv[2];
        nfv_test_name = "guard-foreign";
        return child_guard_foreign(atoi(argv[3]));
    }
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
