/* SPDX-License-Identifier: Apache-2.0 */

/* Fuzzes the parser of a dpdkr port's options.
 *
 * The input: the port's name, then options, each a byte that says which, and
 * its value; strings end with a null byte. */

#include <config.h>

#include "dpdkr-config.h"

#include "dpdkr-mem.h"
#include "fuzz.h"
#include "openvswitch/vlog.h"
#include "smap.h"
#include "util.h"

int
LLVMFuzzerInitialize(int *argc OVS_UNUSED, char ***argv)
{
    set_program_name((*argv)[0]);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    return 0;
}

static char *
get_string(struct fuzz_input *in)
{
    size_t n = strnlen((const char *) in->data, in->left);
    char *s = xmemdup0((const char *) in->data, n);

    n = MIN(n + 1, in->left);
    in->data += n;
    in->left -= n;
    return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {
        "path", "dir", "n_rxq", "ring_size", "slot_size", "owner", "mode",
        "hugepages", "unknown",
    };
    struct fuzz_input in = { data, size };
    struct smap args = SMAP_INITIALIZER(&args);
    struct dpdkr_mem_config config;
    char *error = NULL;

    int mtu = DPDKR_MIN_MTU + fuzz_u16(&in) % (DPDKR_MAX_MTU + 1
                                               - DPDKR_MIN_MTU);
    char *name = get_string(&in);
    while (in.left) {
        const char *key = keys[fuzz_u8(&in) % ARRAY_SIZE(keys)];
        char *value = get_string(&in);

        smap_replace(&args, key, value);
        free(value);
    }

    if (dpdkr_config_parse(name, &args, mtu, &config, &error)) {
        struct dpdkr_geometry g;

        FUZZ_CHECK(!error);
        FUZZ_CHECK(config.path && config.path[0] == '/');
        if (!smap_get(&args, "path")) {
            const char *dir = smap_get(&args, "dir");
            const char *file = strrchr(config.path, '/') + 1;

            /* A port's name never leads out of the directory. */
            FUZZ_CHECK(!strncmp(file, "ovs-", 4));
            FUZZ_CHECK(!dir || (!strncmp(config.path, dir, strlen(dir))
                                && file == config.path + strlen(dir) + 1));
        }
        FUZZ_CHECK(!dpdkr_geometry_init(&g, config.n_queues,
                                        config.ring_size, config.slot_size));
        FUZZ_CHECK(mtu + DPDKR_L2_OVERHEAD <= g.slot_size);
        FUZZ_CHECK(!(config.mode & ~0777) && (config.mode & 0600) == 0600);
        free(config.path);
    } else {
        FUZZ_CHECK(error && error[0]);
        FUZZ_CHECK(!config.path);
        free(error);
    }
    free(name);
    smap_destroy(&args);
    return 0;
}
