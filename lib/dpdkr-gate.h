/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_GATE_H
#define DPDKR_GATE_H 1

/* Orders and gates: a port's part in handovers
 * ============================================
 *
 * Direct links are described in <dpdkr/link.h>, whose names of steps are used
 * here.  What the switch does for them on one port comes in two parts:
 *
 *   - Orders: what it tells the peer in struct dpdkr_control of the port's
 *     memory.  As with the rest of that memory, what counts is the private
 *     copy.
 *
 *   - Gates, one for each queue that the peer fills: the thread that polls the
 *     queue passes notes on (W1, W2) and then takes nothing from the queue
 *     until the peer on the other side has emptied the link (W3).
 *
 * Who decides what is ordered is in dpdkr-link.h.
 *
 *
 * Threads
 * =======
 *
 * dpdkr_gate_*() are for a thread that holds 'rx_lock' of the queue.
 * dpdkr_orders_*() are for the control thread, in practice the main thread. */

#include <stdbool.h>
#include <stdint.h>

#include <dpdkr/link.h>

struct dpdkr_port;
struct dpdkr_port_queue;

/* Where the notes of a handover to a link go. */
struct dpdkr_route {
    uint32_t number;            /* Of the handover; 0 before the first. */
    struct dpdkr_port *dst;     /* Receiver's port, or NULL if it is gone... */
    uint32_t entry;             /* ...and the link's entry there... */
    uint32_t seq;               /* ...with that offer. */
    uint32_t link;              /* DPDKR_NOTED_LINK of the link for the
                                 * sender. */
};

enum dpdkr_gate_state {
    DPDKR_GATE_OPEN,
    DPDKR_GATE_HOLD,            /* The note is being passed on (W2). */
    DPDKR_GATE_CLOSED,          /* It has been, wait for W3. */
};

struct dpdkr_gate {
    enum dpdkr_gate_state state;
    struct dpdkr_route next;    /* Of the last handover ordered. */
    struct dpdkr_route route;   /* Of the last note taken. */
    uint32_t found_note;        /* Number of a note in the ring that an earlier
                                 * switch has left there, or 0. */
    uint64_t passed;            /* Rings of 'dst' that have got the note. */
    long long int flush_after;  /* time_usec() before which earlier packets may
                                 * be in output batches. */
};

/* What the switch says in struct dpdkr_control. */
struct dpdkr_orders {
    uint32_t number;            /* Of 'tx_order'. */
    uint32_t link;
    uint32_t seq;
    struct dpdkr_link_offer offer[DPDKR_MAX_LINKS];
};

/* Queue threads. */
bool dpdkr_gate_take_note(struct dpdkr_port_queue *);
bool dpdkr_gate_try_open(struct dpdkr_port *, struct dpdkr_port_queue *,
                         uint32_t queue);

/* Control thread: orders. */
void dpdkr_orders_adopt(struct dpdkr_port *);
bool dpdkr_orders_are_adopted(const struct dpdkr_port *);
uint32_t dpdkr_orders_resume(struct dpdkr_port *, uint32_t entry,
                             struct dpdkr_port *dst, uint32_t dst_entry);
void dpdkr_orders_give_up(struct dpdkr_port *);
void dpdkr_orders_reset(struct dpdkr_port *);
void dpdkr_orders_forget_notes(struct dpdkr_port *);
void dpdkr_orders_publish(struct dpdkr_port *);
void dpdkr_orders_offer(struct dpdkr_port *, uint32_t entry,
                        const struct dpdkr_link_offer *);
void dpdkr_orders_withdraw(struct dpdkr_port *, uint32_t entry);
void dpdkr_orders_drain(struct dpdkr_port *, uint32_t entry, uint32_t number);
void dpdkr_orders_force(struct dpdkr_port *, uint32_t entry, uint32_t number);
void dpdkr_orders_to_link(struct dpdkr_port *, uint32_t number, uint32_t entry,
                          struct dpdkr_port *dst, uint32_t dst_entry);
void dpdkr_orders_to_port(struct dpdkr_port *, uint32_t number);

/* Control thread: what the peer answers. */
bool dpdkr_orders_answered(const struct dpdkr_port *, uint32_t entry,
                           uint32_t *status, uint32_t *error);
uint32_t dpdkr_orders_applied(const struct dpdkr_port *, uint32_t queue);
bool dpdkr_orders_note_is_under_way(const struct dpdkr_port *, uint32_t queue,
                                    const struct dpdkr_gate *);
uint32_t dpdkr_orders_rx_done(const struct dpdkr_port *, uint32_t entry,
                              uint32_t queue);

/* Control thread: gates. */
void dpdkr_orders_gate(struct dpdkr_port *, uint32_t queue,
                       struct dpdkr_gate *);
bool dpdkr_orders_queue_waits(struct dpdkr_port *, uint32_t queue);
void dpdkr_orders_open_late_gates(struct dpdkr_port *,
                                  const struct dpdkr_port *dst,
                                  uint64_t queues);
void dpdkr_orders_open_gates(struct dpdkr_port *,
                             const struct dpdkr_port *dst);

void dpdkr_gate_set_flush_interval(uint32_t us);

#endif /* dpdkr-gate.h */
