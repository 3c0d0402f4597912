/* SPDX-License-Identifier: Apache-2.0 */

/* The handover of direct links
 * ============================
 *
 * A model of the protocol in <dpdkr/link.h>, whose names of steps label what
 * does them here.  tests/models/run checks it in the configurations that are
 * listed there.
 *
 *
 * Processes
 * ---------
 *
 *     sender      a transmit queue of S: bursts at any time, of any length
 *     peer_ctl    the control thread of S or R: answers to offers
 *     poll        the thread of the switch that polls a queue of S, with its
 *                 output batch
 *     receiver    a thread of R with its receive queue
 *     switch_ctl  the thread of the switch that gives orders, whatever and
 *                 whenever it likes, up to order number NH
 *     reaper      the end of a peer at any step, if KILL_S or KILL_R
 *     monitor     what must hold once nothing can happen any more
 *
 *
 * What is checked
 * ---------------
 *
 * Frames are not looked at by anybody, so two of them, A and B, stand for any
 * two: the sender sends any number of nameless frames, A among them once, B
 * after A once.  Which ones, is up to the checker.  Each has a fate:
 *
 *   - No duplicate: what is received was in flight.
 *   - Order: when B is received, A is no longer in flight.  With several
 *     receive queues, the frames of one sender's queue may be in different
 *     rings of R (the datapath may send flows where it likes), and between
 *     these there is no order, link or not.  So it is required if A and B were
 *     put into the same ring of R, or if either of them, or any handover that
 *     the sender carried out between them, was to a link.
 *   - No loss: in the end, nothing is in flight, and all rings are empty.  A
 *     frame is lost only with the end of a peer, and then it is among those
 *     that the switch (what is left in a link or, of S, in the port) or the
 *     next R (what is left in its port) counts.  A frame that finds a ring of
 *     R full is dropped by the switch, as always; one that finds a ring of the
 *     sender full is not accepted.
 *   - No overwriting: nothing is put into a ring without room.  Frames leave
 *     RESERVED descriptors free.
 *   - Notes: the switch knows the number of each note that it reads, the
 *     receiver reads only the note that ends what it reads.
 *   - End: whatever happened, in the end no gate is closed but of a queue that
 *     still follows its link, or would leave it with its next burst.
 *   - Progress (LIVE): with a scheduler that is fair, each handover ends.
 *
 *
 * What is left out, and why
 * -------------------------
 *
 *   - The private copies of the far index: they say at most that there is less
 *     room or fewer frames, and are refreshed then.  So are slots that are
 *     released late; that is the same as a smaller ring.  A note that is
 *     passed on (W2) keeps its slot, here too.
 *   - The order of the memory accesses: an index is published with release
 *     semantics and read with acquire semantics, so that what is in a ring is
 *     seen as a whole.  The two places that need more than that have a full
 *     barrier (S1, A1), and are split in their loads and stores here.
 *   - What the peer does to break the protocol.
 *   - Receivers that live but do not poll for longer than the switch waits:
 *     there, order is given up on purpose.
 */

#ifndef NQ
#define NQ 1                    /* Transmit queues of S.  Queue 1 takes all the
                                 * steps, but sends no frames. */
#endif
#ifndef NRX
#define NRX 1                   /* Receive queues of R. */
#endif
#ifndef PORT_SIZE
#define PORT_SIZE 2             /* Descriptors of S's rings in its port... */
#endif
#ifndef LINK_SIZE
#define LINK_SIZE 2             /* ...and the link... */
#endif
#ifndef RX_SIZE
#define RX_SIZE 2               /* ...and of R's rings in its port. */
#endif
#ifndef RESERVED
#define RESERVED 1
#endif
#ifndef BATCH
#define BATCH 1                 /* Frames in an output batch. */
#endif
#ifndef NH
#define NH 4                    /* Last order. */
#endif
#ifndef WITHDRAWALS
#define WITHDRAWALS 0
#endif

/* Contents of rings: frames... */
#define PLAIN 0
#define A 1
#define B 2
/* ...and notes. */
#define NOTE(N) (8 + (N))
#define RX_NOTHING 1
#define RX_NOTE(Q, N) (8 + 16 * (Q) + (N))
#define IS_NOTE(M) ((M) >= 8)
#define NUMBER(M) ((M) & 7)
#define QUEUE(M) ((M) >> 4)
#define FRAME_NEXT(RING) (RING?[PLAIN] || RING?[A] || RING?[B])
#define NOTE_NEXT(RING) (len(RING) && !FRAME_NEXT(RING))

/* Fates. */
#define UNSENT 0
#define IN_FLIGHT 1
#define RECEIVED 2
#define DROPPED 3
#define LOST 4

#define OPEN 0
#define HOLD 1
#define CLOSED 2

#define ODD(N) ((N) & 1)

/* Rings.  Index of receive rings: q * NRX + r etc. are spelled out. */
chan port[NQ] = [PORT_SIZE] of { byte };
chan link[NQ] = [LINK_SIZE] of { byte };
chan rx[NRX] = [RX_SIZE] of { byte };
chan batch[NQ] = [BATCH] of { byte };

/* Control. */
byte order;                     /* 'tx_order.number'. */
byte applied[NQ];
byte noted[NQ];
byte rx_done[NQ];
bool offer[2] = true;           /* To S, to R. */
bool answer[2] = true;          /* What they have answered to. */
byte rx_drain;
byte link_base;                 /* Order before the link was made: stands for
                                 * DPDKR_NOTE_SEQ. */

/* S. */
bool dead[2];
byte ended[2];                  /* Processes that have. */
bool down[2];                   /* The switch has dealt with that. */
bool busy[NQ];                  /* In a burst. */
bool mapped[2] = true;          /* Queues may use the link. */
byte follows[NQ];
bool on_link[NQ];

/* Switch. */
byte gate[NQ];
byte route[NQ];                 /* Last note taken. */
byte passed[NQ];                /* Rings of R that have it. */
byte next_note;                 /* Last order to the link, and whether... */
bool routed[NQ];                /* ...its note can be passed on. */
bool r_up = true;

/* R. */
byte seen[NQ * NRX];
byte reads[NQ];                 /* Active ring: number of its handover. */

/* What is known of A and B. */
byte next_frame = A;
byte fate[3];
byte ring_of_a;                 /* Ring of R that A is in, + 1. */
bool between;                   /* Handover between A and B. */
bool lossy;                     /* Somebody died. */
bool new_s;                     /* B is not from the same S as A. */

#define ALIVE_S (!dead[0])
#define ALIVE_R (!dead[1])

inline lose(m)
{
    if
    :: IS_NOTE(m) || m == PLAIN
    :: else ->
        assert(lossy && fate[m] == IN_FLIGHT);
        fate[m] = LOST
    fi
}

/* Frame 'm' is received from ring 'ring' + 1 of R's port, or a link (0). */
inline receive(m, ring)
{
    if
    :: m == PLAIN
    :: m == A ->
        assert(fate[A] == IN_FLIGHT);
        fate[A] = RECEIVED
    :: m == B ->
        assert(fate[B] == IN_FLIGHT);
        assert(fate[A] != IN_FLIGHT || new_s ||
               (!between && ring && ring_of_a && ring_of_a != ring));
        fate[B] = RECEIVED
    fi
}

/* Whether there is room for a note. */
#ifdef MUTANT_NO_ROOM
#define HAS_ROOM(RING, SIZE) true
#else
#define HAS_ROOM(RING, SIZE) (len(RING) < (SIZE))
#endif

/* Handover of 'q' between A and B. */
inline handover()
{
    between = between || (q == 0 && next_frame == B)
}

#define FULL(RING, SIZE) (len(RING) >= (SIZE) - RESERVED)

/* Bursts are finite. */
#ifdef LIVE
#define NEXT ; break
#else
#define NEXT
#endif

proctype sender(byte q)
{
    byte o;

end_life:
    {
    do
    :: atomic { o = order; busy[q] = true }
        if
        :: o != follows[q] ->
            /* S1. */
            do
            :: applied[q] = o;
#ifdef MUTANT_NO_DEKKER
                break
#else
                if
                :: atomic { o == order -> break }
                :: atomic { o != order -> o = order }       /*!reach again*/
                fi
#endif
            od;

            /* S4, S5. */
            if
            :: atomic {
                on_link[q] && HAS_ROOM(link[q], LINK_SIZE) ->
                assert(len(link[q]) < LINK_SIZE);
                link[q]!NOTE(follows[q] + 1);
                on_link[q] = false;
                follows[q] = follows[q] + 1;
                handover()
               }
            :: atomic {
                on_link[q] && !HAS_ROOM(link[q], LINK_SIZE) -> /*!reach no room*/
                goto burst_end
               }
            :: atomic { !on_link[q] && ODD(follows[q]) -> follows[q]++ }
            :: atomic { !on_link[q] && !ODD(follows[q]) -> skip }
            fi;

            /* S2, S3. */
            if
            :: atomic {
                ODD(o) && HAS_ROOM(port[q], PORT_SIZE) ->
                assert(len(port[q]) < PORT_SIZE);
                port[q]!NOTE(o);
                handover()
               }
                atomic { noted[q] = o; on_link[q] = true; follows[q] = o }
            :: atomic {
                ODD(o) && !HAS_ROOM(port[q], PORT_SIZE) ->
                goto burst_end
               }
            :: atomic { !ODD(o) -> follows[q] = o }
            fi
        :: else
        fi;

        do
        :: atomic { q == 0 && !on_link[q] && !FULL(port[q], PORT_SIZE) ->
                    port[q]!PLAIN } NEXT
        :: atomic { q == 0 && on_link[q] && !FULL(link[q], LINK_SIZE) ->
                    link[q]!PLAIN } NEXT
        :: atomic { q == 0 && next_frame <= B && !on_link[q] &&
                    !FULL(port[q], PORT_SIZE) ->
                    port[q]!next_frame;
                    fate[next_frame] = IN_FLIGHT;
                    next_frame++ } NEXT
        :: atomic { q == 0 && next_frame <= B && on_link[q] &&
                    !FULL(link[q], LINK_SIZE) ->
                    link[q]!next_frame;
                    fate[next_frame] = IN_FLIGHT;
                    next_frame++ } NEXT
        :: atomic { busy[q] = false; o = 0; break }
        od;
burst_end:
        atomic { busy[q] = false; o = 0 }
#ifndef LIVE
    :: break
#endif
    od;
end_stopped:
    false
    } unless { atomic { dead[0] -> ended[0]++; o = 0 } };
end_dead:
    atomic { ALIVE_S -> ended[0]--; goto end_life }
}

proctype peer_ctl(byte p)
{
    byte q;

end_life:
    {
end:
    do
    :: atomic { offer[p] && !answer[p] -> q = 0 }
        do
        :: atomic { p == 1 && q < NQ -> rx_done[q] = RX_NOTHING; q++ }
        :: p == 0 || q == NQ -> break
        od;
        atomic { mapped[p] = true; answer[p] = true; q = 0 }
    :: atomic { !offer[p] && answer[p] -> mapped[p] = false; q = 0 }
        do
        :: atomic { q < NQ && p == 0 && !busy[q] -> on_link[q] = false; q++ }
        :: atomic { q < NQ && p == 1 -> reads[q] = 0; q++ }
        :: q == NQ -> break
        od;
        atomic { answer[p] = false; q = 0 }
    od
    } unless { atomic { dead[p] -> ended[p]++; q = 0 } };
end_dead:
    atomic { !dead[p] -> ended[p]--; goto end_life }
}

/* Note from a sender's queue, seen by the thread that polls it. */
inline take_note(q, m)
{
    port[q]?<m>;
    route[q] = NUMBER(m);
    assert(m == NOTE(next_note));
    if
    :: routed[q] -> gate[q] = HOLD; passed[q] = 0
    :: else -> port[q]?m                                /*!reach no route*/
    fi;
    m = 0
}

/* Frame leaves the output batch, for ring 'r' of R. */
inline flush(q, r, m)
{
    batch[q]?m;
    if
    :: r_up && len(rx[r]) < RX_SIZE - RESERVED ->
        rx[r]!m;
        if
        :: m == A -> ring_of_a = r + 1
        :: else
        fi
    :: else ->
        if
        :: m == PLAIN
        :: else -> fate[m] = DROPPED
        fi
    fi;
    m = 0
}

#ifdef MUTANT_NO_FLUSH
#define FLUSHED(Q) true
#else
#define FLUSHED(Q) (len(batch[Q]) == 0)
#endif

#ifdef MUTANT_EARLY_GATE
#define DONE(Q) (applied[Q] != route[Q])
#else
#define DONE(Q) (rx_done[Q] == route[Q] + 1)
#endif

proctype poll(byte q)
{
    byte m;

end:
    do
    :: atomic {
        gate[q] == OPEN && FRAME_NEXT(port[q]) && len(batch[q]) < BATCH ->
        port[q]?m;
        batch[q]!m;
        m = 0
       }
    :: atomic { len(batch[q]) > 0 -> flush(q, 0, m) }
#if NRX > 1
    :: atomic { len(batch[q]) > 0 -> flush(q, 1, m) }
#endif
    /* W1. */
    :: atomic { gate[q] == OPEN && NOTE_NEXT(port[q]) -> take_note(q, m) }
    /* W2. */
    :: atomic {
        gate[q] == HOLD && r_up && FLUSHED(q) && !(passed[q] & 1) &&
        len(rx[0]) < RX_SIZE ->
        rx[0]!RX_NOTE(q, route[q]);
        passed[q] = passed[q] | 1
       }
#if NRX > 1
    :: atomic {
        gate[q] == HOLD && r_up && FLUSHED(q) && !(passed[q] & 2) &&
        len(rx[1]) < RX_SIZE ->
        rx[1]!RX_NOTE(q, route[q]);
        passed[q] = passed[q] | 2
       }
#endif
    :: atomic {
        gate[q] == HOLD && passed[q] == (1 << NRX) - 1 ->
        port[q]?m;
        m = 0;
        passed[q] = 0;
        gate[q] = CLOSED
       }
    /* W3. */
    :: atomic { gate[q] == CLOSED && DONE(q) -> gate[q] = OPEN }
    od
}

/* R1: note 'm' in ring 'r'. */
inline mark(r, m)
{
    if
    :: !mapped[1] || NUMBER(m) <= link_base ->          /*!reach stale*/
        assert(lossy)
    :: else ->
        seen[QUEUE(m) * NRX + r] = NUMBER(m);
        if
#ifdef MUTANT_FIRST_NOTE
        :: reads[QUEUE(m)] != NUMBER(m) ->
#else
        :: seen[QUEUE(m) * NRX] == NUMBER(m) &&
           seen[QUEUE(m) * NRX + NRX - 1] == NUMBER(m) ->
#endif
            assert(!reads[QUEUE(m)]);
            reads[QUEUE(m)] = NUMBER(m)
        :: else
        fi
    fi;
    m = 0
}

#ifdef MUTANT_NO_ANSWER
#define ANSWER(Q, N) skip
#else
#define ANSWER(Q, N) rx_done[Q] = N
#endif

#ifdef MUTANT_DRAIN_LATE
#define DRAIN(Q) \
    MINE(Q) && !len(link[Q]) -> \
        if \
        :: atomic { rx_drain > reads[Q] && reads[Q] -> \
                    ANSWER(Q, reads[Q] + 1); reads[Q] = 0 } \
        :: else \
        fi
#else
#define DRAIN(Q) \
    atomic { MINE(Q) && rx_drain > reads[Q] && !len(link[Q]) -> \
             ANSWER(Q, reads[Q] + 1); reads[Q] = 0 }
#endif
#define MINE(Q) (r == (Q) % NRX && reads[Q])

proctype receiver(byte r)
{
    byte m;

end_life:
    {
end:
    do
    :: atomic { FRAME_NEXT(rx[r]) -> rx[r]?m; receive(m, r + 1); m = 0 }
    :: atomic { NOTE_NEXT(rx[r]) -> rx[r]?m; mark(r, m) }
    :: atomic {
        MINE(0) && FRAME_NEXT(link[0]) ->
        link[0]?m;
        receive(m, 0);
        m = 0
       }
    /* R2. */
    :: atomic {
        MINE(0) && NOTE_NEXT(link[0]) ->
        link[0]?m;
        assert(NUMBER(m) == reads[0] + 1);
        reads[0] = 0;
        ANSWER(0, NUMBER(m));
        m = 0
       }
    :: DRAIN(0)
#if NQ > 1
    :: atomic { MINE(1) && FRAME_NEXT(link[1]) -> link[1]?m; m = 0 }
    :: atomic {
        MINE(1) && NOTE_NEXT(link[1]) ->
        link[1]?m;
        assert(NUMBER(m) == reads[1] + 1);
        reads[1] = 0;
        ANSWER(1, NUMBER(m));
        m = 0
       }
    :: DRAIN(1)
#endif
    od
    } unless { atomic { dead[1] -> ended[1]++; m = 0 } };
end_dead:
    atomic { ALIVE_R -> ended[1]--; goto end_life }
}

/* S is gone, and all that it has sent has been received. */
#define QUEUE_LEFT_NOTHING(Q) \
    (!len(port[Q]) && !len(batch[Q]) && gate[Q] == OPEN && !len(link[Q]))
#if NQ > 1
#define NOTHING_LEFT (QUEUE_LEFT_NOTHING(0) && QUEUE_LEFT_NOTHING(1))
#else
#define NOTHING_LEFT QUEUE_LEFT_NOTHING(0)
#endif

/* What the switch knows of queue 'q', having read 'a' from 'applied', then 'n'
 * from 'noted': a note is under way to it or being passed on. */
#ifdef MUTANT_APPLIED_ONLY
#define UNDER_WAY(Q, APPLIED, NOTED) \
    ((ODD(APPLIED) && route[Q] != (APPLIED)) || gate[Q] == HOLD)
#else
#define UNDER_WAY(Q, APPLIED, NOTED) \
    ((ODD(APPLIED) && route[Q] != (APPLIED)) || gate[Q] == HOLD \
     || ((NOTED) && route[Q] != (NOTED)))
#endif

/* Sets 'ok' to whether 'condition' holds for all queues, each looked at by
 * itself. */
inline for_all_queues(condition)
{
    ok = true;
    do
    :: q < NQ ->
        a = applied[q];
        n = noted[q];
        atomic { ok = ok && (condition); q++; a = 0; n = 0 }
    :: else -> q = 0; break
    od
}

/* Takes out what is left in 'ring'. */
inline discard(ring)
{
    do
    :: len(ring) > 0 -> ring?m; lose(m)
    :: else -> break
    od;
    m = 0
}

/* Opens the gate of 'q', and forgets where notes are to go. */
inline open_gate()
{
    if
    :: gate[q] == HOLD -> port[q]?m; m = 0              /*!reach hold*/
    :: else
    fi;
    gate[q] = OPEN;
    passed[q] = 0;
    routed[q] = false
}

proctype switch_ctl()
{
    byte q;
    byte a;
    byte n;
    byte m;
    byte withdrawals = WITHDRAWALS;
    bool ok;
    bool quiet;

end_life:
    do
    /* A1. */
    :: !quiet && !ODD(order) && order < NH && offer[0] && offer[1] &&
       answer[0] && answer[1] && ALIVE_S && ALIVE_R ->
        for_all_queues(!UNDER_WAY(q, a, n));
        atomic {
            if
            :: ok ->
                do
                :: q < NQ -> routed[q] = true; q++
                :: else -> q = 0; break
                od;
                next_note = order + 1;
                order = order + 1;
                ok = false
            :: else                                     /*!reach wait*/
            fi
        }
    /* A2. */
    :: !quiet && ODD(order) && order < NH -> order = order + 1

    /* A3. */
    :: withdrawals && !ODD(order) && offer[0] && offer[1] && answer[0] &&
       answer[1] && ALIVE_S && ALIVE_R ->
        for_all_queues(!UNDER_WAY(q, a, n) && !ODD(a) && gate[q] == OPEN &&
                       !len(link[q]));
        if
        :: ok ->
            ok = false;
            withdrawals--;
            offer[0] = false;
            offer[1] = false;
            (!answer[0] || !ALIVE_S) && (!answer[1] || !ALIVE_R);
            do
            :: q < NQ -> assert(!len(link[q])); q++
            :: else -> q = 0; break
            od
        :: else
        fi

    /* Another link. */
    :: atomic {
        !quiet && !offer[0] && !offer[1] && !answer[0] && !answer[1] &&
        ALIVE_S && ALIVE_R && order < NH ->
        link_base = order;
        offer[0] = true;
        offer[1] = true
       }

#if defined(KILL_S) || defined(KILL_R)
    /* A4, A5. */
    :: (dead[0] && !down[0]) || (dead[1] && !down[1]) ->
        if
        :: ODD(order) -> order = order + 1
        :: else
        fi;
        if
        :: dead[1]
        :: else ->
            rx_drain = order;
            if
            :: dead[1]
            :: !offer[1]
            :: NOTHING_LEFT
#ifdef IMPATIENT
            :: true
#endif
            fi
        fi;
#ifdef MUTANT_GATES_FIRST
        do
        :: q < NQ -> atomic { open_gate(); q++ }
        :: else -> q = 0; break
        od;
#endif
        offer[0] = false;
        offer[1] = false;
        (!answer[0] || !ALIVE_S) && (!answer[1] || !ALIVE_R);
        rx_drain = 0;
        do
        :: q < NQ -> atomic { discard(link[q]); open_gate(); q++ }
        :: else -> q = 0; break
        od;
        atomic {
            down[0] = dead[0];
            down[1] = dead[1];
            r_up = !dead[1]
        }
/* The next S, the next R. */
    :: atomic {
        dead[0] && down[0] && ended[0] == NQ + 1 ->
        do
        :: q < NQ ->
            discard(port[q]);
            applied[q] = 0;
            noted[q] = 0;
            follows[q] = 0;
            on_link[q] = false;
            busy[q] = false;
            q++
        :: else -> q = 0; break
        od;
        new_s = new_s || next_frame == B;
        answer[0] = false;
        mapped[0] = false;
        down[0] = false;
        dead[0] = false
       }
    :: atomic {
        dead[1] && down[1] && ended[1] == NRX + 1 ->
        do
        :: q < NRX ->
            discard(rx[q]);
            q++
        :: else -> q = 0; break
        od;
        do
        :: q < NQ ->
            seen[q * NRX] = 0;
            seen[q * NRX + NRX - 1] = 0;
            reads[q] = 0;
            q++
        :: else -> q = 0; break
        od;
        answer[1] = false;
        mapped[1] = false;
        down[1] = false;
        dead[1] = false;
        r_up = true
       }
#endif
#ifndef LIVE
    :: atomic { !quiet -> quiet = true }
#endif
    od
}

#if defined(KILL_S) || defined(KILL_R)
proctype reaper(byte p)
{
    if
    :: atomic { lossy = true; dead[p] = true }
    :: skip
    fi
}
#endif

#ifndef LIVE
proctype monitor()
{
    byte q;

    timeout;
    atomic {
        assert(fate[A] != IN_FLIGHT && fate[B] != IN_FLIGHT);
#if !defined(IMPATIENT) && !defined(KILL_R)
        assert(fate[A] != LOST && fate[B] != LOST);
#endif
        do
        :: q < NQ ->
            assert(!len(port[q]) && !len(link[q]) && !len(batch[q]));
            assert(gate[q] == OPEN ||
                   (gate[q] == CLOSED && on_link[q] &&
                       follows[q] == route[q] && reads[q] == route[q]));
            q++
        :: else -> break
        od;
        assert(!len(rx[0]) && !len(rx[NRX - 1]));
        assert(offer[0] == offer[1] && !rx_drain);
        assert(!ALIVE_S || answer[0] == offer[0]);
        assert(!ALIVE_R || answer[1] == offer[1])
    }
}
#endif

init {
    byte i;

    atomic {
        do
        :: i < NQ -> run sender(i); run poll(i); i++
        :: else -> i = 0; break
        od;
        do
        :: i < NRX -> run receiver(i); i++
        :: else -> i = 0; break
        od;
        run peer_ctl(0);
        run peer_ctl(1);
        run switch_ctl();
#ifdef KILL_S
        run reaper(0);
#endif
#ifdef KILL_R
        run reaper(1);
#endif
#ifndef LIVE
        run monitor()
#endif
    }
}

#ifdef LIVE
#define SETTLED \
    (order == NH && follows[0] == NH && \
     ((ODD(NH) && reads[0] == NH) || (!ODD(NH) && gate[0] == OPEN)))
ltl ends { <> [] SETTLED }
#endif
