/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_FAKE_H
#define DPDKR_FAKE_H 1

/* A fake switch: side A of dpdkr ports, for tests of side B.
 *
 * It does what <dpdkr/abi.h> says a switch does, and on demand what it says a
 * switch does not do.  The test owns 'rx' and 'tx' of each queue and uses them
 * with <dpdkr/ring.h>.  Not for more than one thread. */

#include <dpdkr/abi.h>
#include <dpdkr/ring.h>

struct fake_port {
    char *path;
    int fd;
    struct dpdkr_geometry g;
    void *base;
    struct dpdkr_header *h;
    struct dpdkr_side *us, *them;   /* In shared memory. */
    bool up;
    bool keep_ack;                  /* Acknowledges nobody. */
    uint64_t attached;              /* Epochs acknowledged. */
    struct dpdkr_consumer rx[DPDKR_MAX_QUEUES];
    struct dpdkr_producer tx[DPDKR_MAX_QUEUES];
};

/* Makes a new memory at 'path' (removing what is there), or adopts an existing
 * one as a switch that restarts does, and takes the lock.  Exits on error. */
void fake_port_create(struct fake_port *, const char *path,
                      uint32_t n_queues, uint32_t ring_size,
                      uint32_t slot_size, uint32_t mtu);
void fake_port_adopt(struct fake_port *, const char *path);

/* Ends the switch's use of the port: as if it had died, or for good. */
void fake_port_die(struct fake_port *);
void fake_port_retire(struct fake_port *, bool unlink_file);

/* Does the periodic work.  Returns true if the port is up. */
bool fake_port_run(struct fake_port *);

/* Cuts the peer off. */
void fake_port_cut(struct fake_port *, uint32_t reason);

/* Sends a frame to the peer or receives one (returns its length, 0 if there is
 * none).  fake_port_send() returns false if there is no room. */
bool fake_port_send(struct fake_port *, uint32_t queue, const void *,
                    uint32_t len);
uint32_t fake_port_receive(struct fake_port *, uint32_t queue, void *,
                           uint32_t size);

#endif /* tests/dpdkr-fake.h */
