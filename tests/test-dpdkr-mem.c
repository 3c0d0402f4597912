/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of the files behind dpdkr ports, lib/dpdkr-mem.c. */

#include <config.h>

#include "dpdkr-mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "dpdkr-dir.h"
#include "dpdkr-guard.h"
#include "dpdkr-peer.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "util.h"

static void
test_create(void)
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
test_adopt(void)
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

/* Maps the header of the file at 'path' as a peer does. */
static struct dpdkr_header *
map_header(const char *path)
{
    int fd = open(path, O_RDWR);
    void *base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    close(fd);
    return base;
}

/* Returns true if 'mem' has the part of 'id' that is kept when memory is made
 * anew, and has another id nevertheless. */
static bool
has_kept_id(const struct dpdkr_mem *mem, const uint8_t id[16])
{
    const uint8_t *is = dpdkr_mem_header(mem)->id;

    return (!memcmp(is, id, DPDKR_MEM_KEPT_ID)
            && memcmp(is + DPDKR_MEM_KEPT_ID, id + DPDKR_MEM_KEPT_ID,
                      16 - DPDKR_MEM_KEPT_ID));
}

/* What does not fit is replaced, and the peers that have it mapped are told,
 * through the memory that they have. */
static void
test_replace(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    uint8_t id[16];

    memcpy(id, dpdkr_mem_header(mem)->id, sizeof id);
    struct dpdkr_header *peer = map_header(path);
    REQUIRE(peer != MAP_FAILED);
    dpdkr_mem_close(mem, false);
    CHECK_EQ(peer->side[DPDKR_SIDE_A].state, DPDKR_DOWN);

    config.ring_size = 128;
    mem = open_ok(&config, "p1", NULL);
    CHECK(!mem->adopted);
    CHECK_EQ(mem->g.ring_size, 128);
    CHECK(has_kept_id(mem, id));
    CHECK_EQ(peer->side[DPDKR_SIDE_A].state, DPDKR_RETIRED);
    CHECK(!memcmp(peer->id, id, sizeof id));
    CHECK_EQ(count_files(), 1);

    /* The same from one memory of a port to its next. */
    config.ring_size = 256;
    struct dpdkr_mem *next = open_ok(&config, "p1", mem);
    CHECK_EQ(dpdkr_mem_check(mem), DPDKR_MEM_HIDDEN);
    CHECK_EQ(dpdkr_mem_check(next), DPDKR_MEM_OK);
    CHECK_EQ(count_files(), 1);
    CHECK(has_kept_id(next, id));

    /* That one is replaced again before the port was ever on it.  A peer may
     * have found it. */
    struct dpdkr_header *early = map_header(path);
    REQUIRE(early != MAP_FAILED);
    CHECK(!memcmp(early->id, dpdkr_mem_header(next)->id, sizeof id));
    config.ring_size = 512;
    struct dpdkr_mem *last = open_ok(&config, "p1", next);
    CHECK(has_kept_id(last, id));
    CHECK(has_kept_id(last, early->id));
    CHECK_EQ(early->side[DPDKR_SIDE_A].state, DPDKR_DOWN);
    dpdkr_mem_close(next, true);
    CHECK_EQ(early->side[DPDKR_SIDE_A].state, DPDKR_RETIRED);
    munmap(early, 4096);

    dpdkr_mem_close(mem, true);
    CHECK_EQ(count_files(), 1);
    CHECK_EQ(dpdkr_mem_check(last), DPDKR_MEM_OK);
    dpdkr_mem_close(last, true);
    CHECK_EQ(count_files(), 0);

    /* Another port, or the same one removed and added, has nothing of it. */
    mem = open_ok(&config, "p1", NULL);
    CHECK(memcmp(dpdkr_mem_header(mem)->id, id, DPDKR_MEM_KEPT_ID));
    dpdkr_mem_close(mem, true);

    munmap(peer, 4096);
    free(path);
}

/* One that is truncated is replaced, with what the switch remembers of it. */
static void
test_replace_truncated(void)
{
    char *path = in_dir("port");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem = open_ok(&config, "p1", NULL);
    uint8_t id[16];

    memcpy(id, dpdkr_mem_header(mem)->id, sizeof id);
    REQUIRE(!truncate(path, 0));
    struct dpdkr_mem *next = open_ok(&config, "p1", mem);
    CHECK(!next->adopted);
    CHECK(has_kept_id(next, id));
    dpdkr_mem_close(mem, true);
    dpdkr_mem_close(next, true);

    /* Removed, and under another path. */
    char *path2 = in_dir("port2");
    struct dpdkr_mem_config config2 = small_config(path2);
    mem = open_ok(&config, "p1", NULL);
    memcpy(id, dpdkr_mem_header(mem)->id, sizeof id);
    REQUIRE(!unlink(path));
    next = open_ok(&config2, "p1", mem);
    CHECK(has_kept_id(next, id));
    dpdkr_mem_close(mem, true);
    dpdkr_mem_close(next, true);
    CHECK_EQ(count_files(), 0);
    free(path);
    free(path2);
}

/* Anything in a header that does not make sense makes for a new file, and
 * never for a crash. */
static void
test_broken_file(void)
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

/* The memory of a link is made where there is nothing, and found again by its
 * id, owner and mode alone.  Nothing else is touched. */
static void
test_link(void)
{
    static const uint8_t other_id[16] = { 1 };
    char *path = in_dir("ovs-link-1");
    struct dpdkr_mem_config config = small_config(path);
    struct dpdkr_mem *mem;
    uint8_t id[16];
    struct stat s;

    config.is_link = true;
    config.uid = geteuid();
    config.gid = getegid();
    config.link_id = id;
    memset(id, 2, sizeof id);
    open_fails(&config, ENOENT, "could not open", 0);

    config.link_id = NULL;
    mem = open_ok(&config, "link", NULL);
    CHECK(!mem->adopted);
    memcpy(id, mem->constant.id, sizeof id);
    CHECK(dpdkr_mem_is_link(path, id));
    CHECK(!dpdkr_mem_is_link(path, other_id));
    dpdkr_mem_close(mem, false);

    open_fails(&config, EEXIST, "another link", 1);
    config.link_id = other_id;
    open_fails(&config, EEXIST, "another link", 1);
    config.link_id = id;
    config.mode = 0640;
    open_fails(&config, EEXIST, "another link", 1);
    config.mode = 0600;
    config.ring_size *= 2;
    open_fails(&config, EINVAL, "geometry", 1);
    config.ring_size /= 2;
    CHECK(!stat(path, &s));
    CHECK_EQ(s.st_mode & 07777, 0600);

    mem = open_ok(&config, "link", NULL);
    CHECK(mem->adopted);
    dpdkr_mem_close(mem, true);
    CHECK_EQ(count_files(), 0);
    free(path);
}

/* What the switch did not make is left alone. */
static void
test_foreign(void)
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
test_no_directory(void)
{
    char *path = in_dir("missing/port");
    struct dpdkr_mem_config config = small_config(path);

    open_fails(&config, ENOENT, "could not create", 0);
    free(path);
}

static void
test_other_owner(void)
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
test_two_ports(void)
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
test_two_processes(void)
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
test_no_space(void)
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
test_no_huge_pages(void)
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
test_atomic(void)
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
test_linked(void)
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
test_status(void)
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
test_lock(void)
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
test_repair(void)
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

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "create", test_create },
        { "adopt", test_adopt },
        { "replace", test_replace },
        { "replace-truncated", test_replace_truncated },
        { "broken-file", test_broken_file },
        { "link", test_link },
        { "foreign", test_foreign },
        { "no-directory", test_no_directory },
        { "other-owner", test_other_owner },
        { "two-ports", test_two_ports },
        { "two-processes", test_two_processes },
        { "no-space", test_no_space },
        { "no-huge-pages", test_no_huge_pages },
        { "atomic", test_atomic },
        { "linked", test_linked },
        { "status", test_status },
        { "lock", test_lock },
        { "repair", test_repair },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    nfv_test_before = make_dir;
    nfv_test_after = remove_dir;
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
