/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of the options of dpdkr ports, lib/dpdkr-config.c. */

#include <config.h>

#include "dpdkr-config.h"

#include <stdlib.h>
#include <string.h>

#include "dpdkr-mem.h"
#include "nfv-test.h"
#include "openvswitch/vlog.h"
#include "smap.h"
#include "util.h"

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
test_defaults(void)
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
test_right(void)
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

    /* An option that nobody knows is passed over. */
    REQUIRE(parse("p", 1500, &c, &error, ARGS("n_txq", "3")));
    free(c.path);
}

static void
test_wrong(void)
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

int
main(int argc, char *argv[])
{
    static const struct nfv_test tests[] = {
        { "defaults", test_defaults },
        { "right", test_right },
        { "wrong", test_wrong },
    };

    set_program_name(argv[0]);
    vlog_set_levels(NULL, VLF_SYSLOG, VLL_OFF);
    return nfv_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
