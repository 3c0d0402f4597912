/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of what becomes of a process that has a truncated file mapped,
 * lib/dpdkr-guard.c. */

#include <config.h>

#include "dpdkr-guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "dpdkr-dir.h"
#include "dpdkr-mem.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "util.h"

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
test_truncate(void)
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
test_several(void)
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
child_foreign(enum foreign what)
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
test_foreign(void)
{
    for (int what = 0; what < N_FOREIGN; what++) {
        char number[16];
        int status;

        snprintf(number, sizeof number, "%d", what);
        pid_t pid = fork();
        if (!pid) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            execl("/proc/self/exe", program_name, "--foreign", dir,
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

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "truncate", test_truncate },
        { "several", test_several },
        { "foreign", test_foreign },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    if (argc == 4 && !strcmp(argv[1], "--foreign")) {
        dir = argv[2];
        nfv_test_name = "foreign";
        return child_foreign(atoi(argv[3]));
    }
    nfv_test_before = make_dir;
    nfv_test_after = remove_dir;
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
