/* SPDX-License-Identifier: Apache-2.0 */

/* Fuzzes what reads a dpdkr header that somebody else has written:
 * dpdkr_geometry_read() and, with a file, dpdkr_mem_open().
 *
 * The input is a sound header's geometry and changes to that header. */

#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "dpdkr-guard.h"
#include "dpdkr-mem.h"
#include "dpdkr-port.h"
#include "fuzz.h"
#include "openvswitch/vlog.h"
#include "util.h"

/* Larger files take too long. */
#define MAX_FILE (1024 * 1024)

static char path[64];

static void
remove_file(void)
{
    unlink(path);
}

int
LLVMFuzzerInitialize(int *argc OVS_UNUSED, char ***argv)
{
    set_program_name((*argv)[0]);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    snprintf(path, sizeof path, "/dev/shm/fuzz-header.%d", (int) getpid());
    atexit(remove_file);
    return 0;
}

/* What a geometry that was accepted promises. */
static void
check_geometry(const struct dpdkr_geometry *g, uint64_t mapped)
{
    uint64_t n_rings = 2 * (uint64_t) g->n_queues;

    FUZZ_CHECK(g->n_queues >= 1 && g->n_queues <= DPDKR_MAX_QUEUES);
    FUZZ_CHECK(is_pow2(g->ring_size));
    FUZZ_CHECK(g->ring_size >= DPDKR_MIN_RING
               && g->ring_size <= DPDKR_MAX_RING);
    FUZZ_CHECK(g->slot_size >= DPDKR_MIN_SLOT
               && g->slot_size <= DPDKR_MAX_SLOT);
    FUZZ_CHECK(g->slot_size <= g->slot_stride);
    FUZZ_CHECK(g->slot_stride % DPDKR_CACHE_LINE == 0);
    FUZZ_CHECK(g->rings_offset >= sizeof(struct dpdkr_header));
    FUZZ_CHECK(g->ring_bytes >= sizeof(struct dpdkr_ring)
               + (uint64_t) g->ring_size * sizeof(struct dpdkr_desc));
    FUZZ_CHECK(g->rings_offset + n_rings * g->ring_bytes <= g->slots_offset);
    FUZZ_CHECK(g->slots_offset
               + n_rings * g->ring_size * (uint64_t) g->slot_stride
               <= g->total_size);
    FUZZ_CHECK(g->total_size <= mapped);
}

static void
try_file(const struct dpdkr_header *h, uint32_t file_size,
         const struct dpdkr_mem_config *config)
{
    static const struct eth_addr mac = { .ea = { 2 } };
    struct dpdkr_mem *mem;
    char *error;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || pwrite(fd, h, MIN(sizeof *h, file_size), 0) < 0
        || ftruncate(fd, file_size)) {
        abort();
    }
    close(fd);
    int retval = dpdkr_mem_open(config, "p1", NULL, &mem, &error);
    FUZZ_CHECK(!retval == !error);
    FUZZ_CHECK(!retval == !!mem);
    free(error);
    if (mem) {
        check_geometry(&mem->g, mem->mapped);
        FUZZ_CHECK(dpdkr_mem_fits(mem, config));
        FUZZ_CHECK(dpdkr_mem_check(mem) == DPDKR_MEM_OK);
        struct dpdkr_port *port = dpdkr_port_create(mem, "p1", mac, 200,
                                                    true);
        dpdkr_port_run(port, 1000);
        FUZZ_CHECK(!dpdkr_port_is_up(port));
        FUZZ_CHECK(!dpdkr_guard_is_hit(mem->guard));
        dpdkr_port_destroy(port, true);
        FUZZ_CHECK(access(path, F_OK));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { data, size };
    struct dpdkr_mem_config config = {
        .path = path, .uid = (uid_t) -1, .gid = (gid_t) -1, .mode = 0600,
    };
    static const uint8_t id[16] = { 1, 2, 3 };
    struct dpdkr_geometry g, want;
    struct dpdkr_header h;
    uint64_t mapped;

    uint8_t flags = fuzz_u8(&in);
    uint32_t n_queues = 1 + fuzz_u8(&in) % 2;
    uint32_t slot_size = DPDKR_MIN_SLOT + fuzz_u8(&in);
    memset(&h, 0, sizeof h);
    FUZZ_CHECK(!dpdkr_geometry_init(&want, n_queues, DPDKR_MIN_RING,
                                    slot_size));
    dpdkr_header_init(&h, &want, DPDKR_KIND_PORT, id);
    h.magic = DPDKR_MAGIC;
    if (flags & 1) {
        /* All of it is the input's. */
        fuzz_get(&in, &h, sizeof h);
        if (flags & 2) {
            h.magic = DPDKR_MAGIC;
            h.version = DPDKR_ABI_VERSION;
        }
    } else {
        for (int i = 0; in.left && i < 8; i++) {
            uint8_t at = fuzz_u8(&in) % (sizeof h / 4);

            ((uint32_t *) (void *) &h)[at] = fuzz_u32(&in);
        }
    }

    mapped = (flags & 4 ? want.total_size
              : flags & 8 ? h.total_size
              : (uint64_t) fuzz_u32(&in) << (flags >> 4));
    const char *error = dpdkr_geometry_read(&g, &h, mapped);
    if (!error) {
        check_geometry(&g, mapped);
        FUZZ_CHECK(h.magic == DPDKR_MAGIC);
    } else {
        FUZZ_CHECK(!g.total_size && !g.n_queues);
    }

    /* The arguments of a new geometry are as good as any. */
    if (!dpdkr_geometry_init(&g, h.n_queues, h.ring_size, h.slot_size)) {
        check_geometry(&g, UINT64_MAX);
    }

    if (mapped <= MAX_FILE) {
        config.n_queues = n_queues;
        config.ring_size = DPDKR_MIN_RING;
        config.slot_size = slot_size;
        config.slot_size_exact = flags & 0x40;
        try_file(&h, mapped, &config);
    }
    return 0;
}
