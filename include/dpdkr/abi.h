/* SPDX-License-Identifier: Apache-2.0 */

#ifndef DPDKR_ABI_H
#define DPDKR_ABI_H 1

/* The dpdkr shared memory format
 * ==============================
 *
 * What
 * ----
 *
 * A "dpdkr" port is one piece of shared memory that carries Ethernet frames
 * between two sides.  This header is the only description of that memory.  It
 * is used unchanged by the switch (lib/netdev-dpdkr.c), by the DPDK driver
 * and by the client library (drivers/), and it depends on neither Open
 * vSwitch nor DPDK.  <dpdkr/link.h> is its second part, direct links, and
 * <dpdkr/ring.h> has the operations on rings.
 *
 *     kind                side A              side B
 *     ------------------  ------------------  --------------------------
 *     DPDKR_KIND_PORT     the switch          a VM, container or process
 *     DPDKR_KIND_LINK     one port's peer     another port's peer
 *
 * The memory is a regular file (tmpfs or hugetlbfs); a VM sees it as BAR 2 of
 * an ivshmem-plain PCI device.
 *
 *
 * Layout
 * ------
 *
 *     0                 struct dpdkr_header           (DPDKR_HEADER_BYTES)
 *     rings_offset      ring 0: struct dpdkr_ring, then ring_size descriptors
 *      + ring_bytes     ring 1
 *        ...            (2 * n_queues rings)
 *     slots_offset      ring 0: ring_size slots, slot_stride bytes apart
 *      + ring_size * slot_stride
 *                       ring 1
 *        ...
 *
 * Ring 2q carries frames from side A to side B on queue pair q, ring 2q + 1
 * from B to A.  Slot i of a ring belongs to descriptor i of that ring for
 * ever, so that there is no offset in shared memory that somebody would have
 * to check; everything is found from the geometry, which a reader copies once
 * with dpdkr_geometry_read() and never reads again.
 *
 * One frame takes one slot: 'slot_size' is the largest frame, and is chosen
 * for the MTU (up to DPDKR_MAX_SLOT).  'slot_stride' is an odd number of cache
 * lines, so that the first lines of the slots, which are all that short frames
 * touch, spread over all the sets of a cache.
 *
 * Numbers are in the byte order of the host; both sides are always on one
 * host.
 *
 *
 * Offloads
 * --------
 *
 * A frame in this memory is complete: it has all its checksums and is no
 * longer than the port's MTU allows.  There is no checksum or segmentation
 * offload across it in either direction.  A sender that holds a frame with
 * work left in it (the switch with userspace TSO enabled) does that work
 * before it writes the frame.
 *
 *
 * Rings
 * -----
 *
 * A ring has one producer and one consumer.  'prod' and 'cons' run free
 * through the 32-bit numbers; prod - cons is what waits in the ring and never
 * exceeds ring_size, a power of two.  The producer fills slots and
 * descriptors, then stores 'prod' with release semantics; the consumer loads
 * it with acquire semantics, and the same the other way round for 'cons'.
 * Each side keeps its own index privately and only publishes it: an index in
 * shared memory is never read back by the side that owns it, except when it
 * restarts.
 *
 * A consumer that sleeps says so in 'wake', see there.
 *
 *
 * Attaching
 * ---------
 *
 * Side A makes the memory and holds it ready.  A side that attaches proceeds
 * as follows.  Seen from side B:
 *
 *   1. Lock byte DPDKR_LOCK_OFFSET + DPDKR_SIDE_B of the file with an open
 *      file description lock (F_OFD_SETLK, F_WRLCK).  If somebody has it, the
 *      port is taken: stop.  The lock is what tells side A that B is alive,
 *      since the kernel drops it whatever way B ends.  A guest, which has no
 *      file, sets DPDKR_F_HEARTBEAT in 'flags' instead and increments
 *      'heartbeat' at least every DPDKR_HEARTBEAT_MS.
 *
 *   2. Fill in 'version', 'flags', 'n_rxq', 'n_txq', 'pid' of its struct
 *      dpdkr_side, set 'state' to DPDKR_ATTACHING, then increment 'epoch'.
 *
 *   3. Wait until side A's 'ack' equals that epoch.  (If it never does, A is
 *      not running, or does not speak B's version.)  Nothing is produced or
 *      consumed before that.
 *
 *   4. Start each ring: as its consumer, take the producer's index ('prod')
 *      for its own: what an earlier side B left unread is skipped and counted
 *      in 'cons_skipped'.  As its producer, start at the consumer's index
 *      ('cons'): what an earlier side B published and side A has not taken is
 *      dropped and counted in 'drop_other', since it may be what that B was
 *      cut off for.  Publish.
 *
 *   5. Set 'state' to DPDKR_UP.
 *
 * Seen from side A, which must not trust B:
 *
 *   1. B's epoch differs from the one last acknowledged, and B is alive: check
 *      'version'.  Forget what B did before: publish the own indexes of all
 *      the rings anew (B's predecessor may have overwritten them) and lift a
 *      cut-off, in that case behind all that waits in the rings that B
 *      produces.
 *
 *   2. Set 'ack' to B's epoch.
 *
 *   3. B's state is DPDKR_UP: take the other index of each ring anew (the
 *      consumer's for the rings A produces and the reverse) if it is in range;
 *      the link is up.
 *
 * To detach, B sets 'state' to DPDKR_DOWN.  A side that restarts attaches with
 * a larger epoch.  When side A restarts it adopts memory that fits its
 * configuration: it continues with the indexes in shared memory, increments
 * its own epoch and leaves 'ack' as it finds it, so that a B which is attached
 * and alive carries on without any step of its own.
 *
 * Side A sets 'state' to DPDKR_RETIRED when it gives the memory up (the port
 * was removed, or came back with another geometry).  B unmaps it and attaches
 * anew through the path when that has a file with another 'id'.
 *
 *
 * Cutting off
 * -----------
 *
 * A side that finds an index, a length or a flag that cannot be stops using
 * all the rings, sets 'cut' to the other side's epoch and 'cut_reason' to one
 * of DPDKR_CUT_*.  The link is down from then on, until the other side
 * attaches with a new epoch. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
#define DPDKR_STATIC_ASSERT(EXPR, TEXT) static_assert(EXPR, TEXT)
#else
#define DPDKR_STATIC_ASSERT(EXPR, TEXT) _Static_assert(EXPR, TEXT)
#endif

/* "OVSdpdkr" in memory, on a little-endian machine. */
#define DPDKR_MAGIC 0x726b64706473564fULL

/* A change of the major number breaks the other side; one of the minor number
 * only gives meaning to what was zero. */
#define DPDKR_ABI_MAJOR 1
#define DPDKR_ABI_MINOR 1           /* 1: direct links. */
#define DPDKR_VERSION(MAJOR, MINOR) ((uint32_t) (MAJOR) << 16 | (MINOR))
#define DPDKR_ABI_VERSION DPDKR_VERSION(DPDKR_ABI_MAJOR, DPDKR_ABI_MINOR)
#define DPDKR_VERSION_MAJOR(VERSION) ((VERSION) >> 16)
#define DPDKR_VERSION_MINOR(VERSION) ((VERSION) & 0xffff)

#define DPDKR_CACHE_LINE 64

/* Limits of the geometry.  A reader refuses what lies outside. */
#define DPDKR_MIN_RING 64           /* Descriptors. */
#define DPDKR_MAX_RING 32768
#define DPDKR_MIN_SLOT 256          /* Bytes. */
#define DPDKR_MAX_SLOT 16384
#define DPDKR_MAX_QUEUES 64         /* Queue pairs. */

/* The shortest frame: an Ethernet header.  A shorter one is dropped and
 * counted, as the datapath drops it; it does not break the format. */
#define DPDKR_MIN_FRAME 14

/* What a frame of a given MTU takes: Ethernet header, two VLAN tags. */
#define DPDKR_L2_OVERHEAD (14 + 2 * 4)

/* Values for the 'kind' member of struct dpdkr_header. */
#define DPDKR_KIND_PORT 1
#define DPDKR_KIND_LINK 2

#define DPDKR_SIDE_A 0
#define DPDKR_SIDE_B 1

/* Byte of the file that side S locks is DPDKR_LOCK_OFFSET + S; it lies far
 * behind the end of the file. */
#define DPDKR_LOCK_OFFSET ((int64_t) 1 << 40)

/* Values for the 'state' member of struct dpdkr_side. */
#define DPDKR_DOWN 0                /* Not attached. */
#define DPDKR_ATTACHING 1           /* Waits for the other side's 'ack'. */
#define DPDKR_UP 2                  /* Produces and consumes. */
#define DPDKR_ADMIN_DOWN 3          /* Attached, set down by its admin. */
#define DPDKR_RETIRED 4             /* Side A: gone for good. */

/* Bits in the 'flags' member of struct dpdkr_side. */
#define DPDKR_F_HEARTBEAT (1u << 0) /* Alive as long as 'heartbeat' moves,
                                     * not as long as the lock is held. */
#define DPDKR_F_SLEEPS (1u << 1)    /* Its consumers may sleep on 'wake'. */
#define DPDKR_F_LINKS (1u << 2)     /* Follows orders, <dpdkr/link.h>. */

/* A side with DPDKR_F_HEARTBEAT moves 'heartbeat' this often, and is taken for
 * dead when it did not for DPDKR_DEAD_MS. */
#define DPDKR_HEARTBEAT_MS 500
#define DPDKR_DEAD_MS 3000

/* Values for the 'cut_reason' member of struct dpdkr_side. */
#define DPDKR_CUT_NONE 0
#define DPDKR_CUT_INDEX 1           /* An index left the ring. */
#define DPDKR_CUT_LENGTH 2          /* A frame longer than its slot. */
#define DPDKR_CUT_FLAGS 3           /* An unknown descriptor flag, or a note
                                     * where none can be. */
#define DPDKR_CUT_MEMORY 4          /* The file was truncated. */
#define DPDKR_CUT_HEADER 5          /* The header was overwritten. */
#define DPDKR_CUT_N 6

/* What one side says of itself.  Written by that side alone.
 *
 * Everything but 'state', 'epoch', 'ack', 'cut' and 'heartbeat' is constant
 * for one epoch. */
struct dpdkr_side {
    uint32_t state;             /* One of DPDKR_DOWN ... DPDKR_RETIRED. */
    uint32_t epoch;             /* Grows each time the side attaches. */
    uint32_t ack;               /* Epoch of the other side last accepted. */
    uint32_t cut;               /* Epoch of the other side cut off, or 0. */
    uint32_t cut_reason;        /* One of DPDKR_CUT_*. */
    uint32_t version;           /* DPDKR_ABI_VERSION of this side's program. */
    uint32_t flags;             /* DPDKR_F_*. */
    uint32_t n_rxq;             /* Queues it consumes, from queue 0 on... */
    uint32_t n_txq;             /* ...and produces, 1 to n_queues. */
    uint32_t pid;               /* For messages only; 0 if unknown. */
    uint32_t mtu;               /* L3 bytes, set by the switch; may change. */
    uint32_t pad0;
    uint64_t heartbeat;         /* With DPDKR_F_HEARTBEAT. */
    uint8_t mac[6];             /* Address of the other side's device (set by
                                 * the switch), or zeros if it has none. */
    uint8_t pad1[2];
    char name[64];              /* Port name, null-terminated, for messages. */
};
DPDKR_STATIC_ASSERT(sizeof(struct dpdkr_side) == 128, "dpdkr_side layout");

/* First part of the memory. */
struct dpdkr_header {
    /* Constant.  'magic' is stored last when the memory is made. */
    uint64_t magic;             /* DPDKR_MAGIC. */
    uint32_t version;           /* Version of the layout. */
    uint32_t header_size;       /* DPDKR_HEADER_BYTES, or more. */
    uint64_t total_size;        /* Bytes used, at most those mapped. */
    uint8_t id[16];             /* Random. */
    uint32_t kind;              /* DPDKR_KIND_*. */

    /* Geometry, see struct dpdkr_geometry. */
    uint32_t n_queues;
    uint32_t ring_size;
    uint32_t slot_size;
    uint32_t slot_stride;
    uint32_t ring_bytes;
    uint64_t rings_offset;
    uint64_t slots_offset;
    uint8_t pad[48];

    struct dpdkr_side side[2];
};
#define DPDKR_HEADER_BYTES 4096
DPDKR_STATIC_ASSERT(offsetof(struct dpdkr_header, side) == 128,
                    "dpdkr_header layout");
DPDKR_STATIC_ASSERT(sizeof(struct dpdkr_header) <= DPDKR_HEADER_BYTES,
                    "dpdkr_header must fit");

/* A frame, or a note.  Read and written as one 64-bit word. */
struct dpdkr_desc {
    uint32_t len;               /* Bytes of the frame in the slot. */
    uint16_t flags;             /* DPDKR_D_*. */
    uint16_t pad;               /* Zero, but for notes. */
};
DPDKR_STATIC_ASSERT(sizeof(struct dpdkr_desc) == 8, "dpdkr_desc layout");

/* Bits in the 'flags' member of struct dpdkr_desc. */
#define DPDKR_D_NOTE (1u << 0)      /* No frame, see <dpdkr/link.h>. */

/* Descriptors that a sender with DPDKR_F_LINKS keeps free of frames in each of
 * its rings, and that the switch does in each ring to a peer with that. */
#define DPDKR_RESERVED 1

/* Control block of one ring.  The lines are sorted by who writes them.
 *
 * Counters only grow.  They are written by their owner from a private copy, so
 * that the other side can spoil what is displayed of the own frames at most
 * until the next frame. */
struct dpdkr_ring {
    /* Written by the producer. */
    uint32_t prod;              /* Free-running index. */
    uint32_t pad0;
    uint64_t packets;           /* Frames and bytes published. */
    uint64_t bytes;
    uint64_t drop_full;         /* Frames not sent: the ring was full, ... */
    uint64_t drop_size;         /* ...longer than a slot or shorter than
                                 * DPDKR_MIN_FRAME, ... */
    uint64_t drop_other;        /* ...or anything else. */
    uint64_t pad1[10];

    /* Written by the consumer, at each burst. */
    uint32_t cons;              /* Free-running index. */
    uint32_t pad2;
    uint64_t cons_runts;        /* Frames refused: under DPDKR_MIN_FRAME. */
    uint64_t cons_skipped;      /* Left by an earlier peer, never read. */
    uint64_t pad3[13];

    /* Written by the consumer when it goes to sleep, and by the producer that
     * wakes it.  A futex (not FUTEX_PRIVATE_FLAG).
     *
     * Zero: the consumer is awake.  Otherwise it sleeps, or is about to, until
     * that many frames wait in the ring.
     *
     * Consumer: store the threshold; full barrier; look at 'prod' once more;
     * if fewer than the threshold wait, FUTEX_WAIT with the longest time that
     * a frame may wait as time limit; store 0.
     * Producer of a side with DPDKR_F_SLEEPS: store 'prod'; full barrier
     * (the two barriers are partners: either the consumer sees the frame or
     * the producer sees the threshold); if 'wake' is not zero and as many
     * frames wait, store 0 and FUTEX_WAKE. */
    uint32_t wake;
    uint32_t pad4[15];

    uint64_t reserved[24];
};
DPDKR_STATIC_ASSERT(offsetof(struct dpdkr_ring, cons) == 128, "ring layout");
DPDKR_STATIC_ASSERT(offsetof(struct dpdkr_ring, wake) == 256, "ring layout");
DPDKR_STATIC_ASSERT(sizeof(struct dpdkr_ring) == 512, "ring layout");

/* Private copy of what the memory looks like.  Once made by
 * dpdkr_geometry_init() or dpdkr_geometry_read(), all of its ranges are known
 * to lie inside 'total_size'. */
struct dpdkr_geometry {
    uint32_t n_queues;          /* Queue pairs, 1 to DPDKR_MAX_QUEUES. */
    uint32_t ring_size;         /* Descriptors a ring, a power of two. */
    uint32_t slot_size;         /* Largest frame, bytes. */
    uint32_t slot_stride;       /* Bytes from slot to slot. */
    uint32_t ring_bytes;        /* Bytes from ring to ring. */
    uint64_t rings_offset;      /* Bytes from the start of the memory. */
    uint64_t slots_offset;
    uint64_t total_size;        /* Bytes. */
};

/* Fills in all of 'g' for 'n_queues' queue pairs with 'ring_size' descriptors
 * and frames of up to 'slot_size' bytes ('slot_size' is rounded up to whole
 * cache lines).  Returns NULL if successful, otherwise a constant string that
 * says what is wrong with the arguments. */
static inline const char *
dpdkr_geometry_init(struct dpdkr_geometry *g, uint32_t n_queues,
                    uint32_t ring_size, uint32_t slot_size)
{
    memset(g, 0, sizeof *g);
    if (!n_queues || n_queues > DPDKR_MAX_QUEUES) {
        return "number of queues is out of range";
    }
    if (ring_size & (ring_size - 1)) {
        return "ring size is not a power of two";
    }
    if (ring_size < DPDKR_MIN_RING || ring_size > DPDKR_MAX_RING) {
        return "ring size is out of range";
    }
    if (slot_size < DPDKR_MIN_SLOT || slot_size > DPDKR_MAX_SLOT) {
        return "slot size is out of range";
    }

    uint32_t lines = (slot_size + DPDKR_CACHE_LINE - 1) / DPDKR_CACHE_LINE;

    g->n_queues = n_queues;
    g->ring_size = ring_size;
    g->slot_size = lines * DPDKR_CACHE_LINE;
    g->slot_stride = (lines | 1) * DPDKR_CACHE_LINE;
    g->ring_bytes = sizeof(struct dpdkr_ring)
                    + ring_size * sizeof(struct dpdkr_desc);
    g->rings_offset = DPDKR_HEADER_BYTES;
    g->slots_offset = (g->rings_offset
                       + (uint64_t) 2 * n_queues * g->ring_bytes);
    g->slots_offset = (g->slots_offset + 4095) & ~(uint64_t) 4095;
    g->total_size = g->slots_offset
                    + (uint64_t) 2 * n_queues * ring_size * g->slot_stride;
    g->total_size = (g->total_size + 4095) & ~(uint64_t) 4095;
    return NULL;
}

/* Reads the geometry out of 'h', private or shared memory of at least
 * DPDKR_HEADER_BYTES bytes, of which the caller has mapped (or could map)
 * 'mapped' bytes.  Each word of 'h' is read once.
 *
 * Returns NULL and fills in 'g' if the header is sound, otherwise a constant
 * string that says what is wrong with it. */
static inline const char *
dpdkr_geometry_read(struct dpdkr_geometry *g, const struct dpdkr_header *h,
                    uint64_t mapped)
{
    const volatile struct dpdkr_header *v = h;
    struct dpdkr_geometry want;
    const char *error;
    uint32_t version;
    uint64_t magic;

    memset(g, 0, sizeof *g);
    if (mapped < DPDKR_HEADER_BYTES) {
        return "memory is too small for a header";
    }
    magic = v->magic;
    if (magic != DPDKR_MAGIC) {
        return "not a dpdkr memory";
    }
    version = v->version;
    if (DPDKR_VERSION_MAJOR(version) != DPDKR_ABI_MAJOR) {
        return "dpdkr memory of another ABI version";
    }
    if (v->kind != DPDKR_KIND_PORT && v->kind != DPDKR_KIND_LINK) {
        return "dpdkr memory of an unknown kind";
    }
    error = dpdkr_geometry_init(&want, v->n_queues, v->ring_size,
                                v->slot_size);
    if (error) {
        return error;
    }
    /* The rest follows from these three in this version of the layout. */
    if (v->header_size != DPDKR_HEADER_BYTES
        || v->slot_size != want.slot_size
        || v->slot_stride != want.slot_stride
        || v->ring_bytes != want.ring_bytes
        || v->rings_offset != want.rings_offset
        || v->slots_offset != want.slots_offset
        || v->total_size != want.total_size) {
        return "geometry contradicts itself";
    }
    if (want.total_size > mapped) {
        return "memory is smaller than its header says";
    }
    *g = want;
    return NULL;
}

/* Writes 'g' and the constant members into 'h', whose memory is all zeros,
 * all but 'magic'. */
static inline void
dpdkr_header_init(struct dpdkr_header *h, const struct dpdkr_geometry *g,
                  uint32_t kind, const uint8_t id[16])
{
    h->version = DPDKR_ABI_VERSION;
    h->header_size = DPDKR_HEADER_BYTES;
    h->total_size = g->total_size;
    memcpy(h->id, id, sizeof h->id);
    h->kind = kind;
    h->n_queues = g->n_queues;
    h->ring_size = g->ring_size;
    h->slot_size = g->slot_size;
    h->slot_stride = g->slot_stride;
    h->ring_bytes = g->ring_bytes;
    h->rings_offset = g->rings_offset;
    h->slots_offset = g->slots_offset;
}

/* Number of the ring of queue pair 'q' that side 'side' produces. */
static inline uint32_t
dpdkr_ring_of(uint32_t q, uint32_t side)
{
    return 2 * q + side;
}

static inline const char *
dpdkr_cut_reason_to_string(uint32_t reason)
{
    switch (reason) {
    case DPDKR_CUT_NONE: return "none";
    case DPDKR_CUT_INDEX: return "ring index out of range";
    case DPDKR_CUT_LENGTH: return "frame longer than its slot";
    case DPDKR_CUT_FLAGS: return "unknown descriptor flag";
    case DPDKR_CUT_MEMORY: return "memory was truncated";
    case DPDKR_CUT_HEADER: return "header was overwritten";
    default: return "unknown reason";
    }
}

#endif /* dpdkr/abi.h */
