/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_FAKE_LINK_H
#define DPDKR_FAKE_LINK_H 1

/* The part of a fake switch that is about direct links: side A of what
 * <dpdkr/link.h> says, by the names of its steps.
 *
 * As in dpdkr-fake.h, the test decides what happens when, and can do what a
 * switch does not do.  Not for more than one thread. */

#include <dpdkr/link.h>

#include "dpdkr-fake.h"

/* The gate of a queue. */
enum fake_gate {
    FAKE_OPEN,
    FAKE_HOLD,                  /* W2 under way. */
    FAKE_CLOSED,
};

/* One direction of a pair of ports. */
struct fake_way {
    struct fake_port *src, *dst;
    uint32_t src_entry, dst_entry;  /* Of the link. */
    uint32_t number;            /* Last order. */
    struct {
        enum fake_gate gate;
        uint32_t noted;         /* Last note taken. */
        uint64_t passed;        /* Rings of 'dst' that have it. */
    } queues[DPDKR_MAX_QUEUES];

    uint64_t n_forwarded;       /* Frames. */
    uint64_t n_notes;           /* Notes passed on. */
    uint64_t n_orders;
};

/* A link between two ports, ports[0] at side A, and its two ways. */
struct fake_link {
    char path[128];
    int fd;
    struct dpdkr_geometry g;
    void *base;
    struct dpdkr_header *h;
    struct fake_port *ports[2];
    uint32_t entries[2];        /* Of the offers to the ports. */
    struct fake_way ways[2];    /* By the side of 'src'. */
};

/* Makes the memory of a link between 'a' and 'b' at 'path', whose directory is
 * that of the ports.  It is not offered to anybody yet. */
void fake_link_create(struct fake_link *, const char *path,
                      struct fake_port *a, struct fake_port *b,
                      uint32_t n_queues, uint32_t ring_size,
                      uint32_t slot_size);
void fake_link_destroy(struct fake_link *);

/* Offers a link, as 'offer' describes it but for 'seq', in entry 'entry' of
 * 'p'.  With an empty name, withdraws what is there. */
void fake_offer(struct fake_port *p, uint32_t entry,
                const struct dpdkr_link_offer *offer);
void fake_withdraw(struct fake_port *p, uint32_t entry);
struct dpdkr_link_offer fake_link_offer(const struct fake_link *,
                                        uint32_t side);

/* Has what was written into the control area noticed. */
void fake_control_changed(struct fake_port *);

/* Returns the answer's status, or -1 if there is none to the last offer. */
int fake_answer(const struct fake_port *, uint32_t entry);

/* Offers the link to both, in their entries 'a' and 'b'. */
void fake_link_offer_both(struct fake_link *, uint32_t a, uint32_t b);

/* Step A1, and the conditions for it; step A2. */
bool fake_may_order(const struct fake_way *);
void fake_order_link(struct fake_way *);
void fake_order_port(struct fake_way *);

/* Forwards up to 'n' frames of queue 'q', to the ring that 'ring_of' returns
 * for a frame, and does what W1 to W3 say.  Loses nothing: what finds no room
 * stays.  Returns the number of frames. */
uint32_t fake_forward(struct fake_way *, uint32_t q, uint32_t n,
                      uint32_t (*ring_of)(const void *frame, uint32_t n_rxq));

#endif /* tests/dpdkr-fake-link.h */
