/* SPDX-License-Identifier: Apache-2.0 */

#include <config.h>

#include "dpdkr-port.h"

#include <stdlib.h>

#include "coverage.h"
#include "dp-packet.h"
#include "dpdkr-guard.h"
#include "dpdkr-offload.h"
#include "dpdkr-packet.h"
#include "openvswitch/vlog.h"
#include "timeval.h"
#include "userspace-tso.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(dpdkr_port);

COVERAGE_DEFINE(dpdkr_attach);
COVERAGE_DEFINE(dpdkr_cut_off);
COVERAGE_DEFINE(dpdkr_header_repaired);
COVERAGE_DEFINE(dpdkr_rx_refused);
COVERAGE_DEFINE(dpdkr_tx_dropped);

/* How far ahead of the frame that is copied the next ones are prefetched. */
#define PREFETCH_AHEAD 6

/* Attempts to take a lock, before and between pauses. */
#define LOCK_TRIES 256
#define LOCK_SLEEP_NS 10000

/* A peer can attach as often as it likes.  It must not fill the log. */
static struct vlog_rate_limit attach_rl = VLOG_RATE_LIMIT_INIT(60, 60);

static struct dpdkr_side *
shared_side(const struct dpdkr_port *port, int side)
{
    return &dpdkr_mem_header(port->mem)->side[side];
}

/* Writes 'port->own' to shared memory, whatever is there. */
static void
publish_own_side(struct dpdkr_port *port)
{
    struct dpdkr_side *s = shared_side(port, DPDKR_SIDE_A);
    const struct dpdkr_side *own = &port->own;

    s->cut_reason = own->cut_reason;
    s->version = own->version;
    s->flags = own->flags;
    s->n_rxq = own->n_rxq;
    s->n_txq = own->n_txq;
    s->pid = own->pid;
    s->mtu = own->mtu;
    memcpy(s->mac, own->mac, sizeof s->mac);
    memcpy(s->name, own->name, sizeof s->name);
    __atomic_store_n(&s->heartbeat, own->heartbeat, __ATOMIC_RELAXED);
    __atomic_store_n(&s->cut, own->cut, __ATOMIC_RELEASE);
    __atomic_store_n(&s->epoch, own->epoch, __ATOMIC_RELEASE);
    __atomic_store_n(&s->ack, own->ack, __ATOMIC_RELEASE);
    __atomic_store_n(&s->state, own->state, __ATOMIC_RELEASE);
}

/* Takes 'lock', of a queue, on behalf of a thread that does not poll.  Who has
 * it may be a polling thread that does not run, and never will on a processor
 * that this thread keeps busy with a higher priority. */
void
dpdkr_queue_lock(const struct ovs_spin *lock)
    OVS_NO_THREAD_SAFETY_ANALYSIS
{
    for (unsigned int n = 1; ovs_spin_trylock(lock); n++) {
        if (n % LOCK_TRIES == 0) {
            xnanosleep_no_quiesce(LOCK_SLEEP_NS);
        }
    }
}

/* Stops the flow of frames.  Returns when no thread is in the rings. */
static void
stop_rings(struct dpdkr_port *port)
{
    atomic_store(&port->up, false);
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];

        dpdkr_queue_lock(&q->rx_lock);
        ovs_spin_unlock(&q->rx_lock);
        dpdkr_queue_lock(&q->tx_lock);
        ovs_spin_unlock(&q->tx_lock);
    }
}

/* Publishes the indexes of the switch, which an earlier peer may have
 * overwritten, for a new peer to start from ("Attaching", A, 1).  If 'skip' is
 * true, behind what the earlier peer left, or what it had broken would get the
 * new one cut off as well, time and again. */
static void
publish_indexes(struct dpdkr_port *port, bool skip)
{
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];

        dpdkr_queue_lock(&q->rx_lock);
        if (skip) {
            dpdkr_consumer_start(&q->rx, true);
        } else {
            dpdkr_consumer_publish__(&q->rx);
        }
        ovs_spin_unlock(&q->rx_lock);
        dpdkr_queue_lock(&q->tx_lock);
        dpdkr_producer_publish__(&q->tx);
        ovs_spin_unlock(&q->tx_lock);
    }
}

/* Takes over the indexes of a peer that is up and lets frames flow
 * ("Attaching", A, 3). */
static void
start_rings(struct dpdkr_port *port)
{
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];

        dpdkr_queue_lock(&q->rx_lock);
        dpdkr_consumer_start(&q->rx, false);
        q->rx.takes_notes = (port->peer_flags & DPDKR_F_LINKS) != 0;
        ovs_spin_unlock(&q->rx_lock);
        dpdkr_queue_lock(&q->tx_lock);
        dpdkr_producer_start(&q->tx);
        q->tx.consumer_sleeps = (port->peer_flags & DPDKR_F_SLEEPS) != 0;
        /* Notes must find room however fast frames come in. */
        q->tx.limit = q->tx.r.mask + 1;
        if (port->peer_flags & DPDKR_F_LINKS) {
            q->tx.limit -= DPDKR_RESERVED;
        }
        ovs_spin_unlock(&q->tx_lock);
    }
    atomic_store(&port->broken, DPDKR_CUT_NONE);
    atomic_store(&port->up, true);
}

/* Creates the switch's side of 'mem', of which it takes ownership, for the
 * port called 'name'.  'peer_mac' is the address proposed to the peer. */
struct dpdkr_port *
dpdkr_port_create(struct dpdkr_mem *mem, const char *name,
                  struct eth_addr peer_mac, int mtu, bool admin_up)
{
    struct dpdkr_port *port = xzalloc(sizeof *port);
    const struct dpdkr_geometry *g = &mem->g;
    struct dpdkr_side *old;

    port->mem = mem;
    port->name = xstrdup(name);
    port->n_queues = g->n_queues;
    port->queues = xzalloc_cacheline(g->n_queues * sizeof *port->queues);
    for (uint32_t i = 0; i < g->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];

        ovs_spin_init(&q->rx_lock);
        ovs_spin_init(&q->tx_lock);
        dpdkr_consumer_init(&q->rx, mem->base, g,
                            dpdkr_ring_of(i, DPDKR_SIDE_B));
        dpdkr_producer_init(&q->tx, mem->base, g,
                            dpdkr_ring_of(i, DPDKR_SIDE_A));
        dpdkr_consumer_adopt(&q->rx);
        dpdkr_producer_adopt(&q->tx);
    }
    atomic_init(&port->up, false);
    atomic_init(&port->peer_n_rxq, 1);
    atomic_init(&port->peer_n_txq, 1);
    atomic_init(&port->broken, DPDKR_CUT_NONE);
    atomic_init(&port->max_frame, 0);
    atomic_init(&port->order, 0);
    port->admin_up = admin_up;
    port->heartbeat_time = LLONG_MIN;

    old = shared_side(port, DPDKR_SIDE_A);
    port->own = (struct dpdkr_side) {
        .state = admin_up ? DPDKR_UP : DPDKR_ADMIN_DOWN,
        .epoch = old->epoch + 1,
        .ack = old->ack,
        .cut = old->cut,
        .cut_reason = old->cut_reason,
        .version = DPDKR_ABI_VERSION,
        .flags = DPDKR_F_HEARTBEAT,
        .n_rxq = g->n_queues,
        .n_txq = g->n_queues,
        .pid = getpid(),
        .heartbeat = old->heartbeat,
    };
    port->cut_epoch = port->own.cut;
    memcpy(port->own.mac, &peer_mac, sizeof port->own.mac);
    ovs_strlcpy(port->own.name, name, sizeof port->own.name);
    dpdkr_port_set_mtu(port, mtu);
    dpdkr_orders_adopt(port);
    return port;
}

/* Frees 'port' and its memory.  If 'retire' is true, tells the peer that the
 * memory is not coming back and removes its file; otherwise leaves everything
 * to the next switch. */
void
dpdkr_port_destroy(struct dpdkr_port *port, bool retire)
{
    if (!port) {
        return;
    }
    stop_rings(port);
    port->own.state = retire ? DPDKR_RETIRED : DPDKR_DOWN;
    publish_own_side(port);
    dpdkr_mem_close(port->mem, retire);
    for (uint32_t i = 0; i < port->n_queues; i++) {
        ovs_spin_destroy(&port->queues[i].rx_lock);
        ovs_spin_destroy(&port->queues[i].tx_lock);
    }
    free_cacheline(port->queues);
    free(port->name);
    free(port);
}

/* ## ---- ## */
/* ## Peer ## */
/* ## ---- ## */

/* Finds out whether there is a peer.  A guest cannot hold the lock of the file
 * and moves its heartbeat instead. */
static bool
peer_is_alive(struct dpdkr_port *port, const struct dpdkr_side *peer,
              long long int now)
{
    if (peer->flags & DPDKR_F_HEARTBEAT) {
        if (peer->heartbeat != port->heartbeat) {
            port->heartbeat = peer->heartbeat;
            port->heartbeat_time = now;
        }
        return (port->heartbeat_time != LLONG_MIN
                && now - port->heartbeat_time < DPDKR_DEAD_MS);
    }
    return dpdkr_mem_peer_has_lock(port->mem);
}

static void
cut_off(struct dpdkr_port *port, const struct dpdkr_side *peer,
        uint32_t reason)
{
    stop_rings(port);
    COVERAGE_INC(dpdkr_cut_off);
    port->events.cut_off[reason]++;
    /* By the epoch that was accepted: the peer may claim any other now. */
    port->cut_epoch = port->own.ack;
    port->own.cut = port->own.ack;
    port->own.cut_reason = reason;
    VLOG_WARN_RL(&attach_rl,
                 "%s: peer (pid %"PRIu32") broke the memory format and is cut "
                 "off until it attaches again: %s", port->name, peer->pid,
                 dpdkr_cut_reason_to_string(reason));
}

static uint32_t
clamp_queues(const struct dpdkr_port *port, uint32_t n)
{
    return MAX(1, MIN(n, port->n_queues));
}

/* Accepts a peer that attaches ("Attaching", A, 1 and 2). */
static void
accept_peer(struct dpdkr_port *port, const struct dpdkr_side *peer)
{
    if (DPDKR_VERSION_MAJOR(peer->version) != DPDKR_ABI_MAJOR) {
        if (port->refused_epoch != peer->epoch) {
            port->refused_epoch = peer->epoch;
            port->events.refused++;
            VLOG_WARN_RL(&attach_rl,
                         "%s: peer (pid %"PRIu32") speaks version %"PRIu32
                         ".%"PRIu32" of the memory format, not %d.%d: "
                         "refusing it", port->name, peer->pid,
                         DPDKR_VERSION_MAJOR(peer->version),
                         DPDKR_VERSION_MINOR(peer->version),
                         DPDKR_ABI_MAJOR, DPDKR_ABI_MINOR);
        }
        return;
    }

    stop_rings(port);
    dpdkr_orders_forget_notes(port);
    publish_indexes(port, port->own.cut != 0);
    COVERAGE_INC(dpdkr_attach);
    port->events.attached++;
    port->cut_epoch = 0;
    port->own.cut = 0;
    port->own.cut_reason = DPDKR_CUT_NONE;
    port->own.ack = peer->epoch;
    atomic_store(&port->broken, DPDKR_CUT_NONE);
}

/* Stops the flow of frames and logs 'what' the peer did, if the link is up. */
static void
take_down(struct dpdkr_port *port, const char *what)
{
    if (port->linked) {
        port->linked = false;
        stop_rings(port);
        VLOG_INFO_RL(&attach_rl, "%s: peer (pid %"PRIu32") %s, link is down",
                     port->name, port->peer_pid, what);
    }
}

static void
bring_up(struct dpdkr_port *port, const struct dpdkr_side *peer)
{
    port->peer_pid = peer->pid;
    port->peer_flags = peer->flags;
    atomic_store(&port->peer_n_rxq, clamp_queues(port, peer->n_rxq));
    atomic_store(&port->peer_n_txq, clamp_queues(port, peer->n_txq));
    start_rings(port);
    port->linked = true;
    VLOG_INFO_RL(&attach_rl, "%s: peer (pid %"PRIu32") attached, link is up",
                 port->name, peer->pid);
}

/* Does the periodic work of 'port': answers a peer that attaches, notices one
 * that is gone or has been found to break the format, and restores what the
 * switch says in shared memory.  Returns true if the link went up or down, or
 * a peer came or went. */
bool
dpdkr_port_run(struct dpdkr_port *port, long long int now)
{
    const struct dpdkr_side *shared = shared_side(port, DPDKR_SIDE_B);
    struct dpdkr_port_events old = port->events;
    bool was_alive = port->alive;
    bool was_linked = port->linked;
    struct dpdkr_side peer;
    uint32_t broken;
    bool repaired;

    /* The epoch is read first and the rest behind it, as the peer writes them
     * in the opposite order.  From here on only the copy counts. */
    memset(&peer, 0, sizeof peer);
    peer.epoch = __atomic_load_n(&shared->epoch, __ATOMIC_ACQUIRE);
    peer.version = __atomic_load_n(&shared->version, __ATOMIC_RELAXED);
    peer.flags = __atomic_load_n(&shared->flags, __ATOMIC_RELAXED);
    peer.n_rxq = __atomic_load_n(&shared->n_rxq, __ATOMIC_RELAXED);
    peer.n_txq = __atomic_load_n(&shared->n_txq, __ATOMIC_RELAXED);
    peer.pid = __atomic_load_n(&shared->pid, __ATOMIC_RELAXED);
    peer.heartbeat = __atomic_load_n(&shared->heartbeat, __ATOMIC_RELAXED);
    peer.state = __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE);

    port->alive = peer_is_alive(port, &peer, now);
    port->own.heartbeat++;

    repaired = dpdkr_mem_repair_header(port->mem);
    atomic_read(&port->broken, &broken);
    if (port->mem->guard && dpdkr_guard_is_hit(port->mem->guard)) {
        /* The file was truncated.  The zeros that are read instead are no
         * fault of the peer's, and its owner replaces the memory. */
        atomic_store(&port->broken, DPDKR_CUT_NONE);
        port->alive = false;
        take_down(port, "lost its memory");
        return was_linked || was_alive;
    }
    if (repaired) {
        COVERAGE_INC(dpdkr_header_repaired);
        port->events.repaired++;
        if (port->linked) {
            cut_off(port, &peer, DPDKR_CUT_HEADER);
        }
    }
    if (broken) {
        atomic_store(&port->broken, DPDKR_CUT_NONE);
        cut_off(port, &peer, broken);
    }

    if (!port->alive || peer.state == DPDKR_DOWN || !peer.epoch) {
        take_down(port, port->alive ? "detached" : "is gone");
    } else if (peer.epoch != port->own.ack) {
        take_down(port, "attaches anew");
        accept_peer(port, &peer);
    } else if (port->cut_epoch == peer.epoch) {
        take_down(port, "was cut off");
    } else if (peer.state != DPDKR_UP) {
        take_down(port, "is not ready");
    } else if (!port->admin_up) {
        take_down(port, "is kept: the port is down");
    } else if (!port->linked) {
        bring_up(port, &peer);
    }
    publish_own_side(port);
    dpdkr_orders_publish(port);

    return (was_linked != port->linked || was_alive != port->alive
            || memcmp(&old, &port->events, sizeof old));
}

void
dpdkr_port_set_mtu(struct dpdkr_port *port, int mtu)
{
    port->own.mtu = mtu;
    atomic_store(&port->max_frame, mtu + DPDKR_L2_OVERHEAD);
    publish_own_side(port);
}

/* Sets the administrative state; the link follows with the next
 * dpdkr_port_run(), frames stop at once. */
void
dpdkr_port_set_admin(struct dpdkr_port *port, bool up)
{
    port->admin_up = up;
    port->own.state = up ? DPDKR_UP : DPDKR_ADMIN_DOWN;
    if (!up) {
        stop_rings(port);
        take_down(port, "is kept: the port is down");
    }
    publish_own_side(port);
}

/* ## ------- ## */
/* ## Packets ## */
/* ## ------- ## */

/* Notes that the peer broke the format, and stops the port.  The log entry and
 * the rest come with the next dpdkr_port_run().
 *
 * The caller holds the lock of the queue, so that after stop_rings() no late
 * report of an earlier peer can hit the next one. */
void
dpdkr_port_report_broken(struct dpdkr_port *port, uint32_t reason)
{
    COVERAGE_INC(dpdkr_rx_refused);
    atomic_store_relaxed(&port->up, false);
    atomic_store(&port->broken, reason);
}

/* Returns true if it is for sure that there is nothing to be done for what the
 * peer sends through 'q'.  That is what most polls find, and a lock would make
 * it take a third longer. */
static bool
queue_is_empty(const struct dpdkr_port_queue *q)
    OVS_NO_THREAD_SAFETY_ANALYSIS
{
    return (__atomic_load_n(&q->rx.r.ctl->prod, __ATOMIC_RELAXED)
            == __atomic_load_n(&q->rx.cons, __ATOMIC_RELAXED)
            && __atomic_load_n(&q->gate.state, __ATOMIC_RELAXED)
               == DPDKR_GATE_OPEN);
}

/* Receives up to NETDEV_MAX_BURST packets from the peer's queue 'queue' into
 * 'batch', which is empty.  Returns 0, or EAGAIN if there is none.  Stores the
 * number of frames that are left in the ring in '*qfill' if 'qfill' is
 * nonnull. */
int
dpdkr_port_rx(struct dpdkr_port *port, uint32_t queue,
              struct dp_packet_batch *batch, int *qfill)
{
    struct dpdkr_port_queue *q = &port->queues[queue];
    struct dpdkr_consumer *c = &q->rx;
    uint64_t bytes = 0, runts = 0, oversize = 0;
    uint32_t n, max_frame;
    uint32_t i;

    if (queue_is_empty(q)) {
        return EAGAIN;
    }
    ovs_spin_lock(&q->rx_lock);
    if (OVS_UNLIKELY(!dpdkr_port_is_up(port))) {
        ovs_spin_unlock(&q->rx_lock);
        return EAGAIN;
    }
    if (OVS_UNLIKELY(q->gate.state != DPDKR_GATE_OPEN)
        && !dpdkr_gate_try_open(port, q, queue)) {
        ovs_spin_unlock(&q->rx_lock);
        return EAGAIN;
    }
    n = dpdkr_consumer_avail(c, NETDEV_MAX_BURST);
    if (!n) {
        if (OVS_UNLIKELY(c->broken)) {
            dpdkr_port_report_broken(port, c->broken);
        }
        ovs_spin_unlock(&q->rx_lock);
        return EAGAIN;
    }

    atomic_read_relaxed(&port->max_frame, &max_frame);
    for (i = 0; i < MIN(n, PREFETCH_AHEAD); i++) {
        dpdkr_consumer_prefetch(c, i);
    }
    for (i = 0; i < n; i++) {
        struct dp_packet *packet;
        const uint8_t *frame;
        uint32_t len;

        if (i + PREFETCH_AHEAD < n) {
            dpdkr_consumer_prefetch(c, i + PREFETCH_AHEAD);
        }
        frame = dpdkr_consumer_frame(c, i, &len);
        if (OVS_UNLIKELY(!frame)) {
            break;
        }
        if (OVS_UNLIKELY(len < DPDKR_MIN_FRAME)) {
            runts++;
            continue;
        }
        if (OVS_UNLIKELY(len > max_frame)) {
            oversize++;
            continue;
        }
        packet = dpdkr_packet_new(len);
        memcpy(dp_packet_data(packet), frame, len);
        bytes += len;
        batch->packets[batch->count++] = packet;
    }
    dpdkr_consumer_release(c, i);
    c->packets += batch->count;
    c->bytes += bytes;
    q->rx_packets += batch->count;
    q->rx_bytes += bytes;
    if (OVS_UNLIKELY(runts || oversize)) {
        q->rx_runts += runts;
        q->rx_oversize += oversize;
        dpdkr_consumer_count_runts(c, runts);
        COVERAGE_ADD(dpdkr_rx_refused, runts + oversize);
    }
    if (qfill) {
        *qfill = c->prod - c->cons;
    }
    if (OVS_UNLIKELY(c->at_note) && !dpdkr_gate_take_note(q)) {
        c->broken = DPDKR_CUT_FLAGS;
    }
    if (OVS_UNLIKELY(c->broken)) {
        dpdkr_port_report_broken(port, c->broken);
    }
    ovs_spin_unlock(&q->rx_lock);

    return batch->count ? 0 : EAGAIN;
}

/* Copies 'n' complete packets into the ring of 'q'. */
static void
send_packets__(struct dpdkr_port_queue *q, struct dp_packet **packets,
               uint32_t n, uint32_t max_frame)
    OVS_REQUIRES(q->tx_lock)
{
    struct dpdkr_producer *p = &q->tx;
    uint32_t room = dpdkr_producer_room(p, n);
    uint32_t n_sent = 0, n_size = 0;
    uint64_t bytes = 0;
    uint32_t i;

    for (i = 0; i < MIN(room, PREFETCH_AHEAD); i++) {
        dpdkr_producer_prefetch(p, i);
    }
    for (i = 0; i < n && n_sent < room; i++) {
        struct dp_packet *packet = packets[i];
        uint32_t len = dp_packet_size(packet);

        if (n_sent + PREFETCH_AHEAD < room) {
            dpdkr_producer_prefetch(p, n_sent + PREFETCH_AHEAD);
        }
        if (OVS_UNLIKELY(len > max_frame || len < DPDKR_MIN_FRAME
                         || packet->packet_type != htonl(PT_ETH))) {
            n_size++;
            continue;
        }
        memcpy(dpdkr_producer_slot(p, n_sent), dp_packet_data(packet), len);
        dpdkr_producer_set(p, n_sent, len);
        bytes += len;
        n_sent++;
    }
    if (n_sent) {
        dpdkr_producer_publish(p, n_sent);
        q->tx_packets += n_sent;
        q->tx_bytes += bytes;
    }
    if (OVS_UNLIKELY(i < n || n_size)) {
        q->tx_full += n - i;
        q->tx_size += n_size;
        dpdkr_producer_count_drops(p, n - i, n_size, 0);
        COVERAGE_ADD(dpdkr_tx_dropped, n - i + n_size);
    }
}

/* As send_packets__() for a batch of which some packets are not complete. */
static void
send_incomplete__(struct dpdkr_port_queue *q, struct dp_packet_batch *batch,
                  uint32_t max_frame)
    OVS_REQUIRES(q->tx_lock)
{
    int mtu = max_frame - DPDKR_L2_OVERHEAD;
    struct dp_packet *packet;

    DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
        if (!dpdkr_offload_is_needed(packet)) {
            send_packets__(q, &packet, 1, max_frame);
            dpdkr_packet_delete(packet);
            continue;
        }

        struct dp_packet **frames;
        size_t n;

        frames = dpdkr_offload_finish(packet, mtu, &n);
        if (!n) {
            q->tx_offload++;
            dpdkr_producer_count_drops(&q->tx, 0, 0, 1);
        }
        send_packets__(q, frames, n, max_frame);
        for (size_t j = 0; j < n; j++) {
            dpdkr_packet_delete(frames[j]);
        }
        free(frames);
    }
    dp_packet_batch_init(batch);
}

static bool
batch_is_incomplete(struct dp_packet_batch *batch)
{
    struct dp_packet *packet;

    if (OVS_LIKELY(!userspace_tso_enabled())) {
        return false;
    }
    DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
        if (dpdkr_offload_is_needed(packet)) {
            return true;
        }
    }
    return false;
}

/* Sends the packets of 'batch', of which it takes ownership, to the peer.  A
 * sender that always gives the same 'queue', any number, has its packets
 * delivered in order. */
void
dpdkr_port_tx(struct dpdkr_port *port, uint32_t queue,
              struct dp_packet_batch *batch)
{
    uint32_t n_rxq, max_frame;
    struct dpdkr_port_queue *q;

    atomic_read_relaxed(&port->peer_n_rxq, &n_rxq);
    q = &port->queues[queue < n_rxq ? queue : queue % n_rxq];

    ovs_spin_lock(&q->tx_lock);
    if (OVS_UNLIKELY(!dpdkr_port_is_up(port))) {
        size_t n = dp_packet_batch_size(batch);

        q->tx_no_peer += n;
        ovs_spin_unlock(&q->tx_lock);
        COVERAGE_ADD(dpdkr_tx_dropped, n);
        dpdkr_packet_delete_batch(batch);
        return;
    }
    atomic_read_relaxed(&port->max_frame, &max_frame);
    dp_packet_batch_apply_cutlen(batch);
    if (OVS_LIKELY(!batch_is_incomplete(batch))) {
        send_packets__(q, batch->packets, dp_packet_batch_size(batch),
                       max_frame);
    } else {
        send_incomplete__(q, batch, max_frame);
    }
    if (OVS_UNLIKELY(q->tx.broken)) {
        dpdkr_port_report_broken(port, q->tx.broken);
    }
    ovs_spin_unlock(&q->tx_lock);
    dpdkr_packet_delete_batch(batch);
}

/* Adds what 'port' has counted to '*stats'. */
void
dpdkr_port_add_stats(const struct dpdkr_port *port,
                     struct dpdkr_port_stats *stats)
{
    for (uint32_t i = 0; i < port->n_queues; i++) {
        struct dpdkr_port_queue *q = &port->queues[i];

        dpdkr_queue_lock(&q->rx_lock);
        stats->rx_packets += q->rx_packets;
        stats->rx_bytes += q->rx_bytes;
        stats->rx_runts += q->rx_runts;
        stats->rx_oversize += q->rx_oversize;
        ovs_spin_unlock(&q->rx_lock);

        dpdkr_queue_lock(&q->tx_lock);
        stats->tx_packets += q->tx_packets;
        stats->tx_bytes += q->tx_bytes;
        stats->tx_no_peer += q->tx_no_peer;
        stats->tx_full += q->tx_full;
        stats->tx_size += q->tx_size;
        stats->tx_offload += q->tx_offload;
        ovs_spin_unlock(&q->tx_lock);
    }
}

/* Adds what has happened to 'port' to '*events'. */
void
dpdkr_port_add_events(const struct dpdkr_port *port,
                      struct dpdkr_port_events *events)
{
    events->attached += port->events.attached;
    events->refused += port->events.refused;
    events->repaired += port->events.repaired;
    for (size_t i = 0; i < DPDKR_CUT_N; i++) {
        events->cut_off[i] += port->events.cut_off[i];
    }
}
