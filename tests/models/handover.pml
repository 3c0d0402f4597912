/* SPDX-License-Identifier: Apache-2.0 */

/* The handover of direct links
 * ============================
 *
 * A model of the protocol in <dpdkr/link.h>, whose names of steps label what
 * does them here, for one direction: the two do not know of each other.
 * tests/models/run checks it in the configurations that are listed there.
 *
 *
 * Processes
 * ---------
 *
 *     sender      a transmit queue of S: bursts at any time, of any length
 *     peer_ctl    the control thread of S, or R: answers to offers
 *     poll        the thread of the switch that polls a queue of S, with its
 *                 output batch
 *     receiver    a thread of R with its receive queue
 *     switch_ctl  the thread of the switch that gives orders, offers and
 *                 withdraws, whenever it likes, up to order NH
 *     reaper      the end of S (KILL_S) or R (KILL_R) at any step; switch_ctl
 *                 lets another one attach later
 *     restarter   the end of the switch at any step (KILL_SWITCH), and its
 *                 successor, which has only what is in the memory
 *     staller     R stops to poll one of its receive queues (STALL), or does
 *                 so for a while (RESUME)
 *     monitor     what must hold once nothing can happen any more
 *
 * Where the switch waits for DPDKR_LINK_PATIENCE_MS, it may lose its patience
 * at any time: over R2 (LATE), over R1 and W2 (STALL), over what S has left
 * behind (IMPATIENT).
 *
 *
 * What is checked
 * ---------------
 *
 * Nobody looks at frames, so two of them, A and B, stand for any two: the
 * sender sends any number of nameless frames, A among them once, and B once
 * after it.  When, is up to the checker.  Each of the two has a fate:
 *
 *   - No duplicate: what is received was in flight.
 *   - Order: when B is received, A is no longer in flight.  With several
 *     receive queues, frames of one sender's queue may be in different rings
 *     of R (the datapath sends flows where it likes), and between these there
 *     is no order, link or not.  There it is required if A and B were put into
 *     the same ring of R, or if the sender carried out a handover between
 *     them.  It is not required any more once the switch lost its patience
 *     with an R that lives.
 *   - No loss: in the end, nothing is in flight and all rings are empty.  A
 *     frame is lost only at somebody's end, and then it is among those that
 *     were in an output batch of that switch, or that the switch can count
 *     (left in a link, or by S in the port), or the next R (left in its port).
 *     A frame that finds a ring of R full is dropped by the switch, as always;
 *     one that finds the sender's ring full has not been accepted.
 *   - Room: nothing is put into a ring that has none, so that no slot in use
 *     is overwritten.  Frames leave RESERVED descriptors free.
 *   - Notes: the switch knows the number of each note that it reads; a
 *     receiver reads in a link the note that ends what it reads there.
 *   - In the end no gate is closed, but that of a queue which is on the link,
 *     or would leave it with its next burst.
 *   - Progress (LIVE): with a scheduler that is fair, each handover ends.
 *
 *
 * What is left out, and why
 * -------------------------
 *
 *   - Numbers that wrap, and lengths, bytes and batches of rings: a frame is
 *     published, and taken, by itself, which is the worst case for a sequence
 *     of them.
 *   - The private copies of the far index: they say at worst that there is
 *     less room or that there are fewer frames, and are refreshed then.  Slots
 *     that are released late make the ring smaller for a while.  But a note
 *     that is being passed on (W2) keeps its slot, here too.
 *   - The order of memory accesses: an index is published with release
 *     semantics and read with acquire semantics, so that what is in a ring is
 *     seen as a whole.  The place that needs more, S1 and A1, has full
 *     barriers; its loads and stores are steps of their own here.
 *   - R1 and R2 are a step each: the receive queues of R share memory of their
 *     own, in which they can do that.  A1 looks at the queues one by one.
 *   - Who breaks the protocol.  Two ends in one run.
 *   - 'seq' of an offer and DPDKR_NOTE_SEQ: the order at which the link was
 *     made stands for them.
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
byte mark[NQ];                  /* 'gate.number'. */
byte rx_done[NQ];
bool offer[2] = true;           /* To S, to R. */
bool answer[2] = true;          /* What they have answered to. */
byte rx_drain;
byte rx_force;
byte link_base;                 /* Order before the link was made: stands for
                                 * DPDKR_NOTE_SEQ. */

/* S. */
bool dead[3];                   /* S, R, and the switch. */
byte ended[3];                  /* Processes of theirs that have. */
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
bool stalled;                   /* Receive queue 1 is not polled. */
byte last[NQ];                  /* Note with which it was last activated. */
bool reads[NQ];                 /* Ring is active. */

/* What is known of A and B. */
byte next_frame = A;
byte fate[3];
byte ring_of_a;                 /* Ring of R that A is in, + 1. */
bool between;                   /* Handover between A and B. */
bool lossy;                     /* Somebody died. */
bool late;                      /* The switch lost its patience. */
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
        assert(fate[A] != IN_FLIGHT || new_s || late ||
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
        :: atomic { q < NQ && p == 1 -> reads[q] = false; q++ }
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
    if
    :: route[q] == NUMBER(m) -> port[q]?m               /*!reach passed before*/
    :: else ->
        assert(m == NOTE(next_note));
        route[q] = NUMBER(m);
        if
        :: routed[q] -> gate[q] = HOLD; passed[q] = 0
        :: else -> port[q]?m                            /*!reach no route*/
        fi
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

end_life:
    {
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
#ifdef STALL
    :: atomic {
        gate[q] == HOLD && FLUSHED(q) && !(passed[q] & 2) &&
        len(rx[1]) >= RX_SIZE && rx_force == route[q] -> /*!reach skip*/
        passed[q] = passed[q] | 2
       }
#endif
#endif
    :: atomic {
        gate[q] == HOLD && passed[q] == (1 << NRX) - 1 &&
        mark[q] != route[q] ->
        mark[q] = route[q]
       }
    :: atomic {
        gate[q] == HOLD && mark[q] == route[q] ->
        port[q]?m;
        m = 0;
        passed[q] = 0;
        gate[q] = CLOSED
       }
    /* W3. */
    :: atomic { gate[q] == CLOSED && DONE(q) -> gate[q] = OPEN; mark[q] = 0 }
    od
    } unless { atomic { dead[2] -> ended[2]++; m = 0 } };
end_dead:
    atomic { !dead[2] -> ended[2]--; goto end_life }
}

/* R1: note 'm' in ring 'r'. */
inline read_note(r, m)
{
    if
    :: !mapped[1] || NUMBER(m) <= link_base ->          /*!reach stale*/
        assert(lossy)
    :: mapped[1] && NUMBER(m) > link_base && NUMBER(m) <= last[QUEUE(m)] ->
#ifndef MUTANT_FIRST_NOTE
        assert(lossy || late);
#endif
        skip                                            /*!reach repeated*/
    :: else ->
        seen[QUEUE(m) * NRX + r] = NUMBER(m);
        if
#ifdef MUTANT_FIRST_NOTE
        :: true ->
#else
        :: (seen[QUEUE(m) * NRX] == NUMBER(m) &&
            seen[QUEUE(m) * NRX + NRX - 1] == NUMBER(m)) ||
           rx_force >= NUMBER(m) ->
#endif
            activate(QUEUE(m), NUMBER(m))
        :: else
        fi
    fi;
    m = 0
}

inline activate(q, n)
{
#ifdef MUTANT_LAST_NOTE
    assert(!reads[q]);
#endif
    reads[q] = true;
    last[q] = n
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
        :: atomic { rx_drain > last[Q] && reads[Q] -> \
                    ANSWER(Q, last[Q] + 1); reads[Q] = false } \
        :: else \
        fi
#else
#define DRAIN(Q) \
    atomic { MINE(Q) && rx_drain > last[Q] && !len(link[Q]) -> \
             ANSWER(Q, last[Q] + 1); reads[Q] = false }
#endif
/* R2: note 'm' in a link. */
inline leave(q, m)
{
    assert(!ODD(NUMBER(m)) && NUMBER(m) <= last[q] + 1);
    assert(NUMBER(m) == last[q] + 1 || late);
    reads[q] = last[q] > NUMBER(m);
    ANSWER(q, NUMBER(m))
}

#define MINE(Q) (r == (Q) % NRX && reads[Q])

proctype receiver(byte r)
{
    byte m;

end_life:
    {
end:
    do
    :: atomic { FRAME_NEXT(rx[r]) -> rx[r]?m; receive(m, r + 1); m = 0 }
    :: atomic { NOTE_NEXT(rx[r]) -> rx[r]?m; read_note(r, m) }
#ifdef STALL
    :: atomic {
        r == 0 && rx_force >= seen[0] && last[0] < seen[0] -> /*!reach forced*/
        activate(0, seen[0])
       }
#endif
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
        leave(0, m);
        m = 0
       }
    :: DRAIN(0)
#if NQ > 1
    :: atomic { MINE(1) && FRAME_NEXT(link[1]) -> link[1]?m; m = 0 }
    :: atomic {
        MINE(1) && NOTE_NEXT(link[1]) ->
        link[1]?m;
        leave(1, m);
        m = 0
       }
    :: DRAIN(1)
#endif
    od
    } unless { atomic { dead[1] || (r == 1 && stalled) -> ended[1]++; m = 0 } };
end_dead:
    atomic { ALIVE_R && !(r == 1 && stalled) -> ended[1]--; goto end_life }
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
    mark[q] = 0;
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
    {
end:
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
            reads[q] = false;
            last[q] = 0;
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
#ifdef LATE
    /* R takes too long over R2. */
    :: atomic {
        gate[0] == CLOSED && !ODD(order) && applied[0] != route[0] ->
        late = true;                                    /*!reach late*/
        mark[0] = 0;
        gate[0] = OPEN
       }
#endif
#ifdef STALL
    /* R takes too long over R1. */
    :: atomic {
        stalled && next_note && rx_force != next_note ->
        late = true;
        rx_force = next_note
       }
#endif
#ifndef LIVE
    :: atomic { !quiet -> quiet = true }
#endif
    /* What an earlier switch left half done. */
    :: offer[0] != offer[1] ->
        offer[0] = false;                               /*!reach half*/
        offer[1] = false;
        !answer[0] && !answer[1]
    od
    } unless {
        atomic { dead[2] -> ended[2]++; q = 0; a = 0; n = 0; m = 0; ok = false }
    };
end_dead:
    atomic { !dead[2] -> ended[2]--; goto end_life }
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

#ifdef KILL_SWITCH
/* The switch ends, and starts again with what it finds in the memory. */
proctype restarter()
{
    byte q;
    byte m;

    if
    :: atomic { lossy = true; dead[2] = true }
        atomic {
            ended[2] == NQ + 1 ->
            do
            :: q < NQ ->
                discard(batch[q]);
                passed[q] = 0;
                routed[q] = true;
                m = NOTE(noted[q]);
                route[q] = noted[q];
                if
                :: noted[q] && port[q]??[eval(m)] -> route[q] = 0 /*!reach found*/
                :: else
                fi;
                m = 0;
#ifdef MUTANT_ADOPT_NOTED
                gate[q] = (offer[0] && offer[1] && route[q] > link_base
                           -> CLOSED : OPEN);
#else
                if
                :: offer[0] && offer[1] && mark[q] > link_base ->
                    gate[q] = CLOSED;
                    route[q] = mark[q]
                :: else -> gate[q] = OPEN; mark[q] = 0
                fi;
#endif
                q++
            :: else -> q = 0; break
            od;
            next_note = (ODD(order) || !order -> order : order - 1);
            dead[2] = false
        }
    :: skip
    fi
}
#endif

#ifdef STALL
proctype staller()
{
    if
    :: stalled = true ->
#ifdef RESUME
        if
        :: stalled = false
        :: skip
        fi
#endif
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
        assert(fate[A] != IN_FLIGHT || (stalled && rx[NRX - 1]??[A]));
        assert(fate[B] != IN_FLIGHT || (stalled && rx[NRX - 1]??[B]));
#if !defined(IMPATIENT) && !defined(KILL_R) && !defined(KILL_SWITCH)
        assert(fate[A] != LOST && fate[B] != LOST);
#endif
        do
        :: q < NQ ->
            assert(!len(link[q]) && !len(batch[q]));
            /* A switch that was started again releases its predecessor's note
             * when the gate opens. */
            assert(!len(port[q]) ||
                   (lossy && len(port[q]) == 1 && gate[q] == CLOSED &&
                    port[q]?[eval(NOTE(route[q]))]));
            assert(gate[q] == OPEN ||
                   (gate[q] == CLOSED && on_link[q] &&
                       follows[q] == route[q] && reads[q] &&
                       last[q] == route[q]));
            q++
        :: else -> break
        od;
        assert(!len(rx[0]) && (stalled || !len(rx[NRX - 1])));
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
#ifdef KILL_SWITCH
        run restarter();
#endif
#ifdef STALL
        run staller();
#endif
#ifndef LIVE
        run monitor()
#endif
    }
}

#ifdef LIVE
#define SETTLED \
    (order == NH && follows[0] == NH && \
     ((ODD(NH) && reads[0] && last[0] == NH) || (!ODD(NH) && gate[0] == OPEN)))
ltl ends { <> [] SETTLED }
#endif
