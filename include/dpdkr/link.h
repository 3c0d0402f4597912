/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_LINK_H
#define DPDKR_LINK_H 1

/* Direct links: the second part of the dpdkr memory format
 * =========================================================
 *
 * What
 * ----
 *
 * When all that the peer of port S sends goes to the peer of port R anyway,
 * the switch can have it go there directly: through a "link", a memory of kind
 * DPDKR_KIND_LINK that both peers map and that the switch only watches.  Each
 * direction is handed over to the link, and back to the ports, by itself and
 * for each queue by itself, while frames flow.
 *
 * Ring 2q of a link carries what side A's peer sends on its queue q, ring
 * 2q + 1 the same for side B.  Rings work as in a port (<dpdkr/abi.h>).
 *
 * What this part of the format promises, for each transmit queue of a peer:
 * each frame that the peer put into a ring is received once, and in the order
 * in which it was put there, however often the queue is handed over.  Nobody
 * waits busily for anybody.
 *
 *
 * Notes
 * -----
 *
 * The switch-over happens in band.  A "note" is a descriptor with flag
 * DPDKR_D_NOTE and no frame.  It means that what comes next from that sender's
 * queue is in another ring.  'len' is the number of the handover, 'pad' says
 * which link and queue (DPDKR_NOTE_*) where that is not clear from the ring.
 *
 * A sender keeps one descriptor of each ring free for a note (DPDKR_RESERVED),
 * so that a note need not wait until a slow consumer has made room.  Should
 * there be no room all the same (an earlier note is still there), the sender
 * takes no frames for that queue until there is.
 *
 * Handovers of what the peer of one port sends are numbered: odd numbers go to
 * a link, the even number after one goes back to the ports.
 *
 *
 * Control
 * -------
 *
 * In the header page of the memory of each *port*, at DPDKR_CONTROL_OFFSET,
 * there is a struct dpdkr_control: the switch writes the orders, the peer the
 * answers.  A peer that follows orders sets DPDKR_F_LINKS.
 *
 * The switch offers links in DPDKR_MAX_LINKS entries.  An entry names a file
 * in the directory of the port's own file.  (Control thread of the peer.)
 *
 *     'offer.seq' has changed:
 *       - forget the link that the entry held before, if any: no queue may
 *         use it any more, then unmap it;
 *       - if 'offer.file' is empty, answer DPDKR_LINK_NONE;
 *       - otherwise map the file, check id, kind and geometry, set all of
 *         'rx_done' to DPDKR_RX_NOTHING, and answer DPDKR_LINK_MAPPED; or
 *         DPDKR_LINK_FAILED;
 *     answer means: 'answer.status', then 'answer.seq' := 'offer.seq'.
 *
 * Whenever something other than 'tx_order' changes, 'seq' does, so that the
 * peer's queue threads, which look at that cache line at each burst, can tell
 * its control thread.
 *
 *
 * Handover to the link, number n (odd)
 * ------------------------------------
 *
 * Steps carry the names that the Promela model (tests/models/handover.pml) and
 * the code use.
 *
 * Switch, thread that controls:
 *
 *     A1  Both peers have answered DPDKR_LINK_MAPPED.  No queue of S has a
 *         note of an earlier handover under way: 'noted[q]' is the last note
 *         that was taken from queue q (W2), and so is 'applied[q]' if it is
 *         odd.  'tx_order' := {n, entry}.
 *
 * Sender, queue q, at the start of a burst:
 *
 *     S1  'tx_order' differs from what the queue follows.  'applied[q]' := n;
 *         full barrier; is 'tx_order' still that?  Otherwise again.  (Partner:
 *         the full barrier between the switch's store of 'tx_order' and its
 *         look at 'applied'.  Either the switch sees that q follows n, or q
 *         sees the newer order and never uses n.)
 *     S2  Publish note n in the port's ring q.  'noted[q]' := n.
 *     S3  From now on produce in ring q of the link, and nothing in the
 *         port's.
 *
 * Switch, thread that polls queue q of S:
 *
 *     W1  Reads the note behind all earlier frames.  Takes nothing more from
 *         the queue.
 *     W2  Once all earlier frames are in R's rings (they have left the output
 *         batches of this thread), and there is room: publishes a note
 *         {n, entry at R, q} in each receive ring of R, since earlier frames
 *         may be in any of them.  The gate of q is closed: nothing is taken
 *         from the queue.
 *
 * Receiver:
 *
 *     R1  Reads the note in each of its rings.  (It ignores one that is not
 *         for the link that the entry has, by DPDKR_NOTE_SEQ, and one that
 *         comes again, as may happen when the switch restarts.)  With the
 *         last, the ring of the link becomes active: it is read by the receive
 *         queue q % n_rxq.  The port's rings are read as before, for what
 *         others send.
 *
 *
 * Handover back, number n + 1
 * ---------------------------
 *
 *     A2  Switch: 'tx_order' := {n + 1, entry}.
 *     S4  Sender, queue q, which follows n: S1 with n + 1.  Publishes note
 *         n + 1 in ring q of the link.
 *     S5  From now on it produces in the port's ring q.  (If the order is a
 *         newer odd one by now, S2 follows at once.)
 *     R2  Receiver reads note n + 1 behind all frames.  'rx_done[q]' of the
 *         entry := n + 1.  The ring becomes inactive, unless a newer note was
 *         read in R1 already (the switch did not wait, see "Withdrawal"): then
 *         what follows in it belongs to that handover.
 *     W3  Switch, the thread that polls queue q: sees that.  The gate opens.
 *
 * A queue that sends nothing in the meantime takes none of these steps: an
 * order is carried out with the next frame.  Its gate stays closed, behind
 * which there is nothing.
 *
 *
 * Withdrawal
 * ----------
 *
 *     A3  Both directions have been ordered back, no queue of either peer
 *         follows the link ('applied'), the gates are open and the rings are
 *         empty.  The switch withdraws the offers, waits for both answers, and
 *         removes the memory.
 *
 * A link with an idle queue remains until that queue sends again, or one of
 * the peers is gone:
 *
 *     A4  When S is gone, the switch sets 'rx_drain' in the offer to R to the
 *         even number after that of the last handover: nothing more will come.
 *         R treats an empty ring of that link that is active as if the note
 *         stood there (R2).  Then, or after DPDKR_LINK_PATIENCE_MS, the offer
 *         is withdrawn from R.
 *     A5  When R is gone, the switch orders S back, opens the gates and
 *         withdraws the offer from S.  What is left in the link is lost, and
 *         counted.  A queue that still follows the link goes on in the port,
 *         without a note.
 *
 * A peer that sees an offer withdrawn does not read that link any more.
 *
 * A receiver that is there but does not take W3's note in
 * DPDKR_LINK_PATIENCE_MS must not hold up what the sender has for others: the
 * gates are opened, and what it still finds in the link may reach it after
 * what came later through its port.
 *
 * A switch that restarts finds the orders, offers and gates in the memory of
 * the ports, and the links by their files, and goes on where the last one
 * was.
 *
 * If a note cannot complete R1 (a program that does not poll one of its
 * queues), the switch sets 'rx_force' of the offer to the number after the
 * same time.  If the number still stands there when the receiver has had time
 * to read what waited for it, a receiver that was merely stopped having found
 * all the notes by then, it activates the ring without waiting for the rest.
 *
 *
 * Trust
 * -----
 *
 * The switch believes nothing of the answers that matters to anybody but the
 * peer that gave them.  It reads no frame of a link, only the counters, which
 * may only grow.  The peers trust the switch, but not each other: for a link
 * as for a port, whatever the far side writes, <dpdkr/ring.h> stays in bounds.
 * A peer that finds a link broken answers DPDKR_LINK_BROKEN. */

#include <dpdkr/abi.h>

/* Entries for links of one port. */
#define DPDKR_MAX_LINKS 4

/* How long the switch waits for a peer that is alive. */
#define DPDKR_LINK_PATIENCE_MS 1000

/* Values for the 'status' member of struct dpdkr_link_answer. */
#define DPDKR_LINK_NONE 0
#define DPDKR_LINK_MAPPED 1
#define DPDKR_LINK_FAILED 2         /* 'error' says why. */
#define DPDKR_LINK_BROKEN 3         /* 'error' is a DPDKR_CUT_*. */

/* An order for the transmit queues.  Read and written as one 64-bit word. */
struct dpdkr_order {
    uint32_t number;            /* Of the handover; odd: to link 'link'. */
    uint32_t link;              /* Index into 'offer'; with an even number,
                                 * the link that is to be left. */
};
DPDKR_STATIC_ASSERT(sizeof(struct dpdkr_order) == 8, "dpdkr_order layout");

/* Written by the switch.  'seq' is stored last. */
struct dpdkr_link_offer {
    uint32_t seq;               /* Changes with each offer; 0 before the
                                 * first. */
    uint32_t side;              /* DPDKR_SIDE_* of this peer in the link. */
    uint8_t id[16];             /* Of the link's memory. */
    uint32_t max_frame;         /* Longest frame that the peer may send, from
                                 * the MTU. */
    uint32_t rx_drain;          /* See "Withdrawal". */
    uint32_t rx_force;
    uint32_t pad0[7];
    char file[64];              /* Name in the directory of the port's file,
                                 * null-terminated; empty: withdrawn. */
};
DPDKR_STATIC_ASSERT(sizeof(struct dpdkr_link_offer) == 128, "offer layout");

/* Written by the peer. */
struct dpdkr_link_answer {
    uint32_t seq;               /* Of the offer that this is the answer to. */
    uint32_t status;            /* DPDKR_LINK_*. */
    uint32_t error;             /* errno value or DPDKR_CUT_*. */
    uint32_t pad0;
    uint32_t rx_done[DPDKR_MAX_QUEUES]; /* By ring: last note taken (R2). */
};
#define DPDKR_RX_NOTHING 1          /* For 'rx_done': notes that are taken from
                                     * links have even numbers. */
DPDKR_STATIC_ASSERT(sizeof(struct dpdkr_link_answer) == 272, "answer layout");

/* For a switch that restarts: what its predecessor was waiting for. */
struct dpdkr_gate_mark {
    uint32_t number;            /* Of the note behind which the gate is closed,
                                 * or 0 while it is open. */
    uint32_t link;              /* DPDKR_NOTED_LINK of that handover. */
};

struct dpdkr_control {
    /* Switch.  The first line is looked at by each burst, and hardly ever
     * written. */
    struct dpdkr_order tx_order;
    uint32_t seq;               /* Changes with anything below. */
    uint32_t pad0[13];
    struct dpdkr_link_offer offer[DPDKR_MAX_LINKS];

    /* Peer. */
    struct dpdkr_link_answer answer[DPDKR_MAX_LINKS];
    uint32_t applied[DPDKR_MAX_QUEUES]; /* By transmit queue: S1... */
    uint32_t noted[DPDKR_MAX_QUEUES]; /* ...and S2, 0 before the first. */
    uint32_t noted_link[DPDKR_MAX_QUEUES]; /* DPDKR_NOTED_LINK of that link,
                                            * stored before 'noted'. */

    /* Switch, by queue of the peer; stored in W2 and W3. */
    struct dpdkr_gate_mark gate[DPDKR_MAX_QUEUES];
};
#define DPDKR_CONTROL_OFFSET 1024
DPDKR_STATIC_ASSERT(sizeof(struct dpdkr_header) <= DPDKR_CONTROL_OFFSET,
                    "control must not overlap");
DPDKR_STATIC_ASSERT(DPDKR_CONTROL_OFFSET + sizeof(struct dpdkr_control)
                    <= DPDKR_HEADER_BYTES, "control must fit");

/* The 'pad' member of a note's descriptor, from the switch to a receiver: the
 * entry, the ring, and the low byte of 'offer.seq', so that a note for a link
 * that has gone is not taken for one for its successor in the entry.  In other
 * notes it is zero. */
#define DPDKR_NOTE_PAD(SEQ, ENTRY, QUEUE) \
    ((uint16_t) (((SEQ) & 0xff) << 8 | (ENTRY) << 6 | (QUEUE)))
#define DPDKR_NOTE_SEQ(PAD) ((PAD) >> 8)
#define DPDKR_NOTE_ENTRY(PAD) ((PAD) >> 6 & 3)
#define DPDKR_NOTE_QUEUE(PAD) ((PAD) & 63)
DPDKR_STATIC_ASSERT(DPDKR_MAX_LINKS <= 4 && DPDKR_MAX_QUEUES <= 64,
                    "DPDKR_NOTE_PAD");

/* Names a link by its entry and the offer there. */
#define DPDKR_NOTED_LINK(SEQ, ENTRY) ((uint32_t) (SEQ) << 2 | (ENTRY))

/* The control area of the port memory at 'base'. */
static inline struct dpdkr_control *
dpdkr_control(void *base)
{
    return (struct dpdkr_control *) (void *) ((uint8_t *) base
                                              + DPDKR_CONTROL_OFFSET);
}

static inline struct dpdkr_order
dpdkr_order_load(const struct dpdkr_order *p)
{
    union {
        struct dpdkr_order order;
        uint64_t word;
    } u;

    u.word = __atomic_load_n((const uint64_t *) (const void *) p,
                             __ATOMIC_ACQUIRE);
    return u.order;
}

static inline void
dpdkr_order_store(struct dpdkr_order *p, uint32_t number, uint32_t link)
{
    union {
        struct dpdkr_order order;
        uint64_t word;
    } u = { .order = { .number = number, .link = link } };

    __atomic_store_n((uint64_t *) (void *) p, u.word, __ATOMIC_RELEASE);
}

#endif /* dpdkr/link.h */
