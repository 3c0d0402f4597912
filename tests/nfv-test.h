/* SPDX-License-Identifier: Apache-2.0 */

#ifndef NFV_TEST_H
#define NFV_TEST_H 1

/* What unit programs have in common
 * =================================
 *
 * A test is a function that uses CHECK() and REQUIRE().  nfv_test_main() runs
 * those that its arguments name, or all, and prints "ok NAME", "not ok NAME"
 * or "skip NAME # REASON" for each, as tests/run wants it.
 *
 * A main() that sets nfv_test_before and nfv_test_after has them called around
 * each test.
 *
 * A test that takes longer than its limit ends the program: a lost wake-up
 * shows as that.
 *
 * Depends on nothing else of ours or of the base. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct nfv_test {
    const char *name;
    void (*run)(void);
};

static const char *nfv_test_name;
static bool nfv_test_failed;
static const char *nfv_test_skip_reason;
static void (*nfv_test_before)(void);
static void (*nfv_test_after)(void);

/* Sanitizers make everything several times slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NFV_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NFV_TEST_SANITIZED 1
#endif
#endif
#ifndef NFV_TEST_SANITIZED
#define NFV_TEST_SANITIZED 0
#endif

#define NFV_TEST_LIMIT (NFV_TEST_SANITIZED ? 240 : 90)

static inline bool
nfv_test_check__(bool condition, const char *text, const char *file, int line)
{
    if (!condition) {
        printf("# %s:%d: %s: not true: %s\n", file, line, nfv_test_name, text);
        __atomic_store_n(&nfv_test_failed, true, __ATOMIC_RELAXED);
    }
    return condition;
}

/* Goes on in any case. */
#define CHECK(CONDITION) \
    nfv_test_check__((CONDITION), #CONDITION, __FILE__, __LINE__)

/* Returns from the function unless CONDITION is true. */
#define REQUIRE(CONDITION)                      \
    do {                                        \
        if (!CHECK(CONDITION)) {                \
            return;                             \
        }                                       \
    } while (0)

/* As CHECK() of equality, for integers, whose values it prints. */
#define CHECK_EQ(IS, SHOULD)                                            \
    do {                                                                \
        long long int is__ = (IS), should__ = (SHOULD);                 \
                                                                        \
        if (is__ != should__) {                                         \
            printf("# %s:%d: %s: %s is %lld, should be %lld\n",         \
                   __FILE__, __LINE__, nfv_test_name, #IS, is__,        \
                   should__);                                           \
            __atomic_store_n(&nfv_test_failed, true, __ATOMIC_RELAXED); \
        }                                                               \
    } while (0)

/* Ends a test that cannot run here. */
#define SKIP(REASON)                            \
    do {                                        \
        nfv_test_skip_reason = (REASON);        \
        return;                                 \
    } while (0)

static inline int
nfv_test_main(int argc, char *argv[], const struct nfv_test *tests, size_t n)
{
    bool any_failed = false;
    int n_run = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < n; i++) {
        bool wanted = argc < 2;

        for (int j = 1; j < argc; j++) {
            wanted |= !strcmp(argv[j], tests[i].name);
        }
        if (!wanted) {
            continue;
        }
        n_run++;
        nfv_test_name = tests[i].name;
        nfv_test_failed = false;
        nfv_test_skip_reason = NULL;
        alarm(NFV_TEST_LIMIT);
        if (nfv_test_before) {
            nfv_test_before();
        }
        tests[i].run();
        if (nfv_test_after) {
            nfv_test_after();
        }
        alarm(0);
        fflush(stderr);
        if (nfv_test_skip_reason && !nfv_test_failed) {
            printf("skip %s # %s\n", nfv_test_name, nfv_test_skip_reason);
        } else {
            printf("%sok %s\n", nfv_test_failed ? "not " : "", nfv_test_name);
        }
        any_failed |= nfv_test_failed;
    }
    if (!n_run) {
        fprintf(stderr, "no test of this name\n");
        return 2;
    }
    return any_failed;
}

#endif /* tests/nfv-test.h */
