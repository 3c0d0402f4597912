/* SPDX-License-Identifier: Apache-2.0 */

#ifndef FUZZ_H
#define FUZZ_H 1

/* What the fuzzers have in common: an input that is read piece by piece, and
 * zeros when it is over. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
    const uint8_t *data;
    size_t left;
};

static inline void
fuzz_get(struct fuzz_input *in, void *p, size_t n)
{
    size_t m = n < in->left ? n : in->left;

    memset(p, 0, n);
    memcpy(p, in->data, m);
    in->data += m;
    in->left -= m;
}

static inline uint8_t
fuzz_u8(struct fuzz_input *in)
{
    uint8_t x;

    fuzz_get(in, &x, sizeof x);
    return x;
}

static inline uint16_t
fuzz_u16(struct fuzz_input *in)
{
    uint16_t x;

    fuzz_get(in, &x, sizeof x);
    return x;
}

static inline uint32_t
fuzz_u32(struct fuzz_input *in)
{
    uint32_t x;

    fuzz_get(in, &x, sizeof x);
    return x;
}

/* An invariant: ends the fuzzer with a crash, which is a finding. */
#define FUZZ_CHECK(CONDITION)                                           \
    do {                                                                \
        if (!(CONDITION)) {                                             \
            fprintf(stderr, "%s:%d: not true: %s\n",                    \
                    __FILE__, __LINE__, #CONDITION);                    \
            abort();                                                    \
        }                                                               \
    } while (0)

/* Makes a directory for files in memory, in the one that "run" removes
 * afterwards, and stores its name into the 'size' bytes at 'dir'. */
static inline void
fuzz_make_dir(char *dir, size_t size)
{
    const char *parent = getenv("FUZZ_DIR");

    FUZZ_CHECK(snprintf(dir, size, "%s/fuzz.XXXXXX",
                        parent ? parent : "/dev/shm") < (int) size);
    FUZZ_CHECK(mkdtemp(dir));
}

#endif /* tests/fuzz/fuzz.h */
